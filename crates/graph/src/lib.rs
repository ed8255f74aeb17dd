//! A directed graph with named cycles, a ready queue and a critical path.
//!
//! Nodes are positions `0..n`: whoever builds a graph keeps what they stand for. An edge `(a, b)` says that `a` comes before `b`. All that is here is
//! deterministic (ties go to the lower position), walks without recursion, and costs what the edges cost: 100,000 of them are a matter of
//! milliseconds.
//!
//! The adjacency is `petgraph`'s compressed sparse rows, one for each direction. Order and cycles are walked here: petgraph's topological
//! order depends on the order of insertion, and a way round that is named must be a short one and always the same.
//!
//! [`ReadyQueue`] says what may start next; it knows of no time, thread or task. The engine asks it and does the work.

mod graph;
mod path;
mod queue;

pub use graph::{Cycle, Graph};
pub use path::{CriticalPath, critical_path, remaining};
pub use queue::{Lane, ReadyQueue, Verdict};
