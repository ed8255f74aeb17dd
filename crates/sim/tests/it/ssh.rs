//! The whole way: the real SSH pool, over a dialer, to a simulated machine's SSH server and its shell.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use grappe_sim::{Knobs, Mishap, NewMachine};
use grappe_ssh::{Auth, Endpoint, Exec, HostKeyCheck, Pool, WriteFile};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use crate::lab::Lab;

struct Reach {
    lab: Lab,
    machine: String,
    address: String,
    key: std::path::PathBuf,
    pool: Pool,
}

fn reach() -> Reach {
    let lab = Lab::new();
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let file = lab.folder.path().join("id");
    let mut options = std::fs::OpenOptions::new();
    let mut out = options.write(true).create_new(true).open(&file).unwrap();
    std::io::Write::write_all(&mut out, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let authorized_keys = vec![key.public_key().to_openssh().unwrap()];
    let machine =
        lab.machine_with("cp1", NewMachine { authorized_keys, ..NewMachine::default() }, Vec::new());
    let address = lab.world.ports()[0].ip.to_string();
    let pool = Pool::new();
    pool.add_dialer(lab.world.dialer());
    Reach { lab, machine, address, key: file, pool }
}

impl Reach {
    fn endpoint(&self, user: &str) -> Endpoint {
        let pinned = self.lab.world.host_public_key(&self.machine).unwrap();
        Endpoint::new(&self.address, user, Auth::key_file(&self.key), HostKeyCheck::Pinned(pinned))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_can_be_cut_before_a_command_and_after_it() {
    let reach = reach();
    let host = reach.pool.host(&reach.endpoint("root")).await.unwrap();
    for (mishap, lines) in [(Mishap::Drop, ""), (Mishap::Lost, "did")] {
        let knobs = Knobs { faults: [(mishap, 100)].into(), ..Knobs::default() };
        reach.lab.world.set_knobs(knobs).unwrap();
        let error = host.exec(Exec::new("echo did >> /root/it")).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        reach.lab.world.set_knobs(Knobs::default()).unwrap();
        let host = reach.pool.host(&reach.endpoint("root")).await.unwrap();
        let read = host.exec(Exec::new("cat /root/it 2> /dev/null || true")).await.unwrap();
        assert_eq!(read.stdout_str(), lines, "{mishap:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_files_and_sudo_go_through_the_pool() {
    let reach = reach();
    let host = reach.pool.host(&reach.endpoint("root")).await.unwrap();
    let output = host.exec(Exec::new("cat; id -un; exit 7").stdin("in\n")).await.unwrap();
    assert_eq!((output.code(), output.stdout_str().as_str()), (Some(7), "in\nroot"));

    let file = WriteFile {
        path: "/etc/deep/er/file".to_owned(),
        content: b"hello\n".to_vec(),
        mode: 0o640,
        owner: None,
        group: None,
    };
    host.write_file(&file).await.unwrap();
    let read = host.read_file(&file.path).await.unwrap().unwrap();
    assert_eq!((read.content.as_slice(), read.mode, read.owner.as_str()), (&b"hello\n"[..], 0o640, "root"));
    let stat = host.stat_file(&file.path).await.unwrap().unwrap();
    assert_eq!((stat.size, stat.sha256), (6, read.sha256));
    assert!(host.read_file("/etc/none").await.unwrap().is_none());

    let debian = reach.pool.host(&reach.endpoint("debian")).await.unwrap();
    assert_eq!(debian.exec(Exec::new("id -un")).await.unwrap().stdout_str(), "debian");
    assert_eq!(debian.exec(Exec::new("id -un").sudo(true)).await.unwrap().stdout_str(), "root");
    assert_ne!(debian.exec(Exec::new("echo x > /etc/x")).await.unwrap().code(), Some(0));

    let long = format!("echo {} | wc -c", "x".repeat(200_000));
    assert_eq!(host.exec(Exec::new(long)).await.unwrap().stdout_str(), "200001");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_run_at_once() {
    let reach = Arc::new(reach());
    let host = reach.pool.host(&reach.endpoint("root")).await.unwrap();
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let host = host.clone();
            tokio::spawn(
                async move { host.exec(Exec::new(format!("echo {n} > /tmp/{n}; cat /tmp/{n}"))).await },
            )
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().unwrap().stdout_str(), n.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn power_and_strangers() {
    let reach = reach();
    let endpoint = reach.endpoint("root");
    assert!(reach.lab.world.dialer().dial("192.0.2.1", 22).is_none(), "not an address of this world");
    let host = reach.pool.host(&endpoint).await.unwrap();
    host.exec(Exec::new("touch /tmp/gone /etc/stays")).await.unwrap();
    reach.lab.world.stop_machine(&reach.machine).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while let Ok(host) = reach.pool.host(&endpoint).await {
        // The pool may take a moment to see that its connection was cut; no command gets through it.
        assert!(host.exec(Exec::new("true")).await.is_err(), "a machine that is off runs nothing");
        assert!(std::time::Instant::now() < deadline, "a machine that is off refuses");
    }
    reach.lab.world.start_machine(&reach.machine).unwrap();
    let host = reach.pool.host(&endpoint).await.unwrap();
    assert_eq!(host.exec(Exec::new("ls /tmp; ls /etc/stays")).await.unwrap().stdout_str(), "/etc/stays");

    let stranger = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let file = reach.lab.folder.path().join("stranger");
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).open(&file).unwrap();
    std::io::Write::write_all(&mut out, stranger.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let refused = Endpoint { auth: Auth::key_file(&file), ..endpoint };
    let pool = Pool::new();
    pool.add_dialer(reach.lab.world.dialer());
    assert!(pool.host(&refused).await.is_err(), "an unknown key is refused");
}

#[tokio::test]
async fn an_address_that_nobody_has_leads_nowhere() {
    let lab = Lab::new();
    let machine = lab.machine("h");
    let dialer = lab.world.dialer();
    let error = |address: &str| dialer.dial(address, 22).expect("it is this world's");
    lab.world.delete_machine(&machine).unwrap();
    let Err(refused) = error("10.0.0.2").await else { panic!("a machine that is gone answers") };
    assert_eq!(refused.kind(), std::io::ErrorKind::HostUnreachable, "{refused}");
    assert!(dialer.dial("192.0.2.1", 22).is_none(), "others' addresses are others'");
}
