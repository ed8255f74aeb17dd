//! A cluster's second day: drains that give up, upgrades over several minors, certificates, and what dies by itself.

use std::sync::Arc;

use futures::future::join;
use grappe_provider::Fault;
use grappe_provider_host::testing::{Action, Bench};
use grappe_value::Value;
use serde_json::{Value as Json, json};

use crate::lab::{CPS, Ha, Lab, WORKERS, cluster, cluster_of, endpoint};

/// Two pods on any node but the control planes, both of which must stay.
const KEPT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'registry.k8s.io/pause:3.10'}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec: {minAvailable: 2, selector: {matchLabels: {app: web}}}
";

const WORKER: &str = "kubeadm_worker";

impl Ha {
    async fn with_pods_that_stay() -> Self {
        let ha = Ha::new().await;
        let given = json!({"cluster": ha.cluster, "manifest": KEPT, "wait": true});
        ha.lab.make("kube_manifest", "web", given).await;
        ha
    }

    fn kubectl(&self, args: &str) -> String {
        self.lab.kubectl(&self.control_planes[0], args)
    }

    /// Whether a node takes pods, and whether it is noted that it was closed here.
    fn closed(&self, node: &str) -> (bool, bool) {
        let node: Json =
            serde_json::from_str(&self.kubectl(&format!("get node {node} -o json"))).expect("JSON");
        let noted = node["metadata"]["annotations"]["grappe.io/cordoned"].is_string();
        (node["spec"]["unschedulable"] == true, noted)
    }

    fn node_of_a_pod(&self) -> usize {
        let on = self.kubectl("get pods -l app=web -o jsonpath='{.items[0].spec.nodeName}'");
        WORKERS.iter().position(|name| *name == on.trim()).expect("a worker")
    }

    fn worker_args(&self, at: usize, more: Json) -> Json {
        let mut args = json!({"cluster": self.cluster, "host": self.workers[at]});
        args.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        args
    }

    /// The worker with other settings, in the state only.
    async fn recorded(&self, at: usize, more: Json) -> (Bench, Value) {
        let bench = self.lab.bench(WORKER, WORKERS[at]).await;
        let updated = bench.update(WORKER, &self.worker_states[at], &self.worker_args(at, more)).await;
        (bench, updated)
    }
}

async fn delete(bench: &Bench, ty: &str, state: &Value) -> Result<(), Fault> {
    bench.resource(ty).delete(bench.context(), state).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_gives_up_names_what_blocks_it_and_opens_the_node_again() {
    let ha = Ha::with_pods_that_stay().await;
    let at = ha.node_of_a_pod();
    let (bench, state) = ha.recorded(at, json!({"drain_timeout": "1s"})).await;
    let fault = delete(&bench, WORKER, &state).await.expect_err("a budget forbids it");
    assert!(!fault.is_transient(), "{fault:#?}");
    let told = fault.details.join("\n");
    assert!(
        told.contains("default/web-") && told.contains("held by the disruption budget default/web"),
        "{told}"
    );
    assert!(fault.hint.as_deref().is_some_and(|hint| hint.contains("drain_policy")), "{fault:#?}");
    assert_eq!(ha.closed(WORKERS[at]), (false, false));
    assert_eq!(ha.nodes(0).len(), 5);

    // One that somebody else had closed is not ours to open.
    ha.kubectl(&format!("cordon {}", WORKERS[at]));
    delete(&bench, WORKER, &state).await.expect_err("still");
    assert_eq!(ha.closed(WORKERS[at]), (true, false));
    ha.kubectl(&format!("uncordon {}", WORKERS[at]));

    // By force they go; the node leaves.
    let (bench, state) = ha.recorded(at, json!({"drain_timeout": "1s", "drain_policy": "force"})).await;
    delete(&bench, WORKER, &state).await.expect("it leaves");
    assert_eq!(ha.nodes(0).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_drain_a_node_leaves_whatever_runs_there() {
    let ha = Ha::with_pods_that_stay().await;
    let at = ha.node_of_a_pod();
    let (bench, state) = ha.recorded(at, json!({"drain_policy": "skip"})).await;
    delete(&bench, WORKER, &state).await.expect("it leaves");
    assert_eq!(ha.nodes(0).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_a_killed_run_left_closed_is_seen_and_opened() {
    let ha = Ha::new().await;
    // What a run has done when it is killed in a drain.
    ha.kubectl("annotate node w1 grappe.io/cordoned=drain");
    ha.kubectl("cordon w1");
    let bench = ha.lab.bench(WORKER, "w1").await;
    let read = bench.read(WORKER, &ha.worker_states[0]).await.expect("it is there");
    let args = ha.worker_args(0, json!({}));
    assert_eq!(bench.action(WORKER, &read, &args), Action::Update(vec!["parts".into()]));
    let mended = bench.update(WORKER, &read, &args).await;
    assert_eq!(ha.closed("w1"), (false, false));
    assert_eq!(
        bench.action(WORKER, &bench.read(WORKER, &mended).await.expect("it is there"), &args),
        Action::Nothing
    );
}

/// Sets the source of the release on all machines, as `kubeadm_host` does for live nodes.
async fn set_release(ha: &Ha, version: &str) {
    for (name, machine) in CPS.iter().chain(&WORKERS).zip(ha.control_planes.iter().chain(&ha.workers)) {
        ha.lab.make("kubeadm_host", name, json!({"host": machine, "version": version})).await;
    }
}

/// The cluster's control planes in another release, and what was said on the way there.
async fn upgraded(ha: &Ha, version: &str) -> (Json, Vec<String>) {
    let mut args = ha.cluster_args.clone();
    args["version"] = json!(version);
    let bench = ha.lab.bench("kubeadm_cluster", "lab").await;
    let action = bench.action("kubeadm_cluster", &ha.cluster_state, &args);
    assert!(matches!(&action, Action::Update(names) if names.contains(&"version".to_owned())), "{action:?}");
    let updated = bench.update("kubeadm_cluster", &ha.cluster_state, &args).await;
    (cluster_of(&updated), bench.run.progress())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_two_minors_hop_by_hop_and_workers_take_turns() {
    let ha = Ha::new().await;
    set_release(&ha, "1.36.0").await;
    let (cluster, said) = upgraded(&ha, "1.36.0").await;
    for (name, machine) in CPS.iter().zip(&ha.control_planes) {
        let image = ha.kubectl(&format!(
            "-n kube-system get pod kube-apiserver-{name} -o jsonpath='{{.spec.containers[0].image}}'"
        ));
        assert_eq!(image, "registry.k8s.io/kube-apiserver:v1.36.0");
        assert_eq!(ha.lab.ok(machine, "kubeadm version -o short").trim(), "v1.36.0");
        assert_eq!(ha.lab.ok(machine, "apt-mark showhold").lines().count(), 3);
    }
    // Hop by hop, one control plane after the other, and etcd is saved before each hop.
    let steps = said.iter().filter_map(|step| match step.split_once(": ") {
        Some((_, file)) if file.ends_with("-upgrade.db") => Some("snapshot".to_owned()),
        Some((what, release)) if what.starts_with("kubeadm upgrade ") => {
            Some(format!("{} {}", what.trim_start_matches("kubeadm upgrade "), &release[..4]))
        }
        _ => None,
    });
    assert_eq!(
        steps.collect::<Vec<_>>(),
        [
            "snapshot",
            "apply on cp1 1.35",
            "node on cp2 1.35",
            "node on cp3 1.35",
            "snapshot",
            "apply on cp1 1.36",
            "node on cp2 1.36",
            "node on cp3 1.36",
        ]
    );
    // The kubelets are where they were, and may be.
    let versions = "get nodes -o jsonpath='{.items[*].status.nodeInfo.kubeletVersion}'";
    assert_eq!(ha.kubectl(versions), ["v1.34.2"; 5].join(" "));

    let ty = "kubeadm_control_plane";
    for ((name, machine), state) in CPS.iter().zip(&ha.control_planes).zip(&ha.control_plane_states) {
        let bench = ha.lab.bench(ty, name).await;
        let args = json!({"cluster": cluster, "host": machine});
        let made = bench.update(ty, state, &args).await;
        assert_eq!(made.get("kubelet_version").and_then(Value::as_str), Some("1.36.0"));
        assert_eq!(bench.action(ty, &made, &args), Action::Nothing);
    }
    // One bench for both: they take turns within a run.
    let bench = ha.lab.bench(WORKER, "w1").await;
    let args = [0, 1].map(|at| json!({"cluster": cluster, "host": ha.workers[at]}));
    join(
        bench.update(WORKER, &ha.worker_states[0], &args[0]),
        bench.update(WORKER, &ha.worker_states[1], &args[1]),
    )
    .await;
    assert_eq!(waits(&bench), 1, "one at a time is the default");
    assert_eq!(ha.kubectl(versions), ["v1.36.0"; 5].join(" "));
    assert!(CPS.iter().chain(&WORKERS).all(|name| ha.closed(name) == (false, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_waits_for_the_package_source_of_the_next_control_plane() {
    let ha = Ha::new().await;
    set_release(&ha, "1.35.1").await;
    // As while its kubeadm_host has not come to that yet.
    let list = "/etc/apt/sources.list.d/kubernetes.list";
    ha.lab.ok(&ha.control_planes[1], &format!("mv {list} /root/later"));
    let later = async {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        ha.lab.ok(&ha.control_planes[1], &format!("mv /root/later {list}"));
    };
    let ((_, said), ()) = join(upgraded(&ha, "1.35.1"), later).await;
    let waited = |step: &String| step.starts_with("waiting for the package source of cp2: ");
    assert!(said.iter().any(waited), "{said:#?}");
}

/// How often somebody waited for its turn.
fn waits(bench: &Bench) -> usize {
    bench.run.progress().iter().filter(|step| step.contains("waiting for its turn")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_workers_are_upgraded_at_once_as_may_be_unavailable() {
    let ha = Ha::new().await;
    set_release(&ha, "1.35.1").await;
    let (mut cluster, _) = upgraded(&ha, "1.35.1").await;
    cluster["max_unavailable"] = json!(2);
    let bench = ha.lab.bench(WORKER, "w1").await;
    let args = [0, 1].map(|at| json!({"cluster": cluster, "host": ha.workers[at]}));
    join(
        bench.update(WORKER, &ha.worker_states[0], &args[0]),
        bench.update(WORKER, &ha.worker_states[1], &args[1]),
    )
    .await;
    assert_eq!(waits(&bench), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_is_blocked_opens_the_node_and_goes_on_later() {
    let ha = Ha::with_pods_that_stay().await;
    let at = ha.node_of_a_pod();
    set_release(&ha, "1.35.1").await;
    let (cluster, _) = upgraded(&ha, "1.35.1").await;
    let bench = ha.lab.bench(WORKER, WORKERS[at]).await;
    let mut args = json!({"cluster": cluster, "host": ha.workers[at], "drain_timeout": "1s"});
    let fault =
        bench.try_update(WORKER, &ha.worker_states[at], &args).await.expect_err("a budget forbids it");
    assert!(fault.details.join("\n").contains("disruption budget default/web"), "{fault:#?}");
    assert_eq!(ha.closed(WORKERS[at]), (false, false));

    // The kubelet's new release does not come up: the node stays closed, which is noted, until it does.
    args["drain_policy"] = json!("force");
    ha.lab.fail("systemctl restart kubelet", 1);
    bench.try_update(WORKER, &ha.worker_states[at], &args).await.expect_err("planned");
    assert_eq!(ha.closed(WORKERS[at]), (true, true));
    let read = bench.read(WORKER, &ha.worker_states[at]).await.expect("it is there");
    let made = bench.update(WORKER, &read, &args).await;
    assert_eq!(made.get("kubelet_version").and_then(Value::as_str), Some("1.35.1"));
    assert_eq!(ha.closed(WORKERS[at]), (false, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelet_that_was_left_behind_is_told_in_the_plan() {
    let ha = Ha::new().await;
    let bench = ha.lab.bench(WORKER, "w1").await;
    let resource = bench.resource(WORKER);
    let mut cluster = ha.cluster.clone();
    cluster["version"] = json!("1.38.0");
    let planned = bench.config(WORKER, &json!({"cluster": cluster, "host": ha.workers[0]}));
    let problems = resource.refuse(&ha.worker_states[0], &planned);
    let told: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "its kubelet runs 1.34.2: kubeadm refuses to take the control planes to 1.38 while a kubelet is more than 3 minors older"
        ]
    );
    cluster["version"] = json!("1.37.0");
    let planned = bench.config(WORKER, &json!({"cluster": cluster, "host": ha.workers[0]}));
    assert!(resource.refuse(&ha.worker_states[0], &planned).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dies_by_itself_is_not_undone() {
    let ha = Ha::with_pods_that_stay().await;
    let id = |machine: &Json| machine["id"].as_str().expect("an id").to_owned();
    let standing = |machine: &Json| {
        ha.lab.ok(machine, "ls /etc/kubernetes/kubelet.conf").trim() == "/etc/kubernetes/kubelet.conf"
    };

    // The machine goes, the cluster stays: the node is drained and forgotten, and nobody cleans a machine that goes.
    let at = ha.node_of_a_pod();
    let (mut bench, state) = ha.recorded(at, json!({"drain_timeout": "1s", "drain_policy": "force"})).await;
    bench.going = Arc::new([id(&ha.workers[at])].into());
    delete(&bench, WORKER, &state).await.expect("it leaves");
    assert_eq!(ha.nodes(0).len(), 4);
    assert!(standing(&ha.workers[at]));

    // The cluster goes, its machines stay: they are reset, and no budget is in the way.
    let other = 1 - at;
    let cluster = ha.cluster["id"].as_str().expect("an id").to_owned();
    let (mut bench, state) = ha.recorded(other, json!({"drain_timeout": "1s"})).await;
    bench.going = Arc::new([cluster.clone()].into());
    delete(&bench, WORKER, &state).await.expect("it leaves");
    assert_eq!(ha.lab.ok(&ha.workers[other], "ls /etc/kubernetes/*.conf 2>/dev/null || true"), "");

    // Both go: nothing is done, and nobody is asked.
    for machine in &ha.control_planes[1..] {
        ha.lab.world.stop_machine(&id(machine)).expect("it ran");
    }
    ha.lab.pool.close_all().await;
    let all: std::collections::HashSet<String> = ha.control_planes.iter().map(id).chain([cluster]).collect();
    let all = Arc::new(all);
    for (name, state) in CPS.iter().zip(&ha.control_plane_states) {
        let mut bench = ha.lab.bench("kubeadm_control_plane", name).await;
        bench.going = all.clone();
        delete(&bench, "kubeadm_control_plane", state).await.expect("it dies with its machine");
    }
    let mut bench = ha.lab.bench("kubeadm_cluster", "lab").await;
    bench.going = all.clone();
    delete(&bench, "kubeadm_cluster", &ha.cluster_state).await.expect("it dies with its machines");
    assert!(standing(&ha.control_planes[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_let_a_machine_in_is_revoked_whatever_came_of_the_join() {
    for broken in ["kubeadm join", "kubeadm --kubeconfig /etc/kubernetes/admin.conf token create"] {
        let ha = Ha::new().await;
        ha.lab.unmake("kubeadm_control_plane", "cp3", &ha.control_plane_states[2]).await;
        ha.lab.fail(broken, 9);
        let args = json!({"cluster": ha.cluster, "host": ha.control_planes[2]});
        let bench = ha.lab.bench("kubeadm_control_plane", "cp3").await;
        let fault = bench.try_create("kubeadm_control_plane", &args).await.expect_err("planned");
        assert!(!format!("{fault:?}").contains("certificate-key "), "{fault:#?}");
        let secrets = ha.kubectl("-n kube-system get secrets -o jsonpath='{range .items[*]}{.metadata.name}={.type}{\"\\n\"}{end}'");
        assert!(!secrets.contains("bootstrap.kubernetes.io/token"), "{broken}: {secrets}");
        assert!(!secrets.contains("kubeadm-certs"), "{broken}: {secrets}");
    }
}

/// Milliseconds of so many days.
const fn days(days: i64) -> i64 {
    days * 86_400_000
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_end_soon_show_in_the_plan_and_are_renewed() {
    let lab = Lab::new().await;
    let machine = lab.machine("cp1");
    lab.make("kubeadm_host", "cp1", crate::lab::host(&machine)).await;
    let made = cluster(&machine, std::slice::from_ref(&machine), &endpoint(&machine));
    let made = lab.make("kubeadm_cluster", "lab", made).await;
    let (ty, args) = ("kubeadm_control_plane", json!({"cluster": cluster_of(&made), "host": machine}));
    let bench = lab.bench(ty, "cp1").await;
    let state = lab.make(ty, "cp1", args.clone()).await;
    // As if the cluster were eleven months old: its certificates have 25 days left.
    lab.world.with(|state| state.clock_offset_ms -= days(340));
    lab.ok(&machine, "kubeadm certs renew all");
    lab.world.with(|state| state.clock_offset_ms += days(340));

    let part = |state: &Value| {
        let parts = state.get("parts").and_then(Value::as_entries).expect("parts");
        parts.get("certificates").and_then(Value::as_str).expect("certificates").to_owned()
    };
    let read = bench.read(ty, &state).await.expect("it is there");
    let end = read.get("certificates_end").and_then(Value::as_str).expect("an end").to_owned();
    assert!(part(&read).ends_with(&format!(" ends at {end}")), "{}", part(&read));
    let shown = Action::Update(vec!["certificates_end".into(), "parts".into()]);
    assert_eq!(bench.action(ty, &read, &args), shown);
    let renewed = bench.update(ty, &read, &args).await;
    let read = bench.read(ty, &renewed).await.expect("it is there");
    assert_eq!(part(&read), "as wanted");
    assert!(read.get("certificates_end").and_then(Value::as_str).is_some_and(|now| *now > *end));
    assert_eq!(bench.action(ty, &read, &args), Action::Nothing);
    // The components have started anew with them.
    for component in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        let manifest = lab.ok(&machine, &format!("cat /etc/kubernetes/manifests/{component}.yaml"));
        assert!(manifest.contains("grappe.io/restarted"), "{manifest}");
    }
    assert_eq!(lab.kubectl(&machine, "get --raw /readyz"), "ok");
}
