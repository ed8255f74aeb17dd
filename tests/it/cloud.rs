//! `plans/modules/openstack-cloud` on simulated machines: nodes that wait for their cloud, what a cluster makes there, and how it goes. The simulated cloud
//! controller and driver do what real ones do to the API and to the cloud; that the images run, only a cloud can show.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use serde_json::Value as Json;

use crate::hosts::{HOSTS, LAB};
use crate::sandbox::{Ran, Sandbox};

/// Nobody's credential.
const SECRET: &str = "hunter2-of-the-\"application\"-credential";

const PLAN: &str = r#"
variable "secret" {
  type      = string
  ephemeral = true
  default   = null
}

variable "controllers" { default = true }
variable "extras" { default = true }

locals {
  machines = { cp-1 = "10.0.0.11", worker-1 = "10.0.0.101" }
}

resource "sim_port" "this" {
  for_each   = local.machines
  network_id = sim_network.lab.id
  fixed_ip   = each.value
}

module "cluster" {
  source             = "../modules/ha-cluster"
  name               = "lab"
  kubernetes_version = "1.34.2"
  control_planes     = { cp-1 = host_machine.this["cp-1"].connection }
  workers            = { worker-1 = host_machine.this["worker-1"].connection }
  cloud_provider     = "external"
}

module "cloud" {
  source = "../modules/openstack-cloud"
  count  = var.controllers ? 1 : 0

  cluster            = module.cluster.cluster
  ready              = module.cluster.ready
  cluster_name       = "lab"
  kubernetes_version = "1.34.2"
  auth_url           = "https://keystone.example:5000/v3"
  region             = "RegionOne"
  ca_certificate     = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
  network            = "lab"
  subnet_id          = "5ab"

  application_credential_id     = "app-1"
  application_credential_secret = var.secret

  floating_network_id = "f10a7"
  cinder_csi          = var.extras
  volume_type         = "ssd"
}

resource "kube_config" "admin" {
  count   = var.extras ? 1 : 0
  cluster = module.cluster.cluster
}
"#;

/// What people run in the cluster: a load balancer, a volume.
const WORKLOADS: &str = "
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec: {type: LoadBalancer, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: default}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: 'registry.k8s.io/pause:3.10'}]}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce]}}]
";

fn sandbox() -> Sandbox {
    Sandbox::beside_plans(&[LAB, HOSTS, PLAN].concat())
}

fn secret() -> String {
    format!("-var=secret={SECRET}")
}

fn world(sandbox: &Sandbox) -> Json {
    serde_json::from_str(&sandbox.expect(0, &["sim", "list", "-json"]).stdout).unwrap()
}

/// What the cluster has made in the cloud.
fn made(sandbox: &Sandbox) -> (Vec<String>, usize) {
    let world = world(sandbox);
    let ports = world["ports"].as_array().unwrap().iter().filter(|port| port["machine"].is_null());
    let names = ports.map(|port| port["name"].as_str().unwrap().to_owned()).collect();
    (names, world["volumes"].as_array().unwrap().len())
}

fn taints(sandbox: &Sandbox) -> String {
    sandbox.expect(0, &["kubectl", "get", "nodes", "-o", "jsonpath={.items[*].spec.taints[*].key}"]).stdout
}

fn run_workloads(sandbox: &Sandbox) {
    let mut command = sandbox.command(&["kubectl", "apply", "-f", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(WORKLOADS.as_bytes()).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    sandbox.expect(0, &["kubectl", "rollout", "status", "statefulset/db", "--timeout=30s"]);
}

/// The first event about one of these addresses.
fn first(ran: &Ran, event: &str, addresses: &[&str]) -> usize {
    let is = |e: &Json| {
        let addr = e["addr"].as_str().unwrap_or_default();
        e["type"] == event && addresses.iter().any(|part| addr.contains(part))
    };
    ran.events().iter().position(is).unwrap_or_else(|| panic!("no {event} of {addresses:?}:\n{}", ran.stdout))
}

#[test]
fn nodes_wait_for_the_cloud_and_what_the_cluster_made_there_goes_first() {
    let sandbox = sandbox();
    let secret = secret();
    let apply = |code: i32, more: &[&str]| {
        sandbox.expect(code, &[&["apply", "-auto-approve", "-json", &secret], more].concat())
    };
    // A saved plan is a file too.
    sandbox.expect(0, &["plan", "-out=saved", &secret]);
    // Nothing of the pods' network runs before the cloud controller has taken the nodes over.
    let early = apply(0, &["-var=controllers=false"]);
    assert!(taints(&sandbox).contains("uninitialized"));
    let names = ["kubectl", "-n", "kube-system", "rollout", "status", "deploy/coredns", "--timeout=1s"];
    sandbox.expect(1, &names);

    let up = apply(0, &[]);
    assert!(!taints(&sandbox).contains("uninitialized"));
    sandbox.expect(0, &names);
    let id = sandbox.expect(0, &["kubectl", "get", "node", "worker-1", "-o", "jsonpath={.spec.providerID}"]);
    assert!(id.stdout.starts_with("openstack:///"), "{}", id.stdout);
    assert_eq!(made(&sandbox), (vec![], 0));
    sandbox.expect(0, &["plan", "-detailed-exitcode", &secret]);

    // What the cluster makes is no change of the plan's; what goes with it is told before it does.
    run_workloads(&sandbox);
    assert_eq!(made(&sandbox), (vec!["kube_service_lab_default_shop".to_owned()], 1));
    sandbox.expect(0, &["plan", "-detailed-exitcode", &secret]);
    let preview = sandbox.expect(0, &["plan", "-destroy"]).stdout;
    assert!(preview.contains("default/shop") && preview.contains("default/data-db-0"), "{preview}");

    // Nothing of the credential is anywhere but in the cluster, which is in the simulated world.
    let printed = [early.all(), up.all(), preview].concat();
    assert!(!printed.contains("hunter2"));
    for (path, bytes) in sandbox.files() {
        if path.file_name().is_some_and(|name| name != "world.json") {
            let found = bytes.windows(7).any(|w| w == b"hunter2");
            assert!(!found, "the secret is in {}", path.display());
        }
    }

    let ran = sandbox.expect(0, &["destroy", "-auto-approve", "-json"]);
    let swept = first(&ran, "operation_done", &["kube_sweep.this"]);
    let rest = ["kube_manifest.c", "kubeadm_", "kube_cni", "haproxy", "host_machine", "sim_"];
    assert!(swept < first(&ran, "operation_started", &rest), "{}", ran.stdout);
    assert_eq!(made(&sandbox), (vec![], 0));
    assert_eq!(world(&sandbox)["networks"], Json::Array(vec![]));
    assert!(sandbox.state().is_empty());
}

#[test]
fn a_cluster_that_stays_keeps_what_it_made() {
    let sandbox = sandbox();
    let secret = secret();
    sandbox.expect(0, &["apply", "-auto-approve", &secret]);
    run_workloads(&sandbox);
    let before = made(&sandbox);
    assert_eq!(before.1, 1);
    // The cloud's part goes, and a kubeconfig, which has the cluster's id: that is not the cluster.
    sandbox.expect(0, &["apply", "-auto-approve", "-var=controllers=false", "-var=extras=false"]);
    assert_eq!(made(&sandbox), before);
    let services = sandbox.expect(0, &["kubectl", "get", "services", "-o", "name"]).stdout;
    assert!(services.contains("service/shop"), "{services}");
    // Without the sweep, what is left holds the network.
    let stuck = sandbox.expect(1, &["destroy", "-auto-approve"]);
    assert!(stuck.all().contains("is in use by 1 port(s)"), "{}", stuck.all());
    assert_eq!(made(&sandbox), before);
}

#[test]
fn a_sweep_that_is_killed_is_taken_back_or_gone_on_with() {
    let sandbox = sandbox();
    let secret = secret();
    sandbox.expect(0, &["apply", "-auto-approve", &secret]);
    run_workloads(&sandbox);
    let mut command = sandbox.command(&["destroy", "-auto-approve", "-json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let begun = lines.take_while(|line| !line.contains("waiting for what the cluster has made")).count();
    child.kill().unwrap();
    assert!(child.wait().unwrap().code().is_none(), "it was over before, after {begun} events");
    let quotas = ["kubectl", "get", "resourcequotas", "-A", "-o", "name"];
    assert_ne!(sandbox.expect(0, &quotas).stdout, "");

    // Whoever thinks better of it gets a cluster that makes load balancers as before.
    sandbox.expect(0, &["apply", "-auto-approve", &secret]);
    assert_eq!(sandbox.expect(0, &quotas).stdout, "");
    run_workloads(&sandbox);
    assert_eq!(made(&sandbox), (vec!["kube_service_lab_default_shop".to_owned()], 1));

    sandbox.expect(0, &["destroy", "-auto-approve"]);
    assert_eq!(made(&sandbox), (vec![], 0));
    assert!(sandbox.state().is_empty());
}

#[test]
fn manifests_and_configuration_are_filled_in() {
    let sandbox = sandbox();
    let without = sandbox.expect(1, &["plan"]);
    assert!(
        without.stderr.contains("The secret of the application credential is missing"),
        "{}",
        without.stderr
    );
    sandbox.expect(0, &["apply", "-auto-approve", &secret()]);
    let jsonpath = "jsonpath={.data.cloud\\.conf}";
    let encoded =
        sandbox.expect(0, &["kubectl", "-n", "kube-system", "get", "secret", "cloud-config", "-o", jsonpath]);
    let decode = format!("echo '{}' | base64 -d", encoded.stdout.trim());
    let conf = sandbox.expect(0, &["ssh", "cp-1", &decode]).stdout;
    let state: Json = serde_json::from_str(&sandbox.expect(0, &["show", "-json"]).stdout).unwrap();
    // What the templates have become: their other lines stand in them.
    let mut texts = vec![conf];
    let module = sandbox.dir().parent().unwrap().join("modules/openstack-cloud/manifests");
    let template = |name: &str| std::fs::read_to_string(module.join(name)).unwrap();
    let templates = template("cloud-controller-manager.yaml") + &template("cinder-csi.yaml");
    let mut modules = vec![&state["values"]["root_module"]];
    while let Some(module) = modules.pop() {
        modules.extend(module["child_modules"].as_array().into_iter().flatten());
        for resource in module["resources"].as_array().into_iter().flatten() {
            if resource["type"] == "kube_manifest" {
                let manifest = resource["values"]["manifest"].as_str().unwrap();
                let filled = manifest.lines().filter(|line| !templates.lines().any(|other| other == *line));
                texts.push(filled.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    assert_eq!(texts.len(), 3);
    texts[1..].sort();
    insta::assert_snapshot!(texts.join("\n---\n"));
}
