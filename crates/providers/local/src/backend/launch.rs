//! The process that a machine is to this computer: it holds the machine's lock as long as the machine lives, and outlives grappe (`setsid`).
//!
//! [`launch.sh`](launch.sh) takes the lock, writes down who it is, enters the machine's cgroup and network, and becomes what runs the machine.
//! That one's inside writes `booted` once it is a machine.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use grappe_provider::Fault;

use super::{Place, cgroups};
use crate::files::read;
use crate::network::namespace_path;
use crate::process::{self, Process};
use crate::rootfs::put;
use crate::run::{command, wait_for};
use crate::store::{held, log_file};

const LAUNCH: &str = include_str!("launch.sh");
const SCRIPT_NAME: &str = "launch.sh";
/// What the scripts of both kinds of machines are made of.
pub(super) const PROGRAMS: [&str; 7] = ["ip", "flock", "nsenter", "unshare", "setsid", "mount", "mknod"];

/// Whether a machine runs.
pub(super) fn is_running(place: &Place<'_>) -> Result<bool, Fault> {
    held(&place.dir.join("lock"))
}

/// A command that starts a machine with the program and the arguments that are added to it. A cgroup that is not there is not entered.
pub(super) fn launcher(place: &Place<'_>, namespace: &str, cgroup: &str) -> Result<Command, Fault> {
    let dir = &place.dir;
    put(dir, SCRIPT_NAME, LAUNCH, 0o600, 0o700)?;
    let log = log_file(&dir.join("console.log"))?;
    let mut launch = command("setsid", &["--fork", "sh"]);
    launch.arg(dir.join(SCRIPT_NAME)).arg(dir).arg(namespace_path(namespace)).arg(cgroup);
    launch.stdout(log.0).stderr(log.1);
    Ok(launch)
}

/// The last lines on a machine's console: what its scripts said, and a kernel of its own.
fn console(dir: &Path) -> String {
    let bytes = read(&dir.join("console.log")).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace('\r', "");
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Waits until a machine that is started has booted.
pub(super) fn booted(place: &Place<'_>, limit: Duration) -> Result<(), Fault> {
    let (dir, name) = (&place.dir, &place.machine.name);
    // `booted` is the launcher's alone, which empties it once it has the lock: a launcher of a killed run's may be the one that gets it.
    // What comes after it was said at a later boot of a machine that restarts itself.
    let says_so = || read(&dir.join("booted")).map(|b| b.unwrap_or_default().starts_with(b"booted"));
    let mut alone = Instant::now();
    let up = wait_for(limit, || {
        if is_running(place)? {
            alone = Instant::now();
            return says_so().map(|booted| booted.then_some(()));
        }
        // The launcher takes the lock a moment after it is started, later on a busy computer; it says why where it can't.
        let said = console(dir);
        if alone.elapsed() > Duration::from_secs(if said.is_empty() { 15 } else { 2 }) {
            return Err(Fault::permanent(format!("the machine {name} did not boot")).details(said));
        }
        Ok(None)
    })?;
    up.ok_or_else(|| {
        Fault::permanent(format!("the machine {name} has not entered its root after {} s", limit.as_secs()))
            .details(console(dir))
    })
}

/// Ends a machine at once.
pub(super) fn end(place: &Place<'_>) -> Result<(), Fault> {
    let (pid, script) = (place.dir.join("pid"), place.dir.join(SCRIPT_NAME));
    let ended = wait_for(Duration::from_secs(20), || {
        let launched = Process::of_script(&script);
        launched.iter().for_each(Process::kill);
        if launched.is_empty() && !is_running(place)? {
            return Ok(Some(()));
        }
        // PID 1 of a namespace is gone only after all others of it, and the outer process after it.
        match Process::from_file(&pid)? {
            Some(outer) => match outer.children()[..] {
                [] => outer.kill(),
                ref children => children.iter().for_each(Process::kill),
            },
            None => cgroups::processes(&place.machine.id)?.into_iter().for_each(process::kill_pid),
        }
        Ok(None)
    })?;
    ended.ok_or_else(|| Fault::permanent(format!("the machine {} does not die", place.machine.name)))
}
