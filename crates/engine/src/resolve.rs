//! What becomes known while applying.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_diag::Diagnostics;
use grappe_lang::Config;
use grappe_plan::{Operation, Plan, ProviderKey, Resolver, Surroundings};
use grappe_provider::Registry;
use grappe_state::State;
use grappe_value::addr::InstanceAddr;
use grappe_value::{Value, wire};

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

    /// What `check` blocks say of what there is when all is done: warnings.
    fn checks(&mut self) -> Diagnostics {
        Diagnostics::new()
    }
}

impl Resolve for Resolver<'_> {
    fn finalize(&mut self, op: &Operation) -> Result<Option<Value>, Diagnostics> {
        Resolver::finalize(self, op)
    }
    fn provider(&mut self, key: &ProviderKey) -> Result<Value, Diagnostics> {
        Resolver::provider(self, key)
    }
    fn done(&mut self, op: &Operation, value: Option<&Value>) -> Result<(), Diagnostics> {
        Resolver::done(self, op, value)
    }
    fn outputs(&mut self) -> Result<BTreeMap<Arc<str>, (Value, bool)>, Diagnostics> {
        Resolver::outputs(self)
    }
    fn checks(&mut self) -> Diagnostics {
        Resolver::checks(self)
    }
}

/// The planner's resolver for a plan that is about to be applied to this state.
///
/// # Errors
/// Where the configuration is not the one that the plan was made of.
pub fn resolver<'a>(
    config: &'a Config,
    plan: &'a Plan,
    registry: &'a Registry,
    surroundings: Surroundings<'a>,
    state: &State,
) -> Result<Resolver<'a>, Diagnostics> {
    // Renamed objects stand under their old address until the plan is applied.
    let from: BTreeMap<&InstanceAddr, &InstanceAddr> = plan.moves.iter().map(|m| (&m.to, &m.from)).collect();
    let values = |addr: &InstanceAddr| {
        if let Some(import) = plan.imports.iter().find(|i| i.addr == *addr) {
            return Some(import.value.clone());
        }
        let object = state.objects.get(from.get(addr).copied().unwrap_or(addr))?;
        let ty = registry.resource(&addr.resource.ty)?.ty();
        wire::decode(&object.attributes, ty).ok()
    };
    Resolver::new(config, plan, registry, surroundings, &values)
}
