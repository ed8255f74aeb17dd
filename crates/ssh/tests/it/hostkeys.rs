use crate::{refused, run};
use grappe_ssh::testing::{Sshd, keygen, write};
use grappe_ssh::{Cause, HostKeyCheck, Pool};
use std::fs;
use std::process::Command;

fn fingerprint(sshd: &Sshd, file: &str) -> String {
    let output = Command::new("ssh-keygen").arg("-lf").arg(sshd.dir().join(file)).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().nth(1).expect("bits, fingerprint, comment").to_owned()
}

fn other_key(sshd: &Sshd) -> String {
    keygen(&sshd.dir().join("other"), &["-t", "ed25519"]);
    let line = fs::read_to_string(sshd.dir().join("other.pub")).unwrap();
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn pinned_keys_and_fingerprints() {
    let sshd = Sshd::start();
    let mut endpoint = sshd.endpoint();
    let pins = [
        sshd.host_key("ed25519") + " with a comment",
        sshd.host_key("ecdsa"),
        fingerprint(&sshd, "host_ed25519.pub"),
        fingerprint(&sshd, "host_ecdsa.pub"),
    ];
    for pin in pins {
        endpoint.host_key = HostKeyCheck::Pinned(pin.clone());
        let host =
            Pool::new().host(&endpoint).await.unwrap_or_else(|error| panic!("{pin}: {}", error.report()));
        assert_eq!(run(&host, "echo in").await.stdout_str(), "in");
    }
    for pin in ["", "ssh-ed25519 nonsense", "SHA256:short", "any"] {
        endpoint.host_key = HostKeyCheck::Pinned(pin.into());
        let error = refused(&endpoint).await;
        assert!(matches!(error.cause(), Cause::HostKeyConfig(_)), "{pin}: {error}");
    }
}

#[tokio::test]
async fn a_changed_key_names_both_fingerprints_and_where_the_old_one_is_recorded() {
    let sshd = Sshd::start();
    let other = other_key(&sshd);
    let (expected, found) = (fingerprint(&sshd, "other.pub"), fingerprint(&sshd, "host_ed25519.pub"));
    let mut endpoint = sshd.endpoint();
    let file = sshd.dir().join("known_hosts");
    write(&file, &format!("# mine\n[127.0.0.1]:{} {other}\n", sshd.port));
    let checks = [
        (HostKeyCheck::Pinned(other.clone()), "the pinned host_key".to_owned()),
        (HostKeyCheck::Pinned(expected.clone()), "the pinned host_key".to_owned()),
        (HostKeyCheck::KnownHosts(Some(file.clone())), format!("{} line 2", file.display())),
    ];
    for (check, origin) in checks {
        endpoint.host_key = check;
        let error = refused(&endpoint).await;
        assert!(matches!(error.cause(), Cause::HostKeyChanged { .. }), "{}", error.report());
        assert!(!error.is_transient());
        let text = error.to_string();
        assert!(text.contains(&expected) && text.contains(&found) && text.contains(&origin), "{text}");
    }
    assert_eq!(sshd.logins(), 0, "a login was tried on a host that is not trusted");
}

#[tokio::test]
async fn known_hosts_as_ssh_reads_it() {
    let sshd = Sshd::start();
    let other = other_key(&sshd);
    let file = sshd.dir().join("known_hosts");
    let mut endpoint = sshd.endpoint();
    endpoint.host_key = HostKeyCheck::KnownHosts(Some(file.clone()));
    let (ed25519, ecdsa, port) = (sshd.host_key("ed25519"), sshd.host_key("ecdsa"), sshd.port);
    let good = [
        format!("[127.0.0.1]:{port} {ed25519}"),
        // Only the key of second choice is known: it is the one that is asked for.
        format!("[127.0.0.1]:{port} {ecdsa}"),
        format!("[127.0.0.?]:* {ed25519}"),
        format!("127.0.0.1 {ed25519}"),
        format!("@cert-authority * {other}\n[127.0.0.1]:{port} {ed25519}"),
        format!("@revoked * {other}\n[127.0.0.1]:{port} {ed25519}"),
        format!("127.0.0.1 {other}\n[127.0.0.1]:{port} {ed25519}"),
    ];
    for text in good {
        write(&file, &text);
        let host = Pool::new().host(&endpoint).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(run(&host, "echo in").await.stdout_str(), "in");
    }
    let unknown = [
        String::new(),
        format!("[127.0.0.1]:1 {ed25519}"),
        format!("@cert-authority * {ed25519}"),
        format!("*,![127.0.0.1]:{port},!127.0.0.1 {ed25519}"),
        format!("127.0.0.1 {other}"),
    ];
    for text in unknown {
        write(&file, &text);
        let error = refused(&endpoint).await;
        assert!(matches!(error.cause(), Cause::HostKeyUnknown { .. }), "{text}: {error}");
        assert!(error.to_string().contains(&fingerprint(&sshd, "host_ed25519.pub")), "{error}");
        assert!(error.to_string().contains(&format!("[127.0.0.1]:{port}")), "{error}");
        assert!(!error.is_transient());
    }
    write(&file, &format!("[127.0.0.1]:{port} {ed25519}\n@revoked * {ed25519}"));
    let error = refused(&endpoint).await;
    assert!(matches!(error.cause(), Cause::HostKeyRevoked { .. }), "{error}");
    assert!(error.to_string().contains("line 2"), "{error}");

    fs::remove_file(&file).unwrap();
    let error = refused(&endpoint).await;
    assert!(matches!(error.cause(), Cause::HostKeyConfig(_)), "{error}");
}

#[tokio::test]
async fn names_hashed_by_ssh_keygen_match() {
    let sshd = Sshd::start();
    let file = sshd.dir().join("known_hosts");
    write(&file, &format!("[127.0.0.1]:{} {}\n", sshd.port, sshd.host_key("ed25519")));
    let hashed = Command::new("ssh-keygen").arg("-Hf").arg(&file).output().unwrap();
    assert!(hashed.status.success());
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("|1|") && !text.contains("127.0.0.1"), "{text}");
    let mut endpoint = sshd.endpoint();
    endpoint.host_key = HostKeyCheck::KnownHosts(Some(file));
    Pool::new().host(&endpoint).await.expect("the hashed name is ours");
}

#[tokio::test]
async fn first_use_reports_the_key_that_is_then_pinned() {
    let sshd = Sshd::start();
    let mut endpoint = sshd.endpoint();
    endpoint.host_key = HostKeyCheck::FirstUse;
    let pool = Pool::new();
    let host = pool.host(&endpoint).await.unwrap();
    assert_eq!(host.host_key(), sshd.host_key("ed25519"));
    endpoint.host_key = HostKeyCheck::Pinned(host.host_key().to_owned());
    pool.host(&endpoint).await.expect("the same connection does");
    assert_eq!(sshd.logins(), 1);
    // A connection made under laxer terms does not get others around their own.
    endpoint.host_key = HostKeyCheck::Pinned(other_key(&sshd));
    let error = pool.host(&endpoint).await.expect_err("another pin");
    assert!(matches!(error.cause(), Cause::HostKeyChanged { .. }), "{error}");
}
