//! What the state must store of an object's dependencies: the managed instances that it was made of, directly or through values.
//!
//! Where all instances of a resource are among them, its address without a key stands for all: a thousand objects that look at the list of a thousand
//! others store a thousand addresses, not a million.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use grappe_value::addr::{InstanceAddr, InstanceKey, Mode};

use crate::walk::{NodeId, Walk, What};

/// A dependency: an instance of a resource of a module instance, or (`None`) all of them.
type Dependency = (usize, usize, Option<usize>);

/// Finds dependencies; remembers those of values that many share.
pub(crate) struct Dependencies<'w, 'a> {
    walk: &'w Walk<'a>,
    shared: HashMap<NodeId, Rc<[Dependency]>>,
}

impl<'w, 'a> Dependencies<'w, 'a> {
    pub(crate) fn new(walk: &'w Walk<'a>) -> Self {
        Dependencies { walk, shared: HashMap::new() }
    }

    /// The addresses that the object at a node depends on, sorted.
    pub(crate) fn of(&mut self, node: NodeId) -> Vec<InstanceAddr> {
        let mut found: Vec<Dependency> = Vec::new();
        for dep in &*self.walk.node(node).deps {
            match self.own(*dep) {
                Some(own) => found.push(own),
                None => found.extend(self.through(*dep).iter()),
            }
        }
        let mut addrs = self.gather(found);
        addrs.sort();
        addrs
    }

    /// The dependency that a node is itself.
    fn own(&self, node: NodeId) -> Option<Dependency> {
        let managed = |mi: usize, i: usize| {
            let instances = self.walk.modules[mi].resources[i].as_ref();
            instances.filter(|r| r.addr.mode == Mode::Managed && !r.nodes.is_empty()).is_some()
        };
        match self.walk.node(node).what {
            What::Instance(mi, i, at) if managed(mi, i) => Some((mi, i, Some(at))),
            What::Whole(mi, i) if managed(mi, i) => Some((mi, i, None)),
            _ => None,
        }
    }

    /// What a value passes on.
    fn through(&mut self, value: NodeId) -> Rc<[Dependency]> {
        if let Some(known) = self.shared.get(&value) {
            return known.clone();
        }
        let mut found = HashSet::new();
        let mut seen = HashSet::from([value]);
        let mut todo = vec![value];
        while let Some(node) = todo.pop() {
            for dep in &*self.walk.node(node).deps {
                match (self.own(*dep), self.shared.get(dep)) {
                    (Some(own), _) => drop(found.insert(own)),
                    (None, Some(known)) => found.extend(known.iter().copied()),
                    (None, None) if seen.insert(*dep) => todo.push(*dep),
                    (None, None) => {}
                }
            }
        }
        let found = self.compact(found.into_iter().collect());
        self.shared.insert(value, found.clone());
        found
    }

    /// All instances of a resource as one.
    fn compact(&self, found: Vec<Dependency>) -> Rc<[Dependency]> {
        let mut by_resource: BTreeMap<(usize, usize), Vec<Option<usize>>> = BTreeMap::new();
        for (mi, i, at) in found {
            by_resource.entry((mi, i)).or_default().push(at);
        }
        let mut out = Vec::new();
        for ((mi, i), mut at) in by_resource {
            at.sort_unstable();
            at.dedup();
            let all = self.walk.modules[mi].resources[i].as_ref().map_or(0, |r| r.nodes.len());
            // `None` sorts first.
            if at[0].is_none() || (all > 1 && at.len() == all) {
                at = vec![None];
            }
            out.extend(at.into_iter().map(|at| (mi, i, at)));
        }
        out.into()
    }

    fn gather(&self, found: Vec<Dependency>) -> Vec<InstanceAddr> {
        let addr = |(mi, i, at): &Dependency| match at {
            Some(at) => self.walk.addr(What::Instance(*mi, *i, *at)),
            None => Some(self.walk.modules[*mi].resources[*i].as_ref()?.addr.instance(InstanceKey::None)),
        };
        self.compact(found).iter().filter_map(addr).collect()
    }
}
