//! What stands in a block that a schema describes: arguments and nested blocks, `dynamic` ones too.

use grappe_diag::{Diagnostics, Span};
use grappe_value::{Path, Schema, Value};

use crate::{Reference, Scope};

/// The arguments and nested blocks of a block. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Body {
    references: Vec<Reference>,
    span: Span,
}

impl Body {
    /// What can be said without evaluating: unknown arguments and blocks, missing ones, too many or too few blocks.
    #[must_use]
    pub fn check(&self, schema: &Schema) -> Diagnostics {
        let _ = schema;
        Diagnostics::new()
    }

    /// The object that the schema describes: arguments converted, defaults of optional ones applied, computed ones null, nested blocks by
    /// their nesting, `dynamic` ones expanded, and what the schema calls sensitive marked.
    ///
    /// # Errors
    /// All that is wrong, each with its place.
    pub fn decode(&self, schema: &Schema, scope: &dyn Scope) -> Result<Value, Diagnostics> {
        let _ = (schema, scope);
        Err(grappe_diag::Diagnostic::error("Bodies can't be decoded yet").span(self.span).into())
    }

    /// What its expressions refer to, in the order written.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Where a part of the decoded value comes from: the longest prefix of the path that the body has.
    #[must_use]
    pub fn attr_span(&self, path: &Path) -> Option<Span> {
        let _ = path;
        None
    }

    /// Where the body stands: for what is missing in it.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }
}
