use crate::{host, refused, run};
use futures::future::join_all;
use grappe_ssh::testing::Sshd;
use grappe_ssh::{Cause, Dialer, Exec, Pool, Stream};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn two_hundred_commands_are_one_connection() {
    let sshd = Sshd::start();
    let pool = Pool::new();
    let endpoint = sshd.endpoint();
    let commands = (0..200).map(|n| {
        let (pool, endpoint) = (pool.clone(), endpoint.clone());
        async move { run(&pool.host(&endpoint).await.unwrap(), &format!("echo {n}")).await.stdout_str() }
    });
    let outputs = join_all(commands).await;
    assert_eq!(outputs, (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(sshd.logins(), 1, "{}", sshd.log());
}

#[tokio::test]
async fn a_host_that_allows_two_sessions_gets_two() {
    let sshd = Sshd::start_with("MaxSessions 2");
    let host = host(&sshd).await;
    let outputs = join_all((0..12).map(|_| run(&host, "sleep 0.1; echo ok"))).await;
    assert!(outputs.iter().all(|output| output.stdout_str() == "ok"));
    assert_eq!(sshd.logins(), 1);
}

#[tokio::test]
async fn a_host_that_allows_none_says_why() {
    let sshd = Sshd::start_with("MaxSessions 0");
    let error = host(&sshd).await.exec(Exec::new("true")).await.unwrap_err();
    assert!(matches!(error.cause(), Cause::ChannelRefused(why) if why.contains("MaxSessions")), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn killed_in_mid_command_may_have_run_and_the_next_one_dials_again() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let command = tokio::spawn({
        let host = host.clone();
        async move { host.exec(Exec::new("echo started; sleep 30")).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    sshd.kill_sessions();
    let error = tokio::time::timeout(Duration::from_secs(10), command).await.unwrap().unwrap().unwrap_err();
    assert_eq!(*error.cause(), Cause::Lost { may_have_run: true });
    assert!(error.is_transient() && error.may_have_run());
    assert_eq!(run(&host, "echo again").await.stdout_str(), "again");
    assert_eq!(sshd.logins(), 2);
}

#[tokio::test]
async fn what_must_not_be_cut_off_goes_on_without_its_connection() {
    let sshd = Sshd::start();
    let host = host(&sshd).await;
    let dir = tempfile::tempdir().unwrap();
    let talk = |file: &str| {
        let file = dir.path().join(file);
        Exec::new(format!(
            "for i in 1 2 3 4 5 6; do /bin/echo $i || exit 1; sleep 0.3; done; echo $i > {}",
            file.display()
        ))
    };
    let (cut, whole) = (host.exec(talk("cut")), host.exec(talk("whole").to_its_end()));
    let killed = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        sshd.kill_connections();
    };
    let (cut, whole, ()) = tokio::join!(cut, whole, killed);
    assert!(cut.unwrap_err().may_have_run() && whole.unwrap_err().may_have_run());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(std::fs::read_to_string(dir.path().join("whole")).unwrap(), "6\n");
    assert!(!dir.path().join("cut").exists(), "an ordinary command ends with its connection");
    // With a connection it is as any other, but for its streams, which are one.
    let said = host.exec(
        Exec::new("read x; echo $x; echo two >&2; printf 'thr%s' ee; exit 7").stdin("one\n").to_its_end(),
    );
    let said = said.await.unwrap();
    assert_eq!(
        (said.code(), said.stdout_str().as_str(), said.stderr_str().as_str()),
        (Some(7), "one\ntwo\nthree", "")
    );
}

#[tokio::test]
async fn a_server_that_is_gone_is_refused_and_did_not_run() {
    let mut sshd = Sshd::start();
    let host = host(&sshd).await;
    sshd.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let error = host.exec(Exec::new("true")).await.unwrap_err();
    assert!(error.is_transient() && !error.may_have_run(), "{error}");
}

#[tokio::test]
async fn those_who_wait_for_a_dead_host_fail_together() {
    // It accepts and never says a word, like a machine whose sshd hangs.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sshd = Sshd::start();
    let mut endpoint = sshd.endpoint();
    endpoint.port = listener.local_addr().unwrap().port();
    endpoint.connect_timeout = Duration::from_secs(1);
    let pool = Pool::new();
    let start = Instant::now();
    let results = join_all((0..20).map(|_| pool.host(&endpoint))).await;
    for result in results {
        let error = result.expect_err("nobody is there");
        assert!(
            matches!(error.cause(), Cause::Timeout { what, .. } if what == "the key exchange"),
            "{error}"
        );
    }
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    let error = pool.probe(&endpoint).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn the_greeting_is_read_without_a_login() {
    let sshd = Sshd::start();
    let greeting = Pool::new().probe(&sshd.endpoint()).await.unwrap();
    assert!(greeting.starts_with("SSH-2.0-OpenSSH"), "{greeting}");
    assert_eq!(sshd.logins(), 0);
}

#[tokio::test]
async fn through_a_bastion() {
    let (bastion, inner) = (Sshd::start(), Sshd::start());
    let mut endpoint = inner.endpoint();
    endpoint.bastion = Some(Box::new(bastion.endpoint()));
    let pool = Pool::new();
    let host = pool.host(&endpoint).await.unwrap();
    let outputs = join_all((0..30).map(|n| {
        let host = host.clone();
        async move { run(&host, &format!("echo {n}; echo \"$SSH_CONNECTION\" >&2")).await }
    }))
    .await;
    assert_eq!(outputs[29].stdout_str(), "29");
    let server_port = outputs[0].stderr_str().split_whitespace().last().map(str::to_owned);
    assert_eq!(server_port, Some(inner.port.to_string()));
    assert_eq!((bastion.logins(), inner.logins()), (1, 1));
    assert_eq!(host.host_key(), inner.host_key("ed25519"));
    // The bastion dies: what is behind it is dialled again through a new connection.
    bastion.kill_sessions();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(run(&host, "echo again").await.stdout_str(), "again");
    assert_eq!((bastion.logins(), inner.logins()), (2, 2));
}

#[tokio::test]
async fn a_bastion_that_does_not_forward_says_so() {
    let (bastion, inner) = (Sshd::start_with("AllowTcpForwarding no"), Sshd::start());
    let mut endpoint = inner.endpoint();
    endpoint.bastion = Some(Box::new(bastion.endpoint()));
    let error = refused(&endpoint).await;
    assert!(error.to_string().contains("AllowTcpForwarding") && !error.is_transient(), "{error}");

    let bastion = Sshd::start();
    endpoint.bastion = Some(Box::new(bastion.endpoint()));
    let mut inner = inner;
    inner.kill();
    let error = refused(&endpoint).await;
    assert_eq!(*error.cause(), Cause::Unreachable);
    assert!(error.to_string().contains("through"), "{error}");
}

/// Reaches a host that has no address at all.
struct ByName(u16);

impl Dialer for ByName {
    fn dial(
        &self,
        address: &str,
        _port: u16,
    ) -> Option<futures::future::BoxFuture<'static, std::io::Result<Box<dyn Stream>>>> {
        let port = self.0;
        (address == "machine-7").then(|| {
            Box::pin(async move {
                let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            }) as _
        })
    }
}

#[tokio::test]
async fn a_dialer_goes_before_tcp() {
    let sshd = Sshd::start();
    let pool = Pool::new();
    pool.add_dialer(Arc::new(ByName(sshd.port)));
    let mut endpoint = sshd.endpoint();
    assert_eq!(run(&pool.host(&endpoint).await.unwrap(), "echo tcp").await.stdout_str(), "tcp");
    endpoint.address = "machine-7".into();
    assert_eq!(run(&pool.host(&endpoint).await.unwrap(), "echo dialer").await.stdout_str(), "dialer");
}

#[tokio::test]
async fn closed_connections_are_made_again_on_demand() {
    let sshd = Sshd::start();
    let pool = Pool::new();
    let host = pool.host(&sshd.endpoint()).await.unwrap();
    pool.forget(&sshd.endpoint()).await;
    assert_eq!(run(&host, "echo 1").await.stdout_str(), "1");
    pool.close_all().await;
    assert_eq!(run(&host, "echo 2").await.stdout_str(), "2");
    assert_eq!(sshd.logins(), 3);
}
