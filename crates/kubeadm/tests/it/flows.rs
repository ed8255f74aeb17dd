//! Flows: the seed's table, every plugin, and what must always hold.

use grappe_kubeadm::cni::Kind;
use grappe_kubeadm::flows::{
    Cluster, Error, Family, Feature, Flow, Group, Mode, Other, Protocol, Purpose, Role, csv, markdown, rows,
    text,
};

fn group(name: &str, role: Role, zone: &str, tainted: bool) -> Group {
    Group { name: name.into(), role, zone: zone.into(), tainted }
}

fn other(name: &str, purpose: Purpose, zone: &str, ranges: &[&str]) -> Other {
    Other {
        name: name.into(),
        purpose,
        zone: zone.into(),
        ranges: ranges.iter().map(|r| (*r).into()).collect(),
    }
}

fn own(from: &str, to: &str, protocol: Protocol, port: u16, reason: &str) -> Flow {
    Flow { from: from.into(), to: to.into(), protocol, ports: Some((port, port)), reason: reason.into() }
}

/// The cluster on vSphere whose table of flows through a firewall was published: Antrea, a worker in the DMZ, everything else in the LAN.
fn dmz() -> Cluster {
    let mut cluster = Cluster::new(Kind::Antrea);
    cluster.groups = vec![
        group("master", Role::ControlPlane, "LAN", false),
        group("haproxy", Role::LoadBalancer, "LAN", false),
        group("dmz", Role::Worker, "DMZ", true),
    ];
    cluster.others = vec![other("nas", Purpose::Other, "LAN", &[])];
    let nfs = |protocol, port| own("dmz", "nas", protocol, port, "NFS");
    cluster.own = vec![
        nfs(Protocol::Tcp, 2049),
        nfs(Protocol::Tcp, 111),
        nfs(Protocol::Udp, 111),
        nfs(Protocol::Tcp, 892),
        nfs(Protocol::Udp, 892),
    ];
    cluster
}

/// Line by line what its author had to allow.
#[test]
fn the_table_of_a_worker_in_the_dmz_is_the_published_one() {
    let cluster = dmz();
    let rows = rows(&cluster, &cluster.flows().unwrap(), true);
    type Row = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);
    let published: [Row; 6] = [
        ("LAN", "DMZ", "master", &["dmz"], &["TCP 10250"]),
        ("LAN", "DMZ", "master", &["dmz"], &["UDP 6081"]),
        ("DMZ", "LAN", "dmz", &["master", "haproxy"], &["TCP 6443"]),
        ("DMZ", "LAN", "dmz", &["master"], &["TCP 10349"]),
        ("DMZ", "LAN", "dmz", &["master"], &["UDP 6081"]),
        ("DMZ", "LAN", "dmz", &["nas"], &["TCP 2049", "TCP/UDP 111", "TCP/UDP 892"]),
    ];
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            let to: Vec<&str> = row.to.iter().map(String::as_str).collect();
            let what: Vec<&str> = row.what.iter().map(String::as_str).collect();
            (row.from_zone.as_str(), row.to_zone.as_str(), row.from.as_str(), to, what)
        })
        .collect();
    let published: Vec<_> =
        published.iter().map(|(a, b, from, to, what)| (*a, *b, *from, to.to_vec(), what.to_vec())).collect();
    assert_eq!(found, published);
    insta::assert_snapshot!("dmz.txt", text(&rows));
    insta::assert_snapshot!("dmz.csv", csv(&rows));
    insta::assert_snapshot!("dmz.md", markdown(&rows));
}

/// metrics-server does not run on what is tainted: nothing more is to be opened from the DMZ.
#[test]
fn what_runs_elsewhere_opens_nothing_into_the_lan() {
    let mut cluster = dmz();
    let without = rows(&cluster, &cluster.flows().unwrap(), true);
    cluster.features.push(Feature::MetricsServer);
    assert_eq!(rows(&cluster, &cluster.flows().unwrap(), true), without);
    cluster.groups[2].tainted = false;
    let with = rows(&cluster, &cluster.flows().unwrap(), true);
    assert_ne!(with, without);
}

fn everything(cni: Kind, mode: Mode) -> Cluster {
    let mut cluster = Cluster::new(cni);
    cluster.mode = Some(mode);
    cluster.groups = vec![
        group("plane", Role::ControlPlane, "", false),
        group("worker", Role::Worker, "", false),
        group("front", Role::LoadBalancer, "", false),
    ];
    cluster.others = vec![
        other("admin", Purpose::Admin, "", &["198.51.100.0/24"]),
        other("users", Purpose::Client, "", &["0.0.0.0/0", "::/0"]),
        other("cloud", Purpose::Balancer, "", &["10.0.0.0/24"]),
        other("metrics", Purpose::Monitoring, "", &[]),
    ];
    cluster.features = vec![
        Feature::MetricsServer,
        Feature::Keepalived,
        Feature::AntreaEgress,
        Feature::AntreaAgentApi,
        Feature::Typha,
        Feature::WireGuard,
    ];
    cluster
}

const CNIS: [Kind; 7] =
    [Kind::KubeRouter, Kind::Antrea, Kind::Flannel, Kind::Weave, Kind::Calico, Kind::Cilium, Kind::Other];

/// What each plugin asks for in each mode, from worker to worker.
#[test]
fn every_mode_of_every_plugin() {
    let mut shown = String::new();
    for cni in CNIS {
        for mode in Mode::of(cni) {
            shown += &format!("{cni} {}\n", mode.name());
            let mut cluster = Cluster::new(cni);
            cluster.groups.push(group("worker", Role::Worker, "", false));
            cluster.mode = Some(*mode);
            for flow in cluster.flows().unwrap() {
                shown += &format!("  {flow} ({})\n", flow.reason);
            }
        }
    }
    insta::assert_snapshot!("plugins", shown);
}

#[test]
fn everything_that_a_cluster_may_have() {
    let cluster = everything(Kind::Antrea, Mode::Geneve);
    let flows = cluster.flows().unwrap();
    insta::assert_snapshot!("everything", text(&rows(&cluster, &flows, false)));
    let rules = cluster.rules(&[Family::V4, Family::V6]).unwrap();
    let keys: Vec<&str> = rules.iter().map(|rule| rule.key.as_str()).collect();
    insta::assert_snapshot!("rules", keys.join("\n"));
}

/// Rules are fed to for_each: each has a key of its own; each names a group of ours, and one source.
#[test]
fn rules_can_be_told_apart_and_say_whom_they_let_in() {
    for cni in CNIS {
        for mode in Mode::of(cni) {
            let cluster = everything(cni, *mode);
            let rules = cluster.rules(&[Family::V4, Family::V6]).unwrap();
            let mut keys: Vec<&str> = rules.iter().map(|rule| rule.key.as_str()).collect();
            keys.sort_unstable();
            let before = keys.len();
            keys.dedup();
            assert_eq!(keys.len(), before, "{cni} {}", mode.name());
            for rule in &rules {
                assert!(cluster.groups.iter().any(|g| g.name == rule.group), "{rule:?}");
                assert!(rule.from_group.is_some() != rule.from_range.is_some(), "{rule:?}");
                assert_ne!(rule.from_group.as_deref(), Some("metrics"), "{rule:?}");
            }
            // Each flow between groups has a rule in each family.
            for flow in cluster.flows().unwrap() {
                let known = |name: &str| cluster.groups.iter().any(|g| g.name == name);
                let count = rules.iter().filter(|r| {
                    r.group == flow.to
                        && r.from_group.as_ref() == Some(&flow.from)
                        && r.protocol == flow.protocol
                        && (r.protocol == Protocol::Ping || r.ports == flow.ports)
                });
                assert_eq!(count.count(), if known(&flow.from) { 2 } else { 0 }, "{flow}");
            }
        }
    }
}

#[test]
fn mistakes_say_what_is_known() {
    let mut cluster = dmz();
    cluster.mode = Some(Mode::IpIp);
    assert_eq!(
        cluster.flows().unwrap_err().to_string(),
        "antrea has no mode ipip: it is one of geneve, vxlan, gre, stt, routed"
    );
    let mut cluster = dmz();
    cluster.own.push(own("dmz", "nsa", Protocol::Tcp, 1, ""));
    assert!(matches!(cluster.flows(), Err(Error::Nobody { missing, .. }) if missing == "nsa"));
    let mut cluster = dmz();
    cluster.others.push(other("dmz", Purpose::Other, "", &[]));
    assert_eq!(cluster.flows(), Err(Error::Twice("dmz".into())));
    let mut cluster = dmz();
    cluster.others.push(other("admin", Purpose::Admin, "", &["10.0.0.300/8"]));
    assert!(cluster.flows().unwrap_err().to_string().contains("10.0.0.300/8"));
    assert_eq!(
        "masters".parse::<Role>().unwrap_err().to_string(),
        "\"masters\" is no role: it is one of control_plane, worker, load_balancer"
    );
}
