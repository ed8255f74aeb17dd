//! The provider's types, driven as planner and engine drive them.

use grappe_provider_host::testing::{Action, Bench};
use grappe_sim::provider::{WORLD_FILE, provider};
use grappe_sim::{Knobs, Mishap, World};
use grappe_ssh::Pool;
use grappe_value::Value;
use serde_json::json;

struct Cloud {
    bench: Bench,
    world: std::sync::Arc<World>,
    _dir: tempfile::TempDir,
}

async fn cloud() -> Cloud {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::new(provider(Pool::new()), dir.path()).await;
    let world = World::open(dir.path().join("data").join(WORLD_FILE)).unwrap();
    Cloud { bench, world, _dir: dir }
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{name} of {value:?}")).to_owned()
}

impl Cloud {
    async fn delete(&self, ty: &str, state: &Value) -> Result<(), grappe_provider::Fault> {
        self.bench.resource(ty).delete(self.bench.context(), state).await
    }

    async fn adopt(&self, ty: &str, given: &serde_json::Value) -> Option<Value> {
        let planned = self.bench.plan(ty, None, given);
        self.bench.resource(ty).adopt(self.bench.context(), &planned).await.unwrap()
    }

    /// A network, a port and a machine.
    async fn machine(&mut self) -> (Value, Value, Value) {
        let network = self.bench.create("sim_network", &json!({"name": "lan", "cidr": "10.0.0.0/24"})).await;
        self.bench.key = "port".into();
        let port = json!({"network_id": text(&network, "id"), "fixed_ip": "10.0.0.7", "allowed_address_pairs": ["10.0.0.100/32"]});
        let port = self.bench.create("sim_port", &port).await;
        self.bench.key = "machine".into();
        let machine =
            self.bench.create("sim_machine", &json!({"name": "m", "port_ids": [text(&port, "id")]})).await;
        (network, port, machine)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_lives_from_creation_to_deletion() {
    let mut cloud = cloud().await;
    let (network, port, machine) = cloud.machine().await;
    assert_eq!(text(&port, "ip_address"), "10.0.0.7");
    assert_eq!(text(&machine, "address"), "10.0.0.7");
    assert!(text(&machine, "host_key").starts_with("ssh-ed25519 "));
    assert!(machine.get("simulated").unwrap().same(&true.into()));
    assert_eq!(cloud.bench.run.checkpoints().len(), 3, "each id is on disk as soon as it is known");
    let wanted = json!({"name": "m", "port_ids": [text(&port, "id")]});
    let read = cloud.bench.read("sim_machine", &machine).await.unwrap();
    assert_eq!(cloud.bench.action("sim_machine", &read, &wanted), Action::Nothing);
    let bigger = json!({"name": "m", "port_ids": [text(&port, "id")], "cpus": 4});
    assert_eq!(cloud.bench.action("sim_machine", &read, &bigger), Action::Update(vec!["cpus".into()]));
    let updated = cloud.bench.update("sim_machine", &read, &bigger).await;
    assert_eq!(cloud.world.machine(&text(&updated, "id")).unwrap().host.cpus, 4);
    let other = json!({"name": "m", "port_ids": [text(&port, "id")], "user_data": "#!/bin/sh\n"});
    assert_eq!(cloud.bench.action("sim_machine", &read, &other), Action::Replace("user_data".into()));

    let fault = cloud.delete("sim_network", &network).await.unwrap_err();
    assert!(fault.summary.contains("in use by 1 port"), "{fault:?}");
    cloud.bench.delete("sim_machine", &machine).await;
    cloud.bench.delete("sim_machine", &machine).await;
    assert_eq!(cloud.bench.read("sim_machine", &machine).await, None);
    cloud.bench.delete("sim_port", &port).await;
    cloud.bench.delete("sim_network", &network).await;
    assert!(
        cloud.world.machines().is_empty()
            && cloud.world.ports().is_empty()
            && cloud.world.networks().is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_try_finds_what_the_first_one_made() {
    let mut cloud = cloud().await;
    let (_, port, machine) = cloud.machine().await;
    let wanted = json!({"name": "m", "port_ids": [text(&port, "id")]});
    let again = cloud.bench.create("sim_machine", &wanted).await;
    assert_eq!(text(&again, "id"), text(&machine, "id"));
    assert_eq!(cloud.world.machines().len(), 1);
    let adopted = cloud.adopt("sim_machine", &wanted).await.unwrap();
    assert_eq!(text(&adopted, "id"), text(&machine, "id"));
    cloud.bench.key = "another".into();
    assert_eq!(cloud.adopt("sim_machine", &wanted).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_machine_is_drift_and_is_started() {
    let mut cloud = cloud().await;
    let (_, port, machine) = cloud.machine().await;
    let wanted = json!({"name": "m", "port_ids": [text(&port, "id")]});
    let id = text(&machine, "id");
    cloud.world.stop_machine(&id).unwrap();
    let read = cloud.bench.read("sim_machine", &machine).await.unwrap();
    assert_eq!(cloud.bench.action("sim_machine", &read, &wanted), Action::Update(vec!["running".into()]));
    cloud.bench.update("sim_machine", &read, &wanted).await;
    assert!(cloud.world.machine(&id).unwrap().running);
    let off = json!({"name": "m", "port_ids": [text(&port, "id")], "running": false});
    let read = cloud.bench.read("sim_machine", &machine).await.unwrap();
    cloud.bench.update("sim_machine", &read, &off).await;
    assert!(!cloud.world.machine(&id).unwrap().running);
}

#[tokio::test(flavor = "multi_thread")]
async fn planned_failures_are_transient() {
    let cloud = cloud().await;
    let mut knobs = Knobs::default();
    knobs.fail.insert("create sim_network".into(), 1);
    cloud.world.set_knobs(knobs).unwrap();
    let wanted = json!({"name": "lan", "cidr": "10.0.0.0/24"});
    let fault = cloud.bench.try_create("sim_network", &wanted).await.unwrap_err();
    assert!(fault.is_transient() && fault.summary.contains("simulated fault"), "{fault:?}");
    cloud.bench.create("sim_network", &wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_while_its_answer_was_lost_is_not_made_twice() {
    let cloud = cloud().await;
    let wanted = json!({"name": "lan", "cidr": "10.0.0.0/24"});
    let always = |mishap| Knobs { faults: [(mishap, 100)].into(), ..Knobs::default() };
    for (mishap, made) in [(Mishap::Busy, 0), (Mishap::Broken, 0), (Mishap::Drop, 0), (Mishap::Lost, 1)] {
        cloud.world.set_knobs(always(mishap)).unwrap();
        let fault = cloud.bench.try_create("sim_network", &wanted).await.unwrap_err();
        assert!(fault.is_transient(), "{fault:?}");
        assert_eq!(cloud.world.networks().len(), made, "{mishap:?}");
    }
    cloud.world.set_knobs(always(Mishap::Slow)).unwrap();
    cloud.bench.create("sim_network", &wanted).await;
    assert_eq!(cloud.world.networks().len(), 1, "under the same key it is the same");
    assert!(cloud.world.with(|state| state.mishaps.values().all(|n| *n == 1)), "each is counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_told_before_anything_is_made() {
    let cloud = cloud().await;
    assert_eq!(cloud.bench.problems("sim_network", &json!({"name": "n", "cidr": "10.0.0.1/24"})).len(), 1);
    assert_eq!(cloud.bench.problems("sim_port", &json!({"network_id": "n", "fixed_ip": "x"})).len(), 1);
    assert_eq!(
        cloud.bench.problems("sim_machine", &json!({"name": "n", "port_ids": [], "image": "windows"})).len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_objects_are_read_by_one_list_call() {
    let mut cloud = cloud().await;
    let (network, port, machine) = cloud.machine().await;
    let mut ports = vec![port];
    for n in 0..9 {
        cloud.bench.key = format!("port {n}");
        ports.push(cloud.bench.create("sim_port", &json!({"network_id": text(&network, "id")})).await);
    }
    let gone = ports[4].clone();
    cloud.bench.delete("sim_port", &gone).await;
    let port = cloud.bench.resource("sim_port");
    assert_eq!(port.read_group(&ports[0]), port.read_group(&ports[9]), "one list has them all");
    let before = cloud.world.calls("read sim_port");
    let read = port.read_many(cloud.bench.context(), &ports).await.unwrap();
    assert_eq!((cloud.world.calls("list sim_port"), cloud.world.calls("read sim_port")), (1, before));
    for (n, (was, answer)) in ports.iter().zip(read).enumerate() {
        let now = answer.unwrap();
        assert_eq!(now.is_none(), n == 4);
        assert!(now.is_none_or(|now| now.same(was)), "as each by itself is read");
    }
    let machines = [machine];
    let read = cloud.bench.resource("sim_machine").read_many(cloud.bench.context(), &machines).await.unwrap();
    assert!(read[0].as_ref().unwrap().as_ref().unwrap().same(&machines[0]));
    let mut knobs = Knobs::default();
    knobs.fail.insert("list sim_network".into(), 1);
    cloud.world.set_knobs(knobs).unwrap();
    let networks = [network];
    let ty = cloud.bench.resource("sim_network");
    assert!(ty.read_many(cloud.bench.context(), &networks).await.unwrap_err().is_transient());
    assert!(ty.read_many(cloud.bench.context(), &networks).await.unwrap()[0].is_ok());
}
