//! With what secrets are sealed: a key, a command that gives one, a passphrase, another key than before, or none at all.

use std::path::Path;

use crate::sandbox::{KEY, Ran, Sandbox};

const PASSPHRASE: &str = "correct horse battery staple";
const SECRET: &str = "hunter2-hunter2";

const MADE: &str = r#"
resource "random_password" "p" { length = 30 }

resource "local_file" "f" {
  filename = "out/f"
  content  = "not a secret"
}

output "password" {
  value     = random_password.p.result
  sensitive = true
}
"#;

const GIVEN: &str = r#"
variable "secret" {
  sensitive = true
  default   = "hunter2-hunter2"
}

resource "local_sensitive_file" "f" {
  filename = "out/f"
  content  = var.secret
}

output "secret" {
  value     = local_sensitive_file.f.content
  sensitive = true
}
"#;

/// Runs with these variables, and without the sandbox's own key.
fn with(sandbox: &Sandbox, env: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command = sandbox.command(args);
    command.env_remove("GRAPPE_STATE_KEY").envs(env.iter().copied());
    Ran::of(command.output().unwrap())
}

fn expect(sandbox: &Sandbox, env: &[(&str, &str)], code: i32, args: &[&str]) -> Ran {
    let ran = with(sandbox, env, args);
    assert_eq!(ran.code, code, "{env:?} grappe {}\n{}", args.join(" "), ran.all());
    ran
}

/// Nothing of this is in any file but those whose content it is.
fn is_nowhere(sandbox: &Sandbox, secret: &str) {
    for (path, bytes) in sandbox.files() {
        let there = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        let own = path.ends_with("main.tf") || path.ends_with("out/f");
        assert!(own || !there, "a secret is in {}", path.display());
    }
}

#[test]
fn a_passphrase_or_a_command_takes_the_place_of_a_key() {
    let sandbox = Sandbox::new(MADE);
    let pass = [("GRAPPE_STATE_PASSPHRASE", PASSPHRASE)];
    expect(&sandbox, &pass, 0, &["plan", "-out=saved"]);
    expect(&sandbox, &pass, 0, &["apply", "saved"]);
    let made = expect(&sandbox, &pass, 0, &["output", "-raw", "password"]).stdout;
    is_nowhere(&sandbox, &made);
    assert!(sandbox.read("grappe.state/grappe.state.json").contains("argon2id,m=19456,t=2,p=1"));
    // From a file too, whose last line is ended.
    sandbox.write("phrase", &format!("{PASSPHRASE}\n"));
    let from_file = [("GRAPPE_STATE_PASSPHRASE_FILE", "phrase")];
    assert_eq!(expect(&sandbox, &from_file, 0, &["output", "-raw", "password"]).stdout, made);

    let wrong = expect(&sandbox, &[("GRAPPE_STATE_PASSPHRASE", "wrong")], 1, &["output", "-raw", "password"]);
    assert!(
        wrong.stderr.contains("another passphrase") && !wrong.all().contains("wrong\""),
        "{}",
        wrong.stderr
    );
    let key = expect(&sandbox, &[("GRAPPE_STATE_KEY", KEY)], 1, &["plan"]);
    assert!(
        key.stderr.contains("sealed with a passphrase") && key.stderr.contains("state rekey"),
        "{}",
        key.stderr
    );

    // The same key from a command opens what the key sealed.
    let keyed = Sandbox::new(MADE);
    keyed.expect(0, &["apply", "-auto-approve"]);
    let made = keyed.expect(0, &["output", "-raw", "password"]).stdout;
    let command = format!("echo asked >> asked; echo {KEY}");
    let asks = [("GRAPPE_STATE_KEY_COMMAND", command.as_str())];
    assert_eq!(expect(&keyed, &asks, 0, &["output", "-raw", "password"]).stdout, made);
    assert_eq!(keyed.read("asked"), "asked\n", "once a run");
    let fails = [("GRAPPE_STATE_KEY_COMMAND", "echo the vault is shut >&2; exit 7")];
    let failed = expect(&keyed, &fails, 1, &["output", "-raw", "password"]);
    assert!(failed.stderr.contains("the vault is shut") && failed.stderr.contains('7'), "{}", failed.stderr);
}

#[test]
fn a_state_gets_another_key() {
    let sandbox = Sandbox::new(MADE);
    sandbox.expect(0, &["apply", "-auto-approve"]);
    let made = sandbox.expect(0, &["output", "-raw", "password"]).stdout;
    let new = [("GRAPPE_STATE_PASSPHRASE", PASSPHRASE)];
    // Without the old key nothing is opened, and nothing changed.
    let before = sandbox.read("grappe.state/grappe.state.json");
    let refused = expect(&sandbox, &new, 1, &["state", "rekey"]);
    assert!(refused.stderr.contains("key"), "{}", refused.stderr);
    assert_eq!(sandbox.read("grappe.state/grappe.state.json"), before);

    let both = [new[0], ("GRAPPE_STATE_OLD_KEY", KEY)];
    let said = expect(&sandbox, &both, 0, &["state", "rekey"]).stdout;
    assert!(said.contains("the passphrase in GRAPPE_STATE_PASSPHRASE"), "{said}");
    assert_eq!(expect(&sandbox, &new, 0, &["output", "-raw", "password"]).stdout, made);
    assert_eq!(expect(&sandbox, &new, 0, &["plan", "-detailed-exitcode"]).code, 0);
    expect(&sandbox, &[("GRAPPE_STATE_KEY", KEY)], 1, &["output", "-raw", "password"]);
    // Again, though it is done: it stays so.
    expect(&sandbox, &both, 0, &["state", "rekey"]);
    // No key at all is no key: what can't be read back would be lost.
    let none = [("GRAPPE_STATE_KEY", "none"), ("GRAPPE_STATE_OLD_PASSPHRASE", PASSPHRASE)];
    let lost = expect(&sandbox, &none, 1, &["state", "rekey"]);
    assert!(lost.stderr.contains("random_password.p") && lost.stderr.contains("result"), "{}", lost.stderr);
    assert_eq!(expect(&sandbox, &new, 0, &["output", "-raw", "password"]).stdout, made);
    is_nowhere(&sandbox, &made);
}

#[test]
fn without_a_key_what_can_t_be_read_back_is_refused_before_anything_is_done() {
    let nowhere: [(&str, &str); 2] = [("HOME", ""), ("XDG_CONFIG_HOME", "")];
    for env in [&[("GRAPPE_STATE_KEY", "none")][..], &nowhere] {
        let sandbox = Sandbox::new(MADE);
        for args in [&["plan"][..], &["plan", "-out=saved"], &["apply", "-auto-approve"]] {
            let refused = expect(&sandbox, env, 1, args);
            for says in ["random_password.p: ", "result", "GRAPPE_STATE_PASSPHRASE", "Nothing was done"] {
                assert!(refused.stderr.contains(says), "{says}: {}", refused.stderr);
            }
        }
        assert!(!Path::new(&sandbox.path("out/f")).exists() && !sandbox.path("saved").exists());
        assert!(!sandbox.path("grappe.state/grappe.state.json").exists());
    }
    // A plan that was made with a key is not applied without one.
    let sandbox = Sandbox::new(MADE);
    sandbox.expect(0, &["plan", "-out=saved"]);
    expect(&sandbox, &[("GRAPPE_STATE_KEY", "none")], 1, &["apply", "saved"]);
    assert!(!sandbox.path("out/f").exists());
}

#[test]
fn without_a_key_what_can_be_read_back_is_withheld_and_no_difference() {
    let none = [("GRAPPE_STATE_KEY", "none")];
    let sandbox = Sandbox::new(GIVEN);
    let run = |code, args: &[&str]| expect(&sandbox, &none, code, args);
    run(0, &["apply", "-auto-approve"]);
    assert_eq!(sandbox.read("out/f"), SECRET);
    let state = sandbox.read("grappe.state/grappe.state.json");
    assert!(state.contains(r#""content":{"$withheld":true}"#) && !state.contains("$sealed"), "{state}");
    is_nowhere(&sandbox, SECRET);
    // A plan file could not be applied without what is in it.
    let saved = run(1, &["plan", "-out=saved", "-var=secret=other"]);
    assert!(saved.stderr.contains("no key") && !sandbox.path("saved").exists(), "{}", saved.stderr);

    run(0, &["plan", "-detailed-exitcode"]);
    run(0, &["apply", "-auto-approve"]);
    // What it can't know without reading, it says.
    let blind = run(0, &["plan", "-detailed-exitcode", "-refresh=false"]);
    assert!(!blind.all().contains("will be"), "{}", blind.all());
    let output = run(1, &["output", "-raw", "secret"]);
    assert!(output.stderr.contains("does not hold it"), "{}", output.stderr);
    assert!(!run(0, &["output", "-json"]).stdout.contains("secret"));
    run(0, &["state", "show", "local_sensitive_file.f"]);
    run(0, &["show"]);

    // A change of the argument is seen, and one of the file.
    let changed = run(2, &["plan", "-detailed-exitcode", "-var=secret=another one"]);
    assert!(changed.stdout.contains("local_sensitive_file.f will be"), "{}", changed.stdout);
    sandbox.write("out/f", "changed outside");
    run(2, &["plan", "-detailed-exitcode"]);
    run(0, &["apply", "-auto-approve"]);
    assert_eq!(sandbox.read("out/f"), SECRET);
    run(0, &["plan", "-detailed-exitcode"]);

    // With a key, it is stored from then on.
    sandbox.expect(0, &["apply", "-auto-approve"]);
    let state = sandbox.read("grappe.state/grappe.state.json");
    assert!(state.contains("$sealed") && !state.contains("$withheld"), "{state}");
    let refused = run(1, &["plan"]);
    assert!(refused.stderr.contains("no key to open"), "{}", refused.stderr);
    let back = [none[0], ("GRAPPE_STATE_OLD_KEY", KEY)];
    expect(&sandbox, &back, 0, &["state", "rekey"]);
    run(0, &["plan", "-detailed-exitcode"]);
    run(0, &["destroy", "-auto-approve"]);
    assert!(!sandbox.path("out/f").exists());
    is_nowhere(&sandbox, SECRET);
}
