//! The manifests that the plans bring are what the rules say of them.

use grappe_kubeadm::cni::{Kind, Network};
use grappe_kubeadm::manifest;

const KUBE_ROUTER: &str = include_str!("../../../../plans/lab/manifests/kube-router.yaml");
const FLANNEL: &str = include_str!("../../../../plans/ha-haproxy-on-every-node/manifests/flannel.yaml");

#[test]
fn each_is_the_plugin_it_says_and_fits_its_cluster() {
    for (text, kind, address_pairs) in
        [(KUBE_ROUTER, Kind::KubeRouter, true), (FLANNEL, Kind::Flannel, false)]
    {
        let objects = manifest::objects(text).expect("a manifest");
        assert_eq!(Kind::detect(&objects), kind);
        let network = Network {
            pod_subnet: Some("10.244.0.0/16"),
            service_subnet: Some("10.96.0.0/12"),
            kube_proxy: Some(true),
            ..Network::default()
        };
        let needs = kind.check(&objects, network).expect("it fits");
        assert_eq!(needs.address_pairs, Some(address_pairs));
    }
}

#[test]
fn no_image_floats() {
    for text in [KUBE_ROUTER, FLANNEL] {
        for image in text.lines().filter_map(|line| line.trim().strip_prefix("image: ")) {
            let tag = image.rsplit_once(':').map(|(_, tag)| tag);
            assert!(tag.is_some_and(|tag| tag.starts_with('v')), "{image} has no version");
        }
    }
}

#[test]
fn accounts_volumes_and_selectors_agree() {
    for text in [KUBE_ROUTER, FLANNEL] {
        let objects = manifest::objects(text).expect("a manifest");
        let has = |kind: &str, name: &str| objects.iter().any(|o| o.kind == kind && o.name == name);
        let set = &objects.iter().find(|o| o.kind == "DaemonSet").expect("a DaemonSet").value["spec"];
        let pod = &set["template"]["spec"];
        assert!(has("ServiceAccount", pod["serviceAccountName"].as_str().expect("an account")));
        for (key, value) in set["selector"]["matchLabels"].as_object().expect("labels") {
            assert_eq!(&set["template"]["metadata"]["labels"][key], value);
        }
        let volumes: Vec<_> = pod["volumes"].as_array().expect("volumes").iter().collect();
        for map in volumes.iter().filter_map(|v| v["configMap"]["name"].as_str()) {
            assert!(has("ConfigMap", map), "{map}");
        }
        let containers = ["initContainers", "containers"].map(|k| pod[k].as_array().expect("containers"));
        for mount in
            containers.into_iter().flatten().flat_map(|c| c["volumeMounts"].as_array().expect("mounts"))
        {
            assert!(volumes.iter().any(|v| v["name"] == mount["name"]), "no volume for {mount}");
        }
    }
}
