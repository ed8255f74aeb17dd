//! `openstack_networking_router_v2`.

use grappe_provider::{Fault, Problem};
use grappe_value::{Attribute, Nesting, Schema, Type, Value};
use serde_json::{Value as Json, json};

use crate::attrs::{description, flag, given_string, name, string, tenant, up, value_specs};
use crate::client::{Call, Refused, Service, inner};
use crate::thing::{Ctx, Field, Keyed, Kind, Nested, Object, Table, blocks, strings, text};

pub(super) struct Router;

const GATEWAY: &[&str] =
    &["external_network_id", "enable_snat", "external_qos_policy_id", "external_fixed_ip"];

impl Kind for Router {
    const NAME: &'static str = "openstack_networking_router_v2";

    fn table() -> Table {
        Table {
            service: Service::Network,
            path: "routers",
            one: "router",
            noun: "router",
            description: "A router between networks, and to the outside.",
            keyed: Keyed::Description,
            tags: true,
            fields: vec![
                name(),
                description(),
                up(),
                tenant(),
                value_specs(),
                Field::new("distributed", flag("Whether each host routes for itself. For administrators.").replace()),
                Field::new("flavor_id", given_string("The flavor of the router.").replace()),
                Field::new(
                    "availability_zone_hints",
                    Attribute::optional_computed(Type::list(Type::String), "The zones to serve it from.").replace(),
                ),
                Field::new("external_network_id", given_string("The network that leads out.")).own(),
                Field::new("enable_snat", flag("Whether those behind it go out with its address.")).own().follows(&["external_network_id"]),
                Field::new("external_qos_policy_id", given_string("The QoS policy of the way out.")).own().follows(&["external_network_id"]),
                Field::new(
                    "external_subnet_ids",
                    Attribute::optional(Type::list(Type::String), "Subnets of the network that leads out, to take an address from: the first that has one.").replace(),
                )
                .own(),
            ],
            blocks: vec![
                Nested {
                    name: "external_fixed_ip",
                    nesting: Nesting::List,
                    schema: Schema::new("An address of the way out.")
                        .attr("subnet_id", string("The subnet."))
                        .attr("ip_address", string("The address.")),
                    max: None,
                },
                Nested {
                    name: "vendor_options",
                    nesting: Nesting::List,
                    schema: Schema::new("For clouds with ways of their own.").attr(
                        "set_router_gateway_after_create",
                        Attribute::optional(Type::Bool, "Whether the way out is set after the creation.").default(false).record(),
                    ),
                    max: Some(1),
                },
            ],
        }
    }

    fn validate(config: &Value) -> Vec<Problem> {
        let given = |name: &str| {
            config.get(name).is_some_and(|v| !v.is_null() && v.as_items().is_none_or(|i| !i.is_empty()))
        };
        let mut problems = Vec::new();
        for name in ["enable_snat", "external_qos_policy_id", "external_fixed_ip", "external_subnet_ids"] {
            if given(name) && !given("external_network_id") {
                problems.push(
                    Problem::new(name, "there is no way out")
                        .hint("give external_network_id, or leave it out"),
                );
            }
        }
        if given("external_fixed_ip") && given("external_subnet_ids") {
            problems.push(
                Problem::new("external_subnet_ids", "external_fixed_ip says which address already")
                    .hint("leave out one of the two"),
            );
        }
        problems
    }

    fn body(args: &Object, body: &mut Object) -> Result<(), Fault> {
        if !later(args)
            && strings(args.get("external_subnet_ids")).is_empty()
            && let Some(gateway) = gateway(args, None)
        {
            body.insert("external_gateway_info".into(), gateway);
        }
        Ok(())
    }

    fn changes(prior: &Object, args: &Object, _: &Json, body: &mut Object) -> Result<(), Fault> {
        let differs =
            |name: &&str| prior.get(*name).unwrap_or(&Json::Null) != args.get(*name).unwrap_or(&Json::Null);
        // What follows the network is not known yet where the network changes.
        if GATEWAY.iter().any(differs) {
            body.insert("external_gateway_info".into(), gateway(args, None).unwrap_or(json!({})));
        }
        Ok(())
    }

    async fn created(ctx: &Ctx, args: &Object, object: Json) -> Result<Json, Fault> {
        if text(args, "external_network_id").is_none() || !object["external_gateway_info"].is_null() {
            return Ok(object);
        }
        let subnets = strings(args.get("external_subnet_ids"));
        let tries: Vec<Option<&str>> = match subnets.is_empty() {
            true => vec![None],
            false => subnets.iter().map(|s| Some(s.as_str())).collect(),
        };
        let mut full = None;
        for subnet in tries {
            let body = json!({ "router": { "external_gateway_info": gateway(args, subnet) } });
            let path = format!("routers/{}", object["id"].as_str().unwrap_or_default());
            let call =
                Call::new(grappe_http::Method::PUT, Service::Network, text(args, "region"), path).json(body);
            match ctx.client().call(call).await {
                Ok(answer) => {
                    let mut now = inner(answer, "router")?;
                    now["tags"] = object["tags"].clone();
                    return Ok(now);
                }
                // No address left in this one.
                Err(refused) if refused.is_conflict() => full = Some(refused),
                Err(refused) => return Err(refused.fault()),
            }
        }
        Err(full.map_or_else(|| Fault::permanent("no subnet to take an address from"), Refused::fault))
    }

    fn seen(object: &Json, before: &Object, state: &mut Object) {
        let info = &object["external_gateway_info"];
        state.insert("external_network_id".into(), info["network_id"].clone());
        state.insert("enable_snat".into(), info["enable_snat"].clone());
        state.insert("external_qos_policy_id".into(), info["qos_policy_id"].clone());
        if !blocks(before, "external_fixed_ip").is_empty() {
            let empty = Vec::new();
            let now = info["external_fixed_ips"].as_array().unwrap_or(&empty);
            state.insert(
                "external_fixed_ip".into(),
                super::port::seen_addresses(blocks(before, "external_fixed_ip"), now),
            );
        }
    }
}

fn later(args: &Object) -> bool {
    blocks(args, "vendor_options").iter().any(|o| o["set_router_gateway_after_create"] == true)
}

fn gateway(args: &Object, subnet: Option<&str>) -> Option<Json> {
    let mut info = json!({ "network_id": text(args, "external_network_id")? });
    for (name, api) in [("enable_snat", "enable_snat"), ("external_qos_policy_id", "qos_policy_id")] {
        if let Some(value) = args.get(name).filter(|v| !v.is_null()) {
            info[api] = value.clone();
        }
    }
    let fixed = blocks(args, "external_fixed_ip");
    if !fixed.is_empty() {
        info["external_fixed_ips"] = fixed.iter().map(super::port::given).collect();
    } else if let Some(subnet) = subnet {
        info["external_fixed_ips"] = json!([{ "subnet_id": subnet }]);
    }
    Some(info)
}
