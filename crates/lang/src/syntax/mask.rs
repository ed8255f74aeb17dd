//! Comments blanked, templates made opaque: what `hcl_edit` sees of a text.
//!
//! Each byte stands for a byte, so that places hold. A template becomes a quoted string without anything special in it: different ones stay
//! different, because `hcl_edit` compares the keys of an object. After this no bracket, quote or newline is inside of a token.

use grappe_diag::Diagnostic;

use super::{Cx, MAX_DEPTH, ident_len};

/// After so many errors the rest of a text is not worth reading.
pub(super) const ENOUGH: usize = 50;

/// A masked text.
pub(super) struct Masked {
    /// As long as what it stands for.
    pub(super) text: String,
    /// What is wrong with tokens. What is broken became zeros.
    pub(super) errors: Vec<Diagnostic>,
    /// Whether the brace that ends an interpolation was found.
    pub(super) closed: bool,
}

/// From a place to the end of the text.
pub(super) fn mask(cx: Cx<'_>, start: usize) -> Masked {
    Scan::new(cx, start, false).run()
}

/// From the start of an interpolation to its closing brace, which is left out.
pub(super) fn interpolation(cx: Cx<'_>, start: usize) -> Masked {
    Scan::new(cx, start, true).run()
}

/// The word of a heredoc that starts here, and the length of its first line.
pub(super) fn heredoc_head(text: &str) -> Option<(&str, usize)> {
    let after = text.strip_prefix("<<")?;
    let after = after.strip_prefix('-').unwrap_or(after);
    let word = &after[..ident_len(after)];
    let rest = &after[word.len()..];
    let line_end = ["\n", "\r\n"].into_iter().find(|end| rest.starts_with(end))?;
    (!word.is_empty()).then(|| (word, text.len() - rest.len() + line_end.len()))
}

/// Whether the line ends the heredoc: how much of it belongs to it.
pub(super) fn heredoc_end(line: &str, word: &str) -> Option<usize> {
    let line = line.split('\n').next().unwrap_or("");
    (line.trim() == word).then(|| line.trim_end_matches('\r').len())
}

/// How long the number is that the text starts with.
pub(super) fn number_len(text: &str) -> usize {
    let digits = |from: usize| {
        let rest = &text[from..];
        rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())
    };
    let mut len = digits(0);
    if text[len..].starts_with('.') && digits(len + 1) > 0 {
        len += 1 + digits(len + 1);
    }
    if text[len..].starts_with(['e', 'E']) {
        let sign = usize::from(text[len + 1..].starts_with(['+', '-']));
        let exponent = digits(len + 1 + sign);
        len += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    len
}

#[derive(Clone, Copy)]
enum Open<'t> {
    Quoted(usize),
    Heredoc(&'t str),
    Interpolation(usize),
    Brace,
}

struct Scan<'t> {
    cx: Cx<'t>,
    start: usize,
    pos: usize,
    out: Vec<u8>,
    stack: Vec<Open<'t>>,
    /// The outermost template that is open: how many are open around it, and where it starts.
    outer: Option<(usize, usize)>,
    interpolation: bool,
    errors: Vec<Diagnostic>,
}

impl<'t> Scan<'t> {
    fn new(cx: Cx<'t>, start: usize, interpolation: bool) -> Self {
        let (out, stack, errors) = (Vec::new(), Vec::new(), Vec::new());
        Scan { cx, start, pos: start, out, stack, outer: None, interpolation, errors }
    }

    fn run(mut self) -> Masked {
        let mut closed = false;
        while self.pos < self.cx.text.len() && !closed {
            if self.stack.len() > MAX_DEPTH {
                self.errors.push(self.cx.too_deep(self.pos));
                let rest = self.rest().len();
                self.blank(rest);
                break;
            }
            match self.stack.last() {
                Some(&Open::Quoted(at)) => self.quoted(at),
                Some(&Open::Heredoc(word)) => self.heredoc(word),
                _ => closed = self.expression(),
            }
            if self.pos >= self.cx.text.len()
                && let Some((_, at)) = self.outer
            {
                self.unterminated(at);
            }
        }
        // Only ASCII was replaced, by ASCII: it is still UTF-8.
        let text = String::from_utf8_lossy(&self.out).into_owned();
        Masked { text, errors: self.errors, closed }
    }

    fn rest(&self) -> &'t str {
        self.cx.rest(self.pos)
    }

    /// Takes bytes as they are, or opaque inside of a template.
    fn put(&mut self, len: usize) {
        let bytes = &self.cx.text.as_bytes()[self.pos..(self.pos + len).min(self.cx.text.len())];
        let hidden = self.outer.is_some();
        self.out.extend(bytes.iter().map(|b| if hidden { hide(*b) } else { *b }));
        self.pos += bytes.len();
    }

    fn blank(&mut self, len: usize) {
        self.out.resize(self.out.len() + len, b' ');
        self.pos += len;
    }

    fn line_end(&self, at: usize) -> usize {
        self.cx.rest(at).find('\n').map_or(self.cx.text.len(), |i| at + i)
    }

    fn open(&mut self, what: Open<'t>, len: usize) {
        if self.outer.is_none() {
            self.outer = Some((self.stack.len(), self.pos));
        }
        self.stack.push(what);
        self.put(len);
    }

    /// The template on top ends here.
    fn close(&mut self) {
        self.stack.pop();
        if let Some((below, at)) = self.outer
            && below == self.stack.len()
        {
            self.outer = None;
            self.out[at - self.start] = b'"';
            // The word of a heredoc may end with any letter: all of its bytes go.
            while self.out.pop_if(|b| *b & 0xc0 == 0x80).is_some() {}
            self.out.pop();
            self.out.resize(self.pos - self.start - 1, b'_');
            self.out.push(b'"');
        }
    }

    /// What is open starts here but never ends: zeros up to a place, and on.
    fn give_up(&mut self, end: usize, error: Diagnostic) {
        self.errors.push(error);
        if let Some((below, at)) = self.outer.take() {
            self.stack.truncate(below);
            self.out.truncate(at - self.start);
            self.out.resize(end - self.start, b'0');
            self.pos = end;
        }
        if self.errors.len() > ENOUGH {
            let rest = self.rest().len();
            self.blank(rest);
        }
    }

    fn unterminated(&mut self, at: usize) {
        let end = self.line_end(at);
        let open = self.stack.iter().rev().find_map(|open| match open {
            Open::Interpolation(at) => Some(*at),
            _ => None,
        });
        let at_end = |detail| {
            Diagnostic::error("Unterminated template string").detail(detail).span(self.cx.span(at..end))
        };
        let (end, error) = match (open, heredoc_head(self.cx.rest(at))) {
            (Some(at), _) => (end, unclosed(self.cx, at)),
            // All that follows is in it.
            (None, Some((word, _))) => (
                self.cx.text.len(),
                at_end(format!(
                    "No line with \"{word}\" alone ends this heredoc before the end of the file."
                )),
            ),
            (None, None) => (end, at_end("No closing marker was found for the string.".to_owned())),
        };
        self.give_up(end, error);
    }

    /// `${`, `%{` and their escapes; whether there was one.
    fn special(&mut self) -> bool {
        let rest = self.rest();
        if rest.starts_with("${") || rest.starts_with("%{") {
            self.stack.push(Open::Interpolation(self.pos));
            self.put(2);
        } else if rest.starts_with("$${") || rest.starts_with("%%{") {
            self.put(3);
        } else {
            return false;
        }
        true
    }

    fn quoted(&mut self, at: usize) {
        let rest = self.rest();
        if rest.starts_with('"') {
            self.put(1);
            self.close();
        } else if rest.starts_with(['\n', '\r']) {
            let inside = self.stack.iter().any(|open| matches!(open, Open::Interpolation(_)));
            let error = if inside && self.pos == at + 1 {
                // More likely the end of the string around the interpolation.
                Diagnostic::error("Extra characters after interpolation expression")
                    .detail("Expected a closing brace to end the interpolation expression, but found extra characters.")
            } else {
                Diagnostic::error("Invalid multi-line string")
                .detail("Quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \\n escape to represent a newline character or use the \"heredoc\" multi-line template syntax.")
            };
            let error = error.span(self.cx.span(at..self.pos));
            match self.outer {
                // The heredoc around it goes on.
                Some((below, _)) if matches!(self.stack[below], Open::Heredoc(_)) => {
                    self.errors.push(error);
                    self.stack.truncate(below + 1);
                }
                _ => self.give_up(self.pos, error),
            }
        } else if !self.special() {
            let escaped = rest.starts_with('\\') && !rest[1..].starts_with(['\n', '\r']);
            self.put(1 + usize::from(escaped));
        }
    }

    fn heredoc(&mut self, word: &str) {
        if self.cx.text.as_bytes()[self.pos - 1] == b'\n'
            && let Some(len) = heredoc_end(self.rest(), word)
        {
            self.put(len);
            self.close();
        } else if !self.special() {
            self.put(1);
        }
    }

    /// One token; whether the interpolation ended.
    fn expression(&mut self) -> bool {
        let rest = self.rest();
        if let Some((word, len)) = heredoc_head(rest) {
            self.open(Open::Heredoc(word), len);
            return false;
        }
        match rest.as_bytes()[0] {
            b'"' => self.open(Open::Quoted(self.pos), 1),
            b'#' => self.blank(rest.find('\n').unwrap_or(rest.len())),
            b'/' if rest.starts_with("//") => self.blank(rest.find('\n').unwrap_or(rest.len())),
            b'/' if rest.starts_with("/*") => match rest[2..].find("*/") {
                Some(end) => self.blank(end + 4),
                None => {
                    let span = self.cx.span(self.pos..self.pos + 2);
                    let error = Diagnostic::error("Unterminated comment")
                        .detail("There is no \"*/\" that ends this comment.");
                    self.errors.push(error.span(span));
                    self.blank(rest.len());
                }
            },
            b'\r' if rest.starts_with("\r\n") => self.blank(1),
            b'{' if self.interpolation || !self.stack.is_empty() => {
                self.stack.push(Open::Brace);
                self.put(1);
            }
            b'}' if self.interpolation && self.stack.is_empty() => return true,
            b'}' => {
                self.put(1);
                self.stack.pop();
            }
            b'0'..=b'9' => {
                let (from, len) = (self.out.len(), number_len(rest));
                self.put(len);
                // An exponent may be too much for a float: the value is read from the text.
                if rest[..len].contains(['e', 'E']) {
                    self.out[from..]
                        .iter_mut()
                        .filter(|b| !b.is_ascii_digit() && **b != b'.')
                        .for_each(|b| *b = b'0');
                }
            }
            _ => self.put(ident_len(rest).max(rest.chars().next().map_or(1, char::len_utf8))),
        }
        false
    }
}

pub(super) fn unclosed(cx: Cx<'_>, at: usize) -> Diagnostic {
    Diagnostic::error("Unclosed template interpolation sequence")
        .detail("There is no closing brace for this interpolation sequence before the end of the file. This might be caused by incorrect nesting inside the given expression.")
        .span(cx.span(at..at + 2))
}

/// An opaque byte for each that means something in a string, or to who counts brackets.
fn hide(byte: u8) -> u8 {
    match byte {
        b'\n' => 0x10,
        b'\r' => 0x11,
        b'"' => 0x12,
        b'\\' => 0x13,
        b'$' => 0x14,
        b'%' => 0x15,
        b'{' => 0x16,
        b'}' => 0x17,
        b'[' => 0x18,
        b']' => 0x19,
        b'(' => 0x1a,
        b')' => 0x1b,
        other => other,
    }
}
