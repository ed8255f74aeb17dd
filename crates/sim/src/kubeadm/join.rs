//! `kubeadm join`.

use std::time::Duration;

use super::config::{self, Join, Settings};
use super::init::{etcd_data, host_of, mark, register};
use super::{files, preflight, tokens, trace};
use crate::cluster::nodes::is_ready;
use crate::cluster::pki::{self, Pair};
use crate::cluster::versions::minor;
use crate::cluster::{Cluster, EtcdMember};
use crate::host::NodeRole;
use crate::tools::{Cx, Opts, Status};
use crate::world::State;
use crate::world::model::{hex, real_now};
use crate::world::net::Refusal;

/// Real milliseconds until a learner of etcd has caught up.
const CATCH_UP: i64 = 150;

pub(super) fn run(cx: &mut Cx<'_>, opts: &Opts, endpoint: Option<&str>) -> Status {
    let join = config::join(cx, opts, endpoint)?;
    let release = cx.version.to_owned();
    preflight::join(cx, &join.node, &release, join.control_plane)?;
    let id = discover(cx, &join)?;
    cx.out("[preflight] Reading configuration from the cluster...\n[preflight] FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -o yaml'\n");
    let settings = settings(cx, &join, &id)?;
    let (mine, theirs) = (minor(&release), minor(&settings.version));
    if theirs > mine || mine > theirs + 1 {
        return Err(trace(
            cx,
            &format!(
                "error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: this version of kubeadm ({release}) does not support the cluster's version v{}",
                settings.version
            ),
        ));
    }
    if join.control_plane {
        prepare_control_plane(cx, &join, &settings, &id)?;
    }
    start_kubelet(cx, &join, &settings, &id)?;
    if join.control_plane {
        join_etcd(cx, &join, &settings, &id)?;
        cx.out("\nThis node has joined the cluster and a new control plane instance was created:\n\n* Certificate signing request was sent to apiserver and approval was received.\n* The Kubelet was informed of the new secure connection details.\n* Control plane label and taint were applied to the new node.\n* The Kubernetes control plane instances scaled up.\n* A new etcd member was added to the local/stacked etcd cluster.\n");
    } else {
        cx.out("\nThis node has joined the cluster:\n* Certificate signing request was sent to apiserver and a response was received.\n* The Kubelet was informed of the new secure connection details.\n\nRun 'kubectl get nodes' on the control-plane to see this node join the cluster.\n");
    }
    cx.sh.state(|s| s.reconcile(&id));
    Ok(0)
}

/// The server could not be reached or trusted.
fn identity(cx: &mut Cx<'_>, text: &str) -> i32 {
    trace(
        cx,
        &format!("error execution phase preflight: couldn't validate the identity of the API Server: {text}"),
    )
}

/// Reaches the API under the discovery address, and proves both sides. Gives the cluster's id.
fn discover(cx: &mut Cx<'_>, join: &Join) -> Result<String, i32> {
    let (host, port) = host_of(&join.endpoint);
    let machine = cx.sh.machine.clone();
    let url = format!(
        "Get \"https://{}/api/v1/namespaces/kube-public/configmaps/cluster-info?timeout=10s\"",
        join.endpoint
    );
    let reached = cx.sh.state(|s| s.connect(&machine, &host, port));
    let server = match reached {
        Ok(server) => server,
        Err(refusal) => {
            let why = match refusal {
                Refusal::Refused(at) => format!("dial tcp {at}: connect: connection refused"),
                Refusal::NoRoute(at) => format!("dial tcp {at}: connect: no route to host"),
                Refusal::UnknownName(name) => {
                    format!("dial tcp: lookup {name} on 192.0.2.53:53: no such host")
                }
            };
            return Err(identity(cx, &format!("{url}: {why}")));
        }
    };
    let (id, cluster, quorum, now) = cx.sh.state(|s| {
        let id = s.cluster_on(&server).unwrap_or_default();
        s.promote_learners(&id);
        let now = s.now();
        if let Some(cluster) = s.clusters.get(&id)
            && cluster.tokens.iter().any(|t| t.expires.is_some_and(|e| e <= now))
            && let Some(cluster) = s.clusters.get_mut(&id)
        {
            cluster.clean_tokens(now);
        }
        let cluster = s.clusters.get(&id).cloned();
        let quorum = s.has_quorum(&id);
        (id, cluster, quorum, now)
    });
    let Some(cluster) = cluster.filter(|_| quorum) else {
        return Err(identity(
            cx,
            &format!("{url}: net/http: request canceled (Client.Timeout exceeded while awaiting headers)"),
        ));
    };
    let (token, secret) = tokens::split(&join.token);
    let signer = cluster.token(&token, now).filter(|t| t.usages.contains("signing"));
    match signer {
        None => {
            return Err(identity(
                cx,
                &format!(
                    "could not find a JWS signature in the cluster-info ConfigMap for token ID \"{token}\""
                ),
            ));
        }
        Some(found) if found.secret != secret => {
            return Err(identity(
                cx,
                "failed to verify JWS signature of received cluster info object, can't trust this API Server",
            ));
        }
        Some(_) => {}
    }
    let hash = pki::ca_hash(&cluster.ca).unwrap_or_default();
    if !join.hashes.is_empty() && !join.hashes.contains(&hash) {
        return Err(identity(
            cx,
            &format!(
                "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"{hash}\" are pinned"
            ),
        ));
    }
    Ok(id)
}

/// The cluster's configuration as the joining node reads it.
fn settings(cx: &mut Cx<'_>, join: &Join, id: &str) -> Result<Settings, i32> {
    let cluster = cx.sh.state(|s| s.clusters.get(id).cloned());
    let Some(cluster) = cluster else {
        return Err(trace(cx, "error execution phase preflight: the cluster is gone"));
    };
    Ok(of_cluster(&cluster, join.node.clone(), join.skip.clone()))
}

/// Settings of a node in a cluster.
pub(super) fn of_cluster(cluster: &Cluster, node: config::Node, skip: Vec<String>) -> Settings {
    let list = |v: &serde_json::Value| {
        v.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    Settings {
        version: cluster.version.clone(),
        cluster: cluster.configuration.clone(),
        kubelet: cluster.kubelet_configuration.clone(),
        proxy: serde_json::json!({}),
        node,
        endpoint: cluster.endpoint.clone(),
        pod_subnet: cluster.pod_subnet.clone(),
        service_subnet: cluster.service_subnet.clone(),
        cert_sans: list(&cluster.configuration["apiServer"]["certSANs"]),
        certificate_key: None,
        tokens: Vec::new(),
        skip,
    }
}

/// Shared certificates, then everything that a control plane has of its own.
fn prepare_control_plane(cx: &mut Cx<'_>, join: &Join, settings: &Settings, id: &str) -> Result<(), i32> {
    let here = cx.host(|h, _| files::shared(h));
    let complete = files::SHARED.iter().all(|f| here.contains_key(*f));
    if settings.endpoint.is_none() || (!complete && join.certificate_key.is_none()) {
        let mut reasons = Vec::new();
        if settings.endpoint.is_none() {
            reasons.push("unable to add a new control plane instance to a cluster that doesn't have a stable controlPlaneEndpoint address".to_owned());
        }
        if !complete && join.certificate_key.is_none() {
            reasons.push("[failure loading certificate for CA: couldn't load the certificate file /etc/kubernetes/pki/ca.crt: open /etc/kubernetes/pki/ca.crt: no such file or directory]".to_owned());
        }
        return Err(trace(
            cx,
            &format!(
                "error execution phase preflight:\nOne or more conditions for hosting a new control plane instance is not satisfied.\n\n{}\n\nPlease ensure that:\n* The cluster has a stable controlPlaneEndpoint address.\n* The certificates that must be shared among control plane instances are provided.\n\n",
                reasons.join("\n")
            ),
        ));
    }
    cx.out("[preflight] Running pre-flight checks before initializing the new control plane instance\n");
    if let Some(key) = &join.certificate_key {
        let phase = "error execution phase control-plane-prepare/download-certs: error downloading certs: ";
        let certs = cx.sh.state(|s| s.clusters.get(id).and_then(|c| c.certs.clone()));
        match certs {
            None => {
                return Err(trace(
                    cx,
                    &format!(
                        "{phase}error downloading the secret: Secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace. This Secret might have expired. Please, run `kubeadm init phase upload-certs --upload-certs` on a control plane to generate a new one"
                    ),
                ));
            }
            Some(certs) if certs.key != *key => {
                return Err(trace(
                    cx,
                    &format!(
                        "{phase}error decoding secret data with provided key: cipher: message authentication failed"
                    ),
                ));
            }
            Some(certs) => {
                cx.host_mut(|h, now| files::put_shared(h, &certs.files, now));
                cx.out("[download-certs] Downloading the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace\n");
            }
        }
    }
    let node = &join.node;
    let written = cx.host_mut(|h, now| {
        files::leaves(h, settings, node, now)?;
        files::kubeconfigs(h, settings, node, false, now)?;
        for (name, text) in files::manifests(settings, node, &[]).into_iter().filter(|(n, _)| *n != "etcd") {
            h.files.put(&format!("/etc/kubernetes/manifests/{name}.yaml"), text, 0o600, now);
        }
        Ok::<(), String>(())
    });
    written.map_err(|e| trace(cx, &e))?;
    cx.out("[certs] Using certificateDir folder \"/etc/kubernetes/pki\"\n[kubeconfig] Generating kubeconfig files\n[control-plane] Using manifest folder \"/etc/kubernetes/manifests\"\n[check-etcd] Checking that the etcd cluster is healthy\n");
    cx.sh
        .state(|s| super::upgrade::static_pods::etcd_health(s, id))
        .map_err(|e| trace(cx, &format!("error execution phase check-etcd: {e}")))
}

/// The TLS bootstrap: kubelet gets its certificate, starts, and registers the node.
fn start_kubelet(cx: &mut Cx<'_>, join: &Join, settings: &Settings, id: &str) -> Result<(), i32> {
    let name = &join.node.name;
    let taken = cx.sh.state(|s| {
        s.reconcile(id);
        s.clusters.get(id).and_then(|c| c.objects.get("Node", "", name)).is_some_and(is_ready)
    });
    if taken {
        return Err(trace(
            cx,
            &format!(
                "error execution phase kubelet-start: a Node with name \"{name}\" and status \"Ready\" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node"
            ),
        ));
    }
    cx.out("[kubelet-start] Writing kubelet configuration to file \"/var/lib/kubelet/config.yaml\"\n[kubelet-start] Starting the kubelet\n");
    let signer = cx.sh.state(|s| signer(s, id));
    let Some(signer) = signer else {
        return Err(trace(cx, "error execution phase kubelet-start: timed out waiting for the condition"));
    };
    let written = cx.host_mut(|h, now| {
        files::kubelet(h, &settings.kubelet, &join.node, &settings.version, now);
        if !h.files.exists("/etc/kubernetes/kubelet.conf") {
            files::kubelet_conf(h, &signer, &join.endpoint, name, now)?;
        }
        h.node =
            Some(NodeRole { cluster: id.to_owned(), name: name.clone(), api_port: None, pods_up: false });
        h.stop_unit("kubelet", now * 1000);
        // Whether it came up is looked at right below.
        let _ = h.start_unit("kubelet", now * 1000);
        Ok::<bool, String>(h.active("kubelet"))
    });
    if written != Ok(true) {
        cx.err("[kubelet-check] The HTTP call equal to 'curl -sSL http://localhost:10248/healthz' failed with error: Get \"http://localhost:10248/healthz\": dial tcp 127.0.0.1:10248: connect: connection refused.\n");
        return Err(trace(cx, "error execution phase kubelet-start: timed out waiting for the condition"));
    }
    cx.sh.state(|s| register(s, id, &join.node));
    cx.out("[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap\n");
    Ok(())
}

/// The signing key of the cluster, on any control plane that runs.
fn signer(s: &mut State, id: &str) -> Option<Pair> {
    let machines: Vec<String> = s.clusters.get(id)?.etcd.iter().map(|m| m.machine.clone()).collect();
    machines.iter().filter(|m| s.apiserver_up(m)).find_map(|m| files::signer(s.host(m)?))
}

/// Adds the member as a learner, waits for its vote, then marks the node.
fn join_etcd(cx: &mut Cx<'_>, join: &Join, settings: &Settings, id: &str) -> Result<(), i32> {
    let machine = cx.sh.machine.clone();
    let node = &join.node;
    cx.out("[etcd] Announced new etcd member joining to the existing etcd cluster\n");
    let learners = minor(&settings.version) >= 27;
    let added = cx.sh.state(|s| {
        s.promote_learners(id);
        if !s.has_quorum(id) {
            return Err("context deadline exceeded".to_owned());
        }
        let Some(cluster) = s.clusters.get_mut(id) else { return Err("the cluster is gone".to_owned()) };
        if cluster.etcd.iter().any(|m| m.learner_until.is_some()) {
            return Err(if learners {
                "etcdserver: too many learner members in cluster"
            } else {
                "etcdserver: unhealthy cluster"
            }
            .to_owned());
        }
        if cluster.etcd.iter().any(|m| m.name == node.name || m.address == node.address.to_string()) {
            return Err("etcdserver: Peer URLs already exists".to_owned());
        }
        let members: Vec<String> =
            cluster.etcd.iter().map(|m| format!("{}=https://{}:2380", m.name, m.address)).collect();
        cluster.etcd.push(EtcdMember {
            id: hex(16),
            name: node.name.clone(),
            machine: machine.clone(),
            address: node.address.to_string(),
            learner_until: Some(real_now() + CATCH_UP),
        });
        Ok(members)
    });
    let members = match added {
        Ok(members) => members,
        Err(e) => {
            let phase = if minor(cx.version) >= 33 { "etcd-join" } else { "control-plane-join/etcd" };
            return Err(trace(
                cx,
                &format!(
                    "error execution phase {phase}: error creating local etcd static pod manifest file: {e}"
                ),
            ));
        }
    };
    cx.host_mut(|h, now| {
        for (name, text) in
            files::manifests(settings, node, &members).into_iter().filter(|(n, _)| *n == "etcd")
        {
            h.files.put(&format!("/etc/kubernetes/manifests/{name}.yaml"), text, 0o600, now);
        }
        if let Some(role) = &mut h.node {
            role.api_port = Some(node.port);
            role.pods_up = true;
        }
    });
    cx.sh.state(|s| etcd_data(s, &machine));
    cx.out("[etcd] Creating static Pod manifest for \"etcd\"\n[etcd] Waiting for the new etcd member to join the cluster. This can take up to 40s\n");
    let limit = Duration::from_secs(120);
    let voted = cx.sh.wait(limit, |s| {
        s.promote_learners(id);
        let member = s.clusters.get(id)?.etcd.iter().find(|m| m.name == node.name)?;
        member.learner_until.is_none().then_some(())
    });
    if voted.is_none() {
        return Err(trace(
            cx,
            "error execution phase control-plane-join/etcd: error creating local etcd static pod manifest file: timeout waiting for etcd cluster to be available",
        ));
    }
    cx.sh.state(|s| mark(s, id, node));
    cx.out(format!(
        "[mark-control-plane] Marking the node {} as control-plane by adding the labels and taints\n",
        node.name
    ));
    Ok(())
}
