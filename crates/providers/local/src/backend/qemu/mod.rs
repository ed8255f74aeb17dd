//! Machines as virtual machines of QEMU: each has a kernel of its own, the newest one in its image's `/boot`. Needs root, and x86_64.
//!
//! The outside ([`launch`]) is QEMU itself, within the network's namespace, where its tap is plugged into the bridge; the tap vanishes with
//! it. [`qemu.sh`](qemu.sh) makes the machine's disk first, once: an ext4 of the image and what lies over it ([`layer`]), in a sparse file. A
//! unit in it says over the second serial port that the machine has its root; the first one is the console. Where a kernel boots under KVM
//! ([`kvm`]) it does; elsewhere the processor is emulated.

mod kernel;
mod kvm;
mod layer;

use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

use grappe_provider::Fault;

use self::kernel::Kernel;
use super::{Backend, Limits, Place, cable, installed, launch, root};
use crate::network::Network;
use crate::run::output;

pub(super) struct Qemu;

const QEMU: &str = "qemu-system-x86_64";
const SCRIPT: &str = include_str!("qemu.sh");
/// The size of a disk, as mke2fs takes it: what is not written takes no room.
const DISK: &str = "32G";
/// The memory of a machine whose plan says nothing: kubeadm asks for 1700 MB.
const MEMORY: u64 = 2 << 30;
/// The least memory that a kernel with its initrd boots in.
const LEAST: u64 = 256 << 20;
/// Emulated, a Debian takes a quarter of a minute, and minutes on a busy computer.
const BOOT: Duration = Duration::from_secs(300);
/// Its interface is called as that of the other machines is. No colours, which nobody sees in a log; a kernel that panics reboots after a while.
const CMDLINE: &str = "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=10 TERM=dumb";

/// An emulated processor: x86-64-v2. What newer ones have costs more to emulate than it brings.
const EMULATED: [&str; 4] = ["-accel", "tcg", "-cpu", "Nehalem"];
/// It does not speculate: what protects from that makes it half as fast for nothing.
const UNGUARDED: &str = " mitigations=off";

/// What a machine is made of, with its limits: processors, and bytes of memory.
fn hardware(limits: &Limits) -> Result<(usize, u64), Fault> {
    let wrong = |what: &str, hint: &str| Err(Fault::permanent(what).hint(hint).attribute("limits"));
    if limits.pids.is_some() {
        return wrong(
            "the processes of a virtual machine are its own kernel's, and can't be limited",
            "leave pids out",
        );
    }
    let memory = limits.memory.unwrap_or(MEMORY);
    if memory < LEAST {
        return wrong("a virtual machine does not boot in so little memory", "256Mi at least");
    }
    let all = std::thread::available_parallelism().map_or(1, NonZero::get);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of processors, checked to be small and positive"
    )]
    let cpus = limits.cpus.map_or(all, |n| n.ceil() as usize);
    Ok((cpus, memory))
}

/// A hardware address that follows from the machine's id; `52:54:00` is QEMU's.
fn mac(id: &str) -> String {
    let byte = |n: usize| id.get(2 * n..2 * n + 2).unwrap_or("00");
    format!("52:54:00:{}:{}:{}", byte(0), byte(1), byte(2))
}

/// A path within an option of QEMU's, which are parted by commas.
fn quoted(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

impl Qemu {
    fn arguments(place: &Place<'_>, kernel: &Kernel, kvm: bool) -> Result<Vec<String>, Fault> {
        let (machine, dir) = (place.machine, &place.dir);
        let (cpus, memory) = hardware(&machine.limits)?;
        let accel = if kvm { kvm::ACCEL } else { EMULATED };
        let mut all = kvm::BARE.map(str::to_owned).to_vec();
        all.extend(accel.map(str::to_owned));
        let mut add = |option: &str, value: String| all.extend([option.to_owned(), value]);
        add("-name", machine.name.clone());
        add("-smp", cpus.to_string());
        add("-m", format!("{}k", memory >> 10));
        add("-kernel", kernel.image.display().to_string());
        if let Some(initrd) = &kernel.initrd {
            add("-initrd", initrd.display().to_string());
        }
        add("-append", format!("{CMDLINE}{}", if kvm { "" } else { UNGUARDED }));
        add("-drive", format!("file={},format=raw,if=virtio,discard=unmap", quoted(&dir.join("disk"))));
        let plug = quoted(&dir.join("plug.sh"));
        add("-netdev", format!("tap,id=net,ifname={},script={plug},downscript=no", cable(place)));
        // No network boot.
        add("-device", format!("virtio-net-pci,netdev=net,romfile=,mac={}", mac(&machine.id)));
        add("-serial", "stdio".to_owned());
        add("-chardev", format!("file,id=booted,path={}", quoted(&dir.join("booted"))));
        add("-serial", "chardev:booted".to_owned());
        Ok(all)
    }
}

impl Backend for Qemu {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn probe(&self, _: &Path, _: Option<&Path>) -> Result<(), Fault> {
        root()?;
        if !cfg!(target_arch = "x86_64") {
            return Err(Fault::permanent("virtual machines are x86_64's, and so must this computer be")
                .hint("have them on another computer, or another backend"));
        }
        installed(&launch::PROGRAMS)?;
        installed(&[QEMU, "mke2fs"])?;
        if Path::new("/dev/net/tun").exists() {
            return Ok(());
        }
        Err(Fault::permanent("there is no /dev/net/tun, through which a virtual machine is plugged in")
            .hint("load the kernel's module tun (modprobe tun); a container needs --device /dev/net/tun"))
    }

    fn is_running(&self, place: &Place<'_>) -> Result<bool, Fault> {
        launch::is_running(place)
    }

    fn start(&self, place: &Place<'_>, network: &Network, tell: &dyn Fn(&str)) -> Result<(), Fault> {
        if !launch::is_running(place)? {
            let (dir, machine) = (&place.dir, place.machine);
            let kernel = Kernel::of(&machine.root)?;
            hardware(&machine.limits)?;
            layer::write(place, network)?;
            let plug = format!("#!/bin/sh\nexec ip link set \"$1\" master {} up\n", network.bridge());
            layer::put(dir, "plug.sh", &plug, 0o700)?;
            layer::put(dir, "qemu.sh", SCRIPT, 0o600)?;
            let kvm = kvm::works(&kernel);
            tell(if kvm {
                "booting under KVM"
            } else {
                "booting, emulated (TCG): no kernel boots under KVM here"
            });
            let mut launch = launch::launcher(place, &network.namespace, "-")?;
            launch.arg("sh").arg(dir.join("qemu.sh")).arg(dir).arg(&machine.root).args([DISK, QEMU]);
            output(launch.args(Self::arguments(place, &kernel, kvm)?))?;
        }
        launch::booted(place, BOOT)
    }

    fn limit(&self, place: &Place<'_>) -> Result<(), Fault> {
        hardware(&place.machine.limits)?;
        Err(Fault::permanent("a virtual machine takes its limits when it starts, and this one runs")
            .hint("power it off: what starts it again gives it the new ones; or replace it")
            .attribute("limits"))
    }

    fn remove(&self, place: &Place<'_>) -> Result<(), Fault> {
        launch::end(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_hardware() {
        let of = |cpus: Option<f64>, memory: Option<u64>, pids: Option<u64>| {
            hardware(&Limits { cpus, memory, pids }).map_err(|fault| fault.summary)
        };
        assert_eq!(of(Some(1.5), None, None), Ok((2, 2 << 30)));
        assert_eq!(of(Some(0.1), Some(512 << 20), None), Ok((1, 512 << 20)));
        assert!(of(None, None, None).is_ok_and(|(cpus, _)| cpus >= 1));
        assert!(of(None, Some(64 << 20), None).is_err());
        assert!(of(None, None, Some(100)).unwrap_err().contains("processes"));
    }

    #[test]
    fn each_machine_has_its_own_hardware_address() {
        assert_eq!(mac("0a1b2c3d4e"), "52:54:00:0a:1b:2c");
    }
}
