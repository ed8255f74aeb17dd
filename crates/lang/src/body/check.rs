//! What is wrong with a body whatever its expressions give.

use std::collections::HashMap;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::{Block, Nesting, Presence, Schema};

use super::Body;
use crate::syntax::Ident;

impl Body {
    /// What can be said without evaluating: unknown arguments and blocks, missing ones, too many or too few blocks.
    #[must_use]
    pub fn check(&self, schema: &Schema) -> Diagnostics {
        let mut diags = Diagnostics::new();
        self.check_into(schema, &mut diags);
        diags.sort();
        diags
    }

    fn check_into(&self, schema: &Schema, diags: &mut Diagnostics) {
        if !self.0.properties.is_empty() {
            self.check_properties(schema, diags);
            return self.read_by(schema).check_into(schema, diags);
        }
        let settable = || schema.attributes.iter().filter(|(_, a)| a.is_settable()).map(|(name, _)| &**name);
        for argument in &self.0.arguments {
            let name = &argument.name.name;
            match schema.attributes.get(name) {
                Some(attribute) if attribute.is_settable() => {}
                Some(_) => diags.push(
                    Diagnostic::error("Value for unconfigurable attribute")
                        .detail(format!("Can't configure a value for \"{name}\": its value will be decided automatically based on the result of applying this configuration."))
                        .span(argument.name.span),
                ),
                None => {
                    let unsupported = Diagnostic::error("Unsupported argument")
                        .detail(format!("An argument named \"{name}\" is not expected here."))
                        .span(argument.name.span);
                    diags.push(if schema.blocks.contains_key(name) {
                        unsupported.hint(format!("\"{name}\" is a block: write {name} {{ … }} without an equals sign"))
                    } else {
                        unsupported.did_you_mean(name, settable().chain(schema.blocks.keys().map(|k| &**k)))
                    });
                }
            }
        }
        for (name, attribute) in &schema.attributes {
            if attribute.presence == Presence::Required && self.argument(name).is_none() {
                diags.push(
                    Diagnostic::error("Missing required argument")
                        .detail(format!("The argument \"{name}\" is required, but no definition was found."))
                        .span(self.missing_span()),
                );
            }
        }
        for nested in &self.0.blocks {
            let name = &nested.name.name;
            match schema.blocks.get(name) {
                Some(block) => nested.body.check_into(&block.schema, diags),
                None => {
                    let unsupported = Diagnostic::error("Unsupported block type")
                        .detail(format!("Blocks of type \"{name}\" are not expected here."))
                        .span(nested.name.span);
                    diags.push(if schema.attributes.get(name).is_some_and(|a| a.is_settable()) {
                        unsupported.hint(format!("\"{name}\" is an argument: write {name} = …"))
                    } else {
                        unsupported.did_you_mean(name, schema.blocks.keys().map(|k| &**k).chain(settable()))
                    });
                }
            }
        }
        for (name, block) in &schema.blocks {
            self.check_count(name, block, diags);
        }
    }

    /// What is wrong with properties once it is known which of them are blocks. Two arguments of one name are one too many; blocks are not.
    fn check_properties(&self, schema: &Schema, diags: &mut Diagnostics) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for property in &self.0.properties {
            let name = &property.argument.name;
            if schema.blocks.contains_key(&name.name) {
                diags.extend(property.found.clone());
            } else if let Some(first) = seen.insert(&name.name, name.span) {
                diags.push(redefined(name, first));
            }
        }
    }

    fn check_count(&self, name: &str, block: &Block, diags: &mut Diagnostics) {
        let given = || self.0.blocks.iter().filter(|b| &*b.name.name == name);
        let fixed = given().filter(|b| b.dynamic.is_none()).count();
        let open = given().any(|b| b.dynamic.is_some());
        let (min, max) = bounds(block);
        if fixed < min && !open {
            diags.push(too_few(name, min, fixed).span(self.missing_span()));
        }
        if let Some(max) = max
            && let Some(extra) = given().filter(|b| b.dynamic.is_none()).nth(max)
        {
            diags.push(too_many(name, max).span(extra.name.span));
        }
    }

    /// Where what is missing would stand: the start of the body, so that one line is shown and not the whole block.
    fn missing_span(&self) -> Span {
        let span = self.0.span;
        Span { start: span.start.saturating_sub(1), end: span.start, ..span }
    }
}

/// An argument that is set twice.
pub(crate) fn redefined(name: &Ident, first: Span) -> Diagnostic {
    Diagnostic::error("Attribute redefined")
        .detail(format!(
            "The argument \"{}\" was already set. Each argument may be set only once.",
            name.name
        ))
        .span(name.span)
        .related(first, "first set here")
}

/// How many blocks there may be.
pub(super) fn bounds(block: &Block) -> (usize, Option<usize>) {
    match block.nesting {
        Nesting::Single => (block.min, Some(block.max.unwrap_or(1).min(1))),
        Nesting::List | Nesting::Set => (block.min, block.max),
    }
}

pub(super) fn too_few(name: &str, min: usize, have: usize) -> Diagnostic {
    if have == 0 && min == 1 {
        return Diagnostic::error(format!("Missing {name} block"))
            .detail(format!("A \"{name}\" block is required here."));
    }
    Diagnostic::error(format!("Insufficient {name} blocks"))
        .detail(format!("At least {min} \"{name}\" blocks are required; there are {have}."))
}

pub(super) fn too_many(name: &str, max: usize) -> Diagnostic {
    match max {
        1 => Diagnostic::error(format!("Duplicate {name} block"))
            .detail(format!("Only one \"{name}\" block is allowed here.")),
        _ => Diagnostic::error(format!("Too many {name} blocks"))
            .detail(format!("No more than {max} \"{name}\" blocks are allowed.")),
    }
}
