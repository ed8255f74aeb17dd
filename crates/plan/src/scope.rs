//! What names stand for while an expression of a module instance is evaluated, and the record of which nodes were asked.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::{Files, InstanceKey, Mode, Paths, Scope};
use grappe_value::{Type, Value};

use crate::expand::Keys;
use crate::statics::ResourceKey;
use crate::walk::{Calls, Frame, Made, NodeId, Repeated, Walk};

/// A scope over what the walk has evaluated so far.
pub(crate) struct EvalScope<'w> {
    walk: &'w Walk<'w>,
    frame: &'w Frame,
    touched: RefCell<Vec<NodeId>>,
    poisoned: Cell<bool>,
}

impl Walk<'_> {
    /// Evaluates something in a frame. Errors of what is poisoned are dropped: what it waits for says more.
    pub(crate) fn eval<T>(
        &self,
        frame: &Frame,
        evaluate: impl FnOnce(&dyn Scope) -> Result<T, Diagnostics>,
    ) -> Made<T> {
        let scope =
            EvalScope { walk: self, frame, touched: RefCell::new(Vec::new()), poisoned: Cell::new(false) };
        let result = evaluate(&scope);
        let mut deps = scope.touched.into_inner();
        deps.sort_unstable();
        deps.dedup();
        match result {
            _ if scope.poisoned.get() => Made { value: None, deps, found: Diagnostics::new() },
            Ok(value) => Made { value: Some(value), deps, found: Diagnostics::new() },
            Err(found) => Made { value: None, deps, found },
        }
    }
}

impl EvalScope<'_> {
    /// A node, where it was there already.
    fn seen(&self, node: Option<NodeId>) -> Option<NodeId> {
        node.filter(|id| self.frame.limit.is_none_or(|limit| *id < limit))
    }

    /// The value of a node, which the evaluation depends on from now on.
    fn touch(&self, node: Option<NodeId>) -> Value {
        let Some(id) = self.seen(node) else {
            self.poisoned.set(true);
            return Value::unknown(Type::Any);
        };
        let mut touched = self.touched.borrow_mut();
        if touched.last() != Some(&id) {
            touched.push(id);
        }
        let node = self.walk.node(id);
        if node.poisoned {
            self.poisoned.set(true);
        }
        node.value.clone()
    }

    /// All instances of a module with those outputs that were evaluated so far: `module.m[*].a` is asked for before all of `m` is there where
    /// other outputs are made of the answer. What is not there yet is unknown, and nobody looks at it.
    fn so_far(&self, calls: &Calls) -> Value {
        let object = |instance: &usize| {
            let child = &self.walk.modules[*instance];
            let names = self.walk.statics.modules[child.module].config.outputs.keys();
            let value = |node: &Option<NodeId>| match self.seen(*node) {
                Some(node) => self.touch(Some(node)),
                None => Value::unknown(Type::Any),
            };
            Value::object(names.cloned().zip(child.outputs.iter().map(value)))
        };
        let mut objects = calls.instances.iter().map(object);
        match &calls.keys {
            Some(Keys::Count(_)) => Value::tuple(objects),
            Some(Keys::Each(entries)) => {
                Value::object(entries.iter().map(|(key, _)| key.clone()).zip(objects))
            }
            Some(Keys::One | Keys::Open(Repeated::No)) => objects.next().unwrap_or(Value::NULL),
            Some(Keys::Open(repeated)) => {
                let ty = objects.next().map_or(Type::Any, |o| o.ty());
                Value::unknown_not_null(if *repeated == Repeated::Count {
                    Type::list(ty)
                } else {
                    Type::map(ty)
                })
            }
            None => self.touch(None),
        }
    }

    fn module(&self) -> &crate::walk::ModuleInstance {
        &self.walk.modules[self.frame.module]
    }

    fn config(&self) -> &grappe_lang::Module {
        self.walk.statics.modules[self.module().module].config
    }

    fn where_am_i(&self) -> String {
        let path = &self.config().path;
        if path.is_empty() { "the root module".into() } else { format!("module {}", path.join(".")) }
    }
}

/// The error for an index that does not go with how a block is repeated, or names no instance.
fn wrong_index(what: &str, keys: &Keys, key: Option<&InstanceKey>) -> Diagnostic {
    match (keys, key) {
        (Keys::One, _) => Diagnostic::error("Unexpected instance key").detail(format!(
            "Because {what} does not have \"count\" or \"for_each\" set, references to it must not include an index key. \
             Remove the bracketed index to refer to the single instance."
        )),
        (_, None) => Diagnostic::error("Missing instance key").detail(format!(
            "Because {what} has \"count\" or \"for_each\" set, its attributes must be accessed on specific instances."
        )),
        (Keys::Each(entries), Some(InstanceKey::Str(key))) => {
            let detail =
                format!("The given key does not identify an element in this collection value: {what} has no instance {key:?}.");
            Diagnostic::error("Invalid index").detail(detail).did_you_mean(key, entries.iter().map(|(k, _)| &**k))
        }
        (Keys::Count(0), Some(_)) => Diagnostic::error("Invalid index").detail(format!(
            "The given key does not identify an element in this collection value: the collection has no elements: \
             {what} has no instances."
        )),
        (Keys::Count(n), Some(InstanceKey::Int(_))) => Diagnostic::error("Invalid index").detail(format!(
            "The given key does not identify an element in this collection value: {what} has {n} instances, counted from 0."
        )),
        (_, Some(_)) => {
            let want = if matches!(keys, Keys::Count(_)) { "a number" } else { "a string" };
            Diagnostic::error("Invalid index").detail(format!(
                "The given key does not identify an element in this collection value: instances of {what} have {want} as their key."
            ))
        }
    }
}

impl Scope for EvalScope<'_> {
    fn variable(&self, name: &str) -> Result<Value, Diagnostic> {
        let Some(i) = self.config().variables.get_index_of(name) else {
            return Err(Diagnostic::error("Reference to undeclared input variable")
                .detail(format!(
                    "An input variable with the name {name:?} has not been declared in {}.",
                    self.where_am_i()
                ))
                .did_you_mean(name, self.config().variables.keys().map(|k| &**k)));
        };
        match &self.frame.variable {
            Some((own, value)) if *own == i => Ok(value.clone()),
            _ => Ok(self.touch(self.module().variables[i])),
        }
    }

    fn local(&self, name: &str) -> Result<Value, Diagnostic> {
        match self.config().locals.get_index_of(name) {
            Some(i) => Ok(self.touch(self.module().locals[i])),
            None => Err(Diagnostic::error("Reference to undeclared local value")
                .detail(format!(
                    "A local value with the name {name:?} has not been declared in {}.",
                    self.where_am_i()
                ))
                .did_you_mean(name, self.config().locals.keys().map(|k| &**k))),
        }
    }

    fn resource(
        &self,
        mode: Mode,
        ty: &str,
        name: &str,
        key: Option<&InstanceKey>,
    ) -> Result<Value, Diagnostic> {
        let prefix = mode.prefix();
        let Some(i) = self.config().resources.get_index_of(&ResourceKey(mode, ty, name)) else {
            let what = match mode {
                Mode::Managed => "managed resource",
                Mode::Data => "data resource",
                Mode::Ephemeral => "ephemeral resource",
            };
            let near = self.config().resources.keys().filter(|k| k.0 == mode && &*k.1 == ty);
            return Err(Diagnostic::error("Reference to undeclared resource")
                .detail(format!("A {what} {ty:?} {name:?} has not been declared in {}.", self.where_am_i()))
                .did_you_mean(name, near.map(|k| &*k.2)));
        };
        let Some(instances) = &self.module().resources[i] else { return Ok(self.touch(None)) };
        let Some(keys) = &instances.keys else { return Ok(self.touch(instances.whole)) };
        match key {
            None => Ok(self.touch(instances.whole)),
            Some(key) => match keys.position(key) {
                Some(at) => Ok(self.touch(instances.nodes.get(at).copied())),
                None => Err(wrong_index(&format!("{prefix}{ty}.{name}"), keys, Some(key))),
            },
        }
    }

    fn resource_type(&self, mode: Mode, ty: &str, name: &str) -> Option<(Type, bool)> {
        let resource = self.config().resources.get(&ResourceKey(mode, ty, name))?;
        let schema = self.walk.statics.registry.schema(mode, ty)?;
        Some((schema.ty(), resource.count.is_some() || resource.for_each.is_some()))
    }

    fn module(
        &self,
        call: &str,
        key: Option<&InstanceKey>,
        output: Option<&str>,
    ) -> Result<Value, Diagnostic> {
        let Some(position) = self.config().calls.get_index_of(call) else {
            return Err(Diagnostic::error("Reference to undeclared module")
                .detail(format!("No module call named {call:?} is declared in {}.", self.where_am_i()))
                .did_you_mean(call, self.config().calls.keys().map(|k| &**k)));
        };
        let Some(calls) = &self.module().calls[position] else { return Ok(self.touch(None)) };
        let Some(keys) = &calls.keys else { return Ok(self.touch(calls.whole)) };
        let what = format!("module.{call}");
        let at = match key {
            None if output.is_none() => {
                return Ok(match self.seen(calls.whole) {
                    Some(whole) => self.touch(Some(whole)),
                    None => self.so_far(calls),
                });
            }
            None => keys.position(&InstanceKey::None),
            Some(key) => keys.position(key),
        };
        let Some(instance) = at.and_then(|at| calls.instances.get(at)) else {
            return Err(wrong_index(&what, keys, key));
        };
        let child = &self.walk.modules[*instance];
        let Some(output) = output else { return Ok(self.touch(child.object)) };
        let outputs = &self.walk.statics.modules[child.module].config.outputs;
        match outputs.get_index_of(output) {
            Some(i) => Ok(self.touch(child.outputs[i])),
            None => Err(Diagnostic::error("Unsupported attribute")
                .detail(format!(
                    "This object does not have an attribute named {output:?}: {what} has no such output."
                ))
                .did_you_mean(output, outputs.keys().map(|k| &**k))),
        }
    }

    fn each(&self) -> Option<(&Value, &Value)> {
        self.frame.each.as_ref().map(|(key, value)| (key, value))
    }

    fn count(&self) -> Option<u64> {
        self.frame.count
    }

    fn self_value(&self) -> Option<Value> {
        self.frame.self_value.clone()
    }

    fn path(&self) -> Paths {
        self.walk.paths(self.frame.module)
    }

    fn workspace(&self) -> &str {
        &self.walk.env.workspace
    }

    fn applying(&self) -> bool {
        self.walk.env.applying
    }

    fn files(&self) -> &dyn Files {
        self.walk.env.files
    }

    fn home(&self) -> Option<Arc<str>> {
        self.walk.env.home.clone()
    }

    fn timestamp(&self) -> Option<Arc<str>> {
        self.walk.env.timestamp.clone()
    }

    fn plan_timestamp(&self) -> Option<Arc<str>> {
        self.walk.env.plan_timestamp.clone()
    }

    fn random(&self) -> Option<[u8; 16]> {
        self.walk.env.random.map(|random| random())
    }
}
