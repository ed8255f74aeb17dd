//! `kube_config`: the admin's kubeconfig, for those who ask for it.
//!
//! Nothing else needs it: clusters are managed on their control planes. It holds a key that can do everything, so it is
//! sensitive, and sealed in the state.

use grappe_provider::{Context, Fault, Importable, Resource};
use grappe_provider_kubeadm::access::ClusterRef;
use grappe_provider_kubeadm::client::Client;
use grappe_provider_kubeadm::cluster::cluster_attribute;
use grappe_value::{Attribute, Schema, Type};
use serde::{Deserialize, Serialize};

const ADMIN_CONF: &str = "/etc/kubernetes/admin.conf";

/// The resource type.
pub struct KubeConfig;

/// What the configuration says.
#[derive(Debug, Clone, Deserialize)]
pub struct Args {
    cluster: ClusterRef,
    endpoint: Option<String>,
}

/// What was read.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    #[serde(skip_serializing)]
    cluster: ClusterRef,
    #[serde(default, skip_serializing)]
    endpoint: Option<String>,
    id: String,
    #[serde(default)]
    content: String,
}

impl Resource for KubeConfig {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "kube_config"
    }

    fn schema(&self) -> Schema {
        Schema::new("The kubeconfig of a cluster's admin.")
            .attr("cluster", cluster_attribute())
            .attr("endpoint", Attribute::optional(Type::String, "`host:port` of the API for whoever uses it, where that is not the cluster's own endpoint (which may be 127.0.0.1). Its host must be among the cluster's `cert_sans`.").replace())
            .attr("id", Attribute::computed(Type::String, "The cluster's id."))
            .attr("content", Attribute::computed(Type::String, "The kubeconfig.").sensitive().found_again())
    }

    fn importable(&self) -> Importable {
        Importable::Not("it is made of the cluster's access, which creating it asks for again")
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        let kubectl = match state.cluster.kubectl(ctx).await {
            Ok(kubectl) => kubectl,
            Err(none) if none.gone => return Ok(None),
            Err(none) => return Err(none.fault()),
        };
        let text = kubectl.remote.read(ADMIN_CONF).await?.unwrap_or_default();
        let content = with_server(&text, state.endpoint.as_deref());
        Ok(Some(State { content, ..state }))
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let kubectl = args.cluster.kubectl(ctx).await.map_err(|none| none.fault())?;
        let text = kubectl.remote.read(ADMIN_CONF).await?;
        let text =
            text.ok_or_else(|| Fault::transient(format!("{} has no {ADMIN_CONF}", kubectl.remote.name())))?;
        let content = with_server(&text, args.endpoint.as_deref());
        Ok(State { id: args.cluster.id.clone(), cluster: args.cluster, endpoint: args.endpoint, content })
    }

    async fn delete(&self, _: &Context<Client>, _: State) -> Result<(), Fault> {
        Ok(())
    }
}

/// The kubeconfig with another API server.
fn with_server(text: &str, endpoint: Option<&str>) -> String {
    let Some(endpoint) = endpoint else { return text.to_owned() };
    let line = |line: &str| match line.split_once("server: https://") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}server: https://{endpoint}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_server_changes() {
        let text = "clusters:\n- cluster:\n    certificate-authority-data: QQ==\n    server: https://127.0.0.1:5443\n  name: a\n";
        assert_eq!(with_server(text, None), text);
        assert_eq!(with_server(text, Some("api.lab:6443")), text.replace("127.0.0.1:5443", "api.lab:6443"));
    }
}
