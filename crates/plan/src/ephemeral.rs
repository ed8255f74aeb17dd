//! What is good for one run only: opened while planning where something looks at it, opened again while applying where something needs it, and in no plan
//! and no state.
//!
//! Values carry it as a mark. It may go into locals, provider configurations, the steps of `provisioner` blocks, other ephemeral resources and write-only
//! arguments; whatever is stored is held against it here.

use std::collections::HashSet;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::Body;
use grappe_provider::AnyEphemeral;
use grappe_value::{Marks, Path, Schema, Value};

use crate::decide::propose;
use crate::decided::{Decided, Decision};
use crate::input::DataRead;
use crate::model::ProviderKey;
use crate::operations::Parts;
use crate::planner::{Asked, Planner, asked, blame, conditions, provider_config, with_addr};
use crate::walk::{At, Frame, Made, NodeId, Walk, What};

/// Arguments of a block that is stored, and that are made of what may not be.
pub(crate) fn misused(body: &Body, schema: &Schema, config: &Value) -> Diagnostics {
    let stored = |name: &str| !schema.attributes.get(name).is_some_and(|a| a.write_only);
    let entries = config.as_entries().into_iter().flatten();
    entries
        .filter(|(name, value)| stored(name) && value.is_ephemeral_deep())
        .map(|(name, _)| {
            Diagnostic::error("Invalid use of ephemeral value")
                .detail(format!(
                    "Ephemeral values are not valid for \"{name}\", because it is not a write-only attribute and must be persisted to state."
                ))
                .span(body.attr_span(&Path::attr(name)))
        })
        .collect()
}

/// That a value stands where none may that is good for one run only.
pub(crate) fn not_allowed(what: &str) -> Diagnostic {
    Diagnostic::error("Ephemeral value not allowed")
        .detail(format!("{what}, so it cannot be set to a result derived from an ephemeral value."))
}

impl<'a> Planner<'a> {
    /// The instance of an `ephemeral` block: it is opened now where all that it is made of is known and stays, and while applying otherwise.
    pub(crate) fn ephemeral(
        &mut self,
        walk: &Walk<'_>,
        at: &At<'_>,
        kind: &'a dyn AnyEphemeral,
    ) -> Made<Value> {
        let Asked { config, timeouts, mut deps, mut found } = asked(walk, at, kind.schema());
        let Some(config) = config else { return Made { value: None, deps, found } };
        found.extend(kind.validate(&config).into_iter().map(|problem| blame(at, kind.name(), problem)));
        if found.has_errors() || at.waits.iter().any(|n| walk.node(*n).poisoned) {
            return Made { value: None, deps, found };
        }
        let provider = match provider_config(walk, at) {
            Ok(Some(provider)) => provider,
            Ok(None) => return Made { value: None, deps, found },
            Err(wrong) => {
                found.push(wrong);
                return Made { value: None, deps, found };
            }
        };
        let later = self.moves(walk, at.waits) || !config.is_wholly_known() || !provider.known();
        let value = if later {
            propose(kind.schema(), None, &config).with_marks(Marks::EPHEMERAL)
        } else {
            match self.input.opened.get(&at.addr).filter(|o| o.config == config) {
                Some(opened) => opened.value.clone(),
                None => {
                    self.opens.push((read(at, provider.key.clone(), config, timeouts), provider));
                    return Made { value: None, deps, found };
                }
            }
        };
        let frame = Frame { self_value: Some(value.clone()), ..at.frame.clone() };
        conditions(walk, at, &frame, false, &mut deps, &mut found);
        self.keep(at, provider.key, timeouts, Decision::Ephemeral);
        with_addr(&mut found, &at.addr);
        Made { value: (!found.has_errors()).then_some(value), deps, found }
    }
}

/// That an instance is to be opened.
pub(crate) fn read(
    at: &At<'_>,
    provider: ProviderKey,
    config: Value,
    timeouts: grappe_state::Timeouts,
) -> DataRead {
    DataRead {
        addr: at.addr.clone(),
        provider,
        config,
        lenient: false,
        deadline: crate::timeouts::deadline(timeouts),
    }
}

/// The instances of `ephemeral` blocks that are needed while applying: by something that is done, by the provider of something that goes, or by an output
/// that is not known yet.
pub(crate) fn needed(parts: &Parts<'_, '_>) -> HashSet<NodeId> {
    let walk = parts.walk;
    let ephemeral: HashSet<NodeId> =
        parts.decided.iter().filter(|d| matches!(d.what, Decision::Ephemeral)).map(|d| d.node).collect();
    let mut needed = HashSet::new();
    if ephemeral.is_empty() {
        return needed;
    }
    let acts = parts.decided.iter().filter(|d| Decided::acts(d)).map(|d| d.node);
    let providers = parts.gone.iter().filter_map(|gone| parts.open_providers.get(&gone.provider).copied());
    let outputs = walk.modules[0].outputs.iter().flatten().copied();
    let outputs = outputs.filter(|n| !walk.node(*n).value.is_wholly_known());
    let mut todo: Vec<NodeId> = outputs.chain(providers).collect();
    todo.extend(acts.flat_map(|n| walk.node(n).deps.iter().copied()));
    let mut seen = HashSet::new();
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = walk.node(id);
        let is_instance = matches!(node.what, What::Instance(..));
        if ephemeral.contains(&id) {
            needed.insert(id);
        }
        // What another object was made of is its own affair.
        if !is_instance || ephemeral.contains(&id) {
            todo.extend(node.deps.iter().copied());
        }
    }
    needed
}
