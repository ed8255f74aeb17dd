//! Base64, JSON, URLs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grappe_value::{Type, Value, json};

use super::{Function, Outcome, P, any, f, of, refuse, string, text};

pub(super) static FUNCTIONS: &[Function] = &[
    f("base64decode", "the text that a Base64 text stands for", &[string("str")], P::String, base64decode),
    f("base64encode", "the text in Base64", &[string("str")], P::String, |args| {
        Ok(STANDARD.encode(text(args, 0)).into())
    }),
    of("jsondecode", "the value that a JSON text writes", &[string("str")], |_| Type::Any, jsondecode),
    f("jsonencode", "the value as JSON", &[any("val").null()], P::String, jsonencode).whole(),
    f("urlencode", "the text as it can stand in a URL's query", &[string("str")], P::String, urlencode),
];

fn base64decode(args: &[Value]) -> Outcome {
    let Ok(bytes) = STANDARD.decode(text(args, 0)) else {
        return refuse("failed to decode base64 data: it is not valid Base64");
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(_) => refuse("the result of decoding the provided string is not valid UTF-8"),
    }
}

fn jsondecode(args: &[Value]) -> Outcome {
    match serde_json::from_str::<serde_json::Value>(text(args, 0)) {
        Ok(value) => Ok(json::from_json(&value)),
        Err(error) => refuse(format!("invalid JSON: {error}")),
    }
}

fn jsonencode(args: &[Value]) -> Outcome {
    let text = json::to_text(&args[0], false).or_else(|e| refuse(e.to_string()))?;
    // As Go does, so that the text can stand in HTML; these stand inside strings only.
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    Ok(out.into())
}

fn urlencode(args: &[Value]) -> Outcome {
    let mut out = String::new();
    for byte in text(args, 0).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(out.into())
}
