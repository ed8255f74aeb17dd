//! From names to what they refer to: done once, when the configuration is loaded.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::addr::Mode;

use super::{Expr, Node, NodeKind, Ref, Step};
use crate::{RefStep, Reference, Subject, functions};

/// The summary of a name in a template that is none of its variables.
pub(crate) const MISSING_VARIABLE: &str = "Missing template variable";

/// Where an expression stands, which says what names can be.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Module,
    /// In a template file: names are its variables.
    Template,
    /// In a tfvars file and the like: no names.
    Constant,
}

/// Walks a tree in the order written.
pub(crate) struct Resolver<'d> {
    place: Place,
    /// How many `try` and `can` are around.
    guards: usize,
    bound: Vec<Arc<str>>,
    references: Vec<Reference>,
    diags: &'d mut Diagnostics,
}

impl<'d> Resolver<'d> {
    pub(crate) fn new(bound: &[Arc<str>], diags: &'d mut Diagnostics) -> Self {
        Resolver { place: Place::Module, guards: 0, bound: bound.to_vec(), references: Vec::new(), diags }
    }

    /// For a template file with these variables.
    pub(crate) fn for_template(bound: &[Arc<str>], diags: &'d mut Diagnostics) -> Self {
        Resolver { place: Place::Template, ..Self::new(bound, diags) }
    }

    /// For where only constants may stand.
    pub(crate) fn for_constant(diags: &'d mut Diagnostics) -> Self {
        Resolver { place: Place::Constant, ..Self::new(&[], diags) }
    }

    pub(crate) fn into_references(self) -> Vec<Reference> {
        self.references
    }

    pub(crate) fn node(&mut self, node: &mut Node) {
        match &mut node.kind {
            NodeKind::Literal(_) | NodeKind::Bound(_) | NodeKind::Ref(_) => {}
            NodeKind::Template(nodes) | NodeKind::Tuple(nodes) => self.all(nodes),
            NodeKind::Wrap(inner) | NodeKind::Parens(inner) | NodeKind::Unary(_, inner) => self.node(inner),
            NodeKind::Object(items) => {
                for (key, value) in items {
                    self.node(key);
                    self.node(value);
                }
            }
            NodeKind::Binary(first, rest) => {
                self.node(first);
                for (_, node) in rest {
                    self.node(node);
                }
            }
            NodeKind::Conditional(parts) => self.all(&mut **parts),
            NodeKind::Call(call) => {
                let name = &call.name;
                // Inside a guard it is an error like others, for evaluating to find.
                if call.function.is_none() && self.guards == 0 {
                    self.diags.push(unknown_function(name, call.name_span));
                }
                if self.place == Place::Template && name.starts_with("template") {
                    self.diags.push(
                        Diagnostic::error("Function not allowed here")
                            .detail(format!(
                                "cannot recursively call {name} from inside another template function"
                            ))
                            .span(node.span),
                    );
                }
                let guard = usize::from(matches!(&**name, "try" | "can"));
                self.guards += guard;
                self.all(&mut call.args);
                self.guards -= guard;
            }
            NodeKind::For(each) => {
                self.node(&mut each.collection);
                let depth = self.bound.len();
                self.bound.extend(each.key_name.iter().cloned());
                self.bound.push(each.value_name.clone());
                for part in each.key.iter_mut().chain([&mut each.value]).chain(&mut each.condition) {
                    self.node(part);
                }
                self.bound.truncate(depth);
            }
            NodeKind::Name(name) => {
                let name = name.clone();
                if let Some(kind) = self.name(&name, &mut [], node.span, node.span) {
                    node.kind = kind;
                }
            }
            NodeKind::Traverse(base, steps) => match &base.kind {
                NodeKind::Name(name) if !self.bound.contains(name) => {
                    let name = name.clone();
                    if let Some(kind) = self.name(&name, steps, base.span, node.span) {
                        node.kind = kind;
                    }
                }
                _ => {
                    self.node(base);
                    self.steps(steps);
                }
            },
        }
    }

    fn all(&mut self, nodes: &mut [Node]) {
        for node in nodes {
            self.node(node);
        }
    }

    fn steps(&mut self, steps: &mut [Step]) {
        for step in steps {
            match step {
                Step::Attr(..) => {}
                Step::Index(node, _) => self.node(node),
                Step::Splat(each, _) => self.steps(each),
            }
        }
    }

    /// What a name with these steps refers to; `None` (and an error) where to nothing.
    fn name(&mut self, name: &Arc<str>, steps: &mut [Step], name_span: Span, span: Span) -> Option<NodeKind> {
        if self.bound.contains(name) {
            return Some(NodeKind::Bound(name.clone()));
        }
        match self.place {
            Place::Module => {}
            Place::Template => {
                let known = self.bound.iter().map(|n| &**n);
                let diagnostic = Diagnostic::error(MISSING_VARIABLE)
                    .detail(format!("vars map does not contain key \"{name}\""))
                    .span(name_span)
                    .did_you_mean(name, known);
                self.diags.push(diagnostic);
                return None;
            }
            Place::Constant => {
                let mut diagnostic = Diagnostic::error("Variables not allowed")
                    .detail("Variables may not be used here.")
                    .span(span);
                if steps.is_empty() {
                    diagnostic = diagnostic.hint(format!("if a text was meant, quote it: \"{name}\""));
                }
                self.diags.push(diagnostic);
                return None;
            }
        }
        match self.subject(name, steps, name_span) {
            Err(diagnostic) => {
                self.diags.push(*diagnostic);
                None
            }
            Ok((subject, taken)) => {
                let subject_span = match taken.checked_sub(1).and_then(|i| steps.get(i)) {
                    Some(step) => name_span.to(step.span()),
                    None => name_span,
                };
                let rest = &mut steps[taken..];
                let at = self.references.len();
                self.references.push(Reference {
                    subject: subject.clone(),
                    steps: Vec::new(),
                    guarded: self.guards > 0,
                    span,
                });
                let mut seen = Vec::new();
                self.reference_steps(rest, &mut seen);
                self.references[at].steps = seen;
                Some(NodeKind::Ref(Box::new(Ref {
                    subject,
                    span: subject_span,
                    steps: rest.to_vec().into_boxed_slice(),
                })))
            }
        }
    }

    fn reference_steps(&mut self, steps: &mut [Step], seen: &mut Vec<RefStep>) {
        for step in steps {
            match step {
                Step::Attr(name, _) => seen.push(RefStep::Attr(name.clone())),
                Step::Index(node, _) => {
                    let from = self.references.len();
                    self.node(node);
                    let inside = self.references[from..].to_vec();
                    seen.push(RefStep::Index(Expr::from_resolved(node.clone(), inside)));
                }
                Step::Splat(each, _) => {
                    seen.push(RefStep::Splat);
                    self.reference_steps(each, seen);
                }
            }
        }
    }

    /// The subject, and how many of the steps belong to it.
    fn subject(
        &self,
        name: &Arc<str>,
        steps: &[Step],
        name_span: Span,
    ) -> Result<(Subject, usize), Box<Diagnostic>> {
        let invalid = |detail: String| {
            Err(Box::new(Diagnostic::error("Invalid reference").detail(detail).span(name_span)))
        };
        let attr = |i: usize| match steps.get(i) {
            Some(Step::Attr(name, _)) => Some(name.clone()),
            _ => None,
        };
        // `each` and its like have a fixed set of attributes.
        let fixed = |subject: Subject, known: &[&str]| {
            match attr(0) {
            Some(a) if known.contains(&&*a) => Ok((subject, 0)),
            Some(a) => Err(Box::new(
                Diagnostic::error(format!("Invalid \"{name}\" attribute"))
                    .detail(format!(
                        "The \"{name}\" object does not have an attribute named \"{a}\". It has: {}.",
                        known.join(", ")
                    ))
                    .span(name_span.to(steps.first().map_or(name_span, Step::span)))
                    .did_you_mean(&a, known.iter().copied()),
            )),
            None => Err(Box::new(
                Diagnostic::error("Invalid reference")
                    .detail(format!("The \"{name}\" object cannot be accessed directly. Instead, access one of its attributes: {}.", known.join(", ")))
                    .span(name_span),
            )),
        }
        };
        match &**name {
            "var" | "local" | "module" => {
                let Some(member) = attr(0) else {
                    return invalid(format!(
                        "The \"{name}\" object cannot be accessed directly. Instead, access one of its attributes."
                    ));
                };
                Ok(match &**name {
                    "var" => (Subject::Variable(member), 1),
                    "local" => (Subject::Local(member), 1),
                    _ => {
                        let output = match steps.get(1) {
                            Some(Step::Attr(output, _)) => Some(output.clone()),
                            Some(Step::Index(..)) => attr(2),
                            Some(Step::Splat(each, _)) => match each.first() {
                                Some(Step::Attr(output, _)) => Some(output.clone()),
                                _ => None,
                            },
                            None => None,
                        };
                        (Subject::Module { call: member, output }, 1)
                    }
                })
            }
            "each" => fixed(Subject::Each, &["key", "value"]),
            "count" => fixed(Subject::Count, &["index"]),
            "path" => fixed(Subject::Path, &["module", "root", "cwd"]),
            "terraform" => fixed(Subject::Terraform, &["workspace", "applying"]),
            "self" => Ok((Subject::SelfValue, 0)),
            "template" | "lazy" | "arg" | "provider" => invalid(format!(
                "The symbol name \"{name}\" is reserved for use in a future Terraform version."
            )),
            "data" | "resource" | "ephemeral" => match (attr(0), attr(1)) {
                (Some(ty), Some(resource)) => {
                    let mode = match &**name {
                        "data" => Mode::Data,
                        "ephemeral" => Mode::Ephemeral,
                        _ => Mode::Managed,
                    };
                    Ok((Subject::Resource { mode, ty, name: resource }, 2))
                }
                _ => invalid(format!(
                    "The \"{name}\" object must be followed by two attribute names: the type and the name."
                )),
            },
            _ => match attr(0) {
                Some(resource) => {
                    Ok((Subject::Resource { mode: Mode::Managed, ty: name.clone(), name: resource }, 1))
                }
                None => Err(Box::new(
                    Diagnostic::error("Invalid reference")
                        .detail("A reference to a resource type must be followed by at least one attribute access, specifying the resource name.")
                        .hint(format!("if a text was meant, quote it: \"{name}\""))
                        .span(name_span),
                )),
            },
        }
    }
}

pub(crate) fn unknown_function(name: &str, span: Span) -> Diagnostic {
    Diagnostic::error("Call to unknown function")
        .detail(format!("There is no function named \"{name}\"."))
        .span(span)
        .did_you_mean(name, functions::names())
}
