//! The objects that an API server stores.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Objects by kind, namespace (empty for cluster-wide ones) and name.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Objects {
    items: BTreeMap<String, Value>,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} objects>", self.items.len()) // some of them are Secrets
    }
}

/// A text in an object; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn key(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind}/{namespace}/{name}")
}

impl Objects {
    /// One object.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.items.get(&key(kind, namespace, name))
    }

    /// One object, to be changed.
    pub fn get_mut(&mut self, kind: &str, namespace: &str, name: &str) -> Option<&mut Value> {
        self.items.get_mut(&key(kind, namespace, name))
    }

    /// Stores an object.
    pub fn insert(&mut self, kind: &str, namespace: &str, name: &str, object: Value) {
        self.items.insert(key(kind, namespace, name), object);
    }

    /// Removes an object.
    pub fn remove(&mut self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.items.remove(&key(kind, namespace, name))
    }

    /// Kind and name of everything in a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<(String, String)> {
        let middle = format!("/{namespace}/");
        let inside = self.items.keys().filter_map(|k| k.split_once(&middle));
        inside.map(|(kind, name)| (kind.to_owned(), name.to_owned())).collect()
    }

    /// All kinds that have objects.
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> =
            self.items.keys().filter_map(|k| k.split('/').next()).map(str::to_owned).collect();
        kinds.dedup();
        kinds
    }

    /// Removes all objects of a kind.
    pub fn remove_kind(&mut self, kind: &str) {
        let prefix = format!("{kind}/");
        self.items.retain(|k, _| !k.starts_with(&prefix));
    }

    /// Objects of a kind, of one namespace or of all.
    pub fn list<'a>(
        &'a self,
        kind: &str,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = &'a Value> + use<'a> {
        let prefix = match namespace {
            Some(namespace) => format!("{kind}/{namespace}/"),
            None => format!("{kind}/"),
        };
        self.items.range(prefix.clone()..).take_while(move |(k, _)| k.starts_with(&prefix)).map(|(_, v)| v)
    }
}
