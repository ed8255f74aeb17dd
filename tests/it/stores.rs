//! States on real servers, for teams: two runs at once, a run that was killed and goes on elsewhere, a run that was frozen.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grappe_stores::testing::{PASSWORD, PostgresServer, S3Server};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sandbox::{Ran, Sandbox, flat};

/// What a plan says of its state, and what the environment says.
struct Place<'a> {
    backend: String,
    env: &'a [(&'a str, &'a str)],
}

/// Files are objects that somebody else can count; each takes a while.
fn plan(place: &Place<'_>, pause: f32, out: &str) -> String {
    format!(
        r#"
terraform {{
  {}
}}

resource "terraform_data" "t" {{
  count = 12
  provisioner "local-exec" {{
    command = "sleep {pause}; echo x >> {out}/${{count.index}}"
  }}
}}

resource "random_password" "p" {{
  length = 24
}}
"#,
        place.backend
    )
}

/// The same plan on another computer: a folder and a home of its own.
fn host(place: &Place<'_>, pause: f32, out: &std::path::Path) -> Sandbox {
    Sandbox::new(&plan(place, pause, &out.display().to_string()))
}

fn command(sandbox: &Sandbox, place: &Place<'_>, args: &[&str]) -> Command {
    let mut command = sandbox.command(args);
    command.envs(place.env.iter().copied());
    command
}

fn expect(sandbox: &Sandbox, place: &Place<'_>, code: i32, args: &[&str]) -> Ran {
    let ran = Ran::of(command(sandbox, place, args).output().unwrap());
    assert_eq!(ran.code, code, "grappe {}\n{}", args.join(" "), ran.all());
    assert!(!ran.all().contains(PASSWORD), "the connection's secret is told: {}", ran.all());
    ran
}

const APPLY: &[&str] = &["apply", "-auto-approve", "-parallelism=1"];

fn start(sandbox: &Sandbox, place: &Place<'_>) -> Child {
    command(sandbox, place, APPLY).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn made(out: &std::path::Path) -> usize {
    std::fs::read_dir(out).unwrap().count()
}

fn until(what: &str, limit: u64, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(limit), "{what} did not come about");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The whole story of a state on a server.
fn a_team_shares_a_state(place: &Place<'_>) {
    let out = tempfile::tempdir().unwrap();
    let (anna, bob) = (host(place, 0.3, out.path()), host(place, 0.3, out.path()));
    // Both at once: one has it, the other says who.
    let (first, second) = (start(&anna, place), start(&bob, place));
    let ends = [first, second].map(|child| Ran::of(child.wait_with_output().unwrap()));
    let mut codes = ends.each_ref().map(|ran| ran.code);
    codes.sort_unstable();
    assert_eq!(codes, [0, 3], "{}\n{}", ends[0].all(), ends[1].all());
    let refused = ends.iter().find(|ran| ran.code == 3).unwrap();
    assert!(refused.stderr.contains("the state is locked: apply by tester on "), "{}", refused.stderr);
    for n in 0..12 {
        let text = std::fs::read_to_string(out.path().join(n.to_string())).unwrap();
        assert_eq!(text, "x\n", "it was done once");
    }
    // Both know what is there, and nothing of it lies on their computers.
    for sandbox in [&anna, &bob] {
        expect(sandbox, place, 0, &["plan", "-detailed-exitcode"]);
        assert_eq!(expect(sandbox, place, 0, &["state", "list"]).stdout.lines().count(), 13);
        assert!(!sandbox.path("grappe.state/grappe.state.json").exists());
    }
    // A saved plan finds the state again, and holds no secret of the connection.
    expect(&anna, place, 0, &["plan", "-destroy", "-out=p"]);
    assert!(!anna.read("p").contains(PASSWORD));
    expect(&anna, place, 0, &["apply", "p"]);
    assert_eq!(expect(&bob, place, 0, &["state", "list"]).stdout, "");
    let snapshots = expect(&bob, place, 0, &["state", "restore"]).stdout;
    assert!(snapshots.contains("13 objects"), "{snapshots}");

    killed_here_it_goes_on_there(place);
    frozen_it_is_shut_out(place);
}

/// The computers are one here, so the kernel knows that the process is gone; nobody waits for its lease.
fn killed_here_it_goes_on_there(place: &Place<'_>) {
    let out = tempfile::tempdir().unwrap();
    let (anna, bob) = (host(place, 0.15, out.path()), host(place, 0.0, out.path()));
    let mut run = start(&anna, place);
    until("the first things", 60, || made(out.path()) >= 3);
    run.kill().unwrap();
    run.wait().unwrap();
    let ran = expect(&bob, place, 0, APPLY);
    assert!(
        flat(&ran.all()).contains("was left by a run that was killed (apply by tester on "),
        "{}",
        ran.all()
    );
    expect(&anna, place, 0, &["plan", "-detailed-exitcode"]);
    let again =
        (0..12).filter(|n| std::fs::read_to_string(out.path().join(n.to_string())).unwrap() != "x\n").count();
    assert!(again <= 1, "{again} things were done twice: only the one that was running may be");
    expect(&bob, place, 0, &["destroy", "-auto-approve"]);
}

fn frozen_it_is_shut_out(place: &Place<'_>) {
    let out = tempfile::tempdir().unwrap();
    let (anna, bob) = (host(place, 0.3, out.path()), host(place, 0.0, out.path()));
    let run = start(&anna, place);
    until("the first thing", 60, || made(out.path()) >= 1);
    let pid = Pid::from_raw(run.id().try_into().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    // It may live: only force takes its lock before its lease is over.
    let refused = expect(&bob, place, 3, &["apply", "-auto-approve"]);
    assert!(refused.stderr.contains(&format!("process {pid}")), "{}", refused.stderr);
    expect(&bob, place, 0, &["force-unlock", "-force", &pid.to_string()]);
    expect(&bob, place, 0, APPLY);
    let before = made(out.path());
    assert_eq!(before, 12);
    kill(pid, Signal::SIGCONT).unwrap();
    let ran = Ran::of(run.wait_with_output().unwrap());
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.all().contains("no longer holds the state's lock"), "{}", ran.all());
    // It ended what was running, and began nothing more.
    let twice = |n: &i32| std::fs::read_to_string(out.path().join(n.to_string())).unwrap().len() > 2;
    assert!((0..12).filter(twice).count() <= 2, "{}", ran.all());
    expect(&bob, place, 0, &["plan", "-detailed-exitcode"]);
    assert_eq!(expect(&bob, place, 0, &["state", "list"]).stdout.lines().count(), 13);
}

#[test]
fn a_team_shares_a_state_in_postgresql() {
    let server = PostgresServer::start(None);
    let port = server.port().to_string();
    let place = Place {
        backend: "backend \"pg\" {\n    schema_name = \"team\"\n  }".into(),
        env: &[
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", &port),
            ("PGUSER", "grappe"),
            ("PGDATABASE", "postgres"),
            ("PGPASSWORD", PASSWORD),
        ],
    };
    a_team_shares_a_state(&place);
    // What is in the tables is sealed.
    let tables = server.query("SELECT encode(snapshot, 'escape') FROM team.grappe_snapshots");
    assert!(tables.contains("$sealed") && !tables.contains("$sensitive"), "{tables}");

    // To another store: what is pulled here is pushed there.
    let conn = server.conn_str();
    let sandbox = Sandbox::new("resource \"terraform_data\" \"a\" {}\n");
    sandbox.expect(0, &["apply", "-auto-approve"]);
    let pulled = sandbox.expect(0, &["state", "pull"]).stdout;
    sandbox.write("pulled", &pulled);
    sandbox.write("backend.tf", "terraform {\n  backend \"pg\" {}\n}\n");
    let over = format!("-backend-config=conn_str={conn}");
    let here = Place { backend: String::new(), env: &[] };
    expect(&sandbox, &here, 0, &["state", "push", &over, "pulled"]);
    expect(&sandbox, &here, 0, &["plan", "-detailed-exitcode", &over]);

    // A wrong password is told, not shown.
    let wrong = format!("-backend-config=conn_str={}", conn.replace(PASSWORD, "s3cret-typo"));
    let ran = expect(&sandbox, &here, 1, &["plan", &wrong]);
    assert!(ran.stderr.contains("password authentication failed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("PGPASSWORD") && !ran.stderr.contains("s3cret-typo"), "{}", ran.stderr);
}

#[test]
fn a_team_shares_a_state_in_s3() {
    let server = S3Server::start();
    let endpoint = server.endpoint();
    let bucket = S3Server::BUCKET;
    let backend = format!(
        "backend \"s3\" {{\n    bucket = \"{bucket}\"\n    key = \"team/lab.tfstate\"\n    use_path_style = true\n    use_lockfile = true\n    endpoints = {{ s3 = \"{endpoint}\" }}\n  }}"
    );
    let env = &[
        ("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", PASSWORD),
        ("AWS_REGION", "us-east-1"),
    ];
    a_team_shares_a_state(&Place { backend, env });
}

#[test]
fn what_a_backend_lacks_is_told_at_its_block() {
    for (backend, says) in [
        ("backend \"azurerm\" {}", "A backend that grappe does not have"),
        ("backend \"s3\" {\n    bucket = \"b\"\n    kye = \"k\"\n  }", "kye"),
        ("backend \"s3\" {\n    bucket = \"b\"\n  }", "no key"),
        ("backend \"s3\" {\n    bucket = \"b\"\n    key = \"k\"\n  }", "AWS_ACCESS_KEY_ID"),
        ("backend \"pg\" {\n    conn_str = \"postgres://a:s3cret@h:x/\"\n  }", "conn_str"),
    ] {
        let sandbox = Sandbox::new(&format!("terraform {{\n  {backend}\n}}\n"));
        let ran = sandbox.expect(1, &["plan"]);
        assert!(ran.stderr.contains(says) && ran.stderr.contains("main.tf"), "{backend}: {}", ran.stderr);
        assert!(!ran.stderr.contains("the state can't"), "{}", ran.stderr);
    }
    let sandbox = Sandbox::new("");
    let ran = sandbox.expect(1, &["plan", "-backend-config=bucket=b"]);
    assert!(ran.stderr.contains("the plan has none"), "{}", ran.stderr);
}
