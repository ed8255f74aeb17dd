//! CoreDNS and kube-proxy, as init installs and upgrade renews them.

use serde_json::{Value, json};

use super::config::Settings;
use super::init::{document, map, nth_address};
use crate::cluster::Cluster;
use crate::cluster::kinds::{Kind, known};
use crate::cluster::versions::{self, minor};
use crate::world::State;

/// A workload, its ConfigMap, and the phase that installs it.
pub(super) const COREDNS: &str = "coredns";
/// The same.
pub(super) const KUBE_PROXY: &str = "kube-proxy";

/// Installs an addon, or brings it to the settings' release. Its ConfigMap stays as it is once it is there.
pub(super) fn apply(s: &mut State, id: &str, settings: &Settings, name: &str) {
    let now = s.now();
    let Some(cluster) = s.clusters.get_mut(id) else { return };
    let config = match name {
        COREDNS => json!({"Corefile": ".:53 {\n    errors\n    health\n}\n"}),
        _ => json!({"config.conf": document(&settings.proxy)}),
    };
    let maps = known("ConfigMap");
    if cluster.objects.get("ConfigMap", "kube-system", name).is_none() {
        cluster.store(&maps, "kube-system", name, map(config), now);
    }
    let services = known("Service");
    if name == COREDNS && cluster.objects.get("Service", "kube-system", "kube-dns").is_none() {
        let dns = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"labels": {"k8s-app": "kube-dns"}},
            "spec": {"clusterIP": nth_address(&settings.service_subnet, 10), "selector": {"k8s-app": "kube-dns"}, "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]}});
        cluster.store(&services, "kube-system", "kube-dns", dns, now);
    }
    let images = versions::images(&settings.version, settings.cluster["imageRepository"].as_str());
    let image = images.into_iter().find(|i| i.contains(name)).unwrap_or_default();
    let (kind, object) = match name {
        COREDNS => (known("Deployment"), coredns(&image, minor(&settings.version))),
        _ => (known("DaemonSet"), kube_proxy(&image)),
    };
    put(cluster, &kind, name, object, now);
}

/// Brings the file's settings to kube-proxy's ConfigMap, as the phase does when it is run by itself (`CreateOrUpdateConfigMap`); CoreDNS keeps its own.
pub(super) fn configure(s: &mut State, id: &str, settings: &Settings, name: &str) {
    let now = s.now();
    let Some(cluster) = s.clusters.get_mut(id).filter(|_| name == KUBE_PROXY) else { return };
    let maps = known("ConfigMap");
    cluster.store(&maps, "kube-system", name, map(json!({"config.conf": document(&settings.proxy)})), now);
}

/// Stores a workload, or the new pods of one that is there.
fn put(cluster: &mut Cluster, kind: &Kind, name: &str, object: Value, now: i64) {
    match cluster.objects.get(&kind.kind, "kube-system", name).cloned() {
        None => {
            cluster.store(kind, "kube-system", name, object, now);
        }
        Some(old) => {
            let mut next = old.clone();
            crate::cluster::apply::lay_over(&mut next["spec"]["template"], &object["spec"]["template"]);
            if next != old {
                cluster.replace(kind, "kube-system", name, &old, next);
            }
        }
    }
}

fn coredns(image: &str, minor: u32) -> Value {
    let (_, taints) = versions::control_plane_marks(minor);
    let mut tolerations: Vec<Value> =
        taints.iter().map(|t| json!({"key": t, "effect": "NoSchedule"})).collect();
    tolerations.push(json!({"key": "CriticalAddonsOnly", "operator": "Exists"}));
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"labels": {"k8s-app": "kube-dns"}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"k8s-app": "kube-dns"}}, "template": {"metadata": {"labels": {"k8s-app": "kube-dns"}},
            "spec": {"tolerations": tolerations, "nodeSelector": {"kubernetes.io/os": "linux"}, "priorityClassName": "system-cluster-critical", "containers": [{"name": "coredns", "image": image}]}}}})
}

fn kube_proxy(image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"labels": {"k8s-app": "kube-proxy"}},
        "spec": {"selector": {"matchLabels": {"k8s-app": "kube-proxy"}}, "template": {"metadata": {"labels": {"k8s-app": "kube-proxy"}},
            "spec": {"hostNetwork": true, "nodeSelector": {"kubernetes.io/os": "linux"}, "tolerations": [{"operator": "Exists"}], "priorityClassName": "system-node-critical", "containers": [{"name": "kube-proxy", "image": image}]}}}})
}
