use crate::bench;
use grappe_provider_host::testing::{Action, connection};
use grappe_ssh::testing::Sshd;
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

#[tokio::test]
async fn run_unless_and_undo() {
    let sshd = Sshd::start();
    let bench = bench(&sshd).await;
    let flag = sshd.dir().join("flag");
    let flag = flag.to_str().unwrap();
    let config = json!({
        "host": connection(&sshd), "run": format!("echo made >> {flag}"),
        "unless": format!("test -e {flag}"), "undo": format!("rm {flag}"),
    });
    let made = bench.create("host_command", &config).await;
    assert_eq!(fs::read_to_string(flag).unwrap(), "made\n");
    let read = bench.read("host_command", &made).await.unwrap();
    assert_eq!(bench.action("host_command", &read, &config), Action::Nothing);
    bench.create("host_command", &config).await;
    assert_eq!(fs::read_to_string(flag).unwrap(), "made\n", "unless said that it was done");
    // What it did was taken away on the host: there is work again.
    fs::remove_file(flag).unwrap();
    assert_eq!(bench.read("host_command", &made).await, None);
    let made = bench.create("host_command", &config).await;
    assert_eq!(fs::read_to_string(flag).unwrap(), "made\n");
    bench.delete("host_command", &made).await;
    assert!(!fs::exists(flag).unwrap());
}

#[tokio::test]
async fn a_command_without_unless_runs_once_for_each_key_and_again_when_it_changes() {
    let sshd = Sshd::start();
    let mut bench = bench(&sshd).await;
    bench.key = format!("test-{}", sshd.dir().file_name().unwrap().to_str().unwrap());
    let log = sshd.dir().join("runs");
    let config = |word: &str| json!({"host": connection(&sshd), "run": format!("echo {word} >> {}", log.display()) + "; exit 0"});
    let made = bench.create("host_command", &config("one")).await;
    // Killed before the success was noted: the next run does not run it twice.
    bench.create("host_command", &config("one")).await;
    let runs = || fs::read_to_string(&log).unwrap();
    let is_root = sshd.user == "root";
    assert_eq!(runs(), if is_root { "one\n" } else { "one\none\n" }, "only root can leave markers");
    let read = bench.read("host_command", &made).await.unwrap();
    assert_eq!(bench.action("host_command", &read, &config("two")), Action::Update(vec!["run".into()]));
    let updated = bench.update("host_command", &read, &config("two")).await;
    assert!(runs().ends_with("one\ntwo\n"));
    bench.delete("host_command", &updated).await;
    assert!(!fs::exists(format!("/var/lib/grappe/commands/{}", bench.key)).unwrap());
    let mut triggered = config("two");
    triggered["triggers"] = json!({"v": "2"});
    assert_eq!(bench.action("host_command", &updated, &triggered), Action::Replace("triggers".into()));
}

#[tokio::test]
async fn the_environment_is_passed_and_never_shown() {
    let sshd = Sshd::start();
    let mut bench = bench(&sshd).await;
    bench.key = format!("test-{}", sshd.dir().file_name().unwrap().to_str().unwrap());
    let seen = sshd.dir().join("seen");
    let config = json!({
        "host": connection(&sshd),
        "run": format!("echo \"the token is $TOKEN\"; printf %s \"$TOKEN\" > {}; ps -e -o args | grep -c hunter[2] || true", seen.display()),
        "environment": {"TOKEN": "it's hunter2\nsecond line"},
        "undo": "echo \"$TOKEN\" >&2; exit 3",
    });
    let made = bench.create("host_command", &config).await;
    assert_eq!(fs::read_to_string(seen).unwrap(), "it's hunter2\nsecond line");
    assert!(made.get("environment").unwrap().is_sensitive_deep());
    assert_eq!(bench.run.output(), ["the token is (sensitive)", "(sensitive)", "0"]);
    let fault = bench.resource("host_command").delete(bench.context(), &made).await.unwrap_err();
    assert_eq!(fault.details, ["(sensitive)", "(sensitive)"]);
    let _ = fs::remove_file(format!("/var/lib/grappe/commands/{}", bench.key));
    assert!(fault.summary.contains("undo on") && fault.summary.contains("exit status 3"), "{fault:?}");
    assert!(
        bench.problems(
            "host_command",
            &json!({"host": connection(&sshd), "run": "", "environment": {"A-B": ""}})
        )[0]
        .contains("A-B")
    );
}

#[tokio::test]
async fn failures_limits_and_stops() {
    let sshd = Sshd::start();
    let mut bench = bench(&sshd).await;
    bench.key = format!("test-{}", sshd.dir().file_name().unwrap().to_str().unwrap());
    let config = |run: &str| json!({"host": connection(&sshd), "run": run, "timeout": "1s"});
    let fault = bench
        .try_create("host_command", &config("echo looking; echo not found >&2; exit 7"))
        .await
        .unwrap_err();
    assert!(!fault.is_transient());
    assert_eq!(fault.details, ["not found"]);
    assert!(fault.summary.contains("exit status 7"), "{fault:?}");
    assert_eq!(bench.run.output().len(), 2);

    let fault = bench.try_create("host_command", &config("sleep 20")).await.unwrap_err();
    assert!(fault.summary.contains("took longer than 1 s"), "{fault:?}");

    let mut long = config("sleep 20");
    long["timeout"] = json!("1m");
    let (start, cancel) = (Instant::now(), bench.cancel.clone());
    let stop = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(bench.try_create("host_command", &long), stop);
    assert!(result.unwrap_err().summary.contains("stopped"));
    assert!(start.elapsed() < Duration::from_secs(5));
}
