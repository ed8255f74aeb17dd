//! `local_network`: a bridge in a network namespace.
//!
//! Everything of it lives in that namespace: this computer's own links, addresses, routes and sysctls stay as they are. The namespace is
//! made for it, or is one that exists already (a lab's): then only the bridge is ours.

pub(crate) mod link;
mod nat;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use grappe_provider::{Change, Context, Fault, Importable, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::store::{self, Record};
use crate::{Client, blocking, machine};

/// The type.
pub(crate) struct LocalNetwork;

/// A network's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Network {
    id: String,
    key: String,
    pub(crate) name: String,
    pub(crate) cidr: Ipv4Net,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) nat: bool,
    /// The network namespace, by its name in `/run/netns`.
    pub(crate) namespace: String,
    /// Whether the namespace was made for it.
    made: bool,
}

impl Record for Network {
    const KIND: &'static str = "networks";
    fn id(&self) -> &str {
        &self.id
    }
}

impl Network {
    /// The link that machines are plugged into.
    pub(crate) fn bridge(&self) -> String {
        format!("gb{}", self.id)
    }

    /// Who resolves names for its machines, where anybody does.
    pub(crate) fn resolver(&self) -> Option<Ipv4Addr> {
        self.nat.then_some(nat::RESOLVER)
    }

    /// Whether it is there and can be used.
    fn is_up(&self, client: &Client) -> Result<bool, Fault> {
        Ok(link::namespace_exists(&self.namespace)
            && link::exists(&self.namespace, &self.bridge())?
            && (!self.nat || nat::is_up(&client.store.dir::<Network>(&self.id))?))
    }

    /// Makes what is missing of it.
    fn raise(&self, client: &Client) -> Result<(), Fault> {
        if self.made {
            link::make_namespace(&self.namespace)?;
        } else if !link::namespace_exists(&self.namespace) {
            return Err(Fault::permanent(format!("there is no network namespace {}", self.namespace))
                .hint("make it (ip netns add), or leave namespace out: one is made then")
                .attribute("namespace"));
        }
        link::make_bridge(&self.namespace, &self.bridge(), self.gateway, self.cidr.prefix_len())?;
        if self.nat {
            nat::raise(&client.store.dir::<Network>(&self.id), self)?;
        }
        Ok(())
    }

    fn lower(&self, client: &Client) -> Result<(), Fault> {
        nat::lower(&client.store.dir::<Network>(&self.id))?;
        if self.made {
            link::remove_namespace(&self.namespace)
        } else if link::namespace_exists(&self.namespace) {
            link::remove(&self.namespace, &self.bridge())
        } else {
            Ok(())
        }
    }

    fn state(self, up: bool) -> State {
        State {
            status: if up { UP } else { DOWN }.to_owned(),
            id: self.id,
            name: self.name,
            cidr: self.cidr,
            gateway: self.gateway,
            nat: self.nat,
            namespace: self.namespace,
        }
    }
}

const UP: &str = "up";
const DOWN: &str = "down";

/// What the configuration says.
#[derive(Debug, Deserialize)]
pub(crate) struct Args {
    name: String,
    cidr: Ipv4Net,
    #[serde(default)]
    gateway: Option<Ipv4Addr>,
    #[serde(default)]
    nat: bool,
    #[serde(default)]
    namespace: Option<String>,
}

/// What is known of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    id: String,
    name: String,
    cidr: Ipv4Net,
    gateway: Ipv4Addr,
    nat: bool,
    namespace: String,
    #[serde(default)]
    status: String,
}

/// The first address that a host may have.
fn first_host(cidr: Ipv4Net) -> Ipv4Addr {
    cidr.hosts().next().unwrap_or(cidr.addr())
}

/// The record under a key; made where there is none, once nothing stands in its way.
fn claim(client: &Client, key: &str, args: Args) -> Result<Network, Fault> {
    let _turn = client.store.turn()?;
    let id = store::id(key);
    let gateway = args.gateway.unwrap_or_else(|| first_host(args.cidr));
    if let Some(network) = client.store.get::<Network>(&id)? {
        let same = network.name == args.name
            && network.cidr == args.cidr
            && network.gateway == gateway
            && network.nat == args.nat
            && args.namespace.as_ref().is_none_or(|wanted| network.namespace == *wanted);
        if same {
            return Ok(network);
        }
        // A creation that was cut off, of what the plan says otherwise by now.
        network.lower(client)?;
        client.store.remove::<Network>(&id)?;
    }
    for other in client.store.all::<Network>()? {
        if other.cidr.contains(&args.cidr) || args.cidr.contains(&other.cidr) {
            return Err(Fault::permanent(format!(
                "{} overlaps with {} of the local network {} ({})",
                args.cidr, other.cidr, other.name, other.id
            ))
            .hint("choose another cidr, destroy that network, or keep the two apart by the provider's directory")
            .attribute("cidr"));
        }
    }
    let network = Network {
        key: key.to_owned(),
        name: args.name,
        cidr: args.cidr,
        gateway,
        nat: args.nat,
        made: args.namespace.is_none(),
        namespace: args.namespace.unwrap_or_else(|| format!("grappe-{id}")),
        id,
    };
    client.store.put(&network)?;
    Ok(network)
}

impl Resource for LocalNetwork {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "local_network"
    }

    fn schema(&self) -> Schema {
        Schema::new("A network for machines on this computer: a bridge in a network namespace. This computer's own network stays as it is.")
            .attr("name", Attribute::required(Type::String, "Its name, for people."))
            .attr("cidr", Attribute::required(Type::String, "Its IPv4 range, such as `10.77.0.0/24`; no other network here may overlap with it.").replace())
            .attr("gateway", Attribute::optional_computed(Type::String, "The address that its machines send everything else to. The first of the range by default.").replace())
            .attr(
                "nat",
                Attribute::optional(
                    Type::Bool,
                    "Whether its machines reach what this computer reaches, and resolve names as it does, through slirp4netns (in user space). \
                     They do not reach this computer's own loopback.",
                )
                .default(false)
                .replace(),
            )
            .attr(
                "namespace",
                Attribute::optional_computed(
                    Type::String,
                    "The name of a network namespace that exists, to put the bridge into; the namespace itself is never removed. One is made otherwise.",
                )
                .replace(),
            )
            .attr("id", Attribute::computed(Type::String, "Its id."))
            .attr("status", Attribute::computed(Type::String, "`up`, or `down`: after this computer started anew, or when somebody took it down. It is brought up again then."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let text = |name: &str| config.get(name).and_then(Value::as_str);
        let mut problems = Vec::new();
        let cidr = match text("cidr").map(str::parse::<Ipv4Net>) {
            Some(Ok(cidr)) if cidr.trunc() == cidr && cidr.prefix_len() <= 30 => Some(cidr),
            Some(_) => {
                problems.push(
                    Problem::new("cidr", "not an IPv4 range for hosts")
                        .hint("write its first address and its prefix, as in 10.77.0.0/24"),
                );
                None
            }
            None => None,
        };
        match (text("gateway").map(str::parse::<Ipv4Addr>), cidr) {
            (Some(Err(_)), _) => problems.push(Problem::new("gateway", "not an IPv4 address")),
            (Some(Ok(gateway)), Some(cidr)) if !is_host(cidr, gateway) => {
                problems.push(Problem::new("gateway", format!("{gateway} is no address of a host in {cidr}")))
            }
            _ => {}
        }
        if config.get("nat").and_then(Value::as_bool) == Some(true) {
            if text("namespace").is_some() {
                problems.push(
                    Problem::new("nat", "a namespace that exists has its own way out, or none")
                        .hint("leave out nat, or namespace"),
                );
            }
            if cidr.is_some_and(|cidr| cidr.contains(&nat::RANGE) || nat::RANGE.contains(&cidr)) {
                problems.push(Problem::new(
                    "cidr",
                    format!("with nat it can't overlap with {}, slirp4netns's own", nat::RANGE),
                ));
            }
        }
        if text("namespace").is_some_and(|n| n.is_empty() || n.contains('/') || n.starts_with(['.', '-'])) {
            problems.push(Problem::new("namespace", "not the name of a network namespace (ip netns list)"));
        }
        problems
    }

    fn plan(&self, change: &mut Change<'_>) {
        change.set("status", UP.into());
        if let Some(cidr) = change.planned().get("cidr").and_then(Value::as_str)
            && let Ok(cidr) = cidr.parse()
            && change.config.get("gateway").is_some_and(Value::is_null)
        {
            change.set("gateway", first_host(cidr).to_string().into());
        }
    }

    fn importable(&self) -> Importable {
        Importable::Not("only what grappe made on this computer carries the marks by which it is found")
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        blocking(ctx, move |client, _| {
            let Some(network) = client.store.get::<Network>(&state.id)? else { return Ok(None) };
            let up = network.is_up(client)?;
            Ok(Some(network.state(up)))
        })
        .await
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        blocking(ctx, move |client, key| {
            crate::backend::root()?;
            let network = claim(client, key, args)?;
            network.raise(client)?;
            Ok(network.state(true))
        })
        .await
    }

    async fn update(&self, ctx: &Context<Client>, prior: State, args: Args) -> Result<State, Fault> {
        blocking(ctx, move |client, _| {
            let found = client.store.get::<Network>(&prior.id)?;
            let mut network = found.ok_or_else(|| Fault::gone("the local network is gone"))?;
            if network.name != args.name {
                network.name = args.name;
                client.store.put(&network)?;
            }
            network.raise(client)?;
            Ok(network.state(true))
        })
        .await
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        blocking(ctx, move |client, _| {
            {
                let _turn = client.store.turn()?;
                if let Some(machine) = machine::on_network(client, &state.id)? {
                    return Err(Fault::permanent(format!(
                        "the machine {machine} is still on the network {}",
                        state.name
                    ))
                    .hint("destroy it first, with the plan that made it"));
                }
            }
            if let Some(network) = client.store.get::<Network>(&state.id)? {
                network.lower(client)?;
            }
            client.store.remove::<Network>(&state.id)
        })
        .await
    }

    async fn adopt(&self, ctx: &Context<Client>, _: Args) -> Result<Option<State>, Fault> {
        let looks = ctx.only_looks();
        blocking(ctx, move |client, key| {
            let id = store::id(key);
            match client.store.get::<Network>(&id)? {
                Some(network) => {
                    let up = network.is_up(client)?;
                    Ok(Some(network.state(up)))
                }
                None if looks => Ok(None),
                None => client.store.remove::<Network>(&id).map(|()| None),
            }
        })
        .await
    }
}

/// Whether a host may have an address: it is in the range, and neither its first nor its last.
pub(crate) fn is_host(cidr: Ipv4Net, ip: Ipv4Addr) -> bool {
    cidr.contains(&ip) && ip != cidr.network() && ip != cidr.broadcast()
}

/// Where `ip netns` keeps a namespace.
pub(crate) fn namespace_path(name: &str) -> PathBuf {
    PathBuf::from("/run/netns").join(name)
}
