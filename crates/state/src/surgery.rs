//! What people do to a state by hand: rename, take out, mark, put another in its place. Pure: a [`Ledger`] goes in, and is as wanted or untouched.
//!
//! What an interrupted run began is part of a state: it is renamed with its object, and nothing is taken out or replaced that would make the next
//! run forget something that may exist in the world, unless the caller insists.

mod moving;

use std::collections::{BTreeMap, BTreeSet};

use grappe_value::addr::{InstanceAddr, Target};

use crate::data::{Action, Object, Pending, State};
use crate::ledger::{Impossible, Ledger};

pub use moving::{relocate, relocations};

/// Why something is not done. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such thing.
    #[error("the state has nothing at {0}")]
    Nothing(String),
    /// Source and destination are the same.
    #[error("{0} is where it is already")]
    Same(String),
    /// There is something at the destination.
    #[error("there is already a resource instance at {0} in the current state")]
    Taken(InstanceAddr),
    /// Source and destination are not of one kind.
    #[error("cannot move {from} to {to}: {why}")]
    Kinds {
        /// The source.
        from: String,
        /// The destination.
        to: String,
        /// What does not go together.
        why: &'static str,
    },
    /// The object's mark is as it should be.
    #[error("resource instance {0} is not currently tainted, and so it cannot be untainted")]
    NotTainted(InstanceAddr),
    /// An interrupted run began these, and nobody would look for what it left.
    #[error("an interrupted run began to create {}, and what it left would be forgotten", list(.0))]
    Unfinished(Vec<InstanceAddr>),
    /// Another state.
    #[error("cannot put state with lineage {new:?} in the place of unrelated state with lineage {have:?}")]
    Lineage {
        /// The one at hand.
        have: String,
        /// The one to put in its place.
        new: String,
    },
    /// An older one.
    #[error("cannot put state with serial {new} in the place of newer state with serial {have}")]
    Older {
        /// The one at hand.
        have: u64,
        /// The one to put in its place.
        new: u64,
    },
    /// Another one of the same serial.
    #[error(
        "cannot overwrite existing state with serial {0} with a different state that has the same serial"
    )]
    SameSerial(u64),
    /// What can't follow from what is there.
    #[error(transparent)]
    Impossible(#[from] Impossible),
}

fn list(addrs: &[InstanceAddr]) -> String {
    addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// All addresses at which there is something: an object, a deposed one, or what was begun.
fn known(ledger: &Ledger) -> BTreeSet<InstanceAddr> {
    let State { objects, deposed, .. } = &ledger.state;
    let pending = ledger.pending().map(|p| &p.addr);
    objects.keys().chain(deposed.keys().map(|(addr, _)| addr)).chain(pending).cloned().collect()
}

/// The creations that were begun at these addresses.
fn creations<'a>(
    pending: impl Iterator<Item = &'a Pending>,
    at: impl Fn(&InstanceAddr) -> bool,
) -> Vec<InstanceAddr> {
    let creates = |p: &&Pending| p.action == Action::Create && at(&p.addr);
    pending.filter(creates).map(|p| p.addr.clone()).collect()
}

/// Takes out all that the targets name, deposed objects too, and gives their addresses. What stood on it stands on what it stood on. `force` also
/// forgets what was begun to be created.
///
/// # Errors
/// Where a target names nothing, or a creation that was begun.
pub fn remove(ledger: &mut Ledger, targets: &[Target], force: bool) -> Result<Vec<InstanceAddr>, Refused> {
    let known = known(ledger);
    if let Some(target) = targets.iter().find(|t| !known.iter().any(|addr| t.matches(addr))) {
        return Err(Refused::Nothing(target.to_string()));
    }
    let goes = |addr: &InstanceAddr| targets.iter().any(|t| t.matches(addr));
    let begun = creations(ledger.pending(), goes);
    if !begun.is_empty() && !force {
        return Err(Refused::Unfinished(begun));
    }
    let mut state = ledger.state.clone();
    let stood: BTreeMap<InstanceAddr, Vec<InstanceAddr>> = state
        .objects
        .iter()
        .filter(|(addr, _)| goes(addr))
        .map(|(addr, object)| (addr.clone(), object.dependencies.clone()))
        .collect();
    state.objects.retain(|addr, _| !goes(addr));
    state.deposed.retain(|(addr, _), _| !goes(addr));
    let bridge = |dependencies: &mut Vec<InstanceAddr>| {
        if dependencies.iter().any(|d| stood.contains_key(d)) {
            *dependencies = bridged(dependencies, &stood);
        }
    };
    state.objects.values_mut().chain(state.deposed.values_mut()).for_each(|o| bridge(&mut o.dependencies));
    let mut pending: Vec<Pending> = ledger.pending().filter(|p| !goes(&p.addr)).cloned().collect();
    pending.iter_mut().for_each(|p| bridge(&mut p.dependencies));
    *ledger = Ledger::new(state, pending);
    Ok(known.into_iter().filter(goes).collect())
}

/// Dependencies with those of what is gone in its place.
fn bridged(
    dependencies: &[InstanceAddr],
    stood: &BTreeMap<InstanceAddr, Vec<InstanceAddr>>,
) -> Vec<InstanceAddr> {
    let (mut out, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut todo: Vec<&InstanceAddr> = dependencies.iter().collect();
    while let Some(addr) = todo.pop() {
        match stood.get(addr) {
            Some(below) if seen.insert(addr) => todo.extend(below),
            Some(_) => {}
            None => drop(out.insert(addr.clone())),
        }
    }
    out.into_iter().collect()
}

/// Marks an object to be created anew, or takes the mark away.
///
/// # Errors
/// Where there is no such object, or no mark to take away.
pub fn taint(ledger: &mut Ledger, addr: &InstanceAddr, tainted: bool) -> Result<(), Refused> {
    let Some(object) = ledger.state.objects.get_mut(addr) else {
        let begun = creations(ledger.pending(), |a| a == addr);
        let nothing = || Refused::Nothing(addr.to_string());
        return Err(if begun.is_empty() { nothing() } else { Refused::Unfinished(begun) });
    };
    if !tainted && !object.tainted {
        return Err(Refused::NotTainted(addr.clone()));
    }
    object.tainted = tainted;
    Ok(())
}

/// Gives objects, and what was begun, other providers: `other` says which, and `None` where it stays. Gives the addresses that changed.
pub fn replace_provider(
    ledger: &mut Ledger,
    other: impl Fn(&InstanceAddr, &str) -> Option<String>,
) -> Vec<InstanceAddr> {
    let mut changed = BTreeSet::new();
    let mut change = |addr: &InstanceAddr, provider: &mut String| {
        if let Some(new) = other(addr, provider) {
            *provider = new;
            changed.insert(addr.clone());
        }
    };
    let mut state = ledger.state.clone();
    state.objects.iter_mut().for_each(|(addr, o)| change(addr, &mut o.provider));
    state.deposed.iter_mut().for_each(|((addr, _), o)| change(addr, &mut o.provider));
    let mut pending: Vec<Pending> = ledger.pending().cloned().collect();
    pending.iter_mut().for_each(|p| change(&p.addr.clone(), &mut p.provider));
    *ledger = Ledger::new(state, pending);
    changed.into_iter().collect()
}

/// Whether a state that somebody brings may take the place of the one at hand.
///
/// # Errors
/// Where it is another one or an older one, or would forget what was begun.
pub fn may_replace(have: &Ledger, new: &Ledger) -> Result<(), Refused> {
    let (old, state) = (&have.state, &new.state);
    if !old.lineage.is_empty() && !state.lineage.is_empty() && old.lineage != state.lineage {
        return Err(Refused::Lineage { have: old.lineage.clone(), new: state.lineage.clone() });
    }
    if state.serial < old.serial {
        return Err(Refused::Older { have: old.serial, new: state.serial });
    }
    if state.serial == old.serial && !old.lineage.is_empty() && have != new {
        return Err(Refused::SameSerial(old.serial));
    }
    let lost = |p: &&Pending| new.pending_of(&p.subject()).is_none() && !made(&new.state, p);
    let lost = creations(have.pending().filter(lost), |_| true);
    if lost.is_empty() { Ok(()) } else { Err(Refused::Unfinished(lost)) }
}

/// Whether a state has the object that was begun: it was made under the same key.
fn made(state: &State, pending: &Pending) -> bool {
    let under = |object: &Object| !pending.key.is_empty() && object.key == pending.key;
    let deposed = state.deposed.iter().filter(|((addr, _), _)| *addr == pending.addr).map(|(_, o)| o);
    state.objects.get(&pending.addr).into_iter().chain(deposed).any(under)
}

/// An older state in the place of the one at hand. What was begun since is carried along: the next run looks for it.
///
/// # Errors
/// Where the older state has an object at an address where a creation was begun since: the next run would look for that one no more. `force`
/// takes it all the same.
pub fn restore(have: &Ledger, old: &Ledger, force: bool) -> Result<Ledger, Refused> {
    let mut pending: BTreeMap<_, Pending> = old.pending().map(|p| (p.subject(), p.clone())).collect();
    let mut lost = Vec::new();
    for begun in have.pending().filter(|p| !made(&old.state, p)) {
        let current = begun.action == Action::Create && begun.deposed.is_none();
        if current && old.state.objects.contains_key(&begun.addr) {
            lost.push(begun.addr.clone());
        } else if current || old.state.get(&begun.addr, begun.deposed.as_deref()).is_some() {
            pending.insert(begun.subject(), begun.clone());
        }
    }
    if !lost.is_empty() && !force {
        return Err(Refused::Unfinished(lost));
    }
    Ok(Ledger::new(old.state.clone(), pending.into_values().collect()))
}

#[cfg(test)]
mod tests;
