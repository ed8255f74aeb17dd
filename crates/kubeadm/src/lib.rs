//! Pure kubeadm knowledge: what a version of Kubernetes wants to find on a machine, as text.
//!
//! Nothing here runs, waits, reads a clock or a file: each module turns a typed model into the file or the
//! command a node needs, or reads what such a command answered. The providers carry the texts to the hosts.
//!
//! - [`version`]: Kubernetes versions and the configuration API that each one's kubeadm speaks;
//! - [`config`]: kubeadm, kubelet and kube-proxy configuration, one model rendered for any version;
//! - [`join`]: CA hashes, bootstrap tokens, certificate keys, and the outputs of the commands that mint them;
//! - [`hosts`]: modules, sysctls, swap, package sources and versions of a node;
//! - [`containerd`]: `config.toml` for each generation of containerd;
//! - [`haproxy`]: the load balancer in front of the API servers;
//! - [`keepalived`]: the address that moves between load balancers;
//! - [`cni`]: what each network plugin asks of the pod network and of the cloud's ports;
//! - [`flows`]: who talks to whom in a cluster, for firewalls and security groups;
//! - [`manifest`]: the objects in a YAML text.

pub mod certificate;
pub mod cni;
pub mod config;
pub mod containerd;
pub mod flows;
pub mod haproxy;
pub mod hosts;
pub mod join;
pub mod keepalived;
pub mod manifest;
mod secret;
pub mod upgrade;
pub mod version;

pub use secret::Secret;
