//! The arguments of a server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grappe_provider::{Change, Problem};
use grappe_value::{Attribute, Block, Nesting, Schema, Type, Value};
use sha1::{Digest as _, Sha1};

use crate::attrs::{given_string, string};

/// Nova takes no more, as base64.
const USER_DATA: usize = 65_535;

pub(super) fn schema() -> Schema {
    let computed = |description| Attribute::computed(Type::String, description);
    let flag = |description| Attribute::optional(Type::Bool, description);
    let schema = Schema::new("A server.")
        .attr("region", given_string("The region. The provider's by default.").replace())
        .attr("name", Attribute::required(Type::String, "Its name."))
        .attr("image_id", given_string("The image to start from. A change rebuilds the server."))
        .attr("image_name", given_string("The image, by name. A change rebuilds the server."))
        .attr("flavor_id", given_string("The flavor. A change resizes the server."))
        .attr("flavor_name", given_string("The flavor, by name. A change resizes the server."))
        .attr("user_data", string("What cloud-init gets: at most 64 KiB as base64. Text that is base64 already is sent as it is.").replace())
        .attr("security_groups", Attribute::optional_computed(Type::set(Type::String), "The names of its security groups. For ports of one's own they belong on the port."))
        .attr("availability_zone", given_string("The zone, or `zone:host`.").replace())
        .attr("availability_zone_hints", string("The zone to start it in; unlike availability_zone it is not compared with where it is.").replace())
        .attr("network_mode", string("`auto` or `none`, where there is no network block.").replace())
        .attr("metadata", Attribute::optional(Type::map(Type::String), "Entries that the machine can read. Those that others set stay."))
        .attr("all_metadata", Attribute::computed(Type::map(Type::String), "All entries, those of others too."))
        .attr("config_drive", flag("Whether it gets its data on a disk instead of from the metadata service.").replace())
        .attr("admin_pass", string("The administrator's password.").sensitive())
        .attr("key_pair", string("The name of the SSH key that is let in.").replace())
        .attr("stop_before_destroy", flag("Whether it is stopped before it is deleted.").default(false).record())
        .attr("force_delete", flag("Whether it is deleted at once where the cloud keeps deleted servers for a while.").default(false).record())
        .attr("power_state", Attribute::optional(Type::String, "`active`, `shutoff`, `paused` or `shelved_offloaded`.").default("active"))
        .attr("tags", Attribute::optional(Type::set(Type::String), "Tags. Those that others set stay."))
        .attr("all_tags", Attribute::computed(Type::set(Type::String), "All tags, those of others too."))
        .attr("hypervisor_hostname", string("The host to start it on. For administrators.").replace())
        .attr("access_ip_v4", computed("Its first IPv4 address."))
        .attr("access_ip_v6", computed("Its first IPv6 address."))
        .attr("created", computed("When it was created."))
        .attr("updated", computed("When it was changed last."))
        .attr("id", computed("Its id."));
    let schema = schema
        .block("network", Nesting::List, network())
        .block("block_device", Nesting::List, block_device())
        .block("scheduler_hints", Nesting::Set, scheduler_hints())
        .block(
            "personality",
            Nesting::Set,
            Schema::new("A file to put into it. Nova 2.57 and later take none: better is user_data.")
                .attr("file", Attribute::required(Type::String, "Its path."))
                .attr("content", Attribute::required(Type::String, "What is in it.")),
        )
        .block(
            "vendor_options",
            Nesting::Set,
            Schema::new("For clouds with ways of their own.")
                .attr(
                    "ignore_resize_confirmation",
                    flag("Whether the cloud confirms a resize itself.").default(false).record(),
                )
                .attr(
                    "detach_ports_before_destroy",
                    flag("Whether its ports are taken out before it is deleted.").default(false).record(),
                ),
        );
    let mut schema = schema;
    for name in ["scheduler_hints", "vendor_options"] {
        if let Some(Block { max, .. }) = schema.blocks.get_mut(name) {
            *max = Some(1);
        }
    }
    schema
}

fn network() -> Schema {
    let given = |description| given_string(description).replace();
    Schema::new("A network that it is in, in the order of its interfaces.")
        .attr("uuid", given("The network."))
        .attr("name", given("The network, by name."))
        .attr("port", given("A port of one's own: `openstack_networking_port_v2`."))
        .attr("fixed_ip_v4", given("Its address there."))
        .attr("fixed_ip_v6", Attribute::computed(Type::String, "Its IPv6 address there."))
        .attr("mac", Attribute::computed(Type::String, "Its hardware address there."))
        .attr(
            "access_network",
            Attribute::optional(Type::Bool, "Whether access_ip_v4 is the address of this one.")
                .default(false)
                .record(),
        )
}

fn block_device() -> Schema {
    let fixed = |description| string(description).replace();
    let flag = |description| Attribute::optional(Type::Bool, description).default(false).replace();
    Schema::new("A disk.")
        .attr(
            "source_type",
            Attribute::required(
                Type::String,
                "What it is made of: `image`, `volume`, `snapshot` or `blank`.",
            )
            .replace(),
        )
        .attr("uuid", fixed("The image, volume or snapshot."))
        .attr("volume_size", Attribute::optional(Type::Number, "How large, in GB.").replace())
        .attr("destination_type", fixed("What it is: `volume` or `local`."))
        .attr(
            "boot_index",
            Attribute::optional(
                Type::Number,
                "0 for the one that it starts from; -1 for one that it never does.",
            )
            .default(0)
            .replace(),
        )
        .attr("delete_on_termination", flag("Whether it goes with the server."))
        .attr("guest_format", fixed("The file system, or `swap`."))
        .attr("volume_type", fixed("The type of the volume."))
        .attr("device_type", fixed("`disk`, `cdrom`, `lun`."))
        .attr("disk_bus", fixed("`virtio`, `scsi`, …"))
        .attr("multiattach", flag("Whether the volume may be in other servers too."))
}

fn scheduler_hints() -> Schema {
    let fixed = |description| string(description).replace();
    let list = |description| Attribute::optional(Type::list(Type::String), description).replace();
    Schema::new("Where the server is to be.")
        .attr("group", fixed("The server group: `openstack_compute_servergroup_v2`."))
        .attr("different_host", list("Not on the host of any of these servers."))
        .attr("same_host", list("On the host of these servers."))
        .attr("query", list("A condition on the host, as JsonFilter has it."))
        .attr("target_cell", fixed("The cell."))
        .attr("different_cell", list("Not in these cells."))
        .attr("build_near_host_ip", fixed("On a host in this range."))
        .attr(
            "additional_properties",
            Attribute::optional(Type::map(Type::String), "More hints, sent as they are.").replace(),
        )
}

/// What Nova gets as user data.
pub(super) fn encoded(user_data: &str) -> String {
    match STANDARD.decode(user_data) {
        Ok(_) => user_data.to_owned(),
        Err(_) => STANDARD.encode(user_data),
    }
}

pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let given = |name: &str| config.get(name).is_some_and(|v| !v.is_null());
    let some = |name: &str| {
        config.get(name).is_some_and(|v| v.is_unknown() || v.as_items().is_some_and(|i| !i.is_empty()))
    };
    let mut problems = Vec::new();
    if !given("flavor_id") && !given("flavor_name") {
        problems
            .push(Problem::new("flavor_id", "a server has a flavor").hint("give flavor_id or flavor_name"));
    }
    if !given("image_id") && !given("image_name") && !some("block_device") {
        problems.push(
            Problem::new("image_id", "there is nothing to start from")
                .hint("give image_id, image_name, or a block_device"),
        );
    }
    for (one, other) in [
        ("availability_zone", "availability_zone_hints"),
        ("image_id", "image_name"),
        ("flavor_id", "flavor_name"),
    ] {
        if given(one) && given(other) && one.starts_with("avail") {
            problems
                .push(Problem::new(other, format!("{one} says it already")).hint("leave out one of the two"));
        }
    }
    let text = |name: &str| config.get(name).and_then(Value::as_str);
    if text("network_mode").is_some() && some("network") {
        problems.push(
            Problem::new("network_mode", "the network blocks say it already")
                .hint("leave out one of the two"),
        );
    }
    if let Some(mode) = text("network_mode").filter(|m| !["auto", "none"].contains(m)) {
        problems.push(Problem::new("network_mode", format!("{mode:?} is neither \"auto\" nor \"none\"")));
    }
    let states = ["active", "shutoff", "paused", "shelved_offloaded"];
    if let Some(state) = text("power_state").filter(|s| !states.contains(s)) {
        problems.push(Problem::new("power_state", format!("{state:?} is none of {}", states.join(", "))));
    }
    if let Some(length) = text("user_data").map(|u| encoded(u).len()).filter(|n| *n > USER_DATA) {
        problems.push(
            Problem::new("user_data", format!("it is {length} bytes as base64, and Nova takes {USER_DATA}"))
                .hint("compress it (base64gzip), or let cloud-init fetch the rest (#include)"),
        );
    }
    if some("personality") && (given("hypervisor_hostname")) {
        problems.push(
            Problem::new("personality", "Nova takes no files where the host is named")
                .hint("leave out one of the two"),
        );
    }
    problems
}

pub(super) fn plan(change: &mut Change<'_>) {
    if change.prior.is_none() {
        return;
    }
    for (by, other) in [
        ("flavor_name", "flavor_id"),
        ("flavor_id", "flavor_name"),
        ("image_name", "image_id"),
        ("image_id", "image_name"),
    ] {
        let given = |name: &str| change.config.get(name).is_some_and(|v| !v.is_null());
        if given(by) && !given(other) && change.changes(by) {
            change.set(other, Value::unknown(Type::String));
        }
    }
    for (by, follows) in [("metadata", "all_metadata"), ("tags", "all_tags")] {
        if change.changes(by) {
            let ty = change.planned().get(follows).map_or(Type::Any, Value::ty);
            change.set(follows, Value::unknown(ty));
        }
    }
    // An interface more or less is another server, as is another network at its place.
    let count = |value: Option<&Value>| {
        value.and_then(|v| v.get("network")).and_then(Value::as_items).map(<[Value]>::len)
    };
    if let (Some(before), Some(after)) = (count(change.prior), count(Some(change.planned())))
        && before != after
    {
        change.require_replace("network");
    }
    // Terraform remembers only a digest of the user data.
    let digest =
        |text: &str| Sha1::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let wanted = change.config.get("user_data").and_then(Value::as_str).map(digest);
    let before = change.prior.and_then(|p| p.get("user_data")).cloned();
    if let (Some(wanted), Some(before)) = (wanted, before)
        && before.as_str() == Some(&wanted)
    {
        change.set("user_data", before);
    }
    let settable = [
        "name",
        "metadata",
        "tags",
        "security_groups",
        "flavor_id",
        "flavor_name",
        "image_id",
        "image_name",
        "power_state",
        "admin_pass",
        "personality",
    ];
    if settable.iter().any(|name| change.changes(name)) {
        change.set_unknown("updated");
    }
}
