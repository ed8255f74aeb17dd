//! `cargo xtask chaos`: the whole chaos suite on the released program, and one table of what it did.
//!
//! The suite is the tests `chaos::` of package grappe-e2e; here they do all that they can, of which they do a share as tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use crate::bench::grappe;
use crate::run::{cargo, say};
use crate::setup;

/// Kills, at least.
const KILLS: u64 = 2_000;

/// Counts by row and column.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// The flags: how many kills, with which seed (a new one each time otherwise, and said), and the one trial, or the part, that is done again.
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
    let grappe = grappe()?;
    say(format!("seed {seed} (again: cargo xtask chaos --kills {kills} --seed {seed})"));
    let mut tests = cargo();
    // Of the whole workspace, as the gate builds it: for one package alone, other features would be chosen and all crates built once more. No other
    // package has a test of that name.
    tests.args(["test", "--quiet", "--workspace", "--test", "it", "--"]);
    // Each part takes all processors.
    tests.args(["chaos::", "--nocapture", "--test-threads=1"]);
    tests.env("GRAPPE_E2E_PROGRAM", grappe);
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
                *counts.entry(row.to_owned()).or_default().entry(column.to_owned()).or_default() +=
                    number(n)?;
            }
            _ => say(line),
        }
    }
    let status = child.wait()?;
    say(table(&counts));
    let (killed, trials) = (sum(&counts, "kills"), sum(&counts, "trials"));
    say(format!(
        "{killed} kills, {trials} trials, {} lost, seed {seed}, {:.0} s",
        sum(&counts, "lost"),
        begin.elapsed().as_secs_f64()
    ));
    ensure!(status.success(), "the suite failed: {status}");
    ensure!(trials > 0, "no trial of this seed is called that");
    ensure!(only.is_some() || killed >= kills, "there were only {killed} kills");
    Ok(())
}

fn sum(counts: &Counts, column: &str) -> u64 {
    counts.values().filter_map(|row| row.get(column)).sum()
}

/// Columns of the table of kills, each the sum of these counts.
const PLACES: [(&str, &[&str]); 9] = [
    ("kills", &["kills"]),
    ("recovering", &["of them in a recovery"]),
    ("journal", &["journal record", "journal written", "journal begun", "journal removed"]),
    ("torn", &["torn journals"]),
    ("snapshot", &["snapshot kept", "folder synced"]),
    ("lock", &["lock"]),
    ("file", &["file replaced"]),
    ("world", &["world changed"]),
    ("instant", &["random instant"]),
];

/// What was killed, how often and where; then all else that was counted.
fn table(counts: &Counts) -> String {
    let mut out = format!("\n{:<18}", "killed");
    for (name, _) in PLACES {
        let _ = write!(out, "{name:>11}");
    }
    let of = |row: &BTreeMap<String, u64>, columns: &[&str]| -> u64 {
        columns.iter().filter_map(|column| row.get(*column)).sum()
    };
    let line = |out: &mut String, name: &str, cells: &mut dyn Iterator<Item = u64>| {
        let _ = write!(out, "\n{name:<18}");
        for n in cells {
            let _ = write!(out, "{n:>11}");
        }
    };
    for (name, row) in counts.iter().filter(|(_, row)| row.contains_key("kills")) {
        line(&mut out, name, &mut PLACES.iter().map(|(_, columns)| of(row, columns)));
    }
    line(
        &mut out,
        "all",
        &mut PLACES.iter().map(|(_, columns)| counts.values().map(|row| of(row, columns)).sum()),
    );
    out.push('\n');
    for (name, row) in counts {
        let rest =
            row.iter().filter(|(column, _)| !PLACES.iter().any(|(_, of)| of.contains(&column.as_str())));
        let rest: Vec<String> = rest.map(|(column, n)| format!("{column} {n}")).collect();
        if !rest.is_empty() {
            let _ = write!(out, "\n{name}: {}", rest.join(", "));
        }
    }
    out.push('\n');
    out
}
