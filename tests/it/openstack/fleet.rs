//! Fifty servers, each on a port of its own: made in one apply whatever the API does, made once, and read with a handful of calls.

use std::collections::{BTreeSet, HashSet};

use grappe_bed_openstack::{Chance, Fault, fleet};
use serde_json::Value as Json;

use super::cloud::Cloud;
use crate::sandbox::Sandbox;

const MANY: usize = 50;

/// All there is, each with a key of its own, as OpenStack's client sees it.
fn whole(cloud: &Cloud) {
    let [servers, ports, networks] =
        cloud.lists(["server list --long", "port list --long", "network list --internal"]);
    let keys: BTreeSet<&str> =
        servers.iter().map(|s| s["Properties"]["grappe_key"].as_str().expect("a key")).collect();
    assert_eq!((servers.len(), keys.len()), (MANY, MANY));
    assert!(servers.iter().all(|s| s["Status"] == "ACTIVE"), "{servers:#?}");
    let names: BTreeSet<&str> = servers.iter().map(|s| s["Name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), MANY);
    let key = |port: &Json| {
        let tags = port["Tags"].as_array().unwrap().iter().filter_map(Json::as_str);
        tags.filter(|tag| tag.starts_with("grappe:")).map(str::to_owned).collect::<Vec<_>>()
    };
    let keys: BTreeSet<String> = ports.iter().flat_map(key).collect();
    assert_eq!((ports.len(), keys.len(), networks.len()), (MANY, MANY, 1));
    assert!(ports.iter().all(|p| p["Device Owner"] == "compute:nova"), "each in its server: {ports:#?}");
}

fn gone(cloud: &Cloud) {
    cloud.nothing_left(["server list", "port list", "network list --internal"]);
}

#[test]
fn fifty_servers_come_whatever_the_api_does() {
    let cloud = Cloud::with("fleet", Sandbox::new(&fleet(MANY)));
    let some = |fault, times| Chance { times: Some(times), ..Chance::new(fault, 10) };
    cloud.proxy.set(vec![
        // Each halves what goes on at once.
        some(Fault::TooMany { retry_after: 1 }, 3),
        some(Fault::Unavailable { retry_after: 1 }, 12),
        some(Fault::Internal, 12),
        some(Fault::Reset, 12),
        some(Fault::Lost, 12),
        some(Fault::Slow { millis: 1_000 }, 12),
    ]);
    cloud.apply(&[]);
    let faults: Vec<Fault> = cloud.proxy.calls().iter().filter_map(|call| call.fault).collect();
    let kinds: HashSet<_> = faults.iter().collect();
    assert!(kinds.len() == 6 && faults.len() >= 50, "{} faults of {kinds:?}", faults.len());
    let lost =
        cloud.proxy.calls().iter().filter(|c| c.method == "POST" && c.fault == Some(Fault::Lost)).count();
    assert!(lost > 0, "no creation's answer was lost");
    assert_eq!((cloud.made("POST", "/servers"), cloud.made("POST", "/ports")), (MANY, MANY));
    whole(&cloud);

    // One call reads all of a type: a login and a list for each of five types, and the image that the plan looks up.
    cloud.proxy.set(Vec::new());
    cloud.proxy.take();
    cloud.settled(&[]);
    let calls: Vec<_> = cloud.proxy.take().into_iter().map(|c| format!("{} {}", c.method, c.path)).collect();
    assert!(calls.len() <= 10, "{calls:#?}");
    for list in ["GET /v2.0/ports", "GET /v2.1/servers/detail"] {
        assert_eq!(calls.iter().filter(|call| call.starts_with(list)).count(), 1, "{calls:#?}");
    }

    // Faults again, on the way out.
    cloud.proxy.set(vec![some(Fault::Unavailable { retry_after: 1 }, 12), some(Fault::Lost, 12)]);
    cloud.expect(0, &["destroy", "-auto-approve"]);
    gone(&cloud);
}

#[test]
fn killed_in_the_midst_of_fifty_nothing_is_left_over() {
    let cloud = Cloud::with("killed", Sandbox::new(&fleet(MANY)));
    // Servers are being made, and others are still to come.
    cloud.kill_when(&["apply", "-auto-approve"], |calls| {
        calls.iter().filter(|c| c.method == "POST" && c.path.ends_with("/servers")).count() >= MANY / 2
    });
    let [servers] = cloud.lists(["server list"]);
    assert!((MANY / 2..MANY).contains(&servers.len()), "{} servers", servers.len());
    cloud.apply(&[]);
    cloud.settled(&[]);
    whole(&cloud);
    cloud.expect(0, &["destroy", "-auto-approve"]);
    gone(&cloud);
}
