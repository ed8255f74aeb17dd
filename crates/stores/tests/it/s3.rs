//! S3: SeaweedFS, the server that PyPI has.

use grappe_state::StoreError;
use grappe_stores::s3::{Client, S3, Settings, Source};
use grappe_stores::server::{Server as _, Trouble};
use grappe_stores::testing::{PASSWORD, S3Server};
use serde_json::json;

use crate::process::{a_frozen_run_that_lost_its_lock_is_refused, a_killed_run_loses_nothing};
use crate::{LEASE, leased, over, put, session};

#[test]
fn s3_conforms() {
    let server = S3Server::start();
    crate::conformance::every_server(&|name| server.state(&format!("a folder/{name}.tfstate")));
    a_killed_run_loses_nothing(&server);
    a_frozen_run_that_lost_its_lock_is_refused(&server);
    wrong_keys_and_buckets_are_told(&server);
    // Last: it ends the server.
    a_server_that_is_gone_stops_the_run_in_time(server);
}

fn wrong_keys_and_buckets_are_told(server: &S3Server) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |bucket: &str, secret: &str| {
        let env = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some(S3Server::ACCESS_KEY.to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some(secret.to_owned()),
            "AWS_ENDPOINT_URL_S3" => Some(server.endpoint()),
            _ => None,
        };
        let settings =
            Settings { bucket: bucket.into(), key: "k".into(), use_path_style: true, ..Settings::default() };
        runtime.block_on(S3::new(Client::new(settings, &env).unwrap()).load())
    };
    assert_eq!(ask(S3Server::BUCKET, PASSWORD).unwrap(), Default::default());
    for (bucket, secret, says) in [
        (S3Server::BUCKET, "wrong-secret", "keys are right"),
        ("nobodys-bucket", PASSWORD, "make the bucket"),
    ] {
        let Err(Trouble::Final(error)) = ask(bucket, secret) else { panic!("{bucket} {secret}") };
        assert!(error.hint().is_some_and(|hint| hint.contains(says)), "{error} {:?}", error.hint());
        assert!(!error.to_string().contains(secret), "{error}");
    }
}

fn a_server_that_is_gone_stops_the_run_in_time(server: S3Server) {
    let store = over(leased(server.state("gone")));
    let mut run = session(&store);
    run.append(put("t.a", json!(1))).unwrap().wait().unwrap();
    drop(server);
    let begin = std::time::Instant::now();
    let error = run.append(put("t.b", json!(2))).unwrap().wait().unwrap_err();
    assert!(matches!(&*error, StoreError::Remote { .. }), "{error}");
    assert!(begin.elapsed() <= LEASE * 2, "{:?}", begin.elapsed());
    assert!(run.close().unwrap_err().hint().unwrap().contains("t.b"));
}

#[test]
fn keys_come_from_profiles_too() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        grappe_state::files::write_atomic(&path, text.as_bytes(), 0o600).unwrap();
        path
    };
    let keys = put(
        "credentials",
        "[default]\naws_access_key_id = A\n[team]\naws_access_key_id=T\naws_secret_access_key = S\n",
    );
    let config = put("config", "[profile team]\nregion = eu-north-1\n");
    let settings = |profile: Option<&str>| Settings {
        bucket: "b".into(),
        key: "k".into(),
        source: Source {
            profile: profile.map(Into::into),
            credentials_files: vec![keys.clone()],
            config_files: vec![config.clone()],
            ..Source::default()
        },
        ..Settings::default()
    };
    let shown = format!("{:?}", Client::new(settings(Some("team")), &|_| None).unwrap());
    assert!(!shown.contains('S'), "{shown}");
    let (why, hint) = Client::new(settings(None), &|_| None).unwrap_err();
    assert!(why.contains("no credentials") && hint.unwrap().contains("AWS_ACCESS_KEY_ID"), "{why}");
}
