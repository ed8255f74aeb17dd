//! The controllers: nodes' status, static pods, DaemonSets, Deployments, StatefulSets, Jobs, and the scheduler. They run whenever someone looks.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::Digest as _;

use super::Cluster;
use super::budgets;
use super::claims;
use super::kinds::known;
use super::nodes::{self, Seen};
use super::objects::{Objects, text};
use super::pods::{self, Fare};
use crate::world::State;

/// How long a container takes to start, in milliseconds.
const START: i64 = 40;

/// Five or ten letters that depend on a text.
fn suffix(seed: &str, length: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let sum = sha2::Sha256::digest(seed);
    sum.iter().take(length).map(|b| LETTERS[usize::from(*b) % LETTERS.len()] as char).collect()
}

impl State {
    /// Lets the controllers of a cluster do their work.
    pub fn reconcile(&mut self, id: &str) {
        self.promote_learners(id);
        if !self.has_quorum(id) {
            return; // nothing can be written
        }
        let seen = self.seen(id);
        let now = self.now();
        let Some(before) = self.clusters.get(id) else { return };
        let mut cluster = before.clone();
        cluster.clean_tokens(now);
        cluster.show_secrets(now);
        let written = Controllers { cluster: &mut cluster, seen: &seen, now }.run();
        if *before != cluster {
            self.clusters.insert(id.to_owned(), cluster);
        }
        for (machine, path, content) in written {
            if let Some(host) = self.host_mut(&machine) {
                host.files.put(&path, content, 0o600, now / 1000);
            }
        }
        self.reach_out(id);
    }
}

pub(super) struct Controllers<'a> {
    pub(super) cluster: &'a mut Cluster,
    seen: &'a [Seen],
    pub(super) now: i64,
}

/// A pod that should be.
struct Wanted {
    name: String,
    namespace: String,
    /// Kind, name and uid of its owner.
    owner: (&'static str, String, String),
    node: Option<String>,
    template: Value,
}

impl Controllers<'_> {
    fn run(mut self) -> Vec<(String, String, String)> {
        self.register();
        self.nodes();
        self.static_pods();
        self.claims();
        let wanted = self.wanted();
        self.replace_pods(wanted);
        self.schedule();
        let written = self.run_pods();
        if !written.is_empty() {
            // The network is there now: nodes become Ready, and pods that waited for it start.
            let fresh: Vec<Seen> = self
                .seen
                .iter()
                .cloned()
                .map(|mut s| {
                    s.network |= written.iter().any(|(m, ..)| *m == s.machine);
                    s
                })
                .collect();
            let mut again = Controllers { cluster: self.cluster, seen: &fresh, now: self.now };
            again.nodes();
            again.schedule();
            again.run_pods();
            again.statuses();
            return written;
        }
        self.statuses();
        written
    }

    fn seen_as(&self, node: &str) -> Option<&Seen> {
        self.seen.iter().find(|s| s.name == node)
    }

    /// A kubelet that starts after its Node object was deleted registers again, as a plain node.
    fn register(&mut self) {
        for seen in self.seen.iter().filter(|s| s.alive) {
            let deleted = self.cluster.deleted_nodes.get(&seen.name).copied();
            if self.cluster.objects.get("Node", "", &seen.name).is_none()
                && deleted.is_some_and(|at| at < seen.started)
            {
                let node = nodes::new_node(&seen.name, &seen.labels, &[]);
                self.cluster.store(&known("Node"), "", &seen.name, node, self.now);
            }
        }
    }

    fn nodes(&mut self) {
        let names: Vec<String> =
            self.cluster.objects.list("Node", None).map(|n| text(n, "/metadata/name").to_owned()).collect();
        for name in names {
            let seen = self.seen.iter().find(|s| s.name == name).cloned();
            let subnet = self.cluster.pod_subnet.clone();
            let next = self.cluster.next_pod_cidr;
            let Some(node) = self.cluster.objects.get_mut("Node", "", &name) else { continue };
            let old = node.clone();
            nodes::refresh(node, seen.as_ref(), self.now);
            let mut given = false;
            if let (true, Some(net)) =
                (node["spec"]["podCIDR"].is_null(), subnet.and_then(|s| s.parse::<ipnet::Ipv4Net>().ok()))
            {
                let length = net.prefix_len().max(24);
                if let Some(part) = net.subnets(length).ok().and_then(|mut s| s.nth(next as usize)) {
                    node["spec"]["podCIDR"] = part.to_string().into();
                    node["spec"]["podCIDRs"] = json!([part.to_string()]);
                    given = true;
                }
            }
            let changed = *node != old;
            if given {
                self.cluster.next_pod_cidr += 1;
            }
            if changed {
                self.touch("Node", "", &name);
            }
        }
    }

    fn touch(&mut self, kind: &str, namespace: &str, name: &str) {
        let revision = self.cluster.next_revision();
        if let Some(object) = self.cluster.objects.get_mut(kind, namespace, name) {
            object["metadata"]["resourceVersion"] = revision.into();
        }
    }

    /// kubelet shows the pods of its manifests as mirror pods.
    fn static_pods(&mut self) {
        let mut wanted = BTreeMap::new();
        for seen in self.seen.iter().filter(|s| s.alive) {
            if self.cluster.objects.get("Node", "", &seen.name).is_none() {
                continue;
            }
            for manifest in &seen.manifests {
                let namespace = text(manifest, "/metadata/namespace");
                let namespace = if namespace.is_empty() { "default" } else { namespace };
                let name = format!("{}-{}", text(manifest, "/metadata/name"), seen.name);
                wanted.insert((namespace.to_owned(), name), (manifest.clone(), seen.name.clone()));
            }
        }
        let mirror = "kubernetes.io/config.mirror";
        let existing: Vec<(String, String, String)> = self
            .cluster
            .objects
            .list("Pod", None)
            .filter(|p| p["metadata"]["annotations"][mirror].is_string())
            .map(|p| {
                (
                    text(p, "/metadata/namespace").to_owned(),
                    text(p, "/metadata/name").to_owned(),
                    text(p, "/spec/nodeName").to_owned(),
                )
            })
            .collect();
        for (namespace, name, node) in existing {
            // A silent kubelet leaves its mirror pods as they are.
            let silent = self.seen_as(&node).is_some_and(|s| !s.alive);
            if !silent && !wanted.contains_key(&(namespace.clone(), name.clone())) {
                self.cluster.objects.remove("Pod", &namespace, &name);
            }
        }
        for ((namespace, name), (manifest, node)) in wanted {
            let hash = suffix(&manifest.to_string(), 16);
            if self
                .cluster
                .objects
                .get("Pod", &namespace, &name)
                .is_some_and(|p| p["metadata"]["annotations"][mirror] == hash)
            {
                continue;
            }
            let mut pod = pods::from_template(&manifest, None, self.now);
            if !pod["metadata"]["annotations"].is_object() {
                pod["metadata"]["annotations"] = json!({});
            }
            pod["metadata"]["annotations"][mirror] = hash.clone().into();
            pod["metadata"]["annotations"]["kubernetes.io/config.hash"] = hash.into();
            pod["metadata"]["annotations"]["kubernetes.io/config.source"] = "file".into();
            pod["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "v1", "kind": "Node", "name": node, "uid": node, "controller": true}]);
            pod["spec"]["nodeName"] = node.into();
            self.cluster.store(&known("Pod"), &namespace, &name, pod, self.now);
        }
    }

    /// What all workloads ask for.
    fn wanted(&self) -> Vec<Wanted> {
        let objects = &self.cluster.objects;
        let mut wanted = Vec::new();
        let head = |o: &Value| {
            (
                text(o, "/metadata/namespace").to_owned(),
                text(o, "/metadata/name").to_owned(),
                text(o, "/metadata/uid").to_owned(),
            )
        };
        for set in objects.list("DaemonSet", None) {
            let (namespace, name, uid) = head(set);
            let template = &set["spec"]["template"];
            let revision = suffix(&template.to_string(), 5);
            for node in objects.list("Node", None) {
                let spec = &template["spec"];
                let on = text(node, "/metadata/name").to_owned();
                let end = suffix(&format!("{uid}{on}{revision}{}", text(node, "/metadata/uid")), 5);
                let pod = format!("{name}-{end}");
                // What runs already goes on under a taint that only keeps others away.
                let runs = objects.get("Pod", &namespace, &pod).is_some();
                let barred = pods::untolerated(spec, node, true);
                if barred.is_some_and(|taint| !runs || taint["effect"] == "NoExecute")
                    || !pods::label_fit(spec, node)
                {
                    continue;
                }
                wanted.push(Wanted {
                    name: pod,
                    namespace: namespace.clone(),
                    owner: ("DaemonSet", name.clone(), uid.clone()),
                    node: Some(on),
                    template: labelled(template, "controller-revision-hash", &revision),
                });
            }
        }
        for deployment in objects.list("Deployment", None) {
            let (namespace, name, uid) = head(deployment);
            let template = &deployment["spec"]["template"];
            let hash = suffix(&template.to_string(), 10);
            for n in 0..replicas(deployment) {
                wanted.push(Wanted {
                    name: format!("{name}-{hash}-{}", suffix(&format!("{uid}{hash}{n}"), 5)),
                    namespace: namespace.clone(),
                    owner: ("ReplicaSet", format!("{name}-{hash}"), uid.clone()),
                    node: None,
                    template: labelled(template, "pod-template-hash", &hash),
                });
            }
        }
        for set in objects.list("StatefulSet", None) {
            let (namespace, name, uid) = head(set);
            let hash = suffix(&set["spec"]["template"].to_string(), 10);
            for n in 0..replicas(set) {
                let template = labelled(&set["spec"]["template"], "controller-revision-hash", &hash);
                wanted.push(Wanted {
                    name: format!("{name}-{n}"),
                    namespace: namespace.clone(),
                    owner: ("StatefulSet", name.clone(), uid.clone()),
                    node: None,
                    template: claims::mounted(template, set, n),
                });
            }
        }
        for job in objects.list("Job", None) {
            let (namespace, name, uid) = head(job);
            wanted.push(Wanted {
                name: format!("{name}-{}", suffix(&uid, 5)),
                namespace,
                owner: ("Job", name, uid),
                node: None,
                template: job["spec"]["template"].clone(),
            });
        }
        wanted
    }

    /// Makes the pods that are missing and removes those that nobody wants.
    fn replace_pods(&mut self, wanted: Vec<Wanted>) {
        let owned: Vec<(String, String)> = self
            .cluster
            .objects
            .list("Pod", None)
            .filter(|p| {
                let kind = text(p, "/metadata/ownerReferences/0/kind");
                let lost = !p["spec"]["nodeName"].is_null()
                    && self.cluster.objects.get("Node", "", text(p, "/spec/nodeName")).is_none();
                ["DaemonSet", "ReplicaSet", "StatefulSet", "Job"].contains(&kind) || lost
            })
            .map(|p| (text(p, "/metadata/namespace").to_owned(), text(p, "/metadata/name").to_owned()))
            .collect();
        for (namespace, name) in owned {
            let keep = wanted.iter().any(|w| w.namespace == namespace && w.name == name);
            let pod = self.cluster.objects.get("Pod", &namespace, &name);
            let node = pod.map(|p| text(p, "/spec/nodeName").to_owned()).unwrap_or_default();
            let homeless = !node.is_empty() && self.cluster.objects.get("Node", "", &node).is_none();
            if !keep || homeless {
                self.cluster.objects.remove("Pod", &namespace, &name);
            }
        }
        for w in wanted {
            if let Some(old) = self.cluster.objects.get("Pod", &w.namespace, &w.name) {
                let fresh = w.owner.0 != "StatefulSet"
                    || old["metadata"]["labels"] == w.template["metadata"]["labels"];
                if fresh {
                    continue;
                }
            }
            let mut pod =
                pods::from_template(&w.template, Some((w.owner.0, &w.owner.1, &w.owner.2)), self.now);
            if let Some(node) = w.node {
                pod["spec"]["nodeName"] = node.into();
            }
            self.cluster.store(&known("Pod"), &w.namespace, &w.name, pod, self.now);
        }
    }

    /// Gives pods without a node the node with the fewest pods that takes them.
    fn schedule(&mut self) {
        let pending: Vec<(String, String)> = self
            .cluster
            .objects
            .list("Pod", None)
            .filter(|p| p["spec"]["nodeName"].is_null())
            .map(|p| (text(p, "/metadata/namespace").to_owned(), text(p, "/metadata/name").to_owned()))
            .collect();
        for (namespace, name) in pending {
            let Some(pod) = self.cluster.objects.get("Pod", &namespace, &name) else { continue };
            let spec = pod["spec"].clone();
            let claims = claims::trouble(&self.cluster.objects, &namespace, pod);
            let nodes: Vec<&Value> = self.cluster.objects.list("Node", None).collect();
            let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
            let mut best: Option<(usize, &str)> = None;
            for node in &nodes {
                let on = text(node, "/metadata/name");
                if let Some(why) = &claims {
                    *reasons.entry(why.clone()).or_default() += 1;
                } else if let Some(taint) = pods::untolerated(&spec, node, false) {
                    let reason = format!(
                        "node(s) had untolerated taint {{{}: {}}}",
                        text(taint, "/key"),
                        text(taint, "/value")
                    );
                    *reasons.entry(reason).or_default() += 1;
                } else if !pods::label_fit(&spec, node) {
                    *reasons
                        .entry("node(s) didn't match Pod's node affinity/selector".to_owned())
                        .or_default() += 1;
                } else if !nodes::is_ready(node) {
                    *reasons.entry("node(s) were not ready".to_owned()).or_default() += 1;
                } else {
                    let load = self
                        .cluster
                        .objects
                        .list("Pod", None)
                        .filter(|p| p["spec"]["nodeName"] == on)
                        .count();
                    if best.is_none_or(|(least, _)| load < least) {
                        best = Some((load, on));
                    }
                }
            }
            match best.map(|(_, on)| on.to_owned()) {
                Some(on) => {
                    if let Some(pod) = self.cluster.objects.get_mut("Pod", &namespace, &name) {
                        pod["spec"]["nodeName"] = on.into();
                    }
                    self.touch("Pod", &namespace, &name);
                }
                None => {
                    let list: Vec<String> = reasons.iter().map(|(r, n)| format!("{n} {r}")).collect();
                    let message = format!("0/{} nodes are available: {}.", nodes.len(), list.join(", "));
                    let now = self.now;
                    if let Some(pod) = self.cluster.objects.get_mut("Pod", &namespace, &name) {
                        pods::set_status(pod, &Fare::Unscheduled(message), None, 0, now);
                    }
                }
            }
        }
    }

    /// Brings scheduled pods up. Gives the files that network plugins write on their hosts.
    fn run_pods(&mut self) -> Vec<(String, String, String)> {
        let mut written = Vec::new();
        let keys: Vec<(String, String)> = self
            .cluster
            .objects
            .list("Pod", None)
            .filter(|p| !p["spec"]["nodeName"].is_null())
            .map(|p| (text(p, "/metadata/namespace").to_owned(), text(p, "/metadata/name").to_owned()))
            .collect();
        for (namespace, name) in keys {
            let Some(pod) = self.cluster.objects.get("Pod", &namespace, &name) else { continue };
            let node = self.seen_as(text(pod, "/spec/nodeName")).cloned();
            let fare = self.fare(pod, node.as_ref());
            if fare == Fare::Running
                && let Some(node) = &node
                && text(pod, "/metadata/ownerReferences/0/kind") == "DaemonSet"
                && let Some((file, _)) =
                    pods::network_plugin(text(pod, "/metadata/ownerReferences/0/name"), &pod["spec"])
                && !node.network
            {
                let content = format!(
                    "{{\"cniVersion\": \"0.3.1\", \"name\": \"{name}\", \"plugins\": [{{\"type\": \"simulated\"}}]}}\n"
                );
                written.push((node.machine.clone(), format!("/etc/cni/net.d/{file}"), content));
            }
            let number = u64::from_str_radix(
                &text(pod, "/metadata/uid")[..4.min(text(pod, "/metadata/uid").len())],
                16,
            )
            .unwrap_or(0);
            let now = self.now;
            let Some(pod) = self.cluster.objects.get_mut("Pod", &namespace, &name) else { continue };
            let old = pod["status"].clone();
            pods::set_status(pod, &fare, node.as_ref(), number, now);
            if pod["status"] != old {
                self.touch("Pod", &namespace, &name);
            }
        }
        written
    }

    fn fare(&self, pod: &Value, node: Option<&Seen>) -> Fare {
        if pod["status"]["phase"] == "Succeeded" {
            return Fare::Succeeded;
        }
        let Some(node) = node.filter(|n| n.alive) else { return Fare::Lost };
        let owner = text(pod, "/metadata/ownerReferences/0/name");
        let daemon = text(pod, "/metadata/ownerReferences/0/kind") == "DaemonSet";
        if daemon && let Some((_, needs)) = pods::network_plugin(owner, &pod["spec"]) {
            if let Some(trouble) = self.plugin_trouble(owner, needs, &node.name) {
                return Fare::Waiting("CrashLoopBackOff", trouble);
            }
        } else if pod["spec"]["hostNetwork"] != true && !node.network {
            return Fare::Waiting(
                "ContainerCreating",
                "network is not ready: cni plugin not initialized".to_owned(),
            );
        }
        if let Some(missing) = self.unmounted(pod) {
            return Fare::Waiting("ContainerCreating", missing);
        }
        if pod["status"]["phase"] != "Running" && self.age(pod) < START {
            return Fare::Waiting("ContainerCreating", String::new());
        }
        if text(pod, "/metadata/ownerReferences/0/kind") == "Job" { Fare::Succeeded } else { Fare::Running }
    }

    /// A Secret or ConfigMap that a pod mounts and that is not there.
    fn unmounted(&self, pod: &Value) -> Option<String> {
        let namespace = text(pod, "/metadata/namespace");
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        volumes.into_iter().find_map(|volume| {
            let (kind, source, name) = match (&volume["secret"], &volume["configMap"]) {
                (secret, _) if secret.is_object() => ("Secret", secret, text(secret, "/secretName")),
                (_, map) if map.is_object() => ("ConfigMap", map, text(map, "/name")),
                _ => return None,
            };
            let there =
                source["optional"] == true || self.cluster.objects.get(kind, namespace, name).is_some();
            (!there).then(|| {
                let (volume, kind) = (text(volume, "/name"), kind.to_lowercase());
                format!("MountVolume.SetUp failed for volume \"{volume}\" : {kind} \"{name}\" not found")
            })
        })
    }

    /// Milliseconds since a pod was made; its stamp has whole seconds, so its first sight is what counts within one.
    fn age(&self, pod: &Value) -> i64 {
        let stamp = text(pod, "/metadata/creationTimestamp");
        if stamp == crate::tools::rfc3339(self.now) {
            // Within the first second: started once it has been seen as waiting before.
            return if pod["status"]["containerStatuses"].is_array() { START } else { 0 };
        }
        START
    }

    /// Why a network plugin does not come up on a node.
    fn plugin_trouble(&self, name: &str, needs_range: bool, node: &str) -> Option<String> {
        let given = !self.cluster.objects.get("Node", "", node)?["spec"]["podCIDR"].is_null();
        if needs_range && !given {
            return Some(format!(
                "Error registering network: failed to acquire lease: node \"{node}\" pod cidr not assigned"
            ));
        }
        if name.contains("flannel") {
            let configs = self.cluster.objects.list("ConfigMap", None);
            let conf =
                configs.into_iter().find_map(|c| c["data"]["net-conf.json"].as_str().map(str::to_owned))?;
            let network = serde_json::from_str::<Value>(&conf)
                .ok()
                .and_then(|v| v["Network"].as_str().map(str::to_owned));
            if network != self.cluster.pod_subnet {
                return Some(format!(
                    "Error registering network: failed to acquire lease: node subnet is not in flannel's network {} (podSubnet is {})",
                    network.unwrap_or_default(),
                    self.cluster.pod_subnet.clone().unwrap_or_default()
                ));
            }
        }
        None
    }

    fn statuses(&mut self) {
        let mut changes: Vec<(&'static str, String, String, Value)> = Vec::new();
        let objects: &Objects = &self.cluster.objects;
        for kind in ["DaemonSet", "Deployment", "StatefulSet", "Job"] {
            for object in objects.list(kind, None) {
                let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
                let uid = text(object, "/metadata/uid");
                let mine: Vec<&Value> = objects
                    .list("Pod", Some(namespace))
                    .filter(|p| text(p, "/metadata/ownerReferences/0/uid") == uid)
                    .collect();
                let total = mine.len();
                let ready =
                    mine.iter().filter(|p| nodes::condition(p, "Ready").as_deref() == Some("True")).count();
                let generation = object["metadata"]["generation"].clone();
                let status = match kind {
                    "DaemonSet" => json!({
                        "currentNumberScheduled": total, "desiredNumberScheduled": total, "numberAvailable": ready, "numberReady": ready,
                        "numberMisscheduled": 0, "numberUnavailable": total - ready, "observedGeneration": generation, "updatedNumberScheduled": total,
                    }),
                    "Job" => {
                        let done = mine.iter().filter(|p| p["status"]["phase"] == "Succeeded").count();
                        let mut status = json!({"succeeded": done, "active": total - done});
                        if done > 0 {
                            status["conditions"] = json!([{"type": "Complete", "status": "True"}]);
                        }
                        status
                    }
                    _ => {
                        let wanted = replicas(object);
                        let available = if ready >= wanted as usize { "True" } else { "False" };
                        json!({
                            "replicas": total, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": total, "currentReplicas": total,
                            "unavailableReplicas": total - ready, "observedGeneration": generation,
                            "conditions": [{"type": "Available", "status": available}, {"type": "Progressing", "status": "True"}],
                        })
                    }
                };
                if object["status"] != status {
                    changes.push((kind, namespace.to_owned(), name.to_owned(), status));
                }
            }
        }
        for budget in objects.list("PodDisruptionBudget", None) {
            let status = budgets::status(objects, budget);
            if budget["status"] != status {
                let of = |path| text(budget, path).to_owned();
                let (namespace, name) = (of("/metadata/namespace"), of("/metadata/name"));
                changes.push(("PodDisruptionBudget", namespace, name, status));
            }
        }
        for (kind, namespace, name, status) in changes {
            if let Some(object) = self.cluster.objects.get_mut(kind, &namespace, &name) {
                object["status"] = status;
            }
            self.touch(kind, &namespace, &name);
        }
    }
}

pub(super) fn replicas(object: &Value) -> u64 {
    object["spec"]["replicas"].as_u64().unwrap_or(1).min(500)
}

fn labelled(template: &Value, key: &str, value: &str) -> Value {
    let mut template = template.clone();
    if !template["metadata"]["labels"].is_object() {
        template["metadata"]["labels"] = json!({});
    }
    template["metadata"]["labels"][key] = value.into();
    template
}
