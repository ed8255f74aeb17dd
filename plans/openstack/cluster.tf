# The cluster on the machines. `cluster = false` stops before it: machines only.

locals {
  hosts = var.cluster ? local.machines : {}

  # With a credential of its own the cluster is the cloud's: cloud-provider=external.
  cloud = var.cluster && var.application_credential_id != null
}

resource "host_machine" "this" {
  for_each = local.hosts

  address          = local.access[each.key]
  instance         = openstack_compute_instance_v2.machine[each.key].id
  user             = var.ssh_user
  private_key_file = var.ssh_private_key_file
  bastion          = var.ssh_bastion
}

module "cluster" {
  source = "../modules/ha-cluster"
  count  = var.cluster ? 1 : 0

  name               = var.name
  kubernetes_version = var.kubernetes_version

  load_balancers = { for name, _ in local.balancers : name => host_machine.this[name].connection }
  control_planes = { for name, _ in local.control_planes : name => host_machine.this[name].connection }
  workers        = { for name, _ in local.workers : name => host_machine.this[name].connection }
  endpoint       = local.octavia ? "${openstack_lb_loadbalancer_v2.api[0].vip_address}:6443" : null

  # Machines with a floating IP or a second card: this card's address is the node's.
  node_cidr      = var.cidr
  cert_sans      = values(local.access)
  pod_subnet     = var.pod_subnet
  service_subnet = var.service_subnet
  cni_manifest   = var.cni_manifest == null ? null : file(var.cni_manifest)
  package_source = var.package_source
  containerd     = var.containerd

  # Nodes wait for the cloud controller manager, the pod network does not.
  cloud_provider = local.cloud ? "external" : null

  # The API is reached through them, to the last.
  depends_on = [openstack_lb_member_v2.api]
}

# --- The cloud in the cluster -----------------------------------------------------------------------------------------------

data "openstack_identity_auth_scope_v3" "this" {
  count = local.cloud ? 1 : 0

  name = var.name
}

module "cloud" {
  source = "../modules/openstack-cloud"
  count  = local.cloud ? 1 : 0

  cluster            = module.cluster[0].cluster
  ready              = module.cluster[0].ready
  cluster_name       = var.name
  kubernetes_version = var.kubernetes_version
  image_registry     = var.image_registry

  auth_url       = coalesce(var.auth_url, data.openstack_identity_auth_scope_v3.this[0].auth_url)
  region         = coalesce(data.openstack_identity_auth_scope_v3.this[0].region, "RegionOne")
  ca_certificate = var.cloud_ca_file == null ? null : file(var.cloud_ca_file)

  application_credential_id     = var.application_credential_id
  application_credential_secret = var.application_credential_secret

  network             = openstack_networking_network_v2.this.name
  subnet_id           = openstack_networking_subnet_v2.this.id
  floating_network_id = var.access == "floating" ? data.openstack_networking_network_v2.external.id : null

  cinder_csi       = var.cinder_csi
  volume_type      = var.volume_type
  ignore_volume_az = var.ignore_volume_az
  when_unreachable = var.when_unreachable
}
