//! `random_password`: as `random_string`, never shown. Terraform's `bcrypt_hash` is not offered: nothing here needs it yet.

use grappe_provider::{Context, EphemeralResource, Fault, Importable, Imported, Opened, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use super::{only_in_the_state, string};

/// `random_password`.
pub(super) struct RandomPassword;

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    result: String,
}

impl Resource for RandomPassword {
    type Client = ();
    type Args = string::Args;
    type State = State;

    fn name(&self) -> &'static str {
        "random_password"
    }

    fn schema(&self) -> Schema {
        string::schema("Random characters that are never shown, and sealed in what is stored.")
            .attr("result", Attribute::computed(Type::String, "The characters.").sensitive())
            .attr("id", Attribute::computed(Type::String, "Always `none`: an id is shown."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        string::validate(config)
    }

    only_in_the_state!();

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(string::as_configured(stored))
    }

    fn importable(&self) -> Importable {
        Importable::By("the password")
    }

    async fn import(&self, _: &Context<()>, id: &str, _: string::Args) -> Result<Option<Imported>, Fault> {
        let found = Imported::new(&State { id: "none".into(), result: id.to_owned() })?;
        Ok(Some(found.with("length", id.chars().count())))
    }

    async fn create(&self, _: &Context<()>, args: string::Args) -> Result<State, Fault> {
        Ok(State { id: "none".into(), result: string::draw(&args)? })
    }
}

/// `ephemeral "random_password"`: another one each time that it is opened, in no plan and no state.
pub(super) struct Ephemeral;

#[derive(Serialize)]
pub(super) struct Drawn {
    result: String,
}

impl EphemeralResource for Ephemeral {
    type Client = ();
    type Args = string::Args;
    type State = Drawn;

    fn name(&self) -> &'static str {
        "random_password"
    }

    fn schema(&self) -> Schema {
        let mut schema = string::schema(
            "Random characters that are stored nowhere: others each time that they are drawn, while planning and while applying. Give them to a \
             write-only argument, a provider or a step of a provisioner.",
        );
        schema.attributes.remove("keepers");
        schema.attributes.remove("number");
        schema.attr("result", Attribute::computed(Type::String, "The characters.").sensitive())
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        string::validate(config)
    }

    async fn open(&self, _: &Context<()>, args: string::Args) -> Result<Opened<Drawn>, Fault> {
        Ok(Opened::lasting(Drawn { result: string::draw(&args)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::testing::Bench;

    #[test]
    fn it_is_never_shown() {
        let made =
            Bench::new(Random).create("random_password", &Value::object([("length", Value::from(20))]));
        let result = made.get("result").unwrap();
        assert!(result.is_sensitive_deep());
        assert!(!format!("{made:?}").contains(result.as_str().unwrap()));
        assert_eq!(made.get("id").unwrap().as_str(), Some("none"));
        let given = Value::object([("length", Value::from(7))]);
        let found = Bench::new(Random).import("random_password", "hunter2", &given).unwrap().unwrap();
        assert!(
            found.get("result").unwrap().is_sensitive_deep() && !format!("{found:?}").contains("hunter2")
        );
    }
}
