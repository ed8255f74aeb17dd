//! What a machine needs before kubeadm: kernel modules, sysctls, no swap, packages of one release.
//!
//! Each function is the text of a file or a pure edit of one; the provider compares it with what the host has.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::version::KubernetesVersion;

/// Modules to load at boot, and now.
pub const MODULES: [&str; 3] = ["overlay", "br_netfilter", "nf_conntrack"];
/// Where [`modules_load`] goes.
pub const MODULES_PATH: &str = "/etc/modules-load.d/kubernetes.conf";
/// Where [`sysctl_conf`] goes: late, so that a distribution's own settings do not win.
pub const SYSCTL_PATH: &str = "/etc/sysctl.d/99-kubernetes.conf";
/// Where [`AptSource::list`] goes.
pub const APT_LIST_PATH: &str = "/etc/apt/sources.list.d/kubernetes.list";
/// Where a source's key goes. APT reads armoured keys with this suffix, so the host needs no gpg.
pub const APT_KEY_PATH: &str = "/etc/apt/keyrings/kubernetes.asc";
/// The packages of a release: they move together, and are held.
pub const RELEASE_PACKAGES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];

/// The modules file.
pub fn modules_load() -> String {
    let mut text = String::from("# Written by grappe: modules that Kubernetes needs.\n");
    for module in MODULES {
        text.push_str(module);
        text.push('\n');
    }
    text
}

/// The sysctls Kubernetes needs, and the caller's, which win.
pub fn sysctls(extra: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        ["net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"]
            .into_iter()
            .map(|key| (key.to_owned(), "1".to_owned()))
            .collect();
    all.extend(extra.clone());
    all
}

/// The sysctl file for [`sysctls`].
pub fn sysctl_conf(extra: &BTreeMap<String, String>) -> String {
    let mut text = String::from("# Written by grappe: settings that Kubernetes needs.\n");
    for (key, value) in sysctls(extra) {
        writeln!(text, "{key} = {value}").expect("writing to a String cannot fail");
    }
    text
}

/// What stands before a swap line that was taken out.
const SWAP_OFF: &str = "#grappe: swap off for Kubernetes# ";

/// `/etc/fstab` with its swap lines commented out. The rest stays byte for byte; doing it twice changes nothing.
pub fn fstab_without_swap(fstab: &str) -> String {
    edit_lines(fstab, |line| is_swap(line).then(|| format!("{SWAP_OFF}{line}")))
}

/// `/etc/fstab` with the lines back that [`fstab_without_swap`] took out.
pub fn fstab_with_swap(fstab: &str) -> String {
    edit_lines(fstab, |line| line.strip_prefix(SWAP_OFF).map(str::to_owned))
}

/// Whether a line of fstab(5) has the type `swap`.
fn is_swap(line: &str) -> bool {
    let line = line.trim_start();
    !line.starts_with('#') && line.split_whitespace().nth(2) == Some("swap")
}

fn edit_lines(text: &str, edit: impl Fn(&str) -> Option<String>) -> String {
    text.split_inclusive('\n')
        .map(|line| {
            let (body, end) = line.strip_suffix('\n').map_or((line, ""), |body| (body, "\n"));
            edit(body).unwrap_or_else(|| body.to_owned()) + end
        })
        .collect()
}

/// An APT repository with the release's packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptSource {
    /// `https://…/deb/`.
    pub uri: String,
    /// `/` for a flat repository such as upstream's, or a suite such as `stable`.
    pub suite: String,
    /// Components of a suite; none for a flat repository.
    pub components: Vec<String>,
    /// Where the key that signs it is fetched from.
    pub key_url: Option<String>,
    /// Whether unsigned packages are taken: for a repository on the machine's own network.
    pub trusted: bool,
}

impl AptSource {
    /// Upstream's repository: one for each minor.
    pub fn upstream(version: &KubernetesVersion) -> Self {
        let uri = format!("https://pkgs.k8s.io/core:/stable:/{}/deb/", version.series());
        Self {
            key_url: Some(format!("{uri}Release.key")),
            uri,
            suite: "/".into(),
            components: Vec::new(),
            trusted: false,
        }
    }

    /// The one-line source. A file that `apt-get update` reads.
    pub fn list(&self) -> String {
        let option = match (self.trusted, &self.key_url) {
            (true, _) => "[trusted=yes] ".to_owned(),
            (false, Some(_)) => format!("[signed-by={APT_KEY_PATH}] "),
            (false, None) => String::new(),
        };
        let components: String = self.components.iter().map(|component| format!(" {component}")).collect();
        format!("# Written by grappe.\ndeb {option}{} {}{components}\n", self.uri, self.suite)
    }
}

/// The upstream part of a Debian version: `1.34.2` of `1.34.2-1.1`, `1.20.2` of `1.20.5+really1.20.2-1`.
pub fn upstream_version(debian: &str) -> Option<KubernetesVersion> {
    let no_epoch = debian.split_once(':').map_or(debian, |(_, rest)| rest);
    let upstream = no_epoch.rsplit_once('-').map_or(no_epoch, |(upstream, _)| upstream);
    let upstream = upstream.split_once("+really").map_or(upstream, |(_, real)| real);
    // `1.34.0~rc.1` is how Debian writes a pre-release.
    upstream.replace('~', "-").parse().ok()
}

/// The package version to install for a release, out of those `apt-cache madison PACKAGE` lists (newest first).
///
/// # Errors
/// [`NotAvailable`] with what there is.
pub fn pick_version(
    madison: &str,
    package: &str,
    wanted: &KubernetesVersion,
) -> Result<String, NotAvailable> {
    let offered: Vec<&str> = madison
        .lines()
        .filter_map(|line| {
            let mut columns = line.split('|').map(str::trim);
            (columns.next()? == package).then(|| columns.next())?
        })
        .collect();
    let fits = |debian: &&&str| upstream_version(debian).is_some_and(|version| wanted.admits(&version));
    match offered.iter().find(fits) {
        Some(version) => Ok((*version).to_owned()),
        None => Err(NotAvailable {
            package: package.into(),
            wanted: wanted.clone(),
            offered: offered.iter().take(8).map(|version| (*version).to_owned()).collect(),
        }),
    }
}

/// No configured repository has the release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no repository of the host has {package} {wanted}{}",
    if self.offered.is_empty() { ", nor any other version".to_owned() } else { format!(": it could have {}", self.offered.join(", ")) }
)]
pub struct NotAvailable {
    /// The package.
    pub package: String,
    /// The release asked for.
    pub wanted: KubernetesVersion,
    /// The newest versions there are.
    pub offered: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> KubernetesVersion {
        text.parse().expect(text)
    }

    #[test]
    fn the_files_have_what_kubernetes_needs() {
        assert_eq!(modules_load().lines().skip(1).collect::<Vec<_>>(), MODULES);
        let extra = BTreeMap::from([
            ("vm.max_map_count".to_owned(), "262144".to_owned()),
            ("net.ipv4.ip_forward".to_owned(), "2".to_owned()),
        ]);
        insta::assert_snapshot!(sysctl_conf(&extra), @r"
        # Written by grappe: settings that Kubernetes needs.
        net.bridge.bridge-nf-call-ip6tables = 1
        net.bridge.bridge-nf-call-iptables = 1
        net.ipv4.ip_forward = 2
        vm.max_map_count = 262144
        ");
    }

    #[test]
    fn swap_goes_out_of_fstab_and_comes_back() {
        let fstab = "# /etc/fstab: swap is on /dev/sda2\n\
                     UUID=1 / ext4 errors=remount-ro 0 1\n\
                     \tUUID=2\tnone  swap sw 0 0\n\
                     /swapfile none swap sw 0 0\n\
                     LABEL=swap /data ext4 defaults 0 0";
        let without = fstab_without_swap(fstab);
        let active: Vec<_> = without.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(active, ["UUID=1 / ext4 errors=remount-ro 0 1", "LABEL=swap /data ext4 defaults 0 0"]);
        assert_eq!(fstab_without_swap(&without), without, "twice is as once");
        assert_eq!(fstab_with_swap(&without), fstab);
        assert_eq!(fstab_without_swap(""), "");
    }

    #[test]
    fn sources_are_one_line() {
        let upstream = AptSource::upstream(&v("1.34.2"));
        assert_eq!(
            upstream.key_url.as_deref(),
            Some("https://pkgs.k8s.io/core:/stable:/v1.34/deb/Release.key")
        );
        assert_eq!(
            upstream.list().lines().nth(1),
            Some(
                "deb [signed-by=/etc/apt/keyrings/kubernetes.asc] https://pkgs.k8s.io/core:/stable:/v1.34/deb/ /"
            )
        );
        let own = AptSource {
            uri: "http://10.77.0.1/debian".into(),
            suite: "stable".into(),
            components: vec!["main".into(), "extra".into()],
            key_url: None,
            trusted: true,
        };
        assert_eq!(
            own.list().lines().nth(1),
            Some("deb [trusted=yes] http://10.77.0.1/debian stable main extra")
        );
    }

    #[test]
    fn debian_versions_lead_to_releases() {
        for (debian, release) in [
            ("1.34.2-1.1", "1.34.2"),
            ("1.20.5+really1.20.2-1", "1.20.2"),
            ("2:1.30.0~rc.1-0", "1.30.0-rc.1"),
            ("1.20.2", "1.20.2"),
        ] {
            assert_eq!(upstream_version(debian), Some(v(release)), "{debian}");
        }
        assert_eq!(upstream_version("4.0-1"), None);
    }

    #[test]
    fn the_package_is_picked_from_what_there_is() {
        let madison = "   kubeadm | 1.34.10-1.1 | https://pkgs.k8s.io/core:/stable:/v1.34/deb  Packages\n   \
                       kubeadm | 1.34.2-1.1 | https://pkgs.k8s.io/core:/stable:/v1.34/deb  Packages\n   \
                       kubeadm | 1.34.1-1.1 | https://pkgs.k8s.io/core:/stable:/v1.34/deb  Packages\n";
        assert_eq!(pick_version(madison, "kubeadm", &v("1.34.1")).as_deref(), Ok("1.34.1-1.1"));
        assert_eq!(pick_version(madison, "kubeadm", &v("1.34")).as_deref(), Ok("1.34.10-1.1"));
        let none = pick_version(madison, "kubeadm", &v("1.33.0")).expect_err("not there");
        assert_eq!(
            none.to_string(),
            "no repository of the host has kubeadm 1.33.0: it could have 1.34.10-1.1, 1.34.2-1.1, 1.34.1-1.1"
        );
        let empty = pick_version("", "kubelet", &v("1.33.0")).expect_err("not there");
        assert_eq!(empty.to_string(), "no repository of the host has kubelet 1.33.0, nor any other version");
    }
}
