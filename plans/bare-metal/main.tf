# A highly available cluster on machines that are there: racked, rented, or made by another tool. All that is needed is an address, SSH and root by sudo.

locals {
  all = merge(var.load_balancers, var.control_planes, var.workers)

  connections = { for name, machine in host_machine.this : name => machine.connection }
}

resource "host_machine" "this" {
  for_each = local.all

  address          = each.value
  user             = var.ssh_user
  port             = var.ssh_port
  private_key_file = var.ssh_private_key_file
  bastion          = var.ssh_bastion
}

module "cluster" {
  source = "../modules/ha-cluster"

  name               = var.name
  kubernetes_version = var.kubernetes_version

  load_balancers = { for name, _ in var.load_balancers : name => local.connections[name] }
  control_planes = { for name, _ in var.control_planes : name => local.connections[name] }
  workers        = { for name, _ in var.workers : name => local.connections[name] }

  virtual_ip     = var.virtual_ip
  node_cidr      = var.node_cidr
  pod_subnet     = var.pod_subnet
  service_subnet = var.service_subnet
  cni_manifest   = var.cni_manifest == null ? null : file(var.cni_manifest)
  labels         = var.labels
  taints         = var.taints
  package_source = var.package_source
  containerd     = var.containerd

  cert_sans        = var.cert_sans
  proxy            = var.proxy
  trusted_networks = var.trusted_networks
  extra_packages   = var.extra_packages
  max_unavailable  = var.max_unavailable
  drain_policy     = var.drain_policy
  drain_timeout    = var.drain_timeout
}
