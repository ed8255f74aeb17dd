//! A kubeadm cluster: members of etcd, tokens, uploaded certificates, and the objects behind the API.
//!
//! The truth is spread as it is in a real one: certificates and manifests are files on hosts, objects and members are here. An API server is
//! up when its machine, its containerd and its manifest are; the API answers when etcd has a quorum.

pub(crate) mod access;
pub mod apply;
pub(crate) mod budgets;
mod claims;
mod cloud;
pub mod der;
pub mod kinds;
pub mod nodes;
pub mod objects;
pub mod pki;
pub mod pods;
mod quotas;
mod secrets;
pub mod versions;
pub mod workloads;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::world::State;
use objects::Objects;

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdMember {
    /// 16 hex digits.
    pub id: String,
    /// Node name.
    pub name: String,
    /// Machine it runs on.
    pub machine: String,
    /// Address of its peer port.
    pub address: String,
    /// Real time, in milliseconds since 1970, at which a learner has caught up and gets its vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learner_until: Option<i64>,
}

/// A bootstrap token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Public half.
    pub id: String,
    /// Secret half.
    pub secret: String,
    /// Simulated milliseconds since 1970; none for ever.
    pub expires: Option<i64>,
    /// `authentication,signing`
    pub usages: String,
    /// For people.
    pub description: String,
    /// `system:bootstrappers:…`
    pub groups: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({})", self.id)
    }
}

/// The secret `kubeadm-certs`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedCerts {
    /// 64 hex digits.
    pub key: String,
    /// Id of the token whose life it shares.
    pub token: String,
    /// Files of /etc/kubernetes/pki, by path below it.
    pub files: BTreeMap<String, String>,
}

impl std::fmt::Debug for UploadedCerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UploadedCerts({} files)", self.files.len())
    }
}

/// A cluster. Its `Debug` leaves out what may be secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Id in the world.
    pub id: String,
    /// `clusterName`.
    pub name: String,
    /// Release that init installed, such as `1.31.2`.
    pub version: String,
    /// CA certificate, in PEM.
    pub ca: String,
    /// `controlPlaneEndpoint`, if one was set.
    pub endpoint: Option<String>,
    /// Pods' range.
    pub pod_subnet: Option<String>,
    /// Services' range.
    pub service_subnet: String,
    /// ClusterConfiguration as uploaded.
    pub configuration: Value,
    /// KubeletConfiguration as uploaded.
    pub kubelet_configuration: Value,
    /// Members of etcd.
    pub etcd: Vec<EtcdMember>,
    /// Bootstrap tokens.
    #[serde(default)]
    pub tokens: Vec<Token>,
    /// Uploaded certificates.
    #[serde(default)]
    pub certs: Option<UploadedCerts>,
    /// Objects by kind, namespace and name.
    #[serde(default)]
    pub objects: Objects,
    /// What each field manager applied last, by manager and object.
    #[serde(default)]
    pub applied: BTreeMap<String, Value>,
    /// Last resource version.
    #[serde(default)]
    pub revision: u64,
    /// Next pod network to give to a node.
    #[serde(default)]
    pub next_pod_cidr: u32,
    /// When Node objects were deleted: a kubelet that starts later registers again.
    #[serde(default)]
    pub deleted_nodes: BTreeMap<String, i64>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({} {}, v{}, {:?})", self.name, self.id, self.version, self.etcd)
    }
}

impl Cluster {
    /// Minor release.
    pub fn minor(&self) -> u32 {
        versions::minor(&self.version)
    }

    /// The next resource version.
    pub fn next_revision(&mut self) -> String {
        self.revision += 1;
        self.revision.to_string()
    }

    /// A token that is still valid.
    pub fn token(&self, id: &str, now: i64) -> Option<&Token> {
        self.tokens.iter().find(|t| t.id == id && t.expires.is_none_or(|e| e > now))
    }

    /// Drops expired tokens, and the certificates that live with them, as the token cleaner does.
    pub fn clean_tokens(&mut self, now: i64) -> bool {
        let old: Vec<String> = self
            .tokens
            .iter()
            .filter(|t| t.expires.is_some_and(|e| e <= now))
            .map(|t| t.id.clone())
            .collect();
        for id in &old {
            self.forget_token(id);
        }
        let orphaned = self.certs.as_ref().is_some_and(|c| !self.tokens.iter().any(|t| t.id == c.token));
        if orphaned {
            self.certs = None;
        }
        orphaned || !old.is_empty()
    }

    /// Takes a pod away. What owns it makes another, elsewhere if its node takes none.
    pub fn evict(&mut self, namespace: &str, name: &str) {
        self.objects.remove("Pod", namespace, name);
    }

    /// `host:port` under which the API is reached from outside.
    pub fn public_endpoint(&self) -> String {
        self.endpoint
            .clone()
            .unwrap_or_else(|| self.etcd.first().map(|m| format!("{}:6443", m.address)).unwrap_or_default())
    }
}

impl State {
    /// Whether most voting members of a cluster's etcd run.
    pub fn has_quorum(&self, cluster: &str) -> bool {
        let Some(cluster) = self.clusters.get(cluster) else { return false };
        let voters: Vec<_> = cluster.etcd.iter().filter(|m| m.learner_until.is_none()).collect();
        let up = voters.iter().filter(|m| self.etcd_up(&m.machine)).count();
        up > voters.len() / 2
    }

    /// Whether the etcd of a machine runs.
    pub fn etcd_up(&self, machine: &str) -> bool {
        let Some(machine) = self.machines.get(machine) else { return false };
        machine.running
            && machine.host.node.as_ref().is_some_and(|n| n.pods_up)
            && machine.host.active("containerd")
            && machine.host.files.exists("/etc/kubernetes/manifests/etcd.yaml")
            && machine.host.files.is_dir("/var/lib/etcd/member")
    }

    /// Forgets clusters of whose etcd no data is left on any machine.
    pub fn bury_clusters(&mut self) {
        for id in self.clusters.ids() {
            let alive = self.clusters.get(&id).is_some_and(|c| {
                c.etcd.iter().any(|m| {
                    let host = self.host(&m.machine);
                    host.is_some_and(|h| {
                        h.files.is_dir("/var/lib/etcd/member")
                            && h.node.as_ref().is_some_and(|n| n.cluster == id)
                    })
                })
            });
            if !alive {
                self.clusters.remove(&id);
            }
        }
    }

    /// Lets the controllers of all clusters do their work.
    pub fn reconcile_all(&mut self) {
        for id in self.clusters.ids() {
            self.reconcile(&id);
        }
    }

    /// Makes voters of the learners that have caught up.
    pub fn promote_learners(&mut self, cluster: &str) {
        let now = crate::world::model::real_now();
        let ready = |m: &EtcdMember| m.learner_until.is_some_and(|t| t <= now);
        if self.clusters.get(cluster).is_some_and(|c| c.etcd.iter().any(ready))
            && let Some(cluster) = self.clusters.get_mut(cluster)
        {
            for member in &mut cluster.etcd {
                if member.learner_until.is_some_and(|t| t <= now) {
                    member.learner_until = None;
                }
            }
        }
    }

    /// The cluster whose API server runs on a machine.
    pub fn cluster_on(&self, machine: &str) -> Option<String> {
        Some(self.host(machine)?.node.as_ref()?.cluster.clone())
    }

    /// Release of the API server on a machine, told by its manifest.
    pub fn server_version(&self, machine: &str) -> String {
        let text = self
            .host(machine)
            .map(|h| h.files.text("/etc/kubernetes/manifests/kube-apiserver.yaml"))
            .unwrap_or_default();
        let image = text.lines().find_map(|l| l.trim().strip_prefix("image:"));
        image.and_then(|i| i.rsplit_once(":v")).map(|(_, v)| v.trim().to_owned()).unwrap_or_default()
    }
}

/// What the API server of a control plane answers to a GET without credentials.
pub(crate) fn api_get(state: &mut State, machine: &str, path: &str) -> (u16, String) {
    let Some(cluster) = state.cluster_on(machine) else { return (503, "no cluster\n".to_owned()) };
    let ready = state.has_quorum(&cluster);
    match path.split('?').next().unwrap_or_default() {
        "/readyz" | "/healthz" if ready => (200, "ok".to_owned()),
        "/readyz" => (500, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n".to_owned()),
        "/healthz" => (500, "[-]etcd failed: reason withheld\nhealthz check failed\n".to_owned()),
        "/livez" => (200, "ok".to_owned()),
        "/version" => {
            let version = state.server_version(machine);
            let minor = versions::minor(&version);
            (
                200,
                format!(
                    "{{\n  \"major\": \"1\",\n  \"minor\": \"{minor}\",\n  \"gitVersion\": \"v{version}\"\n}}"
                ),
            )
        }
        other => (
            403,
            format!(
                "{{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"forbidden: User \\\"system:anonymous\\\" cannot get path \\\"{other}\\\"\",\"code\":403}}"
            ),
        ),
    }
}
