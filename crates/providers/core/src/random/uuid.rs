//! `random_uuid`: a random (version 4) UUID.

use grappe_provider::{Context, Fault, Importable, Imported, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use super::{keepers, only_in_the_state};

/// `random_uuid`.
pub(super) struct RandomUuid;

#[derive(Deserialize)]
pub(super) struct Args {}

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    result: String,
}

impl Resource for RandomUuid {
    type Client = ();
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "random_uuid"
    }

    fn schema(&self) -> Schema {
        Schema::new("A random UUID.")
            .attr("keepers", keepers())
            .attr("result", Attribute::computed(Type::String, "The UUID."))
            .attr("id", Attribute::computed(Type::String, "The UUID."))
    }

    only_in_the_state!();

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(stored)
    }

    fn importable(&self) -> Importable {
        Importable::By("the UUID")
    }

    async fn import(&self, _: &Context<()>, id: &str, _: Args) -> Result<Option<Imported>, Fault> {
        let parsed =
            uuid::Uuid::parse_str(id).map_err(|e| Fault::permanent(format!("{id:?} is not a UUID: {e}")))?;
        let result = parsed.hyphenated().to_string();
        Imported::new(&State { id: result.clone(), result }).map(Some)
    }

    async fn create(&self, _: &Context<()>, _: Args) -> Result<State, Fault> {
        let result = uuid::Uuid::new_v4().to_string();
        Ok(State { id: result.clone(), result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::testing::Bench;

    #[test]
    fn it_is_a_random_uuid() {
        let bench = Bench::new(Random);
        let keepers = Value::map(grappe_value::Type::String, [("a", Value::from("1"))]);
        let made = bench.create("random_uuid", &Value::object([("keepers", keepers)]));
        let text = made.get("result").unwrap().as_str().unwrap();
        assert_eq!(uuid::Uuid::parse_str(text).unwrap().get_version_num(), 4);
        assert_eq!(made.get("id"), made.get("result"));
    }
}
