//! `kubectl cordon`, `uncordon`, `drain`.

use serde_json::Value;

use super::get::find;
use super::{Kubectl, select};
use crate::cluster::objects::text;
use crate::cluster::{Cluster, budgets};
use crate::tools::Status;

pub(super) fn cordon(k: &mut Kubectl<'_, '_>, close: bool, words: &[&str]) -> Status {
    let mut what = vec!["nodes"];
    what.extend(words.iter().map(|w| w.strip_prefix("node/").unwrap_or(w)));
    let (found, _) = find(k, &what)?;
    for (kind, object) in found {
        k.must_write(&kind)?;
        let name = text(&object, "/metadata/name").to_owned();
        let closed = object["spec"]["unschedulable"] == true;
        if closed == close {
            k.out(format!("node/{name} already {}\n", if close { "cordoned" } else { "uncordoned" }));
            continue;
        }
        let mut next = object.clone();
        if close {
            next["spec"]["unschedulable"] = true.into();
        } else {
            next["spec"].as_object_mut().map(|s| s.shift_remove("unschedulable"));
        }
        k.change(|c, _| c.replace(&kind, "", &name, &object, next));
        k.out(format!("node/{name} {}\n", if close { "cordoned" } else { "uncordoned" }));
    }
    k.reconcile();
    Ok(0)
}

pub(super) fn run(k: &mut Kubectl<'_, '_>, words: &[&str]) -> Status {
    cordon(k, true, words)?;
    let nodes: Vec<String> = words.iter().map(|w| w.strip_prefix("node/").unwrap_or(w).to_owned()).collect();
    let limit = k.timeout("0");
    let limit = if limit.is_zero() { std::time::Duration::from_secs(600) } else { limit };
    for node in &nodes {
        drain(k, node, limit)?;
        k.out(format!("node/{node} drained\n"));
    }
    Ok(0)
}

/// What a pod is to a drain.
enum Place {
    /// Evicted.
    Goes,
    /// Left alone.
    Stays,
    /// Refused without a flag.
    Needs(&'static str),
}

fn place(k: &Kubectl<'_, '_>, pod: &Value) -> Place {
    if pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string() {
        return Place::Stays;
    }
    let owner = text(pod, "/metadata/ownerReferences/0/kind");
    if owner == "DaemonSet" {
        return if k.opts.has(&["ignore-daemonsets"]) {
            Place::Stays
        } else {
            Place::Needs("--ignore-daemonsets to ignore")
        };
    }
    if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
        return Place::Goes;
    }
    if owner.is_empty() && !k.opts.has(&["force"]) {
        return Place::Needs("--force to override");
    }
    let empty_dir =
        pod["spec"]["volumes"].as_array().is_some_and(|l| l.iter().any(|v| v.get("emptyDir").is_some()));
    if empty_dir && !k.opts.has(&["delete-emptydir-data", "delete-local-data"]) {
        return Place::Needs("--delete-emptydir-data to override");
    }
    Place::Goes
}

fn drain(k: &mut Kubectl<'_, '_>, node: &str, limit: std::time::Duration) -> Result<(), i32> {
    let selector = format!("spec.nodeName={node}");
    let pods: Vec<Value> =
        k.with(|c| c.objects.list("Pod", None).filter(|p| select::fields(&selector, p)).cloned().collect());
    let full = |p: &Value| format!("{}/{}", text(p, "/metadata/namespace"), text(p, "/metadata/name"));
    let mut refused: Vec<String> = Vec::new();
    let mut going = Vec::new();
    for pod in &pods {
        match place(k, pod) {
            Place::Goes => going.push(pod.clone()),
            Place::Stays => {}
            Place::Needs(flag) => {
                let what = match flag {
                    "--force to override" => "cannot delete Pods that declare no controller",
                    "--ignore-daemonsets to ignore" => "cannot delete DaemonSet-managed Pods",
                    _ => "cannot delete Pods with local storage",
                };
                refused.push(format!("{what} (use {flag}): {}", full(pod)));
            }
        }
    }
    if !refused.is_empty() {
        return Err(k.fail(format!("error: unable to drain node \"{node}\" due to error: {}, continuing command...\nThere are pending nodes to be drained:\n {node}\n{}", refused.join(", "), refused.join("\n"))));
    }
    let evict = !k.opts.has(&["disable-eviction"]);
    let deadline = std::time::Instant::now() + limit;
    for pod in going {
        let (namespace, name) =
            (text(&pod, "/metadata/namespace").to_owned(), text(&pod, "/metadata/name").to_owned());
        k.out(format!("evicting pod {namespace}/{name}\n"));
        let mut told = false;
        loop {
            k.reconcile();
            let allowed = k.change(|c, _| {
                let blocked = evict && budget_blocks(c, &namespace, &name);
                if !blocked {
                    c.evict(&namespace, &name);
                }
                !blocked
            });
            if allowed {
                break;
            }
            if !told {
                k.err(format!("error when evicting pods/\"{name}\" -n \"{namespace}\" (will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget.\n"));
                told = true;
            }
            if std::time::Instant::now() >= deadline || k.cx.sh.stopped() {
                let shown = limit.as_secs();
                return Err(k.fail(format!("error: unable to drain node \"{node}\" due to error: error when evicting pods/\"{name}\" -n \"{namespace}\": global timeout reached: {shown}s, continuing command...\nThere are pending nodes to be drained:\n {node}\nerror when evicting pods/\"{name}\" -n \"{namespace}\": global timeout reached: {shown}s")));
            }
            // The retry is due in five seconds; something may free it before.
            k.cx.sh.wait(std::time::Duration::from_millis(50), |_| None::<()>);
        }
    }
    k.reconcile();
    Ok(())
}

/// Whether a disruption budget forbids to take a pod away now. A pod that is not ready is no loss.
fn budget_blocks(cluster: &Cluster, namespace: &str, name: &str) -> bool {
    let Some(pod) = cluster.objects.get("Pod", namespace, name) else { return false };
    budgets::is_ready(pod)
        && cluster.objects.list("PodDisruptionBudget", Some(namespace)).any(|budget| {
            budgets::covers(budget, pod) && budgets::disruptions_allowed(&cluster.objects, budget) == 0
        })
}
