//! The event loop that owns a run: refresh, apply, destroy, retry, limits, recovery.
//!
//! An [`Engine`] is made once a process, with the providers, the sink for its [`event`]s and the tokens that a Ctrl-C sets. It plans
//! ([`Engine::plan_with`]) and applies ([`Engine::apply`]) with the same providers' clients. It knows no provider: what it does is in the [`grappe_plan::Plan`],
//! and what a type is like is in the [`Registry`].
//!
//! A command takes the lock ([`Engine::lock`]), opens a [`grappe_state::Session`] with it, plans from its ledger, and gives it to `apply`, which closes it:
//!
//! ```text
//! store ─ lock ─► Session ─ ledger ─► plan ─► Plan ─┐
//!                    └──────────────────────────────┴─► apply ─► Summary, new snapshot
//! ```
//!
//! Where a plan leaves something open ([`grappe_plan::waves`]), [`Engine::apply_wave`] gives the session back for the next plan, under the same lock.

mod apply;
mod attempt;
mod clients;
pub mod event;
mod failure;
mod limits;
pub mod mask;
mod open;
mod planning;
mod pools;
mod reading;
mod report;
mod resolve;
mod retry;
pub mod summary;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grappe_diag::Diagnostics;
use grappe_plan::{Outcome, Plan, PlanMode, Reading, StateStamp};
use grappe_provider::{Registry, Setup};
use grappe_state::{Ledger, Lock, LockError, Session, StateError, Store};
use grappe_value::addr::InstanceAddr;
use tokio_util::sync::CancellationToken;

pub use apply::Applied;
pub use attempt::GRACE;
pub use event::{Event, EventKind, Sink};
pub use failure::Failure;
pub use limits::LimitOf;
pub use planning::{Known, imported_object};
pub use resolve::{Resolve, resolver};
pub use retry::RetryPolicy;
pub use summary::Summary;

use clients::Clients;
use event::EventKind as Kind;
use limits::Limits;
use pools::Pools;
use report::Reporter;

/// How an engine works.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many operations run at once: `-parallelism`.
    pub parallelism: usize,
    /// How many things are read at once while planning.
    pub reads: usize,
    /// When something that may pass is tried again.
    pub retry: RetryPolicy,
    /// The same for readings.
    pub read_retry: RetryPolicy,
    /// What the user limits; the last of several counts.
    pub limits: Vec<(LimitOf, usize)>,
}

impl Default for Options {
    /// Ten operations, forty readings.
    fn default() -> Self {
        Options {
            parallelism: 10,
            reads: 40,
            retry: RetryPolicy::default(),
            read_retry: RetryPolicy::of_reads(),
            limits: Vec::new(),
        }
    }
}

/// How the user stops a run.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    /// The first Ctrl-C: nothing new is begun, what is running comes to its end. Planning stops at once.
    pub soft: CancellationToken,
    /// The second one: what is running is told to end, and dropped after [`GRACE`]. The journal tells the truth.
    pub hard: CancellationToken,
}

/// Why a run gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration can't be planned.
    #[error("{0}")]
    Refused(Diagnostics),
    /// These could not be read.
    #[error("{}", reads(.0))]
    Reads(Vec<(String, Failure)>),
    /// The state can't be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The plan was made from another state than there is now.
    #[error(
        "the plan was made from serial {} of the state, which has moved on to serial {serial}{}", plan.serial,
        if plan.lineage == *lineage { "" } else { " and is another one" }
    )]
    Stale {
        /// The state that the plan was made from.
        plan: StateStamp,
        /// The state's lineage.
        lineage: String,
        /// The state's serial.
        serial: u64,
    },
    /// The plan is not one.
    #[error("the plan can't be followed (a bug in grappe): {0}")]
    Plan(String),
    /// The user asked to stop. Nothing was changed.
    #[error("interrupted")]
    Interrupted,
}

impl RunError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            RunError::State(e) => e.hint(),
            RunError::Stale { .. } => Some("make a new plan: another run has changed the state since".into()),
            RunError::Reads(failed) => failed.first().and_then(|(_, failure)| failure.hint.clone()),
            RunError::Refused(_) | RunError::Plan(_) | RunError::Interrupted => None,
        }
    }
}

fn reads(failed: &[(String, Failure)]) -> String {
    let lines: Vec<String> =
        failed.iter().map(|(addr, failure)| format!("{addr} can't be read: {}", failure.summary)).collect();
    lines.join("\n")
}

/// Plans and applies. One a process.
pub struct Engine {
    registry: Arc<Registry>,
    clients: Clients,
    options: Options,
    limits: Limits,
    pools: Pools,
    /// What planning found to be as the state has it, and when: for the snapshot that applying writes.
    seen: Mutex<BTreeMap<InstanceAddr, u64>>,
    cancel: Cancel,
    sink: Sink,
}

impl Engine {
    /// An engine over these providers.
    #[must_use]
    pub fn new(registry: Arc<Registry>, setup: Setup, options: Options, cancel: Cancel, sink: Sink) -> Self {
        let clients = Clients::new(registry.clone(), setup, options.retry, cancel.hard.clone());
        let (limits, pools) = (Limits(options.limits.clone()), Pools::default());
        Engine { registry, clients, options, limits, pools, seen: Mutex::default(), cancel, sink }
    }

    /// Remembers what was read and is as the state has it: nothing is done to it, and nothing was found different.
    fn note_seen(&self, plan: &Plan, read: &BTreeMap<InstanceAddr, Reading>, at: u64) {
        let touched: HashSet<&InstanceAddr> =
            plan.operations.iter().map(|op| &op.addr).chain(plan.drift.iter().map(|d| &d.addr)).collect();
        let same = read.iter().filter(|(addr, r)| matches!(r, Reading::Found(_)) && !touched.contains(addr));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend(same.map(|(addr, _)| (addr.clone(), at)));
    }

    fn reporter(&self) -> Reporter {
        Reporter::new(self.sink.clone())
    }

    /// Takes the lock of a state, to do `what`; waits this long for a run that holds it. Says where a killed run's lock was taken over.
    ///
    /// # Errors
    /// Where it is still held then ([`StateError::is_locked`]), or can't be had.
    pub async fn lock(&self, store: &Store, what: &str, timeout: Duration) -> Result<Lock, RunError> {
        let reporter = self.reporter();
        let until = tokio::time::Instant::now() + timeout;
        let mut said = false;
        loop {
            let (taking, name) = (store.clone(), what.to_owned());
            let taken = tokio::task::spawn_blocking(move || taking.lock(&name));
            match taken.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic())) {
                Ok(lock) => {
                    if let Some(dead) = lock.taken_over() {
                        reporter.notice(format!(
                            "The state's lock was left by a run that was killed ({dead}). It is taken over, and what that run began is gone on with."
                        ));
                    }
                    return Ok(lock);
                }
                Err(StateError::Lock(LockError::Held { holder })) if tokio::time::Instant::now() < until => {
                    if !std::mem::replace(&mut said, true) {
                        reporter.say(Kind::LockWaiting { holder });
                    }
                }
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
                () = self.cancel.soft.cancelled() => return Err(RunError::Interrupted),
            }
        }
    }

    /// Plans with a planner that is called until it has all that it asks for to be read.
    ///
    /// # Errors
    /// Where it refuses, or something can't be read.
    pub async fn plan_with(
        &self,
        ledger: &Ledger,
        mode: PlanMode,
        planner: impl FnMut(Known<'_>) -> Result<Outcome, Diagnostics>,
    ) -> Result<Plan, RunError> {
        planning::plan(self, ledger, mode, planner).await
    }

    /// Applies a plan to the state that it was made from, and closes the session. What failed is in the summary: this is an error only
    /// where nothing was begun, or the state can't be written.
    ///
    /// # Errors
    /// Where the plan was made from another state, or the state can't be written.
    pub async fn apply(
        &self,
        plan: &Plan,
        resolver: impl Resolve,
        session: Session,
    ) -> Result<Applied, RunError> {
        let (summary, session) = self.apply_wave(plan, resolver, session).await?;
        Ok(Applied { summary, ledger: session.close()? })
    }

    /// As [`Engine::apply`], where another plan may follow: the snapshot is written, and the session goes on under the same lock.
    ///
    /// # Errors
    /// As there.
    pub async fn apply_wave(
        &self,
        plan: &Plan,
        resolver: impl Resolve,
        session: Session,
    ) -> Result<(Summary, Session), RunError> {
        apply::apply(self, plan, resolver, session).await
    }
}
