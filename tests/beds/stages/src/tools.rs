//! The host's own programs: Debian packages, installed where they are missing.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::stage::line;

/// Installs those packages that are missing, on Debian, as root.
///
/// # Errors
///
/// Where this is not Debian, or not root and something is missing.
pub fn ensure(packages: &str, say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !nix::unistd::Uid::effective().is_root() {
        bail!("the test bed needs the packages {names}: as root, apt-get install {names}");
    }
    let start = Instant::now();
    apt(&["update", "-q"])?;
    let mut install = vec!["install", "-q", "-y", "--no-install-recommends"];
    install.extend(missing);
    apt(&install)?;
    say(&line(start.elapsed(), &format!("packages of this machine: {names}")));
    Ok(())
}

fn missing(packages: &str) -> Result<Vec<&str>> {
    let names: Vec<&str> = packages.split(' ').collect();
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${Package} ${db:Status-Status}\n"]).args(&names).stderr(Stdio::null());
    let output = query.output().context("the test bed needs Debian: can't run dpkg-query")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let there = |name: &str| text.lines().any(|line| line == format!("{name} installed"));
    Ok(names.into_iter().filter(|name| !there(name)).collect())
}

fn apt(args: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    // Another apt may be at work; packages must neither ask nor start their servers.
    command
        .args(["-o", "DPkg::Lock::Timeout=600"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    let output = command.stdin(Stdio::null()).output().context("can't run apt-get")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("apt-get {}: {}: {}", args.join(" "), output.status, text.trim());
    }
    Ok(())
}
