//! Golden files for one release of each API, made from the upstream references, and what must be refused.

use serde_json::json;

use super::*;

fn version(text: &str) -> KubernetesVersion {
    text.parse().expect("a version")
}

fn args(pairs: &[(&str, &str)]) -> Args {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn node() -> NodeRegistration {
    NodeRegistration {
        name: Some("cp1".into()),
        kubelet_extra_args: args(&[("node-ip", "10.0.0.1"), ("cloud-provider", "external")]),
        ignore_preflight_errors: vec!["Swap".into()],
        ..NodeRegistration::default()
    }
}

fn here() -> LocalEndpoint {
    LocalEndpoint { advertise_address: Some("10.0.0.1".into()), bind_port: Some(6443) }
}

fn cluster(at: &str) -> Cluster {
    Cluster {
        name: Some("lab".into()),
        control_plane_endpoint: Some("api.lab.example:6443".into()),
        pod_subnet: Some("10.244.0.0/16".into()),
        service_subnet: Some("10.96.0.0/12".into()),
        dns_domain: Some("cluster.local".into()),
        api_server: Component {
            extra_args: args(&[("audit-log-maxage", "010"), ("profiling", "false")]),
            extra_volumes: vec![Volume {
                name: "audit".into(),
                host_path: "/var/log/kubernetes".into(),
                mount_path: "/var/log/kubernetes".into(),
                read_only: false,
                path_type: Some("DirectoryOrCreate".into()),
            }],
            ..Component::default()
        },
        cert_sans: vec!["10.0.0.100".into(), "api.lab.example".into()],
        controller_manager: Component {
            extra_args: args(&[("bind-address", "0.0.0.0")]),
            ..Component::default()
        },
        etcd: Etcd::Local(LocalEtcd {
            extra_args: args(&[("heartbeat-interval", "500"), ("election-timeout", "5000")]),
            data_dir: Some("/var/lib/etcd".into()),
            ..LocalEtcd::default()
        }),
        ..Cluster::new(version(at))
    }
}

fn whole_init(at: &str) -> Rendered {
    let model = Init {
        node: node(),
        endpoint: here(),
        token_ttl: Some(Duration::from_secs(900)),
        skip_phases: vec!["addon/kube-proxy".into()],
        patches: Some("/etc/kubernetes/patches".into()),
        timeouts: Timeouts { control_plane_health: Some(Duration::from_secs(360)), ..Timeouts::default() },
        ..Init::default()
    };
    let kubelet = Kubelet {
        fail_swap_on: Some(false),
        extra: json!({ "imageGCHighThresholdPercent": 100 }).as_object().expect("an object").clone(),
        ..Kubelet::default()
    };
    let proxy = KubeProxy {
        mode: Some("iptables".into()),
        extra: json!({ "conntrack": { "maxPerCore": 0 } }).as_object().expect("an object").clone(),
    };
    init(&model, &cluster(at), &kubelet, Some(&proxy)).expect("it renders")
}

fn whole_join(at: &str) -> Rendered {
    let model = Join {
        discovery: Discovery {
            token: Secret::new("abcdef.0123456789abcdef"),
            api_server_endpoint: "api.lab.example:6443".into(),
            ca_cert_hashes: vec![format!("sha256:{}", "0a".repeat(32))],
        },
        control_plane: Some(JoinControlPlane {
            endpoint: here(),
            certificate_key: Secret::new("1".repeat(64)),
        }),
        node: NodeRegistration { taints: Some(vec![]), ..node() },
        skip_phases: vec![],
        patches: None,
        timeouts: Timeouts { discovery: Some(Duration::from_secs(3723)), ..Timeouts::default() },
    };
    join(&model, &version(at)).expect("it renders")
}

fn text(rendered: &Rendered) -> String {
    format!("# flags: {}\n{}", rendered.flags.join(" "), rendered.yaml.expose())
}

#[test]
fn init_of_1_20_is_v1beta2() {
    insta::assert_snapshot!(text(&whole_init("1.20.2")));
}

#[test]
fn init_of_1_28_is_v1beta3() {
    insta::assert_snapshot!(text(&whole_init("1.28.15")));
}

#[test]
fn init_of_1_34_is_v1beta4() {
    insta::assert_snapshot!(text(&whole_init("1.34.2")));
}

#[test]
fn join_of_1_20_is_v1beta2() {
    insta::assert_snapshot!(text(&whole_join("1.20.2")));
}

#[test]
fn join_of_1_28_is_v1beta3() {
    insta::assert_snapshot!(text(&whole_join("1.28.15")));
}

#[test]
fn join_of_1_34_is_v1beta4() {
    insta::assert_snapshot!(text(&whole_join("1.34.2")));
}

#[test]
fn the_least_init_has_nothing_empty() {
    let rendered = init(&Init::default(), &Cluster::new(version("1.30.0")), &Kubelet::default(), None);
    insta::assert_snapshot!(text(&rendered.expect("it renders")));
}

#[test]
fn the_kubelets_local_mode_is_set_while_it_is_a_gate() {
    let gate = |at: &str, given: Option<bool>| {
        let mut model = cluster(at);
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
    let rendered = whole_join("1.34.2");
    let shown = format!("{rendered:?}");
    assert!(!shown.contains("abcdef") && !shown.contains("1111"), "{shown}");
    assert!(rendered.yaml.expose().contains("abcdef.0123456789abcdef"));
}
