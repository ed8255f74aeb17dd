//! Plain JSON, as providers and `output -json` speak it: no types, no marks, no unknowns.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::{ConvertError, Kind, Number, Path, Type, Value, convert};

/// The value as JSON. Unknowns become null, marks are dropped: for a provider's eyes, or after both were ruled out.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    match value.kind() {
        Kind::Null(_) | Kind::Unknown(_) => Json::Null,
        Kind::Bool(b) => Json::Bool(*b),
        Kind::Number(n) => number_to_json(n),
        Kind::String(s) => Json::String(s.to_string()),
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            items.iter().map(to_json).collect()
        }
        Kind::Map(_, entries) | Kind::Object(entries) => {
            Json::Object(entries.iter().map(|(k, v)| (k.to_string(), to_json(v))).collect())
        }
    }
}

/// A JSON number where a double or a 64-bit integer holds it exactly enough to read back the same; a string otherwise.
fn number_to_json(n: &Number) -> Json {
    if let Some(i) = n.as_i64() {
        return i.into();
    }
    let double = n.to_f64();
    // Shortest-decimal printing on both sides: equal text means that the reader sees the same number.
    if !n.is_integer() && double.to_string() == n.to_string() {
        return double.into();
    }
    Json::String(n.to_string())
}

/// For serde: as [`to_json`], with null and unknown attributes of objects left out, so that `#[serde(default)]` applies.
#[must_use]
pub fn to_args(value: &Value) -> Json {
    match value.kind() {
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            items.iter().map(to_args).collect()
        }
        Kind::Map(_, entries) | Kind::Object(entries) => Json::Object(
            entries
                .iter()
                .filter(|(_, v)| !v.is_null() && !v.is_unknown())
                .map(|(k, v)| (k.to_string(), to_args(v)))
                .collect(),
        ),
        _ => to_json(value),
    }
}

/// JSON as a value with the types that it implies: arrays are tuples, objects are objects.
#[must_use]
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::NULL,
        Json::Bool(b) => (*b).into(),
        Json::Number(n) => n.to_string().parse::<Number>().map_or(Value::NULL, Value::from),
        Json::String(s) => s.as_str().into(),
        Json::Array(items) => Value::tuple(items.iter().map(from_json)),
        Json::Object(entries) => {
            let entries: BTreeMap<Arc<str>, Value> =
                entries.iter().map(|(k, v)| (k.as_str().into(), from_json(v))).collect();
            Kind::Object(Arc::new(entries)).into()
        }
    }
}

/// JSON as a value of a type.
///
/// # Errors
/// Where the JSON does not fit.
pub fn from_json_typed(json: &Json, ty: &Type) -> Result<Value, ConvertError> {
    convert(&from_json(json), ty)
}

/// The value as JSON text with every digit of its numbers (`jsonencode`, `output -json`). Keys are sorted; with `indent`, two spaces a level.
///
/// # Errors
/// Where a part is unknown.
pub fn to_text(value: &Value, indent: bool) -> Result<String, ConvertError> {
    let mut out = String::new();
    write_text(value, indent.then_some(0), &mut out)?;
    Ok(out)
}

fn write_text(value: &Value, indent: Option<usize>, out: &mut String) -> Result<(), ConvertError> {
    let quoted = |s: &str| Json::String(s.to_owned()).to_string();
    let deeper = indent.map(|n| n + 1);
    let newline = |out: &mut String, indent: Option<usize>| {
        if let Some(n) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", n));
        }
    };
    match value.kind() {
        Kind::Null(_) => out.push_str("null"),
        Kind::Unknown(_) => {
            return Err(ConvertError { path: Path::default(), message: "the value is not known yet".into() });
        }
        Kind::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Kind::Number(n) => out.push_str(&n.to_string()),
        Kind::String(s) => out.push_str(&quoted(s)),
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                newline(out, deeper);
                write_text(item, deeper, out)?;
            }
            if !items.is_empty() {
                newline(out, indent);
            }
            out.push(']');
        }
        Kind::Map(_, entries) | Kind::Object(entries) => {
            out.push('{');
            for (i, (key, item)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                newline(out, deeper);
                out.push_str(&quoted(key));
                out.push(':');
                if indent.is_some() {
                    out.push(' ');
                }
                write_text(item, deeper, out)?;
            }
            if !entries.is_empty() {
                newline(out, indent);
            }
            out.push('}');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let value = Value::object([("n", Value::from("0.1".parse::<Number>().unwrap())), ("i", 7i64.into())]);
        assert_eq!(to_text(&value, false).unwrap(), r#"{"i":7,"n":0.1}"#);
        assert_eq!(to_json(&value).to_string(), r#"{"i":7,"n":0.1}"#);
        let big: Number = "123456789012345678901234567890".parse().unwrap();
        let back = from_json_typed(&to_json(&big.clone().into()), &Type::Number).unwrap();
        assert_eq!(back, big.into());
    }
}
