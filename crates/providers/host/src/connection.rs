//! How to reach a host, as plans hand it from resource to resource.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grappe_provider::Context;
use grappe_ssh::{Auth, Endpoint, HostKeyCheck};
use grappe_value::{Attribute, ObjectType, Type};
use serde::{Deserialize, Serialize};

/// The value of a `host` argument: `host_machine.NAME.connection`, or an object with at least an `address`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The machine's identity: what is on the host is created anew when it differs.
    #[serde(default)]
    pub id: Option<String>,
    /// A name or an IP address.
    pub address: String,
    /// TCP port.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// Who logs in.
    #[serde(default = "root")]
    pub user: String,
    /// Whether commands run as root by sudo; where nothing is said, they do unless `user` is root.
    #[serde(default)]
    pub sudo: Option<bool>,
    /// The host's key: an OpenSSH public key line or `SHA256:…`. Looked up in known_hosts where it is missing.
    #[serde(default)]
    pub host_key: Option<String>,
    /// The private key to log in with; a relative path starts at the plan's folder.
    #[serde(default)]
    pub private_key_file: Option<String>,
    /// Whether the SSH agent is asked; where nothing is said, it is if there is no key file.
    #[serde(default)]
    pub agent: Option<bool>,
    /// The host to go through.
    #[serde(default)]
    pub bastion: Option<Bastion>,
}

/// The host that a connection goes through. What is not said of key and agent is as for the host behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bastion {
    /// A name or an IP address.
    pub address: String,
    /// TCP port.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// Who logs in.
    #[serde(default = "root")]
    pub user: String,
    /// Its key; looked up in known_hosts where it is missing.
    #[serde(default)]
    pub host_key: Option<String>,
    /// The private key to log in with.
    #[serde(default)]
    pub private_key_file: Option<String>,
    /// Whether the SSH agent is asked.
    #[serde(default)]
    pub agent: Option<bool>,
}

fn ssh_port() -> u16 {
    22
}

fn root() -> String {
    "root".into()
}

impl Connection {
    /// To root at an address, by the agent.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Connection {
            id: None,
            address: address.into(),
            port: ssh_port(),
            user: root(),
            sudo: None,
            host_key: None,
            private_key_file: None,
            agent: None,
            bastion: None,
        }
    }

    /// The type of a `host` argument. Everything but `address` may be left out.
    #[must_use]
    pub fn ty() -> Type {
        object([
            ("id", Type::String),
            ("address", Type::String),
            ("port", Type::Number),
            ("user", Type::String),
            ("sudo", Type::Bool),
            ("host_key", Type::String),
            ("private_key_file", Type::String),
            ("agent", Type::Bool),
            ("bastion", Bastion::ty()),
        ])
    }

    /// The `host` argument of a type that lives on a host.
    #[must_use]
    pub fn attribute() -> Attribute {
        Attribute::required(
            Self::ty(),
            "The host: `host_machine.NAME.connection`, or an object with `address` and, as needed, `port`, `user`, `sudo`, \
             `host_key`, `private_key_file`, `agent`, `bastion`. Another `id` in it means another machine.",
        )
        .replace_when("id")
    }

    /// Whether commands run as root by sudo.
    #[must_use]
    pub fn uses_sudo(&self) -> bool {
        self.sudo.unwrap_or(self.user != "root")
    }

    /// Whether the machine itself goes in the same run: what is on it dies with it.
    #[must_use]
    pub fn goes<C>(&self, ctx: &Context<C>) -> bool {
        self.id.as_deref().is_some_and(|id| ctx.goes(id))
    }

    /// What tells this host from others in groups and names: its identity, or else where it is.
    #[must_use]
    pub fn identity(&self) -> String {
        self.id.clone().unwrap_or_else(|| format!("{}:{}", self.address, self.port))
    }

    /// Where SSH finds it. The key is the pinned one, or one of known_hosts; relative paths start at `plan_dir`.
    #[must_use]
    pub fn endpoint(&self, plan_dir: &Path) -> Endpoint {
        let auth = auth(self.private_key_file.as_deref(), self.agent, plan_dir);
        let bastion = self.bastion.as_ref().map(|bastion| {
            let own = bastion.private_key_file.is_some() || bastion.agent.is_some();
            let auth = if own {
                self::auth(bastion.private_key_file.as_deref(), bastion.agent, plan_dir)
            } else {
                auth.clone()
            };
            let mut endpoint = Endpoint::new(&bastion.address, &bastion.user, auth, check(&bastion.host_key));
            endpoint.port = bastion.port;
            Box::new(endpoint)
        });
        Endpoint {
            address: self.address.clone(),
            port: self.port,
            user: self.user.clone(),
            auth,
            host_key: check(&self.host_key),
            bastion,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl Bastion {
    /// The type of a `bastion` argument.
    #[must_use]
    pub fn ty() -> Type {
        object([
            ("address", Type::String),
            ("port", Type::Number),
            ("user", Type::String),
            ("host_key", Type::String),
            ("private_key_file", Type::String),
            ("agent", Type::Bool),
        ])
    }
}

/// An object type in which only `address` must be given.
fn object<const N: usize>(attributes: [(&str, Type); N]) -> Type {
    let optional = attributes.iter().map(|(name, _)| Arc::from(*name)).filter(|name| &**name != "address");
    Type::Object(Arc::new(ObjectType {
        optional: optional.collect(),
        attributes: attributes.into_iter().map(|(name, ty)| (name.into(), ty)).collect(),
    }))
}

fn check(host_key: &Option<String>) -> HostKeyCheck {
    match host_key {
        Some(key) => HostKeyCheck::Pinned(key.clone()),
        None => HostKeyCheck::KnownHosts(None),
    }
}

fn auth(key_file: Option<&str>, agent: Option<bool>, plan_dir: &Path) -> Auth {
    Auth {
        agent: agent.unwrap_or(key_file.is_none()),
        private_key_file: key_file
            .map(|path| if path.starts_with("~/") { path.into() } else { plan_dir.join(path) }),
        ..Auth::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Connection {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_left_out_gets_its_default() {
        let connection = parse(r#"{"address": "192.0.2.7"}"#);
        assert_eq!(connection, Connection::new("192.0.2.7"));
        let endpoint = connection.endpoint(Path::new("/plan"));
        assert_eq!((endpoint.port, endpoint.user.as_str()), (22, "root"));
        assert_eq!(endpoint.auth, Auth::agent());
        assert_eq!(endpoint.host_key, HostKeyCheck::KnownHosts(None));
        assert!(!connection.uses_sudo());
        assert!(parse(r#"{"address": "a", "user": "debian"}"#).uses_sudo());
        assert!(!parse(r#"{"address": "a", "user": "debian", "sudo": false}"#).uses_sudo());
    }

    #[test]
    fn key_paths_start_at_the_plan_and_bastions_inherit_the_key() {
        let text = r#"{"address": "10.0.0.7", "private_key_file": "keys/id", "host_key": "SHA256:x",
                       "bastion": {"address": "198.51.100.1", "user": "jump"}}"#;
        let endpoint = parse(text).endpoint(Path::new("/plan"));
        assert_eq!(endpoint.auth, Auth::key_file("/plan/keys/id"));
        let bastion = endpoint.bastion.unwrap();
        assert_eq!((bastion.auth, bastion.user.as_str()), (Auth::key_file("/plan/keys/id"), "jump"));
        let text =
            r#"{"address": "a", "private_key_file": "~/id", "bastion": {"address": "b", "agent": true}}"#;
        let endpoint = parse(text).endpoint(Path::new("/plan"));
        assert_eq!(endpoint.auth.private_key_file.unwrap(), Path::new("~/id"));
        assert_eq!(endpoint.bastion.unwrap().auth, Auth::agent());
    }
}
