//! Expressions of a person, in the root module, over what exists.
//!
//! The same walk as a plan's, with the objects of a state (or of a plan) as the values of instances; what has no object is not known.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::{Config, Expr};
use grappe_provider::Registry;
use grappe_value::addr::Mode;
use grappe_value::{Marks, Type, Value};

use crate::resolve::{InstanceValues, Surroundings};
use crate::statics::Statics;
use crate::walk::{At, Driver, Env, Made, Walk};

/// The root module with values, ready to be asked.
pub struct Console<'a> {
    walk: Walk<'a>,
}

struct Existing<'v> {
    registry: &'v Registry,
    values: &'v dyn InstanceValues,
}

impl Driver for Existing<'_> {
    fn instance(&mut self, _: &Walk<'_>, at: &At<'_>) -> Made<Value> {
        let ty = self.registry.schema(at.resource.mode, &at.resource.ty).map(grappe_value::Schema::ty);
        let value = self.values.get(&at.addr);
        let marks = if at.resource.mode == Mode::Ephemeral { Marks::EPHEMERAL } else { Marks::NONE };
        let unknown = || Value::unknown(ty.unwrap_or(Type::Any)).with_marks(marks);
        Made { value: Some(value.unwrap_or_else(unknown)), ..Made::default() }
    }
}

impl<'a> Console<'a> {
    /// With the values of variables (the others are not known) and of instances.
    ///
    /// # Errors
    /// Where the configuration can't be walked at all.
    pub fn new(
        config: &'a Config,
        registry: &'a Registry,
        surroundings: Surroundings<'a>,
        variables: &'a BTreeMap<Arc<str>, Value>,
        values: &dyn InstanceValues,
    ) -> Result<Self, Diagnostics> {
        let statics = Arc::new(Statics::new(config, registry)?);
        let env = Env {
            files: surroundings.files,
            cwd: surroundings.cwd,
            home: surroundings.home,
            workspace: "default".into(),
            plan_timestamp: surroundings.timestamp.clone(),
            timestamp: surroundings.timestamp,
            random: surroundings.random,
            applying: false,
            variables,
        };
        let mut walk = Walk::new(statics, env);
        walk.run(&mut Existing { registry, values }, None);
        Ok(Console { walk })
    }

    /// What is wrong with the configuration: what depends on it can't be evaluated.
    pub fn problems(&self) -> &Diagnostics {
        &self.walk.found
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// Where it has none.
    pub fn eval(&self, expr: &Expr) -> Result<Value, Diagnostics> {
        let made = self.walk.eval(&self.walk.frame(0), |scope| expr.eval(scope));
        if made.found.has_errors() {
            return Err(made.found);
        }
        made.value.ok_or_else(|| {
            Diagnostic::error("Not evaluated")
                .detail("It needs something that can't be evaluated; what is wrong with that was said at the start.")
                .span(expr.span())
                .into()
        })
    }
}
