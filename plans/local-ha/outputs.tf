output "endpoint" {
  description = "Where the API answers, inside the lab's network."
  value       = module.cluster.endpoint
}

output "machines" {
  description = "The machines and their addresses."
  value       = local.machines
}

output "namespace" {
  description = "The network namespace of the lab."
  value       = local_network.lab.namespace
}
