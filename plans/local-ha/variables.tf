variable "name" {
  description = "The lab's name."
  type        = string
  default     = "local-ha"
}

variable "kubernetes_version" {
  description = "The Kubernetes release. Another one upgrades the cluster."
  type        = string
  default     = "1.34.2"
}

variable "control_planes" {
  description = "How many control planes. An odd number: etcd decides by majority."
  type        = number
  default     = 3
}

variable "workers" {
  description = "How many workers."
  type        = number
  default     = 2
}

variable "proxy_on_every_node" {
  description = "Whether each node carries an HAProxy of its own, instead of one machine for all."
  type        = bool
  default     = false
}

variable "cidr" {
  description = "The machines' network. It exists inside this computer only."
  type        = string
  default     = "10.77.0.0/24"
}

variable "nat" {
  description = "Whether machines reach the outside through this computer (by slirp4netns, as an ordinary user's program would)."
  type        = bool
  default     = true
}

variable "namespace" {
  description = "A network namespace that is there, to put the network into. By default one is made."
  type        = string
  default     = null
}

variable "image_tarball" {
  description = "A tarball of the machines' root file system. By default Debian is installed by mmdebstrap."
  type        = string
  default     = null
}

variable "image_packages" {
  description = "What is installed in the machines, where no tarball is given."
  type        = list(string)
  default     = ["systemd-sysv", "dbus", "openssh-server", "iproute2", "iputils-ping", "ca-certificates", "procps", "kmod", "curl", "sudo", "gpg"]
}

variable "limits" {
  description = "What each machine may use at most: cpus, memory, pids. All there is by default."
  type        = any
  default     = null
}

variable "etcd_in_memory" {
  description = "Whether etcd's data stays in memory: faster, and gone with the machine's power."
  type        = bool
  default     = true
}

variable "pod_subnet" {
  description = "The pods' range."
  type        = string
  default     = "10.244.0.0/16"
}

variable "service_subnet" {
  description = "The services' range."
  type        = string
  default     = "10.96.0.0/16"
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

variable "cni_manifest" {
  description = "A file with the pod network's manifest. By default kube-router."
  type        = string
  default     = null
}

variable "workload" {
  description = "A file with a manifest to run on the cluster."
  type        = string
  default     = null
}
