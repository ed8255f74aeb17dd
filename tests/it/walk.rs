//! What a plan is limited to, how long it may take, and what it says of what an interrupted run left.

use serde_json::{Value as Json, json};

use crate::sandbox::Sandbox;

const PLAN: &str = r#"
resource "terraform_data" "a" {
  count = 2
  input = var.text
}

resource "terraform_data" "on_first" {
  input = [terraform_data.a[0].id, var.text]
}

resource "local_file" "f" {
  filename = "out/f"
  content  = "${terraform_data.a[1].output} ${var.text}"
}

output "text" { value = terraform_data.a[1].output }
output "first" { value = terraform_data.a[0].output }

variable "text" { default = "one" }
"#;

fn done(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let ran = sandbox.expect(0, &[args, &["-auto-approve", "-json"]].concat());
    let mut done: Vec<String> =
        ran.events_of("operation_done").iter().map(|e| e["addr"].as_str().unwrap().to_owned()).collect();
    done.sort();
    done
}

#[test]
fn what_is_excluded_is_left_alone_with_what_depends_on_it() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.expect(0, &["apply", "-auto-approve"]);
    let two = ["apply", "-var=text=two"];
    assert_eq!(
        done(&sandbox, &[&two[..], &["-exclude=terraform_data.a[1]"]].concat()),
        ["terraform_data.a[0]", "terraform_data.on_first"]
    );
    assert_eq!(sandbox.read("out/f"), "one one");
    let outputs: Json = serde_json::from_str(&sandbox.expect(0, &["output", "-json"]).stdout).unwrap();
    assert_eq!((&outputs["text"]["value"], &outputs["first"]["value"]), (&json!("one"), &json!("two")));
    let shown = sandbox.expect(0, &["plan", "-var=text=three", "-exclude=terraform_data.a", "-out=saved"]);
    assert!(shown.all().contains("-exclude"), "a warning: {}", shown.all());
    assert!(
        shown.stdout.contains("No changes") || !shown.stdout.contains("will be updated"),
        "{}",
        shown.stdout
    );
    assert!(
        sandbox.expect(1, &["apply", "-exclude=local_file.f", "saved"]).stderr.contains("can't be changed")
    );
    assert!(
        sandbox.expect(1, &["plan", "-target=a.b", "-exclude=a.c"]).stderr.contains("cannot be used with")
    );
    assert_eq!(done(&sandbox, &two), ["local_file.f", "terraform_data.a[1]"], "the rest");
    // What is excluded stays when all else goes, and so does what it stands on.
    assert_eq!(
        done(&sandbox, &["destroy", "-exclude=local_file.f"]),
        ["terraform_data.a[0]", "terraform_data.on_first"]
    );
    assert_eq!(sandbox.state(), ["local_file.f", "terraform_data.a[1]"]);
}

#[test]
fn a_block_says_how_long_operations_may_take() {
    let block =
        |text: &str| format!("resource \"random_pet\" \"p\" {{\n  timeouts {{\n    {text}\n  }}\n}}\n");
    let sandbox = Sandbox::new(&block("create = \"10m\"\n    delete = \"1h\""));
    sandbox.expect(0, &["validate"]);
    sandbox.expect(0, &["apply", "-auto-approve"]);
    let pulled = || -> Json { serde_json::from_str(&sandbox.expect(0, &["state", "pull"]).stdout).unwrap() };
    assert_eq!(
        pulled()["objects"]["random_pet.p"]["timeouts"],
        json!({ "create": 600_000, "delete": 3_600_000 })
    );
    // Another time is no change of the object.
    sandbox.write("main.tf", &block("delete = \"2h\""));
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(pulled()["objects"]["random_pet.p"]["timeouts"], json!({ "delete": 7_200_000 }));
    let mut all = Vec::new();
    for wrong in ["create = \"soon\"", "creat = \"1m\"", "create = random_pet.q.id"] {
        sandbox.write("main.tf", &format!("{}resource \"random_pet\" \"q\" {{}}\n", block(wrong)));
        all.push(sandbox.clean(&sandbox.expect(1, &["plan"]).all()));
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn what_an_interrupted_run_left_is_found_by_the_plan() {
    let block = "resource \"local_file\" \"f\" {\n  filename = \"out/f\"\n  content  = \"CONTENT\"\n}\n";
    let sandbox = Sandbox::new(&block.replace("CONTENT", "x"));
    let key = "5b0c2a52-1111-4222-8333-944445555666";
    let interrupted = |sandbox: &Sandbox| {
        let state = json!({
            "format": 1, "lineage": "l", "serial": 1, "objects": {}, "outputs": {},
            "pending": [{
                "addr": "local_file.f", "action": "create", "key": key, "provider": "local",
                "planned": { "filename": "out/f", "content": "x", "file_permission": "0777", "directory_permission": "0777" },
            }],
        });
        sandbox.write("state.json", &state.to_string());
        sandbox.expect(0, &["state", "push", "-force", "state.json"]);
    };
    interrupted(&sandbox);
    let half = format!("out/.f.{key}.tmp");
    sandbox.write(&half, "ha");
    let plan = sandbox.expect(2, &["plan", "-detailed-exitcode"]).stdout;
    assert!(plan.contains("an interrupted run began to create it; this one goes on"), "{plan}");
    assert_eq!(sandbox.read(&half), "ha", "a plan changes nothing");
    sandbox.write("out/f", "x");
    let plan = sandbox.expect(2, &["plan", "-detailed-exitcode"]).stdout;
    assert!(plan.contains("(found: left by an interrupted run, will be adopted)"), "{plan}");
    // Not wanted any more.
    sandbox.write("main.tf", "");
    let plan = sandbox.expect(2, &["plan", "-detailed-exitcode"]).stdout;
    assert!(plan.contains("(found: left by an interrupted run, will be deleted)"), "{plan}");
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(std::fs::read_dir(sandbox.path("out")).unwrap().count(), 0, "all of it is gone");
    // Wanted, and adopted.
    sandbox.write("main.tf", &block.replace("CONTENT", "x"));
    interrupted(&sandbox);
    sandbox.write("out/f", "x");
    sandbox.expect(0, &["apply", "-auto-approve"]);
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    assert_eq!(sandbox.state(), ["local_file.f"]);
}

const FILES: &str = r#"
resource "local_file" "f" {
  count    = 3
  filename = "out/${count.index}"
  content  = "file ${count.index}"
}

resource "local_file" "of_first" {
  filename = "out/of"
  content  = local_file.f[0].content_sha256
}
"#;

/// What a plan reads.
fn refreshed(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let ran = sandbox.run(&[&["plan", "-json"], args].concat());
    let mut read: Vec<String> =
        ran.events_of("refreshed").iter().map(|e| e["addr"].as_str().unwrap().to_owned()).collect();
    read.sort();
    read
}

#[test]
fn only_what_the_plan_needs_is_read_and_what_is_not_has_an_age() {
    let sandbox = Sandbox::new(FILES);
    sandbox.expect(0, &["apply", "-auto-approve"]);
    let all = ["local_file.f[0]", "local_file.f[1]", "local_file.f[2]", "local_file.of_first"];
    assert_eq!(refreshed(&sandbox, &[]), all);
    assert_eq!(refreshed(&sandbox, &["-target=local_file.f[1]"]), all[1..2]);
    assert_eq!(
        refreshed(&sandbox, &["-target=local_file.of_first"]),
        all,
        "and the whole blocks that it is made of"
    );
    assert_eq!(refreshed(&sandbox, &["-exclude=local_file.f[0]"]), all[1..3]);
    assert_eq!(refreshed(&sandbox, &["-refresh=false"]), [""; 0]);
    assert_eq!(refreshed(&sandbox, &["-refresh-age=1h"]), [""; 0], "it was written just now");
    std::thread::park_timeout(std::time::Duration::from_millis(2_100));
    assert_eq!(refreshed(&sandbox, &["-refresh-age=1s"]), all);

    // Two of them were last seen long ago.
    let mut state: Json = serde_json::from_str(&sandbox.expect(0, &["state", "pull"]).stdout).unwrap();
    let now = state["objects"][all[0]]["seen"].as_u64().unwrap();
    state["objects"][all[1]]["seen"] = (now - 3 * 3_600).into();
    state["objects"][all[2]].as_object_mut().unwrap().remove("seen");
    sandbox.write("state.json", &state.to_string());
    sandbox.expect(0, &["state", "push", "-force", "state.json"]);
    assert_eq!(refreshed(&sandbox, &["-refresh-age=1h"]), all[1..3]);
    let plan = sandbox.expect(0, &["plan", "-refresh=false", "-detailed-exitcode"]).stdout;
    assert!(plan.contains("Not refreshed, state of 3 hours ago: local_file.f[1]."), "{plan}");
    assert!(plan.contains("Not refreshed, state of unknown age: local_file.f[2]."), "{plan}");
    assert!(plan.contains("seconds ago: local_file.f[0], local_file.of_first."), "{plan}");
    let ran = sandbox.expect(0, &["plan", "-refresh=false", "-json"]);
    let told = &ran.events_of("not_refreshed")[0]["objects"];
    assert!(told[1]["age"].as_u64().unwrap() >= 3 * 3_600 && told[2]["age"].is_null(), "{told}");

    // What was read and found the same is as young as that, once something is written anyway.
    sandbox.write("main.tf", &FILES.replace("count    = 3", "count    = 4"));
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(refreshed(&sandbox, &["-refresh-age=1h"]), [""; 0]);
    let before = sandbox.read("grappe.state/grappe.state.json");
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(sandbox.read("grappe.state/grappe.state.json"), before, "for that alone nothing is written");
}

#[test]
fn a_refresh_records_and_does_nothing_and_without_one_nothing_is_found_out() {
    let sandbox = Sandbox::new(FILES);
    sandbox.expect(0, &["apply", "-auto-approve"]);
    std::fs::remove_file(sandbox.path("out/1")).unwrap();
    sandbox.expect(0, &["plan", "-refresh=false", "-detailed-exitcode"]);
    sandbox.expect(2, &["plan", "-detailed-exitcode"]);
    let shown = sandbox.expect(0, &["plan", "-refresh-only"]).stdout;
    assert!(shown.contains("local_file.f[1]") && shown.contains("is gone"), "{shown}");
    assert_eq!(sandbox.state().len(), 4, "a plan records nothing");
    sandbox.expect(0, &["apply", "-refresh-only", "-auto-approve"]);
    assert_eq!(sandbox.state(), ["local_file.f[0]", "local_file.f[2]", "local_file.of_first"]);
    assert!(!sandbox.path("out/1").exists(), "and makes nothing");
    assert_eq!(done(&sandbox, &["apply"]), ["local_file.f[1]"]);
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    assert_eq!(
        done(&sandbox, &["apply", "-replace=local_file.f[0]"])
            .iter()
            .filter(|a| *a == "local_file.f[0]")
            .count(),
        2,
        "deleted, and created anew"
    );
    assert_eq!(done(&sandbox, &["destroy", "-target=local_file.f[2]"]), ["local_file.f[2]"]);
    assert_eq!(sandbox.state().len(), 3);
}

const STEPS: &str = r#"
resource "terraform_data" "a" {
  count = 4
  provisioner "local-exec" {
    command = "sleep 0.05"
  }
}
"#;

/// The most operations of a kind that went on at once.
fn most(sandbox: &Sandbox, args: &[&str], action: &str) -> usize {
    let ran = sandbox.expect(0, &[&["apply", "-auto-approve", "-json"], args].concat());
    let (mut now, mut most) = (0usize, 0usize);
    for event in ran.events().iter().filter(|e| e["action"] == action) {
        match event["type"].as_str() {
            Some("operation_started") => now += 1,
            Some("operation_done") => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    most
}

#[test]
fn the_user_limits_how_much_goes_on_at_once() {
    let sandbox = Sandbox::new(STEPS);
    let replace: Vec<String> = (0..4).map(|n| format!("-replace=terraform_data.a[{n}]")).collect();
    let replace: Vec<&str> = replace.iter().map(String::as_str).collect();
    let steps = |args: &[&str]| most(&sandbox, &[&replace[..], args].concat(), "provision");
    assert!(steps(&[]) > 1, "four at once otherwise");
    assert_eq!(steps(&["-limit=local-exec=1"]), 1);
    assert_eq!(steps(&["-limit", "terraform_data.a=1"]), 1, "what an address names");
    // The folder's own; the command line is stronger.
    sandbox.write("grappe.hcl", "limits = {\n  \"local-exec\" = 1\n}\n");
    assert_eq!(steps(&[]), 1);
    assert!(steps(&["-limit=local-exec=4"]) > 1);
    let wrong = |args: &[&str]| sandbox.expect(1, &[&["plan"], args].concat()).stderr;
    let text = wrong(&["-limit=terraform_dat=2"]);
    assert!(text.contains("terraform_dat") && text.contains("did you mean \"terraform_data\"?"), "{text}");
    assert!(wrong(&["-limit=random"]).contains("-limit NAME=N"));
    assert!(wrong(&["-limit=random=0"]).contains("whole number from 1"));
    sandbox.write("grappe.hcl", "limits = {\n  random = 1.5\n}\nlimit = 3\n");
    let text = wrong(&[]);
    assert!(
        text.contains("grappe.hcl") && text.contains("whole number") && text.contains("has limit"),
        "{text}"
    );
}
