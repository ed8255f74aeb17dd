//! Ceasing to be a node of a cluster.
//!
//! Drain, reset (which takes a control plane out of etcd), delete the Node: the last from a survivor, which also takes
//! the etcd member out where the host is dead. What dies by itself in the same run is not undone: nothing is drained in a
//! cluster that goes nor taken out of its books, no machine is reset that goes, and where both go nothing is done at all.

use std::time::Duration;

use grappe_provider::{Context, Fault};
use grappe_provider_host::{Connection, is_another_machine};

use super::{delete_node, version};
use crate::access::{ClusterRef, Kubectl, is_alive};
use crate::client::Client;
use crate::drain::{self, Policy};
use crate::etcd;
use crate::places;
use crate::remote::Remote;
use crate::reset::reset;
use crate::snapshot;
use crate::standing::Standing;
use crate::wait::until;

/// A departure to be done.
pub struct Leaving<'a> {
    /// The run.
    pub ctx: &'a Context<Client>,
    /// The cluster to leave.
    pub cluster: &'a ClusterRef,
    /// The machine.
    pub connection: &'a Connection,
    /// Its node.
    pub name: &'a str,
    /// Whether it is a control plane.
    pub control_plane: bool,
    /// What to do with pods that will not go.
    pub policy: Policy,
    /// How long they have.
    pub limit: Duration,
}

impl Leaving<'_> {
    /// Does it. What is gone already is left.
    ///
    /// # Errors
    /// Pods that will not go; no control plane answers though the cluster exists; the host cannot be reached though it
    /// lives.
    pub async fn run(&self) -> Result<(), Fault> {
        let (cluster_goes, machine_goes) = (self.ctx.goes(&self.cluster.id), self.connection.goes(self.ctx));
        if cluster_goes && machine_goes {
            return Ok(());
        }
        let _place = match self.control_plane {
            true => Some(places::of_control_plane(self.ctx, &self.cluster.id).await?),
            false => None,
        };
        let kubectl = match self.cluster.kubectl_but(self.ctx, Some(self.connection)).await {
            Ok(kubectl) => kubectl,
            // Nothing to leave: the machine is cleaned, as far as it holds anything of the cluster.
            Err(none) if none.gone && !self.control_plane => {
                return self.clean(&self.ctx.client().reach(self.ctx, self.connection).await?).await;
            }
            // The last control plane is the cluster: it goes with the resource that made it.
            Err(none) if none.gone => {
                self.ctx.progress("the last control plane goes with the cluster");
                return Ok(());
            }
            Err(none) => return Err(none.fault()),
        };
        let remote = self.machine(&kubectl).await?;
        if self.control_plane && !cluster_goes {
            keep_quorum(&kubectl, self.name).await?;
            // To be able to go back; but the removal may be the cure for an etcd that is ill.
            if let Err(fault) = snapshot::take(self.ctx, &kubectl, "remove").await {
                self.ctx.progress(format!("going on without a snapshot of etcd: {fault}"));
            }
        }
        if let Some(remote) = remote {
            if !cluster_goes && kubectl.node(self.name).await?.as_ref().is_some_and(is_alive) {
                self.ctx.progress(format!("draining {}", self.name));
                let minor = version(&self.cluster.version)?.minor();
                drain::drain(&kubectl, self.name, minor, self.policy, self.limit).await?;
            }
            if !machine_goes {
                self.clean(&remote).await?;
            }
        }
        if cluster_goes {
            return Ok(());
        }
        if self.control_plane {
            etcd::remove(&kubectl, self.name).await?;
        }
        self.ctx.progress(format!("deleting the node {}", self.name));
        kubectl.run("delete the node", &delete_node(self.name)).await.map(|_| ())
    }

    /// The machine; `None` where it is dead: unreachable for us, and for the cluster too.
    async fn machine(&self, kubectl: &Kubectl) -> Result<Option<Remote>, Fault> {
        until(self.ctx, &format!("the machine of {}", self.name), Duration::from_secs(120), || async {
            let fault = match self.ctx.client().reach(self.ctx, self.connection).await {
                Ok(remote) => match remote.holds("true").await {
                    Ok(_) => return Ok(Ok(Some(remote))),
                    Err(fault) => fault,
                },
                Err(fault) => fault,
            };
            if !fault.is_transient() && !is_another_machine(&fault) {
                return Err(fault);
            }
            if kubectl.node(self.name).await?.is_some_and(|node| is_alive(&node)) {
                return Ok(Err(format!("it does not answer ({}), though its kubelet speaks", fault.summary)));
            }
            self.ctx.progress("the machine does not answer and its kubelet is silent: taken for dead");
            Ok(Ok(None))
        })
        .await
    }

    /// Resets the host, if it still is a node of this cluster.
    async fn clean(&self, remote: &Remote) -> Result<(), Fault> {
        let standing = Standing::read(remote).await?;
        let ours = standing.ca_cert_hash.as_ref() == Some(&self.cluster.ca_cert_hash)
            || (standing.ca_cert_hash.is_none() && standing.marker.node.is_some());
        if standing.is_clean() || !ours {
            return Ok(());
        }
        self.ctx.progress("kubeadm reset");
        reset(remote, self.cluster.pod_subnet.as_deref()).await
    }
}

/// The members that stay must be able to elect a leader: kubeadm would wipe this one although they cannot.
pub(super) async fn keep_quorum(kubectl: &Kubectl, name: &str) -> Result<(), Fault> {
    let Some((_, members)) = etcd::members(kubectl).await? else { return Ok(()) };
    let staying: Vec<_> = members.iter().filter(|member| member.name != name).collect();
    let list = kubectl.get("nodes").await?.unwrap_or_default();
    let nodes = list["items"].as_array().into_iter().flatten();
    let speaking: Vec<_> =
        nodes.filter(|node| is_alive(node)).map(|node| &node["metadata"]["name"]).collect();
    let alive = staying.iter().filter(|member| speaking.iter().any(|name| **name == member.name)).count();
    if staying.len() < members.len() && alive <= staying.len() / 2 {
        return Err(Fault::permanent(format!(
            "without {name} etcd would lose its quorum: of the {} members that stay, {alive} are alive",
            staying.len()
        ))
        .hint("bring the other control planes back, or remove the dead ones first"));
    }
    Ok(())
}
