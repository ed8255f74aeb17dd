//! The parts of a prepared machine, and in what a machine that was looked at differs from each.

use std::collections::{BTreeMap, BTreeSet};

use grappe_kubeadm::containerd;
use grappe_kubeadm::hosts::source::{APT_KEY_PATH, APT_LIST_PATH, RPM_REPO_PATH};
use grappe_kubeadm::hosts::{self, firewall, proxy};
use grappe_provider_host::packages::Manager;

use super::address;
use super::args::{Args, File};
use super::observe::{BEHIND_STUBS, CLOCKS, Observed, STAGED};
use super::system::{DOCKER_REPO_PATH, System, docker_repo};

/// What a part says of itself when nothing is to be done.
pub(super) const AS_WANTED: &str = "as wanted";
/// The parts, in the order they are made.
pub(super) const PARTS: [&str; 11] = [
    "swap",
    "modules",
    "sysctls",
    "resolver",
    "selinux",
    "firewall",
    "proxy",
    "source",
    "packages",
    "time",
    "containerd",
];

/// In what a part differs; `None` if in nothing.
type Difference = Option<String>;

impl Observed {
    /// How each part stands.
    pub(super) fn parts(&self, args: &Args) -> BTreeMap<String, String> {
        let text = |part: &str| self.part(part, args).unwrap_or_else(|| AS_WANTED.to_owned());
        PARTS.into_iter().map(|part| (part.to_owned(), text(part))).collect()
    }

    fn part(&self, part: &str, args: &Args) -> Difference {
        match part {
            "swap" => self.swap(),
            "modules" => self.modules(),
            "sysctls" => self.sysctls(args),
            "resolver" => self.resolver(args),
            "selinux" => self.selinux(args),
            "firewall" => self.firewall(args),
            "proxy" => self.proxy(args),
            "source" => self.source(args),
            "packages" => self.packages(args),
            "time" => self.time(args),
            _ => self.containerd(args),
        }
    }

    /// Devices that are swapped to; lines of fstab and units that would bring some back.
    pub(super) fn swap(&self) -> Difference {
        let on: Vec<&str> = self.swap_devices().collect();
        if !on.is_empty() {
            return Some(format!("on: {}", on.join(", ")));
        }
        let fstab = self.file("/etc/fstab");
        if hosts::fstab_without_swap(fstab) != fstab {
            return Some("off, but /etc/fstab turns it on at boot".to_owned());
        }
        self.swap_units().next().map(|unit| format!("off, but {unit} turns it on at boot"))
    }

    pub(super) fn modules(&self) -> Difference {
        let loaded: BTreeSet<&str> = self.body("modules").lines().collect();
        let missing: Vec<&str> =
            hosts::MODULES.into_iter().filter(|module| !loaded.contains(module)).collect();
        if !missing.is_empty() {
            return Some(format!("not loaded: {}", missing.join(", ")));
        }
        (self.file(hosts::MODULES_PATH) != hosts::modules_load())
            .then(|| format!("{} differs", hosts::MODULES_PATH))
    }

    pub(super) fn sysctls(&self, args: &Args) -> Difference {
        let found: BTreeMap<&str, &str> =
            self.body("sysctls").lines().filter_map(|line| line.split_once('=')).collect();
        for (key, wanted) in hosts::sysctls(&args.extra_sysctls) {
            let value = found.get(key.as_str()).copied().unwrap_or_default();
            // The kernel separates several numbers by tabs.
            if !value.split_whitespace().eq(wanted.split_whitespace()) {
                return Some(format!("{key} is {}", if value.is_empty() { "not set" } else { value }));
            }
        }
        let file = self.file(hosts::SYSCTL_PATH) != hosts::sysctl_conf(&args.extra_sysctls);
        file.then(|| format!("{} differs", hosts::SYSCTL_PATH))
    }

    /// The resolv.conf that the kubelet must be told of: the one asked for, or the one behind a stub. systemd-resolved's is
    /// left to kubeadm, which finds it by itself.
    pub(super) fn kubelet_resolv_conf<'a>(&self, args: &'a Args) -> Option<&'a str> {
        if let Some(path) = &args.resolv_conf {
            return Some(path);
        }
        let behind = || BEHIND_STUBS.into_iter().find(|path| self.has_nameserver(path));
        let stub = hosts::is_stub(self.file("/etc/resolv.conf")) && !self.is_active("systemd-resolved");
        if stub { behind() } else { None }
    }

    fn has_nameserver(&self, path: &str) -> bool {
        let text = self.file(path);
        hosts::nameservers(text).next().is_some() && !hosts::is_stub(text)
    }

    pub(super) fn resolver(&self, args: &Args) -> Difference {
        if !self.has("resolv") {
            return Some("there is no /etc/resolv.conf, without which no pod starts".into());
        }
        let path = hosts::KUBELET_RESOLV_PATH;
        match self.kubelet_resolv_conf(args) {
            Some(wanted) => (self.file(path) != hosts::kubelet_resolv_conf(wanted))
                .then(|| format!("the kubelet is not told of {wanted}")),
            None => self.is_ours(path).then(|| format!("{path} is left over")),
        }
    }

    pub(super) fn selinux(&self, args: &Args) -> Difference {
        args.selinux.as_ref()?;
        let said = self.body("selinux");
        if said.lines().any(|line| line == "Enforcing") {
            return Some("enforcing".into());
        }
        said.contains("SELINUX=enforcing").then(|| "permissive, but enforcing after a boot".into())
    }

    pub(super) fn firewall(&self, args: &Args) -> Difference {
        let networks = &args.trusted_networks;
        if self.has("iptables") {
            let there: BTreeSet<&str> = self.body("iptables").lines().map(str::trim).collect();
            for network in networks {
                if !firewall::rules(network).iter().all(|rule| there.contains(rule.as_str())) {
                    return Some(format!("{network} is not let in"));
                }
            }
            let saved = self.file(firewall::SAVED_PATH);
            return (firewall::saved(saved, networks).is_some_and(|wanted| wanted != saved))
                .then(|| format!("{} differs", firewall::SAVED_PATH));
        }
        if self.is_active("firewalld") {
            // One line of what is in force, one of what a boot brings.
            let lines: Vec<&str> = self.body("firewalld").lines().collect();
            let missing = networks.iter().find(|network| {
                lines.len() < 2
                    || !lines.iter().all(|line| line.split_whitespace().any(|one| one == network.as_str()))
            });
            return missing.map(|network| format!("{network} is not a source of firewalld's trusted zone"));
        }
        None
    }

    /// The files that a proxy takes, and their content; empty where one must go.
    pub(super) fn proxy_files(&self, args: &Args) -> Vec<File> {
        let proxy = args.proxy();
        let text = |content: String| if proxy.is_empty() { String::new() } else { content };
        let mut files: Vec<File> = proxy::UNITS
            .into_iter()
            .map(|unit| File { path: proxy::unit_path(unit), content: text(proxy.systemd()) })
            .collect();
        let in_main = |path: &str| File { path: path.into(), content: proxy.in_main(self.file(path)) };
        let main = match self.system {
            Some(System::Debian) => Some(File { path: proxy::APT_PATH.into(), content: text(proxy.apt()) }),
            Some(System::RedHat) => Some(in_main(proxy::DNF_PATH)),
            Some(System::Photon) => Some(in_main(proxy::TDNF_PATH)),
            None => None,
        };
        files.extend(main);
        files
    }

    fn proxy(&self, args: &Args) -> Difference {
        let differs = |file: &File| {
            let there = self.file(&file.path);
            // What somebody else put there, where we want nothing, is theirs.
            there != file.content && (!file.content.is_empty() || self.is_ours(&file.path))
        };
        self.proxy_files(args).iter().find(|file| differs(file)).map(|file| match file.content.as_str() {
            "" => format!("{} is left over", file.path),
            _ => format!("{} differs", file.path),
        })
    }

    /// The files of the package source.
    pub(super) fn source_files(&self, args: &Args) -> Vec<File> {
        let Some(system) = self.system else { return Vec::new() };
        let mut files = Vec::new();
        if let Ok(Some(source)) = args.source(system) {
            files.push(match system.manager() {
                Manager::Apt => File { path: APT_LIST_PATH.into(), content: source.apt_list() },
                manager => {
                    File { path: RPM_REPO_PATH.into(), content: source.rpm_repo(manager == Manager::Dnf) }
                }
            });
        }
        if args.dockers_repo(system) {
            files.push(File { path: DOCKER_REPO_PATH.into(), content: docker_repo() });
        }
        files
    }

    pub(super) fn source(&self, args: &Args) -> Difference {
        let Some(system) = self.system else { return Some("the system is not known".into()) };
        if let Some(file) = self.source_files(args).iter().find(|file| self.file(&file.path) != file.content)
        {
            return Some(format!("{} differs", file.path));
        }
        let source = args.source(system).ok().flatten()?;
        let unsigned = source.key_url.is_some() && !source.trusted && self.body("key").is_empty();
        (unsigned && system == System::Debian).then(|| format!("{APT_KEY_PATH} is missing"))
    }

    /// What the packages lack. The release of a live node is not this type's business: see the module.
    pub(super) fn packages(&self, args: &Args) -> Difference {
        let Some(system) = self.system else { return Some("the system is not known".into()) };
        let Ok(wanted) = args.wanted() else { return None };
        let release = args.release_packages(system);
        for name in args.packages(system) {
            let Some(package) = self.package(name) else {
                return Some(format!("{name} is not installed"));
            };
            if !release.contains(&name) {
                continue;
            }
            let fits = self.release(name).is_some_and(|version| wanted.admits(&version));
            if !fits && !self.is_node() {
                return Some(format!("{name} is {}", package.version));
            }
            if !package.held {
                return Some(format!("{name} is not held"));
            }
        }
        (!self.is_enabled("kubelet")).then(|| "the kubelet's service is not enabled".into())
    }

    pub(super) fn time(&self, args: &Args) -> Difference {
        let container = !matches!(self.body("container").trim(), "" | "none");
        match args.time.as_deref() {
            Some("ignore") => return None,
            None if container => return None,
            _ => {}
        }
        let kept =
            CLOCKS.iter().any(|unit| self.is_active(unit)) || self.body("synchronized").trim() == "yes";
        (!kept).then(|| "nothing keeps the clock: no NTP service is active".into())
    }

    pub(super) fn containerd(&self, args: &Args) -> Difference {
        let Some(wanted) = self.wanted_config(args) else { return Some("not installed".into()) };
        if self.file(containerd::CONFIG_PATH) != wanted {
            return Some(format!("{} differs", containerd::CONFIG_PATH));
        }
        if let Some(file) = self.stale_registry_files(args).first() {
            return Some(match file.content.as_str() {
                "" => format!("{} is left over", file.path),
                _ => format!("{} differs", file.path),
            });
        }
        if self.file(containerd::CRICTL_PATH) != containerd::crictl() {
            return Some(format!("{} differs", containerd::CRICTL_PATH));
        }
        if self.has(&format!("file {STAGED}")) {
            return Some("the service was not restarted with its new configuration".into());
        }
        if !self.is_active("containerd") {
            let state = self.active_state("containerd");
            return Some(format!("the service is {}", if state.is_empty() { "unknown" } else { state }));
        }
        (!self.is_enabled("containerd")).then(|| "the service is not enabled".into())
    }

    /// The registries' files that differ; with no content those of ours that nobody wants any more.
    pub(super) fn stale_registry_files(&self, args: &Args) -> Vec<File> {
        let wanted = args.registry_files();
        let left = self.registry_files().filter(|path| {
            path.ends_with("/hosts.toml")
                && self.is_ours(path)
                && !wanted.iter().any(|file| file.path == *path)
        });
        let mut stale: Vec<File> =
            left.map(|path| File { path: path.to_owned(), content: String::new() }).collect();
        stale.extend(wanted.into_iter().filter(|file| self.file(&file.path) != file.content));
        stale
    }

    /// What a person should know, and nothing is done about.
    pub(super) fn notes(&self, args: &Args, node_ip: Option<&str>) -> Vec<String> {
        let mut notes = Vec::new();
        notes.extend(node_ip.and_then(|ip| address::note(args, &self.addresses(), self.body("route"), ip)));
        if args.selinux.is_none() && self.body("selinux").lines().any(|line| line == "Enforcing") {
            notes.push("SELinux is enforcing, and stays so: set selinux = \"permissive\" where pods or network plugins cannot do with it".into());
        }
        let closed = |rules: &str| rules.lines().any(|line| line.trim() == "-P INPUT DROP");
        if args.trusted_networks.is_empty() {
            if self.is_active("firewalld") {
                notes.push("firewalld is active: set trusted_networks to the nodes', pods' and services' networks, or open the cluster's ports".into());
            } else if closed(self.body("iptables")) {
                notes.push("iptables drops what comes in: set trusted_networks to the nodes', pods' and services' networks, or open the cluster's ports".into());
            }
        }
        let resolv = self.file("/etc/resolv.conf");
        let looped = hosts::is_stub(resolv) && !self.is_active("systemd-resolved");
        if looped && self.kubelet_resolv_conf(args).is_none() {
            notes.push("/etc/resolv.conf names only the machine itself, which pods cannot ask: set resolv_conf to a file with the network's nameservers".into());
        }
        notes
    }
}
