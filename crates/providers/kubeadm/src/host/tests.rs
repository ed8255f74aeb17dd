//! What a machine is told to differ in, by what its looking script printed.

use std::collections::BTreeMap;

use grappe_kubeadm::containerd::{self, Version};
use grappe_kubeadm::hosts::proxy::{APT_PATH, unit_path};
use grappe_kubeadm::hosts::{self, source};

use super::args::Args;
use super::observe::{Observed, STAGED};
use super::parts::AS_WANTED;
use super::system::System;

fn args(more: &str) -> Args {
    serde_json::from_str(&format!(r#"{{"host": {{"address": "10.0.0.5"}}, "version": "1.34.2"{more}}}"#))
        .expect("arguments")
}

const RESOLV: &str = "file /etc/resolv.conf";
const UNITS: &str = "Id=containerd.service\nActiveState=active\nUnitFileState=enabled\n\nId=kubelet.service\nActiveState=activating\n\
    UnitFileState=enabled\n\nId=systemd-resolved.service\nActiveState=inactive\nUnitFileState=\n\nId=systemd-timesyncd.service\n\
    ActiveState=active\nUnitFileState=enabled\n";

/// A Debian machine on which everything is right, as the script prints it.
fn right() -> BTreeMap<String, String> {
    let args = args("");
    let version = Version { major: 1, minor: 7 };
    let list = args.source(System::Debian).expect("a version").expect("upstream").apt_list();
    let config = args.containerd_config(version, "registry.k8s.io/pause:3.10", false);
    let file = |path: &str, content: String| (format!("file {path}"), content + "\n");
    let body = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    [
        body("os", "ID=debian\n"),
        file("/etc/fstab", "UUID=1 / ext4 defaults 0 1\n".into()),
        file("/etc/resolv.conf", "nameserver 10.0.0.1\n".into()),
        file(hosts::MODULES_PATH, hosts::modules_load()),
        file(hosts::SYSCTL_PATH, hosts::sysctl_conf(&BTreeMap::new())),
        file(source::APT_LIST_PATH, list),
        file(containerd::CONFIG_PATH, config),
        file(containerd::CRICTL_PATH, containerd::crictl()),
        body("swaps", "Filename Type Size Used Priority\n"),
        body("modules", "overlay\nbr_netfilter\nnf_conntrack\n"),
        body("capabilities", "CapBnd:\t000001ffffffffff\n"),
        body("resolv", ""),
        body("sysctls", "net.bridge.bridge-nf-call-ip6tables=1\nnet.bridge.bridge-nf-call-iptables=1\nnet.ipv4.ip_forward=1\n"),
        body("key", "present\n"),
        body("packages", "manager apt\ncontainerd 1.7.27 ii \nkubeadm 1.34.2-1.1 hi \nkubectl 1.34.2-1.1 hi \nkubelet 1.34.2-1.1 hi \n"),
        body("units", UNITS),
        body("swap-units", ""),
        body("container", "none\n"),
        body("addresses", "2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0\n3: eth1    inet 192.168.56.5/24 scope global eth1\n3: eth1    inet6 fd00::5/64 scope global \n9: cni0    inet 10.244.1.1/24 scope global cni0\n2: eth0    inet 10.0.0.100/32 scope global eth0\n"),
        body("route", "default via 192.168.56.1 dev eth1 proto dhcp\n"),
        body("containerd-version", "containerd containerd.io 1.7.27 05044ec\n"),
        body("pause", "registry.k8s.io/pause:3.10\n"),
    ]
    .into()
}

fn with(changes: &[(&str, &str)]) -> Observed {
    let mut all = right();
    for (name, body) in changes {
        all.insert((*name).to_owned(), (*body).to_owned());
    }
    Observed::parse(&all.into_iter().map(|(name, body)| format!("== {name}\n{body}")).collect::<String>())
}

fn differs(observed: &Observed, args: &Args) -> Vec<String> {
    let parts = observed.parts(args).into_iter().filter(|(_, state)| state != AS_WANTED);
    parts.map(|(part, state)| format!("{part}: {state}")).collect()
}

fn file(path: &str) -> String {
    format!("file {path}")
}

#[test]
fn a_right_machine_differs_in_nothing() {
    assert_eq!(differs(&with(&[]), &args("")), [""; 0]);
}

#[test]
fn an_empty_machine_differs_in_most() {
    let parts = differs(&Observed::parse("== os\nID=ubuntu\n== container\nlxc\n"), &args(""));
    assert_eq!(
        parts,
        [
            "containerd: not installed",
            "modules: not loaded: overlay, br_netfilter, nf_conntrack",
            "packages: kubeadm is not installed",
            "resolver: there is no /etc/resolv.conf, without which no pod starts",
            "source: /etc/apt/sources.list.d/kubernetes.list differs",
            "sysctls: net.bridge.bridge-nf-call-ip6tables is not set",
        ]
    );
}

#[test]
fn each_drift_is_named() {
    let one = |name: &str, body: &str| differs(&with(&[(name, body)]), &args("")).join("; ");
    assert_eq!(one("swaps", "Filename Type\n/dev/sda2 partition 1 0 -2\n"), "swap: on: /dev/sda2");
    assert_eq!(
        one("file /etc/fstab", "/swap none swap sw 0 0\n\n"),
        "swap: off, but /etc/fstab turns it on at boot"
    );
    assert_eq!(
        one("swap-units", "zramswap.service enabled enabled\n"),
        "swap: off, but zramswap.service turns it on at boot"
    );
    assert_eq!(one("modules", "overlay\nnf_conntrack\n"), "modules: not loaded: br_netfilter");
    assert_eq!(
        one(
            "sysctls",
            "net.bridge.bridge-nf-call-ip6tables=1\nnet.bridge.bridge-nf-call-iptables=1\nnet.ipv4.ip_forward=0\n"
        ),
        "sysctls: net.ipv4.ip_forward is 0"
    );
    assert_eq!(
        one(&file(hosts::SYSCTL_PATH), "# gone\n\n"),
        "sysctls: /etc/sysctl.d/99-kubernetes.conf differs"
    );
    let packages = |from: &str, to: &str| one("packages", &right()["packages"].replace(from, to));
    assert_eq!(packages("kubelet 1.34.2-1.1 hi", "kubelet 1.34.2-1.1 ii"), "packages: kubelet is not held");
    assert_eq!(packages("kubeadm 1.34.2", "kubeadm 1.34.1"), "packages: kubeadm is 1.34.1-1.1");
    assert_eq!(
        packages("kubeadm 1.34.2-1.1 hi", "kubeadm 1.34.2-1.1 rc"),
        "packages: kubeadm is not installed"
    );
    let units = |from: &str, to: &str| one("units", &UNITS.replace(from, to));
    assert_eq!(
        units(
            "ActiveState=active\nUnitFileState=enabled\n\nId=kubelet",
            "ActiveState=failed\nUnitFileState=enabled\n\nId=kubelet"
        ),
        "containerd: the service is failed"
    );
    assert_eq!(
        units(
            "ActiveState=activating\nUnitFileState=enabled",
            "ActiveState=inactive\nUnitFileState=disabled"
        ),
        "packages: the kubelet's service is not enabled"
    );
    assert_eq!(
        units(
            "Id=systemd-timesyncd.service\nActiveState=active",
            "Id=systemd-timesyncd.service\nActiveState=inactive"
        ),
        "time: nothing keeps the clock: no NTP service is active"
    );
    assert_eq!(
        one(&file(containerd::CONFIG_PATH), "version = 2\n\n"),
        "containerd: /etc/containerd/config.toml differs"
    );
    assert_eq!(
        one(&file(STAGED), "version = 2\n\n"),
        "containerd: the service was not restarted with its new configuration"
    );
    assert_eq!(one(&file(containerd::CRICTL_PATH), "\n"), "containerd: /etc/crictl.yaml differs");
    let left = "/etc/containerd/certs.d/docker.io/hosts.toml";
    assert_eq!(
        one(&file(left), "# Written by grappe.\n[host.\"http://old\"]\n\n"),
        "containerd: /etc/containerd/certs.d/docker.io/hosts.toml is left over"
    );
    assert_eq!(one(&file(left), "server = \"https://theirs\"\n\n"), "", "what others wrote is theirs");
}

#[test]
fn a_live_node_is_upgraded_elsewhere() {
    let newer = |more: &str| {
        let mut args = args(more);
        args.version = "1.35.1".into();
        args
    };
    let node = |changes: &[(&str, &str)]| with(&[changes, &[("node", "")]].concat());
    // The source of the new minor is all that is left to do; the packages, and the pause image of an upgraded kubeadm,
    // are not.
    let source = "source: /etc/apt/sources.list.d/kubernetes.list differs";
    assert_eq!(differs(&node(&[]), &newer("")), [source]);
    assert_eq!(differs(&node(&[("pause", "registry.k8s.io/pause:3.11\n")]), &newer("")), [source]);
    let lost = right()["packages"].replace("kubelet 1.34.2-1.1 hi", "kubelet 1.34.2-1.1 ii");
    assert_eq!(differs(&node(&[("packages", &lost)]), &args("")), ["packages: kubelet is not held"]);
    let own = newer(r#", "containerd": {"sandbox_image": "mirror/pause:9"}"#);
    assert_eq!(differs(&node(&[]), &own), ["containerd: /etc/containerd/config.toml differs", source]);
}

#[test]
fn oom_scores_are_restricted_where_they_must_be() {
    let restricted = |bound: &str, more: &str| {
        let config = with(&[("capabilities", bound)]).wanted_config(&args(more)).expect("installed");
        config.contains("restrict_oom_score_adj = true")
    };
    assert!(restricted("CapBnd:\t000001fffeffffff\n", ""));
    assert!(!restricted("CapBnd:\t000001ffffffffff\n", ""));
    assert!(!restricted("", ""), "a machine that does not say is a usual one");
    assert!(!restricted(
        "CapBnd:\t000001fffeffffff\n",
        r#", "containerd": {"restrict_oom_score_adj": false}"#
    ));
    assert!(restricted("", r#", "containerd": {"restrict_oom_score_adj": true}"#));
}

#[test]
fn a_stub_is_gone_round() {
    let stub = ("file /etc/resolv.conf", "nameserver 127.0.0.53\n\n");
    let behind = ("file /run/NetworkManager/no-stub-resolv.conf", "nameserver 10.0.0.1\n\n");
    assert_eq!(
        differs(&with(&[stub, behind]), &args("")),
        ["resolver: the kubelet is not told of /run/NetworkManager/no-stub-resolv.conf"]
    );
    let told = hosts::kubelet_resolv_conf("/run/NetworkManager/no-stub-resolv.conf") + "\n";
    let drop_in = file(hosts::KUBELET_RESOLV_PATH);
    assert_eq!(differs(&with(&[stub, behind, (&drop_in, &told)]), &args("")), [""; 0]);
    assert_eq!(
        differs(&with(&[(&drop_in, &told)]), &args("")),
        ["resolver: /etc/systemd/system/kubelet.service.d/20-grappe-resolv.conf is left over"]
    );
    // systemd-resolved's is kubeadm's own business.
    let resolved =
        UNITS.replace("resolved.service\nActiveState=inactive", "resolved.service\nActiveState=active");
    assert_eq!(differs(&with(&[stub, behind, ("units", &resolved)]), &args("")), [""; 0]);
    assert_eq!(
        differs(&with(&[]), &args(r#", "resolv_conf": "/etc/resolv.lan""#)),
        ["resolver: the kubelet is not told of /etc/resolv.lan"]
    );
    // With nothing behind it there is nothing to do, and something to say.
    let alone = with(&[stub]);
    assert_eq!(differs(&alone, &args("")), [""; 0]);
    assert!(alone.notes(&args(""), None)[0].contains("set resolv_conf"));
    assert!(with(&[(RESOLV, "nameserver 10.0.0.1\n\n")]).notes(&args(""), None).is_empty());
}

#[test]
fn a_proxy_comes_and_goes() {
    let through = args(r#", "proxy": {"https": "http://me:hunter2@proxy:3128", "no_proxy": ["10.0.0.0/8"]}"#);
    let differing = differs(&with(&[]), &through);
    assert_eq!(differing.len(), 1);
    assert!(differing[0].starts_with("proxy: /etc/systemd/system/containerd"), "{differing:?}");
    assert!(!format!("{through:?}").contains("hunter2"));
    assert_eq!(through.secrets(), ["hunter2", "me:hunter2"]);
    let proxy = through.proxy();
    let files = [
        (file(APT_PATH), proxy.apt() + "\n"),
        (file(&unit_path("containerd")), proxy.systemd() + "\n"),
        (file(&unit_path("kubelet")), proxy.systemd() + "\n"),
    ];
    let changes: Vec<(&str, &str)> =
        files.iter().map(|(name, body)| (name.as_str(), body.as_str())).collect();
    assert_eq!(differs(&with(&changes), &through), [""; 0]);
    assert!(differs(&with(&changes), &args(""))[0].ends_with("is left over"));
}

#[test]
fn the_clock_is_kept_by_something() {
    let stopped =
        UNITS.replace("timesyncd.service\nActiveState=active", "timesyncd.service\nActiveState=inactive");
    let of = |changes: &[(&str, &str)], more: &str| {
        differs(&with(&[changes, &[("units", &stopped)]].concat()), &args(more)).len()
    };
    assert_eq!(of(&[], ""), 1);
    assert_eq!(of(&[], r#", "time": "ignore""#), 0);
    assert_eq!(of(&[("container", "lxc\n")], ""), 0, "a container has its host's clock");
    assert_eq!(of(&[("container", "lxc\n")], r#", "time": "sync""#), 1);
    assert_eq!(of(&[("synchronized", "yes\n")], ""), 0, "something that is no unit keeps it");
}

#[test]
fn the_node_has_the_address_of_its_network() {
    let observed = with(&[]);
    assert_eq!(observed.node_ip(&args("")).ok().as_deref(), Some("10.0.0.5"));
    let notes = observed.notes(&args(""), Some("10.0.0.5"));
    assert_eq!(
        notes,
        [
            "it has several addresses (10.0.0.5 (eth0), 192.168.56.5 (eth1), fd00::5 (eth1)): the node's is 10.0.0.5, by which it is \
          reached; the default route leaves by eth1. Set node_cidr to choose by network"
        ]
    );
    let cidr = args(r#", "node_cidr": "192.168.56.0/24""#);
    assert_eq!(observed.node_ip(&cidr).ok().as_deref(), Some("192.168.56.5"));
    assert_eq!(observed.notes(&cidr, Some("192.168.56.5")), [""; 0]);
    let none = observed.node_ip(&args(r#", "node_cidr": "172.16.0.0/12""#)).expect_err("none");
    assert_eq!(
        none.summary,
        "10.0.0.5 has no address in 172.16.0.0/12: it has 10.0.0.5 (eth0), 192.168.56.5 (eth1), fd00::5 (eth1)"
    );
    let mut elsewhere = args("");
    elsewhere.host.address = "198.51.100.9".into();
    let fault = observed.node_ip(&elsewhere).expect_err("a floating address names no interface");
    assert!(fault.hint.is_some_and(|hint| hint.contains("that of eth1")), "the trap is named");
}
