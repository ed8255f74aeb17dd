//! Applying a plan.
//!
//! ```text
//!            ┌───────────────── one loop owns queue, resolver and session ────────────────┐
//! ready ─► finalize ─► places? ─► intent (journal) ─► task: provider ─► result ─► record ─► next
//!                                                       │  ▲
//!                                                       └──┘ checkpoints
//! ```
//!
//! The loop never waits for a disk or for the world. It queues a record and hands the task what resolves when it is durable; the task waits for
//! that before it acts. Results are recorded when they come and not waited for: whoever acts on them journals an intent behind them first, and the
//! journal is durable in order. So a run's fsyncs are shared by all that go on at once.
//!
//! What becomes of an object when its operation does not succeed depends on what is known ([`books`]).

mod books;
mod end;
mod job;
mod start;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use grappe_graph::{Graph, ReadyQueue, critical_path};
use grappe_plan::{ObjectRef, OpAction, OpId, Operation, Plan, ProviderConfig, ProviderKey};
use grappe_provider::Registry;
use grappe_state::{Change, Durable, Moved, Record, Session, StateError, Subject};
use grappe_value::{OnChange, Value};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::event::{EventKind, OpName, Phase, Verb};
use crate::pools::{Name, Seats, Turn};
use crate::report::{Reporter, millis};
use crate::resolve::Resolve;
use crate::summary::Summary;
use crate::{Engine, Failure, RunError};

pub(crate) use books::recovered;
use job::{Ended, Message, Shared};

/// What applying came to, where nothing follows.
#[derive(Debug)]
pub struct Applied {
    /// How it ended.
    pub summary: Summary,
    /// What exists now.
    pub ledger: grappe_state::Ledger,
}

/// An operation that is ready, with its values as they are now known.
struct Ready {
    prior: Option<Value>,
    planned: Option<Value>,
    /// The places that it needs; none where nothing is done.
    seats: Option<Seats>,
    /// Those places, taken.
    turn: Option<Turn>,
}

/// An operation that is running.
struct Running {
    name: OpName,
    start: Instant,
    prior: Option<Value>,
    planned: Option<Value>,
    /// What it is about: what the journal knows it by.
    subject: Subject,
    /// Whether its intent is in the journal: not so for reads, and for objects that live in the state only.
    journalled: bool,
}

struct Run<'a, R> {
    engine: &'a Engine,
    plan: &'a Plan,
    resolver: R,
    session: Session,
    reporter: Reporter,
    shared: Arc<Shared>,
    providers: HashMap<&'a ProviderKey, &'a ProviderConfig>,
    ready: HashMap<usize, Result<Ready, Failure>>,
    running: HashMap<usize, Running>,
    tasks: JoinSet<Ended>,
    tasks_by_id: HashMap<tokio::task::Id, usize>,
    /// The keys of the objects that creates of this run deposed.
    deposed: HashMap<OpId, String>,
    durations: Vec<Duration>,
    settled: Vec<bool>,
    summary: Summary,
}

/// Does what the plan says. See [`Engine::apply`].
pub(crate) async fn apply<R: Resolve>(
    engine: &Engine,
    plan: &Plan,
    resolver: R,
    session: Session,
) -> Result<(Summary, Session), RunError> {
    let reporter = engine.reporter();
    check_base(plan, &session)?;
    if let Some(why) = session.withholds() {
        grappe_plan::unkept(plan, &engine.registry, why).map_err(|lost| RunError::Refused(lost.into()))?;
    }
    let edges = plan.operations.iter().flat_map(|op| op.requires.iter().map(|r| (r.index(), op.id.index())));
    let graph = Graph::new(plan.operations.len(), edges);
    let estimates: Vec<Duration> = plan.operations.iter().map(|op| op.estimate).collect();
    let cycle = |_| RunError::Plan("its operations wait for each other".into());
    let expected = critical_path(&graph, &estimates).map_err(cycle)?.length;
    let queue = ReadyQueue::new(graph.clone(), &estimates).map_err(cycle)?;
    reporter.say(EventKind::RunStarted {
        phase: Phase::Apply,
        operations: plan.operations.iter().filter(|op| Verb::of(&op.action).is_shown()).count(),
        expected: millis(expected),
    });
    let (messages, inbox) = mpsc::unbounded_channel();
    let mut run = Run {
        engine,
        plan,
        resolver,
        session,
        shared: Arc::new(Shared {
            registry: engine.registry.clone(),
            setup: engine.clients.setup(),
            retry: engine.options.retry,
            reporter: reporter.clone(),
            messages,
            stop: engine.cancel.hard.clone(),
            broken: AtomicBool::new(false),
            retries: AtomicU32::new(0),
            open: std::sync::Mutex::default(),
            going: Arc::new(going(plan, &engine.registry)),
        }),
        reporter,
        providers: plan.providers.iter().map(|p| (&p.key, p)).collect(),
        ready: HashMap::new(),
        running: HashMap::new(),
        tasks: JoinSet::new(),
        tasks_by_id: HashMap::new(),
        deposed: HashMap::new(),
        durations: vec![Duration::ZERO; plan.operations.len()],
        settled: vec![false; plan.operations.len()],
        summary: Summary::default(),
    };
    run.begin()?;
    run.work(queue, inbox).await;
    run.finish(&graph).await
}

/// The ids of the objects that go. Not those of a type that lives on another object, as `host_machine` does, or is about one, as `kube_config` is: it has
/// that one's id.
fn going(plan: &Plan, registry: &Registry) -> HashSet<String> {
    let id = |op: &Operation| {
        let deleted = matches!(op.action, OpAction::Delete { adopt: None, .. });
        let current = matches!(op.object, ObjectRef::Current);
        let schema = registry.resource(&op.addr.resource.ty).filter(|_| deleted && current)?.schema();
        let prior = op.prior.as_ref()?;
        let id = prior.get("id")?.as_str()?;
        let of_another = schema.attributes.iter().any(|(name, attribute)| match attribute.on_change {
            _ if attribute.home => true,
            OnChange::ReplaceWhen(member) => {
                prior.get(name).and_then(|value| value.get(member)?.as_str()) == Some(id)
            }
            _ => false,
        });
        (!of_another).then(|| id.to_owned())
    };
    plan.operations.iter().filter_map(id).collect()
}

/// A plan fits the state that it was made from, and no other.
fn check_base(plan: &Plan, session: &Session) -> Result<(), RunError> {
    let state = session.state();
    if plan.base.lineage == state.lineage && plan.base.serial == state.serial {
        return Ok(());
    }
    Err(RunError::Stale { plan: plan.base.clone(), lineage: state.lineage.clone(), serial: state.serial })
}

impl<R: Resolve> Run<'_, R> {
    /// What must be in the state before the first operation.
    fn begin(&mut self) -> Result<(), RunError> {
        let settle: Vec<Record> = books::recovered(self.session.ledger(), &self.engine.registry)
            .into_iter()
            .map(|(of, changes)| Record::Failed { of, changes })
            .collect();
        for record in settle {
            self.session.note(record)?;
        }
        if !self.plan.moves.is_empty() {
            let moves = self.plan.moves.iter().map(|m| Moved { from: m.from.clone(), to: m.to.clone() });
            self.session.note(Record::Moved(moves.collect()))?;
        }
        for import in &self.plan.imports {
            let Some(object) = crate::imported_object(import, &self.engine.registry) else { continue };
            let of = Subject { addr: import.addr.clone(), deposed: None, key: String::new() };
            let changes = vec![Change::Put { deposed: None, object: Box::new(object) }];
            self.session.note(Record::Done { of, changes })?;
        }
        Ok(())
    }

    /// Records something that must be on disk before the run goes on with it.
    fn append(&mut self, record: Record) -> Result<Durable, Failure> {
        self.session.append(record).map_err(|e| self.broken(&e))
    }

    /// Records something that nobody waits for.
    fn note(&mut self, record: Record) -> Result<(), Failure> {
        self.soon(record).map(drop)
    }

    /// Records something that nothing but its report waits for.
    fn soon(&mut self, record: Record) -> Result<Durable, Failure> {
        self.session.soon(record).map_err(|e| self.broken(&e))
    }

    /// What can't be recorded must not be done: nothing more is begun.
    fn broken(&self, error: &StateError) -> Failure {
        self.shared.broken.store(true, Ordering::Relaxed);
        Failure::of_state(error)
    }

    async fn work(&mut self, mut queue: ReadyQueue, mut inbox: mpsc::UnboundedReceiver<Message>) {
        let (soft, hard) = (self.engine.cancel.soft.clone(), self.engine.cancel.hard.clone());
        let mut said_hard = false;
        let (pools, parallelism) = (self.engine.pools.clone(), self.engine.options.parallelism.max(1));
        let all = pools.lane(Name::Operations, Some(parallelism));
        loop {
            pools.freed().into_iter().for_each(|lane| queue.open(lane));
            while !soft.is_cancelled()
                && !hard.is_cancelled()
                && !self.shared.broken.load(Ordering::Relaxed)
                && pools.has_room(all)
            {
                let Some(next) = self.next(&mut queue) else { break };
                self.start(next, &mut queue);
            }
            if self.tasks.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                Some(message) = inbox.recv() => self.record(message),
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended, &mut queue),
                // One that waits to be tried again has given its places to others.
                () = pools.changed() => {}
                () = hard.cancelled(), if !said_hard => {
                    said_hard = true;
                    self.interrupted(true);
                }
                () = soft.cancelled(), if !self.summary.interrupted => self.interrupted(false),
            }
        }
        self.summary.interrupted |= soft.is_cancelled() || hard.is_cancelled();
        self.summary.not_started = self
            .plan
            .operations
            .iter()
            .filter(|op| !self.settled[op.id.index()] && Verb::of(&op.action).is_shown())
            .count();
    }

    fn interrupted(&mut self, hard: bool) {
        self.summary.interrupted = true;
        self.reporter.say(EventKind::Interrupted { hard, running: self.tasks.len() });
    }
}
