//! Pods: who may run where, and how far each has come.

use serde_json::{Value, json};

use super::nodes::Seen;
use crate::tools::rfc3339;

/// Whether a selector (`matchLabels`, `matchExpressions`) selects these labels.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let get = |key: &str| labels.get(key).and_then(Value::as_str);
    let plain = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    plain.into_iter().all(|(k, v)| get(k) == v.as_str())
        && expressions.into_iter().all(|e| {
            let value = get(e["key"].as_str().unwrap_or_default());
            let listed = || e["values"].as_array().is_some_and(|l| l.iter().any(|v| v.as_str() == value));
            match e["operator"].as_str() {
                Some("In") => value.is_some() && listed(),
                Some("NotIn") => value.is_none() || !listed(),
                Some("Exists") => value.is_some(),
                Some("DoesNotExist") => value.is_none(),
                _ => false,
            }
        })
}

/// Whether tolerations cover a taint.
fn tolerated(tolerations: &Value, taint: &Value) -> bool {
    tolerations.as_array().into_iter().flatten().any(|t| {
        let effect = t["effect"].as_str().unwrap_or_default();
        let key = t["key"].as_str().unwrap_or_default();
        (effect.is_empty() || taint["effect"] == effect)
            && match t["operator"].as_str() {
                Some("Exists") => key.is_empty() || taint["key"] == key,
                _ => {
                    taint["key"] == key
                        && taint["value"].as_str().unwrap_or_default()
                            == t["value"].as_str().unwrap_or_default()
                }
            }
    })
}

/// A taint that keeps a pod off a node, one that drives it away before others. Daemons put up with most of what makes a node unfit for
/// others, but not with one that is not ready yet: the DaemonSet controller adds no toleration of that one's `NoSchedule`.
pub(crate) fn untolerated<'a>(spec: &Value, node: &'a Value, daemon: bool) -> Option<&'a Value> {
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let untolerated = taints.filter(|taint| {
        taint["effect"] != "PreferNoSchedule"
            && !(daemon && daemons_tolerate(taint, spec))
            && !tolerated(&spec["tolerations"], taint)
    });
    untolerated.min_by_key(|taint| taint["effect"] != "NoExecute")
}

/// What the DaemonSet controller makes all its pods tolerate.
fn daemons_tolerate(taint: &Value, spec: &Value) -> bool {
    let key = taint["key"].as_str().and_then(|key| key.strip_prefix("node.kubernetes.io/"));
    match key.unwrap_or_default() {
        "not-ready" | "unreachable" => taint["effect"] == "NoExecute",
        "disk-pressure" | "memory-pressure" | "pid-pressure" | "unschedulable" => {
            taint["effect"] == "NoSchedule"
        }
        "network-unavailable" => taint["effect"] == "NoSchedule" && spec["hostNetwork"] == true,
        _ => false,
    }
}

/// Whether a node has the labels that a pod asks for.
pub(super) fn label_fit(spec: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let plain = json!({"matchLabels": spec["nodeSelector"]});
    let required = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let affinity = required.as_array().is_none_or(|terms| terms.iter().any(|t| selects(t, labels)));
    selects(&plain, labels) && affinity
}

/// A pod made from a template.
pub(super) fn from_template(template: &Value, owner: Option<(&str, &str, &str)>, now: i64) -> Value {
    let mut metadata =
        json!({"labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"]});
    if let Some((kind, name, uid)) = owner {
        let version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        metadata["ownerReferences"] = json!([{"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true}]);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": template["spec"],
        "status": {"phase": "Pending", "startTime": rfc3339(now)},
    })
}

/// How a pod fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fare {
    /// No node takes it.
    Unscheduled(String),
    /// Its containers are not up: reason and message.
    Waiting(&'static str, String),
    /// Ready.
    Running,
    /// Its node is gone silent.
    Lost,
    /// A job that is done.
    Succeeded,
}

/// Writes a pod's status.
pub(super) fn set_status(pod: &mut Value, fare: &Fare, node: Option<&Seen>, number: u64, now: i64) {
    let stamp = rfc3339(now);
    let scheduled = !matches!(fare, Fare::Unscheduled(_));
    let ready = *fare == Fare::Running;
    let phase = match fare {
        Fare::Running | Fare::Lost => "Running",
        Fare::Succeeded => "Succeeded",
        Fare::Waiting("CrashLoopBackOff", _) => "Running",
        _ => "Pending",
    };
    let mark = format!("{phase} {ready} {scheduled} {fare:?}");
    if pod["status"]["simulated"] == mark {
        return;
    }
    let state = |good: bool| if good { "True" } else { "False" };
    let mut conditions = vec![
        json!({"type": "Initialized", "status": state(scheduled), "lastTransitionTime": stamp}),
        json!({"type": "Ready", "status": state(ready), "lastTransitionTime": stamp}),
        json!({"type": "ContainersReady", "status": state(ready), "lastTransitionTime": stamp}),
        json!({"type": "PodScheduled", "status": state(scheduled), "lastTransitionTime": stamp}),
    ];
    if let Fare::Unscheduled(message) = fare {
        conditions[3]["reason"] = "Unschedulable".into();
        conditions[3]["message"] = message.as_str().into();
    } else if !ready && *fare != Fare::Succeeded {
        conditions[1]["reason"] = "ContainersNotReady".into();
    }
    let containers: Vec<Value> = pod["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| {
            let (state, restarts) = match fare {
                Fare::Waiting(reason, message) => {
                    (json!({"waiting": {"reason": reason, "message": message}}), u32::from(*reason == "CrashLoopBackOff") * 3)
                }
                Fare::Succeeded => (json!({"terminated": {"exitCode": 0, "reason": "Completed"}}), 0),
                _ => (json!({"running": {"startedAt": stamp}}), 0),
            };
            json!({"name": c["name"], "image": c["image"], "imageID": "simulated", "ready": ready, "started": ready, "restartCount": restarts, "state": state})
        })
        .collect();
    let start = pod["status"]["startTime"].clone();
    let mut status = json!({"phase": phase, "conditions": conditions, "startTime": start, "qosClass": "BestEffort", "simulated": mark});
    if scheduled {
        status["containerStatuses"] = containers.into();
    }
    if let Some(node) = node {
        status["hostIP"] = node.address.as_str().into();
        let own = pod["spec"]["hostNetwork"] == true;
        status["podIP"] = if own {
            node.address.clone()
        } else {
            format!("10.244.{}.{}", number / 250 % 250, number % 250 + 2)
        }
        .into();
    }
    pod["status"] = status;
}

/// The network plugin that a DaemonSet is, if it is one: its configuration file's name, and whether it needs a pod network for each node.
pub(super) fn network_plugin(name: &str, spec: &Value) -> Option<(String, bool)> {
    if spec["hostNetwork"] != true {
        return None;
    }
    let known = [
        ("flannel", "10-flannel.conflist", true),
        ("kube-router", "10-kuberouter.conflist", true),
        ("antrea-agent", "10-antrea.conflist", true),
        ("calico-node", "10-calico.conflist", false),
        ("cilium", "05-cilium.conflist", false),
        ("weave", "10-weave.conflist", false),
        ("minicni", "10-minicni.conflist", false),
    ];
    if let Some((_, file, needs)) = known.iter().find(|(n, ..)| name.contains(n)) {
        return Some(((*file).to_owned(), *needs));
    }
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let mounts = volumes
        .into_iter()
        .any(|v| v["hostPath"]["path"].as_str().is_some_and(|p| p.starts_with("/etc/cni/net.d")));
    mounts.then(|| (format!("10-{name}.conflist"), false))
}
