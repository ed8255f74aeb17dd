//! Whether a cluster is well enough to be upgraded: cmd/kubeadm/app/phases/upgrade/health.go (1.20).

use serde_json::Value;

use crate::cluster::nodes::is_ready;
use crate::cluster::{pods, versions};
use crate::tools::Cx;

/// A check by name, and what it found.
type Found = (&'static str, String);

/// Runs the checks.
pub(super) fn check(cx: &Cx<'_>, id: &str) -> Vec<Found> {
    let (nodes, minor) = cx.sh.state(|s| {
        let cluster = s.clusters.get(id);
        let nodes: Vec<Value> =
            cluster.map(|c| c.objects.list("Node", None).cloned().collect()).unwrap_or_default();
        (nodes, cluster.map_or(0, |c| c.minor()))
    });
    let mut found = Vec::new();
    let (marks, taints) = versions::control_plane_marks(minor);
    // Its job tolerates what keeps others off a control plane.
    let tolerations: Vec<Value> =
        taints.iter().map(|t| serde_json::json!({"key": t, "effect": "NoSchedule"})).collect();
    let spec = serde_json::json!({"tolerations": tolerations});
    if !nodes.iter().any(|n| is_ready(n) && pods::untolerated(&spec, n, false).is_none()) {
        found.push(("CreateJob", "Job \"upgrade-health-check\" in the namespace \"kube-system\" did not complete in 15s: no condition of type Complete".to_owned()));
    }
    let name = |n: &Value| n["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let planes: Vec<&Value> =
        nodes.iter().filter(|n| marks.iter().any(|m| n["metadata"]["labels"][m].is_string())).collect();
    let silent: Vec<String> = planes.iter().filter(|n| !is_ready(n)).map(|n| name(n)).collect();
    if planes.is_empty() {
        found.push((
            "ControlPlaneNodesReady",
            "failed to find any nodes with a control-plane role".to_owned(),
        ));
    } else if !silent.is_empty() {
        found.push((
            "ControlPlaneNodesReady",
            format!("there are NotReady control-planes in the cluster: [{}]", silent.join(" ")),
        ));
    }
    let missing: Vec<String> = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]
        .iter()
        .map(|c| format!("/etc/kubernetes/manifests/{c}.yaml"))
        .filter(|path| !cx.host(|h, _| h.files.exists(path)))
        .collect();
    if !missing.is_empty() {
        found.push(("StaticPodManifest", format!("The control plane seems to be Static Pod-hosted, but some of the manifests don't seem to exist on disk. This probably means you're running 'kubeadm upgrade' on a remote machine, which is not supported for a Static Pod-hosted cluster. Manifest files not found: [{}]", missing.join(" "))));
    }
    found
}
