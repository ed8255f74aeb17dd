//! Configuration and state in, changes and their order out.

use insta::assert_snapshot;

use crate::lab::{Lab, text};

const CHAIN: &str = r#"
resource "lab_thing" "a" { name = "a" }
resource "lab_thing" "b" { input = lab_thing.a.id }
resource "lab_thing" "c" { input = lab_thing.b.id }
"#;

#[test]
fn a_chain_is_created_forwards_and_destroyed_backwards() {
    let mut lab = Lab::new();
    let plan = lab.main(CHAIN).plan();
    assert_snapshot!(text(&plan), @r"
    + lab_thing.a
    + lab_thing.b
    + lab_thing.c
    0 create lab_thing.a
    1 create lab_thing.b <- 0
    2 create lab_thing.c <- 1
    ");
    lab.run(&plan, |_| 0);
    assert_snapshot!(text(&lab.plan()), @"= 3");
    assert_snapshot!(text(&lab.destroy()), @r"
    - lab_thing.a [Destroy]
    - lab_thing.b [Destroy]
    - lab_thing.c [Destroy]
    0 delete lab_thing.c
    1 delete lab_thing.b <- 0
    2 delete lab_thing.a <- 1
    ");
}

#[test]
fn edges_run_between_instances_not_blocks() {
    let mut lab = Lab::new();
    lab.main(
        r#"
        resource "lab_thing" "a" { count = 2 }
        resource "lab_thing" "b" {
          count = 2
          input = lab_thing.a[count.index].id
        }
        resource "lab_thing" "each" {
          for_each = { x = 0, y = 1 }
          input    = lab_thing.b[each.value].id
        }
        locals {
          first = lab_thing.a[0].id
          both  = lab_thing.a[*].id
        }
        resource "lab_thing" "first" { input = local.first }
        resource "lab_thing" "both" { input = local.both }
        "#,
    );
    assert_snapshot!(text(&lab.plan()), @r#"
    + lab_thing.a[0]
    + lab_thing.a[1]
    + lab_thing.b[0]
    + lab_thing.b[1]
    + lab_thing.both
    + lab_thing.each["x"]
    + lab_thing.each["y"]
    + lab_thing.first
    0 create lab_thing.a[0]
    1 create lab_thing.a[1]
    2 create lab_thing.b[0] <- 0
    3 create lab_thing.b[1] <- 1
    4 create lab_thing.each["x"] <- 2
    5 create lab_thing.each["y"] <- 3
    6 create lab_thing.first <- 0
    7 create lab_thing.both <- 0 1
    "#);
}

#[test]
fn modules_pass_on_what_their_values_are_made_of() {
    let mut lab = Lab::new();
    lab.file(
        "net/main.tf",
        r#"
        variable "name" {}
        resource "lab_thing" "net" { name = var.name }
        resource "lab_thing" "other" {}
        output "id" { value = lab_thing.net.id }
        output "name" { value = var.name }
        "#,
    );
    lab.main(
        r#"
        resource "lab_thing" "before" {}
        module "net" {
          source = "./net"
          count  = 2
          name   = lab_thing.before.id
        }
        resource "lab_thing" "one" { input = module.net[1].id }
        resource "lab_thing" "name" { input = module.net[1].name }
        resource "lab_thing" "after" { depends_on = [module.net] }
        output "all" { value = module.net[*].name }
        "#,
    );
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    + lab_thing.after
    + lab_thing.before
    + lab_thing.name
    + lab_thing.one
    + module.net[0].lab_thing.net
    + module.net[0].lab_thing.other
    + module.net[1].lab_thing.net
    + module.net[1].lab_thing.other
    output all Create: None -> Some([(known after apply), (known after apply)])
    0 create lab_thing.before
    1 create lab_thing.name <- 0
    2 create module.net[0].lab_thing.net <- 0
    3 create module.net[1].lab_thing.net <- 0
    4 create lab_thing.one <- 3
    5 create module.net[0].lab_thing.other
    6 create module.net[1].lab_thing.other
    7 create lab_thing.after <- 0 2 3 5 6
    ");
    lab.run(&plan, |_| 0);
    assert_snapshot!(text(&lab.plan()), @"= 8");
}

#[test]
fn a_module_that_depends_on_something_waits_as_a_whole() {
    let mut lab = Lab::new();
    lab.file("m/main.tf", r#"resource "lab_thing" "in" { name = "in" }"#);
    lab.main(
        r#"
        resource "lab_thing" "a" { count = 2 }
        module "m" {
          source     = "./m"
          depends_on = [lab_thing.a]
        }
        resource "lab_thing" "b" {
          name       = "b"
          depends_on = [lab_thing.a]
        }
        "#,
    );
    assert_snapshot!(text(&lab.plan()), @r"
    + lab_thing.a[0]
    + lab_thing.a[1]
    + lab_thing.b
    + module.m.lab_thing.in
    0 create lab_thing.a[0]
    1 create lab_thing.a[1]
    2 create lab_thing.b <- 0 1
    3 create module.m.lab_thing.in <- 0 1
    ");
}

#[test]
fn a_replaced_object_goes_before_it_comes_and_after_what_stood_on_it() {
    let mut lab = Lab::new();
    let plan = |image: &str| {
        format!(
            r#"
            resource "lab_thing" "a" {{ image = "{image}" }}
            resource "lab_thing" "b" {{ input = lab_thing.a.id }}
            resource "lab_thing" "c" {{ image = lab_thing.a.id }}
            "#
        )
    };
    lab.apply(&plan("1")).main(&plan("2"));
    let replacing = lab.plan();
    assert_snapshot!(text(&replacing), @r#"
    -/+ lab_thing.a address id image zone [Attributes([Path([Attr("image")])])]
    ~ lab_thing.b input output
    -/+ lab_thing.c address id image zone [Attributes([Path([Attr("image")])])]
    0 delete lab_thing.c
    1 delete lab_thing.a <- 0
    2 create lab_thing.a <- 1
    3 update lab_thing.b <- 2
    4 create lab_thing.c <- 0 2
    "#);
    lab.run(&replacing, |n| n - 1);
    assert_snapshot!(text(&lab.plan()), @"= 3");
}

#[test]
fn create_before_destroy_inverts_the_order_of_all_it_stands_on() {
    let mut lab = Lab::new();
    let plan = |image: &str| {
        format!(
            r#"
            resource "lab_thing" "a" {{ image = "{image}" }}
            resource "lab_thing" "b" {{
              image = lab_thing.a.id
              lifecycle {{ create_before_destroy = true }}
            }}
            resource "lab_thing" "c" {{ input = lab_thing.b.id }}
            "#
        )
    };
    lab.apply(&plan("1")).main(&plan("2"));
    let replacing = lab.plan();
    assert_snapshot!(text(&replacing), @r#"
    +/- lab_thing.a address id image zone [Attributes([Path([Attr("image")])])]
    +/- lab_thing.b address id image zone [Attributes([Path([Attr("image")])])]
    ~ lab_thing.c input output
    0 create lab_thing.a
    1 create lab_thing.b <- 0
    2 update lab_thing.c <- 1
    3 delete lab_thing.b (deposed by 1) <- 1 2
    4 delete lab_thing.a (deposed by 0) <- 0 1 3
    "#);
    lab.run(&replacing, |_| 0);
    assert_snapshot!(text(&lab.plan()), @"= 3");
    assert!(
        lab.state.deposed.is_empty()
            && lab.state.objects.values().filter(|o| o.create_before_destroy).count() == 2
    );
}

#[test]
fn what_is_removed_goes_after_those_who_needed_it_were_changed() {
    let mut lab = Lab::new();
    lab.apply(
        r#"
        resource "lab_thing" "net" { name = "net" }
        resource "lab_thing" "rule" { input = lab_thing.net.id }
        resource "lab_thing" "proxy" { input = [lab_thing.net.id, lab_thing.rule.id] }
        resource "lab_thing" "leaf" { input = lab_thing.proxy.id }
        "#,
    );
    lab.main(
        r#"
        resource "lab_thing" "net" {
          name = "net"
          size = 2
        }
        resource "lab_thing" "proxy" { input = [lab_thing.net.id] }
        "#,
    );
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    - lab_thing.leaf [NotInConfiguration]
    ~ lab_thing.net address size
    ~ lab_thing.proxy input[1] output[1]
    - lab_thing.rule [NotInConfiguration]
    0 update lab_thing.net
    1 delete lab_thing.leaf
    2 update lab_thing.proxy <- 0 1
    3 delete lab_thing.rule <- 1 2
    ");
    lab.run(&plan, |n| n - 1);
    assert_eq!(text(&lab.plan()), "= 2\n");
}

#[test]
fn order_passes_through_what_does_not_change() {
    let mut lab = Lab::new();
    let plan = |label: &str| {
        format!(
            r#"
            resource "lab_thing" "a" {{ labels = {{ x = "{label}" }} }}
            resource "lab_thing" "b" {{ input = lab_thing.a.id }}
            locals {{ id = lab_thing.b.id }}
            resource "lab_thing" "c" {{
              input  = local.id
              labels = {{ x = "{label}" }}
            }}
            "#
        )
    };
    lab.apply(&plan("1")).main(&plan("2"));
    assert_snapshot!(text(&lab.plan()), @r#"
    ~ lab_thing.a labels["x"]
    ~ lab_thing.c labels["x"]
    = 1
    0 update lab_thing.a
    1 update lab_thing.c <- 0
    "#);
}

#[test]
fn many_that_wait_for_many_meet_in_a_join() {
    let mut lab = Lab::new();
    lab.main(
        r#"
        resource "lab_thing" "a" { count = 3 }
        resource "lab_thing" "b" {
          count = 3
          input = lab_thing.a[*].id
        }
        "#,
    );
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    + lab_thing.a[0]
    + lab_thing.a[1]
    + lab_thing.a[2]
    + lab_thing.b[0]
    + lab_thing.b[1]
    + lab_thing.b[2]
    0 create lab_thing.a[0]
    1 create lab_thing.a[1]
    2 create lab_thing.a[2]
    3 join lab_thing.a[0] <- 0 1 2
    4 create lab_thing.b[0] <- 3
    5 create lab_thing.b[1] <- 3
    6 create lab_thing.b[2] <- 3
    ");
    lab.run(&plan, |n| n / 2);
    // The state names the whole resource once, not each instance.
    for object in lab.state.objects.values().filter(|o| !o.dependencies.is_empty()) {
        assert_eq!(object.dependencies, ["lab_thing.a".parse().unwrap()]);
    }
    assert_snapshot!(text(&lab.destroy()), @r"
    - lab_thing.a[0] [Destroy]
    - lab_thing.a[1] [Destroy]
    - lab_thing.a[2] [Destroy]
    - lab_thing.b[0] [Destroy]
    - lab_thing.b[1] [Destroy]
    - lab_thing.b[2] [Destroy]
    0 delete lab_thing.b[0]
    1 delete lab_thing.b[1]
    2 delete lab_thing.b[2]
    3 join lab_thing.b[0] <- 0 1 2
    4 delete lab_thing.a[0] <- 3
    5 delete lab_thing.a[1] <- 3
    6 delete lab_thing.a[2] <- 3
    ");
}

#[test]
fn counts_and_keys_come_and_go() {
    let mut lab = Lab::new();
    let plan = |n: u64, keys: &str| {
        format!(
            r#"
            resource "lab_thing" "n" {{ count = {n} }}
            resource "lab_thing" "k" {{ for_each = toset({keys}) }}
            "#
        )
    };
    lab.apply(&plan(2, r#"["x", "y"]"#)).main(&plan(1, r#"["y", "z"]"#));
    assert_snapshot!(text(&lab.plan()), @r#"
    - lab_thing.k["x"] [KeyNotInForEach]
    + lab_thing.k["z"]
    - lab_thing.n[1] [IndexOutOfCount]
    = 2
    0 create lab_thing.k["z"]
    1 delete lab_thing.k["x"]
    2 delete lab_thing.n[1]
    "#);
    // With and without `count` it is the same object.
    lab.main(r#"resource "lab_thing" "n" { size = 1 }"#);
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r#"
    lab_thing.n[0] is lab_thing.n now
    - lab_thing.k["x"] [NotInConfiguration]
    - lab_thing.k["y"] [NotInConfiguration]
    - lab_thing.n[1] [RepetitionChanged]
    = 1
    0 delete lab_thing.k["x"]
    1 delete lab_thing.k["y"]
    2 delete lab_thing.n[1]
    "#);
    lab.run(&plan, |_| 0);
    lab.main(r#"resource "lab_thing" "n" { for_each = { a = 1 } }"#);
    assert_snapshot!(text(&lab.plan()), @r#"
    - lab_thing.n [RepetitionChanged]
    + lab_thing.n["a"]
    0 create lab_thing.n["a"]
    1 delete lab_thing.n
    "#);
}

#[test]
fn a_target_pulls_in_what_it_stands_on() {
    let mut lab = Lab::new();
    lab.file("m/main.tf", r#"resource "lab_thing" "in" { count = 2 }"#);
    lab.main(
        r#"
        resource "lab_thing" "a" { count = 3 }
        resource "lab_thing" "b" {
          count = 2
          input = lab_thing.a[count.index].id
        }
        module "m" { source = "./m" }
        output "b" { value = lab_thing.b[1].id }
        output "a" { value = lab_thing.a[2].id }
        "#,
    );
    lab.target(&["lab_thing.b[1]"]);
    assert_snapshot!(text(&lab.plan()), @r"
    + lab_thing.a[1]
    + lab_thing.b[1]
    output b Create: None -> Some((known after apply))
    0 create lab_thing.a[1]
    1 create lab_thing.b[1] <- 0
    ");
    lab.target(&["module.m"]);
    let plan = lab.plan();
    assert!(plan.warnings.iter().any(|w| w.summary == "Resource targeting is in effect"));
    assert_snapshot!(text(&plan), @r"
    + module.m.lab_thing.in[0]
    + module.m.lab_thing.in[1]
    0 create module.m.lab_thing.in[0]
    1 create module.m.lab_thing.in[1]
    ");
    lab.target(&[]);
    let plan = lab.plan();
    lab.run(&plan, |_| 0);
    lab.target(&["lab_thing.a[1]"]);
    assert_snapshot!(text(&lab.destroy()), @r"
    - lab_thing.a[1] [Destroy]
    - lab_thing.b[1] [Destroy]
    0 delete lab_thing.b[1]
    1 delete lab_thing.a[1] <- 0
    ");
}

#[test]
fn outputs_change_with_what_they_show() {
    let mut lab = Lab::new();
    lab.apply(
        r#"
        resource "lab_thing" "a" { name = "a" }
        output "id" { value = lab_thing.a.id }
        output "name" { value = lab_thing.a.name }
        output "gone" { value = "x" }
        "#,
    );
    lab.main(
        r#"
        resource "lab_thing" "a" { name = "b" }
        output "id" { value = lab_thing.a.id }
        output "name" { value = lab_thing.a.name }
        output "new" {
          value     = "secret"
          sensitive = true
        }
        output "nothing" { value = null }
        "#,
    );
    assert_snapshot!(text(&lab.plan()), @r#"
    ~ lab_thing.a name
    output gone Delete: Some("x") -> None
    output name Update: Some("a") -> Some("b")
    output new Create: None -> Some((sensitive value))
    0 update lab_thing.a
    "#);
}

#[test]
fn what_leads_to_a_thing_leads_elsewhere_before_the_thing_goes() {
    let mut lab = Lab::new();
    let plan = |names: &str| {
        format!(
            r#"
            resource "lab_thing" "balancer" {{ leads_to = [{names}] }}
            resource "lab_thing" "cluster" {{ input = lab_thing.balancer.id }}
            resource "lab_thing" "member" {{
              for_each = toset([{names}])
              input    = lab_thing.cluster.id
            }}
            resource "lab_thing" "pool" {{
              name  = "{}"
              input = lab_thing.balancer.id
            }}
            "#,
            names.len()
        )
    };
    lab.apply(&plan(r#""a", "b""#)).main(&plan(r#""a""#));
    let less = lab.plan();
    assert_snapshot!(text(&less), @r#"
    ~ lab_thing.balancer leads_to[1]
    - lab_thing.member["b"] [KeyNotInForEach]
    ~ lab_thing.pool name
    = 2
    0 update lab_thing.balancer
    1 update lab_thing.pool <- 0
    2 delete lab_thing.member["b"] <- 0
    "#);
    lab.run(&less, |_| 0);
    assert_eq!(text(&lab.plan()), "= 4\n");
}

#[test]
fn a_target_that_names_nothing_is_said() {
    let mut lab = Lab::new();
    lab.main(r#"resource "lab_thing" "a" {}"#).target(&["lab_thing.b", "module.x"]);
    lab.options.replace.insert("lab_thing.c".parse().unwrap());
    let plan = lab.plan();
    let said: Vec<_> = plan.warnings.iter().map(ToString::to_string).collect();
    assert!(plan.operations.is_empty());
    assert!(said.iter().any(|s| s.contains("-target=lab_thing.b names nothing")), "{said:?}");
    assert!(said.iter().any(|s| s.contains("-target=module.x names nothing")), "{said:?}");
    assert!(said.iter().any(|s| s.contains("-replace=lab_thing.c names no object")), "{said:?}");
}

#[test]
fn a_module_may_be_fed_with_its_own_other_outputs() {
    let mut lab = Lab::new();
    lab.file(
        "m/main.tf",
        r#"
        variable "late" {}
        resource "lab_thing" "early" {}
        resource "lab_thing" "late" { input = var.late }
        output "early" { value = lab_thing.early.id }
        output "late" { value = lab_thing.late.id }
        "#,
    );
    lab.main(
        r#"
        module "m" {
          source = "./m"
          count  = 2
          late   = lab_thing.between.id
        }
        resource "lab_thing" "between" { input = module.m[*].early }
        output "late" { value = module.m[*].late }
        "#,
    );
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    + lab_thing.between
    + module.m[0].lab_thing.early
    + module.m[0].lab_thing.late
    + module.m[1].lab_thing.early
    + module.m[1].lab_thing.late
    output late Create: None -> Some([(known after apply), (known after apply)])
    0 create module.m[0].lab_thing.early
    1 create module.m[1].lab_thing.early
    2 create lab_thing.between <- 0 1
    3 create module.m[0].lab_thing.late <- 2
    4 create module.m[1].lab_thing.late <- 2
    ");
    lab.run(&plan, |n| n - 1);
    assert_eq!(text(&lab.plan()), "= 5\n");
}
