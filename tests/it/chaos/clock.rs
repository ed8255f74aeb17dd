//! Clocks that jump, between runs and in the midst of them: libfaketime gives each run a clock of its own, set by a file that is read at each look.

use std::process::Stdio;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::blow::Run;
use super::scene::Scene;
use super::tally::{self, Settings, Tally, Trial};
use super::{lab, layered};

/// Where Debian has it: the loader knows the folder of the architecture.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

fn trial(scene: &Scene, days: i64, rng: &mut StdRng, tally: &Tally) {
    let sandbox = scene.base().twin();
    let clock = sandbox.home().join("clock");
    let set = |rng: &mut StdRng| {
        let offset = format!("{:+}d\n", rng.random_range(-days..=days));
        sandbox.write(clock.to_str().unwrap(), &offset);
        tally.add("clock", "jumps", 1);
    };
    let env = [
        ("LD_PRELOAD", LIBRARY.to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        // A real clock that is set does not move these.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ];
    let run = Run { sandbox: &sandbox, args: scene.args(), env: &env };
    let kills = rng.random_range(0..3);
    for round in 0..=kills {
        set(rng);
        let mut child = run.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        for _ in 0..rng.random_range(1..4) {
            std::thread::park_timeout(scene.takes().mul_f64(rng.random_range(0.0..0.4)));
            set(rng);
        }
        if round < kills {
            child.kill().unwrap();
        }
        let out = child.wait_with_output().unwrap();
        match out.status.code() {
            None => {
                tally.add("clock", "kills", 1);
                tally.add("clock", "random instant", 1);
            }
            Some(0) => break,
            Some(code) => panic!("exit code {code}: {}", String::from_utf8_lossy(&out.stderr)),
        }
        sandbox.expect(0, &["state", "list"]);
    }
    tally::keeping(&sandbox, "after all that", || {
        scene.settles(&sandbox, usize::try_from(kills).unwrap() + 1)
    });
}

#[test]
fn clocks_may_jump() {
    let (settings, tally) = (Settings::of_environment(), Tally::default());
    let whole = settings.kills.is_some();
    let small = layered::scenes("clock", &settings, 42);
    let lab = lab::scenes(if whole { 4 } else { 1 });
    let (small, lab, tally) = (&small, &lab, &tally);
    // A cluster's certificates live a year.
    let all = small.iter().map(|scene| (scene, 4_000)).chain(lab.iter().map(|scene| (scene, 20)));
    let all: Vec<_> = all.collect();
    let trials = (0..if whole { 12 } else { 1 }).flat_map(|n| {
        all.iter().map(move |(scene, days)| {
            Trial::new(format!("clock/{} {n}", scene.name), move |rng| trial(scene, *days, rng, tally))
        })
    });
    tally::all("clock", &settings, tally, trials);
}
