//! How a run ended.

use grappe_diag::Diagnostic;
use serde::Serialize;

use crate::event::Verb;
use crate::{Failure, event::OpName};

/// How a run ended. Durations are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// From its begin to its end.
    pub wall: u64,
    /// What its parts took: `apply`, `snapshot`.
    pub phases: Vec<(&'static str, u64)>,
    /// The chain of operations that decided how long it took, first to last.
    pub critical_path: Vec<Step>,
    /// How many succeeded, by what they did.
    pub counts: Counts,
    /// How many were tried and failed.
    pub failed: usize,
    /// How many were not tried because one that they need failed.
    pub skipped: usize,
    /// How many were not tried because the user asked to stop.
    pub not_started: usize,
    /// How many times something was tried again.
    pub retries: usize,
    /// Whether the user asked to stop before all was done.
    pub interrupted: bool,
    /// What failed: the first one first.
    pub errors: Vec<Failed>,
    /// What was found not to be as it should, without being an error.
    #[serde(skip)]
    pub warnings: Vec<Diagnostic>,
}

impl Summary {
    /// Whether all that was planned was done.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.errors.is_empty() && self.skipped == 0 && self.not_started == 0
    }
}

/// How many operations succeeded, by what they did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Objects created.
    pub created: usize,
    /// Objects changed in place.
    pub updated: usize,
    /// Objects deleted.
    pub deleted: usize,
    /// Data sources read.
    pub read: usize,
    /// Objects of which something was written to the state only.
    pub recorded: usize,
    /// Objects taken out of the state and left alone.
    pub forgotten: usize,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: &Counts) -> Counts {
        Counts {
            created: self.created + other.created,
            updated: self.updated + other.updated,
            deleted: self.deleted + other.deleted,
            read: self.read + other.read,
            recorded: self.recorded + other.recorded,
            forgotten: self.forgotten + other.forgotten,
        }
    }

    pub(crate) fn add(&mut self, verb: Verb) {
        match verb {
            Verb::Create => self.created += 1,
            Verb::Update => self.updated += 1,
            Verb::Delete => self.deleted += 1,
            Verb::Read => self.read += 1,
            Verb::Record => self.recorded += 1,
            Verb::Forget => self.forgotten += 1,
            Verb::Join | Verb::Open | Verb::Provision => {}
        }
    }
}

/// One step of the critical path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The operation.
    #[serde(flatten)]
    pub op: OpName,
    /// How long it took.
    pub elapsed: u64,
}

/// An operation that failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failed {
    /// Which; none where it was not an operation (the outputs, the journal).
    #[serde(flatten)]
    pub op: Option<OpName>,
    /// What was wrong.
    pub error: Failure,
}
