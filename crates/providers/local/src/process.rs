//! Processes by pid *and* start time: a pid alone may long be another one's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use grappe_provider::Fault;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::files::read;

/// A process as it was when it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pid: i32,
    /// Field 22 of `/proc/PID/stat`: when it started, in clock ticks since the kernel did.
    started: u64,
}

impl Process {
    /// The one that a file names, as `PID STARTED`, if it lives.
    pub(crate) fn from_file(path: &Path) -> Result<Option<Process>, Fault> {
        let Some(bytes) = read(path)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut words = text.split_whitespace();
        let parsed =
            (|| Some(Process { pid: words.next()?.parse().ok()?, started: words.next()?.parse().ok()? }))();
        Ok(parsed.filter(Process::lives))
    }

    /// Whether it still is that process, and no mere zombie.
    pub(crate) fn lives(&self) -> bool {
        stat(self.pid).is_some_and(|s| s.started == self.started && s.state != 'Z')
    }

    /// Those of these programs that have a word among their arguments.
    pub(crate) fn with_word(programs: &[&str], word: impl AsRef<OsStr>) -> Vec<Process> {
        let word = word.as_ref().as_bytes();
        let of_it = |pid: &i32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = command.split(|byte| *byte == 0);
            words.next().is_some_and(|program| programs.iter().any(|name| name.as_bytes() == program))
                && words.any(|w| w == word)
        };
        all().filter(of_it).filter_map(|pid| Some(Process { pid, started: stat(pid)?.started })).collect()
    }

    /// Those that run a script of ours, or are about to: what a killed run launched may not have come to its lock yet. Whoever reads the
    /// script with another program is left alone.
    pub(crate) fn of_script(script: &Path) -> Vec<Process> {
        Process::with_word(&["sh", "setsid"], script)
    }

    /// Its children.
    pub(crate) fn children(&self) -> Vec<Process> {
        all()
            .filter_map(|pid| {
                let s = stat(pid)?;
                (s.parent == self.pid).then_some(Process { pid, started: s.started })
            })
            .collect()
    }

    /// Ends it, if it lives.
    pub(crate) fn kill(&self) {
        if self.lives() {
            // One that ended just now is what is wanted.
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }
}

/// The pids of all processes.
fn all() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// Ends a process of a cgroup: its pid was read there just now.
pub(crate) fn kill_pid(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(&text)
}

/// proc(5): `pid (comm) state ppid …`, and `comm` may hold blanks and parentheses.
fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_does_not_shift_the_fields() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 200";
        let s = parse(text).unwrap();
        assert_eq!((s.state, s.parent, s.started), ('S', 3, 4711));
    }

    #[test]
    fn a_script_is_found_by_its_shell_alone() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("wait.sh");
        crate::rootfs::put(dir.path(), "wait.sh", "read -r _\n", 0o600, 0o700).unwrap();
        let run = |program: &str, args: &[&str]| {
            let mut command = std::process::Command::new(program);
            command
                .args(args)
                .arg(&script)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::null());
            command.spawn().unwrap()
        };
        let mut shell = run("sh", &[]);
        let mut reader = run("tail", &["-f"]);
        let found: Vec<i32> = Process::of_script(&script).iter().map(|p| p.pid).collect();
        assert_eq!(found, [i32::try_from(shell.id()).unwrap()]);
        Process::of_script(&script).iter().for_each(Process::kill);
        shell.wait().unwrap();
        assert_eq!(Process::of_script(&script), []);
        reader.kill().unwrap();
        reader.wait().unwrap();
    }

    #[test]
    fn another_process_under_the_same_pid_is_another() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let own = Process { pid, started: stat(pid).unwrap().started };
        assert!(own.lives());
        assert!(!Process { started: own.started + 1, ..own }.lives());
    }
}
