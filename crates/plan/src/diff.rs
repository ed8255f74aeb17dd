//! What differs between two values, and what becomes of a value when a part of it is put back.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_value::{Kind, Path, Step, Value};

type Entries = BTreeMap<Arc<str>, Value>;

/// The paths at which two values differ, as deep as they can be told apart. An unknown differs from all that is known. Marks do not count.
pub(crate) fn diff(a: &Value, b: &Value) -> Vec<Path> {
    let mut out = Vec::new();
    collect(a, b, &Path::default(), &mut out);
    out
}

fn collect(a: &Value, b: &Value, at: &Path, out: &mut Vec<Path>) {
    if a.same(b) {
        return;
    }
    match (a.kind(), b.kind()) {
        (Kind::Object(x), Kind::Object(y)) => entries(x, y, Step::Attr, at, out),
        (Kind::Map(_, x), Kind::Map(_, y)) => entries(x, y, Step::Key, at, out),
        (Kind::List(_, x), Kind::List(_, y)) | (Kind::Tuple(x), Kind::Tuple(y)) => {
            for i in 0..x.len().max(y.len()) {
                let path = at.then(Step::Index(i));
                match (x.get(i), y.get(i)) {
                    (Some(x), Some(y)) => collect(x, y, &path, out),
                    _ => out.push(path),
                }
            }
        }
        _ => out.push(at.clone()),
    }
}

fn entries(x: &Entries, y: &Entries, step: fn(Arc<str>) -> Step, at: &Path, out: &mut Vec<Path>) {
    for (key, value) in x {
        let path = at.then(step(key.clone()));
        match y.get(key) {
            Some(other) => collect(value, other, &path, out),
            None => out.push(path),
        }
    }
    out.extend(y.keys().filter(|key| !x.contains_key(*key)).map(|key| at.then(step(key.clone()))));
}

/// The part of a value at a path; `None` where there is none.
pub(crate) fn get<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |at, step| match step {
        Step::Attr(name) | Step::Key(name) => at.get(name),
        Step::Index(i) => at.as_items()?.get(*i),
    })
}

/// `value` with its part at the path as it is in `from`: taken out where `from` has none and the part is an entry of a map.
pub(crate) fn put_back(value: &Value, from: Option<&Value>, path: &[Step]) -> Value {
    let marks = value.marks();
    let Some((step, rest)) = path.split_first() else {
        return from.cloned().unwrap_or_else(|| Value::null(value.ty()));
    };
    let inner = from.and_then(|f| get(f, std::slice::from_ref(step)));
    let changed: Value = match (value.kind(), step) {
        (Kind::Object(map), Step::Attr(name) | Step::Key(name)) => {
            let Some(part) = map.get(name) else { return value.clone() };
            Kind::Object(Arc::new(with(map, name, Some(put_back(part, inner, rest))))).into()
        }
        (Kind::Map(ty, map), Step::Attr(name) | Step::Key(name)) => {
            let part = match (map.get(name), inner) {
                (_, None) if rest.is_empty() => None,
                (Some(part), inner) => Some(put_back(part, inner, rest)),
                (None, Some(inner)) if rest.is_empty() => Some(inner.clone()),
                (None, _) => return value.clone(),
            };
            Kind::Map(ty.clone(), Arc::new(with(map, name, part))).into()
        }
        (Kind::List(ty, items), Step::Index(i)) if *i < items.len() => {
            let put = |(at, item): (usize, &Value)| {
                if at == *i { put_back(item, inner, rest) } else { item.clone() }
            };
            Value::list(ty.clone(), items.iter().enumerate().map(put))
        }
        // What stands for the whole map was null: it is the prior's entry alone.
        (Kind::Null(ty @ grappe_value::Type::Map(element)), Step::Attr(name) | Step::Key(name)) => {
            match inner {
                Some(inner) if rest.is_empty() => {
                    Value::map((**element).clone(), [(name.clone(), inner.clone())])
                }
                _ => Value::null(ty.clone()),
            }
        }
        _ => return value.clone(),
    };
    changed.with_marks(marks)
}

fn with(map: &Entries, name: &Arc<str>, part: Option<Value>) -> Entries {
    let mut map = map.clone();
    match part {
        Some(part) => map.insert(name.clone(), part),
        None => map.remove(name),
    };
    map
}

/// Whether the same parts of two values that are the same carry marks.
pub(crate) fn same_marks(a: &Value, b: &Value) -> bool {
    a.marks() == b.marks() && a.children().zip(b.children()).all(|(a, b)| same_marks(a, b))
}

#[cfg(test)]
mod tests {
    use grappe_value::Type;

    use super::*;

    fn labels(items: &[(&str, &str)]) -> Value {
        let map = Value::map(Type::String, items.iter().map(|(k, v)| (*k, (*v).into())));
        Value::object([("labels", map), ("name", "a".into())])
    }

    fn path(steps: &[&str]) -> Path {
        let mut path = Path::attr(steps[0]);
        path.0.extend(steps[1..].iter().map(|s| Step::Key((*s).into())));
        path
    }

    #[test]
    fn a_changed_label_is_one_difference() {
        let (a, b) = (labels(&[("x", "1"), ("y", "2")]), labels(&[("x", "1"), ("y", "3")]));
        assert_eq!(diff(&a, &b), [path(&["labels", "y"])]);
        assert_eq!(diff(&labels(&[("x", "1")]), &labels(&[("z", "1")])).len(), 2);
        assert_eq!(diff(&a, &a), []);
        let (one, two) =
            (Value::tuple([1i64.into()]), Value::tuple([1i64.into(), Value::unknown(Type::Number)]));
        assert_eq!(diff(&one, &two), [Path(vec![Step::Index(1)])]);
    }

    #[test]
    fn parts_are_put_back() {
        let (now, prior) = (labels(&[("x", "1"), ("y", "2")]), labels(&[("y", "9"), ("z", "5")]));
        let back = |p: &[&str]| put_back(&now, Some(&prior), &path(p).0);
        assert_eq!(back(&["labels", "y"]), labels(&[("x", "1"), ("y", "9")]));
        assert_eq!(back(&["labels", "x"]), labels(&[("y", "2")]), "the prior has no x");
        assert_eq!(back(&["labels", "z"]), labels(&[("x", "1"), ("y", "2"), ("z", "5")]));
        assert_eq!(back(&["labels"]), prior);
        assert_eq!(back(&["nothing"]), now);
    }
}
