//! Pods that do not come up: which, where, and why, in the words of their containers, their logs and their events.

use std::collections::BTreeSet;

use grappe_kubeadm::join::redact;
use grappe_provider_kubeadm::access::Kubectl;
use grappe_ssh::quote;
use serde_json::Value as Json;

/// How many pods are looked into: what ails one usually ails all.
const MOST: usize = 4;

/// A pod that is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hanging {
    name: String,
    /// Its node; none while it is not scheduled.
    node: Option<String>,
    why: String,
    /// A container that has said something, and whether an earlier run of it did.
    log: Option<(String, bool)>,
}

/// What hangs in these namespaces, a line or a few for each pod. What cannot be asked is left out: this explains a
/// failure, and must not hide it behind another.
pub async fn explain(kubectl: &Kubectl, namespaces: &BTreeSet<String>) -> Vec<String> {
    let mut lines = Vec::new();
    for namespace in namespaces {
        let space = quote(namespace);
        let pods = kubectl.get(&format!("-n {space} pods")).await.ok().flatten().unwrap_or_default();
        let pods: Vec<Hanging> =
            pods["items"].as_array().into_iter().flatten().filter_map(Hanging::of).collect();
        for pod in pods.iter().take(MOST) {
            lines.push(pod.to_string());
            if let Some((container, previous)) = &pod.log {
                let before = if *previous { " --previous" } else { "" };
                let args =
                    format!("-n {space} logs {} -c {} --tail=2{before}", quote(&pod.name), quote(container));
                let said = kubectl.run("read its log", &args).await.unwrap_or_default();
                lines.extend(said.lines().map(|line| format!("  its log: {}", redact(line))));
            }
            let args = format!("-n {space} events --field-selector involvedObject.name={}", quote(&pod.name));
            let events = kubectl.get(&args).await.ok().flatten().unwrap_or_default();
            lines.extend(warning(&events).map(|text| format!("  its event: {}", redact(&text))));
        }
        if pods.len() > MOST {
            lines.push(format!("and {} more pods in {namespace}", pods.len() - MOST));
        }
    }
    lines
}

/// The last warning.
pub(crate) fn warning(events: &Json) -> Option<String> {
    let warnings =
        events["items"].as_array().into_iter().flatten().filter(|event| event["type"] == "Warning");
    // Newer components write `eventTime`, and leave the other null.
    let time = |event: &&Json| {
        let times = [&event["lastTimestamp"], &event["eventTime"], &event["metadata"]["creationTimestamp"]];
        times.into_iter().find_map(|time| time.as_str()).unwrap_or_default().to_owned()
    };
    let last = warnings.max_by_key(time)?;
    let text = |key: &str| last[key].as_str().unwrap_or_default();
    Some(format!("{}: {}", text("reason"), text("message").trim()))
}

impl std::fmt::Display for Hanging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let node = self.node.as_deref().unwrap_or("no node");
        write!(f, "pod {} on {node}: {}", self.name, self.why)
    }
}

impl Hanging {
    /// A pod that is not ready, and not done either.
    pub fn of(pod: &Json) -> Option<Self> {
        let status = &pod["status"];
        let conditions = status["conditions"].as_array();
        let condition = |kind: &str| conditions.into_iter().flatten().find(|c| c["type"] == kind);
        if status["phase"] == "Succeeded" || condition("Ready").is_some_and(|c| c["status"] == "True") {
            return None;
        }
        let lists = ["initContainerStatuses", "containerStatuses"].map(|key| status[key].as_array());
        let container = lists.into_iter().flatten().flatten().find_map(stuck);
        let unscheduled = condition("PodScheduled").filter(|c| c["status"] != "True");
        let said = |value: &Json| value["message"].as_str().map(str::to_owned);
        let (why, log) = match container {
            Some((why, log)) => (why, log),
            None => {
                let why = unscheduled.and_then(said).or_else(|| said(status));
                (why.unwrap_or_else(|| status["phase"].as_str().unwrap_or("no status").to_owned()), None)
            }
        };
        let text = |value: &Json| value.as_str().map(str::to_owned);
        Some(Self {
            name: text(&pod["metadata"]["name"]).unwrap_or_else(|| "?".into()),
            node: text(&pod["spec"]["nodeName"]),
            why,
            log,
        })
    }
}

/// Why a container is not up, and whose log to read.
fn stuck(container: &Json) -> Option<(String, Option<(String, bool)>)> {
    let (state, before) = (&container["state"], &container["lastState"]["terminated"]);
    let name = container["name"].as_str().unwrap_or_default();
    let exit = |ended: &Json| {
        let code = ended["exitCode"].as_i64()?;
        Some(format!("exit code {code} ({})", ended["reason"].as_str().unwrap_or("no reason")))
    };
    let log = |previous: bool| (!name.is_empty()).then(|| (name.to_owned(), previous));
    let waiting = &state["waiting"];
    if let Some(reason) = waiting["reason"].as_str() {
        let message = waiting["message"].as_str().unwrap_or_default();
        let ended = exit(before).map(|exit| format!(", last {exit}")).unwrap_or_default();
        let why = format!("{reason} {message}").trim().to_owned() + &ended;
        // What waits behind it has not run yet, and nothing ails it.
        let idle = matches!(reason, "PodInitializing" | "ContainerCreating") && before.is_null();
        return Some((why, if idle || before.is_null() { None } else { log(true) }));
    }
    if let Some(code) = state["terminated"]["exitCode"].as_i64() {
        return (code != 0).then(|| (exit(&state["terminated"]).unwrap_or_default(), log(false)));
    }
    let up = container["ready"] == true;
    (!up && state["running"].is_object())
        .then(|| (format!("the container {name} runs, but is not ready"), log(false)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(pod: &Json) -> Option<(String, Option<(String, bool)>)> {
        Hanging::of(pod).map(|hanging| (hanging.to_string(), hanging.log))
    }

    #[test]
    fn a_hanging_pod_says_where_and_why() {
        let pod = |statuses: Json| {
            json!({"metadata": {"name": "p"}, "spec": {"nodeName": "w1"},
            "status": {"phase": "Pending", "containerStatuses": [statuses]}})
        };
        let pull = pod(
            json!({"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}),
        );
        assert_eq!(shown(&pull), Some(("pod p on w1: ImagePullBackOff no such image".into(), None)));
        let crash = pod(
            json!({"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}),
        );
        assert_eq!(
            shown(&crash),
            Some((
                "pod p on w1: CrashLoopBackOff back-off 10s, last exit code 1 (Error)".into(),
                Some(("c".into(), true))
            ))
        );
        let slow = pod(json!({"name": "c", "ready": false, "state": {"running": {"startedAt": "x"}}}));
        assert_eq!(
            shown(&slow),
            Some(("pod p on w1: the container c runs, but is not ready".into(), Some(("c".into(), false))))
        );
        let unscheduled = json!({"metadata": {"name": "p"}, "status": {"phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]}});
        assert_eq!(shown(&unscheduled), Some(("pod p on no node: 0/1 nodes are available".into(), None)));
        let evicted = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "w1"},
            "status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}});
        assert_eq!(
            shown(&evicted),
            Some(("pod p on w1: The node was low on resource: memory.".into(), None))
        );
        let ready =
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        assert_eq!(shown(&ready), None);
        assert_eq!(shown(&json!({"status": {"phase": "Succeeded"}})), None);
    }

    #[test]
    fn an_init_container_that_is_done_is_not_to_blame() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "w1"}, "status": {"phase": "Pending",
            "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"x\" not found"}}}]}});
        assert_eq!(
            shown(&pod).map(|(line, _)| line),
            Some("pod p on w1: CreateContainerConfigError secret \"x\" not found".into())
        );
    }

    #[test]
    fn the_last_warning_counts() {
        let event = |kind: &str, at: &str, message: &str| json!({"type": kind, "lastTimestamp": at, "reason": "R", "message": message});
        let events = json!({"items": [event("Warning", "2026-01-02", "new"), event("Warning", "2026-01-01", "old"),
            event("Normal", "2026-01-03", "fine")]});
        assert_eq!(warning(&events).as_deref(), Some("R: new"));
        let scheduler = json!({"items": [event("Warning", "2026-01-01", "old"),
            {"type": "Warning", "lastTimestamp": null, "eventTime": "2026-01-02T00:00:00.1Z", "reason": "R", "message": "new"}]});
        assert_eq!(warning(&scheduler).as_deref(), Some("R: new"));
        assert_eq!(warning(&json!({"items": []})), None);
    }
}
