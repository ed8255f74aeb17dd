variable "cluster" {
  description = "The cluster, made with cloud_provider = \"external\"."
  type        = any
}

variable "ready" {
  description = "What is known once the cluster's nodes are Ready, such as ha-cluster's `ready`. What is here goes before all that it is made of."
  type        = any
}

variable "cluster_name" {
  description = "The cluster's name, by which the load balancers and volumes that it makes are told from others'."
  type        = string
}

variable "kubernetes_version" {
  description = "The Kubernetes release: the images of its minor one are taken."
  type        = string
}

variable "release" {
  description = "Another release of cloud-provider-openstack, such as v1.34.1."
  type        = string
  default     = null
}

variable "image_registry" {
  description = "Where the images come from: registry.k8s.io, or its mirror."
  type        = string
  default     = "registry.k8s.io"
}

variable "auth_url" {
  description = "The address of Keystone, as the nodes reach it."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "ca_certificate" {
  description = "The certificate of the cloud's authority, in PEM, where it is a private one."
  type        = string
  default     = null
}

variable "application_credential_id" {
  description = "The application credential that the cluster acts with: `openstack application credential create`."
  type        = string
}

variable "application_credential_secret" {
  description = "Its secret. Another one is another credential."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "network" {
  description = "The name of the nodes' network, whose addresses are theirs."
  type        = string
}

variable "subnet_id" {
  description = "The subnet in which load balancers stand."
  type        = string
}

variable "floating_network_id" {
  description = "The network that load balancers' floating IPs come from. Without one, they are inside only."
  type        = string
  default     = null
}

variable "cinder_csi" {
  description = "Whether the cluster gets Cinder's CSI driver and a StorageClass."
  type        = bool
  default     = false
}

variable "storage_class" {
  description = "The name of the StorageClass: the default one."
  type        = string
  default     = "cinder"
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

variable "timeout" {
  description = "How long the manager and the driver have to come up."
  type        = string
  default     = "10m"
}

variable "when_unreachable" {
  description = "What becomes of the sweep of a cluster that does not answer: fail or skip."
  type        = string
  default     = "fail"
}

variable "sweep_timeout" {
  description = "How long load balancers and volumes have to go."
  type        = string
  default     = "15m"
}
