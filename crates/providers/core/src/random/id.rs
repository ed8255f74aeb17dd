//! `random_id`: bytes, written in four ways.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grappe_provider::{Context, Fault, Importable, Imported, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use super::{keepers, only_in_the_state, whole};

/// `random_id`.
pub(super) struct RandomId;

#[derive(Deserialize)]
pub(super) struct Args {
    byte_length: usize,
    #[serde(default)]
    prefix: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    id: String,
    b64_url: String,
    b64_std: String,
    hex: String,
    dec: String,
}

impl Resource for RandomId {
    type Client = ();
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "random_id"
    }

    fn schema(&self) -> Schema {
        let written = |description| Attribute::computed(Type::String, description);
        Schema::new("Random bytes, for names that must not collide.")
            .attr("keepers", keepers())
            .attr("byte_length", Attribute::required(Type::Number, "How many bytes, from 1.").replace())
            .attr(
                "prefix",
                Attribute::optional(Type::String, "Put before each form but the id, as it is.").replace(),
            )
            .attr("id", written("The bytes in base64 for URLs, without the prefix."))
            .attr("b64_url", written("The bytes in base64 for URLs, without padding."))
            .attr("b64_std", written("The bytes in standard base64."))
            .attr("hex", written("The bytes in hexadecimal."))
            .attr("dec", written("The bytes as one number in decimal."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        match whole(config, "byte_length") {
            Some(n) if !(1..=4096).contains(&n) => {
                vec![Problem::new("byte_length", format!("byte_length is {n}; it must be from 1 to 4096"))]
            }
            _ => Vec::new(),
        }
    }

    only_in_the_state!();

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(stored)
    }

    fn importable(&self) -> Importable {
        Importable::By("`B64_URL`, or `PREFIX,B64_URL`")
    }

    async fn import(&self, _: &Context<()>, id: &str, _: Args) -> Result<Option<Imported>, Fault> {
        let (prefix, text) = match id.rsplit_once(',') {
            Some((prefix, text)) => (Some(prefix), text),
            None => (None, id),
        };
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|e| Fault::permanent(format!("{text:?} is not base64 for URLs without padding: {e}")))?;
        if bytes.is_empty() {
            return Err(Fault::permanent("the id holds no bytes"));
        }
        let found = Imported::new(&written(&bytes, prefix.unwrap_or_default()))?;
        Ok(Some(found.with("byte_length", bytes.len()).with("prefix", prefix)))
    }

    async fn create(&self, _: &Context<()>, args: Args) -> Result<State, Fault> {
        let mut bytes = vec![0u8; args.byte_length];
        rand::fill(&mut bytes[..]);
        Ok(written(&bytes, &args.prefix))
    }
}

fn written(bytes: &[u8], prefix: &str) -> State {
    let id = URL_SAFE_NO_PAD.encode(bytes);
    State {
        b64_url: format!("{prefix}{id}"),
        b64_std: format!("{prefix}{}", STANDARD.encode(bytes)),
        hex: format!("{prefix}{}", crate::tls::hex(bytes)),
        dec: format!("{prefix}{}", decimal(bytes)),
        id,
    }
}

/// A big-endian number in decimal.
fn decimal(bytes: &[u8]) -> String {
    // Base 1e9 digits, the least first.
    let mut digits: Vec<u64> = vec![0];
    for byte in bytes {
        let mut carry = u64::from(*byte);
        for digit in &mut digits {
            let n = *digit * 256 + carry;
            (*digit, carry) = (n % 1_000_000_000, n / 1_000_000_000);
        }
        if carry > 0 {
            digits.push(carry);
        }
    }
    let mut out = digits.pop().unwrap_or(0).to_string();
    for digit in digits.iter().rev() {
        out.push_str(&format!("{digit:09}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::testing::Bench;

    #[test]
    fn the_forms_are_of_the_same_bytes() {
        let state = written(&[0xff, 0xfe, 0xfd, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06], "p-");
        assert_eq!(state.id, "__79AAECAwQFBg");
        assert_eq!(state.b64_url, "p-__79AAECAwQFBg");
        assert_eq!(state.b64_std, "p-//79AAECAwQFBg==");
        assert_eq!(state.hex, "p-fffefd00010203040506");
        // int.from_bytes(bytes.fromhex("fffefd00010203040506"))
        assert_eq!(state.dec, "p-1208907156698881503528198");
        assert_eq!(decimal(&[0, 0]), "0");
    }

    #[test]
    fn bytes_that_there_are_are_imported() {
        let bench = Bench::new(Random);
        let given = Value::object([("byte_length", Value::from(10)), ("prefix", "p-".into())]);
        let found = bench.import("random_id", "p-,__79AAECAwQFBg", &given).unwrap().unwrap();
        assert_eq!(found.get("hex").unwrap().as_str(), Some("p-fffefd00010203040506"));
        assert!(bench.plan("random_id", Some(&found), &given).same(&found), "nothing is to be done");
        assert!(
            bench
                .import("random_id", "p-__79AAECAwQFBg", &given)
                .unwrap()
                .unwrap()
                .get("prefix")
                .unwrap()
                .is_null()
        );
        assert!(bench.import("random_id", "!", &given).is_err());
    }

    #[test]
    fn it_draws_as_many_bytes_as_asked() {
        let bench = Bench::new(Random);
        let made = bench.create("random_id", &Value::object([("byte_length", Value::from(8))]));
        assert_eq!(made.get("hex").unwrap().as_str().unwrap().len(), 16);
        let other = bench.create("random_id", &Value::object([("byte_length", Value::from(8))]));
        assert_ne!(made.get("hex"), other.get("hex"));
        let config = bench.config("random_id", &Value::object([("byte_length", Value::from(0))]));
        assert_eq!(bench.resource("random_id").validate(&config).len(), 1);
    }
}
