//! Errors as they reach the user: what was wrong, why, and what to do.

use std::fmt;

use grappe_diag::{Diagnostics, Sources};
use grappe_state::StateError;

use crate::commands::run::Interrupted;
use crate::exit::Exit;
use crate::ui::Ui;

/// An error of the command line itself, with what to do.
#[derive(Debug)]
pub(crate) struct Explained {
    summary: String,
    hint: Option<String>,
}

impl Explained {
    /// What was wrong.
    pub(crate) fn new(summary: impl Into<String>) -> Self {
        Explained { summary: summary.into(), hint: None }
    }

    /// With what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

impl std::error::Error for Explained {}

/// What is wrong with a plan folder, with the texts that it points into.
#[derive(Debug)]
pub(crate) struct Rejected {
    /// All of it.
    pub(crate) found: Diagnostics,
    /// The texts.
    pub(crate) sources: Sources,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.found.fmt(f)
    }
}

impl std::error::Error for Rejected {}

/// Says what went wrong and gives the exit code for it.
pub(crate) fn show(ui: &Ui, error: &anyhow::Error) -> Exit {
    if let Some(rejected) = error.downcast_ref::<Rejected>() {
        ui.diagnostics(&rejected.found, &rejected.sources);
        return Exit::Error;
    }
    if error.is::<Interrupted>() {
        ui.warn(&error.to_string());
        return Exit::Interrupted;
    }
    let mut causes = Vec::new();
    let mut said = error.to_string();
    let (mut hint, mut exit) = (None, Exit::Error);
    for cause in error.chain() {
        if let Some(state) = cause.downcast_ref::<StateError>() {
            hint = hint.or_else(|| state.hint());
            exit = if state.is_locked() { Exit::Locked } else { exit };
        }
        if let Some(explained) = cause.downcast_ref::<Explained>() {
            hint = hint.or_else(|| explained.hint.clone());
        }
        // Many errors repeat their cause in their own text.
        let text = cause.to_string();
        if !said.contains(&text) {
            said.push_str(&text);
            causes.push(text);
        }
    }
    ui.error(&error.to_string(), &causes, hint.as_deref());
    exit
}
