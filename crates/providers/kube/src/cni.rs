//! `kube_cni`: the cluster's network plugin, from its manifest.
//!
//! A manifest like any other ([`crate::manifest`]), and two things more: its range is checked against the cluster's
//! `pod_subnet` while planning, before anything exists; and it is waited for until its agents run and every node is
//! Ready, since nothing else can start before.

use std::time::Duration;

use grappe_kubeadm::cni::Kind;
use grappe_kubeadm::manifest::Object;
use grappe_provider::{Change, Context, Fault, Problem, Resource, Timeouts};
use grappe_provider_kubeadm::access::{ClusterRef, Kubectl, is_ready};
use grappe_provider_kubeadm::client::Client;
use grappe_provider_kubeadm::cluster::cluster_attribute;
use grappe_provider_kubeadm::wait::until;
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::manifest::{adopt, drift_attribute, limit, plan_objects, validate};
use crate::objects;

/// The resource type.
pub struct KubeCni;

/// What the configuration says.
#[derive(Debug, Deserialize)]
pub struct Args {
    cluster: ClusterRef,
    manifest: String,
    #[serde(default)]
    timeout: Option<String>,
}

/// What is known of the plugin.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    #[serde(flatten, skip_serializing)]
    args: Args,
    id: String,
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
        Schema::new("The network plugin of a cluster.")
            .attr("cluster", cluster_attribute())
            .attr("manifest", Attribute::required(Type::String, "Its manifest: `file(\"manifests/flannel.yaml\")`."))
            .attr("timeout", Attribute::optional(Type::String, "How long its agents and the nodes have to become ready.").default("10m").record())
            .attr("kind", Attribute::computed(Type::String, "Which plugin it is: `kube-router`, `flannel`, `antrea`, `weave`, `calico`, `cilium`, or null."))
            .attr("needs_address_pairs", Attribute::computed(Type::Bool, "Whether a cloud's ports must allow the pods' and services' ranges (`allowed_address_pairs`); null for a plugin we do not know."))
            .attr("id", Attribute::computed(Type::String, "The first object's name."))
            .attr("objects", Attribute::computed(Type::list(Type::String), "The objects' names."))
            .attr("drift", drift_attribute())
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let (mut problems, objects) = validate(config);
        if let Some(objects) = objects
            && let Some(pods) = pod_subnet(config)
            && let Some(Err(error)) = Kind::detect(&objects).map(|kind| kind.check(&objects, pods.as_deref()))
        {
            problems.push(Problem::new("manifest", error.to_string()));
        }
        problems
    }

    fn plan(&self, change: &mut Change<'_>) {
        plan_objects(change);
        let objects =
            change.planned().get("manifest").and_then(Value::as_str).map(grappe_kubeadm::manifest::objects);
        let Some(Ok(objects)) = objects else {
            change.set("kind", Value::unknown(Type::String));
            change.set("needs_address_pairs", Value::unknown(Type::Bool));
            return;
        };
        let kind = Kind::detect(&objects);
        change.set("kind", kind.map_or(Value::null(Type::String), |kind| kind.name().into()));
        let pods = pod_subnet(change.planned());
        let pairs = match (kind, &pods) {
            (None, _) => Value::null(Type::Bool),
            (Some(_), None) => Value::unknown(Type::Bool),
            (Some(kind), Some(pods)) => match kind.check(&objects, pods.as_deref()) {
                Ok(needs) => needs.address_pairs.into(),
                Err(_) => Value::null(Type::Bool),
            },
        };
        change.set("needs_address_pairs", pairs);
    }

    fn timeouts(&self) -> Timeouts {
        let long = Duration::from_secs(30 * 60);
        Timeouts { create: long, update: long, ..Timeouts::default() }
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        let kubectl = match state.args.cluster.kubectl(ctx).await {
            Ok(kubectl) => kubectl,
            Err(none) if none.gone => return Ok(None),
            Err(none) => return Err(none.fault()),
        };
        let wanted = objects::parse(&state.args.manifest)?;
        let drift = objects::drift(&kubectl, &state.args.manifest, &wanted).await?;
        Ok(drift.map(|drift| State { drift, ..state }))
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        args.put(ctx, &[]).await
    }

    async fn update(&self, ctx: &Context<Client>, prior: State, args: Args) -> Result<State, Fault> {
        args.put(ctx, &prior.objects).await
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        match state.args.cluster.kubectl(ctx).await {
            Ok(kubectl) => objects::delete(&kubectl, &state.args.manifest, Duration::from_secs(120)).await,
            Err(none) if none.gone => Ok(()),
            Err(none) => Err(none.fault()),
        }
    }

    async fn adopt(&self, ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
        let found = adopt(ctx, &args.cluster, &args.manifest).await?;
        Ok(found.map(|(id, objects)| State { args, id, objects, drift: Vec::new() }))
    }
}

/// The cluster's range as far as the plan knows it: `None` while it does not, `Some(None)` where there is none.
fn pod_subnet(object: &Value) -> Option<Option<String>> {
    let pods = object.get("cluster")?.get("pod_subnet")?;
    if pods.is_unknown() { None } else { Some(pods.as_str().map(str::to_owned)) }
}

impl Args {
    async fn put(self, ctx: &Context<Client>, before: &[String]) -> Result<State, Fault> {
        let wanted = objects::parse(&self.manifest)?;
        self.check(&wanted)?;
        let kubectl = self.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        ctx.progress(format!("applying {} objects", wanted.len()));
        objects::apply(ctx, &kubectl, &self.manifest, &wanted).await?;
        objects::prune(&kubectl, before, &wanted).await?;
        let ids: Vec<String> = wanted.iter().map(objects::id).collect();
        let state = State { id: ids[0].clone(), objects: ids, drift: Vec::new(), args: self };
        ctx.checkpoint(&state).await?;
        let time = limit(state.args.timeout.as_deref())?;
        objects::rolled_out(ctx, &kubectl, &state.args.manifest, &wanted, time).await?;
        nodes_ready(ctx, &kubectl, time).await?;
        Ok(state)
    }

    fn check(&self, wanted: &[Object]) -> Result<(), Fault> {
        let Some(kind) = Kind::detect(wanted) else { return Ok(()) };
        let checked = kind.check(wanted, self.cluster.pod_subnet.as_deref());
        checked.map(|_| ()).map_err(|error| Fault::permanent(error.to_string()).attribute("manifest"))
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
