//! The pure part of a type: what its planner may say about a change before anything is done.

use grappe_value::{Path, Type, Value};

/// Something wrong with a configuration that the schema alone can't see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The argument to blame; the root for the whole block.
    pub attribute: Path,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Whether it is only unwise: the plan says so, and goes on.
    pub warning: bool,
}

impl Problem {
    /// A problem with one argument.
    pub fn new(attribute: &str, message: impl Into<String>) -> Self {
        Problem { attribute: Path::attr(attribute), message: message.into(), hint: None, warning: false }
    }

    /// What can be done with one argument, and better is not.
    pub fn warning(attribute: &str, message: impl Into<String>) -> Self {
        Problem { warning: true, ..Self::new(attribute, message) }
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A change as the planner proposes it, for the type to refine. Values may be unknown.
#[derive(Debug)]
pub struct Change<'a> {
    /// What exists, as last read; `None` for a creation.
    pub prior: Option<&'a Value>,
    /// What the configuration says: computed attributes are null.
    pub config: &'a Value,
    planned: Value,
    replace: Vec<Path>,
}

impl<'a> Change<'a> {
    /// A change from `prior` to `config`, with `planned` the planner's proposal: attributes that the configuration leaves to the provider are
    /// unknown in a creation and as before in an update.
    #[must_use]
    pub fn new(prior: Option<&'a Value>, config: &'a Value, planned: Value) -> Self {
        Change { prior, config, planned, replace: Vec::new() }
    }

    /// What will be, as far as it is known.
    #[must_use]
    pub fn planned(&self) -> &Value {
        &self.planned
    }

    /// Whether an attribute will differ from what exists (an unknown one may). True for each attribute of a creation.
    #[must_use]
    pub fn changes(&self, attribute: &str) -> bool {
        match (self.prior.and_then(|p| p.get(attribute)), self.planned.get(attribute)) {
            (Some(prior), Some(planned)) => !prior.same(planned),
            _ => true,
        }
    }

    /// Sets what a computed attribute will be.
    pub fn set(&mut self, attribute: &str, value: Value) {
        let planned = std::mem::replace(&mut self.planned, Value::NULL);
        self.planned = planned.with_attr(attribute, value);
    }

    /// Says that a computed attribute will be known only after the change.
    pub fn set_unknown(&mut self, attribute: &str) {
        let ty = self.planned.get(attribute).map_or(Type::Any, Value::ty);
        self.set(attribute, Value::unknown_not_null(ty));
    }

    /// Says that the object must be created anew because of this attribute.
    pub fn require_replace(&mut self, attribute: &str) {
        self.replace.push(Path::attr(attribute));
    }

    /// The refined plan, and the attributes that force a replacement.
    #[must_use]
    pub fn finish(self) -> (Value, Vec<Path>) {
        (self.planned, self.replace)
    }
}
