//! The state machine that a journal is a log of: what exists, what was begun, and how each record moves them.
//!
//! The same [`Ledger::apply`] serves the running engine and the replay after a crash, so the two can't differ. It refuses what can't happen (a
//! checkpoint of an operation that was never begun): such a journal is damaged, such an engine has a bug.

use std::collections::BTreeMap;

use grappe_value::addr::InstanceAddr;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::data::{Object, OutputValue, Pending, State, one_addr};

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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// What exists.
    pub state: State,
    pending: BTreeMap<Subject, Pending>,
}

impl Ledger {
    /// From what a snapshot holds.
    #[must_use]
    pub fn new(state: State, pending: Vec<Pending>) -> Self {
        Ledger { state, pending: pending.into_iter().map(|p| (p.subject(), p)).collect() }
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
            Record::Begin { lineage, serial, .. } => {
                if !self.state.lineage.is_empty() && self.state.lineage != lineage {
                    return Err(Impossible(format!("it begins a run on another state ({lineage})")));
                }
                self.state.lineage = lineage;
                self.state.serial = serial;
            }
            Record::Intent { mut pending, deposes } => {
                let subject = pending.subject();
                if let Some(key) = deposes {
                    self.change(&subject.addr, Change::Depose(key))?;
                }
                if let Some(earlier) = self.pending.remove(&subject)
                    && pending.checkpoint.is_none()
                {
                    pending.checkpoint = earlier.checkpoint;
                }
                self.pending.insert(subject, *pending);
            }
            Record::Checkpoint { of, state } => match self.pending.get_mut(&of) {
                Some(pending) => pending.checkpoint = Some(state),
                None => {
                    return Err(Impossible(format!(
                        "it is a checkpoint of {}, which was not begun",
                        of.addr
                    )));
                }
            },
            Record::Done { of, changes } | Record::Failed { of, changes } => {
                for change in changes {
                    self.change(&of.addr, change)?;
                }
                self.pending.remove(&of);
            }
            Record::Moved(moves) => self.move_all(&moves)?,
            Record::Outputs(outputs) => self.state.outputs = outputs,
        }
        Ok(())
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
            return Err(Impossible(format!("it moves an object to {taken}, where there is one")));
        }
        let rename = |mut object: Object| {
            object.dependencies.iter_mut().for_each(|d| *d = new(d));
            object
        };
        let objects = std::mem::take(&mut self.state.objects);
        self.state.objects = objects.into_iter().map(|(a, o)| (new(&a), rename(o))).collect();
        let deposed = std::mem::take(&mut self.state.deposed);
        self.state.deposed = deposed.into_iter().map(|((a, k), o)| ((new(&a), k), rename(o))).collect();
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
            Change::Put { deposed, object } => self.state.put(addr.clone(), deposed, *object),
            Change::Remove { deposed } => {
                self.state.remove(addr, deposed.as_deref());
            }
            Change::Depose(key) => {
                let object = self.state.remove(addr, None);
                let object =
                    object.ok_or_else(|| Impossible(format!("it deposes {addr}, which does not exist")))?;
                self.state.put(addr.clone(), Some(key), object);
            }
            Change::Restore(key) => {
                if self.state.objects.contains_key(addr) {
                    return Err(Impossible(format!("it restores {addr}, which has a newer object")));
                }
                let object = self.state.remove(addr, Some(&key));
                let object = object
                    .ok_or_else(|| Impossible(format!("it restores {addr} ({key}), which does not exist")))?;
                self.state.put(addr.clone(), None, object);
            }
        }
        Ok(())
    }
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
