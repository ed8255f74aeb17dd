//! Plans that can't be made, and what is said then.

use insta::assert_snapshot;

use crate::lab::Lab;

fn refused(text: &str) -> String {
    Lab::new().main(text).refused()
}

fn invalid(text: &str) -> String {
    Lab::new().main(text).invalid()
}

#[test]
fn cycles_name_their_way() {
    let text = r#"
        resource "lab_thing" "a" { input = local.x }
        locals { x = lab_thing.b.id }
        resource "lab_thing" "b" { input = lab_thing.a.id }
        "#;
    assert_snapshot!(refused(text), @r"
    Cycle: These need each other, so that none of them can be the first:
      local.x needs lab_thing.b
      lab_thing.b needs lab_thing.a
      lab_thing.a needs local.x (take one of these references out)
    ");
    assert_snapshot!(refused(r#"resource "lab_thing" "a" { input = lab_thing.a.id }"#), @"Self-referential block: Configuration for lab_thing.a may not refer to itself.");
}

#[test]
fn types_and_arguments_that_do_not_exist() {
    assert_snapshot!(refused(r#"resource "lab_thin" "a" {}"#), @r#"Invalid resource type: No provider here has a resource type "lab_thin". (did you mean "lab_thing"?)"#);
    assert_snapshot!(refused(r#"data "lab_thing" "a" {}"#), @r#"Invalid data source: No provider here has a data source "lab_thing". (it is a "resource" block that has this type)"#);
    assert_snapshot!(refused(r#"resource "lab_thing" "a" { nam = "x" }"#), @r#"Unsupported argument: An argument named "nam" is not expected here. (did you mean "name"?)"#);
    assert_snapshot!(refused(r#"data "lab_lookup" "a" {}"#), @r#"Missing required argument: The argument "key" is required, but no definition was found."#);
    assert_snapshot!(refused(r#"resource "lab_thing" "a" { name = "bad" }"#), @r#"Invalid value for "name": is bad (be good)"#);
    assert_snapshot!(refused(r#"resource "lab_thing" "a" { provider = lab.west }"#), @"Provider configuration not present: lab_thing.a wants the provider configuration lab.west, and there is no `provider` block with that alias for it. (declare it, or pass it to the module in `providers = {…}`)");
}

#[test]
fn repetition_must_be_known() {
    assert_snapshot!(refused(
        r#"
        resource "lab_thing" "a" {}
        resource "lab_thing" "n" { count = length(uuid()) > 9 ? parseint(substr(uuid(), 0, 1), 16) : 1 }
        resource "lab_thing" "k" { for_each = toset([uuid()]) }
        resource "lab_thing" "l" { for_each = ["x"] }
        resource "lab_thing" "quiet" { input = lab_thing.n[0].id }
        "#
    ), @r#"
    Invalid count argument: The "count" value is not known, and nothing that is planned makes it known: it can't be said how many instances there are to be. What is different each time, such as uuid(), can't say that.
    Invalid for_each argument: The "for_each" set has values that are not known, and nothing that is planned makes them known: it can't be said which instances there are to be. What is different each time, such as uuid(), can't say that; in the values of a map it does no harm.
    Invalid for_each argument: The given "for_each" argument value is unsuitable: the "for_each" argument must be a map, or set of strings, and you have provided a value of type tuple.
    "#);
    assert_snapshot!(refused(
        r#"
        resource "lab_thing" "a" { count = 2 }
        resource "lab_thing" "b" { input = lab_thing.a[2].id }
        resource "lab_thing" "k" { for_each = { one = 1 } }
        resource "lab_thing" "c" { input = lab_thing.k["on"].id }
        "#
    ), @r#"
    Invalid index: The given key does not identify an element in this collection value: lab_thing.a has 2 instances, counted from 0.
    Invalid index: The given key does not identify an element in this collection value: lab_thing.k has no instance "on". (did you mean "one"?)
    "#);
}

#[test]
fn what_is_wrong_with_a_thousand_is_said_once() {
    let found = refused(
        r#"resource "lab_thing" "a" {
      count = 1000
      name  = [count.index][5]
    }"#,
    );
    assert_eq!(found.lines().count(), 1, "{found}");
}

#[test]
fn prevent_destroy_prevents() {
    let plan = |image: u64, n: u64| {
        format!(
            r#"resource "lab_thing" "a" {{
              count = {n}
              image = "{image}"
              lifecycle {{ prevent_destroy = true }}
            }}"#
        )
    };
    let mut lab = Lab::new();
    lab.apply(&plan(1, 2)).main(&plan(2, 1));
    assert_snapshot!(lab.refused(), @"Instance cannot be destroyed: Resource lab_thing.a[0] has lifecycle.prevent_destroy set, but the plan calls for this resource to be destroyed. (take prevent_destroy out, or limit the plan to other resources with -target)");
    lab.options.mode = grappe_plan::PlanMode::Destroy;
    assert!(lab.refused().contains("lab_thing.a[1] has lifecycle.prevent_destroy set"));
    lab.options.mode = grappe_plan::PlanMode::Normal;
    lab.main("");
    assert_eq!(lab.plan().operations.len(), 2, "without its block nothing protects it");
}

#[test]
fn conditions_are_checked_when_they_are_known() {
    let mut lab = Lab::new();
    lab.main(
        r#"
        variable "n" {
          default = 3
          validation {
            condition     = var.n < 3
            error_message = "Too many: ${var.n}."
          }
        }
        resource "lab_thing" "a" {
          lifecycle {
            precondition {
              condition     = path.module == "elsewhere"
              error_message = "It is not there."
            }
          }
        }
        resource "lab_thing" "b" {
          name = "b"
          lifecycle {
            postcondition {
              condition     = self.name == "c"
              error_message = "It is ${self.name}."
            }
          }
        }
        resource "lab_thing" "after" { input = lab_thing.b.id }
        "#,
    );
    assert_snapshot!(lab.refused(), @r"
    Invalid value for variable: Too many: 3.
    Resource precondition failed: It is not there.
    Resource postcondition failed: It is b.
    ");
    // Known only while applying.
    lab.main(
        r#"resource "lab_thing" "a" {
          lifecycle {
            postcondition {
              condition     = self.id == "nobody"
              error_message = "Its id is ${self.id}."
            }
          }
        }"#,
    );
    let plan = lab.plan();
    let failure =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lab.run(&plan, |_| 0))).unwrap_err();
    let message = failure.downcast_ref::<String>().unwrap();
    assert!(message.contains("Its id is id-1."), "{message}");
}

#[test]
fn secrets_do_not_slip_out() {
    assert_snapshot!(refused(
        r#"
        variable "t" {
          default   = "hunter2"
          sensitive = true
        }
        output "t" { value = "x${var.t}" }
        resource "lab_thing" "a" { for_each = toset([var.t]) }
        "#
    ), @r"
    Output refers to sensitive values: To reduce the risk of accidentally exporting sensitive data that was intended to be only internal, any root module output containing sensitive data must be explicitly marked as sensitive, to confirm your intent. (if you do intend to export this data, add `sensitive = true` to the output)
    Invalid for_each argument: Sensitive values, or values derived from sensitive values, cannot be used as for_each arguments. If used, the sensitive value could be exposed as a resource instance key.
    ");
}

#[test]
fn validate_needs_no_values() {
    let text = r#"
        variable "n" { type = number }
        variable "hosts" { type = map(object({ ip = string })) }
        provider "nobody" {}
        resource "lab_thing" "a" {
          count = var.n
          input = count.index
        }
        resource "lab_thing" "b" {
          for_each = var.hosts
          name     = each.value.ip
          input    = lab_thing.a[3].id
        }
        data "lab_lookup" "x" { key = lab_thing.b["k"].id }
        output "ids" { value = [for b in lab_thing.b : b.id] }
        output "all" { value = lab_thing.a[*].id }
        "#;
    assert_snapshot!(invalid(text), @r#"Unknown provider: There is no provider "nobody" here: this block does nothing."#);
    assert_snapshot!(invalid(
        r#"
        variable "hosts" { type = map(object({ ip = string })) }
        resource "lab_thing" "a" {}
        output "x" { value = lab_thing.a.nothing }
        output "y" { value = var.hosts["a"].nothing }
        resource "lab_thing" "b" { size = "many" }
        resource "lab_thing" "bad" { name = "bad" }
        "#
    ), @r#"
    Unsupported attribute: This object does not have an attribute named "nothing".
    Unsupported attribute: This object does not have an attribute named "nothing".
    Incorrect attribute value type: Inappropriate value for attribute "size": a number is required.
    Invalid value for "name": is bad (be good)
    "#);
}

/// What a `count` or a `for_each` can't be is said without knowing what it is.
#[test]
fn validate_looks_at_what_repeats() {
    let text = r#"
        variable "run" {
          type      = any
          ephemeral = true
        }
        variable "secret" {
          type      = set(string)
          sensitive = true
        }
        variable "list" { type = list(string) }
        variable "any" {}
        resource "lab_thing" "a" { count = var.run }
        resource "lab_thing" "b" { for_each = var.run }
        resource "lab_thing" "c" { for_each = var.secret }
        resource "lab_thing" "d" { for_each = var.list }
        resource "lab_thing" "e" { count = var.list }
        resource "lab_thing" "f" { count = -1 }
        resource "lab_thing" "g" { for_each = null }
        data "lab_lookup" "h" {
          count = var.run
          key   = "k"
        }
        resource "lab_thing" "inside" {
          count = "x"
          size  = "many"
        }
        resource "lab_thing" "fine" { for_each = { a = var.run } }
        resource "lab_thing" "open" { for_each = var.any }
        "#;
    assert_snapshot!(invalid(text));
    let mut lab = Lab::new();
    let main = r#"
        variable "run" { ephemeral = true }
        module "m" {
          source = "./m"
          count  = var.run
        }
        module "n" {
          source   = "./m"
          for_each = sensitive({ a = 1 })
        }
        "#;
    lab.main(main).file("m/main.tf", "resource \"lab_thing\" \"a\" {}\n");
    assert_snapshot!(lab.invalid());
}
