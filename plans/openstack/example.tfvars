image                = "debian-12"
control_plane_flavor = "m1.medium"
worker_flavor        = "m1.large"
load_balancer_flavor = "m1.small"
external_network     = "public"
admin_ranges         = ["192.0.2.0/24"]
ssh_public_key       = "ssh-ed25519 AAAA… me"
