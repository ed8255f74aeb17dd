//! The same scripts on the simulated shell and on the real ones: standard output and exit status must be equal.
//!
//! This is how the simulation's truth is checked; a script whose answer differs by nature (time, host name, pids) has no place here.

use std::process::{Command, Stdio};

use crate::lab::Lab;

/// Runs with a real shell in an empty folder.
fn real(shell: &str, script: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(shell)
        .args(["-c", script, "sh", "one", "two words", "three"])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/root")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("this test compares with {shell}, which does not run: {e}"));
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn compare(shell: &str, scripts: &str) {
    let lab = Lab::new();
    let machine = lab.machine("host");
    let mut different = Vec::new();
    let scripts: Vec<&str> = scripts
        .split("\n%%\n")
        .map(|s| s.trim_start_matches('\n'))
        .filter(|s| !s.trim().is_empty())
        .collect();
    for (n, script) in scripts.iter().enumerate() {
        let expected = real(shell, script);
        let quoted = script.replace('\'', r"'\''");
        let command = format!(
            "mkdir /tmp/d{n}; cd /tmp/d{n}; exec env -i PATH=/usr/bin:/bin HOME=/root {shell} -c '{quoted}' sh one 'two words' three"
        );
        let (status, stdout, stderr) = lab.run(&machine, &command);
        if (status, &stdout) != (expected.0, &expected.1) {
            different.push(format!(
                "--- {script}\nreal {shell}: {} {:?}\nsimulated: {status} {stdout:?}\nstderr: {stderr}",
                expected.0, expected.1
            ));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {} differ:\n{}",
        different.len(),
        scripts.len(),
        different.join("\n")
    );
}

#[test]
fn dash_says_the_same() {
    compare("dash", include_str!("scripts/dash.txt"));
}

#[test]
fn bash_says_the_same() {
    compare("bash", include_str!("scripts/bash.txt"));
}

#[test]
fn tools_say_the_same() {
    compare("dash", include_str!("scripts/tools.txt"));
}

/// Runs a script in dash on this computer, with this input.
fn here(script: &str, input: &str) -> String {
    use std::io::Write as _;
    let mut child = Command::new("dash")
        .args(["-ec", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "this test needs openssl on this computer: {script}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn openssl_reads_the_simulated_certificates() {
    let lab = Lab::new();
    let machine = lab.prepared("cp1", "1.31");
    let output = lab.ok(&machine, "kubeadm init --apiserver-cert-extra-sans api.lab,192.0.2.9");
    // The pipe of kubeadm's documentation, with the key's kind left to openssl.
    let pipe = "openssl x509 -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -hex | sed 's/^.* //'";
    let ca = lab.ok(&machine, "cat /etc/kubernetes/pki/ca.crt");
    let hash = here(pipe, &ca);
    assert!(
        output.contains(&format!("--discovery-token-ca-cert-hash sha256:{}", hash.trim())),
        "{hash}{output}"
    );
    assert_eq!(lab.ok(&machine, &format!("cat /etc/kubernetes/pki/ca.crt | {pipe}")), hash);
    let server = lab.ok(&machine, "cat /etc/kubernetes/pki/apiserver.crt");
    let names = here("openssl x509 -noout -ext subjectAltName", &server);
    for name in [
        "DNS:cp1",
        "DNS:kubernetes.default.svc.cluster.local",
        "DNS:api.lab",
        "IP Address:10.96.0.1",
        "IP Address:10.0.0.2",
        "IP Address:192.0.2.9",
    ] {
        assert!(names.contains(name), "{name} is not in {names}");
    }
    let dates = "openssl x509 -noout -subject -issuer -enddate";
    assert_eq!(
        lab.ok(&machine, &format!("cat /etc/kubernetes/pki/apiserver.crt | {dates}")),
        here(dates, &server)
    );
    let folder = lab.folder.path().display();
    let verify = format!(
        "cat > {folder}/both; cd {folder}; sed -n '1,/END/p' both > ca; sed '1,/END/d' both > leaf; openssl verify -CAfile ca leaf"
    );
    assert!(here(&verify, &format!("{ca}{server}")).contains("OK"));
}
