//! `openstack_lb_member_v2`.

use grappe_provider::Fault;
use grappe_value::{Attribute, Type};
use serde_json::Value as Json;

use super::{POOL, balancer_of};
use crate::attrs::{flag, given_string, name, number, string, tenant, up};
use crate::client::Service;
use crate::thing::{Ctx, Field, Keyed, Kind, Object, Table, text};

pub(super) struct Member;

impl Kind for Member {
    const NAME: &'static str = "openstack_lb_member_v2";
    const IMPORT: &'static str = "the pool's and its own: `POOL/MEMBER`";

    fn table() -> Table {
        Table {
            service: Service::LoadBalancer,
            path: "lbaas/members",
            one: "member",
            noun: "member",
            description: "A member of a pool.",
            keyed: Keyed::Tag,
            tags: true,
            fields: vec![
                name(),
                up(),
                tenant(),
                Field::new("pool_id", Attribute::required(Type::String, "The pool.").replace().home()).own(),
                Field::new("address", Attribute::required(Type::String, "Its address.").replace()),
                Field::new("protocol_port", Attribute::required(Type::Number, "Its port.").replace()),
                Field::new("subnet_id", given_string("The subnet to reach it through.").replace()),
                Field::new("weight", number("Its share. 1 by default; 0 gets nothing new.")),
                Field::new("monitor_address", string("Another address to ask for its health.")),
                Field::new(
                    "monitor_port",
                    Attribute::optional(Type::Number, "Another port to ask for its health."),
                ),
                Field::new("backup", flag("Whether it gets something only when all others are down.")),
            ],
            blocks: Vec::new(),
        }
    }

    fn collection(args: &Object) -> String {
        format!("lbaas/pools/{}/members", text(args, "pool_id").unwrap_or_default())
    }

    async fn balancer(ctx: &Ctx, args: &Object) -> Result<Option<String>, Fault> {
        balancer_of(ctx, args, POOL, text(args, "pool_id").unwrap_or_default()).await
    }

    fn seen(_: &Json, before: &Object, state: &mut Object) {
        state.insert("pool_id".into(), before.get("pool_id").cloned().unwrap_or_default());
    }
}
