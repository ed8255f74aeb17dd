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

/// Whether something outside of the cluster may stand behind an object, which would be left when the cluster goes: a load balancer, a volume, a name.
/// Only kinds of Kubernetes' own that are known to be records inside the cluster have none.
pub fn reaches_out(object: &Object) -> bool {
    let group = object.api_version.split_once('/').map_or("", |(group, _)| group);
    match (group, object.kind.as_str()) {
        ("", "Service") => object.value["spec"]["type"] == "LoadBalancer",
        ("", "ConfigMap" | "Secret" | "ServiceAccount" | "Pod" | "LimitRange" | "ResourceQuota") => false,
        (
            "apps" | "batch" | "policy" | "rbac.authorization.k8s.io" | "autoscaling" | "scheduling.k8s.io",
            _,
        ) => false,
        ("networking.k8s.io", "NetworkPolicy") => false,
        ("storage.k8s.io", "StorageClass" | "CSIDriver") => false,
        _ => true,
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
                let fed = kubectl.feed("kubectl apply", &args, &with_protocols(objects)).await;
                fed.map(|_| Ok(())).map_err(|fault| placed(fault, objects))
            }
            Err(fault)
                if defines && fault.details.iter().any(|line| line.contains("no matches for kind")) =>
            {
                Ok(Err("its own definitions are not established yet".to_owned()))
            }
            Err(fault) => Err(placed(fault, objects)),
        }
    })
    .await
}

/// The fault, with where in the manifest the objects stand that kubectl names.
fn placed(fault: Fault, objects: &[Object]) -> Fault {
    let lines = fault.details.clone();
    let named = |object: &&Object| lines.iter().any(|line| names(line, object));
    let places: Vec<String> =
        objects.iter().filter(named).map(|object| format!("at {}", object.place())).collect();
    // A line that fits everything says nothing.
    if places.is_empty() || places.len() > 5 { fault } else { fault.details(places.join("\n")) }
}

/// Whether a line of kubectl's is about an object: `The Service "web" is invalid`, `deployments.apps "web" is forbidden`,
/// `no matches for kind "X" in version "y/v1"`, `namespaces "team" not found`.
fn names(line: &str, object: &Object) -> bool {
    let quoted = |text: &str| line.contains(&format!("\"{text}\""));
    let lower = line.to_lowercase();
    let kind = object.kind.to_lowercase();
    // Resources are named in the plural: ingresses, networkpolicies.
    let stem = kind.strip_suffix('y').unwrap_or(&kind);
    (quoted(&object.name) && lower.contains(stem))
        || (line.contains("no matches for kind") && quoted(&object.kind) && quoted(&object.api_version))
        || (lower.contains("namespaces \"") && object.namespace.as_deref().is_some_and(quoted))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_get_the_protocol_they_have_anyway() {
        let text = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}, {port: 53, protocol: UDP}]}\n";
        let filled = with_protocols(&parse(text).expect("one"));
        let ports = parse(&filled).expect("one")[0].value["spec"]["ports"].clone();
        assert_eq!(ports, json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]));
    }

    #[test]
    fn what_kubectl_complains_of_is_found_in_the_manifest() {
        let objects = parse(
            "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: team}\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: team}\n---\n\
             apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: none}\n",
        )
        .expect("three");
        let at = |line: &str| {
            let fault = placed(Fault::permanent("kubectl apply failed").details(line), &objects);
            fault
                .details
                .iter()
                .filter_map(|line| line.strip_prefix("at ").map(str::to_owned))
                .collect::<Vec<_>>()
        };
        assert_eq!(at("The Service \"web\" is invalid: spec.ports"), ["document 1, Service team/web"]);
        assert_eq!(
            at("Error from server (Forbidden): deployments.apps \"web\" is forbidden"),
            ["document 2, Deployment team/web"]
        );
        assert_eq!(
            at("Error from server: networkpolicies.networking.k8s.io \"none\" is forbidden"),
            ["document 3, NetworkPolicy none"]
        );
        assert_eq!(
            at(
                "error: unable to recognize \"STDIN\": no matches for kind \"Deployment\" in version \"apps/v1\""
            ),
            ["document 2, Deployment team/web"]
        );
        assert_eq!(at("Error from server (NotFound): namespaces \"team\" not found").len(), 2);
        assert_eq!(at("Unable to connect to the server"), [""; 0]);
    }

    #[test]
    fn objects_have_names_that_lead_back_to_them() {
        let objects = parse("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d, namespace: net}\n")
            .expect("one");
        assert_eq!(id(&objects[0]), "DaemonSet.v1.apps net/d");
        assert_eq!(reference(&objects[0]), "-n 'net' 'DaemonSet.v1.apps' 'd'");
    }
}
