//! Plans applied in any order that they allow, and large ones.

use std::fmt::Write as _;

use proptest::prelude::*;

use crate::lab::{Lab, text};

/// A resource of a random plan: what it is made of (lower ones), and its flags.
#[derive(Clone, Debug)]
struct Node {
    on: Vec<usize>,
    image: u8,
    size: u8,
    count: u8,
    through_local: bool,
    create_first: bool,
    absent: bool,
}

fn node(i: usize) -> impl Strategy<Value = Node> {
    (prop::collection::vec(0..i.max(1), 0..3), 0u8..2, 0u8..2, 0u8..4, any::<[bool; 2]>(), 0u8..5).prop_map(
        move |(on, image, size, count, [through_local, create_first], absent)| Node {
            on: on.into_iter().filter(|o| *o < i).collect(),
            image,
            size,
            count,
            through_local,
            create_first,
            absent: absent == 0,
        },
    )
}

fn plan_text(nodes: &[Node]) -> String {
    let mut out = String::new();
    for (i, n) in nodes.iter().enumerate().filter(|(_, n)| !n.absent) {
        let alive = n.on.iter().filter(|o| !nodes[**o].absent);
        let inputs: Vec<String> = alive
            .map(|o| match (nodes[*o].count, n.count) {
                // As many: instance by instance.
                (a, b) if a > 0 && a == b => format!("lab_thing.r{o}[count.index].id"),
                (0, _) => format!("lab_thing.r{o}.id"),
                _ => format!("lab_thing.r{o}[*].id"),
            })
            .collect();
        let count = if n.count > 0 { format!("count = {}\n", n.count) } else { String::new() };
        let image = n.image;
        let mut input = format!("[{}]", inputs.join(", "));
        if n.through_local && !input.contains("count.index") {
            writeln!(out, "locals {{\n  l{i} = {input}\n}}").unwrap();
            input = format!("local.l{i}");
        }
        writeln!(
            out,
            "resource \"lab_thing\" \"r{i}\" {{\n{count}image = \"{image}\"\nsize = {}\ninput = {input}\n\
             lifecycle {{\ncreate_before_destroy = {}\n}}\n}}\noutput \"o{i}\" {{\nvalue = {input2}\n}}",
            n.size,
            n.create_first,
            input2 =
                if n.count > 0 { format!("lab_thing.r{i}[*].id") } else { format!("lab_thing.r{i}.address") },
        )
        .unwrap();
    }
    out
}

fn plans() -> impl Strategy<Value = (Vec<Node>, Vec<Node>)> {
    let nodes = || (0..7usize).map(node).collect::<Vec<_>>();
    (nodes(), nodes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    /// From any configuration to any other, in any order: afterwards there is nothing to do, and a destroy leaves nothing.
    #[test]
    fn whatever_is_applied_is_what_is_planned_next((first, second) in plans(), order in prop::collection::vec(0usize..97, 40)) {
        let mut lab = Lab::new();
        let mut turn = 0;
        let mut choose = |n: usize| {
            turn += 1;
            order[turn % order.len()] % n
        };
        for nodes in [&first, &second] {
            lab.main(&plan_text(nodes));
            let plan = lab.plan();
            for (i, op) in plan.operations.iter().enumerate() {
                prop_assert!(op.id.index() == i && op.requires.iter().all(|r| r.index() < i));
            }
            lab.run(&plan, &mut choose);
            let again = lab.plan();
            prop_assert!(again.is_empty(), "{}", text(&again));
        }
        let plan = lab.destroy();
        lab.run(&plan, &mut choose);
        prop_assert!(lab.state.is_empty());
    }
}

/// 20 layers of resources, each of which is made of two or three of the layer before.
fn layered(n: usize) -> String {
    let mut out = String::new();
    let width = n / 20;
    for i in 0..n {
        let mut input = String::new();
        if i >= width {
            let before = (i / width - 1) * width;
            for k in 0..2 + i % 2 {
                write!(input, "lab_thing.r{}.id, ", before + (i * 7 + k * 13) % width).unwrap();
            }
        }
        writeln!(out, "resource \"lab_thing\" \"r{i}\" {{\ninput = [{input}]\n}}").unwrap();
    }
    out
}

fn chain(n: usize) -> String {
    let mut out = "resource \"lab_thing\" \"r0\" {}\n".to_owned();
    for i in 1..n {
        writeln!(out, "locals {{\n  l{i} = lab_thing.r{}.id\n}}", i - 1).unwrap();
        writeln!(out, "resource \"lab_thing\" \"r{i}\" {{\ninput = local.l{i}\n}}").unwrap();
    }
    out
}

/// Fresh, again, and away; all on a stack of 2 MB.
#[expect(clippy::disallowed_macros, reason = "figures for whoever runs it with --nocapture")]
fn through(name: &'static str, text: String, n: usize) {
    let run = move || {
        let mut lab = Lab::new();
        let config = lab.main(&text).config();
        let timed = |what: &str, lab: &mut Lab| {
            let start = std::time::Instant::now();
            let plan = lab.plan_of(&config).unwrap();
            eprintln!("{name} {n}: {what} in {:?}", start.elapsed());
            plan
        };
        let fresh = timed("fresh plan", &mut lab);
        assert_eq!(fresh.operations.len(), n);
        let edges: usize = fresh.operations.iter().map(|o| o.requires.len()).sum();
        assert!(edges <= 3 * n, "{edges} edges");
        let start = std::time::Instant::now();
        lab.run_in_order(&fresh);
        eprintln!("{name} {n}: applied in {:?}", start.elapsed());
        assert!(timed("no-op plan", &mut lab).is_empty());
        lab.options.mode = grappe_plan::PlanMode::Destroy;
        assert_eq!(timed("destroy plan", &mut lab).operations.len(), n);
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn ten_thousand_in_layers() {
    through("layered", layered(10_000), 10_000);
}

#[test]
fn a_chain_of_ten_thousand() {
    through("chain", chain(10_000), 10_000);
}

#[test]
fn ten_thousand_by_count_and_key() {
    let text = r#"
        resource "lab_thing" "a" {
          count = 3000
          name  = "n-${count.index}"
        }
        resource "lab_thing" "b" {
          count = 3000
          input = lab_thing.a[count.index].id
        }
        resource "lab_thing" "c" {
          # `range` gives at most 1,024.
          for_each = { for pair in setproduct(range(4), range(1000)) : "k${pair[0]}-${pair[1]}" => pair[0] * 600 + pair[1] }
          input    = lab_thing.b[each.value].id
        }"#;
    through("repeated", text.to_owned(), 10_000);
}

#[test]
fn a_thousand_that_look_at_a_thousand() {
    let text = r#"
        resource "lab_thing" "a" { count = 1000 }
        locals { all = lab_thing.a[*].id }
        resource "lab_thing" "b" {
          count = 1000
          input = local.all[count.index]
        }"#;
    let mut lab = Lab::new();
    let plan = lab.main(text).plan();
    let edges: usize = plan.operations.iter().map(|o| o.requires.len()).sum();
    assert_eq!((plan.operations.len(), edges), (2001, 2000), "they meet in one join");
    lab.run_in_order(&plan);
    assert!(lab.state.objects.values().all(|o| o.dependencies.len() < 2));
    let destroy = lab.destroy();
    let edges: usize = destroy.operations.iter().map(|o| o.requires.len()).sum();
    assert_eq!(edges, 2000);
}
