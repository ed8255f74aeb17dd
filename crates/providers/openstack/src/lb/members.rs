//! `openstack_lb_members_v2`: all members of a pool at once, with one request whatever their number. Its id is the pool's.

use grappe_http::Method;
use grappe_provider::{Fault, Importable, Imported, Resource};
use grappe_value::{Attribute, Nesting, Schema, Type, Value};
use serde_json::{Value as Json, json};

use super::{POOL, balancer_of};
use crate::attrs::{given_string, string};
use crate::client::{Call, Client, Service};
use crate::roll::patiently;
use crate::thing::{Ctx, Object, blocks, text};

pub(super) struct Members;

const FIELDS: &[&str] = &[
    "address",
    "protocol_port",
    "subnet_id",
    "name",
    "weight",
    "monitor_address",
    "monitor_port",
    "backup",
    "admin_state_up",
];

fn path(pool: &str) -> String {
    format!("lbaas/pools/{pool}/members")
}

async fn list(client: &Client, object: &Object, pool: &str) -> Result<Option<Vec<Json>>, Fault> {
    let call = Call::new(Method::GET, Service::LoadBalancer, text(object, "region"), path(pool));
    match client.list(call, "members").await {
        Err(fault) if fault.kind == grappe_provider::FaultKind::Gone => Ok(None),
        found => found.map(Some),
    }
}

/// The members as blocks; names that were not given as they were given.
fn state(client: &Client, members: &[Json], before: &Object, pool: &str) -> Object {
    let known = blocks(before, "member");
    let block = |member: &Json| {
        let same =
            |b: &&Json| b["address"] == member["address"] && b["protocol_port"] == member["protocol_port"];
        let before = known.iter().find(same);
        let field = |name: &&str| {
            let now = member.get(*name).cloned().unwrap_or_default();
            ((*name).to_owned(), crate::thing::settled(before.and_then(|b| b.get(*name)), now))
        };
        Json::from(FIELDS.iter().map(field).collect::<Object>())
    };
    let mut state = Object::new();
    state.insert("id".into(), pool.into());
    state.insert("pool_id".into(), pool.into());
    state.insert("region".into(), client.region(text(before, "region")).into());
    state.insert("member".into(), members.iter().map(block).collect());
    state
}

/// Makes the pool's members those that are wanted.
async fn put(ctx: &Ctx, args: &Object, wanted: &[Json]) -> Result<Object, Fault> {
    let pool = text(args, "pool_id").unwrap_or_default().to_owned();
    let region = text(args, "region");
    let Some(balancer) = balancer_of(ctx, args, POOL, &pool).await? else {
        return Err(Fault::gone("the pool is gone"));
    };
    let turn = ctx.client().turn(&balancer);
    let _turn = turn.lock().await;
    crate::balancing::ready(ctx, region, &balancer).await?;
    let member = |m: &Json| {
        let given = FIELDS.iter().filter_map(|name| {
            Some(((*name).to_owned(), m.get(*name).filter(|v| !v.is_null() && **v != "")?.clone()))
        });
        Json::from(given.collect::<Object>())
    };
    let body = json!({ "members": wanted.iter().map(member).collect::<Json>() });
    patiently(ctx, "pool", || async {
        let put = Call::new(Method::PUT, Service::LoadBalancer, region, path(&pool)).json(body.clone());
        ctx.client().raw(&put).await.map(drop)
    })
    .await?;
    crate::balancing::settled(ctx, region, &balancer, "after a change of its members").await?;
    let now = list(ctx.client(), args, &pool).await?.unwrap_or_default();
    Ok(state(ctx.client(), &now, args, &pool))
}

impl Resource for Members {
    type Client = Client;
    type Args = Object;
    type State = Object;

    fn name(&self) -> &'static str {
        "openstack_lb_members_v2"
    }

    fn schema(&self) -> Schema {
        let member = Schema::new("A member.")
            .attr("address", Attribute::required(Type::String, "Its address."))
            .attr("protocol_port", Attribute::required(Type::Number, "Its port."))
            .attr("subnet_id", string("The subnet to reach it through."))
            .attr("name", string("Its name."))
            .attr("weight", Attribute::optional(Type::Number, "Its share; 0 gets nothing new.").default(1))
            .attr("monitor_address", string("Another address to ask for its health."))
            .attr("monitor_port", Attribute::optional(Type::Number, "Another port to ask for its health."))
            .attr(
                "backup",
                Attribute::optional(Type::Bool, "Whether it gets something only when all others are down.")
                    .default(false),
            )
            .attr("admin_state_up", Attribute::optional(Type::Bool, "Whether it is in use.").default(true));
        Schema::new("All members of a pool.")
            .attr("region", given_string("The region. The provider's by default.").replace())
            .attr("pool_id", Attribute::required(Type::String, "The pool.").replace().home())
            .attr("id", Attribute::computed(Type::String, "The pool's id."))
            .block("member", Nesting::Set, member)
    }

    async fn read(&self, ctx: &Ctx, before: Object) -> Result<Option<Object>, Fault> {
        let pool = text(&before, "id").unwrap_or_default();
        let found = list(ctx.client(), &before, pool).await?;
        Ok(found
            .filter(|all| !all.is_empty() || blocks(&before, "member").is_empty())
            .map(|all| state(ctx.client(), &all, &before, pool)))
    }

    async fn create(&self, ctx: &Ctx, args: Object) -> Result<Object, Fault> {
        put(ctx, &args, blocks(&args, "member")).await
    }

    async fn update(&self, ctx: &Ctx, _: Object, args: Object) -> Result<Object, Fault> {
        put(ctx, &args, blocks(&args, "member")).await
    }

    async fn delete(&self, ctx: &Ctx, state: Object) -> Result<(), Fault> {
        match put(ctx, &state, &[]).await {
            Err(fault) if fault.kind == grappe_provider::FaultKind::Gone => Ok(()),
            answer => answer.map(drop),
        }
    }

    fn importable(&self) -> Importable {
        Importable::By("the pool's id")
    }

    async fn import(&self, ctx: &Ctx, id: &str, args: Object) -> Result<Option<Imported>, Fault> {
        let found = list(ctx.client(), &args, id).await?;
        found.map(|all| Imported::new(&state(ctx.client(), &all, &args, id))).transpose()
    }

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(stored)
    }

    async fn adopt(&self, ctx: &Ctx, args: Object) -> Result<Option<Object>, Fault> {
        // The request sets all or none; what an interrupted run has set is set again.
        let pool = text(&args, "pool_id").unwrap_or_default();
        let found = list(ctx.client(), &args, pool).await?.filter(|all| !all.is_empty());
        Ok(found.map(|all| state(ctx.client(), &all, &args, pool)))
    }
}
