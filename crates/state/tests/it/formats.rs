//! States as each version wrote them, in `tests/formats/N`: they are read for ever, and written anew in today's form.
//!
//! Each folder has a snapshot, a journal that goes on from it (of a run that was killed, and of one that went on with it and was killed too), and
//! what both come to. That of today's format was written by [`writes_the_files_of_this_format`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grappe_state::data::FORMAT;
use grappe_state::journal::JournalError;
use grappe_state::{
    Action, Change, Holder, Ledger, Moved, Object, OutputValue, Pending, Record, Sealer, StateError, Store,
    Subject, Timeouts,
};
use grappe_value::Type;
use serde_json::{Value as Json, json};

use crate::{addr, files_of, session};

/// The keys that the files are sealed with, by their format.
fn sealer(format: u32) -> Arc<Sealer> {
    Arc::new(match format {
        1 => Sealer::from_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into()),
        _ => Sealer::from_passphrase("correct horse battery staple".into()),
    })
}

fn folder(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats").join(format.to_string())
}

/// A copy of the files of a format, to work on.
fn copy(format: u32) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["grappe.state.json", "grappe.journal"] {
        fs::copy(folder(format).join(name), dir.path().join(name)).unwrap();
    }
    let store = Store::with_sealer(dir.path(), sealer(format));
    (dir, store)
}

fn dump(ledger: &Ledger) -> Json {
    let state = &ledger.state;
    let objects: BTreeMap<String, &Object> =
        state.objects.iter().map(|(addr, object)| (addr.to_string(), object)).collect();
    let deposed: Vec<Json> = state
        .deposed
        .iter()
        .map(|((addr, key), object)| json!({"addr": addr.to_string(), "key": key, "object": object}))
        .collect();
    let mut all = json!({
        "state": {"lineage": state.lineage, "serial": state.serial, "objects": objects, "outputs": state.outputs},
        "pending": ledger.pending().collect::<Vec<&Pending>>(),
    });
    if !deposed.is_empty() {
        all["state"]["deposed"] = deposed.into();
    }
    all
}

fn expected(format: u32) -> Json {
    let mut all: Json =
        serde_json::from_slice(&fs::read(folder(format).join("expected.json")).unwrap()).unwrap();
    all["state"].as_object_mut().unwrap().remove("format");
    all
}

#[test]
fn every_format_has_its_files_and_is_read() {
    for format in 1..=FORMAT {
        let (_dir, store) = copy(format);
        let snapshot: Json =
            serde_json::from_slice(&fs::read(files_of(&store).snapshot_path()).unwrap()).unwrap();
        assert_eq!(snapshot["format"], format, "the files of format {format} are of another");
        let journal = fs::read_to_string(files_of(&store).journal_path()).unwrap();
        assert!(journal.starts_with(r#"{"line":1,"batch":1,"#));
        assert!(journal.contains(&format!(r#"{{"begin":{{"format":{format},"#)), "{journal}");
        assert_eq!(dump(&store.load().unwrap()), expected(format), "format {format}");
        // Reading alone writes nothing.
        assert_eq!(fs::read(files_of(&store).journal_path()).unwrap(), journal.as_bytes());
    }
}

#[test]
fn an_older_format_is_written_in_todays_form_and_kept_as_a_backup() {
    for format in 1..FORMAT {
        let (dir, store) = copy(format);
        let old = fs::read(files_of(&store).snapshot_path()).unwrap();
        // A run goes on with the journal, and is killed: a journal of two formats.
        let mut run = session(&store);
        run.append(crate::put("cloud_vm.new", json!({"id": "new"}))).unwrap().wait().unwrap();
        drop(run);
        let journal = fs::read_to_string(files_of(&store).journal_path()).unwrap();
        assert!(
            journal.contains(&format!(r#""format":{FORMAT},"#))
                && journal.contains(r#""written_by":"grappe "#)
        );
        let mut run = session(&store);
        assert_eq!(run.state().objects[&addr("cloud_vm.new")].attributes, json!({"id": "new"}));
        run.note(Record::Done {
            of: Subject { addr: addr("cloud_vm.new"), deposed: None, key: String::new() },
            changes: vec![Change::Remove { deposed: None }],
        })
        .unwrap();
        run.close().unwrap();

        let snapshot: Json =
            serde_json::from_slice(&fs::read(files_of(&store).snapshot_path()).unwrap()).unwrap();
        assert_eq!(snapshot["format"], FORMAT);
        let mut want = expected(format);
        want["state"]["serial"] = store.load().unwrap().state.serial.into();
        assert_eq!(dump(&store.load().unwrap()), want, "nothing is lost on the way");
        let backups = store.snapshots().unwrap();
        assert!(backups.len() == 1 && backups[0].ledger.is_ok());
        let kept = dir.path().join(format!("backups/grappe.state.{:010}.json", backups[0].serial));
        assert_eq!(fs::read(kept).unwrap(), old, "what was there is kept as it was");
        drop(dir);
    }
}

#[test]
fn what_a_newer_program_wrote_is_refused_by_its_name_and_kept() {
    let (_dir, store) = copy(FORMAT);
    let refused = |says: &str| {
        let error = store.load().unwrap_err();
        assert!(error.to_string().contains(says) && error.hint().unwrap().contains("newer one"), "{error}");
        assert!(store.session(store.lock("apply").unwrap()).is_err());
        error
    };
    // A journal in which a newer program went on.
    let newer = json!({"begin": {"format": FORMAT + 1, "lineage": "x", "base": 1, "serial": 9, "written_by": "grappe 9.0.0"}});
    let whole = fs::read(files_of(&store).journal_path()).unwrap();
    let lines = whole.iter().filter(|b| **b == b'\n').count();
    let lock = grappe_state::Storage::lock(&files_of(&store), &Holder::this("apply"), false);
    let end = lock.unwrap().journal(whole.len() as u64).unwrap();
    let writer = grappe_state::journal::Writer::start(end, lines as u64).unwrap();
    writer.append(newer.to_string().into_bytes()).wait().unwrap();
    drop(writer);
    let journal = fs::read(files_of(&store).journal_path()).unwrap();
    let error = refused("newer grappe (grappe 9.0.0, format");
    assert!(matches!(error, StateError::Journal { source: JournalError::Newer { .. }, .. }), "{error:?}");
    assert_eq!(fs::read(files_of(&store).journal_path()).unwrap(), journal);

    let mut snapshot: Json =
        serde_json::from_slice(&fs::read(files_of(&store).snapshot_path()).unwrap()).unwrap();
    snapshot["format"] = (FORMAT + 1).into();
    snapshot["written_by"] = "grappe 9.0.0".into();
    let text = snapshot.to_string();
    grappe_state::files::write_atomic(&files_of(&store).snapshot_path(), text.as_bytes(), 0o600).unwrap();
    refused("newer grappe (grappe 9.0.0, format");
    assert_eq!(fs::read_to_string(files_of(&store).snapshot_path()).unwrap(), text);
}

#[test]
fn of_a_damaged_middle_the_good_part_is_saved_as_the_error_says() {
    let (_dir, store) = copy(FORMAT);
    let good = fs::read_to_string(files_of(&store).journal_path()).unwrap();
    // The fourth line, an object that was made: one letter of it is another one.
    let mut lines: Vec<String> = good.split_inclusive('\n').map(str::to_owned).collect();
    lines[3] = lines[3].replacen("provider", "provised", 1);
    let bad = lines.concat();
    assert_ne!(bad, good);
    grappe_state::files::write_atomic(&files_of(&store).journal_path(), bad.as_bytes(), 0o600).unwrap();
    let error = store.load().unwrap_err();
    assert!(error.to_string().contains("line 4 is damaged; the 3 records before it are good"), "{error}");
    assert!(store.session(store.lock("apply").unwrap()).is_err());
    assert_eq!(fs::read_to_string(files_of(&store).journal_path()).unwrap(), bad, "never overwritten");

    let hint = error.hint().unwrap();
    let command = hint.split_once(": ").unwrap().1.split_once("; then").unwrap().0;
    let done = std::process::Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(done.success(), "{command}");
    let saved = store.load().unwrap();
    assert_eq!(
        saved.pending().filter(|p| p.key == "key-10").count(),
        1,
        "what was begun is known: it is looked for"
    );
    let damaged = files_of(&store).journal_path().with_extension("journal.damaged");
    assert_eq!(fs::read_to_string(damaged).unwrap(), bad, "and nothing is thrown away");
}

#[test]
#[ignore = "writes the files of today's format: cargo test -p grappe-state -- --ignored writes_the_files"]
fn writes_the_files_of_this_format() {
    let dir = folder(FORMAT);
    let store = Store::with_sealer(&dir, sealer(FORMAT));
    if files_of(&store).snapshot_path().exists() {
        panic!("they are there: a format that is in use is never written again");
    }
    let of = |at: &str, key: &str| Subject { addr: addr(at), deposed: None, key: key.into() };
    let object = |n: u32, on: &[&str]| Object {
        provider: "cloud.west".into(),
        schema_version: 3,
        attributes: json!({
            "id": format!("vm-{n}"), "size": {"$number": "1.5"}, "password": {"$sensitive": format!("hunter{n}")},
            "token": {"$withheld": true}, "tags": {"$object": {"$x": {"$sensitive": "hunter-tag"}}},
        }),
        dependencies: on.iter().map(|a| addr(a)).collect(),
        key: format!("key-{n}"),
        duration_ms: Some(1200 + u64::from(n)),
        ..Object::default()
    };
    let put = |at: &str, deposed: Option<&str>, object: Object| Record::Done {
        of: of(at, &object.key),
        changes: vec![Change::Put { deposed: deposed.map(Into::into), object: Box::new(object) }],
    };
    let begun = |at: &str, key: &str, action| Pending {
        addr: addr(at),
        deposed: None,
        action,
        key: key.into(),
        provider: "cloud".into(),
        schema_version: 3,
        planned: json!({"id": {"$unknown": "string"}, "password": {"$sensitive": "hunter-planned"}}),
        checkpoint: None,
        dependencies: vec![addr("cloud_net.a")],
        create_before_destroy: true,
        timeouts: Timeouts { create: Some(60_000), ..Timeouts::default() },
    };
    let intent = |pending, deposes: Option<&str>| Record::Intent {
        pending: Box::new(pending),
        deposes: deposes.map(Into::into),
    };
    let vm = "module.m[\"x\"].cloud_vm.b[0]";
    let mut run = session(&store);
    let tainted = Object {
        tainted: true,
        steps_done: Some(2),
        create_before_destroy: true,
        timeouts: Timeouts { delete: Some(5_000), ..Timeouts::default() },
        ..object(2, &["cloud_net.a"])
    };
    let output = |value, ty, sensitive| OutputValue { value, ty, sensitive };
    let outputs = [
        ("ip".to_owned(), output(json!("::1"), Type::String, false)),
        ("token".to_owned(), output(json!({"$sensitive": ["hunter-out"]}), Type::list(Type::String), true)),
    ];
    for record in [
        put("cloud_net.a", None, object(1, &[])),
        put(vm, None, tainted),
        put(vm, Some("00ff00ff"), Object { undone: 1, ..object(3, &["cloud_net.a"]) }),
        put("cloud_vm.gone", None, object(4, &[])),
        Record::Outputs(outputs.into()),
        intent(begun("cloud_vm.begun", "key-9", Action::Create), None),
        Record::Checkpoint {
            of: of("cloud_vm.begun", "key-9"),
            state: json!({"$sensitive": {"id": "vm-9", "token": "hunter-checkpoint"}}),
        },
    ] {
        run.append(record).unwrap().wait().unwrap();
    }
    run.close().unwrap();
    let killed = [
        vec![
            intent(begun("cloud_net.a", "key-10", Action::Create), Some("0a0a0a0a")),
            Record::Checkpoint { of: of("cloud_net.a", "key-10"), state: json!({"id": "vm-10"}) },
            put("cloud_net.a", None, object(10, &[])),
            intent(begun("cloud_vm.gone", "key-4", Action::Delete), None),
        ],
        vec![
            Record::Failed { of: of("cloud_vm.gone", "key-4"), changes: vec![] },
            Record::Done {
                of: of("cloud_vm.gone", "key-4"),
                changes: vec![Change::Remove { deposed: None }],
            },
            Record::Moved(vec![Moved { from: addr(vm), to: addr("cloud_vm.c") }]),
            intent(begun("cloud_vm.c", "key-2", Action::Update), None),
        ],
    ];
    for records in killed {
        let mut run = session(&store);
        for record in records {
            run.append(record).unwrap().wait().unwrap();
        }
    }
    let text = format!("{:#}\n", dump(&store.load().unwrap()));
    grappe_state::files::write_atomic(&dir.join("expected.json"), text.as_bytes(), 0o644).unwrap();
    fs::remove_file(dir.join("grappe.lock")).unwrap();
}
