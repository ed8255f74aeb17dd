//! Whether KVM works here, found out by booting a kernel under it.
//!
//! Nothing less tells: there are computers where `/dev/kvm` opens, machines are made, and the 16-bit code of a boot sector runs to its end,
//! but no kernel does. So one is booted without a root: it panics when it looks for that, a second after it was started, and has run by then.

use std::path::Path;
use std::sync::OnceLock;

use super::QEMU;
use super::kernel::Kernel;
use crate::run::command;

/// A machine with nothing in it but what is added.
pub(super) const BARE: [&str; 6] = ["-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc"];
/// A processor that is this computer's.
pub(super) const ACCEL: [&str; 4] = ["-accel", "kvm", "-cpu", "host"];
/// What a kernel without a root says last.
const LAST: &str = "Unable to mount root fs";
/// How long it may take to say so, in seconds.
const PATIENCE: &str = "5";

/// Whether it does. Asked once; a kernel is as good as another.
pub(super) fn works(kernel: &Kernel) -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| Path::new("/dev/kvm").exists() && reaches_its_end(kernel, &ACCEL))
}

fn reaches_its_end(kernel: &Kernel, accel: &[&str]) -> bool {
    let mut probe = command("timeout", &["--signal=KILL", PATIENCE, QEMU]);
    probe.args(BARE).args(accel).args(["-m", "256", "-no-reboot", "-serial", "stdio"]);
    probe.args(["-append", "console=ttyS0 panic=-1", "-kernel"]).arg(&kernel.image);
    probe.output().is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(LAST))
}
