//! The arguments that resources and module calls have whatever their type: `count`, `for_each`, `depends_on`, `provider`, `lifecycle`.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_value::addr::Mode;
use grappe_value::{Path, Type, Value, convert};

use super::fields::{self, Fields, list, unquote};
use super::{Check, Choice, Flag, IgnoreChanges, Lifecycle, ProviderRef, ProviderUse, Variable};
use crate::expr::{Node, NodeKind, Step};
use crate::syntax::RawBlock;
use crate::{Expr, RefStep, Reference, Subject};

/// What resources and module calls share.
pub(super) struct Meta {
    pub(super) count: Option<Expr>,
    pub(super) for_each: Option<Expr>,
    pub(super) depends_on: Vec<Reference>,
}

pub(super) fn read(fields: &mut Fields, diags: &mut Diagnostics) -> Meta {
    let count = fields.expr("count", diags);
    let for_each = fields.expr("for_each", diags);
    if let (Some(count), Some(for_each)) = (&count, &for_each) {
        diags.push(
            Diagnostic::error("Invalid combination of \"count\" and \"for_each\"")
                .detail("The \"count\" and \"for_each\" meta-arguments are mutually-exclusive, only one should be used to be explicit about the number of resources to be created.")
                .span(for_each.span())
                .related(count.span(), "count is set here"),
        );
    }
    Meta { count, for_each, depends_on: fields.references("depends_on", diags) }
}

/// `provider = aws.west`
pub(super) fn provider(fields: &mut Fields, diags: &mut Diagnostics) -> Option<ProviderUse> {
    let attribute = fields.take("provider")?;
    provider_use(attribute.value, diags)
}

/// `aws`, `aws.west`, `aws.by_region[each.key]`
fn provider_use(node: Node, diags: &mut Diagnostics) -> Option<ProviderUse> {
    let node = unquote(node);
    let span = node.span;
    let found = match node.kind {
        NodeKind::Name(name) => Some((ProviderRef { name, alias: None }, None)),
        NodeKind::Traverse(base, steps) => match (base.keyword().cloned(), &*steps) {
            (Some(name), [Step::Attr(alias, _)]) => {
                Some((ProviderRef { name, alias: Some(alias.clone()) }, None))
            }
            (Some(name), [Step::Attr(alias, _), Step::Index(key, _)]) => {
                Some((ProviderRef { name, alias: Some(alias.clone()) }, Some(key.clone())))
            }
            _ => None,
        },
        _ => None,
    };
    if found.is_none() {
        diags.push(
            Diagnostic::error("Invalid provider configuration reference")
                .detail("A provider is named here by its local name, with an alias where it has one, and a key where that has for_each: NAME, NAME.ALIAS or NAME.ALIAS[KEY].")
                .span(span),
        );
    }
    found.map(|(of, key)| ProviderUse { of, key: key.map(|key| Expr::new(key, &[], diags)), span })
}

/// `providers = { aws = aws.west }`
pub(super) fn providers(fields: &mut Fields, diags: &mut Diagnostics) -> Vec<(ProviderRef, ProviderUse)> {
    let Some(attribute) = fields.take("providers") else { return Vec::new() };
    let span = attribute.value.span;
    let NodeKind::Object(items) = attribute.value.kind else {
        diags.push(
            Diagnostic::error("Invalid providers argument")
                .detail("The argument \"providers\" is a map from the module's provider names to this module's: { NAME = NAME.ALIAS }.")
                .span(span),
        );
        return Vec::new();
    };
    let mut out = Vec::new();
    for (key, value) in items {
        // A single name was read as text already.
        let own = match key.literal().and_then(Value::as_str) {
            Some(name) if !name.contains('.') => Some(ProviderRef { name: name.into(), alias: None }),
            _ => provider_use(key, diags).map(|own| own.of),
        };
        if let (Some(own), Some(outer)) = (own, provider_use(value, diags)) {
            out.push((own, outer));
        }
    }
    out
}

/// `lifecycle { … }`
pub(super) fn lifecycle(block: RawBlock, mode: Mode, diags: &mut Diagnostics) -> Lifecycle {
    let mut fields = Fields::new(block);
    let mut out = Lifecycle {
        preconditions: checks(fields.take_blocks("precondition", diags), "precondition", diags),
        postconditions: checks(fields.take_blocks("postcondition", diags), "postcondition", diags),
        ..Lifecycle::default()
    };
    if mode != Mode::Managed {
        let what = if mode == Mode::Data { "data" } else { "ephemeral" };
        for name in ["create_before_destroy", "prevent_destroy", "ignore_changes", "replace_triggered_by"] {
            let Some(attribute) = fields.take(name) else { continue };
            diags.push(
                Diagnostic::error(format!("Invalid {what} resource lifecycle argument"))
                    .detail(format!("The lifecycle argument \"{name}\" is defined only for managed resources (\"resource\" blocks), and is not valid for {what} resources."))
                    .span(attribute.name.span),
            );
        }
        fields.finish(&["precondition", "postcondition"], diags);
        return out;
    }
    out.create_before_destroy = flag(&mut fields, "create_before_destroy", diags);
    out.prevent_destroy = flag(&mut fields, "prevent_destroy", diags);
    if let Some(attribute) = fields.take("replace_triggered_by") {
        out.replace_triggered_by = choice("replace_triggered_by", attribute.value, diags, &|node, diags| {
            let items = list(node, "replace_triggered_by", diags).into_iter();
            items.filter_map(|node| fields::reference(node, "replace_triggered_by", diags)).collect()
        });
    }
    if let Some(attribute) = fields.take("ignore_changes") {
        out.ignore_changes = choice("ignore_changes", attribute.as_static(), diags, &ignore_changes);
    }
    fields.finish(
        &[
            "create_before_destroy",
            "prevent_destroy",
            "ignore_changes",
            "replace_triggered_by",
            "precondition",
            "postcondition",
        ],
        diags,
    );
    out
}

/// A list that is written out, or one of two by a condition.
fn choice<T>(
    name: &str,
    node: Node,
    diags: &mut Diagnostics,
    read: &dyn Fn(Node, &mut Diagnostics) -> T,
) -> Choice<T> {
    match node.kind {
        NodeKind::Parens(inner) | NodeKind::Wrap(inner) => choice(name, *inner, diags, read),
        NodeKind::Conditional(parts) => {
            let [condition, yes, no] = *parts;
            let (condition, _) = known_while_planning(name, condition, diags);
            Choice::When(Box::new((condition, choice(name, yes, diags, read), choice(name, no, diags, read))))
        }
        _ => Choice::Is(read(node, diags)),
    }
}

/// An expression of what is known while planning, for objects too that the configuration does not have any more, and whether it is one.
fn known_while_planning(name: &str, node: Node, diags: &mut Diagnostics) -> (Expr, bool) {
    let expr = Expr::new(node, &[], diags);
    let mut fits = true;
    for reference in expr.references() {
        let key =
            |name: &str| matches!(reference.steps.first(), Some(RefStep::Attr(first)) if &**first == name);
        let known = match &reference.subject {
            Subject::Variable(_)
            | Subject::Local(_)
            | Subject::Path
            | Subject::Terraform
            | Subject::Count => true,
            Subject::Each => key("key"),
            _ => false,
        };
        if !known {
            fits = false;
            diags.push(
                Diagnostic::error(format!("Invalid {name} argument"))
                    .detail(format!(
                        "It must be known while planning, for objects too that the configuration does not have any more: \"{name}\" may be made \
                         of variables, locals, each.key and count.index."
                    ))
                    .span(reference.span),
            );
        }
    }
    (expr, fits)
}

/// A yes or no, constant or made of what is known while planning.
fn flag(fields: &mut Fields, name: &str, diags: &mut Diagnostics) -> Flag {
    let Some(attribute) = fields.take(name) else { return Flag::default() };
    let constant = attribute.value.clone();
    let span = constant.span;
    let (expr, mut fits) = known_while_planning(name, attribute.value, diags);
    if expr.references().is_empty()
        && let Some(value) = diags.keep(fields::constant(constant))
        && let Err(error) = convert(&value, &Type::Bool)
    {
        fits = false;
        diags.push(
            Diagnostic::error("Unsuitable value type")
                .detail(format!("Unsuitable value for \"{name}\": {error}."))
                .span(span),
        );
    }
    Flag(fits.then_some(expr))
}

/// What a variable's `validation` blocks check must be the variable.
pub(super) fn of_variable(variable: &Variable, diags: &mut Diagnostics) {
    let name = &variable.name;
    for check in &variable.validations {
        let own = |r: &Reference| r.subject == Subject::Variable(name.clone());
        let references = check.condition.references();
        if !references.iter().any(own) {
            diags.push(
                Diagnostic::error("Invalid variable validation condition")
                    .detail(format!("The condition for variable \"{name}\" must refer to var.{name} in order to test incoming values."))
                    .span(check.condition.span()),
            );
        }
    }
}

/// `precondition`, `postcondition`, `validation`, `assert`
pub(super) fn checks(blocks: Vec<RawBlock>, what: &str, diags: &mut Diagnostics) -> Vec<Check> {
    let mut out = Vec::new();
    for block in blocks {
        let mut fields = Fields::new(block);
        let span = fields.head;
        let condition = fields.required("condition", diags).map(|a| Expr::new(a.value, &[], diags));
        let error_message = fields.required("error_message", diags).map(|a| Expr::new(a.value, &[], diags));
        fields.finish(&["condition", "error_message"], diags);
        if let Some(condition) = condition.as_ref().filter(|condition| condition.references().is_empty()) {
            diags.push(
                Diagnostic::error(format!("Invalid {what} expression"))
                    .detail("The condition expression must refer to at least one object from elsewhere in the configuration, or else its result would not be checking anything.")
                    .span(condition.span()),
            );
        }
        if let (Some(condition), Some(error_message)) = (condition, error_message) {
            out.push(Check { condition, error_message, span });
        }
    }
    out
}

fn ignore_changes(node: Node, diags: &mut Diagnostics) -> IgnoreChanges {
    if node.keyword().is_some_and(|k| &**k == "all") {
        return IgnoreChanges::All;
    }
    let mut paths = Vec::new();
    for item in list(node, "ignore_changes", diags) {
        let item = unquote(item);
        if item.literal().and_then(Value::as_str) == Some("*") {
            return IgnoreChanges::All;
        }
        match path(&item) {
            Some(path) => paths.push(path),
            None => diags.push(
                Diagnostic::error("Invalid ignore_changes expression")
                    .detail("Each element is the name of an argument, or a path into one: tags, tags[\"Name\"], disk[0].size.")
                    .span(item.span),
            ),
        }
    }
    IgnoreChanges::Paths(paths)
}

/// `a.b[0]["c"]`
fn path(node: &Node) -> Option<Path> {
    let name = |name: &Arc<str>| grappe_value::Step::Attr(name.clone());
    match &node.kind {
        NodeKind::Name(first) => Some(Path(vec![name(first)])),
        NodeKind::Traverse(base, steps) => {
            let mut path = Path(vec![name(base.keyword()?)]);
            for step in steps {
                path.0.push(match step {
                    Step::Attr(attr, _) => name(attr),
                    Step::Index(index, _) => match index.literal()? {
                        value if value.as_str().is_some() => grappe_value::Step::Key(value.as_str()?.into()),
                        value => grappe_value::Step::Index(value.as_number()?.as_usize()?),
                    },
                    Step::Splat(..) => return None,
                });
            }
            Some(path)
        }
        _ => None,
    }
}
