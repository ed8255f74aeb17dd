//! User data at first boot: `#cloud-config` (write_files, packages, bootcmd, runcmd, hostname, users' keys) or a script, run on the host's own shell.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::Value;

use super::World;
use crate::host::CloudInit;
use crate::host::files::Actor;
use crate::shell::Shell;
use crate::shell::io::{Fd, Io};

/// Runs what a killed process left undone.
pub(super) fn resume(world: &Arc<World>) {
    let unfinished: Vec<String> = world.with(|s| {
        let running = s.machines.iter().filter(|(_, m)| m.host.cloud_init == CloudInit::Running);
        running.map(|(id, _)| id.to_owned()).collect()
    });
    for id in unfinished {
        start(world, &id);
    }
}

/// Applies a machine's user data on a thread of its own.
pub(super) fn start(world: &Arc<World>, id: &str) {
    let data = world.with(|s| s.machines.get(id).map(|m| (m.host.cloud_init, m.user_data.clone())));
    let Some((CloudInit::Running, data)) = data else { return };
    let (world, id) = (world.clone(), id.to_owned());
    let spawned = std::thread::Builder::new().name("sim-cloud-init".to_owned()).stack_size(STACK).spawn({
        let (world, id) = (world.clone(), id.clone());
        move || {
            let good = apply(&world, &id, &data);
            finish(&world, &id, if good { CloudInit::Done } else { CloudInit::Error });
        }
    });
    if spawned.is_err() {
        finish(&world, &id, CloudInit::Error);
    }
}

/// Stack of the threads that run scripts.
pub(crate) const STACK: usize = 16 << 20;

fn finish(world: &World, id: &str, result: CloudInit) {
    world.with(|s| {
        let now = s.now() / 1000;
        if let Some(host) = s.host_mut(id) {
            host.cloud_init = result;
            host.files.put("/var/lib/cloud/instance/boot-finished", "simulated\n", 0o644, now);
        }
    });
}

fn apply(world: &Arc<World>, id: &str, data: &str) -> bool {
    let first = data.lines().next().unwrap_or_default();
    if first.starts_with("#!") {
        return script(world, id, "/var/lib/cloud/instance/scripts/part-001", data);
    }
    if first.trim_end() != "#cloud-config" {
        log(world, id, "Unhandled non-multipart (text/x-not-multipart) userdata");
        return false;
    }
    match crate::yaml::parse(data) {
        Ok(config) => apply_config(world, id, &config),
        Err(e) => {
            log(world, id, &format!("Failed at merging in cloud config part: {e}"));
            false
        }
    }
}

fn log(world: &World, id: &str, line: &str) {
    world.with(|s| {
        let now = s.now() / 1000;
        if let Some(host) = s.host_mut(id) {
            // /var/log is part of the image.
            let _ = host.files.write(
                "/var/log/cloud-init-output.log",
                format!("{line}\n").as_bytes(),
                true,
                Actor::root(now),
            );
        }
    });
}

/// Runs a script as root, its output in cloud-init's log.
fn script(world: &Arc<World>, id: &str, path: &str, text: &str) -> bool {
    world.with(|s| {
        let now = s.now() / 1000;
        if let Some(host) = s.host_mut(id) {
            host.files.put(path, text, 0o700, now);
        }
    });
    let mut shell = Shell::login(world, id, "root", Arc::new(AtomicBool::new(false)));
    shell.cwd = "/".to_owned();
    let log = match shell.open_write("/var/log/cloud-init-output.log", true) {
        Ok(fd) => fd,
        Err(_) => Fd::Null,
    };
    let io = Io::new(Fd::Null, log.clone(), log);
    shell.run_words(&[path.to_owned()], &io) == Ok(0)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn list<'a>(config: &'a Value, key: &str) -> &'a [Value] {
    config.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A runcmd entry: a string for sh, or a list of words.
fn command(entry: &Value) -> String {
    match entry {
        Value::Array(words) => {
            words.iter().map(|w| crate::shell::quote(&text(w))).collect::<Vec<_>>().join(" ")
        }
        other => text(other),
    }
}

fn apply_config(world: &Arc<World>, id: &str, config: &Value) -> bool {
    let mut good = true;
    let mut lines = vec!["#!/bin/sh".to_owned()];
    let keys: Vec<String> = list(config, "ssh_authorized_keys").iter().map(text).collect();
    let mut users = vec![("root".to_owned(), keys.clone()), ("debian".to_owned(), keys)];
    for user in list(config, "users") {
        if let Some(name) = user.get("name") {
            users.push((text(name), list(user, "ssh_authorized_keys").iter().map(text).collect()));
        }
    }
    world.with(|s| {
        let now = s.now() / 1000;
        let Some(host) = s.host_mut(id) else { return };
        for (user, keys) in users.iter().filter(|(_, k)| !k.is_empty()) {
            let home = if user == "root" { "/root".to_owned() } else { format!("/home/{user}") };
            let path = format!("{home}/.ssh/authorized_keys");
            let mut text = host.files.text(&path);
            for key in keys {
                text.push_str(&format!("{}\n", key.trim()));
            }
            host.files.put(&path, text, 0o600, now);
        }
        if let Some(name) = config.get("hostname").or(config.get("fqdn")).map(text) {
            host.hostname = name.split('.').next().unwrap_or_default().to_owned();
            host.files.put("/etc/hostname", format!("{}\n", host.hostname), 0o644, now);
        }
        for file in list(config, "write_files") {
            let Some(path) = file.get("path").map(text).filter(|p| p.starts_with('/')) else { continue };
            let mut content = file.get("content").map(text).unwrap_or_default().into_bytes();
            if matches!(file.get("encoding").map(text).as_deref(), Some("b64" | "base64")) {
                use base64::Engine as _;
                content = base64::engine::general_purpose::STANDARD
                    .decode(content.into_iter().filter(|b| !b.is_ascii_whitespace()).collect::<Vec<_>>())
                    .unwrap_or_default();
            }
            let mode = file
                .get("permissions")
                .map(text)
                .and_then(|m| u32::from_str_radix(&m, 8).ok())
                .unwrap_or(0o644);
            if file.get("append") == Some(&Value::Bool(true)) {
                content = [host.files.text(&path).into_bytes(), content].concat();
            }
            host.files.put(&path, content, mode, now);
        }
    });
    lines.extend(list(config, "bootcmd").iter().map(command));
    if config.get("package_update") == Some(&Value::Bool(true)) || !list(config, "packages").is_empty() {
        lines.push("apt-get -qq update || failed=1".to_owned());
    }
    let packages: Vec<String> =
        list(config, "packages").iter().map(|p| crate::shell::quote(&text(p))).collect();
    if !packages.is_empty() {
        lines.push(format!(
            "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y {} || failed=1",
            packages.join(" ")
        ));
    }
    lines.extend(list(config, "runcmd").iter().map(command));
    lines.push("exit ${failed:-0}".to_owned());
    good &= script(world, id, "/var/lib/cloud/instance/scripts/runcmd", &(lines.join("\n") + "\n"));
    good
}
