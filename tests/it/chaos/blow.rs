//! How a run is killed: at a system call on one of its files, or at an instant.
//!
//! What a kill leaves behind is decided by the files that were changed before it: killed before each system call that changes one, a run leaves every
//! state that it can leave (in the order that its threads happened to take). `strace` does it to the released program as it is: it sends SIGKILL as the
//! n-th call of a thread begins, and the call does nothing any more.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::sandbox::Sandbox;

pub(super) const JOURNAL: &str = "grappe.state/grappe.journal";

/// System calls on a file, or on any where it is not named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    /// What it is in the table.
    pub(super) name: &'static str,
    calls: &'static str,
    file: &'static str,
}

const fn point(name: &'static str, calls: &'static str, file: &'static str) -> Point {
    Point { name, calls, file }
}

/// Before each record is in the journal, and after.
pub(super) const WRITTEN: Point = point("journal written", "fdatasync", JOURNAL);

/// All that changes the files of a state or of a simulated world.
pub(super) const POINTS: [Point; 11] = [
    point("journal record", "write", JOURNAL),
    WRITTEN,
    point("journal begun", "ftruncate,fsync", JOURNAL),
    point("journal removed", "unlink", JOURNAL),
    point("snapshot kept", "unlink,linkat", "grappe.state/grappe.state.json"),
    point("snapshot kept", "fsync", "grappe.state/backups"),
    point("folder synced", "fsync", "grappe.state"),
    point("lock", "ftruncate,write", "grappe.state/grappe.lock"),
    // strace looks at the old name only.
    point("world changed", "rename", "grappe.state/world.json.new"),
    point("world changed", "rename", "world.json.new"),
    // The snapshot, and objects that are files.
    point("file replaced", "rename", ""),
];

/// A run that is about to be.
pub(super) struct Run<'a> {
    pub(super) sandbox: &'a Sandbox,
    pub(super) args: &'a [&'a str],
    /// What it finds in its environment beside what all find there.
    pub(super) env: &'a [(&'a str, String)],
}

impl Run<'_> {
    pub(super) fn command(&self) -> Command {
        let mut command = self.sandbox.command(self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// One kill.
#[derive(Clone, Copy, Debug)]
pub(super) enum Blow {
    /// Before the n-th of these calls.
    Call(Point, usize),
    /// So long after it began.
    Instant(Duration),
}

impl Blow {
    /// What it is in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Blow::Call(point, _) => point.name,
            Blow::Instant(_) => "random instant",
        }
    }

    /// An instant in a run that takes so long.
    pub(super) fn random(rng: &mut StdRng, takes: Duration) -> Blow {
        Blow::Instant(takes.mul_f64(rng.random_range(0.0..1.1)))
    }

    /// Runs, and kills. The exit code where it came to its end before.
    pub(super) fn strike(self, run: &Run<'_>) -> Option<i32> {
        let status = match self {
            Blow::Instant(after) => {
                let mut child = run.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                std::thread::park_timeout(after);
                child.kill().unwrap();
                child.wait().unwrap()
            }
            Blow::Call(point, nth) => {
                let inject = format!("inject={}:signal=KILL:when={nth}", point.calls);
                // Without --seccomp-bpf: strace 6.1 forgets to kill with it.
                let mut strace = strace(run, &[point], &["-o", "/dev/null", "-e", &inject]);
                strace.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
            }
        };
        assert!(
            matches!(status.signal(), None | Some(9)),
            "grappe {} ended by itself with {status}",
            run.args.join(" ")
        );
        status.code()
    }

    /// What a power failure may leave in the place of what this kill left: nobody was told yet that the last write to the journal was durable, so any part of
    /// it may be missing. Says what it did.
    pub(super) fn tear(self, sandbox: &Sandbox, rng: &mut StdRng) -> Option<String> {
        let Blow::Call(WRITTEN, _) = self else { return None };
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(sandbox.path(JOURNAL)).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let begin = last_write(&bytes)?;
        let at = rng.random_range(begin..bytes.len());
        if rng.random_bool(0.7) {
            file.set_len(at as u64).unwrap();
            return Some(format!("cut at {at} of {}", bytes.len()));
        }
        // A page that never came.
        let end = rng.random_range(at + 1..=bytes.len());
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&vec![0; end - at]).unwrap();
        Some(format!("zeros from {at} to {end} of {}", bytes.len()))
    }
}

/// Where the last write began: the line that the last one names as the first of its batch.
fn last_write(bytes: &[u8]) -> Option<usize> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    let last: serde_json::Value = serde_json::from_slice(lines.last()?).ok()?;
    let first = usize::try_from(last["batch"].as_u64()?).unwrap() - 1;
    Some(lines[..first].iter().map(|line| line.len()).sum())
}

/// How many calls there are at each point in a run that nobody kills.
pub(super) fn count(run: &Run<'_>) -> Vec<(Point, usize)> {
    let log = run.sandbox.home().join("strace");
    let out = strace(run, &POINTS, &["--seccomp-bpf", "-y", "-o", log.to_str().unwrap()]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let log = std::fs::read_to_string(log).unwrap();
    // strace counts the calls of each thread.
    let called = |point: &Point| {
        let mut threads: BTreeMap<&str, usize> = BTreeMap::new();
        for line in log.lines() {
            let mut words = line.split_whitespace();
            let (thread, call) = (words.next(), words.next().and_then(|rest| rest.split('(').next()));
            let on = |name: &String| {
                [('"', '"'), ('<', '>')].iter().any(|(a, b)| line.contains(&format!("{a}{name}{b}")))
            };
            if call.is_some_and(|call| point.calls.split(',').any(|c| c == call))
                && (point.file.is_empty() || names(point, run).iter().any(on))
            {
                *threads.entry(thread.unwrap_or_default()).or_default() += 1;
            }
        }
        threads.into_values().max().unwrap_or_default()
    };
    POINTS.iter().map(|point| (*point, called(point))).filter(|(_, n)| *n > 0).collect()
}

/// The run under strace, which is told more by `flags`.
fn strace(run: &Run<'_>, points: &[Point], flags: &[&str]) -> Command {
    let plain = run.command();
    let mut command = Command::new("strace");
    command.args(["-f", "-q"]).current_dir(run.sandbox.dir()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let calls: Vec<&str> = points.iter().map(|point| point.calls).collect();
    command.args(["-e", &format!("trace={}", calls.join(","))]);
    for point in points.iter().filter(|point| !point.file.is_empty() && points.len() == 1) {
        command.args(names(point, run).iter().flat_map(|name| ["-P", name]));
    }
    command.args(flags).arg("--").arg(plain.get_program()).args(plain.get_args());
    command
}

/// A file as grappe names it, and as the kernel does.
fn names(point: &Point, run: &Run<'_>) -> [String; 2] {
    [format!("./{}", point.file), run.sandbox.path(point.file).display().to_string()]
}
