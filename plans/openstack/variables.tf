variable "name" {
  description = "The cluster's name, with which those of its machines begin."
  type        = string
  default     = "k8s"
}

variable "cloud" {
  description = "The cloud's name in clouds.yaml. By default OS_CLOUD, or OS_* variables."
  type        = string
  default     = null
}

variable "external_network" {
  description = "The network that leads out, by name."
  type        = string
  default     = "public"
}

variable "access" {
  description = "How machines are reached: floating (a floating IP each), network (a second card in admin_network), or private (their own addresses, as through ssh_bastion)."
  type        = string
  default     = "floating"

  validation {
    condition     = contains(["floating", "network", "private"], var.access)
    error_message = "It is floating, network or private."
  }
}

variable "admin_network" {
  description = "The administrators' network, by name, where access is \"network\"."
  type        = string
  default     = null
}

variable "load_balancer" {
  description = "What stands before the API servers: haproxy (a machine of its own), octavia (the cloud's), or none (an HAProxy on every node)."
  type        = string
  default     = "haproxy"

  validation {
    condition     = contains(["haproxy", "octavia", "none"], var.load_balancer)
    error_message = "It is haproxy, octavia or none."
  }
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

variable "image" {
  description = "The machines' image, by name: with cloud-init."
  type        = string
}

variable "control_plane_flavor" {
  description = "The flavor of control planes: at least 2 processors and 2 GB."
  type        = string
}

variable "worker_flavor" {
  description = "The flavor of workers."
  type        = string
}

variable "load_balancer_flavor" {
  description = "The flavor of the machine with HAProxy."
  type        = string
  default     = null
}

variable "anti_affinity" {
  description = "How control planes keep apart: soft-anti-affinity, or anti-affinity where there are as many hosts."
  type        = string
  default     = "soft-anti-affinity"
}

variable "config_drive" {
  description = "Whether machines get their data on a disk, where the cloud has no metadata service."
  type        = bool
  default     = null
}

variable "packages" {
  description = "What cloud-init installs."
  type        = list(string)
  default     = []
}

variable "cidr" {
  description = "The machines' network."
  type        = string
  default     = "10.6.0.0/24"
}

variable "dns_nameservers" {
  description = "The machines' name servers. The cloud's by default."
  type        = list(string)
  default     = null
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

variable "admin_ranges" {
  description = "Whence administrators come: SSH and the API."
  type        = list(string)
}

variable "client_ranges" {
  description = "Whence the cluster's users come: NodePorts. Nobody by default."
  type        = list(string)
  default     = []
}

variable "ssh_public_key" {
  description = "The SSH key that is let in."
  type        = string
}

variable "ssh_private_key_file" {
  description = "Its private key. Those of ssh-agent by default."
  type        = string
  default     = null
}

variable "ssh_user" {
  description = "Who logs in."
  type        = string
  default     = "debian"
}

variable "ssh_bastion" {
  description = "The host to go through: { address = \"…\" }."
  type        = any
  default     = null
}

variable "cluster" {
  description = "Whether a cluster is made on the machines."
  type        = bool
  default     = true
}

variable "kubernetes_version" {
  description = "The Kubernetes release. Another one upgrades the cluster."
  type        = string
  default     = "1.34.2"
}

variable "cni_manifest" {
  description = "A file with the pod network's manifest. By default kube-router."
  type        = string
  default     = null
}

variable "application_credential_id" {
  description = "The application credential that the cluster acts with in the cloud. With it, nodes are the cloud's (cloud-provider=external), and Services get load balancers."
  type        = string
  default     = null
}

variable "application_credential_secret" {
  description = "Its secret: best as TF_VAR_application_credential_secret. It is in the cluster, and in no plan and no state."
  type        = string
  sensitive   = true
  ephemeral   = true
  default     = null
}

variable "auth_url" {
  description = "The address of Keystone as the nodes reach it, where that is not the one that we log in at."
  type        = string
  default     = null
}

variable "cloud_ca_file" {
  description = "A file with the certificate of the cloud's authority, where it is a private one."
  type        = string
  default     = null
}

variable "cinder_csi" {
  description = "Whether the cluster gets Cinder's CSI driver and a default StorageClass."
  type        = bool
  default     = false
}

variable "volume_type" {
  description = "The type of its volumes. The cloud's default otherwise."
  type        = string
  default     = null
}

variable "ignore_volume_az" {
  description = "Whether volumes' availability zones have other names than servers'."
  type        = bool
  default     = false
}

variable "when_unreachable" {
  description = "What becomes of load balancers and volumes that the cluster made when it is destroyed and does not answer: fail, and nothing goes; or skip, and they stay."
  type        = string
  default     = "fail"
}

variable "image_registry" {
  description = "Where the images of the cloud's controllers come from."
  type        = string
  default     = "registry.k8s.io"
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
