//! What is secret is nowhere in clear: not in states, backups, journals, plan files, nor in what is printed.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::Value as Json;

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

/// What lets somebody into the simulated clusters and machines, as their world has it at this moment.
#[derive(Default)]
struct Keys {
    tokens: BTreeSet<String>,
    certificate_keys: BTreeSet<String>,
    /// A line out of each private key.
    private: BTreeSet<String>,
}

impl Keys {
    fn look(&mut self, sandbox: &Sandbox) {
        // Not there yet, or between two names.
        let Ok(text) = std::fs::read_to_string(sandbox.path("grappe.state/world.json")) else { return };
        let world: Json = serde_json::from_str(&text).unwrap();
        for cluster in world["clusters"].as_object().unwrap().values() {
            let secret = |token: &Json| token["secret"].as_str().unwrap().to_owned();
            self.tokens.extend(cluster["tokens"].as_array().unwrap().iter().map(secret));
            self.certificate_keys.extend(cluster["certs"]["key"].as_str().map(str::to_owned));
        }
        self.strings(&world);
    }

    fn strings(&mut self, json: &Json) {
        match json {
            Json::String(text) => {
                let begin = |line: &&str| line.contains("BEGIN") && line.contains("PRIVATE KEY");
                let bodies = text.split("-----BEGIN").skip(1).map(|key| format!("-----BEGIN{key}"));
                let bodies = bodies.filter(|key| key.lines().next().as_ref().is_some_and(begin));
                let line = |key: String| key.lines().skip(1).max_by_key(|l| l.len()).map(str::to_owned);
                self.private.extend(bodies.filter_map(line).filter(|l| l.len() > 16));
                if let Some((_, data)) = text.split_once("client-key-data: ") {
                    self.private.extend(data.split_whitespace().next().map(str::to_owned));
                }
            }
            Json::Array(items) => items.iter().for_each(|item| self.strings(item)),
            Json::Object(entries) => entries.values().for_each(|item| self.strings(item)),
            _ => {}
        }
    }

    /// None of these is in what was printed, nor in any file but the machines' own disks and the key file that the plan asks for.
    fn are_nowhere(&self, sandbox: &Sandbox, printed: &str) {
        let all = || [&self.tokens, &self.certificate_keys, &self.private].into_iter().flatten();
        for secret in all() {
            assert!(!printed.contains(secret.as_str()), "{secret} was printed");
        }
        for (path, bytes) in sandbox.files() {
            let name = path.file_name().unwrap().to_str().unwrap();
            if name == "id_ed25519" || name.starts_with("world.json") || name.starts_with(".world.json") {
                continue;
            }
            let text = String::from_utf8_lossy(&bytes);
            for secret in all() {
                assert!(!text.contains(secret.as_str()), "{secret} is in {}", path.display());
            }
            assert!(!text.contains("PRIVATE KEY"), "a private key is in {}", path.display());
        }
    }
}

#[test]
fn what_lets_into_a_cluster_is_on_no_disk_and_on_no_screen() {
    let sandbox = Sandbox::of_plan("lab");
    // Joins that fail keep what they were let in with for a while, and are told of with what the host said.
    let flaky = "provider \"sim\" {\n  fail = { \"kubeadm join\" = 3 }\n}";
    sandbox.write("main.tf", &sandbox.read("main.tf").replace("provider \"sim\" {}", flaky));
    let mut keys = Keys::default();
    let mut printed = String::new();

    // Killed while a control plane joins, and then to its end: journal, state, backups.
    for kill in [true, false] {
        let mut child = sandbox
            .command(&["apply", "-auto-approve", "-json"])
            .env("GRAPPE_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut streams = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let reader = std::thread::spawn(move || {
            let (mut out, mut err) = (String::new(), String::new());
            std::thread::scope(|scope| {
                scope.spawn(|| std::io::Read::read_to_string(&mut streams.0, &mut out).unwrap());
                std::io::Read::read_to_string(&mut streams.1, &mut err).unwrap();
            });
            out + &err
        });
        while child.try_wait().unwrap().is_none() {
            keys.look(&sandbox);
            if kill && !keys.tokens.is_empty() && !keys.certificate_keys.is_empty() {
                child.kill().unwrap();
            }
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
        printed.push_str(&reader.join().unwrap());
        assert_eq!(child.wait().unwrap().success(), !kill, "{printed}");
        assert_eq!(sandbox.path("grappe.state/grappe.journal").exists(), kill);
        keys.are_nowhere(&sandbox, &printed);
    }
    keys.look(&sandbox);
    assert!(printed.contains("kubeadm join") && printed.contains("operation_retry"), "{printed}");

    for args in [
        &["plan", "-out=saved.plan", "-var=workers=4"][..],
        &["show", "saved.plan"],
        &["show", "-json", "saved.plan"],
        &["show"],
        &["show", "-json"],
        &["output", "-json"],
        &["state", "show", "tls_private_key.lab"],
        &["state", "show", "kubeadm_cluster.lab"],
        &["graph"],
        &["sim", "list", "-json"],
        &["destroy", "-auto-approve", "-json"],
    ] {
        printed.push_str(&sandbox.expect(0, args).all());
    }
    keys.are_nowhere(&sandbox, &printed);
    let Keys { tokens, certificate_keys, private } = &keys;
    assert!(
        tokens.len() >= 5 && certificate_keys.len() >= 2 && private.len() >= 5,
        "{} {} {}",
        tokens.len(),
        certificate_keys.len(),
        private.len()
    );
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
