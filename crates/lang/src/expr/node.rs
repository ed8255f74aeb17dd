//! The tree: what the parser makes, and what [`super::resolve`] makes of it.

use std::sync::Arc;

use grappe_diag::Span;
use grappe_value::Value;

use crate::Subject;
use crate::functions::Function;

/// A node of the tree with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) span: Span,
}

/// What a node is. Chains (`a + b + c`, `a.b[0].c`) are flat: a long one is not a deep one.
#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    Literal(Value),
    /// Parts joined to one string.
    Template(Box<[Node]>),
    /// `"${x}"`: the value itself, whatever its type.
    Wrap(Box<Node>),
    /// `(x)`: only to tell `(a) = 1` from `a = 1` in an object.
    Parens(Box<Node>),
    Tuple(Box<[Node]>),
    Object(Box<[(Node, Node)]>),
    Unary(Unary, Box<Node>),
    /// Operators of one precedence, from left to right.
    Binary(Box<Node>, Box<[(Binary, Node)]>),
    /// Condition, then, else.
    Conditional(Box<[Node; 3]>),
    For(Box<For>),
    Call(Box<Call>),
    /// What follows a value: `.a`, `[0]`, `[*]`.
    Traverse(Box<Node>, Box<[Step]>),
    /// The first name of a traversal; gone after resolving.
    Name(Arc<str>),
    /// A name that a `for` or a `dynamic` block binds.
    Bound(Arc<str>),
    /// A reference to something of the module.
    Ref(Box<Ref>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Not,
    Negate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// `[for k, v in collection : value if condition]`, `{for … : key => value...}`, and `%{ for }` (then the results are joined).
#[derive(Clone, Debug)]
pub(crate) struct For {
    pub(crate) key_name: Option<Arc<str>>,
    pub(crate) value_name: Arc<str>,
    pub(crate) collection: Node,
    pub(crate) key: Option<Node>,
    pub(crate) value: Node,
    pub(crate) condition: Option<Node>,
    pub(crate) group: bool,
    pub(crate) join: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: Arc<str>,
    pub(crate) name_span: Span,
    /// `None` where there is none of that name, which resolving reports: a type constraint is written as calls too.
    pub(crate) function: Option<&'static Function>,
    pub(crate) args: Box<[Node]>,
    /// `f(xs...)`: the last argument is many.
    pub(crate) expand: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Attr(Arc<str>, Span),
    Index(Node, Span),
    /// The steps that are taken in each element.
    Splat(Box<[Step]>, Span),
}

impl Step {
    pub(crate) fn span(&self) -> Span {
        match self {
            Step::Attr(_, span) | Step::Index(_, span) | Step::Splat(_, span) => *span,
        }
    }
}

/// A reference with what follows it. For resources and modules, the first steps may choose an instance.
#[derive(Clone, Debug)]
pub(crate) struct Ref {
    pub(crate) subject: Subject,
    /// Where the subject stands, steps apart.
    pub(crate) span: Span,
    pub(crate) steps: Box<[Step]>,
}

impl Node {
    pub(crate) fn new(kind: NodeKind, span: Span) -> Self {
        Node { kind, span }
    }

    /// The value of a literal.
    pub(crate) fn literal(&self) -> Option<&Value> {
        match &self.kind {
            NodeKind::Literal(value) => Some(value),
            NodeKind::Parens(inner) | NodeKind::Wrap(inner) => inner.literal(),
            _ => None,
        }
    }

    /// The name, where the node is a single one: `a`, not `a.b`.
    pub(crate) fn keyword(&self) -> Option<&Arc<str>> {
        match &self.kind {
            NodeKind::Name(name) => Some(name),
            _ => None,
        }
    }

    /// Changes every place in the tree, as the parser made it.
    pub(crate) fn each_span(&mut self, change: &mut dyn FnMut(&mut Span)) {
        change(&mut self.span);
        match &mut self.kind {
            NodeKind::Literal(_) | NodeKind::Name(_) | NodeKind::Bound(_) => {}
            NodeKind::Template(nodes) | NodeKind::Tuple(nodes) => {
                nodes.iter_mut().for_each(|n| n.each_span(change));
            }
            NodeKind::Wrap(inner) | NodeKind::Parens(inner) | NodeKind::Unary(_, inner) => {
                inner.each_span(change);
            }
            NodeKind::Object(items) => {
                for (key, value) in items {
                    key.each_span(change);
                    value.each_span(change);
                }
            }
            NodeKind::Binary(first, rest) => {
                first.each_span(change);
                rest.iter_mut().for_each(|(_, n)| n.each_span(change));
            }
            NodeKind::Conditional(parts) => parts.iter_mut().for_each(|n| n.each_span(change)),
            NodeKind::For(each) => {
                let parts = [&mut each.collection, &mut each.value].into_iter();
                parts.chain(&mut each.key).chain(&mut each.condition).for_each(|n| n.each_span(change));
            }
            NodeKind::Call(call) => {
                change(&mut call.name_span);
                call.args.iter_mut().for_each(|n| n.each_span(change));
            }
            NodeKind::Traverse(base, steps) => {
                base.each_span(change);
                steps_spans(steps, change);
            }
            NodeKind::Ref(reference) => {
                change(&mut reference.span);
                steps_spans(&mut reference.steps, change);
            }
        }
    }
}

fn steps_spans(steps: &mut [Step], change: &mut dyn FnMut(&mut Span)) {
    for step in steps {
        match step {
            Step::Attr(_, span) => change(span),
            Step::Index(node, span) => {
                change(span);
                node.each_span(change);
            }
            Step::Splat(each, span) => {
                change(span);
                steps_spans(each, change);
            }
        }
    }
}
