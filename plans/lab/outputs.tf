output "endpoint" {
  description = "Where the API answers."
  value       = kubeadm_cluster.lab.cluster.endpoint
}

output "nodes" {
  description = "The nodes and their addresses."
  value       = local.nodes
}

output "simulated" {
  description = "Whether the machines are simulated."
  value       = alltrue([for machine in sim_machine.this : machine.simulated])
}
