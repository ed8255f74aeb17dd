//! Programs that tell what a host is, and what time it has.

use super::{Cx, Status};
use crate::host::{CloudInit, files::Actor};

pub(super) fn dispatch(tool: &str, cx: &mut Cx<'_>) -> Option<Status> {
    Some(match tool {
        "id" => id(cx),
        "whoami" | "logname" => {
            let user = cx.sh.user.clone();
            cx.out(format!("{user}\n"));
            Ok(0)
        }
        "groups" => {
            let groups = if cx.root() { "root" } else { "debian adm sudo" };
            cx.out(format!("{groups}\n"));
            Ok(0)
        }
        "hostname" => hostname(cx),
        "hostnamectl" => hostnamectl(cx),
        "uname" => uname(cx),
        "arch" => {
            cx.out("x86_64\n");
            Ok(0)
        }
        "nproc" => {
            let n = cx.host(|h, _| h.cpus);
            cx.out(format!("{n}\n"));
            Ok(0)
        }
        "lsb_release" => lsb_release(cx),
        "date" => date(cx),
        "sleep" => sleep(cx),
        "uptime" => {
            let seconds = cx.host(|h, now| (now - h.booted / 1000).max(0));
            cx.out(format!("up {} minutes (simulated)\n", seconds / 60));
            Ok(0)
        }
        "free" => {
            let (memory, swap) = cx.host(|h, _| (h.memory_mb, if h.swap { 1023 } else { 0 }));
            cx.out(format!("               total        used        free\nMem:           {memory}         200        {}\nSwap:          {swap}           0        {swap}\n", memory.saturating_sub(200)));
            Ok(0)
        }
        "df" => {
            cx.out("Filesystem     1K-blocks    Used Available Use% Mounted on\n/dev/vda1       20509264 1048576  18394000   6% /\n");
            Ok(0)
        }
        "getent" => getent(cx),
        "useradd" | "groupadd" => useradd(cx),
        "usermod" => Ok(0),
        "cloud-init" => cloud_init(cx),
        "systemd-detect-virt" => {
            cx.out("simulated\n");
            Ok(0)
        }
        "timedatectl" => {
            cx.out("               Local time: simulated\n                Time zone: Etc/UTC (UTC, +0000)\nSystem clock synchronized: yes\n              NTP service: active\n");
            Ok(0)
        }
        "logger"
        | "udevadm"
        | "update-ca-certificates"
        | "update-alternatives"
        | "locale-gen"
        | "needrestart" => Ok(0),
        "reboot" | "poweroff" | "shutdown" => power(cx),
        "uuidgen" => {
            cx.out(format!("{}\n", crate::world::model::fresh_id()));
            Ok(0)
        }
        _ => return None,
    })
}

fn id(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("unGgr", &["user", "name", "groups", "group"])?;
    let who = opts.rest.first().cloned().unwrap_or_else(|| cx.sh.user.clone());
    let known =
        cx.host(|h, _| h.files.text("/etc/passwd").lines().any(|l| l.starts_with(&format!("{who}:"))));
    if !known {
        return Err(cx.fail(1, format!("'{who}': no such user")));
    }
    let number = match who.as_str() {
        "root" => "0".to_owned(),
        "debian" => "1000".to_owned(),
        _ => cx.host(|h, _| {
            let text = h.files.text("/etc/passwd");
            let line = text.lines().find(|l| l.starts_with(&format!("{who}:"))).unwrap_or_default();
            line.split(':').nth(2).unwrap_or("999").to_owned()
        }),
    };
    let name = opts.has(&["n", "name"]);
    let text = if opts.has(&["u", "user", "g", "group"]) {
        if name { who } else { number }
    } else if opts.has(&["G", "groups"]) {
        match (name, who.as_str()) {
            (true, "debian") => "debian adm sudo".to_owned(),
            (true, _) => who,
            (false, "debian") => "1000 4 27".to_owned(),
            (false, _) => number,
        }
    } else {
        format!("uid={number}({who}) gid={number}({who}) groups={number}({who})")
    };
    cx.out(format!("{text}\n"));
    Ok(0)
}

fn hostname(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("sfiIdF:b", &["short", "fqdn", "long", "ip-address", "all-ip-addresses", "file="])?;
    if let Some(name) = opts.rest.first() {
        if !cx.root() {
            return Err(cx.fail(1, "you must be root to change the host name"));
        }
        cx.host_mut(|h, _| h.hostname = name.clone());
        return Ok(0);
    }
    let text = cx.host(|h, _| {
        if opts.has(&["I", "all-ip-addresses", "i", "ip-address"]) {
            h.nics.iter().map(|n| format!("{} ", n.ip)).collect::<String>()
        } else {
            h.hostname.clone()
        }
    });
    cx.out(format!("{text}\n"));
    Ok(0)
}

fn hostnamectl(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("", &["static", "transient", "pretty", "no-ask-password"])?;
    match opts.rest.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["set-hostname" | "hostname", name] => {
            if !cx.root() {
                return Err(cx.fail(1, "Could not set static hostname: Access denied"));
            }
            cx.host_mut(|h, now| {
                h.hostname = (*name).to_owned();
                // /etc is always there.
                let _ =
                    h.files.write("/etc/hostname", format!("{name}\n").as_bytes(), false, Actor::root(now));
            });
            Ok(0)
        }
        ["hostname"] => {
            let name = cx.host(|h, _| h.hostname.clone());
            cx.out(format!("{name}\n"));
            Ok(0)
        }
        [] | ["status"] => {
            let name = cx.host(|h, _| h.hostname.clone());
            cx.out(if opts.has(&["static"]) {
                format!("{name}\n")
            } else {
                format!(" Static hostname: {name}\n  Virtualization: simulated\nOperating System: Debian GNU/Linux 12 (bookworm)\n")
            });
            Ok(0)
        }
        _ => Err(cx.unsupported("this operation")),
    }
}

fn uname(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("asnrvmpio", &["all", "kernel-name", "nodename", "kernel-release", "machine"])?;
    let name = cx.host(|h, _| h.hostname.clone());
    let all = opts.has(&["a", "all"]);
    let parts = [
        (opts.has(&["s", "kernel-name"]) || cx.args.is_empty(), "Linux".to_owned()),
        (opts.has(&["n", "nodename"]), name),
        (opts.has(&["r", "kernel-release"]), "6.1.0-simulated".to_owned()),
        (opts.has(&["v"]), "#1 SMP PREEMPT_DYNAMIC simulated".to_owned()),
        (opts.has(&["m", "machine", "p", "i"]), "x86_64".to_owned()),
        (opts.has(&["o"]), "GNU/Linux".to_owned()),
    ];
    let text: Vec<String> = parts.into_iter().filter(|(w, _)| all || *w).map(|(_, t)| t).collect();
    cx.out(format!("{}\n", text.join(" ")));
    Ok(0)
}

fn lsb_release(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("csirda", &["codename", "short", "id", "release", "description", "all"])?;
    let short = opts.has(&["s", "short"]);
    for (names, label, value) in [
        (["i", "id"], "Distributor ID:\t", "Debian"),
        (["d", "description"], "Description:\t", "Debian GNU/Linux 12 (bookworm)"),
        (["r", "release"], "Release:\t", "12"),
        (["c", "codename"], "Codename:\t", "bookworm"),
    ] {
        if opts.has(&names) || opts.has(&["a", "all"]) {
            cx.out(format!("{}{value}\n", if short { "" } else { label }));
        }
    }
    Ok(0)
}

/// Year, month, day, hour, minute, second and weekday (0 = Sunday) of a time since 1970, in UTC.
pub(crate) fn civil(seconds: i64) -> (i64, i64, i64, i64, i64, i64, i64) {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant's algorithm on eras of 400 years.
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day, rest / 3600, rest / 60 % 60, rest % 60, (days + 4).rem_euclid(7))
}

/// Days since 1970 of a date.
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted - era * 400;
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// strftime in UTC.
pub(crate) fn format_date(format: &str, seconds: i64) -> String {
    let (year, month, day, hour, minute, second, weekday) = civil(seconds);
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let text = match chars.next() {
            Some('s') => seconds.to_string(),
            Some('Y') => year.to_string(),
            Some('y') => format!("{:02}", year % 100),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('e') => format!("{day:2}"),
            Some('H') => format!("{hour:02}"),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{second:02}"),
            Some('N') => "000000000".to_owned(),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('b' | 'h') => MONTHS[(month - 1) as usize % 12].to_owned(),
            Some('a') => DAYS[weekday as usize % 7].to_owned(),
            Some('Z') => "UTC".to_owned(),
            Some('z') => "+0000".to_owned(),
            Some('n') => "\n".to_owned(),
            Some('%') => "%".to_owned(),
            Some('3') => {
                chars.next();
                "000".to_owned()
            }
            Some(other) => format!("%{other}"),
            None => "%".to_owned(),
        };
        out.push_str(&text);
    }
    out
}

/// `2026-01-31T12:00:00Z`
pub(crate) fn rfc3339(milliseconds: i64) -> String {
    format_date("%FT%TZ", milliseconds.div_euclid(1000))
}

fn date(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("ud:I:R", &["utc", "date=", "iso-8601?", "rfc-3339="])?;
    let now = cx.sh.state(|s| s.now()) / 1000;
    let when = match opts.value(&["d", "date"]) {
        None | Some("now") => now,
        Some(text) => match text.strip_prefix('@').and_then(|t| t.parse().ok()) {
            Some(seconds) => seconds,
            None => return Err(cx.unsupported(format!("date `{text}`"))),
        },
    };
    let format = match opts.rest.first().and_then(|f| f.strip_prefix('+')) {
        Some(format) => format.to_owned(),
        None if opts.has(&["I", "iso-8601"]) => "%F".to_owned(),
        None => "%a %b %e %T UTC %Y".to_owned(),
    };
    cx.out(format!("{}\n", format_date(&format, when)));
    Ok(0)
}

fn sleep(cx: &mut Cx<'_>) -> Status {
    let mut total = 0.0;
    for arg in cx.args {
        let (digits, factor) = match arg.chars().last() {
            Some('s') => (&arg[..arg.len() - 1], 1.0),
            Some('m') => (&arg[..arg.len() - 1], 60.0),
            Some('h') => (&arg[..arg.len() - 1], 3600.0),
            Some('d') => (&arg[..arg.len() - 1], 86_400.0),
            _ => (arg.as_str(), 1.0),
        };
        match digits.parse::<f64>() {
            Ok(n) if n >= 0.0 => total += n * factor,
            Err(_) if digits == "infinity" => total += 1e9,
            _ => return Err(cx.fail(1, format!("invalid time interval '{arg}'"))),
        }
    }
    if cx.args.is_empty() {
        return Err(cx.fail(1, "missing operand"));
    }
    cx.sh.sleep((total * 1000.0).min(1e14) as i64);
    Ok(0)
}

fn getent(cx: &mut Cx<'_>) -> Status {
    let (database, keys) = match cx.args {
        [database, keys @ ..] => (database.clone(), keys.to_vec()),
        [] => return Err(cx.fail(1, "wrong number of arguments")),
    };
    let file = match database.as_str() {
        "passwd" | "group" => format!("/etc/{database}"),
        "hosts" | "ahosts" | "ahostsv4" => {
            for key in &keys {
                let machine = cx.sh.machine.clone();
                match cx.sh.state(|s| s.resolve_name(&machine, key)) {
                    Some(ip) if database == "hosts" => {
                        cx.out(format!("{ip:<15} {key}\n"));
                    }
                    Some(ip) => {
                        cx.out(format!("{ip:<15} STREAM {key}\n"));
                    }
                    None => return Ok(2),
                }
            }
            return Ok(0);
        }
        other => return Err(cx.fail(1, format!("Unknown database: {other}"))),
    };
    let text = cx.host(|h, _| h.files.text(&file));
    if keys.is_empty() {
        cx.out(text);
        return Ok(0);
    }
    for key in &keys {
        let fits = |l: &&str| l.split(':').next() == Some(key) || l.split(':').nth(2) == Some(key);
        match text.lines().find(fits) {
            Some(line) => cx.out(format!("{line}\n")),
            None => return Ok(2),
        };
    }
    Ok(0)
}

fn useradd(cx: &mut Cx<'_>) -> Status {
    let Some(name) = cx.args.last().cloned() else { return Err(cx.fail(2, "a name is needed")) };
    if !cx.root() {
        return Err(cx.fail(1, "Permission denied."));
    }
    let group = cx.name == "groupadd";
    let file = if group { "/etc/group" } else { "/etc/passwd" };
    let (kind, prefix) = (if group { "group" } else { "user" }, format!("{name}:"));
    if cx.host(|h, _| h.files.text(file).lines().any(|l| l.starts_with(&prefix))) {
        return Err(cx.fail(9, format!("{kind} '{name}' already exists")));
    }
    cx.host_mut(|h, now| {
        let id = 990 - h.files.text(file).lines().count() as i64;
        let line = if group {
            format!("{name}:x:{id}:\n")
        } else {
            format!("{name}:x:{id}:{id}::/home/{name}:/bin/sh\n")
        };
        // /etc/passwd is part of the image.
        let _ = h.files.write(file, line.as_bytes(), true, Actor::root(now));
        if !group {
            let line = format!("{name}:x:{id}:\n");
            let _ = h.files.write("/etc/group", line.as_bytes(), true, Actor::root(now));
        }
    });
    Ok(0)
}

fn cloud_init(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("", &["wait", "long", "format=", "version"])?;
    if opts.has(&["version"]) {
        cx.out("/usr/bin/cloud-init 22.4.2 (simulated)\n");
        return Ok(0);
    }
    match opts.rest.first().map(String::as_str) {
        Some("status") => {}
        Some("clean") => return Ok(0),
        _ => return Err(cx.unsupported("this subcommand")),
    }
    let machine = cx.sh.machine.clone();
    let status = if opts.has(&["wait"]) {
        let limit = std::time::Duration::from_secs(3600);
        let ended = cx
            .sh
            .wait(limit, |s| s.host(&machine).map(|h| h.cloud_init).filter(|c| *c != CloudInit::Running));
        ended.unwrap_or(CloudInit::Running)
    } else {
        cx.host(|h, _| h.cloud_init)
    };
    let (word, code) = match status {
        CloudInit::Running => ("running", 0),
        CloudInit::Done => ("done", 0),
        CloudInit::Error => ("error", 1),
    };
    cx.out(if opts.has(&["long"]) {
        format!("status: {word}\nboot_status_code: enabled-by-generator\ndetail:\nDataSourceSimulated\n")
    } else {
        format!("status: {word}\n")
    });
    Ok(code)
}

fn power(cx: &mut Cx<'_>) -> Status {
    if !cx.root() {
        return Err(cx.fail(1, "Access denied"));
    }
    let machine = cx.sh.machine.clone();
    let off = cx.name == "poweroff" || (cx.name == "shutdown" && !cx.args.iter().any(|a| a.contains('r')));
    cx.sh.world.listeners.close(&machine);
    cx.sh.state(|s| {
        if let Some(m) = s.machines.get_mut(&machine) {
            m.running = false;
        }
        if !off {
            s.boot(&machine);
        }
    });
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(format_date("%a %b %e %T UTC %Y", 1_700_000_000), "Tue Nov 14 22:13:20 UTC 2023");
    }
}
