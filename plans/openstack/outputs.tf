output "machines" {
  description = "Where machines are reached."
  value       = local.access
}

output "endpoint" {
  description = "Where the API answers, inside the machines' network."
  value       = var.cluster ? module.cluster[0].endpoint : null
}

output "flows" {
  description = "Who talks to whom, in Markdown: also by `grappe flows`."
  value       = data.kubeadm_flows.this.markdown
}
