//! `openstack_networking_subnet_v2`.

use grappe_provider::{Fault, Problem};
use grappe_value::{Attribute, Nesting, Schema, Type, Value};
use serde_json::{Value as Json, json};

use crate::attrs::{description, flag, given_string, list, name, tenant, value_specs};
use crate::client::Service;
use crate::thing::{Field, Keyed, Kind, Nested, Object, Table, blocks};

pub(super) struct Subnet;

impl Kind for Subnet {
    const NAME: &'static str = "openstack_networking_subnet_v2";

    fn table() -> Table {
        let mode = |description| given_string(description).replace();
        Table {
            service: Service::Network,
            path: "subnets",
            one: "subnet",
            noun: "subnet",
            description: "A range of addresses in a network.",
            keyed: Keyed::Description,
            tags: true,
            fields: vec![
                name(),
                description(),
                tenant(),
                value_specs(),
                Field::new("network_id", Attribute::required(Type::String, "The network.").replace()),
                Field::new(
                    "cidr",
                    given_string("The range, such as `10.0.0.0/24`. A subnet pool gives it otherwise.")
                        .replace(),
                ),
                Field::new("ip_version", Attribute::optional(Type::Number, "4 or 6.").default(4).replace()),
                Field::new(
                    "prefix_length",
                    Attribute::optional(Type::Number, "How long a prefix the pool is to give.").replace(),
                )
                .api("prefixlen")
                .write_only(),
                Field::new("subnetpool_id", given_string("The pool that gives the range.").replace()),
                Field::new(
                    "ipv6_address_mode",
                    mode("How addresses are given: `dhcpv6-stateful`, `dhcpv6-stateless`, `slaac`."),
                ),
                Field::new("ipv6_ra_mode", mode("How routers announce themselves; the same three.")),
                Field::new("gateway_ip", given_string("The gateway. The first address by default."))
                    .own()
                    .follows(&["no_gateway"]),
                Field::new(
                    "no_gateway",
                    Attribute::optional(Type::Bool, "Whether it has no gateway.").default(false),
                )
                .own(),
                Field::new(
                    "enable_dhcp",
                    Attribute::optional(Type::Bool, "Whether DHCP gives the addresses.").default(true),
                ),
                Field::new("dns_nameservers", list("The name servers that DHCP gives.")),
                Field::new("dns_publish_fixed_ip", flag("Whether its addresses are published in DNS.")),
                Field::new("service_types", list("The kinds of devices that may have its addresses.")),
                Field::new("segment_id", given_string("The segment of the network.").replace()),
            ],
            blocks: vec![Nested {
                name: "allocation_pool",
                nesting: Nesting::Set,
                schema: Schema::new("Addresses to give. All but the gateway by default.")
                    .attr("start", Attribute::required(Type::String, "The first."))
                    .attr("end", Attribute::required(Type::String, "The last.")),
                max: None,
            }],
        }
    }

    fn validate(config: &Value) -> Vec<Problem> {
        let given = |name: &str| config.get(name).is_some_and(|v| !v.is_null());
        let mut problems = Vec::new();
        if given("gateway_ip") && config.get("no_gateway").and_then(Value::as_bool) == Some(true) {
            problems
                .push(Problem::new("no_gateway", "gateway_ip gives one").hint("leave out one of the two"));
        }
        if !given("cidr") && !given("subnetpool_id") {
            problems.push(
                Problem::new("cidr", "there is no range")
                    .hint("give cidr, or a subnetpool_id to take one from"),
            );
        }
        problems
    }

    fn body(args: &Object, body: &mut Object) -> Result<(), Fault> {
        gateway(args, body);
        if !blocks(args, "allocation_pool").is_empty() {
            body.insert("allocation_pools".into(), args["allocation_pool"].clone());
        }
        Ok(())
    }

    fn changes(prior: &Object, args: &Object, _: &Json, body: &mut Object) -> Result<(), Fault> {
        if prior.get("gateway_ip") != args.get("gateway_ip")
            || prior.get("no_gateway") != args.get("no_gateway")
        {
            gateway(args, body);
            if !body.contains_key("gateway_ip") {
                // Neutron itself has no word for "the usual one".
                let usual = args.get("cidr").and_then(Json::as_str).and_then(first_host);
                body.insert("gateway_ip".into(), json!(usual));
            }
        }
        if prior.get("allocation_pool") != args.get("allocation_pool")
            && !blocks(args, "allocation_pool").is_empty()
        {
            body.insert("allocation_pools".into(), args["allocation_pool"].clone());
        }
        Ok(())
    }

    fn seen(object: &Json, before: &Object, state: &mut Object) {
        state.insert("gateway_ip".into(), object["gateway_ip"].clone());
        if before.contains_key("no_gateway") {
            state.insert("no_gateway".into(), object["gateway_ip"].is_null().into());
        }
        if !blocks(before, "allocation_pool").is_empty() {
            state.insert("allocation_pool".into(), object["allocation_pools"].clone());
        }
    }
}

fn gateway(args: &Object, body: &mut Object) {
    if args.get("no_gateway") == Some(&Json::Bool(true)) {
        body.insert("gateway_ip".into(), Json::Null);
    } else if let Some(gateway) = args.get("gateway_ip").filter(|g| !g.is_null()) {
        body.insert("gateway_ip".into(), gateway.clone());
    }
}

fn first_host(cidr: &str) -> Option<String> {
    let net: ipnet::IpNet = cidr.parse().ok()?;
    net.hosts().next().map(|ip| ip.to_string())
}
