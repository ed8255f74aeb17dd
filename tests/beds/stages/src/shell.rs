//! Running the stages' scripts, which end with whoever runs them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::stage::Room;

/// What every script begins with.
pub(crate) const LIB: &str = include_str!("../lib.sh");

/// How much of a failed script's log is shown, in lines.
const SHOWN: usize = 20;

/// Runs a stage's script.
///
/// In mount and process namespaces of its own: what it mounts is never seen outside, and when this process dies, by whatever signal,
/// the kernel ends all that the script has started. Nothing goes on writing where the next build works.
pub(crate) fn script(script: &str, room: &Room) -> Result<()> {
    let log = File::options().write(true).create(true).truncate(true).open(&room.log)?;
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--mount-proc",
    ]);
    command.args(["--fork", "--kill-child", "bash", "-eu", "-o", "pipefail", "-c"]);
    command.arg(format!("{LIB}\n{script}"));
    command
        .env("OUT", &room.out)
        .env("TMP", &room.scratch)
        .env("FILES", &room.files)
        .env("CACHE", &room.cache);
    command.envs(room.needs.iter().map(|(name, path)| (name.to_uppercase(), path)));
    command.envs(room.settings.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let status = command.status().context("can't run setpriv (package util-linux)")?;
    if !status.success() {
        bail!("{status}; the log {} ends:\n{}", room.log.display(), tail(&room.log));
    }
    Ok(())
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

/// What a program prints. It ends with whoever runs it, too.
///
/// # Errors
///
/// Where it can't be run or fails, with what it said.
pub fn output(program: &str, args: &[&OsStr]) -> Result<String> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program]).args(args).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let output = command.output().context("can't run setpriv (package util-linux)")?;
    if !output.status.success() {
        bail!("{program} {args:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
