//! In paused time: how many at once, in which order, and when again. The objects live in the state only, so that no disk is waited for.

use std::time::Duration;

use grappe_engine::EventKind;
use grappe_value::Value;

use crate::plans::{Bench, Plans, set};
use crate::world::Act;

#[tokio::test(start_paused = true)]
async fn no_more_at_once_than_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.options.parallelism = 4;
    let mut plans = Plans::default();
    for n in 0..30 {
        plans.timed(&format!("t_timed.p{n}"), 1, &[]);
    }
    let applied = bench.apply(&plans).await;
    assert!(applied.summary.is_success());
    assert_eq!(bench.world.lock().unwrap().most_at_once("p"), 4);
    assert_eq!(applied.summary.wall / 1000, 8, "30 seconds of work by four");
    assert_eq!(applied.summary.counts.created, 30);
}

#[tokio::test(start_paused = true)]
async fn a_group_never_has_more_than_its_limit_and_blocks_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    for n in 0..10 {
        // They have the longest way ahead, so they are looked at first.
        set(plans.timed(&format!("t_timed.join{n}"), 10, &[]), "group", Value::from("join lab"));
    }
    for n in 0..8 {
        plans.timed(&format!("t_timed.free{n}"), 1, &[]);
    }
    let applied = bench.apply(&plans).await;
    let world = bench.world.lock().unwrap();
    assert_eq!(world.most_at_once("join"), 2);
    assert_eq!(world.most_at_once("free"), 8, "the ten places left are not taken by those that wait");
    assert_eq!((0..8).map(|n| world.span(&format!("free{n}")).1).max(), Some(1));
    assert_eq!(applied.summary.wall / 1000, 50);
}

#[tokio::test(start_paused = true)]
async fn an_operation_has_the_time_that_its_block_gives_it() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    plans.timed("t_timed.short", 60, &[]).timeouts.create = Some(3_000);
    plans.timed("t_timed.update", 60, &[]).timeouts.update = Some(3_000);
    let applied = bench.apply(&plans).await;
    let [error] = &applied.summary.errors[..] else { panic!("{:?}", applied.summary.errors) };
    assert_eq!(error.error.summary, "gave up after 3s");
    let stored = &applied.ledger.state.objects[&crate::plans::addr("t_timed.update")];
    assert_eq!(stored.timeouts.update, Some(3_000), "and the state remembers it");
}

#[tokio::test(start_paused = true)]
async fn the_longest_way_ahead_goes_first() {
    // The case that takes Terraform 16 to 18 seconds: a chain of six beside six single ones, by two.
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.options.parallelism = 2;
    let mut plans = Plans::default();
    for n in 0..6 {
        plans.timed(&format!("t_timed.single{n}"), 2, &[]);
    }
    plans.timed("t_timed.chain0", 2, &[]);
    for n in 1..6 {
        plans.timed(&format!("t_timed.chain{n}"), 2, &[&format!("t_timed.chain{}", n - 1)]);
    }
    let applied = bench.apply(&plans).await;
    assert_eq!(applied.summary.wall / 1000, 12, "the optimum");
    let path: Vec<String> = applied.summary.critical_path.iter().map(|s| s.op.addr.clone()).collect();
    assert_eq!(path, (0..6).map(|n| format!("t_timed.chain{n}")).collect::<Vec<_>>());
    let expected =
        bench.count(|e| matches!(e, EventKind::RunStarted { expected: 12_000, operations: 12, .. }));
    assert_eq!(expected, 1);
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_at_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    bench.script("a", [Act::Busy, Act::Busy, Act::BusyFor(Duration::from_secs(60))]);
    let mut plans = Plans::default();
    plans.timed("t_timed.a", 1, &[]);
    plans.timed("t_timed.b", 1, &[]);
    let applied = bench.apply(&plans).await;
    let world = bench.world.lock().unwrap();
    let begins: Vec<u64> = world.spans.iter().filter(|(n, _, _)| n == "a").map(|s| s.1).collect();
    assert_eq!(begins, [0, 1, 3, 63]);
    assert_eq!(world.span("b"), (0, 1), "nobody waits for it");
    assert_eq!(applied.summary.retries, 3);
    let waits: Vec<u64> = (bench.events.lock().unwrap().iter())
        .filter_map(|e| if let EventKind::OperationRetry { after, .. } = e.kind { Some(after) } else { None })
        .collect();
    assert_eq!(waits, [1000, 2000, 60_000]);
    let attempts = bench.count(|e| matches!(e, EventKind::OperationStarted { attempt: 4, .. }));
    assert_eq!(attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_it_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    plans.timed("t_short.slow", 100, &[]);
    plans.timed("t_short.fast", 9, &[]);
    let applied = bench.apply(&plans).await;
    assert_eq!(applied.summary.wall / 1000, 15, "ten, and five to end by itself");
    let error = &applied.summary.errors[0];
    assert_eq!(error.op.as_ref().unwrap().addr, "t_short.slow");
    assert_eq!(error.error.summary, "gave up after 10s");
    assert_eq!(applied.summary.counts.created, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_stops_what_depends_on_it_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.options.parallelism = 2;
    bench.script("a", [Act::Refuse]);
    bench.script("z", [Act::Busy, Act::Panic]);
    let mut plans = Plans::default();
    plans.timed("t_timed.z", 5, &[]);
    plans.timed("t_timed.a", 2, &[]);
    plans.timed("t_timed.b", 2, &["t_timed.a"]);
    plans.timed("t_timed.c", 2, &["t_timed.b"]);
    plans.timed("t_timed.d", 2, &[]);
    plans.timed("t_timed.e", 2, &["t_timed.d"]);
    let summary = bench.apply(&plans).await.summary;
    assert!(!summary.is_success());
    assert_eq!((summary.counts.created, summary.failed, summary.skipped), (2, 2, 2));
    let errors: Vec<&str> = summary.errors.iter().map(|e| e.op.as_ref().unwrap().addr.as_str()).collect();
    assert_eq!(errors, ["t_timed.a", "t_timed.z"], "the first one first");
    let first = &summary.errors[0].error;
    assert_eq!((first.summary.as_str(), first.hint.as_deref()), ("refused", Some("ask again")));
    assert_eq!(first.details, ["because", "so"]);
    assert!(summary.errors[1].error.summary.contains("a bug in z"));
    let skipped = bench.count(
        |e| matches!(e, EventKind::Skipped { because, op } if because == "t_timed.a" && op.addr != "t_timed.a"),
    );
    assert_eq!(skipped, 2);
    assert_eq!(bench.state().objects.len(), 2);
}
