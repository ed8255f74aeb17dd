//! The language as its users see it: files in, values and diagnostics out.

mod bodies;
mod expressions;
mod files;
mod format;
mod instances;
mod json;
mod loading;
mod overrides;
mod robust;
mod support;
mod unknowns;
mod vars;
