//! `kubectl get` and `kubectl describe`.

use serde_json::{Value, json};

use super::{Kubectl, label_of, print, select};
use crate::cluster::kinds::Kind;
use crate::tools::Status;

/// An object that was found, with its kind.
pub(super) type Found = (Kind, Value);

pub(super) fn run(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Status {
    if let Some(path) = k.opts.value(&["raw"]).map(str::to_owned) {
        return raw(k, &path);
    }
    let (found, single) = find(k, words)?;
    show(k, &found, single)
}

fn raw(k: &mut Kubectl<'_, '_>, path: &str) -> Status {
    let server = k.access.server.clone();
    let (code, body) = k.cx.sh.state(|s| crate::cluster::api_get(s, &server, path));
    match code {
        200 => {
            k.out(body);
            Ok(0)
        }
        403 => {
            let nodes = path.trim_end_matches('/') == "/api/v1/nodes";
            if nodes {
                let items: Vec<Value> = k.with(|c| c.objects.list("Node", None).cloned().collect());
                k.out(format!("{}\n", json!({"kind": "NodeList", "apiVersion": "v1", "items": items})));
                return Ok(0);
            }
            Err(k.fail("Error from server (NotFound): the server could not find the requested resource"))
        }
        _ => Err(k.fail(format!("Error from server (InternalError): an error on the server (\"{}\") has prevented the request from succeeding", body.trim().replace('\n', "\\n")))),
    }
}

/// Objects that words (or `-f`) mean; true if one was asked for by name.
pub(super) fn find(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Result<(Vec<Found>, bool), i32> {
    let ignore = k.opts.has(&["ignore-not-found"]) && k.opts.value(&["ignore-not-found"]) != Some("false");
    if k.opts.has(&["f", "filename"]) {
        let manifests = k.manifests()?;
        let single = manifests.len() == 1;
        let mut found = Vec::new();
        for (label, object) in manifests {
            let (kind, namespace, name) = k.placed(&label, &object)?;
            match k.with(|c| c.objects.get(&kind.kind, &namespace, &name).cloned()) {
                Some(object) => found.push((kind, object)),
                None if ignore => {}
                None => return Err(not_found(k, &kind, &name)),
            }
        }
        return Ok((found, single));
    }
    let mut pairs: Vec<(String, Vec<String>)> = Vec::new();
    match words {
        [] => return Err(k.fail("error: Required resource not specified.")),
        slashed if slashed.iter().all(|w| w.contains('/')) => {
            for word in slashed {
                let (kind, name) = word.split_once('/').unwrap_or((word, ""));
                pairs.push((kind.to_owned(), vec![name.to_owned()]));
            }
        }
        [kinds, names @ ..] => {
            for kind in kinds.split(',') {
                pairs.push((kind.to_owned(), names.iter().map(|n| (*n).to_owned()).collect()));
            }
        }
    }
    let single = pairs.len() == 1 && pairs[0].1.len() == 1;
    let mut found = Vec::new();
    let mut missing = None;
    for (word, names) in pairs {
        let kinds = if word == "all" {
            vec!["pods", "services", "daemonsets", "deployments", "statefulsets", "jobs"]
        } else {
            vec![word.as_str()]
        };
        for word in kinds {
            let kind = k.kind(word)?;
            if names.is_empty() {
                found.extend(list(k, &kind).into_iter().map(|o| (kind.clone(), o)));
                continue;
            }
            let namespace = if kind.namespaced { k.namespace.clone() } else { String::new() };
            for name in &names {
                match k.with(|c| c.objects.get(&kind.kind, &namespace, name).cloned()) {
                    Some(object) => found.push((kind.clone(), object)),
                    None if ignore => {}
                    None => missing = Some(not_found(k, &kind, name)),
                }
            }
        }
    }
    match missing {
        Some(status) if found.is_empty() => Err(status),
        _ => Ok((found, single)),
    }
}

/// Prints that an object is not there.
pub(super) fn not_found(k: &mut Kubectl<'_, '_>, kind: &Kind, name: &str) -> i32 {
    let plural =
        if kind.group.is_empty() { kind.plural.clone() } else { format!("{}.{}", kind.plural, kind.group) };
    k.fail(format!("Error from server (NotFound): {plural} \"{name}\" not found"))
}

/// Objects of a kind that the selectors choose.
pub(super) fn list(k: &Kubectl<'_, '_>, kind: &Kind) -> Vec<Value> {
    let everywhere = k.opts.has(&["A", "all-namespaces"]) || !kind.namespaced;
    let labels = k.opts.value(&["l", "selector"]).unwrap_or_default().to_owned();
    let fields = k.opts.value(&["field-selector"]).unwrap_or_default().to_owned();
    let namespace = k.namespace.clone();
    k.with(|c| {
        let all = c.objects.list(&kind.kind, (!everywhere).then_some(namespace.as_str()));
        all.filter(|o| select::labels(&labels, o) && select::fields(&fields, o)).cloned().collect()
    })
}

fn show(k: &mut Kubectl<'_, '_>, found: &[Found], single: bool) -> Status {
    let output = k.opts.value(&["o", "output"]).unwrap_or_default().to_owned();
    let ignore = k.opts.has(&["ignore-not-found"]);
    let whole = || -> Value {
        if single && found.len() == 1 {
            return found[0].1.clone();
        }
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": found.iter().map(|(_, o)| o.clone()).collect::<Vec<_>>()})
    };
    if found.is_empty() && single && ignore {
        return Ok(0);
    }
    if found.is_empty() && ignore && k.opts.has(&["f", "filename"]) {
        return Ok(0);
    }
    if output == "name" {
        let lines: String = found
            .iter()
            .map(|(kind, o)| {
                format!("{}\n", label_of(kind, o["metadata"]["name"].as_str().unwrap_or_default()))
            })
            .collect();
        k.out(lines);
        return Ok(0);
    }
    if let Some(spec) = output.strip_prefix("custom-columns=") {
        let objects: Vec<Value> = found.iter().map(|(_, o)| o.clone()).collect();
        let text = print::custom(spec, &objects, !k.opts.has(&["no-headers"])).map_err(|e| k.fail(e))?;
        k.out(text);
        return Ok(0);
    }
    if !output.is_empty() && output != "wide" {
        let text = print::formatted(&output, &whole()).map_err(|e| k.fail(e))?;
        k.out(text);
        return Ok(0);
    }
    if found.is_empty() {
        let text = if k.opts.has(&["A", "all-namespaces"]) {
            "No resources found\n".to_owned()
        } else {
            format!("No resources found in {} namespace.\n", k.namespace)
        };
        k.err(text);
        return Ok(0);
    }
    let now = k.cx.sh.state(|s| s.now());
    let (wide, head) = (output == "wide", !k.opts.has(&["no-headers"]));
    let (everywhere, labels) = (k.opts.has(&["A", "all-namespaces"]), k.opts.has(&["show-labels"]));
    let mut kinds: Vec<Kind> = Vec::new();
    for (kind, _) in found {
        if !kinds.contains(kind) {
            kinds.push(kind.clone());
        }
    }
    for (n, kind) in kinds.iter().enumerate() {
        let objects: Vec<Value> = found.iter().filter(|(k, _)| k == kind).map(|(_, o)| o.clone()).collect();
        let table = print::table(kind, &objects, wide, head, everywhere, labels, now);
        k.out(if n > 0 { format!("\n{table}") } else { table });
    }
    Ok(0)
}

pub(super) fn describe(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Status {
    let (found, _) = find(k, words)?;
    for (_, object) in found {
        let text = print::formatted("yaml", &object).unwrap_or_default();
        k.out(format!(
            "Name: {} (simulated description)\n{text}\n",
            object["metadata"]["name"].as_str().unwrap_or_default()
        ));
    }
    Ok(0)
}
