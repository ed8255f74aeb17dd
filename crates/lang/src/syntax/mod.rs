//! Text to blocks and expressions.
//!
//! The grammar is [`hcl_edit`]'s; what it gives is [lowered](lower) into our own tree. Around it stand:
//!
//! - [`mask`]: before it parses, comments are blanked and templates (quoted strings, heredocs) are made opaque, byte for byte, so that its spans
//!   hold in the file. It is then never asked what it gets wrong: a heredoc with directives is dedented before they are cut out, numbers beyond
//!   64 bits become floats, newlines inside of brackets are not white space everywhere.
//! - [`template`]: that is why the reading of templates stays here. It works on the file's own text and gives each interpolation's expression back
//!   to `hcl_edit`.
//! - [`body`]: `hcl_edit` stops at the first error, so a file is given to it item by item, and a broken block again argument by argument.
//! - [`json`]: `*.tf.json`, which `hcl_edit` does not know, into the same blocks and expressions.
//! - [`parse`]: its messages in Terraform's words, and the two valid things that it refuses: repeated keys of an object, and long chains of operators.
//!
//! Source: the [HCL native syntax specification](https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md), and Terraform 1.11 where it is silent.

mod body;
pub(crate) mod json;
mod lower;
mod mask;
mod parse;
mod template;

use std::ops::Range;
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, SourceId, Span};

use crate::expr::Node;

/// How deep blocks, templates and what is in them may nest. (`hcl_edit` allows 64 levels in a piece without a template.)
const MAX_DEPTH: usize = 128;

/// A name with its place.
#[derive(Clone, Debug)]
pub(crate) struct Ident {
    pub(crate) name: Arc<str>,
    pub(crate) span: Span,
}

/// The arguments and blocks between two braces, or of a file.
#[derive(Clone, Debug)]
pub(crate) struct RawBody {
    pub(crate) attributes: Vec<RawAttribute>,
    pub(crate) blocks: Vec<RawBlock>,
    /// Between the braces.
    pub(crate) span: Span,
}

/// `name = expr`
#[derive(Clone, Debug)]
pub(crate) struct RawAttribute {
    pub(crate) name: Ident,
    pub(crate) value: Node,
    /// Of the JSON syntax: what it is made of. It may be meant as blocks.
    pub(crate) json: Option<json::Json>,
}

/// `type "label" … { … }`
#[derive(Clone, Debug)]
pub(crate) struct RawBlock {
    pub(crate) ty: Ident,
    pub(crate) labels: Vec<Ident>,
    pub(crate) body: RawBody,
}

impl RawBlock {
    /// The head: from the type to the last label.
    pub(crate) fn head(&self) -> Span {
        self.labels.last().map_or(self.ty.span, |l| self.ty.span.to(l.span))
    }
}

/// Parses a file. What could be parsed is returned whatever was wrong.
pub(crate) fn parse_file(source: SourceId, text: &str, diags: &mut Diagnostics) -> RawBody {
    body::file(Cx { source, text, depth: 0 }, diags)
}

/// The head of the outermost block that a place (in bytes) is in, as Terraform's diagnostics name it: `resource "a" "b"`. At the block's own beginning
/// it is not in it yet.
#[must_use]
pub fn block_around(text: &str, at: usize) -> Option<String> {
    let source = grappe_diag::Sources::new().add("", text);
    let body = parse_file(source, text, &mut Diagnostics::new());
    let blocks = body.blocks.iter();
    let block = blocks.rev().find(|b| (b.ty.span.start as usize) < at)?;
    // Behind the closing brace it is not in it any more.
    ((block.body.span.end as usize) + 1 >= at).then(|| {
        let labels: String = block.labels.iter().map(|label| format!(" {:?}", &*label.name)).collect();
        format!("{}{labels}", block.ty.name)
    })
}

/// Parses one expression that takes all of the text.
pub(crate) fn parse_expr(source: SourceId, text: &str) -> Result<Node, Diagnostics> {
    let cx = Cx { source, text, depth: 0 };
    let mut masked = mask::mask(cx, 0);
    if !masked.errors.is_empty() {
        return Err(std::mem::take(&mut masked.errors).into_iter().collect());
    }
    parse::expression(cx, &masked.text, 0, parse::Place::Whole).map_err(|d| Diagnostics::from(*d))
}

/// Parses a text as a template (`templatefile`).
pub(crate) fn parse_template(source: SourceId, text: &str) -> Result<Node, Diagnostics> {
    template::file(Cx { source, text, depth: 0 }).map_err(|d| Diagnostics::from(*d))
}

/// What a part that can't go on returns; boxed, because it is rare and large.
type Parsed<T> = Result<T, Box<Diagnostic>>;

fn refuse<T>(summary: &str, detail: impl Into<String>, span: Span) -> Parsed<T> {
    Err(Box::new(Diagnostic::error(summary).detail(detail).span(span)))
}

/// The whole text that is read, and how deep in it we are. All places are bytes of this text.
#[derive(Clone, Copy)]
struct Cx<'t> {
    source: SourceId,
    text: &'t str,
    depth: usize,
}

impl<'t> Cx<'t> {
    fn span(self, range: Range<usize>) -> Span {
        Span::new(self.source, range.start, range.end.max(range.start))
    }

    /// The character at a place, or the end of the text.
    fn char_span(self, at: usize) -> Span {
        self.span(at..at + self.rest(at).chars().next().map_or(0, char::len_utf8))
    }

    fn rest(self, at: usize) -> &'t str {
        self.text.get(at..).unwrap_or("")
    }

    fn deeper(mut self, at: usize) -> Parsed<Self> {
        if self.depth >= MAX_DEPTH {
            return Err(Box::new(self.too_deep(at)));
        }
        self.depth += 1;
        Ok(self)
    }

    fn too_deep(self, at: usize) -> Diagnostic {
        Diagnostic::error("Nested too deeply")
            .detail(
                "Brackets and operators can nest 64 levels deep at most, templates and what is in them 128.",
            )
            .hint("give the inner parts names with locals")
            .span(self.char_span(at))
    }
}

fn is_ident_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// How long the name is that the text starts with; 0 where it starts with none.
pub(crate) fn ident_len(text: &str) -> usize {
    if !text.starts_with(is_ident_start) {
        return 0;
    }
    text.find(|c: char| !is_ident_start(c) && !c.is_numeric() && c != '-').unwrap_or(text.len())
}
