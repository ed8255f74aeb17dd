//! What every storage must do: one suite over all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use grappe_state::storage::Stored;
use grappe_state::{Folder, Ledger, LockError, StateError, Storage, StoreError};
use grappe_stores::server::{Asking, Server, Taking, Trouble};
use serde_json::json;

use crate::{LEASE, addr, leased, over, put, secret, session};

#[test]
fn a_folder_conforms() {
    let dir = tempfile::tempdir().unwrap();
    every_storage(&|name| Arc::new(Folder::new(dir.path().join(name))));
}

/// Over a server: what every storage must do, and what those with leases must.
pub(crate) fn every_server(state: &dyn Fn(&str) -> Arc<dyn Server>) {
    every_storage(&|name| leased(state(name)));
    a_step_may_be_asked_for_again(&state("again"));
    an_old_token_is_refused_by_the_server_itself(&state("old"));
    a_lock_that_was_taken_by_force_shuts_its_holder_out(&leased(state("forced")));
    a_lease_is_renewed_for_as_long_as_its_run_goes_on(&leased(state("renewed")));
}

/// Each of `storage`'s names is a state of its own; the same name is the same state.
pub(crate) fn every_storage(storage: &dyn Fn(&str) -> Arc<dyn Storage>) {
    nothing_is_nothing(&storage("nothing"));
    what_is_appended_is_there_with_and_without_a_close(&|| storage("appended"));
    what_waits_goes_in_one_write(&storage("batches"));
    ten_earlier_snapshots_are_kept(&storage("backups"));
    one_holder_at_a_time(&|| storage("lock"));
    states_do_not_mix(storage);
}

fn nothing_is_nothing(storage: &Arc<dyn Storage>) {
    assert_eq!(storage.load().unwrap(), Stored::default());
    assert!(!storage.exists().unwrap());
    assert_eq!(storage.holder().unwrap(), None);
    assert_eq!(storage.backups().unwrap().len(), 0);
    assert_eq!(over(storage.clone()).load().unwrap(), Ledger::default());
    // Who holds it and does nothing leaves nothing.
    session(&over(storage.clone())).close().unwrap();
    assert!(!storage.exists().unwrap());
}

fn what_is_appended_is_there_with_and_without_a_close(storage: &dyn Fn() -> Arc<dyn Storage>) {
    let store = over(storage());
    let mut run = session(&store);
    run.append(put("t.a[0]", secret("one-secret"))).unwrap().wait().unwrap();
    // Another user of the same state sees it at once.
    let seen = over(storage()).load().unwrap();
    assert_eq!(seen.state.objects[&addr("t.a[0]")].attributes, secret("one-secret"));
    drop(run); // as a kill does
    let stored = storage().load().unwrap();
    assert!(stored.snapshot.is_none() && stored.journal.is_some());
    assert!(storage().exists().unwrap());

    let mut run = session(&store);
    assert_eq!(run.state().objects.len(), 1);
    run.append(put("t.a[1]", json!({"id": 2}))).unwrap().wait().unwrap();
    run.append(put("t.a[2]", secret("two-secret"))).unwrap().wait().unwrap();
    let closed = run.close().unwrap();
    assert_eq!((closed.state.serial, closed.state.objects.len()), (2, 3), "each run that writes counts");
    assert_eq!(over(storage()).load().unwrap(), closed);
    let stored = storage().load().unwrap();
    assert_eq!(stored.journal, None, "the journal is folded in");
    let text = String::from_utf8(stored.snapshot.unwrap()).unwrap();
    assert!(text.contains("$sealed") && !text.contains("secret\""), "{text}");

    let ledger = session(&store).ledger().clone();
    let again = session(&store).rewrite(ledger).unwrap();
    assert_eq!(again.state.serial, 3);
    assert_eq!(over(storage()).load().unwrap(), again);
}

/// What it takes grows with what is recorded, and records that are queued together cost one write.
fn what_waits_goes_in_one_write(storage: &Arc<dyn Storage>) {
    let store = over(storage.clone());
    let mut run = session(&store);
    let begin = Instant::now();
    let waits: Vec<_> =
        (0..500).map(|n| run.append(put(&format!("t.a[{n}]"), json!({ "id": n }))).unwrap()).collect();
    waits.into_iter().for_each(|wait| wait.wait().unwrap());
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(20), "500 records took {took:?}");
    drop(run);
    let journal = String::from_utf8(storage.load().unwrap().journal.unwrap()).unwrap();
    let batches: std::collections::BTreeSet<&str> = journal
        .lines()
        .map(|line| line.split("\"batch\":").nth(1).unwrap().split(',').next().unwrap())
        .collect();
    assert!(batches.len() < 250, "{} writes for 500 records", batches.len());
    assert!(journal.len() < 500 * 500, "{} bytes", journal.len());
    assert_eq!(store.load().unwrap().state.objects.len(), 500);
}

fn ten_earlier_snapshots_are_kept(storage: &Arc<dyn Storage>) {
    let store = over(storage.clone());
    for n in 0..13 {
        let mut run = session(&store);
        drop(run.append(put("t.a", json!({ "id": n }))).unwrap());
        run.close().unwrap();
    }
    let snapshots = store.snapshots().unwrap();
    let serials: Vec<u64> = snapshots.iter().map(|s| s.serial).collect();
    assert_eq!(serials, (3..=12).rev().collect::<Vec<_>>());
    for snapshot in snapshots {
        let state = snapshot.ledger.unwrap().state;
        assert_eq!(state.objects[&addr("t.a")].attributes, json!({ "id": snapshot.serial - 1 }));
        assert!(snapshot.written.starts_with("20"), "{}", snapshot.written);
    }
}

fn one_holder_at_a_time(storage: &dyn Fn() -> Arc<dyn Storage>) {
    let store = over(storage());
    let lock = store.lock("apply").unwrap();
    assert_eq!(lock.taken_over(), None);
    let Err(StateError::Lock(LockError::Held { holder: Some(holder) })) = over(storage()).lock("destroy")
    else {
        panic!("it is held");
    };
    assert_eq!((holder.pid, holder.what.as_str()), (std::process::id(), "apply"));
    let seen = over(storage()).holder().unwrap().unwrap();
    assert_eq!((seen.holder, seen.lives), (holder, true));
    drop(lock);
    assert_eq!(over(storage()).holder().unwrap(), None);

    // Four at once, again and again: never two.
    let inside = AtomicU32::new(0);
    let had = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let store = over(storage());
            let (inside, had) = (&inside, &had);
            scope.spawn(move || {
                for _ in 0..5 {
                    match store.lock("apply") {
                        Ok(lock) => {
                            assert_eq!(lock.taken_over(), None, "one that lives is not taken over");
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                            had.fetch_add(1, Ordering::SeqCst);
                            std::thread::park_timeout(Duration::from_millis(5));
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                        Err(error) => assert!(error.is_locked(), "{error}"),
                    }
                }
            });
        }
    });
    assert!(had.into_inner() > 0);
}

fn states_do_not_mix(storage: &dyn Fn(&str) -> Arc<dyn Storage>) {
    let (a, b) = (over(storage("mix")), over(storage("mix2")));
    let (mut run, mut other) = (session(&a), session(&b));
    run.append(put("t.a", json!(1))).unwrap().wait().unwrap();
    other.append(put("t.b", json!(2))).unwrap().wait().unwrap();
    run.close().unwrap();
    drop(other);
    assert!(a.load().unwrap().state.objects.contains_key(&addr("t.a")));
    assert!(b.load().unwrap().state.objects.contains_key(&addr("t.b")));
    assert_eq!(a.load().unwrap().state.objects.len(), 1);
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn take(server: &Arc<dyn Server>, id: &str, by_force: bool) -> Option<u64> {
    let me = grappe_state::Holder::this(id);
    let may_take = |_: &_| by_force;
    let asking = Asking { id, me: &me, lease: LEASE, may_take: &may_take };
    match server.take(&asking).await.unwrap() {
        Taking::Taken { token, .. } => Some(token),
        Taking::Held(_) => None,
    }
}

/// An answer that did not come is no reason to do a thing twice.
fn a_step_may_be_asked_for_again(server: &Arc<dyn Server>) {
    run(async {
        let token = take(server, "one", false).await.unwrap();
        assert_eq!(take(server, "one", false).await, Some(token), "it is the same taking");
        assert_eq!(take(server, "two", false).await, None);
        for _ in 0..2 {
            assert_eq!(server.begin(token, true).await.unwrap(), 1);
        }
        for _ in 0..2 {
            server.append(token, 1, b"a\n").await.unwrap();
        }
        server.append(token, 2, b"b\n").await.unwrap();
        assert_eq!(server.load().await.unwrap().journal.as_deref(), Some(&b"a\nb\n"[..]));
        for name in ["s1", "s1", "s2", "s2"] {
            server.replace(token, name, name.as_bytes(), if name == "s1" { 0 } else { 1 }).await.unwrap();
        }
        let stored = server.load().await.unwrap();
        assert_eq!((stored.snapshot.as_deref(), stored.journal), (Some(&b"s2"[..]), None));
        let old = server.backups().await.unwrap();
        let old: Vec<(u64, &[u8])> = old.iter().map(|o| (o.serial, &*o.bytes)).collect();
        assert_eq!(old, [(1, &b"s1"[..])]);
        for _ in 0..2 {
            server.give_back(token).await.unwrap();
        }
        assert!(server.lock().await.unwrap().is_none());
        assert!(take(server, "three", false).await.unwrap() > token, "tokens only grow");
    });
}

/// Whatever an old holder still asks for, in whatever state it was frozen.
fn an_old_token_is_refused_by_the_server_itself(server: &Arc<dyn Server>) {
    run(async {
        let old = take(server, "old", false).await.unwrap();
        server.begin(old, true).await.unwrap();
        server.append(old, 1, b"one\n").await.unwrap();
        let new = take(server, "new", true).await.unwrap();
        assert!(new > old);
        let refused = |result: Result<(), Trouble>, what: &str| {
            assert!(matches!(result, Err(Trouble::Fenced(_))), "{what}: {result:?}");
        };
        let every = |when: &'static str| async move {
            refused(server.append(old, 2, b"two\n").await, when);
            refused(server.renew(old).await, when);
            refused(server.replace(old, "s", b"mine", 0).await, when);
            refused(server.drop_journal(old).await, when);
            refused(server.begin(old, false).await.map(drop), when);
            server.give_back(old).await.unwrap();
        };
        every("before the new one writes").await;
        let stored = server.load().await.unwrap();
        assert_eq!((stored.snapshot, stored.journal.as_deref()), (None, Some(&b"one\n"[..])));
        let number = server.begin(new, false).await.unwrap();
        server.append(new, number, b"three\n").await.unwrap();
        every("while it writes").await;
        assert_eq!(server.load().await.unwrap().journal.as_deref(), Some(&b"one\nthree\n"[..]));
        server.replace(new, "n", b"new", 0).await.unwrap();
        every("after it folded the journal").await;
        server.give_back(new).await.unwrap();
        every("after it ended").await;
        let stored = server.load().await.unwrap();
        assert_eq!((stored.snapshot.as_deref(), stored.journal), (Some(&b"new"[..]), None));
    });
}

fn a_lock_that_was_taken_by_force_shuts_its_holder_out(storage: &Arc<dyn Storage>) {
    let store = over(storage.clone());
    let mut first = session(&store);
    first.append(put("t.a", json!(1))).unwrap().wait().unwrap();
    let lock = store.lock_by_force("force-unlock").unwrap();
    assert_eq!(lock.taken_over().map(|h| h.what.as_str()), Some("apply"));
    let mut second = store.session(lock).unwrap();
    second.append(put("t.b", json!(2))).unwrap().wait().unwrap();

    let error = first.append(put("t.lost", json!(3))).unwrap().wait().unwrap_err();
    assert!(matches!(&*error, StoreError::Fenced { by: Some(by) } if by.what == "force-unlock"), "{error}");
    let error = first.close().unwrap_err();
    let StateError::Unrecorded { addrs, .. } = &error else { panic!("{error}") };
    assert_eq!(addrs, &["t.lost"]);
    assert!(error.to_string().contains("no longer holds the state's lock"), "{error}");
    assert!(error.hint().unwrap().contains("t.lost"), "{:?}", error.hint());

    let names: Vec<String> = second.close().unwrap().state.objects.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["t.a", "t.b"]);
}

fn a_lease_is_renewed_for_as_long_as_its_run_goes_on(storage: &Arc<dyn Storage>) {
    let store = over(storage.clone());
    let lock = store.lock("apply").unwrap();
    std::thread::park_timeout(LEASE + Duration::from_secs(3));
    assert!(store.lock("plan").unwrap_err().is_locked());
    assert!(store.holder().unwrap().unwrap().lives);
    drop(lock);
    store.lock("plan").unwrap();
}
