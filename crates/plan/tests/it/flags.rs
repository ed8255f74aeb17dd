//! `lifecycle` flags that are made of what is known while planning.

use insta::assert_snapshot;

use crate::lab::{Lab, text};

const TEXT: &str = r#"
variable "keep" { default = "a" }
variable "image" { default = "1" }
locals { kept = toset([var.keep]) }
resource "lab_thing" "t" {
  for_each = toset(["a", "b"])
  image    = var.image
  lifecycle {
    prevent_destroy       = contains(local.kept, each.key)
    create_before_destroy = each.key == "b"
  }
}
"#;

#[test]
fn each_instance_has_flags_of_its_own() {
    let mut lab = Lab::new();
    lab.apply(TEXT);
    lab.variables.insert("keep".into(), "none".into());
    lab.variables.insert("image".into(), "2".into());
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r#"
    -/+ lab_thing.t["a"] address id image zone [Attributes([Path([Attr("image")])])]
    +/- lab_thing.t["b"] address id image zone [Attributes([Path([Attr("image")])])]
    0 create lab_thing.t["b"]
    1 delete lab_thing.t["a"]
    2 create lab_thing.t["a"] <- 1
    3 delete lab_thing.t["b"] (deposed by 0) <- 0
    "#);
    lab.variables.insert("keep".into(), "a".into());
    assert_snapshot!(lab.refused(), @r#"Instance cannot be destroyed: Resource lab_thing.t["a"] has lifecycle.prevent_destroy set, but the plan calls for this resource to be destroyed. (take prevent_destroy out, or limit the plan to other resources with -target)"#);
}

#[test]
fn what_is_protected_is_so_when_its_key_is_gone_and_when_all_goes() {
    let mut lab = Lab::new();
    lab.apply(TEXT);
    assert_snapshot!(lab.main(&TEXT.replace("\"a\", \"b\"]", "\"b\"]")).refused(), @r#"Instance cannot be destroyed: Resource lab_thing.t["a"] has lifecycle.prevent_destroy set, but the plan calls for this resource to be destroyed. (take prevent_destroy out, or limit the plan to other resources with -target)"#);
    lab.options.mode = grappe_plan::PlanMode::Destroy;
    assert_snapshot!(lab.main(TEXT).refused(), @r#"Instance cannot be destroyed: Resource lab_thing.t["a"] has lifecycle.prevent_destroy set, but the plan calls for this resource to be destroyed. (take prevent_destroy out, or limit the plan to other resources with -target)"#);
    lab.variables.insert("keep".into(), "none".into());
    assert!(lab.try_plan().is_ok());
}

#[test]
fn a_flag_must_be_known_while_planning() {
    let with = |flag: &str| {
        Lab::new()
            .main(&format!(
                "resource \"lab_thing\" \"a\" {{}}\nlocals {{ x = lab_thing.a.id }}\nresource \"lab_thing\" \"b\" {{\n lifecycle {{ create_before_destroy = {flag} }}\n}}\n"
            ))
            .refused()
    };
    assert_snapshot!(with("local.x == \"y\""), @r#"Invalid create_before_destroy argument: The value of "create_before_destroy" can't be known while planning."#);
    assert_snapshot!(with("[local.x]"), @r#"Invalid create_before_destroy argument: The value of "create_before_destroy" is unsuitable: bool required."#);
}

#[test]
fn lists_may_be_one_of_two_by_a_condition() {
    let text_of = |on: bool| {
        format!(
            r#"
            variable "image" {{ default = "1" }}
            locals {{ on = {on} }}
            resource "lab_thing" "a" {{ name = var.image }}
            resource "lab_thing" "t" {{
              for_each = toset(["x", "y"])
              image    = var.image
              size     = tonumber(var.image)
              lifecycle {{
                ignore_changes       = local.on ? (each.key == "x" ? [image] : all) : []
                replace_triggered_by = local.on && each.key == "x" ? [lab_thing.a] : []
              }}
            }}
            "#
        )
    };
    let mut lab = Lab::new();
    lab.apply(&text_of(true));
    lab.variables.insert("image".into(), "2".into());
    assert_snapshot!(text(&lab.plan()), @r#"
    ~ lab_thing.a name
    -/+ lab_thing.t["x"] address id size zone [TriggeredBy(["lab_thing.a"])]
    = 1
    0 update lab_thing.a
    1 delete lab_thing.t["x"]
    2 create lab_thing.t["x"] <- 0 1
    "#);
    lab.main(&text_of(false));
    assert_snapshot!(text(&lab.plan()), @r#"
    ~ lab_thing.a name
    -/+ lab_thing.t["x"] address id image size zone [Attributes([Path([Attr("image")])])]
    -/+ lab_thing.t["y"] address id image size zone [Attributes([Path([Attr("image")])])]
    0 update lab_thing.a
    1 delete lab_thing.t["x"]
    2 create lab_thing.t["x"] <- 1
    3 delete lab_thing.t["y"]
    4 create lab_thing.t["y"] <- 3
    "#);
    let refused = |list: &str| {
        Lab::new()
            .main(&format!(
                "resource \"lab_thing\" \"a\" {{}}\nlocals {{ x = lab_thing.a.id }}\nresource \"lab_thing\" \"b\" {{\n lifecycle {{ ignore_changes = {list} }}\n}}\n"
            ))
            .refused()
    };
    assert_snapshot!(refused("local.x == \"y\" ? [name] : []"), @r#"Invalid ignore_changes argument: The value of "ignore_changes" can't be known while planning."#);
}
