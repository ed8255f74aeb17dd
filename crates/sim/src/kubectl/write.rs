//! `kubectl apply` and `kubectl create`.

use serde_json::{Value, json};

use super::{Kubectl, label_of};
use crate::cluster::apply::{Manner, Outcome};
use crate::cluster::kinds::Kind;
use crate::tools::Status;

pub(super) fn apply(k: &mut Kubectl<'_, '_>, _words: &[&str]) -> Status {
    if k.opts.has(&["k", "kustomize"]) {
        return Err(k.cx.unsupported("-k"));
    }
    let dry = k.opts.value(&["dry-run"]).is_some_and(|d| d != "none");
    let server_side = k.opts.has(&["server-side"]) && k.opts.value(&["server-side"]) != Some("false");
    let manager = k.opts.value(&["field-manager"]).unwrap_or("kubectl").to_owned();
    let force = k.opts.has(&["force-conflicts"]) && k.opts.value(&["force-conflicts"]) != Some("false");
    let mut status = 0;
    for (label, object) in k.manifests()? {
        let Ok((kind, namespace, name)) = k.placed(&label, &object) else {
            status = 1;
            continue;
        };
        k.must_write(&kind)?;
        let manner = |now| Manner { manager: &manager, server_side, force, now };
        let result = if dry {
            k.with(|c| {
                let mut copy = c.clone();
                Some(copy.apply(&kind, &namespace, &object, manner(0)))
            })
        } else {
            k.change(|c, now| Some(c.apply(&kind, &namespace, &object, manner(now))))
        };
        match result {
            None => return Err(k.fail("error: the cluster is gone")),
            Some(Err(text)) => status = k.fail(text),
            Some(Ok(outcome)) => {
                let word = match outcome {
                    _ if server_side => "serverside-applied",
                    Outcome::Created => "created",
                    Outcome::Configured => "configured",
                    Outcome::Unchanged => "unchanged",
                };
                let tail = if dry { " (server dry run)" } else { "" };
                if k.opts.value(&["o", "output"]) == Some("json") {
                    let object =
                        k.with(|c| c.objects.get(&kind.kind, &namespace, &name).cloned()).unwrap_or_default();
                    k.out(format!("{object:#}\n"));
                } else {
                    k.out(format!("{} {word}{tail}\n", label_of(&kind, &name)));
                }
            }
        }
    }
    k.reconcile();
    Ok(status)
}

pub(super) fn create(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Status {
    let client_dry = k.opts.value(&["dry-run"]) == Some("client");
    let objects: Vec<(String, Value)> = match words {
        [] => k.manifests()?,
        ["namespace" | "ns", name] => {
            vec![(
                "STDIN".to_owned(),
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
            )]
        }
        ["serviceaccount" | "sa", name] => {
            vec![(
                "STDIN".to_owned(),
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
            )]
        }
        ["configmap" | "cm", name] | ["secret", "generic", name] => {
            let secret = words[0] == "secret";
            let mut data = json!({});
            for literal in k.opts.values(&["from-literal"]) {
                let (key, value) = literal.split_once('=').unwrap_or((literal, ""));
                data[key] = if secret { crate::cluster::pki::base64(value) } else { value.to_owned() }.into();
            }
            let kind = if secret { "Secret" } else { "ConfigMap" };
            vec![(
                "STDIN".to_owned(),
                json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": data}),
            )]
        }
        ["deployment" | "deploy", name] => {
            let image = k.opts.value(&["image"]).unwrap_or("busybox").to_owned();
            let replicas = k.opts.value(&["replicas"]).and_then(|r| r.parse::<u64>().ok()).unwrap_or(1);
            let labels = json!({"app": name});
            vec![(
                "STDIN".to_owned(),
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels},
                "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": image}]}}}}),
            )]
        }
        _ => return Err(k.cx.unsupported(format!("create {}", words.join(" ")))),
    };
    let mut status = 0;
    for (label, object) in objects {
        let (kind, namespace, name) = k.placed(&label, &object)?;
        if client_dry {
            let text = super::print::formatted(k.opts.value(&["o", "output"]).unwrap_or("yaml"), &object)
                .map_err(|e| k.fail(e))?;
            k.out(text);
            continue;
        }
        k.must_write(&kind)?;
        if k.with(|c| c.objects.get(&kind.kind, &namespace, &name).is_some()) {
            status = exists(k, &label, &kind, &name);
            continue;
        }
        let made = k.change(|c, now| {
            Some(c.validate(&kind, &namespace, &name, &object).map(|()| {
                c.store(&kind, &namespace, &name, object.clone(), now);
            }))
        });
        match made {
            Some(Ok(())) => k.out(format!("{} created\n", label_of(&kind, &name))),
            Some(Err(text)) => status = k.fail(text),
            None => return Err(k.fail("error: the cluster is gone")),
        }
    }
    k.reconcile();
    Ok(status)
}

fn exists(k: &mut Kubectl<'_, '_>, label: &str, kind: &Kind, name: &str) -> i32 {
    let plural =
        if kind.group.is_empty() { kind.plural.clone() } else { format!("{}.{}", kind.plural, kind.group) };
    let place = if label == "STDIN" && !k.opts.has(&["f", "filename"]) {
        String::new()
    } else {
        format!("error when creating \"{label}\": ")
    };
    k.fail(format!("Error from server (AlreadyExists): {place}{plural} \"{name}\" already exists"))
}
