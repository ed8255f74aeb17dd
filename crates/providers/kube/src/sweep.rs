//! `kube_sweep`: what a cluster's controllers have made outside of it goes before the cluster does.
//!
//! A Service of type LoadBalancer has a load balancer in the cloud, a claim has a volume. They are in no plan and no state, and once the cluster is gone nobody
//! deletes them: they are paid for, and hold the network that is to go. So they are deleted through the cluster's API, where their controllers still
//! run to do it: this goes before what it depends on, and must depend on all that they need.
//!
//! It acts only where the cluster goes in the same run. First a quota in each namespace keeps workloads and operators from making more; the quotas are taken back
//! when the sweep fails, and, where it was killed, by the next apply. Then Services and claims are deleted, and the pods that hold the claims: the
//! scheduler lets no pod near a claim that goes.

mod outside;

use std::collections::BTreeSet;
use std::time::Duration;

use grappe_kubeadm::join::redact;
use grappe_provider::{Change, Context, Fault, FaultKind, Importable, Problem, Resource, Timeouts};
use grappe_provider_host::duration;
use grappe_provider_kubeadm::access::{ClusterRef, Kubectl};
use grappe_provider_kubeadm::client::Client;
use grappe_provider_kubeadm::cluster::cluster_attribute;
use grappe_provider_kubeadm::wait::until;
use grappe_ssh::quote;
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::hanging;
use outside::Outside;

/// The label of the quotas.
const LABEL: &str = "grappe.dev/sweep";
/// How many of the things that did not go are explained.
const MOST: usize = 4;

/// The resource type.
pub struct KubeSweep;

/// What the configuration says.
#[derive(Debug, Deserialize)]
pub struct Args {
    cluster: ClusterRef,
    #[serde(default)]
    when_unreachable: Option<String>,
    #[serde(default)]
    timeout: Option<String>,
}

/// What would be swept now.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    #[serde(flatten, skip_serializing)]
    args: Args,
    id: String,
    #[serde(default)]
    load_balancers: Vec<String>,
    #[serde(default)]
    volumes: Vec<String>,
    /// A sweep that was cut off has left its quotas.
    #[serde(default)]
    closed: bool,
}

impl Resource for KubeSweep {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "kube_sweep"
    }

    fn schema(&self) -> Schema {
        Schema::new(
            "What goes before a cluster does: the load balancers of its Services, and the volumes of its claims whose reclaim policy is Delete, with all that \
             is on them. They are deleted through the cluster's API and waited for, so that nothing of them is left in the cloud. Nothing is done where the cluster \
             stays, and nothing to volumes that are kept (Retain) or are on the machines themselves. It must depend on all that the deletion needs, and goes before that: \
             `depends_on` names the nodes, the network plugin, the cloud controller manager and the driver.",
        )
        .attr("cluster", cluster_attribute())
        .attr(
            "when_unreachable",
            Attribute::optional(
                Type::String,
                "What becomes of the sweep of a cluster in which no control plane answers: `fail`, and nothing goes that it stands on; or `skip`, and what the cluster has made \
                 stays in the cloud.",
            )
            .default("fail")
            .record(),
        )
        .attr(
            "timeout",
            Attribute::optional(Type::String, "How long they have to go, all together.").default("15m").record(),
        )
        .attr("id", Attribute::computed(Type::String, "The cluster's id, and `/sweep`."))
        .attr(
            "load_balancers",
            Attribute::computed(Type::list(Type::String), "The Services with a load balancer: what goes with the cluster.").takes_along(),
        )
        .attr(
            "volumes",
            Attribute::computed(Type::list(Type::String), "The claims with a volume outside, and volumes whose claim is gone: what goes with the cluster.").takes_along(),
        )
        .attr(
            "closed",
            Attribute::computed(
                Type::Bool,
                "Whether a sweep that was cut off still keeps the cluster from making more. An apply takes that back.",
            ),
        )
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let text = |name: &str| config.get(name).and_then(Value::as_str);
        let mut problems = Vec::new();
        match text("when_unreachable") {
            None | Some("fail") => {}
            Some("skip") => problems.push(Problem::warning(
                "when_unreachable",
                "where no control plane answers, the cluster goes and what it has made stays in the cloud",
            )),
            Some(other) => {
                problems.push(Problem::new("when_unreachable", format!("it is fail or skip, not {other:?}")));
            }
        }
        if let Some(Err(problem)) = text("timeout").map(duration::parse) {
            problems.push(Problem::new("timeout", problem));
        }
        problems
    }

    fn plan(&self, change: &mut Change<'_>) {
        change.set("closed", false.into());
    }

    fn timeouts(&self) -> Timeouts {
        Timeouts { delete: Duration::from_secs(60 * 60), ..Timeouts::default() }
    }

    fn importable(&self) -> Importable {
        Importable::Not("there is nothing to find: creating it makes nothing")
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        match state.args.cluster.kubectl(ctx).await {
            Ok(kubectl) => Ok(Some(state.args.found(&look(&kubectl).await?))),
            Err(none) if none.gone => Ok(None),
            Err(none) => Err(none.fault()),
        }
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let kubectl = args.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        reopen(&kubectl).await?;
        let found = look(&kubectl).await?;
        Ok(args.found(&found))
    }

    async fn update(&self, ctx: &Context<Client>, _: State, args: Args) -> Result<State, Fault> {
        self.create(ctx, args).await
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        let goes = ctx.goes(&state.args.cluster.id);
        if !goes && !state.closed {
            return Ok(());
        }
        let skip = state.args.when_unreachable.as_deref() == Some("skip");
        match state.args.cluster.kubectl(ctx).await {
            Ok(kubectl) if !goes => reopen(&kubectl).await,
            Ok(_) => state.args.sweep(ctx).await,
            Err(none) if none.gone || skip || !goes => {
                ctx.progress("nothing is swept: what the cluster has made stays in the cloud");
                Ok(())
            }
            Err(none) => Err(none.fault().hint(format!(
                "start a control plane; or give up what the cluster has made in the cloud: `grappe state rm '{}'`, and look for load balancers and volumes of its name afterwards",
                ctx.addr()
            ))),
        }
    }
}

impl Args {
    fn found(self, outside: &Outside) -> State {
        State {
            id: format!("{}/sweep", self.cluster.id),
            load_balancers: outside.load_balancers(),
            volumes: outside.volumes(),
            closed: !outside.closed.is_empty(),
            args: self,
        }
    }

    async fn sweep(&self, ctx: &Context<Client>) -> Result<(), Fault> {
        let limit = duration::parse(self.timeout.as_deref().unwrap_or("15m"))
            .map_err(|problem| Fault::permanent(problem).attribute("timeout"))?;
        let swept = until(ctx, "what the cluster has made in the cloud to go", limit, || async {
            // Whichever control plane answers: the one that did may be gone.
            let kubectl = self.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
            let outside = look(&kubectl).await?;
            if outside.is_empty() {
                return Ok(Ok(outside.kept));
            }
            close(&kubectl, &outside.closed).await?;
            let pods = if outside.claims.is_empty() { Json::Null } else { list(&kubectl, "pods").await? };
            let doomed = outside.doomed(&pods);
            if !doomed.is_empty() {
                let text = grappe_kubeadm::config::yaml::documents(&doomed);
                let args = "delete -f - --ignore-not-found --wait=false";
                kubectl.feed("delete what the cluster has made in the cloud", args, &text).await?;
            }
            Ok(Err(outside.left(&pods)))
        })
        .await;
        match swept {
            Ok(kept) => {
                if !kept.is_empty() {
                    ctx.progress(format!("kept, as their reclaim policy says: {}", kept.join(", ")));
                }
                Ok(())
            }
            Err(fault) => Err(self.given_up(ctx, fault).await),
        }
    }

    /// The fault of a sweep that did not come to its end, with why. The cluster may make load balancers and volumes again.
    async fn given_up(&self, ctx: &Context<Client>, mut fault: Fault) -> Fault {
        if fault.is_transient() {
            // All the time that it may take is over: another try is the user's to begin.
            fault.kind = FaultKind::Permanent;
            fault.hint = Some(format!(
                "its controller must run and reach the cloud: look at the pods of the cloud controller manager and the driver; \
                 or give up what is left there: `grappe state rm '{}'`",
                ctx.addr()
            ));
        }
        let Ok(kubectl) = self.cluster.kubectl(ctx).await else { return fault };
        if let Ok(outside) = look(&kubectl).await {
            for (namespace, name) in outside.places().into_iter().take(MOST) {
                let field = quote(&format!("involvedObject.name={name}"));
                let args = format!("-n {} events --field-selector {field}", quote(&namespace));
                let events = kubectl.get(&args).await.ok().flatten().unwrap_or_default();
                if let Some(said) = hanging::warning(&events) {
                    fault = fault.details(redact(&format!("{name}: its event: {said}")));
                }
            }
        }
        match reopen(&kubectl).await {
            Ok(()) => fault,
            Err(_) => fault.details("its quotas are left in the namespaces: an apply takes them back"),
        }
    }
}

async fn list(kubectl: &Kubectl, kinds: &str) -> Result<Json, Fault> {
    Ok(kubectl.get(&format!("{kinds} --all-namespaces")).await?.unwrap_or_default())
}

async fn look(kubectl: &Kubectl) -> Result<Outside, Fault> {
    let kinds = "services,persistentvolumeclaims,persistentvolumes,resourcequotas";
    Ok(Outside::of(&list(kubectl, kinds).await?))
}

/// Keeps all namespaces but those that are `closed` from getting more load balancers and claims.
async fn close(kubectl: &Kubectl, closed: &BTreeSet<String>) -> Result<(), Fault> {
    let namespaces = kubectl.get("namespaces").await?.unwrap_or_default();
    let open = namespaces["items"].as_array().into_iter().flatten().filter(|namespace| {
        let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
        namespace["status"]["phase"] != "Terminating" && !closed.contains(name)
    });
    let quota = |namespace: &Json| {
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "grappe-sweep", "namespace": namespace["metadata"]["name"], "labels": {LABEL: ""}},
            "spec": {"hard": {"services.loadbalancers": "0", "persistentvolumeclaims": "0"}},
        })
    };
    let quotas: Vec<Json> = open.map(quota).collect();
    if quotas.is_empty() {
        return Ok(());
    }
    let args = "apply --server-side --force-conflicts --field-manager=grappe -f -";
    let text = grappe_kubeadm::config::yaml::documents(&quotas);
    kubectl.feed("keep the cluster from making more", args, &text).await.map(drop)
}

/// Lets the cluster make load balancers and volumes again.
async fn reopen(kubectl: &Kubectl) -> Result<(), Fault> {
    let args = format!("delete resourcequotas --all-namespaces -l {LABEL} --ignore-not-found");
    kubectl.run("take back the sweep's quotas", &args).await.map(drop)
}
