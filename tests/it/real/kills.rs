//! SIGKILL in each phase of a bring-up, on real machines, each with an HAProxy of its own.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value as Json;

use super::lab::Lab;
use crate::scenario::{self, World};

/// A phase: its name, what grappe says when it begins, and how many seconds later it is in its midst. What goes on beside it may be done by then: each phase
/// comes before what takes longer.
type Phase = (&'static str, fn(&Json) -> bool, u64);

const PHASES: [Phase; 6] = [
    ("machines", |e| e["type"] == "operation_done" && has(e, "local_machine.this"), 0),
    ("packages", |e| says(e, "kubeadm_host.node", "installing"), 1),
    ("init", |e| says(e, "kubeadm_cluster.this", "kubeadm init"), 6),
    ("the pod network", |e| says(e, "kube_cni.this", "applying"), 0),
    ("a worker's join", |e| says(e, "kubeadm_worker.this", "kubeadm join"), 1),
    ("a control plane's join", |e| says(e, "kubeadm_control_plane.this", "kubeadm join"), 6),
];

fn has(event: &Json, what: &str) -> bool {
    event["addr"].as_str().is_some_and(|addr| addr.contains(what))
}

fn says(event: &Json, of: &str, what: &str) -> bool {
    let step = event["step"].as_str().unwrap_or_default();
    event["type"] == "progress" && has(event, of) && step.contains(what)
}

#[test]
fn killed_in_each_phase_the_next_run_goes_on() {
    let lab = Lab::new(&["-var=proxy_on_every_node=true", "-var=workers=1"]);
    let variables = lab.variables();
    for (name, begins, midst) in PHASES {
        let apply = ["apply", "-auto-approve", "-json"];
        let mut child =
            lab.sandbox().command(&apply).args(&variables).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut failed = Vec::new();
        let reached = lines.map(|line| serde_json::from_str::<Json>(&line).unwrap()).any(|event| {
            if event["type"] == "operation_failed" {
                failed.push(event.to_string());
            }
            begins(&event)
        });
        assert!(reached, "the run came to its end without {name}:\n{}", failed.join("\n"));
        std::thread::park_timeout(Duration::from_secs(midst));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    lab.grappe(0, &["apply", "-auto-approve"]);
    let nodes = ["cp-1", "cp-2", "cp-3", "worker-1"];
    scenario::all_well_soon(&lab, &nodes, lab.releases()[0]);
    scenario::nobody_else_can_join(&lab, &nodes[..3]);
    lab.workload(&nodes);
    lab.grappe(0, &["plan", "-detailed-exitcode"]);
    lab.grappe(0, &["destroy", "-auto-approve"]);
    assert_eq!(lab.leftovers(), Vec::<String>::new());
}
