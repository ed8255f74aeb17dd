//! YAML as JSON values, read as Kubernetes reads it (`0644` is octal) and written as it writes it: names in order, words without quotes.

use serde_json::Value;

/// Parses one document.
///
/// # Errors
/// The parser's message.
pub fn parse(text: &str) -> Result<Value, String> {
    Ok(documents(text)?.into_iter().next().unwrap_or_default())
}

/// Parses all documents of a file, empty ones left out.
///
/// # Errors
/// The parser's message.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let all: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|e| e.to_string().lines().next().unwrap_or_default().to_owned())?;
    Ok(all.into_iter().filter(|v| !v.is_null()).collect())
}

/// A value as a block of YAML.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    let nested = |v: &Value| {
        matches!(v, Value::Object(m) if !m.is_empty()) || matches!(v, Value::Array(l) if !l.is_empty())
    };
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            for (name, inner) in fields {
                let name = word(name);
                if nested(inner) {
                    out.push_str(&format!("{pad}{name}:\n"));
                    block(inner, if inner.is_array() { indent } else { indent + 1 }, out);
                } else {
                    out.push_str(&format!("{pad}{name}: {}\n", scalar(inner)));
                }
            }
        }
        Value::Array(list) => {
            for inner in list {
                if nested(inner) {
                    let mut text = String::new();
                    block(inner, indent + 1, &mut text);
                    let first = format!("{pad}- ");
                    out.push_str(&first);
                    out.push_str(text.get(first.len()..).unwrap_or_default());
                } else {
                    out.push_str(&format!("{pad}- {}\n", scalar(inner)));
                }
            }
        }
        other => out.push_str(&format!("{pad}{}\n", scalar(other))),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        other => other.to_string(),
    }
}

/// A string, quoted where it would be read as something else.
fn word(text: &str) -> String {
    let letters = |c: char| c.is_ascii_alphanumeric() || "_./:@+-= (),".contains(c);
    let safe = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '_')
        && text.chars().all(letters)
        && !text.contains(": ")
        && !text.ends_with([':', ' ']);
    match safe && parse(text) == Ok(Value::from(text)) {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_plain() {
        let value = json!({
            "kubernetesVersion": "v1.34.2", "apiVersion": "kubeadm.k8s.io/v1beta4", "apiServer": {"extraArgs": [{"name": "v", "value": "4"}]},
            "odd": ["", "true", "null", "1e3", "0644", "a: b", "a #b", "- a", "*", "two\nlines", "2026-01-01", "a b", "~", "yes"], "empty": {}, "n": 3,
        });
        let text = write(&value);
        assert_eq!(parse(&text), Ok(value), "{text}");
        assert!(text.starts_with("apiServer:\n  extraArgs:\n  - name: v\n    value: \"4\"\napiVersion: kubeadm.k8s.io/v1beta4\n"), "{text}");
        assert!(text.contains("\nkubernetesVersion: v1.34.2\n"), "{text}");
    }
}
