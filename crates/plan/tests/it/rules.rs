//! What happens to one object, by the rules of its schema, its block and its past.

use grappe_plan::{PlanMode, Reason};
use grappe_state::{Action, Pending};
use grappe_value::addr::InstanceAddr;
use grappe_value::{Type, Value, wire};
use insta::assert_snapshot;

use crate::lab::{Lab, text};

fn addr(text: &str) -> InstanceAddr {
    text.parse().unwrap()
}

#[test]
fn computed_attributes_stay_and_what_a_type_takes_back_is_unknown() {
    let mut lab = Lab::new();
    let plan = |size: u64| {
        format!(
            r#"
            resource "lab_thing" "a" {{
              size = {size}
              disk {{ gb = 10 }}
            }}
            resource "lab_thing" "id" {{ input = lab_thing.a.id }}
            resource "lab_thing" "address" {{ input = lab_thing.a.address }}
            "#
        )
    };
    lab.apply(&plan(1)).main(&plan(2));
    assert_snapshot!(text(&lab.plan()), @r"
    ~ lab_thing.a address size
    ~ lab_thing.address input output
    = 1
    0 update lab_thing.a
    1 update lab_thing.address <- 0
    ");
}

#[test]
fn a_host_with_another_address_is_recorded_and_another_host_replaces() {
    let mut lab = Lab::new();
    let plan = |size: u64, image: u64, name: &str| {
        format!(
            r#"
            resource "lab_thing" "host" {{
              size  = {size}
              image = "{image}"
            }}
            resource "lab_thing" "on" {{
              name = "{name}"
              host = {{ id = lab_thing.host.id, address = lab_thing.host.address }}
            }}
            "#
        )
    };
    lab.apply(&plan(1, 1, "x")).main(&plan(2, 1, "x"));
    let moving = lab.plan();
    assert_snapshot!(text(&moving), @r"
    ~ lab_thing.host address size
    = 1
    0 update lab_thing.host
    ");
    lab.run(&moving, |_| 0);
    let recording = lab.plan();
    assert_snapshot!(text(&recording), @r"
    = 2
    0 record lab_thing.on
    ");
    assert!(!recording.acts() && !recording.is_empty());
    lab.run(&recording, |_| 0);
    assert_snapshot!(text(&lab.plan()), @"= 2");
    lab.main(&plan(3, 1, "y"));
    assert_snapshot!(text(&lab.plan()), @r"
    ~ lab_thing.host address size
    ~ lab_thing.on host.address name
    0 update lab_thing.host
    1 update lab_thing.on <- 0
    ");
    lab.main(&plan(2, 2, "x"));
    assert_snapshot!(text(&lab.plan()), @r#"
    -/+ lab_thing.host address id image zone [Attributes([Path([Attr("image")])])]
    -/+ lab_thing.on address host.address host.id id zone [Attributes([Path([Attr("host"), Attr("id")])])]
    0 delete lab_thing.on
    1 delete lab_thing.host <- 0
    2 create lab_thing.host <- 1
    3 create lab_thing.on <- 0 2
    "#);
}

#[test]
fn a_label_changed_behind_our_back_is_one_difference() {
    let mut lab = Lab::new();
    let plan = r#"resource "lab_thing" "a" { labels = { x = "1", y = "2" } }"#;
    lab.apply(plan);
    let kind = lab.registry.resource("lab_thing").unwrap();
    let stored = wire::decode(&lab.state.objects[&addr("lab_thing.a")].attributes, kind.ty()).unwrap();
    let labels = Value::map(Type::String, [("x", "1".into()), ("y", "9".into())]);
    lab.real.insert(addr("lab_thing.a"), Some(stored.clone().with_attr("labels", labels.clone())));
    assert_snapshot!(text(&lab.plan()), @r#"
    ~ lab_thing.a labels["y"]
    drift lab_thing.a: labels["y"]
    0 update lab_thing.a
    "#);
    // Ignored, it is recorded only.
    lab.main(
        r#"resource "lab_thing" "a" {
          labels = { x = "1", y = "2" }
          lifecycle { ignore_changes = [labels["y"]] }
        }"#,
    );
    assert_snapshot!(text(&lab.plan()), @r#"
    = 1
    drift lab_thing.a: labels["y"]
    0 record lab_thing.a
    "#);
    lab.main(
        r#"resource "lab_thing" "a" {
          name   = "new"
          labels = { x = "7" }
          lifecycle { ignore_changes = all }
        }"#,
    );
    assert_snapshot!(text(&lab.plan()), @r#"
    = 1
    drift lab_thing.a: labels["y"]
    0 record lab_thing.a
    "#);
    lab.main(plan);
    lab.options.mode = PlanMode::RefreshOnly;
    assert_snapshot!(text(&lab.plan()), @r#"
    = 1
    drift lab_thing.a: labels["y"]
    0 record lab_thing.a
    "#);
}

#[test]
fn what_is_gone_comes_again() {
    let mut lab = Lab::new();
    lab.apply(r#"resource "lab_thing" "a" { count = 2 }"#).main(r#"resource "lab_thing" "a" { count = 1 }"#);
    lab.real.insert(addr("lab_thing.a[0]"), None);
    lab.real.insert(addr("lab_thing.a[1]"), None);
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    + lab_thing.a[0] [GoneOutside]
    . lab_thing.a[1] [GoneOutside]
    drift lab_thing.a[0]: gone
    drift lab_thing.a[1]: gone
    0 create lab_thing.a[0]
    1 forget lab_thing.a[1]
    ");
    lab.options.refresh = false;
    assert_snapshot!(text(&lab.plan()), @r"
    - lab_thing.a[1] [IndexOutOfCount]
    = 1
    0 delete lab_thing.a[1]
    ");
    lab.options.refresh = true;
    lab.options.mode = PlanMode::RefreshOnly;
    assert_snapshot!(text(&lab.plan()), @r"
    . lab_thing.a[0] [GoneOutside]
    . lab_thing.a[1] [GoneOutside]
    drift lab_thing.a[0]: gone
    drift lab_thing.a[1]: gone
    0 forget lab_thing.a[0]
    1 forget lab_thing.a[1]
    ");
}

#[test]
fn what_lived_on_what_is_gone_is_gone_too() {
    let mut lab = Lab::new();
    let plan = |more: &str| {
        format!(
            r#"
            resource "lab_thing" "machine" {{}}
            resource "lab_place" "host" {{ instance = lab_thing.machine.id }}
            resource "lab_thing" "on" {{ host = {{ id = lab_place.host.id }} }}
            {more}
            "#
        )
    };
    let other = r#"resource "lab_thing" "other" { host = { id = lab_place.host.id } }"#;
    lab.apply(&plan(other)).main(&plan(""));
    lab.real.insert(addr("lab_thing.machine"), None);
    let gone = lab.plan();
    assert_snapshot!(text(&gone), @r"
    + lab_place.host [GoneOutside]
    + lab_thing.machine [GoneOutside]
    + lab_thing.on [GoneOutside]
    . lab_thing.other [GoneOutside]
    drift lab_place.host: gone
    drift lab_thing.machine: gone
    drift lab_thing.on: gone
    drift lab_thing.other: gone
    0 create lab_thing.machine
    1 create lab_place.host <- 0
    2 create lab_thing.on <- 1
    3 forget lab_thing.other
    ");
    lab.options.mode = PlanMode::Destroy;
    assert_snapshot!(text(&lab.plan()), @r"
    . lab_place.host [GoneOutside]
    . lab_thing.machine [GoneOutside]
    . lab_thing.on [GoneOutside]
    . lab_thing.other [GoneOutside]
    drift lab_place.host: gone
    drift lab_thing.machine: gone
    drift lab_thing.on: gone
    drift lab_thing.other: gone
    0 forget lab_thing.on
    1 forget lab_thing.other
    2 forget lab_place.host <- 0 1
    3 forget lab_thing.machine <- 2
    ");
}

#[test]
fn what_lived_on_what_was_exchanged_is_not_on_the_other() {
    let mut lab = Lab::new();
    let plan = |instance: &str| {
        format!(
            r#"
            resource "lab_place" "host" {{ instance = "{instance}" }}
            resource "lab_thing" "on" {{ host = {{ id = lab_place.host.id }} }}
            "#
        )
    };
    lab.apply(&plan("one")).main(&plan("two"));
    assert_snapshot!(text(&lab.plan()), @r#"
    -/+ lab_place.host id instance [Attributes([Path([Attr("instance")])])]
    + lab_thing.on [GoneOutside]
    0 delete lab_place.host
    1 create lab_place.host <- 0
    2 create lab_thing.on <- 1
    "#);
}

#[test]
fn tainted_requested_and_triggered_objects_are_replaced() {
    let mut lab = Lab::new();
    let plan = |size: u64| {
        format!(
            r#"
            resource "lab_thing" "a" {{ size = {size} }}
            resource "lab_thing" "t" {{
              for_each = {{ whole = 1, attr = 2 }}
              lifecycle {{ replace_triggered_by = [lab_thing.a] }}
            }}
            resource "lab_thing" "id" {{
              lifecycle {{ replace_triggered_by = [lab_thing.a.id] }}
            }}
            resource "lab_thing" "size" {{
              lifecycle {{ replace_triggered_by = [lab_thing.a.size] }}
            }}
            resource "lab_thing" "sick" {{}}
            resource "lab_thing" "old" {{}}
            "#
        )
    };
    lab.apply(&plan(1)).main(&plan(2));
    lab.state.objects.get_mut(&addr("lab_thing.sick")).unwrap().tainted = true;
    lab.options.replace.insert(addr("lab_thing.old"));
    assert_snapshot!(text(&lab.plan()), @r#"
    ~ lab_thing.a address size
    -/+ lab_thing.old address id zone [Requested]
    -/+ lab_thing.sick address id zone [Tainted]
    -/+ lab_thing.size address id zone [TriggeredBy(["lab_thing.a"])]
    -/+ lab_thing.t["attr"] address id zone [TriggeredBy(["lab_thing.a"])]
    -/+ lab_thing.t["whole"] address id zone [TriggeredBy(["lab_thing.a"])]
    = 1
    0 update lab_thing.a
    1 delete lab_thing.old
    2 create lab_thing.old <- 1
    3 delete lab_thing.sick
    4 create lab_thing.sick <- 3
    5 delete lab_thing.size
    6 create lab_thing.size <- 0 5
    7 delete lab_thing.t["attr"]
    8 create lab_thing.t["attr"] <- 0 7
    9 delete lab_thing.t["whole"]
    10 create lab_thing.t["whole"] <- 0 9
    "#);
}

fn begun(key: &str, attributes: &[(&'static str, Value)]) -> Pending {
    let lab = Lab::new();
    let kind = lab.registry.resource("lab_thing").unwrap();
    let none = kind.schema().attributes.iter().map(|(k, a)| (k.clone(), Value::null(a.ty.clone())));
    let mut planned = Value::object(none);
    for (name, value) in attributes {
        planned = planned.with_attr(name, value.clone());
    }
    Pending {
        addr: addr("lab_thing.a"),
        deposed: None,
        action: Action::Create,
        key: key.into(),
        provider: "lab".into(),
        schema_version: 0,
        planned: wire::encode(&planned, kind.ty()),
        checkpoint: None,
        dependencies: Vec::new(),
        create_before_destroy: false,
        timeouts: Default::default(),
    }
}

#[test]
fn what_an_interrupted_creation_left_is_told_where_it_was_found() {
    let mut lab = Lab::new();
    lab.left = ["k1".into(), "k2".into()].into();
    lab.main(r#"resource "lab_thing" "a" { image = "1" }"#);
    lab.pending = vec![begun("k1", &[("image", "1".into())])];
    assert_snapshot!(text(&lab.plan()), @r"
    + lab_thing.a [ResumedFound]
    0 create lab_thing.a (key k1)
    ");
    lab.pending = vec![begun("k2", &[("image", "2".into())])];
    assert_snapshot!(text(&lab.plan()), @r"
    + lab_thing.a [Supplants]
    0 delete lab_thing.a (key k2)
    1 create lab_thing.a <- 0
    ");
    lab.main(r#"resource "lab_thing" "b" {}"#);
    assert_snapshot!(text(&lab.plan()), @r"
    - lab_thing.a [AbandonedFound]
    + lab_thing.b
    0 create lab_thing.b
    1 delete lab_thing.a (key k2)
    ");
    // Nobody is asked where nothing is to be read.
    lab.options.refresh = false;
    assert!(text(&lab.plan()).contains("[Abandoned]"));
    assert_eq!(lab.waves, 0);
}

#[test]
fn what_was_begun_beside_an_object_or_twice_is_cleared_away() {
    let mut lab = Lab::new();
    lab.left = ["k1".into(), "k2".into()].into();
    lab.apply(r#"resource "lab_thing" "a" { image = "1" }"#);
    lab.pending = vec![begun("k1", &[("image", "1".into())])];
    assert_snapshot!(text(&lab.plan()), @r"
    - lab_thing.a [AbandonedFound]
    = 1
    0 delete lab_thing.a (key k1)
    ");
    // It went outside, and the run that made it anew was killed: twice.
    lab.real.insert(addr("lab_thing.a"), None);
    lab.pending.push(begun("k2", &[("image", "1".into())]));
    assert_snapshot!(text(&lab.plan()), @r"
    + lab_thing.a [ResumedFound]
    - lab_thing.a [AbandonedFound]
    drift lab_thing.a: gone
    0 create lab_thing.a (key k2)
    1 delete lab_thing.a (key k1)
    ");
}

#[test]
fn an_interrupted_creation_goes_on_or_is_cleared_away() {
    let mut lab = Lab::new();
    lab.main(r#"resource "lab_thing" "a" { image = "1" }"#);
    lab.pending = vec![begun("k1", &[("image", "1".into()), ("name", "other".into())])];
    assert_snapshot!(text(&lab.plan()), @r"
    + lab_thing.a [Resumed]
    0 create lab_thing.a (key k1)
    ");
    // It was going to be another thing.
    lab.pending = vec![begun("k2", &[("image", "2".into())])];
    assert_snapshot!(text(&lab.plan()), @r"
    + lab_thing.a
    0 delete lab_thing.a (key k2)
    1 create lab_thing.a <- 0
    ");
    // It is not wanted any more.
    lab.main(r#"resource "lab_thing" "b" {}"#);
    assert_snapshot!(text(&lab.plan()), @r"
    - lab_thing.a [Abandoned]
    + lab_thing.b
    0 create lab_thing.b
    1 delete lab_thing.a (key k2)
    ");
    assert_snapshot!(text(&lab.destroy()), @r"
    - lab_thing.a [Abandoned]
    0 delete lab_thing.a (key k2)
    ");
}

#[test]
fn what_an_earlier_run_deposed_is_deleted() {
    let mut lab = Lab::new();
    lab.apply(r#"resource "lab_thing" "a" {}"#);
    let object = lab.state.objects[&addr("lab_thing.a")].clone();
    lab.state.put(addr("lab_thing.a"), Some("00c0ffee".into()), object);
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    - lab_thing.a (deposed 00c0ffee) [Deposed]
    = 1
    0 delete lab_thing.a (deposed 00c0ffee)
    ");
    lab.run(&plan, |_| 0);
    assert!(lab.state.deposed.is_empty());
}

#[test]
fn what_an_earlier_run_deposed_goes_before_what_it_stands_on() {
    let mut lab = Lab::new();
    lab.apply(
        r#"
        resource "lab_thing" "a" {}
        resource "lab_thing" "b" { input = lab_thing.a.id }
        "#,
    );
    // A run that replaced both was killed before it deleted the old ones.
    for (name, key) in [("lab_thing.a", "00c0ffee"), ("lab_thing.b", "0badcafe")] {
        let object = lab.state.objects[&addr(name)].clone();
        lab.state.put(addr(name), Some(key.into()), object);
    }
    assert_snapshot!(text(&lab.plan()), @r"
    - lab_thing.a (deposed 00c0ffee) [Deposed]
    - lab_thing.b (deposed 0badcafe) [Deposed]
    = 2
    0 delete lab_thing.b (deposed 0badcafe)
    1 delete lab_thing.a (deposed 00c0ffee) <- 0
    ");
    assert_snapshot!(text(&lab.destroy()), @r"
    - lab_thing.a [Destroy]
    - lab_thing.a (deposed 00c0ffee) [Destroy]
    - lab_thing.b [Destroy]
    - lab_thing.b (deposed 0badcafe) [Destroy]
    0 delete lab_thing.b
    1 delete lab_thing.b (deposed 0badcafe)
    2 delete lab_thing.a <- 0 1
    3 delete lab_thing.a (deposed 00c0ffee) <- 0 1
    ");
}

#[test]
fn a_replacement_that_was_interrupted_goes_on() {
    let mut lab = Lab::new();
    let plan = r#"
        resource "lab_thing" "a" {
          image = "2"
          lifecycle { create_before_destroy = true }
        }
        resource "lab_thing" "b" { input = lab_thing.a.id }
        "#;
    lab.apply(&plan.replace('2', "1")).main(plan);
    // The run deposed the old one, began to create the new one, and was killed.
    let old = lab.state.remove(&addr("lab_thing.a"), None).unwrap();
    lab.state.put(addr("lab_thing.a"), Some("00c0ffee".into()), old);
    lab.pending = vec![begun("k1", &[("image", "2".into())])];
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    + lab_thing.a [Resumed]
    - lab_thing.a (deposed 00c0ffee) [Deposed]
    ~ lab_thing.b input output
    0 create lab_thing.a (key k1)
    1 update lab_thing.b <- 0
    2 delete lab_thing.a (deposed 00c0ffee) <- 0 1
    ");
    lab.run(&plan, |n| n - 1);
    assert_eq!(text(&lab.plan()), "= 2\n");
}

#[test]
fn what_is_stored_of_an_object_follows_the_configuration() {
    let mut lab = Lab::new();
    lab.apply(
        r#"
        resource "lab_thing" "a" {}
        resource "lab_thing" "b" {}
        "#,
    );
    lab.main(
        r#"
        resource "lab_thing" "a" {}
        resource "lab_thing" "b" { depends_on = [lab_thing.a] }
        "#,
    );
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    = 2
    0 record lab_thing.b
    ");
    lab.run(&plan, |_| 0);
    assert_eq!(lab.state.objects[&addr("lab_thing.b")].dependencies, [addr("lab_thing.a")]);
    // A value that becomes sensitive is sealed from then on.
    lab.main(
        r#"
        resource "lab_thing" "a" { name = sensitive("x") }
        resource "lab_thing" "b" { depends_on = [lab_thing.a] }
        "#,
    );
    let plan = lab.plan();
    lab.run(&plan, |_| 0);
    assert!(lab.state.objects[&addr("lab_thing.a")].attributes.to_string().contains("$sensitive"));
    assert_eq!(text(&lab.plan()), "= 2\n");
}

#[test]
fn estimates_come_from_what_is_remembered() {
    let mut lab = Lab::new();
    lab.apply(r#"resource "lab_thing" "a" { count = 2 }"#);
    lab.state.objects.get_mut(&addr("lab_thing.a[0]")).unwrap().duration_ms = Some(3000);
    lab.main(r#"resource "lab_thing" "a" { count = 3 }"#);
    let plan = lab.plan();
    assert_eq!(plan.operations[0].estimate.as_millis(), 2000, "the mean of its type");
    let gone = lab.destroy();
    assert_eq!(gone.operations.iter().map(|o| o.estimate.as_millis()).max(), Some(3000));
    assert!(gone.changes.iter().all(|c| c.reason == Some(Reason::Destroy)));
}

#[test]
fn a_plan_reads_back_from_its_file() {
    let mut lab = Lab::new();
    lab.main(
        r#"
        variable "token" { sensitive = true }
        provider "lab" { alias = "x" }
        resource "lab_thing" "a" { secret = var.token }
        resource "lab_thing" "b" {
          for_each = { "k.\"1\"" = 1 }
          input    = [lab_thing.a.id, { n = null }]
          provider = lab.x
        }
        output "ids" { value = [for b in lab_thing.b : b.id] }
        "#,
    );
    lab.variables.insert("token".into(), "hunter2".into());
    let plan = lab.plan();
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(json.matches("hunter2").count(), json.matches(r#"{"$sensitive":"hunter2"}"#).count());
    let back: grappe_plan::Plan = serde_json::from_str(&json).unwrap();
    assert_eq!(text(&back), text(&plan));
    assert_eq!(serde_json::to_string(&back).unwrap(), json);
    lab.run(&back, |_| 0);
    assert_eq!(text(&lab.plan()), "= 2\n");
}
