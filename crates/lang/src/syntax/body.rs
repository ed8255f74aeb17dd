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
use super::parse::{Place, explain, expression, flatten, rounds};
use super::{Cx, Ident, MAX_DEPTH, Parsed, RawAttribute, RawBlock, RawBody, ident_len, refuse, template};
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
            } else if self.text[pos..].starts_with('}') {
                let span = self.cx.char_span(pos);
                self.report::<()>(
                    pos..pos + 1,
                    refuse(
                        "Argument or block definition required",
                        "This closing brace closes nothing: there is no open block here.",
                        span,
                    ),
                );
                pos += 1;
                continue;
            } else {
                let span = self.cx.char_span(pos);
                self.report::<()>(
                    pos..pos + item.len(),
                    refuse(
                        "Argument or block definition required",
                        "An argument (name = value) or a block (name { … }) is required here.",
                        span,
                    ),
                );
            }
            pos += item.len().max(1);
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
        let line = name.span.start as usize..value.as_ref().map_or(name.span.end, |v| v.span.end) as usize;
        let line = match &value {
            Err(error) => line.start..error.span.map_or(line.end, |s| s.end as usize).max(line.end),
            Ok(_) => line,
        };
        // It is there, though broken: that it is missing must not be said too.
        let value = self
            .report(line, value)
            .unwrap_or_else(|| Node::new(NodeKind::Literal(Value::unknown(Type::Any)), name.span));
        if let Some(first) = names.get(&name.name) {
            let detail = format!(
                "The argument \"{}\" was already set. Each argument may be set only once.",
                name.name
            );
            self.diags.push(
                Diagnostic::error("Attribute redefined")
                    .detail(detail)
                    .span(name.span)
                    .related(*first, "first set here"),
            );
        } else {
            names.insert(name.name.clone(), name.span);
            body.attributes.push(RawAttribute { name, value });
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
                    self.report::<()>(0..0, refuse("Invalid block label", detail, span));
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
    #[expect(clippy::too_many_arguments, reason = "the item, and where it goes")]
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
            let error = if rest.is_empty() || !rest.starts_with(|c: char| c == '"' || c.is_alphabetic()) {
                refuse(
                    "Argument or block definition required",
                    format!(
                        "After \"{name}\" either an equals sign (for an argument) or a block's labels and opening brace are required."
                    ),
                    ty.span,
                )
            } else {
                let end = rest.trim_start_matches(|c: char| c != '}' && c != '=' && c != '\n');
                let span = self.cx.char_span(all.end - end.len());
                refuse(
                    "Invalid block definition",
                    "A block's labels and then an opening brace (\"{\") are required on one line.",
                    span,
                )
            };
            self.report::<()>(all, error);
            return;
        };
        // Its head, closed at once.
        let head_text = format!("{}}}", &item[..=open]);
        let parsed = match rounds(&head_text, parse_body) {
            Ok(parsed) => parsed,
            Err(error) => {
                let span = self.cx.char_span(at + error.location().offset());
                self.report::<()>(
                    all,
                    refuse(
                        "Invalid block definition",
                        "A block's labels and then an opening brace (\"{\") are required on one line.",
                        span,
                    ),
                );
                return;
            }
        };
        let lower = Lower { cx: self.cx, text: item, offset: at, holes: &parsed.1 };
        let Some(block) = parsed.0.blocks().next() else { return };
        let Some(mut raw) = self.head(lower, block) else { return };
        let close = if unclosed.is_some() { None } else { item.rfind('}') };
        let inside = open + 1..close.unwrap_or(item.len()).max(open + 1);
        let lines = item[inside.clone()].contains('\n');
        if error.message().contains("nesting depth") || depth >= MAX_DEPTH {
            self.report::<()>(0..0, Err(explain(self.cx, item, at, Place::Argument, error)));
        } else if let Some(open) = unclosed {
            let detail = "There is no closing brace for this block before the end of the file.";
            self.report::<()>(0..0, refuse("Unclosed configuration block", detail, self.cx.char_span(open)));
            raw.body = self.body(at + inside.start..at + inside.end, depth + 1);
        } else if let Some(extra) = close.map(|at| &item[at + 1..]).filter(|extra| !extra.trim().is_empty()) {
            let span = self.cx.char_span(all.end - extra.trim_start().len());
            self.report::<()>(
                all,
                refuse(
                    "Missing newline after block definition",
                    "A block definition must end with a newline.",
                    span,
                ),
            );
        } else if lines {
            raw.body = self.body(at + inside.start..at + inside.end, depth + 1);
        } else {
            let one = expression_or_block(&item[inside.clone()]);
            let detail = if one {
                "A block on one line holds one argument only. Put each argument on a line of its own."
            } else {
                "A block on one line holds one argument (name = value) and no block."
            };
            let span = explain(self.cx, item, at, Place::Argument, error).span;
            self.report::<()>(
                all,
                refuse("Invalid single-argument block definition", detail, span.unwrap_or(raw.ty.span)),
            );
        }
        body.blocks.push(raw);
    }
}

fn expression_or_block(inside: &str) -> bool {
    let inside = inside.trim_start();
    let rest = inside[ident_len(inside)..].trim_start();
    ident_len(inside) > 0 && rest.starts_with('=') && !rest.starts_with("==")
}

fn ident(lower: Lower<'_>, name: &hcl_edit::Decorated<HclIdent>) -> Ident {
    Ident { name: name.as_str().into(), span: lower.span(name) }
}
