//! `connection`: how a step reaches its host. Terraform's arguments.

use std::time::Duration;

use grappe_provider::Problem;
use grappe_ssh::{Auth, Endpoint, HostKeyCheck, Secret};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::Deserialize;

/// How long a host has to answer where nothing is said.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Deserialize)]
pub(crate) struct Connection {
    host: String,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    private_key: Option<String>,
    agent: Option<bool>,
    host_key: Option<String>,
    timeout: Option<String>,
    pub(crate) script_path: Option<String>,
    bastion_host: Option<String>,
    bastion_port: Option<u16>,
    bastion_user: Option<String>,
    bastion_password: Option<String>,
    bastion_private_key: Option<String>,
    bastion_host_key: Option<String>,
}

/// What Terraform has and this has not, with what to do.
const REFUSED: [(&str, &str); 12] = [
    ("certificate", "SSH certificates are not supported: the agent may hold one"),
    ("agent_identity", "the keys of the agent are all tried"),
    ("bastion_certificate", "SSH certificates are not supported: the agent may hold one"),
    ("proxy_scheme", "hosts are reached directly or through a bastion"),
    ("proxy_host", "hosts are reached directly or through a bastion"),
    ("proxy_port", "hosts are reached directly or through a bastion"),
    ("proxy_user_name", "hosts are reached directly or through a bastion"),
    ("proxy_user_password", "hosts are reached directly or through a bastion"),
    ("https", "it is for WinRM, which is not supported"),
    ("insecure", "it is for WinRM, which is not supported"),
    ("use_ntlm", "it is for WinRM, which is not supported"),
    ("cacert", "it is for WinRM, which is not supported"),
];

pub(crate) fn schema() -> Schema {
    let text = |what: &'static str| Attribute::optional(Type::String, what);
    let secret = |what: &'static str| Attribute::optional(Type::String, what).sensitive();
    let number = |what: &'static str| Attribute::optional(Type::Number, what);
    let schema = Schema::new("How a host is reached by SSH.")
        .attr("type", text("`ssh`."))
        .attr("host", Attribute::required(Type::String, "A name or an IP address."))
        .attr("port", number("TCP port; 22 where nothing is said."))
        .attr("user", text("Who logs in; root where nothing is said."))
        .attr("password", secret("A password, where the host takes one."))
        .attr("private_key", secret("The private key itself: `file(\"~/.ssh/id_ed25519\")`."))
        .attr(
            "agent",
            Attribute::optional(
                Type::Bool,
                "Whether the SSH agent is asked; it is, where neither key nor password is given.",
            ),
        )
        .attr(
            "host_key",
            text(
                "The host's public key, or its fingerprint; looked up in known_hosts where nothing is said.",
            ),
        )
        .attr(
            "timeout",
            text("How long to wait for the host: `30s`, `5m`, which it is where nothing is said."),
        )
        .attr("script_path", text("Where scripts are put on the host; `%RAND%` in it becomes a number."))
        .attr("target_platform", text("`unix`."))
        .attr("bastion_host", text("The host to go through."))
        .attr("bastion_port", number("Its TCP port."))
        .attr("bastion_user", text("Who logs in there."))
        .attr("bastion_password", secret("A password for it."))
        .attr("bastion_private_key", secret("The private key for it."))
        .attr("bastion_host_key", text("Its public key, or its fingerprint."));
    REFUSED.iter().fold(schema, |schema, (name, why)| {
        let ty = if matches!(*name, "https" | "insecure" | "use_ntlm") { Type::Bool } else { Type::String };
        schema.attr(name, Attribute::optional(ty, why))
    })
}

/// What is wrong with a connection.
pub(crate) fn problems(connection: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let text = |name: &str| connection.get(name).and_then(Value::as_str);
    match text("type") {
        None | Some("ssh") => {}
        Some("winrm") => problems.push(
            Problem::new("type", "WinRM is not supported: hosts are reached by SSH.")
                .hint("Windows has an OpenSSH server too"),
        ),
        Some(other) => problems
            .push(Problem::new("type", format!("There is no connection type {other:?}: it is \"ssh\"."))),
    }
    if text("target_platform").is_some_and(|p| p != "unix") {
        problems.push(Problem::new("target_platform", "Only \"unix\" is supported."));
    }
    if let Some(Err(why)) = text("timeout").map(duration) {
        problems.push(Problem::new("timeout", why));
    }
    if text("host").is_some_and(str::is_empty) {
        problems.push(Problem::new("host", "The host is empty."));
    }
    for (name, why) in REFUSED {
        let given = connection.get(name).is_some_and(|v| !v.is_null() && v.as_bool() != Some(false));
        if given {
            problems.push(Problem::new(name, format!("Not supported: {why}.")));
        }
    }
    problems
}

impl Connection {
    /// How long to wait for the host.
    pub(crate) fn patience(&self) -> Duration {
        self.timeout.as_deref().and_then(|t| duration(t).ok()).unwrap_or(PATIENCE)
    }

    /// Where SSH finds it.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let auth = auth(self.private_key.as_ref(), self.password.as_ref(), self.agent);
        let mut endpoint = Endpoint::new(
            &self.host,
            self.user.as_deref().unwrap_or("root"),
            auth,
            check(self.host_key.as_ref()),
        );
        endpoint.port = self.port.unwrap_or(22);
        endpoint.bastion = self.bastion_host.as_ref().map(|host| {
            // What is not said of the bastion is as for the host behind it.
            let own = self.bastion_private_key.is_some() || self.bastion_password.is_some();
            let key = if own { self.bastion_private_key.as_ref() } else { self.private_key.as_ref() };
            let password = if own { self.bastion_password.as_ref() } else { self.password.as_ref() };
            let user = self.bastion_user.as_deref().unwrap_or(&endpoint.user);
            let auth = auth_of(key, password, self.agent);
            let mut bastion = Endpoint::new(host, user, auth, check(self.bastion_host_key.as_ref()));
            bastion.port = self.bastion_port.unwrap_or(22);
            Box::new(bastion)
        });
        endpoint
    }
}

fn auth(key: Option<&String>, password: Option<&String>, agent: Option<bool>) -> Auth {
    auth_of(key, password, agent)
}

fn auth_of(key: Option<&String>, password: Option<&String>, agent: Option<bool>) -> Auth {
    Auth {
        private_key: key.map(Secret::new),
        password: password.map(Secret::new),
        private_key_file: None,
        agent: agent.unwrap_or(key.is_none() && password.is_none()),
    }
}

fn check(host_key: Option<&String>) -> HostKeyCheck {
    match host_key {
        Some(key) => HostKeyCheck::Pinned(key.trim().to_owned()),
        None => HostKeyCheck::KnownHosts(None),
    }
}

/// A duration as Go writes it: `1h30m`, `500ms`; a bare number is refused there too.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration like \"30s\" or \"5m\".");
    let (mut total, mut rest) = (0.0, text.trim());
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(wrong()),
            };
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_s() {
        assert_eq!(duration("1h30m").unwrap().as_secs(), 5400);
        assert_eq!(duration("1.5s").unwrap().as_millis(), 1500);
        assert_eq!(duration("0").unwrap(), Duration::ZERO);
        for wrong in ["", "5", "5 m", "m", "5x", "-1s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_in_no_debug_output() {
        let json = serde_json::json!({"host": "h", "password": "hunter2", "bastion_host": "b", "private_key": "KEY"});
        let endpoint = serde_json::from_value::<Connection>(json).unwrap().endpoint();
        let shown = format!("{endpoint:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("KEY"), "{shown}");
        let bastion = endpoint.bastion.unwrap();
        assert_eq!((bastion.user.as_str(), bastion.auth == endpoint.auth), ("root", true));
        assert!(!bastion.auth.agent);
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        let said = |attributes: &[(&str, Value)]| {
            let value = Value::object(attributes.iter().cloned());
            problems(&value).into_iter().map(|p| p.attribute.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(said(&[("type", "winrm".into()), ("https", true.into())]), ["type", "https"]);
        assert_eq!(
            said(&[("type", "ssh".into()), ("https", false.into()), ("certificate", Value::NULL)]),
            [""; 0]
        );
        assert_eq!(
            said(&[("timeout", "5".into()), ("target_platform", "windows".into())]),
            ["target_platform", "timeout"]
        );
    }
}
