//! What an expression refers to.

use std::sync::Arc;

use grappe_diag::Span;
use grappe_value::addr::Mode;

use crate::Expr;

/// One reference, found when the configuration was loaded.
#[derive(Clone, Debug)]
pub struct Reference {
    /// What it refers to.
    pub subject: Subject,
    /// What follows the subject: `[0].id` of `a.b[0].id`. For a module's output, what stands between the call and the output is here too
    /// (`module.m["x"].out.id` has `["x"]`, `.out`, `.id`).
    pub steps: Vec<RefStep>,
    /// Whether it stands inside `try` or `can`: what turns out not to be there is no error then.
    pub guarded: bool,
    /// Where it stands, subject and steps.
    pub span: Span,
}

/// One step after the subject of a reference.
#[derive(Clone, Debug)]
pub enum RefStep {
    /// `.name`
    Attr(Arc<str>),
    /// `[expr]`; [`Expr::literal`] says whether it is static.
    Index(Expr),
    /// `[*]` or `.*`
    Splat,
}

/// What a reference refers to, in the module it stands in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// `type.name`, `data.type.name` or `ephemeral.type.name`
    Resource {
        /// `resource`, `data` or `ephemeral`.
        mode: Mode,
        /// The type's name.
        ty: Arc<str>,
        /// The block's name.
        name: Arc<str>,
    },
    /// `module.call`, with the output where one is named.
    Module {
        /// The call's name.
        call: Arc<str>,
        /// The output, where the expression names one; `None` for the whole call.
        output: Option<Arc<str>>,
    },
    /// `var.name`
    Variable(Arc<str>),
    /// `local.name`
    Local(Arc<str>),
    /// `each.key`, `each.value`
    Each,
    /// `count.index`
    Count,
    /// `self`
    SelfValue,
    /// `path.module`, `path.root`, `path.cwd`
    Path,
    /// `terraform.workspace`
    Terraform,
}

/// As a plan writes it.
impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::Resource { mode, ty, name } => write!(f, "{}{ty}.{name}", mode.prefix()),
            Subject::Module { call, .. } => write!(f, "module.{call}"),
            Subject::Variable(name) => write!(f, "var.{name}"),
            Subject::Local(name) => write!(f, "local.{name}"),
            Subject::Each => f.write_str("each"),
            Subject::Count => f.write_str("count"),
            Subject::SelfValue => f.write_str("self"),
            Subject::Path => f.write_str("path"),
            Subject::Terraform => f.write_str("terraform"),
        }
    }
}
