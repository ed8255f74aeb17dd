//! Values of variables from outside: `*.tfvars`, `-var`, `TF_VAR_x`.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Sources, Span};
use grappe_value::{Type, Value, json};
use indexmap::IndexMap;

use crate::config::constant;
use crate::syntax;

/// Reads a tfvars file (JSON where the name ends in `.json`). The text is added to the sources, so that spans name it.
pub fn parse_tfvars(
    sources: &mut Sources,
    name: &str,
    text: &str,
) -> (IndexMap<Arc<str>, (Value, Span)>, Diagnostics) {
    let source = sources.add(name, text);
    let mut diags = Diagnostics::new();
    let mut values = IndexMap::new();
    if name.ends_with(".json") {
        match serde_json::from_str(text) {
            Ok(serde_json::Value::Object(entries)) => {
                let whole = Span::new(source, 0, 0);
                for (key, value) in entries {
                    values.insert(key.as_str().into(), (json::from_json(&value), whole));
                }
            }
            Ok(_) => diags.push(
                Diagnostic::error("Invalid variables file")
                    .detail("The file holds one JSON object: variable names with their values.")
                    .span(Span::new(source, 0, 1)),
            ),
            Err(error) => {
                let before: usize =
                    text.lines().take(error.line().saturating_sub(1)).map(|l| l.len() + 1).sum();
                let at = before + error.column().saturating_sub(1);
                diags.push(Diagnostic::error("Invalid JSON").detail(format!("{error}.")).span(Span::new(
                    source,
                    at,
                    at + 1,
                )));
            }
        }
        return (values, diags);
    }
    let body = syntax::parse_file(source, text, &mut diags);
    for attribute in body.attributes {
        let span = attribute.name.span.to(attribute.value.span);
        if let Some(value) = diags.keep(constant(attribute.value)) {
            values.insert(attribute.name.name, (value, span));
        }
    }
    for block in body.blocks {
        diags.push(
            Diagnostic::error("Unexpected block")
                .detail(format!(
                    "A variables file holds values only (name = value), no blocks like \"{}\".",
                    block.ty.name
                ))
                .hint("to declare a variable, put the block into a .tf file")
                .span(block.head()),
        );
    }
    diags.sort();
    (values, diags)
}

/// Reads the value of a variable of this type from `-var name=text` or `TF_VAR_name`: literally where a primitive type (or any) is wanted, as an
/// HCL expression otherwise. `origin` is how messages call it: `-var x`. Where the variable's declaration is at hand, [`crate::Variable::read`]
/// knows better: a declared `any` wants an expression.
///
/// # Errors
/// Where it is no expression, or not a constant one. The value is not converted to the type yet: [`crate::Variable::accept`] does.
pub fn parse_var_value(
    sources: &mut Sources,
    origin: &str,
    text: &str,
    ty: &Type,
) -> Result<Value, Diagnostics> {
    if ty.is_primitive() || *ty == Type::Any { Ok(text.into()) } else { expression(sources, origin, text) }
}

/// A constant expression.
pub(crate) fn expression(sources: &mut Sources, origin: &str, text: &str) -> Result<Value, Diagnostics> {
    let source = sources.add(format!("<{origin}>"), text);
    syntax::parse_expr(source, text).and_then(constant)
}
