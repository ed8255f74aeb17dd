//! `random_pet`: words that people can say.

use grappe_provider::{Context, Fault, Importable, Imported, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

use super::{generator, keepers, only_in_the_state, whole};

const ADVERBS: &[&str] = &[
    "boldly", "bravely", "briefly", "calmly", "clearly", "daily", "deeply", "duly", "early", "easily",
    "fairly", "firmly", "freely", "fully", "gently", "gladly", "greatly", "kindly", "lately", "likely",
    "lively", "mildly", "mostly", "nearly", "neatly", "newly", "nicely", "openly", "partly", "plainly",
    "promptly", "purely", "quickly", "quietly", "rarely", "readily", "really", "safely", "sharply", "simply",
    "slowly", "smoothly", "softly", "solely", "steadily", "strongly", "surely", "swiftly", "truly", "warmly",
    "wholly", "widely", "wisely",
];
const ADJECTIVES: &[&str] = &[
    "able", "amber", "apt", "avid", "balanced", "bold", "brave", "bright", "brisk", "calm", "careful",
    "cheerful", "clean", "clear", "clever", "cosmic", "crisp", "curious", "daring", "deep", "eager", "easy",
    "elegant", "fair", "faithful", "fast", "fine", "firm", "fresh", "gentle", "glad", "golden", "good",
    "grand", "green", "handy", "happy", "honest", "humble", "jolly", "keen", "kind", "large", "light",
    "lively", "loyal", "lucky", "major", "merry", "mighty", "modest", "neat", "new", "nimble", "noble",
    "patient", "polite", "proud", "pure", "quick", "quiet", "rapid", "ready", "robust", "round", "sharp",
    "silent", "smart", "smooth", "solid", "steady", "stout", "strong", "sunny", "sweet", "swift", "tidy",
    "tough", "vast", "vivid", "warm", "wise", "witty", "young",
];
const NAMES: &[&str] = &[
    "adder", "alpaca", "ant", "badger", "bat", "bear", "beaver", "bee", "beetle", "bison", "bobcat", "buck",
    "camel", "cat", "cod", "colt", "condor", "cow", "coyote", "crab", "crane", "cricket", "crow", "cub",
    "deer", "dog", "dolphin", "donkey", "dove", "duck", "eagle", "eel", "elk", "emu", "falcon", "fawn",
    "ferret", "finch", "fish", "foal", "fox", "frog", "gazelle", "gecko", "gibbon", "goat", "goose",
    "grouse", "gull", "hare", "hawk", "hen", "heron", "hippo", "horse", "ibex", "jackal", "jay", "kid",
    "kite", "kiwi", "koala", "lamb", "lark", "lemur", "lion", "lizard", "llama", "lobster", "lynx", "magpie",
    "mallard", "mantis", "marmot", "marten", "mole", "moose", "moth", "mule", "newt", "ocelot", "octopus",
    "oriole", "osprey", "otter", "owl", "ox", "panda", "parrot", "perch", "pig", "pigeon", "pika", "pony",
    "puffin", "puma", "quail", "rabbit", "ram", "raven", "robin", "rook", "salmon", "seal", "shark", "sheep",
    "shrew", "skylark", "sloth", "snail", "snipe", "sparrow", "spider", "squid", "stag", "starling", "stork",
    "swan", "swift", "tapir", "teal", "tern", "tiger", "toad", "trout", "turtle", "viper", "vole", "walrus",
    "wasp", "weasel", "whale", "wolf", "wombat", "wren", "yak", "zebra",
];

/// `random_pet`.
pub(super) struct RandomPet;

#[derive(Deserialize)]
pub(super) struct Args {
    length: usize,
    prefix: Option<String>,
    separator: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    id: String,
}

impl Resource for RandomPet {
    type Client = ();
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "random_pet"
    }

    fn schema(&self) -> Schema {
        Schema::new("A name made of words: `brave-otter`.")
            .attr("keepers", keepers())
            .attr(
                "length",
                Attribute::optional(Type::Number, "How many words, the prefix apart.").default(2).replace(),
            )
            .attr("prefix", Attribute::optional(Type::String, "A first word.").replace())
            .attr(
                "separator",
                Attribute::optional(Type::String, "What stands between words.").default("-").replace(),
            )
            .attr("id", Attribute::computed(Type::String, "The name."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        match whole(config, "length") {
            Some(n) if !(1..=100).contains(&n) => {
                vec![Problem::new("length", format!("length is {n}; it must be from 1 to 100"))]
            }
            _ => Vec::new(),
        }
    }

    only_in_the_state!();

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(stored)
    }

    fn importable(&self) -> Importable {
        Importable::By("the name")
    }

    async fn import(&self, _: &Context<()>, id: &str, _: Args) -> Result<Option<Imported>, Fault> {
        Imported::new(&State { id: id.to_owned() }).map(Some)
    }

    async fn create(&self, _: &Context<()>, args: Args) -> Result<State, Fault> {
        let mut rng = generator(None);
        // A name last, an adjective before it, adverbs before that.
        let lists = (0..args.length).rev().map(|from_end| match from_end {
            0 => NAMES,
            1 => ADJECTIVES,
            _ => ADVERBS,
        });
        let mut words: Vec<String> = args.prefix.into_iter().filter(|p| !p.is_empty()).collect();
        words.extend(lists.filter_map(|list| list.choose(&mut rng)).map(|word| (*word).to_owned()));
        Ok(State { id: words.join(&args.separator) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::testing::Bench;

    #[test]
    fn it_has_as_many_words_as_asked() {
        let bench = Bench::new(Random);
        let made = bench.create("random_pet", &Value::object::<&str>([]));
        let id = made.get("id").unwrap().as_str().unwrap();
        let (adjective, name) = id.split_once('-').unwrap();
        assert!(ADJECTIVES.contains(&adjective) && NAMES.contains(&name), "{id}");

        let given =
            Value::object([("length", Value::from(3)), ("prefix", "lab".into()), ("separator", "_".into())]);
        let made = bench.create("random_pet", &given);
        let words: Vec<&str> = made.get("id").unwrap().as_str().unwrap().split('_').collect();
        assert_eq!(words.len(), 4);
        assert!(words[0] == "lab" && ADVERBS.contains(&words[1]), "{words:?}");
    }
}
