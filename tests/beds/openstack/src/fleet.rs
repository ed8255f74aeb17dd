//! A plan to measure with.

/// A plan for grappe of so many servers, each on a port of its own. Ports have a tag, so that their keys are tags, too.
#[must_use]
pub fn fleet(many: usize) -> String {
    format!(
        r#"provider "openstack" {{}}
resource "openstack_networking_network_v2" "lan" {{
  name = "lan"
}}
resource "openstack_networking_subnet_v2" "lan" {{
  network_id = openstack_networking_network_v2.lan.id
  cidr       = "10.20.0.0/22"
}}
resource "openstack_networking_secgroup_v2" "k8s" {{
  name = "k8s"
}}
resource "openstack_networking_port_v2" "p" {{
  count              = {many}
  name               = "p-${{count.index}}"
  network_id         = openstack_networking_network_v2.lan.id
  security_group_ids = [openstack_networking_secgroup_v2.k8s.id]
  tags               = ["fleet"]
  fixed_ip {{
    subnet_id = openstack_networking_subnet_v2.lan.id
  }}
}}
data "openstack_images_image_v2" "tiny" {{
  name = "tiny"
}}
resource "openstack_compute_instance_v2" "n" {{
  count       = {many}
  name        = "n-${{count.index}}"
  image_id    = data.openstack_images_image_v2.tiny.id
  flavor_name = "m1.tiny"
  network {{
    port = openstack_networking_port_v2.p[count.index].id
  }}
}}
"#
    )
}
