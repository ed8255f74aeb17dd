use crate::{bench, text};
use grappe_provider_host::testing::{Action, connection};
use grappe_ssh::testing::Sshd;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn a_file_through_its_life() {
    let sshd = Sshd::start();
    let bench = bench(&sshd).await;
    let path = sshd.dir().join("etc/app.conf");
    let config = |content: &str| json!({"host": connection(&sshd), "path": path.to_str(), "content": content, "mode": "640"});
    let made = bench.create("host_file", &config("a = 1\n")).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "a = 1\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(text(&made, "owner"), sshd.user);
    let read = bench.read("host_file", &made).await.unwrap();
    assert!(read.same(&made), "{read:?}");
    assert_eq!(bench.action("host_file", &read, &config("a = 1\n")), Action::Nothing);
    // Created again, as after a kill: the same.
    assert!(bench.create("host_file", &config("a = 1\n")).await.same(&made));

    let update = bench.action("host_file", &read, &config("a = 2\n"));
    assert_eq!(update, Action::Update(vec!["content".into(), "sha256".into()]));
    let changed = bench.update("host_file", &read, &config("a = 2\n")).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "a = 2\n");

    // Somebody edits it on the host: the difference is shown and undone.
    grappe_ssh::testing::write(&path, "a = 3\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let drifted = bench.read("host_file", &changed).await.unwrap();
    assert_eq!((text(&drifted, "content"), text(&drifted, "mode")), ("a = 3\n", "0666"));
    let action = bench.action("host_file", &drifted, &config("a = 2\n"));
    assert_eq!(action, Action::Update(vec!["content".into(), "mode".into(), "sha256".into()]));
    let mended = bench.update("host_file", &drifted, &config("a = 2\n")).await;
    assert_eq!(bench.read("host_file", &mended).await.unwrap(), mended);

    let mut elsewhere = config("a = 2\n");
    elsewhere["path"] = json!("/tmp/elsewhere");
    assert_eq!(bench.action("host_file", &mended, &elsewhere), Action::Replace("path".into()));
    let mut other_machine = config("a = 2\n");
    other_machine["host"]["id"] = json!("machine-2");
    assert_eq!(bench.action("host_file", &mended, &other_machine), Action::Replace("host".into()));
    other_machine["host"]["id"] = json!("machine-1");
    other_machine["host"]["address"] = json!("192.0.2.1");
    assert!(matches!(bench.action("host_file", &mended, &other_machine), Action::Nothing));

    bench.delete("host_file", &mended).await;
    assert!(!path.exists());
    assert_eq!(bench.read("host_file", &mended).await, None);
    bench.delete("host_file", &mended).await;
}

#[tokio::test]
async fn secret_and_binary_contents() {
    let sshd = Sshd::start();
    let bench = bench(&sshd).await;
    let path = sshd.dir().join("secret");
    let config = json!({"host": connection(&sshd), "path": path.to_str(), "sensitive_content": "hunter2", "mode": "0600"});
    let made = bench.create("host_file", &config).await;
    assert!(made.get("sensitive_content").unwrap().is_sensitive_deep());
    assert!(!format!("{:?}{:?}", bench.run.output(), bench.run.progress()).contains("hunter2"));
    grappe_ssh::testing::write(&path, "hunter3");
    let drifted = bench.read("host_file", &made).await.unwrap();
    assert!(drifted.get("sensitive_content").unwrap().is_sensitive_deep());
    assert!(drifted.get("content").unwrap().is_null(), "the secret stands in its own argument only");

    let config = json!({"host": connection(&sshd), "path": path.to_str(), "content_base64": "AAEC/w=="});
    let made = bench.create("host_file", &config).await;
    assert_eq!(fs::read(&path).unwrap(), [0, 1, 2, 255]);
    assert_eq!(
        bench.action("host_file", &bench.read("host_file", &made).await.unwrap(), &config),
        Action::Nothing
    );
}

#[tokio::test]
async fn mistakes_are_found_before_anything_is_done() {
    let sshd = Sshd::start();
    let bench = bench(&sshd).await;
    let problems = |config: serde_json::Value| bench.problems("host_file", &config);
    let host = connection(&sshd);
    assert_eq!(problems(json!({"host": host, "path": "/a", "content": ""})), [""; 0]);
    assert!(problems(json!({"host": host, "path": "/a"}))[0].contains("0 of content"));
    assert!(
        problems(json!({"host": host, "path": "/a", "content": "", "content_base64": ""}))[0]
            .contains("2 of")
    );
    assert!(problems(json!({"host": host, "path": "a", "content": ""}))[0].contains("absolute path"));
    assert!(problems(json!({"host": host, "path": "/a", "content": "", "mode": "rw"}))[0].contains("octal"));
    assert!(problems(json!({"host": host, "path": "/a", "content_base64": "%"}))[0].contains("base64"));
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_a_fault_and_its_files_are_not_gone() {
    let mut sshd = Sshd::start();
    let bench = bench(&sshd).await;
    let config = json!({"host": connection(&sshd), "path": sshd.dir().join("x").to_str(), "content": "x"});
    let made = bench.create("host_file", &config).await;
    sshd.kill();
    let fault = bench.try_read("host_file", &made).await.unwrap_err();
    assert!(fault.is_transient(), "{fault:?}");
    assert!(fault.summary.contains("127.0.0.1") && fault.hint.is_some(), "{fault:?}");
    // A file that can't be written is told with the host's own words.
    let sshd = Sshd::start();
    let config = json!({"host": connection(&sshd), "path": "/proc/nowhere/x", "content": "x"});
    let fault = bench.try_create("host_file", &config).await.unwrap_err();
    assert!(!fault.is_transient() && fault.summary.contains("/proc/nowhere"), "{fault:?}");
}

#[tokio::test]
async fn the_files_of_a_host_are_read_together() {
    let sshd = Sshd::start();
    let bench = bench(&sshd).await;
    let file = |name: &str, content: &str| {
        let path = sshd.dir().join(name);
        json!({"host": connection(&sshd), "path": path.to_str(), "content": content, "mode": "0640"})
    };
    let names = ["plain", "it's \"odd\" $HOME", "empty", "gone", "folder", "changed"];
    let mut made = Vec::new();
    for name in names {
        let content = if name == "empty" { String::new() } else { format!("{name}\nline two\n\n") };
        made.push(bench.create("host_file", &file(name, &content)).await);
    }
    let ty = bench.resource("host_file");
    assert!(made.iter().all(|state| ty.read_group(state) == ty.read_group(&made[0])));
    let mut elsewhere = file("plain", "x");
    elsewhere["host"]["address"] = json!("192.0.2.1");
    assert_ne!(ty.read_group(&bench.config("host_file", &elsewhere)), ty.read_group(&made[0]));
    fs::remove_file(sshd.dir().join("gone")).unwrap();
    fs::remove_file(sshd.dir().join("folder")).unwrap();
    fs::create_dir(sshd.dir().join("folder")).unwrap();
    grappe_ssh::testing::write(&sshd.dir().join("changed"), "by hand");
    let read = ty.read_many(bench.context(), &made).await.unwrap();
    for ((name, state), together) in names.into_iter().zip(&made).zip(read) {
        match (together, bench.try_read("host_file", state).await) {
            (Ok(together), Ok(alone)) => assert_eq!(together, alone, "{name}"),
            (Err(together), Err(alone)) => assert_eq!(together.summary, alone.summary, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}
