//! Becoming a node of a cluster, and ceasing to be one: what control planes and workers have in common.
//!
//! # Joining
//! 1. Look at what the host is. A finished join of ours, or one that this cluster already knows, is adopted; a half
//!    finished one of ours is reset; anything else is left alone with an error.
//! 2. Mark the host, so that a crash from here on is recognised.
//! 3. Mint a token (and upload the certificates under a fresh key) on any control plane that answers.
//! 4. `kubeadm join` with a typed file that only root can read and that is gone afterwards.
//! 5. Revoke the token, whatever came of the join.
//! 6. Wait until the cluster knows the node, and for a control plane until its own API server is ready.
//!
//! # Leaving
//! Drain, reset (which takes a control plane out of etcd), delete the Node: the last from a survivor, which also takes
//! the etcd member out where the host is dead.

use std::time::Duration;

use grappe_kubeadm::Secret;
use grappe_kubeadm::config::{self, Discovery, Join, JoinControlPlane, LocalEndpoint, NodeRegistration};
use grappe_kubeadm::join::{self, BootstrapToken};
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::{Context, Fault};
use grappe_provider_host::Connection;
use grappe_ssh::{Exec, quote};
use serde_json::Value as Json;

use crate::access::{ClusterRef, KUBECTL, Kubectl, is_alive};
use crate::client::{Client, same_machine};
use crate::drain::{self, Policy};
use crate::etcd;
use crate::remote::{LONG, Remote};
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
}

/// What reading a node gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The kubelet's version, without `v`.
    pub version: String,
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
        if !standing.is_clean() {
            self.refuse_foreign(&remote, &standing)?;
            if let Some(known) = self.adopted(&remote, &kubectl, &standing, name).await? {
                self.mark(&remote, true).await?;
                return Ok(known);
            }
            if standing.admin_conf {
                keep_quorum(&kubectl, name).await?;
            }
            self.ctx.progress("undoing what is left of a join");
            reset(&remote).await?;
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
        if half || !finished {
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
        let version = version(&self.cluster.version)?;
        let certificate_key = match self.role {
            Role::Worker => None,
            Role::ControlPlane { .. } => {
                self.ctx.progress(format!("uploading the certificates from {}", kubectl.remote.name()));
                Some(upload_certificates(&kubectl.remote, &version).await?)
            }
        };
        self.ctx.progress(format!("minting a token on {}", kubectl.remote.name()));
        let token = mint_token(&kubectl.remote).await?;
        let joined = self.kubeadm_join(remote, &version, &token, certificate_key).await;
        let revoked = revoke_token(&kubectl.remote, &token).await;
        // The join's own error is the one to show; a token that could not be revoked dies within minutes.
        joined?;
        revoked
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
            timeouts: config::Timeouts::default(),
        };
        let file = config::join(&model, version).map_err(|error| Fault::permanent(error.to_string()))?;
        let command =
            [&["kubeadm join".to_owned()], &file.flags[..], &["--config".to_owned()]].concat().join(" ");
        self.ctx.progress("kubeadm join");
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
        Ok(known(&node))
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

/// Waits until the API server of this very host, not of another behind the load balancer, is ready.
///
/// # Errors
/// Not within `limit`.
pub async fn local_api_ready(
    ctx: &Context<Client>,
    remote: &Remote,
    endpoint: &LocalEndpoint,
    limit: Duration,
) -> Result<(), Fault> {
    let address = endpoint.advertise_address.as_deref().map(|address| {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        format!(" --server https://{host}:{}", endpoint.bind_port.unwrap_or(6443))
    });
    let script = format!("{KUBECTL}{} get --raw /readyz --request-timeout=10s", address.unwrap_or_default());
    until(ctx, &format!("the API server on {}", remote.name()), limit, || async {
        let output = remote.ask(Exec::new(&script).timeout(Duration::from_secs(30))).await?;
        if output.success() && output.stdout_str() == "ok" {
            return Ok(Ok(()));
        }
        let said = if output.stderr_str().is_empty() { output.stdout_str() } else { output.stderr_str() };
        Ok(Err(not_ready(&said)))
    })
    .await
}

/// Which checks of `/readyz` fail, out of the page that kubectl quotes on one line; or its last line.
fn not_ready(said: &str) -> String {
    let failed: Vec<&str> =
        said.split("[-]").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    if failed.is_empty() { said.lines().last().unwrap_or("no answer").to_owned() } else { failed.join(", ") }
}

/// What kubeadm's failure means: a preflight error stays until somebody changes something; the rest (time-outs, an API
/// that was away) may pass, after the leftovers were reset. The kubelet's last words go along.
pub async fn kubeadm_fault(remote: &Remote, what: &str, output: &grappe_ssh::Output) -> Fault {
    let mut fault = remote.failure(what, output);
    let preflight = output.stderr_str().contains("[preflight] Some fatal errors occurred")
        || output.stderr_str().contains("[ERROR ");
    if preflight {
        return fault
            .hint("mend what is named above; a check that does not apply goes into ignore_preflight_errors");
    }
    fault.kind = Fault::transient("").kind;
    // Errors and fatal ends only: a kubelet that crashes writes pages of stacks.
    let script =
        "journalctl -u kubelet --no-pager -n 400 -o cat 2>/dev/null | grep -E '^[EF][0-9]{4} ' | tail -n 8";
    let journal = Exec::new(script).timeout(Duration::from_secs(30));
    match remote.ask(journal).await {
        Ok(output) if !output.stdout.is_empty() => {
            fault.details(format!("the kubelet's log:\n{}", join::redact(&output.stdout_str())))
        }
        _ => fault,
    }
}

/// `kubeadm token create`, for a quarter of an hour.
async fn mint_token(remote: &Remote) -> Result<BootstrapToken, Fault> {
    let create = "kubeadm --kubeconfig /etc/kubernetes/admin.conf token create --ttl 15m";
    let printed = remote.sh("kubeadm token create", create).await?;
    join::token_from_output(&printed).map_err(|error| Fault::permanent(error.to_string()))
}

async fn revoke_token(remote: &Remote, token: &BootstrapToken) -> Result<(), Fault> {
    let delete = format!("kubeadm --kubeconfig /etc/kubernetes/admin.conf token delete {}", token.id());
    remote.sh("kubeadm token delete", &delete).await.map(|_| ())
}

/// Uploads the control plane's certificates, encrypted, and returns the key. They are gone after two hours.
async fn upload_certificates(remote: &Remote, version: &KubernetesVersion) -> Result<Secret, Fault> {
    // With a file that names the version: without, kubeadm asks the internet for the newest one.
    let cluster = config::Cluster::new(version.clone());
    let file = config::init(&config::Init::default(), &cluster, &config::Kubelet::default(), None)
        .map_err(|error| Fault::permanent(error.to_string()))?;
    let command = "kubeadm init phase upload-certs --upload-certs --config";
    let output = remote.with_file("/etc/kubernetes/grappe-upload.yaml", file.yaml.expose(), command).await?;
    if !output.success() {
        return Err(kubeadm_fault(remote, "kubeadm init phase upload-certs", &output).await);
    }
    join::certificate_key_from_output(&output.stdout_str())
        .map_err(|error| Fault::permanent(error.to_string()))
}

/// Deletes a node's object; that there is none is fine.
fn delete_node(name: &str) -> String {
    format!("delete node {} --ignore-not-found --timeout=50s", quote(name))
}

fn known(node: &Json) -> Known {
    let version = node["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default();
    Known { version: version.trim_start_matches('v').to_owned() }
}

/// The cluster's version, which was valid when it was made.
pub fn version(text: &str) -> Result<KubernetesVersion, Fault> {
    text.parse().map_err(|error: grappe_kubeadm::version::Error| Fault::permanent(error.to_string()))
}

/// Reads a node: `None` where the cluster does not know it, or the host is none any more.
///
/// # Errors
/// No control plane answers, or the host cannot be asked: nothing is concluded from silence.
pub async fn read(
    ctx: &Context<Client>,
    cluster: &ClusterRef,
    connection: &Connection,
    name: &str,
) -> Result<Option<Known>, Fault> {
    let Some(nodes) = cluster.nodes(ctx).await? else { return Ok(None) };
    let Some(node) = nodes.get(name) else { return Ok(None) };
    let standing = match ctx.client().reach(ctx, connection).await {
        Ok(remote) => Standing::read(&remote).await,
        Err(fault) => Err(fault),
    };
    let standing = match standing {
        Ok(standing) => standing,
        // A machine that died still has its node: it can be planned away.
        Err(fault) if fault.is_transient() && !is_alive(node) => return Ok(Some(known(node))),
        Err(fault) => return Err(fault),
    };
    let here = standing.kubelet_conf && standing.ca_cert_hash.as_ref() == Some(&cluster.ca_cert_hash);
    Ok(here.then(|| known(node)))
}

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
        if self.control_plane {
            keep_quorum(&kubectl, self.name).await?;
        }
        if let Some(remote) = remote {
            if kubectl.node(self.name).await?.as_ref().is_some_and(is_alive) {
                self.ctx.progress(format!("draining {}", self.name));
                let minor = version(&self.cluster.version)?.minor();
                drain::drain(&kubectl, self.name, minor, self.policy, self.limit).await?;
            }
            self.clean(&remote).await?;
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
            if !fault.is_transient() {
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
        reset(remote).await
    }
}

/// The members that stay must be able to elect a leader: kubeadm would wipe this one although they cannot.
async fn keep_quorum(kubectl: &Kubectl, name: &str) -> Result<(), Fault> {
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

/// The name a host registers under where none is given: its own, in lower case.
///
/// # Errors
/// The host could not be asked.
pub async fn host_name(remote: &Remote) -> Result<String, Fault> {
    let name = remote.sh("read the host's name", "uname -n").await?.trim().to_lowercase();
    if name.is_empty() {
        Err(Fault::permanent(format!("{} has no host name", remote.name())))
    } else {
        Ok(name)
    }
}

/// How long a join or a departure may take.
pub const TIMEOUT: Duration = Duration::from_secs(LONG.as_secs() + 10 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_that_fail_are_named() {
        let page = "Error from server (InternalError): an error on the server (\"[+]ping ok\\n[-]informer-sync failed: reason \
                    withheld\\n[-]poststarthook/rbac failed: reason withheld\\nreadyz check failed\") has prevented the request";
        assert_eq!(not_ready(page), "informer-sync, poststarthook/rbac");
        assert_eq!(not_ready("a\nthe connection was refused"), "the connection was refused");
        assert_eq!(not_ready(""), "no answer");
    }
}
