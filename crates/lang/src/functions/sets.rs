//! Sets.

use std::collections::BTreeSet;

use grappe_value::{Kind, Type, Value, convert, unify};

use super::{Function, Outcome, P, Refused, any, arg, items, of, refuse, refuse_arg, sequence};

const FIRST: &[super::Param] = &[arg("first_set", P::Set)];

pub(super) static FUNCTIONS: &[Function] = &[
    of("setintersection", "what is in all of the sets", FIRST, set_type, |args| {
        combine(args, |a, b| a.intersection(b).cloned().collect())
    })
    .rest(arg("other_sets", P::Set))
    .whole(),
    of("setproduct", "all combinations of an element of each", &[], |_| Type::Any, setproduct)
        .rest(any("sets").unknown()),
    of(
        "setsubtract",
        "what is in the first set and not in the second",
        &[arg("a", P::Set), arg("b", P::Set)],
        set_type,
        |args| combine(args, |a, b| a.difference(b).cloned().collect()),
    )
    .whole(),
    of("setunion", "what is in one of the sets at least", FIRST, set_type, setunion)
        .rest(arg("other_sets", P::Set)),
];

/// The one set type that all convert to; empty sets of no type do not count.
fn common(args: &[Value]) -> Option<Type> {
    let elements = args.iter().filter_map(|a| match a.ty() {
        Type::Set(element) if *element == Type::Any && a.as_items().is_some_and(<[_]>::is_empty) => None,
        Type::Set(element) => Some((*element).clone()),
        _ => Some(Type::Any),
    });
    unify(elements)
}

fn set_type(args: &[Value]) -> Type {
    Type::set(common(args).unwrap_or(Type::Any))
}

fn combine(args: &[Value], with: fn(&BTreeSet<Value>, &BTreeSet<Value>) -> BTreeSet<Value>) -> Outcome {
    let Some(element) = common(args) else {
        return refuse("given sets must all have compatible element types");
    };
    let mut sets = Vec::new();
    for value in args {
        let set: Result<BTreeSet<Value>, _> =
            value.as_items().unwrap_or_default().iter().map(|i| convert(i, &element)).collect();
        match set {
            Ok(set) => sets.push(set),
            Err(error) => return refuse(error.to_string()),
        }
    }
    let mut sets = sets.into_iter();
    let first = sets.next().unwrap_or_default();
    Ok(Value::set(element, sets.fold(first, |so_far, set| with(&so_far, &set))))
}

fn setunion(args: &[Value]) -> Outcome {
    let Some(element) = common(args) else {
        return refuse("given sets must all have compatible element types");
    };
    let all: Result<Vec<Value>, _> =
        (0..args.len()).flat_map(|i| items(args, i)).map(|item| convert(item, &element)).collect();
    // What is not known stands beside the others: it may be another thing.
    all.map(|all| Value::set(element, all)).or_else(|error| refuse(error.to_string()))
}

/// Whether an argument is a sequence whose elements can be of one type.
fn alike(args: &[Value], i: usize) -> Result<(), Refused> {
    match args[i].ty() {
        Type::Tuple(types) if unify(types.iter().cloned()).is_none() => {
            refuse_arg(i, "all elements must be of the same type")
        }
        _ => sequence(args, i).or_else(|_| refuse_arg(i, "a set or a list is required")),
    }
}

fn setproduct(args: &[Value]) -> Outcome {
    if args.len() < 2 {
        return refuse("at least two arguments are required");
    }
    let mut total = 1usize;
    // An empty tuple is empty, known or not.
    let unknown = |value: &Value| value.is_unknown() && value.ty() != Type::tuple([]);
    for i in 0..args.len() {
        if args[i].is_unknown() && args[i].ty() == Type::Any {
            return Ok(Value::unknown(Type::Any));
        }
        alike(args, i)?;
        total = total.saturating_mul(items(args, i).len());
    }
    if args.iter().any(|set| unknown(set) || matches!(set.kind(), Kind::Set(..)) && !set.is_wholly_known()) {
        // What is not known in a set may be the same as something else in it.
        return Ok(Value::unknown(Type::Any));
    }
    if total > 1_000_000 {
        return refuse("more than a million combinations");
    }
    let mut elements = Vec::new();
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for (i, value) in args.iter().enumerate() {
        let value = match value.kind() {
            // Where one is empty, there is nothing to bring together.
            Kind::Tuple(_) if total > 0 => {
                convert(value, &Type::list(Type::Any)).or_else(|e| refuse_arg(i, e.to_string()))?
            }
            _ => value.clone(),
        };
        elements.push(match value.ty() {
            Type::List(e) | Type::Set(e) => (*e).clone(),
            Type::Tuple(types) => unify(types.iter().cloned()).unwrap_or(Type::Any),
            _ => Type::Any,
        });
        let items = value.as_items().unwrap_or_default();
        rows = rows
            .iter()
            .flat_map(|row| items.iter().map(|item| [&row[..], std::slice::from_ref(item)].concat()))
            .collect();
    }
    let element = Type::tuple(elements);
    let rows = rows.into_iter().map(Value::tuple);
    // Where one has no order, all of it has none.
    let sets = args.iter().any(|a| matches!(a.kind(), Kind::Set(..)));
    Ok(if sets { Value::set(element, rows) } else { Value::list(element, rows) })
}
