//! `sim_port`: a network card that a machine can be plugged into, with its address.

use std::net::Ipv4Addr;
use std::sync::Arc;

use grappe_provider::{Context, Fault, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use super::{deleted, fault, made_by, tags};
use crate::world::{NewPort, Port, World};

/// The resource type `sim_port`.
pub(super) struct SimPort;

#[derive(Deserialize)]
pub(super) struct Args {
    #[serde(default)]
    name: String,
    network_id: String,
    fixed_ip: Option<Ipv4Addr>,
    #[serde(default)]
    allowed_address_pairs: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    name: Option<String>,
    network_id: String,
    ip_address: String,
    mac_address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_address_pairs: Option<Vec<String>>,
}

impl From<Port> for State {
    fn from(port: Port) -> Self {
        State {
            id: port.id,
            name: Some(port.name).filter(|name| !name.is_empty()),
            network_id: port.network,
            ip_address: port.ip.to_string(),
            mac_address: port.mac,
            // None rather than an empty list, as an argument that is left out.
            allowed_address_pairs: Some(port.allowed_address_pairs).filter(|pairs| !pairs.is_empty()),
        }
    }
}

impl Resource for SimPort {
    type Client = Arc<World>;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "sim_port"
    }

    fn schema(&self) -> Schema {
        Schema::new("A simulated port: a network card with one address, to plug a machine into.")
            .attr("name", Attribute::optional(Type::String, "Its name."))
            .attr("network_id", Attribute::required(Type::String, "The network it is on.").replace())
            .attr("fixed_ip", Attribute::optional(Type::String, "The address it wants; the lowest free one otherwise.").replace())
            .attr(
                "allowed_address_pairs",
                Attribute::optional(
                    Type::set(Type::String),
                    "Addresses and ranges that it may also speak for: a VIP, the pods' and services' ranges.",
                ),
            )
            .attr("id", Attribute::computed(Type::String, "Its id."))
            .attr("ip_address", Attribute::computed(Type::String, "Its address."))
            .attr("mac_address", Attribute::computed(Type::String, "Its MAC address."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        match config.get("fixed_ip").and_then(Value::as_str).map(str::parse::<Ipv4Addr>) {
            Some(Err(_)) => vec![Problem::new("fixed_ip", "this is not an IPv4 address")],
            _ => Vec::new(),
        }
    }

    fn plan(&self, change: &mut grappe_provider::Change<'_>) {
        // The wanted address is the one it gets, so whoever needs it can be planned with it.
        if let Some(ip) = change.planned().get("fixed_ip").filter(|ip| !ip.is_null()).cloned() {
            change.set("ip_address", ip);
        }
    }

    async fn read(&self, ctx: &Context<Arc<World>>, state: State) -> Result<Option<State>, Fault> {
        Ok(ctx.client().port(&state.id).map(State::from))
    }

    async fn create(&self, ctx: &Context<Arc<World>>, args: Args) -> Result<State, Fault> {
        let world = ctx.client();
        world.maybe_fail("create sim_port").map_err(fault)?;
        if let Some(found) = world.ports().into_iter().find(|p| made_by(&p.metadata, ctx.key())) {
            return Ok(found.into());
        }
        let new = NewPort {
            name: args.name,
            network: args.network_id,
            fixed_ip: args.fixed_ip,
            allowed_address_pairs: args.allowed_address_pairs,
            metadata: tags(ctx.key()),
        };
        let made: State = world.create_port(new).map_err(fault)?.into();
        ctx.checkpoint(&made).await?;
        Ok(made)
    }

    async fn update(&self, ctx: &Context<Arc<World>>, prior: State, args: Args) -> Result<State, Fault> {
        ctx.client().update_port(&prior.id, &args.name, args.allowed_address_pairs).map(State::from).map_err(fault)
    }

    async fn delete(&self, ctx: &Context<Arc<World>>, state: State) -> Result<(), Fault> {
        ctx.client().maybe_fail("delete sim_port").map_err(fault)?;
        deleted(ctx.client().delete_port(&state.id))
    }

    async fn adopt(&self, ctx: &Context<Arc<World>>, _: Args) -> Result<Option<State>, Fault> {
        Ok(ctx.client().ports().into_iter().find(|p| made_by(&p.metadata, ctx.key())).map(State::from))
    }
}
