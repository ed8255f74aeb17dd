//! `templatefile` and `templatestring`: texts with their own variables and no other names.

use grappe_diag::{Diagnostics, Sources};
use grappe_value::{Kind, Type, Value};

use super::files::read_text;
use super::{Function, Outcome, P, Refused, any, function, refuse_arg, scoped, string, text};
use crate::Scope;
use crate::expr::{Eval, MISSING_VARIABLE, Resolver};
use crate::syntax;

pub(super) static FUNCTIONS: &[Function] = &[
    // Of any type: a template that is one interpolation gives the value itself.
    function(
        "templatefile",
        "the text that a template file gives with these variables",
        &[string("path"), any("vars")],
        super::Returns::Of(|_| Type::Any),
        super::Run::Scoped(templatefile),
    ),
    scoped(
        "templatestring",
        "the text that a template gives with these variables",
        &[string("template"), any("vars")],
        P::String,
        |args, scope| render("<templatestring argument>", text(args, 0), &args[1], scope),
    ),
];

fn templatefile(args: &[Value], scope: &dyn Scope) -> Outcome {
    render(text(args, 0), &read_text(args, scope)?, &args[1], scope)
}

fn render(name: &str, template: &str, vars: &Value, scope: &dyn Scope) -> Outcome {
    let entries = match vars.kind() {
        Kind::Map(_, entries) | Kind::Object(entries) => entries,
        _ => return refuse_arg(1, "invalid vars value: must be a map or object"),
    };
    let bad = |name: &&std::sync::Arc<str>| !crate::config::is_identifier(name);
    if let Some(name) = entries.keys().find(bad) {
        return refuse_arg(
            1,
            format!(
                "invalid template variable name \"{name}\": must start with a letter, followed by zero or more letters, digits, and underscores"
            ),
        );
    }
    let mut sources = Sources::new();
    let source = sources.add(name, template);
    // The template is no source of the configuration: its places go into the message, as `file:line,from-to`.
    let place = |d: &grappe_diag::Diagnostic| match d.span.and_then(|s| sources.positions(s)) {
        Some((from, to)) if from.line == to.line => {
            format!("{name}:{},{}-{}", from.line, from.column, to.column)
        }
        Some((from, _)) => format!("{name}:{},{}", from.line, from.column),
        None => name.to_owned(),
    };
    let explain = |diags: Diagnostics| {
        let lines: Vec<String> = diags
            .iter()
            .map(|d| {
                format!("{}: {}; {}", place(d), d.summary, d.detail.strip_suffix('.').unwrap_or(&d.detail))
            })
            .collect();
        Refused { arg: None, message: lines.join("\n") }
    };
    let mut node = syntax::parse_template(source, template).map_err(explain)?;
    let names: Vec<_> = entries.keys().cloned().collect();
    let mut diags = Diagnostics::new();
    Resolver::for_template(&names, &mut diags).node(&mut node);
    if let Some(first) = diags.iter().next() {
        // A name that is no variable of the template, nearly always: the variables are to blame.
        return match first.summary.as_str() {
            MISSING_VARIABLE => refuse_arg(1, format!("{}, referenced at {}", first.detail, place(first))),
            _ => Err(explain(diags)),
        };
    }
    let mut eval = Eval::new(scope);
    for (name, value) in entries.iter() {
        eval.bind(name.clone(), value.clone());
    }
    eval.node(&node).map_err(explain)
}
