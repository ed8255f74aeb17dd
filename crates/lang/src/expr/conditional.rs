//! `condition ? a : b`: only the branch taken is evaluated, so that only what it needs is read.
//!
//! The result has the type that both branches fit, as in Terraform: `true ? 1 : "a"` is `"1"`. The type of the branch not taken is found without
//! reading resources (their schemas tell), modules or locals; where that can't be, the value stays as it is.

use grappe_diag::{Diagnostic, Span};
use grappe_value::{Marks, Type, Value, convert, unify};

use super::eval::Outcome;
use super::refine::{either, settled};
use super::{Binary, Eval, Node, NodeKind, Ref, Step, Unary, traverse};
use crate::{Subject, functions};

impl Eval<'_> {
    pub(super) fn conditional(&mut self, parts: &[Node; 3], span: Span) -> Outcome {
        let [condition, yes, no] = parts;
        let (test, marks) = self.node(condition)?.unmark();
        let bad =
            |summary: &str, detail: String| Diagnostic::error(summary).detail(detail).span(condition.span);
        if test.is_null() {
            return Err(bad(
                "Null condition",
                "The condition value is null. Conditions must either be true or false.".into(),
            )
            .into());
        }
        let test = convert(&test, &Type::Bool).map_err(|_| {
            bad("Incorrect condition type", "The condition expression must be of type bool.".into())
        })?;
        let Some(taken) = test.as_bool() else {
            // What is wrong in a branch is wrong only if that is taken.
            let mut branch = |node: &Node| self.node(node).unwrap_or_else(|_| Value::unknown(Type::Any));
            let (yes, no) = (branch(yes), branch(no));
            let marks = marks.union(yes.marks()).union(no.marks());
            let ty = common(&yes, &no.ty(), yes.is_null(), no.is_null(), true, span)?;
            let sure = |v: &Value| !v.is_null() && (!v.is_unknown() || not_null(v));
            let result = match ty {
                Some(ty) if yes.is_null() && no.is_null() => Value::null(ty),
                Some(ty) => {
                    let range = either(&yes, &no, &ty);
                    let open = if sure(&yes) && sure(&no) {
                        Value::unknown_not_null(ty)
                    } else {
                        Value::unknown(ty)
                    };
                    settled(open.within(range))
                }
                None => Value::unknown(Type::Any),
            };
            return Ok(result.with_marks(marks));
        };
        let (chosen, other) = if taken { (yes, no) } else { (no, yes) };
        let value = self.node(chosen)?;
        let Some((other_ty, other_null, other_marks)) = self.type_of(other) else {
            return Ok(value.with_marks(marks));
        };
        let marks = marks.union(other_marks);
        let ty = common(&value, &other_ty, value.is_null(), other_null, taken, span)?;
        let value = match ty {
            Some(ty) => convert(&value, &ty).unwrap_or(value),
            None => value,
        };
        Ok(value.with_marks(marks))
    }

    /// The type of a node that is not evaluated, whether it is a null, and its marks: `None` where it can't be told.
    fn type_of(&mut self, node: &Node) -> Option<(Type, bool, Marks)> {
        if let NodeKind::Ref(reference) = &node.kind
            && let (Subject::Variable(name), []) = (&reference.subject, &*reference.steps)
            && let Some(ty) = self.scope.variable_type(name).filter(|ty| !ty.has_any())
        {
            return Some((ty, false, Marks::NONE));
        }
        if let NodeKind::Ref(reference) = &node.kind
            && let Subject::Resource { .. } = &reference.subject
        {
            return self.type_of_part(reference).map(|ty| (ty, false, Marks::NONE));
        }
        if !reads(node) {
            // An error in a branch that is not taken is none.
            return self.node(node).ok().map(|v| (v.ty(), v.is_null(), v.marks()));
        }
        let ty = match &node.kind {
            NodeKind::Template(_) => Type::String,
            NodeKind::Unary(Unary::Not, _) => Type::Bool,
            NodeKind::Unary(Unary::Negate, _) => Type::Number,
            NodeKind::Binary(_, rest) => match rest.last()?.0 {
                Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
                    Type::Number
                }
                _ => Type::Bool,
            },
            NodeKind::Parens(inner) | NodeKind::Wrap(inner) => return self.type_of(inner),
            NodeKind::Call(call) => functions::fixed_type(call.function?)?,
            NodeKind::Tuple(items) => Type::tuple(
                items.iter().map(|i| self.type_of(i).map(|(t, ..)| t)).collect::<Option<Vec<_>>>()?,
            ),
            NodeKind::Conditional(parts) => unify([self.type_of(&parts[1])?.0, self.type_of(&parts[2])?.0])?,
            NodeKind::For(each) if each.join => Type::String,
            _ => return None,
        };
        Some((ty, false, Marks::NONE))
    }
}

impl Eval<'_> {
    /// The type of a part of an object, by what its type is like: no object is read for that. `None` where it is open.
    fn type_of_part(&self, reference: &Ref) -> Option<Type> {
        let Subject::Resource { mode, ty, name } = &reference.subject else { return None };
        let (ty, repeated) = self.scope.resource_type(*mode, ty, name)?;
        let mut steps = &*reference.steps;
        if repeated {
            // Which of them does not matter.
            let [Step::Index(..), rest @ ..] = steps else { return None };
            steps = rest;
        }
        let mut value = Value::unknown_not_null(ty);
        for step in steps {
            value = match step {
                Step::Attr(name, span) => traverse::get_attr(&value, name, *span).ok()?,
                Step::Index(key, span) => {
                    let key = key.literal().cloned().unwrap_or_else(|| Value::unknown(Type::Any));
                    traverse::get_index(&value, &key, *span).ok()?
                }
                Step::Splat(..) => return None,
            };
        }
        Some(value.ty()).filter(|ty| !ty.has_any())
    }
}

fn not_null(value: &Value) -> bool {
    matches!(value.kind(), grappe_value::Kind::Unknown(u) if u.not_null)
}

/// The type of the result: `None` where it is open.
fn common(
    value: &Value,
    other: &Type,
    value_null: bool,
    other_null: bool,
    value_is_yes: bool,
    span: Span,
) -> Result<Option<Type>, Diagnostic> {
    let own = value.ty();
    // A bare null is of any type.
    if value_null && own == Type::Any {
        return Ok(Some(other.clone()));
    }
    if other_null && *other == Type::Any {
        return Ok(Some(own));
    }
    if own == Type::Any || *other == Type::Any {
        return Ok(None);
    }
    match unify([own.clone(), other.clone()]) {
        Some(ty) => Ok(Some(ty)),
        None => {
            let (yes, no) = if value_is_yes { (own, other.clone()) } else { (other.clone(), own) };
            Err(Diagnostic::error("Inconsistent conditional result types")
                .detail(format!(
                    "The true and false result expressions must have consistent types. The 'true' value is {}, but the 'false' value is {}.",
                    yes.friendly(),
                    no.friendly()
                ))
                .span(span))
        }
    }
}

/// Whether evaluating the node may read an object, or a local whose value may need one.
fn reads(node: &Node) -> bool {
    let in_steps = |steps: &[Step]| steps_read(steps);
    match &node.kind {
        NodeKind::Literal(_) | NodeKind::Bound(_) | NodeKind::Name(_) => false,
        NodeKind::Template(nodes) | NodeKind::Tuple(nodes) => nodes.iter().any(reads),
        NodeKind::Wrap(inner) | NodeKind::Parens(inner) | NodeKind::Unary(_, inner) => reads(inner),
        NodeKind::Object(items) => items.iter().any(|(k, v)| reads(k) || reads(v)),
        NodeKind::Binary(first, rest) => reads(first) || rest.iter().any(|(_, n)| reads(n)),
        NodeKind::Conditional(parts) => parts.iter().any(reads),
        NodeKind::Call(call) => {
            call.function.is_some_and(functions::reads_files) || call.args.iter().any(reads)
        }
        NodeKind::For(each) => {
            reads(&each.collection) || each.key.iter().chain([&each.value]).chain(&each.condition).any(reads)
        }
        NodeKind::Traverse(base, steps) => reads(base) || in_steps(steps),
        NodeKind::Ref(reference) => {
            matches!(
                reference.subject,
                Subject::Resource { .. } | Subject::Module { .. } | Subject::Local(_) | Subject::SelfValue
            ) || in_steps(&reference.steps)
        }
    }
}

fn steps_read(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Attr(..) => false,
        Step::Index(node, _) => reads(node),
        Step::Splat(each, _) => steps_read(each),
    })
}
