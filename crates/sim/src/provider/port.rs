//! `sim_port`: an address and a MAC on a network, to be plugged into a machine.

use std::net::Ipv4Addr;

use grappe_provider::{Context, Fault, Importable, Imported, Many, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use super::{Client, call, gone_is_fine, has_key, tagged};
use crate::{NewPort, Port, World};

/// The type.
pub(super) struct SimPort;

/// What the configuration says.
#[derive(Debug, Deserialize)]
pub(super) struct Args {
    name: Option<String>,
    network_id: String,
    fixed_ip: Option<Ipv4Addr>,
    #[serde(default)]
    allowed_address_pairs: Vec<String>,
}

/// What is known of a port.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    name: Option<String>,
    network_id: String,
    ip_address: String,
    mac_address: String,
    #[serde(default)]
    allowed_address_pairs: Vec<String>,
}

impl From<Port> for State {
    fn from(port: Port) -> Self {
        State {
            id: port.id,
            name: Some(port.name).filter(|n| !n.is_empty()),
            network_id: port.network,
            ip_address: port.ip.to_string(),
            mac_address: port.mac,
            allowed_address_pairs: port.allowed_address_pairs,
        }
    }
}

fn made_under(world: &World, key: &str) -> Option<Port> {
    world.ports().into_iter().find(|p| has_key(&p.metadata, key))
}

impl Resource for SimPort {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "sim_port"
    }

    fn schema(&self) -> Schema {
        Schema::new("A port of a simulated network: an address for a machine.")
            .attr("name", Attribute::optional(Type::String, "Its name."))
            .attr("network_id", Attribute::required(Type::String, "The network it is on.").replace())
            .attr("fixed_ip", Attribute::optional(Type::String, "The address it gets; the lowest free one by default.").replace())
            .attr(
                "allowed_address_pairs",
                Attribute::optional(
                    Type::list(Type::String),
                    "Addresses and ranges that it may speak for beside its own: pods without an overlay, a virtual address.",
                )
                .default(Value::list(Type::String, [])),
            )
            .attr("id", Attribute::computed(Type::String, "Its id."))
            .attr("ip_address", Attribute::computed(Type::String, "Its address."))
            .attr("mac_address", Attribute::computed(Type::String, "Its MAC address."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        match config.get("fixed_ip").and_then(Value::as_str) {
            Some(ip) if ip.parse::<Ipv4Addr>().is_err() => {
                vec![Problem::new("fixed_ip", format!("{ip:?} is not an IPv4 address"))]
            }
            _ => Vec::new(),
        }
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        call(ctx, "read sim_port", move |world| Ok(world.port(&state.id).map(State::from))).await
    }

    fn read_group(&self, _: &Value) -> Option<String> {
        Some(String::new())
    }

    async fn read_many(&self, ctx: &Context<Client>, states: Vec<State>) -> Result<Many<State>, Fault> {
        call(ctx, "list sim_port", move |world| {
            Ok(states.into_iter().map(|state| Ok(world.port(&state.id).map(State::from))).collect())
        })
        .await
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let key = ctx.key().to_owned();
        let made = call(ctx, "create sim_port", move |world| match made_under(world, &key) {
            Some(port) => Ok(port),
            None => world.create_port(NewPort {
                name: args.name.unwrap_or_default(),
                network: args.network_id,
                fixed_ip: args.fixed_ip,
                allowed_address_pairs: args.allowed_address_pairs,
                metadata: tagged(&key),
            }),
        });
        let state = State::from(made.await?);
        ctx.checkpoint(&state).await?;
        Ok(state)
    }

    async fn update(&self, ctx: &Context<Client>, prior: State, args: Args) -> Result<State, Fault> {
        let update = call(ctx, "update sim_port", move |world| {
            world.update_port(&prior.id, &args.name.unwrap_or_default(), args.allowed_address_pairs)
        });
        update.await.map(State::from)
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        call(ctx, "delete sim_port", move |world| gone_is_fine(world.delete_port(&state.id))).await
    }

    fn importable(&self) -> Importable {
        Importable::By("its id, as `grappe sim list -json` shows it")
    }

    async fn import(&self, ctx: &Context<Client>, id: &str, _: Args) -> Result<Option<Imported>, Fault> {
        let id = id.to_owned();
        let found = call(ctx, "read sim_port", move |world| Ok(world.port(&id).map(State::from))).await?;
        found.map(|state| Imported::new(&state)).transpose()
    }

    async fn adopt(&self, ctx: &Context<Client>, _: Args) -> Result<Option<State>, Fault> {
        let key = ctx.key().to_owned();
        call(ctx, "read sim_port", move |world| Ok(made_under(world, &key).map(State::from))).await
    }
}
