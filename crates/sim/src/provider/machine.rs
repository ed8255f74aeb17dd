//! `sim_machine`: a machine with an operating system that SSH reaches.

use std::sync::Arc;

use grappe_provider::{Change, Context, Fault, Resource};
use grappe_value::{Attribute, Schema, Type};
use serde::{Deserialize, Serialize};

use super::{deleted, fault, made_by, tags};
use crate::host::image::IMAGES;
use crate::world::{Machine, NewMachine, World};

/// The resource type `sim_machine`.
pub(super) struct SimMachine;

#[derive(Deserialize)]
pub(super) struct Args {
    name: String,
    port_ids: Vec<String>,
    image: String,
    cpus: u32,
    memory_mb: u32,
    #[serde(default)]
    authorized_keys: Vec<String>,
    #[serde(default)]
    user_data: String,
    running: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    name: String,
    port_ids: Vec<String>,
    image: String,
    cpus: u32,
    memory_mb: u32,
    running: bool,
    address: Option<String>,
    simulated: Option<bool>,
}

/// A machine as the cloud shows it.
fn found(world: &World, machine: Machine) -> State {
    let address = machine.ports.first().and_then(|port| world.port(port)).map(|port| port.ip.to_string());
    State {
        id: machine.id,
        name: machine.name,
        port_ids: machine.ports,
        image: machine.image,
        cpus: machine.host.cpus,
        memory_mb: machine.host.memory_mb,
        running: machine.running,
        address,
        simulated: Some(true),
    }
}

impl Resource for SimMachine {
    type Client = Arc<World>;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "sim_machine"
    }

    fn schema(&self) -> Schema {
        Schema::new("A simulated machine: its SSH server runs inside this process and answers as a Debian host would.")
            .attr("name", Attribute::required(Type::String, "Its name, a DNS label; its host name at birth."))
            .attr("port_ids", Attribute::required(Type::list(Type::String), "Its network cards, in order.").replace())
            .attr("image", Attribute::optional(Type::String, "What it boots from.").default(IMAGES[0]).replace())
            .attr("cpus", Attribute::optional(Type::Number, "Its processors.").default(2))
            .attr("memory_mb", Attribute::optional(Type::Number, "Its memory in MiB.").default(4096))
            .attr(
                "authorized_keys",
                Attribute::optional(Type::list(Type::String), "Public keys that may log in as root and as debian.").replace(),
            )
            .attr("user_data", Attribute::optional(Type::String, "What cloud-init is given: `#cloud-config` or a script.").replace())
            .attr("running", Attribute::optional(Type::Bool, "Whether it is powered on.").default(true))
            .attr("id", Attribute::computed(Type::String, "Its id."))
            .attr("address", Attribute::computed(Type::String, "The address of its first port."))
            .attr("simulated", Attribute::computed(Type::Bool, "Always true: nothing real is here."))
    }

    fn plan(&self, change: &mut Change<'_>) {
        change.set("simulated", true.into());
    }

    async fn read(&self, ctx: &Context<Arc<World>>, state: State) -> Result<Option<State>, Fault> {
        let world = ctx.client();
        Ok(world.machine(&state.id).map(|machine| found(world, machine)))
    }

    async fn create(&self, ctx: &Context<Arc<World>>, args: Args) -> Result<State, Fault> {
        let world = ctx.client();
        world.maybe_fail("create sim_machine").map_err(fault)?;
        let machine = match world.machines().into_iter().find(|m| made_by(&m.metadata, ctx.key())) {
            Some(machine) => machine,
            None => {
                let new = NewMachine {
                    name: args.name,
                    ports: args.port_ids,
                    image: args.image,
                    cpus: args.cpus,
                    memory_mb: args.memory_mb,
                    authorized_keys: args.authorized_keys,
                    user_data: args.user_data,
                    metadata: tags(ctx.key()),
                };
                world.create_machine(new).map_err(fault)?
            }
        };
        ctx.checkpoint(&found(world, machine.clone())).await?;
        power(world, &machine.id, args.running)?;
        world
            .machine(&machine.id)
            .map(|machine| found(world, machine))
            .ok_or_else(|| Fault::gone(format!("machine {} was deleted while it was made", machine.name)))
    }

    async fn update(&self, ctx: &Context<Arc<World>>, prior: State, args: Args) -> Result<State, Fault> {
        let world = ctx.client();
        world.update_machine(&prior.id, &args.name, args.cpus, args.memory_mb).map_err(fault)?;
        power(world, &prior.id, args.running)?;
        world
            .machine(&prior.id)
            .map(|machine| found(world, machine))
            .ok_or_else(|| Fault::gone(format!("machine {} does not exist any more", prior.name)))
    }

    async fn delete(&self, ctx: &Context<Arc<World>>, state: State) -> Result<(), Fault> {
        ctx.client().maybe_fail("delete sim_machine").map_err(fault)?;
        deleted(ctx.client().delete_machine(&state.id))
    }

    async fn adopt(&self, ctx: &Context<Arc<World>>, _: Args) -> Result<Option<State>, Fault> {
        let world = ctx.client();
        let machine = world.machines().into_iter().find(|m| made_by(&m.metadata, ctx.key()));
        Ok(machine.map(|machine| found(world, machine)))
    }
}

/// Switches a machine on or off.
fn power(world: &World, id: &str, on: bool) -> Result<(), Fault> {
    if on { world.start_machine(id) } else { world.stop_machine(id) }.map_err(fault)
}
