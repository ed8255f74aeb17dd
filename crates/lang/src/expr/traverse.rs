//! `.name` and `[key]` on a value, with HCL's messages.

use grappe_diag::{Diagnostic, Span};
use grappe_value::{Kind, Type, Value, convert};

type Got = Result<Value, Diagnostic>;

/// `value.name`
pub(crate) fn get_attr(value: &Value, name: &str, span: Span) -> Got {
    let fail = |detail: String| Err(Diagnostic::error("Unsupported attribute").detail(detail).span(span));
    let found: Value = match value.kind() {
        Kind::Null(_) => {
            return Err(Diagnostic::error("Attempt to get attribute from null value")
                .detail("This value is null, so it does not have any attributes.")
                .span(span));
        }
        Kind::Object(entries) => match entries.get(name) {
            Some(value) => value.clone(),
            None => {
                return Err(Diagnostic::error("Unsupported attribute")
                    .detail(format!("This object does not have an attribute named \"{name}\"."))
                    .span(span)
                    .did_you_mean(name, entries.keys().map(|k| &**k)));
            }
        },
        Kind::Map(_, entries) => match entries.get(name) {
            Some(value) => value.clone(),
            None => {
                return Err(Diagnostic::error("Missing map element")
                    .detail(format!("This map does not have an element with the key \"{name}\"."))
                    .span(span)
                    .did_you_mean(name, entries.keys().map(|k| &**k)));
            }
        },
        Kind::Unknown(unknown) => match &unknown.ty {
            Type::Any => Value::unknown(Type::Any),
            Type::Map(element) => Value::unknown((**element).clone()),
            Type::Object(object) => match object.attributes.get(name) {
                Some(ty) => Value::unknown(ty.clone()),
                None => {
                    return Err(Diagnostic::error("Unsupported attribute")
                        .detail(format!("This object does not have an attribute named \"{name}\"."))
                        .span(span)
                        .did_you_mean(name, object.attributes.keys().map(|k| &**k)));
                }
            },
            other => return fail(no_attributes(other, name)),
        },
        _ => return fail(no_attributes(&value.ty(), name)),
    };
    Ok(found.with_marks(value.marks()))
}

fn no_attributes(ty: &Type, name: &str) -> String {
    match ty {
        Type::Bool | Type::Number | Type::String => {
            format!("Can't access attributes on a primitive-typed value ({}).", ty.friendly())
        }
        Type::List(e) | Type::Set(e) if matches!(**e, Type::Object(_)) => {
            let kind = if matches!(ty, Type::List(_)) { "list" } else { "set" };
            format!(
                "Can't access attributes on a {kind} of objects. Did you mean to access attribute \"{name}\" for a specific element of the {kind}, or across all elements of the {kind}?"
            )
        }
        _ => "This value does not have any attributes.".to_owned(),
    }
}

/// `value[key]`
pub(crate) fn get_index(value: &Value, key: &Value, span: Span) -> Got {
    let marks = value.marks().union(key.marks());
    let invalid = |detail: &str| Err(Diagnostic::error("Invalid index").detail(detail).span(span));
    if value.is_null() {
        return Err(Diagnostic::error("Attempt to index null value")
            .detail("This value is null, so it does not have any indices.")
            .span(span));
    }
    if key.is_null() {
        return invalid("Can't use a null value as an indexing key.");
    }
    let unknown = |ty: Type| Ok(Value::unknown(ty).with_marks(marks));
    let key_as = |ty: &Type| {
        convert(key, ty).map_err(|error| {
            Diagnostic::error("Invalid index")
                .detail(format!(
                    "The given key does not identify an element in this collection value: {}.",
                    error.message
                ))
                .span(span)
        })
    };
    match value.kind() {
        Kind::List(_, items) | Kind::Tuple(items) => {
            let key = key_as(&Type::Number)?;
            let Some(number) = key.as_number() else {
                return unknown(match value.kind() {
                    Kind::List(element, _) => element.clone(),
                    _ => Type::Any,
                });
            };
            if let Some(found) = number.as_usize().and_then(|i| items.get(i)) {
                return Ok(found.clone().with_marks(marks));
            }
            let why = if number.is_negative() {
                "a negative number is not a valid index for a sequence"
            } else if !number.is_integer() {
                "indexing a sequence requires a whole number, but the given index has a fractional part"
            } else if items.is_empty() {
                "the collection has no elements"
            } else {
                "the given index is greater than or equal to the length of the collection"
            };
            invalid(&format!("The given key does not identify an element in this collection value: {why}."))
        }
        Kind::Map(..) | Kind::Object(_) => {
            let key = key_as(&Type::String)?;
            let Some(name) = key.as_str() else {
                return unknown(match value.kind() {
                    Kind::Map(element, _) => element.clone(),
                    _ => Type::Any,
                });
            };
            match value.get(name) {
                Some(found) => Ok(found.clone().with_marks(marks)),
                None => Err(Diagnostic::error("Invalid index")
                    .detail("The given key does not identify an element in this collection value.")
                    .span(span)
                    .did_you_mean(name, value.as_entries().into_iter().flat_map(|e| e.keys()).map(|k| &**k))),
            }
        }
        Kind::Unknown(of) => match &of.ty {
            Type::Any => unknown(Type::Any),
            Type::List(element) => {
                key_as(&Type::Number)?;
                unknown((**element).clone())
            }
            Type::Map(element) => {
                key_as(&Type::String)?;
                unknown((**element).clone())
            }
            Type::Tuple(types) => {
                let key = key_as(&Type::Number)?;
                match key.as_number() {
                    None => unknown(Type::Any),
                    Some(number) => match number.as_usize().and_then(|i| types.get(i)) {
                        Some(ty) => unknown(ty.clone()),
                        None => invalid(
                            "The given key does not identify an element in this collection value: the given index is greater than or equal to the length of the collection.",
                        ),
                    },
                }
            }
            Type::Object(object) => {
                let key = key_as(&Type::String)?;
                match key.as_str() {
                    None => unknown(Type::Any),
                    Some(name) => match object.attributes.get(name) {
                        Some(ty) => unknown(ty.clone()),
                        None => {
                            invalid("The given key does not identify an element in this collection value.")
                        }
                    },
                }
            }
            other => invalid(no_indices(other)),
        },
        _ => invalid(no_indices(&value.ty())),
    }
}

fn no_indices(ty: &Type) -> &'static str {
    match ty {
        Type::Set(_) => {
            "Elements of a set are identified only by their value and don't have any separate index or key to select with, so it's only possible to perform operations across all elements of the set."
        }
        _ => "This value does not have any indices.",
    }
}
