# A highly available cluster on the simulated cloud: a load balancer, control planes, workers, kube-router, labels, and a DMZ.
# Everything below "The cluster" is what one writes for real machines; only "The machines" is the simulated cloud's.

provider "sim" {}

locals {
  control_planes = { for i in range(var.control_planes) : "cp-${i + 1}" => cidrhost(var.cidr, 11 + i) }
  workers        = { for i in range(var.workers) : "worker-${i + 1}" => cidrhost(var.cidr, 101 + i) }
  nodes          = merge(local.control_planes, local.workers)
  machines       = merge({ lb = cidrhost(var.cidr, 10) }, local.nodes)

  first = "cp-1" # makes the cluster; nothing about it is special afterwards
}

# --- The machines -----------------------------------------------------------------------------------------------------------

resource "tls_private_key" "lab" {
  algorithm = "ED25519"
}

resource "local_sensitive_file" "key" {
  filename = "${path.module}/.grappe/id_ed25519"
  content  = tls_private_key.lab.private_key_openssh
}

resource "sim_network" "lab" {
  name = var.name
  cidr = var.cidr
}

resource "sim_port" "this" {
  for_each = local.machines

  name       = each.key
  network_id = sim_network.lab.id
  fixed_ip   = each.value

  # kube-router sends the pods' own addresses over the wire: a cloud that filters must let them through.
  allowed_address_pairs = each.key == "lb" ? [] : [var.pod_subnet, var.service_subnet]
}

resource "sim_machine" "this" {
  for_each = local.machines

  name            = each.key
  port_ids        = [sim_port.this[each.key].id]
  authorized_keys = [tls_private_key.lab.public_key_openssh]
}

# --- The cluster ------------------------------------------------------------------------------------------------------------

resource "host_machine" "this" {
  for_each = local.machines

  address          = each.value
  instance         = sim_machine.this[each.key].id
  private_key_file = local_sensitive_file.key.filename
}

resource "haproxy_proxy" "api" {
  host     = host_machine.this["lb"].connection
  backends = [for name, address in local.control_planes : { name = name, address = address }]
}

resource "kubeadm_host" "node" {
  for_each = local.nodes

  host    = host_machine.this[each.key].connection
  version = var.kubernetes_version
}

resource "kubeadm_cluster" "lab" {
  name    = var.name
  version = var.kubernetes_version

  host                   = host_machine.this[local.first].connection
  node_ip                = kubeadm_host.node[local.first].node_ip
  control_planes         = [for name, address in local.control_planes : host_machine.this[name].connection]
  control_plane_endpoint = haproxy_proxy.api.endpoint
  pod_subnet             = var.pod_subnet
  service_subnet         = var.service_subnet
}

resource "kubeadm_control_plane" "this" {
  for_each = local.control_planes

  cluster = kubeadm_cluster.lab.cluster
  host    = host_machine.this[each.key].connection
  node_ip = kubeadm_host.node[each.key].node_ip
}

resource "kubeadm_worker" "this" {
  for_each = local.workers

  cluster = kubeadm_cluster.lab.cluster
  host    = host_machine.this[each.key].connection
  node_ip = kubeadm_host.node[each.key].node_ip
}

resource "kube_cni" "kube_router" {
  cluster  = kubeadm_cluster.lab.cluster
  manifest = file("${path.module}/manifests/kube-router.yaml")
}

resource "kube_node" "worker" {
  for_each = local.workers

  cluster = kubeadm_cluster.lab.cluster
  name    = kubeadm_worker.this[each.key].node_name

  labels = {
    "node-role.kubernetes.io/worker" = ""
    "net"                            = contains(var.dmz_workers, each.key) ? "dmz" : "lan"
  }

  taints = contains(var.dmz_workers, each.key) ? [{ key = "zone", value = "dmz", effect = "NoSchedule" }] : []
}
