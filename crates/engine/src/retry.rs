//! When something that may pass is tried again.

use std::time::Duration;

use grappe_provider::{Fault, FaultKind};

/// How often and when a fault that may pass is tried again. What was throttled uses up no try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// How many tries there are in all.
    pub tries: u32,
    /// The wait after the first.
    pub first: Duration,
    /// The longest wait, but for what the far side asks for.
    pub max: Duration,
    /// How far a wait may be off, as a share of it: 0.25 is a quarter more or less. It keeps many that failed together from coming back together.
    pub jitter: f64,
}

impl Default for RetryPolicy {
    /// Eight tries: after 1, 2, 4, 8, 16, 30 and 30 seconds, a quarter more or less.
    fn default() -> Self {
        RetryPolicy { tries: 8, first: Duration::from_secs(1), max: Duration::from_secs(30), jitter: 0.25 }
    }
}

impl RetryPolicy {
    /// For readings: four tries, after 1, 2 and 4 seconds. Somebody waits for the plan, and what is dead stays so.
    #[must_use]
    pub fn of_reads() -> Self {
        RetryPolicy { tries: 4, ..RetryPolicy::default() }
    }

    /// How long to wait after the try with this number (from 1) failed like this; `None` where it is not tried again.
    #[must_use]
    pub fn wait(&self, attempt: u32, fault: &Fault) -> Option<Duration> {
        self.wait_with(attempt, fault, rand::random())
    }

    /// The same, with the chance (0 to 1) given.
    fn wait_with(&self, attempt: u32, fault: &Fault, chance: f64) -> Option<Duration> {
        let after = match fault.kind {
            FaultKind::Transient(_) if attempt >= self.tries => return None,
            // It is no fault of the operation's: its provider is asked less until it fits, and the deadline ends it.
            FaultKind::Transient(after) | FaultKind::Throttled(after) => after,
            FaultKind::Gone | FaultKind::Permanent => return None,
        };
        let doubled = self.first.saturating_mul(1u32 << (attempt - 1).min(20)).min(self.max);
        let wait = doubled.mul_f64(1.0 + self.jitter * (2.0 * chance - 1.0));
        // What the far side asks for is the least: coming back earlier is refused again.
        Some(after.map_or(wait, |after| after.max(wait)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_honour_what_is_asked_for() {
        let policy = RetryPolicy::default();
        let fault = Fault::transient("busy");
        let waits: Vec<_> = (1..9).map(|n| policy.wait_with(n, &fault, 0.5).map(|d| d.as_secs())).collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), Some(8), Some(16), Some(30), Some(30), None]);
        assert_eq!(policy.wait_with(1, &fault, 0.0), Some(Duration::from_millis(750)));
        assert_eq!(policy.wait_with(1, &fault, 1.0), Some(Duration::from_millis(1250)));
        let asked = Fault::transient("busy").after(Duration::from_secs(90));
        assert_eq!(policy.wait_with(1, &asked, 0.5), Some(Duration::from_secs(90)));
        let throttled = Fault::throttled("slow down");
        assert_eq!(policy.wait_with(50, &throttled, 0.5), Some(Duration::from_secs(30)), "however often");
        let throttled = throttled.after(Duration::from_secs(60));
        assert_eq!(policy.wait_with(1, &throttled, 0.5), Some(Duration::from_secs(60)));
        assert_eq!(policy.wait_with(1, &Fault::permanent("no"), 0.5), None);
        assert_eq!(policy.wait_with(1, &Fault::gone("no"), 0.5), None);
    }
}
