//! A plan for people: what happens to each instance and output, and what was found different from what the state remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_state::OutputValue;
use grappe_value::{Value, wire};

use crate::decide::Verdict;
use crate::decided::{Decided, Decision, Going, Gone};
use crate::diff::diff;
use crate::input::Input;
use crate::model::{Action, Change, Drift, Import, OutputChange, Reason};
use crate::walk::{NodeId, Walk};
use crate::world::{Prior, World};

/// What is decided for an instance, for people.
pub(crate) fn change(decided: Decided<'_>, create_first: bool, import: Option<&Import>) -> Change {
    let mut change = Change {
        addr: decided.addr,
        deposed: None,
        action: Action::NoOp,
        reason: None,
        before: None,
        after: None,
        importing: import.map(|i| i.id.clone()),
        changed: Vec::new(),
    };
    match decided.what {
        Decision::Data(_) | Decision::Ephemeral => {}
        Decision::Deferred { planned, reason, .. } => {
            (change.action, change.reason, change.after) = (Action::Read, Some(reason), Some(planned));
        }
        Decision::Managed(managed) => {
            change.action = match managed.verdict {
                Verdict::NoOp | Verdict::Record if managed.steps.is_empty() => {
                    // What is taken in is shown.
                    change.after = import.map(|_| managed.planned);
                    return change;
                }
                Verdict::NoOp | Verdict::Record => {
                    let of = managed.all_steps;
                    let left = u32::try_from(managed.steps.len()).unwrap_or(of);
                    change.action = Action::Provision;
                    change.reason = Some(Reason::StepsLeft { done: of.saturating_sub(left), of });
                    change.before = managed.prior.value().cloned();
                    change.after = Some(managed.planned);
                    return change;
                }
                Verdict::Create => Action::Create,
                Verdict::Update => Action::Update,
                Verdict::Replace(_) => Action::Replace { create_first },
            };
            change.before = managed.prior.value().cloned();
            change.changed =
                change.before.as_ref().map_or_else(Vec::new, |before| diff(before, &managed.planned));
            change.after = Some(managed.planned);
            change.reason = managed.reason;
        }
    }
    change
}

/// An object that goes, for people.
pub(crate) fn going(gone: Gone<'_>) -> Change {
    let (action, before) = match gone.how {
        Going::Delete(_, value, _) => (Action::Delete, Some(value)),
        Going::Forget(value) => (Action::Forget, Some(value)),
        Going::Adopt(_, planned) => (Action::Delete, Some(planned)),
    };
    Change {
        addr: gone.addr,
        deposed: gone.deposed.map(Arc::from),
        action,
        reason: Some(gone.reason),
        before,
        after: None,
        importing: None,
        changed: Vec::new(),
    }
}

/// What was found different from what the state remembers.
pub(crate) fn drift(input: &Input<'_>, world: &World<'_>) -> Result<Vec<Drift>, Diagnostics> {
    let mut drift = Vec::new();
    for addr in input.refreshed.keys().filter(|addr| input.state.objects.contains_key(*addr)) {
        match world.prior(addr)? {
            Prior::Gone(before) => {
                drift.push(Drift {
                    addr: addr.clone(),
                    before: Some(before),
                    after: None,
                    changed: Vec::new(),
                });
            }
            Prior::There { value, remembered: Some(before) } => {
                let changed = diff(&before, &value);
                drift.push(Drift { addr: addr.clone(), before: Some(before), after: Some(value), changed });
            }
            _ => {}
        }
    }
    Ok(drift)
}

/// What becomes of the root module's outputs.
pub(crate) fn outputs(
    walk: &Walk<'_>,
    input: &Input<'_>,
    touched: Option<&[bool]>,
) -> Result<BTreeMap<Arc<str>, OutputChange>, Diagnostics> {
    let mut out = BTreeMap::new();
    let root = &walk.modules[0];
    let declared = &walk.statics.modules[0].config.outputs;
    for ((name, output), node) in declared.iter().zip(&root.outputs) {
        let Some(node) = node.filter(|n| touched.is_none_or(|t| is_whole(walk, *n, t))) else { continue };
        let stored = input.state.outputs.get(&**name);
        out.insert(name.clone(), output_change(stored, Some(&walk.node(node).value), output.sensitive)?);
    }
    for (name, stored) in &input.state.outputs {
        if !declared.contains_key(name.as_str()) && touched.is_none() {
            out.insert(name.as_str().into(), output_change(Some(stored), None, stored.sensitive)?);
        }
    }
    Ok(out)
}

/// Whether all instances that an output is made of belong to a plan with targets.
fn is_whole(walk: &Walk<'_>, output: NodeId, touched: &[bool]) -> bool {
    let mut todo = vec![output];
    let mut seen = BTreeSet::new();
    while let Some(node) = todo.pop() {
        if touched[node as usize] || !seen.insert(node) {
            continue;
        }
        let node = walk.node(node);
        if node.poisoned || matches!(node.what, crate::walk::What::Instance(..)) {
            return false;
        }
        todo.extend(&*node.deps);
    }
    true
}

/// What becomes of an output.
pub(crate) fn output_change(
    stored: Option<&OutputValue>,
    after: Option<&Value>,
    sensitive: bool,
) -> Result<OutputChange, Diagnostics> {
    let before = match stored {
        Some(stored) => Some(
            wire::decode(&stored.value, &stored.ty)
                .map_err(|e| Diagnostic::error("Invalid output in the state").detail(e.to_string()))?,
        ),
        None => None,
    };
    // A null output is none, as everywhere else in the language.
    let after = after.filter(|v| !v.is_null()).cloned();
    let action = match (&before, &after) {
        (None, None) => Action::NoOp,
        (None, Some(_)) => Action::Create,
        (Some(_), None) => Action::Delete,
        (Some(b), Some(a))
            if (b.same(a) || b.is_withheld_deep()) && stored.is_some_and(|s| s.sensitive == sensitive) =>
        {
            Action::NoOp
        }
        _ => Action::Update,
    };
    Ok(OutputChange { action, before, after, sensitive })
}
