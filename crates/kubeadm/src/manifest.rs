//! Manifests: the objects in a text of YAML documents.

use serde_json::Value;

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The document of the text it stands in, counted from 1 and without empty ones; the items of a `List` share one.
    pub document: usize,
    /// `apps/v1`
    pub api_version: String,
    /// `DaemonSet`
    pub kind: String,
    /// `metadata.namespace`; none for cluster-wide objects and where the default namespace is meant.
    pub namespace: Option<String>,
    /// `metadata.name`
    pub name: String,
    /// The object whole.
    pub value: Value,
}

/// Why a text is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not YAML.
    #[error("the manifest is not YAML: {0}")]
    Yaml(String),
    /// A document that is no Kubernetes object.
    #[error("document {index} of the manifest has no `{field}`: every Kubernetes object needs one")]
    Field {
        /// Counted from 1, without empty documents.
        index: usize,
        /// The field that is missing.
        field: &'static str,
    },
    /// Nothing in it.
    #[error("the manifest holds no object")]
    Empty,
}

/// The objects of a manifest, in order; the items of a `List` stand for themselves. Empty documents are passed over.
///
/// # Errors
/// A text that is not YAML, holds nothing, or holds something that is not an object of Kubernetes.
pub fn objects(text: &str) -> Result<Vec<Object>, Error> {
    // kubectl reads YAML 1.1: `defaultMode: 0644` is octal.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| Error::Yaml(error.to_string()))?;
    let mut objects = Vec::new();
    for (index, document) in documents.into_iter().filter(|document| !document.is_null()).enumerate() {
        collect(document, index + 1, &mut objects)?;
    }
    if objects.is_empty() { Err(Error::Empty) } else { Ok(objects) }
}

fn collect(mut value: Value, index: usize, into: &mut Vec<Object>) -> Result<(), Error> {
    let text = |pointer: &str, field| {
        let found = value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        found.filter(|text| !text.is_empty()).ok_or(Error::Field { index, field })
    };
    let api_version = text("/apiVersion", "apiVersion")?;
    let kind = text("/kind", "kind")?;
    if kind == "List" {
        if let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) {
            for item in items {
                collect(item, index, into)?;
            }
        }
        return Ok(());
    }
    let name = text("/metadata/name", "metadata.name")?;
    let namespace = text("/metadata/namespace", "metadata.namespace").ok();
    into.push(Object { document: index, api_version, kind, namespace, name, value });
    Ok(())
}

impl Object {
    /// `document 3, Deployment web/front`: where it stands, for messages.
    pub fn place(&self) -> String {
        let namespace = self.namespace.as_ref().map(|name| format!("{name}/")).unwrap_or_default();
        format!("document {}, {} {namespace}{}", self.document, self.kind, self.name)
    }

    /// `DaemonSet.v1.apps`: how kubectl is asked for this kind and no other of the same name.
    pub fn resource(&self) -> String {
        match self.api_version.split_once('/') {
            Some((group, version)) => format!("{}.{version}.{group}", self.kind),
            None => self.kind.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_become_objects() {
        let text = "# a comment\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n---\n\
                    apiVersion: v1\nkind: List\nitems:\n- apiVersion: apps/v1\n  kind: DaemonSet\n  \
                    metadata: {name: d, namespace: a}\n  spec: {mode: 0644}\n";
        let objects = objects(text).expect("objects");
        let shown: Vec<_> =
            objects.iter().map(|o| (o.resource(), o.namespace.as_deref(), o.name.as_str())).collect();
        assert_eq!(shown, [("Namespace".into(), None, "a"), ("DaemonSet.v1.apps".into(), Some("a"), "d")]);
        assert_eq!(objects[1].value["spec"]["mode"], 0o644);
        assert_eq!(objects[0].place(), "document 1, Namespace a");
        assert_eq!(objects[1].place(), "document 2, DaemonSet a/d");
    }

    #[test]
    fn what_is_no_manifest_is_told() {
        assert_eq!(objects(""), Err(Error::Empty));
        assert_eq!(objects("---\n"), Err(Error::Empty));
        assert!(matches!(objects("a: [1"), Err(Error::Yaml(_))));
        assert_eq!(objects("kind: Pod"), Err(Error::Field { index: 1, field: "apiVersion" }));
        let unnamed = objects("apiVersion: v1\nkind: Pod\nmetadata: {name: ''}");
        assert_eq!(unnamed, Err(Error::Field { index: 1, field: "metadata.name" }));
    }
}
