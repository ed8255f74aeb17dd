# The plan that "Déployer kubernetes 1.13 sur OpenStack grâce à Terraform" describes, in the language of its day: everything in quotes.

variable "openstack_auth_url" {
  default = "https://api.r1.nxs.enix.io/v3"
}

variable "openstack_token" {}

variable "nodes_count" {
  default = "3"
}

variable "masters_count" {
  default = "2"
}

variable "public" {
  description = "whether the masters have a public address, or one of the network of administration"
  default     = "false"
}

variable "internal_network_id" {
  default = "net-1"
}

variable "internal_network_subnet_id" {
  default = "subnet-1"
}

variable "admin_network_id" {
  default = "net-admin"
}

variable "security_group_id" {
  default = "sg-1"
}

variable "k8s_pod_cidr" {
  default = "10.233.64.0/18"
}

variable "k8s_service_cidr" {
  default = "10.233.0.0/18"
}

variable "docker_version" {
  default = "18.06"
}

provider "openstack" {
  auth_url = "${var.openstack_auth_url}"
  token    = "${var.openstack_token}"
}

resource "openstack_networking_port_v2" "admin_port" {
  count      = "${var.public == "true" ? 0 : var.masters_count}"
  network_id = "${var.admin_network_id}"
}

resource "openstack_compute_instance_v2" "k8s_node" {
  count       = "${var.nodes_count}"
  name        = "${format("k8s-%02d", count.index + 1)}"
  image_name  = "debian-9"
  flavor_name = "m1.medium"
  user_data   = "${templatefile("${path.module}/templates/cloud-config.tpl", { docker_version = "${var.docker_version}", masters = "${range(var.masters_count)}" })}"

  network {
    port = "${element(openstack_networking_port_v2.k8s_port.*.id, count.index)}"
  }

  dynamic "network" {
    for_each = "${slice(openstack_networking_port_v2.admin_port.*.id, min(count.index, length(openstack_networking_port_v2.admin_port)), min(count.index + 1, length(openstack_networking_port_v2.admin_port)))}"
    content {
      port = "${network.value}"
    }
  }

  metadata = {
    role = "${count.index < var.masters_count ? "master" : "worker"}"
  }

  connection {
    host  = "${self.access_ip_v4}"
    user  = "debian"
    agent = true
  }

  provisioner "remote-exec" {
    inline = [
      "set -e",
      "while [ ! -f /var/lib/cloud/instance/boot-finished ]; do sleep 1; done",
    ]
  }
}

locals {
  masters = "${slice(openstack_compute_instance_v2.k8s_node.*.access_ip_v4, 0, var.masters_count)}"
}

resource "null_resource" "certificates" {
  count = "${var.masters_count}"

  triggers = {
    nodes = "${join(",", openstack_compute_instance_v2.k8s_node.*.id)}"
  }

  connection {
    host = "${element(local.masters, count.index)}"
    user = "debian"
  }

  provisioner "file" {
    content     = <<-EOF
      apiVersion: kubeadm.k8s.io/v1beta1
      kind: ClusterConfiguration
      networking:
        podSubnet: "${var.k8s_pod_cidr}"
      etcd:
        local:
          serverCertSANs:
          %{for master in local.masters~}
          - "${master}"
          %{endfor~}
    EOF
    destination = "/home/debian/kubeadm.yml"
  }

  provisioner "remote-exec" {
    inline = [
      "set -e",
      "sudo kubeadm init phase certs all --config /home/debian/kubeadm.yml",
    ]
  }
}

resource "null_resource" "workers" {
  count      = "${var.nodes_count - var.masters_count}"
  depends_on = ["null_resource.certificates"]

  triggers = {
    id = "${element(openstack_compute_instance_v2.k8s_node.*.id, count.index + var.masters_count)}"
  }

  connection {
    host = "${element(openstack_compute_instance_v2.k8s_node.*.access_ip_v4, count.index + var.masters_count)}"
    user = "debian"
  }

  provisioner "remote-exec" {
    inline = ["set -e", "sudo kubeadm join ${local.masters[0]}:6443"]
  }
}

output "masters" {
  value = ["${local.masters}"]
}
