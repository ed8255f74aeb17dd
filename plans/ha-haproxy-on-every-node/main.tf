# Control planes on machines with no load balancer before them: each machine has an HAProxy of its own on 127.0.0.1:5443, which knows all API servers.
# There is no single point of failure and no virtual address; the price is that a changed set of control planes touches every machine.

provider "sim" {}

locals {
  machines = merge(var.masters, var.workers)
  first    = sort(keys(var.masters))[0]
}

# --- The machines: simulated here, rented or racked elsewhere ---------------------------------------------------------------

resource "tls_private_key" "admin" {
  algorithm = "ED25519"
}

resource "local_sensitive_file" "key" {
  filename = "${path.module}/.grappe/id_ed25519"
  content  = tls_private_key.admin.private_key_openssh
}

resource "sim_network" "private" {
  name = "private"
  cidr = "10.0.40.0/22"
}

resource "sim_port" "this" {
  for_each   = local.machines
  network_id = sim_network.private.id
  fixed_ip   = each.value
}

resource "sim_machine" "this" {
  for_each        = local.machines
  name            = each.key
  port_ids        = [sim_port.this[each.key].id]
  authorized_keys = [tls_private_key.admin.public_key_openssh]
}

resource "host_machine" "this" {
  for_each         = local.machines
  address          = each.value
  instance         = sim_machine.this[each.key].id
  private_key_file = local_sensitive_file.key.filename
}

# --- The proxies: on workers too, and before they join ----------------------------------------------------------------------

resource "haproxy_proxy" "local" {
  for_each = local.machines

  host     = host_machine.this[each.key].connection
  bind     = ["127.0.0.1:5443"]
  backends = [for name, address in var.masters : { name = name, address = address }]
}

# --- The cluster ------------------------------------------------------------------------------------------------------------

resource "kubeadm_host" "this" {
  for_each = local.machines
  host     = host_machine.this[each.key].connection
  version  = var.kubernetes_version
}

resource "kubeadm_cluster" "this" {
  version = var.kubernetes_version

  host                   = host_machine.this[local.first].connection
  node_ip                = kubeadm_host.this[local.first].node_ip
  control_planes         = [for name, address in var.masters : host_machine.this[name].connection]
  control_plane_endpoint = haproxy_proxy.local[local.first].endpoint
  cert_sans              = ["127.0.0.1"]
  pod_subnet             = var.pod_subnet
}

resource "kubeadm_control_plane" "this" {
  for_each = var.masters

  cluster    = kubeadm_cluster.this.cluster
  host       = host_machine.this[each.key].connection
  node_ip    = kubeadm_host.this[each.key].node_ip
  depends_on = [haproxy_proxy.local]
}

resource "kubeadm_worker" "this" {
  for_each = var.workers

  cluster    = kubeadm_cluster.this.cluster
  host       = host_machine.this[each.key].connection
  node_ip    = kubeadm_host.this[each.key].node_ip
  depends_on = [haproxy_proxy.local]
}

resource "kube_cni" "flannel" {
  cluster  = kubeadm_cluster.this.cluster
  manifest = file("${path.module}/manifests/flannel.yaml")
}
