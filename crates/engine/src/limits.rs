//! Groups of which only so many operations run at once.

use std::collections::HashMap;

use grappe_graph::Lane;
use grappe_provider::Limit;

/// The places in each group. A group's number is the lane of the ready queue that waits for it.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    lanes: HashMap<String, Lane>,
    taken: Vec<usize>,
}

impl Limits {
    /// Takes a place in each of these groups, or none and says which is full.
    pub(crate) fn take(&mut self, limits: &[Limit]) -> Result<Vec<Lane>, Lane> {
        let mut wanted = Vec::with_capacity(limits.len());
        for limit in limits {
            let lane = self.lane(&limit.group);
            // A group of none would never let anybody in.
            if self.taken[lane] >= limit.max.max(1) {
                return Err(lane);
            }
            if !wanted.contains(&lane) {
                wanted.push(lane);
            }
        }
        for lane in &wanted {
            self.taken[*lane] += 1;
        }
        Ok(wanted)
    }

    /// Gives places back.
    pub(crate) fn give_back(&mut self, lanes: &[Lane]) {
        for lane in lanes {
            self.taken[*lane] -= 1;
        }
    }

    fn lane(&mut self, group: &str) -> Lane {
        if let Some(lane) = self.lanes.get(group) {
            return *lane;
        }
        self.taken.push(0);
        self.lanes.insert(group.to_owned(), self.taken.len() - 1);
        self.taken.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_none_and_never_more_than_the_maximum() {
        let mut limits = Limits::default();
        let limit = |group: &str, max| Limit { group: group.into(), max };
        let one = limits.take(&[limit("a", 1), limit("b", 2)]).unwrap();
        assert_eq!(limits.take(&[limit("b", 2), limit("a", 1)]), Err(0), "a is full, b untouched");
        let two = limits.take(&[limit("b", 2)]).unwrap();
        assert_eq!(limits.take(&[limit("b", 2)]), Err(1));
        limits.give_back(&two);
        limits.give_back(&one);
        assert_eq!(
            limits.take(&[limit("a", 0), limit("b", 2)]).unwrap(),
            vec![0, 1],
            "0 means one at a time"
        );
    }
}
