//! What one plan can't decide on is planned in waves inside one apply.

use std::process::Stdio;
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::sandbox::{Sandbox, flat};

/// As many workers as the balancer has ids, and what looks at all of them.
const WORKERS: &str = r#"
resource "terraform_data" "lb" {
  input = "lb-1"
}
resource "terraform_data" "other" {}
resource "terraform_data" "worker" {
  for_each = toset(["${terraform_data.lb.id != "" ? "a" : "b"}", "fixed"])
  input    = each.key
}
resource "terraform_data" "all" {
  input = sort([for w in terraform_data.worker : w.output])
}
output "workers" {
  value = terraform_data.all.output
}
"#;

#[test]
fn one_apply_does_it_all_and_shows_each_wave() {
    let sandbox = Sandbox::new(WORKERS);
    let planned = sandbox.expect(0, &["plan"]);
    assert_snapshot!(planned.stdout, @r#"
    grappe will do this (+ create):

      # terraform_data.lb will be created
      + resource "terraform_data" "lb" {
          + input = "lb-1"
            # (computed: output)
            # (known after apply: id)
        }

      # terraform_data.other will be created
      + resource "terraform_data" "other" {
            # (known after apply: id)
        }

    Still open:

      ? terraform_data.worker: its for_each depends on terraform_data.lb
      ? waiting for terraform_data.worker: terraform_data.all
      ? output workers

    This is planned when the rest is applied: it is known then.

    Plan: 2 to add, 0 to change, 0 to destroy; 2 blocks still open.
    "#);
    sandbox.expect(2, &["plan", "-detailed-exitcode"]);
    let applied = sandbox.expect(0, &["apply", "-auto-approve"]);
    let shown: Vec<&str> = applied
        .stdout
        .lines()
        .filter(|l| {
            ["Plan:", "Wave", "Apply", "In ", "workers"].iter().any(|head| l.trim_start().starts_with(head))
        })
        .map(|l| l.split(" in 0").next().unwrap_or(l))
        .collect();
    assert_eq!(
        shown,
        [
            "Plan: 2 to add, 0 to change, 0 to destroy; 2 blocks still open.",
            "Wave complete: 2 added, 0 changed, 0 destroyed",
            "Wave 2: what was left open",
            "Plan: 3 to add, 0 to change, 0 to destroy.",
            "Apply complete: 3 added, 0 changed, 0 destroyed",
            "In 2 waves: 5 added, 0 changed, 0 destroyed.",
            "workers = [\"a\", \"fixed\"]",
        ]
    );
    let again = sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    assert_eq!(again.stdout, "No changes: the world is as the plan says.\n");
    sandbox.expect(0, &["destroy", "-auto-approve"]);
    assert!(sandbox.state().is_empty());
}

#[test]
fn programs_are_told_what_is_open() {
    let sandbox = Sandbox::new(WORKERS);
    let planned = sandbox.expect(0, &["plan", "-json", "-out=p"]);
    let lines: Vec<serde_json::Value> =
        planned.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let open: Vec<_> =
        lines.iter().filter(|l| l["type"] == "planned_open").map(|l| l["open"].clone()).collect();
    let expected = serde_json::json!([
        {
            "address": "terraform_data.worker", "reason": "instance_count_unknown",
            "waits_for": ["terraform_data.lb"], "objects": 0,
        },
        {
            "address": "terraform_data.all", "reason": "deferred_prereq",
            "waits_for": ["terraform_data.worker"], "objects": 0,
        },
    ]);
    assert_eq!(serde_json::Value::from(open), expected);
    let summary = lines.iter().find(|l| l["type"] == "change_summary").unwrap();
    assert_eq!((&summary["open"], &summary["anything"]), (&2.into(), &true.into()));
    let shown: serde_json::Value =
        serde_json::from_str(&sandbox.expect(0, &["show", "-json", "p"]).stdout).unwrap();
    assert_eq!(shown["open"], expected);
    assert_eq!(
        (&shown["complete"], &shown["open_outputs"]),
        (&false.into(), &serde_json::json!(["workers"]))
    );
    let applied = sandbox.expect(0, &["apply", "-json", "-auto-approve"]);
    let waves = applied.stdout.lines().filter(|l| l.contains("\"type\":\"wave\"")).count();
    assert_eq!(waves, 1, "{}", applied.stdout);
}

#[test]
fn a_saved_plan_does_what_it_shows_and_says_what_is_left() {
    let sandbox = Sandbox::new(WORKERS);
    sandbox.expect(0, &["plan", "-out=p"]);
    let applied = sandbox.expect(2, &["apply", "-auto-approve", "p"]);
    assert!(applied.stdout.contains("terraform_data.worker: its for_each depends on terraform_data.lb"));
    assert!(applied.stdout.contains("plan and apply again to do it"), "{}", applied.stdout);
    assert_eq!(sandbox.state(), ["terraform_data.lb", "terraform_data.other"]);
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(sandbox.state().len(), 5);

    let sandbox = Sandbox::new(WORKERS);
    sandbox.expect(0, &["plan", "-out=p"]);
    let refused = sandbox.expect(1, &["apply", "-all-waves", "p"]);
    assert!(refused.stderr.contains("nobody is there to approve"), "{}", refused.stderr);
    assert!(sandbox.state().is_empty(), "nothing was begun");
    sandbox.expect(0, &["apply", "-all-waves", "-auto-approve", "p"]);
    assert_eq!(sandbox.state().len(), 5);
}

#[test]
fn provisioners_run_once_in_all_waves() {
    let sandbox = Sandbox::new(
        r#"
        resource "terraform_data" "always" {
          triggers_replace = timestamp()
          provisioner "local-exec" { command = "echo ran >> ran.txt" }
        }
        resource "terraform_data" "n" {
          count = length(terraform_data.always.id) > 0 ? 2 : 1
          lifecycle { replace_triggered_by = [terraform_data.always] }
          provisioner "local-exec" { command = "echo n${count.index} >> ran.txt" }
        }
        "#,
    );
    for times in 1..=2 {
        sandbox.expect(0, &["apply", "-auto-approve"]);
        let ran = sandbox.read("ran.txt");
        for what in ["ran", "n0", "n1"] {
            assert_eq!(ran.lines().filter(|l| *l == what).count(), times, "{what}: {ran}");
        }
    }
}

/// Machines for the addresses of other machines; killed while the second wave goes on, the next apply goes on with it.
#[test]
fn a_kill_in_the_second_wave_is_gone_on_from() {
    let sandbox = Sandbox::new(
        r#"
        provider "sim" {}
        resource "sim_network" "n" {
          name = "n"
          cidr = "10.0.0.0/24"
        }
        resource "sim_port" "lb" {
          count      = 2
          network_id = sim_network.n.id
        }
        resource "sim_machine" "lb" {
          count    = 2
          name     = "lb-${count.index}"
          port_ids = [sim_port.lb[count.index].id]
        }
        module "workers" {
          source   = "./worker"
          for_each = { for m in sim_machine.lb : m.address => m.name }
          network  = sim_network.n.id
          behind   = each.value
        }
        output "workers" {
          value = { for address, w in module.workers : address => w.name }
        }
        "#,
    );
    sandbox.write(
        "worker/main.tf",
        r#"
        variable "network" {}
        variable "behind" {}
        resource "sim_port" "w" { network_id = var.network }
        resource "sim_machine" "w" {
          name     = "worker-of-${var.behind}"
          port_ids = [sim_port.w.id]
          provisioner "local-exec" { command = "echo x >> begun; [ -e fast ] || sleep 3" }
        }
        output "name" { value = sim_machine.w.name }
        "#,
    );
    let mut command = sandbox.command(&["apply", "-auto-approve"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !sandbox.path("begun").exists() {
        assert!(Instant::now() < until, "the second wave never began");
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        #[expect(clippy::disallowed_methods, reason = "a test waits for another process")]
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.write("fast", "");
    let planned = sandbox.expect(0, &["plan"]);
    assert!(!planned.stdout.contains("Still open"), "{}", planned.stdout);
    let applied = sandbox.expect(0, &["apply", "-auto-approve"]);
    assert!(!applied.stdout.contains("sim_machine.lb"), "{}", applied.stdout);
    // Which of the two has which address is a matter of who came first.
    assert!(applied.stdout.contains("\"10.0.0.3\" = \"worker-of-lb-"), "{}", applied.stdout);
    let machines = sandbox.expect(0, &["sim", "list"]).stdout;
    assert_eq!(machines.matches("worker-of-").count(), 2, "{machines}");
    assert_eq!(sandbox.state().len(), 1 + 2 + 2 + 2 * 2);
    assert_eq!(sandbox.run(&["plan", "-detailed-exitcode"]).code, 0);
    sandbox.expect(0, &["destroy", "-auto-approve"]);
}

#[test]
fn waves_that_never_end_say_what_they_wait_for() {
    let sandbox = Sandbox::new(
        r#"
        resource "terraform_data" "x" {
          for_each = toset([uuid()])
        }
        "#,
    );
    let refused = sandbox.expect(1, &["apply", "-auto-approve"]);
    let said = flat(&refused.stderr);
    assert!(said.contains("nothing that is planned makes them known"), "{said}");
}
