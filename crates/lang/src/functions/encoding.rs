//! Base64, JSON, URLs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grappe_value::{Kind, Type, Value, json};

use super::{Function, Outcome, P, Refused, any, f, of, refuse, string, text};

pub(super) static FUNCTIONS: &[Function] = &[
    f("base64decode", "the text that a Base64 text stands for", &[string("str")], P::String, base64decode),
    f("base64encode", "the text in Base64", &[string("str")], P::String, |args| {
        Ok(STANDARD.encode(text(args, 0)).into())
    }),
    of("jsondecode", "the value that a JSON text writes", &[string("str")], |_| Type::Any, jsondecode),
    f("jsonencode", "the value as JSON", &[any("val").null()], P::String, jsonencode).whole(),
    f("urlencode", "the text as it can stand in a URL's query", &[string("str")], P::String, urlencode),
];

/// The first character of what a value of that type is in JSON; nothing where that is open.
pub(super) fn first_of_json(value: &Value) -> &'static str {
    let open = matches!(value.kind(), Kind::Unknown(unknown) if !unknown.not_null);
    match value.ty() {
        _ if open => "",
        Type::String => "\"",
        Type::Object(_) | Type::Map(_) => "{",
        Type::Tuple(_) | Type::List(_) | Type::Set(_) => "[",
        _ => "",
    }
}

/// Decodes as Go does: line ends are passed over, and so are bits that are left in the last character. Where it is wrong otherwise, the place that Go
/// would name.
pub(super) fn base64_bytes(text: &str) -> Result<Vec<u8>, usize> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut rest = text.bytes().enumerate().filter(|(_, b)| *b != b'\n' && *b != b'\r');
    let (mut four, mut have) = (0u32, 0);
    while let Some((at, byte)) = rest.next() {
        if let Some(value) = value(byte) {
            four = four << 6 | u32::from(value);
            have += 1;
            if have == 4 {
                out.extend(&four.to_be_bytes()[1..]);
                (four, have) = (0, 0);
            }
            continue;
        }
        // Padding: after two or three characters, and nothing after it.
        if byte != b'=' || have < 2 {
            return Err(at);
        }
        if have == 2 {
            match rest.next() {
                Some((_, b'=')) => {}
                Some(_) => return Err(at),
                None => return Err(text.len()),
            }
        }
        if let Some((at, _)) = rest.next() {
            return Err(at);
        }
        let bytes = (four << (6 * (4 - have))).to_be_bytes();
        out.extend(&bytes[1..have]);
        return Ok(out);
    }
    if have == 0 { Ok(out) } else { Err(text.len() - have) }
}

fn base64decode(args: &[Value]) -> Outcome {
    let Ok(bytes) = base64_bytes(text(args, 0)) else {
        return refuse(format!("failed to decode base64 data \"{}\"", text(args, 0)));
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
    json_text(&args[0]).map(Value::from)
}

/// A value as JSON.
pub(super) fn json_text(value: &Value) -> Result<String, Refused> {
    let text = json::to_text(value, false).or_else(|e| refuse(e.to_string()))?;
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
    Ok(out)
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
