//! One binary for all integration tests.

mod conformance;
mod postgres;
mod process;
mod s3;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use grappe_state::{Change, Object, Record, Sealer, Session, Storage, Store, Subject};
use grappe_stores::Leased;
use grappe_stores::server::Server;
use grappe_value::addr::InstanceAddr;
use serde_json::{Value as Json, json};

/// A lease that tests can wait for.
const LEASE: Duration = Duration::from_secs(4);

fn leased(server: Arc<dyn Server>) -> Arc<dyn Storage> {
    Arc::new(Leased::with_lease(server, LEASE).unwrap())
}

fn over(storage: Arc<dyn Storage>) -> Store {
    Store::over(storage, Arc::new(Sealer::from_own_file(key_file())))
}

/// The key of this test, and of the processes that it starts.
fn key_file() -> PathBuf {
    let named = std::env::var_os("GRAPPE_TEST_KEY").map(PathBuf::from);
    named.unwrap_or_else(|| std::env::temp_dir().join(format!("grappe-test-key-{}", std::process::id())))
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
