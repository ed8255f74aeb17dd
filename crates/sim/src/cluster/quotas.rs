//! Resource quotas: how many objects of a kind a namespace may have.

use serde_json::Value;

use super::kinds::Kind;
use super::objects::Objects;

/// What a quota calls an object, where it counts that.
fn counted(kind: &str, object: &Value) -> Option<&'static str> {
    match kind {
        "PersistentVolumeClaim" => Some("persistentvolumeclaims"),
        "Service" if object["spec"]["type"] == "LoadBalancer" => Some("services.loadbalancers"),
        _ => None,
    }
}

/// The quota that an object would exceed, in the API server's words.
pub(super) fn exceeded(
    objects: &Objects,
    kind: &Kind,
    namespace: &str,
    name: &str,
    object: &Value,
) -> Option<String> {
    let what = counted(&kind.kind, object)?;
    let already = objects.get(&kind.kind, namespace, name).and_then(|old| counted(&kind.kind, old));
    if already == Some(what) {
        return None;
    }
    let used =
        objects.list(&kind.kind, Some(namespace)).filter(|o| counted(&kind.kind, o) == Some(what)).count();
    objects.list("ResourceQuota", Some(namespace)).find_map(|quota| {
        let hard = &quota["spec"]["hard"][what];
        let most = hard.as_u64().or_else(|| hard.as_str()?.parse().ok())?;
        let name = quota["metadata"]["name"].as_str().unwrap_or_default();
        (used as u64 >= most).then(|| {
            format!(
                "exceeded quota: {name}, requested: {what}=1, used: {what}={used}, limited: {what}={most}"
            )
        })
    })
}
