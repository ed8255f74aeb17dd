//! Words: quotes, parameters, substitutions, arithmetic.

use super::super::ast::*;
use super::{Parsed, Parser, ends_word, is_name};

impl Parser {
    pub(super) fn word(&mut self) -> Parsed<Word> {
        self.word_with(false)
    }

    /// A word up to a blank or operator. In assignments a `~` also counts after `:`.
    pub(super) fn word_with(&mut self, assignment: bool) -> Parsed<Word> {
        self.deeper(|p| p.word_until(assignment, ends_word))
    }

    pub(super) fn word_until(&mut self, assignment: bool, end: impl Fn(char) -> bool) -> Parsed<Word> {
        let mut parts: Vec<Part> = Vec::new();
        let mut literal = String::new();
        while let Some(c) = self.peek() {
            if end(c) {
                break;
            }
            let flush = |parts: &mut Vec<Part>, literal: &mut String| {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(literal)));
                }
            };
            let tilde_place =
                (parts.is_empty() && literal.is_empty()) || (assignment && literal.ends_with(':'));
            match c {
                '~' if tilde_place => {
                    flush(&mut parts, &mut literal);
                    self.next();
                    let user: String = self.chars[self.at..]
                        .iter()
                        .copied()
                        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
                        .collect();
                    self.skip(&user);
                    match self.peek() {
                        None | Some('/' | ':') => parts.push(Part::Tilde(user)),
                        Some(c) if end(c) => parts.push(Part::Tilde(user)),
                        Some(_) => literal.push_str(&format!("~{user}")),
                    }
                }
                '\\' => {
                    self.next();
                    match self.next() {
                        Some('\n') => {}
                        Some(c) => {
                            flush(&mut parts, &mut literal);
                            parts.push(Part::Quoted(c.to_string()));
                        }
                        None => literal.push('\\'),
                    }
                }
                '\'' => {
                    flush(&mut parts, &mut literal);
                    self.next();
                    parts.push(Part::Quoted(self.single()?));
                }
                '"' => {
                    flush(&mut parts, &mut literal);
                    self.next();
                    let inner = self.deeper(|p| p.double_parts(Some('"')))?;
                    parts.push(Part::Double(inner));
                }
                '$' if self.bash && self.peek_at(1) == Some('\'') => {
                    flush(&mut parts, &mut literal);
                    self.skip("$'");
                    parts.push(Part::Quoted(self.dollar_single()?));
                }
                '$' | '`' => match self.dollar()? {
                    Some(part) => {
                        flush(&mut parts, &mut literal);
                        parts.push(part);
                    }
                    None => literal.push('$'),
                },
                c => {
                    literal.push(c);
                    self.next();
                }
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Word(parts))
    }

    fn single(&mut self) -> Parsed<String> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some('\'') => return Ok(text),
                Some(c) => text.push(c),
                None => return self.error("Unterminated quoted string"),
            }
        }
    }

    fn dollar_single(&mut self) -> Parsed<String> {
        let mut raw = String::new();
        loop {
            match self.next() {
                Some('\'') => break,
                Some('\\') => {
                    raw.push('\\');
                    raw.extend(self.next());
                }
                Some(c) => raw.push(c),
                None => return self.error("Unterminated quoted string"),
            }
        }
        Ok(crate::shell::escape::unescape(&raw, true).0)
    }

    /// The inside of double quotes up to `end`, or to the end of the text.
    pub(super) fn double_parts(&mut self, end: Option<char>) -> Parsed<Vec<Part>> {
        let mut parts = Vec::new();
        let mut text = String::new();
        loop {
            match self.peek() {
                None if end.is_none() => break,
                None => return self.error("Unterminated quoted string"),
                Some(c) if Some(c) == end => {
                    self.next();
                    break;
                }
                Some('\\') => {
                    self.next();
                    match self.peek() {
                        Some('\n') => {
                            self.next();
                        }
                        Some(c @ ('$' | '`' | '\\')) => {
                            text.push(c);
                            self.next();
                        }
                        Some('"') if end.is_some() => {
                            text.push('"');
                            self.next();
                        }
                        _ => text.push('\\'),
                    }
                }
                Some('$' | '`') => match self.dollar_in(true)? {
                    Some(part) => {
                        if !text.is_empty() {
                            parts.push(Part::Quoted(std::mem::take(&mut text)));
                        }
                        parts.push(part);
                    }
                    None => text.push('$'),
                },
                Some(c) => {
                    text.push(c);
                    self.next();
                }
            }
        }
        if !text.is_empty() {
            parts.push(Part::Quoted(text));
        }
        Ok(parts)
    }

    fn dollar(&mut self) -> Parsed<Option<Part>> {
        self.dollar_in(false)
    }

    /// What a `$` or backquote starts; none for a `$` that stands for itself.
    fn dollar_in(&mut self, quoted: bool) -> Parsed<Option<Part>> {
        if self.peek() == Some('`') {
            self.next();
            return self.backquote(quoted).map(Some);
        }
        self.next();
        let plain = |name: String| {
            Ok(Some(Part::Parameter(Box::new(Parameter { name, length: false, operator: None }))))
        };
        match self.peek() {
            Some('(') if self.peek_at(1) == Some('(') => {
                let (at, line) = (self.at, self.line);
                self.next();
                self.next();
                let failed = match self.deeper(Self::arithmetic) {
                    Ok(part) => return Ok(Some(part)),
                    Err(e) => e,
                };
                // `$((` may also open a subshell in a substitution; each such retry reads the text again, so they are counted.
                if self.retries.get() == 0 {
                    return Err(failed);
                }
                self.retries.set(self.retries.get() - 1);
                (self.at, self.line) = (at, line);
                self.next();
                self.substitution().map(Some)
            }
            Some('(') => {
                self.next();
                self.substitution().map(Some)
            }
            Some('{') => {
                self.next();
                self.deeper(|p| p.braces(quoted)).map(Some)
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.next();
                }
                plain(name)
            }
            Some(c @ ('0'..='9' | '@' | '*' | '#' | '?' | '-' | '$' | '!')) => {
                self.next();
                plain(c.to_string())
            }
            _ => Ok(None),
        }
    }

    fn substitution(&mut self) -> Parsed<Part> {
        self.deeper(|p| {
            let outer = std::mem::take(&mut p.pending);
            let list = p.list(&[")"])?;
            if p.next() != Some(')') {
                return p.error("end of file unexpected (expecting \")\")");
            }
            p.pending = outer;
            Ok(Part::Command(Box::new(list)))
        })
    }

    fn backquote(&mut self, quoted: bool) -> Parsed<Part> {
        let line = self.line;
        let mut text = String::new();
        loop {
            match self.next() {
                None => return self.error("EOF in backquote substitution"),
                Some('`') => break,
                Some('\\') => match self.peek() {
                    Some(c @ ('\\' | '`' | '$')) => {
                        text.push(c);
                        self.next();
                    }
                    Some('"') if quoted => {
                        text.push('"');
                        self.next();
                    }
                    _ => text.push('\\'),
                },
                Some(c) => text.push(c),
            }
        }
        self.deeper(|p| {
            let mut inner = Parser::new(&text, line, p.depth, p.bash, p.retries.clone());
            let list = inner.list(&[])?;
            match inner.peek() {
                Some(c) => Err(inner.unexpected_char(c)),
                None => Ok(Part::Command(Box::new(list))),
            }
        })
    }

    fn arithmetic(&mut self) -> Parsed<Part> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut open = 0;
        loop {
            match self.peek() {
                None => return self.error("end of file unexpected (expecting \"))\")"),
                Some(')') if open == 0 => {
                    if self.peek_at(1) != Some(')') {
                        return self.error("expecting \"))\"");
                    }
                    self.next();
                    self.next();
                    break;
                }
                Some(c @ ('(' | ')')) => {
                    open += if c == '(' { 1 } else { -1 };
                    text.push(c);
                    self.next();
                }
                Some('$' | '`') => match self.dollar_in(true)? {
                    Some(part) => {
                        parts.push(Part::Quoted(std::mem::take(&mut text)));
                        parts.push(part);
                    }
                    None => text.push('$'),
                },
                Some(c) => {
                    text.push(c);
                    self.next();
                }
            }
        }
        parts.push(Part::Quoted(text));
        Ok(Part::Arithmetic(Word(parts)))
    }

    fn braces(&mut self, quoted: bool) -> Parsed<Part> {
        let bad = |p: &Self| p.error("Bad substitution");
        let mut length = false;
        if self.peek() == Some('#')
            && !matches!(self.peek_at(1), Some('}' | ':' | '-' | '+' | '=' | '?' | '%'))
        {
            self.next();
            length = true;
        }
        let mut name = String::new();
        match self.peek() {
            Some(c @ ('@' | '*' | '#' | '?' | '-' | '$' | '!')) => {
                name.push(c);
                self.next();
            }
            _ => {
                while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                    self.next();
                }
            }
        }
        if name.is_empty() || (!is_name(&name) && name.len() > 1 && !name.chars().all(|c| c.is_ascii_digit()))
        {
            return bad(self);
        }
        if self.peek() == Some('}') {
            self.next();
            return Ok(Part::Parameter(Box::new(Parameter { name, length, operator: None })));
        }
        if length {
            return bad(self);
        }
        let colon = self.skip(":");
        let operator = match self.peek() {
            Some('-') => Operator::Default { colon },
            Some('=') => Operator::Assign { colon },
            Some('?') => Operator::Error { colon },
            Some('+') => Operator::Alternative { colon },
            Some('%') if !colon => Operator::Suffix { longest: self.peek_at(1) == Some('%') },
            Some('#') if !colon => Operator::Prefix { longest: self.peek_at(1) == Some('#') },
            Some('/') if !colon && self.bash => Operator::Replace { all: self.peek_at(1) == Some('/') },
            Some('^') if !colon && self.bash => Operator::Case { upper: true },
            Some(',') if !colon && self.bash => Operator::Case { upper: false },
            Some(_) if colon && self.bash => {
                let word = self.brace_word(quoted)?;
                let operator = Some((Operator::Slice, word));
                return Ok(Part::Parameter(Box::new(Parameter { name, length, operator })));
            }
            _ => return bad(self),
        };
        self.next();
        match operator {
            Operator::Prefix { longest: true }
            | Operator::Suffix { longest: true }
            | Operator::Replace { all: true } => {
                self.next();
            }
            Operator::Case { .. } => {
                if matches!(self.peek(), Some('^' | ',')) {
                    self.next();
                }
            }
            _ => {}
        }
        // A pattern is read as unquoted text even inside double quotes.
        let pattern =
            matches!(operator, Operator::Prefix { .. } | Operator::Suffix { .. } | Operator::Replace { .. });
        let word = self.brace_word(quoted && !pattern)?;
        Ok(Part::Parameter(Box::new(Parameter { name, length, operator: Some((operator, word)) })))
    }

    fn brace_word(&mut self, quoted: bool) -> Parsed<Word> {
        let word = if quoted { Word(self.brace_double()?) } else { self.word_until(false, |c| c == '}')? };
        if self.next() != Some('}') {
            return self.error("Missing '}'");
        }
        Ok(word)
    }

    /// The word of `"${x:-word}"`: as in double quotes, where inner quotes toggle.
    fn brace_double(&mut self) -> Parsed<Vec<Part>> {
        let mut parts = Vec::new();
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return self.error("Missing '}'"),
                Some('}') => break,
                Some('"') => {
                    self.next();
                    if !text.is_empty() {
                        parts.push(Part::Quoted(std::mem::take(&mut text)));
                    }
                    let inner = self.deeper(|p| p.double_parts(Some('"')))?;
                    parts.push(Part::Double(inner));
                }
                Some('\\') => {
                    self.next();
                    match self.peek() {
                        Some('\n') => {
                            self.next();
                        }
                        Some(c @ ('$' | '`' | '\\' | '"' | '}')) => {
                            text.push(c);
                            self.next();
                        }
                        _ => text.push('\\'),
                    }
                }
                Some('$' | '`') => match self.dollar_in(true)? {
                    Some(part) => {
                        if !text.is_empty() {
                            parts.push(Part::Quoted(std::mem::take(&mut text)));
                        }
                        parts.push(part);
                    }
                    None => text.push('$'),
                },
                Some(c) => {
                    text.push(c);
                    self.next();
                }
            }
        }
        if !text.is_empty() {
            parts.push(Part::Quoted(text));
        }
        Ok(parts)
    }
}
