//! What a plan asks for is read: all that one round of the planner wants, at once, within the places that there are.
//!
//! Objects that their type reads together ([`grappe_provider::Resource::read_group`]) are one call: of a list, over one connection. Such a call has the deadline and the
//! tries of one reading. What it says of one object is that object's answer alone: one that may pass is asked for again by itself, and where the whole
//! can't be had, each is read by itself.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grappe_plan::{
    DataRead, DataResult, Import, ImportRead, Left, LeftRead, ObjectRead, PlanMode, ProviderKey, Reading,
    Reads,
};
use grappe_provider::{AnyContext, AnyResource, Client, Fault, Importable, Registry, Run, Stream};
use grappe_value::Value;
use grappe_value::addr::InstanceAddr;
use serde_json::Value as Json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Rules, Stopped, Why, attempt};
use crate::event::EventKind;
use crate::limits::Call;
use crate::mask::Mask;
use crate::open::Open;
use crate::pools::{Name, Seats, Turn};
use crate::report::{Reporter, millis};
use crate::retry::RetryPolicy;
use crate::{Engine, Failure, RunError, clients};

/// One thing to read.
enum Target {
    Object(ObjectRead),
    Data(DataRead),
    Ephemeral(DataRead),
    Import(ImportRead),
    Left(Box<LeftRead>),
}

impl Target {
    fn addr(&self) -> &InstanceAddr {
        match self {
            Target::Object(o) => &o.addr,
            Target::Data(d) | Target::Ephemeral(d) => &d.addr,
            Target::Import(i) => &i.addr,
            Target::Left(l) => &l.pending.addr,
        }
    }

    fn provider(&self) -> &ProviderKey {
        match self {
            Target::Object(o) => &o.provider,
            Target::Data(d) | Target::Ephemeral(d) => &d.provider,
            Target::Import(i) => &i.provider,
            Target::Left(l) => &l.provider,
        }
    }

    /// What it is asked with.
    fn value(&self) -> &Value {
        match self {
            Target::Object(o) => &o.value,
            Target::Data(d) | Target::Ephemeral(d) => &d.config,
            Target::Import(i) => &i.planned,
            Target::Left(l) => &l.planned,
        }
    }

    /// The key that its object has, or gets.
    fn key(&self) -> Arc<str> {
        match self {
            Target::Object(o) => o.key.clone(),
            Target::Data(_) | Target::Ephemeral(_) => "".into(),
            // The one that it has from now on.
            Target::Import(_) => uuid::Uuid::new_v4().to_string().into(),
            Target::Left(left) => left.pending.key.as_str().into(),
        }
    }
}

enum Found {
    Object(InstanceAddr, Reading),
    Data(InstanceAddr, DataResult),
    Opened(InstanceAddr, DataResult, Box<Open>),
    Import(Box<Import>),
    Left(String, Left),
}

/// What readings gave.
pub(crate) struct Answers<'a> {
    pub(crate) refreshed: &'a mut BTreeMap<InstanceAddr, Reading>,
    pub(crate) data_reads: &'a mut BTreeMap<InstanceAddr, DataResult>,
    pub(crate) opened: &'a mut BTreeMap<InstanceAddr, DataResult>,
    /// What must be closed when the plan is made.
    pub(crate) open: &'a mut Vec<Open>,
    pub(crate) imported: BTreeMap<InstanceAddr, Import>,
    pub(crate) left: &'a mut BTreeMap<String, Left>,
}

/// What one call reads: one thing, or objects that their type reads together.
struct ReadJob {
    targets: Vec<Target>,
    client: clients::Pending,
    registry: Arc<Registry>,
    retry: RetryPolicy,
    stop: CancellationToken,
    mask: Mask,
    reporter: Reporter,
    seats: Seats,
    turn: Option<Turn>,
}

/// What a call came to.
#[derive(Default)]
struct Ended {
    answered: Vec<(Target, Result<Found, Stopped>)>,
    /// What is to be asked for by itself.
    again: Vec<ReadJob>,
}

/// The calls that wait for a place, by the places that they need.
type Queue = BTreeMap<Seats, VecDeque<ReadJob>>;

/// What is read together: a provider's configuration, a type, and what that says.
type GroupKey = (ProviderKey, Arc<str>, String);

/// Reads what was asked for. Gives what did not answer: the plan may do without.
pub(crate) async fn read(
    engine: &Engine,
    reporter: &Reporter,
    mode: PlanMode,
    reads: Reads,
    answers: &mut Answers<'_>,
) -> Result<BTreeMap<InstanceAddr, Failure>, RunError> {
    reporter.say(EventKind::RefreshStarted { objects: reads.objects.len(), data: reads.data.len() });
    let all = engine.pools.lane(Name::Reads, Some(engine.options.reads.max(1)));
    let mut waiting = queue(engine, reporter, reads, answers)?;
    let mut tasks = JoinSet::new();
    let mut gathered = Gathered::default();
    loop {
        while engine.pools.has_room(all) {
            let Some(job) = next(engine, &mut waiting) else { break };
            tasks.spawn(job.run());
        }
        if tasks.is_empty() && waiting.is_empty() {
            break;
        }
        let ended = tokio::select! {
            biased;
            // Nothing was changed: there is nothing to wait for.
            () = engine.cancel.soft.cancelled() => return Err(RunError::Interrupted),
            Some(ended) = tasks.join_next() => ended,
            () = engine.pools.changed() => continue,
        };
        let ended = ended
            .map_err(|error| RunError::Plan(format!("a reading ended with a bug in grappe: {error}")))?;
        for (target, answer) in ended.answered {
            gathered.take(reporter, mode, target, answer, answers);
        }
        for job in ended.again {
            waiting.entry(job.seats.clone()).or_default().push_back(job);
        }
    }
    let Gathered { mut failed, silent } = gathered;
    if failed.is_empty() {
        return Ok(silent);
    }
    failed.extend(silent);
    Err(unanswered(failed))
}

/// What could not be read, though the plan keeps it.
pub(crate) fn unanswered(unread: BTreeMap<InstanceAddr, Failure>) -> RunError {
    RunError::Reads(unread.into_iter().map(|(addr, failure)| (addr.to_string(), failure)).collect())
}

/// The calls to make, those of one group as one.
fn queue(
    engine: &Engine,
    reporter: &Reporter,
    reads: Reads,
    answers: &mut Answers<'_>,
) -> Result<Queue, RunError> {
    let providers: HashMap<&ProviderKey, &Value> =
        reads.providers.iter().map(|p| (&p.key, &p.value)).collect();
    let mut calls: Vec<Vec<Target>> = Vec::new();
    let mut groups: HashMap<GroupKey, usize> = HashMap::new();
    for object in reads.objects {
        let resource = engine.registry.resource(&object.addr.resource.ty);
        // What lives in the state only is as the state says.
        let Some(resource) = resource.filter(|r| r.reads()) else {
            answers.refreshed.insert(object.addr, Reading::NotRead);
            continue;
        };
        let Some(group) = resource.read_group(&object.value) else {
            calls.push(vec![Target::Object(object)]);
            continue;
        };
        let key = (object.provider.clone(), object.addr.resource.ty.clone(), group);
        let at = *groups.entry(key).or_insert(calls.len());
        match calls.get_mut(at) {
            Some(call) => call.push(Target::Object(object)),
            None => calls.push(vec![Target::Object(object)]),
        }
    }
    let left = reads.left.into_iter().map(|left| Target::Left(Box::new(left)));
    let others =
        reads.data.into_iter().map(Target::Data).chain(reads.imports.into_iter().map(Target::Import));
    let others = others.chain(reads.ephemeral.into_iter().map(Target::Ephemeral));
    calls.extend(others.chain(left).map(|target| vec![target]));
    let mut queue = Queue::new();
    for targets in calls {
        let Some(first) = targets.first() else { continue };
        let (addr, provider) = (first.addr(), first.provider());
        let Some(config) = providers.get(provider) else {
            return Err(RunError::Plan(format!("provider {provider} of {addr} has no configuration")));
        };
        let ty = &*addr.resource.ty;
        let groups = Vec::new();
        let call = Call { all: Name::Reads, addr, provider: Some(provider), ty, changes: false, groups };
        let seats = engine.limits.seats(&engine.pools, &engine.registry, call);
        let job = ReadJob {
            client: engine.clients.get(provider, config, reporter),
            mask: Mask::of(targets.iter().map(Target::value).chain([*config])),
            targets,
            registry: engine.registry.clone(),
            retry: engine.options.read_retry,
            stop: engine.cancel.hard.clone(),
            reporter: reporter.clone(),
            seats: seats.clone(),
            turn: None,
        };
        queue.entry(seats).or_default().push_back(job);
    }
    Ok(queue)
}

/// The next call for which there is a place, which it has then.
fn next(engine: &Engine, queue: &mut Queue) -> Option<ReadJob> {
    let (seats, turn) =
        queue.keys().find_map(|seats| Some((seats.clone(), engine.pools.take(seats).ok()?)))?;
    let jobs = queue.get_mut(&seats)?;
    let job = jobs.pop_front();
    if jobs.is_empty() {
        queue.remove(&seats);
    }
    Some(ReadJob { turn: Some(turn), ..job? })
}

/// What did not answer.
#[derive(Default)]
struct Gathered {
    /// Without these there is no plan.
    failed: BTreeMap<InstanceAddr, Failure>,
    /// Without these there may be one.
    silent: BTreeMap<InstanceAddr, Failure>,
}

impl Gathered {
    fn take(
        &mut self,
        reporter: &Reporter,
        mode: PlanMode,
        target: Target,
        answer: Result<Found, Stopped>,
        answers: &mut Answers<'_>,
    ) {
        let stopped = match answer {
            Ok(Found::Object(addr, reading)) => {
                answers.refreshed.insert(addr, reading);
                return;
            }
            Ok(Found::Data(addr, result)) => {
                answers.data_reads.insert(addr, result);
                return;
            }
            Ok(Found::Opened(addr, result, open)) => {
                answers.opened.insert(addr, result);
                answers.open.push(*open);
                return;
            }
            Ok(Found::Import(import)) => {
                answers.imported.insert(import.addr.clone(), *import);
                return;
            }
            Ok(Found::Left(key, left)) => {
                answers.left.insert(key, left);
                return;
            }
            Err(stopped) => stopped,
        };
        match target {
            // The plan goes on with it all the same; the next apply finds out.
            Target::Left(left) => {
                answers.left.insert(left.pending.key, Left::Unasked);
            }
            Target::Object(object) if mode == PlanMode::Destroy => {
                // What is to be deleted need not answer: a machine that is broken must not keep its lab alive.
                reporter.notice(format!(
                    "{} could not be read, and is deleted as the state remembers it: {}",
                    object.addr, stopped.failure.summary
                ));
                answers.refreshed.insert(object.addr, Reading::NotRead);
            }
            Target::Object(object) if mode == PlanMode::Normal && stopped.why != Why::NotBegun => {
                answers.refreshed.insert(object.addr.clone(), Reading::NotRead);
                self.silent.insert(object.addr, stopped.failure);
            }
            Target::Data(data) if data.lenient => {
                let failed = Some(stopped.failure.summary);
                answers
                    .data_reads
                    .insert(data.addr, DataResult { config: data.config, value: Value::NULL, failed });
            }
            target => {
                self.failed.insert(target.addr().clone(), stopped.failure);
            }
        }
    }
}

impl ReadJob {
    async fn run(mut self) -> Ended {
        let start = Instant::now();
        let mut targets = std::mem::take(&mut self.targets);
        let ended = match (targets.pop(), targets.is_empty()) {
            (Some(one), true) => {
                let answer = self.read(&one).await;
                Ended { answered: vec![(one, answer)], again: Vec::new() }
            }
            (last, _) => {
                targets.extend(last);
                self.read_many(targets).await
            }
        };
        for (target, found) in &ended.answered {
            let Ok(found) = found else { continue };
            let found = match found {
                Found::Object(_, reading) => *reading != Reading::Gone,
                Found::Data(..) | Found::Opened(..) | Found::Import(_) => true,
                Found::Left(_, left) => *left == Left::There,
            };
            let elapsed = millis(start.elapsed());
            self.reporter.say(EventKind::Refreshed { addr: target.addr().to_string(), found, elapsed });
        }
        ended
    }

    fn context(
        &self,
        client: &Client,
        target: &Target,
        key: &Arc<str>,
        cancel: CancellationToken,
    ) -> AnyContext {
        AnyContext {
            client: client.clone(),
            run: Arc::new(Quiet),
            addr: target.addr().clone(),
            key: key.clone(),
            resumed: match target {
                Target::Left(left) => left.pending.checkpoint_clear().cloned(),
                _ => None,
            },
            only_looks: true,
            cancel,
            // Nothing is done yet.
            going: Arc::default(),
        }
    }

    async fn call<'f, T: Send>(
        &self,
        deadline: Duration,
        call: impl FnMut(u32, CancellationToken) -> BoxFuture<'f, Result<T, Fault>>,
    ) -> Result<T, Stopped> {
        let rules = Rules {
            retry: &self.retry,
            deadline,
            stop: &self.stop,
            mask: &self.mask,
            turn: self.turn.as_ref(),
        };
        attempt(&rules, call, |retry| self.reporter.throttled(&retry)).await
    }

    fn resource(&self, addr: &InstanceAddr) -> Result<&dyn AnyResource, Stopped> {
        self.registry.resource(&addr.resource.ty).ok_or_else(|| unknown(addr))
    }

    /// Reads objects of one group together. Gives what they answered, and those that are to be asked for again by themselves.
    async fn read_many(&self, targets: Vec<Target>) -> Ended {
        let together = match self.together(&targets).await {
            Ok(answers) => answers,
            Err(stopped) if stopped.why == Why::Refused => targets.iter().map(|_| None).collect(),
            Err(stopped) => targets.iter().map(|_| Some(Err(stopped.clone()))).collect(),
        };
        let mut ended = Ended::default();
        for (target, answer) in targets.into_iter().zip(together) {
            match answer {
                Some(answer) => ended.answered.push((target, answer)),
                None => ended.again.push(self.alone(target)),
            }
        }
        ended
    }

    /// The call that asks for one of several by itself.
    fn alone(&self, target: Target) -> ReadJob {
        ReadJob {
            targets: vec![target],
            client: self.client.clone(),
            registry: self.registry.clone(),
            retry: self.retry,
            stop: self.stop.clone(),
            mask: self.mask.clone(),
            reporter: self.reporter.clone(),
            seats: self.seats.clone(),
            turn: None,
        }
    }

    /// An answer for each, but for those that are to be asked for again by themselves.
    async fn together(&self, targets: &[Target]) -> Result<Vec<Option<Result<Found, Stopped>>>, Stopped> {
        let client = self.client.clone().await?;
        let Some(first) = targets.first() else { return Ok(Vec::new()) };
        let (resource, key) = (self.resource(first.addr())?, first.key());
        let states: Vec<Value> = targets.iter().map(|target| target.value().clone()).collect();
        let given = targets.iter().filter_map(|target| match target {
            Target::Object(object) => object.deadline,
            _ => None,
        });
        // None of them is given up before its time.
        let deadline = given.chain([resource.timeouts().read]).max().unwrap_or_default();
        let call = |_, stop| resource.read_many(self.context(&client, first, &key, stop), &states);
        let read = self.call(deadline, call).await?;
        let answer = |(target, answer): (&Target, Result<Option<Value>, Fault>)| {
            let reading = match answer {
                Ok(Some(value)) => Reading::Found(value),
                Ok(None) => Reading::Gone,
                Err(fault) if fault.kind == grappe_provider::FaultKind::Gone => Reading::Gone,
                Err(fault) if fault.is_transient() => return None,
                Err(fault) => {
                    let failure = Failure::of_fault(&fault, &self.mask);
                    return Some(Err(Stopped { failure, why: Why::Refused }));
                }
            };
            Some(Ok(Found::Object(target.addr().clone(), reading)))
        };
        Ok(targets.iter().zip(read).map(answer).collect())
    }

    async fn read(&self, target: &Target) -> Result<Found, Stopped> {
        let client = self.client.clone().await?;
        let (addr, key) = (target.addr(), target.key());
        match target {
            Target::Object(object) => {
                let resource = self.resource(addr)?;
                let deadline = object.deadline.unwrap_or_else(|| resource.timeouts().read);
                let call = |_, stop| resource.read(self.context(&client, target, &key, stop), &object.value);
                let reading = match self.call(deadline, call).await {
                    Ok(Some(value)) => Reading::Found(value),
                    Ok(None) => Reading::Gone,
                    Err(stopped) if stopped.why == Why::Gone => Reading::Gone,
                    Err(stopped) => return Err(stopped),
                };
                Ok(Found::Object(addr.clone(), reading))
            }
            Target::Left(left) => {
                let resource = self.resource(addr)?;
                let deadline = left.deadline.unwrap_or_else(|| resource.timeouts().read);
                let call = |_, stop| resource.adopt(self.context(&client, target, &key, stop), &left.planned);
                let found = match self.call(deadline, call).await {
                    Ok(Some(_)) => Left::There,
                    Ok(None) => Left::Nothing,
                    Err(stopped) if stopped.why == Why::Gone => Left::Nothing,
                    Err(stopped) => return Err(stopped),
                };
                Ok(Found::Left(left.pending.key.clone(), found))
            }
            Target::Import(import) => {
                let resource = self.resource(addr)?;
                let deadline = import.deadline.unwrap_or_else(|| resource.timeouts().read);
                let call = |_, stop| {
                    resource.import(self.context(&client, target, &key, stop), &import.id, &import.planned)
                };
                let value = match self.call(deadline, call).await {
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
                    key: key.to_string(),
                    value,
                })))
            }
            Target::Ephemeral(data) => {
                let resource = self.registry.ephemeral(&addr.resource.ty).ok_or_else(|| unknown(addr))?;
                let deadline = data.deadline.unwrap_or(grappe_provider::Timeouts::default().read);
                let call = |_, stop| resource.open(self.context(&client, target, &key, stop), &data.config);
                let opened = self.call(deadline, call).await?;
                let ctx = self.context(&client, target, &key, CancellationToken::new());
                let (open, value) = Open::keep(self.registry.clone(), ctx, opened, self.reporter.clone());
                let result = DataResult { config: data.config.clone(), value, failed: None };
                Ok(Found::Opened(addr.clone(), result, Box::new(open)))
            }
            Target::Data(data) => {
                let source = self.registry.data_source(&addr.resource.ty).ok_or_else(|| unknown(addr))?;
                let deadline = data.deadline.unwrap_or(grappe_provider::Timeouts::default().read);
                let call = |_, stop| source.read(self.context(&client, target, &key, stop), &data.config);
                let value = self.call(deadline, call).await?;
                Ok(Found::Data(addr.clone(), DataResult { config: data.config.clone(), value, failed: None }))
            }
        }
    }
}

fn unknown(addr: &InstanceAddr) -> Stopped {
    Stopped::not_begun(Failure::new(format!("there is no type {}", addr.resource.ty)))
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
