//! systemctl and journalctl.

use super::{Cx, Status};
use crate::host::services::StartError;
use crate::host::{Host, ServiceState, unit_name};

pub(super) fn run(cx: &mut Cx<'_>) -> Status {
    if cx.name == "journalctl" { journal(cx) } else { control(cx) }
}

fn control(cx: &mut Cx<'_>) -> Status {
    let long = [
        "now",
        "quiet",
        "no-pager",
        "no-block",
        "full",
        "property=",
        "value",
        "all",
        "force",
        "failed",
        "type=",
        "state=",
        "no-legend",
        "plain",
        "user",
        "system",
        "no-ask-password",
        "lines=",
        "runtime",
        "version",
        "wait",
        "root=",
    ];
    let opts = cx.opts("qp:alfn:t:HPM:", &long)?;
    if opts.has(&["version"]) {
        cx.out("systemd 252 (252.36-1~deb12u1, simulated)\n");
        return Ok(0);
    }
    let Some((verb, units)) = opts.rest.split_first() else { return Ok(0) };
    let quiet = opts.has(&["q", "quiet"]);
    let changes = [
        "start",
        "stop",
        "restart",
        "try-restart",
        "reload",
        "reload-or-restart",
        "try-reload-or-restart",
        "enable",
        "disable",
        "mask",
        "unmask",
        "daemon-reload",
        "reset-failed",
        "daemon-reexec",
        "reenable",
        "kill",
        "reboot",
        "poweroff",
    ];
    if changes.contains(&verb.as_str()) && !cx.root() {
        cx.err(format!("Failed to {verb}: Access denied\n"));
        return Err(1);
    }
    match verb.as_str() {
        "daemon-reload" | "daemon-reexec" | "reset-failed" => Ok(0),
        "start"
        | "stop"
        | "restart"
        | "try-restart"
        | "reload"
        | "reload-or-restart"
        | "try-reload-or-restart"
        | "kill" => {
            let mut status = 0;
            for unit in units {
                status = status.max(change(cx, verb, unit));
            }
            Ok(status)
        }
        "enable" | "reenable" => {
            let mut status = 0;
            for unit in units {
                let name = unit_name(unit);
                if cx.host(|h, _| h.masked(&name)) {
                    cx.err(format!(
                        "Failed to enable unit: Unit file /etc/systemd/system/{name} is masked.\n"
                    ));
                    return Err(1);
                }
                match cx.host_mut(|h, now| h.enable_unit(unit, now * 1000)) {
                    None => {
                        cx.err(format!("Failed to enable unit: Unit file {name} does not exist.\n"));
                        return Err(1);
                    }
                    Some(links) => {
                        for (link, file) in links.iter().filter(|_| !quiet) {
                            cx.err(format!("Created symlink {link} → {file}.\n"));
                        }
                    }
                }
                if opts.has(&["now"]) {
                    status = status.max(change(cx, "start", unit));
                }
            }
            Ok(status)
        }
        "disable" => {
            for unit in units {
                let name = unit_name(unit);
                if cx.host(|h, _| h.unit_file(&name).is_none()) {
                    cx.err(format!("Failed to disable unit: Unit file {name} does not exist.\n"));
                    return Err(1);
                }
                for link in cx.host(|h, _| h.wants(&name)) {
                    if cx.files_mut(|f, a| f.unlink(&link, a)).is_ok() && !quiet {
                        cx.err(format!("Removed \"{link}\".\n"));
                    }
                }
                if opts.has(&["now"]) {
                    change(cx, "stop", unit);
                }
            }
            Ok(0)
        }
        "mask" | "unmask" => {
            for unit in units {
                let path = format!("/etc/systemd/system/{}", unit_name(unit));
                if verb == "mask" {
                    let made = cx.files_mut(|f, a| f.symlink("/dev/null", &path, a));
                    if made.is_err() && !cx.host(|h, _| h.masked(unit)) {
                        cx.err(format!("Failed to mask unit: File {path} already exists.\n"));
                        return Err(1);
                    }
                    if opts.has(&["now"]) {
                        change(cx, "stop", unit);
                    }
                } else if cx.host(|h, _| h.masked(unit)) {
                    // It is a link, as just seen.
                    let _ = cx.files_mut(|f, a| f.unlink(&path, a));
                }
            }
            Ok(0)
        }
        "is-active" | "is-failed" => {
            let wanted = if verb == "is-active" { ServiceState::Active } else { ServiceState::Failed };
            let mut any = false;
            for unit in units {
                settle(cx);
                let state = cx.host(|h, _| h.service_state(unit));
                any |= state == wanted || (is_target(unit) && wanted == ServiceState::Active);
                let word = if is_target(unit) { "active" } else { state.word() };
                if !quiet {
                    cx.out(format!("{word}\n"));
                }
            }
            Ok(if any {
                0
            } else if verb == "is-active" {
                3
            } else {
                1
            })
        }
        "is-enabled" => {
            let mut all = true;
            for unit in units {
                match cx.host(|h, _| enabled(h, unit)) {
                    Some(word) => {
                        all &= word == "enabled" || word == "static";
                        if !quiet {
                            cx.out(format!("{word}\n"));
                        }
                    }
                    None => {
                        all = false;
                        if !quiet {
                            cx.err(format!(
                                "Failed to get unit file state for {}: No such file or directory\n",
                                unit_name(unit)
                            ));
                        }
                    }
                }
            }
            Ok(i32::from(!all))
        }
        "is-system-running" => {
            cx.out("running\n");
            Ok(0)
        }
        "show" => show(cx, units, opts.values(&["p", "property"]), opts.has(&["value"])),
        "status" => status(cx, units),
        "cat" => {
            for unit in units {
                match cx.host(|h, _| h.unit_file(unit).map(|p| (p.clone(), h.files.text(&p)))) {
                    Some((path, text)) => {
                        cx.out(format!("# {path}\n{text}"));
                    }
                    None => {
                        cx.err(format!("No files found for {}.\n", unit_name(unit)));
                        return Err(1);
                    }
                }
            }
            Ok(0)
        }
        "list-units" | "list-unit-files" => {
            let files = verb == "list-unit-files";
            let kind = opts.value(&["t", "type"]);
            let rows = cx.host(|h, _| {
                let mut names: Vec<String> = h
                    .files
                    .children("/lib/systemd/system")
                    .chain(h.files.children("/etc/systemd/system"))
                    .filter(|(_, n)| !n.is_dir())
                    .map(|(n, _)| n.to_owned())
                    .collect();
                names.sort();
                names.dedup();
                let fits = |n: &String| {
                    kind.is_none_or(|k| n.ends_with(&format!(".{k}")))
                        && (units.is_empty()
                            || units.iter().any(|u| {
                                let u = if u.contains('.') { u.clone() } else { unit_name(u) };
                                crate::shell::pattern::matches(
                                    &crate::shell::pattern::unquoted(&u),
                                    &n.chars().collect::<Vec<_>>(),
                                )
                            }))
                };
                names
                    .into_iter()
                    .filter(fits)
                    .filter(|n| {
                        files || opts.has(&["all", "a"]) || h.service_state(n) != ServiceState::Inactive
                    })
                    .filter(|n| !opts.has(&["failed"]) || h.service_state(n) == ServiceState::Failed)
                    .map(|n| {
                        if files {
                            format!("{n} {} enabled\n", enabled(h, &n).unwrap_or("static"))
                        } else {
                            format!(
                                "{n} loaded {} {} (simulated)\n",
                                h.service_state(&n).word(),
                                sub(h.service_state(&n))
                            )
                        }
                    })
                    .collect::<String>()
            });
            cx.out(rows);
            Ok(0)
        }
        "get-default" => {
            cx.out("multi-user.target\n");
            Ok(0)
        }
        "list-jobs" => {
            cx.out("No jobs running.\n");
            Ok(0)
        }
        "reboot" | "poweroff" => {
            let words = [verb.clone()];
            let io = cx.io.fork();
            Ok(cx.sh.run_program(&words, &io))
        }
        other => Err(cx.unsupported(other)),
    }
}

fn is_target(unit: &str) -> bool {
    unit.ends_with(".target") && unit != "swap.target"
}

/// Lets a crashing kubelet be restarted, as systemd does every ten seconds.
fn settle(cx: &mut Cx<'_>) {
    if cx.host(|h, _| h.service_state("kubelet")) == ServiceState::Activating {
        cx.host_mut(|h, now| h.retry_kubelet(now * 1000));
    }
}

fn enabled(host: &Host, unit: &str) -> Option<&'static str> {
    let unit = unit_name(unit);
    if host.masked(&unit) {
        return Some("masked");
    }
    let file = host.unit_file(&unit)?;
    Some(if !host.wants(&unit).is_empty() {
        "enabled"
    } else if host.files.text(&file).contains("[Install]") {
        "disabled"
    } else {
        "static"
    })
}

fn change(cx: &mut Cx<'_>, verb: &str, unit: &str) -> i32 {
    let name = unit_name(unit);
    if is_target(&name) || name.ends_with(".swap") {
        return 0;
    }
    let active = cx.host(|h, _| h.service_state(&name) != ServiceState::Inactive);
    let known = cx.host(|h, _| h.unit_file(&name).is_some());
    if !known {
        let masked = cx.host(|h, _| h.masked(&name));
        if !masked {
            let what = if verb.contains("start") { "start" } else { verb };
            cx.err(format!("Failed to {what} {name}: Unit {name} not found.\n"));
            return 5;
        }
    }
    let result = match verb {
        "stop" | "kill" => {
            cx.host_mut(|h, now| h.stop_unit(&name, now * 1000));
            Ok(())
        }
        "try-restart" | "try-reload-or-restart" if !active => Ok(()),
        "reload" if !cx.host(|h, _| h.active(&name)) => {
            cx.err(format!("{name} is not active, cannot reload.\n"));
            return 1;
        }
        "reload"
            if !["haproxy.service", "keepalived.service", "ssh.service", "nginx.service"]
                .contains(&name.as_str()) =>
        {
            cx.err(format!("Failed to reload {name}: Job type reload is not applicable for unit {name}.\n"));
            return 1;
        }
        "reload" | "reload-or-restart" if active && name == "haproxy.service" => {
            // HAProxy keeps the old configuration when the new one does not hold.
            let kept = cx.host(|h, _| h.services.get(&name).cloned());
            let result = cx.host_mut(|h, now| {
                h.stop_unit(&name, now * 1000);
                h.start_unit(&name, now * 1000)
            });
            if result.is_err() {
                cx.host_mut(|h, _| {
                    if let (Some(mut old), Some(now)) = (kept, h.services.get(&name)) {
                        old.log = now.log.clone();
                        h.services.insert(name.clone(), old);
                    }
                });
            }
            result
        }
        "start" => cx.host_mut(|h, now| h.start_unit(&name, now * 1000)),
        _ => cx.host_mut(|h, now| {
            h.stop_unit(&name, now * 1000);
            h.start_unit(&name, now * 1000)
        }),
    };
    if name == "containerd.service" || name == "kubelet.service" {
        cx.host_mut(|h, now| h.retry_kubelet(now * 1000));
    }
    match result {
        Ok(()) => 0,
        Err(StartError::NotFound) => {
            cx.err(format!("Failed to {verb} {name}: Unit {name} not found.\n"));
            5
        }
        Err(StartError::Masked) => {
            cx.err(format!("Failed to {verb} {name}: Unit {name} is masked.\n"));
            1
        }
        Err(StartError::Failed) => {
            cx.err(format!(
                "Job for {name} failed because the control process exited with error code.\nSee \"systemctl status {name}\" and \"journalctl -xeu {name}\" for details.\n"
            ));
            1
        }
    }
}

fn sub(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Active => "running",
        ServiceState::Inactive => "dead",
        ServiceState::Failed => "failed",
        ServiceState::Activating => "auto-restart",
    }
}

fn show(cx: &mut Cx<'_>, units: &[String], properties: Vec<&str>, value_only: bool) -> Status {
    let wanted: Vec<&str> = properties.iter().flat_map(|p| p.split(',')).collect();
    for (n, unit) in units.iter().enumerate() {
        if n > 0 {
            cx.out("\n");
        }
        settle(cx);
        let rows = cx.host(|h, _| {
            let name = unit_name(unit);
            let state = h.service_state(&name);
            let file = h.unit_file(&name);
            let load = match (&file, h.masked(&name)) {
                (_, true) => "masked",
                (Some(_), _) => "loaded",
                (None, _) => "not-found",
            };
            let result = if state == ServiceState::Failed { "exit-code" } else { "success" };
            let since = h.services.get(&name).map_or(0, |s| s.since);
            vec![
                ("Id", name.clone()),
                ("LoadState", load.to_owned()),
                ("ActiveState", state.word().to_owned()),
                ("SubState", sub(state).to_owned()),
                ("UnitFileState", enabled(h, &name).unwrap_or_default().to_owned()),
                ("Result", result.to_owned()),
                ("MainPID", if state == ServiceState::Active { "4242" } else { "0" }.to_owned()),
                ("NRestarts", if state == ServiceState::Activating { "5" } else { "0" }.to_owned()),
                ("ExecMainStatus", if state == ServiceState::Failed { "1" } else { "0" }.to_owned()),
                ("FragmentPath", file.unwrap_or_default()),
                ("NeedDaemonReload", "no".to_owned()),
                ("ActiveEnterTimestamp", super::system::format_date("%a %F %T UTC", since / 1000)),
                ("ActiveEnterTimestampMonotonic", ((since - h.booted).max(0) * 1000).to_string()),
            ]
        });
        for (name, value) in rows {
            if wanted.is_empty() || wanted.contains(&name) {
                cx.out(if value_only { format!("{value}\n") } else { format!("{name}={value}\n") });
            }
        }
    }
    Ok(0)
}

fn status(cx: &mut Cx<'_>, units: &[String]) -> Status {
    let mut code = 0;
    for unit in units {
        settle(cx);
        let name = unit_name(unit);
        let (state, file, word, log) = cx.host(|h, _| {
            let log = h.services.get(&name).map(|s| s.log.clone()).unwrap_or_default();
            (h.service_state(&name), h.unit_file(&name), enabled(h, &name).unwrap_or("disabled"), log)
        });
        let Some(file) = file else {
            cx.err(format!("Unit {name} could not be found.\n"));
            code = 4;
            continue;
        };
        cx.out(format!(
            "● {name} - simulated\n     Loaded: loaded ({file}; {word})\n     Active: {} ({})\n\n",
            state.word(),
            sub(state)
        ));
        for line in log.iter().rev().take(10).rev() {
            cx.out(format!("{line}\n"));
        }
        if state != ServiceState::Active {
            code = 3;
        }
    }
    Ok(code)
}

fn journal(cx: &mut Cx<'_>) -> Status {
    let long = [
        "unit=",
        "no-pager",
        "lines=",
        "since=",
        "output=",
        "quiet",
        "boot?",
        "reverse",
        "priority=",
        "identifier=",
        "full",
        "no-hostname",
    ];
    let opts = cx.opts("u:n:xeo:qbrkp:t:S:f", &long)?;
    let count: usize = opts.value(&["n", "lines"]).and_then(|n| n.parse().ok()).unwrap_or(1000);
    let units = opts.values(&["u", "unit"]);
    let lines: Vec<String> = cx.host(|h, _| {
        let chosen =
            h.services.iter().filter(|(n, _)| units.is_empty() || units.iter().any(|u| unit_name(u) == **n));
        chosen.flat_map(|(_, s)| s.log.clone()).collect()
    });
    if lines.is_empty() && !opts.has(&["q", "quiet"]) {
        cx.out("-- No entries --\n");
    }
    let bare = opts.value(&["o", "output"]) == Some("cat");
    for line in lines.iter().skip(lines.len().saturating_sub(count)) {
        // The program's own words, without who said them.
        let text = line.split_once("]: ").filter(|_| bare).map_or(line.as_str(), |(_, text)| text);
        cx.out(format!("{text}\n"));
    }
    Ok(0)
}
