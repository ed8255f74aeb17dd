//! What `hcl_edit` is asked, what it refuses though Terraform does not, and its errors in Terraform's words.

use std::collections::HashMap;
use std::ops::Range;

use grappe_diag::Diagnostic;
use hcl_edit::parser::{Error, parse_expr};

use super::lower::Lower;
use super::{Cx, Parsed, ident_len, mask};
use crate::expr::{Binary, Node, NodeKind};

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    Argument,
    Interpolation,
    Whole,
}

pub(super) const NO_NEWLINE: &str = "Missing newline after argument";

/// What was taken out of a text by its place, to be read on its own.
pub(super) type Holes = HashMap<usize, String>;

/// Operators by precedence, loosest first. Longer ones stand before those that they start with.
const LEVELS: [&[(&str, Binary)]; 6] = [
    &[("||", Binary::Or)],
    &[("&&", Binary::And)],
    &[("==", Binary::Equal), ("!=", Binary::NotEqual)],
    &[
        (">=", Binary::GreaterOrEqual),
        ("<=", Binary::LessOrEqual),
        ("<", Binary::Less),
        (">", Binary::Greater),
    ],
    &[("+", Binary::Add), ("-", Binary::Subtract)],
    &[("*", Binary::Multiply), ("/", Binary::Divide), ("%", Binary::Remainder)],
];

/// How tightly it binds.
pub(super) fn level(op: Binary) -> usize {
    LEVELS.iter().position(|level| level.iter().any(|(_, o)| *o == op)).unwrap_or_default()
}

/// A masked text in which newlines are left only where they mean something.
pub(super) struct Flat {
    pub(super) text: String,
    /// The outermost bracket that nothing closes.
    pub(super) unclosed: Option<usize>,
}

/// Makes newlines spaces inside of brackets (where `hcl_edit` forgets that they are, after `for … in`), up to the end of the line (of the last one
/// that brackets join) or with `lines` of the text.
pub(super) fn flatten(masked: &str, lines: bool) -> Flat {
    let mut text = Vec::new();
    let mut open: Vec<(usize, bool)> = Vec::new();
    for (i, byte) in masked.bytes().enumerate() {
        match byte {
            b'{' => {
                let inside = masked[i + 1..].trim_start();
                open.push((i, &inside[..ident_len(inside)] == "for"));
            }
            b'(' | b'[' => open.push((i, true)),
            // What a brace closes has no open brackets: it is told apart from what follows even where they are missing.
            b'}' => {
                if let Some(brace) = open.iter().rposition(|(at, _)| masked.as_bytes()[*at] == b'{') {
                    open.truncate(brace);
                }
            }
            b')' | b']' => {
                let opener = if byte == b')' { b'(' } else { b'[' };
                open.pop_if(|(at, _)| masked.as_bytes()[*at] == opener);
            }
            b'\n' => match open.last() {
                None if !lines => break,
                None | Some((_, true)) => {
                    text.push(b' ');
                    continue;
                }
                Some((_, false)) => {}
            },
            _ => {}
        }
        text.push(byte);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    Flat { text, unclosed: open.first().map(|(at, _)| *at) }
}

/// Reads a masked expression that stands at a place of the text.
pub(super) fn expression(cx: Cx<'_>, masked: &str, offset: usize, place: Place) -> Parsed<Node> {
    let flat = flatten(masked, true).text;
    let trimmed = flat.trim_start();
    flat_expression(cx, trimmed.trim_end(), offset + flat.len() - trimmed.len(), place)
}

pub(super) fn flat_expression(cx: Cx<'_>, text: &str, offset: usize, place: Place) -> Parsed<Node> {
    match rounds(text, parse_expr) {
        Ok((expr, holes)) => Lower { cx, text, offset, holes: &holes }.node(&expr),
        Err(error) if is_long(&error) => chain(cx, text, offset, place),
        Err(error) => Err(explain(cx, text, offset, place, &error)),
    }
}

/// Parses, and takes out of the text what only `hcl_edit` has something against, as long as it has.
pub(super) fn rounds<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, Error>,
) -> Result<(T, Holes), Box<Error>> {
    const ROUNDS: usize = 20;
    let mut rest = text.to_owned();
    let mut holes = Holes::new();
    loop {
        let error = match parse(&rest) {
            Ok(value) => return Ok((value, holes)),
            Err(error) => error,
        };
        let at = error.location().offset();
        let (hole, fill) = if is_long(&error) {
            // More than 128 operators in a row.
            let hole = trimmed(&rest, segment(&rest, at));
            let fill = format!("\"{}\"", "_".repeat(hole.len().saturating_sub(2)));
            (hole, fill)
        } else if error.message().contains("unique object key") {
            // Terraform takes the last one. A number in place of the key: another for each.
            let hole = trimmed(&rest, at..segment(&rest, at).end);
            let number = holes.len().to_string();
            let fill = "0".repeat(hole.len().saturating_sub(number.len())) + &number;
            (hole, fill)
        } else {
            return Err(Box::new(error));
        };
        if holes.len() == ROUNDS || fill.len() != hole.len() || hole == (0..rest.len()) {
            return Err(Box::new(error));
        }
        holes.insert(hole.start, text[hole.clone()].to_owned());
        rest.replace_range(hole, &fill);
    }
}

fn is_long(error: &Error) -> bool {
    error.message().contains("chained binary operators")
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = &text[range.clone()];
    range.end - piece.trim_start().len()..range.start + piece.trim_end().len()
}

enum Token {
    Open,
    Close,
    Separator,
    Operator(Binary),
}

/// The brackets, separators and operators of a masked text with their ends.
fn tokens(text: &str) -> Vec<(Range<usize>, Token)> {
    let mut found = Vec::new();
    let (mut pos, mut operand) = (0, false);
    while let Some(c) = text[pos..].chars().next() {
        let rest = &text[pos..];
        let operator =
            LEVELS.iter().flat_map(|l| l.iter()).find(|(sign, _)| operand && rest.starts_with(sign));
        let word = &rest[..ident_len(rest)];
        let (len, token, ends_operand) = match c {
            '"' => (rest[1..].find('"').map_or(rest.len(), |i| i + 2), None, true),
            '0'..='9' => (mask::number_len(rest), None, true),
            '(' | '[' | '{' => (1, Some(Token::Open), false),
            ')' | ']' | '}' => (1, Some(Token::Close), true),
            _ if ["for", "in", "if"].contains(&word) => (word.len(), Some(Token::Separator), false),
            _ if !word.is_empty() => (word.len(), None, true),
            _ if rest.starts_with("::") => (2, None, false),
            _ if rest.starts_with("=>") => (2, Some(Token::Separator), false),
            _ if rest.starts_with("...") => (3, Some(Token::Separator), false),
            _ if operator.is_some() => (
                operator.map_or(1, |(sign, _)| sign.len()),
                operator.map(|(_, op)| Token::Operator(*op)),
                false,
            ),
            ',' | '?' | ':' | '=' | '\n' => (1, Some(Token::Separator), false),
            // Of a splat.
            '*' => (1, None, true),
            _ => (c.len_utf8(), None, operand && c.is_whitespace()),
        };
        found.extend(token.map(|token| (pos..pos + len, token)));
        operand = ends_operand;
        pos += len;
    }
    found
}

/// What stands between the separators and brackets around a place.
fn segment(text: &str, at: usize) -> Range<usize> {
    let mut starts = vec![0];
    let mut found = None;
    for (place, token) in tokens(text) {
        if found.is_none() && place.end > at {
            found = Some((starts.len(), starts.last().copied().unwrap_or(0)));
        }
        if let Some((depth, start)) = found
            && depth == starts.len()
            && matches!(token, Token::Close | Token::Separator)
        {
            return start..place.start;
        }
        match token {
            Token::Open => starts.push(place.end),
            Token::Close => drop(starts.pop()),
            Token::Separator => starts.last_mut().into_iter().for_each(|start| *start = place.end),
            Token::Operator(_) => {}
        }
    }
    found.map_or(0, |(_, start)| start)..text.len()
}

/// A chain of very many operators: its operands one by one.
fn chain(cx: Cx<'_>, text: &str, offset: usize, place: Place) -> Parsed<Node> {
    let mut depth = 0usize;
    let mut operators = Vec::new();
    for (place, token) in tokens(text) {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::Operator(op) if depth == 0 => operators.push((place, op)),
            _ => {}
        }
    }
    let loosest = operators.iter().map(|(_, op)| level(*op)).min();
    operators.retain(|(_, op)| Some(level(*op)) == loosest);
    let part = |range: Range<usize>| {
        let range = trimmed(text, range);
        flat_expression(cx, &text[range.clone()], offset + range.start, place)
    };
    let ends = operators.iter().map(|(place, _)| place.start).chain([text.len()]);
    let mut ends = ends.skip(1);
    let Some((first, _)) = operators.first() else {
        return Err(Box::new(cx.too_deep(offset)));
    };
    let head = part(0..first.start)?;
    let mut rest = Vec::new();
    for (place, op) in &operators {
        rest.push((*op, part(place.end..ends.next().unwrap_or(text.len()))?));
    }
    let span = cx.span(offset..offset + text.len());
    Ok(Node::new(NodeKind::Binary(Box::new(head), rest.into()), span))
}

/// Where an error is: `hcl_edit` gives the last character for the end of the text too, and tells by the column only.
fn place_of(text: &str, error: &Error) -> usize {
    let at = error.location().offset();
    let line = text.as_bytes()[..at].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let shown = text.get(line..=at).map_or(at + 1 - line, |line| line.chars().count());
    if error.location().column() > shown || at >= text.len() {
        return text.len();
    }
    at + text[at..].len() - text[at..].trim_start_matches([' ', '\t']).len()
}

/// `hcl_edit`'s error as a diagnostic: by what stands before and around the place, which says more than what would have been allowed there.
pub(super) fn explain(cx: Cx<'_>, text: &str, offset: usize, place: Place, error: &Error) -> Box<Diagnostic> {
    let mut at = place_of(text, error);
    // It looks two characters ahead for what may follow: a single one at the end of the text is left over.
    if at + 1 == text.len() && text.ends_with(|c| "+-*/%<>?([.".contains(c)) {
        at += 1;
    }
    let span = cx.char_span(offset + at);
    let message = error.message();
    let (before, here) = (text[..at].trim_end(), &text[at..]);
    if message.contains("nesting depth") {
        return Box::new(cx.too_deep(offset + at));
    }
    let brackets = tokens(&text[..at]).into_iter().fold(Vec::new(), |mut open, (place, token)| {
        match token {
            Token::Open => open.push(place.start),
            Token::Close => drop(open.pop()),
            _ => {}
        }
        open
    });
    let around = brackets.last().map(|open| (*open, text.as_bytes()[*open], text[open + 1..].trim_start()));
    let is_for = around.is_some_and(|(_, _, inside)| &inside[..ident_len(inside)] == "for");
    let ends_operator = |s: &str| s.is_empty() || s.ends_with(|c| "=([{,+-*/%&|?:!<>".contains(c));
    let (summary, detail) = if message.contains("unique object key") {
        ("Repeated key", "This key is given too many times over in this object. Give it once.")
    } else if here.starts_with('\'') {
        ("Invalid character", "Single quotes are not valid. Use double quotes (\") to enclose strings.")
    } else if before.ends_with('.') && !before.ends_with("..") {
        ("Invalid attribute name", "An attribute name is required after a dot.")
    } else if is_for && !message.starts_with("invalid expression") {
        ("Invalid 'for' expression", for_error(message, before, here, around.is_some_and(|a| a.1 == b'[')))
    } else if message.starts_with("invalid expression") || ends_operator(before) {
        (
            "Invalid expression",
            match here.chars().next() {
                None if around.is_some() => {
                    "Expected the start of an expression, but found an invalid expression token."
                }
                None if place == Place::Whole => "The text ended where an expression was expected.",
                None if place == Place::Interpolation => {
                    "Expected the start of an expression, but found the end of the interpolation."
                }
                None | Some('\n') => "Expected the start of an expression, but found the end of the line.",
                _ => "Expected the start of an expression, but found an invalid expression token.",
            },
        )
    } else if message.ends_with("expected `:`") {
        (
            "Missing false expression in conditional",
            "The conditional operator (condition ? a : b) requires a false expression, after a colon.",
        )
    } else {
        let before_open = around.map_or("", |(open, ..)| text[..open].trim_end());
        let is_after_name = before_open.ends_with(|c: char| c.is_alphanumeric() || "_])".contains(c));
        match around.map(|(_, bracket, _)| bracket) {
            Some(b'(') if is_after_name => (
                "Missing argument separator",
                "A comma is required to separate each function argument from the next.",
            ),
            Some(b'(') => {
                ("Unbalanced parentheses", "A closing parenthesis is required here to end the expression.")
            }
            Some(b'[') if is_after_name && !before_open.ends_with(" in") => (
                "Missing close bracket on index",
                "The index operator must end with a closing bracket (\"]\").",
            ),
            Some(b'[') => {
                ("Missing item separator", "Expected a comma to mark the beginning of the next item.")
            }
            Some(b'{') if message.contains("value assignment") => (
                "Missing key/value separator",
                "Expected an equals sign (\"=\") to mark the beginning of the attribute value.",
            ),
            Some(_) => (
                "Missing attribute separator",
                "Expected a newline or comma to mark the beginning of the next attribute.",
            ),
            None if place == Place::Argument => {
                (NO_NEWLINE, "An argument definition must end with a newline.")
            }
            None if place == Place::Interpolation => (
                "Extra characters after interpolation expression",
                "Expected a closing brace to end the interpolation expression, but found extra characters.",
            ),
            None => (
                "Extra characters after expression",
                "An expression was successfully parsed, but extra characters were found after it.",
            ),
        }
    };
    let mut diagnostic = Diagnostic::error(summary).detail(detail).span(span);
    if let Some((open, bracket, _)) = around {
        let what = match bracket {
            _ if is_for => "the 'for' expression starts here",
            b'[' => "the list starts here",
            b'{' => "the object starts here",
            _ => "the parenthesis is opened here",
        };
        diagnostic = diagnostic.related(cx.char_span(offset + open), what);
    }
    Box::new(diagnostic)
}

fn for_error(message: &str, before: &str, here: &str, is_tuple: bool) -> &'static str {
    if here.starts_with("=>") && is_tuple {
        "Key expression is not valid when building a tuple."
    } else if message.contains("`=>`") {
        "Key expression is required when building an object."
    } else if here.starts_with("...") && is_tuple {
        "Grouping ellipsis (...) cannot be used when building a tuple."
    } else if message.contains("`in`") {
        "For expression requires the 'in' keyword after its name declarations."
    } else if message.contains("identifier") && before.ends_with(',') {
        "For expression requires value variable name after comma."
    } else if message.contains("identifier") {
        "For expression requires variable name after 'for'."
    } else if message.contains("`:`") {
        "For expression requires a colon after the collection expression."
    } else {
        "Extra characters after the end of the 'for' expression."
    }
}
