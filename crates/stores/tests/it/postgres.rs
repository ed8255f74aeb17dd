//! PostgreSQL, Debian's.

use grappe_state::{Holder, StoreError};
use grappe_stores::postgres::Connection;
use grappe_stores::server::{Asking, Trouble};
use grappe_stores::testing::{PASSWORD, PostgresServer};
use serde_json::json;

use crate::process::{a_frozen_run_that_lost_its_lock_is_refused, a_killed_run_loses_nothing};
use crate::{LEASE, leased, over, put, session};

#[test]
fn postgresql_conforms() {
    let server = PostgresServer::start(None);
    crate::conformance::every_server(&|name| server.state(name));
    a_killed_run_loses_nothing(&server);
    a_frozen_run_that_lost_its_lock_is_refused(&server);
    a_connection_that_breaks_is_made_again(&server);
    a_role_that_may_only_use_what_is_there_does(&server);
    // Last: it ends the server.
    a_server_that_is_gone_stops_the_run_in_time(server);
}

fn a_connection_that_breaks_is_made_again(server: &PostgresServer) {
    let store = over(leased(server.state("broken")));
    let mut run = session(&store);
    for n in 0..10 {
        server.disconnect_all();
        run.append(put(&format!("t.a[{n}]"), json!(n))).unwrap().wait().unwrap();
    }
    server.disconnect_all();
    assert_eq!(run.close().unwrap().state.objects.len(), 10);
    assert_eq!(store.holder().unwrap(), None);
}

fn a_role_that_may_only_use_what_is_there_does(server: &PostgresServer) {
    let sql = format!(
        "CREATE ROLE small LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA grappe TO small; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA grappe TO small"
    );
    server.query(&sql);
    let conn = server.conn_str().replace("grappe:", "small:");
    let store = over(leased(server.state_over(&conn, "small")));
    let mut run = session(&store);
    run.append(put("t.a", json!(1))).unwrap().wait().unwrap();
    run.close().unwrap();
}

fn a_server_that_is_gone_stops_the_run_in_time(server: PostgresServer) {
    let store = over(leased(server.state("gone")));
    let mut run = session(&store);
    run.append(put("t.a", json!(1))).unwrap().wait().unwrap();
    drop(server);
    let begin = std::time::Instant::now();
    let error = run.append(put("t.b", json!(2))).unwrap().wait().unwrap_err();
    assert!(matches!(&*error, StoreError::Remote { .. }), "{error}");
    assert!(begin.elapsed() <= LEASE * 2, "{:?}", begin.elapsed());
    assert!(!format!("{error}{:?}", error.hint()).contains(PASSWORD));
    let error = run.close().unwrap_err();
    assert!(error.hint().unwrap().contains("t.b"), "{:?}", error.hint());
}

/// A certificate of an authority for a name, with its key, and the authority's.
fn certificates(name: &str) -> (String, String, String) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::from_params(&params, &ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf =
        rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (leaf.pem(), key.serialize_pem(), ca.pem())
}

#[test]
fn sslmode_looks_at_certificates_as_libpq_does() {
    let (certificate, key, ca) = certificates("localhost");
    let server = PostgresServer::start(Some((&certificate, &key)));
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        grappe_state::files::write_atomic(&path, text.as_bytes(), 0o600).unwrap();
        path.display().to_string()
    };
    let (ca, other) = (put("ca.crt", &ca), put("other.crt", &certificates("localhost").2));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let port = server.port();
    for (host, settings, works) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), true),
        ("127.0.0.1", "sslmode=require".to_owned(), true),
        ("127.0.0.1", format!("sslmode=verify-ca sslrootcert={ca}"), true),
        ("localhost", format!("sslmode=verify-full sslrootcert={ca}"), true),
        ("127.0.0.1", format!("sslmode=verify-full sslrootcert={ca}"), false),
        ("localhost", format!("sslmode=verify-full sslrootcert={other}"), false),
        ("localhost", format!("sslmode=verify-ca sslrootcert={other}"), false),
    ] {
        let conn =
            format!("host={host} port={port} user=grappe password='{PASSWORD}' dbname=postgres {settings}");
        let state = server.state_over(&conn, "tls");
        let me = Holder::this("test");
        let may_take = |_: &_| true;
        let asking = Asking { id: "x", me: &me, lease: LEASE, may_take: &may_take };
        let came = runtime.block_on(state.take(&asking));
        match came {
            Ok(_) => assert!(works, "{host} {settings}"),
            Err(Trouble::Final(error)) => {
                assert!(!works, "{host} {settings}: {error}");
                let said = error.to_string();
                assert!(said.contains("certificate") && !said.contains(PASSWORD), "{said}");
            }
            Err(other) => panic!("{host} {settings}: {other:?}"),
        }
    }
}

#[test]
fn settings_come_from_where_libpq_takes_them() {
    let dir = tempfile::tempdir().unwrap();
    let pgpass = dir.path().join("pgpass");
    grappe_state::files::write_atomic(&pgpass, b"# x\n*:*:*:anna:pass\\:word\n", 0o600).unwrap();
    let env = |name: &str| match name {
        "PGHOST" => Some("db.example.org".to_owned()),
        "PGPORT" => Some("6432".to_owned()),
        "PGUSER" => Some("anna".to_owned()),
        "PGDATABASE" => Some("states".to_owned()),
        "PGPASSFILE" => Some(pgpass.display().to_string()),
        _ => None,
    };
    assert_eq!(Connection::new("", &env).unwrap().place(), "postgres://db.example.org:6432/states");
    let own = Connection::new("postgres://bob:s3cret@db/own?sslmode=disable", &env).unwrap();
    assert_eq!(own.place(), "postgres://db:6432/own");
    assert!(!format!("{own:?}").contains("s3cret"));
    for wrong in
        ["postgres://bob:s3cret@db:no/own", "host=db password=s3cret sslmode=nope", "s3cret", "a='s3cret"]
    {
        let error = Connection::new(wrong, &env).unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
}
