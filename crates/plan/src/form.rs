//! How parts of a plan stand in JSON: addresses as text, values with their types ([`grappe_value::wire`] against `any`), durations in milliseconds.

use grappe_value::{Type, Value, wire};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

fn to_wire(value: &Value) -> Json {
    wire::encode(value, &Type::Any)
}

fn from_wire<E: serde::de::Error>(json: &Json) -> Result<Value, E> {
    wire::decode(json, &Type::Any).map_err(E::custom)
}

/// An address.
pub(crate) mod text {
    use super::*;

    pub(crate) fn serialize<T: std::fmt::Display, S: Serializer>(it: &T, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(it)
    }

    pub(crate) fn deserialize<'de, T, D: Deserializer<'de>>(d: D) -> Result<T, D::Error>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

/// Addresses.
pub(crate) mod texts {
    use super::*;

    pub(crate) fn serialize<T: std::fmt::Display, S: Serializer>(all: &[T], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(all.iter().map(T::to_string))
    }

    pub(crate) fn deserialize<'de, T, D: Deserializer<'de>>(d: D) -> Result<Vec<T>, D::Error>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        Vec::<String>::deserialize(d)?.iter().map(|t| t.parse().map_err(D::Error::custom)).collect()
    }
}

/// A value.
pub(crate) mod required {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &Value, s: S) -> Result<S::Ok, S::Error> {
        to_wire(value).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Value, D::Error> {
        from_wire(&Json::deserialize(d)?)
    }
}

/// A value or none. A null value is written as such, and an absent one as nothing at all.
pub(crate) mod value {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &Option<Value>, s: S) -> Result<S::Ok, S::Error> {
        // One element or none: null is a value.
        s.collect_seq(value.iter().map(to_wire))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
        Vec::<Json>::deserialize(d)?.first().map(from_wire).transpose()
    }
}

/// Values by name.
pub(crate) mod values {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(all: &BTreeMap<Arc<str>, Value>, s: S) -> Result<S::Ok, S::Error> {
        // What is good for one run only is not there at all.
        let kept = all.iter().filter(|(_, value)| !value.is_ephemeral_deep());
        s.collect_map(kept.map(|(name, value)| (name, to_wire(value))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<BTreeMap<Arc<str>, Value>, D::Error> {
        BTreeMap::<Arc<str>, Json>::deserialize(d)?
            .into_iter()
            .map(|(k, v)| Ok((k, from_wire(&v)?)))
            .collect()
    }
}

/// Paths: a list of steps each, names as text and positions as numbers; keys of maps as `{"key": …}`.
pub(crate) mod paths {
    use grappe_value::{Path, Step};

    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Attr(String),
        Index(usize),
        Key { key: String },
    }

    pub(crate) fn serialize<S: Serializer>(all: &[Path], s: S) -> Result<S::Ok, S::Error> {
        let form = |step: &Step| match step {
            Step::Attr(name) => Form::Attr(name.to_string()),
            Step::Index(at) => Form::Index(*at),
            Step::Key(key) => Form::Key { key: key.to_string() },
        };
        s.collect_seq(all.iter().map(|path| path.0.iter().map(form).collect::<Vec<_>>()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Path>, D::Error> {
        let step = |form: Form| match form {
            Form::Attr(name) => Step::Attr(name.into()),
            Form::Index(at) => Step::Index(at),
            Form::Key { key } => Step::Key(key.into()),
        };
        let all = Vec::<Vec<Form>>::deserialize(d)?;
        Ok(all.into_iter().map(|path| Path(path.into_iter().map(step).collect())).collect())
    }
}

/// A duration in whole milliseconds.
pub(crate) mod millis {
    use std::time::Duration;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(it: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(it.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}
