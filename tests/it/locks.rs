//! One run at a time on one state; a killed one holds nobody up.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::sandbox::{Ran, Sandbox};

/// Takes a while, so that another run comes upon it.
const SLOW: &str = r#"
resource "tls_private_key" "k" {
  count     = 30
  algorithm = "RSA"
  rsa_bits  = 3072
}
"#;

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} did not come about");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn a_live_lock_is_respected_and_a_dead_one_taken_over() {
    let sandbox = Sandbox::new(SLOW);
    let mut first = sandbox
        .command(&["apply", "-auto-approve", "-parallelism=1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lock = sandbox.path("grappe.state/grappe.lock");
    until("the first run's lock", || std::fs::read_to_string(&lock).is_ok_and(|t| t.contains("apply")));

    let refused = sandbox.expect(3, &["apply", "-auto-approve"]);
    assert!(refused.stderr.contains("the state is locked: apply by tester on "), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("process {}", first.id())), "{}", refused.stderr);
    assert!(refused.stderr.contains("-lock-timeout"), "{}", refused.stderr);
    // Looking takes no lock.
    sandbox.expect(0, &["plan"]);
    sandbox.expect(0, &["state", "list"]);

    first.kill().unwrap();
    first.wait().unwrap();
    sandbox.write("main.tf", "resource \"terraform_data\" \"a\" {}\n");
    let taken = sandbox.expect(0, &["apply", "-auto-approve"]);
    assert!(taken.all().contains("was killed"), "{}", taken.all());
    assert_eq!(sandbox.state(), ["terraform_data.a"]);
}

#[test]
fn a_second_run_waits_as_long_as_it_is_told() {
    let sandbox = Sandbox::new(SLOW);
    let first = sandbox
        .command(&["apply", "-auto-approve", "-parallelism=1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lock = sandbox.path("grappe.state/grappe.lock");
    until("the first run's lock", || std::fs::read_to_string(&lock).is_ok_and(|t| t.contains("apply")));
    let waited = sandbox.expect(0, &["apply", "-auto-approve", "-lock-timeout=5m"]);
    assert!(waited.stdout.contains("No changes"), "{}", waited.stdout);
    let first = Ran::of(first.wait_with_output().unwrap());
    assert_eq!(first.code, 0);
}

#[test]
fn one_interrupt_ends_a_run_well() {
    let sandbox = Sandbox::new(SLOW);
    let child = sandbox
        .command(&["apply", "-auto-approve", "-parallelism=1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = sandbox.path("grappe.state/grappe.lock");
    until("the run", || std::fs::read_to_string(&journal).is_ok_and(|t| t.contains("apply")));
    std::thread::park_timeout(Duration::from_millis(300));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 130, "{}", ran.all());
    assert!(ran.all().contains("nterrupted"), "{}", ran.all());
    let done = sandbox.state().len();
    assert!(done < 30, "it was not interrupted: {done}");
    assert!(!sandbox.path("grappe.state/grappe.journal").exists(), "the journal is folded in");
}
