//! What stands in a block that a schema describes: arguments and nested blocks, `dynamic` ones too.

mod check;
mod decode;

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::{Path, Step};

use crate::syntax::{Ident, RawBlock, RawBody};
use crate::{Expr, Reference};

/// The arguments and nested blocks of a block. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Body(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    arguments: Vec<Argument>,
    blocks: Vec<Nested>,
    references: Vec<Reference>,
    span: Span,
}

#[derive(Debug)]
struct Argument {
    name: Ident,
    value: Expr,
}

/// A nested block, or a `dynamic` one (then `body` is its `content`).
#[derive(Debug)]
struct Nested {
    name: Ident,
    body: Body,
    dynamic: Option<Dynamic>,
}

#[derive(Debug)]
struct Dynamic {
    for_each: Expr,
    iterator: Arc<str>,
}

impl Body {
    /// From what the parser made. `bound` are the iterators of the `dynamic` blocks around it.
    pub(crate) fn new(raw: RawBody, bound: &[Arc<str>], diags: &mut Diagnostics) -> Self {
        let mut references = Vec::new();
        let mut arguments = Vec::new();
        for attribute in raw.attributes {
            let value = Expr::new(attribute.value, bound, diags);
            references.extend_from_slice(value.references());
            arguments.push(Argument { name: attribute.name, value });
        }
        let mut blocks = Vec::new();
        for block in raw.blocks {
            let nested = if &*block.ty.name == "dynamic" {
                dynamic(block, bound, diags)
            } else {
                if let Some(label) = block.labels.first() {
                    diags.push(
                        Diagnostic::error("Extraneous label")
                            .detail(format!("Blocks of type \"{}\" take no labels here.", block.ty.name))
                            .span(label.span),
                    );
                }
                Some(Nested { body: Body::new(block.body, bound, diags), name: block.ty, dynamic: None })
            };
            if let Some(nested) = nested {
                references.extend(nested.dynamic.iter().flat_map(|d| d.for_each.references()).cloned());
                references.extend_from_slice(nested.body.references());
                blocks.push(nested);
            }
        }
        Body(Arc::new(Inner { arguments, blocks, references, span: raw.span }))
    }

    /// What its expressions refer to, in the order written.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// The expression of an argument.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&Expr> {
        self.0.arguments.iter().find(|a| &*a.name.name == name).map(|a| &a.value)
    }

    /// The names of its arguments and nested blocks, in the order written, each with its place.
    pub fn names(&self) -> impl Iterator<Item = (&Arc<str>, Span)> {
        let arguments = self.0.arguments.iter().map(|a| (&a.name.name, a.name.span));
        arguments.chain(self.0.blocks.iter().map(|b| (&b.name.name, b.name.span)))
    }

    /// Where a part of the decoded value comes from: the longest prefix of the path that the body has.
    #[must_use]
    pub fn attr_span(&self, path: &Path) -> Option<Span> {
        let mut body = self;
        let mut found = None;
        let mut steps = path.0.iter().peekable();
        while let Some(Step::Attr(name)) = steps.next() {
            if let Some(argument) = body.0.arguments.iter().find(|a| a.name.name == *name) {
                return Some(argument.name.span.to(argument.value.span()));
            }
            let mut blocks = body.0.blocks.iter().filter(|b| b.name.name == *name);
            let index = match steps.peek() {
                Some(Step::Index(i)) => {
                    steps.next();
                    *i
                }
                _ => 0,
            };
            // Which of the blocks a dynamic one gives can't be told here: the first will do.
            let exact = body.0.blocks.iter().filter(|b| b.name.name == *name).all(|b| b.dynamic.is_none());
            let block = if exact { blocks.nth(index) } else { blocks.next() };
            let Some(block) = block else { break };
            found = Some(block.name.span);
            body = &block.body;
        }
        found
    }

    /// Where the body stands: for what is missing in it.
    #[must_use]
    pub fn span(&self) -> Span {
        self.0.span
    }
}

/// `dynamic "name" { for_each = … iterator = … content { … } }`
fn dynamic(block: RawBlock, bound: &[Arc<str>], diags: &mut Diagnostics) -> Option<Nested> {
    let head = block.head();
    let [name] = &block.labels[..] else {
        diags.push(
            Diagnostic::error("Invalid dynamic block")
                .detail("A dynamic block has one label: the type of the blocks that it generates.")
                .span(head),
        );
        return None;
    };
    let name = name.clone();
    let mut for_each = None;
    let mut iterator = name.name.clone();
    for attribute in block.body.attributes {
        match &*attribute.name.name {
            "for_each" => for_each = Some(Expr::new(attribute.value, bound, diags)),
            "iterator" => match attribute.value.keyword() {
                Some(name) => iterator = name.clone(),
                None => diags.push(
                    Diagnostic::error("Invalid expression")
                        .detail("A single static variable reference is required: the iterator's name, not quoted.")
                        .span(attribute.value.span),
                ),
            },
            "labels" => diags.push(
                Diagnostic::error("Unsupported argument")
                    .detail("No block type here takes labels, so a dynamic block has none to give.")
                    .span(attribute.name.span),
            ),
            other => diags.push(
                Diagnostic::error("Unsupported argument")
                    .detail(format!("An argument named \"{other}\" is not expected in a dynamic block."))
                    .span(attribute.name.span)
                    .did_you_mean(other, ["for_each", "iterator"]),
            ),
        }
    }
    let mut content = None;
    for inner in block.body.blocks {
        if &*inner.ty.name == "content" && content.is_none() {
            let names: Vec<Arc<str>> = bound.iter().cloned().chain([iterator.clone()]).collect();
            content = Some(Body::new(inner.body, &names, diags));
        } else {
            diags.push(
                Diagnostic::error("Unsupported block type")
                    .detail("A dynamic block holds one block named \"content\", and no other.")
                    .span(inner.head()),
            );
        }
    }
    let missing = |what: &str| {
        Diagnostic::error(format!("Missing {what}"))
            .detail(format!("A dynamic block requires {what}."))
            .span(head)
    };
    match (for_each, content) {
        (Some(for_each), Some(body)) => {
            Some(Nested { name, body, dynamic: Some(Dynamic { for_each, iterator }) })
        }
        (None, _) => {
            diags.push(missing("for_each"));
            None
        }
        (_, None) => {
            diags.push(missing("a content block"));
            None
        }
    }
}
