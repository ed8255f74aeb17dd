//! `cargo xtask kill-trial`: what a `SIGKILL` in the middle of an apply leaves, with grappe and with Terraform.
//!
//! 400 layered resources, applied from a saved plan by a process that is killed at a random instant; the instants are spread evenly over the time that
//! an apply takes that nobody kills. Then it is looked at what the state knows, and the same program applies again, to its end.
//!
//! Two plans. `plain` is of `terraform_data` alone, as in the trial that made people ask for this; what counts as done there is what the program said
//! was done. In `effects` each resource has a step that appends a line to a file of its own: what really happened can be counted, and what
//! happened twice.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

use crate::bench::{Tool, Tools, machine};
use crate::growing::{Growing, place, write};
use crate::run::{root, say};

const RESOURCES: usize = 400;
const TRIALS: usize = 29;

/// A plan of the trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Plain,
    Effects,
}

impl Variant {
    fn plan(self) -> String {
        let plain = Growing::Layered.plan(RESOURCES);
        if self == Variant::Plain {
            return plain;
        }
        (0..RESOURCES).fold(plain, |text, n| {
            let name = name(n);
            let head = format!("resource \"terraform_data\" \"{name}\" {{\n");
            let step = format!(
                "{head}  provisioner \"local-exec\" {{\n    command = \"echo done >> effects/{name}\"\n  }}\n"
            );
            text.replace(&head, &step)
        })
    }
}

fn name(n: usize) -> String {
    let (layer, at) = place(n, RESOURCES);
    format!("l{layer}_{at}")
}

/// What is on the disk where the state should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Readable,
    Empty,
    Torn,
    NotThere,
}

/// What a kill left, and what the next apply made of it.
#[derive(Clone, Debug)]
struct Trial {
    kept: Kept,
    /// How many resources had happened: by their effects, or as was said.
    happened: usize,
    /// Those of them that the state does not know.
    forgotten: usize,
    /// Whether the next apply worked, and the plan after it finds nothing to do.
    converged: bool,
    /// How many effects there are more than resources, after that.
    twice: usize,
}

/// `cargo xtask kill-trial [TRIALS [SEED]]`: writes docs/kill-trial.md.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let number = |word: &str| word.parse::<u64>().with_context(|| format!("{word:?} is no number"));
    let trials = words.first().map_or(Ok(TRIALS), |word| number(word).map(|n| n as usize))?;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = words.get(1).map_or_else(|| Ok(now()), |word| number(word))?;
    if trials == 0 {
        bail!("no trial shows nothing");
    }
    say(format!("seed {seed} (again: cargo xtask kill-trial {trials} {seed})"));
    let tools = Tools::new()?;
    let mut page = format!(
        "# What a kill leaves\n\nWritten by `cargo xtask kill-trial {trials} {seed}`: {RESOURCES} layered resources, applied from a saved plan and killed \
         (`SIGKILL`) at a random instant of that, {trials} times with each program; then the same program applies again, to its end.\n\
         Machine: {}.\n",
        machine(),
    );
    for variant in [Variant::Plain, Variant::Effects] {
        let mut columns = Vec::new();
        for tool in tools.all() {
            columns.push((tool, all(&tools, tool, variant, trials, seed)?));
        }
        table(variant, &columns, &mut page);
    }
    grappe_state::files::write_atomic(&root().join("docs/kill-trial.md"), page.as_bytes(), 0o644)?;
    say(page);
    Ok(())
}

fn all(tools: &Tools, tool: Tool, variant: Variant, trials: usize, seed: u64) -> Result<Vec<Trial>> {
    // How long one takes that nobody kills.
    let whole = Bench::new(tools, tool, variant)?;
    let begin = Instant::now();
    let mut child = whole.start()?;
    if !child.wait()?.success() {
        bail!("{} can't apply the plan of the trial", tool.name());
    }
    let mut length = begin.elapsed();
    say(format!("{}, {variant:?}: an apply takes {length:.2?}", tool.name()));
    let mut random = Random(seed);
    let mut out = Vec::new();
    while out.len() < trials {
        let bench = Bench::new(tools, tool, variant)?;
        // One in each part of it, so that all parts have their turn.
        let at = length.mul_f64((out.len() as f64 + random.fraction()) / trials as f64);
        let mut child = bench.start()?;
        std::thread::park_timeout(at);
        child.kill()?;
        if child.wait()?.success() {
            // The computer has become quicker, or is less busy.
            length = length.min(at);
            say(format!("{}: it was done before {at:.2?}: again", tool.name()));
            continue;
        }
        let trial = bench.judge()?;
        say(format!("{}, {variant:?}, killed after {at:.2?}: {trial:?}", tool.name()));
        out.push(trial);
    }
    Ok(out)
}

/// A folder in which one trial takes place.
struct Bench<'a> {
    tools: &'a Tools,
    tool: Tool,
    variant: Variant,
    dir: tempfile::TempDir,
}

impl<'a> Bench<'a> {
    /// With a saved plan.
    fn new(tools: &'a Tools, tool: Tool, variant: Variant) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        write(dir.path(), &variant.plan())?;
        std::fs::create_dir(dir.path().join("effects"))?;
        let bench = Bench { tools, tool, variant, dir };
        if tool == Tool::Terraform {
            bench.expect(&["init", "-input=false"])?;
        }
        bench.expect(&["plan", "-out=saved"])?;
        Ok(bench)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(self.tools.program(self.tool)?);
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.envs(self.tools.environment().iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    fn output(&self, args: &[&str]) -> Result<Output> {
        Ok(self.command(args)?.output()?)
    }

    fn expect(&self, args: &[&str]) -> Result<()> {
        let out = self.output(args)?;
        if !out.status.success() {
            bail!("{} {}: {}", self.tool.name(), args.join(" "), String::from_utf8_lossy(&out.stderr));
        }
        Ok(())
    }

    /// The apply that is to be killed; what it says goes to a file.
    fn start(&self) -> Result<std::process::Child> {
        let said = std::fs::OpenOptions::new().create(true).append(true).open(self.path().join("said"))?;
        Ok(self.command(&["apply", "-json", "saved"])?.stdout(said).stderr(Stdio::null()).spawn()?)
    }

    fn judge(&self) -> Result<Trial> {
        self.let_steps_end();
        let happened = match self.variant {
            Variant::Plain => self.said()?,
            Variant::Effects => self.effects().into_iter().map(|(name, _)| name).collect(),
        };
        let known = self.known()?;
        let kept = self.kept(known.as_ref())?;
        let known = known.unwrap_or_default();
        let again = self.output(&["apply", "-auto-approve"])?.status.success();
        let nothing = self.output(&["plan", "-detailed-exitcode"])?.status.code() == Some(0);
        let all = self.known()?.is_some_and(|known| known.len() == RESOURCES);
        let effects: usize = self.effects().iter().map(|(_, times)| times - 1).sum();
        Ok(Trial {
            kept,
            happened: happened.len(),
            forgotten: happened.difference(&known).count(),
            converged: again && nothing && all,
            twice: effects,
        })
    }

    /// Shells that were started go on without the one who started them.
    fn let_steps_end(&self) {
        let mut before = None;
        loop {
            let now = self.effects();
            if before.as_ref() == Some(&now) {
                return;
            }
            before = Some(now);
            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    /// How often each effect happened.
    fn effects(&self) -> Vec<(String, usize)> {
        let Ok(entries) = std::fs::read_dir(self.path().join("effects")) else { return Vec::new() };
        let mut out: Vec<(String, usize)> = entries
            .flatten()
            .map(|entry| {
                let lines = std::fs::read_to_string(entry.path()).unwrap_or_default().lines().count();
                (entry.file_name().to_string_lossy().into_owned(), lines)
            })
            // The shell has made the file, and not written to it.
            .filter(|(_, lines)| *lines > 0)
            .collect();
        out.sort();
        out
    }

    /// What the program said was done.
    fn said(&self) -> Result<BTreeSet<String>> {
        let text = std::fs::read_to_string(self.path().join("said"))?;
        let addr = |line: &str| {
            let json: Json = serde_json::from_str(line).ok()?;
            let addr = match json["type"].as_str()? {
                "operation_done" => &json["addr"],
                "apply_complete" => &json["hook"]["resource"]["addr"],
                _ => return None,
            };
            Some(addr.as_str()?.strip_prefix("terraform_data.")?.to_owned())
        };
        Ok(text.lines().filter_map(addr).collect())
    }

    /// The resources that the state knows: `None` where it can't be read.
    fn known(&self) -> Result<Option<BTreeSet<String>>> {
        let out = self.output(&["state", "list"])?;
        let text = String::from_utf8_lossy(&out.stdout);
        let names = text.lines().filter_map(|l| l.strip_prefix("terraform_data.")).map(str::to_owned);
        Ok(out.status.success().then(|| names.collect()))
    }

    fn kept(&self, known: Option<&BTreeSet<String>>) -> Result<Kept> {
        // Grappe's state is a snapshot and a journal: before the first snapshot, the journal is all.
        let files = match self.tool {
            Tool::Grappe => &["grappe.state/grappe.state.json", "grappe.state/grappe.journal"][..],
            Tool::Terraform => &["terraform.tfstate"],
        };
        let mut sizes = Vec::new();
        for file in files {
            match std::fs::metadata(self.path().join(file)) {
                Ok(meta) => sizes.push(meta.len()),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(match (&sizes[..], known) {
            ([], _) => Kept::NotThere,
            (sizes, _) if sizes.iter().all(|size| *size == 0) => Kept::Empty,
            (_, Some(_)) => Kept::Readable,
            _ => Kept::Torn,
        })
    }
}

fn table(variant: Variant, columns: &[(Tool, Vec<Trial>)], out: &mut String) {
    let (title, happened) = match variant {
        Variant::Plain => ("Plain `terraform_data`", "resources that the program had said were done"),
        Variant::Effects => {
            ("Each with a step that leaves a trace (`local-exec`)", "resources whose step had happened")
        }
    };
    let names: Vec<&str> = columns.iter().map(|(tool, _)| tool.name()).collect();
    let _ =
        write!(out, "\n## {title}\n\n| | {} |\n|---|{}\n", names.join(" | "), "---:|".repeat(names.len()));
    let mut line = |what: &str, of: &dyn Fn(&[Trial]) -> String| {
        let cells: Vec<String> = columns.iter().map(|(_, trials)| of(trials)).collect();
        let _ = writeln!(out, "| {what} | {} |", cells.join(" | "));
    };
    let kept =
        |kept: Kept| move |trials: &[Trial]| trials.iter().filter(|t| t.kept == kept).count().to_string();
    line("trials", &|trials| trials.len().to_string());
    line("state: readable", &kept(Kept::Readable));
    line("state: **empty** (0 bytes)", &kept(Kept::Empty));
    line("state: **torn**", &kept(Kept::Torn));
    line("state: not there yet", &kept(Kept::NotThere));
    line(happened, &|trials| sum(trials, |t| t.happened).to_string());
    line("… of which the state knew **nothing**", &|trials| sum(trials, |t| t.forgotten).to_string());
    line("the next apply converged", &|trials| {
        format!("{} of {}", trials.iter().filter(|t| t.converged).count(), trials.len())
    });
    if variant == Variant::Effects {
        line("steps that had been done, and were done again by it", &|trials| {
            sum(trials, |t| t.twice).to_string()
        });
        line("… the most in one trial", &|trials| {
            trials.iter().map(|t| t.twice).max().unwrap_or_default().to_string()
        });
    }
    if variant == Variant::Effects {
        out.push_str(
            "\nA step that had come to its end when its program was killed, but was not on record yet, is done again, since nobody can know of it: of the ten \
             operations that go on at once, and of those that ended in the last milliseconds, while the disk was writing what came before. Steps that must not \
             be done twice look whether they were.\n",
        );
    }
}

fn sum(trials: &[Trial], of: impl Fn(&Trial) -> usize) -> usize {
    trials.iter().map(of).sum()
}

/// SplitMix64: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_has_a_step_of_its_own() {
        let text = Variant::Effects.plan();
        assert_eq!(text.matches("provisioner \"local-exec\"").count(), RESOURCES);
        for n in 0..RESOURCES {
            assert_eq!(text.matches(&format!("effects/{}\"", name(n))).count(), 1);
        }
    }

    #[test]
    fn a_table_counts() {
        let trial = |kept, happened, forgotten, twice| Trial {
            kept,
            happened,
            forgotten,
            converged: forgotten == 0,
            twice,
        };
        let good = vec![trial(Kept::Readable, 100, 0, 3), trial(Kept::NotThere, 0, 0, 0)];
        let bad = vec![trial(Kept::Empty, 80, 80, 80), trial(Kept::Readable, 10, 1, 1)];
        let mut out = String::new();
        table(Variant::Effects, &[(Tool::Grappe, good), (Tool::Terraform, bad)], &mut out);
        for line in [
            "| | grappe | terraform |",
            "| state: readable | 1 | 1 |",
            "| state: **empty** (0 bytes) | 0 | 1 |",
            "| resources whose step had happened | 100 | 90 |",
            "| … of which the state knew **nothing** | 0 | 81 |",
            "| the next apply converged | 2 of 2 | 0 of 2 |",
            "| steps that had been done, and were done again by it | 3 | 81 |",
            "| … the most in one trial | 3 | 80 |",
        ] {
            assert!(out.contains(line), "{line}\n{out}");
        }
    }

    #[test]
    fn instants_are_the_same_for_the_same_seed_and_within_the_run() {
        let draw = |seed| {
            let mut random = Random(seed);
            (0..100).map(|_| random.fraction()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|f| (0.0..1.0).contains(f)));
    }
}
