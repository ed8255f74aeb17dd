//! `provider "sim"`: the simulated cloud as resource types, so that plans make its networks, ports and machines as they would any cloud's.
//!
//! The types are thin: they translate between a plan's arguments and the [`World`]'s API. Each object carries the
//! creation's idempotency key as a tag, and a creation that is tried again takes up what the tag finds.

mod machine;
mod network;
mod port;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use grappe_provider::{AnyProvider, AnyResource, Fault, Provider, Setup, erased};
use grappe_ssh::Pool;
use grappe_value::{Attribute, Schema, Type};
use serde::Deserialize;

use crate::world::{ApiError, Knobs, World};

/// The tag that holds the idempotency key.
const KEY_TAG: &str = "grappe-key";

/// The file of the world, in the folder of the state, where the provider's block names no other.
pub const WORLD_FILE: &str = "world.json";

/// The provider. The machines of its world are reached through `pool`.
#[must_use]
pub fn provider(pool: Pool) -> Arc<dyn AnyProvider> {
    erased::provider(SimProvider { pool })
}

struct SimProvider {
    pool: Pool,
}

/// The arguments of `provider "sim"`.
#[derive(Deserialize)]
struct Config {
    world: Option<PathBuf>,
    #[serde(default)]
    boot_latency_ms: u64,
    #[serde(default)]
    latency_ms: u64,
    #[serde(default)]
    fail: BTreeMap<String, u32>,
}

impl Provider for SimProvider {
    type Client = Arc<World>;
    type Config = Config;

    fn name(&self) -> &'static str {
        "sim"
    }

    fn schema(&self) -> Schema {
        Schema::new(
            "A simulated cloud, which lives in a file: its machines run SSH servers inside this process and answer the commands that real \
             hosts would. Nothing real is made or touched.",
        )
        .attr(
            "world",
            Attribute::optional(
                Type::String,
                "The file of the world; a relative path starts at the plan's folder. `world.json` beside the state otherwise.",
            ),
        )
        .attr("boot_latency_ms", Attribute::optional(Type::Number, "How long a machine takes from power-on to SSH, in ms.").default(0))
        .attr("latency_ms", Attribute::optional(Type::Number, "Added to each command on a machine, in ms.").default(0))
        .attr(
            "fail",
            Attribute::optional(
                Type::map(Type::Number),
                "Faults on demand: how often commands that start with these words fail before they are let through, as in \
                 `{ \"kubeadm join\" = 2 }`. The cloud's own calls are `create sim_machine` and so on.",
            ),
        )
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![
            erased::resource(network::SimNetwork),
            erased::resource(port::SimPort),
            erased::resource(machine::SimMachine),
        ]
    }

    fn notice(&self) -> Option<&'static str> {
        Some("simulated: machines live in a file and in this process; nothing real is made or touched")
    }

    async fn configure(&self, setup: &Setup, config: Config) -> Result<Arc<World>, Fault> {
        let path = match config.world {
            Some(path) => setup.plan_dir.join(path),
            None => setup.data_dir.join(WORLD_FILE),
        };
        let world = World::open(path).map_err(|e| Fault::permanent(e.to_string()))?;
        let knobs =
            Knobs { boot_latency_ms: config.boot_latency_ms, latency_ms: config.latency_ms, fail: config.fail };
        world.set_knobs(knobs).map_err(fault)?;
        self.pool.add_dialer(world.dialer());
        Ok(world)
    }
}

/// What the cloud's refusal means for the engine.
fn fault(error: ApiError) -> Fault {
    match &error {
        ApiError::NotFound { .. } => Fault::gone(error.to_string()),
        ApiError::Planned(_) => Fault::transient(error.to_string()),
        ApiError::Quota(..) => Fault::permanent(error.to_string()).hint("delete what is not needed, or raise the quota"),
        ApiError::Conflict(_) | ApiError::Invalid(_) | ApiError::Store(_) => Fault::permanent(error.to_string()),
    }
}

/// The tags of what a creation makes.
fn tags(key: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(KEY_TAG.to_owned(), key.to_owned())])
}

/// Whether an object with these tags was made by the creation with this key.
fn made_by(tags: &BTreeMap<String, String>, key: &str) -> bool {
    tags.get(KEY_TAG).is_some_and(|tag| tag == key)
}

/// A deletion's result: what is gone is deleted.
fn deleted(result: Result<(), ApiError>) -> Result<(), Fault> {
    match result {
        Ok(()) | Err(ApiError::NotFound { .. }) => Ok(()),
        Err(error) => Err(fault(error)),
    }
}
