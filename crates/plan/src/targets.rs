//! `-target`: which blocks are evaluated and which instances are touched.
//!
//! Blocks are chosen before anything is evaluated, by their static references. Which *instances* of them belong to the plan is known after the walk:
//! the targets, and what those depend on.

use grappe_value::addr::{InstanceAddr, ModuleAddr, ResourceAddr, Target};

use crate::statics::{Block, Statics};
use crate::walk::{NodeId, Walk};

/// What a plan is limited to.
pub(crate) struct Targets<'t> {
    targets: &'t [Target],
    wanted: Option<Vec<bool>>,
}

impl<'t> Targets<'t> {
    pub(crate) fn new(targets: &'t [Target], statics: &Statics<'_>) -> Self {
        if targets.is_empty() {
            return Targets { targets, wanted: None };
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
        let mut wanted = statics.closure((0..blocks.len()).filter(|b| named(&blocks[*b])));
        // Objects that are deleted need their provider, whatever block they had.
        for (block, needed) in statics.provider_blocks().into_iter().enumerate() {
            wanted[block] |= needed;
        }
        // Outputs that need nothing else come for free.
        for (at, block) in blocks.iter().enumerate() {
            if matches!(block, Block::Output(0, _)) && statics.graph.before(at).iter().all(|b| wanted[*b]) {
                wanted[at] = true;
            }
        }
        Targets { targets, wanted: Some(wanted) }
    }

    /// The blocks to evaluate; all where `None`.
    pub(crate) fn wanted(&self) -> Option<&[bool]> {
        self.wanted.as_deref()
    }

    /// Whether an instance is named by a target, or there is none.
    pub(crate) fn names(&self, addr: &InstanceAddr) -> bool {
        self.wanted.is_none() || self.targets.iter().any(|t| t.matches(addr))
    }

    /// Whether an object of the state may have to do with the plan.
    pub(crate) fn may_touch(&self, addr: &InstanceAddr, statics: &Statics<'_>) -> bool {
        let Some(wanted) = &self.wanted else { return true };
        let block = statics.find(&addr.resource).map(|(m, i)| statics.position(Block::Resource(m, i)));
        self.names(addr) || block.is_some_and(|b| wanted[b])
    }

    /// The nodes that the plan touches: those of targets, and what they depend on. `None` for all.
    pub(crate) fn touched(&self, walk: &Walk<'_>, named: impl Iterator<Item = NodeId>) -> Option<Vec<bool>> {
        self.wanted.as_ref()?;
        let mut touched = vec![false; walk.nodes.len()];
        let mut todo: Vec<NodeId> = named.collect();
        while let Some(node) = todo.pop() {
            if !std::mem::replace(&mut touched[node as usize], true) {
                todo.extend(walk.node(node).deps.iter().filter(|d| !touched[**d as usize]));
            }
        }
        Some(touched)
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
