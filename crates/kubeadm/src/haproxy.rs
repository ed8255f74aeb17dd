//! The load balancer in front of the API servers: a typed model and the `haproxy.cfg` it becomes.
//!
//! The settings are those that survive Kubernetes' long connections (`logs -f`, `exec`, watches):
//! - `timeout client/server 35s` is above kubeadm's own longest call; an established connection then falls under
//!   `timeout tunnel 24h`, which in TCP mode replaces both once data flows;
//! - the check asks `/readyz` over TLS, so that an API server that listens but is not ready gets no traffic;
//! - `on-marked-down shutdown-sessions` makes clients of a dead API server reconnect instead of hanging.
//!
//! The same model gives the stable text that is compared with the file on the host: the same input always renders
//! the same bytes. `http-check connect` needs HAProxy 2.2 or later.
//! Source: HAProxy's configuration manual, sections 3.1, 4.2 and 5.2.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

/// One balanced TCP endpoint: a frontend that binds, and the servers behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Names the frontend and the backend; letters, digits, `_ . : -`.
    pub name: String,
    /// Addresses to listen on, as HAProxy writes them: `*:6443`, `127.0.0.1:5443`, `[::]:6443`.
    pub bind: Vec<String>,
    /// The servers, in the order given. None is valid: connections are then refused, and the file can be there
    /// before the first control plane is.
    pub backends: Vec<Backend>,
    /// How a server shows that it can be used.
    pub check: Check,
    /// How connections are spread.
    pub balance: Balance,
    /// Connections the process accepts at once (`global` `maxconn`).
    pub max_connections: u32,
    /// Path of a runtime API socket (`/run/haproxy/admin.sock`), if one is wanted.
    pub stats_socket: Option<String>,
}

/// One server of a [`Proxy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Names the server in logs and in the runtime API; letters, digits, `_ . : -`; unique in its proxy.
    pub name: String,
    /// An IP address (IPv6 with or without brackets) or a name. A name is resolved once, when HAProxy starts or
    /// reloads; one that does not resolve then leaves only its own server out.
    pub address: String,
    /// TCP port.
    pub port: u16,
}

/// The health check of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// `GET path` over TLS answers 200. The certificate is not verified: HAProxy holds no CA of a cluster that
    /// may not exist yet, and the check carries nothing secret.
    Https {
        /// Usually `/readyz`.
        path: String,
    },
    /// The port accepts a connection: for API servers that refuse anonymous requests.
    Tcp,
}

/// How connections are spread over the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// To the server with the fewest connections: right for the API's long ones.
    #[default]
    LeastConn,
    /// In turn.
    RoundRobin,
    /// By the client's address.
    Source,
    /// The first server with room; the others are spares.
    First,
}

/// Why a [`Proxy`] cannot become a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name has a character that HAProxy refuses.
    #[error("{what} {name:?} is not a name HAProxy accepts: use letters, digits, `_`, `.`, `:` and `-`")]
    Name {
        /// `proxy name` or `backend name`.
        what: &'static str,
        /// The name given.
        name: String,
    },
    /// Two servers share a name.
    #[error("two backends are named {0:?}: give each its own name")]
    Duplicate(String),
    /// Nothing to listen on.
    #[error("the proxy {0:?} binds no address: give at least one, such as `*:6443`")]
    NoBind(String),
    /// An address or path that would break the line it stands on.
    #[error("{what} {value:?} must be one word: no spaces, quotes, `#` or control characters")]
    Word {
        /// Which field.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// `bind` without a port.
    #[error("bind address {0:?} has no port: write `address:port`, such as `*:6443` or `127.0.0.1:5443`")]
    BindPort(String),
    /// Port 0 reaches nothing.
    #[error("the backend {0:?} has port 0: the API server listens on 6443 unless told otherwise")]
    Port(String),
}

impl Proxy {
    /// An API load balancer with the settings above and no server yet.
    pub fn new(name: impl Into<String>, bind: Vec<String>) -> Self {
        Self {
            name: name.into(),
            bind,
            backends: Vec::new(),
            check: Check::Https { path: "/readyz".into() },
            balance: Balance::default(),
            max_connections: 4096,
            stats_socket: None,
        }
    }

    /// Whether [`render`] gives a file that HAProxy will load.
    ///
    /// # Errors
    /// The first field that would not.
    pub fn validate(&self) -> Result<(), Error> {
        name("proxy name", &self.name)?;
        if self.bind.is_empty() {
            return Err(Error::NoBind(self.name.clone()));
        }
        for bind in &self.bind {
            word("bind address", bind)?;
            let port = bind.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(1..))) {
                return Err(Error::BindPort(bind.clone()));
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        for backend in &self.backends {
            name("backend name", &backend.name)?;
            word("backend address", &backend.address)?;
            if backend.port == 0 {
                return Err(Error::Port(backend.name.clone()));
            }
            if !seen.insert(&backend.name) {
                return Err(Error::Duplicate(backend.name.clone()));
            }
        }
        if let Check::Https { path } = &self.check {
            word("check path", path)?;
        }
        self.stats_socket.as_deref().map_or(Ok(()), |path| word("stats socket", path))
    }
}

impl Backend {
    /// The address as a `server` line wants it: IPv6 in brackets, so that the port is not taken for its tail.
    fn endpoint(&self) -> String {
        match self.bare().parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{}:{}", self.address, self.port),
        }
    }

    fn bare(&self) -> &str {
        self.address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&self.address)
    }

    fn is_name(&self) -> bool {
        self.bare().parse::<IpAddr>().is_err()
    }
}

impl Balance {
    /// The keyword of `balance`.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::LeastConn => "leastconn",
            Self::RoundRobin => "roundrobin",
            Self::Source => "source",
            Self::First => "first",
        }
    }
}

/// The whole `haproxy.cfg` of one proxy, ending in a newline. Call [`Proxy::validate`] first: a model that fails it
/// renders to a file that HAProxy refuses.
pub fn render(proxy: &Proxy) -> String {
    let mut out = String::new();
    write(&mut out, proxy).expect("writing to a String cannot fail");
    out
}

fn write(out: &mut String, proxy: &Proxy) -> std::fmt::Result {
    let Proxy { name, bind, backends, .. } = proxy;
    writeln!(out, "# Written by grappe: changes made here are undone by the next apply.")?;
    writeln!(out, "global")?;
    writeln!(out, "    log stdout format raw daemon notice")?;
    writeln!(out, "    user haproxy")?;
    writeln!(out, "    group haproxy")?;
    writeln!(out, "    maxconn {}", proxy.max_connections)?;
    if let Some(path) = &proxy.stats_socket {
        writeln!(out, "    stats socket {path} mode 600 level admin")?;
    }
    writeln!(out, "\ndefaults")?;
    writeln!(out, "    log global")?;
    writeln!(out, "    mode tcp")?;
    writeln!(out, "    option tcpka")?;
    writeln!(out, "    option redispatch")?;
    writeln!(out, "    timeout connect 5s")?;
    writeln!(out, "    timeout client 35s")?;
    writeln!(out, "    timeout server 35s")?;
    writeln!(out, "    timeout tunnel 24h")?;
    writeln!(out, "    timeout check 5s")?;
    writeln!(out, "\nfrontend {name}")?;
    for address in bind {
        writeln!(out, "    bind {address}")?;
    }
    writeln!(out, "    default_backend {name}")?;
    writeln!(out, "\nbackend {name}")?;
    writeln!(out, "    balance {}", proxy.balance.keyword())?;
    if let Check::Https { path } = &proxy.check {
        writeln!(out, "    option httpchk")?;
        writeln!(out, "    http-check connect ssl")?;
        writeln!(out, "    http-check send meth GET uri {path}")?;
        writeln!(out, "    http-check expect status 200")?;
    }
    // A name that does not resolve must not keep the other servers from being served.
    let init_addr = if backends.iter().any(Backend::is_name) { " init-addr last,libc,none" } else { "" };
    let verify = if matches!(proxy.check, Check::Https { .. }) { " verify none" } else { "" };
    writeln!(
        out,
        "    default-server check{verify} inter 5s fastinter 1s downinter 2s fall 2 rise 2 \
         on-marked-down shutdown-sessions{init_addr}"
    )?;
    for backend in backends {
        writeln!(out, "    server {} {}", backend.name, backend.endpoint())?;
    }
    Ok(())
}

/// The servers of a proxy that take no connections, and why: out of what the runtime API answers to `show stat`, which is
/// CSV under a heading. A server without a check has nothing to say. Source: HAProxy's management guide, section 9.1.
pub fn down(stat: &str, proxy: &str) -> BTreeMap<String, String> {
    let mut lines = stat.lines().skip_while(|line| !line.starts_with("# "));
    let columns: Vec<&str> = lines.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
    let column = |row: &[String], name: &str| -> String {
        let at = columns.iter().position(|column| *column == name);
        at.and_then(|at| row.get(at)).cloned().unwrap_or_default()
    };
    let mut down = BTreeMap::new();
    for line in lines {
        let row = fields(line);
        let (of, server, status) = (column(&row, "pxname"), column(&row, "svname"), column(&row, "status"));
        let counts = of == proxy && !matches!(server.as_str(), "FRONTEND" | "BACKEND");
        if counts && !(status.is_empty() || status.starts_with("UP") || status == "no check") {
            let why = [column(&row, "check_desc"), column(&row, "last_chk")]
                .into_iter()
                .find(|why| !why.is_empty());
            down.insert(server, why.map_or(status.clone(), |why| format!("{status}: {why}")));
        }
    }
    down
}

/// The fields of a line of CSV, where quotes may hold commas.
fn fields(line: &str) -> Vec<String> {
    let (mut all, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(String::new()),
            c => all.last_mut().expect("there is always one").push(c),
        }
    }
    all
}

impl Proxy {
    /// The bind and the server of a proxy on the machine `host` that want the same port of it: the machine is behind the
    /// proxy itself, and its API server could then not listen.
    pub fn clash(&self, host: &str) -> Option<(&str, &Backend)> {
        let bare = |address: &str| address.trim_matches(['[', ']']).to_owned();
        self.bind.iter().find_map(|bind| {
            let (address, port) = bind.rsplit_once(':')?;
            let port: u16 = port.parse().ok()?;
            // An API server listens on all addresses, so that one of the machine's, and loop-back, are taken too.
            let here = matches!(address, "" | "*" | "0.0.0.0" | "::" | "[::]")
                || bare(address) == bare(host)
                || bare(address).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
            let own = |server: &&Backend| server.port == port && bare(&server.address) == bare(host);
            here.then(|| self.backends.iter().find(own)).flatten().map(|server| (bind.as_str(), server))
        })
    }
}

fn name(what: &'static str, name: &str) -> Result<(), Error> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    if name.is_empty() || !name.chars().all(legal) {
        return Err(Error::Name { what, name: name.into() });
    }
    Ok(())
}

fn word(what: &'static str, value: &str) -> Result<(), Error> {
    let breaks = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '#' | '"' | '\'' | '\\' | '$');
    if value.is_empty() || value.chars().any(breaks) {
        return Err(Error::Word { what, value: value.into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str, address: &str) -> Backend {
        Backend { name: name.into(), address: address.into(), port: 6443 }
    }

    fn api() -> Proxy {
        let mut proxy = Proxy::new("api", vec!["*:6443".into()]);
        proxy.backends = vec![backend("cp1", "10.0.0.1"), backend("cp2", "10.0.0.2")];
        proxy
    }

    #[test]
    fn the_api_proxy_is_written_whole() {
        insta::assert_snapshot!(render(&api()));
    }

    #[test]
    fn ipv6_goes_in_brackets_whether_or_not_given_so() {
        assert_eq!(backend("a", "fd00::1").endpoint(), "[fd00::1]:6443");
        assert_eq!(backend("a", "[fd00::1]").endpoint(), "[fd00::1]:6443");
        assert_eq!(backend("a", "cp1.lan").endpoint(), "cp1.lan:6443");
    }

    #[test]
    fn only_names_may_stay_unresolved() {
        assert!(!render(&api()).contains("init-addr"));
        let mut proxy = api();
        proxy.backends.push(backend("cp3", "cp3.lan"));
        assert!(render(&proxy).contains("init-addr last,libc,none"));
    }

    #[test]
    fn servers_that_are_down_say_why() {
        // As HAProxy 2.6 answers, with most of its columns cut out.
        let stat = "# pxname,svname,status,check_status,check_desc,last_chk,\n\
                    api,FRONTEND,OPEN,,,,\n\
                    api,cp1,UP,L7OK,Layer7 check passed,,\n\
                    api,cp2,DOWN,L4CON,Layer4 connection problem,Connection refused,\n\
                    api,cp3,DOWN 1/2,L7STS,\"Layer7 wrong status, of all\",,\n\
                    api,cp4,UP 1/2,L4CON,,,\n\
                    api,cp5,MAINT,,,,\n\
                    api,BACKEND,UP,,,,\n\
                    other,x,DOWN,,,,\n";
        let down = down(stat, "api");
        assert_eq!(down.keys().collect::<Vec<_>>(), ["cp2", "cp3", "cp5"]);
        assert_eq!(down["cp2"], "DOWN: Layer4 connection problem");
        assert_eq!(down["cp3"], "DOWN 1/2: Layer7 wrong status, of all");
        assert_eq!(down["cp5"], "MAINT");
        assert!(super::down("", "api").is_empty());
    }

    #[test]
    fn a_proxy_leaves_its_machines_own_port_alone() {
        let clash = |bind: &str, host: &str| {
            let mut proxy = api();
            proxy.bind = vec![bind.into()];
            proxy.clash(host).map(|(_, server)| server.name.clone())
        };
        assert_eq!(clash("*:6443", "10.0.0.2").as_deref(), Some("cp2"));
        assert_eq!(clash("127.0.0.1:6443", "10.0.0.2").as_deref(), Some("cp2"));
        assert_eq!(clash("10.0.0.2:6443", "10.0.0.2").as_deref(), Some("cp2"));
        assert_eq!(clash("127.0.0.1:7443", "10.0.0.2"), None);
        assert_eq!(clash("*:6443", "10.0.0.9"), None, "a machine of its own");
        // A virtual address of the machine is not the API server's, yet the kernel gives the port to one alone.
        assert_eq!(clash("10.0.0.100:6443", "10.0.0.2"), None);
    }

    #[test]
    fn what_would_break_the_file_is_refused() {
        assert_eq!(api().validate(), Ok(()));
        let with = |change: fn(&mut Proxy)| {
            let mut proxy = api();
            change(&mut proxy);
            proxy.validate().expect_err("must be refused")
        };
        assert!(matches!(with(|p| p.name = "my api".into()), Error::Name { .. }));
        assert!(matches!(with(|p| p.bind.clear()), Error::NoBind(_)));
        assert!(matches!(with(|p| p.bind = vec!["10.0.0.9".into()]), Error::BindPort(_)));
        assert!(matches!(with(|p| p.bind = vec!["*:0".into()]), Error::BindPort(_)));
        assert!(matches!(with(|p| p.backends[1].name = "cp1".into()), Error::Duplicate(_)));
        assert!(matches!(with(|p| p.backends[0].port = 0), Error::Port(_)));
        assert!(matches!(with(|p| p.backends[0].address = "a\nserver x".into()), Error::Word { .. }));
    }
}
