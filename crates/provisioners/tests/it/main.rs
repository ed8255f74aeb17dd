//! Steps on this computer, and on a real sshd.

use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grappe_provider::{AnyProvisioner, Fault, Run, Setup, StepContext, Stream};
use grappe_ssh::Pool;
use grappe_ssh::testing::{Sshd, write};
use grappe_value::Value;
use tokio_util::sync::CancellationToken;

/// What a step says.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Run for Heard {
    fn progress(&self, _: &str) {}
    fn output(&self, stream: Stream, line: &str) {
        self.0.lock().unwrap().push(format!("{stream:?}: {line}"));
    }
    fn checkpoint(&self, _: serde_json::Value) -> BoxFuture<'_, Result<(), Fault>> {
        futures::future::ready(Ok(())).boxed()
    }
}

struct Bench {
    dir: tempfile::TempDir,
    pool: Pool,
    cancel: CancellationToken,
}

impl Bench {
    fn new() -> Self {
        Bench { dir: tempfile::tempdir().unwrap(), pool: Pool::new(), cancel: CancellationToken::new() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    async fn run(
        &self,
        name: &str,
        config: &Value,
        connection: Option<&Value>,
    ) -> (Result<(), Fault>, Vec<String>) {
        let heard = Arc::new(Heard::default());
        let all = grappe_provisioners::provisioners(&self.pool);
        let kind: &Arc<dyn AnyProvisioner> = all.iter().find(|p| p.name() == name).unwrap();
        let ctx = StepContext {
            setup: Arc::new(Setup { plan_dir: self.path().to_owned(), data_dir: self.path().to_owned() }),
            run: heard.clone(),
            addr: "t.a".parse().unwrap(),
            cancel: self.cancel.clone(),
        };
        assert_eq!(kind.validate(config, connection), [], "what is run is valid");
        let result = kind.run(ctx, config, connection).await;
        let lines = std::mem::take(&mut *heard.0.lock().unwrap());
        (result, lines)
    }
}

fn connection(sshd: &Sshd) -> Value {
    Value::object([
        ("host", "127.0.0.1".into()),
        ("port", Value::from(i64::from(sshd.port))),
        ("user", sshd.user.as_str().into()),
        ("private_key", Value::from(std::fs::read_to_string(sshd.key()).unwrap()).sensitive()),
        ("host_key", sshd.host_key("ed25519").as_str().into()),
        ("script_path", format!("{}/script_%RAND%.sh", sshd.dir().display()).as_str().into()),
    ])
}

fn lines(items: &[&str]) -> Value {
    Value::object([("inline", Value::tuple(items.iter().map(|i| Value::from(*i))))])
}

#[tokio::test]
async fn a_command_runs_here() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path().join("sub")).unwrap();
    let config = Value::object([
        ("command", "pwd; echo \"$WHO\" >&2; echo x > made".into()),
        ("working_dir", "sub".into()),
        ("environment", Value::object([("WHO", "me".into()), ("NOT", Value::NULL)])),
    ]);
    let (result, mut said) = bench.run("local-exec", &config, None).await;
    result.unwrap();
    said.sort();
    let here = bench.path().canonicalize().unwrap().join("sub");
    assert_eq!(said, ["Stderr: me".to_owned(), format!("Stdout: {}", here.display())]);
    assert_eq!(std::fs::read_to_string(here.join("made")).unwrap(), "x\n");

    let config = Value::object([
        ("command", "print(6 * 7)".into()),
        ("interpreter", Value::tuple(["python3".into(), "-c".into()])),
    ]);
    assert_eq!(bench.run("local-exec", &config, None).await.1, ["Stdout: 42"]);

    let config = Value::object([("command", "echo why; exit 3".into())]);
    let fault = bench.run("local-exec", &config, None).await.0.unwrap_err();
    assert!(fault.summary.contains("exit status: 3") && fault.details == ["why"], "{fault:?}");

    // What it leaves in the background is not waited for.
    let config = Value::object([("command", "sleep 60 & echo started".into())]);
    let start = std::time::Instant::now();
    bench.run("local-exec", &config, None).await.0.unwrap();
    assert!(start.elapsed().as_secs() < 30);
}

#[tokio::test]
async fn a_command_ends_when_the_run_is_stopped() {
    let bench = Bench::new();
    let cancel = bench.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        cancel.cancel();
    });
    let config = Value::object([("command", "sleep 600; echo never".into())]);
    let (result, said) = bench.run("local-exec", &config, None).await;
    assert!(result.unwrap_err().summary.contains("stopped"));
    assert_eq!(said, [""; 0]);
}

#[tokio::test]
async fn scripts_run_on_a_host() {
    let (bench, sshd) = (Bench::new(), Sshd::start());
    let to = connection(&sshd);
    let (result, said) = bench
        .run("remote-exec", &lines(&["x=1", "echo \"in $x line\"", "cat", "echo e >&2"]), Some(&to))
        .await;
    result.unwrap();
    assert_eq!(said, ["Stdout: in 1 line", "Stderr: e"]);
    // As in Terraform, the last command counts, and errexit makes each count.
    bench.run("remote-exec", &lines(&["false", "true"]), Some(&to)).await.0.unwrap();
    let fault = bench
        .run("remote-exec", &lines(&["set -e", "echo before", "false", "true"]), Some(&to))
        .await
        .0
        .unwrap_err();
    assert!(fault.summary.contains("exit") && fault.details == ["before"], "{fault:?}");
    assert!(!fault.is_transient(), "half of it was done: nobody tries it again unasked");

    write(&bench.path().join("a.sh"), "#!/bin/sh\necho a\n");
    write(&bench.path().join("b.py"), "#!/usr/bin/env python3\nprint('b')\n");
    let config = Value::object([("scripts", Value::tuple(["a.sh".into(), "b.py".into()]))]);
    let (result, said) = bench.run("remote-exec", &config, Some(&to)).await;
    result.unwrap();
    assert_eq!(said, ["Stdout: a", "Stdout: b"]);
    let left = std::fs::read_dir(sshd.dir()).unwrap().flatten();
    assert!(
        !left.into_iter().any(|e| e.file_name().to_string_lossy().starts_with("script_")),
        "no script is left"
    );
}

#[tokio::test]
async fn hosts_are_verified() {
    let (bench, sshd) = (Bench::new(), Sshd::start());
    let to = connection(&sshd).with_attr("host_key", sshd.host_key("ecdsa").as_str().into());
    // A key that it does not have; and none, where known_hosts does not have one either.
    let other = Sshd::start();
    let wrong = to.clone().with_attr("host_key", other.host_key("ed25519").as_str().into());
    let fault = bench.run("remote-exec", &lines(&["true"]), Some(&wrong)).await.0.unwrap_err();
    assert!(fault.summary.contains("key"), "{fault:?}");
    let unknown = to.with_attr("host_key", Value::NULL).with_attr("timeout", "1s".into());
    let fault = bench.run("remote-exec", &lines(&["true"]), Some(&unknown)).await.0.unwrap_err();
    assert!(fault.summary.contains("known_hosts"), "{fault:?}");
}

#[tokio::test]
async fn files_and_folders_are_put_on_a_host() {
    let (bench, sshd) = (Bench::new(), Sshd::start());
    let to = connection(&sshd);
    let there = |name: &str| sshd.dir().join(name);
    let config = |name: &str, value: &str, destination: &Path| {
        Value::object([(name, value.into()), ("destination", destination.to_str().unwrap().into())])
    };
    let text = config("content", "it's\n\"text\"", &there("t"));
    bench.run("file", &text, Some(&to)).await.0.unwrap();
    assert_eq!(std::fs::read_to_string(there("t")).unwrap(), "it's\n\"text\"");

    std::fs::create_dir_all(bench.path().join("conf/inner")).unwrap();
    write(&bench.path().join("conf/a"), "a");
    write(&bench.path().join("conf/inner/b"), "b");
    std::fs::set_permissions(
        bench.path().join("conf/a"),
        std::os::unix::fs::PermissionsExt::from_mode(0o750),
    )
    .unwrap();
    bench.run("file", &config("source", "conf/a", &there("copy")), Some(&to)).await.0.unwrap();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(there("copy")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o750);
    bench.run("file", &config("source", "conf", &there("into")), Some(&to)).await.0.unwrap();
    assert_eq!(std::fs::read_to_string(there("into/conf/inner/b")).unwrap(), "b");
    bench.run("file", &config("source", "conf/", &there("flat")), Some(&to)).await.0.unwrap();
    assert_eq!(std::fs::read_to_string(there("flat/inner/b")).unwrap(), "b");
    let fault = bench.run("file", &config("content", "x", &there("into")), Some(&to)).await.0.unwrap_err();
    assert!(fault.details.iter().any(|d| d.contains("is a folder")), "{fault:?}");
}

/// By a password alone, whichever way the server asks for it; another one is refused, and shown nowhere.
#[tokio::test]
async fn a_password_lets_a_script_in() {
    for keyboard_interactive in [false, true] {
        let sshd = Sshd::start_with_password("open sesame 1001", keyboard_interactive);
        let with = |password: &str| {
            Value::object([
                ("type", "ssh".into()),
                ("host", "127.0.0.1".into()),
                ("port", Value::from(i64::from(sshd.port))),
                ("user", sshd.user.as_str().into()),
                ("password", Value::from(password).sensitive()),
                ("host_key", sshd.host_key("ed25519").as_str().into()),
                ("timeout", "20s".into()),
            ])
        };
        let bench = Bench::new();
        let (result, said) =
            bench.run("remote-exec", &lines(&["id -un", "echo done"]), Some(&with("open sesame 1001"))).await;
        result.unwrap_or_else(|fault| panic!("{fault:?}\n{}", sshd.log()));
        assert_eq!(said, [format!("Stdout: {}", sshd.user), "Stdout: done".to_owned()]);
        assert!(!sshd.log().contains("Accepted publickey"), "{}", sshd.log());

        let bench = Bench::new();
        let (result, said) =
            bench.run("remote-exec", &lines(&["true"]), Some(&with("open sesame 1002"))).await;
        let fault = format!("{:?}", result.unwrap_err());
        assert!(fault.contains("a password") && fault.contains(&sshd.user), "{fault}");
        assert!(!format!("{fault}{said:?}").contains("sesame"), "{fault}");
    }
}
