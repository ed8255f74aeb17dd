output "cluster" {
  description = "The cluster, as the `cluster` argument of kube_* resources takes it."
  value       = kubeadm_cluster.this.cluster
}

output "endpoint" {
  description = "Where the API answers."
  value       = kubeadm_cluster.this.cluster.endpoint
}

# Known once all nodes have joined and the pod network is up: what needs running pods depends on it, and goes before they do.
output "ready" {
  description = "The cluster's name, once its nodes are Ready."
  value       = kubeadm_cluster.this.name
  depends_on  = [kube_cni.this, kubeadm_control_plane.this, kubeadm_worker.this, kube_node.worker]
}
