//! Two runs at once, and many operations.

use std::time::{Duration, Instant};

use grappe_engine::{EventKind, RunError};

use crate::plans::{Bench, Plans};

#[tokio::test]
async fn two_at_once_are_refused_or_wait() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let (first, second) = (bench.engine(), bench.engine());
    let lock = first.lock(&bench.store, "apply", Duration::ZERO).await.unwrap();
    match second.lock(&bench.store, "apply", Duration::ZERO).await {
        Err(RunError::State(error)) => assert!(error.is_locked() && error.to_string().contains("apply by")),
        other => panic!("{other:?}"),
    }
    let holder = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(lock);
    });
    second.lock(&bench.store, "apply", Duration::from_secs(30)).await.unwrap();
    holder.await.unwrap();
    assert_eq!(bench.count(|e| matches!(e, EventKind::LockWaiting { holder: Some(_) })), 1);
}

#[tokio::test]
async fn ten_thousand_operations_cost_what_they_do() {
    let time = async |n: usize| {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench::new(dir.path());
        let mut plans = Plans::default();
        for i in 0..n {
            plans.create(&format!("t_timed.x[{i}]"), &[]).planned = Some(crate::plans::thing("t_timed.x"));
        }
        let start = Instant::now();
        let applied = bench.apply(&plans).await;
        assert_eq!(applied.summary.counts.created, n);
        assert_eq!(bench.state().objects.len(), n);
        start.elapsed()
    };
    let (small, large) = (time(1_000).await, time(10_000).await);
    // Linear, with room for a machine that is busy; the square would be a hundred times as long.
    assert!(large < small * 40, "1,000: {small:?}, 10,000: {large:?}");
}
