//! `openstack_networking_secgroup_v2`.

use grappe_http::Method;
use grappe_provider::Fault;
use grappe_value::{Attribute, Type};
use serde_json::Value as Json;

use crate::attrs::{description, flag, tenant};
use crate::client::{Call, Service};
use crate::thing::{Ctx, Field, Keyed, Kind, Object, Table, is_empty, of, text};

pub(super) struct SecurityGroup;

impl Kind for SecurityGroup {
    const NAME: &'static str = "openstack_networking_secgroup_v2";

    fn table() -> Table {
        Table {
            service: Service::Network,
            path: "security-groups",
            one: "security_group",
            noun: "security group",
            description: "A security group: its rules say what may pass.",
            keyed: Keyed::Description,
            tags: true,
            fields: vec![
                Field::new("name", Attribute::required(Type::String, "Its name.")),
                description(),
                tenant(),
                Field::new("stateful", flag("Whether answers to what may pass may pass. Can't be changed while a port uses it.")),
                Field::new(
                    "delete_default_rules",
                    Attribute::optional(Type::Bool, "Whether the rules that Neutron gives to each new group (everything may go out) are taken away.").default(false).replace(),
                )
                .own(),
            ],
            blocks: Vec::new(),
        }
    }

    async fn created(ctx: &Ctx, args: &Object, object: Json) -> Result<Json, Fault> {
        if args.get("delete_default_rules") != Some(&Json::Bool(true)) {
            return Ok(object);
        }
        let rules = object["security_group_rules"].as_array().map(Vec::as_slice).unwrap_or_default();
        for id in rules.iter().filter(|rule| is_default(rule)).filter_map(|rule| of(rule, "id")) {
            let call = Call::new(
                Method::DELETE,
                Service::Network,
                text(args, "region"),
                format!("security-group-rules/{id}"),
            );
            match ctx.client().raw(&call).await {
                Err(refused) if refused.status() != Some(404) => return Err(refused.fault()),
                _ => {}
            }
        }
        Ok(object)
    }
}

/// Whether Neutron made the rule with its group: everything may go out.
fn is_default(rule: &Json) -> bool {
    let open = [
        "protocol",
        "port_range_min",
        "port_range_max",
        "remote_ip_prefix",
        "remote_group_id",
        "description",
    ];
    rule["direction"] == "egress" && open.iter().all(|name| rule.get(name).is_none_or(is_empty))
}
