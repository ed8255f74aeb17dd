//! `haproxy_proxy`: HAProxy on a host, in front of the API servers of a cluster.
//!
//! The file is rendered by [`grappe_kubeadm::haproxy`], which holds the settings and their reasons. It is known while planning, so
//! that a plan shows the very lines that will change, and what is edited on the host is shown as drift.
//!
//! A change is staged beside the file, checked there by the host's own `haproxy -c`, moved into place, and the service is
//! reloaded, which keeps open connections. The staged copy goes last: where one is found, a run was killed before the reload, and
//! the service may still work by the old file.

mod proxy;

use std::sync::Arc;

use grappe_provider::{AnyProvider, AnyResource, Fault, Provider, Setup, erased};
use grappe_provider_host::{Hosts, NoConfig};
use grappe_ssh::Pool;

pub use proxy::HaproxyProxy;

/// The provider, over the pool that all providers of a run share.
#[must_use]
pub fn provider(pool: Pool) -> Arc<dyn AnyProvider> {
    erased::provider(HaproxyProvider { pool })
}

/// `provider "haproxy"`: takes no argument.
pub struct HaproxyProvider {
    /// The connections.
    pub pool: Pool,
}

impl Provider for HaproxyProvider {
    type Client = Hosts;
    type Config = NoConfig;

    fn name(&self) -> &'static str {
        "haproxy"
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![erased::resource(HaproxyProxy)]
    }

    async fn configure(&self, setup: &Setup, _: NoConfig) -> Result<Hosts, Fault> {
        Ok(Hosts::new(self.pool.clone(), setup.plan_dir.clone()))
    }
}
