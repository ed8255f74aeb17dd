//! Templates: quoted strings, heredocs, and files of `templatefile`.
//!
//! A template is first cut into tokens (a literal ends at each newline, as in HCL's scanner), then strip markers and a heredoc's dedent are
//! applied to the tokens, then they become a tree. The order matters: `~` eats one token only, and a line that it joined to another is not dedented.

use std::ops::Range;
use std::sync::Arc;

use grappe_diag::Span;

use super::parse::{self, Place};
use super::{Cx, Parsed, ident_len, mask, refuse};
use crate::expr::{For, Node, NodeKind};

/// A piece of a template.
enum Token {
    Literal(String, Span),
    Value(Node),
    If(Node, Span),
    Else(Span),
    EndIf(Span),
    For(Option<Arc<str>>, Arc<str>, Node, Span),
    EndFor(Span),
}

/// What is special in a template.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// With escapes.
    Quoted,
    /// Without.
    Plain,
}

/// `"…"` or a heredoc, which take this span.
pub(super) fn within(cx: Cx<'_>, span: Span) -> Parsed<Node> {
    let (start, end) = (span.start as usize, span.end as usize);
    let Some((_, head)) = mask::heredoc_head(&cx.text[start..end]) else {
        return build(Reader::new(cx, Form::Quoted, start + 1, end - 1).tokens()?, span);
    };
    // The last line, which holds the word, is no part of it.
    let end = cx.text[..end].rfind('\n').map_or(end, |i| i + 1);
    let mut tokens = Reader::new(cx, Form::Plain, start + head, end).tokens()?;
    if cx.rest(start).starts_with("<<-") {
        flush(&mut tokens);
    }
    build(tokens, span)
}

/// All of the text.
pub(super) fn file(cx: Cx<'_>) -> Parsed<Node> {
    let all = 0..cx.text.len();
    piece(cx, all.clone(), cx.span(all))
}

/// A part of the text, up to its end, which takes this span.
pub(super) fn piece(cx: Cx<'_>, range: Range<usize>, span: Span) -> Parsed<Node> {
    build(Reader::new(cx, Form::Plain, range.start, range.end).tokens()?, span)
}

struct Reader<'t> {
    cx: Cx<'t>,
    form: Form,
    pos: usize,
    end: usize,
}

impl<'t> Reader<'t> {
    fn new(cx: Cx<'t>, form: Form, pos: usize, end: usize) -> Self {
        Reader { cx, form, pos, end }
    }

    fn rest(&self) -> &'t str {
        &self.cx.text[self.pos..self.end]
    }

    fn at(&self, what: &str) -> bool {
        self.rest().starts_with(what)
    }

    fn tokens(mut self) -> Parsed<Vec<Token>> {
        let mut tokens = Vec::new();
        let mut literal = String::new();
        let mut literal_at = self.pos;
        let mut trim_next = false;
        let outside = self.cx;
        let mut open = Vec::new();
        loop {
            // A literal ends at each newline, and before anything else.
            let opener = self.at("${") || self.at("%{");
            let next = self.rest().chars().next();
            let ends = opener || next.is_none() || literal.ends_with('\n') && self.form == Form::Plain;
            if ends && !literal.is_empty() {
                let mut text = std::mem::take(&mut literal);
                if std::mem::take(&mut trim_next) {
                    text = text.trim_start().to_owned();
                }
                tokens.push(Token::Literal(text, self.cx.span(literal_at..self.pos)));
            }
            if literal.is_empty() {
                literal_at = self.pos;
            }
            if opener {
                if self.rest()[2..].starts_with('~')
                    && let Some(Token::Literal(text, _)) = tokens.last_mut()
                {
                    text.truncate(text.trim_end().len());
                }
                let (token, trim) = self.sequence()?;
                trim_next = trim;
                // What a directive holds is one level deeper.
                match token {
                    Token::If(..) | Token::For(..) => {
                        open.push(self.cx);
                        self.cx = self.cx.deeper(literal_at)?;
                    }
                    Token::EndIf(_) | Token::EndFor(_) => self.cx = open.pop().unwrap_or(outside),
                    _ => {}
                }
                tokens.push(token);
                continue;
            }
            match next {
                None => return Ok(tokens),
                // An escaped opener.
                Some(_) if self.at("$${") || self.at("%%{") => {
                    literal.push_str(&self.rest()[1..3]);
                    self.pos += 3;
                }
                Some('\\') if self.form == Form::Quoted => literal.push(self.escape()?),
                Some(c) => {
                    literal.push(c);
                    self.pos += c.len_utf8();
                }
            }
        }
    }

    /// `${ }` or `%{ }`, and whether the white space after it goes.
    fn sequence(&mut self) -> Parsed<(Token, bool)> {
        let cx = self.cx;
        let directive = self.at("%{");
        let start = self.pos + 2 + usize::from(self.rest()[2..].starts_with('~'));
        let masked = mask::interpolation(cx, start);
        if let Some(error) = masked.errors.into_iter().next() {
            return Err(Box::new(error));
        }
        if !masked.closed {
            return Err(Box::new(mask::unclosed(cx, self.pos)));
        }
        self.pos = start + masked.text.len() + 1;
        let (content, trim) = match masked.text.strip_suffix('~') {
            Some(content) => (content, true),
            None => (&*masked.text, false),
        };
        let token = if directive {
            self::directive(cx, content, start)?
        } else {
            Token::Value(parse::expression(cx, content, start, Place::Interpolation)?)
        };
        Ok((token, trim))
    }

    /// After `\`.
    fn escape(&mut self) -> Parsed<char> {
        let start = self.pos;
        self.pos += 1 + self.rest()[1..].chars().next().map_or(0, char::len_utf8);
        let digits = match self.cx.text[start + 1..self.pos].chars().next() {
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some('"') => return Ok('"'),
            Some('\\') => return Ok('\\'),
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        if digits > 0
            && let Some(hex) = self.rest().get(..digits)
            && let Ok(code) = u32::from_str_radix(hex, 16)
            && let Some(c) = char::from_u32(code)
        {
            self.pos += digits;
            return Ok(c);
        }
        let detail = if digits > 0 {
            format!(
                "The \\{} escape sequence must be followed by {digits} hexadecimal digits that name a character.",
                if digits == 4 { 'u' } else { 'U' }
            )
        } else {
            "The symbol after the backslash is not a valid escape sequence selector: they are \\n, \\r, \\t, \\\", \\\\, \\uNNNN and \\UNNNNNNNN.".to_owned()
        };
        refuse("Invalid escape sequence", detail, self.cx.span(start..self.pos))
    }
}

/// What stands in `%{ }`, masked, with its place.
fn directive(cx: Cx<'_>, content: &str, start: usize) -> Parsed<Token> {
    let trimmed = content.trim_start();
    let at = start + content.len() - trimmed.len();
    let word = &trimmed[..ident_len(trimmed)];
    let span = cx.span(at..at + word.len());
    let (rest, rest_at) = (&trimmed[word.len()..], at + word.len());
    let token = match word {
        "" => {
            return refuse(
                "Invalid template directive",
                "A template directive keyword (\"if\", \"for\", etc) is expected at the beginning of a %{ sequence.",
                cx.char_span(at),
            );
        }
        "if" => return Ok(Token::If(parse::expression(cx, rest, rest_at, Place::Interpolation)?, span)),
        "for" => {
            // As the head of a `for` expression: one grammar, the same errors.
            let text = format!("[{trimmed}:0]");
            return match parse::expression(cx, &text, at - 1, Place::Interpolation)?.kind {
                NodeKind::For(x) if x.condition.is_none() => {
                    Ok(Token::For(x.key_name, x.value_name, x.collection, span))
                }
                _ => refuse(
                    "Invalid template directive",
                    "A \"for\" directive is %{ for name in collection }.",
                    span,
                ),
            };
        }
        "else" => Token::Else(span),
        "endif" => Token::EndIf(span),
        "endfor" => Token::EndFor(span),
        other => {
            return refuse(
                "Invalid template directive",
                format!(
                    "\"{other}\" is not a valid template directive: they are if, else, endif, for and endfor."
                ),
                span,
            );
        }
    };
    if !rest.trim().is_empty() {
        let at = rest_at + rest.len() - rest.trim_start().len();
        return refuse(
            "Extra characters in template directive",
            format!("Nothing but the closing brace follows \"{word}\"."),
            cx.char_span(at),
        );
    }
    Ok(token)
}

/// Takes the indentation that all lines share from each of them, as HCL does for `<<-`.
fn flush(tokens: &mut [Token]) {
    let mut least = usize::MAX;
    let mut new_line = true;
    let mut adjust = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        if std::mem::take(&mut new_line) {
            let mut spaces = 0;
            if let Token::Literal(text, _) = token {
                let content = text.trim_start();
                if content.is_empty() && text.ends_with('\n') {
                    // A blank line says nothing about the indentation.
                    spaces = usize::MAX;
                } else {
                    spaces = text[..text.len() - content.len()].chars().count();
                    adjust.push(i);
                }
            }
            least = least.min(spaces);
        }
        if let Token::Literal(text, _) = token
            && text.ends_with('\n')
        {
            new_line = true;
        }
    }
    for i in adjust {
        if let Token::Literal(text, _) = &mut tokens[i] {
            *text = text.chars().skip(least).collect();
        }
    }
}

/// An open `%{ if }` or `%{ for }`, or the template itself.
enum Frame {
    Root,
    If { condition: Node, yes: Option<Node>, span: Span },
    For { key: Option<Arc<str>>, value: Arc<str>, collection: Node, span: Span },
}

/// Tokens to a tree.
fn build(mut tokens: Vec<Token>, span: Span) -> Parsed<Node> {
    if let [Token::Value(_)] = &tokens[..]
        && let Some(Token::Value(node)) = tokens.pop()
    {
        return Ok(Node::new(NodeKind::Wrap(Box::new(node)), span));
    }
    let mut stack = vec![(Frame::Root, Vec::new())];
    for token in tokens {
        // The stack holds the root at least: it is never popped here.
        let Some((frame, parts)) = stack.last_mut() else { break };
        match token {
            Token::Literal(text, span) => add_literal(parts, &text, span),
            Token::Value(node) => parts.push(node),
            Token::If(condition, span) => stack.push((Frame::If { condition, yes: None, span }, Vec::new())),
            Token::For(key, value, collection, span) => {
                stack.push((Frame::For { key, value, collection, span }, Vec::new()));
            }
            Token::Else(at) => match frame {
                Frame::If { yes: yes @ None, .. } => *yes = Some(join(std::mem::take(parts), at)),
                _ => return unexpected("else", "if", at),
            },
            Token::EndIf(at) => {
                let Some((Frame::If { condition, yes, span }, parts)) =
                    stack.pop_if(|(frame, _)| matches!(frame, Frame::If { .. }))
                else {
                    return unexpected("endif", "if", at);
                };
                let last = join(parts, at);
                let (yes, no) = match yes {
                    Some(yes) => (yes, last),
                    None => (last, Node::new(NodeKind::Literal("".into()), at)),
                };
                let node = Node::new(NodeKind::Conditional(Box::new([condition, yes, no])), span.to(at));
                if let Some((_, parts)) = stack.last_mut() {
                    parts.push(node);
                }
            }
            Token::EndFor(at) => {
                let Some((Frame::For { key, value, collection, span }, parts)) =
                    stack.pop_if(|(frame, _)| matches!(frame, Frame::For { .. }))
                else {
                    return unexpected("endfor", "for", at);
                };
                let kind = NodeKind::For(Box::new(For {
                    key_name: key,
                    value_name: value,
                    collection,
                    key: None,
                    value: join(parts, at),
                    condition: None,
                    group: false,
                    join: true,
                }));
                if let Some((_, parts)) = stack.last_mut() {
                    parts.push(Node::new(kind, span.to(at)));
                }
            }
        }
    }
    match stack.pop() {
        Some((Frame::If { span, .. }, _)) => unclosed("if", span),
        Some((Frame::For { span, .. }, _)) => unclosed("for", span),
        Some((Frame::Root, parts)) => Ok(join(parts, span)),
        None => Ok(join(Vec::new(), span)),
    }
}

fn unexpected<T>(word: &str, opener: &str, at: Span) -> Parsed<T> {
    refuse(
        &format!("Unexpected {word} directive"),
        format!("This {word} directive belongs to no open %{{ {opener} }}."),
        at,
    )
}

fn unclosed<T>(word: &str, at: Span) -> Parsed<T> {
    refuse(
        "Unexpected end of template",
        format!("This {word} directive is missing its corresponding %{{ end{word} }}."),
        at,
    )
}

/// Literals side by side become one.
fn add_literal(parts: &mut Vec<Node>, text: &str, span: Span) {
    if text.is_empty() {
        return;
    }
    if let Some(last) = parts.last_mut()
        && let NodeKind::Literal(value) = &last.kind
        && let Some(before) = value.as_str()
    {
        *last = Node::new(NodeKind::Literal(format!("{before}{text}").into()), last.span.to(span));
        return;
    }
    parts.push(Node::new(NodeKind::Literal(text.into()), span));
}

fn join(mut parts: Vec<Node>, span: Span) -> Node {
    if parts.is_empty() {
        return Node::new(NodeKind::Literal("".into()), span);
    }
    if let [Node { kind: NodeKind::Literal(value), .. }] = &parts[..]
        && value.as_str().is_some()
        && let Some(only) = parts.pop()
    {
        return Node::new(only.kind, span);
    }
    Node::new(NodeKind::Template(parts.into()), span)
}
