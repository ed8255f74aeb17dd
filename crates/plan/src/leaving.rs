//! Objects that go: those that the configuration does not have, those that a newer one replaced, and what interrupted creations left.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::Resource;
use grappe_state::Object;
use grappe_value::addr::{InstanceAddr, InstanceKey};
use grappe_value::wire;

use crate::decided::{Going, Gone};
use crate::input::Input;
use crate::model::{ProviderKey, Reason};
use crate::moves::removed;
use crate::provision::before_deleting;
use crate::refresh::ProviderFinder;
use crate::statics::Statics;
use crate::targets::Targets;
use crate::timeouts::of_object;
use crate::walk::{Repeated, Walk, repeated};
use crate::world::{Prior, World, decode};

/// The block that an address is of.
pub(crate) fn block<'a>(statics: &Statics<'a>, addr: &InstanceAddr) -> Option<&'a Resource> {
    let (module, i) = statics.find(&addr.resource)?;
    statics.modules[module].config.resources.get_index(i).map(|(_, r)| &**r)
}

/// The objects that targets name, and all that depend on them: none is left standing on nothing. Without what is excluded, and what that stands on.
pub(crate) fn with_dependants<'a>(input: &'a Input<'_>, targets: &Targets<'_>) -> BTreeSet<&'a InstanceAddr> {
    let objects = &input.state.objects;
    let going = match targets.wanted() {
        None => objects.keys().collect(),
        Some(_) => Dependants::of(objects).with(objects.keys().filter(|addr| targets.names(addr))),
    };
    let stays = targets.stays(objects);
    going.difference(&stays).copied().collect()
}

/// Who depends on whom in the state.
pub(crate) struct Dependants<'a>(HashMap<&'a InstanceAddr, Vec<&'a InstanceAddr>>);

impl<'a> Dependants<'a> {
    pub(crate) fn of(objects: &'a BTreeMap<InstanceAddr, Object>) -> Self {
        let mut dependants: HashMap<&InstanceAddr, Vec<&InstanceAddr>> = HashMap::new();
        for (addr, object) in objects {
            for dep in &object.dependencies {
                dependants.entry(dep).or_default().push(addr);
            }
        }
        Dependants(dependants)
    }

    /// These objects, and all that depend on them, directly or through others.
    pub(crate) fn with(&self, objects: impl Iterator<Item = &'a InstanceAddr>) -> BTreeSet<&'a InstanceAddr> {
        let mut found = BTreeSet::new();
        let mut todo: Vec<&InstanceAddr> = objects.collect();
        while let Some(addr) = todo.pop() {
            if found.insert(addr) {
                let all = addr.resource.instance(InstanceKey::None);
                todo.extend(self.0.get(addr).into_iter().chain(self.0.get(&all)).flatten());
            }
        }
        found
    }
}

/// Objects that go.
pub(crate) struct Leaving<'w, 'a> {
    input: &'a Input<'a>,
    world: &'w World<'a>,
    walk: &'w Walk<'a>,
    finder: ProviderFinder<'w, 'a>,
    pub(crate) found: Diagnostics,
    pub(crate) gone: Vec<Gone<'a>>,
}

impl<'w, 'a> Leaving<'w, 'a> {
    pub(crate) fn new(input: &'a Input<'a>, world: &'w World<'a>, walk: &'w Walk<'a>) -> Self {
        let finder = ProviderFinder::new(walk);
        Leaving { input, world, walk, finder, found: Diagnostics::new(), gone: Vec::new() }
    }

    /// An object that the configuration does not have.
    pub(crate) fn orphan(&mut self, addr: &'a InstanceAddr, object: &'a Object) {
        let statics = &self.walk.statics;
        let here = self.walk.by_addr.contains_key(&addr.resource.module);
        let mut reason = match block(statics, addr) {
            None if self.world.moves.moved_to(addr) => Reason::NoMoveTarget,
            Some(_) if !here => Reason::ModuleNotInConfiguration,
            _ => Reason::NotInConfiguration,
        };
        if let Some(block) = block(statics, addr) {
            self.walk.protected(addr, block, &mut self.found);
            if here {
                reason = match (&addr.key, repeated(block.count.is_some(), block.for_each.is_some())) {
                    (InstanceKey::Int(_), Repeated::Count) => Reason::IndexOutOfCount,
                    (InstanceKey::Str(_), Repeated::ForEach) => Reason::KeyNotInForEach,
                    _ => Reason::RepetitionChanged,
                };
            }
        }
        self.leave(addr, object, reason);
    }

    /// An object that goes for a reason.
    pub(crate) fn leave(&mut self, addr: &'a InstanceAddr, object: &'a Object, reason: Reason) {
        let (Some(prior), Some(provider)) =
            (self.found.keep(self.world.prior(addr)), self.provider(addr, object))
        else {
            return;
        };
        let (reason, how) = match prior {
            Prior::Gone(value) => (Reason::GoneOutside, Going::Forget(value)),
            Prior::There { value, .. } if self.stays(addr) => (reason, Going::Forget(value)),
            Prior::There { value, .. } => {
                (reason, Going::Delete(object, value, before_deleting(&self.walk.statics, addr, object)))
            }
            Prior::Absent => return,
        };
        let timeouts = of_object(&self.walk.statics, addr, object);
        self.gone.push(Gone { addr: addr.clone(), deposed: None, provider, timeouts, reason, how });
    }

    /// An object that another took the place of.
    pub(crate) fn deposed(
        &mut self,
        addr: &'a InstanceAddr,
        key: &'a str,
        object: &'a Object,
        reason: Reason,
    ) {
        let Some(kind) = self.input.registry.resource(&addr.resource.ty) else { return };
        let value = self.found.keep(decode(kind, addr, object));
        if let (Some(value), Some(provider)) = (value, self.provider(addr, object)) {
            let how = if self.stays(addr) {
                Going::Forget(value)
            } else {
                Going::Delete(object, value, before_deleting(&self.walk.statics, addr, object))
            };
            let timeouts = of_object(&self.walk.statics, addr, object);
            self.gone.push(Gone { addr: addr.clone(), deposed: Some(key), provider, timeouts, reason, how });
        }
    }

    /// Whether the configuration says that it has no block any more and is to be left alone.
    fn stays(&self, addr: &InstanceAddr) -> bool {
        let statics = &self.walk.statics;
        block(statics, addr).is_none() && removed(statics, addr).is_some_and(|r| !r.destroy)
    }

    /// What an interrupted creation may have left.
    pub(crate) fn abandoned(&mut self, begun: &'a grappe_state::Pending) {
        let Some(kind) = self.input.registry.resource(&begun.addr.resource.ty) else { return };
        let planned = wire::decode(&begun.planned, kind.ty()).map_err(|e| {
            Diagnostic::error("Invalid operation in the journal").detail(e.to_string()).address(&begun.addr)
        });
        let made = Object { provider: begun.provider.clone(), timeouts: begun.timeouts, ..Object::default() };
        let provider = self.provider(&begun.addr, &made);
        if let (Some(planned), Some(provider)) = (self.found.keep(planned), provider) {
            let how = Going::Adopt(begun, planned);
            self.gone.push(Gone {
                addr: begun.addr.clone(),
                deposed: None,
                provider,
                timeouts: of_object(&self.walk.statics, &begun.addr, &made),
                reason: match self.world.is_found(begun) {
                    true => Reason::AbandonedFound,
                    false => Reason::Abandoned,
                },
                how,
            });
        }
    }

    fn provider(&mut self, addr: &InstanceAddr, object: &Object) -> Option<ProviderKey> {
        let key = self.found.keep(self.finder.key_of(addr, object))?;
        // Whether there still is such a configuration.
        match self.finder.config(&key) {
            // It is made of something that is left alone, or open, and so is what it reaches.
            Ok(None) if !self.input.options.excludes.is_empty() || !self.walk.open.is_empty() => None,
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
