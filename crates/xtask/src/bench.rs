//! `cargo xtask bench`: what planning, applying and destroying cost, beside Terraform on the same machine, and how that grows.
//!
//! Each plan goes through a fresh plan, an apply, a plan that finds nothing to do, and a destruction; each step is a process that is measured
//! ([`crate::measure`]). What takes seconds only is done three times, and the middle counts. Terraform takes minutes for a thousand resources and
//! hours for ten thousand: it has a size and a time up to which it goes, and the whole has a time too.

mod page;

pub(crate) use page::{cell, machine};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::growing::Growing;
use crate::measure::{Cost, measure};
use crate::run::{cargo, go, root, say, which};

/// What is done with a plan, in this order.
const STEPS: [&str; 4] = ["fresh plan", "apply", "no-op plan", "destroy"];
/// A plan that is through in this time is measured again.
const SHORT: Duration = Duration::from_secs(10);
const REPEATS: usize = 3;

/// A program that takes plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Grappe,
    Terraform,
}

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::Grappe => "grappe",
            Tool::Terraform => "terraform",
        }
    }
}

/// Both programs, ready to be started.
pub(crate) struct Tools {
    grappe: String,
    terraform: Option<String>,
    /// Holds what keeps them apart from their user's own settings.
    _quiet: tempfile::TempDir,
    environment: Vec<(String, PathBuf)>,
}

impl Tools {
    /// Builds grappe as it is released, and looks for terraform.
    pub(crate) fn new() -> Result<Self> {
        let quiet = tempfile::tempdir()?;
        let config = quiet.path().join("terraformrc");
        let key = quiet.path().join("key");
        grappe_state::files::write_atomic(&config, b"", 0o600)?;
        // 32 bytes in base64.
        grappe_state::files::write_atomic(&key, format!("{}=", "A".repeat(43)).as_bytes(), 0o600)?;
        Ok(Tools {
            grappe: grappe()?,
            terraform: which("terraform").map(|p| p.display().to_string()),
            _quiet: quiet,
            environment: vec![
                ("TF_CLI_CONFIG_FILE".into(), config),
                ("CHECKPOINT_DISABLE".into(), "1".into()),
                ("GRAPPE_STATE_KEY_FILE".into(), key),
            ],
        })
    }

    /// Those that are there.
    pub(crate) fn all(&self) -> Vec<Tool> {
        std::iter::once(Tool::Grappe).chain(self.terraform.iter().map(|_| Tool::Terraform)).collect()
    }

    /// The program and what it is to be started with.
    pub(crate) fn program(&self, tool: Tool) -> Result<&str> {
        match tool {
            Tool::Grappe => Ok(&self.grappe),
            Tool::Terraform => self.terraform.as_deref().context("terraform is not on the PATH"),
        }
    }

    /// The environment that keeps it apart from its user's settings.
    pub(crate) fn environment(&self) -> &[(String, PathBuf)] {
        &self.environment
    }

    /// Runs it in a folder, for so long at most.
    pub(crate) fn measure(&self, tool: Tool, dir: &Path, limit: Duration, args: &[&str]) -> Result<Outcome> {
        let command = [&[self.program(tool)?], args].concat();
        let cost = measure(dir, limit, &self.environment, &command)?;
        Ok(cost.map_or(Outcome::Over(limit), Outcome::Cost))
    }
}

/// Builds grappe as it is released; gives its path.
pub(crate) fn grappe() -> Result<String> {
    go(cargo().args(["build", "--release", "--package", "grappe-cli", "--quiet"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    Ok(target.join("release/grappe").display().to_string())
}

/// What is measured.
#[derive(Debug, PartialEq)]
pub(crate) struct Choice {
    sizes: Vec<usize>,
    shapes: Vec<Growing>,
    /// Terraform has no plan that is larger.
    terraform: usize,
    /// A step that takes longer is given up.
    limit: Duration,
    /// What would begin later is left out.
    total: Duration,
}

impl Choice {
    /// From words like `1000 layered terraform=100 limit=60`.
    fn of(words: &[&str]) -> Result<Self> {
        let mut choice = Choice {
            sizes: Vec::new(),
            shapes: Vec::new(),
            terraform: 1_000,
            limit: Duration::from_secs(180),
            total: Duration::from_secs(18 * 60),
        };
        for word in words {
            let number = |text: &str| text.parse().with_context(|| format!("{text:?} is no number"));
            match word.split_once('=') {
                Some(("terraform", most)) => choice.terraform = usize::try_from(number(most)?)?,
                Some(("limit", seconds)) => choice.limit = Duration::from_secs(number(seconds)?),
                Some(("total", seconds)) => choice.total = Duration::from_secs(number(seconds)?),
                Some(_) => bail!(
                    "{word:?} is nothing that can be chosen: terraform=SIZE, limit=SECONDS, total=SECONDS"
                ),
                None if word.starts_with(|c: char| c.is_ascii_digit()) => {
                    choice.sizes.push(usize::try_from(number(word)?)?);
                }
                None => choice.shapes.push(word.parse()?),
            }
        }
        if choice.sizes.is_empty() {
            choice.sizes = vec![100, 1_000, 5_000, 10_000];
        }
        if choice.shapes.is_empty() {
            choice.shapes = Growing::ALL.to_vec();
        }
        choice.sizes.sort_unstable();
        Ok(choice)
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Cost(Cost),
    /// It took longer than this.
    Over(Duration),
    /// There was no time left, or nothing to begin with.
    NotTried,
}

impl Outcome {
    fn cost(&self) -> Option<&Cost> {
        match self {
            Outcome::Cost(cost) => Some(cost),
            Outcome::Over(_) | Outcome::NotTried => None,
        }
    }
}

/// One plan's way through one program.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    tool: Tool,
    shape: Growing,
    size: usize,
    /// One for each of [`STEPS`].
    steps: Vec<Outcome>,
    state_bytes: Option<u64>,
}

/// Measures, and writes docs/benchmarks.md.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let choice = Choice::of(words)?;
    let tools = Tools::new()?;
    let begin = Instant::now();
    let mut rows = Vec::new();
    // The large ones of one program last: where time runs out, what is compared is there.
    for &size in &choice.sizes {
        for &shape in &choice.shapes {
            for tool in tools.all() {
                if tool == Tool::Grappe || (shape.is_builtin() && size <= choice.terraform) {
                    let left = choice.total.saturating_sub(begin.elapsed());
                    rows.push(row(&tools, tool, shape, size, &choice, left)?);
                }
            }
        }
    }
    let page = page::page(&rows, &choice, words, begin.elapsed());
    grappe_state::files::write_atomic(&root().join("docs/benchmarks.md"), page.as_bytes(), 0o644)?;
    say(page);
    Ok(())
}

/// Takes a plan through a program: three times where that is quick.
fn row(
    tools: &Tools,
    tool: Tool,
    shape: Growing,
    size: usize,
    choice: &Choice,
    left: Duration,
) -> Result<Row> {
    let begin = Instant::now();
    let mut rows = vec![once(tools, tool, shape, size, choice, left)?];
    while rows.len() < REPEATS && begin.elapsed() < SHORT {
        rows.push(once(tools, tool, shape, size, choice, left.saturating_sub(begin.elapsed()))?);
    }
    let mut row = rows[0].clone();
    for (i, step) in row.steps.iter_mut().enumerate() {
        let costs: Vec<Cost> = rows.iter().filter_map(|r| r.steps[i].cost().copied()).collect();
        if costs.len() == rows.len() {
            *step = Outcome::Cost(middle(&costs));
        }
    }
    Ok(row)
}

/// The middle of each measure.
fn middle(costs: &[Cost]) -> Cost {
    fn of<T: Ord + Copy>(costs: &[Cost], what: impl Fn(&Cost) -> T) -> T {
        let mut all: Vec<T> = costs.iter().map(what).collect();
        all.sort_unstable();
        all[all.len() / 2]
    }
    Cost { wall: of(costs, |c| c.wall), cpu: of(costs, |c| c.cpu), peak_kib: of(costs, |c| c.peak_kib) }
}

fn once(
    tools: &Tools,
    tool: Tool,
    shape: Growing,
    size: usize,
    choice: &Choice,
    left: Duration,
) -> Result<Row> {
    let begin = Instant::now();
    let dir = tempfile::tempdir()?;
    shape.write(size, dir.path())?;
    let (commands, state): ([&[&str]; 4], _) = match tool {
        Tool::Grappe => (
            [&["plan"], &["apply", "-auto-approve"], &["plan"], &["destroy", "-auto-approve"]],
            "grappe.state/grappe.state.json",
        ),
        Tool::Terraform => {
            tools.measure(tool, dir.path(), choice.limit, &["init", "-input=false"])?;
            (
                [
                    &["plan", "-input=false"],
                    &["apply", "-input=false", "-auto-approve"],
                    &["plan", "-input=false"],
                    &["destroy", "-input=false", "-auto-approve"],
                ],
                "terraform.tfstate",
            )
        }
    };
    let mut row = Row { tool, shape, size, steps: vec![Outcome::NotTried; STEPS.len()], state_bytes: None };
    for (i, args) in commands.into_iter().enumerate() {
        let limit = choice.limit.min(left.saturating_sub(begin.elapsed()));
        if limit.is_zero() {
            break;
        }
        row.steps[i] = tools.measure(tool, dir.path(), limit, args)?;
        say(format!("{} {} {size}, {}: {}", tool.name(), shape.name(), STEPS[i], page::cell(&row.steps[i])));
        if STEPS[i] == "apply" {
            row.state_bytes = std::fs::metadata(dir.path().join(state)).map(|m| m.len()).ok();
        }
        // What was cut off left something else than what the next step is about.
        if row.steps[i].cost().is_none() && STEPS[i] != "fresh plan" {
            row.state_bytes = row.state_bytes.filter(|_| STEPS[i] != "apply");
            break;
        }
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_choose() {
        let all = Choice::of(&[]).unwrap();
        assert_eq!((all.sizes.as_slice(), all.shapes.len()), (&[100, 1_000, 5_000, 10_000][..], 5));
        let some = Choice::of(&["500", "100", "chain", "terraform=100", "limit=7"]).unwrap();
        assert_eq!((some.sizes.as_slice(), some.shapes.as_slice()), (&[100, 500][..], &[Growing::Chain][..]));
        assert_eq!((some.terraform, some.limit), (100, Duration::from_secs(7)));
        for wrong in ["round", "speed=9", "limit=x"] {
            assert!(Choice::of(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_middle_of_three_counts() {
        let cost =
            |ms, kib| Cost { wall: Duration::from_millis(ms), cpu: Duration::from_millis(ms), peak_kib: kib };
        let middle = middle(&[cost(9, 1), cost(2, 7), cost(4, 3)]);
        assert_eq!((middle.wall, middle.peak_kib), (Duration::from_millis(4), 3));
    }
}
