//! kubeadm's configuration: one model, rendered for the API that a version's kubeadm reads.
//!
//! A typed model ends the class of errors where a hand-written file puts a field in the wrong place and kubeadm
//! ignores it without a word. A field that a version does not have is an [`Error::Unsupported`], never dropped; what
//! an older API takes only on the command line comes back as [`Rendered::flags`].
//!
//! Differences that the renderer covers, and where each stands (paths under `cmd/kubeadm/app` of kubernetes/kubernetes; `doc.go` of
//! an API lists what is new in it; rendered at <https://kubernetes.io/docs/reference/config-api/>):
//! | | v1beta2 | v1beta3 | v1beta4 | source |
//! |---|---|---|---|---|
//! | written for | 1.15–1.21 | 1.22–1.30 | 1.31 and later | `apis/kubeadm/scheme/scheme.go` of each release; [`version`] |
//! | extra arguments | map | map | list of `{name, value}` | `apis/kubeadm/v1beta4/{doc,types}.go`, `Arg` |
//! | skipped phases, patches | flags | fields | fields | `apis/kubeadm/v1beta3/{doc,types}.go`; the flags in `cmd/options/constant.go` of 1.20 |
//! | time-outs | two fields of other sections | the same two | a section | `timeoutForControlPlane`, `discovery.timeout` of `v1beta3/types.go`; `v1beta4/types.go`, `Timeouts` |
//! | environment variables, life of certificates, key algorithm, serial pulls | – | – | fields | `apis/kubeadm/v1beta4/{doc,types}.go` |
//! | `imagePullPolicy` | – | field | field | `apis/kubeadm/v1beta3/{doc,types}.go` |
//! | `dns.type` | `CoreDNS`, by default | – | – | `apis/kubeadm/v1beta2/types.go`, `DNS`; gone by `v1beta3/doc.go` |
//! | `criSocket` | a path before 1.24, a URL from then on | | | CHANGELOG-1.24; `apis/kubeadm/validation/validation.go`, `ValidateSocketPath` |
//! | the kubelets' local mode | – | – | a gate, set from 1.31 to 1.35 | `features/features.go` (`gates`) |
//! | what is refused | | | | `apis/kubeadm/validation/validation.go` (`check`), `cmd/phases` (`phases`) |

mod check;
mod gates;
mod phases;
mod render;
mod stored;
#[cfg(test)]
mod tests;
pub mod yaml;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

pub use self::check::machines;
pub use self::render::{init, join};
pub use self::stored::stored_etcd;
use crate::secret::Secret;
use crate::version::{self, KubernetesVersion};

/// Arguments of a component: flag names without leading dashes, and their values.
pub type Args = BTreeMap<String, String>;

/// The files as text, and the flags that the API has no field for.
#[derive(Clone)]
pub struct Rendered {
    /// YAML documents. May hold a token or a certificate key: mode 0600, and removed after use.
    pub yaml: Secret,
    /// Flags for the command line. They never hold a secret.
    pub flags: Vec<String>,
}

/// Why a configuration cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The version is too old or incomplete.
    #[error(transparent)]
    Version(#[from] version::Error),
    /// kubeadm of this version has neither a field nor a flag for it.
    #[error("kubeadm {version} cannot set `{field}`: it needs {since} or later")]
    Unsupported {
        /// The field of kubeadm's configuration.
        field: &'static str,
        /// The first release that has it.
        since: &'static str,
        /// The release asked for.
        version: String,
    },
    /// Not a subnet, or not as many as can be.
    #[error("`{field}` is {value:?}: {problem}")]
    Field {
        /// The field of kubeadm's configuration.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// kubeadm of this version no longer has it.
    #[error("kubeadm {version} no longer knows `{field}`: {instead}")]
    Removed {
        /// The field of kubeadm's configuration.
        field: &'static str,
        /// What to do instead.
        instead: String,
        /// The release asked for.
        version: String,
    },
    /// Two subnets share addresses.
    #[error(
        "podSubnet {pods} and serviceSubnet {services} overlap: pods and services need ranges of their own"
    )]
    Overlap {
        /// The pods' range.
        pods: String,
        /// The services' range.
        services: String,
    },
    /// A machine's address lies in a range that is for pods or services.
    #[error(
        "`{field}` {range} holds the address {address} of a machine: it must be a range that nothing else uses"
    )]
    Machine {
        /// The field of kubeadm's configuration.
        field: &'static str,
        /// The range.
        range: String,
        /// The machine's address.
        address: IpAddr,
    },
}

impl Error {
    /// The field of kubeadm's configuration that is to blame; none where it is the version itself.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Version(_) => None,
            Self::Unsupported { field, .. }
            | Self::Field { field, .. }
            | Self::Removed { field, .. }
            | Self::Machine { field, .. } => Some(field),
            Self::Overlap { .. } => Some("networking.podSubnet"),
        }
    }
}

/// `InitConfiguration`: what `kubeadm init` does on the first machine only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Init {
    /// How the machine registers.
    pub node: NodeRegistration,
    /// Where its API server listens.
    pub endpoint: LocalEndpoint,
    /// Life of the bootstrap token that init makes; kubeadm's own choice is 24 h.
    pub token_ttl: Option<Duration>,
    /// Encrypts the certificates that init uploads.
    pub certificate_key: Option<Secret>,
    /// Phases to leave out, such as `addon/kube-proxy`.
    pub skip_phases: Vec<String>,
    /// Folder with patches for the static pods.
    pub patches: Option<String>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

/// `ClusterConfiguration`: what all control planes share, kept in the cluster by kubeadm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The release to install.
    pub version: KubernetesVersion,
    /// Goes into the kubeconfigs; kubeadm's default is `kubernetes`.
    pub name: Option<String>,
    /// `host[:port]` under which all control planes are reached. Hard to change later: prefer a DNS name.
    pub control_plane_endpoint: Option<String>,
    /// One CIDR, or two (IPv4 and IPv6) separated by a comma.
    pub pod_subnet: Option<String>,
    /// As [`Self::pod_subnet`], for services.
    pub service_subnet: Option<String>,
    /// kubeadm's default is `cluster.local`.
    pub dns_domain: Option<String>,
    /// The API server.
    pub api_server: Component,
    /// More names and addresses for the API server's certificate.
    pub cert_sans: Vec<String>,
    /// The controller manager.
    pub controller_manager: Component,
    /// The scheduler.
    pub scheduler: Component,
    /// Where the cluster's data is.
    pub etcd: Etcd,
    /// Registry of the control plane's images.
    pub image_repository: Option<String>,
    /// Another image of CoreDNS than kubeadm's choice.
    pub dns_image: Image,
    /// kubeadm's default is `/etc/kubernetes/pki`.
    pub certificates_dir: Option<String>,
    /// kubeadm's own feature gates.
    pub feature_gates: BTreeMap<String, bool>,
    /// `RSA-2048` (the default), `RSA-3072`, `RSA-4096`, `ECDSA-P256` (1.31 and later), `ECDSA-P384` (1.34 and later).
    pub encryption_algorithm: Option<String>,
    /// Life of the certificates (1.31 and later; kubeadm's default is a year).
    pub certificate_validity: Option<Duration>,
    /// Life of the CAs (1.31 and later; kubeadm's default is ten years).
    pub ca_certificate_validity: Option<Duration>,
}

/// Extra settings of a control plane component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Component {
    /// Arguments.
    pub extra_args: Args,
    /// Environment variables (1.31 and later).
    pub extra_envs: BTreeMap<String, String>,
    /// Files and folders of the host to mount.
    pub extra_volumes: Vec<Volume>,
}

/// Another image than kubeadm's choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Its repository, without the image's name.
    pub repository: Option<String>,
    /// Its tag. kubeadm's upgrades keep to it.
    pub tag: Option<String>,
}

/// A path of the host in a static pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Name of the volume.
    pub name: String,
    /// Path on the host.
    pub host_path: String,
    /// Path in the pod.
    pub mount_path: String,
    /// Whether the pod may only read it.
    pub read_only: bool,
    /// `File`, `DirectoryOrCreate`, …
    pub path_type: Option<String>,
}

/// Where etcd runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Etcd {
    /// On each control plane, as a static pod.
    Local(LocalEtcd),
    /// On machines that kubeadm knows nothing of.
    External {
        /// `https://host:2379`, each.
        endpoints: Vec<String>,
        /// Path of the CA on each control plane; empty for an etcd that speaks plain HTTP.
        ca_file: String,
        /// Path of the client certificate; empty where etcd asks for none.
        cert_file: String,
        /// Path of the client key; empty where etcd asks for none.
        key_file: String,
    },
}

/// etcd on the control planes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalEtcd {
    /// Arguments.
    pub extra_args: Args,
    /// Environment variables (1.31 and later).
    pub extra_envs: BTreeMap<String, String>,
    /// Another image than kubeadm's choice. kubeadm's upgrades leave it alone.
    pub image: Image,
    /// kubeadm's default is `/var/lib/etcd`.
    pub data_dir: Option<String>,
    /// More names for the server certificate.
    pub server_cert_sans: Vec<String>,
    /// More names for the peer certificate.
    pub peer_cert_sans: Vec<String>,
}

/// `JoinConfiguration`: how a machine becomes a node of an existing cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// How the cluster is found and trusted.
    pub discovery: Discovery,
    /// Present on control planes.
    pub control_plane: Option<JoinControlPlane>,
    /// How the machine registers.
    pub node: NodeRegistration,
    /// Phases to leave out.
    pub skip_phases: Vec<String>,
    /// Folder with patches for the static pods.
    pub patches: Option<String>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

/// Discovery by bootstrap token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// `abcdef.0123456789abcdef`.
    pub token: Secret,
    /// `host:port` of the API.
    pub api_server_endpoint: String,
    /// `sha256:…` of the CA's public key (see [`crate::join::ca_cert_hash`]).
    pub ca_cert_hashes: Vec<String>,
}

/// What a joining control plane needs beside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinControlPlane {
    /// Where its API server listens.
    pub endpoint: LocalEndpoint,
    /// Decrypts the certificates that were uploaded. It cannot be a flag beside a file.
    pub certificate_key: Secret,
}

/// `nodeRegistration`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeRegistration {
    /// Name of the Node; kubeadm's default is the host name.
    pub name: Option<String>,
    /// Socket of the container runtime; containerd's by default.
    pub cri_socket: Option<String>,
    /// `None` keeps kubeadm's choice (a taint on control planes); an empty list means none.
    pub taints: Option<Vec<Taint>>,
    /// Arguments of this node's kubelet, `node-ip` among them.
    pub kubelet_extra_args: Args,
    /// Names of preflight checks whose errors are warnings.
    pub ignore_preflight_errors: Vec<String>,
    /// `Always`, `IfNotPresent` or `Never` (1.22 and later).
    pub image_pull_policy: Option<String>,
    /// Whether images are pulled one after the other (1.31 and later).
    pub image_pull_serial: Option<bool>,
}

/// A taint: `key[=value]:effect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; often none.
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// `localAPIEndpoint`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalEndpoint {
    /// Set it always: kubeadm takes the interface of the default route, which on a machine with several is a trap.
    pub advertise_address: Option<String>,
    /// kubeadm's default is 6443.
    pub bind_port: Option<u16>,
}

/// How long kubeadm waits. Before 1.31 only the first (at init) and the last (at a join) can be set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// For the control plane's pods to be healthy (default 4 min); of joins, only in 1.31 and later.
    pub control_plane_health: Option<Duration>,
    /// For the kubelet (default 4 min).
    pub kubelet_health: Option<Duration>,
    /// For a call to the API (default 1 min).
    pub kubernetes_api_call: Option<Duration>,
    /// For a call to etcd (default 2 min).
    pub etcd_api_call: Option<Duration>,
    /// For the kubelet's bootstrap (default 5 min).
    pub tls_bootstrap: Option<Duration>,
    /// For the discovery of the cluster at a join (default 5 min).
    pub discovery: Option<Duration>,
    /// For the static pods of an upgrade to restart (default 5 min).
    pub upgrade_manifests: Option<Duration>,
}

/// `KubeletConfiguration`: what all kubelets share.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kubelet {
    /// `systemd` by default: it must be the container runtime's.
    pub cgroup_driver: Option<String>,
    /// Whether the kubelet refuses to start with swap on.
    pub fail_swap_on: Option<bool>,
    /// Any other field, as Kubernetes names it.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// `KubeProxyConfiguration`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KubeProxy {
    /// `iptables`, `nftables` or `ipvs`.
    pub mode: Option<String>,
    /// Any other field, as Kubernetes names it.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl Cluster {
    /// A cluster of this version with kubeadm's defaults.
    pub fn new(version: KubernetesVersion) -> Self {
        Self {
            version,
            name: None,
            control_plane_endpoint: None,
            pod_subnet: None,
            service_subnet: None,
            dns_domain: None,
            api_server: Component::default(),
            cert_sans: Vec::new(),
            controller_manager: Component::default(),
            scheduler: Component::default(),
            etcd: Etcd::default(),
            image_repository: None,
            dns_image: Image::default(),
            certificates_dir: None,
            feature_gates: BTreeMap::new(),
            encryption_algorithm: None,
            certificate_validity: None,
            ca_certificate_validity: None,
        }
    }
}

impl Default for Etcd {
    fn default() -> Self {
        Self::Local(LocalEtcd::default())
    }
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered").field("yaml", &self.yaml).field("flags", &self.flags).finish()
    }
}
