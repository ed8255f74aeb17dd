//! `plans/lab`, killed as it comes up, is upgraded, shrinks and goes.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::drawn::{cloud, list};
use super::scene::{Look, Scene, nothing_to_do, trials};
use super::tally::{self, Settings, Tally};
use crate::sandbox::Sandbox;

const NEXT: &str = "-var=kubernetes_version=1.34.3";
const LESS: &str = "-var=workers=1";
const ALL: [&str; 5] = ["cp-1", "cp-2", "cp-3", "worker-1", "worker-2"];

pub(super) fn base() -> Sandbox {
    let sandbox = Sandbox::of_plan("lab");
    sandbox.write("terraform.tfvars", "workers = 2\ndmz_workers = [\"worker-2\"]\n");
    sandbox
}

/// The first so many scenes of its life.
pub(super) fn scenes(most: usize) -> Vec<Scene> {
    let applied = base();
    applied.expect(0, &["apply", "-auto-approve"]);
    let scene = |n| match n {
        0 => Scene::new("lab up".into(), base(), &["apply", "-auto-approve"], is(&ALL, "1.34.2", &[])),
        1 => {
            let args = ["apply", "-auto-approve", NEXT];
            Scene::new("lab upgrade".into(), applied.twin(), &args, is(&ALL, "1.34.3", &[NEXT]))
        }
        2 => {
            let base = applied.twin();
            base.write("terraform.tfvars", "workers = 2\ndmz_workers = []\n");
            base.expect(0, &["apply", "-auto-approve"]);
            let args = ["apply", "-auto-approve", LESS];
            Scene::new("lab shrink".into(), base, &args, is(&ALL[..4], "1.34.2", &[LESS]))
        }
        _ => {
            let look: Look = Box::new(|sandbox, _| nothing_is_left(sandbox));
            Scene::new("lab down".into(), applied.twin(), &["destroy", "-auto-approve"], look)
        }
    };
    (0..most.min(4)).map(scene).collect()
}

/// These nodes and nothing else: Ready, of this release, open to pods; each machine, port and member of etcd once; nobody else can join.
pub(super) fn is(
    nodes: &'static [&'static str],
    release: &'static str,
    flags: &'static [&'static str],
) -> Look {
    Box::new(move |sandbox, _| {
        nothing_to_do(sandbox, flags);
        let found = sandbox.expect(0, &["kubectl", "get", "nodes", "-o", "json"]).stdout;
        let found: Json = serde_json::from_str(&found).unwrap();
        let seen = |node: &Json| {
            let conditions = node["status"]["conditions"].as_array().unwrap();
            let ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
            let release = node["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap().to_owned();
            let name = node["metadata"]["name"].as_str().unwrap().to_owned();
            (name, (ready, node["spec"]["unschedulable"] == true, release))
        };
        let found: BTreeMap<_, _> = found["items"].as_array().unwrap().iter().map(seen).collect();
        let wanted = nodes.iter().map(|name| ((*name).to_owned(), (true, false, format!("v{release}"))));
        assert_eq!(found, wanted.collect(), "nodes: (Ready, cordoned, release)");

        let cloud = cloud(sandbox);
        let names = |items: &mut dyn Iterator<Item = &Json>| {
            let mut names: Vec<String> =
                items.map(|item| item["name"].as_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        let mut machines: Vec<&str> = nodes.iter().copied().chain(["lb"]).collect();
        machines.sort_unstable();
        assert_eq!(names(&mut list(&cloud["machines"])), machines, "machines");
        assert_eq!(names(&mut list(&cloud["ports"])), machines, "ports");
        assert_eq!(names(&mut list(&cloud["networks"])), ["lab"], "networks");
        let clusters: Vec<&Json> = list(&cloud["clusters"]).collect();
        assert_eq!(clusters.len(), 1, "clusters");
        let etcd = clusters[0]["etcd"].as_array().unwrap();
        assert_eq!(names(&mut etcd.iter()), ["cp-1", "cp-2", "cp-3"], "etcd's members");
        let doors = (&clusters[0]["tokens"], &clusters[0]["certs"]);
        assert_eq!(doors, (&json!([]), &Json::Null), "what lets somebody join");
    })
}

pub(super) fn nothing_is_left(sandbox: &Sandbox) {
    assert!(sandbox.state().is_empty(), "{:?}", sandbox.state());
    let cloud = cloud(sandbox);
    for what in ["networks", "ports", "machines", "clusters"] {
        assert_eq!(list(&cloud[what]).count(), 0, "{what} are left: {}", cloud[what]);
    }
    assert!(!sandbox.path(".grappe/id_ed25519").exists());
}

#[test]
fn the_lab_converges_wherever_it_is_killed() {
    let (settings, tally) = (Settings::of_environment(), Tally::default());
    let scenes = scenes(if settings.kills.is_some() { 4 } else { 2 });
    let kills = settings.kills(10, 30);
    tally::all("lab", &settings, &tally, trials("lab", &scenes, kills, &settings, &tally));
}
