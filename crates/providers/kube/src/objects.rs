//! The objects of a manifest in a cluster: applied by the server's own merge, read back, waited for, deleted.
//!
//! All of a manifest goes in one call each way. It travels by standard input: a manifest may hold Secrets.

use std::collections::BTreeSet;
use std::time::Duration;

use grappe_kubeadm::manifest::{self, Object};
use grappe_provider::{Context, Fault};
use grappe_provider_kubeadm::access::{KUBECTL, Kubectl};
use grappe_provider_kubeadm::client::Client;
use grappe_provider_kubeadm::wait::until;
use grappe_ssh::{Exec, quote};
use serde_json::Value as Json;

use crate::drift::differences;

/// Who owns the fields that we set.
const MANAGER: &str = "--field-manager=grappe";

/// The objects of a text that was valid when it was planned.
pub fn parse(text: &str) -> Result<Vec<Object>, Fault> {
    manifest::objects(text).map_err(|error| Fault::permanent(error.to_string()).attribute("manifest"))
}

/// What names an object in a state: `DaemonSet.v1.apps kube-system/kube-router`.
pub fn id(object: &Object) -> String {
    match &object.namespace {
        Some(namespace) => format!("{} {namespace}/{}", object.resource(), object.name),
        None => format!("{} {}", object.resource(), object.name),
    }
}

/// Applies a manifest. Custom resources whose definition comes with them are tried until the API has it.
///
/// # Errors
/// kubectl failed.
pub async fn apply(
    ctx: &Context<Client>,
    kubectl: &Kubectl,
    text: &str,
    objects: &[Object],
) -> Result<(), Fault> {
    let defines = objects.iter().any(|object| object.kind == "CustomResourceDefinition");
    let args = format!("apply --server-side --force-conflicts {MANAGER} -f -");
    until(ctx, "the manifest to be accepted", Duration::from_secs(120), || async {
        match kubectl.feed("kubectl apply", &args, text).await {
            Ok(_) => Ok(Ok(())),
            Err(fault) if fault.details.iter().any(|line| line.contains("omits key field \"protocol\"")) => {
                kubectl.feed("kubectl apply", &args, &with_protocols(objects)).await.map(|_| Ok(()))
            }
            Err(fault)
                if defines && fault.details.iter().any(|line| line.contains("no matches for kind")) =>
            {
                Ok(Err("its own definitions are not established yet".to_owned()))
            }
            Err(fault) => Err(fault),
        }
    })
    .await
}

/// The manifest with each port's protocol said: API servers before 1.22 merge ports by a key that they do not default.
/// See <https://github.com/kubernetes/kubernetes/issues/92332>.
fn with_protocols(objects: &[Object]) -> String {
    fn fill(value: &mut Json) {
        match value {
            Json::Array(items) => items.iter_mut().for_each(fill),
            Json::Object(fields) => {
                for (key, value) in fields {
                    if key == "ports" {
                        for port in value.as_array_mut().into_iter().flatten().filter_map(Json::as_object_mut)
                        {
                            port.entry("protocol").or_insert_with(|| "TCP".into());
                        }
                    }
                    fill(value);
                }
            }
            _ => {}
        }
    }
    let filled = objects.iter().map(|object| {
        let mut value = object.value.clone();
        if matches!(
            object.kind.as_str(),
            "Service" | "Pod" | "Deployment" | "DaemonSet" | "StatefulSet" | "Job" | "CronJob"
        ) {
            fill(&mut value);
        }
        value
    });
    grappe_kubeadm::config::yaml::documents(&filled.collect::<Vec<_>>())
}

/// The live objects of a manifest, in its order; `None` for each that is not there.
///
/// # Errors
/// kubectl failed.
pub async fn live(kubectl: &Kubectl, text: &str, objects: &[Object]) -> Result<Vec<Option<Json>>, Fault> {
    let exec = Exec::new(format!("{KUBECTL} get -f - -o json --ignore-not-found")).stdin(text);
    let output = kubectl.remote.ask(exec.timeout(Duration::from_secs(120))).await?;
    if !output.success() && output.stderr_str().contains("no matches for kind") {
        // A definition is gone, and its objects with it: each is asked for on its own.
        return one_by_one(kubectl, objects).await;
    }
    let printed = kubectl.check("kubectl get", output)?;
    let found = if printed.is_empty() { Json::Null } else { json(kubectl, &printed)? };
    let items = match &found["items"] {
        Json::Array(items) => items.clone(),
        _ => vec![found],
    };
    Ok(objects.iter().map(|object| items.iter().find(|item| is_same(object, item)).cloned()).collect())
}

async fn one_by_one(kubectl: &Kubectl, objects: &[Object]) -> Result<Vec<Option<Json>>, Fault> {
    let mut all = Vec::new();
    for object in objects {
        all.push(match kubectl.get(&reference(object)).await {
            Err(fault) if fault.details.iter().any(|line| line.contains("doesn't have a resource type")) => {
                None
            }
            other => other?,
        });
    }
    Ok(all)
}

fn is_same(object: &Object, found: &Json) -> bool {
    let namespace = found["metadata"]["namespace"].as_str();
    found["kind"] == object.kind.as_str()
        && found["metadata"]["name"] == object.name.as_str()
        && object.namespace.as_deref().is_none_or(|wanted| Some(wanted) == namespace)
}

/// How one object is asked for.
fn reference(object: &Object) -> String {
    let namespace =
        object.namespace.as_deref().map(|name| format!("-n {} ", quote(name))).unwrap_or_default();
    format!("{namespace}{} {}", quote(&object.resource()), quote(&object.name))
}

fn json(kubectl: &Kubectl, text: &str) -> Result<Json, Fault> {
    serde_json::from_str(text).map_err(|error| {
        Fault::permanent(format!("{}: kubectl answered what is not JSON", kubectl.remote.name()))
            .source(error)
    })
}

/// In what the cluster differs from a manifest; `None` where nothing of it is there.
///
/// # Errors
/// kubectl failed.
pub async fn drift(kubectl: &Kubectl, text: &str, objects: &[Object]) -> Result<Option<Vec<String>>, Fault> {
    let live = live(kubectl, text, objects).await?;
    if live.iter().all(Option::is_none) {
        return Ok(None);
    }
    let mut drift = Vec::new();
    for (object, found) in objects.iter().zip(live) {
        match found {
            None => drift.push(format!("{}: gone", id(object))),
            Some(found) => {
                drift.extend(
                    differences(&object.value, &found)
                        .into_iter()
                        .map(|what| format!("{}: {what}", id(object))),
                );
            }
        }
    }
    Ok(Some(drift))
}

/// Deletes the objects of a manifest, the last first; what is gone already is deleted.
///
/// # Errors
/// kubectl failed, or they do not go within `limit`.
pub async fn delete(kubectl: &Kubectl, text: &str, limit: Duration) -> Result<(), Fault> {
    let seconds = limit.as_secs();
    let script = format!("{KUBECTL} delete -f - --ignore-not-found --timeout={seconds}s");
    let exec = Exec::new(script).stdin(text).timeout(limit + Duration::from_secs(30));
    let output = kubectl.remote.ask(exec).await?;
    if !output.success() && output.stderr_str().contains("no matches for kind") {
        return Ok(());
    }
    kubectl.check("kubectl delete", output).map(|_| ())
}

/// Deletes what was in the old manifest and is not in the new one.
///
/// # Errors
/// kubectl failed.
pub async fn prune(kubectl: &Kubectl, old: &[String], new: &[Object]) -> Result<(), Fault> {
    let kept: BTreeSet<String> = new.iter().map(id).collect();
    for gone in old.iter().rev().filter(|id| !kept.contains(*id)) {
        let Some((resource, name)) = gone.split_once(' ') else { continue };
        let (namespace, name) = match name.split_once('/') {
            Some((namespace, name)) => (format!("-n {} ", quote(namespace)), name),
            None => (String::new(), name),
        };
        let args =
            format!("{namespace}delete {} {} --ignore-not-found --timeout=50s", quote(resource), quote(name));
        kubectl.run(&format!("delete {gone}"), &args).await?;
    }
    Ok(())
}

/// Waits until the workloads of a manifest run as it says.
///
/// # Errors
/// Not within `limit`: with the pods that hang, and why.
pub async fn rolled_out(
    ctx: &Context<Client>,
    kubectl: &Kubectl,
    text: &str,
    objects: &[Object],
    limit: Duration,
) -> Result<(), Fault> {
    let workloads: Vec<&Object> = objects
        .iter()
        .filter(|o| matches!(o.kind.as_str(), "DaemonSet" | "Deployment" | "StatefulSet"))
        .collect();
    if workloads.is_empty() {
        return Ok(());
    }
    let waited = until(ctx, "the rollout", limit, || async {
        let live = live(kubectl, text, objects).await?;
        let missing = live.iter().flatten().filter_map(progress).collect::<Vec<_>>();
        Ok(if missing.is_empty() { Ok(()) } else { Err(missing.join("; ")) })
    })
    .await;
    let Err(fault) = waited else { return Ok(()) };
    let namespaces: BTreeSet<&str> =
        workloads.iter().map(|object| object.namespace.as_deref().unwrap_or("default")).collect();
    let mut hanging = Vec::new();
    for namespace in namespaces {
        let pods =
            kubectl.get(&format!("-n {} pods", quote(namespace))).await.ok().flatten().unwrap_or_default();
        hanging.extend(pods["items"].as_array().into_iter().flatten().filter_map(hangs));
    }
    Err(fault.details(hanging.join("\n")))
}

/// What a workload still lacks; `None` for what is complete, or no workload.
pub fn progress(object: &Json) -> Option<String> {
    let (kind, status) = (object["kind"].as_str().unwrap_or_default(), &object["status"]);
    let number = |value: &Json| value.as_i64().unwrap_or(0);
    let seen = number(&status["observedGeneration"]) >= number(&object["metadata"]["generation"]);
    let (updated, ready, wanted) = match kind {
        "DaemonSet" => ("updatedNumberScheduled", "numberReady", number(&status["desiredNumberScheduled"])),
        "Deployment" | "StatefulSet" => {
            ("updatedReplicas", "readyReplicas", object["spec"]["replicas"].as_i64().unwrap_or(1))
        }
        _ => return None,
    };
    let name = object["metadata"]["name"].as_str().unwrap_or("?");
    let (updated, ready) = (number(&status[updated]), number(&status[ready]));
    if !seen {
        return Some(format!("{kind} {name} is not looked at yet"));
    }
    let have = updated.min(ready);
    (have < wanted).then(|| format!("{kind} {name} has {have} of {wanted} pods ready"))
}

/// A pod that is not ready, where it is, and why.
pub fn hangs(pod: &Json) -> Option<String> {
    let status = &pod["status"];
    let conditions = status["conditions"].as_array();
    let condition = |kind: &str| conditions.into_iter().flatten().find(|c| c["type"] == kind);
    let done = status["phase"] == "Succeeded";
    if done || condition("Ready").is_some_and(|c| c["status"] == "True") {
        return None;
    }
    let states = ["initContainerStatuses", "containerStatuses"].map(|key| status[key].as_array());
    let waiting = states.into_iter().flatten().flatten().find_map(|container| {
        let waiting = &container["state"]["waiting"];
        let reason = waiting["reason"].as_str()?;
        Some(format!("{reason} {}", waiting["message"].as_str().unwrap_or_default()))
    });
    let unscheduled = condition("PodScheduled").filter(|c| c["status"] != "True");
    let why = waiting
        .or_else(|| unscheduled.and_then(|c| c["message"].as_str()).map(str::to_owned))
        .unwrap_or_else(|| status["phase"].as_str().unwrap_or("no status").to_owned());
    let text = |value: &Json| value.as_str().unwrap_or("?").to_owned();
    let (name, node) = (text(&pod["metadata"]["name"]), text(&pod["spec"]["nodeName"]));
    Some(format!("pod {name} on {node}: {}", why.trim()))
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
        assert_eq!(progress(&json!({"kind": "ConfigMap"})), None);
        let deployment = json!({"kind": "Deployment", "metadata": {"name": "w"}, "spec": {}, "status": {}});
        assert_eq!(progress(&deployment).as_deref(), Some("Deployment w has 0 of 1 pods ready"));
    }

    #[test]
    fn a_hanging_pod_says_where_and_why() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "w1"}, "status": {"phase": "Pending",
            "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}});
        assert_eq!(hangs(&pod).as_deref(), Some("pod p on w1: ImagePullBackOff no such image"));
        let pod = json!({"metadata": {"name": "p"}, "status": {"phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]}});
        assert_eq!(hangs(&pod).as_deref(), Some("pod p on ?: 0/1 nodes are available"));
        let ready =
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(hangs(&ready), None);
        assert_eq!(hangs(&json!({"status": {"phase": "Succeeded"}})), None);
    }

    #[test]
    fn ports_get_the_protocol_they_have_anyway() {
        let text = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}, {port: 53, protocol: UDP}]}\n";
        let filled = with_protocols(&parse(text).expect("one"));
        let ports = parse(&filled).expect("one")[0].value["spec"]["ports"].clone();
        assert_eq!(ports, json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]));
    }

    #[test]
    fn objects_have_names_that_lead_back_to_them() {
        let objects = parse("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d, namespace: net}\n")
            .expect("one");
        assert_eq!(id(&objects[0]), "DaemonSet.v1.apps net/d");
        assert_eq!(reference(&objects[0]), "-n 'net' 'DaemonSet.v1.apps' 'd'");
    }
}
