//! A world in memory: plans are made and applied in it, in any order that they allow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use grappe_diag::Diagnostics;
use grappe_lang::{Config, MemoryFiles};
use grappe_plan::{
    Action, DataResult, Import, Input, Left, ObjectRef, OpAction, OpId, Operation, Options, Outcome, Plan,
    PlanMode, Reading, Reason, Resolver, Surroundings, Waves, plan,
};
use grappe_provider::Registry;
use grappe_state::{Ledger, Moved, Object, OutputValue, Pending, Record, State};
use grappe_value::addr::{InstanceAddr, InstanceKey, Target};
use grappe_value::{Type, Value, wire};

use crate::types::registry;

/// Worlds up to this size are looked through at each operation.
const SMALL: usize = 200;

/// The world, its state, and the plan files of the day.
pub(crate) struct Lab {
    pub(crate) state: State,
    /// What really exists, where it is something else than the state remembers.
    pub(crate) real: BTreeMap<InstanceAddr, Option<Value>>,
    pub(crate) pending: Vec<Pending>,
    /// The keys of interrupted creations that left something.
    pub(crate) left: BTreeSet<String>,
    pub(crate) options: Options,
    pub(crate) variables: BTreeMap<Arc<str>, Value>,
    pub(crate) registry: Registry,
    /// How long the readings of the last plan might take, by address.
    pub(crate) deadlines: BTreeMap<String, Option<std::time::Duration>>,
    /// How often the planner asked for readings, and how many data sources it read.
    pub(crate) waves: usize,
    pub(crate) looked_up: Vec<String>,
    files: MemoryFiles,
    made: u64,
    /// While a plan is applied: the state it began with, and what it deletes to create it anew.
    before: State,
    replaced: BTreeSet<InstanceAddr>,
    /// How many ephemeral resources were opened.
    opens: u64,
    /// The steps that were done, with what.
    pub(crate) steps: Vec<String>,
    /// What `check` blocks said at last.
    checked: String,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Lab {
            state: State { lineage: "lab".into(), ..State::default() },
            real: BTreeMap::new(),
            pending: Vec::new(),
            left: BTreeSet::new(),
            options: Options::default(),
            variables: BTreeMap::new(),
            registry: registry(),
            deadlines: BTreeMap::new(),
            waves: 0,
            looked_up: Vec::new(),
            files: MemoryFiles::new(),
            made: 0,
            before: State::default(),
            replaced: BTreeSet::new(),
            opens: 0,
            steps: Vec::new(),
            checked: String::new(),
        }
    }

    /// The main file.
    pub(crate) fn main(&mut self, text: &str) -> &mut Self {
        self.file("main.tf", text)
    }

    pub(crate) fn file(&mut self, path: &str, text: &str) -> &mut Self {
        self.files = std::mem::take(&mut self.files).with(path, text);
        self
    }

    pub(crate) fn target(&mut self, targets: &[&str]) -> &mut Self {
        self.options.targets = targets.iter().map(|t| t.parse::<Target>().unwrap()).collect();
        self
    }

    pub(crate) fn config(&self) -> Config {
        let (config, _, found) = grappe_lang::load(&self.files, Path::new(""));
        assert!(!found.has_errors(), "the configuration does not load: {found}");
        config.unwrap()
    }

    /// What `validate` says.
    pub(crate) fn invalid(&self) -> String {
        grappe_plan::validate(&self.config(), &self.registry, &self.files).to_string()
    }

    pub(crate) fn try_plan(&mut self) -> Result<Plan, Diagnostics> {
        let config = self.config();
        self.plan_of(&config)
    }

    pub(crate) fn plan_of(&mut self, config: &Config) -> Result<Plan, Diagnostics> {
        let (mut refreshed, mut data_reads, mut opened) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut state, mut imported, mut left) = (self.state.clone(), BTreeMap::new(), BTreeMap::new());
        self.waves = 0;
        loop {
            let outcome = plan(&Input {
                config,
                registry: &self.registry,
                state: &state,
                refreshed: &refreshed,
                data_reads: &data_reads,
                imported: &imported,
                left: &left,
                opened: &opened,
                variables: &self.variables,
                pending: &self.pending,
                files: &self.files,
                options: &self.options,
            })?;
            let reads = match outcome {
                Outcome::Ready(plan) => return Ok(*plan),
                Outcome::NeedReads(reads) => reads,
            };
            self.waves += 1;
            assert!(self.waves < 20, "the planner keeps asking: {reads:?}");
            assert!(reads.providers.iter().all(grappe_plan::ProviderConfig::known));
            for read in reads.objects {
                self.deadlines.insert(read.addr.to_string(), read.deadline);
                assert!(reads.providers.iter().any(|p| p.key == read.provider));
                let reading = match self.real.get(&read.addr) {
                    None => Reading::Found(read.value),
                    Some(Some(value)) => Reading::Found(value.clone()),
                    Some(None) => Reading::Gone,
                };
                refreshed.insert(read.addr, reading);
            }
            for read in reads.left {
                assert!(reads.providers.iter().any(|p| p.key == read.provider));
                let found = self.left.contains(&read.pending.key);
                left.insert(read.pending.key, if found { Left::There } else { Left::Nothing });
            }
            for read in reads.imports {
                // What exists is what its block says, unless a test says otherwise.
                let value = match self.real.get(&read.addr) {
                    Some(Some(value)) => value.clone(),
                    _ => self.filled(read.planned.with_attr("id", Value::from(&*read.id))),
                };
                let provider = read.provider;
                assert!(reads.providers.iter().any(|p| p.key == provider));
                let ty = self.registry.resource(&read.addr.resource.ty).unwrap().ty();
                let object = Object {
                    provider: provider.to_string(),
                    attributes: wire::encode(&value, ty),
                    ..Object::default()
                };
                state.put(read.addr.clone(), None, object);
                let import = Import {
                    addr: read.addr.clone(),
                    id: (&*read.id).into(),
                    provider,
                    key: "k".into(),
                    value,
                };
                refreshed.insert(read.addr.clone(), Reading::NotRead);
                imported.insert(read.addr, import);
            }
            for read in reads.ephemeral {
                assert!(read.config.is_wholly_known());
                assert!(reads.providers.iter().any(|p| p.key == read.provider));
                let value = self.opened(&read.addr, &read.config);
                opened.insert(read.addr, DataResult { config: read.config, value, failed: None });
            }
            for read in reads.data {
                self.deadlines.insert(read.addr.to_string(), read.deadline);
                assert!(read.config.is_wholly_known());
                self.looked_up.push(read.addr.to_string());
                let value = looked_up(&read.config);
                // A check may look at what is not there.
                let lost = read.config.get("key").and_then(Value::as_str) == Some("lost");
                let failed = (lost && read.lenient).then(|| "it is lost".to_owned());
                data_reads.insert(read.addr, DataResult { config: read.config, value, failed });
            }
        }
    }

    pub(crate) fn plan(&mut self) -> Plan {
        self.try_plan().unwrap_or_else(|found| panic!("no plan:\n{found}"))
    }

    /// The errors of a plan that can't be made, one a line.
    pub(crate) fn refused(&mut self) -> String {
        match self.try_plan() {
            Ok(plan) => panic!("it was planned:\n{}", text(&plan)),
            Err(found) => found.to_string(),
        }
    }

    pub(crate) fn destroy(&mut self) -> Plan {
        self.options.mode = PlanMode::Destroy;
        let plan = self.plan();
        self.options.mode = PlanMode::Normal;
        plan
    }

    /// Plans and applies.
    pub(crate) fn apply(&mut self, text: &str) -> &mut Self {
        self.main(text);
        let plan = self.plan();
        self.run(&plan, |_| 0);
        self
    }

    /// The plan after one that was applied with something left open, as the engine's caller makes it.
    pub(crate) fn next_wave(&mut self, waves: &mut Waves, applied: &Plan) -> Result<Plan, Diagnostics> {
        if waves.count() == 0 {
            waves.next(applied)?;
        }
        waves.applied(applied);
        self.options.earlier = waves.earlier.clone();
        let plan = self.try_plan();
        self.options.earlier.clear();
        let plan = plan?;
        waves.next(&plan)?;
        Ok(plan)
    }

    /// Plans and applies, wave after wave, until nothing is open. Gives the plans.
    pub(crate) fn run_waves(
        &mut self,
        mut choose: impl FnMut(usize) -> usize,
    ) -> Result<Vec<Plan>, Diagnostics> {
        let mut waves = Waves::default();
        let mut plans = vec![self.try_plan()?];
        while let Some(plan) = plans.last() {
            self.run(plan, &mut choose);
            if plan.open.is_empty() {
                break;
            }
            let next = self.next_wave(&mut waves, &plan.clone())?;
            plans.push(next);
        }
        Ok(plans)
    }

    /// Applies a plan in the order of its operations.
    pub(crate) fn run_in_order(&mut self, plan: &Plan) {
        self.run_with(plan, |done| (done < plan.operations.len()).then_some(done));
    }

    /// Applies a plan; of the operations that are ready, `choose` says which is next (modulo their number).
    pub(crate) fn run(&mut self, plan: &Plan, mut choose: impl FnMut(usize) -> usize) {
        let mut done = vec![false; plan.operations.len()];
        self.run_with(plan, |_| {
            let may = |op: &&Operation| !done[op.id.index()] && op.requires.iter().all(|r| done[r.index()]);
            let ready: Vec<usize> = plan.operations.iter().filter(may).map(|op| op.id.index()).collect();
            let next = (!ready.is_empty()).then(|| ready[choose(ready.len()) % ready.len()])?;
            done[next] = true;
            Some(next)
        });
    }

    /// Applies a plan, and gives what `check` blocks say then.
    pub(crate) fn run_checked(&mut self, plan: &Plan) -> String {
        self.run_in_order(plan);
        std::mem::take(&mut self.checked)
    }

    fn run_with(&mut self, plan: &Plan, mut next: impl FnMut(usize) -> Option<usize>) {
        let config = self.config();
        if !plan.moves.is_empty() {
            let moved = |m: &grappe_plan::Move| Moved { from: m.from.clone(), to: m.to.clone() };
            let mut ledger = Ledger::new(std::mem::take(&mut self.state), Vec::new());
            ledger.apply(Record::Moved(plan.moves.iter().map(moved).collect())).expect("moves that fit");
            self.state = ledger.state;
        }
        for import in &plan.imports {
            let ty = self.registry.resource(&import.addr.resource.ty).unwrap().ty();
            let attributes = wire::encode(&import.value, ty);
            let object = Object { provider: import.provider.to_string(), attributes, ..Object::default() };
            self.state.put(import.addr.clone(), None, object);
        }
        let before = self.state.clone();
        self.before = before.clone();
        let anew = |c: &&grappe_plan::Change| c.action == Action::Replace { create_first: false };
        self.replaced = plan.changes.iter().filter(anew).map(|c| c.addr.clone()).collect();
        let values = |addr: &InstanceAddr| self.decode(addr, before.get(addr, None)?);
        let surroundings = Surroundings {
            files: &self.files.clone(),
            cwd: ".".into(),
            home: None,
            timestamp: Some("2024-01-31T12:00:00Z".into()),
            random: Some(|| *b"0123456789abcdef"),
        };
        let registry = self.registry.clone();
        let mut resolver = Resolver::new(&config, plan, &registry, surroundings, &values).unwrap();
        let mut done = 0;
        let mut deposed: BTreeMap<OpId, String> = BTreeMap::new();
        while let Some(at) = next(done) {
            let op = &plan.operations[at];
            let final_value = resolver.finalize(op).unwrap_or_else(|e| panic!("{}: {e}", op.addr));
            let made = self.execute(op, final_value, &mut deposed);
            resolver.done(op, made.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", op.addr));
            done += 1;
        }
        assert_eq!(done, plan.operations.len(), "operations wait for each other");
        let outputs = resolver.outputs().unwrap();
        self.checked = resolver.checks().to_string();
        for (name, change) in &plan.outputs {
            match outputs.get(name) {
                Some((value, sensitive)) => {
                    let ty = value.ty();
                    let output = OutputValue { value: wire::encode(value, &ty), ty, sensitive: *sensitive };
                    self.state.outputs.insert(name.to_string(), output);
                }
                None if change.after.is_none() => drop(self.state.outputs.remove(&**name)),
                None => panic!("output {name} is not known"),
            }
        }
        self.state.serial += 1;
        self.real.clear();
        self.pending.clear();
    }

    /// An ephemeral resource is another one each time that it is opened.
    fn opened(&mut self, addr: &InstanceAddr, config: &Value) -> Value {
        self.opens += 1;
        self.steps.push(format!("open {addr}"));
        let token =
            format!("{}-{}", config.get("role").and_then(Value::as_str).unwrap_or_default(), self.opens);
        config.clone().with_attr("token", token.into()).with_marks(grappe_value::Marks::EPHEMERAL)
    }

    fn decode(&self, addr: &InstanceAddr, object: &Object) -> Option<Value> {
        wire::decode(&object.attributes, self.registry.resource(&addr.resource.ty)?.ty()).ok()
    }

    fn execute(
        &mut self,
        op: &Operation,
        value: Option<Value>,
        deposed: &mut BTreeMap<OpId, String>,
    ) -> Option<Value> {
        let stored = |value: &Value, lab: &Lab| {
            let kind = lab.registry.resource(&op.addr.resource.ty).unwrap();
            Object {
                provider: op.provider.to_string(),
                attributes: wire::encode(value, kind.ty()),
                dependencies: op.dependencies.clone(),
                duration_ms: Some(1000),
                create_before_destroy: op.create_before_destroy,
                timeouts: op.timeouts,
                ..Object::default()
            }
        };
        match &op.action {
            OpAction::Create { deposes, .. } => {
                if *deposes {
                    let key = format!("{:08x}", op.id.0);
                    let old = self.state.remove(&op.addr, None).expect("an object to depose");
                    self.state.put(op.addr.clone(), Some(key.clone()), old);
                    deposed.insert(op.id, key);
                }
                assert!(self.state.get(&op.addr, None).is_none(), "{} exists", op.addr);
                let made = self.filled(value.unwrap());
                self.stands_on_what_is(op, &made);
                let object = stored(&made, self);
                self.state.put(op.addr.clone(), None, object);
                Some(made)
            }
            OpAction::Update => {
                self.stands_on_what_is(op, value.as_ref().unwrap());
                let made = self.filled(value.unwrap());
                let object = stored(&made, self);
                self.state.put(op.addr.clone(), None, object);
                Some(made)
            }
            OpAction::Record => {
                let value = value.unwrap();
                let object = stored(&value, self);
                self.state.put(op.addr.clone(), None, object);
                Some(value)
            }
            OpAction::Delete { adopt: Some(_), .. } | OpAction::Join => None,
            OpAction::Delete { .. } | OpAction::Forget => {
                let key = match &op.object {
                    ObjectRef::Current => None,
                    ObjectRef::Deposed(key) => Some(key.to_string()),
                    ObjectRef::DeposedBy(create) => Some(deposed[create].clone()),
                };
                let gone = self.state.remove(&op.addr, key.as_deref());
                let gone = gone.unwrap_or_else(|| panic!("{} is not there to delete", op.addr));
                self.nothing_stands_on(op, &gone);
                None
            }
            OpAction::Read => Some(looked_up(&value.unwrap())),
            OpAction::Open => Some(self.opened(&op.addr, &value.unwrap())),
            OpAction::Provision(step) => {
                let key = match &op.object {
                    ObjectRef::DeposedBy(create) => Some(deposed[create].clone()),
                    ObjectRef::Deposed(key) => Some(key.to_string()),
                    ObjectRef::Current => None,
                };
                assert!(self.state.get(&op.addr, key.as_deref()).is_some(), "a step of what is not there");
                let said = value.unwrap();
                self.steps.push(format!("{} {}: {said:?}", op.addr, step.ty));
                None
            }
        }
    }

    /// When an object goes, nothing may name it any more, but for those that are updated when its replacement is there. What stands on something that
    /// is deleted to be created anew must go early all the same: its dependants can be changed only afterwards.
    fn nothing_stands_on(&self, op: &Operation, gone: &Object) {
        if self.state.objects.len() < SMALL && stands_on(gone, &self.before, &self.replaced) {
            return;
        }
        let replaced = matches!(op.object, ObjectRef::Current)
            && !matches!(
                op.action,
                OpAction::Delete {
                    reason: Reason::NotInConfiguration
                        | Reason::IndexOutOfCount
                        | Reason::KeyNotInForEach
                        | Reason::RepetitionChanged
                        | Reason::Destroy,
                    ..
                }
            );
        let Some(id) = gone.attributes.get("id").filter(|_| !replaced && self.state.objects.len() < SMALL)
        else {
            return;
        };
        for (addr, object) in
            self.state.objects.iter().chain(self.state.deposed.iter().map(|((a, _), o)| (a, o)))
        {
            let named = object
                .attributes
                .get("input")
                .is_some_and(|input| input.to_string().contains(&id.to_string()));
            assert!(!named, "{} goes while {addr} stands on it", op.addr);
        }
    }

    /// Whatever an object names exists.
    fn stands_on_what_is(&self, op: &Operation, value: &Value) {
        if self.state.objects.len() >= SMALL {
            return;
        }
        let input = format!("{:?}", value.get("input"));
        for id in input.split('"').filter(|part| part.starts_with("id-")) {
            let is = self
                .state
                .objects
                .values()
                .any(|o| o.attributes.get("id").and_then(|i| i.as_str()) == Some(id));
            assert!(is, "{} is made of {id}, which is not there", op.addr);
        }
    }

    /// What a provider decides.
    fn filled(&mut self, planned: Value) -> Value {
        self.made += 1;
        let n = self.made;
        let given = planned.as_entries().unwrap().clone();
        Value::object(given.into_iter().map(|(name, value)| {
            let decided = match &*name {
                _ if !value.is_unknown() => value,
                "id" => format!("id-{n}").into(),
                "address" | "access_ip_v4" => format!("10.0.0.{n}").into(),
                "zone" => "zone-a".into(),
                _ => Value::null(value.ty()),
            };
            (name, fill_unknown(&decided))
        }))
    }
}

/// Whether an object depends on one of these, directly or not.
fn stands_on(object: &Object, state: &State, these: &BTreeSet<InstanceAddr>) -> bool {
    let mut todo: Vec<&Object> = vec![object];
    let mut seen = BTreeSet::new();
    while let Some(object) = todo.pop() {
        for dep in &object.dependencies {
            let all = dep.key == InstanceKey::None && !state.objects.contains_key(dep);
            for (addr, next) in
                state.objects.iter().filter(|(a, _)| *a == dep || (all && a.resource == dep.resource))
            {
                if these.contains(addr) {
                    return true;
                }
                if seen.insert(addr) {
                    todo.push(next);
                }
            }
        }
    }
    false
}

/// Unknowns deep inside become null.
fn fill_unknown(value: &Value) -> Value {
    if value.is_wholly_known() {
        return value.clone();
    }
    match (value.as_entries(), value.as_items(), value.ty()) {
        (Some(entries), _, _) => Value::object(entries.iter().map(|(k, v)| (k.clone(), fill_unknown(v)))),
        (_, Some(items), Type::List(element)) => {
            Value::list((*element).clone(), items.iter().map(fill_unknown))
        }
        (_, Some(items), _) => Value::tuple(items.iter().map(fill_unknown)),
        _ => Value::null(value.ty()),
    }
}

fn looked_up(config: &Value) -> Value {
    let key = config.get("key").and_then(Value::as_str).unwrap_or_default();
    config.clone().with_attr("value", format!("value of {key}").into())
}

/// A plan in a few lines: what happens, then in which order.
pub(crate) fn text(plan: &Plan) -> String {
    let mut out = String::new();
    let mut quiet = 0;
    for moved in &plan.moves {
        writeln!(out, "{} is {} now", moved.from, moved.to).unwrap();
    }
    for change in &plan.changes {
        let sign = match change.action {
            Action::NoOp => {
                quiet += 1;
                continue;
            }
            Action::Create => "+",
            Action::Update => "~",
            Action::Replace { create_first: false } => "-/+",
            Action::Replace { create_first: true } => "+/-",
            Action::Delete => "-",
            Action::Read => "<=",
            Action::Forget => ".",
            Action::Provision => "~+",
        };
        let deposed = change.deposed.as_ref().map(|k| format!(" (deposed {k})")).unwrap_or_default();
        let changed: Vec<String> = change.changed.iter().map(ToString::to_string).collect();
        let changed = if changed.is_empty() { String::new() } else { format!(" {}", changed.join(" ")) };
        let reason = change.reason.as_ref().map(|r| format!(" [{r:?}]")).unwrap_or_default();
        writeln!(out, "{sign} {}{deposed}{changed}{reason}", change.addr).unwrap();
    }
    if quiet > 0 {
        writeln!(out, "= {quiet}").unwrap();
    }
    for drift in &plan.drift {
        let changed: Vec<String> = drift.changed.iter().map(ToString::to_string).collect();
        let what = if drift.after.is_none() { "gone".into() } else { changed.join(" ") };
        writeln!(out, "drift {}: {what}", drift.addr).unwrap();
    }
    for (name, output) in &plan.outputs {
        if output.action != Action::NoOp {
            writeln!(out, "output {name} {:?}: {:?} -> {:?}", output.action, output.before, output.after)
                .unwrap();
        }
    }
    for open in &plan.open {
        let on: Vec<String> = open.on.iter().map(ToString::to_string).collect();
        let objects = if open.objects > 0 { format!(" = {}", open.objects) } else { String::new() };
        writeln!(out, "? {}{objects} [{:?}] <- {}", open.what, open.why, on.join(" ")).unwrap();
    }
    if !plan.open_outputs.is_empty() {
        writeln!(out, "? output {}", plan.open_outputs.join(" ")).unwrap();
    }
    for op in &plan.operations {
        let object = match &op.object {
            ObjectRef::Current => String::new(),
            ObjectRef::Deposed(key) => format!(" (deposed {key})"),
            ObjectRef::DeposedBy(create) => format!(" (deposed by {})", create.0),
        };
        let requires: Vec<String> = op.requires.iter().map(|r| r.0.to_string()).collect();
        let requires =
            if requires.is_empty() { String::new() } else { format!(" <- {}", requires.join(" ")) };
        let resume = match &op.action {
            OpAction::Create { resume: Some(p), .. } | OpAction::Delete { adopt: Some(p), .. } => {
                format!(" (key {})", p.key)
            }
            _ => String::new(),
        };
        writeln!(out, "{} {} {}{object}{resume}{requires}", op.id.0, op.action.verb(), op.addr).unwrap();
    }
    out
}
