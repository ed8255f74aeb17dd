//! What was wrong, in a form that can be sent, kept and shown.

use std::error::Error;
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_provider::Fault;
use grappe_state::{StateError, StoreError};
use serde::Serialize;

use crate::mask::Mask;

/// Why an operation failed: a provider's [`Fault`] or the planner's diagnostics, secrets masked.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Failure {
    /// What was tried and what was wrong, in one line.
    pub summary: String,
    /// What the far side said: the last lines of a command's output, an API's message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// The errors below it, from the nearest down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The argument to blame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// What the planner said, with its places, where it is that which refused.
    #[serde(skip)]
    pub diagnostics: Vec<Diagnostic>,
}

impl Failure {
    pub(crate) fn new(summary: impl Into<String>) -> Self {
        Failure { summary: summary.into(), ..Failure::default() }
    }

    pub(crate) fn of_fault(fault: &Fault, mask: &Mask) -> Self {
        let mut causes = Vec::new();
        let mut below = fault.source();
        while let Some(cause) = below {
            causes.push(mask.hide(&cause.to_string()));
            below = cause.source();
        }
        Failure {
            summary: mask.hide(&fault.summary),
            details: fault.details.iter().map(|line| mask.hide(line)).collect(),
            causes,
            hint: fault.hint.as_ref().map(|hint| mask.hide(hint)),
            attribute: fault.attribute.as_ref().map(ToString::to_string),
            diagnostics: Vec::new(),
        }
    }

    pub(crate) fn of_diagnostics(found: Diagnostics) -> Self {
        let first = found.iter().find(|d| d.is_error()).or_else(|| found.iter().next());
        Failure {
            summary: first.map_or_else(|| "refused".to_owned(), |d| d.summary.clone()),
            details: first.map(|d| d.detail.clone()).filter(|d| !d.is_empty()).into_iter().collect(),
            hint: first.and_then(|d| d.hint.clone()),
            diagnostics: found.0,
            ..Failure::default()
        }
    }

    pub(crate) fn of_state(error: &StateError) -> Self {
        Failure { hint: error.hint(), ..Failure::new(error.to_string()) }
    }
}

/// That the journal could not be written: the operation must not go on.
pub(crate) fn not_durable(error: &Arc<StoreError>) -> Fault {
    let fault = Fault::permanent(format!("stopped, because what it did can't be recorded: {error}"));
    match error.hint() {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    format!("the provider panicked (a bug in it): {text}")
}
