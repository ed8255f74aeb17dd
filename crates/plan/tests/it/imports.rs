//! What exists is taken into the state, and is an object like any other from then on.

use grappe_plan::{Action, OpAction, Plan};
use grappe_value::Value;

use crate::lab::Lab;

const MAIN: &str = r#"
resource "lab_thing" "a" {
  name = "a"
}
resource "lab_thing" "b" {
  name  = "b"
  image = "x"
  input = lab_thing.a.id
}
resource "lab_place" "p" {
  instance = "i"
}
"#;

fn lab(imports: &[(&str, &str)]) -> Lab {
    let mut lab = Lab::new();
    lab.main(MAIN);
    let imports = imports.iter().map(|(addr, id)| (addr.parse().unwrap(), (*id).into()));
    lab.options.imports = imports.collect();
    lab
}

fn action(plan: &Plan, addr: &str) -> (Action, Option<String>) {
    let change = plan.changes.iter().find(|c| c.addr.to_string() == addr).unwrap();
    (change.action, change.importing.as_ref().and_then(|id| id.as_str().map(str::to_owned)))
}

#[test]
fn what_is_as_its_block_says_is_taken_and_left_alone() {
    let mut lab = lab(&[("lab_thing.a", "one")]);
    let plan = lab.plan();
    assert_eq!(lab.waves, 1, "one question");
    assert_eq!(action(&plan, "lab_thing.a"), (Action::NoOp, Some("one".into())));
    assert!(!plan.operations.iter().any(|op| op.addr.to_string() == "lab_thing.a" && op.action.acts()));
    // Who depends on it sees what was found.
    let b = plan.operations.iter().find(|op| op.addr.to_string() == "lab_thing.b").unwrap();
    assert_eq!(b.planned.as_ref().unwrap().get("input"), Some(&Value::from("one")));
    lab.run_in_order(&plan);
    assert_eq!(lab.state.objects[&"lab_thing.a".parse().unwrap()].attributes["id"], "one");
    // It has it now: asked for again, nothing happens.
    let again = lab.plan();
    assert!(again.is_empty() && again.imports.is_empty(), "{again:?}");
}

#[test]
fn what_differs_is_changed_or_replaced() {
    let mut lab = lab(&[("lab_thing.a", "one"), ("lab_thing.b", "two")]);
    let other = |name: &str, image: Option<&str>| {
        let image = image.map_or(Value::null(grappe_value::Type::String), Value::from);
        let kind = lab.registry.resource("lab_thing").unwrap();
        let grappe_value::Type::Object(ty) = kind.ty() else { panic!("no object") };
        let all = ty.attributes.iter().map(|(k, t)| (k.clone(), Value::null(t.clone())));
        let disks = grappe_value::convert(&Value::tuple([]), &ty.attributes["disk"]).unwrap();
        Value::object(all)
            .with_attr("name", name.into())
            .with_attr("image", image)
            .with_attr("size", 1.into())
            .with_attr("disk", disks)
            .with_attr("id", "found".into())
    };
    let (a, b) = (other("other", None), other("b", Some("y")));
    lab.real = [("lab_thing.a", a), ("lab_thing.b", b)].map(|(k, v)| (k.parse().unwrap(), Some(v))).into();
    let plan = lab.plan();
    assert_eq!(action(&plan, "lab_thing.a").0, Action::Update);
    assert_eq!(action(&plan, "lab_thing.b"), (Action::Replace { create_first: false }, Some("two".into())));
    let deletes = |op: &&grappe_plan::Operation| matches!(op.action, OpAction::Delete { .. });
    assert_eq!(plan.operations.iter().filter(deletes).count(), 1);
    lab.run_in_order(&plan);
}

#[test]
fn what_can_t_be_taken_says_why() {
    for (addr, why) in [
        ("lab_place.p", "nothing of it can be found by an id"),
        ("lab_thing.c", "lab_thing.c does not exist in the configuration"),
        ("lab_thing.a[0]", "has no such instance; it has lab_thing.a"),
        ("lab_thing.b", "\"input\" of lab_thing.b is known only while applying"),
    ] {
        let refused = lab(&[(addr, "x")]).refused();
        assert!(refused.contains(why), "{addr}: {refused}");
    }
}

const BLOCKS: &str = r#"
resource "lab_thing" "a" {}
resource "lab_thing" "b" { for_each = toset(["x", "y"]) }
resource "lab_thing" "new" { count = 2 }
module "m" { source = "./m" }
locals {
  ids = { x = "id-x", y = "id-${lab_thing.a.id}" }
}
import {
  to = lab_thing.a
  id = "id-a"
}
import {
  for_each = local.ids
  to       = lab_thing.b[each.key]
  id       = each.value
}
import {
  to = module.m.lab_thing.i[0]
  id = "id-i"
}
"#;

#[test]
fn blocks_say_what_is_imported() {
    let mut lab = Lab::new();
    lab.file("m/main.tf", "resource \"lab_thing\" \"i\" { count = 2 }\n").main(BLOCKS);
    let plan = lab.plan();
    // An id may be made of what another block imports.
    let taken: Vec<String> =
        plan.imports.iter().map(|i| format!("{} {}", i.addr, i.id.as_str().unwrap())).collect();
    assert_eq!(
        taken,
        [
            "lab_thing.a id-a",
            "lab_thing.b[\"x\"] id-x",
            "lab_thing.b[\"y\"] id-id-a",
            "module.m.lab_thing.i[0] id-i"
        ]
    );
    let created: Vec<String> =
        plan.changes.iter().filter(|c| c.action == Action::Create).map(|c| c.addr.to_string()).collect();
    assert_eq!(created, ["lab_thing.new[0]", "lab_thing.new[1]", "module.m.lab_thing.i[1]"]);
    lab.run_in_order(&plan);
    // The blocks may stay: what the state has is not imported again.
    let again = lab.plan();
    assert!(again.is_empty() && again.imports.is_empty(), "{again:?}");
}

#[test]
fn blocks_that_name_nothing_or_the_same_are_refused() {
    let refused = |blocks: &str| {
        let resources = "resource \"lab_thing\" \"a\" {}\nresource \"lab_thing\" \"b\" { count = 1 }\n";
        Lab::new().main(&format!("{resources}{blocks}")).refused()
    };
    let block = |to: &str, id: &str| format!("import {{\n to = {to}\n id = {id}\n}}\n");
    let a = block("lab_thing.a", "\"1\"");
    for (blocks, why) in [
        (a.clone() + &a, "Duplicate import configuration for \"lab_thing.a\""),
        (block("lab_thing.b[3]", "\"1\""), "There is no instance lab_thing.b[3]"),
        (block("lab_thing.b[0]", "uuid()"), "nothing that is planned makes it known"),
        (block("lab_thing.a", "\"\""), "is an empty text"),
        (block("lab_thing.a", "null"), "is null"),
    ] {
        let said = refused(&blocks);
        assert!(said.contains(why), "{blocks}: {said}");
    }
}
