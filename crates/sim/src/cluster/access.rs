//! From a kubeconfig on a host to a cluster: the way, the certificates, the user.

use base64::Engine as _;
use serde_json::Value;

use super::der;
use crate::world::State;
use crate::world::net::Refusal;

/// A connection to an API server that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// Cluster id.
    pub(crate) cluster: String,
    /// Machine of the API server that was reached.
    pub(crate) server: String,
    /// Common name of the client certificate.
    pub(crate) user: String,
    /// Its group.
    pub(crate) group: String,
}

impl Access {
    /// Whether the user may do anything.
    pub(crate) fn is_admin(&self) -> bool {
        self.group == "system:masters" || self.group == "kubeadm:cluster-admins"
    }
}

/// What a kubeconfig says of its current context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kubeconfig {
    pub(crate) server: String,
    ca: String,
    cert: String,
    pub(crate) namespace: String,
}

fn decoded(value: &Value) -> String {
    let bytes = value.as_str().and_then(|t| base64::engine::general_purpose::STANDARD.decode(t).ok());
    bytes.map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

impl Kubeconfig {
    /// Reads one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let config = crate::yaml::parse(text)?;
        let named = |list: &str, name: &Value, inner: &str| -> Value {
            let items = config[list].as_array().into_iter().flatten();
            items.into_iter().find(|i| i["name"] == *name).map(|i| i[inner].clone()).unwrap_or_default()
        };
        let context = named("contexts", &config["current-context"], "context");
        let cluster = named("clusters", &context["cluster"], "cluster");
        let user = named("users", &context["user"], "user");
        let server = cluster["server"].as_str().unwrap_or_default().to_owned();
        if server.is_empty() {
            return Err("no server in the current context".to_owned());
        }
        Ok(Self {
            server,
            ca: decoded(&cluster["certificate-authority-data"]),
            cert: decoded(&user["client-certificate-data"]),
            namespace: context["namespace"].as_str().unwrap_or("default").to_owned(),
        })
    }
}

/// Host and port of `https://host:port`.
pub(crate) fn address(server: &str) -> (String, u16) {
    let rest = server.split_once("://").map_or(server, |(_, r)| r).trim_end_matches('/');
    match rest.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => {
            (host.trim_matches(['[', ']']).to_owned(), port.parse().unwrap_or(6443))
        }
        _ => (rest.to_owned(), 443),
    }
}

impl State {
    /// Reaches the API as a client on `machine` with this kubeconfig.
    ///
    /// # Errors
    /// As kubectl prints them, without a newline.
    pub(crate) fn open_api(&mut self, machine: &str, config: &Kubeconfig) -> Result<Access, String> {
        let (host, port) = address(&config.server);
        let server = self.connect(machine, &host, port).map_err(|refusal| match refusal {
            Refusal::Refused(_) => {
                format!("The connection to the server {host}:{port} was refused - did you specify the right host or port?")
            }
            Refusal::NoRoute(at) => format!("Unable to connect to the server: dial tcp {at}: connect: no route to host"),
            Refusal::UnknownName(name) => {
                format!("Unable to connect to the server: dial tcp: lookup {name} on 192.0.2.53:53: no such host")
            }
        })?;
        let cluster =
            self.cluster_on(&server).ok_or("The server is currently unable to handle the request")?;
        self.check_server(&server, &host, config)?;
        if !self.has_quorum(&cluster) {
            return Err("Error from server: etcdserver: request timed out".to_owned());
        }
        let subject = der::certificate(&config.cert);
        let now = self.now() / 1000;
        let ca_name = "kubernetes";
        let (user, group) = match subject {
            Some(c) if c.not_after > now && c.issuer == ca_name => c.subject,
            _ => return Err("error: You must be logged in to the server (Unauthorized)".to_owned()),
        };
        Ok(Access { cluster, server, user, group })
    }

    /// TLS: the server's certificate must be of the CA that the client trusts, for this name, and in its time.
    fn check_server(&self, server: &str, host: &str, config: &Kubeconfig) -> Result<(), String> {
        let served =
            self.host(server).map(|h| h.files.text("/etc/kubernetes/pki/apiserver.crt")).unwrap_or_default();
        let cluster_ca = self
            .cluster_on(server)
            .and_then(|c| self.clusters.get(&c))
            .map(|c| c.ca.clone())
            .unwrap_or_default();
        let tls = |text: String| {
            Err(format!("Unable to connect to the server: tls: failed to verify certificate: x509: {text}"))
        };
        if config.ca.trim() != cluster_ca.trim() {
            return tls("certificate signed by unknown authority".to_owned());
        }
        let Some(cert) = der::certificate(&served) else {
            return Err(format!(
                "The connection to the server {host} was refused - did you specify the right host or port?"
            ));
        };
        let now = self.now() / 1000;
        if cert.not_after <= now {
            let (then, now) =
                (crate::tools::rfc3339(cert.not_after * 1000), crate::tools::rfc3339(now * 1000));
            return tls(format!(
                "certificate has expired or is not yet valid: current time {now} is after {then}"
            ));
        }
        if !cert.names.iter().any(|n| n == host) {
            return tls(format!("certificate is valid for {}, not {host}", cert.names.join(", ")));
        }
        Ok(())
    }
}
