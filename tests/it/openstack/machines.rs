//! Key pairs, server groups, servers; the seed's snippet.

use super::cloud::{Cloud, post};
use crate::sandbox::flat;
use crate::seed::SNIPPET;

/// Ports as the seed writes them, word for word, and machines on them.
const PLAN: &str = r##"
variable "nodes_count" { default = 2 }
variable "k8s_pod_cidr" { default = "10.244.0.0/16" }
variable "k8s_service_cidr" { default = "10.96.0.0/12" }
variable "role" { default = "node" }
variable "flavor" { default = "m1.tiny" }
variable "power" { default = "active" }
variable "user_data" { default = "#cloud-config\n" }

locals {
  internal = openstack_networking_network_v2.lan.id
}
resource "openstack_networking_network_v2" "lan" {
  name = "lan"
}
resource "openstack_networking_subnet_v2" "lan" {
  network_id = local.internal
  cidr       = "10.20.0.0/24"
}
resource "openstack_networking_secgroup_v2" "k8s" {
  name = "k8s"
}
module "ports" {
  source                     = "./ports"
  nodes_count                = var.nodes_count
  internal_network_id        = local.internal
  internal_network_subnet_id = openstack_networking_subnet_v2.lan.id
  k8s_pod_cidr               = var.k8s_pod_cidr
  k8s_service_cidr           = var.k8s_service_cidr
  security_group_id          = openstack_networking_secgroup_v2.k8s.id
}
resource "openstack_compute_keypair_v2" "k" {
  name = "lab"
}
resource "openstack_compute_servergroup_v2" "g" {
  name     = "nodes"
  policies = ["soft-anti-affinity"]
}
data "openstack_images_image_v2" "tiny" {
  name        = "tiny"
  most_recent = true
}
resource "openstack_compute_instance_v2" "n" {
  count       = var.nodes_count
  name        = "node-${count.index}"
  image_id    = data.openstack_images_image_v2.tiny.id
  flavor_name = var.flavor
  key_pair    = openstack_compute_keypair_v2.k.name
  user_data   = var.user_data
  power_state = var.power
  metadata    = { role = var.role }
  tags        = ["k8s"]
  network {
    port = module.ports.ids[count.index]
  }
  scheduler_hints {
    group = openstack_compute_servergroup_v2.g.id
  }
}
"##;

/// What stands around the ports of the text.
const PORTS: &str = r#"
variable "nodes_count" {}
variable "internal_network_id" {}
variable "internal_network_subnet_id" {}
variable "k8s_pod_cidr" {}
variable "k8s_service_cidr" {}
variable "security_group_id" {}

output "ids" { value = openstack_networking_port_v2.k8s_port[*].id }
"#;

#[test]
fn machines_live_and_go() {
    let cloud = Cloud::new("machines", PLAN);
    cloud.sandbox.write("ports/main.tf", PORTS);
    cloud.sandbox.write("ports/snippet.tf", SNIPPET);
    cloud.killed_at(&[
        post("/v2.1/os-keypairs", 1),
        post("/v2.1/os-server-groups", 1),
        post("/v2.0/ports", 2),
        post("/v2.1/servers", 2),
    ]);
    let first = cloud.object("openstack_compute_instance_v2.n[0]");
    let server = cloud.openstack(&["server", "show", first["id"].as_str().unwrap()]);
    assert!(server["addresses"].to_string().contains(first["access_ip_v4"].as_str().unwrap()), "{server}");
    assert_eq!(first["network"][0]["name"], "lan");
    assert_eq!(first["all_metadata"], serde_json::json!({ "role": "node" }), "the key is not theirs to see");
    let [ports] = cloud.lists(["port list --long"]);
    assert_eq!(ports.len(), 2);

    // In place: metadata, power. (Key pairs and server groups can't be changed.)
    let off = ["-var=role=worker", "-var=power=shutoff"];
    assert_eq!(
        Cloud::done(&cloud.apply(&off)),
        ["update openstack_compute_instance_v2.n[0]", "update openstack_compute_instance_v2.n[1]",]
    );
    cloud.settled(&off);
    let server = cloud.openstack(&["server", "show", first["id"].as_str().unwrap()]);
    assert_eq!(
        (server["status"].as_str(), server["properties"]["role"].as_str()),
        (Some("SHUTOFF"), Some("worker"))
    );

    // Anew, on the same ports, and one more; then with another group and key.
    let more = ["-var=user_data=#cloud-config\n#2\n", "-var=nodes_count=3"];
    let replaced = Cloud::done(&cloud.apply(&more));
    assert_eq!(
        replaced.iter().filter(|d| d.contains("openstack_compute_instance_v2")).count(),
        5,
        "{replaced:?}"
    );
    assert_eq!(replaced.len(), 6, "{replaced:?}");
    let all = [
        "openstack_compute_keypair_v2.k",
        "openstack_compute_servergroup_v2.g",
        "openstack_compute_instance_v2.n[0]",
        "openstack_compute_instance_v2.n[1]",
        "openstack_compute_instance_v2.n[2]",
    ];
    cloud.replaces(&more, &all[..2], &all);

    // Nova tells nobody what user data and hints a server was made with: the block is believed.
    cloud.imports(&more, &[(all[0], None), (all[1], None), (all[3], None)]);

    cloud.destroy_twice(&more);
    cloud.nothing_left([
        "server list",
        "port list",
        "keypair list",
        "server group list",
        "network list --internal",
    ]);
}

#[test]
fn a_server_that_fails_says_why() {
    let plan = r#"
data "openstack_images_image_v2" "tiny" {
  name = "tiny"
}
resource "openstack_compute_servergroup_v2" "g" {
  name     = "apart"
  policies = ["anti-affinity"]
}
resource "openstack_compute_instance_v2" "first" {
  name         = "apart"
  image_id     = data.openstack_images_image_v2.tiny.id
  flavor_name  = "m1.tiny"
  network_mode = "none"
  scheduler_hints {
    group = openstack_compute_servergroup_v2.g.id
  }
}
resource "openstack_compute_instance_v2" "second" {
  name         = "apart"
  image_id     = data.openstack_images_image_v2.tiny.id
  flavor_name  = "m1.tiny"
  network_mode = "none"
  scheduler_hints {
    group = openstack_compute_servergroup_v2.g.id
  }
  depends_on = [openstack_compute_instance_v2.first]
}
"#;
    let cloud = Cloud::new("fails", plan);
    // The bed has one host.
    let failed = cloud.expect(1, &["apply", "-auto-approve"]);
    let said = flat(&failed.stderr);
    assert!(said.contains("No valid host was found") && said.contains("no host has room"), "{said}");
    cloud.expect(0, &["destroy", "-auto-approve"]);
    cloud.nothing_left(["server list", "server group list"]);
}
