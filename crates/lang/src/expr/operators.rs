//! Operators: arithmetic, comparison, equality, logic. As in Terraform 1.11, `&&` and `||` look at both sides, and are unknown where one is.

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::{Kind, Number, Type, Value, convert};

use super::eval::Outcome;
use super::{Binary, Eval, Node, Unary, refine};

impl Eval<'_> {
    pub(super) fn unary(&mut self, op: Unary, node: &Node) -> Outcome {
        let ty = if op == Unary::Not { Type::Bool } else { Type::Number };
        let value = self.node(node)?;
        let value = operand(&value, &ty, "unary", node.span)?;
        let result = match (op, value.kind()) {
            (Unary::Not, Kind::Bool(b)) => Value::from(!b),
            (Unary::Negate, Kind::Number(n)) => n.neg().into(),
            _ => Value::unknown_not_null(ty),
        };
        Ok(result.with_marks(value.marks()))
    }

    pub(super) fn binary(&mut self, first: &Node, rest: &[(Binary, Node)]) -> Outcome {
        let mut diags = Diagnostics::new();
        let mut left = diags.keep(self.node(first));
        let mut left_span = first.span;
        for (op, node) in rest {
            let right = diags.keep(self.node(node));
            left = match (left, right) {
                (Some(left), Some(right)) => diags.keep(apply(*op, &left, &right, left_span, node.span)),
                _ => None,
            };
            left_span = left_span.to(node.span);
        }
        match left {
            Some(value) if !diags.has_errors() => Ok(value),
            _ => Err(diags),
        }
    }
}

fn apply(op: Binary, left: &Value, right: &Value, left_span: Span, right_span: Span) -> Outcome {
    let marks = left.marks().union(right.marks());
    if matches!(op, Binary::Equal | Binary::NotEqual) {
        let marks = left.marks_deep().union(right.marks_deep());
        let result = match equal(left, right) {
            Some(same) => Value::from(same == (op == Binary::Equal)),
            None => Value::unknown_not_null(Type::Bool),
        };
        return Ok(result.with_marks(marks));
    }
    let (ty, result_ty) = match op {
        Binary::Or | Binary::And => (Type::Bool, Type::Bool),
        Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
            (Type::Number, Type::Bool)
        }
        _ => (Type::Number, Type::Number),
    };
    let mut diags = Diagnostics::new();
    let left = diags.keep(operand(left, &ty, "left", left_span));
    let right = diags.keep(operand(right, &ty, "right", right_span));
    let (Some(left), Some(right)) = (left, right) else { return Err(diags) };
    let result = match (left.kind(), right.kind()) {
        (Kind::Bool(a), Kind::Bool(b)) => Value::from(if op == Binary::Or { *a || *b } else { *a && *b }),
        (Kind::Number(a), Kind::Number(b)) => numbers(op, a, b).ok_or_else(|| {
            Diagnostic::error("Division by zero").detail("Cannot divide by zero.").span(right_span)
        })?,
        _ => match compared(op, &left, &right) {
            Some(known) => known.into(),
            None => Value::unknown_not_null(result_ty),
        },
    };
    Ok(result.with_marks(marks))
}

/// How numbers that are not known compare, where all that they can be compares so.
fn compared(op: Binary, left: &Value, right: &Value) -> Option<bool> {
    match op {
        Binary::Less | Binary::LessOrEqual => refine::below(left, right),
        Binary::Greater | Binary::GreaterOrEqual => refine::below(right, left),
        _ => None,
    }
}

/// `None` for a division by zero.
fn numbers(op: Binary, a: &Number, b: &Number) -> Option<Value> {
    Some(match op {
        Binary::Less => Value::from(a < b),
        Binary::LessOrEqual => Value::from(a <= b),
        Binary::Greater => Value::from(a > b),
        Binary::GreaterOrEqual => Value::from(a >= b),
        Binary::Add => a.add(b).into(),
        Binary::Subtract => a.sub(b).into(),
        Binary::Multiply => a.mul(b).into(),
        Binary::Divide => a.div(b)?.into(),
        Binary::Remainder => a.rem(b)?.into(),
        Binary::Or | Binary::And | Binary::Equal | Binary::NotEqual => return None,
    })
}

fn operand(value: &Value, ty: &Type, side: &str, span: Span) -> Result<Value, Diagnostic> {
    let bad = |why: &str| {
        Diagnostic::error("Invalid operand")
            .detail(format!("Unsuitable value for {side} operand: {why}."))
            .span(span)
    };
    let value = convert(value, ty).map_err(|e| bad(&e.message))?;
    if value.is_null() { Err(bad("argument must not be null")) } else { Ok(value) }
}

/// Whether two values are equal, marks apart; `None` where it is not known. Values of different types are different; nulls are all equal.
pub(crate) fn equal(a: &Value, b: &Value) -> Option<bool> {
    match (a.kind(), b.kind()) {
        (Kind::Null(_), Kind::Null(_)) => Some(true),
        (Kind::Null(_), Kind::Unknown(u)) | (Kind::Unknown(u), Kind::Null(_)) => u.not_null.then_some(false),
        (Kind::Null(_), _) | (_, Kind::Null(_)) => Some(false),
        // Both may be null, and nulls of all types are equal.
        (Kind::Unknown(_), Kind::Unknown(_)) => None,
        (Kind::Unknown(u), _) => different(&u.ty, &b.ty()).or_else(|| (!u.range.admits(b)).then_some(false)),
        (_, Kind::Unknown(u)) => different(&u.ty, &a.ty()).or_else(|| (!u.range.admits(a)).then_some(false)),
        (Kind::List(ta, a), Kind::List(tb, b)) => {
            if ta != tb {
                Some(false)
            } else {
                sequences(a, b)
            }
        }
        (Kind::Set(ta, a), Kind::Set(tb, b)) => {
            if ta != tb {
                return Some(false);
            }
            let known = a.iter().chain(b.iter()).all(Value::is_wholly_known);
            if known { Some(a == b) } else { None }
        }
        (Kind::Tuple(a), Kind::Tuple(b)) => sequences(a, b),
        (Kind::Map(ta, a), Kind::Map(tb, b)) => {
            if ta != tb {
                return Some(false);
            }
            if !a.keys().eq(b.keys()) {
                return Some(false);
            }
            all_equal(a.values().zip(b.values()))
        }
        (Kind::Object(a), Kind::Object(b)) => {
            if !a.keys().eq(b.keys()) {
                return Some(false);
            }
            all_equal(a.values().zip(b.values()))
        }
        (a, b) => Some(a == b),
    }
}

/// That values of these types can't be equal, where that is so.
fn different(a: &Type, b: &Type) -> Option<bool> {
    (!may_be_same(a, b)).then_some(false)
}

fn may_be_same(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Any, _) | (_, Type::Any) => true,
        (Type::List(a), Type::List(b)) | (Type::Set(a), Type::Set(b)) | (Type::Map(a), Type::Map(b)) => {
            may_be_same(a, b)
        }
        (Type::Tuple(a), Type::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| may_be_same(a, b))
        }
        (Type::Object(a), Type::Object(b)) => {
            let (a, b) = (&a.attributes, &b.attributes);
            a.keys().eq(b.keys()) && a.values().zip(b.values()).all(|(a, b)| may_be_same(a, b))
        }
        (a, b) => a == b,
    }
}

fn sequences(a: &[Value], b: &[Value]) -> Option<bool> {
    if a.len() == b.len() { all_equal(a.iter().zip(b)) } else { Some(false) }
}

fn all_equal<'v>(pairs: impl Iterator<Item = (&'v Value, &'v Value)>) -> Option<bool> {
    let mut result = Some(true);
    for (a, b) in pairs {
        match equal(a, b) {
            Some(false) => return Some(false),
            None => result = None,
            Some(true) => {}
        }
    }
    result
}
