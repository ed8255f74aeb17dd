//! Networks, subnets, ports, routers, security groups, floating addresses.

use super::cloud::{Cloud, Creation, post, put};

const PLAN: &str = r#"
variable "mtu" { default = 1400 }
variable "pods" { default = "10.244.0.0/16" }
variable "gateway" { default = null }
variable "description" { default = "the lan" }
variable "leads_to" { default = "p" }

resource "openstack_networking_network_v2" "lan" {
  name        = "lan"
  description = var.description
  mtu         = var.mtu
  tags        = ["lab"]
}
resource "openstack_networking_subnet_v2" "lan" {
  network_id      = openstack_networking_network_v2.lan.id
  cidr            = "10.20.0.0/24"
  dns_nameservers = ["9.9.9.9", "1.1.1.1"]
  allocation_pool {
    start = "10.20.0.10"
    end   = "10.20.0.200"
  }
}
resource "openstack_networking_subnet_v2" "apart" {
  network_id = openstack_networking_network_v2.lan.id
  cidr       = "10.21.0.0/24"
  gateway_ip = var.gateway
  allocation_pool {
    start = "10.21.0.10"
    end   = "10.21.0.200"
  }
}
resource "openstack_networking_router_v2" "r" {
  name                = "r"
  description         = var.description
  external_network_id = data.openstack_networking_network_v2.public.id
}
data "openstack_networking_network_v2" "public" {
  external = true
}
resource "openstack_networking_router_interface_v2" "r" {
  router_id = openstack_networking_router_v2.r.id
  subnet_id = openstack_networking_subnet_v2.lan.id
}
resource "openstack_networking_secgroup_v2" "k8s" {
  name                 = "k8s"
  description          = var.description
  delete_default_rules = true
}
resource "openstack_networking_secgroup_rule_v2" "api" {
  security_group_id = openstack_networking_secgroup_v2.k8s.id
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "tcp"
  port_range_min    = 6443
  port_range_max    = 6443
  description       = "the API"
}
resource "openstack_networking_port_v2" "p" {
  network_id = openstack_networking_network_v2.lan.id
  fixed_ip {
    subnet_id = openstack_networking_subnet_v2.lan.id
  }
  allowed_address_pairs {
    ip_address = var.pods
  }
  allowed_address_pairs {
    ip_address = "10.96.0.0/12"
  }
  security_group_ids = [openstack_networking_secgroup_v2.k8s.id]
}
resource "openstack_networking_port_v2" "q" {
  network_id = openstack_networking_network_v2.lan.id
  fixed_ip {
    subnet_id = openstack_networking_subnet_v2.lan.id
  }
}
resource "openstack_networking_floatingip_v2" "f" {
  pool        = data.openstack_networking_network_v2.public.name
  description = var.description
}
resource "openstack_networking_floatingip_associate_v2" "f" {
  floating_ip = openstack_networking_floatingip_v2.f.address
  port_id     = var.leads_to == "p" ? openstack_networking_port_v2.p.id : openstack_networking_port_v2.q.id
  depends_on  = [openstack_networking_router_interface_v2.r]
}
"#;

const CREATIONS: [Creation; 9] = [
    post("/v2.0/networks", 1),
    post("/v2.0/subnets", 2),
    post("/v2.0/routers", 1),
    put("/add_router_interface"),
    post("/v2.0/security-groups", 1),
    post("/v2.0/security-group-rules", 1),
    post("/v2.0/ports", 2),
    post("/v2.0/floatingips", 1),
    put("/v2.0/floatingips/"),
];

#[test]
fn networks_live_and_go() {
    let cloud = Cloud::new("networks", PLAN);
    cloud.killed_at(&CREATIONS);
    let network = cloud.id("openstack_networking_network_v2.lan");
    let shown = cloud.openstack(&["network", "show", &network]);
    assert_eq!((shown["mtu"].as_u64(), shown["description"].as_str()), (Some(1400), Some("the lan")));
    let group = cloud.id("openstack_networking_secgroup_v2.k8s");
    let rules = cloud.openstack(&["security", "group", "rule", "list", &group]);
    assert_eq!(rules.as_array().unwrap().len(), 1, "the default rules are gone: {rules}");

    // In place, all but rules and interfaces, which can't be changed.
    let vars = [
        "-var=mtu=1300",
        "-var=pods=10.245.0.0/16",
        "-var=gateway=10.21.0.2",
        "-var=description=another",
        "-var=leads_to=q",
    ];
    let changed = cloud.apply(&vars);
    assert_eq!(
        Cloud::done(&changed),
        [
            "update openstack_networking_floatingip_associate_v2.f",
            "update openstack_networking_floatingip_v2.f",
            "update openstack_networking_network_v2.lan",
            "update openstack_networking_port_v2.p",
            "update openstack_networking_router_v2.r",
            "update openstack_networking_secgroup_v2.k8s",
            "update openstack_networking_subnet_v2.apart",
        ]
    );
    cloud.settled(&vars);

    // Anew, with what hangs on them.
    let all = [
        "openstack_networking_network_v2.lan",
        "openstack_networking_subnet_v2.lan",
        "openstack_networking_subnet_v2.apart",
        "openstack_networking_router_v2.r",
        "openstack_networking_router_interface_v2.r",
        "openstack_networking_secgroup_v2.k8s",
        "openstack_networking_secgroup_rule_v2.api",
        "openstack_networking_port_v2.p",
        "openstack_networking_port_v2.q",
        "openstack_networking_floatingip_v2.f",
        "openstack_networking_floatingip_associate_v2.f",
    ];
    let first = [all[0], all[3], all[5], all[9]];
    let port = cloud.id(all[7]);
    cloud.replaces(&vars, &first, &all);
    assert_ne!(cloud.id(all[7]), port);

    cloud.imports(&vars, &all.map(|addr| (addr, None)));
    cloud.destroy_twice(&vars);
    cloud.nothing_left(["port list", "router list", "network list --internal", "floating ip list"]);
    let [groups] = cloud.lists(["security group list"]);
    assert_eq!(groups.len(), 1, "the project's own: {groups:?}");
}

#[test]
fn what_others_add_is_theirs() {
    let cloud = Cloud::new("others", PLAN);
    cloud.apply(&[]);
    let port = cloud.id("openstack_networking_port_v2.p");
    let network = cloud.id("openstack_networking_network_v2.lan");
    // As the cloud controller's route controller does.
    cloud.touch(&["port", "set", "--allowed-address", "ip-address=10.244.7.0/24", &port]);
    cloud.touch(&["network", "set", "--tag", "theirs", &network]);
    cloud.settled(&[]);
    let ran = cloud.apply(&["-var=pods=10.245.0.0/16", "-var=mtu=1300"]);
    assert_eq!(Cloud::done(&ran).len(), 2);
    let pairs = cloud.openstack(&["port", "show", &port])["allowed_address_pairs"].to_string();
    assert!(
        pairs.contains("10.244.7.0/24")
            && pairs.contains("10.245.0.0/16")
            && !pairs.contains("10.244.0.0/16"),
        "{pairs}"
    );
    let tags = cloud.openstack(&["network", "show", &network])["tags"].to_string();
    assert!(tags.contains("theirs") && tags.contains("lab"), "{tags}");

    // But what is missing is put back.
    cloud.touch(&[
        "port",
        "set",
        "--no-allowed-address",
        "--allowed-address",
        "ip-address=10.244.7.0/24",
        &port,
    ]);
    let ran = cloud.apply(&["-var=pods=10.245.0.0/16", "-var=mtu=1300"]);
    assert_eq!(Cloud::done(&ran), ["update openstack_networking_port_v2.p"]);
    cloud.expect(0, &["destroy", "-auto-approve"]);
}
