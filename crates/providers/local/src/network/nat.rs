//! The way out of a network: slirp4netns, which speaks for its machines as an ordinary program of this computer would.
//!
//! It is plugged into the network's namespace as `tap0`, with addresses of its own; the namespace forwards and masquerades. It outlives
//! grappe, and is known by the lock that it holds and by pid and start time, as machines are.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use grappe_provider::Fault;
use ipnet::Ipv4Net;

use super::{Network, link, namespace_path};
use crate::files::read;
use crate::process::Process;
use crate::rootfs::put;
use crate::run::{command, missing, not_run, output, wait_for};
use crate::store::{held, log_file};

/// slirp4netns's own network, between it and ours.
pub(super) const RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 2, 0), 24);
/// Who resolves names in it.
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

const SCRIPT: &str = include_str!("nat.sh");
const SCRIPT_NAME: &str = "nat.sh";

/// Whether a network has its way out.
pub(super) fn is_up(dir: &Path) -> Result<bool, Fault> {
    held(&dir.join("nat.lock"))
}

/// Makes it, in a network whose bridge is there.
pub(super) fn raise(dir: &Path, network: &Network) -> Result<(), Fault> {
    if let Some((program, package)) = missing(&["slirp4netns", "nft", "nsenter"]) {
        return Err(Fault::permanent(format!("nat needs {program}, which is not installed"))
            .hint(format!("on Debian or Ubuntu: apt-get install {package}"))
            .attribute("nat"));
    }
    let namespace = namespace_path(&network.namespace);
    let enter = format!("--net={}", namespace.display());
    output(&mut command("nsenter", &[&enter, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]))?;
    // One file is one transaction: a second one puts the same in its place.
    masquerade(
        &enter,
        &format!(
            "table ip grappe\ndelete table ip grappe\ntable ip grappe {{\nchain out {{\ntype nat hook postrouting priority 100;\n\
         ip saddr {} oifname \"tap0\" masquerade\n}}\n}}\n",
            network.cidr
        ),
    )?;
    if !is_up(dir)? {
        put(dir, SCRIPT_NAME, SCRIPT, 0o600, 0o700)?;
        let log = log_file(&dir.join("nat.log"))?;
        let mut launch = command("setsid", &["--fork", "sh"]);
        launch.arg(dir.join(SCRIPT_NAME)).arg(dir).arg(&namespace).stdout(log.0).stderr(log.1);
        output(&mut launch)?;
    }
    let up = wait_for(Duration::from_secs(10), || {
        Ok((is_up(dir)? && link::exists(&network.namespace, "tap0")?).then_some(()))
    })?;
    up.ok_or_else(|| {
        let said = read(&dir.join("nat.log")).ok().flatten().unwrap_or_default();
        Fault::permanent("slirp4netns does not start")
            .details(String::from_utf8_lossy(&said))
            .attribute("nat")
    })
}

fn masquerade(enter: &str, rules: &str) -> Result<(), Fault> {
    let mut nft = command("nsenter", &[enter, "nft", "-f", "-"]);
    let mut child =
        nft.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|e| not_run("nsenter", e))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read says why on its standard error.
        let _ = stdin.write_all(rules.as_bytes());
    }
    let output = child.wait_with_output().map_err(|e| not_run("nsenter", e))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Fault::permanent(format!("nft can't masquerade the network: {}", output.status))
        .details(String::from_utf8_lossy(&output.stderr))
        .attribute("nat"))
}

/// Ends it.
pub(super) fn lower(dir: &Path) -> Result<(), Fault> {
    let script = dir.join(SCRIPT_NAME);
    let ended = wait_for(Duration::from_secs(10), || {
        let launched = Process::of_script(&script);
        launched.iter().for_each(Process::kill);
        if launched.is_empty() && !is_up(dir)? {
            return Ok(Some(()));
        }
        if let Some(process) = Process::from_file(&dir.join("nat.pid"))? {
            process.kill();
        }
        Ok(None)
    })?;
    ended.ok_or_else(|| Fault::permanent("slirp4netns does not end"))
}
