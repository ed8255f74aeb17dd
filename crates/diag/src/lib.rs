//! Sources, spans, and diagnostics with the snippet under them.
//!
//! Whoever finds something wrong pushes a [`Diagnostic`] into [`Diagnostics`] and goes on, so that a user sees all of it at once. A diagnostic
//! says what was wrong (summary), why (detail), where (a [`Span`] into one of the [`Sources`]) and what to do (hint). Nothing here prints:
//! [`render`] gives the text for people, [`to_json`] what `terraform validate -json` gives.

mod json;
mod render;
mod source;
mod suggest;

use std::fmt;

pub use json::{Context, list_to_json, to_json};
pub use render::{Style, render};
pub use source::{Position, Source, SourceId, Sources, Span};
pub use suggest::suggest;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is done until it is put right.
    Error,
    /// It works, but probably not as meant.
    Warning,
}

/// One thing that is wrong: what, why, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What was wrong, in a few words, without a full stop.
    pub summary: String,
    /// Why it is wrong, in whole sentences. May be empty.
    pub detail: String,
    /// Where it stands.
    pub span: Option<Span>,
    /// Other places that have to do with it, and how.
    pub related: Vec<(Span, String)>,
    /// What to do.
    pub hint: Option<String>,
    /// The object that it is about: `module.m["a"].host_file.f[0]`.
    pub address: Option<String>,
}

impl Diagnostic {
    fn new(severity: Severity, summary: String) -> Self {
        Diagnostic {
            severity,
            summary,
            detail: String::new(),
            span: None,
            related: Vec::new(),
            hint: None,
            address: None,
        }
    }

    /// An error.
    pub fn error(summary: impl Into<String>) -> Self {
        Self::new(Severity::Error, summary.into())
    }

    /// A warning.
    pub fn warning(summary: impl Into<String>) -> Self {
        Self::new(Severity::Warning, summary.into())
    }

    /// With the reason.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// With the place (a `Span`, or an `Option` of one).
    #[must_use]
    pub fn span(mut self, span: impl Into<Option<Span>>) -> Self {
        self.span = span.into();
        self
    }

    /// With the place, where it has none yet: the nearest place known wins.
    #[must_use]
    pub fn or_span(mut self, span: impl Into<Option<Span>>) -> Self {
        self.span = self.span.or(span.into());
        self
    }

    /// With another place that has to do with it.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With `did you mean "x"?` where one of the candidates is near.
    #[must_use]
    pub fn did_you_mean<'a>(mut self, wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        if let Some(near) = suggest(wanted, candidates) {
            self.hint = Some(format!("did you mean \"{near}\"?"));
        }
        self
    }

    /// With the object that it is about.
    #[must_use]
    pub fn address(mut self, address: impl fmt::Display) -> Self {
        self.address = Some(address.to_string());
        self
    }

    /// Whether it is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// One line, for logs and tests: `render` is for people.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// What was found wrong, in the order found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Nothing found.
    #[must_use]
    pub const fn new() -> Self {
        Diagnostics(Vec::new())
    }

    /// One more.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Whether an error is among them.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(Diagnostic::is_error)
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are, warnings included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Each in turn.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// In the order of their places, file by file; those that have none come first.
    pub fn sort(&mut self) {
        self.0.sort_by_key(|d| d.span);
    }

    /// The value, or the errors. Warnings that go with a value are returned beside it.
    ///
    /// # Errors
    /// Where an error is among them: all of them, warnings included.
    pub fn into_result<T>(self, value: T) -> Result<(T, Diagnostics), Diagnostics> {
        if self.has_errors() { Err(self) } else { Ok((value, self)) }
    }

    /// Takes the value, or keeps the errors and gives `None`: for going on after an error.
    pub fn keep<T>(&mut self, result: Result<T, impl Into<Diagnostics>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(found) => {
                self.0.extend(found.into().0);
                None
            }
        }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Diagnostics(vec![diagnostic])
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, iter: I) {
        self.0.extend(iter);
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(iter: I) -> Self {
        Diagnostics(iter.into_iter().collect())
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// One line each.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
