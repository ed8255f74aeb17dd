//! While applying: what becomes known is filled in, and held against what the plan promised.
//!
//! A resolver walks the configuration once, with the values that the plan holds. What is wholly known then is never evaluated again. What is not (a
//! local that is made of an address that a machine gets) is evaluated once more when the first operation asks for it: by then all that it is made
//! of is done, since the operation waited for that. So N operations that look at one local cost N, not N times the local.

mod each;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::{Config, Files, Resource};
use grappe_provider::Registry;
use grappe_value::addr::{InstanceAddr, InstanceKey, Mode, ResourceAddr, Target};
use grappe_value::{Marks, Path, Schema, Step, Type, Value};

use crate::decide::{ignored, nothing_known, propose, refined};
use crate::expand::Keys;
use crate::model::{Action, OpAction, Operation, Plan, PlanMode, ProviderKey, StepOp, StepTime};
use crate::planner::{asked, conditions, with_addr};
use crate::providers::{Chosen, Home, default_config};
use crate::provision;
use crate::refresh::ProviderFinder;
use crate::statics::Statics;
use crate::targets::Targets;
use crate::walk::{At, Driver, Env, Frame, Made, NodeId, OpenBlock, Walk, What};
use crate::waves::Among;

/// What instances are worth of which the plan says nothing: those to which nothing is done.
pub trait InstanceValues {
    /// The object at an address, as the state has it.
    fn get(&self, addr: &InstanceAddr) -> Option<Value>;
}

impl<F: Fn(&InstanceAddr) -> Option<Value>> InstanceValues for F {
    fn get(&self, addr: &InstanceAddr) -> Option<Value> {
        self(addr)
    }
}

/// Gives sixteen random bytes, other ones each time.
pub type Random = fn() -> [u8; 16];

/// Surroundings of a run that applies a plan.
#[derive(Clone)]
pub struct Surroundings<'a> {
    /// Where `file()` reads.
    pub files: &'a dyn Files,
    /// `path.cwd`
    pub cwd: Arc<str>,
    /// The user's home folder, for `pathexpand`.
    pub home: Option<Arc<str>>,
    /// What `timestamp()` gives (RFC 3339, UTC): when the plan is applied.
    pub timestamp: Option<Arc<str>>,
    /// Where `uuid()` and `bcrypt()` take chance from.
    pub random: Option<Random>,
}

/// Fills in what a plan left unknown.
pub struct Resolver<'a> {
    plan: &'a Plan,
    registry: &'a Registry,
    walk: Walk<'a>,
    /// Instances whose values are what they will stay, and values that were evaluated from such alone.
    settled: Vec<bool>,
    nodes: HashMap<InstanceAddr, NodeId>,
}

/// Gives instances what the plan says of them.
struct Planned<'p> {
    registry: &'p Registry,
    values: &'p dyn InstanceValues,
    /// The operation that makes or changes an instance.
    operations: HashMap<&'p InstanceAddr, &'p Operation>,
    data: HashMap<&'p InstanceAddr, &'p Value>,
    keys: HashMap<&'p ResourceAddr, Vec<&'p InstanceKey>>,
    /// What the plan leaves alone: it is worth nothing here, as it was while planning.
    excludes: &'p [Target],
    /// What it leaves open: the same.
    open: Among<'p>,
    /// Whether the state says which instances there are, and not the configuration.
    from_state: bool,
    /// What each instance's node is, and whether its value is final.
    seen: Vec<(InstanceAddr, NodeId, bool)>,
}

impl Driver for Planned<'_> {
    fn instance(&mut self, _: &Walk<'_>, at: &At<'_>) -> Made<Value> {
        if self.open.has(&at.addr) || self.excludes.iter().any(|t| t.matches(&at.addr)) {
            return Made::default();
        }
        let ty = self.registry.schema(at.resource.mode, &at.resource.ty).map(Schema::ty);
        if at.resource.mode == Mode::Ephemeral {
            self.seen.push((at.addr.clone(), at.node, false));
            let value = nothing_known(&ty.unwrap_or(Type::Any)).with_marks(Marks::EPHEMERAL);
            return Made { value: Some(value), ..Made::default() };
        }
        let planned = self.operations.get(&at.addr).and_then(|op| {
            let planned = op.planned.clone()?;
            Some(match (&op.action, self.registry.data_source(&at.resource.ty)) {
                (OpAction::Read, Some(kind)) => (propose(kind.schema(), None, &planned), false),
                (OpAction::Record, _) => (planned, true),
                _ => (planned, false),
            })
        });
        let known = || {
            let read = self.data.get(&at.addr).map(|v| (*v).clone());
            read.or_else(|| self.values.get(&at.addr)).map(|v| (v, true))
        };
        let (value, settled) =
            planned.or_else(known).unwrap_or_else(|| (nothing_known(&ty.unwrap_or(Type::Any)), false));
        self.seen.push((at.addr.clone(), at.node, settled));
        Made { value: Some(value), ..Made::default() }
    }

    fn may_open(&mut self, _: &Walk<'_>, _: &OpenBlock) -> bool {
        !self.from_state
    }

    fn resource_keys(&mut self, addr: &Arc<ResourceAddr>, _: &Resource) -> Option<Keys> {
        if self.from_state { self.keys.get(&**addr).map(|keys| Keys::remembered(keys)) } else { None }
    }
}

impl<'a> Resolver<'a> {
    /// Prepares to apply a plan that was made of this configuration.
    ///
    /// # Errors
    /// Where the configuration is not the one that the plan was made of.
    pub fn new(
        config: &'a Config,
        plan: &'a Plan,
        registry: &'a Registry,
        surroundings: Surroundings<'a>,
        values: &dyn InstanceValues,
    ) -> Result<Self, Diagnostics> {
        let statics = Arc::new(Statics::new(config, registry)?);
        let env = Env {
            files: surroundings.files,
            cwd: surroundings.cwd,
            home: surroundings.home,
            workspace: plan.workspace.clone(),
            plan_timestamp: plan.timestamp.clone(),
            timestamp: surroundings.timestamp,
            random: surroundings.random,
            applying: true,
            variables: &plan.variables,
        };
        let mut walk = Walk::new(statics, env);
        let mut driver = Planned::new(plan, registry, values);
        let wanted = match plan.mode {
            PlanMode::Destroy => Some(walk.statics.provider_blocks()),
            _ => Targets::new(&plan.targets, &walk.statics).wanted().map(<[bool]>::to_vec),
        };
        walk.run(&mut driver, wanted.as_deref());
        let found = std::mem::take(&mut walk.found);
        if found.has_errors() {
            return Err(found);
        }
        let mut settled = vec![false; walk.nodes.len()];
        let mut nodes = HashMap::new();
        for (addr, node, known) in driver.seen {
            settled[node as usize] = known;
            nodes.insert(addr, node);
        }
        for (id, node) in walk.nodes.iter().enumerate() {
            // A value that is wholly known stays as it is, whatever it is made of: that is what the plan promised.
            let instance = matches!(node.what, What::Instance(..));
            settled[id] |= !instance && !node.poisoned && node.value.is_wholly_known();
        }
        Ok(Resolver { plan, registry, walk, settled, nodes })
    }

    /// What an operation is to make or to write (of a data source its arguments), now that all that it requires is done: wholly known but for what the
    /// provider decides. `None` for operations that make nothing.
    ///
    /// # Errors
    /// Where it can't be evaluated, a precondition does not hold, or a promise of the plan can't be kept.
    pub fn finalize(&mut self, op: &Operation) -> Result<Option<Value>, Diagnostics> {
        if let OpAction::Provision(step) = &op.action {
            return self.step(op, step).map(Some);
        }
        let planned = match (&op.action, &op.planned) {
            (OpAction::Open, _) => &Value::unknown(Type::Any),
            (OpAction::Delete { .. } | OpAction::Forget | OpAction::Join, _) | (_, None) => return Ok(None),
            (OpAction::Record, Some(planned)) => return Ok(Some(planned.clone())),
            (OpAction::Create { .. } | OpAction::Update | OpAction::Read, Some(planned)) => planned,
            (OpAction::Provision(_), Some(_)) => return Ok(None),
        };
        self.refresh_each(&op.addr)?;
        let mut config = None;
        // Evaluating may come by more than it came by when less was known.
        for _ in 0..8 {
            let asked = self.with_at(&op.addr, |walk, at, schema| asked(walk, at, schema))?;
            if asked.found.has_errors() && self.unsettled(&asked.deps).is_empty() {
                return Err(asked.found);
            }
            let stale = self.unsettled(&asked.deps);
            if stale.is_empty() {
                config = asked.config;
                break;
            }
            self.settle(stale)?;
        }
        let config = config.ok_or_else(|| self.unfinished(op))?;
        if !config.is_wholly_known() {
            return Err(self.unfinished(op));
        }
        let value = match &op.action {
            OpAction::Read | OpAction::Open => config.clone(),
            _ => self.filled(op, &config)?,
        };
        let broken = broken(planned, &value);
        if !broken.is_empty() {
            let paths: Vec<String> = broken.iter().map(ToString::to_string).collect();
            return Err(Diagnostic::error("The plan can't be kept")
                .detail(format!(
                    "When expanding the plan for {} to include what became known while applying, {} came out different from what \
                     the plan said.",
                    op.addr,
                    paths.join(", ")
                ))
                .hint("plan again: a function without a fixed result, or a provider that changed its mind, is the usual cause")
                .address(&op.addr)
                .into());
        }
        Ok(Some(self.with_write_only(op, value, &config)))
    }

    /// With what is told to the provider and stored nowhere.
    fn with_write_only(&self, op: &Operation, value: Value, config: &Value) -> Value {
        let Some(kind) = self.registry.resource(&op.addr.resource.ty) else { return value };
        if op.addr.resource.mode != Mode::Managed {
            return value;
        }
        kind.schema().write_only().fold(value, |value, name| {
            match config.get(name).filter(|v| !v.is_null()) {
                Some(given) => value.with_attr(name, given.clone().with_marks(Marks::EPHEMERAL)),
                None => value,
            }
        })
    }

    /// What a step is done with: an object of its arguments (`config`) and of those of its connection (`connection`, null where there is none), and
    /// of what must not be seen in its output (`secrets`).
    fn step(&mut self, op: &Operation, step: &StepOp) -> Result<Value, Diagnostics> {
        let statics = self.walk.statics.clone();
        let lost = || {
            Diagnostic::error("The configuration is not the one of the plan")
                .detail(format!("A step of {} is in the plan and not in the configuration.", op.addr))
                .hint("plan again")
                .address(&op.addr)
        };
        let provisioners = provision::of(&statics, &op.addr).ok_or_else(lost)?;
        let own = provision::step(provisioners, step).ok_or_else(lost)?;
        if step.time == StepTime::Create {
            self.refresh_each(&op.addr)?;
        }
        for _ in 0..8 {
            let frame = match (step.time, &op.prior) {
                (StepTime::Destroy, Some(object)) => self.walk.leaving_frame(&op.addr, object),
                _ => self.with_at(&op.addr, |walk, at, _| Frame {
                    self_value: Some(walk.node(at.node).value.clone()),
                    ..at.frame.clone()
                })?,
            };
            let (mut found, mut deps) = (Diagnostics::new(), Vec::new());
            let values = self.walk.step_values(provisioners, own, &frame, &mut found, &mut deps);
            let stale = self.unsettled(&deps);
            if stale.is_empty() {
                if found.has_errors() {
                    with_addr(&mut found, &op.addr);
                    return Err(found);
                }
                let Some((config, connection)) = values else { break };
                let secrets = Value::tuple(self.secrets(&deps));
                let connection = connection.unwrap_or(Value::NULL);
                let value =
                    Value::object([("config", config), ("connection", connection), ("secrets", secrets)]);
                return if value.get("config").is_some_and(Value::is_wholly_known)
                    && value.get("connection").is_some_and(Value::is_wholly_known)
                {
                    Ok(value)
                } else {
                    Err(self.unfinished(op))
                };
            }
            self.settle(stale)?;
        }
        Err(self.unfinished(op))
    }

    /// What values are made of and may not be shown, each by itself: a step may print a part of what it was given.
    fn secrets(&self, nodes: &[NodeId]) -> Vec<Value> {
        let mut seen: BTreeSet<NodeId> = nodes.iter().copied().collect();
        let mut todo = nodes.to_vec();
        let mut out = Vec::new();
        while let Some(id) = todo.pop() {
            let node = self.walk.node(id);
            if !node.poisoned && !node.value.marks_deep().is_empty() {
                out.push(node.value.clone());
            }
            if !matches!(node.what, What::Instance(..)) {
                todo.extend(node.deps.iter().filter(|d| seen.insert(**d)));
            }
        }
        out
    }

    /// The planned object with what is known now.
    fn filled(&self, op: &Operation, config: &Value) -> Result<Value, Diagnostics> {
        let Some(kind) = self.registry.resource(&op.addr.resource.ty) else { return Ok(config.clone()) };
        let updates = op.action == OpAction::Update;
        let replaced = || {
            let change =
                self.plan.changes.binary_search_by(|c| (&c.addr, &c.deposed).cmp(&(&op.addr, &None)));
            change.ok().and_then(|i| self.plan.changes[i].before.as_ref())
        };
        let before = if updates { op.prior.as_ref() } else { replaced() };
        let ignore = match self.resource(&op.addr) {
            // Conditions were known while planning, and are the same now.
            Some(resource) => Some(self.with_at(&op.addr, |walk, at, _| {
                walk.choice(
                    &resource.lifecycle.ignore_changes,
                    "ignore_changes",
                    &at.frame,
                    &mut Diagnostics::new(),
                )
            })?),
            None => None,
        };
        let config = match (before, ignore) {
            (Some(before), Some(ignore)) => ignored(config, before, ignore),
            _ => config.clone(),
        };
        let prior = if updates { op.prior.as_ref() } else { None };
        let (value, replace) = refined(kind, prior, &config);
        if updates && !replace.is_empty() {
            let paths: Vec<String> = replace.iter().map(ToString::to_string).collect();
            return Err(Diagnostic::error("The plan can't be kept")
                .detail(format!(
                    "{} was to be updated in place; now that {} is known it has to be replaced.",
                    op.addr,
                    paths.join(", ")
                ))
                .hint("plan again")
                .address(&op.addr)
                .into());
        }
        Ok(value)
    }

    /// The configuration of a provider that was not known when the plan was made.
    ///
    /// # Errors
    /// Where it can't be evaluated, or is still not known.
    pub fn provider(&mut self, key: &ProviderKey) -> Result<Value, Diagnostics> {
        if let Some(known) = self.plan.provider(key).filter(|p| p.known()) {
            return Ok(known.value.clone());
        }
        let Some(node) = ProviderFinder::new(&self.walk).node(key) else {
            return Ok(default_config(self.registry, &key.name)?);
        };
        let stale = self.unsettled(&[node]);
        self.settle(stale)?;
        let value = self.walk.node(node).value.clone();
        if value.is_wholly_known() {
            return Ok(value);
        }
        Err(Diagnostic::error("Provider configuration not known")
            .detail(format!(
                "The configuration of provider {key} is not known yet, and an operation wants to use it."
            ))
            .into())
    }

    /// An operation is done, and this is the object that came of it (or what a data source gave).
    ///
    /// # Errors
    /// Where the provider broke what the plan promised, or a postcondition does not hold. The object exists nevertheless.
    pub fn done(&mut self, op: &Operation, value: Option<&Value>) -> Result<(), Diagnostics> {
        let (Some(value), Some(node)) = (value, self.nodes.get(&op.addr).copied()) else { return Ok(()) };
        let makes = matches!(
            op.action,
            OpAction::Create { .. } | OpAction::Update | OpAction::Read | OpAction::Open | OpAction::Record
        );
        if !makes {
            return Ok(());
        }
        let kind =
            self.registry.resource(&op.addr.resource.ty).filter(|_| op.addr.resource.mode == Mode::Managed);
        let value = &kind.map_or_else(|| value.clone(), |kind| kind.schema().to_store(value.clone()));
        self.walk.nodes[node as usize].value = value.clone();
        self.settled[node as usize] = true;
        let mut found = Diagnostics::new();
        self.with_at(&op.addr, |walk, at, _| {
            let frame = Frame { self_value: Some(value.clone()), ..at.frame.clone() };
            conditions(walk, at, &frame, false, &mut Vec::new(), &mut found);
        })?;
        if found.has_errors() { Err(found) } else { Ok(()) }
    }

    /// The outputs of the root module that are wholly known by now, each with whether it is declared sensitive.
    ///
    /// # Errors
    /// Where one can't be evaluated.
    pub fn outputs(&mut self) -> Result<BTreeMap<Arc<str>, (Value, bool)>, Diagnostics> {
        let mut out = BTreeMap::new();
        for (name, change) in &self.plan.outputs {
            if change.action == Action::Delete {
                continue;
            }
            let position = self.walk.statics.modules[0].config.outputs.get_index_of(&**name);
            let Some(node) = position.and_then(|i| self.walk.modules[0].outputs[i]) else { continue };
            if !self.is_made(node) {
                // Something that it is made of failed, or was not reached: what was to come of it is not said of what is.
                continue;
            }
            let stale = self.unsettled(&[node]);
            self.settle(stale)?;
            let value = &self.walk.node(node).value;
            if value.is_wholly_known() && !value.is_null() {
                out.insert(name.clone(), (value.clone(), change.sensitive));
            }
        }
        Ok(out)
    }

    /// Whether all instances that a value is made of are done, those too whose part in it the plan knew before.
    fn is_made(&self, node: NodeId) -> bool {
        let mut seen = BTreeSet::from([node]);
        let mut todo = vec![node];
        while let Some(node) = todo.pop() {
            let settled = self.settled[node as usize];
            match self.walk.node(node).what {
                What::Instance(mi, i, _) if !settled => {
                    // One that nothing needs is not opened.
                    let instances = self.walk.modules[mi].resources[i].as_ref();
                    if instances.is_none_or(|r| r.addr.mode != Mode::Ephemeral) {
                        return false;
                    }
                }
                What::Instance(..) => {}
                _ => todo.extend(self.walk.node(node).deps.iter().filter(|d| seen.insert(**d))),
            }
        }
        true
    }

    /// What `check` blocks say of what there is now. What failed, or was not reached, is not asserted.
    pub fn checks(&mut self) -> Diagnostics {
        if self.plan.mode != PlanMode::Normal || !self.plan.targets.is_empty() {
            return Diagnostics::new();
        }
        // Values that assertions are made of may not have been asked for by any operation.
        let checks = || self.walk.statics.modules.iter().map(|m| m.config.checks.len()).sum::<usize>();
        if checks() == 0 {
            return Diagnostics::new();
        }
        let values: Vec<NodeId> = (0..self.settled.len())
            .filter(|n| !self.settled[*n])
            .filter_map(|n| u32::try_from(n).ok())
            .collect();
        for node in values {
            let stale = self.unsettled(&[node]);
            let open = stale.iter().any(|n| matches!(self.walk.node(*n).what, What::Instance(..)));
            // What is wrong with a value is told of where it is used.
            if !open && self.settle(stale).is_err() {
                continue;
            }
        }
        self.walk
            .assertions(&|deps| !self.unsettled(deps).is_empty() || !deps.iter().all(|n| self.is_made(*n)))
    }

    /// Those of these nodes, and of what they are made of, that are not settled: lowest first.
    fn unsettled(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let mut stale = BTreeSet::new();
        let mut todo: Vec<NodeId> = nodes.iter().copied().filter(|n| !self.settled[*n as usize]).collect();
        while let Some(node) = todo.pop() {
            if stale.insert(node) && !matches!(self.walk.node(node).what, What::Instance(..)) {
                todo.extend(self.walk.node(node).deps.iter().filter(|d| !self.settled[**d as usize]));
            }
        }
        stale.into_iter().collect()
    }

    /// Evaluates values again. Instances among them that are not done are left as planned.
    fn settle(&mut self, nodes: Vec<NodeId>) -> Result<(), Diagnostics> {
        for id in nodes {
            let what = self.walk.node(id).what;
            if matches!(what, What::Instance(..)) {
                return Err(Diagnostic::error("An operation started too early")
                    .detail(format!(
                        "It needs {}, which is not done (a bug in grappe).",
                        self.walk.addr(what).map(|a| a.to_string()).unwrap_or_default()
                    ))
                    .into());
            }
            if let What::Variable(mi, _) = what {
                self.refresh_module_each(mi, id)?;
            }
            let made = self.walk.compute(what, Some(id));
            if made.found.has_errors() {
                return Err(made.found);
            }
            let node = &mut self.walk.nodes[id as usize];
            node.poisoned = made.value.is_none();
            if let Some(value) = made.value {
                node.value = value;
            }
            self.settled[id as usize] = true;
        }
        Ok(())
    }

    fn resource(&self, addr: &InstanceAddr) -> Option<&'a Resource> {
        let (module, i) = self.walk.statics.find(&addr.resource)?;
        self.walk.statics.modules[module].config.resources.get_index(i).map(|(_, r)| &**r)
    }

    /// Calls with what the walk has at an address.
    fn with_at<T>(
        &self,
        addr: &InstanceAddr,
        call: impl FnOnce(&Walk<'a>, &At<'_>, &Schema) -> T,
    ) -> Result<T, Diagnostics> {
        let lost = || {
            Diagnostic::error("The configuration is not the one of the plan")
                .detail(format!("{addr} is in the plan and not in the configuration."))
                .hint("plan again")
                .address(addr)
        };
        let node = *self.nodes.get(addr).ok_or_else(lost)?;
        let What::Instance(mi, i, at) = self.walk.node(node).what else { return Err(lost().into()) };
        let resource = self.resource(addr).ok_or_else(lost)?;
        let keys =
            self.walk.modules[mi].resources[i].as_ref().and_then(|r| r.keys.as_ref()).ok_or_else(lost)?;
        let (each, count) = keys.repetition(at);
        let schema = self.registry.schema(resource.mode, &resource.ty);
        let home = Home { name: "".into(), alias: None, block: None, key: None };
        let at = At {
            node,
            addr: addr.clone(),
            resource,
            frame: Frame { module: mi, each, count, limit: Some(node), ..Frame::default() },
            home: &home,
            holder: mi,
            provider: Chosen::default(),
            waits: &[],
        };
        Ok(call(&self.walk, &at, schema.ok_or_else(lost)?))
    }

    fn unfinished(&self, op: &Operation) -> Diagnostics {
        let mut diagnostic = Diagnostic::error("Configuration contains unknown value")
            .detail(format!("The configuration for {} still contains unknown values during apply.", op.addr))
            .hint("plan again; if it stays so, it is a bug in grappe")
            .address(&op.addr);
        diagnostic.span = self.resource(&op.addr).map(|r| r.span);
        diagnostic.into()
    }
}

impl<'p> Planned<'p> {
    fn new(plan: &'p Plan, registry: &'p Registry, values: &'p dyn InstanceValues) -> Self {
        let mut keys: HashMap<&ResourceAddr, Vec<&InstanceKey>> = HashMap::new();
        for change in plan.changes.iter().filter(|c| c.deposed.is_none()) {
            keys.entry(&change.addr.resource).or_default().push(&change.addr.key);
        }
        let makes = |op: &&Operation| {
            matches!(
                op.action,
                OpAction::Create { .. } | OpAction::Update | OpAction::Read | OpAction::Record
            )
        };
        Planned {
            registry,
            values,
            operations: plan.operations.iter().filter(makes).map(|op| (&op.addr, op)).collect(),
            data: plan.data.iter().map(|d| (&d.addr, &d.value)).collect(),
            keys,
            excludes: if plan.mode == PlanMode::Normal { &plan.excludes } else { &[] },
            open: Among::new(plan.open.iter().map(|o| &o.what)),
            from_state: plan.mode != PlanMode::Normal,
            seen: Vec::new(),
        }
    }
}

/// The paths of what a plan said and did not come out so.
fn broken(planned: &Value, now: &Value) -> Vec<Path> {
    let mut out = Vec::new();
    hold(planned, now, &Path::default(), &mut out);
    out
}

fn hold(planned: &Value, now: &Value, at: &Path, out: &mut Vec<Path>) {
    if planned.is_unknown() || planned.same(now) {
        return;
    }
    match (planned.as_entries(), now.as_entries()) {
        (Some(a), Some(b)) if a.len() == b.len() => {
            for (key, value) in a {
                let path = at.then(Step::Attr(key.clone()));
                match b.get(key) {
                    Some(other) => hold(value, other, &path, out),
                    None => out.push(path),
                }
            }
            return;
        }
        _ => {}
    }
    match (planned.as_items(), now.as_items()) {
        // The elements of a set move when they become known.
        (Some(_), Some(_)) if !planned.is_wholly_known() && matches!(planned.ty(), Type::Set(_)) => {}
        (Some(a), Some(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                hold(a, b, &at.then(Step::Index(i)), out);
            }
        }
        _ => out.push(at.clone()),
    }
}
