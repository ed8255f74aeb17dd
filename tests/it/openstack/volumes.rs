//! Volumes, attachments, images, data sources.

use super::cloud::{Cloud, post};

const PLAN: &str = r#"
variable "size" { default = 1 }
variable "label" { default = "a" }

resource "openstack_blockstorage_volume_v3" "v" {
  name     = "data"
  size     = var.size
  metadata = { label = var.label }
}
resource "openstack_images_image_v2" "i" {
  name             = "own"
  container_format = "bare"
  disk_format      = "raw"
  local_file_path  = "disk.raw"
  tags             = ["lab"]
  properties       = { label = var.label }
}
resource "openstack_compute_instance_v2" "n" {
  name         = "with-a-volume"
  image_id     = openstack_images_image_v2.i.id
  flavor_name  = "m1.tiny"
  network_mode = "none"
}
resource "openstack_compute_volume_attach_v2" "v" {
  instance_id = openstack_compute_instance_v2.n.id
  volume_id   = openstack_blockstorage_volume_v3.v.id
}
data "openstack_identity_auth_scope_v3" "me" {
  name = "me"
}
data "openstack_compute_availability_zones_v2" "all" {}
data "openstack_compute_flavor_v2" "small" {
  name = "m1.small"
}
data "openstack_networking_secgroup_v2" "default" {
  name      = "default"
  tenant_id = data.openstack_identity_auth_scope_v3.me.project_id
}
output "found" {
  value = [
    data.openstack_identity_auth_scope_v3.me.project_name,
    data.openstack_compute_availability_zones_v2.all.names,
    data.openstack_compute_flavor_v2.small.vcpus > 0,
    data.openstack_networking_secgroup_v2.default.name,
  ]
}
"#;

#[test]
fn volumes_and_images_live_and_go() {
    let cloud = Cloud::new("volumes", PLAN);
    cloud.sandbox.write("disk.raw", &"0123456789abcdef".repeat(64));
    cloud.killed_at(&[
        post("/volumes", 1),
        post("/v2/images", 1),
        post("/v2.1/servers", 1),
        post("/os-volume_attachments", 1),
    ]);
    let found: serde_json::Value =
        serde_json::from_str(&cloud.expect(0, &["output", "-json", "found"]).stdout).unwrap();
    assert_eq!(found, serde_json::json!([cloud.tenant.name, ["nova"], true, "default"]));
    let volume = cloud.id("openstack_blockstorage_volume_v3.v");
    assert_eq!(cloud.openstack(&["volume", "show", &volume])["status"], "in-use");

    let changed = cloud.apply(&["-var=label=b"]);
    assert_eq!(
        Cloud::done(&changed),
        ["update openstack_blockstorage_volume_v3.v", "update openstack_images_image_v2.i"]
    );
    cloud.settled(&["-var=label=b"]);
    assert_eq!(cloud.openstack(&["volume", "show", &volume])["properties"]["label"], "b");

    let all = [
        "openstack_blockstorage_volume_v3.v",
        "openstack_images_image_v2.i",
        "openstack_compute_instance_v2.n",
        "openstack_compute_volume_attach_v2.v",
    ];
    let vars = ["-var=label=b"];
    // (A server whose image alone changes is rebuilt in place.)
    cloud.replaces(&vars, &all[..3], &all);
    cloud.imports(&vars, &all.map(|addr| (addr, None)));

    cloud.destroy_twice(&vars);
    cloud.nothing_left(["server list", "volume list", "image list --private"]);
}
