//! What each value of the walk is: variables, locals, outputs, provider configurations, and the values that stand for several instances.
//!
//! The resolver computes the same again while applying, once what they are made of is known.

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_lang::{Check, Output, Variable};
use grappe_value::{Marks, Type, Value};

use crate::ephemeral::not_allowed;
use crate::expand::Keys;
use crate::walk::{Frame, Made, ModuleInstance, NodeId, Repeated, Walk, What};

/// Whether a checked condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Yes,
    No,
    /// It can't be said yet.
    Open,
}

impl Walk<'_> {
    /// The value of a node that is not an instance. With a limit, nodes from there on are not seen.
    pub(crate) fn compute(&self, what: What, limit: Option<NodeId>) -> Made<Value> {
        match what {
            What::Variable(mi, i) => self.variable(mi, i, limit),
            What::Local(mi, i) => {
                let config = self.statics.modules[self.modules[mi].module].config;
                let frame = Frame { limit, ..self.frame(mi) };
                match config.locals.get_index(i) {
                    Some((_, local)) => self.eval(&frame, |scope| local.expr.eval(scope)),
                    None => Made::default(),
                }
            }
            What::Output(mi, i) => self.output(mi, i, limit),
            What::Provider(mi, i, at) => self.provider(mi, i, at, limit),
            What::Whole(mi, i) => match &self.modules[mi].resources[i] {
                Some(instances) => self.whole(instances.keys.as_ref(), &instances.nodes),
                None => Made::default(),
            },
            What::Outputs(mi) => self.outputs(mi),
            What::AllOutputs(mi, call) => match &self.modules[mi].calls[call] {
                Some(calls) => {
                    let objects: Option<Vec<NodeId>> =
                        calls.instances.iter().map(|i| self.modules[*i].object).collect();
                    let mut made = self.whole(calls.keys.as_ref(), &objects.unwrap_or_default());
                    made.deps.extend(calls.instances.iter().filter_map(|i| self.modules[*i].gate));
                    tidy(made)
                }
                None => Made::default(),
            },
            What::All(mi, call) => self.all(mi, call),
            What::Gate(..) => Made { value: Some(Value::NULL), ..Made::default() },
            // Drivers say what an instance is.
            What::Instance(..) => Made::default(),
        }
    }

    /// One value for several nodes, by their keys.
    fn whole(&self, keys: Option<&Keys>, nodes: &[NodeId]) -> Made<Value> {
        let found = Diagnostics::new();
        let deps = nodes.to_vec();
        let poisoned = nodes.iter().any(|n| self.node(*n).poisoned);
        let Some(keys) = keys.filter(|_| !poisoned) else { return tidy(Made { value: None, deps, found }) };
        let mut values = nodes.iter().map(|n| self.node(*n).value.clone());
        let value = match keys {
            Keys::One | Keys::Open(Repeated::No) => values.next(),
            Keys::Count(_) => Some(Value::tuple(values)),
            Keys::Each(entries) => Some(Value::object(entries.iter().map(|(k, _)| k.clone()).zip(values))),
            Keys::Open(Repeated::Count) => values.next().map(|v| Value::unknown_not_null(Type::list(v.ty()))),
            Keys::Open(Repeated::ForEach) => {
                values.next().map(|v| Value::unknown_not_null(Type::map(v.ty())))
            }
        };
        tidy(Made { value, deps, found })
    }

    fn variable(&self, mi: usize, i: usize, limit: Option<NodeId>) -> Made<Value> {
        let module = &self.modules[mi];
        let config = self.statics.modules[module.module].config;
        let Some((name, variable)) = config.variables.get_index(i) else { return Made::default() };
        let mut made = match (module.parent, self.statics.call(module.module)) {
            (Some(parent), Some(call)) => {
                let argument = call.arguments.get(&**name);
                let frame = Frame {
                    module: parent,
                    each: module.each.clone(),
                    count: module.count,
                    limit,
                    ..Frame::default()
                };
                let given = argument.map(|expr| self.eval(&frame, |scope| expr.eval(scope)));
                let span = argument.map_or(call.span, grappe_lang::Expr::span);
                match given {
                    None => accepted(variable, None, Some(call.span)),
                    Some(Made { value: Some(value), deps, .. })
                        if value.is_ephemeral_deep() && !variable.ephemeral =>
                    {
                        let found =
                            not_allowed("This input variable is not declared as accepting ephemeral values")
                                .span(span)
                                .related(variable.span, "declared here");
                        Made { value: None, deps, found: found.into() }
                    }
                    Some(Made { value: Some(value), deps, .. }) => {
                        Made { deps, ..accepted(variable, Some(value), Some(span)) }
                    }
                    Some(poisoned) => poisoned,
                }
            }
            _ => accepted(variable, self.env.variables.get(&**name).cloned(), None),
        };
        made.deps.extend(module.gate);
        let Some(value) = made.value.clone() else { return tidy(made) };
        let frame = Frame { module: mi, variable: Some((i, value)), limit, ..Frame::default() };
        for check in &variable.validations {
            let checked = self.check(check, &frame, "Invalid value for variable", true);
            made.deps.extend(checked.deps);
            if checked.found.has_errors() {
                made.value = None;
            }
            made.found.extend(checked.found);
        }
        tidy(made)
    }

    fn output(&self, mi: usize, i: usize, limit: Option<NodeId>) -> Made<Value> {
        let module = &self.modules[mi];
        let config = self.statics.modules[module.module].config;
        let Some((_, output)) = config.outputs.get_index(i) else { return Made::default() };
        let frame = Frame { limit, ..self.frame(mi) };
        let mut made = self.eval(&frame, |scope| output.expr.eval(scope));
        if let Some(value) = &made.value
            && value.is_sensitive_deep()
            && !output.sensitive
            && module.parent.is_none()
        {
            made.found.push(exposes(output));
            made.value = None;
        }
        if !output.ephemeral && made.value.as_ref().is_some_and(Value::is_ephemeral_deep) {
            made.found.push(
                not_allowed("This output value is not declared as returning an ephemeral value")
                    .span(output.expr.span())
                    .related(output.span, "declared here"),
            );
            made.value = None;
        }
        for check in &output.preconditions {
            let checked = self.check(check, &frame, "Module output value precondition failed", false);
            made.deps.extend(checked.deps);
            if checked.found.has_errors() {
                made.value = None;
            }
            made.found.extend(checked.found);
        }
        made.deps.extend(self.waits(mi, &output.depends_on));
        made.deps.extend(module.gate);
        if output.sensitive {
            made.value = made.value.map(Value::sensitive);
        }
        if output.ephemeral {
            made.value = made.value.map(|value| value.with_marks(Marks::EPHEMERAL));
        }
        tidy(made)
    }

    fn provider(&self, mi: usize, i: usize, at: usize, limit: Option<NodeId>) -> Made<Value> {
        let config = self.statics.modules[self.modules[mi].module].config;
        let block = &config.providers[i];
        let name = crate::providers::registry_name(config, &block.name);
        let keys = self.modules[mi].providers[i].as_ref().and_then(|p| p.keys.as_ref());
        let each = keys.and_then(|keys| keys.repetition(at).0);
        let frame = Frame { limit, each, ..self.frame(mi) };
        match self.statics.registry.provider(&name) {
            Some(provider) => self.eval(&frame, |scope| block.body.decode(provider.schema(), scope)),
            // Said once, as a warning: nothing can use it.
            None => Made::default(),
        }
    }

    fn outputs(&self, mi: usize) -> Made<Value> {
        let module = &self.modules[mi];
        let names = self.statics.modules[module.module].config.outputs.keys();
        let nodes: Vec<NodeId> = module.outputs.iter().copied().flatten().collect();
        // Some may not be wanted: then nobody asks for all of them.
        let whole = nodes.len() == module.outputs.len() && !nodes.iter().any(|n| self.node(*n).poisoned);
        let values = nodes.iter().map(|n| self.node(*n).value.clone());
        let value = whole.then(|| Value::object(names.cloned().zip(values)));
        Made { value, deps: nodes.iter().copied().chain(module.gate).collect(), found: Diagnostics::new() }
    }

    /// All that is in the instances of a call: nobody asks for its value.
    fn all(&self, mi: usize, call: usize) -> Made<Value> {
        let known = self.modules[mi].calls[call].as_ref().is_some_and(|c| c.keys.is_some());
        let mut deps = Vec::new();
        for module in self.inside(mi, call) {
            deps.extend(
                module.resources.iter().flatten().flat_map(|r| r.nodes.iter().copied().chain(r.whole)),
            );
            deps.extend(module.object.iter().chain(&module.gate));
        }
        tidy(Made { value: known.then_some(Value::NULL), deps, found: Diagnostics::new() })
    }

    /// The instances of a call, and those of all calls in them.
    pub(crate) fn inside(&self, mi: usize, call: usize) -> impl Iterator<Item = &ModuleInstance> {
        let mut todo: Vec<usize> =
            self.modules[mi].calls[call].iter().flat_map(|c| c.instances.clone()).collect();
        std::iter::from_fn(move || {
            let module = &self.modules[todo.pop()?];
            todo.extend(module.calls.iter().flatten().flat_map(|c| c.instances.iter().copied()));
            Some(module)
        })
    }

    /// Evaluates a condition and, where it does not hold, what to say then. An unknown condition is not held against anybody: it is checked
    /// again when it is known.
    pub(crate) fn check(
        &self,
        check: &Check,
        frame: &Frame,
        summary: &str,
        about_input: bool,
    ) -> Made<Holds> {
        let mut made = self.eval(frame, |scope| check.condition.eval(scope));
        let mut found = std::mem::take(&mut made.found);
        let Some(value) = made.value else { return Made { value: None, deps: made.deps, found } };
        let holds = match grappe_value::convert(&value, &Type::Bool) {
            Ok(v) if v.is_unknown() => Holds::Open,
            Ok(v) => match v.as_bool() {
                Some(true) => Holds::Yes,
                Some(false) => Holds::No,
                None => {
                    found.push(condition_error(
                        check,
                        "Condition expression must return either true or false, not null.",
                    ));
                    Holds::Open
                }
            },
            Err(e) => {
                found
                    .push(condition_error(check, &format!("Invalid condition result value: {}.", e.message)));
                Holds::Open
            }
        };
        let mut deps = made.deps;
        if holds == Holds::No {
            let message = self.eval(frame, |scope| check.error_message.eval(scope));
            deps.extend(message.deps);
            let text = match &message.value {
                Some(v) if v.marks_deep().contains(Marks::SENSITIVE) => {
                    "The error message included a sensitive value, so it will not be displayed.".to_owned()
                }
                Some(v) if v.is_ephemeral_deep() => {
                    "The error message refers to ephemeral values, so it will not be displayed: ephemeralasnull() takes them out.".to_owned()
                }
                Some(v) => v
                    .as_str()
                    .unwrap_or("This check failed, but its error message is not known yet.")
                    .to_owned(),
                None => "This check failed, and its error message is invalid too.".to_owned(),
            };
            found.extend(message.found);
            let mut diagnostic = Diagnostic::error(summary).detail(text).span(check.condition.span());
            if about_input {
                diagnostic = diagnostic.related(check.span, "checked by this validation rule");
            }
            found.push(diagnostic);
        }
        tidy(Made { value: Some(holds), deps, found })
    }
}

fn condition_error(check: &Check, why: &str) -> Diagnostic {
    Diagnostic::error("Invalid condition result").detail(why).span(check.condition.span())
}

fn accepted(variable: &Variable, given: Option<Value>, span: Option<Span>) -> Made<Value> {
    match variable.accept(given, span) {
        Ok(value) => Made { value: Some(value), ..Made::default() },
        Err(found) => Made { found, ..Made::default() },
    }
}

fn exposes(output: &Output) -> Diagnostic {
    Diagnostic::error("Output refers to sensitive values")
        .detail(
            "To reduce the risk of accidentally exporting sensitive data that was intended to be only internal, any root module \
             output containing sensitive data must be explicitly marked as sensitive, to confirm your intent.",
        )
        .span(output.expr.span())
        .related(output.span, "in this output")
        .hint("if you do intend to export this data, add `sensitive = true` to the output")
}

fn tidy<T>(mut made: Made<T>) -> Made<T> {
    made.deps.sort_unstable();
    made.deps.dedup();
    made
}
