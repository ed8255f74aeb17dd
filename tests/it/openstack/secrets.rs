//! What must be nowhere: password, token, the secret of an application credential.

use super::cloud::Cloud;

#[test]
fn nothing_secret_is_written_anywhere() {
    let plan = "resource \"openstack_networking_network_v2\" \"lan\" {\n  name = \"lan\"\n}\n";
    let cloud = Cloud::new("secrets", plan);
    let token = cloud.openstack(&["token", "issue"])["id"].as_str().unwrap().to_owned();
    let credential = cloud.openstack(&["application", "credential", "create", "lab"]);
    let of = |name: &str| credential[name].as_str().unwrap().to_owned();
    let (id, secret) = (of("id"), of("secret"));
    let auth = &cloud.tenant.auth_url;
    let password = cloud.tenant.password.clone();
    let ways = [
        format!("password = \"{password}\"\n user_name = \"{0}\"\n tenant_name = \"{0}\"", cloud.tenant.name),
        format!("token = \"{token}\"\n tenant_name = \"{}\"", cloud.tenant.name),
        format!("application_credential_id = \"{id}\"\n application_credential_secret = \"{secret}\""),
    ];
    let mut said = String::new();
    for way in &ways {
        cloud.sandbox.write(
            "main.tf",
            &format!("provider \"openstack\" {{\n auth_url = \"{auth}\"\n region = \"RegionOne\"\n {way}\n}}\n{plan}"),
        );
        for args in [
            &["plan", "-out=saved"][..],
            &["apply", "-auto-approve"],
            &["plan", "-json"],
            &["destroy", "-auto-approve"],
        ] {
            let mut command = cloud.sandbox.command(args);
            let ran = crate::sandbox::Ran::of(command.env("GRAPPE_LOG", "debug").output().unwrap());
            assert_eq!(ran.code, 0, "{}", ran.all());
            said.push_str(&ran.all());
        }
        // And nothing of them where a login fails.
        let wrong = format!(
            "provider \"openstack\" {{\n auth_url = \"{auth}\"\n region = \"nowhere\"\n {way}\n}}\n{plan}"
        );
        cloud.sandbox.write("main.tf", &wrong);
        let ran = crate::sandbox::Ran::of(
            cloud.sandbox.command(&["apply", "-auto-approve"]).env("GRAPPE_LOG", "debug").output().unwrap(),
        );
        assert_eq!(ran.code, 1, "{}", ran.all());
        assert!(ran.stderr.contains("no public address in the region"), "{}", ran.stderr);
        said.push_str(&ran.all());
    }
    assert!(said.contains("/v2.0/networks"), "the requests themselves are in the log");
    cloud.sandbox.write("main.tf", plan);
    for hidden in [&password, &token, &secret] {
        assert!(!said.contains(hidden.as_str()), "a secret was said");
        for (path, bytes) in cloud.sandbox.files() {
            let found = bytes.windows(hidden.len()).any(|w| w == hidden.as_bytes());
            assert!(!found, "a secret is in {}", path.display());
        }
    }
}
