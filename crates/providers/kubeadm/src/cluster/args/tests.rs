//! Arguments that cannot be taken are refused while planning, by name; the others reach the file.

use grappe_value::{Kind, convert};
use serde_json::json;

use super::*;

/// The configuration as the planner hands it over: with all attributes, and of the schema's types.
fn config(given: &Json) -> Value {
    let schema = schema();
    let given = json::from_json(given);
    let all = schema.attributes.iter().map(|(name, attribute)| {
        let value = given.get(name).cloned().or_else(|| attribute.default.clone());
        (name.clone(), value.unwrap_or_else(|| Value::null(attribute.ty.clone())))
    });
    for name in given.as_entries().expect("an object").keys() {
        assert!(schema.attributes.contains_key(name), "{name} is no argument");
    }
    convert(&Value::object(all), &schema.ty()).expect("it fits the schema")
}

fn given(more: Json) -> Json {
    let mut args =
        json!({"host": {"address": "10.0.0.1"}, "version": "1.34.2", "pod_subnet": "10.244.0.0/16"});
    args.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    args
}

fn problem(more: Json) -> Option<(String, String)> {
    let found = validate(&config(&given(more)));
    assert!(found.len() <= 1, "{found:?}");
    found.into_iter().next().map(|problem| (problem.attribute.to_string(), problem.message))
}

#[test]
fn each_mistake_names_its_argument() {
    let cases = [
        (json!({"version": "1.34"}), "version", "names no patch release"),
        (
            json!({"version": "1.28.0", "api_server_extra_envs": {"A": "b"}}),
            "api_server_extra_envs",
            "needs 1.31",
        ),
        (
            json!({"version": "1.28.0", "certificate_validity_period": "9h"}),
            "certificate_validity_period",
            "needs 1.31",
        ),
        (json!({"certificate_validity_period": "a year"}), "certificate_validity_period", "not a duration"),
        (json!({"version": "1.28.0", "timeouts": {"tls_bootstrap": "9m"}}), "timeouts", "needs 1.31"),
        (json!({"timeouts": {"tls_bootstrap": "soon"}}), "timeouts", "not a duration"),
        (json!({"version": "1.18.0", "patches": "/etc/patches"}), "patches", "needs 1.19"),
        (json!({"skip_phases": ["kube-proxy"]}), "skip_phases", "addon/kube-proxy"),
        (json!({"cloud_provider": "openstack"}), "cloud_provider", "cloud controller manager"),
        (
            json!({"api_server_extra_args": {"cloud-provider": "external"}}),
            "api_server_extra_args",
            "since 1.33",
        ),
        (json!({"external_etcd": {"endpoints": ["10.0.0.9:2379"]}}), "external_etcd", "https://host:2379"),
        (
            json!({"external_etcd": {"endpoints": ["http://10.0.0.9:2379"]}, "etcd_extra_args": {"quota": "1"}}),
            "external_etcd",
            "its own settings",
        ),
        (
            json!({"api_server_extra_volumes": [{"name": "audit", "host_path": "audit", "mount_path": "/audit"}]}),
            "api_server_extra_volumes",
            "absolute path",
        ),
        (
            json!({"feature_gates": {"ControlPlaneKubeletLocalMode": true}, "version": "1.30.0"}),
            "feature_gates",
            "1.31",
        ),
        (json!({"encryption_algorithm": "ECDSA-P384", "version": "1.33.0"}), "encryption_algorithm", "1.34"),
        (
            json!({"kube_proxy_config": {"mode": "nftables"}, "version": "1.28.0"}),
            "kube_proxy_config",
            "1.29",
        ),
        (json!({"kubelet_config": "maxPods: 9"}), "kubelet_config", "an object of fields"),
        (json!({"pod_subnet": "10.0.0.0/16"}), "pod_subnet", "holds the address 10.0.0.1 of a machine"),
        (json!({"node_ip": "10.96.3.4"}), "service_subnet", "10.96.3.4"),
        (json!({"dns_domain": "Lab"}), "dns_domain", "no DNS name"),
        (json!({"image_pull_policy": "Sometimes"}), "image_pull_policy", "IfNotPresent"),
        (json!({"cri_socket": "containerd"}), "cri_socket", "no path"),
    ];
    for (more, attribute, part) in cases {
        let (blamed, message) = problem(more.clone()).unwrap_or_else(|| panic!("{more} is taken"));
        assert!(blamed == attribute && message.contains(part), "{more}: {blamed}: {message}");
    }
}

#[test]
fn an_even_number_of_control_planes_is_only_unwise() {
    let machines =
        |count: u8| -> Vec<Json> { (1..=count).map(|n| json!({"address": format!("10.0.0.{n}")})).collect() };
    assert_eq!(validate(&config(&given(json!({"control_planes": machines(3)})))), []);
    let found = validate(&config(&given(json!({"control_planes": machines(2)}))));
    assert!(found.len() == 1 && found[0].warning, "{found:?}");
    assert!(found[0].message.starts_with("2 control planes bear the failure of no more machines than 1"));
    let external = json!({"endpoints": ["http://10.0.0.9:2379"]});
    let elsewhere = json!({"control_planes": machines(2), "external_etcd": external});
    assert_eq!(validate(&config(&given(elsewhere))), []);
}

#[test]
fn what_is_not_known_yet_is_passed_over() {
    let unknown = |name: &str, args: Json| {
        let config = config(&given(args));
        let ty = schema().attributes[name].ty.clone();
        validate(&config.with_attr(name, Value::unknown(ty)))
    };
    assert_eq!(unknown("version", json!({"pod_subnet": "x"})), []);
    assert_eq!(unknown("host", json!({"pod_subnet": "10.0.0.0/16"})), []);
    assert_eq!(unknown("cert_sans", json!({"pod_subnet": "x"})).len(), 1, "the rest is still checked");
}

#[test]
fn all_that_was_said_reaches_the_file() {
    let more = json!({
        "name": "lab", "cert_sans": ["api.lab"], "cloud_provider": "external",
        "api_server_extra_envs": {"HTTPS_PROXY": "http://10.0.0.9:3128"},
        "api_server_extra_volumes": [{"name": "audit", "host_path": "/etc/audit", "mount_path": "/etc/audit", "read_only": true, "path_type": "Directory"}],
        "scheduler_extra_args": {"v": "2"}, "certificate_validity_period": "4380h", "encryption_algorithm": "ECDSA-P256",
        "external_etcd": {"endpoints": ["https://10.0.0.9:2379"], "ca_file": "/e/ca.crt", "cert_file": "/e/c.crt", "key_file": "/e/c.key"},
        "dns_image": {"tag": "v1.12.0"}, "image_pull_policy": "Never", "image_pull_serial": false,
        "skip_phases": ["addon/kube-proxy"], "patches": "/etc/kubernetes/patches", "bind_port": 7443,
        "timeouts": {"control_plane_component_health_check": "6m", "tls_bootstrap": "9m"},
        "taints": [], "kubelet_config": {"maxPods": 200}, "kube_proxy_config": {"mode": "nftables"},
    });
    let config = config(&given(more));
    assert_eq!(validate(&config), []);
    let args: Args = serde_json::from_value(json::to_args(&config)).expect("arguments");
    let endpoint = args.local_endpoint().expect("an endpoint");
    let file = args.init_file(&endpoint, "cp1").expect("a file");
    insta::assert_snapshot!(file.yaml.expose());
    let made = args.cluster_ref("id", "hash", &endpoint);
    assert_eq!((made.cloud_provider.as_deref(), made.kube_proxy), (Some("external"), Some(false)));
    assert_eq!(planned_kube_proxy(&config), Value::from(false));
    let unknown = config.with_attr("skip_phases", Value::unknown(Type::list(Type::String)));
    assert!(matches!(planned_kube_proxy(&unknown).kind(), Kind::Unknown(..)));
}
