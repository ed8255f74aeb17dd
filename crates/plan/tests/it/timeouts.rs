//! `timeouts` blocks: operations carry them, the state remembers them, and a refresh goes by them.

use std::time::Duration;

use grappe_plan::{OpAction, Operation, Plan};
use grappe_state::Timeouts;

use crate::lab::Lab;

fn of<'p>(plan: &'p Plan, at: &str) -> Vec<&'p Operation> {
    plan.operations.iter().filter(|op| op.addr.to_string() == at).collect()
}

const MAIN: &str = r#"
variable "long" { default = "1h30m" }
resource "lab_thing" "a" {
  image = "1"
  timeouts {
    create = var.long
    delete = "90s"
  }
}
resource "lab_thing" "b" {
  timeouts {
    read = "250ms"
  }
}
data "lab_lookup" "l" {
  key = "x"
  timeouts { read = "7s" }
}
"#;

#[test]
fn operations_carry_them_and_the_state_remembers_them() {
    let mut lab = Lab::new();
    lab.main(MAIN);
    let plan = lab.plan();
    let given = Timeouts { create: Some(5_400_000), delete: Some(90_000), ..Timeouts::default() };
    assert_eq!(of(&plan, "lab_thing.a")[0].timeouts, given);
    assert_eq!(lab.deadlines["data.lab_lookup.l"], Some(Duration::from_secs(7)));
    lab.run_in_order(&plan);
    assert_eq!(lab.state.objects[&"lab_thing.a".parse().unwrap()].timeouts, given);
    assert!(lab.plan().is_empty());
    assert_eq!(lab.deadlines["lab_thing.b"], Some(Duration::from_millis(250)));
    assert_eq!(lab.deadlines["lab_thing.a"], None);

    // A replacement deletes and creates by what the block says; a change of the block alone is recorded.
    lab.main(&MAIN.replace("image = \"1\"", "image = \"2\"").replace("90s", "2m"));
    let plan = lab.plan();
    assert_eq!(
        of(&plan, "lab_thing.a").iter().map(|op| op.timeouts.delete).collect::<Vec<_>>(),
        [Some(120_000); 2]
    );
    lab.main(&MAIN.replace("90s", "2m").replace("250ms", "9s"));
    let plan = lab.plan();
    assert_eq!(
        lab.deadlines["lab_thing.b"],
        Some(Duration::from_secs(9)),
        "who asks for more time is heard at once"
    );
    assert!(plan.operations.iter().all(|op| op.action == OpAction::Record), "{:?}", plan.operations);
    lab.run_in_order(&plan);
    assert!(lab.plan().is_empty());

    // The block is gone: what is remembered counts.
    lab.main("");
    let plan = lab.plan();
    assert_eq!(lab.deadlines["lab_thing.b"], Some(Duration::from_secs(9)));
    assert_eq!(of(&plan, "lab_thing.a")[0].timeouts.delete, Some(120_000));
    lab.main(MAIN);
    let plan = lab.destroy();
    assert_eq!(
        of(&plan, "lab_thing.a")[0].timeouts.delete,
        Some(120_000),
        "of a block that is not all constant, too"
    );
}

#[test]
fn what_is_no_time_is_refused_with_its_place() {
    for (block, why) in [
        ("create = \"soon\"", "\"soon\" is not a duration"),
        ("create = \"0s\"", "Nothing is done in no time"),
        ("create = lab_thing.other.id", "must be known before it is applied"),
        ("creat = \"1m\"", "An argument named \"creat\" is not expected here"),
        ("create = [1]", "string required"),
    ] {
        let mut lab = Lab::new();
        lab.main(&format!(
            "resource \"lab_thing\" \"other\" {{}}\nresource \"lab_thing\" \"a\" {{\n  timeouts {{\n    {block}\n  }}\n}}\n"
        ));
        let refused = lab.refused();
        assert!(refused.contains(why), "{block}: {refused}");
    }
    let mut lab = Lab::new();
    lab.main("data \"lab_lookup\" \"l\" {\n  key = \"x\"\n  timeouts {\n    delete = \"1m\"\n  }\n}\n");
    assert!(lab.refused().contains("\"delete\" is not expected here"));
}
