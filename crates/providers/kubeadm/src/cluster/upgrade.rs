//! A new release for the control planes, when `version` changes.
//!
//! An upgrade is spread over the resources that it concerns, so that each shows in the plan what it goes through:
//! - `kubeadm_host` sets the package source of the new release;
//! - `kubeadm_cluster` (here) takes the control planes' components there: hop by hop of one minor each, and in each hop one
//!   control plane after the other, the first by `kubeadm upgrade apply`, the others by `kubeadm upgrade node`. Nothing is
//!   drained: the kubelets go on in their old release, which may be older than the API servers', never newer;
//! - `kubeadm_control_plane` and `kubeadm_worker` then take their kubelet there ([`crate::node::kubelet`]), each with its own
//!   drain policy: control planes one at a time, workers `max_unavailable` at a time.
//!
//! Before each hop etcd is saved ([`crate::snapshot`]). What is done already is read from the machines (the tags in their
//! manifests, the version in kubeadm's own configuration), so that an upgrade that was cut off goes on where it was; a mark
//! on the machine says that its `upgrade apply` has not come to its end, which is then run again.

use std::time::Duration;

use grappe_kubeadm::upgrade::hops;
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::{Context, Fault};
use grappe_ssh::Exec;
use grappe_value::Path;

use super::reconfigure::Here;
use super::{Args, State};
use crate::client::Client;
use crate::host::release;
use crate::node::{self, kubeadm_fault, local_api_ready};
use crate::remote::LONG;
use crate::reset::wait_for_other_kubeadm;
use crate::snapshot;
use crate::wait::until;

/// Left while `kubeadm upgrade apply` runs; holds the release.
const MARK: &str = "/etc/kubernetes/grappe-upgrade";
const LIMIT: Duration = Duration::from_secs(300);

/// Takes all control planes from the prior release to the new one.
///
/// # Errors
/// One of them cannot be reached or is ill (nothing is changed then), no repository has the release, or kubeadm fails.
pub(super) async fn run(ctx: &Context<Client>, prior: &State, args: &Args) -> Result<(), Fault> {
    let (old, new) = (node::version(&prior.cluster.version)?, node::version(&args.version)?);
    let way = hops(&old, &new)
        .map_err(|refused| Fault::permanent(refused.to_string()).attribute("version").hint(refused.hint()))?;
    if way.is_empty() {
        return Ok(());
    }
    let all = Here::all(ctx, prior, args).await?;
    for hop in &way {
        upgrade(ctx, args, &all, hop).await?;
    }
    Ok(())
}

/// One hop of all of them.
async fn upgrade(
    ctx: &Context<Client>,
    args: &Args,
    all: &[Here],
    hop: &KubernetesVersion,
) -> Result<(), Fault> {
    let mut target = hop.clone();
    let (mut saved, mut offered) = (false, false);
    for here in all {
        wait_for_other_kubeadm(&here.remote).await?;
        let unfinished = here.remote.read(MARK).await?.is_some();
        if !unfinished && here.release().await?.is_some_and(|release| !is_before(&release, &target)) {
            continue;
        }
        if !saved {
            // All are well before anything changes; and what was reached so far can be gone back to.
            for other in all {
                local_api_ready(ctx, &other.remote, &other.endpoint, LIMIT).await?;
            }
            until(ctx, "etcd's snapshot", LIMIT, || async {
                snapshot::take(ctx, &here.kubectl(), "upgrade").await.map(Ok)
            })
            .await?;
            saved = true;
        }
        if !offered {
            get_ready(here, &target).await?;
            offered = true;
        } else {
            // The release is there; this machine's `kubeadm_host` may not have set the source yet, or set it just now.
            until(ctx, &format!("the package source of {}", here.name), LIMIT, || async {
                match get_ready(here, &target).await {
                    Err(fault) if fault.attribute == Some(Path::attr("version")) => Ok(Err(fault.summary)),
                    done => done.map(Ok),
                }
            })
            .await?;
        }
        if target.patch().is_none() {
            // A hop between is whatever patch release the repository has; all take the same.
            let printed = here.remote.sh("kubeadm version", "kubeadm version -o short").await?;
            target = node::version(printed.trim())?;
        }
        here.upgrade(ctx, args, &target, unfinished).await?;
    }
    Ok(())
}

/// Sets the package source to a release, and installs its kubeadm. kubectl goes along: it may be one minor away from the API
/// servers, no more.
async fn get_ready(here: &Here, target: &KubernetesVersion) -> Result<(), Fault> {
    set_minor(here, target).await?;
    release::install(&here.remote, &["kubeadm", "kubectl"], target).await
}

/// Whether a release comes before another, which may be any of its minor.
fn is_before(release: &KubernetesVersion, target: &KubernetesVersion) -> bool {
    if target.patch().is_none() { release.minor() < target.minor() } else { release < target }
}

/// Upstream's repositories hold one minor each: the source is set to that of the hop. Other sources stay as they are.
async fn set_minor(here: &Here, target: &KubernetesVersion) -> Result<(), Fault> {
    let script = format!(
        "for f in /etc/apt/sources.list.d/kubernetes.list /etc/yum.repos.d/kubernetes.repo; do\n\
         if [ -s $f ]; then sed -i 's#/core:/stable:/v1\\.[0-9]*/#/core:/stable:/{}/#' $f; fi\ndone",
        target.series()
    );
    here.remote.sh("set the package source", &script).await.map(|_| ())
}

impl Here {
    /// The release of its API server.
    async fn release(&self) -> Result<Option<KubernetesVersion>, Fault> {
        let script = "sed -n 's/^ *image: .*:v//p' /etc/kubernetes/manifests/kube-apiserver.yaml";
        let tag = self.remote.sh("look at the API server's manifest", script).await?;
        // A registry's tag has `_` for the `+` of build metadata.
        Ok(tag.trim().split('_').next().and_then(|tag| tag.parse().ok()))
    }

    async fn upgrade(
        &self,
        ctx: &Context<Client>,
        args: &Args,
        target: &KubernetesVersion,
        unfinished: bool,
    ) -> Result<(), Fault> {
        let tag = target.tag().map_err(|error| Fault::permanent(error.to_string()).attribute("version"))?;
        let first =
            unfinished || self.cluster_release().await?.is_none_or(|release| is_before(&release, target));
        let flags = args.settings.upgrade_flags(target).join(" ");
        let (what, command) = if first {
            let apply = format!("kubeadm upgrade apply {tag} -y {flags}");
            ("kubeadm upgrade apply", format!("echo {tag} > {MARK} && {apply} && rm -f {MARK}"))
        } else {
            ("kubeadm upgrade node", format!("kubeadm upgrade node {flags}"))
        };
        ctx.progress(format!("{what} on {}: {target}", self.name));
        let output = self.remote.watch(Exec::new(command).timeout(LONG)).await?;
        if !output.success() {
            return Err(kubeadm_fault(&self.remote, what, &output).await);
        }
        local_api_ready(ctx, &self.remote, &self.endpoint, LIMIT).await
    }

    /// The release that kubeadm's own configuration names: that of the last `upgrade apply`.
    async fn cluster_release(&self) -> Result<Option<KubernetesVersion>, Fault> {
        let map = self.kubectl().get("-n kube-system configmap kubeadm-config").await?.unwrap_or_default();
        let config = map["data"]["ClusterConfiguration"].as_str().unwrap_or_default();
        let line = config.lines().find_map(|line| line.strip_prefix("kubernetesVersion:"));
        Ok(line.and_then(|version| version.trim().parse().ok()))
    }
}
