//! A crash after every single record of the journal: the next run makes of it just what was wanted, nothing twice and nothing forgotten.
//!
//! One run is recorded: its journal, and the effects in the world with how long the journal was when each happened. A crash after record k leaves
//! the journal up to there, and a world in which at least all effects before record k was written have happened, and at most all that happened before record
//! k + 1 was. Both ends are tried.

use std::collections::BTreeMap;
use std::path::Path;

use grappe_plan::{ObjectRef, OpAction, OpId, Reason};
use grappe_state::Ledger;

use crate::plans::{Bench, Plans, addr, names, value_of};
use crate::world::{Act, Effect, Thing};

/// What a planner would do: `want` are the names, `renew` those that are replaced, the new one first.
fn replan(ledger: &Ledger, want: &[&str], renew: &[&str]) -> Plans {
    let mut plans = Plans::default();
    let wanted = |name: &str| want.contains(&name);
    for ((at, key), object) in &ledger.state.deposed {
        let delete = plans.delete(&at.to_string(), value_of(object), &[]);
        delete.object = ObjectRef::Deposed(key.as_str().into());
    }
    for (at, object) in &ledger.state.objects {
        if !wanted(&at.resource.name) {
            plans.delete(&at.to_string(), value_of(object), &[]);
        }
    }
    for pending in ledger.pending() {
        if !wanted(&pending.addr.resource.name) && pending.action == grappe_state::Action::Create {
            let action =
                OpAction::Delete { reason: Reason::Abandoned, adopt: Some(Box::new(pending.clone())) };
            plans.op(&format!("delete {}", pending.addr), action, &[]).planned = None;
        }
    }
    for name in want {
        let at = format!("t_thing.{name}");
        let begun = ledger
            .pending()
            .find(|p| p.addr == addr(&at) && p.action == grappe_state::Action::Create)
            .map(|p| Box::new(p.clone()));
        let stored = ledger.state.objects.get(&addr(&at));
        match (begun, stored) {
            (Some(pending), _) => {
                plans.create(&at, &[]).action = OpAction::Create { resume: Some(pending), deposes: false };
            }
            (None, None) => {
                plans.create(&at, &[]);
            }
            (None, Some(object)) if object.tainted => {
                let delete = format!("delete {at}");
                plans.delete(&at, value_of(object), &[]);
                plans.create(&at, &[&delete]);
            }
            (None, Some(object)) if renew.contains(name) => {
                let create = plans.create(&at, &[]);
                create.action = OpAction::Create { resume: None, deposes: true };
                let by = OpId(plans.operations.len() as u32 - 1);
                let delete = plans.delete(&at, value_of(object), &[&at]);
                delete.object = ObjectRef::DeposedBy(by);
            }
            (None, Some(_)) => {}
        }
    }
    plans
}

/// The world after some of the effects.
fn replay<'a>(
    start: &BTreeMap<String, Thing>,
    effects: impl Iterator<Item = &'a Effect>,
) -> BTreeMap<String, Thing> {
    let mut things = start.clone();
    for effect in effects {
        match &effect.thing {
            Some(thing) => things.insert(effect.id.clone(), thing.clone()),
            None => things.remove(&effect.id),
        };
    }
    things
}

fn write(path: &Path, bytes: &[u8]) {
    grappe_state::files::write_atomic(path, bytes, 0o600).unwrap();
}

/// Runs from `have` to `want`, crashes after every record, and checks what the next run makes of it.
async fn crash_everywhere(
    parallelism: usize,
    have: &[&str],
    want: &[&str],
    renew: &[&str],
    script: &[(&str, Act)],
) {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.options.parallelism = parallelism;
    bench.options.retry.first = std::time::Duration::from_millis(1);
    bench.apply(&replan(&Ledger::default(), have, &[])).await;
    let start = bench.world.lock().unwrap().things.clone();
    bench.world.lock().unwrap().effects.clear();
    let snapshot = std::fs::read(bench.snapshot_path()).ok();

    // The run whose journal is cut: what it appends is kept, since it is copied at the last moment.
    for (name, act) in script {
        bench.script(name, [act.clone()]);
    }
    let (journal_path, kept) = (bench.journal_path(), dir.path().join("kept"));
    let copy = (journal_path.clone(), kept.clone());
    bench.on_event = Some(std::sync::Arc::new(move |_| {
        let _ = std::fs::copy(&copy.0, &copy.1);
    }));
    let plans = replan(&bench.store.load().unwrap(), want, renew);
    let session = bench.session();
    let plan = plans.plan(session.state());
    // The session's snapshot can't be written: the journal stays, as it does when the run is killed.
    bench.engine().apply(&plan, Keep(journal_path, kept.clone()), session).await.unwrap();
    let effects = bench.world.lock().unwrap().effects.clone();
    let journal = std::fs::read(&kept).unwrap();
    let ends: Vec<u64> =
        journal.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i as u64 + 1).collect();
    assert!(ends.len() > want.len(), "{} records", ends.len());

    let bounds = std::iter::once(0).chain(ends.iter().copied());
    for (before, end) in bounds.zip(ends.iter().copied()) {
        for reach in [before, end] {
            let things = replay(&start, effects.iter().filter(|e| e.journal <= reach));
            let dir = tempfile::tempdir().unwrap();
            let mut again = Bench::new(dir.path());
            again.store =
                grappe_state::Store::with_sealer(dir.path().join("state"), bench.store.sealer().clone());
            drop(again.store.lock("prepare").unwrap());
            if let Some(snapshot) = &snapshot {
                write(&again.snapshot_path(), snapshot);
            }
            let cut = usize::try_from(end).unwrap();
            write(&again.journal_path(), &journal[..cut]);
            again.world.lock().unwrap().things = things;
            let ledger = again.store.load().unwrap();
            let applied = again.apply(&replan(&ledger, want, renew)).await;
            let context = format!("after {cut} bytes, effects up to {reach}: {:?}", applied.summary.errors);
            assert!(applied.summary.is_success(), "{context}");
            // A replacement may have been done just before the crash and is then wanted once more here; a run more settles that.
            let settled = again.apply(&replan(&again.store.load().unwrap(), want, &[])).await;
            assert!(settled.summary.is_success(), "{context}");
            let state = settled.ledger.state.clone();
            let mut wanted: Vec<&str> = want.to_vec();
            wanted.sort_unstable();
            assert_eq!(names(&again.world), wanted, "{context}");
            assert_eq!(state.objects.len(), want.len(), "{context}");
            assert!(state.deposed.is_empty() && settled.ledger.pending().count() == 0, "{context}");
            let world = again.world.lock().unwrap();
            for (at, object) in &state.objects {
                let value = value_of(object);
                let id = value.get("id").and_then(|v| v.as_str()).unwrap();
                assert!(world.things.contains_key(id), "{at}: {context}");
                assert_eq!(world.things[id].size, Some(1), "{at} is half made: {context}");
            }
        }
    }
}

/// A resolver that keeps the whole journal when the run asks for its last part.
struct Keep(std::path::PathBuf, std::path::PathBuf);

impl grappe_engine::Resolve for Keep {
    fn finalize(
        &mut self,
        op: &grappe_plan::Operation,
    ) -> Result<Option<grappe_value::Value>, grappe_diag::Diagnostics> {
        Ok(op.planned.clone())
    }
    fn provider(
        &mut self,
        _: &grappe_plan::ProviderKey,
    ) -> Result<grappe_value::Value, grappe_diag::Diagnostics> {
        Ok(grappe_value::Value::NULL)
    }
    fn done(
        &mut self,
        _: &grappe_plan::Operation,
        _: Option<&grappe_value::Value>,
    ) -> Result<(), grappe_diag::Diagnostics> {
        Ok(())
    }
    fn outputs(
        &mut self,
    ) -> Result<BTreeMap<std::sync::Arc<str>, (grappe_value::Value, bool)>, grappe_diag::Diagnostics> {
        // All effects are over; the last records may still be on their way.
        std::thread::park_timeout(std::time::Duration::from_millis(200));
        std::fs::copy(&self.0, &self.1).unwrap();
        Ok(BTreeMap::new())
    }
}

#[tokio::test]
async fn creates() {
    for parallelism in [1, 4] {
        crash_everywhere(parallelism, &[], &["a", "b", "c", "d"], &[], &[]).await;
    }
}

#[tokio::test]
async fn creates_that_fail_late() {
    crash_everywhere(2, &[], &["a", "b", "c"], &[], &[("a", Act::RefuseLate), ("b", Act::BusyLate)]).await;
}

#[tokio::test]
async fn deletes_and_creates() {
    crash_everywhere(3, &["a", "b", "c"], &["c", "d"], &[], &[]).await;
}

#[tokio::test]
async fn replacements_that_create_first() {
    for parallelism in [1, 3] {
        crash_everywhere(parallelism, &["a", "b"], &["a", "b", "c"], &["a", "b"], &[]).await;
    }
    crash_everywhere(1, &["a"], &["a"], &["a"], &[("a", Act::Refuse)]).await;
}
