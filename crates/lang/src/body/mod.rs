//! What stands in a block that a schema describes: arguments and nested blocks, `dynamic` ones too.
//!
//! In the JSON syntax the schema alone tells the two apart, and it comes only when a body is checked or decoded: until then a property is both
//! ([`Property`]).

mod check;
mod decode;

pub(crate) use check::redefined;

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::{Path, Schema, Step};

use crate::syntax::json::Json;
use crate::syntax::{Ident, RawAttribute, RawBlock, RawBody};
use crate::{Expr, Reference};

/// The arguments and nested blocks of a block. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Body(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    arguments: Vec<Argument>,
    blocks: Vec<Nested>,
    /// Of the JSON syntax: arguments or blocks.
    properties: Vec<Property>,
    references: Vec<Reference>,
    span: Span,
}

/// What may be an argument, or blocks of its name.
#[derive(Debug)]
struct Property {
    argument: Argument,
    blocks: Vec<Nested>,
    /// What is wrong with it if it is blocks.
    found: Diagnostics,
}

#[derive(Clone, Debug)]
struct Argument {
    name: Ident,
    value: Expr,
}

/// A nested block, or a `dynamic` one (then `body` is its `content`).
#[derive(Clone, Debug)]
struct Nested {
    name: Ident,
    body: Body,
    dynamic: Option<Dynamic>,
}

#[derive(Clone, Debug)]
struct Dynamic {
    for_each: Expr,
    iterator: Arc<str>,
}

impl Body {
    /// One in which nothing stands.
    pub(crate) fn empty(span: Span) -> Self {
        Body(Arc::new(Inner {
            arguments: Vec::new(),
            blocks: Vec::new(),
            properties: Vec::new(),
            references: Vec::new(),
            span,
        }))
    }

    /// From what the parser made. `bound` are the iterators of the `dynamic` blocks around it.
    pub(crate) fn new(mut raw: RawBody, bound: &[Arc<str>], diags: &mut Diagnostics) -> Self {
        let mut references = Vec::new();
        let mut arguments = Vec::new();
        let mut properties = Vec::new();
        raw.blocks = raw.take_blocks("dynamic", diags).into_iter().chain(raw.blocks).collect();
        for attribute in raw.attributes {
            if let Some(json) = &attribute.json {
                let property = property(&attribute, json, bound, diags);
                // What a dynamic block binds is a name of its own, which an expression would not know.
                if json.has_dynamic() && !property.blocks.is_empty() {
                    references.extend(property.blocks.iter().flat_map(Nested::references).cloned());
                } else {
                    references.extend_from_slice(property.argument.value.references());
                }
                properties.push(property);
                continue;
            }
            let value = Expr::new(attribute.value, bound, diags);
            references.extend_from_slice(value.references());
            arguments.push(Argument { name: attribute.name, value });
        }
        let mut blocks = Vec::new();
        for block in raw.blocks {
            if let Some(nested) = nested(block, bound, diags) {
                references.extend(nested.references().cloned());
                blocks.push(nested);
            }
        }
        Body(Arc::new(Inner { arguments, blocks, properties, references, span: raw.span }))
    }

    /// The body as a schema reads it: what may be an argument or blocks is one of them.
    fn read_by(&self, schema: &Schema) -> Body {
        if self.0.properties.is_empty() {
            return self.clone();
        }
        let mut arguments = self.0.arguments.clone();
        let mut blocks = self.0.blocks.clone();
        for property in &self.0.properties {
            if schema.blocks.contains_key(&property.argument.name.name) {
                blocks.extend(property.blocks.iter().cloned());
            } else {
                arguments.push(property.argument.clone());
            }
        }
        let Inner { references, span, .. } = &*self.0;
        let references = references.clone();
        Body(Arc::new(Inner { arguments, blocks, properties: Vec::new(), references, span: *span }))
    }

    /// What its expressions refer to, in the order written.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// The expression of an argument.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&Expr> {
        self.arguments().find(|a| &*a.name.name == name).map(|a| &a.value)
    }

    /// All that may be an argument.
    fn arguments(&self) -> impl Iterator<Item = &Argument> {
        self.0.arguments.iter().chain(self.0.properties.iter().map(|p| &p.argument))
    }

    /// The names of its arguments and nested blocks, in the order written, each with its place.
    pub fn names(&self) -> impl Iterator<Item = (&Arc<str>, Span)> {
        let arguments = self.arguments().map(|a| (&a.name.name, a.name.span));
        arguments.chain(self.0.blocks.iter().map(|b| (&b.name.name, b.name.span)))
    }

    /// Where a part of the decoded value comes from: the longest prefix of the path that the body has.
    #[must_use]
    pub fn attr_span(&self, path: &Path) -> Option<Span> {
        let mut body = self;
        let mut found = None;
        let mut steps = path.0.iter().peekable();
        while let Some(Step::Attr(name)) = steps.next() {
            let property = body.0.properties.iter().find(|p| p.argument.name.name == *name);
            // A property that can be blocks is looked into as such, as far as it goes.
            let as_blocks = property.map_or(&[][..], |p| &p.blocks);
            if let Some(argument) = body.arguments().find(|a| a.name.name == *name) {
                let whole = argument.name.span.to(argument.value.span());
                if as_blocks.is_empty() || steps.peek().is_none() {
                    return Some(whole);
                }
                found = Some(whole);
            }
            let mut blocks = body.0.blocks.iter().filter(|b| b.name.name == *name).chain(as_blocks);
            let index = match steps.peek() {
                Some(Step::Index(i)) => {
                    steps.next();
                    *i
                }
                _ => 0,
            };
            // Which of the blocks a dynamic one gives can't be told here: the first will do.
            let exact = blocks.clone().all(|b| b.dynamic.is_none());
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

impl Nested {
    /// What it refers to.
    fn references(&self) -> impl Iterator<Item = &Reference> {
        self.dynamic.iter().flat_map(|d| d.for_each.references()).chain(self.body.references())
    }
}

/// A property of the JSON syntax in both readings.
fn property(attribute: &RawAttribute, json: &Json, bound: &[Arc<str>], diags: &mut Diagnostics) -> Property {
    let mut found = Diagnostics::new();
    let blocks = json.blocks(&attribute.name, &[], &mut found);
    let blocks = blocks.into_iter().filter_map(|block| nested(block, bound, &mut found)).collect();
    let value = Expr::new(attribute.value.clone(), bound, diags);
    Property { argument: Argument { name: attribute.name.clone(), value }, blocks, found }
}

/// A nested block.
fn nested(block: RawBlock, bound: &[Arc<str>], diags: &mut Diagnostics) -> Option<Nested> {
    if &*block.ty.name == "dynamic" {
        return dynamic(block, bound, diags);
    }
    if let Some(label) = block.labels.first() {
        diags.push(
            Diagnostic::error("Extraneous label")
                .detail(format!("Blocks of type \"{}\" take no labels here.", block.ty.name))
                .span(label.span),
        );
    }
    Some(Nested { body: Body::new(block.body, bound, diags), name: block.ty, dynamic: None })
}

/// `dynamic "name" { for_each = … iterator = … content { … } }`
fn dynamic(mut block: RawBlock, bound: &[Arc<str>], diags: &mut Diagnostics) -> Option<Nested> {
    let head = block.head();
    let contents = block.body.take_blocks("content", diags);
    block.body.blocks.extend(contents);
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
            "iterator" => match attribute.as_static().keyword() {
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
