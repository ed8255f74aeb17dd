//! SIGKILL in each phase of a bring-up, on real machines, each with an HAProxy of its own.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value as Json;

use super::lab::Lab;
use crate::scenario::{self, World};

/// A phase: what grappe says when it is in the midst of it.
type Phase = (&'static str, fn(&Json) -> bool);

const PHASES: [Phase; 6] = [
    ("machines", |e| e["type"] == "operation_done" && has(e, "local_machine.this")),
    ("packages", |e| says(e, "kubeadm_host.node", "installing")),
    ("init", |e| {
        e["type"] == "output" && has(e, "kubeadm_cluster.this") && text(e).contains("[control-plane]")
    }),
    ("a worker's join", |e| says(e, "kubeadm_worker.this", "kubeadm join")),
    ("a control plane's join", |e| {
        e["type"] == "output" && has(e, "kubeadm_control_plane.this") && text(e).contains("etcd")
    }),
    ("the pod network", |e| e["type"] == "progress" && has(e, "kube_cni.this")),
];

fn has(event: &Json, what: &str) -> bool {
    event["addr"].as_str().is_some_and(|addr| addr.contains(what))
}

fn text(event: &Json) -> &str {
    ["line", "step"].iter().find_map(|name| event[*name].as_str()).unwrap_or_default()
}

fn says(event: &Json, of: &str, what: &str) -> bool {
    event["type"] == "progress" && has(event, of) && text(event).contains(what)
}

#[test]
fn killed_in_each_phase_the_next_run_goes_on() {
    let lab = Lab::new(&["-var=proxy_on_every_node=true", "-var=workers=1"]);
    let mut seen = Vec::new();
    for (name, is_there) in PHASES {
        let variables = lab.variables();
        let mut child = lab
            .sandbox()
            .command(&["apply", "-auto-approve", "-json"])
            .args(&variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // A phase that an earlier kill has let through already is none to kill in.
        if lines
            .map_while(Result::ok)
            .any(|line| serde_json::from_str(&line).is_ok_and(|event| is_there(&event)))
        {
            seen.push(name);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(seen, PHASES.map(|(name, _)| name), "each phase was killed in");
    lab.grappe(0, &["apply", "-auto-approve"]);
    let nodes = ["cp-1", "cp-2", "cp-3", "worker-1"];
    scenario::all_well(&lab, &nodes, lab.releases()[0]);
    scenario::nobody_else_can_join(&lab, &nodes[..3]);
    lab.workload(&nodes);
    lab.grappe(0, &["plan", "-detailed-exitcode"]);
    lab.grappe(0, &["destroy", "-auto-approve"]);
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}
