//! `provider "null"`: `null_resource`, a resource that does nothing.

use std::collections::BTreeMap;

use grappe_provider::{AnyResource, Context, Fault, Importable, Provider, Resource, Setup, erased};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use crate::NoConfig;

/// The provider of nothing.
pub struct Null;

impl Provider for Null {
    type Client = ();
    type Config = NoConfig;

    fn name(&self) -> &'static str {
        "null"
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![erased::resource(NullResource)]
    }

    async fn configure(&self, _: &Setup, _: NoConfig) -> Result<(), Fault> {
        Ok(())
    }
}

/// `null_resource`.
pub struct NullResource;

/// The arguments.
#[derive(Deserialize)]
pub struct Args {
    #[serde(default, rename = "triggers")]
    _triggers: BTreeMap<String, Option<String>>,
}

/// What is decided here.
#[derive(Serialize, Deserialize)]
pub struct State {
    id: String,
}

impl Resource for NullResource {
    type Client = ();
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "null_resource"
    }

    fn schema(&self) -> Schema {
        Schema::new("Does nothing, and is replaced when its triggers change.")
            .attr(
                "triggers",
                Attribute::optional(Type::map(Type::String), "The object is replaced when one changes.")
                    .replace(),
            )
            .attr("id", Attribute::computed(Type::String, "A number in decimal, new for each object."))
    }

    fn reads(&self) -> bool {
        false
    }

    async fn read(&self, _: &Context<()>, state: State) -> Result<Option<State>, Fault> {
        Ok(Some(state))
    }

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(stored)
    }

    fn importable(&self) -> Importable {
        Importable::Not("it stands for nothing that exists: create it")
    }

    async fn create(&self, _: &Context<()>, _: Args) -> Result<State, Fault> {
        Ok(State { id: (rand::random::<u64>() >> 1).to_string() })
    }

    async fn delete(&self, _: &Context<()>, _: State) -> Result<(), Fault> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn it_has_an_id_and_keeps_its_triggers() {
        let bench = Bench::new(Null);
        let triggers = Value::map(Type::String, [("a", Value::from("1")), ("b", Value::null(Type::String))]);
        let made = bench.create("null_resource", &Value::object([("triggers", triggers.clone())]));
        assert_eq!(made.get("triggers"), Some(&triggers));
        let id = made.get("id").unwrap().as_str().unwrap();
        assert!(id.parse::<i64>().is_ok_and(|n| n >= 0), "{id}");
    }
}
