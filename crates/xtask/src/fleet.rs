//! `cargo xtask bench openstack`: many servers on a real OpenStack, beside the same by OpenStack's own SDK; and what a plan over them costs that finds nothing to do.
//!
//! The cloud is the test bed's: its services are real, its hypervisor makes nothing. Both programs do the same in pairs, one after the other, each in a project of
//! its own; who begins alternates.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use grappe_bed_openstack::{Bed, Call, Proxy, Tenant, build, fleet};
use serde_json::Value as Json;

use crate::bench::{grappe, machine};
use crate::run::{root, say};

/// Servers, and as many ports, that both make; how many operations go on at once; how often, where the command does not say.
const MADE: usize = 50;
const HANDS: usize = 10;
const PAIRS: usize = 3;
/// Servers, and as many ports, that are read, where the command does not say; and how often.
const READ: usize = 500;
const READS: usize = 3;
/// A reading of all of them may make so many calls.
const CALLS: usize = 10;

/// The bed, the programs, and what was measured.
struct Trial {
    bed: Bed,
    grappe: String,
    projects: usize,
}

/// How long making and taking away took, in seconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    made: f64,
    gone: f64,
}

/// A plan that found nothing to do.
#[derive(Clone, Copy, Debug)]
struct Reading {
    calls: usize,
    /// From begin to end, in seconds.
    wall: f64,
    /// While the answer to a call was waited for, in seconds.
    calling: f64,
}

impl Trial {
    fn project(&mut self) -> Result<Tenant> {
        self.projects += 1;
        self.bed.tenant(&format!("fleet-{}-{}", std::process::id(), self.projects))
    }

    /// Runs grappe in a folder to its end; in how many seconds.
    fn run(&self, dir: &Path, tenant: &Tenant, args: &[&str]) -> Result<f64> {
        let mut command = Command::new(&self.grappe);
        command.args(args).current_dir(dir).env_clear().envs(tenant.environment());
        command.env("HOME", dir).stdin(Stdio::null());
        let begin = Instant::now();
        let output = command.output().with_context(|| format!("can't run {}", self.grappe))?;
        let wall = begin.elapsed().as_secs_f64();
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("grappe {}: {}\n{}", args.join(" "), output.status, String::from_utf8_lossy(&said));
        }
        Ok(wall)
    }

    fn by_grappe(&mut self) -> Result<Times> {
        let (tenant, dir) = (self.project()?, folder(MADE)?);
        let hands = format!("-parallelism={HANDS}");
        let made = self.run(dir.path(), &tenant, &["apply", "-auto-approve", &hands])?;
        let gone = self.run(dir.path(), &tenant, &["destroy", "-auto-approve", &hands])?;
        Ok(Times { made, gone })
    }

    fn by_sdk(&mut self) -> Result<Times> {
        let tenant = self.project()?;
        let mut python = self.bed.python();
        python.args(["-c", include_str!("fleet_sdk.py"), &MADE.to_string(), &HANDS.to_string()]);
        let output = python.envs(tenant.environment()).output().context("can't run the SDK")?;
        if !output.status.success() {
            bail!("the SDK: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        let times: Json = serde_json::from_slice(&output.stdout)?;
        let seconds = |name: &str| times[name].as_f64().with_context(|| format!("no {name} in {times}"));
        Ok(Times { made: seconds("made")?, gone: seconds("gone")? })
    }

    /// Makes so many, and plans over them: how long making took, and what each plan cost.
    fn read(&self, dir: &Path, tenant: &Tenant, many: usize) -> Result<(f64, Vec<Reading>)> {
        let made = self.run(dir, tenant, &["apply", "-auto-approve"])?;
        say(format!("{many} servers and ports made in {made:.1} s"));
        let proxy = Proxy::start(&self.bed, 0, Vec::new())?;
        let mut readings = Vec::new();
        for _ in 0..READS {
            // Exit code 2 would be a difference.
            let wall = self.run(dir, &proxy.through(tenant), &["plan", "-detailed-exitcode"])?;
            let calls = proxy.take();
            let reading = Reading { calls: calls.len(), wall, calling: waited(&calls) };
            say(format!("{reading:?}: {}", listed(&calls)));
            readings.push(reading);
        }
        Ok((made, readings))
    }
}

fn folder(many: usize) -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    grappe_state::files::write_atomic(&dir.path().join("main.tf"), fleet(many).as_bytes(), 0o644)?;
    Ok(dir)
}

/// The calls in words, without what they ask with.
fn listed(calls: &[Call]) -> String {
    let words = |call: &Call| {
        let path = call.path.split('?').next().unwrap_or_default();
        format!("{} {path} {:.2} s", call.method, call.took.as_secs_f64())
    };
    calls.iter().map(words).collect::<Vec<_>>().join(", ")
}

/// For how many seconds the answer to one call at least was waited for.
fn waited(calls: &[Call]) -> f64 {
    let mut spans: Vec<(Duration, Duration)> = calls.iter().map(|c| (c.began, c.began + c.took)).collect();
    spans.sort_unstable();
    let mut all = Duration::ZERO;
    let mut until = Duration::ZERO;
    for (began, ended) in spans {
        all += ended.saturating_sub(began.max(until));
        until = until.max(ended);
    }
    all.as_secs_f64()
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// `cargo xtask bench openstack [SERVERS] [pairs=N]`: writes docs/benchmarks-openstack.md.
///
/// # Errors
/// Where something fails, or a reading makes more calls than it may.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (mut many, mut repeats) = (READ, PAIRS);
    for word in words {
        let number = |text: &str| text.parse().with_context(|| format!("{text:?} is no number"));
        match word.strip_prefix("pairs=") {
            Some(text) => repeats = number(text)?,
            None => many = number(word)?,
        }
    }
    build(&|line| say(line))?;
    let mut trial = Trial { grappe: grappe()?, bed: Bed::open()?, projects: 0 };
    let mut pairs = Vec::new();
    for pair in 0..repeats {
        let (ours, theirs) = if pair % 2 == 0 {
            let ours = trial.by_grappe()?;
            (ours, trial.by_sdk()?)
        } else {
            let theirs = trial.by_sdk()?;
            (trial.by_grappe()?, theirs)
        };
        say(format!("grappe {ours:?}, SDK {theirs:?}"));
        pairs.push((ours, theirs));
    }
    let (tenant, dir) = (trial.project()?, folder(many)?);
    let (made, readings) = trial.read(dir.path(), &tenant, many)?;
    let page = page(&pairs, many, made, &readings);
    grappe_state::files::write_atomic(&root().join("docs/benchmarks-openstack.md"), page.as_bytes(), 0o644)?;
    say(page);
    // A bed that is kept is left as it was; this takes longest, and nobody waits for its figures.
    trial.run(dir.path(), &tenant, &["destroy", "-auto-approve"])?;
    match readings.iter().map(|r| r.calls).max() {
        Some(calls) if calls > CALLS => bail!("a plan makes {calls} calls; it may make {CALLS}"),
        _ => Ok(()),
    }
}

fn page(pairs: &[(Times, Times)], many: usize, made: f64, readings: &[Reading]) -> String {
    let mut out = format!(
        "# On OpenStack\n\nWritten by `cargo xtask bench openstack`: grappe as it is released, on the test bed's OpenStack 2026.1 (real services, a hypervisor \
         that makes nothing), all on one machine.\nMachine: {}.\n\n## {MADE} servers, each on a port of its own\n\nBeside OpenStack's own SDK for Python with \
         {HANDS} threads, in pairs, each in a project of its own. grappe: the whole process, plan and state as well, with `-parallelism={HANDS}`; the SDK: without \
         its start and its login.\n\n| | grappe makes | SDK makes | SDK : grappe | grappe deletes | SDK deletes | SDK : grappe |\n|---|---:|---:|---:|---:|---:|---:|\n",
        machine()
    );
    for (number, (ours, theirs)) in pairs.iter().enumerate() {
        let _ = writeln!(
            out,
            "| {} | {:.1} s | {:.1} s | {:.2} | {:.1} s | {:.1} s | {:.2} |",
            number + 1,
            ours.made,
            theirs.made,
            theirs.made / ours.made,
            ours.gone,
            theirs.gone,
            theirs.gone / ours.gone
        );
    }
    if !pairs.is_empty() {
        let ratio = |of: &dyn Fn(&(Times, Times)) -> f64| middle(pairs.iter().map(of).collect());
        let _ = writeln!(
            out,
            "| middle | | | {:.2} | | | {:.2} |",
            ratio(&|(ours, theirs)| theirs.made / ours.made),
            ratio(&|(ours, theirs)| theirs.gone / ours.gone)
        );
    }
    let _ = write!(
        out,
        "\n## A plan that finds nothing to do, over {many} servers and {many} ports\n\nThey were made in one apply of {made:.0} s. It may make {CALLS} calls. \
         The time with calls is that in which the answer to one at least was waited for; the rest is grappe's own.\n\n\
         | calls | whole | with calls | the rest |\n|---:|---:|---:|---:|\n"
    );
    for Reading { calls, wall, calling } in readings {
        let _ = writeln!(out, "| {calls} | {wall:.2} s | {calling:.2} s | {:.2} s |", wall - calling);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(began: u64, took: u64) -> Call {
        let ms = Duration::from_millis;
        Call {
            port: 1,
            method: "GET".into(),
            path: "/ports?x=1".into(),
            status: Some(200),
            fault: None,
            began: ms(began),
            took: ms(took),
        }
    }

    #[test]
    fn time_in_which_several_calls_are_waited_for_counts_once() {
        let calls = [call(0, 100), call(50, 100), call(60, 10), call(300, 50)];
        assert!((waited(&calls) - 0.2).abs() < 1e-9);
        assert_eq!(waited(&[]), 0.0);
        assert_eq!(listed(&calls[..1]), "GET /ports 0.10 s");
    }

    #[test]
    fn the_page_has_ratios_of_pairs_and_what_a_plan_costs() {
        let times = |made, gone| Times { made, gone };
        let pairs = [
            (times(10.0, 5.0), times(20.0, 5.0)),
            (times(10.0, 4.0), times(15.0, 8.0)),
            (times(9.0, 9.0), times(9.0, 9.0)),
        ];
        let page = page(&pairs, 500, 400.0, &[Reading { calls: 7, wall: 3.0, calling: 2.5 }]);
        for line in [
            "| 1 | 10.0 s | 20.0 s | 2.00 | 5.0 s | 5.0 s | 1.00 |",
            "| middle | | | 1.50 | | | 1.00 |",
            "| 7 | 3.00 s | 2.50 s | 0.50 s |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }
}
