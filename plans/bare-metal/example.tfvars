# grappe apply -var-file=example.tfvars
control_planes = { cp-1 = "192.0.2.11", cp-2 = "192.0.2.12", cp-3 = "192.0.2.13" }
workers        = { worker-1 = "192.0.2.21", worker-2 = "192.0.2.22" }
load_balancers = { lb-1 = "192.0.2.10" }

ssh_user             = "admin"
ssh_private_key_file = "~/.ssh/id_ed25519"
node_cidr            = "192.0.2.0/24"
