//! Override files: what they change, and what they may not.

use grappe_lang::{Choice, ConstantScope, IgnoreChanges, Mode, Module, Resource};
use grappe_value::{Attribute, Nesting, Schema, Type};

use crate::support::{load_files, rendered};

fn said(files: &[(&str, &str)]) -> String {
    let (config, sources, diags) = load_files(files);
    assert_eq!(config.is_none(), diags.has_errors(), "a configuration, or errors");
    rendered(&diags, &sources)
}

const BASE: &str = r#"
terraform {
  required_version = ">= 1.0"
  required_providers {
    a = { source = "x/a" }
    b = { source = "x/b" }
  }
  backend "local" {}
}
variable "v" {
  type        = string
  default     = "base"
  description = "of the base"
}
locals {
  one = 1
  two = 2
}
output "o" {
  value       = local.one
  description = "of the base"
}
provider "a" {
  name = "base"
}
provider "a" {
  alias = "w"
  name  = "base w"
}
resource "host" "h" {
  count = 2
  name  = "base"
  size  = 1
  disk {
    size = 1
  }
  disk {
    size = 2
  }
  net {
    size = 3
  }
  lifecycle {
    create_before_destroy = true
    ignore_changes        = [name]
  }
}
module "m" {
  source = "./m"
  x      = 1
  y      = 1
}
"#;

const CHILD: (&str, &str) = ("m/main.tf", "variable \"x\" {}\nvariable \"y\" {}\n");

fn resource(module: &Module) -> &Resource {
    &module.resources[&(Mode::Managed, "host".into(), "h".into())]
}

fn shown(module: &Module) -> String {
    let inner = || Schema::new("").attr("size", Attribute::optional(Type::Number, ""));
    let schema = Schema::new("")
        .attr("name", Attribute::optional(Type::String, ""))
        .attr("size", Attribute::optional(Type::Number, ""))
        .block("disk", Nesting::List, inner())
        .block("net", Nesting::List, inner());
    let value = resource(module).body.decode(&schema, &ConstantScope).unwrap();
    format!("{value:?}")
}

#[test]
fn arguments_replace_arguments_and_blocks_all_blocks_of_their_type() {
    let over = r#"
terraform {
  required_version = ">= 1.2"
  required_providers {
    b = { source = "y/b" }
    c = { source = "y/c" }
  }
  backend "s3" {}
}
variable "v" {
  default = "over"
}
locals {
  two = 22
}
output "o" {
  value = local.two
}
provider "a" {
  alias = "w"
  name  = "over w"
}
provider "b" {}
resource "host" "h" {
  name = "over"
  disk {
    size = 9
  }
  lifecycle {
    prevent_destroy = true
  }
}
module "m" {
  y = 2
}
"#;
    let (config, sources, diags) = load_files(&[
        ("main.tf", BASE),
        CHILD,
        ("x_override.tf", over),
        ("override.tf", "resource \"host\" \"h\" {\n  name = \"first\"\n  size = 5\n}\n"),
    ]);
    let config = config.unwrap_or_else(|| panic!("{}", rendered(&diags, &sources)));
    let root = &config.root;
    // `override.tf` comes before `x_override.tf`.
    assert_eq!(
        shown(root),
        "{\"disk\": [{\"size\": 9}], \"name\": \"over\", \"net\": [{\"size\": 3}], \"size\": 5}"
    );
    let lifecycle = &resource(root).lifecycle;
    assert!(lifecycle.create_before_destroy.is_set() && lifecycle.prevent_destroy.is_set());
    assert!(matches!(&lifecycle.ignore_changes, Choice::Is(IgnoreChanges::Paths(p)) if p.len() == 1));
    assert!(resource(root).count.is_some());
    let variable = &root.variables["v"];
    assert_eq!((variable.default.clone(), variable.ty.clone()), (Some("over".into()), Type::String));
    assert_eq!(variable.description.as_deref(), Some("of the base"));
    assert_eq!(format!("{:?}", root.locals["two"].expr.eval(&ConstantScope).unwrap()), "22");
    assert_eq!(root.outputs["o"].description.as_deref(), Some("of the base"));
    assert_eq!(root.providers.len(), 3);
    let text = |i: usize| root.providers[i].body.argument("name").map(|e| e.literal().unwrap());
    assert_eq!((text(0), text(1)), (Some("base".into()), Some("over w".into())));
    let sources: Vec<_> =
        root.settings.required_providers.values().map(|p| p.source.clone().unwrap().to_string()).collect();
    assert_eq!(sources, ["x/a", "y/b", "y/c"]);
    assert_eq!(root.settings.required_version.len(), 1);
    assert_eq!(&*root.settings.backend.as_ref().unwrap().ty, "s3");
    let arguments = &root.calls["m"].arguments;
    let argument = |name: &str| format!("{:?}", arguments[name].eval(&ConstantScope).unwrap());
    assert_eq!((argument("x"), argument("y")), ("1".to_owned(), "2".to_owned()));
}

#[test]
fn both_syntaxes_override_each_other() {
    let json = r#"{"resource": {"host": {"h": {"size": 7, "disk": [{"size": 8}], "net": []}}}}"#;
    let (config, ..) = load_files(&[("main.tf", BASE), CHILD, ("override.tf.json", json)]);
    assert_eq!(
        shown(&config.unwrap().root),
        "{\"disk\": [{\"size\": 8}], \"name\": \"base\", \"net\": [], \"size\": 7}"
    );
    let base = r#"{"resource": {"host": {"h": {"name": "json", "size": 1, "disk": [{"size": 1}, {"size": 2}], "lifecycle": {"prevent_destroy": true}}}}}"#;
    let over = "resource \"host\" \"h\" {\n  size = 2\n  dynamic \"disk\" {\n    for_each = [5]\n    content {\n      size = disk.value\n    }\n  }\n  lifecycle {\n    create_before_destroy = true\n  }\n}\n";
    let (config, sources, diags) = load_files(&[("main.tf.json", base), ("x_override.tf", over)]);
    let config = config.unwrap_or_else(|| panic!("{}", rendered(&diags, &sources)));
    assert_eq!(
        shown(&config.root),
        "{\"disk\": [{\"size\": 5}], \"name\": \"json\", \"net\": [], \"size\": 2}"
    );
    let lifecycle = &resource(&config.root).lifecycle;
    assert!(lifecycle.create_before_destroy.is_set() && lifecycle.prevent_destroy.is_set());
}

#[test]
fn what_is_not_there_or_not_allowed_is_said() {
    let over = r#"
locals {
  three = 3
}
moved {
  from = host.a
  to   = host.b
}
check "c" {}
resource "host" "no" {}
data "host" "no" {}
variable "no" {}
output "no" {}
module "no" {}
provider "a" {
  alias = "no"
}
resource "host" "h" {
  depends_on = [module.m]
  lifecycle {
    precondition {
      condition     = true
      error_message = "x"
    }
  }
}
resuorce "host" "h" {}
variable "v" {
  type = number
}
"#;
    insta::assert_snapshot!(said(&[("main.tf", BASE), CHILD, ("x_override.tf", over)]));
}
