//! What is known of a server.

use grappe_http::Method;
use grappe_provider::Fault;
use serde_json::{Value as Json, json};

use super::Ctx;
use crate::client::Client;
use crate::compute::call;
use crate::thing::{METADATA_KEY, Object, blocks, known_tags, of, strings, text};

/// Its interfaces, with their ports: Nova asks Neutron for them.
pub(super) async fn interfaces(client: &Client, region: Option<&str>, id: &str) -> Result<Vec<Json>, Fault> {
    match client.find(call(Method::GET, region, format!("servers/{id}/os-interface"))).await? {
        Some(mut found) => match found["interfaceAttachments"].take() {
            Json::Array(all) => Ok(all),
            _ => Ok(Vec::new()),
        },
        None => Ok(Vec::new()),
    }
}

/// An address of a server, as Nova lists it.
struct Address<'s> {
    network: &'s str,
    ip: &'s str,
    version: u64,
    mac: &'s str,
}

/// The addresses on its interfaces; floating ones left out.
fn addresses(server: &Json) -> Vec<Address<'_>> {
    let networks = server["addresses"].as_object().into_iter().flatten();
    networks
        .flat_map(|(network, all)| all.as_array().into_iter().flatten().map(move |a| (network, a)))
        .filter(|(_, a)| of(a, "OS-EXT-IPS:type") != Some("floating"))
        .map(|(network, a)| Address {
            network,
            ip: of(a, "addr").unwrap_or_default(),
            version: a["version"].as_u64().unwrap_or(4),
            mac: of(a, "OS-EXT-IPS-MAC:mac_addr").unwrap_or_default(),
        })
        .collect()
}

/// The blocks of its networks, filled in: from its interfaces where they were asked for, from the addresses that Nova lists otherwise.
fn networks(server: &Json, before: &Object, interfaces: Option<&[Json]>) -> Vec<Json> {
    let addresses = addresses(server);
    let mut left: Vec<&Json> = interfaces.unwrap_or_default().iter().collect();
    let mut filled = Vec::new();
    for block in blocks(before, "network") {
        let fits = |i: &&Json| match (of(block, "port"), of(block, "uuid")) {
            (Some(port), _) => of(i, "port_id") == Some(port),
            (None, Some(network)) => {
                let wanted = of(block, "fixed_ip_v4");
                let has = |ip: &str| {
                    i["fixed_ips"].as_array().into_iter().flatten().any(|f| of(f, "ip_address") == Some(ip))
                };
                of(i, "net_id") == Some(network) && wanted.is_none_or(has)
            }
            // By name: the network that Nova lists under it.
            (None, None) => of(block, "name").is_none_or(|name| {
                addresses.iter().any(|a| a.network == name && Some(a.mac) == of(i, "mac_addr"))
            }),
        };
        let mut block = block.clone();
        if let Some(at) = left.iter().position(fits) {
            let interface = left.remove(at);
            for (name, api) in [("uuid", "net_id"), ("port", "port_id"), ("mac", "mac_addr")] {
                block[name] = interface[api].clone();
            }
        }
        let mac = of(&block, "mac").unwrap_or_default().to_owned();
        let own = |version| addresses.iter().find(|a| a.mac == mac && a.version == version);
        if let Some(any) = own(4).or(own(6)) {
            block["name"] = any.network.into();
            block["fixed_ip_v4"] = own(4).map(|a| a.ip).into();
            block["fixed_ip_v6"] = own(6).map(|a| a.ip).into();
        }
        for name in ["uuid", "name", "port", "fixed_ip_v4", "fixed_ip_v6", "mac"] {
            if block.get(name).is_none() {
                block[name] = Json::Null;
            }
        }
        if block.get("access_network").is_none() {
            block["access_network"] = false.into();
        }
        filled.push(block);
    }
    filled
}

/// Everything of it, beside what was planned or remembered.
pub(super) async fn of_server(
    ctx: &Ctx,
    server: &Json,
    before: &Object,
    interfaces: Option<&[Json]>,
) -> Result<Object, Fault> {
    let client = ctx.client();
    let region = client.region(text(before, "region"));
    let mut state = Object::new();
    for name in ["id", "name", "created", "updated"] {
        state.insert(name.into(), server[name].clone());
    }
    state.insert("region".into(), region.clone().into());

    let flavor = of(&server["flavor"], "id");
    state.insert("flavor_id".into(), flavor.into());
    let same = flavor.is_some() && flavor == text(before, "flavor_id");
    let name = match (text(before, "flavor_name"), flavor) {
        (Some(name), _) if same => Some(name.to_owned()),
        (_, Some(id)) => client.flavor_name(region.as_deref(), id).await?,
        _ => None,
    };
    state.insert("flavor_name".into(), name.into());
    // One that starts from a volume has no image of its own: what was said of it is believed.
    if let Some(image) = of(&server["image"], "id") {
        let same = Some(image) == text(before, "image_id");
        let name = match text(before, "image_name") {
            Some(name) if same => Some(name.to_owned()),
            _ => client.image_name(region.as_deref(), image).await?,
        };
        state.insert("image_id".into(), image.into());
        state.insert("image_name".into(), name.into());
    }

    state.insert("availability_zone".into(), zone(server, before));
    let all = server["metadata"].as_object().cloned().unwrap_or_default();
    let metadata = match before.get("metadata").and_then(Json::as_object) {
        Some(named) => {
            named.keys().filter_map(|k| Some((k.clone(), all.get(k)?.clone()))).collect::<Object>().into()
        }
        None => Json::Null,
    };
    state.insert("metadata".into(), metadata);
    let others: Object = all.into_iter().filter(|(name, _)| name != METADATA_KEY).collect();
    state.insert("all_metadata".into(), others.into());
    let tags = strings(server.get("tags"));
    state.insert("tags".into(), known_tags(before.get("tags"), &tags));
    state.insert("all_tags".into(), tags.into());
    state.insert("security_groups".into(), security_groups(server, before));
    let power = of(server, "status")
        .map(str::to_lowercase)
        .filter(|s| ["active", "shutoff", "paused", "shelved_offloaded"].contains(&s.as_str()));
    if let Some(power) = power {
        state.insert("power_state".into(), power.into());
    }
    let networks = networks(server, before, interfaces);
    let access = |version: u64, own: &str, field: &str| -> Json {
        let named = networks.iter().find(|n| n["access_network"] == true).and_then(|n| of(n, field));
        let first = || networks.iter().find_map(|n| of(n, field));
        let any = || addresses(server).into_iter().find(|a| a.version == version).map(|a| a.ip);
        of(server, own).or(named).or_else(first).or_else(any).into()
    };
    state.insert("access_ip_v4".into(), access(4, "accessIPv4", "fixed_ip_v4"));
    state.insert("access_ip_v6".into(), access(6, "accessIPv6", "fixed_ip_v6"));
    state.insert("network".into(), json!(networks));
    Ok(state)
}

/// The zone; as it was said where a host was said with it.
fn zone(server: &Json, before: &Object) -> Json {
    let now = of(server, "OS-EXT-AZ:availability_zone");
    match (text(before, "availability_zone"), now) {
        (Some(said), Some(now)) if said.split(':').next() == Some(now) => said.into(),
        // Not placed yet.
        (Some(said), None) => said.into(),
        (_, now) => now.into(),
    }
}

/// Of the groups that the plan names those that it has: ports bring groups of their own. All where the plan names none.
fn security_groups(server: &Json, before: &Object) -> Json {
    let mut now: Vec<String> = server["security_groups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|g| of(g, "name").map(str::to_owned))
        .collect();
    now.sort();
    now.dedup();
    let named = strings(before.get("security_groups"));
    let ports_only = !blocks(before, "network").is_empty()
        && blocks(before, "network").iter().all(|n| of(n, "port").is_some());
    match before.get("security_groups") {
        None | Some(Json::Null) => now.into(),
        // On ports of one's own Nova sets none.
        Some(named) if ports_only => named.clone(),
        Some(_) if now.is_empty() => named.into(),
        Some(_) => named.into_iter().filter(|g| now.contains(g)).collect(),
    }
}
