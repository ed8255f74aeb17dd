//! Kubernetes clusters by kubeadm: `kubeadm_host`, `kubeadm_cluster`, `kubeadm_control_plane`, `kubeadm_worker`,
//! and `data "kubeadm_flows"`.
//!
//! Everything is done over SSH by small scripts on the machines themselves; what the files and commands are is
//! [`grappe_kubeadm`]'s knowledge, how a host is reached is [`grappe_provider_host`]'s. Here is what to do when: what
//! stands on a host already ([`standing`]), the way to a cluster through any control plane that answers ([`access`]),
//! joining and leaving ([`node`]).
//!
//! Tokens and certificate keys are minted for one join and revoked after it. They travel by standard input into files
//! that only root can read, and are taken out of every line that is shown.

pub mod access;
pub mod certificates;
pub mod client;
pub mod cluster;
pub mod drain;
pub mod etcd;
pub mod flows;
pub mod host;
pub mod images;
pub mod member;
pub mod node;
pub mod nodes;
pub mod places;
pub mod remote;
pub mod reset;
pub mod snapshot;
pub mod standing;
pub mod static_pods;
pub mod taints;
mod timeouts;
pub mod wait;

use std::sync::Arc;

use grappe_provider::{AnyDataSource, AnyProvider, AnyResource, Fault, Provider, Setup, erased};
use grappe_provider_host::{Hosts, NoConfig};
use grappe_ssh::Pool;

use client::Client;

/// The provider, over the pool that all providers of a run share.
#[must_use]
pub fn provider(pool: Pool) -> Arc<dyn AnyProvider> {
    erased::provider(KubeadmProvider { pool })
}

/// `provider "kubeadm"`: takes no argument.
pub struct KubeadmProvider {
    /// The connections.
    pub pool: Pool,
}

impl Provider for KubeadmProvider {
    type Client = Client;
    type Config = NoConfig;

    fn name(&self) -> &'static str {
        "kubeadm"
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![
            erased::resource(host::KubeadmHost),
            erased::resource(cluster::KubeadmCluster),
            erased::resource(member::Member::ControlPlane),
            erased::resource(member::Member::Worker),
        ]
    }

    fn data_sources(&self) -> Vec<Box<dyn AnyDataSource>> {
        vec![erased::data_source(flows::KubeadmFlows)]
    }

    async fn configure(&self, setup: &Setup, _: NoConfig) -> Result<Client, Fault> {
        Ok(Client::new(Hosts::new(self.pool.clone(), setup.plan_dir.clone())))
    }
}
