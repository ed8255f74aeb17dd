//! A run to be killed, what it begins from, and what must be there once it was done again.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::blow::{self, Blow, Point, Run};
use super::tally::{self, Settings, Tally, Trial};
use crate::sandbox::Sandbox;

/// What looks whether exactly what was wanted is there. The number is how many runs there were.
pub(super) type Look = Box<dyn Fn(&Sandbox, usize) + Send + Sync>;

/// A run, and all that is needed to judge it.
pub(super) struct Scene {
    pub(super) name: String,
    /// How it is before.
    base: Sandbox,
    args: Vec<&'static str>,
    look: Look,
    /// How it is once all is destroyed, where that is looked at too.
    gone: Option<Look>,
    /// What the run takes when nobody kills it.
    takes: Duration,
    points: Vec<(Point, usize)>,
}

impl Scene {
    /// Does the run once, to know how long it takes and which calls it makes.
    pub(super) fn new(name: String, base: Sandbox, args: &[&'static str], look: Look) -> Self {
        let sandbox = base.twin();
        let begin = Instant::now();
        let points = blow::count(&Run { sandbox: &sandbox, args, env: &[] });
        let takes = begin.elapsed();
        look(&sandbox, 1);
        Scene { name, base, args: args.to_vec(), look, gone: None, takes, points }
    }

    /// Destroys all in the end, and looks whether it is gone.
    pub(super) fn and_destroyed(mut self, gone: Look) -> Self {
        self.gone = Some(gone);
        self
    }

    /// How it is before.
    pub(super) fn base(&self) -> &Sandbox {
        &self.base
    }

    pub(super) fn args(&self) -> &[&'static str] {
        &self.args
    }

    pub(super) fn takes(&self) -> Duration {
        self.takes
    }

    /// A trial for each call that changes one of its files, which is killed there.
    pub(super) fn sweep<'a>(&'a self, tally: &'a Tally) -> impl Iterator<Item = Trial<'a>> {
        let calls = self.points.iter().flat_map(|(point, n)| (1..=*n).map(|nth| (*point, nth)));
        calls.map(move |(point, nth)| {
            let id = format!("{}/{} {nth}", self.name, point.name);
            Trial::new(id, move |rng| self.killed(Blow::Call(point, nth), rng, tally))
        })
    }

    /// A trial that is killed at an instant.
    pub(super) fn random<'a>(&'a self, n: usize, tally: &'a Tally) -> Trial<'a> {
        Trial::new(format!("{}/instant {n}", self.name), move |rng| {
            let blow = Blow::random(rng, self.takes);
            self.killed(blow, rng, tally);
        })
    }

    /// Killed, and perhaps killed again in each of the runs that go on with it; then it comes to its end.
    fn killed(&self, first: Blow, rng: &mut StdRng, tally: &Tally) {
        let sandbox = self.base.twin();
        let run = Run { sandbox: &sandbox, args: &self.args, env: &[] };
        let (mut blow, mut runs) = (first, 1);
        let mut story = Vec::new();
        while blow.strike(&run).is_none() {
            tally.add(&self.name, blow.name(), 1);
            tally.add(&self.name, "kills", 1);
            tally.add(&self.name, "of them in a recovery", u64::from(runs > 1));
            story.push(format!("killed at {blow:?}"));
            if rng.random_bool(0.5)
                && let Some(how) = blow.tear(&sandbox, rng)
            {
                tally.add(&self.name, "torn journals", 1);
                story.push(format!("journal {how}"));
            }
            // Whatever is on disk, it can be read.
            sandbox.expect(0, &["state", "list"]);
            runs += 1;
            if runs > 5 || rng.random_bool(0.5) {
                break;
            }
            blow = match rng.random_range(0..2) {
                0 => Blow::random(rng, self.takes),
                _ => {
                    let (point, n) = self.points[rng.random_range(0..self.points.len())];
                    Blow::Call(point, rng.random_range(1..=n))
                }
            };
        }
        tally::keeping(&sandbox, &story.join(", then "), || self.settles(&sandbox, runs));
    }

    /// Done again, it comes to its end, and there is what was wanted.
    pub(super) fn settles(&self, sandbox: &Sandbox, runs: usize) {
        sandbox.expect(0, &self.args);
        (self.look)(sandbox, runs + 1);
        rests(sandbox);
        if let Some(gone) = &self.gone {
            sandbox.expect(0, &["destroy", "-auto-approve"]);
            gone(sandbox, 1);
            rests(sandbox);
        }
    }
}

/// No run goes on: no lock is held, no journal is there, and no half file is left.
pub(super) fn rests(sandbox: &Sandbox) {
    assert_eq!(sandbox.read("grappe.state/grappe.lock"), "", "somebody holds the lock");
    for entry in std::fs::read_dir(sandbox.path("grappe.state")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name != "grappe.journal" && !name.ends_with(".tmp"), "{name} is left");
    }
}

/// How often a trial is done again that is killed at an instant: a busy machine is not at the same place twice.
const AGAIN: usize = 25;

/// Nothing is to be done.
pub(super) fn nothing_to_do(sandbox: &Sandbox, flags: &[&str]) {
    sandbox.expect(0, &[&["plan", "-detailed-exitcode"], flags].concat());
}

/// All places of all scenes, then instants, until there were so many kills. The gate takes as many of all by chance.
pub(super) fn trials<'a>(
    part: &str,
    scenes: &'a [Scene],
    kills: usize,
    settings: &'a Settings,
    tally: &'a Tally,
) -> Box<dyn Iterator<Item = Trial<'a>> + Send + 'a> {
    let mut rng = settings.chance(part);
    let mut sweep: Vec<Trial<'a>> = scenes.iter().flat_map(|scene| scene.sweep(tally)).collect();
    if let Some(only) = &settings.only {
        let instants = scenes.iter().filter_map(|scene| {
            let n = only.strip_prefix(&format!("{}/instant ", scene.name))?.parse().ok()?;
            Some((0..AGAIN).map(move |_| scene.random(n, tally)))
        });
        return Box::new(sweep.into_iter().chain(instants.flatten().collect::<Vec<_>>()));
    }
    for n in (1..sweep.len()).rev() {
        sweep.swap(n, rng.random_range(0..=n));
    }
    let instants = (0..).map(move |n| scenes[rng.random_range(0..scenes.len())].random(n, tally));
    if settings.kills.is_some() {
        return Box::new(sweep.into_iter().chain(instants.take_while(move |_| tally.sum("kills") < kills)));
    }
    // Two places for each instant.
    let mut sweep = sweep.into_iter();
    let mixed = instants.enumerate().map(move |(n, instant)| match n % 3 {
        0 => instant,
        _ => sweep.next().unwrap_or(instant),
    });
    Box::new(mixed.take_while(move |_| tally.sum("kills") < kills))
}
