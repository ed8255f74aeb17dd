//! Values as state, journal and plan files hold them: JSON that keeps what plain JSON loses.
//!
//! A value is written against the type that its reader will know (a schema's). Where that type says `any`, the value's own type
//! stands beside it: `{"$type": …, "$value": …}`. Four more forms keep what JSON has no word for: `{"$unknown": TYPE}` (with
//! `"not_null": true`, and what narrows it down: `"prefix"`, `"least"`, `"most"`, `"length"`), `{"$sensitive": VALUE}`, `{"$withheld": true}` (a
//! sensitive value that nobody stored: [`Value::withheld`]), and `{"$object": {…}}` around an object that has a key starting with `$`. What is good
//! for one run only (ephemeral) is not written at all: it reads as null. The state seals what stands under `$sensitive` before it is written, or
//! withholds it: see `grappe-state`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::json::from_json;
use crate::{Kind, Marks, Number, ObjectType, Range, Type, Value, convert};

/// JSON that is not a value of the type: what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WireError(String);

/// Writes a value against the type that the reader will know.
#[must_use]
pub fn encode(value: &Value, ty: &Type) -> Json {
    if value.marks().contains(Marks::EPHEMERAL) {
        return Json::Null;
    }
    if value.is_unknown() && value.marks().contains(Marks::WITHHELD) {
        return json!({ "$withheld": true });
    }
    if !value.marks().is_empty() {
        let (bare, _) = value.clone().unmark();
        return json!({ "$sensitive": encode(&bare, ty) });
    }
    if *ty == Type::Any
        && !value.is_null()
        && !matches!(value.kind(), Kind::Bool(_) | Kind::String(_) | Kind::Number(_) | Kind::Unknown(_))
    {
        let own = value.ty();
        return json!({ "$type": type_to_json(&own), "$value": encode(value, &own) });
    }
    let element = |ty: &Type| match ty {
        Type::List(e) | Type::Set(e) | Type::Map(e) => (**e).clone(),
        _ => Type::Any,
    };
    match value.kind() {
        Kind::Null(_) => Json::Null,
        Kind::Unknown(unknown) => {
            let mut out = Map::from_iter([("$unknown".to_owned(), type_to_json(&unknown.ty))]);
            if unknown.not_null {
                out.insert("not_null".into(), true.into());
            }
            out.extend(range_to_json(&unknown.range));
            Json::Object(out)
        }
        Kind::Bool(b) => (*b).into(),
        Kind::String(s) => Json::String(s.to_string()),
        Kind::Number(n) => match n.as_i64() {
            Some(i) => i.into(),
            None => json!({ "$number": n.to_string() }),
        },
        Kind::List(_, items) | Kind::Set(_, items) => {
            let element = element(ty);
            items.iter().map(|i| encode(i, &element)).collect()
        }
        Kind::Tuple(items) => match ty {
            Type::Tuple(types) if types.len() == items.len() => {
                items.iter().zip(types.iter()).map(|(i, t)| encode(i, t)).collect()
            }
            _ => items.iter().map(|i| encode(i, &Type::Any)).collect(),
        },
        Kind::Map(_, entries) => {
            let element = element(ty);
            escape(entries.iter().map(|(k, v)| (k.to_string(), encode(v, &element))).collect())
        }
        Kind::Object(entries) => escape(
            entries
                .iter()
                // An absent attribute reads back as null: half the attributes of a large state are.
                .filter(|(_, v)| !(v.is_null() && v.marks().is_empty() && matches!(ty, Type::Object(_))))
                .map(|(k, v)| {
                    let ty = match ty {
                        Type::Object(o) => o.attributes.get(k).cloned().unwrap_or(Type::Any),
                        _ => Type::Any,
                    };
                    (k.to_string(), encode(v, &ty))
                })
                .collect(),
        ),
    }
}

fn escape(entries: Map<String, Json>) -> Json {
    if entries.keys().any(|k| k.starts_with('$')) {
        json!({ "$object": entries })
    } else {
        Json::Object(entries)
    }
}

/// Reads what [`encode`] wrote against the same type. Attributes that the type no longer has are dropped, new ones are null: what is
/// stored outlives the schema that it was written with.
///
/// # Errors
/// Where the JSON is of another shape.
pub fn decode(json: &Json, ty: &Type) -> Result<Value, WireError> {
    if let Json::Object(map) = json {
        if let Some(inner) = map.get("$sensitive") {
            return Ok(decode(inner, ty)?.with_marks(Marks::SENSITIVE));
        }
        if map.get("$withheld") == Some(&Json::Bool(true)) {
            return Ok(Value::withheld(ty.clone()));
        }
        if let (Some(own), Some(inner)) = (map.get("$type"), map.get("$value")) {
            let value = decode(inner, &type_from_json(own)?)?;
            return convert(&value, ty).map_err(|e| WireError(e.to_string()));
        }
        if let Some(own) = map.get("$unknown") {
            let own = type_from_json(own)?;
            let known = map.get("not_null") == Some(&Json::Bool(true));
            let value = if known { Value::unknown_not_null(own) } else { Value::unknown(own) };
            return Ok(value.within(range_from_json(map)?));
        }
        if let Some(Json::String(text)) = map.get("$number") {
            return text.parse::<Number>().map(Value::from).map_err(|e| WireError(e.to_string()));
        }
    }
    let entries = |json: &Json| match json {
        Json::Object(map) => match map.get("$object") {
            Some(Json::Object(inner)) => Some(inner.clone()),
            _ => Some(map.clone()),
        },
        _ => None,
    };
    let mismatch = || WireError(format!("{} is required", ty.friendly()));
    match ty {
        Type::Any => Ok(from_json(json)),
        _ if json.is_null() => Ok(Value::null(ty.clone())),
        Type::Bool | Type::Number | Type::String => {
            convert(&from_json(json), ty).map_err(|e| WireError(e.to_string()))
        }
        Type::List(element) => {
            let items = json.as_array().ok_or_else(mismatch)?;
            Ok(Value::list(
                (**element).clone(),
                items.iter().map(|i| decode(i, element)).collect::<Result<Vec<_>, _>>()?,
            ))
        }
        Type::Set(element) => {
            let items = json.as_array().ok_or_else(mismatch)?;
            Ok(Value::set(
                (**element).clone(),
                items.iter().map(|i| decode(i, element)).collect::<Result<Vec<_>, _>>()?,
            ))
        }
        Type::Map(element) => {
            let map = entries(json).ok_or_else(mismatch)?;
            let items: Result<Vec<_>, WireError> =
                map.iter().map(|(k, v)| Ok((k.as_str(), decode(v, element)?))).collect();
            Ok(Value::map((**element).clone(), items?))
        }
        Type::Tuple(types) => {
            let items = json.as_array().filter(|i| i.len() == types.len()).ok_or_else(mismatch)?;
            Ok(Value::tuple(
                items.iter().zip(types.iter()).map(|(i, t)| decode(i, t)).collect::<Result<Vec<_>, _>>()?,
            ))
        }
        Type::Object(object) => {
            let map = entries(json).ok_or_else(mismatch)?;
            let mut out = BTreeMap::new();
            for (name, ty) in &object.attributes {
                let value = match map.get(&**name) {
                    Some(json) => decode(json, ty).map_err(|e| WireError(format!("{name}: {e}")))?,
                    None => Value::null(ty.clone()),
                };
                out.insert(name.clone(), value);
            }
            Ok(Kind::Object(Arc::new(out)).into())
        }
    }
}

/// What narrows an unknown value down, beside its type.
fn range_to_json(range: &Range) -> Map<String, Json> {
    let bound = |(n, itself): &(Number, bool)| json!([n.to_string(), itself]);
    let mut out = Map::new();
    match range {
        Range::Open => {}
        Range::Prefix(prefix) => {
            out.insert("prefix".into(), Json::String(prefix.to_string()));
        }
        Range::Between(least, most) => {
            out.extend(least.iter().map(|b| ("least".to_owned(), bound(b))));
            out.extend(most.iter().map(|b| ("most".to_owned(), bound(b))));
        }
        Range::Length(least, most) => {
            out.insert("length".into(), json!([least, most]));
        }
    }
    out
}

fn range_from_json(map: &Map<String, Json>) -> Result<Range, WireError> {
    let refuse = |name: &str| WireError(format!("{name:?} narrows no unknown value down"));
    if let Some(prefix) = map.get("prefix") {
        return Ok(Range::Prefix(prefix.as_str().ok_or_else(|| refuse("prefix"))?.into()));
    }
    if let Some(length) = map.get("length") {
        let at = |i: usize| length.get(i).and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
        return Ok(Range::Length(at(0).ok_or_else(|| refuse("length"))?, at(1)));
    }
    let bound = |name: &str| match map.get(name) {
        None => Ok(None),
        Some(json) => {
            let number = json.get(0).and_then(Json::as_str).and_then(|n| n.parse::<Number>().ok());
            let itself = json.get(1).and_then(Json::as_bool);
            number.zip(itself).map(Some).ok_or_else(|| refuse(name))
        }
    };
    Ok(match (bound("least")?, bound("most")?) {
        (None, None) => Range::Open,
        (least, most) => Range::Between(least, most),
    })
}

/// A type as JSON, as cty writes it: `"string"`, `["list", "string"]`, `["object", {…}, ["optional", …]]`.
#[must_use]
pub fn type_to_json(ty: &Type) -> Json {
    match ty {
        Type::Any => "dynamic".into(),
        Type::Bool => "bool".into(),
        Type::Number => "number".into(),
        Type::String => "string".into(),
        Type::List(e) => json!(["list", type_to_json(e)]),
        Type::Set(e) => json!(["set", type_to_json(e)]),
        Type::Map(e) => json!(["map", type_to_json(e)]),
        Type::Tuple(es) => json!(["tuple", es.iter().map(type_to_json).collect::<Vec<_>>()]),
        Type::Object(o) => {
            let attributes: Map<String, Json> =
                o.attributes.iter().map(|(k, t)| (k.to_string(), type_to_json(t))).collect();
            if o.optional.is_empty() {
                json!(["object", attributes])
            } else {
                json!(["object", attributes, o.optional.iter().map(|k| k.to_string()).collect::<Vec<_>>()])
            }
        }
    }
}

/// Reads a type that [`type_to_json`] wrote.
///
/// # Errors
/// Where it is none.
pub fn type_from_json(json: &Json) -> Result<Type, WireError> {
    let refuse = || WireError(format!("{json} is not a type"));
    match json {
        Json::String(name) => match name.as_str() {
            "dynamic" => Ok(Type::Any),
            "bool" => Ok(Type::Bool),
            "number" => Ok(Type::Number),
            "string" => Ok(Type::String),
            _ => Err(refuse()),
        },
        Json::Array(parts) => match (parts.first().and_then(Json::as_str), parts.get(1)) {
            (Some("list"), Some(e)) => Ok(Type::list(type_from_json(e)?)),
            (Some("set"), Some(e)) => Ok(Type::set(type_from_json(e)?)),
            (Some("map"), Some(e)) => Ok(Type::map(type_from_json(e)?)),
            (Some("tuple"), Some(Json::Array(es))) => {
                Ok(Type::tuple(es.iter().map(type_from_json).collect::<Result<Vec<_>, _>>()?))
            }
            (Some("object"), Some(Json::Object(attributes))) => {
                let attributes: Result<BTreeMap<Arc<str>, Type>, WireError> =
                    attributes.iter().map(|(k, t)| Ok((k.as_str().into(), type_from_json(t)?))).collect();
                let optional = match parts.get(2) {
                    Some(Json::Array(names)) => {
                        names.iter().filter_map(Json::as_str).map(Arc::from).collect()
                    }
                    _ => Default::default(),
                };
                Ok(Type::Object(Arc::new(ObjectType { attributes: attributes?, optional })))
            }
            _ => Err(refuse()),
        },
        _ => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[$a-z]{0,6}".prop_map(Value::from),
            Just(Value::null(Type::String)),
            Just(Value::unknown(Type::Number)),
            Just(Value::unknown_not_null(Type::list(Type::String))),
            Just(Value::unknown_not_null(Type::String).within(Range::Prefix("web-".into()))),
            (0usize..4)
                .prop_map(|n| Value::unknown(Type::list(Type::Bool)).within(Range::Length(n, Some(n + 1)))),
            any::<i64>().prop_map(
                |n| Value::unknown(Type::Number).within(Range::Between(Some((n.into(), true)), None))
            ),
            (-1e9f64..1e9).prop_map(|f| Number::from_f64(f).map_or(Value::NULL, Value::from)),
            "[a-z]{1,6}".prop_map(|s| Value::from(s).sensitive()),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::tuple),
                prop::collection::btree_map("[$a-z]{1,4}", inner, 0..4).prop_map(Value::object),
                prop::collection::vec("[a-c]{1,2}", 0..4)
                    .prop_map(|v| Value::set(Type::String, v.into_iter().map(Value::from))),
                prop::collection::vec(any::<i64>(), 0..4)
                    .prop_map(|v| Value::list(Type::Number, v.into_iter().map(Value::from))),
            ]
        })
    }

    #[test]
    fn what_was_withheld_stays_so_and_is_no_word_of_a_users() {
        let ty = Type::object([("p", Type::String), ("m", Type::map(Type::Bool))]);
        let value = Value::object([
            ("p", Value::withheld(Type::String)),
            ("m", Value::map(Type::Bool, [("$withheld", true.into())])),
        ]);
        let json = encode(&value, &ty);
        assert_eq!(json, json!({"p": {"$withheld": true}, "m": {"$object": {"$withheld": true}}}));
        let back = decode(&json, &ty).unwrap();
        assert!(back.same(&value) && back.is_withheld_deep() && back.is_sensitive_deep());
        assert!(!back.get("m").unwrap().is_withheld_deep());
        // Known by now, it is sensitive and no more.
        let known = Value::from("x").with_marks(back.get("p").unwrap().marks());
        assert_eq!(encode(&known, &Type::String), json!({"$sensitive": "x"}));
        assert_eq!(
            crate::json::to_args(&value),
            json!({"m": {"$withheld": true}}),
            "a provider is not told of it"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in any_value()) {
            for ty in [value.ty(), Type::Any] {
                let json = encode(&value, &ty);
                let text = json.to_string();
                let back = decode(&serde_json::from_str(&text).unwrap(), &ty).unwrap();
                prop_assert!(back.same(&value), "{ty}: {text}: {back:?}");
                prop_assert_eq!(back.marks_deep(), value.marks_deep());
            }
        }

        #[test]
        fn what_is_good_for_one_run_only_is_not_written(value in any_value()) {
            let whole = Value::object([("a", value.with_marks(Marks::EPHEMERAL)), ("b", 1i64.into())]);
            let written = encode(&whole, &Type::Any);
            prop_assert_eq!(written["$value"]["a"].clone(), Json::Null);
        }

        #[test]
        fn types_read_back(value in any_value()) {
            let ty = value.ty();
            prop_assert_eq!(type_from_json(&type_to_json(&ty)).unwrap(), ty);
        }
    }
}
