//! dnf: RHEL and what is built from it.
//!
//! A package is held when versionlock has it (dnf 4 keeps `NAME-EPOCH:VERSION-RELEASE.*` lines in
//! /etc/dnf/plugins/versionlock.list: dnf-plugins-core, versionlock(8); dnf 5 a `name = "NAME"` line each in
//! /etc/dnf/versionlock.toml: dnf5-versionlock(8)), or an `exclude=` of a repository or of the main configuration names it,
//! as Kubernetes' own installation page does for pkgs.k8s.io.

use std::collections::{BTreeMap, BTreeSet};

use grappe_ssh::quote;

use super::{Package, Wanted, read_rpm, rpm_query};

/// Asks nothing. dnf itself waits for whoever holds its lock, and prints `Waiting for process with pid N to finish.`
const DNF: &str = "LC_ALL=C dnf -q -y";

pub(super) fn query(quoted: &str) -> String {
    format!(
        "{}\necho '-- held'\ncat /etc/dnf/plugins/versionlock.list /etc/dnf/versionlock.toml 2>/dev/null\n\
         grep -h '^exclude' /etc/dnf/dnf.conf /etc/yum.repos.d/*.repo 2>/dev/null || true",
        rpm_query(quoted)
    )
}

pub(super) fn read(text: &str) -> BTreeMap<String, Package> {
    read_rpm(text, held)
}

fn held(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!'])) {
        if let Some(list) =
            line.strip_prefix("exclude").map(|rest| rest.trim_start_matches("pkgs").trim_start())
        {
            let list = list.trim_start_matches('=');
            names.extend(list.split([' ', ',']).filter(|name| !name.is_empty()).map(str::to_owned));
        } else if let Some(name) = line.strip_prefix("name = ") {
            names.insert(name.trim_matches('"').to_owned());
        } else if let Some((name, _)) = line.split_once(':').and_then(|(before, _)| before.rsplit_once('-')) {
            names.insert(name.to_owned());
        }
    }
    names
}

pub(super) fn refresh() -> String {
    format!("{DNF} makecache")
}

pub(super) fn install(wanted: &[Wanted<'_>]) -> String {
    let word = |wanted: &Wanted<'_>| match wanted.version {
        Some(version) => quote(&format!("{}-{version}", wanted.name)),
        None => quote(wanted.name),
    };
    let words = wanted.iter().map(word).collect::<Vec<_>>().join(" ");
    let names = wanted.iter().map(|wanted| quote(wanted.name)).collect::<Vec<_>>().join(" ");
    // A lock keeps every other version out, also that which is asked for.
    format!(
        "if [ -s /etc/dnf/plugins/versionlock.list ] || [ -s /etc/dnf/versionlock.toml ]; then dnf -q versionlock delete {names} >/dev/null 2>&1 || true; fi\n\
         {DNF} install --disableexcludes=all --setopt=install_weak_deps=False {words}"
    )
}

pub(super) fn remove(quoted: &str) -> String {
    format!("{DNF} remove {quoted}")
}

pub(super) fn hold(quoted: &str) -> String {
    // dnf 4 has it in a plugin; dnf 5 by itself.
    format!(
        "{{ dnf -q versionlock list >/dev/null 2>&1 || {DNF} install python3-dnf-plugin-versionlock; }} && {DNF} versionlock add {quoted}"
    )
}

pub(super) fn unhold(quoted: &str) -> String {
    format!("{DNF} versionlock delete {quoted}")
}

pub(super) fn offers(quoted: &str) -> String {
    format!("{DNF} list --showduplicates --disableexcludes=all {quoted}")
}

/// Lines of `NAME.ARCH VERSION-RELEASE REPOSITORY` under headings, the oldest first; an installed one stands apart, at
/// `@REPOSITORY`. dnf(8) and tdnf(8), `list`.
pub(super) fn read_offers(text: &str, name: &str) -> Vec<String> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (id, version, repository) = (words.next()?, words.next()?, words.next()?);
        let installed = repository.starts_with('@');
        (id.rsplit_once('.')?.0 == name && !installed)
            .then(|| version.strip_prefix("0:").unwrap_or(version).to_owned())
    };
    let mut all: Vec<String> = text.lines().filter_map(line).collect();
    // The same version may lie in several repositories.
    all.sort_by(|a, b| numbers(b).cmp(&numbers(a)).then_with(|| b.cmp(a)));
    all.dedup();
    all
}

/// The numbers in a version, which order it well enough among its own kind.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rpm_and_versionlock_say() {
        // rpm prints a line in its own words for what is not there.
        let text = "kubelet 0:1.34.2-150500.1.1\npackage kubectl is not installed\nbind-utils 32:9.16.23-31.el9_6\n\
                    kubeadm 0:1.34.2-150500.1.1\nhaproxy 0:2.8.14-1.el9\n-- held\n\
                    # Added lock on Fri Nov 20 10:11:12 2026\nkubelet-0:1.34.2-150500.1.1.*\n!curl-0:7.76.1-31.el9.*\n\
                    exclude=kubeadm cri-tools,kubernetes-cni\n";
        let packages = read(text);
        assert_eq!(packages.keys().collect::<Vec<_>>(), ["bind-utils", "haproxy", "kubeadm", "kubelet"]);
        assert_eq!(packages["kubelet"], Package { version: "1.34.2-150500.1.1".into(), held: true });
        assert_eq!(packages["bind-utils"].version, "32:9.16.23-31.el9_6");
        assert!(packages["kubeadm"].held && !packages["haproxy"].held);
        let dnf5 = "jq 0:1.7.1-8.fc41\n-- held\nversion = \"1.0\"\n\n[[packages]]\nname = \"jq\"\n[[packages.conditions]]\nkey = \"evr\"\n";
        assert!(read(dnf5)["jq"].held);
    }

    #[test]
    fn offers_are_the_newest_first() {
        let text = "Installed Packages\nkubeadm.x86_64      1.34.1-150500.1.1      @kubernetes\nAvailable Packages\n\
                    kubeadm.x86_64      1.34.0-150500.1.1      kubernetes\nkubeadm.src         1.34.0-150500.1.1      kubernetes\n\
                    kubeadm.x86_64      1.34.2-150500.1.1      kubernetes\nkubeadm.x86_64      1.34.10-150500.1.1     kubernetes\n\
                    kubectl.x86_64      1.34.9-150500.1.1      kubernetes\n";
        assert_eq!(
            read_offers(text, "kubeadm"),
            ["1.34.10-150500.1.1", "1.34.2-150500.1.1", "1.34.0-150500.1.1"]
        );
    }
}
