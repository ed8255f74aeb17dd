//! `keepalived_vip` with the real keepalived, on two hosts that are network namespaces joined by a cable. systemd is played by a
//! script; what the address leads to is a real HAProxy in each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use grappe_provider_host::testing::{Action, Bench, connection};
use grappe_ssh::Pool;
use grappe_ssh::testing::{Sshd, write};
use grappe_value::Value;
use serde_json::{Value as Json, json};

const TYPE: &str = "keepalived_vip";
const VIP: &str = "10.99.7.100";

/// Runs a program that must succeed.
fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args:?} (network namespaces need root): {text}");
    output
}

/// One host: a network namespace, an sshd whose commands run in it, and a systemctl of ours.
struct Machine {
    sshd: Sshd,
    dir: tempfile::TempDir,
    netns: String,
}

/// Two of them.
struct Lab {
    machines: Vec<Machine>,
}

impl Lab {
    fn new() -> Lab {
        for program in ["/usr/sbin/keepalived", "/usr/sbin/haproxy"] {
            assert!(
                PathBuf::from(program).exists(),
                "{program} is missing: apt-get install keepalived haproxy"
            );
        }
        let name = |end: &str| format!("ka{}{end}", std::process::id());
        let lab = Lab { machines: ["a", "b"].map(|end| Machine::new(name(end))).into() };
        let [a, b] = lab.machines.as_slice() else { unreachable!("two were made") };
        run(
            "ip",
            &[
                "-n", &a.netns, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
                &b.netns,
            ],
        );
        for (machine, address) in [(a, "10.99.7.1/24"), (b, "10.99.7.2/24")] {
            run("ip", &["-n", &machine.netns, "addr", "add", address, "dev", "eth0"]);
            for card in ["lo", "eth0"] {
                run("ip", &["-n", &machine.netns, "link", "set", card, "up"]);
            }
            machine.start_haproxy();
        }
        lab
    }
}

impl Machine {
    fn new(netns: String) -> Machine {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let d = dir.path().display();
        // keepalived refuses what others than root could change: its folder is root's own.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("its own folder");
        let alive = format!("{{ [ -s {d}/pid ] && kill -0 $(cat {d}/pid) 2>/dev/null; }}");
        let start = format!(
            "{{ setsid keepalived -n -l -D -f {d}/keepalived.conf -p {d}/pid -r {d}/vrrp.pid -c {d}/check.pid >> {d}/log 2>&1 </dev/null & \
             until {alive}; do sleep 0.02; done; }}"
        );
        let stop =
            format!("{{ if {alive}; then kill $(cat {d}/pid); while {alive}; do sleep 0.02; done; fi; }}");
        let systemctl = format!(
            "#!/bin/sh\necho \"$*\" >> {d}/systemctl.log\n\
             case $1 in\nis-active) {alive} ;;\nis-enabled) [ -e {d}/enabled ] ;;\nenable) touch {d}/enabled ;;\ncat) true ;;\n\
             restart) {stop}; {start} ;;\nreload) kill -HUP $(cat {d}/pid) ;;\n\
             disable) rm -f {d}/enabled; {stop} ;;\n*) exit 1 ;;\nesac\n"
        );
        for (name, script) in [("systemctl", systemctl.as_str()), ("journalctl", "#!/bin/sh\ntrue\n")] {
            let path = dir.path().join(name);
            write(&path, script);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a script");
        }
        run("ip", &["netns", "add", &netns]);
        let enter = format!("ForceCommand ip netns exec {netns} sh -c \"$SSH_ORIGINAL_COMMAND\"");
        let sshd = Sshd::start_with(&format!("SetEnv PATH={d}:/usr/sbin:/usr/bin:/sbin:/bin\n{enter}"));
        Machine { sshd, dir, netns }
    }

    fn start_haproxy(&self) {
        let (file, pid) = (self.dir.path().join("haproxy.cfg"), self.dir.path().join("haproxy.pid"));
        write(
            &file,
            "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nlisten api\n  bind 127.0.0.1:6443\n",
        );
        let (file, pid) = (file.display().to_string(), pid.display().to_string());
        run("ip", &["netns", "exec", &self.netns, "haproxy", "-q", "-D", "-f", &file, "-p", &pid]);
    }

    /// Pulls the plug of HAProxy, or of keepalived.
    fn kill(&self, what: &str) {
        let pids = fs::read_to_string(self.dir.path().join(what)).expect("a pid file");
        for pid in pids.split_whitespace() {
            run("kill", &["-9", pid]);
        }
    }

    fn holds(&self) -> bool {
        let shown = run("ip", &["-n", &self.netns, "-o", "addr", "show", "dev", "eth0"]);
        String::from_utf8_lossy(&shown.stdout).contains(VIP)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("keepalived.conf")
    }

    async fn bench(&self) -> Bench {
        Bench::new(grappe_provider_keepalived::provider(Pool::new()), self.dir.path()).await
    }

    fn config(&self, priority: u8) -> Json {
        let other = if priority == 101 { "10.99.7.2" } else { "10.99.7.1" };
        json!({
            "host": connection(&self.sshd), "vip": VIP, "virtual_router_id": 51, "priority": priority, "auth_pass": "s3cret",
            "unicast_peers": [other],
            "config_file": self.file().to_str(),
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Ok(pids) = Command::new("ip").args(["netns", "pids", &self.netns]).output() {
            for pid in String::from_utf8_lossy(&pids.stdout).split_whitespace() {
                let _ = Command::new("kill").args(["-9", pid]).status();
            }
        }
        let _ = Command::new("ip").args(["netns", "del", &self.netns]).status();
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{name} of {value:?}"))
}

/// Waits until the first or the second holds the address, alone, and returns for how long.
async fn moves_to(lab: &Lab, holder: usize, why: &str) -> Duration {
    let begun = Instant::now();
    loop {
        let held: Vec<bool> = lab.machines.iter().map(Machine::holds).collect();
        if held[holder] && !held[1 - holder] {
            return begun.elapsed();
        }
        let logs = || lab.machines.iter().map(Machine::log).collect::<Vec<_>>().join("\n---\n");
        assert!(begun.elapsed() < Duration::from_secs(60), "{why}: held {held:?}\n{}", logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_goes_where_it_is_served() {
    let lab = Lab::new();
    let [a, b] = lab.machines.as_slice() else { unreachable!("two were made") };
    let (bench_a, bench_b) = (a.bench().await, b.bench().await);
    let (config_a, config_b) = (a.config(101), b.config(100));
    let made_b = bench_b.create(TYPE, &config_b).await;
    let made_a = bench_a.create(TYPE, &config_a).await;
    assert_eq!((text(&made_a, "interface"), text(&made_a, "address")), ("eth0", VIP));
    assert!(!text(&made_a, "config").contains("s3cret"));
    assert!(fs::read_to_string(a.file()).expect("its file").contains("auth_pass s3cret"));
    let mode = fs::metadata(a.file()).expect("its file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    moves_to(&lab, 0, "the higher priority").await;
    let read_a = bench_a.read(TYPE, &made_a).await.expect("it is there");
    assert_eq!(text(&read_a, "state"), "MASTER");
    assert_eq!(bench_a.action(TYPE, &read_a, &config_a), Action::Nothing);

    // HAProxy dies: the address goes to where there is one, and comes back with it.
    a.kill("haproxy.pid");
    moves_to(&lab, 1, "the other's HAProxy is dead").await;
    let moved = bench_b.read(TYPE, &made_b).await.expect("it is there");
    assert_eq!(text(&moved, "state"), "MASTER");
    assert_eq!(bench_b.action(TYPE, &moved, &config_b), Action::Nothing, "that it moves is no difference");
    let left = bench_a.read(TYPE, &made_a).await.expect("it is there");
    assert_eq!((text(&left, "state"), bench_a.action(TYPE, &left, &config_a)), ("BACKUP", Action::Nothing));
    a.start_haproxy();
    moves_to(&lab, 0, "HAProxy is back").await;

    // A change of the file is shown, and leaves the address where it is.
    let mut raised = config_b.clone();
    raised["priority"] = json!(90);
    assert_eq!(
        bench_b.action(TYPE, &moved, &raised),
        Action::Update(vec!["config".into(), "priority".into()])
    );
    let made_b = bench_b.update(TYPE, &moved, &raised).await;
    assert!(a.holds() && !b.holds());

    // Edited on the host, another password, stopped: each is seen, and mended.
    let good = fs::read_to_string(b.file()).expect("its file");
    write(&b.file(), &good.replace("s3cret", "guessed"));
    let drifted = bench_b.read(TYPE, &made_b).await.expect("it is there");
    assert!(!text(&drifted, "config").contains("guessed"));
    assert_eq!(bench_b.action(TYPE, &drifted, &raised), Action::Update(vec!["config".into()]));
    let made_b = bench_b.update(TYPE, &drifted, &raised).await;
    assert_eq!(fs::read_to_string(b.file()).expect("its file"), good);
    fs::remove_file(b.dir.path().join("enabled")).expect("it was enabled");
    let drifted = bench_b.read(TYPE, &made_b).await.expect("it is there");
    assert_eq!(text(&drifted, "status"), "not enabled");
    let made_b = bench_b.update(TYPE, &drifted, &raised).await;

    // What keepalived refuses never replaces what runs.
    let mut bad = raised.clone();
    bad["interface"] = json!("nope0");
    let fault = bench_b.try_update(TYPE, &made_b, &bad).await.expect_err("there is no such card");
    assert!(fault.summary.contains("keepalived -t"), "{fault:?}");
    assert_eq!(fs::read_to_string(b.file()).expect("its file"), good);

    // The whole machine's keepalived is gone, with no time to say so.
    a.kill("vrrp.pid");
    a.kill("pid");
    let begun = Instant::now();
    while !b.holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the address was not taken over\n{}", b.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    bench_b.delete(TYPE, &made_b).await;
    assert!(!b.holds() && !b.file().exists());
    assert_eq!(bench_b.read(TYPE, &made_b).await, None);
    bench_b.delete(TYPE, &made_b).await;
}

#[tokio::test]
async fn nonsense_is_refused_in_the_plan() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let bench = Bench::new(grappe_provider_keepalived::provider(Pool::new()), dir.path()).await;
    let problem = |name: &str, value: Json| {
        let mut config = json!({"host": {"address": "10.0.0.1"}, "vip": VIP, "virtual_router_id": 51});
        config[name] = value;
        bench.problems(TYPE, &config).join("")
    };
    assert_eq!(problem("priority", json!(150)), "");
    assert!(problem("vip", json!("somewhere")).contains("is not an address"));
    assert!(problem("virtual_router_id", json!(256)).contains("1 to 255"));
    assert!(problem("priority", json!(255)).contains("1 to 254"));
    assert!(problem("auth_pass", json!("much too long")).contains("8 characters"));
    assert!(problem("check", json!("haproxy")).contains("address:port"));
    assert!(problem("cidr", json!("10.0.0.1/99")).contains("is not a network"));
    assert!(problem("unicast_peers", json!(["fd00::1"])).contains("another address family"));
}
