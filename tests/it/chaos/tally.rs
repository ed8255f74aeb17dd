//! What was done and found, counted; and the chance that all is drawn from.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use sha2::{Digest as _, Sha256};

use crate::sandbox::Sandbox;

/// What the environment says: `cargo xtask chaos` sets it; without it, a test does the share of the gate.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) seed: u64,
    /// How many kills the whole suite makes at least; `None` for the share of the gate.
    pub(super) kills: Option<usize>,
    /// The one trial that is done again, or the part whose trials are.
    pub(super) only: Option<String>,
}

impl Settings {
    pub(super) fn of_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        Settings {
            // The gate does the same each time.
            seed: number("GRAPPE_CHAOS_SEED").unwrap_or(1),
            kills: number("GRAPPE_CHAOS_KILLS").map(|n| usize::try_from(n).unwrap()),
            only: std::env::var("GRAPPE_CHAOS_ONLY").ok(),
        }
    }

    /// This many in the gate, this many of a hundred of the whole suite's kills there.
    pub(super) fn kills(&self, gate: usize, percent: usize) -> usize {
        self.kills.map_or(gate, |all| (all * percent).div_ceil(100))
    }

    /// Whether this trial is to be done.
    fn wants(&self, id: &str) -> bool {
        let Some(only) = &self.only else { return true };
        id.strip_prefix(only.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Chance that depends on the seed and on what it is for.
    pub(super) fn chance(&self, what: &str) -> StdRng {
        let mut seed = [0; 32];
        seed.copy_from_slice(&Sha256::digest(format!("{} {what}", self.seed)));
        StdRng::from_seed(seed)
    }
}

/// Something to be tried, and all that must hold after it.
pub(super) struct Trial<'a> {
    /// Its name, with which it can be done again.
    pub(super) id: String,
    pub(super) run: Box<dyn FnOnce(&mut StdRng) + Send + 'a>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(id: impl Into<String>, run: impl FnOnce(&mut StdRng) + Send + 'a) -> Self {
        Trial { id: id.into(), run: Box::new(run) }
    }
}

/// Counts, by row and column.
#[derive(Default)]
pub(super) struct Tally(Mutex<BTreeMap<String, BTreeMap<String, u64>>>);

impl Tally {
    pub(super) fn add(&self, row: &str, column: &str, n: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(row.to_owned()).or_default().entry(column.to_owned()).or_default() += n;
    }

    /// The sum of a column.
    pub(super) fn sum(&self, column: &str) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter_map(|row| row.get(column)).map(|n| usize::try_from(*n).unwrap()).sum()
    }
}

/// Does all trials, as many at once as there are processors, says what was counted, and fails naming those that did.
pub(super) fn all<'a>(
    part: &str,
    settings: &Settings,
    tally: &Tally,
    trials: impl Iterator<Item = Trial<'a>> + Send,
) {
    let begin = Instant::now();
    let trials = Mutex::new(trials);
    let (losses, done) = (Mutex::new(Vec::new()), Mutex::new(0));
    let work = || {
        loop {
            let Some(trial) = trials.lock().unwrap_or_else(PoisonError::into_inner).next() else { return };
            if !settings.wants(&trial.id) {
                continue;
            }
            let mut rng = settings.chance(&trial.id);
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| (trial.run)(&mut rng)));
            *done.lock().unwrap() += 1;
            if let Err(panic) = ended {
                losses.lock().unwrap().push((trial.id, message(&*panic)));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (losses, done) = (losses.into_inner().unwrap(), done.into_inner().unwrap());
    tally.add(part, "trials", done);
    tally.add(part, "lost", losses.len() as u64);
    print(tally);
    let _ = writeln!(std::io::stdout(), "{part}: {done} trials in {:.0} s", begin.elapsed().as_secs_f64());
    let mut text = String::new();
    for (id, why) in &losses {
        let seed = settings.seed;
        let _ = write!(text, "\n{id}: {why}\n  again: cargo xtask chaos --seed {seed} --only {id:?}\n");
    }
    assert!(losses.is_empty(), "{} of {done} trials were lost:\n{text}", losses.len());
    // A name of another part, or of another seed.
    assert!(done > 0 || settings.only.is_some(), "nothing was tried");
}

/// Judges a folder. Where that fails, the folder is kept as it was before, and named with what was done to it: from there, it goes wrong each time.
pub(super) fn keeping(sandbox: &Sandbox, story: &str, judge: impl FnOnce()) {
    let twin = sandbox.twin();
    let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(judge)) else { return };
    let why = message(&*panic);
    panic!("{story}\n  as it was then: {}\n{why}", twin.keep().display());
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
}

/// One line a count, as `cargo xtask chaos` reads them.
fn print(tally: &Tally) {
    let all = tally.0.lock().unwrap_or_else(PoisonError::into_inner);
    let mut out = std::io::stdout().lock();
    // The dots of the tests before may stand in the line.
    let _ = writeln!(out);
    for (row, columns) in &*all {
        for (column, n) in columns {
            let _ = writeln!(out, "chaos\t{row}\t{column}\t{n}");
        }
    }
}
