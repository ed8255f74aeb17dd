//! The planner: configuration, state and readings in, operations out. Pure and synchronous.
//!
//! ```text
//! Config ─ statics ─► order of blocks ─ walk (scope, expand, decide) ─► instances, what each refers to ─ order ─► Plan
//! State, readings ───────────────────────────┘
//! ```
//!
//! [`plan`] is called until it has all that it needs: it answers [`Outcome::NeedReads`] with the objects and data sources to read, all that can be
//! read at once, and is called again with what they gave. [`Outcome::Ready`] holds the [`Plan`]: its operations with their edges, ready to be
//! applied as they are. While applying, [`Resolver`] fills in what became known. What can't be decided before that is listed as open, and planned
//! when the plan is applied ([`waves`]).

mod assemble;
mod checks;
mod compute;
mod console;
mod decide;
mod decided;
mod depends;
mod diff;
mod ephemeral;
mod expand;
mod flags;
mod form;
mod import;
mod input;
mod leaving;
pub mod model;
mod moves;
mod operations;
mod order;
mod planner;
mod providers;
mod provision;
mod references;
mod refresh;
mod report;
mod resolve;
mod scope;
mod statics;
mod targets;
mod timeouts;
mod triggers;
mod validate;
mod walk;
pub mod waves;
mod withheld;
mod world;

use std::sync::Arc;

use grappe_diag::Diagnostics;

pub use console::Console;
pub use input::{
    DataRead, DataResult, ImportRead, Input, Left, LeftRead, ObjectRead, Options, Outcome, Reading, Reads,
};
pub use model::{
    Action, Change, DataValue, Drift, Import, Move, ObjectRef, OpAction, OpId, Open, OpenReason, Operation,
    OutputChange, Plan, PlanMode, ProviderConfig, ProviderKey, Reason, StateStamp, StepOp, StepTime,
};
pub use resolve::{InstanceValues, Random, Resolver, Surroundings};
pub use validate::validate;
pub use waves::{Earlier, Waves};
pub use withheld::{lost_of, unkept};

use crate::moves::Moves;
use crate::statics::Statics;
use crate::targets::Targets;
use crate::world::World;

/// Plans, as far as what was read so far allows: to be called again with the readings that it asks for.
///
/// # Errors
/// All that is wrong with the configuration, or that can't be done.
pub fn plan(input: &Input<'_>) -> Result<Outcome, Diagnostics> {
    let statics = Arc::new(Statics::new(input.config, input.registry)?);
    let mut found = validate::check_blocks(&statics);
    if found.has_errors() {
        // All that is wrong, at once.
        return Err(validate::check(&statics, input.files));
    }
    // From here on objects stand under the addresses that they have now.
    let moves = Moves::new(&statics, input);
    let renaming = moves.rename(input)?;
    let renamed = renaming.as_ref().map(|r| Input { state: &r.state, pending: &r.pending, ..input.clone() });
    let input = renamed.as_ref().unwrap_or(input);
    found.extend(moves.warnings());
    let excluded = moves.targeted(input.options);
    if excluded.has_errors() {
        return Err(excluded);
    }
    let targets =
        Targets::new(&input.options.targets, &statics).but(&input.options.excludes, &input.state.objects);
    let world = World::new(input, &moves);
    let reads = refresh::reads(&statics, input, &world, &|addr| targets.may_touch(addr, &statics))?;
    if !reads.is_empty() {
        return Ok(Outcome::NeedReads(reads));
    }
    let mut outcome = match input.options.mode {
        PlanMode::Normal => assemble::normal(&statics, input, &world, &targets),
        PlanMode::Destroy => assemble::destroy(&statics, input, &world, &targets),
        PlanMode::RefreshOnly => assemble::refresh_only(&statics, input, &world, &targets),
    }?;
    if let Outcome::Ready(plan) = &mut outcome {
        plan.warnings.extend(found);
    }
    Ok(outcome)
}

/// What expressions are evaluated with.
fn env<'a>(input: &'a Input<'a>) -> walk::Env<'a> {
    walk::Env {
        files: input.files,
        cwd: input.options.cwd.clone(),
        workspace: input.options.workspace.clone(),
        home: input.options.home.clone(),
        plan_timestamp: input.options.timestamp.clone(),
        timestamp: None,
        random: None,
        applying: false,
        variables: input.variables,
    }
}
