//! Over from the real Terraform: what it has applied, grappe goes on with, and has nothing to do.

use std::process::Command;

use serde_json::{Value as Json, json};

use crate::sandbox::Sandbox;

const PLAN: &str = r#"
variable "secret" {
  type      = string
  sensitive = true
  default   = "correct-horse"
}

resource "terraform_data" "count" {
  count = 3
  input = { index = count.index, list = ["a", 1, true, null] }
}

resource "terraform_data" "each" {
  for_each         = toset(["x.y", "z"])
  input            = [terraform_data.count[0].id, each.key]
  triggers_replace = [terraform_data.count[*].output, 1.5]
}

resource "terraform_data" "secret" {
  input = { password = var.secret, user = "root" }
}

resource "terraform_data" "first" {
  depends_on = [module.m, terraform_data.each]
  lifecycle {
    create_before_destroy = true
  }
}

module "m" {
  source   = "./m"
  for_each = { one = 1, two = 2 }
  text     = "${each.key} ${terraform_data.secret.id}"
}

output "all" { value = { for key, data in terraform_data.each : key => data.output } }
output "texts" { value = [for m in module.m : m.text] }
output "secret" {
  value     = terraform_data.secret.output
  sensitive = true
}
"#;

const MODULE: &str = r#"
variable "text" { type = string }
resource "terraform_data" "in" { input = var.text }
resource "terraform_data" "empty" {}
output "text" { value = terraform_data.in.output }
"#;

fn terraform(sandbox: &Sandbox, args: &[&str]) -> String {
    let rc = sandbox.home().join("terraform.rc");
    if !rc.exists() {
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(&rc).unwrap();
    }
    let output = Command::new("terraform")
        .args(args)
        .current_dir(sandbox.dir())
        .env("TF_CLI_CONFIG_FILE", &rc)
        .env("CHECKPOINT_DISABLE", "1")
        .output()
        .expect("this test needs terraform on the PATH: cargo xtask setup tells where it comes from");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "terraform {}: {said}", args.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

fn applied() -> Sandbox {
    let sandbox = Sandbox::new(PLAN);
    sandbox.write("m/main.tf", MODULE);
    terraform(&sandbox, &["init", "-no-color"]);
    terraform(&sandbox, &["apply", "-auto-approve", "-no-color"]);
    sandbox
}

#[test]
fn what_terraform_applied_is_gone_on_with_and_nothing_is_to_be_done() {
    let sandbox = applied();
    sandbox.expect(2, &["plan", "-detailed-exitcode"]);
    let dry = sandbox.expect(0, &["state", "import-terraform", "-dry-run", "terraform.tfstate"]);
    assert!(dry.stdout.contains("Would take over terraform_data.each[\"x.y\"]"), "{}", dry.stdout);
    assert!(sandbox.state().is_empty(), "{:?}", sandbox.state());
    let ran = sandbox.expect(0, &["state", "import-terraform", "terraform.tfstate"]);
    assert!(ran.stdout.contains("Successfully took over 11 objects and 3 outputs."), "{}", ran.stdout);

    let plan = sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    assert!(plan.stdout.contains("No changes"), "{}", plan.stdout);
    let theirs: Vec<String> = terraform(&sandbox, &["state", "list"]).lines().map(str::to_owned).collect();
    let mut ours = sandbox.state();
    ours.sort();
    let mut sorted = theirs;
    sorted.sort();
    assert_eq!(ours, sorted);
    let outputs = |text: String| -> Json {
        let mut all: Json = serde_json::from_str(&text).unwrap();
        for output in all.as_object_mut().unwrap().values_mut() {
            output.as_object_mut().unwrap().remove("type");
        }
        all
    };
    assert_eq!(
        outputs(sandbox.expect(0, &["output", "-json"]).stdout),
        outputs(terraform(&sandbox, &["output", "-json"]))
    );
    // What Terraform keeps in clear is sealed here.
    for (path, bytes) in sandbox.files() {
        let clear = bytes.windows(13).any(|w| w == b"correct-horse");
        let named = path.to_string_lossy().into_owned();
        assert!(!clear || named.ends_with(".tf") || named.contains("tfstate"), "{named}");
    }
    assert!(!sandbox.expect(0, &["show"]).all().contains("correct-horse"));

    // It is grappe's: records are brought up to date, changed, destroyed in an order that keeps what it learnt of dependencies.
    sandbox.expect(0, &["apply", "-auto-approve"]);
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    let events = sandbox.expect(0, &["destroy", "-auto-approve", "-json"]);
    let done: Vec<String> =
        events.events_of("operation_done").iter().map(|e| e["addr"].as_str().unwrap().to_owned()).collect();
    let at = |name: &str| done.iter().position(|a| a == name).unwrap_or_else(|| panic!("{name}: {done:?}"));
    assert!(at("terraform_data.each[\"z\"]") < at("terraform_data.count[1]"), "{done:?}");
    assert!(at("terraform_data.first") < at("module.m[\"one\"].terraform_data.in"), "{done:?}");
    assert!(at("module.m[\"two\"].terraform_data.in") < at("terraform_data.secret"), "{done:?}");
}

#[test]
fn a_destruction_right_after_it_keeps_the_order_too() {
    let sandbox = applied();
    sandbox.expect(0, &["state", "import-terraform", "terraform.tfstate"]);
    let events = sandbox.expect(0, &["destroy", "-auto-approve", "-json"]);
    let done: Vec<String> =
        events.events_of("operation_done").iter().map(|e| e["addr"].as_str().unwrap().to_owned()).collect();
    assert_eq!(done.len(), 11, "{done:?}");
    let at = |name: &str| done.iter().position(|a| a == name).unwrap();
    assert!(at("terraform_data.first") < at("terraform_data.each[\"z\"]"), "{done:?}");
    assert!(at("terraform_data.each[\"z\"]") < at("terraform_data.count[2]"), "{done:?}");
    assert!(sandbox.state().is_empty());
}

#[test]
fn all_of_it_or_nothing_and_marks_come_along() {
    let sandbox = applied();
    terraform(&sandbox, &["taint", "terraform_data.secret"]);
    let mut state: Json = serde_json::from_str(&sandbox.read("terraform.tfstate")).unwrap();
    state["resources"].as_array_mut().unwrap().push(json!({
        "mode": "managed", "type": "aws_instance", "name": "web", "provider": "provider[\"registry.terraform.io/hashicorp/aws\"]",
        "instances": [{ "index_key": 0, "schema_version": 1, "attributes": { "id": "i-0123" }, "dependencies": ["terraform_data.count"] }],
    }));
    sandbox.write("with-aws.tfstate", &state.to_string());
    let mut all = Vec::new();
    for (code, args) in [
        (1, &["state", "import-terraform", "with-aws.tfstate"][..]),
        (1, &["state", "import-terraform", "main.tf"]),
        (1, &["state", "import-terraform", "none.tfstate"]),
        (0, &["state", "import-terraform", "-partial", "with-aws.tfstate"]),
        (1, &["state", "import-terraform", "-partial", "with-aws.tfstate"]),
    ] {
        if code == 1 && all.len() < 3 {
            assert!(!sandbox.path("grappe.state/grappe.state.json").exists(), "nothing is half taken over");
        }
        let ran = sandbox.expect(code, args);
        all.push(format!("$ grappe {}\n{}", args.join(" "), sandbox.clean(&ran.all())));
    }
    insta::assert_snapshot!(all.join("\n\n"));
    let plan = sandbox.expect(2, &["plan", "-detailed-exitcode"]).stdout;
    assert!(plan.contains("terraform_data.secret must be replaced"), "{plan}");
}
