//! A cluster's life, told once and lived twice: on simulated machines and on real ones. What holds in one world must hold in the other.
//!
//! A [`World`] brings the plan and what is to be done to machines from outside; all that is looked at is looked at through grappe and kubectl.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::sandbox::{Ran, Sandbox};

/// Where a cluster lives.
pub(crate) trait World {
    /// Where grappe runs.
    fn sandbox(&self) -> &Sandbox;
    /// The flags that set this world's variables.
    fn variables(&self) -> Vec<String>;
    /// The release it begins with, and the one it is upgraded to.
    fn releases(&self) -> [&str; 2];
    /// A machine and its disk are gone, and nobody was asked.
    fn lose(&self, machine: &str);
    /// How often somebody has logged in on this machine, this time included.
    fn logins(&self, machine: &str) -> usize;
    /// Pods run, and are reached as they should be. Says of what only one of the worlds has.
    fn workload(&self, nodes: &[&str]);
    /// What is there once all is destroyed.
    fn leftovers(&self) -> Vec<String>;

    /// Runs grappe with this world's variables; what the flags say goes before them.
    fn grappe(&self, code: i32, args: &[&str]) -> Ran {
        let variables = self.variables();
        let (command, flags) = args.split_first().unwrap();
        let variables = variables.iter().map(String::as_str);
        let all: Vec<&str> = [*command].into_iter().chain(variables).chain(flags.iter().copied()).collect();
        let start = Instant::now();
        let ran = self.sandbox().expect(code, &all);
        // For who watches, or looks at a failure.
        let _ =
            writeln!(std::io::stderr(), "{:6.1} s  grappe {}", start.elapsed().as_secs_f64(), args.join(" "));
        ran
    }

    /// What kubectl prints.
    fn kubectl(&self, args: &[&str]) -> String {
        let all: Vec<&str> = ["kubectl"].iter().chain(args).copied().collect();
        self.sandbox().expect(0, &all).stdout
    }
}

/// A node as the API server has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) ready: bool,
    pub(crate) version: String,
    pub(crate) open: bool,
}

pub(crate) fn nodes(world: &dyn World) -> BTreeMap<String, Node> {
    let list: Json = serde_json::from_str(&world.kubectl(&["get", "nodes", "-o", "json"])).unwrap();
    let node = |node: &Json| {
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let seen = Node {
            ready: conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"),
            version: node["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default().to_owned(),
            open: node["spec"]["unschedulable"] != Json::Bool(true),
        };
        (node["metadata"]["name"].as_str().unwrap().to_owned(), seen)
    };
    list["items"].as_array().unwrap().iter().map(node).collect()
}

/// These nodes and no others are Ready, run this release, and take pods.
pub(crate) fn all_well(world: &dyn World, names: &[&str], release: &str) {
    assert_eq!(nodes(world), wanted(names, release));
}

/// The same within half a minute: containerd may take a pod network that was there before a node was reset for its own, and the node is Ready, is not,
/// and is again.
pub(crate) fn all_well_soon(world: &dyn World, names: &[&str], release: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    while nodes(world) != wanted(names, release) && Instant::now() < until {
        std::thread::park_timeout(Duration::from_secs(1));
    }
    all_well(world, names, release);
}

fn wanted(names: &[&str], release: &str) -> BTreeMap<String, Node> {
    let well = || Node { ready: true, version: format!("v{release}"), open: true };
    names.iter().map(|name| ((*name).to_owned(), well())).collect()
}

/// No token and no uploaded certificate lets anybody join, and etcd has these members.
pub(crate) fn nobody_else_can_join(world: &dyn World, members: &[&str]) {
    let secrets = world.kubectl(&["-n", "kube-system", "get", "secrets", "-o", "json"]);
    let secrets: Json = serde_json::from_str(&secrets).unwrap();
    for secret in secrets["items"].as_array().unwrap() {
        let name = secret["metadata"]["name"].as_str().unwrap();
        assert!(secret["type"] != "bootstrap.kubernetes.io/token", "a bootstrap token is alive: {name}");
        assert!(name != "kubeadm-certs", "uploaded certificates are left");
    }
    let pod = format!("etcd-{}", members[members.len() - 1]);
    let list = world.kubectl(&[
        "-n",
        "kube-system",
        "exec",
        &pod,
        "--",
        "etcdctl",
        "--endpoints=https://127.0.0.1:2379",
        "--cacert=/etc/kubernetes/pki/etcd/ca.crt",
        "--cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt",
        "--key=/etc/kubernetes/pki/etcd/healthcheck-client.key",
        "member",
        "list",
        "-w",
        "json",
    ]);
    let list: Json = serde_json::from_str(&list).unwrap();
    let names: BTreeSet<&str> =
        list["members"].as_array().unwrap().iter().map(|member| member["name"].as_str().unwrap()).collect();
    assert_eq!(names, members.iter().copied().collect(), "etcd's members");
}

/// What was done, as `create kubeadm_worker.this["worker-3"]`, modules left out.
fn done(ran: &Ran) -> BTreeSet<String> {
    let events = ran.events_of("operation_done");
    let acts = events.iter().filter(|e| !matches!(e["action"].as_str(), Some("record" | "join" | "read")));
    acts.map(|e| {
        let addr = e["addr"].as_str().unwrap();
        format!("{} {}", e["action"].as_str().unwrap(), addr.strip_prefix("module.cluster.").unwrap_or(addr))
    })
    .collect()
}

const CONTROL_PLANES: [&str; 3] = ["cp-1", "cp-2", "cp-3"];
const NODES: [&str; 5] = ["cp-1", "cp-2", "cp-3", "worker-1", "worker-2"];
const GROWN: [&str; 6] = ["cp-1", "cp-2", "cp-3", "worker-1", "worker-2", "worker-3"];

/// Comes up, stays, grows by the one machine it is about, shrinks, loses its first control plane, is upgraded, and goes.
pub(crate) fn a_whole_life(world: &dyn World) {
    let [first, next] = world.releases();
    world.grappe(0, &["apply", "-auto-approve"]);
    all_well(world, &NODES, first);
    nobody_else_can_join(world, &CONTROL_PLANES);
    world.workload(&NODES);
    world.grappe(0, &["plan", "-detailed-exitcode"]);

    // One worker more is that machine's business, and one control plane's.
    let before = NODES.map(|node| world.logins(node));
    let more = world.grappe(0, &["apply", "-auto-approve", "-json", "-refresh=false", "-var=workers=3"]);
    let after = NODES.map(|node| world.logins(node));
    // Looking is a login too.
    let contacted: Vec<&str> =
        (0..NODES.len()).filter(|&i| after[i] > before[i] + 1).map(|i| NODES[i]).collect();
    assert!(contacted.len() <= 1 && contacted.iter().all(|n| CONTROL_PLANES.contains(n)), "{contacted:?}");
    assert!(
        done(&more).iter().all(|act| act.starts_with("create ") && act.contains("worker-3")),
        "{:?}",
        done(&more)
    );
    all_well(world, &GROWN, first);
    world.grappe(0, &["plan", "-detailed-exitcode", "-var=workers=3"]);

    let less = world.grappe(0, &["apply", "-auto-approve", "-json"]);
    assert!(
        done(&less).iter().all(|act| act.starts_with("delete ") && act.contains("worker-3")),
        "{:?}",
        done(&less)
    );
    all_well(world, &NODES, first);

    // The control plane that made the cluster is gone, and nothing about it was special.
    world.lose("cp-1");
    world.grappe(0, &["apply", "-auto-approve"]);
    all_well(world, &NODES, first);
    nobody_else_can_join(world, &CONTROL_PLANES);
    world.grappe(0, &["plan", "-detailed-exitcode"]);

    let version = format!("-var=kubernetes_version={next}");
    world.grappe(0, &["apply", "-auto-approve", &version]);
    all_well(world, &NODES, next);
    world.workload(&NODES);
    world.grappe(0, &["plan", "-detailed-exitcode", &version]);

    world.grappe(0, &["destroy", "-auto-approve"]);
    assert_eq!(world.leftovers(), Vec::<String>::new());
    assert!(world.sandbox().state().is_empty());
}
