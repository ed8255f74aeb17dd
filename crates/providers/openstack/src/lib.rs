//! `provider "openstack"`: an OpenStack cloud, by its APIs.
//!
//! Types have the names and arguments of Terraform's provider, so that a plan reads as is. Most are tables of fields (`thing`); servers, key pairs and the
//! like have their own files. What they share:
//!
//! - One [`client::Client`] for each `provider` block: a token in memory, a catalog, one pool of connections. Nothing secret is written anywhere.
//! - Every object that is created carries the key of its creation (`thing` says where), so what a run that died has left is found and adopted.
//! - What uses an object (409) is waited for; what a server or a load balancer is at work on is waited for by list (`roll`).
//! - What others add to an object is theirs: tags, metadata, address pairs.

mod asking;
mod attrs;
mod balancing;
mod client;
mod clouds;
mod compute;
mod data;
mod image;
mod lb;
mod network;
mod roll;
mod session;
mod settings;
mod thing;
mod volume;

use std::sync::Arc;

use grappe_provider::{AnyDataSource, AnyProvider, AnyResource, Fault, Provider, Setup, erased};
use grappe_value::Schema;

pub use client::Client;
pub use settings::Config;

/// The provider.
#[must_use]
pub fn provider() -> Arc<dyn AnyProvider> {
    erased::provider(OpenStack)
}

/// `provider "openstack"`.
pub struct OpenStack;

impl Provider for OpenStack {
    type Client = Client;
    type Config = Config;

    fn name(&self) -> &'static str {
        "openstack"
    }

    fn schema(&self) -> Schema {
        settings::schema()
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        let mut all = network::resources();
        all.extend(compute::resources());
        all.extend(lb::resources());
        all.push(erased::resource(thing::Thing::<volume::Volume>::new()));
        all.push(erased::resource(image::Image));
        all
    }

    fn data_sources(&self) -> Vec<Box<dyn AnyDataSource>> {
        data::sources()
    }

    async fn configure(&self, setup: &Setup, config: Config) -> Result<Client, Fault> {
        let env = |name: &str| std::env::var(name).ok();
        Client::new(settings::Settings::new(&config, &setup.plan_dir, &env)?, setup.plan_dir.clone())
    }
}
