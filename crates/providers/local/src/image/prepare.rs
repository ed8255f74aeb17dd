//! What a root needs to be a machine beside others on one kernel.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use grappe_provider::Fault;

use crate::rootfs::{chmod, folder, put};
use crate::store::{on, remove_all};

/// Units that speak to hardware or to this computer's kernel, of which a machine has none of its own.
const MASKED: [&str; 12] = [
    "console-getty.service",
    "getty.target",
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service",
    "systemd-modules-load.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-binfmt.service",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "dev-hugepages.mount",
];

/// eth0 is there when it boots, and so are its host key and root's keys. cloud-init's own choice of a locale is en_US, which few images have.
const CLOUD_INIT: &str = "network: {config: disabled}\nssh_deletekeys: false\ndisable_root: false\nlocale: false\ndatasource_list: [NoCloud, None]\n";

/// Prepares an unpacked root. A second call changes nothing.
pub(super) fn prepare(root: &Path) -> Result<(), Fault> {
    if !["sbin/init", "usr/sbin/init"].iter().any(|init| root.join(init).symlink_metadata().is_ok()) {
        return Err(Fault::permanent("the image has no /sbin/init: nothing to boot")
            .hint("it needs systemd: on Debian and Ubuntu the package systemd-sysv"));
    }
    folder(root, "etc/systemd/system".as_ref(), 0o755)?;
    folder(root, "etc/sysctl.d".as_ref(), 0o755)?;
    for path in masked(root) {
        mask(&root.join(path))?;
    }
    let put = |name: &str, text: &str| put(root, name, text, 0o644, 0o755);
    // A container that ignores SIGTERM holds a power-off up for 90 s otherwise.
    put("etc/systemd/system.conf.d/50-grappe.conf", "[Manager]\nDefaultTimeoutStopSec=5s\n")?;
    put("etc/cloud/cloud.cfg.d/99-grappe.cfg", CLOUD_INIT)?;
    // Empty: systemd takes it for a first boot's, and gives each machine its own.
    put("etc/machine-id", "")?;
    // Without this file kubelet starts no pod. A link into /run points at nothing where systemd-resolved does not run.
    let resolv = root.join("etc/resolv.conf");
    if resolv.is_symlink() || !resolv.exists() {
        remove_all(&resolv)?;
        put("etc/resolv.conf", "")?;
    }
    if let Ok(files) = std::fs::read_dir(root.join("etc/ssh")) {
        for file in files.flatten().filter(|f| f.file_name().to_string_lossy().starts_with("ssh_host_")) {
            remove_all(&file.path())?;
        }
    }
    for name in ["dev", "proc", "sys", "run", "tmp", "var"] {
        folder(root, name.as_ref(), 0o755)?;
    }
    chmod(root, 0o755)?;
    chmod(&root.join("tmp"), 0o1777)
}

/// What is masked in a root, by paths relative to it: a machine with a kernel of its own needs it again.
pub(crate) fn masked(root: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = MASKED.iter().map(|unit| Path::new("etc/systemd/system").join(unit)).collect();
    // Sysctls outside of net are this computer's: a machine may read them only, and a file that sets them would fail the boot.
    for folder in ["usr/lib/sysctl.d", "lib/sysctl.d"] {
        let Ok(files) = std::fs::read_dir(root.join(folder)) else { continue };
        let names = files.flatten().map(|f| f.file_name()).filter(|f| f.to_string_lossy().ends_with(".conf"));
        all.extend(names.map(|name| Path::new("etc/sysctl.d").join(name)));
    }
    all.sort();
    all.dedup();
    all
}

fn mask(unit: &Path) -> Result<(), Fault> {
    remove_all(unit)?;
    symlink("/dev/null", unit).map_err(|e| on(unit, "mask", e))
}
