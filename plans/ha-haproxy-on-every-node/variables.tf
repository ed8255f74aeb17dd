variable "kubernetes_version" {
  description = "The Kubernetes release."
  type        = string
  default     = "1.34.2"
}

variable "masters" {
  description = "The control planes and their addresses."
  type        = map(string)
  default = {
    k8smaster1 = "10.0.42.1"
    k8smaster2 = "10.0.42.2"
    k8smaster3 = "10.0.42.3"
  }
}

variable "workers" {
  description = "The workers and their addresses."
  type        = map(string)
  default = {
    k8sworker1 = "10.0.42.11"
  }
}

variable "pod_subnet" {
  description = "The pods' range. It must be the Network of manifests/flannel.yaml."
  type        = string
  default     = "10.244.0.0/16"
}
