//! `check` blocks: assertions that only warn. They are made when all else is planned, and again when all is applied.

use grappe_diag::{Diagnostic, Diagnostics, Severity};

use crate::compute::Holds;
use crate::walk::{NodeId, Walk};

impl Walk<'_> {
    /// What the assertions say. Those that touch what is `open` are left alone; so are those that touch what could not be read, which was said.
    pub(crate) fn assertions(&self, open: &dyn Fn(&[NodeId]) -> bool) -> Diagnostics {
        let mut found = Diagnostics::new();
        for mi in 0..self.modules.len() {
            let module = &self.modules[mi];
            for check in self.statics.modules[module.module].config.checks.values() {
                for assert in &check.asserts {
                    let made = self.check(assert, &self.frame(mi), "Check block assertion failed", false);
                    if open(&made.deps) {
                        continue;
                    }
                    found.extend(as_warnings(made.found));
                    if made.value == Some(Holds::Open) {
                        found.push(
                            Diagnostic::warning("Check block assertion known after apply")
                                .detail(
                                    "The condition could not be evaluated at this time, a result will be known when this plan is \
                                     applied.",
                                )
                                .span(assert.condition.span()),
                        );
                    }
                }
            }
        }
        found
    }
}

/// What is wrong, as something that nothing waits for.
pub(crate) fn as_warnings(mut found: Diagnostics) -> Diagnostics {
    found.0.iter_mut().for_each(|d| d.severity = Severity::Warning);
    found
}
