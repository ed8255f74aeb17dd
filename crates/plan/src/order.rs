//! From operations with what lies between them to operations that name their direct predecessors.
//!
//! The graph that the planner draws has a place for every instance and every value, whether something is done there or not. Those where nothing is done
//! pass the order on: if `c` depends on `b` and `b` on `a`, and nothing is done to `b`, then `c` waits for `a`. Writing that out for each pair can take as
//! many edges as the square of the plan; so where many meet many, a [`crate::OpAction::Join`] stands between them.
//!
//! Edges are hard or soft. Soft ones are wishes (what is no longer needed goes after those who needed it were changed), and wishes may contradict each
//! other where a configuration was turned inside out: then the weakest on the way round is dropped.

use grappe_graph::{Cycle, Graph};

/// How much an edge is worth: of the edges on a cycle, the greatest is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Worth {
    /// It must hold.
    Must,
    /// What depends on a thing goes before it. Contradicted only by a state whose objects depend on each other.
    Stored,
    /// What is no longer needed goes last.
    Late,
    /// What goes, goes before what it stood on is changed.
    Early,
}

/// A place in the final order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The operation at a place of the drawn graph.
    Operation { place: usize, requires: Vec<u32> },
    /// Nothing is done: it stands for these.
    Join { requires: Vec<u32> },
}

/// A graph being drawn.
#[derive(Debug, Default)]
pub(crate) struct Drawing {
    places: usize,
    edges: Vec<(usize, usize, Worth)>,
}

/// From how many predecessors on a place where nothing is done becomes a join, even if only one waits for it.
const CROWD: usize = 32;

impl Drawing {
    /// Adds places; gives the first.
    pub(crate) fn add(&mut self, n: usize) -> usize {
        self.places += n;
        self.places - n
    }

    /// `before` comes before `after`.
    pub(crate) fn edge(&mut self, before: usize, after: usize, worth: Worth) {
        if before != after {
            self.edges.push((before, after, worth));
        }
    }

    /// The operations (places where `acts` holds) in an order that keeps all edges, each with its direct predecessors by their position in the
    /// result. What is given up of soft edges is given up silently.
    ///
    /// # Errors
    /// Where hard edges contradict each other.
    pub(crate) fn place(mut self, acts: impl Fn(usize) -> bool) -> Result<Vec<Placed>, Cycle> {
        let acts: Vec<bool> = (0..self.places).map(acts).collect();
        if !acts.contains(&true) {
            return Ok(Vec::new());
        }
        let (graph, order) = self.settle()?;
        // Whether an operation comes after it: only then is there anything to pass on.
        let mut leads = vec![false; self.places];
        let mut ways = vec![0usize; self.places];
        for place in order.iter().rev() {
            ways[*place] = graph.after(*place).iter().filter(|n| acts[**n] || leads[**n]).count();
            leads[*place] = ways[*place] > 0;
        }
        let mut placed: Vec<Placed> = Vec::new();
        // What one has to wait for who waits for this place: positions in `placed`.
        let mut passes: Vec<Vec<u32>> = vec![Vec::new(); self.places];
        let mut left = ways.clone();
        for place in order {
            if !acts[place] && !leads[place] {
                continue;
            }
            let mut requires: Vec<u32> = Vec::new();
            for before in graph.before(place) {
                left[*before] -= 1;
                // The last to ask takes it: a long line of places where nothing is done copies nothing.
                let mut passed = if left[*before] == 0 {
                    std::mem::take(&mut passes[*before])
                } else {
                    passes[*before].clone()
                };
                if passed.len() > requires.len() {
                    std::mem::swap(&mut passed, &mut requires);
                }
                requires.extend(passed);
            }
            requires.sort_unstable();
            requires.dedup();
            let next = || vec![u32::try_from(placed.len()).unwrap_or(u32::MAX)];
            let (n, m) = (requires.len(), ways[place]);
            if acts[place] {
                passes[place] = next();
                placed.push(Placed::Operation { place, requires });
            } else if n * m > n + m || n > CROWD {
                passes[place] = next();
                placed.push(Placed::Join { requires });
            } else {
                passes[place] = requires;
            }
        }
        Ok(placed)
    }

    /// Drops soft edges until there is an order.
    fn settle(&mut self) -> Result<(Graph, Vec<usize>), Cycle> {
        self.edges.sort_unstable();
        // The hardest of two edges between the same places counts.
        self.edges.dedup_by_key(|(a, b, _)| (*a, *b));
        loop {
            let graph = Graph::new(self.places, self.edges.iter().map(|(a, b, _)| (*a, *b)));
            let cycle = match graph.order() {
                Ok(order) => return Ok((graph, order)),
                Err(cycle) => cycle,
            };
            let worth = |edge: &(usize, usize)| {
                let found = self.edges.binary_search_by_key(edge, |(a, b, _)| (*a, *b));
                found.map_or(Worth::Must, |at| self.edges[at].2)
            };
            let Some(weakest) = cycle.edges().max_by_key(worth).filter(|e| worth(e) != Worth::Must) else {
                return Err(cycle);
            };
            self.edges.retain(|(a, b, _)| (*a, *b) != weakest);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(places: usize, edges: &[(usize, usize)], acts: &[usize]) -> Vec<Placed> {
        let mut drawing = Drawing::default();
        drawing.add(places);
        for (a, b) in edges {
            drawing.edge(*a, *b, Worth::Must);
        }
        drawing.place(|p| acts.contains(&p)).unwrap()
    }

    #[test]
    fn what_does_nothing_passes_the_order_on() {
        let placed = place(4, &[(0, 1), (1, 2), (2, 3)], &[0, 3]);
        let operation = |place, requires: &[u32]| Placed::Operation { place, requires: requires.to_vec() };
        assert_eq!(placed, [operation(0, &[]), operation(3, &[0])]);
    }

    #[test]
    fn many_meet_many_through_a_join() {
        let edges: Vec<_> = (0..100).map(|i| (i, 100)).chain((101..201).map(|i| (100, i))).collect();
        let acts: Vec<usize> = (0..201).filter(|i| *i != 100).collect();
        let placed = place(201, &edges, &acts);
        assert_eq!(placed.len(), 201);
        assert_eq!(placed[100], Placed::Join { requires: (0..100).collect() });
        assert_eq!(placed[150], Placed::Operation { place: 150, requires: vec![100] });
    }

    #[test]
    fn the_weakest_wish_on_a_cycle_is_dropped() {
        let mut drawing = Drawing::default();
        drawing.add(3);
        drawing.edge(0, 1, Worth::Must);
        drawing.edge(1, 2, Worth::Late);
        drawing.edge(2, 0, Worth::Early);
        let order: Vec<_> = drawing
            .place(|_| true)
            .unwrap()
            .into_iter()
            .filter_map(|p| match p {
                Placed::Operation { place, .. } => Some(place),
                Placed::Join { .. } => None,
            })
            .collect();
        assert_eq!(order, [0, 1, 2]);
        let mut hard = Drawing::default();
        hard.add(2);
        hard.edge(0, 1, Worth::Must);
        hard.edge(1, 0, Worth::Must);
        assert_eq!(hard.place(|_| true).unwrap_err().0, [0, 1]);
    }

    proptest! {
        /// Operations wait for exactly those that they could reach before.
        #[test]
        fn the_order_passed_on_is_exact(
            edges in prop::collection::vec((0usize..40, 0usize..40), 0..140),
            acts in prop::collection::btree_set(0usize..40, 0..40),
        ) {
            let edges: Vec<_> = edges.into_iter().filter(|(a, b)| a < b).collect();
            let acts: Vec<usize> = acts.into_iter().collect();
            let placed = place(40, &edges, &acts);
            let mut reach = vec![vec![false; 40]; 40];
            for (a, b) in &edges {
                reach[*a][*b] = true;
            }
            for k in 0..40 {
                for i in 0..40 {
                    for j in 0..40 {
                        reach[i][j] |= reach[i][k] && reach[k][j];
                    }
                }
            }
            // All operations that come before each of the placed, joins followed through.
            let mut before: Vec<std::collections::BTreeSet<usize>> = Vec::new();
            let mut seen = Vec::new();
            for p in &placed {
                let (Placed::Operation { requires, .. } | Placed::Join { requires }) = p;
                let mut all = std::collections::BTreeSet::new();
                for r in requires {
                    all.extend(before[*r as usize].iter().copied());
                    if let Placed::Operation { place, .. } = &placed[*r as usize] {
                        all.insert(*place);
                    }
                }
                if let Placed::Operation { place, .. } = p {
                    let expected: std::collections::BTreeSet<_> =
                        acts.iter().copied().filter(|a| reach[*a][*place]).collect();
                    prop_assert_eq!(&all, &expected);
                    seen.push(*place);
                }
                before.push(all);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, acts);
        }
    }
}
