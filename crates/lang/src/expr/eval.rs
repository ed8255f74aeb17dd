//! Evaluation: a tree and a scope give a value, or all that is wrong.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_value::addr::InstanceKey;
use grappe_value::{Kind, Marks, Type, Value, convert};

use super::refine::beginning;
use super::sketch::Sketch;
use super::traverse;
use super::{For, Node, NodeKind, Ref, Step};
use crate::{Scope, Subject, functions};

pub(crate) type Outcome = Result<Value, Diagnostics>;

/// One evaluation: a scope, and what `for` and `dynamic` have bound, innermost last.
pub(crate) struct Eval<'s> {
    pub(crate) scope: &'s dyn Scope,
    bound: Vec<(Arc<str>, Value)>,
    /// What `for` expressions made so far.
    made: usize,
    /// Set while only a type is wanted.
    pub(crate) sketch: Option<Sketch>,
}

/// How many elements a value has in all, and 64 bytes of text for one each.
fn weight(value: &Value) -> usize {
    value.children().fold(1 + value.as_str().map_or(0, str::len) / 64, |sum, child| sum + weight(child))
}

/// Whether what a node gives is made by a call, or has such a thing in it.
fn calls(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Call(_) => true,
        NodeKind::Parens(inner) | NodeKind::Wrap(inner) => calls(inner),
        NodeKind::Tuple(items) => items.iter().any(calls),
        NodeKind::Object(items) => items.iter().any(|(_, value)| calls(value)),
        NodeKind::Conditional(parts) => calls(&parts[1]) || calls(&parts[2]),
        _ => false,
    }
}

/// What `for` expressions may make while one expression is evaluated: elements, and 64 bytes of text each. More fits into no memory, or is no plan.
const MOST: usize = 2_000_000;

impl<'s> Eval<'s> {
    pub(crate) fn new(scope: &'s dyn Scope) -> Self {
        Eval { scope, bound: Vec::new(), made: 0, sketch: None }
    }

    /// Runs with one name more.
    pub(crate) fn with<T>(&mut self, name: &Arc<str>, value: Value, f: impl FnOnce(&mut Self) -> T) -> T {
        self.bound.push((name.clone(), value));
        let result = f(self);
        self.bound.pop();
        result
    }

    /// Binds a name for good.
    pub(crate) fn bind(&mut self, name: Arc<str>, value: Value) {
        self.bound.push((name, value));
    }

    /// The value of a node.
    pub(crate) fn node(&mut self, node: &Node) -> Outcome {
        if self.sketch.is_some() { self.sketched(node) } else { self.plainly(node) }
    }

    pub(super) fn plainly(&mut self, node: &Node) -> Outcome {
        match &node.kind {
            NodeKind::Literal(value) => Ok(value.clone()),
            NodeKind::Wrap(inner) | NodeKind::Parens(inner) => self.node(inner),
            NodeKind::Template(parts) => self.template(parts),
            NodeKind::Tuple(items) => self.nodes(items).map(Value::tuple),
            NodeKind::Object(items) => self.object(items),
            NodeKind::Unary(op, inner) => self.unary(*op, inner),
            NodeKind::Binary(first, rest) => self.binary(first, rest),
            NodeKind::Conditional(parts) => self.conditional(parts, node.span),
            NodeKind::For(each) => self.for_each(each),
            NodeKind::Call(call) => functions::call(self, call, node.span),
            NodeKind::Traverse(base, steps) => {
                let value = self.node(base)?;
                self.steps(value, steps)
            }
            NodeKind::Bound(name) => Ok(self.bound(name)),
            NodeKind::Ref(reference) => self.reference(reference),
            // Resolving reported it already.
            NodeKind::Name(_) => Ok(Value::unknown(Type::Any)),
        }
    }

    /// Several nodes, with the errors of all.
    pub(crate) fn nodes(&mut self, nodes: &[Node]) -> Result<Vec<Value>, Diagnostics> {
        let mut diags = Diagnostics::new();
        let mut values = Vec::with_capacity(nodes.len());
        for node in nodes {
            values.extend(diags.keep(self.node(node)));
        }
        diags.into_result(values).map(|(values, _)| values)
    }

    fn bound(&self, name: &str) -> Value {
        let found = self.bound.iter().rev().find(|(n, _)| &**n == name);
        // Resolving made sure that it is there.
        found.map_or(Value::unknown(Type::Any), |(_, value)| value.clone())
    }

    fn template(&mut self, parts: &[Node]) -> Outcome {
        let mut diags = Diagnostics::new();
        let mut text = String::new();
        let mut marks = Marks::NONE;
        let mut known = true;
        for part in parts {
            let Some(value) = diags.keep(self.node(part)) else { continue };
            marks = marks.union(value.marks());
            if value.is_null() {
                diags.push(
                    Diagnostic::error("Invalid template interpolation value")
                        .detail("The expression result is null. Cannot include a null value in a string template.")
                        .span(part.span),
                );
                continue;
            }
            match convert(&value, &Type::String) {
                Err(error) => diags.push(
                    Diagnostic::error("Invalid template interpolation value")
                        .detail(format!(
                            "Cannot include the given value in a string template: {}.",
                            error.message
                        ))
                        .span(part.span),
                ),
                Ok(value) => match value.as_str() {
                    Some(piece) if known => text.push_str(piece),
                    Some(_) => {}
                    None => known = false,
                },
            }
        }
        let value = if known { Value::from(text) } else { beginning(&text) };
        diags.into_result(value.with_marks(marks)).map(|(value, _)| value)
    }

    fn object(&mut self, items: &[(Node, Node)]) -> Outcome {
        let mut diags = Diagnostics::new();
        let mut entries = BTreeMap::new();
        let mut marks = Marks::NONE;
        let mut known = true;
        for (key_node, value_node) in items {
            let key = diags.keep(self.node(key_node));
            let value = diags.keep(self.node(value_node));
            let (Some(key), Some(value)) = (key, value) else { continue };
            let (key, key_marks) = key.unmark();
            marks = marks.union(key_marks);
            match object_key(&key, key_node) {
                Ok(Some(key)) => {
                    entries.insert(key, value);
                }
                Ok(None) => known = false,
                Err(diagnostic) => diags.push(*diagnostic),
            }
        }
        let value = if known { Kind::Object(Arc::new(entries)).into() } else { Value::unknown(Type::Any) };
        diags.into_result(value.with_marks(marks)).map(|(value, _)| value)
    }

    fn for_each(&mut self, each: &For) -> Outcome {
        let (collection, mut marks) = self.node(&each.collection)?.unmark();
        let fail = |detail: &str| {
            Err(Diagnostic::error("Iteration over non-iterable value")
                .detail(detail)
                .span(each.collection.span)
                .into())
        };
        let pairs: Vec<(Value, Value)> = match collection.kind() {
            Kind::Null(_) => {
                return Err(Diagnostic::error("Iteration over null value")
                    .detail("A null value cannot be used as the collection in a 'for' expression.")
                    .span(each.collection.span)
                    .into());
            }
            Kind::Unknown(unknown) => {
                let ty = if each.join { Type::String } else { Type::Any };
                return match &unknown.ty {
                    Type::Bool | Type::Number | Type::String => fail(&format!(
                        "A value of type {} cannot be used as the collection in a 'for' expression.",
                        unknown.ty.friendly()
                    )),
                    _ => Ok(Value::unknown_not_null(ty).with_marks(marks)),
                };
            }
            Kind::List(_, items) | Kind::Tuple(items) => items
                .iter()
                .enumerate()
                .map(|(i, v)| (grappe_value::Number::from(i).into(), v.clone()))
                .collect(),
            Kind::Set(_, items) => items.iter().map(|v| (v.clone(), v.clone())).collect(),
            Kind::Map(_, entries) | Kind::Object(entries) => {
                entries.iter().map(|(k, v)| (Value::from(k.clone()), v.clone())).collect()
            }
            _ => {
                return fail(&format!(
                    "A value of type {} cannot be used as the collection in a 'for' expression.",
                    collection.ty().friendly()
                ));
            }
        };
        if let (Some(condition), true) = (&each.condition, pairs.is_empty()) {
            // What is wrong with it whatever the elements are is wrong without any.
            let bound = self.bound.len();
            let names = each.key_name.iter().chain([&each.value_name]).cloned();
            self.bound.extend(names.map(|name| (name, Value::unknown(Type::Any))));
            let checked = self.included(condition);
            self.bound.truncate(bound);
            checked?;
        }
        let mut results = ForResults { known: true, ..ForResults::default() };
        let mut diags = Diagnostics::new();
        for (key, value) in pairs {
            let names = self.bound.len();
            if let Some(name) = &each.key_name {
                self.bound.push((name.clone(), key));
            }
            self.bound.push((each.value_name.clone(), value));
            let step = self.for_step(each, &mut results, &mut marks);
            self.bound.truncate(names);
            diags.keep(step);
            // One bad expression would say the same for each element.
            if diags.has_errors() {
                return Err(diags);
            }
        }
        Ok(results.finish(each).with_marks(marks))
    }

    /// Counts what was made.
    fn spend(&mut self, value: &Value, by: &Node) -> Result<(), Diagnostics> {
        let span = by.span;
        // What an inner `for` made was counted there; what a function made was not.
        self.made += if calls(by) { weight(value) } else { 1 + value.as_str().map_or(0, str::len) / 64 };
        if self.made <= MOST {
            return Ok(());
        }
        Err(Diagnostic::error("Too much to evaluate")
            .detail(format!("The 'for' expressions of one expression can make {MOST} elements (or as many times 64 bytes of text) at most."))
            .span(span)
            .into())
    }

    /// What the `if` of a `for` says, where that is known, and its marks.
    fn included(&mut self, condition: &Node) -> Result<(Option<bool>, Marks), Diagnostics> {
        let (value, marks) = self.node(condition)?.unmark();
        let bad =
            |detail: String| Diagnostic::error("Invalid 'for' condition").detail(detail).span(condition.span);
        if value.is_null() {
            return Err(bad("The value of the 'if' clause must not be null.".into()).into());
        }
        let value = convert(&value, &Type::Bool)
            .map_err(|e| bad(format!("The 'if' clause value is invalid: {}.", e.message)))?;
        Ok((value.as_bool(), marks))
    }

    fn for_step(
        &mut self,
        each: &For,
        results: &mut ForResults,
        marks: &mut Marks,
    ) -> Result<(), Diagnostics> {
        if let Some(condition) = &each.condition {
            let (value, condition_marks) = self.included(condition)?;
            *marks = marks.union(condition_marks);
            match value {
                None => {
                    results.known = false;
                    return Ok(());
                }
                Some(false) => return Ok(()),
                Some(true) => {}
            }
        }
        let Some(key_node) = &each.key else {
            let value = self.node(&each.value)?;
            self.spend(&value, &each.value)?;
            results.items.push(value);
            return Ok(());
        };
        let (key, key_marks) = self.node(key_node)?.unmark();
        *marks = marks.union(key_marks);
        let Some(key) = object_key(&key, key_node).map_err(|d| Diagnostics::from(*d))? else {
            results.known = false;
            return Ok(());
        };
        let value = self.node(&each.value)?;
        self.spend(&value, &each.value)?;
        if each.group {
            results.groups.entry(key).or_default().push(value);
            return Ok(());
        }
        match results.entries.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(value);
                Ok(())
            }
            Entry::Occupied(_) if self.sketch.is_some() => {
                self.fallen();
                Ok(())
            }
            Entry::Occupied(entry) => Err(Diagnostic::error("Duplicate object key")
                .detail(format!(
                    "Two different items produced the key \"{}\" in this 'for' expression. If duplicates are expected, use the ellipsis (...) after the value expression to enable grouping by key.",
                    entry.key()
                ))
                .span(key_node.span)
                .into()),
        }
    }

    /// A reference with all its steps. Where the first of them chooses an instance whose key is known, only that instance is asked for.
    fn reference(&mut self, reference: &Ref) -> Outcome {
        if let Some(value) = self.sketch_of(reference) {
            return Ok(value);
        }
        let at = |d: Diagnostic| Diagnostics::from(d.or_span(reference.span));
        let scope = self.scope;
        let (value, taken) = match &reference.subject {
            Subject::Variable(name) => (scope.variable(name).map_err(at)?, 0),
            Subject::Local(name) => (scope.local(name).map_err(at)?, 0),
            Subject::Resource { mode, ty, name } => match self.instance_key(&reference.steps)? {
                Some((key, marks)) => {
                    let value = scope.resource(*mode, ty, name, Some(&key)).map_err(at)?;
                    (value.with_marks(marks), 1)
                }
                None => (scope.resource(*mode, ty, name, None).map_err(at)?, 0),
            },
            Subject::Module { call, .. } => {
                let chosen = self.instance_key(&reference.steps)?;
                let (key, marks) = match &chosen {
                    Some((key, marks)) => (Some(key), *marks),
                    None => (None, Marks::NONE),
                };
                let taken = usize::from(key.is_some());
                let (output, taken) = match reference.steps.get(taken) {
                    Some(Step::Attr(output, _)) => (Some(&**output), taken + 1),
                    _ => (None, taken),
                };
                (scope.module(call, key, output).map_err(at)?.with_marks(marks), taken)
            }
            Subject::SelfValue => match scope.self_value() {
                Some(value) => (value, 0),
                None => {
                    return Err(at(Diagnostic::error("Invalid \"self\" reference").detail(
                        "The \"self\" object is not available in this context. It can be used only in resource provisioner, connection, and postcondition blocks.",
                    )));
                }
            },
            Subject::Each | Subject::Count | Subject::Path | Subject::Terraform => {
                (self.fixed(reference).map_err(at)?, 1)
            }
        };
        self.steps(value, reference.steps.get(taken..).unwrap_or_default())
    }

    fn fixed(&self, reference: &Ref) -> Result<Value, Diagnostic> {
        let name = match reference.steps.first() {
            Some(Step::Attr(name, _)) => &**name,
            // Resolving made sure that it is there.
            _ => "",
        };
        let not_here = |what: &str, argument: &str| {
            Diagnostic::error(format!("Reference to \"{what}\" in context without {argument}")).detail(format!(
                "The \"{what}\" object can be used only in \"module\" or \"resource\" blocks, and only when the \"{argument}\" argument is set."
            ))
        };
        match &reference.subject {
            Subject::Each => {
                let (key, value) = self.scope.each().ok_or_else(|| not_here("each", "for_each"))?;
                Ok(if name == "key" { key.clone() } else { value.clone() })
            }
            Subject::Count => {
                let index = self.scope.count().ok_or_else(|| not_here("count", "count"))?;
                Ok(grappe_value::Number::from(index).into())
            }
            Subject::Path => {
                let paths = self.scope.path();
                Ok(Value::from(match name {
                    "module" => paths.module,
                    "root" => paths.root,
                    _ => paths.cwd,
                }))
            }
            _ if name == "applying" => Ok(Value::from(self.scope.applying()).with_marks(Marks::EPHEMERAL)),
            _ => Ok(Value::from(self.scope.workspace())),
        }
    }

    /// The instance that `[…]` right after a resource or call chooses, where its key is known.
    fn instance_key(&mut self, steps: &[Step]) -> Result<Option<(InstanceKey, Marks)>, Diagnostics> {
        let Some(Step::Index(node, span)) = steps.first() else { return Ok(None) };
        let (key, marks) = self.node(node)?.unmark();
        let invalid = |detail: &str| Diagnostic::error("Invalid index").detail(detail).span(*span).into();
        match key.kind() {
            Kind::Unknown(_) => Ok(None),
            Kind::Null(_) => Err(invalid("Can't use a null value as an indexing key.")),
            Kind::String(key) => Ok(Some((InstanceKey::Str(key.clone()), marks))),
            Kind::Number(n) => match n.as_i64().and_then(|i| u64::try_from(i).ok()) {
                Some(i) => Ok(Some((InstanceKey::Int(i), marks))),
                None => Err(invalid(
                    "The given key does not identify an element in this collection value: an index is a whole number, and not negative.",
                )),
            },
            _ => Err(invalid(
                "The given key does not identify an element in this collection value: a number or a string is required.",
            )),
        }
    }

    /// Takes steps from a value.
    fn steps(&mut self, mut value: Value, steps: &[Step]) -> Outcome {
        for step in steps {
            value = match step {
                Step::Attr(name, span) => traverse::get_attr(&value, name, *span)?,
                Step::Index(node, span) => {
                    let key = self.node(node)?;
                    traverse::get_index(&value, &key, *span)?
                }
                Step::Splat(each, span) => self.splat(value, each, *span)?,
            };
        }
        Ok(value)
    }

    fn splat(&mut self, value: Value, each: &[Step], span: grappe_diag::Span) -> Outcome {
        let (value, marks) = value.unmark();
        let single = [value.clone()];
        let (items, list) = match value.kind() {
            Kind::Unknown(unknown) => {
                // Each element must have what the steps ask for.
                match &unknown.ty {
                    Type::Any | Type::Tuple(_) => {}
                    Type::List(element) | Type::Set(element) => {
                        self.steps(Value::unknown((**element).clone()), each)?;
                    }
                    _ => {
                        let only = self.steps(value.clone(), each)?;
                        if unknown.not_null {
                            return Ok(Value::tuple([only]).with_marks(marks));
                        }
                    }
                }
                let ty = match &unknown.ty {
                    Type::List(_) | Type::Set(_) if each.is_empty() => unknown.ty.clone(),
                    _ => Type::Any,
                };
                return Ok(Value::unknown_not_null(ty).with_marks(marks));
            }
            Kind::Null(Type::List(_) | Type::Set(_) | Type::Tuple(_)) => {
                return Err(Diagnostic::error("Splat of null value")
                    .detail("Splat expressions (with the * symbol) cannot be applied to null sequences.")
                    .span(span)
                    .into());
            }
            Kind::Null(_) => return Ok(Value::tuple([]).with_marks(marks)),
            Kind::List(_, items) | Kind::Set(_, items) => (&**items, true),
            Kind::Tuple(items) => (&**items, false),
            _ => (&single[..], false),
        };
        let mut diags = Diagnostics::new();
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            match self.steps(item.clone(), each) {
                // Each for itself.
                Err(_) if self.sketch.is_some() => results.push(self.fallen()),
                made => results.extend(diags.keep(made)),
            }
            if diags.has_errors() {
                return Err(diags);
            }
        }
        if let Kind::List(element, _) | Kind::Set(element, _) = value.kind()
            && items.is_empty()
            && *element != Type::Any
        {
            // Nothing is in it, but what would be must have these attributes.
            let ty = self.steps(Value::unknown(element.clone()), each)?.ty();
            return Ok(Value::list(ty, []).with_marks(marks));
        }
        // Elements of a list are of one type; what steps find in them too, unless their type was open.
        let value = if list {
            match grappe_value::unify(results.iter().map(Value::ty).filter(|ty| *ty != Type::Any)) {
                Some(ty) => Value::list(ty, results),
                None => Value::tuple(results),
            }
        } else {
            Value::tuple(results)
        };
        Ok(value.with_marks(marks))
    }
}

/// What a `for` gathers.
#[derive(Default)]
struct ForResults {
    items: Vec<Value>,
    entries: BTreeMap<Arc<str>, Value>,
    groups: BTreeMap<Arc<str>, Vec<Value>>,
    known: bool,
}

impl ForResults {
    fn finish(self, each: &For) -> Value {
        if !self.known {
            let ty = if each.join { Type::String } else { Type::Any };
            return Value::unknown_not_null(ty);
        }
        if each.join {
            let mut text = String::new();
            let mut marks = Marks::NONE;
            let mut known = true;
            for item in self.items {
                marks = marks.union(item.marks());
                // The parts of `%{ for }` are templates: strings, known or not.
                match item.as_str() {
                    Some(piece) => text.push_str(piece),
                    None => known = false,
                }
            }
            let value = if known { Value::from(text) } else { Value::unknown_not_null(Type::String) };
            return value.with_marks(marks);
        }
        match (&each.key, each.group) {
            (None, _) => Value::tuple(self.items),
            (Some(_), false) => Kind::Object(Arc::new(self.entries)).into(),
            (Some(_), true) => Value::object(self.groups.into_iter().map(|(k, v)| (k, Value::tuple(v)))),
        }
    }
}

/// A key of an object: `None` where it is not known.
fn object_key(key: &Value, node: &Node) -> Result<Option<Arc<str>>, Box<Diagnostic>> {
    if key.is_null() {
        return Err(Box::new(
            Diagnostic::error("Null value as key").detail("Can't use a null value as a key.").span(node.span),
        ));
    }
    match convert(key, &Type::String) {
        Ok(value) => match value.kind() {
            Kind::String(text) => Ok(Some(text.clone())),
            _ => Ok(None),
        },
        Err(error) => Err(Box::new(
            Diagnostic::error("Incorrect key type")
                .detail(format!("Can't use this value as a key: {}.", error.message))
                .span(node.span),
        )),
    }
}
