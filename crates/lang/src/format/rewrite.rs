//! What is written in another way now: `"${x}"` is `x`, types of variables are no strings, labels are quoted.
//!
//! The tokens of a body say where its arguments and blocks are: an argument's value ends with its line, where no bracket is open.

use super::scan::{Kind, Token};

/// Rewrites a file.
pub(super) fn rewrite(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    let mut rewriter =
        Rewriter { out: Vec::with_capacity(tokens.len()), rest: tokens.into_iter().peekable() };
    let mut blocks: Vec<String> = Vec::new();
    // One body after the other, not one in the other: blocks may nest as deep as they like.
    while let Some(token) = rewriter.rest.next() {
        match token.kind {
            Kind::Close(_) => {
                blocks.pop();
                rewriter.out.push(token);
            }
            Kind::Ident => match rewriter.head(token) {
                Head::Argument(name) => {
                    let is_type = name == "type" && matches!(&blocks[..], [ty] if ty == "variable");
                    rewriter.value(is_type);
                }
                Head::Block(ty) => blocks.push(ty),
            },
            _ => rewriter.out.push(token),
        }
    }
    rewriter.out
}

enum Head {
    Argument(String),
    Block(String),
}

struct Rewriter<'t> {
    out: Vec<Token<'t>>,
    rest: std::iter::Peekable<std::vec::IntoIter<Token<'t>>>,
}

impl<'t> Rewriter<'t> {
    /// From a name up to `=` or `{`. Comments between the labels of a block go.
    fn head(&mut self, name: Token<'t>) -> Head {
        let text = name.text.clone().into_owned();
        self.out.push(name);
        let mut gap = Vec::new();
        while let Some(token) = self.rest.next() {
            match token.kind {
                Kind::Equal => {
                    self.out.append(&mut gap);
                    self.out.push(token);
                    return Head::Argument(text);
                }
                Kind::Open(b'{') => {
                    // Without labels there was nothing to write anew before it; with them, only what is behind the last stays.
                    self.out.append(&mut gap);
                    self.out.push(token);
                    return Head::Block(text);
                }
                Kind::Ident => {
                    gap.clear();
                    self.label(&token.text);
                }
                Kind::Quote => {
                    gap.clear();
                    let mut literal = String::new();
                    while let Some(inside) = self.rest.next_if(|t| t.kind != Kind::Unquote) {
                        literal.push_str(&inside.text);
                    }
                    self.rest.next();
                    self.label(&unescape(&literal));
                }
                _ => gap.push(token),
            }
        }
        self.out.append(&mut gap);
        Head::Block(text)
    }

    fn label(&mut self, label: &str) {
        self.out.push(Token::new(Kind::Quote, "\""));
        if !label.is_empty() {
            self.out.push(Token::new(Kind::Literal, escape(label)));
        }
        self.out.push(Token::new(Kind::Unquote, "\""));
    }

    /// The value of an argument, with the comments around it.
    fn value(&mut self, is_type: bool) {
        let mut tokens: Vec<Token<'t>> = Vec::new();
        let mut depth = 0usize;
        while let Some(token) = self.rest.peek() {
            match token.kind {
                Kind::Open(_) | Kind::Sequence => depth += 1,
                // The brace of a block on one line.
                Kind::Close(_) if depth == 0 => break,
                Kind::Close(_) | Kind::Unsequence => depth = depth.saturating_sub(1),
                _ if depth == 0 && token.ends_line() => break,
                _ => {}
            }
            tokens.extend(self.rest.next());
        }
        let comment = |t: &Token<'_>| t.kind == Kind::Comment;
        let start = tokens.iter().take_while(|t| comment(t)).count();
        let end = tokens.len() - tokens[start..].iter().rev().take_while(|t| comment(t)).count();
        let tail = tokens.split_off(end);
        let value = tokens.split_off(start);
        self.out.extend(tokens);
        self.out.extend(if is_type { type_of(value) } else { unwrap(value) });
        self.out.extend(tail);
    }
}

/// What stands in `"${ … }"`, where that is all there is.
fn unwrap(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    let count = tokens.len();
    let kind = |i: usize| tokens.get(i).map(|t| t.kind);
    let wrapped = count >= 5
        && (kind(0), kind(1)) == (Some(Kind::Quote), Some(Kind::Sequence))
        && (kind(count - 2), kind(count - 1)) == (Some(Kind::Unsequence), Some(Kind::Unquote))
        && tokens[1].text.starts_with('$');
    if !wrapped {
        return tokens;
    }
    // Anything else of a template outside of inner quotes makes it a text.
    let (mut quotes, mut heredoc) = (0isize, false);
    for token in &tokens[2..count - 2] {
        match token.kind {
            Kind::Quote => quotes += 1,
            Kind::Unquote => quotes -= 1,
            Kind::Heredoc | Kind::Unheredoc => heredoc = token.kind == Kind::Heredoc,
            Kind::Literal if quotes <= 0 && heredoc => {}
            Kind::Unsequence | Kind::Literal if quotes <= 0 => return tokens,
            Kind::Sequence if quotes <= 0 && token.text.starts_with('$') => return tokens,
            _ => {}
        }
    }
    let newline = |t: &Token<'_>| t.kind == Kind::Newline;
    let mut inside: Vec<_> = tokens.into_iter().take(count - 2).skip(2).skip_while(newline).collect();
    while inside.pop_if(|t| newline(t)).is_some() {}
    // Several lines need something around them.
    let round = inside.first().map(|t| t.kind) == Some(Kind::Open(b'('))
        && inside.last().map(|t| t.kind) == Some(Kind::Close(b')'));
    if inside.iter().any(newline) && !round {
        inside.insert(0, Token::new(Kind::Open(b'('), "("));
        inside.push(Token::new(Kind::Close(b')'), ")"));
    }
    inside
}

/// The type of a variable: `list` is `list(any)`, and `"list"` (of old) is `list(string)`.
fn type_of(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    let of = |name: &str, element: &'static str| {
        vec![
            Token::new(Kind::Ident, name.to_owned()),
            Token::new(Kind::Open(b'('), "("),
            Token::new(Kind::Ident, element),
            Token::new(Kind::Close(b')'), ")"),
        ]
    };
    let kinds: Vec<Kind> = tokens.iter().map(|t| t.kind).collect();
    let text = |i: usize| tokens[i].text.as_ref();
    match kinds[..] {
        [Kind::Ident] if matches!(text(0), "list" | "map" | "set") => of(text(0), "any"),
        [Kind::Quote, Kind::Literal, Kind::Unquote] => match text(1) {
            "string" => vec![Token::new(Kind::Ident, "string")],
            "list" | "map" => of(text(1), "string"),
            _ => tokens,
        },
        _ => tokens,
    }
}

/// What a quoted label says.
fn unescape(literal: &str) -> String {
    let mut out = String::new();
    let mut rest = literal;
    while let Some(c) = rest.chars().next() {
        let (read, length) = match c {
            '\\' => escaped(&rest[1..]),
            '$' | '%' if rest[1..].starts_with(c) && rest[2..].starts_with('{') => (Some(c), 2),
            c => (Some(c), c.len_utf8()),
        };
        out.extend(read);
        rest = &rest[length.min(rest.len())..];
    }
    out
}

/// The character that follows a backslash stands for, and how long it is with the backslash.
fn escaped(rest: &str) -> (Option<char>, usize) {
    let hex = |digits: usize| {
        let code = rest.get(1..1 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        (code.and_then(char::from_u32), 2 + digits)
    };
    match rest.chars().next() {
        Some('n') => (Some('\n'), 2),
        Some('r') => (Some('\r'), 2),
        Some('t') => (Some('\t'), 2),
        Some('u') => hex(4),
        Some('U') => hex(8),
        Some(c) => (Some(c), 1 + c.len_utf8()),
        None => (None, 1),
    }
}

fn escape(label: &str) -> String {
    let mut out = String::new();
    let mut rest = label.chars();
    while let Some(c) = rest.next() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' | '\\' => out.extend(['\\', c]),
            '$' | '%' if rest.as_str().starts_with('{') => out.extend([c, c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
