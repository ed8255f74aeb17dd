//! What is read, or known only while applying: data sources, providers made of resources, promises.

use insta::assert_snapshot;

use crate::lab::{Lab, text};

#[test]
fn data_sources_are_read_as_early_as_can_be() {
    let mut lab = Lab::new();
    lab.main(
        r#"
        data "lab_lookup" "a" { key = "a" }
        data "lab_lookup" "b" { key = data.lab_lookup.a.value }
        data "lab_lookup" "c" { key = "c" }
        resource "lab_thing" "x" {
          count = length(data.lab_lookup.b.value)
          name  = data.lab_lookup.c.value
        }
        data "lab_lookup" "late" { key = lab_thing.x[0].id }
        data "lab_lookup" "waits" {
          key        = "w"
          depends_on = [lab_thing.x]
        }
        resource "lab_thing" "y" { input = [data.lab_lookup.late.value, data.lab_lookup.waits.value] }
        "#,
    );
    lab.target(&["lab_thing.x[0]", "lab_thing.y"]);
    let plan = lab.plan();
    assert_eq!(lab.waves, 2, "a and c at once, then b");
    assert_eq!(lab.looked_up, ["data.lab_lookup.a", "data.lab_lookup.c", "data.lab_lookup.b"]);
    assert_snapshot!(text(&plan).lines().filter(|l| !l.contains("lab_thing.x[")).collect::<Vec<_>>().join("\n"), @r"
    + lab_thing.y
    <= data.lab_lookup.late [ArgumentsUnknown]
    <= data.lab_lookup.waits [DependenciesChange]
    = 3
    19 read data.lab_lookup.late <- 0
    20 read data.lab_lookup.waits <- 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18
    21 create lab_thing.y <- 19 20
    ");
    lab.target(&[]);
    let plan = lab.plan();
    lab.run(&plan, |_| 0);
    lab.looked_up.clear();
    assert_snapshot!(text(&lab.plan()), @"= 25");
    assert_eq!(lab.looked_up.len(), 5, "all arguments are known now: {:?}", lab.looked_up);
}

#[test]
fn a_provider_made_of_a_resource_makes_its_users_wait() {
    let mut lab = Lab::new();
    lab.main(
        r#"
        resource "lab_thing" "cloud" { name = "cloud" }
        provider "lab" {
          alias  = "inner"
          region = lab_thing.cloud.id
        }
        resource "lab_thing" "in" {
          provider = lab.inner
          name     = "in"
        }
        "#,
    );
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    + lab_thing.cloud
    + lab_thing.in
    0 create lab_thing.cloud
    1 create lab_thing.in <- 0
    ");
    let keys: Vec<_> = plan.providers.iter().map(|p| (p.key.to_string(), p.known())).collect();
    assert_eq!(keys, [("lab".to_owned(), true), ("lab.inner".to_owned(), false)]);
    lab.run(&plan, |_| 0);
    assert_eq!(text(&lab.plan()), "= 2\n");
    assert_eq!(lab.plan().providers.len(), 0, "nothing is done with any");
    assert_snapshot!(text(&lab.destroy()), @r"
    - lab_thing.cloud [Destroy]
    - lab_thing.in [Destroy]
    0 delete lab_thing.in
    1 delete lab_thing.cloud <- 0
    ");
}

#[test]
fn aliased_providers_are_passed_to_modules() {
    let mut lab = Lab::new();
    lab.file(
        "m/main.tf",
        r#"
        resource "lab_thing" "default" {}
        resource "lab_thing" "other" { provider = lab.far }
        "#,
    );
    lab.main(
        r#"
        provider "lab" { region = "here" }
        provider "lab" {
          alias  = "west"
          region = "west"
        }
        module "m" {
          source    = "./m"
          providers = { lab.far = lab.west }
        }
        "#,
    );
    let plan = lab.plan();
    let used: Vec<_> = plan.operations.iter().map(|o| format!("{} {}", o.addr, o.provider)).collect();
    assert_eq!(used, ["module.m.lab_thing.default lab", "module.m.lab_thing.other lab.west"]);
    let west = plan.providers.iter().find(|p| p.key.to_string() == "lab.west").unwrap();
    assert_eq!(west.value.get("region").and_then(grappe_value::Value::as_str), Some("west"));
}

#[test]
fn what_is_not_known_yet_may_still_ask_for_more() {
    let mut lab = Lab::new();
    lab.main(
        r#"
        resource "lab_thing" "which" { input = ["x"] }
        resource "lab_thing" "k" { for_each = toset(["x", "y"]) }
        resource "lab_thing" "other" { name = "other" }
        resource "lab_thing" "loop" {
          input = [for c in split("-", lab_thing.which.id) : lab_thing.k[c == "id" ? "x" : "y"].id]
        }
        resource "lab_thing" "choice" {
          input = lab_thing.which.id == "id-1" ? lab_thing.other.name : lab_thing.k["y"].name
        }
        resource "lab_thing" "try" { input = try(lab_thing.which.output[7], lab_thing.other.id) }
        "#,
    );
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r#"
    + lab_thing.choice
    + lab_thing.k["x"]
    + lab_thing.k["y"]
    + lab_thing.loop
    + lab_thing.other
    + lab_thing.try
    + lab_thing.which
    0 create lab_thing.which
    1 create lab_thing.k["x"]
    2 create lab_thing.k["y"]
    3 create lab_thing.other
    4 create lab_thing.loop <- 0 1 2
    5 create lab_thing.choice <- 0 2 3
    6 create lab_thing.try <- 0 3
    "#);
    let before = lab.state.clone();
    for order in 0..5 {
        lab.state = before.clone();
        lab.run(&plan, |n| (n * order) / 5);
        assert_eq!(text(&lab.plan()), "= 7\n");
    }
}

#[test]
fn a_provider_may_be_made_of_what_is_read() {
    let mut lab = Lab::new();
    let plan = r#"
        provider "lab" { alias = "root" }
        provider "lab" { region = data.lab_lookup.where.value }
        data "lab_lookup" "where" {
          key      = lab_thing.seed.name
          provider = lab.root
        }
        resource "lab_thing" "seed" {
          name     = "seed"
          provider = lab.root
        }
        resource "lab_thing" "a" { name = "a" }
        "#;
    lab.main(plan);
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    + lab_thing.a
    + lab_thing.seed
    = 1
    0 create lab_thing.seed
    1 create lab_thing.a <- 0
    ");
    lab.run(&plan, |_| 0);
    assert_eq!(text(&lab.plan()), "= 3\n");
    assert_eq!(lab.waves, 2, "the data source, then the objects; the data source is not read again");
    assert_snapshot!(text(&lab.destroy()), @r"
    - lab_thing.a [Destroy]
    - lab_thing.seed [Destroy]
    0 delete lab_thing.a
    1 delete lab_thing.seed <- 0
    ");
}

#[test]
fn a_promise_that_is_not_kept_stops_the_apply() {
    let mut lab = Lab::new();
    lab.file("name.txt", "one");
    lab.main(r#"resource "lab_thing" "a" { name = file("name.txt") }"#);
    let plan = lab.plan();
    lab.file("name.txt", "two");
    let failure =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lab.run(&plan, |_| 0))).unwrap_err();
    let message = failure.downcast_ref::<String>().unwrap();
    assert!(message.contains("name came out different from what the plan said"), "{message}");
}

#[test]
fn depending_on_a_module_orders_and_hides_nothing() {
    let mut lab = Lab::new();
    lab.file(
        "m/main.tf",
        r#"
        variable "size" {}
        resource "lab_thing" "a" { size = var.size }
        resource "lab_thing" "b" { input = lab_thing.a.id }
        output "name" { value = "fixed" }
        "#,
    );
    let main = |size: u8| {
        format!(
            r#"
            module "m" {{
              source = "./m"
              size   = {size}
            }}
            module "n" {{
              source     = "./m"
              size       = length(module.m.name)
              depends_on = [module.m]
            }}
            resource "lab_thing" "r" {{
              name       = module.n.name
              depends_on = [module.m]
            }}
            data "lab_lookup" "d" {{
              key        = lab_thing.r.name
              depends_on = [module.n]
            }}
            resource "lab_thing" "per" {{
              for_each = toset([module.n.name, data.lab_lookup.d.value])
            }}
            output "seen" {{ value = [module.n.name, data.lab_lookup.d.value] }}
            "#
        )
    };
    lab.main(&main(1));
    lab.run_waves(|n| n - 1).unwrap();
    lab.looked_up.clear();
    // What `n` waits for changes; nothing in `n` does, and all that is known of it stays so.
    lab.main(&main(2));
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    ~ module.m.lab_thing.a address size
    = 7
    0 update module.m.lab_thing.a
    ");
    assert_eq!(lab.looked_up, ["data.lab_lookup.d"], "it is read while planning");
}
