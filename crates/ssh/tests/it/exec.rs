use crate::{host, run};
use grappe_ssh::testing::Sshd;
use grappe_ssh::{Exec, ExitStatus, StreamKind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[tokio::test]
async fn output_exit_codes_and_signals() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let output = run(&host, "echo out; echo err >&2; exit 7").await;
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(output.status, ExitStatus::Code(7));
    assert!(!output.success());
    assert_eq!(run(&host, "true").await.status, ExitStatus::Code(0));
    assert_eq!(run(&host, "kill -KILL $$").await.status, ExitStatus::Signal("KILL".into()));
    let quoted = run(&host, "printf '%s' \"it's \\\"$((1+1))\\\" ü\"").await;
    assert_eq!(quoted.stdout_str(), "it's \"2\" ü");
}

#[tokio::test]
async fn a_megabyte_goes_in_and_comes_out() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let content: Vec<u8> = (0..1_048_576_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let output = host.exec(Exec::new("cat").stdin(content.clone())).await.unwrap();
    assert!(output.stdout == content, "{} bytes came back", output.stdout.len());
    // A command that does not read its input ends all the same.
    let output = host.exec(Exec::new("echo done").stdin(vec![0; 8 << 20])).await.unwrap();
    assert_eq!(output.stdout_str(), "done");
}

#[tokio::test]
async fn lines_are_told_as_they_come() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sink, start) = (seen.clone(), Instant::now());
    let exec =
        Exec::new("echo one; sleep 1; echo two >&2; printf three").on_output(Arc::new(move |kind, line| {
            sink.lock().unwrap().push((kind, line.to_owned(), start.elapsed()))
        }));
    host.exec(exec).await.unwrap();
    let seen = seen.lock().unwrap();
    let lines: Vec<_> = seen.iter().map(|(kind, line, _)| (*kind, line.as_str())).collect();
    assert_eq!(lines[0], (StreamKind::Stdout, "one"));
    assert!(lines.contains(&(StreamKind::Stderr, "two")) && lines.contains(&(StreamKind::Stdout, "three")));
    assert!(seen[1].2 - seen[0].2 > Duration::from_millis(700), "the first line was held back");
}

#[tokio::test]
async fn long_and_private_scripts_run() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    for length in [100_000, 300_000] {
        let output = run(&host, &format!("x={}; printf %s ${{#x}}", "a".repeat(length))).await;
        assert_eq!(output.stdout_str(), length.to_string(), "{}", output.stderr_str());
    }
    // The script looks for itself among the processes of its own session.
    let script = "secret=s3cr3t-$((40+2)); ps -e -o args | grep -c 's3cr3t[-]' || true";
    let open = host.exec(Exec::new(script)).await.unwrap();
    assert_ne!(open.stdout_str(), "0", "ps shows what is in a command line");
    let private = host.exec(Exec::new(script).private(true)).await.unwrap();
    assert_eq!(private.stdout_str(), "0");
}

#[tokio::test]
async fn a_timeout_stops_the_command() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let mark = sshd.dir().join("mark");
    let script = format!("sleep 4; touch {}", mark.display());
    let start = Instant::now();
    let error = host.exec(Exec::new(script).timeout(Duration::from_secs(1))).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(error.is_transient() && error.may_have_run(), "{error}");
    assert!(error.to_string().contains("the command took longer than 1 s"), "{error}");
    assert!(error.hint().unwrap().contains("half of it"));
    assert_eq!(run(&host, "echo alive").await.stdout_str(), "alive");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!mark.exists(), "the command went on after its timeout");
}

#[tokio::test]
async fn a_daemon_left_behind_does_not_hold_us() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let start = Instant::now();
    let output = run(&host, "sleep 60 & echo started").await;
    assert_eq!((output.stdout_str().as_str(), output.success()), ("started", true));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
