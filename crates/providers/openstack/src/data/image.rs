//! `openstack_images_image_v2`, the data source.

use grappe_http::Method;
use grappe_provider::{DataSource, Fault};
use grappe_value::{Attribute, Schema, Type};
use serde_json::Value as Json;

use super::found::the_one;
use crate::attrs::{given_string, string};
use crate::client::{Call, Client, Service};
use crate::thing::{Ctx, Object, of, strings, text};

pub(super) struct Image;

/// Fields of Glance's own; all others of an image are properties.
pub(crate) const OWN: &[&str] = &[
    "id",
    "name",
    "status",
    "visibility",
    "protected",
    "checksum",
    "os_hash_algo",
    "os_hash_value",
    "owner",
    "size",
    "virtual_size",
    "container_format",
    "disk_format",
    "min_disk",
    "min_ram",
    "created_at",
    "updated_at",
    "file",
    "schema",
    "self",
    "tags",
    "os_hidden",
    "locations",
    "direct_url",
    "stores",
];

/// What is known of an image besides what it is asked by.
pub(crate) fn described(image: &Json, state: &mut Object) {
    for (name, api) in [
        ("checksum", "checksum"),
        ("created_at", "created_at"),
        ("updated_at", "updated_at"),
        ("file", "file"),
        ("owner", "owner"),
        ("schema", "schema"),
        ("size_bytes", "size"),
        ("container_format", "container_format"),
        ("disk_format", "disk_format"),
        ("min_disk_gb", "min_disk"),
        ("min_ram_mb", "min_ram"),
        ("name", "name"),
        ("protected", "protected"),
        ("hidden", "os_hidden"),
        ("visibility", "visibility"),
    ] {
        state.insert(name.into(), image.get(api).cloned().unwrap_or_default());
    }
    state.insert("properties".into(), properties(image).into());
}

/// The properties, as text.
pub(crate) fn properties(image: &Json) -> Object {
    let all = image
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, v)| !OWN.contains(&name.as_str()) && !v.is_null());
    all.map(|(name, value)| {
        (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned).into())
    })
    .collect()
}

impl DataSource for Image {
    type Client = Client;
    type Args = Object;
    type State = Object;

    fn name(&self) -> &'static str {
        "openstack_images_image_v2"
    }

    fn schema(&self) -> Schema {
        let told = |ty, description| Attribute::computed(ty, description);
        let number = |description| Attribute::optional(Type::Number, description);
        Schema::new("An image that is there.")
            .attr("region", given_string("The region. The provider's by default."))
            .attr("name", given_string("Its name."))
            .attr("name_regex", string("A regular expression for its name."))
            .attr("visibility", given_string("`public`, `private`, `community`, `shared`."))
            .attr("owner", given_string("The project that owns it."))
            .attr("member_status", string("Of shared images: `accepted`, `pending`, `rejected`, `all`."))
            .attr("hidden", Attribute::optional_computed(Type::Bool, "Whether it is hidden from lists."))
            .attr("tag", string("A tag that it has."))
            .attr("tags", Attribute::optional_computed(Type::set(Type::String), "Tags that it has."))
            .attr("size_min", number("The least size, in bytes."))
            .attr("size_max", number("The greatest size, in bytes."))
            .attr("sort", string("How the list is sorted: `name:asc,created_at:desc`."))
            .attr(
                "most_recent",
                Attribute::optional(Type::Bool, "Whether the newest is taken where several fit.")
                    .default(false),
            )
            .attr(
                "properties",
                Attribute::optional_computed(Type::map(Type::String), "Properties that it has."),
            )
            .attr("checksum", told(Type::String, "Its checksum."))
            .attr("container_format", told(Type::String, "Its container."))
            .attr("disk_format", told(Type::String, "Its format."))
            .attr("created_at", told(Type::String, "When it was created."))
            .attr("updated_at", told(Type::String, "When it was changed last."))
            .attr("file", told(Type::String, "The path of its data."))
            .attr("schema", told(Type::String, "The path of its schema."))
            .attr("min_disk_gb", told(Type::Number, "The least disk, in GB."))
            .attr("min_ram_mb", told(Type::Number, "The least memory, in MB."))
            .attr("protected", told(Type::Bool, "Whether it can't be deleted."))
            .attr("size_bytes", told(Type::Number, "Its size."))
            .attr("id", told(Type::String, "Its id."))
    }

    async fn read(&self, ctx: &Ctx, args: Object) -> Result<Object, Fault> {
        let mut call = Call::new(Method::GET, Service::Image, text(&args, "region"), "images");
        for name in ["name", "visibility", "owner", "member_status", "tag", "sort"] {
            if let Some(value) = text(&args, name) {
                call = call.query(name, value);
            }
        }
        if args.get("hidden") == Some(&Json::Bool(true)) {
            call = call.query("os_hidden", "true");
        }
        for tag in strings(args.get("tags")) {
            call = call.query("tag", tag);
        }
        for (name, value) in args.get("properties").and_then(Json::as_object).into_iter().flatten() {
            call = call.query(name, value.as_str().unwrap_or_default());
        }
        for name in ["size_min", "size_max"] {
            if let Some(size) = args.get(name).filter(|s| !s.is_null()) {
                call = call.query(name, size.to_string());
            }
        }
        let mut all = ctx.client().list(call, "images").await?;
        if let Some(pattern) = text(&args, "name_regex") {
            let pattern = regex::Regex::new(pattern).map_err(|e| {
                Fault::permanent(format!("name_regex is no regular expression: {e}")).attribute("name_regex")
            })?;
            all.retain(|image| of(image, "name").is_some_and(|name| pattern.is_match(name)));
        }
        if args.get("most_recent") == Some(&Json::Bool(true)) {
            all.sort_by(|a, b| of(b, "created_at").cmp(&of(a, "created_at")));
            all.truncate(1);
        }
        let image = the_one("image", all, &args)?;
        let mut state = Object::new();
        described(&image, &mut state);
        state.insert("id".into(), image["id"].clone());
        state.insert("tags".into(), image["tags"].clone());
        state.insert("region".into(), ctx.client().region(text(&args, "region")).into());
        Ok(state)
    }
}
