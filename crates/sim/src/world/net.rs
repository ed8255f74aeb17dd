//! Who answers at an address: the simulated network between machines.

use std::net::Ipv4Addr;

use super::model::State;
use crate::host::keepalived;

/// Why a TCP connection was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The name has no address.
    UnknownName(String),
    /// The machine is up, nothing listens.
    Refused(String),
    /// Nobody has the address, or its machine is off.
    NoRoute(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownName(name) => write!(f, "lookup {name} on 192.0.2.53:53: no such host"),
            Self::Refused(at) => write!(f, "connect {at}: connection refused"),
            Self::NoRoute(at) => write!(f, "connect {at}: no route to host"),
        }
    }
}

impl State {
    /// The address of a name as `machine` sees it: a literal, its /etc/hosts, then the cloud's DNS, which knows machine names.
    pub fn resolve_name(&self, machine: &str, name: &str) -> Option<Ipv4Addr> {
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = name.parse() {
            return Some(ip);
        }
        let host = self.host(machine)?;
        let listed = host.etc_hosts().into_iter().filter(|(_, names)| names.iter().any(|n| n == name));
        if let Some(ip) = listed.filter_map(|(ip, _)| ip.parse().ok()).next() {
            return Some(ip);
        }
        if name == "localhost" || name == host.hostname {
            return Some(Ipv4Addr::LOCALHOST);
        }
        self.machines.values().find(|m| m.name == name).and_then(|m| m.host.nics.first()).map(|n| n.ip)
    }

    /// The running machine that has an address: on a card, or as the VRRP master of a virtual one.
    pub fn machine_at(&self, ip: Ipv4Addr) -> Option<&str> {
        let mut running = self.machines.iter().filter(|(_, m)| m.running);
        if let Some((id, _)) = running.find(|(_, m)| m.host.nics.iter().any(|n| n.ip == ip)) {
            return Some(id);
        }
        self.vip_master(ip)
    }

    /// The machine that holds a virtual address: of those running keepalived for it whose port may speak for it, the one of highest
    /// priority (then of highest address, as VRRP has it).
    fn vip_master(&self, ip: Ipv4Addr) -> Option<&str> {
        let mut best: Option<(u8, Ipv4Addr, &str)> = None;
        for (id, machine) in self.machines.iter().filter(|(_, m)| m.running) {
            let Some(config) = machine.host.loaded("keepalived") else { continue };
            for instance in keepalived::parse(config).unwrap_or_default() {
                if !instance.addresses.iter().any(|a| *a == ip.to_string()) {
                    continue;
                }
                let Some(card) = machine.host.nics.iter().position(|n| n.name == instance.interface) else {
                    continue;
                };
                if !machine.ports.get(card).is_some_and(|p| self.may_speak_for(p, ip)) {
                    continue;
                }
                let claim = (instance.priority, machine.host.nics[card].ip, id);
                if best.is_none_or(|b| (claim.0, claim.1) > (b.0, b.1)) {
                    best = Some(claim);
                }
            }
        }
        best.map(|(_, _, id)| id)
    }

    /// Whether the cloud lets a port use an address that is not its own.
    fn may_speak_for(&self, port: &str, ip: Ipv4Addr) -> bool {
        let Some(port) = self.ports.get(port) else { return false };
        let secured = self.networks.get(&port.network).is_none_or(|n| n.port_security);
        let allowed = |pair: &String| {
            pair.parse::<Ipv4Addr>().is_ok_and(|a| a == ip)
                || pair.parse::<ipnet::Ipv4Net>().is_ok_and(|n| n.contains(&ip))
        };
        !secured || port.allowed_address_pairs.iter().any(allowed)
    }

    /// Connects from a machine to `host:port` and follows load balancers to the end: the machine whose own process answers.
    ///
    /// # Errors
    /// As the network would refuse.
    pub fn connect(&self, from: &str, name: &str, port: u16) -> Result<String, Refusal> {
        let ip = self.resolve_name(from, name).ok_or_else(|| Refusal::UnknownName(name.to_owned()))?;
        self.connect_ip(from, ip, port, 0)
    }

    fn connect_ip(&self, from: &str, ip: Ipv4Addr, port: u16, hops: u8) -> Result<String, Refusal> {
        let at = format!("{ip}:{port}");
        let target = if ip.is_loopback() { Some(from) } else { self.machine_at(ip) };
        let Some(target) = target else { return Err(Refusal::NoRoute(at)) };
        let Some(machine) = self.machines.get(target).filter(|m| m.running) else {
            return Err(Refusal::NoRoute(at));
        };
        if machine.host.node.as_ref().is_some_and(|n| n.api_port == Some(port)) {
            return if self.apiserver_up(target) { Ok(target.to_owned()) } else { Err(Refusal::Refused(at)) };
        }
        let Some(config) = machine.host.haproxy_running() else { return Err(Refusal::Refused(at)) };
        let listens = |address: &str| {
            address.is_empty() || address == "0.0.0.0" || address.parse::<Ipv4Addr>().is_ok_and(|a| a == ip)
        };
        let front = config.binds().find(|(_, b)| b.port == port && listens(&b.address)).map(|(p, _)| p);
        let Some(front) = front else { return Err(Refusal::Refused(at)) };
        if hops > 4 {
            return Err(Refusal::Refused(at)); // proxies that point at each other
        }
        let servers = config.servers_of(front).iter().filter(|s| !s.disabled);
        let (main, backup): (Vec<_>, Vec<_>) = servers.partition(|s| !s.backup);
        let reached = main.into_iter().chain(backup).find_map(|server| {
            let ip = self.resolve_name(target, &server.address)?;
            self.connect_ip(target, ip, server.port.unwrap_or(port), hops + 1).ok()
        });
        // HAProxy accepts and hangs up when no server is there; a client sees the connection end.
        reached.ok_or(Refusal::Refused(at))
    }

    /// Whether the API server's process of a control plane runs: kubelet once started its pod and containerd keeps it.
    pub fn apiserver_up(&self, machine: &str) -> bool {
        let Some(machine) = self.machines.get(machine) else { return false };
        let host = &machine.host;
        machine.running
            && host.node.as_ref().is_some_and(|n| n.api_port.is_some())
            && host.active("containerd")
            && host.files.exists("/etc/kubernetes/manifests/kube-apiserver.yaml")
            && host.node.as_ref().is_some_and(|n| n.pods_up)
    }
}
