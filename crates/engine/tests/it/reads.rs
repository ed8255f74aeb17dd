//! Planning: what is read, how often, and what happens where it can't be.

use std::collections::BTreeMap;

use grappe_engine::{EventKind, RunError};
use grappe_plan::{ObjectRead, Outcome, Plan, PlanMode, ProviderConfig, ProviderKey, Reading, Reads};
use grappe_value::Value;
use grappe_value::addr::InstanceAddr;

use crate::plans::{Bench, Plans, addr, value_of};
use crate::world::Act;

/// Asks for all objects, then is content.
async fn plan(bench: &Bench, mode: PlanMode) -> Result<(Plan, BTreeMap<InstanceAddr, Reading>), RunError> {
    plan_with(bench, mode, Plans::default()).await
}

/// Asks for all objects, then plans this.
async fn plan_with(
    bench: &Bench,
    mode: PlanMode,
    plans: Plans,
) -> Result<(Plan, BTreeMap<InstanceAddr, Reading>), RunError> {
    let ledger = bench.store.load().unwrap();
    let mut read = BTreeMap::new();
    let plan = bench
        .engine()
        .plan_with(&ledger, mode, |known| {
            read = known.refreshed.clone();
            if read.len() == known.state.objects.len() {
                return Ok(Outcome::Ready(Box::new(plans.plan(known.state))));
            }
            let provider = ProviderKey::root("test");
            let objects = known.state.objects.iter().map(|(addr, object)| ObjectRead {
                addr: addr.clone(),
                provider: provider.clone(),
                value: value_of(object),
                key: object.key.as_str().into(),
                deadline: None,
            });
            Ok(Outcome::NeedReads(Reads {
                objects: objects.collect(),
                data: Vec::new(),
                ephemeral: Vec::new(),
                imports: Vec::new(),
                left: Vec::new(),
                providers: vec![ProviderConfig {
                    key: provider,
                    value: Value::object([("broken", Value::from(false))]),
                }],
            }))
        })
        .await?;
    Ok((plan, read))
}

async fn bench(dir: &tempfile::TempDir) -> Bench {
    let bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    for name in ["t_thing.a", "t_thing.b", "t_timed.c"] {
        plans.create(name, &[]);
    }
    assert!(bench.apply(&plans).await.summary.is_success());
    bench
}

#[tokio::test]
async fn what_exists_is_read_and_what_is_gone_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(&dir).await;
    bench.world.lock().unwrap().things.retain(|_, t| t.name != "b");
    let (_, read) = plan(&bench, PlanMode::Normal).await.unwrap();
    assert_eq!(read[&addr("t_thing.a")], Reading::Found(bench.stored("t_thing.a")));
    assert_eq!(read[&addr("t_thing.b")], Reading::Gone);
    assert_eq!(read[&addr("t_timed.c")], Reading::NotRead, "it lives in the state only");
    assert_eq!(bench.world.lock().unwrap().reads, 2);
    assert_eq!(bench.count(|e| matches!(e, EventKind::Refreshed { found: false, .. })), 1);
    let started = bench.count(|e| matches!(e, EventKind::RefreshStarted { objects: 3, data: 0 }));
    assert_eq!((started, bench.count(|e| matches!(e, EventKind::Planned { rounds: 1, .. }))), (1, 1));
}

#[tokio::test]
async fn what_can_t_be_read_stops_a_plan_but_not_a_destroy() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(&dir).await;
    bench.script("read a", [Act::Refuse, Act::Refuse]);
    match plan(&bench, PlanMode::Normal).await.map(|_| ()) {
        Err(error @ RunError::Reads(_)) => {
            assert_eq!(error.to_string(), "t_thing.a can't be read: refused");
        }
        other => panic!("{other:?}"),
    }
    let (_, read) = plan(&bench, PlanMode::Destroy).await.unwrap();
    assert_eq!(read[&addr("t_thing.a")], Reading::NotRead);
    let said = |e: &EventKind| matches!(e, EventKind::Notice { text } if text.contains("t_thing.a could not be read"));
    assert_eq!(bench.count(said), 1);
}

#[tokio::test]
async fn what_does_not_answer_may_only_leave() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = bench(&dir).await;
    bench.options.read_retry.first = std::time::Duration::from_millis(1);
    bench.script("read a", std::iter::repeat_with(|| Act::Busy).take(100));
    match plan(&bench, PlanMode::Normal).await.map(|_| ()) {
        Err(error @ RunError::Reads(_)) => assert!(error.to_string().contains("t_thing.a"), "{error}"),
        other => panic!("{other:?}"),
    }
    let mut leaving = Plans::default();
    leaving.delete("t_thing.a", bench.stored("t_thing.a"), &[]);
    let (_, read) = plan_with(&bench, PlanMode::Normal, leaving).await.unwrap();
    assert_eq!(read[&addr("t_thing.a")], Reading::NotRead);
    let said = |e: &EventKind| matches!(e, EventKind::Notice { text } if text.contains("t_thing.a could not be read"));
    assert_eq!(bench.count(said), 1);
}

#[tokio::test]
async fn what_refuses_to_be_read_may_leave_too() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(&dir).await;
    bench.script("read a", [Act::Refuse]);
    let mut leaving = Plans::default();
    leaving.delete("t_thing.a", bench.stored("t_thing.a"), &[]);
    let (_, read) = plan_with(&bench, PlanMode::Normal, leaving).await.unwrap();
    assert_eq!(read[&addr("t_thing.a")], Reading::NotRead);
}

#[tokio::test]
async fn a_busy_far_side_is_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = bench(&dir).await;
    bench.options.read_retry.first = std::time::Duration::from_millis(1);
    bench.script("read a", [Act::Busy, Act::Busy]);
    let (_, read) = plan(&bench, PlanMode::Normal).await.unwrap();
    assert!(matches!(read[&addr("t_thing.a")], Reading::Found(_)));
    assert_eq!(bench.world.lock().unwrap().reads, 4);
}

#[tokio::test]
async fn a_stop_ends_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let bench = bench(&dir).await;
    bench.cancel.soft.cancel();
    assert!(matches!(plan(&bench, PlanMode::Normal).await, Err(RunError::Interrupted)));
}

/// Five objects that are read together, in a world of their own.
async fn together(dir: &tempfile::TempDir) -> Bench {
    let bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    for name in ["a", "b", "c", "d", "e"] {
        plans.create(&format!("t_many.{name}"), &[]);
    }
    assert!(bench.apply(&plans).await.summary.is_success());
    bench
}

fn calls(bench: &Bench) -> (Vec<usize>, usize) {
    let mut world = bench.world.lock().unwrap();
    (std::mem::take(&mut world.many), std::mem::take(&mut world.reads))
}

#[tokio::test]
async fn many_are_read_by_one_call_and_each_has_its_own_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = together(&dir).await;
    bench.options.read_retry.first = std::time::Duration::from_millis(1);
    bench.world.lock().unwrap().things.retain(|_, t| t.name != "c");
    let (_, read) = plan(&bench, PlanMode::Normal).await.unwrap();
    assert_eq!(calls(&bench), (vec![5], 0));
    assert_eq!(read[&addr("t_many.a")], Reading::Found(bench.stored("t_many.a")));
    assert_eq!(read[&addr("t_many.c")], Reading::Gone);
    assert_eq!(bench.count(|e| matches!(e, EventKind::Refreshed { .. })), 5, "each is told of");

    // One that may pass is asked for again alone; one that does not is named, and only that one.
    bench.script("read b", [Act::Busy]);
    plan(&bench, PlanMode::Normal).await.unwrap();
    assert_eq!(calls(&bench), (vec![5], 1));
    bench.script("read d", [Act::Refuse]);
    match plan(&bench, PlanMode::Normal).await.map(|_| ()) {
        Err(error @ RunError::Reads(_)) => assert_eq!(error.to_string(), "t_many.d can't be read: refused"),
        other => panic!("{other:?}"),
    }
    assert_eq!(calls(&bench), (vec![5], 0));

    // A whole that may pass is tried again as a whole; one that can't be had makes each be read by itself.
    bench.script("read many", [Act::Busy, Act::Busy]);
    plan(&bench, PlanMode::Normal).await.unwrap();
    assert_eq!(calls(&bench), (vec![5, 5, 5], 0));
    bench.script("read many", [Act::Refuse]);
    let (_, read) = plan(&bench, PlanMode::Normal).await.unwrap();
    assert_eq!(calls(&bench), (vec![5], 5));
    assert_eq!(read[&addr("t_many.c")], Reading::Gone);
    bench.script("read many", std::iter::repeat_with(|| Act::Busy).take(100));
    match plan(&bench, PlanMode::Normal).await.map(|_| ()) {
        Err(error @ RunError::Reads(_)) => {
            assert_eq!(error.to_string().lines().filter(|l| l.ends_with("can't be read: busy")).count(), 5);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(calls(&bench), (vec![5; 4], 0));
}

#[tokio::test]
async fn what_is_of_another_group_is_another_call_and_one_alone_is_just_read() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    for (name, group) in [("a", "x"), ("b", "y"), ("c", "x"), ("d", "z"), ("e", "y"), ("f", "y")] {
        let op = plans.create(&format!("t_many.{name}"), &[]);
        crate::plans::set(op, "group", Value::from(group));
    }
    assert!(bench.apply(&plans).await.summary.is_success());
    plan(&bench, PlanMode::Normal).await.unwrap();
    let (mut many, alone) = calls(&bench);
    many.sort_unstable();
    assert_eq!((many, alone), (vec![2, 3], 1));
}

#[tokio::test]
async fn readings_keep_to_the_limits_of_their_provider_and_slow_down_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    for n in 0..40 {
        plans.create(&format!("t_thing.r{n}"), &[]);
    }
    assert!(bench.apply(&plans).await.summary.is_success());
    tokio::time::pause();
    bench.world.lock().unwrap().read_secs = 1;
    let most = async |bench: &Bench| {
        bench.world.lock().unwrap().reading = (0, 0);
        let start = tokio::time::Instant::now();
        let (_, read) = plan(bench, PlanMode::Normal).await.unwrap();
        assert!(read.values().all(|r| matches!(r, Reading::Found(_))));
        (bench.world.lock().unwrap().reading.1, start.elapsed().as_secs())
    };
    assert_eq!(most(&bench).await, (40, 1));
    bench.options.limits = vec![(grappe_engine::LimitOf::Provider("test".into()), 8)];
    assert_eq!(most(&bench).await, (8, 5));
    bench.options.limits = Vec::new();
    bench.options.reads = 20;
    bench.script("read r3", [Act::Throttle(std::time::Duration::from_secs(30))]);
    let (_, secs) = most(&bench).await;
    assert!((32..36).contains(&secs), "closed until 31, then by ten and more: {secs}");
    let cut = bench.count(|e| matches!(e, EventKind::Throttled { most: 5..=10, after: 30_000, .. }));
    assert_eq!(cut, 1);
}
