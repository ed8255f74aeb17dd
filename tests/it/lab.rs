//! The lab: a whole cluster on simulated machines, brought up, grown, broken, mended, killed and taken down.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use rand::RngExt;
use serde_json::{Value as Json, json};

use crate::sandbox::{Ran, Sandbox};

/// What `grappe sim list -json` says.
fn world(sandbox: &Sandbox) -> Json {
    serde_json::from_str(&sandbox.expect(0, &["sim", "list", "-json"]).stdout).unwrap()
}

fn names(list: &Json) -> Vec<String> {
    let mut names: Vec<String> =
        list.as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn ready(world: &Json) -> Vec<String> {
    let nodes = world["nodes"].as_array().unwrap();
    let mut ready: Vec<String> = nodes
        .iter()
        .filter(|n| n["status"] == "Ready")
        .map(|n| n["name"].as_str().unwrap().to_owned())
        .collect();
    ready.sort();
    ready
}

/// What was done, as `create kubeadm_worker.this["worker-4"]`.
fn done(ran: &Ran) -> BTreeSet<String> {
    ran.events_of("operation_done")
        .iter()
        .filter(|e| !matches!(e["action"].as_str(), Some("record" | "join")))
        .map(|e| format!("{} {}", e["action"].as_str().unwrap(), e["addr"].as_str().unwrap()))
        .collect()
}

const NODES: [&str; 6] = ["cp-1", "cp-2", "cp-3", "worker-1", "worker-2", "worker-3"];

#[test]
fn a_cluster_comes_up_stays_grows_drifts_and_goes() {
    let sandbox = Sandbox::of_plan("lab");
    let first = sandbox.expect(0, &["apply", "-auto-approve"]);
    assert!(first.stdout.contains("simulated"), "every output says so: {}", first.stdout);
    let up = world(&sandbox);
    assert_eq!(ready(&up), NODES);
    assert_eq!(names(&up["machines"]).len(), 7, "{up}");
    let dmz = up["nodes"].as_array().unwrap().iter().find(|n| n["name"] == "worker-3").unwrap();
    assert_eq!(dmz["labels"]["net"], "dmz");
    assert_eq!(
        (dmz["taints"][0]["key"].as_str(), dmz["taints"][0]["effect"].as_str()),
        (Some("zone"), Some("NoSchedule"))
    );

    // Nothing is left to do.
    let again = sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    assert!(again.stdout.contains("No changes"), "{}", again.stdout);

    // One worker more plans what it needs, and touches that machine and one control plane.
    let more = sandbox.expect(0, &["apply", "-auto-approve", "-json", "-var=workers=4"]);
    let wanted: BTreeSet<String> = [
        "create sim_port.this[\"worker-4\"]",
        "create sim_machine.this[\"worker-4\"]",
        "create host_machine.this[\"worker-4\"]",
        "create kubeadm_host.node[\"worker-4\"]",
        "create kubeadm_worker.this[\"worker-4\"]",
        "create kube_node.worker[\"worker-4\"]",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(done(&more), wanted);
    assert_eq!(ready(&world(&sandbox)).len(), 7);
    sandbox.expect(0, &["plan", "-detailed-exitcode", "-var=workers=4"]);

    // A label that somebody changed is one difference, and is put right.
    sandbox.expect(0, &["sim", "label", "worker-1", "net=dmz"]);
    let drift = sandbox.expect(2, &["plan", "-detailed-exitcode", "-json", "-var=workers=4"]);
    let changes = drift.events_of("planned_change");
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(changes[0]["change"]["address"], "kube_node.worker[\"worker-1\"]");
    let mended = sandbox.expect(0, &["apply", "-auto-approve", "-json", "-var=workers=4"]);
    assert_eq!(done(&mended), ["update kube_node.worker[\"worker-1\"]".to_owned()].into());

    // And back to three.
    let less = sandbox.expect(0, &["apply", "-auto-approve", "-json"]);
    assert_eq!(done(&less).len(), 6, "{:?}", done(&less));
    assert_eq!(ready(&world(&sandbox)), NODES);

    sandbox.expect(0, &["destroy", "-auto-approve"]);
    let empty = world(&sandbox);
    for what in ["networks", "ports", "machines", "nodes"] {
        assert_eq!(empty[what].as_array().unwrap().len(), 0, "{what} are left: {empty}");
    }
    assert!(sandbox.state().is_empty());
    assert!(!sandbox.path(".grappe/id_ed25519").exists());
}

/// Starts grappe and kills it at a random moment that is not far: a run goes on where the last one was killed, so that ten of them are spread over the
/// whole bring-up. Says how often it was in the midst of doing something.
fn kill_at_moments(sandbox: &Sandbox, args: &[&str], times: usize) -> usize {
    let mut midst = 0;
    for round in 0..times {
        let mut child =
            sandbox.command(args).arg("-json").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (events, wait) = (rand::rng().random_range(0..25), rand::rng().random_range(0..100));
        let does =
            |line: &String| line.contains("\"type\":\"operation_") || line.contains("\"type\":\"progress\"");
        let mut lines =
            BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).filter(does);
        let begun = lines.nth(events).is_some();
        std::thread::park_timeout(Duration::from_millis(wait));
        child.kill().unwrap();
        // Not where it came to its end by itself.
        midst += usize::from(child.wait().unwrap().code().is_none() && begun);
        let state = sandbox.run(&["state", "list"]);
        assert_eq!(state.code, 0, "round {round} after {events} events and {wait} ms: {}", state.all());
    }
    midst
}

#[test]
fn killed_at_ten_moments_the_lab_converges_with_nothing_twice() {
    let sandbox = Sandbox::of_plan("lab");
    let midst = kill_at_moments(&sandbox, &["apply", "-auto-approve"], 10);
    assert!(midst >= 6, "only {midst} of ten runs were doing something when they were killed");
    sandbox.expect(0, &["apply", "-auto-approve"]);
    let up = world(&sandbox);
    assert_eq!(ready(&up), NODES);
    assert_eq!(names(&up["nodes"]), NODES, "a node is left that nobody wants");
    assert_eq!(names(&up["machines"]).len(), 7, "a machine exists twice: {up}");
    assert_eq!(up["ports"].as_array().unwrap().len(), 7, "a port exists twice: {up}");
    assert_eq!(up["networks"].as_array().unwrap().len(), 1);
    // Nor did a killed run leave a second cluster, a member of etcd that is none, or what lets somebody in.
    let inside: Json = serde_json::from_str(&sandbox.read("grappe.state/world.json")).unwrap();
    let clusters: Vec<&Json> = inside["clusters"].as_object().unwrap().values().collect();
    assert_eq!(clusters.len(), 1);
    assert_eq!(names(&clusters[0]["etcd"]), ["cp-1", "cp-2", "cp-3"]);
    assert_eq!((&clusters[0]["tokens"], &clusters[0]["certs"]), (&json!([]), &Json::Null));
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);

    kill_at_moments(&sandbox, &["destroy", "-auto-approve"], 4);
    sandbox.expect(0, &["destroy", "-auto-approve"]);
    let empty = world(&sandbox);
    for what in ["networks", "ports", "machines", "nodes"] {
        assert_eq!(empty[what].as_array().unwrap().len(), 0, "{what} are left: {empty}");
    }
    assert!(sandbox.state().is_empty());
}

#[test]
fn every_machine_with_its_own_proxy_works_as_well() {
    let sandbox = Sandbox::of_plan("ha-haproxy-on-every-node");
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(ready(&world(&sandbox)), ["k8smaster1", "k8smaster2", "k8smaster3", "k8sworker1"]);
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    sandbox.expect(0, &["destroy", "-auto-approve"]);
    assert_eq!(world(&sandbox)["machines"].as_array().unwrap().len(), 0);
}

#[test]
fn what_fails_is_told_with_what_the_host_said_and_gone_on_with_later() {
    let sandbox = Sandbox::of_plan("lab");
    let failed = sandbox.expect(1, &["apply", "-auto-approve", "-var=kubernetes_version=1.98.7"]);
    // The host's last lines, the place, the others once.
    assert!(failed.stderr.contains("update the package lists on"), "{}", failed.stderr);
    assert!(failed.stderr.contains("403"), "{}", failed.stderr);
    assert!(failed.stderr.contains("main.tf:"), "{}", failed.stderr);
    assert!(failed.stderr.contains("It was the same with kubeadm_host.node["), "{}", failed.stderr);
    assert_eq!(failed.stderr.matches("error:").count(), 1, "{}", failed.stderr);
    assert!(
        failed.stdout.contains("25 added, 0 changed, 0 destroyed; 6 failed, 11 skipped"),
        "{}",
        failed.stdout
    );
    sandbox.expect(0, &["apply", "-auto-approve"]);
    let up = world(&sandbox);
    assert_eq!(ready(&up), NODES);
    assert_eq!(names(&up["machines"]).len(), 7);
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
}

#[test]
fn what_may_pass_is_tried_again() {
    let sandbox = Sandbox::of_plan("lab");
    let flaky = "provider \"sim\" {\n  fail = { \"kubeadm join\" = 2, \"create sim_machine\" = 1 }\n}";
    sandbox.write("main.tf", &sandbox.read("main.tf").replace("provider \"sim\" {}", flaky));
    let ran = sandbox.expect(0, &["apply", "-auto-approve", "-json"]);
    assert_eq!(ran.events_of("operation_retry").len(), 3, "{}", ran.stdout);
    assert_eq!(ready(&world(&sandbox)), NODES);
}

#[test]
fn another_host_key_is_refused() {
    let sandbox = Sandbox::of_plan("lab");
    let args = ["apply", "-auto-approve", "-target=host_machine.this"];
    sandbox.expect(0, &args);
    // Somebody else answers at the addresses: the machines' keys change places.
    let file = "grappe.state/world.json.keys";
    let mut keys: serde_json::Map<String, Json> = serde_json::from_str(&sandbox.read(file)).unwrap();
    let mut values: Vec<Json> = keys.values().cloned().collect();
    values.rotate_left(1);
    keys.values_mut().zip(values).for_each(|(key, other)| *key = other);
    sandbox.write(file, &Json::Object(keys).to_string());
    let refused = sandbox.expect(1, &["plan"]);
    assert!(refused.stderr.contains("HOST KEY CHANGED"), "{}", refused.stderr);
    assert!(refused.stderr.contains("help:"), "{}", refused.stderr);
}

#[test]
fn machines_and_the_cluster_are_reached_from_the_command_line() {
    let sandbox = Sandbox::of_plan("lab");
    let nothing = sandbox.expect(1, &["kubectl", "get", "nodes"]);
    assert!(nothing.stderr.contains("no such kubeadm_cluster"), "{}", nothing.stderr);
    sandbox.expect(
        0,
        &["apply", "-auto-approve", "-var=control_planes=1", "-var=workers=1", "-var=dmz_workers=[]"],
    );
    // By its key, by its address in the state, by where it is.
    for name in ["cp-1", "host_machine.this[\"cp-1\"]", "10.77.2.11"] {
        assert_eq!(sandbox.expect(0, &["ssh", name, "hostname"]).stdout, "cp-1\n");
    }
    // The command's own exit code and streams; its flags are its own.
    let ran = sandbox.expect(7, &["ssh", "lb", "--", "echo out; echo err >&2; exit 7"]);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
    let nodes = sandbox.expect(0, &["kubectl", "-dir=.", "get", "nodes", "-oname"]);
    assert_eq!(nodes.stdout, "node/cp-1\nnode/worker-1\n");
    let unknown = sandbox.expect(1, &["ssh", "cp-9", "true"]);
    assert!(unknown.stderr.contains("no host_machine \"cp-9\""), "{}", unknown.stderr);
    assert!(
        unknown.stderr.contains("host_machine.this[\"cp-1\"]"),
        "what there is is listed: {}",
        unknown.stderr
    );
    // What is piped in is the command's input.
    use std::io::Write;
    let mut child =
        sandbox.command(&["ssh", "lb", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"piped\n").unwrap();
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(), "piped\n");
    let mut child = sandbox
        .command(&["kubectl", "apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let namespace = b"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: piped\n";
    child.stdin.take().unwrap().write_all(namespace).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(said, "namespace/piped created\n");
    // A pipe that nobody closes is no reason to wait where nothing is read.
    let mut child = sandbox
        .command(&["kubectl", "get", "ns", "piped"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let open = child.stdin.take();
    assert!(child.wait().unwrap().success());
    drop(open);
}
