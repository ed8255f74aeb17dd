//! What may start next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{Cycle, Graph, remaining};

/// Something that nodes wait for besides each other: a limit that is reached. The caller numbers them.
pub type Lane = usize;

/// What the caller says of a node that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It starts now.
    Start,
    /// It waits until [`ReadyQueue::open`] is called for this lane.
    Wait(Lane),
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Waiting,
    Running,
    Done,
    Failed,
    Skipped,
}

/// Longest remaining way first, then the lower position.
type Rank = (Reverse<Duration>, usize);

/// The nodes of a graph as they become ready, the one with the longest way ahead of it first.
///
/// Each node is given out once, after all that come before it are done. Where one fails, all that come after it are skipped, and the others go on.
/// Limits are the caller's: it looks at each candidate and starts it or names a [`Lane`] that it waits for. A node that waits for a lane costs
/// nothing until that lane opens, so that 10,000 nodes behind a limit of ten cost as much as ten.
#[derive(Debug)]
pub struct ReadyQueue {
    graph: Graph,
    ranks: Vec<Reverse<Duration>>,
    /// How long all that comes after a node takes.
    after: Vec<Duration>,
    /// How many of those before it are not done.
    waits: Vec<usize>,
    status: Vec<Status>,
    /// Ready, not looked at yet.
    ready: BTreeSet<Rank>,
    lanes: BTreeMap<Lane, BTreeSet<Rank>>,
    /// Lanes whose nodes are worth a look.
    open: BTreeSet<Lane>,
    running: usize,
    left: usize,
}

impl ReadyQueue {
    /// A queue over a graph with an estimate for each node.
    ///
    /// # Errors
    /// Where nodes wait for each other.
    ///
    /// # Panics
    /// Where there is not an estimate for each node.
    pub fn new(graph: Graph, estimates: &[Duration]) -> Result<Self, Cycle> {
        let ranks: Vec<_> = remaining(&graph, estimates)?.into_iter().map(Reverse).collect();
        let waits: Vec<usize> = (0..graph.len()).map(|n| graph.before(n).len()).collect();
        let ready = (0..graph.len()).filter(|n| waits[*n] == 0).map(|n| (ranks[n], n)).collect();
        let after = ranks.iter().zip(estimates).map(|(rank, own)| rank.0.saturating_sub(*own)).collect();
        Ok(ReadyQueue {
            ranks,
            after,
            waits,
            status: vec![Status::Waiting; graph.len()],
            ready,
            lanes: BTreeMap::new(),
            open: BTreeSet::new(),
            running: 0,
            left: graph.len(),
            graph,
        })
    }

    /// The node to start next, if one may; it is running then, until [`ReadyQueue::done`] or [`ReadyQueue::failed`]. `verdict` is asked of candidates,
    /// best first, until it lets one start.
    pub fn next(&mut self, mut verdict: impl FnMut(usize) -> Verdict) -> Option<usize> {
        loop {
            let from_ready = self.ready.first().map(|rank| (*rank, None));
            let from_lanes = self.open.iter().filter_map(|l| Some((*self.lanes.get(l)?.first()?, Some(*l))));
            let (rank, lane) = from_ready.into_iter().chain(from_lanes).min()?;
            match verdict(rank.1) {
                Verdict::Start => {
                    self.take(rank, lane);
                    self.status[rank.1] = Status::Running;
                    self.running += 1;
                    return Some(rank.1);
                }
                Verdict::Wait(wanted) => {
                    // The lane is closed again, so that each turn of this loop closes a lane or moves a node out of sight.
                    self.open.remove(&wanted);
                    if lane != Some(wanted) {
                        self.take(rank, lane);
                        self.lanes.entry(wanted).or_default().insert(rank);
                    }
                }
            }
        }
    }

    /// Takes a node out of where it waits.
    fn take(&mut self, rank: Rank, lane: Option<Lane>) {
        match lane {
            None => self.ready.remove(&rank),
            Some(lane) => self.lanes.get_mut(&lane).is_some_and(|nodes| nodes.remove(&rank)),
        };
    }

    /// A lane has room again: the nodes that wait for it are candidates.
    pub fn open(&mut self, lane: Lane) {
        self.open.insert(lane);
    }

    /// A running node is done.
    pub fn done(&mut self, node: usize) {
        if !self.stop(node, Status::Done) {
            return;
        }
        for next in self.graph.after(node) {
            self.waits[*next] -= 1;
            if self.waits[*next] == 0 && self.status[*next] == Status::Waiting {
                self.ready.insert((self.ranks[*next], *next));
            }
        }
    }

    /// A running node failed: all that come after it are skipped, directly or not. Gives them, in order of position.
    pub fn failed(&mut self, node: usize) -> Vec<usize> {
        if !self.stop(node, Status::Failed) {
            return Vec::new();
        }
        let mut skipped = Vec::new();
        let mut todo = vec![node];
        while let Some(at) = todo.pop() {
            for next in self.graph.after(at) {
                if self.status[*next] == Status::Waiting {
                    self.status[*next] = Status::Skipped;
                    self.left -= 1;
                    skipped.push(*next);
                    todo.push(*next);
                }
            }
        }
        skipped.sort_unstable();
        skipped
    }

    fn stop(&mut self, node: usize, status: Status) -> bool {
        let was_running = self.status[node] == Status::Running;
        if was_running {
            self.status[node] = status;
            self.running -= 1;
            self.left -= 1;
        }
        was_running
    }

    /// How many are running.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// How many are neither done, failed nor skipped: running ones count.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// The longest way still ahead, where the running nodes have been running for so long. Costs what is running, not what the graph holds.
    #[must_use]
    pub fn remaining(&self, running: impl IntoIterator<Item = (usize, Duration)>) -> Duration {
        let best = |nodes: &BTreeSet<Rank>| nodes.first().map(|(rank, _)| rank.0);
        let ready = std::iter::once(&self.ready).chain(self.lanes.values()).filter_map(best);
        // One that takes longer than expected still leaves what comes after it.
        let left =
            |(node, since): (usize, Duration)| self.ranks[node].0.saturating_sub(since).max(self.after[node]);
        ready.chain(running.into_iter().map(left)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn queue(nodes: usize, edges: &[(usize, usize)], secs: &[u64]) -> ReadyQueue {
        let estimates: Vec<_> = secs.iter().map(|s| Duration::from_secs(*s)).collect();
        ReadyQueue::new(Graph::new(nodes, edges.iter().copied()), &estimates).unwrap()
    }

    #[test]
    fn the_longest_way_ahead_starts_first() {
        // A chain of three beside two single ones.
        let mut queue = queue(5, &[(2, 3), (3, 4)], &[2, 3, 2, 2, 2]);
        let mut start = || queue.next(|_| Verdict::Start);
        assert_eq!([start(), start(), start(), start()], [Some(2), Some(1), Some(0), None]);
        queue.done(2);
        assert_eq!(queue.next(|_| Verdict::Start), Some(3));
    }

    #[test]
    fn what_is_left_shrinks_with_what_is_done() {
        let secs = Duration::from_secs;
        let mut queue = queue(4, &[(0, 1)], &[5, 3, 2, 4]);
        assert_eq!(queue.remaining([]), secs(8));
        assert_eq!([queue.next(|_| Verdict::Start), queue.next(|_| Verdict::Start)], [Some(0), Some(3)]);
        assert_eq!(queue.remaining([(0, secs(1)), (3, secs(1))]), secs(7));
        assert_eq!(
            queue.remaining([(0, secs(60)), (3, secs(60))]),
            secs(3),
            "its time is over, not what follows"
        );
        // What waits for a lane is left too.
        assert_eq!(queue.next(|_| Verdict::Wait(1)), None);
        queue.failed(0);
        assert_eq!(queue.remaining([(3, secs(3))]), secs(2));
        queue.done(3);
        queue.open(1);
        assert_eq!(queue.next(|_| Verdict::Start), Some(2));
        queue.done(2);
        assert_eq!((queue.left(), queue.remaining([])), (0, Duration::ZERO));
    }

    #[test]
    fn what_waits_for_a_lane_is_looked_at_when_it_opens() {
        let n = 10_000;
        let mut queue = queue(n, &[], &vec![1; n]);
        let (mut free, mut asked, mut started) = (10usize, 0usize, 0usize);
        while queue.left() > 0 {
            let next = queue.next(|_| {
                asked += 1;
                if free > 0 { Verdict::Start } else { Verdict::Wait(7) }
            });
            match next {
                Some(_) => {
                    free -= 1;
                    started += 1;
                }
                None => {
                    queue.done(started - 10 + free);
                    free += 1;
                    queue.open(7);
                }
            }
        }
        assert_eq!(started, n);
        assert!(asked < 5 * n, "{asked} questions for {n} nodes");
    }

    #[test]
    fn a_node_that_waits_for_two_lanes_blocks_neither() {
        let mut queue = queue(2, &[], &[2, 1]);
        // The first needs both lanes, the second only lane 0.
        let mut ask = |zero: bool, one: bool| {
            if zero {
                queue.open(0);
            }
            if one {
                queue.open(1);
            }
            queue.next(|n| match (n, zero, one) {
                (_, false, _) => Verdict::Wait(0),
                (0, _, false) => Verdict::Wait(1),
                _ => Verdict::Start,
            })
        };
        assert_eq!([ask(false, false), ask(true, false), ask(true, true)], [None, Some(1), Some(0)]);
    }

    proptest! {
        #[test]
        fn each_runs_once_in_order_and_failures_skip_just_what_follows(
            edges in prop::collection::vec((0usize..15, 0usize..15), 0..40),
            secs in prop::collection::vec(0u64..9, 15),
            fails in prop::collection::btree_set(0usize..15, 0..4),
            hands in 1usize..4,
        ) {
            let edges: Vec<_> = edges.into_iter().filter(|(a, b)| a < b).collect();
            let mut queue = queue(15, &edges, &secs);
            let (mut running, mut done, mut skipped) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
            let mut failed = BTreeSet::new();
            while queue.left() > 0 {
                if running.len() < hands && let Some(node) = queue.next(|_| Verdict::Start) {
                    prop_assert!(edges.iter().all(|(a, b)| *b != node || done.contains(a)));
                    prop_assert!(!running.contains(&node) && !done.contains(&node));
                    running.push(node);
                    continue;
                }
                let node = running.remove(0);
                if fails.contains(&node) {
                    skipped.extend(queue.failed(node));
                    failed.insert(node);
                } else {
                    queue.done(node);
                    done.insert(node);
                }
            }
            prop_assert!(running.is_empty() && queue.running() == 0);
            for node in 0..15 {
                let stopped = |n: &usize| failed.contains(n) || skipped.contains(n);
                let follows = edges.iter().any(|(a, b)| *b == node && stopped(a));
                prop_assert_eq!(skipped.contains(&node), follows);
                prop_assert!(done.contains(&node) || stopped(&node));
            }
        }
    }
}
