//! Simulated machines, as the plans of several tests have them.

/// A world, a key to its machines, and their network.
pub(crate) const LAB: &str = r#"
provider "sim" {}

resource "tls_private_key" "lab" {
  algorithm = "ED25519"
}

resource "local_sensitive_file" "key" {
  filename = "${path.module}/.grappe/id_ed25519"
  content  = tls_private_key.lab.private_key_openssh
}

resource "sim_network" "lab" {
  name = "lab"
  cidr = "10.0.0.0/24"
}
"#;

/// The machines of `local.machines`, which has their addresses by name, each on its `sim_port.this`; and the hosts that they are.
pub(crate) const HOSTS: &str = r#"
resource "sim_machine" "this" {
  for_each        = local.machines
  name            = each.key
  port_ids        = [sim_port.this[each.key].id]
  authorized_keys = [tls_private_key.lab.public_key_openssh]
}

resource "host_machine" "this" {
  for_each         = local.machines
  address          = each.value
  instance         = sim_machine.this[each.key].id
  private_key_file = local_sensitive_file.key.filename
}
"#;
