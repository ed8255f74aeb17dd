//! What is good for one run only: where it may go, when it is opened, and that no plan holds it.

use grappe_plan::OpAction;
use insta::assert_snapshot;

use crate::lab::{Lab, text};

const USES: &str = r#"
    variable "given" {
      type      = string
      ephemeral = true
    }
    variable "version_of_it" { default = 1 }
    variable "name" { default = "a" }
    ephemeral "lab_token" "t" { role = "admin" }
    ephemeral "lab_token" "unused" { role = "nobody" }
    locals { secret = "${var.given}/${ephemeral.lab_token.t.token}" }
    provider "lab" {
      alias  = "b"
      region = ephemeral.lab_token.t.token
    }
    resource "lab_vault" "v" {
      provider          = lab.b
      name              = var.name
      secret_wo         = local.secret
      secret_wo_version = var.version_of_it
      provisioner "local-exec" { command = "echo ${local.secret} ${terraform.applying}" }
    }
    output "shown" { value = [ephemeralasnull(local.secret), lab_vault.v.secret_wo, lab_vault.v.id] }
"#;

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.variables.insert("given".into(), "from-outside".into());
    lab.main(USES);
    lab
}

#[test]
fn it_is_opened_while_planning_and_again_while_applying_and_stored_nowhere() {
    let mut lab = lab();
    let plan = lab.plan();
    assert_eq!(lab.steps, ["open ephemeral.lab_token.t", "open ephemeral.lab_token.unused"]);
    assert_snapshot!(text(&plan), @r"
    + lab_vault.v
    output shown Create: None -> Some([null, null, (known after apply)])
    0 open ephemeral.lab_token.t
    1 create lab_vault.v <- 0
    2 provision lab_vault.v <- 1
    ");
    let saved = serde_json::to_string(&plan).unwrap();
    assert!(!saved.contains("from-outside") && !saved.contains("admin-"), "{saved}");
    assert_eq!(plan.given_again, ["given".into()]);
    lab.steps.clear();
    lab.run_in_order(&plan);
    // One value for all that use it; the one that nobody needs is not opened.
    assert_snapshot!(lab.steps.join("\n"), @r#"
    open ephemeral.lab_token.t
    lab_vault.v local-exec: {"config": {"command": (ephemeral value)}, "connection": null, "secrets": [(ephemeral value), (ephemeral value), (ephemeral value)]}
    "#);
    let state = format!("{:?}", lab.state);
    assert!(!state.contains("from-outside") && !state.contains("admin-"), "{state}");
}

#[test]
fn a_new_value_is_told_where_its_version_is_another() {
    let mut lab = lab();
    let plan = lab.plan();
    lab.run_in_order(&plan);
    assert!(lab.plan().is_empty(), "another token each time is no change");
    lab.variables.insert("version_of_it".into(), 2i64.into());
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    ~ lab_vault.v secret_wo_version
    0 open ephemeral.lab_token.t
    1 update lab_vault.v <- 0
    ");
    // What is sent is there again, whatever changes.
    lab.variables.insert("name".into(), "b".into());
    let plan = lab.plan();
    assert!(plan.operations.iter().any(|op| op.action == OpAction::Open));
    lab.run_in_order(&plan);
}

#[test]
fn a_plan_that_was_saved_is_given_its_variables_again() {
    let mut lab = lab();
    let plan = lab.plan();
    let text = serde_json::to_string(&plan).unwrap();
    let mut read: grappe_plan::Plan = serde_json::from_str(&text).unwrap();
    assert!(!read.variables.contains_key("given"));
    read.variables.insert(
        "given".into(),
        grappe_value::Value::from("again").with_marks(grappe_value::Marks::EPHEMERAL),
    );
    lab.steps.clear();
    lab.run_in_order(&read);
    assert!(lab.steps.iter().any(|step| step.contains("lab_vault.v local-exec")), "{:?}", lab.steps);
}

#[test]
fn what_it_is_made_of_may_be_known_only_while_applying() {
    let mut lab = Lab::new();
    lab.main(
        r#"
        resource "lab_thing" "a" {}
        ephemeral "lab_token" "t" { role = lab_thing.a.id }
        resource "lab_vault" "v" { secret_wo = ephemeral.lab_token.t.token }
        "#,
    );
    let plan = lab.plan();
    assert!(lab.steps.is_empty(), "it can't be opened yet");
    assert_snapshot!(text(&plan), @r"
    + lab_thing.a
    + lab_vault.v
    0 create lab_thing.a
    1 open ephemeral.lab_token.t <- 0
    2 create lab_vault.v <- 1
    ");
    lab.run(&plan, |_| 0);
    assert_eq!(lab.steps, ["open ephemeral.lab_token.t"]);
}

#[test]
fn it_goes_nowhere_where_it_would_be_stored() {
    let mut lab = Lab::new();
    lab.file("m/main.tf", "variable \"plain\" {}\noutput \"bad\" { value = ephemeral.lab_token.t.token }\nephemeral \"lab_token\" \"t\" { role = \"m\" }\noutput \"fine\" {\n  value     = ephemeral.lab_token.t.token\n  ephemeral = true\n}");
    lab.main(
        r#"
        variable "e" {
          type      = string
          ephemeral = true
          default   = "x"
        }
        resource "lab_thing" "input" { input = { deep = ["${var.e}!"] } }
        resource "lab_thing" "block" {
          disk { gb = length(var.e) }
        }
        resource "lab_thing" "count" { count = length(var.e) }
        resource "lab_thing" "each" { for_each = toset([var.e]) }
        data "lab_lookup" "d" { key = var.e }
        output "o" { value = var.e }
        output "applying" { value = terraform.applying }
        module "m" {
          source = "./m"
          plain  = var.e
        }
        output "of_module" { value = module.m.fine }
        resource "lab_thing" "checked" {
          lifecycle {
            precondition {
              condition     = var.e == "y"
              error_message = "not ${var.e}"
            }
          }
        }
        "#,
    );
    assert_snapshot!(lab.refused(), @r#"
    Ephemeral value not allowed: This output value is not declared as returning an ephemeral value, so it cannot be set to a result derived from an ephemeral value.
    Ephemeral value not allowed: This output value is not declared as returning an ephemeral value, so it cannot be set to a result derived from an ephemeral value.
    Invalid use of ephemeral value: Ephemeral values are not valid for "input", because it is not a write-only attribute and must be persisted to state.
    Invalid use of ephemeral value: Ephemeral values are not valid for "disk", because it is not a write-only attribute and must be persisted to state.
    Invalid count argument: The given "count" is derived from an ephemeral value, which is not kept between plan and apply. Use only non-ephemeral values to specify the number of resource instances.
    Invalid for_each argument: The given "for_each" value is derived from an ephemeral value, which is not kept between plan and apply. Use only non-ephemeral values to specify a resource's instance keys.
    Invalid use of ephemeral value: Ephemeral values are not valid for "key", because it is not a write-only attribute and must be persisted to state.
    Resource precondition failed: The error message refers to ephemeral values, so it will not be displayed: ephemeralasnull() takes them out.
    Ephemeral value not allowed: This input variable is not declared as accepting ephemeral values, so it cannot be set to a result derived from an ephemeral value.
    "#);
}
