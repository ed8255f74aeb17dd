//! What the tests need beyond Rust: real servers and tools to test against. A test that needs one fails without it; none is skipped.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run::{go, say, which};

/// A program, and the Debian package that brings it.
const NEEDED: &[(&str, &str)] = &[
    ("sshd", "openssh-server"),
    ("ssh-keygen", "openssh-client"),
    ("ssh-agent", "openssh-client"),
    ("haproxy", "haproxy"),
    ("keepalived", "keepalived"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("sysctl", "procps"),
    ("mmdebstrap", "mmdebstrap"),
    ("unshare", "util-linux"),
    ("pivot_root", "util-linux"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("slirp4netns", "slirp4netns"),
    ("nft", "nftables"),
    ("podman", "podman"),
    ("runc", "runc"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mke2fs", "e2fsprogs"),
    ("strace", "strace"),
    ("faketime", "faketime"),
];

/// Installs what is missing where it can, and says what is missing where it can't.
pub(crate) fn ensure() -> Result<()> {
    let missing = || -> Vec<(&str, &str)> {
        NEEDED.iter().filter(|(program, _)| which(program).is_none()).copied().collect()
    };
    let wanted = missing();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = wanted.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    if which("apt-get").is_some() && nix::unistd::Uid::effective().is_root() {
        say(format!("The tests need {}: installing.", packages.join(", ")));
        let apt = || {
            let mut command = Command::new("apt-get");
            // Packages must neither ask nor start their servers.
            command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
            command
        };
        go(apt().args(["update", "-q"]))?;
        go(apt().args(["install", "-q", "-y", "--no-install-recommends"]).args(&packages))?;
    }
    let still = missing();
    if let [(program, _), ..] = still[..] {
        bail!(
            "the tests need {program}, which is not installed. On Debian or Ubuntu: apt-get install {}",
            packages.join(" ")
        );
    }
    Ok(())
}
