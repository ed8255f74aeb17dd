//! What happens to one object: what the configuration says against what exists, attribute by attribute, by the rules of its schema.

use grappe_lang::IgnoreChanges;
use grappe_provider::{AnyResource, Change as Refine};
use grappe_value::{Nesting, OnChange, Path, Presence, Schema, Step, Type, Value};

use crate::diff::{diff, get, put_back, same_marks};
use crate::withheld::{self, unchanged};

/// What happens to an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing.
    NoOp,
    /// The state must hold other values; the world is as it should be.
    Record,
    Create,
    Update,
    /// It is created anew because of these attributes.
    Replace(Vec<Path>),
}

/// What happens, and what will be then.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) verdict: Verdict,
    pub(crate) planned: Value,
}

/// Decides. `force` asks for a replacement whatever the attributes say.
pub(crate) fn decide(
    kind: &dyn AnyResource,
    prior: Option<&Value>,
    config: &Value,
    ignore: &IgnoreChanges,
    force: bool,
) -> Decision {
    let Some(prior) = prior else {
        return Decision { verdict: Verdict::Create, planned: creation(kind, config) };
    };
    let prior = &withheld::believe(kind.schema(), prior, config);
    let config = &ignored(config, prior, ignore);
    let (planned, asked) = refined(kind, Some(prior), config);
    let judged = judge(kind.schema(), prior, &planned);
    let mut replace = judged.replace;
    replace.extend(asked);
    if force || !replace.is_empty() {
        replace.sort();
        replace.dedup();
        return Decision { verdict: Verdict::Replace(replace), planned: creation(kind, config) };
    }
    if judged.update {
        return Decision { verdict: Verdict::Update, planned };
    }
    // What is only recorded waits until it is known: the next plan records it.
    let planned = judged.open.iter().fold(planned, |planned, name| match prior.get(name) {
        Some(before) => planned.with_attr(name, before.clone()),
        None => planned,
    });
    let record = judged.record || !same_marks(prior, &planned);
    Decision { verdict: if record { Verdict::Record } else { Verdict::NoOp }, planned }
}

/// An object that stays as it is, whatever the configuration says.
pub(crate) fn stays(value: &Value) -> Decision {
    Decision { verdict: Verdict::NoOp, planned: value.clone() }
}

/// What a creation will give, as far as it is known.
pub(crate) fn creation(kind: &dyn AnyResource, config: &Value) -> Value {
    refined(kind, None, config).0
}

/// The proposal, refined by the type; and the attributes for which it asks for a replacement.
pub(crate) fn refined(kind: &dyn AnyResource, prior: Option<&Value>, config: &Value) -> (Value, Vec<Path>) {
    let proposal = propose(kind.schema(), prior, config);
    let mut change = Refine::new(prior, config, proposal);
    kind.plan(&mut change);
    let (planned, replace) = change.finish();
    (kind.schema().mark(planned), replace)
}

/// The configuration with what `ignore_changes` names as it is already.
pub(crate) fn ignored(config: &Value, prior: &Value, ignore: &IgnoreChanges) -> Value {
    match ignore {
        IgnoreChanges::None => config.clone(),
        IgnoreChanges::All => prior.clone(),
        IgnoreChanges::Paths(paths) => {
            // A path that names nothing in either is left alone.
            let known = |p: &&Path| get(config, &p.0).is_some() || get(prior, &p.0).is_some();
            paths
                .iter()
                .filter(known)
                .fold(config.clone(), |config, path| put_back(&config, Some(prior), &path.0))
        }
    }
}

/// What will be, before the type has its say: what the configuration gives; what it leaves to the provider is unknown in a creation and as before
/// otherwise.
pub(crate) fn propose(schema: &Schema, prior: Option<&Value>, config: &Value) -> Value {
    let mut out = Vec::with_capacity(schema.attributes.len() + schema.blocks.len());
    for (name, attribute) in &schema.attributes {
        if attribute.write_only {
            out.push((name.clone(), Value::null(attribute.ty.clone())));
            continue;
        }
        let given = config.get(name).cloned().unwrap_or_else(|| Value::null(attribute.ty.clone()));
        let open = match attribute.presence {
            Presence::Computed => true,
            Presence::OptionalComputed => given.is_null(),
            Presence::Required | Presence::Optional => false,
        };
        let value = match prior {
            _ if !open => given,
            Some(prior) => prior.get(name).cloned().unwrap_or(given),
            None => Value::unknown(attribute.ty.clone()),
        };
        out.push((name.clone(), value));
    }
    for (name, block) in &schema.blocks {
        let given = config.get(name).cloned().unwrap_or_else(|| Value::null(block.ty()));
        let before = prior.and_then(|p| p.get(name)).filter(|v| !v.is_null() && !v.is_unknown());
        out.push((name.clone(), propose_block(block.nesting, &block.schema, before, given)));
    }
    let marks = config.marks();
    Value::object(out).with_marks(marks)
}

fn propose_block(nesting: Nesting, schema: &Schema, prior: Option<&Value>, given: Value) -> Value {
    if given.is_null() || given.is_unknown() || !has_computed(schema) {
        return given;
    }
    let marks = given.marks();
    let items = given.as_items().unwrap_or_default();
    let before = prior.and_then(Value::as_items).unwrap_or_default();
    let value = match nesting {
        Nesting::Single => propose(schema, prior, &given),
        Nesting::List => Value::list(
            schema.ty(),
            items.iter().enumerate().map(|(i, item)| propose(schema, before.get(i), item)),
        ),
        // An element of a set is recognised by what the configuration says of it.
        Nesting::Set => Value::set(
            schema.ty(),
            items.iter().map(|item| {
                let same = |b: &&Value| propose(schema, Some(b), item).same(b);
                propose(schema, before.iter().find(same), item)
            }),
        ),
    };
    value.with_marks(marks)
}

fn has_computed(schema: &Schema) -> bool {
    schema.attributes.values().any(grappe_value::Attribute::is_computed)
        || schema.blocks.values().any(|b| has_computed(&b.schema))
}

/// What the differences between two objects ask for.
#[derive(Default)]
struct Judged {
    update: bool,
    record: bool,
    replace: Vec<Path>,
    /// Attributes that are only recorded, and not known yet.
    open: Vec<std::sync::Arc<str>>,
}

fn judge(schema: &Schema, prior: &Value, planned: &Value) -> Judged {
    let mut judged = Judged::default();
    for (name, attribute) in &schema.attributes {
        let (Some(before), Some(after)) = (prior.get(name), planned.get(name)) else { continue };
        if unchanged(before, after) {
            continue;
        }
        match attribute.on_change {
            OnChange::Update => judged.update = true,
            OnChange::Replace => judged.replace.extend(paths(name, before, after)),
            OnChange::ReplaceWhen(member) if !identity(before, member).same(&identity(after, member)) => {
                judged.replace.push(Path(vec![Step::Attr(name.clone()), Step::Attr(member.into())]));
            }
            OnChange::ReplaceWhen(_) | OnChange::Record if after.is_wholly_known() => judged.record = true,
            OnChange::ReplaceWhen(_) | OnChange::Record => judged.open.push(name.clone()),
        }
    }
    for (name, block) in &schema.blocks {
        let (Some(before), Some(after)) = (prior.get(name), planned.get(name)) else { continue };
        if !unchanged(before, after) {
            let inner = judge_block(name, &block.schema, before, after);
            judged.update |= inner.update;
            judged.record |= inner.record;
            judged.replace.extend(inner.replace);
            judged.open.extend(inner.open);
        }
    }
    judged
}

/// The rules of a nested block hold for each of its attributes; a block more or less is an update, unless each of its attributes asks for a
/// replacement.
fn judge_block(name: &std::sync::Arc<str>, schema: &Schema, before: &Value, after: &Value) -> Judged {
    let mut judged = Judged::default();
    let pairs: Vec<(&Value, &Value)> = match (before.as_items(), after.as_items()) {
        (Some(b), Some(a)) if b.len() == a.len() => b.iter().zip(a).collect(),
        (None, None) if before.as_entries().is_some() && after.as_entries().is_some() => {
            vec![(before, after)]
        }
        _ => Vec::new(),
    };
    if pairs.is_empty() {
        let fixed = !schema.attributes.is_empty()
            && schema.attributes.values().all(|a| !a.is_settable() || a.on_change == OnChange::Replace);
        if fixed {
            judged.replace.push(Path::attr(name));
        } else {
            judged.update = true;
        }
    }
    for (b, a) in pairs {
        let inner = judge(schema, b, a);
        judged.update |= inner.update;
        judged.record |= inner.record;
        judged.replace.extend(
            inner.replace.iter().map(|p| {
                Path(std::iter::once(Step::Attr(name.clone())).chain(p.0.iter().cloned()).collect())
            }),
        );
        if !inner.open.is_empty() {
            judged.open.push(name.clone());
        }
    }
    judged
}

fn paths(name: &std::sync::Arc<str>, before: &Value, after: &Value) -> Vec<Path> {
    let prefix = |p: Path| Path(std::iter::once(Step::Attr(name.clone())).chain(p.0).collect());
    diff(before, after).into_iter().map(prefix).collect()
}

/// What tells one thing from another: the member of an object; of a collection, those of its elements.
fn identity(value: &Value, member: &str) -> Value {
    match (value.get(member), value.as_items(), value.as_entries()) {
        (Some(own), ..) => own.clone(),
        (_, Some(items), _) => Value::tuple(items.iter().map(|i| identity(i, member))),
        (.., Some(entries)) => Value::object(entries.iter().map(|(k, v)| (k.clone(), identity(v, member)))),
        _ => value.clone(),
    }
}

/// An object of a schema of which nothing is given.
pub(crate) fn nothing_given(schema: &Schema) -> Value {
    let attributes = schema
        .attributes
        .iter()
        .map(|(name, a)| (name.clone(), a.default.clone().unwrap_or_else(|| Value::null(a.ty.clone()))));
    let blocks = schema.blocks.iter().map(|(name, b)| {
        let value = match b.nesting {
            Nesting::Single => Value::null(b.ty()),
            Nesting::List => Value::list(b.schema.ty(), []),
            Nesting::Set => Value::set(b.schema.ty(), []),
        };
        (name.clone(), value)
    });
    Value::object(attributes.chain(blocks))
}

/// An object of which nothing is known but its type.
pub(crate) fn nothing_known(ty: &Type) -> Value {
    match ty {
        Type::Object(o) => {
            Value::object(o.attributes.iter().map(|(k, t)| (k.clone(), Value::unknown(t.clone()))))
        }
        other => Value::unknown(other.clone()),
    }
}
