//! grappe-ssh against real sshd and ssh-agent processes on loopback.

mod exec;
mod files;
mod hostkeys;
mod login;
mod pool;

use grappe_ssh::testing::Sshd;
use grappe_ssh::{Cause, Exec, Host, Output, Pool};

async fn host(sshd: &Sshd) -> Host {
    Pool::new().host(&sshd.endpoint()).await.expect("log in")
}

async fn run(host: &Host, script: &str) -> Output {
    host.exec(Exec::new(script)).await.expect("run a script")
}

/// The error of trying to reach `endpoint`.
async fn refused(endpoint: &grappe_ssh::Endpoint) -> grappe_ssh::SshError {
    match Pool::new().host(endpoint).await {
        Ok(host) => panic!("{host:?} let us in"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn nothing_listens() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sshd_less = grappe_ssh::Endpoint {
        port,
        ..grappe_ssh::Endpoint::new(
            "127.0.0.1",
            "nobody",
            grappe_ssh::Auth::agent(),
            grappe_ssh::HostKeyCheck::FirstUse,
        )
    };
    let error = refused(&sshd_less).await;
    assert_eq!(*error.cause(), Cause::Refused);
    assert!(error.is_transient() && !error.may_have_run());
    assert!(error.to_string().contains(&format!("nobody@127.0.0.1:{port}")), "{error}");
}
