variable "name" {
  description = "The cluster's name."
  type        = string
  default     = "lab"
}

variable "kubernetes_version" {
  description = "The Kubernetes release."
  type        = string
  default     = "1.34.2"
}

variable "control_planes" {
  description = "How many control planes. An odd number: etcd decides by majority."
  type        = number
  default     = 3

  validation {
    condition     = var.control_planes >= 1 && var.control_planes % 2 == 1
    error_message = "The number of control planes must be odd, so that etcd always has a majority."
  }
}

variable "workers" {
  description = "How many workers."
  type        = number
  default     = 3
}

variable "dmz_workers" {
  description = "Workers that stand in the DMZ: only what tolerates their taint runs there."
  type        = set(string)
  default     = ["worker-3"]
}

variable "cidr" {
  description = "The machines' network."
  type        = string
  default     = "10.77.2.0/24"
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
