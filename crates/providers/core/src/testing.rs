//! Drives a type through the erased traits, as the planner and the engine do.

use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use grappe_provider::{
    AnyContext, AnyProvider, AnyResource, Change, Client, Fault, Provider, Run, Setup, Stream, erased,
};
use grappe_value::{Kind, Presence, Value, convert};
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

/// A configured provider.
pub struct Bench {
    provider: Arc<dyn AnyProvider>,
    client: Client,
    runtime: tokio::runtime::Runtime,
    /// The key of the object at hand.
    pub key: String,
}

struct Silent;

impl Run for Silent {
    fn progress(&self, _: &str) {}
    fn output(&self, _: Stream, _: &str) {}
    fn checkpoint(&self, _: Json) -> BoxFuture<'_, Result<(), Fault>> {
        async { Ok(()) }.boxed()
    }
}

impl Bench {
    /// The key that objects have where a test names none.
    pub const KEY: &str = "6fa459ea-ee8a-4ca4-894e-db77e160355e";

    /// One in the current folder.
    pub fn new(provider: impl Provider) -> Self {
        Self::at(provider, PathBuf::from("."))
    }

    /// One for a plan in a folder.
    pub fn at(provider: impl Provider, plan_dir: PathBuf) -> Self {
        Self::configured(erased::provider(provider), plan_dir, &Value::object::<&str>([]))
    }

    /// One with a provider block.
    pub fn configured(provider: Arc<dyn AnyProvider>, plan_dir: PathBuf, config: &Value) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let setup = Setup { data_dir: plan_dir.join("data"), plan_dir };
        let client = runtime.block_on(provider.configure(&setup, config)).unwrap();
        Bench { provider, client, runtime, key: Self::KEY.into() }
    }

    /// A type.
    pub fn resource(&self, ty: &str) -> &dyn AnyResource {
        &**self.provider.resources().iter().find(|r| r.name() == ty).unwrap()
    }

    fn ctx(&self) -> AnyContext {
        AnyContext {
            client: self.client.clone(),
            run: Arc::new(Silent),
            addr: "a.b".parse().unwrap(),
            key: self.key.as_str().into(),
            resumed: None,
            only_looks: false,
            cancel: CancellationToken::new(),
            going: Arc::default(),
        }
    }

    /// The configuration with all attributes, defaults filled in.
    pub fn config(&self, ty: &str, given: &Value) -> Value {
        let schema = self.resource(ty).schema();
        let full = schema.attributes.iter().map(|(name, a)| {
            let value = given.get(name).cloned().or_else(|| a.default.clone());
            (name.clone(), value.unwrap_or_else(|| Value::null(a.ty.clone())))
        });
        for name in given.as_entries().unwrap().keys() {
            assert!(
                schema.attributes.get(name).is_some_and(|a| a.is_settable()),
                "{ty} has no argument {name}"
            );
        }
        schema.mark(convert(&Value::object(full), &schema.ty()).unwrap())
    }

    /// What would be, checked as the planner does.
    pub fn plan(&self, ty: &str, prior: Option<&Value>, given: &Value) -> Value {
        let resource = self.resource(ty);
        let config = self.config(ty, given);
        assert_eq!(resource.validate(&config), [], "{config:?}");
        let planned = resource.schema().attributes.iter().map(|(name, a)| {
            let configured = config.get(name).unwrap().clone();
            let open = configured.is_null() && a.presence != Presence::Optional && a.is_computed();
            let value = match (open, prior.and_then(|p| p.get(name))) {
                (false, _) => configured,
                (true, Some(before)) => before.clone(),
                (true, None) => Value::unknown(a.ty.clone()),
            };
            (name.clone(), value)
        });
        let mut change = Change::new(prior, &config, Kind::Object(Arc::new(planned.collect())).into());
        resource.plan(&mut change);
        resource.schema().mark(change.finish().0)
    }

    /// Creates, and checks that what was promised is what came.
    pub fn try_create(&self, ty: &str, given: &Value) -> Result<Value, Fault> {
        let planned = self.plan(ty, None, given);
        let made = self.runtime.block_on(self.resource(ty).create(self.ctx(), &planned))?;
        promised(&planned, &made);
        Ok(made)
    }

    /// Creates.
    pub fn create(&self, ty: &str, given: &Value) -> Value {
        self.try_create(ty, given).unwrap()
    }

    /// Updates, and checks that what was promised is what came.
    pub fn try_update(&self, ty: &str, prior: &Value, given: &Value) -> Result<Value, Fault> {
        let planned = self.plan(ty, Some(prior), given);
        let made = self.runtime.block_on(self.resource(ty).update(self.ctx(), prior, &planned))?;
        promised(&planned, &made);
        Ok(made)
    }

    /// Updates.
    pub fn update(&self, ty: &str, prior: &Value, given: &Value) -> Value {
        self.try_update(ty, prior, given).unwrap()
    }

    /// Reads.
    pub fn read(&self, ty: &str, state: &Value) -> Option<Value> {
        self.runtime.block_on(self.resource(ty).read(self.ctx(), state)).unwrap()
    }

    /// Deletes.
    pub fn delete(&self, ty: &str, state: &Value) {
        self.try_delete(ty, state).unwrap();
    }

    /// Deletes, or says why not.
    pub fn try_delete(&self, ty: &str, state: &Value) -> Result<(), Fault> {
        self.runtime.block_on(self.resource(ty).delete(self.ctx(), state))
    }

    /// Finds what an interrupted creation left.
    pub fn adopt(&self, ty: &str, given: &Value) -> Option<Value> {
        let planned = self.plan(ty, None, given);
        self.runtime.block_on(self.resource(ty).adopt(self.ctx(), &planned)).unwrap()
    }

    /// Finds what exists by its id.
    pub fn import(&self, ty: &str, id: &str, given: &Value) -> Result<Option<Value>, Fault> {
        let planned = self.plan(ty, None, given);
        self.runtime.block_on(self.resource(ty).import(self.ctx(), id, &planned))
    }

    /// Reads a data source.
    pub fn data(&self, ty: &str, config: &Value) -> Result<Value, Fault> {
        let source = self.provider.data_sources().iter().find(|d| d.name() == ty).unwrap();
        let full = source.schema().attributes.iter().map(|(name, a)| {
            (name.clone(), config.get(name).cloned().unwrap_or_else(|| Value::null(a.ty.clone())))
        });
        self.runtime.block_on(source.read(self.ctx(), &Value::object(full)))
    }
}

/// Known values bind; everything is known at the end.
fn promised(planned: &Value, made: &Value) {
    assert!(made.is_wholly_known(), "{made:?}");
    for (name, value) in planned.as_entries().unwrap() {
        if value.is_wholly_known() {
            assert!(value.same(made.get(name).unwrap()), "{name}: {value:?} was promised: {made:?}");
        }
    }
}

/// Puts a file there that only its owner reads, as `ssh-keygen` wants of keys.
///
/// # Panics
/// Where it can't be written.
pub fn private_file(path: &std::path::Path, bytes: &[u8]) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut f| f.write_all(bytes)).unwrap();
}
