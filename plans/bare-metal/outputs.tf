output "endpoint" {
  description = "Where the API answers."
  value       = module.cluster.endpoint
}
