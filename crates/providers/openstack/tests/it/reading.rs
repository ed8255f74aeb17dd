//! Many objects with one list, and where the provider is.

use grappe_value::Value;
use serde_json::json;

use crate::fake::Fake;

#[tokio::test]
async fn many_are_read_with_one_list() {
    let fake = Fake::new().await;
    for (ty, given) in [
        ("openstack_networking_network_v2", json!({ "name": "x" })),
        ("openstack_networking_port_v2", json!({ "network_id": "n" })),
    ] {
        let mut states = Vec::new();
        for i in 0..20 {
            states.push(fake.create(ty, &format!("key-{i}"), &given).await.unwrap());
        }
        let groups: std::collections::BTreeSet<_> =
            states.iter().map(|s| fake.resource(ty).read_group(s)).collect();
        assert_eq!(groups.len(), 1, "{groups:?}");
        let gone = states[3].get("id").unwrap().as_str().unwrap().to_owned();
        fake.stored.lock().unwrap().objects.values_mut().for_each(|all| drop(all.remove(&gone)));
        let before = fake.server.asked().len();
        let read = fake.resource(ty).read_many(fake.ctx("k", None), &states).await.unwrap();
        // The list, and the one that is not in it.
        assert_eq!(fake.server.asked().len() - before, 2, "{ty}");
        for (i, (state, found)) in states.iter().zip(read).enumerate() {
            match found.unwrap() {
                Some(found) => assert!(found.same(state), "{ty} {i}"),
                None => assert_eq!(i, 3),
            }
        }
    }
}

#[tokio::test]
async fn the_scope_says_where_the_provider_logs_in() {
    let fake = Fake::new().await;
    let sources = fake.provider.data_sources();
    let scope = sources.iter().find(|s| s.name() == "openstack_identity_auth_scope_v3").unwrap();
    let given = |name: &str| (name == "name").then(|| Value::from("lab"));
    let config = scope.schema().attributes.iter().map(|(name, attribute)| {
        (name.clone(), given(name).unwrap_or_else(|| Value::null(attribute.ty.clone())))
    });
    let read = scope.read(fake.ctx("k", None), &Value::object(config)).await.unwrap();
    let text = |name: &str| read.get(name).and_then(Value::as_str).map(str::to_owned);
    assert_eq!(text("auth_url"), Some(format!("{}/v3", fake.server.url())));
    assert_eq!(text("region").as_deref(), Some("one"));
}
