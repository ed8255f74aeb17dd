//! Places in what only so many nodes of a cluster do at once: joining as a control plane, being upgraded.
//!
//! Not the engine's limits: those hold for a whole operation, and here most of one may run beside others (what a control
//! plane needs is fetched while another joins; workers join all at once, and only their upgrades take turns).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use grappe_provider::{Context, Fault};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client::Client;

/// The groups, by name. Who comes first says how many places a group has.
#[derive(Default)]
pub(crate) struct Places(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Places {
    fn group(&self, name: &str, places: usize) -> Arc<Semaphore> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.entry(name.into()).or_insert_with(|| Arc::new(Semaphore::new(places.max(1)))).clone()
    }
}

/// Waits for one of `places` places in a group. It is free again when what is returned is dropped.
///
/// # Errors
/// The user wishes to stop.
pub async fn place(ctx: &Context<Client>, group: &str, places: usize) -> Result<OwnedSemaphorePermit, Fault> {
    let semaphore = ctx.client().places.group(group, places);
    if let Ok(permit) = semaphore.clone().try_acquire_owned() {
        return Ok(permit);
    }
    ctx.progress("waiting for its turn");
    tokio::select! {
        permit = semaphore.acquire_owned() => Ok(permit.expect("no group is ever closed")),
        () = ctx.cancelled() => Err(Fault::permanent("stopped as asked, before its turn came")
            .hint("the next apply goes on from here")),
    }
}

/// The one place of a cluster's control planes, in which they join, leave and are changed: etcd takes one learner at a time,
/// and must keep its quorum.
///
/// # Errors
/// The user wishes to stop.
pub async fn of_control_plane(ctx: &Context<Client>, cluster: &str) -> Result<OwnedSemaphorePermit, Fault> {
    place(ctx, &format!("control planes of {cluster}"), 1).await
}
