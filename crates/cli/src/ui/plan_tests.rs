//! Plans built by hand, as people see them.

use std::sync::Arc;

use grappe_plan::{Action, Change, Drift, OpAction, OpId, Operation, OutputChange, ProviderKey};
use grappe_value::{Step, Type};

use super::*;
use crate::registry::registry;

fn plan(changes: Vec<Change>) -> Plan {
    Plan {
        mode: PlanMode::Normal,
        operations: changes
            .iter()
            .enumerate()
            .filter(|(_, c)| c.action != Action::NoOp)
            .map(|(i, c)| op(i as u32, &c.addr.to_string(), 0, &[]))
            .collect(),
        changes,
        moves: Vec::new(),
        imports: Vec::new(),
        outputs: BTreeMap::new(),
        drift: Vec::new(),
        providers: Vec::new(),
        variables: BTreeMap::new(),
        given_again: Vec::new(),
        data: Vec::new(),
        warnings: grappe_diag::Diagnostics::new(),
        base: grappe_plan::StateStamp::default(),
        timestamp: None,
        workspace: "default".into(),
        targets: Vec::new(),
        excludes: Vec::new(),
        open: Vec::new(),
        open_outputs: Vec::new(),
        open_replace: Vec::new(),
    }
}

fn op(id: u32, addr: &str, secs: u64, requires: &[u32]) -> Operation {
    Operation {
        id: OpId(id),
        addr: addr.parse().unwrap(),
        object: grappe_plan::ObjectRef::Current,
        action: OpAction::Create { resume: None, deposes: false },
        provider: ProviderKey::root("sim"),
        prior: None,
        planned: None,
        requires: requires.iter().map(|r| OpId(*r)).collect(),
        dependencies: Vec::new(),
        estimate: Duration::from_secs(secs),
        create_before_destroy: false,
        steps: 0,
        lenient: false,
        timeouts: Default::default(),
    }
}

fn change(addr: &str, action: Action, before: Option<Value>, after: Option<Value>) -> Change {
    Change {
        addr: addr.parse().unwrap(),
        deposed: None,
        action,
        reason: None,
        before,
        after,
        importing: None,
        changed: Vec::new(),
    }
}

fn machine(name: &str, cpus: i64) -> Value {
    Value::object([
        ("name", Value::from(name)),
        ("cpus", cpus.into()),
        ("image", "debian-12".into()),
        ("key", Value::from("hunter2").sensitive()),
        ("note", Value::null(Type::String)),
        ("address", Value::unknown(Type::String)),
    ])
}

fn text(plan: &Plan) -> String {
    let lines = render(plan, &registry(), Style::default());
    for line in &lines {
        assert!(columns(line) <= 80, "{} columns: {line}", columns(line));
    }
    lines.join("\n")
}

#[test]
fn instances_that_are_created_alike_are_one_entry() {
    let mut changes: Vec<Change> = ["cp-1", "cp-2", "w-1"]
        .iter()
        .map(|n| change(&format!("sim_machine.node[{n:?}]"), Action::Create, None, Some(machine(n, 2))))
        .collect();
    changes.push(change("sim_network.lab", Action::Create, None, Some(machine("lab", 1))));
    let mut plan = plan(changes);
    plan.operations = vec![
        op(0, "sim_network.lab", 2, &[]),
        op(1, "sim_machine.node[\"cp-1\"]", 40, &[0]),
        op(2, "sim_machine.node[\"cp-2\"]", 90, &[0]),
    ];
    plan.outputs.insert(
        "endpoint".into(),
        OutputChange {
            action: Action::Create,
            before: None,
            after: Some(Value::unknown(Type::String)),
            sensitive: false,
        },
    );
    plan.outputs.insert(
        "token".into(),
        OutputChange { action: Action::Create, before: None, after: Some("hunter2".into()), sensitive: true },
    );
    insta::assert_snapshot!(text(&plan));
}

#[test]
fn every_action_says_what_and_why() {
    let with = |mut c: Change, reason| {
        c.reason = Some(reason);
        c
    };
    let replace = |create_first| Action::Replace { create_first };
    let labels = |zone: &str| {
        Value::object([
            ("name", Value::from("w-1")),
            ("labels", Value::map(Type::String, [("zone", Value::from(zone)), ("a", "b".into())])),
        ])
    };
    let update = |addr: &str| change(addr, Action::Update, Some(labels("lan")), Some(labels("dmz")));
    let mut deposed =
        with(change("sim_machine.a", Action::Delete, Some(machine("a", 1)), None), Reason::Deposed);
    deposed.deposed = Some("0badcafe".into());
    let plan = plan(vec![
        update("kube_node.n[\"w-1\"]"),
        update("kube_node.n[\"w-2\"]"),
        with(
            change("sim_machine.a", replace(false), Some(machine("a", 2)), Some(machine("a", 4))),
            Reason::Attributes(vec![Path::attr("cpus")]),
        ),
        deposed,
        with(
            change("sim_machine.b", replace(true), Some(machine("b", 2)), Some(machine("b", 2))),
            Reason::TriggeredBy(vec!["sim_network.lab".into()]),
        ),
        with(
            change("sim_machine.c[3]", Action::Delete, Some(machine("c", 2)), None),
            Reason::IndexOutOfCount,
        ),
        with(
            change("sim_machine.c[4]", Action::Delete, Some(machine("d", 2)), None),
            Reason::IndexOutOfCount,
        ),
        with(
            change(
                "data.local_file.f",
                Action::Read,
                None,
                Some(Value::object([("filename", Value::unknown(Type::String))])),
            ),
            Reason::ArgumentsUnknown,
        ),
        change("module.m.host_file.f", Action::Forget, Some(machine("f", 2)), None),
        change("host_file.same", Action::NoOp, None, None),
    ]);
    insta::assert_snapshot!(text(&plan));
}

#[test]
fn what_forces_a_replacement_is_marked_where_it_stands() {
    let of = |port: i64| {
        Value::object([(
            "listen",
            Value::list(Type::Any, [Value::object([("port", Value::from(port)), ("address", "::".into())])]),
        )])
    };
    let mut c =
        change("haproxy_proxy.lb", Action::Replace { create_first: false }, Some(of(80)), Some(of(81)));
    let listen = Path::attr("listen");
    c.reason = Some(Reason::Attributes(vec![listen.then(Step::Index(0)).then(Step::Attr("port".into()))]));
    let text = text(&plan(vec![c]));
    assert!(text.contains("~ port = 80 -> 81 # forces replacement"), "{text}");
}

#[test]
fn nothing_to_do_is_one_line_and_drift_comes_first() {
    let mut none = plan(vec![change("a.b", Action::NoOp, None, None)]);
    none.operations.clear();
    assert_eq!(text(&none), "No changes: the world is as the plan says.");
    none.drift.push(Drift {
        addr: "kube_node.n[\"w-1\"]".parse().unwrap(),
        before: Some(Value::object([("taint", Value::from("dmz"))])),
        after: Some(Value::object([("taint", Value::null(Type::String))])),
        changed: vec![Path::attr("taint")],
    });
    none.drift.push(Drift { addr: "a.b".parse().unwrap(), before: None, after: None, changed: Vec::new() });
    insta::assert_snapshot!(text(&none));
}

#[test]
fn a_secret_is_nowhere_in_it_and_colours_only_where_asked() {
    let plan = plan(vec![
        change("a.b", Action::Create, None, Some(machine("a", 1))),
        change("a.c", Action::Update, Some(machine("a", 1)), Some(machine("b", 2))),
    ]);
    let plain = text(&plan);
    assert!(!plain.contains("hunter2") && !plain.contains('\u{1b}'), "{plain}");
    let coloured = render(&plan, &registry(), Style { color: true, width: 80 }).join("\n");
    assert!(coloured.contains("\u{1b}[32m+"), "{coloured}");
    assert_eq!(console::strip_ansi_codes(&coloured), plain);
}

#[test]
fn many_instances_are_cut_and_counted() {
    let changes: Vec<Change> = (0..100)
        .map(|i| change(&format!("a.b[{i}]"), Action::Create, None, Some(machine(&format!("m{i}"), 1))))
        .collect();
    let text = text(&plan(changes));
    assert!(text.contains("a.b: 100 instances will be created"), "{text}");
    assert!(text.contains("and 76 more") && text.lines().count() < 60, "{text}");
    assert_eq!(
        Arc::<str>::from(text.lines().last().unwrap()),
        "Plan: 100 to add, 0 to change, 0 to destroy.".into()
    );
}

#[test]
fn what_is_open_says_what_it_waits_for() {
    let open = |what: &str, why, on: &[&str], objects| Open {
        what: what.parse().unwrap(),
        why,
        on: on.iter().map(|o| o.parse().unwrap()).collect(),
        objects,
    };
    let plan = Plan {
        open: vec![
            open("module.workers", OpenReason::ForEach, &["sim_machine.lb"], 0),
            open("sim_port.p", OpenReason::Count, &["sim_machine.lb", "module.net.sim_network.n"], 3),
            open("kube_manifest.m[\"a\"]", OpenReason::Provider, &["kubeadm_init.i"], 1),
            open("sim_machine.old", OpenReason::Import, &["sim_machine.lb"], 0),
            open("kubeadm_worker.w", OpenReason::Dependencies, &["module.workers"], 2),
            open("data.sim_image.i", OpenReason::Dependencies, &["module.workers"], 0),
            open("sim_port.q", OpenReason::Dependencies, &["sim_port.p"], 0),
        ],
        open_outputs: vec!["addresses".into(), "names".into()],
        ..plan(Vec::new())
    };
    assert!(changes(&plan), "something is to be done");
    insta::assert_snapshot!(left_open(&plan, Style::default()).join("\n"), @r#"
    Still open:

      ? module.workers: its for_each depends on sim_machine.lb
      ? sim_port.p: its count depends on sim_machine.lb, module.net.sim_network.n;
        its 3 objects stay as they are until then
      ? kube_manifest.m["a"]: its provider is configured from kubeadm_init.i; its
        object stays as it is until then
      ? sim_machine.old: what is imported to it depends on sim_machine.lb
      ? waiting for module.workers: kubeadm_worker.w (exists), data.sim_image.i
      ? waiting for sim_port.p: sim_port.q
      ? outputs addresses, names
    "#);
}

#[test]
fn what_a_run_at_work_has_begun_is_in_progress() {
    let mut begun = change("a.b", Action::Create, None, Some(machine("a", 1)));
    begun.reason = Some(Reason::ResumedFound);
    let plan = plan(vec![begun]);
    assert!(text(&plan).contains("left by an interrupted run"));
    let beside = render_beside(&plan, &registry(), Style::default(), true).join("\n");
    assert!(beside.contains("in progress") && !beside.contains("interrupted"), "{beside}");
}
