//! Waves: what one plan can't decide on yet, and how the plans of one apply follow each other.
//!
//! A plan decides on all that is known when it is made. Where something that this very plan makes says which instances a block has (or how what
//! exists is reached), the block is *open*: it has no part in the plan, nor has anything that depends on it. It is listed ([`Open`]), its objects
//! stay as they are, and so does what they stand on. When the plan is applied the next one is made, of the state that came of it; what was open
//! is known then. [`Waves`] holds what one plan leaves to the next: what was done already is not done again, and each wave must get on.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_value::Value;
use grappe_value::addr::{InstanceAddr, InstanceKey, ModuleAddr, ResourceAddr, Target};

use crate::model::{Action, Open, OpenReason, Plan};
use crate::planner::Planner;
use crate::statics::Block;
use crate::walk::{NodeId, OpenBlock, Repeated, Walk};

/// What earlier waves of the same apply did to an instance.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// What was there before, where it was changed or replaced.
    pub before: Option<Value>,
}

/// An instance that waits though its block does not.
pub(crate) struct Held {
    pub(crate) node: NodeId,
    pub(crate) addr: InstanceAddr,
    pub(crate) why: OpenReason,
    /// What it waits for is made of these.
    pub(crate) deps: Vec<NodeId>,
}

/// Something that is open of itself, and the node that says so to all that touch it.
pub(crate) struct Root {
    pub(crate) node: NodeId,
    pub(crate) what: Target,
    why: OpenReason,
    deps: Vec<NodeId>,
}

impl Root {
    fn of_block(walk: &Walk<'_>, open: &OpenBlock) -> Option<Self> {
        let module = &walk.modules[open.within];
        let (node, what) = match open.block {
            Block::Call(m) => {
                let (_, position) = walk.statics.modules[m].parent?;
                let call = walk.statics.call(m)?;
                let addr = module.addr.child(call.name.clone(), InstanceKey::None);
                (module.calls[position].as_ref()?.whole?, Target::Module(addr))
            }
            Block::Resource(_, i) => {
                let instances = module.resources[i].as_ref()?;
                (instances.whole?, Target::Resource((*instances.addr).clone()))
            }
            _ => return None,
        };
        let why = if open.by == Repeated::Count { OpenReason::Count } else { OpenReason::ForEach };
        Some(Root { node, what, why, deps: open.deps.clone() })
    }
}

/// All that is open of itself.
pub(crate) fn roots(walk: &Walk<'_>, held: Vec<Held>) -> Vec<Root> {
    let held = held.into_iter().map(|Held { node, addr, why, deps }| Root {
        node,
        what: Target::Instance(addr),
        why,
        deps,
    });
    walk.open.iter().filter_map(|open| Root::of_block(walk, open)).chain(held).collect()
}

/// Of each node, which of these it waits for. Empty where nothing is open.
pub(crate) fn waiting(walk: &Walk<'_>, roots: &[Root]) -> Vec<Option<usize>> {
    if roots.is_empty() {
        return Vec::new();
    }
    let mut waits = vec![None; walk.nodes.len()];
    for (position, root) in roots.iter().enumerate() {
        waits[root.node as usize] = Some(position);
    }
    for (id, node) in walk.nodes.iter().enumerate() {
        // What a node depends on has a lower number.
        if waits[id].is_none() {
            waits[id] = node.deps.iter().find_map(|d| waits[*d as usize]);
        }
    }
    waits
}

/// What a plan lists as open: what is so of itself, and what waits for that.
pub(crate) fn list(
    planner: &Planner<'_>,
    walk: &Walk<'_>,
    roots: &[Root],
    waits: &[Option<usize>],
    asked: &dyn Fn(NodeId) -> bool,
) -> Vec<Open> {
    let mut out = Vec::new();
    if roots.is_empty() {
        return out;
    }
    let mut of_resource: HashMap<&ResourceAddr, usize> = HashMap::new();
    for (addr, _) in planner.world.objects() {
        *of_resource.entry(&addr.resource).or_default() += 1;
    }
    let objects = |what: &Target| match what {
        Target::Module(_) => planner.world.objects().filter(|(addr, _)| what.matches(addr)).count(),
        Target::Resource(resource) => of_resource.get(resource).copied().unwrap_or(0),
        Target::Instance(addr) => usize::from(planner.input.state.objects.contains_key(addr)),
    };
    for root in roots.iter().filter(|root| asked(root.node)) {
        let on = compact(planner.acting(walk, &root.deps));
        out.push(Open { objects: objects(&root.what), what: root.what.clone(), why: root.why, on });
    }
    for module in &walk.modules {
        for instances in module.resources.iter().flatten().filter(|r| r.keys.is_some()) {
            let waits_for = |node: &NodeId| {
                let root = waits[*node as usize].filter(|_| asked(*node))?;
                (roots[root].node != *node).then_some((*node, root))
            };
            let waiting: Vec<(NodeId, usize)> = instances.nodes.iter().filter_map(waits_for).collect();
            let addr = |node: NodeId| walk.addr(walk.node(node).what);
            let whats: Vec<(Target, usize)> = match waiting[..] {
                [(_, root), ..] if waiting.len() == instances.nodes.len() => {
                    vec![(Target::Resource((*instances.addr).clone()), root)]
                }
                _ => waiting
                    .iter()
                    .filter_map(|(n, root)| Some((Target::Instance(addr(*n)?), *root)))
                    .collect(),
            };
            let own = |addr: &InstanceAddr| !planner.input.options.excludes.iter().any(|t| t.matches(addr));
            for (what, root) in whats {
                if matches!(&what, Target::Instance(addr) if !own(addr)) {
                    continue;
                }
                let on = vec![roots[root].what.clone()];
                out.push(Open { objects: objects(&what), what, why: OpenReason::Dependencies, on });
            }
        }
    }
    out
}

/// The outputs of the root module that wait.
pub(crate) fn outputs(walk: &Walk<'_>, waits: &[Option<usize>]) -> Vec<Arc<str>> {
    let names = walk.statics.modules[0].config.outputs.keys();
    let waiting =
        |node: &Option<NodeId>| node.is_some_and(|n| waits.get(n as usize).is_some_and(Option::is_some));
    names
        .zip(&walk.modules[0].outputs)
        .filter(|(_, node)| waiting(node))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Says quickly whether an instance belongs to one of many things, each as the walk names it.
pub(crate) struct Among<'t> {
    modules: Vec<&'t Target>,
    resources: HashSet<&'t ResourceAddr>,
    instances: HashSet<&'t InstanceAddr>,
}

impl<'t> Among<'t> {
    pub(crate) fn new(all: impl Iterator<Item = &'t Target>) -> Self {
        let mut among = Among { modules: Vec::new(), resources: HashSet::new(), instances: HashSet::new() };
        for what in all {
            match what {
                Target::Module(_) => among.modules.push(what),
                Target::Resource(resource) => drop(among.resources.insert(resource)),
                Target::Instance(instance) => drop(among.instances.insert(instance)),
            }
        }
        among
    }

    pub(crate) fn has(&self, addr: &InstanceAddr) -> bool {
        self.resources.contains(&*addr.resource)
            || self.instances.contains(addr)
            || self.modules.iter().any(|module| module.matches(addr))
    }
}

/// Several instances of a resource as one.
fn compact(addrs: BTreeSet<InstanceAddr>) -> Vec<Target> {
    let mut by_resource: BTreeMap<Arc<ResourceAddr>, Vec<InstanceAddr>> = BTreeMap::new();
    for addr in addrs {
        by_resource.entry(addr.resource.clone()).or_default().push(addr);
    }
    let target = |(resource, mut instances): (Arc<ResourceAddr>, Vec<InstanceAddr>)| match instances.pop() {
        Some(only) if instances.is_empty() && only.key != InstanceKey::None => Target::Instance(only),
        _ => Target::Resource((*resource).clone()),
    };
    by_resource.into_iter().map(target).collect()
}

/// Whether what two targets name has something in common.
pub(crate) fn overlap(a: &Target, b: &Target) -> bool {
    let module = |target: &Target| -> ModuleAddr {
        match target {
            Target::Module(m) => m.clone(),
            Target::Resource(r) => r.module.clone(),
            Target::Instance(i) => i.resource.module.clone(),
        }
    };
    let (of_a, of_b) = (module(a), module(b));
    let any = InstanceKey::None;
    let alike =
        of_a.0.iter().zip(of_b.0.iter()).all(|((a, k), (b, l))| a == b && (k == l || *k == any || *l == any));
    let own = |target: &Target| match target {
        Target::Module(_) => None,
        Target::Resource(r) => Some((r.mode, r.ty.clone(), r.name.clone())),
        Target::Instance(i) => Some((i.resource.mode, i.resource.ty.clone(), i.resource.name.clone())),
    };
    let key = |target: &Target| match target {
        Target::Instance(i) => Some(i.key.clone()),
        _ => None,
    };
    let (deep_a, deep_b) = (of_a.0.len(), of_b.0.len());
    alike
        && match (own(a), own(b)) {
            (None, None) => true,
            (None, Some(_)) => deep_a <= deep_b,
            (Some(_), None) => deep_b <= deep_a,
            (Some(x), Some(y)) => {
                deep_a == deep_b && x == y && (key(a) == key(b) || key(a).is_none() || key(b).is_none())
            }
        }
}

/// The waves of one apply: what one plan leaves to the next.
#[derive(Clone, Debug, Default)]
pub struct Waves {
    /// What was done: [`crate::Options::earlier`] of the next plan.
    pub earlier: BTreeMap<InstanceAddr, Earlier>,
    /// What the last plan left open.
    open: BTreeSet<String>,
    /// What was open and is not any more.
    closed: BTreeSet<String>,
    /// How many plans were applied.
    count: usize,
}

impl Waves {
    /// How many plans were applied.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the next plan gets on: it closes something that was open, and nothing is open that was not so any more.
    ///
    /// # Errors
    /// Where the waves would never end.
    pub fn next(&mut self, plan: &Plan) -> Result<(), Diagnostics> {
        let open = blocks(plan);
        if self.count > 0 {
            let again: Vec<&String> = open.intersection(&self.closed).collect();
            let closes = self.open.iter().any(|what| !open.contains(what));
            if !again.is_empty() || !closes {
                let stuck = plan.open.iter().filter(|o| o.why != OpenReason::Dependencies);
                let stuck = stuck.filter(|o| again.is_empty() || again.contains(&&o.what.to_string()));
                return Err(stuck.map(|o| endless(o, !again.is_empty())).collect());
            }
        }
        self.closed.extend(self.open.difference(&open).cloned());
        self.open = open;
        Ok(())
    }

    /// A plan was applied as a whole.
    pub fn applied(&mut self, plan: &Plan) {
        self.count += 1;
        for change in plan.changes.iter().filter(|c| c.deposed.is_none()) {
            let before = match change.action {
                Action::Update | Action::Replace { .. } => change.before.clone(),
                Action::Create | Action::Provision => None,
                _ => continue,
            };
            self.earlier.insert(change.addr.clone(), Earlier { before });
        }
    }
}

/// What is open of itself.
fn blocks(plan: &Plan) -> BTreeSet<String> {
    let own = plan.open.iter().filter(|o| o.why != OpenReason::Dependencies);
    own.map(|o| o.what.to_string()).collect()
}

fn endless(open: &Open, again: bool) -> Diagnostic {
    let on: Vec<String> = open.on.iter().map(ToString::to_string).collect();
    let (what, on) = (&open.what, on.join(", "));
    let why = match again {
        true => format!("{on} makes unknown again what was known before"),
        false => format!("{on} was just done, and is to be done once more"),
    };
    Diagnostic::error("A block stays open")
        .detail(format!("What {what} waits for does not come to rest: {why}."))
        .hint("find out with \"grappe plan\" why that is so; what was applied stays")
        .address(what)
}
