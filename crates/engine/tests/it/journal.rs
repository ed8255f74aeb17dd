//! What each way to end leaves in the state.

use std::sync::{Arc, Mutex};

use grappe_engine::{EventKind, RunError};
use grappe_plan::{ObjectRef, OpAction, OpId, Reason};
use grappe_state::{Action, Ledger};
use grappe_value::{Type, Value};

use crate::plans::{Bench, Known, Plans, addr, names, set, value_of};
use crate::world::Act;

/// A bench on which `t_thing.a` exists.
async fn with_a(dir: &tempfile::TempDir) -> Bench {
    let bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    plans.create("t_thing.a", &[]);
    assert!(bench.apply(&plans).await.summary.is_success());
    bench.world.lock().unwrap().spans.clear();
    bench
}

fn size(value: &Value) -> Option<i64> {
    value.get("size")?.as_number()?.as_i64()
}

#[tokio::test]
async fn a_create_stores_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    plans.create("t_thing.a", &[]);
    set(plans.create("t_thing.b", &["t_thing.a"]), "password", Value::from("hunter2!").sensitive());
    let applied = bench.apply(&plans).await;
    assert!(applied.summary.is_success());
    let b = &applied.ledger.state.objects[&addr("t_thing.b")];
    assert_eq!((b.provider.as_str(), &b.dependencies[..]), ("test", &[addr("t_thing.a")][..]));
    assert!(b.duration_ms.is_some() && !b.tainted);
    let id = value_of(b).get("id").unwrap().as_str().unwrap().to_owned();
    let world = bench.world.lock().unwrap();
    assert_eq!(world.things[&id].key, b.key, "the key is planted");
    assert_eq!(world.configured, 1);

    // The secret is nowhere in clear: not in the state, not in what was printed.
    let snapshot = std::fs::read_to_string(bench.snapshot_path()).unwrap();
    assert!(!snapshot.contains("hunter2"));
    let events = format!("{:?}", bench.events.lock().unwrap());
    assert!(events.contains("logging in with (sensitive value)") && !events.contains("hunter2"));
    let notice = |e: &EventKind| matches!(e, EventKind::ProviderConfigured { notice: Some(n), .. } if n == "nothing is real");
    assert_eq!(bench.count(notice), 1);
}

#[tokio::test]
async fn what_is_said_to_be_done_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    let (store, unrecorded) = (bench.store.clone(), Arc::new(Mutex::new(Vec::new())));
    let found = unrecorded.clone();
    bench.on_event = Some(Arc::new(move |event| {
        if let EventKind::OperationDone { op, .. } = event.kind
            && !store.load().unwrap().state.objects.contains_key(&addr(&op.addr))
        {
            found.lock().unwrap().push(op.addr);
        }
    }));
    let mut plans = Plans::default();
    for n in 0..60 {
        plans.create(&format!("t_thing.n{n}"), &[]);
    }
    let applied = bench.apply(&plans).await;
    assert_eq!(applied.summary.counts.created, 60);
    assert_eq!(bench.count(|e| matches!(e, EventKind::OperationDone { .. })), 60);
    assert_eq!(*unrecorded.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_create_that_fails_leaves_what_exists() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.options.retry.tries = 2;
    bench.options.retry.first = std::time::Duration::from_millis(1);
    bench.script("early", [Act::Refuse]);
    bench.script("late", [Act::RefuseLate]);
    bench.script("busy", [Act::Busy, Act::Busy]);
    bench.script("busylate", [Act::BusyLate, Act::Busy]);
    bench.script("panic", [Act::Panic]);
    let mut plans = Plans::default();
    for name in ["early", "late", "busy", "busylate", "panic"] {
        plans.create(&format!("t_thing.{name}"), &[]);
    }
    let Ledger { state, .. } = bench.apply(&plans).await.ledger;
    let ledger = bench.store.load().unwrap();
    assert_eq!(ledger.state, state);
    let stored: Vec<String> = state.objects.keys().map(ToString::to_string).collect();
    assert_eq!(stored, ["t_thing.late"], "what was refused after it was there");
    let late = &state.objects[&addr("t_thing.late")];
    assert!(late.tainted);
    assert_eq!(size(&value_of(late)), Some(-1), "as far as the checkpoint says");
    let world = bench.world.lock().unwrap();
    assert!(world.things.values().any(|t| t.key == late.key));
    // Of these nobody knows: the next run finds out.
    let pending: Vec<String> = ledger.pending().map(|p| p.addr.to_string()).collect();
    assert_eq!(pending, ["t_thing.busy", "t_thing.busylate", "t_thing.panic"]);
    let with_checkpoint = ledger.pending().filter(|p| p.checkpoint_clear().is_some()).count();
    assert_eq!(with_checkpoint, 1);
    assert_eq!(world.things.values().filter(|t| t.name == "busylate").count(), 1);
}

#[tokio::test]
async fn an_update_that_fails_keeps_what_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let bench = with_a(&dir).await;
    let prior = bench.stored("t_thing.a");
    let update = |to: i64| {
        let mut plans = Plans::default();
        let op = plans.op("update t_thing.a", OpAction::Update, &[]);
        op.prior = Some(prior.clone());
        op.planned = Some(prior.clone().with_attr("size", to.into()));
        plans
    };
    bench.script("a", [Act::Refuse, Act::RefuseLate]);
    bench.apply(&update(5)).await;
    assert_eq!(size(&bench.stored("t_thing.a")), Some(1), "as before");
    bench.apply(&update(5)).await;
    assert_eq!(size(&bench.stored("t_thing.a")), Some(-2), "with what was checkpointed");
    let before = bench.state().objects[&addr("t_thing.a")].clone();
    assert!(bench.apply(&update(5)).await.summary.is_success());
    let after = bench.state().objects[&addr("t_thing.a")].clone();
    assert_eq!(size(&value_of(&after)), Some(5));
    assert_eq!((after.key, after.duration_ms), (before.key, before.duration_ms));
    assert_eq!(bench.store.load().unwrap().pending().count(), 0);
}

#[tokio::test]
async fn gone_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let bench = with_a(&dir).await;
    let mut plans = Plans::default();
    plans.delete("t_thing.a", bench.stored("t_thing.a"), &[]);
    bench.script("delete a", [Act::Refuse]);
    let applied = bench.apply(&plans).await;
    assert_eq!((applied.summary.failed, applied.ledger.state.objects.len()), (1, 1));
    bench.script("delete a", [Act::Gone]);
    let applied = bench.apply(&plans).await;
    assert_eq!(applied.summary.counts.deleted, 1);
    assert!(applied.ledger.state.is_empty());
    assert_eq!(applied.ledger.pending().count(), 0);
}

/// Replaces `t_thing.a`, the new one first.
fn create_first(bench: &Bench) -> Plans {
    let mut plans = Plans::default();
    let create = plans.create("t_thing.a", &[]);
    create.action = OpAction::Create { resume: None, deposes: true };
    create.create_before_destroy = true;
    let delete = plans.delete("t_thing.a", bench.stored("t_thing.a"), &["t_thing.a"]);
    delete.object = ObjectRef::DeposedBy(OpId(0));
    plans
}

#[tokio::test]
async fn a_replacement_deposes_and_deletes_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let bench = with_a(&dir).await;
    let old = bench.stored("t_thing.a");
    let applied = bench.apply(&create_first(&bench)).await;
    assert!(applied.summary.is_success());
    assert_eq!(names(&bench.world), ["a"]);
    assert_ne!(bench.stored("t_thing.a").get("id"), old.get("id"));
    assert!(applied.ledger.state.deposed.is_empty());
    assert!(applied.ledger.state.objects[&addr("t_thing.a")].create_before_destroy);
}

#[tokio::test]
async fn a_replacement_that_makes_nothing_puts_the_old_one_back() {
    let dir = tempfile::tempdir().unwrap();
    let bench = with_a(&dir).await;
    let before = bench.state().objects;
    bench.script("a", [Act::Refuse]);
    let applied = bench.apply(&create_first(&bench)).await;
    assert_eq!((applied.summary.failed, applied.summary.skipped), (1, 1));
    assert_eq!((bench.state().objects, bench.state().deposed.len()), (before, 0));

    bench.script("a", [Act::RefuseLate]);
    let applied = bench.apply(&create_first(&bench)).await;
    let state = applied.ledger.state;
    assert!(state.objects[&addr("t_thing.a")].tainted && state.deposed.len() == 1, "both are known");

    // The next run deletes the deposed one by its key.
    let (key, object) = state.deposed.first_key_value().unwrap();
    let mut plans = Plans::default();
    let delete = plans.delete("t_thing.a", value_of(object), &[]);
    delete.object = ObjectRef::Deposed(key.1.as_str().into());
    let state = bench.apply(&plans).await.ledger.state;
    assert_eq!((state.objects.len(), state.deposed.len()), (1, 0));
    assert_eq!(names(&bench.world).len(), 1);
}

#[tokio::test]
async fn state_only_objects_are_deposed_in_one_record() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    plans.create("t_timed.a", &[]);
    bench.apply(&plans).await;
    let mut plans = Plans::default();
    plans.create("t_timed.a", &[]).action = OpAction::Create { resume: None, deposes: true };
    let delete = plans.delete("t_timed.a", bench.stored("t_timed.a"), &["t_timed.a"]);
    delete.object = ObjectRef::DeposedBy(OpId(0));
    let applied = bench.apply(&plans).await;
    assert!(applied.summary.is_success(), "{:?}", applied.summary.errors);
    assert_eq!((applied.ledger.state.objects.len(), applied.ledger.state.deposed.len()), (1, 0));
}

#[tokio::test]
async fn what_a_killed_create_left_is_found_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.options.retry.tries = 1;
    bench.script("there", [Act::BusyLate]);
    bench.script("nothing", [Act::Busy]);
    let mut plans = Plans::default();
    plans.create("t_thing.there", &[]);
    plans.create("t_thing.nothing", &[]);
    let pending: Vec<_> = bench.apply(&plans).await.ledger.pending().cloned().collect();
    assert_eq!(names(&bench.world), ["there"]);

    let sweep = |pending: &grappe_state::Pending, plans: &mut Plans| {
        let adopt = Some(Box::new(pending.clone()));
        let at = pending.addr.to_string();
        let op =
            plans.op(&format!("delete {at}"), OpAction::Delete { reason: Reason::Abandoned, adopt }, &[]);
        op.planned = None;
    };
    let mut plans = Plans::default();
    pending.iter().for_each(|p| sweep(p, &mut plans));
    bench.script("delete there", [Act::Refuse]);
    let applied = bench.apply(&plans).await;
    assert_eq!((applied.summary.counts.deleted, applied.summary.failed), (1, 1));
    assert_eq!(applied.ledger.pending().count(), 0);
    // It was found and could not be deleted: from now on it is an object like any other.
    let state = applied.ledger.state;
    let (key, object) = state.deposed.first_key_value().unwrap();
    assert_eq!((key.0.to_string().as_str(), object.tainted), ("t_thing.there", true));

    let mut plans = Plans::default();
    let delete = plans.delete("t_thing.there", value_of(object), &[]);
    delete.object = ObjectRef::Deposed(key.1.as_str().into());
    let applied = bench.apply(&plans).await;
    assert!(applied.ledger.state.is_empty() && names(&bench.world).is_empty());
}

#[tokio::test]
async fn a_sweep_that_finds_nothing_takes_nothing_away() {
    let dir = tempfile::tempdir().unwrap();
    let bench = with_a(&dir).await;
    let pending = grappe_state::Pending {
        addr: addr("t_thing.a"),
        deposed: None,
        action: Action::Create,
        key: "another".into(),
        provider: "test".into(),
        schema_version: 0,
        planned: bench.state().objects[&addr("t_thing.a")].attributes.clone(),
        checkpoint: None,
        dependencies: Vec::new(),
        create_before_destroy: false,
        timeouts: Default::default(),
    };
    let mut session = bench.session();
    let record = grappe_state::Record::Intent { pending: Box::new(pending.clone()), deposes: None };
    session.append(record).unwrap().wait().unwrap();
    drop(session); // as a kill does

    let mut plans = Plans::default();
    let action = OpAction::Delete { reason: Reason::Abandoned, adopt: Some(Box::new(pending)) };
    plans.op("delete t_thing.a", action, &[]).planned = None;
    let applied = bench.apply(&plans).await;
    assert!(applied.summary.is_success(), "{:?}", applied.summary.errors);
    assert_eq!((applied.ledger.pending().count(), applied.ledger.state.objects.len()), (0, 1));
    assert_eq!(names(&bench.world), ["a"]);
}

#[tokio::test]
async fn what_a_killed_update_checkpointed_counts() {
    let dir = tempfile::tempdir().unwrap();
    let bench = with_a(&dir).await;
    let stored = bench.state().objects[&addr("t_thing.a")].clone();
    let mut session = bench.session();
    let pending = grappe_state::Pending {
        addr: addr("t_thing.a"),
        deposed: None,
        action: Action::Update,
        key: stored.key.clone(),
        provider: "test".into(),
        schema_version: 0,
        planned: stored.attributes.clone(),
        checkpoint: Some(serde_json::json!({"name": "a", "id": "id-1", "size": 77})),
        dependencies: Vec::new(),
        create_before_destroy: false,
        timeouts: Default::default(),
    };
    let record = grappe_state::Record::Intent { pending: Box::new(pending), deposes: None };
    session.append(record).unwrap().wait().unwrap();
    drop(session); // as a kill does

    let mut seen = Vec::new();
    let plan = bench
        .engine()
        .plan_with(&bench.store.load().unwrap(), Default::default(), |known| {
            seen.push((size(&value_of(&known.state.objects[&addr("t_thing.a")])), known.pending.len()));
            Ok(grappe_plan::Outcome::Ready(Box::new(Plans::default().plan(known.state))))
        })
        .await
        .unwrap();
    assert_eq!(seen, [(Some(77), 0)], "the planner sees it, and no pending update");
    let applied = bench.engine().apply(&plan, Known::default(), bench.session()).await.unwrap();
    assert_eq!(applied.ledger.pending().count(), 0);
    assert_eq!(size(&bench.stored("t_thing.a")), Some(77), "and the state keeps it");
}

#[tokio::test]
async fn records_and_forgets_touch_the_state_only() {
    let dir = tempfile::tempdir().unwrap();
    let bench = with_a(&dir).await;
    let key = bench.state().objects[&addr("t_thing.a")].key.clone();
    let mut plans = Plans::default();
    let op = plans.op("record t_thing.a", OpAction::Record, &[]);
    op.planned = Some(bench.stored("t_thing.a").with_attr("size", 9i64.into()));
    op.dependencies = vec![addr("t_thing.z")];
    let applied = bench.apply(&plans).await;
    let object = &applied.ledger.state.objects[&addr("t_thing.a")];
    assert_eq!((size(&value_of(object)), &object.key), (Some(9), &key));
    assert_eq!(object.dependencies, [addr("t_thing.z")]);
    assert!(bench.world.lock().unwrap().spans.is_empty());

    let mut plans = Plans::default();
    plans.op("forget t_thing.a", OpAction::Forget, &[]);
    assert!(bench.apply(&plans).await.ledger.state.is_empty());
    assert_eq!(names(&bench.world), ["a"], "left alone");
}

#[tokio::test]
async fn a_plan_of_another_state_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let bench = with_a(&dir).await;
    let mut plans = Plans::default();
    plans.create("t_thing.b", &[]);
    let old = plans.plan(&bench.state());
    bench.apply(&plans).await;
    let error = bench.engine().apply(&old, Known::default(), bench.session()).await.unwrap_err();
    assert!(matches!(error, RunError::Stale { serial: 2, .. }), "{error}");
    assert!(error.hint().unwrap().contains("new plan"));
    assert_eq!(names(&bench.world), ["a", "b"]);
}

#[tokio::test]
async fn outputs_are_stored_and_go_with_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let bench = with_a(&dir).await;
    let output = |name: &str, action| {
        let change = grappe_plan::OutputChange { action, before: None, after: None, sensitive: false };
        (std::sync::Arc::<str>::from(name), change)
    };
    let session = bench.session();
    let mut plan = Plans::default().plan(session.state());
    plan.outputs = ["ip", "token", "open"].map(|n| output(n, grappe_plan::Action::Create)).into();
    let known = Known {
        outputs: [
            ("ip".into(), (Value::from("::1"), false)),
            ("token".into(), (Value::from("abcdef"), true)),
            ("open".into(), (Value::unknown(Type::String), false)),
        ]
        .into(),
        ..Known::default()
    };
    bench.engine().apply(&plan, known, session).await.unwrap();
    let outputs = bench.state().outputs;
    assert_eq!(outputs.keys().collect::<Vec<_>>(), ["ip", "token"], "what is not known is not stored");
    assert_eq!(outputs["token"].value, serde_json::json!({"$sensitive": "abcdef"}));
    assert!(!std::fs::read_to_string(bench.snapshot_path()).unwrap().contains("abcdef"));

    let mut plans = Plans { mode: grappe_plan::PlanMode::Destroy, ..Plans::default() };
    plans.delete("t_thing.a", bench.stored("t_thing.a"), &[]);
    let applied = bench.apply(&plans).await;
    assert!(applied.ledger.state.is_empty(), "{:?}", applied.ledger.state);
}

#[tokio::test]
async fn a_refused_value_or_a_broken_postcondition_is_that_operations_failure() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    plans.create("t_thing.a", &[]);
    plans.create("t_thing.b", &[]);
    plans.create("t_thing.c", &["t_thing.b"]);
    let known =
        Known { refuse: Some("t_thing.a"), broken_postcondition: Some("t_thing.b"), ..Known::default() };
    let applied = bench.try_apply(&plans, known).await.unwrap();
    let summaries: Vec<&str> = applied.summary.errors.iter().map(|e| e.error.summary.as_str()).collect();
    assert_eq!(summaries, ["A promise was broken", "Postcondition failed"]);
    assert_eq!(names(&bench.world), ["b"]);
    assert_eq!(applied.ledger.state.objects.len(), 1, "what was made is remembered");
    assert_eq!(applied.summary.skipped, 1);
}

#[tokio::test]
async fn a_provider_that_can_t_be_configured_fails_what_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let mut plans = Plans { broken_provider: true, ..Plans::default() };
    plans.create("t_thing.a", &[]);
    plans.create("t_thing.b", &[]);
    let applied = bench.apply(&plans).await;
    assert_eq!(applied.summary.failed, 2);
    let error = &applied.summary.errors[0].error.summary;
    assert_eq!(error, "provider test can't be used: no such region");
    assert_eq!(applied.ledger.pending().count(), 0, "nothing was begun");
}

#[tokio::test]
async fn what_can_t_be_recorded_is_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = with_a(&dir).await;
    bench.options.parallelism = 1;
    // No file can be made where the journal goes.
    std::fs::create_dir(bench.journal_path()).unwrap();
    let mut plans = Plans::default();
    for n in 0..5 {
        plans.create(&format!("t_thing.x{n}"), &[]);
    }
    let session = bench.store.session(bench.store.lock("apply").unwrap());
    assert!(session.is_err(), "it is noticed before anything is begun");
    std::fs::remove_dir(bench.journal_path()).unwrap();

    let session = bench.session();
    std::fs::create_dir(bench.journal_path()).unwrap();
    let plan = plans.plan(session.state());
    let applied = bench.engine().apply(&plan, Known::default(), session).await.unwrap();
    assert_eq!((applied.summary.failed, applied.summary.not_started), (1, 4), "the first failure ends it");
    assert!(
        applied.summary.errors[0].error.summary.contains("grappe.journal"),
        "{:?}",
        applied.summary.errors
    );
    assert_eq!(names(&bench.world), ["a"], "nothing was made");
}
