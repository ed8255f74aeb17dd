//! Neutron: networks, subnets, ports, routers, security groups, floating addresses.

mod associate;
mod floatingip;
mod interface;
#[expect(clippy::module_inception, reason = "the type is called network")]
mod network;
mod port;
mod router;
mod secgroup;
mod secgroup_rule;
mod subnet;

use grappe_provider::{AnyResource, erased};

use crate::thing::Thing;

pub(crate) fn resources() -> Vec<Box<dyn AnyResource>> {
    vec![
        erased::resource(Thing::<network::Network>::new()),
        erased::resource(Thing::<subnet::Subnet>::new()),
        erased::resource(Thing::<port::Port>::new()),
        erased::resource(Thing::<router::Router>::new()),
        erased::resource(interface::Interface),
        erased::resource(Thing::<secgroup::SecurityGroup>::new()),
        erased::resource(Thing::<secgroup_rule::Rule>::new()),
        erased::resource(Thing::<floatingip::FloatingIp>::new()),
        erased::resource(associate::Associate),
    ]
}
