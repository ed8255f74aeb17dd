//! Moving the pods off a node before it goes, with a deadline and a policy.

use std::time::Duration;

use grappe_provider::Fault;
use grappe_ssh::{Exec, quote};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::access::{KUBECTL, Kubectl};

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

/// Drains a node.
///
/// # Errors
/// Pods that will not go, by name; the node takes pods again then.
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
    // Renamed in 1.20.
    let empty_dir = if minor >= 20 { "--delete-emptydir-data" } else { "--delete-local-data" };
    let args =
        format!("drain {} --ignore-daemonsets {empty_dir} --timeout={}s", quote(node), limit.as_secs());
    let output = run(kubectl, &args, limit).await?;
    if output.success() {
        return Ok(());
    }
    if policy == Policy::Force {
        let args = format!("{args} --force --disable-eviction --grace-period=30");
        let forced = run(kubectl, &args, limit).await?;
        return kubectl.check(&format!("drain {node} by force"), forced).map(|_| ());
    }
    let left = pods_left(kubectl, node).await.unwrap_or_default();
    // What was begun is undone: a node must not stay closed because a drain gave up.
    let reopened = kubectl.run("uncordon", &format!("uncordon {}", quote(node))).await;
    let mut fault = kubectl
        .check(&format!("drain {node} within {} s", limit.as_secs()), output)
        .expect_err("the output is a failure's");
    if !left.is_empty() {
        fault = fault.details(format!("still on {node}: {}", left.join(", ")));
    }
    if let Err(closed) = reopened {
        fault = fault.details(format!("and the node stays cordoned: {closed}"));
    }
    Err(fault.hint("free what blocks it (a disruption budget, a bare pod), give drain_timeout more time, or set drain_policy to \"force\" or \"skip\""))
}

async fn run(kubectl: &Kubectl, args: &str, limit: Duration) -> Result<grappe_ssh::Output, Fault> {
    let exec = Exec::new(format!("{KUBECTL} {args}")).timeout(limit + Duration::from_secs(60));
    kubectl.remote.ask(exec).await
}

async fn pods_left(kubectl: &Kubectl, node: &str) -> Result<Vec<String>, Fault> {
    let selector = quote(&format!("spec.nodeName={node}"));
    let list = kubectl.get(&format!("pods --all-namespaces --field-selector {selector}")).await?;
    Ok(blockers(&list.unwrap_or_default()))
}

/// The pods that a drain would move: neither a DaemonSet's nor the kubelet's own.
fn blockers(list: &Json) -> Vec<String> {
    let pods = list["items"].as_array().into_iter().flatten();
    pods.filter(|pod| {
        let owners = pod["metadata"]["ownerReferences"].as_array();
        let daemon =
            owners.into_iter().flatten().any(|owner| owner["kind"] == "DaemonSet" || owner["kind"] == "Node");
        let mirror = pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string();
        !daemon && !mirror
    })
    .map(|pod| {
        let text = |key: &str| pod["metadata"][key].as_str().unwrap_or("?").to_owned();
        format!("{}/{}", text("namespace"), text("name"))
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
        assert_eq!(blockers(&list), ["a/web", "a/bare"]);
        assert_eq!(blockers(&Json::Null), [""; 0]);
    }
}
