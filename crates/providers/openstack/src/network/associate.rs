//! `openstack_networking_floatingip_associate_v2`: which port a floating address leads to. Its id is the floating address's.
//!
//! Nothing is created, so nothing is planted: what an interrupted run left is what is asked for, or it is not.

use grappe_http::Method;
use grappe_provider::{Fault, Importable, Imported, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde_json::{Value as Json, json};

use crate::attrs::given_string;
use crate::client::{Call, Client, Refused, Service, inner};
use crate::roll::patiently;
use crate::thing::{Ctx, Object, of, text};

pub(super) struct Associate;

fn call<'a>(method: Method, object: &'a Object, path: &str) -> Call<'a> {
    Call::new(method, Service::Network, text(object, "region"), path)
}

async fn by_id(client: &Client, object: &Object, id: &str) -> Result<Option<Json>, Fault> {
    match client.find(call(Method::GET, object, &format!("floatingips/{id}"))).await? {
        Some(found) => Ok(Some(inner(found, "floatingip")?)),
        None => Ok(None),
    }
}

async fn by_address(client: &Client, args: &Object) -> Result<Json, Fault> {
    let address = text(args, "floating_ip").unwrap_or_default();
    let list = call(Method::GET, args, "floatingips").query("floating_ip_address", address);
    client.list(list, "floatingips").await?.into_iter().next().ok_or_else(|| {
        Fault::permanent(format!("there is no floating IP {address} in this project"))
            .attribute("floating_ip")
    })
}

fn state(client: &Client, found: &Json, before: &Object) -> Object {
    let mut state = Object::new();
    state.insert("id".into(), found["id"].clone());
    state.insert("floating_ip".into(), found["floating_ip_address"].clone());
    state.insert("port_id".into(), found["port_id"].clone());
    state.insert("fixed_ip".into(), found["fixed_ip_address"].clone());
    state.insert("region".into(), client.region(text(before, "region")).into());
    state
}

impl Associate {
    async fn lead(&self, ctx: &Ctx, args: &Object, id: &str) -> Result<Object, Fault> {
        let mut body = json!({ "port_id": text(args, "port_id") });
        if let Some(fixed) = text(args, "fixed_ip") {
            body["fixed_ip_address"] = fixed.into();
        }
        let body = json!({ "floatingip": body });
        let path = format!("floatingips/{id}");
        let put = || async { ctx.client().call(call(Method::PUT, args, &path).json(body.clone())).await };
        let now = match put().await {
            // The router's interface may be on its way in the same run.
            Err(refused)
                if refused.status() == Some(404) && refused.message().contains("External network") =>
            {
                return Err(Fault::transient(refused.message().to_owned())
                    .hint("the port's subnet needs a router with the floating IP's network as its way out: depends_on the router interface"));
            }
            Err(refused) if refused.is_conflict() => patiently(ctx, "port", put).await?,
            answer => answer.map_err(Refused::fault)?,
        };
        Ok(state(ctx.client(), &inner(now, "floatingip")?, args))
    }
}

impl Resource for Associate {
    type Client = Client;
    type Args = Object;
    type State = Object;

    fn name(&self) -> &'static str {
        "openstack_networking_floatingip_associate_v2"
    }

    fn schema(&self) -> Schema {
        Schema::new("Which port a floating IP leads to.")
            .attr("region", given_string("The region. The provider's by default.").replace())
            .attr(
                "floating_ip",
                Attribute::required(Type::String, "The address of the floating IP.").replace(),
            )
            .attr("port_id", Attribute::required(Type::String, "The port."))
            .attr("fixed_ip", given_string("Which of the port's addresses."))
            .attr("id", Attribute::computed(Type::String, "The id of the floating IP."))
    }

    fn plan(&self, change: &mut grappe_provider::Change<'_>) {
        if change.prior.is_some()
            && change.changes("port_id")
            && change.config.get("fixed_ip").is_none_or(Value::is_null)
        {
            change.set_unknown("fixed_ip");
        }
    }

    async fn read(&self, ctx: &Ctx, before: Object) -> Result<Option<Object>, Fault> {
        let found = by_id(ctx.client(), &before, text(&before, "id").unwrap_or_default()).await?;
        Ok(found.filter(|f| of(f, "port_id").is_some()).map(|found| state(ctx.client(), &found, &before)))
    }

    async fn create(&self, ctx: &Ctx, args: Object) -> Result<Object, Fault> {
        let found = by_address(ctx.client(), &args).await?;
        if of(&found, "port_id") == text(&args, "port_id")
            && text(&args, "fixed_ip").is_none_or(|ip| of(&found, "fixed_ip_address") == Some(ip))
        {
            return Ok(state(ctx.client(), &found, &args));
        }
        self.lead(ctx, &args, of(&found, "id").unwrap_or_default()).await
    }

    async fn update(&self, ctx: &Ctx, prior: Object, args: Object) -> Result<Object, Fault> {
        self.lead(ctx, &args, text(&prior, "id").unwrap_or_default()).await
    }

    async fn delete(&self, ctx: &Ctx, before: Object) -> Result<(), Fault> {
        let id = text(&before, "id").unwrap_or_default();
        let Some(found) = by_id(ctx.client(), &before, id).await? else { return Ok(()) };
        // It leads elsewhere by now: that is not this one's to end.
        if of(&found, "port_id") != text(&before, "port_id") {
            return Ok(());
        }
        let body = json!({ "floatingip": { "port_id": null } });
        let path = format!("floatingips/{id}");
        let put = || async { ctx.client().call(call(Method::PUT, &before, &path).json(body.clone())).await };
        match patiently(ctx, "floating IP", put).await {
            Err(fault) if fault.kind != grappe_provider::FaultKind::Gone => Err(fault),
            _ => Ok(()),
        }
    }

    fn importable(&self) -> Importable {
        Importable::By("the id of the floating IP")
    }

    async fn import(&self, ctx: &Ctx, id: &str, args: Object) -> Result<Option<Imported>, Fault> {
        let found = by_id(ctx.client(), &args, id).await?.filter(|f| of(f, "port_id").is_some());
        found.map(|found| Imported::new(&state(ctx.client(), &found, &args))).transpose()
    }

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(stored)
    }

    async fn adopt(&self, ctx: &Ctx, args: Object) -> Result<Option<Object>, Fault> {
        let found = match by_address(ctx.client(), &args).await {
            Err(fault) if fault.is_transient() => return Err(fault),
            found => found,
        };
        let leads = |f: &Json| of(f, "port_id").is_some() && of(f, "port_id") == text(&args, "port_id");
        Ok(found.ok().filter(leads).map(|found| state(ctx.client(), &found, &args)))
    }
}
