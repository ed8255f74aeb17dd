//! Nodes, edges, and their order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use petgraph::Directed;
use petgraph::csr::Csr;

/// For each node, its neighbours in one direction: sorted and distinct, all in one array.
type Rows = Csr<(), (), Directed, usize>;

/// A directed graph over the nodes `0..len`.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    after: Rows,
    before: Rows,
}

/// From pairs that are sorted and distinct.
fn rows(nodes: usize, pairs: &[(usize, usize)]) -> Rows {
    let mut rows = Csr::from_sorted_edges(pairs).expect("the pairs are sorted and distinct");
    // It knows of the nodes that edges name; those beyond have none.
    for _ in rows.node_count()..nodes {
        rows.add_node(());
    }
    rows
}

/// Nodes that wait for each other: each comes before the next, and the last before the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} nodes wait for each other", .0.len())]
pub struct Cycle(pub Vec<usize>);

impl Cycle {
    /// The edges of the way round: `(before, after)`.
    pub fn edges(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.0.iter().copied().zip(self.0.iter().copied().cycle().skip(1))
    }
}

impl Graph {
    /// A graph of `nodes` nodes. An edge `(a, b)` says that `a` comes before `b`; doubles count once.
    ///
    /// # Panics
    /// Where an edge names a node that there is not.
    pub fn new(nodes: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut pairs: Vec<(usize, usize)> = edges.into_iter().collect();
        assert!(pairs.iter().all(|(a, b)| *a < nodes && *b < nodes), "an edge leaves the graph");
        pairs.sort_unstable();
        pairs.dedup();
        let after = rows(nodes, &pairs);
        for pair in &mut pairs {
            *pair = (pair.1, pair.0);
        }
        pairs.sort_unstable();
        Graph { after, before: rows(nodes, &pairs) }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.after.node_count()
    }

    /// Whether there is no node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The nodes that come directly before this one, in order.
    #[must_use]
    pub fn before(&self, node: usize) -> &[usize] {
        self.before.neighbors_slice(node)
    }

    /// The nodes that come directly after this one, in order.
    #[must_use]
    pub fn after(&self, node: usize) -> &[usize] {
        self.after.neighbors_slice(node)
    }

    /// All nodes, each after those that come before it; of those that could come next, the lowest does.
    ///
    /// # Errors
    /// Where nodes wait for each other: one way round, through as few nodes as one can find from the lowest of them.
    pub fn order(&self) -> Result<Vec<usize>, Cycle> {
        let mut waits: Vec<usize> = (0..self.len()).map(|n| self.before(n).len()).collect();
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..self.len()).filter(|n| waits[*n] == 0).map(Reverse).collect();
        let mut order = Vec::with_capacity(self.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for next in self.after(node) {
                waits[*next] -= 1;
                if waits[*next] == 0 {
                    ready.push(Reverse(*next));
                }
            }
        }
        if order.len() == self.len() { Ok(order) } else { Err(self.cycle(&waits)) }
    }

    /// A cycle among the nodes that still wait for something.
    fn cycle(&self, waits: &[usize]) -> Cycle {
        let stuck = |n: &usize| waits[*n] > 0;
        // Going back from a stuck node one always finds another stuck one, so that some node comes again: it is on a cycle.
        let mut seen = vec![false; self.len()];
        let mut node = (0..self.len()).find(stuck).unwrap_or(0);
        while !std::mem::replace(&mut seen[node], true) {
            node = self.before(node).iter().copied().find(|n| stuck(n)).unwrap_or(node);
        }
        // The shortest way from there back to itself.
        let mut from = vec![usize::MAX; self.len()];
        let mut wave = std::collections::VecDeque::from([node]);
        'search: while let Some(at) = wave.pop_front() {
            for next in self.after(at).iter().copied().filter(|n| stuck(n)) {
                if from[next] == usize::MAX {
                    from[next] = at;
                    wave.push_back(next);
                }
                if next == node {
                    break 'search;
                }
            }
        }
        let mut way = vec![node];
        let mut at = from[node];
        while at != node && at != usize::MAX {
            way.push(at);
            at = from[at];
        }
        way.reverse();
        // The lowest node first: the same cycle always reads the same.
        let lowest = way.iter().enumerate().min_by_key(|(_, n)| **n).map_or(0, |(i, _)| i);
        way.rotate_left(lowest);
        Cycle(way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ties_go_to_the_lower_position() {
        let graph = Graph::new(5, [(3, 0), (3, 1), (3, 1)]);
        assert_eq!(graph.order().unwrap(), [2, 3, 0, 1, 4]);
        assert_eq!((graph.before(1), graph.after(3)), (&[3][..], &[0, 1][..]));
    }

    #[test]
    fn a_cycle_names_its_way() {
        let graph = Graph::new(6, [(0, 1), (1, 2), (2, 3), (3, 1), (3, 4), (4, 5), (2, 5)]);
        let cycle = graph.order().unwrap_err();
        assert_eq!(cycle.0, [1, 2, 3]);
        assert_eq!(cycle.edges().collect::<Vec<_>>(), [(1, 2), (2, 3), (3, 1)]);
        assert_eq!(Graph::new(2, [(1, 1)]).order().unwrap_err().0, [1]);
    }

    #[test]
    fn a_long_chain_needs_no_stack_and_little_time() {
        let n = 100_000;
        let chain = Graph::new(n, (1..n).rev().map(|i| (i - 1, i)));
        assert!(chain.order().unwrap().into_iter().eq(0..n));
        let ring = Graph::new(n, (0..n).map(|i| (i, (i + 1) % n)));
        assert_eq!(ring.order().unwrap_err().0.len(), n);
    }

    proptest! {
        #[test]
        fn an_order_keeps_every_edge_and_a_cycle_is_one(edges in prop::collection::vec((0usize..12, 0usize..12), 0..30)) {
            let graph = Graph::new(12, edges.clone());
            match graph.order() {
                Ok(order) => {
                    let at = |n| order.iter().position(|o| *o == n);
                    prop_assert_eq!(order.len(), 12);
                    prop_assert!(edges.iter().all(|(a, b)| at(*a) < at(*b)));
                }
                Err(cycle) => prop_assert!(!cycle.0.is_empty() && cycle.edges().all(|e| edges.contains(&e))),
            }
        }
    }
}
