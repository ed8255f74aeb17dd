//! One operation, as a task of its own: it calls the provider and tells the loop what came of it. It owns all that it needs and changes nothing
//! itself: what must be recorded goes to the loop as a message, and the answer says when it is on disk.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grappe_provider::{
    AnyContext, AnyProvisioner, AnyResource, Client, Fault, Registry, Run, Setup, StepContext, Stream,
};
use grappe_state::Durable;
use grappe_value::Value;
use grappe_value::addr::InstanceAddr;
use serde_json::Value as Json;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::attempt::{Rules, Stopped, Why, attempt};
use crate::clients;
use crate::event::{EventKind, OpName, stream_name};
use crate::failure::not_durable;
use crate::mask::Mask;
use crate::open::Open;
use crate::pools::Turn;
use crate::report::{Reporter, millis};
use crate::retry::RetryPolicy;

/// What a task asks the loop to record.
pub(super) struct Message {
    pub(super) op: usize,
    pub(super) news: News,
    pub(super) reply: oneshot::Sender<Result<Durable, Fault>>,
}

pub(super) enum News {
    /// The provider says what exists by now.
    Checkpoint(Json),
    /// What an interrupted creation left was found, and is about to be deleted.
    Adopted(Value),
}

/// What an operation is to do.
pub(super) enum Work {
    Create {
        planned: Value,
    },
    Update {
        prior: Value,
        planned: Value,
    },
    Delete {
        prior: Value,
    },
    /// Finds what an interrupted creation left, and deletes it.
    Sweep {
        planned: Value,
    },
    Read {
        config: Value,
    },
    /// Opens an ephemeral resource, until the run is over.
    Open {
        config: Value,
    },
    /// Does a step beside the object.
    Provision {
        provisioner: Arc<dyn AnyProvisioner>,
        config: Value,
        connection: Option<Value>,
    },
}

/// An operation, ready to run.
pub(super) struct Job {
    pub(super) index: usize,
    pub(super) name: OpName,
    pub(super) addr: InstanceAddr,
    pub(super) work: Work,
    pub(super) key: Arc<str>,
    pub(super) resumed: Option<Json>,
    pub(super) client: clients::Pending,
    /// The record that must be on disk before anything is done. `None` where the object lives in the state only: there is nothing to be found again.
    pub(super) intent: Option<Durable>,
    /// Whether the journal knows of it: checkpoints are recorded then.
    pub(super) journalled: bool,
    pub(super) deadline: Duration,
    pub(super) mask: Arc<Mask>,
    /// The places that it holds.
    pub(super) turn: Option<Turn>,
    pub(super) shared: Arc<Shared>,
}

/// What all tasks of a run share.
pub(super) struct Shared {
    pub(super) registry: Arc<Registry>,
    pub(super) setup: Arc<Setup>,
    pub(super) retry: RetryPolicy,
    pub(super) reporter: Reporter,
    pub(super) messages: mpsc::UnboundedSender<Message>,
    pub(super) stop: CancellationToken,
    /// The journal can't be written: nothing more may be begun.
    pub(super) broken: AtomicBool,
    pub(super) retries: AtomicU32,
    /// The ephemeral resources that are open.
    pub(super) open: Mutex<Vec<Open>>,
    /// The ids of the objects that go in this run.
    pub(super) going: Arc<HashSet<String>>,
}

/// What came of an operation.
pub(super) struct Ended {
    pub(super) index: usize,
    /// The object or the reading; `None` where the object is gone, as it should be.
    pub(super) result: Result<Option<Value>, Stopped>,
    /// The last that the provider said exists.
    pub(super) checkpoint: Option<Json>,
    /// Its places: given back once what came of it is recorded.
    pub(super) turn: Option<Turn>,
}

/// The provider's way to the run.
struct OpRun {
    index: usize,
    name: OpName,
    journalled: bool,
    mask: Arc<Mask>,
    shared: Arc<Shared>,
    checkpoint: Mutex<Option<Json>>,
}

impl OpRun {
    /// Has the loop record something; returns once it is on disk.
    async fn record(&self, news: News) -> Result<(), Fault> {
        let (reply, answer) = oneshot::channel();
        let ended = || Fault::permanent("the run has ended");
        self.shared.messages.send(Message { op: self.index, news, reply }).map_err(|_| ended())?;
        self.shared.durable(answer.await.map_err(|_| ended())??).await
    }

    fn last(&self) -> Option<Json> {
        self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    async fn durable(&self, durable: Durable) -> Result<(), Fault> {
        durable.await.map_err(|e| {
            self.broken.store(true, Ordering::Relaxed);
            not_durable(&e)
        })
    }
}

impl Run for OpRun {
    fn progress(&self, step: &str) {
        let step = self.mask.hide(step);
        self.shared.reporter.say(EventKind::Progress { op: self.name.clone(), step });
    }

    fn output(&self, stream: Stream, line: &str) {
        let (stream, line) = (stream_name(stream), self.mask.hide(line));
        self.shared.reporter.say(EventKind::Output { op: self.name.clone(), stream, line });
    }

    fn checkpoint(&self, state: Json) -> BoxFuture<'_, Result<(), Fault>> {
        async move {
            *self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(state.clone());
            if self.journalled { self.record(News::Checkpoint(state)).await } else { Ok(()) }
        }
        .boxed()
    }
}

impl Job {
    pub(super) async fn run(mut self) -> Ended {
        let run = Arc::new(OpRun {
            index: self.index,
            name: self.name.clone(),
            journalled: self.journalled,
            mask: self.mask.clone(),
            shared: self.shared.clone(),
            checkpoint: Mutex::new(None),
        });
        let intent = self.intent.take();
        let result = self.perform(&run, intent).await;
        Ended { index: self.index, result, checkpoint: run.last(), turn: self.turn.take() }
    }

    async fn perform(&self, run: &Arc<OpRun>, intent: Option<Durable>) -> Result<Option<Value>, Stopped> {
        let not_begun = |fault: Fault| Stopped::not_begun(Failure::of_fault(&fault, &self.mask));
        if let Some(intent) = intent {
            self.shared.durable(intent).await.map_err(not_begun)?;
        }
        if let Work::Provision { provisioner, config, connection } = &self.work {
            let step = |_, cancel| {
                let run: Arc<dyn Run> = run.clone();
                let ctx =
                    StepContext { setup: self.shared.setup.clone(), run, addr: self.addr.clone(), cancel };
                provisioner.run(ctx, config, connection.as_ref())
            };
            return self.call(step).await.map(|()| None);
        }
        let client = self.client.clone().await?;
        let ty = &*self.addr.resource.ty;
        let unknown = || Stopped::not_begun(Failure::new(format!("there is no type {ty}")));
        if let Work::Open { config } = &self.work {
            let resource = self.shared.registry.ephemeral(ty).ok_or_else(unknown)?;
            let opened =
                self.call(|n, stop| resource.open(self.context(&client, run, n, stop), config)).await?;
            let ctx = self.context(&client, run, 1, CancellationToken::new());
            let (open, value) =
                Open::keep(self.shared.registry.clone(), ctx, opened, self.shared.reporter.clone());
            self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).push(open);
            return Ok(Some(value));
        }
        if let Work::Read { config } = &self.work {
            let source = self.shared.registry.data_source(ty).ok_or_else(unknown)?;
            let value = self.call(|n, stop| source.read(self.context(&client, run, n, stop), config)).await?;
            return Ok(Some(value));
        }
        let resource = self.shared.registry.resource(ty).ok_or_else(unknown)?;
        match &self.work {
            Work::Create { planned } => self
                .call(|n, stop| resource.create(self.context(&client, run, n, stop), planned))
                .await
                .map(Some),
            Work::Update { prior, planned } => self
                .call(|n, stop| resource.update(self.context(&client, run, n, stop), prior, planned))
                .await
                .map(Some),
            Work::Delete { prior } => self.delete(resource, &client, run, prior).await,
            Work::Sweep { planned } => {
                let found =
                    self.call(|n, stop| resource.adopt(self.context(&client, run, n, stop), planned)).await?;
                let Some(found) = found else { return Ok(None) };
                run.record(News::Adopted(found.clone())).await.map_err(not_begun)?;
                self.delete(resource, &client, run, &found).await
            }
            Work::Read { .. } | Work::Open { .. } | Work::Provision { .. } => Ok(None),
        }
    }

    async fn delete(
        &self,
        resource: &dyn AnyResource,
        client: &Client,
        run: &Arc<OpRun>,
        prior: &Value,
    ) -> Result<Option<Value>, Stopped> {
        match self.call(|n, stop| resource.delete(self.context(client, run, n, stop), prior)).await {
            Ok(()) => Ok(None),
            // It is not there: that is what was wanted.
            Err(Stopped { why: Why::Gone, .. }) => Ok(None),
            Err(stopped) => Err(stopped),
        }
    }

    async fn call<'f, T: Send>(
        &'f self,
        call: impl FnMut(u32, CancellationToken) -> BoxFuture<'f, Result<T, Fault>>,
    ) -> Result<T, Stopped> {
        let rules = Rules {
            retry: &self.shared.retry,
            deadline: self.deadline,
            stop: &self.shared.stop,
            mask: &self.mask,
            turn: self.turn.as_ref(),
        };
        attempt(&rules, call, |retry| {
            self.shared.retries.fetch_add(1, Ordering::Relaxed);
            self.shared.reporter.throttled(&retry);
            self.shared.reporter.say(EventKind::OperationRetry {
                op: self.name.clone(),
                attempt: retry.attempt,
                after: millis(retry.wait),
                error: retry.failure,
            });
        })
        .await
    }

    fn context(
        &self,
        client: &Client,
        run: &Arc<OpRun>,
        attempt: u32,
        cancel: CancellationToken,
    ) -> AnyContext {
        if attempt > 1 {
            self.shared.reporter.say(EventKind::OperationStarted { op: self.name.clone(), attempt });
        }
        AnyContext {
            client: client.clone(),
            run: run.clone(),
            addr: self.addr.clone(),
            key: self.key.clone(),
            // What this run has seen of it is newer than what an earlier one has.
            resumed: run.last().or_else(|| self.resumed.clone()),
            only_looks: false,
            cancel,
            going: self.shared.going.clone(),
        }
    }
}
