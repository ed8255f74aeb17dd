//! Mishaps: what befalls calls of the simulated cloud and commands on its hosts by chance, as on any cloud's worse days.
//!
//! The chance is that of a seed and of how many calls there were before: the same calls in the same order meet the same mishaps. What came about is
//! counted in the world's file, so that who injects faults can tell that they came.

use serde::{Deserialize, Serialize};

use super::World;
use super::model::State;

/// What can befall a call or a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mishap {
    /// Refused: too many requests, come back in a second. Calls of the cloud only.
    #[serde(rename = "429")]
    Busy,
    /// Refused: the server is broken. Calls of the cloud only.
    #[serde(rename = "500")]
    Broken,
    /// No answer comes until the client gives up; what was asked for may have been done. For hosts: their sshd can't be connected to.
    Timeout,
    /// The connection ends before what was asked for is begun.
    Drop,
    /// What was asked for is done, and the connection ends before the answer.
    Lost,
    /// It takes up to a second longer.
    Slow,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The cloud, for something.
    Cloud,
    /// A host's sshd, for a connection.
    Sshd,
    /// A host, to run a command.
    Command,
}

/// What meets it, and a number that is its own: for how long, whether done or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) mishap: Mishap,
    pub(crate) number: u64,
}

impl Met {
    /// How much longer something slow takes, in milliseconds.
    pub(crate) fn delay_ms(self) -> u64 {
        50 + self.number % 950
    }
}

impl Mishap {
    fn befalls(self, asked: Asked) -> bool {
        match self {
            Mishap::Busy | Mishap::Broken => asked == Asked::Cloud,
            Mishap::Timeout => asked != Asked::Command,
            Mishap::Drop | Mishap::Lost | Mishap::Slow => asked != Asked::Sshd,
        }
    }
}

impl State {
    /// Lets chance decide what meets what is asked next.
    fn mishap(&mut self, asked: Asked) -> Option<Met> {
        if self.knobs.faults.is_empty() {
            return None;
        }
        self.drawn += 1;
        let number = mix(self.knobs.fault_seed ^ mix(self.drawn));
        let mut chance = u32::try_from(number % 100).unwrap_or_default();
        for (mishap, share) in &self.knobs.faults {
            if !mishap.befalls(asked) {
                continue;
            }
            if chance < *share {
                *self.mishaps.entry(*mishap).or_default() += 1;
                self.dirty = true;
                return Some(Met { mishap: *mishap, number: number / 100 });
            }
            chance -= share;
        }
        None
    }
}

impl World {
    /// What meets what is asked next.
    pub(crate) fn mishap(&self, asked: Asked) -> Option<Met> {
        self.with(|state| state.mishap(asked))
    }
}

/// SplitMix64: numbers that look like chance, from numbers that don't.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_the_seeds_and_as_large_as_asked() {
        let drawn = |seed| {
            let mut state = State::default();
            state.knobs.fault_seed = seed;
            state.knobs.faults = [(Mishap::Busy, 10), (Mishap::Lost, 5)].into();
            let met: Vec<_> = (0..10_000).map(|_| state.mishap(Asked::Cloud).map(|met| met.mishap)).collect();
            (met, state.mishaps)
        };
        let (met, counts) = drawn(7);
        assert_eq!(met, drawn(7).0);
        assert_ne!(met, drawn(8).0);
        assert!((850..1150).contains(&counts[&Mishap::Busy]), "{counts:?}");
        assert!((400..600).contains(&counts[&Mishap::Lost]), "{counts:?}");
    }

    #[test]
    fn a_host_has_no_http_codes() {
        let mut state = State::default();
        state.knobs.faults = [(Mishap::Busy, 50), (Mishap::Broken, 50)].into();
        assert!((0..100).all(|_| state.mishap(Asked::Command).is_none()));
    }
}
