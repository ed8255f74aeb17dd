//! Whether what expressions refer to is there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, suggest};
use grappe_value::addr::Mode;

use super::{Check, Flag, Lifecycle, Module, When};
use crate::{Body, Expr, RefStep, Reference, Subject};

/// What may be used where an expression stands.
#[derive(Clone, Copy, Default)]
struct Here<'m> {
    each: bool,
    count: bool,
    this: bool,
    /// The `check` block.
    scope: Option<&'m Arc<str>>,
}

/// Checks all references of a module.
/// `broken` are the module calls that could not be read: what is said of them was said.
pub(super) fn check(module: &Module, broken: &HashSet<Arc<str>>, diags: &mut Diagnostics) {
    let mut checker = Checker { module, broken, diags };
    let nowhere = Here::default();
    for variable in module.variables.values() {
        checker.checks(&variable.validations, nowhere);
    }
    for local in module.locals.values() {
        checker.expr(&local.expr, nowhere);
    }
    for output in module.outputs.values() {
        checker.expr(&output.expr, nowhere);
        checker.references(&output.depends_on, nowhere);
        checker.checks(&output.preconditions, nowhere);
    }
    for resource in module.resources.values() {
        let here = Here {
            each: resource.for_each.is_some(),
            count: resource.count.is_some(),
            scope: resource.scope.as_ref(),
            ..nowhere
        };
        for expr in resource.count.iter().chain(&resource.for_each) {
            checker.expr(expr, nowhere);
        }
        checker.references(&resource.depends_on, nowhere);
        checker.references(resource.body.references(), here);
        checker.references(resource.timeouts.as_ref().map_or(&[], Body::references), here);
        let steps = &resource.provisioners;
        let there = Here { this: true, ..here };
        for reference in steps.references(When::Create).chain(steps.references(When::Destroy)) {
            checker.references(std::slice::from_ref(reference), there);
        }
        let flags = [&resource.lifecycle.create_before_destroy, &resource.lifecycle.prevent_destroy];
        for expr in flags.into_iter().filter_map(Flag::expr) {
            checker.expr(expr, here);
        }
        let Lifecycle { replace_triggered_by, ignore_changes, preconditions, postconditions, .. } =
            &resource.lifecycle;
        for references in replace_triggered_by.all() {
            checker.references(references, here);
        }
        for expr in replace_triggered_by.conditions().chain(ignore_changes.conditions()) {
            checker.expr(expr, here);
        }
        if let Some(key) = resource.provider.as_ref().and_then(|p| p.key.as_ref()) {
            checker.expr(key, here);
        }
        checker.checks(preconditions, here);
        checker.checks(postconditions, Here { this: true, ..here });
    }
    for call in module.calls.values() {
        let here = Here { each: call.for_each.is_some(), count: call.count.is_some(), ..nowhere };
        for expr in call.count.iter().chain(&call.for_each) {
            checker.expr(expr, nowhere);
        }
        checker.references(&call.depends_on, nowhere);
        for expr in call.arguments.values().chain(call.providers.iter().filter_map(|(_, p)| p.key.as_ref())) {
            checker.expr(expr, here);
        }
    }
    for check in module.checks.values() {
        checker.checks(&check.asserts, Here { scope: Some(&check.name), ..nowhere });
    }
    for import in &module.imports {
        if let Some(expr) = &import.for_each {
            checker.expr(expr, nowhere);
        }
        let here = Here { each: import.for_each.is_some(), ..nowhere };
        for expr in import.to.iter().filter_map(|(_, key)| key.as_ref()).chain([&import.id]) {
            checker.expr(expr, here);
        }
    }
    for provider in &module.providers {
        let here = Here { each: provider.for_each.is_some(), ..nowhere };
        checker.references(provider.body.references(), here);
        if let Some(expr) = &provider.for_each {
            checker.expr(expr, nowhere);
        }
    }
    checker.local_cycles();
}

struct Checker<'m> {
    module: &'m Module,
    broken: &'m HashSet<Arc<str>>,
    diags: &'m mut Diagnostics,
}

impl Checker<'_> {
    fn expr(&mut self, expr: &Expr, here: Here<'_>) {
        self.references(expr.references(), here);
    }

    fn checks(&mut self, checks: &[Check], here: Here<'_>) {
        for check in checks {
            self.expr(&check.condition, here);
            self.expr(&check.error_message, here);
        }
    }

    fn references(&mut self, references: &[Reference], here: Here<'_>) {
        for reference in references {
            if let Some(diagnostic) = self.reference(reference, here) {
                self.diags.push(diagnostic.or_span(reference.span));
            }
        }
    }

    fn reference(&self, reference: &Reference, here: Here<'_>) -> Option<Diagnostic> {
        let module = self.module;
        let place = match module.path.last() {
            None => "the root module".to_owned(),
            Some(_) => format!("module.{}", module.path.join(".module.")),
        };
        match &reference.subject {
            Subject::Variable(name) if !module.variables.contains_key(name) => Some(undeclared(
                "input variable",
                format!("An input variable with the name \"{name}\" has not been declared."),
                name,
                module.variables.keys(),
                format!("it can be declared with a variable \"{name}\" {{ }} block"),
            )),
            Subject::Local(name) if !module.locals.contains_key(name) => Some(undeclared(
                "local value",
                format!("A local value with the name \"{name}\" has not been declared."),
                name,
                module.locals.keys(),
                "it can be declared in a locals { } block".into(),
            )),
            Subject::Resource { mode, ty, name } => self.resource(*mode, ty, name, reference, &place, here),
            Subject::Module { call, output } => self.module_output(call, output.as_ref(), reference, &place),
            Subject::Each if !here.each => Some(
                Diagnostic::error("Reference to \"each\" in context without for_each")
                    .detail("The \"each\" object can be used only in \"module\" or \"resource\" blocks, and only when the \"for_each\" argument is set."),
            ),
            Subject::Count if !here.count => Some(
                Diagnostic::error("Reference to \"count\" in non-counted context")
                    .detail("The \"count\" object can only be used in \"module\", \"resource\", and \"data\" blocks, and only when the \"count\" argument is set."),
            ),
            Subject::SelfValue if !here.this => Some(
                Diagnostic::error("Invalid \"self\" reference")
                    .detail("The \"self\" object is not available in this context. It can be used only in postcondition, provisioner and connection blocks."),
            ),
            _ => None,
        }
    }

    fn resource(
        &self,
        mode: Mode,
        ty: &Arc<str>,
        name: &Arc<str>,
        reference: &Reference,
        place: &str,
        here: Here<'_>,
    ) -> Option<Diagnostic> {
        let resources = &self.module.resources;
        let Some(resource) = resources.get(&(mode, ty.clone(), name.clone())) else {
            let kind = match mode {
                Mode::Managed => "managed",
                Mode::Data => "data",
                Mode::Ephemeral => "ephemeral",
            };
            let diagnostic = Diagnostic::error("Reference to undeclared resource")
                .detail(format!("A {kind} resource \"{ty}\" \"{name}\" has not been declared in {place}."));
            let mut others = [Mode::Managed, Mode::Data, Mode::Ephemeral].into_iter();
            if let Some(other) =
                others.find(|other| resources.contains_key(&(*other, ty.clone(), name.clone())))
            {
                let subject = Subject::Resource { mode: other, ty: ty.clone(), name: name.clone() };
                return Some(diagnostic.hint(format!("did you mean {subject}?")));
            }
            let known: Vec<String> = resources
                .values()
                .filter(|r| r.mode == mode)
                .map(|r| format!("{}.{}", r.ty, r.name))
                .collect();
            // As a whole, or only the name where the type is right.
            let whole = format!("{ty}.{name}");
            let near = suggest(&whole, known.iter().map(String::as_str)).map(str::to_owned);
            let near = near.or_else(|| meant(ty).map(|word| format!("{word}.{name}")));
            return Some(match near {
                Some(near) => diagnostic.hint(format!("did you mean {near}?")),
                None => diagnostic,
            });
        };
        if let Some(scope) = resource.scope.as_ref().filter(|scope| here.scope != Some(*scope)) {
            return Some(
                Diagnostic::error("Reference to scoped resource")
                    .detail(format!(
                        "The referenced data resource \"{ty}\" \"{name}\" is not available from this context: check \"{scope}\" reads it for itself."
                    ))
                    .hint("to use it elsewhere too, put it outside of the check block"),
            );
        }
        self.instance_key(
            &reference.subject,
            reference,
            resource.count.is_some(),
            resource.for_each.is_some(),
        )
    }

    /// Where there are several instances, one must be chosen, and where there is one, none.
    fn instance_key(
        &self,
        subject: &Subject,
        reference: &Reference,
        count: bool,
        for_each: bool,
    ) -> Option<Diagnostic> {
        let set = if count { "count" } else { "for_each" };
        match reference.steps.first()? {
            RefStep::Attr(_) if count || for_each => Some(
                Diagnostic::error("Missing resource instance key")
                    .detail(format!("Because {subject} has \"{set}\" set, its attributes must be accessed on specific instances."))
                    .hint(if count {
                        format!("one of them is {subject}[0], the one beside this is {subject}[count.index], and all are {subject}[*]")
                    } else {
                        format!("one of them is {subject}[\"key\"], the one beside this is {subject}[each.key], and all are values({subject})")
                    }),
            ),
            RefStep::Index(_) if !count && !for_each => Some(
                Diagnostic::error("Unexpected resource instance key")
                    .detail(format!("Because {subject} does not have \"count\" or \"for_each\" set, references to it must not include an index key.")),
            ),
            _ => None,
        }
    }

    fn module_output(
        &self,
        call: &Arc<str>,
        output: Option<&Arc<str>>,
        reference: &Reference,
        place: &str,
    ) -> Option<Diagnostic> {
        let calls = &self.module.calls;
        if self.broken.contains(call) {
            return None;
        }
        let Some(found) = calls.get(call) else {
            return Some(undeclared(
                "module",
                format!("No module call named \"{call}\" is declared in {place}."),
                call,
                calls.keys(),
                format!("it can be declared with a module \"{call}\" {{ }} block"),
            ));
        };
        // Whether it is there is found by evaluating, where something is made of it not being there.
        if reference.guarded {
            return None;
        }
        let key =
            self.instance_key(&reference.subject, reference, found.count.is_some(), found.for_each.is_some());
        if key.is_some() {
            return key;
        }
        let outputs = &found.module.outputs;
        let output = output.filter(|o| !outputs.contains_key(*o))?;
        Some(
            Diagnostic::error("Unsupported attribute")
                .detail(format!("The module \"{call}\" has no output named \"{output}\"."))
                .did_you_mean(output, outputs.keys().map(|k| &**k)),
        )
    }

    /// Locals that need themselves would never have a value.
    fn local_cycles(&mut self) {
        // 1: being followed, 2: done.
        let mut state: HashMap<&Arc<str>, u8> = HashMap::new();
        let next = |name: &Arc<str>| {
            let references = self.module.locals.get(name).map_or(&[][..], |l| l.expr.references());
            references.iter().filter_map(|r| match &r.subject {
                Subject::Local(name) => self.module.locals.get_key_value(name).map(|(name, _)| name),
                _ => None,
            })
        };
        let mut found = Vec::new();
        for start in self.module.locals.keys() {
            if state.contains_key(start) {
                continue;
            }
            state.insert(start, 1);
            let mut stack = vec![(start, next(start))];
            while let Some((name, rest)) = stack.last_mut() {
                let name = *name;
                match rest.next() {
                    None => {
                        state.insert(name, 2);
                        stack.pop();
                    }
                    Some(follows) => match state.get(follows) {
                        Some(1) => {
                            let from = stack.iter().position(|(n, _)| *n == follows).unwrap_or(0);
                            let way: Vec<String> = stack[from..]
                                .iter()
                                .map(|(n, _)| *n)
                                .chain([follows])
                                .map(|n| format!("local.{n}"))
                                .collect();
                            found.push((follows.clone(), way.join(" → ")));
                        }
                        Some(_) => {}
                        None => {
                            state.insert(follows, 1);
                            stack.push((follows, next(follows)));
                        }
                    },
                }
            }
        }
        for (name, way) in found {
            let span = self.module.locals.get(&name).map(|l| l.span);
            self.diags.push(
                Diagnostic::error("Cycle")
                    .detail(format!("These local values need each other: {way}."))
                    .span(span),
            );
        }
    }
}

fn undeclared<'n>(
    what: &str,
    detail: String,
    name: &str,
    known: impl Iterator<Item = &'n Arc<str>>,
    otherwise: String,
) -> Diagnostic {
    let near = suggest(name, known.map(|k| &**k));
    let hint = near.map_or(otherwise, |near| format!("did you mean \"{near}\"?"));
    Diagnostic::error(format!("Reference to undeclared {what}")).detail(detail).hint(hint)
}

/// The word that a reference begins with and that was probably meant by this one, which reads as a type.
fn meant(ty: &str) -> Option<&'static str> {
    const WORDS: [&str; 6] = ["var", "local", "module", "each", "count", "path"];
    match ty {
        "vars" | "variable" | "variables" => Some("var"),
        "locals" => Some("local"),
        "modules" => Some("module"),
        // Short words are near to everything.
        _ if ty.len() > 4 => suggest(ty, WORDS),
        _ => None,
    }
}
