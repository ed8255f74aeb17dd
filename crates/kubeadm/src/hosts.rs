//! What a machine needs before kubeadm: kernel modules, sysctls, no swap, packages of one release ([`source`]), a way
//! through the [`proxy`] and the [`firewall`], where there are such.
//!
//! Each function is the text of a file or a pure edit of one; the provider compares it with what the host has.

use std::collections::BTreeMap;
use std::fmt::Write as _;

pub mod firewall;
pub mod proxy;
pub mod source;

/// Modules to load at boot, and now.
pub const MODULES: [&str; 3] = ["overlay", "br_netfilter", "nf_conntrack"];
/// Where [`modules_load`] goes.
pub const MODULES_PATH: &str = "/etc/modules-load.d/kubernetes.conf";
/// Where [`sysctl_conf`] goes: late, so that a distribution's own settings do not win.
pub const SYSCTL_PATH: &str = "/etc/sysctl.d/99-kubernetes.conf";

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

/// What the first line of every file that we write begins with: a file that has it is ours to change and to remove.
pub const WRITTEN: &str = "# Written by grappe";

/// The nameservers of a resolv.conf(5).
pub fn nameservers(resolv_conf: &str) -> impl Iterator<Item = &str> {
    resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    })
}

/// Whether a resolv.conf leads back to the machine itself: every nameserver is a loop-back address, such as the stub of
/// systemd-resolved or dnsmasq. Pods that inherit it ask themselves.
pub fn is_stub(resolv_conf: &str) -> bool {
    let loopback =
        |address: &str| address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    nameservers(resolv_conf).next().is_some() && nameservers(resolv_conf).all(loopback)
}

/// A drop-in of the kubelet's unit that makes it hand this resolv.conf to pods. kubeadm's own unit passes
/// `KUBELET_EXTRA_ARGS` last, where it wins over the configuration.
pub fn kubelet_resolv_conf(path: &str) -> String {
    format!("{WRITTEN}.\n[Service]\nEnvironment=\"KUBELET_EXTRA_ARGS=--resolv-conf={path}\"\n")
}

/// Where [`kubelet_resolv_conf`] goes: before kubeadm's `10-kubeadm.conf` is read or after it, the unit is the same.
pub const KUBELET_RESOLV_PATH: &str = "/etc/systemd/system/kubelet.service.d/20-grappe-resolv.conf";

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn stubs_are_told_from_nameservers() {
        assert!(is_stub("# systemd-resolved\nnameserver 127.0.0.53\noptions edns0 trust-ad\n"));
        assert!(is_stub("nameserver 127.0.0.1\nnameserver ::1\n"));
        assert!(!is_stub("nameserver 127.0.0.1\nnameserver 10.0.0.2\n"));
        assert!(!is_stub("search lan\n"), "no nameserver at all loops nowhere");
        assert!(kubelet_resolv_conf("/run/x").lines().any(|line| line.ends_with("--resolv-conf=/run/x\"")));
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
}
