//! Sets.

use std::collections::BTreeSet;

use grappe_value::{Kind, Type, Value, convert, unify};

use super::{Function, Outcome, P, any, arg, items, of, refuse, refuse_arg};

const FIRST: &[super::Param] = &[arg("first_set", P::Set)];

pub(super) static FUNCTIONS: &[Function] = &[
    of("setintersection", "what is in all of the sets", FIRST, set_type, |args| {
        combine(args, |a, b| a.intersection(b).cloned().collect())
    })
    .rest(arg("other_sets", P::Set))
    .whole(),
    of("setproduct", "all combinations of an element of each", &[], |_| Type::Any, setproduct)
        .rest(any("sets"))
        .whole(),
    of(
        "setsubtract",
        "what is in the first set and not in the second",
        &[arg("a", P::Set), arg("b", P::Set)],
        set_type,
        |args| combine(args, |a, b| a.difference(b).cloned().collect()),
    )
    .whole(),
    of("setunion", "what is in one of the sets at least", FIRST, set_type, |args| {
        combine(args, |a, b| a.union(b).cloned().collect())
    })
    .rest(arg("other_sets", P::Set))
    .whole(),
];

/// The one set type that all convert to; empty sets of no type do not count.
fn common(args: &[Value]) -> Option<Type> {
    let elements = args.iter().filter_map(|a| match a.ty() {
        Type::Set(element) if *element == Type::Any => None,
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

fn setproduct(args: &[Value]) -> Outcome {
    if args.len() < 2 {
        return refuse("at least two arguments are required");
    }
    let mut total = 1usize;
    for (i, value) in args.iter().enumerate() {
        match value.as_items() {
            Some(items) if unify(items.iter().map(Value::ty)).is_some() => {
                total = total.saturating_mul(items.len());
            }
            _ => return refuse_arg(i, "a set or a list is required"),
        }
    }
    if total > 1_000_000 {
        return refuse("more than a million combinations");
    }
    let elements: Vec<Type> = args
        .iter()
        .map(|a| match a.ty() {
            Type::List(e) | Type::Set(e) => (*e).clone(),
            Type::Tuple(types) => unify(types.iter().cloned()).unwrap_or(Type::Any),
            _ => Type::Any,
        })
        .collect();
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for (i, element) in elements.iter().enumerate() {
        let mut longer = Vec::new();
        for row in &rows {
            for item in items(args, i) {
                let item = convert(item, element).or_else(|e| refuse_arg(i, e.to_string()))?;
                longer.push(row.iter().cloned().chain([item]).collect());
            }
        }
        rows = longer;
    }
    let element = Type::tuple(elements);
    let rows = rows.into_iter().map(Value::tuple);
    // Where one has no order, all of it has none.
    let sets = args.iter().any(|a| matches!(a.kind(), Kind::Set(..)));
    Ok(if sets { Value::set(element, rows) } else { Value::list(element, rows) })
}
