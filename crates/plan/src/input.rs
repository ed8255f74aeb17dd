//! What the planner is given, and what it gives back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use grappe_lang::{Config, Files};
use grappe_provider::Registry;
use grappe_state::Pending;
use grappe_value::Value;
use grappe_value::addr::{InstanceAddr, Target};

use crate::model::{Import, Plan, PlanMode, ProviderConfig, ProviderKey};
use crate::waves::Earlier;

/// Everything that a plan is made of. Readings grow from call to call: see [`crate::plan`].
#[derive(Clone)]
pub struct Input<'a> {
    /// What is wanted.
    pub config: &'a Config,
    /// The types that it may name.
    pub registry: &'a Registry,
    /// What is remembered.
    pub state: &'a grappe_state::State,
    /// The objects that were read so far.
    pub refreshed: &'a BTreeMap<InstanceAddr, Reading>,
    /// The data sources that were read so far.
    pub data_reads: &'a BTreeMap<InstanceAddr, DataResult>,
    /// The objects of [`Options::imports`] that were found so far. The state has them already: see [`crate::Import`].
    pub imported: &'a BTreeMap<InstanceAddr, Import>,
    /// What `ephemeral` blocks opened so far.
    pub opened: &'a BTreeMap<InstanceAddr, DataResult>,
    /// What interrupted creations left, as far as that was asked: by their idempotency keys.
    pub left: &'a BTreeMap<String, Left>,
    /// The root module's variables, as the user gave them: [`grappe_lang::Variable::accept`] is called on each here.
    pub variables: &'a BTreeMap<Arc<str>, Value>,
    /// Operations that an earlier run began and did not finish, from its journal.
    pub pending: &'a [Pending],
    /// Where `file()` reads.
    pub files: &'a dyn Files,
    /// How to plan.
    pub options: &'a Options,
}

/// How to plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// What kind of plan.
    pub mode: PlanMode,
    /// Whether objects are read before planning.
    pub refresh: bool,
    /// What the state knows from this time on (in seconds since 1970) is taken as it is, and not read.
    pub fresh_since: Option<u64>,
    /// `-target`: nothing else is touched, but for what these depend on. Empty: everything.
    pub targets: Vec<Target>,
    /// `-exclude`: these are left alone, and all that depends on them. Never together with [`Options::targets`].
    pub excludes: Vec<Target>,
    /// `-replace`
    pub replace: BTreeSet<InstanceAddr>,
    /// What exists and is to be taken into the state, by the address that it gets: ids. Those of which the state has an object already are left out.
    pub imports: BTreeMap<InstanceAddr, Arc<str>>,
    /// What earlier waves of the same apply did: that is not done again, whatever `timestamp()` gives now. See [`crate::Waves`].
    pub earlier: BTreeMap<InstanceAddr, Earlier>,
    /// Whether there is no key: sensitive values are not stored.
    pub withholds: bool,
    /// When the plan is made (RFC 3339, UTC): what `plantimestamp()` gives. The same in all waves of an apply.
    pub timestamp: Option<Arc<str>>,
    /// `terraform.workspace`
    pub workspace: Arc<str>,
    /// `path.cwd`
    pub cwd: Arc<str>,
    /// The user's home folder, for `pathexpand`.
    pub home: Option<Arc<str>>,
}

impl Default for Options {
    /// A normal plan of everything, with a refresh, in the workspace `default`.
    fn default() -> Self {
        Options {
            mode: PlanMode::Normal,
            refresh: true,
            fresh_since: None,
            targets: Vec::new(),
            excludes: Vec::new(),
            replace: BTreeSet::new(),
            imports: BTreeMap::new(),
            earlier: BTreeMap::new(),
            withholds: false,
            timestamp: None,
            workspace: "default".into(),
            cwd: ".".into(),
            home: None,
        }
    }
}

/// What reading an object gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// It is there, like this.
    Found(Value),
    /// It is not there any more.
    Gone,
    /// It was not asked, or could not be: what the state remembers is taken as it is.
    NotRead,
}

/// What an interrupted creation left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It was found.
    There,
    /// There is nothing.
    Nothing,
    /// Nobody could say.
    Unasked,
}

/// What reading a data source gave.
#[derive(Clone, Debug, PartialEq)]
pub struct DataResult {
    /// The arguments it was asked with: [`DataRead::config`].
    pub config: Value,
    /// What it gave.
    pub value: Value,
    /// Why it gave nothing, where that is no error.
    pub failed: Option<String>,
}

/// What the planner came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The plan.
    Ready(Box<Plan>),
    /// These must be read first (all at once, in parallel); then the planner is called again with what they gave.
    NeedReads(Reads),
}

/// What must be read.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Objects of the state. Each must get an entry in [`Input::refreshed`].
    pub objects: Vec<ObjectRead>,
    /// Data sources. Each must get an entry in [`Input::data_reads`].
    pub data: Vec<DataRead>,
    /// Ephemeral resources to open. Each must get an entry in [`Input::opened`], and stay open as long as the planner is called.
    pub ephemeral: Vec<DataRead>,
    /// Objects to import. Each must get an entry in [`Input::imported`] and in the state; where one is not found, there is no plan.
    pub imports: Vec<ImportRead>,
    /// What interrupted creations may have left. Each must get an entry in [`Input::left`].
    pub left: Vec<LeftRead>,
    /// The configurations of the providers that these use, wholly known.
    pub providers: Vec<ProviderConfig>,
}

/// An object of the state to read.
#[derive(Clone, Debug)]
pub struct ObjectRead {
    /// Which.
    pub addr: InstanceAddr,
    /// With whose client.
    pub provider: ProviderKey,
    /// What the state remembers.
    pub value: Value,
    /// The idempotency key that it was created with.
    pub key: Arc<str>,
    /// How long that may take, where its block says so.
    pub deadline: Option<Duration>,
}

/// An interrupted creation of which is asked what it left.
#[derive(Clone, Debug)]
pub struct LeftRead {
    /// The creation.
    pub pending: Pending,
    /// With whose client.
    pub provider: ProviderKey,
    /// What was to be made.
    pub planned: Value,
    /// How long that may take, where its block says so.
    pub deadline: Option<Duration>,
}

/// An object to import.
#[derive(Clone, Debug)]
pub struct ImportRead {
    /// The address that it gets.
    pub addr: InstanceAddr,
    /// With whose client.
    pub provider: ProviderKey,
    /// Its id, as the user gave it.
    pub id: Arc<str>,
    /// What a creation would make of its block.
    pub planned: Value,
    /// How long that may take, where its block says so.
    pub deadline: Option<Duration>,
}

/// A data source to read, or an ephemeral resource to open.
#[derive(Clone, Debug)]
pub struct DataRead {
    /// Which.
    pub addr: InstanceAddr,
    /// With whose client.
    pub provider: ProviderKey,
    /// Its arguments, wholly known.
    pub config: Value,
    /// Whether it is no error that it can't be read: only a `check` block wants it. What was wrong goes into [`DataResult::failed`].
    pub lenient: bool,
    /// How long that may take, where its block says so.
    pub deadline: Option<Duration>,
}
