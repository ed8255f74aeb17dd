use crate::{bench, program, sshd_with, text};
use grappe_provider_host::testing::Action;
use grappe_ssh::testing::Sshd;
use grappe_value::{Type, Value};
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};

fn machine(sshd: &Sshd) -> Json {
    json!({
        "address": "127.0.0.1", "port": sshd.port, "user": sshd.user, "sudo": false,
        "private_key_file": sshd.key().to_str(), "wait_timeout": "20s",
    })
}

#[tokio::test]
async fn the_first_key_is_recorded_and_no_other_accepted() {
    let sshd = Sshd::start();
    let bench = bench(&sshd).await;
    let mut config = machine(&sshd);
    let made = bench.create("host_machine", &config).await;
    assert_eq!(text(&made, "host_key"), sshd.host_key("ed25519"));
    assert_eq!(text(&made, "id"), bench.key);
    let connection = made.get("connection").unwrap();
    assert_eq!(text(connection, "host_key"), sshd.host_key("ed25519"));
    assert_eq!(text(connection, "id"), bench.key);
    assert_eq!(bench.run.checkpoints()[0]["host_key"], json!(sshd.host_key("ed25519")));
    let kernel = std::process::Command::new("uname").arg("-r").output().unwrap().stdout;
    assert_eq!(text(&made, "kernel"), String::from_utf8(kernel).unwrap().trim());
    assert!(
        made.get("memory_mb").and_then(Value::as_number).and_then(grappe_value::Number::as_i64) > Some(0)
    );
    let read = bench.read("host_machine", &made).await.unwrap();
    assert_eq!(bench.action("host_machine", &read, &config), Action::Nothing);

    // Another machine answers at the address.
    let impostor = Sshd::start();
    config["port"] = json!(impostor.port);
    config["private_key_file"] = json!(impostor.key().to_str());
    assert!(matches!(bench.action("host_machine", &read, &config), Action::Update(_)));
    let fault = bench.try_update("host_machine", &read, &config).await.unwrap_err();
    assert!(fault.summary.contains("HOST KEY CHANGED") && !fault.is_transient(), "{fault:?}");
    assert!(fault.hint.unwrap().contains("-replace"));
    bench.delete("host_machine", &made).await;
    assert!(bench.read("host_machine", &made).await.is_some(), "the machine itself stays");
}

#[tokio::test]
async fn instance_is_identity() {
    let sshd = Sshd::start();
    let bench = bench(&sshd).await;
    let mut config = machine(&sshd);
    config["instance"] = json!("vm-1");
    let made = bench.create("host_machine", &config).await;
    assert_eq!(text(made.get("connection").unwrap(), "id"), "vm-1");
    // A new way to reach it changes the connection and not the identity, and is known while planning.
    config["address"] = json!("localhost");
    let planned = bench.plan("host_machine", Some(&made), &config);
    let connection = planned.get("connection").unwrap();
    assert_eq!((text(connection, "address"), text(connection, "id")), ("localhost", "vm-1"));
    assert!(connection.is_wholly_known());
    let made = bench.update("host_machine", &made, &config).await;
    assert_eq!(text(made.get("connection").unwrap(), "address"), "localhost");
    config["instance"] = json!("vm-2");
    assert_eq!(bench.action("host_machine", &made, &config), Action::Replace("instance".into()));
    // While the virtual machine is not made yet, nothing is promised that could turn out wrong.
    let unknown =
        bench.config("host_machine", &machine(&sshd)).with_attr("instance", Value::unknown(Type::String));
    let unknown = unknown.with_attr("address", Value::unknown(Type::String));
    let planned = bench.plan_config("host_machine", None, &unknown);
    let connection = planned.get("connection").unwrap();
    assert!(connection.get("id").unwrap().is_unknown() && connection.get("address").unwrap().is_unknown());
    assert_eq!(text(connection, "user"), sshd.user);
}

#[tokio::test]
async fn an_interrupted_creation_pins_the_key_it_saw() {
    let (sshd, impostor) = (Sshd::start(), Sshd::start());
    let mut bench = bench(&sshd).await;
    bench.create("host_machine", &machine(&sshd)).await;
    bench.resumed = bench.run.checkpoints().pop();
    let fault = bench.try_create("host_machine", &machine(&impostor)).await.unwrap_err();
    assert!(fault.summary.contains("HOST KEY CHANGED"), "{fault:?}");
    bench.create("host_machine", &machine(&sshd)).await;
}

#[tokio::test]
async fn a_machine_that_boots_is_waited_for_and_one_that_does_not_ends_the_wait() {
    let sshd = Sshd::start();
    let bench = bench(&sshd).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut config = machine(&sshd);
    config["port"] = json!(port);
    let behind = sshd.port;
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    let start = Instant::now();
    bench.create("host_machine", &config).await;
    assert!(start.elapsed() > Duration::from_secs(1));
    assert!(
        bench.run.progress().iter().any(|step| step.contains("connection refused")),
        "{:?}",
        bench.run.progress()
    );

    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    config["port"] = json!(dead);
    config["wait_timeout"] = json!("2s");
    let start = Instant::now();
    let fault = bench.try_create("host_machine", &config).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(4));
    assert!(fault.summary.contains("not ready within wait_timeout") && !fault.is_transient(), "{fault:?}");

    config["wait_timeout"] = json!("1h");
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        bench.cancel.cancel();
    };
    let (result, ()) = tokio::join!(bench.try_create("host_machine", &config), stop);
    assert!(result.unwrap_err().summary.contains("stopped"));
}

#[tokio::test]
async fn cloud_init_is_waited_for_and_its_failure_is_ours() {
    let (sshd, bin) = sshd_with(&[("cloud-init", "sleep 1; echo status: done")]);
    let bench = bench(&sshd).await;
    let start = Instant::now();
    bench.create("host_machine", &machine(&sshd)).await;
    assert!(start.elapsed() > Duration::from_secs(1));
    program(&bin.path().join("cloud-init"), "echo 'status: degraded'; exit 2");
    bench.create("host_machine", &machine(&sshd)).await;
    assert!(bench.run.progress().iter().any(|step| step.contains("warnings")));
    program(&bin.path().join("cloud-init"), "echo 'status: error'; echo 'detail: no such module'; exit 1");
    let fault = bench.try_create("host_machine", &machine(&sshd)).await.unwrap_err();
    assert!(
        fault.details.iter().any(|line| line.contains("no such module")) && !fault.is_transient(),
        "{fault:?}"
    );
    assert!(fault.hint.unwrap().contains("cloud-init-output.log"));
}

#[tokio::test]
async fn keys_that_arrive_late_and_mistakes() {
    let sshd = Sshd::start();
    let bench = bench(&sshd).await;
    let authorized = sshd.dir().join("authorized_keys");
    let key = std::fs::read_to_string(&authorized).unwrap();
    grappe_ssh::testing::write(&authorized, "");
    let late = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        grappe_ssh::testing::write(&authorized, &key);
    };
    let config = machine(&sshd);
    let (made, ()) = tokio::join!(bench.try_create("host_machine", &config), late);
    made.unwrap();

    let mut known = machine(&sshd);
    known["known_hosts"] = json!(true);
    let fault = bench.try_create("host_machine", &known).await.unwrap_err();
    assert!(fault.summary.contains("is not known"), "{fault:?}");

    let mut wrong = machine(&sshd);
    wrong["wait_timeout"] = json!("soon");
    assert!(bench.problems("host_machine", &wrong)[0].contains("duration"));
    wrong["private_key_file"] = json!("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    assert!(bench.problems("host_machine", &wrong)[1].contains("not the path"));
}
