//! A machine as a node of a cluster: what joining ([`joining`]) and leaving ([`leaving`]) have in common, and reading one.

pub mod joining;
pub mod kubelet;
pub mod leaving;
mod secrets;

use std::time::Duration;

use grappe_kubeadm::config::LocalEndpoint;
use grappe_kubeadm::join;
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::{Context, Fault};
use grappe_provider_host::Connection;
use grappe_ssh::{Exec, quote};
use serde_json::Value as Json;

use crate::access::{ClusterRef, KUBECTL, is_alive};
use crate::certificates;
use crate::client::Client;
use crate::drain;
use crate::remote::{LONG, Remote};
use crate::standing::{Standing, sections};
use crate::wait::until;

pub use self::joining::{Joining, Role};
pub use self::leaving::Leaving;

/// What reading a node gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The kubelet's version, without `v`.
    pub version: String,
    /// Whether it was closed for an upgrade or a removal that was cut off before it opened it again.
    pub closed: bool,
    /// The certificate that ends first, of a control plane.
    pub certificate: Option<certificates::First>,
}

/// Waits until the API server of this very host, not of another behind the load balancer, is ready.
///
/// # Errors
/// Not within `limit`.
pub async fn local_api_ready(
    ctx: &Context<Client>,
    remote: &Remote,
    endpoint: &LocalEndpoint,
    limit: Duration,
) -> Result<(), Fault> {
    let address = endpoint.advertise_address.as_deref().map(|address| {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        format!(" --server https://{host}:{}", endpoint.bind_port.unwrap_or(6443))
    });
    let script = format!("{KUBECTL}{} get --raw /readyz --request-timeout=10s", address.unwrap_or_default());
    until(ctx, &format!("the API server on {}", remote.name()), limit, || async {
        let output = remote.ask(Exec::new(&script).timeout(Duration::from_secs(30))).await?;
        if output.success() && output.stdout_str() == "ok" {
            return Ok(Ok(()));
        }
        let said = if output.stderr_str().is_empty() { output.stdout_str() } else { output.stderr_str() };
        Ok(Err(not_ready(&said)))
    })
    .await
}

/// Which checks of `/readyz` fail, out of the page that kubectl quotes on one line; or its last line.
fn not_ready(said: &str) -> String {
    let failed: Vec<&str> =
        said.split("[-]").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    if failed.is_empty() { said.lines().last().unwrap_or("no answer").to_owned() } else { failed.join(", ") }
}

/// What kubeadm's failure means: a preflight error stays until somebody changes something; the rest (time-outs, an API
/// that was away) may pass, after the leftovers were reset. The kubelet's last words go along.
pub async fn kubeadm_fault(remote: &Remote, what: &str, output: &grappe_ssh::Output) -> Fault {
    let mut fault = remote.failure(what, output);
    let preflight = output.stderr_str().contains("[preflight] Some fatal errors occurred")
        || output.stderr_str().contains("[ERROR ");
    if preflight {
        return fault
            .hint("mend what is named above; a check that does not apply goes into ignore_preflight_errors");
    }
    fault.kind = Fault::transient("").kind;
    // Errors and fatal ends only: a kubelet that crashes writes pages of stacks.
    let script =
        "journalctl -u kubelet --no-pager -n 400 -o cat 2>/dev/null | grep -E '^[EF][0-9]{4} ' | tail -n 8";
    let journal = Exec::new(script).timeout(Duration::from_secs(30));
    match remote.ask(journal).await {
        Ok(output) if !output.stdout.is_empty() => {
            fault.details(format!("the kubelet's log:\n{}", join::redact(&output.stdout_str())))
        }
        _ => fault,
    }
}

/// Deletes a node's object; that there is none is fine.
fn delete_node(name: &str) -> String {
    format!("delete node {} --ignore-not-found --timeout=50s", quote(name))
}

fn known(node: &Json) -> Known {
    let version = node["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default();
    Known {
        version: version.trim_start_matches('v').to_owned(),
        closed: drain::is_closed_here(node),
        certificate: None,
    }
}

/// The cluster's version, which was valid when it was made.
pub fn version(text: &str) -> Result<KubernetesVersion, Fault> {
    text.parse().map_err(|error: grappe_kubeadm::version::Error| Fault::permanent(error.to_string()))
}

/// Reads a node: `None` where the cluster does not know it, or the host is none any more.
///
/// # Errors
/// No control plane answers, or the host cannot be asked: nothing is concluded from silence.
pub async fn read(
    ctx: &Context<Client>,
    cluster: &ClusterRef,
    connection: &Connection,
    name: &str,
) -> Result<Option<Known>, Fault> {
    let Some(nodes) = cluster.nodes(ctx).await? else { return Ok(None) };
    let Some(node) = nodes.get(name) else { return Ok(None) };
    let found = match ctx.client().reach(ctx, connection).await {
        Ok(remote) => Standing::read_also(&remote, certificates::SCRIPT).await,
        Err(fault) => Err(fault),
    };
    let (standing, more) = match found {
        Ok(found) => found,
        // A machine that died still has its node: it can be planned away.
        Err(fault) if fault.is_transient() && !is_alive(node) => return Ok(Some(known(node))),
        Err(fault) => return Err(fault),
    };
    let here = standing.kubelet_conf && standing.ca_cert_hash.as_ref() == Some(&cluster.ca_cert_hash);
    Ok(here.then(|| Known { certificate: certificates::First::of(&sections(&more)), ..known(node) }))
}

/// The name a host registers under where none is given: its own, in lower case.
///
/// # Errors
/// The host could not be asked.
pub async fn host_name(remote: &Remote) -> Result<String, Fault> {
    let name = remote.sh("read the host's name", "uname -n").await?.trim().to_lowercase();
    if name.is_empty() {
        Err(Fault::permanent(format!("{} has no host name", remote.name())).hint("set node_name"))
    } else {
        Ok(name)
    }
}

/// How long a join or a departure may take.
pub const TIMEOUT: Duration = Duration::from_secs(LONG.as_secs() + 10 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_that_fail_are_named() {
        let page = "Error from server (InternalError): an error on the server (\"[+]ping ok\\n[-]informer-sync failed: reason \
                    withheld\\n[-]poststarthook/rbac failed: reason withheld\\nreadyz check failed\") has prevented the request";
        assert_eq!(not_ready(page), "informer-sync, poststarthook/rbac");
        assert_eq!(not_ready("a\nthe connection was refused"), "the connection was refused");
        assert_eq!(not_ready(""), "no answer");
    }
}
