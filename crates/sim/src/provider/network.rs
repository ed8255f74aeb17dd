//! `sim_network`: a layer-2 network with one IPv4 range.

use std::sync::Arc;

use grappe_provider::{Context, Fault, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use super::{deleted, fault, made_by, tags};
use crate::world::{Network, World};

/// The resource type `sim_network`.
pub(super) struct SimNetwork;

#[derive(Deserialize)]
pub(super) struct Args {
    name: String,
    cidr: String,
    #[serde(default = "yes")]
    port_security: bool,
}

fn yes() -> bool {
    true
}

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    name: String,
    cidr: String,
    gateway: Option<String>,
}

impl From<Network> for State {
    fn from(network: Network) -> Self {
        State {
            id: network.id,
            name: network.name,
            cidr: network.cidr.to_string(),
            gateway: network.cidr.hosts().next().map(|ip| ip.to_string()),
        }
    }
}

impl Resource for SimNetwork {
    type Client = Arc<World>;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "sim_network"
    }

    fn schema(&self) -> Schema {
        Schema::new("A simulated network with one IPv4 range. The range's first address is the gateway's.")
            .attr("name", Attribute::required(Type::String, "Its name."))
            .attr("cidr", Attribute::required(Type::String, "Its range: `10.0.0.0/24`.").replace())
            .attr(
                "port_security",
                Attribute::optional(
                    Type::Bool,
                    "Whether ports drop traffic of addresses that are neither theirs nor among their `allowed_address_pairs`.",
                )
                .default(true)
                .replace(),
            )
            .attr("id", Attribute::computed(Type::String, "Its id."))
            .attr("gateway", Attribute::computed(Type::String, "The gateway's address."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        match config.get("cidr").and_then(Value::as_str).map(str::parse::<ipnet::Ipv4Net>) {
            Some(Err(_)) => vec![Problem::new("cidr", "this is not an IPv4 range").hint("write it like 10.0.0.0/24")],
            _ => Vec::new(),
        }
    }

    async fn read(&self, ctx: &Context<Arc<World>>, state: State) -> Result<Option<State>, Fault> {
        Ok(ctx.client().network(&state.id).map(State::from))
    }

    async fn create(&self, ctx: &Context<Arc<World>>, args: Args) -> Result<State, Fault> {
        let world = ctx.client();
        world.maybe_fail("create sim_network").map_err(fault)?;
        if let Some(found) = world.networks().into_iter().find(|n| made_by(&n.metadata, ctx.key())) {
            return Ok(found.into());
        }
        let made: State = world
            .create_network(&args.name, &args.cidr, args.port_security, tags(ctx.key()))
            .map_err(fault)?
            .into();
        ctx.checkpoint(&made).await?;
        Ok(made)
    }

    async fn update(&self, ctx: &Context<Arc<World>>, prior: State, args: Args) -> Result<State, Fault> {
        ctx.client().rename_network(&prior.id, &args.name).map(State::from).map_err(fault)
    }

    async fn delete(&self, ctx: &Context<Arc<World>>, state: State) -> Result<(), Fault> {
        ctx.client().maybe_fail("delete sim_network").map_err(fault)?;
        deleted(ctx.client().delete_network(&state.id))
    }

    async fn adopt(&self, ctx: &Context<Arc<World>>, _: Args) -> Result<Option<State>, Fault> {
        Ok(ctx.client().networks().into_iter().find(|n| made_by(&n.metadata, ctx.key())).map(State::from))
    }
}
