//! Unpacking with GNU tar, which knows owners, device nodes, extended attributes and sparse files, and finds out the compression.

use std::path::Path;
use std::process::Command;

use grappe_provider::Fault;

use crate::run::{command, missing, output};
use crate::store::on;

/// The lock that the unpacking programs hold.
pub(super) const PROGRAMS: &str = "programs";

/// Unpacks a root tarball into a new folder.
pub(super) fn tarball(file: &Path, dir: &Path, new: &Path) -> Result<(), Fault> {
    begin(dir, new)?;
    let mut tar = tar(dir, file, new);
    // A root's device nodes are of no use: a machine has its own /dev.
    tar.args(["--anchored", "--exclude=./dev/*", "--exclude=dev/*"]);
    output(&mut tar).map(drop).map_err(|fault| refused(file, fault))
}

/// An empty folder to unpack into.
pub(super) fn begin(dir: &Path, new: &Path) -> Result<(), Fault> {
    // Behind the lock: an orphan of a killed run's may still be at work there.
    output(under_lock(dir).args(["rm", "-rf", "--one-file-system"]).arg(new))?;
    std::fs::create_dir(new).map_err(|e| on(new, "create", e))
}

/// `tar` that extracts `file` into `new`; the programs that it starts hold the lock too.
pub(super) fn tar(dir: &Path, file: &Path, new: &Path) -> Command {
    let mut command = under_lock(dir);
    command.args([
        "tar",
        "--extract",
        "--numeric-owner",
        "--preserve-permissions",
        "--xattrs",
        "--xattrs-include=*",
    ]);
    command.arg("--file").arg(file).arg("--directory").arg(new);
    command
}

fn under_lock(dir: &Path) -> Command {
    let mut command = command("flock", &[]);
    command.arg(dir.join(PROGRAMS));
    command
}

/// Why a file could not be unpacked.
pub(super) fn refused(file: &Path, fault: Fault) -> Fault {
    let name = file.to_string_lossy();
    let helper =
        [("zst", "zstd"), ("xz", "xz"), ("gz", "gzip")].into_iter().find(|(end, _)| name.ends_with(end));
    let fault = match helper.and_then(|(_, program)| missing(&[program])) {
        Some((program, package)) => {
            fault.hint(format!("install {program}; on Debian or Ubuntu: apt-get install {package}"))
        }
        None => fault.hint("it must be a tar archive, whole, and there must be room for what is in it"),
    };
    fault.context(format!("can't unpack {name}"))
}
