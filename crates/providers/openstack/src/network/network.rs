//! `openstack_networking_network_v2`.

use grappe_provider::Fault;
use grappe_value::{Attribute, Nesting, Schema, Type};
use serde_json::{Value as Json, json};

use crate::attrs::{description, flag, given_string, name, number, string, tenant, up, value_specs};
use crate::client::Service;
use crate::thing::{Field, Keyed, Kind, Nested, Object, Table, blocks};

pub(super) struct Network;

impl Kind for Network {
    const NAME: &'static str = "openstack_networking_network_v2";

    fn table() -> Table {
        Table {
            service: Service::Network,
            path: "networks",
            one: "network",
            noun: "network",
            description: "A network.",
            keyed: Keyed::Description,
            tags: true,
            fields: vec![
                name(),
                description(),
                up(),
                tenant(),
                value_specs(),
                Field::new("shared", flag("Whether all projects may use it.")),
                Field::new("external", flag("Whether it leads out: routers take their gateway in it, floating addresses come from it.")).api("router:external"),
                Field::new("transparent_vlan", flag("Whether VLAN tags go through it.").replace()).api("vlan_transparent"),
                Field::new("port_security_enabled", flag("Whether its ports filter by default.")),
                Field::new("mtu", number("The longest packet, in bytes.")),
                Field::new("dns_domain", given_string("The domain that its ports' names are published in.")),
                Field::new("qos_policy_id", given_string("The QoS policy.")),
                Field::new(
                    "availability_zone_hints",
                    Attribute::optional_computed(Type::list(Type::String), "The zones to serve it from.").replace(),
                ),
            ],
            blocks: vec![Nested {
                name: "segments",
                nesting: Nesting::Set,
                schema: Schema::new("A segment of the physical network.")
                    .attr("physical_network", string("The physical network.").replace())
                    .attr("network_type", string("Its kind: `vlan`, `vxlan`, `flat`, …").replace())
                    .attr("segmentation_id", Attribute::optional(Type::Number, "The number of the VLAN or tunnel.").replace()),
                max: None,
            }],
        }
    }

    fn body(args: &Object, body: &mut Object) -> Result<(), Fault> {
        let segments: Vec<Json> = blocks(args, "segments")
            .iter()
            .map(|s| {
                let named = ["physical_network", "network_type", "segmentation_id"];
                let given = named.iter().filter_map(|n| Some((format!("provider:{n}"), s.get(n)?.clone())));
                Json::Object(given.filter(|(_, v)| !v.is_null()).collect())
            })
            .collect();
        if !segments.is_empty() {
            body.insert("segments".into(), json!(segments));
        }
        Ok(())
    }
}
