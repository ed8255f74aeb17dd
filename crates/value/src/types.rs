//! Types: primitives, collections (one element type) and structures (a type for each member).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// What a value may be. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// Not decided: any value conforms (Terraform's `any`, cty's dynamic pseudo-type).
    Any,
    /// `true` or `false`.
    Bool,
    /// An exact number.
    Number,
    /// Unicode text.
    String,
    /// An ordered sequence of one element type.
    List(Arc<Type>),
    /// Distinct elements of one type, in no order of their own.
    Set(Arc<Type>),
    /// String keys to values of one type.
    Map(Arc<Type>),
    /// A sequence with a type for each position.
    Tuple(Arc<[Type]>),
    /// Named attributes with a type for each.
    Object(Arc<ObjectType>),
}

/// The attributes of an object type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectType {
    /// Each attribute's type.
    pub attributes: BTreeMap<Arc<str>, Type>,
    /// Those that a conversion may leave out (they become null): `optional(type)`.
    pub optional: BTreeSet<Arc<str>>,
}

impl Type {
    /// `list(element)`
    #[must_use]
    pub fn list(element: Type) -> Self {
        Type::List(Arc::new(element))
    }

    /// `set(element)`
    #[must_use]
    pub fn set(element: Type) -> Self {
        Type::Set(Arc::new(element))
    }

    /// `map(element)`
    #[must_use]
    pub fn map(element: Type) -> Self {
        Type::Map(Arc::new(element))
    }

    /// `tuple([…])`
    #[must_use]
    pub fn tuple(elements: impl Into<Arc<[Type]>>) -> Self {
        Type::Tuple(elements.into())
    }

    /// `object({…})` with every attribute required.
    pub fn object<K: Into<Arc<str>>>(attributes: impl IntoIterator<Item = (K, Type)>) -> Self {
        let attributes = attributes.into_iter().map(|(name, ty)| (name.into(), ty)).collect();
        Type::Object(Arc::new(ObjectType { attributes, optional: BTreeSet::new() }))
    }

    /// `object({…})` in which every attribute is `optional(…)`.
    pub fn optional_object<K: Into<Arc<str>>>(attributes: impl IntoIterator<Item = (K, Type)>) -> Self {
        let attributes: BTreeMap<Arc<str>, Type> =
            attributes.into_iter().map(|(name, ty)| (name.into(), ty)).collect();
        let optional = attributes.keys().cloned().collect();
        Type::Object(Arc::new(ObjectType { attributes, optional }))
    }

    /// Whether `any` stands somewhere in it.
    #[must_use]
    pub fn has_any(&self) -> bool {
        match self {
            Type::Any => true,
            Type::Bool | Type::Number | Type::String => false,
            Type::List(e) | Type::Set(e) | Type::Map(e) => e.has_any(),
            Type::Tuple(es) => es.iter().any(Type::has_any),
            Type::Object(o) => o.attributes.values().any(Type::has_any),
        }
    }

    /// Bool, number or string.
    #[must_use]
    pub fn is_primitive(&self) -> bool {
        matches!(self, Type::Bool | Type::Number | Type::String)
    }

    /// How messages name it: `list of string`, `object`, as Terraform's do.
    #[must_use]
    pub fn friendly(&self) -> String {
        match self {
            Type::Any => "any type".into(),
            Type::Bool => "bool".into(),
            Type::Number => "number".into(),
            Type::String => "string".into(),
            Type::List(e) | Type::Set(e) | Type::Map(e) => {
                let kind = match self {
                    Type::List(_) => "list",
                    Type::Set(_) => "set",
                    _ => "map",
                };
                match &**e {
                    Type::Any => format!("{kind} of any single type"),
                    element => format!("{kind} of {}", element.friendly()),
                }
            }
            Type::Tuple(_) => "tuple".into(),
            Type::Object(_) => "object".into(),
        }
    }
}

/// As a plan writes it: `list(string)`, `object({a = number, b = optional(bool)})`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("any"),
            Type::Bool => f.write_str("bool"),
            Type::Number => f.write_str("number"),
            Type::String => f.write_str("string"),
            Type::List(e) => write!(f, "list({e})"),
            Type::Set(e) => write!(f, "set({e})"),
            Type::Map(e) => write!(f, "map({e})"),
            Type::Tuple(es) => {
                f.write_str("tuple([")?;
                for (i, e) in es.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{e}")?;
                }
                f.write_str("])")
            }
            Type::Object(o) => {
                f.write_str("object({")?;
                for (i, (name, ty)) in o.attributes.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    if o.optional.contains(name) {
                        write!(f, "{name} = optional({ty})")?;
                    } else {
                        write!(f, "{name} = {ty}")?;
                    }
                }
                f.write_str("})")
            }
        }
    }
}
