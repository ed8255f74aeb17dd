//! `provider "terraform"`: `terraform_data`, a resource that keeps a value.

use grappe_provider::{
    AnyResource, Change, Context, Fault, Importable, Imported, Provider, Resource, Setup, erased,
};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use crate::NoConfig;

/// The provider that every plan has.
pub struct Terraform;

impl Provider for Terraform {
    type Client = ();
    type Config = NoConfig;

    fn name(&self) -> &'static str {
        "terraform"
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![erased::resource(TerraformData)]
    }

    async fn configure(&self, _: &Setup, _: NoConfig) -> Result<(), Fault> {
        Ok(())
    }
}

/// `terraform_data`. Its output is known while planning as far as its input is; in Terraform it is not.
pub struct TerraformData;

/// No argument is looked at: what is stored is what was planned.
#[derive(Deserialize)]
pub struct Args {}

/// What is decided here.
#[derive(Serialize, Deserialize)]
pub struct State {
    id: String,
}

impl Resource for TerraformData {
    type Client = ();
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "terraform_data"
    }

    fn schema(&self) -> Schema {
        Schema::new("Keeps a value in the state, and is replaced when another value changes.")
            .attr("input", Attribute::optional(Type::Any, "Any value; the output is the same."))
            .attr("output", Attribute::computed(Type::Any, "The input."))
            .attr(
                "triggers_replace",
                Attribute::optional(Type::Any, "Any value; the object is replaced when it changes.")
                    .replace(),
            )
            .attr("id", Attribute::computed(Type::String, "A UUID, new for each object."))
    }

    fn plan(&self, change: &mut Change<'_>) {
        let input = change.planned().get("input").cloned().unwrap_or(Value::NULL);
        change.set("output", input);
    }

    fn reads(&self) -> bool {
        false
    }

    async fn read(&self, _: &Context<()>, state: State) -> Result<Option<State>, Fault> {
        Ok(Some(state))
    }

    async fn create(&self, ctx: &Context<()>, _: Args) -> Result<State, Fault> {
        // The idempotency key is a UUID of this object alone: a creation that is tried again gives the same id.
        Ok(State { id: ctx.key().to_owned() })
    }

    async fn update(&self, _: &Context<()>, prior: State, _: Args) -> Result<State, Fault> {
        Ok(prior)
    }

    /// Terraform marks the input alone.
    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        match (stored.get("input").cloned(), stored.get("output")) {
            (Some(input), Some(output)) if input.same(output) => Ok(stored.with_attr("output", input)),
            _ => Err("its output is not its input: its last apply did not come to an end".into()),
        }
    }

    fn importable(&self) -> Importable {
        Importable::By("any text: it becomes the object's `id`")
    }

    async fn import(&self, _: &Context<()>, id: &str, _: Args) -> Result<Option<Imported>, Fault> {
        Imported::new(&State { id: id.to_owned() }).map(Some)
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
    fn the_output_is_the_input_and_known_while_planning() {
        let bench = Bench::new(Terraform);
        let input = Value::object([("a", Value::from(1)), ("secret", Value::from("s").sensitive())]);
        let config = Value::object([("input", input.clone())]);
        let planned = bench.plan("terraform_data", None, &config);
        assert_eq!(planned.get("output"), Some(&input));
        assert!(planned.get("id").unwrap().is_unknown());

        let made = bench.create("terraform_data", &config);
        assert_eq!(made.get("output"), Some(&input), "the marks too");
        assert_eq!(made.get("id").unwrap().as_str(), Some(Bench::KEY));

        let changed = Value::object([("input", Value::from("b"))]);
        let made = bench.update("terraform_data", &made, &changed);
        assert_eq!(made.get("output"), Some(&Value::from("b")));
        assert_eq!(made.get("id").unwrap().as_str(), Some(Bench::KEY), "the same object");
        bench.delete("terraform_data", &made);
    }

    #[test]
    fn it_is_imported_with_what_its_block_says() {
        let bench = Bench::new(Terraform);
        let config = Value::object([("input", Value::from("a"))]);
        let found = bench.import("terraform_data", "mine", &config).unwrap().unwrap();
        assert_eq!(found.get("id").unwrap().as_str(), Some("mine"));
        assert_eq!(found.get("output"), Some(&Value::from("a")));
        assert!(bench.plan("terraform_data", Some(&found), &config).same(&found), "nothing is to be done");
    }

    #[test]
    fn without_input_there_is_no_output() {
        let made = Bench::new(Terraform).create("terraform_data", &Value::object::<&str>([]));
        assert!(made.get("output").unwrap().is_null());
    }

    #[test]
    fn an_unknown_input_gives_an_unknown_output() {
        let config = Value::object([("input", Value::unknown_not_null(Type::String))]);
        let planned = Bench::new(Terraform).plan("terraform_data", None, &config);
        assert!(planned.get("output").unwrap().is_unknown());
    }
}
