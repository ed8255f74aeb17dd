//! What stands between a cluster and the cloud: the cloud controller manager and the driver of the cloud's volumes. They act where their pods run, and what
//! they make is the cloud's: load balancers' ports and volumes outlive the cluster.

use serde_json::{Value, json};

use super::Cluster;
use super::claims;
use super::kinds::known;
use super::nodes::condition;
use super::objects::text;
use crate::world::State;
use crate::world::model::{Port, Volume, fresh_id};

const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";
/// What keeps a Service there until its load balancer is gone.
const CLEANUP: &str = "service.kubernetes.io/load-balancer-cleanup";
/// The driver whose volumes the cloud has.
const DRIVER: &str = "cinder.csi.openstack.org";

/// Whether a pod with such a container is Ready.
fn runs(cluster: &Cluster, image: &str) -> bool {
    cluster.objects.list("Pod", None).any(|pod| {
        let mut containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        containers.any(|container| text(container, "/image").contains(image))
            && condition(pod, "Ready").as_deref() == Some("True")
    })
}

fn going(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

impl State {
    /// Lets a cluster's controllers of the cloud do their work.
    pub(super) fn reach_out(&mut self, id: &str) {
        let Some(before) = self.clusters.get(id) else { return };
        let (manager, driver) = (runs(before, "cloud-controller-manager"), runs(before, "csi-provisioner"));
        if !manager && !driver {
            return;
        }
        let mut cluster = before.clone();
        if manager {
            self.initialize_nodes(&mut cluster);
            self.balance(&mut cluster);
        }
        if driver {
            self.provision(&mut cluster);
            self.unprovision(&mut cluster);
        }
        if self.clusters.get(id) != Some(&cluster) {
            self.clusters.insert(id.to_owned(), cluster);
        }
    }

    /// Nodes that are machines of the cloud get its id and lose their taint.
    fn initialize_nodes(&self, cluster: &mut Cluster) {
        let waits = |node: &&Value| {
            let mut taints = node["spec"]["taints"].as_array().into_iter().flatten();
            taints.any(|taint| taint["key"] == UNINITIALIZED)
        };
        let names: Vec<String> = cluster
            .objects
            .list("Node", None)
            .filter(waits)
            .map(|node| text(node, "/metadata/name").to_owned())
            .collect();
        for name in names {
            let Some((machine, _)) = self.machines.iter().find(|(_, machine)| machine.name == name) else {
                continue;
            };
            let revision = cluster.next_revision();
            let Some(node) = cluster.objects.get_mut("Node", "", &name) else { continue };
            node["spec"]["providerID"] = format!("openstack:///{machine}").into();
            if let Some(taints) = node["spec"]["taints"].as_array_mut() {
                taints.retain(|taint| taint["key"] != UNINITIALIZED);
            }
            node["metadata"]["resourceVersion"] = revision.into();
        }
    }

    /// Services of type LoadBalancer have one: a port in the machines' network. It goes before they do.
    fn balance(&mut self, cluster: &mut Cluster) {
        let services: Vec<Value> = cluster.objects.list("Service", None).cloned().collect();
        for service in services {
            let (namespace, name) = (text(&service, "/metadata/namespace"), text(&service, "/metadata/name"));
            let port = format!("kube_service_{}_{namespace}_{name}", cluster.name);
            let kept =
                service["metadata"]["finalizers"].as_array().is_some_and(|f| f.contains(&CLEANUP.into()));
            if going(&service) && kept {
                let made: Vec<String> =
                    self.ports.iter().filter(|(_, p)| p.name == port).map(|(id, _)| id.to_owned()).collect();
                for id in made {
                    self.ports.remove(&id);
                }
                cluster.objects.remove("Service", namespace, name);
                cluster.forget("Service", namespace, name);
            } else if !going(&service) && !kept && service["spec"]["type"] == "LoadBalancer" {
                let Some(ip) = self.plug(cluster, port) else { continue };
                let revision = cluster.next_revision();
                let Some(stored) = cluster.objects.get_mut("Service", namespace, name) else { continue };
                stored["metadata"]["finalizers"] = json!([CLEANUP]);
                stored["metadata"]["resourceVersion"] = revision.into();
                stored["status"] = json!({"loadBalancer": {"ingress": [{"ip": ip}]}});
            }
        }
    }

    /// A port beside those of the cluster's machines; its address.
    fn plug(&mut self, cluster: &Cluster, name: String) -> Option<String> {
        let machine = self.machines.get(&cluster.etcd.first()?.machine)?;
        let network = self.ports.get(machine.ports.first()?)?.network.clone();
        let taken = |ip| self.ports.values().any(|port| port.network == network && port.ip == ip);
        let ip = self.networks.get(&network)?.cidr.hosts().skip(1).find(|ip| !taken(*ip))?;
        let port = Port::new(name, network, ip);
        self.ports.insert(port.id.clone(), port);
        Some(ip.to_string())
    }

    /// Claims of the driver's classes get a volume.
    fn provision(&mut self, cluster: &mut Cluster) {
        let claims: Vec<Value> = cluster.objects.list("PersistentVolumeClaim", None).cloned().collect();
        for claim in claims.iter().filter(|c| !going(c) && c["spec"]["volumeName"].is_null()) {
            let (namespace, name) = (text(claim, "/metadata/namespace"), text(claim, "/metadata/name"));
            let Some(class) = class_of(cluster, claim).cloned() else { continue };
            let used = cluster
                .objects
                .list("Pod", Some(namespace))
                .any(|pod| claims::of_pod(pod).any(|used| used == name));
            let waits = class["volumeBindingMode"] == "WaitForFirstConsumer" && !used;
            if class["provisioner"] != DRIVER || waits {
                continue;
            }
            let volume = Volume { id: fresh_id(), name: format!("pvc-{}", text(claim, "/metadata/uid")) };
            let policy = class["reclaimPolicy"].as_str().unwrap_or("Delete");
            let object = json!({
                "apiVersion": "v1", "kind": "PersistentVolume",
                "metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": DRIVER}},
                "spec": {
                    "csi": {"driver": DRIVER, "volumeHandle": volume.id}, "persistentVolumeReclaimPolicy": policy,
                    "storageClassName": text(&class, "/metadata/name"),
                    "claimRef": {"kind": "PersistentVolumeClaim", "namespace": namespace, "name": name},
                },
                "status": {"phase": "Bound"},
            });
            let now = self.now();
            cluster.store(&known("PersistentVolume"), "", &volume.name, object, now);
            let Some(stored) = cluster.objects.get_mut("PersistentVolumeClaim", namespace, name) else {
                continue;
            };
            stored["spec"]["volumeName"] = volume.name.clone().into();
            stored["status"] = json!({"phase": "Bound"});
            self.volumes.insert(volume.id.clone(), volume);
        }
    }

    /// Volumes whose claims are gone go too, where their policy is that.
    fn unprovision(&mut self, cluster: &mut Cluster) {
        let volumes: Vec<Value> = cluster.objects.list("PersistentVolume", None).cloned().collect();
        for volume in volumes.iter().filter(|v| v["spec"]["csi"]["driver"] == DRIVER) {
            let (name, of) = (text(volume, "/metadata/name"), |field| text(volume, field));
            let (namespace, claim) = (of("/spec/claimRef/namespace"), of("/spec/claimRef/name"));
            if cluster.objects.get("PersistentVolumeClaim", namespace, claim).is_some() {
                continue;
            }
            if volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete" {
                self.volumes.remove(of("/spec/csi/volumeHandle"));
                cluster.objects.remove("PersistentVolume", "", name);
            } else if let Some(stored) = cluster.objects.get_mut("PersistentVolume", "", name) {
                stored["status"] = json!({"phase": "Released"});
            }
        }
    }
}

/// The class of a claim: the one that it names, or the cluster's default.
fn class_of<'a>(cluster: &'a Cluster, claim: &Value) -> Option<&'a Value> {
    const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
    match claim["spec"]["storageClassName"].as_str() {
        Some(name) => cluster.objects.get("StorageClass", "", name),
        None => {
            let mut classes = cluster.objects.list("StorageClass", None);
            classes.find(|class| class["metadata"]["annotations"][DEFAULT] == "true")
        }
    }
}
