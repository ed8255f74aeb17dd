//! Values: what expressions give, what a resource's attributes hold.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::{Number, Type};

/// Marks that travel with a value through every expression. A set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Marks(u8);

impl Marks {
    /// No mark.
    pub const NONE: Marks = Marks(0);
    /// Never shown, sealed wherever it is stored.
    pub const SENSITIVE: Marks = Marks(1);
    /// Sensitive, and not known because nobody stored it: see [`Value::withheld`].
    pub const WITHHELD: Marks = Marks(1 << 7);
    /// Good for this run only: never stored.
    pub const EPHEMERAL: Marks = Marks(2);

    /// The marks of both.
    #[must_use]
    pub const fn union(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// Whether all marks of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Marks) -> bool {
        self.0 & other.0 == other.0
    }

    /// These marks but for those of `other`.
    #[must_use]
    pub const fn without(self, other: Marks) -> Marks {
        Marks(self.0 & !other.0)
    }

    /// Whether none is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What is known of a value that is not known yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unknown {
    /// Its type ([`Type::Any`] where even that is open).
    pub ty: Type,
    /// It will not be null.
    pub not_null: bool,
    /// Among which values it will be.
    pub range: Range,
}

/// Where the numbers that a value can be end on one side, and whether it can be that one itself; `None` where they do not end.
pub type Bound = Option<(Number, bool)>;

/// What narrows down a value that is not known yet (if it is not null).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Range {
    /// Nothing.
    #[default]
    Open,
    /// How a text begins.
    Prefix(Arc<str>),
    /// The least and the greatest that a number can be.
    Between(Bound, Bound),
    /// How many elements a collection has: at least, and at most.
    Length(usize, Option<usize>),
}

impl Range {
    /// Between which numbers a value is, where it is (or will be) a number.
    #[must_use]
    pub fn of_number(value: &Value) -> (Bound, Bound) {
        match value.kind() {
            Kind::Number(n) => (Some((n.clone(), true)), Some((n.clone(), true))),
            Kind::Unknown(unknown) => match &unknown.range {
                Range::Between(least, most) => (least.clone(), most.clone()),
                _ => (None, None),
            },
            _ => (None, None),
        }
    }

    /// How many elements a collection has (or will have): at least, and at most. What is not known in a set may be what is in it already.
    #[must_use]
    pub fn of_length(value: &Value) -> (usize, Option<usize>) {
        match value.kind() {
            Kind::Set(_, items) if items.len() > 1 && !value.is_wholly_known() => (1, Some(items.len())),
            Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
                (items.len(), Some(items.len()))
            }
            Kind::Map(_, entries) | Kind::Object(entries) => (entries.len(), Some(entries.len())),
            Kind::Unknown(unknown) => match (&unknown.range, &unknown.ty) {
                (Range::Length(least, most), _) => (*least, *most),
                (_, Type::Tuple(items)) => (items.len(), Some(items.len())),
                (_, Type::Object(object)) => (object.attributes.len(), Some(object.attributes.len())),
                _ => (0, None),
            },
            _ => (0, None),
        }
    }

    /// Whether a value that is known can be one of these.
    #[must_use]
    pub fn admits(&self, value: &Value) -> bool {
        match (self, value.kind()) {
            (Range::Prefix(prefix), Kind::String(text)) => text.starts_with(&**prefix),
            (Range::Between(least, most), Kind::Number(n)) => {
                least.as_ref().is_none_or(|(least, itself)| n > least || *itself && n == least)
                    && most.as_ref().is_none_or(|(most, itself)| n < most || *itself && n == most)
            }
            (Range::Length(least, most), _) => {
                let (few, many) = Range::of_length(value);
                many.is_none_or(|many| many >= *least) && most.is_none_or(|most| few <= most)
            }
            _ => true,
        }
    }
}

/// What a value is, marks apart.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Absent, of a type.
    Null(Type),
    /// Known only after something was created.
    Unknown(Arc<Unknown>),
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(Arc<str>),
    /// A list: its element type (which an empty list has too) and its elements.
    List(Type, Arc<[Value]>),
    /// A set: sorted and distinct. Build with [`Value::set`].
    Set(Type, Arc<[Value]>),
    /// A map with its element type.
    Map(Type, Arc<BTreeMap<Arc<str>, Value>>),
    /// A tuple.
    Tuple(Arc<[Value]>),
    /// An object.
    Object(Arc<BTreeMap<Arc<str>, Value>>),
}

/// An immutable value with its marks. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    kind: Kind,
    marks: Marks,
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Value { kind, marks: Marks::NONE }
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Kind::Bool(value).into()
    }
}
/// In Unicode's normal form C, as all texts are in Terraform: what looks alike is the same.
fn composed(text: impl AsRef<str> + Into<Arc<str>>) -> Arc<str> {
    let plain = text.as_ref().is_ascii() || is_nfc_quick(text.as_ref().chars()) == IsNormalized::Yes;
    if plain { text.into() } else { text.as_ref().nfc().collect::<String>().into() }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Kind::String(composed(value)).into()
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Kind::String(composed(value)).into()
    }
}
impl From<Arc<str>> for Value {
    fn from(value: Arc<str>) -> Self {
        Kind::String(composed(value)).into()
    }
}
impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Kind::Number(value).into()
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Kind::Number(value.into()).into()
    }
}

impl Value {
    /// Null of no particular type.
    pub const NULL: Value = Value { kind: Kind::Null(Type::Any), marks: Marks::NONE };

    /// Null of a type.
    #[must_use]
    pub fn null(ty: Type) -> Self {
        Kind::Null(ty).into()
    }

    /// Unknown of a type.
    #[must_use]
    pub fn unknown(ty: Type) -> Self {
        Kind::Unknown(Arc::new(Unknown { ty, not_null: false, range: Range::Open })).into()
    }

    /// Unknown of a type, and certainly not null.
    #[must_use]
    pub fn unknown_not_null(ty: Type) -> Self {
        Kind::Unknown(Arc::new(Unknown { ty, not_null: true, range: Range::Open })).into()
    }

    /// The same value, narrowed down to these where it is unknown.
    #[must_use]
    pub fn within(self, range: Range) -> Self {
        let Value { kind, marks } = self;
        let kind = match kind {
            Kind::Unknown(unknown) => {
                Kind::Unknown(Arc::new(Unknown { range, ty: unknown.ty.clone(), not_null: unknown.not_null }))
            }
            kind => kind,
        };
        Value { kind, marks }
    }

    /// How a text begins, where that is known. Of what is still open the last letter does not count: what follows may combine with it.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match &self.kind {
            Kind::String(text) => text,
            Kind::Unknown(unknown) => match &unknown.range {
                Range::Prefix(prefix) => prefix,
                _ => "",
            },
            _ => "",
        }
    }

    /// A list of one element type.
    pub fn list(element: Type, items: impl IntoIterator<Item = Value>) -> Self {
        Kind::List(element, items.into_iter().collect()).into()
    }

    /// A set: sorts (what is not known, then null, stands last), drops duplicates, and gathers the elements' marks on the set (a set can't hide which element is marked).
    pub fn set(element: Type, items: impl IntoIterator<Item = Value>) -> Self {
        let mut marks = Marks::NONE;
        let mut items: Vec<Value> = items
            .into_iter()
            .map(|v| {
                let (v, m) = v.unmark_deep();
                marks = marks.union(m);
                v
            })
            .collect();
        if element.is_primitive() || items.iter().all(|i| i.children().next().is_none()) {
            items.sort_by(|a, b| (a.is_null(), a.is_unknown(), a).cmp(&(b.is_null(), b.is_unknown(), b)));
        } else {
            items.sort_by_cached_key(|item| (item.is_null(), item.is_unknown(), item.set_key()));
        }
        // What is not known may turn out to be different things.
        items.dedup_by(|a, b| a == b && a.is_wholly_known());
        Value { kind: Kind::Set(element, items.into()), marks }
    }

    /// What elements of a set that are not primitive are ordered by: the text that cty orders them by, so that they stand in Terraform's order.
    fn set_key(&self) -> String {
        let all = |open: char, items: &mut dyn Iterator<Item = String>, close: char| {
            let mut out = String::from(open);
            for item in items {
                out.push_str(&item);
                out.push(';');
            }
            out.push(close);
            out
        };
        match &self.kind {
            Kind::Null(_) => "~".into(),
            Kind::Unknown(_) => "?".into(),
            Kind::Bool(b) => if *b { "T" } else { "F" }.into(),
            Kind::Number(n) => ten_digits(n.to_f64()),
            Kind::String(s) => format!("{s:?}"),
            Kind::List(_, items) | Kind::Set(_, items) => {
                all('[', &mut items.iter().map(Value::set_key), ']')
            }
            Kind::Tuple(items) => all('<', &mut items.iter().map(Value::set_key), '>'),
            Kind::Object(entries) => all('<', &mut entries.values().map(Value::set_key), '>'),
            Kind::Map(_, entries) => {
                all('{', &mut entries.iter().map(|(k, v)| format!("{k:?}:{}", v.set_key())), '}')
            }
        }
    }

    /// A map of one element type.
    pub fn map<K: Into<Arc<str>>>(element: Type, items: impl IntoIterator<Item = (K, Value)>) -> Self {
        Kind::Map(element, Arc::new(items.into_iter().map(|(k, v)| (k.into(), v)).collect())).into()
    }

    /// A tuple.
    pub fn tuple(items: impl IntoIterator<Item = Value>) -> Self {
        Kind::Tuple(items.into_iter().collect()).into()
    }

    /// An object.
    pub fn object<K: Into<Arc<str>>>(items: impl IntoIterator<Item = (K, Value)>) -> Self {
        Kind::Object(Arc::new(items.into_iter().map(|(k, v)| (k.into(), v)).collect())).into()
    }

    /// What it is, marks apart.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Its own marks (not those of its parts).
    #[must_use]
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// The same value with these marks added.
    #[must_use]
    pub fn with_marks(mut self, marks: Marks) -> Self {
        self.marks = self.marks.union(marks);
        self
    }

    /// The same value marked sensitive.
    #[must_use]
    pub fn sensitive(self) -> Self {
        self.with_marks(Marks::SENSITIVE)
    }

    /// What a state holds in the place of a sensitive value where there is no key to seal it with: unknown until it is read again. What is made of it is
    /// marked so too.
    #[must_use]
    pub fn withheld(ty: Type) -> Self {
        Value::unknown(ty).with_marks(Marks::SENSITIVE.union(Marks::WITHHELD))
    }

    /// Whether it or a part of it is not known because it was withheld.
    #[must_use]
    pub fn is_withheld_deep(&self) -> bool {
        (self.is_unknown() && self.marks.contains(Marks::WITHHELD))
            || self.children().any(Value::is_withheld_deep)
    }

    /// The same value without these marks, on itself and inside.
    #[must_use]
    pub fn without_marks(&self, marks: Marks) -> Self {
        let own = Marks(self.marks.0 & !marks.0);
        let each = |items: &[Value]| items.iter().map(|v| v.without_marks(marks)).collect::<Arc<[Value]>>();
        let pairs = |items: &BTreeMap<Arc<str>, Value>| {
            let pairs = items.iter().map(|(k, v)| (k.clone(), v.without_marks(marks)));
            Arc::new(pairs.collect::<BTreeMap<_, _>>())
        };
        let kind = match &self.kind {
            Kind::List(ty, items) => Kind::List(ty.clone(), each(items)),
            Kind::Set(ty, items) => Kind::Set(ty.clone(), each(items)),
            Kind::Tuple(items) => Kind::Tuple(each(items)),
            Kind::Map(ty, items) => Kind::Map(ty.clone(), pairs(items)),
            Kind::Object(items) => Kind::Object(pairs(items)),
            leaf => leaf.clone(),
        };
        Value::from(kind).with_marks(own)
    }

    /// The same value without its own marks, and those marks.
    #[must_use]
    pub fn unmark(mut self) -> (Self, Marks) {
        let marks = std::mem::take(&mut self.marks);
        (self, marks)
    }

    /// The same value without any mark inside, and the union of all that were there.
    #[must_use]
    pub fn unmark_deep(self) -> (Self, Marks) {
        let all = self.marks_deep();
        if all.is_empty() { (self, all) } else { (self.without_marks(all), all) }
    }

    /// The union of its marks and those of all its parts.
    #[must_use]
    pub fn marks_deep(&self) -> Marks {
        self.children().fold(self.marks, |marks, child| marks.union(child.marks_deep()))
    }

    /// Whether it or a part of it is sensitive.
    #[must_use]
    pub fn is_sensitive_deep(&self) -> bool {
        self.marks_deep().contains(Marks::SENSITIVE)
    }

    /// Whether it or a part of it is good for this run only.
    #[must_use]
    pub fn is_ephemeral_deep(&self) -> bool {
        self.marks_deep().contains(Marks::EPHEMERAL)
    }

    /// The value with other things in the place of what is good for this run only, made of the types of those.
    #[must_use]
    pub fn without_ephemeral(&self, instead: fn(Type) -> Value) -> Value {
        if !self.is_ephemeral_deep() {
            return self.clone();
        }
        let marks = self.marks.without(Marks::EPHEMERAL);
        if self.marks.contains(Marks::EPHEMERAL) {
            return instead(self.ty()).with_marks(marks);
        }
        let each =
            |items: &[Value]| items.iter().map(|v| v.without_ephemeral(instead)).collect::<Arc<[Value]>>();
        let pairs = |items: &BTreeMap<Arc<str>, Value>| {
            Arc::new(
                items
                    .iter()
                    .map(|(k, v)| (k.clone(), v.without_ephemeral(instead)))
                    .collect::<BTreeMap<_, _>>(),
            )
        };
        let kind = match &self.kind {
            Kind::List(ty, items) => Kind::List(ty.clone(), each(items)),
            Kind::Tuple(items) => Kind::Tuple(each(items)),
            Kind::Map(ty, items) => Kind::Map(ty.clone(), pairs(items)),
            Kind::Object(items) => Kind::Object(pairs(items)),
            // A set has its elements' marks itself.
            leaf => leaf.clone(),
        };
        Value { kind, marks }
    }

    /// Its direct parts.
    pub fn children(&self) -> impl Iterator<Item = &Value> {
        let (items, pairs) = match &self.kind {
            Kind::List(_, i) | Kind::Set(_, i) | Kind::Tuple(i) => (Some(i.iter()), None),
            Kind::Map(_, m) | Kind::Object(m) => (None, Some(m.values())),
            _ => (None, None),
        };
        items.into_iter().flatten().chain(pairs.into_iter().flatten())
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null(_))
    }

    /// Whether it is itself unknown (its parts may be though it is not: [`Value::is_wholly_known`]).
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.kind, Kind::Unknown(_))
    }

    /// Whether neither it nor a part of it is unknown.
    #[must_use]
    pub fn is_wholly_known(&self) -> bool {
        !self.is_unknown() && self.children().all(Value::is_wholly_known)
    }

    /// Its type, as far as it is known.
    #[must_use]
    pub fn ty(&self) -> Type {
        match &self.kind {
            Kind::Null(ty) => ty.clone(),
            Kind::Unknown(unknown) => unknown.ty.clone(),
            Kind::Bool(_) => Type::Bool,
            Kind::Number(_) => Type::Number,
            Kind::String(_) => Type::String,
            Kind::List(e, _) => Type::list(e.clone()),
            Kind::Set(e, _) => Type::set(e.clone()),
            Kind::Map(e, _) => Type::map(e.clone()),
            Kind::Tuple(items) => Type::tuple(items.iter().map(Value::ty).collect::<Vec<_>>()),
            Kind::Object(items) => Type::object(items.iter().map(|(k, v)| (k.clone(), v.ty()))),
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(s) => Some(s),
            _ => None,
        }
    }

    /// A boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match &self.kind {
            Kind::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// A number.
    #[must_use]
    pub fn as_number(&self) -> Option<&Number> {
        match &self.kind {
            Kind::Number(n) => Some(n),
            _ => None,
        }
    }

    /// The elements of a list, set or tuple.
    #[must_use]
    pub fn as_items(&self) -> Option<&[Value]> {
        match &self.kind {
            Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a map or object.
    #[must_use]
    pub fn as_entries(&self) -> Option<&BTreeMap<Arc<str>, Value>> {
        match &self.kind {
            Kind::Map(_, entries) | Kind::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// An entry of a map or attribute of an object. It does not carry the marks of the whole: [`Value::get_marked`] does.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.as_entries().and_then(|entries| entries.get(name))
    }

    /// An entry of a map or attribute of an object, with the marks of the whole added.
    #[must_use]
    pub fn get_marked(&self, name: &str) -> Option<Value> {
        self.get(name).map(|v| v.clone().with_marks(self.marks))
    }

    /// The same object with one attribute replaced or added; other values are returned as they are.
    #[must_use]
    pub fn with_attr(self, name: &str, value: Value) -> Value {
        match self.kind {
            Kind::Object(mut entries) => {
                Arc::make_mut(&mut entries).insert(name.into(), value);
                Value { kind: Kind::Object(entries), marks: self.marks }
            }
            kind => Value { kind, marks: self.marks },
        }
    }

    /// Whether both are the same, marks apart.
    #[must_use]
    pub fn same(&self, other: &Value) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::List(_, a), Kind::List(_, b))
            | (Kind::Set(_, a), Kind::Set(_, b))
            | (Kind::Tuple(a), Kind::Tuple(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.same(b))
            }
            (Kind::Map(_, a), Kind::Map(_, b)) | (Kind::Object(a), Kind::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|((ka, a), (kb, b))| ka == kb && a.same(b))
            }
            (Kind::Null(_), Kind::Null(_)) => true,
            (a, b) => a == b,
        }
    }

    /// Orders strings by code point and numbers by size; `None` for other pairs.
    #[must_use]
    pub fn compare(&self, other: &Value) -> Option<Ordering> {
        match (&self.kind, &other.kind) {
            (Kind::Number(a), Kind::Number(b)) => Some(a.cmp(b)),
            (Kind::String(a), Kind::String(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// Never shows what is sensitive.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.marks.contains(Marks::SENSITIVE) {
            return f.write_str("(sensitive value)");
        }
        if self.marks.contains(Marks::EPHEMERAL) {
            return f.write_str("(ephemeral value)");
        }
        match &self.kind {
            Kind::Null(_) => f.write_str("null"),
            Kind::Unknown(_) => f.write_str("(known after apply)"),
            Kind::Bool(b) => write!(f, "{b}"),
            Kind::Number(n) => write!(f, "{n}"),
            Kind::String(s) => write!(f, "{s:?}"),
            Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
                f.debug_list().entries(items.iter()).finish()
            }
            Kind::Map(_, entries) | Kind::Object(entries) => f.debug_map().entries(entries.iter()).finish(),
        }
    }
}

/// A number with ten digits at most, as Go's `%.10g` writes it.
fn ten_digits(number: f64) -> String {
    let scientific = format!("{number:.9e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| -> String {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text.into() }
    };
    if (-4..10).contains(&exponent) {
        let places = usize::try_from(9 - exponent).unwrap_or(0);
        return trimmed(&format!("{number:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_sorted_distinct_and_gathers_marks() {
        let set = Value::set(Type::String, ["b".into(), "a".into(), Value::from("b").sensitive()]);
        assert_eq!(set.as_items().unwrap(), &["a".into(), "b".into()]);
        assert!(set.marks().contains(Marks::SENSITIVE));
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let value =
            Value::object([("user", Value::from("root")), ("password", Value::from("hunter2").sensitive())]);
        let shown = format!("{value:?}");
        assert!(shown.contains("root") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn marks_and_unknowns_are_found_inside() {
        let value =
            Value::tuple([Value::tuple([Value::unknown(Type::String), Value::from("x").sensitive()])]);
        assert!(!value.is_wholly_known() && !value.is_unknown());
        let (bare, marks) = value.unmark_deep();
        assert!(marks.contains(Marks::SENSITIVE) && !bare.is_sensitive_deep());
    }
}
