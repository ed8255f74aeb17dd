//! Where the packages of a release come from, for each kind of system, and which of them is meant.
//!
//! Upstream keeps one repository for each minor: `https://pkgs.k8s.io/core:/stable:/v1.34/{deb,rpm}/`. The files are those
//! of Kubernetes' page "Installing kubeadm".

use crate::version::KubernetesVersion;

/// Where [`Source::apt_list`] goes.
pub const APT_LIST_PATH: &str = "/etc/apt/sources.list.d/kubernetes.list";
/// Where a source's key goes. APT reads armoured keys with this suffix, so the host needs no gpg.
pub const APT_KEY_PATH: &str = "/etc/apt/keyrings/kubernetes.asc";
/// Where [`Source::rpm_repo`] goes; dnf and tdnf read the same folder.
pub const RPM_REPO_PATH: &str = "/etc/yum.repos.d/kubernetes.repo";
/// Where upstream's repositories are; a mirror has the same folders.
pub const UPSTREAM: &str = "https://pkgs.k8s.io";
/// The packages of a release: they move together, and are held.
pub const RELEASE_PACKAGES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];
/// The same in Photon's own repository, where `kubernetes` holds kubelet and kubectl.
pub const PHOTON_PACKAGES: [&str; 2] = ["kubernetes-kubeadm", "kubernetes"];

/// A repository with the release's packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `https://…/deb/`.
    pub uri: String,
    /// `/` for a flat repository such as upstream's, or a suite such as `stable`. For APT.
    pub suite: String,
    /// Components of a suite; none for a flat repository.
    pub components: Vec<String>,
    /// Where the key that signs it is fetched from.
    pub key_url: Option<String>,
    /// Whether unsigned packages are taken: for a repository on the machine's own network.
    pub trusted: bool,
}

/// How a system's packages are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Debian's.
    Deb,
    /// Red Hat's.
    Rpm,
}

impl Source {
    /// Upstream's repository of a minor, under `root` ([`UPSTREAM`], or a mirror of it).
    pub fn upstream(root: &str, version: &KubernetesVersion, format: Format) -> Self {
        let base = format!("{}/core:/stable:/{}", root.trim_end_matches('/'), version.series());
        let (uri, key) = match format {
            Format::Deb => (format!("{base}/deb/"), format!("{base}/deb/Release.key")),
            Format::Rpm => (format!("{base}/rpm/"), format!("{base}/rpm/repodata/repomd.xml.key")),
        };
        Self { uri, suite: "/".into(), components: Vec::new(), key_url: Some(key), trusted: false }
    }

    /// The one-line source. A file that `apt-get update` reads.
    pub fn apt_list(&self) -> String {
        let option = match (self.trusted, &self.key_url) {
            (true, _) => "[trusted=yes] ".to_owned(),
            (false, Some(_)) => format!("[signed-by={APT_KEY_PATH}] "),
            (false, None) => String::new(),
        };
        let components: String = self.components.iter().map(|component| format!(" {component}")).collect();
        format!("# Written by grappe.\ndeb {option}{} {}{components}\n", self.uri, self.suite)
    }

    /// The repository file for dnf and tdnf. With `exclude`, which is dnf's hold (tdnf has its locks), whatever upgrades the
    /// system passes the release by.
    pub fn rpm_repo(&self, exclude: bool) -> String {
        let check = u8::from(!self.trusted);
        let hold = if exclude { "exclude=kubelet kubeadm kubectl cri-tools kubernetes-cni\n" } else { "" };
        let key = self.key_url.as_ref().map(|url| format!("gpgkey={url}\n")).unwrap_or_default();
        format!(
            "# Written by grappe.\n[kubernetes]\nname=Kubernetes\nbaseurl={}\nenabled=1\ngpgcheck={check}\n{key}{hold}",
            self.uri
        )
    }
}

/// The upstream part of a package's version: `1.34.2` of Debian's `1.34.2-1.1`, of RPM's `1.34.2-150500.1.1` and of Photon's
/// `1.34.2-1.ph5`; `1.20.2` of `1.20.5+really1.20.2-1`.
pub fn upstream_version(package: &str) -> Option<KubernetesVersion> {
    let no_epoch = package.split_once(':').map_or(package, |(_, rest)| rest);
    let upstream = no_epoch.rsplit_once('-').map_or(no_epoch, |(upstream, _)| upstream);
    let upstream = upstream.split_once("+really").map_or(upstream, |(_, real)| real);
    // `1.34.0~rc.1` is how packages write a pre-release.
    upstream.replace('~', "-").parse().ok()
}

/// The package version to install for a release, out of those a repository offers (newest first).
///
/// # Errors
/// [`NotAvailable`] with what there is.
pub fn pick_version(
    offered: &[String],
    package: &str,
    wanted: &KubernetesVersion,
) -> Result<String, NotAvailable> {
    let fits = |version: &&String| upstream_version(version).is_some_and(|version| wanted.admits(&version));
    match offered.iter().find(fits) {
        Some(version) => Ok(version.clone()),
        None => Err(NotAvailable {
            package: package.into(),
            wanted: wanted.clone(),
            offered: offered.iter().take(8).cloned().collect(),
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
    fn apt_sources_are_one_line() {
        let upstream = Source::upstream(UPSTREAM, &v("1.34.2"), Format::Deb);
        assert_eq!(
            upstream.key_url.as_deref(),
            Some("https://pkgs.k8s.io/core:/stable:/v1.34/deb/Release.key")
        );
        assert_eq!(
            upstream.apt_list().lines().nth(1),
            Some(
                "deb [signed-by=/etc/apt/keyrings/kubernetes.asc] https://pkgs.k8s.io/core:/stable:/v1.34/deb/ /"
            )
        );
        let own = Source {
            uri: "http://10.77.0.1/debian".into(),
            suite: "stable".into(),
            components: vec!["main".into(), "extra".into()],
            key_url: None,
            trusted: true,
        };
        assert_eq!(
            own.apt_list().lines().nth(1),
            Some("deb [trusted=yes] http://10.77.0.1/debian stable main extra")
        );
    }

    #[test]
    fn rpm_repositories_are_upstreams_own_words() {
        // Kubernetes' page "Installing kubeadm", section "Red Hat-based distributions"; from a mirror here.
        let repo = Source::upstream("https://mirror.lan/k8s/", &v("1.34.2"), Format::Rpm).rpm_repo(true);
        insta::assert_snapshot!(repo, @r"
        # Written by grappe.
        [kubernetes]
        name=Kubernetes
        baseurl=https://mirror.lan/k8s/core:/stable:/v1.34/rpm/
        enabled=1
        gpgcheck=1
        gpgkey=https://mirror.lan/k8s/core:/stable:/v1.34/rpm/repodata/repomd.xml.key
        exclude=kubelet kubeadm kubectl cri-tools kubernetes-cni
        ");
    }

    #[test]
    fn package_versions_lead_to_releases() {
        for (package, release) in [
            ("1.34.2-1.1", "1.34.2"),
            ("1.34.2-150500.1.1", "1.34.2"),
            ("1.30.5-2.ph5", "1.30.5"),
            ("1.20.5+really1.20.2-1", "1.20.2"),
            ("2:1.30.0~rc.1-0", "1.30.0-rc.1"),
            ("1.20.2", "1.20.2"),
        ] {
            assert_eq!(upstream_version(package), Some(v(release)), "{package}");
        }
        assert_eq!(upstream_version("4.0-1"), None);
    }

    #[test]
    fn the_package_is_picked_from_what_there_is() {
        let offered = ["1.34.10-1.1", "1.34.2-1.1", "1.34.1-1.1"].map(str::to_owned);
        assert_eq!(pick_version(&offered, "kubeadm", &v("1.34.1")).as_deref(), Ok("1.34.1-1.1"));
        assert_eq!(pick_version(&offered, "kubeadm", &v("1.34")).as_deref(), Ok("1.34.10-1.1"));
        let none = pick_version(&offered, "kubeadm", &v("1.33.0")).expect_err("not there");
        assert_eq!(
            none.to_string(),
            "no repository of the host has kubeadm 1.33.0: it could have 1.34.10-1.1, 1.34.2-1.1, 1.34.1-1.1"
        );
        let empty = pick_version(&[], "kubelet", &v("1.33.0")).expect_err("not there");
        assert_eq!(empty.to_string(), "no repository of the host has kubelet 1.33.0, nor any other version");
    }
}
