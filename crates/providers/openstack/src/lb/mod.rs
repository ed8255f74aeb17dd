//! Octavia: load balancers, listeners, pools, members, monitors.

mod listener;
mod loadbalancer;
mod member;
mod members;
mod monitor;
mod pool;

use grappe_http::Method;
use grappe_provider::{AnyResource, Fault, erased};
use serde_json::Value as Json;

use crate::client::{Call, Service, inner};
use crate::thing::{Ctx, Object, Thing, of, text};

pub(crate) fn resources() -> Vec<Box<dyn AnyResource>> {
    vec![
        erased::resource(Thing::<loadbalancer::LoadBalancer>::new()),
        erased::resource(Thing::<listener::Listener>::new()),
        erased::resource(Thing::<pool::Pool>::new()),
        erased::resource(Thing::<member::Member>::new()),
        erased::resource(members::Members),
        erased::resource(Thing::<monitor::Monitor>::new()),
    ]
}

/// The id of the first of an object's parents: `[{"id": …}]`.
fn parent(object: &Json, key: &str) -> Json {
    object[key][0]["id"].clone()
}

/// The load balancer that a listener or a pool is of.
async fn balancer_of(
    ctx: &Ctx,
    object: &Object,
    (path, one, noun): (&str, &str, &str),
    id: &str,
) -> Result<Option<String>, Fault> {
    let call =
        Call::new(Method::GET, Service::LoadBalancer, text(object, "region"), format!("lbaas/{path}/{id}"));
    let gone = || Fault::gone(format!("the {noun} {id} is gone"));
    let found = inner(ctx.client().find(call).await?.ok_or_else(gone)?, one)?;
    Ok(Some(of(&found["loadbalancers"][0], "id").ok_or_else(gone)?.to_owned()))
}

const POOL: (&str, &str, &str) = ("pools", "pool", "pool");
const LISTENER: (&str, &str, &str) = ("listeners", "listener", "listener");
