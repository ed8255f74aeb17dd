//! Type constraints: `list(string)`, `object({a = optional(number, 1)})`.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_value::Value;

/// What `optional(type, default)` says inside a type constraint, by place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// Defaults of the attributes of an object here.
    pub(crate) attributes: BTreeMap<Arc<str>, Value>,
    /// What is further inside: by attribute, by position, or (under `""`) for every element of a collection.
    pub(crate) inner: BTreeMap<Arc<str>, Defaults>,
}
