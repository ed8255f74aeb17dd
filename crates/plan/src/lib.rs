//! The planner: configuration, state and readings in, operations out. Pure and synchronous.
