//! What is read out of attributes and of the API's objects, and where a key is in them.

use grappe_value::{Presence, Schema, Type, Value};
use serde_json::Value as Json;

use super::Object;

/// The name of the metadata entry that holds the key.
pub(crate) const METADATA_KEY: &str = "grappe_key";

/// The tag (or description) that holds the key.
pub(crate) fn mark(key: &str) -> String {
    format!("grappe:{key}")
}

pub(crate) fn is_mark(text: &str) -> bool {
    text.strip_prefix("grappe:").is_some_and(|key| key.len() == 36)
}

/// A description without the mark behind it.
pub(crate) fn unmarked(text: &str) -> &str {
    if is_mark(text) {
        return "";
    }
    match text.rsplit_once(" (grappe:") {
        Some((own, key)) if key.len() == 37 && key.ends_with(')') => own,
        _ => text,
    }
}

/// A string attribute; `None` where it is null or empty.
pub(crate) fn text<'o>(object: &'o Object, name: &str) -> Option<&'o str> {
    object.get(name)?.as_str().filter(|t| !t.is_empty())
}

/// A string of the API.
pub(crate) fn of<'j>(object: &'j Json, name: &str) -> Option<&'j str> {
    object.get(name)?.as_str().filter(|t| !t.is_empty())
}

/// The strings of a list or set; none where it is null.
pub(crate) fn strings(value: Option<&Json>) -> Vec<String> {
    let items = value.and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// The objects of a nested block.
pub(crate) fn blocks<'o>(object: &'o Object, name: &str) -> &'o [Json] {
    object.get(name).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether nothing is in it.
pub(crate) fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(s) => s.is_empty(),
        Json::Array(a) => a.is_empty(),
        Json::Object(o) => o.is_empty(),
        _ => false,
    }
}

/// What the plan says and what the cloud says, where both mean nothing: the plan's way to say it.
pub(crate) fn settled(before: Option<&Json>, now: Json) -> Json {
    match before {
        None | Some(Json::Null) if is_empty(&now) => Json::Null,
        Some(before) if is_empty(before) && is_empty(&now) => before.clone(),
        _ => now,
    }
}

/// Of the tags that the plan names, those that are there; null where it names none.
pub(crate) fn known_tags(before: Option<&Json>, all: &[String]) -> Json {
    match before {
        None | Some(Json::Null) => Json::Null,
        before => strings(before).into_iter().filter(|tag| all.contains(tag)).collect(),
    }
}

/// The tags of an object after a change: those of others stay.
pub(crate) fn merged_tags(now: Vec<String>, prior: &[String], wanted: Vec<String>) -> Vec<String> {
    let mut tags: Vec<String> = now.into_iter().filter(|t| !prior.contains(t)).collect();
    tags.extend(wanted);
    tags.sort();
    tags.dedup();
    tags
}

/// Terraform's provider stores `""`, `0` and `[]` where nothing was given.
pub(crate) fn without_empties(schema: &Schema, stored: Value) -> Value {
    let optional =
        schema.attributes.iter().filter(|(_, a)| a.presence == Presence::Optional && a.default.is_none());
    optional.fold(stored, |stored, (name, attribute)| {
        let empty = stored.get(name).is_some_and(|v| {
            v.as_str() == Some("")
                || v.as_items().is_some_and(<[Value]>::is_empty)
                || (matches!(attribute.ty, Type::Map(_))
                    && v.as_entries().is_some_and(std::collections::BTreeMap::is_empty))
                || v.as_number().is_some_and(|n| n.as_i64() == Some(0))
        });
        if empty { stored.with_attr(name, Value::null(attribute.ty.clone())) } else { stored }
    })
}
