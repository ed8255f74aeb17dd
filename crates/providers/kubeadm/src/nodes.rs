//! All nodes of a cluster in one call, shared by those who ask at the same time.
//!
//! A refresh of a hundred nodes asks a hundred times at once. Whoever comes first fetches the list; whoever asked before
//! that fetch began takes its answer, which is as new as one of their own would be. Nobody gets what was fetched before
//! they asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use grappe_provider::{Context, Fault};
use serde_json::Value as Json;
use tokio::time::Instant;

use crate::access::ClusterRef;
use crate::client::Client;

/// The nodes by name.
pub type Nodes = HashMap<String, Json>;

/// The last list of each cluster, and when its fetch began.
#[derive(Default)]
pub(crate) struct Lists(Mutex<HashMap<String, Slot>>);

type Slot = Arc<tokio::sync::Mutex<Option<(Instant, Answer)>>>;
/// The list, or why there is none: a dead cluster is waited for once, not once for each node.
type Answer = Result<Option<Arc<Nodes>>, Arc<Fault>>;

impl Lists {
    fn slot(&self, cluster: &str) -> Slot {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(cluster.into()).or_default().clone()
    }
}

impl ClusterRef {
    /// All nodes; `None` where the cluster is gone.
    ///
    /// # Errors
    /// No control plane answers.
    pub async fn nodes(&self, ctx: &Context<Client>) -> Result<Option<Arc<Nodes>>, Fault> {
        let asked = Instant::now();
        let slot = ctx.client().lists.slot(&self.id);
        let mut last = slot.lock().await;
        if let Some((began, answer)) = &*last
            && *began >= asked
        {
            return answer.clone().map_err(|fault| same(&fault));
        }
        let began = Instant::now();
        let answer = self.fetch_nodes(ctx).await.map_err(Arc::new);
        *last = Some((began, answer.clone()));
        answer.map_err(|fault| same(&fault))
    }

    async fn fetch_nodes(&self, ctx: &Context<Client>) -> Result<Option<Arc<Nodes>>, Fault> {
        let kubectl = match self.kubectl(ctx).await {
            Ok(kubectl) => kubectl,
            Err(none) if none.gone => return Ok(None),
            Err(none) => return Err(none.fault()),
        };
        let list = kubectl.get("nodes").await?.unwrap_or_default();
        let items = list["items"].as_array().into_iter().flatten();
        let named =
            items.filter_map(|node| Some((node["metadata"]["name"].as_str()?.to_owned(), node.clone())));
        Ok(Some(Arc::new(named.collect())))
    }
}

/// The same fault for one more who waited for it.
fn same(fault: &Fault) -> Fault {
    let mut copy = Fault::permanent(fault.summary.clone());
    copy.kind = fault.kind;
    copy.details.clone_from(&fault.details);
    copy.hint.clone_from(&fault.hint);
    copy
}
