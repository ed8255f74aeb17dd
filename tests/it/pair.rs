//! Two load balancers with one address between them: when one is lost, the API stays where it was.

use crate::hosts::{HOSTS, LAB};
use crate::sandbox::Sandbox;

/// Simulated machines under `plans/modules/ha-cluster`.
const PLAN: &str = r#"
locals {
  balancers      = { lb-1 = "10.0.0.8", lb-2 = "10.0.0.9" }
  control_planes = { cp-1 = "10.0.0.11" }
  workers        = { worker-1 = "10.0.0.21" }
  machines       = merge(local.balancers, local.control_planes, local.workers)
}

resource "sim_port" "this" {
  for_each = local.machines

  name                  = each.key
  network_id            = sim_network.lab.id
  fixed_ip              = each.value
  allowed_address_pairs = contains(keys(local.balancers), each.key) ? ["10.0.0.100"] : ["10.244.0.0/16", "10.96.0.0/16"]
}

module "cluster" {
  source = "../modules/ha-cluster"

  name               = "pair"
  kubernetes_version = "1.34.2"

  load_balancers = { for name, _ in local.balancers : name => host_machine.this[name].connection }
  control_planes = { for name, _ in local.control_planes : name => host_machine.this[name].connection }
  workers        = { for name, _ in local.workers : name => host_machine.this[name].connection }
  virtual_ip     = { address = "10.0.0.100" }
}

output "endpoint" {
  value = module.cluster.endpoint
}
"#;

#[test]
fn the_address_moves_to_the_other_one_and_comes_back() {
    let sandbox = Sandbox::beside_plans(&[LAB, HOSTS, PLAN].concat());
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(sandbox.expect(0, &["output", "-raw", "endpoint"]).stdout.trim(), "10.0.0.100:6443");
    let ready = || sandbox.expect(0, &["ssh", "worker-1", "curl -sk https://10.0.0.100:6443/readyz"]).stdout;
    assert_eq!(ready().trim(), "ok");
    sandbox.expect(0, &["sim", "lose", "lb-1"]);
    assert_eq!(ready().trim(), "ok", "the other one holds the address");
    sandbox.expect(0, &["apply", "-auto-approve"]);
    assert_eq!(ready().trim(), "ok");
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    sandbox.expect(0, &["destroy", "-auto-approve"]);
    assert!(sandbox.state().is_empty());
}
