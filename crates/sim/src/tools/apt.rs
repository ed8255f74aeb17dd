//! apt-get.

use super::packages::{self, Candidate};
use super::{Cx, Status, getopt};

pub(super) fn run(cx: &mut Cx<'_>) -> Status {
    let long = [
        "yes",
        "assume-yes",
        "quiet",
        "no-install-recommends",
        "allow-change-held-packages",
        "allow-downgrades",
        "purge",
        "fix-broken",
        "only-upgrade",
        "allow-unauthenticated",
        "reinstall",
        "no-remove",
        "no-upgrade",
        "option=",
        "force-yes",
        "allow-releaseinfo-change",
        "simulate",
        "dry-run",
        "install-recommends",
        "auto-remove",
        "autoremove",
        "version",
        "print-uris",
    ];
    // -q may be given several times and as -qq; -o takes a value.
    let opts = getopt(cx.args, "yqfo:t:ms", &long).map_err(|e| cx.fail(100, format!("E: {e}")))?;
    let Some((operation, names)) = opts.rest.split_first() else {
        cx.err("E: no operation given (simulated host)\n");
        return Err(100);
    };
    let quiet = cx.args.iter().any(|a| a == "-qq");
    if !cx.root() && operation != "download" {
        cx.err("E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n");
        return Err(100);
    }
    match operation.as_str() {
        "update" => update(cx, quiet),
        "install" => {
            let confirmed = opts.has(&["y", "yes", "assume-yes", "force-yes"]);
            let wanted = Wanted {
                confirmed,
                held: opts.has(&["allow-change-held-packages", "force-yes"]),
                downgrade: opts.has(&["allow-downgrades", "force-yes"]),
                only_upgrade: opts.has(&["only-upgrade"]),
                dry: opts.has(&["s", "simulate", "dry-run"]),
                quiet,
            };
            install(cx, names, wanted)
        }
        "remove" | "purge" | "autoremove" | "autopurge" => {
            let purge = operation == "purge" || opts.has(&["purge"]);
            remove(
                cx,
                names,
                purge,
                opts.has(&["allow-change-held-packages"]),
                opts.has(&["y", "yes", "assume-yes"]),
            )
        }
        "upgrade" | "dist-upgrade" | "full-upgrade" | "clean" | "autoclean" | "check" => Ok(0),
        other => {
            cx.err(format!("E: Invalid operation {other} (simulated host)\n"));
            Err(100)
        }
    }
}

fn update(cx: &mut Cx<'_>, quiet: bool) -> Status {
    let (sources, trouble) = cx.host(|h, _| packages::sources(h));
    let mut lines = String::new();
    for source in &sources {
        let place = match source.strip_prefix("v1.") {
            Some(minor) => format!("https://pkgs.k8s.io/core:/stable:/v1.{minor}/deb  InRelease"),
            None => "https://deb.debian.org/debian bookworm InRelease".to_owned(),
        };
        lines.push_str(&format!("Hit: {place} (simulated)\n"));
    }
    if !quiet {
        cx.out(format!("{lines}Reading package lists...\n"));
    }
    cx.host_mut(|h, _| h.apt_lists = sources.into_iter().collect());
    if trouble.is_empty() {
        return Ok(0);
    }
    for line in trouble {
        cx.err(format!("{line}\n"));
    }
    Err(100)
}

#[derive(Clone, Copy)]
struct Wanted {
    confirmed: bool,
    held: bool,
    downgrade: bool,
    only_upgrade: bool,
    dry: bool,
    quiet: bool,
}

fn install(cx: &mut Cx<'_>, names: &[String], wanted: Wanted) -> Status {
    let mut plan: Vec<Candidate> = Vec::new();
    let mut queue: Vec<(String, bool)> = names.iter().rev().map(|n| (n.clone(), true)).collect();
    while let Some((spec, asked)) = queue.pop() {
        let (name, version) = match spec.split_once('=') {
            Some((name, version)) => (name.to_owned(), Some(version.to_owned())),
            None => (spec.clone(), None),
        };
        let installed = cx.host(|h, _| h.packages.get(&name).filter(|p| !p.removed).cloned());
        if installed.is_some() && !asked {
            continue;
        }
        if installed.is_none() && wanted.only_upgrade && asked {
            continue;
        }
        let candidates = cx.host(|h, _| packages::candidates(h, &name));
        let candidate = match &version {
            None => candidates.first().cloned(),
            Some(v) => {
                // `1.31.*` is a pattern.
                let marks = crate::shell::pattern::unquoted(v);
                let fits = |c: &&Candidate| {
                    crate::shell::pattern::matches(&marks, &c.version.chars().collect::<Vec<_>>())
                };
                candidates.iter().find(fits).cloned()
            }
        };
        let Some(candidate) = candidate else {
            if installed.as_ref().is_some_and(|p| version.as_ref().is_none_or(|v| *v == p.version)) {
                continue; // in the image, or its repository is gone: it is there
            }
            let text = match (&version, candidates.is_empty()) {
                (Some(version), false) => format!("E: Version '{version}' for '{name}' was not found\n"),
                _ => format!("E: Unable to locate package {name}\n"),
            };
            cx.err(text);
            return Err(100);
        };
        if let Some(have) = &installed {
            if have.version == candidate.version {
                continue;
            }
            if version.is_none() && packages::older(&candidate.version, &have.version) {
                continue; // the newest known is older than what is there
            }
            if have.held && !wanted.held {
                if version.is_none() {
                    continue; // kept back
                }
                cx.out(format!("The following held packages will be changed:\n  {name}\n"));
                cx.err(
                    "E: Held packages were changed and -y was used without --allow-change-held-packages.\n",
                );
                return Err(100);
            }
            if packages::older(&candidate.version, &have.version) && !wanted.downgrade {
                cx.out(format!("The following packages will be DOWNGRADED:\n  {name}\n"));
                cx.err("E: Packages were downgraded and -y was used without --allow-downgrades.\n");
                return Err(100);
            }
        }
        for dependency in candidate.depends() {
            if !plan.iter().any(|c| c.name == *dependency)
                && !names.iter().any(|n| n.split('=').next() == Some(dependency))
            {
                queue.push(((*dependency).to_owned(), false));
            }
        }
        if !plan.iter().any(|c| c.name == candidate.name) {
            plan.push(candidate);
        }
    }
    if plan.is_empty() {
        if !wanted.quiet {
            cx.out("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n");
        }
        return Ok(0);
    }
    let names: Vec<&str> = plan.iter().map(|c| c.name.as_str()).collect();
    if !wanted.quiet {
        cx.out(format!("The following NEW packages will be installed:\n  {}\n", names.join(" ")));
    }
    if !wanted.confirmed {
        cx.out("Do you want to continue? [Y/n] Abort.\n");
        return Err(1);
    }
    if wanted.dry {
        return Ok(0);
    }
    let mut status = 0;
    for candidate in &plan {
        let failed = cx.host_mut(|h, now| packages::unpack(h, candidate, now * 1000));
        if !wanted.quiet {
            cx.out(format!("Setting up {} ({}) ... (simulated)\n", candidate.name, candidate.version));
        }
        if let Some(unit) = failed {
            // Debian's scripts go on when a daemon does not start, but say it.
            cx.err(format!(
                "Job for {unit}.service failed. See \"journalctl -xeu {unit}.service\" for details.\n"
            ));
            status = if unit == "keepalived" { status } else { 100 };
        }
    }
    Ok(status)
}

fn remove(cx: &mut Cx<'_>, names: &[String], purge: bool, held: bool, confirmed: bool) -> Status {
    for name in names {
        let package = cx.host(|h, _| h.packages.get(name).cloned());
        match package {
            None => {
                if cx.host(|h, _| packages::candidates(h, name).is_empty()) {
                    cx.err(format!("E: Unable to locate package {name}\n"));
                    return Err(100);
                }
                cx.out(format!("Package '{name}' is not installed, so not removed\n"));
            }
            Some(p) if p.held && !held => {
                cx.out(format!("The following held packages will be changed:\n  {name}\n"));
                cx.err(
                    "E: Held packages were changed and -y was used without --allow-change-held-packages.\n",
                );
                return Err(100);
            }
            Some(_) if !confirmed => {
                cx.out("Do you want to continue? [Y/n] Abort.\n");
                return Err(1);
            }
            Some(_) => {
                cx.host_mut(|h, now| packages::remove(h, name, purge, now * 1000));
                cx.out(format!("Removing {name} ... (simulated)\n"));
            }
        }
    }
    Ok(0)
}
