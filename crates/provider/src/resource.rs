//! The typed traits that a provider's author implements.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use grappe_value::{Schema, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::{
    AnyDataSource, AnyEphemeral, AnyResource, Change, Context, Fault, Importable, Imported, Problem,
};

/// Where a run takes place.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The folder of the plan: relative paths in arguments start here.
    pub plan_dir: PathBuf,
    /// The folder of the state, where a provider may keep files of its own (the simulated world does).
    pub data_dir: PathBuf,
}

/// At most `max` operations at once among those that name the same group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What they share: `kubeadm join lab`.
    pub group: String,
    /// How many at once.
    pub max: usize,
}

/// What reading many objects gave, each with its own answer: the object, `None` where it is gone, or why that can't be told.
pub type Many<T> = Vec<Result<Option<T>, Fault>>;

/// How long each operation may take before the engine gives it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Of a creation.
    pub create: Duration,
    /// Of a read.
    pub read: Duration,
    /// Of an update.
    pub update: Duration,
    /// Of a delete.
    pub delete: Duration,
}

impl Default for Timeouts {
    /// 20 minutes; 2 for a read.
    fn default() -> Self {
        let long = Duration::from_secs(20 * 60);
        Timeouts { create: long, read: Duration::from_secs(120), update: long, delete: long }
    }
}

/// A resource type.
///
/// `Args` is what the configuration says, deserialised from an object in which null attributes are left out. `State` is deserialised from the whole stored object and serialised
/// back onto it: attributes that it does not name stay as they were planned, so it names what the provider reads or decides, no more.
pub trait Resource: Send + Sync + 'static {
    /// What the provider's configuration made.
    type Client: Send + Sync + 'static;
    /// The arguments.
    type Args: DeserializeOwned + Send + Sync + 'static;
    /// What is read back.
    type State: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The type's name: `host_file`.
    fn name(&self) -> &'static str;

    /// Its arguments and attributes.
    fn schema(&self) -> Schema;

    /// What is wrong with a configuration beyond its schema. Pure; values may be unknown.
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Refines a planned change. Pure; called again with all values known right before it is applied.
    fn plan(&self, change: &mut Change<'_>) {
        let _ = change;
    }

    /// Why what exists cannot become what is planned, beyond what the configuration alone shows: a release that is taken
    /// back, a disk that shrinks. Asked where an update is planned; pure, and values may be unknown.
    fn refuse(&self, prior: &Value, planned: &Value) -> Vec<Problem> {
        let _ = (prior, planned);
        Vec::new()
    }

    /// The groups that an operation on this object takes a place in.
    fn limits(&self, object: &Value) -> Vec<Limit> {
        let _ = object;
        Vec::new()
    }

    /// How many operations on objects of this type may run at once in one run, whatever they are on; no more than the run allows where nothing is
    /// said. The user's `-limit TYPE=N` takes its place. For what wears out this computer, or what the far side can't do side by side.
    fn max_parallel(&self) -> Option<usize> {
        None
    }

    /// Whether there is anything to read: false for what lives in the state only, which is then never refreshed.
    fn reads(&self) -> bool {
        true
    }

    /// The deadlines of its operations.
    fn timeouts(&self) -> Timeouts {
        Timeouts::default()
    }

    /// Reads what exists: `None` where it is gone.
    fn read(
        &self,
        ctx: &Context<Self::Client>,
        state: Self::State,
    ) -> impl Future<Output = Result<Option<Self::State>, Fault>> + Send;

    /// What an object is read together with: where several objects of this type and of one `provider` block give the same text here, one
    /// [`Resource::read_many`] reads them all. `""` for what an API lists as a whole, the host's identity for what is on a host. Each is read by itself where
    /// it is `None`. Pure.
    fn read_group(&self, state: &Value) -> Option<String> {
        let _ = state;
        None
    }

    /// Reads the objects of one [`Resource::read_group`]: with one list call, over one connection. One answer for each, in their order, and a fault of
    /// one is that one's alone: the engine tries it again by [`Resource::read`]. An error here is of the whole: it is tried again where it may pass, and else each is read by
    /// itself. [`Context::addr`] and [`Context::key`] are those of the first.
    fn read_many(
        &self,
        ctx: &Context<Self::Client>,
        states: Vec<Self::State>,
    ) -> impl Future<Output = Result<Many<Self::State>, Fault>> + Send {
        let _ = (ctx, states);
        async { Err(Fault::permanent(format!("{} can't be read many at once", self.name()))) }
    }

    /// Creates it, or goes on with a creation that was interrupted (see the crate's documentation).
    fn create(
        &self,
        ctx: &Context<Self::Client>,
        args: Self::Args,
    ) -> impl Future<Output = Result<Self::State, Fault>> + Send;

    /// Changes it in place.
    fn update(
        &self,
        ctx: &Context<Self::Client>,
        prior: Self::State,
        args: Self::Args,
    ) -> impl Future<Output = Result<Self::State, Fault>> + Send {
        let _ = (ctx, prior, args);
        async { Err(Fault::permanent(format!("{} can't be changed in place", self.name()))) }
    }

    /// Deletes it. What is gone already is deleted.
    fn delete(
        &self,
        ctx: &Context<Self::Client>,
        state: Self::State,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// By what id an object that exists is taken over, or why it can't be.
    fn importable(&self) -> Importable {
        Importable::Not("nothing of it can be found by an id")
    }

    /// Finds the object with this id (see [`Resource::importable`]): `None` where there is none. `args` is what its block says: where it is to be
    /// looked for. What the answer names is as the world has it; of all else the block is believed.
    fn import(
        &self,
        ctx: &Context<Self::Client>,
        id: &str,
        args: Self::Args,
    ) -> impl Future<Output = Result<Option<Imported>, Fault>> + Send {
        let _ = (ctx, id, args);
        async { Err(Fault::permanent(format!("{} can't be imported", self.name()))) }
    }

    /// What this type stores, from what Terraform's provider of the same type has stored: `stored` has this schema's attributes, null where Terraform
    /// has none of that name. Only for types that exist there.
    ///
    /// # Errors
    /// Why this object can't be taken over.
    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        let _ = stored;
        Err(format!("grappe's {} is not Terraform's", self.name()))
    }

    /// Finds what an interrupted creation with [`Context::key`] left behind: so that a plan can say what it will go on with, and so that it can be deleted
    /// when the plan no longer wants it. Changes nothing where [`Context::only_looks`].
    fn adopt(
        &self,
        ctx: &Context<Self::Client>,
        args: Self::Args,
    ) -> impl Future<Output = Result<Option<Self::State>, Fault>> + Send {
        let _ = args;
        let left = ctx.resumed::<Self::State>();
        async { Ok(left) }
    }
}

/// A data source: something that is read, never changed.
pub trait DataSource: Send + Sync + 'static {
    /// What the provider's configuration made.
    type Client: Send + Sync + 'static;
    /// The arguments.
    type Args: DeserializeOwned + Send + Sync + 'static;
    /// What is read.
    type State: Serialize + Send + Sync + 'static;

    /// The type's name.
    fn name(&self) -> &'static str;

    /// Its arguments and attributes.
    fn schema(&self) -> Schema;

    /// Reads it.
    fn read(
        &self,
        ctx: &Context<Self::Client>,
        args: Self::Args,
    ) -> impl Future<Output = Result<Self::State, Fault>> + Send;
}

/// Something that is opened for the time of a run: a token, a password. Nothing of it is ever stored.
pub trait EphemeralResource: Send + Sync + 'static {
    /// What the provider's configuration made.
    type Client: Send + Sync + 'static;
    /// The arguments.
    type Args: DeserializeOwned + Send + Sync + 'static;
    /// What it is while it is open.
    type State: Serialize + Send + Sync + 'static;

    /// The type's name.
    fn name(&self) -> &'static str;

    /// Its arguments and attributes.
    fn schema(&self) -> Schema;

    /// What is wrong with a configuration beyond its schema. Pure; values may be unknown.
    fn validate(&self, config: &Value) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Opens it: once while planning and once while applying, each time where something needs it.
    fn open(
        &self,
        ctx: &Context<Self::Client>,
        args: Self::Args,
    ) -> impl Future<Output = Result<Opened<Self::State>, Fault>> + Send;

    /// Makes it last longer: asked when the time has come that [`Opened::renew_after`] named. Answers when to ask again.
    fn renew(
        &self,
        ctx: &Context<Self::Client>,
        ticket: &Json,
    ) -> impl Future<Output = Result<Option<Duration>, Fault>> + Send {
        let _ = (ctx, ticket);
        async { Ok(None) }
    }

    /// Nobody needs it any more.
    fn close(
        &self,
        ctx: &Context<Self::Client>,
        ticket: &Json,
    ) -> impl Future<Output = Result<(), Fault>> + Send {
        let _ = (ctx, ticket);
        async { Ok(()) }
    }
}

/// What was opened.
#[derive(Clone, Debug)]
pub struct Opened<S> {
    /// What it is.
    pub state: S,
    /// By what the provider knows it when it is renewed or closed. Lives in this process only.
    pub ticket: Json,
    /// After which time it must be renewed; never where `None`.
    pub renew_after: Option<Duration>,
}

impl<S> Opened<S> {
    /// Something that lasts, and that nobody has to close.
    pub fn lasting(state: S) -> Self {
        Opened { state, ticket: Json::Null, renew_after: None }
    }
}

/// A provider: what it is configured with, and its types.
pub trait Provider: Send + Sync + 'static {
    /// What the types work with.
    type Client: Send + Sync + 'static;
    /// The arguments of its `provider` block.
    type Config: DeserializeOwned + Send + Sync + 'static;

    /// Its name in `provider "NAME"`.
    fn name(&self) -> &'static str;

    /// The arguments of its `provider` block.
    fn schema(&self) -> Schema {
        Schema::default()
    }

    /// Its resource types: `vec![erased::resource(HostFile), …]`.
    fn resources(&self) -> Vec<Box<dyn AnyResource>>;

    /// Its data sources: `vec![erased::data_source(LocalFile), …]`.
    fn data_sources(&self) -> Vec<Box<dyn AnyDataSource>> {
        Vec::new()
    }

    /// How many calls (operations and readings) may go to one configuration of it at once; no more than the run allows where nothing is said. The user's
    /// `-limit PROVIDER=N` takes its place, and where the far side answers [`Fault::throttled`], the engine finds out what it bears.
    fn max_parallel(&self) -> Option<usize> {
        None
    }

    /// Its ephemeral resources: `vec![erased::ephemeral(RandomPassword), …]`.
    fn ephemerals(&self) -> Vec<Box<dyn AnyEphemeral>> {
        Vec::new()
    }

    /// Something that every output must say while it is used: that nothing is real.
    fn notice(&self) -> Option<&'static str> {
        None
    }

    /// Makes the client. Called once a run for each `provider` block in use.
    fn configure(
        &self,
        setup: &Setup,
        config: Self::Config,
    ) -> impl Future<Output = Result<Self::Client, Fault>> + Send;
}
