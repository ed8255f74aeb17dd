//! What a state holds, in memory and as JSON.
//!
//! Attributes are kept as [`grappe_value::wire`] writes them: they are decoded against a schema only when somebody asks for them, so a plan that
//! touches ten objects of 10,000 decodes ten. In memory they are in clear; [`crate::seal`] closes every sensitive leaf on its way to disk.
//!
//! An object lists its *direct* dependencies only. What is further away follows from theirs: storing all ancestors of each is what makes other
//! tools' states grow with the square of the plan.

use std::collections::BTreeMap;

use grappe_value::Type;
use grappe_value::addr::InstanceAddr;
use grappe_value::wire::{type_from_json, type_to_json};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

/// The version of the JSON form of [`State`]. Counts up when an older program could not read it.
///
/// 1: the first. 2: a sensitive value may be withheld, or sealed with a passphrase. What is of format 1 is of format 2 as it is.
pub const FORMAT: u32 = 2;

/// Who writes states, for whoever can't read them.
pub(crate) const WRITER: &str = concat!("grappe ", env!("CARGO_PKG_VERSION"));

/// All objects that a plan's earlier runs made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Names this state among all states: a UUID made once. Empty for a state that was never stored.
    pub lineage: String,
    /// Counts the runs that changed it.
    pub serial: u64,
    /// The objects by address.
    pub objects: BTreeMap<InstanceAddr, Object>,
    /// Objects that were replaced by a newer one under the same address and are still to be deleted, by address and deposed key.
    pub deposed: BTreeMap<(InstanceAddr, String), Object>,
    /// The root module's outputs.
    pub outputs: BTreeMap<String, OutputValue>,
}

impl State {
    /// An empty state with a lineage of its own.
    #[must_use]
    pub fn new() -> Self {
        State { lineage: uuid::Uuid::new_v4().to_string(), ..State::default() }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.deposed.is_empty() && self.outputs.is_empty()
    }

    /// The object at an address, or the deposed one under that key.
    #[must_use]
    pub fn get(&self, addr: &InstanceAddr, deposed: Option<&str>) -> Option<&Object> {
        match deposed {
            None => self.objects.get(addr),
            Some(key) => self.deposed.get(&(addr.clone(), key.to_owned())),
        }
    }

    /// Puts an object at an address or under a deposed key.
    pub fn put(&mut self, addr: InstanceAddr, deposed: Option<String>, object: Object) {
        match deposed {
            None => self.objects.insert(addr, object),
            Some(key) => self.deposed.insert((addr, key), object),
        };
    }

    /// Takes an object out.
    pub fn remove(&mut self, addr: &InstanceAddr, deposed: Option<&str>) -> Option<Object> {
        match deposed {
            None => self.objects.remove(addr),
            Some(key) => self.deposed.remove(&(addr.clone(), key.to_owned())),
        }
    }
}

/// One object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Object {
    /// The provider's name, with its alias: `openstack`, `openstack.west`.
    pub provider: String,
    /// The version of the schema that the attributes were written with.
    #[serde(skip_serializing_if = "is_default")]
    pub schema_version: u32,
    /// Its attributes in [`grappe_value::wire`] form, in clear.
    pub attributes: Json,
    /// What it depends on directly.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "addrs")]
    pub dependencies: Vec<InstanceAddr>,
    /// Its creation did not succeed: it must be created anew.
    #[serde(skip_serializing_if = "is_default")]
    pub tainted: bool,
    /// The idempotency key that it was created with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// How long its creation took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When the world last was as this says, in seconds since 1970: when it was written, or read and found like that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// A replacement is created before this one is deleted.
    #[serde(skip_serializing_if = "is_default")]
    pub create_before_destroy: bool,
    /// How many of the steps after its creation are done, where not all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps_done: Option<u32>,
    /// How many of the steps before its deletion are done.
    #[serde(skip_serializing_if = "is_default")]
    pub undone: u32,
    /// How long operations on it may take, where its block says so: its deletion may come when there is no block any more.
    #[serde(skip_serializing_if = "is_default")]
    pub timeouts: Timeouts,
}

/// How long operations on an object may take, in milliseconds; as long as its type says where nothing is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// Its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create: Option<u64>,
    /// A reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    /// A change in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update: Option<u64>,
    /// Its deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete: Option<u64>,
}

impl Timeouts {
    /// Whether nothing is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        is_default(self)
    }
}

/// One output of the root module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputValue {
    /// Its value in [`grappe_value::wire`] form against [`OutputValue::ty`]. A sensitive one stands under `$sensitive`.
    pub value: Json,
    /// Its type.
    #[serde(rename = "type", with = "ty")]
    pub ty: Type,
    /// Whether it is declared sensitive.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sensitive: bool,
}

/// What an operation does to an object, for the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Creates it.
    Create,
    /// Changes it in place.
    Update,
    /// Deletes it.
    Delete,
}

/// An operation that was begun and of whose end nothing is known: what a crash left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// The object.
    #[serde(with = "one_addr")]
    pub addr: InstanceAddr,
    /// Its deposed key, where it is not the current object of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposed: Option<String>,
    /// What was begun.
    pub action: Action,
    /// The idempotency key that was (or would have been) planted.
    pub key: String,
    /// The provider's name, with its alias.
    pub provider: String,
    /// The version of the schema that `planned` was written with.
    #[serde(default, skip_serializing_if = "is_default")]
    pub schema_version: u32,
    /// What was to be, in wire form: unknowns in it are what the provider would have decided. Null for a delete.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub planned: Json,
    /// The last checkpoint, as the provider wrote it (its own JSON, with `{"$sensitive": …}` around all of it where its type has sensitive
    /// attributes; see [`Pending::checkpoint_clear`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Json>,
    /// What it depends on directly.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "addrs")]
    pub dependencies: Vec<InstanceAddr>,
    /// A replacement is created before this one is deleted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub create_before_destroy: bool,
    /// How long operations on it may take.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: Timeouts,
}

impl Pending {
    /// The checkpoint as the provider wrote it.
    #[must_use]
    pub fn checkpoint_clear(&self) -> Option<&Json> {
        let checkpoint = self.checkpoint.as_ref()?;
        Some(checkpoint.get("$sensitive").unwrap_or(checkpoint))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) mod one_addr {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(addr: &InstanceAddr, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(addr)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<InstanceAddr, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

mod addrs {
    use super::*;

    pub(super) fn serialize<S: Serializer>(addrs: &[InstanceAddr], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(addrs.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<InstanceAddr>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|t| t.parse().map_err(D::Error::custom)).collect()
    }
}

mod ty {
    use super::*;

    pub(super) fn serialize<S: Serializer>(ty: &Type, serializer: S) -> Result<S::Ok, S::Error> {
        type_to_json(ty).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Type, D::Error> {
        type_from_json(&Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
