//! Nova: key pairs, servers, server groups, attached volumes.

mod attach;
mod instance;
mod keypair;
mod lookup;
mod servergroup;

use grappe_http::Method;
use grappe_provider::{AnyResource, Fault, erased};
use serde_json::Value as Json;

use crate::client::{Call, Client, Service, inner};

pub(crate) use lookup::{Flavors, image_id, network_id};

/// The newest version in which a server's flavor still has its id.
pub(crate) const READ: &str = "2.46";

pub(crate) fn resources() -> Vec<Box<dyn AnyResource>> {
    vec![
        erased::resource(keypair::Keypair),
        erased::resource(instance::Instance),
        erased::resource(servergroup::ServerGroup),
        erased::resource(attach::Attach),
    ]
}

pub(crate) fn call<'a>(method: Method, region: Option<&'a str>, path: impl Into<String>) -> Call<'a> {
    Call::new(method, Service::Compute, region, path)
}

/// A server by its id.
pub(crate) async fn server(client: &Client, region: Option<&str>, id: &str) -> Result<Option<Json>, Fault> {
    match client.find(call(Method::GET, region, format!("servers/{id}")).version(READ)).await? {
        Some(found) => Ok(Some(inner(found, "server")?)),
        None => Ok(None),
    }
}
