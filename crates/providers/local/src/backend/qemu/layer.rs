//! What a virtual machine's disk has over its image and its first files: its network, the file systems in memory, and a sign of life.
//!
//! It is put to the other first files before the disk is made, and is not heeded after. What an image masks for machines without a kernel
//! of their own is listed, for `qemu.sh` to leave it out.

use std::os::unix::fs::symlink;
use std::path::Path;

use grappe_provider::Fault;

use super::Place;
use crate::files::read;
use crate::image::masked;
use crate::network::Network;
use crate::rootfs::{self, folder};
use crate::store::{on, remove_all};

const UNITS: &str = "etc/systemd/system";
const NETWORKD: &str = "lib/systemd/system/systemd-networkd.service";
/// Read by [`launch`](super::launch), as what other machines say once they have their root.
const BOOTED: &str = "[Unit]\nDefaultDependencies=no\nAfter=local-fs.target\n\n[Service]\nType=oneshot\n\
    ExecStart=/bin/sh -c 'echo booted > /dev/ttyS1'\n";

/// Puts a file, but leaves one that is the same alone: what a killed run started may be reading it.
pub(super) fn put(root: &Path, name: &str, text: &str, mode: u32) -> Result<(), Fault> {
    if read(&root.join(name))?.is_some_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    rootfs::put(root, name, text, mode, 0o755)
}

/// Writes it into the layer over the image.
pub(super) fn write(place: &Place<'_>, network: &Network) -> Result<(), Fault> {
    let (machine, upper) = (place.machine, place.dir.join("upper"));
    if !["usr/", ""].iter().any(|usr| machine.root.join(format!("{usr}{NETWORKD}")).exists()) {
        return Err(Fault::permanent("the image has no systemd-networkd, which gives a virtual machine its address")
            .hint("have it in the image (Fedora and its kin: the package systemd-networkd), or take another backend")
            .attribute("image_id"));
    }
    let lay = |name: &str, text: &str| put(&upper, name, text, 0o644);
    // What asks a cloud's metadata service at 169.254.169.254 who it is: refused at once, as for the other machines.
    let eth0 = format!(
        "[Match]\nName=eth0\n\n[Network]\nAddress={}/{}\nGateway={}\nLinkLocalAddressing=ipv6\n\n\
         [Route]\nDestination=169.254.0.0/16\nType=unreachable\n",
        machine.ip,
        network.cidr.prefix_len(),
        network.gateway
    );
    lay("etc/systemd/network/10-grappe.network", &eth0)?;
    // An image's own may name disks that are not there; the root is the kernel's argument.
    let tmpfs =
        machine.tmpfs.iter().map(|path| format!("tmpfs {} tmpfs mode=755 0 0\n", path.replace(' ', "\\040")));
    lay("etc/fstab", &tmpfs.collect::<String>())?;
    lay(&format!("{UNITS}/grappe-booted.service"), BOOTED)?;
    for (target, unit, file) in [
        ("sysinit", "grappe-booted.service", format!("/{UNITS}/grappe-booted.service")),
        ("multi-user", "systemd-networkd.service", format!("/{NETWORKD}")),
    ] {
        let wants = format!("{UNITS}/{target}.target.wants");
        folder(&upper, wants.as_ref(), 0o755)?;
        let link = upper.join(wants).join(unit);
        if std::fs::read_link(&link).is_ok_and(|there| there == Path::new(&file)) {
            continue;
        }
        remove_all(&link)?;
        symlink(file, &link).map_err(|e| on(&link, "create", e))?;
    }
    let bared: String = masked(&machine.root).iter().map(|path| format!("{}\n", path.display())).collect();
    put(&place.dir, "bared", &bared, 0o600)
}
