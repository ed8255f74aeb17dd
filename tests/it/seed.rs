//! The plan of the OpenStack text that this project began with, as written, and what stands around its snippet there: `count`, templates, provisioners,
//! null resources with triggers.

use std::collections::BTreeMap;
use std::net::TcpListener;

use serde_json::Value as Json;

use crate::sandbox::Sandbox;

/// The ports, to the letter.
pub(crate) const SNIPPET: &str = include_str!("seed/snippet.tf");

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(include_str!("seed/main.tf"));
    sandbox.write("snippet.tf", SNIPPET);
    sandbox.write("templates/cloud-config.tpl", include_str!("seed/templates/cloud-config.tpl"));
    sandbox
}

/// Who knows what the plan asks for, and asks the cloud nothing.
#[test]
fn it_is_planned_as_it_is_written_without_the_cloud() {
    let sandbox = sandbox();
    let valid = sandbox.expect(0, &["validate", "-json"]);
    let answer: Json = serde_json::from_str(&valid.stdout).unwrap();
    assert_eq!((&answer["valid"], &answer["diagnostics"]), (&true.into(), &Json::Array(Vec::new())));

    let cloud = TcpListener::bind("127.0.0.1:0").unwrap();
    cloud.set_nonblocking(true).unwrap();
    let url = format!("-var=openstack_auth_url=http://{}/v3", cloud.local_addr().unwrap());
    let plan = sandbox.expect(0, &["plan", "-var=openstack_token=hunter2", &url, "-out=p"]);
    assert!(plan.stdout.contains("Plan: 11 to add, 0 to change, 0 to destroy."), "{}", plan.stdout);
    assert!(cloud.accept().is_err(), "nothing that exists is asked about: the cloud is not needed");
    assert!(!plan.all().contains("hunter2"));

    let shown: Json = serde_json::from_str(&sandbox.expect(0, &["show", "-json", "p"]).stdout).unwrap();
    let changes: BTreeMap<&str, &Json> = shown["resource_changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (change["address"].as_str().unwrap(), &change["change"]["after"]))
        .collect();
    let port = changes["openstack_networking_port_v2.k8s_port[2]"];
    assert_eq!(port["admin_state_up"], true);
    assert_eq!(port["network_id"], "net-1");
    assert_eq!(port["fixed_ip"][0]["subnet_id"], "subnet-1");
    assert_eq!(port["security_group_ids"], serde_json::json!(["sg-1"]));
    let pairs: Vec<&str> = port["allowed_address_pairs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| pair["ip_address"].as_str().unwrap())
        .collect();
    assert_eq!(pairs, ["10.233.0.0/18", "10.233.64.0/18"]);
    let node = |n: usize| changes[&*format!("openstack_compute_instance_v2.k8s_node[{n}]")];
    assert_eq!((&node(0)["name"], &node(2)["name"]), (&"k8s-01".into(), &"k8s-03".into()));
    assert_eq!(node(1)["network"].as_array().unwrap().len(), 2, "two cards, one for the admins");
    assert_eq!(node(2)["network"].as_array().unwrap().len(), 1);
    assert_eq!(node(2)["metadata"]["role"], "worker");
    let addresses: Vec<&&str> = changes.keys().filter(|addr| addr.starts_with("null_")).collect();
    assert_eq!(
        addresses,
        [&"null_resource.certificates[0]", &"null_resource.certificates[1]", &"null_resource.workers[0]"]
    );
}
