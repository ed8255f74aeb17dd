//! `openstack_networking_router_interface_v2`: a router's place in a subnet. It is a port, and its id is the port's.
//!
//! Nothing can be planted in it, and nothing need be: a router has one interface in a subnet, so what an interrupted run left is found by the two.

use std::time::Duration;

use grappe_http::Method;
use grappe_provider::{Fault, Importable, Imported, Problem, Resource, Timeouts};
use grappe_value::{Attribute, Schema, Type, Value};
use serde_json::{Value as Json, json};

use crate::attrs::given_string;
use crate::client::{Call, Client, Service, inner};
use crate::roll::patiently;
use crate::thing::{Ctx, Object, of, text};

pub(super) struct Interface;

fn call<'a>(method: Method, object: &'a Object, path: String) -> Call<'a> {
    Call::new(method, Service::Network, text(object, "region"), path)
}

async fn port(client: &Client, object: &Object, id: &str) -> Result<Option<Json>, Fault> {
    match client.find(call(Method::GET, object, format!("ports/{id}"))).await? {
        Some(found) => Ok(Some(inner(found, "port")?)),
        None => Ok(None),
    }
}

fn is_of_router(port: &Json) -> bool {
    let owners = [
        "network:router_interface",
        "network:router_interface_distributed",
        "network:ha_router_replicated_interface",
    ];
    of(port, "device_owner").is_some_and(|owner| owners.contains(&owner))
}

/// The router's port in the subnet, or the given port where the router has it.
async fn present(client: &Client, args: &Object) -> Result<Option<Json>, Fault> {
    let router = text(args, "router_id").unwrap_or_default();
    let found = match (text(args, "port_id"), text(args, "subnet_id")) {
        (Some(id), _) => port(client, args, id).await?.into_iter().collect(),
        (None, Some(subnet)) => {
            let list = call(Method::GET, args, "ports".into()).query("device_id", router);
            client.list(list.query("fixed_ips", format!("subnet_id={subnet}")), "ports").await?
        }
        _ => Vec::new(),
    };
    Ok(found.into_iter().find(|port| of(port, "device_id") == Some(router) && is_of_router(port)))
}

fn state(client: &Client, port: &Json, before: &Object) -> Object {
    let subnet = text(before, "subnet_id")
        .map(Json::from)
        .unwrap_or_else(|| port["fixed_ips"][0]["subnet_id"].clone());
    let mut state = Object::new();
    state.insert("id".into(), port["id"].clone());
    state.insert("port_id".into(), port["id"].clone());
    state.insert("subnet_id".into(), subnet);
    state.insert("router_id".into(), port["device_id"].clone());
    state.insert("region".into(), client.region(text(before, "region")).into());
    state
}

impl Resource for Interface {
    type Client = Client;
    type Args = Object;
    type State = Object;

    fn name(&self) -> &'static str {
        "openstack_networking_router_interface_v2"
    }

    fn schema(&self) -> Schema {
        Schema::new("A router's place in a subnet.")
            .attr("region", given_string("The region. The provider's by default.").replace())
            .attr("router_id", Attribute::required(Type::String, "The router.").replace())
            .attr("subnet_id", given_string("The subnet; its gateway address is taken.").replace())
            .attr("port_id", given_string("A port of one's own to use instead.").replace())
            .attr(
                "force_destroy",
                Attribute::optional(Type::Bool, "Whether routes through it go with it.")
                    .default(false)
                    .record(),
            )
            .attr("id", Attribute::computed(Type::String, "The id of its port."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let given = |name: &str| config.get(name).is_some_and(|v| !v.is_null());
        match (given("subnet_id"), given("port_id")) {
            (false, false) => {
                vec![Problem::new("subnet_id", "it is in no subnet").hint("give subnet_id, or port_id")]
            }
            _ => Vec::new(),
        }
    }

    fn timeouts(&self) -> Timeouts {
        let long = Duration::from_secs(600);
        Timeouts { create: long, delete: long, ..Timeouts::default() }
    }

    async fn read(&self, ctx: &Ctx, before: Object) -> Result<Option<Object>, Fault> {
        let id = text(&before, "id").unwrap_or_default();
        let found = port(ctx.client(), &before, id).await?;
        Ok(found.filter(is_of_router).map(|port| state(ctx.client(), &port, &before)))
    }

    async fn create(&self, ctx: &Ctx, args: Object) -> Result<Object, Fault> {
        if let Some(port) = present(ctx.client(), &args).await? {
            return Ok(state(ctx.client(), &port, &args));
        }
        let router = text(&args, "router_id").unwrap_or_default();
        let body = match text(&args, "port_id") {
            Some(port) => json!({ "port_id": port }),
            None => json!({ "subnet_id": text(&args, "subnet_id") }),
        };
        let path = format!("routers/{router}/add_router_interface");
        let add =
            || async { ctx.client().call(call(Method::PUT, &args, path.clone()).json(body.clone())).await };
        let made = patiently(ctx, "router", add).await?;
        let id = of(&made, "port_id").unwrap_or_default();
        let port = port(ctx.client(), &args, id)
            .await?
            .ok_or_else(|| Fault::transient("the router's new port can't be seen yet"))?;
        Ok(state(ctx.client(), &port, &args))
    }

    async fn delete(&self, ctx: &Ctx, before: Object) -> Result<(), Fault> {
        let router = text(&before, "router_id").unwrap_or_default();
        if before.get("force_destroy") == Some(&Json::Bool(true)) {
            let body = json!({ "router": { "routes": [] } });
            match ctx.client().call(call(Method::PUT, &before, format!("routers/{router}")).json(body)).await
            {
                Err(refused) if refused.status() != Some(404) => return Err(refused.fault()),
                _ => {}
            }
        }
        let path = format!("routers/{router}/remove_router_interface");
        let body = json!({ "port_id": text(&before, "id") });
        let remove = patiently(ctx, "router interface", || async {
            match ctx.client().call(call(Method::PUT, &before, path.clone()).json(body.clone())).await {
                // Router or interface are gone. (Neutron says 409 where it is another router's port.)
                Err(refused) if refused.status() == Some(404) => Ok(()),
                Err(refused)
                    if refused.is_conflict() && refused.message().contains("does not have an interface") =>
                {
                    Ok(())
                }
                answer => answer.map(drop),
            }
        });
        remove.await
    }

    fn importable(&self) -> Importable {
        Importable::By("the id of the router's port")
    }

    async fn import(&self, ctx: &Ctx, id: &str, args: Object) -> Result<Option<Imported>, Fault> {
        let found = port(ctx.client(), &args, id).await?.filter(is_of_router);
        let before = Object::from_iter(args.into_iter().filter(|(name, _)| name == "region"));
        found.map(|port| Imported::new(&state(ctx.client(), &port, &before))).transpose()
    }

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(stored)
    }

    async fn adopt(&self, ctx: &Ctx, args: Object) -> Result<Option<Object>, Fault> {
        Ok(present(ctx.client(), &args).await?.map(|port| state(ctx.client(), &port, &args)))
    }
}
