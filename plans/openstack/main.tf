# A highly available cluster on OpenStack. Ports are made before machines: they carry the security groups and the pods' and services' ranges, which
# kube-router sends over the network as they are. What the security groups let in follows from who talks to whom (data "kubeadm_flows").
#
# The cloud and the user come from clouds.yaml (variable `cloud`) or from OS_* variables: no secret stands in the plan, and none in the state.

provider "openstack" {
  cloud = var.cloud
}

locals {
  control_planes = { for i in range(var.control_planes) : "${var.name}-cp-${i + 1}" => cidrhost(var.cidr, 11 + i) }
  workers        = { for i in range(var.workers) : "${var.name}-worker-${i + 1}" => cidrhost(var.cidr, 101 + i) }
  balancers      = var.load_balancer == "haproxy" ? { "${var.name}-lb" = cidrhost(var.cidr, 10) } : {}
  machines       = merge(local.balancers, local.control_planes, local.workers)

  octavia = var.load_balancer == "octavia"

  # Each machine's group: of security, and of flows.
  groups = merge(
    { for name, _ in local.control_planes : name => "control_plane" },
    { for name, _ in local.workers : name => "worker" },
    { for name, _ in local.balancers : name => "load_balancer" },
  )
  flavors = { control_plane = var.control_plane_flavor, worker = var.worker_flavor, load_balancer = var.load_balancer_flavor }

  # Where we, and the cluster's administrators, reach a machine: its floating IP, its port in the administrators' network, or its own address.
  access = {
    for name, address in local.machines : name => (
      var.access == "floating" ? openstack_networking_floatingip_v2.machine[name].address :
      var.access == "network" ? openstack_networking_port_v2.admin[name].all_fixed_ips[0] :
      address
    )
  }
}

# --- The network ------------------------------------------------------------------------------------------------------------

data "openstack_networking_network_v2" "external" {
  name = var.external_network
}

resource "openstack_networking_network_v2" "this" {
  name = var.name
}

resource "openstack_networking_subnet_v2" "this" {
  name            = var.name
  network_id      = openstack_networking_network_v2.this.id
  cidr            = var.cidr
  dns_nameservers = var.dns_nameservers
}

resource "openstack_networking_router_v2" "this" {
  name                = var.name
  external_network_id = data.openstack_networking_network_v2.external.id
}

resource "openstack_networking_router_interface_v2" "this" {
  router_id = openstack_networking_router_v2.this.id
  subnet_id = openstack_networking_subnet_v2.this.id
}

# --- What may pass ----------------------------------------------------------------------------------------------------------

data "kubeadm_flows" "this" {
  cni = "kube-router"

  group {
    name = "control_plane"
    role = "control_plane"
  }

  group {
    name = "worker"
    role = "worker"
  }

  dynamic "group" {
    for_each = local.balancers

    content {
      name = "load_balancer"
      role = "load_balancer"
    }
  }

  other {
    name    = "administrators"
    purpose = "admin"
    ranges  = var.admin_ranges
  }

  other {
    name    = "clients"
    purpose = "client"
    ranges  = var.client_ranges
  }

  # Octavia's machines stand in the same subnet: before the API, and before Services.
  dynamic "other" {
    for_each = local.octavia || local.cloud ? [var.cidr] : []

    content {
      name    = "octavia"
      purpose = "balancer"
      ranges  = [other.value]
    }
  }
}

resource "openstack_networking_secgroup_v2" "this" {
  for_each = toset(values(local.groups))

  name        = "${var.name}-${each.key}"
  description = "What comes into machines of ${var.name}: ${each.key}"
}

resource "openstack_networking_secgroup_rule_v2" "flow" {
  for_each = data.kubeadm_flows.this.rules

  security_group_id = openstack_networking_secgroup_v2.this[each.value.group].id
  direction         = each.value.direction
  ethertype         = each.value.ethertype
  protocol          = each.value.protocol
  port_range_min    = each.value.port_range_min
  port_range_max    = each.value.port_range_max
  remote_group_id   = each.value.remote_group == null ? null : openstack_networking_secgroup_v2.this[each.value.remote_group].id
  remote_ip_prefix  = each.value.remote_ip_prefix
  description       = each.value.description
}

# --- The machines -----------------------------------------------------------------------------------------------------------

resource "openstack_compute_keypair_v2" "this" {
  name       = var.name
  public_key = var.ssh_public_key
}

resource "openstack_networking_port_v2" "machine" {
  for_each = local.machines

  name               = each.key
  network_id         = openstack_networking_network_v2.this.id
  security_group_ids = [openstack_networking_secgroup_v2.this[local.groups[each.key]].id]

  fixed_ip {
    subnet_id  = openstack_networking_subnet_v2.this.id
    ip_address = each.value
  }

  # Pods' packets go over the network as they are. Never a wider range: a port lets out what its pairs allow.
  dynamic "allowed_address_pairs" {
    for_each = contains(keys(local.balancers), each.key) ? [] : [var.pod_subnet, var.service_subnet]

    content {
      ip_address = allowed_address_pairs.value
    }
  }
}

# A second card in the administrators' network.
data "openstack_networking_network_v2" "admin" {
  count = var.access == "network" ? 1 : 0

  name = var.admin_network
}

resource "openstack_networking_port_v2" "admin" {
  for_each = var.access == "network" ? local.machines : {}

  name               = "${each.key}-admin"
  network_id         = data.openstack_networking_network_v2.admin[0].id
  security_group_ids = [openstack_networking_secgroup_v2.this[local.groups[each.key]].id]
}

# Control planes on hosts of their own, as far as there are so many.
resource "openstack_compute_servergroup_v2" "control_planes" {
  name     = "${var.name}-control-planes"
  policies = [var.anti_affinity]
}

resource "openstack_compute_instance_v2" "machine" {
  for_each = local.machines

  name         = each.key
  image_name   = var.image
  flavor_name  = local.flavors[local.groups[each.key]]
  key_pair     = openstack_compute_keypair_v2.this.name
  config_drive = var.config_drive
  metadata     = { cluster = var.name, role = local.groups[each.key] }

  user_data = templatefile("${path.module}/templates/cloud-config.yaml", {
    hostname = each.key
    packages = var.packages
  })

  network {
    port = openstack_networking_port_v2.machine[each.key].id
  }

  dynamic "network" {
    for_each = var.access == "network" ? [openstack_networking_port_v2.admin[each.key].id] : []

    content {
      port = network.value
    }
  }

  dynamic "scheduler_hints" {
    for_each = local.groups[each.key] == "control_plane" ? [openstack_compute_servergroup_v2.control_planes.id] : []

    content {
      group = scheduler_hints.value
    }
  }

  # Without a way out cloud-init installs nothing.
  depends_on = [openstack_networking_router_interface_v2.this, openstack_networking_secgroup_rule_v2.flow]
}

resource "openstack_networking_floatingip_v2" "machine" {
  for_each = var.access == "floating" ? local.machines : {}

  pool        = var.external_network
  port_id     = openstack_networking_port_v2.machine[each.key].id
  description = each.key

  depends_on = [openstack_networking_router_interface_v2.this] # the way to the port
}

# --- The API's load balancer, where the cloud has one -----------------------------------------------------------------------

resource "openstack_lb_loadbalancer_v2" "api" {
  count = local.octavia ? 1 : 0

  name          = "${var.name}-api"
  vip_subnet_id = openstack_networking_subnet_v2.this.id
  vip_address   = cidrhost(var.cidr, 10)
}

resource "openstack_lb_listener_v2" "api" {
  count = local.octavia ? 1 : 0

  name            = "${var.name}-api"
  loadbalancer_id = openstack_lb_loadbalancer_v2.api[0].id
  protocol        = "TCP"
  protocol_port   = 6443

  # kubectl logs -f and watches stay open, silent.
  timeout_client_data = 3600000
  timeout_member_data = 3600000
}

resource "openstack_lb_pool_v2" "api" {
  count = local.octavia ? 1 : 0

  name        = "${var.name}-api"
  listener_id = openstack_lb_listener_v2.api[0].id
  protocol    = "TCP"
  lb_method   = "LEAST_CONNECTIONS"
}

resource "openstack_lb_member_v2" "api" {
  for_each = local.octavia ? local.control_planes : {}

  name          = each.key
  pool_id       = openstack_lb_pool_v2.api[0].id
  subnet_id     = openstack_networking_subnet_v2.this.id
  address       = each.value
  protocol_port = 6443
}

resource "openstack_lb_monitor_v2" "api" {
  count = local.octavia ? 1 : 0

  pool_id     = openstack_lb_pool_v2.api[0].id
  type        = "TCP"
  delay       = 5
  timeout     = 3
  max_retries = 2
}
