//! Secrets that must not be shown.
//!
//! A remote command may print what it was given: a token in an error, a password in a trace. Whatever a provider says of an object passes through
//! a [`Mask`] that knows the sensitive strings of that object.

use grappe_value::{Kind, Value};

/// What stands where a secret stood.
const HIDDEN: &str = "(sensitive value)";

/// Shorter strings are not looked for: `true` or `22` would be hidden everywhere, and tell nothing.
const SHORTEST: usize = 5;

/// The sensitive strings of some values.
#[derive(Clone, Default)]
pub struct Mask {
    /// Longest first, so that a secret that is part of another does not break it up.
    secrets: Vec<String>,
}

/// Shows how many there are.
impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({} secrets)", self.secrets.len())
    }
}

impl Mask {
    /// Of all sensitive strings in these values.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut secrets = Vec::new();
        for value in values {
            gather(value, false, &mut secrets);
        }
        secrets.sort_by(|a: &String, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Mask { secrets }
    }

    /// The text with every secret hidden.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for secret in &self.secrets {
            if out.contains(secret.as_str()) {
                out = out.replace(secret.as_str(), HIDDEN);
            }
        }
        out
    }
}

fn gather(value: &Value, inside: bool, out: &mut Vec<String>) {
    // What may not be stored may not be shown either.
    let sensitive = inside || !value.marks().is_empty();
    if sensitive && let Kind::String(text) = value.kind() {
        // Output comes in lines: so must what is looked for.
        out.extend(text.lines().map(str::trim).filter(|l| l.len() >= SHORTEST).map(str::to_owned));
    }
    for child in value.children() {
        gather(child, sensitive, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_secret_is_hidden_and_nothing_else() {
        let key = "-----BEGIN KEY-----\nabcdefgh\nx\n-----END KEY-----";
        let value = Value::object([
            ("key", Value::from(key).sensitive()),
            ("tokens", Value::tuple([Value::from("abcd"), "token-1".into(), "token-12".into()]).sensitive()),
            ("name", "visible".into()),
        ]);
        let mask = Mask::of([&value]);
        let hide = |text| mask.hide(text);
        assert_eq!(hide("got abcdefgh, token-12 for visible"), format!("got {HIDDEN}, {HIDDEN} for visible"));
        assert_eq!(hide("abcd x"), "abcd x");
        assert_eq!(format!("{mask:?}"), "Mask(5 secrets)");
    }
}
