//! One binary for all integration tests.

mod formats;
mod kill;
mod machine;
mod store;

use grappe_state::{Change, Folder, Object, Record, Sealer, Session, Store, Subject};
use grappe_value::addr::InstanceAddr;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;

/// A store that keeps its key beside itself.
fn store(dir: &Path) -> Store {
    Store::with_sealer(dir.join("s"), Arc::new(Sealer::from_own_file(dir.join("key"))))
}

fn session(store: &Store) -> Session {
    store.session(store.lock("apply").unwrap()).unwrap()
}

fn addr(text: &str) -> InstanceAddr {
    text.parse().unwrap()
}

fn put(at: &str, attributes: Json) -> Record {
    let of = Subject { addr: addr(at), deposed: None, key: format!("key of {at}") };
    let object = Object { provider: "test".into(), attributes, key: of.key.clone(), ..Object::default() };
    Record::Done { of, changes: vec![Change::Put { deposed: None, object: Box::new(object) }] }
}

fn secret(text: &str) -> Json {
    json!({ "id": text.len(), "password": {"$sensitive": text} })
}

/// The files of a store in a folder.
fn files_of(store: &Store) -> Folder {
    Folder::new(store.dir().unwrap())
}
