//! YAML, as Terraform writes and reads it: block style with every text quoted; reading resolves plain scalars as YAML 1.1 does (`yes` is true).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle};
use grappe_value::{Kind, Number, Value};

use super::{Function, Outcome, P, any, dates, f, of, refuse, string, text};

pub(super) static FUNCTIONS: &[Function] = &[
    of(
        "yamldecode",
        "the value that a YAML text writes",
        &[string("src")],
        |_| grappe_value::Type::Any,
        yamldecode,
    ),
    f("yamlencode", "the value as YAML", &[any("value").null()], P::String, |args| {
        let mut out = String::new();
        write(&args[0], 0, Place::Line, &mut out);
        // As libyaml ends a document that is a plain scalar.
        if matches!(args[0].kind(), Kind::Null(_) | Kind::Bool(_) | Kind::Number(_)) {
            out.push_str("...\n");
        }
        Ok(out.into())
    })
    .whole(),
];

/// What stands before a value on its line.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Nothing but the indentation that is there already.
    Line,
    /// `key:`
    AfterKey,
}

fn write(value: &Value, indent: usize, place: Place, out: &mut String) {
    let pad = |n: usize| " ".repeat(n);
    let scalar = |text: &str, out: &mut String| {
        if place == Place::AfterKey {
            out.push(' ');
        }
        out.push_str(text);
        out.push('\n');
    };
    match value.kind() {
        Kind::Null(_) | Kind::Unknown(_) => scalar("null", out),
        Kind::Bool(b) => scalar(if *b { "true" } else { "false" }, out),
        Kind::Number(n) => scalar(&n.to_string(), out),
        Kind::String(s) if s.contains('\n') && is_plain(s) => {
            if place == Place::AfterKey {
                out.push(' ');
            }
            literal(s, indent, out);
        }
        Kind::String(s) => scalar(&quoted(s), out),
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            if items.is_empty() {
                return scalar("[]", out);
            }
            // A list under a key is not indented further.
            let indent = if place == Place::AfterKey {
                out.push('\n');
                indent.saturating_sub(2)
            } else {
                indent
            };
            for (i, item) in items.iter().enumerate() {
                if i > 0 || place == Place::AfterKey {
                    out.push_str(&pad(indent));
                }
                out.push_str("- ");
                write(item, indent + 2, Place::Line, out);
            }
        }
        Kind::Map(_, entries) | Kind::Object(entries) => {
            if entries.is_empty() {
                return scalar("{}", out);
            }
            if place == Place::AfterKey {
                out.push('\n');
            }
            for (i, (key, item)) in entries.iter().enumerate() {
                if i > 0 || place == Place::AfterKey {
                    out.push_str(&pad(indent));
                }
                out.push_str(&quoted(key));
                out.push(':');
                write(item, indent + 2, Place::AfterKey, out);
            }
        }
    }
}

/// Whether a text can stand in a literal block.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || is_printable(c)) && !text.lines().any(|l| l.ends_with(' '))
}

/// What libyaml takes for printable: no controls, and nothing beyond the basic plane.
fn is_printable(c: char) -> bool {
    !c.is_control() && c != '\u{feff}' && u32::from(c) <= 0xFFFF
}

fn literal(text: &str, indent: usize, out: &mut String) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    out.push_str(if !text.ends_with('\n') {
        "-"
    } else if text.ends_with("\n\n") || text == "\n" {
        "+"
    } else {
        ""
    });
    out.push('\n');
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent.max(2)));
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{a0}' => out.push_str("\\_"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if u32::from(c) > 0xFFFF => out.push_str(&format!("\\U{:08X}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\x{:02X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// As deep as JSON may nest.
const MAX_DEPTH: usize = 128;

fn yamldecode(args: &[Value]) -> Outcome {
    match (Reader { parser: Parser::new_from_str(text(args, 0)), anchors: HashMap::new(), budget: 1_000_000 })
        .document()
    {
        Ok(value) => Ok(value),
        Err(why) => refuse(why),
    }
}

struct Reader<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    anchors: HashMap<usize, Value>,
    /// Nodes that aliases may still stand for: a few lines of aliases can stand for more than fits in memory.
    budget: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>, String> {
        loop {
            return match self.parser.next_event() {
                // Not data.
                Some(Ok((Event::Comment(..), _))) => continue,
                Some(Ok((event, _))) => Ok(event),
                Some(Err(error)) => {
                    let at = error.marker();
                    Err(format!("on line {}, column {}: {}", at.line(), at.col() + 1, error.info()))
                }
                None => Ok(Event::StreamEnd),
            };
        }
    }

    fn document(&mut self) -> Result<Value, String> {
        loop {
            match self.next()? {
                Event::DocumentStart(..) => break,
                Event::StreamEnd => return Err("on line 1, column 1: missing start of document".into()),
                _ => {}
            }
        }
        let first = self.next()?;
        let value = self.node(first, 0)?;
        loop {
            match self.next()? {
                Event::StreamEnd => return Ok(value),
                Event::DocumentStart(..) => {
                    return Err("on line 1, column 1: unexpected extra content after value".into());
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'t>, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it nests more than {MAX_DEPTH} levels deep"));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().map(|t| tag_name(t)).transpose()?;
                (scalar(&text, style, tag.as_deref())?, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                collection_tag(tag.as_deref(), "seq")?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => items.push(self.node(event, depth + 1)?),
                    }
                }
                (Value::tuple(items), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                collection_tag(tag.as_deref(), "map")?;
                (self.mapping(depth)?, anchor)
            }
            Event::Alias(id) => {
                let Some(value) = self.anchors.get(&id).cloned() else {
                    return Err("cannot refer to an anchor from inside its own definition".into());
                };
                self.budget = match self.budget.checked_sub(size(&value)) {
                    Some(left) => left,
                    None => return Err("its aliases stand for too much".into()),
                };
                return Ok(value);
            }
            _ => return Err("unexpected end of document".into()),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        let mut own: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        let mut merged: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        loop {
            let event = match self.next()? {
                Event::MappingEnd => break,
                event => event,
            };
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, depth + 1)?;
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            if merge {
                let sources = match value.kind() {
                    Kind::Tuple(items) => items.to_vec(),
                    _ => vec![value],
                };
                for source in sources {
                    let Some(entries) = source.as_entries() else {
                        return Err("only mappings and lists of them can be merged by <<".into());
                    };
                    for (key, value) in entries {
                        merged.entry(key.clone()).or_insert_with(|| value.clone());
                    }
                }
                continue;
            }
            let key: Arc<str> = match key.kind() {
                Kind::String(key) => key.clone(),
                Kind::Number(n) => n.to_string().into(),
                Kind::Bool(b) => b.to_string().into(),
                _ => return Err("only strings are allowed as mapping keys".into()),
            };
            own.insert(key, value);
        }
        merged.extend(own);
        Ok(Kind::Object(Arc::new(merged)).into())
    }
}

fn size(value: &Value) -> usize {
    1 + value.children().map(size).sum::<usize>()
}

fn tag_name(tag: &granit_parser::Tag) -> Result<String, String> {
    match tag.suffix_in_namespace("tag:yaml.org,2002:") {
        Some(name) => Ok(name.into_owned()),
        None => Err(format!("unsupported tag \"{}\"", tag.original())),
    }
}

fn collection_tag(tag: Option<&granit_parser::Tag>, own: &str) -> Result<(), String> {
    match tag.map(tag_name).transpose()? {
        Some(name) if name != own => Err(format!("unsupported tag \"!!{name}\"")),
        _ => Ok(()),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&str>) -> Result<Value, String> {
    let bad = |what: &str| Err(format!("cannot parse \"{text}\" as {what}"));
    match tag {
        Some("str" | "binary") => Ok(text.into()),
        Some("null") => Ok(Value::NULL),
        Some("int" | "float") => number(text).map_or_else(|| bad("number"), |n| Ok(n.into())),
        Some("bool") => boolean(text).map_or_else(|| bad("bool"), |b| Ok(b.into())),
        Some("timestamp") => timestamp(text).map_or_else(|| bad("timestamp"), |t| Ok(t.into())),
        Some(other) => Err(format!("unsupported tag \"!!{other}\"")),
        None if style != ScalarStyle::Plain => Ok(text.into()),
        None => Ok(plain(text)),
    }
}

fn plain(text: &str) -> Value {
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Value::NULL;
    }
    if let Some(b) = boolean(text) {
        return b.into();
    }
    if let Some(n) = number(text) {
        return n.into();
    }
    if let Some(t) = timestamp(text) {
        return t.into();
    }
    text.into()
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn number(text: &str) -> Option<Number> {
    let in_radix = |digits: &str, radix: u32| {
        let mut total = Number::from(0i64);
        for c in digits.chars() {
            total = total.mul(&i64::from(radix).into()).add(&i64::from(c.to_digit(radix)?).into());
        }
        (!digits.is_empty()).then_some(total)
    };
    if let Some(hex) = text.strip_prefix("0x") {
        return in_radix(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return in_radix(octal, 8);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    // `.5` and `1.` are numbers in YAML.
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    let n = format!("{whole}.{fraction}e{exponent}").parse::<Number>().ok()?;
    Some(if negative { n.neg() } else { n })
}

/// A date, or a date and a time, as RFC 3339.
fn timestamp(text: &str) -> Option<String> {
    let shape = text.as_bytes();
    if shape.len() < 10 || !shape[..4].iter().all(u8::is_ascii_digit) || shape[4] != b'-' || !text.is_ascii()
    {
        return None;
    }
    if text.len() == 10 {
        return dates::normalize(&format!("{text}T00:00:00Z"));
    }
    let (date, time) = text.split_at(10);
    let time = time.strip_prefix(['T', 't', ' '])?;
    let zoned = time.ends_with('Z') || time.contains(['+', '-']);
    dates::normalize(&format!("{date}T{time}{}", if zoned { "" } else { "Z" }))
}
