//! Sketches: a branch that is not taken is evaluated for its type alone. No resource is read for that (their schemas tell), no module and no local;
//! and what fails in it is no error, but a value of which nothing is known. So Terraform has it, where both branches are evaluated always.

use grappe_value::{Marks, Type, Value};

use super::eval::Outcome;
use super::{Binary, Eval, Node, NodeKind, Ref, Step, Unary, traverse};
use crate::{Subject, functions};

/// While only the type of something is wanted.
#[derive(Default)]
pub(crate) struct Sketch {
    /// Something would have had to be read.
    blind: bool,
    /// What fails, fails: `try` and `can` go by that.
    strict: bool,
    /// Something in it failed.
    failed: bool,
}

impl Eval<'_> {
    /// The type of the branch that is not taken, whether it is a null, and its marks: `None` where it can't be told.
    pub(super) fn type_of(&mut self, node: &Node) -> Option<(Type, bool, Marks)> {
        let outer = self.sketch.replace(Sketch::default());
        let value = self.node(node);
        let sketch = std::mem::replace(&mut self.sketch, outer)?;
        if sketch.blind {
            if let Some(outer) = &mut self.sketch {
                outer.blind = true;
            }
            return None;
        }
        // An error in a branch that is not taken is none.
        value.ok().map(|v| (v.ty(), v.is_null(), v.marks()))
    }

    /// A node of which only the type is wanted. What fails in it is a value of which nothing is known, as in Terraform.
    pub(super) fn sketched(&mut self, node: &Node) -> Outcome {
        let Some(Sketch { blind, strict, .. }) = self.sketch else { return self.plainly(node) };
        if blind {
            // Nobody will look at it.
            return Ok(Value::unknown(Type::Any));
        }
        let value = self.plainly(node);
        let shape = shape(node);
        if let (Some(sketch), Some(ty)) = (&mut self.sketch, &shape)
            && sketch.blind
        {
            // What is in it does not matter.
            sketch.blind = false;
            return Ok(Value::unknown(ty.clone()));
        }
        match value {
            Err(_) if !strict => {
                let open = self.fallen();
                let shape = shape.filter(|_| !matches!(node.kind, NodeKind::Call(_)));
                Ok(shape.map_or(open, Value::unknown))
            }
            value => value,
        }
    }

    /// What stands in a sketch for what failed.
    pub(super) fn fallen(&mut self) -> Value {
        if let Some(sketch) = &mut self.sketch {
            sketch.failed = true;
        }
        Value::unknown(Type::Any)
    }

    /// Evaluates something whose failing means something.
    pub(crate) fn strictly<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        let strict =
            |eval: &mut Self, to| eval.sketch.as_mut().is_some_and(|s| std::mem::replace(&mut s.strict, to));
        let before = strict(self, true);
        let result = f(self);
        strict(self, before);
        result
    }

    /// Evaluates something and says whether anything failed in it, which only a sketch goes on after.
    pub(crate) fn failing<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> (T, bool) {
        let failed =
            |eval: &mut Self, to| eval.sketch.as_mut().is_some_and(|s| std::mem::replace(&mut s.failed, to));
        let before = failed(self, false);
        let result = f(self);
        let within = failed(self, before);
        if within {
            failed(self, true);
        }
        (result, within)
    }

    /// What stands for a reference where only its type is wanted, so that nothing is read: `None` where its value is not read but known.
    pub(super) fn sketch_of(&mut self, reference: &Ref) -> Option<Value> {
        let sketch = self.sketch.as_mut()?;
        Some(match &reference.subject {
            Subject::Variable(name) if reference.steps.is_empty() => {
                self.scope.variable_type(name).filter(|ty| !ty.has_any()).map(Value::unknown)?
            }
            Subject::Local(_) | Subject::Module { .. } | Subject::SelfValue => {
                sketch.blind = true;
                Value::unknown(Type::Any)
            }
            Subject::Resource { .. } => match self.type_of_part(reference) {
                Some(ty) => Value::unknown(ty),
                None => {
                    self.sketch.as_mut()?.blind = true;
                    Value::unknown(Type::Any)
                }
            },
            _ => return None,
        })
    }
}

/// The type that a node has whatever is in it.
fn shape(node: &Node) -> Option<Type> {
    match &node.kind {
        NodeKind::Template(_) => Some(Type::String),
        NodeKind::Unary(Unary::Not, _) => Some(Type::Bool),
        NodeKind::Unary(Unary::Negate, _) => Some(Type::Number),
        NodeKind::Binary(_, rest) => match rest.last()?.0 {
            Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
                Some(Type::Number)
            }
            _ => Some(Type::Bool),
        },
        NodeKind::For(each) if each.join => Some(Type::String),
        NodeKind::Call(call) => functions::fixed_type(call.function?),
        _ => None,
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
