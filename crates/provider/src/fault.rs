//! What can go wrong with an operation, in the ways that the engine must tell apart.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use grappe_value::Path;

/// How the engine goes on after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It may work if tried again, not before this long (the far side's `Retry-After`), where it said so.
    Transient(Option<Duration>),
    /// The far side says that it is asked too much (429): it is tried again, not before this long, and the provider as a whole is asked less.
    Throttled(Option<Duration>),
    /// The object does not exist: fine for a delete; the next plan creates it again otherwise.
    Gone,
    /// Trying again changes nothing.
    Permanent,
}

/// A failed operation: what was wrong, what the far side said, and what to do.
#[derive(Debug)]
pub struct Fault {
    /// How the engine goes on.
    pub kind: FaultKind,
    /// One line: what was tried and what was wrong. No secret in it.
    pub summary: String,
    /// What the far side said: the last lines of a command's output, an API's message.
    pub details: Vec<String>,
    /// What the user can do.
    pub hint: Option<String>,
    /// The argument that is to blame, where one is.
    pub attribute: Option<Path>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    fn new(kind: FaultKind, summary: impl Into<String>) -> Self {
        Fault {
            kind,
            summary: summary.into(),
            details: Vec::new(),
            hint: None,
            attribute: None,
            source: None,
        }
    }

    /// One that trying again does not mend.
    pub fn permanent(summary: impl Into<String>) -> Self {
        Self::new(FaultKind::Permanent, summary)
    }

    /// One that may pass.
    pub fn transient(summary: impl Into<String>) -> Self {
        Self::new(FaultKind::Transient(None), summary)
    }

    /// The far side says that it is asked too much: [`FaultKind::Throttled`]. With [`Fault::after`] where it says for how long.
    pub fn throttled(summary: impl Into<String>) -> Self {
        Self::new(FaultKind::Throttled(None), summary)
    }

    /// The object is not there.
    pub fn gone(summary: impl Into<String>) -> Self {
        Self::new(FaultKind::Gone, summary)
    }

    /// Not before this long.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        if let FaultKind::Transient(after) | FaultKind::Throttled(after) = &mut self.kind {
            *after = Some(wait);
        }
        self
    }

    /// With what the far side said: its last 20 lines, empty ones left out.
    #[must_use]
    pub fn details(mut self, text: impl AsRef<str>) -> Self {
        let lines: Vec<&str> = text.as_ref().lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
        self.details.extend(lines[lines.len().saturating_sub(20)..].iter().map(|l| (*l).to_owned()));
        self
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the argument to blame.
    #[must_use]
    pub fn attribute(mut self, name: &str) -> Self {
        self.attribute = Some(Path::attr(name));
        self
    }

    /// With the error below it.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With what was being done put before the summary.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.summary = format!("{doing}: {}", self.summary);
        self
    }

    /// Whether it may pass.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, FaultKind::Transient(_) | FaultKind::Throttled(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
    }
}
