//! The type `haproxy_proxy`.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_kubeadm::haproxy::{self, Backend, Balance, Check, Proxy};
use grappe_provider::{Change, Context, Fault, Importable, Limit, Problem, Resource};
use grappe_provider_host::service_file::{ServiceFile, Then};
use grappe_provider_host::{Connection, Hosts, Session, package};
use grappe_ssh::quote;
use grappe_value::{Attribute, ObjectType, Schema, Type, Value, json};
use serde::{Deserialize, Serialize};

/// The service runs by the file that is there, and starts at boot.
const RUNNING: &str = "running";

/// The resource type `haproxy_proxy`.
pub struct HaproxyProxy;

/// The arguments of a `haproxy_proxy`.
#[derive(Deserialize)]
pub struct Args {
    host: Connection,
    #[serde(flatten)]
    settings: Settings,
}

/// What decides the file, where it is, and who reads it.
#[derive(Deserialize)]
struct Settings {
    name: String,
    bind: Vec<String>,
    #[serde(default)]
    backends: Vec<Server>,
    check: String,
    check_path: String,
    balance: String,
    max_connections: u32,
    stats_socket: Option<String>,
    config_file: String,
    service: String,
    #[serde(default = "yes")]
    package: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Server {
    name: String,
    address: String,
    #[serde(default = "api_port")]
    port: u16,
}

fn api_port() -> u16 {
    6443
}

/// What is kept of a `haproxy_proxy`.
#[derive(Serialize, Deserialize)]
pub struct State {
    #[serde(skip_serializing)]
    host: Connection,
    #[serde(skip_serializing)]
    config_file: String,
    #[serde(skip_serializing)]
    service: String,
    #[serde(skip_serializing)]
    name: String,
    #[serde(skip_serializing)]
    stats_socket: Option<String>,
    config: String,
    status: String,
    endpoint: String,
    #[serde(default)]
    down: BTreeMap<String, String>,
}

impl Settings {
    /// The model, or the argument to blame and why.
    fn model(&self) -> Result<Proxy, (&'static str, String)> {
        let check = match self.check.as_str() {
            "https" => Check::Https { path: self.check_path.clone() },
            "tcp" => Check::Tcp,
            other => return Err(("check", format!("{other:?} is not a check: use \"https\" or \"tcp\""))),
        };
        let balances = [Balance::LeastConn, Balance::RoundRobin, Balance::Source, Balance::First];
        let balance =
            balances.into_iter().find(|balance| balance.keyword() == self.balance).ok_or_else(|| {
                let known = balances.map(Balance::keyword).join(", ");
                ("balance", format!("{:?} is not a way to balance: use one of {known}", self.balance))
            })?;
        let servers = self.backends.iter().map(|server| Backend {
            name: server.name.clone(),
            address: server.address.clone(),
            port: server.port,
        });
        let proxy = Proxy {
            backends: servers.collect(),
            check,
            balance,
            max_connections: self.max_connections,
            stats_socket: Some(socket(self.stats_socket.as_deref(), &self.name)),
            ..Proxy::new(&self.name, self.bind.clone())
        };
        proxy.validate().map_err(|error| {
            use haproxy::Error;
            let attribute = match &error {
                Error::Name { what: "proxy name", .. } => "name",
                Error::NoBind(_) | Error::BindPort(_) | Error::Word { what: "bind address", .. } => "bind",
                Error::Word { what: "check path", .. } => "check_path",
                Error::Word { what: "stats socket", .. } => "stats_socket",
                _ => "backends",
            };
            (attribute, error.to_string())
        })?;
        Ok(proxy)
    }
}

/// The runtime API's socket: the one given, or one of the proxy's own.
fn socket(given: Option<&str>, name: &str) -> String {
    given.map_or_else(|| format!("/run/haproxy-{name}.sock"), str::to_owned)
}

/// Why a proxy cannot run on a machine, if it cannot.
fn refused(model: &Proxy, host: &str) -> Option<String> {
    let (bind, server) = model.clash(host)?;
    Some(format!(
        "{bind:?} would take port {} of {host}, which is {}'s: its API server could not listen. On a machine that is behind the \
         proxy, bind another port, such as \"127.0.0.1:7443\"",
        server.port, server.name
    ))
}

/// Where clients reach a proxy that binds `bind`, seen from outside the host.
fn endpoint(bind: &str, host_address: &str) -> String {
    let Some((address, port)) = bind.rsplit_once(':') else { return String::new() };
    let address = match address {
        "" | "*" | "0.0.0.0" | "::" | "[::]" => host_address,
        own => own,
    };
    if address.contains(':') && !address.starts_with('[') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

impl Resource for HaproxyProxy {
    type Client = Hosts;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "haproxy_proxy"
    }

    fn schema(&self) -> Schema {
        Schema::new(
            "HAProxy on a host, in front of the API servers of a cluster. It owns the configuration file and the service; the \
             package is installed where it is missing. A change of the servers behind it keeps open connections.",
        )
        .attr("host", Connection::attribute().home())
        .attr("name", Attribute::optional(Type::String, "The name of the frontend and of the backend.").default("api"))
        .attr(
            "bind",
            Attribute::optional(Type::list(Type::String), "Where it listens: `*:6443`, `127.0.0.1:7443`, `[::]:6443`.")
                .default(Value::list(Type::String, [Value::from("*:6443")])),
        )
        .attr(
            "backends",
            Attribute::optional(
                Type::list(server_type()),
                "The servers: objects with `name`, `address` and, unless it is 6443, `port`. None is fine: it refuses connections \
                 until there is one. One that is no longer among them is taken out before it goes.",
            )
            .routes(),
        )
        .attr(
            "check",
            Attribute::optional(
                Type::String,
                "How a server shows that it can be used: `https` asks for `check_path`, `tcp` only connects (for API servers \
                 that refuse anonymous requests).",
            )
            .default("https"),
        )
        .attr("check_path", Attribute::optional(Type::String, "What `https` asks for.").default("/readyz"))
        .attr(
            "balance",
            Attribute::optional(Type::String, "`leastconn`, `roundrobin`, `source` or `first`.").default("leastconn"),
        )
        .attr("max_connections", Attribute::optional(Type::Number, "Connections at once.").default(4096))
        .attr(
            "stats_socket",
            Attribute::optional(Type::String, "The path of the socket for HAProxy's runtime API: `/run/haproxy-NAME.sock` unless told otherwise."),
        )
        .attr(
            "package",
            Attribute::optional(Type::Bool, "Whether HAProxy is installed where it is missing.").default(true).record(),
        )
        .attr(
            "config_file",
            Attribute::optional(Type::String, "The file that the service reads.").default("/etc/haproxy/haproxy.cfg").replace(),
        )
        .attr("service", Attribute::optional(Type::String, "The systemd unit.").default("haproxy").replace())
        .attr("config", Attribute::computed(Type::String, "The file's content."))
        .attr("status", Attribute::computed(Type::String, "`running`, or what is wrong with the service."))
        .attr("endpoint", Attribute::computed(Type::String, "Where clients reach it: `address:port` of the first bind."))
        .attr(
            "down",
            Attribute::computed(
                Type::map(Type::String),
                "The servers that take no connections, and why, as last seen. It is shown, and asks for no change.",
            )
            .record(),
        )
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let host = config.get("host").and_then(|host| host.get("address")).and_then(Value::as_str);
        match settings(config).map(|settings| settings.model()) {
            Some(Err((attribute, why))) => vec![Problem::new(attribute, why)],
            Some(Ok(model)) => {
                let refused = host.and_then(|host| refused(&model, host));
                refused.into_iter().map(|why| Problem::new("bind", why)).collect()
            }
            None => Vec::new(),
        }
    }

    fn plan(&self, change: &mut Change<'_>) {
        change.set("status", RUNNING.into());
        change.set_unknown("down");
        match settings(change.planned()).and_then(|settings| settings.model().ok()) {
            Some(model) => change.set("config", haproxy::render(&model).into()),
            None => change.set_unknown("config"),
        }
        // Known before the servers are: what is behind it is told where it is.
        let planned = change.planned();
        let host = planned.get("host").and_then(|host| host.get("address")).and_then(Value::as_str);
        let bind =
            planned.get("bind").and_then(Value::as_items).and_then(<[Value]>::first).and_then(Value::as_str);
        match bind.zip(host).map(|(bind, host)| endpoint(bind, host)) {
            Some(endpoint) => change.set("endpoint", endpoint.into()),
            None => change.set_unknown("endpoint"),
        }
    }

    /// Two proxies on one host are two services, but one package.
    fn limits(&self, object: &Value) -> Vec<Limit> {
        let part = |name: &str| object.get("host").and_then(|host| host.get(name)).and_then(Value::as_str);
        let host = part("id").or_else(|| part("address"));
        host.map(|host| Limit { group: format!("packages of {host}"), max: 1 }).into_iter().collect()
    }

    fn importable(&self) -> Importable {
        Importable::Not("creating it writes its file whole, whatever was there")
    }

    async fn read(&self, ctx: &Context<Hosts>, state: State) -> Result<Option<State>, Fault> {
        let session = ctx.client().session(ctx, &state.host).await?;
        let socket = socket(state.stats_socket.as_deref(), &state.name);
        let (file, (status, stat)) = tokio::try_join!(
            session.read_file(&state.config_file),
            status(&session, &state.config_file, &state.service, &socket)
        )?;
        let Some(file) = file else { return Ok(None) };
        let config = String::from_utf8_lossy(&file.content).into_owned();
        let down = haproxy::down(&stat, &state.name);
        Ok(Some(State { config, status, down, ..state }))
    }

    async fn create(&self, ctx: &Context<Hosts>, args: Args) -> Result<State, Fault> {
        put(ctx, args, BTreeMap::new()).await
    }

    async fn update(&self, ctx: &Context<Hosts>, prior: State, args: Args) -> Result<State, Fault> {
        put(ctx, args, prior.down).await
    }

    async fn delete(&self, ctx: &Context<Hosts>, state: State) -> Result<(), Fault> {
        let Some(session) = ctx.client().session_to_leave(ctx, &state.host).await? else { return Ok(()) };
        let service = quote(&state.service);
        session.progress("stopping HAProxy");
        let stop = format!(
            "if systemctl cat {service} >/dev/null 2>&1; then systemctl disable --now {service}; fi && rm -f {} {}",
            quote(&state.config_file),
            quote(&ServiceFile::staged(&state.config_file)),
        );
        session.run("stop HAProxy", stop).await.map(drop)
    }
}

/// `down` is what was known of the servers: a reload begins their checks anew, so that nothing is known yet.
async fn put(ctx: &Context<Hosts>, args: Args, down: BTreeMap<String, String>) -> Result<State, Fault> {
    let Args { host, settings } = args;
    let model = settings.model().map_err(|(attribute, why)| Fault::permanent(why).attribute(attribute))?;
    if let Some(why) = refused(&model, &host.address) {
        return Err(Fault::permanent(why).attribute("bind"));
    }
    let config = haproxy::render(&model);
    let session = ctx.client().session(ctx, &host).await?;
    if settings.package && !session.ask("command -v haproxy").await?.success() {
        package::ensure(&session, &["haproxy"]).await?;
    }
    let file = ServiceFile {
        path: &settings.config_file,
        content: &config,
        mode: 0o644,
        service: &settings.service,
        name: "HAProxy",
        check: Some("haproxy -c -f"),
        then: Then::Reload,
    };
    file.put(&session).await?;
    let endpoint = settings.bind.first().map(|bind| endpoint(bind, &host.address)).unwrap_or_default();
    let Settings { config_file, service, name, stats_socket, .. } = settings;
    Ok(State {
        host,
        config_file,
        service,
        name,
        stats_socket,
        config,
        status: RUNNING.into(),
        endpoint,
        down,
    })
}

/// Asks a socket for `show stat`, with whichever program the machine has for that. Debian has perl, RHEL python.
const ASK: &str = r#"ask() {
  [ -S "$1" ] || return 0
  if command -v socat >/dev/null 2>&1; then echo 'show stat' | socat -t 5 - "UNIX-CONNECT:$1"
  elif command -v perl >/dev/null 2>&1; then perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new($ARGV[0]) or exit 0; print $s "show stat\n"; $s->flush; print while <$s>' "$1"
  else
    for python in python3 /usr/libexec/platform-python; do
      command -v $python >/dev/null 2>&1 || continue
      $python -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"show stat\n")
sys.stdout.write(s.makefile().read())' "$1"; return 0
    done
  fi
}
"#;

/// How the service is, and what it says of its servers.
async fn status(
    session: &Session,
    config_file: &str,
    service: &str,
    socket: &str,
) -> Result<(String, String), Fault> {
    let service = quote(service);
    let script = format!(
        "{ASK}systemctl is-active --quiet {service} && echo active; systemctl is-enabled --quiet {service} && echo enabled; \
         if [ -e {} ]; then echo staged; fi; echo '== stat'; ask {} 2>/dev/null; true",
        quote(&ServiceFile::staged(config_file)),
        quote(socket),
    );
    let output = session.ask(script).await?;
    if !output.success() {
        return Err(session.failure("ask systemd for HAProxy's state", &output));
    }
    let told = output.stdout_str();
    let (told, stat) = told.split_once("== stat").unwrap_or((&told, ""));
    let is = |word: &str| told.lines().any(|line| line == word);
    let status = match (is("active"), is("enabled"), is("staged")) {
        (false, _, _) => "stopped",
        (true, _, true) => "not reloaded",
        (true, false, false) => "not enabled",
        (true, true, false) => RUNNING,
    };
    Ok((status.into(), stat.to_owned()))
}

/// The settings in a value, where all that decides the file is known.
fn settings(object: &Value) -> Option<Settings> {
    let names =
        ["name", "bind", "backends", "check", "check_path", "balance", "max_connections", "stats_socket"];
    let known = names.iter().all(|name| object.get(name).is_none_or(Value::is_wholly_known));
    if known { serde_json::from_value(json::to_args(object)).ok() } else { None }
}

fn server_type() -> Type {
    Type::Object(Arc::new(ObjectType {
        attributes: [("name", Type::String), ("address", Type::String), ("port", Type::Number)]
            .map(|(name, ty)| (Arc::from(name), ty))
            .into(),
        optional: [Arc::from("port")].into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_where_clients_reach_it() {
        assert_eq!(endpoint("*:6443", "192.0.2.7"), "192.0.2.7:6443");
        assert_eq!(endpoint("[::]:6443", "2001:db8::7"), "[2001:db8::7]:6443");
        assert_eq!(endpoint("127.0.0.1:7443", "192.0.2.7"), "127.0.0.1:7443");
        assert_eq!(endpoint("[fd00::9]:6443", "192.0.2.7"), "[fd00::9]:6443");
    }
}
