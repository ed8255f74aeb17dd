//! Where the key is while an object comes to be, so that what an interrupted run left is found at each step.

use grappe_http::testing::Answer;
use grappe_provider::FaultKind;
use serde_json::{Value as Json, json};

use crate::fake::Fake;

const KEY: &str = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
const NETWORK: &str = "openstack_networking_network_v2";

/// What the journal of a run says that was killed long ago, while it asked for the object.
fn asked_long_ago() -> Option<Json> {
    Some(json!("asked 1000"))
}

#[tokio::test]
async fn without_a_description_one_request_makes_it_and_the_key_stays_in_it() {
    let fake = Fake::new().await;
    let made = fake.create(NETWORK, KEY, &json!({ "name": "lan" })).await.unwrap();
    assert!(made.get("description").unwrap().is_null(), "the key is not the plan's to see");
    assert_eq!((fake.count("POST", "networks"), fake.count("PUT", "networks")), (1, 0));
    let stored = fake.stored.lock().unwrap().objects["networks"]["network-1"].clone();
    assert_eq!(stored["description"], format!("grappe:{KEY}"));
    // That it is asked for, and that it is there.
    assert_eq!(fake.run.checkpoints.lock().unwrap().len(), 2);
    assert_eq!(fake.count("GET", "networks"), 0, "nothing was asked for before: nobody need look");
}

#[tokio::test]
async fn with_a_description_the_key_moves_to_a_tag_before_that() {
    let fake = Fake::new().await;
    let given = json!({ "description": "mine", "tags": ["lab"] });
    let made = fake.create(NETWORK, KEY, &given).await.unwrap();
    assert_eq!(made.get("all_tags").unwrap().as_items().unwrap().len(), 1);
    let stored = fake.stored.lock().unwrap().objects["networks"]["network-1"].clone();
    assert_eq!(stored["description"], "mine");
    assert_eq!(stored["tags"], json!(["lab", format!("grappe:{KEY}")]));
}

#[tokio::test]
async fn whatever_step_is_cut_off_the_next_try_goes_on_from_there() {
    let given = json!({ "description": "mine", "tags": ["lab"] });
    for (method, path) in [("POST", "networks"), ("PUT", "/tags"), ("PUT", "networks/network-1")] {
        for happens in [false, true] {
            let fake = Fake::new().await;
            fake.stored.lock().unwrap().faults.push((method, path, Answer::breaks(), happens));
            let fault = fake.create(NETWORK, KEY, &given).await.unwrap_err();
            assert!(fault.is_transient(), "{method} {path}: {fault}");
            // A new process knows no more than the journal: nothing, or the checkpoint.
            let noted = fake.run.checkpoints.lock().unwrap().last().cloned();
            let mut look = fake.ctx(KEY, noted.clone());
            look.only_looks = true;
            let planned = fake.planned(NETWORK, &given);
            let found = fake.resource(NETWORK).adopt(look, &planned).await.unwrap();
            assert_eq!(found.is_some(), method != "POST" || happens, "{method} {path} {happens}");
            let noted = match noted {
                // As if it was long ago: nothing comes any more.
                Some(Json::String(_)) if !happens => asked_long_ago(),
                noted => noted,
            };
            fake.resource(NETWORK).create(fake.ctx(KEY, noted), &planned).await.unwrap();
            let stored = fake.stored.lock().unwrap().objects["networks"].clone();
            assert_eq!(stored.len(), 1, "{method} {path} {happens}: nothing is made twice");
            let only: &Json = stored.values().next().unwrap();
            assert_eq!(
                (only["description"].as_str(), only["tags"].as_array().map(Vec::len)),
                (Some("mine"), Some(2))
            );
        }
    }
}

#[tokio::test]
async fn a_rule_has_the_key_behind_its_description() {
    let fake = Fake::new().await;
    let ty = "openstack_networking_secgroup_rule_v2";
    let given = json!({ "security_group_id": "g", "direction": "ingress", "ethertype": "IPv4", "description": "the API" });
    let made = fake.create(ty, KEY, &given).await.unwrap();
    assert_eq!(made.get("description").unwrap().as_str(), Some("the API"));
    let stored = fake.stored.lock().unwrap().objects["security-group-rules"].values().next().unwrap().clone();
    assert_eq!(stored["description"], format!("the API (grappe:{KEY})"));
    let found = fake
        .resource(ty)
        .adopt(fake.ctx(KEY, asked_long_ago()), &fake.planned(ty, &given))
        .await
        .unwrap()
        .unwrap();
    assert!(found.same(&made));
}

#[tokio::test]
async fn a_server_is_found_by_its_metadata_among_those_of_its_name() {
    let fake = Fake::new().await;
    let ty = "openstack_compute_instance_v2";
    let other = json!({ "id": "other", "name": "n-1", "metadata": { "grappe_key": "another" } });
    let own = json!({ "id": "own", "name": "n-1", "metadata": { "grappe_key": KEY, "role": "x" }, "status": "BUILD" });
    for (id, server) in [("other", other), ("own", own)] {
        fake.stored.lock().unwrap().objects.entry("servers".into()).or_default().insert(id.into(), server);
    }
    let given = json!({ "name": "n-1", "flavor_id": "1", "image_id": "i", "metadata": { "role": "x" } });
    let found = fake
        .resource(ty)
        .adopt(fake.ctx(KEY, asked_long_ago()), &fake.planned(ty, &given))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.get("id").unwrap().as_str(), Some("own"));
    assert_eq!(found.get("all_metadata").unwrap().as_entries().unwrap().len(), 1);
}

#[tokio::test]
async fn a_quota_is_no_fault_that_passes() {
    let fake = Fake::new().await;
    let answer = Answer::json(
        409,
        &json!({ "NeutronError": { "message": "Quota exceeded for resources: ['network'].", "type": "OverQuota" } }),
    );
    fake.stored.lock().unwrap().faults.push(("POST", "networks", answer, false));
    let fault = fake.create(NETWORK, KEY, &json!({})).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permanent);
    assert!(fault.hint.unwrap().contains("openstack quota show"));
}

#[tokio::test]
async fn only_what_may_still_come_is_looked_for_later() {
    let last = |fake: &Fake| fake.run.checkpoints.lock().unwrap().last().cloned();
    let word = |noted: Option<Json>| noted.unwrap().as_str().unwrap().split(' ').next().unwrap().to_owned();
    // A gateway gave up on the service behind it, which may not have.
    for (status, wanted) in [(500, "refused"), (503, "refused"), (502, "asked"), (504, "asked")] {
        let fake = Fake::new().await;
        let answer = Answer::json(status, &json!({}));
        fake.stored.lock().unwrap().faults.push(("POST", "networks", answer, false));
        fake.create(NETWORK, KEY, &json!({})).await.unwrap_err();
        assert_eq!(word(last(&fake)), wanted, "{status}");
    }
    // It was never sent: there is no such region.
    let fake = Fake::new().await;
    fake.create(NETWORK, KEY, &json!({ "region": "nowhere" })).await.unwrap_err();
    assert_eq!(fake.count("POST", "networks"), 0);
    assert_eq!(word(last(&fake)), "refused");
}

#[tokio::test]
async fn a_request_that_is_still_on_its_way_is_waited_for() {
    let fake = std::sync::Arc::new(Fake::new().await);
    let late = fake.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        let object =
            json!({ "id": "late", "name": "lan", "description": format!("grappe:{KEY}"), "tags": [] });
        late.stored
            .lock()
            .unwrap()
            .objects
            .entry("networks".into())
            .or_default()
            .insert("late".into(), object);
    });
    // An earlier run waited a minute for the answer, and was killed.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let noted = Some(json!(format!("asked {}", now - 60)));
    let planned = fake.planned(NETWORK, &json!({ "name": "lan" }));
    let made = fake.resource(NETWORK).create(fake.ctx(KEY, noted), &planned).await.unwrap();
    assert_eq!(made.get("id").unwrap().as_str(), Some("late"));
    assert_eq!(fake.count("POST", "networks"), 0);
}
