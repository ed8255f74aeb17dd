//! `data "kubeadm_flows"`: who talks to whom in a cluster, as rules to feed `for_each` with, and as the table that a firewall team wants.
//!
//! What flows there are is [`grappe_kubeadm::flows`]' knowledge. Nothing is read anywhere: the answer is there when its arguments are known, while planning.

use std::collections::BTreeMap;

use grappe_kubeadm::flows::{
    Cluster, Error, Family, Feature, Flow, Group, Mode, Other, Protocol, Purpose, Role, csv, markdown, ports,
    rows, text,
};
use grappe_provider::{Context, DataSource, Fault};
use grappe_value::{Attribute, Nesting, Schema, Type};
use serde::{Deserialize, Serialize};

use crate::client::Client;

/// `data "kubeadm_flows"`.
pub struct KubeadmFlows;

/// Its arguments.
#[derive(Debug, Deserialize)]
pub struct Args {
    cni: String,
    mode: Option<String>,
    features: Vec<String>,
    families: Vec<String>,
    api_port: u16,
    balancer_port: u16,
    node_ports: String,
    within_zones: bool,
    group: Vec<GroupBlock>,
    other: Vec<OtherBlock>,
    flow: Vec<FlowBlock>,
}

#[derive(Debug, Deserialize)]
struct GroupBlock {
    name: String,
    role: String,
    zone: String,
    tainted: bool,
}

#[derive(Debug, Deserialize)]
struct OtherBlock {
    name: String,
    purpose: String,
    zone: String,
    ranges: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct FlowBlock {
    from: String,
    to: String,
    protocol: String,
    ports: Option<String>,
    reason: String,
}

/// What it gives.
#[derive(Debug, Serialize)]
pub struct State {
    rules: BTreeMap<String, RuleValue>,
    flows: Vec<FlowValue>,
    table: String,
    csv: String,
    markdown: String,
}

#[derive(Debug, Serialize)]
struct RuleValue {
    group: String,
    direction: &'static str,
    ethertype: &'static str,
    protocol: Option<&'static str>,
    port_range_min: Option<u16>,
    port_range_max: Option<u16>,
    remote_group: Option<String>,
    remote_ip_prefix: Option<String>,
    description: String,
}

#[derive(Debug, Serialize)]
struct FlowValue {
    from: String,
    from_zone: String,
    to: String,
    to_zone: String,
    protocol: &'static str,
    ports: Option<String>,
    reason: String,
}

impl DataSource for KubeadmFlows {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "kubeadm_flows"
    }

    fn schema(&self) -> Schema {
        schema()
    }

    async fn read(&self, _: &Context<Client>, args: Args) -> Result<State, Fault> {
        state(args).map_err(|error| Fault::permanent(error.to_string()))
    }
}

fn state(args: Args) -> Result<State, Error> {
    let families = args.families.iter().map(|name| family(name)).collect::<Result<Vec<_>, _>>()?;
    let within = args.within_zones;
    let cluster = cluster(args)?;
    let flows = cluster.flows()?;
    let zoned = cluster.groups.iter().any(|group| !group.zone.is_empty());
    let table = rows(&cluster, &flows, zoned && !within);
    let rules = cluster.rules(&families)?.into_iter().map(|rule| {
        let value = RuleValue {
            group: rule.group,
            direction: "ingress",
            ethertype: rule.family.name(),
            protocol: (rule.protocol != Protocol::Any).then_some(match (rule.protocol, rule.family) {
                (Protocol::Ping, Family::V6) => "ipv6-icmp",
                (protocol, _) => protocol.name(),
            }),
            port_range_min: rule.ports.map(|(first, _)| first),
            port_range_max: rule.ports.map(|(_, last)| last),
            remote_group: rule.from_group,
            remote_ip_prefix: rule.from_range,
            description: rule.reason,
        };
        (rule.key, value)
    });
    let zone = |name: &str| cluster.zone(name).unwrap_or_default().to_owned();
    let shown =
        |(first, last): (u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    Ok(State {
        rules: rules.collect(),
        table: text(&table),
        csv: csv(&table),
        markdown: markdown(&table),
        flows: flows
            .into_iter()
            .map(|flow| FlowValue {
                from_zone: zone(&flow.from),
                to_zone: zone(&flow.to),
                from: flow.from,
                to: flow.to,
                protocol: flow.protocol.name(),
                ports: flow.ports.map(shown),
                reason: flow.reason,
            })
            .collect(),
    })
}

fn family(name: &str) -> Result<Family, Error> {
    let known = [Family::V4, Family::V6];
    known.into_iter().find(|family| family.name() == name).ok_or_else(|| Error::Unknown {
        what: "family of addresses",
        name: name.into(),
        known: known.map(Family::name).join(", "),
    })
}

fn cluster(args: Args) -> Result<Cluster, Error> {
    let unknown = |error: grappe_kubeadm::cni::Error| match error {
        grappe_kubeadm::cni::Error::Unknown(name) => {
            Error::Unknown { what: "network plugin", name, known: "as in kube_cni, or other".into() }
        }
        other => Error::Unknown { what: "network plugin", name: args.cni.clone(), known: other.to_string() },
    };
    let group = |block: GroupBlock| -> Result<Group, Error> {
        Ok(Group {
            role: block.role.parse::<Role>()?,
            name: block.name,
            zone: block.zone,
            tainted: block.tainted,
        })
    };
    let other = |block: OtherBlock| -> Result<Other, Error> {
        let purpose = block.purpose.parse::<Purpose>()?;
        Ok(Other { purpose, name: block.name, zone: block.zone, ranges: block.ranges })
    };
    let flow = |block: FlowBlock| -> Result<Flow, Error> {
        let ports = block.ports.as_deref().map(ports).transpose()?;
        let protocol = Protocol::of(&block.protocol)?;
        Ok(Flow { from: block.from, to: block.to, protocol, ports, reason: block.reason })
    };
    Ok(Cluster {
        cni: args.cni.parse().map_err(unknown)?,
        mode: args.mode.as_deref().map(str::parse::<Mode>).transpose()?,
        groups: args.group.into_iter().map(group).collect::<Result<_, _>>()?,
        others: args.other.into_iter().map(other).collect::<Result<_, _>>()?,
        own: args.flow.into_iter().map(flow).collect::<Result<_, _>>()?,
        features: args.features.iter().map(|name| name.parse::<Feature>()).collect::<Result<_, _>>()?,
        api_port: args.api_port,
        balancer_port: args.balancer_port,
        node_ports: ports(&args.node_ports)?,
    })
}

fn schema() -> Schema {
    let texts = || Type::list(Type::String);
    let none = || grappe_value::Value::list(Type::String, []);
    let texts_of = |names: &[&str]| {
        names.iter().map(|name| (std::sync::Arc::from(*name), Type::String)).collect::<Vec<_>>()
    };
    let mut rule = texts_of(&[
        "group",
        "direction",
        "ethertype",
        "protocol",
        "remote_group",
        "remote_ip_prefix",
        "description",
    ]);
    rule.extend(["port_range_min", "port_range_max"].map(|name| (std::sync::Arc::from(name), Type::Number)));
    let flow = texts_of(&["from", "from_zone", "to", "to_zone", "protocol", "ports", "reason"]);
    Schema::new(
        "Who talks to whom in a cluster, on which port, and why: rules of security groups, and the table for a firewall between zones \
         (`grappe flows` prints it). Computed while planning; nothing is read.",
    )
    .attr("cni", Attribute::required(Type::String, "The network plugin: `kube-router`, `flannel`, `antrea`, `weave`, `calico`, `cilium`, or `other`."))
    .attr(
        "mode",
        Attribute::optional(
            Type::String,
            "How pods' packets go from node to node: `subnet`, `full` or `routed` of kube-router; `geneve`, `vxlan`, `gre`, `stt` or `routed` of \
             Antrea; `vxlan`, `wireguard` or `routed` (host-gw) of flannel; `ipip`, `vxlan` or `routed` of Calico; `vxlan`, `geneve` or `routed` \
             of Cilium. The first of each is the default.",
        ),
    )
    .attr(
        "features",
        Attribute::optional(
            texts(),
            "What the cluster has: `metrics-server`, `keepalived` (on the load balancers), `antrea-egress`, `antrea-agent-api`, `typha`, `wireguard`.",
        )
        .default(none()),
    )
    .attr(
        "families",
        Attribute::optional(texts(), "The machines' addresses, for rules between groups: `IPv4`, `IPv6`, or both.")
            .default(grappe_value::Value::list(Type::String, ["IPv4".into()])),
    )
    .attr("api_port", Attribute::optional(Type::Number, "The port of the API server.").default(6443))
    .attr("balancer_port", Attribute::optional(Type::Number, "The port of the API on load balancers.").default(6443))
    .attr("node_ports", Attribute::optional(Type::String, "The ports of Services of type NodePort.").default("30000-32767"))
    .block(
        "group",
        Nesting::List,
        Schema::new("Machines of the same kind in the same place, with a security group of their own.")
            .attr("name", Attribute::required(Type::String, "Its name."))
            .attr("role", Attribute::required(Type::String, "`control_plane`, `worker`, or `load_balancer` (a machine with HAProxy before the control planes)."))
            .attr("zone", Attribute::optional(Type::String, "Where they stand, such as `LAN` or `DMZ`.").default(""))
            .attr(
                "tainted",
                Attribute::optional(Type::Bool, "Whether a taint keeps away what serves the whole cluster, such as metrics-server.").default(false),
            ),
    )
    .block(
        "other",
        Nesting::List,
        Schema::new("Somebody who is no machine of the cluster.")
            .attr("name", Attribute::required(Type::String, "Its name."))
            .attr(
                "purpose",
                Attribute::optional(
                    Type::String,
                    "What it wants: `admin` (SSH, the API), `client` (NodePorts), `balancer` (the cloud's own load balancer: the API, NodePorts), \
                     `monitoring`, or `other`: only what `flow` blocks say.",
                )
                .default("other"),
            )
            .attr("zone", Attribute::optional(Type::String, "Where it stands.").default(""))
            .attr(
                "ranges",
                Attribute::optional(texts(), "Its addresses. Without them it stands in the table, and no rule lets it in.").default(none()),
            ),
    )
    .block(
        "flow",
        Nesting::List,
        Schema::new("A flow of one's own.")
            .attr("from", Attribute::required(Type::String, "Who begins: the name of a group or another."))
            .attr("to", Attribute::required(Type::String, "To whom."))
            .attr("protocol", Attribute::required(Type::String, "`tcp`, `udp`, `icmp` (echo), `ipip`, `gre`, `vrrp`, or `any`."))
            .attr("ports", Attribute::optional(Type::String, "The ports of TCP and UDP: `443`, `30000-32767`."))
            .attr("reason", Attribute::required(Type::String, "What for.")),
    )
    .attr(
        "rules",
        Attribute::computed(
            Type::map(Type::object(rule)),
            "For each flow into a group what its security group lets in, by a key that stays the same: `group`, `direction`, `ethertype`, `protocol` (null \
             for any), `port_range_min`, `port_range_max`, `remote_group` or `remote_ip_prefix`, `description`.",
        ),
    )
    .attr("flows", Attribute::computed(Type::list(Type::object(flow)), "All flows, those to others and within a zone among them."))
    .attr(
        "within_zones",
        Attribute::optional(Type::Bool, "Whether the table has flows within a zone too. Without zones it has all.").default(false),
    )
    .attr("table", Attribute::computed(Type::String, "The table of flows that cross from one zone into another, in columns: what `grappe flows` prints."))
    .attr("csv", Attribute::computed(Type::String, "The table in CSV."))
    .attr("markdown", Attribute::computed(Type::String, "The table in Markdown."))
}
