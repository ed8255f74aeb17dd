//! What a cluster has made in the cloud, and how it goes.

use std::sync::Arc;

use grappe_provider::Fault;
use grappe_provider_host::testing::{Action, Bench};
use grappe_value::{Value, json as value};
use serde_json::{Value as Json, json};

use crate::lab::{Lab, VERSION, cluster_of, cni, endpoint};

const TY: &str = "kube_sweep";

/// A cloud controller manager and a driver of volumes, as far as the simulated world looks at them.
const CONTROLLERS: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ccm, namespace: kube-system}
spec:
  selector: {matchLabels: {app: ccm}}
  template:
    metadata: {labels: {app: ccm}}
    spec:
      hostNetwork: true
      tolerations: [{operator: Exists}]
      containers: [{name: ccm, image: 'registry.k8s.io/provider-os/openstack-cloud-controller-manager:v1.34.1'}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: csi, namespace: kube-system}
spec:
  selector: {matchLabels: {app: csi}}
  template:
    metadata: {labels: {app: csi}}
    spec:
      tolerations: [{operator: Exists}]
      containers: [{name: csi-provisioner, image: 'registry.k8s.io/sig-storage/csi-provisioner:v5.3.0'}]
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: cinder.csi.openstack.org
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: kept}
provisioner: cinder.csi.openstack.org
reclaimPolicy: Retain
";

/// Two load balancers, volumes of a StatefulSet that makes its claims anew, and one that is kept.
const WORKLOADS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: team}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: team}
spec: {type: LoadBalancer, ports: [{port: 80}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: photos, namespace: team}
spec: {storageClassName: kept}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: team}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      tolerations: [{operator: Exists}]
      containers: [{name: db, image: 'registry.k8s.io/pause:3.10'}]
  volumeClaimTemplates: [{metadata: {name: data}, spec: {storageClassName: fast}}]
";

struct Cloud {
    lab: Lab,
    machine: Json,
    cluster: Json,
}

impl Cloud {
    /// A cluster of one machine in a cloud.
    async fn new() -> Self {
        let lab = Lab::new().await;
        let machine = lab.hosts(&["cp1"]).await.remove(0);
        let made = json!({
            "host": machine, "control_planes": [machine], "name": "lab", "version": VERSION,
            "control_plane_endpoint": endpoint(&machine), "pod_subnet": crate::lab::PODS,
            "cloud_provider": "external",
        });
        let cluster = cluster_of(&lab.make("kubeadm_cluster", "lab", made).await);
        lab.make("kube_cni", "cni", cni(&cluster)).await;
        Self { lab, machine, cluster }
    }

    async fn run(&self, manifest: &str) -> Value {
        let given = json!({"cluster": self.cluster, "manifest": manifest, "wait": true});
        self.lab.make("kube_manifest", &manifest[..40], given).await
    }

    fn kubectl(&self, args: &str) -> String {
        self.lab.kubectl(&self.machine, args)
    }

    /// Names of what the cluster has made in the cloud.
    fn made(&self) -> Vec<String> {
        let ports = self.lab.world.ports().into_iter().filter(|p| p.machine.is_none()).map(|p| p.name);
        let volumes = self.lab.world.volumes().into_iter().map(|_| "volume".to_owned());
        let mut all: Vec<String> = ports.chain(volumes).collect();
        all.sort();
        all
    }

    /// One that acts in a run in which the cluster goes.
    async fn last(&self) -> Bench {
        let mut bench = self.lab.bench(TY, "sweep").await;
        bench.going = Arc::new([self.cluster["id"].as_str().expect("an id").to_owned()].into());
        bench
    }

    fn quotas(&self) -> String {
        self.kubectl("get resourcequotas -A -o name")
    }
}

async fn delete(bench: &Bench, state: &Value) -> Result<(), Fault> {
    bench.resource(TY).delete(bench.context(), state).await
}

fn names(state: &Value, attribute: &str) -> Json {
    value::to_json(state.get(attribute).expect("it has that"))
}

#[tokio::test(flavor = "multi_thread")]
async fn load_balancers_and_volumes_go_with_the_cluster_and_not_before() {
    let cloud = Cloud::new().await;
    let given = json!({"cluster": cloud.cluster, "timeout": "30s"});
    let state = cloud.lab.make(TY, "sweep", given.clone()).await;
    assert_eq!((names(&state, "load_balancers"), names(&state, "volumes")), (json!([]), json!([])));

    cloud.run(CONTROLLERS).await;
    cloud.run(WORKLOADS).await;
    let made = ["kube_service_lab_default_web", "kube_service_lab_team_web", "volume", "volume", "volume"];
    assert_eq!(cloud.made(), made);

    // A plan tells of them, and has nothing to do.
    let bench = cloud.lab.bench(TY, "sweep").await;
    let state = bench.read(TY, &state).await.expect("it is there");
    assert_eq!(names(&state, "load_balancers"), json!(["default/web", "team/web"]));
    assert_eq!(names(&state, "volumes"), json!(["team/data-db-0", "team/data-db-1"]));
    assert_eq!(bench.action(TY, &state, &given), Action::Nothing);

    // Removed from the plan of a cluster that stays, it is only that.
    bench.delete(TY, &state).await;
    assert_eq!(cloud.made(), made);

    let last = cloud.last().await;
    last.delete(TY, &state).await;
    assert_eq!(cloud.made(), ["volume"], "what is kept stays, and nothing is made anew");
    assert!(last.run.progress().iter().any(|said| said.starts_with("kept,")), "{:?}", last.run.progress());
    // Twice is as once.
    last.delete(TY, &state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_has_made_nothing_goes_as_it_is() {
    let cloud = Cloud::new().await;
    let state = cloud.lab.make(TY, "sweep", json!({"cluster": cloud.cluster})).await;
    cloud.last().await.delete(TY, &state).await;
    assert_eq!(cloud.quotas(), "", "nothing was closed for nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_go_is_named_and_the_cluster_is_as_before() {
    let cloud = Cloud::new().await;
    let controllers = cloud.run(CONTROLLERS).await;
    cloud.run(WORKLOADS).await;
    let given = json!({"cluster": cloud.cluster, "timeout": "2s"});
    let state = cloud.lab.make(TY, "sweep", given.clone()).await;
    cloud.lab.unmake("kube_manifest", "controllers", &controllers).await;

    let last = cloud.last().await;
    let fault = delete(&last, &state).await.expect_err("nobody deletes them");
    assert!(!fault.is_transient(), "{fault:#?}");
    let told = fault.details.join("\n");
    assert!(told.contains("Service default/web") && told.contains("volume pvc-"), "{told}");
    assert!(fault.hint.as_deref().is_some_and(|hint| hint.contains("grappe state rm 'a.b'")), "{fault:#?}");
    assert_eq!(cloud.quotas(), "");

    // One that is killed leaves the cluster closed: a plan sees it, an apply opens it.
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: grappe-sweep, namespace: team, labels: {grappe.dev/sweep: ''}}\n\
                 spec: {hard: {services.loadbalancers: '0', persistentvolumeclaims: '0'}}\n";
    let left = format!(
        "cat > /tmp/q <<'E'\n{quota}E\nkubectl --kubeconfig /etc/kubernetes/admin.conf apply -f /tmp/q"
    );
    cloud.lab.ok(&cloud.machine, &left);
    let bench = cloud.lab.bench(TY, "sweep").await;
    let read = bench.read(TY, &state).await.expect("it is there");
    assert_eq!(bench.action(TY, &read, &given), Action::Update(vec!["closed".into()]));
    bench.update(TY, &read, &given).await;
    assert_eq!(cloud.quotas(), "");
    // So does its removal from the plan.
    cloud.lab.ok(&cloud.machine, &left);
    bench.delete(TY, &read).await;
    assert_eq!(cloud.quotas(), "");

    // With its controllers back, all of it goes.
    cloud.run(CONTROLLERS).await;
    let state = cloud.lab.make(TY, "sweep", json!({"cluster": cloud.cluster, "timeout": "30s"})).await;
    last.delete(TY, &state).await;
    assert_eq!(cloud.made(), ["volume"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_is_the_users_to_give_up() {
    let cloud = Cloud::new().await;
    let state = cloud.lab.make(TY, "sweep", json!({"cluster": cloud.cluster})).await;
    let bench = cloud.lab.bench(TY, "sweep").await;
    let skips = json!({"cluster": cloud.cluster, "when_unreachable": "skip"});
    let skipping = bench.update(TY, &state, &skips).await;
    assert_eq!(bench.problems(TY, &skips).len(), 1, "a plan says what that means");
    let wrong = json!({"cluster": cloud.cluster, "when_unreachable": "hope", "timeout": "soon"});
    assert_eq!(bench.problems(TY, &wrong).len(), 2);

    cloud.lab.world.stop_machine(cloud.machine["id"].as_str().expect("an id")).expect("it ran");
    cloud.lab.pool.close_all().await;
    let last = cloud.last().await;
    let fault = delete(&last, &state).await.expect_err("nobody answers");
    assert!(fault.summary.contains("no control plane of the cluster lab answers"), "{fault:#?}");
    assert!(fault.hint.as_deref().is_some_and(|hint| hint.contains("grappe state rm 'a.b'")), "{fault:#?}");
    last.delete(TY, &skipping).await;
    // Where the cluster stays there is nothing to ask.
    bench.delete(TY, &state).await;
}
