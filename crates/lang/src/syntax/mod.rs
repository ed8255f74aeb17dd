//! Text to blocks and expressions: a parser of HCL's native syntax, by hand.
//!
//! Why not `hcl-edit`: it stops at the first error, loses numbers beyond 64 bits, dedents heredocs otherwise than Terraform, and its tree would be
//! walked once only to be copied into ours. Here the parser makes our tree at once, goes on after an error at the next argument or block, and bounds
//! the depth, so that no text can overflow the stack.
//!
//! Source: the [HCL native syntax specification](https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md), and Terraform 1.11 where it is silent.

mod body;
mod cursor;
mod expr;
mod template;

use std::sync::Arc;

use grappe_diag::{Diagnostics, SourceId, Span};

use crate::expr::Node;
pub(crate) use cursor::Parser;

/// How deep blocks, brackets and templates may nest.
pub(crate) const MAX_DEPTH: usize = 128;

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
    let mut parser = Parser::new(source, text);
    let body = parser.file();
    diags.extend(parser.into_diagnostics());
    body
}

/// Parses one expression that takes all of the text.
pub(crate) fn parse_expr(source: SourceId, text: &str) -> Result<Node, Diagnostics> {
    let mut parser = Parser::new(source, text);
    parser.whole_expr()
}

/// Parses a text as a template (`templatefile`).
pub(crate) fn parse_template(source: SourceId, text: &str) -> Result<Node, Diagnostics> {
    let mut parser = Parser::new(source, text);
    parser.whole_template()
}
