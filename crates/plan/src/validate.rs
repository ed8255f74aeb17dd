//! `validate`: all that can be said of a configuration without variables, state or providers' answers.
//!
//! The same walk as a plan's, over values of which only the types are known: variables are unknown, and one instance stands for all of a block,
//! whatever its `count` or `for_each` gives. What those can't be, a sensitive or an ephemeral value say, is wrong all the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use grappe_diag::Diagnostics;
use grappe_lang::{Config, Files, Resource};
use grappe_provider::Registry;
use grappe_value::addr::Mode;
use grappe_value::{Marks, Value};

use crate::assemble::said_once;
use crate::decide::{creation, nothing_known, propose};
use crate::planner::{asked, blame, problems};
use crate::statics::Statics;
use crate::walk::{At, Driver, Env, Made, Walk};

/// All that is wrong with a configuration, warnings too.
pub fn validate(config: &Config, registry: &Registry, files: &dyn Files) -> Diagnostics {
    let statics = match Statics::new(config, registry) {
        Ok(statics) => Arc::new(statics),
        Err(found) => return found,
    };
    check(&statics, files)
}

/// What is wrong with the blocks as they stand, and with what their expressions give.
pub(crate) fn check(statics: &Arc<Statics<'_>>, files: &dyn Files) -> Diagnostics {
    let mut found = check_blocks(statics);
    let config = statics.modules[0].config;
    let variables: BTreeMap<Arc<str>, Value> =
        config.variables.iter().map(|(name, v)| (name.clone(), Value::unknown(v.ty.clone()))).collect();
    let env = Env {
        files,
        cwd: ".".into(),
        workspace: "default".into(),
        home: None,
        plan_timestamp: None,
        timestamp: None,
        random: None,
        applying: false,
        variables: &variables,
    };
    let mut walk = Walk::new(statics.clone(), env);
    walk.run(&mut Validator { registry: statics.registry }, None);
    found.extend(std::mem::take(&mut walk.found));
    // Of what is not known nothing more is said here.
    found.extend(walk.assertions(&|_| false).into_iter().filter(|d| d.summary == "Invalid condition result"));
    found.sort();
    said_once(found)
}

/// What can be said of blocks without evaluating anything: types and providers that do not exist, unknown and missing arguments.
pub(crate) fn check_blocks(statics: &Statics<'_>) -> Diagnostics {
    let mut found = Diagnostics::new();
    let mut once = |diagnostics: Diagnostics| {
        // A module that is called twice is in the tree twice.
        for diagnostic in diagnostics {
            if !found.iter().any(|d| *d == diagnostic) {
                found.push(diagnostic);
            }
        }
    };
    once(crate::moves::check_removed(statics));
    for (m, module) in statics.modules.iter().enumerate() {
        for resource in module.config.resources.values() {
            match statics.provider_of(m, resource) {
                Err(wrong) => once(wrong.into()),
                Ok(_) => once(check_body(statics.registry, resource)),
            }
            once(crate::provision::check(statics.registry, &resource.provisioners));
        }
        for block in &module.config.removed {
            once(crate::provision::check(statics.registry, &block.provisioners));
        }
        for block in &module.config.providers {
            let name = crate::providers::registry_name(module.config, &block.name);
            match statics.registry.provider(&name) {
                Some(provider) => once(block.body.check(provider.schema())),
                // Nothing uses it: it does no harm, as a provider that one plan needs and another does not.
                None => once(
                    grappe_diag::Diagnostic::warning("Unknown provider")
                        .detail(format!("There is no provider {name:?} here: this block does nothing."))
                        .span(block.span)
                        .did_you_mean(&name, statics.registry.providers().map(|p| p.name()))
                        .into(),
                ),
            }
        }
    }
    found
}

fn check_body(registry: &Registry, resource: &Resource) -> Diagnostics {
    let schema = registry.schema(resource.mode, &resource.ty).filter(|_| !resource.stands_in);
    let mut found = schema.map(|schema| resource.body.check(schema)).unwrap_or_default();
    found.extend(crate::timeouts::check(resource));
    found
}

/// Gives instances what their blocks say, and leaves the rest unknown.
struct Validator<'r> {
    registry: &'r Registry,
}

impl Driver for Validator<'_> {
    fn instance(&mut self, walk: &Walk<'_>, at: &At<'_>) -> Made<Value> {
        let managed = self.registry.resource(&at.resource.ty).filter(|_| at.resource.mode == Mode::Managed);
        let Some(schema) = self.registry.schema(at.resource.mode, &at.resource.ty) else {
            return Made::default();
        };
        let marks = if at.resource.mode == Mode::Ephemeral { Marks::EPHEMERAL } else { Marks::NONE };
        let mut asked = asked(walk, at, schema);
        // What is wrong with a block was said, and its type looks at whole ones only; what looks at it sees an object of its type.
        let whole = !check_body(self.registry, at.resource).has_errors();
        let Some(config) = asked.config.filter(|_| whole) else {
            let value = Some(nothing_known(&schema.ty()).with_marks(marks));
            return Made { value, deps: asked.deps, found: asked.found };
        };
        if let Some(kind) = managed {
            asked.found.extend(problems(at, kind, &config));
        }
        let value = match managed {
            Some(kind) => creation(kind, &config),
            None => propose(schema, None, &config),
        };
        if let Some(kind) = self.registry.ephemeral(&at.resource.ty).filter(|_| !marks.is_empty()) {
            asked.found.extend(kind.validate(&config).into_iter().map(|p| blame(at, kind.name(), p)));
        }
        asked.found.extend(walk.check_steps(at, &value, &mut asked.deps));
        Made { value: Some(value.with_marks(marks)), deps: asked.deps, found: asked.found }
    }

    fn one_for_all(&self) -> bool {
        true
    }
}
