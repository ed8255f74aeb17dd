output "endpoint" {
  description = "Where each machine finds the API."
  value       = kubeadm_cluster.this.cluster.endpoint
}
