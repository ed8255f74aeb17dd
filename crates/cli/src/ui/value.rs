//! Values as a plan writes them.

use grappe_value::addr::quote;
use grappe_value::{Kind, Marks, Value};

use super::style::columns;

/// What stands for a value that only the change will tell.
pub const UNKNOWN: &str = "(known after apply)";
/// What stands for a value that is never shown.
pub const SENSITIVE: &str = "(sensitive value)";

/// A name or key as HCL writes it: plain where it can be.
#[must_use]
pub fn key(name: &str) -> String {
    let plain = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if plain { name.to_owned() } else { quote(name) }
}

/// The value on one line where it has a short form: not for texts of several lines and not for nested collections.
#[must_use]
pub fn inline(value: &Value) -> Option<String> {
    if value.marks().contains(Marks::SENSITIVE) {
        return Some(SENSITIVE.into());
    }
    let flat = |v: &Value| -> Option<String> {
        let nested = v.children().next().is_some() && !v.marks().contains(Marks::SENSITIVE);
        if nested { None } else { inline(v) }
    };
    match value.kind() {
        Kind::Null(_) => Some("null".into()),
        Kind::Unknown(_) => Some(UNKNOWN.into()),
        Kind::Bool(b) => Some(b.to_string()),
        Kind::Number(n) => Some(n.to_string()),
        Kind::String(s) if is_text(s) => None,
        Kind::String(s) => Some(quote(s)),
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            let items: Option<Vec<String>> = items.iter().map(flat).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        Kind::Map(_, entries) | Kind::Object(entries) => {
            let is_map = matches!(value.kind(), Kind::Map(..));
            let entries: Option<Vec<String>> = entries
                .iter()
                .filter(|(_, v)| is_map || !v.is_null())
                .map(|(k, v)| Some(format!("{} = {}", entry_name(k, is_map), flat(v)?)))
                .collect();
            let entries = entries?;
            Some(if entries.is_empty() { "{}".into() } else { format!("{{ {} }}", entries.join(", ")) })
        }
    }
}

/// The value over as many lines as it needs; the first goes behind `name = `, the others are indented from there. Collections stay on one line
/// where they fit in `width` columns.
#[must_use]
pub fn lines(value: &Value, width: usize) -> Vec<String> {
    cut_lines(value, width, usize::MAX)
}

/// As [`lines`], with texts of more than `most` lines cut.
#[must_use]
pub fn cut_lines(value: &Value, width: usize, most: usize) -> Vec<String> {
    if let Some(text) = inline(value)
        && (columns(&text) <= width || value.children().next().is_none())
    {
        return vec![text];
    }
    let inner = width.saturating_sub(4);
    let indent = |lines: Vec<String>| lines.into_iter().map(|l| format!("    {l}"));
    match value.kind() {
        Kind::String(s) => {
            let mut out = vec!["<<-EOT".to_owned()];
            let mut text = text_lines(s);
            if text.len() > most {
                let more = text.len() - most / 2;
                text.truncate(most / 2);
                text.push(format!("# (and {more} lines more)"));
            }
            out.extend(indent(text));
            out.push("EOT".into());
            out
        }
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            let mut out = vec!["[".to_owned()];
            for item in items.iter() {
                let mut item = cut_lines(item, inner, most);
                if let Some(last) = item.last_mut() {
                    last.push(',');
                }
                out.extend(indent(item));
            }
            out.push("]".into());
            out
        }
        Kind::Map(_, entries) | Kind::Object(entries) => {
            let is_map = matches!(value.kind(), Kind::Map(..));
            let shown: Vec<_> = entries.iter().filter(|(_, v)| is_map || !v.is_null()).collect();
            let names: Vec<String> = shown.iter().map(|(k, _)| entry_name(k, is_map)).collect();
            let pad = names.iter().map(|n| columns(n)).max().unwrap_or(0);
            let mut out = vec!["{".to_owned()];
            for (name, (_, value)) in names.iter().zip(shown) {
                let mut value = cut_lines(value, inner.saturating_sub(pad + 3), most);
                if let Some(first) = value.first_mut() {
                    *first = format!("{} = {first}", padded(name, pad));
                }
                out.extend(indent(value));
            }
            out.push("}".into());
            out
        }
        _ => vec![inline(value).unwrap_or_default()],
    }
}

/// What a reference to another object looks like on one line: the members by which people know it, and that there is more. `None` for what is no object or
/// list of objects.
#[must_use]
pub fn gist(value: &Value) -> Option<String> {
    if value.marks().contains(Marks::SENSITIVE) {
        return None;
    }
    match value.kind() {
        Kind::Object(entries) => {
            let known = ["name", "address", "endpoint", "version"].into_iter().filter_map(|name| {
                let text =
                    entries.get(name).filter(|v| !v.is_null() && !v.is_sensitive_deep()).and_then(inline)?;
                Some(format!("{name} = {text}"))
            });
            let members = known.chain(std::iter::once("…".to_owned())).collect::<Vec<_>>().join(", ");
            Some(format!("{{ {members} }}"))
        }
        Kind::List(_, items) | Kind::Tuple(items) if !items.is_empty() => {
            let items: Option<Vec<String>> = items.iter().map(gist).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        _ => None,
    }
}

/// Keys of maps are data and are quoted; names of attributes are not.
#[must_use]
pub fn entry_name(name: &str, is_map: bool) -> String {
    if is_map { quote(name) } else { key(name) }
}

/// Whether a string is shown line by line.
#[must_use]
pub fn is_text(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
}

/// The lines of a text.
#[must_use]
pub fn text_lines(text: &str) -> Vec<String> {
    text.strip_suffix('\n').unwrap_or(text).split('\n').map(str::to_owned).collect()
}

/// The text with spaces behind it up to `width` columns.
#[must_use]
pub fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

#[cfg(test)]
mod tests {
    use grappe_value::Type;

    use super::*;

    #[test]
    fn short_values_take_one_line() {
        let value = Value::object([
            ("name", Value::from("a \"b\"")),
            ("none", Value::null(Type::String)),
            ("ports", Value::list(Type::Number, [80.into(), 443.into()])),
        ]);
        assert_eq!(inline(value.get("ports").unwrap()).unwrap(), "[80, 443]");
        assert_eq!(lines(&value, 76), ["{", "    name  = \"a \\\"b\\\"\"", "    ports = [80, 443]", "}"]);
        let labels = Value::map(Type::String, [("role", Value::from("web"))]);
        assert_eq!(inline(&labels).unwrap(), "{ \"role\" = \"web\" }");
        assert_eq!(lines(&labels, 8), ["{", "    \"role\" = \"web\"", "}"]);
    }

    #[test]
    fn texts_stand_line_by_line_and_secrets_do_not_stand_at_all() {
        assert_eq!(lines(&"a\n  b\n".into(), 76), ["<<-EOT", "    a", "      b", "EOT"]);
        assert_eq!(lines(&"one line\n".into(), 76), ["\"one line\\n\""]);
        assert_eq!(lines(&Value::from("a\nb").sensitive(), 76), [SENSITIVE]);
        assert_eq!(inline(&Value::tuple([Value::from("x").sensitive()])).unwrap(), "[(sensitive value)]");
        assert_eq!(inline(&"\u{1b}[31m".into()).unwrap(), "\"\\u001b[31m\"", "a terminal obeys nothing here");
    }
}
