//! What tests are made of: plans by hand, an engine over a world, and a state in a folder.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grappe_diag::Diagnostics;
use grappe_engine::{
    Applied, Cancel, Engine, Event, EventKind, Options, Resolve, RetryPolicy, RunError, Sink,
};
use grappe_plan::{
    ObjectRef, OpAction, OpId, Operation, Plan, PlanMode, ProviderConfig, ProviderKey, Reason, StateStamp,
};
use grappe_provider::{Registry, Setup};
use grappe_state::{Folder, Sealer, Session, State, Store};
use grappe_value::addr::InstanceAddr;
use grappe_value::{Type, Value, wire};

use crate::world::{Act, Shared, provider};

pub(crate) fn addr(text: &str) -> InstanceAddr {
    text.parse().unwrap()
}

/// What a `t_*` object is planned as: its name is its address without the type.
pub(crate) fn thing(at: &str) -> Value {
    let name = at.split_once('.').unwrap().1;
    Value::object([
        ("name", Value::from(name)),
        ("size", 1i64.into()),
        ("secs", 0i64.into()),
        ("group", Value::null(Type::String)),
        ("password", Value::null(Type::String)),
        ("id", Value::unknown_not_null(Type::String)),
    ])
}

/// A plan by hand: operations are named by their address, with the verb before it where that is not a create.
#[derive(Default)]
pub(crate) struct Plans {
    pub(crate) operations: Vec<Operation>,
    pub(crate) mode: PlanMode,
    pub(crate) names: BTreeMap<String, OpId>,
    pub(crate) broken_provider: bool,
}

impl Plans {
    pub(crate) fn op(&mut self, name: &str, action: OpAction, requires: &[&str]) -> &mut Operation {
        let id = OpId(self.operations.len() as u32);
        let at = name.rsplit(' ').next().unwrap();
        let requires: Vec<OpId> = requires.iter().map(|r| self.names[*r]).collect();
        let of = |id: &OpId| self.operations[id.index()].addr.clone();
        let dependencies = requires.iter().map(of).filter(|a| *a != addr(at)).collect();
        self.names.insert(name.to_owned(), id);
        self.operations.push(Operation {
            id,
            addr: addr(at),
            object: ObjectRef::Current,
            action,
            provider: ProviderKey::root("test"),
            prior: None,
            planned: Some(thing(at)),
            requires,
            dependencies,
            estimate: Duration::from_secs(1),
            create_before_destroy: false,
            steps: 0,
            lenient: false,
            timeouts: Default::default(),
        });
        self.operations.last_mut().unwrap()
    }

    pub(crate) fn create(&mut self, at: &str, requires: &[&str]) -> &mut Operation {
        self.op(at, OpAction::Create { resume: None, deposes: false }, requires)
    }

    /// One that takes this many seconds.
    pub(crate) fn timed(&mut self, at: &str, secs: i64, requires: &[&str]) -> &mut Operation {
        let op = self.create(at, requires);
        set(op, "secs", secs.into());
        op.estimate = Duration::from_secs(secs.unsigned_abs());
        op
    }

    pub(crate) fn delete(&mut self, at: &str, prior: Value, requires: &[&str]) -> &mut Operation {
        let op = self.op(
            &format!("delete {at}"),
            OpAction::Delete { reason: Reason::NotInConfiguration, adopt: None },
            requires,
        );
        op.planned = None;
        op.prior = Some(prior);
        op
    }

    pub(crate) fn plan(&self, base: &State) -> Plan {
        Plan {
            mode: self.mode,
            changes: Vec::new(),
            moves: Vec::new(),
            imports: Vec::new(),
            operations: self.operations.clone(),
            outputs: BTreeMap::new(),
            drift: Vec::new(),
            providers: (self.operations.iter().map(|op| op.provider.clone()).collect::<BTreeSet<_>>())
                .into_iter()
                .chain([ProviderKey::root("test")])
                .map(|key| ProviderConfig {
                    key,
                    value: Value::object([("broken", Value::from(self.broken_provider))]),
                })
                .collect(),
            variables: BTreeMap::new(),
            given_again: Vec::new(),
            data: Vec::new(),
            warnings: Diagnostics::new(),
            base: StateStamp { lineage: base.lineage.clone(), serial: base.serial },
            timestamp: None,
            workspace: "default".into(),
            targets: Vec::new(),
            excludes: Vec::new(),
            open: Vec::new(),
            open_outputs: Vec::new(),
            open_replace: Vec::new(),
        }
    }
}

pub(crate) fn set(op: &mut Operation, name: &str, value: Value) {
    op.planned = op.planned.take().map(|v| v.with_attr(name, value));
}

/// All is known already.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) outputs: BTreeMap<Arc<str>, (Value, bool)>,
    pub(crate) refuse: Option<&'static str>,
    pub(crate) broken_postcondition: Option<&'static str>,
}

impl Resolve for Known {
    fn finalize(&mut self, op: &Operation) -> Result<Option<Value>, Diagnostics> {
        if self.refuse.is_some_and(|at| op.addr == addr(at)) {
            return Err(grappe_diag::Diagnostic::error("A promise was broken").into());
        }
        Ok(op.planned.clone())
    }
    fn provider(&mut self, _: &ProviderKey) -> Result<Value, Diagnostics> {
        Ok(Value::NULL)
    }
    fn done(&mut self, op: &Operation, _: Option<&Value>) -> Result<(), Diagnostics> {
        if self.broken_postcondition.is_some_and(|at| op.addr == addr(at)) {
            return Err(grappe_diag::Diagnostic::error("Postcondition failed").into());
        }
        Ok(())
    }
    fn outputs(&mut self) -> Result<BTreeMap<Arc<str>, (Value, bool)>, Diagnostics> {
        Ok(std::mem::take(&mut self.outputs))
    }
}

/// A world, a state in a folder, and an engine between them.
pub(crate) struct Bench {
    pub(crate) world: Shared,
    pub(crate) store: Store,
    pub(crate) options: Options,
    pub(crate) cancel: Cancel,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) on_event: Option<Sink>,
    /// The providers; only the world's where `None`.
    pub(crate) registry: Option<Arc<Registry>>,
}

impl Bench {
    pub(crate) fn new(dir: &Path) -> Self {
        let sealer = Arc::new(Sealer::from_own_file(dir.join("key")));
        let bench = Bench {
            world: Shared::default(),
            store: Store::with_sealer(dir.join("state"), sealer),
            options: Options {
                retry: RetryPolicy { jitter: 0.0, ..RetryPolicy::default() },
                read_retry: RetryPolicy { jitter: 0.0, ..RetryPolicy::of_reads() },
                ..Options::default()
            },
            cancel: Cancel::default(),
            events: Arc::default(),
            on_event: None,
            registry: None,
        };
        bench.world.lock().unwrap().journal = Some(bench.journal_path());
        bench
    }

    pub(crate) fn snapshot_path(&self) -> std::path::PathBuf {
        Folder::new(self.store.dir().unwrap()).snapshot_path()
    }

    pub(crate) fn journal_path(&self) -> std::path::PathBuf {
        Folder::new(self.store.dir().unwrap()).journal_path()
    }

    pub(crate) fn script(&self, name: &str, acts: impl IntoIterator<Item = Act>) {
        self.world.lock().unwrap().script.insert(name.to_owned(), VecDeque::from_iter(acts));
    }

    pub(crate) fn engine(&self) -> Engine {
        let (events, on_event) = (self.events.clone(), self.on_event.clone());
        let sink: Sink = Arc::new(move |event: Event| {
            if let Some(also) = &on_event {
                also(event.clone());
            }
            events.lock().unwrap().push(event);
        });
        let own = || Arc::new(Registry::default().with(provider(&self.world)));
        let registry = self.registry.clone().unwrap_or_else(own);
        let setup = Setup { plan_dir: ".".into(), data_dir: ".".into() };
        Engine::new(registry, setup, self.options.clone(), self.cancel.clone(), sink)
    }

    pub(crate) fn session(&self) -> Session {
        self.store.session(self.store.lock("apply").unwrap()).unwrap()
    }

    pub(crate) async fn apply(&self, plans: &Plans) -> Applied {
        self.try_apply(plans, Known::default()).await.unwrap()
    }

    pub(crate) async fn try_apply(&self, plans: &Plans, known: Known) -> Result<Applied, RunError> {
        let session = self.session();
        let plan = plans.plan(session.state());
        self.world.lock().unwrap().start = Some(tokio::time::Instant::now());
        let applied = self.engine().apply(&plan, known, session).await;
        assert_eq!(self.world.lock().unwrap().unrecorded, [""; 0], "done before it was recorded");
        applied
    }

    pub(crate) fn state(&self) -> State {
        self.store.load().unwrap().state
    }

    /// What the state remembers of an object.
    pub(crate) fn stored(&self, at: &str) -> Value {
        let state = self.state();
        value_of(&state.objects[&addr(at)])
    }

    /// How many events are like this.
    pub(crate) fn count(&self, like: impl Fn(&EventKind) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|e| like(&e.kind)).count()
    }
}

pub(crate) fn value_of(object: &grappe_state::Object) -> Value {
    let thing = thing("t.x").as_entries().unwrap().keys().cloned().collect::<Vec<_>>();
    let types = thing.into_iter().chain(["token_wo".into()]).map(|name| {
        let ty = if ["size", "secs"].contains(&&*name) { Type::Number } else { Type::String };
        (name, ty)
    });
    wire::decode(&object.attributes, &Type::object(types)).unwrap()
}

/// The names of the things that exist, sorted.
pub(crate) fn names(world: &Shared) -> Vec<String> {
    let world = world.lock().unwrap();
    let mut names: Vec<String> = world.things.values().map(|t| t.name.clone()).collect();
    names.sort();
    names
}
