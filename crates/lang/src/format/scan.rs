//! Text to tokens, with templates opened up: `"a${b}"` is a quote, a literal, an interpolation's begin, a name, its end, and a quote.

use std::borrow::Cow;

use crate::syntax::ident_len;

/// What a token is, as far as the layout tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ident,
    Number,
    /// `(`, `[` or `{`.
    Open(u8),
    /// `)`, `]` or `}`.
    Close(u8),
    Quote,
    Unquote,
    /// `<<WORD` with the line end behind it.
    Heredoc,
    /// The word that ends it, with the space before it.
    Unheredoc,
    /// What stands in a template as it is.
    Literal,
    /// `${`, `%{` (with `~`).
    Sequence,
    /// The `}` (or `~}`) of it.
    Unsequence,
    Dot,
    DoubleColon,
    Comma,
    Ellipsis,
    Equal,
    Colon,
    Question,
    Bang,
    Minus,
    /// `+ * / %`, comparisons, `&&` and `||`.
    Operator,
    /// `=>`, and what is no token of the language.
    Other,
    /// A comment; one to the end of the line has the line end too.
    Comment,
    Newline,
}

/// A piece of the file.
#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    pub(super) text: Cow<'t, str>,
    /// How much space is before it.
    pub(super) spaces: usize,
}

impl<'t> Token<'t> {
    pub(super) fn new(kind: Kind, text: impl Into<Cow<'t, str>>) -> Self {
        Token { kind, text: text.into(), spaces: 0 }
    }

    /// Whether it ends its line.
    pub(super) fn ends_line(&self) -> bool {
        match self.kind {
            Kind::Newline => true,
            Kind::Comment => self.text.ends_with('\n'),
            _ => false,
        }
    }
}

/// What the scanner is in.
enum Within {
    /// Braces, that many open; of a sequence (the number is of those inside it) or of the file.
    Code {
        braces: usize,
        sequence: bool,
    },
    Quoted,
    /// With its word, and whether a line begins here.
    Heredoc {
        word: String,
        fresh: bool,
    },
}

/// Cuts a file that can be parsed into tokens. Gives also how much space is left behind the last one.
pub(super) fn scan(text: &str) -> (Vec<Token<'_>>, usize) {
    let (scanner, _) = scan_to_the_end(text);
    let left = scanner.pos - scanner.last;
    (scanner.tokens, left)
}

/// Whether something that may take several lines is open at the end.
pub(super) fn unfinished(text: &str) -> bool {
    let (scanner, stack) = scan_to_the_end(text);
    let open = scanner.tokens.iter().fold(0isize, |open, token| match token.kind {
        Kind::Open(_) => open + 1,
        Kind::Close(_) => open - 1,
        _ => open,
    });
    let within = |part: &Within| matches!(part, Within::Heredoc { .. } | Within::Code { sequence: true, .. });
    // A quote that is open stays so: texts in quotes take one line.
    !matches!(stack.last(), Some(Within::Quoted)) && (open > 0 || stack.iter().any(within))
}

fn scan_to_the_end(text: &str) -> (Scanner<'_>, Vec<Within>) {
    let mut scanner = Scanner { text, pos: 0, last: 0, tokens: Vec::new() };
    let mut stack = vec![Within::Code { braces: 0, sequence: false }];
    while scanner.pos < text.len() {
        // The file itself is never left: it has no end but the text's.
        let Some(within) = stack.last_mut() else { break };
        let next = match within {
            Within::Code { braces, sequence } => scanner.code(braces, *sequence),
            Within::Quoted => scanner.quoted(),
            Within::Heredoc { word, fresh } => scanner.heredoc(word, fresh),
        };
        match next {
            Next::Same => {}
            Next::Enter(inner) => stack.push(inner),
            Next::Leave => drop(stack.pop()),
        }
    }
    (scanner, stack)
}

enum Next {
    Same,
    Enter(Within),
    Leave,
}

struct Scanner<'t> {
    text: &'t str,
    pos: usize,
    /// Where the last token ended.
    last: usize,
    tokens: Vec<Token<'t>>,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.pos..]
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let end = self.pos + length;
        let token = Token { kind, text: self.text[self.pos..end].into(), spaces: self.pos - self.last };
        self.tokens.push(token);
        (self.pos, self.last) = (end, end);
    }

    /// `${`, `%{` and what strips space.
    fn sequence(&mut self) -> Next {
        self.push(Kind::Sequence, 2 + usize::from(self.rest()[2..].starts_with('~')));
        Next::Enter(Within::Code { braces: 0, sequence: true })
    }

    fn code(&mut self, braces: &mut usize, sequence: bool) -> Next {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
        let name = ident_len(rest);
        let (kind, length) = match (at(0), at(1)) {
            (b' ' | b'\t', _) => {
                self.pos += 1;
                return Next::Same;
            }
            (b'\n', _) => (Kind::Newline, 1),
            (b'\r', b'\n') => (Kind::Newline, 2),
            (b'#', _) | (b'/', b'/') => (Kind::Comment, rest.find('\n').map_or(rest.len(), |i| i + 1)),
            (b'/', b'*') => (Kind::Comment, rest.find("*/").map_or(rest.len(), |i| i + 2)),
            (b'0'..=b'9', _) => (Kind::Number, number_len(bytes)),
            _ if name > 0 => (Kind::Ident, name),
            (b'"', _) => {
                self.push(Kind::Quote, 1);
                return Next::Enter(Within::Quoted);
            }
            (b'<', b'<') if heredoc_word(rest).is_some() => {
                let (word, length) = heredoc_word(rest).unwrap_or_default();
                self.push(Kind::Heredoc, length);
                return Next::Enter(Within::Heredoc { word: word.to_owned(), fresh: true });
            }
            (b'~', b'}') if sequence => {
                self.push(Kind::Unsequence, 2);
                return Next::Leave;
            }
            (b'}', _) if sequence && *braces == 0 => {
                self.push(Kind::Unsequence, 1);
                return Next::Leave;
            }
            (open @ (b'(' | b'[' | b'{'), _) => {
                *braces += usize::from(open == b'{');
                (Kind::Open(open), 1)
            }
            (close @ (b')' | b']' | b'}'), _) => {
                *braces = braces.saturating_sub(usize::from(close == b'}'));
                (Kind::Close(close), 1)
            }
            (b'=' | b'!' | b'>' | b'<', b'=') | (b'&', b'&') | (b'|', b'|') => (Kind::Operator, 2),
            (b'=', b'>') => (Kind::Other, 2),
            (b':', b':') => (Kind::DoubleColon, 2),
            (b'.', b'.') if at(2) == b'.' => (Kind::Ellipsis, 3),
            (b'.', _) => (Kind::Dot, 1),
            (b',', _) => (Kind::Comma, 1),
            (b'=', _) => (Kind::Equal, 1),
            (b':', _) => (Kind::Colon, 1),
            (b'?', _) => (Kind::Question, 1),
            (b'!', _) => (Kind::Bang, 1),
            (b'-', _) => (Kind::Minus, 1),
            (b'+' | b'*' | b'/' | b'%' | b'<' | b'>', _) => (Kind::Operator, 1),
            _ => (Kind::Other, rest.chars().next().map_or(1, char::len_utf8)),
        };
        self.push(kind, length);
        Next::Same
    }

    fn quoted(&mut self) -> Next {
        let rest = self.rest();
        if rest.starts_with('"') {
            self.push(Kind::Unquote, 1);
            return Next::Leave;
        }
        match literal_len(rest, true) {
            0 => self.sequence(),
            length => {
                self.push(Kind::Literal, length);
                Next::Same
            }
        }
    }

    fn heredoc(&mut self, word: &str, fresh: &mut bool) -> Next {
        let rest = self.rest();
        let line = rest.find('\n').map_or(rest.len(), |i| i + 1);
        if *fresh && rest[..line].trim() == word {
            // The line end is a token of its own.
            let end = rest[..line].trim_end_matches(['\r', '\n']).len();
            self.push(Kind::Unheredoc, end);
            return Next::Leave;
        }
        match literal_len(&rest[..line], false) {
            0 => {
                *fresh = false;
                self.sequence()
            }
            length => {
                *fresh = length == line;
                self.push(Kind::Literal, length);
                Next::Same
            }
        }
    }
}

/// How long the literal is that a template goes on with: to a sequence, or to the closing quote.
fn literal_len(text: &str, quoted: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'$' | b'%' if bytes.get(at + 1) == Some(byte) && bytes.get(at + 2) == Some(&b'{') => 3,
            b'$' | b'%' if bytes.get(at + 1) == Some(&b'{') => return at,
            b'\\' if quoted => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
            b'"' if quoted => return at,
            _ => 1,
        };
    }
    at.min(text.len())
}

/// Digits, points and exponents, ending in a digit or an exponent's.
fn number_len(bytes: &[u8]) -> usize {
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let (mut at, mut end) = (1, 1);
    loop {
        match bytes.get(at) {
            Some(b'0'..=b'9') => {
                at += 1;
                end = at;
            }
            Some(b'.') => at += 1,
            Some(b'e' | b'E') => {
                let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
                if !digit(at + 1 + sign) {
                    return end;
                }
                at += 2 + sign;
                end = at;
            }
            _ => return end,
        }
    }
}

/// The word of `<<WORD` or `<<-WORD`, and how long that is with the line end.
fn heredoc_word(text: &str) -> Option<(&str, usize)> {
    let after = text.strip_prefix("<<")?;
    let after = after.strip_prefix('-').unwrap_or(after);
    let word = &after[..ident_len(after)];
    let end = &after[word.len()..];
    let end_len = if end.starts_with("\r\n") { 2 } else { usize::from(end.starts_with('\n')) };
    (!word.is_empty() && end_len > 0).then(|| (word, text.len() - end.len() + end_len))
}
