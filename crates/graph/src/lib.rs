//! A directed graph with named cycles, a ready queue and a critical path.
