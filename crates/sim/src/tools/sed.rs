//! sed: addresses (`3`, `$`, `/re/`, `\,re,`, ranges, `!`), and `s d p q = a i c y n N D G H h g x { }`; `-n -i -E -e -s -f`.

use regex::bytes::Regex;

use super::grep::compile;
use super::{Cx, Status};

#[derive(Debug)]
enum Address {
    Line(usize),
    Last,
    Match(Regex),
    /// `+n`, only as an end.
    Plus(usize),
    /// `first~step`
    Step(usize, usize),
}

#[derive(Debug)]
enum Action {
    Substitute { regex: Regex, replacement: Vec<Piece>, global: bool, nth: usize, print: bool },
    Delete,
    DeleteFirst,
    Print,
    Quit,
    Number,
    Append(String),
    Insert(String),
    Change(String),
    Translate(Vec<char>, Vec<char>),
    Next,
    Join,
    Hold(char),
    Block(Vec<Command>),
}

#[derive(Debug)]
enum Piece {
    Text(Vec<u8>),
    Group(usize),
}

#[derive(Debug)]
struct Command {
    from: Option<Address>,
    to: Option<Address>,
    negate: bool,
    action: Action,
    /// Line at which an open range ends, if known; `Some(usize::MAX)` while waiting for a match.
    open: Option<usize>,
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    extended: bool,
    last: Option<Regex>,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn blanks(&mut self, also: &[char]) {
        while self.peek().is_some_and(|c| c == ' ' || c == '\t' || also.contains(&c)) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect::<String>().parse().ok()
    }

    /// Text up to an unescaped delimiter; `\n` becomes a newline, an escaped delimiter itself.
    fn delimited(&mut self, delimiter: char, regex: bool) -> Result<String, String> {
        let mut text = String::new();
        let mut bracket = false;
        loop {
            match self.next() {
                None | Some('\n') if regex => return Err("unterminated address regex".to_owned()),
                None => return Err("unterminated `s' command".to_owned()),
                Some(c) if c == delimiter && !bracket => return Ok(text),
                Some('\\') => match self.next() {
                    Some(c) if c == delimiter => text.push(c),
                    Some(c) => {
                        text.push('\\');
                        text.push(c);
                    }
                    None => return Err("unterminated `s' command".to_owned()),
                },
                Some(c) => {
                    match c {
                        '[' if regex && !bracket => bracket = true,
                        ']' if bracket && !text.ends_with('[') && !text.ends_with("[^") => bracket = false,
                        _ => {}
                    }
                    text.push(c);
                }
            }
        }
    }

    fn regex(&mut self, text: &str, ignore_case: bool) -> Result<Regex, String> {
        if text.is_empty() {
            return self.last.clone().ok_or_else(|| "no previous regular expression".to_owned());
        }
        let regex = compile(text, self.extended, ignore_case)?;
        self.last = Some(regex.clone());
        Ok(regex)
    }

    fn address(&mut self) -> Result<Option<Address>, String> {
        match self.peek() {
            Some(c) if c.is_ascii_digit() => {
                let n = self.number().unwrap_or(0);
                if self.peek() == Some('~') {
                    self.at += 1;
                    return Ok(Some(Address::Step(n, self.number().unwrap_or(0))));
                }
                Ok(Some(Address::Line(n)))
            }
            Some('$') => {
                self.at += 1;
                Ok(Some(Address::Last))
            }
            Some('+') => {
                self.at += 1;
                Ok(Some(Address::Plus(self.number().unwrap_or(0))))
            }
            Some(c @ ('/' | '\\')) => {
                self.at += 1;
                let delimiter = if c == '\\' { self.next().unwrap_or('/') } else { '/' };
                let text = self.delimited(delimiter, true)?;
                let ignore_case = self.peek() == Some('I');
                self.at += usize::from(ignore_case);
                self.regex(&text, ignore_case).map(|r| Some(Address::Match(r)))
            }
            _ => Ok(None),
        }
    }

    fn commands(&mut self, depth: usize) -> Result<Vec<Command>, String> {
        if depth > 20 {
            return Err("nested too deep".to_owned());
        }
        let mut commands = Vec::new();
        loop {
            self.blanks(&[';', '\n']);
            match self.peek() {
                None if depth == 0 => return Ok(commands),
                None => return Err("unmatched `{'".to_owned()),
                Some('}') if depth > 0 => {
                    self.at += 1;
                    return Ok(commands);
                }
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                    continue;
                }
                Some(_) => {}
            }
            let from = self.address()?;
            self.blanks(&[]);
            let to = if from.is_some() && self.peek() == Some(',') {
                self.at += 1;
                self.blanks(&[]);
                Some(self.address()?.ok_or("unexpected `,'")?)
            } else {
                None
            };
            self.blanks(&[]);
            let negate = self.peek() == Some('!');
            self.at += usize::from(negate);
            self.blanks(&[]);
            let action = self.action(depth)?;
            commands.push(Command { from, to, negate, action, open: None });
        }
    }

    fn action(&mut self, depth: usize) -> Result<Action, String> {
        let action = match self.next() {
            None => return Err("missing command".to_owned()),
            Some('s') => return self.substitute(),
            Some('d') => Action::Delete,
            Some('D') => Action::DeleteFirst,
            Some('p') => Action::Print,
            Some('q') => Action::Quit,
            Some('=') => Action::Number,
            Some('n') => Action::Next,
            Some('N') => Action::Join,
            Some(c @ ('g' | 'G' | 'h' | 'H' | 'x')) => Action::Hold(c),
            Some('{') => return Ok(Action::Block(self.commands(depth + 1)?)),
            Some(c @ ('a' | 'i' | 'c')) => {
                self.blanks(&[]);
                if self.peek() == Some('\\') {
                    self.at += 1;
                    self.blanks(&[]);
                    if self.peek() == Some('\n') {
                        self.at += 1;
                    }
                }
                let mut text = String::new();
                while let Some(c) = self.next() {
                    match c {
                        '\n' => break,
                        '\\' => text.extend(self.next()),
                        c => text.push(c),
                    }
                }
                text.push('\n');
                return Ok(match c {
                    'a' => Action::Append(text),
                    'i' => Action::Insert(text),
                    _ => Action::Change(text),
                });
            }
            Some('y') => {
                let delimiter = self.next().ok_or("unterminated `y' command")?;
                let from: Vec<char> = self.delimited(delimiter, false)?.chars().collect();
                let to: Vec<char> = self.delimited(delimiter, false)?.chars().collect();
                if from.len() != to.len() {
                    return Err("strings for `y' command are different lengths".to_owned());
                }
                Action::Translate(from, to)
            }
            Some(c) => return Err(format!("unknown command: `{c}' (simulated host)")),
        };
        self.blanks(&[]);
        match self.peek() {
            None | Some(';' | '\n' | '}' | '#') => Ok(action),
            Some(_) => Err("extra characters after command".to_owned()),
        }
    }

    fn substitute(&mut self) -> Result<Action, String> {
        let delimiter = self.next().ok_or("unterminated `s' command")?;
        let pattern = self.delimited(delimiter, true).map_err(|_| "unterminated `s' command")?;
        let text = self.delimited(delimiter, false)?;
        let (mut global, mut print, mut ignore_case, mut nth) = (false, false, false, 1);
        loop {
            match self.peek() {
                Some('g') => global = true,
                Some('p') => print = true,
                Some('i' | 'I') => ignore_case = true,
                Some(c) if c.is_ascii_digit() => {
                    nth = self.number().unwrap_or(1).max(1);
                    continue;
                }
                None | Some(';' | '\n' | '}' | ' ' | '#') => break,
                Some(c) => return Err(format!("unknown option to `s' ({c})")),
            }
            self.at += 1;
        }
        let regex = self.regex(&pattern, ignore_case)?;
        let replacement = replacement(&text);
        let groups = regex.captures_len() - 1;
        if let Some(Piece::Group(n)) =
            replacement.iter().find(|p| matches!(p, Piece::Group(n) if *n > groups))
        {
            return Err(format!("invalid reference \\{n} on `s' command's RHS"));
        }
        Ok(Action::Substitute { regex, replacement, global, nth, print })
    }
}

fn replacement(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let group = match c {
            '&' => Some(0),
            '\\' => match chars.next() {
                Some(d @ '0'..='9') => d.to_digit(10).map(|d| d as usize),
                Some('n') => {
                    plain.push('\n');
                    None
                }
                Some('t') => {
                    plain.push('\t');
                    None
                }
                other => {
                    plain.extend(other);
                    None
                }
            },
            c => {
                plain.push(c);
                None
            }
        };
        if let Some(group) = group {
            pieces.push(Piece::Text(std::mem::take(&mut plain).into_bytes()));
            pieces.push(Piece::Group(group));
        }
    }
    pieces.push(Piece::Text(plain.into_bytes()));
    pieces
}

/// One pass over some lines.
struct Pass<'a> {
    lines: Vec<&'a [u8]>,
    at: usize,
    space: Vec<u8>,
    hold: Vec<u8>,
    out: Vec<u8>,
    after: Vec<u8>,
    silent: bool,
}

enum End {
    Normal,
    Deleted,
    Quit,
}

impl Pass<'_> {
    fn emit(&mut self) {
        self.out.extend_from_slice(&self.space);
        self.out.push(b'\n');
    }

    fn selects(&self, address: &Address) -> bool {
        match address {
            Address::Line(n) => self.at == *n,
            Address::Last => self.at == self.lines.len(),
            Address::Match(regex) => regex.is_match(&self.space),
            Address::Plus(_) => false,
            Address::Step(first, 0) => self.at == *first,
            Address::Step(first, step) => self.at >= *first && (self.at - first).is_multiple_of(*step),
        }
    }

    fn chosen(&self, command: &mut Command) -> bool {
        let inside = match (&command.from, &command.to) {
            (None, _) => true,
            (Some(from), None) => self.selects(from),
            (Some(from), Some(to)) => {
                if let Some(end) = command.open {
                    let ends = match to {
                        Address::Line(n) => self.at >= *n,
                        Address::Plus(_) => self.at >= end,
                        other => self.selects(other),
                    };
                    if ends {
                        command.open = None;
                    }
                    // A range whose last line has been passed selects nothing more.
                    !matches!(to, Address::Line(n) if self.at > *n)
                } else if self.selects(from) {
                    command.open = match to {
                        Address::Line(n) if *n <= self.at => None,
                        Address::Plus(0) => None,
                        Address::Plus(n) => Some(self.at + n),
                        Address::Last if self.at == self.lines.len() => None,
                        _ => Some(usize::MAX),
                    };
                    true
                } else {
                    false
                }
            }
        };
        inside != command.negate
    }

    fn run(&mut self, commands: &mut [Command]) -> End {
        for command in commands {
            if !self.chosen(command) {
                continue;
            }
            match &mut command.action {
                Action::Delete => return End::Deleted,
                Action::DeleteFirst => match self.space.iter().position(|b| *b == b'\n') {
                    Some(n) => {
                        self.space.drain(..=n);
                        return End::Deleted;
                    }
                    None => return End::Deleted,
                },
                Action::Print => self.emit(),
                Action::Quit => return End::Quit,
                Action::Number => self.out.extend_from_slice(format!("{}\n", self.at).as_bytes()),
                Action::Append(text) => self.after.extend_from_slice(text.as_bytes()),
                Action::Insert(text) => self.out.extend_from_slice(text.as_bytes()),
                Action::Change(text) => {
                    if command.to.is_none() || command.open.is_none() {
                        self.out.extend_from_slice(text.as_bytes());
                    }
                    return End::Deleted;
                }
                Action::Translate(from, to) => {
                    let text = String::from_utf8_lossy(&self.space).into_owned();
                    let changed: String = text
                        .chars()
                        .map(|c| from.iter().position(|f| *f == c).map_or(c, |n| to[n]))
                        .collect();
                    self.space = changed.into_bytes();
                }
                Action::Next => {
                    if !self.silent {
                        self.emit();
                    }
                    if self.at >= self.lines.len() {
                        return End::Deleted;
                    }
                    self.space = self.lines[self.at].to_vec();
                    self.at += 1;
                }
                Action::Join => {
                    if self.at >= self.lines.len() {
                        return End::Quit;
                    }
                    self.space.push(b'\n');
                    self.space.extend_from_slice(self.lines[self.at]);
                    self.at += 1;
                }
                Action::Hold(c) => match c {
                    'h' => self.hold.clone_from(&self.space),
                    'H' => {
                        self.hold.push(b'\n');
                        self.hold.extend_from_slice(&self.space);
                    }
                    'g' => self.space.clone_from(&self.hold),
                    'G' => {
                        self.space.push(b'\n');
                        self.space.extend_from_slice(&self.hold);
                    }
                    _ => std::mem::swap(&mut self.hold, &mut self.space),
                },
                Action::Substitute { regex, replacement, global, nth, print } => {
                    let (changed, any) = substitute(&self.space, regex, replacement, *global, *nth);
                    self.space = changed;
                    if any && *print {
                        self.emit();
                    }
                }
                Action::Block(inner) => match self.run(inner) {
                    End::Normal => {}
                    end => return end,
                },
            }
        }
        End::Normal
    }
}

fn substitute(
    text: &[u8],
    regex: &Regex,
    replacement: &[Piece],
    global: bool,
    nth: usize,
) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let (mut last, mut any) = (0, false);
    for (n, captures) in regex.captures_iter(text).enumerate() {
        let Some(whole) = captures.get(0) else { continue };
        if n + 1 < nth || (n + 1 > nth && !global) {
            continue;
        }
        any = true;
        out.extend_from_slice(&text[last..whole.start()]);
        for piece in replacement {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Group(n) => out.extend_from_slice(captures.get(*n).map_or(b"", |m| m.as_bytes())),
            }
        }
        last = whole.end();
    }
    out.extend_from_slice(&text[last..]);
    (out, any)
}

pub(super) fn run(cx: &mut Cx<'_>) -> Status {
    let long = ["quiet", "silent", "in-place?", "regexp-extended", "expression=", "file=", "separate"];
    // -i may carry a suffix, as in -i.bak.
    let args: Vec<String> = cx
        .args
        .iter()
        .map(|a| match a.strip_prefix("-i") {
            Some(suffix) if !suffix.is_empty() && !a.starts_with("--") && suffix.starts_with('.') => {
                format!("--in-place={suffix}")
            }
            _ => a.clone(),
        })
        .collect();
    let opts = super::getopt(&args, "nie:Ersf:", &long).map_err(|e| cx.fail(1, e))?;
    let extended = opts.has(&["E", "r", "regexp-extended"]);
    let silent = opts.has(&["n", "quiet", "silent"]);
    let mut scripts: Vec<String> =
        opts.values(&["e", "expression"]).iter().map(|s| (*s).to_owned()).collect();
    if let Some(file) = opts.value(&["f", "file"]) {
        let bytes = cx.read(file).map_err(|e| cx.fail(1, format!("couldn't open file {file}: {e}")))?;
        scripts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    let mut files = opts.rest.as_slice();
    if scripts.is_empty() {
        let Some((script, rest)) = files.split_first() else {
            cx.err("Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...\n");
            return Err(1);
        };
        scripts.push(script.clone());
        files = rest;
    }
    let script = scripts.join("\n");
    let parse = || {
        let mut parser = Parser { chars: script.chars().collect(), at: 0, extended, last: None };
        parser.commands(0).map_err(|e| format!("-e expression #1, char {}: {e}", parser.at))
    };
    let mut commands = parse().map_err(|e| cx.fail(1, e))?;
    if !opts.has(&["i", "in-place", "s", "separate"]) {
        let (all, failed) = super::text::inputs(cx, files);
        let out = filter(&all, &mut commands, silent);
        cx.out(out);
        return Ok(if failed { 2 } else { 0 });
    }
    let mut status = 0;
    for name in files {
        let bytes = match cx.read(name) {
            Ok(bytes) => bytes,
            Err(e) => {
                cx.fail(1, format!("can't read {name}: {e}"));
                status = 2;
                continue;
            }
        };
        let mut commands = parse().map_err(|e| cx.fail(1, e))?;
        let out = filter(&bytes, &mut commands, silent);
        if !opts.has(&["i", "in-place"]) {
            cx.out(out);
            continue;
        }
        let path = cx.sh.path(name);
        let suffix = opts.value(&["in-place"]).map(str::to_owned);
        let written = cx.files_mut(|f, a| {
            if let Some(suffix) = suffix {
                f.copy(&path, &format!("{path}{suffix}"), true, a)?;
            }
            f.write(&path, &out, false, a)
        });
        if let Err(e) = written {
            return Err(cx.fail(4, format!("couldn't open temporary file for {name}: {e}")));
        }
    }
    Ok(status)
}

fn filter(text: &[u8], commands: &mut [Command], silent: bool) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    let ended = lines.last().is_some_and(|l| l.is_empty());
    if ended {
        lines.pop();
    }
    let mut pass = Pass {
        lines,
        at: 0,
        space: Vec::new(),
        hold: Vec::new(),
        out: Vec::new(),
        after: Vec::new(),
        silent,
    };
    while pass.at < pass.lines.len() {
        pass.space = pass.lines[pass.at].to_vec();
        pass.at += 1;
        let end = pass.run(commands);
        if !silent && !matches!(end, End::Deleted) {
            pass.emit();
        }
        let after = std::mem::take(&mut pass.after);
        pass.out.extend(after);
        if matches!(end, End::Quit) {
            return pass.out;
        }
    }
    if !ended && pass.out.ends_with(b"\n") && !text.is_empty() {
        pass.out.pop();
    }
    pass.out
}
