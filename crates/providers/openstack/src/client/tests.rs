use std::sync::atomic::{AtomicUsize, Ordering};

use grappe_http::testing::{Answer, Server};
use serde_json::json;

use super::*;
use crate::settings::Config;

/// A catalog with every service at one address.
fn token(base: &str) -> Json {
    let entry = |ty: &str, path: &str| {
        json!({ "type": ty, "endpoints": [
            { "interface": "internal", "region": "one", "url": "http://nowhere" },
            { "interface": "public", "region": "one", "region_id": "one", "url": format!("{base}{path}") },
        ] })
    };
    let catalog = [
        entry("network", "/net"),
        entry("compute", "/nova/v2.1/p"),
        entry("image", "/v2"),
        entry("block-storage", "/v3"),
    ];
    json!({ "token": { "catalog": catalog, "issued_at": "2026-11-27T03:00:00.000000Z", "project": { "id": "p", "name": "lab" } } })
}

async fn client(
    answer: impl Fn(&str, &Json) -> Answer + Send + Sync + 'static,
    given: Json,
) -> (Client, Server) {
    let logins = AtomicUsize::new(0);
    let server = Server::start(move |asked| {
        let base = format!("http://{}", asked.headers["host"]);
        if asked.path.starts_with("/v3/auth/tokens") {
            let n = logins.fetch_add(1, Ordering::SeqCst) + 1;
            return Answer::json(201, &token(&base)).header("x-subject-token", &format!("token-{n}"));
        }
        answer(&asked.path, &json!({ "token": asked.headers.get("x-auth-token"), "base": base }))
    })
    .await;
    let mut config =
        json!({ "auth_url": server.url(), "user_name": "alice", "password": "hunter2", "region": "one" });
    for (name, value) in given.as_object().unwrap() {
        config[name] = value.clone();
    }
    let config: Config = serde_json::from_value(config).unwrap();
    let settings = Settings::new(&config, std::path::Path::new("."), &|_| None).unwrap();
    (Client::new(settings, ".".into()).unwrap(), server)
}

fn get(service: Service, path: &str) -> Call<'static> {
    Call::new(Method::GET, service, None, path)
}

#[tokio::test]
async fn services_are_found_in_the_catalog() {
    let (client, server) = client(|path, _| Answer::json(200, &json!({ "path": path })), json!({})).await;
    for (service, path, wanted) in [
        (Service::Network, "ports", "/net/v2.0/ports"),
        (Service::Compute, "servers/detail", "/nova/v2.1/p/servers/detail"),
        (Service::Image, "images", "/v2/images"),
        (Service::Volume, "volumes", "/v3/volumes"),
    ] {
        assert_eq!(client.call(get(service, path)).await.unwrap()["path"], wanted);
    }
    let fault = client.call(get(Service::LoadBalancer, "lbaas/pools")).await.unwrap_err().fault();
    assert!(fault.summary.contains("no service of the type \"load-balancer\""), "{fault}");
    let elsewhere = Call::new(Method::GET, Service::Network, Some("two"), "ports");
    let fault = client.call(elsewhere).await.unwrap_err().fault();
    assert!(fault.summary.contains("no public address in the region \"two\""), "{fault}");
    assert_eq!(server.asked().iter().filter(|a| a.path.contains("auth")).count(), 1, "one login for all");
}

#[tokio::test]
async fn an_address_can_be_given_instead() {
    let (client, server) = client(|path, _| Answer::json(200, &json!({ "path": path })), json!({})).await;
    let mut settings = client.settings.clone();
    settings.overrides.insert("octavia".into(), format!("{}/lb/v2.0/", server.url()));
    settings.overrides.insert("volumev3".into(), "block-storage".into());
    let client = Client::new(settings, ".".into()).unwrap();
    assert_eq!(
        client.call(get(Service::LoadBalancer, "lbaas/pools")).await.unwrap()["path"],
        "/lb/v2.0/lbaas/pools"
    );
    assert_eq!(client.call(get(Service::Volume, "volumes")).await.unwrap()["path"], "/v3/volumes");
}

#[tokio::test]
async fn a_token_that_ended_is_renewed_once_for_all() {
    let answer = |_: &str, asked: &Json| match asked["token"].as_str() {
        Some("token-1") => Answer::json(401, &json!({ "error": { "message": "expired" } })),
        _ => Answer::json(200, &json!({})),
    };
    let (client, server) = client(answer, json!({})).await;
    let client = Arc::new(client);
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.call(get(Service::Network, "ports")).await.map(drop) })
    });
    for call in futures::future::join_all(calls).await {
        call.unwrap().unwrap();
    }
    assert_eq!(server.asked().iter().filter(|a| a.path.contains("auth")).count(), 2);
}

#[tokio::test]
async fn a_given_token_that_ended_is_said() {
    let answer = |_: &str, _: &Json| Answer::json(401, &json!({}));
    let (client, _server) = client(answer, json!({ "token": "given", "password": "" })).await;
    let fault = client.call(get(Service::Network, "ports")).await.unwrap_err().fault();
    assert!(fault.hint.unwrap().contains("openstack token issue"));
    assert!(!fault.summary.contains("given"), "{}", fault.summary);
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let answer = |path: &str, asked: &Json| match path {
        "/net/v2.0/ports?x=1" => Answer::json(
            200,
            &json!({ "ports": [{ "id": "a" }], "ports_links": [
            { "rel": "previous", "href": "http://inside/v2.0/ports?page_reverse=True" },
            { "rel": "next", "href": "http://inside/v2.0/ports?x=1&marker=a" },
        ] }),
        ),
        "/net/v2.0/ports?x=1&marker=a" => Answer::json(200, &json!({ "ports": [{ "id": "b" }] })),
        "/v2/images" => {
            Answer::json(200, &json!({ "images": [{ "id": "c" }], "next": "/v2/images?marker=c" }))
        }
        "/v2/images?marker=c" => Answer::json(200, &json!({ "images": [] })),
        "/nova/v2.1/p/servers/detail" => Answer::json(
            200,
            &json!({ "servers": [{ "id": "d" }], "servers_links": [
            { "rel": "next", "href": format!("{}/other/v2.1/p/servers/detail?marker=d", asked["base"].as_str().unwrap()) },
        ] }),
        ),
        "/nova/v2.1/p/servers/detail?marker=d" => Answer::json(200, &json!({ "servers": [{ "id": "e" }] })),
        other => Answer::text(500, other),
    };
    let (client, _server) = client(answer, json!({})).await;
    let ids =
        |items: Vec<Json>| items.iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect::<String>();
    assert_eq!(
        ids(client.list(get(Service::Network, "ports").query("x", "1"), "ports").await.unwrap()),
        "ab"
    );
    assert_eq!(ids(client.list(get(Service::Image, "images"), "images").await.unwrap()), "c");
    assert_eq!(ids(client.list(get(Service::Compute, "servers/detail"), "servers").await.unwrap()), "de");
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let answer = |path: &str, _: &Json| match path.rsplit('/').next() {
        Some("quota") => Answer::json(
            409,
            &json!({ "NeutronError": { "message": "Quota exceeded for resources: ['port'].", "type": "OverQuota" } }),
        ),
        Some("forbidden") => {
            Answer::json(403, &json!({ "forbidden": { "message": "Policy doesn't allow it" } }))
        }
        Some("wrong") => {
            let message = "Gateway ip 10.0.0.2 conflicts with allocation pool 10.0.0.2-10.0.0.254.";
            Answer::json(
                409,
                &json!({ "NeutronError": { "message": message, "type": "GatewayConflictWithAllocationPools" } }),
            )
        }
        _ => Answer::json(409, &json!({ "NeutronError": { "message": "In use", "type": "NetworkInUse" } })),
    };
    let (client, _server) = client(answer, json!({})).await;
    let refused = async |path: &str| client.call(get(Service::Network, path)).await.unwrap_err();
    let quota = refused("quota").await;
    assert!(quota.is_quota() && !quota.is_conflict());
    assert!(quota.fault().hint.unwrap().contains("openstack quota show"));
    assert!(refused("forbidden").await.fault().hint.unwrap().contains("role"));
    assert!(refused("used").await.is_conflict());
    assert!(!refused("wrong").await.is_conflict());
}

#[test]
fn a_name_is_one_segment() {
    assert_eq!(segment("a b/c"), "a%20b%2Fc");
}
