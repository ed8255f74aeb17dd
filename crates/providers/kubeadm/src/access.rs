//! The way to a cluster: `kubectl` on any of its control planes that answers.
//!
//! No control plane is special. The one that answered last is asked first; another is asked beside it when it takes more
//! than a moment, so that a dead machine costs seconds and not a time-out. A host whose CA is not the cluster's is no
//! control plane of it, whatever it answers: machines are rebuilt, and addresses reused.

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use grappe_kubeadm::join::ca_cert_hash;
use grappe_provider::{Context, Fault};
use grappe_provider_host::Connection;
use grappe_ssh::{Exec, Output, quote};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::client::{Client, Machine, same_machine};
use crate::remote::{Remote, SHORT};
use crate::standing::sections;

/// `kubectl` as the cluster's admin, on a control plane.
pub const KUBECTL: &str = "kubectl --kubeconfig /etc/kubernetes/admin.conf";
/// How long one control plane is asked alone.
const PATIENCE: Duration = Duration::from_secs(2);

/// A cluster as other resources refer to it: the `cluster` attribute of `kubeadm_cluster`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterRef {
    /// The UID of its `kube-system` namespace, which lives as long as the cluster.
    pub id: String,
    /// Its name, in messages and kubeconfigs.
    pub name: String,
    /// `host:port` of its API.
    pub endpoint: String,
    /// Its Kubernetes release.
    pub version: String,
    /// `sha256:…` of its CA's key.
    pub ca_cert_hash: String,
    /// The pods' range.
    #[serde(default)]
    pub pod_subnet: Option<String>,
    /// The services' range.
    #[serde(default)]
    pub service_subnet: Option<String>,
    /// `external` where a cloud controller manager looks after the nodes.
    #[serde(default)]
    pub cloud_provider: Option<String>,
    /// Whether kube-proxy was installed with it; unknown for one that was not made here.
    #[serde(default)]
    pub kube_proxy: Option<bool>,
    /// How many workers an upgrade takes out of service at once; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<usize>,
    /// How long before their end certificates are renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<String>,
    /// Machines through which it can be managed.
    pub control_planes: Vec<Machine>,
}

/// Why a cluster cannot be managed now.
#[derive(Debug)]
pub struct NoControlPlane {
    /// Every machine was reached, and none is a control plane of this cluster: it is gone.
    pub gone: bool,
    reasons: Vec<String>,
    cluster: String,
}

impl NoControlPlane {
    /// The fault of an operation that needs the cluster.
    pub fn fault(self) -> Fault {
        let summary = if self.gone {
            format!("the cluster {} is gone: none of its machines is a control plane of it", self.cluster)
        } else {
            format!("no control plane of the cluster {} answers", self.cluster)
        };
        let (fault, hint) = if self.gone {
            (
                Fault::permanent(summary),
                "name the machines that are control planes of it in control_planes, or replace the cluster (-replace)",
            )
        } else {
            (
                Fault::transient(summary),
                "start one of them; `journalctl -u kubelet` there says what keeps its API server away",
            )
        };
        fault.details(self.reasons.join("\n")).hint(hint)
    }
}

/// What asking one machine gave.
enum Probe {
    Healthy(Box<Kubectl>),
    /// Reached, and no control plane of this cluster.
    Other(String),
    /// Not reached, or its API does not answer.
    Ill(String),
}

impl ClusterRef {
    /// A control plane that answers.
    ///
    /// # Errors
    /// There is none, and why.
    pub async fn kubectl(&self, ctx: &Context<Client>) -> Result<Kubectl, NoControlPlane> {
        self.kubectl_but(ctx, None).await
    }

    /// A control plane that answers, other than the machine with this address: one that outlives it.
    ///
    /// # Errors
    /// There is none, and why.
    pub async fn kubectl_but(
        &self,
        ctx: &Context<Client>,
        excluded: Option<&Connection>,
    ) -> Result<Kubectl, NoControlPlane> {
        let client = ctx.client();
        let mut candidates: Vec<&Machine> =
            self.control_planes.iter().filter(|c| excluded.is_none_or(|out| !same_machine(c, out))).collect();
        let last = client.last_healthy(&self.id);
        candidates.sort_by_key(|c| last.as_ref() != Some(&c.identity()));
        let (mut waiting, mut probes) = (candidates.into_iter(), FuturesUnordered::new());
        let (mut reasons, mut gone) = (Vec::new(), true);
        loop {
            if let Some(next) = waiting.next() {
                probes.push(self.probe(ctx, next));
            }
            let answer = tokio::select! {
                answer = probes.next() => answer,
                () = tokio::time::sleep(PATIENCE), if waiting.len() > 0 => continue,
            };
            match answer {
                Some(Probe::Healthy(kubectl)) => {
                    client.set_last_healthy(&self.id, kubectl.connection.identity());
                    return Ok(*kubectl);
                }
                Some(Probe::Other(why)) => reasons.push(why),
                Some(Probe::Ill(why)) => {
                    gone = false;
                    reasons.push(why);
                }
                None => return Err(NoControlPlane { gone, reasons, cluster: self.name.clone() }),
            }
        }
    }

    async fn probe(&self, ctx: &Context<Client>, connection: &Connection) -> Probe {
        let remote = match ctx.client().reach(ctx, connection).await {
            Ok(remote) => remote,
            Err(fault) => return Probe::Ill(fault.summary),
        };
        let name = remote.name();
        let script = format!(
            "cd /etc/kubernetes 2>/dev/null && [ -s admin.conf ] && [ -s pki/ca.crt ] || exit 0\n\
             echo '== ca'; cat pki/ca.crt\n\
             echo '== ready'; {KUBECTL} get --raw /readyz --request-timeout=15s 2>&1"
        );
        let output = match remote.ask(Exec::new(script).timeout(SHORT)).await {
            Ok(output) => output.stdout_str(),
            Err(fault) => return Probe::Ill(fault.summary),
        };
        let found = sections(&output);
        let section =
            |wanted: &str| found.iter().find(|(name, _)| *name == wanted).map(|(_, body)| body.trim());
        match section("ca").map(ca_cert_hash) {
            None => Probe::Other(format!("{name} is no control plane")),
            Some(Ok(hash)) if hash != self.ca_cert_hash => {
                Probe::Other(format!("{name} is a control plane of another cluster"))
            }
            Some(Err(error)) => Probe::Ill(format!("{name}: /etc/kubernetes/pki/ca.crt: {error}")),
            Some(Ok(_)) => match section("ready") {
                Some("ok") => Probe::Healthy(Box::new(Kubectl { remote, connection: connection.clone() })),
                answer => Probe::Ill(format!("{name}: the API is not ready: {}", answer.unwrap_or_default())),
            },
        }
    }
}

/// `kubectl` on one machine.
#[derive(Clone)]
pub struct Kubectl {
    /// The machine.
    pub remote: Remote,
    /// How it was reached.
    pub connection: Connection,
}

impl Kubectl {
    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// The host could not be asked, or kubectl failed.
    pub async fn run(&self, what: &str, args: &str) -> Result<String, Fault> {
        let output = self.remote.ask(Exec::new(format!("{KUBECTL} {args}")).timeout(SHORT)).await?;
        self.check(what, output)
    }

    /// Runs it with this standard input.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn feed(&self, what: &str, args: &str, input: &str) -> Result<String, Fault> {
        let exec = Exec::new(format!("{KUBECTL} {args}")).stdin(input).timeout(SHORT * 2);
        let output = self.remote.ask(exec).await?;
        self.check(what, output)
    }

    /// Gets an object, `args` being `node cp1` or `-n NS pod NAME`; `None` if there is none.
    ///
    /// # Errors
    /// As [`Self::run`], or what came is not JSON.
    pub async fn get(&self, args: &str) -> Result<Option<Json>, Fault> {
        let what = format!("kubectl get {args}");
        let text =
            self.run(&what, &format!("get {args} -o json --ignore-not-found --request-timeout=30s")).await?;
        if text.is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&text).map(Some).map_err(|error| {
            Fault::permanent(format!("{}: {what} answered what is not JSON", self.remote.name()))
                .source(error)
        })
    }

    /// A node, if it is there.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn node(&self, name: &str) -> Result<Option<Json>, Fault> {
        self.get(&format!("node {}", quote(name))).await
    }

    /// A finished call as text, or the fault that it is.
    ///
    /// # Errors
    /// kubectl failed: transient where the API was away or in motion.
    pub fn check(&self, what: &str, output: Output) -> Result<String, Fault> {
        if output.success() {
            return Ok(output.stdout_str());
        }
        let mut fault = self.remote.failure(what, &output);
        if is_passing(&output.stderr_str()) {
            fault.kind = Fault::transient("").kind;
        }
        Err(fault)
    }
}

/// Whether kubectl complains about something that passes: an API server that restarts, an etcd that elects a leader.
fn is_passing(stderr: &str) -> bool {
    [
        "Unable to connect to the server",
        "was refused",
        "connection refused",
        "connection reset",
        "i/o timeout",
        "TLS handshake timeout",
        "context deadline exceeded",
        "Client.Timeout",
        "unexpected EOF",
        "http2: ",
        "etcdserver: ",
        "(ServiceUnavailable)",
        "(Timeout)",
        "(InternalError)",
        "(TooManyRequests)",
        "(Conflict)",
        "unable to handle the request",
        "failed calling webhook",
    ]
    .iter()
    .any(|sign| stderr.contains(sign))
}

/// Whether a node of the API is Ready.
pub fn is_ready(node: &Json) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// Whether a node's kubelet still speaks. A node that is not Ready may only lack its network; one that is silent is
/// `Unknown` to the cluster.
pub fn is_alive(node: &Json) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    !conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "Unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_tried_again() {
        assert!(is_passing(
            "The connection to the server 10.0.0.9:6443 was refused - did you specify the right host or port?"
        ));
        assert!(is_passing("Error from server: etcdserver: leader changed"));
        assert!(is_passing("Error from server (InternalError): an error on the server"));
        assert!(!is_passing(
            "error: unable to recognize \"STDIN\": no matches for kind \"X\" in version \"y/v1\""
        ));
        assert!(!is_passing("Error from server (Forbidden): nodes is forbidden"));
    }

    #[test]
    fn a_node_is_ready_when_it_says_so_and_alive_while_it_speaks() {
        let node = |status: &str| serde_json::json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
        assert!(is_ready(&node("True")));
        assert!(!is_ready(&node("Unknown")));
        assert!(!is_ready(&Json::Null));
        assert!(is_alive(&node("True")) && is_alive(&node("False")) && !is_alive(&node("Unknown")));
    }
}
