//! The type `keepalived_vip`.

use std::net::IpAddr;

use grappe_kubeadm::Secret;
use grappe_kubeadm::keepalived::{self, Error, Vip};
use grappe_provider::{Change, Context, Fault, Importable, Limit, Problem, Resource};
use grappe_provider_host::service_file::{ServiceFile, Then};
use grappe_provider_host::{Connection, Hosts, Session, package};
use grappe_ssh::quote;
use grappe_value::{Attribute, Schema, Type, Value, json};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The service runs by the file that is there, and starts at boot.
const RUNNING: &str = "running";

/// The resource type `keepalived_vip`.
pub struct KeepalivedVip;

/// The arguments of a `keepalived_vip`.
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
    vip: String,
    interface: Option<String>,
    cidr: Option<String>,
    virtual_router_id: u32,
    priority: u32,
    #[serde(default)]
    unicast_peers: Option<Vec<String>>,
    auth_pass: Option<String>,
    check: Option<String>,
    check_script: Option<String>,
    config_file: String,
    service: String,
    package: bool,
}

/// What is kept of a `keepalived_vip`.
#[derive(Serialize, Deserialize)]
pub struct State {
    #[serde(skip_serializing)]
    host: Connection,
    #[serde(skip_serializing)]
    vip: String,
    #[serde(skip_serializing)]
    config_file: String,
    #[serde(skip_serializing)]
    service: String,
    #[serde(skip_serializing)]
    auth_pass: Option<String>,
    interface: String,
    config: String,
    status: String,
    state: String,
    address: String,
}

/// What is wrong with an argument, and which.
type Wrong = (&'static str, String);

impl Settings {
    /// The address and its bits.
    fn address(&self) -> Result<(IpAddr, u8), Wrong> {
        let wrong = || ("vip", format!("{:?} is not an address: write one such as `10.0.0.100`", self.vip));
        match self.vip.split_once('/') {
            None => {
                let address: IpAddr = self.vip.parse().map_err(|_| wrong())?;
                Ok((address, keepalived::full(address)))
            }
            Some((address, bits)) => {
                Ok((address.parse().map_err(|_| wrong())?, bits.parse().map_err(|_| wrong())?))
            }
        }
    }

    /// The model, with the network card that was chosen; without one only what does not need it is looked at.
    fn model(&self, interface: &str, own: &str) -> Result<Vip, Wrong> {
        let (address, prefix) = self.address()?;
        let number = |name: &'static str, number: u32, most: u8| {
            u8::try_from(number)
                .ok()
                .filter(|number| (1..=most).contains(number))
                .ok_or_else(|| (name, format!("{name} must be 1 to {most}")))
        };
        let mut peers = Vec::new();
        for peer in self.unicast_peers.iter().flatten().filter(|peer| *peer != own) {
            peers.push(peer.parse().map_err(|_| ("unicast_peers", format!("{peer:?} is not an address")))?);
        }
        let check = match (&self.check_script, self.check.as_deref()) {
            (Some(script), _) => Some(script.clone()),
            (None, None | Some("")) => None,
            (None, Some(endpoint)) => {
                let (host, port) = endpoint
                    .rsplit_once(':')
                    .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
                    .filter(|(host, _)| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok())
                    .ok_or_else(|| {
                        ("check", format!("{endpoint:?} is not `address:port`, such as `127.0.0.1:6443`"))
                    })?;
                Some(keepalived::tcp_check(host.trim_matches(['[', ']']), port))
            }
        };
        let vip = Vip {
            name: self.name.clone(),
            interface: interface.to_owned(),
            address,
            prefix,
            virtual_router_id: number("virtual_router_id", self.virtual_router_id, 255)?,
            priority: number("priority", self.priority, 254)?,
            unicast_peers: peers,
            auth_pass: self.auth_pass.as_deref().map(Secret::new),
            check,
        };
        vip.validate().map_err(|error| {
            let attribute = match &error {
                Error::Name { what: "interface", .. } => "interface",
                Error::Name { .. } => "name",
                Error::RouterId => "virtual_router_id",
                Error::Priority => "priority",
                Error::Prefix(..) => "vip",
                Error::AuthPass => "auth_pass",
                Error::Check(_) => "check_script",
                Error::Family(..) => "unicast_peers",
            };
            (attribute, error.to_string())
        })?;
        Ok(vip)
    }
}

impl Resource for KeepalivedVip {
    type Client = Hosts;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "keepalived_vip"
    }

    fn schema(&self) -> Schema {
        Schema::new(
            "An address that one of several hosts holds, and another takes over when that one fails: keepalived, by VRRP. Give \
             each host one, with the same `vip` and `virtual_router_id` and a `priority` of its own. It owns the configuration \
             file and the service; the package is installed where it is missing.",
        )
        .attr("host", Connection::attribute().home())
        .attr("name", Attribute::optional(Type::String, "The name of the VRRP instance.").default("api"))
        .attr("vip", Attribute::required(Type::String, "The address: `10.0.0.100`, or `10.0.0.100/24` to bring its network's route along."))
        .attr(
            "interface",
            Attribute::optional_computed(
                Type::String,
                "The network card that gets it: unless given, the one with an address in `cidr`, or else in the address's own network.",
            ),
        )
        .attr("cidr", Attribute::optional(Type::String, "The network whose card is taken, on hosts with several."))
        .attr(
            "virtual_router_id",
            Attribute::required(Type::Number, "1 to 255: the same on all of the group, and on nobody else in their network."),
        )
        .attr("priority", Attribute::optional(Type::Number, "1 to 254: who has the highest holds the address.").default(100))
        .attr(
            "unicast_peers",
            Attribute::optional(
                Type::list(Type::String),
                "The addresses of the group, where multicast does not pass (clouds); the host's own among them is left out.",
            ),
        )
        .attr(
            "auth_pass",
            Attribute::optional(Type::String, "A word of eight characters at most that the group shares. It goes over the network in clear: it keeps groups apart, no more.").sensitive(),
        )
        .attr(
            "check",
            Attribute::optional(Type::String, "What must accept connections for the host to hold the address: HAProxy on the host itself. Empty for no check.")
                .default("127.0.0.1:6443"),
        )
        .attr("check_script", Attribute::optional(Type::String, "A command that succeeds as long as the host may hold the address, in place of `check`."))
        .attr(
            "config_file",
            Attribute::optional(Type::String, "The file that the service reads.").default("/etc/keepalived/keepalived.conf").replace(),
        )
        .attr("service", Attribute::optional(Type::String, "The systemd unit.").default("keepalived").replace())
        .attr("package", Attribute::optional(Type::Bool, "Whether keepalived is installed where it is missing.").default(true).record())
        .attr("config", Attribute::computed(Type::String, "The file's content, without the password."))
        .attr("status", Attribute::computed(Type::String, "`running`, or what is wrong with the service."))
        .attr("address", Attribute::computed(Type::String, "The address, without the bits of its network."))
        .attr(
            "state",
            Attribute::computed(Type::String, "`MASTER` where the host has the address, else `BACKUP`, as last seen. It is shown, and asks for no change.").record(),
        )
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        let cidr = config.get("cidr").and_then(Value::as_str);
        if let Some(cidr) = cidr.filter(|cidr| cidr.parse::<IpNet>().is_err()) {
            problems.push(Problem::new(
                "cidr",
                format!("{cidr:?} is not a network: write one such as `10.0.0.0/24`"),
            ));
        }
        if let Some(settings) = settings(config) {
            let interface = settings.interface.as_deref().unwrap_or("eth0");
            if let Err((attribute, why)) = settings.model(interface, "") {
                problems.push(Problem::new(attribute, why));
            }
        }
        problems
    }

    fn plan(&self, change: &mut Change<'_>) {
        change.set("status", RUNNING.into());
        change.set_unknown("state");
        // Given by its network it may be another card now.
        let given = change.config.get("interface").is_some_and(|interface| !interface.is_null());
        if change.prior.is_some() && !given && (change.changes("cidr") || change.changes("vip")) {
            change.set_unknown("interface");
        }
        let planned = change.planned();
        let text = |name: &str| planned.get(name).and_then(Value::as_str);
        let own = planned.get("host").and_then(|host| host.get("address")).and_then(Value::as_str);
        let settings = settings(planned);
        let model = settings
            .as_ref()
            .zip(text("interface").zip(own))
            .and_then(|(settings, (interface, own))| settings.model(interface, own).ok());
        let shown = model.map(|model| shown(&keepalived::render(&model), settings.as_ref()));
        let address = settings.and_then(|settings| settings.address().ok());
        match shown {
            Some(config) => change.set("config", config.into()),
            None => change.set_unknown("config"),
        }
        match address {
            Some((address, _)) => change.set("address", address.to_string().into()),
            None => change.set_unknown("address"),
        }
    }

    /// A host has one package database, and whoever comes second waits for its lock.
    fn limits(&self, object: &Value) -> Vec<Limit> {
        let part = |name: &str| object.get("host").and_then(|host| host.get(name)).and_then(Value::as_str);
        let host = part("id").or_else(|| part("address"));
        host.map(|host| Limit { group: format!("packages of {host}"), max: 1 }).into_iter().collect()
    }

    fn importable(&self) -> Importable {
        Importable::Not("creating it writes its file whole, whatever was there")
    }

    async fn read(&self, ctx: &Context<Hosts>, state: State) -> Result<Option<State>, Fault> {
        let session = ctx.client().session(ctx, &state.host).await?.hide(state.auth_pass.clone());
        let (file, seen) = tokio::try_join!(
            session.read_file(&state.config_file),
            look(&session, &state.config_file, &state.service, &state.vip)
        )?;
        let Some(file) = file else { return Ok(None) };
        let text = String::from_utf8_lossy(&file.content);
        let config = keepalived::without_password(&text, state.auth_pass.as_deref());
        Ok(Some(State { config, status: seen.status, state: seen.state, ..state }))
    }

    async fn create(&self, ctx: &Context<Hosts>, args: Args) -> Result<State, Fault> {
        put(ctx, args).await
    }

    async fn update(&self, ctx: &Context<Hosts>, _: State, args: Args) -> Result<State, Fault> {
        put(ctx, args).await
    }

    async fn delete(&self, ctx: &Context<Hosts>, state: State) -> Result<(), Fault> {
        let Some(session) = ctx.client().session_to_leave(ctx, &state.host).await? else { return Ok(()) };
        let service = quote(&state.service);
        session.progress("stopping keepalived");
        let stop = format!(
            "if systemctl cat {service} >/dev/null 2>&1; then systemctl disable --now {service}; fi && rm -f {} {}",
            quote(&state.config_file),
            quote(&ServiceFile::staged(&state.config_file)),
        );
        session.run("stop keepalived", stop).await.map(drop)
    }
}

fn shown(file: &str, settings: Option<&Settings>) -> String {
    keepalived::without_password(file, settings.and_then(|settings| settings.auth_pass.as_deref()))
}

async fn put(ctx: &Context<Hosts>, args: Args) -> Result<State, Fault> {
    let Args { host, settings } = args;
    let session = ctx.client().session(ctx, &host).await?.hide(settings.auth_pass.clone());
    let wrong = |(attribute, why): Wrong| Fault::permanent(why).attribute(attribute);
    let interface = match &settings.interface {
        Some(interface) => interface.clone(),
        None => choose(&session, &settings).await?,
    };
    let model = settings.model(&interface, &host.address).map_err(wrong)?;
    let config = keepalived::render(&model);
    if settings.package && !session.ask("command -v keepalived").await?.success() {
        package::ensure(&session, &["keepalived"]).await?;
    }
    let file = ServiceFile {
        path: &settings.config_file,
        content: &config,
        // Only root's: the password is in it, and keepalived distrusts scripts that others could change.
        mode: 0o600,
        service: &settings.service,
        name: "keepalived",
        check: Some("keepalived -t -f"),
        then: Then::Reload,
    };
    file.put(&session).await?;
    let seen = look(&session, &settings.config_file, &settings.service, &settings.vip).await?;
    let config = shown(&config, Some(&settings));
    let Settings { vip, config_file, service, auth_pass, .. } = settings;
    let address = model.address.to_string();
    Ok(State {
        host,
        vip,
        config_file,
        service,
        auth_pass,
        interface,
        config,
        status: seen.status,
        state: seen.state,
        address,
    })
}

/// The card with an address in the wanted network.
async fn choose(session: &Session, settings: &Settings) -> Result<String, Fault> {
    let (vip, _) =
        settings.address().map_err(|(attribute, why)| Fault::permanent(why).attribute(attribute))?;
    let cidr: Option<IpNet> = match &settings.cidr {
        Some(cidr) => {
            let parsed = cidr.parse();
            Some(
                parsed
                    .map_err(|_| Fault::permanent(format!("{cidr:?} is not a network")).attribute("cidr"))?,
            )
        }
        None => None,
    };
    let output = session.run("list the addresses", "ip -o addr show scope global").await?;
    let text = output.stdout_str();
    find_card(&text, vip, cidr.as_ref()).ok_or_else(|| {
        let name = &session.host().endpoint().address;
        let wanted = cidr.map_or_else(|| format!("the network of {vip}"), |cidr| cidr.to_string());
        Fault::permanent(format!("{name} has no network card with an address in {wanted}"))
            .attribute(if settings.cidr.is_some() { "cidr" } else { "interface" })
            .details(&text)
            .hint("set interface, or cidr")
    })
}

/// Reads `ip -o addr`: the card with an address in `cidr`, or without one in whose network the VIP lies.
fn find_card(text: &str, vip: IpAddr, cidr: Option<&IpNet>) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let card = words.next()?;
        let own: IpNet = words.skip_while(|word| !matches!(*word, "inet" | "inet6")).nth(1)?.parse().ok()?;
        let fits = match cidr {
            Some(cidr) => cidr.contains(&own.addr()) && own.addr() != vip,
            None => own.contains(&vip) && own.addr() != vip,
        };
        fits.then(|| card.to_owned())
    })
}

/// How the service is, and whether the host has the address.
struct Seen {
    status: String,
    state: String,
}

async fn look(session: &Session, config_file: &str, service: &str, vip: &str) -> Result<Seen, Fault> {
    let service = quote(service);
    let script = format!(
        "systemctl is-active --quiet {service} && echo active; systemctl is-enabled --quiet {service} && echo enabled; \
         if [ -e {} ]; then echo staged; fi; ip -o addr show scope global",
        quote(&ServiceFile::staged(config_file)),
    );
    let output = session.ask(script).await?;
    if !output.success() {
        return Err(session.failure("ask for keepalived's state", &output));
    }
    let told = output.stdout_str();
    let is = |word: &str| told.lines().any(|line| line == word);
    let status = match (is("active"), is("enabled"), is("staged")) {
        (false, _, _) => "stopped",
        (true, _, true) => "not reloaded",
        (true, false, false) => "not enabled",
        (true, true, false) => RUNNING,
    };
    let address = vip.split('/').next().unwrap_or_default();
    let here =
        told.split_whitespace().any(|word| word.split('/').next() == Some(address) && word.contains('/'));
    Ok(Seen { status: status.into(), state: if here { "MASTER" } else { "BACKUP" }.into() })
}

/// The settings in a value, where all that decides the file is known. The card may be open.
fn settings(object: &Value) -> Option<Settings> {
    let names = [
        "name",
        "vip",
        "cidr",
        "virtual_router_id",
        "priority",
        "unicast_peers",
        "auth_pass",
        "check",
        "check_script",
    ];
    if !names.iter().all(|name| object.get(name).is_none_or(Value::is_wholly_known)) {
        return None;
    }
    let mut args = json::to_args(object);
    if object.get("interface").is_some_and(Value::is_unknown) {
        args.as_object_mut()?.insert("interface".into(), serde_json::Value::Null);
    }
    serde_json::from_value(args).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_is_found_by_its_network() {
        let text = "2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global eth0\n\
                    3: eth1    inet 192.168.56.5/24 scope global eth1\n\
                    3: eth1    inet 192.168.56.100/32 scope global eth1\n";
        let vip: IpAddr = "192.168.56.100".parse().expect("an address");
        assert_eq!(find_card(text, vip, None).as_deref(), Some("eth1"));
        let cidr: IpNet = "10.0.2.0/24".parse().expect("a network");
        assert_eq!(find_card(text, vip, Some(&cidr)).as_deref(), Some("eth0"));
        assert_eq!(find_card(text, "172.16.0.1".parse().expect("an address"), None), None);
    }
}
