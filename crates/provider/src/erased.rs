//! Providers and types with their Rust types taken away: values in, values out.

use std::any::Any;
use std::collections::{BTreeMap, HashSet};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use grappe_value::addr::InstanceAddr;
use grappe_value::{Kind, Marks, OnChange, Schema, Type, Value, json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use crate::{
    Change, Context, DataSource, EphemeralResource, Fault, Importable, Limit, Many, Opened, Problem,
    Provider, Resource, Run, Setup, Timeouts,
};

/// A provider's client, whatever its type.
pub type Client = Arc<dyn Any + Send + Sync>;

/// What one operation gets from the engine.
#[derive(Clone)]
pub struct AnyContext {
    /// The client that the provider's configuration made.
    pub client: Client,
    /// The run's side.
    pub run: Arc<dyn Run>,
    /// The object's address.
    pub addr: InstanceAddr,
    /// Its idempotency key.
    pub key: Arc<str>,
    /// What an interrupted creation checkpointed last.
    pub resumed: Option<Json>,
    /// Whether a plan asks, which changes nothing.
    pub only_looks: bool,
    /// Set when the user asked to stop now.
    pub cancel: CancellationToken,
    /// The ids of the objects that go in this run: machines, clusters.
    pub going: Arc<HashSet<String>>,
}

impl AnyContext {
    fn typed<C: Send + Sync + 'static>(self) -> Result<Context<C>, Fault> {
        let client = self.client.clone().downcast::<C>().map_err(|_| {
            Fault::permanent("a resource type got the client of another provider (a bug in grappe)")
        })?;
        Ok(Context { client, inner: self, _client: PhantomData })
    }
}

/// A resource type. See [`Resource`] for what each part promises.
pub trait AnyResource: Send + Sync {
    /// The type's name.
    fn name(&self) -> &'static str;
    /// Its schema.
    fn schema(&self) -> &Schema;
    /// The object type of its values.
    fn ty(&self) -> &Type;
    /// What is wrong beyond the schema.
    fn validate(&self, config: &Value) -> Vec<Problem>;
    /// Refines a planned change.
    fn plan(&self, change: &mut Change<'_>);
    /// See [`Resource::refuse`].
    fn refuse(&self, prior: &Value, planned: &Value) -> Vec<Problem>;
    /// Groups it takes a place in.
    fn limits(&self, object: &Value) -> Vec<Limit>;
    /// See [`Resource::max_parallel`].
    fn max_parallel(&self) -> Option<usize>;
    /// Whether there is anything to read.
    fn reads(&self) -> bool;
    /// Its deadlines.
    fn timeouts(&self) -> Timeouts;
    /// Reads what exists.
    fn read<'a>(&'a self, ctx: AnyContext, state: &'a Value) -> BoxFuture<'a, Result<Option<Value>, Fault>>;
    /// See [`Resource::read_group`].
    fn read_group(&self, state: &Value) -> Option<String>;
    /// Reads the objects of one group: an answer for each, in their order.
    fn read_many<'a>(
        &'a self,
        ctx: AnyContext,
        states: &'a [Value],
    ) -> BoxFuture<'a, Result<Many<Value>, Fault>>;
    /// Creates `planned`, wholly known but for what the provider decides.
    fn create<'a>(&'a self, ctx: AnyContext, planned: &'a Value) -> BoxFuture<'a, Result<Value, Fault>>;
    /// Changes `prior` to `planned`.
    fn update<'a>(
        &'a self,
        ctx: AnyContext,
        prior: &'a Value,
        planned: &'a Value,
    ) -> BoxFuture<'a, Result<Value, Fault>>;
    /// Deletes it.
    fn delete<'a>(&'a self, ctx: AnyContext, state: &'a Value) -> BoxFuture<'a, Result<(), Fault>>;
    /// See [`Resource::importable`].
    fn importable(&self) -> Importable;
    /// Finds the object with this id. `config` is what its block says, wholly known.
    fn import<'a>(
        &'a self,
        ctx: AnyContext,
        id: &'a str,
        config: &'a Value,
    ) -> BoxFuture<'a, Result<Option<Value>, Fault>>;
    /// See [`Resource::take_terraforms`].
    ///
    /// # Errors
    /// Why this object can't be taken over.
    fn take_terraforms(&self, stored: Value) -> Result<Value, String>;
    /// Finds what an interrupted creation left.
    fn adopt<'a>(
        &'a self,
        ctx: AnyContext,
        planned: &'a Value,
    ) -> BoxFuture<'a, Result<Option<Value>, Fault>>;
    /// Lays what a checkpoint holds over what was planned: the object as far as it exists.
    ///
    /// # Errors
    /// Where the checkpoint is of another shape.
    fn checkpointed(&self, planned: &Value, checkpoint: &Json) -> Result<Value, Fault>;
}

/// A data source. See [`DataSource`].
pub trait AnyDataSource: Send + Sync {
    /// The type's name.
    fn name(&self) -> &'static str;
    /// Its schema.
    fn schema(&self) -> &Schema;
    /// Reads it.
    fn read<'a>(&'a self, ctx: AnyContext, config: &'a Value) -> BoxFuture<'a, Result<Value, Fault>>;
}

/// An ephemeral resource. See [`EphemeralResource`].
pub trait AnyEphemeral: Send + Sync {
    /// The type's name.
    fn name(&self) -> &'static str;
    /// Its schema.
    fn schema(&self) -> &Schema;
    /// What is wrong beyond the schema.
    fn validate(&self, config: &Value) -> Vec<Problem>;
    /// Opens it. What comes of it is marked ephemeral.
    fn open<'a>(&'a self, ctx: AnyContext, config: &'a Value) -> BoxFuture<'a, Result<Opened<Value>, Fault>>;
    /// Makes it last longer.
    fn renew<'a>(
        &'a self,
        ctx: AnyContext,
        ticket: &'a Json,
    ) -> BoxFuture<'a, Result<Option<Duration>, Fault>>;
    /// Closes it.
    fn close<'a>(&'a self, ctx: AnyContext, ticket: &'a Json) -> BoxFuture<'a, Result<(), Fault>>;
}

/// A provider. See [`Provider`].
pub trait AnyProvider: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// The schema of its block.
    fn schema(&self) -> &Schema;
    /// Its resource types.
    fn resources(&self) -> &[Box<dyn AnyResource>];
    /// Its data sources.
    fn data_sources(&self) -> &[Box<dyn AnyDataSource>];
    /// See [`Provider::max_parallel`].
    fn max_parallel(&self) -> Option<usize>;
    /// Its ephemeral resources.
    fn ephemerals(&self) -> &[Box<dyn AnyEphemeral>];
    /// What every output must say while it is used.
    fn notice(&self) -> Option<&'static str>;
    /// Makes the client from a wholly known configuration.
    fn configure<'a>(&'a self, setup: &'a Setup, config: &'a Value) -> BoxFuture<'a, Result<Client, Fault>>;
}

/// Takes the types away from a resource.
pub fn resource<R: Resource>(inner: R) -> Box<dyn AnyResource> {
    let schema = inner.schema();
    let ty = schema.ty();
    Box::new(ErasedResource { inner, schema, ty })
}

/// Takes the types away from a data source.
pub fn data_source<D: DataSource>(inner: D) -> Box<dyn AnyDataSource> {
    let schema = inner.schema();
    Box::new(ErasedDataSource { inner, schema })
}

/// Takes the types away from an ephemeral resource.
pub fn ephemeral<E: EphemeralResource>(inner: E) -> Box<dyn AnyEphemeral> {
    let mut schema = inner.schema();
    // Nothing of it is there to be changed or replaced.
    for attribute in schema.attributes.values_mut() {
        attribute.on_change = OnChange::Update;
    }
    Box::new(ErasedEphemeral { inner, schema })
}

/// Takes the types away from a provider.
pub fn provider<P: Provider>(inner: P) -> Arc<dyn AnyProvider> {
    let (schema, resources, data_sources) = (inner.schema(), inner.resources(), inner.data_sources());
    let ephemerals = inner.ephemerals();
    Arc::new(ErasedProvider { inner, schema, resources, data_sources, ephemerals })
}

struct ErasedResource<R> {
    inner: R,
    schema: Schema,
    ty: Type,
}

struct ErasedDataSource<D> {
    inner: D,
    schema: Schema,
}

struct ErasedEphemeral<E> {
    inner: E,
    schema: Schema,
}

struct ErasedProvider<P> {
    inner: P,
    schema: Schema,
    resources: Vec<Box<dyn AnyResource>>,
    data_sources: Vec<Box<dyn AnyDataSource>>,
    ephemerals: Vec<Box<dyn AnyEphemeral>>,
}

/// The typed arguments in a value.
fn args<T: DeserializeOwned>(type_name: &str, value: &Value) -> Result<T, Fault> {
    serde_json::from_value(json::to_args(value)).map_err(|e| {
        // serde's message may quote a value, and a value may be a secret: only its kind is passed on.
        let what = if !value.marks_deep().is_empty() {
            "an argument has a form that the type can't take".to_owned()
        } else {
            e.to_string()
        };
        Fault::permanent(format!("the arguments of {type_name} don't fit: {what}"))
    })
}

/// Lays what a provider returned over what was planned.
fn overlay<S: Serialize>(schema: &Schema, type_name: &str, base: &Value, state: &S) -> Result<Value, Fault> {
    let json = serde_json::to_value(state).map_err(|e| {
        Fault::permanent(format!("the state of {type_name} can't be written as JSON")).source(e)
    })?;
    overlay_json(schema, type_name, base, &json)
}

fn overlay_json(schema: &Schema, type_name: &str, base: &Value, json: &Json) -> Result<Value, Fault> {
    let Json::Object(fields) = json else {
        return Err(Fault::permanent(format!(
            "the state of {type_name} is not an object (a bug in its provider)"
        )));
    };
    let types = schema
        .attributes
        .iter()
        .map(|(name, a)| (name, a.ty.clone()))
        .chain(schema.blocks.iter().map(|(name, b)| (name, b.ty())));
    let mut out = BTreeMap::new();
    for (name, ty) in types {
        let planned = base.get(name);
        let value = match fields.get(&**name) {
            Some(json) => {
                let value = json::from_json_typed(json, &ty).map_err(|e| {
                    Fault::permanent(format!(
                        "{type_name} returned a wrong {name} (a bug in its provider): {}",
                        e.message
                    ))
                })?;
                let marks = planned.map(Value::marks_deep).unwrap_or_default();
                // Equal to what was planned: keep that, its marks lie where they belong.
                match planned {
                    Some(planned) if planned.same(&value) => planned.clone(),
                    _ => value.with_marks(marks),
                }
            }
            None => match planned {
                Some(planned) if planned.is_wholly_known() => planned.clone(),
                _ => Value::null(ty),
            },
        };
        out.insert(name.clone(), value);
    }
    Ok(schema.mark(Kind::Object(Arc::new(out)).into()))
}

impl<R: Resource> AnyResource for ErasedResource<R> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn ty(&self) -> &Type {
        &self.ty
    }
    fn validate(&self, config: &Value) -> Vec<Problem> {
        self.inner.validate(config)
    }
    fn plan(&self, change: &mut Change<'_>) {
        self.inner.plan(change);
    }
    fn refuse(&self, prior: &Value, planned: &Value) -> Vec<Problem> {
        self.inner.refuse(prior, planned)
    }
    fn limits(&self, object: &Value) -> Vec<Limit> {
        self.inner.limits(object)
    }
    fn max_parallel(&self) -> Option<usize> {
        self.inner.max_parallel()
    }
    fn reads(&self) -> bool {
        self.inner.reads()
    }
    fn timeouts(&self) -> Timeouts {
        self.inner.timeouts()
    }

    fn read<'a>(&'a self, ctx: AnyContext, state: &'a Value) -> BoxFuture<'a, Result<Option<Value>, Fault>> {
        async move {
            let typed = args::<R::State>(self.name(), state)?;
            match self.inner.read(&ctx.typed()?, typed).await? {
                Some(found) => overlay(&self.schema, self.name(), state, &found).map(Some),
                None => Ok(None),
            }
        }
        .boxed()
    }

    fn read_group(&self, state: &Value) -> Option<String> {
        self.inner.read_group(state)
    }

    fn read_many<'a>(
        &'a self,
        ctx: AnyContext,
        states: &'a [Value],
    ) -> BoxFuture<'a, Result<Many<Value>, Fault>> {
        async move {
            let typed: Vec<R::State> =
                states.iter().map(|state| args(self.name(), state)).collect::<Result<_, _>>()?;
            let read = self.inner.read_many(&ctx.typed()?, typed).await?;
            if read.len() != states.len() {
                let (n, of) = (read.len(), states.len());
                return Err(Fault::permanent(format!(
                    "{} answered {n} of {of} readings (a bug in its provider)",
                    self.name()
                )));
            }
            let laid = states.iter().zip(read).map(|(state, found)| match found? {
                Some(found) => overlay(&self.schema, self.name(), state, &found).map(Some),
                None => Ok(None),
            });
            Ok(laid.collect())
        }
        .boxed()
    }

    fn create<'a>(&'a self, ctx: AnyContext, planned: &'a Value) -> BoxFuture<'a, Result<Value, Fault>> {
        async move {
            let typed = args::<R::Args>(self.name(), planned)?;
            let made = self.inner.create(&ctx.typed()?, typed).await?;
            overlay(&self.schema, self.name(), planned, &made).map(|made| self.schema.to_store(made))
        }
        .boxed()
    }

    fn update<'a>(
        &'a self,
        ctx: AnyContext,
        prior: &'a Value,
        planned: &'a Value,
    ) -> BoxFuture<'a, Result<Value, Fault>> {
        async move {
            let (before, typed) =
                (args::<R::State>(self.name(), prior)?, args::<R::Args>(self.name(), planned)?);
            let made = self.inner.update(&ctx.typed()?, before, typed).await?;
            overlay(&self.schema, self.name(), planned, &made).map(|made| self.schema.to_store(made))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, ctx: AnyContext, state: &'a Value) -> BoxFuture<'a, Result<(), Fault>> {
        async move {
            let typed = args::<R::State>(self.name(), state)?;
            self.inner.delete(&ctx.typed()?, typed).await
        }
        .boxed()
    }

    fn importable(&self) -> Importable {
        self.inner.importable()
    }

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        self.inner.take_terraforms(stored)
    }

    fn import<'a>(
        &'a self,
        ctx: AnyContext,
        id: &'a str,
        config: &'a Value,
    ) -> BoxFuture<'a, Result<Option<Value>, Fault>> {
        async move {
            let typed = args::<R::Args>(self.name(), config)?;
            match self.inner.import(&ctx.typed()?, id, typed).await? {
                Some(found) => {
                    let found = overlay_json(&self.schema, self.name(), config, &found.into_json())?;
                    Ok(Some(self.schema.to_store(found)))
                }
                None => Ok(None),
            }
        }
        .boxed()
    }

    fn adopt<'a>(
        &'a self,
        ctx: AnyContext,
        planned: &'a Value,
    ) -> BoxFuture<'a, Result<Option<Value>, Fault>> {
        async move {
            let typed = args::<R::Args>(self.name(), planned)?;
            match self.inner.adopt(&ctx.typed()?, typed).await? {
                Some(found) => overlay(&self.schema, self.name(), planned, &found).map(Some),
                None => Ok(None),
            }
        }
        .boxed()
    }

    fn checkpointed(&self, planned: &Value, checkpoint: &Json) -> Result<Value, Fault> {
        overlay_json(&self.schema, self.name(), planned, checkpoint).map(|made| self.schema.to_store(made))
    }
}

impl<D: DataSource> AnyDataSource for ErasedDataSource<D> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn read<'a>(&'a self, ctx: AnyContext, config: &'a Value) -> BoxFuture<'a, Result<Value, Fault>> {
        async move {
            let typed = args::<D::Args>(self.name(), config)?;
            let found = self.inner.read(&ctx.typed()?, typed).await?;
            overlay(&self.schema, self.name(), config, &found)
        }
        .boxed()
    }
}

impl<E: EphemeralResource> AnyEphemeral for ErasedEphemeral<E> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn validate(&self, config: &Value) -> Vec<Problem> {
        self.inner.validate(config)
    }
    fn open<'a>(&'a self, ctx: AnyContext, config: &'a Value) -> BoxFuture<'a, Result<Opened<Value>, Fault>> {
        async move {
            let typed = args::<E::Args>(self.name(), config)?;
            let Opened { state, ticket, renew_after } = self.inner.open(&ctx.typed()?, typed).await?;
            let state = overlay(&self.schema, self.name(), config, &state)?.with_marks(Marks::EPHEMERAL);
            Ok(Opened { state, ticket, renew_after })
        }
        .boxed()
    }
    fn renew<'a>(
        &'a self,
        ctx: AnyContext,
        ticket: &'a Json,
    ) -> BoxFuture<'a, Result<Option<Duration>, Fault>> {
        async move { self.inner.renew(&ctx.typed()?, ticket).await }.boxed()
    }
    fn close<'a>(&'a self, ctx: AnyContext, ticket: &'a Json) -> BoxFuture<'a, Result<(), Fault>> {
        async move { self.inner.close(&ctx.typed()?, ticket).await }.boxed()
    }
}

impl<P: Provider> AnyProvider for ErasedProvider<P> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn resources(&self) -> &[Box<dyn AnyResource>] {
        &self.resources
    }
    fn data_sources(&self) -> &[Box<dyn AnyDataSource>] {
        &self.data_sources
    }
    fn max_parallel(&self) -> Option<usize> {
        self.inner.max_parallel()
    }
    fn ephemerals(&self) -> &[Box<dyn AnyEphemeral>] {
        &self.ephemerals
    }
    fn notice(&self) -> Option<&'static str> {
        self.inner.notice()
    }
    fn configure<'a>(&'a self, setup: &'a Setup, config: &'a Value) -> BoxFuture<'a, Result<Client, Fault>> {
        async move {
            let typed = args::<P::Config>(&format!("provider {:?}", self.name()), config)?;
            Ok(Arc::new(self.inner.configure(setup, typed).await?) as Client)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grappe_value::Attribute;
    use serde::Deserialize;

    struct Machine;

    #[derive(Deserialize)]
    struct Args {
        name: String,
        #[serde(default)]
        tags: Vec<String>,
    }

    #[derive(Serialize, Deserialize)]
    struct State {
        id: String,
    }

    impl Resource for Machine {
        type Client = String;
        type Args = Args;
        type State = State;

        fn name(&self) -> &'static str {
            "test_machine"
        }
        fn schema(&self) -> Schema {
            Schema::new("A machine.")
                .attr("name", Attribute::required(Type::String, "Its name."))
                .attr("tags", Attribute::optional(Type::list(Type::String), "Its tags."))
                .attr("password", Attribute::optional(Type::String, "A secret.").sensitive())
                .attr("id", Attribute::computed(Type::String, "Its id."))
                .attr("note", Attribute::computed(Type::String, "Never given."))
        }
        async fn read(&self, _: &Context<String>, state: State) -> Result<Option<State>, Fault> {
            Ok((state.id != "gone").then_some(state))
        }
        fn read_group(&self, _: &Value) -> Option<String> {
            Some(String::new())
        }
        async fn read_many(&self, _: &Context<String>, states: Vec<State>) -> Result<Many<State>, Fault> {
            let short = states.iter().any(|s| s.id == "lost");
            let states = states.into_iter().filter(|s| !short || s.id != "lost");
            Ok(states
                .map(|s| match s.id.as_str() {
                    "gone" => Ok(None),
                    "odd" => Err(Fault::throttled("slow down")),
                    _ => Ok(Some(s)),
                })
                .collect())
        }
        async fn create(&self, ctx: &Context<String>, args: Args) -> Result<State, Fault> {
            let state = State { id: format!("{}/{}/{}", ctx.client(), args.name, args.tags.len()) };
            ctx.checkpoint(&state).await?;
            Ok(state)
        }
        async fn delete(&self, _: &Context<String>, _: State) -> Result<(), Fault> {
            Ok(())
        }
    }

    #[derive(Default)]
    struct Recorder(std::sync::Mutex<Vec<Json>>);

    impl Run for Recorder {
        fn progress(&self, _: &str) {}
        fn output(&self, _: crate::Stream, _: &str) {}
        fn checkpoint(&self, state: Json) -> BoxFuture<'_, Result<(), Fault>> {
            self.0.lock().expect("no holder panics").push(state);
            async { Ok(()) }.boxed()
        }
    }

    fn context(client: Client, run: Arc<Recorder>) -> AnyContext {
        AnyContext {
            client,
            run,
            addr: "test_machine.a".parse().expect("an address"),
            key: "k".into(),
            resumed: None,
            only_looks: false,
            cancel: CancellationToken::new(),
            going: Arc::default(),
        }
    }

    #[tokio::test]
    async fn what_a_type_returns_is_laid_over_what_was_planned() {
        let machine = resource(Machine);
        let run = Arc::new(Recorder::default());
        let planned = Value::object([
            ("name", Value::from("a")),
            ("tags", Value::null(Type::list(Type::String))),
            ("password", Value::from("hunter2").sensitive()),
            ("id", Value::unknown(Type::String)),
            ("note", Value::unknown(Type::String)),
        ]);
        let made = machine
            .create(context(Arc::new("cloud".to_owned()), run.clone()), &planned)
            .await
            .expect("created");
        assert_eq!(made.get("id"), Some(&Value::from("cloud/a/0")));
        assert!(made.get("password").expect("kept").is_sensitive_deep());
        assert!(
            made.get("note").expect("settled").is_null(),
            "what a provider does not give is null, not unknown"
        );
        assert!(made.is_wholly_known());
        assert_eq!(run.0.lock().expect("no holder panics").len(), 1);
        let gone = made.with_attr("id", Value::from("gone"));
        assert_eq!(
            machine.read(context(Arc::new("cloud".to_owned()), run), &gone).await.expect("read"),
            None
        );
    }

    #[tokio::test]
    async fn many_are_read_at_once_each_with_its_own_answer() {
        let machine = resource(Machine);
        let object = |id: &str| Value::object([("name", Value::from("a")), ("id", id.into())]);
        let read = async |ids: &[&str]| {
            let states: Vec<Value> = ids.iter().map(|id| object(id)).collect();
            machine.read_many(context(Arc::new(String::new()), Arc::default()), &states).await
        };
        let answers = read(&["there", "gone", "odd"]).await.expect("read");
        let id = |v: &Value| v.get("id").cloned();
        assert_eq!(answers[0].as_ref().expect("read").as_ref().and_then(id), Some(Value::from("there")));
        assert!(answers[1].as_ref().is_ok_and(Option::is_none));
        assert!(answers[2].as_ref().is_err_and(Fault::is_transient), "the fault of one is that one's");
        let fault = read(&["there", "lost"]).await.expect_err("one answer is missing");
        assert!(fault.summary.contains("answered 1 of 2"), "{fault}");
    }

    #[tokio::test]
    async fn a_client_of_another_provider_is_refused() {
        let machine = resource(Machine);
        let planned = Value::object([("name", Value::from("a"))]);
        let fault =
            machine.create(context(Arc::new(7u8), Arc::default()), &planned).await.expect_err("refused");
        assert!(fault.summary.contains("another provider"), "{fault}");
    }

    #[tokio::test]
    async fn wrong_arguments_never_quote_a_secret() {
        let machine = resource(Machine);
        let planned =
            Value::object([("name", Value::from(true)), ("password", Value::from("hunter2").sensitive())]);
        let fault = machine
            .create(context(Arc::new(String::new()), Arc::default()), &planned)
            .await
            .expect_err("refused");
        assert!(!format!("{fault:?}").contains("hunter2"));
    }
}
