//! `openstack_compute_servergroup_v2`.
//!
//! Server groups hold nothing that a key could be planted in, and their names need not be unique. So before one is created, the ids of those that have its name already are
//! checkpointed; what an interrupted run left is one of that name that is not among them.

use std::time::Duration;

use grappe_http::Method;
use grappe_provider::{Context, Fault, Importable, Imported, Problem, Resource};
use grappe_value::{Attribute, Nesting, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::call;
use crate::attrs::given_string;
use crate::client::{Client, Refused, inner};
use crate::thing::{of, strings};

pub(super) struct ServerGroup;

#[derive(Deserialize)]
pub(super) struct Args {
    region: Option<String>,
    name: String,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    rules: Vec<Rules>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Rules {
    #[serde(default)]
    max_server_per_host: Option<u32>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    #[serde(default)]
    id: Option<String>,
    name: String,
    region: Option<String>,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    rules: Vec<Rules>,
    /// Of a creation that has begun: who had the name before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Vec<String>>,
}

const VERSION: &str = "2.64";

async fn named(client: &Client, args: &Args) -> Result<Vec<Json>, Fault> {
    let list = call(Method::GET, args.region.as_deref(), "os-server-groups").version(VERSION);
    let mut all = client.list(list, "server_groups").await?;
    all.retain(|group| of(group, "name") == Some(&args.name));
    Ok(all)
}

async fn show(client: &Client, region: Option<&str>, id: &str) -> Result<Option<Json>, Fault> {
    match client.find(call(Method::GET, region, format!("os-server-groups/{id}")).version(VERSION)).await? {
        Some(found) => Ok(Some(inner(found, "server_group")?)),
        None => Ok(None),
    }
}

fn ids(groups: &[Json]) -> Vec<String> {
    groups.iter().filter_map(|g| of(g, "id").map(str::to_owned)).collect()
}

fn state(client: &Client, found: &Json, region: Option<&str>, rules: Vec<Rules>) -> State {
    let now = found["rules"]["max_server_per_host"].as_u64().and_then(|n| u32::try_from(n).ok());
    State {
        id: of(found, "id").map(str::to_owned),
        name: of(found, "name").unwrap_or_default().to_owned(),
        region: client.region(region),
        policies: of(found, "policy").map(str::to_owned).into_iter().collect(),
        members: strings(found.get("members")),
        rules: if rules.is_empty() { rules } else { vec![Rules { max_server_per_host: now }] },
        before: None,
    }
}

/// What an interrupted creation made.
async fn left(ctx: &Context<Client>, args: &Args) -> Result<Option<Json>, Fault> {
    let Some(begun) = ctx.resumed::<State>() else { return Ok(None) };
    if let Some(id) = &begun.id {
        return show(ctx.client(), args.region.as_deref(), id).await;
    }
    let before = begun.before.unwrap_or_default();
    let policy = args.policies.first().map(String::as_str);
    // It was asked for a moment ago, or an hour: nobody knows.
    crate::asking::look(ctx, Duration::from_secs(6), || async {
        let mut all = named(ctx.client(), args).await?;
        all.retain(|group| {
            !before.iter().any(|id| of(group, "id") == Some(id)) && of(group, "policy") == policy
        });
        Ok(all.into_iter().next())
    })
    .await
}

impl Resource for ServerGroup {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "openstack_compute_servergroup_v2"
    }

    fn schema(&self) -> Schema {
        let rules = Schema::new("How strictly.").attr(
            "max_server_per_host",
            Attribute::optional_computed(
                Type::Number,
                "How many of the group one host may have (`anti-affinity` only).",
            )
            .replace(),
        );
        let mut schema = Schema::new("Servers that are to be on the same host, or on different ones.")
            .attr("region", given_string("The region. The provider's by default.").replace())
            .attr("name", Attribute::required(Type::String, "Its name.").replace())
            .attr(
                "policies",
                Attribute::optional(
                    Type::list(Type::String),
                    "One of `affinity`, `anti-affinity`, `soft-affinity`, `soft-anti-affinity`.",
                )
                .replace(),
            )
            .attr(
                "value_specs",
                Attribute::optional(Type::map(Type::String), "Accepted and of no effect.").replace(),
            )
            .attr("members", Attribute::computed(Type::set(Type::String), "The ids of its servers."))
            .attr("id", Attribute::computed(Type::String, "Its id."))
            .block("rules", Nesting::List, rules);
        if let Some(block) = schema.blocks.get_mut("rules") {
            block.max = Some(1);
        }
        schema
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let known = ["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"];
        let Some(policies) = config.get("policies").and_then(Value::as_items) else {
            return match config.get("policies") {
                Some(policies) if policies.is_null() => vec![
                    Problem::new("policies", "a server group has a policy")
                        .hint("as in policies = [\"anti-affinity\"]"),
                ],
                _ => Vec::new(),
            };
        };
        match policies {
            [one] => match one.as_str().filter(|p| !known.contains(p)) {
                Some(other) => vec![
                    Problem::new("policies", format!("{other:?} is no policy"))
                        .hint(format!("there are: {}", known.join(", "))),
                ],
                None => Vec::new(),
            },
            _ => vec![Problem::new("policies", "a server group has exactly one policy")],
        }
    }

    async fn read(&self, ctx: &Context<Client>, before: State) -> Result<Option<State>, Fault> {
        let found =
            show(ctx.client(), before.region.as_deref(), before.id.as_deref().unwrap_or_default()).await?;
        Ok(found.map(|found| state(ctx.client(), &found, before.region.as_deref(), before.rules)))
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let client = ctx.client();
        let region = args.region.as_deref();
        if let Some(found) = left(ctx, &args).await? {
            return Ok(state(client, &found, region, args.rules));
        }
        let begun = State {
            name: args.name.clone(),
            region: client.region(region),
            before: Some(ids(&named(client, &args).await?)),
            ..State::default()
        };
        ctx.checkpoint(&begun).await?;
        let mut body = json!({ "name": args.name, "policy": args.policies.first() });
        if let Some(max) = args.rules.first().and_then(|r| r.max_server_per_host) {
            body["rules"] = json!({ "max_server_per_host": max });
        }
        let post = call(Method::POST, region, "os-server-groups")
            .version(VERSION)
            .json(json!({ "server_group": body }));
        let made = inner(client.call(post).await.map_err(Refused::fault)?, "server_group")?;
        Ok(state(client, &made, region, args.rules))
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        let Some(id) = &state.id else { return Ok(()) };
        match ctx
            .client()
            .raw(&call(Method::DELETE, state.region.as_deref(), format!("os-server-groups/{id}")))
            .await
        {
            Err(refused) if refused.status() != Some(404) => Err(refused.fault()),
            _ => Ok(()),
        }
    }

    fn importable(&self) -> Importable {
        Importable::By("its id")
    }

    async fn import(&self, ctx: &Context<Client>, id: &str, args: Args) -> Result<Option<Imported>, Fault> {
        let found = show(ctx.client(), args.region.as_deref(), id).await?;
        found
            .map(|found| Imported::new(&state(ctx.client(), &found, args.region.as_deref(), args.rules)))
            .transpose()
    }

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(stored)
    }

    async fn adopt(&self, ctx: &Context<Client>, args: Args) -> Result<Option<State>, Fault> {
        let found = left(ctx, &args).await?;
        Ok(found.map(|found| state(ctx.client(), &found, args.region.as_deref(), args.rules)))
    }
}
