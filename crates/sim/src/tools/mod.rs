//! The programs of a simulated host, one file a family. Each gets its arguments and descriptors and gives an exit status; what it does not
//! simulate it refuses with a word, never in silence.

mod apt;
mod attributes;
mod awk;
mod catalogue;
mod containers;
mod dpkg;
mod files;
mod find;
mod grep;
mod hash;
mod kernel;
mod list;
mod net;
mod opts;
mod packages;
mod printf;
mod processes;
mod sed;
mod system;
mod systemd;
mod text;

pub(crate) use opts::{Opts, getopt};
pub(crate) use printf::{echo, printf};
pub(crate) use system::{civil, days, format_date, rfc3339};

use crate::host::Host;
use crate::host::files::{Actor, Errno};
use crate::shell::Shell;
use crate::shell::io::Io;

/// A running program.
pub(crate) struct Cx<'a> {
    /// The shell that started it: environment, user, working folder, world.
    pub(crate) sh: &'a mut Shell,
    /// Its descriptors.
    pub(crate) io: &'a Io,
    /// The simulated program's name.
    pub(crate) name: &'a str,
    /// Its version, for those that have one.
    pub(crate) version: &'a str,
    /// Arguments after the name.
    pub(crate) args: &'a [String],
}

impl Cx<'_> {
    /// Writes to standard output. False once nobody reads.
    pub(crate) fn out(&mut self, text: impl AsRef<[u8]>) -> bool {
        self.sh.write(self.io, 1, text.as_ref())
    }

    /// Writes to standard error.
    pub(crate) fn err(&mut self, text: impl AsRef<[u8]>) {
        self.sh.write(self.io, 2, text.as_ref());
    }

    /// Prints `name: message` and gives a status.
    pub(crate) fn fail(&mut self, status: i32, message: impl std::fmt::Display) -> i32 {
        let text = format!("{}: {message}\n", self.name);
        self.err(text);
        status
    }

    /// Complains about something that real programs can do and this one cannot.
    pub(crate) fn unsupported(&mut self, what: impl std::fmt::Display) -> i32 {
        self.fail(2, format!("{what}: not simulated (simulated host)"))
    }

    /// Options and operands, or a complaint and its status.
    pub(crate) fn opts(&mut self, short: &str, long: &[&str]) -> Result<Opts, i32> {
        getopt(self.args, short, long).map_err(|e| self.fail(if self.name == "ls" { 2 } else { 1 }, e))
    }

    /// Standard input to its end.
    pub(crate) fn stdin(&self) -> Vec<u8> {
        self.io.read_all()
    }

    /// Content of a file, or of standard input for `-`.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, Errno> {
        if path == "-" || path == "/dev/stdin" {
            return Ok(self.stdin());
        }
        let path = self.sh.path(path);
        self.sh.host(|h, now| {
            if h.files.exists(&path) && !h.files.may_read(&path, &self.sh.user) {
                return Err(Errno::Denied);
            }
            h.read(&path, now)
        })
    }

    /// Reads the host.
    pub(crate) fn host<R>(&self, f: impl FnOnce(&Host, i64) -> R) -> R {
        self.sh.host(f)
    }

    /// Changes the host.
    pub(crate) fn host_mut<R>(&self, f: impl FnOnce(&mut Host, i64) -> R) -> R {
        self.sh.host_mut(f)
    }

    /// Changes the host's files as the user.
    pub(crate) fn files_mut<R>(&self, f: impl FnOnce(&mut crate::host::files::Files, Actor<'_>) -> R) -> R {
        let (user, umask) = (self.sh.user.clone(), self.sh.umask);
        self.sh.host_mut(|h, now| f(&mut h.files, Actor { user: &user, now, umask }))
    }

    /// Whether the user is root; otherwise complains as most admin tools do.
    pub(crate) fn root(&self) -> bool {
        self.sh.user == "root"
    }
}

/// Runs a program of the simulation.
pub(crate) fn run(sh: &mut Shell, io: &Io, tool: &str, version: &str, args: &[String]) -> i32 {
    let called = args[0].rsplit('/').next().unwrap_or_default().to_owned();
    let line = std::iter::once(called.as_str()).chain(args[1..].iter().map(String::as_str));
    let line = line.collect::<Vec<_>>().join(" ");
    let mut cx = Cx { sh, io, name: tool, version, args: &args[1..] };
    if tool != "sudo"
        && let Some(text) = cx.sh.state(|s| s.planned_failure(&line))
    {
        return cx.fail(1, text);
    }
    let process = (cx.sh.machine.clone(), tool.to_owned());
    let seen = ["kubeadm", "apt-get", "kubectl"].contains(&tool); // what `pgrep` is asked about
    if seen {
        cx.sh.state(|s| *s.processes.entry(process.clone()).or_default() += 1);
    }
    let status = dispatch(tool, &mut cx);
    if seen {
        cx.sh.state(|s| {
            s.processes.entry(process).and_modify(|n| *n = n.saturating_sub(1));
        });
    }
    match status {
        Some(Ok(status) | Err(status)) => status,
        None => cx.fail(127, "this program is known and not simulated (simulated host)"),
    }
}

/// A tool's exit status; `Err` only shortens the way out.
pub(crate) type Status = Result<i32, i32>;

fn dispatch(tool: &str, cx: &mut Cx<'_>) -> Option<Status> {
    files::dispatch(tool, cx)
        .or_else(|| text::dispatch(tool, cx))
        .or_else(|| system::dispatch(tool, cx))
        .or_else(|| processes::dispatch(tool, cx))
        .or_else(|| kernel::dispatch(tool, cx))
        .or_else(|| net::dispatch(tool, cx))
        .or_else(|| dpkg::dispatch(tool, cx))
        .or_else(|| containers::dispatch(tool, cx))
        .or_else(|| match tool {
            "awk" => Some(awk::run(cx)),
            "find" => Some(find::run(cx)),
            "grep" | "egrep" | "fgrep" => Some(grep::run(cx)),
            "ls" => Some(list::run(cx)),
            "sed" => Some(sed::run(cx)),
            "systemctl" | "journalctl" => Some(systemd::run(cx)),
            "apt" | "apt-get" => Some(apt::run(cx)),
            "kubeadm" => Some(crate::kubeadm::run(cx)),
            "kubectl" => Some(crate::kubectl::run(cx)),
            _ => None,
        })
}
