//! What names stand for while an expression is evaluated.

use std::sync::Arc;

use grappe_diag::Diagnostic;
use grappe_value::addr::{InstanceKey, Mode};
use grappe_value::{Type, Value};

use crate::files::{Files, MemoryFiles};

/// `path.module`, `path.root`, `path.cwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The folder of the module that the expression stands in.
    pub module: Arc<str>,
    /// The folder of the root module.
    pub root: Arc<str>,
    /// Where the program was started.
    pub cwd: Arc<str>,
}

/// Answers what names stand for. One scope belongs to one module instance, and to one resource instance where `each`, `count` or `self` are allowed.
///
/// Lookups should be O(log n) at worst and clone no collection: values are cheap to clone. A diagnostic that has no span gets that of the
/// reference that asked.
pub trait Scope {
    /// `var.name`
    ///
    /// # Errors
    /// Where it has no value.
    fn variable(&self, name: &str) -> Result<Value, Diagnostic>;

    /// The type that a variable is declared with. Asked where a conditional does not take the branch with the variable: the result has the type
    /// that both fit, and the variable itself need not be evaluated for that. Where `None`, it is.
    fn variable_type(&self, name: &str) -> Option<Type> {
        let _ = name;
        None
    }

    /// `local.name`
    ///
    /// # Errors
    /// Where it can't be evaluated.
    fn local(&self, name: &str) -> Result<Value, Diagnostic>;

    /// `type.name` or `data.type.name`. With a key, only that instance is asked for: `a.b[count.index]`, `a.b["x"]`; the answer is that
    /// instance's object. The key is of the kind that was written: `a.b["0"]` asks for a text though there is `count`. Without, the whole: one object, a tuple (`count`) or an object by key (`for_each`).
    ///
    /// # Errors
    /// Where there is no such instance, or it can't be read.
    fn resource(
        &self,
        mode: Mode,
        ty: &str,
        name: &str,
        key: Option<&InstanceKey>,
    ) -> Result<Value, Diagnostic>;

    /// The type that an instance of a resource has, and whether there are several: asked where a conditional does not take the branch with it, so that
    /// nothing is read. Where `None`, that branch does not count.
    fn resource_type(&self, mode: Mode, ty: &str, name: &str) -> Option<(Type, bool)> {
        let _ = (mode, ty, name);
        None
    }

    /// `module.call`, with the key where the expression gives one, and the output where it names one. Without an output, an object of all of them;
    /// without a key for a call with `count` or `for_each` (then there is no output either), all instances as for a resource.
    ///
    /// # Errors
    /// Where there is no such instance or output.
    fn module(
        &self,
        call: &str,
        key: Option<&InstanceKey>,
        output: Option<&str>,
    ) -> Result<Value, Diagnostic>;

    /// `each.key` and `each.value`, where there is `for_each`.
    fn each(&self) -> Option<(&Value, &Value)> {
        None
    }

    /// `count.index`, where there is `count`.
    fn count(&self) -> Option<u64> {
        None
    }

    /// `self`, where it is allowed.
    fn self_value(&self) -> Option<Value> {
        None
    }

    /// `path.*`
    fn path(&self) -> Paths;

    /// `terraform.workspace`
    fn workspace(&self) -> &str {
        "default"
    }

    /// `terraform.applying`
    fn applying(&self) -> bool {
        false
    }

    /// Where `file`, `templatefile` and the like read. Paths are given as written in the expression.
    fn files(&self) -> &dyn Files;

    /// The user's home folder, for `pathexpand`; `~` stays where `None`.
    fn home(&self) -> Option<Arc<str>> {
        None
    }

    /// What `timestamp()` gives, as RFC 3339 in UTC (`2024-01-31T12:00:00Z`); unknown where `None`, as while planning.
    fn timestamp(&self) -> Option<Arc<str>> {
        None
    }

    /// What `plantimestamp()` gives, in the same form; unknown where `None`.
    fn plan_timestamp(&self) -> Option<Arc<str>> {
        None
    }

    /// Sixteen random bytes, other ones each time: for `uuid()` and `bcrypt()`, which are unknown where `None`, as while planning.
    fn random(&self) -> Option<[u8; 16]> {
        None
    }
}

/// A scope in which no name stands for anything: for defaults of variables, tfvars, and the like.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConstantScope;

static NO_FILES: MemoryFiles = MemoryFiles(std::collections::BTreeMap::new());

fn not_here(what: &str) -> Diagnostic {
    Diagnostic::error("Variables not allowed")
        .detail(format!("{what} can't be used here: only constants can."))
}

impl Scope for ConstantScope {
    fn variable(&self, name: &str) -> Result<Value, Diagnostic> {
        Err(not_here(&format!("var.{name}")))
    }
    fn local(&self, name: &str) -> Result<Value, Diagnostic> {
        Err(not_here(&format!("local.{name}")))
    }
    fn resource(&self, _: Mode, ty: &str, name: &str, _: Option<&InstanceKey>) -> Result<Value, Diagnostic> {
        Err(not_here(&format!("{ty}.{name}")))
    }
    fn module(&self, call: &str, _: Option<&InstanceKey>, _: Option<&str>) -> Result<Value, Diagnostic> {
        Err(not_here(&format!("module.{call}")))
    }
    fn path(&self) -> Paths {
        Paths { module: ".".into(), root: ".".into(), cwd: ".".into() }
    }
    fn files(&self) -> &dyn Files {
        &NO_FILES
    }
}
