//! Storing what someone applies: creation, server-side and client-side apply, with field managers.
//!
//! What a manager applied last is remembered: a field it leaves out the next time is removed, a field that another manager applied with
//! another value is a conflict unless forced.

use serde_json::{Map, Value, json};

use super::Cluster;
use super::kinds::{Kind, known};

/// What came of an apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was none.
    Created,
    /// It changed.
    Configured,
    /// It was so already.
    Unchanged,
}

/// Who applies, and how.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'a> {
    /// Field manager.
    pub manager: &'a str,
    /// Server-side apply, rather than kubectl's own.
    pub server_side: bool,
    /// Takes over fields of others.
    pub force: bool,
    /// Simulated milliseconds since 1970.
    pub now: i64,
}

/// A Secret's `stringData` is written only: it is stored as `data`.
fn encode_strings(secret: &mut Value) {
    let Some(Value::Object(plain)) = secret.as_object_mut().and_then(|o| o.shift_remove("stringData")) else {
        return;
    };
    for (key, value) in plain {
        if let Some(text) = value.as_str() {
            secret["data"][key] = super::pki::base64(text).into();
        }
    }
}

/// Fields under which list elements are told apart; lists not named here are replaced as a whole.
fn merge_key(field: &str, element: &Value) -> Option<&'static str> {
    let key = match field {
        "containers"
        | "initContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets"
        | "ephemeralContainers" => "name",
        "volumeMounts" => "mountPath",
        "ports" if element.get("containerPort").is_some() => "containerPort",
        "ports" => "port",
        "conditions" => "type",
        "ownerReferences" => "uid",
        _ => return None,
    };
    element.get(key).map(|_| key)
}

fn keyed(field: &str, list: &[Value]) -> Option<&'static str> {
    let key = merge_key(field, list.first()?)?;
    list.iter().all(|e| merge_key(field, e) == Some(key)).then_some(key)
}

/// Lays `new` over `live`.
fn merge(live: &mut Value, new: &Value, field: &str) {
    match (live, new) {
        (Value::Object(live), Value::Object(new)) => {
            for (name, value) in new {
                if value.is_null() {
                    live.shift_remove(name);
                } else {
                    merge(live.entry(name.clone()).or_insert(Value::Null), value, name);
                }
            }
        }
        (Value::Array(live), Value::Array(new)) if keyed(field, new).is_some() => {
            let key = keyed(field, new).unwrap_or_default();
            for item in new {
                match live.iter_mut().find(|l| l.get(key) == item.get(key)) {
                    Some(found) => merge(found, item, ""),
                    None => live.push(item.clone()),
                }
            }
        }
        (live, new) => *live = new.clone(),
    }
}

/// A merge patch, or a strategic one: lists of named things are merged by name.
pub fn lay_over(live: &mut Value, patch: &Value) {
    merge(live, patch, "");
}

/// Takes out of `live` what `old` had and `new` has no more.
fn prune(live: &mut Value, old: &Value, new: &Value, field: &str) {
    match (live, old, new) {
        (Value::Object(live), Value::Object(old), Value::Object(new)) => {
            for (name, before) in old {
                match new.get(name) {
                    None => drop(live.shift_remove(name)),
                    Some(after) => {
                        if let Some(live) = live.get_mut(name) {
                            prune(live, before, after, name);
                        }
                    }
                }
            }
        }
        (Value::Array(live), Value::Array(old), Value::Array(new)) => {
            let Some(key) = keyed(field, old) else { return };
            live.retain(|item| {
                let same = |list: &[Value]| list.iter().any(|o| o.get(key) == item.get(key));
                !same(old) || same(new)
            });
            for item in live {
                let find = |list: &[Value]| list.iter().find(|o| o.get(key) == item.get(key)).cloned();
                if let (Some(before), Some(after)) = (find(old), find(new)) {
                    prune(item, &before, &after, "");
                }
            }
        }
        _ => {}
    }
}

/// Paths at which two applied documents want different things.
fn conflicts(path: &str, mine: &Value, theirs: &Value, field: &str, found: &mut Vec<String>) {
    match (mine, theirs) {
        (Value::Object(mine), Value::Object(theirs)) => {
            for (name, value) in mine {
                if let Some(other) = theirs.get(name) {
                    conflicts(&format!("{path}.{name}"), value, other, name, found);
                }
            }
        }
        (Value::Array(mine), Value::Array(theirs)) if keyed(field, mine).is_some() => {
            let key = keyed(field, mine).unwrap_or_default();
            for item in mine {
                if let Some(other) = theirs.iter().find(|t| t.get(key) == item.get(key)) {
                    conflicts(&format!("{path}[{key}={}]", item[key]), item, other, "", found);
                }
            }
        }
        (mine, theirs) if mine != theirs => found.push(path.to_owned()),
        _ => {}
    }
}

/// `default` for what lives in namespaces and names none.
pub fn namespace_of(kind: &Kind, object: &Value, wanted: &str) -> String {
    if !kind.namespaced {
        return String::new();
    }
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(wanted).to_owned()
}

impl Cluster {
    /// Stores a new object with all that the API server adds.
    pub fn store(
        &mut self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        mut object: Value,
        now: i64,
    ) -> &mut Value {
        let revision = self.next_revision();
        let stamp = crate::tools::rfc3339(now);
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        let meta = &mut object["metadata"];
        meta["name"] = name.into();
        if kind.namespaced {
            meta["namespace"] = namespace.into();
        }
        meta["uid"] = crate::world::model::fresh_id().into();
        meta["resourceVersion"] = revision.into();
        meta["creationTimestamp"] = stamp.into();
        if object.get("spec").is_some() {
            object["metadata"]["generation"] = 1.into();
        }
        self.defaults(kind, &mut object);
        self.objects.insert(&kind.kind, namespace, name, object);
        if kind.kind == "Namespace" {
            self.fill_namespace(name, now);
        }
        self.objects.get_mut(&kind.kind, namespace, name).expect("it was just stored")
    }

    /// What every namespace has.
    fn fill_namespace(&mut self, name: &str, now: i64) {
        if let Some(object) = self.objects.get_mut("Namespace", "", name) {
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {}});
        self.store(&known("ServiceAccount"), name, "default", object, now);
    }

    fn defaults(&mut self, kind: &Kind, object: &mut Value) {
        match kind.kind.as_str() {
            "Deployment" | "StatefulSet" | "ReplicaSet" if object["spec"]["replicas"].is_null() => {
                object["spec"]["replicas"] = 1.into();
            }
            "Service" => {
                let spec = &mut object["spec"];
                if spec["type"].is_null() {
                    spec["type"] = "ClusterIP".into();
                }
                if spec["clusterIP"].is_null() && spec["type"] != "ExternalName" {
                    let net: Option<ipnet::Ipv4Net> = self.service_subnet.parse().ok();
                    let taken: Vec<String> = self
                        .objects
                        .list("Service", None)
                        .filter_map(|s| s["spec"]["clusterIP"].as_str().map(str::to_owned))
                        .collect();
                    let free =
                        net.and_then(|n| n.hosts().skip(100).find(|ip| !taken.contains(&ip.to_string())));
                    if let Some(ip) = free {
                        object["spec"]["clusterIP"] = ip.to_string().into();
                    }
                }
                let spec = &mut object["spec"];
                let node_ports = spec["type"] == "NodePort" || spec["type"] == "LoadBalancer";
                for (n, port) in spec["ports"].as_array_mut().into_iter().flatten().enumerate() {
                    if port["protocol"].is_null() {
                        port["protocol"] = "TCP".into();
                    }
                    if port["targetPort"].is_null() {
                        port["targetPort"] = port["port"].clone();
                    }
                    if node_ports && port["nodePort"].is_null() {
                        port["nodePort"] = (31_000 + (self.revision + n as u64) % 1000).into();
                    }
                }
                if object["status"].is_null() {
                    object["status"] = json!({"loadBalancer": {}});
                }
            }
            "PersistentVolumeClaim" if object["status"].is_null() => super::claims::admit(object),
            _ => {}
        }
    }

    /// What the API server refuses in an object.
    ///
    /// # Errors
    /// In the API server's words.
    pub fn validate(&self, kind: &Kind, namespace: &str, name: &str, object: &Value) -> Result<(), String> {
        if kind.namespaced && self.objects.get("Namespace", "", namespace).is_none() {
            return Err(format!(
                "Error from server (NotFound): error when creating \"STDIN\": namespaces \"{namespace}\" not found"
            ));
        }
        if let Some(quota) = super::quotas::exceeded(&self.objects, kind, namespace, name, object) {
            return Err(format!(
                "Error from server (Forbidden): error when creating \"STDIN\": {} \"{name}\" is forbidden: {quota}",
                kind.plural
            ));
        }
        let legal = |c: char| {
            c.is_ascii_lowercase()
                || c.is_ascii_digit()
                || c == '-'
                || c == '.'
                || (kind.group.starts_with("rbac") && c != '/')
        };
        if !name.chars().all(legal)
            || name.len() > 253
            || (name.starts_with('-') && !kind.group.starts_with("rbac"))
        {
            return Err(format!(
                "The {} \"{name}\" is invalid: metadata.name: Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
                kind.kind
            ));
        }
        if ["Deployment", "DaemonSet", "StatefulSet"].contains(&kind.kind.as_str()) {
            let selector = &object["spec"]["selector"];
            if selector.is_null() {
                return Err(format!(
                    "The {} \"{name}\" is invalid: spec.selector: Required value",
                    kind.kind
                ));
            }
            let labels = &object["spec"]["template"]["metadata"]["labels"];
            if !super::pods::selects(selector, labels) {
                return Err(format!(
                    "The {} \"{name}\" is invalid: spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`",
                    kind.kind
                ));
            }
            if object["spec"]["template"]["spec"]["containers"].as_array().is_none_or(Vec::is_empty) {
                return Err(format!(
                    "The {} \"{name}\" is invalid: spec.template.spec.containers: Required value",
                    kind.kind
                ));
            }
            if let Some(old) = self.objects.get(&kind.kind, namespace, name)
                && old["spec"]["selector"] != *selector
            {
                return Err(format!(
                    "The {} \"{name}\" is invalid: spec.selector: Invalid value: field is immutable",
                    kind.kind
                ));
            }
        }
        Ok(())
    }

    /// Applies an object.
    ///
    /// # Errors
    /// In the API server's words.
    pub fn apply(
        &mut self,
        kind: &Kind,
        namespace: &str,
        object: &Value,
        manner: Manner<'_>,
    ) -> Result<Outcome, String> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut wanted = object.clone();
        if let Some(meta) = wanted.get_mut("metadata").and_then(Value::as_object_mut) {
            for server_owned in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"]
            {
                meta.shift_remove(server_owned);
            }
        }
        wanted.as_object_mut().map(|o| o.shift_remove("status"));
        if kind.kind == "Secret" {
            encode_strings(&mut wanted);
        }
        let id = format!("{}/{namespace}/{name}", kind.kind);
        let manager = if manner.server_side { manner.manager } else { "kubectl-client-side-apply" };
        let key = format!("{manager} {id}");
        let mut stored = wanted.clone();
        if !manner.server_side {
            let text = format!("{wanted}\n");
            stored["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
                text.into();
        }
        let Some(live) = self.objects.get(&kind.kind, namespace, &name).cloned() else {
            self.validate(kind, namespace, &name, &stored)?;
            self.applied.insert(key, wanted);
            self.store(kind, namespace, &name, stored, manner.now);
            return Ok(Outcome::Created);
        };
        if manner.server_side {
            self.check_conflicts(&id, &key, &wanted, manner)?;
        }
        let mut next = live.clone();
        let old = self.applied.get(&key).cloned().unwrap_or(Value::Object(Map::new()));
        prune(&mut next, &old, &wanted, "");
        merge(&mut next, &stored, "");
        self.validate(kind, namespace, &name, &next)?;
        self.defaults(kind, &mut next);
        self.applied.insert(key, wanted);
        if next == live {
            return Ok(Outcome::Unchanged);
        }
        self.replace(kind, namespace, &name, &live, next);
        Ok(Outcome::Configured)
    }

    fn check_conflicts(
        &mut self,
        id: &str,
        key: &str,
        wanted: &Value,
        manner: Manner<'_>,
    ) -> Result<(), String> {
        let suffix = format!(" {id}");
        let others: Vec<(String, Value)> = self
            .applied
            .iter()
            .filter(|(k, _)| k.ends_with(&suffix) && *k != key)
            .map(|(k, v)| (k[..k.len() - suffix.len()].to_owned(), v.clone()))
            .collect();
        for (other, theirs) in others {
            let mut found = Vec::new();
            conflicts("", wanted, &theirs, "", &mut found);
            // Only what they still hold counts.
            found.retain(|path| !path.starts_with(".metadata.annotations.kubectl"));
            if found.is_empty() {
                continue;
            }
            if !manner.force {
                let list: String = found.iter().map(|p| format!("\n- {p}")).collect();
                return Err(format!(
                    "error: Apply failed with {} conflict{}: conflict{} with \"{other}\":{list}\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:\n* If you intend to manage all of these fields, please re-run the apply\n  command with the `--force-conflicts` flag.",
                    found.len(),
                    if found.len() == 1 { "" } else { "s" },
                    if found.len() == 1 { "" } else { "s" },
                ));
            }
            if let Some(theirs) = self.applied.get_mut(&format!("{other} {id}")) {
                disown(theirs, wanted, "");
            }
        }
        Ok(())
    }

    /// Stores a changed object: a new revision, and a new generation if its spec changed.
    pub fn replace(&mut self, kind: &Kind, namespace: &str, name: &str, old: &Value, mut next: Value) {
        next["metadata"]["resourceVersion"] = self.next_revision().into();
        if old["spec"] != next["spec"] {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            next["metadata"]["generation"] = generation.into();
        }
        self.objects.insert(&kind.kind, namespace, name, next);
    }

    /// Forgets who applied an object that is gone.
    pub fn forget(&mut self, kind: &str, namespace: &str, name: &str) {
        let suffix = format!(" {kind}/{namespace}/{name}");
        self.applied.retain(|k, _| !k.ends_with(&suffix));
    }
}

/// Takes out of what a manager applied the fields that another has taken over.
fn disown(theirs: &mut Value, mine: &Value, field: &str) {
    match (theirs, mine) {
        (Value::Object(theirs), Value::Object(mine)) => {
            for (name, value) in mine {
                match theirs.get_mut(name) {
                    Some(other @ (Value::Object(_) | Value::Array(_))) => disown(other, value, name),
                    Some(other) if other != value => drop(theirs.shift_remove(name)),
                    _ => {}
                }
            }
        }
        (Value::Array(theirs), Value::Array(mine)) => {
            let Some(key) = keyed(field, mine) else { return };
            for item in mine {
                if let Some(other) = theirs.iter_mut().find(|t| t.get(key) == item.get(key)) {
                    disown(other, item, "");
                }
            }
        }
        _ => {}
    }
}
