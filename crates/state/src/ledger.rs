//! The state machine that a journal is a log of: what exists, what was begun, and how each record moves them.
//!
//! The same [`Ledger::apply`] serves the running engine and the replay after a crash, so the two can't differ. It refuses what can't happen: such a
//! journal is damaged, such an engine has a bug.
//!
//! | record | what must be so | what is then |
//! |---|---|---|
//! | `Begin` | the same lineage, a later serial | what is pending is left by earlier runs |
//! | `Intent` | this run is not at it; an earlier one that was began the same. An update, a delete: that very object is there (what a create finds in the state is gone outside, or deposed now) | pending, with the checkpoint that an earlier run left |
//! | `Checkpoint` | pending | pending, with this |
//! | `Done` of what is pending | a create puts an object (one that is swept, or what was found of it), an update puts it, a delete removes it | over |
//! | `Done` of what is not | – | the state alone changes: imports, steps, what was found |
//! | `Failed` | pending | over |
//! | each change | what is removed, deposed or restored is there, and nothing is in the way; steps come one after another | |
//! | `Moved` | each object once, each place once, none on top of another | |

use std::collections::{BTreeMap, HashSet};

use grappe_value::addr::InstanceAddr;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::data::{Action, Object, OutputValue, Pending, State, one_addr};

/// What an operation is about: an object by address, deposed key and idempotency key. No two operations of a run are about the same one at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// Its address.
    #[serde(with = "one_addr")]
    pub addr: InstanceAddr,
    /// Its deposed key, where it is not the current object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposed: Option<String>,
    /// Its idempotency key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
}

/// What a record does to the state, at its subject's address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Stores an object: the current one, or under a deposed key.
    Put {
        /// The deposed key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deposed: Option<String>,
        /// The object.
        object: Box<Object>,
    },
    /// Takes one out.
    Remove {
        /// The deposed key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deposed: Option<String>,
    },
    /// The current object becomes a deposed one, under this key.
    Depose(String),
    /// The deposed object under this key becomes the current one again.
    Restore(String),
}

/// An object that has another address now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// Where it was.
    #[serde(with = "one_addr")]
    pub from: InstanceAddr,
    /// Where it is.
    #[serde(with = "one_addr")]
    pub to: InstanceAddr,
}

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A run begins to write. The first record of a journal, and again for each later run that appends to it.
    Begin {
        /// The format of the journal.
        format: u32,
        /// The lineage of the state.
        lineage: String,
        /// The serial of the snapshot that the journal goes on from.
        base: u64,
        /// The serial of the state with this run's records.
        serial: u64,
        /// The program that writes it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        written_by: String,
    },
    /// An operation is about to begin. Where the same subject was begun by an earlier run, this one goes on from its checkpoint.
    Intent {
        /// The operation.
        pending: Box<Pending>,
        /// The current object becomes a deposed one first, under this key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deposes: Option<String>,
    },
    /// What exists by now of something that was begun.
    Checkpoint {
        /// What it is about.
        of: Subject,
        /// What the provider says; see [`Pending::checkpoint`].
        state: Json,
    },
    /// An operation succeeded, or the state alone changed.
    Done {
        /// What it is about.
        of: Subject,
        /// What is now.
        changes: Vec<Change>,
    },
    /// An operation failed.
    Failed {
        /// What it is about.
        of: Subject,
        /// What is now.
        changes: Vec<Change>,
    },
    /// Objects have other addresses now, all at once.
    Moved(Vec<Moved>),
    /// The root module's outputs are these now.
    Outputs(BTreeMap<String, OutputValue>),
}

/// A record that can't follow those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Impossible(String);

/// What exists and what was begun.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// What exists.
    pub state: State,
    pending: BTreeMap<Subject, Pending>,
    /// Those of them that the run at hand began; the others are what earlier ones left.
    begun: HashSet<Subject>,
}

/// What is known; not which run it is from.
impl PartialEq for Ledger {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state && self.pending == other.pending
    }
}

impl Ledger {
    /// From what a snapshot holds.
    #[must_use]
    pub fn new(state: State, pending: Vec<Pending>) -> Self {
        let pending = pending.into_iter().map(|p| (p.subject(), p)).collect();
        Ledger { state, pending, begun: HashSet::new() }
    }

    /// The operations that were begun and of whose end nothing is known.
    pub fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.pending.values()
    }

    /// One of them.
    #[must_use]
    pub fn pending_of(&self, subject: &Subject) -> Option<&Pending> {
        self.pending.get(subject)
    }

    /// Moves on by one record. Costs what the record changes, whatever the size of the state.
    ///
    /// # Errors
    /// Where the record can't follow what was before. Nothing is changed then.
    pub fn apply(&mut self, record: Record) -> Result<(), Impossible> {
        match record {
            Record::Begin { lineage, serial, .. } => self.begin(lineage, serial),
            Record::Intent { pending, deposes } => self.intend(*pending, deposes),
            Record::Checkpoint { of, state } => match self.pending.get_mut(&of) {
                Some(pending) => {
                    pending.checkpoint = Some(state);
                    Ok(())
                }
                None => refuse(format_args!("it is a checkpoint of {}, which was not begun", of.addr)),
            },
            Record::Done { of, changes } => {
                self.may_be_done(&of, &changes)?;
                self.end(&of, changes)
            }
            Record::Failed { of, changes } => {
                if !self.pending.contains_key(&of) {
                    return refuse(format_args!("it ends {} as failed, which was not begun", of.addr));
                }
                self.end(&of, changes)
            }
            Record::Moved(moves) => self.move_all(&moves),
            Record::Outputs(outputs) => {
                self.state.outputs = outputs;
                Ok(())
            }
        }
    }

    fn begin(&mut self, lineage: String, serial: u64) -> Result<(), Impossible> {
        if !self.state.lineage.is_empty() && self.state.lineage != lineage {
            return refuse(format_args!("it begins a run on another state ({lineage})"));
        }
        if serial <= self.state.serial {
            let at = self.state.serial;
            return refuse(format_args!(
                "it begins a run as serial {serial}, and the state is at {at} already"
            ));
        }
        (self.state.lineage, self.state.serial) = (lineage, serial);
        self.begun.clear();
        Ok(())
    }

    /// An operation begins: about something that is as it says, and that nothing else of this run is about.
    fn intend(&mut self, mut pending: Pending, deposes: Option<String>) -> Result<(), Impossible> {
        let (subject, addr) = (pending.subject(), &pending.addr);
        let earlier = self.pending.get(&subject);
        if self.begun.contains(&subject) {
            return refuse(format_args!("it begins {addr}, which this run is at already"));
        }
        if let Some(earlier) = earlier.filter(|earlier| earlier.action != pending.action) {
            let (before, now) = (earlier.action, pending.action);
            return refuse(format_args!(
                "it begins to {now:?} {addr}, which an earlier run began to {before:?}"
            ));
        }
        let there = self.state.get(addr, subject.deposed.as_deref());
        match (pending.action, there) {
            (Action::Update | Action::Delete, None) => {
                let now = pending.action;
                return refuse(format_args!("it begins to {now:?} {addr}, which does not exist"));
            }
            (Action::Update | Action::Delete, Some(object)) if object.key != subject.key => {
                return refuse(format_args!("it is about another object than {addr} is"));
            }
            (Action::Update | Action::Delete, Some(_)) if deposes.is_some() => {
                return refuse(format_args!("it deposes {addr}, and creates nothing in its place"));
            }
            _ => {}
        }
        if pending.checkpoint.is_none() {
            pending.checkpoint = earlier.and_then(|earlier| earlier.checkpoint.clone());
        }
        if let Some(key) = deposes {
            self.change(&subject.addr, Change::Depose(key))?;
        }
        self.begun.insert(subject.clone());
        self.pending.insert(subject, pending);
        Ok(())
    }

    /// What was begun ends as what it was begun as; what was not begun changes the state alone.
    fn may_be_done(&self, of: &Subject, changes: &[Change]) -> Result<(), Impossible> {
        let Some(pending) = self.pending.get(of) else { return Ok(()) };
        let puts = |c: &Change| matches!(c, Change::Put { .. });
        let is = match pending.action {
            // What an interrupted one left may be nothing.
            Action::Create => changes.iter().any(puts) || (changes.is_empty() && !self.begun.contains(of)),
            Action::Update => {
                changes.iter().any(|c| matches!(c, Change::Put { deposed, .. } if *deposed == of.deposed))
            }
            Action::Delete => {
                changes.iter().any(|c| matches!(c, Change::Remove { deposed } if *deposed == of.deposed))
            }
        };
        if is {
            return Ok(());
        }
        let what = pending.action;
        refuse(format_args!("it ends a {what:?} of {} with something else", of.addr))
    }

    fn end(&mut self, of: &Subject, changes: Vec<Change>) -> Result<(), Impossible> {
        // All or nothing: several changes are of one address.
        let before = (changes.len() > 1).then(|| self.at(&of.addr));
        for change in changes {
            if let Err(impossible) = self.change(&of.addr, change) {
                if let Some((current, deposed)) = before {
                    self.put_back(&of.addr, current, deposed);
                }
                return Err(impossible);
            }
        }
        self.pending.remove(of);
        self.begun.remove(of);
        Ok(())
    }

    /// All objects of an address.
    fn at(&self, addr: &InstanceAddr) -> (Option<Object>, Vec<(String, Object)>) {
        let from = (addr.clone(), String::new());
        let deposed = self.state.deposed.range(from..).take_while(|((at, _), _)| at == addr);
        let deposed = deposed.map(|((_, key), object)| (key.clone(), object.clone())).collect();
        (self.state.objects.get(addr).cloned(), deposed)
    }

    fn put_back(&mut self, addr: &InstanceAddr, current: Option<Object>, deposed: Vec<(String, Object)>) {
        for (key, _) in self.at(addr).1 {
            self.state.remove(addr, Some(&key));
        }
        for (key, object) in deposed {
            self.state.put(addr.clone(), Some(key), object);
        }
        match current {
            Some(object) => self.state.put(addr.clone(), None, object),
            None => {
                self.state.remove(addr, None);
            }
        }
    }

    /// Notes that these objects were read at a time, and found as the state has them. It is in no record: what is lost of it costs a reading.
    pub fn saw<'a>(&mut self, objects: impl IntoIterator<Item = (&'a InstanceAddr, u64)>) {
        for (addr, at) in objects {
            if let Some(object) = self.state.objects.get_mut(addr) {
                object.seen = object.seen.max(Some(at));
            }
        }
    }

    /// Shows the dependencies of each object, deposed ones and what was begun too, to be changed.
    pub(crate) fn each_dependencies(&mut self, mut change: impl FnMut(&mut Vec<InstanceAddr>)) {
        let State { objects, deposed, .. } = &mut self.state;
        objects.values_mut().chain(deposed.values_mut()).for_each(|o| change(&mut o.dependencies));
        self.pending.values_mut().for_each(|p| change(&mut p.dependencies));
    }

    /// Renames: objects, deposed ones, what was begun, and the names of all of them in others' dependencies. Costs what the state holds, once.
    fn move_all(&mut self, moves: &[Moved]) -> Result<(), Impossible> {
        let to: BTreeMap<&InstanceAddr, &InstanceAddr> = moves.iter().map(|m| (&m.from, &m.to)).collect();
        let new = |addr: &InstanceAddr| to.get(addr).map_or_else(|| addr.clone(), |to| (*to).clone());
        let stays = |addr: &&InstanceAddr| !to.contains_key(*addr) && self.state.objects.contains_key(addr);
        if let Some(taken) = moves.iter().map(|m| &m.to).find(stays) {
            return refuse(format_args!("it moves an object to {taken}, where there is one"));
        }
        if to.len() != moves.len() || to.values().collect::<HashSet<_>>().len() != moves.len() {
            return refuse(format_args!("it moves one object twice, or two to one place"));
        }
        // Deposed objects and what was begun go along, and must not meet others there.
        let subject = |of: &Subject| Subject { addr: new(&of.addr), ..of.clone() };
        let deposed: HashSet<_> = self.state.deposed.keys().map(|(addr, key)| (new(addr), key)).collect();
        let pending: HashSet<_> = self.pending.keys().map(subject).collect();
        if deposed.len() < self.state.deposed.len() || pending.len() < self.pending.len() {
            return refuse(format_args!("it moves two to one place"));
        }
        let rename = |mut object: Object| {
            object.dependencies.iter_mut().for_each(|d| *d = new(d));
            object
        };
        let objects = std::mem::take(&mut self.state.objects);
        self.state.objects = objects.into_iter().map(|(a, o)| (new(&a), rename(o))).collect();
        let deposed = std::mem::take(&mut self.state.deposed);
        self.state.deposed = deposed.into_iter().map(|((a, k), o)| ((new(&a), k), rename(o))).collect();
        self.begun = self.begun.iter().map(subject).collect();
        let pending = std::mem::take(&mut self.pending).into_values().map(|mut pending| {
            pending.addr = new(&pending.addr);
            pending.dependencies.iter_mut().for_each(|d| *d = new(d));
            (pending.subject(), pending)
        });
        self.pending = pending.collect();
        Ok(())
    }

    fn change(&mut self, addr: &InstanceAddr, change: Change) -> Result<(), Impossible> {
        match change {
            Change::Put { deposed, object } => {
                if let Some(before) = self.state.get(addr, deposed.as_deref()) {
                    steps_follow(addr, before, &object)?;
                }
                self.state.put(addr.clone(), deposed, *object);
            }
            Change::Remove { deposed } => {
                if self.state.remove(addr, deposed.as_deref()).is_none() {
                    return refuse(format_args!("it removes {addr}, which does not exist"));
                }
            }
            Change::Depose(key) => {
                if self.state.get(addr, Some(&key)).is_some() {
                    return refuse(format_args!("it deposes {addr} as {key}, which there is already"));
                }
                let Some(object) = self.state.remove(addr, None) else {
                    return refuse(format_args!("it deposes {addr}, which does not exist"));
                };
                self.state.put(addr.clone(), Some(key), object);
            }
            Change::Restore(key) => {
                if self.state.objects.contains_key(addr) {
                    return refuse(format_args!("it restores {addr}, which has a newer object"));
                }
                let Some(object) = self.state.remove(addr, Some(&key)) else {
                    return refuse(format_args!("it restores {addr} ({key}), which does not exist"));
                };
                self.state.put(addr.clone(), None, object);
            }
        }
        Ok(())
    }
}

fn refuse<T>(why: std::fmt::Arguments<'_>) -> Result<T, Impossible> {
    Err(Impossible(why.to_string()))
}

/// Steps are done one after another: none is left out, none is undone.
fn steps_follow(addr: &InstanceAddr, before: &Object, after: &Object) -> Result<(), Impossible> {
    if before.key != after.key {
        return Ok(());
    }
    let created = match (before.steps_done, after.steps_done) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(before), Some(after)) => after == before || after == before + 1,
    };
    // An object that is changed instead of deleted begins again.
    let destroyed = after.undone == 0 || after.undone == before.undone || after.undone == before.undone + 1;
    if created && destroyed {
        return Ok(());
    }
    refuse(format_args!("it leaves out a step of {addr}"))
}

impl Pending {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject { addr: self.addr.clone(), deposed: self.deposed.clone(), key: self.key.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_can_change_places() {
        let addr = |text: &str| text.parse::<InstanceAddr>().unwrap();
        let object = |n: u64, dependency: &str| Object {
            attributes: n.into(),
            dependencies: vec![addr(dependency)],
            ..Object::default()
        };
        let mut ledger = Ledger::default();
        ledger.state.put(addr("t.a"), None, object(1, "t.x"));
        ledger.state.put(addr("t.b"), None, object(2, "t.a"));
        ledger.state.put(addr("t.a"), Some("d".into()), object(3, "t.b"));
        let moved = |from, to| Moved { from: addr(from), to: addr(to) };
        ledger.apply(Record::Moved(vec![moved("t.a", "t.b"), moved("t.b", "t.a")])).unwrap();
        assert_eq!(ledger.state.objects[&addr("t.b")], object(1, "t.x"));
        assert_eq!(ledger.state.objects[&addr("t.a")], object(2, "t.b"));
        assert_eq!(ledger.state.get(&addr("t.b"), Some("d")), Some(&object(3, "t.a")));
        let before = ledger.clone();
        assert!(ledger.apply(Record::Moved(vec![moved("t.a", "t.b")])).is_err(), "there is one");
        assert_eq!(ledger, before);
    }
}
