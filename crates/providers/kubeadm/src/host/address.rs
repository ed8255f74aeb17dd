//! The node's address, on machines that have several.
//!
//! kubeadm and the kubelet take the address of the default route's card. On machines with one card for the way out and one
//! for the cluster (every Vagrant box) that is the wrong one, on each machine the same; so an address is chosen here: by
//! `node_cidr`, else the one by which the machine is reached. Where that was a choice between several, a note says so.

use std::net::IpAddr;

use grappe_provider::Fault;
use ipnet::IpNet;

use super::args::Args;

/// One address of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) card: String,
    pub(super) ip: IpAddr,
}

/// Reads `ip -o addr show scope global`: `2: eth0    inet 10.0.0.5/24 brd …`.
///
/// Cards that containers and virtual services bring are left out: the node's address is on none of them. So is an address
/// alone in its network (a virtual one that keepalived holds), unless the machine has no other.
pub(super) fn read(text: &str) -> Vec<Address> {
    const OTHERS: [&str; 14] = [
        "cni",
        "docker",
        "flannel",
        "cali",
        "tunl",
        "kube-",
        "veth",
        "lxc",
        "cilium",
        "antrea",
        "weave",
        "vxlan",
        "nodelocaldns",
        "dummy",
    ];
    let line = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let card = words.next()?.to_owned();
        let ip = words.skip_while(|word| !matches!(*word, "inet" | "inet6")).nth(1)?;
        let (ip, prefix) = ip.split_once('/')?;
        let ip: IpAddr = ip.parse().ok()?;
        let alone = prefix == if ip.is_ipv4() { "32" } else { "128" };
        (!OTHERS.iter().any(|other| card.starts_with(other))).then_some((alone, Address { card, ip }))
    };
    let all: Vec<(bool, Address)> = text.lines().filter_map(line).collect();
    let crowd = all.iter().any(|(alone, _)| !alone);
    all.into_iter().filter(|(alone, _)| !(crowd && *alone)).map(|(_, address)| address).collect()
}

/// The address in `node_cidr`, or the one the host is reached by, or the only one there is.
pub(super) fn choose(args: &Args, addresses: &[Address], route: &str) -> Result<IpAddr, Fault> {
    if let Some(cidr) = &args.node_cidr {
        let net: IpNet = cidr
            .parse()
            .map_err(|_| Fault::permanent(format!("{cidr:?} is not a network")).attribute("node_cidr"))?;
        let inside = addresses.iter().map(|address| address.ip).find(|ip| net.contains(ip));
        return inside.ok_or_else(|| {
            Fault::permanent(format!(
                "{} has no address in {cidr}: it has {}",
                args.host.address,
                list(addresses)
            ))
            .attribute("node_cidr")
            .hint("set node_cidr to the network that the nodes share, and plug the machine into it")
        });
    }
    let reached = addresses.iter().find(|address| args.host.address == address.ip.to_string());
    match (reached, addresses) {
        (Some(own), _) => Ok(own.ip),
        (None, [only]) => Ok(only.ip),
        (None, _) => Err(Fault::permanent(format!(
            "{} has several addresses, and none is the one it is reached by: {}",
            args.host.address,
            list(addresses)
        ))
        .attribute("node_cidr")
        .hint(match way_out(route) {
            Some(card) => format!(
                "set node_cidr to the network that the nodes share; kubeadm left alone would take that of {card}, which has \
                 the default route"
            ),
            None => "set node_cidr to the network that the nodes share".into(),
        })),
    }
}

/// What is worth knowing where the address was a choice between several.
pub(super) fn note(args: &Args, addresses: &[Address], route: &str, chosen: &str) -> Option<String> {
    let same_family: Vec<&Address> = {
        let v4 = chosen.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4());
        addresses.iter().filter(|address| address.ip.is_ipv4() == v4).collect()
    };
    let own = addresses.iter().find(|address| address.ip.to_string() == chosen)?;
    if args.node_cidr.is_some() || same_family.len() < 2 {
        return None;
    }
    let elsewhere = way_out(route).filter(|card| *card != own.card);
    let route = elsewhere.map(|card| format!("; the default route leaves by {card}")).unwrap_or_default();
    Some(format!(
        "it has several addresses ({}): the node's is {chosen}, by which it is reached{route}. Set node_cidr to choose by network",
        list(addresses)
    ))
}

fn list(addresses: &[Address]) -> String {
    let one = |address: &Address| format!("{} ({})", address.ip, address.card);
    addresses.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The card in `default via 10.0.2.2 dev eth0 …`.
fn way_out(route: &str) -> Option<&str> {
    route.split_whitespace().skip_while(|word| *word != "dev").nth(1)
}
