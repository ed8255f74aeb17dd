//! Renaming: which addresses become which, and what that means for those that depend on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grappe_value::addr::{InstanceAddr, InstanceKey, ModuleAddr, ResourceAddr, Target};

use super::{Refused, known};
use crate::ledger::{Ledger, Moved, Record};

/// The renames that `state mv FROM TO` asks for. A resource or module without a key takes all its instances along, under their keys.
///
/// # Errors
/// Where nothing is at the source, something at the destination, or the two are not of one kind.
pub fn relocations(ledger: &Ledger, from: &Target, to: &Target) -> Result<Vec<Moved>, Refused> {
    let kinds = |why| Refused::Kinds { from: from.to_string(), to: to.to_string(), why };
    if from == to {
        return Err(Refused::Same(from.to_string()));
    }
    match (resource(from), resource(to)) {
        (None, Some(_)) => return Err(kinds("the target must also be a module")),
        (Some(_), None) => return Err(kinds("the target must also be a resource")),
        (Some(a), Some(b)) if (a.mode, &a.ty) != (b.mode, &b.ty) => {
            return Err(kinds("resource types don't match"));
        }
        _ => {}
    }
    let known = known(ledger);
    let moves: Vec<Moved> =
        known.iter().filter_map(|a| Some(Moved { from: a.clone(), to: renamed(a, from, to)? })).collect();
    if moves.is_empty() {
        return Err(Refused::Nothing(from.to_string()));
    }
    let leaving: BTreeSet<&InstanceAddr> = moves.iter().map(|m| &m.from).collect();
    match moves.iter().find(|m| known.contains(&m.to) && !leaving.contains(&m.to)) {
        Some(taken) => Err(Refused::Taken(taken.to.clone())),
        None => Ok(moves),
    }
}

/// The block that a target is about; `None` for a module.
fn resource(target: &Target) -> Option<&ResourceAddr> {
    match target {
        Target::Module(_) => None,
        Target::Resource(resource) => Some(resource),
        Target::Instance(instance) => Some(&instance.resource),
    }
}

/// What an address becomes; `None` where it stays.
fn renamed(addr: &InstanceAddr, from: &Target, to: &Target) -> Option<InstanceAddr> {
    match (from, to) {
        (Target::Module(from), Target::Module(to)) => {
            let module = renamed_module(&addr.resource.module, from, to)?;
            let resource = ResourceAddr { module, ..(*addr.resource).clone() };
            Some(InstanceAddr { resource: Arc::new(resource), key: addr.key.clone() })
        }
        (Target::Resource(from), Target::Resource(to)) => {
            let resource = Arc::new(to.clone());
            (*addr.resource == *from).then(|| InstanceAddr { resource, key: addr.key.clone() })
        }
        (Target::Resource(from), Target::Instance(to)) => {
            (*addr.resource == *from && addr.key == InstanceKey::None).then(|| to.clone())
        }
        (Target::Instance(from), Target::Resource(to)) => {
            (addr == from).then(|| InstanceAddr { resource: Arc::new(to.clone()), key: InstanceKey::None })
        }
        (Target::Instance(from), Target::Instance(to)) => (addr == from).then(|| to.clone()),
        _ => None,
    }
}

fn renamed_module(module: &ModuleAddr, from: &ModuleAddr, to: &ModuleAddr) -> Option<ModuleAddr> {
    let depth = from.0.len();
    let ((last, key), above) = from.0.split_last()?;
    let ((name, new_key), new_above) = to.0.split_last()?;
    let (own_name, own_key) = module.0.get(depth - 1)?;
    if module.0[..depth - 1] != *above || own_name != last {
        return None;
    }
    // Without a key on either side all instances go, each under its own.
    let key = match (key, new_key) {
        (InstanceKey::None, InstanceKey::None) => own_key,
        (key, new_key) if key == own_key => new_key,
        _ => return None,
    };
    let new = new_above.iter().cloned().chain([(name.clone(), key.clone())]);
    Some(ModuleAddr(new.chain(module.0[depth..].iter().cloned()).collect()))
}

/// Renames. What depends on all instances of a resource depends on those that leave it too.
///
/// # Errors
/// Where an address is taken. Nothing is changed then.
pub fn relocate(ledger: &mut Ledger, moves: &[Moved]) -> Result<(), Refused> {
    let mut changed = ledger.clone();
    let known = known(ledger);
    let mut gone: BTreeMap<InstanceAddr, BTreeSet<InstanceAddr>> = BTreeMap::new();
    for moved in moves {
        let all = moved.from.resource.instance(InstanceKey::None);
        // The address without a key is that of one instance: a name like any other.
        if !known.contains(&all) {
            let whole = known.iter().filter(|a| a.resource == all.resource).all(|a| {
                moves.iter().any(|m| m.from == *a && m.to.resource == moved.to.resource && m.to.key == a.key)
            });
            let stands = if whole { moved.to.resource.instance(InstanceKey::None) } else { moved.to.clone() };
            gone.entry(all).or_default().insert(stands);
        }
    }
    let stays = |all: &InstanceAddr| {
        known.iter().any(|a| a.resource == all.resource && moves.iter().all(|m| m.from != *a))
    };
    changed.each_dependencies(|dependencies| {
        if !dependencies.iter().any(|d| gone.contains_key(d)) {
            return;
        }
        let mut all: BTreeSet<InstanceAddr> = dependencies.drain(..).collect();
        for (addr, stands) in &gone {
            if all.contains(addr) {
                if !stays(addr) {
                    all.remove(addr);
                }
                all.extend(stands.iter().cloned());
            }
        }
        dependencies.extend(all);
    });
    changed.apply(Record::Moved(moves.to_vec()))?;
    *ledger = changed;
    Ok(())
}
