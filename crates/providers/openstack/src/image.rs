//! `openstack_images_image_v2`: an image, and where its data come from: a file here, or an address that Glance fetches them from.
//!
//! It carries the key of its creation as a tag. An image without data (a run was cut off while they were sent) gets them again.

use std::time::Duration;

use grappe_http::Method;
use grappe_provider::{Fault, Importable, Imported, Problem, Resource, Timeouts};
use grappe_value::{Attribute, Schema, Type, Value};
use serde_json::{Value as Json, json};

use crate::asking::{Begun, ask, begun, look};
use crate::attrs::{given_string, string};
use crate::client::{Call, Client, Refused, Service};
use crate::data::{described, properties};
use crate::roll::{patiently, pause};
use crate::thing::{Ctx, Object, is_mark, known_tags, mark, merged_tags, of, strings, text, without_empties};

pub(crate) struct Image;

/// Arguments and their fields.
const FIELDS: &[(&str, &str)] = &[
    ("name", "name"),
    ("container_format", "container_format"),
    ("disk_format", "disk_format"),
    ("min_disk_gb", "min_disk"),
    ("min_ram_mb", "min_ram"),
    ("visibility", "visibility"),
    ("protected", "protected"),
    ("hidden", "os_hidden"),
    ("image_id", "id"),
];

fn call<'a>(method: Method, object: &'a Object, path: String) -> Call<'a> {
    Call::new(method, Service::Image, text(object, "region"), path)
}

async fn show(client: &Client, object: &Object, id: &str) -> Result<Option<Json>, Fault> {
    let found = client.find(call(Method::GET, object, format!("images/{id}"))).await?;
    Ok(found.filter(|image| of(image, "status") != Some("deleted")))
}

async fn marked(ctx: &Ctx, args: &Object) -> Result<Option<Json>, Fault> {
    match begun(ctx) {
        Begun::No => Ok(None),
        Begun::Made(id) => show(ctx.client(), args, &id).await,
        Begun::Asked { patience } => {
            look(ctx, patience, || async {
                let list = call(Method::GET, args, "images".into()).query("tag", mark(ctx.key()));
                Ok(ctx.client().list(list, "images").await?.into_iter().next())
            })
            .await
        }
    }
}

fn state(client: &Client, image: &Json, before: &Object) -> Object {
    let mut state = Object::new();
    described(image, &mut state);
    // Glance adds properties of its own; those of others are theirs.
    let all = properties(image);
    let named = before.get("properties").and_then(Json::as_object);
    let own = named
        .map(|named| named.keys().filter_map(|k| Some((k.clone(), all.get(k)?.clone()))).collect::<Object>());
    state.insert("properties".into(), own.unwrap_or(all).into());
    let tags: Vec<String> = strings(image.get("tags")).into_iter().filter(|t| !is_mark(t)).collect();
    state.insert("tags".into(), known_tags(before.get("tags"), &tags));
    state.insert("id".into(), image["id"].clone());
    state.insert("image_id".into(), image["id"].clone());
    state.insert("status".into(), image["status"].clone());
    state.insert("region".into(), client.region(text(before, "region")).into());
    state
}

/// Sees to the data of an image, until it is active.
async fn fill(ctx: &Ctx, args: &Object, image: Json) -> Result<Json, Fault> {
    let client = ctx.client();
    let id = of(&image, "id").unwrap_or_default().to_owned();
    let mut image = image;
    let path = text(args, "local_file_path").map(|p| client.plan_dir.join(crate::clouds::home(p)));
    if of(&image, "status") == Some("queued") {
        if let Some(path) = &path {
            ctx.progress("sending its data");
            let put = call(Method::PUT, args, format!("images/{id}/file")).upload(path.clone());
            client.raw(&put).await.map_err(Refused::fault)?;
        } else if let Some(url) = text(args, "image_source_url") {
            ctx.progress("Glance fetches its data");
            let body = json!({ "method": { "name": "web-download", "uri": url } });
            let post = call(Method::POST, args, format!("images/{id}/import")).json(body);
            client.raw(&post).await.map_err(Refused::fault)?;
        } else {
            return Ok(image);
        }
    }
    loop {
        image = show(client, args, &id).await?.ok_or_else(|| Fault::gone("the image is gone"))?;
        match of(&image, "status").unwrap_or_default() {
            "active" => break,
            "killed" | "deactivated" => {
                return Err(Fault::permanent(format!("the image {id} is {}", image["status"])));
            }
            "queued" if !crate::thing::is_empty(&image["os_glance_failed_import"]) => {
                return Err(Fault::permanent(format!("Glance could not fetch the data of the image {id}"))
                    .attribute("image_source_url"));
            }
            status => ctx.progress(format!("the image is {status}")),
        }
        pause(ctx, Duration::from_secs(1)).await?;
    }
    if let (Some(path), Some(sum)) = (path, of(&image, "checksum"))
        && args.get("verify_checksum") != Some(&Json::Bool(false))
    {
        let own = tokio::task::spawn_blocking(move || md5_of(&path)).await;
        let own = own.map_err(|e| Fault::permanent("the checksum could not be computed").source(e))??;
        if own != sum {
            return Err(Fault::permanent(format!(
                "the data of the image {id} arrived broken: {sum} there, {own} here"
            )));
        }
    }
    Ok(image)
}

fn md5_of(path: &std::path::Path) -> Result<String, Fault> {
    use std::io::Read as _;

    use md5::{Digest as _, Md5};
    let wrong = |e: std::io::Error| Fault::permanent(format!("{} can't be read: {e}", path.display()));
    let mut file = std::fs::File::open(path).map_err(wrong)?;
    let mut digest = Md5::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).map_err(wrong)? {
            0 => break,
            n => digest.update(&piece[..n]),
        }
    }
    Ok(digest.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

impl Resource for Image {
    type Client = Client;
    type Args = Object;
    type State = Object;

    fn name(&self) -> &'static str {
        "openstack_images_image_v2"
    }

    fn schema(&self) -> Schema {
        let told = |ty, description| Attribute::computed(ty, description);
        let flag = |description| Attribute::optional(Type::Bool, description);
        Schema::new("An image.")
            .attr("region", given_string("The region. The provider's by default.").replace())
            .attr("name", Attribute::required(Type::String, "Its name."))
            .attr(
                "container_format",
                Attribute::required(Type::String, "`bare`, `ova`, `docker`, ….").replace(),
            )
            .attr(
                "disk_format",
                Attribute::required(Type::String, "`qcow2`, `raw`, `iso`, `vmdk`, ….").replace(),
            )
            .attr("local_file_path", string("The file with its data, here.").replace())
            .attr("image_source_url", string("Where its data are fetched from, with web_download.").replace())
            .attr("web_download", flag("Whether Glance fetches the data itself.").default(false).replace())
            .attr("image_cache_path", string("Accepted and of no effect.").record())
            .attr("image_id", given_string("The id that it is to have.").replace())
            .attr(
                "min_disk_gb",
                Attribute::optional(Type::Number, "The least disk, in GB.").default(0).replace(),
            )
            .attr(
                "min_ram_mb",
                Attribute::optional(Type::Number, "The least memory, in MB.").default(0).replace(),
            )
            .attr(
                "properties",
                Attribute::optional_computed(
                    Type::map(Type::String),
                    "Properties. Those that others set stay.",
                ),
            )
            .attr("protected", flag("Whether it can't be deleted.").default(false))
            .attr("hidden", flag("Whether it is hidden from lists.").default(false))
            .attr("tags", Attribute::optional(Type::set(Type::String), "Tags. Those that others set stay."))
            .attr(
                "verify_checksum",
                flag("Whether what arrived is compared with the file. True by default.").record(),
            )
            .attr(
                "visibility",
                Attribute::optional(Type::String, "`private`, `public`, `community`, `shared`.")
                    .default("private"),
            )
            .attr("checksum", told(Type::String, "The MD5 of its data."))
            .attr("created_at", told(Type::String, "When it was created."))
            .attr("updated_at", told(Type::String, "When it was changed last."))
            .attr("file", told(Type::String, "The path of its data."))
            .attr("owner", told(Type::String, "The project that owns it."))
            .attr("schema", told(Type::String, "The path of its schema."))
            .attr("size_bytes", told(Type::Number, "Its size."))
            .attr("status", told(Type::String, "Its status."))
            .attr("id", told(Type::String, "Its id."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let given = |name: &str| config.get(name).is_some_and(|v| !v.is_null());
        let web = config.get("web_download").and_then(Value::as_bool) == Some(true);
        match (given("local_file_path"), given("image_source_url")) {
            (true, true) => vec![
                Problem::new("image_source_url", "local_file_path gives the data already")
                    .hint("leave out one of the two"),
            ],
            (false, false) => vec![
                Problem::new("local_file_path", "there are no data")
                    .hint("give local_file_path, or image_source_url with web_download = true"),
            ],
            (false, true) if !web => {
                vec![
                    Problem::new("web_download", "grappe does not fetch images to send them on")
                        .hint("say web_download = true: Glance fetches them itself"),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn plan(&self, change: &mut grappe_provider::Change<'_>) {
        let settable = ["name", "properties", "protected", "hidden", "tags", "visibility"];
        if change.prior.is_some() && settable.iter().any(|name| change.changes(name)) {
            change.set_unknown("updated_at");
        }
    }

    fn timeouts(&self) -> Timeouts {
        let long = Duration::from_secs(30 * 60);
        Timeouts { create: long, update: long, delete: long, ..Timeouts::default() }
    }

    async fn read(&self, ctx: &Ctx, before: Object) -> Result<Option<Object>, Fault> {
        let found = show(ctx.client(), &before, text(&before, "id").unwrap_or_default()).await?;
        Ok(found.map(|image| state(ctx.client(), &image, &before)))
    }

    async fn create(&self, ctx: &Ctx, args: Object) -> Result<Object, Fault> {
        let image = match marked(ctx, &args).await? {
            Some(image) => image,
            None => {
                let mut body = Object::new();
                for (name, api) in FIELDS {
                    if let Some(value) = args.get(*name).filter(|v| !v.is_null()) {
                        body.insert((*api).into(), value.clone());
                    }
                }
                body.extend(args.get("properties").and_then(Json::as_object).cloned().unwrap_or_default());
                let mut tags = strings(args.get("tags"));
                tags.push(mark(ctx.key()));
                body.insert("tags".into(), tags.into());
                let post = call(Method::POST, &args, "images".into()).json(body.into());
                ask(ctx, ctx.client().call(post)).await.map_err(Refused::fault)?
            }
        };
        ctx.checkpoint(&json!({ "id": image["id"], "name": image["name"] })).await?;
        let image = fill(ctx, &args, image).await?;
        Ok(state(ctx.client(), &image, &args))
    }

    async fn update(&self, ctx: &Ctx, prior: Object, args: Object) -> Result<Object, Fault> {
        let id = text(&prior, "id").unwrap_or_default();
        let now = show(ctx.client(), &prior, id).await?.ok_or_else(|| Fault::gone("the image is gone"))?;
        let differs =
            |name: &str| prior.get(name).unwrap_or(&Json::Null) != args.get(name).unwrap_or(&Json::Null);
        let mut patch = Vec::new();
        for (name, api) in FIELDS.iter().filter(|(name, _)| differs(name)) {
            patch.push(json!({ "op": "replace", "path": format!("/{api}"), "value": args.get(*name) }));
        }
        if differs("tags") {
            let tags =
                merged_tags(strings(now.get("tags")), &strings(prior.get("tags")), strings(args.get("tags")));
            patch.push(json!({ "op": "replace", "path": "/tags", "value": tags }));
        }
        if differs("properties") {
            let pointer = |name: &str| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            let entries =
                |o: &Object| o.get("properties").and_then(Json::as_object).cloned().unwrap_or_default();
            let (before, after) = (entries(&prior), entries(&args));
            for name in before.keys().filter(|name| !after.contains_key(*name) && now.get(*name).is_some()) {
                patch.push(json!({ "op": "remove", "path": pointer(name) }));
            }
            for (name, value) in after {
                let op = if now.get(&name).is_some() { "replace" } else { "add" };
                patch.push(json!({ "op": op, "path": pointer(&name), "value": value }));
            }
        }
        let mut now = now;
        if !patch.is_empty() {
            let call = call(Method::PATCH, &prior, format!("images/{id}")).json(patch.into());
            now = ctx.client().call(call).await.map_err(Refused::fault)?;
        }
        Ok(state(ctx.client(), &now, &args))
    }

    async fn delete(&self, ctx: &Ctx, state: Object) -> Result<(), Fault> {
        let path = format!("images/{}", text(&state, "id").unwrap_or_default());
        patiently(ctx, "image", || async {
            match ctx.client().raw(&call(Method::DELETE, &state, path.clone())).await {
                Err(refused) if refused.status() == Some(404) => Ok(()),
                answer => answer.map(drop),
            }
        })
        .await
    }

    fn importable(&self) -> Importable {
        Importable::By("its id")
    }

    async fn import(&self, ctx: &Ctx, id: &str, args: Object) -> Result<Option<Imported>, Fault> {
        let found = show(ctx.client(), &args, id).await?;
        found.map(|image| Imported::new(&state(ctx.client(), &image, &args))).transpose()
    }

    fn take_terraforms(&self, stored: Value) -> Result<Value, String> {
        Ok(without_empties(&self.schema(), stored))
    }

    async fn adopt(&self, ctx: &Ctx, args: Object) -> Result<Option<Object>, Fault> {
        Ok(marked(ctx, &args).await?.map(|image| state(ctx.client(), &image, &args)))
    }
}
