//! One binary for all integration tests.

mod kill;
mod store;

use grappe_state::{Change, LocalStore, Object, Record, Sealer, Session, Subject};
use grappe_value::addr::InstanceAddr;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::Arc;

/// A store that keeps its key beside itself.
fn store(dir: &Path) -> LocalStore {
    LocalStore::with_sealer(dir.join("s"), Arc::new(Sealer::from_own_file(dir.join("key"))))
}

fn session(store: &LocalStore) -> Session {
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
