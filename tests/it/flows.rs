//! `grappe flows`: the table for a firewall team, from a plan of which nothing is there yet.

use serde_json::Value as Json;

use crate::sandbox::Sandbox;

/// A control plane and HAProxy in the LAN, a worker in the DMZ.
const PLAN: &str = r#"
variable "cni" {
  default = "antrea"
}

data "kubeadm_flows" "this" {
  cni = var.cni

  group {
    name = "master"
    role = "control_plane"
    zone = "LAN"
  }
  group {
    name = "haproxy"
    role = "load_balancer"
    zone = "LAN"
  }
  group {
    name    = "dmz"
    role    = "worker"
    zone    = "DMZ"
    tainted = true
  }
  other {
    name = "nas"
    zone = "LAN"
  }
  other {
    name    = "office"
    purpose = "admin"
    zone    = "LAN"
    ranges  = ["192.0.2.0/24"]
  }

  dynamic "flow" {
    for_each = [["tcp", "2049"], ["tcp", "111"], ["udp", "111"]]

    content {
      from     = "dmz"
      to       = "nas"
      protocol = flow.value[0]
      ports    = flow.value[1]
      reason   = "NFS"
    }
  }
}

# One for each rule, as a cloud's are made. Nothing of it is there when the flows are asked for.
resource "terraform_data" "rule" {
  for_each = data.kubeadm_flows.this.rules

  input = "${each.value.group} ${coalesce(each.value.protocol, "any")} ${coalesce(each.value.remote_group, each.value.remote_ip_prefix)}"
}
"#;

#[test]
fn a_firewall_team_gets_its_table_before_anything_is_made() {
    let sandbox = Sandbox::new(PLAN);
    let table = "\
Direction   From    To               Protocol and port      Why
LAN to DMZ  office  dmz              TCP 22                 SSH
LAN to DMZ  master  dmz              TCP 10250              kubelet: logs, exec, port-forward
LAN to DMZ  master  dmz              UDP 6081               Geneve: pods' packets
DMZ to LAN  dmz     master, haproxy  TCP 6443               API server
DMZ to LAN  dmz     master           TCP 10349              Antrea's controller
DMZ to LAN  dmz     master           UDP 6081               Geneve: pods' packets
DMZ to LAN  dmz     nas              TCP 2049, TCP/UDP 111  NFS
";
    let ran = sandbox.expect(0, &["flows"]);
    assert_eq!(ran.stdout, table);
    assert!(ran.stderr.starts_with("Read 1 object in "), "{}", ran.stderr);
    let csv = sandbox.expect(0, &["flows", "-format=csv", "-var", "cni=weave"]).stdout;
    assert!(csv.contains("\nDMZ to LAN,dmz,master,UDP 6783-6784,Weave: pods' packets\n"), "{csv}");
    let markdown = sandbox.expect(0, &["flows", "-format=markdown"]).stdout;
    assert!(
        markdown.contains("\n| LAN to DMZ | master | dmz | UDP 6081 | Geneve: pods' packets |\n"),
        "{markdown}"
    );

    let json: Json = serde_json::from_str(&sandbox.expect(0, &["flows", "-json"]).stdout).unwrap();
    let this = &json["data.kubeadm_flows.this"];
    let ssh = &this["rules"]["dmz tcp 22 office 192.0.2.0/24"];
    assert_eq!((&ssh["port_range_min"], &ssh["remote_ip_prefix"]), (&22.into(), &"192.0.2.0/24".into()));
    assert_eq!(ssh["remote_group"], Json::Null);
    assert_eq!(this["flows"].as_array().unwrap().iter().filter(|flow| flow["to"] == "nas").count(), 3);
    assert!(!sandbox.path("grappe.state").exists());
}

/// Keys are known while planning, and a plan that changes nothing says so.
#[test]
fn rules_feed_for_each() {
    let sandbox = Sandbox::new(PLAN);
    sandbox.expect(0, &["apply", "-auto-approve"]);
    let state = sandbox.state();
    for key in ["dmz udp 6081 master", "master tcp 2379-2380 master", "haproxy tcp 22 office 192.0.2.0/24"] {
        assert!(state.contains(&format!("terraform_data.rule[\"{key}\"]")), "{key}: {state:?}");
    }
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    // Another plugin: what both want stays.
    let plan = sandbox.expect(2, &["plan", "-detailed-exitcode", "-var", "cni=flannel"]).stdout;
    assert!(plan.contains("[\"dmz udp 8472 master\"]"), "{plan}");
    assert!(!plan.contains("tcp 2379-2380"), "{plan}");
}

#[test]
fn what_is_wrong_is_said() {
    let none = Sandbox::new("");
    assert!(none.expect(1, &["flows"]).stderr.contains("the plan has no data \"kubeadm_flows\""));
    let wrong = Sandbox::new(&PLAN.replace("\"control_plane\"", "\"master\""));
    let said = wrong.expect(1, &["flows"]).stderr;
    assert!(
        said.contains("\"master\" is no role: it is one of control_plane, worker, load_balancer"),
        "{said}"
    );
    assert!(said.contains("main.tf"), "{said}");
}
