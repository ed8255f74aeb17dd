//! `sim_machine`: a machine that boots Debian and answers SSH.

use grappe_provider::{Context, Fault, Importable, Imported, Many, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use super::{Client, call, gone_is_fine, has_key, tagged};
use crate::host::image::IMAGES;
use crate::{ApiError, Machine, NewMachine, World};

/// The type.
pub(super) struct SimMachine;

/// What the configuration says.
#[derive(Debug, Deserialize)]
pub(super) struct Args {
    name: String,
    port_ids: Vec<String>,
    #[serde(default)]
    image: String,
    cpus: u32,
    memory_mb: u32,
    #[serde(default)]
    authorized_keys: Vec<String>,
    #[serde(default)]
    user_data: String,
    #[serde(default = "yes")]
    running: bool,
}

fn yes() -> bool {
    true
}

/// What is known of a machine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    name: String,
    port_ids: Vec<String>,
    image: String,
    cpus: u32,
    memory_mb: u32,
    running: bool,
    #[serde(default)]
    address: String,
    #[serde(default)]
    host_key: String,
    #[serde(default)]
    simulated: bool,
}

fn state_of(world: &World, machine: Machine) -> State {
    State {
        host_key: world.host_public_key(&machine.id).unwrap_or_default(),
        address: machine.host.nics.first().map(|n| n.ip.to_string()).unwrap_or_default(),
        id: machine.id,
        name: machine.name,
        port_ids: machine.ports,
        image: machine.image,
        cpus: machine.host.cpus,
        memory_mb: machine.host.memory_mb,
        running: machine.running,
        simulated: true,
    }
}

fn made_under(world: &World, key: &str) -> Option<Machine> {
    world.machines().into_iter().find(|m| has_key(&m.metadata, key))
}

/// Powers a machine on or off, as wanted.
fn power(world: &World, id: &str, running: bool) -> Result<State, ApiError> {
    if running {
        world.start_machine(id)?;
    } else {
        world.stop_machine(id)?;
    }
    let machine =
        world.machine(id).ok_or_else(|| ApiError::NotFound { kind: "machine", id: id.to_owned() })?;
    Ok(state_of(world, machine))
}

impl Resource for SimMachine {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "sim_machine"
    }

    fn schema(&self) -> Schema {
        Schema::new("A simulated machine with Debian 12 and an SSH server.")
            .attr("name", Attribute::required(Type::String, "Its name, and the name its host is born with."))
            .attr(
                "port_ids",
                Attribute::required(
                    Type::list(Type::String),
                    "Its ports, in the order of its network cards.",
                )
                .replace(),
            )
            .attr(
                "image",
                Attribute::optional(Type::String, "The image it boots; there is `debian-12`.")
                    .default(IMAGES[0])
                    .replace(),
            )
            .attr("cpus", Attribute::optional(Type::Number, "How many CPUs.").default(2))
            .attr("memory_mb", Attribute::optional(Type::Number, "Memory in MiB.").default(4096))
            .attr(
                "authorized_keys",
                Attribute::optional(
                    Type::list(Type::String),
                    "SSH public keys of who may log in as root or debian.",
                )
                .replace(),
            )
            .attr(
                "user_data",
                Attribute::optional(
                    Type::String,
                    "What cloud-init does at the first boot: `#cloud-config` or a script.",
                )
                .replace(),
            )
            .attr(
                "running",
                Attribute::optional(
                    Type::Bool,
                    "Whether it is powered on. One that somebody stopped is started again.",
                )
                .default(true),
            )
            .attr("id", Attribute::computed(Type::String, "Its id."))
            .attr("address", Attribute::computed(Type::String, "The address of its first port."))
            .attr(
                "host_key",
                Attribute::computed(Type::String, "Its SSH host key, as an OpenSSH public key line."),
            )
            .attr("simulated", Attribute::computed(Type::Bool, "Always true."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        match config.get("image").and_then(Value::as_str) {
            Some(image) if !IMAGES.contains(&image) => {
                vec![
                    Problem::new("image", format!("there is no image {image:?}"))
                        .hint(format!("there is {}", IMAGES.join(", "))),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn plan(&self, change: &mut grappe_provider::Change<'_>) {
        change.set("simulated", true.into());
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        call(ctx, "read sim_machine", move |world| Ok(world.machine(&state.id).map(|m| state_of(world, m))))
            .await
    }

    fn read_group(&self, _: &Value) -> Option<String> {
        Some(String::new())
    }

    async fn read_many(&self, ctx: &Context<Client>, states: Vec<State>) -> Result<Many<State>, Fault> {
        call(ctx, "list sim_machine", move |world| {
            Ok(states
                .into_iter()
                .map(|state| Ok(world.machine(&state.id).map(|m| state_of(world, m))))
                .collect())
        })
        .await
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let key = ctx.key().to_owned();
        let running = args.running;
        let made = call(ctx, "create sim_machine", move |world| {
            let machine = match made_under(world, &key) {
                Some(machine) => machine,
                None => world.create_machine(NewMachine {
                    name: args.name,
                    ports: args.port_ids,
                    image: args.image,
                    cpus: args.cpus,
                    memory_mb: args.memory_mb,
                    authorized_keys: args.authorized_keys,
                    user_data: args.user_data,
                    metadata: tagged(&key),
                })?,
            };
            Ok(state_of(world, machine))
        });
        let state = made.await?;
        ctx.checkpoint(&state).await?;
        if state.running == running {
            return Ok(state);
        }
        call(ctx, "update sim_machine", move |world| power(world, &state.id, running)).await
    }

    async fn update(&self, ctx: &Context<Client>, prior: State, args: Args) -> Result<State, Fault> {
        call(ctx, "update sim_machine", move |world| {
            world.update_machine(&prior.id, &args.name, args.cpus, args.memory_mb)?;
            power(world, &prior.id, args.running)
        })
        .await
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        call(ctx, "delete sim_machine", move |world| gone_is_fine(world.delete_machine(&state.id))).await
    }

    fn importable(&self) -> Importable {
        Importable::By("its id, as `grappe sim list -json` shows it")
    }

    async fn import(&self, ctx: &Context<Client>, id: &str, _: Args) -> Result<Option<Imported>, Fault> {
        let id = id.to_owned();
        let found =
            call(ctx, "read sim_machine", move |world| Ok(world.machine(&id).map(|m| state_of(world, m))))
                .await?;
        found.map(|state| Imported::new(&state)).transpose()
    }

    async fn adopt(&self, ctx: &Context<Client>, _: Args) -> Result<Option<State>, Fault> {
        let key = ctx.key().to_owned();
        call(ctx, "read sim_machine", move |world| Ok(made_under(world, &key).map(|m| state_of(world, m))))
            .await
    }
}
