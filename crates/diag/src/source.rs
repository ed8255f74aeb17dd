//! The texts that spans point into.

use std::sync::Arc;

/// Which source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(u32);

/// A piece of a source: byte offsets, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Which source.
    pub source: SourceId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// From byte offsets. Offsets beyond 4 GiB are clamped: no plan is that long.
    #[must_use]
    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        let clamp = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Span { source, start: clamp(start), end: clamp(end) }
    }

    /// From the start of this to the end of `other` (of the same source).
    #[must_use]
    pub fn to(self, other: Span) -> Self {
        Span { source: self.source, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A line and column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

/// A named text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// How people know it: a path relative to the root module, `<var.x>`.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<str>,
}

/// All texts that were read.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Sources(Vec::new())
    }

    /// Keeps a text; spans name it by what is returned.
    pub fn add(&mut self, name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> SourceId {
        let id = SourceId(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        self.0.push(Source { name: name.into(), text: text.into() });
        id
    }

    /// The text of an id; `None` for an id of other sources.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.0.get(id.0 as usize)
    }

    /// The text under a span, empty where the span is none of these sources'.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        self.get(span.source).and_then(|s| s.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }

    /// Where a span starts and ends.
    #[must_use]
    pub fn positions(&self, span: Span) -> Option<(Position, Position)> {
        let source = self.get(span.source)?;
        Some((source.position(span.start as usize), source.position(span.end as usize)))
    }
}

impl Source {
    /// The line and column of a byte; the end of the text for bytes beyond it.
    #[must_use]
    pub fn position(&self, byte: usize) -> Position {
        let mut end = byte.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Position {
            line: before.bytes().filter(|b| *b == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The byte range of a line (from 1), its newline excluded.
    #[must_use]
    pub fn line(&self, line: usize) -> &str {
        self.text.split('\n').nth(line.saturating_sub(1)).unwrap_or("").trim_end_matches('\r')
    }
}
