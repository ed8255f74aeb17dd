//! `-target`: which blocks are evaluated and which instances are touched. `-exclude`: which are left alone.
//!
//! Blocks are chosen before anything is evaluated, by their static references. Which *instances* of them belong to the plan is known after the walk:
//! the targets, and what those depend on.
//!
//! What is excluded is poisoned in the walk, and so is all that is made of it: that is what is left alone, exact to the instance. Objects that the
//! configuration does not have are left alone where they stand on such a thing, and where one still stands on them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use grappe_state::Object;
use grappe_value::addr::{InstanceAddr, InstanceKey, ModuleAddr, ResourceAddr, Target};

use crate::leaving::Dependants;
use crate::statics::{Block, Statics};
use crate::walk::{NodeId, Walk};
use crate::waves::{Root, overlap};

/// What a plan is limited to.
pub(crate) struct Targets<'t> {
    targets: &'t [Target],
    wanted: Option<Vec<bool>>,
    /// The blocks that what is named, or a provider, is made of: all of their instances count, where of a block that is only named those count that are.
    needed: Vec<bool>,
    excludes: &'t [Target],
    /// The objects of the state that are excluded, and those that stand on them.
    left: BTreeSet<InstanceAddr>,
}

impl<'t> Targets<'t> {
    pub(crate) fn new(targets: &'t [Target], statics: &Statics<'_>) -> Self {
        if targets.is_empty() {
            return Targets {
                targets,
                wanted: None,
                needed: Vec::new(),
                excludes: &[],
                left: BTreeSet::new(),
            };
        }
        let named = |block: &Block| match block {
            Block::Resource(m, i) => {
                let module = statics.modules[*m].config;
                let key = module.resources.get_index(*i).map(|(key, _)| key);
                key.is_some_and(|(mode, ty, name)| {
                    targets.iter().any(|target| match target {
                        Target::Module(addr) => starts_with(&module.path, addr),
                        Target::Resource(r) => is_block(r, &module.path, (*mode, ty, name)),
                        Target::Instance(r) => is_block(&r.resource, &module.path, (*mode, ty, name)),
                    })
                })
            }
            _ => false,
        };
        let blocks = &statics.blocks;
        let named: Vec<usize> = (0..blocks.len()).filter(|b| named(&blocks[*b])).collect();
        let below = named.iter().flat_map(|b| statics.graph.before(*b)).copied();
        let mut needed = statics.closure(below);
        let mut wanted = statics.closure(named);
        // Objects that are deleted need their provider, whatever block they had.
        for (block, provider) in statics.provider_blocks().into_iter().enumerate() {
            wanted[block] |= provider;
            needed[block] |= provider;
        }
        // Outputs that need nothing else come for free.
        for (at, block) in blocks.iter().enumerate() {
            if matches!(block, Block::Output(0, _)) && statics.graph.before(at).iter().all(|b| wanted[*b]) {
                wanted[at] = true;
            }
        }
        Targets { targets, wanted: Some(wanted), needed, excludes: &[], left: BTreeSet::new() }
    }

    /// With what is left alone, of these objects of the state.
    pub(crate) fn but(self, excludes: &'t [Target], objects: &BTreeMap<InstanceAddr, Object>) -> Self {
        let named = |addr: &&InstanceAddr| excludes.iter().any(|t| t.matches(addr));
        let left = match excludes.is_empty() {
            true => BTreeSet::new(),
            false => {
                Dependants::of(objects).with(objects.keys().filter(named)).into_iter().cloned().collect()
            }
        };
        Targets { excludes, left, ..self }
    }

    /// Whether the plan is about a part of the configuration.
    pub(crate) fn limits(&self) -> bool {
        self.wanted.is_some() || !self.excludes.is_empty()
    }

    /// Whether an instance is excluded by its name.
    pub(crate) fn excludes(&self, addr: &InstanceAddr) -> bool {
        self.excludes.iter().any(|t| t.matches(addr))
    }

    /// The blocks to evaluate; all where `None`.
    pub(crate) fn wanted(&self) -> Option<&[bool]> {
        self.wanted.as_deref()
    }

    /// Whether an instance is named by a target (or there is none), and is not left alone.
    pub(crate) fn names(&self, addr: &InstanceAddr) -> bool {
        let named = self.wanted.is_none() || self.targets.iter().any(|t| t.matches(addr));
        named && !self.excludes(addr) && !self.left.contains(addr)
    }

    /// What stays when all else is destroyed: what is excluded, and what that stands on.
    pub(crate) fn stays<'o>(
        &self,
        objects: &'o BTreeMap<InstanceAddr, Object>,
    ) -> BTreeSet<&'o InstanceAddr> {
        foundations(objects, objects.keys().filter(|addr| self.excludes(addr)))
    }

    /// Whether an object of the state may have to do with the plan.
    pub(crate) fn may_touch(&self, addr: &InstanceAddr, statics: &Statics<'_>) -> bool {
        if self.excludes(addr) || self.left.contains(addr) {
            return false;
        }
        if self.wanted.is_none() {
            return true;
        }
        let block = statics.find(&addr.resource).map(|(m, i)| statics.position(Block::Resource(m, i)));
        self.names(addr) || block.is_some_and(|b| self.needed[b])
    }

    /// The nodes of targets, and what they depend on. `None` for all.
    pub(crate) fn asked(&self, walk: &Walk<'_>, roots: &[Root]) -> Option<Vec<bool>> {
        self.wanted.as_ref()?;
        let open = roots.iter().filter(|r| self.targets.iter().any(|t| overlap(t, &r.what))).map(|r| r.node);
        let instances = walk.nodes.iter().zip(0..).filter_map(|(node, id)| Some((walk.addr(node.what)?, id)));
        let named = instances.filter(|(addr, _)| self.names(addr)).map(|(_, id)| id).chain(open);
        let mut touched = vec![false; walk.nodes.len()];
        let mut todo: Vec<NodeId> = named.collect();
        while let Some(node) = todo.pop() {
            if !std::mem::replace(&mut touched[node as usize], true) {
                todo.extend(walk.node(node).deps.iter().filter(|d| !touched[**d as usize]));
            }
        }
        Some(touched)
    }

    /// The nodes that the plan touches: of those that are asked for, the ones that wait for nothing that is open or left alone. `None` for all.
    pub(crate) fn touched(
        &self,
        walk: &Walk<'_>,
        asked: Option<Vec<bool>>,
        roots: &[Root],
    ) -> Option<Vec<bool>> {
        if self.excludes.is_empty() && roots.is_empty() {
            return asked;
        }
        let mut touched = vec![true; walk.nodes.len()];
        for (id, node) in walk.nodes.iter().enumerate() {
            // What a node depends on has a lower number.
            touched[id] = !node.poisoned && node.deps.iter().all(|d| touched[*d as usize]);
        }
        if let Some(asked) = asked {
            touched.iter_mut().zip(asked).for_each(|(touched, asked)| *touched &= asked);
        }
        Some(touched)
    }
}

/// Whether it can't be said which instances a block has, since that depends on something that is left alone: no object of it is too many then.
pub(crate) fn is_open(walk: &Walk<'_>, addr: &InstanceAddr) -> bool {
    let mut mi = 0;
    for (call, key) in addr.resource.module.0.iter() {
        let config = walk.statics.modules[walk.modules[mi].module].config;
        let Some(position) = config.calls.get_index_of(&**call) else { return false };
        let Some(calls) = &walk.modules[mi].calls[position] else { return true };
        let Some(keys) = &calls.keys else { return true };
        match keys.position(key).and_then(|at| calls.instances.get(at)) {
            Some(instance) => mi = *instance,
            None => return false,
        }
    }
    let Some((_, i)) = walk.statics.find(&addr.resource) else { return false };
    walk.modules[mi].resources[i].as_ref().is_none_or(|r| r.keys.is_none())
}

/// These objects, and all that they depend on.
pub(crate) fn foundations<'o>(
    objects: &'o BTreeMap<InstanceAddr, Object>,
    of: impl Iterator<Item = &'o InstanceAddr>,
) -> BTreeSet<&'o InstanceAddr> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<&InstanceAddr> = of.collect();
    if todo.is_empty() {
        return found;
    }
    let directly = Directly::new(objects);
    while let Some(addr) = todo.pop() {
        if found.insert(addr) {
            todo.extend(directly.of(addr));
        }
    }
    found
}

/// What these objects depend on directly.
pub(crate) fn stood_on<'o>(
    objects: &'o BTreeMap<InstanceAddr, Object>,
    by: impl Iterator<Item = &'o InstanceAddr>,
) -> BTreeSet<&'o InstanceAddr> {
    let mut by = by.peekable();
    if by.peek().is_none() {
        return BTreeSet::new();
    }
    let directly = Directly::new(objects);
    by.flat_map(|addr| directly.of(addr)).collect()
}

/// What each object of the state depends on.
struct Directly<'o> {
    objects: &'o BTreeMap<InstanceAddr, Object>,
    all_of: HashMap<&'o ResourceAddr, Vec<&'o InstanceAddr>>,
}

impl<'o> Directly<'o> {
    fn new(objects: &'o BTreeMap<InstanceAddr, Object>) -> Self {
        let mut all_of: HashMap<&ResourceAddr, Vec<&InstanceAddr>> = HashMap::new();
        for addr in objects.keys() {
            all_of.entry(&addr.resource).or_default().push(addr);
        }
        Directly { objects, all_of }
    }

    fn of(&self, addr: &InstanceAddr) -> Vec<&'o InstanceAddr> {
        let mut found = Vec::new();
        for dep in self.objects.get(addr).into_iter().flat_map(|o| &o.dependencies) {
            match dep.key {
                // All instances, or the only one.
                InstanceKey::None => found.extend(self.all_of.get(&*dep.resource).into_iter().flatten()),
                _ => found.extend(self.objects.get_key_value(dep).map(|(dep, _)| dep)),
            }
        }
        found
    }
}

fn starts_with(path: &[std::sync::Arc<str>], addr: &ModuleAddr) -> bool {
    path.len() >= addr.0.len() && addr.0.iter().zip(path).all(|((name, _), own)| name == own)
}

fn is_block(
    addr: &ResourceAddr,
    path: &[std::sync::Arc<str>],
    key: (grappe_value::addr::Mode, &std::sync::Arc<str>, &std::sync::Arc<str>),
) -> bool {
    path.len() == addr.module.0.len()
        && starts_with(path, &addr.module)
        && (addr.mode, &addr.ty, &addr.name) == key
}
