//! How a machine runs.

mod cgroups;
mod docker;
mod http;
mod launch;
mod namespaces;
mod qemu;

use std::path::{Path, PathBuf};

use grappe_provider::Fault;

pub(crate) use self::cgroups::Limits;
pub(crate) use self::docker::socket;
use crate::machine::Machine;
use crate::network::Network;
use crate::run::missing;

/// A way to run machines. Each operation may be called again after it was cut off at any point, and blocks its thread.
pub(crate) trait Backend: Send + Sync {
    /// Its name in `backend`.
    fn name(&self) -> &'static str;
    /// Why it can't run machines whose disks lie in this folder, where it can't. `socket` is where Docker's API would be.
    fn probe(&self, directory: &Path, socket: Option<&Path>) -> Result<(), Fault>;
    /// Whether a machine runs.
    fn is_running(&self, place: &Place<'_>) -> Result<bool, Fault>;
    /// Boots it, and tells how; one that runs already is left alone.
    fn start(&self, place: &Place<'_>, network: &Network, tell: &dyn Fn(&str)) -> Result<(), Fault>;
    /// Lays its record's limits on it, while it runs.
    fn limit(&self, place: &Place<'_>) -> Result<(), Fault>;
    /// Ends it at once, and removes whatever it has outside of its folder.
    fn remove(&self, place: &Place<'_>) -> Result<(), Fault>;
}

/// A part of the script that becomes PID 1 of a machine which shares this computer's kernel.
const SYSCTLS: &str = include_str!("sysctls.sh");

/// A machine, and its folder.
pub(crate) struct Place<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) dir: PathBuf,
}

/// A machine's network namespace.
fn namespace(place: &Place<'_>) -> String {
    format!("grappe-m-{}", place.machine.id)
}

/// The network's end of a machine's cable.
fn cable(place: &Place<'_>) -> String {
    format!("gl{}", place.machine.id)
}

/// All backends, in the order in which they are tried.
static BACKENDS: [&dyn Backend; 3] = [&namespaces::Namespaces, &docker::Docker, &qemu::Qemu];

/// Their names.
pub(crate) fn names() -> Vec<&'static str> {
    BACKENDS.iter().map(|b| b.name()).collect()
}

/// The backend of this name.
pub(crate) fn named(name: &str) -> Result<&'static dyn Backend, Fault> {
    BACKENDS.iter().find(|b| b.name() == name).copied().ok_or_else(|| {
        Fault::permanent(format!("there is no backend {name:?}"))
            .hint(format!("there is {}", names().join(", ")))
            .attribute("backend")
    })
}

/// The backend that is wanted, or the first that works here.
pub(crate) fn choose(
    wanted: Option<&str>,
    directory: &Path,
    socket: Option<&Path>,
) -> Result<&'static dyn Backend, Fault> {
    if let Some(name) = wanted {
        let backend = named(name)?;
        return backend
            .probe(directory, socket)
            .map(|()| backend)
            .map_err(|why| why.context(format!("the backend {name:?} can't run machines here")));
    }
    let mut first = None;
    for backend in BACKENDS {
        match backend.probe(directory, socket) {
            Ok(()) => return Ok(backend),
            Err(why) => first = first.or(Some(why)),
        }
    }
    let why = first.unwrap_or_else(|| Fault::permanent("there is no backend"));
    Err(why.context("this computer can't run machines"))
}

/// Networks and machines need root.
pub(crate) fn root() -> Result<(), Fault> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Fault::permanent("images, networks and machines of this computer need root")
        .hint("run grappe as root: sudo -E grappe …"))
}

/// What backends do with other programs needs them here.
fn installed(programs: &[&str]) -> Result<(), Fault> {
    match missing(programs) {
        None => Ok(()),
        Some((program, package)) => Err(Fault::permanent(format!("{program} is not installed"))
            .hint(format!("on Debian or Ubuntu: apt-get install {package}"))),
    }
}
