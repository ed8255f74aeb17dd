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
