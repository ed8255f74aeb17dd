//! Real second processes: killed, and frozen for longer than their lease.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use grappe_state::{StateError, Storage};
use grappe_stores::server::Server;
use grappe_stores::testing::{PostgresServer, S3Server};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::{LEASE, addr, key_file, leased, over, put, session};

/// A server that second processes can find.
pub(crate) trait Findable {
    fn state(&self, name: &str) -> Arc<dyn Server>;
    fn variable(&self) -> (&'static str, String);
}

impl Findable for PostgresServer {
    fn state(&self, name: &str) -> Arc<dyn Server> {
        self.state(name)
    }

    fn variable(&self) -> (&'static str, String) {
        ("GRAPPE_TEST_PG", self.conn_str())
    }
}

impl Findable for S3Server {
    fn state(&self, name: &str) -> Arc<dyn Server> {
        self.state(name)
    }

    fn variable(&self) -> (&'static str, String) {
        ("GRAPPE_TEST_S3", self.endpoint())
    }
}

/// The state that the test says.
fn named() -> Arc<dyn Storage> {
    let name = std::env::var("GRAPPE_TEST_STATE").expect("the test that starts this process says which");
    leased(match std::env::var("GRAPPE_TEST_PG") {
        Ok(conn) => grappe_stores::testing::postgres_state(&conn, &name),
        Err(_) => grappe_stores::testing::s3_state(&std::env::var("GRAPPE_TEST_S3").unwrap(), &name),
    })
}

fn second_process(what: &str, server: &dyn Findable, name: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let (variable, value) = server.variable();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("process::{what}"), "--ignored", "--nocapture"])
        .env(variable, value)
        .env("GRAPPE_TEST_STATE", name)
        .env("GRAPPE_TEST_KEY", key_file())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, out)
}

/// What the process says next, after its own word for it.
fn next(out: &mut Lines<BufReader<ChildStdout>>) -> Option<String> {
    out.by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("says ").map(|(_, said)| said.to_owned()))
}

#[test]
#[ignore = "the second process of the tests below"]
#[expect(clippy::disallowed_macros, reason = "what it prints is for the test that started it")]
fn writes_until_it_is_killed() {
    let store = over(named());
    let mut n = store.load().unwrap().state.objects.len() as u64;
    loop {
        let mut run = session(&store);
        for _ in 0..10 {
            run.append(put(&format!("t.a[{n}]"), json!({ "n": n }))).unwrap().wait().unwrap();
            n += 1;
            println!("says {n}");
        }
        run.close().unwrap();
    }
}

/// Its lock is taken over at once, since its process is known to be gone; nothing that it was told to be durable is lost.
pub(crate) fn a_killed_run_loses_nothing(server: &dyn Findable) {
    for trial in 0..4u64 {
        let (mut child, mut out) = second_process("writes_until_it_is_killed", server, "killed");
        assert!(next(&mut out).is_some(), "it never wrote");
        std::thread::park_timeout(Duration::from_millis(100 + trial * 37));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut said = 0;
        while let Some(number) = next(&mut out) {
            said = number.parse().unwrap();
        }
        let store = over(leased(server.state("killed")));
        let state = store.load().unwrap().state;
        let have = state.objects.len() as u64;
        assert!(have >= said, "trial {trial}: {said} were durable, {have} are there");
        assert!((0..have).all(|n| state.objects.contains_key(&addr(&format!("t.a[{n}]")))));
        let begin = Instant::now();
        drop(store.lock("apply").unwrap());
        assert!(begin.elapsed() < LEASE, "nobody waits for the lease of a process that is gone");
    }
}

#[test]
#[ignore = "the second process of the test below"]
#[expect(clippy::disallowed_macros, reason = "what it prints is for the test that started it")]
fn writes_until_it_is_refused() {
    let store = over(named());
    let mut run = session(&store);
    let mut n = 0;
    loop {
        match run.append(put(&format!("t.a[{n}]"), json!(n))).unwrap().wait() {
            Ok(()) => println!("says {n}"),
            Err(error) => {
                println!("says refused: {error}");
                break;
            }
        }
        n += 1;
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let error = run.close().unwrap_err();
    let StateError::Unrecorded { addrs, .. } = &error else { panic!("{error}") };
    println!("says not recorded: {addrs:?}");
}

/// It may have been frozen in the middle of a write.
pub(crate) fn a_frozen_run_that_lost_its_lock_is_refused(server: &dyn Findable) {
    let (mut child, mut out) = second_process("writes_until_it_is_refused", server, "frozen");
    assert_eq!(next(&mut out).as_deref(), Some("0"));
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let store = over(leased(server.state("frozen")));
    // While its lease lasts, it may still live.
    let error = store.lock("apply").unwrap_err();
    assert!(error.is_locked() && error.to_string().contains(&format!("process {pid}")), "{error}");
    let begin = Instant::now();
    let lock = loop {
        match store.lock("apply") {
            Ok(lock) => break lock,
            Err(error) => assert!(error.is_locked(), "{error}"),
        }
        assert!(begin.elapsed() < LEASE * 3, "its lease never ends");
        std::thread::park_timeout(Duration::from_millis(100));
    };
    assert_eq!(lock.taken_over().map(|h| h.pid), Some(child.id()));
    let mut run = store.session(lock).unwrap();
    let had = run.state().objects.len();
    run.append(put("t.b", json!("new"))).unwrap().wait().unwrap();

    kill(pid, Signal::SIGCONT).unwrap();
    let mut said = Vec::new();
    while let Some(line) = next(&mut out) {
        said.push(line);
    }
    assert!(child.wait().unwrap().success());
    let refused = said.iter().find(|line| line.starts_with("refused: ")).unwrap();
    assert!(
        refused.contains("no longer holds the state's lock") && refused.contains("took it over"),
        "{refused}"
    );
    let lost = said.last().unwrap();
    assert!(lost.starts_with("not recorded: [\"t.a["), "{lost}");

    let state = run.close().unwrap().state;
    assert_eq!(state.objects.len(), had + 1, "what it wrote after it was taken over is not there");
    assert_eq!(store.load().unwrap().state, state);
}
