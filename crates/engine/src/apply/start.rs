//! The first half of an operation: its values, its places, its intent, its task.

use std::sync::Arc;
use std::time::Duration;

use grappe_graph::{ReadyQueue, Verdict};
use grappe_plan::{ObjectRef, OpAction, Operation};
use grappe_provider::AnyResource;
use grappe_state::{Action, Change, Durable, Pending, Record, Subject};
use grappe_value::{Value, wire};
use tokio::time::Instant;

use super::job::{Job, Work};
use super::{Ready, Run, Running, books};
use crate::event::{EventKind, OpName, Verb};
use crate::limits::Call;
use crate::mask::Mask;
use crate::pools::{Name, Seats, Turn};
use crate::resolve::Resolve;
use crate::{Engine, Failure, clients};

impl<R: Resolve> Run<'_, R> {
    /// The next operation that may start, its places taken.
    pub(super) fn next(&mut self, queue: &mut ReadyQueue) -> Option<usize> {
        queue.next(|n| {
            if !self.ready.contains_key(&n) {
                let ready = self.prepare(n);
                self.ready.insert(n, ready);
            }
            // One that can't be prepared starts, and fails.
            let Some(Ok(ready)) = self.ready.get_mut(&n) else { return Verdict::Start };
            let Some(seats) = &ready.seats else { return Verdict::Start };
            match self.engine.pools.take(seats) {
                Ok(turn) => {
                    ready.turn = Some(turn);
                    Verdict::Start
                }
                Err(lane) => Verdict::Wait(lane),
            }
        })
    }

    fn prepare(&mut self, n: usize) -> Result<Ready, Failure> {
        let op = &self.plan.operations[n];
        let planned = match op.action {
            OpAction::Join | OpAction::Forget | OpAction::Delete { .. } => op.planned.clone(),
            _ => self.resolver.finalize(op).map_err(Failure::of_diagnostics)?,
        };
        let seats = self.seats(op, planned.as_ref());
        Ok(Ready { prior: op.prior.clone(), planned, seats, turn: None })
    }

    /// The places that an operation needs; none where it does nothing.
    fn seats(&self, op: &Operation, planned: Option<&Value>) -> Option<Seats> {
        let Engine { registry, pools, limits, .. } = self.engine;
        let of_type = &*op.addr.resource.ty;
        let (provider, ty, changes) = match &op.action {
            OpAction::Create { .. } | OpAction::Update | OpAction::Delete { .. } => {
                (Some(&op.provider), of_type, true)
            }
            OpAction::Read | OpAction::Open => (Some(&op.provider), of_type, false),
            OpAction::Provision(step) => (None, &*step.ty, true),
            OpAction::Record | OpAction::Forget | OpAction::Join => return None,
        };
        let object = planned.or(op.prior.as_ref()).filter(|_| provider.is_some() && changes);
        let groups = object.zip(registry.resource(of_type)).map(|(object, resource)| resource.limits(object));
        let groups = groups.unwrap_or_default();
        let call = Call { all: Name::Operations, addr: &op.addr, provider, ty, changes, groups };
        Some(limits.seats(pools, registry, call))
    }

    pub(super) fn start(&mut self, n: usize, queue: &mut ReadyQueue) {
        let op = &self.plan.operations[n];
        let name = OpName::of(op);
        let ready = self.ready.remove(&n);
        if Verb::of(&op.action).is_shown() {
            self.reporter.say(EventKind::OperationStarted { op: name.clone(), attempt: 1 });
        }
        let subject = Subject { addr: op.addr.clone(), deposed: None, key: String::new() };
        let mut running =
            Running { name, start: Instant::now(), prior: None, planned: None, subject, journalled: false };
        let ready = match ready {
            Some(Ok(ready)) => ready,
            Some(Err(failure)) => {
                self.running.insert(n, running);
                return self.failed(n, failure, queue);
            }
            None => return,
        };
        let turn = ready.turn;
        running.prior = ready.prior;
        running.planned = ready.planned;
        let started = match op.action {
            OpAction::Join => Ok((None, None)),
            OpAction::Record | OpAction::Forget => {
                self.write_down(op, &mut running).map(|recorded| (None, Some(recorded)))
            }
            _ => self.job(n, op, &mut running, turn).map(|job| (Some(job), None)),
        };
        self.running.insert(n, running);
        match started {
            Ok((Some(job), _)) => {
                let task = self.tasks.spawn(job.run());
                self.tasks_by_id.insert(task.id(), n);
            }
            Ok((None, recorded)) => {
                let value = self.running.get(&n).and_then(|r| r.planned.clone());
                self.done(n, value.as_ref(), recorded, queue);
            }
            Err(failure) => self.failed(n, failure, queue),
        }
    }

    /// Writes to the state only.
    fn write_down(&mut self, op: &Operation, running: &mut Running) -> Result<Durable, Failure> {
        let deposed = self.deposed_key(op)?;
        let change = match (&op.action, &running.planned) {
            (OpAction::Forget, _) => Change::Remove { deposed },
            (_, Some(value)) => {
                let resource = self.resource(op)?;
                let stored = self.session.state().get(&op.addr, deposed.as_deref());
                let object = books::object(op, resource, value, stored, stored.is_some_and(|o| o.tainted));
                Change::Put { deposed, object: Box::new(object) }
            }
            (_, None) => return Err(incomplete(op, "what to record")),
        };
        self.soon(Record::Done { of: running.subject.clone(), changes: vec![change] })
    }

    /// The task for an operation, its intent journalled.
    fn job(
        &mut self,
        n: usize,
        op: &Operation,
        running: &mut Running,
        turn: Option<Turn>,
    ) -> Result<Job, Failure> {
        let (client, configured) = self.client(op)?;
        let deposed = self.deposed_key(op)?;
        let stored = self.session.state().get(&op.addr, deposed.as_deref());
        let stored_key = || stored.map(|o| o.key.clone()).unwrap_or_default();
        let planned = |what| running.planned.clone().ok_or_else(|| incomplete(op, what));
        let prior = |what| running.prior.clone().ok_or_else(|| incomplete(op, what));
        let (work, key, resumed) = match &op.action {
            OpAction::Create { resume, .. } => (
                Work::Create { planned: planned("what to create")? },
                resume.as_ref().map_or_else(|| uuid::Uuid::new_v4().to_string(), |p| p.key.clone()),
                resume.as_ref().and_then(|p| p.checkpoint_clear().cloned()),
            ),
            OpAction::Provision(step) => {
                let provisioner = self.engine.registry.provisioner(&step.ty).cloned();
                let provisioner = provisioner
                    .ok_or_else(|| Failure::new(format!("there is no provisioner {}", step.ty)))?;
                let values = planned("what to do the step with")?;
                let part = |name: &str| values.get(name).filter(|v| !v.is_null()).cloned();
                let config = part("config").ok_or_else(|| incomplete(op, "what to do the step with"))?;
                (Work::Provision { provisioner, config, connection: part("connection") }, stored_key(), None)
            }
            OpAction::Update => {
                let (prior, planned) = (prior("what exists")?, planned("what to make of it")?);
                (Work::Update { prior, planned }, stored_key(), None)
            }
            OpAction::Delete { adopt: Some(pending), .. } => (
                Work::Sweep { planned: self.left_behind(op, pending)? },
                pending.key.clone(),
                pending.checkpoint_clear().cloned(),
            ),
            OpAction::Delete { adopt: None, .. } => {
                (Work::Delete { prior: prior("what to delete")? }, stored_key(), None)
            }
            OpAction::Open => (Work::Open { config: planned("what to open")? }, String::new(), None),
            _ => (Work::Read { config: planned("what to read")? }, String::new(), None),
        };
        let timeouts = self.engine.registry.resource(&op.addr.resource.ty).map(|r| r.timeouts());
        let timeouts = timeouts.unwrap_or_default();
        let (given, of_type) = match &work {
            Work::Create { .. } => (op.timeouts.create, timeouts.create),
            Work::Update { .. } => (op.timeouts.update, timeouts.update),
            Work::Delete { .. } | Work::Sweep { .. } => (op.timeouts.delete, timeouts.delete),
            Work::Read { .. } | Work::Open { .. } => (op.timeouts.read, timeouts.read),
            // What people write there may take long: a connection has a limit of its own.
            Work::Provision { .. } => (None, Duration::from_secs(24 * 3600)),
        };
        let deadline = given.map_or(of_type, Duration::from_millis);
        running.subject = Subject { addr: op.addr.clone(), deposed, key: key.clone() };
        let intent = match &op.action {
            OpAction::Read | OpAction::Open => None,
            // What a step did is recorded when it is done: one that was cut off is done again. That those before it are done must be on disk
            // when it begins, so that they are not: this record changes nothing, and what it waits for is all that was recorded before it.
            OpAction::Provision(_) => {
                let of = running.subject.clone();
                Some(self.append(Record::Done { of, changes: Vec::new() })?)
            }
            // A sweep's intent is that of the creation: it stays until what that left is found and recorded.
            OpAction::Delete { adopt: Some(pending), .. } => {
                running.subject = pending.subject();
                running.journalled = true;
                None
            }
            _ if !self.resource(op)?.reads() => None,
            _ => {
                running.journalled = true;
                let pending = Box::new(self.pending(op, &running.subject, running.planned.as_ref())?);
                let deposes = self.deposes(op);
                let record = Record::Intent { pending, deposes };
                Some(self.append(record)?)
            }
        };
        let mask = Mask::of(running.prior.iter().chain(&running.planned).chain([&configured]));
        Ok(Job {
            index: n,
            name: running.name.clone(),
            addr: op.addr.clone(),
            work,
            key: Arc::from(key),
            resumed,
            client,
            intent,
            journalled: running.journalled,
            deadline,
            mask: Arc::new(mask),
            turn,
            shared: self.shared.clone(),
        })
    }

    pub(super) fn resource(&self, op: &Operation) -> Result<&dyn AnyResource, Failure> {
        let ty = &op.addr.resource.ty;
        self.engine.registry.resource(ty).ok_or_else(|| Failure::new(format!("there is no type {ty}")))
    }

    /// The deposed key of the object that an operation is about; `None` for the current one.
    fn deposed_key(&self, op: &Operation) -> Result<Option<String>, Failure> {
        match &op.object {
            ObjectRef::Current => Ok(None),
            ObjectRef::Deposed(key) => Ok(Some(key.to_string())),
            // Without its key, this would be about the object that took its place.
            ObjectRef::DeposedBy(by) => self
                .deposed
                .get(by)
                .cloned()
                .map(Some)
                .ok_or_else(|| incomplete(op, "which object it is about")),
        }
    }

    /// The key under which the object that is there is deposed, where the operation does that.
    pub(super) fn deposes(&mut self, op: &Operation) -> Option<String> {
        let deposes = matches!(op.action, OpAction::Create { deposes: true, .. });
        // Gone outside, or deposed by the interrupted run that this one goes on for.
        let there = self.session.state().objects.contains_key(&op.addr);
        (deposes && there).then(|| {
            let key = format!("{:08x}", rand::random::<u32>());
            self.deposed.insert(op.id, key.clone());
            key
        })
    }

    /// The client that an operation uses, and what it is made of.
    fn client(&mut self, op: &Operation) -> Result<(clients::Pending, Value), Failure> {
        let config = self
            .providers
            .get(&op.provider)
            .ok_or_else(|| incomplete(op, "how its provider is configured"))?;
        let value = if config.known() {
            config.value.clone()
        } else {
            self.resolver.provider(&op.provider).map_err(Failure::of_diagnostics)?
        };
        Ok((self.engine.clients.get(&op.provider, &value, &self.reporter), value))
    }

    pub(super) fn pending(
        &self,
        op: &Operation,
        subject: &Subject,
        planned: Option<&Value>,
    ) -> Result<Pending, Failure> {
        let resource = self.resource(op)?;
        let (action, planned) = match op.action {
            OpAction::Create { .. } => (Action::Create, planned),
            OpAction::Update => (Action::Update, planned),
            _ => (Action::Delete, None),
        };
        Ok(Pending {
            addr: subject.addr.clone(),
            deposed: subject.deposed.clone(),
            action,
            key: subject.key.clone(),
            provider: op.provider.to_string(),
            schema_version: resource.schema().version,
            planned: planned.map_or(serde_json::Value::Null, |v| wire::encode(v, resource.ty())),
            checkpoint: None,
            dependencies: op.dependencies.clone(),
            create_before_destroy: op.create_before_destroy,
            timeouts: op.timeouts,
        })
    }

    /// What an interrupted creation was to make.
    fn left_behind(&self, op: &Operation, pending: &Pending) -> Result<Value, Failure> {
        if let Some(planned) = &op.planned {
            return Ok(planned.clone());
        }
        wire::decode(&pending.planned, self.resource(op)?.ty())
            .map_err(|e| Failure::new(format!("what was to be created can't be read from the journal: {e}")))
    }
}

fn incomplete(op: &Operation, what: &str) -> Failure {
    Failure::new(format!(
        "the plan does not say {what} to {} {} (a bug in grappe)",
        op.action.verb(),
        op.addr
    ))
}
