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
