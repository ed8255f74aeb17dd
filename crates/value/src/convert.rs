//! Conversion between types, by Terraform's rules (those of cty's `convert` package).

use std::collections::BTreeMap;
use std::sync::Arc;

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
            let (ty, items) = convert_items(items, element, path)?;
            Value::list(ty, items)
        }
        (Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items), Type::Set(element)) => {
            let (ty, items) = convert_items(items, element, path)?;
            Value::set(ty, items)
        }
        (Kind::Map(own, entries), Type::Map(element)) if entries.is_empty() && **element == Type::Any => {
            Value::map::<Arc<str>>(own.clone(), [])
        }
        (Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items), Type::Tuple(types)) => {
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
            let mut out = BTreeMap::new();
            for (key, item) in entries.iter() {
                path.push(Step::Key(key.clone()));
                out.insert(key.clone(), convert_at(item, element, path)?);
                path.pop();
            }
            if **element == Type::Any && unify(out.values().map(Value::ty)).is_none() {
                return refuse(path, "all map elements must have the same type".into());
            }
            let ty = settle(element, out.values());
            let out = reconvert(&ty, element, out);
            Kind::Map(ty, Arc::new(out)).into()
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
    items: &[Value],
    element: &Type,
    path: &mut Vec<Step>,
) -> Result<(Type, Vec<Value>), ConvertError> {
    let target = if element.has_any() {
        match unify(items.iter().map(Value::ty)) {
            Some(ty) if *element == Type::Any => ty,
            Some(_) => element.clone(),
            None if *element == Type::Any => {
                return Err(ConvertError {
                    path: Path(path.clone()),
                    message: "all list elements must have the same type".into(),
                });
            }
            None => element.clone(),
        }
    } else {
        element.clone()
    };
    let mut out = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        path.push(Step::Index(i));
        out.push(convert_at(item, &target, path)?);
        path.pop();
    }
    let ty = settle(&target, out.iter());
    Ok((ty, out))
}

/// The element type that is stored: the declared one, or what the elements turned out to be where it was open.
fn settle<'a>(declared: &Type, items: impl Iterator<Item = &'a Value>) -> Type {
    if declared.has_any() {
        unify(items.map(Value::ty)).unwrap_or_else(|| declared.clone())
    } else {
        declared.clone()
    }
}

fn reconvert(ty: &Type, declared: &Type, entries: BTreeMap<Arc<str>, Value>) -> BTreeMap<Arc<str>, Value> {
    if !declared.has_any() {
        return entries;
    }
    entries.into_iter().map(|(k, v)| (k, convert(&v, ty).unwrap_or(v))).collect()
}

fn required(target: &Type) -> String {
    format!("{} required", target.friendly())
}

/// Whether a value of type `from` could convert to `to`, for some value of it.
fn may_convert(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (Type::Any, _) | (_, Type::Any) => true,
        (Type::Bool, Type::Number) | (Type::Number, Type::Bool) => false,
        (a, b) if a.is_primitive() && b.is_primitive() => true,
        (Type::List(a) | Type::Set(a), Type::List(b) | Type::Set(b)) | (Type::Map(a), Type::Map(b)) => {
            may_convert(a, b)
        }
        (Type::Tuple(items), Type::List(b) | Type::Set(b)) => items.iter().all(|a| may_convert(a, b)),
        (Type::List(a) | Type::Set(a), Type::Tuple(items)) => items.iter().all(|b| may_convert(a, b)),
        (Type::Tuple(a), Type::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| may_convert(a, b))
        }
        (Type::Object(a), Type::Map(b)) => a.attributes.values().all(|a| may_convert(a, b)),
        (Type::Map(a), Type::Object(b)) => b.attributes.values().all(|b| may_convert(a, b)),
        (Type::Object(a), Type::Object(b)) => {
            b.attributes.iter().all(|(name, want)| match a.attributes.get(name) {
                Some(have) => may_convert(have, want),
                None => b.optional.contains(name),
            })
        }
        _ => false,
    }
}

/// The one type that all of these convert to, as a conditional or a list literal needs it: `None` where there is none.
pub fn unify(types: impl IntoIterator<Item = Type>) -> Option<Type> {
    // What is open takes any type.
    let types: Vec<Type> = types.into_iter().filter(|ty| *ty != Type::Any).collect();
    let Some(first) = types.first() else { return Some(Type::Any) };
    if types.iter().all(|ty| ty == first) {
        return Some(first.clone());
    }
    if types.iter().all(Type::is_primitive) {
        return types.contains(&Type::String).then_some(Type::String);
    }
    if types.iter().all(|ty| matches!(ty, Type::List(_) | Type::Set(_) | Type::Tuple(_))) {
        return unify_sequences(&types);
    }
    if types.iter().all(|ty| matches!(ty, Type::Map(_) | Type::Object(_))) {
        return unify_maps(&types);
    }
    None
}

/// Tuples of one length stay a tuple; with others they become lists, or sets where there is no list.
fn unify_sequences(types: &[Type]) -> Option<Type> {
    let tuples: Option<Vec<&Arc<[Type]>>> = types
        .iter()
        .map(|ty| match ty {
            Type::Tuple(items) => Some(items),
            _ => None,
        })
        .collect();
    if let Some(tuples) = tuples
        && tuples.iter().all(|items| items.len() == tuples[0].len())
    {
        let items: Option<Vec<Type>> =
            (0..tuples[0].len()).map(|i| unify(tuples.iter().map(|items| items[i].clone()))).collect();
        return items.map(Type::tuple);
    }
    let list = types.iter().any(|ty| matches!(ty, Type::List(_)));
    if !list && types.iter().any(|ty| matches!(ty, Type::Tuple(_))) {
        // Of sets and tuples, the set that all can become.
        let mut sets = types.iter().filter(|ty| matches!(ty, Type::Set(_)));
        if let Some(set) = sets.find(|set| types.iter().all(|ty| may_convert(ty, set))) {
            return Some(set.clone());
        }
        if types.iter().any(|ty| matches!(ty, Type::Set(_))) {
            return None;
        }
    }
    let element = unify(types.iter().flat_map(|ty| {
        match ty {
            Type::List(element) | Type::Set(element) => std::slice::from_ref(&**element),
            Type::Tuple(items) => items,
            _ => &[],
        }
        .iter()
        .cloned()
    }))?;
    let sets_only = types.iter().any(|ty| matches!(ty, Type::Set(_))) && !list;
    Some(if sets_only { Type::set(element) } else { Type::list(element) })
}

/// Objects of the same attributes stay an object; others become a map.
fn unify_maps(types: &[Type]) -> Option<Type> {
    let objects: Option<Vec<&Arc<ObjectType>>> = types
        .iter()
        .map(|ty| match ty {
            Type::Object(object) => Some(object),
            _ => None,
        })
        .collect();
    if let Some(objects) = objects
        && objects.iter().all(|object| object.attributes.keys().eq(objects[0].attributes.keys()))
    {
        let attributes: Option<Vec<(Arc<str>, Type)>> = objects[0]
            .attributes
            .keys()
            .map(|name| {
                unify(objects.iter().map(|o| o.attributes[name].clone())).map(|ty| (name.clone(), ty))
            })
            .collect();
        return attributes.map(Type::object);
    }
    let mut all = Vec::new();
    for ty in types {
        match ty {
            Type::Map(element) => all.push((**element).clone()),
            Type::Object(object) => all.extend(object.attributes.values().cloned()),
            _ => {}
        }
    }
    unify(all).map(Type::map)
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
