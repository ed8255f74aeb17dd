//! From text to [`ast`](super::ast): POSIX sh as dash reads it, with the few bash forms that scripts over SSH use (Debian's login shell
//! is bash): `[[ ]]`, `<<<`, `&>`, `$'…'`, `function`.
//!
//! Recursive descent straight over characters, because in sh what a character means depends on where it stands. Depth is bounded, so
//! that no text can exhaust the stack.

mod compound;
mod redirect;
mod word;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::ast::*;

/// A syntax error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: Syntax error: {message}")]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: usize,
    /// In dash's words.
    pub message: String,
}

type Parsed<T> = Result<T, SyntaxError>;

/// How deep commands and words may nest.
const DEPTH: usize = 60;

const RESERVED: &[&str] = &[
    "if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "{", "}", "!",
    "in",
];

struct Pending {
    body: Rc<RefCell<Word>>,
    delimiter: String,
    strip: bool,
    quoted: bool,
}

/// Parses a whole script.
///
/// # Errors
/// The first syntax error.
pub fn parse(text: &str, bash: bool) -> Parsed<List> {
    let retries = Rc::new(Cell::new(16));
    let mut parser = Parser::new(text, 1, 0, bash, retries);
    let list = parser.list(&[])?;
    if let Some(c) = parser.peek() {
        return Err(parser.unexpected_char(c));
    }
    Ok(list)
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    line: usize,
    pending: Vec<Pending>,
    depth: usize,
    bash: bool,
    retries: Rc<Cell<u32>>,
}

impl Parser {
    fn new(text: &str, line: usize, depth: usize, bash: bool, retries: Rc<Cell<u32>>) -> Self {
        Self { chars: text.chars().collect(), at: 0, line, pending: Vec::new(), depth, bash, retries }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn peek_at(&self, n: usize) -> Option<char> {
        self.chars.get(self.at + n).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn looking_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(n, c)| self.peek_at(n) == Some(c))
    }

    fn skip(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            for _ in text.chars() {
                self.next();
            }
        }
        found
    }

    fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(SyntaxError { line: self.line, message: message.into() })
    }

    fn unexpected_char(&self, c: char) -> SyntaxError {
        let what = match c {
            '\n' => "newline unexpected".to_owned(),
            ';' if self.peek_at(1) == Some(';') => "\";;\" unexpected".to_owned(),
            '&' if self.peek_at(1) == Some('&') => "\"&&\" unexpected".to_owned(),
            '|' if self.peek_at(1) == Some('|') => "\"||\" unexpected".to_owned(),
            c => format!("\"{c}\" unexpected"),
        };
        SyntaxError { line: self.line, message: what }
    }

    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH {
            return self.error("nested too deep (simulated host)");
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    /// Skips blanks, line continuations and comments, not newlines.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => {
                    self.next();
                }
                Some('\\') if self.peek_at(1) == Some('\n') => {
                    self.next();
                    self.next();
                }
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.next();
                    }
                }
                _ => return,
            }
        }
    }

    /// Takes a newline and the here-documents that start after it.
    fn newline(&mut self) -> Parsed<bool> {
        if self.peek() != Some('\n') {
            return Ok(false);
        }
        self.next();
        for pending in std::mem::take(&mut self.pending) {
            self.here_body(&pending)?;
        }
        Ok(true)
    }

    fn linebreak(&mut self) -> Parsed<()> {
        loop {
            self.blanks();
            if !self.newline()? {
                return Ok(());
            }
        }
    }

    fn here_body(&mut self, pending: &Pending) -> Parsed<()> {
        let start = self.line;
        let mut body = String::new();
        while self.peek().is_some() {
            let mut line = String::new();
            while let Some(c) = self.next() {
                line.push(c);
                if c == '\n' {
                    break;
                }
                if c == '\\' && !pending.quoted && self.peek() == Some('\n') {
                    // A continued line cannot be the delimiter.
                    line.extend(self.next());
                }
            }
            if pending.strip {
                line = line.trim_start_matches('\t').to_owned();
            }
            if line.trim_end_matches('\n') == pending.delimiter {
                break;
            }
            body.push_str(&line);
        }
        *pending.body.borrow_mut() = if pending.quoted {
            Word(vec![Part::Quoted(body)])
        } else {
            let depth = self.depth + 1;
            Word(Parser::new(&body, start, depth, self.bash, self.retries.clone()).double_parts(None)?)
        };
        Ok(())
    }

    /// Commands up to one of the reserved words or closing characters of `until`, or the end.
    fn list(&mut self, until: &[&str]) -> Parsed<List> {
        let mut items = Vec::new();
        loop {
            self.linebreak()?;
            if self.ends_list(until) {
                return Ok(List(items));
            }
            let mut item = self.and_or()?;
            self.blanks();
            match self.peek() {
                Some('&') if self.peek_at(1) != Some('&') => {
                    self.next();
                    item.background = true;
                }
                Some(';') if self.peek_at(1) != Some(';') => {
                    self.next();
                }
                Some('\n') => {}
                None => {}
                Some(_) if self.ends_list(until) => {}
                Some(c) => return Err(self.unexpected(c)),
            }
            items.push(item);
        }
    }

    fn unexpected(&self, c: char) -> SyntaxError {
        let word = self.bare_word();
        if RESERVED.contains(&word.as_str()) {
            return SyntaxError { line: self.line, message: format!("\"{word}\" unexpected") };
        }
        match c {
            ';' | '&' | '|' | '(' | ')' | '<' | '>' | '\n' => self.unexpected_char(c),
            _ => SyntaxError { line: self.line, message: "word unexpected".to_owned() },
        }
    }

    fn ends_list(&self, until: &[&str]) -> bool {
        match self.peek() {
            None => true,
            Some(')') => until.contains(&")"),
            Some(';') if self.peek_at(1) == Some(';') => until.contains(&";;"),
            Some('`') => until.contains(&"`"),
            _ => {
                let word = self.bare_word();
                !word.is_empty() && until.contains(&word.as_str())
            }
        }
    }

    /// The word at this place if it has no quotes or expansions.
    fn bare_word(&self) -> String {
        let end = |c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '<' | '>');
        let word: String = self.chars[self.at..].iter().copied().take(64).take_while(|c| !end(*c)).collect();
        if word.contains(['\'', '"', '\\', '$', '`']) { String::new() } else { word }
    }

    fn keyword(&mut self, word: &str) -> Parsed<bool> {
        self.blanks();
        if self.bare_word() == word {
            self.skip(word);
            return Ok(true);
        }
        Ok(false)
    }

    fn expect_keyword(&mut self, word: &str) -> Parsed<()> {
        self.linebreak()?;
        if self.keyword(word)? {
            return Ok(());
        }
        match self.peek() {
            None => self.error(format!("end of file unexpected (expecting \"{word}\")")),
            Some(c) => {
                let mut e = self.unexpected(c);
                e.message.push_str(&format!(" (expecting \"{word}\")"));
                Err(e)
            }
        }
    }

    fn and_or(&mut self) -> Parsed<Item> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let and = if self.skip("&&") {
                true
            } else if self.skip("||") {
                false
            } else {
                return Ok(Item { first, rest, background: false });
            };
            self.linebreak()?;
            rest.push((and, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let mut negate = false;
        while self.keyword("!")? {
            negate = !negate;
        }
        let mut commands = vec![self.command()?];
        loop {
            self.blanks();
            if self.peek() != Some('|') || self.peek_at(1) == Some('|') {
                return Ok(Pipeline { negate, commands });
            }
            self.next();
            if self.bash && self.peek() == Some('&') {
                self.next();
                if let Some(last) = commands.last_mut() {
                    let to = Target::Duplicate(Word(vec![Part::Literal("1".to_owned())]));
                    last.redirects.push(Redirect { fd: 2, to });
                }
            }
            self.linebreak()?;
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        self.deeper(Self::command_inner)
    }

    fn command_inner(&mut self) -> Parsed<Command> {
        self.blanks();
        let line = self.line;
        let body = match self.peek() {
            None => return self.error("end of file unexpected"),
            Some('(') => {
                self.next();
                let list = self.list(&[")"])?;
                self.close(')')?;
                self.non_empty(&list, ")")?;
                Body::Subshell(list)
            }
            Some(_) => match self.bare_word().as_str() {
                "{" => {
                    self.next();
                    let list = self.list(&["}"])?;
                    self.non_empty(&list, "}")?;
                    self.expect_keyword("}")?;
                    Body::Group(list)
                }
                "if" => self.if_clause()?,
                "for" => self.for_clause()?,
                word @ ("while" | "until") => {
                    let until = word == "until";
                    self.skip(word);
                    let condition = self.list(&["do"])?;
                    self.non_empty(&condition, "do")?;
                    Body::While { condition, until, body: self.do_group()? }
                }
                "case" => self.case_clause()?,
                "[[" if self.bash => self.conditional()?,
                "function" if self.bash => {
                    self.skip("function");
                    self.blanks();
                    let name = self.bare_word();
                    self.skip(&name);
                    self.blanks();
                    if self.skip("(") {
                        self.close(')')?;
                    }
                    self.function(name)?
                }
                word if RESERVED.contains(&word) && word != "in" => {
                    return self.error(format!("\"{word}\" unexpected"));
                }
                _ => return self.simple(line),
            },
        };
        let mut redirects = Vec::new();
        if !matches!(body, Body::Function { .. }) {
            self.blanks();
            while let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                self.blanks();
            }
        }
        Ok(Command { body, redirects, line })
    }

    fn close(&mut self, c: char) -> Parsed<()> {
        self.linebreak()?;
        match self.peek() {
            Some(found) if found == c => {
                self.next();
                Ok(())
            }
            Some(other) => Err(self.unexpected(other)),
            None => self.error(format!("end of file unexpected (expecting \"{c}\")")),
        }
    }

    fn non_empty(&self, list: &List, closing: &str) -> Parsed<()> {
        if list.0.is_empty() {
            return match self.peek() {
                None => self.error(format!("end of file unexpected (expecting \"{closing}\")")),
                Some(_) => self.error(format!("\"{closing}\" unexpected")),
            };
        }
        Ok(())
    }

    fn function(&mut self, name: String) -> Parsed<Body> {
        self.linebreak()?;
        let body = self.command()?;
        Ok(Body::Function { name, body: Rc::new(body) })
    }

    fn simple(&mut self, line: usize) -> Parsed<Command> {
        let (mut assigns, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            match self.peek() {
                None | Some('\n' | ';' | '&' | '|' | ')') => break,
                Some('(') => {
                    let name = match (words.as_slice(), assigns.is_empty(), redirects.is_empty()) {
                        ([Word(parts)], true, true) => match parts.as_slice() {
                            [Part::Literal(name)] => Some(name.clone()),
                            _ => None,
                        },
                        _ => None,
                    };
                    let Some(name) = name else { return Err(self.unexpected_char('(')) };
                    self.next();
                    self.blanks();
                    if self.next() != Some(')') {
                        return self.error("word unexpected (expecting \")\")");
                    }
                    if !is_name(&name.replace(['-', '.'], "_")) {
                        return self.error("Bad function name");
                    }
                    return Ok(Command { body: self.function(name)?, redirects, line });
                }
                Some(_) => {}
            }
            if words.is_empty()
                && let Some(name) = self.assignment()
            {
                let value = match self.peek() {
                    None => Word::default(),
                    Some(c) if ends_word(c) => Word::default(),
                    Some(_) => self.word_with(true)?,
                };
                assigns.push((name, value));
                continue;
            }
            let before = self.at;
            words.push(self.word()?);
            if self.at == before {
                return match self.peek() {
                    Some(c) => Err(self.unexpected_char(c)),
                    None => self.error("end of file unexpected"),
                };
            }
        }
        if assigns.is_empty() && words.is_empty() && redirects.is_empty() {
            return match self.peek() {
                Some(c) => Err(self.unexpected_char(c)),
                None => self.error("end of file unexpected"),
            };
        }
        Ok(Command { body: Body::Simple { assigns, words }, redirects, line })
    }

    /// Takes `NAME=` if that is here.
    fn assignment(&mut self) -> Option<String> {
        let name: String = self.chars[self.at..]
            .iter()
            .copied()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        let length = name.chars().count();
        if is_name(&name) && self.peek_at(length) == Some('=') {
            self.at += length + 1;
            return Some(name);
        }
        None
    }
}

/// Whether the word after `>&` can be a descriptor rather than a file.
fn is_descriptor(word: &Word) -> bool {
    match word.0.as_slice() {
        [Part::Literal(text)] => text == "-" || text.chars().all(|c| c.is_ascii_digit()),
        parts => parts.iter().any(|p| matches!(p, Part::Parameter(_))),
    }
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '<' | '>')
}

/// Whether text can name a variable.
pub(crate) fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
