# A highly available cluster of real machines on this computer: HAProxy, control planes and workers, each a Debian of its own with systemd, sshd and apt.
# Needs Linux and root, a Debian mirror and Kubernetes' packages and images (or mirrors of them); nothing of this computer's network is changed.

provider "local" {}

locals {
  control_planes = { for i in range(var.control_planes) : "cp-${i + 1}" => cidrhost(var.cidr, 11 + i) }
  workers        = { for i in range(var.workers) : "worker-${i + 1}" => cidrhost(var.cidr, 101 + i) }
  balancers      = var.proxy_on_every_node ? {} : { lb = cidrhost(var.cidr, 10) }
  machines       = merge(local.balancers, local.control_planes, local.workers)

  connections = { for name, machine in host_machine.this : name => machine.connection }
}

# --- The machines -----------------------------------------------------------------------------------------------------------

resource "tls_private_key" "lab" {
  algorithm = "ED25519"
}

resource "local_sensitive_file" "key" {
  filename = "${path.module}/.grappe/id_ed25519"
  content  = tls_private_key.lab.private_key_openssh
}

resource "local_image" "debian" {
  tarball = var.image_tarball
  debian  = var.image_tarball == null ? { suite = "bookworm", include = var.image_packages } : null
}

resource "local_network" "lab" {
  name      = var.name
  cidr      = var.cidr
  nat       = var.nat
  namespace = var.namespace
}

resource "local_machine" "this" {
  for_each = local.machines

  name            = each.key
  image_id        = local_image.debian.id
  network_id      = local_network.lab.id
  ip              = each.value
  authorized_keys = [tls_private_key.lab.public_key_openssh]
  limits          = var.limits

  # Three members of etcd that share one disk wait for each other's fsync. The price: a machine that was off joins anew.
  tmpfs = var.etcd_in_memory && contains(keys(local.control_planes), each.key) ? ["/var/lib/etcd"] : []
}

resource "host_machine" "this" {
  for_each = local.machines

  address          = each.value
  instance         = local_machine.this[each.key].id
  host_key         = local_machine.this[each.key].host_key
  private_key_file = local_sensitive_file.key.filename
}

# --- The cluster ------------------------------------------------------------------------------------------------------------

module "cluster" {
  source = "../modules/ha-cluster"

  name               = var.name
  kubernetes_version = var.kubernetes_version

  load_balancers = { for name, _ in local.balancers : name => local.connections[name] }
  control_planes = { for name, _ in local.control_planes : name => local.connections[name] }
  workers        = { for name, _ in local.workers : name => local.connections[name] }

  pod_subnet     = var.pod_subnet
  service_subnet = var.service_subnet
  cni_manifest   = var.cni_manifest == null ? null : file(var.cni_manifest)

  package_source = var.package_source
  containerd     = var.containerd

  # One disk and one clock for all: etcd is given time, and the kubelet does not count the disk of the computer as its own.
  etcd_extra_args = { heartbeat-interval = "500", election-timeout = "5000" }

  kubelet_config = {
    cgroupDriver                = "systemd"
    failSwapOn                  = false
    imageGCHighThresholdPercent = 100
    evictionHard                = { "nodefs.available" = "0%", "imagefs.available" = "0%", "nodefs.inodesFree" = "0%" }
  }

  # The table of connections is the computer's.
  kube_proxy_config = { mode = "iptables", conntrack = { maxPerCore = 0 } }
}

resource "kube_manifest" "workload" {
  count = var.workload == null ? 0 : 1

  cluster  = module.cluster.cluster
  manifest = file(var.workload)

  depends_on = [module.cluster]
}
