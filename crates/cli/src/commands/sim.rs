//! `grappe sim`: looks into the simulated world, and breaks it: what a person who meddles would do, for trying out what a plan makes of it.

use std::sync::Arc;

use grappe_sim::World;
use serde_json::{Value as Json, json};

use crate::Exit;
use crate::args::{SimArgs, SimCommand};
use crate::error::Explained;
use crate::project::{data_dir, store_of};
use crate::ui::Ui;
use crate::ui::value::padded;

/// The world's file, in the folder of the state.
const WORLD_FILE: &str = "world.json";

pub(super) fn run(ui: &Ui, args: &SimArgs) -> anyhow::Result<Exit> {
    let path = match &args.world {
        Some(path) => path.clone(),
        None => data_dir(&args.dir, &store_of(&args.dir, &args.state)?).join(WORLD_FILE),
    };
    if !path.is_file() {
        return Err(Explained::new(format!("there is no simulated world {}", path.display()))
            .hint("apply a plan with provider \"sim\" first; -dir names its folder, -world a file elsewhere")
            .into());
    }
    let world = World::open(&path)?;
    let machine = |name: &str| {
        world.find_machine(name).ok_or_else(|| {
            let names: Vec<String> = world.machines().into_iter().map(|m| m.name).collect();
            Explained::new(format!("the world has no machine {name:?}")).hint(match names.is_empty() {
                true => "it has none".to_owned(),
                false => format!("it has {}", names.join(", ")),
            })
        })
    };
    match &args.command {
        SimCommand::List { json } => list(ui, &world, *json),
        SimCommand::Stop { machine: name } => world.stop_machine(&machine(name)?)?,
        SimCommand::Start { machine: name } => world.start_machine(&machine(name)?)?,
        SimCommand::Lose { machine: name } => world.delete_machine(&machine(name)?)?,
        SimCommand::RemoveFile { machine: name, path } => world.remove_file(&machine(name)?, path)?,
        SimCommand::DropNode { node } => world.drop_node(node)?,
        SimCommand::Label { node, label } => match (label.split_once('='), label.strip_suffix('-')) {
            (Some((key, value)), _) => world.label_node(node, key, Some(value))?,
            (None, Some(key)) => world.label_node(node, key, None)?,
            (None, None) => {
                return Err(Explained::new(format!("{label:?} is no label"))
                    .hint("write KEY=VALUE to set one, KEY- to remove it")
                    .into());
            }
        },
    }
    world.flush()?;
    Ok(Exit::Done)
}

fn list(ui: &Ui, world: &Arc<World>, as_json: bool) {
    let (networks, ports, mut machines) = (world.networks(), world.ports(), world.machines());
    machines.sort_by(|a, b| a.name.cmp(&b.name));
    let nodes = nodes(world);
    if as_json {
        let address = |id: &str| ports.iter().find(|p| p.id == id).map(|p| p.ip.to_string());
        let machines: Vec<Json> = machines
            .iter()
            .map(|m| {
                let addresses: Vec<String> = m.ports.iter().filter_map(|p| address(p)).collect();
                json!({ "id": m.id, "name": m.name, "running": m.running, "image": m.image, "addresses": addresses })
            })
            .collect();
        let networks: Vec<Json> = networks
            .iter()
            .map(|n| json!({ "id": n.id, "name": n.name, "cidr": n.cidr.to_string() }))
            .collect();
        let ports: Vec<Json> = ports
            .iter()
            .map(|p| json!({ "id": p.id, "name": p.name, "ip": p.ip.to_string(), "machine": p.machine }))
            .collect();
        let volumes: Vec<Json> =
            world.volumes().iter().map(|v| json!({ "id": v.id, "name": v.name })).collect();
        let all = json!({
            "simulated": true, "networks": networks, "ports": ports, "machines": machines, "volumes": volumes,
            "nodes": nodes,
        });
        return ui.raw(&format!("{all:#}\n"));
    }
    ui.line("simulated: nothing of this is real");
    for network in &networks {
        ui.line(format!("network {}  {}", network.name, network.cidr));
    }
    let pad = machines.iter().map(|m| m.name.len()).max().unwrap_or(0);
    for machine in &machines {
        let addresses: Vec<String> = machine
            .ports
            .iter()
            .filter_map(|id| ports.iter().find(|p| p.id == *id))
            .map(|p| p.ip.to_string())
            .collect();
        let power = if machine.running { "running" } else { "stopped" };
        ui.line(format!("machine {}  {power}  {}", padded(&machine.name, pad), addresses.join(", ")));
    }
    for volume in world.volumes() {
        ui.line(format!("volume {}", volume.name));
    }
    for node in &nodes {
        let text = |name: &str| node[name].as_str().unwrap_or_default();
        ui.line(format!("node {}  {}  {}", padded(text("name"), pad), text("status"), text("version")));
    }
    if machines.is_empty() && networks.is_empty() {
        ui.line("The world is empty.");
    }
}

/// The nodes of all clusters, as `kubectl get nodes` knows them.
fn nodes(world: &World) -> Vec<Json> {
    world.with(|state| {
        let mut out = Vec::new();
        for cluster in state.clusters.values() {
            for node in cluster.objects.list("Node", None) {
                let conditions = node["status"]["conditions"].as_array();
                let ready = conditions
                    .and_then(|all| all.iter().find(|c| c["type"] == "Ready"))
                    .is_some_and(|c| c["status"] == "True");
                out.push(json!({
                    "name": node["metadata"]["name"],
                    "labels": node["metadata"]["labels"],
                    "taints": node["spec"]["taints"],
                    "status": if ready { "Ready" } else { "NotReady" },
                    "version": node["status"]["nodeInfo"]["kubeletVersion"],
                }));
            }
        }
        out
    })
}
