//! `kube_node`: labels and taints of a node.
//!
//! A kubelet may not give itself labels of `node-role.kubernetes.io`; the admin may. Only the keys named here are ours:
//! they are read back, and what others change of them is shown and set again; all other labels and taints are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grappe_provider::{Context, Fault, Importable, Imported, Problem, Resource};
use grappe_provider_kubeadm::access::{ClusterRef, Kubectl};
use grappe_provider_kubeadm::client::Client;
use grappe_provider_kubeadm::cluster::cluster_attribute;
use grappe_provider_kubeadm::taints::{self, Taint};
use grappe_provider_kubeadm::wait::until;
use grappe_ssh::quote;
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The resource type.
pub struct KubeNode;

/// What the configuration says.
#[derive(Debug, Clone, Deserialize)]
pub struct Args {
    cluster: ClusterRef,
    name: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    taints: Option<Vec<Taint>>,
}

/// What is known of the keys that are ours.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    #[serde(skip_serializing)]
    cluster: ClusterRef,
    id: String,
    #[serde(skip_serializing)]
    name: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    taints: Option<Vec<Taint>>,
}

impl Resource for KubeNode {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "kube_node"
    }

    fn schema(&self) -> Schema {
        Schema::new("Labels and taints of a node.")
            .attr("cluster", cluster_attribute())
            .attr("name", Attribute::required(Type::String, "The node's name. It is waited for.").replace())
            .attr("labels", Attribute::optional(Type::map(Type::String), "Labels by key, roles (`node-role.kubernetes.io/worker = \"\"`) among them. Other keys are left alone."))
            .attr("taints", Attribute::optional(Type::set(taints::ty()), "Taints: objects with `key`, `effect` and perhaps `value`. Other keys are left alone."))
            .attr("id", Attribute::computed(Type::String, "The cluster's id and the node's name."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let taints = config.get("taints").and_then(Value::as_items).unwrap_or_default();
        let effects = taints.iter().filter_map(|taint| taint.get("effect")?.as_str());
        effects
            .filter(|effect| !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(effect))
            .map(|effect| {
                Problem::new(
                    "taints",
                    format!("{effect:?} is no effect: it is `NoSchedule`, `PreferNoSchedule` or `NoExecute`"),
                )
            })
            .collect()
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        let Some(nodes) = state.cluster.nodes(ctx).await? else { return Ok(None) };
        let Some(node) = nodes.get(&state.name) else { return Ok(None) };
        let labels = state.labels.as_ref().map(|ours| owned_labels(node, ours));
        let taints = state.taints.as_ref().map(|ours| owned_taints(node, ours));
        Ok(Some(State { labels, taints, ..state }))
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        args.put(ctx, None).await
    }

    async fn update(&self, ctx: &Context<Client>, prior: State, args: Args) -> Result<State, Fault> {
        args.put(ctx, Some(&prior)).await
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
        match kubectl.node(&state.name).await? {
            Some(node) => set(&kubectl, &state.name, &node, Some(&state), &BTreeMap::new(), &[]).await,
            None => Ok(()),
        }
    }

    fn importable(&self) -> Importable {
        Importable::By("the node's name in the cluster that its block names")
    }

    async fn import(&self, ctx: &Context<Client>, id: &str, args: Args) -> Result<Option<Imported>, Fault> {
        let state = State {
            id: format!("{}/{id}", args.cluster.id),
            cluster: args.cluster,
            name: id.to_owned(),
            labels: args.labels,
            taints: args.taints,
        };
        match self.read(ctx, state).await? {
            Some(state) => Imported::new(&state).map(|found| Some(found.with("name", id))),
            None => Ok(None),
        }
    }

    async fn adopt(&self, _: &Context<Client>, _: Args) -> Result<Option<State>, Fault> {
        // Which of the labels were there before cannot be told: none is taken away.
        Ok(None)
    }
}

impl Args {
    async fn put(self, ctx: &Context<Client>, prior: Option<&State>) -> Result<State, Fault> {
        let kubectl = self.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        let node = until(ctx, &format!("the node {}", self.name), Duration::from_secs(300), || async {
            Ok(kubectl.node(&self.name).await?.ok_or_else(|| "it has not joined".to_owned()))
        })
        .await?;
        let (labels, taints) =
            (self.labels.clone().unwrap_or_default(), self.taints.clone().unwrap_or_default());
        set(&kubectl, &self.name, &node, prior, &labels, &taints).await?;
        let id = format!("{}/{}", self.cluster.id, self.name);
        Ok(State { cluster: self.cluster, id, name: self.name, labels: self.labels, taints: self.taints })
    }
}

/// Sets labels and taints, and takes away those that were ours and are not wanted any more.
async fn set(
    kubectl: &Kubectl,
    name: &str,
    node: &Json,
    prior: Option<&State>,
    labels: &BTreeMap<String, String>,
    taints: &[Taint],
) -> Result<(), Fault> {
    let target = quote(name);
    let before = prior.and_then(|prior| prior.labels.as_ref());
    let words = label_words(node, before, labels);
    if !words.is_empty() {
        kubectl.run("kubectl label", &format!("label node {target} --overwrite {}", words.join(" "))).await?;
    }
    let before = prior.and_then(|prior| prior.taints.as_deref()).unwrap_or_default();
    let (away, on) = taint_words(node, before, taints);
    for words in [away, on].iter().filter(|words| !words.is_empty()) {
        kubectl.run("kubectl taint", &format!("taint node {target} --overwrite {}", words.join(" "))).await?;
    }
    Ok(())
}

/// `key=value` for what differs, `key-` for what goes.
fn label_words(
    node: &Json,
    before: Option<&BTreeMap<String, String>>,
    wanted: &BTreeMap<String, String>,
) -> Vec<String> {
    let has = |key: &str| node["metadata"]["labels"].get(key).and_then(Json::as_str);
    let set =
        wanted.iter().filter(|(key, value)| has(key) != Some(value)).map(|(k, v)| quote(&format!("{k}={v}")));
    let gone = before
        .into_iter()
        .flat_map(BTreeMap::keys)
        .filter(|key| !wanted.contains_key(*key) && has(key).is_some());
    set.chain(gone.map(|key| quote(&format!("{key}-")))).collect()
}

/// What goes, and what is set. A key that is or was ours has the effects we want and no other.
fn taint_words(node: &Json, before: &[Taint], wanted: &[Taint]) -> (Vec<String>, Vec<String>) {
    let ours: BTreeSet<&str> = before.iter().chain(wanted).map(|taint| taint.key.as_str()).collect();
    let found: Vec<Taint> =
        all_taints(node).into_iter().filter(|taint| ours.contains(taint.key.as_str())).collect();
    let same = |a: &Taint, b: &Taint| a.key == b.key && a.effect == b.effect;
    let away = found.iter().filter(|taint| !wanted.iter().any(|other| same(taint, other)));
    let on = wanted.iter().filter(|taint| !found.contains(taint));
    (
        away.map(|taint| quote(&format!("{}:{}-", taint.key, taint.effect))).collect(),
        on.map(|taint| {
            quote(&format!("{}={}:{}", taint.key, taint.value.as_deref().unwrap_or_default(), taint.effect))
        })
        .collect(),
    )
}

fn all_taints(node: &Json) -> Vec<Taint> {
    let list = node["spec"]["taints"].as_array();
    let read = |taint: &Json| {
        let mut taint: Taint = serde_json::from_value(taint.clone()).ok()?;
        taint.value = taint.value.filter(|value| !value.is_empty());
        Some(taint)
    };
    list.into_iter().flatten().filter_map(read).collect()
}

fn owned_labels(node: &Json, ours: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let labels = &node["metadata"]["labels"];
    ours.keys().filter_map(|key| Some((key.clone(), labels.get(key)?.as_str()?.to_owned()))).collect()
}

/// The node's taints of our keys, in our words where they mean the same.
fn owned_taints(node: &Json, ours: &[Taint]) -> Vec<Taint> {
    let found = all_taints(node).into_iter().filter(|taint| ours.iter().any(|own| own.key == taint.key));
    found
        .map(|taint| {
            let words = |own: &&Taint| {
                own.key == taint.key
                    && own.effect == taint.effect
                    && own.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default()
            };
            ours.iter().find(words).cloned().unwrap_or(taint)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taint(text: &str) -> Taint {
        let (key, effect) = text.split_once(':').expect("key:effect");
        let (key, value) =
            key.split_once('=').map_or((key, None), |(key, value)| (key, Some(value.to_owned())));
        Taint { key: key.into(), value, effect: effect.into() }
    }

    fn node() -> Json {
        json!({"metadata": {"labels": {"theirs": "x", "pool": "a", "old": "1"}}, "spec": {"taints": [
            {"key": "zone", "value": "lan", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}})
    }

    #[test]
    fn only_our_keys_are_touched() {
        let wanted =
            BTreeMap::from([("pool".to_owned(), "b".to_owned()), ("role/worker".to_owned(), String::new())]);
        let before =
            BTreeMap::from([("old".to_owned(), "1".to_owned()), ("gone".to_owned(), "1".to_owned())]);
        assert_eq!(label_words(&node(), Some(&before), &wanted), ["'pool=b'", "'role/worker='", "'old-'"]);
        let same = BTreeMap::from([("pool".to_owned(), "a".to_owned())]);
        assert_eq!(label_words(&node(), None, &same), [""; 0]);
    }

    #[test]
    fn taints_are_replaced_by_key() {
        let (away, on) =
            taint_words(&node(), &[taint("zone=lan:NoSchedule")], &[taint("zone=dmz:NoSchedule")]);
        assert_eq!((away.len(), on), (0, vec!["'zone=dmz:NoSchedule'".to_owned()]));
        let (away, on) = taint_words(&node(), &[], &[taint("zone=lan:NoExecute")]);
        assert_eq!(
            (away, on),
            (vec!["'zone:NoSchedule-'".to_owned()], vec!["'zone=lan:NoExecute'".to_owned()])
        );
        let (away, on) = taint_words(&node(), &[taint("zone=lan:NoSchedule")], &[]);
        assert_eq!((away, on.len()), (vec!["'zone:NoSchedule-'".to_owned()], 0));
    }

    #[test]
    fn what_is_read_is_ours_in_our_words() {
        let ours = BTreeMap::from([("pool".to_owned(), "b".to_owned()), ("lost".to_owned(), "1".to_owned())]);
        assert_eq!(owned_labels(&node(), &ours), BTreeMap::from([("pool".to_owned(), "a".to_owned())]));
        let own = Taint { value: Some(String::new()), ..taint("node.kubernetes.io/not-ready:NoSchedule") };
        assert_eq!(owned_taints(&node(), std::slice::from_ref(&own)), [own]);
    }
}
