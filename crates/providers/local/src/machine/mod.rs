//! `local_machine`: a machine on this computer.
//!
//! Its folder has its record, its disk (what differs from the image) and what its backend keeps. The record is written under the store's
//! lock, with name and address checked: it is the claim to both. Then come its first files ([`seed`]), then its backend starts it.

mod limits;
mod seed;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use grappe_provider::{Change, Context, Fault, Importable, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use crate::backend::{self, Backend, Limits, Place};
use crate::network::{Network, is_host};
use crate::store::{self, Record};
use crate::{Client, blocking, image};

/// The type.
pub(crate) struct LocalMachine;

/// A machine's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) id: String,
    key: String,
    pub(crate) name: String,
    pub(crate) ip: Ipv4Addr,
    /// The id of its network.
    pub(crate) network: String,
    /// The id of its image, and its root.
    image: String,
    pub(crate) root: PathBuf,
    pub(crate) backend: String,
    /// Where Docker's API is, for the backend that needs it.
    #[serde(default)]
    pub(crate) socket: Option<PathBuf>,
    #[serde(default)]
    pub(crate) limits: Limits,
    #[serde(default)]
    pub(crate) tmpfs: Vec<String>,
    /// The digest of what its first boot gets from the plan.
    #[serde(default)]
    seed: String,
    /// The public part of its SSH host key; empty until it has one.
    #[serde(default)]
    host_key: String,
}

impl Record for Machine {
    const KIND: &'static str = "machines";
    fn id(&self) -> &str {
        &self.id
    }
}

impl Machine {
    fn place(&self, client: &Client) -> Place<'_> {
        Place { machine: self, dir: client.store.dir::<Machine>(&self.id) }
    }

    /// The digest of its image.
    pub(crate) fn image_digest(&self) -> &str {
        self.image.trim_start_matches("sha256:")
    }

    fn backend(&self) -> Result<&'static dyn Backend, Fault> {
        backend::named(&self.backend)
    }

    fn network(&self, client: &Client) -> Result<Network, Fault> {
        let found = client.store.get::<Network>(&self.network)?;
        found.ok_or_else(|| {
            Fault::permanent(format!(
                "the local network {} of the machine {} is gone",
                self.network, self.name
            ))
        })
    }

    /// Boots it, if it does not run.
    fn start(&self, client: &Client, tell: &dyn Fn(&str)) -> Result<(), Fault> {
        self.backend()?.start(&self.place(client), &self.network(client)?, tell)
    }

    fn state(self, client: &Client) -> Result<State, Fault> {
        let running = self.backend()?.is_running(&self.place(client))?;
        Ok(State {
            status: if running { RUNNING } else { STOPPED }.to_owned(),
            id: self.id,
            name: self.name,
            image_id: self.image,
            network_id: self.network,
            ip: self.ip,
            backend: self.backend,
            host_key: self.host_key,
        })
    }
}

const RUNNING: &str = "running";
const STOPPED: &str = "stopped";

/// A machine on a network, by name.
pub(crate) fn on_network(client: &Client, network: &str) -> Result<Option<String>, Fault> {
    let all = client.store.all::<Machine>()?;
    Ok(all.into_iter().find(|m| m.network == network).map(|m| m.name))
}

/// A machine on an image's root, by name.
pub(crate) fn on_image(client: &Client, root: &Path) -> Result<Option<String>, Fault> {
    let all = client.store.all::<Machine>()?;
    Ok(all.into_iter().find(|m| m.root == root).map(|m| m.name))
}

/// What the configuration says.
#[derive(Debug, Deserialize)]
pub(crate) struct Args {
    name: String,
    image_id: String,
    network_id: String,
    ip: Ipv4Addr,
    #[serde(default)]
    authorized_keys: Vec<String>,
    #[serde(default)]
    user_data: Option<String>,
    #[serde(default)]
    limits: Option<limits::Args>,
    #[serde(default)]
    tmpfs: Vec<String>,
    #[serde(default)]
    backend: Option<String>,
}

/// What is known of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    id: String,
    name: String,
    image_id: String,
    network_id: String,
    ip: Ipv4Addr,
    #[serde(default)]
    backend: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    host_key: String,
}

/// The record under a key; made where there is none, once nothing stands in its way.
fn claim(client: &Client, key: &str, args: &Args) -> Result<Machine, Fault> {
    let limits = limits::parse(args.limits.as_ref())?;
    let _turn = client.store.turn()?;
    let id = store::id(key);
    let seed = seed::digest(args);
    if let Some(machine) = client.store.get::<Machine>(&id)? {
        let same = machine.name == args.name
            && machine.ip == args.ip
            && machine.network == args.network_id
            && machine.image == args.image_id
            && machine.limits == limits
            && machine.tmpfs == args.tmpfs
            && machine.seed == seed
            && args.backend.as_ref().is_none_or(|wanted| machine.backend == *wanted);
        if same {
            return Ok(machine);
        }
        // A creation that was cut off, of what the plan says otherwise by now.
        machine.backend()?.remove(&machine.place(client))?;
        client.store.remove::<Machine>(&id)?;
    }
    let network = client.store.get::<Network>(&args.network_id)?.ok_or_else(|| {
        Fault::permanent(format!("there is no local network {}", args.network_id))
            .hint("give local_network.NAME.id")
            .attribute("network_id")
    })?;
    let root = image::root(client, &args.image_id)?.ok_or_else(|| {
        Fault::permanent(format!("there is no local image {}", args.image_id))
            .hint("give local_image.NAME.id")
            .attribute("image_id")
    })?;
    seed::check(&root, args)?;
    let ip = args.ip;
    let blame = |what: String| Fault::permanent(what).attribute("ip");
    if !is_host(network.cidr, ip) {
        return Err(blame(format!(
            "{ip} is no address of a host in {}, the range of the network {}",
            network.cidr, network.name
        )));
    }
    if ip == network.gateway {
        return Err(blame(format!("{ip} is the gateway of the network {}", network.name)));
    }
    for other in client.store.all::<Machine>()?.iter().filter(|m| m.network == args.network_id) {
        if other.ip == ip {
            return Err(blame(format!("the machine {} ({}) has {ip} already", other.name, other.id)));
        }
        if other.name == args.name {
            return Err(Fault::permanent(format!(
                "the network {} has a machine {} already ({})",
                network.name, other.name, other.ip
            ))
            .attribute("name"));
        }
    }
    let socket = backend::socket(client.docker_host.as_deref());
    let backend =
        backend::choose(args.backend.as_deref(), client.store.root(), socket.as_deref())?.name().to_owned();
    let machine = Machine {
        id,
        key: key.to_owned(),
        name: args.name.clone(),
        ip,
        network: args.network_id.clone(),
        image: args.image_id.clone(),
        root,
        backend,
        socket,
        limits,
        tmpfs: args.tmpfs.clone(),
        seed,
        host_key: String::new(),
    };
    client.store.put(&machine)?;
    Ok(machine)
}

impl Resource for LocalMachine {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "local_machine"
    }

    fn schema(&self) -> Schema {
        Schema::new(
            "A machine on this computer: its own root, processes, network and cgroups, with systemd as PID 1. It outlives the run, until it is \
             destroyed. SSH to its address works from grappe's own host types; no route to it is needed.",
        )
        .attr("name", Attribute::required(Type::String, "Its name and its host's; one on its network.").replace())
        .attr("image_id", Attribute::required(Type::String, "What it boots: `local_image.NAME.id`.").replace())
        .attr("network_id", Attribute::required(Type::String, "Where it is plugged in: `local_network.NAME.id`.").replace())
        .attr("ip", Attribute::required(Type::String, "Its IPv4 address in the network's range; nobody else's.").replace())
        .attr("authorized_keys", Attribute::optional(Type::list(Type::String), "SSH public keys of who may log in as root.").replace())
        .attr("user_data", Attribute::optional(Type::String, "What cloud-init does at the first boot: `#cloud-config` or a script. The image must have cloud-init.").replace())
        .attr("limits", Attribute::optional(limits::ty(), "What it may use at most: an object with, as needed, `cpus` (also in part: 1.5), `memory` (`512Mi`, `2Gi`, or bytes) and `pids`. A virtual machine takes them when it starts: whole processors (all, if not said), memory (`2Gi`, if not said), no `pids`."))
        .attr("tmpfs", Attribute::optional(Type::list(Type::String), "Folders that lie in memory and are empty after a boot, such as `/var/lib/etcd` where its disk is slow.").replace())
        .attr("backend", Attribute::optional_computed(Type::String, "How it runs: `namespaces`; `docker` (a privileged container of Docker's or Podman's); or `qemu` (a virtual machine on x86_64, with the \
             kernel that its image must have, such as Debian's `linux-image-cloud-amd64`; its disk grows up to 32 GiB; emulated, and slow, where KVM does \
             not work). All need root. The first that works here by default.").replace())
        .attr("id", Attribute::computed(Type::String, "Its id, another one after each creation: the `instance` of its `host_machine`."))
        .attr("status", Attribute::computed(Type::String, "`running`, or `stopped`: it is started again then, with its disk as it was."))
        .attr("host_key", Attribute::computed(Type::String, "Its SSH host key, as an OpenSSH public key line: the `host_key` of its `host_machine`."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let text = |name: &str| config.get(name).and_then(Value::as_str);
        let mut problems = Vec::new();
        let label = |name: &str| {
            (1..=63).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !name.starts_with('-')
                && !name.ends_with('-')
        };
        if text("name").is_some_and(|name| !label(name)) {
            problems.push(
                Problem::new("name", "not the name of a host")
                    .hint("it has lower-case letters, digits and hyphens, 63 at most"),
            );
        }
        if text("ip").is_some_and(|ip| ip.parse::<Ipv4Addr>().is_err()) {
            problems.push(Problem::new("ip", "not an IPv4 address"));
        }
        if let Some(name) = text("backend")
            && let Err(fault) = backend::named(name)
        {
            let problem = Problem::new("backend", fault.summary);
            problems.push(match fault.hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
        }
        for path in
            config.get("tmpfs").and_then(Value::as_items).unwrap_or_default().iter().filter_map(Value::as_str)
        {
            if !path.starts_with('/') || path.len() < 2 || path.split('/').any(|part| part == "..") {
                problems
                    .push(Problem::new("tmpfs", format!("{path:?} is not the absolute path of a folder")));
            }
        }
        if let Some(limits) = config.get("limits") {
            problems.extend(limits::validate(limits));
        }
        problems
    }

    fn plan(&self, change: &mut Change<'_>) {
        change.set("status", RUNNING.into());
    }

    fn importable(&self) -> Importable {
        Importable::Not("only what grappe made on this computer carries the marks by which it is found")
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        blocking(ctx, move |client, _| {
            client.store.get::<Machine>(&state.id)?.map(|machine| machine.state(client)).transpose()
        })
        .await
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let run = ctx.run();
        blocking(ctx, move |client, key| {
            backend::root()?;
            let mut machine = claim(client, key, &args)?;
            if machine.host_key.is_empty() {
                let dir = client.store.dir::<Machine>(&machine.id);
                machine.host_key = seed::write(&dir, &machine, machine.network(client)?.resolver(), &args)?;
                client.store.put(&machine)?;
            }
            run.progress("booting");
            machine.start(client, &|how| run.progress(how))?;
            machine.state(client)
        })
        .await
    }

    async fn update(&self, ctx: &Context<Client>, prior: State, args: Args) -> Result<State, Fault> {
        let run = ctx.run();
        blocking(ctx, move |client, _| {
            let found = client.store.get::<Machine>(&prior.id)?;
            let mut machine = found.ok_or_else(|| Fault::gone("the local machine is gone"))?;
            let limits = limits::parse(args.limits.as_ref())?;
            let backend = machine.backend()?;
            let running = backend.is_running(&machine.place(client))?;
            if machine.limits != limits {
                machine.limits = limits;
                if running {
                    backend.limit(&machine.place(client))?;
                }
                // Only now: what could not be laid on it is tried again.
                client.store.put(&machine)?;
            }
            if !running {
                run.progress("starting it again");
                machine.start(client, &|how| run.progress(how))?;
            }
            machine.state(client)
        })
        .await
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        blocking(ctx, move |client, _| {
            if let Some(machine) = client.store.get::<Machine>(&state.id)? {
                machine.backend()?.remove(&machine.place(client))?;
            }
            client.store.remove::<Machine>(&state.id)
        })
        .await
    }

    async fn adopt(&self, ctx: &Context<Client>, _: Args) -> Result<Option<State>, Fault> {
        let looks = ctx.only_looks();
        blocking(ctx, move |client, key| {
            let id = store::id(key);
            match client.store.get::<Machine>(&id)? {
                Some(machine) => machine.state(client).map(Some),
                None if looks => Ok(None),
                None => client.store.remove::<Machine>(&id).map(|()| None),
            }
        })
        .await
    }
}
