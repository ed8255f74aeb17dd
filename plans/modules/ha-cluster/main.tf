# A whole highly available cluster on machines that SSH reaches: HAProxy before the API servers, control planes, workers, the pod network.
# Where the machines come from is not this module's business: it takes the connections of host_machine resources.

locals {
  nodes = merge(var.control_planes, var.workers)
  first = sort(keys(var.control_planes))[0] # makes the cluster; nothing about it is special afterwards

  # HAProxy stands on machines of its own, or on every node, where each speaks to its own; or somebody else does its work.
  proxies = var.endpoint != null ? {} : length(var.load_balancers) > 0 ? var.load_balancers : local.nodes
  on_node = var.endpoint == null && length(var.load_balancers) == 0

  # Several machines with HAProxy stand in for each other by an address that moves between them.
  pair     = { for name, connection in var.load_balancers : name => { host = connection, vip = var.virtual_ip } if var.virtual_ip != null }
  ranks    = { for rank, name in sort(keys(local.pair)) : name => rank }
  endpoint = var.endpoint != null ? var.endpoint : local.on_node ? "127.0.0.1:7443" : haproxy_proxy.api[sort(keys(local.proxies))[0]].endpoint
}

resource "haproxy_proxy" "api" {
  for_each = local.proxies

  host     = each.value
  bind     = local.on_node ? ["127.0.0.1:7443"] : null
  backends = [for name, connection in var.control_planes : { name = name, address = connection.address }]
}

resource "keepalived_vip" "api" {
  for_each = local.pair

  host              = each.value.host
  vip               = each.value.vip.address
  cidr              = var.node_cidr
  virtual_router_id = each.value.vip.router_id
  priority          = 200 - local.ranks[each.key]
  unicast_peers     = [for name, machine in local.pair : machine.host.address]

  depends_on = [haproxy_proxy.api] # it holds the address where HAProxy accepts connections
}

resource "kubeadm_host" "node" {
  for_each = local.nodes

  host           = each.value
  version        = var.kubernetes_version
  package_source = var.package_source
  containerd     = var.containerd
  node_cidr      = var.node_cidr

  proxy            = var.proxy
  trusted_networks = var.trusted_networks
  extra_packages   = var.extra_packages
  extra_sysctls    = var.extra_sysctls
}

resource "kubeadm_cluster" "this" {
  name    = var.name
  version = var.kubernetes_version

  host                   = var.control_planes[local.first]
  node_ip                = kubeadm_host.node[local.first].node_ip
  control_planes         = values(var.control_planes)
  control_plane_endpoint = length(local.pair) == 0 ? local.endpoint : "${values(keepalived_vip.api)[0].address}:6443"
  cert_sans              = concat(var.cert_sans, local.on_node ? ["127.0.0.1"] : [])
  pod_subnet             = var.pod_subnet
  service_subnet         = var.service_subnet

  api_server_extra_args   = var.api_server_extra_args
  etcd_extra_args         = var.etcd_extra_args
  kubelet_config          = var.kubelet_config
  kube_proxy_config       = var.kube_proxy_config
  skip_phases             = var.skip_phases
  cloud_provider          = var.cloud_provider
  ignore_preflight_errors = var.ignore_preflight_errors

  max_unavailable = var.max_unavailable
  renew_before    = var.renew_before

  depends_on = [haproxy_proxy.api]
}

resource "kubeadm_control_plane" "this" {
  for_each = var.control_planes

  cluster                 = kubeadm_cluster.this.cluster
  host                    = each.value
  node_ip                 = kubeadm_host.node[each.key].node_ip
  ignore_preflight_errors = var.ignore_preflight_errors
  drain_policy            = var.drain_policy
  drain_timeout           = var.drain_timeout
}

resource "kubeadm_worker" "this" {
  for_each = var.workers

  cluster                 = kubeadm_cluster.this.cluster
  host                    = each.value
  node_ip                 = kubeadm_host.node[each.key].node_ip
  ignore_preflight_errors = var.ignore_preflight_errors
  drain_policy            = var.drain_policy
  drain_timeout           = var.drain_timeout

  depends_on = [haproxy_proxy.api] # a worker that speaks to its own HAProxy needs it before it joins
}

resource "kube_cni" "this" {
  cluster  = kubeadm_cluster.this.cluster
  manifest = var.cni_manifest == null ? file("${path.module}/manifests/kube-router.yaml") : var.cni_manifest
}

resource "kube_node" "worker" {
  for_each = var.workers

  cluster = kubeadm_cluster.this.cluster
  name    = kubeadm_worker.this[each.key].node_name
  labels  = merge({ "node-role.kubernetes.io/worker" = "" }, lookup(var.labels, each.key, {}))
  taints  = lookup(var.taints, each.key, [])
}
