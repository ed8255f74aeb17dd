//! `count` and `for_each`: which instances there are.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Span};
use grappe_lang::Expr;
use grappe_value::addr::InstanceKey;
use grappe_value::{Kind, Marks, Type, Value, convert};

use crate::statics::Block;
use crate::walk::{Driver, Frame, NodeId, OpenBlock, Repeated, Walk};

/// The keys of the instances of a resource or module.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Keys {
    /// Neither `count` nor `for_each`.
    One,
    /// `count`
    Count(u64),
    /// `for_each`: keys with their values, sorted by key.
    Each(Vec<(Arc<str>, Value)>),
    /// It can't be known (`validate`): one instance stands for all.
    Open(Repeated),
}

/// The key of an instance with its `each` and its `count.index`.
type Repetition = (InstanceKey, Option<(Value, Value)>, Option<u64>);

/// Makes keys of a value, or says why there can't be any.
type Check = fn(&Value) -> Result<Keys, String>;

impl Keys {
    /// Those of the instances that are there, in order: what they were made of is not known any more.
    pub(crate) fn remembered(keys: &[&InstanceKey]) -> Self {
        let next = |key: &&InstanceKey| match key {
            InstanceKey::Int(n) => Some(*n + 1),
            _ => None,
        };
        let named = |key: &&InstanceKey| match key {
            InstanceKey::Str(name) => Some((name.clone(), Value::unknown(Type::Any))),
            _ => None,
        };
        match keys.last() {
            Some(InstanceKey::Str(_)) => Keys::Each(keys.iter().filter_map(named).collect()),
            Some(InstanceKey::Int(_)) => Keys::Count(keys.iter().filter_map(next).max().unwrap_or(0)),
            _ => Keys::One,
        }
    }

    /// Each instance, in order of its key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Repetition> + '_ {
        (0..self.len()).map(|at| {
            let (each, count) = self.repetition(at);
            (self.key(at), each, count)
        })
    }

    /// How many instances there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Keys::One | Keys::Open(_) => 1,
            Keys::Count(n) => usize::try_from(*n).unwrap_or(usize::MAX),
            Keys::Each(entries) => entries.len(),
        }
    }

    /// `each` and `count.index` of the instance at a position.
    pub(crate) fn repetition(&self, at: usize) -> (Option<(Value, Value)>, Option<u64>) {
        match self {
            Keys::One | Keys::Open(Repeated::No) => (None, None),
            Keys::Count(_) => (None, Some(at as u64)),
            Keys::Open(Repeated::Count) => (None, Some(0)),
            Keys::Open(Repeated::ForEach) => {
                (Some((Value::unknown_not_null(Type::String), Value::unknown(Type::Any))), None)
            }
            Keys::Each(entries) => (entries.get(at).map(|(k, v)| (k.clone().into(), v.clone())), None),
        }
    }

    /// The key of the instance at a position.
    pub(crate) fn key(&self, at: usize) -> InstanceKey {
        match self {
            Keys::One | Keys::Open(_) => InstanceKey::None,
            Keys::Count(_) => InstanceKey::Int(at as u64),
            Keys::Each(entries) => {
                entries.get(at).map_or(InstanceKey::None, |(k, _)| InstanceKey::Str(k.clone()))
            }
        }
    }

    /// The position of the instance with a key.
    pub(crate) fn position(&self, key: &InstanceKey) -> Option<usize> {
        match (self, key) {
            (Keys::One, InstanceKey::None) => Some(0),
            (Keys::Count(n), InstanceKey::Int(i)) if i < n => usize::try_from(*i).ok(),
            (Keys::Each(entries), InstanceKey::Str(key)) => {
                entries.binary_search_by(|(k, _)| k.as_ref().cmp(key)).ok()
            }
            (Keys::Open(Repeated::No), InstanceKey::None)
            | (Keys::Open(Repeated::Count), InstanceKey::Int(_))
            | (Keys::Open(Repeated::ForEach), InstanceKey::Str(_)) => Some(0),
            _ => None,
        }
    }
}

impl Walk<'_> {
    /// The keys that the `count` or the `for_each` of a block give, and what they depend on. `None` where that can't be said; why not is kept.
    pub(crate) fn keys(
        &mut self,
        (count, for_each): (Option<&Expr>, Option<&Expr>),
        frame: &Frame,
        head: Span,
        block: Block,
        driver: &mut dyn Driver,
    ) -> (Option<Keys>, Vec<NodeId>) {
        let (expr, by, check): (&Expr, Repeated, Check) = match (count, for_each) {
            (Some(count), _) => (count, Repeated::Count, count_keys),
            (_, Some(for_each)) => (for_each, Repeated::ForEach, each_keys),
            _ => return (Some(Keys::One), Vec::new()),
        };
        let made = self.eval(frame, |scope| expr.eval(scope));
        self.found.extend(made.found);
        // Also where something is wrong: what is in the block is looked at as well.
        let stand_in = driver.one_for_all().then_some(Keys::Open(by));
        let Some(value) = made.value else { return (stand_in, made.deps) };
        match check(&value) {
            Ok(keys) => (stand_in.or(Some(keys)), made.deps),
            Err(_) if stand_in.is_some() && is_open(by, &value) => (stand_in, made.deps),
            Err(why) => {
                if is_open(by, &value) {
                    let open = OpenBlock { within: frame.module, block, by, deps: made.deps.clone() };
                    if driver.may_open(self, &open) {
                        self.open.push(open);
                        return (None, made.deps);
                    }
                }
                let name = if by == Repeated::Count { "count" } else { "for_each" };
                self.found.push(
                    Diagnostic::error(format!("Invalid {name} argument"))
                        .detail(why)
                        .span(expr.span())
                        .related(head, "in this block"),
                );
                (stand_in, made.deps)
            }
        }
    }
}

/// Whether nothing is wrong with a `count` or a `for_each` but that it is not known.
pub(crate) fn is_open(by: Repeated, value: &Value) -> bool {
    let any_unknown = |items: &[Value]| items.iter().any(Value::is_unknown);
    match by {
        _ if value.is_ephemeral_deep() => false,
        Repeated::No => false,
        Repeated::Count => convert(value, &Type::Number).is_ok_and(|number| number.is_unknown()),
        Repeated::ForEach if value.marks().contains(Marks::SENSITIVE) => false,
        Repeated::ForEach => match value.kind() {
            Kind::Unknown(u) => {
                matches!(u.ty, Type::Map(_) | Type::Object(_) | Type::Set(_) | Type::Any)
            }
            Kind::Set(ty, items) => matches!(ty, Type::String | Type::Any) && any_unknown(items),
            _ => false,
        },
    }
}

/// The instances that a `count` asks for. A sensitive one is fine: how many there are is seen anyway.
fn count_keys(value: &Value) -> Result<Keys, String> {
    let unsuitable = |why: &str| format!("The given \"count\" argument value is unsuitable: {why}.");
    if value.is_null() {
        return Err("The given \"count\" argument value is null. An integer is required.".into());
    }
    if value.is_ephemeral_deep() {
        return Err("The given \"count\" is derived from an ephemeral value, which is not kept between plan and apply. Use only \
                    non-ephemeral values to specify the number of resource instances."
            .into());
    }
    let number = convert(value, &Type::Number).map_err(|e| unsuitable(&e.message))?;
    if number.is_unknown() {
        return Err("The \"count\" value is not known, and nothing that is planned makes it known: it can't be said how many instances there \
                    are to be. What is different each time, such as uuid(), can't say that."
            .into());
    }
    let number = number.as_number().ok_or_else(|| unsuitable("a number is required"))?;
    if !number.is_integer() {
        return Err(unsuitable("a whole number is required"));
    }
    match number.as_usize() {
        Some(n) => Ok(Keys::Count(n as u64)),
        None => Err(unsuitable("must be greater than or equal to zero")),
    }
}

/// The instances that a `for_each` asks for.
pub(crate) fn each_keys(value: &Value) -> Result<Keys, String> {
    let unsuitable = |why: String| format!("The given \"for_each\" argument value is unsuitable: {why}.");
    if value.marks().contains(Marks::SENSITIVE) {
        return Err("Sensitive values, or values derived from sensitive values, cannot be used as for_each arguments. If used, \
                    the sensitive value could be exposed as a resource instance key."
            .into());
    }
    if value.marks().contains(Marks::EPHEMERAL) {
        return Err("The given \"for_each\" value is derived from an ephemeral value, which is not kept between plan and apply. Use \
                    only non-ephemeral values to specify a resource's instance keys."
            .into());
    }
    let unknown = |what: &str| {
        format!(
            "The \"for_each\" {what} that are not known, and nothing that is planned makes them known: it can't be said which instances \
             there are to be. What is different each time, such as uuid(), can't say that; in the values of a map it does no harm."
        )
    };
    let wrong = |ty: String| {
        unsuitable(format!(
            "the \"for_each\" argument must be a map, or set of strings, and you have provided a value of type {ty}"
        ))
    };
    match value.kind() {
        Kind::Null(_) => Err(unsuitable(
            "the given \"for_each\" argument value is null. A map, or set of strings is allowed".into(),
        )),
        Kind::Unknown(u) if matches!(u.ty, Type::Map(_) | Type::Object(_)) => Err(unknown("map has keys")),
        Kind::Unknown(u) => match &u.ty {
            Type::Set(_) | Type::Any => Err(unknown("set has values")),
            other => Err(wrong(other.friendly())),
        },
        Kind::Map(_, entries) | Kind::Object(entries) => {
            Ok(Keys::Each(entries.iter().map(|(k, v)| (k.clone(), v.clone())).collect()))
        }
        Kind::Set(ty, items) if *ty == Type::String || items.is_empty() => {
            if items.iter().any(Value::is_unknown) {
                return Err(unknown("set has values"));
            }
            let keys: Option<Vec<_>> = items.iter().map(|v| Some((v.as_str()?.into(), v.clone()))).collect();
            keys.map(Keys::Each)
                .ok_or_else(|| unsuitable("\"for_each\" sets must not contain null values".into()))
        }
        Kind::Set(ty, items) if *ty == Type::Any && items.iter().any(Value::is_unknown) => {
            Err(unknown("set has values"))
        }
        Kind::Set(ty, _) => Err(unsuitable(format!(
            "\"for_each\" supports maps and sets of strings, but you have provided a set containing type {}",
            ty.friendly()
        ))),
        _ => Err(wrong(value.ty().friendly())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole_numbers() {
        assert_eq!(count_keys(&3i64.into()), Ok(Keys::Count(3)));
        assert_eq!(count_keys(&Value::from("2").sensitive()), Ok(Keys::Count(2)));
        for (value, why) in [
            (Value::NULL, "is null. An integer is required"),
            (Value::from(-1i64), "must be greater than or equal to zero"),
            ("1.5".into(), "a whole number is required"),
            ("x".into(), "a number is required"),
            (Value::unknown(Type::Number), "is not known"),
        ] {
            let error = count_keys(&value).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn for_each_wants_a_map_or_a_set_of_strings() {
        let map = Value::object([("b", 1i64.into()), ("a", Value::unknown(Type::String))]);
        let Ok(Keys::Each(keys)) = each_keys(&map) else { panic!("a map is fine") };
        assert_eq!(keys.iter().map(|(k, _)| &**k).collect::<Vec<_>>(), ["a", "b"]);
        let set = Value::set(Type::String, ["y".into(), "x".into()]);
        let keys = each_keys(&set).unwrap();
        assert_eq!(keys.position(&InstanceKey::Str("y".into())), Some(1));
        assert_eq!(keys.position(&InstanceKey::Int(0)), None);
        for (value, why) in [
            (Value::NULL, "is null. A map, or set of strings is allowed"),
            (Value::tuple(["a".into()]), "you have provided a value of type tuple"),
            (Value::from("a"), "you have provided a value of type string"),
            (Value::set(Type::Number, [1i64.into()]), "a set containing type number"),
            (Value::set(Type::String, [Value::null(Type::String)]), "must not contain null values"),
            (Value::set(Type::String, [Value::unknown(Type::String)]), "set has values"),
            (Value::unknown(Type::map(Type::String)), "map has keys"),
            (set.clone().sensitive(), "Sensitive values"),
            (set.with_marks(Marks::EPHEMERAL), "derived from an ephemeral value"),
        ] {
            let error = each_keys(&value).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
