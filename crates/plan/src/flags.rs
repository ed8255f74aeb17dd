//! The flags of `lifecycle` blocks, which may be made of what is known while planning.

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::{Choice, Expr, Flag, Resource};
use grappe_value::addr::InstanceAddr;
use grappe_value::{Type, Value, convert};

use crate::planner::prevented;
use crate::walk::{Frame, Walk};

impl Walk<'_> {
    /// Whether a flag is set. What keeps that from being known is said, and it counts as not set.
    pub(crate) fn flag(&self, flag: &Flag, name: &str, frame: &Frame, found: &mut Diagnostics) -> bool {
        flag.expr().is_some_and(|expr| self.holds(expr, name, frame, found))
    }

    /// What a list of a `lifecycle` block comes to.
    pub(crate) fn choice<'c, T>(
        &self,
        choice: &'c Choice<T>,
        name: &str,
        frame: &Frame,
        found: &mut Diagnostics,
    ) -> &'c T {
        choice.choose(&mut |expr| self.holds(expr, name, frame, found))
    }

    fn holds(&self, expr: &Expr, name: &str, frame: &Frame, found: &mut Diagnostics) -> bool {
        let made = self.eval(frame, |scope| expr.eval(scope));
        let refuse = |why: &str| {
            Diagnostic::error(format!("Invalid {name} argument"))
                .detail(format!("The value of \"{name}\" {why}."))
                .span(expr.span())
        };
        let broken = made.found.has_errors();
        found.extend(made.found);
        let Some(value) = made.value else {
            // What it is made of was said to be wrong.
            if !broken && !self.found.has_errors() && !found.has_errors() {
                found.push(refuse("can't be known while planning"));
            }
            return false;
        };
        match convert(&value, &Type::Bool) {
            Ok(value) if value.is_unknown() => found.push(refuse("can't be known while planning")),
            Ok(value) => return value.as_bool().unwrap_or(false),
            Err(error) => found.push(refuse(&format!("is unsuitable: {}", error.message))),
        }
        false
    }

    /// Says where an object that is to be deleted may not be, by what its block says.
    pub(crate) fn protected(&self, addr: &InstanceAddr, block: &Resource, found: &mut Diagnostics) {
        let frame = self.leaving_frame(addr, &Value::NULL);
        if self.flag(&block.lifecycle.prevent_destroy, "prevent_destroy", &frame, found) {
            found.push(prevented(addr, block));
        }
    }
}
