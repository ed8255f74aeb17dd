variable "name" {
  description = "The cluster's name."
  type        = string
}

variable "kubernetes_version" {
  description = "The Kubernetes release, such as 1.34.2. Another one upgrades the cluster: control planes one by one, then workers."
  type        = string
}

variable "control_planes" {
  description = "The control planes: name to connection (host_machine.NAME.connection)."
  type        = map(any)

  validation {
    # An even number is only unwise, and kubeadm_cluster says so: one that died must be free to leave.
    condition     = length(var.control_planes) > 0
    error_message = "There must be a control plane."
  }
}

variable "workers" {
  description = "The workers: name to connection."
  type        = map(any)
  default     = {}
}

variable "load_balancers" {
  description = "Machines of their own that carry HAProxy: name to connection. With none, each node carries one, on 127.0.0.1:7443."
  type        = map(any)
  default     = {}
}

variable "endpoint" {
  description = "What somebody else keeps before the API servers, as a cloud's load balancer does: address:port. There is no HAProxy then."
  type        = string
  default     = null
}

variable "virtual_ip" {
  description = "An address that the load balancers hold in turn, by keepalived, and its VRRP router id: nobody else's in their network. The API's endpoint then."
  type = object({
    address   = string
    router_id = optional(number, 51)
  })
  default = null
}

variable "cni_manifest" {
  description = "The pod network's manifest, as text. By default kube-router."
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

variable "node_cidr" {
  description = "The network whose addresses are the nodes', on machines with several."
  type        = string
  default     = null
}

variable "cert_sans" {
  description = "More names and addresses for the API servers' certificates."
  type        = list(string)
  default     = []
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
  description = "The container runtime's settings: see kubeadm_host."
  type        = any
  default     = null
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

variable "extra_sysctls" {
  description = "More sysctls of every node."
  type        = map(string)
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

variable "renew_before" {
  description = "How long before their end the control planes' certificates are renewed. 720h by default."
  type        = string
  default     = null
}

variable "skip_phases" {
  description = "Phases of kubeadm init to leave out: addon/kube-proxy where the pod network does its work, as kube-router's and Cilium's may."
  type        = list(string)
  default     = null
}

variable "cloud_provider" {
  description = "\"external\" where a cloud controller manager will look after the nodes."
  type        = string
  default     = null
}

variable "api_server_extra_args" {
  description = "Arguments of the API servers."
  type        = map(string)
  default     = null
}

variable "etcd_extra_args" {
  description = "Arguments of etcd."
  type        = map(string)
  default     = null
}

variable "kubelet_config" {
  description = "Fields of KubeletConfiguration for all nodes."
  type        = any
  default     = null
}

variable "kube_proxy_config" {
  description = "Fields of KubeProxyConfiguration."
  type        = any
  default     = null
}

variable "ignore_preflight_errors" {
  description = "kubeadm's preflight checks whose errors are only warnings."
  type        = list(string)
  default     = null
}
