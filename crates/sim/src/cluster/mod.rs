//! A kubeadm cluster: members of etcd, tokens, uploaded certificates, and the objects behind the API.

pub mod objects;
pub mod pki;

use serde::{Deserialize, Serialize};

use crate::world::State;
use objects::Objects;

/// A cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Id in the world.
    pub id: String,
    /// Objects by kind, namespace and name.
    #[serde(default)]
    pub objects: Objects,
}

/// What the API server of a control plane answers to a plain GET.
pub(crate) fn api_get(_state: &mut State, _machine: &str, _path: &str) -> (u16, String) {
    (200, "ok".to_owned())
}
