use crate::{host, refused, run};
use grappe_ssh::testing::{Agent, Sshd, keygen, write};
use grappe_ssh::{Auth, Cause, KeyFileProblem, Pool};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn a_key_that_is_not_authorized_is_refused() {
    let sshd = Sshd::start();
    let stranger = sshd.dir().join("stranger");
    keygen(&stranger, &["-t", "ed25519"]);
    let mut endpoint = sshd.endpoint();
    endpoint.auth = Auth::key_file(&stranger);
    let error = refused(&endpoint).await;
    assert!(matches!(error.cause(), Cause::AuthRefused { .. }), "{error}");
    assert!(!error.is_transient());
    let text = error.to_string();
    assert!(
        text.contains("ssh-ed25519 SHA256:") && text.contains(&format!("login as {}", sshd.user)),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("authorized_keys"));
}

#[tokio::test]
async fn all_kinds_of_key_files_log_in() {
    let sshd = Sshd::start();
    let mut authorized = String::new();
    let kinds: [(&str, &[&str]); 5] = [
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("rsa_pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("ecdsa", &["-t", "ecdsa"]),
        ("ecdsa_pkcs8", &["-t", "ecdsa", "-m", "PKCS8"]),
        ("rsa_pkcs8", &["-t", "rsa", "-b", "2048", "-m", "PKCS8"]),
    ];
    for (name, args) in kinds {
        keygen(&sshd.dir().join(name), args);
        authorized += &fs::read_to_string(sshd.dir().join(format!("{name}.pub"))).unwrap();
    }
    write(&sshd.dir().join("authorized_keys"), &authorized);
    for (name, _) in kinds {
        let mut endpoint = sshd.endpoint();
        endpoint.auth = Auth::key_file(sshd.dir().join(name));
        let host =
            Pool::new().host(&endpoint).await.unwrap_or_else(|error| panic!("{name}: {}", error.report()));
        assert_eq!(run(&host, "echo in").await.stdout_str(), "in", "{name}");
    }
}

#[tokio::test]
async fn a_key_file_that_others_can_read_is_refused() {
    let sshd = Sshd::start();
    fs::set_permissions(sshd.key(), fs::Permissions::from_mode(0o644)).unwrap();
    let error = refused(&sshd.endpoint()).await;
    assert!(
        matches!(error.cause(), Cause::KeyFile { problem: KeyFileProblem::TooOpen(0o644), .. }),
        "{error}"
    );
    assert_eq!(error.hint().unwrap(), format!("chmod 600 {}", sshd.key().display()));
}

#[tokio::test]
async fn unusable_key_files_say_what_is_wrong() {
    let sshd = Sshd::start();
    let mut endpoint = sshd.endpoint();
    endpoint.auth = Auth::key_file(sshd.dir().join("absent"));
    let error = refused(&endpoint).await;
    assert!(error.to_string().contains("absent: cannot be read") && !error.is_transient(), "{error}");

    let public = sshd.dir().join("id.pub");
    fs::set_permissions(&public, fs::Permissions::from_mode(0o600)).unwrap();
    endpoint.auth = Auth::key_file(&public);
    let error = refused(&endpoint).await;
    assert!(error.to_string().contains("not a private key"), "{error}");
    assert!(error.hint().unwrap().contains(".pub"));

    endpoint.auth = Auth::default();
    let error = refused(&endpoint).await;
    assert!(matches!(error.cause(), Cause::NoIdentity(_)), "{error}");
}

#[tokio::test]
async fn an_encrypted_key_file_needs_the_agent() {
    let sshd = Sshd::start();
    for (name, args) in [("new", vec![]), ("pem", vec!["-m", "PEM", "-t", "rsa", "-b", "2048"])] {
        let key = sshd.dir().join(name);
        keygen(&key, &[&["-N", "open sesame"], args.as_slice()].concat());
        let mut endpoint = sshd.endpoint();
        endpoint.auth = Auth::key_file(&key);
        let error = refused(&endpoint).await;
        assert!(
            matches!(error.cause(), Cause::KeyFile { problem: KeyFileProblem::Encrypted, .. }),
            "{name}: {error}"
        );
        let hint = error.hint().unwrap();
        assert!(hint.contains("ssh-add") && hint.contains("agent = true"), "{hint}");
    }
    // The agent holds it, behind more keys than sshd lets one try.
    let key = sshd.dir().join("new");
    fs::copy(sshd.dir().join("new.pub"), sshd.dir().join("authorized_keys")).unwrap();
    let agent = Agent::start();
    for n in 0..8 {
        let other = sshd.dir().join(format!("other-{n}"));
        keygen(&other, &["-t", "ed25519"]);
        agent.add(&other, "");
    }
    agent.add(&key, "open sesame");
    let pool = Pool::new();
    pool.set_agent_socket(agent.socket());
    let mut endpoint = sshd.endpoint();
    endpoint.auth = Auth { private_key_file: Some(key), agent: true, ..Auth::default() };
    assert_eq!(run(&pool.host(&endpoint).await.unwrap(), "echo in").await.stdout_str(), "in");
    // Without the name of the right one, sshd has enough after six.
    endpoint.auth = Auth::agent();
    pool.close_all().await;
    let error = pool.host(&endpoint).await.expect_err("too many keys");
    assert!(matches!(error.cause(), Cause::AuthRefused { .. }), "{}", error.report());
}

#[tokio::test]
async fn the_agent_logs_in() {
    let sshd = Sshd::start();
    let agent = Agent::start();
    let pool = Pool::new();
    pool.set_agent_socket(agent.socket());
    let mut endpoint = sshd.endpoint();
    endpoint.auth = Auth::agent();
    let error = pool.host(&endpoint).await.expect_err("an empty agent");
    assert!(error.to_string().contains("the agent holds none"), "{error}");

    agent.add(&sshd.key(), "");
    assert_eq!(run(&pool.host(&endpoint).await.unwrap(), "echo in").await.stdout_str(), "in");

    let rsa = sshd.dir().join("rsa");
    keygen(&rsa, &["-t", "rsa", "-b", "2048"]);
    fs::copy(sshd.dir().join("rsa.pub"), sshd.dir().join("authorized_keys")).unwrap();
    agent.add(&rsa, "");
    pool.close_all().await;
    assert_eq!(run(&pool.host(&endpoint).await.unwrap(), "echo rsa").await.stdout_str(), "rsa");

    pool.set_agent_socket(sshd.dir().join("no-socket"));
    pool.close_all().await;
    let error = pool.host(&endpoint).await.expect_err("no agent");
    assert!(matches!(error.cause(), Cause::Agent(_)) && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn sudo_runs_as_root_or_says_why_not() {
    // A sudo of our own, first in the path: this tests our half, that the script gets through it whole.
    let bin = tempfile::tempdir().unwrap();
    let sudo = bin.path().join("sudo");
    write(&sudo, "#!/bin/sh\n[ \"$1 $2\" = '-n --' ] || exit 99\nshift 2\nUNDER_SUDO=yes exec \"$@\"\n");
    fs::set_permissions(&sudo, fs::Permissions::from_mode(0o755)).unwrap();
    let sshd = Sshd::start_with(&format!("SetEnv PATH={}:/usr/bin:/bin", bin.path().display()));
    let host = host(&sshd).await;
    let script = "printf '%s' \"$UNDER_SUDO it's\"";
    assert_eq!(run(&host.with_sudo(true), script).await.stdout_str(), "yes it's");
    assert_eq!(run(&host, script).await.stdout_str(), "it's");
    write(&sudo, "#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n");
    let error = host.with_sudo(true).exec(grappe_ssh::Exec::new("true")).await.unwrap_err();
    assert!(error.to_string().contains("a password is required") && !error.is_transient(), "{error}");
    assert!(error.hint().unwrap().contains("NOPASSWD"));
}
