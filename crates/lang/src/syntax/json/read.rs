//! JSON text to values with their places. The first thing that is wrong ends it.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, SourceId, Span};
use grappe_value::{Number, Type, Value};

use super::super::{Cx, Ident, MAX_DEPTH, Parsed, refuse, template};
use super::{Form, Json, Property};
use crate::expr::{Node, NodeKind};

/// Reads a whole text. Templates that are wrong are told of, and stand as unknown.
pub(super) fn text(source: SourceId, text: &str, diags: &mut Diagnostics) -> Option<Json> {
    let mut reader = Reader { cx: Cx { source, text, depth: 0 }, pos: 0, diags };
    if text.starts_with('\u{feff}') {
        reader.pos = '\u{feff}'.len_utf8();
    }
    let json = reader.whole();
    diags.keep(json.map_err(|d| Diagnostics::from(*d)))
}

struct Reader<'t, 'd> {
    cx: Cx<'t>,
    pos: usize,
    diags: &'d mut Diagnostics,
}

impl Reader<'_, '_> {
    fn whole(&mut self) -> Parsed<Json> {
        let json = self.value(0)?;
        self.space();
        if self.peek().is_some() {
            return self.fail("Extraneous data after value", "Extra characters appear after the JSON value.");
        }
        Ok(json)
    }

    fn fail<T>(&self, summary: &str, detail: impl Into<String>) -> Parsed<T> {
        refuse(summary, detail, self.cx.char_span(self.pos))
    }

    fn peek(&self) -> Option<char> {
        self.cx.rest(self.pos).chars().next()
    }

    fn space(&mut self) {
        let rest = self.cx.rest(self.pos);
        self.pos += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn eat(&mut self, what: char) -> bool {
        self.space();
        let found = self.peek() == Some(what);
        self.pos += if found { what.len_utf8() } else { 0 };
        found
    }

    fn value(&mut self, depth: usize) -> Parsed<Json> {
        self.space();
        let start = self.pos;
        if depth >= MAX_DEPTH {
            return Err(Box::new(self.cx.too_deep(start)));
        }
        let form = match self.peek() {
            Some('{') => self.object(depth)?,
            Some('[') => self.array(depth)?,
            Some('"') => {
                let text = self.string()?;
                let node = self.template(&text);
                Form::Text(text.value.into(), Box::new(node))
            }
            Some(c) if c == '-' || c.is_ascii_digit() => Form::Plain(self.number()?),
            Some(c) if c.is_alphabetic() => Form::Plain(self.keyword()?),
            Some('\'') => {
                return self.fail("Invalid JSON string", "JSON strings stand in double quotes (\").");
            }
            Some(_) => {
                return self.fail(
                    "Invalid start of value",
                    "A JSON value must start with a brace, a bracket, a number, a string, or a keyword.",
                );
            }
            None => return self.fail("Missing JSON value", "The text ends where a JSON value is required."),
        };
        Ok(Json { form, span: self.cx.span(start..self.pos) })
    }

    fn object(&mut self, depth: usize) -> Parsed<Form> {
        let open = self.pos;
        self.pos += 1;
        let mut properties = Vec::new();
        while !self.eat('}') {
            if self.peek() != Some('"') {
                return match self.peek() {
                    None => refuse(
                        "Unclosed object",
                        "There is no closing brace for this JSON object.",
                        self.cx.char_span(open),
                    ),
                    _ if !properties.is_empty() && self.cx.text[..self.pos].trim_end().ends_with(',') => self
                        .fail(
                            "Trailing comma in object",
                            "JSON does not permit a trailing comma after the final property in an object.",
                        ),
                    _ => self.fail(
                        "Invalid object property name",
                        "A JSON object property name must be a string in double quotes.",
                    ),
                };
            }
            let name = self.string()?;
            let key = self.template(&name);
            if !self.eat(':') {
                return self.fail(
                    "Missing property value colon",
                    "A colon must appear between an object property's name and its value.",
                );
            }
            let value = self.value(depth + 1)?;
            let span = self.cx.span(name.start..name.end);
            properties.push(Property { name: Ident { name: name.value.into(), span }, key, value });
            self.comma('}', "object", "property")?;
        }
        Ok(Form::Object(properties.into()))
    }

    fn array(&mut self, depth: usize) -> Parsed<Form> {
        let open = self.pos;
        self.pos += 1;
        let mut items = Vec::new();
        while !self.eat(']') {
            match self.peek() {
                None => {
                    return refuse(
                        "Unclosed array",
                        "There is no closing bracket for this JSON array.",
                        self.cx.char_span(open),
                    );
                }
                _ => items.push(self.value(depth + 1)?),
            }
            self.comma(']', "array", "value")?;
        }
        Ok(Form::Array(items.into()))
    }

    /// What follows a property or an element: a comma with another one after it, or the end (which is left).
    fn comma(&mut self, close: char, of: &str, item: &str) -> Parsed<()> {
        if self.eat(',') {
            self.space();
            if self.peek() == Some(close) {
                let detail =
                    format!("JSON does not permit a trailing comma after the final {item} in an {of}.");
                return self.fail(&format!("Trailing comma in {of}"), detail);
            }
            return Ok(());
        }
        match self.peek() {
            Some(c) if c == close => Ok(()),
            None => Ok(()),
            Some(_) => self.fail(
                "Missing comma",
                format!("A comma must separate each {item} of an {of} from the next."),
            ),
        }
    }

    fn keyword(&mut self) -> Parsed<Value> {
        let rest = self.cx.rest(self.pos);
        let word = &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())];
        let value = match word {
            "null" => Value::NULL,
            "true" => true.into(),
            "false" => false.into(),
            _ => {
                let span = self.cx.span(self.pos..self.pos + word.len());
                return Err(Box::new(
                    Diagnostic::error("Invalid JSON keyword")
                        .detail(format!("\"{word}\" is not a valid JSON keyword."))
                        .span(span)
                        .did_you_mean(word, ["null", "true", "false"]),
                ));
            }
        };
        self.pos += word.len();
        Ok(value)
    }

    /// With every digit, however many there are.
    fn number(&mut self) -> Parsed<Value> {
        let rest = self.cx.rest(self.pos);
        let len = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '+' | '.'))
            .unwrap_or(rest.len());
        let text = &rest[..len];
        match text.parse::<Number>() {
            Ok(number) if is_number(text) => {
                self.pos += len;
                Ok(number.into())
            }
            _ => refuse(
                "Invalid JSON number",
                format!("\"{text}\" is not a number as JSON writes them."),
                self.cx.span(self.pos..self.pos + len),
            ),
        }
    }

    fn string(&mut self) -> Parsed<Text> {
        let start = self.pos;
        let mut text = Text { value: String::new(), places: Vec::new(), start, end: start, escaped: false };
        self.pos += 1;
        loop {
            let at = self.pos;
            let Some(c) = self.peek() else {
                return refuse(
                    "Unterminated JSON string",
                    "There is no closing quote for this JSON string.",
                    self.cx.char_span(start),
                );
            };
            self.pos += c.len_utf8();
            let c = match c {
                '"' => {
                    text.places.push(at);
                    text.end = self.pos;
                    return Ok(text);
                }
                '\\' => {
                    text.escaped = true;
                    self.escape(at)?
                }
                c if c < ' ' => {
                    self.pos = at;
                    return self.fail(
                        "Invalid JSON string",
                        "Control characters must be escaped in a JSON string: a new line is \\n.",
                    );
                }
                c => c,
            };
            text.value.push(c);
            text.places.resize(text.value.len(), at);
        }
    }

    /// After `\` at a place.
    fn escape(&mut self, at: usize) -> Parsed<char> {
        let c = self.peek();
        self.pos += c.map_or(0, char::len_utf8);
        Ok(match c {
            Some('"') => '"',
            Some('\\') => '\\',
            Some('/') => '/',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let first = self.hex(at)?;
                // Beyond 16 bits it takes two.
                let code = if (0xd800..0xdc00).contains(&first) && self.cx.rest(self.pos).starts_with("\\u") {
                    self.pos += 2;
                    let second = self.hex(at)?;
                    0x10000 + ((first - 0xd800) << 10) + second.wrapping_sub(0xdc00) % 0x400
                } else {
                    first
                };
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => {
                return refuse(
                    "Invalid JSON string",
                    "This is not an escape sequence of JSON: they are \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uNNNN.",
                    self.cx.span(at..self.pos),
                );
            }
        })
    }

    fn hex(&mut self, at: usize) -> Parsed<u32> {
        let code = self.cx.rest(self.pos).get(..4).filter(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()));
        match code.and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
            Some(code) => {
                self.pos += 4;
                Ok(code)
            }
            None => refuse(
                "Invalid JSON string",
                "\\u is followed by four hexadecimal digits.",
                self.cx.span(at..self.pos),
            ),
        }
    }

    /// A string as a template; what is wrong with it is told of.
    fn template(&mut self, text: &Text) -> Node {
        let span = self.cx.span(text.start..text.end);
        let source = span.source;
        let broken = || Node::new(NodeKind::Literal(Value::unknown(Type::Any)), span);
        if !text.value.contains(['$', '%']) {
            return Node::new(NodeKind::Literal(Value::from(&*text.value)), span);
        }
        if !text.escaped {
            let until = text.end - 1;
            let cx = Cx { text: &self.cx.text[..until], ..self.cx };
            let node = template::piece(cx, text.start + 1..until, span);
            return self.diags.keep(node.map_err(|d| Diagnostics::from(*d))).unwrap_or_else(broken);
        }
        // It is read in another text than that of the file: places are taken back to that.
        let places: Arc<[usize]> = text.places.as_slice().into();
        let place = move |at: Span| {
            let of = |byte: u32| places.get(byte as usize).copied().unwrap_or(text.end);
            Span::new(source, of(at.start), of(at.end).max(of(at.start)))
        };
        let cx = Cx { text: &text.value, ..self.cx };
        match template::piece(cx, 0..text.value.len(), cx.span(0..text.value.len())) {
            Ok(mut node) => {
                node.each_span(&mut |at| *at = place(*at));
                node.span = span;
                node
            }
            Err(mut wrong) => {
                wrong.span = wrong.span.map(&place);
                wrong.related.iter_mut().for_each(|(at, _)| *at = place(*at));
                self.diags.push(*wrong);
                broken()
            }
        }
    }
}

/// A string, with the place of each byte of its value in the file.
struct Text {
    value: String,
    places: Vec<usize>,
    start: usize,
    end: usize,
    escaped: bool,
}

/// Whether JSON writes a number like this: no `+`, no leading zeros, digits on both sides of the point.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use grappe_diag::Sources;

    fn read(json: &str) -> (Option<Json>, Diagnostics) {
        let source = Sources::new().add("x.tf.json", json);
        let mut diags = Diagnostics::new();
        let read = text(source, json, &mut diags);
        (read, diags)
    }

    #[test]
    fn values_are_exact() {
        let json = r#" {"a": [1, -2.50e3, 123456789012345678901234567890.5, true, null, "\u00e9\ud83d\ude00\n\/"], "b": {}} "#;
        let (read, diags) = read(json);
        assert!(diags.is_empty(), "{diags}");
        assert_eq!(
            format!("{:?}", read.unwrap().value()),
            "{\"a\": [1, -2500, 123456789012345678901234567890.5, true, null, \"é😀\\n/\"], \"b\": {}}"
        );
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (json, at, what) in [
            ("", 0, "Missing JSON value"),
            ("{\"a\": 1,}", 8, "Trailing comma in object"),
            ("[1,]", 3, "Trailing comma in array"),
            ("{\"a\" 1}", 5, "Missing property value colon"),
            ("{a: 1}", 1, "Invalid object property name"),
            ("{\"a\": 01}", 6, "Invalid JSON number"),
            ("{\"a\": 1 \"b\": 2}", 8, "Missing comma"),
            ("{\"a\": tru}", 6, "Invalid JSON keyword"),
            ("{\"a\": 'x'}", 6, "Invalid JSON string"),
            ("{\"a\": \"x}", 6, "Unterminated JSON string"),
            ("{\"a\": \"\\x\"}", 7, "Invalid JSON string"),
            ("{\"a\": [1", 6, "Unclosed array"),
            ("{\"a\": 1", 0, "Unclosed object"),
            ("{} x", 3, "Extraneous data after value"),
        ] {
            let (_, diags) = read(json);
            let [wrong] = &diags.0[..] else { panic!("{json}: {diags}") };
            assert_eq!((&*wrong.summary, wrong.span.unwrap().start), (what, at), "{json}");
        }
        let deep = "[".repeat(100_000);
        assert!(read(&deep).1.to_string().contains("Nested too deeply"));
    }

    #[test]
    fn templates_keep_their_place_behind_escapes() {
        let json = r#"{"a": "x\"y ${ foo( }", "b": "${1 +}"}"#;
        let (_, diags) = read(json);
        let starts: Vec<_> = diags.iter().map(|d| d.span.unwrap().start as usize).collect();
        assert_eq!(diags.len(), 2, "{diags}");
        assert!(starts[0] > 12 && starts[0] < 22, "{starts:?}");
        assert!(starts[1] > 30 && starts[1] < 37, "{starts:?}");
    }
}
