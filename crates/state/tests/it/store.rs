//! Snapshot, journal and backups together.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use grappe_state::{Action, Change, Ledger, Pending, Record, StateError, Subject};
use serde_json::json;

use crate::{addr, files_of, put, secret, session, store};

pub(crate) fn intent(at: &str, key: &str) -> Record {
    Record::Intent {
        pending: Box::new(Pending {
            addr: addr(at),
            deposed: None,
            action: Action::Create,
            key: key.into(),
            provider: "test".into(),
            schema_version: 0,
            planned: secret("planned-secret"),
            checkpoint: None,
            dependencies: vec![addr("t.dep")],
            create_before_destroy: false,
            timeouts: Default::default(),
        }),
        deposes: None,
    }
}

fn of(at: &str, key: &str) -> Subject {
    Subject { addr: addr(at), deposed: None, key: key.into() }
}

#[test]
fn what_was_appended_is_there_with_and_without_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    assert_eq!(store.load().unwrap(), Ledger::default());

    let mut run = session(&store);
    run.append(put("t.a[0]", secret("one-secret"))).unwrap().wait().unwrap();
    let lineage = run.state().lineage.clone();
    assert!(!lineage.is_empty());
    drop(run); // as a kill does
    let seen = store.load().unwrap();
    assert_eq!((seen.state.serial, seen.state.lineage.as_str()), (1, lineage.as_str()));
    assert_eq!(seen.state.objects[&addr("t.a[0]")].attributes, secret("one-secret"));
    assert!(!files_of(&store).snapshot_path().exists());

    let mut run = session(&store);
    run.append(put("t.a[1]", json!({"id": 2}))).unwrap().wait().unwrap();
    let closed = run.close().unwrap();
    assert_eq!(closed.state.serial, 2, "each run that writes counts");
    assert_eq!(store.load().unwrap(), closed);
    assert!(!files_of(&store).journal_path().exists());
    let text = fs::read_to_string(files_of(&store).snapshot_path()).unwrap();
    assert!(text.contains("$sealed") && !text.contains(r#""$sensitive""#));
    for path in [files_of(&store).snapshot_path(), dir.path().join("key")] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(store.dir().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_run_that_changes_nothing_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut run = session(&store);
    drop(run.append(put("t.a", json!(null))).unwrap());
    run.close().unwrap();
    let before = fs::metadata(files_of(&store).snapshot_path()).unwrap().modified().unwrap();
    session(&store).close().unwrap();
    assert_eq!(fs::metadata(files_of(&store).snapshot_path()).unwrap().modified().unwrap(), before);
    assert!(!dir.path().join("key").exists(), "no secret, no key");
}

#[test]
fn what_was_begun_is_pending_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut run = session(&store);
    run.append(intent("t.a", "k1")).unwrap().wait().unwrap();
    let checkpoint = json!({"$sensitive": {"id": "vm-secret"}});
    run.append(Record::Checkpoint { of: of("t.a", "k1"), state: checkpoint }).unwrap().wait().unwrap();
    assert!(run.append(Record::Checkpoint { of: of("t.a", "k2"), state: json!(1) }).is_err());
    drop(run);
    assert!(!fs::read_to_string(files_of(&store).journal_path()).unwrap().contains("secret"), "sealed");

    // It survives a snapshot, too.
    let after = session(&store).close().unwrap();
    assert_eq!(store.load().unwrap(), after);
    let pending: Vec<&Pending> = after.pending().collect();
    assert_eq!(pending[0].checkpoint_clear(), Some(&json!({"id": "vm-secret"})));
    assert_eq!(pending[0].dependencies, vec![addr("t.dep")]);
    assert!(!fs::read_to_string(files_of(&store).snapshot_path()).unwrap().contains("secret"));

    // Begun again under the same key, it keeps its checkpoint; done, it is over.
    let mut run = session(&store);
    drop(run.append(intent("t.a", "k1")).unwrap());
    assert!(run.ledger().pending_of(&of("t.a", "k1")).unwrap().checkpoint.is_some());
    let done = put("t.a", json!({"id": 1}));
    let Record::Done { changes, .. } = done else { panic!("{done:?}") };
    drop(run.append(Record::Done { of: of("t.a", "k1"), changes }).unwrap());
    assert_eq!(run.close().unwrap().pending().count(), 0);
}

#[test]
fn deposed_objects_come_back_or_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut run = session(&store);
    drop(run.append(put("t.a", json!({"id": 1}))).unwrap());
    let of = of("t.a", "new");
    let change = |change| Record::Done { of: of.clone(), changes: vec![change] };
    drop(run.append(change(Change::Depose("d1".into()))).unwrap());
    assert!(run.state().objects.is_empty() && run.state().deposed.len() == 1);
    assert!(run.append(change(Change::Depose("d2".into()))).is_err(), "there is nothing to depose");
    drop(run.append(change(Change::Restore("d1".into()))).unwrap());
    assert!(run.append(change(Change::Restore("d1".into()))).is_err());
    drop(run.append(change(Change::Depose("d3".into()))).unwrap());
    drop(run.append(put("t.a", json!({"id": 2}))).unwrap());
    drop(run.append(change(Change::Remove { deposed: Some("d3".into()) })).unwrap());
    let end = run.close().unwrap();
    assert_eq!(end.state.objects[&addr("t.a")].attributes, json!({"id": 2}));
    assert!(end.state.deposed.is_empty());
}

#[test]
fn a_journal_that_is_in_the_snapshot_already_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut run = session(&store);
    run.append(put("t.a", json!(1))).unwrap().wait().unwrap();
    let journal = fs::read(files_of(&store).journal_path()).unwrap();
    let end = run.close().unwrap();
    // The crash: the snapshot was renamed, the journal not yet removed.
    grappe_state::files::write_atomic(&files_of(&store).journal_path(), &journal, 0o600).unwrap();
    assert_eq!(store.load().unwrap(), end);
    assert!(files_of(&store).journal_path().exists(), "who only looks changes nothing");
    session(&store).close().unwrap();
    assert!(!files_of(&store).journal_path().exists(), "it is not left for ever where nothing is to be done");
    grappe_state::files::write_atomic(&files_of(&store).journal_path(), &journal, 0o600).unwrap();
    let mut run = session(&store);
    run.append(put("t.b", json!(2))).unwrap().wait().unwrap();
    drop(run);
    let seen = store.load().unwrap();
    assert_eq!((seen.state.objects.len(), seen.state.serial), (2, 2));
}

#[test]
fn a_journal_of_another_snapshot_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    for n in 0..2 {
        let mut run = session(&store);
        drop(run.append(put("t.a", json!(n))).unwrap());
        run.close().unwrap();
    }
    let mut run = session(&store);
    run.append(put("t.a", json!("x"))).unwrap().wait().unwrap();
    drop(run);
    fs::copy(
        store.dir().unwrap().join("backups/grappe.state.0000000001.json"),
        files_of(&store).snapshot_path(),
    )
    .unwrap();
    let error = store.load().unwrap_err();
    assert!(matches!(error, StateError::Mismatch { base: 2, .. }), "{error}");
    assert!(error.hint().unwrap().contains("grappe.journal"));
}

#[test]
fn a_damaged_snapshot_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    for n in 0..13 {
        let mut run = session(&store);
        drop(run.append(put("t.a", secret(&n.to_string()))).unwrap());
        run.close().unwrap();
    }
    let backups = store.dir().unwrap().join("backups");
    assert_eq!(fs::read_dir(&backups).unwrap().count(), 10, "the last ten are kept");
    let good = fs::read(files_of(&store).snapshot_path()).unwrap();
    // The newest backup is damaged as well: the one before it is named.
    let write = |path: &std::path::Path, bytes: &[u8]| {
        grappe_state::files::write_atomic(path, bytes, 0o600).unwrap();
    };
    write(&backups.join("grappe.state.0000000012.json"), b"{");
    for bad in [&good[..good.len() / 2], b"", b"garbage", b"{}"] {
        write(&files_of(&store).snapshot_path(), bad);
        let error = store.load().unwrap_err();
        let hint = error.hint().unwrap();
        assert!(hint.contains("grappe.state.0000000011.json"), "{error}: {hint}");
        assert!(store.session(store.lock("apply").unwrap()).is_err());
        assert_eq!(fs::read(files_of(&store).snapshot_path()).unwrap(), bad, "never overwritten");
    }
    write(&files_of(&store).snapshot_path(), br#"{"format": 7, "written_by": "grappe 9.0.0"}"#);
    let error = store.load().unwrap_err().to_string();
    assert!(error.contains("newer grappe (grappe 9.0.0, format 7)"), "{error}");
}

#[test]
fn a_torn_end_is_cut_and_gone_on_from() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut run = session(&store);
    run.append(put("t.a", json!(1))).unwrap().wait().unwrap();
    run.append(put("t.b", json!(2))).unwrap().wait().unwrap();
    drop(run);
    let whole = fs::read(files_of(&store).journal_path()).unwrap();
    grappe_state::files::write_atomic(&files_of(&store).journal_path(), &whole[..whole.len() - 9], 0o600)
        .unwrap();
    let mut run = session(&store);
    assert_eq!(run.state().objects.len(), 1);
    run.append(put("t.c", json!(3))).unwrap().wait().unwrap();
    drop(run);
    let names: Vec<String> = store.load().unwrap().state.objects.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["t.a", "t.c"]);
}

#[test]
fn a_state_sealed_with_another_key_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut run = session(&store);
    drop(run.append(put("t.a", secret("x"))).unwrap());
    run.close().unwrap();
    let notices = store.sealer().take_notices();
    assert!(notices.len() == 1 && notices[0].contains("key"), "{notices:?}");

    fs::remove_file(dir.path().join("key")).unwrap();
    let other = crate::store(dir.path());
    let error = other.load().unwrap_err();
    assert!(error.to_string().contains("no key") && error.hint().unwrap().contains("GRAPPE_STATE_KEY"));
    assert!(!dir.path().join("key").exists(), "no new key is made to read an old state");
}

#[test]
fn a_folder_that_can_t_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("s");
    grappe_state::files::write_atomic(&file, b"", 0o600).unwrap();
    let error = store(dir.path()).lock("apply").unwrap_err().to_string();
    assert!(error.contains("can't create") && error.contains(file.to_str().unwrap()), "{error}");
}
