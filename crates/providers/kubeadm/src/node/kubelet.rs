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
use grappe_ssh::Exec;
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
            let output = remote.watch(Exec::new("kubeadm upgrade node").timeout(LONG)).await?;
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

/// The release a node's kubelet runs.
pub fn release_of(node: &Json) -> Option<KubernetesVersion> {
    node["status"]["nodeInfo"]["kubeletVersion"].as_str()?.parse().ok()
}
