//! Sequences.

use grappe_value::{Kind, Marks, Number, Type, Value, convert, unify};

use super::collections::element_type;
use super::numbers::num;
use super::{
    Function, Outcome, P, Refused, any, arg, f, integer, items, number, of, one_of, refuse, refuse_arg,
    sequence,
};
use crate::expr::equal;

pub(super) static FUNCTIONS: &[Function] = &[
    of(
        "chunklist",
        "a list cut into lists of a size",
        &[arg("list", P::List).marked(), number("size")],
        |args| Type::list(own_type(args)),
        chunklist,
    ),
    f("compact", "the list without nulls and empty texts", &[arg("list", P::Strings)], P::Strings, |args| {
        Ok(Value::list(
            Type::String,
            items(args, 0).iter().filter(|i| !i.is_null() && i.as_str() != Some("")).cloned(),
        ))
    })
    .whole(),
    of("concat", "lists one after another", &[], |_| Type::Any, concat)
        .rest(any("seqs").marked())
        .checked(|args| (0..args.len()).try_for_each(|i| sequence(args, i))),
    of("distinct", "the list without what was there before", &[arg("list", P::List)], own_type, distinct)
        .whole(),
    of(
        "element",
        "the element at a position, counting on from the start after the end",
        &[any("list").marked(), number("index")],
        element_type,
        element,
    )
    .checked(|args| sequence(args, 0)),
    of(
        "flatten",
        "the list with the elements of lists inside it in their place",
        &[any("list").marked()],
        |_| Type::Any,
        flatten,
    ),
    of(
        "matchkeys",
        "the values whose keys are in a set",
        &[arg("values", P::List), arg("keys", P::List), arg("searchset", P::List)],
        own_type,
        matchkeys,
    )
    .whole()
    .checked(check_keys),
    f("range", "numbers from a start (0) up to a limit, by a step (1)", &[], P::List, range)
        .rest(number("params")),
    of("reverse", "the sequence backwards", &[any("list").marked()], reverse_type, reverse)
        .checked(|args| sequence(args, 0)),
    of(
        "slice",
        "the elements from a start up to an end",
        &[any("list").marked(), number("start_index"), number("end_index")],
        own_type,
        slice,
    )
    .checked(|args| bounds(args).map(|_| ())),
    f("sort", "texts in the order of their code points", &[arg("list", P::Strings)], P::Strings, |args| {
        if let Some(at) = items(args, 0).iter().position(Value::is_null) {
            return refuse_arg(0, format!("given list element {at} is null; a null string cannot be sorted"));
        }
        let mut sorted = items(args, 0).to_vec();
        sorted.sort();
        Ok(Value::list(Type::String, sorted))
    })
    .whole(),
];

fn own_type(args: &[Value]) -> Type {
    args.first().map_or(Type::Any, Value::ty)
}

/// The sequence with other elements.
fn like(model: &Value, items: impl IntoIterator<Item = Value>) -> Value {
    match model.kind() {
        Kind::List(element, _) | Kind::Set(element, _) => Value::list(element.clone(), items),
        _ => Value::tuple(items),
    }
}

fn chunklist(args: &[Value]) -> Outcome {
    let list = items(args, 0);
    let Ok(size) = usize::try_from(integer(args, 1)?) else {
        return refuse_arg(1, "the size argument must be positive");
    };
    let size = if size == 0 { list.len().max(1) } else { size };
    let chunks: Vec<Value> = list.chunks(size).map(|chunk| like(&args[0], chunk.iter().cloned())).collect();
    Ok(Value::list(own_type(args), chunks).with_marks(args[0].marks()))
}

fn concat(args: &[Value]) -> Outcome {
    if args.is_empty() {
        return refuse("at least one argument is required");
    }
    let marks = args.iter().fold(Marks::NONE, |m, a| m.union(a.marks()));
    let mut lists = Vec::new();
    for (i, value) in args.iter().enumerate() {
        match value.kind() {
            Kind::List(_, items) | Kind::Tuple(items) => lists.extend(items.iter().cloned()),
            _ => {
                return refuse_arg(
                    i,
                    format!("all arguments must be lists or tuples; got {}", value.ty().friendly()),
                );
            }
        }
    }
    // Lists of one type stay a list; all else is a tuple.
    let elements: Option<Vec<Type>> = args
        .iter()
        .map(|value| match value.kind() {
            Kind::List(element, _) => Some(element.clone()),
            _ => None,
        })
        .collect();
    if let Some(element) = elements.and_then(unify)
        && let Ok(items) = lists.iter().map(|i| convert(i, &element)).collect::<Result<Vec<_>, _>>()
    {
        return Ok(Value::list(element, items).with_marks(marks));
    }
    Ok(Value::tuple(lists).with_marks(marks))
}

fn distinct(args: &[Value]) -> Outcome {
    let mut seen = std::collections::HashSet::new();
    let kept: Vec<Value> =
        items(args, 0).iter().filter(|item| seen.insert((*item).clone())).cloned().collect();
    Ok(like(&args[0], kept))
}

fn element(args: &[Value]) -> Outcome {
    let list = match args[0].kind() {
        Kind::List(_, items) | Kind::Tuple(items) => items,
        _ => return refuse_arg(0, format!("cannot read elements from {}", args[0].ty().friendly())),
    };
    let index = integer(args, 1)?;
    let Ok(count) = i64::try_from(list.len()) else { return refuse("the list is too long") };
    if count == 0 {
        return refuse("cannot use element function with an empty list");
    }
    // From the end, where it is negative.
    let at = usize::try_from(index.rem_euclid(count)).unwrap_or_default();
    Ok(list[at].clone().with_marks(args[0].marks()))
}

fn flatten(args: &[Value]) -> Outcome {
    if args[0].as_items().is_none() {
        return refuse_arg(0, "can only flatten lists, sets and tuples");
    }
    let mut out = Vec::new();
    let mut marks = Marks::NONE;
    let known = flatten_into(&args[0], &mut out, &mut marks);
    Ok(if known { Value::tuple(out) } else { Value::unknown(Type::Any) }.with_marks(marks))
}

/// Whether all that may be a sequence is known. The marks of sequences are gathered; their elements keep their own.
fn flatten_into(value: &Value, out: &mut Vec<Value>, marks: &mut Marks) -> bool {
    *marks = marks.union(value.marks());
    for item in value.as_items().unwrap_or_default() {
        match item.kind() {
            Kind::List(..) | Kind::Set(..) | Kind::Tuple(_) => {
                if !flatten_into(item, out, marks) {
                    return false;
                }
            }
            Kind::Unknown(u) if matches!(u.ty, Type::Any | Type::List(_) | Type::Set(_) | Type::Tuple(_)) => {
                return false;
            }
            _ => out.push(item.clone()),
        }
    }
    true
}

/// The type of keys that both lists of them can be of.
fn common_keys(args: &[Value]) -> Result<Type, Refused> {
    match unify([args[1].ty(), args[2].ty()]) {
        Some(Type::List(element)) => Ok((*element).clone()),
        Some(_) => Ok(Type::Any),
        None => refuse("keys and searchset must be of the same type"),
    }
}

fn check_keys(args: &[Value]) -> Result<(), Refused> {
    let lengths = args[0].as_items().zip(args[1].as_items());
    if lengths.is_some_and(|(values, keys)| values.len() != keys.len()) {
        return refuse("length of keys and values should be equal");
    }
    common_keys(args).map(|_| ())
}

fn matchkeys(args: &[Value]) -> Outcome {
    check_keys(args)?;
    let (values, keys, wanted) = (items(args, 0), items(args, 1), items(args, 2));
    let element = common_keys(args)?;
    let key = |k: &Value| convert(k, &element).unwrap_or_else(|_| k.clone());
    let wanted: Vec<Value> = wanted.iter().map(key).collect();
    let kept = values
        .iter()
        .zip(keys)
        .filter(|(_, k)| wanted.iter().any(|w| equal(w, &key(k)) == Some(true)))
        .map(|(v, _)| v.clone());
    Ok(like(&args[0], kept))
}

fn range(args: &[Value]) -> Outcome {
    let one = Number::from(1i64);
    let zero = Number::from(0i64);
    let (start, limit) = match args.len() {
        1 => (zero.clone(), num(args, 0)),
        2 | 3 => (num(args, 0), num(args, 1)),
        _ => return refuse("must have one, two, or three arguments"),
    };
    let down = limit < start;
    let step = match args.len() {
        3 => num(args, 2),
        _ if down => one.neg(),
        _ => one,
    };
    if step.is_zero() {
        return refuse_arg(2, "step must not be zero");
    }
    if down && !step.is_negative() {
        return refuse_arg(2, "step must be less than zero when start is greater than limit");
    }
    if !down && step.is_negative() {
        return refuse_arg(2, "step must be greater than zero when start is less than limit");
    }
    let mut out = Vec::new();
    let mut at = start;
    while if down { at > limit } else { at < limit } {
        if out.len() >= 1024 {
            return refuse(
                "more than 1024 values were generated; either decrease the difference between start and end or use a smaller step",
            );
        }
        let next = at.add(&step);
        out.push(Value::from(at));
        at = next;
    }
    Ok(Value::list(Type::Number, out))
}

fn reverse_type(args: &[Value]) -> Type {
    match own_type(args) {
        Type::Set(element) => Type::List(element),
        Type::Tuple(types) => Type::tuple(types.iter().rev().cloned().collect::<Vec<_>>()),
        other => other,
    }
}

fn reverse(args: &[Value]) -> Outcome {
    let Some(list) = args[0].as_items() else {
        return refuse_arg(
            0,
            "can only reverse list or tuple values, not ".to_owned() + &args[0].ty().friendly(),
        );
    };
    Ok(like(&args[0], list.iter().rev().cloned()).with_marks(args[0].marks()))
}

fn slice(args: &[Value]) -> Outcome {
    let Some((start, end)) = bounds(args)? else { return Ok(Value::unknown(own_type(args))) };
    Ok(like(&args[0], items(args, 0)[start..end].iter().cloned()).with_marks(args[0].marks()))
}

/// Where a slice starts and ends, or what of it is wrong, as far as it is known.
fn bounds(args: &[Value]) -> Result<Option<(usize, usize)>, Refused> {
    if matches!(args[0].ty(), Type::Set(_)) {
        return refuse_arg(
            0,
            "cannot slice a set, because its elements do not have indices; explicitly convert to a list if the ordering of the result is not important",
        );
    }
    one_of(args, 0, "a list or tuple", |ty| matches!(ty, Type::List(_) | Type::Tuple(_) | Type::Any))
        .or_else(|_| refuse_arg(0, "must be a list or tuple value"))?;
    let known = |i: usize| if args[i].is_unknown() { Ok(None) } else { integer(args, i).map(Some) };
    let (start, end) = (known(1)?, known(2)?);
    let count = args[0].as_items().and_then(|items| i64::try_from(items.len()).ok());
    let over = |at: Option<i64>| at.zip(count).is_some_and(|(at, count)| at > count);
    if start.is_some_and(|start| start < 0) {
        return refuse_arg(1, "start index must not be less than zero");
    }
    if over(start) {
        return refuse_arg(1, "start index must not be greater than the length of the list");
    }
    if over(end) {
        return refuse_arg(2, "end index must not be greater than the length of the list");
    }
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return refuse_arg(1, "start index must not be greater than end index");
    }
    let at = |n: Option<i64>| n.and_then(|n| usize::try_from(n).ok());
    Ok(at(start).zip(at(end)).filter(|_| count.is_some()))
}
