//! Commands that are part of the shell.

use super::ast::Word;
use super::io::Io;
use super::{Flow, Run, Shell, Var, parse, test};
use crate::tools;

/// POSIX's special built-ins: an assignment before them stays, an error in them ends the shell.
pub(super) fn is_special(name: &str) -> bool {
    [
        ":", ".", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set",
        "shift", "times", "trap", "unset",
    ]
    .contains(&name)
}

/// Built-ins that are no special ones.
const REGULAR: &[&str] = &[
    "cd", "command", "read", "pwd", "umask", "wait", "type", "hash", "getopts", "ulimit", "local", "alias",
    "unalias", "jobs", "bg", "fg", "echo", "printf", "test", "[", "true", "false", "kill", "source",
    "declare", "typeset", "shopt", "builtin", "let", "mapfile", "disown",
];

impl Shell {
    /// Runs a builtin; none if there is none of this name.
    pub(super) fn run_builtin(&mut self, args: &[String], io: &Io) -> Option<Run> {
        let rest = &args[1..];
        let first = rest.first().map(String::as_str);
        Some(match args[0].as_str() {
            ":" | "true" => Ok(0),
            "false" => Ok(1),
            "." => self.dot(rest, io),
            "source" if self.bash => self.dot(rest, io),
            "break" | "continue" => {
                let n: u32 = first.and_then(|n| n.parse().ok()).unwrap_or(1).max(1);
                match (self.loops, args[0] == "break") {
                    (0, _) => Ok(0),
                    (loops, true) => Err(Flow::Break(n.min(loops))),
                    (loops, false) => Err(Flow::Continue(n.min(loops))),
                }
            }
            "eval" => {
                if self.depth > 90 {
                    return Some(self.fatal("nested too deep (simulated host)", io));
                }
                self.depth += 1;
                let result = self.eval_text(&rest.join(" "), io);
                self.depth -= 1;
                result
            }
            "exit" | "return" => {
                let status = match first {
                    None => self.status,
                    Some(text) => match text.parse::<i64>() {
                        Ok(n) => (n & 0xff) as i32,
                        Err(_) => {
                            self.complain(&format!("{}: Illegal number: {text}", args[0]), io);
                            return Some(Err(Flow::Exit(2)));
                        }
                    },
                };
                Err(if args[0] == "exit" { Flow::Exit(status) } else { Flow::Return(status) })
            }
            "export" | "readonly" => self.export(&args[0], rest, io),
            "local" => self.local(rest, io),
            "declare" | "typeset" if self.bash => self.local(rest, io),
            "set" => self.set(rest, io),
            "shift" => {
                let n: usize = first.and_then(|n| n.parse().ok()).unwrap_or(1);
                if n > self.positional.len() {
                    if self.bash {
                        return Some(Ok(1));
                    }
                    return Some(self.fatal("shift: can't shift that many", io));
                }
                self.positional.drain(..n);
                Ok(0)
            }
            "trap" => self.trap(rest),
            "unset" => {
                let functions = first == Some("-f");
                for name in rest.iter().filter(|a| !a.starts_with('-')) {
                    if functions {
                        self.functions.remove(name);
                    } else if self.vars.get(name).is_some_and(|v| v.readonly) {
                        return Some(self.fatal(&format!("unset: {name}: is read only"), io));
                    } else {
                        self.vars.remove(name);
                    }
                }
                Ok(0)
            }
            "times" | "hash" | "ulimit" | "unalias" | "jobs" | "bg" | "fg" | "disown" => Ok(0),
            "alias" => Ok(0),
            "shopt" if self.bash => Ok(0),
            "cd" => self.cd(first, io),
            "pwd" => {
                let text = format!("{}\n", self.cwd);
                self.write(io, 1, text.as_bytes());
                Ok(0)
            }
            "umask" => {
                match first.map(|m| u32::from_str_radix(m, 8)) {
                    None => {
                        let text = format!("{:04o}\n", self.umask);
                        self.write(io, 1, text.as_bytes());
                    }
                    Some(Ok(mask)) => self.umask = mask & 0o777,
                    Some(Err(_)) => {
                        self.complain("umask: only octal masks (simulated host)", io);
                        return Some(Ok(2));
                    }
                }
                Ok(0)
            }
            "wait" => Ok(self.background.take().filter(|_| !rest.is_empty()).unwrap_or(0)),
            "kill" => Ok(0),
            "read" => self.read(rest, io),
            "echo" => {
                let text = tools::echo(rest, self.bash);
                Ok(i32::from(!self.write(io, 1, &text)))
            }
            "printf" => {
                let (bytes, errors) = tools::printf(rest);
                self.write(io, 1, &bytes);
                for error in &errors {
                    self.complain(&format!("printf: {error}"), io);
                }
                Ok(if errors.is_empty() {
                    0
                } else if rest.is_empty() {
                    2
                } else {
                    1
                })
            }
            "test" | "[" => self.test(args, io),
            "let" if self.bash => return None,
            "builtin" if self.bash => return Some(self.run_builtin(rest, io).unwrap_or(Ok(1))),
            "command" => self.command(rest, io),
            "type" => {
                let mut status = 0;
                for name in rest {
                    match self.locate(name) {
                        Some(place) => {
                            let text = match place.as_str() {
                                p if p.starts_with('/') => format!("{name} is {p}\n"),
                                _ => format!("{name} is a shell builtin\n"),
                            };
                            self.write(io, 1, text.as_bytes());
                        }
                        None => {
                            let fd = if self.bash { 2 } else { 1 };
                            self.write(io, fd, format!("{name}: not found\n").as_bytes());
                            status = if self.bash { 1 } else { 127 };
                        }
                    }
                }
                Ok(status)
            }
            "getopts" => self.getopts(rest, io),
            _ => return None,
        })
    }

    /// Where a command would be found: its path, or its own name for what is in the shell.
    pub(crate) fn locate(&self, name: &str) -> Option<String> {
        let regular = REGULAR.contains(&name)
            && (self.bash || !["source", "declare", "typeset", "shopt", "let"].contains(&name));
        if is_special(name) || regular || self.functions.contains_key(name) {
            return Some(name.to_owned());
        }
        self.find_program(name).ok()
    }

    fn command(&mut self, rest: &[String], io: &Io) -> Run {
        match rest.first().map(String::as_str) {
            None => Ok(0),
            Some(flag @ ("-v" | "-V")) => {
                let Some(name) = rest.get(1) else { return Ok(2) };
                match self.locate(name) {
                    Some(place) if flag == "-v" => {
                        self.write(io, 1, format!("{place}\n").as_bytes());
                        Ok(0)
                    }
                    Some(place) => {
                        self.write(io, 1, format!("{name} is {place}\n").as_bytes());
                        Ok(0)
                    }
                    None if self.bash => Ok(1),
                    None => Ok(127),
                }
            }
            Some("-p" | "--") => self.command(&rest[1..], io),
            Some(_) => match self.run_builtin(rest, io) {
                Some(result) => result,
                None => Ok(self.run_program(rest, io)),
            },
        }
    }

    fn dot(&mut self, rest: &[String], io: &Io) -> Run {
        let Some(name) = rest.first() else { return self.fatal(".: filename argument required", io) };
        let path = self.path(name);
        let text = self.host(|h, now| h.read(&path, now));
        match text {
            Ok(bytes) => {
                if self.depth > 90 {
                    return self.fatal("nested too deep (simulated host)", io);
                }
                self.depth += 1;
                let result = self.eval_text(&String::from_utf8_lossy(&bytes), io);
                self.depth -= 1;
                match result {
                    Err(Flow::Return(status)) => Ok(status),
                    other => other,
                }
            }
            Err(_) if self.bash => {
                self.complain(&format!("{name}: No such file or directory"), io);
                Ok(1)
            }
            Err(_) => self.fatal(&format!(".: cannot open {name}: No such file"), io),
        }
    }

    fn export(&mut self, which: &str, rest: &[String], io: &Io) -> Run {
        if rest.is_empty() || rest == ["-p"] {
            let mut text = String::new();
            for (name, var) in &self.vars {
                if if which == "export" { var.exported } else { var.readonly } {
                    let value = var.value.as_deref().map(|v| format!("='{}'", v.replace('\'', "'\\''")));
                    text.push_str(&format!("{which} {name}{}\n", value.unwrap_or_default()));
                }
            }
            self.write(io, 1, text.as_bytes());
            return Ok(0);
        }
        for arg in rest.iter().filter(|a| *a != "-p" && *a != "--") {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (arg.as_str(), None),
            };
            if !parse::is_name(name) {
                return self.fatal(&format!("{which}: {name}: bad variable name"), io);
            }
            if let Some(value) = value
                && !self.set_var(name, value)
            {
                return self.fatal(&format!("{which}: {name}: is read only"), io);
            }
            let var = self.vars.entry(name.to_owned()).or_default();
            if which == "export" {
                var.exported = true;
            } else {
                var.readonly = true;
            }
        }
        Ok(0)
    }

    fn local(&mut self, rest: &[String], io: &Io) -> Run {
        for arg in rest.iter().filter(|a| !a.starts_with('-')) {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (arg.as_str(), None),
            };
            if !parse::is_name(name) {
                return self.fatal(&format!("local: {name}: bad variable name"), io);
            }
            let old = self.vars.get(name).cloned();
            if let Some(frame) = self.locals.last_mut() {
                frame.push((name.to_owned(), old));
                if self.bash && value.is_none() {
                    self.vars.insert(name.to_owned(), Var::default());
                }
            }
            if let Some(value) = value {
                self.set_var(name, value);
            }
        }
        Ok(0)
    }

    fn set(&mut self, rest: &[String], io: &Io) -> Run {
        if rest.is_empty() {
            let mut text = String::new();
            for (name, var) in &self.vars {
                if let Some(value) = &var.value {
                    text.push_str(&format!("{name}='{}'\n", value.replace('\'', "'\\''")));
                }
            }
            self.write(io, 1, text.as_bytes());
            return Ok(0);
        }
        let mut at = 0;
        while let Some(arg) = rest.get(at) {
            at += 1;
            if arg == "--" {
                self.positional = rest[at..].to_vec();
                return Ok(0);
            }
            let on = match arg.chars().next() {
                Some('-') if arg.len() > 1 => true,
                Some('+') if arg.len() > 1 => false,
                _ => {
                    self.positional = rest[at - 1..].to_vec();
                    return Ok(0);
                }
            };
            for letter in arg.chars().skip(1) {
                if letter == 'o' {
                    let Some(name) = rest.get(at) else { return Ok(0) };
                    at += 1;
                    if !self.options.set_name(name, on, self.bash) {
                        if self.bash {
                            self.complain(&format!("set: {name}: invalid option name"), io);
                            return Ok(2);
                        }
                        return self.fatal(&format!("set: Illegal option -o {name}"), io);
                    }
                } else if !self.options.set_letter(letter, on) {
                    return self.fatal(&format!("set: Illegal option -{letter}"), io);
                }
            }
        }
        Ok(0)
    }

    fn trap(&mut self, rest: &[String]) -> Run {
        let (action, signals) = match rest {
            [action, signals @ ..] if !signals.is_empty() => (action.as_str(), signals),
            [signal] => ("-", std::slice::from_ref(signal)),
            _ => return Ok(0),
        };
        if signals.iter().any(|s| s == "EXIT" || s == "0") {
            self.exit_trap = (action != "-").then(|| action.to_owned());
        }
        Ok(0)
    }

    fn cd(&mut self, to: Option<&str>, io: &Io) -> Run {
        let to = match to {
            None => self.var("HOME").unwrap_or("/").to_owned(),
            Some("-") => self.var("OLDPWD").unwrap_or("/").to_owned(),
            Some("") => self.cwd.clone(),
            Some(to) => to.to_owned(),
        };
        let path = self.path(&to);
        let found = self.host(|h, now| h.stat(&path, now).map(|n| n.is_dir()));
        match found {
            Ok(true) => {
                let old = std::mem::replace(&mut self.cwd, path.clone());
                self.set_var("OLDPWD", old);
                self.set_var("PWD", path);
                Ok(0)
            }
            other => {
                let text = match (other, self.bash) {
                    (Ok(_), true) => format!("cd: {to}: Not a directory"),
                    (Err(e), true) => format!("cd: {to}: {e}"),
                    (_, false) => format!("cd: can't cd to {to}"),
                };
                self.complain(&text, io);
                Ok(if self.bash { 1 } else { 2 })
            }
        }
    }

    fn read(&mut self, rest: &[String], io: &Io) -> Run {
        let mut raw = false;
        let mut names: Vec<&str> = Vec::new();
        let mut args = rest.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-r" => raw = true,
                "-p" | "-t" | "-n" | "-d" | "-u" => {
                    args.next();
                }
                name => names.push(name),
            }
        }
        if names.is_empty() {
            names.push("REPLY");
        }
        let mut text = String::new();
        let mut ended = false;
        while let Some((line, newline)) = io.read_line() {
            ended = newline;
            let line = String::from_utf8_lossy(&line).into_owned();
            if !raw && line.ends_with('\\') && newline {
                text.push_str(&line[..line.len() - 1]);
                continue;
            }
            text.push_str(&line);
            break;
        }
        let ifs = self.var("IFS").unwrap_or(" \t\n").to_owned();
        let chars: Vec<(char, bool)> = {
            let mut out = Vec::new();
            let mut source = text.chars();
            while let Some(c) = source.next() {
                match c {
                    '\\' if !raw => out.extend(source.next().map(|c| (c, true))),
                    c => out.push((c, false)),
                }
            }
            out
        };
        let separator = |&(c, quoted): &(char, bool)| !quoted && ifs.contains(c);
        let blank = |m: &(char, bool)| separator(m) && m.0.is_whitespace();
        let mut at = 0;
        while chars.get(at).is_some_and(blank) {
            at += 1;
        }
        for (n, name) in names.iter().enumerate() {
            let last = n + 1 == names.len();
            let end = if last {
                chars.len()
            } else {
                chars[at..].iter().position(separator).map_or(chars.len(), |p| at + p)
            };
            let mut value = &chars[at..end];
            if last {
                while value.last().is_some_and(blank) {
                    value = &value[..value.len() - 1];
                }
                // One trailing separator that is not blank ends the last field, unless there are more before it.
                if value.last().is_some_and(separator) && value.iter().filter(|m| separator(m)).count() == 1 {
                    value = &value[..value.len() - 1];
                }
            }
            let text: String = value.iter().map(|(c, _)| *c).collect();
            if !self.set_var(name, text) {
                return self.fatal(&format!("read: {name}: is read only"), io);
            }
            at = end;
            while chars.get(at).is_some_and(blank) {
                at += 1;
            }
            if end < chars.len() && chars.get(at).is_some_and(|m| separator(m) && !blank(m)) {
                at += 1;
                while chars.get(at).is_some_and(blank) {
                    at += 1;
                }
            }
        }
        Ok(i32::from(!ended))
    }

    pub(crate) fn test(&mut self, args: &[String], io: &Io) -> Run {
        let mut words = &args[1..];
        if args[0] == "[" {
            match words.split_last() {
                Some((last, rest)) if last == "]" => words = rest,
                _ => {
                    self.complain("[: missing ]", io);
                    return Ok(2);
                }
            }
        }
        match test::evaluate(self, words) {
            Ok(holds) => Ok(i32::from(!holds)),
            Err(message) => {
                self.complain(&format!("{}: {message}", args[0]), io);
                Ok(2)
            }
        }
    }

    fn getopts(&mut self, rest: &[String], io: &Io) -> Run {
        let [spec, name, more @ ..] = rest else { return Ok(2) };
        let args = if more.is_empty() { self.positional.clone() } else { more.to_vec() };
        let index: usize = self.var("OPTIND").and_then(|v| v.parse().ok()).unwrap_or(1);
        let place: usize = self.var("_GETOPTS_PLACE").and_then(|v| v.parse().ok()).unwrap_or(1);
        let current = args.get(index.wrapping_sub(1)).cloned().unwrap_or_default();
        if !current.starts_with('-') || current == "-" || current == "--" {
            self.set_var(name, "?");
            if current == "--" {
                self.set_var("OPTIND", (index + 1).to_string());
            }
            return Ok(1);
        }
        let letters: Vec<char> = current.chars().collect();
        let letter = letters.get(place).copied().unwrap_or('?');
        let last = place + 1 >= letters.len();
        let mut next = if last { (index + 1, 1) } else { (index, place + 1) };
        let silent = spec.starts_with(':');
        let position = spec.find(letter).filter(|_| letter != ':');
        let wants = position.is_some_and(|p| spec[p + letter.len_utf8()..].starts_with(':'));
        let mut result = letter.to_string();
        self.vars.remove("OPTARG");
        if position.is_none() {
            result = "?".to_owned();
            if silent {
                self.set_var("OPTARG", letter.to_string());
            } else {
                self.write(io, 2, format!("Illegal option -{letter}\n").as_bytes());
            }
        } else if wants {
            if !last {
                self.set_var("OPTARG", letters[place + 1..].iter().collect::<String>());
                next = (index + 1, 1);
            } else if let Some(value) = args.get(index) {
                self.set_var("OPTARG", value.clone());
                next = (index + 2, 1);
            } else if silent {
                result = ":".to_owned();
                self.set_var("OPTARG", letter.to_string());
            } else {
                result = "?".to_owned();
                self.write(io, 2, format!("No arg for -{letter} option\n").as_bytes());
            }
        }
        self.set_var("OPTIND", next.0.to_string());
        self.set_var("_GETOPTS_PLACE", next.1.to_string());
        self.set_var(name, result);
        Ok(0)
    }

    /// `[[ … ]]`.
    pub(super) fn run_conditional(&mut self, words: &[Word], io: &Io) -> Run {
        match super::conditional::evaluate(self, words, io)? {
            Ok(holds) => Ok(i32::from(!holds)),
            Err(message) => {
                self.complain(&format!("[[: {message}"), io);
                Ok(2)
            }
        }
    }
}
