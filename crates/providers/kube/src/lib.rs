//! What lives in a cluster: `kube_cni`, `kube_node`, `kube_manifest`, `kube_secret`, `kube_namespace`,
//! `kube_config`, `kube_sweep`.
//!
//! Everything goes through `kubectl` on any control plane that answers ([`grappe_provider_kubeadm::access`]): it has the
//! cluster's own version, the admin's key never leaves the machine, and no route from here to the API is needed.

pub mod cni;
pub mod config;
pub mod drift;
pub mod hanging;
pub mod manifest;
pub mod namespace;
pub mod node;
pub mod objects;
pub mod rollout;
pub mod secret;
pub mod sweep;

use std::sync::Arc;

use grappe_provider::{AnyProvider, AnyResource, Fault, Provider, Setup, erased};
use grappe_provider_host::{Hosts, NoConfig};
use grappe_provider_kubeadm::client::Client;
use grappe_ssh::Pool;

/// The provider, over the pool that all providers of a run share.
#[must_use]
pub fn provider(pool: Pool) -> Arc<dyn AnyProvider> {
    erased::provider(KubeProvider { pool })
}

/// `provider "kube"`: takes no argument.
pub struct KubeProvider {
    /// The connections.
    pub pool: Pool,
}

impl Provider for KubeProvider {
    type Client = Client;
    type Config = NoConfig;

    fn name(&self) -> &'static str {
        "kube"
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![
            erased::resource(cni::KubeCni),
            erased::resource(node::KubeNode),
            erased::resource(manifest::KubeManifest),
            erased::resource(secret::KubeSecret),
            erased::resource(namespace::KubeNamespace),
            erased::resource(config::KubeConfig),
            erased::resource(sweep::KubeSweep),
        ]
    }

    async fn configure(&self, setup: &Setup, _: NoConfig) -> Result<Client, Fault> {
        Ok(Client::new(Hosts::new(self.pool.clone(), setup.plan_dir.clone())))
    }
}
