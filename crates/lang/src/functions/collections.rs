//! Functions of any collection: how many, whether, which one.

use grappe_value::{Kind, Number, Range, Type, Value, convert, unify};

use super::numbers::num;
use super::{Function, Outcome, P, any, arg, f, items, of, refuse, refuse_arg, sequence, string, strings};
use crate::expr::{counted, equal};

pub(super) static FUNCTIONS: &[Function] = &[
    f(
        "alltrue",
        "whether all elements are true (also where there is none)",
        &[arg("list", P::Bools)],
        P::Bool,
        |args| truth(args, false),
    ),
    f("anytrue", "whether an element is true", &[arg("list", P::Bools)], P::Bool, |args| truth(args, true)),
    of("coalesce", "the first argument that is neither null nor an empty text", &[], first_type, coalesce)
        .rest(any("vals").null().unknown()),
    of("coalescelist", "the first list that is not empty", &[], first_list_type, coalescelist)
        .rest(any("vals").null().unknown()),
    f(
        "contains",
        "whether a list, set or tuple has an element",
        &[any("list"), any("value")],
        P::Bool,
        contains,
    ),
    f(
        "index",
        "the position of the first element with this value",
        &[any("list"), any("value")],
        P::Number,
        index,
    ),
    f(
        "length",
        "how many elements a collection has, or characters a text",
        &[any("value").unknown().marked()],
        P::Number,
        length,
    ),
    of(
        "lookup",
        "the element of a map under a key, or a default",
        &[any("inputMap").marked(), string("key")],
        lookup_type,
        lookup,
    )
    .rest(any("default").null().unknown().marked())
    .checked(|args| super::mapping(args, 0)),
    of("one", "the only element, or null where there is none", &[any("list")], element_type, one)
        .checked(|args| sequence(args, 0)),
    f("sum", "the sum of numbers", &[any("list")], P::Number, sum).whole(),
];

fn truth(args: &[Value], wanted: bool) -> Outcome {
    let mut open = false;
    for item in items(args, 0) {
        match item.as_bool() {
            Some(b) if b == wanted => return Ok(wanted.into()),
            // Of `alltrue`, a null is not true.
            None if item.is_null() && !wanted => return Ok(false.into()),
            None if item.is_unknown() => open = true,
            _ => {}
        }
    }
    Ok(if open { Value::unknown_not_null(Type::Bool) } else { (!wanted).into() })
}

fn first_type(args: &[Value]) -> Type {
    unify(args.iter().map(Value::ty)).unwrap_or(Type::Any)
}

fn coalesce(args: &[Value]) -> Outcome {
    if args.is_empty() {
        return refuse("at least one argument is required");
    }
    let Some(ty) = unify(args.iter().map(Value::ty)) else {
        return refuse("all arguments must have the same type");
    };
    for value in args {
        if value.is_unknown() {
            return Ok(Value::unknown(ty));
        }
        let empty = ty == Type::String && value.as_str() == Some("");
        if !value.is_null() && !empty {
            return convert(value, &ty).or_else(|e| refuse(e.to_string()));
        }
    }
    refuse("no non-null, non-empty-string arguments")
}

fn first_list_type(args: &[Value]) -> Type {
    let types = args.iter().map(Value::ty);
    let first = args.first().map_or(Type::Any, Value::ty);
    if types.into_iter().all(|t| t == first) { first } else { Type::Any }
}

fn coalescelist(args: &[Value]) -> Outcome {
    if args.is_empty() {
        return refuse("at least one argument is required");
    }
    let sequence = |ty: &Type| matches!(ty, Type::List(_) | Type::Tuple(_));
    // After one that is not known yet, the others may never be looked at.
    let mut looked_at = args.iter().take_while(|value| !value.is_unknown());
    if !looked_at.all(|value| sequence(&value.ty())) {
        return refuse("coalescelist arguments must be lists or tuples");
    }
    for value in args {
        match value.kind() {
            Kind::Unknown(_) => return Ok(Value::unknown(first_list_type(args))),
            Kind::List(_, items) | Kind::Tuple(items) if !items.is_empty() => return Ok(value.clone()),
            _ => {}
        }
    }
    refuse("no non-null arguments")
}

fn contains(args: &[Value]) -> Outcome {
    let Some(list) = args[0].as_items() else {
        return refuse_arg(0, "argument must be list, tuple, or set");
    };
    let mut open = false;
    for item in list {
        match equal(item, &args[1]) {
            Some(true) => return Ok(true.into()),
            None => open = true,
            Some(false) => {}
        }
    }
    Ok(if open { Value::unknown_not_null(Type::Bool) } else { false.into() })
}

fn index(args: &[Value]) -> Outcome {
    let list = match args[0].kind() {
        Kind::List(_, items) | Kind::Tuple(items) => items,
        _ => return refuse_arg(0, "argument must be a list or tuple"),
    };
    if list.is_empty() {
        return refuse("cannot search an empty list");
    }
    for (i, item) in list.iter().enumerate() {
        match equal(item, &args[1]) {
            Some(true) => return Ok(Number::from(i).into()),
            None => return Ok(Value::unknown_not_null(Type::Number)),
            Some(false) => {}
        }
    }
    refuse("item not found")
}

fn length(args: &[Value]) -> Outcome {
    let value = &args[0];
    let count = match value.kind() {
        Kind::String(s) => strings::length(s),
        Kind::List(_, items) | Kind::Tuple(items) => items.len(),
        Kind::Set(_, items) => {
            // Unknown elements may turn out to be the same.
            if items.len() > 1 && !items.iter().all(Value::is_wholly_known) {
                return Ok(counted(1, Some(items.len())).with_marks(value.marks()));
            }
            items.len()
        }
        Kind::Map(_, entries) | Kind::Object(entries) => entries.len(),
        Kind::Unknown(u) => match &u.ty {
            Type::Tuple(types) => types.len(),
            Type::Object(object) => object.attributes.len(),
            Type::Bool | Type::Number => return not_countable(),
            Type::String => {
                return Ok(counted(strings::length(value.prefix()), None).with_marks(value.marks()));
            }
            Type::Any => return Ok(Value::unknown_not_null(Type::Number).with_marks(value.marks())),
            _ => {
                let (least, most) = Range::of_length(value);
                return Ok(counted(least, most).with_marks(value.marks()));
            }
        },
        _ => return not_countable(),
    };
    Ok(Value::from(Number::from(count)).with_marks(value.marks()))
}

fn not_countable() -> Outcome {
    refuse_arg(0, "argument must be a string, a collection type, or a structural type")
}

fn lookup_type(args: &[Value]) -> Type {
    match args.first().map(Value::ty) {
        Some(Type::Map(element)) => (*element).clone(),
        Some(Type::Object(object)) => match args.get(1).and_then(Value::as_str) {
            Some(key) => match (object.attributes.get(key), args.get(2)) {
                (Some(ty), _) => ty.clone(),
                (None, Some(default)) => default.ty(),
                (None, None) => Type::Any,
            },
            None => Type::Any,
        },
        _ => Type::Any,
    }
}

fn lookup(args: &[Value]) -> Outcome {
    if args.len() > 3 {
        return refuse("lookup() takes two or three arguments, got 4");
    }
    let (map, key) = (&args[0], super::text(args, 1));
    let element = match map.kind() {
        Kind::Map(element, _) => Some(element),
        Kind::Object(_) => None,
        _ => return refuse_arg(0, "lookup() requires a map as the first argument"),
    };
    let default = match (element, args.get(2)) {
        // Also where it is not needed.
        (Some(element), Some(default)) => match convert(default, element) {
            Ok(value) => Some(value),
            Err(_) => return refuse_arg(2, "the default value must have the same type as the map elements"),
        },
        (_, default) => default.cloned(),
    };
    match (map.get_marked(key).or_else(|| Some(default?.with_marks(map.marks()))), element) {
        (Some(found), _) => Ok(found),
        (None, Some(_)) => refuse_arg(0, format!("lookup failed to find key \"{key}\"")),
        (None, None) => refuse_arg(0, format!("the given object has no attribute \"{key}\"")),
    }
}

/// The type of the elements of the first argument.
pub(super) fn element_type(args: &[Value]) -> Type {
    match args.first().map(Value::ty) {
        Some(Type::List(element) | Type::Set(element)) => (*element).clone(),
        _ => Type::Any,
    }
}

fn one(args: &[Value]) -> Outcome {
    let Some(list) = args[0].as_items() else {
        return refuse_arg(0, "must be a list, set, or tuple value with either zero or one elements");
    };
    match list {
        [] => Ok(Value::null(element_type(args))),
        [only] => Ok(only.clone()),
        _ => refuse_arg(0, "must be a list, set, or tuple value with either zero or one elements"),
    }
}

fn sum(args: &[Value]) -> Outcome {
    let Some(list) = args[0].as_items() else {
        return refuse_arg(0, "cannot sum noniterable");
    };
    if list.is_empty() {
        return refuse_arg(0, "cannot sum an empty list");
    }
    let mut total = Number::from(0i64);
    for item in list {
        if item.is_null() {
            return refuse_arg(0, "argument must be list, set, or tuple of number values");
        }
        match convert(item, &Type::Number) {
            Ok(value) => total = total.add(&num(&[value], 0)),
            Err(_) => return refuse_arg(0, "argument must be list, set, or tuple of number values"),
        }
    }
    Ok(total.into())
}
