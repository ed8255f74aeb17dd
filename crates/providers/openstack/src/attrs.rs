//! Attributes that many types have.

use grappe_value::{Attribute, Type};

use crate::thing::Field;

pub(crate) fn string(description: &'static str) -> Attribute {
    Attribute::optional(Type::String, description)
}

pub(crate) fn given_string(description: &'static str) -> Attribute {
    Attribute::optional_computed(Type::String, description)
}

pub(crate) fn flag(description: &'static str) -> Attribute {
    Attribute::optional_computed(Type::Bool, description)
}

pub(crate) fn number(description: &'static str) -> Attribute {
    Attribute::optional_computed(Type::Number, description)
}

pub(crate) fn list(description: &'static str) -> Attribute {
    Attribute::optional(Type::list(Type::String), description)
}

pub(crate) fn set(description: &'static str) -> Attribute {
    Attribute::optional(Type::set(Type::String), description)
}

pub(crate) fn name() -> Field {
    Field::new("name", string("Its name, for people."))
}

pub(crate) fn description() -> Field {
    Field::new("description", string("What it is, for people."))
}

pub(crate) fn up() -> Field {
    Field::new("admin_state_up", flag("Whether it is in use. True by default."))
}

pub(crate) fn tenant() -> Field {
    Field::new(
        "tenant_id",
        given_string("The project that it belongs to. Others than one's own are for administrators.")
            .replace(),
    )
}

/// Arguments that no schema here knows: sent as they are.
pub(crate) fn value_specs() -> Field {
    Field::new(
        "value_specs",
        Attribute::optional(
            Type::map(Type::String),
            "More arguments of the API, sent as they are in the creation.",
        )
        .replace(),
    )
    .own()
}
