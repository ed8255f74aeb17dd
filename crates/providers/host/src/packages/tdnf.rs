//! tdnf: Photon.
//!
//! A package is held when a file under /etc/tdnf/locks.d has its name on a line (tdnf's "package locks", since 3.2). tdnf
//! then neither updates nor removes it, so that a change takes the lock away first.

use std::collections::{BTreeMap, BTreeSet};

use grappe_ssh::quote;

use super::{Package, Wanted, read_rpm, rpm_query};

/// Asks nothing. tdnf itself waits for whoever holds its lock.
const TDNF: &str = "LC_ALL=C tdnf -q -y";
const LOCKS: &str = "/etc/tdnf/locks.d";

pub(super) fn query(quoted: &str) -> String {
    format!("{}\necho '-- held'\ncat {LOCKS}/*.conf 2>/dev/null || true", rpm_query(quoted))
}

pub(super) fn read(text: &str) -> BTreeMap<String, Package> {
    let names =
        |text: &str| -> BTreeSet<String> { text.lines().map(|line| line.trim().to_owned()).collect() };
    read_rpm(text, names)
}

pub(super) fn refresh() -> String {
    format!("{TDNF} --refresh makecache")
}

pub(super) fn install(wanted: &[Wanted<'_>]) -> String {
    let word = |wanted: &Wanted<'_>| match wanted.version {
        Some(version) => quote(&format!("{}-{version}", wanted.name)),
        None => quote(wanted.name),
    };
    let words = wanted.iter().map(word).collect::<Vec<_>>().join(" ");
    let names: Vec<&str> = wanted.iter().map(|wanted| wanted.name).collect();
    format!("{} && {TDNF} install {words}", unhold(&names))
}

pub(super) fn remove(quoted: &str) -> String {
    format!("{TDNF} erase {quoted}")
}

/// The file that locks a package.
fn lock(name: &str) -> String {
    quote(&format!("{LOCKS}/{name}.conf"))
}

pub(super) fn hold(names: &[&str]) -> String {
    let files: Vec<String> =
        names.iter().map(|name| format!("echo {} > {}", quote(name), lock(name))).collect();
    format!("mkdir -p {LOCKS} && {}", files.join(" && "))
}

pub(super) fn unhold(names: &[&str]) -> String {
    format!("rm -f {}", names.iter().map(|name| lock(name)).collect::<Vec<_>>().join(" "))
}

pub(super) fn offers(quoted: &str) -> String {
    format!("{TDNF} list {quoted}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::{Manager, dnf};

    #[test]
    fn what_rpm_and_the_locks_say() {
        let packages = read("kubernetes 0:1.30.5-2.ph5\nhaproxy 0:2.8.3-4.ph5\n-- held\nkubernetes\n");
        assert!(packages["kubernetes"].held && !packages["haproxy"].held);
        assert_eq!(packages["kubernetes"].version, "1.30.5-2.ph5");
    }

    #[test]
    fn offers_are_those_of_the_repositories() {
        // tdnf prints no headings.
        let text = "kubernetes-kubeadm.x86_64             1.30.5-2.ph5             @System\n\
                    kubernetes-kubeadm.x86_64             1.29.9-1.ph5             photon-updates\n\
                    kubernetes-kubeadm.x86_64             1.30.5-2.ph5             photon-updates\n";
        assert_eq!(dnf::read_offers(text, "kubernetes-kubeadm"), ["1.30.5-2.ph5", "1.29.9-1.ph5"]);
    }

    #[test]
    fn a_lock_goes_before_its_package_changes() {
        let script = Manager::Tdnf.install(&[Wanted { name: "kubernetes", version: Some("1.30.5-2.ph5") }]);
        assert_eq!(
            script,
            "rm -f '/etc/tdnf/locks.d/kubernetes.conf' && LC_ALL=C tdnf -q -y install 'kubernetes-1.30.5-2.ph5'"
        );
    }
}
