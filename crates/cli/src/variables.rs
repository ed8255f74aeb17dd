//! Values of variables from outside, in Terraform's order: `TF_VAR_x`, `terraform.tfvars`, `terraform.tfvars.json`, `*.auto.tfvars` (and
//! `.json`) by name, then `-var` and `-var-file` as they stand on the command line. The last one wins.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Sources};
use grappe_lang::{Config, Files, Variable, parse_tfvars, parse_var_value};
use grappe_plan::Plan;
use grappe_value::{Marks, Value};

use crate::args::{Given, VariableArgs};
use crate::project::Project;
use crate::ui::Ui;

/// What the user gave for the root module's variables, not converted yet. Says all that is wrong with it.
///
/// # Errors
/// Where a value can't be read, or names a variable that there is not.
pub(crate) fn gather(
    ui: &Ui,
    args: &VariableArgs,
    config: &Config,
    files: &dyn Files,
    sources: &mut Sources,
) -> (BTreeMap<Arc<str>, Value>, Diagnostics) {
    let environment = std::env::vars().filter_map(|(k, v)| Some((k.strip_prefix("TF_VAR_")?.to_owned(), v)));
    let mut gather = Gather {
        declared: &config.root.variables,
        files,
        sources,
        values: BTreeMap::new(),
        found: Diagnostics::new(),
    };
    for (name, text) in environment {
        // One that is not declared belongs to another plan.
        if gather.declared.contains_key(&*name) {
            gather.text(&name, &text, &format!("TF_VAR_{name}"));
        }
    }
    let mut automatic: Vec<String> = files.list(Path::new(".")).unwrap_or_default();
    automatic.retain(|n| n.ends_with(".auto.tfvars") || n.ends_with(".auto.tfvars.json"));
    automatic.sort();
    let known = files.list(Path::new(".")).unwrap_or_default();
    for name in ["terraform.tfvars", "terraform.tfvars.json"] {
        if known.iter().any(|n| n == name) {
            gather.file(Path::new(name), name, false);
        }
    }
    for name in automatic {
        gather.file(Path::new(&name), &name, false);
    }
    for given in &args.given {
        match given {
            Given::File(path) => gather.file(path, &path.display().to_string(), true),
            Given::Var(text) => match text.split_once('=') {
                Some((name, value)) if gather.declared.contains_key(name.trim()) => {
                    gather.text(name.trim(), value, &format!("-var {}", name.trim()));
                }
                Some((name, _)) => gather.undeclared(name.trim(), None, true),
                None => gather.found.push(
                    Diagnostic::error("A variable without a value")
                        .detail(format!("-var {text:?} has no \"=\"."))
                        .hint("write -var NAME=VALUE"),
                ),
            },
        }
    }
    let (mut values, mut found) = (gather.values, gather.found);
    if args.input && ui.is_interactive() && !found.has_errors() {
        for (name, variable) in &config.root.variables {
            if variable.default.is_none() && !values.contains_key(name) {
                match ask(ui, variable, sources) {
                    Ok(value) => values.insert(name.clone(), value),
                    Err(wrong) => {
                        found.extend(wrong);
                        None
                    }
                };
            }
        }
    }
    (values, found)
}

/// Gives a saved plan the ephemeral variables that it was made with and does not hold. All else of it stays as it was shown.
///
/// # Errors
/// Where one is missing, was not given when the plan was made, or is another variable with another value.
pub(crate) fn give_again(
    ui: &Ui,
    args: &VariableArgs,
    project: &mut Project,
    plan: &mut Plan,
) -> anyhow::Result<()> {
    let declared = &project.config.root.variables;
    let is_ephemeral = |name: &str| declared.get(name).is_some_and(|v| v.ephemeral);
    if args.given.is_empty() && plan.given_again.is_empty() {
        return Ok(());
    }
    let args = VariableArgs { input: false, ..args.clone() };
    let (values, mut found) = gather(ui, &args, &project.config, &project.files, &mut project.sources);
    for (name, value) in values {
        if !is_ephemeral(&name) {
            // What is asked for on the command line must not be passed over.
            let named = args.given.iter().any(|given| matches!(given, Given::Var(text) if text.split('=').next().map(str::trim) == Some(&*name)));
            let same = plan.variables.get(&name).is_some_and(|planned| planned.same(&value));
            if named && !same {
                found.push(
                    Diagnostic::error("A saved plan can't be changed any more")
                        .detail(format!("The variable {name:?} has another value in it. Only ephemeral variables are given to \"apply\" again."))
                        .hint("make a new plan"),
                );
            }
        } else if plan.given_again.contains(&name) {
            plan.variables.insert(name, value.with_marks(Marks::EPHEMERAL));
        } else {
            found.push(
                Diagnostic::error("Ephemeral variable was not set during planning")
                    .detail(format!(
                        "The ephemeral input variable {name:?} was not set during the planning phase, and so must remain unset during the apply phase."
                    )),
            );
        }
    }
    for name in plan.given_again.iter().filter(|name| !plan.variables.contains_key(*name)) {
        found.push(
            Diagnostic::error("No value for required variable")
                .detail(format!(
                    "The ephemeral input variable {name:?} was set during the plan phase, and so must also be set during the apply phase."
                ))
                .hint(format!("give it with -var {name}=…, TF_VAR_{name}, or in a .tfvars file: the plan does not hold it")),
        );
    }
    if found.has_errors() { Err(project.rejected(found).into()) } else { Ok(()) }
}

fn ask(ui: &Ui, variable: &Variable, sources: &mut Sources) -> Result<Value, Diagnostics> {
    let described = variable.description.as_ref().map_or(String::new(), |d| format!("  {d}\n"));
    let prompt = format!("var.{}\n{described}  Enter a value: ", variable.name);
    let missing = || {
        Diagnostic::error("No value for a variable")
            .detail(format!("The input ended before a value for var.{} was given.", variable.name))
            .span(variable.span)
    };
    let text = if variable.sensitive { ui.ask_hidden(&prompt) } else { ui.ask(&prompt) };
    value(sources, &format!("var.{}", variable.name), &text.ok_or_else(missing)?, variable)
}

/// A value from a text that nobody wrote into a file. What is wrong with a secret is said without a word of it.
fn value(sources: &mut Sources, from: &str, text: &str, variable: &Variable) -> Result<Value, Diagnostics> {
    let parsed = parse_var_value(sources, from, text, &variable.ty);
    parsed.map_err(|found| match variable.sensitive {
        true => Diagnostic::error("Invalid value for input variable")
            .detail(format!(
                "What is given for var.{} is not an expression that its type {} can take. It is sensitive, and not shown here.",
                variable.name, variable.ty
            ))
            .span(variable.span)
            .into(),
        false => found,
    })
}

struct Gather<'a> {
    declared: &'a indexmap::IndexMap<Arc<str>, Variable>,
    files: &'a dyn Files,
    sources: &'a mut Sources,
    values: BTreeMap<Arc<str>, Value>,
    found: Diagnostics,
}

impl Gather<'_> {
    fn text(&mut self, name: &str, text: &str, from: &str) {
        let Some(variable) = self.declared.get(name) else { return };
        match value(self.sources, from, text, variable) {
            Ok(value) => {
                self.values.insert(name.into(), value);
            }
            Err(found) => self.found.extend(found),
        }
    }

    /// `asked`: on the command line, where a path starts at the working folder rather than at the plan's.
    fn file(&mut self, path: &Path, name: &str, asked: bool) {
        let read = if asked { std::fs::read(path) } else { self.files.read(path) };
        let text = match read.map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => {
                self.found.push(
                    Diagnostic::error("A variables file is not text")
                        .detail(format!("{name} is not UTF-8."))
                        .hint("save it as UTF-8"),
                );
                return;
            }
            Err(error) => {
                self.found.push(
                    Diagnostic::error("A variables file can't be read")
                        .detail(format!("{name}: {error}."))
                        .hint("-var-file names a file from the working folder"),
                );
                return;
            }
        };
        let (values, found) = parse_tfvars(self.sources, name, &text);
        self.found.extend(found);
        for (name, (value, span)) in values {
            if self.declared.contains_key(&name) {
                self.values.insert(name, value);
            } else {
                self.undeclared(&name, Some(span), false);
            }
        }
    }

    fn undeclared(&mut self, name: &str, span: Option<grappe_diag::Span>, wrong: bool) {
        let summary = "Value for a variable that is not declared";
        let diagnostic = if wrong { Diagnostic::error(summary) } else { Diagnostic::warning(summary) };
        let diagnostic = diagnostic
            .detail(format!("The plan has no variable {name:?}."))
            .hint(format!("declare it: variable \"{name}\" {{}}"))
            .did_you_mean(name, self.declared.keys().map(|k| &**k))
            .span(span);
        self.found.push(diagnostic);
    }
}
