//! Node objects: what kubelet and the node controllers write into them.

use serde_json::{Value, json};

use super::versions;
use crate::host::ServiceState;
use crate::tools::rfc3339;
use crate::world::State;

/// What the cluster sees of a machine that is, or claims to be, a node.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) machine: String,
    pub(super) name: String,
    /// kubelet posts its status.
    pub(super) alive: bool,
    /// containerd has a network configuration.
    pub(super) network: bool,
    pub(super) address: String,
    kubelet: String,
    runtime: String,
    cpus: u32,
    memory_mb: u32,
    boot_id: String,
    machine_id: String,
    /// Static pods' manifests.
    pub(super) manifests: Vec<Value>,
    /// When kubelet started, in milliseconds.
    pub(super) started: i64,
    /// `--node-labels`.
    pub(super) labels: Vec<String>,
}

/// A taint that Kubernetes itself puts on nodes, and its effect.
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

impl State {
    /// Everything the cluster sees of its machines.
    pub(super) fn seen(&mut self, cluster: &str) -> Vec<Seen> {
        let ids: Vec<String> = self
            .machines
            .iter()
            .filter(|(_, m)| m.host.node.as_ref().is_some_and(|n| n.cluster == cluster))
            .map(|(id, _)| id.to_owned())
            .collect();
        let now = self.now();
        for id in &ids {
            // systemd restarts a crashing kubelet every ten seconds.
            let crashing =
                self.host(id).is_some_and(|h| h.service_state("kubelet") == ServiceState::Activating);
            if crashing && let Some(host) = self.host_mut(id) {
                host.retry_kubelet(now);
            }
        }
        let look = |id: &String| {
            let machine = self.machines.get(id)?;
            let host = &machine.host;
            let role = host.node.as_ref()?;
            let manifests =
                host.files.children("/etc/kubernetes/manifests").filter(|(n, _)| n.ends_with(".yaml"));
            let manifests = manifests
                .filter_map(|(n, _)| {
                    crate::yaml::parse(&host.files.text(&format!("/etc/kubernetes/manifests/{n}"))).ok()
                })
                .filter(|v| v["kind"] == "Pod")
                .collect();
            let flags = host.files.text("/var/lib/kubelet/kubeadm-flags.env");
            let node_ip = flags
                .split_whitespace()
                .find_map(|w| w.trim_matches('"').strip_prefix("--node-ip=").map(str::to_owned));
            let own = host.nics.first().map(|n| n.ip.to_string()).unwrap_or_default();
            Some(Seen {
                machine: id.clone(),
                name: role.name.clone(),
                alive: machine.running && host.active("kubelet") && host.cri_enabled(),
                network: host.cni_configured(),
                address: node_ip.map(|ip| ip.trim_matches('"').to_owned()).unwrap_or(own),
                kubelet: host.loaded("kubelet").unwrap_or_default().to_owned(),
                runtime: host.program_version("containerd").unwrap_or_default(),
                cpus: host.cpus,
                memory_mb: host.memory_mb,
                boot_id: host.boot_id.clone(),
                machine_id: host.files.text("/etc/machine-id").trim().to_owned(),
                manifests,
                started: host.services.get("kubelet.service").map_or(0, |s| s.since),
                labels: flags
                    .split_whitespace()
                    .find_map(|w| w.trim_matches('"').strip_prefix("--node-labels="))
                    .map(|l| l.trim_matches('"').split(',').map(str::to_owned).collect())
                    .unwrap_or_default(),
            })
        };
        ids.iter().filter_map(look).collect()
    }
}

/// The object that a kubelet registers.
pub(crate) fn new_node(name: &str, labels: &[String], taints: &[Value]) -> Value {
    let mut all = json!({
        "beta.kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
    });
    for label in labels {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        all[key] = value.into();
    }
    let mut spec = json!({});
    if !taints.is_empty() {
        spec["taints"] = taints.to_vec().into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "labels": all,
            "annotations": {"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///var/run/containerd/containerd.sock", "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": spec,
    })
}

/// Brings a node's status up to what is seen of its machine (none: it is gone).
pub(super) fn refresh(node: &mut Value, seen: Option<&Seen>, now: i64) {
    let stamp = rfc3339(now);
    let before = condition(node, "Ready");
    let (status, reason, message) = match seen {
        Some(seen) if seen.alive && seen.network => {
            ("True", "KubeletReady", "kubelet is posting ready status")
        }
        Some(seen) if seen.alive => (
            "False",
            "KubeletNotReady",
            "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
        ),
        _ => ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."),
    };
    if before.as_deref() != Some(status) || node["status"]["conditions"].is_null() {
        let unknown = status == "Unknown";
        let pressure = |kind: &str, good: &str, text: &str| {
            if unknown {
                json!({"type": kind, "status": "Unknown", "reason": reason, "message": message, "lastHeartbeatTime": stamp, "lastTransitionTime": stamp})
            } else {
                json!({"type": kind, "status": "False", "reason": good, "message": text, "lastHeartbeatTime": stamp, "lastTransitionTime": stamp})
            }
        };
        node["status"]["conditions"] = json!([
            pressure("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            pressure("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            pressure("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            {"type": "Ready", "status": status, "reason": reason, "message": message, "lastHeartbeatTime": stamp, "lastTransitionTime": stamp},
        ]);
    }
    set_taint(node, NOT_READY, "NoSchedule", status == "False");
    set_taint(node, NOT_READY, "NoExecute", status == "False");
    set_taint(node, UNREACHABLE, "NoSchedule", status == "Unknown");
    set_taint(node, UNREACHABLE, "NoExecute", status == "Unknown");
    let cordoned = node["spec"]["unschedulable"] == true;
    set_taint(node, "node.kubernetes.io/unschedulable", "NoSchedule", cordoned);
    let Some(seen) = seen.filter(|s| s.alive) else { return };
    let allocatable = json!({"cpu": seen.cpus.to_string(), "memory": format!("{}Ki", u64::from(seen.memory_mb) * 1024), "pods": "110", "ephemeral-storage": "20509264Ki"});
    node["status"]["capacity"] = allocatable.clone();
    node["status"]["allocatable"] = allocatable;
    node["status"]["addresses"] = json!([{"type": "InternalIP", "address": seen.address}, {"type": "Hostname", "address": node["metadata"]["name"]}]);
    node["status"]["daemonEndpoints"] = json!({"kubeletEndpoint": {"Port": 10250}});
    let version = format!("v{}", seen.kubelet);
    let mut info = json!({
        "architecture": "amd64",
        "bootID": seen.boot_id,
        "containerRuntimeVersion": format!("containerd://{}", seen.runtime),
        "kernelVersion": "6.1.0-simulated",
        "kubeletVersion": version,
        "machineID": seen.machine_id,
        "operatingSystem": "linux",
        "osImage": "Debian GNU/Linux 12 (simulated)",
        "systemUUID": seen.machine_id,
    });
    // The field went in 1.36; kubelets before fill it.
    if versions::minor(&version) < 36 {
        info["kubeProxyVersion"] = version.into();
    }
    node["status"]["nodeInfo"] = info;
}

/// Status of a node's condition.
pub(crate) fn condition(object: &Value, kind: &str) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|c| c["type"] == kind)?;
    found["status"].as_str().map(str::to_owned)
}

/// Whether a node is Ready.
pub(crate) fn is_ready(node: &Value) -> bool {
    condition(node, "Ready").as_deref() == Some("True")
}

/// Adds or takes away a taint without a value.
fn set_taint(node: &mut Value, key: &str, effect: &str, wanted: bool) {
    let has = |t: &Value| t["key"] == key && t["effect"] == effect;
    let present = node["spec"]["taints"].as_array().is_some_and(|l| l.iter().any(has));
    if wanted && !present {
        let taint = json!({"key": key, "effect": effect});
        match node["spec"]["taints"].as_array_mut() {
            Some(list) => list.push(taint),
            None => node["spec"]["taints"] = json!([taint]),
        }
    } else if !wanted
        && present
        && let Some(list) = node["spec"]["taints"].as_array_mut()
    {
        list.retain(|t| !has(t));
        if list.is_empty() {
            node["spec"].as_object_mut().map(|s| s.shift_remove("taints"));
        }
    }
}
