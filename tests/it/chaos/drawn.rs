//! Layered plans by chance, in two rounds: what the second one says differs by updates, replacements, additions and removals. The plan says what must exist
//! once it is applied, and [`Drawn::is_so`] looks whether exactly that does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::Value as Json;

use crate::sandbox::Sandbox;

/// What is drawn for a resource.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    File,
    Network,
    Port,
    Machine,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Updated,
    Replaced,
    Added,
    Removed,
}

struct Node {
    kind: Kind,
    fate: Fate,
    /// Earlier nodes that it is made of.
    deps: Vec<usize>,
    /// How many `local-exec` steps its creation has.
    steps: usize,
    create_first: bool,
    /// Is a machine, or is made of one.
    on_machine: bool,
}

impl Node {
    fn is_in(&self, round: u32) -> bool {
        match self.fate {
            Fate::Added => round > 1,
            Fate::Removed => round == 1,
            _ => true,
        }
    }
}

/// A plan, and what must be there when it is applied.
#[derive(Clone, Default)]
pub(super) struct Drawn {
    pub(super) text: String,
    addrs: BTreeSet<String>,
    /// Each `terraform_data` with those that its input is made of.
    inputs: BTreeMap<String, Vec<String>>,
    /// Each with how many steps.
    steps: BTreeMap<String, usize>,
    files: BTreeMap<String, String>,
    networks: BTreeSet<String>,
    /// Each with the address of its network.
    ports: BTreeMap<String, String>,
    /// Each with the address of its port.
    machines: BTreeMap<String, String>,
}

/// The two rounds of a plan of some `size` resources.
pub(super) fn draw(rng: &mut StdRng, size: usize) -> [Drawn; 2] {
    let nodes = nodes(rng, size);
    [1, 2].map(|round| drawn(&nodes, round))
}

fn nodes(rng: &mut StdRng, size: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for n in 0..size {
        let of = |kind: Kind| -> Vec<usize> {
            (0..n).filter(|i| nodes[*i].kind == kind && nodes[*i].fate != Fate::Removed).collect()
        };
        let pick = |rng: &mut StdRng, from: &[usize]| from[rng.random_range(0..from.len())];
        let (networks, ports) = (of(Kind::Network), of(Kind::Port));
        let free: Vec<usize> = {
            let taken: BTreeSet<usize> =
                nodes.iter().filter(|x| x.kind == Kind::Machine).flat_map(|x| x.deps.clone()).collect();
            ports.into_iter().filter(|p| !taken.contains(p)).collect()
        };
        let kind = match rng.random_range(0..100) {
            0..52 => Kind::Data,
            52..66 => Kind::File,
            66..76 => Kind::Network,
            76..88 if !networks.is_empty() => Kind::Port,
            88.. if !free.is_empty() => Kind::Machine,
            _ => Kind::Data,
        };
        let deps = match kind {
            Kind::Port => vec![pick(rng, &networks)],
            Kind::Machine => vec![pick(rng, &free)],
            // A file is nobody's: what stands on something that is created before it is destroyed is too, and two files can't have one name.
            _ if n > 0 => {
                let most = rng.random_range(0..=3);
                let of_those: BTreeSet<usize> = (0..most).map(|_| rng.random_range(0..n)).collect();
                of_those.into_iter().filter(|d| nodes[*d].kind != Kind::File).collect()
            }
            _ => Vec::new(),
        };
        let fate = match rng.random_range(0..10) {
            0..4 => Fate::Stays,
            4..6 => Fate::Updated,
            6..8 => Fate::Replaced,
            8 => Fate::Added,
            _ => Fate::Removed,
        };
        // What is made of what is added later is added later.
        let fate = match deps.iter().any(|d| nodes[*d].fate == Fate::Added) {
            true if matches!(kind, Kind::Port | Kind::Machine) => Fate::Added,
            _ => fate,
        };
        let data = kind == Kind::Data;
        let steps = if data && rng.random_bool(0.2) { rng.random_range(1..=2) } else { 0 };
        let on_machine = kind == Kind::Machine || deps.iter().any(|d| nodes[*d].on_machine);
        // What is created before it is destroyed makes that of all it is made of, and two machines can't have one port.
        let create_first = data && rng.random_bool(0.2) && !on_machine;
        nodes.push(Node { kind, fate, deps, steps, create_first, on_machine });
    }
    nodes
}

fn drawn(nodes: &[Node], round: u32) -> Drawn {
    let mut out =
        Drawn { text: "provider \"sim\" {\n  world = \"world.json\"\n}\n".into(), ..Drawn::default() };
    let addr = |n: usize| {
        let ty = match nodes[n].kind {
            Kind::Data => "terraform_data",
            Kind::File => "local_file",
            Kind::Network => "sim_network",
            Kind::Port => "sim_port",
            Kind::Machine => "sim_machine",
        };
        format!("{ty}.n{n}")
    };
    for (n, node) in nodes.iter().enumerate().filter(|(_, node)| node.is_in(round)) {
        let updated = if node.fate == Fate::Updated { round } else { 1 };
        let replaced = if node.fate == Fate::Replaced { round } else { 1 };
        let deps: Vec<String> =
            node.deps.iter().filter(|d| nodes[**d].is_in(round)).map(|d| addr(*d)).collect();
        let (own, text) = (addr(n), &mut out.text);
        let (ty, name) = own.split_once('.').unwrap();
        let _ = writeln!(text, "resource \"{ty}\" \"{name}\" {{");
        match node.kind {
            Kind::Data => {
                let ids: Vec<String> = deps.iter().map(|d| format!("{d}.id, ")).collect();
                let _ = writeln!(text, "  input = [{}\"{updated}\"]", ids.concat());
                let _ = writeln!(text, "  triggers_replace = {replaced}");
                for step in 0..node.steps {
                    let _ = writeln!(
                        text,
                        "  provisioner \"local-exec\" {{\n    command = \"mkdir -p steps; echo ${{self.id}} >> steps/{name}.{step}\"\n  }}"
                    );
                }
                if node.create_first {
                    text.push_str("  lifecycle {\n    create_before_destroy = true\n  }\n");
                }
                out.inputs.insert(own.clone(), deps);
                out.steps.insert(own.clone(), node.steps);
            }
            Kind::File => {
                let content = format!("{name} {updated} {replaced}");
                let _ = writeln!(text, "  filename = \"out/{name}.{replaced}\"\n  content = \"{content}\"");
                let _ = writeln!(text, "  depends_on = [{}]", deps.join(", "));
                out.files.insert(format!("{name}.{replaced}"), content);
            }
            Kind::Network => {
                let _ = writeln!(text, "  name = \"{name}.{updated}\"\n  cidr = \"10.{n}.{replaced}.0/24\"");
                let _ = writeln!(text, "  depends_on = [{}]", deps.join(", "));
                out.networks.insert(format!("{name}.{updated}"));
            }
            Kind::Port => {
                let _ = writeln!(text, "  name = \"{name}.{updated}\"\n  network_id = {}.id", deps[0]);
                out.ports.insert(format!("{name}.{updated}"), deps[0].clone());
            }
            Kind::Machine => {
                let _ = writeln!(text, "  name = \"{name}-{updated}\"\n  port_ids = [{}.id]", deps[0]);
                let _ = writeln!(text, "  user_data = \"#!/bin/sh\\n: {replaced}\"");
                out.machines.insert(format!("{name}-{updated}"), deps[0].clone());
            }
        }
        out.text.push_str("}\n");
        out.addrs.insert(own);
    }
    out
}

impl Drawn {
    /// Exactly what the plan says exists: in the state, in the simulated cloud, on the disk. `tries` is how often a step may have been done.
    pub(super) fn is_so(&self, sandbox: &Sandbox, tries: usize) {
        let state: Json = serde_json::from_str(&sandbox.expect(0, &["state", "pull"]).stdout).unwrap();
        let objects = state["objects"].as_object().unwrap();
        let have: BTreeSet<String> = objects.keys().cloned().collect();
        assert_eq!(have, self.addrs, "the state's objects");
        for rest in ["deposed", "pending"] {
            let rest = &state[rest];
            assert!(rest.is_null() || *rest == serde_json::json!({}), "left in the state: {rest}");
        }
        for (addr, object) in objects {
            let half = object["tainted"] == true || !object["steps_done"].is_null();
            assert!(!half, "{addr} is half made: {object}");
        }
        let id = |addr: &str| objects[addr]["attributes"]["id"].as_str().unwrap().to_owned();
        for (addr, deps) in &self.inputs {
            let text = objects[addr]["attributes"]["input"].to_string();
            for dep in deps {
                assert!(text.contains(&id(dep)), "{addr} is made of another {dep}: {text}");
            }
            for step in 0..self.steps[addr] {
                let name = addr.rsplit('.').next().unwrap();
                let done = sandbox.read(&format!("steps/{name}.{step}"));
                let times = done.lines().filter(|line| *line == id(addr)).count();
                assert!((1..=tries).contains(&times), "step {step} of {addr} was done {times} times");
            }
        }
        assert_eq!(files(sandbox), self.files, "files");
        self.cloud(sandbox, &id);
    }

    /// The simulated cloud has what the plan says, once, and what the state says is what it has.
    fn cloud(&self, sandbox: &Sandbox, id: &dyn Fn(&str) -> String) {
        let cloud = cloud(sandbox);
        let names = |what: &str| -> Vec<String> {
            let mut names: Vec<String> =
                list(&cloud[what]).map(|item| item["name"].as_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names("networks"), self.networks.iter().cloned().collect::<Vec<_>>(), "networks");
        assert_eq!(names("ports"), self.ports.keys().cloned().collect::<Vec<_>>(), "ports");
        assert_eq!(names("machines"), self.machines.keys().cloned().collect::<Vec<_>>(), "machines");
        for (what, ty, wanted) in
            [("ports", "sim_port", &self.ports), ("machines", "sim_machine", &self.machines)]
        {
            for item in list(&cloud[what]) {
                let name = item["name"].as_str().unwrap();
                let own = name.split(['.', '-']).next().unwrap();
                assert_eq!(item["id"], id(&format!("{ty}.{own}")), "{what}: {name} is not the state's");
                let below = id(&wanted[name]);
                let stands = match what {
                    "ports" => item["network"] == below,
                    _ => item["ports"] == serde_json::json!([below]),
                };
                assert!(stands, "{what}: {name} stands on another {}", wanted[name]);
            }
        }
    }
}

/// What is in the simulated cloud, from its own file.
pub(super) fn cloud(sandbox: &Sandbox) -> Json {
    let places = ["world.json", "grappe.state/world.json"].map(|name| sandbox.path(name));
    let text = places.iter().find_map(|path| std::fs::read_to_string(path).ok());
    text.map_or(Json::Null, |text| serde_json::from_str(&text).unwrap())
}

/// The items of a table of the cloud, each with its id.
pub(super) fn list(table: &Json) -> impl Iterator<Item = &Json> {
    table.as_object().into_iter().flat_map(serde_json::Map::values)
}

fn files(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let Ok(entries) = std::fs::read_dir(sandbox.path("out")) else { return BTreeMap::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| (name.clone(), sandbox.read(&format!("out/{name}")))).collect()
}
