//! Values of variables from outside: `*.tfvars`, `-var`, `TF_VAR_x`.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Sources, Span};
use grappe_value::{Type, Value};
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
        for (name, value) in syntax::json::parse_values(source, text, &mut diags) {
            values.insert(name.name, (value, name.span));
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
