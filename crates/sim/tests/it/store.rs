//! The world's file: it survives a kill at any instant, holds what was acknowledged, comes back as it was, and is one process's at a time.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use grappe_sim::world::State;
use grappe_sim::{NewMachine, NewPort, StoreError, World};
use proptest::prelude::*;

use crate::lab::Lab;

/// Set for the process that is to be killed: the folder of its world.
const VICTIM: &str = "GRAPPE_SIM_TEST_VICTIM";

/// No test of its own: the process that the tests below start.
#[test]
#[ignore = "other tests run it in a process of its own"]
#[expect(clippy::disallowed_macros, reason = "it talks to the test that started it")]
fn victim() {
    let Ok(folder) = std::env::var(VICTIM) else { return };
    let world = World::open(format!("{folder}/world.json")).unwrap();
    let machine = world.find_machine("h").unwrap();
    for n in 0.. {
        let output =
            world.exec(&machine, "root", &format!("echo {n} > /root/{n}; echo done {n}"), b"").unwrap();
        println!("{}", String::from_utf8(output.stdout).unwrap().trim());
    }
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    {
        let world = World::open(&path).unwrap();
        let network = world.create_network("n", "10.0.0.0/24", true, Default::default()).unwrap().id;
        let port = world.create_port(NewPort { network, ..NewPort::default() }).unwrap().id;
        world
            .create_machine(NewMachine { name: "h".into(), ports: vec![port], ..NewMachine::default() })
            .unwrap();
    }
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::victim", "--ignored", "--nocapture", "--test-threads=1"])
            .env(VICTIM, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = None;
        while acknowledged.is_none_or(|n| n < 3 + round * 2) {
            let line = lines.next().expect("it goes on until it is killed").unwrap();
            acknowledged = line.strip_prefix("done ").map(|n| n.parse::<i32>().unwrap()).or(acknowledged);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let world = World::open(&path).unwrap();
        let machine = world.find_machine("h").unwrap();
        let last = acknowledged.unwrap();
        let output = world.exec(&machine, "root", &format!("cat /root/{last}"), b"").unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{last}\n"), "round {round}");
    }
}

#[test]
fn its_clock_does_not_go_back() {
    let later = grappe_sim::world::model::real_now() + 86_400_000;
    let text = State::default().to_json().unwrap();
    let (before, after) = text.split_once("\"saved_ms\":").unwrap();
    let saved = format!("{before}\"saved_ms\":{later}{}", &after[after.find(',').unwrap()..]);
    // Saved tomorrow: this computer's clock was set back since.
    assert!(State::from_json(&saved).unwrap().now() >= later);
}

#[test]
fn one_process_at_a_time_and_one_world_within_it() {
    let lab = Lab::new();
    let again = World::open(lab.world.path()).unwrap();
    assert!(std::sync::Arc::ptr_eq(&again, &lab.world), "one path is one world");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::victim", "--ignored", "--nocapture"])
        .env(VICTIM, lab.folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut text).unwrap();
    assert!(!child.wait().unwrap().success() && text.contains("Locked"), "{text}");
    let message = StoreError::Locked { path: "w.json".into(), holder: " (pid 7)".into() }.to_string();
    assert!(message.contains("in use by another process (pid 7)"), "{message}");
}

#[test]
fn a_world_that_is_about_to_be_let_go_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let lock = folder.path().join("world.json.lock");
    let held = std::fs::OpenOptions::new().write(true).create_new(true).open(lock).unwrap();
    held.lock().unwrap();
    let opened = std::thread::scope(|threads| {
        let opening = threads.spawn(|| World::open(folder.path().join("world.json")));
        std::thread::park_timeout(std::time::Duration::from_millis(300));
        assert!(!opening.is_finished(), "opened while another had it");
        drop(held);
        opening.join().unwrap()
    });
    assert!(opened.is_ok(), "{opened:?}");
}

#[test]
fn what_is_no_world_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.json");
    for (text, words) in [
        ("{", "is not a simulated world"),
        ("{\"version\": 2}", "has version 2"),
        ("{\"version\": 1}", "missing field"),
    ] {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(&path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let error = World::open(&path).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn files_are_private_and_show_no_host_key() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Lab::new();
    lab.machine("h");
    for name in ["world.json", "world.json.keys", "world.json.lock"] {
        let path = lab.folder.path().join(name);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let text = std::fs::read_to_string(lab.world.path()).unwrap();
    assert!(!text.contains("OPENSSH PRIVATE KEY"));
}

#[test]
fn the_cloud_refuses_as_clouds_do() {
    let lab = Lab::new();
    let machine = lab.machine("a");
    let ports = lab.world.ports();
    let refused = |result: Result<(), grappe_sim::ApiError>, words: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.contains(words), "{text}");
    };
    refused(lab.world.delete_network(&lab.network), "in use by 1 port");
    refused(lab.world.delete_port(&ports[0].id), "in use by machine");
    let fixed = |ip: &str| NewPort {
        network: lab.network.clone(),
        fixed_ip: Some(ip.parse().unwrap()),
        ..NewPort::default()
    };
    refused(lab.world.create_port(fixed("10.0.0.2")).map(drop), "in use on network");
    refused(lab.world.create_port(fixed("10.0.0.1")).map(drop), "gateway");
    refused(lab.world.create_port(fixed("10.9.9.9")).map(drop), "no host address");
    let again = NewMachine { name: "b".into(), ports: vec![ports[0].id.clone()], ..NewMachine::default() };
    refused(lab.world.create_machine(again).map(drop), "is in use");
    refused(
        lab.world.create_machine(NewMachine { name: "No Name".into(), ..NewMachine::default() }).map(drop),
        "no host name",
    );
    refused(lab.world.create_network("x", "10.0.0.1/24", true, Default::default()).map(drop), "host bits");
    lab.world.set_quota(grappe_sim::Quota { machines: Some(1), ..Default::default() }).unwrap();
    let port = lab.world.create_port(NewPort { network: lab.network.clone(), ..NewPort::default() }).unwrap();
    let more = NewMachine { name: "b".into(), ports: vec![port.id.clone()], ..NewMachine::default() };
    refused(lab.world.create_machine(more).map(drop), "quota of 1 machines");
    lab.world.delete_machine(&machine).unwrap();
    refused(lab.world.delete_machine(&machine), "no machine");
    for port in lab.world.ports() {
        lab.world.delete_port(&port.id).unwrap();
    }
    lab.world.delete_network(&lab.network).unwrap();
}

#[test]
fn user_data_runs_at_the_first_boot() {
    let lab = Lab::new();
    let data = "#cloud-config\nhostname: other\nwrite_files:\n- {path: /etc/a, content: \"x\\n\", permissions: '0600'}\npackages: [socat]\nruncmd:\n- echo ran > /root/ran\n- [sh, -c, 'echo $0 > /root/list']\n";
    let user_data = |text: &str| NewMachine { user_data: text.to_owned(), ..NewMachine::default() };
    let machine = lab.machine_with("h", user_data(data), Vec::new());
    assert!(lab.ok(&machine, "cloud-init status --wait").contains("status: done"));
    assert_eq!(
        lab.ok(&machine, "hostname; stat -c %a /etc/a; cat /root/ran /root/list; which socat"),
        "other\n600\nran\nsh\n/usr/bin/socat\n"
    );
    let script = lab.machine_with("s", user_data("#!/bin/sh\necho hi > /root/hi\nexit 3\n"), Vec::new());
    let (status, stdout, _) = lab.run(&script, "cloud-init status --wait; echo $?; cat /root/hi");
    assert_eq!((status, stdout.as_str()), (0, "status: error\n1\nhi\n"));
    let wrong = lab.machine_with("w", user_data("packages: [socat]\n"), Vec::new());
    assert!(lab.run(&wrong, "cloud-init status --wait").1.contains("error"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever happened to a world, its file gives it back.
    #[test]
    fn a_world_comes_back_as_it_was(
        names in proptest::collection::vec("[a-z][a-z0-9]{0,8}", 1..4),
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        text in "\\PC{0,40}",
        picks in proptest::collection::vec(0..6usize, 0..8),
    ) {
        let lab = Lab::new();
        let machines: Vec<String> = names.iter().map(|n| lab.machine(n)).collect();
        for (n, pick) in picks.iter().enumerate() {
            let machine = &machines[n % machines.len()];
            let command = ["cat > /root/x", "apt-get -qq update; apt-get -qq install -y haproxy", "modprobe br_netfilter; sysctl -w net.ipv4.ip_forward=1", "systemctl stop cron; systemctl mask cron", "ln -s /etc/hosts /root/l$$; mkdir -p /a/b/c", "apt-mark hold curl; swapoff -a; sleep 100"][*pick];
            let input = if n % 2 == 0 { bytes.clone() } else { text.clone().into_bytes() };
            lab.world.exec(machine, "root", command, &input).unwrap();
        }
        let first = std::fs::read_to_string(lab.world.path()).unwrap();
        let mut state = State::from_json(&first).unwrap();
        // But for when it was written.
        let undated = |text: &str| {
            let (head, tail) = text.split_once("\"saved_ms\":").unwrap();
            format!("{head}{}", tail.trim_start_matches(|c: char| c.is_ascii_digit()))
        };
        prop_assert_eq!(undated(&state.to_json().unwrap()), undated(&first));
        let same = lab.world.with(|live| machines.iter().all(|id| live.machines.get(id) == state.machines.get(id)));
        prop_assert!(same, "memory and file differ");
    }
}
