//! A POSIX shell that runs on a simulated host: enough of dash (and of what scripts use of bash) for the commands that arrive over SSH.
//!
//! It is a tree walker. Pipelines run from left to right, each stage to its end; `&` runs at once; `sleep` moves the simulated clock.
//! A budget of commands bounds every loop.

pub mod arith;
pub mod ast;
mod builtins;
mod conditional;
pub mod escape;
mod exec;
mod expand;
pub mod io;
mod options;
pub mod parse;
pub mod pattern;
pub mod test;

pub(crate) use exec::quote;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::host::Host;
use crate::host::files::{self, Actor};
use crate::world::World;
use crate::world::model::State;
use io::{Fd, Io};

/// A shell variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Var {
    /// None for one that is exported or read-only, not set.
    pub value: Option<String>,
    /// In the environment of commands.
    pub exported: bool,
    /// Cannot change.
    pub readonly: bool,
}

/// `set -eux` and the like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// `-e`
    pub errexit: bool,
    /// `-u`
    pub nounset: bool,
    /// `-x`
    pub xtrace: bool,
    /// `-f`
    pub noglob: bool,
    /// `-n`
    pub noexec: bool,
    /// `-a`
    pub allexport: bool,
    /// `-o pipefail` (bash; Debian 12's dash has none)
    pub pipefail: bool,
    /// `-v`, `-C`, `-m`, `-b`: accepted, without effect here
    pub other: bool,
}

/// Why the normal course was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// `break n`
    Break(u32),
    /// `continue n`
    Continue(u32),
    /// `return`
    Return(i32),
    /// `exit`, or an error that ends a shell
    Exit(i32),
}

/// Result of running something: an exit status, or a jump.
pub type Run = Result<i32, Flow>;

/// What a session's shells share.
#[derive(Debug)]
pub struct Session {
    /// The client went away.
    pub cancelled: Arc<AtomicBool>,
    budget: Cell<u64>,
    /// This session's own clock: sleeps move it, and the world's with it.
    cursor: Cell<i64>,
    /// Real milliseconds that sleeps of this session may still take.
    patience: Cell<i64>,
    /// Simulated time at which `timeout` ends what runs, in milliseconds since 1970.
    deadline: Cell<i64>,
    /// The deadline has passed: nothing runs any more until `timeout` returns.
    expired: Cell<bool>,
}

/// How many commands one SSH request may run.
const BUDGET: u64 = 200_000;

/// Real milliseconds that the sleeps of one SSH request may take together.
const PATIENCE: i64 = 3000;

/// A shell process.
#[derive(Clone)]
pub struct Shell {
    /// The world it is in.
    pub world: Arc<World>,
    /// Id of its machine.
    pub machine: String,
    /// Who runs it.
    pub user: String,
    /// Variables.
    pub vars: BTreeMap<String, Var>,
    /// `$1` and on.
    pub positional: Vec<String>,
    /// `$0`.
    pub arg0: String,
    /// `set` options.
    pub options: Options,
    /// `$?`
    pub status: i32,
    /// Working folder.
    pub cwd: String,
    /// File mode mask.
    pub umask: u32,
    /// bash rather than dash.
    pub bash: bool,
    functions: BTreeMap<String, Rc<ast::Command>>,
    /// Saved variables of the functions being run.
    locals: Vec<Vec<(String, Option<Var>)>>,
    exit_trap: Option<String>,
    line: usize,
    depth: usize,
    loops: u32,
    /// Inside a condition, where `-e` does not count.
    tested: u32,
    session: Rc<Session>,
    /// Shared by subshells: `$$`.
    pid: u32,
    background: Option<i32>,
    /// Status of the last command substitution of a word list.
    substituted: Option<i32>,
}

impl std::fmt::Debug for Shell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shell({} on {})", self.user, self.machine) // its variables may be secret
    }
}

impl Shell {
    /// The login shell of a user on a machine.
    pub fn login(world: &Arc<World>, machine: &str, user: &str, cancelled: Arc<AtomicBool>) -> Self {
        let home = if user == "root" { "/root".to_owned() } else { format!("/home/{user}") };
        let now = world.with(|s| s.now());
        let session = Session {
            cancelled,
            budget: Cell::new(BUDGET),
            cursor: Cell::new(now),
            patience: Cell::new(PATIENCE),
            deadline: Cell::new(i64::MAX),
            expired: Cell::new(false),
        };
        let mut shell = Shell {
            world: world.clone(),
            machine: machine.to_owned(),
            user: user.to_owned(),
            vars: BTreeMap::new(),
            positional: Vec::new(),
            arg0: "bash".to_owned(),
            options: Options::default(),
            status: 0,
            cwd: home.clone(),
            umask: 0o022,
            bash: true,
            functions: BTreeMap::new(),
            locals: Vec::new(),
            exit_trap: None,
            line: 1,
            depth: 0,
            loops: 0,
            tested: 0,
            session: Rc::new(session),
            pid: 1000 + rand::random::<u32>() % 30_000,
            background: None,
            substituted: None,
        };
        let path = if user == "root" {
            crate::host::PATH
        } else {
            "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
        };
        for (name, value) in [
            ("HOME", home.as_str()),
            ("USER", user),
            ("LOGNAME", user),
            ("PATH", path),
            ("SHELL", "/bin/bash"),
            ("LANG", "C.UTF-8"),
            ("PWD", &home),
            ("GRAPPE_SIMULATED", "1"),
        ] {
            let var = Var { value: Some(value.to_owned()), exported: true, readonly: false };
            shell.vars.insert(name.to_owned(), var);
        }
        shell.set_var("IFS", " \t\n");
        shell
    }

    /// A new process of this one: the environment goes along, the rest does not.
    pub fn spawn(&self, bash: bool) -> Self {
        let mut child = self.clone();
        child.vars.retain(|_, v| v.exported && v.value.is_some());
        for var in child.vars.values_mut() {
            var.readonly = false;
        }
        child.functions.clear();
        child.locals.clear();
        child.options = Options::default();
        child.positional.clear();
        child.exit_trap = None;
        (child.status, child.line, child.loops, child.tested, child.background) = (0, 1, 0, 0, None);
        child.bash = bash;
        child.depth += 1;
        child.pid += 1;
        child.set_var("IFS", " \t\n");
        child
    }

    /// Parses and runs a script to its end, its EXIT trap included.
    pub fn run_script(&mut self, text: &str, io: &Io) -> i32 {
        let status = match self.eval_text(text, io) {
            Ok(status) => status,
            Err(Flow::Exit(status) | Flow::Return(status)) => status,
            Err(Flow::Break(_) | Flow::Continue(_)) => self.status,
        };
        self.run_exit_trap(status, io)
    }

    /// A login shell without a terminal: greets on stderr, then runs standard input line by line.
    pub fn run_interactive(&mut self, io: &Io) -> i32 {
        let greeting = self.host(|h, _| h.files.text("/etc/motd"));
        self.write(io, 2, greeting.as_bytes());
        let mut text = String::new();
        while let Some((line, _)) = io.read_line() {
            text.push_str(&String::from_utf8_lossy(&line));
            text.push('\n');
            // Lines that do not parse yet may be the start of something longer.
            if parse::parse(&text, self.bash).is_err() && text.len() < 100_000 {
                continue;
            }
            match self.eval_text(&std::mem::take(&mut text), io) {
                Ok(_) => {}
                Err(Flow::Exit(status) | Flow::Return(status)) => return self.run_exit_trap(status, io),
                Err(_) => {}
            }
        }
        let status = if text.is_empty() { self.status } else { self.run_script(&text, io) };
        self.run_exit_trap(status, io)
    }

    fn run_exit_trap(&mut self, status: i32, io: &Io) -> i32 {
        let Some(trap) = self.exit_trap.take() else { return status };
        self.status = status;
        self.options.errexit = false;
        match self.eval_text(&trap, io) {
            Err(Flow::Exit(changed)) => changed,
            _ => status,
        }
    }

    /// Parses and runs text in this shell.
    fn eval_text(&mut self, text: &str, io: &Io) -> Run {
        match parse::parse(text, self.bash) {
            Ok(list) => self.run_list(&list, io),
            Err(e) => {
                let name = if self.bash { "bash: -c".to_owned() } else { self.arg0.clone() };
                let line = if self.bash { format!("line {e}") } else { e.to_string() };
                self.write(io, 2, format!("{name}: {line} (simulated host)\n").as_bytes());
                Err(Flow::Exit(2))
            }
        }
    }

    /// Writes to a descriptor. False once nobody reads any more.
    pub fn write(&mut self, io: &Io, fd: u32, bytes: &[u8]) -> bool {
        match io.get(fd) {
            Some(Fd::Buffer(buffer)) => {
                let mut buffer = buffer.borrow_mut();
                if buffer.len() + bytes.len() > io::BUFFER_LIMIT {
                    return false;
                }
                buffer.extend_from_slice(bytes);
            }
            Some(Fd::Client(send)) => send(bytes),
            Some(Fd::File(path)) => {
                // An open descriptor outlives a removed file and a lost permission: what cannot be written is dropped.
                let _ = self.host_mut(|h, now| h.files.write(&path, bytes, true, Actor::root(now)));
            }
            Some(Fd::Null) => {}
            Some(Fd::Input(_)) | None => return false,
        }
        true
    }

    /// Reads the host.
    pub fn host<R>(&self, f: impl FnOnce(&Host, i64) -> R) -> R {
        self.world.with(|s| {
            let now = s.now() / 1000;
            match s.host(&self.machine) {
                Some(host) => f(host, now),
                None => f(&GONE, now), // deleted under a running session: it sees an empty disk
            }
        })
    }

    /// Changes the host; a host that is gone swallows the change.
    pub fn host_mut<R>(&self, f: impl FnOnce(&mut Host, i64) -> R) -> R {
        self.world.with(|s| {
            let now = s.now() / 1000;
            match s.host_mut(&self.machine) {
                Some(host) => f(host, now),
                None => f(&mut GONE.clone(), now),
            }
        })
    }

    /// Reads or changes the whole world.
    pub fn state<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        self.world.with(f)
    }

    /// Who touches files, at second `now`.
    pub fn actor(&self, now: i64) -> Actor<'_> {
        Actor { user: &self.user, now, umask: self.umask }
    }

    /// Makes a path absolute.
    pub fn path(&self, path: &str) -> String {
        files::absolute(&self.cwd, path)
    }

    /// Value of a variable.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).and_then(|v| v.value.as_deref())
    }

    /// Value of an exported variable.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.vars.get(name).filter(|v| v.exported).and_then(|v| v.value.as_deref())
    }

    /// Sets a variable; a read-only one stays as it is.
    pub fn set_var(&mut self, name: &str, value: impl Into<String>) -> bool {
        let all = self.options.allexport;
        let var = self.vars.entry(name.to_owned()).or_default();
        if var.readonly {
            return false;
        }
        var.value = Some(value.into());
        var.exported |= all;
        true
    }

    /// Moves this session's clock, and the world's if it is behind. A little real time passes too, so that a loop that waits for what another
    /// session does gives it the time to do it.
    pub fn sleep(&self, milliseconds: i64) {
        let session = &self.session;
        let wanted = session.cursor.get().saturating_add(milliseconds);
        let until = wanted.min(session.deadline.get());
        session.expired.set(session.expired.get() || until < wanted);
        self.state(|s| s.advance(until));
        session.cursor.set(until);
        let real = (milliseconds / 200).clamp(0, 50).min(session.patience.get());
        session.patience.set(session.patience.get() - real);
        self.wait(Duration::from_millis(real.unsigned_abs()), |_| None::<()>);
    }

    /// Runs something under a limit of simulated time, in milliseconds. True if the limit ended it.
    pub(crate) fn within<R>(&mut self, limit: i64, run: impl FnOnce(&mut Self) -> R) -> (R, bool) {
        let session = self.session.clone();
        let now = self.state(|s| s.now());
        session.cursor.set(session.cursor.get().max(now));
        let (outer, was_expired) = (session.deadline.get(), session.expired.get());
        session.deadline.set(outer.min(session.cursor.get().saturating_add(limit)));
        let result = run(self);
        session.deadline.set(outer);
        let ended = session.expired.get() && !was_expired;
        // An outer limit that passed as well ends what is around it.
        session.expired.set(was_expired || (ended && session.cursor.get() >= outer));
        (result, ended)
    }

    /// Whether the client went away or the budget is spent.
    pub fn stopped(&self) -> bool {
        self.session.cancelled.load(Ordering::Relaxed)
            || self.session.budget.get() == 0
            || self.session.expired.get()
    }

    /// Takes one command off the budget.
    fn spend(&self) -> bool {
        let left = self.session.budget.get();
        self.session.budget.set(left.saturating_sub(1));
        left > 0 && !self.session.cancelled.load(Ordering::Relaxed) && !self.session.expired.get()
    }

    /// Waits, in real time, until the world gives something; the client's going away ends it.
    pub fn wait<R>(&self, limit: Duration, f: impl FnMut(&mut State) -> Option<R>) -> Option<R> {
        self.world.wait(
            limit,
            Duration::from_millis(10),
            || self.session.cancelled.load(Ordering::Relaxed),
            f,
        )
    }
}

/// What a session of a deleted machine sees.
static GONE: std::sync::LazyLock<Host> = std::sync::LazyLock::new(|| Host {
    hostname: "gone".to_owned(),
    boot_id: String::new(),
    booted: 0,
    files: Default::default(),
    packages: Default::default(),
    apt_lists: Default::default(),
    services: Default::default(),
    sysctls: Default::default(),
    modules: Default::default(),
    swap: false,
    cloud_init: Default::default(),
    images: Default::default(),
    node: None,
    cpus: 0,
    memory_mb: 0,
    nics: Vec::new(),
});
