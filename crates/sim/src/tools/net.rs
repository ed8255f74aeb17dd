//! Addresses, sockets, and HTTP as a client.

use std::net::Ipv4Addr;

use super::{Cx, Status, getopt};
use crate::world::net::Refusal;

pub(super) fn dispatch(tool: &str, cx: &mut Cx<'_>) -> Option<Status> {
    Some(match tool {
        "ip" => ip(cx),
        "ss" => ss(cx),
        "curl" => curl(cx),
        "wget" => wget(cx),
        "apt-helper" => apt_helper(cx),
        "ping" => ping(cx),
        "nc" => nc(cx),
        "iptables" | "ip6tables" | "nft" => Ok(0),
        "openssl" => openssl(cx),
        _ => return None,
    })
}

fn ip(cx: &mut Cx<'_>) -> Status {
    let flags: Vec<&str> = cx.args.iter().map(String::as_str).filter(|a| a.starts_with('-')).collect();
    let words: Vec<&str> = cx.args.iter().map(String::as_str).filter(|a| !a.starts_with('-')).collect();
    let (json, one_line) = (flags.iter().any(|f| f.contains('j')), flags.iter().any(|f| f.contains('o')));
    let v6 = flags.contains(&"-6");
    let object = words.first().copied().unwrap_or_default();
    let only = words
        .iter()
        .position(|w| *w == "dev")
        .and_then(|n| words.get(n + 1))
        .copied()
        .or_else(|| words.get(2).copied().filter(|w| w.starts_with("eth") || *w == "lo"));
    let nics: Vec<(String, Ipv4Addr, u8, String)> = cx.host(|h, _| {
        let lo = ("lo".to_owned(), Ipv4Addr::LOCALHOST, 8, "00:00:00:00:00:00".to_owned());
        let cards = h.nics.iter().map(|n| (n.name.clone(), n.ip, n.prefix, n.mac.clone()));
        std::iter::once(lo).chain(cards).filter(|n| only.is_none_or(|o| o == n.0)).collect()
    });
    if !matches!(words.get(1).copied(), None | Some("show" | "list" | "ls" | "get" | "s"))
        && object != "route"
        && object != "r"
    {
        return Err(cx.unsupported(format!("`ip {}`", words.join(" "))));
    }
    match object {
        "addr" | "address" | "a" => {
            let global = words.contains(&"global");
            let shown = nics.iter().enumerate().filter(|(_, n)| !global || n.0 != "lo");
            if v6 {
                return Ok(0);
            }
            if json {
                let list: Vec<_> = shown
                    .map(|(n, (name, ip, prefix, mac))| {
                        let scope = if name == "lo" { "host" } else { "global" };
                        serde_json::json!({"ifindex": n + 1, "ifname": name, "flags": ["UP", "LOWER_UP"], "mtu": 1500, "operstate": "UP",
                            "link_type": if name == "lo" { "loopback" } else { "ether" }, "address": mac,
                            "addr_info": [{"family": "inet", "local": ip.to_string(), "prefixlen": prefix, "scope": scope, "label": name}]})
                    })
                    .collect();
                let text = serde_json::Value::from(list);
                cx.out(format!("{text}\n"));
                return Ok(0);
            }
            let mut text = String::new();
            for (n, (name, ip, prefix, mac)) in shown {
                let scope = if name == "lo" { "host" } else { "global" };
                let n = n + 1;
                text.push_str(&if one_line {
                    format!("{n}: {name}    inet {ip}/{prefix} scope {scope} {name}\\       valid_lft forever preferred_lft forever\n")
                } else {
                    format!("{n}: {name}: <UP,LOWER_UP> mtu 1500 qdisc fq_codel state UP group default qlen 1000\n    link/ether {mac} brd ff:ff:ff:ff:ff:ff\n    inet {ip}/{prefix} scope {scope} {name}\n       valid_lft forever preferred_lft forever\n")
                });
            }
            cx.out(text);
            Ok(0)
        }
        "link" | "l" => {
            let text: String = nics
                .iter()
                .enumerate()
                .map(|(n, (name, _, _, mac))| {
                    let end = if one_line { "\\" } else { "\n" };
                    format!("{}: {name}: <UP,LOWER_UP> mtu 1500 state UP{end}    link/ether {mac} brd ff:ff:ff:ff:ff:ff\n", n + 1)
                })
                .collect();
            if only.is_some() && nics.is_empty() {
                return Err({
                    cx.err(format!("Device \"{}\" does not exist.\n", only.unwrap_or_default()));
                    1
                });
            }
            cx.out(text);
            Ok(0)
        }
        "route" | "r" => route(cx, &words, json),
        "neigh" | "rule" | "netns" => Ok(0),
        _ => Err(cx.unsupported(format!("`ip {}`", words.join(" ")))),
    }
}

fn route(cx: &mut Cx<'_>, words: &[&str], json: bool) -> Status {
    let cards = cx.host(|h, _| h.nics.clone());
    let Some(first) = cards.first() else { return Ok(0) };
    let net = |n: &crate::host::Nic| ipnet::Ipv4Net::new(n.ip, n.prefix).map(|n| n.trunc()).ok();
    let gateway = net(first).and_then(|n| n.hosts().next()).unwrap_or(Ipv4Addr::UNSPECIFIED);
    if words.get(1) == Some(&"get") {
        let target: Ipv4Addr = match words.get(2).and_then(|t| t.parse().ok()) {
            Some(ip) => ip,
            None => {
                cx.err("Error: any valid prefix is expected rather than this.\n");
                return Err(1);
            }
        };
        let direct = cards.iter().find(|c| net(c).is_some_and(|n| n.contains(&target)));
        let (card, via) = match direct {
            Some(card) => (card, String::new()),
            None => (first, format!("via {gateway} ")),
        };
        if json {
            let value = serde_json::json!([{"dst": target.to_string(), "dev": card.name, "prefsrc": card.ip.to_string()}]);
            cx.out(format!("{value}\n"));
        } else {
            cx.out(format!("{target} {via}dev {} src {} uid 0\n    cache\n", card.name, card.ip));
        }
        return Ok(0);
    }
    let only_default = words.contains(&"default");
    if json {
        let mut list = vec![
            serde_json::json!({"dst": "default", "gateway": gateway.to_string(), "dev": first.name, "flags": []}),
        ];
        for card in cards.iter().filter(|_| !only_default) {
            let dst = net(card).map(|n| n.to_string()).unwrap_or_default();
            list.push(serde_json::json!({"dst": dst, "dev": card.name, "protocol": "kernel", "scope": "link", "prefsrc": card.ip.to_string(), "flags": []}));
        }
        let text = serde_json::Value::from(list);
        cx.out(format!("{text}\n"));
        return Ok(0);
    }
    let mut text =
        format!("default via {gateway} dev {} proto dhcp src {} metric 100\n", first.name, first.ip);
    for card in cards.iter().filter(|_| !only_default) {
        let dst = net(card).map(|n| n.to_string()).unwrap_or_default();
        text.push_str(&format!("{dst} dev {} proto kernel scope link src {}\n", card.name, card.ip));
    }
    cx.out(text);
    Ok(0)
}

fn ss(cx: &mut Cx<'_>) -> Status {
    let wanted: Vec<String> = cx.args.iter().filter(|a| !a.starts_with('-')).cloned().collect();
    let headless = cx.args.iter().any(|a| a.starts_with('-') && a.contains('H'));
    let mut ports: Vec<u16> = vec![22, 2379, 2380, 2381, 6443, 10248, 10250, 10257, 10259];
    ports.extend(cx.host(|h, _| {
        let haproxy = h
            .haproxy_running()
            .map(|c| c.binds().map(|(_, b)| b.port).collect::<Vec<_>>())
            .unwrap_or_default();
        haproxy.into_iter().chain(h.node.as_ref().and_then(|n| n.api_port)).collect::<Vec<_>>()
    }));
    ports.sort_unstable();
    ports.dedup();
    if !headless {
        cx.out("State  Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess\n");
    }
    for port in ports {
        if wanted.iter().any(|w| w.contains(':') && !w.ends_with(&format!(":{port}"))) {
            continue;
        }
        if let Some(who) = cx.host(|h, _| h.listener(port)) {
            cx.out(format!("LISTEN 0      4096         0.0.0.0:{port}        0.0.0.0:*    users:((\"{who}\",pid=4242,fd=7))\n"));
        }
    }
    Ok(0)
}

/// What a URL gives: status code and body.
enum Answer {
    Http(u16, String),
    Refused(Refusal),
    /// The simulated Internet has no such page.
    Unknown,
}

fn fetch(cx: &mut Cx<'_>, url: &str) -> Answer {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    // curl's alone: a file of the host itself.
    if scheme == "file" {
        return match cx.read(rest) {
            Ok(bytes) => Answer::Http(200, String::from_utf8_lossy(&bytes).into_owned()),
            Err(_) => Answer::Http(404, String::new()),
        };
    }
    let (authority, path) = match rest.split_once('/') {
        Some((a, p)) => (a, format!("/{p}")),
        None => (rest, "/".to_owned()),
    };
    let default = if scheme == "https" { 443 } else { 80 };
    let (name, port) = match authority.rsplit_once(':') {
        Some((n, p)) if p.parse::<u16>().is_ok() => (n, p.parse().unwrap_or(default)),
        _ => (authority, default),
    };
    if let Some(body) = internet(name, &path) {
        return Answer::Http(200, body);
    }
    let machine = cx.sh.machine.clone();
    let name = name.to_owned();
    cx.sh.state(|s| {
        if name.contains('.')
            && name.parse::<Ipv4Addr>().is_err()
            && s.resolve_name(&machine, &name).is_none()
        {
            return Answer::Unknown;
        }
        match s.connect(&machine, &name, port) {
            Err(refusal) => Answer::Refused(refusal),
            Ok(target) => {
                let (code, body) = crate::cluster::api_get(s, &target, &path);
                Answer::Http(code, body)
            }
        }
    })
}

/// Pages outside that scripts fetch.
fn internet(name: &str, path: &str) -> Option<String> {
    match name {
        "pkgs.k8s.io" if path.ends_with("/Release.key") => {
            super::packages::minor_of(path)?;
            Some("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nc2ltdWxhdGVkIGJ5IGdyYXBwZQ==\n-----END PGP PUBLIC KEY BLOCK-----\n".to_owned())
        }
        "dl.k8s.io" if path.starts_with("/release/stable") => {
            let minor =
                path.trim_start_matches("/release/stable").trim_start_matches('-').trim_end_matches(".txt");
            let newest = super::catalogue::newest_patch(
                minor.strip_prefix("1.").and_then(|m| m.parse().ok()).unwrap_or(36),
            )?;
            Some(format!("v{newest}"))
        }
        _ => None,
    }
}

fn curl(cx: &mut Cx<'_>) -> Status {
    let long = [
        "silent",
        "show-error",
        "fail",
        "location",
        "insecure",
        "max-time=",
        "connect-timeout=",
        "output=",
        "retry=",
        "retry-delay=",
        "write-out=",
        "header=",
        "cacert=",
        "cert=",
        "key=",
        "request=",
        "proto=",
        "tlsv1.2",
        "retry-connrefused",
        "remote-name",
        "head",
        "noproxy=",
        "retry-all-errors",
        "resolve=",
        "version",
        "compressed",
    ];
    let opts = getopt(cx.args, "sSfLkm:o:w:H:X:d:4IOE:V", &long).map_err(|e| cx.fail(2, e))?;
    if opts.has(&["V", "version"]) {
        cx.out("curl 7.88.1 (simulated)\n");
        return Ok(0);
    }
    let Some(url) = opts.rest.first().cloned() else { return Err(cx.fail(2, "no URL specified")) };
    let complain = |cx: &mut Cx<'_>, code: i32, text: String| {
        if !opts.has(&["s", "silent"]) || opts.has(&["S", "show-error"]) {
            cx.err(format!("curl: ({code}) {text}\n"));
        }
        if let Some(format) = opts.value(&["w", "write-out"]) {
            let text = crate::shell::escape::unescape(&format.replace("%{http_code}", "000"), true).0;
            cx.out(text);
        }
        code
    };
    match fetch(cx, &url) {
        Answer::Unknown => {
            let host = url.split('/').nth(2).unwrap_or(&url).to_owned();
            Err(complain(
                cx,
                6,
                format!("Could not resolve host: {host} (a simulated host reaches no Internet)"),
            ))
        }
        Answer::Refused(Refusal::UnknownName(name)) => {
            Err(complain(cx, 6, format!("Could not resolve host: {name}")))
        }
        Answer::Refused(refusal) => Err(complain(cx, 7, format!("Failed to connect: {refusal}"))),
        Answer::Http(code, body) => {
            if code >= 400 && opts.has(&["f", "fail"]) {
                return Err(complain(cx, 22, format!("The requested URL returned error: {code}")));
            }
            let name = if opts.has(&["O", "remote-name"]) {
                url.rsplit('/').next().map(str::to_owned)
            } else {
                None
            };
            match name.as_deref().or(opts.value(&["o", "output"])) {
                Some("-") | None => {
                    cx.out(&body);
                }
                Some("/dev/null") => {}
                Some(file) => {
                    let path = cx.sh.path(file);
                    if let Err(e) = cx.files_mut(|f, a| f.write(&path, body.as_bytes(), false, a)) {
                        return Err(complain(cx, 23, format!("Failure writing output to destination: {e}")));
                    }
                }
            }
            if let Some(format) = opts.value(&["w", "write-out"]) {
                let text = format.replace("%{http_code}", &code.to_string());
                cx.out(crate::shell::escape::unescape(&text, true).0);
            }
            Ok(0)
        }
    }
}

fn wget(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(
        cx.args,
        "qO:T:t:",
        &["quiet", "output-document=", "timeout=", "tries=", "no-check-certificate"],
    )
    .map_err(|e| cx.fail(2, e))?;
    let Some(url) = opts.rest.first().cloned() else { return Err(cx.fail(1, "missing URL")) };
    match fetch(cx, &url) {
        Answer::Http(code, body) if code < 400 => {
            let file = opts
                .value(&["O", "output-document"])
                .unwrap_or_else(|| url.rsplit('/').next().unwrap_or("index.html"));
            if file == "-" {
                cx.out(&body);
                return Ok(0);
            }
            let path = cx.sh.path(file);
            cx.files_mut(|f, a| f.write(&path, body.as_bytes(), false, a))
                .map_err(|e| cx.fail(3, format!("{file}: {e}")))?;
            Ok(0)
        }
        Answer::Http(code, _) => Err(cx.fail(8, format!("server returned error: HTTP/1.1 {code}"))),
        Answer::Refused(refusal) => Err(cx.fail(4, refusal)),
        Answer::Unknown => {
            Err(cx.fail(4, "unable to resolve host address (a simulated host reaches no Internet)"))
        }
    }
}

/// `apt-helper download-file URI TARGET`: apt's own way to fetch.
fn apt_helper(cx: &mut Cx<'_>) -> Status {
    let words: Vec<String> = cx.args.iter().filter(|word| !word.starts_with('-')).cloned().collect();
    let [verb, url, file] = &words[..] else {
        return Err(cx.fail(100, "Must specify at least one pair url/filename"));
    };
    if verb != "download-file" {
        return Err(cx.unsupported(verb));
    }
    match fetch(cx, url) {
        Answer::Http(code, body) if code < 400 => {
            let path = cx.sh.path(file);
            cx.files_mut(|f, a| f.write(&path, body.as_bytes(), false, a))
                .map_err(|e| cx.fail(100, format!("{file}: {e}")))?;
            cx.out(format!("Get:1 {url}\n"));
            Ok(0)
        }
        Answer::Http(code, _) => Err(cx.fail(100, format!("E: Failed to fetch {url}  {code}"))),
        Answer::Refused(refusal) => Err(cx.fail(100, format!("E: Failed to fetch {url}  {refusal}"))),
        Answer::Unknown => Err(cx.fail(
            100,
            format!("E: Failed to fetch {url}  Could not resolve (a simulated host reaches no Internet)"),
        )),
    }
}

fn ping(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(cx.args, "c:W:w:qn4i:", &[]).map_err(|e| cx.fail(2, e))?;
    let Some(name) = opts.rest.first().cloned() else {
        return Err(cx.fail(2, "usage error: Destination address required"));
    };
    let machine = cx.sh.machine.clone();
    let up = cx
        .sh
        .state(|s| s.resolve_name(&machine, &name).map(|ip| ip.is_loopback() || s.machine_at(ip).is_some()));
    match up {
        None => Err(cx.fail(2, format!("{name}: Name or service not known"))),
        Some(true) => {
            cx.out("1 packets transmitted, 1 received, 0% packet loss\n");
            Ok(0)
        }
        Some(false) => {
            cx.out("1 packets transmitted, 0 received, 100% packet loss\n");
            Ok(1)
        }
    }
}

fn nc(cx: &mut Cx<'_>) -> Status {
    let opts = getopt(cx.args, "zvw:nN", &[]).map_err(|e| cx.fail(1, e))?;
    let [name, port] = opts.rest.as_slice() else { return Err(cx.fail(1, "missing hostname and port")) };
    let Ok(port) = port.parse::<u16>() else {
        return Err(cx.fail(1, format!("port number invalid: {port}")));
    };
    let machine = cx.sh.machine.clone();
    match cx.sh.state(|s| {
        let listening = |ip: Ipv4Addr, s: &crate::world::State| {
            let target =
                if ip.is_loopback() { Some(machine.clone()) } else { s.machine_at(ip).map(str::to_owned) };
            target.and_then(|t| s.host(&t)?.listener(port)).is_some()
        };
        s.resolve_name(&machine, name).is_some_and(|ip| listening(ip, s))
    }) {
        true => Ok(0),
        false => Err(cx.fail(1, format!("connect to {name} port {port} (tcp) failed: Connection refused"))),
    }
}

/// `openssl x509 -in FILE -noout -enddate|-checkend N` and the pipe that gives a CA's hash.
fn openssl(cx: &mut Cx<'_>) -> Status {
    crate::cluster::pki::openssl(cx)
}
