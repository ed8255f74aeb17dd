//! `random_string`, and the drawing of characters that `random_password` shares.

use grappe_provider::{Context, Fault, Importable, Imported, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};

use super::{generator, keepers, only_in_the_state, whole};

/// `random_string`.
pub(super) struct RandomString;

/// What both types take.
#[derive(Deserialize)]
pub(super) struct Args {
    length: usize,
    #[serde(default = "yes")]
    upper: bool,
    #[serde(default = "yes")]
    lower: bool,
    #[serde(default = "yes")]
    numeric: bool,
    /// The old name of `numeric`.
    number: Option<bool>,
    #[serde(default = "yes")]
    special: bool,
    override_special: Option<String>,
    #[serde(default)]
    min_upper: usize,
    #[serde(default)]
    min_lower: usize,
    #[serde(default)]
    min_numeric: usize,
    #[serde(default)]
    min_special: usize,
}

fn yes() -> bool {
    true
}

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    result: String,
}

impl Resource for RandomString {
    type Client = ();
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "random_string"
    }

    fn schema(&self) -> Schema {
        schema("Random characters. Not for secrets: it is shown; `random_password` is not.")
            .attr("result", Attribute::computed(Type::String, "The characters."))
            .attr("id", Attribute::computed(Type::String, "The characters."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        validate(config)
    }

    only_in_the_state!();

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(as_configured(stored))
    }

    fn importable(&self) -> Importable {
        Importable::By("the characters")
    }

    async fn import(&self, _: &Context<()>, id: &str, _: Args) -> Result<Option<Imported>, Fault> {
        let found = Imported::new(&State { id: id.to_owned(), result: id.to_owned() })?;
        Ok(Some(found.with("length", id.chars().count())))
    }

    async fn create(&self, _: &Context<()>, args: Args) -> Result<State, Fault> {
        let result = draw(&args)?;
        Ok(State { id: result.clone(), result })
    }
}

/// What Terraform's provider stores under both names of `numeric`, as a block that uses the new one has it.
pub(super) fn as_configured(stored: Value) -> Value {
    stored.with_attr("number", Value::null(Type::Bool))
}

/// The arguments of both types.
pub(super) fn schema(description: &'static str) -> Schema {
    let switch = |description| Attribute::optional(Type::Bool, description).default(true).replace();
    let least = |description| Attribute::optional(Type::Number, description).default(0).replace();
    Schema::new(description)
        .attr("keepers", keepers())
        .attr("length", Attribute::required(Type::Number, "How many characters, from 1.").replace())
        .attr("upper", switch("Whether A–Z may come."))
        .attr("lower", switch("Whether a–z may come."))
        .attr("numeric", switch("Whether 0–9 may come."))
        .attr("number", Attribute::optional(Type::Bool, "The old name of `numeric`.").replace())
        .attr("special", switch("Whether !@#$%&*()-_=+[]{}<>:? may come."))
        .attr(
            "override_special",
            Attribute::optional(Type::String, "The special characters that may come instead.").replace(),
        )
        .attr("min_upper", least("The least number of A–Z."))
        .attr("min_lower", least("The least number of a–z."))
        .attr("min_numeric", least("The least number of 0–9."))
        .attr("min_special", least("The least number of special characters."))
}

/// The least numbers must fit the length, and something must be left to draw from.
pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let length = whole(config, "length");
    if let Some(n) = length.filter(|n| !(1..=65536).contains(n)) {
        problems.push(Problem::new("length", format!("length is {n}; it must be from 1 to 65536")));
        return problems;
    }
    let mut wanted = 0;
    for name in ["min_upper", "min_lower", "min_numeric", "min_special"] {
        let least = whole(config, name).unwrap_or(0);
        if least < 0 {
            problems.push(Problem::new(name, format!("{name} is {least}; it can't be below 0")));
        }
        wanted += least.max(0);
    }
    if let Some(length) = length.filter(|length| wanted > *length) {
        problems.push(
            Problem::new("length", format!("length is {length}, but the min_ arguments ask for {wanted}"))
                .hint("raise length or lower min_upper, min_lower, min_numeric, min_special"),
        );
    }
    let off = |name| config.get(name).and_then(Value::as_bool) == Some(false);
    let no_digits = off("numeric") || off("number");
    if off("upper") && off("lower") && no_digits && off("special") {
        problems.push(
            Problem::new("length", "there is no character to draw from")
                .hint("leave one of upper, lower, numeric and special true"),
        );
    }
    problems
}

/// Draws the characters: first those that must come, then any that may, then all in another order.
pub(super) fn draw(args: &Args) -> Result<String, Fault> {
    let special = args.override_special.as_deref().unwrap_or("!@#$%&*()-_=+[]{}<>:?");
    let kinds = [
        ("abcdefghijklmnopqrstuvwxyz", args.lower, args.min_lower),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", args.upper, args.min_upper),
        ("0123456789", args.number.unwrap_or(args.numeric), args.min_numeric),
        (special, args.special, args.min_special),
    ];
    let mut rng = generator(None);
    let mut out = Vec::with_capacity(args.length);
    let mut all = Vec::new();
    for (letters, may, least) in kinds {
        let letters: Vec<char> = letters.chars().collect();
        out.extend((0..least).filter_map(|_| letters.choose(&mut rng)));
        if may {
            all.extend(letters);
        }
    }
    while out.len() < args.length {
        let letter = all.choose(&mut rng).ok_or_else(|| {
            Fault::permanent("there is no character to draw from")
                .hint("leave one of upper, lower, numeric and special true")
        })?;
        out.push(*letter);
    }
    out.shuffle(&mut rng);
    Ok(out.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::testing::Bench;

    #[test]
    fn every_draw_keeps_the_rules() {
        let bench = Bench::new(Random);
        let given = Value::object([
            ("length", Value::from(12)),
            ("upper", false.into()),
            ("min_numeric", 3.into()),
            ("min_special", 2.into()),
            ("override_special", "_%".into()),
        ]);
        for _ in 0..200 {
            let made = bench.create("random_string", &given);
            let text = made.get("result").unwrap().as_str().unwrap().to_owned();
            assert_eq!(text.len(), 12, "{text}");
            assert!(text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_%".contains(c)));
            assert!(text.chars().filter(char::is_ascii_digit).count() >= 3, "{text}");
            assert!(text.chars().filter(|c| "_%".contains(*c)).count() >= 2, "{text}");
            assert_eq!(made.get("id"), made.get("result"));
        }
    }

    #[test]
    fn a_string_that_there_is_is_imported_as_its_block_says() {
        let bench = Bench::new(Random);
        let given = Value::object([("length", Value::from(3)), ("special", false.into())]);
        let found = bench.import("random_string", "a%c", &given).unwrap().unwrap();
        assert!(bench.plan("random_string", Some(&found), &given).same(&found), "nothing is to be done");
        let found = bench.import("random_string", "abcd", &given).unwrap().unwrap();
        assert_eq!(
            found.get("length").unwrap().as_number().unwrap().as_i64(),
            Some(4),
            "what is, not what is wanted"
        );
    }

    #[test]
    fn what_cannot_be_drawn_is_said_while_planning() {
        let bench = Bench::new(Random);
        for (given, blamed) in [
            (vec![("length", Value::from(0))], "length"),
            (vec![("length", 3.into()), ("min_lower", 4.into())], "length"),
            (vec![("length", 3.into()), ("min_lower", (-1).into())], "min_lower"),
            (
                vec![
                    ("length", 3.into()),
                    ("lower", false.into()),
                    ("upper", false.into()),
                    ("number", false.into()),
                    ("special", false.into()),
                ],
                "length",
            ),
        ] {
            let config = bench.config("random_string", &Value::object(given));
            let problems = bench.resource("random_string").validate(&config);
            assert_eq!(problems.len(), 1, "{config:?}: {problems:?}");
            assert_eq!(problems[0].attribute.to_string(), blamed);
        }
    }
}
