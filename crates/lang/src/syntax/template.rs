//! Templates: quoted strings, heredocs, and files of `templatefile`.
//!
//! A template is first cut into tokens (a literal ends at each newline, as in HCL's scanner), then strip markers and a heredoc's dedent are
//! applied to the tokens, then they become a tree. The order matters: `~` eats one token only, and a line that it joined to another is not dedented.

use std::sync::Arc;

use grappe_diag::{Diagnostics, Span};

use super::cursor::{Parsed, Parser};
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

/// Where a template ends, and what is special in it.
#[derive(Clone, Copy, PartialEq)]
enum Form<'a> {
    /// At `"`; with escapes, without newlines.
    Quoted,
    /// At a line that holds this word only.
    Heredoc(&'a str),
    /// At the end of the text.
    File,
}

impl Parser<'_> {
    /// `"…"`
    pub(super) fn quoted(&mut self) -> Parsed<Node> {
        let start = self.pos;
        self.pos += 1;
        let newlines = self.newlines;
        let tokens = self.nested(newlines, |p| p.tokens(Form::Quoted, start))?;
        let span = self.span_from(start);
        build(self, tokens, span)
    }

    /// `<<EOT` or `<<-EOT`, up to the line with `EOT`, whose newline stays.
    pub(super) fn heredoc(&mut self) -> Parsed<Node> {
        let start = self.pos;
        self.pos += 2;
        let dedent = self.eat("-");
        let Some(word) = self.ident() else {
            return self.error_at(
                "Invalid expression",
                "A heredoc starts with << and a word, at the end of the line.",
                self.span_from(start),
            );
        };
        if !self.eat("\n") && !self.eat("\r\n") {
            return self
                .error("Invalid heredoc", "The word that starts a heredoc must be the last of its line.");
        }
        let newlines = self.newlines;
        let mut tokens = self.nested(newlines, |p| p.tokens(Form::Heredoc(&word.name), start))?;
        if dedent {
            flush(&mut tokens);
        }
        let span = self.span_from(start);
        build(self, tokens, span)
    }

    /// All of the text.
    pub(super) fn whole_template(&mut self) -> Result<Node, Diagnostics> {
        let tokens = self.tokens(Form::File, 0);
        let span = self.span(0, self.text().len());
        let result = tokens.and_then(|tokens| build(self, tokens, span));
        let mut diags = self.take_diagnostics();
        match diags.keep(result.map_err(|d| *d)) {
            Some(node) if !diags.has_errors() => Ok(node),
            _ => Err(diags),
        }
    }

    fn tokens(&mut self, form: Form<'_>, start: usize) -> Parsed<Vec<Token>> {
        let mut tokens = Vec::new();
        let mut literal = String::new();
        let mut literal_at = self.pos;
        let mut trim_next = false;
        let mut line_start = true;
        let mut open = 0usize;
        loop {
            // A literal ends at each newline, and before anything else.
            let ends = literal.ends_with('\n') && form != Form::Quoted
                || self.at("${")
                || self.at("%{")
                || self.at_end()
                || form == Form::Quoted && self.at("\"");
            if ends && !literal.is_empty() {
                let mut text = std::mem::take(&mut literal);
                if std::mem::take(&mut trim_next) {
                    text = text.trim_start().to_owned();
                }
                tokens.push(Token::Literal(text, self.span(literal_at, self.pos)));
            }
            if literal.is_empty() {
                literal_at = self.pos;
            }
            if line_start
                && let Form::Heredoc(word) = form
                && let Some(end) = self.closes(word)
            {
                self.pos = end;
                return Ok(tokens);
            }
            line_start = false;
            if self.at("${") || self.at("%{") {
                let directive = self.at("%{");
                self.pos += 2;
                let trim_before = self.eat("~");
                if trim_before && let Some(Token::Literal(text, _)) = tokens.last_mut() {
                    text.truncate(text.trim_end().len());
                }
                let opener = self.pos - if trim_before { 3 } else { 2 };
                let (token, trim) = self.nested(true, |p| {
                    let token = if directive { p.directive()? } else { Token::Value(p.conditional_in_template()?) };
                    p.skip();
                    let trim = p.eat("~");
                    if p.eat("}") {
                        return Ok((token, trim));
                    }
                    if p.at_end() {
                        return p.error_at(
                            "Unclosed template interpolation sequence",
                            "There is no closing brace for this interpolation sequence before the end of the file. This might be caused by incorrect nesting inside the given expression.",
                            p.span(opener, opener + 2),
                        );
                    }
                    p.error(
                        "Extra characters after interpolation expression",
                        "Expected a closing brace to end the interpolation expression, but found extra characters.",
                    )
                })?;
                trim_next = trim;
                // What a directive holds is one level deeper.
                match token {
                    Token::If(..) | Token::For(..) => {
                        self.deepen()?;
                        open += 1;
                    }
                    Token::EndIf(_) | Token::EndFor(_) if open > 0 => {
                        self.rise();
                        open -= 1;
                    }
                    _ => {}
                }
                tokens.push(token);
                continue;
            }
            // An escaped opener.
            if self.at("$${") || self.at("%%{") {
                literal.push_str(&self.rest()[1..3]);
                self.pos += 3;
                continue;
            }
            match (form, self.peek()) {
                (Form::File, None) => return Ok(tokens),
                (Form::Heredoc(word), None) => {
                    return self.error_at(
                        "Unterminated template string",
                        format!(
                            "No line with \"{word}\" alone ends this heredoc before the end of the file."
                        ),
                        self.span(start, self.text()[start..].find('\n').map_or(self.pos, |i| start + i)),
                    );
                }
                (Form::Quoted, None) => {
                    return self.error_at(
                        "Unterminated template string",
                        "No closing marker was found for the string.",
                        self.span(start, self.pos),
                    );
                }
                (Form::Quoted, Some('"')) => {
                    self.pos += 1;
                    return Ok(tokens);
                }
                (Form::Quoted, Some('\n' | '\r')) => {
                    return self.error_at(
                        "Invalid multi-line string",
                        "Quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \\n escape to represent a newline character or use the \"heredoc\" multi-line template syntax.",
                        self.span(start, self.pos),
                    );
                }
                (Form::Quoted, Some('\\')) => literal.push(self.escape()?),
                (_, Some('\r')) if self.at("\r\n") => {
                    // As HCL does: the text's own line ends stay.
                    literal.push_str("\r\n");
                    self.pos += 2;
                    line_start = true;
                }
                (_, Some(c)) => {
                    literal.push(c);
                    self.pos += c.len_utf8();
                    line_start = c == '\n';
                }
            }
        }
    }

    fn conditional_in_template(&mut self) -> Parsed<Node> {
        self.skip();
        if self.at("}") || self.at("~}") {
            return self.error(
                "Invalid expression",
                "Expected the start of an expression, but found the end of the interpolation.",
            );
        }
        self.expr()
    }

    /// Whether the line that starts here ends the heredoc: where its content ends.
    fn closes(&self, word: &str) -> Option<usize> {
        let rest = self.rest();
        let line = rest.split('\n').next().unwrap_or("");
        (line.trim() == word).then(|| self.pos + line.trim_end_matches('\r').len())
    }

    /// After `\`.
    fn escape(&mut self) -> Parsed<char> {
        let start = self.pos;
        self.pos += 1;
        let digits = match self.bump() {
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
        self.error_at("Invalid escape sequence", detail, self.span_from(start))
    }

    /// What stands in `%{ }`.
    fn directive(&mut self) -> Parsed<Token> {
        self.skip();
        let start = self.pos;
        let Some(word) = self.ident() else {
            return self.error("Invalid template directive", "A template directive keyword (\"if\", \"for\", etc) is expected at the beginning of a %{ sequence.");
        };
        let span = word.span;
        Ok(match &*word.name {
            "if" => Token::If(self.expr()?, span),
            "else" => Token::Else(span),
            "endif" => Token::EndIf(span),
            "endfor" => Token::EndFor(span),
            "for" => {
                self.skip();
                let (key, value) = self.for_names()?;
                Token::For(key, value, self.expr()?, span)
            }
            other => {
                return self.error_at(
                    "Invalid template directive",
                    format!("\"{other}\" is not a valid template directive: they are if, else, endif, for and endfor."),
                    self.span_from(start),
                );
            }
        })
    }
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
fn build(parser: &Parser<'_>, mut tokens: Vec<Token>, span: Span) -> Parsed<Node> {
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
                _ => return unexpected(parser, "else", "if", at),
            },
            Token::EndIf(at) => {
                let Some((Frame::If { condition, yes, span }, parts)) =
                    stack.pop_if(|(frame, _)| matches!(frame, Frame::If { .. }))
                else {
                    return unexpected(parser, "endif", "if", at);
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
                    return unexpected(parser, "endfor", "for", at);
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
        Some((Frame::If { span, .. }, _)) => unclosed(parser, "if", span),
        Some((Frame::For { span, .. }, _)) => unclosed(parser, "for", span),
        Some((Frame::Root, parts)) => Ok(join(parts, span)),
        None => Ok(join(Vec::new(), span)),
    }
}

fn unexpected<T>(parser: &Parser<'_>, word: &str, opener: &str, at: Span) -> Parsed<T> {
    parser.error_at(
        &format!("Unexpected {word} directive"),
        format!("This {word} directive belongs to no open %{{ {opener} }}."),
        at,
    )
}

fn unclosed<T>(parser: &Parser<'_>, word: &str, at: Span) -> Parsed<T> {
    parser.error_at(
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
