//! In paused time: what is limited, what a far side that is asked too much does to the run, and what may go on meanwhile.

use std::time::Duration;

use grappe_engine::{EventKind, LimitOf};
use grappe_plan::ProviderKey;
use grappe_value::Value;

use crate::plans::{Bench, Plans, set};
use crate::world::Act;

fn many(ty: &str, n: usize, secs: i64) -> Plans {
    let mut plans = Plans::default();
    for i in 0..n {
        plans.timed(&format!("{ty}.p{i}"), secs, &[]);
    }
    plans
}

#[tokio::test(start_paused = true)]
async fn providers_types_and_addresses_have_limits() {
    let ty = |name: &str| LimitOf::Type(name.into());
    let cases = [
        ("t_timed", vec![(LimitOf::Provider("test".into()), 3)], 3),
        ("t_timed", vec![(ty("t_timed"), 2)], 2),
        ("t_timed", vec![(ty("t_short"), 2)], 9),
        ("t_timed", vec![(LimitOf::Under("t_timed.p0".parse().unwrap()), 1)], 9),
        // The last one counts, and the more exact one.
        ("t_timed", vec![(ty("t_timed"), 2), (ty("t_timed"), 4)], 4),
        (
            "t_timed",
            vec![(LimitOf::Configuration("test".parse().unwrap()), 5), (LimitOf::Provider("test".into()), 3)],
            5,
        ),
        // What a type says of itself holds until the user says something else.
        ("t_few", Vec::new(), 3),
        ("t_few", vec![(ty("t_few"), 7)], 7),
    ];
    for (kind, limits, most) in cases {
        let dir = tempfile::tempdir().unwrap();
        let mut bench = Bench::new(dir.path());
        bench.options.limits = limits.clone();
        assert!(bench.apply(&many(kind, 9, 1)).await.summary.is_success());
        assert_eq!(bench.world.lock().unwrap().most_at_once("p"), most, "{kind} {limits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_to_be_tried_again_holds_no_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.options.parallelism = 1;
    bench.script("a", [Act::BusyFor(Duration::from_secs(60))]);
    let mut plans = Plans::default();
    plans.timed("t_timed.a", 5, &[]).estimate = Duration::from_secs(100);
    plans.timed("t_timed.b", 2, &[]);
    plans.timed("t_timed.c", 70, &["t_timed.b"]);
    plans.timed("t_timed.d", 1, &[]);
    let applied = bench.apply(&plans).await;
    assert!(applied.summary.is_success());
    let world = bench.world.lock().unwrap();
    assert_eq!(world.span("b"), (0, 2), "it does not wait for the other's minute");
    assert_eq!(world.span("c"), (2, 72));
    let again = world.spans.iter().filter(|(n, _, _)| n == "a").map(|s| (s.1, s.2)).next_back();
    assert_eq!(again, Some((72, Some(77))), "due at 60, it goes on before what has not begun");
    assert_eq!(world.span("d"), (77, 78));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_is_not_its_time_and_a_group_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.options.parallelism = 1;
    bench.script("slow", [Act::Busy]);
    bench.script("one", [Act::BusyFor(Duration::from_secs(40))]);
    bench.script("two", [Act::BusyFor(Duration::from_secs(40))]);
    let mut plans = Plans::default();
    // Ten seconds are its deadline.
    plans.timed("t_short.slow", 8, &[]);
    plans.timed("t_timed.other", 20, &[]).estimate = Duration::from_secs(1);
    let applied = bench.apply(&plans).await;
    assert!(applied.summary.is_success(), "{:?}", applied.summary.errors);
    assert_eq!(applied.summary.wall / 1000, 28);

    let dir = tempfile::tempdir().unwrap();
    bench.store = Bench::new(dir.path()).store;
    bench.options.parallelism = 4;
    let mut plans = Plans::default();
    for (name, secs) in [("one", 9), ("two", 8), ("three", 7)] {
        set(plans.timed(&format!("t_timed.{name}"), secs, &[]), "group", Value::from("join lab"));
    }
    plans.timed("t_timed.free", 1, &[]);
    assert!(bench.apply(&plans).await.summary.is_success());
    let world = bench.world.lock().unwrap();
    assert_eq!(world.span("free"), (0, 1));
    assert_eq!(world.span("three").0, 48, "two of the group are at it until then, though they wait");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_asked_too_much_is_left_alone_and_then_asked_less() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.options.parallelism = 16;
    let minute = Duration::from_secs(60);
    bench.script("p0", [Act::Throttle(minute)]);
    bench.script("p1", [Act::Throttle(minute)]);
    let mut plans = many("t_timed", 40, 2);
    // Another configuration is another far side.
    let other: ProviderKey = "test.other".parse().unwrap();
    for n in 0..40 {
        plans.timed(&format!("t_timed.q{n}"), 1, &[]).provider = other.clone();
    }
    let applied = bench.apply(&plans).await;
    assert!(applied.summary.is_success());
    let world = bench.world.lock().unwrap();
    let begins: Vec<u64> = world.spans.iter().filter(|(n, _, _)| n.starts_with('p')).map(|s| s.1).collect();
    assert_eq!(begins.iter().filter(|at| **at == 0).count(), 16);
    assert!(begins.iter().all(|at| *at == 0 || *at >= 60), "nobody of it begins before: {begins:?}");
    let at = |t: u64| begins.iter().filter(|b| **b == t).count();
    assert_eq!((at(60), at(62)), (8, 9), "half as many, then one more: {begins:?}");
    let others = world.spans.iter().filter(|(n, _, _)| n.starts_with('q')).filter_map(|s| s.2);
    assert!(others.max() < Some(10), "the other goes on meanwhile");
    assert_eq!(begins.len(), 42);
    let said = |e: &EventKind| matches!(e, EventKind::Throttled { provider, most: 8, after: 60_000 } if provider == "test");
    assert_eq!((bench.count(said), bench.count(|e| matches!(e, EventKind::Throttled { .. }))), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn throttling_uses_up_no_try_and_the_deadline_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let throttle = || Act::Throttle(Duration::from_secs(20));
    bench.script("a", std::iter::repeat_with(throttle).take(20));
    let mut plans = Plans::default();
    plans.timed("t_timed.a", 1, &[]);
    let applied = bench.apply(&plans).await;
    assert!(applied.summary.is_success(), "{:?}", applied.summary.errors);
    assert_eq!(applied.summary.retries, 20);
    bench.script("b", std::iter::repeat_with(throttle).take(200));
    let mut plans = Plans::default();
    plans.timed("t_timed.b", 1, &[]);
    let error = &bench.apply(&plans).await.summary.errors[0].error;
    assert_eq!(error.summary, "gave up after 20m; last: slow down");
}
