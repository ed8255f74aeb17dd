//! The planner: configuration, state and readings in, operations out. Pure and synchronous.
//!
//! ```text
//! Config ─ statics ─► order of blocks ─ walk (scope, expand, decide) ─► instances, what each refers to ─ order ─► Plan
//! State, readings ───────────────────────────┘
//! ```
//!
//! [`plan`] is called until it has all that it needs: it answers [`Outcome::NeedReads`] with the objects and data sources to read, all that can be
//! read at once, and is called again with what they gave. [`Outcome::Ready`] holds the [`Plan`]: its operations with their edges, ready to be
//! applied as they are. While applying, [`Resolver`] fills in what became known.

mod form;
mod input;
pub mod model;

pub use input::{DataRead, DataResult, Input, ObjectRead, Options, Outcome, Reading, Reads};
pub use model::{
    Action, Change, DataValue, Drift, ObjectRef, OpAction, OpId, Operation, OutputChange, Plan, PlanMode,
    ProviderConfig, ProviderKey, Reason, StateStamp,
};
