//! The plan as data: what will be done, in which order, and what is promised of it.
//!
//! [`Plan::operations`] *is* the graph that is applied: each operation names those it waits for, and nothing is derived again. A replacement is two
//! operations. [`Plan::changes`] is the same for people: one entry an instance.
//!
//! Values may be unknown in `planned`, `after` and outputs. The known ones are promises: [`crate::Resolver::finalize`] checks that what is
//! applied keeps them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use grappe_diag::Diagnostics;
use grappe_state::{Pending, Timeouts};
use grappe_value::addr::{InstanceAddr, InstanceKey, ModuleAddr, Target};
use grappe_value::{Path, Value};
use serde::{Deserialize, Serialize};

use crate::form;

/// A whole plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// What kind of plan it is.
    pub mode: PlanMode,
    /// What happens to each instance, by address. Those to which nothing happens are there too, without values.
    pub changes: Vec<Change>,
    /// Objects that have another address now: they are renamed in the state before anything else is done. In order of
    /// the new ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
    /// Objects that exist and are taken into the state, after what has moved and before anything else is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    /// What is done. The id of an operation is its position.
    pub operations: Vec<Operation>,
    /// The root module's outputs, those that are no longer declared too.
    pub outputs: BTreeMap<Arc<str>, OutputChange>,
    /// What was found different from what the state remembers.
    pub drift: Vec<Drift>,
    /// The provider configurations that operations use.
    pub providers: Vec<ProviderConfig>,
    /// The root module's variables.
    #[serde(with = "form::values")]
    pub variables: BTreeMap<Arc<str>, Value>,
    /// Those of them that are ephemeral, and were given: a saved plan does not hold their values, and must be given them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_again: Vec<Arc<str>>,
    /// Data sources that were read while planning.
    pub data: Vec<DataValue>,
    /// What is worth knowing but wrong enough only for a warning. Not saved: it is shown with the plan.
    #[serde(skip)]
    pub warnings: Diagnostics,
    /// The state that it was made from, and can only be applied to.
    pub base: StateStamp,
    /// When it was made (RFC 3339, UTC), as the caller said; what `plantimestamp()` gives.
    pub timestamp: Option<Arc<str>>,
    /// `terraform.workspace`
    pub workspace: Arc<str>,
    /// What it was limited to; empty for all.
    #[serde(with = "form::texts")]
    pub targets: Vec<Target>,
    /// What it leaves alone, with all that depends on it.
    #[serde(default, with = "form::texts", skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<Target>,
    /// What it does not decide on: that is planned when it is applied. See [`crate::waves`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Open>,
    /// The root module's outputs that wait for something open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_outputs: Vec<Arc<str>>,
    /// What of it is to be replaced then: `-replace` asked for it.
    #[serde(default, with = "form::texts", skip_serializing_if = "Vec::is_empty")]
    pub open_replace: Vec<InstanceAddr>,
}

impl Plan {
    /// Whether applying it would change nothing, not even the state or an output.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
            && self.moves.is_empty()
            && self.imports.is_empty()
            && self.open.is_empty()
            && self.outputs.values().all(|o| o.action == Action::NoOp)
    }

    /// Whether applying it would touch the world: not so for a plan that only records things in the state.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.operations.iter().any(|o| o.action.acts())
    }

    /// The address that an object has in the state, where that is another than in the plan.
    #[must_use]
    pub fn moved_from(&self, addr: &InstanceAddr) -> Option<&InstanceAddr> {
        let at = self.moves.binary_search_by(|m| m.to.cmp(addr)).ok()?;
        self.moves.get(at).map(|m| &m.from)
    }

    /// An operation by its id.
    #[must_use]
    pub fn operation(&self, id: OpId) -> Option<&Operation> {
        self.operations.get(id.index())
    }

    /// A provider configuration by its key.
    #[must_use]
    pub fn provider(&self, key: &ProviderKey) -> Option<&ProviderConfig> {
        self.providers.iter().find(|p| p.key == *key)
    }
}

/// What kind of plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanMode {
    /// Makes the world what the configuration says.
    #[default]
    Normal,
    /// Deletes all that the state knows (or the targets of it).
    Destroy,
    /// Records in the state what was found, and does nothing else.
    RefreshOnly,
}

/// An object that has another address than the state remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Its address in the state.
    #[serde(with = "form::text")]
    pub from: InstanceAddr,
    /// Its address in the configuration, and everywhere else in the plan.
    #[serde(with = "form::text")]
    pub to: InstanceAddr,
}

/// An object that exists and is taken into the state. For the planner it is one that the state has; what is done to it follows from that.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Import {
    /// The address that it gets.
    #[serde(with = "form::text")]
    pub addr: InstanceAddr,
    /// By what it was found. Sensitive where that is a secret of the object.
    #[serde(with = "form::required")]
    pub id: Value,
    /// With whose client.
    pub provider: ProviderKey,
    /// Its idempotency key from now on.
    pub key: String,
    /// What was found.
    #[serde(with = "form::required")]
    pub value: Value,
}

/// Something that a plan does not decide on yet: it is planned when the plan is applied.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Open {
    /// A module with all that is in it, all instances of a resource, or one instance.
    #[serde(with = "form::text")]
    pub what: Target,
    /// Why.
    pub why: OpenReason,
    /// What it waits for: what this plan does, or something else that is open.
    #[serde(with = "form::texts")]
    pub on: Vec<Target>,
    /// How many objects of it the state has. They stay as they are until then.
    #[serde(default, skip_serializing_if = "is_none")]
    pub objects: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none(n: &usize) -> bool {
    *n == 0
}

/// Why something is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenReason {
    /// Its `count` is known when what the plan does is done.
    Count,
    /// Its `for_each` is.
    ForEach,
    /// It exists and is reached through a provider whose configuration is known then: only then can it be read.
    Provider,
    /// It is to be imported, and by what is known then.
    Import,
    /// It depends on something that is open.
    Dependencies,
}

/// The state that a plan was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateStamp {
    /// Which state; empty where there was none yet.
    pub lineage: String,
    /// Which version of it.
    pub serial: u64,
}

/// An operation of a plan: its position in [`Plan::operations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub u32);

impl OpId {
    /// As a position.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One thing to do to one object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// Its position in the plan.
    pub id: OpId,
    /// The object. Of a [`OpAction::Join`], an instance whose dependencies it stands for.
    #[serde(with = "form::text")]
    pub addr: InstanceAddr,
    /// Which object at that address.
    #[serde(default, skip_serializing_if = "ObjectRef::is_current")]
    pub object: ObjectRef,
    /// What is done.
    pub action: OpAction,
    /// With whose client.
    pub provider: ProviderKey,
    /// What exists, as last read: for updates, deletes and records.
    #[serde(with = "form::value", default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<Value>,
    /// What will be: for creates, updates and records; for reads the arguments. May hold unknowns, which [`crate::Resolver::finalize`] fills in.
    #[serde(with = "form::value", default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Value>,
    /// What must be done before: direct predecessors only, in order of id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<OpId>,
    /// What the state must store as the object's dependencies: direct ones only. An address without a key stands for all instances of a resource
    /// that has several.
    #[serde(with = "form::texts", default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<InstanceAddr>,
    /// How long it will probably take.
    #[serde(with = "form::millis")]
    pub estimate: Duration,
    /// What the state must store: whether the object is to be replaced by creating the new one first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_before_destroy: bool,
    /// How many steps there are to do after the object's creation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub steps: u32,
    /// Where it fails that is a warning and nothing more: only a `check` block wants it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lenient: bool,
    /// How long it may take, where the object's block says so; what the state must store.
    #[serde(default, skip_serializing_if = "Timeouts::is_empty")]
    pub timeouts: Timeouts,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpAction {
    /// Creates the object.
    Create {
        /// Goes on with a creation that was interrupted: with its key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<Box<Pending>>,
        /// The object that is there now becomes a deposed one first, under a key that the engine gives; the delete that follows names it by
        /// [`ObjectRef::DeposedBy`]. Where nothing at all could be created, the engine makes the deposed object the current one again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        deposes: bool,
    },
    /// Changes it in place, from `prior` to `planned`.
    Update,
    /// Deletes `prior`.
    Delete {
        /// Why.
        reason: Reason,
        /// What is deleted is what an interrupted creation left: it must be found by its key first (`AnyResource::adopt` with `planned`), and
        /// may not exist at all. `prior` is `None` then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        adopt: Option<Box<Pending>>,
    },
    /// Does one step of a `provisioner` block; what it does it with is known when it starts ([`crate::Resolver::finalize`]).
    Provision(StepOp),
    /// Opens an ephemeral resource, which stays open until the run is over. What it is opened with is known when it starts ([`crate::Resolver::finalize`]).
    Open,
    /// Reads a data source whose arguments (`planned`) are known only now, or that must wait for others.
    Read,
    /// Writes `planned` and `dependencies` to the state. Nothing is done in the world.
    Record,
    /// Takes the object out of the state. Nothing is done in the world.
    Forget,
    /// Nothing is done: it is over when all that it requires is over. It stands for m × n edges by m + n.
    Join,
}

impl OpAction {
    /// Whether the world is touched (or read).
    #[must_use]
    pub fn acts(&self) -> bool {
        !matches!(self, OpAction::Record | OpAction::Forget | OpAction::Join)
    }

    /// In one word, for messages: `create`.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            OpAction::Create { .. } => "create",
            OpAction::Update => "update",
            OpAction::Delete { .. } => "delete",
            OpAction::Provision(_) => "provision",
            OpAction::Open => "open",
            OpAction::Read => "read",
            OpAction::Record => "record",
            OpAction::Forget => "forget",
            OpAction::Join => "join",
        }
    }
}

/// A step of a `provisioner` block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOp {
    /// `local-exec`, `remote-exec`, `file`.
    pub ty: Arc<str>,
    /// When it is done.
    pub time: StepTime,
    /// Which of those of the block at that time, from 0.
    pub position: u32,
    /// How many there are.
    pub of: u32,
    /// Whether all goes on where it fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
}

/// When a step is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepTime {
    /// After the object was created.
    Create,
    /// Before it is deleted.
    Destroy,
}

/// Which object at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectRef {
    /// The current one.
    #[default]
    Current,
    /// One that an earlier run deposed and did not delete: its key in the state.
    Deposed(Arc<str>),
    /// The one that this create deposes.
    DeposedBy(OpId),
}

impl ObjectRef {
    fn is_current(&self) -> bool {
        *self == ObjectRef::Current
    }
}

/// What happens to one instance, for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// The instance.
    #[serde(with = "form::text")]
    pub addr: InstanceAddr,
    /// The key of a deposed object, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposed: Option<Arc<str>>,
    /// What happens.
    pub action: Action,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What is there, as last read. `None` where nothing is, and where nothing happens.
    #[serde(with = "form::value", default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What will be. `None` where nothing will be, and where nothing happens.
    #[serde(with = "form::value", default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// By which id it is taken into the state first, where it is.
    #[serde(with = "form::value", default, skip_serializing_if = "Option::is_none")]
    pub importing: Option<Value>,
    /// What differs between the two (an unknown value differs): where an object is updated or replaced.
    #[serde(with = "form::paths", default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Path>,
}

/// What happens to an instance or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing (something may be recorded in the state).
    NoOp,
    /// It is created.
    Create,
    /// It is changed in place.
    Update,
    /// It is deleted and created anew.
    Replace {
        /// In the other order.
        create_first: bool,
    },
    /// It is deleted.
    Delete,
    /// It is read while applying.
    Read,
    /// It is taken out of the state and left alone.
    Forget,
    /// It is as it should be, but for steps after its creation that are not done.
    Provision,
}

/// Why something happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// These attributes can't be changed in place.
    Attributes(#[serde(with = "form::paths")] Vec<Path>),
    /// Its creation did not finish, or somebody said that it is broken.
    Tainted,
    /// `-replace`
    Requested,
    /// One of these changes: `replace_triggered_by`.
    TriggeredBy(Vec<String>),
    /// It was there and is gone: somebody else deleted it.
    GoneOutside,
    /// The whole plan deletes.
    Destroy,
    /// Its block is no longer in the configuration (or its module's is not).
    NotInConfiguration,
    /// Its block is there, and the instance of the module that it stands in is not.
    ModuleNotInConfiguration,
    /// It was moved to an address that the configuration does not have.
    NoMoveTarget,
    /// Its index is not below `count`.
    IndexOutOfCount,
    /// Its key is not in `for_each`.
    KeyNotInForEach,
    /// The block has (or no longer has) `count` or `for_each`.
    RepetitionChanged,
    /// A new object took its place, and an earlier run did not get to delete it.
    Deposed,
    /// An earlier run began to create it, and it is not wanted any more (or not like that).
    Abandoned,
    /// An earlier run began to create it, and what it left was found. It is not wanted any more (or not like that).
    AbandonedFound,
    /// An earlier run began to create it; this one goes on.
    Resumed,
    /// Of so many steps after its creation, so many are done: an earlier run stopped there.
    StepsLeft {
        /// How many are done.
        done: u32,
        /// How many there are.
        of: u32,
    },
    /// An earlier run began to create it, and what it left was found: this one goes on with that.
    ResumedFound,
    /// An earlier run began to create another object here, which is deleted first.
    Supplants,
    /// A data source whose arguments are known only while applying.
    ArgumentsUnknown,
    /// A data source that must wait for changes of what it depends on.
    DependenciesChange,
}

/// Something that differs from what the state remembers: changed behind our back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drift {
    /// The instance.
    #[serde(with = "form::text")]
    pub addr: InstanceAddr,
    /// What the state remembers.
    #[serde(with = "form::value")]
    pub before: Option<Value>,
    /// What was found; `None` where it is gone.
    #[serde(with = "form::value")]
    pub after: Option<Value>,
    /// What differs.
    #[serde(with = "form::paths")]
    pub changed: Vec<Path>,
}

/// An output of the root module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OutputChange {
    /// What happens to it.
    pub action: Action,
    /// Its value in the state.
    #[serde(with = "form::value", default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Its value after; `None` where it is removed.
    #[serde(with = "form::value", default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Whether it is declared sensitive.
    pub sensitive: bool,
}

/// The result of a data source that was read while planning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataValue {
    /// The instance.
    #[serde(with = "form::text")]
    pub addr: InstanceAddr,
    /// What was read.
    #[serde(with = "form::required")]
    pub value: Value,
}

/// A configuration of a provider that is in use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProviderConfig {
    /// Which.
    pub key: ProviderKey,
    /// Its arguments, by the provider's schema. Where they are not wholly known, [`crate::Resolver::provider`] tells them when the first operation that
    /// uses it starts: all that they depend on is required by that operation.
    #[serde(with = "form::required")]
    pub value: Value,
}

impl ProviderConfig {
    /// Whether it can be used already.
    #[must_use]
    pub fn known(&self) -> bool {
        self.value.is_wholly_known()
    }
}

/// Which configuration of which provider: `openstack`, `openstack.west`, `openstack.by_region["west"]`, `module.m.openstack`. Text in files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderKey {
    /// The module that holds the `provider` block; the root where there is none.
    pub module: ModuleAddr,
    /// The provider's name in the registry.
    pub name: Arc<str>,
    /// Its `alias`.
    pub alias: Option<Arc<str>>,
    /// Which of them, where its block has `for_each`.
    pub key: Option<Arc<str>>,
}

impl ProviderKey {
    /// The default configuration of a provider in the root module.
    pub fn root(name: impl Into<Arc<str>>) -> Self {
        ProviderKey { module: ModuleAddr::root(), name: name.into(), alias: None, key: None }
    }
}

impl fmt::Display for ProviderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.module.is_root() {
            write!(f, "{}.", self.module)?;
        }
        f.write_str(&self.name)?;
        if let Some(alias) = &self.alias {
            write!(f, ".{alias}")?;
        }
        match &self.key {
            Some(key) => write!(f, "{}", InstanceKey::Str(key.clone())),
            None => Ok(()),
        }
    }
}

impl FromStr for ProviderKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // It reads as a resource's address does; without an alias it lacks the second name.
        let parse = |text: &str| match text.parse::<Target>() {
            Ok(Target::Resource(r)) => Some((r, None)),
            Ok(Target::Instance(InstanceAddr { resource, key: InstanceKey::Str(key) })) => {
                Some(((*resource).clone(), Some(key)))
            }
            _ => None,
        };
        if let Some((r, key)) = parse(text) {
            return Ok(ProviderKey { module: r.module, name: r.ty, alias: Some(r.name), key });
        }
        match parse(&format!("{text}.default")) {
            Some((r, _)) => Ok(ProviderKey { module: r.module, name: r.ty, alias: None, key: None }),
            None => Err(format!("{text:?} is not a provider configuration")),
        }
    }
}

impl Serialize for ProviderKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProviderKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        form::text::deserialize(d)
    }
}
