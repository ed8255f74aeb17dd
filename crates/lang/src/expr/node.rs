//! The tree.

use grappe_diag::Span;

/// A node of the tree with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
}
