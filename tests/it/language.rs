//! The commands on the language itself: fmt, console, validate.

use std::io::Write;
use std::process::Stdio;

use crate::sandbox::{Ran, Sandbox};

/// Runs with a text on the standard input.
fn typed(sandbox: &Sandbox, args: &[&str], input: &str) -> Ran {
    let mut command = sandbox.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that has ended already reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Ran::of(child.wait_with_output().unwrap())
}

#[test]
fn fmt_lists_checks_and_writes_as_terraform_does() {
    let sandbox = Sandbox::new("a   =   1\nb = 2\n");
    sandbox.write("fine.tf", "a = 1\n");
    sandbox.write("sub/vars.tfvars", "x=1\n");
    sandbox.write(".hidden/x.tf", "x=1\n");
    let checked = sandbox.expect(3, &["fmt", "-check", "-recursive"]);
    assert_eq!(checked.stdout, "main.tf\nsub/vars.tfvars\n");
    let diff = sandbox.expect(0, &["fmt", "-diff", "-write=false"]);
    assert_eq!(
        diff.stdout,
        "main.tf\n--- old/main.tf\n+++ new/main.tf\n@@ -1,2 +1,2 @@\n-a   =   1\n+a = 1\n b = 2\n"
    );
    assert!(sandbox.read("main.tf").starts_with("a   ="), "nothing was to be written");
    assert_eq!(sandbox.expect(0, &["fmt", "-recursive"]).stdout, "main.tf\nsub/vars.tfvars\n");
    assert_eq!(sandbox.read("main.tf"), "a = 1\nb = 2\n");
    assert_eq!(sandbox.read("sub/vars.tfvars"), "x = 1\n");
    assert_eq!(sandbox.read(".hidden/x.tf"), "x=1\n");
    assert_eq!(sandbox.expect(0, &["fmt", "-check", "-recursive"]).stdout, "");

    assert_eq!(typed(&sandbox, &["fmt", "-"], "a={b=\"${c}\"}").stdout, "a = { b = \"${c}\" }\n");
    let broken = typed(&sandbox, &["fmt", "-"], "a = [\n");
    assert_eq!((broken.code, broken.stdout.as_str()), (2, ""));
    assert!(broken.stderr.contains("<stdin>:1"), "{}", broken.stderr);
    assert_eq!(sandbox.run(&["fmt", "nowhere"]).code, 2);
}

const PLAN: &str = r#"
variable "who" {
  default = "you"
}
variable "open" {}
variable "key" {
  default   = "hush"
  sensitive = true
}
resource "terraform_data" "note" {
  count = 2
  input = "${var.who} ${count.index}"
}
output "notes" {
  value = terraform_data.note[*].output
}
"#;

#[test]
fn console_evaluates_over_the_state_and_over_a_plan() {
    let sandbox = Sandbox::new(PLAN);
    let ask = |args: &[&str], input: &str| {
        let ran = typed(&sandbox, &[&["console"], args].concat(), input);
        (ran.code, ran.stdout, ran.stderr)
    };
    let answer = |input: &str| {
        let (code, stdout, stderr) = ask(&[], input);
        assert_eq!(code, 0, "{input}: {stderr}");
        stdout
    };
    assert_eq!(answer("upper(var.who)\n"), "\"YOU\"\n");
    assert_eq!(answer("var.open\n"), "(known after apply)\n");
    assert_eq!(answer("[var.key]\n"), "[\n  (sensitive value),\n]\n");
    assert_eq!(answer("type(tolist([1]))\n"), "list(number)\n");
    assert_eq!(answer("1\n\n  2 + 1 \n"), "3\n", "the last one, as in Terraform");
    assert_eq!(answer("exit\n1\n"), "");
    assert_eq!(answer("terraform_data.note[0].input\n"), "(known after apply)\n");
    assert_eq!(ask(&["-plan", "-var", "open=x"], "terraform_data.note[1].input\n").1, "\"you 1\"\n");
    sandbox.expect(0, &["apply", "-auto-approve", "-var", "open=x", "-var", "who=me"]);
    assert_eq!(answer("terraform_data.note[*].output\n"), "[\n  \"me 0\",\n  \"me 1\",\n]\n");

    let (code, stdout, stderr) = ask(&[], "1\nvar.whom\n2\n");
    assert_eq!((code, stdout.as_str()), (1, ""), "the first that is wrong ends it");
    assert!(stderr.contains("<console-input>:1") && stderr.contains("did you mean"), "{stderr}");
}

/// As terraform 1.11.4 answers, but for the hint in the detail.
#[test]
fn validate_answers_in_terraforms_shape() {
    let sandbox = Sandbox::new("resource \"terraform_data\" \"t\" {\n  lifecycle {\n    frob = 1\n  }\n}\n");
    let answer = sandbox.expect(1, &["validate", "-json"]).stdout;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let want = serde_json::json!({
        "format_version": "1.0",
        "valid": false,
        "error_count": 1,
        "warning_count": 0,
        "diagnostics": [{
            "severity": "error",
            "summary": "Unsupported argument",
            "detail": "An argument named \"frob\" is not expected here.",
            "range": {
                "filename": "main.tf",
                "start": { "line": 3, "column": 5, "byte": 50 },
                "end": { "line": 3, "column": 9, "byte": 54 },
            },
            "snippet": {
                "context": "resource \"terraform_data\" \"t\"",
                "code": "    frob = 1",
                "start_line": 3,
                "highlight_start_offset": 4,
                "highlight_end_offset": 8,
                "values": [],
            },
        }],
    });
    assert_eq!(answer, want);
    let valid = Sandbox::new("locals {\n  a = 1\n}\n").expect(0, &["validate", "-json"]).stdout;
    assert_eq!(
        valid,
        "{\n  \"format_version\": \"1.0\",\n  \"valid\": true,\n  \"error_count\": 0,\n  \"warning_count\": 0,\n  \"diagnostics\": []\n}\n"
    );
}
