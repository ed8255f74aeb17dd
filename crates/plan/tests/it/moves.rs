//! `moved` and `removed`: what has another name, and what is left alone.

use insta::assert_snapshot;

use crate::lab::{Lab, text};

/// Applies the first text and plans the second.
fn then(before: &str, after: &str) -> String {
    let mut lab = Lab::new();
    lab.apply(before);
    let plan = lab.main(after).plan();
    let said: String = plan.warnings.iter().map(|w| format!("{w}\n")).collect();
    let out = text(&plan) + &said;
    // Whatever it is, it must be possible to do it, and to be done with it then.
    lab.run(&plan, |_| 0);
    let again = lab.plan();
    assert!(again.moves.is_empty() && again.operations.is_empty(), "{}", text(&again));
    out
}

fn refused(before: &str, after: &str) -> String {
    let mut lab = Lab::new();
    lab.apply(before);
    lab.main(after).refused()
}

const TWO: &str = r#"
resource "lab_thing" "a" { name = "a" }
resource "lab_thing" "b" { input = lab_thing.a.id }
"#;

#[test]
fn a_resource_has_another_name() {
    assert_snapshot!(then(TWO, r#"
        moved {
          from = lab_thing.a
          to   = lab_thing.c
        }
        resource "lab_thing" "c" { name = "a" }
        resource "lab_thing" "b" { input = lab_thing.c.id }
        "#), @r#"
    lab_thing.a is lab_thing.c now
    = 2
    "#);
    assert_snapshot!(then(r#"resource "lab_thing" "a" { count = 2 }"#, r#"
        moved {
          from = lab_thing.a
          to   = lab_thing.c
        }
        resource "lab_thing" "c" {
          count = 1
          name  = "new"
        }
        "#), @r#"
    lab_thing.a[0] is lab_thing.c[0] now
    lab_thing.a[1] is lab_thing.c[1] now
    ~ lab_thing.c[0] name
    - lab_thing.c[1] [IndexOutOfCount]
    0 update lab_thing.c[0]
    1 delete lab_thing.c[1]
    "#);
}

#[test]
fn instances_get_other_keys() {
    assert_snapshot!(then(r#"resource "lab_thing" "a" { count = 3 }"#, r#"
        resource "lab_thing" "a" { for_each = toset(["x", "y"]) }
        moved {
          from = lab_thing.a[0]
          to   = lab_thing.a["x"]
        }
        moved {
          from = lab_thing.a[1]
          to   = lab_thing.a["y"]
        }
        "#), @r#"
    lab_thing.a[0] is lab_thing.a["x"] now
    lab_thing.a[1] is lab_thing.a["y"] now
    - lab_thing.a[2] [RepetitionChanged]
    = 2
    0 delete lab_thing.a[2]
    "#);
    // Who names an instance says which one it is: the first is not taken for it.
    assert_snapshot!(then(r#"resource "lab_thing" "a" { count = 2 }"#, r#"
        resource "lab_thing" "a" {}
        moved {
          from = lab_thing.a[1]
          to   = lab_thing.a
        }
        "#), @r#"
    lab_thing.a[1] is lab_thing.a now
    - lab_thing.a[0] [RepetitionChanged]
    = 1
    0 delete lab_thing.a[0]
    "#);
}

#[test]
fn moves_follow_each_other() {
    assert_snapshot!(then(TWO, r#"
        moved {
          from = lab_thing.x
          to   = lab_thing.y[0]
        }
        moved {
          from = lab_thing.a
          to   = lab_thing.x
        }
        resource "lab_thing" "y" {
          count = 1
          name  = "a"
        }
        resource "lab_thing" "b" { input = lab_thing.y[0].id }
        "#), @r#"
    lab_thing.a is lab_thing.y[0] now
    = 2
    "#);
    // Two that exist can't both have the last name.
    assert_snapshot!(then(TWO, r#"
        moved {
          from = lab_thing.a
          to   = lab_thing.b
        }
        moved {
          from = lab_thing.b
          to   = lab_thing.c
        }
        resource "lab_thing" "c" {}
        "#), @r#"
    lab_thing.b is lab_thing.c now
    - lab_thing.a [NotInConfiguration]
    ~ lab_thing.c input output
    0 update lab_thing.c
    1 delete lab_thing.a <- 0
    Unresolved resource instance address changes: These can't have the addresses that "moved" blocks give them, because there are objects already:
      - lab_thing.a could not move to lab_thing.b
    What has no block in the configuration is planned to be destroyed. (take one of each pair out of the state, or give it another address)
    "#);
    assert_snapshot!(then(TWO, r#"
        moved {
          from = lab_thing.a
          to   = lab_thing.b
        }
        resource "lab_thing" "b" {}
        "#), @r#"
    - lab_thing.a [NotInConfiguration]
    ~ lab_thing.b input output
    0 update lab_thing.b
    1 delete lab_thing.a <- 0
    Unresolved resource instance address changes: These can't have the addresses that "moved" blocks give them, because there are objects already:
      - lab_thing.a could not move to lab_thing.b
    What has no block in the configuration is planned to be destroyed. (take one of each pair out of the state, or give it another address)
    "#);
}

fn modules(root: &str, child: &str) -> Lab {
    let mut lab = Lab::new();
    lab.file("m/main.tf", child).main(root);
    let plan = lab.plan();
    lab.run(&plan, |_| 0);
    lab
}

const CHILD: &str = r#"resource "lab_thing" "i" { count = 2 }"#;

#[test]
fn modules_move_with_all_that_is_in_them() {
    let mut lab = modules("module \"a\" {\n source = \"./m\"\n}\n", CHILD);
    lab.main(
        "module \"b\" {\n source = \"./m\"\n for_each = toset([\"x\"])\n}\nmoved {\n from = module.a\n to = module.b[\"x\"]\n}\n",
    );
    lab.file(
        "m/main.tf",
        "resource \"lab_thing\" \"j\" { count = 2 }\nmoved {\n from = lab_thing.i\n to = lab_thing.j\n}\n",
    );
    assert_snapshot!(text(&lab.plan()), @r#"
    module.a.lab_thing.i[0] is module.b["x"].lab_thing.j[0] now
    module.a.lab_thing.i[1] is module.b["x"].lab_thing.j[1] now
    = 2
    "#);
    // Out of a module, and into one.
    let mut lab = modules("module \"a\" {\n source = \"./m\"\n}\n", CHILD);
    lab.main(
        "resource \"lab_thing\" \"o\" {}\nmoved {\n from = module.a.lab_thing.i[1]\n to = lab_thing.o\n}\nmoved {\n from = module.a.lab_thing.i[0]\n to = module.q[0].lab_thing.i\n}\n",
    );
    assert_snapshot!(text(&lab.plan()), @r#"
    module.a.lab_thing.i[1] is lab_thing.o now
    module.a.lab_thing.i[0] is module.q[0].lab_thing.i now
    - module.q[0].lab_thing.i [NoMoveTarget]
    = 1
    0 delete module.q[0].lab_thing.i
    "#);
    // A module that gets a key, with a move inside of it.
    let mut lab = modules("module \"a\" {\n source = \"./m\"\n}\n", CHILD);
    lab.main(
        "module \"a\" {\n source = \"./m\"\n count = 1\n}\nmoved {\n from = module.a\n to = module.a[0]\n}\n",
    );
    lab.file(
        "m/main.tf",
        "resource \"lab_thing\" \"j\" { count = 2 }\nmoved {\n from = lab_thing.i\n to = lab_thing.j\n}\n",
    );
    assert_snapshot!(text(&lab.plan()), @r#"
    module.a.lab_thing.i[0] is module.a[0].lab_thing.j[0] now
    module.a.lab_thing.i[1] is module.a[0].lab_thing.j[1] now
    = 2
    "#);
    // What nobody moves goes, though the module has only got a key.
    let mut lab = modules("module \"a\" {\n source = \"./m\"\n}\n", CHILD);
    lab.main("module \"a\" {\n source = \"./m\"\n count = 1\n}\n");
    assert_snapshot!(text(&lab.plan()), @r#"
    - module.a.lab_thing.i[0] [ModuleNotInConfiguration]
    - module.a.lab_thing.i[1] [ModuleNotInConfiguration]
    + module.a[0].lab_thing.i[0]
    + module.a[0].lab_thing.i[1]
    0 create module.a[0].lab_thing.i[0]
    1 create module.a[0].lab_thing.i[1]
    2 delete module.a.lab_thing.i[0]
    3 delete module.a.lab_thing.i[1]
    "#);
}

#[test]
fn statements_that_contradict_are_refused() {
    let moved =
        |from: &str, to: &str| format!("moved {{\n from = lab_thing.{from}\n to = lab_thing.{to}\n}}\n");
    assert_snapshot!(refused(TWO, &(moved("x", "b") + &moved("x", "c") + &moved("z", "b"))), @r#"
    Ambiguous move statements: Another statement declared that lab_thing.x moved to lab_thing.b, but this statement instead declares that it moved to lab_thing.c. Each resource can move to only one destination resource.
    Ambiguous move statements: Another statement declared that lab_thing.x moved to lab_thing.b, but this statement instead declares that lab_thing.z moved there. Each resource can have moved from only one source resource.
    "#);
    assert_snapshot!(refused(TWO, &(moved("a", "b") + TWO)), @r#"Moved object still exists: This statement declares a move from lab_thing.a, but that resource is still declared. (change the configuration so that this resource is declared as lab_thing.b instead)"#);
    assert_snapshot!(refused(TWO, &moved("q", "q")), @r#"Redundant move statement: This statement declares a move from lab_thing.q to the same address, which is the same as not declaring this move at all."#);
    assert_snapshot!(refused(TWO, "moved {\n from = lab_thing.a\n to = lab_disk.a\n}\n"), @r#"Resource type mismatch: This statement declares a move from lab_thing.a to lab_disk.a, which is a resource of a different type."#);
    assert_snapshot!(refused(TWO, &(moved("x", "y") + &moved("y", "z") + &moved("z", "x"))), @r#"
    Cyclic dependency in move statements: The following chained move statements form a cycle, and so there is no final location to move objects to:
      - lab_thing.x to lab_thing.y
      - lab_thing.y to lab_thing.z
      - lab_thing.z to lab_thing.x
    A chain of move statements must end with an address that doesn't appear in any other statement.
    "#);
    let mut lab = Lab::new();
    lab.apply(TWO);
    lab.options.targets = vec!["lab_thing.c".parse().unwrap()];
    lab.main(&(moved("a", "c") + "resource \"lab_thing\" \"c\" {}\n"));
    assert_snapshot!(lab.refused(), @r#"
    Moved resource instances excluded by targeting: Objects have moved to new addresses in the configuration, and the targets do not cover all of those. Either leave -target out, or add:
      -target='lab_thing.a'
    "#);
}

#[test]
fn what_is_removed_goes_or_stays() {
    let before = TWO.to_owned() + r#"resource "lab_thing" "many" { count = 2 }"#;
    assert_snapshot!(then(&before, r#"
        removed {
          from = lab_thing.many
          lifecycle {
            destroy = false
          }
        }
        removed {
          from = lab_thing.b
        }
        resource "lab_thing" "a" { name = "a" }
        "#), @r#"
    - lab_thing.b [NotInConfiguration]
    . lab_thing.many[0] [NotInConfiguration]
    . lab_thing.many[1] [NotInConfiguration]
    = 1
    0 delete lab_thing.b
    1 forget lab_thing.many[0]
    2 forget lab_thing.many[1]
    Some objects will no longer be managed: If this plan is applied, the state forgets these objects, and does not delete them:
      - lab_thing.many[0]
      - lab_thing.many[1] (to manage them again, they must be imported)
    "#);
    assert_snapshot!(refused(TWO, &format!("{TWO}removed {{\n from = lab_thing.a\n}}\n")), @r#"Removed resource still exists: This statement declares that lab_thing.a was removed, but it is still declared in configuration."#);
    let mut lab = modules("module \"a\" {\n source = \"./m\"\n}\n", CHILD);
    lab.main("removed {\n from = module.a\n lifecycle {\n destroy = false\n }\n}\n");
    assert_snapshot!(text(&lab.plan()), @r#"
    . module.a.lab_thing.i[0] [NotInConfiguration]
    . module.a.lab_thing.i[1] [NotInConfiguration]
    0 forget module.a.lab_thing.i[0]
    1 forget module.a.lab_thing.i[1]
    "#);
    assert_snapshot!(text(&lab.destroy()), @r#"
    . module.a.lab_thing.i[0] [Destroy]
    . module.a.lab_thing.i[1] [Destroy]
    0 forget module.a.lab_thing.i[0]
    1 forget module.a.lab_thing.i[1]
    "#);
}
