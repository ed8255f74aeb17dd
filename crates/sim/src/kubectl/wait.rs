//! `kubectl wait` and `kubectl rollout`.

use std::time::Duration;

use serde_json::Value;

use super::get::find;
use super::{Kubectl, jsonpath, label_of};
use crate::cluster::kinds::Kind;
use crate::cluster::nodes::condition;
use crate::cluster::objects::text;
use crate::tools::Status;

/// Whether an object is as `--for` wants it.
fn holds(wanted: &str, object: Option<&Value>) -> Result<bool, String> {
    if wanted == "delete" {
        return Ok(object.is_none());
    }
    if wanted == "create" {
        return Ok(object.is_some());
    }
    let Some(object) = object else { return Ok(false) };
    if let Some(name) = wanted.strip_prefix("condition=") {
        let (name, value) = name.split_once('=').unwrap_or((name, "True"));
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        let found = conditions.into_iter().find(|c| text(c, "/type").eq_ignore_ascii_case(name));
        return Ok(found.is_some_and(|c| text(c, "/status").eq_ignore_ascii_case(value)));
    }
    if let Some(rest) = wanted.strip_prefix("jsonpath=") {
        let (path, value) = match rest.rsplit_once("}=") {
            Some((path, value)) => (format!("{path}}}"), Some(value.trim_matches(['"', '\'']))),
            None => (rest.to_owned(), None),
        };
        let got = jsonpath::fill(&path, object)?;
        return Ok(value.map_or(!got.is_empty(), |v| got == v));
    }
    Err(format!("error: unrecognized condition: \"{wanted}\""))
}

pub(super) fn run(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Status {
    let Some(wanted) = k.opts.value(&["for"]).map(str::to_owned) else {
        return Err(k.fail("error: --for is required"));
    };
    holds(&wanted, None).map_err(|e| k.fail(e))?;
    let deadline = k.timeout("30s");
    let targets: Vec<(Kind, String, String)> = match find(k, words) {
        Ok((found, _)) => found
            .into_iter()
            .map(|(kind, o)| {
                (kind, text(&o, "/metadata/namespace").to_owned(), text(&o, "/metadata/name").to_owned())
            })
            .collect(),
        Err(_) if wanted == "delete" => return Ok(0),
        Err(status) => return Err(status),
    };
    if targets.is_empty() {
        return Err(k.fail("error: no matching resources found"));
    }
    let end = std::time::Instant::now() + deadline;
    let mut status = 0;
    for (kind, namespace, name) in targets {
        let cluster = k.access.cluster.clone();
        let mut trouble = None;
        let left = end.saturating_duration_since(std::time::Instant::now());
        let met = k.cx.sh.wait(left, |s| {
            s.reconcile(&cluster);
            let object = s.clusters.get(&cluster).and_then(|c| c.objects.get(&kind.kind, &namespace, &name));
            match holds(&wanted, object) {
                Ok(true) => Some(()),
                Ok(false) => None,
                Err(e) => {
                    trouble = Some(e);
                    Some(())
                }
            }
        });
        if let Some(e) = trouble {
            return Err(k.fail(e));
        }
        match met {
            Some(()) if wanted == "delete" => k.out(format!("{} deleted\n", label_of(&kind, &name))),
            Some(()) => k.out(format!("{} condition met\n", label_of(&kind, &name))),
            None => {
                status =
                    k.fail(format!("error: timed out waiting for the condition on {}/{name}", kind.plural))
            }
        }
    }
    Ok(status)
}

pub(super) fn rollout(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Status {
    let (verb, rest) = match words {
        [verb, rest @ ..] => (*verb, rest),
        [] => return Err(k.fail("error: a rollout subcommand is required")),
    };
    let (found, _) = find(k, rest)?;
    match verb {
        "status" => {}
        "restart" => {
            for (kind, object) in found {
                k.must_write(&kind)?;
                let (name, namespace) = (
                    text(&object, "/metadata/name").to_owned(),
                    text(&object, "/metadata/namespace").to_owned(),
                );
                let mut next = object.clone();
                let stamp = crate::tools::rfc3339(k.cx.sh.state(|s| s.now()));
                next["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] =
                    stamp.into();
                k.change(|c, _| c.replace(&kind, &namespace, &name, &object, next));
                k.out(format!("{} restarted\n", label_of(&kind, &name)));
            }
            k.reconcile();
            return Ok(0);
        }
        other => return Err(k.cx.unsupported(format!("rollout {other}"))),
    }
    let limit = k.timeout("0");
    let limit = if limit.is_zero() { Duration::from_secs(3600) } else { limit };
    let end = std::time::Instant::now() + limit;
    for (kind, object) in found {
        let (name, namespace) =
            (text(&object, "/metadata/name").to_owned(), text(&object, "/metadata/namespace").to_owned());
        let cluster = k.access.cluster.clone();
        let left = end.saturating_duration_since(std::time::Instant::now());
        let mut last = (0, 0);
        let done = k.cx.sh.wait(left, |s| {
            s.reconcile(&cluster);
            let object = s.clusters.get(&cluster)?.objects.get(&kind.kind, &namespace, &name)?;
            last = progress(&kind.kind, object);
            (last.0 >= last.1).then_some(())
        });
        if done.is_none() {
            let (ready, wanted) = last;
            k.out(format!("Waiting for {} \"{name}\" rollout to finish: {ready} of {wanted} updated pods are available...\n", kind.kind.to_lowercase()));
            return Err(k.fail("error: timed out waiting for the condition"));
        }
        let text = match kind.kind.as_str() {
            "DaemonSet" => format!("daemon set \"{name}\" successfully rolled out\n"),
            "StatefulSet" => {
                format!("partitioned roll out complete: {} new pods have been updated...\n", last.1)
            }
            _ => format!("deployment \"{name}\" successfully rolled out\n"),
        };
        k.out(text);
    }
    Ok(0)
}

/// Pods that are ready, and that are wanted.
fn progress(kind: &str, object: &Value) -> (u64, u64) {
    let n = |p: &str| object["status"][p].as_u64().unwrap_or(0);
    if object["status"]["observedGeneration"] != object["metadata"]["generation"] {
        return (0, 1);
    }
    match kind {
        "DaemonSet" => (n("numberReady"), n("desiredNumberScheduled")),
        _ => (n("readyReplicas"), object["spec"]["replicas"].as_u64().unwrap_or(1)),
    }
}

/// Whether a pod of this name is Ready.
pub(super) fn ready(object: &Value) -> bool {
    condition(object, "Ready").as_deref() == Some("True")
}
