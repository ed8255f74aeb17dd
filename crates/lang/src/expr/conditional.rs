//! `condition ? a : b`: only the branch taken is evaluated, so that only what it needs is read.
//!
//! The result has the type that both branches fit, as in Terraform: `true ? 1 : "a"` is `"1"`. The type of the branch not taken is found by evaluating
//! a sketch of it, which reads no resources (their schemas tell), modules or locals; where that can't be, the value stays as it is.

use grappe_diag::{Diagnostic, Span};
use grappe_value::{Type, Value, convert, unify};

use super::eval::Outcome;
use super::refine::{either, settled};
use super::{Eval, Node};

impl Eval<'_> {
    pub(super) fn conditional(&mut self, parts: &[Node; 3], span: Span) -> Outcome {
        let [condition, yes, no] = parts;
        let (test, marks) = self.node(condition)?.unmark();
        let test = match convert(&test, &Type::Bool) {
            // Terraform does not look at what type it will be.
            _ if test.is_unknown() => Value::unknown(Type::Bool),
            Ok(test) if !test.is_null() => test,
            // The type is what it is.
            _ if self.sketch.is_some() => self.fallen(),
            made => {
                let (summary, detail) = match made {
                    Ok(_) => (
                        "Null condition",
                        "The condition value is null. Conditions must either be true or false.",
                    ),
                    Err(_) => ("Incorrect condition type", "The condition expression must be of type bool."),
                };
                return Err(Diagnostic::error(summary).detail(detail).span(condition.span).into());
            }
        };
        let Some(taken) = test.as_bool() else {
            // What is wrong in a branch is wrong only if that is taken.
            let mut branch = |node: &Node| {
                let value = self.node(node).ok();
                let sketch = |eval: &mut Self| eval.type_of(node).map(|(ty, ..)| Value::unknown(ty));
                value.or_else(|| sketch(self)).unwrap_or_else(|| Value::unknown(Type::Any))
            };
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
            Some(ty) => match convert(&value, &ty) {
                Ok(value) => value,
                Err(_) if self.sketch.is_some() => Value::unknown(ty),
                Err(error) => {
                    let detail = format!("The {taken} result value has the wrong type: {error}.");
                    let wrong = Diagnostic::error("Inconsistent conditional result types").detail(detail);
                    return Err(wrong.span(chosen.span).into());
                }
            },
            None => value,
        };
        Ok(value.with_marks(marks))
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
            let (yes, no) = if value_is_yes { (&own, other) } else { (other, &own) };
            Err(Diagnostic::error("Inconsistent conditional result types")
                .detail(format!(
                    "The true and false result expressions must have consistent types. {}.",
                    mismatch(yes, no)
                ))
                .span(span))
        }
    }
}

/// Where two types part.
fn mismatch(yes: &Type, no: &Type) -> String {
    let absent = |name: &str, from: &str, other: &str| {
        format!(
            "The '{from}' value includes object attribute {name:?}, which is absent in the '{other}' value"
        )
    };
    match (yes, no) {
        (Type::Object(a), Type::Object(b)) => {
            for (name, ty) in &a.attributes {
                match b.attributes.get(name) {
                    None => return absent(name, "true", "false"),
                    Some(other) if other != ty => {
                        return format!(
                            "Type mismatch for object attribute {name:?}: {}",
                            mismatch(ty, other)
                        );
                    }
                    Some(_) => {}
                }
            }
            if let Some(name) = b.attributes.keys().find(|name| !a.attributes.contains_key(*name)) {
                return absent(name, "false", "true");
            }
        }
        (Type::Tuple(a), Type::Tuple(b)) if a.len() != b.len() => {
            return format!(
                "The 'true' tuple has length {}, but the 'false' tuple has length {}",
                a.len(),
                b.len()
            );
        }
        (Type::Tuple(a), Type::Tuple(b)) => {
            if let Some((i, (a, b))) = a.iter().zip(b.iter()).enumerate().find(|(_, (a, b))| a != b) {
                return format!("Type mismatch for tuple element {i}: {}", mismatch(a, b));
            }
        }
        (Type::List(a), Type::List(b)) | (Type::Set(a), Type::Set(b)) | (Type::Map(a), Type::Map(b))
            if matches!(
                (&**a, &**b),
                (Type::Object(_), Type::Object(_)) | (Type::Tuple(_), Type::Tuple(_))
            ) =>
        {
            let noun = match yes {
                Type::List(_) => "list",
                Type::Set(_) => "set",
                _ => "map",
            };
            return format!("Mismatched {noun} element types: {}", mismatch(a, b));
        }
        _ => {}
    }
    let (yes, no) = (yes.friendly(), no.friendly());
    if yes == no {
        return "At least one deeply-nested attribute or element is not compatible across both the 'true' and the 'false' value".into();
    }
    format!("The 'true' value is {yes}, but the 'false' value is {no}")
}
