//! `cargo xtask chaos`: the whole chaos suite on the released program, and one table of what it did.
//!
//! The suite is the tests `chaos::` of package grappe-e2e; here they do all that they can, of which they do a share as tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use crate::run::{cargo, say};
use crate::setup;

/// Kills, at least.
const KILLS: u64 = 2_000;

/// Counts by row and column.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// The flags: how many kills, with which seed (a new one each time otherwise, and said), and the one trial that is done again.
pub(crate) fn run(flags: &[&str]) -> Result<()> {
    let number = |word: &str| word.parse::<u64>().with_context(|| format!("{word:?} is no number"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut kills, mut seed, mut only) = (KILLS, now, None);
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let value = flags.next().with_context(|| format!("{flag} wants a value"))?;
        match *flag {
            "--kills" => kills = number(value)?,
            "--seed" => seed = number(value)?,
            "--only" => only = Some(*value),
            _ => bail!("{flag}: there are --kills, --seed and --only"),
        }
    }
    setup::ensure()?;
    say(format!("seed {seed} (again: cargo xtask chaos --kills {kills} --seed {seed})"));
    let mut tests = cargo();
    tests.args(["test", "--release", "--quiet", "--package", "grappe-e2e", "--test", "it", "--"]);
    // Each part takes all processors.
    tests.args(["chaos::", "--nocapture", "--test-threads=1"]);
    tests.env("GRAPPE_CHAOS_KILLS", kills.to_string()).env("GRAPPE_CHAOS_SEED", seed.to_string());
    if let Some(only) = only {
        tests.env("GRAPPE_CHAOS_ONLY", only);
    }
    let begin = Instant::now();
    let mut child = tests.stdout(Stdio::piped()).spawn().context("can't run cargo")?;
    let mut counts = Counts::new();
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let line = line?;
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["chaos", row, column, n] => {
                *counts.entry(row.to_owned()).or_default().entry(column.to_owned()).or_default() += number(n)?;
            }
            _ => say(line),
        }
    }
    let status = child.wait()?;
    say(table(&counts));
    let killed = sum(&counts, "kills");
    say(format!(
        "{killed} kills, {} trials, {} lost, seed {seed}, {:.0} s",
        sum(&counts, "trials"),
        sum(&counts, "lost"),
        begin.elapsed().as_secs_f64()
    ));
    ensure!(status.success(), "the suite failed: {status}");
    ensure!(only.is_some() || killed >= kills, "there were only {killed} kills");
    Ok(())
}

fn sum(counts: &Counts, column: &str) -> u64 {
    counts.values().filter_map(|row| row.get(column)).sum()
}

/// What was killed where; then all else, by part.
fn table(counts: &Counts) -> String {
    let killed = |row: &&BTreeMap<String, u64>| row.contains_key("kills");
    let of_kills = |name: &&String| !matches!(name.as_str(), "trials" | "lost");
    let columns: BTreeSet<&String> = counts.values().filter(killed).flat_map(BTreeMap::keys).filter(of_kills).collect();
    let mut out = String::from("\n");
    for (row, counts) in counts {
        let cells: Vec<String> =
            columns.iter().filter_map(|c| Some(format!("{c} {}", counts.get(*c)?))).collect();
        let rest = counts.iter().filter(|(name, _)| !columns.contains(name));
        let rest: Vec<String> = rest.map(|(name, n)| format!("{name} {n}")).collect();
        let _ = writeln!(out, "{row:20} {}", [cells, rest].concat().join(", "));
    }
    out
}
