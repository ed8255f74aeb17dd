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
//!
//! # Otherwise than Terraform 1.11, on purpose
//!
//! - Only the branch of a conditional that is taken is evaluated, and an index with a known key reads that instance only: edges are exact.
//!   The type of the other branch still counts (`true ? 1 : "a"` is `"1"`) where it can be told without reading a resource, module or local; what
//!   fails in it is of no type, as there.
//! - Dividing by zero is an error, not an infinity.
//! - An unknown function is an error when loading, unless inside `try` or `can`, where Terraform has it too.
//! - `log` and `pow` may differ from Terraform's in the last digit of a double.
//! - What `for` expressions make is bounded: two million elements in one expression.
//!
//! docs/language.md lists what the comparison with Terraform found besides.
//!
//! Messages are Terraform's where those are good; `tests/it/expressions.txt` marks the others with `~`.

mod body;
mod config;
mod expr;
mod files;
mod format;
pub mod functions;
mod reference;
mod scope;
mod syntax;
mod vars;

pub use body::Body;
pub use config::{
    Backend, Check, CheckBlock, Choice, Config, Defaults, Flag, IgnoreChanges, Import, Lifecycle, Local,
    Module, ModuleCall, Moved, Output, ProviderBlock, ProviderRef, ProviderUse, Provisioner, Provisioners,
    Removed, RequiredProvider, Resource, Settings, Variable, When, load,
};
pub use expr::Expr;
pub use files::{Files, MemoryFiles};
pub use format::{format, unfinished};
pub use grappe_value::addr::{InstanceKey, Mode};
pub use reference::{RefStep, Reference, Subject};
pub use scope::{ConstantScope, Paths, Scope};
pub use syntax::block_around;
pub use vars::{parse_tfvars, parse_var_value};
