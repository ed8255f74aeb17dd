//! Conversion between types, by Terraform's rules (those of cty's `convert` package).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::unify::{may_convert, unify};
use crate::{Kind, ObjectType, Path, Range, Step, Type, Unknown, Value};

/// A value that does not fit a type: where inside it, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if path.0.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct ConvertError {
    /// Where the part is that does not fit.
    pub path: Path,
    /// What was wanted there.
    pub message: String,
}

/// Converts `value` to `target`. Marks stay; unknowns stay unknown, of the new type.
///
/// # Errors
/// Says which part does not fit, and what is required there.
pub fn convert(value: &Value, target: &Type) -> Result<Value, ConvertError> {
    convert_at(value, target, &mut Vec::new())
}

fn convert_at(value: &Value, target: &Type, path: &mut Vec<Step>) -> Result<Value, ConvertError> {
    let marks = value.marks();
    let refuse = |path: &Vec<Step>, message: String| Err(ConvertError { path: Path(path.clone()), message });
    let converted: Value = match (value.kind(), target) {
        (_, Type::Any) => return Ok(value.clone()),
        // Of a type that does not fit, a null does not either.
        (Kind::Null(ty), _) if !may_convert(ty, target) => return refuse(path, required(target)),
        (Kind::Null(_), _) => Value::null(target.clone()),
        (Kind::Unknown(unknown), _) => {
            if !may_convert(&unknown.ty, target) {
                return refuse(path, required(target));
            }
            let kept = kept(value, unknown, target);
            let value = if unknown.not_null {
                Value::unknown_not_null(target.clone())
            } else {
                Value::unknown(target.clone())
            };
            value.within(kept)
        }
        (Kind::Bool(_), Type::Bool) | (Kind::Number(_), Type::Number) | (Kind::String(_), Type::String) => {
            return Ok(value.clone());
        }
        (Kind::Bool(b), Type::String) => Value::from(if *b { "true" } else { "false" }),
        (Kind::Number(n), Type::String) => Value::from(n.to_string()),
        (Kind::String(s), Type::Bool) => match &**s {
            "true" | "1" => Value::from(true),
            "false" | "0" => Value::from(false),
            other => {
                let hint = match other {
                    "True" | "TRUE" => "; to convert from string, use lowercase \"true\"",
                    "False" | "FALSE" => "; to convert from string, use lowercase \"false\"",
                    _ => "",
                };
                return refuse(path, format!("a bool is required{hint}"));
            }
        },
        (Kind::String(s), Type::Number) => match s.parse::<crate::Number>() {
            Ok(n) => n.into(),
            Err(_) => return refuse(path, "a number is required".into()),
        },
        // Where nothing is in it, its own type says what would be.
        (Kind::List(own, items) | Kind::Set(own, items), Type::List(element))
            if items.is_empty() && **element == Type::Any =>
        {
            Value::list(own.clone(), [])
        }
        (Kind::List(own, items) | Kind::Set(own, items), Type::Set(element))
            if items.is_empty() && **element == Type::Any =>
        {
            Value::set(own.clone(), [])
        }
        (Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items), Type::List(element)) => {
            let (ty, items) = convert_items(value, items, target, element, path)?;
            Value::list(ty, items)
        }
        (Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items), Type::Set(element)) => {
            let (ty, items) = convert_items(value, items, target, element, path)?;
            Value::set(ty, items)
        }
        (Kind::Map(own, entries), Type::Map(element)) if entries.is_empty() && **element == Type::Any => {
            Value::map::<Arc<str>>(own.clone(), [])
        }
        (Kind::Tuple(items), Type::Tuple(types)) => {
            if items.len() != types.len() {
                return refuse(path, format!("a tuple of {} elements is required", types.len()));
            }
            let mut out = Vec::with_capacity(items.len());
            for (i, (item, ty)) in items.iter().zip(types.iter()).enumerate() {
                path.push(Step::Index(i));
                out.push(convert_at(item, ty, path)?);
                path.pop();
            }
            Value::tuple(out)
        }
        (Kind::Map(_, entries) | Kind::Object(entries), Type::Map(element)) => {
            let Some(element) = one_type(element, entries.values()) else {
                return refuse(path, "all map elements must have the same type".into());
            };
            let mut out = Vec::with_capacity(entries.len());
            for (key, item) in entries.iter() {
                path.push(Step::Key(key.clone()));
                out.push(convert_at(item, &element, path)?);
                path.pop();
            }
            let again = matches!(element, Type::List(_) | Type::Set(_) | Type::Map(_) | Type::Object(_));
            let (ty, out) = alike(target, &element, out, again, path)?;
            Value::map(ty, entries.keys().cloned().zip(out))
        }
        (Kind::Map(_, entries) | Kind::Object(entries), Type::Object(object)) => {
            convert_object(entries, object, path)?
        }
        _ => return refuse(path, required(target)),
    };
    Ok(converted.with_marks(marks))
}

/// What stays known of an unknown value that becomes one of another type.
fn kept(value: &Value, unknown: &Unknown, target: &Type) -> Range {
    match (&unknown.range, target) {
        (Range::Prefix(_), Type::String) | (Range::Between(..), Type::Number) => unknown.range.clone(),
        (_, Type::List(_) | Type::Set(_) | Type::Map(_)) => match Range::of_length(value) {
            (0, None) => Range::Open,
            // What is the same is once in a set.
            (least, most) if matches!(target, Type::Set(_)) => Range::Length(least.min(1), most),
            (least, most) => Range::Length(least, most),
        },
        _ => Range::Open,
    }
}

fn convert_object(
    entries: &BTreeMap<Arc<str>, Value>,
    object: &ObjectType,
    path: &mut Vec<Step>,
) -> Result<Value, ConvertError> {
    let mut out = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, ty) in &object.attributes {
        match entries.get(name) {
            Some(item) => {
                path.push(Step::Attr(name.clone()));
                out.insert(name.clone(), convert_at(item, ty, path)?);
                path.pop();
            }
            None if object.optional.contains(name) => {
                out.insert(name.clone(), Value::null(ty.clone()));
            }
            None => missing.push(format!("{name:?}")),
        }
    }
    if missing.is_empty() {
        return Ok(Kind::Object(Arc::new(out)).into());
    }
    let message = match &missing[..] {
        [one] => format!("attribute {one} is required"),
        many => format!("attributes {} are required", many.join(", ")),
    };
    Err(ConvertError { path: Path(path.clone()), message })
}

/// Converts the elements of a sequence; where the target's element is `any`, to the one type that fits them all.
fn convert_items(
    value: &Value,
    items: &[Value],
    target: &Type,
    element: &Type,
    path: &mut Vec<Step>,
) -> Result<(Type, Vec<Value>), ConvertError> {
    let tuple = matches!(value.kind(), Kind::Tuple(_));
    let one = one_type(element, items.iter());
    // Of no type at all are only nulls and what is not known.
    let one = one.filter(|ty| !tuple || *ty != Type::Any || items.iter().all(|i| i.ty() == Type::Any));
    let Some(one) = one else {
        return Err(ConvertError {
            path: Path(path.clone()),
            message: "all list elements must have the same type".into(),
        });
    };
    let mut out = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        path.push(Step::Index(i));
        out.push(convert_at(item, &one, path)?);
        path.pop();
    }
    alike(target, &one, out, tuple && matches!(target, Type::List(_)), path)
}

/// The type that all of these are to become: where `any` is wanted, the one that they have in common.
fn one_type<'a>(wanted: &Type, items: impl Iterator<Item = &'a Value>) -> Option<Type> {
    if *wanted == Type::Any { unify(items.map(Value::ty)) } else { Some(wanted.clone()) }
}

/// What was converted to a type with `any` in it may have come out as several types. Where `again` says so, these are brought together once more
/// (Terraform does it for some collections only); those that then differ make no collection.
fn alike(
    target: &Type,
    element: &Type,
    mut items: Vec<Value>,
    again: bool,
    path: &[Step],
) -> Result<(Type, Vec<Value>), ConvertError> {
    if !element.has_any() {
        return Ok((element.clone(), items));
    }
    if again && let Some(ty) = unify(items.iter().map(Value::ty)) {
        for item in &mut items {
            *item = convert(item, &ty)?;
        }
    }
    let mut types = items.iter().map(Value::ty).filter(|ty| *ty != Type::Any);
    let Some(ty) = types.next() else { return Ok((element.clone(), items)) };
    if types.any(|other| other != ty) {
        let message = match target {
            Type::Map(_) => "attribute types must all match for conversion to map",
            Type::Set(_) => "element types must all match for conversion to set",
            _ => "element types must all match for conversion to list",
        };
        return Err(ConvertError { path: Path(path.to_vec()), message: message.into() });
    }
    // Nulls that have no type get that of the others.
    let items = items.iter().map(|item| convert(item, &ty)).collect::<Result<_, _>>()?;
    Ok((ty, items))
}

fn required(target: &Type) -> String {
    format!("{} required", target.friendly())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primitives_convert_as_terraform_does() {
        assert_eq!(convert(&"1".into(), &Type::Number).unwrap(), 1i64.into());
        assert_eq!(convert(&true.into(), &Type::String).unwrap(), "true".into());
        assert_eq!(convert(&1i64.into(), &Type::String).unwrap(), "1".into());
        assert_eq!(convert(&"yes".into(), &Type::Bool).unwrap_err().message, "a bool is required");
        assert!(convert(&1i64.into(), &Type::Bool).is_err());
    }

    #[test]
    fn structures_convert_and_errors_name_the_place() {
        let value = Value::object([("a", Value::tuple([1i64.into(), "2".into()])), ("b", "x".into())]);
        let ty = Type::object([("a", Type::list(Type::Number))]);
        let out = convert(&value, &ty).unwrap();
        assert_eq!(out.get("a").unwrap(), &Value::list(Type::Number, [1i64.into(), 2i64.into()]));
        let bad = Value::object([("a", Value::tuple([1i64.into(), "x".into()]))]);
        assert_eq!(convert(&bad, &ty).unwrap_err().to_string(), "a[1]: a number is required");
        assert_eq!(
            convert(&Value::object::<&str>([]), &ty).unwrap_err().message,
            "attribute \"a\" is required"
        );
    }

    #[test]
    fn any_settles_on_one_element_type() {
        let list = convert(&Value::tuple([1i64.into(), "a".into()]), &Type::list(Type::Any)).unwrap();
        assert_eq!(list, Value::list(Type::String, ["1".into(), "a".into()]));
        let set =
            convert(&Value::tuple(["b".into(), "a".into(), "b".into()]), &Type::set(Type::Any)).unwrap();
        assert_eq!(set.as_items().unwrap().len(), 2);
    }

    #[test]
    fn unknowns_and_marks_survive() {
        let out = convert(&Value::unknown(Type::Any).sensitive(), &Type::String).unwrap();
        assert!(out.is_unknown() && out.ty() == Type::String && out.is_sensitive_deep());
        assert!(convert(&Value::unknown(Type::list(Type::String)), &Type::String).is_err());
    }
}
