//! `kubeadm_control_plane` and `kubeadm_worker`: a machine as a node of a cluster.
//!
//! Workers join in parallel, any number. Control planes of one cluster join and leave one at a time (etcd takes one learner),
//! with no fixed pause between them: each waits for its own member and API server. The machine that `kubeadm_cluster`
//! made the cluster on may be a `kubeadm_control_plane` too: it is adopted, and can then be replaced like any other.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use grappe_kubeadm::config::{self, LocalEndpoint, NodeRegistration};
use grappe_kubeadm::upgrade::{allows, is_behind};
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::{Change, Context, Fault, Importable, Problem, Resource, Timeouts};
use grappe_provider_host::{Connection, duration};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use crate::access::{ClusterRef, Kubectl};
use crate::certificates;
use crate::client::Client;
use crate::cluster::cluster_attribute;
use crate::drain::Policy;
use crate::node::kubelet::{self, Upgrading};
use crate::node::{self, Joining, Known, Leaving, Role};
use crate::places;
use crate::standing::Standing;
use crate::taints::{self, Taint};
use crate::timeouts::{self, Waits};

/// What a part says of itself when nothing is to be done.
const AS_WANTED: &str = "as wanted";
/// How long before their end certificates are renewed, where the cluster does not say.
const RENEW_BEFORE: &str = "720h";

/// What kind of node a type makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// `kubeadm_control_plane`
    ControlPlane,
    /// `kubeadm_worker`
    Worker,
}

/// What the configuration says.
#[derive(Debug, Clone, Deserialize)]
pub struct Args {
    cluster: ClusterRef,
    host: Connection,
    node_name: Option<String>,
    node_ip: Option<String>,
    advertise_address: Option<String>,
    bind_port: Option<u16>,
    cri_socket: Option<String>,
    #[serde(default)]
    kubelet_extra_args: BTreeMap<String, String>,
    taints: Option<Vec<Taint>>,
    #[serde(default)]
    skip_phases: Vec<String>,
    patches: Option<String>,
    #[serde(default)]
    ignore_preflight_errors: Vec<String>,
    timeouts: Option<Waits>,
    #[serde(default)]
    drain_policy: Policy,
    drain_timeout: Option<String>,
}

/// What is known of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// `CLUSTER/NODE`
    id: String,
    /// The node's name.
    node_name: String,
    /// The kubelet's release.
    #[serde(default)]
    kubelet_version: Option<String>,
    /// How it stands.
    #[serde(default)]
    parts: BTreeMap<String, String>,
    /// When the first of its certificates ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificates_end: Option<String>,
    #[serde(skip_serializing)]
    cluster: ClusterRef,
    #[serde(skip_serializing)]
    host: Connection,
    #[serde(default, skip_serializing)]
    drain_policy: Policy,
    #[serde(default, skip_serializing)]
    drain_timeout: Option<String>,
}

impl Resource for Member {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        match self {
            Member::ControlPlane => "kubeadm_control_plane",
            Member::Worker => "kubeadm_worker",
        }
    }

    fn schema(&self) -> Schema {
        let strings = || Type::list(Type::String);
        let description = match self {
            Member::ControlPlane => "A machine as a control plane of a cluster, with a member of etcd.",
            Member::Worker => "A machine as a worker of a cluster.",
        };
        let schema = Schema::new(description)
            .attr("cluster", cluster_attribute())
            .attr("host", Connection::attribute())
            .attr("node_name", Attribute::optional_computed(Type::String, "The node's name; the machine's host name by default.").replace())
            .attr("node_ip", Attribute::optional(Type::String, "The node's address, on machines with several; the host's address by default.").replace())
            .attr("cri_socket", Attribute::optional(Type::String, "The socket of its container runtime; containerd's, `/run/containerd/containerd.sock`, by default.").record())
            .attr("kubelet_extra_args", Attribute::optional(Type::map(Type::String), "Arguments of this node's kubelet, by name without dashes.").replace())
            .attr("taints", Attribute::optional(Type::list(taints::ty()), "The taints it registers with; by default kubeadm's own on control planes, none on workers. Later changes are `kube_node`'s.").record())
            .attr("skip_phases", Attribute::optional(strings(), "Phases of join to leave out.").record())
            .attr("patches", Attribute::optional(Type::String, "A folder on the machine with patches for its static pods and kubelet.").record())
            .attr("ignore_preflight_errors", Attribute::optional(strings(), "Preflight checks whose errors are only warnings.").record())
            .attr(
                timeouts::ATTRIBUTE,
                Waits::attribute(
                    "How long join waits, such as `{ discovery = \"10m\" }`; before 1.31 that is the only one. The others are those of \
                     `kubeadm_cluster`.",
                ),
            )
            .attr("drain_policy", Attribute::optional(Type::String, "What becomes of pods that will not go when the node leaves: `fail` (give up, and open the node again), `force` (delete them), `skip` (do not drain).").default("fail").record())
            .attr("drain_timeout", Attribute::optional(Type::String, "How long pods have to go.").default("5m").record())
            .attr("id", Attribute::computed(Type::String, "The cluster's id and the node's name."))
            .attr("kubelet_version", Attribute::computed(Type::String, "The release its kubelet runs. Where the cluster's `version` is later, the node is drained and its kubelet upgraded."))
            .attr("parts", Attribute::computed(Type::map(Type::String), "How it stands: `scheduling`, and `certificates` of a control plane, are `as wanted`, or say what an update will mend: a node that an upgrade or a removal left cordoned, certificates that end soon."));
        match self {
            Member::Worker => schema,
            Member::ControlPlane => schema
                .attr("certificates_end", Attribute::computed(Type::String, "When the first of its certificates ends, as RFC 3339 has it. The cluster's `renew_before` says how long before they are renewed."))
                .attr("advertise_address", Attribute::optional(Type::String, "The address its API server advertises; `node_ip`, or else the host's address, by default.").replace())
                .attr("bind_port", Attribute::optional(Type::Number, "Its API server's port; 6443 by default.").replace()),
        }
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let text = |name: &str| config.get(name).and_then(Value::as_str);
        let mut problems = Vec::new();
        if let Some(policy) =
            text("drain_policy").filter(|policy| !["fail", "force", "skip"].contains(policy))
        {
            problems.push(Problem::new(
                "drain_policy",
                format!("{policy:?} is not a policy: it is `fail`, `force` or `skip`"),
            ));
        }
        if let Some(Err(problem)) = text("drain_timeout").map(duration::parse) {
            problems.push(Problem::new("drain_timeout", problem));
        }
        if let Some(Err(problem)) =
            config.get(timeouts::ATTRIBUTE).map(|times| Waits::known(times).to_config())
        {
            problems.push(Problem::new(timeouts::ATTRIBUTE, problem));
        }
        for name in ["node_ip", "advertise_address"] {
            if let Some(address) = text(name).filter(|address| address.parse::<IpAddr>().is_err()) {
                problems.push(Problem::new(name, format!("{address:?} is not an IP address")));
            }
        }
        problems
    }

    fn plan(&self, change: &mut Change<'_>) {
        let wanted = self.parts().iter().map(|part| (*part, Value::from(AS_WANTED)));
        change.set("parts", Value::map(Type::String, wanted));
        let Some(prior) = change.prior else { return };
        let of = |object: &Value, name: &str| object.get(name)?.as_str()?.parse::<KubernetesVersion>().ok();
        let cluster = change.planned().get("cluster").and_then(|cluster| of(cluster, "version"));
        let upgrade = of(prior, "kubelet_version").zip(cluster).filter(|(old, new)| is_behind(old, new));
        let certificates = prior.get("parts").and_then(|parts| parts.get("certificates"));
        let due = certificates.and_then(Value::as_str).is_some_and(|state| state != AS_WANTED);
        if let Some((_, new)) = &upgrade {
            change.set("kubelet_version", new.to_string().into());
        }
        // kubeadm's upgrade renews them as well.
        if *self == Member::ControlPlane && (due || upgrade.is_some()) {
            change.set_unknown("certificates_end");
        }
    }

    fn refuse(&self, prior: &Value, planned: &Value) -> Vec<Problem> {
        let release = |text: Option<&Value>| text?.as_str()?.parse::<KubernetesVersion>().ok();
        let cluster = |object: &Value| release(object.get("cluster")?.get("version"));
        let (Some(kubelet), Some(from), Some(to)) =
            (release(prior.get("kubelet_version")), cluster(prior), cluster(planned))
        else {
            return Vec::new();
        };
        let refused = allows(&kubelet, &from, &to).err();
        refused.map(|why| Problem::new("cluster", why.to_string()).hint(why.hint())).into_iter().collect()
    }

    fn timeouts(&self) -> Timeouts {
        // An update waits for its turn: a hundred workers, a minute each.
        Timeouts {
            create: node::TIMEOUT,
            update: node::TIMEOUT * 12,
            delete: node::TIMEOUT,
            ..Timeouts::default()
        }
    }

    fn importable(&self) -> Importable {
        Importable::Not(
            "what its upgrades and its end go by is what its join has recorded, which nobody has for a node that others joined",
        )
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        let known = node::read(ctx, &state.cluster, &state.host, &state.node_name).await?;
        known.map(|known| self.seen(state, known)).transpose()
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let remote = ctx.client().reach(ctx, &args.host).await?;
        let name = match &args.node_name {
            Some(name) => name.clone(),
            None => node::host_name(&remote).await?,
        };
        let state = args.state(&name);
        ctx.checkpoint(&state).await?;
        let joining = Joining {
            ctx,
            cluster: &args.cluster,
            connection: &args.host,
            role: self.role(&args)?,
            node: args.node_registration(&name),
            skip_phases: args.skip_phases.clone(),
            patches: args.patches.clone(),
            timeouts: args.waits()?,
        };
        let known = joining.run().await?;
        let known = match self {
            Member::Worker => Some(known),
            // With the certificates that the join made.
            Member::ControlPlane => node::read(ctx, &args.cluster, &args.host, &name).await?,
        };
        let gone = || Fault::transient(format!("the node {name} was here, and is gone"));
        self.seen(state, known.ok_or_else(gone)?)
    }

    async fn update(&self, ctx: &Context<Client>, prior: State, args: Args) -> Result<State, Fault> {
        let name = &prior.node_name;
        let role = self.role(&args)?;
        let endpoint = match &role {
            Role::ControlPlane { endpoint } => Some(endpoint),
            Role::Worker => None,
        };
        if prior.parts.get("certificates").is_some_and(|state| state != AS_WANTED) {
            let _place = places::of_control_plane(ctx, &args.cluster.id).await?;
            let remote = ctx.client().reach(ctx, &args.host).await?;
            let kubectl = Kubectl { remote, connection: args.host.clone() };
            certificates::renew(ctx, &kubectl, name, &node::version(&args.cluster.version)?).await?;
        }
        let (limit, version) = (args.drain_limit()?, node::version(&args.cluster.version)?);
        Upgrading {
            ctx,
            cluster: &args.cluster,
            connection: &args.host,
            name,
            endpoint,
            policy: args.drain_policy,
            limit,
            flags: kubelet::upgrade_flags(args.patches.as_deref(), &args.ignore_preflight_errors, &version),
        }
        .run()
        .await?;
        let known = node::read(ctx, &args.cluster, &args.host, name).await?;
        let gone = || Fault::gone(format!("the node {name} is gone"));
        self.seen(args.state(name), known.ok_or_else(gone)?)
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        let limit =
            duration::parse(state.drain_timeout.as_deref().unwrap_or("5m")).map_err(Fault::permanent)?;
        let leaving = Leaving {
            ctx,
            cluster: &state.cluster,
            connection: &state.host,
            name: &state.node_name,
            control_plane: *self == Member::ControlPlane,
            policy: state.drain_policy,
            limit,
        };
        leaving.run().await
    }

    async fn adopt(&self, ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
        let remote = ctx.client().reach(ctx, &args.host).await?;
        let standing = Standing::read(&remote).await?;
        if standing.is_clean() || !standing.node_is(ctx.key()) {
            return Ok(None);
        }
        let name = match &args.node_name {
            Some(name) => name.clone(),
            None => node::host_name(&remote).await?,
        };
        Ok(Some(args.state(&name)))
    }
}

impl Member {
    /// The names in `parts`.
    fn parts(self) -> &'static [&'static str] {
        match self {
            Member::ControlPlane => &["scheduling", "certificates"],
            Member::Worker => &["scheduling"],
        }
    }

    /// A node as it was found.
    fn seen(self, state: State, known: Known) -> Result<State, Fault> {
        let before = state.cluster.renew_before.as_deref().unwrap_or(RENEW_BEFORE);
        let before = duration::parse(before).map_err(Fault::permanent)?.as_secs();
        let problem = |part: &str| match part {
            "scheduling" => {
                known.closed.then(|| "cordoned for an upgrade or a removal that was cut off".to_owned())
            }
            _ => known.certificate.as_ref().and_then(|first| first.problem(before)),
        };
        let part = |part: &&str| ((*part).to_owned(), problem(part).unwrap_or_else(|| AS_WANTED.to_owned()));
        let parts = self.parts().iter().map(part).collect();
        let end =
            known.certificate.as_ref().filter(|_| self == Member::ControlPlane).map(|first| first.ends());
        Ok(State { kubelet_version: Some(known.version), parts, certificates_end: end, ..state })
    }

    fn role(self, args: &Args) -> Result<Role, Fault> {
        if self == Member::Worker {
            return Ok(Role::Worker);
        }
        let address = args.advertise_address.as_ref().or(args.node_ip.as_ref()).unwrap_or(&args.host.address);
        if address.parse::<IpAddr>().is_err() {
            return Err(Fault::permanent(format!(
                "{address:?} is not an IP address, and an API server advertises one"
            ))
            .attribute("advertise_address")
            .hint("set advertise_address, for example to kubeadm_host.NAME.node_ip"));
        }
        let endpoint = LocalEndpoint { advertise_address: Some(address.clone()), bind_port: args.bind_port };
        Ok(Role::ControlPlane { endpoint })
    }
}

impl Args {
    fn drain_limit(&self) -> Result<Duration, Fault> {
        duration::parse(self.drain_timeout.as_deref().unwrap_or("5m")).map_err(Fault::permanent)
    }

    fn waits(&self) -> Result<config::Timeouts, Fault> {
        let waits = self.timeouts.as_ref().map(Waits::to_config).transpose();
        waits
            .map(Option::unwrap_or_default)
            .map_err(|why| Fault::permanent(why).attribute(timeouts::ATTRIBUTE))
    }

    fn state(&self, name: &str) -> State {
        State {
            id: format!("{}/{name}", self.cluster.id),
            node_name: name.into(),
            kubelet_version: None,
            parts: BTreeMap::new(),
            certificates_end: None,
            cluster: self.cluster.clone(),
            host: self.host.clone(),
            drain_policy: Policy::default(),
            drain_timeout: None,
        }
    }

    fn node_registration(&self, name: &str) -> NodeRegistration {
        let mut kubelet_extra_args = self.kubelet_extra_args.clone();
        let ip = self.node_ip.as_ref().or(self.advertise_address.as_ref()).unwrap_or(&self.host.address);
        if ip.parse::<IpAddr>().is_ok() {
            kubelet_extra_args.entry("node-ip".into()).or_insert_with(|| ip.clone());
        }
        if let Some(provider) = &self.cluster.cloud_provider {
            kubelet_extra_args.entry("cloud-provider".into()).or_insert_with(|| provider.clone());
        }
        NodeRegistration {
            name: Some(name.into()),
            cri_socket: self.cri_socket.clone(),
            taints: self.taints.as_ref().map(|taints| taints.iter().map(Taint::to_config).collect()),
            kubelet_extra_args,
            ignore_preflight_errors: self.ignore_preflight_errors.clone(),
            ..NodeRegistration::default()
        }
    }
}
