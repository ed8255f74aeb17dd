//! Machines in namespaces, with systemd as PID 1: the same kernel, everything else their own. Booted in a second; needs root.
//!
//! [`launch.sh`](launch.sh) is the outside: it takes the machine's lock, writes down who it is, enters the cgroups and the network, and
//! becomes `unshare`, which lives as long as the machine does. [`boot.sh`](boot.sh) is the inside: it lays the root over the image and
//! becomes its init. All mounts are in the machine's own mount namespace and vanish with it. The process outlives grappe (`setsid`).

use std::path::Path;
use std::time::{Duration, Instant};

use grappe_provider::Fault;

use super::{Backend, Place, cable, cgroups, namespace, root};
use crate::files::read;
use crate::network::{Network, link, namespace_path};
use crate::process::{self, Process};
use crate::rootfs::put;
use crate::run::{command, missing, output, run, wait_for};
use crate::store::{held, log_file, on};

pub(super) struct Namespaces;

const LAUNCH: &str = include_str!("launch.sh");
const BOOT: &str = include_str!("boot.sh");
const PROGRAMS: [&str; 8] = ["ip", "flock", "nsenter", "unshare", "setsid", "mount", "pivot_root", "mknod"];

/// What the boot scripts said.
fn console(dir: &Path) -> String {
    let bytes = read(&dir.join("console.log")).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Backend for Namespaces {
    fn name(&self) -> &'static str {
        "namespaces"
    }

    fn probe(&self, directory: &Path, _: Option<&Path>) -> Result<(), Fault> {
        root()?;
        if let Some((program, package)) = missing(&PROGRAMS) {
            return Err(Fault::permanent(format!("{program} is not installed"))
                .hint(format!("on Debian or Ubuntu: apt-get install {package}")));
        }
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
        held(&place.dir.join("lock"))
    }

    fn start(&self, place: &Place<'_>, network: &Network) -> Result<(), Fault> {
        let (dir, lock) = (&place.dir, place.dir.join("lock"));
        let machine = place.machine;
        let booted = || read(&dir.join("booted")).map(|b| b.unwrap_or_default() == b"booted\n");
        if !held(&lock)? {
            let namespace = namespace(place);
            // Who ended the outer process ended the others too, but they die a moment later; two must not share a disk.
            cgroups::remove(&machine.id)?;
            link::plug(network, &namespace, &cable(place), machine.ip)?;
            cgroups::prepare(&machine.id, &machine.limits)?;
            for (name, text) in [("launch.sh", LAUNCH), ("boot.sh", BOOT)] {
                put(dir, name, text, 0o600, 0o700)?;
            }
            let log = log_file(&dir.join("console.log"))?;
            let mut launch = command("setsid", &["--fork", "sh"]);
            launch.arg(dir.join("launch.sh")).arg(dir).arg(namespace_path(&namespace));
            launch.arg(cgroups::inner(&machine.id)).arg(&machine.root).args(&machine.tmpfs);
            output(launch.stdout(log.0).stderr(log.1))?;
        }
        // `booted` is the launcher's alone, which empties it once it has the lock: a launcher of a killed run's may be the one that gets it.
        let mut alone = Instant::now();
        let up = wait_for(Duration::from_secs(60), || {
            if held(&lock)? {
                alone = Instant::now();
                return booted().map(|booted| booted.then_some(()));
            }
            // The launcher takes the lock a moment after it is started, later on a busy computer; it says why where it can't.
            let said = console(dir);
            if alone.elapsed() > Duration::from_secs(if said.is_empty() { 15 } else { 2 }) {
                return Err(
                    Fault::permanent(format!("the machine {} did not boot", machine.name)).details(said)
                );
            }
            Ok(None)
        })?;
        up.ok_or_else(|| {
            Fault::permanent(format!("the machine {} has not entered its root after 60 s", machine.name))
                .details(console(dir))
        })
    }

    fn limit(&self, place: &Place<'_>) -> Result<(), Fault> {
        cgroups::limit(&place.machine.id, &place.machine.limits)
    }

    fn remove(&self, place: &Place<'_>) -> Result<(), Fault> {
        let (lock, pid) = (place.dir.join("lock"), place.dir.join("pid"));
        let ended = wait_for(Duration::from_secs(20), || {
            if !held(&lock)? {
                return Ok(Some(()));
            }
            // PID 1 is gone only after all others of its namespace, and the outer process after it.
            match Process::from_file(&pid)? {
                Some(outer) => match outer.children()[..] {
                    [] => outer.kill(),
                    ref children => children.iter().for_each(Process::kill),
                },
                None => cgroups::processes(&place.machine.id)?.into_iter().for_each(process::kill_pid),
            }
            Ok(None)
        })?;
        if ended.is_none() {
            return Err(Fault::permanent(format!("the machine {} does not die", place.machine.name)));
        }
        link::remove_namespace(&namespace(place))?;
        cgroups::remove(&place.machine.id)
    }
}
