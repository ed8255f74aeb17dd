//! Real second processes: a lock's holder that lives, one that was killed, and writers that are killed in the middle.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use grappe_state::surgery::{relocate, relocations};
use grappe_state::{LockError, StateError};
use serde_json::json;

use crate::{put, secret, session, store};

const DIR: &str = "GRAPPE_TEST_DIR";

/// This test binary again, running one of the ignored functions below on `dir`.
fn second_process(what: &str, dir: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("kill::{what}"), "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn own_dir() -> std::path::PathBuf {
    std::env::var_os(DIR).expect("the test that starts this process says where").into()
}

/// The numbers that the process says were durable, to the end of its output.
fn numbers(out: BufReader<ChildStdout>) -> Vec<u64> {
    out.lines().map_while(Result::ok).filter_map(|l| l.rsplit("durable ").next()?.parse().ok()).collect()
}

#[test]
#[ignore = "the second process of the tests below"]
#[expect(clippy::disallowed_macros, reason = "what it prints is for the test that started it")]
fn holds_the_lock() {
    let _lock = store(&own_dir()).lock("apply").unwrap();
    println!("durable 1");
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        std::thread::park_timeout(Duration::from_secs(1));
    }
}

#[test]
fn a_live_holder_is_named_and_a_dead_one_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, mut out) = second_process("holds_the_lock", dir.path());
    let mut line = String::new();
    while !line.contains("durable 1") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the second process ended early");
    }
    let error = store(dir.path()).lock("plan").unwrap_err();
    let StateError::Lock(LockError::Held { holder: Some(holder) }) = &error else { panic!("{error}") };
    assert_eq!((holder.pid, holder.what.as_str()), (child.id(), "apply"));
    assert!(error.is_locked() && error.to_string().contains(&format!("process {}", child.id())), "{error}");

    child.kill().unwrap();
    child.wait().unwrap();
    let lock = store(dir.path()).lock("plan").unwrap();
    assert_eq!(lock.taken_over().map(|h| h.pid), Some(child.id()));
    drop(lock);
    assert_eq!(store(dir.path()).lock("plan").unwrap().taken_over(), None, "said once");
}

#[test]
#[ignore = "the second process of the test below"]
#[expect(clippy::disallowed_macros, reason = "what it prints is for the test that started it")]
fn writes_until_it_is_killed() {
    let store = store(&own_dir());
    let mut n = store.load().unwrap().state.objects.len() as u64;
    loop {
        let mut run = session(&store);
        for _ in 0..20 {
            let record = put(&format!("t.a[{n}]"), json!({ "n": n, "s": {"$sensitive": "x"} }));
            run.append(record).unwrap().wait().unwrap();
            n += 1;
            println!("durable {n}");
        }
        run.close().unwrap();
    }
}

#[test]
fn a_kill_at_any_instant_loses_nothing_that_was_durable() {
    let dir = tempfile::tempdir().unwrap();
    for trial in 0..12u32 {
        let (mut child, out) = second_process("writes_until_it_is_killed", dir.path());
        std::thread::park_timeout(Duration::from_millis(60 + u64::from(trial) * 17));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = numbers(out).last().copied().unwrap_or(0);
        let state = store(dir.path()).load().unwrap().state;
        let have = state.objects.len() as u64;
        assert!(have >= said, "trial {trial}: {said} were durable, {have} are there");
        assert!((0..have).all(|n| state.objects.contains_key(&crate::addr(&format!("t.a[{n}]")))));
    }
    let state = store(dir.path()).load().unwrap().state;
    assert!(state.objects.len() > 12, "the second process never wrote");
}

#[test]
#[ignore = "the second process of the test below"]
#[expect(clippy::disallowed_macros, reason = "what it prints is for the test that started it")]
fn renames_until_it_is_killed() {
    let store = store(&own_dir());
    for (from, to) in [("t.a", "t.b"), ("t.b", "t.a")].into_iter().cycle() {
        let run = session(&store);
        let mut ledger = run.ledger().clone();
        // A kill may have left it under the other name.
        let Ok(moves) = relocations(&ledger, &from.parse().unwrap(), &to.parse().unwrap()) else { continue };
        relocate(&mut ledger, &moves).unwrap();
        let ledger = run.rewrite(ledger).unwrap();
        println!("durable {}", ledger.state.serial);
    }
}

#[test]
fn a_kill_in_the_middle_of_surgery_leaves_the_state_as_it_was_or_as_was_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let at = store(dir.path());
    let mut run = session(&at);
    for n in 0..50 {
        drop(run.append(put(&format!("t.a[{n}]"), secret("x"))).unwrap());
    }
    run.append(crate::store::intent("t.a[50]", "begun")).unwrap().wait().unwrap();
    // As a kill does: what was begun is in the journal.
    drop(run);
    let mut last = 0;
    for trial in 0..12u32 {
        let (mut child, out) = second_process("renames_until_it_is_killed", dir.path());
        std::thread::park_timeout(Duration::from_millis(60 + u64::from(trial) * 17));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = numbers(out).last().copied().unwrap_or(last);
        let ledger = store(dir.path()).load().unwrap();
        let name = if ledger.state.objects.contains_key(&crate::addr("t.a[0]")) { "t.a" } else { "t.b" };
        for n in 0..50 {
            let object = &ledger.state.objects[&crate::addr(&format!("{name}[{n}]"))];
            assert_eq!(object.attributes, secret("x"), "trial {trial}");
        }
        assert_eq!(ledger.state.objects.len(), 50, "trial {trial}");
        let begun: Vec<String> = ledger.pending().map(|p| p.addr.to_string()).collect();
        assert_eq!(begun, [format!("{name}[50]")], "trial {trial}: what was begun goes along");
        assert!(
            ledger.state.serial >= said && said >= last,
            "trial {trial}: a rename that was durable is lost"
        );
        last = ledger.state.serial;
    }
    assert!(last > 12, "the second process never wrote");
}
