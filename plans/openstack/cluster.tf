# The cluster on the machines. `cluster = false` stops before it: machines only.

locals {
  hosts = var.cluster ? local.machines : {}
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

  # Nodes wait for the cloud controller manager: it must tolerate their taint, as the pod network does.
  cloud_provider = var.cloud_controller_manifest == null ? null : "external"
}

# Manifests with the cloud's credentials in them: an application credential's, as text that never shows.
resource "kube_manifest" "cloud" {
  for_each = var.cluster ? { for name, manifest in { controller = var.cloud_controller_manifest, csi = var.cinder_csi_manifest } : name => manifest if manifest != null } : {}

  cluster  = module.cluster[0].cluster
  manifest = file(each.value)
}
