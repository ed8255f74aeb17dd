//! `openstack_networking_secgroup_rule_v2`.
//!
//! Neutron knows a rule by what it says: a second one that says the same is refused. Rules can't be changed and have no tags, so the key stands
//! behind the description.

use grappe_provider::Problem;
use grappe_value::{Attribute, Type, Value};
use serde_json::Value as Json;

use crate::attrs::{number, string, tenant};
use crate::client::Service;
use crate::thing::{Field, Keyed, Kind, Object, Table};

pub(super) struct Rule;

impl Kind for Rule {
    const NAME: &'static str = "openstack_networking_secgroup_rule_v2";

    fn table() -> Table {
        let fixed = |description| string(description).replace();
        Table {
            service: Service::Network,
            path: "security-group-rules",
            one: "security_group_rule",
            noun: "security group rule",
            description: "A rule of a security group: what may pass.",
            keyed: Keyed::Suffix,
            tags: false,
            fields: vec![
                Field::new(
                    "security_group_id",
                    Attribute::required(Type::String, "The security group.").replace(),
                ),
                Field::new(
                    "direction",
                    Attribute::required(Type::String, "`ingress` or `egress`.").replace(),
                ),
                Field::new("ethertype", Attribute::required(Type::String, "`IPv4` or `IPv6`.").replace()),
                Field::new("description", fixed("What it is for.")),
                Field::new(
                    "protocol",
                    fixed("`tcp`, `udp`, `icmp`, … or a number. Any where nothing is said."),
                ),
                Field::new("port_range_min", number("The first port (the type, of ICMP).").replace()),
                Field::new("port_range_max", number("The last port (the code, of ICMP).").replace()),
                Field::new("remote_ip_prefix", fixed("The range on the other side.")),
                Field::new("remote_group_id", fixed("The security group on the other side.")),
                Field::new("remote_address_group_id", fixed("The address group on the other side.")),
                tenant(),
            ],
            blocks: Vec::new(),
        }
    }

    fn validate(config: &Value) -> Vec<Problem> {
        let text = |name: &str| config.get(name).and_then(Value::as_str);
        let mut problems = Vec::new();
        for (name, allowed) in [("direction", ["ingress", "egress"]), ("ethertype", ["IPv4", "IPv6"])] {
            if let Some(value) = text(name).filter(|v| !allowed.contains(v)) {
                problems.push(Problem::new(
                    name,
                    format!("{value:?} is neither {:?} nor {:?}", allowed[0], allowed[1]),
                ));
            }
        }
        let remotes = ["remote_ip_prefix", "remote_group_id", "remote_address_group_id"];
        let given: Vec<&str> =
            remotes.into_iter().filter(|n| text(n).is_some_and(|t| !t.is_empty())).collect();
        if let [first, second, ..] = given[..] {
            problems.push(
                Problem::new(second, format!("{first} names the other side already"))
                    .hint("leave out one of them"),
            );
        }
        let port =
            |name: &str| config.get(name).and_then(Value::as_number).and_then(grappe_value::Number::as_i64);
        if let (Some(min), Some(max)) = (port("port_range_min"), port("port_range_max"))
            && min > max
            && text("protocol").is_some_and(|p| ["tcp", "udp"].contains(&p))
        {
            problems.push(Problem::new("port_range_max", format!("{max} is below the first port, {min}")));
        }
        if port("port_range_min").is_some() && config.get("protocol").is_some_and(Value::is_null) {
            problems.push(
                Problem::new("protocol", "ports are of a protocol").hint("say protocol = \"tcp\" or \"udp\""),
            );
        }
        problems
    }

    fn seen(object: &Json, before: &Object, state: &mut Object) {
        // As it was written: Neutron makes letters small.
        if let (Some(was), Some(now)) =
            (before.get("protocol").and_then(Json::as_str), object["protocol"].as_str())
            && was.eq_ignore_ascii_case(now)
        {
            state.insert("protocol".into(), was.into());
        }
    }
}
