//! `kube_namespace`: a namespace, with its labels.

use std::collections::BTreeMap;
use std::time::Duration;

use grappe_provider::{Context, Fault, Importable, Imported, Many, Problem, Resource};
use grappe_provider_kubeadm::access::{ClusterRef, Kubectl};
use grappe_provider_kubeadm::client::Client;
use grappe_provider_kubeadm::cluster::cluster_attribute;
use grappe_ssh::quote;
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// The annotation with the idempotency key of the resource that made a namespace.
const KEY: &str = "grappe.dev/key";

/// The resource type.
pub struct KubeNamespace;

/// What the configuration says.
#[derive(Debug, Clone, Deserialize)]
pub struct Args {
    cluster: ClusterRef,
    name: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// What is known of a namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    #[serde(skip_serializing)]
    cluster: ClusterRef,
    #[serde(skip_serializing)]
    name: String,
    id: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Resource for KubeNamespace {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "kube_namespace"
    }

    fn schema(&self) -> Schema {
        Schema::new("A namespace.")
            .attr("cluster", cluster_attribute())
            .attr("name", Attribute::required(Type::String, "Its name.").replace())
            .attr(
                "labels",
                Attribute::optional(Type::map(Type::String), "Its labels. Other keys are left alone."),
            )
            .attr("id", Attribute::computed(Type::String, "Its UID."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let Some(name) = config.get("name").and_then(Value::as_str) else { return Vec::new() };
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty()
            || name.len() > 63
            || !name.chars().all(legal)
            || name.starts_with('-')
            || name.ends_with('-')
        {
            return vec![Problem::new(
                "name",
                format!("{name:?} is not a namespace's name: a–z, 0–9 and `-`, at most 63"),
            )];
        }
        Vec::new()
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        let kubectl = match state.cluster.kubectl(ctx).await {
            Ok(kubectl) => kubectl,
            Err(none) if none.gone => return Ok(None),
            Err(none) => return Err(none.fault()),
        };
        let found = kubectl.get(&reference(&state.name)).await?;
        Ok(found.map(|found| state.found(&found)))
    }

    fn read_group(&self, state: &Value) -> Option<String> {
        state.get("cluster")?.get("id")?.as_str().map(str::to_owned)
    }

    async fn read_many(&self, ctx: &Context<Client>, states: Vec<State>) -> Result<Many<State>, Fault> {
        let Some(first) = states.first() else { return Ok(Vec::new()) };
        let kubectl = match first.cluster.kubectl(ctx).await {
            Ok(kubectl) => kubectl,
            Err(none) if none.gone => return Ok(states.iter().map(|_| Ok(None)).collect()),
            Err(none) => return Err(none.fault()),
        };
        let all = kubectl.get("namespaces").await?.unwrap_or_default();
        let all = all["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = |state: State| {
            let found = all.iter().find(|namespace| namespace["metadata"]["name"] == *state.name);
            Ok(found.map(|found| state.found(found)))
        };
        Ok(states.into_iter().map(named).collect())
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let kubectl = args.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        if let Some(found) = kubectl.get(&reference(&args.name)).await?
            && found["metadata"]["annotations"][KEY] != ctx.key()
        {
            return Err(Fault::permanent(format!("the namespace {} exists already", args.name))
                .attribute("name")
                .hint("import it, or choose another name"));
        }
        args.put(ctx, &kubectl).await
    }

    async fn update(&self, ctx: &Context<Client>, _: State, args: Args) -> Result<State, Fault> {
        let kubectl = args.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        args.put(ctx, &kubectl).await
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        let kubectl = match state.cluster.kubectl(ctx).await {
            Ok(kubectl) => kubectl,
            Err(none) if none.gone => return Ok(()),
            Err(none) => return Err(none.fault()),
        };
        let limit = Duration::from_secs(300);
        let args =
            format!("delete {} --ignore-not-found --timeout={}s", reference(&state.name), limit.as_secs());
        let script = format!("{} {args}", grappe_provider_kubeadm::access::KUBECTL);
        let exec = grappe_ssh::Exec::new(script).timeout(limit + Duration::from_secs(30));
        let output = kubectl.remote.ask(exec).await?;
        kubectl.check(&format!("delete the namespace {}", state.name), output).map(|_| ()).map_err(|fault| {
            fault.hint("something in it has a finalizer that nobody works on: `kubectl get namespace -o yaml` names it")
        })
    }

    fn importable(&self) -> Importable {
        Importable::By("its name in the cluster that its block names")
    }

    async fn import(&self, ctx: &Context<Client>, id: &str, args: Args) -> Result<Option<Imported>, Fault> {
        let args = Args { name: id.to_owned(), ..args };
        let kubectl = args.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        let Some(found) = kubectl.get(&reference(id)).await? else { return Ok(None) };
        let state = args.state(found["metadata"]["uid"].as_str().unwrap_or_default());
        match self.read(ctx, state).await? {
            Some(state) => Imported::new(&state).map(|found| Some(found.with("name", id))),
            None => Ok(None),
        }
    }

    async fn adopt(&self, ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
        let kubectl = match args.cluster.kubectl(ctx).await {
            Ok(kubectl) => kubectl,
            Err(none) if none.gone => return Ok(None),
            Err(none) => return Err(none.fault()),
        };
        let found = kubectl.get(&reference(&args.name)).await?;
        let ours = found.filter(|found| found["metadata"]["annotations"][KEY] == ctx.key());
        Ok(ours.map(|found| args.state(found["metadata"]["uid"].as_str().unwrap_or_default())))
    }
}

fn reference(name: &str) -> String {
    format!("namespace {}", quote(name))
}

impl State {
    /// As the cluster has it.
    fn found(self, found: &Json) -> State {
        let labels = self.labels.as_ref().map(|ours| {
            let value = |key: &String| {
                Some((key.clone(), found["metadata"]["labels"].get(key)?.as_str()?.to_owned()))
            };
            ours.keys().filter_map(value).collect()
        });
        State { labels, ..self }
    }
}

impl Args {
    async fn put(self, ctx: &Context<Client>, kubectl: &Kubectl) -> Result<State, Fault> {
        // The server takes away what we set once and do not set now: labels need no bookkeeping.
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": self.name, "labels": self.labels.clone().unwrap_or_default(), "annotations": {KEY: ctx.key()},
        }});
        let args = "apply --server-side --force-conflicts --field-manager=grappe -f -";
        kubectl.feed(&format!("apply the namespace {}", self.name), args, &object.to_string()).await?;
        let found = kubectl.get(&reference(&self.name)).await?.unwrap_or_default();
        let uid = found["metadata"]["uid"].as_str().ok_or_else(|| {
            Fault::transient(format!("the namespace {} is not there after it was applied", self.name))
        })?;
        let state = self.state(uid);
        ctx.checkpoint(&state).await?;
        Ok(state)
    }

    fn state(&self, uid: &str) -> State {
        State {
            cluster: self.cluster.clone(),
            name: self.name.clone(),
            id: uid.into(),
            labels: self.labels.clone(),
        }
    }
}
