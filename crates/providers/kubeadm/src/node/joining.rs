//! Becoming a node of a cluster.
//!
//! 1. Look at what the host is. A finished join of ours, or one that this cluster already knows, is adopted; a half
//!    finished one of ours is reset; anything else is left alone with an error.
//! 2. Mark the host, so that a crash from here on is recognised.
//! 3. Mint a token (and upload the certificates under a fresh key) on any control plane that answers.
//! 4. `kubeadm join` with a typed file that only root can read and that is gone afterwards.
//! 5. Revoke the token, whatever came of the join.
//! 6. Wait until the cluster knows the node, and for a control plane until its own API server is ready.

use std::time::Duration;

use grappe_kubeadm::Secret;
use grappe_kubeadm::config::{self, Discovery, Join, JoinControlPlane, LocalEndpoint, NodeRegistration};
use grappe_kubeadm::join::BootstrapToken;
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::{Context, Fault};
use grappe_provider_host::Connection;
use serde_json::Value as Json;

use super::leaving::keep_quorum;
use super::secrets::{mint_token, revoke, upload_certificates};
use super::{Known, delete_node, known, kubeadm_fault, local_api_ready, version};
use crate::access::{ClusterRef, Kubectl, is_alive, is_ready};
use crate::client::{Client, same_machine};
use crate::etcd;
use crate::images;
use crate::places;
use crate::remote::Remote;
use crate::reset::{reset, wait_for_other_kubeadm};
use crate::standing::{Claim, Standing};
use crate::wait::until;

/// What a node is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Runs workloads.
    Worker,
    /// Runs an API server, on this address, and a member of etcd.
    ControlPlane {
        /// Where its API server listens.
        endpoint: LocalEndpoint,
    },
}

/// A join to be done.
pub struct Joining<'a> {
    /// The run.
    pub ctx: &'a Context<Client>,
    /// The cluster to join.
    pub cluster: &'a ClusterRef,
    /// The machine, as a connection.
    pub connection: &'a Connection,
    /// What it is to be.
    pub role: Role,
    /// How it registers; the name is settled.
    pub node: NodeRegistration,
    /// Phases to leave out.
    pub skip_phases: Vec<String>,
    /// Folder of patches.
    pub patches: Option<String>,
    /// How long kubeadm waits.
    pub timeouts: config::Timeouts,
}

impl Joining<'_> {
    /// Does it.
    ///
    /// # Errors
    /// The host is something else already; no control plane answers; kubeadm fails.
    pub async fn run(&self) -> Result<Known, Fault> {
        let name = self.node.name.as_deref().expect("the caller settles the name");
        let remote = self.ctx.client().reach(self.ctx, self.connection).await?;
        wait_for_other_kubeadm(&remote).await?;
        let standing = Standing::read(&remote).await?;
        let kubectl = self.survivor().await?;
        let _turn = match self.role {
            Role::Worker => None,
            Role::ControlPlane { .. } => {
                if standing.is_clean() {
                    images::pull_for(&remote, &kubectl).await;
                }
                Some(places::of_control_plane(self.ctx, &self.cluster.id).await?)
            }
        };
        if !standing.is_clean() {
            self.refuse_foreign(&remote, &standing)?;
            if let Some(known) = self.adopted(&remote, &kubectl, &standing, name).await? {
                if standing.marker.node == Some(Claim::begun(self.ctx.key())) {
                    // The run that joined it was cut off before it could.
                    self.revoke(&kubectl, name).await?;
                }
                self.mark(&remote, true).await?;
                return Ok(known);
            }
            if standing.admin_conf {
                keep_quorum(&kubectl, name).await?;
            }
            self.ctx.progress("undoing what is left of a join");
            reset(&remote, self.cluster.pod_subnet.as_deref()).await?;
        }
        self.clear_namesake(&kubectl, name).await?;
        self.mark(&remote, false).await?;
        self.join(&remote, &kubectl).await?;
        let known = self.settled(&remote, &kubectl, name).await?;
        self.mark(&remote, true).await?;
        Ok(known)
    }

    /// A control plane that is not this machine, or this machine where it is the only one (it made the cluster).
    async fn survivor(&self) -> Result<Kubectl, Fault> {
        match self.cluster.kubectl_but(self.ctx, Some(self.connection)).await {
            Ok(kubectl) => Ok(kubectl),
            Err(_) => self.cluster.kubectl(self.ctx).await.map_err(|none| none.fault()),
        }
    }

    /// What is on the host must be ours or the cluster's.
    fn refuse_foreign(&self, remote: &Remote, standing: &Standing) -> Result<(), Fault> {
        let refuse = |why: &str| {
            Err(Fault::permanent(format!("{} {why}", remote.name()))
                .hint("choose another machine, or take it out of that cluster first (`kubeadm reset`)"))
        };
        match &standing.ca_cert_hash {
            Some(hash) if *hash != self.cluster.ca_cert_hash => refuse("belongs to another cluster"),
            _ if standing.marker.node.is_some() => Ok(()),
            Some(_) if standing.kubelet_conf => Ok(()),
            _ => refuse("holds files of kubeadm that no resource of this plan put there"),
        }
    }

    /// The node, where the cluster knows it already in the role that is asked for.
    async fn adopted(
        &self,
        remote: &Remote,
        kubectl: &Kubectl,
        standing: &Standing,
        name: &str,
    ) -> Result<Option<Known>, Fault> {
        let half =
            !standing.kubelet_conf || standing.ca_cert_hash.as_ref() != Some(&self.cluster.ca_cert_hash);
        let finished = match self.role {
            Role::Worker => !standing.admin_conf,
            Role::ControlPlane { .. } => standing.admin_conf,
        };
        let ours = standing.node_is(self.ctx.key());
        let Some(node) = kubectl.node(name).await? else {
            // The cluster lost it, or never knew it: nobody has a use for it as it is. Unless it goes by another name
            // there, or is the cluster.
            if let Some(other) = self.registered_here(kubectl).await? {
                return Err(self.other_name(remote, &other));
            }
            return if standing.admin_conf && same_machine(&kubectl.connection, self.connection) {
                Err(self.only_one(remote, name))
            } else {
                Ok(None)
            };
        };
        if !ours && standing.marker.node.is_some() {
            return Err(Fault::permanent(format!(
                "{} is the node {name} already, under another resource",
                remote.name()
            ))
            .hint("remove that resource first, or import the node into this one"));
        }
        let cut_off = standing.marker.node == Some(Claim::begun(self.ctx.key())) && !standing.finished;
        if half || !finished || cut_off {
            return if ours { Ok(None) } else { Err(self.other_role(remote, name)) };
        }
        if let Role::ControlPlane { endpoint } = &self.role {
            // A control plane of ours that never got ready is joined anew; one that made the cluster is only waited for.
            let patience = if standing.node_is(self.ctx.key()) { 30 } else { 120 };
            if let Err(fault) =
                self.ready(remote, kubectl, endpoint, name, Duration::from_secs(patience)).await
            {
                return if standing.node_is(self.ctx.key()) { Ok(None) } else { Err(fault) };
            }
        }
        self.ctx.progress(format!("{name} is a node already: adopted"));
        Ok(Some(known(&node)))
    }

    /// The name under which the cluster knows this machine, by its address.
    async fn registered_here(&self, kubectl: &Kubectl) -> Result<Option<String>, Fault> {
        let list = kubectl.get("nodes").await?.unwrap_or_default();
        let mut nodes = list["items"].as_array().into_iter().flatten();
        let here = nodes.find(|node| is_alive(node) && self.is_here(node));
        Ok(here.and_then(|node| node["metadata"]["name"].as_str()).map(str::to_owned))
    }

    fn other_name(&self, remote: &Remote, other: &str) -> Fault {
        Fault::permanent(format!(
            "{} is a node of {} already, by the name {other}",
            remote.name(),
            self.cluster.name
        ))
        .attribute("node_name")
        .hint("set node_name to that name, or remove that node first")
    }

    fn only_one(&self, remote: &Remote, name: &str) -> Fault {
        let cluster = &self.cluster.name;
        Fault::permanent(format!(
            "{} is the only control plane of {cluster}, which has lost its node {name}: to reset it would be to destroy the cluster",
            remote.name()
        ))
        .hint("let its kubelet register it again: `systemctl restart kubelet` there")
    }

    fn other_role(&self, remote: &Remote, name: &str) -> Fault {
        let wanted = if self.role == Role::Worker { "worker" } else { "control plane" };
        Fault::permanent(format!("{} is the node {name} already, but not as a {wanted}", remote.name()))
            .hint("remove that node first, or change the resource's type")
    }

    /// A dead machine of the same name must not stand in the way: its Node and its etcd member go. A live one is
    /// somebody else's.
    async fn clear_namesake(&self, kubectl: &Kubectl, name: &str) -> Result<(), Fault> {
        if let Some(node) = kubectl.node(name).await? {
            if is_alive(&node) && !self.is_here(&node) {
                return Err(Fault::permanent(format!(
                    "the cluster {} has a live node {name} on another machine",
                    self.cluster.name
                ))
                .attribute("node_name")
                .hint("give this one another node_name"));
            }
            kubectl.run("delete the node's remains", &delete_node(name)).await?;
        }
        // Where etcd's image has no etcdctl, kubeadm itself will say that the member is in its way.
        if self.role != Role::Worker
            && let Err(fault) = etcd::remove(kubectl, name).await
        {
            self.ctx.progress(format!("going on without a look at etcd's members: {fault}"));
        }
        Ok(())
    }

    /// Whether a Node has the address that this machine is to have: it is what the machine was before its reset.
    fn is_here(&self, node: &Json) -> bool {
        let ip = self.node.kubelet_extra_args.get("node-ip").map(String::as_str);
        let addresses = node["status"]["addresses"].as_array();
        addresses.into_iter().flatten().any(|a| {
            let address = a["address"].as_str();
            address.is_some() && (address == ip || address == Some(self.connection.address.as_str()))
        })
    }

    async fn mark(&self, remote: &Remote, done: bool) -> Result<(), Fault> {
        let key = self.ctx.key();
        let mut marker = Standing::read(remote).await?.marker;
        marker.node = Some(if done { Claim::done(key) } else { Claim::begun(key) });
        marker.write(remote).await
    }

    async fn join(&self, remote: &Remote, kubectl: &Kubectl) -> Result<(), Fault> {
        let name = self.node.name.as_deref().unwrap_or_default();
        let joined = self.let_in(remote, kubectl, name).await;
        let revoked = self.revoke(kubectl, name).await;
        // The join's own error is the one to show; a token that could not be revoked dies within minutes.
        joined?;
        revoked
    }

    /// The join with what lets the machine in. Wherever that ends, what was minted is revoked after it.
    async fn let_in(&self, remote: &Remote, kubectl: &Kubectl, name: &str) -> Result<(), Fault> {
        let version = version(&self.cluster.version)?;
        let certificate_key = match self.role {
            Role::Worker => None,
            Role::ControlPlane { .. } => {
                self.ctx.progress(format!("uploading the certificates from {}", kubectl.remote.name()));
                Some(upload_certificates(&kubectl.remote, &version).await?)
            }
        };
        self.ctx.progress(format!("minting a token on {}", kubectl.remote.name()));
        let token = mint_token(&kubectl.remote, name).await?;
        self.kubeadm_join(remote, &version, &token, certificate_key).await
    }

    async fn revoke(&self, kubectl: &Kubectl, name: &str) -> Result<(), Fault> {
        revoke(&kubectl.remote, name, self.role != Role::Worker).await
    }

    async fn kubeadm_join(
        &self,
        remote: &Remote,
        version: &KubernetesVersion,
        token: &BootstrapToken,
        certificate_key: Option<Secret>,
    ) -> Result<(), Fault> {
        let control_plane = match (&self.role, certificate_key) {
            (Role::ControlPlane { endpoint }, Some(certificate_key)) => {
                Some(JoinControlPlane { endpoint: endpoint.clone(), certificate_key })
            }
            _ => None,
        };
        let model = Join {
            discovery: Discovery {
                token: token.secret().clone(),
                api_server_endpoint: self.cluster.endpoint.clone(),
                ca_cert_hashes: vec![self.cluster.ca_cert_hash.clone()],
            },
            control_plane,
            node: self.node.clone(),
            skip_phases: self.skip_phases.clone(),
            patches: self.patches.clone(),
            timeouts: self.timeouts,
        };
        let file = config::join(&model, version).map_err(|error| Fault::permanent(error.to_string()))?;
        let command =
            [&["kubeadm join".to_owned()], &file.flags[..], &["--config".to_owned()]].concat().join(" ");
        self.ctx.progress("kubeadm join");
        let command = Standing::to_its_end(&command);
        let output =
            remote.with_file("/etc/kubernetes/grappe-join.yaml", file.yaml.expose(), &command).await?;
        if output.success() {
            return Ok(());
        }
        Err(kubeadm_fault(remote, "kubeadm join", &output).await)
    }

    /// Waits until the cluster knows the node, and a control plane serves.
    async fn settled(&self, remote: &Remote, kubectl: &Kubectl, name: &str) -> Result<Known, Fault> {
        let node = until(self.ctx, &format!("the node {name}"), Duration::from_secs(120), || async {
            Ok(kubectl.node(name).await?.ok_or_else(|| "not known to the cluster yet".to_owned()))
        })
        .await?;
        if let Role::ControlPlane { endpoint } = &self.role {
            self.ready(remote, kubectl, endpoint, name, Duration::from_secs(300)).await?;
        }
        if self.others_are_ready(name).await? {
            until(self.ctx, &format!("the node {name}"), Duration::from_secs(300), || async {
                let node = kubectl.node(name).await?.unwrap_or_default();
                Ok(if is_ready(&node) { Ok(()) } else { Err("not Ready yet".to_owned()) })
            })
            .await?;
        }
        Ok(known(&node))
    }

    /// Whether the cluster's network is there, so that a node that joins becomes Ready. While the cluster is brought up it is not, and `kube_cni` is who waits.
    async fn others_are_ready(&self, name: &str) -> Result<bool, Fault> {
        let nodes = self.cluster.nodes(self.ctx).await?;
        Ok(nodes.is_some_and(|nodes| nodes.iter().any(|(other, node)| other != name && is_ready(node))))
    }

    /// Waits until the host's own API server is ready and its etcd member votes.
    async fn ready(
        &self,
        remote: &Remote,
        kubectl: &Kubectl,
        endpoint: &LocalEndpoint,
        name: &str,
        limit: Duration,
    ) -> Result<(), Fault> {
        local_api_ready(self.ctx, remote, endpoint, limit).await?;
        until(self.ctx, &format!("the etcd member of {name}"), limit, || async {
            // kubeadm returns only after the promotion; where etcd cannot be asked (an image without etcdctl) that is
            // the word we have.
            let Ok(Some((_, members))) = etcd::members(kubectl).await else { return Ok(Ok(())) };
            let learner = members.iter().any(|member| member.name == name && member.learner);
            Ok(if learner { Err("has no vote yet".to_owned()) } else { Ok(()) })
        })
        .await
    }
}
