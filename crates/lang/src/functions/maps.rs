//! Maps and objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_value::{Kind, Marks, Type, Value};

use super::{Function, Outcome, P, any, arg, f, items, of, refuse, refuse_arg};

pub(super) static FUNCTIONS: &[Function] = &[
    of(
        "keys",
        "the keys of a map, in order",
        &[any("inputMap").unknown().marked()],
        |_| Type::list(Type::String),
        keys,
    ),
    of("merge", "maps as one; of the same keys the last wins", &[], |_| Type::Any, merge)
        .rest(any("maps").null().unknown().marked()),
    f(
        "transpose",
        "from each key's texts to each text's keys",
        &[arg("values", P::StringLists)],
        P::StringLists,
        transpose,
    )
    .whole(),
    of(
        "values",
        "the values of a map, in the order of their keys",
        &[any("mapping").marked()],
        |args| match args.first().map(Value::ty) {
            Some(Type::Map(element)) => Type::List(element),
            _ => Type::Any,
        },
        values,
    )
    .checked(|args| super::mapping(args, 0)),
    of(
        "zipmap",
        "a map from a list of keys and a list of values",
        &[arg("keys", P::Strings), any("values").marked()],
        |args| match args.get(1).map(Value::ty) {
            Some(Type::List(element)) => Type::Map(element),
            _ => Type::Any,
        },
        zipmap,
    )
    .checked(|args| super::sequence(args, 1)),
];

fn keys(args: &[Value]) -> Outcome {
    let marks = args[0].marks();
    let names = |names: Vec<Value>, ty: &Type| match ty {
        Type::Object(_) => Value::tuple(names),
        _ => Value::list(Type::String, names),
    };
    let ty = args[0].ty();
    let value = match (args[0].kind(), &ty) {
        (Kind::Unknown(_), Type::Object(object)) => {
            names(object.attributes.keys().map(|k| k.clone().into()).collect(), &ty)
        }
        (Kind::Unknown(_), Type::Map(_) | Type::Any) => Value::unknown_not_null(Type::list(Type::String)),
        (Kind::Map(_, entries) | Kind::Object(entries), _) => {
            names(entries.keys().map(|k| k.clone().into()).collect(), &ty)
        }
        _ => return refuse_arg(0, "must have map or object type"),
    };
    Ok(value.with_marks(marks))
}

fn merge(args: &[Value]) -> Outcome {
    let mut entries: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    let mut marks = Marks::NONE;
    let mut element: Option<Option<Type>> = None;
    let mut unknown = false;
    for (i, value) in args.iter().enumerate() {
        marks = marks.union(value.marks());
        let ty = match value.kind() {
            Kind::Unknown(u) if !u.ty.is_primitive() => {
                unknown = true;
                u.ty.clone()
            }
            // What is added by a null is nothing, and it makes an object of the whole where it is of another type, or of none.
            Kind::Null(ty @ (Type::Any | Type::Map(_) | Type::Object(_))) => ty.clone(),
            Kind::Map(_, more) | Kind::Object(more) => {
                entries.extend(more.iter().map(|(k, v)| (k.clone(), v.clone())));
                value.ty()
            }
            // Beside a null of no type nothing is said of what is not known.
            Kind::Unknown(_) if args.iter().any(|arg| arg.is_null() && arg.ty() == Type::Any) => {
                unknown = true;
                Type::Any
            }
            _ => {
                return refuse_arg(
                    i,
                    format!("arguments must be maps or objects, got \"{}\"", value.ty().friendly()),
                );
            }
        };
        // Maps of one type stay a map; all else is an object.
        let own = match ty {
            Type::Map(element) => Some((*element).clone()),
            _ => None,
        };
        element = Some(match element {
            None => own,
            Some(before) if before == own => own,
            Some(_) => None,
        });
    }
    let value = match element.flatten() {
        _ if unknown => Value::unknown(Type::Any),
        Some(element) => Kind::Map(element, Arc::new(entries)).into(),
        None => Kind::Object(Arc::new(entries)).into(),
    };
    Ok(value.with_marks(marks))
}

fn transpose(args: &[Value]) -> Outcome {
    let mut out: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
    for (key, list) in args[0].as_entries().into_iter().flatten() {
        if list.is_null() {
            return refuse("input must not contain null list");
        }
        for item in list.as_items().unwrap_or_default() {
            match item.kind() {
                Kind::String(text) => out.entry(text.clone()).or_default().push(key.clone().into()),
                _ => return refuse("input list must not contain null string"),
            }
        }
    }
    Ok(Value::map(
        Type::list(Type::String),
        out.into_iter().map(|(k, mut v)| {
            v.sort();
            (k, Value::list(Type::String, v))
        }),
    ))
}

fn values(args: &[Value]) -> Outcome {
    let value = match args[0].kind() {
        Kind::Map(element, entries) => Value::list(element.clone(), entries.values().cloned()),
        Kind::Object(entries) => Value::tuple(entries.values().cloned()),
        _ => return refuse_arg(0, "values() requires a map as the first argument"),
    };
    Ok(value.with_marks(args[0].marks()))
}

fn zipmap(args: &[Value]) -> Outcome {
    let keys = items(args, 0);
    let values = match args[1].kind() {
        Kind::List(_, items) | Kind::Tuple(items) => items,
        _ => return refuse_arg(1, "values argument must be a list or tuple value"),
    };
    if keys.len() != values.len() {
        return refuse(format!(
            "number of keys ({}) does not match number of values ({})",
            keys.len(),
            values.len()
        ));
    }
    let mut entries = BTreeMap::new();
    for (key, value) in keys.iter().zip(values.iter()) {
        match key.kind() {
            Kind::String(key) => entries.insert(key.clone(), value.clone()),
            Kind::Unknown(_) => return Ok(Value::unknown(Type::Any)),
            _ => return refuse_arg(0, "keys must not be null"),
        };
    }
    let value: Value = match args[1].kind() {
        Kind::List(element, _) => Kind::Map(element.clone(), Arc::new(entries)).into(),
        _ => Kind::Object(Arc::new(entries)).into(),
    };
    Ok(value.with_marks(args[1].marks()))
}
