//! What must be nowhere: password, token, the secret of an application credential.

use std::collections::BTreeSet;

use grappe_bed_openstack::{Chance, Fault};

use super::cloud::Cloud;
use crate::sandbox::Ran;

const PLAN: &str = r#"
resource "openstack_networking_network_v2" "lan" {
  name = "lan"
}
resource "openstack_networking_port_v2" "p" {
  network_id = openstack_networking_network_v2.lan.id
}
"#;

#[test]
fn nothing_secret_is_written_anywhere() {
    let cloud = Cloud::new("secrets", PLAN);
    let given = cloud.openstack(&["token", "issue"])["id"].as_str().unwrap().to_owned();
    let credential = cloud.openstack(&["application", "credential", "create", "lab"]);
    let of = |name: &str| credential[name].as_str().unwrap().to_owned();
    let (id, secret) = (of("ID"), of("Secret"));
    let auth = cloud.proxy.through(&cloud.tenant).auth_url;
    let (name, password) = (cloud.tenant.name.clone(), cloud.tenant.password.clone());
    let ways = [
        format!("password = \"{password}\"\n  user_name = \"{name}\"\n  tenant_name = \"{name}\""),
        format!("token = \"{given}\"\n  tenant_name = \"{name}\""),
        format!("application_credential_id = \"{id}\"\n  application_credential_secret = \"{secret}\""),
    ];
    let write = |way: &str, region: &str| {
        let provider = format!("auth_url = \"{auth}\"\n  region = \"{region}\"\n  {way}");
        cloud.sandbox.write("main.tf", &format!("provider \"openstack\" {{\n  {provider}\n}}\n{PLAN}"));
    };
    let mut said = String::new();
    let mut files = Vec::new();
    for way in &ways {
        write(way, "RegionOne");
        let run = |code, args: &[&str]| {
            let mut command = cloud.sandbox.command(args);
            let ran = Ran::of(command.env("GRAPPE_LOG", "trace").output().unwrap());
            assert_eq!(ran.code, code, "{}", ran.all());
            ran.all()
        };
        said += &run(0, &["plan", "-out=saved"]);
        // A run that is killed leaves its journal, and what it said.
        cloud.proxy.set(vec![Chance::first(Fault::Mute, 1, "POST", "/ports")]);
        let before = cloud.proxy.calls().len();
        cloud.kill_when(&["apply", "-auto-approve", "saved"], |calls| {
            calls[before..].iter().any(|c| c.fault == Some(Fault::Mute))
        });
        cloud.proxy.set(Vec::new());
        files.extend(cloud.sandbox.files());
        // A call that fails is quoted.
        cloud.proxy.set(vec![Chance::first(Fault::Internal, 2, "GET", "/networks")]);
        said += &run(0, &["apply", "-auto-approve"]);
        said += &run(0, &["plan", "-json", "-detailed-exitcode"]);
        said += &run(0, &["show", "-json"]);
        files.extend(cloud.sandbox.files());
        said += &run(0, &["destroy", "-auto-approve"]);
        // And nothing of them where a login fails.
        write(way, "nowhere");
        let failed = run(1, &["apply", "-auto-approve"]);
        assert!(failed.contains("no public address in the region"), "{failed}");
        said += &failed;
    }
    assert!(said.contains("/v2.0/networks"), "the requests themselves are in the log");
    let names: BTreeSet<_> =
        files.iter().map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    for file in ["saved", "grappe.state.json"] {
        assert!(names.contains(file), "{names:?}");
    }
    assert!(names.iter().any(|name| name.contains("journal")), "{names:?}");

    // Those that Keystone gave to the runs; one is the test's own.
    let mut tokens = cloud.proxy.tokens();
    assert!(tokens.len() >= 10, "{}", tokens.len());
    tokens.extend([given, password, secret]);
    for hidden in tokens {
        assert!(!said.contains(&hidden), "a secret was said");
        for (path, bytes) in files.iter().filter(|(path, _)| !path.ends_with("main.tf")) {
            let found = bytes.windows(hidden.len()).any(|w| w == hidden.as_bytes());
            assert!(!found, "a secret is in {}", path.display());
        }
    }
}
