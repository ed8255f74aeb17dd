//! `openstack_lb_listener_v2`.

use grappe_provider::Fault;
use grappe_value::{Attribute, Type};
use serde_json::Value as Json;

use super::parent;
use crate::attrs::{description, flag, given_string, list, name, number, string, tenant, up};
use crate::client::Service;
use crate::thing::{Ctx, Field, Keyed, Kind, Object, Table, text};

pub(super) struct Listener;

impl Kind for Listener {
    const NAME: &'static str = "openstack_lb_listener_v2";

    fn table() -> Table {
        let set = |description| Attribute::optional_computed(Type::set(Type::String), description);
        Table {
            service: Service::LoadBalancer,
            path: "lbaas/listeners",
            one: "listener",
            noun: "listener",
            description: "A port that a load balancer listens on.",
            keyed: Keyed::Tag,
            tags: true,
            fields: vec![
                name(),
                description(),
                up(),
                tenant(),
                Field::new(
                    "loadbalancer_id",
                    Attribute::required(Type::String, "The load balancer.").replace().home(),
                ),
                Field::new(
                    "protocol",
                    Attribute::required(
                        Type::String,
                        "`TCP`, `HTTP`, `HTTPS`, `TERMINATED_HTTPS`, `UDP`, `SCTP`, `PROMETHEUS`.",
                    )
                    .replace(),
                ),
                Field::new("protocol_port", Attribute::required(Type::Number, "The port.").replace()),
                Field::new("default_pool_id", given_string("The pool that it leads to.")),
                Field::new("connection_limit", number("The most connections at once; -1 for any number.")),
                Field::new("timeout_client_data", number("How long a client may be silent, in ms.")),
                Field::new(
                    "timeout_member_connect",
                    number("How long connecting to a member may take, in ms."),
                ),
                Field::new("timeout_member_data", number("How long a member may be silent, in ms.")),
                Field::new("timeout_tcp_inspect", number("How long it waits for more to look at, in ms.")),
                Field::new("default_tls_container_ref", string("The certificate, in Barbican.")),
                Field::new("sni_container_refs", list("Certificates for other names, in Barbican.")),
                Field::new(
                    "insert_headers",
                    Attribute::optional(Type::map(Type::String), "Headers that it adds."),
                ),
                Field::new("allowed_cidrs", list("Ranges that may connect. All where nothing is said.")),
                Field::new("alpn_protocols", set("ALPN protocols.")),
                Field::new("client_authentication", given_string("`NONE`, `OPTIONAL`, `MANDATORY`.")),
                Field::new("client_ca_tls_container_ref", string("The authority of clients, in Barbican.")),
                Field::new("client_crl_container_ref", string("Clients that are refused, in Barbican.")),
                Field::new("hsts_include_subdomains", flag("HSTS, for subdomains too.")),
                Field::new("hsts_max_age", number("HSTS, for so many seconds.")),
                Field::new("hsts_preload", flag("HSTS, with preload.")),
                Field::new("tls_ciphers", given_string("TLS ciphers, as OpenSSL has them.")),
                Field::new("tls_versions", set("TLS versions.")),
            ],
            blocks: Vec::new(),
        }
    }

    async fn balancer(_: &Ctx, args: &Object) -> Result<Option<String>, Fault> {
        Ok(text(args, "loadbalancer_id").map(str::to_owned))
    }

    fn seen(object: &Json, before: &Object, state: &mut Object) {
        state.insert("loadbalancer_id".into(), parent(object, "loadbalancers"));
        // Barbican's references may be null there.
        for name in ["default_tls_container_ref", "client_ca_tls_container_ref", "client_crl_container_ref"] {
            let now = object.get(name).cloned().unwrap_or_default();
            state.insert(name.into(), crate::thing::settled(before.get(name), now));
        }
    }
}
