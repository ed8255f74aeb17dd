//! What Nova is asked to create.

use grappe_provider::Fault;
use serde_json::{Value as Json, json};

use super::Ctx;
use super::schema::encoded;
use crate::compute::{image_id, network_id};
use crate::thing::{METADATA_KEY, Object, blocks, of, strings, text};

/// Finds the ids of what is named.
pub(super) async fn look_up(ctx: &Ctx, args: &mut Object) -> Result<(), Fault> {
    let client = ctx.client();
    let region = client.region(text(args, "region"));
    let region = region.as_deref();
    if text(args, "flavor_id").is_none()
        && let Some(name) = text(args, "flavor_name")
    {
        let id = client.flavor_id(region, name).await?;
        args.insert("flavor_id".into(), id.into());
    }
    if text(args, "image_id").is_none()
        && let Some(name) = text(args, "image_name")
    {
        let id = image_id(client, region, name).await?;
        args.insert("image_id".into(), id.into());
    }
    let mut networks = blocks(args, "network").to_vec();
    for network in &mut networks {
        if of(network, "uuid").is_none()
            && of(network, "port").is_none()
            && let Some(name) = of(network, "name")
        {
            network["uuid"] = network_id(client, region, name).await?.into();
        }
    }
    args.insert("network".into(), networks.into());
    Ok(())
}

/// The oldest version that knows all that is asked for.
fn version(args: &Object) -> Result<String, Fault> {
    let devices = blocks(args, "block_device");
    let needs = [
        (52, !strings(args.get("tags")).is_empty()),
        (60, devices.iter().any(|d| d["multiattach"] == true)),
        (67, devices.iter().any(|d| of(d, "volume_type").is_some())),
        (74, text(args, "hypervisor_hostname").is_some()),
    ];
    let needed = needs.iter().filter(|(_, needed)| *needed).map(|(version, _)| *version).max().unwrap_or(37);
    if needed > 56 && !blocks(args, "personality").is_empty() {
        return Err(Fault::permanent(
            "Nova takes no personality together with multiattach, volume_type or hypervisor_hostname",
        )
        .hint("write the files with cloud-init, in user_data")
        .attribute("personality"));
    }
    Ok(format!("2.{needed}"))
}

/// The request, and the version of Nova's API that it is for.
pub(super) fn creation(ctx: &Ctx, args: &Object) -> Result<(Json, String), Fault> {
    let mut server = Object::new();
    for (name, api) in [
        ("name", "name"),
        ("flavor_id", "flavorRef"),
        ("key_pair", "key_name"),
        ("config_drive", "config_drive"),
        ("admin_pass", "adminPass"),
        ("hypervisor_hostname", "hypervisor_hostname"),
    ] {
        if let Some(value) = args.get(name).filter(|v| !v.is_null()) {
            server.insert(api.into(), value.clone());
        }
    }
    let mut metadata = args.get("metadata").and_then(Json::as_object).cloned().unwrap_or_default();
    metadata.insert(METADATA_KEY.into(), ctx.key().into());
    server.insert("metadata".into(), metadata.into());
    if let Some(zone) = text(args, "availability_zone").or(text(args, "availability_zone_hints")) {
        server.insert("availability_zone".into(), zone.into());
    }
    if let Some(user_data) = text(args, "user_data") {
        server.insert("user_data".into(), encoded(user_data).into());
    }
    let groups = strings(args.get("security_groups"));
    if !groups.is_empty() {
        server.insert("security_groups".into(), groups.iter().map(|name| json!({ "name": name })).collect());
    }
    let tags = strings(args.get("tags"));
    if !tags.is_empty() {
        server.insert("tags".into(), tags.into());
    }
    server.insert("networks".into(), networks(args));
    let image = text(args, "image_id");
    let devices = devices(args);
    if devices.is_empty() {
        server.insert("imageRef".into(), image.into());
    } else {
        // Where the first disk is made of the image on the host itself, Nova wants to hear of the image twice.
        let local = devices.iter().any(|d| d["source_type"] == "image" && d["destination_type"] == "local");
        server.insert(
            "imageRef".into(),
            image
                .filter(|_| local || !devices.iter().any(|d| d["boot_index"] == 0))
                .unwrap_or_default()
                .into(),
        );
        server.insert("block_device_mapping_v2".into(), devices.into());
    }
    if !blocks(args, "personality").is_empty() {
        server.insert("personality".into(), personality(args));
    }
    let mut body = json!({ "server": server });
    if let Some(hints) = blocks(args, "scheduler_hints").first() {
        body["os:scheduler_hints"] = scheduler_hints(hints);
    }
    Ok((body, version(args)?))
}

fn networks(args: &Object) -> Json {
    let given = blocks(args, "network");
    if given.is_empty() {
        return text(args, "network_mode").unwrap_or("auto").into();
    }
    given
        .iter()
        .map(|network| match (of(network, "port"), of(network, "uuid"), of(network, "fixed_ip_v4")) {
            (Some(port), ..) => json!({ "port": port }),
            (None, uuid, Some(ip)) => json!({ "uuid": uuid, "fixed_ip": ip }),
            (None, uuid, None) => json!({ "uuid": uuid }),
        })
        .collect()
}

fn devices(args: &Object) -> Vec<Json> {
    let device = |device: &Json| {
        let known = [
            "source_type",
            "uuid",
            "volume_size",
            "destination_type",
            "boot_index",
            "delete_on_termination",
            "guest_format",
            "volume_type",
            "device_type",
            "disk_bus",
        ];
        known
            .iter()
            .filter_map(|name| {
                Some(((*name).to_owned(), device.get(*name).filter(|v| !v.is_null())?.clone()))
            })
            .collect::<Object>()
            .into()
    };
    blocks(args, "block_device").iter().map(device).collect()
}

pub(super) fn personality(args: &Object) -> Json {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let file = |file: &Json| json!({ "path": file["file"], "contents": encode(of(file, "content").unwrap_or_default()) });
    blocks(args, "personality").iter().map(file).collect()
}

fn scheduler_hints(hints: &Json) -> Json {
    let mut out = Object::new();
    for (name, value) in hints.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            (_, value) if crate::thing::is_empty(value) => {}
            ("additional_properties", Json::Object(more)) => out.extend(more.clone()),
            // JsonFilter's own form: a list as text.
            ("query", value) => drop(out.insert(name.clone(), value.to_string().into())),
            _ => drop(out.insert(name.clone(), value.clone())),
        }
    }
    out.into()
}
