//! The plan of the OpenStack text that this project began with, as written: it parses, evaluates, plans and is applied, with the types that the providers
//! have. `tests/it/seed.rs` of the repository plans it with the program.

use grappe_provider::Registry;
use grappe_value::Value;
use insta::assert_snapshot;

use crate::lab::{Lab, text};

fn lab() -> Lab {
    let mut lab = Lab::new();
    let providers =
        grappe_provider_core::providers().into_iter().chain([grappe_provider_openstack::provider()]);
    let registry = providers.fold(Registry::default(), Registry::with);
    lab.registry = grappe_provisioners::provisioners(&grappe_ssh::Pool::new())
        .into_iter()
        .fold(registry, Registry::with_provisioner);
    lab.file(
        "templates/cloud-config.tpl",
        include_str!("../../../../tests/it/seed/templates/cloud-config.tpl"),
    );
    lab.main(concat!(
        include_str!("../../../../tests/it/seed/snippet.tf"),
        include_str!("../../../../tests/it/seed/main.tf")
    ));
    lab.variables.insert("openstack_token".into(), "token".into());
    lab
}

#[test]
fn it_is_planned_as_it_is_written() {
    let mut lab = lab();
    let plan = lab.plan();
    assert_snapshot!(text(&plan), @r"
    + null_resource.certificates[0]
    + null_resource.certificates[1]
    + null_resource.workers[0]
    + openstack_compute_instance_v2.k8s_node[0]
    + openstack_compute_instance_v2.k8s_node[1]
    + openstack_compute_instance_v2.k8s_node[2]
    + openstack_networking_port_v2.admin_port[0]
    + openstack_networking_port_v2.admin_port[1]
    + openstack_networking_port_v2.k8s_port[0]
    + openstack_networking_port_v2.k8s_port[1]
    + openstack_networking_port_v2.k8s_port[2]
    output masters Create: None -> Some([[(known after apply), (known after apply)]])
    0 create openstack_networking_port_v2.k8s_port[0]
    1 create openstack_networking_port_v2.k8s_port[1]
    2 create openstack_networking_port_v2.k8s_port[2]
    3 join openstack_networking_port_v2.k8s_port[0] <- 0 1 2
    4 create openstack_networking_port_v2.admin_port[0]
    5 create openstack_networking_port_v2.admin_port[1]
    6 join openstack_networking_port_v2.admin_port[0] <- 4 5
    7 create openstack_compute_instance_v2.k8s_node[0] <- 3 6
    8 provision openstack_compute_instance_v2.k8s_node[0] <- 7
    9 create openstack_compute_instance_v2.k8s_node[1] <- 3 6
    10 provision openstack_compute_instance_v2.k8s_node[1] <- 9
    11 create openstack_compute_instance_v2.k8s_node[2] <- 3 6
    12 provision openstack_compute_instance_v2.k8s_node[2] <- 11
    13 join openstack_compute_instance_v2.k8s_node[0] <- 8 10 12
    14 create null_resource.certificates[0] <- 13
    15 provision null_resource.certificates[0] <- 14
    16 provision null_resource.certificates[0] <- 15
    17 create null_resource.certificates[1] <- 13
    18 provision null_resource.certificates[1] <- 17
    19 provision null_resource.certificates[1] <- 18
    20 create null_resource.workers[0] <- 13 16 19
    21 provision null_resource.workers[0] <- 20
    ");
    let after = |addr: &str| {
        let change = plan.changes.iter().find(|c| c.addr.to_string() == addr).unwrap();
        change.after.clone().unwrap()
    };
    let port = after("openstack_networking_port_v2.k8s_port[2]");
    assert_eq!(port.get("admin_state_up").unwrap().as_bool(), Some(true));
    let pairs = port.get("allowed_address_pairs").unwrap().as_items().unwrap();
    let pairs: Vec<&str> =
        pairs.iter().map(|p| p.get("ip_address").and_then(Value::as_str).unwrap()).collect();
    assert_eq!(pairs, ["10.233.0.0/18", "10.233.64.0/18"]);
    let master = after("openstack_compute_instance_v2.k8s_node[1]");
    assert_eq!(master.get("network").unwrap().as_items().unwrap().len(), 2, "two cards, one for the admins");
    assert_eq!(
        master.get("user_data").unwrap().as_str().unwrap(),
        "#cloud-config\npackages:\n  - docker-ce=18.06*\nwrite_files:\n  - path: /etc/masters.d/0\n  - path: /etc/masters.d/1\n"
    );
    let worker = after("openstack_compute_instance_v2.k8s_node[2]");
    assert_eq!(worker.get("metadata").unwrap().get("role").unwrap().as_str(), Some("worker"));
    assert_eq!(worker.get("network").unwrap().as_items().unwrap().len(), 1);
}

#[test]
fn it_is_applied_and_a_node_more_touches_what_it_must() {
    let mut lab = lab();
    let plan = lab.plan();
    lab.run(&plan, |n| n - 1);
    let done: Vec<&str> = lab.steps.iter().filter_map(|step| step.split(": {").next()).collect();
    assert_snapshot!(done.join("\n"), @r"
    openstack_compute_instance_v2.k8s_node[2] remote-exec
    openstack_compute_instance_v2.k8s_node[1] remote-exec
    openstack_compute_instance_v2.k8s_node[0] remote-exec
    null_resource.certificates[1] file
    null_resource.certificates[1] remote-exec
    null_resource.certificates[0] file
    null_resource.certificates[0] remote-exec
    null_resource.workers[0] remote-exec
    ");
    let step = |what: &str| lab.steps.iter().find(|step| step.starts_with(what)).unwrap();
    for (what, told) in [
        (
            "openstack_compute_instance_v2.k8s_node[2]",
            r#""while [ ! -f /var/lib/cloud/instance/boot-finished ]; do sleep 1; done""#,
        ),
        ("openstack_compute_instance_v2.k8s_node[2]", r#""host": "10.0.0.6""#),
        (
            "null_resource.certificates[1] file",
            r#"serverCertSANs:\n              - \"10.0.0.8\"\n              - \"10.0.0.7\"\n"#,
        ),
        ("null_resource.certificates[1] file", r#""token": (sensitive value)"#),
        ("null_resource.workers[0]", "sudo kubeadm join 10.0.0.8:6443"),
    ] {
        assert!(step(what).contains(told), "{}", step(what));
    }
    assert!(lab.plan().is_empty(), "{}", text(&lab.plan()));
    lab.variables.insert("nodes_count".into(), "4".into());
    assert_snapshot!(text(&lab.plan()), @r#"
    -/+ null_resource.certificates[0] id triggers["nodes"] [Attributes([Path([Attr("triggers"), Key("nodes")])])]
    -/+ null_resource.certificates[1] id triggers["nodes"] [Attributes([Path([Attr("triggers"), Key("nodes")])])]
    + null_resource.workers[1]
    + openstack_compute_instance_v2.k8s_node[3]
    + openstack_networking_port_v2.k8s_port[3]
    = 9
    0 create openstack_networking_port_v2.k8s_port[3]
    1 create openstack_compute_instance_v2.k8s_node[3] <- 0
    2 provision openstack_compute_instance_v2.k8s_node[3] <- 1
    3 join openstack_networking_port_v2.k8s_port[3] <- 0 2
    4 delete null_resource.certificates[0]
    5 create null_resource.certificates[0] <- 3 4
    6 provision null_resource.certificates[0] <- 5
    7 provision null_resource.certificates[0] <- 6
    8 delete null_resource.certificates[1]
    9 create null_resource.certificates[1] <- 3 8
    10 provision null_resource.certificates[1] <- 9
    11 provision null_resource.certificates[1] <- 10
    12 create null_resource.workers[1] <- 3 7 11
    13 provision null_resource.workers[1] <- 12
    "#);
    // Without the network of administration.
    lab.variables.insert("public".into(), "true".into());
    assert_snapshot!(text(&lab.plan()), @r#"
    -/+ null_resource.certificates[0] id triggers["nodes"] [Attributes([Path([Attr("triggers"), Key("nodes")])])]
    -/+ null_resource.certificates[1] id triggers["nodes"] [Attributes([Path([Attr("triggers"), Key("nodes")])])]
    + null_resource.workers[1]
    -/+ openstack_compute_instance_v2.k8s_node[0] access_ip_v4 access_ip_v6 all_metadata all_tags availability_zone created flavor_id id image_id network[0].fixed_ip_v4 network[0].fixed_ip_v6 network[0].mac network[0].name network[0].port network[0].uuid network[1] region security_groups updated [Attributes([Path([Attr("network")])])]
    -/+ openstack_compute_instance_v2.k8s_node[1] access_ip_v4 access_ip_v6 all_metadata all_tags availability_zone created flavor_id id image_id network[0].fixed_ip_v4 network[0].fixed_ip_v6 network[0].mac network[0].name network[0].port network[0].uuid network[1] region security_groups updated [Attributes([Path([Attr("network")])])]
    + openstack_compute_instance_v2.k8s_node[3]
    - openstack_networking_port_v2.admin_port[0] [IndexOutOfCount]
    - openstack_networking_port_v2.admin_port[1] [IndexOutOfCount]
    + openstack_networking_port_v2.k8s_port[3]
    = 5
    output masters Update: Some([["10.0.0.8", "10.0.0.7"]]) -> Some([[(known after apply), (known after apply)]])
    0 create openstack_networking_port_v2.k8s_port[3]
    1 create openstack_compute_instance_v2.k8s_node[3] <- 0
    2 provision openstack_compute_instance_v2.k8s_node[3] <- 1
    3 delete null_resource.certificates[0]
    4 delete null_resource.certificates[1]
    5 join null_resource.certificates[0] <- 3 4
    6 delete openstack_compute_instance_v2.k8s_node[0] <- 5
    7 create openstack_compute_instance_v2.k8s_node[0] <- 0 6
    8 provision openstack_compute_instance_v2.k8s_node[0] <- 7
    9 delete openstack_compute_instance_v2.k8s_node[1] <- 5
    10 create openstack_compute_instance_v2.k8s_node[1] <- 0 9
    11 provision openstack_compute_instance_v2.k8s_node[1] <- 10
    12 join openstack_networking_port_v2.k8s_port[3] <- 0 2 8 11
    13 create null_resource.certificates[0] <- 3 12
    14 provision null_resource.certificates[0] <- 13
    15 provision null_resource.certificates[0] <- 14
    16 create null_resource.certificates[1] <- 4 12
    17 provision null_resource.certificates[1] <- 16
    18 provision null_resource.certificates[1] <- 17
    19 create null_resource.workers[1] <- 12 15 18
    20 provision null_resource.workers[1] <- 19
    21 join null_resource.certificates[0] <- 5 6 9
    22 delete openstack_networking_port_v2.admin_port[0] <- 21
    23 delete openstack_networking_port_v2.admin_port[1] <- 21
    "#);
}
