//! `keepalived_vip`: a virtual address that moves between hosts, in front of their load balancers.
//!
//! The file is rendered by [`grappe_kubeadm::keepalived`]. It is staged, checked there by the host's own `keepalived -t`, moved
//! into place, and the service is reloaded, which leaves the address where it is. The staged copy goes last, as
//! `haproxy_proxy`'s does: where one is found, a run was killed before the reload.
//!
//! Who holds the address is read, and shown, and no difference: that it moves is what it is for.

mod vip;

use std::sync::Arc;

use grappe_provider::{AnyProvider, AnyResource, Fault, Provider, Setup, erased};
use grappe_provider_host::{Hosts, NoConfig};
use grappe_ssh::Pool;

pub use vip::KeepalivedVip;

/// The provider, over the pool that all providers of a run share.
#[must_use]
pub fn provider(pool: Pool) -> Arc<dyn AnyProvider> {
    erased::provider(KeepalivedProvider { pool })
}

/// `provider "keepalived"`: takes no argument.
pub struct KeepalivedProvider {
    /// The connections.
    pub pool: Pool,
}

impl Provider for KeepalivedProvider {
    type Client = Hosts;
    type Config = NoConfig;

    fn name(&self) -> &'static str {
        "keepalived"
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![erased::resource(KeepalivedVip)]
    }

    async fn configure(&self, setup: &Setup, _: NoConfig) -> Result<Hosts, Fault> {
        Ok(Hosts::new(self.pool.clone(), setup.plan_dir.clone()))
    }
}
