output "release" {
  description = "The release of cloud-provider-openstack."
  value       = local.release
}
