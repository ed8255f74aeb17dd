//! Planning: the planner asks, the engine reads, until the plan is made.
//!
//! All that one round of the planner asks for is read at once, within the bound: a run over 200 machines reads them together. Nothing here writes
//! to the state: what was found goes into the plan.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use grappe_diag::Diagnostics;
use grappe_plan::{DataResult, Import, Left, OpAction, Operation, Outcome, Plan, PlanMode, Reading, Reason};
use grappe_provider::Registry;
use grappe_state::{Action, Change, Ledger, Object, Pending, State};
use grappe_value::addr::InstanceAddr;
use grappe_value::wire;
use tokio::time::Instant;

use crate::event::{EventKind, Phase};
use crate::open::Open;
use crate::reading::{Answers, read, unanswered};
use crate::report::{millis, unix_seconds};
use crate::{Engine, Failure, RunError};

/// What a planner is given of the world, for [`grappe_plan::Input`].
pub struct Known<'a> {
    /// What is remembered.
    pub state: &'a State,
    /// Creations that an earlier run began and did not finish.
    pub pending: &'a [Pending],
    /// The objects that were read so far.
    pub refreshed: &'a BTreeMap<InstanceAddr, Reading>,
    /// The data sources that were read so far.
    pub data_reads: &'a BTreeMap<InstanceAddr, DataResult>,
    /// The objects that are taken into the state: `state` has them.
    pub imported: &'a BTreeMap<InstanceAddr, Import>,
    /// What `ephemeral` blocks opened.
    pub opened: &'a BTreeMap<InstanceAddr, DataResult>,
    /// What interrupted creations left, by their keys.
    pub left: &'a BTreeMap<String, Left>,
}

/// Calls `planner` until it has what it needs.
///
/// What could not be read is planned as the state remembers it; the plan only stands where it deletes that.
pub(crate) async fn plan(
    engine: &Engine,
    ledger: &Ledger,
    mode: PlanMode,
    planner: impl FnMut(Known<'_>) -> Result<Outcome, Diagnostics>,
) -> Result<Plan, RunError> {
    let mut open = Vec::new();
    let plan = rounds(engine, ledger, mode, planner, &mut open).await;
    crate::open::close(open).await;
    plan
}

async fn rounds(
    engine: &Engine,
    ledger: &Ledger,
    mode: PlanMode,
    mut planner: impl FnMut(Known<'_>) -> Result<Outcome, Diagnostics>,
    open: &mut Vec<Open>,
) -> Result<Plan, RunError> {
    let reporter = engine.reporter();
    reporter.say(EventKind::RunStarted { phase: Phase::Plan, operations: 0, expected: 0 });
    let mut state = recovered(ledger, &engine.registry);
    let pending: Vec<Pending> = ledger.pending().filter(|p| p.action == Action::Create).cloned().collect();
    let (mut refreshed, mut data_reads) = (BTreeMap::new(), BTreeMap::new());
    let (mut imported, mut left, mut opened) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (mut rounds, mut thinking) = (0, Duration::ZERO);
    let begun = unix_seconds();
    let mut unread = BTreeMap::new();
    loop {
        let start = Instant::now();
        let known = Known {
            state: &state,
            pending: &pending,
            refreshed: &refreshed,
            data_reads: &data_reads,
            imported: &imported,
            left: &left,
            opened: &opened,
        };
        let outcome = match planner(known) {
            Ok(outcome) => outcome,
            Err(_) if !unread.is_empty() => return Err(unanswered(unread)),
            Err(refused) => return Err(RunError::Refused(refused)),
        };
        thinking += start.elapsed();
        let reads = match outcome {
            Outcome::Ready(plan) => {
                // What is deleted need not answer, nor what went with the machine it was on: one that died must not be in the way of its own
                // replacement.
                unread.retain(|addr, failure: &mut Failure| {
                    let of_it = |op: &Operation| op.addr == *addr;
                    if plan.operations.iter().any(|op| {
                        of_it(op) && matches!(op.action, OpAction::Delete { .. } | OpAction::Forget)
                    }) {
                        reporter.notice(format!(
                            "{addr} could not be read, and goes as the state remembers it: {}",
                            failure.summary
                        ));
                        return false;
                    }
                    !plan.changes.iter().any(|c| c.addr == *addr && c.reason == Some(Reason::GoneOutside))
                });
                if !unread.is_empty() {
                    return Err(unanswered(unread));
                }
                engine.note_seen(&plan, &refreshed, begun);
                reporter.say(EventKind::Planned { elapsed: millis(thinking), rounds });
                return Ok(*plan);
            }
            Outcome::NeedReads(reads) => reads,
        };
        rounds += 1;
        let before = refreshed.len() + data_reads.len() + imported.len() + left.len() + opened.len();
        let mut answers = Answers {
            opened: &mut opened,
            open,
            refreshed: &mut refreshed,
            data_reads: &mut data_reads,
            imported: BTreeMap::new(),
            left: &mut left,
        };
        unread.extend(read(engine, &reporter, mode, reads, &mut answers).await?);
        for (addr, import) in answers.imported {
            if let Some(object) = imported_object(&import, &engine.registry) {
                state.to_mut().put(addr.clone(), None, object);
            }
            refreshed.insert(addr.clone(), Reading::NotRead);
            imported.insert(addr, import);
        }
        let now = refreshed.len() + data_reads.len() + imported.len() + left.len() + opened.len();
        if now == before {
            return Err(RunError::Plan("the planner asks for what it has already".into()));
        }
    }
}

/// The state with what killed updates checkpointed.
fn recovered<'a>(ledger: &'a Ledger, registry: &Registry) -> Cow<'a, State> {
    let mut state = Cow::Borrowed(&ledger.state);
    for (of, changes) in crate::apply::recovered(ledger, registry) {
        for change in changes {
            if let Change::Put { deposed, object } = change {
                state.to_mut().put(of.addr.clone(), deposed, *object);
            }
        }
    }
    state
}

/// An object that is imported, as the state stores it.
#[must_use]
pub fn imported_object(import: &Import, registry: &Registry) -> Option<Object> {
    let resource = registry.resource(&import.addr.resource.ty)?;
    Some(Object {
        provider: import.provider.to_string(),
        schema_version: resource.schema().version,
        attributes: wire::encode(&import.value, resource.ty()),
        key: import.key.clone(),
        seen: Some(unix_seconds()),
        ..Object::default()
    })
}
