//! Debian's package database: what is installed and what could be.

use super::catalogue::{self, DEBIAN, Entry};
use crate::host::files::Actor;
use crate::host::{Host, PROGRAM, Package};

/// A version that a repository offers.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Package name.
    pub(crate) name: String,
    /// Debian version.
    pub(crate) version: String,
    /// None for packages of Kubernetes' own repositories.
    pub(super) entry: Option<&'static Entry>,
}

impl Candidate {
    /// What it needs.
    pub(crate) fn depends(&self) -> &'static [&'static str] {
        match self.entry {
            Some(entry) => entry.depends,
            None => catalogue::kubernetes_depends(&self.name),
        }
    }
}

/// The minor in a pkgs.k8s.io path: 31 of `…/core:/stable:/v1.31/deb/…`.
pub(super) fn minor_of(path: &str) -> Option<u32> {
    let rest = path.split("/v1.").nth(1)?;
    rest.split('/').next()?.parse().ok()
}

/// Repositories that the sources name and that exist, and apt's complaints about the rest.
pub(super) fn sources(host: &Host) -> (Vec<String>, Vec<String>) {
    let (mut known, mut trouble) = (Vec::new(), Vec::new());
    let mut texts = vec![("/etc/apt/sources.list".to_owned(), host.files.text("/etc/apt/sources.list"))];
    for (name, _) in host.files.children("/etc/apt/sources.list.d") {
        if name.ends_with(".list") || name.ends_with(".sources") {
            let path = format!("/etc/apt/sources.list.d/{name}");
            texts.push((path.clone(), host.files.text(&path)));
        }
    }
    for (file, text) in texts {
        let deb822 = file.ends_with(".sources");
        let signed = |line: &str| -> Option<String> {
            let rest = line.split("signed-by=").nth(1).or_else(|| line.split("Signed-By:").nth(1))?;
            Some(rest.trim().split([' ', ']', '\n']).next()?.to_owned())
        };
        let entries: Vec<String> = if deb822 {
            text.split("\n\n").map(str::to_owned).filter(|s| s.contains("URIs:")).collect()
        } else {
            let lines = text.lines().map(str::trim).filter(|l| !l.starts_with('#') && !l.is_empty());
            lines.map(str::to_owned).collect()
        };
        for (n, entry) in entries.iter().enumerate() {
            if !deb822 && !entry.starts_with("deb ") && !entry.starts_with("deb-src ") {
                trouble.push(format!("E: Malformed entry {} in list file {file} (Type)\nE: The list of sources could not be read.", n + 1));
                continue;
            }
            if deb822 && entry.lines().any(|l| l.trim() == "Enabled: no") {
                continue;
            }
            if entry.contains("pkgs.k8s.io") {
                let minor = minor_of(entry).filter(|m| *m >= 20 && catalogue::newest_patch(*m).is_some());
                let Some(minor) = minor else {
                    trouble.push(format!("Err: {entry}\n  403  Forbidden\nE: The repository in {file} is not signed or does not exist."));
                    continue;
                };
                match signed(entry) {
                    Some(key) if !host.files.exists(&key) => trouble.push(format!(
                        "W: GPG error: https://pkgs.k8s.io/core:/stable:/v1.{minor}/deb  InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 234654DA9A296436\nE: The repository 'https://pkgs.k8s.io/core:/stable:/v1.{minor}/deb  InRelease' is not signed."
                    )),
                    _ => known.push(format!("v1.{minor}")),
                }
            } else if entry.contains("debian.org") || entry.contains("debian") {
                known.push("debian".to_owned());
            } else {
                trouble.push(format!("Err: {entry}\n  Could not resolve host (a simulated host reaches no Internet)\nE: Failed to fetch from {file}"));
            }
        }
    }
    known.dedup();
    (known, trouble)
}

/// What can be installed under a name, best first. Debian's own lists are part of the image; others come with `apt-get update`.
pub(super) fn candidates(host: &Host, name: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for list in &host.apt_lists {
        let Some(minor) = list.strip_prefix("v1.").and_then(|m| m.parse().ok()) else { continue };
        for (package, versions) in catalogue::kubernetes(minor) {
            if package == name {
                found.extend(versions.into_iter().map(|version| Candidate {
                    name: name.to_owned(),
                    version,
                    entry: None,
                }));
            }
        }
    }
    found.sort_by(|a, b| compare(&b.version, &a.version));
    if host.apt_lists.contains("debian")
        && let Some(entry) = DEBIAN.iter().find(|e| e.name == name)
    {
        found.push(Candidate {
            name: name.to_owned(),
            version: entry.version.to_owned(),
            entry: Some(entry),
        });
    }
    if found.is_empty()
        && host.apt_lists.contains("debian")
        && let Some(package) = host.packages.get(name)
        && !name.starts_with("kube")
    {
        found.push(Candidate { name: name.to_owned(), version: package.version.clone(), entry: None });
    }
    found
}

/// Whether Debian version `a` is older than `b`; digits compare as numbers, `~` comes before the end.
pub(super) fn older(a: &str, b: &str) -> bool {
    compare(a, b).is_lt()
}

/// Debian's order of versions (deb-version(7)).
pub(super) fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    let epoch = |v: &str| -> (u64, String) {
        match v.split_once(':') {
            Some((e, rest)) if e.chars().all(|c| c.is_ascii_digit()) => {
                (e.parse().unwrap_or(0), rest.to_owned())
            }
            _ => (0, v.to_owned()),
        }
    };
    let ((ea, a), (eb, b)) = (epoch(a), epoch(b));
    ea.cmp(&eb).then_with(|| {
        let weight = |c: Option<char>| match c {
            Some('~') => -1,
            None => 0,
            Some(c) if c.is_ascii_digit() => 0,
            Some(c) if c.is_ascii_alphabetic() => c as i32,
            Some(c) => c as i32 + 256,
        };
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        let (mut i, mut j) = (0, 0);
        while i < a.len() || j < b.len() {
            while a.get(i).is_some_and(|c| !c.is_ascii_digit())
                || b.get(j).is_some_and(|c| !c.is_ascii_digit())
            {
                let (x, y) = (weight(a.get(i).copied()), weight(b.get(j).copied()));
                if x != y {
                    return x.cmp(&y);
                }
                i += usize::from(a.get(i).is_some_and(|c| !c.is_ascii_digit()));
                j += usize::from(b.get(j).is_some_and(|c| !c.is_ascii_digit()));
            }
            let number = |v: &[char], at: &mut usize| {
                let start = *at;
                while v.get(*at).is_some_and(char::is_ascii_digit) {
                    *at += 1;
                }
                v[start..*at].iter().collect::<String>().parse::<u64>().unwrap_or(0)
            };
            let order = number(&a, &mut i).cmp(&number(&b, &mut j));
            if order.is_ne() {
                return order;
            }
        }
        std::cmp::Ordering::Equal
    })
}

/// Puts a package's files in place and starts what it brings. Gives the unit that did not start.
pub(super) fn unpack(host: &mut Host, candidate: &Candidate, now: i64) -> Option<String> {
    let held = host.packages.get(&candidate.name).is_some_and(|p| p.held);
    let first = !host.installed(&candidate.name);
    let package = Package { version: candidate.version.clone(), held, removed: false };
    host.packages.insert(candidate.name.clone(), package);
    let seconds = now / 1000;
    let program = |host: &mut Host, name: &str, version: &str| {
        let dir = if ["haproxy", "keepalived", "conntrack", "ipset", "ebtables"].contains(&name) {
            "/usr/sbin"
        } else {
            "/usr/bin"
        };
        host.files.put(&format!("{dir}/{name}"), format!("{PROGRAM}{name} {version}\n"), 0o755, seconds);
    };
    let unit = match candidate.entry {
        Some(entry) => {
            for (name, version) in entry.programs {
                program(host, name, version);
            }
            for (path, text) in entry.conffiles {
                if !host.files.exists(path) {
                    host.files.put(path, *text, 0o644, seconds);
                }
            }
            if entry.name == "haproxy" {
                add_user(host, "haproxy", seconds);
                host.files.make_dirs("/var/lib/haproxy", seconds);
                host.files.make_dirs("/etc/haproxy/errors", seconds);
            }
            if entry.name == "keepalived" {
                host.files.make_dirs("/etc/keepalived", seconds);
            }
            entry.unit
        }
        None => {
            let version = candidate.version.split('-').next().unwrap_or_default();
            match candidate.name.as_str() {
                "kubernetes-cni" => {
                    for name in ["bridge", "host-local", "loopback", "portmap"] {
                        host.files.put(&format!("/opt/cni/bin/{name}"), "#!simulated cni\n", 0o755, seconds);
                    }
                    None
                }
                "cri-tools" => {
                    program(host, "crictl", version);
                    None
                }
                name @ ("kubeadm" | "kubectl") => {
                    program(host, name, version);
                    if name == "kubeadm" {
                        host.files.make_dirs("/etc/kubernetes/manifests", seconds);
                    }
                    None
                }
                "kubelet" => {
                    program(host, "kubelet", version);
                    host.files.make_dirs("/etc/kubernetes/manifests", seconds);
                    host.files.put("/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", "[Service]\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf\"\n", 0o644, seconds);
                    Some(("kubelet", false))
                }
                _ => None,
            }
        }
    };
    let (unit, start) = unit?;
    let program = if unit == "haproxy" || unit == "keepalived" {
        format!("/usr/sbin/{unit}")
    } else {
        format!("/usr/bin/{unit}")
    };
    let program = if host.files.exists(&program) { program } else { "/usr/bin/true".to_owned() };
    let text = format!(
        "[Unit]\nDescription={unit} (simulated)\n[Service]\nExecStart={program}\n[Install]\nWantedBy=multi-user.target\n"
    );
    host.files.put(&format!("/lib/systemd/system/{unit}.service"), text, 0o644, seconds);
    if first {
        host.enable_unit(unit, now);
        if start && host.start_unit(unit, now).is_err() && unit != "keepalived" && unit != "haproxy" {
            return Some(unit.to_owned());
        }
    }
    None
}

fn add_user(host: &mut Host, name: &str, seconds: i64) {
    let line = format!("{name}:");
    if host.files.text("/etc/passwd").lines().any(|l| l.starts_with(&line)) {
        return;
    }
    // Both files are part of the image.
    let _ = host.files.write(
        "/etc/passwd",
        format!("{name}:x:105:112::/var/lib/{name}:/usr/sbin/nologin\n").as_bytes(),
        true,
        Actor::root(seconds),
    );
    let _ = host.files.write("/etc/group", format!("{name}:x:112:\n").as_bytes(), true, Actor::root(seconds));
}

/// Takes a package away.
pub(super) fn remove(host: &mut Host, name: &str, purge: bool, now: i64) {
    let entry = DEBIAN.iter().find(|e| e.name == name);
    let unit = entry.and_then(|e| e.unit).map(|(u, _)| u).or((name == "kubelet").then_some("kubelet"));
    let actor = Actor::root(now / 1000);
    // What is not there need not be removed.
    let gone = |host: &mut Host, path: &str| _ = host.files.remove_tree(path, actor);
    if let Some(unit) = unit {
        host.stop_unit(unit, now);
        for link in host.wants(unit) {
            gone(host, &link);
        }
        gone(host, &format!("/lib/systemd/system/{unit}.service"));
        host.services.remove(&crate::host::unit_name(unit));
    }
    let programs: Vec<&str> = match (entry, name) {
        (Some(entry), _) => entry.programs.iter().map(|(n, _)| *n).collect(),
        (None, "cri-tools") => vec!["crictl"],
        (None, name) => vec![name],
    };
    for program in programs {
        gone(host, &format!("/usr/bin/{program}"));
        gone(host, &format!("/usr/sbin/{program}"));
    }
    if purge {
        for (path, _) in entry.map(|e| e.conffiles).unwrap_or_default() {
            gone(host, path);
        }
        host.packages.remove(name);
    } else if let Some(package) = host.packages.get_mut(name) {
        if entry.is_some_and(|e| !e.conffiles.is_empty()) || name == "kubelet" {
            (package.removed, package.held) = (true, false);
        } else {
            host.packages.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_dpkg_does() {
        for (a, b) in [
            ("1.9.0-1.1", "1.10.0-1.1"),
            ("1.0~rc1", "1.0"),
            ("1.31.2-1.1", "1.31.10-1.1"),
            ("2.0", "1:0.1"),
            ("1.6.20~ds1-1", "1.6.20-1"),
            ("1.0", "1.0a"),
        ] {
            assert!(older(a, b) && !older(b, a), "{a} < {b}");
        }
        assert!(compare("1.0", "1.0").is_eq());
    }
}
