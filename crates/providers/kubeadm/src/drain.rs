//! Moving the pods off a node before it goes, with a deadline and a policy.
//!
//! That a node was closed here is noted on it, in an annotation: a drain that gives up opens the node again, and wherever a run is
//! cut off, the next one sees that it must be opened. A node that somebody else had closed stays closed.

use std::time::Duration;

use grappe_provider::Fault;
use grappe_ssh::{Exec, quote};
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::access::{KUBECTL, Kubectl};

/// The annotation of a node that was closed here.
const CLOSED: &str = "grappe.io/cordoned";
/// How long the pods of a deleted DaemonSet are given before they are looked at again.
const ORPHANS: Duration = Duration::from_secs(1);

/// What to do with pods that will not go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Give up, and leave the node as it was.
    #[default]
    Fail,
    /// Delete them, past disruption budgets and though nothing starts them elsewhere.
    Force,
    /// Do not drain at all.
    Skip,
}

/// Closes a node and drains it.
///
/// # Errors
/// Pods that will not go, by name, and the disruption budgets that hold them; the node takes pods again then, if it did before.
pub async fn drain(
    kubectl: &Kubectl,
    node: &str,
    minor: u32,
    policy: Policy,
    limit: Duration,
) -> Result<(), Fault> {
    if policy == Policy::Skip {
        return Ok(());
    }
    let found = kubectl.node(node).await?.unwrap_or_default();
    let theirs = found["spec"]["unschedulable"] == true && !is_closed_here(&found);
    if !theirs {
        note(kubectl, node, &format!("{CLOSED}=drain --overwrite")).await?;
    }
    let Err(fault) = evict(kubectl, node, minor, policy, limit).await else { return Ok(()) };
    if theirs {
        return Err(fault);
    }
    // What was begun is undone: a node must not stay closed because a drain gave up.
    match open(kubectl, node).await {
        Ok(()) => Err(fault),
        Err(closed) => {
            Err(fault.details(format!("and the node stays cordoned until the next apply: {closed}")))
        }
    }
}

/// Whether a node was closed here, and not opened again.
pub fn is_closed_here(node: &Json) -> bool {
    node["metadata"]["annotations"][CLOSED].is_string()
}

/// Opens a node, where it was closed here.
///
/// # Errors
/// kubectl failed.
pub async fn open(kubectl: &Kubectl, node: &str) -> Result<(), Fault> {
    if !is_closed_here(&kubectl.node(node).await?.unwrap_or_default()) {
        return Ok(());
    }
    kubectl.run("uncordon", &format!("uncordon {}", quote(node))).await?;
    note(kubectl, node, &format!("{CLOSED}-")).await
}

async fn note(kubectl: &Kubectl, node: &str, words: &str) -> Result<(), Fault> {
    let args = format!("annotate node {} {words}", quote(node));
    kubectl.run("note on the node that it was closed", &args).await.map(|_| ())
}

async fn evict(
    kubectl: &Kubectl,
    node: &str,
    minor: u32,
    policy: Policy,
    limit: Duration,
) -> Result<(), Fault> {
    // Renamed in 1.20.
    let empty_dir = if minor >= 20 { "--delete-emptydir-data" } else { "--delete-local-data" };
    let deadline = Instant::now() + limit;
    let output = loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        let args = drain_args(node, empty_dir, left);
        let output = run(kubectl, &args, left).await?;
        if output.success() {
            return Ok(());
        }
        // The pods of a DaemonSet that was just deleted go by themselves, in a moment.
        if !is_orphaned(&output.stderr_str()) || Instant::now() + ORPHANS > deadline {
            break output;
        }
        tokio::time::sleep(ORPHANS).await;
    };
    if policy == Policy::Force {
        let args = drain_args(node, empty_dir, limit);
        let args = format!("{args} --force --disable-eviction --grace-period=30");
        let forced = run(kubectl, &args, limit).await?;
        return kubectl.check(&format!("drain {node} by force"), forced).map(|_| ());
    }
    let left = blocking(kubectl, node).await.unwrap_or_default();
    let mut fault = kubectl
        .check(&format!("drain {node} within {} s", limit.as_secs()), output)
        .expect_err("the output is a failure's");
    // kubectl says "connection", "timeout" and the like of pods too: more of the same would not help.
    fault.kind = Fault::permanent("").kind;
    if !left.is_empty() {
        fault = fault.details(format!("still on {node}: {}", left.join(", ")));
    }
    Err(fault.hint("free what blocks it (a disruption budget, a bare pod), give drain_timeout more time, or set drain_policy to \"force\" or \"skip\""))
}

fn drain_args(node: &str, empty_dir: &str, limit: Duration) -> String {
    format!("drain {} --ignore-daemonsets {empty_dir} --timeout={}s", quote(node), limit.as_secs())
}

/// Whether all that kubectl minds is pods whose DaemonSet is gone.
fn is_orphaned(stderr: &str) -> bool {
    stderr
        .lines()
        .any(|line| line.starts_with("error: cannot delete daemonsets.apps ") && line.contains(" not found"))
}

async fn run(kubectl: &Kubectl, args: &str, limit: Duration) -> Result<grappe_ssh::Output, Fault> {
    let exec = Exec::new(format!("{KUBECTL} {args}")).timeout(limit + Duration::from_secs(60));
    kubectl.remote.ask(exec).await
}

/// The pods that are left, each with the disruption budget that holds it.
async fn blocking(kubectl: &Kubectl, node: &str) -> Result<Vec<String>, Fault> {
    let selector = quote(&format!("spec.nodeName={node}"));
    let pods = kubectl.get(&format!("pods --all-namespaces --field-selector {selector}")).await?;
    let budgets = kubectl.get("poddisruptionbudgets --all-namespaces").await.ok().flatten();
    let (pods, budgets) = (pods.unwrap_or_default(), budgets.unwrap_or_default());
    let name = |pod: &Json| match budget(&budgets, pod) {
        Some(budget) => format!("{} (held by the disruption budget {budget})", full_name(pod)),
        None => full_name(pod),
    };
    Ok(blockers(&pods).into_iter().map(name).collect())
}

/// The budget that lets no pod like this one go now.
fn budget(budgets: &Json, pod: &Json) -> Option<String> {
    let mut all = budgets["items"].as_array()?.iter();
    let of_pod = |budget: &&Json| {
        let selector = &budget["spec"]["selector"];
        // Expressions are rare there, and left to kubectl's own words.
        let labels = selector["matchLabels"].as_object();
        budget["metadata"]["namespace"] == pod["metadata"]["namespace"]
            && budget["status"]["disruptionsAllowed"] == 0
            && selector["matchExpressions"].is_null()
            && labels.into_iter().flatten().all(|(key, value)| &pod["metadata"]["labels"][key] == value)
    };
    all.find(of_pod).map(full_name)
}

fn full_name(object: &Json) -> String {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or("?");
    format!("{}/{}", text("namespace"), text("name"))
}

/// The pods that a drain would move: neither a DaemonSet's nor the kubelet's own.
fn blockers(list: &Json) -> Vec<&Json> {
    let pods = list["items"].as_array().into_iter().flatten();
    pods.filter(|pod| {
        let owners = pod["metadata"]["ownerReferences"].as_array();
        let daemon =
            owners.into_iter().flatten().any(|owner| owner["kind"] == "DaemonSet" || owner["kind"] == "Node");
        let mirror = pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string();
        !daemon && !mirror
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_pods_that_should_have_gone_are_named() {
        let pod = |name: &str, owner: &str| json!({"metadata": {"namespace": "a", "name": name, "ownerReferences": [{"kind": owner}]}});
        let mirror = json!({"metadata": {"namespace": "kube-system", "name": "etcd-cp1",
            "annotations": {"kubernetes.io/config.mirror": "x"}}});
        let bare = json!({"metadata": {"namespace": "a", "name": "bare"}});
        let list = json!({"items": [pod("web", "ReplicaSet"), pod("proxy", "DaemonSet"), mirror, bare]});
        let names = |list: &Json| blockers(list).into_iter().map(full_name).collect::<Vec<_>>();
        assert_eq!(names(&list), ["a/web", "a/bare"]);
        assert_eq!(names(&Json::Null), [""; 0]);
    }

    #[test]
    fn the_budget_that_holds_a_pod_is_named() {
        let pod =
            json!({"metadata": {"namespace": "a", "name": "web-1", "labels": {"app": "web", "x": "y"}}});
        let budgets = |allowed: u32, app: &str| {
            json!({"items": [{"metadata": {"namespace": "a", "name": "keep"},
                "spec": {"selector": {"matchLabels": {"app": app}}}, "status": {"disruptionsAllowed": allowed}}]})
        };
        assert_eq!(budget(&budgets(0, "web"), &pod).as_deref(), Some("a/keep"));
        assert_eq!(budget(&budgets(1, "web"), &pod), None);
        assert_eq!(budget(&budgets(0, "db"), &pod), None);
    }

    #[test]
    fn pods_without_their_daemonset_are_waited_for() {
        assert!(is_orphaned(
            "DEPRECATED WARNING: x\nerror: unable to drain node \"cp1\", aborting command...\n\nThere are pending nodes to be \
             drained:\n cp1\nerror: cannot delete daemonsets.apps \"minicni\" not found: kube-system/minicni-7r8pc\n"
        ));
        assert!(!is_orphaned(
            "error: cannot delete Pods with local storage (use --delete-emptydir-data to override)"
        ));
    }
}
