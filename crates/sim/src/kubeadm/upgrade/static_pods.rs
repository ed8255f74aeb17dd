//! The static pods of one control plane go to another release, one after the other: cmd/kubeadm/app/phases/upgrade/staticpods.go (1.20).
//!
//! A kubelet restarts a pod at once here. One that does not run lets kubeadm wait five minutes and take everything back; only the waiting
//! is left out.

use crate::cluster::EtcdMember;
use crate::host::Host;
use crate::kubeadm::config::Settings;
use crate::kubeadm::{certs, files};
use crate::tools::{Cx, format_date};
use crate::world::State;

const MANIFESTS: &str = "/etc/kubernetes/manifests";

/// The certificates that a component uses.
fn certificates(component: &str) -> &'static [&'static str] {
    match component {
        "etcd" => &["etcd-server", "etcd-peer", "etcd-healthcheck-client"],
        "kube-apiserver" => {
            &["apiserver", "apiserver-kubelet-client", "front-proxy-client", "apiserver-etcd-client"]
        }
        "kube-controller-manager" => &["controller-manager.conf"],
        _ => &["scheduler.conf"],
    }
}

/// Every member of etcd must answer, not only most of them.
///
/// # Errors
/// As kubeadm says it of the first that does not.
pub(in crate::kubeadm) fn etcd_health(s: &mut State, id: &str) -> Result<(), String> {
    s.promote_learners(id);
    let members: Vec<EtcdMember> = s.clusters.get(id).map(|c| c.etcd.clone()).unwrap_or_default();
    // A learner that has not started has no client address yet.
    match members.iter().find(|m| m.learner_until.is_none() && !s.etcd_up(&m.machine)) {
        None => Ok(()),
        Some(dead) => Err(format!(
            "etcd cluster is not healthy: failed to dial endpoint https://{}:2379 with maintenance client: context deadline exceeded",
            dead.address
        )),
    }
}

/// Upgrades them. `settings` are the cluster's, of the new release and as this node.
///
/// # Errors
/// Everything is as it was then.
pub(super) fn run(
    cx: &mut Cx<'_>,
    id: &str,
    settings: &Settings,
    etcd: bool,
    renew: bool,
) -> Result<(), String> {
    if !cx.host(|h, _| h.active("kubelet")) {
        return Err("timed out waiting for the condition".to_owned());
    }
    let wanted = files::manifests(settings, &settings.node, &[]);
    let text = |h: &Host, component: &str| h.files.text(&format!("{MANIFESTS}/{component}.yaml"));
    let stamp = format_date("%Y-%m-%d-%H-%M-%S", cx.sh.state(|s| s.now()) / 1000);
    let backup = format!("/etc/kubernetes/tmp/kubeadm-backup-manifests-{stamp}");
    let fresh = format!("/etc/kubernetes/tmp/kubeadm-upgraded-manifests{}", crate::world::model::hex(9));
    let mut order: Vec<&str> = vec!["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    if etcd {
        cx.out("[upgrade/etcd] Upgrading to TLS for etcd\n");
        cx.sh.state(|s| etcd_health(s, id))?;
        order.insert(0, "etcd");
        cx.host_mut(|h, now| {
            let kept = format!("/etc/kubernetes/tmp/kubeadm-backup-etcd-{stamp}/etcd");
            for (path, node) in
                h.files.below("/var/lib/etcd").map(|(p, n)| (p.to_owned(), n.clone())).collect::<Vec<_>>()
            {
                if let (crate::host::files::Kind::File(content), Some(rest)) =
                    (node.kind, path.strip_prefix("/var/lib/etcd"))
                {
                    h.files.put(&format!("{kept}{rest}"), content.0, 0o600, now);
                }
            }
        });
    }
    for component in order {
        if component == "kube-apiserver" {
            cx.out(format!("[upgrade/staticpods] Writing new Static Pod manifests to \"{fresh}\"\n"));
        }
        cx.out(format!("[upgrade/staticpods] Preparing for \"{component}\" upgrade\n"));
        let Some((_, new)) = wanted.iter().find(|(n, _)| *n == component) else { continue };
        let old = cx.host(|h, _| text(h, component));
        if old == *new {
            cx.out(format!(
                "[upgrade/staticpods] Current and new manifests of {component} are equal, skipping upgrade\n"
            ));
            continue;
        }
        if renew {
            for certificate in certificates(component) {
                cx.out(format!("[upgrade/staticpods] Renewing {certificate} certificate\n"));
                cx.host_mut(|h, now| certs::renew(h, certificate, now)).map_err(|e| {
                    format!("failed to renew certificates for component \"{component}\": {e}")
                })?;
            }
        }
        cx.host_mut(|h, now| {
            h.files.put(&format!("{backup}/{component}.yaml"), old, 0o600, now);
            h.files.put(&format!("{MANIFESTS}/{component}.yaml"), new.as_str(), 0o600, now);
        });
        let pods = cx.sh.state(|s| {
            s.reconcile(id);
            let mirror = format!("{component}-");
            let of_it = |p: &&serde_json::Value| {
                p["metadata"]["name"].as_str().is_some_and(|n| n.starts_with(&mirror))
                    && p["metadata"]["labels"]["component"] == component
            };
            s.clusters.get(id).map_or(0, |c| c.objects.list("Pod", Some("kube-system")).filter(of_it).count())
        });
        cx.out(format!("[upgrade/staticpods] Moved new manifest to \"{MANIFESTS}/{component}.yaml\" and backed up old manifest to \"{backup}/{component}.yaml\"\n[upgrade/staticpods] Waiting for the kubelet to restart the component\n[upgrade/staticpods] This might take a minute or longer depending on the component/version gap (timeout 5m0s)\n[apiclient] Found {pods} Pods for label selector component={component}\n[upgrade/staticpods] Component \"{component}\" upgraded successfully!\n"));
        if component == "etcd" {
            cx.out("[upgrade/etcd] Waiting for etcd to become available\n");
        }
    }
    if renew {
        cx.host_mut(|h, now| certs::renew(h, "admin.conf", now))
            .map_err(|e| format!("failed to upgrade the admin.conf certificates: {e}"))?;
    }
    Ok(())
}
