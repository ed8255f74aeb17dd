//! What exists: snapshot, journal, lock, sealing, and the files they live in.

pub mod data;

pub use data::{Action, Object, OutputValue, Pending, State};
