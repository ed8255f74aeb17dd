//! Machines in namespaces, with systemd as PID 1: the same kernel, everything else their own. Booted in a second; needs root.
//!
//! The outside ([`launch`]) is `unshare`, which lives as long as the machine does. [`boot.sh`](boot.sh) is the inside: it lays the root over
//! the image and becomes its init. All mounts are in the machine's own mount namespace and vanish with it.

use std::path::Path;
use std::time::Duration;

use grappe_provider::Fault;

use super::{Backend, Place, SYSCTLS, cable, cgroups, installed, launch, namespace, root};
use crate::network::{Network, link};
use crate::rootfs::put;
use crate::run::{command, output, run};
use crate::store::on;

pub(super) struct Namespaces;

const BOOT: &str = include_str!("boot.sh");
/// The namespaces that a machine has beside those for the network and for the mounts.
const OWN: [&str; 4] = ["--uts", "--ipc", "--pid", "--cgroup"];

impl Backend for Namespaces {
    fn name(&self) -> &'static str {
        "namespaces"
    }

    fn probe(&self, directory: &Path, _: Option<&Path>) -> Result<(), Fault> {
        root()?;
        installed(&launch::PROGRAMS)?;
        installed(&["pivot_root"])?;
        std::fs::create_dir_all(directory).map_err(|e| on(directory, "create", e))?;
        let kind = output(command("stat", &["--file-system", "--format=%T"]).arg(directory))?;
        if kind.trim() == "overlayfs" {
            return Err(Fault::permanent(format!("{} lies on an overlay, on which no machine's disk can be laid", directory.display()))
                .hint("set directory in the provider block to a folder on a real file system (a volume, in a container)"));
        }
        run("unshare", &["--mount", "--uts", "--ipc", "--pid", "--net", "--cgroup", "--fork", "true"])
            .map_err(|fault| fault.hint("a container needs --privileged for this"))?;
        cgroups::probe()
    }

    fn is_running(&self, place: &Place<'_>) -> Result<bool, Fault> {
        launch::is_running(place)
    }

    fn start(&self, place: &Place<'_>, network: &Network, _: &dyn Fn(&str)) -> Result<(), Fault> {
        let (dir, machine) = (&place.dir, place.machine);
        if !launch::is_running(place)? {
            let namespace = namespace(place);
            // Who ended the outer process ended the others too, but they die a moment later; two must not share a disk.
            cgroups::remove(&machine.id)?;
            link::plug(network, &namespace, &cable(place), machine.ip)?;
            cgroups::prepare(&machine.id, &machine.limits)?;
            put(dir, "boot.sh", BOOT, 0o600, 0o700)?;
            put(dir, "sysctls.sh", SYSCTLS, 0o600, 0o700)?;
            let mut launch = launch::launcher(place, &namespace, &cgroups::inner(&machine.id))?;
            launch.args(OWN).args(["--fork", "--kill-child=SIGKILL", "sh"]).arg(dir.join("boot.sh")).arg(dir);
            output(launch.arg(&machine.root).args(&machine.tmpfs))?;
        }
        launch::booted(place, Duration::from_secs(60))
    }

    fn limit(&self, place: &Place<'_>) -> Result<(), Fault> {
        cgroups::limit(&place.machine.id, &place.machine.limits)
    }

    fn remove(&self, place: &Place<'_>) -> Result<(), Fault> {
        launch::end(place)?;
        link::remove_namespace(&namespace(place))?;
        cgroups::remove(&place.machine.id)
    }
}
