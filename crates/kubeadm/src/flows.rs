//! The flows of a cluster: who talks to whom, on which port, and why. A firewall team gets them as a table, a cloud as rules of security groups.
//!
//! A cluster is described by *groups* of its machines (a role, the zone they stand in, whether they are tainted) and by *others* who talk
//! to it. What the machines' role, the network plugin and its mode ask for is [`Cluster::flows`]; what of it crosses from one zone into another is what
//! a firewall between them must let pass.
//!
//! | who | to whom | what |
//! |---|---|---|
//! | admin | all | SSH |
//! | admin, all nodes | control planes, load balancers | API server |
//! | load balancers, the cloud's balancer | control planes | API server, and the question whether it is well |
//! | control planes | control planes | etcd |
//! | control planes | all nodes | kubelet |
//! | nodes without a taint | all nodes | kubelet, for metrics-server |
//! | monitoring | control planes, all nodes | etcd's and kubelet's metrics |
//! | the cloud's balancer | all nodes | whether kube-proxy is well |
//! | clients, the cloud's balancer | workers | NodePorts |
//! | load balancers | load balancers | VRRP |
//! | all nodes | all nodes | the network plugin, in its [`Mode`] |
//!
//! What a machine says to itself (scheduler, controller manager, a local proxy) passes no firewall. A tainted group runs no pod that does not
//! tolerate its taint, so nobody looks for metrics-server or Antrea's controller there.
//!
//! Sources: "Ports and Protocols" of Kubernetes' reference, and each plugin's own page of requirements.

macro_rules! words {
    ($type:ty, $what:literal, $($variant:ident = $word:literal),+ $(,)?) => {
        impl $type {
            /// All of them, as plans name them.
            pub const NAMES: &'static [&'static str] = &[$($word),+];

            /// Its name in plans.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Error::Unknown { what: $what, name: text.into(), known: Self::NAMES.join(", ") }),
                }
            }
        }
    };
}

mod plugin;
mod rules;
mod table;

use std::fmt;
use std::str::FromStr;

use crate::cni::Kind;

pub use plugin::Mode;
pub use rules::{Family, Rule};
pub use table::{Row, csv, markdown, rows, text};

/// What a group's machines do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A control plane, with its etcd.
    ControlPlane,
    /// A worker.
    Worker,
    /// A machine whose HAProxy stands before the control planes.
    LoadBalancer,
}

/// What others want of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To administer it: SSH and the API.
    Admin,
    /// To use what runs in it.
    Client,
    /// The cloud's own load balancer, before the API and the NodePorts.
    Balancer,
    /// To collect its metrics.
    Monitoring,
    /// Nothing that is known here: it only stands in flows of one's own.
    Other,
}

/// What some clusters have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// metrics-server, which asks every kubelet.
    MetricsServer,
    /// keepalived on the load balancers.
    Keepalived,
    /// Antrea's Egress or ServiceExternalIP: its agents gossip about who is there.
    AntreaEgress,
    /// Antrea's controller asks its agents: support bundles, traces.
    AntreaAgentApi,
    /// Calico's Typha.
    Typha,
    /// Encryption by WireGuard, of Antrea, Calico or Cilium. (Of flannel it is a mode.)
    WireGuard,
}

words!(Role, "role", ControlPlane = "control_plane", Worker = "worker", LoadBalancer = "load_balancer");
words!(
    Purpose,
    "purpose",
    Admin = "admin",
    Client = "client",
    Balancer = "balancer",
    Monitoring = "monitoring",
    Other = "other"
);
words!(
    Feature,
    "feature",
    MetricsServer = "metrics-server",
    Keepalived = "keepalived",
    AntreaEgress = "antrea-egress",
    AntreaAgentApi = "antrea-agent-api",
    Typha = "typha",
    WireGuard = "wireguard"
);

/// Machines of the same kind in the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name, and that of its security group.
    pub name: String,
    /// What they do.
    pub role: Role,
    /// Where they stand: `LAN`, `DMZ`. Empty for a cluster in one place.
    pub zone: String,
    /// Whether a taint keeps ordinary pods away. (Control planes' own taint does not: what a cluster needs tolerates it.)
    pub tainted: bool,
}

/// Somebody who is no machine of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// What it wants.
    pub purpose: Purpose,
    /// Where it stands.
    pub zone: String,
    /// Its addresses, as far as they are known: without them there is no rule for it, only a line in the table.
    pub ranges: Vec<String>,
}

/// Of what kind the packets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP's echo requests.
    Ping,
    /// IP in IP, protocol 4.
    IpIp,
    /// GRE, protocol 47.
    Gre,
    /// VRRP, protocol 112.
    Vrrp,
    /// Everything.
    Any,
}

/// From one port to another; of TCP and UDP only.
pub type Ports = Option<(u16, u16)>;

/// One flow: packets that the first side begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Who begins: a group or another.
    pub from: String,
    /// To whom.
    pub to: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The ports of `to`.
    pub ports: Ports,
    /// What for.
    pub reason: String,
}

/// A cluster, as far as its flows depend on it.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The network plugin.
    pub cni: Kind,
    /// How it carries pods' packets; `None` for its default.
    pub mode: Option<Mode>,
    /// Its machines.
    pub groups: Vec<Group>,
    /// Who else talks to it.
    pub others: Vec<Other>,
    /// Flows of one's own, between any of them.
    pub own: Vec<Flow>,
    /// What it has.
    pub features: Vec<Feature>,
    /// The API server's port.
    pub api_port: u16,
    /// The port of the API on load balancers.
    pub balancer_port: u16,
    /// The ports of Services of type NodePort.
    pub node_ports: (u16, u16),
}

/// Why a cluster has no flows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A word that means nothing here.
    #[error("{name:?} is no {what}: it is one of {known}")]
    Unknown {
        /// What it should be.
        what: &'static str,
        /// The word.
        name: String,
        /// The words that are known.
        known: String,
    },
    /// A plugin has other modes.
    #[error("{cni} has no mode {mode}: it is one of {known}")]
    Mode {
        /// The plugin.
        cni: Kind,
        /// The mode.
        mode: &'static str,
        /// Its modes.
        known: String,
    },
    /// Two are called the same.
    #[error("two are called {0:?}: flows tell them by their names")]
    Twice(String),
    /// A flow of one's own names nobody.
    #[error(
        "a flow goes from {from:?} to {to:?}, but nobody is called {missing:?}: declare it as a group or among the others"
    )]
    Nobody {
        /// Its source.
        from: String,
        /// Its destination.
        to: String,
        /// The name that nobody has.
        missing: String,
    },
    /// Ports that are none.
    #[error("{0:?} are no ports: write 443, or 30000-32767")]
    Ports(String),
    /// A range that is none.
    #[error("{range:?} of {name} is no range of addresses: write it as 192.0.2.0/24")]
    Range {
        /// Whose.
        name: String,
        /// The text.
        range: String,
    },
}

impl Cluster {
    /// A cluster of no machine yet, with the ports that kubeadm gives it.
    pub fn new(cni: Kind) -> Cluster {
        Cluster {
            cni,
            mode: None,
            groups: Vec::new(),
            others: Vec::new(),
            own: Vec::new(),
            features: Vec::new(),
            api_port: 6443,
            balancer_port: 6443,
            node_ports: (30000, 32767),
        }
    }

    fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// Where somebody stands.
    pub fn zone(&self, name: &str) -> Option<&str> {
        let groups = self.groups.iter().map(|group| (&group.name, &group.zone));
        let mut all = groups.chain(self.others.iter().map(|other| (&other.name, &other.zone)));
        all.find(|(n, _)| *n == name).map(|(_, zone)| zone.as_str())
    }

    /// All flows, each once: those of the cluster, those of its plugin, and one's own.
    ///
    /// # Errors
    /// A mode that the plugin does not have; a name that is nobody's, or two peoples'.
    pub fn flows(&self) -> Result<Vec<Flow>, Error> {
        self.check()?;
        let mut found = Found { cluster: self, flows: Vec::new() };
        found.base();
        found.plugin()?;
        found.flows.extend(self.own.iter().cloned());
        Ok(found.flows)
    }

    fn check(&self) -> Result<(), Error> {
        let groups = self.groups.iter().map(|group| group.name.as_str());
        let names: Vec<&str> = groups.chain(self.others.iter().map(|other| other.name.as_str())).collect();
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(Error::Twice((*name).to_owned()));
            }
        }
        for flow in &self.own {
            if let Some(missing) =
                [&flow.from, &flow.to].into_iter().find(|name| !names.contains(&name.as_str()))
            {
                let (from, to, missing) = (flow.from.clone(), flow.to.clone(), missing.clone());
                return Err(Error::Nobody { from, to, missing });
            }
        }
        for other in &self.others {
            if let Some(range) = other.ranges.iter().find(|range| range.parse::<ipnet::IpNet>().is_err()) {
                return Err(Error::Range { name: other.name.clone(), range: range.clone() });
            }
        }
        Ok(())
    }
}

/// The flows that are found.
struct Found<'c> {
    cluster: &'c Cluster,
    flows: Vec<Flow>,
}

impl Found<'_> {
    /// The flows of every cluster.
    fn base(&mut self) {
        let cluster = self.cluster;
        let (api, nodes) = (tcp(cluster.api_port), cluster.node_ports);
        let (planes, all, balancers) = (self.planes(), self.nodes(), self.of(Role::LoadBalancer));
        let [admins, clients, clouds, monitors] =
            [Purpose::Admin, Purpose::Client, Purpose::Balancer, Purpose::Monitoring]
                .map(|purpose| self.others(purpose));
        let machines = [all.clone(), balancers.clone()].concat();
        self.each(&admins, &machines, tcp(22), "SSH");
        let callers = [admins, all.clone()].concat();
        self.each(&callers, &planes, api, "API server");
        self.each(&callers, &balancers, tcp(cluster.balancer_port), "API server");
        let fronts = [balancers.clone(), clouds.clone()].concat();
        self.each(&fronts, &planes, api, "API server, behind the load balancer");
        self.each(&planes, &planes, (Protocol::Tcp, Some((2379, 2380))), "etcd");
        self.each(&planes, &all, tcp(10250), "kubelet: logs, exec, port-forward");
        if cluster.has(Feature::MetricsServer) {
            self.each(&self.open(), &all, tcp(10250), "kubelet: metrics-server");
        }
        self.each(&monitors, &planes, tcp(2381), "etcd: metrics");
        self.each(&monitors, &all, tcp(10250), "kubelet: metrics");
        self.each(&clouds, &all, tcp(10256), "kube-proxy: whether it is well");
        let users = [clients, clouds].concat();
        let workers = self.of(Role::Worker);
        self.each(&users, &workers, (Protocol::Tcp, Some(nodes)), "NodePorts");
        self.each(&users, &workers, (Protocol::Udp, Some(nodes)), "NodePorts");
        if cluster.has(Feature::Keepalived) {
            self.each(&balancers, &balancers, (Protocol::Vrrp, None), "VRRP");
        }
    }

    fn of(&self, role: Role) -> Vec<String> {
        self.groups(|group| group.role == role)
    }

    fn planes(&self) -> Vec<String> {
        self.of(Role::ControlPlane)
    }

    fn nodes(&self) -> Vec<String> {
        self.groups(|group| group.role != Role::LoadBalancer)
    }

    /// Nodes on which anything may run that serves the cluster.
    fn open(&self) -> Vec<String> {
        self.groups(|group| group.role != Role::LoadBalancer && !group.tainted)
    }

    fn groups(&self, which: impl Fn(&Group) -> bool) -> Vec<String> {
        self.cluster.groups.iter().filter(|group| which(group)).map(|group| group.name.clone()).collect()
    }

    fn others(&self, purpose: Purpose) -> Vec<String> {
        let wanted = self.cluster.others.iter().filter(|other| other.purpose == purpose);
        wanted.map(|other| other.name.clone()).collect()
    }

    /// From each to each. What is open already for another reason is not said again.
    fn each(&mut self, from: &[String], to: &[String], (protocol, ports): (Protocol, Ports), reason: &str) {
        for from in from {
            for to in to {
                let same = |flow: &Flow| {
                    (&flow.from, &flow.to, flow.protocol, flow.ports) == (from, to, protocol, ports)
                };
                if !self.flows.iter().any(same) {
                    let (from, to, reason) = (from.clone(), to.clone(), reason.to_owned());
                    self.flows.push(Flow { from, to, protocol, ports, reason });
                }
            }
        }
    }
}

fn tcp(port: u16) -> (Protocol, Ports) {
    (Protocol::Tcp, Some((port, port)))
}

fn udp(first: u16, last: u16) -> (Protocol, Ports) {
    (Protocol::Udp, Some((first, last)))
}

/// Ports as people write them: `443`, `30000-32767`.
///
/// # Errors
/// Where they are none.
pub fn ports(text: &str) -> Result<(u16, u16), Error> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if 0 < first && first <= last => Ok((first, last)),
        _ => Err(Error::Ports(text.into())),
    }
}

impl Protocol {
    /// As people write it; `None` where nobody does.
    ///
    /// # Errors
    /// Where it is none.
    pub fn of(text: &str) -> Result<Protocol, Error> {
        let known = [Self::Tcp, Self::Udp, Self::Ping, Self::IpIp, Self::Gre, Self::Vrrp, Self::Any];
        let all = || known.map(Self::name).join(", ");
        let found = known.into_iter().find(|protocol| protocol.name() == text);
        found.ok_or_else(|| Error::Unknown { what: "protocol", name: text.into(), known: all() })
    }

    /// Its name in plans, and in rules of a cloud.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Ping => "icmp",
            Self::IpIp => "ipip",
            Self::Gre => "gre",
            Self::Vrrp => "vrrp",
            Self::Any => "any",
        }
    }

    /// Its name for people.
    fn shown(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Ping => "ICMP echo",
            Self::IpIp => "IP protocol 4",
            Self::Gre => "IP protocol 47",
            Self::Vrrp => "IP protocol 112",
            Self::Any => "any",
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}: {}", self.from, self.to, self.protocol.shown())?;
        match self.ports {
            Some((first, last)) if first == last => write!(f, " {first}"),
            Some((first, last)) => write!(f, " {first}-{last}"),
            None => Ok(()),
        }
    }
}
