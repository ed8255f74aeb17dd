//! What becomes of the state: pure.
//!
//! | operation | worked | refused by the provider | nobody knows (deadline, panic, stop, faults that did not pass) |
//! |---|---|---|---|
//! | create | stored | stored tainted as far as a checkpoint says it exists; else as if never begun | the intent stays: the next run goes on with it |
//! | update | stored | as before, with what a checkpoint says | the same; the next run reads it |
//! | delete | taken out | as before | the same; the next run reads it |
//!
//! A creation that was interrupted is never given up for tainted: with its key it can be gone on with, which a half-made cluster member wants more
//! than to be made again.

use grappe_plan::{OpAction, Operation, StepOp, StepTime};
use grappe_provider::{AnyResource, Registry};
use grappe_state::{Action, Change, Ledger, Object, Subject};
use grappe_value::{Schema, Value, wire};
use serde_json::Value as Json;

use crate::attempt::Why;

/// An object as the state stores it. `stored` is what was there: its key and how long its creation took stay.
pub(super) fn object(
    op: &Operation,
    resource: &dyn AnyResource,
    value: &Value,
    stored: Option<&Object>,
    tainted: bool,
) -> Object {
    Object {
        provider: op.provider.to_string(),
        schema_version: resource.schema().version,
        attributes: wire::encode(value, resource.ty()),
        dependencies: op.dependencies.clone(),
        tainted,
        key: stored.map(|o| o.key.clone()).unwrap_or_default(),
        duration_ms: stored.and_then(|o| o.duration_ms),
        seen: Some(crate::report::unix_seconds()),
        create_before_destroy: op.create_before_destroy,
        // One that is new has all its steps before it; one that stays, those that it had.
        steps_done: match op.action {
            OpAction::Create { .. } => (op.steps > 0).then_some(0),
            _ => stored.and_then(|o| o.steps_done).filter(|_| op.steps > 0),
        },
        undone: 0,
        timeouts: op.timeouts,
    }
}

/// An object after one of its steps.
pub(super) fn after_step(step: &StepOp, stored: &Object) -> Object {
    let done = step.position + 1;
    let mut object = stored.clone();
    match step.time {
        StepTime::Create => object.steps_done = Some(done).filter(|done| *done < step.of),
        StepTime::Destroy => object.undone = done,
    }
    object
}

/// What a failed operation leaves. `None` where its intent stays in the journal.
pub(super) struct Left<'a> {
    pub(super) op: &'a Operation,
    pub(super) resource: &'a dyn AnyResource,
    pub(super) why: Why,
    pub(super) checkpoint: Option<&'a Json>,
    pub(super) prior: Option<&'a Value>,
    pub(super) planned: Option<&'a Value>,
    pub(super) stored: Option<&'a Object>,
    pub(super) subject: &'a Subject,
    /// The key under which the operation deposed the object that was there.
    pub(super) deposed: Option<&'a String>,
}

impl Left<'_> {
    pub(super) fn changes(&self) -> Option<Vec<Change>> {
        match &self.op.action {
            OpAction::Create { .. } => self.of_create(),
            OpAction::Update => Some(self.of_update()),
            _ => Some(Vec::new()),
        }
    }

    fn of_create(&self) -> Option<Vec<Change>> {
        let resumes = matches!(self.op.action, OpAction::Create { resume: Some(_), .. });
        let checkpoint = match (self.why, self.checkpoint) {
            (Why::Uncertain, _) => return None,
            // What the interrupted run began is as it was.
            (Why::NotBegun, _) if resumes => return None,
            (Why::NotBegun, _) | (_, None) => {
                return Some(self.deposed.map(|key| Change::Restore(key.clone())).into_iter().collect());
            }
            (_, Some(checkpoint)) => checkpoint,
        };
        // A checkpoint that can't be read leaves the intent, which is all that is known.
        let value = self.resource.checkpointed(self.planned?, checkpoint).ok()?;
        let key = self.subject.key.clone();
        let object = Object { key, ..object(self.op, self.resource, &value, None, true) };
        Some(vec![Change::Put { deposed: None, object: Box::new(object) }])
    }

    fn of_update(&self) -> Vec<Change> {
        let value = self
            .checkpoint
            .zip(self.prior)
            .and_then(|(checkpoint, prior)| self.resource.checkpointed(prior, checkpoint).ok());
        let (Some(value), Some(stored)) = (value, self.stored) else { return Vec::new() };
        let object = Object { attributes: wire::encode(&value, self.resource.ty()), ..stored.clone() };
        vec![Change::Put { deposed: self.subject.deposed.clone(), object: Box::new(object) }]
    }
}

/// What killed runs left of updates and deletes: the objects that changed by what was checkpointed. Creations are the planner's to decide on.
pub(crate) fn recovered(ledger: &Ledger, registry: &Registry) -> Vec<(Subject, Vec<Change>)> {
    let ended = ledger.pending().filter(|p| p.action != Action::Create);
    ended
        .map(|pending| {
            let changed = || {
                let stored = ledger.state.get(&pending.addr, pending.deposed.as_deref())?;
                let resource = registry.resource(&pending.addr.resource.ty)?;
                let prior = wire::decode(&stored.attributes, resource.ty()).ok()?;
                let value = resource.checkpointed(&prior, pending.checkpoint_clear()?).ok()?;
                let object = Object { attributes: wire::encode(&value, resource.ty()), ..stored.clone() };
                Some(Change::Put { deposed: pending.deposed.clone(), object: Box::new(object) })
            };
            (pending.subject(), changed().into_iter().collect())
        })
        .collect()
}

/// A checkpoint as the journal holds it: sealed as a whole where the object has secrets, since what a provider writes has no marks. Where there is no
/// key, what may be secret is left out: each attribute that its schema or what is known of the object calls so, and what its schema does not name.
pub(super) fn checkpoint<'a>(
    json: Json,
    resource: Option<&dyn AnyResource>,
    values: impl IntoIterator<Item = &'a Value>,
    withholds: bool,
) -> Json {
    let values: Vec<&Value> = values.into_iter().collect();
    let secret =
        resource.is_none_or(|r| has_secrets(r.schema())) || values.iter().any(|v| v.is_sensitive_deep());
    let open = |name: &str| {
        let attribute = resource.and_then(|r| r.schema().attributes.get(name));
        let marked = values.iter().filter_map(|v| v.get(name)).any(Value::is_sensitive_deep);
        attribute.is_some_and(|a| !a.sensitive) && !marked
    };
    match json {
        Json::Object(fields) if secret && withholds => {
            fields.into_iter().filter(|(name, _)| open(name)).collect()
        }
        json if secret => serde_json::json!({ "$sensitive": json }),
        json => json,
    }
}

fn has_secrets(schema: &Schema) -> bool {
    schema.attributes.values().any(|a| a.sensitive) || schema.blocks.values().any(|b| has_secrets(&b.schema))
}
