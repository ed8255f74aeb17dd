//! Where a host is and how to log in to it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

/// A host as SSH reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an IP address, without brackets.
    pub address: String,
    /// TCP port, 22 as a rule.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// How to log in.
    pub auth: Auth,
    /// Which host keys are accepted.
    pub host_key: HostKeyCheck,
    /// The host to go through (OpenSSH's `ProxyJump`); it is verified and pooled like any other.
    pub bastion: Option<Box<Endpoint>>,
    /// The limit for the TCP connection, and again for the key exchange. Logging in has at least 30 seconds: an agent
    /// may ask its user to confirm.
    pub connect_timeout: Duration,
}

impl Endpoint {
    /// An endpoint on port 22, with no bastion and ten seconds to connect.
    pub fn new(
        address: impl Into<String>,
        user: impl Into<String>,
        auth: Auth,
        host_key: HostKeyCheck,
    ) -> Self {
        Endpoint {
            address: address.into(),
            port: 22,
            user: user.into(),
            auth,
            host_key,
            bastion: None,
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// `[address]:port`, or the bare address on port 22: the name known_hosts uses.
    pub(crate) fn known_as(&self) -> String {
        let host = self.address.to_lowercase();
        if self.port == 22 { host } else { format!("[{host}]:{}", self.port) }
    }

    /// What makes two endpoints share a connection.
    pub(crate) fn key(&self) -> EndpointKey {
        let mut hops = Vec::new();
        let mut hop = Some(self);
        while let Some(endpoint) = hop {
            hops.push((endpoint.address.to_lowercase(), endpoint.port, endpoint.user.clone()));
            hop = endpoint.bastion.as_deref();
        }
        EndpointKey(hops)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.contains(':') {
            write!(f, "{}@[{}]:{}", self.user, self.address, self.port)?;
        } else {
            write!(f, "{}@{}:{}", self.user, self.address, self.port)?;
        }
        match &self.bastion {
            Some(bastion) => write!(f, " through {bastion}"),
            None => Ok(()),
        }
    }
}

/// The hops to a host: (address, port, user), the host itself first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct EndpointKey(Vec<(String, u16, String)>);

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How to log in: the key first, then the agent, then the password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Auth {
    /// A private key itself, in any format `ssh-keygen` writes.
    pub private_key: Option<Secret>,
    /// A password, for hosts that take one.
    pub password: Option<Secret>,
    /// A private key file, in any format `ssh-keygen` writes. `~/` is the home folder. It must be readable by its owner
    /// alone, as for `ssh`. An encrypted one works when the agent holds its key.
    pub private_key_file: Option<PathBuf>,
    /// Whether to ask the agent at `SSH_AUTH_SOCK`.
    pub agent: bool,
}

impl Auth {
    /// The agent alone.
    pub fn agent() -> Self {
        Auth { agent: true, ..Auth::default() }
    }

    /// A key file alone.
    pub fn key_file(path: impl Into<PathBuf>) -> Self {
        Auth { private_key_file: Some(path.into()), ..Auth::default() }
    }
}

/// Which host keys are accepted. None of these means "any".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyCheck {
    /// The keys in this known_hosts file, or in `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`.
    /// Hashed names, wildcards, negation, `[host]:port` and `@revoked` mean what they mean to OpenSSH;
    /// `@cert-authority` lines are not accepted as plain keys.
    KnownHosts(Option<PathBuf>),
    /// This key alone: an OpenSSH public key line (`ssh-ed25519 AAAA…`) or its fingerprint (`SHA256:…`).
    Pinned(String),
    /// Whatever key is shown. The caller records [`Host::host_key`](crate::Host::host_key) and pins it from then on.
    FirstUse,
}
