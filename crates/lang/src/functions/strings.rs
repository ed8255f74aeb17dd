//! Strings. Lengths and positions count grapheme clusters: what a reader takes for one character.

use std::sync::Arc;

use grappe_value::{Kind, Type, Value, convert};
use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

use super::{Function, Outcome, P, Refused, arg, f, integer, number, of, refuse, refuse_arg, string, text};

pub(super) static FUNCTIONS: &[Function] = &[
    f("chomp", "the text without newlines at its end", &[string("str")], P::String, |args| {
        Ok(text(args, 0).trim_end_matches(['\n', '\r']).into())
    }),
    f("endswith", "whether a text ends with another", &[string("str"), string("suffix")], P::Bool, |args| {
        Ok(text(args, 0).ends_with(text(args, 1)).into())
    }),
    f(
        "indent",
        "the text with spaces before each line but the first",
        &[number("spaces"), string("str")],
        P::String,
        |args| {
            let Ok(spaces) = usize::try_from(integer(args, 0)?) else {
                return refuse_arg(0, "it must not be negative");
            };
            let spaces = spaces.min(10_000);
            Ok(text(args, 1).replace('\n', &format!("\n{}", " ".repeat(spaces))).into())
        },
    ),
    f(
        "join",
        "the elements of lists as one text, with a separator between",
        &[string("separator")],
        P::String,
        join,
    )
    .rest(arg("lists", P::Strings).unknown())
    .whole(),
    f("lower", "the text in small letters", &[string("str")], P::String, |args| {
        Ok(text(args, 0).to_lowercase().into())
    }),
    of(
        "regex",
        "what a regular expression finds first",
        &[string("pattern"), string("string")],
        regex_type,
        regex,
    )
    .checked(check_pattern),
    f(
        "regexall",
        "all that a regular expression finds",
        &[string("pattern"), string("string")],
        P::List,
        regexall,
    )
    .checked(check_pattern),
    f(
        "replace",
        "the text with each occurrence of another replaced; /…/ is a regular expression",
        &[string("str"), string("substr"), string("replace")],
        P::String,
        replace,
    ),
    f(
        "split",
        "the pieces of a text between separators",
        &[string("separator"), string("str")],
        P::Strings,
        split,
    ),
    f(
        "startswith",
        "whether a text starts with another",
        &[string("str").unknown(), string("prefix")],
        P::Bool,
        starts_with,
    ),
    f(
        "strcontains",
        "whether a text contains another",
        &[string("str"), string("substr")],
        P::Bool,
        |args| Ok(text(args, 0).contains(text(args, 1)).into()),
    ),
    f("strrev", "the text backwards", &[string("str")], P::String, |args| {
        Ok(text(args, 0).graphemes(true).rev().collect::<String>().into())
    }),
    f(
        "substr",
        "a piece of a text; a negative offset counts from the end, length -1 means all the rest",
        &[string("str"), number("offset"), number("length")],
        P::String,
        substr,
    ),
    f("title", "the text with the first letter of each word capital", &[string("str")], P::String, |args| {
        let mut last = ' ';
        Ok(text(args, 0)
            .chars()
            .map(|c| {
                let start = is_separator(last);
                last = c;
                if start { capital(c) } else { c }
            })
            .collect::<String>()
            .into())
    }),
    f(
        "trim",
        "the text without these characters at both ends",
        &[string("str"), string("cutset")],
        P::String,
        |args| Ok(text(args, 0).trim_matches(|c| text(args, 1).contains(c)).into()),
    ),
    f("trimprefix", "the text without a prefix", &[string("str"), string("prefix")], P::String, |args| {
        Ok(text(args, 0).strip_prefix(text(args, 1)).unwrap_or(text(args, 0)).into())
    }),
    f("trimspace", "the text without white space at both ends", &[string("str")], P::String, |args| {
        Ok(text(args, 0).trim().into())
    }),
    f("trimsuffix", "the text without a suffix", &[string("str"), string("suffix")], P::String, |args| {
        Ok(text(args, 0).strip_suffix(text(args, 1)).unwrap_or(text(args, 0)).into())
    }),
    f("upper", "the text in capitals", &[string("str")], P::String, |args| {
        Ok(text(args, 0).chars().map(capital).collect::<String>().into())
    }),
];

/// A character whose capital is several (ß) stays, as in Go.
/// Of a text that is not known yet, how it begins may tell.
fn starts_with(args: &[Value]) -> Outcome {
    let (known, wanted) = (args[0].prefix(), text(args, 1));
    Ok(match args[0].is_unknown() {
        false => known.starts_with(wanted).into(),
        true if known.len() >= wanted.len() => known.starts_with(wanted).into(),
        true if !wanted.starts_with(known) => false.into(),
        true => Value::unknown_not_null(Type::Bool),
    })
}

fn capital(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// Go's `strings.Title`: what comes after one of these starts a word.
fn is_separator(c: char) -> bool {
    !(c.is_alphanumeric() || c == '_') && (c.is_ascii() || c.is_whitespace())
}

/// How many characters a reader sees.
pub(super) fn length(text: &str) -> usize {
    text.graphemes(true).count()
}

fn join(args: &[Value]) -> Outcome {
    if args.len() < 2 {
        return refuse("at least one list is required");
    }
    let mut pieces = Vec::new();
    for (i, list) in args.iter().enumerate().skip(1) {
        for (at, item) in list.as_items().unwrap_or_default().iter().enumerate() {
            match item.as_str() {
                Some(piece) => pieces.push(piece),
                None => {
                    return refuse_arg(i, format!("element {at} is null; cannot concatenate null values"));
                }
            }
        }
    }
    Ok(pieces.join(text(args, 0)).into())
}

fn split(args: &[Value]) -> Outcome {
    let (separator, whole) = (text(args, 0), text(args, 1));
    let pieces: Vec<Value> = if separator.is_empty() {
        whole.chars().map(|c| c.to_string().into()).collect()
    } else {
        whole.split(separator).map(Value::from).collect()
    };
    Ok(Value::list(Type::String, pieces))
}

fn substr(args: &[Value]) -> Outcome {
    let pieces: Vec<&str> = text(args, 0).graphemes(true).collect();
    let (mut offset, length) = (integer(args, 1)?, integer(args, 2)?);
    let count = i64::try_from(pieces.len()).unwrap_or(i64::MAX);
    if offset < 0 {
        // Before the start means the start.
        offset = (offset + count).max(0);
    }
    let start = offset.min(count);
    let end = if length < 0 { count } else { offset.saturating_add(length).min(count) };
    let at = |n: i64| usize::try_from(n).unwrap_or(0);
    Ok(pieces[at(start)..at(end.max(start))].concat().into())
}

/// Compiles a regular expression (RE2's syntax: no look-around, no back-references). Compiled ones are kept for the thread.
pub(super) fn compile(pattern: &str) -> Result<Arc<Regex>, String> {
    thread_local! {
        static COMPILED: std::cell::RefCell<std::collections::HashMap<String, Arc<Regex>>> = std::cell::RefCell::default();
    }
    COMPILED.with_borrow_mut(|cache| {
        if let Some(found) = cache.get(pattern) {
            return Ok(found.clone());
        }
        let compiled = Arc::new(Regex::new(&escape_braces(pattern)).map_err(|e| {
            let text = e.to_string();
            text.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned()
        })?);
        if cache.len() > 1_000 {
            cache.clear();
        }
        cache.insert(pattern.to_owned(), compiled.clone());
        Ok(compiled)
    })
}

/// A `{` that starts no repetition is plain in RE2: `{"a"}`.
fn escape_braces(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut class = false;
    // Whether there is something to repeat.
    let mut operand = false;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '\\' => {
                // With what it escapes, and the braces of `\\p{…}` and `\\x{…}`.
                length += rest[1..].chars().next().map_or(0, char::len_utf8);
                if rest[1..].starts_with(['p', 'P', 'x'])
                    && rest[2..].starts_with('{')
                    && let Some(end) = rest.find('}')
                {
                    length = end + 1;
                }
                operand = true;
            }
            '[' => {
                class = true;
                // A bracket that comes first is one of the class.
                let first = rest[1..].strip_prefix('^').unwrap_or(&rest[1..]);
                if first.starts_with(']') {
                    length = rest.len() - first.len() + 1;
                }
            }
            ']' => {
                class = false;
                operand = true;
            }
            _ if class => {}
            '{' => {
                let end = rest.find('}').unwrap_or(0);
                let inside = rest.get(1..end).unwrap_or("");
                let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
                let (least, most) = inside.split_once(',').unwrap_or((inside, "0"));
                if !(operand && digits(least) && (most.is_empty() || digits(most))) {
                    out.push('\\');
                }
            }
            '(' | '|' | '^' => operand = false,
            _ => operand = true,
        }
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

fn pattern(args: &[Value]) -> Result<Arc<Regex>, Refused> {
    compile(text(args, 0)).or_else(|e| refuse_arg(0, format!("invalid regexp pattern: {e}")))
}

/// Without groups the match, with named ones an object, with others a tuple.
fn captures_type(regex: &Regex) -> Type {
    if regex.captures_len() == 1 {
        return Type::String;
    }
    let named: Vec<&str> = regex.capture_names().flatten().collect();
    if named.is_empty() {
        Type::tuple(vec![Type::String; regex.captures_len() - 1])
    } else {
        Type::object(named.into_iter().map(|n| (n, Type::String)))
    }
}

fn regex_type(args: &[Value]) -> Type {
    match args.first().and_then(Value::as_str).map(compile) {
        Some(Ok(regex)) => captures_type(&regex),
        _ => Type::Any,
    }
}

fn captured(regex: &Regex, found: &regex::Captures<'_>) -> Value {
    let group = |m: Option<regex::Match<'_>>| m.map_or(Value::null(Type::String), |m| m.as_str().into());
    if regex.captures_len() == 1 {
        return group(found.get(0));
    }
    if regex.capture_names().flatten().next().is_some() {
        return Value::object(regex.capture_names().flatten().map(|name| (name, group(found.name(name)))));
    }
    Value::tuple((1..regex.captures_len()).map(|i| group(found.get(i))))
}

fn mixed(regex: &Regex) -> Result<(), Refused> {
    let named = regex.capture_names().flatten().count();
    if named > 0 && named < regex.captures_len() - 1 {
        return refuse_arg(0, "invalid regexp pattern: cannot mix both named and unnamed capture groups");
    }
    Ok(())
}

fn check_pattern(args: &[Value]) -> Result<(), Refused> {
    if args[0].is_unknown() { Ok(()) } else { mixed(&*pattern(args)?) }
}

fn regex(args: &[Value]) -> Outcome {
    let regex = pattern(args)?;
    mixed(&regex)?;
    match regex.captures(text(args, 1)) {
        Some(found) => Ok(captured(&regex, &found)),
        None => refuse("pattern did not match any part of the given string"),
    }
}

fn regexall(args: &[Value]) -> Outcome {
    let regex = pattern(args)?;
    mixed(&regex)?;
    let found: Vec<Value> = regex.captures_iter(text(args, 1)).map(|c| captured(&regex, &c)).collect();
    Ok(Value::list(captures_type(&regex), found))
}

fn replace(args: &[Value]) -> Outcome {
    let (whole, from, to) = (text(args, 0), text(args, 1), text(args, 2));
    let Some(pattern) = from.strip_prefix('/').and_then(|p| p.strip_suffix('/')).filter(|_| from.len() > 1)
    else {
        return Ok(whole.replace(from, to).into());
    };
    match compile(pattern) {
        // Both take `$1` and `$name`, and the longest name.
        Ok(regex) => Ok(regex.replace_all(whole, to).as_ref().into()),
        Err(error) => refuse(format!("error parsing regexp: {error}")),
    }
}

/// As messages and templates show a value: `None` where it has no text.
pub(super) fn as_text(value: &Value) -> Option<String> {
    match convert(value, &Type::String).ok()?.kind() {
        Kind::String(s) => Some(s.to_string()),
        _ => None,
    }
}
