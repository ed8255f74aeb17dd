//! Golden files for releases of each API, made from the upstream references, and what must be refused.
//!
//! Those of 1.20.2 are read by a real kubeadm 1.20.2 (`tests/it/real/files.rs`), which warns of every field that it does not know.

use serde_json::json;

use super::*;

fn version(text: &str) -> KubernetesVersion {
    text.parse().expect("a version")
}

fn args(pairs: &[(&str, &str)]) -> Args {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn node(name: &str, address: &str) -> NodeRegistration {
    NodeRegistration {
        name: Some(name.into()),
        kubelet_extra_args: args(&[("node-ip", address)]),
        ..NodeRegistration::default()
    }
}

fn at_address(address: &str) -> LocalEndpoint {
    LocalEndpoint { advertise_address: Some(address.into()), bind_port: None }
}

fn discovery() -> Discovery {
    Discovery {
        token: Secret::new("abcdef.0123456789abcdef"),
        api_server_endpoint: "api.lab.example:6443".into(),
        ca_cert_hashes: vec![format!("sha256:{}", "0a".repeat(32))],
    }
}

/// What most plans say.
fn small_cluster(at: &str) -> Cluster {
    Cluster {
        control_plane_endpoint: Some("api.lab.example:6443".into()),
        pod_subnet: Some("10.244.0.0/16".into()),
        service_subnet: Some("10.96.0.0/12".into()),
        ..Cluster::new(version(at))
    }
}

fn small(at: &str) -> [Rendered; 3] {
    let first = Init { node: node("cp1", "10.0.0.1"), endpoint: at_address("10.0.0.1"), ..Init::default() };
    let cluster = small_cluster(at);
    let of = |control_plane: Option<JoinControlPlane>, node: NodeRegistration| Join {
        discovery: discovery(),
        control_plane,
        node,
        skip_phases: vec![],
        patches: None,
        timeouts: Timeouts::default(),
    };
    let second =
        JoinControlPlane { endpoint: at_address("10.0.0.2"), certificate_key: Secret::new("1".repeat(64)) };
    [
        init(&first, &cluster, &Kubelet::default(), None).expect("it renders"),
        join(&of(Some(second), node("cp2", "10.0.0.2")), &cluster.version).expect("it renders"),
        join(&of(None, node("w1", "10.0.0.3")), &cluster.version).expect("it renders"),
    ]
}

/// All that the release can be told.
fn full_node(at: &str, name: &str, address: &str) -> NodeRegistration {
    let minor = version(at).minor();
    NodeRegistration {
        cri_socket: Some("/run/containerd/containerd.sock".into()),
        taints: Some(vec![Taint {
            key: "zone".into(),
            value: Some("dmz".into()),
            effect: "NoSchedule".into(),
        }]),
        kubelet_extra_args: args(&[("node-ip", address), ("cloud-provider", "external")]),
        ignore_preflight_errors: vec!["Swap".into()],
        image_pull_policy: (minor >= 22).then(|| "IfNotPresent".into()),
        image_pull_serial: (minor >= 31).then_some(false),
        ..node(name, address)
    }
}

fn full_component(at: &str, flag: &str, value: &str) -> Component {
    Component {
        extra_args: args(&[(flag, value), ("profiling", "false")]),
        extra_envs: if version(at).minor() >= 31 { args(&[("GOGC", "80")]) } else { Args::new() },
        extra_volumes: vec![Volume {
            name: "audit".into(),
            host_path: "/var/log/kubernetes".into(),
            mount_path: "/var/log/kubernetes".into(),
            read_only: false,
            path_type: Some("DirectoryOrCreate".into()),
        }],
    }
}

fn full_cluster(at: &str, etcd: Etcd) -> Cluster {
    let minor = version(at).minor();
    let image = |tag: &str| Image { repository: Some("mirror.lab:5000".into()), tag: Some(tag.into()) };
    let gate = match minor {
        ..=21 => "PublicKeysECDSA",
        22..=29 => "RootlessControlPlane",
        _ => "WaitForAllControlPlaneComponents",
    };
    let hours = |hours: u64| (minor >= 31).then(|| Duration::from_secs(3600 * hours));
    Cluster {
        name: Some("lab".into()),
        dns_domain: Some("lab.local".into()),
        api_server: full_component(at, "audit-log-maxage", "010"),
        cert_sans: vec!["10.0.0.100".into(), "api.lab.example".into()],
        controller_manager: full_component(at, "bind-address", "0.0.0.0"),
        scheduler: full_component(at, "v", "2"),
        etcd: match etcd {
            Etcd::Local(_) => Etcd::Local(LocalEtcd {
                extra_args: args(&[("heartbeat-interval", "500"), ("election-timeout", "5000")]),
                extra_envs: if minor >= 31 { args(&[("GOGC", "80")]) } else { Args::new() },
                image: image("3.4.13-0"),
                data_dir: Some("/srv/etcd".into()),
                server_cert_sans: vec!["etcd.lab.example".into()],
                peer_cert_sans: vec!["10.0.0.1".into()],
            }),
            external @ Etcd::External { .. } => external,
        },
        image_repository: Some("mirror.lab:5000".into()),
        dns_image: image("1.7.0"),
        certificates_dir: Some("/etc/kubernetes/pki".into()),
        feature_gates: [(gate.to_owned(), false)].into(),
        encryption_algorithm: (minor >= 31).then(|| "ECDSA-P256".into()),
        certificate_validity: hours(4380),
        ca_certificate_validity: hours(43800),
        ..small_cluster(at)
    }
}

fn full(at: &str, etcd: Etcd) -> [Rendered; 3] {
    let minor = version(at).minor();
    let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
    let every = Timeouts {
        control_plane_health: minutes(6),
        kubelet_health: minutes(5),
        kubernetes_api_call: minutes(2),
        etcd_api_call: minutes(3),
        tls_bootstrap: minutes(7),
        discovery: minutes(8),
        upgrade_manifests: minutes(90),
    };
    let of_init = if minor >= 31 {
        every
    } else {
        Timeouts { control_plane_health: minutes(6), ..Timeouts::default() }
    };
    let of_join = if minor >= 31 { every } else { Timeouts { discovery: minutes(8), ..Timeouts::default() } };
    let patches = Some("/etc/kubernetes/patches".to_owned());
    let first = Init {
        node: full_node(at, "cp1", "10.0.0.1"),
        endpoint: LocalEndpoint { bind_port: Some(7443), ..at_address("10.0.0.1") },
        token_ttl: Some(Duration::from_secs(900)),
        certificate_key: Some(Secret::new("1".repeat(64))),
        skip_phases: vec!["addon/kube-proxy".into(), "mark-control-plane".into()],
        patches: patches.clone(),
        timeouts: of_init,
    };
    let fields = |value: serde_json::Value| value.as_object().expect("an object").clone();
    let kubelet = Kubelet {
        fail_swap_on: Some(false),
        extra: fields(json!({ "imageGCHighThresholdPercent": 100, "cgroupDriver": "cgroupfs" })),
        ..Kubelet::default()
    };
    let proxy = KubeProxy {
        mode: Some("iptables".into()),
        extra: fields(json!({ "conntrack": { "maxPerCore": 0 } })),
    };
    let cluster = full_cluster(at, etcd);
    let of = |control_plane: Option<JoinControlPlane>, node: NodeRegistration| Join {
        discovery: discovery(),
        control_plane,
        node,
        skip_phases: vec!["preflight".into()],
        patches: patches.clone(),
        timeouts: of_join,
    };
    let second = JoinControlPlane {
        endpoint: LocalEndpoint { bind_port: Some(7443), ..at_address("10.0.0.2") },
        certificate_key: Secret::new("1".repeat(64)),
    };
    [
        init(&first, &cluster, &kubelet, Some(&proxy)).expect("it renders"),
        join(&of(Some(second), full_node(at, "cp2", "10.0.0.2")), &cluster.version).expect("it renders"),
        join(&of(None, full_node(at, "w1", "10.0.0.3")), &cluster.version).expect("it renders"),
    ]
}

fn external() -> Etcd {
    Etcd::External {
        endpoints: vec!["https://10.0.0.7:2379".into(), "https://10.0.0.8:2379".into()],
        ca_file: "/etc/kubernetes/pki/etcd/ca.crt".into(),
        cert_file: "/etc/kubernetes/pki/apiserver-etcd-client.crt".into(),
        key_file: "/etc/kubernetes/pki/apiserver-etcd-client.key".into(),
    }
}

/// The three files of a cluster: of the first machine, of another control plane, of a worker.
fn shown(files: &[Rendered; 3]) -> String {
    let kinds = ["kubeadm init", "kubeadm join (control plane)", "kubeadm join (worker)"];
    let one = |(kind, file): (&str, &Rendered)| {
        let command = [kind, &file.flags.join(" ")].join(" ");
        format!("#### {}\n{}", command.trim_end(), file.yaml.expose())
    };
    kinds.into_iter().zip(files).map(one).collect::<Vec<_>>().join("\n")
}

fn text(rendered: &Rendered) -> String {
    format!("# flags: {}\n{}", rendered.flags.join(" "), rendered.yaml.expose())
}

/// One release before and after each change that we know of: 1.19 and 1.20 (v1beta2), 1.24 (v1beta3, sockets are URLs),
/// 1.29 (v1beta3), 1.31 (v1beta4, the gate of the kubelet's local mode), 1.34, 1.37 (no gate any more).
const RELEASES: [&str; 7] = ["1.19.16", "1.20.2", "1.24.17", "1.29.15", "1.31.14", "1.34.2", "1.37.0"];

#[test]
fn the_files_of_each_release() {
    for release in RELEASES {
        insta::assert_snapshot!(format!("small-{release}"), shown(&small(release)));
        insta::assert_snapshot!(format!("full-{release}"), shown(&full(release, Etcd::default())));
    }
    insta::assert_snapshot!("external-etcd-1.20.2", shown(&full("1.20.2", external())));
    insta::assert_snapshot!("external-etcd-1.34.2", shown(&full("1.34.2", external())));
}

#[test]
fn the_least_init_has_nothing_empty() {
    let rendered = init(&Init::default(), &Cluster::new(version("1.30.0")), &Kubelet::default(), None);
    insta::assert_snapshot!(text(&rendered.expect("it renders")));
}

#[test]
fn the_kubelets_local_mode_is_set_while_it_is_a_gate() {
    let gate = |at: &str, given: Option<bool>| {
        let mut model = small_cluster(at);
        model.feature_gates.extend(given.map(|on| ("ControlPlaneKubeletLocalMode".to_owned(), on)));
        let yaml = init(&Init::default(), &model, &Kubelet::default(), None).expect("it renders").yaml;
        let line = yaml.expose().lines().find(|line| line.contains("LocalMode"));
        line.map(|line| line.trim().to_owned())
    };
    assert_eq!(gate("1.30.0", None), None);
    assert_eq!(gate("1.31.0", None).as_deref(), Some("ControlPlaneKubeletLocalMode: true"));
    assert_eq!(gate("1.35.0", Some(false)).as_deref(), Some("ControlPlaneKubeletLocalMode: false"));
    assert_eq!(gate("1.36.0", None), None);
}

#[test]
fn a_field_that_the_version_lacks_is_refused_not_dropped() {
    let with = |at: &str, change: fn(&mut Init, &mut Cluster)| {
        let (mut first, mut shared) = (Init::default(), Cluster::new(version(at)));
        change(&mut first, &mut shared);
        init(&first, &shared, &Kubelet::default(), None).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(
        with("1.28.0", |_, c| c.encryption_algorithm = Some("ECDSA-P256".into())),
        Err("kubeadm 1.28.0 cannot set `encryptionAlgorithm`: it needs 1.31 or later".into())
    );
    assert_eq!(with("1.31.0", |_, c| c.encryption_algorithm = Some("ECDSA-P256".into())), Ok(()));
    let never: fn(&mut Init, &mut Cluster) = |i, _| i.node.image_pull_policy = Some("Never".into());
    assert!(with("1.21.0", never).is_err_and(|text| text.contains("1.22 or later")));
    assert_eq!(with("1.22.0", never), Ok(()));
    let slow: fn(&mut Init, &mut Cluster) = |i, _| i.timeouts.tls_bootstrap = Some(Duration::from_secs(9));
    assert!(with("1.30.0", slow).is_err());
    assert_eq!(with("1.31.0", slow), Ok(()));
    assert!(with("1.14.0", |_, _| {}).is_err_and(|text| text.contains("too old")));
    assert!(with("1.34", |_, _| {}).is_err_and(|text| text.contains("names no patch release")));
}

#[test]
fn the_socket_is_a_url_from_1_24_on() {
    let socket = |at: &str, given: &str| {
        let mut model = Init::default();
        model.node.cri_socket = Some(given.into());
        let yaml =
            init(&model, &Cluster::new(version(at)), &Kubelet::default(), None).expect("it renders").yaml;
        yaml.expose().lines().find_map(|line| Some(line.trim().strip_prefix("criSocket: ")?.to_owned()))
    };
    assert_eq!(socket("1.23.0", "unix:///run/x.sock").as_deref(), Some("/run/x.sock"));
    assert_eq!(socket("1.24.0", "/run/x.sock").as_deref(), Some("unix:///run/x.sock"));
}

#[test]
fn secrets_do_not_show() {
    let [_, rendered, _] = full("1.34.2", Etcd::default());
    let shown = format!("{rendered:?}");
    assert!(!shown.contains("abcdef") && !shown.contains("1111"), "{shown}");
    assert!(rendered.yaml.expose().contains("abcdef.0123456789abcdef"));
}
