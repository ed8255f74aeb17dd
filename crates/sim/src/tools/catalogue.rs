//! What the simulated Debian and Kubernetes repositories hold.

/// A package that can be installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Name.
    pub(crate) name: &'static str,
    /// Version in bookworm.
    pub(crate) version: &'static str,
    /// What it needs.
    pub(crate) depends: &'static [&'static str],
    /// Programs it brings, each with the version it tells of itself.
    pub(crate) programs: &'static [(&'static str, &'static str)],
    /// The unit it brings, and whether installing starts it.
    pub(crate) unit: Option<(&'static str, bool)>,
    /// Configuration files it brings.
    pub(crate) conffiles: &'static [(&'static str, &'static str)],
}

const fn plain(name: &'static str, version: &'static str) -> Entry {
    Entry { name, version, depends: &[], programs: &[], unit: None, conffiles: &[] }
}

const HAPROXY_CFG: &str = "global\n\tlog /dev/log\tlocal0\n\tchroot /var/lib/haproxy\n\tuser haproxy\n\tgroup haproxy\n\tdaemon\n\ndefaults\n\tlog\tglobal\n\tmode\thttp\n\toption\thttplog\n\toption\tdontlognull\n\ttimeout connect 5000\n\ttimeout client  50000\n\ttimeout server  50000\n";

const CONTAINERD_TOML: &str = "version = 2\n\n[plugins]\n  [plugins.\"io.containerd.grpc.v1.cri\"]\n    [plugins.\"io.containerd.grpc.v1.cri\".cni]\n      bin_dir = \"/usr/lib/cni\"\n      conf_dir = \"/etc/cni/net.d\"\n  [plugins.\"io.containerd.internal.v1.opt\"]\n    path = \"/var/lib/containerd\"\n";

/// Debian bookworm, as far as cluster scripts ask.
pub(crate) const DEBIAN: &[Entry] = &[
    Entry {
        name: "haproxy",
        version: "2.6.12-1+deb12u2",
        depends: &[],
        programs: &[("haproxy", "2.6.12")],
        unit: Some(("haproxy", true)),
        conffiles: &[("/etc/haproxy/haproxy.cfg", HAPROXY_CFG)],
    },
    Entry {
        name: "keepalived",
        version: "1:2.2.7-1+b2",
        depends: &[],
        programs: &[("keepalived", "2.2.7")],
        unit: Some(("keepalived", true)),
        conffiles: &[],
    },
    Entry {
        name: "containerd",
        version: "1.6.20~ds1-1+deb12u1",
        depends: &["runc"],
        programs: &[("containerd", "1.6.20"), ("ctr", "1.6.20"), ("containerd-shim-runc-v2", "1.6.20")],
        unit: Some(("containerd", true)),
        conffiles: &[("/etc/containerd/config.toml", CONTAINERD_TOML)],
    },
    Entry { programs: &[("runc", "1.1.5")], ..plain("runc", "1.1.5+ds1-1+deb12u1") },
    Entry { programs: &[("socat", "1.7.4")], ..plain("socat", "1.7.4.4-2") },
    Entry { programs: &[("conntrack", "1.4.7")], ..plain("conntrack", "1:1.4.7-1+b2") },
    Entry { programs: &[("ebtables", "2.0.11")], ..plain("ebtables", "2.0.11-5") },
    Entry { programs: &[("ethtool", "6.1")], ..plain("ethtool", "1:6.1-1") },
    Entry { programs: &[("ipset", "7.17")], ..plain("ipset", "7.17-1") },
    Entry { programs: &[("ipvsadm", "1.31")], ..plain("ipvsadm", "1:1.31-1+b1") },
    Entry { programs: &[("jq", "1.6")], ..plain("jq", "1.6-2.1") },
    Entry { programs: &[("nc", "1.219")], ..plain("netcat-openbsd", "1.219-1") },
    Entry { programs: &[("rsync", "3.2.7")], ..plain("rsync", "3.2.7-1") },
    Entry { programs: &[("etcdctl", "3.4.23")], ..plain("etcd-client", "3.4.23-4+b4") },
    Entry { programs: &[("vim", "9.0")], ..plain("vim", "2:9.0.1378-2") },
    Entry { programs: &[("htop", "3.2.2")], ..plain("htop", "3.2.2-2") },
    Entry { programs: &[("git", "2.39.5")], ..plain("git", "1:2.39.5-0+deb12u2") },
    Entry { programs: &[("unzip", "6.0")], ..plain("unzip", "6.0-28") },
    Entry { programs: &[("tcpdump", "4.99.3")], ..plain("tcpdump", "4.99.3-1") },
    Entry { programs: &[("uuidgen", "")], ..plain("uuid-runtime", "2.38.1-5+deb12u3") },
    Entry {
        name: "nginx",
        version: "1.22.1-9+deb12u1",
        depends: &[],
        programs: &[("nginx", "1.22.1")],
        unit: Some(("nginx", true)),
        conffiles: &[("/etc/nginx/nginx.conf", "# simulated\n")],
    },
    Entry {
        name: "nfs-common",
        version: "1:2.6.2-4+deb12u1",
        depends: &[],
        programs: &[],
        unit: Some(("rpcbind", true)),
        conffiles: &[],
    },
    Entry { programs: &[], unit: Some(("open-iscsi", true)), ..plain("open-iscsi", "2.1.8-1") },
    Entry {
        name: "chrony",
        version: "4.3-2+deb12u1",
        depends: &[],
        programs: &[("chronyc", "4.3")],
        unit: Some(("chrony", true)),
        conffiles: &[("/etc/chrony/chrony.conf", "pool 2.debian.pool.ntp.org iburst\n")],
    },
    plain("containernetworking-plugins", "1.1.1+ds1-3+b16"),
    plain("apt-transport-https", "2.6.1"),
    plain("ca-certificates", "20230311"),
    plain("gnupg", "2.2.40-1.1"),
    plain("gnupg2", "2.2.40-1.1"),
    plain("software-properties-common", "0.99.30-4.1~deb12u1"),
    plain("lsb-release", "12.0-1"),
    plain("bash-completion", "1:2.11-6"),
    plain("python3-yaml", "6.0-3+b2"),
    plain("apparmor", "3.0.8-3"),
    plain("iptables-persistent", "1.0.20"),
];

/// The newest patch that the simulated repository of a minor holds, as `1.31.4`; none outside 1.20–1.36.
pub(crate) fn newest_patch(minor: u32) -> Option<String> {
    let patch = match minor {
        20 => 15,
        21 => 14,
        22 => 17,
        23 => 17,
        24 => 17,
        25 => 16,
        26 => 15,
        27 => 16,
        28 => 15,
        29 => 15,
        30 => 14,
        31 => 14,
        32 => 12,
        33 => 8,
        34 => 4,
        35 => 2,
        36 => 1,
        _ => return None,
    };
    Some(format!("1.{minor}.{patch}"))
}

/// Packages of pkgs.k8s.io for a minor: name, and all versions, newest first.
pub(crate) fn kubernetes(minor: u32) -> Vec<(&'static str, Vec<String>)> {
    let Some(newest) = newest_patch(minor) else { return Vec::new() };
    let last: u32 = newest.rsplit('.').next().and_then(|p| p.parse().ok()).unwrap_or(0);
    let versions: Vec<String> = (0..=last).rev().map(|p| format!("1.{minor}.{p}-1.1")).collect();
    let mut list: Vec<(&'static str, Vec<String>)> =
        ["kubeadm", "kubelet", "kubectl"].into_iter().map(|n| (n, versions.clone())).collect();
    list.push(("cri-tools", vec![format!("1.{minor}.0-1.1")]));
    list.push(("kubernetes-cni", vec![if minor >= 32 { "1.6.0-1.1" } else { "1.2.0-2.1" }.to_owned()]));
    list
}

/// What a Kubernetes package needs.
pub(crate) fn kubernetes_depends(name: &str) -> &'static [&'static str] {
    match name {
        "kubeadm" => &["cri-tools"],
        "kubelet" => &["kubernetes-cni", "conntrack"],
        _ => &[],
    }
}
