//! What is secret is nowhere in clear: not in states, backups, journals, plan files, nor in what is printed.

use crate::sandbox::Sandbox;

const PLAN: &str = r#"
variable "password" {
  type      = string
  sensitive = true
}

resource "random_password" "p" {
  length  = 40
  special = false
}

resource "tls_private_key" "k" {
  algorithm = "ED25519"
}

resource "terraform_data" "uses" {
  input = {
    given = var.password
    made  = random_password.p.result
    key   = tls_private_key.k.private_key_openssh
    plain = "not-a-secret"
  }
}

output "password" {
  value     = random_password.p.result
  sensitive = true
}

output "key" {
  value     = tls_private_key.k.private_key_openssh
  sensitive = true
}
"#;

const GIVEN: &str = "correct-horse-battery-staple";

#[test]
fn a_secret_is_on_no_disk_and_on_no_screen() {
    let sandbox = Sandbox::new(PLAN);
    let var = format!("-var=password={GIVEN}");
    let mut printed = String::new();
    for args in [
        &["plan", &var, "-out=saved.plan"][..],
        &["plan", &var, "-json"],
        &["show", "saved.plan"],
        &["show", "-json", "saved.plan"],
        &["apply", "saved.plan"],
        &["apply", "-auto-approve", "-json", &var, "-replace=terraform_data.uses"],
        &["plan", &var, "-out=later.plan", "-replace=terraform_data.uses"],
        &["show"],
        &["show", "-json"],
        &["state", "show", "terraform_data.uses"],
        &["output"],
    ] {
        printed.push_str(&sandbox.expect(0, args).all());
    }
    // Asked for by name, they are given.
    let made = sandbox.expect(0, &["output", "-raw", "password"]).stdout;
    assert_eq!(made.len(), 40);
    let key = sandbox.expect(0, &["output", "-raw", "key"]).stdout;
    let line = key.lines().nth(2).unwrap();

    // A run that is killed leaves its journal.
    let mut child =
        sandbox.command(&["apply", "-auto-approve", &var, "-replace=random_password.p"]).spawn().unwrap();
    std::thread::park_timeout(std::time::Duration::from_millis(150));
    child.kill().unwrap();
    child.wait().unwrap();

    assert!(printed.contains("(sensitive value)") && printed.contains("not-a-secret"));
    for secret in [GIVEN, made.as_str(), line] {
        assert!(!printed.contains(secret), "{secret} was printed");
        for (path, bytes) in sandbox.files() {
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "a secret is in {}", path.display());
        }
    }
}

#[test]
fn all_that_is_kept_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new("resource \"terraform_data\" \"a\" {}\n");
    sandbox.expect(0, &["plan", "-out=saved.plan"]);
    sandbox.expect(0, &["apply", "saved.plan"]);
    sandbox.expect(0, &["apply", "-auto-approve", "-replace=terraform_data.a"]);
    for (path, _) in sandbox.files() {
        if path.ends_with("main.tf") {
            continue;
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}
