//! Networks, subnets, security groups, flavors.

use grappe_value::{Attribute, Type};
use serde_json::Value as Json;

use super::found::{Filter, Part, Table};
use crate::client::Service;
use crate::thing::Object;

/// An argument that the service compares under its own name in the API, and that is told where it is not given.
fn asked(name: &'static str, api: &'static str, ty: Type, description: &'static str) -> Part {
    Part { name, api, attribute: Attribute::optional_computed(ty, description), filter: Filter::There(api) }
}

/// One whose id is asked for by another name.
fn by_id(name: &'static str, description: &'static str) -> Part {
    Part {
        name,
        api: "id",
        attribute: Attribute::optional_computed(Type::String, description),
        filter: Filter::There("id"),
    }
}

/// One that is compared here.
fn here(name: &'static str, api: &'static str, ty: Type, description: &'static str) -> Part {
    Part { name, api, attribute: Attribute::optional_computed(ty, description), filter: Filter::Here }
}

/// One that is only told.
fn told(name: &'static str, api: &'static str, ty: Type, description: &'static str) -> Part {
    Part { name, api, attribute: Attribute::computed(ty, description), filter: Filter::No }
}

fn tags() -> [Part; 2] {
    let set = || Type::set(Type::String);
    [
        Part {
            name: "tags",
            api: "tags",
            attribute: Attribute::optional(set(), "Tags that it has."),
            filter: Filter::There("tags"),
        },
        told("all_tags", "tags", set(), "All its tags."),
    ]
}

fn nothing(_: &Json, _: &mut Object) {}

pub(super) fn network() -> Table {
    let mut parts = vec![
        asked("name", "name", Type::String, "Its name."),
        by_id("network_id", "Its id."),
        asked("description", "description", Type::String, "Its description."),
        asked("status", "status", Type::String, "Its status."),
        asked("external", "router:external", Type::Bool, "Whether it leads out."),
        asked("tenant_id", "tenant_id", Type::String, "Its project."),
        asked("mtu", "mtu", Type::Number, "The longest packet."),
        told("admin_state_up", "admin_state_up", Type::Bool, "Whether it is in use."),
        told("shared", "shared", Type::Bool, "Whether all projects may use it."),
        told("dns_domain", "dns_domain", Type::String, "Its DNS domain."),
        told("subnets", "subnets", Type::list(Type::String), "The ids of its subnets."),
        told(
            "availability_zone_hints",
            "availability_zone_hints",
            Type::list(Type::String),
            "The zones that serve it.",
        ),
    ];
    parts.extend(tags());
    Table {
        ty: "openstack_networking_network_v2",
        service: Service::Network,
        path: "networks",
        many: "networks",
        noun: "network",
        description: "A network that is there.",
        parts,
        more: nothing,
    }
}

pub(super) fn subnet() -> Table {
    let mut parts = vec![
        asked("name", "name", Type::String, "Its name."),
        by_id("subnet_id", "Its id."),
        asked("description", "description", Type::String, "Its description."),
        asked("network_id", "network_id", Type::String, "Its network."),
        asked("tenant_id", "tenant_id", Type::String, "Its project."),
        asked("ip_version", "ip_version", Type::Number, "4 or 6."),
        asked("gateway_ip", "gateway_ip", Type::String, "Its gateway."),
        asked("cidr", "cidr", Type::String, "Its range."),
        asked("ipv6_address_mode", "ipv6_address_mode", Type::String, "How addresses are given."),
        asked("ipv6_ra_mode", "ipv6_ra_mode", Type::String, "How routers announce themselves."),
        asked("subnetpool_id", "subnetpool_id", Type::String, "The pool that it is from."),
        asked("segment_id", "segment_id", Type::String, "Its segment."),
        Part {
            name: "dhcp_enabled",
            api: "enable_dhcp",
            attribute: Attribute::optional(Type::Bool, "Whether DHCP gives its addresses."),
            filter: Filter::There("enable_dhcp"),
        },
        told("enable_dhcp", "enable_dhcp", Type::Bool, "Whether DHCP gives its addresses."),
        told("dns_nameservers", "dns_nameservers", Type::list(Type::String), "Its name servers."),
        told("service_types", "service_types", Type::list(Type::String), "Who may have its addresses."),
    ];
    let range = Type::object([("start", Type::String), ("end", Type::String)]);
    parts.push(told("allocation_pools", "allocation_pools", Type::list(range), "What is given."));
    let route = Type::object([("destination", Type::String), ("nexthop", Type::String)]);
    parts.push(told("host_routes", "host_routes", Type::list(route), "Routes that DHCP gives."));
    parts.extend(tags());
    Table {
        ty: "openstack_networking_subnet_v2",
        service: Service::Network,
        path: "subnets",
        many: "subnets",
        noun: "subnet",
        description: "A subnet that is there.",
        parts,
        more: nothing,
    }
}

pub(super) fn security_group() -> Table {
    let mut parts = vec![
        asked("name", "name", Type::String, "Its name."),
        by_id("secgroup_id", "Its id."),
        asked("description", "description", Type::String, "Its description."),
        asked("tenant_id", "tenant_id", Type::String, "Its project."),
        asked("stateful", "stateful", Type::Bool, "Whether answers may pass."),
    ];
    parts.extend(tags());
    Table {
        ty: "openstack_networking_secgroup_v2",
        service: Service::Network,
        path: "security-groups",
        many: "security_groups",
        noun: "security group",
        description: "A security group that is there.",
        parts,
        more: nothing,
    }
}

pub(super) fn flavor() -> Table {
    let parts = vec![
        here("name", "name", Type::String, "Its name."),
        here("flavor_id", "id", Type::String, "Its id."),
        here("ram", "ram", Type::Number, "Its memory, in MB."),
        here("vcpus", "vcpus", Type::Number, "Its processors."),
        here("disk", "disk", Type::Number, "Its disk, in GB."),
        here("rx_tx_factor", "rxtx_factor", Type::Number, "Its share of the network."),
        told("swap", "", Type::Number, "Its swap, in MB."),
        here("is_public", "os-flavor-access:is_public", Type::Bool, "Whether all projects may use it."),
        Part {
            name: "min_ram",
            api: "ram",
            attribute: Attribute::optional(Type::Number, "The least memory, in MB."),
            filter: Filter::There("minRam"),
        },
        Part {
            name: "min_disk",
            api: "disk",
            attribute: Attribute::optional(Type::Number, "The least disk, in GB."),
            filter: Filter::There("minDisk"),
        },
    ];
    Table {
        ty: "openstack_compute_flavor_v2",
        service: Service::Compute,
        path: "flavors/detail",
        many: "flavors",
        noun: "flavor",
        description: "A flavor that is there.",
        parts,
        more: |object, state| {
            // Nova has "" for none.
            let swap = object["swap"].as_u64().unwrap_or_default();
            state.insert("swap".into(), swap.into());
        },
    }
}
