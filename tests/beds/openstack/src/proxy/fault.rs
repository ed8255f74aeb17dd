//! What goes wrong, and when.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// No client can do anything about an API that always fails.
const IN_A_ROW: u32 = 2;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// 429, with `Retry-After`. The service does not see the call.
    TooMany {
        /// Seconds.
        retry_after: u32,
    },
    /// 500. The service does not see the call.
    Internal,
    /// 503, with `Retry-After`. The service does not see the call.
    Unavailable {
        /// Seconds.
        retry_after: u32,
    },
    /// The connection is reset before the service sees the call.
    Reset,
    /// The service does what was asked; the connection is reset instead of its answer.
    Lost,
    /// The service does what was asked; nothing is answered, and the connection stays: for whoever is killed while it waits.
    Mute,
    /// The service is asked later.
    Slow {
        /// Milliseconds.
        millis: u64,
    },
}

/// A fault, and how often it happens.
#[derive(Debug, Clone)]
pub struct Chance {
    /// What happens.
    pub fault: Fault,
    /// To one call in so many.
    pub one_in: u64,
    /// Only to this method.
    pub method: Option<&'static str>,
    /// Only where the path has this in it.
    pub path: Option<&'static str>,
    /// No more often than this.
    pub times: Option<u32>,
}

impl Chance {
    /// A fault of one call in so many.
    pub fn new(fault: Fault, one_in: u64) -> Chance {
        Chance { fault, one_in, method: None, path: None, times: None }
    }

    /// A fault of the first calls of this method whose path has this in it.
    pub fn first(fault: Fault, times: u32, method: &'static str, path: &'static str) -> Chance {
        Chance { fault, one_in: 1, method: Some(method), path: Some(path), times: Some(times) }
    }
}

/// Decides, call by call.
#[derive(Debug)]
pub(super) struct Dice {
    seed: u64,
    pub(super) chances: Vec<Chance>,
    /// For each method, port and path: how many calls there were, and how many of the last ones failed.
    seen: HashMap<(String, u16, String), (u64, u32)>,
}

impl Dice {
    pub(super) fn new(seed: u64, chances: Vec<Chance>) -> Dice {
        Dice { seed, chances, seen: HashMap::new() }
    }

    pub(super) fn roll(&mut self, method: &str, port: u16, path: &str) -> Option<Fault> {
        let key = (method.to_owned(), port, path.to_owned());
        let seed = self.seed;
        let (number, failed) = self.seen.entry(key).or_default();
        *number += 1;
        let place = (seed, method, port, path, *number);
        let hit = |(index, chance): &(usize, &mut Chance)| {
            chance.times != Some(0)
                && chance.method.is_none_or(|m| m == method)
                && chance.path.is_none_or(|p| path.contains(p))
                && hash((place, index)).is_multiple_of(chance.one_in.max(1))
        };
        let hit = self.chances.iter_mut().enumerate().find(hit).filter(|_| *failed < IN_A_ROW);
        let Some((_, chance)) = hit else {
            *failed = 0;
            return None;
        };
        chance.times = chance.times.map(|times| times - 1);
        // Who is never answered does not try again.
        if matches!(chance.fault, Fault::Slow { .. } | Fault::Mute) {
            *failed = 0;
        } else {
            *failed += 1;
        }
        Some(chance.fault)
    }
}

/// The same in each process, as this hasher has no secret.
fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolls(seed: u64, chances: &[Chance], calls: &[(&str, &str)]) -> Vec<Option<Fault>> {
        let mut dice = Dice::new(seed, chances.to_vec());
        calls.iter().map(|(method, path)| dice.roll(method, 1, path)).collect()
    }

    #[test]
    fn faults_depend_on_the_seed_and_not_on_other_calls() {
        let chances = [Chance::new(Fault::Internal, 4), Chance::new(Fault::Lost, 6)];
        let servers = [("POST", "/servers"); 60];
        let once = rolls(7, &chances, &servers);
        assert_eq!(once, rolls(7, &chances, &servers));
        assert_ne!(once, rolls(8, &chances, &servers));
        let failed = once.iter().flatten().count();
        assert!((10..35).contains(&failed), "{failed} of 60");
        assert!(once.contains(&Some(Fault::Lost)) && once.contains(&Some(Fault::Internal)));
        let mixed: Vec<_> = servers.iter().flat_map(|call| [("GET", "/ports"), *call]).collect();
        let mixed = rolls(7, &chances, &mixed);
        assert_eq!(once, mixed.into_iter().skip(1).step_by(2).collect::<Vec<_>>());
    }

    #[test]
    fn no_call_fails_more_than_twice_in_a_row() {
        let always = rolls(1, &[Chance::new(Fault::Internal, 1)], &[("GET", "/x"); 6]);
        let failed = Some(Fault::Internal);
        assert_eq!(always, [failed, failed, None, failed, failed, None]);
        let mute = rolls(1, &[Chance::new(Fault::Mute, 1)], &[("GET", "/x"); 3]);
        assert_eq!(mute, [Some(Fault::Mute); 3], "it is not the same client that calls again");
    }

    #[test]
    fn a_chance_may_be_of_some_calls_only() {
        let chances = [Chance::first(Fault::Reset, 1, "POST", "/servers")];
        let calls = [
            ("GET", "/v2.1/servers"),
            ("POST", "/v2.1/os-keypairs"),
            ("POST", "/v2.1/servers"),
            ("POST", "/v2.1/servers"),
        ];
        assert_eq!(rolls(1, &chances, &calls), [None, None, Some(Fault::Reset), None]);
    }
}
