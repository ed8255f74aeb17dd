//! Simulated machines, and types driven on them as planner and engine do.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use grappe_provider::{Fault, Setup};
use grappe_provider_host::testing::Bench;
use grappe_sim::{Knobs, NewMachine, NewPort, World};
use grappe_ssh::Pool;
use grappe_value::{Value, json};
use serde_json::{Value as Json, json};

/// The release that the tests install.
pub(crate) const VERSION: &str = "1.34.2";
pub(crate) const PODS: &str = "10.244.0.0/16";
const FLANNEL: &str = include_str!("../../../../../plans/ha-haproxy-on-every-node/manifests/flannel.yaml");

/// A world, and the way to its machines.
pub(crate) struct Lab {
    folder: tempfile::TempDir,
    pub(crate) world: Arc<World>,
    pub(crate) pool: Pool,
    network: String,
    second: Mutex<Option<String>>,
    key: String,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let id = folder.path().join("id");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&id).status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "ssh-keygen is missing: apt-get install openssh-client"
        );
        let key = std::fs::read_to_string(id.with_extension("pub")).expect("a public key");
        let pool = Pool::new();
        let provider = grappe_sim::provider::provider(pool.clone());
        let setup = Setup { plan_dir: folder.path().into(), data_dir: folder.path().into() };
        let config = Value::object([
            ("world", Value::from("world.json")),
            ("boot_latency_ms", 0.into()),
            ("latency_ms", 0.into()),
            ("fail", json::from_json(&json!({}))),
        ]);
        provider.configure(&setup, &config).await.expect("a world");
        let world = World::open(folder.path().join("world.json")).expect("the same world");
        let network =
            world.create_network("lan", "10.0.0.0/24", false, Default::default()).expect("a network").id;
        Self { folder, world, pool, network, second: Mutex::default(), key }
    }

    /// A machine, and how to reach it.
    pub(crate) fn machine(&self, name: &str) -> Json {
        self.machine_on(name, &[&self.network])
    }

    /// A machine that is reached by one network, and has another one for itself and its like: 192.168.7.0/24.
    pub(crate) fn machine_with_two_cards(&self, name: &str) -> Json {
        let mut second = self.second.lock().expect("no holder panics");
        let network = second.get_or_insert_with(|| {
            let made = self.world.create_network("own", "192.168.7.0/24", false, Default::default());
            made.expect("a network").id
        });
        self.machine_on(name, &[&self.network, network])
    }

    fn machine_on(&self, name: &str, networks: &[&String]) -> Json {
        let port = |network: &&String| {
            let port = NewPort { name: name.into(), network: (*network).clone(), ..NewPort::default() };
            self.world.create_port(port).expect("a port")
        };
        let ports: Vec<_> = networks.iter().map(port).collect();
        let port = ports[0].clone();
        let new = NewMachine {
            name: name.into(),
            ports: ports.into_iter().map(|port| port.id).collect(),
            authorized_keys: vec![self.key.clone()],
            ..NewMachine::default()
        };
        let id = self.world.create_machine(new).expect("a machine").id;
        json!({
            "id": id, "address": port.ip.to_string(), "user": "root", "private_key_file": "id",
            "host_key": self.world.host_public_key(&id).expect("a host key"),
        })
    }

    /// Types of a provider, acting as the object with this key.
    pub(crate) async fn bench(&self, ty: &str, key: &str) -> Bench {
        let pool = self.pool.clone();
        let provider = match ty.split_once('_').map(|(provider, _)| provider) {
            Some("kubeadm") => grappe_provider_kubeadm::provider(pool),
            Some("haproxy") => grappe_provider_haproxy::provider(pool),
            _ => grappe_provider_kube::provider(pool),
        };
        let mut bench = Bench::new(provider, self.folder.path() as &Path).await;
        bench.key = format!("key of {key}");
        bench
    }

    /// Creates, and checks that a plan right after finds nothing to do.
    pub(crate) async fn make(&self, ty: &str, key: &str, given: Json) -> Value {
        self.try_make(ty, key, given).await.unwrap_or_else(|fault| panic!("create {ty} {key}: {fault:#?}"))
    }

    pub(crate) async fn try_make(&self, ty: &str, key: &str, given: Json) -> Result<Value, Fault> {
        let bench = self.bench(ty, key).await;
        let made = bench.try_create(ty, &given).await?;
        let read = bench
            .read(ty, &made)
            .await
            .unwrap_or_else(|| panic!("{ty} {key} is gone right after its creation"));
        let action = bench.action(ty, &read, &given);
        assert_eq!(
            action,
            grappe_provider_host::testing::Action::Nothing,
            "{ty} {key}: {made:#?}\n{read:#?}"
        );
        Ok(read)
    }

    pub(crate) async fn unmake(&self, ty: &str, key: &str, state: &Value) {
        self.bench(ty, key).await.delete(ty, state).await;
    }

    /// Machines prepared for kubeadm, in parallel.
    pub(crate) async fn hosts(&self, names: &[&str]) -> Vec<Json> {
        let machines: Vec<Json> = names.iter().map(|name| self.machine(name)).collect();
        let made = names.iter().zip(&machines);
        join_all(made.map(|(name, machine)| self.make("kubeadm_host", name, host(machine)))).await;
        machines
    }

    /// Runs a command on a machine as root and returns what it printed.
    pub(crate) fn ok(&self, machine: &Json, command: &str) -> String {
        let id = machine["id"].as_str().expect("an id");
        let output = self.world.exec(id, "root", command, b"").expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(output.status, 0, "{command}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    pub(crate) fn kubectl(&self, machine: &Json, args: &str) -> String {
        self.ok(machine, &format!("kubectl --kubeconfig /etc/kubernetes/admin.conf {args}"))
    }

    /// Plans failures: the first `times` commands that start with these words.
    pub(crate) fn fail(&self, words: &str, times: u32) {
        let knobs = Knobs { fail: [(words.to_owned(), times)].into(), ..Knobs::default() };
        self.world.set_knobs(knobs).expect("knobs");
    }
}

pub(crate) fn host(machine: &Json) -> Json {
    json!({"host": machine, "version": VERSION})
}

/// Where the API of a machine listens.
pub(crate) fn endpoint(machine: &Json) -> String {
    format!("{}:6443", machine["address"].as_str().expect("an address"))
}

pub(crate) fn cluster(first: &Json, control_planes: &[Json], endpoint: &str) -> Json {
    json!({
        "host": first, "control_planes": control_planes, "name": "lab", "version": VERSION,
        "control_plane_endpoint": endpoint, "pod_subnet": PODS,
    })
}

pub(crate) fn cni(cluster: &Json) -> Json {
    json!({"cluster": cluster, "manifest": FLANNEL})
}

/// The `cluster` attribute of a `kubeadm_cluster`, as other types take it.
pub(crate) fn cluster_of(state: &Value) -> Json {
    json::to_args(state.get("cluster").expect("it has one"))
}

/// Three control planes behind HAProxy and two workers, all Ready.
pub(crate) struct Ha {
    pub(crate) lab: Lab,
    pub(crate) control_planes: Vec<Json>,
    pub(crate) workers: Vec<Json>,
    pub(crate) cluster_args: Json,
    pub(crate) cluster_state: Value,
    pub(crate) cluster: Json,
    pub(crate) control_plane_states: Vec<Value>,
    pub(crate) worker_states: Vec<Value>,
}

pub(crate) const CPS: [&str; 3] = ["cp1", "cp2", "cp3"];
pub(crate) const WORKERS: [&str; 2] = ["w1", "w2"];

impl Ha {
    pub(crate) async fn new() -> Self {
        let lab = Lab::new().await;
        let lb = lab.machine("lb");
        let all = lab.hosts(&[CPS.as_slice(), &WORKERS].concat()).await;
        let (control_planes, workers) = (all[..3].to_vec(), all[3..].to_vec());
        let backends: Vec<Json> = CPS
            .iter()
            .zip(&control_planes)
            .map(|(name, machine)| json!({"name": name, "address": machine["address"]}))
            .collect();
        let proxy = lab
            .make("haproxy_proxy", "lb", json!({"host": lb, "bind": ["*:6443"], "backends": backends}))
            .await;
        let endpoint = proxy.get("endpoint").and_then(Value::as_str).expect("an endpoint").to_owned();
        let cluster_args = cluster(&control_planes[0], &control_planes, &endpoint);
        let cluster_state = lab.make("kubeadm_cluster", "lab", cluster_args.clone()).await;
        let cluster = cluster_of(&cluster_state);
        let join_workers = join_all(WORKERS.iter().zip(&workers).map(|(name, machine)| {
            lab.make("kubeadm_worker", name, json!({"cluster": cluster, "host": machine}))
        }));
        let join_control_planes = async {
            let mut states = Vec::new();
            for (name, machine) in CPS.iter().zip(&control_planes) {
                let args = json!({"cluster": cluster, "host": machine});
                states.push(lab.make("kubeadm_control_plane", name, args).await);
            }
            states
        };
        let (worker_states, control_plane_states) = futures::join!(join_workers, join_control_planes);
        lab.make("kube_cni", "cni", cni(&cluster)).await;
        Self {
            control_planes,
            workers,
            cluster_args,
            cluster_state,
            cluster,
            control_plane_states,
            worker_states,
            lab,
        }
    }

    /// Names and roles of the nodes, as an admin sees them from a control plane.
    pub(crate) fn nodes(&self, from: usize) -> Vec<String> {
        let listed = self.lab.kubectl(&self.control_planes[from], "get nodes --no-headers");
        listed.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
    }
}
