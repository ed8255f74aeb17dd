use proptest::prelude::*;

use super::*;

fn addr(text: &str) -> InstanceAddr {
    text.parse().unwrap()
}

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

fn object(dependencies: &[&str]) -> Object {
    Object {
        provider: "test".into(),
        dependencies: dependencies.iter().map(|d| addr(d)).collect(),
        ..Object::default()
    }
}

fn begun(at: &str, key: &str) -> Pending {
    Pending {
        addr: addr(at),
        deposed: None,
        action: Action::Create,
        key: key.into(),
        provider: "test".into(),
        schema_version: 0,
        planned: serde_json::json!({}),
        checkpoint: None,
        dependencies: vec![addr("t.a")],
        create_before_destroy: false,
        timeouts: Default::default(),
    }
}

fn ledger(objects: &[(&str, &[&str])], pending: &[Pending]) -> Ledger {
    let mut state = State { lineage: "l".into(), serial: 3, ..State::default() };
    for (at, dependencies) in objects {
        state.put(addr(at), None, object(dependencies));
    }
    Ledger::new(state, pending.to_vec())
}

fn names(ledger: &Ledger) -> Vec<String> {
    ledger.state.objects.keys().map(ToString::to_string).collect()
}

fn depends(ledger: &Ledger, at: &str) -> Vec<String> {
    ledger.state.objects[&addr(at)].dependencies.iter().map(ToString::to_string).collect()
}

fn mv(ledger: &mut Ledger, from: &str, to: &str) -> Result<usize, Refused> {
    let moves = relocations(ledger, &target(from), &target(to))?;
    relocate(ledger, &moves)?;
    Ok(moves.len())
}

#[test]
fn instances_resources_and_modules_are_renamed_with_who_names_them() {
    let mut l = ledger(
        &[
            ("t.a[0]", &[]),
            ("t.a[1]", &[]),
            ("t.all", &["t.a"]),
            ("t.one", &["t.a[1]"]),
            ("module.m[\"x\"].t.q", &["t.one"]),
            ("module.m[\"y\"].module.n.t.q", &["module.m[\"x\"].t.q"]),
        ],
        &[begun("module.m[\"x\"].t.new", "k")],
    );
    assert_eq!(mv(&mut l, "t.a", "t.b"), Ok(2));
    assert_eq!(depends(&l, "t.all"), ["t.b"]);
    assert_eq!(depends(&l, "t.one"), ["t.b[1]"]);
    // One leaves the others: who stood on all stands on it too.
    assert_eq!(mv(&mut l, "t.b[0]", "module.k.t.first"), Ok(1));
    let mut stands = depends(&l, "t.all");
    stands.sort();
    assert_eq!(stands, ["module.k.t.first", "t.b"]);
    assert_eq!(mv(&mut l, "t.b[1]", "t.b"), Ok(1));
    assert_eq!(depends(&l, "t.one"), ["t.b"]);
    assert_eq!(mv(&mut l, "module.m", "module.k.module.o"), Ok(3), "what was begun goes along");
    assert_eq!(
        names(&l),
        [
            "t.all",
            "t.b",
            "t.one",
            "module.k.t.first",
            "module.k.module.o[\"x\"].t.q",
            "module.k.module.o[\"y\"].module.n.t.q"
        ]
    );
    assert_eq!(depends(&l, "module.k.module.o[\"y\"].module.n.t.q"), ["module.k.module.o[\"x\"].t.q"]);
    assert_eq!(l.pending().next().unwrap().addr, addr("module.k.module.o[\"x\"].t.new"));
    assert_eq!(mv(&mut l, "module.k.module.o[\"x\"]", "module.z"), Ok(2));
    assert!(l.state.objects.contains_key(&addr("module.z.t.q")));
}

#[test]
fn what_can_t_be_renamed_says_why_and_changes_nothing() {
    let mut l = ledger(&[("t.a", &[]), ("t.b", &[]), ("module.m.t.c", &[])], &[begun("t.d", "k")]);
    let before = l.clone();
    for (from, to, why) in [
        ("t.x", "t.y", "nothing at t.x"),
        ("t.a", "t.a", "where it is already"),
        ("t.a", "t.b", "already a resource instance"),
        ("t.a", "t.d", "already a resource instance"),
        ("t.a", "u.a", "types don't match"),
        ("t.a", "data.t.a", "types don't match"),
        ("module.m", "t.z", "must also be a module"),
        ("t.a", "module.z", "must also be a resource"),
    ] {
        let refused = mv(&mut l, from, to).unwrap_err().to_string();
        assert!(refused.contains(why), "{from} {to}: {refused}");
        assert_eq!(l, before);
    }
}

#[test]
fn what_is_taken_out_leaves_a_bridge_and_what_was_begun_is_not_forgotten() {
    let mut l = ledger(
        &[("t.a", &[]), ("t.b[0]", &["t.a"]), ("t.b[1]", &["t.b[0]"]), ("t.c", &["t.b[1]"])],
        &[begun("t.d", "k")],
    );
    l.state.put(addr("t.b[0]"), Some("old".into()), object(&[]));
    let before = l.clone();
    assert_eq!(remove(&mut l, &[target("t.a"), target("t.x")], false), Err(Refused::Nothing("t.x".into())));
    assert_eq!(remove(&mut l, &[target("t.d")], false), Err(Refused::Unfinished(vec![addr("t.d")])));
    assert_eq!(l, before);
    assert_eq!(remove(&mut l, &[target("t.b")], false), Ok(vec![addr("t.b[0]"), addr("t.b[1]")]));
    assert_eq!((names(&l), depends(&l, "t.c")), (vec!["t.a".into(), "t.c".into()], vec!["t.a".into()]));
    assert!(l.state.deposed.is_empty() && l.pending().count() == 1);
    assert_eq!(remove(&mut l, &[target("t.d")], true), Ok(vec![addr("t.d")]));
    assert_eq!(l.pending().count(), 0);
}

#[test]
fn marks_are_set_and_taken_away() {
    let mut l = ledger(&[("t.a", &[])], &[begun("t.d", "k")]);
    assert_eq!(taint(&mut l, &addr("t.a"), false), Err(Refused::NotTainted(addr("t.a"))));
    taint(&mut l, &addr("t.a"), true).unwrap();
    taint(&mut l, &addr("t.a"), true).unwrap();
    assert!(l.state.objects[&addr("t.a")].tainted);
    taint(&mut l, &addr("t.a"), false).unwrap();
    assert_eq!(l, ledger(&[("t.a", &[])], &[begun("t.d", "k")]));
    assert_eq!(taint(&mut l, &addr("t.x"), true), Err(Refused::Nothing("t.x".into())));
    assert_eq!(taint(&mut l, &addr("t.d"), true), Err(Refused::Unfinished(vec![addr("t.d")])));
}

#[test]
fn a_state_is_replaced_by_a_later_one_of_its_own() {
    let have = ledger(&[("t.a", &[])], &[]);
    let at = |lineage: &str, serial, objects: &[(&str, &[&str])]| {
        let mut new = ledger(objects, &[]);
        (new.state.lineage, new.state.serial) = (lineage.into(), serial);
        new
    };
    assert_eq!(may_replace(&have, &at("l", 3, &[("t.a", &[])])), Ok(()));
    assert_eq!(may_replace(&have, &at("l", 3, &[])), Err(Refused::SameSerial(3)));
    assert_eq!(may_replace(&have, &at("l", 2, &[])), Err(Refused::Older { have: 3, new: 2 }));
    assert_eq!(may_replace(&have, &at("l", 4, &[])), Ok(()));
    assert!(matches!(may_replace(&have, &at("m", 4, &[])), Err(Refused::Lineage { .. })));
    assert_eq!(may_replace(&Ledger::default(), &at("m", 4, &[])), Ok(()));

    let interrupted = ledger(&[("t.a", &[])], &[begun("t.d", "k")]);
    assert_eq!(may_replace(&interrupted, &at("l", 4, &[])), Err(Refused::Unfinished(vec![addr("t.d")])));
    let mut knows = at("l", 4, &[("t.d", &[])]);
    knows.state.objects.get_mut(&addr("t.d")).unwrap().key = "k".into();
    assert_eq!(may_replace(&interrupted, &knows), Ok(()), "it has what was made under that key");
}

#[test]
fn an_older_state_comes_back_with_what_was_begun_since() {
    let old = ledger(&[("t.a", &[])], &[begun("t.o", "o")]);
    let have = ledger(&[("t.b", &[])], &[begun("t.d", "k")]);
    let back = restore(&have, &old, false).unwrap();
    assert_eq!(back.state, old.state);
    let keys: Vec<&str> = back.pending().map(|p| p.key.as_str()).collect();
    assert_eq!(keys, ["k", "o"]);
    // An object stands where something was begun.
    let have = ledger(&[], &[begun("t.a", "k")]);
    assert_eq!(restore(&have, &old, false), Err(Refused::Unfinished(vec![addr("t.a")])));
    assert_eq!(restore(&have, &old, true).unwrap().state, old.state);
}

proptest! {
    /// Whatever is renamed and renamed back is as it was.
    #[test]
    fn there_and_back(
        objects in prop::collection::btree_map(0usize..4, prop::collection::btree_set(0usize..4, 0..3), 1..4),
        keyed in prop::bool::ANY,
    ) {
        let name = |i: usize| if keyed { format!("module.m.t.r[{i}]") } else { format!("module.m.t.r{i}") };
        let mut state = State::new();
        for (i, deps) in &objects {
            let deps: Vec<String> = deps.iter().map(|d| name(*d)).collect();
            state.put(addr(&name(*i)), None, object(&deps.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        let before = Ledger::new(state, vec![begun("module.m.t.x", "k")]);
        let mut l = before.clone();
        prop_assert_eq!(mv(&mut l, "module.m", "module.o"), Ok(objects.len() + 1));
        prop_assert!(l.state.objects.keys().all(|a| a.to_string().starts_with("module.o.")));
        mv(&mut l, "module.o", "module.m").unwrap();
        let all = |l: &Ledger| {
            let mut l = l.clone();
            l.each_dependencies(|d| d.sort());
            l
        };
        // What is not there keeps its name, and so do those who name it.
        let there = objects.values().flatten().all(|d| objects.contains_key(d));
        if there {
            prop_assert_eq!(all(&l), all(&before));
        }
        prop_assert_eq!(names(&l), names(&before));
    }
}
