//! `provider "local"`: what is on this very computer: files, and machines.
//!
//! A `machine` is a Debian (or another system with systemd) that boots in seconds, in namespaces of this computer's kernel, or longer, with
//! a kernel of its own in a virtual machine. It lies on an `image` and is plugged into a `network`. What exists is on disk under the
//! provider's `directory`, one folder an object with a small record in it (`store`); whatever is done to this computer is written there
//! first. So nothing that a killed run left is lost: its name follows from the object's idempotency key, and the next run finds it and goes
//! on, or removes it.
//!
//! The computer itself stays as it is: bridges and addresses live in network namespaces, mounts in mount namespaces, device nodes are the
//! machine's own, and sysctls outside of `net` are read-only in a machine.
//!
//! How a machine runs is a `backend`'s business; how SSH reaches it, the `dialer`'s.

mod backend;
mod dialer;
mod files;
mod image;
mod machine;
mod network;
mod process;
mod rootfs;
mod run;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use grappe_provider::{AnyDataSource, AnyProvider, AnyResource, Context, Fault, Provider, Setup, erased};
use grappe_ssh::Pool;
use grappe_value::{Attribute, Schema, Type};
use serde::Deserialize;

use crate::store::Store;

/// The provider, over the pool that all providers of a run share.
#[must_use]
pub fn provider(pool: Pool) -> Arc<dyn AnyProvider> {
    erased::provider(Local { pool })
}

/// `provider "local"`.
#[derive(Default)]
pub struct Local {
    /// The connections, which learn the way to this computer's machines.
    pub pool: Pool,
}

/// The arguments of the provider block.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    directory: Option<String>,
    cache: Option<String>,
    docker_host: Option<String>,
}

/// Where things are.
pub struct Client {
    plan_dir: PathBuf,
    /// Built images.
    cache: PathBuf,
    store: Store,
    /// Where Docker's API is, as configured.
    docker_host: Option<String>,
}

impl Provider for Local {
    type Client = Client;
    type Config = Config;

    fn name(&self) -> &'static str {
        "local"
    }

    fn schema(&self) -> Schema {
        Schema::new("Files and machines on this computer.")
            .attr(
                "directory",
                Attribute::optional(
                    Type::String,
                    "Where images, networks and machines are kept; on a real file system, not an overlay. A relative path starts at the \
                     plan's folder. `grappe/local` in the user's data folder (`$XDG_DATA_HOME` or `~/.local/share`) by default.",
                ),
            )
            .attr(
                "cache",
                Attribute::optional(
                    Type::String,
                    "Where built images are kept for the next time. `grappe/images` in the user's cache folder (`$XDG_CACHE_HOME` or \
                     `~/.cache`) by default.",
                ),
            )
            .attr(
                "docker_host",
                Attribute::optional(
                    Type::String,
                    "Where Docker or Podman serves Docker's API: `unix:///run/podman/podman.sock`. As `$DOCKER_HOST` says, or in the usual places, by default.",
                ),
            )
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![
            erased::resource(files::file::LocalFile),
            erased::resource(files::file::LocalSensitiveFile),
            erased::resource(image::LocalImage),
            erased::resource(network::LocalNetwork),
            erased::resource(machine::LocalMachine),
        ]
    }

    fn data_sources(&self) -> Vec<Box<dyn AnyDataSource>> {
        vec![erased::data_source(files::data::ReadFile), erased::data_source(files::data::ReadSensitiveFile)]
    }

    async fn configure(&self, setup: &Setup, config: Config) -> Result<Client, Fault> {
        let folder = |given: Option<String>, xdg: &str, home: &str, name: &str| match given {
            Some(path) => setup.plan_dir.join(path),
            None => home_folder(xdg, home).unwrap_or_else(|| setup.data_dir.clone()).join(name),
        };
        let directory = folder(config.directory, "XDG_DATA_HOME", ".local/share", "grappe/local");
        let cache = folder(config.cache, "XDG_CACHE_HOME", ".cache", "grappe/images");
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let store = Store::at(absolute(directory));
        self.pool.add_dialer(dialer::dialer(store.clone()));
        Ok(Client {
            plan_dir: setup.plan_dir.clone(),
            cache: absolute(cache),
            store,
            docker_host: config.docker_host,
        })
    }
}

/// A folder of the user's, by the XDG base directory specification: a relative path in the variable does not count.
fn home_folder(xdg: &str, home: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    set(xdg).or_else(|| set("HOME").map(|h| h.join(home)))
}

impl Client {
    fn path(&self, name: &str) -> PathBuf {
        self.plan_dir.join(name)
    }
}

/// Runs what waits for this computer off the runtime's threads.
async fn blocking<R: Send + 'static>(
    ctx: &Context<Client>,
    f: impl FnOnce(&Client, &str) -> Result<R, Fault> + Send + 'static,
) -> Result<R, Fault> {
    let (client, key) = (ctx.client_arc(), ctx.key().to_owned());
    match tokio::task::spawn_blocking(move || f(&client, &key)).await {
        Ok(result) => result,
        Err(e) => Err(Fault::permanent("the local provider panicked (a bug in grappe)").source(e)),
    }
}
