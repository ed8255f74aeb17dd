//! Expansion of words: tilde, parameters, commands, arithmetic; then field splitting, file names, quote removal.

use super::ast::{Operator, Parameter, Part, Word};
use super::io::{Fd, Io};
use super::pattern::{self, Mark};
use super::{Flow, Shell, arith, parse};

/// One character of an expansion on its way to fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// A character; whether quoted; whether it came from an unquoted expansion and may split.
    Char(char, bool, bool),
    /// Quotes were here: a field exists even if empty.
    Quotes,
    /// A border between fields, from `"$@"`.
    Break,
}

type Expanded<T> = Result<T, Flow>;

impl Shell {
    /// Words to arguments.
    pub(super) fn expand_words(&mut self, words: &[Word], io: &Io) -> Expanded<Vec<String>> {
        let mut fields = Vec::new();
        for word in words {
            self.expand_fields(word, io, &mut fields)?;
        }
        Ok(fields)
    }

    fn expand_fields(&mut self, word: &Word, io: &Io, fields: &mut Vec<String>) -> Expanded<()> {
        let mut pieces = Vec::new();
        self.expand_parts(&word.0, false, io, &mut pieces)?;
        for field in self.split(&pieces) {
            let globbed = if !self.options.noglob && pattern::is_pattern(&field) {
                self.glob(&field)
            } else {
                Vec::new()
            };
            if globbed.is_empty() {
                fields.push(field.iter().map(|(c, _)| *c).collect());
            } else {
                fields.extend(globbed);
            }
        }
        Ok(())
    }

    /// A word to one string: assignments, redirections, case words.
    pub(super) fn expand_string(&mut self, word: &Word, io: &Io) -> Expanded<String> {
        Ok(self.expand_marks(word, io)?.iter().map(|(c, _)| *c).collect())
    }

    /// A word to a pattern: what was quoted stands for itself.
    pub(super) fn expand_marks(&mut self, word: &Word, io: &Io) -> Expanded<Vec<Mark>> {
        let mut pieces = Vec::new();
        self.expand_parts(&word.0, false, io, &mut pieces)?;
        let mut marks = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Char(c, quoted, _) => marks.push((c, quoted)),
                Piece::Break => marks.push((' ', true)),
                Piece::Quotes => {}
            }
        }
        Ok(marks)
    }

    fn split(&self, pieces: &[Piece]) -> Vec<Vec<Mark>> {
        let ifs = self.var("IFS").unwrap_or(" \t\n").to_owned();
        let blank = |c: char| ifs.contains(c) && c.is_whitespace();
        /// What came before the next character of a field.
        #[derive(PartialEq)]
        enum After {
            Start,
            Blank,
            Delimiter,
        }
        let mut fields: Vec<Vec<Mark>> = Vec::new();
        let mut field: Vec<Mark> = Vec::new();
        let mut open = false; // the current field exists even if empty
        let mut after = After::Start;
        for piece in pieces {
            match *piece {
                Piece::Quotes => open = true,
                Piece::Break => {
                    fields.push(std::mem::take(&mut field));
                    (open, after) = (false, After::Start);
                }
                Piece::Char(c, _, true) if blank(c) => {
                    if open {
                        fields.push(std::mem::take(&mut field));
                        (open, after) = (false, After::Blank);
                    }
                }
                Piece::Char(c, _, true) if ifs.contains(c) => {
                    if open || after != After::Blank {
                        fields.push(std::mem::take(&mut field));
                    }
                    (open, after) = (false, After::Delimiter);
                }
                Piece::Char(c, quoted, _) => {
                    open = true;
                    field.push((c, quoted));
                }
            }
        }
        if open {
            fields.push(field);
        }
        fields
    }

    fn push_text(pieces: &mut Vec<Piece>, text: &str, quoted: bool) {
        pieces.extend(text.chars().map(|c| Piece::Char(c, quoted, !quoted)));
    }

    fn expand_parts(&mut self, parts: &[Part], quoted: bool, io: &Io, out: &mut Vec<Piece>) -> Expanded<()> {
        for part in parts {
            match part {
                Part::Literal(text) => out.extend(text.chars().map(|c| Piece::Char(c, quoted, false))),
                Part::Quoted(text) => {
                    out.push(Piece::Quotes);
                    out.extend(text.chars().map(|c| Piece::Char(c, true, false)));
                }
                Part::Double(inner) => {
                    // "$@" without arguments is no field at all, so quotes count only around something else.
                    let only_at = matches!(inner.as_slice(), [Part::Parameter(p)] if p.name == "@" && p.operator.is_none());
                    if !only_at || !self.positional.is_empty() {
                        out.push(Piece::Quotes);
                    }
                    self.expand_parts(inner, true, io, out)?;
                }
                Part::Tilde(user) => {
                    let home = match user.as_str() {
                        "" => self.var("HOME").unwrap_or("~").to_owned(),
                        "root" => "/root".to_owned(),
                        "debian" => "/home/debian".to_owned(),
                        other => format!("~{other}"),
                    };
                    out.extend(home.chars().map(|c| Piece::Char(c, true, false)));
                }
                Part::Command(list) => {
                    let text = self.substitute(list, io)?;
                    Self::push_text(out, &text, quoted);
                }
                Part::Arithmetic(word) => {
                    let text = self.expand_string(word, io)?;
                    let value = self.arithmetic(&text, io)?;
                    Self::push_text(out, &value.to_string(), quoted);
                }
                Part::Parameter(parameter) => self.expand_parameter(parameter, quoted, io, out)?,
            }
        }
        Ok(())
    }

    fn arithmetic(&mut self, text: &str, io: &Io) -> Expanded<i64> {
        let mut changes = Vec::new();
        let result = {
            let vars = &self.vars;
            let get = |name: &str| vars.get(name).and_then(|v| v.value.clone());
            arith::evaluate(text, &get, &mut |name, value| changes.push((name.to_owned(), value)))
        };
        for (name, value) in changes {
            self.set_var(&name, value.to_string());
        }
        result.or_else(|message| self.fatal(&message, io))
    }

    /// An error that ends a non-interactive shell.
    pub(super) fn fatal<T>(&mut self, message: &str, io: &Io) -> Expanded<T> {
        self.complain(message, io);
        Err(Flow::Exit(if self.bash { 1 } else { 2 }))
    }

    /// Prints `sh: LINE: message`.
    pub(super) fn complain(&mut self, message: &str, io: &Io) {
        let text = if self.bash {
            format!("{}: line {}: {message}\n", self.arg0, self.line)
        } else {
            format!("{}: {}: {message}\n", self.arg0, self.line)
        };
        self.write(io, 2, text.as_bytes());
    }

    /// `$( … )`: standard output without its trailing newlines.
    fn substitute(&mut self, list: &super::ast::List, io: &Io) -> Expanded<String> {
        if self.depth > 100 {
            return self.fatal("nested too deep (simulated host)", io);
        }
        let buffer = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let mut child = self.clone();
        child.depth += 1;
        child.exit_trap = None;
        child.loops = 0;
        if !self.bash {
            child.tested = 0;
        } else {
            child.options.errexit = false; // bash does not inherit -e here
        }
        let inner = io.with(1, Fd::Buffer(buffer.clone()));
        let status = match child.run_list(list, &inner) {
            Ok(status) | Err(Flow::Exit(status) | Flow::Return(status)) => status,
            Err(_) => child.status,
        };
        let status = child.run_exit_trap(status, &inner);
        self.status = status;
        self.substituted = Some(status);
        let bytes = buffer.take();
        let text = String::from_utf8_lossy(&bytes).replace('\0', "");
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// Value of a parameter, none if unset. `@` and `*` are joined.
    fn parameter(&self, name: &str) -> Option<String> {
        let joined = |separator: &str| Some(self.positional.join(separator));
        match name {
            "@" | "*" if self.positional.is_empty() => None,
            "@" => joined(" "),
            "*" => match self.var("IFS").map(|i| i.chars().next()) {
                None => joined(" "),
                Some(None) => joined(""),
                Some(Some(c)) => joined(&c.to_string()),
            },
            "#" => Some(self.positional.len().to_string()),
            "?" => Some(self.status.to_string()),
            "-" => Some(self.options.letters()),
            "$" => Some(self.pid.to_string()),
            "!" => self.background.map(|_| (self.pid + 1).to_string()),
            "0" => Some(self.arg0.clone()),
            "LINENO" => Some(self.line.to_string()),
            "PPID" => Some("1".to_owned()),
            "RANDOM" if self.bash => Some((rand::random::<u32>() % 32768).to_string()),
            "EUID" | "UID" if self.bash => Some(if self.user == "root" { "0" } else { "1000" }.to_owned()),
            "HOSTNAME" if self.bash => Some(self.host(|h, _| h.hostname.clone())),
            "BASH_VERSION" if self.bash => Some("5.2.15(1)-release-simulated".to_owned()),
            _ if name.starts_with(|c: char| c.is_ascii_digit()) => {
                let n: usize = name.parse().ok()?;
                self.positional.get(n.checked_sub(1)?).cloned()
            }
            _ => self.var(name).map(str::to_owned),
        }
    }

    fn expand_parameter(
        &mut self,
        p: &Parameter,
        quoted: bool,
        io: &Io,
        out: &mut Vec<Piece>,
    ) -> Expanded<()> {
        let value = self.parameter(&p.name);
        if p.length {
            if value.is_none() {
                self.check_set(&p.name, io)?;
            }
            let length = match p.name.as_str() {
                "@" | "*" if self.bash => self.positional.len(),
                _ => value.unwrap_or_default().chars().count(),
            };
            Self::push_text(out, &length.to_string(), quoted);
            return Ok(());
        }
        let Some((operator, word)) = &p.operator else {
            if p.name == "@" || p.name == "*" {
                self.push_positional(&p.name, quoted, out);
                return Ok(());
            }
            match value {
                Some(value) => Self::push_text(out, &value, quoted),
                None => self.check_set(&p.name, io)?,
            }
            return Ok(());
        };
        let null = |colon: bool| match &value {
            None => true,
            Some(v) => colon && v.is_empty(),
        };
        match *operator {
            Operator::Default { colon } if null(colon) => {
                self.expand_operand(&word.0, quoted, io, out)?;
            }
            Operator::Alternative { colon } => {
                if !null(colon) {
                    self.expand_operand(&word.0, quoted, io, out)?;
                }
            }
            Operator::Assign { colon } if null(colon) => {
                if !parse::is_name(&p.name) {
                    return self.fatal(&format!("{}: bad variable name", p.name), io);
                }
                let text = self.expand_string(word, io)?;
                if !self.set_var(&p.name, text.clone()) {
                    return self.fatal(&format!("{}: is read only", p.name), io);
                }
                Self::push_text(out, &text, quoted);
            }
            Operator::Error { colon } if null(colon) => {
                let text = self.expand_string(word, io)?;
                let text = match (text.is_empty(), colon) {
                    (false, _) => text,
                    (true, true) => "parameter not set or null".to_owned(),
                    (true, false) => "parameter not set".to_owned(),
                };
                self.complain(&format!("{}: {text}", p.name), io);
                return Err(Flow::Exit(if self.bash { 127 } else { 2 }));
            }
            Operator::Default { .. } | Operator::Assign { .. } | Operator::Error { .. } => {
                if p.name == "@" || p.name == "*" {
                    self.push_positional(&p.name, quoted, out);
                } else {
                    Self::push_text(out, &value.unwrap_or_default(), quoted);
                }
            }
            Operator::Prefix { longest } | Operator::Suffix { longest } => {
                if value.is_none() {
                    self.check_set(&p.name, io)?;
                }
                let marks = self.expand_marks(word, io)?;
                let text: Vec<char> = value.unwrap_or_default().chars().collect();
                let kept: String = if matches!(operator, Operator::Prefix { .. }) {
                    let cut = pattern::prefix(&marks, &text, longest).unwrap_or(0);
                    text[cut..].iter().collect()
                } else {
                    let cut = pattern::suffix(&marks, &text, longest).unwrap_or(text.len());
                    text[..cut].iter().collect()
                };
                Self::push_text(out, &kept, quoted);
            }
            Operator::Replace { all } => {
                let marks = self.expand_marks(word, io)?;
                let text = replace(&value.unwrap_or_default(), &marks, all);
                Self::push_text(out, &text, quoted);
            }
            Operator::Case { upper } => {
                let value = value.unwrap_or_default();
                let text = if upper { value.to_uppercase() } else { value.to_lowercase() };
                Self::push_text(out, &text, quoted);
            }
            Operator::Slice => {
                let text = self.expand_string(word, io)?;
                let (from, length) = match text.split_once(':') {
                    Some((from, length)) => (from.to_owned(), Some(length.to_owned())),
                    None => (text, None),
                };
                let chars: Vec<char> = value.unwrap_or_default().chars().collect();
                let total = i64::try_from(chars.len()).unwrap_or(i64::MAX);
                let from = self.arithmetic(&from, io)?;
                let from = if from < 0 { (total + from).max(0) } else { from.min(total) };
                let to = match length {
                    None => total,
                    Some(length) => match self.arithmetic(&length, io)? {
                        n if n < 0 => (total + n).max(from),
                        n => from.saturating_add(n).min(total),
                    },
                };
                // Both lie between 0 and the length.
                let text: String = chars[from as usize..to as usize].iter().collect();
                Self::push_text(out, &text, quoted);
            }
        }
        Ok(())
    }

    /// The word after `:-` and the like: what is unquoted in it splits if the whole is unquoted.
    fn expand_operand(
        &mut self,
        parts: &[Part],
        quoted: bool,
        io: &Io,
        out: &mut Vec<Piece>,
    ) -> Expanded<()> {
        let start = out.len();
        self.expand_parts(parts, quoted, io, out)?;
        if !quoted {
            for piece in &mut out[start..] {
                if let Piece::Char(_, false, splits) = piece {
                    *splits = true;
                }
            }
        }
        Ok(())
    }

    fn push_positional(&mut self, name: &str, quoted: bool, out: &mut Vec<Piece>) {
        if quoted && name == "*" {
            let text = self.parameter("*").unwrap_or_default();
            return Self::push_text(out, &text, true);
        }
        for (n, value) in self.positional.clone().iter().enumerate() {
            if n > 0 {
                out.push(if quoted { Piece::Break } else { Piece::Char(' ', false, true) });
            }
            if quoted {
                out.push(Piece::Quotes);
            }
            Self::push_text(out, value, quoted);
        }
    }

    fn check_set(&mut self, name: &str, io: &Io) -> Expanded<()> {
        if !self.options.nounset || name == "@" || name == "*" {
            return Ok(());
        }
        if self.bash {
            self.complain(&format!("{name}: unbound variable"), io);
            return Err(Flow::Exit(127));
        }
        self.fatal(&format!("{name}: parameter not set"), io)
    }

    /// Files that a pattern names, sorted; none if it names none.
    fn glob(&self, field: &[Mark]) -> Vec<String> {
        let absolute = field.first().is_some_and(|(c, _)| *c == '/');
        let mut components: Vec<Vec<Mark>> = vec![Vec::new()];
        for mark in field {
            match mark.0 {
                '/' => components.push(Vec::new()),
                _ => components.last_mut().expect("starts with one").push(*mark),
            }
        }
        let components: Vec<_> = components.into_iter().filter(|c| !c.is_empty()).collect();
        let folder_only = field.last().is_some_and(|(c, _)| *c == '/');
        self.host(|host, _| {
            let mut found = vec![String::new()];
            for (n, component) in components.iter().enumerate() {
                let mut next = Vec::new();
                for base in &found {
                    let prefix = match (n, absolute) {
                        (0, true) => "/".to_owned(),
                        (0, false) => String::new(),
                        _ => format!("{base}/"),
                    };
                    if !pattern::is_pattern(component) {
                        let name: String = component.iter().map(|(c, _)| *c).collect();
                        let path = format!("{prefix}{name}");
                        if host.files.lstat(&self.path(&path)).is_ok() {
                            next.push(path);
                        }
                        continue;
                    }
                    let at = if prefix.is_empty() { self.cwd.clone() } else { self.path(&prefix) };
                    let Ok(at) = host.files.resolve(&at, true) else { continue };
                    for (name, node) in host.files.children(&at) {
                        let hidden = name.starts_with('.') && component[0].0 != '.';
                        let last = n + 1 == components.len();
                        let folder = node.is_dir() || matches!(node.kind, crate::host::files::Kind::Link(_));
                        if hidden || ((!last || folder_only) && !folder) {
                            continue;
                        }
                        if pattern::matches(component, &name.chars().collect::<Vec<_>>()) {
                            next.push(format!("{prefix}{name}"));
                        }
                    }
                }
                found = next;
            }
            if folder_only {
                for path in &mut found {
                    path.push('/');
                }
            }
            found.sort();
            found
        })
    }
}

/// bash's `${x/pattern/text}`.
fn replace(value: &str, marks: &[Mark], all: bool) -> String {
    let slash = marks.iter().position(|m| *m == ('/', false)).unwrap_or(marks.len());
    let pattern = &marks[..slash];
    let text: String = marks.iter().skip(slash + 1).map(|(c, _)| *c).collect();
    let chars: Vec<char> = value.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < chars.len() {
        match pattern::prefix(pattern, &chars[at..], true) {
            Some(n) if n > 0 => {
                out.push_str(&text);
                at += n;
                if !all {
                    out.extend(&chars[at..]);
                    return out;
                }
            }
            _ => {
                out.push(chars[at]);
                at += 1;
            }
        }
    }
    out
}
