//! Drives types of hosts through the erased traits, as planner and engine do.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use grappe_provider::{AnyContext, AnyProvider, AnyResource, Change, Client, Fault, Run, Setup, Stream};
use grappe_ssh::testing::Sshd;
use grappe_value::{Kind, OnChange, Presence, Value, convert, json};
use serde_json::{Value as Json, json};
use tokio_util::sync::CancellationToken;

/// A configured provider, and a run that records what is said to it.
pub struct Bench {
    provider: Arc<dyn AnyProvider>,
    client: Client,
    /// What the operations said.
    pub run: Arc<Recorder>,
    /// The key of the object at hand.
    pub key: String,
    /// What an interrupted creation left.
    pub resumed: Option<Json>,
    /// Stops what runs.
    pub cancel: CancellationToken,
    /// The ids of the objects that go in the same run.
    pub going: Arc<HashSet<String>>,
}

/// Remembers what the operations say.
#[derive(Default)]
pub struct Recorder {
    progress: Mutex<Vec<String>>,
    output: Mutex<Vec<String>>,
    checkpoints: Mutex<Vec<Json>>,
}

impl Recorder {
    /// The steps, in order.
    pub fn progress(&self) -> Vec<String> {
        lock(&self.progress).clone()
    }

    /// The hosts' output, line by line.
    pub fn output(&self) -> Vec<String> {
        lock(&self.output).clone()
    }

    /// The checkpoints, in order.
    pub fn checkpoints(&self) -> Vec<Json> {
        lock(&self.checkpoints).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run for Recorder {
    fn progress(&self, step: &str) {
        lock(&self.progress).push(step.to_owned());
    }
    fn output(&self, _: Stream, line: &str) {
        lock(&self.output).push(line.to_owned());
    }
    fn checkpoint(&self, state: Json) -> BoxFuture<'_, Result<(), Fault>> {
        lock(&self.checkpoints).push(state);
        async { Ok(()) }.boxed()
    }
}

/// What a plan asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing differs.
    Nothing,
    /// These attributes differ, and are changed in place.
    Update(Vec<String>),
    /// This attribute asks for a new object.
    Replace(String),
}

impl Bench {
    /// Configures a provider that takes no argument.
    ///
    /// # Panics
    /// When it refuses.
    pub async fn new(provider: Arc<dyn AnyProvider>, plan_dir: &Path) -> Self {
        let setup = Setup { data_dir: plan_dir.join("data"), plan_dir: plan_dir.to_owned() };
        let client = provider.configure(&setup, &Value::object::<&str>([])).await.expect("configured");
        Bench {
            provider,
            client,
            run: Arc::default(),
            key: "6fa459ea-ee8a-4ca4-894e-db77e160355e".into(),
            resumed: None,
            cancel: CancellationToken::new(),
            going: Arc::default(),
        }
    }

    /// A type.
    ///
    /// # Panics
    /// When the provider has none of that name.
    pub fn resource(&self, ty: &str) -> &dyn AnyResource {
        &**self.provider.resources().iter().find(|r| r.name() == ty).expect("the provider has that type")
    }

    /// What an operation gets.
    pub fn context(&self) -> AnyContext {
        AnyContext {
            client: self.client.clone(),
            run: self.run.clone(),
            addr: "a.b".parse().expect("an address"),
            key: self.key.as_str().into(),
            resumed: self.resumed.clone(),
            only_looks: false,
            cancel: self.cancel.clone(),
            going: self.going.clone(),
        }
    }

    /// The configuration with all attributes, defaults filled in and types converted.
    ///
    /// # Panics
    /// When it names what the type does not have, or does not fit.
    pub fn config(&self, ty: &str, given: &Json) -> Value {
        let schema = self.resource(ty).schema();
        let given = json::from_json(given);
        for name in given.as_entries().expect("an object").keys() {
            let known = schema.attributes.get(name).is_some_and(|a| a.is_settable());
            assert!(known, "{ty} has no argument {name}");
        }
        let full = schema.attributes.iter().map(|(name, a)| {
            let value = given.get(name).cloned().or_else(|| a.default.clone());
            let value = value.unwrap_or_else(|| Value::null(a.ty.clone()));
            assert!(!(value.is_null() && a.presence == Presence::Required), "{ty} wants {name}");
            (name.clone(), value)
        });
        schema.mark(convert(&Value::object(full), &schema.ty()).expect("it fits the schema"))
    }

    /// The problems of a configuration.
    pub fn problems(&self, ty: &str, given: &Json) -> Vec<String> {
        self.resource(ty).validate(&self.config(ty, given)).into_iter().map(|p| p.message).collect()
    }

    /// What is planned.
    ///
    /// # Panics
    /// When the configuration is not valid.
    pub fn plan(&self, ty: &str, prior: Option<&Value>, given: &Json) -> Value {
        let config = self.config(ty, given);
        let problems: Vec<_> =
            self.resource(ty).validate(&config).into_iter().filter(|problem| !problem.warning).collect();
        assert_eq!(problems, [], "{given}");
        self.plan_config(ty, prior, &config)
    }

    /// What is planned of a configuration, which may have unknown parts.
    pub fn plan_config(&self, ty: &str, prior: Option<&Value>, config: &Value) -> Value {
        let resource = self.resource(ty);
        let planned = resource.schema().attributes.iter().map(|(name, a)| {
            let configured = config.get(name).cloned().unwrap_or_else(|| Value::null(a.ty.clone()));
            let open = configured.is_null() && a.is_computed();
            let value = match (open, prior.and_then(|p| p.get(name))) {
                (false, _) => configured,
                (true, Some(before)) => before.clone(),
                (true, None) => Value::unknown(a.ty.clone()),
            };
            (name.clone(), value)
        });
        let mut change = Change::new(prior, config, Kind::Object(Arc::new(planned.collect())).into());
        resource.plan(&mut change);
        resource.schema().mark(change.finish().0)
    }

    /// What a plan of this configuration does to what exists.
    pub fn action(&self, ty: &str, prior: &Value, given: &Json) -> Action {
        let planned = self.plan(ty, Some(prior), given);
        let mut update = Vec::new();
        for (name, attribute) in self.resource(ty).schema().attributes.iter().filter(|(_, a)| !a.write_only) {
            let (before, after) = (prior.get(name), planned.get(name));
            if matches!((before, after), (Some(before), Some(after)) if before.same(after)) {
                continue;
            }
            match attribute.on_change {
                OnChange::Replace => return Action::Replace(name.to_string()),
                OnChange::ReplaceWhen(member) => {
                    let part = |value: Option<&Value>| value.and_then(|value| value.get(member)).cloned();
                    if part(before) != part(after) {
                        return Action::Replace(name.to_string());
                    }
                }
                OnChange::Record => {}
                OnChange::Update => update.push(name.to_string()),
            }
        }
        if update.is_empty() { Action::Nothing } else { Action::Update(update) }
    }

    /// Creates, and checks that what came is what was promised.
    ///
    /// # Errors
    /// The type's.
    ///
    /// # Panics
    /// When a promise is broken.
    pub async fn try_create(&self, ty: &str, given: &Json) -> Result<Value, Fault> {
        let planned = self.plan(ty, None, given);
        let made = self.resource(ty).create(self.context(), &planned).await?;
        promised(&self.resource(ty).schema().to_store(planned), &made);
        Ok(made)
    }

    /// As [`Bench::try_create`], which must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn create(&self, ty: &str, given: &Json) -> Value {
        self.try_create(ty, given).await.unwrap_or_else(|fault| panic!("create {ty}: {fault:#?}"))
    }

    /// Changes in place, and checks that what came is what was promised.
    ///
    /// # Errors
    /// The type's.
    ///
    /// # Panics
    /// When a promise is broken.
    pub async fn try_update(&self, ty: &str, prior: &Value, given: &Json) -> Result<Value, Fault> {
        let planned = self.plan(ty, Some(prior), given);
        let made = self.resource(ty).update(self.context(), prior, &planned).await?;
        promised(&self.resource(ty).schema().to_store(planned), &made);
        Ok(made)
    }

    /// As [`Bench::try_update`], which must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn update(&self, ty: &str, prior: &Value, given: &Json) -> Value {
        self.try_update(ty, prior, given).await.unwrap_or_else(|fault| panic!("update {ty}: {fault:#?}"))
    }

    /// Reads.
    ///
    /// # Errors
    /// The type's.
    pub async fn try_read(&self, ty: &str, state: &Value) -> Result<Option<Value>, Fault> {
        self.resource(ty).read(self.context(), state).await
    }

    /// As [`Bench::try_read`], which must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn read(&self, ty: &str, state: &Value) -> Option<Value> {
        self.try_read(ty, state).await.unwrap_or_else(|fault| panic!("read {ty}: {fault:#?}"))
    }

    /// Deletes.
    ///
    /// # Panics
    /// When that fails.
    pub async fn delete(&self, ty: &str, state: &Value) {
        let deleted = self.resource(ty).delete(self.context(), state).await;
        deleted.unwrap_or_else(|fault| panic!("delete {ty}: {fault:#?}"));
    }
}

/// Known values bind; everything is known at the end.
fn promised(planned: &Value, made: &Value) {
    assert!(made.is_wholly_known(), "{made:?}");
    for (name, value) in planned.as_entries().expect("an object") {
        if value.is_wholly_known() {
            let got = made.get(name);
            assert!(got.is_some_and(|got| value.same(got)), "{name}: {value:?} was promised: {got:?}");
        }
    }
}

/// The `host` argument for a test's sshd.
pub fn connection(sshd: &Sshd) -> Json {
    json!({
        "id": "machine-1", "address": "127.0.0.1", "port": sshd.port, "user": sshd.user, "sudo": false,
        "host_key": sshd.host_key("ed25519"), "private_key_file": sshd.key().to_str(),
    })
}
