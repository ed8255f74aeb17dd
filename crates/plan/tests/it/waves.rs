//! What one plan can't decide on is open, and planned in the next wave.

use std::collections::{BTreeMap, BTreeSet};

use grappe_plan::{OpAction, Open, OpenReason, Plan, PlanMode, Waves};
use grappe_state::{Action, Pending};
use insta::assert_snapshot;
use proptest::prelude::*;

use crate::lab::{Lab, text};

/// Machines that say how many others there are.
const BY_ADDRESS: &str = r#"
    resource "lab_thing" "lb" { size = SIZE }
    resource "lab_thing" "other" { name = "other" }
    resource "lab_thing" "worker" {
      for_each = toset([lab_thing.lb.address, "fixed"])
      name     = each.key
    }
    resource "lab_thing" "after" {
      name  = "after"
      input = [for w in lab_thing.worker : w.name]
    }
    resource "lab_thing" "waits" {
      name       = "waits"
      depends_on = [lab_thing.worker]
    }
    data "lab_lookup" "d" { key = lab_thing.after.id }
    output "workers" { value = keys(lab_thing.worker) }
    output "lb" { value = lab_thing.lb.size }
"#;

fn by_address(size: u8) -> String {
    BY_ADDRESS.replace("SIZE", &size.to_string())
}

/// The plans of one apply.
fn waves_of(lab: &mut Lab) -> Vec<Plan> {
    lab.run_waves(|n| n - 1).unwrap_or_else(|found| panic!("{found}"))
}

/// What is done, in short.
fn done(plan: &Plan) -> Vec<String> {
    let shown = plan.operations.iter().filter(|op| !matches!(op.action, OpAction::Join));
    let mut done: Vec<String> =
        shown.map(|op| format!("{} {}", op.action.verb(), op.addr).replace("lab_thing.", "")).collect();
    done.sort();
    done
}

fn open(plan: &Plan) -> Vec<String> {
    plan.open.iter().map(|o| o.what.to_string().replace("lab_thing.", "")).collect()
}

fn state(lab: &Lab) -> Vec<String> {
    lab.state.objects.keys().map(|addr| addr.to_string().replace("lab_thing.", "")).collect()
}

#[test]
fn a_block_whose_keys_are_not_known_waits_and_what_depends_on_it() {
    let mut lab = Lab::new();
    lab.main(&by_address(1));
    let plans = waves_of(&mut lab);
    assert_snapshot!(text(&plans[0]), @r#"
    + lab_thing.lb
    + lab_thing.other
    output lb Create: None -> Some(1)
    ? lab_thing.worker [ForEach] <- lab_thing.lb
    ? lab_thing.after [Dependencies] <- lab_thing.worker
    ? lab_thing.waits [Dependencies] <- lab_thing.worker
    ? data.lab_lookup.d [Dependencies] <- lab_thing.worker
    ? output workers
    0 create lab_thing.lb
    1 create lab_thing.other
    "#);
    assert_snapshot!(text(&plans[1]), @r#"
    + lab_thing.after
    + lab_thing.waits
    + lab_thing.worker["10.0.0.2"]
    + lab_thing.worker["fixed"]
    <= data.lab_lookup.d [ArgumentsUnknown]
    = 2
    output workers Create: None -> Some(["10.0.0.2", "fixed"])
    0 create lab_thing.worker["10.0.0.2"]
    1 create lab_thing.worker["fixed"]
    2 create lab_thing.after <- 0 1
    3 create lab_thing.waits <- 0 1
    4 read data.lab_lookup.d <- 2
    "#);
    assert_eq!(plans.len(), 2);
    assert_eq!(text(&lab.plan()), "= 7\n");
}

#[test]
fn what_exists_of_an_open_block_stays_until_it_is_known() {
    let mut lab = Lab::new();
    lab.main(&by_address(1));
    waves_of(&mut lab);
    lab.main(&by_address(2));
    let plans = waves_of(&mut lab);
    assert_snapshot!(text(&plans[0]), @r#"
    ~ lab_thing.lb address size
    = 1
    output lb Update: Some(1) -> Some(2)
    ? lab_thing.worker = 2 [ForEach] <- lab_thing.lb
    ? lab_thing.after = 1 [Dependencies] <- lab_thing.worker
    ? lab_thing.waits = 1 [Dependencies] <- lab_thing.worker
    ? data.lab_lookup.d [Dependencies] <- lab_thing.worker
    ? output workers
    0 update lab_thing.lb
    "#);
    assert_snapshot!(text(&plans[1]), @r#"
    ~ lab_thing.after input[0] output[0]
    - lab_thing.worker["10.0.0.2"] [KeyNotInForEach]
    + lab_thing.worker["10.0.0.7"]
    = 5
    output workers Update: Some(["10.0.0.2", "fixed"]) -> Some(["10.0.0.7", "fixed"])
    0 create lab_thing.worker["10.0.0.7"]
    1 update lab_thing.after <- 0
    2 delete lab_thing.worker["10.0.0.2"] <- 1
    "#);
    assert_eq!(text(&lab.plan()), "= 7\n");
    let destroyed = lab.destroy();
    assert!(destroyed.open.is_empty());
    lab.run(&destroyed, |_| 0);
    assert!(lab.state.is_empty());
}

#[test]
fn a_module_is_open_with_all_that_is_in_it() {
    let mut lab = Lab::new();
    lab.file(
        "m/main.tf",
        r#"
        variable "n" {}
        resource "lab_thing" "a" { name = var.n }
        resource "lab_thing" "many" { count = length(split(".", lab_thing.a.address)) }
        output "ids" { value = lab_thing.many[*].id }
        output "n" { value = var.n }
        "#,
    );
    lab.main(
        r#"
        resource "lab_thing" "first" {}
        module "m" {
          source   = "./m"
          for_each = { (lab_thing.first.id) = "x", b = "y" }
          n        = each.value
        }
        module "single" {
          source = "./m"
          n      = "s"
        }
        resource "lab_thing" "one" { input = module.single.n }
        resource "lab_thing" "all" { input = module.single.ids }
        resource "lab_thing" "after" { depends_on = [module.m] }
        "#,
    );
    let plans = waves_of(&mut lab);
    assert_eq!(open(&plans[0]), ["module.m", "module.single.many", "all", "after"]);
    assert_eq!(done(&plans[0]), ["create first", "create module.single.a", "create one"]);
    assert_eq!(open(&plans[1]), ["module.m[\"b\"].many", "module.m[\"id-3\"].many", "after"]);
    assert_eq!(plans.len(), 3, "what is in the module has its own");
    assert_eq!(lab.state.objects.len(), 1 + 3 * 5 + 3);
    assert!(lab.plan().is_empty());
}

#[test]
fn what_a_wave_did_is_not_done_again_by_the_next() {
    let mut lab = Lab::new();
    let main = r#"
        resource "lab_thing" "a" { size = length(timestamp()) }
        resource "lab_thing" "always" { name = timestamp() }
        resource "lab_thing" "b" {
          for_each = toset([lab_thing.a.address])
          lifecycle { replace_triggered_by = [lab_thing.always.name] }
        }
    "#;
    lab.main(main);
    for _ in 0..2 {
        lab.options.replace = ["lab_thing.always".parse().unwrap()].into();
        let plans = waves_of(&mut lab);
        assert_eq!(plans.len(), 2);
        assert!(
            !done(&plans[1]).iter().any(|d| d.contains("always") || d.contains(" a")),
            "{}",
            text(&plans[1])
        );
    }
}

#[test]
fn what_triggers_a_replacement_is_remembered_over_the_waves() {
    let mut lab = Lab::new();
    let main = |size: u8| {
        format!(
            r#"
            resource "lab_thing" "a" {{ size = {size} }}
            resource "lab_thing" "b" {{
              count = lab_thing.a.address == "" ? 1 : 2
              lifecycle {{ replace_triggered_by = [lab_thing.a.size] }}
            }}
            resource "lab_thing" "c" {{
              count = lab_thing.a.address == "" ? 1 : 2
              lifecycle {{ replace_triggered_by = [lab_thing.a.name] }}
            }}
            "#
        )
    };
    lab.main(&main(1));
    waves_of(&mut lab);
    lab.main(&main(2));
    let plans = waves_of(&mut lab);
    assert_eq!(done(&plans[0]), ["update a"]);
    assert_eq!(done(&plans[1]), ["create b[0]", "create b[1]", "delete b[0]", "delete b[1]"]);
}

#[test]
fn the_old_one_stays_as_long_as_something_open_stands_on_it() {
    let main = |image: u8, first: bool| {
        format!(
            r#"
            resource "lab_thing" "a" {{
              image = "{image}"
              lifecycle {{ create_before_destroy = {first} }}
            }}
            resource "lab_thing" "b" {{
              count = lab_thing.a.address == "" ? 1 : 2
              input = lab_thing.a.id
            }}
            "#
        )
    };
    let mut lab = Lab::new();
    lab.main(&main(1, true));
    waves_of(&mut lab);
    lab.main(&main(2, true));
    let plans = waves_of(&mut lab);
    assert_snapshot!(text(&plans[0]), @r#"
    +/- lab_thing.a address id image zone [Attributes([Path([Attr("image")])])]
    ? lab_thing.b = 2 [Count] <- lab_thing.a
    0 create lab_thing.a
    "#);
    assert_snapshot!(text(&plans[1]), @r#"
    - lab_thing.a (deposed 00000000) [Deposed]
    ~ lab_thing.b[0] input output
    ~ lab_thing.b[1] input output
    = 1
    0 update lab_thing.b[0]
    1 update lab_thing.b[1]
    2 delete lab_thing.a (deposed 00000000) <- 0 1
    "#);
    assert!(plans[0].warnings.0.is_empty(), "{}", plans[0].warnings);
    // Without it, that is said.
    lab.main(&main(3, false));
    let plan = lab.plan();
    let said: Vec<_> = plan.warnings.iter().map(|w| (&*w.summary, &*w.detail)).collect();
    assert_eq!(
        said,
        [(
            "Replaced under what is still open",
            "lab_thing.a is deleted and made anew while lab_thing.b[0], lab_thing.b[1] still stands on it: what becomes of that is \
             planned in a later wave."
        )]
    );
}

#[test]
fn an_object_without_a_block_stays_while_something_open_stands_on_it() {
    let mut lab = Lab::new();
    lab.apply(
        r#"
        resource "lab_thing" "old" {}
        resource "lab_thing" "lb" { size = 1 }
        resource "lab_thing" "b" {
          count = 1
          input = lab_thing.old.id
        }
        "#,
    );
    lab.main(
        r#"
        resource "lab_thing" "lb" { size = 2 }
        resource "lab_thing" "b" { count = lab_thing.lb.address == "" ? 1 : 2 }
        "#,
    );
    let plans = waves_of(&mut lab);
    assert_eq!(done(&plans[0]), ["update lb"]);
    assert_eq!(done(&plans[1]), ["create b[1]", "delete old", "update b[0]"]);
}

#[test]
fn waves_that_get_nowhere_end_with_what_they_wait_for() {
    let mut lab = Lab::new();
    lab.main(
        r#"
        data "lab_lookup" "t" { key = timestamp() }
        resource "lab_thing" "b" { for_each = toset([data.lab_lookup.t.value]) }
        "#,
    );
    let stuck = lab.run_waves(|_| 0).unwrap_err();
    assert_snapshot!(stuck.to_string(), @r#"A block stays open: What lab_thing.b waits for does not come to rest: data.lab_lookup.t was just done, and is to be done once more. (find out with "grappe plan" why that is so; what was applied stays)"#);
}

#[test]
fn limits_hold_for_all_waves() {
    let mut lab = Lab::new();
    lab.main(&by_address(1));
    lab.target(&["lab_thing.after"]);
    let plans = waves_of(&mut lab);
    assert_eq!(done(&plans[0]), ["create lb"], "what the open block waits for");
    assert_eq!(open(&plans[0]), ["worker", "after"]);
    assert!(!plans[0].warnings.iter().any(|w| w.summary == "Target without effect"), "{}", plans[0].warnings);
    assert_eq!(state(&lab), ["after", "lb", "worker[\"10.0.0.1\"]", "worker[\"fixed\"]"]);

    let mut lab = Lab::new();
    lab.main(&by_address(1));
    lab.options.excludes = vec!["lab_thing.after".parse().unwrap()];
    let plans = waves_of(&mut lab);
    assert_eq!(open(&plans[0]), ["worker", "waits"]);
    assert_eq!(state(&lab), ["lb", "other", "waits", "worker[\"10.0.0.2\"]", "worker[\"fixed\"]"]);

    // What it depends on is left alone: nothing makes it known, and nobody waits for it.
    let mut lab = Lab::new();
    lab.main(&by_address(1));
    lab.options.excludes = vec!["lab_thing.lb".parse().unwrap()];
    let plans = waves_of(&mut lab);
    assert_eq!((plans.len(), done(&plans[0])), (1, vec!["create other".to_owned()]));
}

#[test]
fn what_a_killed_run_began_of_an_open_block_is_gone_on_with_when_it_is_known() {
    let mut lab = Lab::new();
    lab.main(&by_address(1));
    let first = lab.plan();
    lab.run(&first, |_| 0);
    let worker = "lab_thing.worker[\"fixed\"]";
    let begun = Pending {
        addr: worker.parse().unwrap(),
        deposed: None,
        action: Action::Create,
        key: "k1".into(),
        provider: "lab".into(),
        schema_version: 0,
        planned: serde_json::json!({ "name": "fixed" }),
        checkpoint: None,
        dependencies: Vec::new(),
        create_before_destroy: false,
        timeouts: Default::default(),
    };
    // Killed in the second wave: the next run closes it at once.
    lab.pending = vec![begun.clone()];
    let plan = lab.plan();
    assert!(plan.open.is_empty());
    assert!(text(&plan).contains(&format!("create {worker} (key k1)")), "{}", text(&plan));
    // Even where it is open again: nothing is done to it before it is known.
    lab.main(&by_address(2));
    let plan = lab.plan();
    assert_eq!(done(&plan), ["update lb"]);
    let pending = lab.pending.clone();
    lab.run(&plan, |_| 0);
    lab.pending = pending;
    let plan = lab.plan();
    assert!(text(&plan).contains(&format!("create {worker} (key k1)")), "{}", text(&plan));
}

#[test]
fn an_open_plan_is_the_same_from_a_file() {
    let mut lab = Lab::new();
    lab.main(&by_address(1));
    lab.options.replace = ["lab_thing.worker[\"fixed\"]".parse().unwrap()].into();
    let plan = lab.plan();
    let json = serde_json::to_string(&plan).unwrap();
    let again: Plan = serde_json::from_str(&json).unwrap();
    assert_eq!(text(&again), text(&plan));
    assert_eq!(again.open_replace, plan.open_replace);
    assert_eq!(again.open_replace.len(), 1);
}

#[test]
fn refreshing_alone_leaves_nothing_open() {
    let mut lab = Lab::new();
    lab.main(&by_address(1));
    waves_of(&mut lab);
    lab.main(&by_address(2));
    lab.options.mode = PlanMode::RefreshOnly;
    let plan = lab.plan();
    assert!(plan.open.is_empty() && plan.operations.is_empty(), "{}", text(&plan));
}

#[test]
fn what_is_wrong_with_an_open_block_is_said_before_anything_is_done() {
    let mut lab = Lab::new();
    lab.main(
        r#"
        resource "lab_thing" "a" {}
        resource "lab_thing" "b" {
          for_each = toset([lab_thing.a.id])
          name     = "bad"
          size     = "many"
        }
        "#,
    );
    assert_snapshot!(lab.refused(), @r#"Incorrect attribute value type: Inappropriate value for attribute "size": a number is required."#);
}

/// What is on a cloud that is exchanged can be read when the new one is there, and not before.
#[test]
fn what_is_behind_a_provider_that_is_made_waits_to_be_read() {
    let main = |image: u8| {
        format!(
            r#"
            resource "lab_thing" "cloud" {{ image = "{image}" }}
            provider "lab" {{
              alias  = "inner"
              region = lab_thing.cloud.id
            }}
            resource "lab_thing" "in" {{
              provider = lab.inner
              name     = "in"
            }}
            resource "lab_thing" "out" {{ input = lab_thing.in.id }}
            "#
        )
    };
    let mut lab = Lab::new();
    lab.main(&main(1));
    let plans = waves_of(&mut lab);
    assert_eq!(plans.len(), 1, "where nothing exists there is nothing to read");
    lab.main(&main(2));
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r#"
    -/+ lab_thing.cloud address id image zone [Attributes([Path([Attr("image")])])]
    ? lab_thing.in = 1 [Provider] <- lab_thing.cloud
    ? lab_thing.out = 1 [Dependencies] <- lab_thing.in
    0 delete lab_thing.cloud
    1 create lab_thing.cloud <- 0
    "#);
    lab.run(&plan, |_| 0);
    lab.real.insert("lab_thing.in".parse().unwrap(), None);
    let plan = lab.next_wave(&mut Waves::default(), &plan).unwrap();
    assert_snapshot!(text(&plan), @r#"
    + lab_thing.in [GoneOutside]
    ~ lab_thing.out input output
    = 1
    drift lab_thing.in: gone
    0 create lab_thing.in
    1 update lab_thing.out <- 0
    "#);
}

#[test]
fn what_is_imported_by_an_id_that_is_made_waits() {
    let mut lab = Lab::new();
    lab.main(
        r#"
        resource "lab_thing" "a" {}
        import {
          to = lab_thing.b
          id = lab_thing.a.id
        }
        resource "lab_thing" "b" {}
        import {
          for_each = toset([lab_thing.a.address])
          to       = lab_thing.c[each.key]
          id       = "c-${each.key}"
        }
        resource "lab_thing" "c" { for_each = toset([lab_thing.a.address, "x"]) }
        resource "lab_thing" "d" { input = [lab_thing.b.id, [for c in lab_thing.c : c.id]] }
        "#,
    );
    let plans = waves_of(&mut lab);
    assert_eq!(open(&plans[0]), ["c", "b", "d"]);
    assert_eq!(done(&plans[0]), ["create a"]);
    let taken: Vec<String> = plans[1].imports.iter().map(|i| format!("{} {:?}", i.addr, i.id)).collect();
    assert_eq!(taken, ["lab_thing.b \"id-1\"", "lab_thing.c[\"10.0.0.1\"] \"c-10.0.0.1\""]);
    assert!(lab.plan().is_empty());
}

/// A resource of a random plan.
#[derive(Clone, Debug)]
struct Node {
    /// Lower ones that it is made of.
    on: Vec<usize>,
    /// A lower one that says which instances it has.
    by: Option<usize>,
    keys: BTreeSet<u8>,
    image: u8,
    size: u8,
    create_first: bool,
    waits: bool,
    absent: bool,
}

fn node(i: usize) -> impl Strategy<Value = Node> {
    let lower = move || 0..i.max(1);
    (
        prop::collection::vec(lower(), 0..3),
        prop::option::of(lower()),
        prop::collection::btree_set(0u8..3, 0..3),
        (0u8..2, 0u8..2),
        any::<[bool; 2]>(),
        0u8..6,
    )
        .prop_map(move |(on, by, keys, (image, size), [create_first, waits], absent)| Node {
            on: on.into_iter().filter(|o| *o < i).collect(),
            by: by.filter(|by| *by < i),
            keys,
            image,
            size,
            create_first,
            waits,
            absent: absent == 0,
        })
}

/// A configuration in which a block's instances depend on something that is known only when it exists (`open`), or on something known.
fn config(nodes: &[Node], open: bool) -> String {
    let mut out = String::new();
    for (i, node) in nodes.iter().enumerate().filter(|(_, n)| !n.absent) {
        let alive = |o: &&usize| !nodes[**o].absent;
        let repeated = |o: usize| nodes[o].by.is_some_and(|by| !nodes[by].absent);
        let all = |o: &usize, attr: &str| match repeated(*o) {
            true => format!("[for x in lab_thing.r{o} : x.{attr}]"),
            false => format!("lab_thing.r{o}.{attr}"),
        };
        let inputs: Vec<String> = node.on.iter().filter(alive).map(|o| all(o, "id")).collect();
        let mut body = format!(
            "image = \"{}\"\nsize = {}\ninput = [{}]\nlifecycle {{\ncreate_before_destroy = {}\n}}\n",
            node.image,
            node.size,
            inputs.join(", "),
            node.create_first
        );
        if let Some(by) = node.by.filter(|by| !nodes[*by].absent) {
            let keys: Vec<String> = node.keys.iter().map(|k| format!("\"k{k}\"")).collect();
            let attr = if open { "address" } else { "image" };
            body.push_str(&format!(
                "for_each = jsonencode({}) == \"\" ? toset([\"never\"]) : toset([{}])\n",
                all(&by, attr),
                keys.join(", ")
            ));
        }
        if let Some(o) = node.on.iter().find(alive).filter(|_| node.waits) {
            body.push_str(&format!("depends_on = [lab_thing.r{o}]\n"));
        }
        out.push_str(&format!("resource \"lab_thing\" \"r{i}\" {{\n{body}}}\n"));
        out.push_str(&format!("output \"o{i}\" {{\nvalue = {}\n}}\n", all(&i, "image")));
    }
    out
}

/// All that is not chance: what each object is, what it depends on, and the outputs.
fn end(lab: &Lab) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let objects = lab.state.objects.iter().map(|(addr, o)| {
        let a = &o.attributes;
        let inputs = a["input"].to_string().matches("id-").count();
        let what =
            format!("{} {} {inputs} {:?} {}", a["image"], a["size"], o.dependencies, o.create_before_destroy);
        (addr.to_string(), what)
    });
    let outputs = lab.state.outputs.iter().map(|(name, o)| (name.clone(), o.value.to_string()));
    (objects.collect(), outputs.collect())
}

fn configs() -> impl Strategy<Value = (Vec<Node>, Vec<Node>)> {
    let nodes = || (0..7usize).map(node).collect::<Vec<_>>();
    (nodes(), nodes())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 300, cases: 64, ..ProptestConfig::default() })]
    /// From any configuration to any other, in any order: the waves end, and what is there then is what one plan makes where all is known at once.
    #[test]
    fn waves_come_to_what_one_plan_would((first, second) in configs(), order in prop::collection::vec(0usize..97, 40)) {
        let (mut waved, mut known) = (Lab::new(), Lab::new());
        let mut turn = 0;
        let mut choose = |n: usize| {
            turn += 1;
            order[turn % order.len()] % n
        };
        for nodes in [&first, &second] {
            waved.main(&config(nodes, true));
            let plans = waved.run_waves(&mut choose).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert!(plans.len() <= 7);
            for plan in &plans {
                let blocks = plan.open.iter().filter(|o| o.why != OpenReason::Dependencies);
                let untouched = |o: &Open| !plan.operations.iter().any(|op| o.what.matches(&op.addr));
                prop_assert!(blocks.clone().all(untouched), "{}", text(plan));
            }
            known.main(&config(nodes, false));
            let plan = known.plan();
            prop_assert!(plan.open.is_empty());
            known.run(&plan, &mut choose);
            prop_assert_eq!(end(&waved), end(&known));
            prop_assert!(waved.state.deposed.is_empty());
            let again = waved.plan();
            prop_assert!(again.is_empty(), "{}", text(&again));
        }
        let plan = waved.destroy();
        waved.run(&plan, &mut choose);
        prop_assert!(waved.state.is_empty());
    }
}
