//! Expressions: a compact tree with spans, and what it refers to.

mod conditional;
mod eval;
mod node;
mod operators;
mod refine;
mod resolve;
mod sketch;
mod traverse;

use std::sync::Arc;

use grappe_diag::{Diagnostics, Sources, Span};
use grappe_value::Value;

pub(crate) use eval::Eval;
pub(crate) use node::{Binary, Call, For, Node, NodeKind, Ref, Step, Unary};
pub(crate) use operators::equal;
pub(crate) use refine::{beginning, counted, settled};
pub(crate) use resolve::{MISSING_VARIABLE, Resolver, unknown_function};

use crate::{Reference, Scope, syntax};

/// An expression. Cheap to clone, `Send + Sync`.
#[derive(Clone)]
pub struct Expr(Arc<Inner>);

struct Inner {
    node: Node,
    references: Vec<Reference>,
}

impl Expr {
    /// From what the parser made: resolves its names. `bound` are those that a surrounding `dynamic` block binds.
    pub(crate) fn new(mut node: Node, bound: &[Arc<str>], diags: &mut Diagnostics) -> Self {
        let mut resolver = Resolver::new(bound, diags);
        resolver.node(&mut node);
        let references = resolver.into_references();
        Expr(Arc::new(Inner { node, references }))
    }

    /// From a part of a resolved tree.
    pub(crate) fn from_resolved(node: Node, references: Vec<Reference>) -> Self {
        Expr(Arc::new(Inner { node, references }))
    }

    /// An expression from elsewhere than a configuration, as `console` reads it. The text is added to the sources under that name.
    ///
    /// # Errors
    /// Where it is none, or calls a function that there is not.
    pub fn parse(sources: &mut Sources, name: &str, text: &str) -> Result<Self, Diagnostics> {
        let source = sources.add(name, text);
        let node = syntax::parse_expr(source, text)?;
        let mut diags = Diagnostics::new();
        let expr = Self::new(node, &[], &mut diags);
        if diags.has_errors() { Err(diags) } else { Ok(expr) }
    }

    /// Whether it is a call of that function.
    #[must_use]
    pub fn calls(&self, function: &str) -> bool {
        matches!(&self.0.node.kind, NodeKind::Call(call) if &*call.name == function)
    }

    /// Its value in a scope. Several errors at once where its parts are independent.
    ///
    /// # Errors
    /// What is wrong, each with its place.
    pub fn eval(&self, scope: &dyn Scope) -> Result<Value, Diagnostics> {
        Eval::new(scope).node(&self.0.node)
    }

    /// What it refers to, in the order written; found once, when it was loaded.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// Where it stands.
    #[must_use]
    pub fn span(&self) -> Span {
        self.0.node.span
    }

    /// Its value where it is a literal (`0`, `"a"`, `true`, `null`).
    #[must_use]
    pub fn literal(&self) -> Option<Value> {
        self.0.node.literal().cloned()
    }

    pub(crate) fn node(&self) -> &Node {
        &self.0.node
    }
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expr({}..{})", self.span().start, self.span().end)
    }
}
