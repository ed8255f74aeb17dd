//! `plans/modules/ha-cluster` and `plans/bare-metal` on simulated machines: a whole cluster in one block, from its first day to its last.

use serde_json::Value as Json;

use crate::hosts::{HOSTS, LAB};
use crate::sandbox::{Ran, Sandbox};

/// Who is in the cluster, and where whoever may be is.
const NODES: &str = r#"
variable "kubernetes_version" { default = "1.33.4" }

variable "balancers" {
  type    = list(string)
  default = ["lb-1"]
}

variable "control_planes" {
  type    = list(string)
  default = ["cp-1", "cp-2", "cp-3"]
}

variable "workers" {
  type    = list(string)
  default = ["worker-1", "worker-2"]
}

locals {
  addresses = {
    lb-1 = "10.0.0.5", cp-1 = "10.0.0.11", cp-2 = "10.0.0.12", cp-3 = "10.0.0.13", cp-4 = "10.0.0.14", cp-5 = "10.0.0.15",
    worker-1 = "10.0.0.101", worker-2 = "10.0.0.102"
  }
}
"#;

/// Machines that come and go with the cluster's.
const MACHINES: &str = r#"
locals {
  machines = { for name in concat(var.balancers, var.control_planes, var.workers) : name => local.addresses[name] }
}

resource "sim_port" "this" {
  for_each              = local.machines
  network_id            = sim_network.lab.id
  fixed_ip              = each.value
  allowed_address_pairs = ["10.244.0.0/16", "10.96.0.0/16"]
}

module "cluster" {
  source             = "../modules/ha-cluster"
  name               = "lab"
  kubernetes_version = var.kubernetes_version
  load_balancers     = { for name in var.balancers : name => host_machine.this[name].connection }
  control_planes     = { for name in var.control_planes : name => host_machine.this[name].connection }
  workers            = { for name in var.workers : name => host_machine.this[name].connection }
}

resource "kube_manifest" "web" {
  cluster    = module.cluster.cluster
  depends_on = [module.cluster]
  wait       = true

  manifest = <<-EOT
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
    spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
  EOT
}
"#;

/// Machines that are there, and stay.
const METAL: &str = r#"
resource "sim_port" "this" {
  for_each              = local.addresses
  network_id            = sim_network.lab.id
  fixed_ip              = each.value
  allowed_address_pairs = ["10.244.0.0/16", "10.96.0.0/16"]
}

resource "sim_machine" "this" {
  for_each        = local.addresses
  name            = each.key
  port_ids        = [sim_port.this[each.key].id]
  authorized_keys = [tls_private_key.lab.public_key_openssh]

  lifecycle { ignore_changes = all } # one that is off stays off
}

module "metal" {
  source               = "../bare-metal"
  depends_on           = [sim_machine.this]
  kubernetes_version   = var.kubernetes_version
  control_planes       = { for name in var.control_planes : name => local.addresses[name] }
  workers              = { for name in var.workers : name => local.addresses[name] }
  ssh_user             = "debian"
  ssh_private_key_file = local_sensitive_file.key.filename
}
"#;

/// The nodes, each with its status and release.
fn nodes(sandbox: &Sandbox) -> Vec<String> {
    let listed = sandbox.expect(0, &["kubectl", "get", "nodes", "--no-headers"]).stdout;
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    listed.lines().map(words).map(|w| format!("{} {} {}", w[0], w[1], w[w.len() - 1])).collect()
}

/// Where in a run something began or was done, such as `update module.cluster.haproxy_proxy.api`.
fn at(ran: &Ran, event: &str, action: &str, addr: &str) -> usize {
    let is = |e: &Json| {
        let of = |key: &str| e[key].as_str().unwrap_or_default();
        of("type") == event && of("action") == action && of("addr").contains(addr)
    };
    ran.events().iter().position(is).unwrap_or_else(|| panic!("no {event} {action} {addr}:\n{}", ran.stdout))
}

fn steps(ran: &Ran) -> Vec<String> {
    ran.events_of("progress").iter().filter_map(|e| Some(e["step"].as_str()?.to_owned())).collect()
}

const ONE: &str = "-var=control_planes=[\"cp-1\"]";
const FIVE: &str = "-var=control_planes=[\"cp-1\",\"cp-2\",\"cp-3\",\"cp-4\",\"cp-5\"]";

#[test]
fn one_block_grows_shrinks_goes_two_minors_further_and_goes() {
    let sandbox = Sandbox::beside_plans(&[LAB, NODES, HOSTS, MACHINES].concat());
    sandbox.expect(0, &["apply", "-auto-approve", ONE]);
    assert_eq!(nodes(&sandbox).len(), 3);
    sandbox.expect(0, &["apply", "-auto-approve", FIVE]);
    assert_eq!(nodes(&sandbox).len(), 7);
    sandbox.expect(0, &["plan", "-detailed-exitcode", FIVE]);

    // Control planes that go are out of the load balancer before anything is done to them.
    let less = sandbox.expect(0, &["apply", "-auto-approve", "-json"]);
    let out = at(&less, "operation_done", "update", "haproxy_proxy.api[\"lb-1\"]");
    for name in ["cp-4", "cp-5"] {
        assert!(
            out < at(
                &less,
                "operation_started",
                "delete",
                &format!("kubeadm_control_plane.this[\"{name}\"]")
            )
        );
    }
    // Their machines go too: they are drained and taken out of etcd, and nobody resets them.
    assert_eq!(steps(&less).iter().filter(|step| step.starts_with("draining cp-")).count(), 2);
    assert!(!steps(&less).iter().any(|step| step.contains("kubeadm reset")), "{:?}", steps(&less));

    let next = "-var=kubernetes_version=1.35.1";
    let upgrade = sandbox.expect(0, &["apply", "-auto-approve", "-json", next]);
    let hops: Vec<String> =
        steps(&upgrade).into_iter().filter(|step| step.starts_with("kubeadm upgrade apply")).collect();
    assert_eq!(hops.len(), 2, "{hops:?}");
    let all = ["cp-1", "cp-2", "cp-3", "worker-1", "worker-2"].map(|name| format!("{name} Ready v1.35.1"));
    assert_eq!(nodes(&sandbox), all);
    sandbox.expect(0, &["plan", "-detailed-exitcode", next]);

    // No budget and no dead control plane is in the way of what goes as a whole.
    sandbox.expect(0, &["sim", "stop", "cp-1"]);
    sandbox.expect(0, &["sim", "stop", "cp-2"]);
    let destroy = sandbox.expect(0, &["destroy", "-auto-approve", "-json", next]);
    let undone: Vec<String> =
        steps(&destroy).into_iter().filter(|step| step.contains("drain") || step.contains("reset")).collect();
    assert_eq!(undone, Vec::<String>::new());
    assert!(sandbox.state().is_empty());
}

#[test]
fn a_release_that_is_out_of_reach_is_refused_in_the_plan() {
    let sandbox = Sandbox::beside_plans(&[LAB, NODES, HOSTS, MACHINES].concat());
    sandbox.expect(0, &["apply", "-auto-approve", ONE]);
    let far = sandbox.expect(1, &["plan", ONE, "-var=kubernetes_version=1.37.0"]);
    assert!(far.stderr.contains("1.33.4 to 1.37.0 is too far for one upgrade"), "{}", far.stderr);
    assert!(far.stderr.contains("help: go to a release of 1.36 first"), "{}", far.stderr);
    let back = sandbox.expect(1, &["plan", ONE, "-var=kubernetes_version=1.32.0"]);
    assert!(back.stderr.contains("cannot be taken back to 1.32.0"), "{}", back.stderr);
}

#[test]
fn a_dead_machine_by_address_leaves_and_a_live_one_is_given_back() {
    let sandbox = Sandbox::beside_plans(&[LAB, NODES, METAL].concat());
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(nodes(&sandbox).len(), 5);
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    sandbox.expect(0, &["sim", "stop", "worker-2"]);
    let less = ["-var=workers=[\"worker-1\"]"];
    let ran = sandbox.expect(0, &[&["apply", "-auto-approve"][..], &less].concat());
    assert!(ran.stdout.contains("0 added, 0 changed, 5 destroyed"), "{}", ran.stdout);
    assert_eq!(nodes(&sandbox).len(), 4);

    // A control plane that died leaves too, though two are no better than one: that is only told.
    sandbox.expect(0, &["sim", "stop", "cp-3"]);
    let less = [less[0], "-var=control_planes=[\"cp-1\",\"cp-2\"]"];
    let ran = sandbox.expect(0, &[&["apply", "-auto-approve"][..], &less].concat());
    assert!(
        ran.all().contains("2 control planes bear the failure of no more machines than 1 would"),
        "{}",
        ran.all()
    );
    assert_eq!(nodes(&sandbox).len(), 3);

    // Machines that stay are given back as they were: reset, with nothing of ours on them.
    let target = ["destroy", "-auto-approve", "-target=module.metal.module.cluster"];
    sandbox.expect(0, &[&target[..], &less].concat());
    let left = "ls /etc/kubernetes/*.conf /etc/haproxy/haproxy.cfg /etc/sysctl.d/99-kubernetes.conf 2>/dev/null; apt-mark showhold";
    for name in ["cp-1", "cp-2", "worker-1"] {
        assert_eq!(sandbox.expect(0, &["ssh", name, left]).stdout, "", "{name}");
    }
}

#[test]
fn every_plan_is_valid_and_its_readme_names_every_variable() {
    for plan in ["lab", "ha-haproxy-on-every-node", "local-ha", "bare-metal", "openstack"] {
        let sandbox = Sandbox::of_plans(plan);
        sandbox.expect(0, &["validate"]);
        let (variables, readme) = (sandbox.read("variables.tf"), sandbox.read("README.md"));
        let name = |line: &str| line.strip_prefix("variable \"")?.split('"').next().map(str::to_owned);
        let missing: Vec<String> = variables
            .lines()
            .filter_map(name)
            .filter(|name| !readme.contains(&format!("`{name}`")))
            .collect();
        assert_eq!(missing, Vec::<String>::new(), "{plan}/README.md");
    }
}
