//! `provider "sim"`: the simulated cloud's networks, ports and machines as resources.
//!
//! Its client is the open [`World`]; configuring it also teaches the run's SSH pool the way to simulated machines, so that everything that lives
//! on hosts works on them unchanged. Idempotency keys are kept in the objects' metadata, as on a real cloud.

mod machine;
mod network;
mod port;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grappe_provider::{AnyProvider, AnyResource, Context, Fault, Provider, Setup, erased};
use grappe_ssh::Pool;
use grappe_value::{Attribute, Schema, Type};
use serde::Deserialize;

use crate::world::mishap::Asked;
use crate::{ApiError, Knobs, Mishap, World};

/// The world's file where the configuration names none: beside the state.
pub const WORLD_FILE: &str = "world.json";

/// Metadata entry that holds the idempotency key.
const KEY: &str = "grappe-key";

/// The provider, over the pool that all providers of a run share.
#[must_use]
pub fn provider(pool: Pool) -> Arc<dyn AnyProvider> {
    erased::provider(SimProvider { pool })
}

/// `provider "sim"`.
pub struct SimProvider {
    /// The connections, which learn to dial simulated machines.
    pub pool: Pool,
}

/// The arguments of the provider block.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    world: Option<String>,
    boot_latency_ms: u64,
    latency_ms: u64,
    fail: BTreeMap<String, u32>,
    faults: BTreeMap<Mishap, u32>,
    fault_seed: u64,
}

/// An open world.
#[derive(Debug)]
pub struct Client {
    world: Arc<World>,
}

impl Provider for SimProvider {
    type Client = Client;
    type Config = Config;

    fn name(&self) -> &'static str {
        "sim"
    }

    fn schema(&self) -> Schema {
        Schema::new("A simulated cloud: networks and machines in a file, each machine with an SSH server inside this process.")
            .attr("world", Attribute::optional(Type::String, "The world's file; a relative path starts at the plan's folder. `world.json` beside the state by default."))
            .attr("boot_latency_ms", Attribute::optional(Type::Number, "How long a machine boots before its sshd answers, in milliseconds.").default(0))
            .attr("latency_ms", Attribute::optional(Type::Number, "What each command over SSH costs more, in milliseconds.").default(0))
            .attr(
                "fail",
                Attribute::optional(
                    Type::map(Type::Number),
                    "Failures on demand: how often commands that start with these words fail before they are let through, as in \
                     `{ \"kubeadm join\" = 2 }`. Calls of the simulated cloud are `create sim_machine`, `delete sim_port` and so on.",
                ),
            )
            .attr(
                "faults",
                Attribute::optional(
                    Type::map(Type::Number),
                    "Mishaps by chance: how many of a hundred calls of the simulated cloud and commands on its hosts meet each, as in `{ \"429\" = 5, lost = 2 }`. \
                     `429` (come back in a second) and `500` are the cloud's; with `timeout` no answer comes, and what was asked for may have been done; with `drop` \
                     the connection ends before it is begun, with `lost` after it is done; `slow` takes up to a second longer.",
                ),
            )
            .attr("fault_seed", Attribute::optional(Type::Number, "What the chance of `faults` begins with: the same calls in the same order meet the same.").default(0))
    }

    fn notice(&self) -> Option<&'static str> {
        Some("provider \"sim\": everything is simulated, no machine is real")
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![
            erased::resource(network::SimNetwork),
            erased::resource(port::SimPort),
            erased::resource(machine::SimMachine),
        ]
    }

    async fn configure(&self, setup: &Setup, config: Config) -> Result<Client, Fault> {
        let path = match &config.world {
            Some(path) => setup.plan_dir.join(path),
            None => setup.data_dir.join(WORLD_FILE),
        };
        let knobs = knobs(config)?;
        let opened = blocking(move || {
            let world = World::open(path).map_err(|e| Fault::permanent(e.to_string()))?;
            world.set_knobs(knobs).map_err(|e| fault(&e))?;
            Ok(world)
        });
        let world = opened.await?;
        self.pool.add_dialer(world.dialer());
        Ok(Client { world })
    }
}

/// The configuration's faults and delays; the environment overrides them, for tests of whole runs.
fn knobs(config: Config) -> Result<Knobs, Fault> {
    let Config { boot_latency_ms, latency_ms, fail, faults, fault_seed, world: _ } = config;
    let mut knobs = Knobs { boot_latency_ms, latency_ms, fail, faults, fault_seed };
    let bad =
        |name: &str| Fault::permanent(format!("the environment variable {name} is not what it should be"));
    let number = |name: &str, into: &mut u64| match std::env::var(name) {
        Ok(text) => text.parse().map(|n| *into = n).map_err(|_| bad(name).hint("it is a whole number")),
        Err(_) => Ok(()),
    };
    number("GRAPPE_SIM_BOOT_LATENCY_MS", &mut knobs.boot_latency_ms)?;
    number("GRAPPE_SIM_LATENCY_MS", &mut knobs.latency_ms)?;
    if let Ok(text) = std::env::var("GRAPPE_SIM_FAIL") {
        knobs.fail = serde_json::from_str(&text)
            .map_err(|_| bad("GRAPPE_SIM_FAIL").hint("it is JSON such as {\"kubeadm join\": 2}"))?;
    }
    number("GRAPPE_SIM_FAULT_SEED", &mut knobs.fault_seed)?;
    if let Ok(text) = std::env::var("GRAPPE_SIM_FAULTS") {
        knobs.faults = serde_json::from_str(&text).map_err(|e| {
            bad("GRAPPE_SIM_FAULTS").source(e).hint("it is JSON such as {\"429\": 5, \"lost\": 2}")
        })?;
    }
    Ok(knobs)
}

/// Runs what waits for the disk off the runtime's threads.
async fn blocking<R: Send + 'static>(
    f: impl FnOnce() -> Result<R, Fault> + Send + 'static,
) -> Result<R, Fault> {
    match tokio::task::spawn_blocking(f).await {
        Ok(result) => result,
        Err(e) => Err(Fault::permanent("the simulated world panicked (a bug in grappe)").source(e)),
    }
}

/// What the engine must know of a refusal.
fn fault(error: &ApiError) -> Fault {
    let text = error.to_string();
    match error {
        ApiError::NotFound { .. } => Fault::gone(text),
        ApiError::Planned(_) => Fault::transient(text),
        ApiError::Quota(..) => Fault::permanent(text).hint("raise the simulated cloud's quota, or want less"),
        ApiError::Conflict(_) | ApiError::Invalid(_) | ApiError::Store(_) => Fault::permanent(text),
    }
}

/// One call of the simulated cloud, which may be made to fail under these words.
async fn call<R: Send + 'static>(
    ctx: &Context<Client>,
    words: &'static str,
    f: impl FnOnce(&Arc<World>) -> Result<R, ApiError> + Send + 'static,
) -> Result<R, Fault> {
    let world = ctx.client().world.clone();
    let met = world.mishap(Asked::Cloud);
    let cut = |when: &str| Fault::transient(format!("simulated cloud: {words}: the connection ended {when}"));
    match met.map(|met| met.mishap) {
        Some(Mishap::Busy) => {
            return Err(Fault::transient(format!("simulated cloud: {words}: 429 Too Many Requests"))
                .after(Duration::from_secs(1)));
        }
        Some(Mishap::Broken) => {
            return Err(Fault::transient(format!("simulated cloud: {words}: 500 Internal Server Error")));
        }
        Some(Mishap::Drop) => return Err(cut("before it was asked for")),
        _ => {}
    }
    let late = |ms| tokio::time::sleep(Duration::from_millis(ms));
    let unanswered = || Fault::transient(format!("simulated cloud: {words}: no answer within a second"));
    if let Some(met) = met {
        match met.mishap {
            Mishap::Slow => late(met.delay_ms()).await,
            Mishap::Timeout if met.number % 2 == 0 => {
                late(1_000).await;
                return Err(unanswered());
            }
            _ => {}
        }
    }
    let done =
        blocking(move || world.maybe_fail(words).and_then(|()| f(&world)).map_err(|e| fault(&e))).await;
    match met.map(|met| met.mishap) {
        Some(Mishap::Lost) => Err(cut("before the answer")),
        Some(Mishap::Timeout) => {
            late(1_000).await;
            Err(unanswered())
        }
        _ => done,
    }
}

/// Metadata with an idempotency key.
fn tagged(key: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(KEY.to_owned(), key.to_owned())])
}

/// Whether an object was made under a key.
fn has_key(metadata: &BTreeMap<String, String>, key: &str) -> bool {
    metadata.get(KEY).is_some_and(|k| k == key)
}

/// What is gone already is deleted.
fn gone_is_fine(result: Result<(), ApiError>) -> Result<(), ApiError> {
    match result {
        Err(ApiError::NotFound { .. }) => Ok(()),
        other => other,
    }
}
