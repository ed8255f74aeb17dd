//! Several runs on one state at the same time: one at a time has it, whoever is killed.

use std::process::Stdio;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::Value as Json;

use super::blow::Run;
use super::layered;
use super::scene::Scene;
use super::tally::{self, Settings, Tally, Trial};
use crate::sandbox::{Ran, Sandbox};

/// The number of the state: each run that writes has one of its own.
fn serial(sandbox: &Sandbox) -> u64 {
    let text = sandbox.expect(0, &["state", "pull"]).stdout;
    serde_json::from_str::<Json>(&text).map_or(0, |state| state["serial"].as_u64().unwrap())
}

fn trial(scene: &Scene, rng: &mut StdRng, tally: &Tally) {
    let sandbox = scene.base().twin();
    let before = if sandbox.path("grappe.state").exists() { serial(&sandbox) } else { 0 };
    let waits = rng.random_bool(0.5);
    let mut args = scene.args().to_vec();
    args.extend(waits.then_some("-lock-timeout=2m"));
    let run = Run { sandbox: &sandbox, args: &args, env: &[] };
    let mut children = Vec::new();
    for _ in 0..rng.random_range(2..=4) {
        children.push(run.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        std::thread::park_timeout(scene.takes().mul_f64(rng.random_range(0.0..0.5)));
    }
    let killed = rng.random_bool(0.4).then(|| rng.random_range(0..children.len()));
    if let Some(killed) = killed {
        children[killed].kill().unwrap();
    }
    let (mut worked, mut runs) = (0, 0);
    for child in children {
        let out = child.wait_with_output().unwrap();
        runs += 1;
        if out.status.code().is_none() {
            tally.add("races", "kills", 1);
            tally.add("races", "random instant", 1);
            continue;
        }
        let ran = Ran::of(out);
        match ran.code {
            0 => {
                worked += 1;
                tally.add("races", if waits { "waited, or were first" } else { "were first" }, 1);
            }
            3 if !waits => {
                assert!(ran.stderr.contains("the state is locked"), "{}", ran.stderr);
                tally.add("races", "refused", 1);
            }
            code => panic!("exit code {code}: {}", ran.all()),
        }
    }
    // Those who came to their end one after the other, and a killed one, each wrote once at most.
    let wrote = serial(&sandbox) - before;
    assert!(wrote <= worked + u64::from(killed.is_some()), "{wrote} runs wrote, {worked} worked");
    assert!(worked > 0 || killed.is_some(), "all were refused");
    tally::keeping(&sandbox, "after all that", || scene.settles(&sandbox, runs));
}

#[test]
fn one_run_at_a_time_has_the_state() {
    let (settings, tally) = (Settings::of_environment(), Tally::default());
    let scenes = layered::scenes("races", &settings, 42);
    let (scenes, tally) = (&scenes, &tally);
    let rounds = if settings.kills.is_some() { 40 } else { 4 };
    let trials = (0..rounds).flat_map(|n| {
        scenes.iter().map(move |scene| {
            Trial::new(format!("races/{} {n}", scene.name), move |rng| trial(scene, rng, tally))
        })
    });
    tally::all("races", &settings, tally, trials);
}
