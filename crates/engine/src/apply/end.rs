//! The second half of an operation, and the end of the run.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use grappe_diag::Diagnostic;
use grappe_graph::{Graph, ReadyQueue, critical_path};
use grappe_plan::{Action, OpAction, Plan, PlanMode};
use grappe_provider::Fault;
use grappe_state::{Change, Durable, OutputValue, Pending, Record, Session, Subject};
use grappe_value::{Value, wire};
use tokio::task::{Id, JoinError};

use super::job::{Ended, Message, News};
use super::{Run, Running, books};
use crate::attempt::{Stopped, Why};
use crate::event::{EventKind, OpName, Verb};
use crate::report::millis;
use crate::resolve::Resolve;
use crate::summary::{Failed, Step, Summary};
use crate::{Failure, RunError};

impl<R: Resolve> Run<'_, R> {
    /// Records what a task asks for, and tells it when that is on disk.
    pub(super) fn record(&mut self, message: Message) {
        let Message { op, news, reply } = message;
        let answer = match news {
            News::Checkpoint(json) => self.checkpoint(op, json),
            News::Adopted(value) => self.adopted(op, &value),
        };
        let answer = answer.map_err(|failure| Fault::permanent(failure.summary));
        // Where nobody waits any more, it is recorded all the same.
        let _ = reply.send(answer);
    }

    fn checkpoint(&mut self, n: usize, json: serde_json::Value) -> Result<Durable, Failure> {
        let running = self.running.get(&n).ok_or_else(|| Failure::new("it is not running any more"))?;
        let resource = self.engine.registry.resource(&running.subject.addr.resource.ty);
        let values = running.prior.iter().chain(&running.planned);
        let state = books::checkpoint(json, resource, values, self.session.withholds().is_some());
        let of = running.subject.clone();
        self.append(Record::Checkpoint { of, state })
    }

    /// What an interrupted creation left becomes a deposed object, which is about to be deleted: from here on the state knows of it.
    fn adopted(&mut self, n: usize, value: &Value) -> Result<Durable, Failure> {
        let op = &self.plan.operations[n];
        let subject = match self.running.get(&n) {
            Some(running) => running.subject.clone(),
            None => return Err(Failure::new("it is not running any more")),
        };
        let deposed = format!("{:08x}", rand::random::<u32>());
        let mut object = books::object(op, self.resource(op)?, value, None, true);
        object.key.clone_from(&subject.key);
        let changes = vec![Change::Put { deposed: Some(deposed.clone()), object: Box::new(object) }];
        let now = Subject { deposed: Some(deposed), ..subject.clone() };
        let pending: Pending = self.pending(op, &now, None)?;
        self.note(Record::Done { of: subject, changes })?;
        if let Some(running) = self.running.get_mut(&n) {
            running.subject = now;
            running.prior = Some(value.clone());
        }
        self.append(Record::Intent { pending: Box::new(pending), deposes: None })
    }

    pub(super) fn ended(&mut self, ended: Result<(Id, Ended), JoinError>, queue: &mut ReadyQueue) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, ended),
            // Providers' panics are caught where they are called: this is one of ours.
            Err(error) => {
                let Some(index) = self.tasks_by_id.get(&error.id()).copied() else { return };
                let failure = Failure::new(format!("the operation ended with a bug in grappe: {error}"));
                let result = Err(Stopped { failure, why: Why::Uncertain });
                (error.id(), Ended { index, result, checkpoint: None, turn: None })
            }
        };
        self.tasks_by_id.remove(&id);
        let n = ended.index;
        let mut ended = self.let_pass(ended);
        let _until_it_is_told = ended.turn.take();
        let recorded = match &ended.result {
            Ok(value) => self.worked(n, value.as_ref()),
            Err(stopped) => self.stopped(n, stopped, ended.checkpoint.as_ref()).map(|()| None),
        };
        let failure = match (ended.result, recorded) {
            (Ok(value), Ok(recorded)) => return self.done(n, value.as_ref(), recorded, queue),
            (Ok(_), Err(failure)) => failure,
            (Err(stopped), _) => stopped.failure,
        };
        let op = &self.plan.operations[n];
        if op.lenient {
            self.summary.warnings.push(
                Diagnostic::warning("Data source of a check block could not be read")
                    .detail(failure.summary)
                    .address(&op.addr),
            );
            return self.done(n, None, None, queue);
        }
        self.failed(n, failure, queue);
    }

    /// A step that may fail and did: that is said, and all goes on.
    fn let_pass(&mut self, ended: Ended) -> Ended {
        match (&self.plan.operations[ended.index].action, ended.result) {
            (OpAction::Provision(step), Err(stopped))
                if step.continues && !self.shared.stop.is_cancelled() =>
            {
                let op = &self.plan.operations[ended.index];
                self.summary.warnings.push(
                    Diagnostic::warning(format!("A {} step failed, and on_failure lets it pass", step.ty))
                        .detail([vec![stopped.failure.summary], stopped.failure.details].concat().join("\n"))
                        .address(&op.addr),
                );
                Ended { result: Ok(None), ..ended }
            }
            (_, result) => Ended { result, ..ended },
        }
    }

    /// Records what an operation made. `None` where that is nothing.
    fn worked(&mut self, n: usize, value: Option<&Value>) -> Result<Option<Durable>, Failure> {
        let op = &self.plan.operations[n];
        let Some(Running { subject, start, journalled, .. }) = self.running.get(&n) else { return Ok(None) };
        let (of, elapsed, journalled) = (subject.clone(), start.elapsed(), *journalled);
        let deposed = of.deposed.clone();
        let stored = self.session.state().get(&of.addr, deposed.as_deref());
        let changes = match (&op.action, value) {
            (OpAction::Create { .. }, Some(value)) => {
                let mut object = books::object(op, self.resource(op)?, value, None, false);
                object.key.clone_from(&of.key);
                object.duration_ms = Some(millis(elapsed));
                let put = Change::Put { deposed: None, object: Box::new(object) };
                // Without an intent, the one that is there is deposed now, in the same breath.
                let depose = if journalled { None } else { self.deposes(op).map(Change::Depose) };
                depose.into_iter().chain([put]).collect()
            }
            (OpAction::Update, Some(value)) => {
                let object = books::object(op, self.resource(op)?, value, stored, false);
                vec![Change::Put { deposed, object: Box::new(object) }]
            }
            (OpAction::Provision(step), _) => match stored {
                Some(stored) => {
                    let object = Box::new(books::after_step(step, stored));
                    vec![Change::Put { deposed, object }]
                }
                None => return Ok(None),
            },
            (OpAction::Delete { .. }, _) => vec![Change::Remove { deposed }],
            _ => return Ok(None),
        };
        // A sweep that found nothing takes nothing out.
        let swept = matches!(op.action, OpAction::Delete { adopt: Some(_), .. }) && of.deposed.is_none();
        let changes = if swept { Vec::new() } else { changes };
        self.soon(Record::Done { of, changes }).map(Some)
    }

    /// Records what an operation that did not work leaves.
    fn stopped(
        &mut self,
        n: usize,
        stopped: &Stopped,
        checkpoint: Option<&serde_json::Value>,
    ) -> Result<(), Failure> {
        let op = &self.plan.operations[n];
        let Some(running) = self.running.get(&n).filter(|r| r.journalled) else { return Ok(()) };
        let of = running.subject.clone();
        if matches!(op.action, OpAction::Delete { adopt: Some(_), .. }) && of.deposed.is_none() {
            // It was not found out whether anything is there: the creation's intent stays.
            return Ok(());
        }
        let left = books::Left {
            op,
            resource: self.resource(op)?,
            why: stopped.why,
            // What an earlier run saw counts where this one saw nothing.
            checkpoint: checkpoint.or_else(|| match &op.action {
                OpAction::Create { resume: Some(pending), .. } => pending.checkpoint_clear(),
                _ => None,
            }),
            prior: running.prior.as_ref(),
            planned: running.planned.as_ref(),
            stored: self.session.state().get(&of.addr, of.deposed.as_deref()),
            subject: &of,
            deposed: self.deposed.get(&op.id),
        };
        match left.changes() {
            Some(changes) => self.note(Record::Failed { of, changes }),
            None => Ok(()),
        }
    }

    /// An operation is over and worked. That is said when it is recorded.
    pub(super) fn done(
        &mut self,
        n: usize,
        value: Option<&Value>,
        recorded: Option<Durable>,
        queue: &mut ReadyQueue,
    ) {
        let op = &self.plan.operations[n];
        if let Err(found) = self.resolver.done(op, value) {
            // A postcondition: the object stays as it is, what depends on it must not go on.
            return self.failed(n, Failure::of_diagnostics(found), queue);
        }
        let Some(running) = self.over(n) else { return };
        let verb = Verb::of(&op.action);
        self.summary.counts.add(verb);
        queue.done(n);
        if verb.is_shown() {
            let (elapsed, left) = (millis(self.durations[n]), self.left(queue));
            let done = EventKind::OperationDone { op: running.name, elapsed, left };
            self.reporter.say_when(recorded, done);
        }
    }

    /// How long the rest will probably take, in milliseconds.
    fn left(&self, queue: &ReadyQueue) -> u64 {
        millis(queue.remaining(self.running.iter().map(|(n, running)| (*n, running.start.elapsed()))))
    }

    /// An operation is over and failed: what depends on it is skipped.
    pub(super) fn failed(&mut self, n: usize, failure: Failure, queue: &mut ReadyQueue) {
        let Some(running) = self.over(n) else { return };
        let because = running.subject.addr.to_string();
        let skipped = queue.failed(n);
        self.reporter.say(EventKind::OperationFailed {
            op: running.name.clone(),
            elapsed: millis(self.durations[n]),
            left: self.left(queue),
            error: failure.clone(),
        });
        self.summary.failed += 1;
        self.summary.errors.push(Failed { op: Some(running.name), error: failure });
        for skipped in skipped {
            self.settled[skipped] = true;
            let op = &self.plan.operations[skipped];
            if Verb::of(&op.action).is_shown() {
                self.summary.skipped += 1;
                let op = OpName::of(op);
                self.reporter.say(EventKind::Skipped { op, because: because.clone() });
            }
        }
    }

    /// Gives back what an operation held.
    fn over(&mut self, n: usize) -> Option<Running> {
        let running = self.running.remove(&n)?;
        self.durations[n] = running.start.elapsed();
        self.settled[n] = true;
        Some(running)
    }

    pub(super) async fn finish(mut self, graph: &Graph) -> Result<(Summary, Session), RunError> {
        if let Err(failure) = self.outputs() {
            self.summary.errors.push(Failed { op: None, error: failure });
        }
        let open = std::mem::take(&mut *self.shared.open.lock().unwrap_or_else(PoisonError::into_inner));
        crate::open::close(open).await;
        let applied = self.reporter.elapsed();
        self.summary.phases.push(("apply", applied));
        self.summary.retries = self.shared.retries.load(Ordering::Relaxed) as usize;
        self.summary.critical_path = steps(self.plan, graph, &self.durations);
        let mut session = self.session;
        let seen = self.engine.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        session.saw(seen.iter().map(|(addr, at)| (addr, *at)));
        let (session, folded) = tokio::task::spawn_blocking(move || {
            let folded = session.fold();
            (session, folded)
        })
        .await
        .unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
        if let Err(error) = &folded {
            let error = Failure::of_state(error);
            self.summary.errors.push(Failed { op: None, error });
        }
        self.reporter.settled().await;
        self.summary.warnings.extend(self.resolver.checks());
        self.summary.wall = self.reporter.elapsed();
        self.summary.phases.push(("snapshot", self.summary.wall - applied));
        self.reporter.say(EventKind::RunFinished { summary: Box::new(self.summary.clone()) });
        folded?;
        Ok((self.summary, session))
    }

    /// Stores the outputs, as far as they are known.
    fn outputs(&mut self) -> Result<(), Failure> {
        let whole = self.summary.is_success();
        let mut outputs = self.session.state().outputs.clone();
        let mut result = Ok(());
        match self.resolver.outputs() {
            Ok(values) => {
                for (name, (value, sensitive)) in values {
                    if self.plan.outputs.contains_key(&name) && value.is_wholly_known() {
                        let ty = value.ty();
                        let value = if sensitive { value.sensitive() } else { value };
                        let value = wire::encode(&value, &ty);
                        outputs.insert(name.to_string(), OutputValue { value, ty, sensitive });
                    }
                }
            }
            // After a failure it is no news that something is missing.
            Err(found) if whole => result = Err(Failure::of_diagnostics(found)),
            Err(_) => {}
        }
        let gone = |name: &String| self.plan.outputs.get(&**name).is_some_and(|o| o.action == Action::Delete);
        let nothing_left = self.plan.mode == PlanMode::Destroy && self.session.state().objects.is_empty();
        if whole {
            outputs.retain(|name, _| !gone(name) && !nothing_left);
        }
        if outputs != self.session.state().outputs {
            self.note(Record::Outputs(outputs))?;
        }
        result
    }
}

/// The chain of operations that decided how long the run took.
fn steps(plan: &Plan, graph: &Graph, durations: &[Duration]) -> Vec<Step> {
    let Ok(path) = critical_path(graph, durations) else { return Vec::new() };
    path.nodes
        .into_iter()
        .filter(|n| !durations[*n].is_zero() && Verb::of(&plan.operations[*n].action).is_shown())
        .map(|n| Step { op: OpName::of(&plan.operations[n]), elapsed: millis(durations[n]) })
        .collect()
}
