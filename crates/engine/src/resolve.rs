//! What becomes known while applying.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_diag::Diagnostics;
use grappe_plan::{Operation, ProviderKey};
use grappe_value::Value;

/// Fills in what a plan left unknown. The planner's resolver does it from the configuration; the engine only asks.
pub trait Resolve {
    /// What an operation is to make or write (or a data source's arguments), now that all it depends on is done: wholly known but for what the provider
    /// decides. `None` for operations that have none.
    ///
    /// # Errors
    /// Where it can't be evaluated, or breaks what the plan promised.
    fn finalize(&mut self, op: &Operation) -> Result<Option<Value>, Diagnostics>;

    /// The configuration of a provider that was not known when the plan was made.
    ///
    /// # Errors
    /// Where it can't be evaluated.
    fn provider(&mut self, key: &ProviderKey) -> Result<Value, Diagnostics>;

    /// An operation is done, and gave this.
    ///
    /// # Errors
    /// Where a postcondition does not hold.
    fn done(&mut self, op: &Operation, value: Option<&Value>) -> Result<(), Diagnostics>;

    /// The root module's outputs, as far as they are known by now, each with whether it is declared sensitive.
    ///
    /// # Errors
    /// Where one can't be evaluated.
    fn outputs(&mut self) -> Result<BTreeMap<Arc<str>, (Value, bool)>, Diagnostics>;
}
