//! The kinds that an API server knows, and how kubectl names them.

use serde_json::Value;

use super::Cluster;
use super::objects::text;

/// A kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// `DaemonSet`
    pub kind: String,
    /// `daemonsets`
    pub plural: String,
    /// `apps`, empty for the core group.
    pub group: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// Kind, plural, short names, group, namespaced.
type Row = (&'static str, &'static str, &'static [&'static str], &'static str, bool);

const KINDS: &[Row] = &[
    ("Namespace", "namespaces", &["ns"], "", false),
    ("Node", "nodes", &["no"], "", false),
    ("PersistentVolume", "persistentvolumes", &["pv"], "", false),
    ("Pod", "pods", &["po"], "", true),
    ("Service", "services", &["svc"], "", true),
    ("Endpoints", "endpoints", &["ep"], "", true),
    ("ConfigMap", "configmaps", &["cm"], "", true),
    ("Secret", "secrets", &[], "", true),
    ("ServiceAccount", "serviceaccounts", &["sa"], "", true),
    ("Event", "events", &["ev"], "", true),
    ("LimitRange", "limitranges", &["limits"], "", true),
    ("ResourceQuota", "resourcequotas", &["quota"], "", true),
    ("PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], "", true),
    ("ReplicationController", "replicationcontrollers", &["rc"], "", true),
    ("PodTemplate", "podtemplates", &[], "", true),
    ("DaemonSet", "daemonsets", &["ds"], "apps", true),
    ("Deployment", "deployments", &["deploy"], "apps", true),
    ("ReplicaSet", "replicasets", &["rs"], "apps", true),
    ("StatefulSet", "statefulsets", &["sts"], "apps", true),
    ("ControllerRevision", "controllerrevisions", &[], "apps", true),
    ("Job", "jobs", &[], "batch", true),
    ("CronJob", "cronjobs", &["cj"], "batch", true),
    ("HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], "autoscaling", true),
    ("PodDisruptionBudget", "poddisruptionbudgets", &["pdb"], "policy", true),
    ("PodSecurityPolicy", "podsecuritypolicies", &["psp"], "policy", false),
    ("Role", "roles", &[], "rbac.authorization.k8s.io", true),
    ("RoleBinding", "rolebindings", &[], "rbac.authorization.k8s.io", true),
    ("ClusterRole", "clusterroles", &[], "rbac.authorization.k8s.io", false),
    ("ClusterRoleBinding", "clusterrolebindings", &[], "rbac.authorization.k8s.io", false),
    ("Ingress", "ingresses", &["ing"], "networking.k8s.io", true),
    ("IngressClass", "ingressclasses", &[], "networking.k8s.io", false),
    ("NetworkPolicy", "networkpolicies", &["netpol"], "networking.k8s.io", true),
    ("StorageClass", "storageclasses", &["sc"], "storage.k8s.io", false),
    ("CSIDriver", "csidrivers", &[], "storage.k8s.io", false),
    ("CSINode", "csinodes", &[], "storage.k8s.io", false),
    ("VolumeAttachment", "volumeattachments", &[], "storage.k8s.io", false),
    ("PriorityClass", "priorityclasses", &["pc"], "scheduling.k8s.io", false),
    ("RuntimeClass", "runtimeclasses", &[], "node.k8s.io", false),
    ("Lease", "leases", &[], "coordination.k8s.io", true),
    ("EndpointSlice", "endpointslices", &[], "discovery.k8s.io", true),
    (
        "CustomResourceDefinition",
        "customresourcedefinitions",
        &["crd", "crds"],
        "apiextensions.k8s.io",
        false,
    ),
    ("APIService", "apiservices", &[], "apiregistration.k8s.io", false),
    ("CertificateSigningRequest", "certificatesigningrequests", &["csr"], "certificates.k8s.io", false),
    (
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        &[],
        "admissionregistration.k8s.io",
        false,
    ),
    (
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        &[],
        "admissionregistration.k8s.io",
        false,
    ),
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", &[], "admissionregistration.k8s.io", false),
    (
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        &[],
        "admissionregistration.k8s.io",
        false,
    ),
    ("FlowSchema", "flowschemas", &[], "flowcontrol.apiserver.k8s.io", false),
];

fn of(row: &Row) -> Kind {
    Kind { kind: row.0.to_owned(), plural: row.1.to_owned(), group: row.3.to_owned(), namespaced: row.4 }
}

/// A kind that every API server knows.
///
/// # Panics
/// Where it is not one of them.
pub(crate) fn known(kind: &str) -> Kind {
    of(KINDS.iter().find(|row| row.0 == kind).unwrap_or_else(|| panic!("no API server knows {kind}")))
}

impl Cluster {
    fn custom(&self) -> impl Iterator<Item = (Kind, &Value)> {
        self.objects.list("CustomResourceDefinition", None).map(|crd| {
            let kind = Kind {
                kind: text(crd, "/spec/names/kind").to_owned(),
                plural: text(crd, "/spec/names/plural").to_owned(),
                group: text(crd, "/spec/group").to_owned(),
                namespaced: text(crd, "/spec/scope") != "Cluster",
            };
            (kind, crd)
        })
    }

    /// The kind of an object, by its apiVersion and kind.
    pub fn kind_of(&self, api_version: &str, kind: &str) -> Option<Kind> {
        let group = api_version.split_once('/').map_or("", |(g, _)| g);
        let version = api_version.rsplit('/').next().unwrap_or_default();
        if let Some(row) = KINDS.iter().find(|r| r.0 == kind && r.3 == group) {
            let known = super::versions::served(row.3, row.0, version, self.minor());
            return known.then(|| of(row));
        }
        self.custom().find(|(k, _)| k.kind == kind && k.group == group).map(|(k, _)| k)
    }

    /// The kind that kubectl's word means: `po`, `pods`, `Pod`, `DaemonSet.v1.apps`, `deployments.apps`.
    pub fn kind_named(&self, word: &str) -> Option<Kind> {
        let lower = word.to_lowercase();
        let (name, rest) = lower.split_once('.').unwrap_or((&lower, ""));
        let named = |kind: &str, plural: &str, short: &[&str]| {
            kind.to_lowercase() == name || plural == name || short.contains(&name)
        };
        // `name.version.group` or `name.group`
        let fits = |group: &str| {
            rest.is_empty()
                || rest == group
                || rest.split_once('.').is_some_and(|(_, g)| g == group)
                || (group.is_empty() && rest == "v1")
        };
        if let Some(row) = KINDS.iter().find(|r| named(r.0, r.1, r.2) && fits(r.3)) {
            return Some(of(row));
        }
        self.custom()
            .find(|(k, crd)| {
                let short = crd.pointer("/spec/names/shortNames").and_then(Value::as_array);
                let short: Vec<&str> = short.into_iter().flatten().filter_map(Value::as_str).collect();
                (named(&k.kind, &k.plural, &short) || text(crd, "/spec/names/singular") == name)
                    && fits(&k.group)
            })
            .map(|(k, _)| k)
    }
}
