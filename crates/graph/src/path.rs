//! How long it takes: the longest way from each node to the end.

use std::time::Duration;

use crate::{Cycle, Graph};

/// The way that decides how long the whole takes, however many hands there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CriticalPath {
    /// Its nodes, first to last.
    pub nodes: Vec<usize>,
    /// How long it takes.
    pub length: Duration,
}

/// For each node, how long it takes from its start to the end of all that comes after it.
///
/// # Errors
/// Where nodes wait for each other.
///
/// # Panics
/// Where there is not a duration for each node.
pub fn remaining(graph: &Graph, durations: &[Duration]) -> Result<Vec<Duration>, Cycle> {
    let mut out = durations.to_vec();
    for node in graph.order()?.into_iter().rev() {
        let longest = graph.after(node).iter().map(|n| out[*n]).max().unwrap_or_default();
        out[node] += longest;
    }
    Ok(out)
}

/// The critical path. Of two equally long ways, that through the lower positions.
///
/// # Errors
/// Where nodes wait for each other.
///
/// # Panics
/// Where there is not a duration for each node.
pub fn critical_path(graph: &Graph, durations: &[Duration]) -> Result<CriticalPath, Cycle> {
    let remaining = remaining(graph, durations)?;
    let longest =
        |nodes: &mut dyn Iterator<Item = usize>| nodes.max_by_key(|n| (remaining[*n], std::cmp::Reverse(*n)));
    let mut next = longest(&mut (0..graph.len()));
    let length = next.map_or(Duration::ZERO, |n| remaining[n]);
    let mut nodes = Vec::new();
    while let Some(node) = next {
        nodes.push(node);
        next = longest(&mut graph.after(node).iter().copied());
    }
    Ok(CriticalPath { nodes, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_way_wins_not_the_longest_step() {
        let secs: Vec<Duration> = [5, 2, 2, 2].map(Duration::from_secs).to_vec();
        let graph = Graph::new(4, [(1, 2), (2, 3)]);
        let path = critical_path(&graph, &secs).unwrap();
        assert_eq!((path.nodes, path.length), (vec![1, 2, 3], Duration::from_secs(6)));
        assert_eq!(remaining(&graph, &secs).unwrap(), [5, 6, 4, 2].map(Duration::from_secs));
        assert_eq!(critical_path(&Graph::default(), &[]).unwrap(), CriticalPath::default());
    }
}
