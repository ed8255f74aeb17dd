//! `kube_manifest`: objects of any kind, as a manifest says.
//!
//! Fields that the manifest sets are ours: a change of one by others is read back, shown, and undone by the next apply.
//! What an older manifest had and the new one has not is deleted, the last first; also when the change to the new one was
//! cut off: what may exist is in the state before it is made.
//!
//! Where the cluster goes in the same run, only what has something outside of it (a cloud's load balancer, a volume) is deleted.
//!
//! A manifest with Secrets in it is a secret itself: it is shown nowhere, and sealed in the state. What must not be in the
//! state at all is a `kube_secret`.

use std::time::Duration;

use grappe_kubeadm::manifest::Object;
use grappe_provider::{Change, Context, Fault, Importable, Imported, Problem, Resource, Timeouts};
use grappe_provider_host::duration;
use grappe_provider_kubeadm::access::ClusterRef;
use grappe_provider_kubeadm::client::Client;
use grappe_provider_kubeadm::cluster::cluster_attribute;
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use crate::objects;
use crate::rollout::{self, Awaited};

/// The resource type.
pub struct KubeManifest;

/// What the configuration says.
#[derive(Debug, Deserialize)]
pub struct Args {
    cluster: ClusterRef,
    manifest: String,
    #[serde(default)]
    wait: bool,
    #[serde(default)]
    wait_for: Option<Vec<Awaited>>,
    #[serde(default)]
    timeout: Option<String>,
}

/// What is known of the objects.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    #[serde(flatten, skip_serializing)]
    args: Args,
    /// The first object's name.
    id: String,
    /// All objects' names.
    #[serde(default)]
    objects: Vec<String>,
    /// In what the cluster differs.
    #[serde(default)]
    drift: Vec<String>,
}

impl Resource for KubeManifest {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "kube_manifest"
    }

    fn schema(&self) -> Schema {
        Schema::new("Objects of a cluster, as a manifest says.")
            .attr("cluster", cluster_attribute())
            .attr(
                "manifest",
                Attribute::required(
                    Type::String,
                    "One or more YAML documents: `file(\"manifest.yaml\")`, `yamlencode({…})`.",
                ),
            )
            .attr(
                "wait",
                Attribute::optional(
                    Type::Bool,
                    "Whether to wait until its Deployments, DaemonSets and StatefulSets run, its Jobs are complete, its definitions \
                     established.",
                )
                .default(false)
                .record(),
            )
            .attr(
                "wait_for",
                Attribute::optional(
                    Type::list(Awaited::ty()),
                    "Conditions to wait for, in the manifest's objects or any others: `kind` (as kubectl takes it), `name`, perhaps \
                     `namespace`, `condition` (`Ready`, `Available`).",
                )
                .record(),
            )
            .attr(
                "timeout",
                Attribute::optional(Type::String, "How long a rollout, a condition or a deletion may take.")
                    .default("5m")
                    .record(),
            )
            .attr("id", Attribute::computed(Type::String, "The first object's name."))
            .attr("objects", Attribute::computed(Type::list(Type::String), "The objects' names."))
            .attr("drift", drift_attribute())
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        validate(config).0
    }

    fn plan(&self, change: &mut Change<'_>) {
        plan_objects(change);
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
        let all = objects::parse(&state.args.manifest)?;
        if ctx.goes(&state.args.cluster.id) && !all.iter().any(objects::reaches_out) {
            return Ok(());
        }
        let limit = limit(state.args.timeout.as_deref())?;
        match state.args.cluster.kubectl(ctx).await {
            Ok(kubectl) => objects::delete(&kubectl, &state.args.manifest, limit).await,
            Err(none) if none.gone => Ok(()),
            Err(none) => Err(none.fault()),
        }
    }

    fn importable(&self) -> Importable {
        Importable::By("the name of the first object of its block's manifest, as a plan shows it in `id`")
    }

    async fn import(&self, ctx: &Context<Client>, id: &str, args: Args) -> Result<Option<Imported>, Fault> {
        let wanted = objects::parse(&args.manifest)?;
        let (first, objects, _) = ids(&[], &wanted);
        if first != id {
            return Err(Fault::permanent(format!("the manifest begins with {first}, not with {id}"))
                .attribute("manifest")
                .hint(format!("import it by {first}")));
        }
        let state = State { args, id: first, objects, drift: Vec::new() };
        self.read(ctx, state).await?.map(|state| Imported::new(&state)).transpose()
    }

    async fn adopt(&self, ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
        adopt(ctx, &args.cluster, &args.manifest)
            .await
            .map(|found| found.map(|(id, objects)| State { args, id, objects, drift: Vec::new() }))
    }
}

impl Args {
    async fn put(self, ctx: &Context<Client>, before: &[String]) -> Result<State, Fault> {
        let wanted = objects::parse(&self.manifest)?;
        let kubectl = self.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        let limit = limit(self.timeout.as_deref())?;
        let (id, ids, all) = ids(before, &wanted);
        let mut state = State { id, objects: all, drift: Vec::new(), args: self };
        if !before.is_empty() {
            ctx.checkpoint(&state).await?;
        }
        let args = &state.args;
        ctx.progress(format!("applying {} objects", wanted.len()));
        objects::apply(ctx, &kubectl, &args.manifest, &wanted).await?;
        objects::prune(&kubectl, before, &wanted).await?;
        let conditions = args.wait_for.as_deref().unwrap_or_default();
        let watched = if args.wait { wanted.as_slice() } else { &[] };
        rollout::complete(ctx, &kubectl, &args.manifest, watched, conditions, limit).await?;
        state.objects = ids;
        Ok(state)
    }
}

/// The first object's name, those of all that are wanted, and these with all that were there before: whatever is made or
/// deleted next, what exists is among them.
pub(crate) fn ids(before: &[String], wanted: &[Object]) -> (String, Vec<String>, Vec<String>) {
    let ids: Vec<String> = wanted.iter().map(objects::id).collect();
    let gone = before.iter().filter(|id| !ids.contains(id)).cloned();
    let all = gone.chain(ids.iter().cloned()).collect();
    (ids[0].clone(), ids, all)
}

/// What a creation that was cut off left: the objects that are there.
pub(crate) async fn adopt(
    ctx: &Context<Client>,
    cluster: &ClusterRef,
    manifest: &str,
) -> Result<Option<(String, Vec<String>)>, Fault> {
    let wanted = objects::parse(manifest)?;
    let kubectl = match cluster.kubectl(ctx).await {
        Ok(kubectl) => kubectl,
        Err(none) if none.gone => return Ok(None),
        Err(none) => return Err(none.fault()),
    };
    let live = objects::live(&kubectl, manifest, &wanted).await?;
    let ids =
        wanted.iter().zip(live).filter(|(_, found)| found.is_some()).map(|(object, _)| objects::id(object));
    let ids: Vec<String> = ids.collect();
    Ok(ids.first().cloned().map(|first| (first, ids)))
}

/// The attribute that shows drift.
pub(crate) fn drift_attribute() -> Attribute {
    Attribute::computed(
        Type::list(Type::String),
        "In what the cluster differs from the manifest: empty after an apply.",
    )
}

/// The problems of `manifest` and `timeout`, and the objects where the manifest is known and right.
pub(crate) fn validate(config: &Value) -> (Vec<Problem>, Option<Vec<Object>>) {
    let mut problems = Vec::new();
    let text = |name: &str| config.get(name).and_then(Value::as_str);
    if let Some(Err(problem)) = text("timeout").map(duration::parse) {
        problems.push(Problem::new("timeout", problem));
    }
    let objects = match text("manifest").map(grappe_kubeadm::manifest::objects) {
        Some(Ok(objects)) => Some(objects),
        Some(Err(error)) => {
            problems.push(Problem::new("manifest", error.to_string()));
            None
        }
        None => None,
    };
    (problems, objects)
}

/// Sets what is known of the objects before they are applied.
pub(crate) fn plan_objects(change: &mut Change<'_>) {
    change.set("drift", Value::list(Type::String, []));
    let manifest = change.planned().get("manifest").cloned();
    if let Some(manifest) = manifest.filter(holds_secrets) {
        change.set("manifest", manifest.sensitive());
    }
    match change.planned().get("manifest").and_then(Value::as_str).map(grappe_kubeadm::manifest::objects) {
        Some(Ok(objects)) => {
            let ids: Vec<Value> = objects.iter().map(|object| objects::id(object).into()).collect();
            change.set("id", ids[0].clone());
            change.set("objects", Value::list(Type::String, ids));
        }
        _ => {
            change.set_unknown("id");
            change.set_unknown("objects");
        }
    }
}

/// Whether a manifest has values of Secrets in it.
fn holds_secrets(manifest: &Value) -> bool {
    let objects = manifest.as_str().map(grappe_kubeadm::manifest::objects);
    let filled = |object: &Object| {
        let some = |key: &str| object.value[key].as_object().is_some_and(|data| !data.is_empty());
        object.kind == "Secret" && (some("data") || some("stringData"))
    };
    matches!(objects, Some(Ok(objects)) if objects.iter().any(filled))
}

/// A time limit that was valid when it was planned; five minutes by default.
pub(crate) fn limit(text: Option<&str>) -> Result<Duration, Fault> {
    duration::parse(text.unwrap_or("5m")).map_err(|problem| Fault::permanent(problem).attribute("timeout"))
}
