//! Load balancers, and all that is below them.

use super::cloud::{Cloud, post, put};

const PLAN: &str = r#"
variable "weight" { default = 1 }
variable "members" { default = 3 }
variable "name" { default = "api" }

resource "openstack_networking_network_v2" "lan" {
  name = "lan"
}
resource "openstack_networking_subnet_v2" "lan" {
  network_id = openstack_networking_network_v2.lan.id
  cidr       = "10.30.0.0/24"
}
resource "openstack_lb_loadbalancer_v2" "api" {
  name          = var.name
  vip_subnet_id = openstack_networking_subnet_v2.lan.id
}
resource "openstack_lb_listener_v2" "api" {
  loadbalancer_id = openstack_lb_loadbalancer_v2.api.id
  name            = var.name
  protocol        = "TCP"
  protocol_port   = 6443
}
resource "openstack_lb_pool_v2" "api" {
  name        = var.name
  listener_id = openstack_lb_listener_v2.api.id
  protocol    = "TCP"
  lb_method   = "ROUND_ROBIN"
}
resource "openstack_lb_member_v2" "m" {
  count         = var.members
  pool_id       = openstack_lb_pool_v2.api.id
  address       = "10.30.0.${10 + count.index}"
  protocol_port = 6443
  weight        = var.weight
}
resource "openstack_lb_monitor_v2" "api" {
  name        = var.name
  pool_id     = openstack_lb_pool_v2.api.id
  type        = "TCP"
  delay       = 5
  timeout     = 3
  max_retries = 2
}
resource "openstack_lb_pool_v2" "other" {
  loadbalancer_id = openstack_lb_loadbalancer_v2.api.id
  protocol        = "TCP"
  lb_method       = "SOURCE_IP"
  persistence {
    type = "SOURCE_IP"
  }
}
resource "openstack_lb_members_v2" "other" {
  pool_id = openstack_lb_pool_v2.other.id
  member {
    address       = "10.30.0.20"
    protocol_port = 80
  }
  member {
    address       = "10.30.0.21"
    protocol_port = 80
    weight        = var.weight
  }
}
"#;

#[test]
fn load_balancers_live_and_go() {
    let cloud = Cloud::new("balancing", PLAN);
    cloud.killed_at(&[
        post("/lbaas/loadbalancers", 1),
        post("/lbaas/listeners", 1),
        post("/lbaas/pools", 2),
        post("/members", 3),
        post("/lbaas/healthmonitors", 1),
        put("/members"),
    ]);
    let pool = cloud.id("openstack_lb_pool_v2.api");
    let members = cloud.openstack(&["loadbalancer", "member", "list", &pool]);
    assert_eq!(members.as_array().unwrap().len(), 3);

    // Changes side by side wait for their turn.
    let vars = ["-var=weight=3", "-var=name=other", "-var=members=2"];
    let changed = cloud.apply(&vars);
    assert_eq!(
        Cloud::done(&changed),
        [
            "delete openstack_lb_member_v2.m[2]",
            "update openstack_lb_listener_v2.api",
            "update openstack_lb_loadbalancer_v2.api",
            "update openstack_lb_member_v2.m[0]",
            "update openstack_lb_member_v2.m[1]",
            "update openstack_lb_members_v2.other",
            "update openstack_lb_monitor_v2.api",
            "update openstack_lb_pool_v2.api",
        ]
    );
    cloud.settled(&vars);

    let all = [
        "openstack_lb_loadbalancer_v2.api",
        "openstack_lb_listener_v2.api",
        "openstack_lb_pool_v2.api",
        "openstack_lb_pool_v2.other",
        "openstack_lb_monitor_v2.api",
        "openstack_lb_members_v2.other",
        "openstack_lb_member_v2.m[0]",
        "openstack_lb_member_v2.m[1]",
    ];
    cloud.replaces(&vars, &all[..1], &all);

    let member = format!("{}/{}", cloud.id(all[2]), cloud.id(all[6]));
    let mut imports = all[..6].iter().map(|addr| (*addr, None)).collect::<Vec<_>>();
    imports.push((all[6], Some(member)));
    cloud.imports(&vars, &imports);

    // The balancers first, for what the bed leaves of them holds the subnet.
    let balancers = [&vars[..], &["-target=openstack_lb_loadbalancer_v2.api"]].concat();
    cloud.destroy_twice(&balancers);
    cloud.nothing_left(["loadbalancer list", "loadbalancer pool list", "loadbalancer listener list"]);
    cloud.sweep_addresses();
    cloud.expect(0, &["destroy", "-auto-approve"]);
    cloud.nothing_left(["port list", "network list --internal"]);
}
