//! Waiting: by list, and for what uses a thing.

use std::time::{Duration, Instant};

use grappe_http::testing::Answer;
use serde_json::json;

use crate::fake::Fake;

#[tokio::test]
async fn who_waits_for_servers_shares_one_list() {
    let fake = std::sync::Arc::new(Fake::new().await);
    let ty = "openstack_compute_instance_v2";
    let begun = Instant::now();
    let all = (0..30).map(|i| {
        let fake = fake.clone();
        tokio::spawn(async move {
            let given = json!({ "name": format!("n-{i}"), "flavor_id": "1", "image_id": "i", "availability_zone": "nova" });
            fake.create(ty, &format!("key-{i}"), &given).await.map(drop)
        })
    });
    let all: Vec<_> = all.collect();
    // They run after a while.
    let ready = fake.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let late = begun.elapsed() > Duration::from_millis(2500);
            let mut stored = ready.stored.lock().unwrap();
            for server in stored.objects.entry("servers".into()).or_default().values_mut() {
                server["status"] = if late { "ACTIVE" } else { "BUILD" }.into();
                if late {
                    server["updated"] = "2026-11-27T04:00:00Z".into();
                }
                server["flavor"] = json!({ "id": "1" });
                server["image"] = json!({ "id": "i" });
            }
        }
    });
    for server in all {
        server.await.unwrap().unwrap();
    }
    let lists = fake.count("GET", "changes-since");
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert!(lists <= seconds + 2, "{lists} lists in {seconds} s");
    let alone = fake.count("GET", "/servers/server-") - fake.count("GET", "os-interface");
    assert_eq!(alone, 30, "each is looked at once until a list has it");
    assert_eq!(fake.count("POST", "servers"), 30);
}

#[tokio::test]
async fn what_is_in_use_is_waited_for_and_what_is_gone_is_deleted() {
    let fake = Fake::new().await;
    let ty = "openstack_networking_network_v2";
    let made = fake.create(ty, "k", &json!({})).await.unwrap();
    for _ in 0..2 {
        let used = Answer::json(
            409,
            &json!({ "NeutronError": { "message": "There are one or more ports still in use on the network" } }),
        );
        fake.stored.lock().unwrap().faults.push(("DELETE", "networks", used, false));
    }
    fake.resource(ty).delete(fake.ctx("k", None), &made).await.unwrap();
    assert_eq!(fake.count("DELETE", "networks"), 3);
    assert!(fake.run.said.lock().unwrap()[0].contains("still in use on the network"));
    fake.resource(ty).delete(fake.ctx("k", None), &made).await.unwrap();
}
