//! What system a machine runs, by its os-release, and what follows from that.

use grappe_kubeadm::hosts::source::{Format, PHOTON_PACKAGES, RELEASE_PACKAGES};
use grappe_provider_host::packages::Manager;

/// A family of systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    /// Debian, Ubuntu and what is built from them.
    Debian,
    /// RHEL and what is built from it, Fedora.
    RedHat,
    /// Photon.
    Photon,
}

impl System {
    /// By os-release(5): `ID`, else the first of `ID_LIKE` that is known.
    pub(super) fn read(os_release: &str) -> Option<Self> {
        let of = |key: &str| {
            let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        let known = |id: &str| match id {
            "debian" | "ubuntu" => Some(Self::Debian),
            "rhel" | "centos" | "fedora" | "rocky" | "almalinux" | "ol" => Some(Self::RedHat),
            "photon" => Some(Self::Photon),
            _ => None,
        };
        known(&of("ID")).or_else(|| of("ID_LIKE").split_whitespace().find_map(known))
    }

    /// Its package manager.
    pub(super) fn manager(self) -> Manager {
        match self {
            Self::Debian => Manager::Apt,
            Self::RedHat => Manager::Dnf,
            Self::Photon => Manager::Tdnf,
        }
    }

    /// How its packages are made.
    pub(super) fn format(self) -> Format {
        match self {
            Self::Debian => Format::Deb,
            Self::RedHat | Self::Photon => Format::Rpm,
        }
    }

    /// The packages of a release. `own`: from the system's own repository.
    pub(super) fn release_packages(self, own: bool) -> &'static [&'static str] {
        match self {
            Self::Photon if own => &PHOTON_PACKAGES,
            _ => &RELEASE_PACKAGES,
        }
    }

    /// containerd's package. The RHEL family has none of its own: it is Docker's, from Docker's repository.
    pub(super) fn runtime_package(self) -> &'static str {
        match self {
            Self::Debian | Self::Photon => "containerd",
            Self::RedHat => DOCKERS_CONTAINERD,
        }
    }

    /// The package and the unit that keep the clock, where nothing else does.
    pub(super) fn clock(self) -> (&'static str, &'static str) {
        match self {
            Self::Debian => ("systemd-timesyncd", "systemd-timesyncd"),
            Self::RedHat => ("chrony", "chronyd"),
            // It comes with Photon's systemd.
            Self::Photon => ("systemd", "systemd-timesyncd"),
        }
    }
}

/// The name under which Docker packs containerd.
pub(super) const DOCKERS_CONTAINERD: &str = "containerd.io";
/// Where its repository goes, on the RHEL family.
pub(super) const DOCKER_REPO_PATH: &str = "/etc/yum.repos.d/grappe-containerd.repo";

/// Docker's repository, for containerd alone. Source: Docker's page "Install Docker Engine on RHEL", `docker-ce.repo`.
pub(super) fn docker_repo() -> String {
    "# Written by grappe.\n[grappe-containerd]\nname=containerd\n\
     baseurl=https://download.docker.com/linux/centos/$releasever/$basearch/stable\nenabled=1\ngpgcheck=1\n\
     gpgkey=https://download.docker.com/linux/centos/gpg\nincludepkgs=containerd.io\n"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_known_by_their_release() {
        let of = |text: &str| System::read(text);
        assert_eq!(of("ID=debian\nVERSION_ID=\"12\"\n"), Some(System::Debian));
        assert_eq!(of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Some(System::Debian));
        assert_eq!(of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Some(System::RedHat));
        assert_eq!(of("ID=\"eurolinux\"\nID_LIKE=\"rhel fedora centos\"\n"), Some(System::RedHat));
        assert_eq!(of("NAME=\"VMware Photon OS\"\nID=photon\nVERSION_ID=5.0\n"), Some(System::Photon));
        assert_eq!(of("ID=arch\n"), None);
        assert_eq!(of(""), None);
    }
}
