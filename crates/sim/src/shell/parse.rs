//! From text to [`ast`](super::ast): POSIX sh as dash reads it, with the few bash forms that scripts over SSH use (Debian's login shell
//! is bash): `[[ ]]`, `<<<`, `&>`, `$'…'`, `function`.
//!
//! Recursive descent straight over characters, because in sh what a character means depends on where it stands. Depth is bounded, so
//! that no text can exhaust the stack.

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
        while !matches!(body, Body::Function { .. }) {
            self.blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => break,
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

    fn if_clause(&mut self) -> Parsed<Body> {
        self.skip("if");
        let mut arms = Vec::new();
        loop {
            let condition = self.list(&["then"])?;
            self.non_empty(&condition, "then")?;
            self.expect_keyword("then")?;
            let body = self.list(&["elif", "else", "fi"])?;
            self.non_empty(&body, "fi")?;
            arms.push((condition, body));
            if self.keyword("elif")? {
                continue;
            }
            let otherwise = if self.keyword("else")? {
                let body = self.list(&["fi"])?;
                self.non_empty(&body, "fi")?;
                Some(body)
            } else {
                None
            };
            self.expect_keyword("fi")?;
            return Ok(Body::If { arms, otherwise });
        }
    }

    fn do_group(&mut self) -> Parsed<List> {
        self.expect_keyword("do")?;
        let body = self.list(&["done"])?;
        self.non_empty(&body, "done")?;
        self.expect_keyword("done")?;
        Ok(body)
    }

    fn for_clause(&mut self) -> Parsed<Body> {
        self.skip("for");
        self.blanks();
        let name = self.bare_word();
        if !is_name(&name) {
            return self.error("Bad for loop variable");
        }
        self.skip(&name);
        self.linebreak()?;
        let mut words = None;
        if self.keyword("in")? {
            let mut list = Vec::new();
            loop {
                self.blanks();
                match self.peek() {
                    None | Some('\n' | ';') => break,
                    Some(c @ ('&' | '|' | '(' | ')' | '<' | '>')) => return Err(self.unexpected(c)),
                    Some(_) => list.push(self.word()?),
                }
            }
            words = Some(list);
        }
        self.blanks();
        if self.peek() == Some(';') {
            self.next();
        }
        Ok(Body::For { name, words, body: self.do_group()? })
    }

    fn case_clause(&mut self) -> Parsed<Body> {
        self.skip("case");
        self.blanks();
        if matches!(self.peek(), None | Some('\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>')) {
            return match self.peek() {
                None => self.error("end of file unexpected"),
                Some(c) => Err(self.unexpected(c)),
            };
        }
        let word = self.word()?;
        self.expect_keyword("in")?;
        let mut arms = Vec::new();
        loop {
            self.linebreak()?;
            if self.keyword("esac")? {
                return Ok(Body::Case { word, arms });
            }
            self.skip("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                match self.peek() {
                    None => return self.error("end of file unexpected (expecting \"esac\")"),
                    Some(c @ (')' | '|' | ';' | '&' | '<' | '>' | '(' | '\n')) => {
                        return Err(self.unexpected(c));
                    }
                    Some(_) => patterns.push(self.word()?),
                }
                self.blanks();
                match self.next() {
                    Some('|') => {}
                    Some(')') => break,
                    None => return self.error("end of file unexpected (expecting \")\")"),
                    Some(_) => return self.error("word unexpected (expecting \")\")"),
                }
            }
            let body = self.list(&[";;", "esac"])?;
            arms.push((patterns, body));
            self.linebreak()?;
            if !self.skip(";;") && self.bare_word() != "esac" {
                return self.error("end of file unexpected (expecting \";;\")");
            }
        }
    }

    fn conditional(&mut self) -> Parsed<Body> {
        self.skip("[[");
        let mut words = Vec::new();
        loop {
            self.linebreak()?;
            if self.keyword("]]")? {
                return Ok(Body::Conditional(words));
            }
            let operator = ["&&", "||", "(", ")", "<", ">"].into_iter().find(|o| self.looking_at(o));
            if let Some(operator) = operator {
                self.skip(operator);
                words.push(Word(vec![Part::Literal(operator.to_owned())]));
                continue;
            }
            if self.peek().is_none() {
                return self.error("end of file unexpected (expecting \"]]\")");
            }
            let before = self.at;
            words.push(self.word()?);
            if self.at == before {
                return match self.peek() {
                    Some(c) => Err(self.unexpected(c)),
                    None => self.error("end of file unexpected"),
                };
            }
        }
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

    fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        let digits = self.chars[self.at..].iter().take_while(|c| c.is_ascii_digit()).count();
        let number: String = self.chars[self.at..self.at + digits].iter().collect();
        if !matches!(self.peek_at(digits), Some('<' | '>')) {
            if self.bash && digits == 0 && self.looking_at("&>") {
                self.skip("&>");
                self.blanks();
                return Ok(Some(Redirect { fd: 1, to: Target::Both(self.target()?) }));
            }
            return Ok(None);
        }
        let fd = if digits == 0 { None } else { number.parse::<u32>().ok() };
        self.at += digits;
        let operators = ["<<<", "<<-", "<<", "<>", "<&", ">>", ">&", ">|", "<", ">"];
        let operator = operators.into_iter().find(|o| (*o != "<<<" || self.bash) && self.looking_at(o));
        let Some(operator) = operator else { return Ok(None) };
        self.skip(operator);
        self.blanks();
        let default = u32::from(operator.starts_with('>'));
        let fd = fd.unwrap_or(default);
        if operator.starts_with("<<") && operator != "<<<" {
            return self.here(fd, operator == "<<-").map(Some);
        }
        let word = self.target()?;
        let to = match operator {
            "<" => Target::Read(word),
            ">" | ">|" => Target::Write(word),
            ">>" => Target::Append(word),
            "<>" => Target::ReadWrite(word),
            "<<<" => Target::HereString(word),
            ">&" if self.bash && digits == 0 && !is_descriptor(&word) => Target::Both(word),
            _ => Target::Duplicate(word),
        };
        Ok(Some(Redirect { fd, to }))
    }

    fn target(&mut self) -> Parsed<Word> {
        match self.peek() {
            None => self.error("end of file unexpected"),
            Some(c) if ends_word(c) => Err(self.unexpected_char(c)),
            Some(_) => self.word(),
        }
    }

    fn here(&mut self, fd: u32, strip: bool) -> Parsed<Redirect> {
        let word = self.target()?;
        let mut delimiter = String::new();
        let mut quoted = false;
        for part in word.0 {
            match part {
                Part::Literal(text) => delimiter.push_str(&text),
                Part::Quoted(text) => {
                    quoted = true;
                    delimiter.push_str(&text);
                }
                Part::Double(parts) => {
                    quoted = true;
                    for part in parts {
                        match part {
                            Part::Quoted(text) | Part::Literal(text) => delimiter.push_str(&text),
                            _ => {
                                return self.error("expansion in a here-document delimiter (simulated host)");
                            }
                        }
                    }
                }
                _ => return self.error("expansion in a here-document delimiter (simulated host)"),
            }
        }
        let body = Rc::new(RefCell::new(Word::default()));
        self.pending.push(Pending { body: body.clone(), delimiter, strip, quoted });
        Ok(Redirect { fd, to: Target::Here(body) })
    }

    fn word(&mut self) -> Parsed<Word> {
        self.word_with(false)
    }

    /// A word up to a blank or operator. In assignments a `~` also counts after `:`.
    fn word_with(&mut self, assignment: bool) -> Parsed<Word> {
        self.deeper(|p| p.word_until(assignment, ends_word))
    }

    fn word_until(&mut self, assignment: bool, end: impl Fn(char) -> bool) -> Parsed<Word> {
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
        Ok(super::escape::unescape(&raw, true).0)
    }

    /// The inside of double quotes up to `end`, or to the end of the text.
    fn double_parts(&mut self, end: Option<char>) -> Parsed<Vec<Part>> {
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
