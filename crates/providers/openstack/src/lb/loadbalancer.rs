//! `openstack_lb_loadbalancer_v2`.

use grappe_http::Method;
use grappe_provider::{Fault, Problem};
use grappe_value::{Attribute, Type, Value};
use serde_json::{Value as Json, json};

use crate::attrs::{description, given_string, name, tenant, up};
use crate::client::{Call, Refused, Service};
use crate::thing::{Ctx, Field, Keyed, Kind, Object, Table, of, text};

pub(super) struct LoadBalancer;

impl Kind for LoadBalancer {
    const NAME: &'static str = "openstack_lb_loadbalancer_v2";

    fn table() -> Table {
        let fixed = |description| given_string(description).replace();
        Table {
            service: Service::LoadBalancer,
            path: "lbaas/loadbalancers",
            one: "loadbalancer",
            noun: "load balancer",
            description: "A load balancer.",
            keyed: Keyed::Tag,
            tags: true,
            fields: vec![
                name(),
                description(),
                up(),
                tenant(),
                Field::new("vip_subnet_id", fixed("The subnet to take its address from.")),
                Field::new("vip_network_id", fixed("The network to take its address from.")),
                Field::new("vip_port_id", fixed("A port of one's own for its address.")),
                Field::new("vip_address", fixed("Its address.")),
                Field::new("vip_qos_policy_id", given_string("The QoS policy of its address.")),
                Field::new("flavor_id", fixed("The flavor.")),
                Field::new("loadbalancer_provider", fixed("What it is made with: `amphora`, `ovn`, ….")).api("provider"),
                Field::new("availability_zone", fixed("The zone.")),
                Field::new(
                    "security_group_ids",
                    Attribute::optional_computed(Type::set(Type::String), "Security groups for the port of its address. Set, and not compared with what is there."),
                )
                .own(),
            ],
            blocks: Vec::new(),
        }
    }

    fn validate(config: &Value) -> Vec<Problem> {
        let given = |name: &str| config.get(name).is_some_and(|v| !v.is_null());
        if ["vip_subnet_id", "vip_network_id", "vip_port_id"].into_iter().any(given) {
            return Vec::new();
        }
        vec![
            Problem::new("vip_subnet_id", "it has no place for its address")
                .hint("give vip_subnet_id, vip_network_id or vip_port_id"),
        ]
    }

    async fn created(ctx: &Ctx, args: &Object, object: Json) -> Result<Json, Fault> {
        let id = of(&object, "id").unwrap_or_default();
        let now = crate::balancing::settled(ctx, text(args, "region"), id, "after its creation").await?;
        groups(ctx, args, &now).await?;
        Ok(now)
    }

    async fn updated(ctx: &Ctx, prior: &Object, args: &Object, object: Json) -> Result<Json, Fault> {
        let id = of(&object, "id").unwrap_or_default();
        let now = crate::balancing::settled(ctx, text(args, "region"), id, "after a change").await?;
        if prior.get("security_group_ids") != args.get("security_group_ids") {
            groups(ctx, args, &now).await?;
        }
        Ok(now)
    }

    async fn balancer(_: &Ctx, args: &Object) -> Result<Option<String>, Fault> {
        // It does not exist before its creation.
        Ok(text(args, "id").map(str::to_owned))
    }

    async fn gone(ctx: &Ctx, state: &Object) -> Result<(), Fault> {
        crate::balancing::gone(ctx, text(state, "region"), text(state, "id").unwrap_or_default()).await
    }

    fn seen(_: &Json, before: &Object, state: &mut Object) {
        state.insert(
            "security_group_ids".into(),
            before.get("security_group_ids").cloned().unwrap_or_default(),
        );
    }
}

/// Sets the security groups of the port of its address, where the plan names some.
async fn groups(ctx: &Ctx, args: &Object, now: &Json) -> Result<(), Fault> {
    let Some(groups) = args.get("security_group_ids").filter(|g| !g.is_null()) else { return Ok(()) };
    let path = format!("ports/{}", of(now, "vip_port_id").unwrap_or_default());
    let put = Call::new(Method::PUT, Service::Network, text(args, "region"), path)
        .json(json!({ "port": { "security_groups": groups } }));
    ctx.client().call(put).await.map(drop).map_err(Refused::fault)
}
