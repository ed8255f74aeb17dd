//! Waiting until what a manifest describes runs.
//!
//! Deployments, DaemonSets and StatefulSets have all pods new and ready, Jobs are complete, definitions established and
//! aggregated APIs available; and conditions of any other object, where they are asked for. A Job that failed ends the
//! wait at once: time does not mend it.

use std::collections::BTreeSet;
use std::time::Duration;

use grappe_kubeadm::manifest::Object;
use grappe_provider::{Context, Fault};
use grappe_provider_kubeadm::access::Kubectl;
use grappe_provider_kubeadm::client::Client;
use grappe_provider_kubeadm::wait::until;
use grappe_ssh::quote;
use grappe_value::{ObjectType, Type};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::hanging;
use crate::objects::live;

/// A condition that an object must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    condition: String,
}

impl Awaited {
    /// `{ kind = "certificate", name = "web", namespace = "team", condition = "Ready" }`
    pub fn ty() -> Type {
        Type::Object(
            ObjectType {
                attributes: ["kind", "name", "namespace", "condition"]
                    .map(|name| (name.into(), Type::String))
                    .into(),
                optional: ["namespace".into()].into(),
            }
            .into(),
        )
    }

    /// What is missing still.
    async fn missing(&self, kubectl: &Kubectl) -> Result<Option<String>, Fault> {
        let Self { kind, name, namespace, condition } = self;
        let space = namespace.as_ref().map(|name| format!("-n {} ", quote(name))).unwrap_or_default();
        let found = kubectl.get(&format!("{space}{} {}", quote(kind), quote(name))).await?;
        let Some(found) = found else { return Ok(Some(format!("{kind} {name} is not there"))) };
        Ok(lacks(&found, condition).map(|why| format!("{kind} {name} is not {condition}{why}")))
    }
}

/// Whether an object lacks a condition, and what it says of that.
fn lacks(object: &Json, condition: &str) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|c| c["type"] == condition);
    match found {
        Some(found) if found["status"] == "True" => None,
        found => {
            let said = found.and_then(|found| found["message"].as_str()).filter(|text| !text.is_empty());
            Some(said.map(|text| format!(": {text}")).unwrap_or_default())
        }
    }
}

/// Waits until the objects of a manifest run as it says, and have the conditions that are asked for.
///
/// # Errors
/// Not within `limit`, with the pods that hang, and why; or a Job failed.
pub async fn complete(
    ctx: &Context<Client>,
    kubectl: &Kubectl,
    text: &str,
    objects: &[Object],
    conditions: &[Awaited],
    limit: Duration,
) -> Result<(), Fault> {
    let waits = |kind: &str| {
        matches!(
            kind,
            "DaemonSet" | "Deployment" | "StatefulSet" | "Job" | "CustomResourceDefinition" | "APIService"
        )
    };
    let watched: Vec<&Object> = objects.iter().filter(|object| waits(&object.kind)).collect();
    if watched.is_empty() && conditions.is_empty() {
        return Ok(());
    }
    let waited = until(ctx, "the rollout", limit, || async {
        let live = if watched.is_empty() { Vec::new() } else { live(kubectl, text, objects).await? };
        if let Some(failed) = live.iter().flatten().find_map(failed) {
            return Err(Fault::permanent(failed));
        }
        let mut missing: Vec<String> = live.iter().flatten().filter_map(progress).collect();
        for condition in conditions {
            missing.extend(condition.missing(kubectl).await?);
        }
        Ok(if missing.is_empty() { Ok(()) } else { Err(missing.join("; ")) })
    })
    .await;
    let Err(fault) = waited else { return Ok(()) };
    Err(explained(fault, kubectl, objects).await)
}

/// The fault, with the pods that hang in the namespaces of a manifest's workloads.
pub async fn explained(fault: Fault, kubectl: &Kubectl, objects: &[Object]) -> Fault {
    let runs = |kind: &str| matches!(kind, "DaemonSet" | "Deployment" | "StatefulSet" | "Job");
    let namespaces: BTreeSet<String> = objects
        .iter()
        .filter(|object| runs(&object.kind))
        .map(|object| object.namespace.clone().unwrap_or_else(|| "default".into()))
        .collect();
    fault.details(hanging::explain(kubectl, &namespaces).await.join("\n"))
}

/// A Job that will not complete any more.
fn failed(object: &Json) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array();
    let failed = conditions.into_iter().flatten().find(|c| c["type"] == "Failed" && c["status"] == "True")?;
    let name = object["metadata"]["name"].as_str().unwrap_or("?");
    (object["kind"] == "Job").then(|| {
        format!("the Job {name} failed: {}", failed["message"].as_str().unwrap_or("it does not say why"))
    })
}

/// What an object still lacks; `None` for what is complete, or needs nothing.
pub fn progress(object: &Json) -> Option<String> {
    let (kind, status) = (object["kind"].as_str().unwrap_or_default(), &object["status"]);
    let name = object["metadata"]["name"].as_str().unwrap_or("?");
    let number = |value: &Json| value.as_i64().unwrap_or(0);
    let (updated, ready, wanted) = match kind {
        "DaemonSet" => ("updatedNumberScheduled", "numberReady", number(&status["desiredNumberScheduled"])),
        "Deployment" | "StatefulSet" => {
            ("updatedReplicas", "readyReplicas", object["spec"]["replicas"].as_i64().unwrap_or(1))
        }
        "Job" => return lacks(object, "Complete").map(|_| format!("Job {name} is not complete")),
        "CustomResourceDefinition" => {
            return lacks(object, "Established")
                .map(|why| format!("the definition {name} is not established{why}"));
        }
        "APIService" => {
            return lacks(object, "Available").map(|why| format!("the API {name} is not available{why}"));
        }
        _ => return None,
    };
    if number(&status["observedGeneration"]) < number(&object["metadata"]["generation"]) {
        return Some(format!("{kind} {name} is not looked at yet"));
    }
    // Pods that are replaced only when somebody deletes them are never all new.
    let by_hand = object["spec"]["updateStrategy"]["type"] == "OnDelete";
    let (updated, ready) = (number(&status[updated]), number(&status[ready]));
    let have = if by_hand { ready } else { updated.min(ready) };
    (have < wanted).then(|| format!("{kind} {name} has {have} of {wanted} pods ready"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_is_complete_when_all_pods_are_new_and_ready() {
        let set = |observed: i64, updated: i64, ready: i64| {
            json!({"kind": "DaemonSet", "metadata": {"name": "d", "generation": 2},
                "status": {"observedGeneration": observed, "desiredNumberScheduled": 3, "updatedNumberScheduled": updated, "numberReady": ready}})
        };
        assert_eq!(progress(&set(2, 3, 3)), None);
        assert_eq!(progress(&set(1, 3, 3)).as_deref(), Some("DaemonSet d is not looked at yet"));
        assert_eq!(progress(&set(2, 1, 3)).as_deref(), Some("DaemonSet d has 1 of 3 pods ready"));
        let mut by_hand = set(2, 0, 3);
        by_hand["spec"] = json!({"updateStrategy": {"type": "OnDelete"}});
        assert_eq!(progress(&by_hand), None);
        assert_eq!(progress(&json!({"kind": "ConfigMap"})), None);
        let deployment = json!({"kind": "Deployment", "metadata": {"name": "w"}, "spec": {}, "status": {}});
        assert_eq!(progress(&deployment).as_deref(), Some("Deployment w has 0 of 1 pods ready"));
    }

    #[test]
    fn jobs_are_done_or_failed_and_definitions_established() {
        let of = |kind: &str, condition: &str, status: &str| {
            json!({"kind": kind, "metadata": {"name": "x"}, "status": {"conditions": [
                {"type": condition, "status": status, "message": "the reason"}]}})
        };
        assert_eq!(progress(&of("Job", "Complete", "True")), None);
        assert_eq!(progress(&of("Job", "Failed", "True")).as_deref(), Some("Job x is not complete"));
        assert_eq!(failed(&of("Job", "Failed", "True")).as_deref(), Some("the Job x failed: the reason"));
        assert_eq!(failed(&of("Deployment", "Failed", "True")), None);
        assert_eq!(progress(&of("CustomResourceDefinition", "Established", "True")), None);
        assert_eq!(
            progress(&of("APIService", "Available", "False")).as_deref(),
            Some("the API x is not available: the reason")
        );
    }
}
