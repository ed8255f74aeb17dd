//! Bodies: arguments and blocks, item by item, so that one error hides no other. What is broken is read again in parts.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::{Type, Value};
use hcl_edit::Ident as HclIdent;
use hcl_edit::parser::{Error, parse_body};
use hcl_edit::structure::{Block, BlockLabel, Body, Structure};

use super::lower::Lower;
use super::mask::{self, ENOUGH};
use super::parse::{NO_NEWLINE, Place, explain, expression, flatten, rounds};
use super::{Cx, Ident, MAX_DEPTH, Parsed, RawAttribute, RawBlock, RawBody, ident_len, refuse, template};
use crate::body::redefined;
use crate::expr::{Node, NodeKind};

/// A whole file.
pub(super) fn file(cx: Cx<'_>, diags: &mut Diagnostics) -> RawBody {
    let start = cx.text.len() - cx.text.trim_start_matches('\u{feff}').len();
    if start > 0 {
        diags.push(
            Diagnostic::error("Byte order mark")
                .detail("The file starts with a UTF-8 byte order mark, which the language does not allow.")
                .hint("save it as UTF-8 without a byte order mark")
                .span(cx.span(0..0)),
        );
    }
    let masked = mask::mask(cx, start);
    let text = " ".repeat(start) + &masked.text;
    let broken = masked.errors.iter().filter_map(|d| d.span).collect();
    let mut found: Diagnostics = masked.errors.into_iter().collect();
    let mut reader = Reader { cx, text: &text, broken, diags: &mut found };
    let body = reader.body(0..text.len(), 0);
    found.sort();
    diags.extend(found);
    body
}

const NO_ITEM: &str = "Argument or block definition required";
const NO_BLOCK: &str = "Invalid block definition";
const NO_BRACE: &str = "A block's labels and then an opening brace (\"{\") are required on one line.";
const ONE_LINE: &str = "Invalid single-argument block definition";

type Names = HashMap<Arc<str>, Span>;

struct Reader<'t, 'd> {
    cx: Cx<'t>,
    /// The whole text, masked.
    text: &'t str,
    /// Where tokens are broken, which was reported.
    broken: Vec<Span>,
    diags: &'d mut Diagnostics,
}

impl Reader<'_, '_> {
    /// All items of a piece of the text.
    fn body(&mut self, range: Range<usize>, depth: usize) -> RawBody {
        let mut body = self.empty(range.clone());
        let mut names = Names::new();
        let mut pos = range.start;
        loop {
            let rest = &self.text[pos..range.end];
            pos = range.end - rest.trim_start_matches([' ', '\t', '\n']).len();
            if pos == range.end || self.too_many(pos) {
                return body;
            }
            let (item, unclosed) = self.item(pos..range.end);
            if ident_len(&item) > 0 {
                match rounds(&item, parse_body) {
                    Ok((parsed, holes)) => {
                        let lower = Lower { cx: self.cx, text: &item, offset: pos, holes: &holes };
                        self.structures(lower, &parsed, &mut body, &mut names);
                    }
                    Err(error) => {
                        self.broken_item(&item, pos, unclosed, &error, depth, &mut body, &mut names)
                    }
                }
            } else {
                let brace = self.text[pos..].starts_with('}');
                let detail = if brace {
                    "This closing brace closes nothing: there is no open block here."
                } else {
                    "An argument (name = value) or a block (name { … }) is required here."
                };
                let end = pos + if brace { 1 } else { item.len().max(1) };
                self.fail(pos..end, NO_ITEM, detail, self.cx.char_span(pos));
                pos = end;
                continue;
            }
            pos += item.len();
        }
    }

    fn empty(&self, range: Range<usize>) -> RawBody {
        RawBody { attributes: Vec::new(), blocks: Vec::new(), span: self.cx.span(range) }
    }

    /// Says once that so much is wrong that the rest is not worth reading.
    fn too_many(&mut self, at: usize) -> bool {
        if self.diags.len() == ENOUGH {
            self.diags.push(
                Diagnostic::error("Too many errors")
                    .detail("The rest of the file is not looked at.")
                    .span(self.cx.char_span(at)),
            );
        }
        self.diags.len() > ENOUGH
    }

    /// Reports an error, unless a broken token in that piece of the text explains it.
    fn report<T>(&mut self, range: Range<usize>, result: Parsed<T>) -> Option<T> {
        let explained = self.broken.iter().any(|span| range.contains(&(span.start as usize)));
        match result {
            Ok(value) => return Some(value),
            Err(_) if explained => {}
            Err(diagnostic) => self.diags.push(*diagnostic),
        }
        None
    }

    fn fail(&mut self, within: Range<usize>, summary: &str, detail: impl Into<String>, span: Span) {
        self.report::<()>(within, refuse(summary, detail, span));
    }

    /// What starts here, up to the end of its line, or of the line that closes its brackets. Where they are never closed: up to the next line that
    /// is indented no deeper.
    fn item(&self, range: Range<usize>) -> (String, Option<usize>) {
        let flat = flatten(&self.text[range.clone()], false);
        let Some(open) = flat.unclosed else { return (flat.text, None) };
        let piece = &self.text[range.clone()];
        let column = range.start - self.text[..range.start].rfind('\n').map_or(0, |i| i + 1);
        let mut end = piece.find('\n').map_or(piece.len(), |i| i + 1);
        for line in piece[end..].split_inclusive('\n') {
            let content = line.trim_start();
            if line.len() - content.len() <= column && (ident_len(content) > 0 || content.starts_with('}')) {
                break;
            }
            end += line.len();
        }
        (flatten(&piece[..end], false).text, Some(range.start + open))
    }

    fn structures(&mut self, lower: Lower<'_>, parsed: &Body, body: &mut RawBody, names: &mut Names) {
        for structure in parsed {
            match structure {
                Structure::Attribute(attribute) => {
                    let name = ident(lower, &attribute.key);
                    let value = lower.node(&attribute.value);
                    self.attribute(name, value, body, names);
                }
                Structure::Block(block) => {
                    if let Some(mut raw) = self.head(lower, block) {
                        self.structures(lower, &block.body, &mut raw.body, &mut Names::new());
                        body.blocks.push(raw);
                    }
                }
            }
        }
    }

    fn attribute(&mut self, name: Ident, value: Parsed<Node>, body: &mut RawBody, names: &mut Names) {
        let end = match &value {
            Ok(value) => value.span.end,
            Err(error) => error.span.map_or(name.span.end, |span| span.end),
        };
        let line = name.span.start as usize..end as usize;
        // It is there, though broken: that it is missing must not be said too.
        let value = self
            .report(line, value)
            .unwrap_or_else(|| Node::new(NodeKind::Literal(Value::unknown(Type::Any)), name.span));
        if let Some(first) = names.get(&name.name) {
            self.diags.push(redefined(&name, *first));
        } else {
            names.insert(name.name.clone(), name.span);
            body.attributes.push(RawAttribute { name, value, json: None });
        }
    }

    /// A block without what is in it.
    fn head(&mut self, lower: Lower<'_>, block: &Block) -> Option<RawBlock> {
        let ty = ident(lower, &block.ident);
        let mut labels = Vec::new();
        for label in &block.labels {
            let span = match label {
                BlockLabel::Ident(name) => {
                    labels.push(ident(lower, name));
                    continue;
                }
                BlockLabel::String(text) => lower.span(text),
            };
            let node =
                self.report(span.start as usize..span.end as usize, template::within(self.cx, span))?;
            match node.literal().and_then(Value::as_str) {
                Some(name) if matches!(node.kind, NodeKind::Literal(_)) => {
                    labels.push(Ident { name: name.into(), span })
                }
                _ => {
                    let detail = "A block label is a plain text: nothing is computed in it.";
                    self.fail(0..0, "Invalid block label", detail, span);
                    return None;
                }
            }
        }
        let span = lower.span(block);
        let head = labels.last().map_or(ty.span.end, |label| label.span.end) as usize;
        let open = self.text[head..].find('{').map_or(head, |i| head + i + 1);
        Some(RawBlock { ty, labels, body: self.empty(open..(span.end as usize).saturating_sub(1).max(open)) })
    }

    /// What `hcl_edit` did not accept: the error, and what is right of it.
    #[expect(clippy::too_many_arguments, reason = "the item, what is wrong with it, and where it goes")]
    fn broken_item(
        &mut self,
        item: &str,
        at: usize,
        unclosed: Option<usize>,
        error: &Error,
        depth: usize,
        body: &mut RawBody,
        names: &mut Names,
    ) {
        let all = at..at + item.len();
        let name = &item[..ident_len(item)];
        let ty = Ident { name: name.into(), span: self.cx.span(at..at + name.len()) };
        let rest = item[name.len()..].trim_start();
        if rest.starts_with('=') && !rest.starts_with("==") {
            let value = expression(self.cx, &rest[1..], all.end - rest.len() + 1, Place::Argument);
            // Right by itself: what follows it is wrong.
            let value = value.and_then(|_| Err(explain(self.cx, item, at, Place::Argument, error)));
            let value = self.report(all, value);
            let unknown = NodeKind::Literal(Value::unknown(Type::Any));
            let span = ty.span;
            return self.attribute(ty, Ok(value.unwrap_or(Node::new(unknown, span))), body, names);
        }
        let Some(open) = item.find('{') else {
            if !rest.starts_with(|c: char| c == '"' || c.is_alphabetic()) {
                let detail = format!(
                    "After \"{name}\" either an equals sign (for an argument) or a block's labels and opening brace are required."
                );
                return self.fail(all, NO_ITEM, detail, ty.span);
            }
            let end = rest.trim_start_matches(|c: char| c != '}' && c != '=').len();
            return self.fail(all.clone(), NO_BLOCK, NO_BRACE, self.cx.char_span(all.end - end));
        };
        // Its head, closed at once.
        let (parsed, holes) = match rounds(&format!("{}}}", &item[..=open]), parse_body) {
            Ok(parsed) => parsed,
            Err(error) => {
                return self.fail(all, NO_BLOCK, NO_BRACE, self.cx.char_span(at + error.location().offset()));
            }
        };
        let lower = Lower { cx: self.cx, text: item, offset: at, holes: &holes };
        let Some(mut raw) = parsed.blocks().next().and_then(|block| self.head(lower, block)) else { return };
        let close = item.rfind('}').filter(|_| unclosed.is_none()).unwrap_or(item.len());
        let extra = item.get(close + 1..).unwrap_or("").trim_start();
        let known = self.diags.len();
        let why = explain(self.cx, item, at, Place::Argument, error);
        if error.message().contains("nesting depth") || depth >= MAX_DEPTH {
            self.diags.push(*why);
        } else if !extra.is_empty() {
            let span = self.cx.char_span(all.end - extra.len());
            let detail = "A block definition must end with a newline.";
            self.fail(all, "Missing newline after block definition", detail, span);
        } else {
            if let Some(open) = unclosed {
                let detail = "There is no closing brace for this block before the end of the file.";
                self.fail(all.clone(), "Unclosed configuration block", detail, self.cx.char_span(open));
            }
            raw.body = self.body(at + open + 1..at + close, depth + 1);
            let one_line = !item[open..close].contains('\n');
            for found in self.diags.0[known..].iter_mut().filter(|d| one_line && d.summary == NO_NEWLINE) {
                ONE_LINE.clone_into(&mut found.summary);
                "A block on one line holds one argument only. Put each argument on a line of its own."
                    .clone_into(&mut found.detail);
            }
            if self.diags.len() == known {
                // All of its parts are right: it is how they are put on lines.
                let detail = "A block on one line holds one argument (name = value) and no block. Otherwise each stands on a line of its own.";
                self.fail(all, ONE_LINE, detail, why.span.unwrap_or(raw.ty.span));
            }
        }
        body.blocks.push(raw);
    }
}

fn ident(lower: Lower<'_>, name: &hcl_edit::Decorated<HclIdent>) -> Ident {
    Ident { name: name.as_str().into(), span: lower.span(name) }
}
