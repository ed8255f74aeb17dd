//! Load balancers, and all that is below them.

use super::cloud::Cloud;

const PLAN: &str = r#"
variable "weight" { default = 1 }
variable "members" { default = 4 }

resource "openstack_networking_network_v2" "lan" {
  name = "lan"
}
resource "openstack_networking_subnet_v2" "lan" {
  network_id = openstack_networking_network_v2.lan.id
  cidr       = "10.30.0.0/24"
}
resource "openstack_lb_loadbalancer_v2" "api" {
  name          = "api"
  vip_subnet_id = openstack_networking_subnet_v2.lan.id
}
resource "openstack_lb_listener_v2" "api" {
  loadbalancer_id = openstack_lb_loadbalancer_v2.api.id
  protocol        = "TCP"
  protocol_port   = 6443
}
resource "openstack_lb_pool_v2" "api" {
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
    cloud.apply(&[]);
    cloud.settled(&[]);
    let pool = cloud.id("openstack_lb_pool_v2.api");
    let members = cloud.openstack(&["loadbalancer", "member", "list", &pool]);
    assert_eq!(members.as_array().unwrap().len(), 4);

    // Changes side by side wait for their turn.
    let changed = cloud.apply(&["-var=weight=3"]);
    assert_eq!(Cloud::done(&changed).len(), 5, "{:?}", Cloud::done(&changed));
    cloud.settled(&["-var=weight=3"]);
    let less = cloud.apply(&["-var=members=2"]);
    assert_eq!(Cloud::done(&less).iter().filter(|d| d.starts_with("delete")).count(), 2);

    let all = ["-var=members=2"];
    for ty in ["loadbalancer", "listener", "pool", "monitor"] {
        let addr = format!("openstack_lb_{ty}_v2.api");
        let id = cloud.id(&addr);
        cloud.expect(0, &["state", "rm", &addr]);
        cloud.expect(0, &["import", &addr, &id]);
        cloud.settled(&all);
    }
    let member = "openstack_lb_member_v2.m[0]";
    let id = format!("{pool}/{}", cloud.id(member));
    cloud.expect(0, &["state", "rm", member]);
    cloud.expect(0, &["import", member, &id]);
    cloud.settled(&all);

    // With the balancer goes all that is below it, whoever deletes it.
    let balancer = cloud.id("openstack_lb_loadbalancer_v2.api");
    cloud.touch(&["loadbalancer", "delete", "--cascade", "--wait", &balancer]);
    // The bed's Octavia leaves the port of the address behind.
    for port in cloud.openstack(&["port", "list"]).as_array().unwrap() {
        cloud.touch(&["port", "delete", port["ID"].as_str().unwrap()]);
    }
    cloud.expect(0, &["destroy", "-auto-approve", "-refresh=false"]);
    assert_eq!(cloud.openstack(&["network", "list", "--internal"]).as_array().unwrap().len(), 0);
}
