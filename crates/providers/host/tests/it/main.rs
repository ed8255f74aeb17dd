//! The host provider's types against a real sshd on loopback.

mod command;
mod file;
mod machine;
mod package;

use grappe_provider_host::testing::Bench;
use grappe_ssh::Pool;
use grappe_ssh::testing::Sshd;
use grappe_value::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

async fn bench(sshd: &Sshd) -> Bench {
    Bench::new(grappe_provider_host::provider(Pool::new()), sshd.dir()).await
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{name} of {value:?}"))
}

/// A sshd whose sessions find these programs first.
fn sshd_with(programs: &[(&str, &str)]) -> (Sshd, tempfile::TempDir) {
    let bin = tempfile::tempdir().unwrap();
    for (name, script) in programs {
        program(&bin.path().join(name), script);
    }
    (Sshd::start_with(&format!("SetEnv PATH={}:/usr/bin:/bin:/usr/sbin:/sbin", bin.path().display())), bin)
}

fn program(path: &Path, script: &str) {
    grappe_ssh::testing::write(path, &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
