//! What an API says of a refused request, out of the forms that APIs have for it.

use std::sync::Arc;

use serde_json::Value as Json;

/// Longer answers are cut.
const LONGEST: usize = 600;

/// The message in a body: of JSON the text that is for people, of anything else its first words.
pub(crate) fn said(body: &[u8], hidden: &[Arc<str>]) -> Option<String> {
    let text = match serde_json::from_slice::<Json>(body) {
        Ok(json) => message(&json)?,
        Err(_) => plain(&String::from_utf8_lossy(body)),
    };
    let mut text = text.trim().to_owned();
    for secret in hidden {
        text = text.replace(&**secret, "(sensitive)");
    }
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    (!text.is_empty()).then_some(text)
}

/// `{"badRequest": {"message": …}}`, `{"error": {"message": …}}`, `{"faultstring": …}`, `{"message": …}`, `{"errors": [{"detail": …}]}`
fn message(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Array(items) => items.iter().find_map(message),
        Json::Object(fields) => {
            let named = ["message", "faultstring", "description", "detail", "title"];
            let own =
                named.iter().filter_map(|name| fields.get(*name)?.as_str()).find(|text| !text.is_empty());
            own.map(str::to_owned)
                .or_else(|| fields.values().filter(|v| v.is_object() || v.is_array()).find_map(message))
        }
        _ => None,
    }
}

/// Words without the tags around them.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                out.push(' ');
            }
            _ if inside => {}
            c => out.push(c),
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_found_in_each_form() {
        for (body, wanted) in [
            (r#"{"badRequest": {"code": 400, "message": "Flavor is wrong"}}"#, Some("Flavor is wrong")),
            (r#"{"NeutronError": {"type": "InUse", "message": "In use", "detail": ""}}"#, Some("In use")),
            (r#"{"error": {"code": 401, "message": "No", "title": "Unauthorized"}}"#, Some("No")),
            (r#"{"faultcode": "Client", "faultstring": "Immutable", "debuginfo": null}"#, Some("Immutable")),
            (r#"{"errors": [{"status": 409, "title": "Conflict", "detail": "Taken"}]}"#, Some("Taken")),
            (r#"{"message": "The server is down", "code": 503}"#, Some("The server is down")),
            ("<html><h1>502</h1> <p>Bad\nGateway</p></html>", Some("502 Bad Gateway")),
            ("{}", None),
            ("", None),
        ] {
            assert_eq!(said(body.as_bytes(), &[]).as_deref(), wanted, "{body}");
        }
    }

    #[test]
    fn what_is_quoted_of_a_secret_is_blotted_out() {
        let body = br#"{"badRequest": {"message": "Invalid input. Value: hunter2."}}"#;
        assert_eq!(said(body, &["hunter2".into()]).as_deref(), Some("Invalid input. Value: (sensitive)."));
        let long = format!(r#"{{"message": "{}"}}"#, "é".repeat(1000));
        let cut = said(long.as_bytes(), &[]).unwrap();
        assert!(cut.ends_with("é…") && cut.len() < 610, "{cut}");
    }
}
