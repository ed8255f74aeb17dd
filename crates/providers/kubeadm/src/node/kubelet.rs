//! The upgrade of a node's kubelet, after that of the control planes ([`crate::cluster`]).
//!
//! kubeadm's new release comes first, which disturbs nobody; then the node is closed and drained ([`drain`]), its kubelet set to
//! the new release and waited for, and the node opened again, if it was open before.

use std::time::Duration;

use grappe_kubeadm::config::LocalEndpoint;
use grappe_kubeadm::upgrade::is_behind;
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::{Context, Fault};
use grappe_provider_host::Connection;
use grappe_ssh::{Exec, quote};
use serde_json::Value as Json;

use super::{local_api_ready, version};
use crate::access::{ClusterRef, Kubectl, is_ready};
use crate::client::Client;
use crate::drain::{self, Policy};
use crate::host::release;
use crate::places;
use crate::remote::{LONG, Remote};
use crate::reset::wait_for_other_kubeadm;
use crate::wait::until;

/// How long a kubelet may take to be Ready in its new release.
const LIMIT: Duration = Duration::from_secs(300);

/// An upgrade to be done.
pub struct Upgrading<'a> {
    /// The run.
    pub ctx: &'a Context<Client>,
    /// The cluster, in its new release.
    pub cluster: &'a ClusterRef,
    /// The machine.
    pub connection: &'a Connection,
    /// Its node.
    pub name: &'a str,
    /// Where its API server listens, on a control plane.
    pub endpoint: Option<&'a LocalEndpoint>,
    /// What to do with pods that will not go.
    pub policy: Policy,
    /// How long they have.
    pub limit: Duration,
    /// Of `kubeadm upgrade node`.
    pub flags: Vec<String>,
}

impl Upgrading<'_> {
    /// Does what is left of it.
    ///
    /// # Errors
    /// Pods that will not go; no repository has the release; the kubelet does not come back.
    pub async fn run(&self) -> Result<(), Fault> {
        let wanted = version(&self.cluster.version)?;
        let group = if self.endpoint.is_some() { "control planes" } else { "upgrades of workers" };
        let places = if self.endpoint.is_some() { 1 } else { self.cluster.max_unavailable.unwrap_or(1) };
        let _place = places::place(self.ctx, &format!("{group} of {}", self.cluster.id), places).await?;
        let kubectl = match self.cluster.kubectl_but(self.ctx, Some(self.connection)).await {
            Ok(kubectl) => kubectl,
            Err(_) => self.cluster.kubectl(self.ctx).await.map_err(|none| none.fault())?,
        };
        let Some(node) = kubectl.node(self.name).await? else {
            return Err(Fault::gone(format!("the cluster {} has no node {}", self.cluster.name, self.name)));
        };
        if release_of(&node).is_some_and(|kubelet| is_behind(&kubelet, &wanted)) {
            let remote = self.ctx.client().reach(self.ctx, self.connection).await?;
            self.upgrade(&kubectl, &remote, &wanted).await?;
        }
        drain::open(&kubectl, self.name).await
    }

    async fn upgrade(
        &self,
        kubectl: &Kubectl,
        remote: &Remote,
        wanted: &KubernetesVersion,
    ) -> Result<(), Fault> {
        wait_for_other_kubeadm(remote).await?;
        release::install(remote, &["kubeadm"], wanted).await?;
        self.ctx.progress(format!("draining {}", self.name));
        drain::drain(kubectl, self.name, wanted.minor(), self.policy, self.limit).await?;
        if self.endpoint.is_none() {
            self.ctx.progress("kubeadm upgrade node");
            let command = format!("kubeadm upgrade node {}", self.flags.join(" "));
            let output = remote.watch(Exec::new(command.trim_end()).timeout(LONG)).await?;
            if !output.success() {
                return Err(super::kubeadm_fault(remote, "kubeadm upgrade node", &output).await);
            }
        }
        release::install(remote, &["kubelet", "kubectl"], wanted).await?;
        self.ctx.progress("restarting the kubelet");
        remote.sh("restart the kubelet", "systemctl daemon-reload && systemctl restart kubelet").await?;
        until(self.ctx, &format!("the node {}", self.name), LIMIT, || async {
            let node = kubectl.node(self.name).await?.unwrap_or_default();
            let behind = release_of(&node).is_none_or(|kubelet| is_behind(&kubelet, wanted));
            Ok(match (behind, is_ready(&node)) {
                (true, _) => Err(format!("its kubelet does not say yet that it is {wanted}")),
                (false, false) => Err("not Ready".to_owned()),
                (false, true) => Ok(()),
            })
        })
        .await?;
        match self.endpoint {
            Some(endpoint) => local_api_ready(self.ctx, remote, endpoint, LIMIT).await,
            None => Ok(()),
        }
    }
}

/// What `kubeadm upgrade` does not remember of a node: given anew each time.
pub fn upgrade_flags(patches: Option<&str>, ignored: &[String], version: &KubernetesVersion) -> Vec<String> {
    let patches = patches.map(|folder| {
        // It got its name in 1.22.
        let name = if version.minor() >= 22 { "--patches" } else { "--experimental-patches" };
        format!("{name}={}", quote(folder))
    });
    let ignored =
        (!ignored.is_empty()).then(|| format!("--ignore-preflight-errors={}", quote(&ignored.join(","))));
    patches.into_iter().chain(ignored).collect()
}

/// The release a node's kubelet runs.
pub fn release_of(node: &Json) -> Option<KubernetesVersion> {
    node["status"]["nodeInfo"]["kubeletVersion"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_was_joined_with_is_said_again() {
        let flags = |patches, ignored: &[&str], version: &str| {
            let ignored: Vec<String> = ignored.iter().map(|check| (*check).to_owned()).collect();
            upgrade_flags(patches, &ignored, &version.parse().expect("a version")).join(" ")
        };
        assert_eq!(flags(None, &[], "1.34.2"), "");
        assert_eq!(
            flags(Some("/etc/patches"), &["Swap", "Mem"], "1.34.2"),
            "--patches='/etc/patches' --ignore-preflight-errors='Swap,Mem'"
        );
        assert_eq!(flags(Some("/etc/patches"), &[], "1.20.2"), "--experimental-patches='/etc/patches'");
    }
}
