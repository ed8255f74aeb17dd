//! The blocks at the top of a module's files, module calls apart.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::addr::Mode;
use grappe_value::{Type, convert};
use indexmap::IndexMap;
use indexmap::map::Entry;

use super::fields::{Fields, constant, is_identifier};
use super::types::{Defaults, type_constraint};
use super::{
    Backend, Lifecycle, Local, Module, Output, ProviderBlock, Provisioners, RequiredProvider, Resource,
    Variable, checks, imports, meta, moves, provisioners, version,
};
use crate::expr::NodeKind;
use crate::syntax::{Ident, RawBlock};
use crate::{Body, Expr};

const KNOWN: [&str; 13] = [
    "check",
    "data",
    "ephemeral",
    "import",
    "locals",
    "module",
    "moved",
    "output",
    "provider",
    "removed",
    "resource",
    "terraform",
    "variable",
];

/// Reads a block into its module.
pub(super) fn read(block: RawBlock, module: &mut Module, diags: &mut Diagnostics) {
    match &*block.ty.name {
        "variable" => variable(block, module, diags),
        "locals" => locals(block, module, diags),
        "output" => output(block, module, diags),
        "resource" => resource(block, Mode::Managed, None, module, diags),
        "data" => resource(block, Mode::Data, None, module, diags),
        "ephemeral" => resource(block, Mode::Ephemeral, None, module, diags),
        "provider" => provider(block, module, diags),
        "terraform" => terraform(block, module, diags),
        "moved" => moves::moved(block, module, diags),
        "removed" => moves::removed(block, module, diags),
        "import" => imports::import(block, module, diags),
        "check" => checks::check(block, module, diags),
        other => diags.push(
            Diagnostic::error("Unsupported block type")
                .detail(format!("Blocks of type \"{other}\" are not expected here."))
                .span(block.ty.span)
                .did_you_mean(other, KNOWN),
        ),
    }
}

/// The labels of a block: as many as it has names for, each a name.
pub(super) fn labels<const N: usize>(
    block: &RawBlock,
    wanted: [&str; N],
    diags: &mut Diagnostics,
) -> Option<[Ident; N]> {
    let found = labels_of(block, wanted, diags)?;
    let ty = &block.ty.name;
    for (label, what) in found.iter().zip(wanted) {
        if !is_identifier(&label.name) {
            diags.push(
                Diagnostic::error(format!("Invalid {ty} {what}"))
                    .detail("A name must start with a letter or underscore and may contain only letters, digits, underscores, and dashes.")
                    .span(label.span),
            );
            return None;
        }
    }
    Some(found)
}

/// The labels of a block: as many as it has names for.
pub(super) fn labels_of<const N: usize>(
    block: &RawBlock,
    wanted: [&str; N],
    diags: &mut Diagnostics,
) -> Option<[Ident; N]> {
    let ty = &block.ty.name;
    if let Some(missing) = wanted.get(block.labels.len()) {
        diags.push(
            Diagnostic::error(format!("Missing {missing} for {ty}"))
                .detail(format!("All {ty} blocks must have {N} label(s) ({}).", wanted.join(", ")))
                .span(block.head()),
        );
        return None;
    }
    if let Some(extra) = block.labels.get(N) {
        diags.push(
            Diagnostic::error(format!("Extraneous label for {ty}"))
                .detail(match N {
                    0 => format!("No labels are expected for {ty} blocks."),
                    _ => format!("Only {N} label(s) ({}) are expected for {ty} blocks.", wanted.join(", ")),
                })
                .span(extra.span),
        );
        return None;
    }
    block.labels.clone().try_into().ok()
}

/// Adds an item; a second of the same name is an error.
pub(super) fn add<V>(
    map: &mut IndexMap<Arc<str>, V>,
    name: Arc<str>,
    value: V,
    what: &str,
    span: Span,
    place: fn(&V) -> Span,
    diags: &mut Diagnostics,
) {
    match map.entry(name) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(entry) => diags.push(
            Diagnostic::error(format!("Duplicate {what}"))
                .detail(format!(
                    "\"{}\" was already declared. The name of each {what} must be unique within a module.",
                    entry.key()
                ))
                .span(span)
                .related(place(entry.get()), "first declared here"),
        ),
    }
}

fn variable(block: RawBlock, module: &mut Module, diags: &mut Diagnostics) {
    let Some([name]) = labels(&block, ["name"], diags) else { return };
    const RESERVED: [&str; 8] =
        ["source", "version", "providers", "count", "for_each", "lifecycle", "depends_on", "locals"];
    if RESERVED.contains(&&*name.name) {
        diags.push(
            Diagnostic::error("Invalid variable name")
                .detail(format!(
                    "The variable name \"{}\" is reserved due to its special meaning inside module blocks.",
                    name.name
                ))
                .span(name.span),
        );
    }
    let mut fields = Fields::new(block);
    let span = fields.head;
    let typed = fields.take("type");
    let untyped = typed.is_none();
    let (ty, defaults) = match typed {
        Some(attribute) => {
            diags.keep(type_constraint(&attribute.as_static())).unwrap_or((Type::Any, Defaults::default()))
        }
        None => (Type::Any, Defaults::default()),
    };
    let mut variable = Variable {
        name: name.name.clone(),
        description: fields.text("description", diags),
        sensitive: fields.flag("sensitive", false, diags),
        ephemeral: fields.flag("ephemeral", false, diags),
        nullable: fields.flag("nullable", true, diags),
        validations: meta::checks(fields.take_blocks("validation", diags), "validation", diags),
        default: None,
        literal: untyped || ty.is_primitive(),
        ty,
        defaults,
        span,
    };
    meta::of_variable(&variable, diags);
    if let Some(attribute) = fields.take("default") {
        let at = attribute.value.span;
        if let Some(value) = diags.keep(attribute.constant()) {
            match convert(&variable.defaults.apply(value), &variable.ty) {
                Ok(value) if value.is_null() && !variable.nullable => diags.push(
                    Diagnostic::error("Invalid default value for variable")
                        .detail("A null default value is not valid when nullable=false.")
                        .span(at),
                ),
                Ok(value) => variable.default = Some(value),
                Err(error) => diags.push(
                    Diagnostic::error("Invalid default value for variable")
                        .detail(format!("This default value is not compatible with the variable's type constraint: {error}."))
                        .span(at),
                ),
            }
        }
    }
    fields.finish(
        &["type", "default", "description", "sensitive", "nullable", "ephemeral", "validation"],
        diags,
    );
    add(&mut module.variables, name.name, variable, "variable", span, |v| v.span, diags);
}

fn locals(block: RawBlock, module: &mut Module, diags: &mut Diagnostics) {
    if labels(&block, [], diags).is_none() {
        return;
    }
    let fields = Fields::new(block);
    for attribute in fields.body.attributes {
        let span = attribute.name.span;
        let local = Local { expr: Expr::new(attribute.value, &[], diags), span };
        add(&mut module.locals, attribute.name.name, local, "local value", span, |l| l.span, diags);
    }
    for block in fields.body.blocks {
        diags.push(
            Diagnostic::error("Unexpected block")
                .detail("Blocks are not allowed in a locals block.")
                .hint(format!("write {} = {{ … }} for an object", block.ty.name))
                .span(block.head()),
        );
    }
}

fn output(block: RawBlock, module: &mut Module, diags: &mut Diagnostics) {
    let Some([name]) = labels(&block, ["name"], diags) else { return };
    let mut fields = Fields::new(block);
    let span = fields.head;
    let value = fields.required("value", diags);
    let description = fields.text("description", diags);
    let sensitive = fields.flag("sensitive", false, diags);
    let depends_on = fields.references("depends_on", diags);
    let preconditions = meta::checks(fields.take_blocks("precondition", diags), "precondition", diags);
    let ephemeral = fields.flag("ephemeral", false, diags);
    if ephemeral && module.path.is_empty() {
        diags.push(
            Diagnostic::error("Ephemeral output not allowed")
                .detail(
                    "Ephemeral outputs are not allowed in context of a root module: its outputs are stored.",
                )
                .span(span),
        );
    }
    fields.finish(&["value", "description", "sensitive", "ephemeral", "depends_on", "precondition"], diags);
    let Some(value) = value else { return };
    let expr = Expr::new(value.value, &[], diags);
    let output = Output { expr, sensitive, ephemeral, depends_on, preconditions, description, span };
    add(&mut module.outputs, name.name, output, "output value", span, |o| o.span, diags);
}

pub(super) fn resource(
    block: RawBlock,
    mode: Mode,
    scope: Option<&Arc<str>>,
    module: &mut Module,
    diags: &mut Diagnostics,
) {
    let Some([ty, name]) = labels(&block, ["type", "name"], diags) else { return };
    let mut fields = Fields::new(block);
    let span = fields.head;
    let meta = meta::read(&mut fields, diags);
    let provider = meta::provider(&mut fields, diags);
    let lifecycle = match fields.take_block("lifecycle", diags) {
        Some(block) => meta::lifecycle(block, mode, diags),
        None => Lifecycle::default(),
    };
    let timeouts = match timeouts_argument(&fields) {
        true => None,
        false => fields.take_block("timeouts", diags).map(|block| Body::new(block.body, &[], diags)),
    };
    let provisioners = match mode {
        Mode::Managed => provisioners::read(&mut fields, diags),
        Mode::Data | Mode::Ephemeral => Provisioners::default(),
    };
    let body = Body::new(fields.body, &[], diags);
    let resource = Resource {
        mode,
        ty: ty.name.clone(),
        name: name.name.clone(),
        span,
        count: meta.count,
        for_each: meta.for_each,
        depends_on: meta.depends_on,
        provider,
        lifecycle,
        scope: scope.cloned(),
        provisioners,
        timeouts,
        body,
        stands_in: false,
    };
    match module.resources.entry((mode, ty.name, name.name)) {
        Entry::Vacant(entry) => {
            entry.insert(Arc::new(resource));
        }
        Entry::Occupied(entry) => {
            let (ty, name) = (&resource.ty, &resource.name);
            diags.push(
                Diagnostic::error(format!("Duplicate resource \"{ty}\" configuration"))
                    .detail(format!("A {ty} resource named \"{name}\" was already declared. Resource names must be unique per type in each module."))
                    .span(span)
                    .related(entry.get().span, "first declared here"),
            );
        }
    }
}

/// Whether `timeouts` is an argument of the type's own: in the JSON syntax it looks like the block, but for what is in it.
fn timeouts_argument(fields: &Fields) -> bool {
    let named = |a: &&crate::syntax::RawAttribute| &*a.name.name == "timeouts" && a.json.is_some();
    let names = ["create", "read", "update", "delete", "//"];
    fields.body.attributes.iter().find(named).is_some_and(|a| !a.has_only(&names))
}

fn provider(block: RawBlock, module: &mut Module, diags: &mut Diagnostics) {
    let Some([name]) = labels(&block, ["name"], diags) else { return };
    let mut fields = Fields::new(block);
    let span = fields.head;
    let alias = fields.text("alias", diags);
    let for_each = fields.expr("for_each", diags);
    if let (Some(for_each), None) = (&for_each, &alias) {
        diags.push(
            Diagnostic::error("Alias required when using \"for_each\"")
                .detail("A provider configuration with for_each is several: resources choose among them by the alias and a key.")
                .hint(format!("add alias = \"by_key\", and choose with provider = {}.by_key[each.key]", name.name))
                .span(for_each.span()),
        );
    }
    if let Some(version) = fields.take("version") {
        diags.push(
            Diagnostic::warning("Version constraints inside provider configuration blocks are deprecated")
                .detail("The version is not looked at: the providers are part of this program.")
                .span(version.name.span),
        );
    }
    let before = module.providers.iter().find(|p| p.name == name.name && p.alias == alias);
    if let Some(before) = before {
        diags.push(
            Diagnostic::error("Duplicate provider configuration")
                .detail(match &alias {
                    None => format!("A default provider configuration for \"{}\" was already given. If multiple configurations are required, set the \"alias\" argument for alternative configurations.", name.name),
                    Some(alias) => format!("A provider configuration for \"{}\" with alias \"{alias}\" was already given.", name.name),
                })
                .span(span)
                .related(before.span, "first given here"),
        );
        return;
    }
    let body = Body::new(fields.body, &[], diags);
    module.providers.push(ProviderBlock { name: name.name, alias, for_each, body, span });
}

fn terraform(block: RawBlock, module: &mut Module, diags: &mut Diagnostics) {
    if labels(&block, [], diags).is_none() {
        return;
    }
    let mut fields = Fields::new(block);
    let at =
        fields.body.attributes.iter().find(|a| &*a.name.name == "required_version").map(|a| a.value.span);
    if let (Some(wanted), Some(at)) = (fields.text("required_version", diags), at) {
        match version::fits(version::SPOKEN, &wanted) {
            Ok(true) => {}
            Ok(false) => diags.push(
                Diagnostic::error("Unsupported Terraform Core version")
                    .detail(format!("This configuration wants Terraform {wanted}; the language that is understood here is that of Terraform {}.", version::SPOKEN))
                    .span(at),
            ),
            Err(why) => diags.push(
                Diagnostic::error("Invalid version constraint").detail(format!("{why}.")).span(at),
            ),
        }
        module.settings.required_version.push((wanted, at));
    }
    for block in fields.take_blocks("required_providers", diags) {
        required_providers(block, module, diags);
    }
    if let Some(block) = fields.take_block("backend", diags) {
        let span = block.head();
        if let Some([ty]) = labels(&block, ["type"], diags) {
            match &module.settings.backend {
                Some(before) => diags.push(
                    Diagnostic::error("Duplicate backend configuration")
                        .detail("A module may have only one backend configuration.")
                        .span(span)
                        .related(before.span, "first configured here"),
                ),
                None => {
                    let body = Body::new(block.body, &[], diags);
                    module.settings.backend = Some(Backend { ty: ty.name, body, span });
                }
            }
        }
    }
    for block in fields.take_blocks("cloud", diags) {
        diags.push(
            Diagnostic::error("Blocks of type \"cloud\" are not supported")
                .detail("Runs and state in HCP Terraform are not supported.")
                .hint("keep the state in a backend")
                .span(block.head()),
        );
    }
    for name in ["experiments", "language"] {
        if let Some(attribute) = fields.take(name) {
            diags.push(
                Diagnostic::warning(format!("The argument \"{name}\" is not looked at"))
                    .detail("There are no experiments and no other editions of the language here.")
                    .span(attribute.name.span),
            );
        }
    }
    fields.take_blocks("provider_meta", diags);
    fields.finish(&["required_version", "required_providers", "backend"], diags);
}

fn required_providers(block: RawBlock, module: &mut Module, diags: &mut Diagnostics) {
    for attribute in block.body.attributes {
        let span = attribute.name.span.to(attribute.value.span);
        let mut entry = RequiredProvider { source: None, version: None, span };
        match attribute.value.kind {
            // As Terraform 0.12 had it: the version alone.
            NodeKind::Literal(value) => entry.version = value.as_str().map(Arc::from),
            NodeKind::Object(items) => {
                for (key, value) in items {
                    let at = value.span;
                    let name = key.literal().and_then(|k| k.as_str().map(str::to_owned)).unwrap_or_default();
                    if name == "configuration_aliases" {
                        continue;
                    }
                    let Some(value) = diags.keep(constant(value)) else { continue };
                    let slot = match &*name {
                        "source" => &mut entry.source,
                        "version" => &mut entry.version,
                        other => {
                            diags.push(
                                Diagnostic::error("Invalid required_providers object")
                                    .detail(format!("required_providers objects have \"source\", \"version\" and \"configuration_aliases\", not \"{other}\"."))
                                    .span(key.span),
                            );
                            continue;
                        }
                    };
                    *slot = value.as_str().map(Arc::from);
                    if slot.is_none() {
                        diags.push(
                            Diagnostic::error(format!("Invalid {name}"))
                                .detail(format!("The {name} of a provider is a text."))
                                .span(at),
                        );
                    }
                }
            }
            _ => diags.push(
                Diagnostic::error("Invalid required_providers object")
                    .detail("An entry is an object: { source = \"NAMESPACE/TYPE\", version = \"…\" }.")
                    .span(attribute.value.span),
            ),
        }
        add(
            &mut module.settings.required_providers,
            attribute.name.name,
            entry,
            "required provider",
            span,
            |p| p.span,
            diags,
        );
    }
}
