//! The same types, and the host provider's, on simulated machines: a cloud image whose user is not root, cloud-init, apt, systemd.

use futures::future::BoxFuture;
use grappe_provider_host::testing::{Action, Bench};
use grappe_sim::{Knobs, NewMachine, NewPort, World};
use grappe_ssh::{Dialer, Pool, Stream};
use grappe_value::Value;
use serde_json::{Value as Json, json};
use std::io;
use std::sync::Arc;

struct ToSim(Arc<World>);

impl Dialer for ToSim {
    fn dial(&self, address: &str, _: u16) -> Option<BoxFuture<'static, io::Result<Box<dyn Stream>>>> {
        let (world, machine) = (self.0.clone(), self.0.machine_by_address(address)?);
        Some(Box::pin(async move { Ok(Box::new(world.dial_ssh(&machine).await?) as Box<dyn Stream>) }))
    }
}

struct Lab {
    world: Arc<World>,
    machine: String,
    address: String,
    dir: tempfile::TempDir,
    hosts: Bench,
    proxies: Bench,
}

impl Lab {
    async fn new(user_data: &str) -> Lab {
        let dir = tempfile::tempdir().unwrap();
        grappe_ssh::testing::keygen(&dir.path().join("id"), &["-t", "ed25519"]);
        let key = std::fs::read_to_string(dir.path().join("id.pub")).unwrap();
        let world = World::open(dir.path().join("world.json")).unwrap();
        world.set_knobs(Knobs { boot_latency_ms: 1500, ..Knobs::default() }).unwrap();
        let network = world.create_network("lab", "10.9.0.0/24", false, Default::default()).unwrap();
        let port = world
            .create_port(NewPort { name: "p".into(), network: network.id, ..NewPort::default() })
            .unwrap();
        let new = NewMachine {
            name: "lb1".into(),
            ports: vec![port.id.clone()],
            authorized_keys: vec![key.trim().to_owned()],
            user_data: user_data.into(),
            ..NewMachine::default()
        };
        let machine = world.create_machine(new).unwrap().id;
        let pool = Pool::new();
        pool.add_dialer(Arc::new(ToSim(world.clone())));
        let hosts = Bench::new(grappe_provider_host::provider(pool.clone()), dir.path()).await;
        let proxies = Bench::new(grappe_provider_haproxy::provider(pool), dir.path()).await;
        Lab { world, machine, address: port.ip.to_string(), dir, hosts, proxies }
    }

    fn machine(&self) -> Json {
        json!({"address": self.address, "user": "debian", "private_key_file": "id", "instance": self.machine})
    }

    async fn host(&self) -> Json {
        let made = self.hosts.create("host_machine", &self.machine()).await;
        grappe_value::json::to_json(made.get("connection").unwrap())
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{name} of {value:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_boots_and_is_known() {
    let lab =
        Lab::new("#cloud-config\nwrite_files:\n  - path: /etc/made-by-cloud-init\n    content: yes\n").await;
    let made = lab.hosts.create("host_machine", &lab.machine()).await;
    assert!(lab.hosts.run.progress().iter().any(|step| step.contains("refused")), "it was waited for");
    assert_eq!((text(&made, "hostname"), text(&made, "os_id")), ("lb1", "debian"));
    assert_eq!(text(&made, "host_key"), lab.world.host_public_key(&lab.machine).unwrap().trim());
    assert_eq!(text(made.get("connection").unwrap(), "id"), lab.machine);
    let read = lab.hosts.read("host_machine", &made).await.unwrap();
    assert_eq!(lab.hosts.action("host_machine", &read, &lab.machine()), Action::Nothing);
    lab.world.stop_machine(&lab.machine).unwrap();
    let fault = lab.hosts.try_read("host_machine", &made).await.unwrap_err();
    assert!(fault.is_transient(), "a machine that is off is not gone: {fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_packages_and_commands_under_sudo() {
    let lab = Lab::new("").await;
    let host = lab.host().await;
    let file = json!({"host": host, "path": "/etc/app/it's.conf", "content": "a\n\nb", "mode": "0640", "owner": "root", "group": "root"});
    let made = lab.hosts.create("host_file", &file).await;
    let read = lab.hosts.read("host_file", &made).await.unwrap();
    assert!(read.same(&made), "{read:?}");
    let command = json!({
        "host": host, "run": "echo \"$WORD\" >> /etc/app/it\\'s.conf", "environment": {"WORD": "secret word"},
        "unless": "grep -q secret /etc/app/it\\'s.conf", "undo": "rm -f /etc/app/undone; touch /etc/app/undone",
    });
    let ran = lab.hosts.create("host_command", &command).await;
    assert!(lab.hosts.read("host_command", &ran).await.is_some());
    let drifted = lab.hosts.read("host_file", &made).await.unwrap();
    assert_eq!(text(&drifted, "content"), "a\n\nbsecret word\n");
    lab.hosts.update("host_file", &drifted, &file).await;
    assert_eq!(lab.hosts.read("host_command", &ran).await, None);
    lab.hosts.delete("host_command", &ran).await;
    let undone = json!({"host": host, "path": "/etc/app/undone", "content": "x"});
    let undone = lab.hosts.create("host_file", &undone).await;
    lab.hosts.delete("host_file", &undone).await;
    lab.hosts.delete("host_file", &made).await;
    assert_eq!(lab.hosts.read("host_file", &made).await, None);

    let package = json!({"host": host, "names": ["socat"], "hold": true});
    let made = lab.hosts.create("host_package", &package).await;
    assert!(!text(made.get("versions").unwrap(), "socat").is_empty());
    let read = lab.hosts.read("host_package", &made).await.unwrap();
    assert_eq!(lab.hosts.action("host_package", &read, &package), Action::Nothing);
    lab.hosts.delete("host_package", &made).await;
    assert_eq!(lab.hosts.read("host_package", &made).await, None);
    let nonsense = json!({"host": host, "names": ["no-such-package"]});
    let fault = lab.hosts.try_create("host_package", &nonsense).await.unwrap_err();
    assert!(fault.details.iter().any(|line| line.contains("Unable to locate")), "{fault:?}");
    assert!(lab.dir.path().join("world.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_on_a_fresh_machine() {
    let lab = Lab::new("").await;
    let host = lab.host().await;
    let proxy =
        |name: &str, address: &str| json!({"host": host, "backends": [{"name": name, "address": address}]});
    let one = proxy("cp1", "10.9.0.21");
    let made = lab.proxies.create("haproxy_proxy", &one).await;
    assert_eq!(text(&made, "endpoint"), format!("{}:6443", lab.address));
    assert!(
        lab.proxies.run.progress().iter().any(|step| step == "installing haproxy"),
        "{:?}",
        lab.proxies.run.progress()
    );
    let read = lab.proxies.read("haproxy_proxy", &made).await.unwrap();
    assert_eq!(lab.proxies.action("haproxy_proxy", &read, &one), Action::Nothing);
    let two = proxy("cp2", "10.9.0.22");
    let made = lab.proxies.update("haproxy_proxy", &read, &two).await;
    assert!(text(&made, "config").contains("server cp2 10.9.0.22:6443"));

    let stop = json!({"host": host, "run": "systemctl stop haproxy", "unless": "false"});
    lab.hosts.create("host_command", &stop).await;
    let read = lab.proxies.read("haproxy_proxy", &made).await.unwrap();
    assert_eq!(text(&read, "status"), "stopped");
    let made = lab.proxies.update("haproxy_proxy", &read, &two).await;
    // The machine is switched off and on: the service is enabled, so nothing is left to do.
    lab.world.reboot_machine(&lab.machine).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let read = lab.proxies.read("haproxy_proxy", &made).await.unwrap();
    assert_eq!(lab.proxies.action("haproxy_proxy", &read, &two), Action::Nothing);
    lab.proxies.delete("haproxy_proxy", &made).await;
    assert_eq!(lab.proxies.read("haproxy_proxy", &made).await, None);
    lab.proxies.delete("haproxy_proxy", &made).await;
}
