//! What of a cluster has something outside of it. Pure: from the API's lists.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::LABEL;

/// What keeps a Service there until its load balancer is gone.
const CLEANUP: &str = "service.kubernetes.io/load-balancer-cleanup";

/// Services with load balancers, claims with volumes, and volumes that no claim has any more.
#[derive(Debug, Default)]
pub(super) struct Outside {
    services: Vec<Json>,
    pub(super) claims: Vec<Json>,
    volumes: Vec<Json>,
    /// Volumes that stay, as their policy says.
    pub(super) kept: Vec<String>,
    /// The namespaces in which a sweep's quota stands.
    pub(super) closed: BTreeSet<String>,
}

fn text<'a>(object: &'a Json, path: &str) -> &'a str {
    object.pointer(path).and_then(Json::as_str).unwrap_or_default()
}

/// `default/web`
fn place(object: &Json) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

fn goes(object: &Json) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Whether a driver made this volume, and not on the machines themselves.
fn made_outside(volume: &Json) -> bool {
    let annotations = &volume["metadata"]["annotations"];
    let spec = &volume["spec"];
    annotations["pv.kubernetes.io/provisioned-by"].is_string()
        && spec["hostPath"].is_null()
        && spec["local"].is_null()
}

impl Outside {
    /// From a list of Services, claims, volumes and quotas.
    pub(super) fn of(list: &Json) -> Self {
        let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |kind: &'static str| items.iter().filter(move |item| item["kind"] == kind);
        let made: Vec<&Json> = of("PersistentVolume").filter(|volume| made_outside(volume)).collect();
        let deletes = |volume: &&Json| volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete";
        let (volumes, kept): (Vec<&Json>, Vec<&Json>) = made.into_iter().partition(deletes);
        let named = |name: &str| volumes.iter().any(|volume| text(volume, "/metadata/name") == name);
        // One that waits for its volume may get it any moment; one without a class never does by itself.
        let claims = of("PersistentVolumeClaim").filter(|claim| match text(claim, "/spec/volumeName") {
            "" => claim["spec"]["storageClassName"] != "",
            volume => named(volume),
        });
        let services = of("Service").filter(|service| {
            let finalizers = service["metadata"]["finalizers"].as_array();
            service["spec"]["type"] == "LoadBalancer"
                || finalizers.is_some_and(|all| all.iter().any(|finalizer| finalizer == CLEANUP))
        });
        Self {
            services: services.cloned().collect(),
            claims: claims.cloned().collect(),
            // One that nobody has ever claimed is its maker's.
            volumes: volumes
                .iter()
                .filter(|v| v["spec"]["claimRef"].is_object())
                .map(|v| (*v).clone())
                .collect(),
            kept: kept.iter().map(|volume| text(volume, "/metadata/name").to_owned()).collect(),
            closed: of("ResourceQuota")
                .filter(|quota| quota["metadata"]["labels"].get(LABEL).is_some())
                .map(|quota| text(quota, "/metadata/namespace").to_owned())
                .collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.services.is_empty() && self.claims.is_empty() && self.volumes.is_empty()
    }

    pub(super) fn load_balancers(&self) -> Vec<String> {
        self.services.iter().map(place).collect()
    }

    /// Claims, and volumes whose claim is gone.
    pub(super) fn volumes(&self) -> Vec<String> {
        let orphans = self.orphans().map(|volume| text(volume, "/metadata/name").to_owned());
        self.claims.iter().map(place).chain(orphans).collect()
    }

    fn orphans(&self) -> impl Iterator<Item = &Json> {
        let claimed = |volume: &&Json| {
            let name = text(volume, "/metadata/name");
            self.claims.iter().any(|claim| text(claim, "/spec/volumeName") == name)
        };
        self.volumes.iter().filter(move |volume| !claimed(volume))
    }

    /// Where the events of what is left are, and whose they are. Those of a volume are in `default`.
    pub(super) fn places(&self) -> Vec<(String, String)> {
        let own = |object: &Json| {
            let namespace = match text(object, "/metadata/namespace") {
                "" => "default",
                namespace => namespace,
            };
            (namespace.to_owned(), text(object, "/metadata/name").to_owned())
        };
        self.services.iter().chain(&self.claims).chain(self.orphans()).map(own).collect()
    }

    /// What is to be deleted now: Services and claims, and after them the pods that hold claims.
    pub(super) fn doomed(&self, pods: &Json) -> Vec<Json> {
        let objects = self.services.iter().chain(&self.claims);
        let objects = objects.chain(self.holders(pods).map(|(pod, _)| pod)).filter(|object| !goes(object));
        let named = |object: &Json| {
            let kind = object["kind"].as_str().unwrap_or("Pod");
            json!({"apiVersion": "v1", "kind": kind, "metadata": {
                "namespace": object["metadata"]["namespace"], "name": object["metadata"]["name"],
            }})
        };
        objects.map(named).collect()
    }

    /// Pods on nodes with the first of our claims that they use: what is over holds nothing.
    fn holders<'a>(&'a self, pods: &'a Json) -> impl Iterator<Item = (&'a Json, &'a Json)> {
        let pods = pods["items"].as_array().into_iter().flatten();
        let holds = pods.filter(|pod| {
            pod["spec"]["nodeName"].is_string()
                && !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
        });
        holds.filter_map(|pod| self.claims.iter().find(|claim| uses(pod, claim)).map(|claim| (pod, claim)))
    }

    /// What is left, and what it waits for.
    pub(super) fn left(&self, pods: &Json) -> String {
        let services = self.services.iter().map(|service| format!("Service {}", place(service)));
        let claims = self.claims.iter().map(|claim| {
            let holder = self.holders(pods).find(|(pod, _)| uses(pod, claim));
            let held = holder.map(|(pod, _)| {
                format!(" (held by pod {} on {})", text(pod, "/metadata/name"), text(pod, "/spec/nodeName"))
            });
            format!("claim {}{}", place(claim), held.unwrap_or_default())
        });
        let volumes = self.orphans().map(|volume| {
            let said = match text(volume, "/status/message") {
                "" => text(volume, "/status/phase"),
                message => message,
            };
            format!("volume {} ({said})", text(volume, "/metadata/name"))
        });
        services.chain(claims).chain(volumes).collect::<Vec<_>>().join("; ")
    }
}

/// Whether a pod mounts a claim: by its name, or one that was made for the pod alone.
fn uses(pod: &Json, claim: &Json) -> bool {
    let (pod_name, name) = (text(pod, "/metadata/name"), text(claim, "/metadata/name"));
    let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    text(pod, "/metadata/namespace") == text(claim, "/metadata/namespace")
        && volumes.any(|volume| {
            volume["persistentVolumeClaim"]["claimName"] == name
                || (volume["ephemeral"].is_object()
                    && format!("{pod_name}-{}", text(volume, "/name")) == name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, name: &str, rest: Json) -> Json {
        let mut object = json!({"kind": kind, "metadata": {"namespace": "default", "name": name}});
        for (key, value) in rest.as_object().expect("an object") {
            match key.as_str() {
                "metadata" => {
                    let more = value.as_object().expect("an object").clone();
                    object["metadata"].as_object_mut().expect("an object").extend(more);
                }
                _ => object[key] = value.clone(),
            }
        }
        object
    }

    fn claim(name: &str, volume: &str) -> Json {
        object(
            "PersistentVolumeClaim",
            name,
            json!({"spec": {"volumeName": volume, "storageClassName": "csi"}}),
        )
    }

    fn volume(name: &str, policy: &str, source: &str) -> Json {
        object(
            "PersistentVolume",
            name,
            json!({
                "metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": "x"}},
                "spec": {"persistentVolumeReclaimPolicy": policy, source: {}, "claimRef": {"name": name}},
                "status": {"phase": "Released"},
            }),
        )
    }

    #[test]
    fn what_lives_outside_and_dies_by_its_policy_is_swept_and_nothing_else() {
        let ours = Outside::of(&json!({"items": [
            object("Service", "web", json!({"spec": {"type": "LoadBalancer"}})),
            object("Service", "was", json!({"spec": {"type": "ClusterIP"}, "metadata": {"finalizers": [CLEANUP]}})),
            object("Service", "db", json!({"spec": {"type": "NodePort"}})),
            claim("data", "pv-1"), volume("pv-1", "Delete", "csi"),
            claim("photos", "pv-2"), volume("pv-2", "Retain", "csi"),
            claim("scratch", "pv-3"), volume("pv-3", "Delete", "local"),
            claim("lost", "pv-9"),
            object("PersistentVolumeClaim", "soon", json!({"spec": {"storageClassName": "csi"}})),
            object("PersistentVolumeClaim", "by-hand", json!({"spec": {"storageClassName": ""}})),
            volume("pv-4", "Delete", "csi"),
            object("PersistentVolume", "nfs", json!({"spec": {"persistentVolumeReclaimPolicy": "Delete", "nfs": {}}})),
        ]}));
        assert_eq!(ours.load_balancers(), ["default/web", "default/was"]);
        assert_eq!(ours.volumes(), ["default/data", "default/soon", "pv-4"]);
        assert_eq!(ours.kept, ["pv-2"]);
        assert!(!ours.is_empty() && ours.closed.is_empty());
        let none =
            json!({"items": [object("Service", "kubernetes", json!({"spec": {"type": "ClusterIP"}}))]});
        assert!(Outside::of(&none).is_empty() && Outside::of(&Json::Null).is_empty());
    }

    #[test]
    fn pods_that_hold_claims_go_after_them_and_only_those() {
        let on = |name: &str, volumes: Json, phase: &str| {
            object(
                "Pod",
                name,
                json!({"spec": {"nodeName": "w1", "volumes": volumes}, "status": {"phase": phase}}),
            )
        };
        let mounts = |claim: &str| json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
        let pods = json!({"items": [
            on("db-0", mounts("data"), "Running"), on("done", mounts("data"), "Succeeded"),
            on("cache", json!([{"name": "big", "ephemeral": {}}]), "Running"), on("web", json!([]), "Running"),
            object("Pod", "waits", json!({"spec": {"volumes": mounts("data")}})),
        ]});
        let mut leaving = claim("cache-big", "pv-2");
        leaving["metadata"]["deletionTimestamp"] = "now".into();
        let list = json!({"items": [
            claim("data", "pv-1"), leaving, volume("pv-1", "Delete", "csi"), volume("pv-2", "Delete", "csi"),
        ]});
        let ours = Outside::of(&list);
        let doomed: Vec<String> =
            ours.doomed(&pods).iter().map(|o| format!("{} {}", text(o, "/kind"), place(o))).collect();
        assert_eq!(doomed, ["PersistentVolumeClaim default/data", "Pod default/db-0", "Pod default/cache"]);
        assert_eq!(
            ours.left(&pods),
            "claim default/data (held by pod db-0 on w1); claim default/cache-big (held by pod cache on w1)"
        );
    }
}
