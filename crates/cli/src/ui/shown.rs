//! Values as `console` shows them: as Terraform does, in a form that can be read again.

use grappe_value::{Kind, Marks, Type, Value};

use super::value::{SENSITIVE, UNKNOWN};

/// The value, over as many lines as it needs.
#[must_use]
pub fn show(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    out
}

fn write(value: &Value, indent: usize, out: &mut String) {
    if value.is_unknown() {
        return out.push_str(UNKNOWN);
    }
    if value.marks().contains(Marks::SENSITIVE) {
        return out.push_str(SENSITIVE);
    }
    match value.kind() {
        Kind::Unknown(_) => out.push_str(UNKNOWN),
        Kind::Null(ty) => out.push_str(&null(ty)),
        Kind::Bool(b) => out.push_str(&b.to_string()),
        Kind::Number(n) => out.push_str(&n.to_string()),
        Kind::String(text) if text.contains('\n') => heredoc(text, indent, out),
        Kind::String(text) => out.push_str(&quoted(text)),
        Kind::Tuple(items) => sequence("", items, indent, out),
        Kind::List(_, items) => sequence("tolist", items, indent, out),
        Kind::Set(_, items) => sequence("toset", items, indent, out),
        Kind::Object(entries) => mapping("", entries.iter(), indent, out),
        Kind::Map(_, entries) => mapping("tomap", entries.iter(), indent, out),
    }
}

fn null(ty: &Type) -> String {
    let friendly = |ty: &Type| if *ty == Type::Any { "dynamic".to_owned() } else { ty.friendly() };
    match ty {
        Type::Any => "null".into(),
        Type::String => "tostring(null)".into(),
        Type::Number => "tonumber(null)".into(),
        Type::Bool => "tobool(null)".into(),
        Type::List(element) => format!("tolist(null) /* of {} */", friendly(element)),
        Type::Set(element) => format!("toset(null) /* of {} */", friendly(element)),
        Type::Map(element) => format!("tomap(null) /* of {} */", friendly(element)),
        other => format!("null /* {} */", friendly(other)),
    }
}

fn line(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Opens a bracket, with the function that makes a collection of it before.
fn open(function: &str, bracket: char, out: &mut String) {
    out.push_str(function);
    if !function.is_empty() {
        out.push('(');
    }
    out.push(bracket);
}

fn close(function: &str, bracket: char, empty: bool, indent: usize, out: &mut String) {
    if !empty {
        line(indent, out);
    }
    out.push(bracket);
    if !function.is_empty() {
        out.push(')');
    }
}

fn sequence(function: &str, items: &[Value], indent: usize, out: &mut String) {
    open(function, '[', out);
    for item in items {
        line(indent + 2, out);
        write(item, indent + 2, out);
        out.push(',');
    }
    close(function, ']', items.is_empty(), indent, out);
}

fn mapping<'v, K: AsRef<str> + 'v>(
    function: &str,
    entries: impl ExactSizeIterator<Item = (&'v K, &'v Value)>,
    indent: usize,
    out: &mut String,
) {
    open(function, '{', out);
    let empty = entries.len() == 0;
    for (key, value) in entries {
        line(indent + 2, out);
        match key.as_ref() {
            lines if lines.contains('\n') => heredoc(lines, indent + 2, out),
            plain => out.push_str(&quoted(plain)),
        }
        out.push_str(" = ");
        write(value, indent + 2, out);
    }
    close(function, '}', empty, indent, out);
}

fn heredoc(text: &str, indent: usize, out: &mut String) {
    let mut word = "EOT".to_owned();
    while text.split('\n').any(|l| l.trim() == word) {
        word.push('_');
    }
    out.push_str(if indent > 0 { "<<-" } else { "<<" });
    out.push_str(&word);
    for text in text.split('\n').chain([&*word]) {
        line(indent, out);
        out.push_str(text);
    }
}

/// In quotes, as Go writes them.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_ascii() => out.push(c),
            c => match (printable(c), u32::from(c)) {
                (true, _) => out.push(c),
                (false, code @ 0..=0xffff) => out.push_str(&format!("\\u{code:04x}")),
                (false, code) => out.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    out.push('"');
    out
}

fn printable(c: char) -> bool {
    // Behind another character, one that combines is shown as it is.
    format!("a{c}").escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_terraform_shows_them() {
        let value = Value::object([
            ("a", Value::list(Type::Number, [1i64.into(), 2i64.into()])),
            ("b c", Value::set(Type::String, [])),
            ("d", Value::from("x\ny")),
            ("e", Value::from("s").sensitive()),
            ("f", Value::unknown(Type::String)),
            ("g", Value::null(Type::list(Type::String))),
            ("h", Value::map(Type::Bool, [("k", true.into())])),
            ("i", Value::tuple([])),
            ("j", Value::from("\u{7}\u{0}é\u{ad}\"\\")),
        ]);
        let want = "{\n  \"a\" = tolist([\n    1,\n    2,\n  ])\n  \"b c\" = toset([])\n  \"d\" = <<-EOT\n  x\n  y\n  EOT\n  \"e\" = (sensitive value)\n  \
            \"f\" = (known after apply)\n  \"g\" = tolist(null) /* of string */\n  \"h\" = tomap({\n    \"k\" = true\n  })\n  \"i\" = []\n  \
            \"j\" = \"\\a\\x00é\\u00ad\\\"\\\\\"\n}";
        assert_eq!(show(&value), want);
        assert_eq!(show(&"EOT\na\n".into()), "<<EOT_\nEOT\na\n\nEOT_");
    }
}
