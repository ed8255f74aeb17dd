//! One simulated machine from the inside: what a shell on it sees and changes.
//!
//! Everything that Debian keeps in a file is kept in a file here too (enabled units are links under `*.wants`, swap comes back at
//! boot when fstab says so), so that a step done in the wrong way has the consequence it has on a real host.

pub mod boot;
pub mod files;
pub mod haproxy;
pub mod image;
pub mod keepalived;
pub mod services;
pub mod sysctl;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use files::{Errno, Files, Kind, Node};

/// An installed (or removed, not purged) Debian package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Debian version, such as `1.31.2-1.1`.
    pub version: String,
    /// `apt-mark hold`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub held: bool,
    /// Removed with its configuration left (`rc`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub removed: bool,
}

fn is_false(b: &bool) -> bool {
    !b
}

/// The running side of a systemd unit; whether it is enabled is told by links in the file tree.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// What systemd says of it.
    pub state: ServiceState,
    /// Simulated time of the last change, in milliseconds since 1970.
    pub since: i64,
    /// The configuration (or version) the process was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<String>,
    /// The last lines of its journal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.state.word()) // its configuration may hold a password
    }
}

/// `systemctl is-active`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// Not running.
    #[default]
    Inactive,
    /// Running.
    Active,
    /// Crashing and being restarted.
    Activating,
    /// Given up.
    Failed,
}

impl ServiceState {
    /// The word systemd prints.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Active => "active",
            Self::Activating => "activating",
            Self::Failed => "failed",
        }
    }
}

/// `cloud-init status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloudInit {
    /// User data is still being applied.
    Running,
    /// All done.
    #[default]
    Done,
    /// A part of the user data failed.
    Error,
}

/// The place of a host in a cluster, once kubeadm has made it a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRole {
    /// Cluster id in the world.
    pub cluster: String,
    /// Node name.
    pub name: String,
    /// Port of the API server that runs here, on a control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_port: Option<u16>,
    /// Whether kubelet has started the static pods since the boot; they outlive a stopped kubelet.
    #[serde(default)]
    pub pods_up: bool,
}

/// A network card as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// `eth0`.
    pub name: String,
    /// Its address.
    pub ip: std::net::Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// Lower case with colons.
    pub mac: String,
}

/// One machine's operating system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The kernel's host name.
    pub hostname: String,
    /// Changes with each boot.
    pub boot_id: String,
    /// Simulated milliseconds since 1970.
    pub booted: i64,
    /// The file tree.
    pub files: Files,
    /// Debian packages by name.
    pub packages: BTreeMap<String, Package>,
    /// Repositories whose lists the last `apt-get update` brought: `debian`, or `v1.31` of pkgs.k8s.io.
    #[serde(default)]
    pub apt_lists: BTreeSet<String>,
    /// Units that have run, by full name.
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
    /// Kernel parameters that differ from the default.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// Loaded kernel modules.
    #[serde(default)]
    pub modules: BTreeSet<String>,
    /// Whether the swap of fstab is on.
    #[serde(default)]
    pub swap: bool,
    /// How user data went.
    #[serde(default)]
    pub cloud_init: CloudInit,
    /// Container images in containerd's store.
    #[serde(default)]
    pub images: BTreeSet<String>,
    /// Cluster membership.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeRole>,
    /// CPUs, as nproc tells.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Network cards.
    #[serde(default)]
    pub nics: Vec<Nic>,
}

/// First line of a file that stands for a program of the simulation: `#!simulated NAME [VERSION]`.
pub const PROGRAM: &str = "#!simulated ";

/// Folders searched for commands.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Host {
    /// Name and version of the simulated program at `path`, if it is one: `("kubeadm", "1.31.2")`.
    pub fn program(&self, path: &str) -> Option<(String, String)> {
        if let Some(name) = image::base_command(path) {
            return Some((name.to_owned(), String::new()));
        }
        let text = self.files.read(path).ok()?;
        let line = text.split(|b| *b == b'\n').next()?;
        let line = std::str::from_utf8(line).ok()?.strip_prefix(PROGRAM)?;
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next().unwrap_or_default().to_owned()))
    }

    /// Version of a simulated program found in the PATH, as in `1.31.2`.
    pub fn program_version(&self, name: &str) -> Option<String> {
        PATH.split(':').find_map(|dir| {
            self.program(&format!("{dir}/{name}")).filter(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v)
        })
    }

    /// Whether a package is installed.
    pub fn installed(&self, package: &str) -> bool {
        self.packages.get(package).is_some_and(|p| !p.removed)
    }

    /// State of a unit; the name may lack `.service`.
    pub fn service_state(&self, unit: &str) -> ServiceState {
        self.services.get(&unit_name(unit)).map(|s| s.state).unwrap_or_default()
    }

    /// Whether a unit runs.
    pub fn active(&self, unit: &str) -> bool {
        self.service_state(unit) == ServiceState::Active
    }

    /// What a running unit was started with.
    pub fn loaded(&self, unit: &str) -> Option<&str> {
        let service = self.services.get(&unit_name(unit))?;
        (service.state == ServiceState::Active).then_some(service.loaded.as_deref()).flatten()
    }

    /// Path of a unit's file, the administrator's before the package's.
    pub fn unit_file(&self, unit: &str) -> Option<String> {
        let unit = unit_name(unit);
        ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/lib/systemd/system"]
            .iter()
            .map(|dir| format!("{dir}/{unit}"))
            .find(|path| self.files.lstat(path).is_ok())
    }

    /// Whether the unit is a link to /dev/null.
    pub fn masked(&self, unit: &str) -> bool {
        let path = format!("/etc/systemd/system/{}", unit_name(unit));
        matches!(self.files.lstat(&path), Ok((_, Node { kind: Kind::Link(to), .. })) if to == "/dev/null")
    }

    /// The `*.wants` links that enable a unit.
    pub fn wants(&self, unit: &str) -> Vec<String> {
        let suffix = format!(".wants/{}", unit_name(unit));
        let links = self.files.below("/etc/systemd/system").filter(|(p, _)| p.ends_with(&suffix));
        links.map(|(p, _)| p.to_owned()).collect()
    }

    /// Adds lines to a unit's journal, each as `PROGRAM[PID]: TEXT`; the last 200 are kept.
    pub fn journal(&mut self, unit: &str, lines: impl IntoIterator<Item = String>) {
        let log = &mut self.services.entry(unit_name(unit)).or_default().log;
        log.extend(lines);
        let extra = log.len().saturating_sub(200);
        log.drain(..extra);
    }

    /// Addresses and names of /etc/hosts.
    pub fn etc_hosts(&self) -> Vec<(String, Vec<String>)> {
        let text = self.files.text("/etc/hosts");
        let lines = text.lines().map(|l| l.split('#').next().unwrap_or_default());
        lines
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                Some((words.next()?.to_owned(), words.map(str::to_owned).collect()))
            })
            .collect()
    }

    /// Reads a file, those of the kernel included.
    pub fn read(&self, path: &str, now: i64) -> Result<Vec<u8>, Errno> {
        let path = self.files.resolve(path, true)?;
        if let Some(bytes) = self.kernel_file(&path, now) {
            return Ok(bytes);
        }
        if image::base_command(&path).is_some() {
            return Ok(format!("{PROGRAM}{}\n", image::base_command(&path).unwrap_or_default()).into_bytes());
        }
        self.files.read(&path).map(<[u8]>::to_vec)
    }

    /// What is at a path, links followed, those of the kernel and the base system included.
    pub fn stat(&self, path: &str, now: i64) -> Result<Node, Errno> {
        let path = self.files.resolve(path, true)?;
        let virtual_node =
            |kind, mode| Node { kind, mode, owner: "root".into(), group: "root".into(), mtime: 0 };
        if let Some(bytes) = self.kernel_file(&path, now) {
            let mode = if path.starts_with("/dev/") { 0o666 } else { 0o644 };
            return Ok(virtual_node(Kind::File(files::Content(bytes)), mode));
        }
        if self.kernel_dir(&path) || (path == "/bin" || path == "/sbin") {
            return Ok(virtual_node(Kind::Dir, 0o755));
        }
        if image::base_command(&path).is_some() {
            let content = files::Content(self.read(&path, now)?);
            return Ok(virtual_node(Kind::File(content), 0o755));
        }
        self.files.stat(&path).map(|(_, n)| n.clone())
    }
}

/// `haproxy` and `haproxy.service` are one unit.
pub fn unit_name(unit: &str) -> String {
    const SUFFIXES: [&str; 9] =
        ["service", "socket", "target", "timer", "mount", "swap", "path", "slice", "scope"];
    match unit.rsplit_once('.') {
        Some((_, suffix)) if SUFFIXES.contains(&suffix) => unit.to_owned(),
        _ => format!("{unit}.service"),
    }
}
