//! Configuration and state in, changes and their order out.

use insta::assert_snapshot;

use crate::lab::{Lab, text};

const CHAIN: &str = r#"
resource "lab_thing" "a" { name = "a" }
resource "lab_thing" "b" { input = lab_thing.a.id }
resource "lab_thing" "c" { input = lab_thing.b.id }
"#;

#[test]
fn a_fresh_plan_creates_in_order() {
    let mut lab = Lab::new();
    let plan = lab.main(CHAIN).plan();
    assert_snapshot!(text(&plan), @"");
    lab.run(&plan, |_| 0);
    assert_snapshot!(text(&lab.plan()), @"");
    assert_snapshot!(text(&lab.destroy()), @"");
}
