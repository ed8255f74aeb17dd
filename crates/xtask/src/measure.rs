//! How long a program takes, and how much memory at its peak.
//!
//! The kernel keeps the peak of all children that a process has waited for: so each measurement is a process of its own (`cargo xtask measure`),
//! which has one child.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value as Json, json};

use crate::run::say;

/// What a run cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// From begin to end.
    pub(crate) wall: Duration,
    /// Of all its threads.
    pub(crate) cpu: Duration,
    /// The most memory that it held, in KiB.
    pub(crate) peak_kib: u64,
}

/// Runs a command in a folder. `None` where it took longer than `limit`.
pub(crate) fn measure(
    dir: &Path,
    limit: Duration,
    environment: &[(String, PathBuf)],
    command: &[&str],
) -> Result<Option<Cost>> {
    let out = Command::new(std::env::current_exe()?)
        .arg("measure")
        .arg(limit.as_millis().to_string())
        .args(command)
        .current_dir(dir)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let line = text.lines().last().unwrap_or_default();
    if !out.status.success() {
        bail!("{}: {text}{}", command.join(" "), String::from_utf8_lossy(&out.stderr));
    }
    let json: Json = serde_json::from_str(line).with_context(|| format!("no measurement in {text:?}"))?;
    let micros = |name: &str| Duration::from_micros(json[name].as_u64().unwrap_or_default());
    Ok((json["timed_out"] != true).then(|| Cost {
        wall: micros("wall_us"),
        cpu: micros("cpu_us"),
        peak_kib: json["peak_kib"].as_u64().unwrap_or_default(),
    }))
}

/// The process inside which the command runs.
pub(crate) fn inside(limit: &str, command: &[&str]) -> Result<()> {
    let limit = Duration::from_millis(limit.parse()?);
    let [program, args @ ..] = command else { bail!("there is no command to measure") };
    let begin = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("can't run {program}"))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if begin.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        // What is measured takes a hundred times longer than this.
        std::thread::park_timeout(Duration::from_millis(2));
    };
    let wall = begin.elapsed();
    if let Some(status) = status
        && !status.success()
    {
        bail!("{program}: {status}");
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |t: nix::sys::time::TimeVal| {
        u64::try_from(t.tv_sec()).unwrap_or(0) * 1_000_000 + u64::try_from(t.tv_usec()).unwrap_or(0)
    };
    // Linux counts in KiB, macOS in bytes.
    let scale = if cfg!(target_os = "macos") { 1024 } else { 1 };
    say(json!({
        "timed_out": status.is_none(),
        "wall_us": u64::try_from(wall.as_micros()).unwrap_or(u64::MAX),
        "cpu_us": micros(usage.user_time()) + micros(usage.system_time()),
        "peak_kib": usage.max_rss() / scale,
    }));
    Ok(())
}
