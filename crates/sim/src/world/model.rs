//! What a world holds: networks, ports, machines, clusters, and its clock.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::mishap::Mishap;
use super::table::Table;
use crate::cluster::Cluster;
use crate::host::Host;

/// Version of the world file.
pub const VERSION: u32 = 1;

/// A layer-2 network with one IPv4 range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Id.
    pub id: String,
    /// Name, not unique.
    pub name: String,
    /// Its range, such as `10.0.0.0/24`; the first address is the gateway's.
    pub cidr: ipnet::Ipv4Net,
    /// Whether ports drop traffic of addresses that are neither theirs nor in their allowed_address_pairs, as Neutron does.
    #[serde(default = "yes")]
    pub port_security: bool,
    /// Free tags; the idempotency key is one.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

/// A network card, plugged into a machine or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Id.
    pub id: String,
    /// Name, not unique.
    pub name: String,
    /// Network it is on.
    pub network: String,
    /// Its address.
    pub ip: std::net::Ipv4Addr,
    /// Its MAC, lower case with colons.
    pub mac: String,
    /// Addresses or ranges it may also speak for.
    #[serde(default)]
    pub allowed_address_pairs: Vec<String>,
    /// The machine it is plugged into.
    #[serde(default)]
    pub machine: Option<String>,
    /// Free tags.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl Port {
    /// A new one that no machine has yet.
    pub(crate) fn new(name: String, network: String, ip: std::net::Ipv4Addr) -> Self {
        let octets = hex(6);
        Port {
            id: fresh_id(),
            name,
            network,
            ip,
            mac: format!("fa:16:3e:{}:{}:{}", &octets[..2], &octets[2..4], &octets[4..6]),
            allowed_address_pairs: Vec::new(),
            machine: None,
            metadata: BTreeMap::new(),
        }
    }
}

/// A volume that somebody in the cloud made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Id.
    pub id: String,
    /// Name, not unique.
    pub name: String,
}

/// A machine: hardware and the host that lives on it. Its `Debug` leaves out what may be secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Id.
    pub id: String,
    /// Name, also the host's first name.
    pub name: String,
    /// Image it was made from.
    pub image: String,
    /// Ports in the order of its network cards.
    pub ports: Vec<String>,
    /// Powered on.
    pub running: bool,
    /// Simulated time from which sshd answers, in milliseconds since 1970.
    pub ready_at: i64,
    /// Free tags.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// User data as given.
    #[serde(default)]
    pub user_data: String,
    /// Its operating system.
    pub host: Host,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Machine({} {}, {})", self.name, self.id, if self.running { "running" } else { "stopped" })
    }
}

/// Optional limits of the simulated cloud; nothing is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quota {
    /// Networks.
    pub networks: Option<usize>,
    /// Ports.
    pub ports: Option<usize>,
    /// Machines.
    pub machines: Option<usize>,
}

/// Faults and delays on demand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Knobs {
    /// From power-on to a listening sshd, in milliseconds.
    pub boot_latency_ms: u64,
    /// Added to each SSH command, in milliseconds.
    pub latency_ms: u64,
    /// How often commands that start with these words fail before they are let through: `{"kubeadm join": 2}`. The words of the provider
    /// part's own calls are `create sim_machine`, `delete sim_port` and so on.
    pub fail: BTreeMap<String, u32>,
    /// How many of a hundred calls and commands meet each mishap, by chance.
    pub faults: BTreeMap<Mishap, u32>,
    /// What the chance of [`Knobs::faults`] begins with.
    pub fault_seed: u64,
}

/// Everything, under one lock.
#[derive(Debug, Default)]
pub struct State {
    /// How far the simulated clock is ahead of the real one: sleeps on hosts move it.
    pub clock_offset_ms: i64,
    /// Networks by id.
    pub networks: Table<Network>,
    /// Ports by id.
    pub ports: Table<Port>,
    /// Machines by id.
    pub machines: Table<Machine>,
    /// Volumes by id.
    pub volumes: Table<Volume>,
    /// Clusters by id.
    pub clusters: Table<Cluster>,
    /// Limits.
    pub quota: Quota,
    /// Faults and delays.
    pub knobs: Knobs,
    /// How many failures of [`Knobs::fail`] are left, by its keys.
    pub fail_left: BTreeMap<String, u32>,
    /// How often each mishap of [`Knobs::faults`] has come about.
    pub mishaps: BTreeMap<Mishap, u64>,
    /// How often chance was asked in this process.
    pub(super) drawn: u64,
    /// Programs that run now, by machine and name, and how many of each. They die with this process, so they are not in the file.
    pub processes: BTreeMap<(String, String), u32>,
    /// Set by whoever changes one of the plain fields.
    pub dirty: bool,
}

#[derive(Deserialize)]
struct Stored {
    version: u32,
    #[serde(default)]
    saved_ms: i64,
    #[serde(default)]
    clock_offset_ms: i64,
    #[serde(default)]
    quota: Quota,
    #[serde(default)]
    knobs: Knobs,
    #[serde(default)]
    fail_left: BTreeMap<String, u32>,
    #[serde(default)]
    mishaps: BTreeMap<Mishap, u64>,
    networks: BTreeMap<String, Network>,
    ports: BTreeMap<String, Port>,
    machines: BTreeMap<String, Machine>,
    #[serde(default)]
    volumes: BTreeMap<String, Volume>,
    clusters: BTreeMap<String, Cluster>,
}

/// Why a world file was not understood.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or not of this shape.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// From a newer grappe.
    #[error("it has version {0}, this grappe reads version {VERSION}")]
    Version(u32),
}

impl State {
    /// Parses a world file.
    pub fn from_json(text: &str) -> Result<Self, ParseError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_str(text)?;
        if head.version != VERSION {
            return Err(ParseError::Version(head.version));
        }
        let stored: Stored = serde_json::from_str(text)?;
        debug_assert_eq!(stored.version, VERSION);
        not_before(stored.saved_ms);
        Ok(State {
            clock_offset_ms: stored.clock_offset_ms,
            networks: stored.networks.into(),
            ports: stored.ports.into(),
            machines: stored.machines.into(),
            volumes: stored.volumes.into(),
            clusters: stored.clusters.into(),
            quota: stored.quota,
            knobs: stored.knobs,
            fail_left: stored.fail_left,
            mishaps: stored.mishaps,
            drawn: 0,
            processes: BTreeMap::new(),
            dirty: false,
        })
    }

    /// The world file's text. Items not touched since the last call are not serialised again.
    pub fn to_json(&mut self) -> Result<String, serde_json::Error> {
        let mut out = format!(
            "{{\"version\":{VERSION},\"simulated\":true,\"saved_ms\":{},\"clock_offset_ms\":{},\"quota\":{},\"knobs\":{},\"fail_left\":{},\"mishaps\":{}",
            real_now(),
            self.clock_offset_ms,
            serde_json::to_string(&self.quota)?,
            serde_json::to_string(&self.knobs)?,
            serde_json::to_string(&self.fail_left)?,
            serde_json::to_string(&self.mishaps)?
        );
        out.push_str(",\n\"networks\":");
        self.networks.write_json(&mut out)?;
        out.push_str(",\n\"ports\":");
        self.ports.write_json(&mut out)?;
        out.push_str(",\n\"machines\":");
        self.machines.write_json(&mut out)?;
        out.push_str(",\n\"volumes\":");
        self.volumes.write_json(&mut out)?;
        out.push_str(",\n\"clusters\":");
        self.clusters.write_json(&mut out)?;
        out.push_str("}\n");
        Ok(out)
    }

    /// Whether something changed since the last call.
    pub(super) fn take_dirty(&mut self) -> bool {
        let tables = [
            self.networks.take_dirty(),
            self.ports.take_dirty(),
            self.machines.take_dirty(),
            self.volumes.take_dirty(),
            self.clusters.take_dirty(),
        ];
        std::mem::take(&mut self.dirty) | tables.contains(&true)
    }

    /// The simulated clock, in milliseconds since 1970.
    pub fn now(&self) -> i64 {
        real_now() + self.clock_offset_ms
    }

    /// Moves the clock forward to `until`; never back. What a sleep changes is saved with the next change of weight.
    pub fn advance(&mut self, until: i64) {
        self.clock_offset_ms += (until - self.now()).max(0);
    }

    /// Consumes one planned failure for a command line, if one is planned.
    pub fn planned_failure(&mut self, command: &str) -> Option<String> {
        let key = self
            .fail_left
            .iter()
            .find(|(words, left)| {
                **left > 0
                    && command
                        .strip_prefix(words.as_str())
                        .is_some_and(|r| r.is_empty() || r.starts_with(' '))
            })?
            .0
            .clone();
        let left = self.fail_left.get_mut(&key)?;
        *left -= 1;
        self.dirty = true;
        Some(format!("simulated fault: `{key}` fails on demand, {left} more time(s)"))
    }
}

/// The cloud's clock: it was read from this computer's when the process began, and goes on by itself.
static CLOCK: LazyLock<Mutex<(Instant, i64)>> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Mutex::new((Instant::now(), millis(since)))
});

/// Milliseconds since 1970. Somebody who sets this computer's clock does not set the cloud's.
pub fn real_now() -> i64 {
    let (begin, at) = *CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    at + millis(begin.elapsed())
}

/// A world that was saved then goes on from there: this computer's clock may have been set back since.
fn not_before(then: i64) {
    let late = then - real_now();
    if late > 0 {
        CLOCK.lock().unwrap_or_else(PoisonError::into_inner).1 += late;
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// `n` random hex digits.
pub fn hex(n: usize) -> String {
    let mut rng = rand::rng();
    (0..n).map(|_| char::from_digit(rng.random_range(0..16), 16).unwrap_or('0')).collect()
}

/// A random id in the form of a version 4 UUID.
pub fn fresh_id() -> String {
    let h = hex(31);
    format!("{}-{}-4{}-a{}-{}", &h[..8], &h[8..12], &h[12..15], &h[15..18], &h[18..30])
}
