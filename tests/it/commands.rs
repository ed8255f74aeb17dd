//! The commands on a plan that needs no machine.

use crate::sandbox::Sandbox;

const PLAN: &str = r#"
variable "names" {
  type    = set(string)
  default = ["a", "b"]
}

resource "random_pet" "name" {
  for_each = var.names
  prefix   = each.key
}

resource "local_file" "list" {
  filename = "out/list.txt"
  content  = join("\n", [for name in var.names : random_pet.name[name].id])
}

resource "terraform_data" "note" {
  input = { file = local_file.list.filename, names = var.names }
}

output "pets" {
  value = { for name, pet in random_pet.name : name => pet.id }
}
"#;

#[test]
fn a_plan_is_applied_kept_changed_and_destroyed() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.expect(0, &["plan"]);
    sandbox.expect(2, &["plan", "-detailed-exitcode"]);
    let applied = sandbox.expect(0, &["apply", "-auto-approve"]);
    assert!(applied.stdout.contains("Apply complete: 4 added, 0 changed, 0 destroyed"), "{}", applied.stdout);
    let pets = sandbox.expect(0, &["output", "-json", "pets"]).stdout;
    let pets: serde_json::Value = serde_json::from_str(&pets).unwrap();
    let list = sandbox.read("out/list.txt");
    assert_eq!(list.lines().collect::<Vec<_>>(), [pets["a"].as_str().unwrap(), pets["b"].as_str().unwrap()]);

    let nothing = sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    assert!(nothing.stdout.contains("No changes"), "{}", nothing.stdout);

    // One name more: what was there stays.
    let more = sandbox.expect(0, &["apply", "-auto-approve", "-json", "-var", "names=[\"a\",\"b\",\"c\"]"]);
    let mut done: Vec<String> = more
        .events_of("operation_done")
        .iter()
        .map(|e| format!("{} {}", e["action"].as_str().unwrap(), e["addr"].as_str().unwrap()))
        .collect();
    done.sort();
    assert_eq!(
        done,
        ["create random_pet.name[\"c\"]", "update local_file.list", "update terraform_data.note"],
        "{}",
        more.stdout
    );
    assert!(sandbox.read("out/list.txt").starts_with(&list));

    // Somebody meddles.
    std::fs::remove_file(sandbox.path("out/list.txt")).unwrap();
    let drift = sandbox.expect(2, &["plan", "-detailed-exitcode", "-var", "names=[\"a\",\"b\",\"c\"]"]);
    assert!(drift.stdout.contains("local_file.list is gone"), "{}", drift.stdout);

    sandbox.expect(0, &["destroy", "-auto-approve"]);
    assert!(sandbox.state().is_empty());
    assert!(!sandbox.path("out/list.txt").exists());
    sandbox.expect(0, &["destroy", "-auto-approve"]);
}

#[test]
fn a_saved_plan_is_done_as_it_was_shown_or_not_at_all() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.expect(2, &["plan", "-out=first.plan", "-detailed-exitcode", "-var=names=[\"x\"]"]);
    sandbox.expect(0, &["plan", "-out=second.plan"]);
    let shown = sandbox.expect(0, &["show", "first.plan"]).stdout;
    assert!(shown.contains("random_pet.name[\"x\"] will be created"), "{shown}");
    let json: serde_json::Value =
        serde_json::from_str(&sandbox.expect(0, &["show", "-json", "first.plan"]).stdout).unwrap();
    assert_eq!(json["resource_changes"].as_array().unwrap().len(), 3);

    sandbox.expect(0, &["apply", "first.plan"]);
    assert_eq!(sandbox.state(), ["local_file.list", "random_pet.name[\"x\"]", "terraform_data.note"]);
    // The second was made from a state that is no more.
    let stale = sandbox.expect(1, &["apply", "second.plan"]);
    assert!(stale.stderr.contains("make a new plan"), "{}", stale.stderr);
    for flag in ["-var=names=[\"y\"]", "-refresh-only", "-refresh=false", "-state-dir=elsewhere"] {
        let changed = sandbox.expect(1, &["apply", "first.plan", flag]);
        assert!(changed.stderr.contains("can't be changed any more"), "{}", changed.stderr);
    }

    sandbox.expect(0, &["plan", "-out=third.plan"]);
    sandbox.write("more.tf", "resource \"terraform_data\" \"more\" {}\n");
    let more = sandbox.expect(1, &["apply", "third.plan"]);
    assert!(more.stderr.contains("*.tf has changed since the plan was saved"), "{}", more.stderr);
    std::fs::remove_file(sandbox.path("more.tf")).unwrap();
    sandbox.write("main.tf", &PLAN.replace("prefix", "# prefix"));
    let other = sandbox.expect(1, &["apply", "third.plan"]);
    assert!(other.stderr.contains("main.tf has changed since the plan was saved"), "{}", other.stderr);
}

#[test]
fn variables_come_in_terraforms_order() {
    let sandbox = Sandbox::new(
        "variable \"v\" { type = string }\nvariable \"n\" {\n  type = list(number)\n  default = []\n}\noutput \"v\" { value = var.v }\noutput \"n\" { value = var.n }\n",
    );
    let value = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = sandbox.command(&[&["apply", "-auto-approve"], args].concat());
        assert!(command.envs(env.iter().copied()).status().unwrap().success());
        sandbox.expect(0, &["output", "-raw", "v"]).stdout
    };
    assert_eq!(value(&[], &[("TF_VAR_v", "environment"), ("TF_VAR_n", "[1, 2]")]), "environment");
    assert_eq!(
        sandbox.expect(0, &["output", "-json", "n"]).stdout.split_whitespace().collect::<String>(),
        "[1,2]"
    );
    sandbox.write("terraform.tfvars", "v = \"tfvars\"\n");
    assert_eq!(value(&[], &[("TF_VAR_v", "environment")]), "tfvars");
    sandbox.write("a.auto.tfvars", "v = \"auto a\"\n");
    sandbox.write("b.auto.tfvars.json", "{\"v\": \"auto b\"}");
    assert_eq!(value(&[], &[]), "auto b");
    sandbox.write("extra.txt", "v = \"file\"\n");
    assert_eq!(value(&["-var-file=extra.txt"], &[]), "file");
    assert_eq!(value(&["-var-file=extra.txt", "-var=v=flag"], &[]), "flag");
    assert_eq!(value(&["-var=v=flag", "-var-file=extra.txt"], &[]), "file");
}

#[test]
fn paths_start_at_the_plan_folder_wherever_grappe_is_started() {
    let sandbox = Sandbox::new("");
    sandbox.write(
        "sub/main.tf",
        "resource \"local_file\" \"f\" {\n  filename = \"${path.module}/made\"\n  content  = file(\"${path.module}/source\")\n}\n",
    );
    sandbox.write("sub/source", "text");
    sandbox.expect(0, &["apply", "-auto-approve", "sub"]);
    assert_eq!(sandbox.read("sub/made"), "text");
    assert!(sandbox.path("sub/grappe.state/grappe.state.json").is_file());
    sandbox.expect(0, &["-chdir=sub", "plan", "-detailed-exitcode"]);
    // The state elsewhere is another state.
    sandbox.expect(2, &["plan", "-detailed-exitcode", "-state-dir=other", "sub"]);
    sandbox.write("sub/backend.tf", "terraform {\n  backend \"local\" {\n    path = \"../moved\"\n  }\n}\n");
    sandbox.expect(2, &["plan", "-detailed-exitcode", "sub"]);
    sandbox.expect(0, &["apply", "-auto-approve", "sub"]);
    assert!(sandbox.path("moved/grappe.state.json").is_file());
}

#[test]
fn nothing_is_done_that_nobody_approved() {
    let sandbox = Sandbox::new(PLAN);
    let ran = sandbox.expect(1, &["apply"]);
    assert!(ran.stderr.contains("-auto-approve"), "{}", ran.stderr);
    assert!(sandbox.state().is_empty() && !sandbox.path("out").exists());
}

#[test]
fn json_is_lines_of_objects_and_nothing_else() {
    let sandbox = Sandbox::new(PLAN);
    let plan = sandbox.expect(0, &["plan", "-json"]);
    let summary = &plan.events_of("change_summary")[0];
    assert_eq!((summary["changes"]["add"].as_u64(), summary["anything"].as_bool()), (Some(4), Some(true)));
    assert_eq!(plan.events_of("planned_change").len(), 4);
    assert!(plan.stderr.is_empty(), "{}", plan.stderr);
    let apply = sandbox.expect(0, &["apply", "-json", "-auto-approve"]);
    assert_eq!(apply.events_of("operation_done").len(), 4);
    let finished = &apply.events_of("run_finished")[0]["summary"];
    assert_eq!(finished["counts"]["created"], 4);
    assert!(finished["critical_path"].as_array().is_some_and(|steps| steps.len() >= 2), "{finished}");
    assert!(apply.stderr.is_empty(), "{}", apply.stderr);
}

#[test]
fn part_of_a_plan_is_done_with_what_it_needs() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.expect(0, &["apply", "-auto-approve", "-target=random_pet.name[\"a\"]"]);
    assert_eq!(sandbox.state(), ["random_pet.name[\"a\"]"]);
    let before = sandbox.expect(0, &["state", "show", "random_pet.name[\"a\"]"]).stdout;
    sandbox.expect(0, &["apply", "-auto-approve", "-replace=random_pet.name[\"a\"]"]);
    assert_eq!(sandbox.state().len(), 4);
    assert_ne!(sandbox.expect(0, &["state", "show", "random_pet.name[\"a\"]"]).stdout, before);
}

#[test]
fn what_stands_behind_a_key_becomes_known_while_applying() {
    let sandbox = Sandbox::new(
        r#"
resource "random_uuid" "machine" { for_each = toset(["a", "b"]) }

module "one" {
  source   = "./node"
  machines = { for name, machine in random_uuid.machine : name => { id = machine.result } }
}

module "each" {
  source   = "./node"
  for_each = { for name, machine in random_uuid.machine : name => { id = machine.result } }
  machines = { (each.key) = each.value }
}

output "same" {
  value = alltrue([for name, machine in random_uuid.machine :
    module.one.seen[name] == machine.result && module.each[name].seen[name] == machine.result])
}
"#,
    );
    sandbox.write(
        "node/main.tf",
        r#"
variable "machines" { type = map(any) }

resource "terraform_data" "node" {
  for_each = var.machines
  input    = each.value.id
}

output "seen" { value = { for name, node in terraform_data.node : name => node.output } }
"#,
    );
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(sandbox.expect(0, &["output", "-raw", "same"]).stdout, "true");
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
}
