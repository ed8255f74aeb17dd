//! `kube_cni`: the cluster's network plugin, from its manifest.
//!
//! A manifest like any other ([`crate::manifest`]), and more: it may come from a pinned URL (`source`); its rules are
//! checked against the cluster while planning, before anything exists ([`grappe_kubeadm::cni`]); it tells what the cloud's
//! ports must let pass; and it is waited for until its agents run and every node is Ready, since nothing else can start
//! before. When that does not come, the pods that hang say why.

mod source;

use std::net::IpAddr;
use std::time::Duration;

use grappe_kubeadm::cni::{Kind, Network, Requirements};
use grappe_kubeadm::manifest::Object;
use grappe_provider::{Change, Context, Fault, Importable, Problem, Resource, Timeouts};
use grappe_provider_kubeadm::access::{ClusterRef, Kubectl, is_ready};
use grappe_provider_kubeadm::client::Client;
use grappe_provider_kubeadm::cluster::cluster_attribute;
use grappe_provider_kubeadm::wait::until;
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::manifest::{adopt, drift_attribute, ids, limit, plan_objects, validate};
use crate::{objects, rollout};

/// The resource type.
pub struct KubeCni;

/// What the configuration says.
#[derive(Debug, Deserialize)]
pub struct Args {
    cluster: ClusterRef,
    /// What the plan says, or what was fetched before; none where it must be fetched.
    manifest: Option<String>,
    url: Option<String>,
    mirror: Option<String>,
    checksum: Option<String>,
    kind: Option<String>,
    version: Option<String>,
    timeout: Option<String>,
}

/// What is known of the plugin.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    #[serde(skip_serializing)]
    cluster: ClusterRef,
    id: String,
    /// The text that was applied.
    manifest: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    needs_address_pairs: Option<bool>,
    #[serde(default)]
    allowed_address_pairs: Option<Vec<String>>,
    #[serde(default)]
    objects: Vec<String>,
    #[serde(default)]
    drift: Vec<String>,
}

impl Resource for KubeCni {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "kube_cni"
    }

    fn schema(&self) -> Schema {
        let text = |description| Attribute::optional(Type::String, description);
        Schema::new("The network plugin of a cluster.")
            .attr("cluster", cluster_attribute())
            .attr("manifest", Attribute::optional_computed(Type::String, "Its manifest: `file(\"manifests/flannel.yaml\")`. With `url`, what came from there."))
            .attr("url", text("Where its manifest is, in place of `manifest`, such as the file that its project attaches to a release. It is fetched once, on a control plane, with curl or wget, and kept in the state. `checksum` must be given."))
            .attr("mirror", text("The base of a mirror of what `url` is on: the URL's path is asked for under it.").record())
            .attr("checksum", text("The manifest's SHA-256, as `sha256:…` or bare digits: what differs is not applied."))
            .attr("kind", Attribute::optional_computed(Type::String, "Which plugin it is: `kube-router`, `antrea`, `flannel`, `weave`, `calico`, `cilium`, or `other` for one whose rules are not known. By default what the manifest shows; where it is given, the manifest must agree."))
            .attr("version", text("The release that the manifest must install: its agent's image has that tag."))
            .attr("timeout", text("How long its agents and the nodes have to become ready.").default("10m").record())
            .attr("needs_address_pairs", Attribute::computed(Type::Bool, "Whether a cloud's ports must allow the pods' and services' ranges (`allowed_address_pairs`); null where that is not known."))
            .attr("allowed_address_pairs", Attribute::computed(Type::list(Type::String), "The ranges that a cloud's ports must allow: the pods' and the services' where pod addresses are routed, none where they travel in a tunnel; null where that is not known."))
            .attr("id", Attribute::computed(Type::String, "The first object's name."))
            .attr("objects", Attribute::computed(Type::list(Type::String), "The objects' names."))
            .attr("drift", drift_attribute())
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = source::validate(config);
        let (more, objects) = validate(config);
        problems.extend(more);
        let text = |name: &str| config.get(name).and_then(Value::as_str);
        let kind = match text("kind").map(str::parse::<Kind>) {
            Some(Err(error)) => {
                problems.push(Problem::new("kind", error.to_string()));
                return problems;
            }
            Some(Ok(kind)) => Some(kind),
            None => None,
        };
        let Some(objects) = objects else { return problems };
        let kind = kind.unwrap_or_else(|| Kind::detect(&objects));
        let identified = kind.identify(&objects, text("version"));
        let checked = planned_network(config).map(|network| kind.check(&objects, network.borrowed()));
        let errors = identified.err().into_iter().chain(checked.and_then(Result::err));
        problems.extend(errors.map(|error| Problem::new("manifest", error.to_string())));
        problems
    }

    fn plan(&self, change: &mut Change<'_>) {
        let fetched = change.config.get("manifest").is_none_or(Value::is_null);
        let other = change.prior.is_none() || change.changes("url") || change.changes("checksum");
        if fetched && other {
            // It may hold Secrets, as that of Cilium does: what is not known to hold none is taken to.
            change.set("manifest", Value::unknown_not_null(Type::String).sensitive());
        }
        plan_objects(change);
        let given = change.config.get("kind").filter(|kind| !kind.is_null()).cloned();
        let text = change.planned().get("manifest").and_then(Value::as_str);
        let Some(Ok(objects)) = text.map(grappe_kubeadm::manifest::objects) else {
            if given.is_none() {
                change.set("kind", Value::unknown_not_null(Type::String));
            }
            change.set("needs_address_pairs", Value::unknown(Type::Bool));
            change.set("allowed_address_pairs", Value::unknown(Type::list(Type::String)));
            return;
        };
        let kind = match given.as_ref().map(|kind| kind.as_str().map(str::parse)) {
            Some(Some(Ok(kind))) => kind,
            _ => Kind::detect(&objects),
        };
        if given.is_none() {
            change.set("kind", kind.name().into());
        }
        let network = planned_network(change.planned());
        let needs = network.as_ref().map(|network| kind.check(&objects, network.borrowed()).ok());
        let (needed, pairs) = match (&network, needs) {
            (Some(network), Some(needs)) => {
                let pairs = needs.as_ref().and_then(|needs| needs.allowed_address_pairs(network.borrowed()));
                let pairs = pairs.map_or(Value::null(Type::list(Type::String)), |pairs| {
                    Value::list(Type::String, pairs.into_iter().map(Value::from))
                });
                let needed = needs.and_then(|needs| needs.address_pairs);
                (needed.map_or(Value::null(Type::Bool), Value::from), pairs)
            }
            _ => (Value::unknown(Type::Bool), Value::unknown(Type::list(Type::String))),
        };
        change.set("needs_address_pairs", needed);
        change.set("allowed_address_pairs", pairs);
    }

    fn timeouts(&self) -> Timeouts {
        let long = Duration::from_secs(30 * 60);
        Timeouts { create: long, update: long, ..Timeouts::default() }
    }

    fn importable(&self) -> Importable {
        Importable::Not("creating it applies its objects, and takes over those that are there")
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        let kubectl = match state.cluster.kubectl(ctx).await {
            Ok(kubectl) => kubectl,
            Err(none) if none.gone => return Ok(None),
            Err(none) => return Err(none.fault()),
        };
        let wanted = objects::parse(&state.manifest)?;
        let drift = objects::drift(&kubectl, &state.manifest, &wanted).await?;
        Ok(drift.map(|drift| State { drift, ..state }))
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        args.put(ctx, &[]).await
    }

    async fn update(&self, ctx: &Context<Client>, prior: State, args: Args) -> Result<State, Fault> {
        args.put(ctx, &prior.objects).await
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        if ctx.goes(&state.cluster.id) {
            return Ok(());
        }
        match state.cluster.kubectl(ctx).await {
            Ok(kubectl) => objects::delete(&kubectl, &state.manifest, Duration::from_secs(120)).await,
            Err(none) if none.gone => Ok(()),
            Err(none) => Err(none.fault()),
        }
    }

    async fn adopt(&self, ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
        let manifest = match &args.manifest {
            Some(manifest) => manifest.clone(),
            None => match args.cluster.kubectl(ctx).await {
                Ok(kubectl) => args.fetch(ctx, &kubectl).await?,
                Err(none) if none.gone => return Ok(None),
                Err(none) => return Err(none.fault()),
            },
        };
        let Some((id, objects)) = adopt(ctx, &args.cluster, &manifest).await? else { return Ok(None) };
        let (_, needs) = args.checked(&manifest)?;
        Ok(Some(args.state(manifest, &needs, id, objects)))
    }
}

/// A cluster's network as far as the plan knows it.
struct PlannedNetwork {
    pods: Option<String>,
    services: Option<String>,
    kube_proxy: Option<bool>,
    machines: Vec<IpAddr>,
}

impl PlannedNetwork {
    fn borrowed(&self) -> Network<'_> {
        Network {
            pod_subnet: self.pods.as_deref(),
            service_subnet: self.services.as_deref(),
            kube_proxy: self.kube_proxy,
            machines: &self.machines,
        }
    }
}

/// The cluster's ranges; `None` while the plan does not know them.
fn planned_network(object: &Value) -> Option<PlannedNetwork> {
    let cluster = object.get("cluster")?;
    let range = |name: &str| {
        let value = cluster.get(name)?;
        (!value.is_unknown()).then(|| value.as_str().map(str::to_owned))
    };
    let kube_proxy = cluster.get("kube_proxy").and_then(Value::as_bool);
    let machines = cluster.get("control_planes").and_then(Value::as_items).unwrap_or_default();
    let address = |machine: &Value| machine.get("address")?.as_str()?.parse().ok();
    Some(PlannedNetwork {
        pods: range("pod_subnet")?,
        services: range("service_subnet")?,
        kube_proxy,
        machines: machines.iter().filter_map(address).collect(),
    })
}

impl Args {
    async fn put(self, ctx: &Context<Client>, before: &[String]) -> Result<State, Fault> {
        let deadline = Instant::now() + limit(self.timeout.as_deref())?;
        let kubectl = self.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        let manifest = match &self.manifest {
            Some(manifest) => manifest.clone(),
            None => self.fetch(ctx, &kubectl).await?,
        };
        let (wanted, needs) = self.checked(&manifest)?;
        let (id, ids, all) = ids(before, &wanted);
        let mut state = self.state(manifest, &needs, id, all);
        if !before.is_empty() {
            ctx.checkpoint(&state).await?;
        }
        ctx.progress(format!("applying {} objects", wanted.len()));
        objects::apply(ctx, &kubectl, &state.manifest, &wanted).await?;
        objects::prune(&kubectl, before, &wanted).await?;
        state.objects = ids;
        ctx.checkpoint(&state).await?;
        let left = || deadline.saturating_duration_since(Instant::now());
        rollout::complete(ctx, &kubectl, &state.manifest, &wanted, &[], left()).await?;
        if let Err(fault) = nodes_ready(ctx, &kubectl, left()).await {
            return Err(rollout::explained(fault, &kubectl, &wanted).await);
        }
        Ok(state)
    }

    async fn fetch(&self, ctx: &Context<Client>, kubectl: &Kubectl) -> Result<String, Fault> {
        let (Some(url), Some(checksum)) = (&self.url, &self.checksum) else {
            return Err(Fault::permanent("there is neither a manifest nor a URL with a checksum"));
        };
        ctx.progress(format!("fetching the manifest on {}", kubectl.remote.name()));
        source::fetch(kubectl, url, self.mirror.as_deref(), checksum).await
    }

    /// The objects of a manifest that installs what the plan says, and fits the cluster.
    fn checked(&self, manifest: &str) -> Result<(Vec<Object>, Requirements), Fault> {
        let wanted = objects::parse(manifest)?;
        let fault =
            |error: grappe_kubeadm::cni::Error| Fault::permanent(error.to_string()).attribute("manifest");
        let kind = match &self.kind {
            Some(kind) => kind.parse().map_err(fault)?,
            None => Kind::detect(&wanted),
        };
        kind.identify(&wanted, self.version.as_deref()).map_err(fault)?;
        let machines = self.machines();
        let needs = kind.check(&wanted, self.network(&machines)).map_err(fault)?;
        Ok((wanted, needs))
    }

    fn machines(&self) -> Vec<IpAddr> {
        self.cluster.control_planes.iter().filter_map(|machine| machine.address.parse().ok()).collect()
    }

    fn network<'a>(&'a self, machines: &'a [IpAddr]) -> Network<'a> {
        Network {
            pod_subnet: self.cluster.pod_subnet.as_deref(),
            service_subnet: self.cluster.service_subnet.as_deref(),
            kube_proxy: self.cluster.kube_proxy,
            machines,
        }
    }

    fn state(&self, manifest: String, needs: &Requirements, id: String, objects: Vec<String>) -> State {
        State {
            cluster: self.cluster.clone(),
            id,
            manifest,
            kind: Some(needs.kind.name().into()),
            needs_address_pairs: needs.address_pairs,
            allowed_address_pairs: needs.allowed_address_pairs(self.network(&[])),
            objects,
            drift: Vec::new(),
        }
    }
}

/// Waits until every node that has joined is Ready, naming those that are not and what they say.
async fn nodes_ready(ctx: &Context<Client>, kubectl: &Kubectl, limit: Duration) -> Result<(), Fault> {
    until(ctx, "the nodes", limit, || async {
        let list = kubectl.get("nodes").await?.unwrap_or_default();
        let waiting: Vec<String> =
            list["items"].as_array().into_iter().flatten().filter(|node| !is_ready(node)).map(why).collect();
        Ok(if waiting.is_empty() { Ok(()) } else { Err(waiting.join("; ")) })
    })
    .await
}

fn why(node: &Json) -> String {
    let conditions = node["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    let message =
        ready.and_then(|condition| condition["message"].as_str()).unwrap_or("no word from its kubelet");
    format!("{} is not Ready: {message}", node["metadata"]["name"].as_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_why_it_is_not_ready() {
        let node = serde_json::json!({"metadata": {"name": "w1"}, "status": {"conditions": [
            {"type": "Ready", "status": "False", "message": "cni plugin not initialized"}]}});
        assert_eq!(why(&node), "w1 is not Ready: cni plugin not initialized");
    }
}
