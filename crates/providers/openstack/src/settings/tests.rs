use super::*;

fn config(given: Json) -> Config {
    serde_json::from_value(given).unwrap()
}

fn env<'a>(vars: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
}

fn put(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_password_is_scoped_to_the_project() {
    let vars = [
        ("OS_AUTH_URL", "http://cloud:5000"),
        ("OS_USERNAME", "alice"),
        ("OS_PASSWORD", "hunter2"),
        ("OS_PROJECT_NAME", "lab"),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_REGION_NAME", "RegionOne"),
        ("OS_INTERFACE", "internalURL"),
    ];
    let settings = Settings::new(&Config::default(), Path::new("."), &env(&vars)).unwrap();
    assert_eq!(settings.auth_url.as_str(), "http://cloud:5000/v3");
    assert_eq!(settings.interface, "internal");
    assert_eq!(settings.scope, Some(json!({ "project": { "name": "lab", "domain": { "id": "default" } } })));
    let Login::Password { user, password } = &settings.login else { panic!("{:?}", settings.login) };
    assert_eq!(user, &json!({ "name": "alice", "domain": { "name": "Default" } }));
    assert_eq!(password.open(), "hunter2");
    assert!(!format!("{:?}", settings.login).contains("hunter2"));
}

#[test]
fn the_block_comes_before_the_file_and_the_file_before_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    put(
        &dir.path().join("clouds.yaml"),
        "clouds:\n  lab:\n    region_name: two\n    verify: false\n    auth:\n      auth_url: https://lab:5000/v3/\n      project_id: 1234\n      application_credential_id: app\n  other: {}\n",
    );
    put(
        &dir.path().join("secure.yaml"),
        "clouds:\n  lab:\n    auth:\n      application_credential_secret: deep\n",
    );
    let vars = [("OS_AUTH_URL", "http://elsewhere:5000"), ("OS_REGION_NAME", "three"), ("OS_CLOUD", "lab")];
    let settings = Settings::new(&Config::default(), dir.path(), &env(&vars)).unwrap();
    assert_eq!(settings.auth_url.as_str(), "https://lab:5000/v3");
    assert_eq!(settings.region.as_deref(), Some("two"));
    assert!(settings.http.insecure);
    assert_eq!(settings.scope, Some(json!({ "project": { "id": "1234" } })));
    assert_eq!(
        settings.login,
        Login::Application { which: json!({ "id": "app" }), secret: "deep".to_owned().into() }
    );
    let own = config(json!({ "region": "one", "token": "t-1", "insecure": false }));
    let settings = Settings::new(&own, dir.path(), &env(&vars)).unwrap();
    assert_eq!(settings.region.as_deref(), Some("one"));
    assert!(!settings.http.insecure);
    assert_eq!(settings.login, Login::Token("t-1".to_owned().into()));
}

#[test]
fn what_is_missing_is_said() {
    let fault = |given: Json, vars: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("clouds.yaml"), "clouds: {lab: {auth: {}}}");
        let fault = Settings::new(&config(given), dir.path(), &env(vars)).err().unwrap();
        format!("{fault}; {}", fault.hint.as_deref().unwrap_or_default())
    };
    assert!(fault(json!({}), &[]).starts_with("the provider does not know where the cloud is"));
    assert!(fault(json!({ "auth_url": "http://c" }), &[]).contains("nothing to log in with"));
    assert!(fault(json!({ "auth_url": "ftp://c", "token": "x" }), &[]).contains("no address of Keystone"));
    assert!(fault(json!({ "cloud": "lib" }), &[]).ends_with("has no cloud \"lib\"; it has: lab"));
    let named = json!({ "auth_url": "http://c", "application_credential_name": "a", "application_credential_secret": "s" });
    assert!(fault(named, &[]).contains("needs the user"));
    assert!(
        fault(json!({ "auth_url": "http://c", "token": "x", "cacert_file": "nowhere.pem" }), &[])
            .contains("nowhere.pem")
    );
}
