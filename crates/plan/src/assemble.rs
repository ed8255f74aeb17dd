//! The three kinds of plan, put together from what was decided.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::Resource;
use grappe_state::{Object, OutputValue};
use grappe_value::addr::{InstanceAddr, InstanceKey};
use grappe_value::{Value, wire};

use crate::decide::Verdict;
use crate::decided::{Decided, Decision, Going, Gone};
use crate::depends::Dependencies;
use crate::diff::diff;
use crate::input::{Input, Outcome, Reading, Reads};
use crate::model::{
    Action, Change, DataValue, Drift, Move, OpAction, Operation, OutputChange, Plan, ProviderConfig,
    ProviderKey, Reason, StateStamp,
};
use crate::operations::{First, Parts, operations, records};
use crate::planner::{Planner, prevented};
use crate::refresh::{ProviderFinder, provider_walk};
use crate::statics::Statics;
use crate::targets::Targets;
use crate::walk::{NodeId, Repeated, Walk, repeated};
use crate::world::{Prior, World, decode};

/// A plan that makes the world what the configuration says.
pub(crate) fn normal<'a>(
    statics: &Arc<Statics<'a>>,
    input: &'a Input<'a>,
    world: &'a World<'a>,
    targets: &Targets<'_>,
) -> Result<Outcome, Diagnostics> {
    let mut walk = Walk::new(statics.clone(), crate::env(input));
    let mut planner = Planner::new(input, world);
    walk.run(&mut planner, targets.wanted());
    let mut found = std::mem::take(&mut walk.found);
    if found.has_errors() {
        return Err(said_once(found));
    }
    if !planner.reads.is_empty() {
        let mut reads = Reads::default();
        reads.add_data(planner.reads);
        return Ok(Outcome::NeedReads(reads));
    }
    if targets.wanted().is_none() {
        walk.sound()?;
    }
    let Planner { mut decided, .. } = planner;
    let named = decided.iter().filter(|d| targets.names(&d.addr)).map(|d| d.node);
    let touched = targets.touched(&walk, named);
    let mut claimed: BTreeSet<&InstanceAddr> = BTreeSet::new();
    claimed.extend(decided.iter().filter_map(|d| d.managed()?.object).map(|(addr, _)| addr));
    let wanted: BTreeSet<InstanceAddr> = decided.iter().map(|d| d.addr.clone()).collect();
    if let Some(touched) = &touched {
        decided.retain(|d| touched[d.node as usize]);
    }
    let mut leaving = Leaving::new(input, world, &walk);
    for (addr, object) in world.objects().filter(|(addr, _)| !claimed.contains(addr) && targets.names(addr)) {
        leaving.orphan(addr, object);
    }
    for ((addr, key), object) in &input.state.deposed {
        if targets.names(addr) {
            leaving.deposed(addr, key, object, Reason::Deposed);
        }
    }
    for begun in world.all_begun().filter(|p| !wanted.contains(&p.addr) && targets.names(&p.addr)) {
        leaving.abandoned(begun);
    }
    let gone = leaving.gone;
    found.extend(leaving.found);
    if found.has_errors() {
        return Err(found);
    }
    let outputs = outputs(&walk, input, touched.as_deref())?;
    finish(&walk, input, world, Made { decided, gone, outputs, warnings: found })
}

/// A plan that deletes what the state knows.
pub(crate) fn destroy<'a>(
    statics: &Arc<Statics<'a>>,
    input: &'a Input<'a>,
    world: &'a World<'a>,
    targets: &Targets<'_>,
) -> Result<Outcome, Diagnostics> {
    let (mut walk, data) = provider_walk(statics, input, world);
    let mut found = std::mem::take(&mut walk.found);
    if found.has_errors() {
        return Err(found);
    }
    if !data.is_empty() {
        let mut reads = Reads::default();
        reads.add_data(data);
        return Ok(Outcome::NeedReads(reads));
    }
    let going = with_dependants(input, targets);
    let mut leaving = Leaving::new(input, world, &walk);
    for (addr, object) in world.objects().filter(|(addr, _)| going.contains(addr)) {
        if let Some(block) = block(statics, addr).filter(|b| b.lifecycle.prevent_destroy) {
            leaving.found.push(prevented(addr, block));
        }
        leaving.leave(addr, object, Reason::Destroy);
    }
    for ((addr, key), object) in &input.state.deposed {
        if targets.names(addr) {
            leaving.deposed(addr, key, object, Reason::Destroy);
        }
    }
    for begun in world.all_begun().filter(|p| targets.names(&p.addr)) {
        leaving.abandoned(begun);
    }
    let gone = leaving.gone;
    found.extend(leaving.found);
    if found.has_errors() {
        return Err(found);
    }
    let mut outputs = BTreeMap::new();
    if targets.wanted().is_none() {
        for (name, stored) in &input.state.outputs {
            outputs.insert(name.as_str().into(), output_change(Some(stored), None, stored.sensitive)?);
        }
    }
    // What instances are does not matter any more, but for the providers that are made of them.
    finish(&walk, input, world, Made { decided: Vec::new(), gone, outputs, warnings: found })
}

/// A plan that only records what was found.
pub(crate) fn refresh_only<'a>(
    statics: &Arc<Statics<'a>>,
    input: &'a Input<'a>,
    world: &'a World<'a>,
    targets: &Targets<'_>,
) -> Result<Outcome, Diagnostics> {
    let mut walk = Walk::new(statics.clone(), crate::env(input));
    let mut driver = crate::refresh::Remembered::new(input, world);
    walk.run(&mut driver, targets.wanted());
    let mut found = std::mem::take(&mut walk.found);
    if found.has_errors() {
        return Err(found);
    }
    if !driver.reads.is_empty() {
        let mut reads = Reads::default();
        reads.add_data(driver.reads);
        return Ok(Outcome::NeedReads(reads));
    }
    let finder = ProviderFinder::new(&walk);
    let (mut operations, mut changes) = (Vec::new(), Vec::new());
    for (addr, object) in world.objects().filter(|(addr, _)| targets.names(addr)) {
        let prior = world.prior(addr)?;
        let provider = found.keep(finder.key_of(addr, object));
        let Some(provider) = provider else { continue };
        let mut record = |action, prior, planned| {
            operations.push(Operation {
                id: crate::OpId(u32::try_from(operations.len()).unwrap_or(u32::MAX)),
                addr: addr.clone(),
                object: crate::ObjectRef::Current,
                action,
                provider: provider.clone(),
                prior,
                planned,
                requires: Vec::new(),
                dependencies: object.dependencies.clone(),
                estimate: std::time::Duration::ZERO,
                create_before_destroy: object.create_before_destroy,
            });
        };
        let mut action = Action::NoOp;
        match prior {
            Prior::Gone(before) => {
                record(OpAction::Forget, Some(before), None);
                action = Action::Forget;
            }
            Prior::There { value, remembered: Some(_) } => {
                record(OpAction::Record, Some(value.clone()), Some(value))
            }
            _ => {}
        }
        changes.push(Change {
            addr: addr.clone(),
            deposed: None,
            action,
            reason: (action == Action::Forget).then_some(Reason::GoneOutside),
            before: None,
            after: None,
            changed: Vec::new(),
        });
    }
    if found.has_errors() {
        return Err(found);
    }
    let outputs = outputs(&walk, input, None)?;
    let mut plan = empty(input, found);
    (plan.changes, plan.operations, plan.outputs) = (changes, operations, outputs);
    plan.drift = drift(input, world)?;
    Ok(Outcome::Ready(Box::new(plan)))
}

/// What is wrong with each of many instances in the same way is said of the first.
fn said_once(mut found: Diagnostics) -> Diagnostics {
    let mut said = BTreeSet::new();
    found.0.retain(|d| said.insert((d.span, d.summary.clone(), d.detail.clone())));
    found
}

fn block<'a>(statics: &Statics<'a>, addr: &InstanceAddr) -> Option<&'a Resource> {
    let (module, i) = statics.find(&addr.resource)?;
    statics.modules[module].config.resources.get_index(i).map(|(_, r)| &**r)
}

/// The objects that targets name, and all that depend on them: none is left standing on nothing.
fn with_dependants<'a>(input: &'a Input<'_>, targets: &Targets<'_>) -> BTreeSet<&'a InstanceAddr> {
    let objects = &input.state.objects;
    if targets.wanted().is_none() {
        return objects.keys().collect();
    }
    let mut dependants: HashMap<&InstanceAddr, Vec<&InstanceAddr>> = HashMap::new();
    for (addr, object) in objects {
        for dep in &object.dependencies {
            dependants.entry(dep).or_default().push(addr);
        }
    }
    let mut going = BTreeSet::new();
    let mut todo: Vec<&InstanceAddr> = objects.keys().filter(|addr| targets.names(addr)).collect();
    while let Some(addr) = todo.pop() {
        if going.insert(addr) {
            let all = addr.resource.instance(InstanceKey::None);
            todo.extend(dependants.get(addr).into_iter().chain(dependants.get(&all)).flatten());
        }
    }
    going
}

/// Objects that go.
struct Leaving<'w, 'a> {
    input: &'a Input<'a>,
    world: &'w World<'a>,
    walk: &'w Walk<'a>,
    finder: ProviderFinder<'w, 'a>,
    found: Diagnostics,
    gone: Vec<Gone<'a>>,
}

impl<'w, 'a> Leaving<'w, 'a> {
    fn new(input: &'a Input<'a>, world: &'w World<'a>, walk: &'w Walk<'a>) -> Self {
        let finder = ProviderFinder::new(walk);
        Leaving { input, world, walk, finder, found: Diagnostics::new(), gone: Vec::new() }
    }

    /// An object that the configuration does not have.
    fn orphan(&mut self, addr: &'a InstanceAddr, object: &'a Object) {
        let statics = &self.walk.statics;
        let mut reason = Reason::NotInConfiguration;
        if let Some(block) = block(statics, addr) {
            if block.lifecycle.prevent_destroy {
                self.found.push(prevented(addr, block));
            }
            if self.walk.by_addr.contains_key(&addr.resource.module) {
                reason = match (&addr.key, repeated(block.count.is_some(), block.for_each.is_some())) {
                    (InstanceKey::Int(_), Repeated::Count) => Reason::IndexOutOfCount,
                    (InstanceKey::Str(_), Repeated::ForEach) => Reason::KeyNotInForEach,
                    _ => Reason::RepetitionChanged,
                };
            }
        }
        self.leave(addr, object, reason);
    }

    fn leave(&mut self, addr: &'a InstanceAddr, object: &'a Object, reason: Reason) {
        let (Some(prior), Some(provider)) =
            (self.found.keep(self.world.prior(addr)), self.provider(addr, object))
        else {
            return;
        };
        let (reason, how) = match prior {
            Prior::Gone(value) => (Reason::GoneOutside, Going::Forget(value)),
            Prior::There { value, .. } => (reason, Going::Delete(object, value)),
            Prior::Absent => return,
        };
        self.gone.push(Gone { addr: addr.clone(), deposed: None, provider, reason, how });
    }

    fn deposed(&mut self, addr: &'a InstanceAddr, key: &'a str, object: &'a Object, reason: Reason) {
        let Some(kind) = self.input.registry.resource(&addr.resource.ty) else { return };
        let value = self.found.keep(decode(kind, addr, object));
        if let (Some(value), Some(provider)) = (value, self.provider(addr, object)) {
            let how = Going::Delete(object, value);
            self.gone.push(Gone { addr: addr.clone(), deposed: Some(key), provider, reason, how });
        }
    }

    fn abandoned(&mut self, begun: &'a grappe_state::Pending) {
        let Some(kind) = self.input.registry.resource(&begun.addr.resource.ty) else { return };
        let planned = wire::decode(&begun.planned, kind.ty()).map_err(|e| {
            Diagnostic::error("Invalid operation in the journal").detail(e.to_string()).address(&begun.addr)
        });
        let made = Object { provider: begun.provider.clone(), ..Object::default() };
        let provider = self.provider(&begun.addr, &made);
        if let (Some(planned), Some(provider)) = (self.found.keep(planned), provider) {
            let how = Going::Adopt(begun, planned);
            self.gone.push(Gone {
                addr: begun.addr.clone(),
                deposed: None,
                provider,
                reason: Reason::Abandoned,
                how,
            });
        }
    }

    fn provider(&mut self, addr: &InstanceAddr, object: &Object) -> Option<ProviderKey> {
        let key = self.found.keep(self.finder.key_of(addr, object))?;
        // Whether there still is such a configuration.
        match self.finder.config(&key) {
            Ok(_) => Some(key),
            Err(wrong) => {
                if !self.found.iter().any(|d| d.detail == wrong.detail) {
                    self.found.push(wrong);
                }
                None
            }
        }
    }
}

/// All that goes into a plan.
struct Made<'a> {
    decided: Vec<Decided<'a>>,
    gone: Vec<Gone<'a>>,
    outputs: BTreeMap<Arc<str>, OutputChange>,
    warnings: Diagnostics,
}

fn finish<'a>(
    walk: &Walk<'a>,
    input: &'a Input<'a>,
    world: &World<'a>,
    made: Made<'a>,
) -> Result<Outcome, Diagnostics> {
    let Made { decided, gone, outputs, warnings } = made;
    let mut dependencies = Dependencies::new(walk);
    let dependencies: Vec<_> = decided.iter().map(|d| dependencies.of(d.node)).collect();
    let first = First::new(walk, &decided);
    let records: Vec<bool> =
        decided.iter().enumerate().map(|(i, d)| records(d, &dependencies[i], first.configured[i])).collect();
    let mut plan = empty(input, warnings);
    let mut finder = ProviderFinder::new(walk);
    let keys: BTreeSet<&ProviderKey> =
        decided.iter().map(|d| &d.provider).chain(gone.iter().map(|g| &g.provider)).collect();
    let mut open_providers = BTreeMap::new();
    for key in keys {
        if let Some(config) = finder.config(key)? {
            if let (false, Some(node)) = (config.known(), finder.node(key)) {
                open_providers.insert(key.clone(), node);
            }
            plan.providers.push(config);
        }
    }
    plan.operations = operations(&Parts {
        walk,
        decided: &decided,
        gone: &gone,
        objects: &input.state.objects,
        dependencies: &dependencies,
        first: &first,
        records: &records,
        open_providers: &open_providers,
    })?;
    let used: BTreeSet<&ProviderKey> = plan.operations.iter().map(|o| &o.provider).collect();
    let in_use = |p: &ProviderConfig| used.contains(&p.key);
    plan.providers.retain(in_use);
    plan.moves = decided
        .iter()
        .filter_map(|d| Some((d.managed()?.object?.0, &d.addr)))
        .filter(|(from, to)| from != to)
        .map(|(from, to)| Move { from: from.clone(), to: to.clone() })
        .collect();
    plan.drift = drift(input, world)?;
    plan.outputs = outputs;
    for (decided, first) in decided.into_iter().zip(first.now) {
        if let Decision::Data(value) = &decided.what {
            plan.data.push(DataValue { addr: decided.addr.clone(), value: value.clone() });
        }
        plan.changes.push(change(decided, first));
    }
    plan.changes.extend(gone.into_iter().map(going));
    plan.changes.sort_by(|a, b| (&a.addr, &a.deposed).cmp(&(&b.addr, &b.deposed)));
    Ok(Outcome::Ready(Box::new(plan)))
}

fn empty(input: &Input<'_>, mut warnings: Diagnostics) -> Plan {
    if !input.options.targets.is_empty() {
        warnings.push(
            Diagnostic::warning("Resource targeting is in effect")
                .detail(
                    "With -target the result of this plan may not be all that the configuration asks for. It is for exceptional \
                     situations, such as recovering from errors or mistakes.",
                )
                .hint("plan again without -target afterwards"),
        );
    }
    // What is secret by declaration is sealed in a saved plan, as it is in the state.
    let declared = &input.config.root.variables;
    let marked = |(name, value): (&Arc<str>, &Value)| {
        let secret = declared.get(&**name).is_some_and(|v| v.sensitive);
        (name.clone(), if secret { value.clone().sensitive() } else { value.clone() })
    };
    Plan {
        mode: input.options.mode,
        changes: Vec::new(),
        moves: Vec::new(),
        operations: Vec::new(),
        outputs: BTreeMap::new(),
        drift: Vec::new(),
        providers: Vec::new(),
        variables: input.variables.iter().map(marked).collect(),
        data: Vec::new(),
        warnings,
        base: StateStamp { lineage: input.state.lineage.clone(), serial: input.state.serial },
        timestamp: input.options.timestamp.clone(),
        workspace: input.options.workspace.clone(),
        targets: input.options.targets.clone(),
    }
}

fn change(decided: Decided<'_>, create_first: bool) -> Change {
    let mut change = Change {
        addr: decided.addr,
        deposed: None,
        action: Action::NoOp,
        reason: None,
        before: None,
        after: None,
        changed: Vec::new(),
    };
    match decided.what {
        Decision::Data(_) => {}
        Decision::Deferred { planned, reason, .. } => {
            (change.action, change.reason, change.after) = (Action::Read, Some(reason), Some(planned));
        }
        Decision::Managed(managed) => {
            change.action = match managed.verdict {
                Verdict::NoOp | Verdict::Record => return change,
                Verdict::Create => Action::Create,
                Verdict::Update => Action::Update,
                Verdict::Replace(_) => Action::Replace { create_first },
            };
            change.before = managed.prior.value().cloned();
            change.changed =
                change.before.as_ref().map_or_else(Vec::new, |before| diff(before, &managed.planned));
            change.after = Some(managed.planned);
            change.reason = managed.reason;
        }
    }
    change
}

fn going(gone: Gone<'_>) -> Change {
    let (action, before) = match gone.how {
        Going::Delete(_, value) => (Action::Delete, Some(value)),
        Going::Forget(value) => (Action::Forget, Some(value)),
        Going::Adopt(_, planned) => (Action::Delete, Some(planned)),
    };
    Change {
        addr: gone.addr,
        deposed: gone.deposed.map(Arc::from),
        action,
        reason: Some(gone.reason),
        before,
        after: None,
        changed: Vec::new(),
    }
}

/// What was found different from what the state remembers.
fn drift(input: &Input<'_>, world: &World<'_>) -> Result<Vec<Drift>, Diagnostics> {
    let mut drift = Vec::new();
    for (addr, reading) in input.refreshed {
        if *reading == Reading::NotRead || !input.state.objects.contains_key(addr) {
            continue;
        }
        match world.prior(addr)? {
            Prior::Gone(before) => {
                drift.push(Drift {
                    addr: addr.clone(),
                    before: Some(before),
                    after: None,
                    changed: Vec::new(),
                });
            }
            Prior::There { value, remembered: Some(before) } => {
                let changed = diff(&before, &value);
                drift.push(Drift { addr: addr.clone(), before: Some(before), after: Some(value), changed });
            }
            _ => {}
        }
    }
    Ok(drift)
}

/// What becomes of the root module's outputs.
fn outputs(
    walk: &Walk<'_>,
    input: &Input<'_>,
    touched: Option<&[bool]>,
) -> Result<BTreeMap<Arc<str>, OutputChange>, Diagnostics> {
    let mut out = BTreeMap::new();
    let root = &walk.modules[0];
    let declared = &walk.statics.modules[0].config.outputs;
    for ((name, output), node) in declared.iter().zip(&root.outputs) {
        let Some(node) = node.filter(|n| touched.is_none_or(|t| is_whole(walk, *n, t))) else { continue };
        let stored = input.state.outputs.get(&**name);
        out.insert(name.clone(), output_change(stored, Some(&walk.node(node).value), output.sensitive)?);
    }
    for (name, stored) in &input.state.outputs {
        if !declared.contains_key(name.as_str()) && touched.is_none() {
            out.insert(name.as_str().into(), output_change(Some(stored), None, stored.sensitive)?);
        }
    }
    Ok(out)
}

/// Whether all instances that an output is made of belong to a plan with targets.
fn is_whole(walk: &Walk<'_>, output: NodeId, touched: &[bool]) -> bool {
    let mut todo = vec![output];
    let mut seen = BTreeSet::new();
    while let Some(node) = todo.pop() {
        if touched[node as usize] || !seen.insert(node) {
            continue;
        }
        let node = walk.node(node);
        if matches!(node.what, crate::walk::What::Instance(..)) {
            return false;
        }
        todo.extend(&*node.deps);
    }
    true
}

fn output_change(
    stored: Option<&OutputValue>,
    after: Option<&Value>,
    sensitive: bool,
) -> Result<OutputChange, Diagnostics> {
    let before = match stored {
        Some(stored) => Some(
            wire::decode(&stored.value, &stored.ty)
                .map_err(|e| Diagnostic::error("Invalid output in the state").detail(e.to_string()))?,
        ),
        None => None,
    };
    // A null output is none, as everywhere else in the language.
    let after = after.filter(|v| !v.is_null()).cloned();
    let action = match (&before, &after) {
        (None, None) => Action::NoOp,
        (None, Some(_)) => Action::Create,
        (Some(_), None) => Action::Delete,
        (Some(b), Some(a)) if b.same(a) && stored.is_some_and(|s| s.sensitive == sensitive) => Action::NoOp,
        _ => Action::Update,
    };
    Ok(OutputChange { action, before, after, sensitive })
}
