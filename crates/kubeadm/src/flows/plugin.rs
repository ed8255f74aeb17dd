//! What network plugins say from node to node.
//!
//! | plugin | mode | what |
//! |---|---|---|
//! | kube-router | `subnet` | BGP, IP in IP between subnets; pods' packets as they are within one |
//! | | `full` | BGP, IP in IP |
//! | | `routed` | BGP; pods' packets as they are |
//! | Antrea | `geneve`, `vxlan`, `gre`, `stt` | the tunnel; TCP 10349 to its controller |
//! | | `routed` | pods' packets as they are; TCP 10349 to its controller |
//! | flannel | `vxlan`, `wireguard` | the tunnel |
//! | | `routed` (its host-gw) | pods' packets as they are |
//! | Weave | `weave` | TCP 6783, UDP 6783-6784 |
//! | Calico | `ipip`, `vxlan` | the tunnel; BGP with IP in IP |
//! | | `routed` | BGP; pods' packets as they are |
//! | Cilium | `vxlan`, `geneve` | the tunnel; TCP 4240 and ICMP echo, whether nodes are well |
//! | | `routed` (its native routing) | pods' packets as they are; TCP 4240 and ICMP echo |
//!
//! The first mode is the default. Where pods' packets go as they are, everything must pass between nodes: a pod listens where it wants, and a security
//! group that lets another in lets in the addresses that its ports may have as well (`allowed_address_pairs`).

use std::str::FromStr;

use crate::cni::Kind;

use super::{Error, Feature, Found, Ports, Protocol, tcp, udp};

/// How pods' packets go from node to node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As they are.
    Routed,
    /// As they are within a subnet, in IP between subnets.
    Subnet,
    /// Always in IP.
    Full,
    /// IP in IP.
    IpIp,
    /// VXLAN.
    Vxlan,
    /// Geneve.
    Geneve,
    /// GRE.
    Gre,
    /// STT.
    Stt,
    /// WireGuard.
    WireGuard,
    /// Weave's own.
    Weave,
}

words!(
    Mode,
    "mode",
    Routed = "routed",
    Subnet = "subnet",
    Full = "full",
    IpIp = "ipip",
    Vxlan = "vxlan",
    Geneve = "geneve",
    Gre = "gre",
    Stt = "stt",
    WireGuard = "wireguard",
    Weave = "weave"
);

impl Mode {
    /// A plugin's modes, its default first.
    pub fn of(cni: Kind) -> &'static [Mode] {
        match cni {
            Kind::KubeRouter => &[Mode::Subnet, Mode::Full, Mode::Routed],
            Kind::Antrea => &[Mode::Geneve, Mode::Vxlan, Mode::Gre, Mode::Stt, Mode::Routed],
            Kind::Flannel => &[Mode::Vxlan, Mode::WireGuard, Mode::Routed],
            Kind::Weave => &[Mode::Weave],
            Kind::Calico => &[Mode::IpIp, Mode::Vxlan, Mode::Routed],
            Kind::Cilium => &[Mode::Vxlan, Mode::Geneve, Mode::Routed],
            Kind::Other => &[Mode::Routed],
        }
    }
}

const ROUTED: &str = "pods' packets, as they are";

impl Found<'_> {
    pub(super) fn plugin(&mut self) -> Result<(), Error> {
        let (cni, modes) = (self.cluster.cni, Mode::of(self.cluster.cni));
        let mode = self.cluster.mode.unwrap_or(modes[0]);
        if !modes.contains(&mode) {
            let known = modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(", ");
            return Err(Error::Mode { cni, mode: mode.name(), known });
        }
        let has = |feature| self.cluster.features.contains(&feature);
        let wireguard = has(Feature::WireGuard);
        match cni {
            Kind::KubeRouter => {
                self.mesh(tcp(179), "BGP");
                if mode != Mode::Routed {
                    self.mesh((Protocol::IpIp, None), "pods' packets, in IP");
                }
            }
            Kind::Antrea => {
                let (egress, api) = (has(Feature::AntreaEgress), has(Feature::AntreaAgentApi));
                let (nodes, open) = (self.nodes(), self.open());
                self.each(&nodes, &open, tcp(10349), "Antrea's controller");
                if api {
                    self.each(&open, &nodes, tcp(10350), "Antrea's agents");
                }
                if egress {
                    self.mesh(tcp(10351), "Antrea's agents: who is there");
                    self.mesh(udp(10351, 10351), "Antrea's agents: who is there");
                }
                if wireguard {
                    self.mesh(udp(51820, 51820), "WireGuard: pods' packets");
                }
            }
            Kind::Weave => {
                self.mesh(tcp(6783), "Weave: control");
                self.mesh(udp(6783, 6784), "Weave: pods' packets");
            }
            Kind::Calico => {
                if mode != Mode::Vxlan {
                    self.mesh(tcp(179), "BGP");
                }
                if has(Feature::Typha) {
                    let (nodes, open) = (self.nodes(), self.open());
                    self.each(&nodes, &open, tcp(5473), "Typha");
                }
                if wireguard {
                    self.mesh(udp(51820, 51821), "WireGuard: pods' packets");
                }
            }
            Kind::Cilium => {
                self.mesh(tcp(4240), "Cilium: whether nodes are well");
                self.mesh((Protocol::Ping, None), "Cilium: whether nodes are well");
                if wireguard {
                    self.mesh(udp(51871, 51871), "WireGuard: pods' packets");
                }
            }
            Kind::Flannel | Kind::Other => {}
        }
        let (what, reason): ((Protocol, Ports), &str) = match (mode, cni) {
            (Mode::Routed | Mode::Subnet, _) => ((Protocol::Any, None), ROUTED),
            (Mode::IpIp, _) => ((Protocol::IpIp, None), "pods' packets, in IP"),
            // Antrea and Calico take VXLAN's own port, flannel and Cilium that of Linux.
            (Mode::Vxlan, Kind::Flannel | Kind::Cilium) => (udp(8472, 8472), "VXLAN: pods' packets"),
            (Mode::Vxlan, _) => (udp(4789, 4789), "VXLAN: pods' packets"),
            (Mode::Geneve, _) => (udp(6081, 6081), "Geneve: pods' packets"),
            (Mode::Gre, _) => ((Protocol::Gre, None), "GRE: pods' packets"),
            (Mode::Stt, _) => (tcp(7471), "STT: pods' packets"),
            (Mode::WireGuard, _) => (udp(51820, 51821), "WireGuard: pods' packets"),
            // Said above.
            (Mode::Full | Mode::Weave, _) => return Ok(()),
        };
        self.mesh(what, reason);
        Ok(())
    }

    /// Every node with every node.
    fn mesh(&mut self, what: (Protocol, Ports), reason: &str) {
        let nodes = self.nodes();
        self.each(&nodes, &nodes, what, reason);
    }
}
