//! `plans/openstack` as it stands in the repository, up to the machines: the bed's have no system inside.

use super::cloud::Cloud;
use crate::sandbox::Sandbox;

const SETTINGS: &str = r#"
image                = "tiny"
control_plane_flavor = "m1.small"
worker_flavor        = "m1.tiny"
load_balancer_flavor = "m1.tiny"
admin_ranges         = ["192.0.2.0/24"]
ssh_public_key       = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGUxSwz29vb/6pu4ByiwKGLCQDFjhqpgKiFcLJY2W8LV lab"
cluster              = false
"#;

#[test]
fn the_plan_makes_all_machines_and_takes_all_away() {
    let cloud = Cloud::with("plan", Sandbox::of_plans("openstack"));
    cloud.sandbox.write("terraform.tfvars", SETTINGS);

    // With a machine for HAProxy, and a floating IP each.
    cloud.apply(&[]);
    cloud.settled(&[]);
    let [servers, floating] = cloud.lists(["server list --long", "floating ip list"]);
    let mut names: Vec<&str> = servers.iter().map(|s| s["Name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["k8s-cp-1", "k8s-cp-2", "k8s-cp-3", "k8s-lb", "k8s-worker-1", "k8s-worker-2"]);
    assert!(servers.iter().all(|s| s["Status"] == "ACTIVE"), "{servers:#?}");
    assert!(floating.len() == 6 && floating.iter().all(|f| f["Port"].is_string()), "{floating:#?}");

    // With Octavia instead, and a second card in the administrators' network.
    cloud.touch(&["network", "create", "admin"]);
    cloud.touch(&["subnet", "create", "--network", "admin", "--subnet-range", "10.9.0.0/24", "admin"]);
    let vars = ["-var=load_balancer=octavia", "-var=access=network", "-var=admin_network=admin"];
    cloud.apply(&vars);
    cloud.settled(&vars);
    let [balancers, ports] = cloud.lists(["loadbalancer list", "port list --network admin"]);
    assert_eq!(balancers.len(), 1);
    assert_eq!(balancers[0]["vip_address"], "10.6.0.10");
    assert_eq!(ports.len(), 5);

    // The balancer first, for what the bed leaves of it holds the subnet.
    let all = [&["destroy", "-auto-approve"], &vars[..]].concat();
    cloud.expect(0, &[&all[..], &["-target=openstack_lb_loadbalancer_v2.api"]].concat());
    cloud.sweep_addresses();
    cloud.expect(0, &all);
    cloud.touch(&["network", "delete", "admin"]);
    cloud.nothing_left([
        "server list",
        "port list",
        "router list",
        "floating ip list",
        "network list --internal",
        "loadbalancer list",
        "keypair list",
        "server group list",
    ]);
    let [groups] = cloud.lists(["security group list"]);
    assert_eq!(groups.len(), 1, "the project's own: {groups:?}");
}
