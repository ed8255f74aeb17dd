//! `-exclude`: what is named is left alone, and all that depends on it, exact to the instance.

use std::collections::BTreeSet;

use grappe_plan::{Action, Plan};
use proptest::prelude::*;

use crate::lab::Lab;

const MAIN: &str = r#"
resource "lab_thing" "a" {
  name = "NAME-a"
}
resource "lab_thing" "b" {
  name  = "NAME-b"
  input = lab_thing.a.id
}
resource "lab_thing" "c" {
  name = "NAME-c"
}
resource "lab_thing" "d" {
  count = 2
  name  = "NAME-d"
}
resource "lab_thing" "one" {
  name  = "NAME-one"
  input = lab_thing.d[0].id
}
resource "lab_thing" "all" {
  name  = "NAME-all"
  input = lab_thing.d[*].id
}
resource "lab_thing" "waits" {
  name       = "NAME-waits"
  depends_on = [lab_thing.b]
}
resource "lab_thing" "many" {
  count = length(lab_thing.all.input)
  name  = "NAME-many"
}
data "lab_lookup" "l" {
  key = lab_thing.c.name
}
output "a" { value = lab_thing.a.name }
output "c" { value = lab_thing.c.name }
output "local" { value = [for t in lab_thing.d : t.name] }
"#;

fn main(name: &str) -> String {
    MAIN.replace("NAME", name)
}

/// The lab after everything was applied, wanting everything changed.
fn changed() -> Lab {
    let mut lab = Lab::new();
    lab.apply(&main("old"));
    lab.main(&main("new"));
    lab
}

fn excluding(lab: &mut Lab, excludes: &[&str]) -> Plan {
    lab.options.excludes = excludes.iter().map(|t| t.parse().unwrap()).collect();
    lab.plan()
}

fn touched(plan: &Plan) -> BTreeSet<String> {
    let acts = |c: &&grappe_plan::Change| c.action != Action::NoOp;
    let mut all: BTreeSet<String> = plan.changes.iter().filter(acts).map(|c| c.addr.to_string()).collect();
    let outputs = plan.outputs.iter().filter(|(_, o)| o.action != Action::NoOp);
    all.extend(outputs.map(|(name, _)| format!("output {name}")));
    assert!(plan.operations.iter().all(|op| all.contains(&op.addr.to_string())), "{:?}", plan.operations);
    all.into_iter().map(|name| name.replace("lab_thing.", "")).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn what_depends_on_it_is_left_alone_to_the_instance() {
    let mut lab = changed();
    let plan = excluding(&mut lab, &["lab_thing.a"]);
    assert_eq!(
        touched(&plan),
        set(&["c", "d[0]", "d[1]", "one", "all", "many[0]", "many[1]", "output c", "output local"])
    );
    lab.run_in_order(&plan);
    let plan = excluding(&mut lab, &[]);
    assert_eq!(touched(&plan), set(&["a", "b", "waits", "output a"]), "the rest is what is left");

    let mut lab = changed();
    let plan = excluding(&mut lab, &["lab_thing.d[1]"]);
    assert_eq!(touched(&plan), set(&["a", "b", "c", "d[0]", "one", "waits", "output a", "output c"]));
    lab.run_in_order(&plan);

    let mut lab = Lab::new();
    lab.main(&main("new"));
    let plan = excluding(&mut lab, &["lab_thing.all", "lab_thing.c"]);
    assert_eq!(touched(&plan), set(&["a", "b", "d[0]", "d[1]", "one", "waits", "output a", "output local"]));
    lab.run_in_order(&plan);
    assert!(lab.looked_up.is_empty(), "what is left alone is not read");
}

#[test]
fn nothing_goes_that_something_left_alone_stands_on() {
    let mut lab = changed();
    // Nothing is wanted any more but what is excluded, as it was.
    lab.main("resource \"lab_thing\" \"b\" {\n  name = \"free\"\n}\n");
    let plan = excluding(&mut lab, &["lab_thing.b"]);
    assert_eq!(
        touched(&plan),
        set(&["all", "c", "d[0]", "d[1]", "many[0]", "many[1]", "one"]),
        "b stands on a, and waits stands on b"
    );
    lab.run_in_order(&plan);
    let left: Vec<String> = lab.state.objects.keys().map(ToString::to_string).collect();
    assert_eq!(left, ["lab_thing.a", "lab_thing.b", "lab_thing.waits"]);
}

#[test]
fn a_destruction_leaves_what_is_excluded_and_what_that_stands_on() {
    let mut lab = changed();
    lab.options.excludes = vec!["lab_thing.b".parse().unwrap(), "lab_thing.one".parse().unwrap()];
    let plan = lab.destroy();
    lab.run_in_order(&plan);
    let left: Vec<String> = lab.state.objects.keys().map(ToString::to_string).collect();
    assert_eq!(left, ["lab_thing.a", "lab_thing.b", "lab_thing.d[0]", "lab_thing.one"]);
    assert_eq!(lab.state.outputs.len(), 3, "outputs stay");
}

#[test]
fn a_name_without_an_object_is_a_slip() {
    let mut lab = changed();
    let plan = excluding(&mut lab, &["lab_thing.nobody"]);
    assert!(plan.warnings.iter().any(|w| w.summary == "Exclusion without effect"), "{}", plan.warnings);
    assert!(plan.warnings.iter().any(|w| w.summary == "Resource targeting is in effect"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is excluded, it and its dependants stay as they are, the rest is done, and a plan of everything afterwards does what was left out.
    #[test]
    fn a_plan_and_its_rest_are_the_whole(
        deps in prop::collection::vec(prop::collection::btree_set(0usize..8, 0..3), 8),
        excluded in prop::collection::btree_set(0usize..8, 1..3),
        fresh in prop::bool::ANY,
    ) {
        let text = |name: &str| -> String {
            deps.iter().enumerate().map(|(i, deps)| {
                let deps: Vec<String> = deps.iter().filter(|d| **d < i).map(|d| format!("lab_thing.t{d}.id")).collect();
                format!("resource \"lab_thing\" \"t{i}\" {{\n  name = \"{name}\"\n  input = [{}]\n}}\n", deps.join(", "))
            }).collect()
        };
        let mut left: BTreeSet<usize> = excluded.clone();
        for (i, deps) in deps.iter().enumerate() {
            if deps.iter().any(|d| *d < i && left.contains(d)) {
                left.insert(i);
            }
        }
        let mut lab = Lab::new();
        if !fresh {
            lab.apply(&text("old"));
        }
        lab.main(&text("new"));
        let names: Vec<String> = excluded.iter().map(|i| format!("lab_thing.t{i}")).collect();
        let plan = excluding(&mut lab, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let expected: BTreeSet<String> = (0..8).filter(|i| !left.contains(i)).map(|i| format!("t{i}")).collect();
        prop_assert_eq!(touched(&plan), expected);
        lab.run_in_order(&plan);
        let plan = excluding(&mut lab, &[]);
        let rest: BTreeSet<String> = left.iter().map(|i| format!("t{i}")).collect();
        prop_assert_eq!(touched(&plan), rest);
        lab.run_in_order(&plan);
        prop_assert!(lab.plan().is_empty());
    }
}
