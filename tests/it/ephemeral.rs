//! What is good for one run only, from end to end: drawn, sent to a machine, and on no disk of ours; and machines of several providers in one plan.

use crate::sandbox::{Sandbox, flat};

/// A machine in each of two worlds, with a password on it that nobody else has.
const MACHINES: &str = r#"
variable "places" {
  type    = set(string)
  default = ["north", "south"]
}

variable "greeting" {
  type      = string
  ephemeral = true
}

variable "edition" { default = 1 }

variable "mode" { default = "0600" }

provider "sim" {
  alias    = "in"
  for_each = var.places
  world    = "${each.key}.json"
}

ephemeral "random_password" "p" {
  length  = 24
  special = false
}

resource "tls_private_key" "k" {
  algorithm = "ED25519"
}

resource "local_sensitive_file" "key" {
  filename = "${path.module}/.grappe/key"
  content  = tls_private_key.k.private_key_openssh
}

module "place" {
  source    = "./place"
  for_each  = var.places
  providers = { sim = sim.in[each.key] }

  name   = each.key
  secret = "${var.greeting}:${ephemeral.random_password.p.result}"
  public = tls_private_key.k.public_key_openssh
  key    = local_sensitive_file.key.filename
  edition = var.edition
  mode    = var.mode
}
"#;

const PLACE: &str = r#"
variable "name" {}
variable "public" {}
variable "key" {}
variable "edition" {}
variable "mode" {}

variable "secret" {
  ephemeral = true
}

resource "sim_network" "n" {
  name = var.name
  cidr = var.name == "north" ? "10.1.0.0/24" : "10.2.0.0/24"
}

resource "sim_port" "p" {
  network_id = sim_network.n.id
}

resource "sim_machine" "m" {
  name            = var.name
  port_ids        = [sim_port.p.id]
  authorized_keys = [var.public]
}

resource "host_machine" "m" {
  address          = sim_machine.m.address
  instance         = sim_machine.m.id
  host_key         = sim_machine.m.host_key
  private_key_file = var.key
}

resource "host_file" "secret" {
  host               = host_machine.m.connection
  path               = "/etc/secret"
  content_wo         = var.secret
  content_wo_version = var.edition
  mode               = var.mode

  provisioner "local-exec" {
    command = "echo the part ${split(":", var.secret)[0]}"
  }
}
"#;

const GREETING: &str = "open-sesame";

/// What the machine of a world has in its file.
fn written(sandbox: &Sandbox, world: &str) -> String {
    let text = sandbox.read(world);
    let at = text.find(GREETING).unwrap_or_else(|| panic!("nothing is written in {world}"));
    text[at..].chars().take_while(|c| c.is_alphanumeric() || "-:".contains(*c)).collect()
}

#[test]
fn a_secret_reaches_its_machine_and_no_disk() {
    let sandbox = Sandbox::new(MACHINES);
    sandbox.write("place/main.tf", PLACE);
    let given = format!("-var=greeting={GREETING}");
    let mut printed = sandbox.expect(0, &["plan", &given, "-out=saved"]).all();

    // The plan does not hold what it was given: it is asked for again, and nothing else is taken.
    let missing = flat(&sandbox.expect(1, &["apply", "saved"]).stderr);
    assert!(missing.contains("was set during the plan phase, and so must also be set"), "{missing}");
    let changed = sandbox.expect(1, &["apply", &given, "-var=mode=0644", "saved"]).stderr;
    assert!(changed.contains("can't be changed any more"), "{changed}");
    printed += &sandbox.expect(0, &["apply", &given, "saved"]).all();
    assert!(printed.contains("the part (sensitive value)"), "{printed}");
    let [north, south] = ["north.json", "south.json"].map(|world| written(&sandbox, world));
    assert!(north == south && north.len() == GREETING.len() + 1 + 24, "{north} {south}");

    // Others are drawn each time, and nothing is to be done. Another mode keeps the content, another edition does not.
    assert!(sandbox.expect(0, &["plan", &given]).stdout.contains("No changes"));
    let apply =
        |args: &[&str]| sandbox.expect(0, &[&["apply", "-auto-approve", &given][..], args].concat()).all();
    printed += &apply(&["-var=mode=0640"]);
    assert_eq!(written(&sandbox, "north.json"), north);
    printed += &apply(&["-var=mode=0640", "-var=edition=2"]);
    let second = written(&sandbox, "north.json");
    assert!(second != north && second.len() == north.len());
    printed += &sandbox.expect(0, &["show"]).all();
    printed += &sandbox.expect(0, &["show", "-json"]).all();

    for secret in [GREETING, &north[GREETING.len() + 1..], &second[GREETING.len() + 1..]] {
        assert!(!printed.contains(secret), "{secret} was printed:\n{printed}");
        for (path, bytes) in sandbox.files() {
            let name = path.file_name().unwrap().to_str().unwrap();
            let world = name.contains("north.json") || name.contains("south.json");
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(world || !found, "{secret} is in {}", path.display());
        }
    }

    // A world that goes while there is something in it.
    let refused = sandbox.expect(1, &["plan", &given, "-var=places=[\"north\"]"]).stderr;
    assert!(refused.contains("sim.in[\"south\"]"), "{refused}");
    sandbox.expect(0, &["destroy", "-auto-approve", &given]);
    assert_eq!(sandbox.state(), Vec::<String>::new());
}
