//! Expressions: a compact tree with spans, and what it refers to.

mod node;

use std::sync::Arc;

use grappe_diag::{Diagnostics, Span};
use grappe_value::Value;

pub(crate) use node::Node;

use crate::{Reference, Scope};

/// An expression. Cheap to clone, `Send + Sync`.
#[derive(Clone)]
pub struct Expr(Arc<Inner>);

struct Inner {
    node: Node,
    references: Vec<Reference>,
}

impl Expr {
    /// Its value in a scope. Several errors at once where its parts are independent.
    ///
    /// # Errors
    /// What is wrong, each with its place.
    pub fn eval(&self, scope: &dyn Scope) -> Result<Value, Diagnostics> {
        let _ = (scope, &self.0.node);
        Err(grappe_diag::Diagnostic::error("Expressions can't be evaluated yet").span(self.span()).into())
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
        None
    }
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expr({:?})", self.0.node.span)
    }
}
