//! One run at a time on one state; a killed one holds nobody up.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
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

/// A run that holds the lock.
fn started(sandbox: &Sandbox) -> Child {
    let mut apply = sandbox.command(&["apply", "-auto-approve", "-parallelism=1"]);
    let run = apply.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let lock = sandbox.path("grappe.state/grappe.lock");
    until("the first run's lock", || std::fs::read_to_string(&lock).is_ok_and(|t| t.contains("apply")));
    run
}

#[test]
fn a_live_lock_is_respected_and_a_dead_one_taken_over() {
    let sandbox = Sandbox::new(SLOW);
    let mut first = started(&sandbox);

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
    let first = started(&sandbox);
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

/// One machine, and a command on it.
const MACHINE: &str = r#"
provider "sim" {}

resource "tls_private_key" "k" { algorithm = "ED25519" }

resource "local_sensitive_file" "key" {
  filename = "${path.module}/.grappe/id_ed25519"
  content  = tls_private_key.k.private_key_openssh
}

resource "sim_network" "n" {
  name = "n"
  cidr = "10.0.0.0/24"
}

resource "sim_port" "p" { network_id = sim_network.n.id }

resource "sim_machine" "m" {
  name            = "m"
  port_ids        = [sim_port.p.id]
  authorized_keys = [tls_private_key.k.public_key_openssh]
}

resource "host_machine" "m" {
  address          = sim_port.p.ip_address
  instance         = sim_machine.m.id
  private_key_file = local_sensitive_file.key.filename
}

resource "host_command" "c" {
  host = host_machine.m.connection
  run  = "true"
}

resource "terraform_data" "after" { input = host_command.c.id }
"#;

#[test]
fn a_second_interrupt_ends_what_does_not_end_and_the_next_run_goes_on() {
    let sandbox = Sandbox::new(MACHINE);
    sandbox.expect(0, &["apply", "-auto-approve", "-target=host_machine.m"]);
    // From now on every command takes ten minutes.
    let slow = "provider \"sim\" {\n  latency_ms = 600000\n}";
    sandbox.write("main.tf", &MACHINE.replace("provider \"sim\" {}", slow));
    let mut child = sandbox
        .command(&["apply", "-auto-approve", "-json", "-refresh=false"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    let interrupt = || nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let running = |l: &String| l.contains("host_command.c") && l.contains("operation_started");
    lines.find(running).unwrap();
    interrupt();
    lines.find(|l| l.contains("\"interrupted\"") && l.contains("\"hard\":false")).unwrap();
    std::thread::park_timeout(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "what runs comes to its end");
    let begin = Instant::now();
    interrupt();
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:#?}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(rest.iter().any(|l| l.contains("run_finished")), "{rest:#?}");
    assert!(!sandbox.state().iter().any(|addr| addr == "host_command.c" || addr == "terraform_data.after"));

    sandbox.write("main.tf", MACHINE);
    sandbox.expect(0, &["apply", "-auto-approve"]);
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    assert_eq!(sandbox.state().len(), 8);
    sandbox.expect(0, &["destroy", "-auto-approve"]);
    assert!(sandbox.state().is_empty());
}

#[test]
fn a_plan_beside_a_run_says_that_it_is_at_work() {
    let sandbox = Sandbox::new(&SLOW.replace("count     = 30", "count     = 12"));
    let mut first = started(&sandbox);
    let plan = sandbox.expect(0, &["plan"]).all();
    assert!(plan.contains("Another run is at work: apply by tester"), "{plan}");
    assert!(!plan.contains("interrupted run"), "{plan}");
    first.kill().unwrap();
    first.wait().unwrap();
    let plan = sandbox.expect(0, &["plan"]).all();
    assert!(!plan.contains("at work"), "{plan}");
}
