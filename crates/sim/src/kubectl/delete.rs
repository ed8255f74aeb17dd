//! `kubectl delete`.

use serde_json::Value;

use super::get::{list, not_found};
use super::{Kubectl, label_of};
use crate::cluster::Cluster;
use crate::cluster::kinds::Kind;
use crate::tools::Status;

pub(super) fn run(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Status {
    let ignore = k.opts.has(&["ignore-not-found"]) && k.opts.value(&["ignore-not-found"]) != Some("false");
    let mut targets: Vec<(Kind, String, String)> = Vec::new();
    let mut status = 0;
    if k.opts.has(&["f", "filename"]) {
        for (label, object) in k.manifests()? {
            match k.with(|c| {
                c.kind_of(
                    object["apiVersion"].as_str().unwrap_or_default(),
                    object["kind"].as_str().unwrap_or_default(),
                )
            }) {
                // Its definition is gone, and with it every object of the kind.
                None if ignore => continue,
                None => {
                    k.placed(&label, &object)?;
                }
                Some(_) => {}
            }
            targets.push(k.placed(&label, &object)?);
        }
    } else {
        let mut pairs: Vec<(&str, Vec<&str>)> = Vec::new();
        match words {
            [] => {
                return Err(k.fail("error: You must provide one or more resources by argument or filename."));
            }
            slashed if slashed.iter().all(|w| w.contains('/')) => {
                pairs.extend(
                    slashed.iter().filter_map(|w| w.split_once('/')).map(|(kind, name)| (kind, vec![name])),
                );
            }
            [kinds, names @ ..] => pairs.extend(kinds.split(',').map(|kind| (kind, names.to_vec()))),
        }
        for (word, names) in pairs {
            let kind = k.kind(word)?;
            let namespace = if kind.namespaced { k.namespace.clone() } else { String::new() };
            if names.is_empty() {
                if !k.opts.has(&["all", "l", "selector", "field-selector"]) {
                    return Err(k.fail("error: resource(s) were provided, but no name was specified"));
                }
                for object in list(k, &kind) {
                    let text =
                        |p: &str| object.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned();
                    targets.push((kind.clone(), text("/metadata/namespace"), text("/metadata/name")));
                }
            }
            targets.extend(names.iter().map(|n| (kind.clone(), namespace.clone(), (*n).to_owned())));
        }
    }
    let mut going = Vec::new();
    for (kind, namespace, name) in targets {
        k.must_write(&kind)?;
        if kind.kind == "Namespace" && ["default", "kube-system", "kube-public"].contains(&name.as_str()) {
            status = k.fail(format!("Error from server (Forbidden): namespaces \"{name}\" is forbidden: this namespace may not be deleted"));
            continue;
        }
        let removed = k.change(|c, now| remove(c, &kind, &namespace, &name, now));
        if removed {
            let tail = if kind.namespaced { format!(" from {namespace} namespace") } else { String::new() };
            let tail = if k.cx.version.starts_with("1.3") && tail.len() > 1 { tail } else { String::new() };
            let shown = label_of(&kind, &name);
            let (head, object) = shown.split_once('/').unwrap_or((&shown, ""));
            k.out(format!("{head} \"{object}\" deleted{tail}\n"));
            going.push((kind, namespace, name));
        } else if !ignore {
            status = not_found(k, &kind, &name);
        }
    }
    k.reconcile();
    if k.opts.value(&["wait"]) != Some("false") {
        finalized(k, going)?;
    }
    Ok(status)
}

/// Waits until what had a finalizer is gone.
fn finalized(k: &mut Kubectl<'_, '_>, going: Vec<(Kind, String, String)>) -> Result<(), i32> {
    let limit = k.timeout("0");
    let limit = if limit.is_zero() { std::time::Duration::from_secs(600) } else { limit };
    let end = std::time::Instant::now() + limit;
    let cluster = k.access.cluster.clone();
    for (kind, namespace, name) in going {
        let left = end.saturating_duration_since(std::time::Instant::now());
        let gone = k.cx.sh.wait(left, |s| {
            s.reconcile(&cluster);
            let object = s.clusters.get(&cluster).and_then(|c| c.objects.get(&kind.kind, &namespace, &name));
            object.is_none_or(|o| !o["metadata"]["deletionTimestamp"].is_string()).then_some(())
        });
        if gone.is_none() {
            return Err(
                k.fail(format!("error: timed out waiting for the condition on {}/{name}", kind.plural))
            );
        }
    }
    Ok(())
}

/// Removes an object and what dies with it. One with a finalizer is only marked: whoever works on that takes it away.
pub(super) fn remove(cluster: &mut Cluster, kind: &Kind, namespace: &str, name: &str, now: i64) -> bool {
    let Some(object) = cluster.objects.get_mut(&kind.kind, namespace, name) else { return false };
    if object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty()) {
        object["metadata"]["deletionTimestamp"] = crate::tools::rfc3339(now).into();
        return true;
    }
    cluster.objects.remove(&kind.kind, namespace, name);
    cluster.forget(&kind.kind, namespace, name);
    match kind.kind.as_str() {
        "Namespace" => {
            for (word, object) in cluster.objects.in_namespace(name) {
                match cluster.kind_named(&word) {
                    Some(kind) => drop(remove(cluster, &kind, name, &object, now)),
                    None => drop(cluster.objects.remove(&word, name, &object)),
                }
            }
        }
        "Secret" => cluster.secret_deleted(namespace, name),
        "Node" => {
            cluster.deleted_nodes.insert(name.to_owned(), now);
        }
        "CustomResourceDefinition" => {
            let kinds: Vec<String> = cluster.objects.kinds();
            let known: Vec<String> = kinds.into_iter().filter(|k| cluster.kind_named(k).is_none()).collect();
            for kind in known {
                cluster.objects.remove_kind(&kind);
            }
        }
        _ => {}
    }
    true
}
