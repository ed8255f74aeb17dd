//! Machines that SSH reaches, and what is on them: `host_machine`, `host_file`, `host_package`, `host_command`.
//!
//! A machine is made elsewhere (a cloud, a rack); [`machine::HostMachine`] waits until it can be worked with and exports a
//! [`Connection`], which all types that live on a host take as their `host` argument. The connection's `id` is the machine's
//! identity: when that differs, what was on the old machine is planned anew; when only the way to reach it differs, nothing is.
//!
//! Providers of what runs on hosts (haproxy, kubeadm, kube) share this crate's [`Hosts`] as their client, made over one
//! [`Pool`], so that everything on a host goes through one connection. Each operation opens a [`Session`], whose methods speak in
//! [`Fault`]s and pass the host's output on to the run.
//!
//! A host that does not answer is a fault, never "gone": a network that is down must not plan a rebuild.

pub mod command;
mod connection;
pub use grappe_value::duration;
mod facts;
pub mod file;
mod hosts;
pub mod machine;
pub mod package;
pub mod packages;
pub mod service_file;
mod session;
#[cfg(feature = "testing")]
pub mod testing;

use std::sync::Arc;

use grappe_provider::{AnyProvider, AnyResource, Fault, Provider, Setup, erased};
use grappe_ssh::Pool;

pub use connection::{Bastion, Connection};
pub use hosts::{Hosts, is_another_machine};
pub use session::{Session, fault};

/// The provider, over the pool that all providers of a run share.
#[must_use]
pub fn provider(pool: Pool) -> Arc<dyn AnyProvider> {
    erased::provider(HostProvider { pool })
}

/// The configuration of a provider that takes none.
#[derive(serde::Deserialize)]
pub struct NoConfig {}

/// `provider "host"`: takes no argument.
pub struct HostProvider {
    /// The connections.
    pub pool: Pool,
}

impl Provider for HostProvider {
    type Client = Hosts;
    type Config = NoConfig;

    fn name(&self) -> &'static str {
        "host"
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![
            erased::resource(machine::HostMachine),
            erased::resource(file::HostFile),
            erased::resource(package::HostPackage),
            erased::resource(command::HostCommand),
        ]
    }

    async fn configure(&self, setup: &Setup, _: NoConfig) -> Result<Hosts, Fault> {
        Ok(Hosts::new(self.pool.clone(), setup.plan_dir.clone()))
    }
}
