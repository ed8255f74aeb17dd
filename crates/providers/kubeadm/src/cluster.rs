//! `kubeadm_cluster`: `kubeadm init` on one machine, and from then on a cluster that any of its control planes speaks for.
//!
//! The machine it was made on is not special afterwards: the cluster exists as long as one of `control_planes` answers
//! for it, and another `host` is recorded, not acted on. What is done here once is what only init can do; that every
//! machine is a control plane, that first one included, is `kubeadm_control_plane`'s concern.

mod args;
mod reconfigure;
mod upgrade;

use std::time::Duration;

use grappe_kubeadm::config::LocalEndpoint;
use grappe_kubeadm::join;
use grappe_kubeadm::upgrade::hops;
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::{Change, Context, Fault, Importable, Problem, Resource, Timeouts};
use grappe_provider_host::Connection;
use grappe_value::{Attribute, ObjectType, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use self::args::{Args, EtcdSettings};
use crate::access::{ClusterRef, Kubectl};
use crate::client::{Client, Machine, same_machine};
use crate::images;
use crate::node::{self, kubeadm_fault, local_api_ready};
use crate::places;
use crate::remote::Remote;
use crate::reset::{reset, wait_for_other_kubeadm};
use crate::standing::{Claim, Standing};

/// The resource type.
pub struct KubeadmCluster;

/// What is known of a cluster that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The UID of its `kube-system` namespace.
    pub id: String,
    /// The hash of its CA's key.
    pub ca_cert_hash: String,
    /// What other resources refer to.
    pub cluster: ClusterRef,
    /// The machine it was made on.
    #[serde(skip_serializing)]
    pub host: Machine,
    /// What etcd's members are made of: one restarts, and takes its time, only when that changes.
    #[serde(flatten)]
    etcd: EtcdSettings,
    /// The certificate is made anew only when the names in it change.
    #[serde(default, skip_serializing)]
    cert_sans: Vec<String>,
    /// As [`Self::cert_sans`]: they are uploaded anew when they change.
    #[serde(default, skip_serializing)]
    kubelet_config: Option<Json>,
    #[serde(default, skip_serializing)]
    kube_proxy_config: Option<Json>,
}

impl Resource for KubeadmCluster {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "kubeadm_cluster"
    }

    fn schema(&self) -> Schema {
        args::schema()
            .attr("id", Attribute::computed(Type::String, "The UID of the cluster's kube-system namespace."))
            .attr("ca_cert_hash", Attribute::computed(Type::String, "`sha256:…` of the cluster CA's public key, as joins want it."))
            .attr(
                "cluster",
                Attribute::computed(
                    cluster_type(),
                    "The cluster, as the `cluster` argument of other types takes it: `id`, `name`, `endpoint`, `version`, \
                     `ca_cert_hash`, `pod_subnet`, `service_subnet`, `cloud_provider`, `kube_proxy`, `max_unavailable`, `renew_before`, `control_planes`.",
                )
                .record(),
            )
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        args::validate(config)
    }

    fn plan(&self, change: &mut Change<'_>) {
        let known = |name: &str| change.prior.and_then(|prior| prior.get(name)).cloned();
        let id = known("id").unwrap_or_else(|| Value::unknown_not_null(Type::String));
        let hash = known("ca_cert_hash").unwrap_or_else(|| Value::unknown_not_null(Type::String));
        let cluster = planned_cluster(change.planned(), id, hash);
        change.set("cluster", cluster);
    }

    fn refuse(&self, prior: &Value, planned: &Value) -> Vec<Problem> {
        let release = |object: &Value| object.get("version")?.as_str()?.parse::<KubernetesVersion>().ok();
        let (Some(old), Some(new)) = (release(prior), release(planned)) else { return Vec::new() };
        let refused = hops(&old, &new).err();
        refused.map(|why| Problem::new("version", why.to_string()).hint(why.hint())).into_iter().collect()
    }

    fn timeouts(&self) -> Timeouts {
        // An upgrade may be three hops on each of seven control planes.
        Timeouts {
            create: node::TIMEOUT,
            update: node::TIMEOUT * 8,
            delete: node::TIMEOUT,
            ..Timeouts::default()
        }
    }

    fn importable(&self) -> Importable {
        Importable::Not(
            "what its upgrades and its end go by is what its creation has recorded, which nobody has for a cluster that others made",
        )
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        match state.cluster.kubectl(ctx).await {
            Ok(_) => Ok(Some(state)),
            Err(none) if none.gone => Ok(None),
            Err(none) => Err(none.fault()),
        }
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let endpoint = args.local_endpoint()?;
        let remote = ctx.client().reach(ctx, &args.host).await?;
        wait_for_other_kubeadm(&remote).await?;
        let standing = Standing::read(&remote).await?;
        let name = match &args.settings.node_name {
            Some(name) => name.clone(),
            None => node::host_name(&remote).await?,
        };
        if !standing.is_clean() {
            if !standing.cluster_is(ctx.key()) {
                return Err(taken(&remote, &standing));
            }
            let done = standing.marker.cluster == Some(Claim::done(ctx.key()));
            if standing.admin_conf && (done || standing.finished) {
                // What kubeadm finished is gone on with, once it serves again.
                let ready = local_api_ready(ctx, &remote, &endpoint, Duration::from_secs(300)).await;
                match ready {
                    Ok(()) => return finish(ctx, &remote, &args, &endpoint).await,
                    Err(fault) if done => return Err(fault),
                    Err(_) => {}
                }
            }
            ctx.progress("undoing an init that was not finished");
            reset(&remote, args.settings.pods()).await?;
        }
        init(ctx, &remote, &args, &endpoint, &name).await?;
        finish(ctx, &remote, &args, &endpoint).await
    }

    async fn update(&self, ctx: &Context<Client>, prior: State, args: Args) -> Result<State, Fault> {
        let _place = places::of_control_plane(ctx, &prior.id).await?;
        upgrade::run(ctx, &prior, &args).await?;
        reconfigure::run(ctx, &prior, &args).await?;
        Ok(args.state(prior.id, prior.ca_cert_hash, &args.local_endpoint()?))
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        let mut machines = state.cluster.control_planes.clone();
        if !machines.iter().any(|machine| same_machine(machine, &state.host)) {
            machines.push(state.host.clone());
        }
        let mut first = None;
        for machine in machines.iter().filter(|machine| !machine.goes(ctx)) {
            if let Err(fault) = remove(ctx, machine, &state).await {
                first = first.or(Some(fault));
            }
        }
        first.map_or(Ok(()), Err)
    }

    async fn adopt(&self, ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
        let remote = ctx.client().reach(ctx, &args.host).await?;
        let standing = Standing::read(&remote).await?;
        if standing.is_clean() || !standing.cluster_is(ctx.key()) {
            return Ok(None);
        }
        let hash = standing.ca_cert_hash.clone().unwrap_or_default();
        let endpoint = args.local_endpoint()?;
        // A half-made one has no identity yet: its key stands for it until it is deleted.
        let id = cluster_id(&Kubectl { remote, connection: (*args.host).clone() })
            .await
            .unwrap_or_else(|_| ctx.key().to_owned());
        Ok(Some(args.state(id, hash, &endpoint)))
    }
}

/// The type of the `cluster` attribute, and of the argument that takes it.
pub fn cluster_type() -> Type {
    let attributes = [
        ("id", Type::String),
        ("name", Type::String),
        ("endpoint", Type::String),
        ("version", Type::String),
        ("ca_cert_hash", Type::String),
        ("pod_subnet", Type::String),
        ("service_subnet", Type::String),
        ("cloud_provider", Type::String),
        ("kube_proxy", Type::Bool),
        ("max_unavailable", Type::Number),
        ("renew_before", Type::String),
        ("control_planes", Type::list(Connection::ty())),
    ];
    Type::Object(
        ObjectType {
            attributes: attributes.map(|(name, ty)| (name.into(), ty)).into(),
            optional: ["cloud_provider", "kube_proxy", "max_unavailable", "renew_before"]
                .map(Into::into)
                .into(),
        }
        .into(),
    )
}

/// The `cluster` argument of a type that lives in a cluster.
pub fn cluster_attribute() -> Attribute {
    Attribute::required(
        cluster_type(),
        "The cluster: `kubeadm_cluster.NAME.cluster`. Another `id` in it means another cluster.",
    )
    .replace_when("id")
}

/// What the `cluster` attribute will be, as far as it is known.
fn planned_cluster(planned: &Value, id: Value, hash: Value) -> Value {
    let get = |name: &str| planned.get(name).cloned().unwrap_or_else(|| Value::null(Type::String));
    let machines = match planned.get("control_planes") {
        Some(list) if !list.is_null() => list.clone(),
        _ => match planned.get("host") {
            Some(host) if !host.is_unknown() => Value::list(Connection::ty(), [host.clone()]),
            _ => Value::unknown_not_null(Type::list(Connection::ty())),
        },
    };
    let endpoint = match get("control_plane_endpoint") {
        given if !given.is_null() => given,
        _ => args::default_endpoint(planned),
    };
    Value::object([
        ("id", id),
        ("name", get("name")),
        ("endpoint", endpoint),
        ("version", get("version")),
        ("ca_cert_hash", hash),
        ("pod_subnet", get("pod_subnet")),
        ("service_subnet", get("service_subnet")),
        ("cloud_provider", get("cloud_provider")),
        ("kube_proxy", args::planned_kube_proxy(planned)),
        ("max_unavailable", get("max_unavailable")),
        ("renew_before", get("renew_before")),
        ("control_planes", machines),
    ])
}

/// The fault of a host that something else has taken.
fn taken(remote: &Remote, standing: &Standing) -> Fault {
    let what = match (&standing.marker.cluster, standing.admin_conf) {
        (Some(_), _) => "is a control plane of a cluster that another resource made",
        (None, true) => "is a control plane of a cluster that this plan did not make",
        (None, false) => "has been touched by kubeadm, but not by this plan",
    };
    Fault::permanent(format!("{} {what}", remote.name()))
        .attribute("host")
        .hint("choose another machine, or give this one back with `kubeadm reset -f` and `rm /etc/kubernetes/grappe.json`")
}

async fn init(
    ctx: &Context<Client>,
    remote: &Remote,
    args: &Args,
    endpoint: &LocalEndpoint,
    name: &str,
) -> Result<(), Fault> {
    let file = args.init_file(endpoint, name)?;
    mark(ctx, remote, false).await?;
    ctx.progress("kubeadm init");
    let command =
        [&["kubeadm init".to_owned()], &file.flags[..], &["--config".to_owned()]].concat().join(" ");
    let command = Standing::to_its_end(&command);
    let init = remote.with_file("/etc/kubernetes/grappe-init.yaml", file.yaml.expose(), &command);
    let others: Vec<&Machine> =
        args.control_planes.iter().flatten().filter(|machine| !same_machine(machine, &args.host)).collect();
    // The others fetch their images meanwhile, as far as they come with it.
    let fetch = async {
        images::pull_onto(ctx, &others, file.yaml.expose()).await;
        std::future::pending().await
    };
    let output = tokio::select! {
        output = init => output?,
        never = fetch => never,
    };
    if output.success() { Ok(()) } else { Err(kubeadm_fault(remote, "kubeadm init", &output).await) }
}

/// From a kubeadm that returned to a cluster that can be relied on. Every step may be done twice.
async fn finish(
    ctx: &Context<Client>,
    remote: &Remote,
    args: &Args,
    endpoint: &LocalEndpoint,
) -> Result<State, Fault> {
    local_api_ready(ctx, remote, endpoint, Duration::from_secs(300)).await?;
    let id = cluster_id(&Kubectl { remote: remote.clone(), connection: (*args.host).clone() }).await?;
    let ca = remote.read("/etc/kubernetes/pki/ca.crt").await?.unwrap_or_default();
    let hash = join::ca_cert_hash(&ca).map_err(|error| {
        Fault::permanent(format!("{}: /etc/kubernetes/pki/ca.crt: {error}", remote.name()))
    })?;
    let state = args.state(id, hash, endpoint);
    ctx.checkpoint(&state).await?;
    // kubeadm made a token for joins by hand; ours are minted one by one.
    let kubeadm = "kubeadm --kubeconfig /etc/kubernetes/admin.conf token";
    let tokens =
        join::token_ids_from_list(&remote.sh("kubeadm token list", &format!("{kubeadm} list")).await?);
    if !tokens.is_empty() && !is_done(ctx, remote).await? {
        remote.sh("kubeadm token delete", &format!("{kubeadm} delete {}", tokens.join(" "))).await?;
    }
    mark(ctx, remote, true).await?;
    Ok(state)
}

async fn is_done(ctx: &Context<Client>, remote: &Remote) -> Result<bool, Fault> {
    Ok(Standing::read(remote).await?.marker.cluster == Some(Claim::done(ctx.key())))
}

async fn mark(ctx: &Context<Client>, remote: &Remote, done: bool) -> Result<(), Fault> {
    let mut marker = Standing::read(remote).await?.marker;
    marker.cluster = Some(if done { Claim::done(ctx.key()) } else { Claim::begun(ctx.key()) });
    if !done {
        marker.node = None;
    }
    marker.write(remote).await
}

/// The UID of `kube-system`: it is made with the cluster, by the first API server, and dies with it.
async fn cluster_id(kubectl: &Kubectl) -> Result<String, Fault> {
    let namespace = kubectl.get("namespace kube-system").await?.unwrap_or_default();
    namespace["metadata"]["uid"].as_str().map(str::to_owned).ok_or_else(|| {
        Fault::transient(format!("{}: the cluster has no namespace kube-system yet", kubectl.remote.name()))
    })
}

/// Resets a machine that still is, or began to be, a control plane of this cluster.
async fn remove(ctx: &Context<Client>, machine: &Connection, state: &State) -> Result<(), Fault> {
    let remote = ctx.client().reach(ctx, machine).await?;
    let standing = Standing::read(&remote).await?;
    let ours = standing.cluster_is(ctx.key())
        || standing.ca_cert_hash.as_deref() == Some(state.ca_cert_hash.as_str());
    if standing.is_clean() || !ours {
        return Ok(());
    }
    ctx.progress(format!("kubeadm reset on {}", remote.name()));
    reset(&remote, state.cluster.pod_subnet.as_deref()).await
}

impl Args {
    fn state(&self, id: String, ca_cert_hash: String, endpoint: &LocalEndpoint) -> State {
        State {
            cluster: self.cluster_ref(&id, &ca_cert_hash, endpoint),
            id,
            ca_cert_hash,
            host: self.host.clone(),
            etcd: self.settings.etcd.clone(),
            cert_sans: self.settings.cert_sans.clone(),
            kubelet_config: Some(Json::Object(self.settings.kubelet_config.clone())),
            kube_proxy_config: Some(Json::Object(self.settings.kube_proxy_config.clone())),
        }
    }
}
