//! What the bed consists of: its stages, from Debian's packages to images and repositories.
//!
//! ```text
//! apt ─┬─ source ── binaries ─┬─ k8s      Kubernetes' apt repository
//!      ├─ root ─┬─────────────│─          a machine's root
//!      └────────┴─ debian ─┬──┤           Debian's packages for machines
//!                          └─ node ── images
//! ```

use std::path::PathBuf;

use grappe_bed_stages::{Build, Recipe, Stage};

use crate::{MIRROR, NEXT_VERSION, VERSION, images};

/// What the build needs of the machine: Debian packages.
pub(crate) const TOOLS: &str =
    "golang-go gcc libc6-dev make rsync dpkg-dev gpg gpg-agent xz-utils mmdebstrap ca-certificates";
/// Kubernetes' programs.
const PROGRAMS: &str =
    "kubeadm kubelet kubectl kube-apiserver kube-controller-manager kube-scheduler kube-proxy";
/// What a machine has from the start, beside the least that Debian can be.
const ROOT: &str =
    "systemd-sysv,dbus,openssh-server,iproute2,iputils-ping,ca-certificates,procps,kmod,curl,sudo";
/// What machines install.
const MACHINES: &str = "containerd runc containernetworking-plugins iptables conntrack socat ethtool ebtables haproxy keepalived psmisc cloud-init";
/// What only images have.
const IMAGES: &str = "etcd-server etcd-client ipset busybox";

/// The bed's build in this folder.
pub(crate) fn build(folder: PathBuf) -> Build {
    let versions = || ("VERSIONS", format!("{VERSION} {NEXT_VERSION}"));
    let script = |name, needs: &[&'static str], kept, text| Stage {
        name,
        needs: needs.to_vec(),
        kept,
        settings: Vec::new(),
        files: Vec::new(),
        recipe: Recipe::Script(text),
    };
    let stages = vec![
        script("apt", &[], false, include_str!("../stages/apt.sh")),
        // Only the next build of the binaries needs it, but without it that one takes minutes.
        script("source", &["apt"], true, include_str!("../stages/source.sh")),
        Stage {
            settings: vec![versions(), ("PROGRAMS", PROGRAMS.to_owned())],
            files: vec![
                ("mini/minicni/main.go", include_str!("../mini/minicni/main.go")),
                ("mini/minicrictl/main.go", include_str!("../mini/minicrictl/main.go")),
                ("mini/minidns/main.go", include_str!("../mini/minidns/main.go")),
            ],
            ..script("binaries", &["source"], false, include_str!("../stages/binaries.sh"))
        },
        Stage {
            settings: vec![("PACKAGES", ROOT.to_owned()), ("MIRROR", MIRROR.to_owned())],
            ..script("root", &["apt"], true, include_str!("../stages/root.sh"))
        },
        Stage {
            settings: vec![("PACKAGES", format!("{MACHINES} {IMAGES}"))],
            ..script("debian", &["apt", "root"], true, include_str!("../stages/debian.sh"))
        },
        script("node", &["root", "debian"], false, include_str!("../stages/node.sh")),
        Stage {
            settings: vec![versions()],
            files: vec![
                ("kubelet.service", include_str!("../packages/kubelet.service")),
                ("kubelet.postinst", include_str!("../packages/kubelet.postinst")),
                ("10-kubeadm.conf", include_str!("../packages/10-kubeadm.conf")),
            ],
            ..script("k8s", &["binaries", "debian"], true, include_str!("../stages/k8s.sh"))
        },
        Stage {
            settings: vec![versions()],
            recipe: Recipe::Function(include_str!("images.rs"), Box::new(images::make)),
            ..script("images", &["binaries", "node"], true, "")
        },
    ];
    Build::new(folder, stages)
}
