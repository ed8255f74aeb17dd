//! Mishaps of the simulated cloud and on its hosts, while a plan is applied, changed and destroyed, and while such a run is killed.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::blow::{Blow, Run};
use super::drawn::cloud;
use super::scene::Scene;
use super::tally::{self, Settings, Tally, Trial};
use super::{lab, layered};

/// What befalls how many of a hundred calls of the cloud.
const CLOUD: &str = r#"{"429":8,"500":6,"timeout":4,"drop":5,"lost":5,"slow":6}"#;
/// An operation on a host is some dozens of commands: fewer meet anything.
const HOSTS: &str = r#"{"429":8,"500":6,"timeout":2,"drop":1,"lost":1,"slow":2}"#;

/// Runs until it works, each time with other mishaps; then without.
fn trial(scene: &Scene, faults: &str, rng: &mut StdRng, tally: &Tally) {
    let sandbox = scene.base().twin();
    let before = cloud(&sandbox)["mishaps"].clone();
    let mut runs = 0;
    for _ in 0..4 {
        let env = [
            ("GRAPPE_SIM_FAULTS", faults.to_owned()),
            ("GRAPPE_SIM_FAULT_SEED", rng.random::<u32>().to_string()),
        ];
        let run = Run { sandbox: &sandbox, args: scene.args(), env: &env };
        runs += 1;
        if rng.random_bool(0.5) {
            // It waits between its tries: there are more instants than in a run without.
            let blow = Blow::random(rng, scene.takes() * 6);
            if blow.strike(&run).is_none() {
                tally.add("faults", "kills", 1);
                tally.add("faults", blow.name(), 1);
                sandbox.expect(0, &["state", "list"]);
            }
            continue;
        }
        let out = run.command().output().unwrap();
        let code = out.status.code();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(matches!(code, Some(0 | 1)), "{code:?}: {said}");
        tally.add("faults", if code == Some(0) { "runs that worked" } else { "runs that gave up" }, 1);
        assert!(!said.contains("a bug in grappe"), "{said}");
        if code == Some(0) {
            break;
        }
    }
    let met = cloud(&sandbox)["mishaps"].clone();
    for (mishap, n) in met.as_object().unwrap() {
        tally.add(
            "faults",
            &format!("met {mishap}"),
            n.as_u64().unwrap() - before[mishap].as_u64().unwrap_or(0),
        );
    }
    tally::keeping(&sandbox, "after all that", || scene.settles(&sandbox, runs));
}

#[test]
fn mishaps_are_survived() {
    let (settings, tally) = (Settings::of_environment(), Tally::default());
    let whole = settings.kills.is_some();
    let small = layered::scenes("mishaps", &settings, 42);
    let lab = lab::scenes(if whole { 4 } else { 1 });
    let rounds = if whole { 12 } else { 1 };
    let (small, lab) = (&small, &lab);
    let trials = (0..rounds).flat_map(|n| {
        let cloud = small.iter().map(move |scene| (scene, CLOUD));
        let hosts = lab.iter().map(move |scene| (scene, HOSTS));
        cloud.chain(hosts).map(move |(scene, faults)| (format!("faults/{} {n}", scene.name), scene, faults))
    });
    let trials = trials.map(|(id, scene, faults)| Trial::new(id, |rng| trial(scene, faults, rng, &tally)));
    tally::all("faults", &settings, &tally, trials);
}
