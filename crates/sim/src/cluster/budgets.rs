//! Disruption budgets: how many of their pods may go now.

use serde_json::{Value, json};

use super::nodes::condition;
use super::objects::Objects;
use super::pods::selects;

pub(crate) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").as_deref() == Some("True")
}

/// Whether a budget is about a pod of its namespace.
pub(crate) fn covers(budget: &Value, pod: &Value) -> bool {
    selects(&budget["spec"]["selector"], &pod["metadata"]["labels"])
}

/// `status.disruptionsAllowed`
pub(crate) fn disruptions_allowed(objects: &Objects, budget: &Value) -> i64 {
    status(objects, budget)["disruptionsAllowed"].as_i64().unwrap_or_default()
}

/// A budget's status, as the disruption controller sets it.
pub(super) fn status(objects: &Objects, budget: &Value) -> Value {
    let pods: Vec<&Value> = objects
        .list("Pod", budget["metadata"]["namespace"].as_str())
        .filter(|pod| covers(budget, pod))
        .collect();
    let total = i64::try_from(pods.len()).unwrap_or(i64::MAX);
    let healthy = i64::try_from(pods.iter().filter(|pod| is_ready(pod)).count()).unwrap_or(i64::MAX);
    // Percentages are rounded up.
    let count = |value: &Value| match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => {
            text.strip_suffix('%').and_then(|p| p.parse::<i64>().ok()).map(|p| (total * p + 99) / 100)
        }
        _ => None,
    };
    let desired = match (count(&budget["spec"]["minAvailable"]), count(&budget["spec"]["maxUnavailable"])) {
        (Some(least), _) => least,
        (None, Some(most)) => total - most,
        (None, None) => 0,
    };
    json!({
        "currentHealthy": healthy, "desiredHealthy": desired, "disruptionsAllowed": (healthy - desired).max(0),
        "expectedPods": total, "observedGeneration": budget["metadata"]["generation"],
    })
}
