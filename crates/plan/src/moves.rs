//! `moved` and `removed`: what the state calls an object, and what the configuration calls it now.
//!
//! Objects are renamed before anything is planned: the planner sees a state in which they stand under their new addresses already, and the plan says
//! which those are ([`crate::Move`]), so that the engine renames them first of all. The renaming itself is the journal's ([`Record::Moved`]), so that both
//! come to the same state.
//!
//! A statement that another one's result may match comes after it (`a` to `b` to `c`), and what goes into a module that is moved itself goes first. Where
//! there is an object already, what would be moved there stays, with a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_graph::Graph;
use grappe_lang::{Moved, Removed};
use grappe_state::{Ledger, Moved as Renamed, Pending, Record, State};
use grappe_value::addr::{InstanceAddr, InstanceKey, Mode, ModuleAddr, ResourceAddr, Target};

use crate::input::{Input, Options};
use crate::statics::Statics;
use crate::walk::Walk;

/// What a statement names: absolute, but for the keys of the modules that the statement stands in.
#[derive(Clone, Debug, PartialEq)]
struct Pattern {
    /// `None`: any key.
    module: Vec<(Arc<str>, Option<InstanceKey>)>,
    resource: Option<ResourcePattern>,
}

/// Its mode, type and name, and the key of one instance.
type ResourcePattern = (Mode, Arc<str>, Arc<str>, Option<InstanceKey>);

/// A `moved` block in the module that it stands in.
struct Statement<'a> {
    block: &'a Moved,
    /// Which module of [`Statics::modules`].
    module: usize,
    /// How many calls lead to that module.
    depth: usize,
    from: Pattern,
    to: Pattern,
}

/// All statements of a configuration, and what they do to a state.
pub(crate) struct Moves<'a> {
    statements: Vec<Statement<'a>>,
    /// Of statements that follow each other in a ring: their positions.
    ring: Option<Vec<usize>>,
    /// What was moved: from the address in the state to the one that it has now.
    pub(crate) done: BTreeMap<InstanceAddr, InstanceAddr>,
    /// Those that were moved to.
    taken: BTreeSet<InstanceAddr>,
    /// What stays because there is something where it would go: what, and where.
    blocked: Vec<(String, String)>,
}

/// A state with the new addresses.
pub(crate) struct Renaming {
    pub(crate) state: State,
    pub(crate) pending: Vec<Pending>,
}

impl<'a> Moves<'a> {
    /// What the statements do to what the state holds.
    pub(crate) fn new(statics: &Statics<'a>, input: &Input<'_>) -> Self {
        let mut statements = Vec::new();
        for (module, node) in statics.modules.iter().enumerate() {
            for block in &node.config.moved {
                let (from, to) = patterns(&node.config.path, block);
                statements.push(Statement { block, module, depth: node.config.path.len(), from, to });
            }
        }
        let mut moves = Moves {
            statements,
            ring: None,
            done: BTreeMap::new(),
            taken: BTreeSet::new(),
            blocked: Vec::new(),
        };
        if moves.statements.is_empty() {
            return moves;
        }
        let all = moves.statements.iter().enumerate();
        let edges: Vec<(usize, usize)> = all
            .clone()
            .flat_map(|(i, a)| all.clone().map(move |(j, b)| (i, a, j, b)))
            .filter(|(i, a, j, b)| i != j && follows(a, b))
            .map(|(i, _, j, _)| (j, i))
            .collect();
        match Graph::new(moves.statements.len(), edges).order() {
            Ok(order) => moves.apply(&order, input),
            Err(cycle) => moves.ring = Some(cycle.0),
        }
        moves
    }

    fn apply(&mut self, order: &[usize], input: &Input<'_>) {
        let state = input.state;
        let known = state.objects.keys().chain(state.deposed.keys().map(|(addr, _)| addr));
        let known = known.chain(input.pending.iter().map(|p| &p.addr));
        // Where each is now, and where it was.
        let mut now: BTreeMap<InstanceAddr, InstanceAddr> = known.map(|a| (a.clone(), a.clone())).collect();
        for statement in order.iter().map(|i| &self.statements[*i]) {
            let hits: Vec<(InstanceAddr, InstanceAddr)> =
                now.keys().filter_map(|addr| Some((addr.clone(), statement.rewrite(addr)?))).collect();
            let mut taken: BTreeMap<String, bool> = BTreeMap::new();
            for (from, to) in &hits {
                let (unit, goal) = (statement.unit(from), statement.unit(to));
                let held = *taken
                    .entry(goal.clone())
                    .or_insert_with(|| now.keys().any(|addr| statement.unit(addr) == goal));
                if held {
                    let pair = (unit, goal);
                    if !self.blocked.contains(&pair) {
                        self.blocked.push(pair);
                    }
                }
            }
            for (from, to) in hits {
                if taken.get(&statement.unit(&to)) == Some(&false)
                    && let Some(origin) = now.remove(&from)
                {
                    now.insert(to, origin);
                }
            }
        }
        self.done = now.into_iter().filter(|(now, was)| now != was).map(|(now, was)| (was, now)).collect();
        self.taken = self.done.values().cloned().collect();
    }

    /// The state with the new addresses; `None` where nothing was moved.
    ///
    /// # Errors
    /// Where it can't be renamed like that (which would be a mistake in this program).
    pub(crate) fn rename(&self, input: &Input<'_>) -> Result<Option<Renaming>, Diagnostics> {
        if self.done.is_empty() {
            return Ok(None);
        }
        let mut ledger = Ledger::new(input.state.clone(), input.pending.to_vec());
        let moves = self.done.iter().map(|(from, to)| Renamed { from: from.clone(), to: to.clone() });
        ledger.apply(Record::Moved(moves.collect())).map_err(|why| {
            Diagnostic::error("Objects can't be moved like that").detail(format!("In the state, {why}."))
        })?;
        let pending = ledger.pending().cloned().collect();
        Ok(Some(Renaming { state: ledger.state, pending }))
    }

    /// Whether an object was moved to an address.
    pub(crate) fn moved_to(&self, addr: &InstanceAddr) -> bool {
        self.taken.contains(addr)
    }

    /// Whether a statement names a resource: then its objects are not moved without being asked.
    pub(crate) fn mention(&self, addr: &ResourceAddr) -> bool {
        let names = |p: &Pattern| {
            p.resource.as_ref().is_some_and(|(mode, ty, name, _)| {
                (*mode, ty, name) == (addr.mode, &addr.ty, &addr.name) && p.is_in(&addr.module)
            })
        };
        self.statements.iter().any(|s| names(&s.from) || names(&s.to))
    }

    /// What stays where it is.
    pub(crate) fn warnings(&self) -> Diagnostics {
        if self.blocked.is_empty() {
            return Diagnostics::new();
        }
        let lines: Vec<String> =
            self.blocked.iter().map(|(from, to)| format!("  - {from} could not move to {to}")).collect();
        Diagnostic::warning("Unresolved resource instance address changes")
            .detail(format!(
                "These can't have the addresses that \"moved\" blocks give them, because there are objects already:\n{}\n\
                 What has no block in the configuration is planned to be destroyed.",
                lines.join("\n")
            ))
            .hint("take one of each pair out of the state, or give it another address")
            .into()
    }

    /// What is wrong with the statements, once it is known which modules and instances there are.
    pub(crate) fn check(&self, walk: &Walk<'_>) -> Diagnostics {
        let mut found = Diagnostics::new();
        let (mut by_from, mut by_to) = (BTreeMap::new(), BTreeMap::new());
        for statement in &self.statements {
            for instance in &walk.instances[statement.module] {
                let within = &walk.modules[*instance].addr;
                let (from, to) = (statement.from.shown(within), statement.to.shown(within));
                let refuse = |summary: &str, detail: String| {
                    Diagnostic::error(summary).detail(detail).span(statement.block.span)
                };
                if from == to {
                    found.push(refuse(
                        "Redundant move statement",
                        format!("This statement declares a move from {from} to the same address, which is the same as not declaring this move at all."),
                    ));
                    continue;
                }
                let (noun, short) = statement.noun();
                if statement.from.exists(within, walk) {
                    found.push(
                        refuse(
                            "Moved object still exists",
                            format!("This statement declares a move from {from}, but that {noun} is still declared."),
                        )
                        .hint(format!("change the configuration so that this {short} is declared as {to} instead")),
                    );
                }
                let (before, _) = by_from.entry(from.clone()).or_insert((to.clone(), statement.block.span));
                if *before != to {
                    let other = by_from.get(&from).map(|(_, span)| *span).unwrap_or(statement.block.span);
                    let before = by_from.get(&from).map(|(to, _)| to.clone()).unwrap_or_default();
                    found.push(
                        refuse(
                            "Ambiguous move statements",
                            format!("Another statement declared that {from} moved to {before}, but this statement instead declares that it moved to {to}. Each {noun} can move to only one destination {short}."),
                        )
                        .related(other, "declared here"),
                    );
                }
                let (before, other) =
                    by_to.entry(to.clone()).or_insert((from.clone(), statement.block.span)).clone();
                if before != from {
                    found.push(
                        refuse(
                            "Ambiguous move statements",
                            format!("Another statement declared that {before} moved to {to}, but this statement instead declares that {from} moved there. Each {noun} can have moved from only one source {short}."),
                        )
                        .related(other, "declared here"),
                    );
                }
                let ty = |p: &Pattern| p.resource.as_ref().map(|(mode, ty, ..)| (*mode, ty.clone()));
                if ty(&statement.from) != ty(&statement.to) {
                    found.push(refuse(
                        "Resource type mismatch",
                        format!("This statement declares a move from {from} to {to}, which is a {noun} of a different type."),
                    ));
                }
            }
        }
        if let (Some(ring), false) = (&self.ring, found.has_errors()) {
            let root = ModuleAddr::root();
            let lines: Vec<String> = ring
                .iter()
                .map(|i| &self.statements[*i])
                .map(|s| format!("  - {} to {}", s.from.shown(&root), s.to.shown(&root)))
                .collect();
            let mut diagnostic = Diagnostic::error("Cyclic dependency in move statements").detail(format!(
                "The following chained move statements form a cycle, and so there is no final location to move objects to:\n{}\n\
                 A chain of move statements must end with an address that doesn't appear in any other statement.",
                lines.join("\n")
            ));
            for (n, i) in ring.iter().enumerate() {
                let span = self.statements[*i].block.span;
                diagnostic =
                    if n == 0 { diagnostic.span(span) } else { diagnostic.related(span, "and this") };
            }
            found.push(diagnostic);
        }
        found
    }

    /// Says where targets name only one end of a move: the other would be lost.
    pub(crate) fn targeted(&self, options: &Options) -> Diagnostics {
        if options.targets.is_empty() {
            return Diagnostics::new();
        }
        let named = |addr: &InstanceAddr| options.targets.iter().any(|t| t.matches(addr));
        let open: BTreeSet<String> = self
            .done
            .iter()
            .flat_map(|(from, to)| [from, to])
            .filter(|addr| !named(addr))
            .map(|addr| format!("  -target='{}'", addr.resource))
            .collect();
        if open.is_empty() {
            return Diagnostics::new();
        }
        let open: Vec<String> = open.into_iter().collect();
        Diagnostic::error("Moved resource instances excluded by targeting")
            .detail(format!(
                "Objects have moved to new addresses in the configuration, and the targets do not cover all of those. Either leave -target \
                 out, or add:\n{}",
                open.join("\n")
            ))
            .into()
    }
}

impl Statement<'_> {
    /// Where an object goes that the statement matches.
    fn rewrite(&self, addr: &InstanceAddr) -> Option<InstanceAddr> {
        let have = &addr.resource.module.0;
        let matched = self.from.resource.is_none() || have.len() == self.from.module.len();
        if !matched || !self.from.is_above(&addr.resource.module) {
            return None;
        }
        let (outer, inner) = have.split_at(self.depth);
        let last = self.from.module.len().checked_sub(1).and_then(|i| have.get(i)).map(|(_, key)| key);
        let own = self.to.module[self.depth..].iter().map(|(name, key)| {
            let key = key.clone().or_else(|| last.cloned()).unwrap_or_default();
            (name.clone(), key)
        });
        let below = &inner[self.from.module.len() - self.depth..];
        let module = ModuleAddr(outer.iter().cloned().chain(own).chain(below.iter().cloned()).collect());
        let resource = &addr.resource;
        let (Some((mode, ty, name, key)), Some((_, new_ty, new_name, new_key))) =
            (&self.from.resource, &self.to.resource)
        else {
            let moved = ResourceAddr { module, ..(**resource).clone() };
            return Some(Arc::new(moved).instance(addr.key.clone()));
        };
        let same = (*mode, ty, name) == (resource.mode, &resource.ty, &resource.name);
        if !same || key.as_ref().is_some_and(|key| *key != addr.key) {
            return None;
        }
        let moved = ResourceAddr { module, mode: *mode, ty: new_ty.clone(), name: new_name.clone() };
        Some(Arc::new(moved).instance(new_key.clone().unwrap_or_else(|| addr.key.clone())))
    }

    /// What is moved as one: a module instance, a resource, or one instance.
    fn unit(&self, addr: &InstanceAddr) -> String {
        match &self.from.resource {
            None => addr.resource.module.to_string(),
            Some((.., None)) => addr.resource.to_string(),
            Some((.., Some(_))) => addr.to_string(),
        }
    }

    fn noun(&self) -> (&'static str, &'static str) {
        match (&self.from.resource, self.from.module.last()) {
            (Some((.., None)), _) => ("resource", "resource"),
            (Some(_), _) => ("resource instance", "instance"),
            (None, Some((_, None))) => ("module call", "call"),
            (None, _) => ("module instance", "instance"),
        }
    }
}

impl Pattern {
    fn new(path: &[Arc<str>], target: &Target, whole: bool) -> Self {
        let (module, resource) = match target {
            Target::Module(module) => (module, None),
            Target::Resource(resource) => {
                let key = if whole { None } else { Some(InstanceKey::None) };
                let r = (resource.mode, resource.ty.clone(), resource.name.clone(), key);
                (&resource.module, Some(r))
            }
            Target::Instance(InstanceAddr { resource, key }) => {
                let r = (resource.mode, resource.ty.clone(), resource.name.clone(), Some(key.clone()));
                (&resource.module, Some(r))
            }
        };
        let outer = path.iter().map(|name| (name.clone(), None));
        let mut module: Vec<_> =
            outer.chain(module.0.iter().map(|(name, key)| (name.clone(), Some(key.clone())))).collect();
        if let (None, true, Some((_, key))) = (&resource, whole, module.last_mut()) {
            *key = None;
        }
        Pattern { module, resource }
    }

    /// Whether the first steps of a module's address match all of this one's.
    fn is_above(&self, addr: &ModuleAddr) -> bool {
        addr.0.len() >= self.module.len()
            && self
                .module
                .iter()
                .zip(addr.0.iter())
                .all(|((name, key), have)| *name == have.0 && key.as_ref().is_none_or(|k| *k == have.1))
    }

    fn is_in(&self, addr: &ModuleAddr) -> bool {
        addr.0.len() == self.module.len() && self.is_above(addr)
    }

    /// In an instance of the module that the statement stands in.
    fn shown(&self, within: &ModuleAddr) -> String {
        let mut module = ModuleAddr::root();
        for (i, (name, key)) in self.module.iter().enumerate() {
            let outer = within.0.get(i).map(|(_, key)| key.clone());
            module = module.child(name.clone(), outer.or_else(|| key.clone()).unwrap_or_default());
        }
        match &self.resource {
            None => module.to_string(),
            Some((mode, ty, name, key)) => {
                let resource = ResourceAddr { module, mode: *mode, ty: ty.clone(), name: name.clone() };
                format!("{resource}{}", key.clone().unwrap_or_default())
            }
        }
    }

    /// Whether the configuration still has it.
    fn exists(&self, within: &ModuleAddr, walk: &Walk<'_>) -> bool {
        let shown = self.shown(within);
        let Ok(target) = shown.parse::<Target>() else { return false };
        match target {
            Target::Module(addr) if self.module.last().is_some_and(|(_, key)| key.is_none()) => {
                // A call, with whatever instances it has.
                let Some(parent) = addr.parent().and_then(|p| walk.by_addr.get(&p)) else { return false };
                let config = walk.statics.modules[walk.modules[*parent].module].config;
                addr.0.last().is_some_and(|(name, _)| config.calls.contains_key(name))
            }
            Target::Module(addr) => walk.by_addr.contains_key(&addr),
            Target::Resource(_) | Target::Instance(_) => {
                let Ok(addr) = shown.parse::<InstanceAddr>() else { return false };
                let Some(mi) = walk.by_addr.get(&addr.resource.module) else { return false };
                let Some((_, i)) = walk.statics.find(&addr.resource) else { return false };
                let whole = matches!(&self.resource, Some((.., None)));
                let instances = walk.modules[*mi].resources[i].as_ref();
                whole || instances.and_then(|r| r.keys.as_ref()?.position(&addr.key)).is_some()
            }
        }
    }

    /// Whether both may name the same thing.
    fn meets(&self, other: &Pattern) -> bool {
        let keys = |a: &Option<InstanceKey>, b: &Option<InstanceKey>| match (a, b) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        let modules = self.module.len() == other.module.len()
            && self.module.iter().zip(&other.module).all(|(a, b)| a.0 == b.0 && keys(&a.1, &b.1));
        modules
            && match (&self.resource, &other.resource) {
                (None, None) => true,
                (Some(a), Some(b)) => (a.0, &a.1, &a.2) == (b.0, &b.1, &b.2) && keys(&a.3, &b.3),
                _ => false,
            }
    }

    /// Whether this is something inside of the other: of a module, or (an instance) of a resource.
    fn is_inside(&self, other: &Pattern) -> bool {
        if other.resource.is_some() {
            let instance = matches!(&self.resource, Some((.., Some(_))));
            return instance && matches!(&other.resource, Some((.., None))) && self.meets(other);
        }
        let deeper = self.module.len() > other.module.len() || self.resource.is_some();
        let keys = |a: &Option<InstanceKey>, b: &Option<InstanceKey>| match (a, b) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        deeper
            && self.module.len() >= other.module.len()
            && self.module.iter().zip(&other.module).all(|(a, b)| a.0 == b.0 && keys(&a.1, &b.1))
    }
}

fn patterns(path: &[Arc<str>], block: &Moved) -> (Pattern, Pattern) {
    // One key on either side makes both single instances.
    let single = |target: &Target| match target {
        Target::Instance(_) => true,
        Target::Resource(_) => false,
        Target::Module(module) => module.0.last().is_some_and(|(_, key)| *key != InstanceKey::None),
    };
    let whole = !single(&block.from) && !single(&block.to);
    (Pattern::new(path, &block.from, whole), Pattern::new(path, &block.to, whole))
}

/// Whether one statement must come after another.
fn follows(a: &Statement<'_>, b: &Statement<'_>) -> bool {
    if a.from.meets(&b.to) {
        return true;
    }
    let inside = a.from.is_inside(&b.to)
        || a.to.is_inside(&b.to)
        || b.from.is_inside(&a.from)
        || b.to.is_inside(&a.from);
    // A module that only gets another key is not moved for what goes on inside of it.
    let names = |p: &Pattern| p.module.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let rekeys = a.from.resource.is_none() && names(&a.from) == names(&a.to);
    inside && !(a.depth < b.depth && rekeys)
}

/// The `removed` block that speaks of an object.
pub(crate) fn removed<'a>(statics: &Statics<'a>, addr: &InstanceAddr) -> Option<&'a Removed> {
    let all = statics.modules.iter().flat_map(|m| m.config.removed.iter().map(move |r| (&m.config.path, r)));
    let named = |(path, block): &(&Vec<Arc<str>>, &'a Removed)| {
        let pattern = any_keys(path, &block.from);
        match &pattern.resource {
            None => pattern.is_above(&addr.resource.module),
            Some((mode, ty, name, _)) => {
                let own = &addr.resource;
                pattern.is_in(&own.module) && (*mode, ty, name) == (own.mode, &own.ty, &own.name)
            }
        }
    };
    all.clone().filter(named).map(|(_, block)| block).next()
}

fn any_keys(path: &[Arc<str>], target: &Target) -> Pattern {
    let mut pattern = Pattern::new(path, target, true);
    pattern.module.iter_mut().for_each(|(_, key)| *key = None);
    pattern
}

/// Says where what a `removed` block names is still there.
pub(crate) fn check_removed(statics: &Statics<'_>) -> Diagnostics {
    let mut found = Diagnostics::new();
    for (m, module) in statics.modules.iter().enumerate() {
        // A module that is called twice says it twice.
        let again = statics.modules[..m].iter().any(|other| std::ptr::eq(other.config, module.config));
        for block in module.config.removed.iter().filter(|_| !again) {
            let pattern = any_keys(&module.config.path, &block.from);
            let mut at = statics.modules[0].config;
            let there = pattern.module.iter().all(|(name, _)| match at.calls.get(name) {
                Some(call) => {
                    at = &call.module;
                    true
                }
                None => false,
            });
            let (place, what) = match &pattern.resource {
                _ if !there => continue,
                Some((mode, ty, name, _)) => match at.resources.get(&(*mode, ty.clone(), name.clone())) {
                    Some(resource) => (Some(resource.span), "resource"),
                    None => continue,
                },
                None => (None, "module"),
            };
            let mut wrong = Diagnostic::error(format!("Removed {what} still exists"))
                .detail(format!(
                    "This statement declares that {} was removed, but it is still declared in configuration.",
                    pattern.shown(&ModuleAddr::root())
                ))
                .span(block.span);
            if let Some(place) = place {
                wrong = wrong.related(place, "declared here");
            }
            found.push(wrong);
        }
    }
    found
}
