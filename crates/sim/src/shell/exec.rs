//! Running what was parsed.

use std::cell::RefCell;
use std::rc::Rc;

use super::ast::{Body, Command, Item, List, Pipeline, Redirect, Target, Word};
use super::io::{Fd, Input, Io};
use super::{Flow, Run, Shell, Var, pattern};
use crate::host::files::{Errno, Kind};
use crate::tools;

/// How deep functions, subshells and scripts may nest.
const DEPTH: usize = 100;

impl Shell {
    /// Runs commands in a row.
    pub(super) fn run_list(&mut self, list: &List, io: &Io) -> Run {
        let mut status = 0;
        for item in &list.0 {
            status = self.run_item(item, io)?;
        }
        Ok(status)
    }

    fn run_item(&mut self, item: &Item, io: &Io) -> Run {
        if item.background {
            let mut child = self.subshell();
            let io = io.with(0, Fd::Null);
            let status = child.finish(|sh| sh.run_and_or(item, &io), &io);
            self.background = Some(status);
            self.status = 0;
            return Ok(0);
        }
        self.run_and_or(item, io)
    }

    fn run_and_or(&mut self, item: &Item, io: &Io) -> Run {
        let mut status = self.run_pipeline(&item.first, !item.rest.is_empty(), io)?;
        for (n, (and, pipeline)) in item.rest.iter().enumerate() {
            if (status == 0) == *and {
                status = self.run_pipeline(pipeline, n + 1 < item.rest.len(), io)?;
            }
        }
        Ok(status)
    }

    fn run_pipeline(&mut self, pipeline: &Pipeline, tested: bool, io: &Io) -> Run {
        let untested = !tested && !pipeline.negate;
        self.tested += u32::from(!untested);
        let result = self.run_stages(&pipeline.commands, io);
        self.tested -= u32::from(!untested);
        let mut status = result?;
        if pipeline.negate {
            status = i32::from(status == 0);
        }
        self.status = status;
        // What failed inside a compound command has been judged there.
        let judged = matches!(
            pipeline.commands.as_slice(),
            [Command {
                body: Body::Group(_)
                    | Body::If { .. }
                    | Body::For { .. }
                    | Body::While { .. }
                    | Body::Case { .. },
                ..
            }]
        );
        if status != 0 && untested && self.options.errexit && self.tested == 0 && !judged {
            return Err(Flow::Exit(status));
        }
        Ok(status)
    }

    fn run_stages(&mut self, commands: &[Command], io: &Io) -> Run {
        let [stages @ .., last] = commands else { return Ok(0) };
        if stages.is_empty() {
            return self.run_command(last, io);
        }
        let io = io.fork();
        let mut failed = 0;
        for stage in stages {
            let buffer = Rc::new(RefCell::new(Vec::new()));
            let stage_io = io.with(1, Fd::Buffer(buffer.clone()));
            let mut child = self.subshell();
            let status = child.finish(|sh| sh.run_command(stage, &stage_io), &stage_io);
            if status != 0 {
                failed = status;
            }
            let input = Input::bytes(buffer.take());
            io.set(0, Some(Fd::Input(Rc::new(RefCell::new(input)))));
        }
        let mut child = self.subshell();
        let status = child.finish(|sh| sh.run_command(last, &io), &io);
        Ok(if status == 0 && self.options.pipefail { failed } else { status })
    }

    /// A copy that cannot change this shell.
    fn subshell(&self) -> Self {
        let mut child = self.clone();
        child.depth += 1;
        child.exit_trap = None;
        child.loops = 0;
        child
    }

    /// Runs a subshell's work to its exit status.
    fn finish(&mut self, work: impl FnOnce(&mut Self) -> Run, io: &Io) -> i32 {
        let status = match work(self) {
            Ok(status) | Err(Flow::Exit(status) | Flow::Return(status)) => status,
            Err(Flow::Break(_) | Flow::Continue(_)) => self.status,
        };
        self.run_exit_trap(status, io)
    }

    /// Runs one command.
    pub(super) fn run_command(&mut self, command: &Command, io: &Io) -> Run {
        self.line = command.line;
        if self.depth > DEPTH {
            return self.fatal("nested too deep (simulated host)", io);
        }
        if let Body::Simple { assigns, words } = &command.body {
            return self.run_simple(assigns, words, &command.redirects, io);
        }
        let io = match self.redirect(&command.redirects, io)? {
            Some(io) => io,
            None => {
                self.status = if self.bash { 1 } else { 2 };
                return Ok(self.status);
            }
        };
        let status = self.run_compound(&command.body, &io)?;
        self.status = status;
        Ok(status)
    }

    fn condition(&mut self, list: &List, io: &Io) -> Result<bool, Flow> {
        self.tested += 1;
        let result = self.run_list(list, io);
        self.tested -= 1;
        result.map(|status| status == 0)
    }

    fn run_compound(&mut self, body: &Body, io: &Io) -> Run {
        match body {
            Body::Subshell(list) => {
                let mut child = self.subshell();
                let io = io.fork();
                Ok(child.finish(|sh| sh.run_list(list, &io), &io))
            }
            Body::Group(list) => self.run_list(list, io),
            Body::If { arms, otherwise } => {
                for (condition, body) in arms {
                    if self.condition(condition, io)? {
                        return self.run_list(body, io);
                    }
                }
                match otherwise {
                    Some(body) => self.run_list(body, io),
                    None => Ok(0),
                }
            }
            Body::For { name, words, body } => {
                let values = match words {
                    Some(words) => self.expand_words(words, io)?,
                    None => self.positional.clone(),
                };
                let mut status = 0;
                for value in values {
                    if !self.spend() {
                        return self.out_of_budget(io);
                    }
                    if !self.set_var(name, value) {
                        return self.fatal(&format!("{name}: is read only"), io);
                    }
                    match self.loop_body(body, io) {
                        Ok(s) => status = s,
                        Err(Flow::Break(1)) => return Ok(0),
                        Err(Flow::Continue(1)) => status = 0,
                        Err(Flow::Break(n)) => return Err(Flow::Break(n - 1)),
                        Err(Flow::Continue(n)) => return Err(Flow::Continue(n - 1)),
                        Err(other) => return Err(other),
                    }
                }
                Ok(status)
            }
            Body::While { condition, until, body } => {
                let mut status = 0;
                loop {
                    if !self.spend() {
                        return self.out_of_budget(io);
                    }
                    self.loops += 1;
                    let holds = self.condition(condition, io);
                    self.loops -= 1;
                    let result = match holds {
                        Ok(holds) if holds == *until => return Ok(status),
                        Ok(_) => self.loop_body(body, io),
                        Err(flow) => Err(flow),
                    };
                    match result {
                        Ok(s) => status = s,
                        Err(Flow::Break(1)) => return Ok(0),
                        Err(Flow::Continue(1)) => status = 0,
                        Err(Flow::Break(n)) => return Err(Flow::Break(n - 1)),
                        Err(Flow::Continue(n)) => return Err(Flow::Continue(n - 1)),
                        Err(other) => return Err(other),
                    }
                }
            }
            Body::Case { word, arms } => {
                let text: Vec<char> = self.expand_string(word, io)?.chars().collect();
                for (patterns, body) in arms {
                    for candidate in patterns {
                        let marks = self.expand_marks(candidate, io)?;
                        if pattern::matches(&marks, &text) {
                            return self.run_list(body, io);
                        }
                    }
                }
                Ok(0)
            }
            Body::Function { name, body } => {
                self.functions.insert(name.clone(), body.clone());
                Ok(0)
            }
            Body::Conditional(words) => self.run_conditional(words, io),
            Body::Simple { .. } => Ok(0), // handled by the caller
        }
    }

    fn loop_body(&mut self, body: &List, io: &Io) -> Run {
        self.loops += 1;
        let result = self.run_list(body, io);
        self.loops -= 1;
        result
    }

    fn out_of_budget(&mut self, io: &Io) -> Run {
        if self.session.budget.get() == 0 {
            self.complain("gave up: too many commands for one script (simulated host)", io);
        }
        Err(Flow::Exit(124))
    }

    fn run_simple(
        &mut self,
        assigns: &[(String, Word)],
        words: &[Word],
        redirects: &[Redirect],
        io: &Io,
    ) -> Run {
        if !self.spend() {
            return self.out_of_budget(io);
        }
        self.substituted = None;
        let mut args = self.expand_words(words, io)?;
        if let (Some(alias), true) = (args.first().and_then(|a| a.strip_prefix('\\')), args.len() == 1) {
            args[0] = alias.to_owned();
        }
        let outer = io;
        let redirected = self.redirect(redirects, io)?;
        let mut values = Vec::new();
        for (name, word) in assigns {
            let value = self.expand_string(word, outer)?;
            if args.is_empty() && !self.set_var(name, value.clone()) {
                return self.fatal(&format!("{name}: is read only"), outer);
            }
            values.push((name.clone(), value));
        }
        if self.options.xtrace && !(args.is_empty() && values.is_empty()) {
            self.trace(&values, &args, outer);
        }
        let Some(io) = redirected else {
            let failed = if self.bash { 1 } else { 2 };
            if !self.bash && args.first().is_some_and(|a| super::builtins::is_special(a)) {
                return Err(Flow::Exit(failed));
            }
            self.status = failed;
            return Ok(failed);
        };
        let Some(name) = args.first().cloned() else {
            let status = self.substituted.unwrap_or(0);
            self.status = status;
            return Ok(status);
        };
        if name == "exec" {
            return self.run_exec(&args[1..], values, io, outer);
        }
        let special = super::builtins::is_special(&name);
        let saved: Vec<(String, Option<Var>)> =
            values.iter().map(|(n, _)| (n.clone(), self.vars.get(n).cloned())).collect();
        for (n, value) in values {
            if !self.set_var(&n, value) {
                return self.fatal(&format!("{n}: is read only"), &io);
            }
            if !special && let Some(var) = self.vars.get_mut(&n) {
                var.exported = true;
            }
        }
        let result = self.run_words(&args, &io);
        if !special || self.bash {
            for (n, old) in saved {
                match old {
                    Some(old) => drop(self.vars.insert(n, old)),
                    None => drop(self.vars.remove(&n)),
                }
            }
        }
        let status = result?;
        self.status = status;
        Ok(status)
    }

    fn trace(&mut self, values: &[(String, String)], args: &[String], io: &Io) {
        let assigns = values.iter().map(|(n, v)| format!("{n}={}", quote(v)));
        let line: Vec<String> = assigns.chain(args.iter().map(|a| quote(a))).collect();
        let prefix = self.var("PS4").unwrap_or("+ ").to_owned();
        self.write(io, 2, format!("{prefix}{}\n", line.join(" ")).as_bytes());
    }

    /// Runs a function, builtin or program.
    pub(crate) fn run_words(&mut self, args: &[String], io: &Io) -> Run {
        let Some(name) = args.first() else { return Ok(0) };
        if !super::builtins::is_special(name)
            && let Some(body) = self.functions.get(name).cloned()
        {
            return self.call_function(&body, &args[1..], io);
        }
        if let Some(result) = self.run_builtin(args, io) {
            return result;
        }
        Ok(self.run_program(args, io))
    }

    fn call_function(&mut self, body: &Rc<Command>, args: &[String], io: &Io) -> Run {
        if self.depth > DEPTH {
            return self.fatal("function calls nested too deep (simulated host)", io);
        }
        let outer = std::mem::replace(&mut self.positional, args.to_vec());
        let loops = std::mem::take(&mut self.loops);
        self.locals.push(Vec::new());
        self.depth += 1;
        let result = self.run_command(body, io);
        self.depth -= 1;
        for (name, old) in self.locals.pop().unwrap_or_default().into_iter().rev() {
            match old {
                Some(old) => drop(self.vars.insert(name, old)),
                None => drop(self.vars.remove(&name)),
            }
        }
        self.loops = loops;
        self.positional = outer;
        match result {
            Err(Flow::Return(status)) => Ok(status),
            other => other,
        }
    }

    /// Where a program is, searched in the PATH unless it has a slash.
    pub(crate) fn find_program(&self, name: &str) -> Result<String, Errno> {
        self.host(|host, now| {
            let runs = |path: &str| match host.stat(path, now) {
                Ok(node) if node.is_dir() => Err(Errno::Denied),
                Ok(node) if node.mode & 0o111 == 0 => Err(Errno::Denied),
                Ok(_) => Ok(()),
                Err(e) => Err(e),
            };
            if name.contains('/') {
                return runs(&self.path(name)).map(|()| name.to_owned());
            }
            let search = self.var("PATH").unwrap_or(crate::host::PATH);
            let mut failure = Errno::NotFound;
            for dir in search.split(':').filter(|d| !d.is_empty()) {
                let path = format!("{}/{name}", dir.trim_end_matches('/'));
                match runs(&self.path(&path)) {
                    Ok(()) => return Ok(path),
                    Err(Errno::Denied) if !host.files.is_dir(&path) => failure = Errno::Denied,
                    Err(_) => {}
                }
            }
            Err(failure)
        })
    }

    /// Runs a program of the host: a tool of the simulation, or a script.
    pub(crate) fn run_program(&mut self, args: &[String], io: &Io) -> i32 {
        let name = &args[0];
        let path = match self.find_program(name) {
            Ok(path) => path,
            Err(e) => {
                let (text, status) = match (e, name.contains('/')) {
                    (Errno::NotFound | Errno::NotDirectory, false) if self.bash => {
                        (format!("{name}: command not found"), 127)
                    }
                    (Errno::NotFound | Errno::NotDirectory, true) if self.bash => {
                        (format!("{name}: No such file or directory"), 127)
                    }
                    (Errno::NotFound | Errno::NotDirectory, _) => (format!("{name}: not found"), 127),
                    (e, _) => (format!("{name}: {e}"), 126),
                };
                self.complain(&format!("{text} (simulated host)"), io);
                return status;
            }
        };
        let absolute = self.path(&path);
        let (program, text) = self.host(|host, now| {
            let program = host.files.resolve(&absolute, true).ok().and_then(|p| host.program(&p));
            let text = if program.is_none() { host.read(&absolute, now).ok() } else { None };
            (program, text)
        });
        if let Some((tool, version)) = program {
            return tools::run(self, io, &tool, &version, args);
        }
        let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
        let first = text.lines().next().unwrap_or_default();
        let bash = match first.strip_prefix("#!") {
            Some(interpreter) => {
                let words: Vec<&str> = interpreter.split_whitespace().collect();
                let shell = words.iter().rev().find(|w| !w.starts_with('-')).copied().unwrap_or_default();
                match shell.rsplit('/').next().unwrap_or_default() {
                    "sh" | "dash" => false,
                    "bash" => true,
                    _ => {
                        self.complain(&format!("{path}: {shell}: no such interpreter (simulated host)"), io);
                        return 126;
                    }
                }
            }
            None if text.contains('\0') => {
                self.complain(
                    &format!("{path}: cannot execute binary file: a simulated host runs no real programs"),
                    io,
                );
                return 126;
            }
            None => self.bash,
        };
        let mut child = self.spawn(bash);
        child.arg0 = path;
        child.positional = args[1..].to_vec();
        for letter in
            first.split_whitespace().skip(1).filter_map(|w| w.strip_prefix('-')).flat_map(str::chars)
        {
            child.options.set_letter(letter, true);
        }
        child.run_script(&text, io)
    }

    /// `exec`: redirections for the rest of the script, or a last command.
    fn run_exec(&mut self, args: &[String], values: Vec<(String, String)>, io: Io, outer: &Io) -> Run {
        for (name, value) in values {
            self.set_var(&name, value);
            if let Some(var) = self.vars.get_mut(&name) {
                var.exported |= !args.is_empty();
            }
        }
        if args.is_empty() {
            outer.adopt(&io);
            return Ok(0);
        }
        self.exit_trap = None;
        let status = self.run_program(args, &io);
        Err(Flow::Exit(status))
    }

    /// Applies redirections. None if one failed; the complaint is printed.
    fn redirect(&mut self, redirects: &[Redirect], io: &Io) -> Result<Option<Io>, Flow> {
        if redirects.is_empty() {
            return Ok(Some(io.clone()));
        }
        let (table, outer) = (io.fork(), io);
        for redirect in redirects {
            let fd = redirect.fd;
            match &redirect.to {
                Target::Read(word) => {
                    let path = self.expand_string(word, outer)?;
                    match self.open_read(&path) {
                        Ok(input) => table.set(fd, Some(input)),
                        Err(e) => return Ok(self.cannot("open", &path, e, outer)),
                    }
                }
                Target::Write(word) | Target::Append(word) | Target::ReadWrite(word) | Target::Both(word) => {
                    let path = self.expand_string(word, outer)?;
                    let append = !matches!(redirect.to, Target::Write(_) | Target::Both(_));
                    match self.open_write(&path, append) {
                        Ok(to) => {
                            if matches!(redirect.to, Target::Both(_)) {
                                table.set(2, Some(to.clone()));
                            }
                            table.set(fd, Some(to));
                        }
                        Err(e) => return Ok(self.cannot("create", &path, e, outer)),
                    }
                }
                Target::Duplicate(word) => {
                    let text = self.expand_string(word, outer)?;
                    if text == "-" {
                        table.set(fd, None);
                    } else {
                        match text.parse::<u32>().ok().and_then(|n| table.get(n)) {
                            Some(from) => table.set(fd, Some(from)),
                            None => {
                                self.complain(&format!("{text}: Bad file descriptor"), outer);
                                return Ok(None);
                            }
                        }
                    }
                }
                Target::Here(body) => {
                    let word = body.borrow().clone();
                    let text = self.expand_string(&word, outer)?;
                    table.set(fd, Some(input(text.into_bytes())));
                }
                Target::HereString(word) => {
                    let text = self.expand_string(word, outer)? + "\n";
                    table.set(fd, Some(input(text.into_bytes())));
                }
            }
        }
        Ok(Some(table))
    }

    fn cannot(&mut self, what: &str, path: &str, e: Errno, io: &Io) -> Option<Io> {
        let text = match (self.bash, e) {
            (true, e) => format!("{path}: {e}"),
            (false, Errno::NotFound) if what == "open" => format!("cannot open {path}: No such file"),
            (false, Errno::NotFound) => format!("cannot create {path}: Directory nonexistent"),
            (false, e) => format!("cannot {what} {path}: {e}"),
        };
        self.complain(&text, io);
        None
    }

    fn open_read(&self, path: &str) -> Result<Fd, Errno> {
        if path == "/dev/null" {
            return Ok(Fd::Null);
        }
        let path = self.path(path);
        let bytes = self.host(|host, now| {
            if !host.files.may_read(&path, &self.user) && host.files.exists(&path) {
                return Err(Errno::Denied);
            }
            host.read(&path, now)
        })?;
        Ok(input(bytes))
    }

    pub(crate) fn open_write(&self, path: &str, append: bool) -> Result<Fd, Errno> {
        match path {
            "/dev/null" => return Ok(Fd::Null),
            "/dev/full" => return Err(Errno::Invalid),
            _ => {}
        }
        let path = self.path(path);
        if path.starts_with("/proc/sys/") {
            return self.open_sysctl(&path);
        }
        self.host_mut(|host, now| {
            let actor = crate::host::files::Actor { user: &self.user, now, umask: self.umask };
            host.files.write(&path, b"", append, actor)?;
            let (resolved, node) = host.files.stat(&path)?;
            debug_assert!(matches!(node.kind, Kind::File(_)));
            Ok(Fd::File(resolved))
        })
    }

    /// Writing to /proc/sys sets a parameter.
    fn open_sysctl(&self, path: &str) -> Result<Fd, Errno> {
        let name = path.trim_start_matches("/proc/sys/").replace('/', ".");
        if self.host(|h, _| h.sysctl(&name).is_none()) {
            return Err(Errno::Denied);
        }
        if self.user != "root" {
            return Err(Errno::Denied);
        }
        let (world, machine) = (self.world.clone(), self.machine.clone());
        Ok(Fd::Client(Rc::new(move |bytes: &[u8]| {
            let value = String::from_utf8_lossy(bytes).trim().to_owned();
            world.with(|s| {
                if let Some(host) = s.host_mut(&machine) {
                    host.set_sysctl(&name, &value);
                }
            });
        })))
    }
}

fn input(bytes: Vec<u8>) -> Fd {
    Fd::Input(Rc::new(RefCell::new(Input::bytes(bytes))))
}

/// Quotes a word as `set -x` shows it.
pub(crate) fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}
