//! Tenants, OpenStack's own client, and the proxy in between.

use std::collections::BTreeSet;
use std::process::Command;

use grappe_bed_openstack::{Bed, Chance, Fault, Proxy, Tenant};
use serde_json::Value;

/// A project of this name and this process.
fn tenant(bed: &Bed, name: &str) -> Tenant {
    bed.tenant(&format!("{name}-{}", std::process::id())).unwrap()
}

/// An answer's status, or curl's complaint; its headers and body.
fn curl(args: &[&str]) -> (Result<u16, i32>, String) {
    let output = Command::new("curl")
        .args(["-sS", "-i", "-m", "60", "--noproxy", "*", "-H", "Content-Type: application/json"])
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let status = text.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    (output.status.success().then_some(status).flatten().ok_or(output.status.code().unwrap_or(-1)), text)
}

/// A token of the tenant's user.
fn token(tenant: &Tenant) -> String {
    let body = serde_json::json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": tenant.name, "domain": {"id": "default"}, "password": tenant.password}}},
        "scope": {"project": {"id": tenant.id}}}});
    let (status, text) = curl(&["-d", &body.to_string(), &format!("{}/auth/tokens", tenant.auth_url)]);
    assert_eq!(status, Ok(201), "{text}");
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("x-subject-token").then(|| value.trim().to_owned())
    };
    text.lines().find_map(header).unwrap()
}

#[test]
fn a_tenant_has_what_it_makes_and_nothing_else() {
    let bed = Bed::open().unwrap();
    let (one, other) = (tenant(&bed, "one"), tenant(&bed, "other"));
    let proxy = Proxy::start(&bed, 1, Vec::new()).unwrap();
    let one = proxy.through(&one);
    let run = |args: &[&str]| one.openstack(&bed, args).unwrap();
    run(&["network", "create", "net"]);
    run(&["subnet", "create", "--network", "net", "--subnet-range", "10.9.0.0/24", "sub"]);
    let group = one.query(&bed, &["security", "group", "create", "group"]).unwrap();
    run(&["port", "create", "--network", "net", "--security-group", group["id"].as_str().unwrap(), "port"]);
    run(&[
        "server",
        "create",
        "--image",
        "tiny",
        "--flavor",
        "m1.tiny",
        "--port",
        "port",
        "--property",
        "key=value",
        "--wait",
        "server",
    ]);
    run(&["volume", "create", "--size", "1", "volume"]);
    run(&["server", "add", "volume", "server", "volume"]);
    run(&["loadbalancer", "create", "--vip-subnet-id", "sub", "--name", "balancer", "--wait"]);

    let servers = one.query(&bed, &["server", "list", "--long"]).unwrap();
    assert_eq!(servers[0]["Status"], "ACTIVE");
    assert_eq!(servers[0]["Properties"], serde_json::json!({"key": "value"}));
    let balancers = one.query(&bed, &["loadbalancer", "list"]).unwrap();
    assert_eq!(balancers[0]["provisioning_status"], "ACTIVE");
    for what in ["server", "volume", "loadbalancer", "port"] {
        assert_eq!(other.query(&bed, &[what, "list"]).unwrap(), Value::Array(Vec::new()), "{what}");
    }

    // All of it came through the proxy, for the catalog names it.
    let ports: BTreeSet<u16> = proxy.calls().iter().map(|call| call.port).collect();
    let services =
        [Proxy::KEYSTONE, Proxy::GLANCE, Proxy::NOVA, Proxy::NEUTRON, Proxy::OCTAVIA, Proxy::CINDER];
    assert_eq!(ports, services.into());
    let made = proxy.calls().iter().filter(|c| c.method == "POST" && c.path == "/v2.1/servers").count();
    assert_eq!(made, 1);
    assert!(proxy.calls().iter().all(|call| call.fault.is_none()));
}

#[test]
fn the_proxy_makes_the_faults_that_it_is_told() {
    let bed = Bed::open().unwrap();
    let proxy = Proxy::start(&bed, 1, Vec::new()).unwrap();
    let tenant = proxy.through(&tenant(&bed, "faults"));
    let token = format!("X-Auth-Token: {}", token(&tenant));
    let neutron = tenant.auth_url.replace("/5000/v3", "/9696/v2.0");
    let nets = || curl(&["-H", &token, &format!("{neutron}/networks?name=made")]);
    let make =
        || curl(&["-H", &token, "-d", r#"{"network": {"name": "made"}}"#, &format!("{neutron}/networks")]);
    let count =
        || nets().1.matches("\"name\": \"made\"").count() + nets().1.matches("\"name\":\"made\"").count();
    let first = |fault, method| vec![Chance::first(fault, 1, method, "/networks")];

    proxy.set(first(Fault::TooMany { retry_after: 3 }, "GET"));
    let (status, text) = nets();
    assert_eq!(status, Ok(429));
    assert!(text.contains("Retry-After: 3"), "{text}");
    assert_eq!(nets().0, Ok(200));
    proxy.set(first(Fault::Unavailable { retry_after: 1 }, "GET"));
    assert_eq!((nets().0, nets().0), (Ok(503), Ok(200)));
    proxy.set(first(Fault::Internal, "GET"));
    assert_eq!((nets().0, nets().0), (Ok(500), Ok(200)));
    proxy.set(first(Fault::Slow { millis: 1500 }, "GET"));
    let begin = std::time::Instant::now();
    assert_eq!(nets().0, Ok(200));
    assert!(begin.elapsed().as_millis() >= 1500);

    // What is reset was not done; what is lost was.
    proxy.set(first(Fault::Reset, "POST"));
    assert_eq!(make().0, Err(56));
    assert_eq!(count(), 0);
    proxy.set(first(Fault::Lost, "POST"));
    assert_eq!(make().0, Err(56));
    assert_eq!(count(), 1);
    let cut = proxy.take().into_iter().filter(|call| call.status.is_none());
    let cut: Vec<_> = cut.map(|call| (call.method, call.path, call.fault.unwrap())).collect();
    let post = |fault| ("POST".to_owned(), "/v2.0/networks".to_owned(), fault);
    assert_eq!(cut, [post(Fault::Reset), post(Fault::Lost)]);
    assert!(proxy.calls().is_empty());
}
