//! Ctrl-C, once and twice.

use std::sync::Arc;
use std::time::Duration;

use grappe_engine::EventKind;
use grappe_state::Action;

use crate::plans::{Bench, Plans, addr, names};
use crate::world::Act;

#[tokio::test(start_paused = true)]
async fn once_lets_what_is_running_finish() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.options.parallelism = 2;
    let mut plans = Plans::default();
    for n in 0..6 {
        plans.timed(&format!("t_timed.p{n}"), 10, &[]);
    }
    let soft = bench.cancel.soft.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(13)).await;
        soft.cancel();
    });
    let summary = bench.apply(&plans).await.summary;
    assert_eq!(summary.wall / 1000, 20);
    assert_eq!((summary.counts.created, summary.not_started, summary.failed), (4, 2, 0));
    assert!(summary.interrupted && !summary.is_success());
    assert_eq!(bench.count(|e| matches!(e, EventKind::Interrupted { hard: false, running: 2 })), 1);
    assert_eq!(bench.state().objects.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn twice_ends_what_is_running() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(dir.path());
    let mut plans = Plans::default();
    plans.timed("t_timed.slow", 1000, &[]);
    plans.timed("t_timed.next", 1, &["t_timed.slow"]);
    let cancel = bench.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        cancel.soft.cancel();
        tokio::time::sleep(Duration::from_secs(2)).await;
        cancel.hard.cancel();
    });
    let summary = bench.apply(&plans).await.summary;
    assert_eq!(summary.wall / 1000, 9, "five seconds to end by itself");
    assert_eq!((summary.failed, summary.skipped), (1, 1));
    assert_eq!(summary.errors[0].error.summary, "interrupted");
    assert_eq!(bench.count(|e| matches!(e, EventKind::Interrupted { hard: true, running: 1 })), 1);
}

#[tokio::test]
async fn what_was_dropped_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    bench.script("a", [Act::Hang]);
    let mut plans = Plans::default();
    plans.create("t_thing.a", &[]);
    let cancel = bench.cancel.clone();
    // It hangs after its checkpoint.
    bench.on_event = Some(Arc::new(move |event| {
        if matches!(event.kind, EventKind::Progress { .. }) {
            let cancel = cancel.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                cancel.soft.cancel();
                cancel.hard.cancel();
            });
        }
    }));
    let applied = bench.apply(&plans).await;
    assert_eq!(names(&bench.world), ["a"]);
    let pending: Vec<_> = applied.ledger.pending().cloned().collect();
    assert_eq!((pending.len(), pending[0].action), (1, Action::Create));
    assert_eq!(pending[0].checkpoint_clear().unwrap()["name"], "a");
    assert!(applied.ledger.state.objects.is_empty(), "half an object is none");
    assert_eq!(bench.store.load().unwrap(), applied.ledger, "it is in the snapshot, too");

    bench.cancel = Default::default();
    let mut plans = Plans::default();
    plans.create("t_thing.a", &[]).action =
        grappe_plan::OpAction::Create { resume: Some(Box::new(pending[0].clone())), deposes: false };
    let applied = bench.apply(&plans).await;
    assert!(applied.summary.is_success());
    assert_eq!(names(&bench.world), ["a"], "the same one");
    assert_eq!(applied.ledger.pending().count(), 0);
    assert_eq!(applied.ledger.state.objects[&addr("t_thing.a")].key, pending[0].key);
}
