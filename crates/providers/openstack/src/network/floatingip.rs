//! `openstack_networking_floatingip_v2`.

use grappe_http::Method;
use grappe_provider::{Fault, Problem};
use grappe_value::{Attribute, Type, Value};
use serde_json::Value as Json;

use crate::attrs::{description, given_string, tenant, value_specs};
use crate::client::{Call, Service};
use crate::thing::{Ctx, Field, Keyed, Kind, Object, Table, of, strings, text};

pub(super) struct FloatingIp;

/// Where [`Kind::prepare`] leaves what it found for [`Kind::body`].
const NETWORK: &str = "floating_network_id";

impl Kind for FloatingIp {
    const NAME: &'static str = "openstack_networking_floatingip_v2";

    fn table() -> Table {
        let fixed = |description| given_string(description).replace();
        Table {
            service: Service::Network,
            path: "floatingips",
            one: "floatingip",
            noun: "floating IP",
            description: "An address of the outside, for a port inside.",
            keyed: Keyed::Description,
            tags: true,
            fields: vec![
                description(),
                tenant(),
                value_specs(),
                Field::new(
                    "pool",
                    Attribute::required(Type::String, "The network that leads out: its name, or its id.")
                        .replace(),
                )
                .own(),
                Field::new("address", fixed("The address. Any that is free by default."))
                    .api("floating_ip_address"),
                Field::new("port_id", given_string("The port that it leads to.")),
                Field::new("fixed_ip", given_string("Which of the port's addresses."))
                    .api("fixed_ip_address")
                    .follows(&["port_id"]),
                Field::new("subnet_id", fixed("The subnet to take it from.")).write_only(),
                Field::new(
                    "subnet_ids",
                    Attribute::optional(
                        Type::list(Type::String),
                        "Subnets to take it from: the first that has one.",
                    )
                    .replace(),
                )
                .own(),
                Field::new("dns_name", fixed("Its name in DNS.")),
                Field::new("dns_domain", fixed("The domain of that name.")),
            ],
            blocks: Vec::new(),
        }
    }

    fn validate(config: &Value) -> Vec<Problem> {
        let given = |name: &str| config.get(name).is_some_and(|v| !v.is_null());
        if given("subnet_id") && given("subnet_ids") {
            return vec![
                Problem::new("subnet_ids", "subnet_id says which already").hint("leave out one of the two"),
            ];
        }
        Vec::new()
    }

    async fn prepare(ctx: &Ctx, args: &mut Object) -> Result<(), Fault> {
        let pool = text(args, "pool").unwrap_or_default();
        let id = network(ctx, text(args, "region"), pool).await?;
        // One that exists has its address.
        if !args.contains_key("id")
            && let Some(first) = first_free(ctx, args).await?
        {
            args.insert("subnet_id".into(), first.into());
        }
        args.insert(NETWORK.into(), id.into());
        Ok(())
    }

    fn body(args: &Object, body: &mut Object) -> Result<(), Fault> {
        body.insert(NETWORK.into(), args.get(NETWORK).cloned().unwrap_or_default());
        Ok(())
    }

    fn changes(_: &Object, args: &Object, _: &Json, body: &mut Object) -> Result<(), Fault> {
        if body.contains_key("fixed_ip_address") && !body.contains_key("port_id") {
            body.insert("port_id".into(), args.get("port_id").cloned().unwrap_or_default());
        }
        Ok(())
    }

    fn seen(object: &Json, before: &Object, state: &mut Object) {
        state.insert("pool".into(), before.get("pool").cloned().unwrap_or_else(|| object[NETWORK].clone()));
    }
}

/// The id of the network that leads out.
async fn network(ctx: &Ctx, region: Option<&str>, pool: &str) -> Result<String, Fault> {
    let list = |name: &str| {
        let call = Call::new(Method::GET, Service::Network, region, "networks");
        ctx.client()
            .list(call.query(name, pool).query("router:external", "true").query("fields", "id"), "networks")
    };
    let mut found = list("name").await?;
    if found.is_empty() {
        found = list("id").await?;
    }
    match found.as_slice() {
        [one] => Ok(of(one, "id").unwrap_or_default().to_owned()),
        [] => Err(Fault::permanent(format!("there is no network {pool:?} that leads out"))
            .hint("`openstack network list --external` shows those that do")
            .attribute("pool")),
        many => Err(Fault::permanent(format!("{} networks that lead out are called {pool:?}", many.len()))
            .hint("give the id instead")
            .attribute("pool")),
    }
}

async fn first_free(ctx: &Ctx, args: &Object) -> Result<Option<String>, Fault> {
    let subnets = strings(args.get("subnet_ids"));
    for subnet in &subnets {
        let path = format!("subnets/{subnet}");
        let found =
            ctx.client().find(Call::new(Method::GET, Service::Network, text(args, "region"), path)).await?;
        let Some(found) = found else {
            return Err(Fault::permanent(format!("there is no subnet {subnet}")).attribute("subnet_ids"));
        };
        let network = of(&found["subnet"], "network_id").unwrap_or_default().to_owned();
        let taken = Call::new(Method::GET, Service::Network, text(args, "region"), "ports")
            .query("network_id", network);
        let taken = ctx
            .client()
            .list(taken.query("fixed_ips", format!("subnet_id={subnet}")).query("fields", "id"), "ports")
            .await?;
        if (taken.len() as u128) < room(&found["subnet"]) {
            return Ok(Some(subnet.clone()));
        }
    }
    match subnets.last() {
        Some(_) => {
            Err(Fault::permanent("no subnet of subnet_ids has an address left").attribute("subnet_ids"))
        }
        None => Ok(None),
    }
}

/// How many addresses the pools of a subnet hold.
fn room(subnet: &Json) -> u128 {
    let pools = subnet["allocation_pools"].as_array().into_iter().flatten();
    let number = |ip: &Json| -> Option<u128> {
        Some(match ip.as_str()?.parse().ok()? {
            std::net::IpAddr::V4(ip) => u128::from(u32::from(ip)),
            std::net::IpAddr::V6(ip) => u128::from(ip),
        })
    };
    pools
        .filter_map(|pool| {
            Some(number(&pool["end"])?.saturating_sub(number(&pool["start"])?).saturating_add(1))
        })
        .fold(0, u128::saturating_add)
}
