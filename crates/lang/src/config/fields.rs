//! Reading blocks whose arguments are known: each is taken by name, and what is left over is an error.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::{Type, Value, convert};

use crate::expr::{Eval, Node, NodeKind, Resolver};
use crate::scope::ConstantScope;
use crate::syntax::{RawAttribute, RawBlock, RawBody, parse_expr};
use crate::{Expr, Reference};

/// The arguments and blocks of a block that are not taken yet.
pub(super) struct Fields {
    pub(super) body: RawBody,
    /// The head of the block.
    pub(super) head: Span,
}

impl Fields {
    pub(super) fn new(block: RawBlock) -> Self {
        Fields { head: block.head(), body: block.body }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<RawAttribute> {
        let at = self.body.attributes.iter().position(|a| &*a.name.name == name)?;
        Some(self.body.attributes.remove(at))
    }

    /// All blocks of a type.
    pub(super) fn take_blocks(&mut self, name: &str, diags: &mut Diagnostics) -> Vec<RawBlock> {
        self.body.take_blocks(name, diags)
    }

    /// The only block of a type; a second is an error.
    pub(super) fn take_block(&mut self, name: &str, diags: &mut Diagnostics) -> Option<RawBlock> {
        let mut blocks = self.take_blocks(name, diags).into_iter();
        let first = blocks.next();
        for extra in blocks {
            diags.push(
                Diagnostic::error(format!("Duplicate {name} block"))
                    .detail(format!("Only one \"{name}\" block is allowed here."))
                    .span(extra.head()),
            );
        }
        first
    }

    pub(super) fn expr(&mut self, name: &str, diags: &mut Diagnostics) -> Option<Expr> {
        self.take(name).map(|a| Expr::new(a.value, &[], diags))
    }

    /// One that must be there.
    pub(super) fn required(&mut self, name: &str, diags: &mut Diagnostics) -> Option<RawAttribute> {
        let found = self.take(name);
        if found.is_none() {
            diags.push(
                Diagnostic::error("Missing required argument")
                    .detail(format!("The argument \"{name}\" is required, but no definition was found."))
                    .span(self.head),
            );
        }
        found
    }

    /// A constant of a type, converted.
    pub(super) fn constant(&mut self, name: &str, ty: &Type, diags: &mut Diagnostics) -> Option<Value> {
        let attribute = self.take(name)?;
        let span = attribute.value.span;
        let value = diags.keep(attribute.constant())?;
        match convert(&value, ty) {
            Ok(value) => Some(value),
            Err(error) => {
                diags.push(
                    Diagnostic::error("Unsuitable value type")
                        .detail(format!("Unsuitable value for \"{name}\": {error}."))
                        .span(span),
                );
                None
            }
        }
    }

    pub(super) fn flag(&mut self, name: &str, default: bool, diags: &mut Diagnostics) -> bool {
        self.constant(name, &Type::Bool, diags).and_then(|v| v.as_bool()).unwrap_or(default)
    }

    pub(super) fn text(&mut self, name: &str, diags: &mut Diagnostics) -> Option<Arc<str>> {
        self.constant(name, &Type::String, diags).and_then(|v| v.as_str().map(Arc::from))
    }

    /// A list of references, as in `depends_on`.
    pub(super) fn references(&mut self, name: &str, diags: &mut Diagnostics) -> Vec<Reference> {
        let Some(attribute) = self.take(name) else { return Vec::new() };
        list(attribute.value, name, diags)
            .into_iter()
            .filter_map(|node| reference(node, name, diags))
            .collect()
    }

    /// Says that what is left over does not belong here. `known` is what does, for "did you mean".
    pub(super) fn finish(self, known: &[&str], diags: &mut Diagnostics) {
        for attribute in self.body.attributes {
            let name = attribute.name;
            if attribute.json.is_some() && known.contains(&&*name.name) {
                // All that is known was taken once.
                diags.push(crate::body::redefined(&name, self.head));
                continue;
            }
            diags.push(
                Diagnostic::error("Unsupported argument")
                    .detail(format!("An argument named \"{}\" is not expected here.", name.name))
                    .span(name.span)
                    .did_you_mean(&name.name, known.iter().copied()),
            );
        }
        for block in self.body.blocks {
            diags.push(
                Diagnostic::error("Unsupported block type")
                    .detail(format!("Blocks of type \"{}\" are not expected here.", block.ty.name))
                    .span(block.ty.span)
                    .did_you_mean(&block.ty.name, known.iter().copied()),
            );
        }
    }
}

impl RawAttribute {
    /// Its value, in which no names stand. In the JSON syntax nothing is computed there either.
    pub(crate) fn constant(self) -> Result<Value, Diagnostics> {
        match &self.json {
            Some(json) => Ok(json.value()),
            None => constant(self.value),
        }
    }
}

/// The value of an expression in which no names stand.
pub(crate) fn constant(mut node: Node) -> Result<Value, Diagnostics> {
    let mut diags = Diagnostics::new();
    Resolver::for_constant(&mut diags).node(&mut node);
    if diags.has_errors() {
        return Err(diags);
    }
    Eval::new(&ConstantScope).node(&node)
}

/// The elements of a list that is written out.
pub(super) fn list(node: Node, name: &str, diags: &mut Diagnostics) -> Vec<Node> {
    match node.kind {
        NodeKind::Tuple(items) => items.into_vec(),
        NodeKind::Parens(inner) => list(*inner, name, diags),
        // Broken, and reported.
        NodeKind::Literal(value) if value.is_unknown() => Vec::new(),
        _ => {
            diags.push(
                Diagnostic::error(format!("Invalid {name} value"))
                    .detail(format!("The argument \"{name}\" is a list, written out in brackets."))
                    .span(node.span),
            );
            Vec::new()
        }
    }
}

/// A traversal; Terraform 0.11 wrote them in quotes.
pub(super) fn unquote(node: Node) -> Node {
    let span = node.span;
    match node.literal().and_then(Value::as_str) {
        Some(text) => match parse_expr(span.source, text) {
            Ok(mut inner) => {
                inner.each_span(&mut |place| *place = span);
                inner
            }
            Err(_) => node,
        },
        None => node,
    }
}

/// One reference, and nothing else.
pub(super) fn reference(node: Node, name: &str, diags: &mut Diagnostics) -> Option<Reference> {
    let node = unquote(node);
    let span = node.span;
    let is_reference = match &node.kind {
        NodeKind::Name(_) => true,
        NodeKind::Traverse(base, _) => base.keyword().is_some(),
        _ => false,
    };
    if node.literal().is_some_and(Value::is_unknown) {
        return None;
    }
    if !is_reference {
        diags.push(
            Diagnostic::error("Invalid expression")
                .detail(format!("A single static reference is required in \"{name}\": only attribute access and indexing, no calls, operators or templates."))
                .span(span),
        );
        return None;
    }
    let expr = Expr::new(node, &[], diags);
    expr.references().first().cloned()
}

/// Whether a text can be a name.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}
