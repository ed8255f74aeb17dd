//! Claims of volumes, as the controllers inside of a cluster see them: StatefulSets make them, pods wait for them and hold them.

use serde_json::{Value, json};

use super::kinds::known;
use super::objects::{Objects, text};
use super::quotas;
use super::workloads::{Controllers, replicas};

/// What keeps a claim there while a pod uses it.
const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// What the API server makes of a claim that comes in.
pub(super) fn admit(claim: &mut Value) {
    claim["metadata"]["finalizers"] = json!([PROTECTION]);
    claim["status"] = json!({"phase": "Pending"});
}

/// The claims that a pod's volumes name.
pub(super) fn of_pod(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

/// Why no node takes a pod whose claims are not there, go, or wait for their volumes.
pub(super) fn trouble(objects: &Objects, namespace: &str, pod: &Value) -> Option<String> {
    of_pod(pod).find_map(|name| {
        let Some(claim) = objects.get("PersistentVolumeClaim", namespace, name) else {
            return Some(format!("persistentvolumeclaim \"{name}\" not found"));
        };
        if claim["metadata"]["deletionTimestamp"].is_string() {
            return Some(format!("persistentvolumeclaim \"{name}\" is being deleted"));
        }
        (claim["status"]["phase"] != "Bound")
            .then(|| "pod has unbound immediate PersistentVolumeClaims".to_owned())
    })
}

/// The name of a StatefulSet's claim for its pod with this number.
fn claim_name(template: &Value, set: &Value, n: u64) -> String {
    format!("{}-{}-{n}", text(template, "/metadata/name"), text(set, "/metadata/name"))
}

/// A StatefulSet's pod with its claims among its volumes.
pub(super) fn mounted(mut pod: Value, set: &Value, n: u64) -> Value {
    let templates = set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
    let volumes = templates.map(|template| {
        json!({"name": template["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim_name(template, set, n)}})
    });
    let all = pod["spec"]["volumes"].as_array().into_iter().flatten().cloned().chain(volumes);
    let all: Vec<Value> = all.collect();
    if !all.is_empty() {
        pod["spec"]["volumes"] = all.into();
    }
    pod
}

impl Controllers<'_> {
    /// Makes the claims of StatefulSets, and lets those go that no pod on a node uses any more.
    pub(super) fn claims(&mut self) {
        let kind = known("PersistentVolumeClaim");
        for (namespace, name, claim) in self.wanted_claims() {
            let objects = &self.cluster.objects;
            if objects.get("PersistentVolumeClaim", &namespace, &name).is_none()
                && quotas::exceeded(objects, &kind, &namespace, &name, &claim).is_none()
            {
                self.cluster.store(&kind, &namespace, &name, claim, self.now);
            }
        }
        let objects = &self.cluster.objects;
        let going = objects
            .list("PersistentVolumeClaim", None)
            .filter(|claim| claim["metadata"]["deletionTimestamp"].is_string());
        let free: Vec<(String, String)> = going
            .map(|claim| (text(claim, "/metadata/namespace"), text(claim, "/metadata/name")))
            .filter(|(namespace, name)| {
                let mut pods = objects.list("Pod", Some(namespace));
                !pods.any(|pod| pod["spec"]["nodeName"].is_string() && of_pod(pod).any(|used| used == *name))
            })
            .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
            .collect();
        for (namespace, name) in free {
            self.cluster.objects.remove("PersistentVolumeClaim", &namespace, &name);
            self.cluster.forget("PersistentVolumeClaim", &namespace, &name);
        }
    }

    fn wanted_claims(&self) -> Vec<(String, String, Value)> {
        let mut wanted = Vec::new();
        for set in self.cluster.objects.list("StatefulSet", None) {
            let namespace = text(set, "/metadata/namespace");
            for template in set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
                for n in 0..replicas(set) {
                    let name = claim_name(template, set, n);
                    let claim = json!({
                        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {}, "spec": template["spec"],
                    });
                    wanted.push((namespace.to_owned(), name, claim));
                }
            }
        }
        wanted
    }
}
