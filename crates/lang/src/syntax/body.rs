//! Bodies: arguments and blocks. After an error the parser goes on at the next line that looks like the next of them.

use std::collections::HashMap;

use grappe_diag::{Diagnostic, Span};
use grappe_value::{Type, Value};

use super::cursor::{Parsed, Parser};
use super::{Ident, RawAttribute, RawBlock, RawBody};
use crate::expr::{Node, NodeKind};

impl Parser<'_> {
    /// A whole file.
    pub(super) fn file(&mut self) -> RawBody {
        if self.eat("\u{feff}") {
            let span = self.span(0, 0);
            self.report(
                Diagnostic::error("Byte order mark")
                    .detail(
                        "The file starts with a UTF-8 byte order mark, which the language does not allow.",
                    )
                    .hint("save it as UTF-8 without a byte order mark")
                    .span(span),
            );
        }
        let mut body = self.body();
        // A brace that closes nothing: what follows is read too.
        while !self.at_end() {
            let span = self.span_here();
            self.report(
                Diagnostic::error("Argument or block definition required")
                    .detail("This closing brace closes nothing: there is no open block here.")
                    .span(span),
            );
            self.bump();
            let more = self.body();
            body.attributes.extend(more.attributes);
            body.blocks.extend(more.blocks);
        }
        body.span = self.span(0, self.text().len());
        body
    }

    /// Items up to a closing brace (which stays) or the end of the text.
    fn body(&mut self) -> RawBody {
        let start = self.pos;
        let mut body = RawBody { attributes: Vec::new(), blocks: Vec::new(), span: self.span_here() };
        let mut names = HashMap::new();
        loop {
            self.skip_lines();
            if self.at_end() || self.at("}") {
                break;
            }
            let item = self.pos;
            if let Err(diagnostic) = self.item(&mut body, &mut names, true) {
                self.report(*diagnostic);
                self.recover(item);
                if self.too_many() {
                    self.pos = self.text().len();
                }
            }
        }
        body.span = self.span_from(start);
        body
    }

    /// One argument or block, and with `line_end` the end of its line.
    fn item(
        &mut self,
        body: &mut RawBody,
        names: &mut HashMap<std::sync::Arc<str>, Span>,
        line_end: bool,
    ) -> Parsed<()> {
        let Some(name) = self.ident() else {
            if self.at("/*") {
                return self.error("Unterminated comment", "There is no \"*/\" that ends this comment.");
            }
            return self.error(
                "Argument or block definition required",
                "An argument (name = value) or a block (name { … }) is required here.",
            );
        };
        self.skip();
        if self.at("=") && !self.at("==") {
            self.pos += 1;
            let value = match self.expr() {
                Ok(value) => value,
                Err(diagnostic) => {
                    // It is there, though broken: that it is missing must not be said too.
                    let unknown = NodeKind::Literal(Value::unknown(Type::Any));
                    let value = Node::new(unknown, name.span);
                    body.attributes.push(RawAttribute { name, value });
                    return Err(diagnostic);
                }
            };
            if let Some(first) = names.get(&name.name) {
                self.report(
                    Diagnostic::error("Attribute redefined")
                        .detail(format!(
                            "The argument \"{}\" was already set. Each argument may be set only once.",
                            name.name
                        ))
                        .span(name.span)
                        .related(*first, "first set here"),
                );
            } else {
                names.insert(name.name.clone(), name.span);
                body.attributes.push(RawAttribute { name, value });
            }
            self.skip();
            if line_end && !(self.at_end() || self.at_newline()) {
                return self.error(
                    "Missing newline after argument",
                    "An argument definition must end with a newline.",
                );
            }
            return Ok(());
        }
        let block = self.block(name)?;
        body.blocks.push(block);
        self.skip();
        if !(self.at_end() || self.at_newline()) {
            return self.error(
                "Missing newline after block definition",
                "A block definition must end with a newline.",
            );
        }
        Ok(())
    }

    /// From the labels on.
    fn block(&mut self, ty: Ident) -> Parsed<RawBlock> {
        let mut labels = Vec::new();
        loop {
            self.skip();
            if self.at("\"") {
                let start = self.pos;
                let node = self.quoted()?;
                match node.kind {
                    NodeKind::Literal(value) if value.as_str().is_some() => {
                        let name = value.as_str().unwrap_or_default().into();
                        labels.push(Ident { name, span: self.span_from(start) });
                    }
                    _ => {
                        return self.error_at(
                            "Invalid block label",
                            "A block label is a plain text: nothing is computed in it.",
                            node.span,
                        );
                    }
                }
            } else if let Some(label) = self.ident() {
                labels.push(label);
            } else {
                break;
            }
        }
        if !self.at("{") {
            if labels.is_empty() {
                return self.error_at(
                    "Argument or block definition required",
                    format!(
                        "After \"{}\" either an equals sign (for an argument) or a block's labels and opening brace are required.",
                        ty.name
                    ),
                    ty.span,
                );
            }
            return self.error(
                "Invalid block definition",
                "A block's labels and then an opening brace (\"{\") are required on one line.",
            );
        }
        let open = self.span_here();
        self.pos += 1;
        let body = self.nested(false, |p| {
            p.skip();
            if p.at_newline() || p.at_end() { Ok(p.body()) } else { p.one_line_body() }
        })?;
        if !self.eat("}") {
            return self.error_at(
                "Unclosed configuration block",
                "There is no closing brace for this block before the end of the file.",
                open,
            );
        }
        Ok(RawBlock { ty, labels, body })
    }

    /// `{ }` or `{ name = value }`
    fn one_line_body(&mut self) -> Parsed<RawBody> {
        let start = self.pos;
        let mut body = RawBody { attributes: Vec::new(), blocks: Vec::new(), span: self.span_here() };
        if !self.at("}") {
            let is_argument = {
                let before = self.pos;
                let found = self.ident().is_some();
                self.skip();
                let found = found && self.at("=") && !self.at("==");
                self.pos = before;
                found
            };
            if !is_argument {
                return self.error(
                    "Invalid single-argument block definition",
                    "A block on one line holds one argument (name = value) and no block.",
                );
            }
            self.item(&mut body, &mut HashMap::new(), false)?;
            self.skip();
            if !self.at("}") {
                return self.error(
                    "Invalid single-argument block definition",
                    "A block on one line holds one argument only. Put each argument on a line of its own.",
                );
            }
        }
        body.span = self.span_from(start);
        Ok(body)
    }

    /// Goes to the start of the line where the next item probably stands: indented no deeper than the broken one, and not inside it.
    /// A closing brace in the same column ends the broken item (it was a block).
    fn recover(&mut self, item: usize) {
        let column = self.indent_of(item);
        let read = &self.text()[item..self.pos + self.line_at(self.pos).len()];
        let count = |brackets: [char; 3]| read.chars().filter(|c| brackets.contains(c)).count();
        let opened = count(['{', '[', '(']) > count(['}', ']', ')']);
        // The line where it broke is done with, unless it belongs to what follows the item.
        let line = self.text()[..self.pos].rfind('\n').map_or(0, |i| i + 1);
        let mut heredoc = None;
        if line <= item || self.indent_of(self.pos) > column {
            heredoc = heredoc_marker(self.line_at(line));
            self.next_line();
        } else {
            self.pos = line;
        }
        while !self.at_end() {
            let line = self.line_at(self.pos);
            let content = line.trim_start();
            if let Some(marker) = &heredoc {
                if content.trim_end() == *marker {
                    heredoc = None;
                }
                self.next_line();
                continue;
            }
            let indent = line.len() - content.len();
            if !content.trim().is_empty() && indent <= column {
                if opened && content.starts_with(['}', ']', ')']) && indent == column {
                    self.next_line();
                    return;
                }
                if content.starts_with('}') || content.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                    return;
                }
            }
            heredoc = heredoc_marker(line);
            self.next_line();
        }
    }

    fn indent_of(&self, at: usize) -> usize {
        let line = self.text()[..at].rfind('\n').map_or(0, |i| i + 1);
        let content = self.text()[line..].trim_start_matches([' ', '\t']);
        (self.text().len() - content.len() - line).min(at - line)
    }

    /// From a place to the end of its line.
    fn line_at(&self, at: usize) -> &str {
        self.text()[at..].lines().next().unwrap_or("")
    }

    fn next_line(&mut self) {
        let rest = self.rest();
        self.pos += rest.find('\n').map_or(rest.len(), |i| i + 1);
    }
}

/// The word that ends the heredoc which starts on this line.
fn heredoc_marker(line: &str) -> Option<String> {
    let after = &line[line.find("<<")? + 2..];
    let word = after.strip_prefix('-').unwrap_or(after).trim_end();
    let fits = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    fits.then(|| word.to_owned())
}
