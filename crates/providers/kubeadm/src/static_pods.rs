//! A control plane's components: static pods, which the kubelet starts anew when their manifest changes.

use std::time::Duration;

use grappe_provider::{Context, Fault};
use grappe_ssh::quote;
use serde_json::Value as Json;

use crate::access::{Kubectl, is_ready};
use crate::client::Client;
use crate::remote::Remote;
use crate::wait::until;

/// All of them, in the order in which they are changed.
pub const COMPONENTS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// How long one may take to come back.
const LIMIT: Duration = Duration::from_secs(300);
/// An annotation of ours: a new value is a changed manifest, and shows in the API when that manifest runs.
const RESTARTED: &str = "grappe.io/restarted";

/// Where the manifest of a component is.
pub fn path(component: &str) -> String {
    format!("/etc/kubernetes/manifests/{component}.yaml")
}

/// Component and hash of each manifest that is there.
///
/// # Errors
/// The host could not be asked.
pub async fn hashes(remote: &Remote) -> Result<Vec<(String, String)>, Fault> {
    let script = format!(
        "cd /etc/kubernetes/manifests && for f in {}; do\nif [ -f $f.yaml ]; then echo $f $(sha256sum < $f.yaml); fi\ndone",
        COMPONENTS.join(" ")
    );
    let output = remote.sh("read the control plane's manifests", &script).await?;
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    Ok(output.lines().filter_map(line).collect())
}

/// Waits until a component runs, ready, by the manifest that is there now.
///
/// # Errors
/// Not in time.
pub async fn runs(
    ctx: &Context<Client>,
    kubectl: &Kubectl,
    component: &str,
    node: &str,
) -> Result<(), Fault> {
    let manifest = parse(&kubectl.remote.read(&path(component)).await?.unwrap_or_default());
    until(ctx, &format!("{component} on {node}"), LIMIT, || async {
        let pod =
            kubectl.get(&format!("-n kube-system pod {}", quote(&format!("{component}-{node}")))).await?;
        let Some(pod) = pod else { return Ok(Err("its pod is not there".to_owned())) };
        Ok(match (is_of(&pod, &manifest), is_ready(&pod)) {
            (true, true) => Ok(()),
            (true, false) => Err("its pod is not ready".to_owned()),
            (false, _) => Err("the kubelet has not taken the new manifest yet".to_owned()),
        })
    })
    .await
}

/// Starts every component anew: etcd, and when it serves again all others. `mark` tells this time from others.
///
/// # Errors
/// The host could not be asked, or a component does not come back.
pub async fn restart(ctx: &Context<Client>, kubectl: &Kubectl, node: &str, mark: &str) -> Result<(), Fault> {
    let (etcd, others) = COMPONENTS.split_at(1);
    for group in [etcd, others] {
        let mut restarted = Vec::new();
        for component in group {
            let Some(text) = kubectl.remote.read(&path(component)).await? else { continue };
            ctx.progress(format!("{component} restarts on {node}"));
            kubectl.remote.write(&path(component), &annotated(&text, mark), 0o600).await?;
            restarted.push(*component);
        }
        for component in restarted {
            runs(ctx, kubectl, component, node).await?;
        }
    }
    Ok(())
}

/// Whether a pod of the API is that of a manifest: its mirror has the command and our annotation.
fn is_of(pod: &Json, manifest: &Json) -> bool {
    let command = |pod: &Json| pod["spec"]["containers"][0]["command"].clone();
    let mark = |pod: &Json| pod["metadata"]["annotations"][RESTARTED].clone();
    command(pod) == command(manifest) && mark(pod) == mark(manifest)
}

/// A manifest as kubeadm writes it, with our annotation.
fn annotated(manifest: &str, mark: &str) -> String {
    let line = format!("    {RESTARTED}: {mark:?}\n");
    let kept: String = manifest
        .split_inclusive('\n')
        .filter(|line| !line.trim_start().starts_with(&format!("{RESTARTED}:")))
        .collect();
    match kept.split_once("\n  annotations:\n") {
        Some((before, after)) => format!("{before}\n  annotations:\n{line}{after}"),
        None => kept.replacen("\nmetadata:\n", &format!("\nmetadata:\n  annotations:\n{line}"), 1),
    }
}

fn parse(text: &str) -> Json {
    let objects = grappe_kubeadm::manifest::objects(text).unwrap_or_default();
    objects.into_iter().next().map(|object| object.value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str =
        "apiVersion: v1\nkind: Pod\nmetadata:\n  creationTimestamp: null\n  name: kube-scheduler\nspec: {}\n";

    #[test]
    fn the_annotation_is_put_in_and_replaced() {
        let once = annotated(BARE, "1");
        assert_eq!(parse(&once)["metadata"]["annotations"][RESTARTED], "1");
        let twice = annotated(&once, "2");
        assert_eq!(parse(&twice)["metadata"]["annotations"], serde_json::json!({ RESTARTED: "2" }));
        let theirs = BARE.replace("  creationTimestamp", "  annotations:\n    a: b\n  creationTimestamp");
        let annotations = &parse(&annotated(&theirs, "1"))["metadata"]["annotations"];
        assert_eq!(*annotations, serde_json::json!({ RESTARTED: "1", "a": "b" }));
    }

    #[test]
    fn a_pod_is_of_a_manifest_by_command_and_annotation() {
        let pod = |command: &str, mark: &str| {
            serde_json::json!({"metadata": {"annotations": { RESTARTED: mark }},
                "spec": {"containers": [{"command": [command]}]}})
        };
        assert!(is_of(&pod("etcd", "1"), &pod("etcd", "1")));
        assert!(!is_of(&pod("etcd", "1"), &pod("etcd", "2")));
        assert!(!is_of(&pod("etcd", "1"), &pod("etcd --x", "1")));
    }
}
