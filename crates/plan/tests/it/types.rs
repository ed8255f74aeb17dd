//! A provider of which only the planner's side is real: schemas and plan hooks. What its objects become is [`crate::lab`]'s business.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grappe_provider::{
    AnyDataSource, AnyEphemeral, AnyProvisioner, AnyResource, Change, Context, DataSource, EphemeralResource,
    Fault, Importable, Opened, Problem, Provider, Registry, Resource, Setup, StepContext, erased,
};
use grappe_value::{Attribute, Nesting, Schema, Type, Value};
use serde::{Deserialize, Serialize};

/// Nothing: no method that would need it is called.
#[derive(Serialize, Deserialize)]
pub(crate) struct Nothing {}

fn never<T>() -> Result<T, Fault> {
    Err(Fault::permanent("the planner does no I/O"))
}

/// `lab_thing`: an attribute for each rule.
struct Thing;

impl Resource for Thing {
    type Client = ();
    type Args = Nothing;
    type State = Nothing;

    fn name(&self) -> &'static str {
        "lab_thing"
    }

    fn schema(&self) -> Schema {
        let host = Type::optional_object([("id", Type::String), ("address", Type::String)]);
        let disk = Schema::new("")
            .attr("gb", Attribute::required(Type::Number, ""))
            .attr("device", Attribute::computed(Type::String, ""));
        Schema::new("")
            .attr("name", Attribute::optional(Type::String, ""))
            .attr("size", Attribute::optional(Type::Number, "").default(1i64))
            .attr("image", Attribute::optional(Type::String, "").replace())
            .attr("input", Attribute::optional(Type::Any, ""))
            .attr("labels", Attribute::optional(Type::map(Type::String), ""))
            .attr("note", Attribute::optional(Type::String, "").record())
            .attr("host", Attribute::optional(host, "").replace_when("id").home())
            .attr("leads_to", Attribute::optional(Type::list(Type::String), "").routes())
            .attr("secret", Attribute::optional(Type::String, "").sensitive())
            .attr("zone", Attribute::optional_computed(Type::String, ""))
            .attr("id", Attribute::computed(Type::String, ""))
            .attr("address", Attribute::computed(Type::String, ""))
            .attr("output", Attribute::computed(Type::Any, ""))
            .block("disk", Nesting::List, disk)
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        match config.get("name").and_then(Value::as_str) {
            Some("bad") => vec![Problem::new("name", "is bad").hint("be good")],
            _ => Vec::new(),
        }
    }

    fn plan(&self, change: &mut Change<'_>) {
        if change.changes("input") {
            let input = change.planned().get("input").cloned().unwrap_or(Value::NULL);
            change.set("output", input);
        }
        // A new size is another address.
        if change.prior.is_some() && change.changes("size") {
            change.set_unknown("address");
        }
    }

    fn importable(&self) -> Importable {
        Importable::By("its id")
    }

    async fn read(&self, _: &Context<()>, _: Nothing) -> Result<Option<Nothing>, Fault> {
        never()
    }
    async fn create(&self, _: &Context<()>, _: Nothing) -> Result<Nothing, Fault> {
        never()
    }
    async fn delete(&self, _: &Context<()>, _: Nothing) -> Result<(), Fault> {
        never()
    }
}

/// `lab_place`: a machine behind an address, whose id is the instance's.
struct Place;

impl Resource for Place {
    type Client = ();
    type Args = Nothing;
    type State = Nothing;

    fn name(&self) -> &'static str {
        "lab_place"
    }

    fn schema(&self) -> Schema {
        Schema::new("")
            .attr("instance", Attribute::required(Type::String, "").replace().home())
            .attr("id", Attribute::computed(Type::String, ""))
    }

    fn plan(&self, change: &mut Change<'_>) {
        let instance = change.planned().get("instance").cloned().unwrap_or(Value::NULL);
        change.set("id", instance);
    }

    async fn read(&self, _: &Context<()>, _: Nothing) -> Result<Option<Nothing>, Fault> {
        never()
    }
    async fn create(&self, _: &Context<()>, _: Nothing) -> Result<Nothing, Fault> {
        never()
    }
    async fn delete(&self, _: &Context<()>, _: Nothing) -> Result<(), Fault> {
        never()
    }
}

/// `lab_lookup`
struct Lookup;

impl DataSource for Lookup {
    type Client = ();
    type Args = Nothing;
    type State = Nothing;

    fn name(&self) -> &'static str {
        "lab_lookup"
    }

    fn schema(&self) -> Schema {
        Schema::new("")
            .attr("key", Attribute::required(Type::String, ""))
            .attr("value", Attribute::computed(Type::String, ""))
    }

    async fn read(&self, _: &Context<()>, _: Nothing) -> Result<Nothing, Fault> {
        never()
    }
}

/// `lab_vault`: keeps what it is told, and tells nobody.
struct Vault;

impl Resource for Vault {
    type Client = ();
    type Args = Nothing;
    type State = Nothing;

    fn name(&self) -> &'static str {
        "lab_vault"
    }

    fn schema(&self) -> Schema {
        Schema::new("")
            .attr("secret_wo", Attribute::optional(Type::String, "").write_only())
            .attr("secret_wo_version", Attribute::optional(Type::Number, ""))
            .attr("name", Attribute::optional(Type::String, ""))
            .attr("id", Attribute::computed(Type::String, ""))
    }

    async fn read(&self, _: &Context<()>, _: Nothing) -> Result<Option<Nothing>, Fault> {
        never()
    }
    async fn create(&self, _: &Context<()>, _: Nothing) -> Result<Nothing, Fault> {
        never()
    }
    async fn delete(&self, _: &Context<()>, _: Nothing) -> Result<(), Fault> {
        never()
    }
}

/// `ephemeral "lab_token"`
struct Token;

impl EphemeralResource for Token {
    type Client = ();
    type Args = Nothing;
    type State = Nothing;

    fn name(&self) -> &'static str {
        "lab_token"
    }

    fn schema(&self) -> Schema {
        Schema::new("")
            .attr("role", Attribute::required(Type::String, ""))
            .attr("token", Attribute::computed(Type::String, ""))
    }

    async fn open(&self, _: &Context<()>, _: Nothing) -> Result<Opened<Nothing>, Fault> {
        never()
    }
}

struct Lab;

impl Provider for Lab {
    type Client = ();
    type Config = Nothing;

    fn name(&self) -> &'static str {
        "lab"
    }

    fn schema(&self) -> Schema {
        Schema::new("").attr("region", Attribute::optional(Type::String, ""))
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![erased::resource(Thing), erased::resource(Place), erased::resource(Vault)]
    }

    fn data_sources(&self) -> Vec<Box<dyn AnyDataSource>> {
        vec![erased::data_source(Lookup)]
    }

    fn ephemerals(&self) -> Vec<Box<dyn AnyEphemeral>> {
        vec![erased::ephemeral(Token)]
    }

    async fn configure(&self, _: &Setup, _: Nothing) -> Result<(), Fault> {
        never()
    }
}

/// A step: its name, its arguments and those of its connection.
pub(crate) struct Shout(pub(crate) &'static str, pub(crate) Schema, pub(crate) Option<Schema>);

fn shout() -> Schema {
    Schema::new("").attr("command", Attribute::required(Type::String, ""))
}

impl AnyProvisioner for Shout {
    fn name(&self) -> &'static str {
        self.0
    }
    fn schema(&self) -> &Schema {
        &self.1
    }
    fn connection(&self) -> Option<&Schema> {
        self.2.as_ref()
    }
    fn validate(&self, config: &Value, _: Option<&Value>) -> Vec<Problem> {
        match config.get("command").and_then(Value::as_str) {
            Some("") => vec![Problem::new("command", "says nothing")],
            _ => Vec::new(),
        }
    }
    fn run<'a>(
        &'a self,
        _: StepContext,
        _: &'a Value,
        _: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        async { never() }.boxed()
    }
}

pub(crate) fn registry() -> Registry {
    let host = Schema::new("")
        .attr("host", Attribute::required(Type::String, ""))
        .attr("user", Attribute::optional(Type::String, ""));
    Registry::default()
        .with(erased::provider(Lab))
        .with_provisioner(Arc::new(Shout("local-exec", shout(), None)))
        .with_provisioner(Arc::new(Shout("remote-exec", shout(), Some(host))))
}
