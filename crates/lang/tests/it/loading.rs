//! Configurations, whole and broken.

use grappe_lang::{Choice, IgnoreChanges, Mode};

use crate::support::{load_files, rendered};

/// What is said about files, as people see it.
fn said(files: &[(&str, &str)]) -> String {
    let (config, sources, diags) = load_files(files);
    assert_eq!(config.is_none(), diags.has_errors(), "a configuration, or errors");
    rendered(&diags, &sources)
}

#[test]
fn a_whole_configuration_is_read() {
    let (config, sources, diags) = load_files(&[
        (
            "main.tf",
            r#"
terraform {
  required_version = ">= 1.5, < 2.0"
  required_providers {
    cloud = {
      source  = "example/cloud"
      version = "~> 1.0"
    }
  }
}

provider "cloud" {
  region = var.region
}

provider "cloud" {
  alias  = "west"
  region = "west"
}

variable "region" {
  description = "where"
  type        = string
  default     = "east"
  validation {
    condition     = length(var.region) > 0
    error_message = "It is ${"empty"}."
  }
}

locals {
  names = [for i in range(3) : "n${i}"]
}

data "cloud_image" "os" {
  name = "debian"
}

resource "cloud_machine" "node" {
  count    = length(local.names)
  provider = cloud.west
  name     = local.names[count.index]
  image    = data.cloud_image.os.id

  depends_on = [module.net, data.cloud_image.os]

  lifecycle {
    create_before_destroy = true
    prevent_destroy       = false
    ignore_changes        = [tags["a"], disk[0].size, name]
    replace_triggered_by  = [cloud_key.k[count.index].id]
    precondition {
      condition     = count.index < 5
      error_message = "Too many."
    }
    postcondition {
      condition     = self.ready
      error_message = "Not ready."
    }
  }
}

resource "cloud_key" "k" {
  count = 3
  lifecycle {
    ignore_changes = all
  }
}
"#,
        ),
        (
            "net.tf",
            r#"
module "net" {
  source    = "./modules/net"
  for_each  = toset(["a"])
  cidr      = "10.0.0.0/8"
  providers = { cloud = cloud.west }
}

output "ids" {
  description = "their ids"
  value       = cloud_machine.node[*].id
  sensitive   = true
  depends_on  = [module.net]
}
"#,
        ),
        (
            "modules/net/main.tf",
            "variable \"cidr\" {}\noutput \"sub\" {\n  value = cidrsubnet(var.cidr, 8, 1)\n}\nmodule \"inner\" {\n  source = \"../inner\"\n}\n",
        ),
        ("modules/inner/main.tf", "resource \"cloud_thing\" \"t\" {}\n"),
        ("ignored.txt", "nothing"),
        (".hidden.tf", "}"),
    ]);
    let config = config.unwrap_or_else(|| panic!("{}", rendered(&diags, &sources)));
    assert!(diags.is_empty(), "{diags}");
    let root = &config.root;
    let node = &root.resources[&(Mode::Managed, "cloud_machine".into(), "node".into())];
    assert!(node.lifecycle.create_before_destroy.is_set() && !node.lifecycle.prevent_destroy.is_set());
    let Choice::Is(IgnoreChanges::Paths(paths)) = &node.lifecycle.ignore_changes else { panic!() };
    assert_eq!(
        paths.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["tags[\"a\"]", "disk[0].size", "name"]
    );
    assert_eq!(node.provider.as_ref().unwrap().of.alias.as_deref(), Some("west"));
    let depends: Vec<String> = node.depends_on.iter().map(|r| r.subject.to_string()).collect();
    assert_eq!(depends, ["module.net", "data.cloud_image.os"]);
    assert_eq!(
        node.lifecycle.replace_triggered_by.all().next().unwrap()[0].subject.to_string(),
        "cloud_key.k"
    );
    assert_eq!((node.lifecycle.preconditions.len(), node.lifecycle.postconditions.len()), (1, 1));
    let key = &root.resources[&(Mode::Managed, "cloud_key".into(), "k".into())];
    assert!(matches!(key.lifecycle.ignore_changes, Choice::Is(IgnoreChanges::All)));
    let call = &root.calls["net"];
    assert!(call.for_each.is_some() && call.arguments.contains_key("cidr") && call.providers.len() == 1);
    assert_eq!(call.module.calls["inner"].module.path.join("."), "net.inner");
    assert_eq!(call.module.calls["inner"].module.dir.to_str(), Some("modules/inner"));
    assert!(root.outputs["ids"].sensitive && root.providers.len() == 2);
    assert_eq!(root.settings.required_providers["cloud"].source.as_deref(), Some("example/cloud"));
    assert_eq!(root.variables["region"].validations.len(), 1);
}

#[test]
fn several_syntax_errors_are_said_at_once() {
    insta::assert_snapshot!(said(&[(
        "main.tf",
        r#"
variable "a" {
  default = [1, 2
}

locals {
  x = 1 +
  y = "open
  z = { a = 1 b = 2 }
  ok = 1
}

resource "host" {
  name = 'single'
}

output "o" {
  value = (1 + 2
}

resource "host" "h" }
}

fine = 3
output "p" { value = 1, description = "x" }

locals {
  q = <<EOT
never ends
}
"#
    )]));
}

#[test]
fn a_byte_order_mark_is_refused_and_the_rest_read() {
    insta::assert_snapshot!(said(&[("main.tf", "\u{feff}locals {\n  a = b.\n}\n")]));
}

#[test]
fn references_to_nothing_are_said_with_what_was_meant() {
    insta::assert_snapshot!(said(&[
        (
            "main.tf",
            r#"
variable "region" {}
locals {
  names = []
}
resource "host" "web" {
  count = 2
}
resource "host" "db" {}
module "net" {
  source = "./net"
}
output "o" {
  value = [
    var.regoin, local.name, host.wbe[0], module.nett.x, module.net.cdir, data.host.db,
    host.web.id, host.db[0].id, each.key, count.index, self.id, foo, path.modul, lenght([]),
    random_pet.name.id, host,
  ]
}
resource "host" "loop" {
  a = each.value
  count = count.index
}
"#
        ),
        ("net/main.tf", "output \"cidr\" {\n  value = 1\n}\n"),
    ]));
}

#[test]
fn duplicates_and_bad_blocks_are_said() {
    insta::assert_snapshot!(said(&[(
        "main.tf",
        r#"
variable "a" {}
variable "a" {}
variable "source" {}
variable "bad name" {}
variable "t" {
  type    = list(strnig)
  default = 1
  defualt = 2
}
variable "d" {
  type    = number
  default = "x"
}
variable "e" {
  default = var.a
}
locals {
  b = 1
}
locals {
  b = 2
  c = 1
  c = 2
}
output "o" {}
output "o" {
  value = 1
}
resource "host" "h" {
  count    = 1
  for_each = {}
  lifecycle {
    create_before_destory = true
    prevent_destroy       = host.g.id
    ignore_changes        = "x"
  }
  lifecycle {}
  provisioner "local-exec" {
    command = "x"
  }
  depends_on = [1, "host.g", local.b + 1]
}
resource "host" "h" {}
resource "host" "g" { provider = "a.b.c" }
resuorce "host" "x" {}
data "host" {}
resource "host" "a" "b" {}
moved {
  from = host.a
  to   = module.b
}
moved {
  from = host.a[each.key]
  to   = data.host.b
}
removed {
  from = host.a[0]
}
removed {
  from = module.m["x"].host.a
}
removed {
  from = host.b + 1
  lifecycle {
    destroy = var.a
  }
}
check "c" {}
check "d" {
  data "host" "scoped" {}
  assert {
    condition     = data.host.scoped.id == 1
    error_message = "x"
  }
  nothing = 1
}
check "e" {
  assert {
    condition = data.host.scoped.id == 1
  }
}
import {
  to       = host.nope[each.key]
  for_each = { a = 1 }
  id       = each.value
}
import {
  to = host.h
  id = each.key
}
import {
  to = host
}
import {
  to = data.host.scoped
  id = "1"
}
provider "p" {}
provider "p" {}
terraform {
  required_version = ">= 1.12"
  cloud {}
  what = 1
}
x = 1
"#
    )]));
}

#[test]
fn modules_are_local_and_never_call_themselves() {
    insta::assert_snapshot!(said(&[
        (
            "main.tf",
            r#"
module "registry" {
  source  = "hashicorp/consul/aws"
  version = "1.0"
}
module "loop" {
  source = "./loop"
}
module "gone" {
  source = "./gone"
}
module "args" {
  source = "./args"
  colour = "red"
}
module "none" {}
module "computed" {
  source = "./${var.x}"
}
module "args" {
  source = "./args"
  color  = 1
}
"#
        ),
        (
            "loop/main.tf",
            "module \"again\" {\n  source = \"../loop\"\n}\nmodule \"up\" {\n  source = \"../\"\n}\n"
        ),
        ("args/main.tf", "variable \"color\" {}\nvariable \"opt\" {\n  default = 1\n}\n"),
    ]));
}

#[test]
fn what_is_wrong_in_a_module_that_is_called_twice_is_said_once() {
    let text = said(&[
        ("main.tf", "module \"a\" {\n  source = \"./m\"\n}\nmodule \"b\" {\n  source = \"./m\"\n}\n"),
        ("m/main.tf", "output \"o\" {\n  value = var.nope\n}\n"),
    ]);
    assert_eq!(text.matches("undeclared").count(), 1, "{text}");
    assert!(text.contains("m/main.tf:2:11"), "{text}");
}

#[test]
fn locals_that_need_each_other_are_refused() {
    insta::assert_snapshot!(said(&[(
        "main.tf",
        "locals {\n  a = local.b\n  b = [local.c]\n  c = { x = local.a }\n  d = local.d\n  e = local.a\n}\n"
    )]));
}

#[test]
fn a_folder_without_configuration_and_what_is_no_text_are_said() {
    insta::assert_snapshot!(
        "no_files",
        said(&[("readme.md", ""), (".terraform/modules/m/main.tf", "}"), (".x.tf", "}"), ("y.tf~", "}")])
    );
    let (config, _, diags) = grappe_lang::load(
        &grappe_lang::MemoryFiles::new().with("a.tf", vec![b'a', 0xff, b'\n']),
        ".".as_ref(),
    );
    assert!(config.is_none() && diags.to_string().contains("not valid UTF-8"), "{diags}");
}

#[test]
fn legacy_forms_still_read() {
    let (config, sources, diags) = load_files(&[(
        "main.tf",
        r#"
variable "a" {
  type = "string"
}
variable "l" {
  type = "list"
}
resource "host" "h" {
  count      = "${length(var.l)}"
  name       = "${var.a}"
  depends_on = ["host.g"]
  lifecycle {
    ignore_changes = ["tags", "disk.0.size"]
  }
}
resource "host" "g" {
  provider = "cloud"
  first    = "${element(host.h.*.name, 0)}"
}
"#,
    )]);
    let config = config.unwrap_or_else(|| panic!("{}", rendered(&diags, &sources)));
    let h = &config.root.resources[0];
    assert_eq!(h.depends_on[0].subject.to_string(), "host.g");
    assert!(
        matches!(&h.lifecycle.ignore_changes, Choice::Is(IgnoreChanges::Paths(p)) if p[1].to_string() == "disk[0].size")
    );
}

#[test]
fn outputs_that_may_not_be_there_are_no_error_where_they_are_tried() {
    let text = said(&[
        (
            "main.tf",
            "module \"m\" {\n  source = \"./m\"\n}\nlocals {\n  a = try(module.m.nope, 1)\n  b = can(module.m.nope.x)\n  c = module.m.nope\n}\n",
        ),
        ("m/main.tf", "output \"o\" {\n  value = 1\n}\n"),
    ]);
    assert_eq!(text.matches("no output named").count(), 1, "{text}");
    assert!(text.contains("main.tf:7:7"), "{text}");
}

#[test]
fn a_file_of_garbage_does_not_flood() {
    let text = said(&[("main.tf", &"a ?\n".repeat(10_000))]);
    assert!(text.matches("error:").count() < 60, "{}", text.matches("error:").count());
    assert!(text.contains("Too many errors"));
}
