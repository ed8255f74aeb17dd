//! Runs that are killed while they create: the next ones find what was made, and nothing is left over.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use rand::RngExt;

use super::cloud::Cloud;

/// Something of each way to carry a key: descriptions, tags beside a description, a rule's description, metadata, and what has none.
const PLAN: &str = r#"
variable "ports" { default = 6 }

resource "openstack_networking_network_v2" "lan" {
  name        = "lan"
  description = "with one of its own"
}
resource "openstack_networking_subnet_v2" "lan" {
  network_id = openstack_networking_network_v2.lan.id
  cidr       = "10.20.0.0/24"
  tags       = ["lab"]
}
resource "openstack_networking_secgroup_v2" "k8s" {
  name = "k8s"
}
resource "openstack_networking_secgroup_rule_v2" "r" {
  count             = var.ports
  security_group_id = openstack_networking_secgroup_v2.k8s.id
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "tcp"
  port_range_min    = 1000 + count.index
  port_range_max    = 1000 + count.index
}
resource "openstack_networking_port_v2" "p" {
  count              = var.ports
  network_id         = openstack_networking_network_v2.lan.id
  security_group_ids = [openstack_networking_secgroup_v2.k8s.id]
  depends_on         = [openstack_networking_subnet_v2.lan]
}
resource "openstack_compute_keypair_v2" "k" {
  name = "k"
}
resource "openstack_compute_servergroup_v2" "g" {
  name     = "g"
  policies = ["soft-affinity"]
}
data "openstack_images_image_v2" "tiny" {
  name = "tiny"
}
resource "openstack_compute_instance_v2" "n" {
  count       = var.ports
  name        = "n-${count.index}"
  image_id    = data.openstack_images_image_v2.tiny.id
  flavor_name = "m1.tiny"
  key_pair    = openstack_compute_keypair_v2.k.name
  network {
    port = openstack_networking_port_v2.p[count.index].id
  }
  scheduler_hints {
    group = openstack_compute_servergroup_v2.g.id
  }
}
resource "openstack_blockstorage_volume_v3" "v" {
  count = 2
  size  = 1
}
"#;

#[test]
fn killed_again_and_again_it_converges_with_nothing_twice() {
    let cloud = Cloud::new("killed", PLAN);
    let mut midst = 0;
    for _ in 0..8 {
        let mut child = cloud
            .command(&["apply", "-auto-approve", "-json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let begun = lines.by_ref().any(|l| l.contains("\"type\":\"operation_started\""));
        std::thread::park_timeout(Duration::from_millis(rand::rng().random_range(20..1500)));
        child.kill().unwrap();
        midst += usize::from(child.wait().unwrap().code().is_none() && begun);
    }
    assert!(midst >= 4, "only {midst} of eight runs were killed while they did something");
    cloud.apply(&[]);
    cloud.settled(&[]);
    for (what, many) in
        [("server", 6), ("port", 6), ("network", 2), ("subnet", 1), ("volume", 2), ("keypair", 1)]
    {
        let found = cloud.openstack(&[what, "list"]);
        let own = found.as_array().unwrap().iter().filter(|o| o["Name"] != "public-subnet").count();
        assert_eq!(own, many, "{what}: {found}");
    }
    assert_eq!(cloud.openstack(&["server", "group", "list"]).as_array().unwrap().len(), 1);
    let group = cloud.id("openstack_networking_secgroup_v2.k8s");
    // Two of them are Neutron's own.
    let rules = cloud.openstack(&["security", "group", "rule", "list", &group]);
    assert_eq!(rules.as_array().unwrap().len(), 8, "{rules}");

    cloud.expect(0, &["destroy", "-auto-approve"]);
    for what in ["server", "port", "volume", "keypair"] {
        assert_eq!(cloud.openstack(&[what, "list"]).as_array().unwrap().len(), 0, "{what}");
    }
    assert_eq!(cloud.openstack(&["server", "group", "list"]).as_array().unwrap().len(), 0);
}
