//! `openstack_lb_monitor_v2`.

use grappe_provider::Fault;
use grappe_value::{Attribute, Type};
use serde_json::Value as Json;

use super::{POOL, balancer_of, parent};
use crate::attrs::{given_string, name, number, tenant, up};
use crate::client::Service;
use crate::thing::{Ctx, Field, Keyed, Kind, Object, Table, text};

pub(super) struct Monitor;

impl Kind for Monitor {
    const NAME: &'static str = "openstack_lb_monitor_v2";

    fn table() -> Table {
        let required = |description| Attribute::required(Type::Number, description);
        Table {
            service: Service::LoadBalancer,
            path: "lbaas/healthmonitors",
            one: "healthmonitor",
            noun: "monitor",
            description: "How the members of a pool are asked for their health.",
            keyed: Keyed::Tag,
            tags: true,
            fields: vec![
                name(),
                up(),
                tenant(),
                Field::new("pool_id", Attribute::required(Type::String, "The pool.").replace().home()),
                Field::new(
                    "type",
                    Attribute::required(
                        Type::String,
                        "`TCP`, `HTTP`, `HTTPS`, `PING`, `TLS-HELLO`, `UDP-CONNECT`, `SCTP`.",
                    )
                    .replace(),
                ),
                Field::new("delay", required("How often, in seconds.")),
                Field::new("timeout", required("How long an answer may take, in seconds.")),
                Field::new("max_retries", required("After how many answers a member is up.")),
                Field::new("max_retries_down", number("After how many failures it is down.")),
                Field::new("url_path", given_string("The path to ask for.")),
                Field::new("http_method", given_string("How to ask.")),
                Field::new("http_version", given_string("`1.0` or `1.1`.")),
                Field::new(
                    "expected_codes",
                    given_string("Which answers are good: `200`, `200-204`, `200,202`."),
                ),
                Field::new("domain_name", given_string("The name to ask for.")),
            ],
            blocks: Vec::new(),
        }
    }

    async fn balancer(ctx: &Ctx, args: &Object) -> Result<Option<String>, Fault> {
        balancer_of(ctx, args, POOL, text(args, "pool_id").unwrap_or_default()).await
    }

    fn seen(object: &Json, _: &Object, state: &mut Object) {
        state.insert("pool_id".into(), parent(object, "pools"));
        // Octavia has a number there, Terraform text.
        let version = object["http_version"].as_f64().map(|v| format!("{v:.1}"));
        state.insert("http_version".into(), version.into());
    }

    fn body(_: &Object, body: &mut Object) -> Result<(), Fault> {
        number_of_version(body);
        Ok(())
    }

    fn changes(_: &Object, _: &Object, _: &Json, body: &mut Object) -> Result<(), Fault> {
        number_of_version(body);
        Ok(())
    }
}

fn number_of_version(body: &mut Object) {
    if let Some(version) = body.get("http_version").and_then(Json::as_str).and_then(|v| v.parse::<f64>().ok())
    {
        body.insert("http_version".into(), version.into());
    }
}
