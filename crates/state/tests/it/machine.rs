//! The journal as a state machine: what may follow what, against a second telling of the rules; and what is left of a journal that is cut, damaged or
//! folded in the middle of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

use grappe_state::journal::JournalError;
use grappe_state::{Action, Change, Ledger, Moved, Object, Pending, Record, StateError, Subject};
use proptest::prelude::*;
use serde_json::json;

use crate::{addr, files_of, put, session, store};

/// An object as far as the rules go: its key, and how many steps after its creation are done where not all are.
type Thing = (String, Option<u32>);
/// Where an object is: address and deposed key.
type Slot = (String, Option<String>);

/// The rules told again, as what they make of the whole: nothing is changed in place, so nothing can be left half changed.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    things: BTreeMap<Slot, Thing>,
    pending: BTreeMap<Subject, (Action, Option<i64>)>,
    this_run: BTreeSet<Subject>,
    serial: u64,
}

fn slot(of: &Subject) -> Slot {
    (of.addr.to_string(), of.deposed.clone())
}

impl Model {
    fn next(&self, record: &Record) -> Option<Model> {
        let mut next = self.clone();
        match record {
            Record::Begin { serial, .. } => {
                next.this_run.clear();
                next.serial = *serial;
                (*serial > self.serial).then_some(next)
            }
            Record::Intent { pending, deposes } => {
                let of = pending.subject();
                let earlier = self.pending.get(&of);
                let there = self.things.get(&slot(&of));
                let fits = match pending.action {
                    // What is there is gone outside, or deposed now.
                    Action::Create => true,
                    _ => there.is_some_and(|(key, _)| *key == of.key) && deposes.is_none(),
                };
                if !fits || self.this_run.contains(&of) || earlier.is_some_and(|(a, _)| *a != pending.action)
                {
                    return None;
                }
                if let Some(key) = deposes {
                    next = next.change(&of, &Change::Depose(key.clone()))?;
                }
                let checkpoint = earlier.and_then(|(_, checkpoint)| *checkpoint);
                next.pending.insert(of.clone(), (pending.action, checkpoint));
                next.this_run.insert(of);
                Some(next)
            }
            Record::Checkpoint { of, state } => {
                next.pending.get_mut(of)?.1 = state.as_i64();
                Some(next)
            }
            Record::Done { of, changes } => {
                let about = |c: &Change| match (self.pending.get(of).map(|p| p.0), c) {
                    (Some(Action::Create), Change::Put { .. }) => true,
                    (Some(Action::Update), Change::Put { deposed, .. })
                    | (Some(Action::Delete), Change::Remove { deposed }) => *deposed == of.deposed,
                    _ => false,
                };
                let swept = self.pending.get(of).is_some_and(|p| p.0 == Action::Create)
                    && !self.this_run.contains(of)
                    && changes.is_empty();
                let fits = !self.pending.contains_key(of) || swept || changes.iter().any(about);
                if fits { next.end(of, changes) } else { None }
            }
            Record::Failed { of, changes } => {
                if self.pending.contains_key(of) {
                    next.end(of, changes)
                } else {
                    None
                }
            }
            Record::Moved(moves) => {
                let from: BTreeSet<String> = moves.iter().map(|m| m.from.to_string()).collect();
                let to: BTreeSet<String> = moves.iter().map(|m| m.to.to_string()).collect();
                let stays = |at: &String| !from.contains(at) && self.things.contains_key(&(at.clone(), None));
                if from.len() < moves.len() || to.len() < moves.len() || to.iter().any(stays) {
                    return None;
                }
                let new = |at: &str| {
                    let moved = moves.iter().find(|m| m.from.to_string() == at);
                    moved.map_or_else(|| at.to_owned(), |m| m.to.to_string())
                };
                next.things =
                    self.things.iter().map(|((at, d), t)| ((new(at), d.clone()), t.clone())).collect();
                let subject = |of: &Subject| Subject { addr: addr(&new(&of.addr.to_string())), ..of.clone() };
                next.pending = self.pending.iter().map(|(of, p)| (subject(of), *p)).collect();
                next.this_run = self.this_run.iter().map(subject).collect();
                let whole = |m: &Model| (m.things.len(), m.pending.len());
                (whole(&next) == whole(self)).then_some(next)
            }
            Record::Outputs(_) => Some(next),
        }
    }

    fn end(mut self, of: &Subject, changes: &[Change]) -> Option<Model> {
        for change in changes {
            self = self.change(of, change)?;
        }
        self.pending.remove(of);
        self.this_run.remove(of);
        Some(self)
    }

    fn change(mut self, of: &Subject, change: &Change) -> Option<Model> {
        let at = |deposed: Option<String>| (of.addr.to_string(), deposed);
        match change {
            Change::Put { deposed, object } => {
                let new = (object.key.clone(), object.steps_done);
                let before = self.things.insert(at(deposed.clone()), new.clone());
                let follows = match (before.filter(|b| b.0 == new.0).map(|b| b.1), new.1) {
                    (None, _) | (_, None) => true,
                    (Some(None), Some(_)) => false,
                    (Some(Some(before)), Some(now)) => now == before || now == before + 1,
                };
                follows.then_some(self)
            }
            Change::Remove { deposed } => self.things.remove(&at(deposed.clone())).map(|_| self),
            Change::Depose(key) => {
                let thing = self.things.remove(&at(None))?;
                let free = self.things.insert(at(Some(key.clone())), thing).is_none();
                free.then_some(self)
            }
            Change::Restore(key) => {
                let thing = self.things.remove(&at(Some(key.clone())))?;
                let free = self.things.insert(at(None), thing).is_none();
                free.then_some(self)
            }
        }
    }

    fn of(ledger: &Ledger) -> Model {
        let thing = |object: &Object| (object.key.clone(), object.steps_done);
        let current = ledger.state.objects.iter().map(|(at, o)| ((at.to_string(), None), thing(o)));
        let deposed =
            ledger.state.deposed.iter().map(|((at, k), o)| ((at.to_string(), Some(k.clone())), thing(o)));
        let checkpoint = |p: &Pending| p.checkpoint.as_ref().and_then(serde_json::Value::as_i64);
        Model {
            things: current.chain(deposed).collect(),
            pending: ledger.pending().map(|p| (p.subject(), (p.action, checkpoint(p)))).collect(),
            this_run: BTreeSet::new(),
            serial: ledger.state.serial,
        }
    }

    /// What a ledger knows, but for which run it is from.
    fn shown(&self) -> Model {
        Model { this_run: BTreeSet::new(), ..self.clone() }
    }
}

/// Every record there can be about two addresses, two keys and two deposed keys.
static RECORDS: LazyLock<Vec<Record>> = LazyLock::new(|| {
    let deposed = [None, Some("d".to_owned()), Some("e".to_owned())];
    let mut changes: Vec<Vec<Change>> = vec![Vec::new()];
    let put = |deposed: &Option<String>, key: &str, steps_done| Change::Put {
        deposed: deposed.clone(),
        object: Box::new(Object { key: key.into(), steps_done, ..Object::default() }),
    };
    for deposed in &deposed {
        for key in ["k", "l"] {
            changes.extend([None, Some(0), Some(1), Some(2)].map(|steps| vec![put(deposed, key, steps)]));
        }
        changes.push(vec![Change::Remove { deposed: deposed.clone() }]);
    }
    for key in ["d", "e"] {
        let deposed = Some(key.to_owned());
        changes.push(vec![Change::Depose(key.into())]);
        changes.push(vec![Change::Restore(key.into())]);
        changes.push(vec![Change::Depose(key.into()), put(&None, "k", None)]);
        // The second can't follow the first, or may not.
        changes.push(vec![Change::Restore(key.into()), Change::Restore(key.into())]);
        changes.push(vec![Change::Remove { deposed: None }, Change::Remove { deposed }]);
    }
    let mut records = vec![
        Record::Begin { format: 1, lineage: "l".into(), base: 0, serial: 0, written_by: String::new() },
        Record::Moved(vec![Moved { from: addr("t.a"), to: addr("t.b") }]),
        Record::Moved(vec![
            Moved { from: addr("t.a"), to: addr("t.b") },
            Moved { from: addr("t.b"), to: addr("t.a") },
        ]),
        Record::Moved(vec![
            Moved { from: addr("t.a"), to: addr("t.c") },
            Moved { from: addr("t.b"), to: addr("t.c") },
        ]),
    ];
    for at in ["t.a", "t.b"] {
        for deposed in &deposed[..2] {
            for key in ["k", "l"] {
                let of = Subject { addr: addr(at), deposed: deposed.clone(), key: key.into() };
                for action in [Action::Create, Action::Update, Action::Delete] {
                    for deposes in [None, Some("e".to_owned())] {
                        let pending = Box::new(Pending {
                            addr: of.addr.clone(),
                            deposed: deposed.clone(),
                            action,
                            key: key.into(),
                            provider: "test".into(),
                            schema_version: 0,
                            planned: json!(null),
                            checkpoint: None,
                            dependencies: Vec::new(),
                            create_before_destroy: false,
                            timeouts: Default::default(),
                        });
                        records.push(Record::Intent { pending, deposes });
                    }
                }
                records.push(Record::Checkpoint { of: of.clone(), state: json!(7) });
                for changes in &changes {
                    records.push(Record::Done { of: of.clone(), changes: changes.clone() });
                    records.push(Record::Failed { of: of.clone(), changes: changes.clone() });
                }
            }
        }
    }
    records
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_can_follow_is_taken_and_nothing_else_and_the_replay_is_what_was(
        choices in prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.8)), 1..40),
    ) {
        let (mut model, mut ledger) = (Model::default(), Ledger::default());
        let mut taken = Vec::new();
        for (choice, legal) in choices {
            let mut record = match legal {
                true => {
                    let can: Vec<&Record> = RECORDS.iter().filter(|r| model.next(r).is_some()).collect();
                    if can.is_empty() { RECORDS[0].clone() } else { choice.get(&can).to_owned().clone() }
                }
                false => choice.get(&RECORDS).clone(),
            };
            if let (Record::Begin { serial, .. }, true) = (&mut record, legal) {
                *serial = model.serial + 1;
            }
            let before = ledger.clone();
            match (ledger.apply(record.clone()), model.next(&record)) {
                (Ok(()), Some(next)) => {
                    model = next;
                    taken.push(record);
                    prop_assert_eq!(Model::of(&ledger), model.shown());
                }
                (Err(_), None) => prop_assert_eq!(&ledger, &before, "refused, and something changed: {:?}", record),
                (done, rule) => prop_assert!(false, "{done:?}, and the rules say {}: {record:?}", rule.is_some()),
            }
        }
        // As it is written and read again.
        let mut replayed = Ledger::default();
        for record in taken {
            let text = serde_json::to_string(&record).unwrap();
            replayed.apply(serde_json::from_str(&text).unwrap()).unwrap();
        }
        prop_assert_eq!(replayed, ledger);
    }
}

/// A journal with some of everything, and the ledger after each of its lines.
fn journalled(dir: &std::path::Path) -> (Vec<u8>, Vec<Ledger>) {
    let at = store(dir);
    let mut run = session(&at);
    let mut after = vec![Ledger::default()];
    let records = [
        put("t.a", json!({"id": 1})),
        crate::store::intent("t.b", "k1"),
        Record::Checkpoint {
            of: Subject { addr: addr("t.b"), deposed: None, key: "k1".into() },
            state: json!(1),
        },
        put("t.c", json!({"text": "ä \"quoted\" \n line"})),
        Record::Moved(vec![Moved { from: addr("t.a"), to: addr("t.d") }]),
        Record::Failed {
            of: Subject { addr: addr("t.b"), deposed: None, key: "k1".into() },
            changes: vec![],
        },
        Record::Outputs(BTreeMap::new()),
    ];
    for record in records {
        run.append(record).unwrap().wait().unwrap();
        if after.len() == 1 {
            // The line that begins the run.
            let mut begun = run.ledger().clone();
            begun.state.objects.clear();
            after.push(begun);
        }
        after.push(run.ledger().clone());
    }
    drop(run);
    (fs::read(files_of(&at).journal_path()).unwrap(), after)
}

#[expect(
    clippy::disallowed_methods,
    reason = "thousands of times: nothing here must outlast a power failure"
)]
fn write(at: &std::path::Path, bytes: &[u8]) {
    fs::write(at, bytes).unwrap();
}

#[test]
fn a_journal_that_is_cut_at_any_byte_reads_as_what_was_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, after) = journalled(dir.path());
    let at = store(dir.path());
    for end in 0..=journal.len() {
        write(&files_of(&at).journal_path(), &journal[..end]);
        let whole = journal[..end].iter().filter(|b| **b == b'\n').count();
        assert_eq!(at.load().unwrap(), after[whole], "cut at {end}");
    }
}

#[test]
fn of_a_damaged_middle_is_said_what_can_be_saved_and_that_can_be() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, after) = journalled(dir.path());
    let at = store(dir.path());
    let path = files_of(&at).journal_path();
    let lines: Vec<&[u8]> = journal.split_inclusive(|b| *b == b'\n').collect();
    for damaged in 0..lines.len() - 1 {
        let mut bytes = journal.clone();
        bytes[lines[..damaged].concat().len() + 30] ^= 1;
        write(&path, &bytes);
        let error = at.load().unwrap_err();
        let StateError::Journal { source: JournalError::Damaged { before, .. }, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*before, damaged);
        assert!(at.session(at.lock("apply").unwrap()).is_err(), "nothing is written over it");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        // As the hint says.
        assert!(error.hint().unwrap().contains(&format!("head -n {before} ")), "{error}");
        write(&path, &lines[..*before].concat());
        assert_eq!(at.load().unwrap(), after[*before]);
    }
}

#[test]
fn a_long_run_folds_its_journal_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let at = store(dir.path());
    session(&at).close().unwrap();
    let mut run = session(&at);
    run.fold_at(64 << 10);
    let path = files_of(&at).journal_path();
    let (mut longest, mut folds, mut last) = (0, 0, 0);
    for n in 0..3_000u32 {
        // Few objects, again and again: what counts is how long the run is.
        let of = Subject { addr: addr(&format!("t.a[{}]", n % 50)), deposed: None, key: "k".into() };
        let object = Object { key: "k".into(), attributes: json!({ "n": n }), ..Object::default() };
        let changes = vec![Change::Put { deposed: None, object: Box::new(object) }];
        run.note(Record::Done { of, changes }).unwrap();
        if n == 1_500 {
            run.append(crate::store::intent("t.b", "begun")).unwrap().wait().unwrap();
        }
        let size = fs::metadata(&path).map_or(0, |m| m.len());
        folds += u32::from(size < last);
        (longest, last) = (longest.max(size), size);
    }
    assert!(longest < 140 << 10, "a journal of {longest} bytes");
    assert!((2..20).contains(&folds), "folded {folds} times");
    run.append(put("t.c", json!(1))).unwrap().wait().unwrap();
    let live = run.ledger().clone();
    // A kill, then: nothing is lost, and what was begun before a fold is still pending.
    drop(run);
    let seen = at.load().unwrap();
    assert_eq!(seen, live);
    assert_eq!(seen.pending().count(), 1);
    let mut run = session(&at);
    run.append(put("t.d", json!(1))).unwrap().wait().unwrap();
    let closed = run.close().unwrap();
    assert_eq!(at.load().unwrap(), closed);
    assert!(closed.state.serial > live.state.serial);
}
