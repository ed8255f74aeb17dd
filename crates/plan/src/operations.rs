//! The graph of operations: what is done to each object, and what must come before it.
//!
//! Every node of the walk has a place, and so has every object of the state:
//!
//! - at a node, what makes or changes the instance (or, for most, nothing),
//! - at an object of the state, its deletion (or nothing).
//!
//! Order of the first follows what the configuration depends on; order of the second is the reverse of what the state says that objects depend on. A
//! replacement has both: delete, then create, or the other way round with `create_before_destroy`. What that inverts, it inverts for all that the object
//! depends on, so that nothing is deleted while something still stands on it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_state::{Object, Timeouts};
use grappe_value::Value;
use grappe_value::addr::{InstanceAddr, InstanceKey, ResourceAddr};

use crate::decide::Verdict;
use crate::decided::{Decided, Decision, Estimates, Going, Gone};
use crate::ephemeral::needed;
use crate::leaving::Dependants;
use crate::model::{ObjectRef, OpAction, OpId, Operation, ProviderKey, Reason, StepOp};
use crate::order::{Drawing, Placed, Worth};
use crate::provision::before_deleting;
use crate::walk::{NodeId, Walk};
use crate::world::Prior;

/// An operation before it has its number.
struct Draft {
    addr: InstanceAddr,
    object: ObjectRef,
    /// The place of the create that deposes the object.
    deposed_by: Option<usize>,
    action: OpAction,
    provider: ProviderKey,
    prior: Option<Value>,
    planned: Option<Value>,
    dependencies: Vec<InstanceAddr>,
    estimate: Duration,
    create_before_destroy: bool,
    steps: u32,
    lenient: bool,
    timeouts: Timeouts,
}

impl Draft {
    /// A step of the same object. What waits for the object waits for its steps.
    fn step(&self, step: &StepOp, object: Option<&Value>) -> Draft {
        Draft {
            addr: self.addr.clone(),
            object: self.object.clone(),
            deposed_by: self.deposed_by,
            action: OpAction::Provision(step.clone()),
            provider: self.provider.clone(),
            prior: object.cloned(),
            planned: None,
            dependencies: self.dependencies.clone(),
            estimate: Duration::from_secs(1),
            create_before_destroy: self.create_before_destroy,
            steps: self.steps,
            lenient: false,
            timeouts: self.timeouts,
        }
    }
}

/// What is known of the instances when the graph is drawn.
pub(crate) struct Parts<'p, 'a> {
    pub(crate) walk: &'p Walk<'a>,
    pub(crate) decided: &'p [Decided<'a>],
    pub(crate) gone: &'p [Gone<'a>],
    /// The managed objects of the state.
    pub(crate) objects: &'p BTreeMap<InstanceAddr, Object>,
    /// For each of `decided`: what the state must store as its dependencies.
    pub(crate) dependencies: &'p [Vec<InstanceAddr>],
    pub(crate) first: &'p First,
    /// The objects on which something stands that the plan leaves as it is, directly or not.
    pub(crate) stood_on: &'p BTreeSet<&'p InstanceAddr>,
    /// For each of `decided`: whether the state must be written though nothing is done.
    pub(crate) records: &'p [bool],
    /// The nodes of provider configurations that are not known yet.
    pub(crate) open_providers: &'p BTreeMap<ProviderKey, NodeId>,
}

/// Draws the graph and gives the operations in order.
pub(crate) fn operations(parts: &Parts<'_, '_>) -> Result<Vec<Operation>, Diagnostics> {
    let mut draw = Draw {
        parts,
        drawing: Drawing::default(),
        drafts: HashMap::new(),
        nodes: 0,
        objects: HashMap::new(),
        all_of: HashMap::new(),
        late: HashMap::new(),
        last: BTreeMap::new(),
        aside: Vec::new(),
        estimates: Estimates::new(parts.objects.iter()),
        needed: needed(parts),
    };
    draw.draw();
    draw.finish()
}

struct Draw<'p, 'a> {
    parts: &'p Parts<'p, 'a>,
    drawing: Drawing,
    /// What is done at a place, one after the other.
    drafts: HashMap<usize, Vec<Draft>>,
    /// The place of the first node.
    nodes: usize,
    /// The places of objects of the state.
    objects: HashMap<&'p InstanceAddr, usize>,
    /// A place before the objects of a resource, and how many they are: one edge leads to all of them.
    all_of: HashMap<&'p ResourceAddr, (usize, usize)>,
    /// A place before those deletions of a resource that come after everything else.
    late: HashMap<&'p ResourceAddr, usize>,
    /// Those deletions, by the address in the state.
    last: BTreeMap<&'p InstanceAddr, Vec<usize>>,
    /// The places of what goes and is no current object, and what that depends on.
    aside: Vec<(usize, &'p [InstanceAddr])>,
    estimates: Estimates,
    /// The ephemeral resources that are opened.
    needed: HashSet<NodeId>,
}

impl<'p> Draw<'p, '_> {
    fn draw(&mut self) {
        let parts = self.parts;
        self.nodes = self.drawing.add(parts.walk.nodes.len());
        for (id, node) in parts.walk.nodes.iter().enumerate() {
            for dep in &*node.deps {
                self.drawing.edge(self.nodes + *dep as usize, self.nodes + id, Worth::Must);
            }
        }
        let replaces =
            |d: &Decided<'_>| d.managed().is_some_and(|m| matches!(m.verdict, Verdict::Replace(_)));
        if !parts.gone.is_empty() || parts.decided.iter().any(replaces) {
            self.draw_state();
        }
        for (i, decided) in parts.decided.iter().enumerate() {
            self.draw_decided(i, decided);
        }
        for gone in parts.gone {
            self.draw_gone(gone);
        }
        self.draw_wishes();
    }

    /// A place for each object of the state: what depends on it goes first.
    fn draw_state(&mut self) {
        let objects = self.parts.objects;
        let first = self.drawing.add(objects.len());
        self.objects = objects.keys().enumerate().map(|(i, addr)| (addr, first + i)).collect();
        for addr in objects.keys() {
            let (all, n) = self.all_of.entry(&addr.resource).or_insert_with(|| (self.drawing.add(1), 0));
            *n += 1;
            self.drawing.edge(*all, self.objects[addr], Worth::Stored);
        }
        for (addr, object) in objects {
            self.goes_before(self.objects[addr], &object.dependencies);
        }
    }

    /// What is at a place goes before the objects that it depends on.
    fn goes_before(&mut self, place: usize, dependencies: &[InstanceAddr]) {
        for dep in dependencies {
            // No key: all instances of the resource, or the only one. (Or none: it is gone.) Both are there where an earlier wave made the one
            // and the others are still to go.
            let several = || match (&dep.key, self.all_of.get(&*dep.resource)) {
                (InstanceKey::None, Some((all, n))) if *n > 1 || !self.objects.contains_key(dep) => {
                    Some(*all)
                }
                _ => None,
            };
            if let Some(before) = several().or_else(|| self.objects.get(dep).copied()) {
                self.drawing.edge(place, before, Worth::Stored);
            }
        }
    }

    fn draw_decided(&mut self, i: usize, decided: &'p Decided<'_>) {
        let place = self.nodes + decided.node as usize;
        let draft = |action, prior, planned, estimate| Draft {
            addr: decided.addr.clone(),
            object: ObjectRef::Current,
            deposed_by: None,
            action,
            provider: decided.provider.clone(),
            prior,
            planned,
            dependencies: self.parts.dependencies[i].clone(),
            estimate,
            create_before_destroy: self.parts.first.configured[i],
            steps: decided.managed().map_or(0, |m| m.all_steps),
            lenient: decided.lenient,
            timeouts: decided.timeouts,
        };
        let managed = match &decided.what {
            Decision::Data(_) => return,
            Decision::Ephemeral if !self.needed.contains(&decided.node) => return,
            Decision::Ephemeral => {
                let estimate = self.estimates.of(&decided.addr, None);
                self.drafts.insert(place, vec![draft(OpAction::Open, None, None, estimate)]);
                return;
            }
            Decision::Deferred { config, .. } => {
                let estimate = self.estimates.of(&decided.addr, None);
                self.drafts.insert(place, vec![draft(OpAction::Read, None, Some(config.clone()), estimate)]);
                return;
            }
            Decision::Managed(managed) => managed,
        };
        let estimate = self.estimates.of(&decided.addr, managed.object.map(|(_, o)| o));
        let planned = Some(managed.planned.clone());
        let prior = managed.prior.value().cloned();
        match &managed.verdict {
            Verdict::NoOp | Verdict::Record if self.parts.records[i] => {
                self.drafts.insert(place, vec![draft(OpAction::Record, prior, planned, Duration::ZERO)]);
            }
            Verdict::NoOp | Verdict::Record => {}
            Verdict::Update => {
                self.drafts.insert(place, vec![draft(OpAction::Update, prior, planned, estimate)]);
            }
            Verdict::Create => {
                let resume = managed.resume.map(|p| Box::new(p.clone()));
                let create = OpAction::Create { resume, deposes: false };
                self.drafts.insert(place, vec![draft(create, None, planned, estimate)]);
            }
            Verdict::Replace(_) => {
                let first = self.parts.first.now[i];
                let create =
                    draft(OpAction::Create { resume: None, deposes: first }, None, planned, estimate);
                self.drafts.insert(place, vec![create]);
                let Some((from, object)) = managed.object else { return };
                let Some(delete) = self.objects.get(from).copied() else { return };
                let reason = managed.reason.clone().unwrap_or(Reason::Requested);
                let action = OpAction::Delete { reason, adopt: None };
                let mut gone = draft(action, prior, None, estimate);
                gone.dependencies = object.dependencies.clone();
                if first && self.parts.stood_on.contains(from) {
                    // It goes when what stands on it was changed or is gone: a later plan finds it deposed.
                    return;
                }
                if first {
                    gone.deposed_by = Some(place);
                    self.last.entry(from).or_default().push(delete);
                    self.drawing.edge(place, delete, Worth::Must);
                } else {
                    self.drawing.edge(delete, place, Worth::Must);
                }
                let steps = before_deleting(&self.parts.walk.statics, from, object);
                self.drafts.insert(delete, with_steps(steps, gone));
            }
        }
        if !managed.steps.is_empty() {
            // What is done for the object is done before anything that waits for it.
            let pattern = draft(OpAction::Join, None, None, Duration::ZERO);
            let steps = managed.steps.iter().map(|step| pattern.step(step, None));
            self.drafts.entry(place).or_default().extend(steps);
        }
        if let Some(begun) = managed.abandon {
            // What was begun is cleared away first.
            let adopt = self.drawing.add(1);
            let action = OpAction::Delete { reason: Reason::Abandoned, adopt: Some(Box::new(begun.clone())) };
            let what = grappe_value::wire::decode(&begun.planned, managed.kind.ty()).ok();
            let mut clear = draft(action, None, what, estimate);
            clear.dependencies = begun.dependencies.clone();
            self.drafts.insert(adopt, vec![clear]);
            self.goes_before(adopt, &begun.dependencies);
            self.drawing.edge(adopt, place, Worth::Must);
        }
    }

    fn draw_gone(&mut self, gone: &'p Gone<'_>) {
        let (place, object, action, value) = match &gone.how {
            Going::Delete(object, value, _) => {
                let action = OpAction::Delete { reason: gone.reason.clone(), adopt: None };
                (self.place_of(gone), Some(*object), action, Some(value))
            }
            Going::Forget(value) => (self.place_of(gone), None, OpAction::Forget, Some(value)),
            Going::Adopt(begun, _) => {
                let adopt = Some(Box::new((*begun).clone()));
                (self.drawing.add(1), None, OpAction::Delete { reason: gone.reason.clone(), adopt }, None)
            }
        };
        let dependencies = match (&gone.how, object) {
            (Going::Adopt(begun, _), _) => &begun.dependencies[..],
            (_, Some(object)) => &object.dependencies[..],
            _ => &[],
        };
        if gone.deposed.is_some() || matches!(gone.how, Going::Adopt(..)) {
            self.goes_before(place, dependencies);
            self.aside.push((place, dependencies));
        }
        if !matches!(gone.how, Going::Adopt(..)) {
            self.last.entry(&gone.addr).or_default().push(place);
        }
        let forgets = action == OpAction::Forget;
        let planned = match &gone.how {
            Going::Adopt(_, planned) => Some(planned.clone()),
            _ => None,
        };
        let draft = Draft {
            addr: gone.addr.clone(),
            object: gone.deposed.map_or(ObjectRef::Current, |key| ObjectRef::Deposed(key.into())),
            deposed_by: None,
            action,
            provider: gone.provider.clone(),
            prior: value.cloned(),
            planned,
            dependencies: dependencies.to_vec(),
            estimate: if forgets { Duration::ZERO } else { self.estimates.of(&gone.addr, object) },
            create_before_destroy: false,
            steps: 0,
            lenient: false,
            timeouts: gone.timeouts,
        };
        let steps = match &gone.how {
            Going::Delete(_, _, steps) => steps.clone(),
            _ => Vec::new(),
        };
        self.drafts.insert(place, with_steps(steps, draft));
        if let Some(provider) = self.parts.open_providers.get(&gone.provider) {
            self.drawing.edge(self.nodes + *provider as usize, place, Worth::Late);
        }
    }

    /// The place of an object that goes: that of the current one, a new one for a deposed one.
    fn place_of(&mut self, gone: &Gone<'_>) -> usize {
        match self.objects.get(&gone.addr) {
            Some(place) if gone.deposed.is_none() => *place,
            _ => self.drawing.add(1),
        }
    }

    /// What is better in a certain order: an object that nothing needs any more goes when all who needed it were changed, and what goes, goes before
    /// what it stood on is changed in place.
    fn draw_wishes(&mut self) {
        let parts = self.parts;
        let last = std::mem::take(&mut self.last);
        if last.is_empty() {
            return;
        }
        // What an earlier run deposed waits for the object that takes its place, where that run did not get to make it.
        for decided in parts.decided {
            let Some(places) = last.get(&decided.addr) else { continue };
            let creates = decided.managed().is_some_and(|m| m.verdict == Verdict::Create);
            for place in places.iter().filter(|_| creates) {
                self.drawing.edge(self.nodes + decided.node as usize, *place, Worth::Late);
            }
        }
        for (addr, places) in &last {
            let all = *self.late.entry(&addr.resource).or_insert_with(|| self.drawing.add(1));
            for place in places {
                self.drawing.edge(all, *place, Worth::Late);
            }
        }
        if parts.gone.iter().any(|gone| gone.deposed.is_some()) {
            // What stood on a deposed object names the address that its successor has now.
            for (addr, object) in parts.objects {
                self.goes_early(self.objects[addr], &object.dependencies, &last);
            }
            for (place, dependencies) in std::mem::take(&mut self.aside) {
                self.goes_early(place, dependencies, &last);
            }
        }
        for (i, decided) in parts.decided.iter().enumerate() {
            let Some(managed) = decided.managed() else { continue };
            let Some((_, object)) = managed.object else { continue };
            let changes = match managed.verdict {
                Verdict::Update => true,
                Verdict::Replace(_) => parts.first.now[i],
                Verdict::NoOp | Verdict::Record => parts.records[i],
                Verdict::Create => false,
            };
            if !changes {
                continue;
            }
            let place = self.nodes + decided.node as usize;
            self.goes_early(place, &object.dependencies, &last);
        }
        let routes = self.draw_routes();
        self.draw_early(&routes);
    }

    /// What is at a place comes before those deletions that come after everything else, of what it depends on.
    fn goes_early(
        &mut self,
        place: usize,
        dependencies: &[InstanceAddr],
        last: &BTreeMap<&'p InstanceAddr, Vec<usize>>,
    ) {
        for dep in dependencies {
            last.get(dep).into_iter().flatten().for_each(|gone| self.drawing.edge(place, *gone, Worth::Late));
            if let Some(all) = self.late.get(&*dep.resource).filter(|_| dep.key == InstanceKey::None) {
                self.drawing.edge(place, *all, Worth::Late);
            }
        }
    }

    /// What leads others to what goes leads nowhere first. Gives the objects that lead elsewhere from now on.
    fn draw_routes(&mut self) -> HashSet<&'p InstanceAddr> {
        let parts = self.parts;
        let changed = parts.decided.iter().filter_map(|decided| {
            let managed = decided.managed().filter(|m| m.verdict == Verdict::Update)?;
            let prior = managed.prior.value()?;
            let mut routes =
                managed.kind.schema().attributes.iter().filter(|(_, attribute)| attribute.routes);
            let changes = routes.any(|(name, _)| prior.get(name) != managed.planned.get(name));
            Some((managed.object?.0, self.nodes + decided.node as usize)).filter(|_| changes)
        });
        let changed: HashMap<&InstanceAddr, usize> = changed.collect();
        if changed.is_empty() {
            return HashSet::new();
        }
        let dependants = Dependants::of(parts.objects);
        for (addr, update) in &changed {
            let after = dependants.with([*addr].into_iter());
            for gone in parts.gone.iter().filter(|g| g.deposed.is_none() && after.contains(&g.addr)) {
                if let (Going::Delete(..), Some(place)) = (&gone.how, self.objects.get(&gone.addr)) {
                    self.drawing.edge(*update, *place, Worth::Late);
                }
            }
        }
        changed.into_keys().collect()
    }

    fn draw_early(&mut self, routes: &HashSet<&InstanceAddr>) {
        let parts = self.parts;
        let updates =
            parts.decided.iter().filter(|d| d.managed().is_some_and(|m| m.verdict == Verdict::Update));
        let updated: HashMap<&InstanceAddr, usize> =
            updates.filter_map(|d| Some((d.managed()?.object?.0, self.nodes + d.node as usize))).collect();
        if updated.is_empty() {
            return;
        }
        for gone in parts.gone.iter().filter(|g| g.deposed.is_none()) {
            let (Going::Delete(object, ..), Some(place)) = (&gone.how, self.objects.get(&gone.addr)) else {
                continue;
            };
            for dep in object.dependencies.iter().filter(|dep| !routes.contains(dep)) {
                if let Some(update) = updated.get(dep) {
                    self.drawing.edge(*place, *update, Worth::Early);
                }
            }
        }
    }

    fn finish(self) -> Result<Vec<Operation>, Diagnostics> {
        let Draw { drawing, mut drafts, parts, nodes, .. } = self;
        let placed = drawing.place(|place| drafts.contains_key(&place)).map_err(|cycle| {
            let name = |place: &usize| match drafts.get(place).and_then(|all| all.first()) {
                Some(draft) => Some(format!("  {} {}", draft.action.verb(), draft.addr)),
                None => {
                    let addr = parts.walk.nodes.get(place.checked_sub(nodes)?)?.what;
                    parts.walk.addr(addr).map(|addr| format!("  {addr}"))
                }
            };
            let way: Vec<String> = cycle.0.iter().filter_map(name).collect();
            Diagnostic::error("Operations wait for each other")
                .detail(format!("No order of these keeps all dependencies:\n{}", way.join("\n")))
                .hint("limit the plan with -target to a part of them, and plan the rest afterwards")
        })?;
        let id = |i: usize| OpId(u32::try_from(i).unwrap_or(u32::MAX));
        // A place may be several operations: who comes after it comes after the last of them.
        let (mut firsts, mut lasts, mut next) = (HashMap::new(), Vec::with_capacity(placed.len()), 0);
        for placed in &placed {
            let many = match placed {
                Placed::Operation { place, .. } => {
                    firsts.insert(*place, id(next));
                    drafts.get(place).map_or(1, Vec::len)
                }
                Placed::Join { .. } => 1,
            };
            next += many;
            lasts.push(id(next - 1));
        }
        let after = |requires: Vec<u32>| -> Vec<OpId> {
            requires.into_iter().filter_map(|r| lasts.get(r as usize).copied()).collect()
        };
        let mut operations: Vec<Operation> = Vec::with_capacity(next);
        for placed in placed {
            match placed {
                Placed::Operation { place, requires } => {
                    let mut requires = after(requires);
                    // Places are those that have drafts.
                    for draft in drafts.remove(&place).unwrap_or_default() {
                        let own = id(operations.len());
                        let requires = std::mem::replace(&mut requires, vec![own]);
                        operations.push(Operation {
                            id: own,
                            addr: draft.addr,
                            object: match draft.deposed_by.and_then(|create| firsts.get(&create)) {
                                Some(create) => ObjectRef::DeposedBy(*create),
                                None => draft.object,
                            },
                            action: draft.action,
                            provider: draft.provider,
                            prior: draft.prior,
                            planned: draft.planned,
                            requires,
                            dependencies: draft.dependencies,
                            estimate: draft.estimate,
                            create_before_destroy: draft.create_before_destroy,
                            steps: draft.steps,
                            lenient: draft.lenient,
                            timeouts: draft.timeouts,
                        });
                    }
                }
                Placed::Join { requires } => {
                    // A join has predecessors: it is made where many meet many.
                    let requires = after(requires);
                    let first = requires.first().and_then(|r| operations.get(r.index()));
                    let Some((addr, provider)) = first.map(|o| (o.addr.clone(), o.provider.clone())) else {
                        continue;
                    };
                    operations.push(Operation {
                        id: id(operations.len()),
                        addr,
                        object: ObjectRef::Current,
                        action: OpAction::Join,
                        provider,
                        prior: None,
                        planned: None,
                        requires,
                        dependencies: Vec::new(),
                        estimate: Duration::ZERO,
                        create_before_destroy: false,
                        steps: 0,
                        lenient: false,
                        timeouts: Timeouts::default(),
                    });
                }
            }
        }
        Ok(operations)
    }
}

/// Steps, and then the deletion of the same object.
fn with_steps(steps: Vec<StepOp>, delete: Draft) -> Vec<Draft> {
    let mut all: Vec<Draft> = steps.iter().map(|step| delete.step(step, delete.prior.as_ref())).collect();
    all.push(delete);
    all
}

/// Whether replacements are created first, for each of the decided.
pub(crate) struct First {
    /// Where its block says so, or that of something that is made of it: what the state stores.
    pub(crate) configured: Vec<bool>,
    /// Or the state says that such a thing still stands on it: what is done now.
    pub(crate) now: Vec<bool>,
}

impl First {
    /// Of what is not decided on and stays as it is (`standing`), the state says what was decided once.
    pub(crate) fn new(
        walk: &Walk<'_>,
        decided: &[Decided<'_>],
        standing: &BTreeSet<&InstanceAddr>,
        objects: &BTreeMap<InstanceAddr, Object>,
    ) -> Self {
        let stands =
            || standing.iter().filter_map(|addr| objects.get(*addr)).filter(|o| o.create_before_destroy);
        let own: Vec<NodeId> = decided
            .iter()
            .filter(|d| d.managed().is_some_and(|m| m.create_before_destroy))
            .map(|d| d.node)
            .collect();
        if own.is_empty() && stands().next().is_none() {
            return First { configured: vec![false; decided.len()], now: vec![false; decided.len()] };
        }
        let mut first = vec![false; walk.nodes.len()];
        spread(walk, &mut first, own, |_, _| ());
        let stored = |d: &Decided<'_>| {
            d.managed().and_then(|m| m.object).is_some_and(|(_, o)| o.create_before_destroy)
        };
        let configured: Vec<bool> =
            decided.iter().map(|d| first[d.node as usize] || !standing.is_empty() && stored(d)).collect();

        // The same again, along what the state says that objects depend on.
        let of_node: HashMap<NodeId, &Decided<'_>> = decided.iter().map(|d| (d.node, d)).collect();
        let mut by_addr: HashMap<&InstanceAddr, NodeId> = HashMap::new();
        let mut by_resource: HashMap<&Arc<ResourceAddr>, Vec<NodeId>> = HashMap::new();
        for d in decided {
            if let Some((from, _)) = d.managed().and_then(|m| m.object) {
                by_addr.insert(from, d.node);
                by_resource.entry(&from.resource).or_default().push(d.node);
            }
        }
        let mut todo: Vec<NodeId> =
            decided.iter().zip(&configured).filter(|(_, first)| **first).map(|(d, _)| d.node).collect();
        for dep in stands().flat_map(|object| &object.dependencies) {
            match (by_addr.get(dep), dep.key == InstanceKey::None) {
                (Some(node), _) => todo.push(*node),
                (None, true) => todo.extend(by_resource.get(&dep.resource).into_iter().flatten()),
                (None, false) => {}
            }
        }
        let mut now = vec![false; walk.nodes.len()];
        spread(walk, &mut now, todo, |node, todo| {
            let object = of_node.get(&node).and_then(|d| d.managed()?.object);
            for dep in object.iter().flat_map(|(_, o)| &o.dependencies) {
                match by_addr.get(dep) {
                    Some(node) => todo.push(*node),
                    // All instances of a resource: once is enough.
                    None => todo.extend(by_resource.remove(&dep.resource).unwrap_or_default()),
                }
            }
        });
        First { configured, now: decided.iter().map(|d| now[d.node as usize]).collect() }
    }
}

/// Marks nodes, all that they are made of, and what `more` adds for each.
fn spread(
    walk: &Walk<'_>,
    marked: &mut [bool],
    mut todo: Vec<NodeId>,
    mut more: impl FnMut(NodeId, &mut Vec<NodeId>),
) {
    while let Some(node) = todo.pop() {
        if !std::mem::replace(&mut marked[node as usize], true) {
            todo.extend(walk.node(node).deps.iter().filter(|d| !marked[**d as usize]));
            more(node, &mut todo);
        }
    }
}

/// Whether the state must be written for an instance to which nothing is done.
pub(crate) fn records(decided: &Decided<'_>, dependencies: &[InstanceAddr], create_first: bool) -> bool {
    let Some(managed) = decided.managed() else { return false };
    let Some((_, object)) = managed.object else { return false };
    // One that is stored and no longer there does no harm: what was unknown when the object was made may have looked at more.
    let stored: std::collections::HashSet<&InstanceAddr> = object.dependencies.iter().collect();
    let is_stored = |dep: &InstanceAddr| {
        stored.contains(dep) || stored.contains(&dep.resource.instance(InstanceKey::None))
    };
    managed.verdict == Verdict::Record
        || matches!(&managed.prior, Prior::There { remembered: Some(_), .. })
        || object.create_before_destroy != create_first
        || object.timeouts != decided.timeouts
        || object.schema_version != managed.kind.schema().version
        || object.provider != decided.provider.to_string()
        // What was undone of one that stays is not undone any more, and what is left of steps that there are not is none.
        || object.undone > 0
        || (object.steps_done.is_some() && managed.steps.is_empty())
        || !dependencies.iter().all(is_stored)
}
