//! `openstack_networking_port_v2`.
//!
//! `allowed_address_pairs` are shared with others: the cloud controller's route controller writes those of the nodes' pods on the same ports. So what the plan
//! names must be there, and what it named before and no longer names is taken away; pairs of others are neither shown as a difference nor touched. The list is
//! replaced as a whole by Neutron's API: it is, only if nobody has changed the port since it was read (`If-Match`).

use grappe_provider::{Fault, Problem};
use grappe_value::{Attribute, Nesting, Schema, Type, Value};
use serde_json::{Value as Json, json};

use crate::attrs::{description, flag, given_string, name, set, string, tenant, up, value_specs};
use crate::client::Service;
use crate::thing::{Field, Keyed, Kind, Nested, Object, Table, blocks, of};

pub(super) struct Port;

impl Kind for Port {
    const NAME: &'static str = "openstack_networking_port_v2";

    fn table() -> Table {
        let fixed = |description| given_string(description).replace();
        Table {
            service: Service::Network,
            path: "ports",
            one: "port",
            noun: "port",
            description: "A port of a network: the addresses of a machine, and what may pass.",
            keyed: Keyed::Description,
            tags: true,
            fields: vec![
                name(),
                description(),
                up(),
                tenant(),
                value_specs(),
                Field::new("network_id", Attribute::required(Type::String, "The network.").replace()),
                Field::new("mac_address", fixed("Its hardware address.")),
                Field::new("device_id", fixed("What it is plugged into.")),
                Field::new("device_owner", fixed("What kind of thing that is.")),
                Field::new("security_group_ids", set("The security groups, all of them. The project's `default` group where nothing is said.")).own(),
                Field::new("no_security_groups", Attribute::optional(Type::Bool, "Whether it has no security group at all.")).own(),
                Field::new("all_security_group_ids", Attribute::computed(Type::set(Type::String), "The security groups that it has."))
                    .api("security_groups")
                    .follows(&["security_group_ids", "no_security_groups"]),
                Field::new("no_fixed_ip", Attribute::optional(Type::Bool, "Whether it has no address.")).own(),
                Field::new("all_fixed_ips", Attribute::computed(Type::list(Type::String), "Its addresses.")).own().follows(&["fixed_ip", "no_fixed_ip"]),
                Field::new("port_security_enabled", flag("Whether it lets through only what comes from its own addresses and pairs, and what its security groups allow.")),
                Field::new("qos_policy_id", given_string("The QoS policy.")),
                Field::new("dns_name", given_string("Its name in DNS.")),
                Field::new("dns_assignment", Attribute::computed(Type::list(Type::map(Type::String)), "Its names in DNS.")).follows(&["dns_name", "fixed_ip"]),
            ],
            blocks: vec![
                Nested {
                    name: "fixed_ip",
                    nesting: Nesting::List,
                    schema: Schema::new("An address.")
                        .attr("subnet_id", string("The subnet."))
                        .attr("ip_address", string("The address itself. Any that is free by default; `all_fixed_ips` says which.")),
                    max: None,
                },
                Nested {
                    name: "allowed_address_pairs",
                    nesting: Nesting::Set,
                    schema: Schema::new("A range that packets may come from, besides the port's own addresses. Neutron takes 10 by default.")
                        .attr("ip_address", Attribute::required(Type::String, "An address or a range."))
                        .attr("mac_address", string("The hardware address; the port's own by default.")),
                    max: None,
                },
                Nested {
                    name: "extra_dhcp_option",
                    nesting: Nesting::Set,
                    schema: Schema::new("An option that DHCP gives besides the usual ones.")
                        .attr("name", Attribute::required(Type::String, "The option."))
                        .attr("value", Attribute::required(Type::String, "Its value."))
                        .attr("ip_version", Attribute::optional(Type::Number, "4 or 6.").default(4)),
                    max: None,
                },
                Nested {
                    name: "binding",
                    nesting: Nesting::List,
                    schema: Schema::new("Where and how it is plugged in. Mostly for administrators.")
                        .attr("host_id", string("The host."))
                        .attr("profile", string("Data for the driver, as JSON."))
                        .attr("vnic_type", Attribute::optional(Type::String, "`normal`, `direct`, …").default("normal"))
                        .attr("vif_type", Attribute::computed(Type::String, "How it is plugged in."))
                        .attr("vif_details", Attribute::computed(Type::map(Type::String), "More of that.")),
                    max: Some(1),
                },
            ],
        }
    }

    fn validate(config: &Value) -> Vec<Problem> {
        let yes = |name: &str| config.get(name).and_then(Value::as_bool) == Some(true);
        let some = |name: &str| config.get(name).and_then(Value::as_items).is_some_and(|i| !i.is_empty());
        let mut problems = Vec::new();
        for (list, no) in [("security_group_ids", "no_security_groups"), ("fixed_ip", "no_fixed_ip")] {
            if some(list) && yes(no) {
                problems.push(
                    Problem::new(no, format!("{list} says otherwise")).hint("leave out one of the two"),
                );
            }
        }
        let off = config.get("port_security_enabled").and_then(Value::as_bool) == Some(false);
        if off && some("security_group_ids") {
            problems.push(
                Problem::new(
                    "port_security_enabled",
                    "a port with security groups can't be without port security",
                )
                .hint("say no_security_groups = true"),
            );
        }
        if off && some("allowed_address_pairs") {
            problems.push(
                Problem::new(
                    "allowed_address_pairs",
                    "without port security everything is allowed already, and Neutron refuses pairs",
                )
                .hint("leave them out, or port_security_enabled"),
            );
        }
        problems
    }

    fn body(args: &Object, body: &mut Object) -> Result<(), Fault> {
        security_groups(args, body);
        if args.get("no_fixed_ip") == Some(&Json::Bool(true)) {
            body.insert("fixed_ips".into(), json!([]));
        } else if !blocks(args, "fixed_ip").is_empty() {
            body.insert("fixed_ips".into(), blocks(args, "fixed_ip").iter().map(given).collect());
        }
        if !blocks(args, "allowed_address_pairs").is_empty() {
            body.insert(
                "allowed_address_pairs".into(),
                blocks(args, "allowed_address_pairs").iter().map(given).collect(),
            );
        }
        dhcp_options(args, body);
        binding(args, body)
    }

    fn changes(prior: &Object, args: &Object, now: &Json, body: &mut Object) -> Result<(), Fault> {
        let differs =
            |name: &str| prior.get(name).unwrap_or(&Json::Null) != args.get(name).unwrap_or(&Json::Null);
        if differs("security_group_ids") || differs("no_security_groups") {
            security_groups(args, body);
        }
        if args.get("no_fixed_ip") == Some(&Json::Bool(true)) && differs("no_fixed_ip") {
            body.insert("fixed_ips".into(), json!([]));
        } else if differs("fixed_ip") && !blocks(args, "fixed_ip").is_empty() {
            body.insert("fixed_ips".into(), addresses(blocks(args, "fixed_ip"), now));
        }
        if differs("allowed_address_pairs") {
            body.insert("allowed_address_pairs".into(), pairs(prior, args, now));
        }
        if differs("extra_dhcp_option") {
            dhcp_options(args, body);
            // An option goes by having no value.
            let gone = blocks(prior, "extra_dhcp_option").iter().filter(|o| {
                !blocks(args, "extra_dhcp_option")
                    .iter()
                    .any(|n| n["name"] == o["name"] && n["ip_version"] == o["ip_version"])
            });
            let gone: Vec<Json> = gone
                .map(|o| json!({ "opt_name": o["name"], "opt_value": null, "ip_version": o["ip_version"] }))
                .collect();
            if let Some(Json::Array(all)) = body.get_mut("extra_dhcp_opts") {
                all.extend(gone);
            } else {
                body.insert("extra_dhcp_opts".into(), gone.into());
            }
        }
        if differs("binding") && !blocks(args, "binding").is_empty() {
            binding(args, body)?;
        }
        Ok(())
    }

    fn seen(object: &Json, before: &Object, state: &mut Object) {
        let actual = object["fixed_ips"].as_array().map(Vec::as_slice).unwrap_or_default();
        state.insert("all_fixed_ips".into(), actual.iter().map(|f| f["ip_address"].clone()).collect());
        if !before.get("security_group_ids").is_none_or(Json::is_null) {
            state.insert("security_group_ids".into(), object["security_groups"].clone());
        }
        if !blocks(before, "fixed_ip").is_empty() {
            state.insert("fixed_ip".into(), seen_addresses(blocks(before, "fixed_ip"), actual));
        }
        let known = blocks(before, "allowed_address_pairs").iter().filter(|pair| has_pair(object, pair));
        state.insert("allowed_address_pairs".into(), known.cloned().map(full_pair).collect());
        if !blocks(before, "extra_dhcp_option").is_empty() {
            let options = object["extra_dhcp_opts"].as_array().map(Vec::as_slice).unwrap_or_default();
            let options = options.iter().map(
                |o| json!({ "name": o["opt_name"], "value": o["opt_value"], "ip_version": o["ip_version"] }),
            );
            state.insert("extra_dhcp_option".into(), options.collect());
        }
        if let Some(binding) = blocks(before, "binding").first() {
            let mut now = json!({
                "host_id": binding.get("host_id").filter(|h| !h.is_null()).map(|_| object["binding:host_id"].clone()),
                "profile": binding.get("profile").cloned(),
                "vnic_type": object.get("binding:vnic_type"),
                "vif_type": object.get("binding:vif_type"),
            });
            let details = object["binding:vif_details"].as_object().into_iter().flatten();
            now["vif_details"] =
                details.map(|(k, v)| (k.clone(), v.to_string().into())).collect::<Object>().into();
            state.insert("binding".into(), json!([now]));
        }
        for name in ["mac_address"] {
            // As it was written: letters of either case are the same address.
            if let (Some(was), Some(now)) = (before.get(name).and_then(Json::as_str), of(object, name))
                && was.eq_ignore_ascii_case(now)
            {
                state.insert(name.into(), was.into());
            }
        }
    }
}

/// A block without what it does not say.
pub(super) fn given(block: &Json) -> Json {
    let entries = block.as_object().into_iter().flatten();
    entries
        .filter(|(_, v)| !v.is_null() && *v != "")
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect::<Object>()
        .into()
}

fn security_groups(args: &Object, body: &mut Object) {
    if args.get("no_security_groups") == Some(&Json::Bool(true)) {
        body.insert("security_groups".into(), json!([]));
    } else if let Some(groups) = args.get("security_group_ids").filter(|g| !g.is_null()) {
        body.insert("security_groups".into(), groups.clone());
    }
}

fn dhcp_options(args: &Object, body: &mut Object) {
    let options = blocks(args, "extra_dhcp_option");
    if !options.is_empty() {
        let options = options.iter().map(
            |o| json!({ "opt_name": o["name"], "opt_value": o["value"], "ip_version": o["ip_version"] }),
        );
        body.insert("extra_dhcp_opts".into(), options.collect());
    }
}

fn binding(args: &Object, body: &mut Object) -> Result<(), Fault> {
    let Some(binding) = blocks(args, "binding").first() else { return Ok(()) };
    for name in ["host_id", "vnic_type"] {
        if let Some(value) = of(binding, name) {
            body.insert(format!("binding:{name}"), value.into());
        }
    }
    if let Some(profile) = of(binding, "profile") {
        let profile: Json = serde_json::from_str(profile).map_err(|e| {
            Fault::permanent(format!("the profile of binding is no JSON: {e}")).attribute("binding")
        })?;
        body.insert("binding:profile".into(), profile);
    }
    Ok(())
}

fn same_pair(wanted: &Json, pair: &Json) -> bool {
    let mac = of(wanted, "mac_address");
    wanted["ip_address"] == pair["ip_address"]
        && mac.is_none_or(|mac| of(pair, "mac_address").is_some_and(|m| m.eq_ignore_ascii_case(mac)))
}

fn has_pair(object: &Json, wanted: &Json) -> bool {
    object["allowed_address_pairs"]
        .as_array()
        .is_some_and(|all| all.iter().any(|pair| same_pair(wanted, pair)))
}

fn full_pair(pair: Json) -> Json {
    json!({ "ip_address": pair["ip_address"], "mac_address": pair.get("mac_address") })
}

/// The pairs of a port after a change: those that the plan names, and those of others.
fn pairs(prior: &Object, args: &Object, now: &Json) -> Json {
    let (before, wanted) = (blocks(prior, "allowed_address_pairs"), blocks(args, "allowed_address_pairs"));
    let actual = now["allowed_address_pairs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let others =
        actual.iter().filter(|pair| !before.iter().chain(wanted).any(|known| same_pair(known, pair)));
    wanted.iter().map(given).chain(others.cloned()).collect()
}

/// For each address that is asked for the one that is there, so that nothing moves that need not.
fn addresses(wanted: &[Json], now: &Json) -> Json {
    let mut left: Vec<&Json> = now["fixed_ips"].as_array().into_iter().flatten().collect();
    wanted
        .iter()
        .map(|block| match left.iter().position(|actual| fits(block, actual)) {
            Some(i) => left.remove(i).clone(),
            None => given(block),
        })
        .collect()
}

fn fits(block: &Json, actual: &Json) -> bool {
    ["subnet_id", "ip_address"]
        .iter()
        .all(|name| of(block, name).is_none_or(|value| of(actual, name) == Some(value)))
}

/// The addresses that were asked for and are there, as they were asked for; then what is there besides.
pub(super) fn seen_addresses(before: &[Json], actual: &[Json]) -> Json {
    let mut left: Vec<&Json> = actual.iter().collect();
    let mut seen: Vec<Json> = Vec::new();
    for block in before {
        if let Some(i) = left.iter().position(|actual| fits(block, actual)) {
            left.remove(i);
            seen.push(json!({ "subnet_id": block.get("subnet_id"), "ip_address": block.get("ip_address") }));
        }
    }
    seen.extend(left.into_iter().cloned());
    seen.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: Json) -> Object {
        json.as_object().unwrap().clone()
    }

    #[test]
    fn pairs_of_others_are_neither_a_difference_nor_touched() {
        let now = json!({ "allowed_address_pairs": [
            { "ip_address": "10.244.0.0/16", "mac_address": "fa:16:3e:00:00:01" },
            { "ip_address": "10.96.0.0/12", "mac_address": "fa:16:3e:00:00:01" },
            { "ip_address": "10.244.7.0/24", "mac_address": "fa:16:3e:00:00:01" },
        ], "fixed_ips": [] });
        let prior = object(
            json!({ "allowed_address_pairs": [{ "ip_address": "10.244.0.0/16" }, { "ip_address": "10.96.0.0/12" }] }),
        );
        let mut state = Object::new();
        Port::seen(&now, &prior, &mut state);
        assert_eq!(state["allowed_address_pairs"].as_array().unwrap().len(), 2);
        let args = object(
            json!({ "allowed_address_pairs": [{ "ip_address": "10.245.0.0/16" }, { "ip_address": "10.96.0.0/12" }] }),
        );
        let mut body = Object::new();
        Port::changes(&prior, &args, &now, &mut body).unwrap();
        assert_eq!(
            body["allowed_address_pairs"],
            json!([
                { "ip_address": "10.245.0.0/16" },
                { "ip_address": "10.96.0.0/12" },
                { "ip_address": "10.244.7.0/24", "mac_address": "fa:16:3e:00:00:01" },
            ])
        );
        let lost = json!({ "allowed_address_pairs": [{ "ip_address": "10.96.0.0/12", "mac_address": "x" }], "fixed_ips": [] });
        Port::seen(&lost, &prior, &mut state);
        assert_eq!(
            state["allowed_address_pairs"],
            json!([{ "ip_address": "10.96.0.0/12", "mac_address": null }])
        );
    }

    #[test]
    fn addresses_stay_where_they_may() {
        let now = json!({ "fixed_ips": [
            { "subnet_id": "a", "ip_address": "10.0.0.7" },
            { "subnet_id": "b", "ip_address": "10.1.0.7" },
        ], "allowed_address_pairs": [] });
        let one = json!([{ "subnet_id": "b" }, { "subnet_id": "a", "ip_address": "10.0.0.9" }]);
        assert_eq!(
            addresses(one.as_array().unwrap(), &now),
            json!([{ "subnet_id": "b", "ip_address": "10.1.0.7" }, { "subnet_id": "a", "ip_address": "10.0.0.9" }])
        );
        let before = object(json!({ "fixed_ip": [{ "subnet_id": "a" }] }));
        let mut state = Object::new();
        Port::seen(&now, &before, &mut state);
        assert_eq!(
            state["fixed_ip"],
            json!([{ "subnet_id": "a", "ip_address": null }, { "subnet_id": "b", "ip_address": "10.1.0.7" }]),
            "one that was added shows"
        );
    }
}
