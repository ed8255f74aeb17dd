//! Label and field selectors.

use serde_json::Value;

/// Whether an object's labels fit `a=b,c!=d,e,!f,g in (h,i)`.
pub(super) fn labels(selector: &str, object: &Value) -> bool {
    let get = |key: &str| object["metadata"]["labels"].get(key.trim()).and_then(Value::as_str);
    split(selector).iter().all(|term| {
        let term = term.trim();
        let listed = |text: &str| {
            text.trim().trim_matches(['(', ')']).split(',').map(|v| v.trim().to_owned()).collect::<Vec<_>>()
        };
        if let Some((key, list)) = term.split_once(" notin ") {
            return get(key).is_none_or(|v| !listed(list).iter().any(|l| l == v));
        }
        if let Some((key, list)) = term.split_once(" in ") {
            return get(key).is_some_and(|v| listed(list).iter().any(|l| l == v));
        }
        if let Some((key, value)) = term.split_once("!=") {
            return get(key) != Some(value.trim());
        }
        if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
            return get(key) == Some(value.trim());
        }
        match term.strip_prefix('!') {
            Some(key) => get(key).is_none(),
            None => term.is_empty() || get(term).is_some(),
        }
    })
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth, mut part) = (Vec::new(), 0, String::new());
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part);
    parts
}

/// Whether an object fits `metadata.name=x,spec.nodeName=y`.
pub(super) fn fields(selector: &str, object: &Value) -> bool {
    selector.split(',').filter(|t| !t.is_empty()).all(|term| {
        let (path, value, equal) = match term.split_once("!=") {
            Some((p, v)) => (p, v, false),
            None => match term.split_once("==").or_else(|| term.split_once('=')) {
                Some((p, v)) => (p, v, true),
                None => return false,
            },
        };
        let pointer = format!("/{}", path.trim().replace('.', "/"));
        let found = match object.pointer(&pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(b)) => b.to_string(),
            None if path == "spec.unschedulable" => "false".to_owned(),
            _ => String::new(),
        };
        (found == value) == equal
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let object = serde_json::json!({"metadata": {"name": "x", "labels": {"a": "1", "b": ""}}, "spec": {"nodeName": "n"}});
        for (text, fits) in [
            ("a=1", true),
            ("a==1,b", true),
            ("a!=1", false),
            ("!c", true),
            ("a in (1,2)", true),
            ("a notin (1)", false),
            ("c", false),
            ("", true),
            ("b=", true),
        ] {
            assert_eq!(labels(text, &object), fits, "{text}");
        }
        assert!(
            fields("spec.nodeName=n,metadata.name!=y", &object) && !fields("status.phase=Running", &object)
        );
    }
}
