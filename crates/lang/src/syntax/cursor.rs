//! The parser's state: where it is in the text, and what white space it may skip.

use grappe_diag::{Diagnostic, Diagnostics, SourceId, Span};

use super::{Ident, MAX_DEPTH};

/// What a part that can't go on returns; boxed, because it is rare and large.
pub(super) type Parsed<T> = Result<T, Box<Diagnostic>>;

/// A parser over one text.
pub(crate) struct Parser<'t> {
    source: SourceId,
    text: &'t str,
    pub(super) pos: usize,
    /// Whether a newline is white space: inside brackets, and `${ }`.
    pub(super) newlines: bool,
    depth: usize,
    diags: Diagnostics,
}

impl<'t> Parser<'t> {
    pub(crate) fn new(source: SourceId, text: &'t str) -> Self {
        Parser { source, text, pos: 0, newlines: false, depth: 0, diags: Diagnostics::new() }
    }

    pub(super) fn into_diagnostics(self) -> Diagnostics {
        self.diags
    }

    pub(super) fn take_diagnostics(&mut self) -> Diagnostics {
        std::mem::take(&mut self.diags)
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diags.push(diagnostic);
    }

    /// Whether so much is wrong that the rest of the file is not worth reading. Says so, once.
    pub(super) fn too_many(&mut self) -> bool {
        const ENOUGH: usize = 50;
        if self.diags.len() == ENOUGH {
            self.diags.push(
                Diagnostic::error("Too many errors")
                    .detail("The rest of the file is not looked at.")
                    .span(self.span_here()),
            );
        }
        self.diags.len() > ENOUGH
    }

    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.pos..]
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn at(&self, what: &str) -> bool {
        self.rest().starts_with(what)
    }

    pub(super) fn at_end(&self) -> bool {
        self.pos >= self.text.len()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    /// Takes a piece of text if it stands here.
    pub(super) fn eat(&mut self, what: &str) -> bool {
        let found = self.at(what);
        if found {
            self.pos += what.len();
        }
        found
    }

    pub(super) fn span_from(&self, start: usize) -> Span {
        Span::new(self.source, start, self.pos.max(start))
    }

    /// The place of the character here (or of the end of the text).
    pub(super) fn span_here(&self) -> Span {
        Span::new(self.source, self.pos, self.pos + self.peek().map_or(0, char::len_utf8))
    }

    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.source, start, end)
    }

    /// Skips spaces and comments, and newlines where they are white space.
    pub(super) fn skip(&mut self) {
        loop {
            let rest = self.rest();
            match rest.as_bytes().first() {
                Some(b' ' | b'\t') => self.pos += 1,
                Some(b'\n') if self.newlines => self.pos += 1,
                Some(b'\r') if self.newlines && rest.starts_with("\r\n") => self.pos += 2,
                Some(b'#') => self.skip_line(),
                Some(b'/') if rest.starts_with("//") => self.skip_line(),
                Some(b'/') if rest.starts_with("/*") => match rest[2..].find("*/") {
                    Some(end) => self.pos += end + 4,
                    None => return,
                },
                _ => return,
            }
        }
    }

    /// To the end of the line; the newline stays.
    fn skip_line(&mut self) {
        let rest = self.rest();
        let end = rest.find('\n').unwrap_or(rest.len());
        self.pos += if rest[..end].ends_with('\r') { end - 1 } else { end };
    }

    /// Skips white space, newlines and comments.
    pub(super) fn skip_lines(&mut self) {
        let before = std::mem::replace(&mut self.newlines, true);
        self.skip();
        self.newlines = before;
    }

    pub(super) fn at_newline(&self) -> bool {
        self.at("\n") || self.at("\r\n")
    }

    /// One level deeper, with newlines as said.
    pub(super) fn nested<T>(&mut self, newlines: bool, f: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let depth = self.depth;
        self.deepen()?;
        let before = std::mem::replace(&mut self.newlines, newlines);
        let result = f(self);
        self.newlines = before;
        self.depth = depth;
        result
    }

    /// One level deeper, until [`Parser::rise`] or the end of what [`Parser::nested`] runs.
    pub(super) fn deepen(&mut self) -> Parsed<()> {
        if self.depth >= MAX_DEPTH {
            return Err(Box::new(
                Diagnostic::error("Nested too deeply")
                    .detail(format!(
                        "Blocks, brackets and templates can nest {MAX_DEPTH} levels deep at most."
                    ))
                    .hint("give the inner parts names with locals")
                    .span(self.span_here()),
            ));
        }
        self.depth += 1;
        Ok(())
    }

    pub(super) fn rise(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    pub(super) fn at_ident(&self) -> bool {
        self.peek().is_some_and(is_ident_start)
    }

    /// A name, if one stands here.
    pub(super) fn ident(&mut self) -> Option<Ident> {
        let start = self.pos;
        if !self.at_ident() {
            return None;
        }
        let rest = self.rest();
        let end =
            rest.find(|c: char| !is_ident_start(c) && !c.is_numeric() && c != '-').unwrap_or(rest.len());
        self.pos += end;
        Some(Ident { name: rest[..end].into(), span: self.span_from(start) })
    }

    /// Whether this word stands here, and ends here.
    pub(super) fn at_word(&self, word: &str) -> bool {
        self.at(word)
            && !self.rest()[word.len()..]
                .starts_with(|c: char| is_ident_start(c) || c.is_numeric() || c == '-')
    }

    pub(super) fn error<T>(&self, summary: &str, detail: impl Into<String>) -> Parsed<T> {
        self.error_at(summary, detail, self.span_here())
    }

    pub(super) fn error_at<T>(&self, summary: &str, detail: impl Into<String>, span: Span) -> Parsed<T> {
        Err(Box::new(Diagnostic::error(summary).detail(detail).span(span)))
    }
}

fn is_ident_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}
