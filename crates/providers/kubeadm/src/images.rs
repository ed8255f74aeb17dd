//! A control plane's images, fetched before they are needed: kubeadm pulls them itself, but only when its turn has come.

use std::time::Duration;

use grappe_provider::{Context, Fault};
use grappe_ssh::Exec;

use crate::access::Kubectl;
use crate::client::{Client, Machine};
use crate::remote::{LONG, Remote};

const FILE: &str = "/etc/kubernetes/grappe-images.yaml";
/// Holds once `kubeadm_host` has prepared a machine.
const PREPARED: &str = "command -v kubeadm >/dev/null && [ -d /etc/kubernetes ] && [ -s /etc/containerd/config.toml ] && systemctl is-active -q containerd";

/// Fetches them by a configuration of kubeadm's. That they cannot be fetched is kubeadm's to say, later.
pub async fn pull(remote: &Remote, config: &str) -> Result<(), Fault> {
    remote.with_file(FILE, config, "kubeadm config images pull --config").await.map(drop)
}

/// Fetches them onto a machine that is about to become a control plane of a cluster.
pub async fn pull_for(remote: &Remote, kubectl: &Kubectl) {
    let Ok(Some(map)) = kubectl.get("-n kube-system configmap kubeadm-config").await else { return };
    if let Some(config) = map["data"]["ClusterConfiguration"].as_str() {
        let _ = pull(remote, config).await;
    }
}

/// Fetches them onto the machines that will be control planes, while the first is still being made. Whatever is in the way
/// of that is left to their joins.
pub async fn pull_onto(ctx: &Context<Client>, machines: &[&Machine], config: &str) {
    let each = machines.iter().map(|machine| async move {
        let Ok(remote) = ctx.client().reach(ctx, machine).await else { return };
        // They are being prepared at the same time.
        let wait = format!(
            "n=0\nuntil {PREPARED}; do\nn=$((n+1))\nif [ $n -gt {} ]; then exit 1; fi\nsleep 1\ndone",
            LONG.as_secs()
        );
        let prepared = remote.ask(Exec::new(wait).timeout(LONG + Duration::from_secs(60))).await;
        if prepared.is_ok_and(|output| output.success()) {
            let _ = pull(&remote, config).await;
        }
    });
    futures::future::join_all(each).await;
}
