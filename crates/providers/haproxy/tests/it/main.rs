//! `haproxy_proxy` against a real sshd and a real HAProxy on loopback. systemd is played by a script that starts, reloads and stops
//! that HAProxy as its unit does.

mod sim;

use grappe_provider_host::testing::{Action, Bench, connection};
use grappe_ssh::Pool;
use grappe_ssh::testing::{Sshd, wait_until, write};
use grappe_value::{Type, Value};
use serde_json::{Value as Json, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// A host with a real HAProxy under a systemctl of ours.
struct Lab {
    sshd: Sshd,
    dir: tempfile::TempDir,
    port: u16,
}

impl Lab {
    fn new() -> Lab {
        let version = std::process::Command::new("haproxy").arg("-v").output();
        assert!(version.is_ok(), "HAProxy is missing: apt-get install haproxy");
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path().display();
        // The pid file is empty for a moment at each reload: who lives is asked of the processes.
        let pid = format!("$(pgrep -o -f -- '-p {d}/pid ')");
        let alive = format!("pgrep -f -- '-p {d}/pid ' >/dev/null");
        // As systemd's Type=notify would have it: started once it has a worker, stopped once it is gone.
        let start = format!(
            "{{ haproxy -W -D -p {d}/pid -f {d}/haproxy.cfg >/dev/null 2>&1 && \
             until [ $(pgrep -c -f -- '-p {d}/pid ') -ge 2 ]; do sleep 0.02; done; }}"
        );
        let stop = format!("{{ {alive} && kill {pid}; while {alive}; do sleep 0.02; done; }}");
        let systemctl = format!(
            "#!/bin/sh\necho \"$*\" >> {d}/systemctl.log\nif [ -e {d}/broken ] && [ \"$1\" = reload ]; then exit 1; fi\n\
             case $1 in\nis-active) {alive} ;;\nis-enabled) [ -e {d}/enabled ] ;;\nenable) touch {d}/enabled ;;\ncat) true ;;\n\
             restart) {stop}; {start} ;;\nreload) haproxy -c -f {d}/haproxy.cfg >/dev/null && kill -USR2 {pid} ;;\n\
             disable) rm -f {d}/enabled; {stop} ;;\n*) exit 1 ;;\nesac\n"
        );
        for (name, script) in
            [("systemctl", systemctl.as_str()), ("journalctl", "#!/bin/sh\necho 'the unit is broken'\n")]
        {
            let path = dir.path().join(name);
            write(&path, script);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let sshd = Sshd::start_with(&format!("SetEnv PATH={d}:/usr/sbin:/usr/bin:/sbin:/bin"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Lab { sshd, dir, port }
    }

    async fn bench(&self) -> Bench {
        Bench::new(grappe_provider_haproxy::provider(Pool::new()), self.dir.path()).await
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("haproxy.cfg")
    }

    fn config(&self, backends: Json) -> Json {
        json!({
            "host": connection(&self.sshd), "bind": [format!("127.0.0.1:{}", self.port)], "backends": backends,
            "check": "tcp", "config_file": self.file().to_str(),
            "stats_socket": self.dir.path().join("admin.sock").to_str(),
        })
    }

    /// What the server behind the proxy says of itself.
    fn ask(&self) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        let mut name = [0; 3];
        stream.read_exact(&mut name).ok()?;
        String::from_utf8(name.to_vec()).ok()
    }

    fn commands(&self) -> Vec<String> {
        let log = fs::read_to_string(self.dir.path().join("systemctl.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.dir.path().join("pid")) {
            let _ = std::process::Command::new("kill").arg(pid.trim()).status();
        }
    }
}

/// A server that says its name and then echoes.
fn server(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let _ = stream.write_all(name.as_bytes());
                let mut copy = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut stream, &mut copy);
            });
        }
    });
    port
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{name} of {value:?}"))
}

#[tokio::test]
async fn a_proxy_through_its_life() {
    let lab = Lab::new();
    let bench = lab.bench().await;
    let (one, two) = (server("one"), server("two"));
    let first = lab.config(json!([{"name": "one", "address": "127.0.0.1", "port": one}]));
    let made = bench.create("haproxy_proxy", &first).await;
    assert_eq!(text(&made, "endpoint"), format!("127.0.0.1:{}", lab.port));
    assert_eq!(fs::read_to_string(lab.file()).unwrap(), text(&made, "config"));
    wait_until("the first server", || lab.ask().as_deref() == Some("one"));
    let read = bench.read("haproxy_proxy", &made).await.unwrap();
    assert_eq!(bench.action("haproxy_proxy", &read, &first), Action::Nothing);
    // Created again, as after a kill: the same.
    assert!(bench.create("haproxy_proxy", &first).await.same(&made));

    // Another server takes its place. The plan shows the file; open connections live on.
    let mut open = TcpStream::connect(("127.0.0.1", lab.port)).unwrap();
    let mut buffer = [0; 3];
    open.read_exact(&mut buffer).unwrap();
    let second = lab.config(json!([{"name": "two", "address": "127.0.0.1", "port": two}]));
    assert_eq!(
        bench.action("haproxy_proxy", &read, &second),
        Action::Update(vec!["backends".into(), "config".into()])
    );
    let changed = bench.update("haproxy_proxy", &read, &second).await;
    assert_eq!(lab.commands().iter().filter(|command| *command == "reload haproxy").count(), 2);
    wait_until("the second server", || lab.ask().as_deref() == Some("two"));
    open.write_all(b"hey").unwrap();
    open.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"hey", "the reload dropped an open connection");

    // A server that dies is shown, and is no difference.
    let both = lab.config(json!([
        {"name": "two", "address": "127.0.0.1", "port": two}, {"name": "dead", "address": "127.0.0.1", "port": 1},
    ]));
    let changed = bench.update("haproxy_proxy", &changed, &both).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let shown = loop {
        let read = bench.read("haproxy_proxy", &changed).await.unwrap();
        assert_eq!(bench.action("haproxy_proxy", &read, &both), Action::Nothing);
        let down = read.get("down").cloned().unwrap();
        if down.get("dead").is_some() || std::time::Instant::now() > deadline {
            break down;
        }
    };
    assert!(text(&shown, "dead").starts_with("DOWN: "), "{shown:?}");
    assert_eq!(shown.get("two"), None, "{shown:?}");
    let changed = bench.update("haproxy_proxy", &changed, &second).await;

    // Edited on the host, stopped, disabled: each is seen, and mended.
    write(&lab.file(), "# mine now\n");
    let drifted = bench.read("haproxy_proxy", &changed).await.unwrap();
    assert_eq!(bench.action("haproxy_proxy", &drifted, &second), Action::Update(vec!["config".into()]));
    let mended = bench.update("haproxy_proxy", &drifted, &second).await;
    fs::remove_file(lab.dir.path().join("enabled")).unwrap();
    let drifted = bench.read("haproxy_proxy", &mended).await.unwrap();
    assert_eq!(text(&drifted, "status"), "not enabled");
    assert_eq!(bench.action("haproxy_proxy", &drifted, &second), Action::Update(vec!["status".into()]));
    bench.update("haproxy_proxy", &drifted, &second).await;

    bench.delete("haproxy_proxy", &changed).await;
    assert!(!lab.file().exists());
    wait_until("the end of the service", || lab.ask().is_none());
    assert_eq!(bench.read("haproxy_proxy", &changed).await, None);
    bench.delete("haproxy_proxy", &changed).await;
}

#[tokio::test]
async fn a_file_that_haproxy_refuses_never_replaces_the_old_one() {
    let lab = Lab::new();
    let bench = lab.bench().await;
    let good = lab.config(json!([]));
    let made = bench.create("haproxy_proxy", &good).await;
    // An address of no interface's form, which only HAProxy itself can tell.
    let mut bad = good.clone();
    bad["bind"] = json!(["no-such-host.invalid:6443"]);
    let fault = bench.try_update("haproxy_proxy", &made, &bad).await.unwrap_err();
    assert!(fault.summary.contains("haproxy -c") && !fault.is_transient(), "{fault:?}");
    assert!(fault.details.iter().any(|line| line.contains("no-such-host")), "{fault:?}");
    assert_eq!(fs::read_to_string(lab.file()).unwrap(), text(&made, "config"));
    assert_eq!(
        bench.action("haproxy_proxy", &bench.read("haproxy_proxy", &made).await.unwrap(), &good),
        Action::Nothing
    );
}

#[tokio::test]
async fn a_run_that_was_killed_before_the_reload_is_made_up_for() {
    let lab = Lab::new();
    let bench = lab.bench().await;
    let (one, two) = (server("one"), server("two"));
    let made = bench
        .create("haproxy_proxy", &lab.config(json!([{"name": "one", "address": "127.0.0.1", "port": one}])))
        .await;
    let second = lab.config(json!([{"name": "two", "address": "127.0.0.1", "port": two}]));
    write(&lab.dir.path().join("broken"), "");
    let fault = bench.try_update("haproxy_proxy", &made, &second).await.unwrap_err();
    assert!(fault.details.contains(&"the unit is broken".to_owned()), "{fault:?}");
    fs::remove_file(lab.dir.path().join("broken")).unwrap();
    // The file is the new one already, the process still works by the old one.
    let read = bench.read("haproxy_proxy", &made).await.unwrap();
    assert_eq!(text(&read, "status"), "not reloaded");
    assert!(
        matches!(bench.action("haproxy_proxy", &read, &second), Action::Update(names) if names.contains(&"status".into()))
    );
    let mended = bench.update("haproxy_proxy", &read, &second).await;
    assert_eq!(text(&bench.read("haproxy_proxy", &mended).await.unwrap(), "status"), "running");
    wait_until("the second server", || lab.ask().as_deref() == Some("two"));
}

#[tokio::test]
async fn plans_know_the_file_or_say_that_they_do_not() {
    let lab = Lab::new();
    let bench = lab.bench().await;
    let config = lab.config(json!([{"name": "cp1", "address": "10.0.0.1"}]));
    let planned = bench.plan("haproxy_proxy", None, &config);
    assert!(text(&planned, "config").contains("server cp1 10.0.0.1:6443\n"));
    let unknown = bench.config("haproxy_proxy", &config);
    let unknown = unknown.with_attr("backends", Value::unknown(Type::Any));
    let planned = bench.plan_config("haproxy_proxy", None, &unknown);
    assert!(planned.get("config").unwrap().is_unknown());
    assert_eq!(text(&planned, "endpoint"), format!("127.0.0.1:{}", lab.port));
    let problem = |name: &str, value: Json| {
        let mut config = config.clone();
        config[name] = value;
        bench.problems("haproxy_proxy", &config).join("")
    };
    assert!(problem("bind", json!([])).contains("binds no address"));
    assert!(problem("check", json!("ping")).contains("\"https\" or \"tcp\""));
    assert!(
        problem("backends", json!([{"name": "me", "address": "127.0.0.1", "port": lab.port}]))
            .contains("127.0.0.1:7443"),
        "it would take its own server's port"
    );
    assert!(problem("balance", json!("luck")).contains("leastconn"));
    assert!(problem("backends", json!([{"name": "a b", "address": "x"}])).contains("a b"));
}
