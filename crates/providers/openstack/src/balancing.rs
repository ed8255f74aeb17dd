//! What changes below a load balancer: Octavia takes one change at a time, and refuses others (409) while it is at work on one.
//!
//! So changes queue up here, by load balancer, and each waits until the balancer is ACTIVE. All that wait look at the same list ([`crate::roll`]).

use grappe_provider::Fault;
use serde_json::Value as Json;

use crate::client::Service;
use crate::roll::{Look, wait};
use crate::thing::{Ctx, of};

/// Waits until a load balancer takes changes.
pub(crate) async fn ready(ctx: &Ctx, region: Option<&str>, id: &str) -> Result<Json, Fault> {
    let found = wait(ctx, (Service::LoadBalancer, region, id), |balancer| {
        let status = balancer.and_then(|b| of(b, "provisioning_status"));
        match status {
            None | Some("DELETED") => Err(Fault::gone(format!("the load balancer {id} is gone"))),
            // It takes changes in this state too, and one may mend it; a new one has no other way to say that it failed.
            Some("ACTIVE" | "ERROR") => Ok(Look::Done),
            Some(status) => Ok(Look::Wait(format!("the load balancer is {status}"))),
        }
    })
    .await?;
    found.ok_or_else(|| Fault::gone("the load balancer is gone"))
}

/// Waits until a load balancer has done what it was asked to.
pub(crate) async fn settled(ctx: &Ctx, region: Option<&str>, id: &str, doing: &str) -> Result<Json, Fault> {
    let now = ready(ctx, region, id).await?;
    if of(&now, "provisioning_status") == Some("ERROR") {
        return Err(Fault::permanent(format!("the load balancer {id} is in ERROR {doing}"))
            .hint("`openstack loadbalancer show` and Octavia's log say more; an administrator can bring it back (openstack loadbalancer failover)"));
    }
    Ok(now)
}

/// Waits until a load balancer is gone.
pub(crate) async fn gone(ctx: &Ctx, region: Option<&str>, id: &str) -> Result<(), Fault> {
    wait(ctx, (Service::LoadBalancer, region, id), |balancer| {
        match balancer.and_then(|b| of(b, "provisioning_status")) {
            None | Some("DELETED") => Ok(Look::Done),
            Some("ERROR") => {
                Err(Fault::permanent(format!("the load balancer {id} could not be deleted: it is in ERROR")))
            }
            Some(status) => Ok(Look::Wait(format!("the load balancer is {status}"))),
        }
    })
    .await
    .map(drop)
}
