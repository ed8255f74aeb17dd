//! Namespaces, bridges and cables, through `ip` (iproute2). Each function may be called again after it was cut off at any point.

use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use grappe_provider::Fault;

use super::{Network, namespace_path};
use crate::process::Process;
use crate::run::{run, wait_for};
use crate::store::on;

/// A machine's end of its cable.
pub(crate) const PLUG: &str = "eth0";

/// Whether there is a network namespace of this name: a file of the kernel's own, not one that a killed `ip netns add` left.
pub(crate) fn namespace_exists(name: &str) -> bool {
    let device = |path: &std::path::Path| std::fs::metadata(path).map(|m| m.dev());
    match (device(&namespace_path(name)), device("/proc/self/ns/net".as_ref())) {
        (Ok(named), Ok(own)) => named == own,
        _ => false,
    }
}

/// Whether the namespace of this name is the one that a process is in.
pub(crate) fn is_namespace_of(name: &str, pid: i64) -> bool {
    let of = |path: &std::path::Path| std::fs::metadata(path).map(|m| (m.dev(), m.ino()));
    match (of(&namespace_path(name)), of(format!("/proc/{pid}/ns/net").as_ref())) {
        (Ok(named), Ok(own)) => named == own,
        _ => false,
    }
}

/// Ends the `ip` of a killed run that is still at something of this name: what it makes would come after, or over, what is made here.
fn alone_with(name: &str) -> Result<(), Fault> {
    let alone = wait_for(Duration::from_secs(10), || {
        let others = Process::with_word(&["ip"], name);
        others.iter().for_each(Process::kill);
        Ok(others.is_empty().then_some(()))
    })?;
    alone.ok_or_else(|| Fault::permanent(format!("an ip that works on {name} does not end")))
}

/// Makes a network namespace, with its loopback up.
pub(crate) fn make_namespace(name: &str) -> Result<(), Fault> {
    alone_with(name)?;
    if !namespace_exists(name) {
        forget_namespace(name)?;
        run("ip", &["netns", "add", name])?;
    }
    run("ip", &["-n", name, "link", "set", "lo", "up"]).map(drop)
}

/// Removes a network namespace, with the links in it.
pub(crate) fn remove_namespace(name: &str) -> Result<(), Fault> {
    alone_with(name)?;
    if namespace_exists(name) {
        // A machine's cable goes now, with its other end, not when the kernel comes to clear the namespace away.
        unplug(name, PLUG)?;
        run("ip", &["netns", "del", name])?;
    }
    forget_namespace(name)
}

/// Removes the mere file that a killed `ip netns` leaves under a name.
fn forget_namespace(name: &str) -> Result<(), Fault> {
    let path = namespace_path(name);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(on(&path, "remove", e)),
        _ => Ok(()),
    }
}

/// Whether a namespace has a link of this name.
pub(crate) fn exists(namespace: &str, link: &str) -> Result<bool, Fault> {
    let all = run("ip", &["-n", namespace, "-o", "link", "show"])?;
    // 2: gb0a1b2c: <BROADCAST,...   3: gl0a1b2c@if2: <...
    let mut names = all.lines().filter_map(|line| line.split(": ").nth(1));
    Ok(names.any(|name| name.split('@').next() == Some(link)))
}

/// Removes a link; what is gone is removed.
pub(crate) fn remove(namespace: &str, link: &str) -> Result<(), Fault> {
    alone_with(link)?;
    unplug(namespace, link)
}

fn unplug(namespace: &str, link: &str) -> Result<(), Fault> {
    if exists(namespace, link)? {
        run("ip", &["-n", namespace, "link", "del", link]).map(drop)
    } else {
        Ok(())
    }
}

/// Makes a bridge with an address.
pub(super) fn make_bridge(namespace: &str, bridge: &str, address: Ipv4Addr, prefix: u8) -> Result<(), Fault> {
    alone_with(bridge)?;
    if !exists(namespace, bridge)? {
        run("ip", &["-n", namespace, "link", "add", bridge, "type", "bridge"])?;
    }
    run("ip", &["-n", namespace, "addr", "replace", &format!("{address}/{prefix}"), "dev", bridge])?;
    run("ip", &["-n", namespace, "link", "set", bridge, "up"]).map(drop)
}

/// Plugs a machine's namespace into a network: [`PLUG`] there, `cable` on the bridge.
pub(crate) fn plug(network: &Network, namespace: &str, cable: &str, ip: Ipv4Addr) -> Result<(), Fault> {
    make_namespace(namespace)?;
    let lab = network.namespace.as_str();
    if !exists(namespace, PLUG)? {
        remove(lab, cable)?;
        run(
            "ip",
            &["-n", lab, "link", "add", cable, "type", "veth", "peer", "name", PLUG, "netns", namespace],
        )?;
    }
    run("ip", &["-n", lab, "link", "set", cable, "master", &network.bridge(), "up"])?;
    let address = format!("{ip}/{}", network.cidr.prefix_len());
    run("ip", &["-n", namespace, "addr", "replace", &address, "dev", PLUG])?;
    run("ip", &["-n", namespace, "link", "set", PLUG, "up"])?;
    run("ip", &["-n", namespace, "route", "replace", "default", "via", &network.gateway.to_string()])?;
    // kubelet, cloud-init and others ask a cloud's metadata service at 169.254.169.254 who they are: refused at once, instead of in 6 s.
    run("ip", &["-n", namespace, "route", "replace", "unreachable", "169.254.0.0/16"]).map(drop)
}
