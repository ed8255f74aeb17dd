//! What one plan can't decide on is open, and planned in the next wave.

use insta::assert_snapshot;

use grappe_plan::Waves;

use crate::lab::{Lab, text};

/// Machines that say how many others there are.
const BY_ADDRESS: &str = r#"
    resource "lab_thing" "lb" { name = "lb" }
    resource "lab_thing" "other" { name = "other" }
    resource "lab_thing" "worker" {
      for_each = toset([lab_thing.lb.address, "fixed"])
      name     = each.key
    }
    resource "lab_thing" "after" {
      name = "after"
      input = [for w in lab_thing.worker : w.id]
    }
    resource "lab_thing" "waits" {
      name       = "waits"
      depends_on = [lab_thing.worker]
    }
    data "lab_lookup" "d" { key = lab_thing.after.id }
    output "workers" { value = keys(lab_thing.worker) }
    output "lb" { value = lab_thing.lb.name }
"#;

#[test]
fn a_block_whose_keys_are_not_known_waits_and_what_depends_on_it() {
    let mut lab = Lab::new();
    let plan = lab.main(BY_ADDRESS).plan();
    assert_snapshot!(text(&plan), @"");
    lab.run(&plan, |_| 0);
    let mut waves = Waves::default();
    let plan = lab.next_wave(&mut waves, &plan).unwrap();
    assert_snapshot!(text(&plan), @"");
    lab.run(&plan, |n| n - 1);
    assert_snapshot!(text(&lab.plan()), @"");
}
