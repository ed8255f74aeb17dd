//! `provider "random"`: values that are drawn once and kept, until one of the `keepers` changes.
//!
//! Names and arguments are those of hashicorp/random. A `seed` gives the same value each time, but not the value that Terraform's
//! provider gives for it: that one draws with Go's generator.

mod id;
mod integer;
mod password;
mod pet;
mod shuffle;
mod string;
mod uuid;

use grappe_provider::{AnyEphemeral, AnyResource, Fault, Provider, Setup, erased};
use grappe_value::{Attribute, Type, Value};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

use crate::NoConfig;

/// The provider of chance.
pub struct Random;

impl Provider for Random {
    type Client = ();
    type Config = NoConfig;

    fn name(&self) -> &'static str {
        "random"
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![
            erased::resource(id::RandomId),
            erased::resource(integer::RandomInteger),
            erased::resource(password::RandomPassword),
            erased::resource(pet::RandomPet),
            erased::resource(shuffle::RandomShuffle),
            erased::resource(string::RandomString),
            erased::resource(uuid::RandomUuid),
        ]
    }

    fn ephemerals(&self) -> Vec<Box<dyn AnyEphemeral>> {
        vec![erased::ephemeral(password::Ephemeral)]
    }

    async fn configure(&self, _: &Setup, _: NoConfig) -> Result<(), Fault> {
        Ok(())
    }
}

/// The argument that all of them have.
fn keepers() -> Attribute {
    Attribute::optional(Type::map(Type::String), "A new value is drawn when one of these changes.").replace()
}

/// A whole number of the configuration, where it is known.
fn whole(config: &Value, name: &str) -> Option<i64> {
    config.get(name)?.as_number()?.as_i64()
}

/// The generator: of the system's entropy, or of the seed where one is given.
fn generator(seed: Option<&str>) -> StdRng {
    match seed.filter(|s| !s.is_empty()) {
        Some(seed) => StdRng::from_seed(Sha256::digest(seed.as_bytes()).into()),
        None => StdRng::from_rng(&mut rand::rng()),
    }
}

/// What a type does whose objects live in the state only: a macro, because the trait's methods are spelled out for each type.
macro_rules! only_in_the_state {
    () => {
        fn reads(&self) -> bool {
            false
        }
        async fn read(
            &self,
            _: &grappe_provider::Context<()>,
            state: Self::State,
        ) -> Result<Option<Self::State>, grappe_provider::Fault> {
            Ok(Some(state))
        }
        async fn delete(
            &self,
            _: &grappe_provider::Context<()>,
            _: Self::State,
        ) -> Result<(), grappe_provider::Fault> {
            Ok(())
        }
    };
}
use only_in_the_state;
