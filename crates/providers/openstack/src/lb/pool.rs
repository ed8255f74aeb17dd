//! `openstack_lb_pool_v2`.

use grappe_provider::{Fault, Problem};
use grappe_value::{Attribute, Nesting, Schema, Type, Value};
use serde_json::{Value as Json, json};

use super::{LISTENER, POOL, balancer_of, parent};
use crate::attrs::{description, flag, given_string, name, string, tenant, up};
use crate::client::Service;
use crate::thing::{Ctx, Field, Keyed, Kind, Nested, Object, Table, blocks, of, text};

pub(super) struct Pool;

impl Kind for Pool {
    const NAME: &'static str = "openstack_lb_pool_v2";

    fn table() -> Table {
        let set = |description| Attribute::optional_computed(Type::set(Type::String), description);
        Table {
            service: Service::LoadBalancer,
            path: "lbaas/pools",
            one: "pool",
            noun: "pool",
            description: "Members that a load balancer leads to.",
            keyed: Keyed::Tag,
            tags: true,
            fields: vec![
                name(),
                description(),
                up(),
                tenant(),
                Field::new(
                    "protocol",
                    Attribute::required(
                        Type::String,
                        "`TCP`, `HTTP`, `HTTPS`, `PROXY`, `PROXYV2`, `UDP`, `SCTP`.",
                    )
                    .replace(),
                ),
                Field::new(
                    "lb_method",
                    Attribute::required(
                        Type::String,
                        "`ROUND_ROBIN`, `LEAST_CONNECTIONS`, `SOURCE_IP`, `SOURCE_IP_PORT`.",
                    ),
                )
                .api("lb_algorithm"),
                Field::new("loadbalancer_id", string("The load balancer.").replace()).own(),
                Field::new("listener_id", string("The listener that leads to it.").replace()).own(),
                Field::new("alpn_protocols", set("ALPN protocols.")),
                Field::new("ca_tls_container_ref", string("The authority of members, in Barbican.")),
                Field::new("crl_container_ref", string("Members that are refused, in Barbican.")),
                Field::new("tls_enabled", flag("Whether members are spoken to over TLS.")),
                Field::new("tls_container_ref", string("The certificate to show to members, in Barbican.")),
                Field::new("tls_ciphers", given_string("TLS ciphers, as OpenSSL has them.")),
                Field::new("tls_versions", set("TLS versions.")),
            ],
            blocks: vec![Nested {
                name: "persistence",
                nesting: Nesting::List,
                schema: Schema::new("Whether a client is led to the same member again.")
                    .attr(
                        "type",
                        Attribute::required(Type::String, "`SOURCE_IP`, `HTTP_COOKIE`, `APP_COOKIE`.")
                            .replace(),
                    )
                    .attr("cookie_name", string("The cookie, of `APP_COOKIE`.").replace()),
                max: Some(1),
            }],
        }
    }

    fn validate(config: &Value) -> Vec<Problem> {
        let given = |name: &str| config.get(name).is_some_and(|v| !v.is_null());
        match (given("loadbalancer_id"), given("listener_id")) {
            (false, false) => vec![
                Problem::new("loadbalancer_id", "nothing leads to it")
                    .hint("give loadbalancer_id, or listener_id"),
            ],
            (true, true) => vec![
                Problem::new("listener_id", "loadbalancer_id is given too").hint("leave out one of the two"),
            ],
            _ => Vec::new(),
        }
    }

    fn body(args: &Object, body: &mut Object) -> Result<(), Fault> {
        for name in ["loadbalancer_id", "listener_id"] {
            if let Some(id) = text(args, name) {
                body.insert(name.into(), id.into());
            }
        }
        if let Some(persistence) = blocks(args, "persistence").first() {
            let mut wanted = json!({ "type": persistence["type"] });
            if let Some(cookie) = of(persistence, "cookie_name") {
                wanted["cookie_name"] = cookie.into();
            }
            body.insert("session_persistence".into(), wanted);
        }
        Ok(())
    }

    async fn balancer(ctx: &Ctx, args: &Object) -> Result<Option<String>, Fault> {
        match (text(args, "loadbalancer_id"), text(args, "id"), text(args, "listener_id")) {
            (Some(id), ..) => Ok(Some(id.to_owned())),
            (None, Some(id), _) => balancer_of(ctx, args, POOL, id).await,
            (None, None, Some(id)) => balancer_of(ctx, args, LISTENER, id).await,
            _ => Ok(None),
        }
    }

    fn seen(object: &Json, before: &Object, state: &mut Object) {
        for (name, parents) in [("loadbalancer_id", "loadbalancers"), ("listener_id", "listeners")] {
            let known = text(before, name).is_some();
            state.insert(name.into(), if known { parent(object, parents) } else { Json::Null });
        }
        if !blocks(before, "persistence").is_empty() {
            let now = &object["session_persistence"];
            let now = now
                .is_object()
                .then(|| json!({ "type": now["type"], "cookie_name": now.get("cookie_name") }));
            state.insert("persistence".into(), now.into_iter().collect());
        }
    }
}
