//! HAProxy's configuration, read as HAProxy 2.6 (Debian 12's) reads it: the same refusals in the same words for what a generator or a
//! hand gets wrong, and the frontends and servers that traffic then goes through. Keywords are those that `haproxy -dKcfg` lists.

mod keywords;

use keywords::{GLOBAL, OPTIONS, PROXY, SECTIONS, SERVER_FLAGS, SERVER_VALUES, TIMEOUTS};

/// A listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Address, empty for all.
    pub address: String,
    /// Port.
    pub port: u16,
}

/// A server of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Name.
    pub name: String,
    /// Address or host name.
    pub address: String,
    /// Port; without one the frontend's is used.
    pub port: Option<u16>,
    /// Marked `backup`.
    pub backup: bool,
    /// Marked `disabled`.
    pub disabled: bool,
}

/// A frontend, backend or listen section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// `frontend`, `backend` or `listen`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Listening sockets.
    pub binds: Vec<Bind>,
    /// Servers.
    pub servers: Vec<Server>,
    /// `default_backend`.
    pub default_backend: Option<String>,
    timeouts: Vec<String>,
    line: usize,
}

/// A configuration that HAProxy would run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Its proxies.
    pub proxies: Vec<Proxy>,
}

/// What `haproxy -c` found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Lines starting with `[ALERT]`, without the tag: any one is fatal.
    pub alerts: Vec<String>,
    /// Lines starting with `[WARNING]`, without the tag.
    pub warnings: Vec<String>,
    /// What was understood.
    pub config: Config,
}

impl Proxy {
    /// Line of the section's head.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl Config {
    /// The servers behind a frontend or listen section.
    pub fn servers_of<'a>(&'a self, front: &'a Proxy) -> &'a [Server] {
        match &front.default_backend {
            Some(name) => self
                .proxies
                .iter()
                .find(|p| p.name == *name && p.kind != "frontend")
                .map_or(&[], |p| p.servers.as_slice()),
            None => &front.servers,
        }
    }

    /// All sockets.
    pub fn binds(&self) -> impl Iterator<Item = (&Proxy, &Bind)> {
        self.proxies.iter().flat_map(|p| p.binds.iter().map(move |b| (p, b)))
    }
}

/// Words of a line as HAProxy splits them: quotes, backslash and `#`.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut started = false;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => (quote, started) = (Some(c), true),
            (None | Some('"'), '\\') => {
                word.extend(chars.next());
                started = true;
            }
            (None, '#') => break,
            (None, c) if c.is_whitespace() => {
                if std::mem::take(&mut started) {
                    words.push(std::mem::take(&mut word));
                }
            }
            (_, c) => {
                word.push(c);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    words
}

/// Splits `address:port`, the port after the last colon.
fn address(text: &str) -> (String, Option<&str>) {
    let text = ["ipv4@", "ipv6@", "udp@", "tcp@"].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host.trim_start_matches('*').to_owned(), Some(port)),
        _ => (text.to_owned(), None),
    }
}

fn duration(text: &str) -> Result<(), char> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    match rest {
        "" | "us" | "ms" | "s" | "m" | "h" | "d" if text.len() > rest.len() => Ok(()),
        _ => Err(rest.chars().next().unwrap_or('\0')),
    }
}

/// Reads a configuration. `resolves` tells whether a host name has an address.
pub fn check(file: &str, text: &str, resolves: impl Fn(&str) -> bool) -> Report {
    let mut report = Report::default();
    let mut section = "";
    let mut defaults: Vec<String> = Vec::new();
    if let Some(last) = text.lines().last().filter(|l| !l.trim().is_empty() && !text.ends_with('\n')) {
        let (line, column) = (text.lines().count(), last.len() + 1);
        report.alerts.push(format!(
            "config : parsing [{file}:{line}]: Missing LF on last line, file might have been truncated at position {column}."
        ));
    }
    for (n, line) in text.lines().enumerate() {
        let at = format!("[{file}:{}]", n + 1);
        let words = words(line);
        let Some(first) = words.first().map(String::as_str) else { continue };
        if let Some(name) = SECTIONS.iter().find(|s| **s == first) {
            section = name;
            open_section(&mut report, &words, &at, n + 1, &mut defaults, section);
            continue;
        }
        match section {
            "" => report
                .alerts
                .push(format!("config : parsing {at}: unknown keyword '{first}' out of section.")),
            "global"
                if !GLOBAL.contains(&first) && !first.starts_with("tune.") && !first.starts_with("ssl-") =>
            {
                report
                    .alerts
                    .push(format!("config : parsing {at} : unknown keyword '{first}' in 'global' section"))
            }
            "defaults" | "frontend" | "backend" | "listen" => {
                proxy_line(&mut report, section, &words, &at, &mut defaults, &resolves);
            }
            _ => {} // what these sections hold does not change where traffic goes
        }
    }
    if report.alerts.is_empty() {
        cross_check(&mut report);
    } else {
        report.alerts.push(format!("config : Error(s) found in configuration file : {file}"));
    }
    if !report.alerts.is_empty() {
        report.alerts.push("config : Fatal errors found in configuration.".to_owned());
    }
    report
}

fn open_section(
    report: &mut Report,
    words: &[String],
    at: &str,
    line: usize,
    defaults: &mut Vec<String>,
    section: &str,
) {
    if section == "defaults" {
        defaults.clear();
    }
    if !["frontend", "backend", "listen"].contains(&section) {
        return;
    }
    let Some(name) = words.get(1) else {
        report.alerts.push(format!("config : parsing {at} : '{section}' expects an <id> argument"));
        return;
    };
    if words.len() > 2 && words[2] != "from" {
        report
            .alerts
            .push(format!("config : parsing {at} : please use the 'bind' keyword for listening addresses."));
    }
    let side = |kind: &str, other: &str| kind == other || kind == "listen" || other == "listen";
    if let Some(twin) = report.config.proxies.iter().find(|p| p.name == *name && side(&p.kind, section)) {
        let place = at.trim_matches(['[', ']']).rsplit_once(':').map_or("", |(f, _)| f);
        let text = format!(
            "config : Parsing {at}: {section} '{name}' has the same name as {} '{}' declared at {place}:{}.",
            twin.kind, twin.name, twin.line
        );
        report.alerts.push(text);
    }
    report.config.proxies.push(Proxy {
        kind: section.to_owned(),
        name: name.clone(),
        timeouts: defaults.clone(),
        line,
        ..Proxy::default()
    });
}

fn proxy_line(
    report: &mut Report,
    section: &str,
    words: &[String],
    at: &str,
    defaults: &mut Vec<String>,
    resolves: &impl Fn(&str) -> bool,
) {
    let mut alert = |text: String| report.alerts.push(format!("config : {text}"));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let argument = words.get(1).copied();
    if !PROXY.contains(&words[0]) {
        return alert(format!("parsing {at} : unknown keyword '{}' in '{section}' section", words[0]));
    }
    match (words[0], argument) {
        ("mode", Some("tcp" | "http" | "log" | "health")) => {}
        ("mode", other) => {
            alert(format!("parsing {at} : unknown proxy mode '{}'.", other.unwrap_or_default()))
        }
        ("option", Some(name)) if OPTIONS.contains(&name) => {}
        ("option", None) => alert(format!("parsing {at} : 'option' expects an option name.")),
        ("option", Some(name)) => alert(format!("parsing {at} : unknown option '{name}'.")),
        ("timeout", Some(name)) if TIMEOUTS.contains(&name) => match words.get(2).map(|v| duration(v)) {
            Some(Ok(())) => match report.config.proxies.last_mut() {
                Some(proxy) if section != "defaults" => proxy.timeouts.push(name.to_owned()),
                _ => defaults.push(name.to_owned()),
            },
            Some(Err(c)) => alert(format!("parsing {at} : unexpected character '{c}' in 'timeout {name}'")),
            None => {
                alert(format!("parsing {at} : 'timeout {name}' expects an integer value (in milliseconds)"))
            }
        },
        ("timeout", _) => alert(format!(
            "parsing {at} : 'timeout' supports 'client', 'server', 'connect', 'check', 'queue', 'http-keep-alive', 'http-request', 'tunnel', 'tarpit', 'client-fin' and 'server-fin' (got '{}')",
            argument.unwrap_or_default()
        )),
        ("balance", Some(how)) => {
            let plain =
                ["roundrobin", "static-rr", "first", "leastconn", "source", "uri", "url_param", "rdp-cookie"];
            let with = ["hdr(", "rdp-cookie(", "random", "hash"];
            if !plain.contains(&how) && !with.iter().any(|p| how.starts_with(p)) {
                alert(format!(
                    "parsing {at} : balance only supports 'roundrobin', 'static-rr', 'leastconn', 'source', 'uri', 'url_param', 'hdr(name)' and 'rdp-cookie(name)' options."
                ));
            }
        }
        ("log", None) => {
            alert(format!("parsing {at} : log : expects <address> and <facility> or global as arguments"));
        }
        ("log", Some(target)) if target != "global" && words.len() < 3 => {
            alert(format!("parsing {at} : log : expects <address> and <facility> or global as arguments"));
        }
        ("default_backend", None) => {
            alert(format!("parsing {at} : 'default_backend' expects a backend name."))
        }
        ("default_backend", Some(name)) => {
            if let Some(proxy) = report.config.proxies.last_mut().filter(|_| section != "defaults") {
                proxy.default_backend = Some(name.to_owned());
            }
        }
        ("bind", _) => bind_line(report, section, argument, at),
        ("server", _) => server_line(report, section, &words, at, resolves),
        ("default-server", _) => {
            if let Err(text) = server_options(&words[1..]) {
                alert(format!("{at} : 'default-server' : {text}"));
            }
        }
        _ => {}
    }
}

fn bind_line(report: &mut Report, section: &str, argument: Option<&str>, at: &str) {
    let alert = match (section, argument) {
        ("defaults" | "backend", _) => format!("'bind' not allowed in '{section}' section."),
        (_, None) => {
            "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments.".to_owned()
        }
        (_, Some(sockets)) => {
            for socket in sockets.split(',').filter(|s| !s.starts_with('/') && !s.starts_with("unix@")) {
                let (host, port) = address(socket);
                match port.map(|p| p.parse::<u16>()) {
                    Some(Ok(port)) if port > 0 => {
                        let Some(proxy) = report.config.proxies.last_mut() else { continue };
                        proxy.binds.push(Bind { address: host, port });
                    }
                    None => {
                        let text = format!("'bind' : missing port specification in '{socket}'");
                        report.alerts.push(format!("config : parsing {at} : {text}"));
                    }
                    Some(_) => {
                        let text = format!(
                            "'bind' : invalid port '{}' specified for address '{socket}'.",
                            port.unwrap_or_default()
                        );
                        report.alerts.push(format!("config : parsing {at} : {text}"));
                    }
                }
            }
            return;
        }
    };
    report.alerts.push(format!("config : parsing {at} : {alert}"));
}

fn server_options(words: &[&str]) -> Result<(), String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if SERVER_VALUES.contains(word) {
            if words.next().is_none() {
                return Err(format!("'{word}' expects an argument."));
            }
        } else if !SERVER_FLAGS.contains(word) {
            return Err(format!("unknown keyword '{word}'."));
        }
    }
    Ok(())
}

fn server_line(
    report: &mut Report,
    section: &str,
    words: &[&str],
    at: &str,
    resolves: &impl Fn(&str) -> bool,
) {
    if matches!(section, "defaults" | "frontend") {
        report.alerts.push(format!("config : parsing {at} : 'server' not allowed in '{section}' section."));
        return;
    }
    let Some(proxy) = report.config.proxies.last_mut() else { return };
    let (Some(name), Some(target)) = (words.get(1), words.get(2)) else {
        report
            .alerts
            .push(format!("config : {at} : 'server' expects <name> and <addr>[:<port>] as arguments."));
        return;
    };
    let label = format!("'server {}/{name}'", proxy.name);
    let (host, port) = address(target);
    let port = match port.map(str::parse::<u16>) {
        Some(Err(_)) => {
            report.alerts.push(format!("config : {at} : {label} : invalid port in '{target}'"));
            return;
        }
        Some(Ok(port)) => Some(port),
        None => None,
    };
    if let Err(text) = server_options(&words[3..]) {
        report.alerts.push(format!("config : {at} : {label} : {text}"));
        return;
    }
    let lazy = words.windows(2).any(|w| w[0] == "init-addr" && w[1].contains("none"))
        || words.contains(&"resolvers");
    if !lazy && host.parse::<std::net::IpAddr>().is_err() && !resolves(&host) {
        report.alerts.push(format!("config : {at} : {label} : could not resolve address '{host}'."));
        report.alerts.push("config : Failed to initialize server(s) addr.".to_owned());
        return;
    }
    proxy.servers.push(Server {
        name: (*name).to_owned(),
        address: host,
        port,
        backup: words.contains(&"backup"),
        disabled: words.contains(&"disabled"),
    });
}

fn cross_check(report: &mut Report) {
    for proxy in &report.config.proxies {
        if proxy.kind != "backend" && proxy.binds.is_empty() {
            report.warnings.push(format!(
                "config : {} '{}' has no 'bind' directive. Please declare it as a backend if this was intended.",
                proxy.kind, proxy.name
            ));
        }
        if let Some(wanted) = &proxy.default_backend
            && !report.config.proxies.iter().any(|p| p.name == *wanted && p.kind != "frontend")
        {
            report.alerts.push(format!(
                "config : Proxy '{}': unable to find required default_backend: '{wanted}'.",
                proxy.name
            ));
        }
        let needs: &[&str] = match proxy.kind.as_str() {
            "frontend" => &["client"],
            "backend" => &["connect", "server"],
            _ => &["client", "connect", "server"],
        };
        if needs.iter().any(|t| !proxy.timeouts.iter().any(|have| have == t)) {
            report.warnings.push(format!(
                "config : missing timeouts for {} '{}'.\n   | While not properly invalid, you will certainly encounter various problems\n   | with such a configuration. To fix this, please ensure that all following\n   | timeouts are set to a non-zero value: 'client', 'connect', 'server'.",
                proxy.kind, proxy.name
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alerts(text: &str) -> Vec<String> {
        check("c.cfg", text, |name| name == "known").alerts
    }

    const GOOD: &str = "global\n maxconn 10\ndefaults\n mode tcp\n timeout client 3s\n timeout connect 3s\n timeout server 35s\nfrontend api\n bind *:6443\n default_backend cps\nbackend cps\n option httpchk\n http-check expect status 200\n default-server check verify none inter 5s fall 2 rise 2 on-marked-down shutdown-sessions\n server cp1 10.0.0.1:6443\n server cp2 known:6443 backup\n";

    #[test]
    fn a_good_file_gives_its_sockets_and_servers() {
        let report = check("c.cfg", GOOD, |name| name == "known");
        assert!(report.alerts.is_empty() && report.warnings.is_empty(), "{report:?}");
        let (front, bind) = report.config.binds().next().unwrap();
        assert_eq!(*bind, Bind { address: String::new(), port: 6443 });
        assert_eq!(report.config.servers_of(front).len(), 2);
        assert!(report.config.servers_of(front)[1].backup);
    }

    #[test]
    fn refusals_are_in_haproxys_words() {
        for (text, expected) in [
            ("hello\n", "parsing [c.cfg:1]: unknown keyword 'hello' out of section."),
            ("global\n foo bar\n", "parsing [c.cfg:2] : unknown keyword 'foo' in 'global' section"),
            ("frontend a\n bind foo\n", "parsing [c.cfg:2] : 'bind' : missing port specification in 'foo'"),
            (
                "backend b\n server x\n",
                "[c.cfg:2] : 'server' expects <name> and <addr>[:<port>] as arguments.",
            ),
            ("backend b\n server y 1.2.3.4:5 frob\n", "[c.cfg:2] : 'server b/y' : unknown keyword 'frob'."),
            ("backend b\n option foo\n", "parsing [c.cfg:2] : unknown option 'foo'."),
            (
                "frontend a\n bind *:80\n default_backend zz\n",
                "Proxy 'a': unable to find required default_backend: 'zz'.",
            ),
            (
                "defaults\n timeout server 3x\n",
                "parsing [c.cfg:2] : unexpected character 'x' in 'timeout server'",
            ),
            (
                "backend b\n mode tcp",
                "parsing [c.cfg:2]: Missing LF on last line, file might have been truncated at position 10.",
            ),
            (
                "backend b\nbackend b\n",
                "Parsing [c.cfg:2]: backend 'b' has the same name as backend 'b' declared at c.cfg:1.",
            ),
        ] {
            assert_eq!(
                alerts(text).first().map(String::as_str),
                Some(format!("config : {expected}").as_str()),
                "{text}"
            );
        }
    }
}
