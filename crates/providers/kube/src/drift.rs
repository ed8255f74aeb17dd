//! In what an object of the API differs from what a manifest says of it.
//!
//! Only fields that the manifest sets count: the API fills in the rest, and others own parts of it. Quantities are
//! compared as amounts (`250m` is `0.25`), a Secret's `stringData` with the `data` it becomes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

/// The differences, as `spec.replicas is 1`, at most a handful.
pub fn differences(wanted: &Json, found: &Json) -> Vec<String> {
    let mut wanted = wanted.clone();
    if wanted["kind"] == "Secret" {
        fold_string_data(&mut wanted);
    }
    // What identifies the object was asked for; the API's word on versions may differ.
    for key in ["apiVersion", "kind", "status"] {
        wanted.as_object_mut().map(|fields| fields.remove(key));
    }
    let secret = found["kind"] == "Secret";
    let mut out = Vec::new();
    compare("", &wanted, found, secret, &mut out);
    out.truncate(5);
    out
}

fn compare(path: &str, wanted: &Json, found: &Json, secret: bool, out: &mut Vec<String>) {
    match (wanted, found) {
        (Json::Null, _) => {}
        // Empty is absent to the API.
        (Json::Object(fields), Json::Null) if fields.is_empty() => {}
        (Json::Array(items), Json::Null) if items.is_empty() => {}
        (Json::Object(fields), Json::Object(_)) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, value, &found[key], secret, out);
            }
        }
        (Json::Array(items), Json::Array(all)) => {
            let named = items.iter().all(|item| item["name"].is_string());
            if !named && items.len() != all.len() {
                out.push(format!("{path} has {} items", all.len()));
                return;
            }
            for (index, item) in items.iter().enumerate() {
                let (at, other) = if named {
                    (
                        item["name"].as_str().unwrap_or_default().to_owned(),
                        all.iter().find(|other| other["name"] == item["name"]),
                    )
                } else {
                    (index.to_string(), all.get(index))
                };
                compare(&format!("{path}[{at}]"), item, other.unwrap_or(&Json::Null), secret, out);
            }
        }
        _ if same(wanted, found) => {}
        (_, Json::Null) => out.push(format!("{path} is not set")),
        _ if secret => out.push(format!("{path} differs")),
        _ => out.push(format!("{path} is {}", short(found))),
    }
}

fn same(wanted: &Json, found: &Json) -> bool {
    if wanted == found {
        return true;
    }
    // Zero values are left out by the API.
    if found.is_null() && matches!(wanted, Json::Bool(false))
        || found.is_null() && wanted == ""
        || found.is_null() && wanted == 0
    {
        return true;
    }
    matches!((quantity(wanted), quantity(found)), (Some(a), Some(b)) if a == b)
}

/// An amount in thousandths of a millionth, exactly.
fn quantity(value: &Json) -> Option<i128> {
    let text = match value {
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        _ => return None,
    };
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let scale: i128 = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => 1_000_000_000,
        "k" => 1_000_000_000_000,
        "M" => 1_000_000_000_000_000,
        "G" => 1_000_000_000_000_000_000,
        "T" => 1_000_000_000_000_000_000_000,
        "Ki" => 1_000_000_000 << 10,
        "Mi" => 1_000_000_000 << 20,
        "Gi" => 1_000_000_000 << 30,
        "Ti" => 1_000_000_000 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 9 || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let negative = whole.starts_with('-');
    let units: i128 = if whole.is_empty() || whole == "-" { 0 } else { whole.parse().ok()? };
    let digits: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let power = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let part = digits.checked_mul(scale)? / power;
    units.checked_mul(scale)?.checked_add(if negative { -part } else { part })
}

fn fold_string_data(secret: &mut Json) {
    let Some(fields) = secret.as_object_mut() else { return };
    let Some(Json::Object(plain)) = fields.remove("stringData") else { return };
    let data = fields.entry("data").or_insert_with(|| Json::Object(Map::new()));
    for (key, value) in plain {
        if let (Some(data), Some(text)) = (data.as_object_mut(), value.as_str()) {
            data.insert(key, STANDARD.encode(text).into());
        }
    }
}

fn short(value: &Json) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_api_adds_is_no_difference() {
        let wanted = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
            "replicas": 2, "template": {"spec": {"hostNetwork": false, "tolerations": [], "containers": [
                {"name": "c", "resources": {"limits": {"cpu": 0.25, "memory": "1Gi"}}}]}}}});
        let found = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "uid": "x"}, "spec": {
            "replicas": 2, "template": {"spec": {"dnsPolicy": "ClusterFirst", "containers": [
                {"name": "injected"},
                {"name": "c", "image": "i", "resources": {"limits": {"cpu": "250m", "memory": "1024Mi"}}}]}}}});
        assert_eq!(differences(&wanted, &found), [""; 0]);
    }

    #[test]
    fn what_somebody_changed_is_named() {
        let wanted = json!({"kind": "ConfigMap", "metadata": {"labels": {"a": "1"}}, "data": {"k": "v"}, "list": [1, 2]});
        let found = json!({"kind": "ConfigMap", "metadata": {"labels": {}}, "data": {"k": "w"}, "list": [1]});
        let mut differences = differences(&wanted, &found);
        differences.sort();
        assert_eq!(differences, ["data.k is \"w\"", "list has 1 items", "metadata.labels.a is not set"]);
    }

    #[test]
    fn secrets_are_compared_but_not_shown() {
        let wanted = json!({"kind": "Secret", "stringData": {"a": "hunter2", "b": "x"}});
        let found = json!({"kind": "Secret", "data": {"a": "aHVudGVyMw==", "b": "eA=="}});
        assert_eq!(differences(&wanted, &found), ["data.a differs"]);
    }

    #[test]
    fn quantities_are_amounts() {
        let equal = |a: Json, b: Json| same(&a, &b);
        assert!(equal(json!("1"), json!(1)));
        assert!(equal(json!("1.5Gi"), json!("1536Mi")));
        assert!(equal(json!("-0.5"), json!("-500m")));
        assert!(!equal(json!("1Gi"), json!("1G")));
        assert!(!equal(json!("a"), json!("b")));
        assert!(!equal(json!("."), json!("..")));
    }
}
