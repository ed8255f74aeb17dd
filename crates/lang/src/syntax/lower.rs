//! `hcl_edit`'s expressions to our tree. Numbers and templates are read from the text itself.

use std::iter::Peekable;
use std::ops::Range;
use std::slice::Iter;

use grappe_diag::Span;
use grappe_value::{Number, Type, Value};
use hcl_edit::Decorated;
use hcl_edit::expr::{
    BinaryOp, BinaryOperator, Expression, ForExpr, FuncCall, Object, ObjectKey, Traversal, TraversalOperator,
    UnaryOperator,
};

use super::parse::{Holes, Place, flat_expression, level};
use super::{Cx, Parsed, refuse, template};
use crate::expr::{Binary, Call, For, Node, NodeKind, Step, Unary};
use crate::functions;

/// Lowers what was parsed of a masked text that stands at a place of the whole one.
#[derive(Clone, Copy)]
pub(super) struct Lower<'t> {
    pub(super) cx: Cx<'t>,
    pub(super) text: &'t str,
    pub(super) offset: usize,
    pub(super) holes: &'t Holes,
}

impl Lower<'_> {
    /// The parser gives everything a place; what had none would stand at the start.
    pub(super) fn span(&self, of: &impl hcl_edit::Span) -> Span {
        let Range { start, end } = of.span().unwrap_or_default();
        self.cx.span(self.offset + start..self.offset + end)
    }

    pub(super) fn node(mut self, expr: &Expression) -> Parsed<Node> {
        let span = self.span(expr);
        self.cx = self.cx.deeper(span.start as usize)?;
        let kind = match expr {
            Expression::Null(_) => NodeKind::Literal(Value::NULL),
            Expression::Bool(value) => NodeKind::Literal((*value.value()).into()),
            Expression::Number(_) | Expression::String(_) => return self.token(expr, span),
            // Templates are masked: these are none any more.
            Expression::StringTemplate(_) | Expression::HeredocTemplate(_) => {
                return template::within(self.cx, span);
            }
            Expression::Array(items) => NodeKind::Tuple(self.nodes(items.iter())?),
            Expression::Object(object) => self.object(object)?,
            Expression::Parenthesis(inner) => NodeKind::Parens(Box::new(self.node(inner.inner())?)),
            Expression::Variable(name) => NodeKind::Name(name.as_str().into()),
            Expression::Conditional(x) => NodeKind::Conditional(Box::new([
                self.node(&x.cond_expr)?,
                self.node(&x.true_expr)?,
                self.node(&x.false_expr)?,
            ])),
            Expression::FuncCall(call) => self.call(call)?,
            Expression::Traversal(traversal) => self.traversal(traversal)?,
            Expression::UnaryOp(unary) => {
                let operand = self.node(&unary.expr)?;
                match (unary.operator.value(), operand.literal().and_then(Value::as_number)) {
                    (UnaryOperator::Neg, Some(number)) if matches!(operand.kind, NodeKind::Literal(_)) => {
                        NodeKind::Literal(number.neg().into())
                    }
                    (UnaryOperator::Neg, _) => NodeKind::Unary(Unary::Negate, Box::new(operand)),
                    (UnaryOperator::Not, _) => NodeKind::Unary(Unary::Not, Box::new(operand)),
                }
            }
            Expression::BinaryOp(op) => self.binary(op)?,
            Expression::ForExpr(x) => self.for_expr(x)?,
        };
        Ok(Node::new(kind, span))
    }

    fn nodes<'e>(&self, exprs: impl Iterator<Item = &'e Expression>) -> Parsed<Box<[Node]>> {
        exprs.map(|e| self.node(e)).collect()
    }

    /// A number, a template, or what stands for something that was taken out.
    fn token(&self, expr: &Expression, span: Span) -> Parsed<Node> {
        let start = span.start as usize - self.offset;
        if let Some(hole) = self.holes.get(&start) {
            return flat_expression(self.cx, hole, span.start as usize, Place::Argument);
        }
        if matches!(expr, Expression::String(_)) {
            return template::within(self.cx, span);
        }
        let masked = &self.text[start..span.end as usize - self.offset];
        let digits = masked.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        // The head of a `for` directive is parsed with a value of ours behind it, which stands nowhere in the text.
        let text = self.cx.text.get(span.start as usize + digits..span.end as usize).unwrap_or("");
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            // Stands for a broken token, which was reported.
            return Ok(Node::new(NodeKind::Literal(Value::unknown(Type::Any)), span));
        }
        let Ok(number) = text.parse::<Number>() else {
            return refuse("Invalid number literal", "This number is too large or too small.", span);
        };
        let number = if masked.starts_with('-') { number.neg() } else { number };
        Ok(Node::new(NodeKind::Literal(number.into()), span))
    }

    fn object(&self, object: &Object) -> Parsed<NodeKind> {
        let items = object.iter().map(|(key, value)| Ok((self.key(key)?, self.node(value.expr())?)));
        Ok(NodeKind::Object(items.collect::<Parsed<_>>()?))
    }

    /// A key: a bare name stands for itself, keywords too.
    fn key(&self, key: &ObjectKey) -> Parsed<Node> {
        let name = |name: &str, span| Node::new(NodeKind::Literal(name.into()), span);
        let key = match key {
            ObjectKey::Ident(ident) => return Ok(name(ident.as_str(), self.span(ident))),
            ObjectKey::Expression(expr) => self.node(expr)?,
        };
        Ok(match &key.kind {
            NodeKind::Literal(value) if value.as_str().is_none() && value.as_number().is_none() => {
                name(&self.cx.text[key.span.start as usize..key.span.end as usize], key.span)
            }
            NodeKind::Name(ident) => name(ident, key.span),
            _ => key,
        })
    }

    fn call(&self, call: &FuncCall) -> Parsed<NodeKind> {
        let path = || call.name.namespace.iter().chain([&call.name.name]);
        let name = path().map(|part| part.as_str()).collect::<Vec<_>>().join("::");
        let name_span = path().next().map_or(self.span(&call.name.name), |first| self.span(first));
        Ok(NodeKind::Call(Box::new(Call {
            function: functions::lookup(&name),
            name: name.into(),
            name_span: name_span.to(self.span(&call.name.name)),
            args: self.nodes(call.args.iter())?,
            expand: call.args.expand_final(),
        })))
    }

    fn for_expr(&self, x: &ForExpr) -> Parsed<NodeKind> {
        Ok(NodeKind::For(Box::new(For {
            key_name: x.intro.key_var.as_ref().map(|name| name.as_str().into()),
            value_name: x.intro.value_var.as_str().into(),
            collection: self.node(&x.intro.collection_expr)?,
            key: x.key_expr.as_ref().map(|key| self.node(key)).transpose()?,
            value: self.node(&x.value_expr)?,
            condition: x.cond.as_ref().map(|cond| self.node(&cond.expr)).transpose()?,
            group: x.grouping,
            join: false,
        })))
    }

    /// A tree that leans to the left, as one chain.
    fn binary(&self, op: &BinaryOp) -> Parsed<NodeKind> {
        let this = level(operator(*op.operator.value()));
        let mut rest = vec![(operator(*op.operator.value()), self.node(&op.rhs_expr)?)];
        let mut left = &op.lhs_expr;
        while let Expression::BinaryOp(inner) = left
            && level(operator(*inner.operator.value())) == this
        {
            rest.push((operator(*inner.operator.value()), self.node(&inner.rhs_expr)?));
            left = &inner.lhs_expr;
        }
        rest.reverse();
        Ok(NodeKind::Binary(Box::new(self.node(left)?), rest.into()))
    }

    fn traversal(&self, traversal: &Traversal) -> Parsed<NodeKind> {
        let term = self.node(&traversal.expr)?;
        let mut operators = traversal.operators.iter().peekable();
        if let (NodeKind::Literal(value), Some(TraversalOperator::LegacyIndex(_))) =
            (&term.kind, operators.peek().map(|op| op.value()))
            && value.as_number().is_some()
        {
            return refuse(
                "Invalid number literal",
                "Failed to recognize the value of this number literal.",
                term.span,
            );
        }
        let mut steps = Vec::new();
        // What `.*` leaves goes on after it.
        while operators.peek().is_some() {
            steps.extend(self.steps(&mut operators, false)?);
        }
        Ok(NodeKind::Traverse(Box::new(term), steps.into()))
    }

    /// With `names_only`, as after `.*`: stops before a bracket.
    fn steps(
        mut self,
        operators: &mut Peekable<Iter<'_, Decorated<TraversalOperator>>>,
        names_only: bool,
    ) -> Parsed<Vec<Step>> {
        let mut steps = Vec::new();
        while let Some(operator) = operators.next_if(|op| {
            !(names_only
                && matches!(op.value(), TraversalOperator::Index(_) | TraversalOperator::FullSplat(_)))
        }) {
            let span = self.span(operator);
            steps.push(match operator.value() {
                TraversalOperator::GetAttr(name) => Step::Attr(name.as_str().into(), span),
                TraversalOperator::Index(index) => Step::Index(self.node(index)?, span),
                TraversalOperator::LegacyIndex(index) => {
                    if let Some(TraversalOperator::LegacyIndex(_)) = operators.peek().map(|op| op.value()) {
                        return refuse("Invalid legacy index syntax", "When using the legacy index syntax, chaining two indexes together is not permitted. Use the proper index syntax instead, like [0][1].", span);
                    }
                    Step::Index(Node::new(NodeKind::Literal(Number::from(*index.value()).into()), span), span)
                }
                TraversalOperator::AttrSplat(_) if names_only => {
                    return refuse(
                        "Nested splat expression not allowed",
                        "A splat expression (*) cannot be used inside another attribute-only splat expression.",
                        span,
                    );
                }
                TraversalOperator::AttrSplat(_) => Step::Splat(self.steps(operators, true)?.into(), span),
                TraversalOperator::FullSplat(_) => {
                    self.cx = self.cx.deeper(span.start as usize)?;
                    Step::Splat(self.steps(operators, false)?.into(), span)
                }
            });
        }
        Ok(steps)
    }
}

fn operator(op: BinaryOperator) -> Binary {
    match op {
        BinaryOperator::Eq => Binary::Equal,
        BinaryOperator::NotEq => Binary::NotEqual,
        BinaryOperator::LessEq => Binary::LessOrEqual,
        BinaryOperator::GreaterEq => Binary::GreaterOrEqual,
        BinaryOperator::Less => Binary::Less,
        BinaryOperator::Greater => Binary::Greater,
        BinaryOperator::Plus => Binary::Add,
        BinaryOperator::Minus => Binary::Subtract,
        BinaryOperator::Mul => Binary::Multiply,
        BinaryOperator::Div => Binary::Divide,
        BinaryOperator::Mod => Binary::Remainder,
        BinaryOperator::And => Binary::And,
        BinaryOperator::Or => Binary::Or,
    }
}
