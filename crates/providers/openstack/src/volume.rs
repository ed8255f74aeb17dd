//! `openstack_blockstorage_volume_v3`.
//!
//! A volume carries the key of its creation as metadata. It grows in place; a smaller one is another one.

use grappe_http::Method;
use grappe_provider::{Change, Fault};
use grappe_value::{Attribute, Nesting, Number, Schema, Type, Value};
use serde_json::{Value as Json, json};

use crate::attrs::{description, given_string, name, string};
use crate::client::{Call, Refused, Service};
use crate::roll::{Look, patiently, wait};
use crate::thing::{Ctx, Field, Keyed, Kind, METADATA_KEY, Nested, Object, Table, blocks, of, text};

pub(super) struct Volume;

impl Kind for Volume {
    const NAME: &'static str = "openstack_blockstorage_volume_v3";

    fn table() -> Table {
        let fixed = |description| given_string(description).replace();
        let list = |description| Attribute::optional(Type::list(Type::String), description).replace();
        let attachment =
            Type::object([("id", Type::String), ("instance_id", Type::String), ("device", Type::String)]);
        Table {
            service: Service::Volume,
            path: "volumes",
            one: "volume",
            noun: "volume",
            description: "A volume.",
            keyed: Keyed::Metadata,
            tags: false,
            fields: vec![
                name(),
                description(),
                Field::new(
                    "size",
                    Attribute::required(
                        Type::Number,
                        "How large, in GB. It grows in place; smaller is another one.",
                    ),
                ),
                Field::new(
                    "enable_online_resize",
                    Attribute::optional(Type::Bool, "Whether it may grow while a server has it.").record(),
                )
                .own(),
                Field::new("availability_zone", fixed("The zone.")),
                Field::new("snapshot_id", fixed("The snapshot that it is made of.")),
                Field::new("source_vol_id", fixed("The volume that it is made of.")).api("source_volid"),
                Field::new("image_id", fixed("The image that it is made of.")).api("imageRef").write_only(),
                Field::new("consistency_group_id", string("Its consistency group.").replace())
                    .api("consistencygroup_id")
                    .write_only(),
                Field::new("source_replica", string("The volume that it is a replica of.").replace())
                    .write_only(),
                Field::new("volume_type", given_string("Its type. A change moves it, where the cloud can.")),
                Field::new(
                    "volume_retype_policy",
                    Attribute::optional(
                        Type::String,
                        "`never` or `on-demand`: whether a change of the type may move the data.",
                    )
                    .default("never")
                    .record(),
                )
                .own(),
                Field::new(
                    "metadata",
                    Attribute::optional(Type::map(Type::String), "Entries. Those that others set stay."),
                )
                .own(),
                Field::new(
                    "attachment",
                    Attribute::computed(Type::set(attachment), "The servers that have it."),
                )
                .own(),
            ],
            blocks: vec![Nested {
                name: "scheduler_hints",
                nesting: Nesting::Set,
                schema: Schema::new("Where it is to be.")
                    .attr("different_host", list("Not where these volumes are."))
                    .attr("same_host", list("Where these volumes are."))
                    .attr("local_to_instance", string("Where this server is.").replace())
                    .attr("query", string("A condition, as JsonFilter has it.").replace())
                    .attr(
                        "additional_properties",
                        Attribute::optional(Type::map(Type::String), "More hints, sent as they are.")
                            .replace(),
                    ),
                max: Some(1),
            }],
        }
    }

    fn plan(change: &mut Change<'_>) {
        let size = |value: Option<&Value>| {
            value.and_then(|v| v.get("size")).and_then(Value::as_number).and_then(Number::as_i64)
        };
        if let (Some(before), Some(after)) = (size(change.prior), size(Some(change.planned())))
            && after < before
        {
            change.require_replace("size");
        }
    }

    fn body(args: &Object, body: &mut Object) -> Result<(), Fault> {
        if let Some(hints) = blocks(args, "scheduler_hints").first().and_then(Json::as_object) {
            let mut wanted: Object = hints
                .iter()
                .filter(|(_, v)| !crate::thing::is_empty(v))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            if let Some(Json::Object(more)) = wanted.remove("additional_properties") {
                wanted.extend(more);
            }
            // Next to the volume, not in it: moved there when the request is put together.
            body.insert(crate::thing::BESIDE.into(), json!({ "OS-SCH-HNT:scheduler_hints": wanted }));
        }
        Ok(())
    }

    fn changes(_: &Object, _: &Object, _: &Json, body: &mut Object) -> Result<(), Fault> {
        // Each has a request of its own.
        for name in ["size", "volume_type"] {
            body.remove(name);
        }
        Ok(())
    }

    fn seen(object: &Json, before: &Object, state: &mut Object) {
        let all = object["metadata"].as_object().cloned().unwrap_or_default();
        let metadata = match before.get("metadata").and_then(Json::as_object) {
            Some(named) => {
                named.keys().filter_map(|k| Some((k.clone(), all.get(k)?.clone()))).collect::<Object>().into()
            }
            None => Json::Null,
        };
        state.insert("metadata".into(), metadata);
        let attachments = object["attachments"].as_array().into_iter().flatten();
        let attachments = attachments.map(
            |a| json!({ "id": a["attachment_id"], "instance_id": a["server_id"], "device": a["device"] }),
        );
        state.insert("attachment".into(), attachments.collect());
        if let Some(image) = of(&object["volume_image_metadata"], "image_id") {
            state.insert("image_id".into(), image.into());
        }
    }

    async fn created(ctx: &Ctx, args: &Object, object: Json) -> Result<Json, Fault> {
        ready(ctx, args, of(&object, "id").unwrap_or_default(), "after its creation").await
    }

    async fn updated(ctx: &Ctx, prior: &Object, args: &Object, object: Json) -> Result<Json, Fault> {
        let id = of(&object, "id").unwrap_or_default().to_owned();
        let differs =
            |name: &str| prior.get(name).unwrap_or(&Json::Null) != args.get(name).unwrap_or(&Json::Null);
        let region = text(args, "region");
        if differs("metadata") {
            let entries =
                |o: &Object| o.get("metadata").and_then(Json::as_object).cloned().unwrap_or_default();
            let (before, after) = (entries(prior), entries(args));
            let mut all = object["metadata"].as_object().cloned().unwrap_or_default();
            all.retain(|key, _| key == METADATA_KEY || !before.contains_key(key));
            all.extend(after);
            let put = Call::new(Method::PUT, Service::Volume, region, format!("volumes/{id}/metadata"));
            ctx.client().call(put.json(json!({ "metadata": all }))).await.map_err(Refused::fault)?;
        }
        let action = async |body: Json, version: Option<&str>| {
            patiently(ctx, "volume", || async {
                let mut post =
                    Call::new(Method::POST, Service::Volume, region, format!("volumes/{id}/action"))
                        .json(body.clone());
                if let Some(version) = version {
                    post = post.header("openstack-api-version", format!("volume {version}"));
                }
                ctx.client().raw(&post).await.map(drop)
            })
            .await
        };
        if differs("size") {
            // In use it grows only in versions that know how.
            let online = args.get("enable_online_resize") == Some(&Json::Bool(true));
            action(json!({ "os-extend": { "new_size": args["size"] } }), online.then_some("3.42")).await?;
            ready(ctx, args, &id, "after it grew").await?;
        }
        if differs("volume_type")
            && let Some(ty) = text(args, "volume_type")
        {
            let policy = text(args, "volume_retype_policy").unwrap_or("never");
            action(json!({ "os-retype": { "new_type": ty, "migration_policy": policy } }), None).await?;
        }
        ready(ctx, args, &id, "after a change").await
    }

    async fn leaving(ctx: &Ctx, state: &Object) -> Result<(), Fault> {
        // Cinder says 400 of a volume that a server has: the one that takes it out is on its way in the same run, as a rule.
        let id = text(state, "id").unwrap_or_default();
        let free = wait(ctx, (Service::Volume, text(state, "region"), id), |volume| {
            match volume.and_then(|v| of(v, "status")) {
                Some(status @ ("in-use" | "attaching" | "detaching" | "reserved")) => {
                    Ok(Look::Wait(format!("the volume is {status}")))
                }
                _ => Ok(Look::Done),
            }
        });
        match tokio::time::timeout(std::time::Duration::from_secs(150), free).await {
            Ok(answer) => answer.map(drop),
            Err(_) => Err(Fault::permanent(format!("a server still has the volume {id}"))
                .hint("take it out (openstack server remove volume), and run again")),
        }
    }

    async fn gone(ctx: &Ctx, state: &Object) -> Result<(), Fault> {
        let id = text(state, "id").unwrap_or_default();
        wait(ctx, (Service::Volume, text(state, "region"), id), |volume| {
            match volume.and_then(|v| of(v, "status")) {
                None => Ok(Look::Done),
                Some("error_deleting") => Err(Fault::permanent(format!(
                    "the volume {id} could not be deleted: it is error_deleting"
                ))),
                Some(status) => Ok(Look::Wait(format!("the volume is {status}"))),
            }
        })
        .await
        .map(drop)
    }
}

async fn ready(ctx: &Ctx, args: &Object, id: &str, doing: &str) -> Result<Json, Fault> {
    let found = wait(ctx, (Service::Volume, text(args, "region"), id), |volume| {
        let Some(volume) = volume else { return Err(Fault::gone(format!("the volume {id} is gone"))) };
        match of(volume, "status").unwrap_or_default() {
            "available" | "in-use" => Ok(Look::Done),
            status if status.starts_with("error") => {
                Err(Fault::permanent(format!("the volume {id} is {status} {doing}"))
                    .hint("`openstack volume message list` and Cinder's log say more"))
            }
            status => Ok(Look::Wait(format!("the volume is {status}"))),
        }
    })
    .await?;
    found.ok_or_else(|| Fault::gone("the volume is gone"))
}
