//! Planning: the planner asks, the engine reads, until the plan is made.
//!
//! All that one round of the planner asks for is read at once, within the bound: a run over 200 machines reads them together. Nothing here writes
//! to the state: what was found goes into the plan.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grappe_diag::Diagnostics;
use grappe_plan::{
    DataRead, DataResult, Import, ImportRead, Left, LeftRead, ObjectRead, OpAction, Operation, Outcome, Plan,
    PlanMode, ProviderKey, Reading, Reads, Reason,
};
use grappe_provider::{AnyContext, AnyResource, Fault, Importable, Registry, Run, Stream};
use grappe_state::{Action, Change, Ledger, Object, Pending, State};
use grappe_value::addr::InstanceAddr;
use grappe_value::{Value, wire};
use serde_json::Value as Json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Rules, Stopped, Why, attempt};
use crate::event::{EventKind, Phase};
use crate::mask::Mask;
use crate::report::{Reporter, millis};
use crate::retry::RetryPolicy;
use crate::{Engine, Failure, RunError, clients};

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
    mut planner: impl FnMut(Known<'_>) -> Result<Outcome, Diagnostics>,
) -> Result<Plan, RunError> {
    let reporter = engine.reporter();
    reporter.say(EventKind::RunStarted { phase: Phase::Plan, operations: 0, expected: 0 });
    let mut state = recovered(ledger, &engine.registry);
    let pending: Vec<Pending> = ledger.pending().filter(|p| p.action == Action::Create).cloned().collect();
    let (mut refreshed, mut data_reads) = (BTreeMap::new(), BTreeMap::new());
    let (mut imported, mut left) = (BTreeMap::new(), BTreeMap::new());
    let (mut rounds, mut thinking) = (0, Duration::ZERO);
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
                reporter.say(EventKind::Planned { elapsed: millis(thinking), rounds });
                return Ok(*plan);
            }
            Outcome::NeedReads(reads) => reads,
        };
        rounds += 1;
        let before = refreshed.len() + data_reads.len() + imported.len() + left.len();
        let mut answers = Answers {
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
        if refreshed.len() + data_reads.len() + imported.len() + left.len() == before {
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
        ..Object::default()
    })
}

/// One thing to read.
enum Target {
    Object(ObjectRead),
    Data(DataRead),
    Import(ImportRead),
    Left(Box<LeftRead>),
}

impl Target {
    fn addr(&self) -> &InstanceAddr {
        match self {
            Target::Object(o) => &o.addr,
            Target::Data(d) => &d.addr,
            Target::Import(i) => &i.addr,
            Target::Left(l) => &l.pending.addr,
        }
    }

    fn provider(&self) -> &ProviderKey {
        match self {
            Target::Object(o) => &o.provider,
            Target::Data(d) => &d.provider,
            Target::Import(i) => &i.provider,
            Target::Left(l) => &l.provider,
        }
    }

    /// What it is asked with.
    fn value(&self) -> &Value {
        match self {
            Target::Object(o) => &o.value,
            Target::Data(d) => &d.config,
            Target::Import(i) => &i.planned,
            Target::Left(l) => &l.planned,
        }
    }
}

enum Found {
    Object(InstanceAddr, Reading),
    Data(InstanceAddr, DataResult),
    Import(Box<Import>),
    Left(String, Left),
}

/// What readings gave.
struct Answers<'a> {
    refreshed: &'a mut BTreeMap<InstanceAddr, Reading>,
    data_reads: &'a mut BTreeMap<InstanceAddr, DataResult>,
    imported: BTreeMap<InstanceAddr, Import>,
    left: &'a mut BTreeMap<String, Left>,
}

async fn read(
    engine: &Engine,
    reporter: &Reporter,
    mode: PlanMode,
    reads: Reads,
    answers: &mut Answers<'_>,
) -> Result<BTreeMap<InstanceAddr, Failure>, RunError> {
    reporter.say(EventKind::RefreshStarted { objects: reads.objects.len(), data: reads.data.len() });
    let providers: HashMap<&ProviderKey, &Value> =
        reads.providers.iter().map(|p| (&p.key, &p.value)).collect();
    let mut targets = Vec::with_capacity(reads.objects.len() + reads.data.len());
    for object in reads.objects {
        // What lives in the state only is as the state says.
        if engine.registry.resource(&object.addr.resource.ty).is_some_and(|r| r.reads()) {
            targets.push(Target::Object(object));
        } else {
            answers.refreshed.insert(object.addr, Reading::NotRead);
        }
    }
    targets.extend(reads.data.into_iter().map(Target::Data));
    targets.extend(reads.imports.into_iter().map(Target::Import));
    targets.extend(reads.left.into_iter().map(|left| Target::Left(Box::new(left))));
    let mut waiting = targets.into_iter();
    let mut tasks = JoinSet::new();
    let (mut failed, mut silent) = (Vec::new(), BTreeMap::new());
    loop {
        while tasks.len() < engine.options.reads.max(1) {
            let Some(target) = waiting.next() else { break };
            let (addr, provider) = (target.addr(), target.provider());
            let Some(config) = providers.get(provider) else {
                return Err(RunError::Plan(format!("provider {provider} of {addr} has no configuration")));
            };
            let key: Arc<str> = match &target {
                Target::Object(o) => o.key.clone(),
                Target::Data(_) => "".into(),
                // The one that it has from now on.
                Target::Import(_) => uuid::Uuid::new_v4().to_string().into(),
                Target::Left(left) => left.pending.key.as_str().into(),
            };
            let client = engine.clients.get(provider, config, reporter);
            let job = ReadJob {
                mask: Mask::of([target.value(), config]),
                target,
                key,
                client,
                registry: engine.registry.clone(),
                retry: engine.options.read_retry,
                stop: engine.cancel.hard.clone(),
                reporter: reporter.clone(),
            };
            tasks.spawn(job.run());
        }
        let ended = tokio::select! {
            biased;
            // Nothing was changed: there is nothing to wait for.
            () = engine.cancel.soft.cancelled() => return Err(RunError::Interrupted),
            ended = tasks.join_next() => ended,
        };
        match ended {
            None => break,
            Some(Ok((_, Ok(Found::Object(addr, reading))))) => {
                answers.refreshed.insert(addr, reading);
            }
            Some(Ok((_, Ok(Found::Data(addr, result))))) => {
                answers.data_reads.insert(addr, result);
            }
            Some(Ok((_, Ok(Found::Import(import))))) => {
                answers.imported.insert(import.addr.clone(), *import);
            }
            Some(Ok((_, Ok(Found::Left(key, left))))) => {
                answers.left.insert(key, left);
            }
            // The plan goes on with it all the same; the next apply finds out.
            Some(Ok((Target::Left(left), Err(_)))) => {
                answers.left.insert(left.pending.key, Left::Unasked);
            }
            Some(Ok((Target::Object(object), Err(stopped)))) if mode == PlanMode::Destroy => {
                // What is to be deleted need not answer: a machine that is broken must not keep its lab alive.
                reporter.notice(format!(
                    "{} could not be read, and is deleted as the state remembers it: {}",
                    object.addr, stopped.failure.summary
                ));
                answers.refreshed.insert(object.addr, Reading::NotRead);
            }
            Some(Ok((Target::Object(object), Err(stopped))))
                if mode == PlanMode::Normal && stopped.why != Why::NotBegun =>
            {
                answers.refreshed.insert(object.addr.clone(), Reading::NotRead);
                silent.insert(object.addr, stopped.failure);
            }
            Some(Ok((Target::Data(data), Err(stopped)))) if data.lenient => {
                let failed = Some(stopped.failure.summary);
                answers
                    .data_reads
                    .insert(data.addr, DataResult { config: data.config, value: Value::NULL, failed });
            }
            Some(Ok((target, Err(stopped)))) => {
                failed.push((target.addr().clone(), stopped.failure));
            }
            Some(Err(error)) => {
                return Err(RunError::Plan(format!("a reading ended with a bug in grappe: {error}")));
            }
        }
    }
    if failed.is_empty() {
        return Ok(silent);
    }
    failed.extend(silent);
    Err(unanswered(failed.into_iter().collect()))
}

/// What could not be read, though the plan keeps it.
fn unanswered(unread: BTreeMap<InstanceAddr, Failure>) -> RunError {
    RunError::Reads(unread.into_iter().map(|(addr, failure)| (addr.to_string(), failure)).collect())
}

struct ReadJob {
    target: Target,
    key: Arc<str>,
    client: clients::Pending,
    registry: Arc<Registry>,
    retry: RetryPolicy,
    stop: CancellationToken,
    mask: Mask,
    reporter: Reporter,
}

impl ReadJob {
    async fn run(self) -> (Target, Result<Found, Stopped>) {
        let start = Instant::now();
        let found = self.read().await;
        if let Ok(found) = &found {
            let (addr, found) = match found {
                Found::Object(addr, reading) => (addr, *reading != Reading::Gone),
                Found::Data(addr, _) => (addr, true),
                Found::Import(import) => (&import.addr, true),
                Found::Left(_, left) => (self.target.addr(), *left == Left::There),
            };
            let elapsed = millis(start.elapsed());
            self.reporter.say(EventKind::Refreshed { addr: addr.to_string(), found, elapsed });
        }
        (self.target, found)
    }

    async fn read(&self) -> Result<Found, Stopped> {
        let client = self.client.clone().await?;
        let context = |addr: &InstanceAddr, cancel| AnyContext {
            client: client.clone(),
            run: Arc::new(Quiet),
            addr: addr.clone(),
            key: self.key.clone(),
            resumed: match &self.target {
                Target::Left(left) => left.pending.checkpoint_clear().cloned(),
                _ => None,
            },
            only_looks: true,
            cancel,
            // Nothing is done yet.
            going: Arc::default(),
        };
        let unknown = |addr: &InstanceAddr| {
            Stopped::not_begun(Failure::new(format!("there is no type {}", addr.resource.ty)))
        };
        let rules = |deadline| Rules { retry: &self.retry, deadline, stop: &self.stop, mask: &self.mask };
        match &self.target {
            Target::Object(object) => {
                let addr = &object.addr;
                let resource = self.registry.resource(&addr.resource.ty).ok_or_else(|| unknown(addr))?;
                let call = |_, cancel| resource.read(context(addr, cancel), &object.value);
                let deadline = object.deadline.unwrap_or_else(|| resource.timeouts().read);
                let read = attempt(&rules(deadline), call, |_, _, _| {}).await;
                let reading = match read {
                    Ok(Some(value)) => Reading::Found(value),
                    Ok(None) => Reading::Gone,
                    Err(stopped) if stopped.why == Why::Gone => Reading::Gone,
                    Err(stopped) => return Err(stopped),
                };
                Ok(Found::Object(addr.clone(), reading))
            }
            Target::Left(left) => {
                let addr = &left.pending.addr;
                let resource = self.registry.resource(&addr.resource.ty).ok_or_else(|| unknown(addr))?;
                let call = |_, cancel| resource.adopt(context(addr, cancel), &left.planned);
                let deadline = left.deadline.unwrap_or_else(|| resource.timeouts().read);
                let found = match attempt(&rules(deadline), call, |_, _, _| {}).await {
                    Ok(Some(_)) => Left::There,
                    Ok(None) => Left::Nothing,
                    Err(stopped) if stopped.why == Why::Gone => Left::Nothing,
                    Err(stopped) => return Err(stopped),
                };
                Ok(Found::Left(left.pending.key.clone(), found))
            }
            Target::Import(import) => {
                let addr = &import.addr;
                let resource = self.registry.resource(&addr.resource.ty).ok_or_else(|| unknown(addr))?;
                let call = |_, cancel| resource.import(context(addr, cancel), &import.id, &import.planned);
                let deadline = import.deadline.unwrap_or_else(|| resource.timeouts().read);
                let read = attempt(&rules(deadline), call, |_, _, _| {}).await;
                let value = match read {
                    Ok(Some(value)) => value,
                    Ok(None) => return Err(missing(resource)),
                    Err(stopped) if stopped.why == Why::Gone => return Err(missing(resource)),
                    Err(stopped) => return Err(with_id(stopped, resource)),
                };
                let id = Value::from(&*import.id);
                let secret = value.as_entries().into_iter().flatten().any(|(_, v)| {
                    v.is_sensitive_deep() && v.as_str().is_some_and(|secret| import.id.contains(secret))
                });
                Ok(Found::Import(Box::new(Import {
                    addr: addr.clone(),
                    id: if secret { id.sensitive() } else { id },
                    provider: import.provider.clone(),
                    key: self.key.to_string(),
                    value,
                })))
            }
            Target::Data(data) => {
                let addr = &data.addr;
                let source = self.registry.data_source(&addr.resource.ty).ok_or_else(|| unknown(addr))?;
                let call = |_, cancel| source.read(context(addr, cancel), &data.config);
                let deadline = data.deadline.unwrap_or(grappe_provider::Timeouts::default().read);
                let value = attempt(&rules(deadline), call, |_, _, _| {}).await?;
                Ok(Found::Data(addr.clone(), DataResult { config: data.config.clone(), value, failed: None }))
            }
        }
    }
}

/// That there is nothing under an id.
fn missing(resource: &dyn AnyResource) -> Stopped {
    let nothing = Failure {
        hint: Some(
            "only what exists can be imported: check where the provider and the block look for it".into(),
        ),
        ..Failure::new(format!("there is no {} with this id", resource.name()))
    };
    with_id(Stopped::not_begun(nothing), resource)
}

/// With what the ids of a type are.
fn with_id(stopped: Stopped, resource: &dyn AnyResource) -> Stopped {
    let Importable::By(what) = resource.importable() else { return stopped };
    let hint = match &stopped.failure.hint {
        Some(hint) => format!("{hint}; the id is {what}"),
        None => format!("the id is {what}"),
    };
    Stopped { failure: Failure { hint: Some(hint), ..stopped.failure }, ..stopped }
}

/// A reading says nothing while it goes on, and leaves nothing to be found again.
struct Quiet;

impl Run for Quiet {
    fn progress(&self, _: &str) {}
    fn output(&self, _: Stream, _: &str) {}
    fn checkpoint(&self, _: Json) -> BoxFuture<'_, Result<(), Fault>> {
        futures::future::ready(Ok(())).boxed()
    }
}
