//! `random_integer`: a whole number in a range.

use grappe_provider::{Context, Fault, Importable, Imported, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::{generator, keepers, only_in_the_state, whole};

/// `random_integer`.
pub(super) struct RandomInteger;

#[derive(Deserialize)]
pub(super) struct Args {
    min: i64,
    max: i64,
    seed: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    result: i64,
}

impl Resource for RandomInteger {
    type Client = ();
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "random_integer"
    }

    fn schema(&self) -> Schema {
        Schema::new("A random whole number.")
            .attr("keepers", keepers())
            .attr("min", Attribute::required(Type::Number, "The least that may come.").replace())
            .attr("max", Attribute::required(Type::Number, "The greatest that may come.").replace())
            .attr("seed", Attribute::optional(Type::String, "The same seed gives the same number.").replace())
            .attr("result", Attribute::computed(Type::Number, "The number."))
            .attr("id", Attribute::computed(Type::String, "The number as text."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        match (whole(config, "min"), whole(config, "max")) {
            (Some(min), Some(max)) if min > max => {
                vec![Problem::new("min", format!("min is {min}, above max, which is {max}"))]
            }
            _ => Vec::new(),
        }
    }

    only_in_the_state!();

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(stored)
    }

    fn importable(&self) -> Importable {
        Importable::By("`RESULT`, or `RESULT,MIN,MAX` or `RESULT,MIN,MAX,SEED` as Terraform wants it")
    }

    async fn import(&self, _: &Context<()>, id: &str, args: Args) -> Result<Option<Imported>, Fault> {
        let bad = |part: &str| Fault::permanent(format!("{part:?} in the id {id:?} is not a whole number"));
        let whole = |part: &str| part.parse::<i64>().map_err(|_| bad(part));
        let parts: Vec<&str> = id.splitn(4, ',').collect();
        let result = whole(parts[0])?;
        let (min, max) = match parts[..] {
            [_] => (args.min, args.max),
            [_, min, max] | [_, min, max, _] => (whole(min)?, whole(max)?),
            _ => {
                return Err(Fault::permanent(format!(
                    "the id {id:?} is not RESULT or RESULT,MIN,MAX[,SEED]"
                )));
            }
        };
        if !(min..=max).contains(&result) {
            return Err(Fault::permanent(format!("{result} is not between {min} and {max}")));
        }
        let found =
            Imported::new(&State { id: result.to_string(), result })?.with("min", min).with("max", max);
        Ok(Some(match parts.get(3) {
            Some(seed) => found.with("seed", *seed),
            None => found,
        }))
    }

    async fn create(&self, _: &Context<()>, args: Args) -> Result<State, Fault> {
        if args.min > args.max {
            // Both were unknown while planning.
            return Err(Fault::permanent(format!("min is {}, above max, which is {}", args.min, args.max))
                .attribute("min"));
        }
        let result = generator(args.seed.as_deref()).random_range(args.min..=args.max);
        Ok(State { id: result.to_string(), result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::testing::Bench;

    fn draw(seed: Option<&str>) -> i64 {
        let mut given = vec![("min", Value::from(-2)), ("max", Value::from(2_000_000))];
        given.extend(seed.map(|s| ("seed", Value::from(s))));
        let made = Bench::new(Random).create("random_integer", &Value::object(given));
        let result = made.get("result").unwrap().as_number().unwrap().as_i64().unwrap();
        assert_eq!(made.get("id").unwrap().as_str(), Some(&*result.to_string()));
        result
    }

    #[test]
    fn a_number_that_there_is_is_imported() {
        let bench = Bench::new(Random);
        let given = Value::object([("min", Value::from(-5)), ("max", 10.into())]);
        for id in ["-3", "-3,-5,10"] {
            let found = bench.import("random_integer", id, &given).unwrap().unwrap();
            assert!(bench.plan("random_integer", Some(&found), &given).same(&found), "nothing is to be done");
        }
        let other = bench.import("random_integer", "3,1,9,x,y", &given).unwrap().unwrap();
        assert_eq!(other.get("seed").unwrap().as_str(), Some("x,y"));
        assert_eq!(other.get("min").unwrap().as_number().unwrap().as_i64(), Some(1));
        for id in ["", "x", "11", "3,1", "3,4,9", "3,a,9"] {
            assert!(bench.import("random_integer", id, &given).is_err(), "{id}");
        }
    }

    #[test]
    fn it_is_in_the_range_and_a_seed_fixes_it() {
        for _ in 0..50 {
            assert!((-2..=2_000_000).contains(&draw(None)));
        }
        assert_eq!(draw(Some("a")), draw(Some("a")));
        assert_ne!(draw(Some("a")), draw(Some("b")));
        let bench = Bench::new(Random);
        let given = Value::object([("min", Value::from(2)), ("max", Value::from(1))]);
        let config = bench.config("random_integer", &given);
        assert_eq!(bench.resource("random_integer").validate(&config).len(), 1);
    }
}
