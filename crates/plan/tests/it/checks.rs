//! `check` blocks: they warn, and nothing waits for them.

use insta::assert_snapshot;

use crate::lab::{Lab, text};

fn said(text: &str) -> String {
    let mut lab = Lab::new();
    let plan = lab.main(text).plan();
    let before: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    assert!(!plan.warnings.has_errors());
    let after = lab.run_checked(&plan);
    format!("{}\n-- applied\n{}", before.join("\n"), after)
}

#[test]
fn assertions_warn_when_planned_and_again_when_applied() {
    assert_snapshot!(said(
        r#"
        variable "n" { default = 1 }
        resource "lab_thing" "a" { name = "a" }
        check "known" {
          assert {
            condition     = var.n == 2
            error_message = "n is ${var.n}."
          }
          assert {
            condition     = var.n == 1
            error_message = "never said"
          }
        }
        check "later" {
          assert {
            condition     = lab_thing.a.id == "x"
            error_message = "the id is ${lab_thing.a.id}"
          }
        }
        "#
    ));
}

#[test]
fn what_a_check_reads_for_itself_may_fail() {
    assert_snapshot!(said(
        r#"
        check "reads" {
          data "lab_lookup" "l" { key = "k" }
          assert {
            condition     = data.lab_lookup.l.value == "other"
            error_message = "it is ${data.lab_lookup.l.value}"
          }
        }
        check "lost" {
          data "lab_lookup" "m" { key = "lost" }
          assert {
            condition     = data.lab_lookup.m.value == "other"
            error_message = "never said: there is nothing to look at"
          }
        }
        "#
    ));
    let mut lab = Lab::new();
    let plan = lab
        .main(
            r#"
            resource "lab_thing" "a" { name = "a" }
            check "later" {
              data "lab_lookup" "l" { key = lab_thing.a.id }
              assert {
                condition     = data.lab_lookup.l.value == "other"
                error_message = "it is ${data.lab_lookup.l.value}"
              }
            }
            "#,
        )
        .plan();
    assert!(plan.operations.iter().any(|op| op.lenient));
    assert_snapshot!("deferred", format!("{}{}", text(&plan), lab.run_checked(&plan)));
}
