//! `kube_secret`: a Secret whose values are in the cluster and nowhere else.
//!
//! The values pass through a run on their way to the API and are not kept: the state has a salted hash of each, sealed, which
//! is enough to see that the plan's or the cluster's value is another one. A change of anything else sends the values
//! again, since they cannot be sent from memory.
//!
//! Those of `data_wo` may be ephemeral: no plan holds them either, and that there are new ones is told by `data_wo_version`.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grappe_provider::{Change, Context, Fault, Importable, Imported, Problem, Resource};
use grappe_provider_kubeadm::access::{ClusterRef, Kubectl};
use grappe_provider_kubeadm::client::Client;
use grappe_provider_kubeadm::cluster::cluster_attribute;
use grappe_ssh::quote;
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

/// Where the object's key stands, so that a Secret of somebody else's is not taken over.
const KEY: &str = "grappe.dev/key";

/// The resource type.
pub struct KubeSecret;

/// What the configuration says.
#[derive(Deserialize)]
pub struct Args {
    cluster: ClusterRef,
    name: String,
    namespace: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: BTreeMap<String, String>,
    #[serde(default)]
    data_wo: BTreeMap<String, String>,
    #[serde(default)]
    data_wo_version: Option<Version>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// As it was written: exact.
type Version = serde_json::Number;

/// What is known of a Secret: none of its values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    #[serde(skip_serializing)]
    cluster: ClusterRef,
    #[serde(skip_serializing)]
    name: String,
    #[serde(skip_serializing)]
    namespace: String,
    id: String,
    data_hashes: BTreeMap<String, String>,
    #[serde(default)]
    data_wo_version: Option<Version>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    /// Never anything: it takes the values out of what is stored.
    #[serde(default, skip_deserializing)]
    data: Option<()>,
}

impl Resource for KubeSecret {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "kube_secret"
    }

    fn schema(&self) -> Schema {
        Schema::new("A Secret. Its values are in the cluster, and not in the state.")
            .attr("cluster", cluster_attribute())
            .attr("name", Attribute::required(Type::String, "Its name.").replace())
            .attr(
                "namespace",
                Attribute::optional(Type::String, "Its namespace.").default("default").replace(),
            )
            .attr(
                "type",
                Attribute::optional(Type::String, "Its type, such as `kubernetes.io/tls`.")
                    .default("Opaque")
                    .replace(),
            )
            .attr(
                "data",
                Attribute::optional(
                    Type::map(Type::String),
                    "Its values by key, as text. Other keys are left alone. The state has none of them.",
                )
                .sensitive()
                .record(),
            )
            .attr(
                "data_wo",
                Attribute::optional(
                    Type::map(Type::String),
                    "More values by key, which may be ephemeral: no plan has them either. They are sent when the Secret is made, with every other change of it, \
                     when `data_wo_version` changes, and, where it is given, when somebody changed them in the cluster.",
                )
                .write_only()
                .sensitive(),
            )
            .attr(
                "data_wo_version",
                Attribute::optional(Type::Number, "Another number when the values of `data_wo` are others."),
            )
            .attr(
                "labels",
                Attribute::optional(Type::map(Type::String), "Its labels. Other keys are left alone."),
            )
            .attr(
                "data_hashes",
                Attribute::computed(
                    Type::map(Type::String),
                    "A salted hash of each value, by which a change is seen.",
                )
                .sensitive(),
            )
            .attr("id", Attribute::computed(Type::String, "Its UID."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let mut problems = Vec::new();
        for attribute in ["data", "data_wo"] {
            let wrong = keys(config, attribute).find(|key| key.is_empty() || !key.chars().all(legal));
            let problem = |key| format!("{key:?} is not a Secret's key: letters, digits, `-`, `_` and `.`");
            problems.extend(wrong.map(|key| Problem::new(attribute, problem(key))));
        }
        let twice = keys(config, "data_wo").find(|key| keys(config, "data").any(|other| other == *key));
        let problem = |key| format!("{key:?} is a key of `data` too");
        problems.extend(twice.map(|key| Problem::new("data_wo", problem(key))));
        problems
    }

    fn plan(&self, change: &mut Change<'_>) {
        // Of what is stored nowhere nothing is known but that it is as before.
        let kept =
            change.prior.filter(|_| !change.changes("data_wo_version")).and_then(|p| p.get("data_hashes"));
        let hashes = planned_hashes(change.planned(), change.config, kept);
        change.set("data_hashes", hashes);
        let same = ["data_hashes", "data_wo_version", "labels"].into_iter().all(|name| !change.changes(name));
        if let Some(kept) = change.prior.and_then(|prior| prior.get("data")).filter(|_| same) {
            change.set("data", kept.clone());
        }
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        let kubectl = match state.cluster.kubectl(ctx).await {
            Ok(kubectl) => kubectl,
            Err(none) if none.gone => return Ok(None),
            Err(none) => return Err(none.fault()),
        };
        let Some(found) = kubectl.get(&reference(&state.namespace, &state.name)).await? else {
            return Ok(None);
        };
        let salt = salt(&state.cluster.id, &state.namespace, &state.name);
        let live = |key: &String| {
            let value = STANDARD.decode(found["data"].get(key)?.as_str()?).ok()?;
            Some((key.clone(), hash(&salt, key, &value)))
        };
        let data_hashes: BTreeMap<String, String> = state.data_hashes.keys().filter_map(live).collect();
        // Not the version that is wanted, whichever that is: they are sent again.
        let data_wo_version = state.data_wo_version.filter(|_| data_hashes == state.data_hashes);
        let labels = state.labels.as_ref().map(|ours| {
            let value = |key: &String| {
                Some((key.clone(), found["metadata"]["labels"].get(key)?.as_str()?.to_owned()))
            };
            ours.keys().filter_map(value).collect()
        });
        Ok(Some(State { data_hashes, data_wo_version, labels, ..state }))
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let kubectl = args.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        if let Some(found) = kubectl.get(&reference(&args.namespace, &args.name)).await?
            && found["metadata"]["annotations"][KEY] != ctx.key()
        {
            return Err(Fault::permanent(format!(
                "the Secret {}/{} exists already",
                args.namespace, args.name
            ))
            .attribute("name")
            .hint("choose another name, or delete it first"));
        }
        args.put(ctx, &kubectl).await
    }

    async fn update(&self, ctx: &Context<Client>, _: State, args: Args) -> Result<State, Fault> {
        let kubectl = args.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        args.put(ctx, &kubectl).await
    }

    fn importable(&self) -> Importable {
        Importable::By("`NAMESPACE/NAME` in the cluster that its block names")
    }

    async fn import(&self, ctx: &Context<Client>, id: &str, args: Args) -> Result<Option<Imported>, Fault> {
        let (namespace, name) = id
            .split_once('/')
            .ok_or_else(|| Fault::permanent(format!("the id {id:?} is not NAMESPACE/NAME")))?;
        let kubectl = args.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        let Some(found) = kubectl.get(&reference(namespace, name)).await? else { return Ok(None) };
        let state = State {
            cluster: args.cluster,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            id: found["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
            // Read back for the keys that the block has.
            data_hashes: args
                .data
                .into_keys()
                .chain(args.data_wo.into_keys())
                .map(|key| (key, String::new()))
                .collect(),
            data_wo_version: None,
            labels: args.labels,
            data: None,
        };
        match self.read(ctx, state).await? {
            Some(state) => {
                let found = Imported::new(&state)?.with("name", name).with("namespace", namespace);
                Ok(Some(found))
            }
            None => Ok(None),
        }
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        if ctx.goes(&state.cluster.id) {
            return Ok(());
        }
        let kubectl = match state.cluster.kubectl(ctx).await {
            Ok(kubectl) => kubectl,
            Err(none) if none.gone => return Ok(()),
            Err(none) => return Err(none.fault()),
        };
        let limit = Duration::from_secs(50).as_secs();
        let reference = reference(&state.namespace, &state.name);
        let args = format!("delete {reference} --ignore-not-found --timeout={limit}s");
        kubectl.run(&format!("delete the Secret {}", state.name), &args).await.map(|_| ())
    }

    async fn adopt(&self, ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
        let kubectl = match args.cluster.kubectl(ctx).await {
            Ok(kubectl) => kubectl,
            Err(none) if none.gone => return Ok(None),
            Err(none) => return Err(none.fault()),
        };
        let found = kubectl.get(&reference(&args.namespace, &args.name)).await?;
        let ours = found.filter(|found| found["metadata"]["annotations"][KEY] == ctx.key());
        Ok(ours.map(|found| args.state(&found)))
    }
}

fn reference(namespace: &str, name: &str) -> String {
    format!("-n {} secret {}", quote(namespace), quote(name))
}

/// The same value has another hash in another place.
fn salt(cluster: &str, namespace: &str, name: &str) -> String {
    format!("{cluster}/{namespace}/{name}")
}

fn hash(salt: &str, key: &str, value: &[u8]) -> String {
    let mut digest = Sha256::new();
    for part in [salt.as_bytes(), key.as_bytes(), value] {
        // Lengths keep what is at the end of one part apart from the beginning of the next.
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    STANDARD.encode(digest.finalize())
}

/// The keys of a map, as far as they are known.
fn keys<'v>(object: &'v Value, attribute: &str) -> impl Iterator<Item = &'v str> + use<'v> {
    let entries = object.get(attribute).and_then(Value::as_entries).into_iter().flatten();
    entries.map(|(key, _)| &**key)
}

/// The hashes of what is planned, as far as it is known. What is stored nowhere has those that are `kept`.
fn planned_hashes(planned: &Value, config: &Value, kept: Option<&Value>) -> Value {
    let unknown = || Value::unknown_not_null(Type::map(Type::String));
    let cluster = planned.get("cluster").and_then(|cluster| cluster.get("id")).and_then(Value::as_str);
    let text = |name: &str| planned.get(name).and_then(Value::as_str);
    let (Some(cluster), Some(namespace), Some(name)) = (cluster, text("namespace"), text("name")) else {
        return unknown();
    };
    let data = planned.get("data").cloned().unwrap_or_else(|| Value::null(Type::map(Type::String)));
    if !data.is_wholly_known() || config.get("data_wo").is_some_and(Value::is_unknown) {
        return unknown();
    }
    let salt = salt(cluster, namespace, name);
    let entries = data.as_entries().into_iter().flatten();
    let hashes = entries.filter_map(|(key, value)| {
        Some((key.to_string(), hash(&salt, key, value.as_str()?.as_bytes()).into()))
    });
    let mut hashes: BTreeMap<String, Value> = hashes.collect();
    for key in keys(config, "data_wo") {
        match kept.and_then(|kept| kept.get(key)) {
            Some(hash) => hashes.insert(key.to_owned(), hash.clone()),
            None => return unknown(),
        };
    }
    Value::map(Type::String, hashes)
}

impl Args {
    /// All values, wherever they are given.
    fn values(&self) -> impl Iterator<Item = (&String, &String)> {
        self.data.iter().chain(&self.data_wo)
    }

    async fn put(self, ctx: &Context<Client>, kubectl: &Kubectl) -> Result<State, Fault> {
        let data: BTreeMap<&String, String> =
            self.values().map(|(key, value)| (key, STANDARD.encode(value))).collect();
        let object = json!({"apiVersion": "v1", "kind": "Secret", "type": self.kind, "data": data, "metadata": {
            "name": self.name, "namespace": self.namespace,
            "labels": self.labels.clone().unwrap_or_default(), "annotations": {KEY: ctx.key()},
        }});
        let args = "apply --server-side --force-conflicts --field-manager=grappe -o json -f -";
        // By standard input: it shows in no process list.
        let what = format!("apply the Secret {}/{}", self.namespace, self.name);
        let applied = kubectl.feed(&what, args, &object.to_string()).await?;
        let found: Json = serde_json::from_str(&applied)
            .map_err(|error| Fault::permanent("kubectl apply answered what is not JSON").source(error))?;
        let state = self.state(&found);
        ctx.checkpoint(&state).await?;
        Ok(state)
    }

    fn state(&self, found: &Json) -> State {
        let salt = salt(&self.cluster.id, &self.namespace, &self.name);
        let hashes = self.values().map(|(key, value)| (key.clone(), hash(&salt, key, value.as_bytes())));
        State {
            cluster: self.cluster.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            id: found["metadata"]["uid"].as_str().unwrap_or_default().into(),
            data_hashes: hashes.collect(),
            data_wo_version: self.data_wo_version.clone(),
            labels: self.labels.clone(),
            data: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_its_place_and_value() {
        let salt = salt("cluster", "team", "db");
        assert_eq!(hash(&salt, "password", b"hunter2"), hash(&salt, "password", b"hunter2"));
        assert_ne!(hash(&salt, "password", b"hunter2"), hash(&salt, "password", b"hunter3"));
        assert_ne!(hash(&salt, "a", b"bc"), hash(&salt, "ab", b"c"));
        assert_ne!(hash(&salt, "a", b"b"), hash("other", "a", b"b"));
    }
}
