//! `cargo xtask differential`: the language beside the `terraform` binary, with expressions and files that no run before had.
//!
//! `crates/lang/tests/record.py` makes them and asks terraform; the tests that run over the kept tables run over these.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::run::{cargo, go, root, say};

/// As many as a minute or two allow.
const COUNT: u64 = 5_000;

/// A seed and a count may be given; otherwise the seed is new each time, and said, so that a run can be repeated.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let number = |word: &str| word.parse::<u64>().with_context(|| format!("{word:?} is no number"));
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = words.first().map_or_else(|| Ok(now()), |word| number(word))?;
    let count = words.get(1).map_or(Ok(COUNT), |word| number(word))?;
    say(format!("seed {seed} (again: cargo xtask differential {seed} {count})"));
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    record("--generate", seed, count, &at("generated.txt"))?;
    record("--unknown", seed, count / 5, &at("unknown.txt"))?;
    record("--mangle", seed, count / 5, &at("format"))?;
    let mut tests = cargo();
    tests
        .args(["test", "--quiet", "--package", "grappe-lang", "--test", "it", "--", "--nocapture"])
        .args(["expressions::", "format::files_become"])
        .env("GRAPPE_EXPRESSIONS", at("generated.txt"))
        .env("GRAPPE_UNKNOWN", at("unknown.txt"))
        .env("GRAPPE_FORMAT", at("format"));
    go(&mut tests).context("it differs: mend it, or list it in docs/language.md with its reason")
}

/// `cargo xtask record`: the tables that are kept get the answers that they lack.
pub(crate) fn record_kept(what: &str, words: &[&str]) -> Result<()> {
    let (script, first): (&str, &[&str]) = match what {
        "expressions" => ("crates/lang/tests/record.py", &[]),
        "format" => ("crates/lang/tests/record.py", &["--format"]),
        "plans" => ("tests/record_plans.py", &[]),
        other => bail!("there is no table of {other:?}: expressions, format or plans"),
    };
    go(Command::new("python3").arg(root().join(script)).args(first).args(words))
}

fn record(what: &str, seed: u64, count: u64, into: &Path) -> Result<()> {
    let mut python = Command::new("python3");
    python.arg(root().join("crates/lang/tests/record.py")).arg(what);
    python.arg(seed.to_string()).arg(count.to_string()).arg(into);
    go(&mut python)
}
