//! Terraform's language: HCL to a typed configuration, references, evaluation, functions.
//!
//! Pure: no clock, no files (they come through [`Files`]), no threads. The way through the crate:
//!
//! ```text
//! text ─ syntax ─► blocks and expressions, with spans ─ config ─► Config ─┬─ Expr::eval(scope) ─► Value
//!                                                                        └─ Body::decode(schema, scope) ─► Value
//! ```
//!
//! [`load`] reads a root module and the local modules that it calls and says all that is wrong with them at once. What an expression
//! refers to is found then, once ([`Expr::references`]); what a reference *is* while evaluating is asked of a [`Scope`], which the
//! planner implements: it learns there, instance by instance, who depends on whom.

mod body;
mod config;
mod expr;
mod files;
pub mod functions;
mod reference;
mod scope;
mod syntax;
mod vars;

pub use body::Body;
pub use config::{
    Backend, Check, Config, Defaults, IgnoreChanges, Lifecycle, Local, Module, ModuleCall, Output,
    ProviderBlock, ProviderRef, RequiredProvider, Resource, Settings, Variable, load,
};
pub use expr::Expr;
pub use files::{Files, MemoryFiles};
pub use grappe_value::addr::{InstanceKey, Mode};
pub use reference::{RefStep, Reference, Subject};
pub use scope::{ConstantScope, Paths, Scope};
pub use vars::{parse_tfvars, parse_var_value};
