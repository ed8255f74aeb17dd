variable "name" {
  description = "The cluster's name."
  type        = string
  default     = "metal"
}

variable "kubernetes_version" {
  description = "The Kubernetes release. Another one upgrades the cluster."
  type        = string
  default     = "1.34.2"
}

variable "control_planes" {
  description = "The control planes: name to address. An odd number: etcd decides by majority."
  type        = map(string)
}

variable "workers" {
  description = "The workers: name to address."
  type        = map(string)
  default     = {}
}

variable "load_balancers" {
  description = "Machines of their own that carry HAProxy: name to address. With none, each node carries one, on 127.0.0.1:7443."
  type        = map(string)
  default     = {}
}

variable "virtual_ip" {
  description = "An address that the load balancers hold in turn, by keepalived, and its VRRP router id: nobody else's in their network. The API's endpoint then."
  type = object({
    address   = string
    router_id = optional(number, 51)
  })
  default = null
}

variable "ssh_user" {
  description = "Who logs in. Not root: sudo without a password is needed."
  type        = string
  default     = "root"
}

variable "ssh_port" {
  description = "Where sshd listens."
  type        = number
  default     = 22
}

variable "ssh_private_key_file" {
  description = "The private key's file. By default the keys that ssh-agent holds."
  type        = string
  default     = null
}

variable "ssh_bastion" {
  description = "The host to go through, where the machines are behind one: { address, user, port }. It logs in with the same key."
  type = object({
    address = string
    user    = optional(string)
    port    = optional(number)
  })
  default = null
}

variable "node_cidr" {
  description = "The network whose addresses are the nodes', on machines with several."
  type        = string
  default     = null
}

variable "pod_subnet" {
  description = "The pods' range. The pod network's manifest must say the same."
  type        = string
  default     = "10.244.0.0/16"
}

variable "service_subnet" {
  description = "The services' range."
  type        = string
  default     = "10.96.0.0/16"
}

variable "cni_manifest" {
  description = "A file with the pod network's manifest. By default kube-router."
  type        = string
  default     = null
}

variable "labels" {
  description = "More labels of workers: name to labels."
  type        = map(map(string))
  default     = {}
}

variable "taints" {
  description = "Taints of workers: name to taints."
  type        = map(list(object({ key = string, value = optional(string), effect = string })))
  default     = {}
}

variable "package_source" {
  description = "Where Kubernetes' packages come from: see kubeadm_host. pkgs.k8s.io by default."
  type        = any
  default     = null
}

variable "containerd" {
  description = "The container runtime's settings, mirrors of registries among them: see kubeadm_host."
  type        = any
  default     = null
}

variable "cert_sans" {
  description = "More names and addresses for the API servers' certificates, such as the name by which clients know the API."
  type        = list(string)
  default     = []
}

variable "proxy" {
  description = "The way out of the machines' network for packages and images: { http, https, no_proxy }."
  type        = any
  default     = null
}

variable "trusted_networks" {
  description = "Networks that the machines' own firewalls let in whole, where they have one: the nodes', the pods' and the services'."
  type        = list(string)
  default     = null
}

variable "extra_packages" {
  description = "More packages that every node needs, such as nfs-common."
  type        = list(string)
  default     = null
}

variable "max_unavailable" {
  description = "How many workers an upgrade takes out of service at once. 1 by default."
  type        = number
  default     = null
}

variable "drain_policy" {
  description = "What becomes of pods that will not go when a node leaves or is upgraded: fail (by default), force, skip."
  type        = string
  default     = null
}

variable "drain_timeout" {
  description = "How long pods have to go. 5m by default."
  type        = string
  default     = null
}
