//! Changed settings on a running cluster, one control plane after the other.
//!
//! `kubeadm upgrade` does not apply changed settings; kubeadm's own way is to run single phases of init again:
//! `upload-config` once (what joins and upgrades take from then on), and on each control plane `certs apiserver` (new
//! names) and `control-plane all`, `etcd local` (new arguments). The kubelet restarts what a changed manifest describes;
//! the next control plane waits until that is done here. The kubelets' settings are uploaded for the nodes that take them later;
//! kube-proxy, whose pods read theirs when they start, is restarted.
//! Source: <https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-reconfigure/>

use std::time::Duration;

use grappe_kubeadm::config::LocalEndpoint;
use grappe_provider::{Context, Fault};
use grappe_provider_host::Connection;
use serde_json::{Map, Value as Json};

use super::{Args, State};
use crate::access::Kubectl;
use crate::client::Client;
use crate::node::{kubeadm_fault, local_api_ready};
use crate::remote::Remote;
use crate::snapshot;
use crate::standing::{Standing, sections};
use crate::static_pods;
use crate::wait::until;

const FILE: &str = "/etc/kubernetes/grappe-reconfigure.yaml";
const LIMIT: Duration = Duration::from_secs(300);

/// A control plane as its own manifests describe it.
pub(super) struct Here {
    pub(super) remote: Remote,
    connection: Connection,
    pub(super) name: String,
    pub(super) endpoint: LocalEndpoint,
}

/// Brings the settings to all control planes.
///
/// # Errors
/// One of them cannot be reached (nothing is changed then), kubeadm fails, or a component does not come back.
pub(super) async fn run(ctx: &Context<Client>, prior: &State, args: &Args) -> Result<(), Fault> {
    let all = Here::all(ctx, prior, args).await?;
    let Some(first) = all.first() else { return Ok(()) };
    until(ctx, "etcd's snapshot", LIMIT, || async {
        snapshot::take(ctx, &first.kubectl(), "reconfigure").await.map(Ok)
    })
    .await?;
    ctx.progress("uploading the settings");
    first.phases(args, &["upload-config kubeadm"]).await?;
    let settings = &args.settings;
    if differ(prior.kubelet_config.as_ref(), &settings.kubelet_config) {
        first.phases(args, &["upload-config kubelet"]).await?;
    }
    for here in &all {
        ctx.progress(format!("putting the settings into {}", here.name));
        here.apply(ctx, prior, args).await?;
    }
    if settings.has_kube_proxy() && differ(prior.kube_proxy_config.as_ref(), &settings.kube_proxy_config) {
        ctx.progress("restarting kube-proxy");
        first.phases(args, &["addon kube-proxy"]).await?;
        let restart = "-n kube-system rollout restart daemonset kube-proxy";
        first.kubectl().run("restart kube-proxy", restart).await?;
    }
    Ok(())
}

/// Whether fields are others than before, when there may have been none.
fn differ(before: Option<&Json>, now: &Map<String, Json>) -> bool {
    before.and_then(Json::as_object).map_or(!now.is_empty(), |before| before != now)
}

impl Here {
    /// All control planes of the cluster among its machines: those that the plan names, since what is remembered of them may
    /// be of machines that were replaced.
    ///
    /// # Errors
    /// A machine cannot be reached, or none is a control plane any more.
    pub(super) async fn all(ctx: &Context<Client>, prior: &State, args: &Args) -> Result<Vec<Self>, Fault> {
        let mut all = Vec::new();
        let host = std::slice::from_ref(&args.host);
        for machine in args.control_planes.as_deref().unwrap_or(host) {
            let remote = ctx.client().reach(ctx, machine).await?;
            let standing = Standing::read(&remote).await?;
            if standing.admin_conf && standing.ca_cert_hash.as_ref() == Some(&prior.ca_cert_hash) {
                all.push(Here::read(remote, (**machine).clone()).await?);
            }
        }
        if all.is_empty() {
            return Err(Fault::gone("none of the machines is a control plane of the cluster any more"));
        }
        Ok(all)
    }

    /// The cluster, through this control plane.
    pub(super) fn kubectl(&self) -> Kubectl {
        Kubectl { remote: self.remote.clone(), connection: self.connection.clone() }
    }

    async fn read(remote: Remote, connection: Connection) -> Result<Self, Fault> {
        let argument = |flag: &str, file: &str| {
            format!(
                "echo '== {flag}'; sed -n 's/^ *- --{flag}=//p' /etc/kubernetes/manifests/{file}.yaml 2>/dev/null\n"
            )
        };
        let script = argument("advertise-address", "kube-apiserver")
            + &argument("secure-port", "kube-apiserver")
            + &argument("name", "etcd")
            + "echo '== host'; uname -n\n";
        let output = remote.sh("look at the control plane's manifests", &script).await?;
        let found = sections(&output);
        let value = |wanted: &str| {
            let body = found.iter().find(|(name, _)| *name == wanted).map_or("", |(_, body)| body.trim());
            (!body.is_empty()).then(|| body.to_owned())
        };
        let name = value("name").or_else(|| value("host").map(|name| name.to_lowercase()));
        let address = value("advertise-address");
        let (Some(name), Some(address)) = (name, address) else {
            return Err(Fault::permanent(format!(
                "{}: the API server's manifest names no address",
                remote.name()
            )));
        };
        let bind_port = value("secure-port").and_then(|port| port.parse().ok());
        Ok(Self {
            remote,
            connection,
            name,
            endpoint: LocalEndpoint { advertise_address: Some(address), bind_port },
        })
    }

    /// Runs phases of init with the new settings, as this control plane.
    async fn phases(&self, args: &Args, phases: &[&str]) -> Result<(), Fault> {
        let mut file = args.init_file(&self.endpoint, &self.name)?;
        // Phases are named here one by one: what init left out does not matter.
        file.flags.retain(|flag| !flag.starts_with("--skip-phases"));
        for phase in phases {
            let command = format!("kubeadm init phase {phase} {} --config", file.flags.join(" "));
            let output = self.remote.with_file(FILE, file.yaml.expose(), &command).await?;
            if !output.success() {
                return Err(
                    kubeadm_fault(&self.remote, &format!("kubeadm init phase {phase}"), &output).await
                );
            }
        }
        Ok(())
    }

    async fn apply(&self, ctx: &Context<Client>, prior: &State, args: &Args) -> Result<(), Fault> {
        let before = static_pods::hashes(&self.remote).await?;
        if prior.cert_sans != args.settings.cert_sans {
            self.renew_certificate(args).await?;
        }
        self.phases(args, &["control-plane all"]).await?;
        if prior.etcd != args.settings.etcd {
            self.phases(args, &["etcd local"]).await?;
        }
        let after = static_pods::hashes(&self.remote).await?;
        for changed in after.iter().filter(|manifest| !before.contains(manifest)) {
            ctx.progress(format!("{} restarts on {}", changed.0, self.name));
            static_pods::runs(ctx, &self.kubectl(), &changed.0, &self.name).await?;
        }
        local_api_ready(ctx, &self.remote, &self.endpoint, LIMIT).await
    }

    /// A new certificate for the API server, which reads it again by itself. The old one comes back if that fails.
    async fn renew_certificate(&self, args: &Args) -> Result<(), Fault> {
        let pki = "/etc/kubernetes/pki";
        // Written so that a run that was cut off in between can be done again.
        let aside = format!(
            "cd {pki} || exit 1\nfor f in apiserver.crt apiserver.key; do\nif [ -f $f ]; then mv -f $f $f.old; fi\ndone"
        );
        self.remote.sh("put the API server's certificate aside", &aside).await?;
        let made = self.phases(args, &["certs apiserver"]).await;
        let end = match made {
            Ok(()) => "rm -f apiserver.crt.old apiserver.key.old",
            Err(_) => {
                "for f in apiserver.crt apiserver.key; do if [ -f $f.old ]; then mv -f $f.old $f; fi; done"
            }
        };
        self.remote.sh("put the API server's certificate in place", &format!("cd {pki} && {end}")).await?;
        made
    }
}
