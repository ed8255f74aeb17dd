//! What exists is taken into the state, as it is; the next plan knows what differs from its block.

use serde_json::Value as Json;

use crate::sandbox::Sandbox;

const PLAN: &str = r#"
variable "text" {
  type    = string
  default = "text\n"
}

resource "random_uuid" "u" {}

resource "random_password" "p" {
  length  = 7
  special = false
}

resource "random_integer" "n" {
  min     = -5
  max     = 10
  keepers = { a = "b" }
}

resource "local_file" "f" {
  filename = "${path.module}/there"
  content  = var.text
}

resource "terraform_data" "each" {
  for_each = toset(["a", "b"])
  input    = { file = local_file.f.content, key = each.key }
}

resource "random_shuffle" "s" {
  input = ["a", "b"]
}

module "m" {
  source = "./m"
}
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(PLAN);
    sandbox.write("m/main.tf", "resource \"random_pet\" \"in\" {}\n");
    sandbox.write("there", "text\n");
    sandbox
}

#[test]
fn what_is_as_its_block_says_leaves_nothing_to_do() {
    let sandbox = sandbox();
    sandbox.write(
        "main.tf",
        &PLAN.replace("resource \"random_shuffle\" \"s\" {\n  input = [\"a\", \"b\"]\n}\n", ""),
    );
    let uuid = "3e4666bf-d5e5-4aa7-b8ce-cefe41c7568a";
    for (addr, id) in [
        ("random_uuid.u", uuid),
        ("random_password.p", "hunter2"),
        ("random_integer.n", "-5,-5,10"),
        ("local_file.f", "there"),
        ("terraform_data.each[\"a\"]", "mine"),
        ("terraform_data.each[\"b\"]", "other"),
        ("module.m.random_pet.in", "brave-otter"),
    ] {
        let ran = sandbox.expect(0, &["import", addr, "--", id]);
        assert!(ran.stdout.contains(&format!("Import successful! {addr} is in the state")), "{}", ran.stdout);
        assert!(!ran.stdout.contains("The next apply"), "{}", ran.stdout);
        assert!(!ran.all().contains("hunter2"), "{}", ran.all());
    }
    assert!(sandbox.files().iter().all(|(_, bytes)| !bytes.windows(7).any(|w| w == b"hunter2")));
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    assert!(sandbox.expect(0, &["state", "show", "random_uuid.u"]).stdout.contains(uuid));
    // What it depends on is known: it goes first.
    let events = sandbox.expect(0, &["destroy", "-auto-approve", "-json"]);
    let done: Vec<String> =
        events.events_of("operation_done").iter().map(|e| e["addr"].as_str().unwrap().to_owned()).collect();
    let at = |name: &str| done.iter().position(|a| a == name).unwrap();
    assert!(at("terraform_data.each[\"a\"]") < at("local_file.f"), "{done:?}");
    assert!(!sandbox.path("there").exists(), "it is grappe's now");
}

#[test]
fn what_differs_is_for_the_next_apply() {
    let sandbox = sandbox();
    sandbox.write("there", "old\n");
    let ran = sandbox.expect(0, &["import", "-var=text=new\n", "local_file.f", "./there"]);
    assert!(
        ran.stdout.contains("The next apply would update it in place: the block wants another content"),
        "{}",
        ran.stdout
    );
    assert_eq!(sandbox.read("there"), "old\n", "nothing in the world is changed");
    let ran = sandbox.expect(0, &["import", "random_password.p", "hunter2222"]);
    assert!(
        ran.stdout.contains("The next apply would replace it: the block wants another length."),
        "{}",
        ran.stdout
    );
    let plan = sandbox.expect(2, &["plan", "-detailed-exitcode", "-var=text=new\n"]).stdout;
    assert!(plan.contains("local_file.f will be updated in place"), "{plan}");
}

#[test]
fn what_can_t_be_imported_says_why_and_leaves_the_state_alone() {
    let sandbox = sandbox();
    sandbox.expect(0, &["import", "random_uuid.u", "3e4666bf-d5e5-4aa7-b8ce-cefe41c7568a"]);
    sandbox.write(
        "later.tf",
        "resource \"random_pet\" \"none\" {}\nresource \"terraform_data\" \"later\" {\n  input = random_pet.none.id\n}\n",
    );
    let before = sandbox.read("grappe.state/grappe.state.json");
    let mut all = Vec::new();
    for args in [
        ["import", "random_uuid.u", "3e4666bf-d5e5-4aa7-b8ce-cefe41c7568b"],
        ["import", "random_uuid.v", "3e4666bf-d5e5-4aa7-b8ce-cefe41c7568b"],
        ["import", "random_shuffle.s", "a"],
        ["import", "random_integer.n", "many"],
        ["import", "local_file.f", "not-there"],
        ["import", "terraform_data.each[\"c\"]", "x"],
        ["import", "terraform_data.later", "x"],
        ["import", "random_nothing.x", "x"],
    ] {
        let ran = sandbox.expect(1, &args);
        all.push(format!("$ grappe {}\n{}", args.join(" "), sandbox.clean(&ran.all())));
    }
    insta::assert_snapshot!(all.join("\n\n"));
    assert_eq!(sandbox.read("grappe.state/grappe.state.json"), before);
}

/// A cluster of which the state has lost some objects.
#[test]
fn what_lives_in_a_cluster_is_found_again() {
    let sandbox = Sandbox::of_plan("lab");
    sandbox.write("terraform.tfvars", "workers = 1\ndmz_workers = []\n");
    sandbox.write(
        "more.tf",
        r#"
resource "kube_namespace" "n" {
  cluster = kubeadm_cluster.lab.cluster
  name    = "mine"
  labels  = { a = "b" }
}
resource "kube_manifest" "m" {
  cluster  = kubeadm_cluster.lab.cluster
  manifest = yamlencode({
    apiVersion = "v1", kind = "ConfigMap", metadata = { name = "c", namespace = kube_namespace.n.name }, data = { k = "v" }
  })
}
resource "kube_secret" "s" {
  cluster   = kubeadm_cluster.lab.cluster
  namespace = kube_namespace.n.name
  name      = "s"
  data      = { password = "hunter2" }
}
resource "host_file" "f" {
  host    = host_machine.this["worker-1"].connection
  path    = "/etc/mine"
  content = "mine\n"
}
"#,
    );
    sandbox.expect(0, &["apply", "-auto-approve"]);
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    let world: Json = serde_json::from_str(&sandbox.expect(0, &["sim", "list", "-json"]).stdout).unwrap();
    let id_of = |list: &str, name: &str| {
        let found = world[list].as_array().unwrap().iter().find(|o| o["name"] == name);
        found.unwrap_or_else(|| panic!("{name} in {world}"))["id"].as_str().unwrap().to_owned()
    };
    let manifest = sandbox.expect(0, &["show", "-json"]).stdout;
    let manifest: Json = serde_json::from_str(&manifest).unwrap();
    let values = |addr: &str| {
        let all = manifest["values"]["root_module"]["resources"].as_array().unwrap();
        all.iter().find(|r| r["address"] == addr).unwrap()["values"].clone()
    };
    let id = |addr: &str| values(addr)["id"].as_str().unwrap().to_owned();
    let all = [
        ("sim_network.lab", id_of("networks", values("sim_network.lab")["name"].as_str().unwrap())),
        ("sim_port.this[\"worker-1\"]", id("sim_port.this[\"worker-1\"]")),
        ("sim_machine.this[\"worker-1\"]", id_of("machines", "worker-1")),
        ("host_machine.this[\"worker-1\"]", id("host_machine.this[\"worker-1\"]")),
        ("host_file.f", "/etc/mine".to_owned()),
        ("kube_namespace.n", "mine".to_owned()),
        ("kube_manifest.m", id("kube_manifest.m")),
        ("kube_secret.s", "mine/s".to_owned()),
        ("kube_node.worker[\"worker-1\"]", "worker-1".to_owned()),
    ];
    let forget: Vec<&str> = ["state", "rm"].into_iter().chain(all.iter().map(|(addr, _)| *addr)).collect();
    sandbox.expect(0, &forget);
    for (addr, id) in &all {
        let ran = sandbox.expect(0, &["import", addr, id]);
        assert!(!ran.stdout.contains("The next apply"), "{addr}: {}", ran.stdout);
        assert!(!ran.all().contains("hunter2"), "{}", ran.all());
    }
    let plan = sandbox.run(&["plan", "-detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}", plan.stdout);
    for (addr, id) in
        [("kube_namespace.n", "nobody"), ("kube_secret.s", "mine/t"), ("host_file.f", "/etc/none")]
    {
        sandbox.expect(0, &["state", "rm", addr]);
        let ran = sandbox.expect(1, &["import", addr, id]);
        assert!(ran.stderr.contains("with this id"), "{}", ran.stderr);
    }
}

/// Blocks for what `import` blocks name are written as Terraform writes them; with them, nothing is left to do but to import.
#[test]
fn blocks_are_written_for_what_has_none() {
    let import = |to: &str, id: &str| format!("import {{\n  to = {to}\n  id = \"{id}\"\n}}\n");
    let main = [
        import("terraform_data.a", "some-id"),
        import("random_uuid.u", "3e4666bf-d5e5-4aa7-b8ce-cefe41c7568a"),
        import("local_file.f", "there"),
        import("local_file.raw", "bytes"),
        import("random_integer.n", "-5,-5,10"),
        import("random_password.p", "hunter2"),
    ];
    let sandbox = Sandbox::new(&main.concat());
    sandbox.write("there", "a \"q\" ${x}\nline two\n");
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(sandbox.path("bytes")).unwrap();
    std::io::Write::write_all(&mut file, &[0, 255]).unwrap();
    sandbox.expect(0, &["validate"]);
    let without = sandbox.expect(1, &["plan"]).stderr;
    assert!(without.contains("-generate-config-out=generated.tf"), "{without}");

    let ran = sandbox.expect(0, &["plan", "-generate-config-out=gen.tf", "-out=p"]);
    assert!(ran.stdout.contains("Configuration generated: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("Plan: 6 to import, 0 to add, 0 to change, 0 to destroy."), "{}", ran.stdout);
    insta::assert_snapshot!(sandbox.read("gen.tf"));
    assert!(!ran.all().contains("hunter2") && !sandbox.read("gen.tf").contains("hunter2"));
    let again = sandbox.expect(1, &["plan", "-generate-config-out=gen.tf"]).stderr;
    assert!(again.contains("gen.tf: the file for generated blocks exists already"), "{again}");
    for elsewhere in ["../gen.tf", "gen.json"] {
        let said = sandbox.expect(1, &["plan", &format!("-generate-config-out={elsewhere}")]).stderr;
        assert!(said.contains("no part of the plan"), "{said}");
    }
    sandbox.expect(0, &["apply", "-auto-approve", "p"]);
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);

    // With all blocks there, there is nothing to write.
    sandbox.expect(0, &["plan", "-generate-config-out=more.tf", "-detailed-exitcode"]);
    assert!(!sandbox.path("more.tf").exists());
}

#[test]
fn blocks_that_can_t_be_written_say_why() {
    let mut all = Vec::new();
    for main in [
        "import {\n  to = terraform_data.a[\"x\"]\n  id = \"x\"\n}\n",
        "import {\n  for_each = toset([\"x\"])\n  to       = terraform_data.a\n  id       = each.key\n}\n",
        "import {\n  to = host_file.f\n  id = \"/etc/motd\"\n}\n",
        "import {\n  to = local_file.f\n  id = \"not-there\"\n}\n",
        "import {\n  to = random_shuffle.s\n  id = \"x\"\n}\n",
        "module \"m\" {\n  source = \"./m\"\n}\nimport {\n  to = module.m.terraform_data.a\n  id = \"x\"\n}\n",
    ] {
        let sandbox = Sandbox::new(main);
        sandbox.write("m/main.tf", "locals {}\n");
        let ran = sandbox.expect(1, &["plan", "-generate-config-out=gen.tf"]);
        assert!(!sandbox.path("gen.tf").exists());
        all.push(sandbox.clean(&ran.stderr));
    }
    insta::assert_snapshot!(all.join("\n\n"));
}
