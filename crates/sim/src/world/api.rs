//! The cloud's side of a world: create, read and delete networks, ports and machines, as a cloud's API would answer.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use super::model::{Machine, Network, Port, State, Volume, fresh_id, hex};
use super::{Knobs, Quota, StoreError, World, cloud_init};
use crate::host::files::{self, Actor};
use crate::host::{CloudInit, image};

/// Why the simulated cloud refused.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 404
    #[error("simulated cloud: no {kind} {id}")]
    NotFound {
        /// `network`, `port`, `machine`, …
        kind: &'static str,
        /// What was asked for.
        id: String,
    },
    /// 409
    #[error("simulated cloud: {0}")]
    Conflict(String),
    /// 400
    #[error("simulated cloud: {0}")]
    Invalid(String),
    /// 403
    #[error("simulated cloud: quota of {0} {1}s is used up")]
    Quota(usize, &'static str),
    /// 503, planned with [`Knobs::fail`]
    #[error("{0}")]
    Planned(String),
    /// The world could not be saved.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
}

/// A port to be made.
#[derive(Debug, Clone, Default)]
pub struct NewPort {
    /// Name.
    pub name: String,
    /// Network id.
    pub network: String,
    /// Wanted address; otherwise the lowest free one.
    pub fixed_ip: Option<Ipv4Addr>,
    /// Addresses or ranges it may also speak for.
    pub allowed_address_pairs: Vec<String>,
    /// Free tags.
    pub metadata: BTreeMap<String, String>,
}

/// A machine to be made. Its `Debug` leaves out what may be secret.
#[derive(Clone, Default)]
pub struct NewMachine {
    /// Name, a DNS label.
    pub name: String,
    /// Ids of ports that are not in use.
    pub ports: Vec<String>,
    /// One of [`image::IMAGES`]; empty for the first.
    pub image: String,
    /// CPUs; 0 for two.
    pub cpus: u32,
    /// Memory in MiB; 0 for 4096.
    pub memory_mb: u32,
    /// Lines for authorized_keys of root and debian.
    pub authorized_keys: Vec<String>,
    /// `#cloud-config` or a script.
    pub user_data: String,
    /// Free tags.
    pub metadata: BTreeMap<String, String>,
}

impl std::fmt::Debug for NewMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewMachine({}, ports {:?})", self.name, self.ports)
    }
}

fn missing(kind: &'static str, id: &str) -> ApiError {
    ApiError::NotFound { kind, id: id.to_owned() }
}

fn within(limit: Option<usize>, used: usize, kind: &'static str) -> Result<(), ApiError> {
    match limit {
        Some(limit) if used >= limit => Err(ApiError::Quota(limit, kind)),
        _ => Ok(()),
    }
}

impl World {
    fn call<R>(&self, f: impl FnOnce(&mut State) -> Result<R, ApiError>) -> Result<R, ApiError> {
        let result = self.with(f)?;
        self.flush()?;
        Ok(result)
    }

    /// Sets faults and delays. The counters of failures start again only where their setting changed.
    pub fn set_knobs(&self, knobs: Knobs) -> Result<(), ApiError> {
        self.call(|s| {
            if s.knobs != knobs {
                if s.knobs.fail != knobs.fail {
                    s.fail_left = knobs.fail.clone();
                }
                s.knobs = knobs;
                s.dirty = true;
            }
            Ok(())
        })
    }

    /// Sets limits.
    pub fn set_quota(&self, quota: Quota) -> Result<(), ApiError> {
        self.call(|s| {
            s.quota = quota;
            s.dirty = true;
            Ok(())
        })
    }

    /// How often the cloud was called under these words (`list sim_machine`) since the world was opened.
    #[must_use]
    pub fn calls(&self, words: &str) -> u64 {
        self.called.lock().unwrap_or_else(PoisonError::into_inner).get(words).copied().unwrap_or(0)
    }

    /// Counts a call, and fails if a failure of these words is planned.
    pub fn maybe_fail(&self, words: &str) -> Result<(), ApiError> {
        *self.called.lock().unwrap_or_else(PoisonError::into_inner).entry(words.to_owned()).or_default() += 1;
        match self.with(|s| s.planned_failure(words)) {
            Some(text) => Err(ApiError::Planned(text)),
            None => Ok(()),
        }
    }

    /// Makes a network.
    pub fn create_network(
        &self,
        name: &str,
        cidr: &str,
        port_security: bool,
        metadata: BTreeMap<String, String>,
    ) -> Result<Network, ApiError> {
        let cidr: ipnet::Ipv4Net = cidr
            .parse()
            .map_err(|_| ApiError::Invalid(format!("`{cidr}` is not an IPv4 range such as 10.0.0.0/24")))?;
        if cidr.trunc() != cidr || cidr.prefix_len() > 29 {
            return Err(ApiError::Invalid(format!("`{cidr}` has host bits set or is smaller than a /29")));
        }
        self.call(|s| {
            within(s.quota.networks, s.networks.len(), "network")?;
            let network = Network { id: fresh_id(), name: name.to_owned(), cidr, port_security, metadata };
            s.networks.insert(network.id.clone(), network.clone());
            Ok(network)
        })
    }

    /// A network by id.
    pub fn network(&self, id: &str) -> Option<Network> {
        self.with(|s| s.networks.get(id).cloned())
    }

    /// All networks.
    pub fn networks(&self) -> Vec<Network> {
        self.with(|s| s.networks.values().cloned().collect())
    }

    /// Renames a network.
    pub fn rename_network(&self, id: &str, name: &str) -> Result<Network, ApiError> {
        self.call(|s| {
            let network = s.networks.get_mut(id).ok_or_else(|| missing("network", id))?;
            network.name = name.to_owned();
            Ok(network.clone())
        })
    }

    /// Deletes a network that has no ports.
    pub fn delete_network(&self, id: &str) -> Result<(), ApiError> {
        self.call(|s| {
            let used = s.ports.values().filter(|p| p.network == id).count();
            if used > 0 {
                return Err(ApiError::Conflict(format!("network {id} is in use by {used} port(s)")));
            }
            s.networks.remove(id).map(drop).ok_or_else(|| missing("network", id))
        })
    }

    /// Makes a port.
    pub fn create_port(&self, new: NewPort) -> Result<Port, ApiError> {
        self.call(|s| {
            within(s.quota.ports, s.ports.len(), "port")?;
            let cidr = s.networks.get(&new.network).ok_or_else(|| missing("network", &new.network))?.cidr;
            let ip = choose_address(s, &new, cidr)?;
            check_pairs(&new.allowed_address_pairs)?;
            let port = Port {
                allowed_address_pairs: new.allowed_address_pairs,
                metadata: new.metadata,
                ..Port::new(new.name, new.network, ip)
            };
            s.ports.insert(port.id.clone(), port.clone());
            Ok(port)
        })
    }

    /// A port by id.
    pub fn port(&self, id: &str) -> Option<Port> {
        self.with(|s| s.ports.get(id).cloned())
    }

    /// All ports.
    pub fn ports(&self) -> Vec<Port> {
        self.with(|s| s.ports.values().cloned().collect())
    }

    /// Changes what can be changed of a port.
    pub fn update_port(&self, id: &str, name: &str, pairs: Vec<String>) -> Result<Port, ApiError> {
        check_pairs(&pairs)?;
        self.call(|s| {
            let port = s.ports.get_mut(id).ok_or_else(|| missing("port", id))?;
            port.name = name.to_owned();
            port.allowed_address_pairs = pairs;
            Ok(port.clone())
        })
    }

    /// All volumes.
    pub fn volumes(&self) -> Vec<Volume> {
        self.with(|s| s.volumes.values().cloned().collect())
    }

    /// Deletes a port that no machine uses.
    pub fn delete_port(&self, id: &str) -> Result<(), ApiError> {
        self.call(|s| {
            let port = s.ports.get(id).ok_or_else(|| missing("port", id))?;
            if let Some(machine) = &port.machine {
                return Err(ApiError::Conflict(format!("port {id} is in use by machine {machine}")));
            }
            s.ports.remove(id);
            Ok(())
        })
    }

    /// Makes a machine, powered on; user data runs in the background.
    pub fn create_machine(self: &Arc<Self>, new: NewMachine) -> Result<Machine, ApiError> {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)
            .and_then(|k| k.to_openssh(LineEnding::LF))
            .map_err(|e| ApiError::Invalid(format!("cannot make a host key: {e}")))?;
        let id = fresh_id();
        self.change_keys(|keys| {
            keys.insert(id.clone(), key.to_string());
        })
        .map_err(Arc::new)?;
        let made = self.call(|s| build(s, id.clone(), new));
        match &made {
            Ok(_) => cloud_init::start(self, &id),
            Err(_) => self.change_keys(|keys| drop(keys.remove(&id))).map_err(Arc::new)?,
        }
        made
    }

    /// A machine by id.
    pub fn machine(&self, id: &str) -> Option<Machine> {
        self.with(|s| s.machines.get(id).cloned())
    }

    /// All machines.
    pub fn machines(&self) -> Vec<Machine> {
        self.with(|s| s.machines.values().cloned().collect())
    }

    /// Finds a machine by id, name or address.
    pub fn find_machine(&self, what: &str) -> Option<String> {
        self.with(|s| {
            let by_name = || s.machines.values().find(|m| m.name == what).map(|m| m.id.clone());
            let by_address = || s.ports.values().find(|p| p.ip.to_string() == what)?.machine.clone();
            s.machines.get(what).map(|m| m.id.clone()).or_else(by_name).or_else(by_address)
        })
    }

    /// Renames a machine (the host keeps the name it was born with) and sets its size at once.
    pub fn update_machine(
        &self,
        id: &str,
        name: &str,
        cpus: u32,
        memory_mb: u32,
    ) -> Result<Machine, ApiError> {
        self.call(|s| {
            let machine = s.machines.get_mut(id).ok_or_else(|| missing("machine", id))?;
            machine.name = name.to_owned();
            (machine.host.cpus, machine.host.memory_mb) = (cpus, memory_mb);
            Ok(machine.clone())
        })
    }

    /// Pulls the plug of a machine and forgets its disk; its ports become free.
    pub fn delete_machine(&self, id: &str) -> Result<(), ApiError> {
        self.listeners.close(id);
        self.call(|s| {
            let machine = s.machines.remove(id).ok_or_else(|| missing("machine", id))?;
            for port in &machine.ports {
                if let Some(port) = s.ports.get_mut(port) {
                    port.machine = None;
                }
            }
            s.bury_clusters();
            s.reconcile_all();
            Ok(())
        })?;
        self.change_keys(|keys| drop(keys.remove(id))).map_err(Arc::new)?;
        Ok(())
    }

    /// Pulls the plug.
    pub fn stop_machine(&self, id: &str) -> Result<(), ApiError> {
        self.listeners.close(id);
        self.call(|s| {
            let machine = s.machines.get_mut(id).ok_or_else(|| missing("machine", id))?;
            machine.running = false;
            s.reconcile_all();
            Ok(())
        })
    }

    /// Powers on; a machine that runs is left alone.
    pub fn start_machine(&self, id: &str) -> Result<(), ApiError> {
        self.call(|s| {
            if s.machines.get(id).ok_or_else(|| missing("machine", id))?.running {
                return Ok(());
            }
            s.boot(id);
            s.reconcile_all();
            Ok(())
        })
    }

    /// Stops and starts; connections are cut.
    pub fn reboot_machine(&self, id: &str) -> Result<(), ApiError> {
        self.stop_machine(id)?;
        self.start_machine(id)
    }

    /// Removes a file or folder on a machine, as a person who meddles would.
    pub fn remove_file(&self, machine: &str, path: &str) -> Result<(), ApiError> {
        self.call(|s| {
            let now = s.now() / 1000;
            let machine = s.machines.get_mut(machine).ok_or_else(|| missing("machine", machine))?;
            machine
                .host
                .files
                .remove_tree(path, Actor::root(now))
                .map_err(|e: files::Errno| ApiError::Invalid(format!("cannot remove {path}: {e}")))
        })
    }

    /// Deletes a Node object of any cluster, as a person who meddles would.
    pub fn drop_node(&self, node: &str) -> Result<(), ApiError> {
        self.call(|s| {
            let now = s.now();
            let found = s.clusters.iter().find(|(_, c)| c.objects.get("Node", "", node).is_some());
            let id = found.map(|(id, _)| id.to_owned()).ok_or_else(|| missing("node", node))?;
            if let Some(cluster) = s.clusters.get_mut(&id) {
                crate::kubectl::remove_node(cluster, node, now);
            }
            Ok(())
        })
    }

    /// Sets (or with none removes) a label of a node.
    pub fn label_node(&self, node: &str, key: &str, value: Option<&str>) -> Result<(), ApiError> {
        self.call(|s| {
            for id in s.clusters.ids() {
                let Some(cluster) = s.clusters.get_mut(&id) else { continue };
                let Some(object) = cluster.objects.get_mut("Node", "", node) else { continue };
                let labels = &mut object["metadata"]["labels"];
                match value {
                    Some(value) => labels[key] = value.into(),
                    None => drop(labels.as_object_mut().and_then(|l| l.shift_remove(key))),
                }
                return Ok(());
            }
            Err(missing("node", node))
        })
    }
}

fn check_pairs(pairs: &[String]) -> Result<(), ApiError> {
    if pairs.len() > 10 {
        return Err(ApiError::Invalid("at most 10 allowed_address_pairs a port".to_owned()));
    }
    match pairs.iter().find(|p| p.parse::<Ipv4Addr>().is_err() && p.parse::<ipnet::Ipv4Net>().is_err()) {
        Some(bad) => {
            Err(ApiError::Invalid(format!("allowed_address_pairs: `{bad}` is no IPv4 address or range")))
        }
        None => Ok(()),
    }
}

fn choose_address(s: &State, new: &NewPort, cidr: ipnet::Ipv4Net) -> Result<Ipv4Addr, ApiError> {
    let taken = |ip: Ipv4Addr| s.ports.values().any(|p| p.network == new.network && p.ip == ip);
    let gateway = cidr.hosts().next();
    if let Some(ip) = new.fixed_ip {
        if !cidr.contains(&ip) || ip == cidr.network() || ip == cidr.broadcast() {
            return Err(ApiError::Invalid(format!("{ip} is no host address of {cidr}")));
        }
        if Some(ip) == gateway {
            return Err(ApiError::Conflict(format!("{ip} is the gateway of {cidr}")));
        }
        if taken(ip) {
            return Err(ApiError::Conflict(format!("{ip} is in use on network {}", new.network)));
        }
        return Ok(ip);
    }
    // An address that someone shares (a VIP) is not handed out.
    let shared = |ip: Ipv4Addr| {
        s.ports
            .values()
            .any(|p| p.allowed_address_pairs.iter().any(|a| a.trim_end_matches("/32") == ip.to_string()))
    };
    cidr.hosts()
        .skip(1)
        .find(|ip| !taken(*ip) && !shared(*ip))
        .ok_or_else(|| ApiError::Conflict(format!("no free address in {cidr}")))
}

fn build(s: &mut State, id: String, new: NewMachine) -> Result<Machine, ApiError> {
    within(s.quota.machines, s.machines.len(), "machine")?;
    let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let first = new.name.split('.').next().unwrap_or_default();
    if first.is_empty() || first.len() > 63 || !first.chars().all(label) || first.starts_with('-') {
        return Err(ApiError::Invalid(format!("`{}` is no host name (a-z, 0-9 and -)", new.name)));
    }
    let image = if new.image.is_empty() { image::IMAGES[0].to_owned() } else { new.image };
    if !image::IMAGES.contains(&image.as_str()) {
        return Err(ApiError::Invalid(format!("no image `{image}`; there is {}", image::IMAGES.join(", "))));
    }
    let mut nics = Vec::new();
    for (n, port_id) in new.ports.iter().enumerate() {
        let port = s.ports.get(port_id).ok_or_else(|| missing("port", port_id))?;
        if port.machine.is_some() || new.ports[..n].contains(port_id) {
            return Err(ApiError::Conflict(format!("port {port_id} is in use")));
        }
        let prefix = s.networks.get(&port.network).map_or(24, |net| net.cidr.prefix_len());
        nics.push(crate::host::Nic { name: format!("eth{n}"), ip: port.ip, prefix, mac: port.mac.clone() });
    }
    if nics.is_empty() {
        return Err(ApiError::Invalid(format!("machine `{}` needs at least one port", new.name)));
    }
    let now = s.now();
    let mut host = image::debian_12(image::Birth {
        name: first,
        address: &nics[0].ip.to_string(),
        authorized_keys: &new.authorized_keys,
        machine_id: &hex(32),
        boot_id: &fresh_id(),
        cpus: if new.cpus == 0 { 2 } else { new.cpus },
        memory_mb: if new.memory_mb == 0 { 4096 } else { new.memory_mb },
        now,
    });
    host.nics = nics;
    if !new.user_data.trim().is_empty() {
        host.cloud_init = CloudInit::Running;
    }
    for port in &new.ports {
        if let Some(port) = s.ports.get_mut(port) {
            port.machine = Some(id.clone());
        }
    }
    let ready_at = now + i64::try_from(s.knobs.boot_latency_ms).unwrap_or(i64::MAX / 2);
    let machine = Machine {
        id: id.clone(),
        name: new.name,
        image,
        ports: new.ports,
        running: true,
        ready_at,
        metadata: new.metadata,
        user_data: new.user_data,
        host,
    };
    s.machines.insert(id, machine.clone());
    Ok(machine)
}
