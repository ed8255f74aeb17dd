//! The steps of `provisioner` blocks: which of them are left to do for an object, and what is wrong with them.
//!
//! Each step is an operation of its own: those of a creation between it and whatever waits for the object, those of a deletion before it. The state
//! remembers how many of them are done, so a run goes on at the step at which the one before it stopped; an object is not condemned for a step that
//! failed.

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::{Body, Provisioner, Provisioners, When};
use grappe_provider::{Problem, Registry};
use grappe_state::Object;
use grappe_value::addr::{InstanceAddr, InstanceKey};
use grappe_value::{Kind, Schema, Value};

use crate::leaving::block;
use crate::model::{StepOp, StepTime};
use crate::moves::removed;
use crate::planner::with_addr;
use crate::statics::Statics;
use crate::walk::{At, Frame, NodeId, Walk};

/// The steps of a block at a time, from the first that is not done.
pub(crate) fn left(provisioners: &Provisioners, time: StepTime, done: u32) -> Vec<StepOp> {
    let of = count(provisioners, time);
    let steps = provisioners.at(when(time)).enumerate().map(|(at, step)| StepOp {
        ty: step.ty.clone(),
        time,
        position: u32::try_from(at).unwrap_or(u32::MAX),
        of,
        continues: step.continues,
    });
    steps.filter(|step| step.position >= done).collect()
}

/// How many steps a block has at a time.
pub(crate) fn count(provisioners: &Provisioners, time: StepTime) -> u32 {
    u32::try_from(provisioners.at(when(time)).count()).unwrap_or(u32::MAX)
}

fn when(time: StepTime) -> When {
    match time {
        StepTime::Create => When::Create,
        StepTime::Destroy => When::Destroy,
    }
}

/// What says which steps the objects at an address have: their block, or the `removed` block that speaks of them.
pub(crate) fn of<'a>(statics: &Statics<'a>, addr: &InstanceAddr) -> Option<&'a Provisioners> {
    match block(statics, addr) {
        Some(resource) => Some(&resource.provisioners),
        None => removed(statics, addr).map(|r| &r.provisioners),
    }
}

/// The steps to do before an object is deleted. One whose creation did not come to its end has none: there is nothing to take back.
pub(crate) fn before_deleting(statics: &Statics<'_>, addr: &InstanceAddr, object: &Object) -> Vec<StepOp> {
    match of(statics, addr) {
        Some(provisioners) if !object.tainted => left(provisioners, StepTime::Destroy, object.undone),
        _ => Vec::new(),
    }
}

/// The step that an operation is.
pub(crate) fn step<'a>(provisioners: &'a Provisioners, op: &StepOp) -> Option<&'a Provisioner> {
    provisioners.at(when(op.time)).nth(op.position as usize)
}

/// What can be said of the steps of a block without evaluating anything.
pub(crate) fn check(registry: &Registry, provisioners: &Provisioners) -> Diagnostics {
    let mut found = Diagnostics::new();
    for step in &provisioners.steps {
        let Some(kind) = registry.provisioner(&step.ty) else {
            found.push(
                Diagnostic::error("Unknown provisioner")
                    .detail(format!("There is no provisioner \"{}\" here.", step.ty))
                    .span(step.span)
                    .did_you_mean(&step.ty, registry.provisioners().map(|p| p.name())),
            );
            continue;
        };
        found.extend(step.body.check(kind.schema()));
        let Some(schema) = kind.connection() else { continue };
        let none = step.connection.is_none() && provisioners.connection.is_none();
        if none {
            found.push(
                Diagnostic::error("Missing connection configuration for provisioner")
                    .detail(format!("A \"{}\" step must be told which host it is for.", step.ty))
                    .hint("add a block: connection { host = … }, to the resource or to the step")
                    .span(step.span),
            );
        }
        found.extend(step.connection.iter().flat_map(|c| c.check(&optional(schema))));
        // What one leaves out, the other may say.
        let given = |name: &str| {
            let says = |body: &Option<Body>| body.as_ref().is_some_and(|b| b.argument(name).is_some());
            says(&step.connection) || says(&provisioners.connection)
        };
        let required =
            schema.attributes.iter().filter(|(_, a)| a.presence == grappe_value::Presence::Required);
        for (name, _) in required.filter(|(name, _)| !none && !given(name)) {
            found.push(
                Diagnostic::error("Missing required argument")
                    .detail(format!(
                        "The argument \"{name}\" is required in a connection, but no definition was found."
                    ))
                    .span(step.span),
            );
        }
    }
    if let Some(connection) = &provisioners.connection
        && let Some(schema) = registry.provisioners().find_map(|p| p.connection())
    {
        found.extend(connection.check(&optional(schema)));
    }
    found
}

/// A schema that wants nothing: of two blocks, each may say a part.
fn optional(schema: &Schema) -> Schema {
    let mut schema = schema.clone();
    for attribute in schema.attributes.values_mut() {
        attribute.presence = grappe_value::Presence::Optional;
        attribute.default = None;
    }
    schema
}

impl Walk<'_> {
    /// The arguments of a step and of its connection in a frame, with what they touched.
    pub(crate) fn step_values(
        &self,
        provisioners: &Provisioners,
        step: &Provisioner,
        frame: &Frame,
        found: &mut Diagnostics,
        deps: &mut Vec<NodeId>,
    ) -> Option<(Value, Option<Value>)> {
        let kind = self.statics.registry.provisioner(&step.ty)?;
        let mut decode = |body: &Body, schema: &Schema| {
            let made = self.eval(frame, |scope| body.decode(schema, scope));
            deps.extend(made.deps);
            found.extend(made.found);
            made.value
        };
        let config = decode(&step.body, kind.schema())?;
        let Some(schema) = kind.connection() else { return Some((config, None)) };
        let mut connection = None;
        for body in [&provisioners.connection, &step.connection].into_iter().flatten() {
            let own = decode(body, &optional(schema))?;
            connection = Some(match connection {
                None => own,
                Some(base) => over(&base, &own),
            });
        }
        Some((config, connection))
    }

    /// What is wrong with the steps of an instance, as far as is known, and what they are made of.
    pub(crate) fn check_steps(&self, at: &At<'_>, object: &Value, deps: &mut Vec<NodeId>) -> Diagnostics {
        let mut found = Diagnostics::new();
        let provisioners = &at.resource.provisioners;
        let frame = Frame { self_value: Some(object.clone()), ..at.frame.clone() };
        for step in &provisioners.steps {
            let mut touched = Vec::new();
            let values = self.step_values(provisioners, step, &frame, &mut found, &mut touched);
            if step.when == When::Create {
                deps.extend(touched);
            }
            let (Some((config, connection)), Some(kind)) =
                (values, self.statics.registry.provisioner(&step.ty))
            else {
                continue;
            };
            let problems = kind.validate(&config, connection.as_ref());
            found.extend(problems.into_iter().map(|problem| blame(step, problem)));
        }
        self.add_static(&at.frame, &provisioners.references(When::Create).cloned().collect::<Vec<_>>(), deps);
        with_addr(&mut found, &at.addr);
        found
    }

    /// The frame of the steps before an object is deleted: its instance, and even its module, may be gone from the configuration.
    pub(crate) fn leaving_frame(&self, addr: &InstanceAddr, object: &Value) -> Frame {
        let module = self.by_addr.get(&addr.resource.module).copied().or_else(|| {
            let (module, _) = self.statics.find(&addr.resource)?;
            self.instances[module].first().copied()
        });
        let (each, count) = match &addr.key {
            InstanceKey::Str(key) => (Some((Value::from(&**key), Value::NULL)), None),
            InstanceKey::Int(n) => (None, Some(*n)),
            InstanceKey::None => (None, None),
        };
        Frame {
            module: module.unwrap_or(0),
            each,
            count,
            self_value: Some(object.clone()),
            ..Frame::default()
        }
    }
}

/// One connection over another: what it says counts.
fn over(base: &Value, own: &Value) -> Value {
    match (base.as_entries(), own.as_entries()) {
        (Some(a), Some(b)) => {
            let pick = |(name, value): (&std::sync::Arc<str>, &Value)| {
                let own = b.get(name).filter(|v| !v.is_null());
                (name.clone(), own.unwrap_or(value).clone())
            };
            Kind::Object(std::sync::Arc::new(a.iter().map(pick).collect())).into()
        }
        _ => own.clone(),
    }
}

fn blame(step: &Provisioner, problem: Problem) -> Diagnostic {
    let bodies = [Some(&step.body), step.connection.as_ref()];
    let place = bodies.into_iter().flatten().find_map(|body| body.attr_span(&problem.attribute));
    let name = problem.attribute.to_string();
    let summary =
        if name.is_empty() { format!("Invalid {}", step.ty) } else { format!("Invalid value for {name:?}") };
    let diagnostic = if problem.warning { Diagnostic::warning(summary) } else { Diagnostic::error(summary) };
    let diagnostic = diagnostic.detail(problem.message).span(place.unwrap_or(step.span));
    match problem.hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}
