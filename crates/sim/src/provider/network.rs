//! `sim_network`: a layer-2 network with one IPv4 range.

use grappe_provider::{Context, Fault, Importable, Imported, Many, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use super::{Client, call, gone_is_fine, has_key, tagged};
use crate::{Network, World};

/// The type.
pub(super) struct SimNetwork;

/// What the configuration says.
#[derive(Debug, Deserialize)]
pub(super) struct Args {
    name: String,
    cidr: String,
    #[serde(default = "yes")]
    port_security: bool,
}

fn yes() -> bool {
    true
}

/// What is known of a network.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    name: String,
    cidr: String,
    port_security: bool,
}

impl From<Network> for State {
    fn from(network: Network) -> Self {
        let Network { id, name, cidr, port_security, .. } = network;
        State { id, name, cidr: cidr.to_string(), port_security }
    }
}

fn made_under(world: &World, key: &str) -> Option<Network> {
    world.networks().into_iter().find(|n| has_key(&n.metadata, key))
}

impl Resource for SimNetwork {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "sim_network"
    }

    fn schema(&self) -> Schema {
        Schema::new("A simulated network with one IPv4 range.")
            .attr("name", Attribute::required(Type::String, "Its name."))
            .attr("cidr", Attribute::required(Type::String, "Its range, such as `10.0.0.0/24`. The first address is the gateway's.").replace())
            .attr(
                "port_security",
                Attribute::optional(
                    Type::Bool,
                    "Whether its ports drop traffic of addresses that are neither theirs nor in their allowed_address_pairs, as OpenStack's do.",
                )
                .default(true)
                .replace(),
            )
            .attr("id", Attribute::computed(Type::String, "Its id."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let cidr = config.get("cidr").and_then(Value::as_str);
        let wrong = cidr.is_some_and(|c| !c.parse::<ipnet::Ipv4Net>().is_ok_and(|n| n.trunc() == n));
        if wrong { vec![Problem::new("cidr", "not an IPv4 range such as 10.0.0.0/24")] } else { Vec::new() }
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        call(ctx, "read sim_network", move |world| Ok(world.network(&state.id).map(State::from))).await
    }

    fn read_group(&self, _: &Value) -> Option<String> {
        Some(String::new())
    }

    async fn read_many(&self, ctx: &Context<Client>, states: Vec<State>) -> Result<Many<State>, Fault> {
        call(ctx, "list sim_network", move |world| {
            Ok(states.into_iter().map(|state| Ok(world.network(&state.id).map(State::from))).collect())
        })
        .await
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let key = ctx.key().to_owned();
        let state = call(ctx, "create sim_network", move |world| match made_under(world, &key) {
            Some(network) => Ok(network),
            None => world.create_network(&args.name, &args.cidr, args.port_security, tagged(&key)),
        });
        let state = State::from(state.await?);
        ctx.checkpoint(&state).await?;
        Ok(state)
    }

    async fn update(&self, ctx: &Context<Client>, prior: State, args: Args) -> Result<State, Fault> {
        call(ctx, "update sim_network", move |world| world.rename_network(&prior.id, &args.name))
            .await
            .map(State::from)
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        call(ctx, "delete sim_network", move |world| gone_is_fine(world.delete_network(&state.id))).await
    }

    fn importable(&self) -> Importable {
        Importable::By("its id, as `grappe sim list -json` shows it")
    }

    async fn import(&self, ctx: &Context<Client>, id: &str, _: Args) -> Result<Option<Imported>, Fault> {
        let id = id.to_owned();
        let found =
            call(ctx, "read sim_network", move |world| Ok(world.network(&id).map(State::from))).await?;
        found.map(|state| Imported::new(&state)).transpose()
    }

    async fn adopt(&self, ctx: &Context<Client>, _: Args) -> Result<Option<State>, Fault> {
        let key = ctx.key().to_owned();
        call(ctx, "read sim_network", move |world| Ok(made_under(world, &key).map(State::from))).await
    }
}
