//! The programs that ask Debian's package database: dpkg, dpkg-query, apt-mark, apt-cache; and gpg for repository keys.

use super::packages::{candidates, compare};
use super::{Cx, Status, getopt};
use crate::host::Package;

pub(super) fn dispatch(tool: &str, cx: &mut Cx<'_>) -> Option<Status> {
    Some(match tool {
        "dpkg" | "dpkg-query" => dpkg(cx),
        "apt-mark" => mark(cx),
        "apt-cache" => cache(cx),
        "apt-key" => Ok(0),
        "gpg" => gpg(cx),
        _ => return None,
    })
}

fn dpkg(cx: &mut Cx<'_>) -> Status {
    let long = [
        "show",
        "status",
        "list",
        "listfiles",
        "print-architecture",
        "showformat=",
        "configure",
        "get-selections",
        "pending",
        "audit",
        "force-confold",
        "force-confdef",
        "compare-versions",
        "version",
        "print-foreign-architectures",
        "purge",
        "remove",
    ];
    let opts = getopt(cx.args, "+Wf:slLaCirP", &long).map_err(|e| cx.fail(2, format!("error: {e}")))?;
    // dpkg-query -W names -f=…: options may follow names.
    let again = getopt(cx.args, "Wf:slLaCirP", &long).map_err(|e| cx.fail(2, format!("error: {e}")))?;
    if opts.has(&["print-architecture"]) {
        cx.out("amd64\n");
        return Ok(0);
    }
    if opts.has(&["compare-versions"]) {
        let [a, relation, b] = opts.rest.as_slice() else {
            return Err(cx.fail(2, "error: --compare-versions takes three arguments"));
        };
        let order = compare(a, b);
        let holds = match relation.as_str() {
            "lt" | "<<" => order.is_lt(),
            "le" | "<=" => order.is_le(),
            "eq" | "=" => order.is_eq(),
            "ne" => order.is_ne(),
            "ge" | ">=" => order.is_ge(),
            "gt" | ">>" => order.is_gt(),
            _ => return Err(cx.fail(2, format!("error: --compare-versions bad relation '{relation}'"))),
        };
        return Ok(i32::from(!holds));
    }
    if opts.has(&["configure", "force-confold", "force-confdef", "audit", "C"]) {
        return Ok(0);
    }
    let names = &again.rest;
    let all: Vec<(String, Package)> =
        cx.host(|h, _| h.packages.iter().map(|(n, p)| (n.clone(), p.clone())).collect());
    let select = |name: &str| -> Vec<(String, Package)> {
        let marks = crate::shell::pattern::unquoted(name.split(':').next().unwrap_or(name));
        all.iter()
            .filter(|(n, _)| crate::shell::pattern::matches(&marks, &n.chars().collect::<Vec<_>>()))
            .cloned()
            .collect()
    };
    if again.has(&["W", "show"]) {
        let format = again
            .value(&["f", "showformat"])
            .unwrap_or("${Package}\t${Version}\n")
            .trim_start_matches('=')
            .to_owned();
        let mut status = 0;
        let chosen = if names.is_empty() { vec!["*".to_owned()] } else { names.clone() };
        for name in &chosen {
            let found = select(name);
            if found.is_empty() {
                cx.err(format!("dpkg-query: no packages found matching {name}\n"));
                status = 1;
            }
            for (name, package) in found {
                let text = show(&format, &name, &package);
                cx.out(text);
            }
        }
        return Ok(status);
    }
    if again.has(&["s", "status"]) {
        let mut status = 0;
        for name in names {
            match select(name).first() {
                Some((name, p)) => cx.out(format!(
                    "Package: {name}\nStatus: {}\nArchitecture: amd64\nVersion: {}\n",
                    words(p),
                    p.version
                )),
                None => {
                    cx.err(format!(
                        "dpkg-query: package '{name}' is not installed and no information is available\n"
                    ));
                    status = 1;
                    continue;
                }
            };
        }
        return Ok(status);
    }
    if again.has(&["l", "list"]) {
        let mut rows = String::new();
        let chosen = if names.is_empty() { vec!["*".to_owned()] } else { names.clone() };
        for name in &chosen {
            let found = select(name);
            if found.is_empty() {
                cx.err(format!("dpkg-query: no packages found matching {name}\n"));
                return Err(1);
            }
            for (name, p) in found {
                let state = match (p.held, p.removed) {
                    (true, false) => "hi",
                    (_, true) => "rc",
                    _ => "ii",
                };
                rows.push_str(&format!("{state}  {name:<30} {:<30} amd64        (simulated)\n", p.version));
            }
        }
        cx.out(rows);
        return Ok(0);
    }
    if again.has(&["get-selections"]) {
        for (name, p) in &all {
            let word = if p.held {
                "hold"
            } else if p.removed {
                "deinstall"
            } else {
                "install"
            };
            cx.out(format!("{name}\t\t\t\t\t{word}\n"));
        }
        return Ok(0);
    }
    Err(cx.unsupported("this action"))
}

fn words(p: &Package) -> &'static str {
    match (p.held, p.removed) {
        (_, true) => "deinstall ok config-files",
        (true, _) => "hold ok installed",
        _ => "install ok installed",
    }
}

/// `${Package} ${Version}` and the like.
fn show(format: &str, name: &str, p: &Package) -> String {
    let mut parts = words(p).split(' ');
    let (want, error, state) = (parts.next(), parts.next(), parts.next());
    let (format, _) = crate::shell::escape::unescape(format, true);
    let mut out = String::new();
    let mut rest = format.as_str();
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else { break };
        let field = rest[at + 2..at + end].split(';').next().unwrap_or_default();
        out.push_str(match field {
            "Package" | "binary:Package" => name,
            "Version" => &p.version,
            "Architecture" => "amd64",
            "Status" => words(p),
            "db:Status-Want" => want.unwrap_or_default(),
            "db:Status-Eflag" => error.unwrap_or_default(),
            "db:Status-Status" => state.unwrap_or_default(),
            "db:Status-Abbrev" => match (p.held, p.removed) {
                (_, true) => "rc ",
                (true, _) => "hi ",
                _ => "ii ",
            },
            _ => "",
        });
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    out
}

fn mark(cx: &mut Cx<'_>) -> Status {
    let Some((operation, names)) = cx.args.split_first() else {
        return Err(cx.fail(100, "E: No arguments given"));
    };
    match operation.as_str() {
        "showhold" => {
            let held = cx.host(|h, _| {
                let held =
                    h.packages.iter().filter(|(n, p)| p.held && (names.is_empty() || names.contains(n)));
                held.map(|(n, _)| format!("{n}\n")).collect::<String>()
            });
            cx.out(held);
            Ok(0)
        }
        "hold" | "unhold" => {
            if !cx.root() {
                cx.err("E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\n");
                return Err(100);
            }
            let hold = operation == "hold";
            for name in names {
                let done = cx.host_mut(|h, _| {
                    h.packages
                        .get_mut(name)
                        .filter(|p| !p.removed)
                        .map(|p| std::mem::replace(&mut p.held, hold))
                });
                match done {
                    None if cx.host(|h, _| candidates(h, name).is_empty()) => {
                        cx.err(format!("E: Unable to locate package {name}\nE: No packages found\n"));
                        return Err(100);
                    }
                    None => {
                        cx.out(format!("{name} was already not on hold.\n"));
                    }
                    Some(old) if old == hold => {
                        cx.out(format!(
                            "{name} was already {}.\n",
                            if hold { "set on hold" } else { "not on hold" }
                        ));
                    }
                    Some(_) => {
                        cx.out(if hold {
                            format!("{name} set on hold.\n")
                        } else {
                            format!("Canceled hold on {name}.\n")
                        });
                    }
                }
            }
            Ok(0)
        }
        "showmanual" | "showauto" | "manual" | "auto" => Ok(0),
        other => Err(cx.unsupported(other)),
    }
}

fn cache(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("qno:", &["quiet", "no-all-versions"])?;
    let Some((operation, names)) = opts.rest.split_first() else {
        return Err(cx.fail(100, "E: no operation"));
    };
    for name in names {
        let (installed, found) =
            cx.host(|h, _| (h.packages.get(name).filter(|p| !p.removed).cloned(), candidates(h, name)));
        match operation.as_str() {
            "madison" => {
                for c in &found {
                    let place = match minor(&c.version) {
                        Some(m) if c.entry.is_none() => {
                            format!("https://pkgs.k8s.io/core:/stable:/v1.{m}/deb  Packages")
                        }
                        _ => "https://deb.debian.org/debian bookworm/main amd64 Packages".to_owned(),
                    };
                    cx.out(format!("{name:>10} | {:>10} | {place}\n", c.version));
                }
            }
            "policy" => {
                if installed.is_none() && found.is_empty() {
                    continue;
                }
                let none = || "(none)".to_owned();
                let have = installed.as_ref().map_or_else(none, |p| p.version.clone());
                let best = found
                    .first()
                    .map(|c| c.version.clone())
                    .or(installed.map(|p| p.version))
                    .unwrap_or_else(none);
                let mut text =
                    format!("{name}:\n  Installed: {have}\n  Candidate: {best}\n  Version table:\n");
                for c in &found {
                    let mark = if c.version == have { "***" } else { "   " };
                    text.push_str(&format!(" {mark} {} 500\n        500 (simulated)\n", c.version));
                }
                cx.out(text);
            }
            "show" => match found.first() {
                Some(c) => {
                    cx.out(format!("Package: {name}\nVersion: {}\n\n", c.version));
                }
                None => {
                    cx.err("E: No packages found\n");
                    return Err(100);
                }
            },
            other => return Err(cx.unsupported(other)),
        }
    }
    Ok(0)
}

fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.split('.').next()?.parse().ok()
}

fn gpg(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(
        cx.args,
        "o:qv",
        &[
            "dearmor",
            "yes",
            "output=",
            "batch",
            "no-tty",
            "quiet",
            "show-keys",
            "with-colons",
            "version",
            "import",
            "no-default-keyring",
            "keyring=",
            "homedir=",
        ],
    )
    .map_err(|e| cx.fail(2, e))?;
    if !opts.has(&["dearmor"]) {
        return Err(cx.unsupported("anything but --dearmor"));
    }
    let input = match opts.rest.first() {
        Some(file) => cx.read(file).map_err(|e| cx.fail(2, format!("can't open '{file}': {e}")))?,
        None => cx.stdin(),
    };
    if !String::from_utf8_lossy(&input).contains("BEGIN PGP") {
        return Err(cx.fail(2, "no valid OpenPGP data found."));
    }
    let key: &[u8] = b"\x99\x01\x0dsimulated by grappe";
    match opts.value(&["o", "output"]) {
        Some(file) => {
            let path = cx.sh.path(file);
            if cx.host(|h, _| h.files.exists(&path)) && !opts.has(&["yes"]) {
                return Err(cx.fail(2, format!("dearmoring failed: File '{file}' exists")));
            }
            cx.files_mut(|f, a| f.write(&path, key, false, a))
                .map_err(|e| cx.fail(2, format!("can't create '{file}': {e}")))?;
        }
        None => {
            cx.out(key);
        }
    }
    Ok(0)
}
