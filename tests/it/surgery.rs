//! Work on a state by hand: each command does what it says, whole or not at all, and forgets nothing that an interrupted run began.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::sandbox::{Ran, Sandbox};

const PLAN: &str = r#"
resource "random_pet" "name" {
  count = 2
}

resource "terraform_data" "all" {
  input = random_pet.name[*].id
}

resource "local_file" "f" {
  filename = "out/f"
  content  = terraform_data.all.id
}

resource "random_password" "p" {
  length = 30
}

module "m" {
  source = "./m"
}
"#;

const MODULE: &str = "resource \"terraform_data\" \"in\" {}\n";

fn applied() -> Sandbox {
    let sandbox = Sandbox::new(PLAN);
    sandbox.write("m/main.tf", MODULE);
    sandbox.expect(0, &["apply", "-auto-approve"]);
    sandbox
}

/// What is in the folder of the state, but for who looked at it.
fn stored(sandbox: &Sandbox) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = sandbox
        .files()
        .into_iter()
        .filter(|(path, _)| path.to_string_lossy().contains("grappe.state/"))
        .collect();
    files.sort();
    files
}

fn said(sandbox: &Sandbox, code: i32, args: &[&str]) -> String {
    let ran = sandbox.expect(code, args);
    sandbox.clean(&format!("$ grappe {}\n{}", args.join(" "), ran.all()))
}

#[test]
fn objects_get_other_addresses_and_nothing_is_to_be_done() {
    let sandbox = applied();
    let before = stored(&sandbox);
    let mut all = vec![said(&sandbox, 0, &["state", "mv", "-dry-run", "random_pet.name", "random_pet.pet"])];
    for args in [
        ["state", "mv", "random_pet.nam", "random_pet.pet"],
        ["state", "mv", "random_pet.name[7]", "random_pet.pet"],
        ["state", "mv", "random_pet.name[0]", "random_pet.name[1]"],
        ["state", "mv", "random_pet.name", "random_uuid.name"],
        ["state", "mv", "module.m", "terraform_data.z"],
        ["state", "mv", "module.n", "module.o"],
        ["state", "mv", "random_pet.name", "random_pet.name"],
    ] {
        all.push(said(&sandbox, 1, &args));
    }
    assert_eq!(stored(&sandbox), before, "nothing was written");
    for args in [
        ["state", "mv", "random_pet.name", "random_pet.pet"],
        ["state", "mv", "module.m", "module.outer[\"x\"].module.inner"],
        ["state", "mv", "module.outer[\"x\"].module.inner", "module.n"],
        ["state", "mv", "terraform_data.all", "module.n.terraform_data.all"],
    ] {
        all.push(said(&sandbox, 0, &args));
    }
    insta::assert_snapshot!(all.join("\n"));
    sandbox.write(
        "main.tf",
        &PLAN
            .replace("random_pet\" \"name", "random_pet\" \"pet")
            .replace("module \"m\"", "module \"n\"")
            .replace("resource \"terraform_data\" \"all\" {\n  input = random_pet.name[*].id\n}\n", "")
            .replace("terraform_data.all.id", "module.n.id")
            .replace("source = \"./m\"", "source = \"./m\"\n  names = random_pet.pet[*].id"),
    );
    sandbox.write(
        "m/main.tf",
        "variable \"names\" {}\nresource \"terraform_data\" \"in\" {}\nresource \"terraform_data\" \"all\" { input = var.names }\n\
         output \"id\" { value = terraform_data.all.id }\n",
    );
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    // Those who depend on what was renamed still go before it.
    let events = sandbox.expect(0, &["destroy", "-auto-approve", "-json"]);
    let done: Vec<String> =
        events.events_of("operation_done").iter().map(|e| e["addr"].as_str().unwrap().to_owned()).collect();
    let at = |name: &str| done.iter().position(|a| a == name).unwrap_or_else(|| panic!("{name}: {done:?}"));
    assert!(at("local_file.f") < at("module.n.terraform_data.all"), "{done:?}");
    assert!(at("module.n.terraform_data.all") < at("random_pet.pet[0]"), "{done:?}");
}

#[test]
fn what_is_removed_is_forgotten_and_stays_in_the_world() {
    let sandbox = applied();
    let before = stored(&sandbox);
    let mut all = vec![
        said(&sandbox, 0, &["state", "rm", "-dry-run", "local_file.f", "module.m"]),
        said(&sandbox, 1, &["state", "rm", "local_file.f", "random_pet.nme"]),
        said(&sandbox, 1, &["state", "rm", "terraform_data.al"]),
    ];
    assert_eq!(stored(&sandbox), before, "nothing was written");
    all.push(said(&sandbox, 0, &["state", "rm", "local_file.f", "module.m", "random_pet.name"]));
    insta::assert_snapshot!(all.join("\n"));
    assert_eq!(sandbox.state(), ["random_password.p", "terraform_data.all"]);
    assert!(sandbox.path("out/f").is_file());
    sandbox.expect(1, &["state", "rm", "local_file.f"]);
    let empty = Sandbox::new(PLAN);
    let ran = empty.expect(1, &["state", "rm", "-state-dir=none", "local_file.f"]);
    assert!(ran.stderr.contains("there is no state in none"), "{}", ran.stderr);
    assert!(!empty.path("none").exists(), "no folder is made");
}

#[test]
fn marks_decide_what_is_created_anew() {
    let sandbox = applied();
    let mut all = vec![said(&sandbox, 0, &["taint", "random_pet.name[0]"])];
    let plan = sandbox.expect(2, &["plan", "-detailed-exitcode"]).stdout;
    assert!(plan.contains("random_pet.name[0] must be replaced"), "{plan}");
    assert!(sandbox.expect(0, &["state", "show", "random_pet.name[0]"]).stdout.contains("(tainted)"));
    for (code, args) in [
        (0, ["untaint", "random_pet.name[0]"].as_slice()),
        (1, &["untaint", "random_pet.name[0]"]),
        (1, &["taint", "random_pet.name"]),
        (1, &["taint", "random_pet.nope"]),
        (0, &["taint", "-allow-missing", "random_pet.nope"]),
        (1, &["taint", "module.m"]),
    ] {
        all.push(said(&sandbox, code, args));
    }
    insta::assert_snapshot!(all.join("\n"));
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
}

/// The state as `pull` prints it.
fn pulled(sandbox: &Sandbox) -> Json {
    serde_json::from_str(&sandbox.expect(0, &["state", "pull"]).stdout).unwrap()
}

fn push(sandbox: &Sandbox, state: &Json, args: &[&str], code: i32) -> Ran {
    sandbox.write("pushed.json", &state.to_string());
    sandbox.expect(code, &[&["state", "push"], args, &["pushed.json"]].concat())
}

#[test]
fn a_state_is_pulled_sealed_and_pushed_back() {
    let sandbox = applied();
    let text = sandbox.expect(0, &["state", "pull"]).stdout;
    assert!(text.contains("$sealed") && !text.contains("$sensitive"), "{text}");
    // Copying what is sealed needs no key.
    let mut keyless = sandbox.command(&["state", "pull"]);
    let keyless = Ran::of(keyless.env_remove("GRAPPE_STATE_KEY").output().unwrap());
    assert_eq!((keyless.code, &keyless.stdout), (0, &text));

    let state = pulled(&sandbox);
    let serial = state["serial"].as_u64().unwrap();
    let before = stored(&sandbox);
    assert!(push(&sandbox, &state, &[], 0).stdout.contains("this one already"));
    let with = |key: &str, value: Json| {
        let mut state = state.clone();
        state[key] = value;
        state
    };
    let mut smaller = state.clone();
    smaller["objects"].as_object_mut().unwrap().remove("local_file.f");
    let mut all = Vec::new();
    for wrong in [
        &smaller,
        &with("serial", (serial - 1).into()),
        &with("lineage", "another".into()),
        &with("format", 99.into()),
        &json!({ "version": 4, "terraform_version": "1.11.4", "serial": 1, "resources": [] }),
        &json!([]),
    ] {
        let ran = push(&sandbox, wrong, &[], 1);
        all.push(sandbox.clean(&ran.all()).replace(state["lineage"].as_str().unwrap(), "[LINEAGE]"));
    }
    insta::assert_snapshot!(all.join("\n"));
    assert_eq!(stored(&sandbox), before, "nothing was written");

    smaller["serial"] = (serial + 1).into();
    let ran = push(&sandbox, &smaller, &[], 0);
    assert!(ran.stdout.contains(&format!("serial {}", serial + 1)), "{}", ran.stdout);
    assert!(!sandbox.state().contains(&"local_file.f".to_owned()));
    // An older one, by force: it becomes a later serial all the same.
    push(&sandbox, &state, &["-force"], 0);
    assert_eq!(pulled(&sandbox)["serial"], serial + 2);
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);

    // Into a folder where there was none, from the standard input.
    let mut command = sandbox.command(&["state", "push", "-state-dir=other", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    sandbox.expect(0, &["plan", "-detailed-exitcode", "-state-dir=other"]);
    // What somebody writes into it in clear is sealed.
    let mut clear = pulled(&sandbox);
    clear["serial"] = 90.into();
    clear["objects"]["random_password.p"]["attributes"]["result"] = json!({ "$sensitive": "hunter2hunter2" });
    push(&sandbox, &clear, &[], 0);
    std::fs::remove_file(sandbox.path("pushed.json")).unwrap();
    assert!(sandbox.files().iter().all(|(_, bytes)| !bytes.windows(7).any(|w| w == b"hunter2")));
    assert!(sandbox.expect(0, &["state", "show", "random_password.p"]).stdout.contains("(sensitive value)"));
}

#[test]
fn what_an_interrupted_run_began_is_not_forgotten() {
    let sandbox = applied();
    let mut state = pulled(&sandbox);
    let serial = state["serial"].as_u64().unwrap();
    state["serial"] = (serial + 1).into();
    state["pending"] = json!([{
        "addr": "local_file.begun", "action": "create", "key": "5b0c2a52-1111-4222-8333-944445555666", "provider": "local",
        "planned": { "filename": "out/begun", "content": "x", "file_permission": "0777", "directory_permission": "0777" },
    }]);
    push(&sandbox, &state, &[], 0);
    let pending = |sandbox: &Sandbox| pulled(sandbox)["pending"][0]["addr"].as_str().map(str::to_owned);
    let refused = |args: &[&str]| {
        let ran = sandbox.expect(1, args);
        assert!(ran.stderr.contains("an interrupted run began to create local_file.begun"), "{}", ran.stderr);
        assert!(ran.stderr.contains("goes on with it"), "{}", ran.stderr);
    };
    refused(&["state", "rm", "local_file.begun"]);
    refused(&["taint", "local_file.begun"]);
    let mut without = state.clone();
    without["serial"] = (serial + 2).into();
    without.as_object_mut().unwrap().remove("pending");
    assert!(push(&sandbox, &without, &[], 1).stderr.contains("would be forgotten"));

    // All else carries it along.
    sandbox.expect(0, &["taint", "random_pet.name[0]"]);
    sandbox.expect(0, &["untaint", "random_pet.name[0]"]);
    sandbox.expect(0, &["state", "rm", "module.m"]);
    sandbox.expect(0, &["state", "mv", "local_file.begun", "local_file.taken"]);
    assert_eq!(pending(&sandbox).as_deref(), Some("local_file.taken"));
    sandbox.expect(0, &["state", "restore", "-auto-approve", &serial.to_string()]);
    assert_eq!(pending(&sandbox).as_deref(), Some("local_file.taken"));
    assert!(sandbox.state().iter().any(|a| a.starts_with("module.m")));

    // The next run goes on with it.
    let block = "resource \"local_file\" \"taken\" {\n  filename = \"out/begun\"\n  content  = \"x\"\n}\n";
    sandbox.write("taken.tf", block);
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(sandbox.read("out/begun"), "x");
    assert_eq!(pending(&sandbox), None);

    // And who insists is heard.
    push(&sandbox, &state, &["-force"], 0);
    sandbox.expect(0, &["state", "rm", "-force", "local_file.begun"]);
    assert_eq!(pending(&sandbox), None);
}

#[test]
fn an_earlier_state_comes_back_as_a_new_serial() {
    let sandbox = Sandbox::new("resource \"random_pet\" \"a\" {}\n");
    assert!(sandbox.expect(0, &["state", "restore"]).stdout.contains("no snapshot"));
    sandbox.expect(0, &["apply", "-auto-approve"]);
    let first = sandbox.expect(0, &["state", "show", "random_pet.a"]).stdout;
    sandbox.write("main.tf", "resource \"random_pet\" \"a\" {}\nresource \"random_pet\" \"b\" {}\n");
    sandbox.expect(0, &["apply", "-auto-approve", "-replace=random_pet.a"]);
    let listed = sandbox.expect(0, &["state", "restore"]).stdout;
    let line: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!((&line[..2], &line[3..]), (&["serial", "1"][..], &["1", "object"][..]), "{listed}");
    assert!(line[2].ends_with('Z') && line[2].len() == 20, "{listed}");

    let before = stored(&sandbox);
    let shown = sandbox.expect(0, &["state", "restore", "-dry-run", "1"]).stdout;
    assert!(shown.contains("~ random_pet.a is as it was"), "{shown}");
    assert!(shown.contains("- random_pet.b is forgotten"), "{shown}");
    assert!(sandbox.expect(1, &["state", "restore", "1"]).stderr.contains("-auto-approve"));
    assert!(sandbox.expect(1, &["state", "restore", "-auto-approve", "7"]).stderr.contains("there are 1"));
    assert_eq!(stored(&sandbox), before, "nothing was written");
    let ran = sandbox.expect(0, &["state", "restore", "-auto-approve", "1"]).stdout;
    assert!(ran.contains("as serial 3"), "{ran}");
    assert_eq!(sandbox.state(), ["random_pet.a"]);
    assert_eq!(sandbox.expect(0, &["state", "show", "random_pet.a"]).stdout, first);
    // What was left is kept too: back and forth.
    sandbox.expect(0, &["state", "restore", "-auto-approve", "2"]);
    assert_eq!(sandbox.state(), ["random_pet.a", "random_pet.b"]);
    // A snapshot that is damaged is listed as such, and never put in place.
    sandbox.write("grappe.state/backups/grappe.state.0000000001.json", "{");
    assert!(sandbox.expect(0, &["state", "restore"]).stdout.contains("can't be read"));
    sandbox.expect(1, &["state", "restore", "-auto-approve", "1"]);
}

#[test]
fn objects_get_another_provider_where_it_has_their_types() {
    let sandbox = Sandbox::new(
        "provider \"random\" { alias = \"west\" }\nresource \"random_pet\" \"a\" { provider = random.west }\n",
    );
    sandbox.expect(0, &["apply", "-auto-approve"]);
    sandbox.write("main.tf", "");
    let ran = sandbox.expect(1, &["plan"]);
    assert!(ran.stderr.contains("random.west"), "{}", ran.stderr);
    let before = stored(&sandbox);
    let all = [
        said(&sandbox, 1, &["state", "replace-provider", "-auto-approve", "random.west", "tls"]),
        said(&sandbox, 1, &["state", "replace-provider", "-auto-approve", "random", "randon"]),
        said(&sandbox, 0, &["state", "replace-provider", "-auto-approve", "tls", "random"]),
        said(&sandbox, 1, &["state", "replace-provider", "random.west", "random"]),
    ];
    assert_eq!(stored(&sandbox), before, "nothing was written");
    let done =
        said(&sandbox, 0, &["state", "replace-provider", "-auto-approve", "random.west", "hashicorp/random"]);
    insta::assert_snapshot!(format!("{}\n{done}", all.join("\n")));
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert!(sandbox.state().is_empty());
}

#[test]
fn a_lock_is_taken_from_the_dead_only() {
    let sandbox = Sandbox::new(
        "resource \"tls_private_key\" \"k\" {\n  count = 30\n  algorithm = \"RSA\"\n  rsa_bits = 3072\n}\n",
    );
    assert!(sandbox.expect(1, &["force-unlock", "-force"]).stderr.contains("there is no state"));
    let mut run = sandbox
        .command(&["apply", "-auto-approve", "-parallelism=1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lock = sandbox.path("grappe.state/grappe.lock");
    let journal = sandbox.path("grappe.state/grappe.journal");
    let begin = Instant::now();
    while !(journal.exists() && std::fs::read_to_string(&lock).is_ok_and(|t| t.contains("apply"))) {
        assert!(begin.elapsed() < Duration::from_secs(60), "the run did not begin");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let held = sandbox.expect(3, &["force-unlock", "-force"]);
    assert!(held.stderr.contains(&format!("kill {}", run.id())), "{}", held.stderr);
    // Surgery respects it.
    for args in [
        &["state", "mv", "tls_private_key.k", "tls_private_key.l"][..],
        &["state", "rm", "tls_private_key.k"],
        &["state", "restore", "-auto-approve", "1"],
        &["state", "replace-provider", "-auto-approve", "tls", "tls"],
        &["taint", "tls_private_key.k[0]"],
        &["untaint", "tls_private_key.k[0]"],
    ] {
        let ran = sandbox.expect(3, args);
        assert!(ran.stderr.contains("the state is locked: apply by tester on "), "{args:?} {}", ran.stderr);
    }
    sandbox.expect(0, &["state", "pull"]);
    run.kill().unwrap();
    run.wait().unwrap();
    let text = std::fs::read_to_string(&lock).unwrap();
    let other = sandbox.expect(1, &["force-unlock", "-force", "1"]);
    assert!(other.stderr.contains("another run"), "{}", other.stderr);
    assert!(sandbox.expect(1, &["force-unlock"]).stderr.contains("-force"));
    assert_eq!(std::fs::read_to_string(&lock).unwrap(), text, "who only looks takes nothing over");
    let ran = sandbox.expect(0, &["force-unlock", "-force", &run.id().to_string()]);
    assert!(ran.stdout.contains("successfully unlocked"), "{}", ran.stdout);
    assert!(sandbox.expect(1, &["force-unlock", "-force"]).stderr.contains("is not locked"));
    // What it began is still there to be gone on with.
    assert!(journal.exists());
}
