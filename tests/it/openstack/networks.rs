//! Networks, subnets, ports, routers, security groups, floating addresses.

use super::cloud::Cloud;

const PLAN: &str = r#"
variable "mtu" { default = 1400 }
variable "pods" { default = "10.244.0.0/16" }
variable "gateway" { default = null }
variable "port" { default = 6443 }
variable "description" { default = "the lan" }

resource "openstack_networking_network_v2" "lan" {
  name        = "lan"
  description = var.description
  mtu         = var.mtu
  tags        = ["lab"]
}
resource "openstack_networking_subnet_v2" "lan" {
  network_id      = openstack_networking_network_v2.lan.id
  cidr            = "10.20.0.0/24"
  gateway_ip      = var.gateway
  dns_nameservers = ["9.9.9.9", "1.1.1.1"]
  allocation_pool {
    start = "10.20.0.10"
    end   = "10.20.0.200"
  }
}
resource "openstack_networking_router_v2" "r" {
  name                = "r"
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
  delete_default_rules = true
}
resource "openstack_networking_secgroup_rule_v2" "api" {
  security_group_id = openstack_networking_secgroup_v2.k8s.id
  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "tcp"
  port_range_min    = var.port
  port_range_max    = var.port
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
resource "openstack_networking_floatingip_v2" "f" {
  pool = data.openstack_networking_network_v2.public.name
}
resource "openstack_networking_floatingip_associate_v2" "f" {
  floating_ip = openstack_networking_floatingip_v2.f.address
  port_id     = openstack_networking_port_v2.p.id
  depends_on  = [openstack_networking_router_interface_v2.r]
}
"#;

#[test]
fn networks_live_and_go() {
    let cloud = Cloud::new("networks", PLAN);
    cloud.apply(&[]);
    cloud.settled(&[]);
    let network = cloud.id("openstack_networking_network_v2.lan");
    let shown = cloud.openstack(&["network", "show", &network]);
    assert_eq!((shown["mtu"].as_u64(), shown["description"].as_str()), (Some(1400), Some("the lan")));
    let group = cloud.id("openstack_networking_secgroup_v2.k8s");
    let rules = cloud.openstack(&["security", "group", "rule", "list", &group]);
    assert_eq!(rules.as_array().unwrap().len(), 1, "the default rules are gone: {rules}");

    // In place.
    let changed = cloud.apply(&[
        "-var=mtu=1300",
        "-var=pods=10.245.0.0/16",
        "-var=gateway=10.20.0.2",
        "-var=description=another",
    ]);
    assert_eq!(
        Cloud::done(&changed),
        [
            "update openstack_networking_network_v2.lan",
            "update openstack_networking_port_v2.p",
            "update openstack_networking_subnet_v2.lan",
        ]
    );
    let all =
        ["-var=mtu=1300", "-var=pods=10.245.0.0/16", "-var=gateway=10.20.0.2", "-var=description=another"];
    cloud.settled(&all);

    // Anew.
    let replaced = cloud.apply(&[&all[..], &["-var=port=6444"]].concat());
    assert_eq!(
        Cloud::done(&replaced),
        [
            "create openstack_networking_secgroup_rule_v2.api",
            "delete openstack_networking_secgroup_rule_v2.api"
        ]
    );
    cloud.apply(&[]);

    // Taken over, each by what it is found by.
    for ty in [
        "network",
        "subnet",
        "router",
        "secgroup",
        "port",
        "floatingip",
        "floatingip_associate",
        "router_interface",
    ] {
        let name = match ty {
            "router" | "router_interface" => "r",
            "secgroup" => "k8s",
            "port" => "p",
            "floatingip" | "floatingip_associate" => "f",
            _ => "lan",
        };
        let addr = format!("openstack_networking_{ty}_v2.{name}");
        cloud.imports(&addr, &cloud.id(&addr));
    }
    let rule = "openstack_networking_secgroup_rule_v2.api";
    cloud.imports(rule, &cloud.id(rule));

    // What is gone already is gone.
    cloud.touch(&["security", "group", "rule", "delete", &cloud.id(rule)]);
    cloud.expect(0, &["destroy", "-auto-approve", "-refresh=false"]);
    for what in ["port", "router", "subnet", "floating ip"] {
        let words: Vec<&str> = what.split(' ').chain(["list"]).collect();
        let left = cloud.openstack(&words);
        let own = left.as_array().unwrap().iter().filter(|l| l["Name"] != "public-subnet").count();
        assert_eq!(own, 0, "{what}: {left}");
    }
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
    cloud.touch(&["port", "unset", "--allowed-address", "ip-address=10.96.0.0/12", &port]);
    let ran = cloud.apply(&["-var=pods=10.245.0.0/16", "-var=mtu=1300"]);
    assert_eq!(Cloud::done(&ran), ["update openstack_networking_port_v2.p"]);
    cloud.expect(0, &["destroy", "-auto-approve"]);
}
