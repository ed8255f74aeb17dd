//! The plan of the OpenStack text that this project began with, as written: it parses, evaluates and plans, with the schemas that the provider's types have
//! there.

use std::sync::Arc;

use grappe_provider::{AnyResource, Context, Fault, Provider, Registry, Resource, Setup, erased};
use grappe_value::{Attribute, Nesting, Schema, Type, Value};
use insta::assert_snapshot;

use crate::lab::{Lab, text};
use crate::types::{Nothing, Shout};

/// A type of which only the schema matters.
struct Kind(&'static str, fn() -> Schema);

impl Resource for Kind {
    type Client = ();
    type Args = Nothing;
    type State = Nothing;

    fn name(&self) -> &'static str {
        self.0
    }
    fn schema(&self) -> Schema {
        self.1()
    }
    async fn read(&self, _: &Context<()>, _: Nothing) -> Result<Option<Nothing>, Fault> {
        Err(Fault::permanent("the planner does no I/O"))
    }
    async fn create(&self, _: &Context<()>, _: Nothing) -> Result<Nothing, Fault> {
        Err(Fault::permanent("the planner does no I/O"))
    }
    async fn delete(&self, _: &Context<()>, _: Nothing) -> Result<(), Fault> {
        Err(Fault::permanent("the planner does no I/O"))
    }
}

fn port() -> Schema {
    let fixed_ip = Schema::new("")
        .attr("subnet_id", Attribute::optional_computed(Type::String, ""))
        .attr("ip_address", Attribute::optional(Type::String, ""));
    let pair = Schema::new("")
        .attr("ip_address", Attribute::required(Type::String, ""))
        .attr("mac_address", Attribute::optional(Type::String, ""));
    Schema::new("")
        .attr("network_id", Attribute::required(Type::String, "").replace())
        .attr("admin_state_up", Attribute::optional_computed(Type::Bool, ""))
        .attr("security_group_ids", Attribute::optional(Type::set(Type::String), ""))
        .attr("id", Attribute::computed(Type::String, ""))
        .block("fixed_ip", Nesting::List, fixed_ip)
        .block("allowed_address_pairs", Nesting::Set, pair)
}

fn instance() -> Schema {
    let network = Schema::new("")
        .attr("port", Attribute::optional(Type::String, "").replace())
        .attr("uuid", Attribute::optional_computed(Type::String, "").replace());
    Schema::new("")
        .attr("name", Attribute::required(Type::String, ""))
        .attr("image_name", Attribute::optional_computed(Type::String, "").replace())
        .attr("flavor_name", Attribute::optional_computed(Type::String, ""))
        .attr("user_data", Attribute::optional(Type::String, "").replace())
        .attr("metadata", Attribute::optional(Type::map(Type::String), ""))
        .attr("access_ip_v4", Attribute::computed(Type::String, ""))
        .attr("id", Attribute::computed(Type::String, ""))
        .block("network", Nesting::List, network)
}

fn null() -> Schema {
    Schema::new("")
        .attr("triggers", Attribute::optional(Type::map(Type::String), "").replace())
        .attr("id", Attribute::computed(Type::String, ""))
}

struct OpenStack;

impl Provider for OpenStack {
    type Client = ();
    type Config = Nothing;

    fn name(&self) -> &'static str {
        "openstack"
    }
    fn schema(&self) -> Schema {
        Schema::new("")
            .attr("auth_url", Attribute::optional(Type::String, ""))
            .attr("token", Attribute::optional(Type::String, "").sensitive())
    }
    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![
            erased::resource(Kind("openstack_networking_port_v2", port)),
            erased::resource(Kind("openstack_compute_instance_v2", instance)),
        ]
    }
    async fn configure(&self, _: &Setup, _: Nothing) -> Result<(), Fault> {
        Ok(())
    }
}

struct Null;

impl Provider for Null {
    type Client = ();
    type Config = Nothing;

    fn name(&self) -> &'static str {
        "null"
    }
    fn resources(&self) -> Vec<Box<dyn AnyResource>> {
        vec![erased::resource(Kind("null_resource", null))]
    }
    async fn configure(&self, _: &Setup, _: Nothing) -> Result<(), Fault> {
        Ok(())
    }
}

fn lab() -> Lab {
    let connection = Schema::new("")
        .attr("host", Attribute::required(Type::String, ""))
        .attr("user", Attribute::optional(Type::String, ""))
        .attr("agent", Attribute::optional(Type::Bool, ""));
    let exec = Schema::new("").attr("inline", Attribute::optional(Type::list(Type::String), ""));
    let file = Schema::new("")
        .attr("content", Attribute::optional(Type::String, ""))
        .attr("destination", Attribute::required(Type::String, ""));
    let mut lab = Lab::new();
    lab.registry = Registry::default()
        .with(erased::provider(OpenStack))
        .with(erased::provider(Null))
        .with_provisioner(Arc::new(Shout("remote-exec", exec, Some(connection.clone()))))
        .with_provisioner(Arc::new(Shout("file", file, Some(connection))));
    lab.file("templates/cloud-config.tpl", include_str!("seed/templates/cloud-config.tpl"));
    lab.main(include_str!("seed/main.tf"));
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
    assert_snapshot!(lab.steps.join("\n"), @r#"
    openstack_compute_instance_v2.k8s_node[2] remote-exec: {"config": {"inline": ["set -e", "while [ ! -f /var/lib/cloud/instance/boot-finished ]; do sleep 1; done"]}, "connection": {"agent": true, "host": "10.0.0.6", "user": "debian"}, "secrets": []}
    openstack_compute_instance_v2.k8s_node[1] remote-exec: {"config": {"inline": ["set -e", "while [ ! -f /var/lib/cloud/instance/boot-finished ]; do sleep 1; done"]}, "connection": {"agent": true, "host": "10.0.0.7", "user": "debian"}, "secrets": []}
    openstack_compute_instance_v2.k8s_node[0] remote-exec: {"config": {"inline": ["set -e", "while [ ! -f /var/lib/cloud/instance/boot-finished ]; do sleep 1; done"]}, "connection": {"agent": true, "host": "10.0.0.8", "user": "debian"}, "secrets": []}
    null_resource.certificates[1] file: {"config": {"content": "apiVersion: kubeadm.k8s.io/v1beta1\nkind: ClusterConfiguration\nnetworking:\n  podSubnet: \"10.233.64.0/18\"\netcd:\n  local:\n    serverCertSANs:\n              - \"10.0.0.8\"\n              - \"10.0.0.7\"\n    ", "destination": "/home/debian/kubeadm.yml"}, "connection": {"agent": null, "host": "10.0.0.7", "user": "debian"}, "secrets": [{"auth_url": "https://api.r1.nxs.enix.io/v3", "token": (sensitive value)}]}
    null_resource.certificates[1] remote-exec: {"config": {"inline": ["set -e", "sudo kubeadm init phase certs all --config /home/debian/kubeadm.yml"]}, "connection": {"agent": null, "host": "10.0.0.7", "user": "debian"}, "secrets": [{"auth_url": "https://api.r1.nxs.enix.io/v3", "token": (sensitive value)}]}
    null_resource.certificates[0] file: {"config": {"content": "apiVersion: kubeadm.k8s.io/v1beta1\nkind: ClusterConfiguration\nnetworking:\n  podSubnet: \"10.233.64.0/18\"\netcd:\n  local:\n    serverCertSANs:\n              - \"10.0.0.8\"\n              - \"10.0.0.7\"\n    ", "destination": "/home/debian/kubeadm.yml"}, "connection": {"agent": null, "host": "10.0.0.8", "user": "debian"}, "secrets": [{"auth_url": "https://api.r1.nxs.enix.io/v3", "token": (sensitive value)}]}
    null_resource.certificates[0] remote-exec: {"config": {"inline": ["set -e", "sudo kubeadm init phase certs all --config /home/debian/kubeadm.yml"]}, "connection": {"agent": null, "host": "10.0.0.8", "user": "debian"}, "secrets": [{"auth_url": "https://api.r1.nxs.enix.io/v3", "token": (sensitive value)}]}
    null_resource.workers[0] remote-exec: {"config": {"inline": ["set -e", "sudo kubeadm join 10.0.0.8:6443"]}, "connection": {"agent": null, "host": "10.0.0.6", "user": "debian"}, "secrets": [{"auth_url": "https://api.r1.nxs.enix.io/v3", "token": (sensitive value)}]}
    "#);
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
    -/+ openstack_compute_instance_v2.k8s_node[0] access_ip_v4 id network[0].port network[0].uuid network[1] [Attributes([Path([Attr("network")])])]
    -/+ openstack_compute_instance_v2.k8s_node[1] access_ip_v4 id network[0].port network[0].uuid network[1] [Attributes([Path([Attr("network")])])]
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
