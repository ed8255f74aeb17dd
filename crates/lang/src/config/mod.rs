//! The configuration: what the blocks of a root module and its local modules say, checked and typed.

use std::path::PathBuf;
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Sources, Span};
use grappe_value::addr::Mode;
use grappe_value::{Marks, Path, Step, Type, Value, convert};
use indexmap::IndexMap;

use crate::{Body, Expr, Reference};

mod blocks;
mod checks;
mod fields;
mod imports;
mod load;
mod merge;
mod meta;
mod moves;
mod provisioners;
mod references;
mod types;
mod version;

pub use checks::CheckBlock;
pub(crate) use fields::{constant, is_identifier};
pub use imports::Import;
pub use load::load;
pub use moves::{Moved, Removed};
pub use provisioners::{Provisioner, Provisioners, When};
pub use types::Defaults;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The root module; others hang below it, at the calls.
    pub root: Arc<Module>,
}

/// A module as a call sees it: two calls of one folder give two of these.
#[derive(Clone, Debug)]
pub struct Module {
    /// The calls that lead here, outermost first. Empty for the root.
    pub path: Vec<Arc<str>>,
    /// Its folder, relative to where the root module's folder is relative to: what `path.module` gives. Never empty.
    pub dir: PathBuf,
    /// `variable`
    pub variables: IndexMap<Arc<str>, Variable>,
    /// `locals`
    pub locals: IndexMap<Arc<str>, Local>,
    /// `output`
    pub outputs: IndexMap<Arc<str>, Output>,
    /// `resource` and `data`, by mode, type and name.
    pub resources: IndexMap<(Mode, Arc<str>, Arc<str>), Arc<Resource>>,
    /// `module`
    pub calls: IndexMap<Arc<str>, ModuleCall>,
    /// `provider`
    pub providers: Vec<ProviderBlock>,
    /// `moved`
    pub moved: Vec<Moved>,
    /// `removed`
    pub removed: Vec<Removed>,
    /// `check`
    pub checks: IndexMap<Arc<str>, CheckBlock>,
    /// `import`: of the root module only.
    pub imports: Vec<Import>,
    /// `terraform`
    pub settings: Settings,
}

/// An input variable.
#[derive(Clone, Debug)]
pub struct Variable {
    /// `var.name`
    pub name: Arc<str>,
    /// What its value is converted to; [`Type::Any`] where nothing is said.
    pub ty: Type,
    /// The value where the caller gives none, converted already.
    pub default: Option<Value>,
    /// What `optional(type, default)` says inside the type.
    pub defaults: Defaults,
    /// Its value is marked.
    pub sensitive: bool,
    /// Its value may not be stored.
    pub ephemeral: bool,
    /// Whether null is a value; otherwise it means the default.
    pub nullable: bool,
    /// Whether a text from the command line or the environment is the value itself: a primitive type, or none said.
    pub(crate) literal: bool,
    /// `validation` blocks.
    pub validations: Vec<Check>,
    /// For its user.
    pub description: Option<Arc<str>>,
    /// The head of its block.
    pub span: Span,
}

impl Variable {
    /// Reads a value from `-var name=text` or `TF_VAR_name`: the text itself, or an HCL expression where the type is not a primitive one. It is
    /// not converted yet: [`Variable::accept`] does. `origin` is how messages call it: `-var x`, `TF_VAR_x`.
    ///
    /// # Errors
    /// Where an expression is wanted, and the text is none, or not a constant one.
    pub fn read(&self, sources: &mut Sources, origin: &str, text: &str) -> Result<Value, Diagnostics> {
        if self.literal { Ok(text.into()) } else { crate::vars::expression(sources, origin, text) }
    }

    /// The value that the variable has when the caller gives this one (`None`: nothing): defaults applied, converted, marked where the variable is
    /// sensitive. `span` is where the value comes from. Validations are apart: they are evaluated in the module's scope.
    ///
    /// # Errors
    /// Where the value does not fit the type, is null though it may not be, or is missing.
    pub fn accept(&self, value: Option<Value>, span: Option<Span>) -> Result<Value, Diagnostics> {
        let name = &self.name;
        let invalid = |detail: String| {
            Diagnostics::from(
                Diagnostic::error("Invalid value for input variable")
                    .detail(detail)
                    .span(span)
                    .related(self.span, "declared here"),
            )
        };
        let mark = |value: Value| {
            let value = if self.sensitive { value.sensitive() } else { value };
            if self.ephemeral { value.with_marks(Marks::EPHEMERAL) } else { value }
        };
        // Null stands for the default, where null is no value of its own.
        let given = value.filter(|v| self.nullable || !v.is_null() || self.default.is_none());
        let Some(given) = given else {
            return match &self.default {
                Some(default) => Ok(mark(default.clone())),
                None => Err(Diagnostic::error("No value for required variable")
                    .detail(format!(
                        "The root module input variable \"{name}\" is not set, and has no default value."
                    ))
                    .hint(format!("give it with -var {name}=…, TF_VAR_{name}, or in a .tfvars file"))
                    .span(self.span)
                    .into()),
            };
        };
        let value = convert(&self.defaults.apply(given), &self.ty).map_err(|mut error| {
            if self.sensitive {
                // The keys of a map belong to what must not be shown.
                let known = error.path.0.iter().take_while(|step| !matches!(step, Step::Key(_))).count();
                error.path.0.truncate(known);
            }
            invalid(format!("The given value is not suitable for var.{name}: {error}."))
        })?;
        if value.is_null() && !self.nullable {
            return Err(invalid(format!(
                "The given value is not suitable for var.{name}: required variable may not be set to null."
            )));
        }
        Ok(mark(value))
    }
}

/// A condition with what to say where it does not hold.
#[derive(Clone, Debug)]
pub struct Check {
    /// Must be true.
    pub condition: Expr,
    /// What to say otherwise.
    pub error_message: Expr,
    /// The block.
    pub span: Span,
}

/// A local value.
#[derive(Clone, Debug)]
pub struct Local {
    /// Its value.
    pub expr: Expr,
    /// Its name in the block.
    pub span: Span,
}

/// An output value.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its value.
    pub expr: Expr,
    /// Its value is marked.
    pub sensitive: bool,
    /// Its value is good for this run only. Never so in the root module.
    pub ephemeral: bool,
    /// `depends_on`
    pub depends_on: Vec<Reference>,
    /// `precondition` blocks.
    pub preconditions: Vec<Check>,
    /// For its user.
    pub description: Option<Arc<str>>,
    /// The head of its block.
    pub span: Span,
}

/// A `resource`, `data` or `ephemeral` block.
#[derive(Clone, Debug)]
pub struct Resource {
    /// `resource`, `data` or `ephemeral`.
    pub mode: Mode,
    /// The type's name.
    pub ty: Arc<str>,
    /// The block's name.
    pub name: Arc<str>,
    /// The head of the block.
    pub span: Span,
    /// `count`. Never together with `for_each`.
    pub count: Option<Expr>,
    /// `for_each`
    pub for_each: Option<Expr>,
    /// `depends_on`
    pub depends_on: Vec<Reference>,
    /// `provider`; the one that the type's prefix names where `None`.
    pub provider: Option<ProviderUse>,
    /// `lifecycle`
    pub lifecycle: Lifecycle,
    /// `timeouts { … }`: how long operations may take. An argument of that name is the type's own affair.
    pub timeouts: Option<Body>,
    /// The `check` block that a data source stands in: it is read for that alone, and what is wrong with it is only a warning.
    pub scope: Option<Arc<str>>,
    /// `provisioner` and `connection`
    pub provisioners: Provisioners,
    /// All else: what the schema describes.
    pub body: Body,
    /// Whether no block stands there: see [`Module::stand_in`].
    pub stands_in: bool,
}

impl Resource {
    fn stand_in(ty: Arc<str>, name: Arc<str>, import: &Import) -> Self {
        Resource {
            mode: Mode::Managed,
            ty,
            name,
            span: import.span,
            count: None,
            for_each: None,
            depends_on: Vec::new(),
            provider: import.provider.clone(),
            lifecycle: Lifecycle::default(),
            timeouts: None,
            scope: None,
            provisioners: Provisioners::default(),
            body: Body::empty(import.span),
            stands_in: true,
        }
    }
}

/// `aws.west`: which configuration of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderRef {
    /// The provider's local name.
    pub name: Arc<str>,
    /// The alias, where it is not the default configuration.
    pub alias: Option<Arc<str>>,
}

/// `aws.by_region[each.key]`: a configuration, and which of them where its block has `for_each`.
#[derive(Clone, Debug)]
pub struct ProviderUse {
    /// Which configuration.
    pub of: ProviderRef,
    /// Its key.
    pub key: Option<Expr>,
    /// Where that is said.
    pub span: Span,
}

/// `lifecycle`
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// The new object is made before the old one is deleted.
    pub create_before_destroy: Flag,
    /// A plan that deletes it is refused.
    pub prevent_destroy: Flag,
    /// What the configuration says is ignored once the object exists.
    pub ignore_changes: Choice<IgnoreChanges>,
    /// The object is replaced when one of these changes.
    pub replace_triggered_by: Choice<Vec<Reference>>,
    /// Checked before.
    pub preconditions: Vec<Check>,
    /// Checked after.
    pub postconditions: Vec<Check>,
}

/// A yes or no of a `lifecycle` block: no where nothing is said. Terraform wants it constant; here it may be made of what is known while planning: of
/// variables, locals, `each.key` and `count.index`.
#[derive(Clone, Debug, Default)]
pub struct Flag(Option<Expr>);

impl Flag {
    /// What it is made of; `None` where nothing is said.
    #[must_use]
    pub fn expr(&self) -> Option<&Expr> {
        self.0.as_ref()
    }

    /// Whether it is yes, whatever else there is.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.as_ref().and_then(Expr::literal).and_then(|v| v.as_bool()) == Some(true)
    }
}

/// A list of a `lifecycle` block. Terraform wants it written out; here it may be one of two, by a condition of what is known while planning: of
/// variables, locals, `each.key` and `count.index`.
#[derive(Clone, Debug)]
pub enum Choice<T> {
    /// Written out.
    Is(T),
    /// `condition ? these : those`
    When(Box<(Expr, Choice<T>, Choice<T>)>),
}

impl<T: Default> Default for Choice<T> {
    fn default() -> Self {
        Choice::Is(T::default())
    }
}

impl<T> Choice<T> {
    /// All that may be chosen, and by what.
    fn parts(&self) -> (Vec<&T>, Vec<&Expr>) {
        let (mut leaves, mut conditions, mut todo) = (Vec::new(), Vec::new(), vec![self]);
        while let Some(choice) = todo.pop() {
            match choice {
                Choice::Is(it) => leaves.push(it),
                Choice::When(parts) => {
                    conditions.push(&parts.0);
                    todo.extend([&parts.2, &parts.1]);
                }
            }
        }
        (leaves, conditions)
    }

    /// All that may be chosen.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.parts().0.into_iter()
    }

    /// The conditions that choose.
    pub fn conditions(&self) -> impl Iterator<Item = &Expr> {
        self.parts().1.into_iter()
    }

    /// What is chosen, by what is said of the conditions that are asked.
    pub fn choose(&self, holds: &mut dyn FnMut(&Expr) -> bool) -> &T {
        let mut choice = self;
        loop {
            match choice {
                Choice::Is(it) => return it,
                Choice::When(parts) => choice = if holds(&parts.0) { &parts.1 } else { &parts.2 },
            }
        }
    }
}

/// `lifecycle.ignore_changes`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IgnoreChanges {
    /// Nothing.
    #[default]
    None,
    /// `all`
    All,
    /// These parts.
    Paths(Vec<Path>),
}

/// A `module` block with the module that it calls.
#[derive(Clone, Debug)]
pub struct ModuleCall {
    /// `module.name`
    pub name: Arc<str>,
    /// As written: `./net`.
    pub source: Arc<str>,
    /// `count`. Never together with `for_each`.
    pub count: Option<Expr>,
    /// `for_each`
    pub for_each: Option<Expr>,
    /// `depends_on`
    pub depends_on: Vec<Reference>,
    /// What is given to the module's variables.
    pub arguments: IndexMap<Arc<str>, Expr>,
    /// `providers`: the child's configuration, and which of ours it is.
    pub providers: Vec<(ProviderRef, ProviderUse)>,
    /// What is called.
    pub module: Arc<Module>,
    /// The head of the block.
    pub span: Span,
}

/// A `provider` block.
#[derive(Clone, Debug)]
pub struct ProviderBlock {
    /// The provider's local name.
    pub name: Arc<str>,
    /// `alias`
    pub alias: Option<Arc<str>>,
    /// Several configurations, by key. Terraform does not have it. Never without an alias.
    pub for_each: Option<Expr>,
    /// What the provider's schema describes.
    pub body: Body,
    /// The head of the block.
    pub span: Span,
}

/// What `terraform` blocks say.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `required_version`, as written; checked when loaded against the version of the language that this crate speaks.
    pub required_version: Vec<(Arc<str>, Span)>,
    /// `required_providers` by local name.
    pub required_providers: IndexMap<Arc<str>, RequiredProvider>,
    /// `backend`
    pub backend: Option<Backend>,
}

/// An entry of `required_providers`.
#[derive(Clone, Debug)]
pub struct RequiredProvider {
    /// `hashicorp/aws`
    pub source: Option<Arc<str>>,
    /// `~> 1.0`
    pub version: Option<Arc<str>>,
    /// The entry.
    pub span: Span,
}

/// Where the state is kept.
#[derive(Clone, Debug)]
pub struct Backend {
    /// `local`, `s3`, …
    pub ty: Arc<str>,
    /// What it says.
    pub body: Body,
    /// The head of the block.
    pub span: Span,
}
