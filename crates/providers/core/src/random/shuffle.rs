//! `random_shuffle`: a list in another order.

use grappe_provider::{Context, Fault, Importable, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{generator, keepers, only_in_the_state, whole};

/// `random_shuffle`.
pub(super) struct RandomShuffle;

#[derive(Deserialize)]
pub(super) struct Args {
    input: Vec<Option<String>>,
    result_count: Option<usize>,
    seed: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    result: Vec<Option<String>>,
}

impl Resource for RandomShuffle {
    type Client = ();
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "random_shuffle"
    }

    fn schema(&self) -> Schema {
        let strings = Type::list(Type::String);
        Schema::new("A list in a random order.")
            .attr("keepers", keepers())
            .attr("input", Attribute::required(strings.clone(), "What is shuffled.").replace())
            .attr(
                "result_count",
                Attribute::optional(
                    Type::Number,
                    "How many elements the result has: as many as the input where nothing is said; beyond that, the \
                     input is shuffled again.",
                )
                .replace(),
            )
            .attr("seed", Attribute::optional(Type::String, "The same seed gives the same order.").replace())
            .attr("result", Attribute::computed(strings, "The elements."))
            .attr("id", Attribute::computed(Type::String, "Always `-`."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        match whole(config, "result_count") {
            Some(n) if !(0..=1_000_000).contains(&n) => {
                vec![Problem::new(
                    "result_count",
                    format!("result_count is {n}; it must be from 0 to 1000000"),
                )]
            }
            _ => Vec::new(),
        }
    }

    only_in_the_state!();

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(stored)
    }

    fn importable(&self) -> Importable {
        Importable::Not("its value is a list, which no id tells")
    }

    async fn create(&self, _: &Context<()>, args: Args) -> Result<State, Fault> {
        let mut rng = generator(args.seed.as_deref());
        let count = args.result_count.unwrap_or(args.input.len());
        let mut result = Vec::with_capacity(count);
        // Whole rounds, so that no element comes twice more often than another.
        while result.len() < count && !args.input.is_empty() {
            let mut round = args.input.clone();
            round.shuffle(&mut rng);
            round.truncate(count - result.len());
            result.append(&mut round);
        }
        Ok(State { id: "-".into(), result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::testing::Bench;

    fn shuffled(count: Option<i64>, seed: &str) -> Vec<String> {
        let input = Value::list(Type::String, ["a", "b", "c", "d", "e"].map(Value::from));
        let mut given = vec![("input", input), ("seed", seed.into())];
        given.extend(count.map(|n| ("result_count", Value::from(n))));
        let made = Bench::new(Random).create("random_shuffle", &Value::object(given));
        made.get("result")
            .unwrap()
            .as_items()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_same_elements_in_another_order() {
        let mut all = shuffled(None, "x");
        assert_eq!(all, shuffled(None, "x"));
        assert!((0..20).any(|i| shuffled(None, &i.to_string()) != all));
        all.sort();
        assert_eq!(all, ["a", "b", "c", "d", "e"]);
        assert_eq!(shuffled(Some(2), "x").len(), 2);
        let rounds = shuffled(Some(7), "x");
        assert_eq!(rounds.len(), 7);
        assert!(["a", "b", "c", "d", "e"].iter().all(|e| rounds.iter().any(|r| r == e)), "{rounds:?}");
        assert_eq!(shuffled(Some(0), "x"), Vec::<String>::new());
    }
}
