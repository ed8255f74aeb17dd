//! What goes wrong is said with its place and what to do, several things at once, and with the right exit code.

use crate::sandbox::Sandbox;

/// Runs a plan of one file and gives what is said.
fn refused(main: &str) -> String {
    let sandbox = Sandbox::new(main);
    let ran = sandbox.expect(1, &["plan", "-input=false"]);
    assert!(!sandbox.path("grappe.state").exists(), "nothing is made for a plan that is refused");
    sandbox.clean(&ran.all())
}

#[test]
fn a_broken_file() {
    insta::assert_snapshot!(refused(
        "resource \"terraform_data\" \"a\" {\n  input = [1, 2\n}\n\nresource \"terraform_data\" {\n}\n"
    ));
}

#[test]
fn unknown_types_and_arguments() {
    insta::assert_snapshot!(refused(
        r#"
resource "terraform_date" "a" {}

resource "terraform_data" "b" {
  inputs = 1
}

resource "local_file" "c" {
  content = "x"
}

resource "random_string" "d" {
  length = "many"
}

# What is wrong with one block hides nothing of another, and is not said again of those that look at it.
resource "terraform_data" "e" {
  input = [terraform_data.b.ids, random_string.d.result, upper(["x"])]
}

resource "local_file" "g" {
  count    = -1
  filename = random_string.d.results
  content  = terraform_data.e.id
}
"#
    ));
}

#[test]
fn a_missing_and_a_wrong_variable() {
    insta::assert_snapshot!(refused(
        r#"
variable "image" {
  description = "What machines boot from."
}

variable "count_of_things" {
  type    = number
  default = "some"
}

output "o" { value = var.imag }
"#
    ));
    let sandbox = Sandbox::new("variable \"n\" { type = number }\noutput \"n\" { value = var.n }\n");
    insta::assert_snapshot!(
        "a_variable_that_is_no_number",
        sandbox.clean(&sandbox.expect(1, &["plan", "-var=n=many", "-var=m=1"]).all())
    );
}

#[test]
fn a_variable_that_its_validation_refuses() {
    insta::assert_snapshot!(refused(
        r#"
variable "control_planes" {
  type    = number
  default = 2
  validation {
    condition     = var.control_planes % 2 == 1
    error_message = "etcd wants an odd number of members, not ${var.control_planes}."
  }
}
"#
    ));
}

#[test]
fn a_secret_that_can_not_be_read() {
    let sandbox = Sandbox::new("variable \"logins\" {\n  type      = map(string)\n  sensitive = true\n}\n");
    let said =
        |value: &str| sandbox.clean(&sandbox.expect(1, &["plan", &format!("-var=logins={value}")]).all());
    insta::assert_snapshot!(said("{ root = \"hunter2\""));
    for value in ["hunter2", "hunter2()", "${hunter2}", "\"hunter2\"", "{ hunter2 = [] }", "[\"hunter2\"]"] {
        assert!(!said(value).contains("hunter2"), "{}", said(value));
    }
}

#[test]
fn a_cycle() {
    insta::assert_snapshot!(refused(
        r#"
resource "terraform_data" "a" {
  input = terraform_data.b.output
}

locals {
  c = terraform_data.a.id
}

resource "terraform_data" "b" {
  input = local.c
}

resource "terraform_data" "self" {
  input = terraform_data.self.id
}

resource "terraform_data" "x" {
  depends_on = [terraform_data.y]
}

resource "terraform_data" "y" {
  input = terraform_data.x.id
}
"#
    ));
}

#[test]
fn duplicates_and_bad_references() {
    insta::assert_snapshot!(refused(
        r#"
resource "terraform_data" "a" {}
resource "terraform_data" "a" {}

resource "terraform_data" "b" {
  input = [terraform_data.c.id, local.nothing, var.nothing, terraform_data.a.ids]
}

output "words" {
  value = [locals.x, vars.x, modul.x, azure_thing.x]
}
"#
    ));
}

#[test]
fn a_wrong_index_and_a_wrong_expression() {
    insta::assert_snapshot!(refused(
        r#"
resource "terraform_data" "a" {
  count = 2
}

resource "terraform_data" "b" {
  input = terraform_data.a[5].id
}

resource "terraform_data" "c" {
  input = upper(["x"])
}

resource "terraform_data" "d" {
  for_each = [1, 2]
}
"#
    ));
}

#[test]
fn a_provider_that_fails_half_way() {
    let sandbox = Sandbox::new(
        r#"
resource "terraform_data" "before" {}

resource "local_file" "f" {
  filename   = "taken"
  content    = terraform_data.before.id
}

resource "terraform_data" "after" {
  input = local_file.f.id
}

resource "terraform_data" "apart" {}

output "name" { value = local_file.f.filename }
output "apart" { value = { made = terraform_data.apart.id != "" } }
"#,
    );
    std::fs::create_dir(sandbox.path("taken")).unwrap();
    let ran = sandbox.expect(1, &["apply", "-auto-approve", "-parallelism=1"]);
    insta::assert_snapshot!(sandbox.clean(&ran.stderr));
    assert!(
        ran.stdout.contains("Apply incomplete: 2 added, 0 changed, 0 destroyed; 1 failed, 1 skipped"),
        "{}",
        ran.stdout
    );
    assert_eq!(sandbox.state(), ["terraform_data.apart", "terraform_data.before"]);
    // The name was known before, and there is no such file.
    assert_eq!(sandbox.expect(0, &["output"]).stdout, "apart = { made = true }\n");
    // What hindered it is gone: the next run does the rest.
    std::fs::remove_dir(sandbox.path("taken")).unwrap();
    let ran = sandbox.expect(0, &["apply", "-auto-approve"]);
    assert!(ran.stdout.contains("2 added"), "{}", ran.stdout);
}

#[test]
fn a_truncated_state() {
    let sandbox = Sandbox::new("resource \"terraform_data\" \"a\" {}\n");
    sandbox.expect(0, &["apply", "-auto-approve"]);
    sandbox.expect(0, &["apply", "-auto-approve", "-replace=terraform_data.a"]);
    let text = sandbox.read("grappe.state/grappe.state.json");
    for cut in [0, text.len() / 2] {
        sandbox.write("grappe.state/grappe.state.json", &text[..cut]);
        let ran = sandbox.expect(1, &["plan"]);
        assert!(ran.stderr.contains("can't be read"), "{}", ran.stderr);
        assert!(ran.stderr.contains("backups/grappe.state."), "a good backup is named: {}", ran.stderr);
        sandbox.expect(1, &["apply", "-auto-approve"]);
        assert_eq!(sandbox.read("grappe.state/grappe.state.json"), text[..cut], "nothing is overwritten");
    }
}

#[test]
fn a_state_of_a_newer_grappe() {
    let sandbox = Sandbox::new("resource \"terraform_data\" \"a\" {}\n");
    let newer = "{\"format\": 99, \"written_by\": \"grappe 9.9.9\", \"serial\": 1, \"lineage\": \"x\"}";
    sandbox.write("grappe.state/grappe.state.json", newer);
    insta::assert_snapshot!(sandbox.clean(&sandbox.expect(1, &["apply", "-auto-approve"]).all()));
    assert_eq!(sandbox.read("grappe.state/grappe.state.json"), newer);
}

#[test]
fn no_plan_folder_no_state_no_output() {
    let sandbox = Sandbox::new("output \"endpoint\" { value = 1 }\n");
    let said = |args: &[&str]| sandbox.clean(&sandbox.expect(1, args).all());
    insta::assert_snapshot!(
        [
            said(&["plan", "nowhere"]),
            said(&["output", "endpoint"]),
            said(&["state", "show", "terraform_data.a"]),
            said(&["apply", "main.tf"]),
            said(&["sim", "list"]),
        ]
        .join("\n\n")
    );
}
