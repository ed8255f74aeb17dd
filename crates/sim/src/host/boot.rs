//! What a boot does to a host: the memory is lost, and the disk says what comes back.

use super::{Host, ServiceState};

impl Host {
    /// Lines of the files that systemd-sysctl reads, in its order; later ones win.
    pub fn sysctl_files(&self) -> Vec<(String, String)> {
        self.conf_files(&["/usr/lib/sysctl.d", "/run/sysctl.d", "/etc/sysctl.d"], Some("/etc/sysctl.conf"))
    }

    /// `*.conf` of several folders ordered by name as systemd does (a later folder's file hides an earlier one's of the same name).
    fn conf_files(&self, dirs: &[&str], last: Option<&str>) -> Vec<(String, String)> {
        let mut found = std::collections::BTreeMap::new();
        for dir in dirs {
            for (name, _) in self.files.children(dir).filter(|(n, _)| n.ends_with(".conf")) {
                found.insert(name.to_owned(), format!("{dir}/{name}"));
            }
        }
        let paths = found.into_values().chain(last.map(str::to_owned));
        paths.filter(|p| self.files.exists(p)).map(|p| (p.clone(), self.files.text(&p))).collect()
    }

    /// Whether fstab has a swap that is not commented out or `noauto`.
    pub fn fstab_swap(&self) -> bool {
        let fstab = self.files.text("/etc/fstab");
        let mut lines = fstab.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
        lines.any(|f| {
            f.len() >= 3
                && !f[0].starts_with('#')
                && f[2] == "swap"
                && !f.get(3).is_some_and(|o| o.contains("noauto"))
        }) && !self.masked("swap.target")
    }

    /// The first half of a boot: kernel state from the disk. Services are started by the caller, in the order of [`Host::enabled_units`].
    pub fn boot_kernel(&mut self, now_ms: i64, boot_id: String) {
        self.boot_id = boot_id;
        self.booted = now_ms;
        if let Some(role) = &mut self.node {
            role.pods_up = false;
        }
        self.modules.clear();
        self.sysctls.clear();
        for service in self.services.values_mut() {
            service.state = ServiceState::Inactive;
            service.loaded = None;
        }
        for dir in ["/tmp", "/run"] {
            let below: Vec<String> = self.files.children(dir).map(|(n, _)| format!("{dir}/{n}")).collect();
            for path in below {
                // Only an absent path could fail here, and that is what is wanted.
                let _ = self.files.remove_tree(&path, super::files::Actor::root(now_ms / 1000));
            }
        }
        if let Some(name) = self.files.text("/etc/hostname").lines().next().filter(|n| !n.is_empty()) {
            self.hostname = name.to_owned();
        }
        self.swap = self.fstab_swap();
        let mut wanted =
            self.conf_files(&["/usr/lib/modules-load.d", "/etc/modules-load.d"], Some("/etc/modules"));
        for (_, text) in wanted.drain(..) {
            for name in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', ';'])) {
                self.modprobe(name);
            }
        }
        for (_, text) in self.sysctl_files() {
            for (name, value) in sysctl_lines(&text) {
                self.set_sysctl(&name, &value);
            }
        }
    }

    /// Units that a boot starts, in name order but with containerd before what needs it.
    pub fn enabled_units(&self) -> Vec<String> {
        let links = self.files.below("/etc/systemd/system");
        let mut units: Vec<String> = links
            .filter_map(|(p, _)| p.split_once(".wants/").map(|(_, unit)| unit.to_owned()))
            .filter(|u| u.ends_with(".service"))
            .collect();
        units.sort_by_key(|u| (u != "containerd.service", u == "kubelet.service", u.clone()));
        units.dedup();
        units
    }
}

/// `name = value` lines of a sysctl file; a leading `-` is dropped.
pub fn sysctl_lines(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', ';']));
    lines
        .filter_map(|l| l.split_once('='))
        .map(|(n, v)| (super::sysctl::dotted(n.trim().trim_start_matches('-')), v.trim().to_owned()))
        .collect()
}
