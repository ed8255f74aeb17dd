//! `kubectl label`, `annotate`, `taint`, `scale`, `patch`.

use serde_json::{Value, json};

use super::get::{find, not_found};
use super::{Kubectl, label_of, parse_taint};
use crate::tools::Status;

/// Splits words into those that name objects and those that say what changes.
fn split<'a>(words: &[&'a str]) -> (Vec<&'a str>, Vec<&'a str>) {
    let change = |w: &&str| (w.contains('=') || w.ends_with('-')) && !w.starts_with('-');
    // The first word is a kind; node names may end with a dash only in theory.
    let at = words.iter().skip(1).position(change).map_or(words.len(), |n| n + 1);
    (words[..at].to_vec(), words[at..].to_vec())
}

pub(super) fn label(k: &mut Kubectl<'_, '_>, annotations: bool, words: &[&str]) -> Status {
    let (what, changes) = split(words);
    let all = k.opts.has(&["all"]) || k.opts.has(&["l", "selector"]);
    let what = if all { what.into_iter().take(1).collect() } else { what };
    if changes.is_empty() {
        return Err(k.fail("error: at least one label update is required"));
    }
    let (field, word) = if annotations { ("annotations", "annotated") } else { ("labels", "labeled") };
    let (found, _) = find(k, &what)?;
    let mut status = 0;
    for (kind, object) in found {
        let (name, namespace) = (text(&object, "/metadata/name"), text(&object, "/metadata/namespace"));
        k.must_write_labels(&kind.kind, &name, &changes, &kind)?;
        let mut next = object.clone();
        if !next["metadata"][field].is_object() {
            next["metadata"][field] = json!({});
        }
        let mut refused = None;
        for change in &changes {
            if let Some((key, value)) = change.split_once('=') {
                let old = next["metadata"][field].get(key).and_then(Value::as_str).map(str::to_owned);
                let overwrite = k.opts.has(&["overwrite"]) && k.opts.value(&["overwrite"]) != Some("false");
                if old.as_deref().is_some_and(|o| o != value) && !overwrite {
                    refused = Some(format!(
                        "error: '{key}' already has a value ({}), and --overwrite is false",
                        old.unwrap_or_default()
                    ));
                }
                if !annotations
                    && (value.len() > 63
                        || !value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
                {
                    refused = Some(format!(
                        "error: invalid label value: \"{change}\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'"
                    ));
                }
                next["metadata"][field][key] = value.into();
            } else if let Some(map) = next["metadata"][field].as_object_mut() {
                map.shift_remove(change.trim_end_matches('-'));
            }
        }
        if let Some(text) = refused {
            status = k.fail(text);
            continue;
        }
        let changed = next != object;
        if changed {
            k.change(|c, _| {
                c.replace(&kind, &namespace, &name, &object, next);
            });
        }
        let removes = changes.iter().all(|c| c.ends_with('-') && !c.contains('='));
        let word = match (changed, removes && !annotations) {
            (false, false) if !annotations => "not labeled",
            (false, true) => "not labeled",
            (_, true) => "unlabeled",
            _ => word,
        };
        k.out(format!("{} {word}\n", label_of(&kind, &name)));
    }
    Ok(status)
}

fn text(object: &Value, path: &str) -> String {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Kubectl<'_, '_> {
    /// Admins may do all; a kubelet may set plain labels of its own node (NodeRestriction).
    fn must_write_labels(
        &mut self,
        kind: &str,
        name: &str,
        changes: &[&str],
        found: &crate::cluster::kinds::Kind,
    ) -> Result<(), i32> {
        if self.access.is_admin() {
            return Ok(());
        }
        let own = self.access.user.strip_prefix("system:node:") == Some(name);
        if kind != "Node" || !own {
            return self.must_write(found);
        }
        let reserved = changes
            .iter()
            .map(|c| c.split('=').next().unwrap_or_default().trim_end_matches('-'))
            .find(|key| {
                let domain = key.split('/').next().unwrap_or_default();
                (domain.ends_with("kubernetes.io") || domain.ends_with("k8s.io"))
                    && !["kubelet.kubernetes.io", "node.kubernetes.io"].contains(&domain)
                    && !["kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os"].contains(key)
            });
        match reserved {
            Some(key) => {
                let (key, user) =
                    (key.to_owned(), self.access.user.trim_start_matches("system:node:").to_owned());
                Err(self.fail(format!("Error from server (Forbidden): nodes \"{user}\" is forbidden: is not allowed to modify labels: {key}")))
            }
            None => Ok(()),
        }
    }
}

pub(super) fn taint(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Status {
    let [kind, rest @ ..] = words else { return Err(k.fail("error: at least one node is required")) };
    if !["node", "nodes", "no"].contains(kind) {
        return Err(k.fail(format!("error: invalid resource type {kind}, only node(s) is supported")));
    }
    let change = |w: &&&str| w.contains(':') || w.contains('=') || w.ends_with('-');
    let at = rest.iter().position(|w| change(&w)).unwrap_or(rest.len());
    let (names, changes) = rest.split_at(at);
    if changes.is_empty() {
        return Err(k.fail("error: at least one taint update is required"));
    }
    let mut what = vec!["nodes"];
    if !(k.opts.has(&["all"]) || k.opts.has(&["l", "selector"])) {
        what.extend(names);
    }
    let (found, _) = find(k, &what)?;
    let mut status = 0;
    for (kind, object) in found {
        k.must_write(&kind)?;
        let name = text(&object, "/metadata/name");
        let mut taints = object["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let mut refused = None;
        for change in changes {
            if let Some(gone) = change.strip_suffix('-') {
                let (key, effect) = match gone.rsplit_once(':') {
                    Some((key, effect)) => (key.split('=').next().unwrap_or_default(), Some(effect)),
                    None => (gone.split('=').next().unwrap_or_default(), None),
                };
                let before = taints.len();
                taints.retain(|t| !(t["key"] == key && effect.is_none_or(|e| t["effect"] == e)));
                if before == taints.len() {
                    refused = Some(format!("error: taint \"{gone}\" not found"));
                }
                continue;
            }
            let Some(new) = parse_taint(change) else {
                return Err(k.fail(format!(
                    "error: invalid taint spec: {change}, it should be in the form of <key>=<value>:<effect>"
                )));
            };
            let same = |t: &Value| t["key"] == new["key"] && t["effect"] == new["effect"];
            match taints.iter_mut().find(|t| same(t)) {
                Some(old) if *old == new => {}
                Some(old) if k.opts.has(&["overwrite"]) => *old = new,
                Some(_) => {
                    refused = Some(format!(
                        "error: node {name} already has {} taint(s) with same effect(s) and --overwrite is false",
                        text(&new, "/key")
                    ))
                }
                None => taints.push(new),
            }
        }
        if let Some(text) = refused {
            status = k.fail(text);
            continue;
        }
        let mut next = object.clone();
        if taints.is_empty() {
            next["spec"].as_object_mut().map(|s| s.shift_remove("taints"));
        } else {
            next["spec"]["taints"] = taints.into();
        }
        k.change(|c, _| c.replace(&kind, "", &name, &object, next));
        let word = if changes.iter().all(|c| c.ends_with('-')) { "untainted" } else { "tainted" };
        k.out(format!("node/{name} {word}\n"));
    }
    k.reconcile();
    Ok(status)
}

pub(super) fn scale(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Status {
    let Some(replicas) = k.opts.value(&["replicas"]).and_then(|r| r.parse::<u64>().ok()) else {
        return Err(k.fail(
            "error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0",
        ));
    };
    let (found, _) = find(k, words)?;
    for (kind, object) in found {
        k.must_write(&kind)?;
        let (name, namespace) = (text(&object, "/metadata/name"), text(&object, "/metadata/namespace"));
        let mut next = object.clone();
        next["spec"]["replicas"] = replicas.into();
        k.change(|c, _| c.replace(&kind, &namespace, &name, &object, next));
        k.out(format!("{} scaled\n", label_of(&kind, &name)));
    }
    k.reconcile();
    Ok(0)
}

pub(super) fn patch(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Status {
    let Some(patch) = k.opts.value(&["p", "patch"]).map(str::to_owned) else {
        return Err(
            k.fail("error: Must specify --patch or --patch-file containing the contents of the patch")
        );
    };
    if k.opts.value(&["type"]) == Some("json") {
        return Err(k.cx.unsupported("patches of type json"));
    }
    let patch = match crate::yaml::parse(&patch) {
        Ok(patch) if patch.is_object() => patch,
        _ => return Err(k.fail("error: unable to parse the patch")),
    };
    let (found, _) = find(k, words)?;
    if found.is_empty() {
        let kind = k.kind(words.first().copied().unwrap_or_default())?;
        return Err(not_found(k, &kind, words.get(1).copied().unwrap_or_default()));
    }
    for (kind, object) in found {
        k.must_write(&kind)?;
        let (name, namespace) = (text(&object, "/metadata/name"), text(&object, "/metadata/namespace"));
        let mut next = object.clone();
        crate::cluster::apply::lay_over(&mut next, &patch);
        let changed = next != object;
        if changed {
            k.change(|c, _| c.replace(&kind, &namespace, &name, &object, next));
        }
        k.out(format!("{} patched{}\n", label_of(&kind, &name), if changed { "" } else { " (no change)" }));
    }
    k.reconcile();
    Ok(0)
}
