//! Objects that exist and are taken into the state: what must be read of them, and what can't be.
//!
//! What is found goes into the state that the planner is given, and into [`crate::Plan::imports`]: from then on it is an object like any other, which the
//! plan leaves as it is, changes or replaces, as its block asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::{Expr, Import};
use grappe_provider::{AnyResource, Importable};
use grappe_value::addr::InstanceAddr;
use grappe_value::{Attribute, Presence, Schema, Type, Value, convert};

use crate::decide::creation;
use crate::expand::{each_keys, is_open};
use crate::input::{ImportRead, Input};
use crate::model::ProviderConfig;
use crate::planner::{Asked, provider_config};
use crate::references::instance_key;
use crate::walk::{At, Frame, NodeId, Repeated, Walk};

/// What must be read to import an instance: nothing where its provider waits for something itself.
///
/// # Errors
/// Where its type can't be imported, or where it is to be looked for is not known.
pub(crate) fn read(
    walk: &Walk<'_>,
    at: &At<'_>,
    kind: &dyn AnyResource,
    id: &Arc<str>,
    config: &Value,
    timeouts: grappe_state::Timeouts,
) -> Result<Option<(ImportRead, ProviderConfig)>, Diagnostic> {
    let place = |diagnostic: Diagnostic| diagnostic.span(at.resource.span).address(&at.addr);
    if let Importable::Not(why) = kind.importable() {
        return Err(place(
            Diagnostic::error("Resource type that can't be imported")
                .detail(format!("No {} can be imported, because {why}.", kind.name())),
        ));
    }
    let unknown = |what: String| {
        place(
            Diagnostic::error("Import of something that is not known yet")
                .detail(what)
                .hint("apply what it depends on first, with -target, and import it then"),
        )
    };
    if !config.is_wholly_known() {
        let open: Vec<String> = config
            .as_entries()
            .into_iter()
            .flatten()
            .filter(|(_, v)| !v.is_wholly_known())
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        return Err(unknown(format!("{} of {} is known only while applying.", open.join(", "), at.addr)));
    }
    let Some(provider) = provider_config(walk, at)? else { return Ok(None) };
    if !provider.known() {
        return Err(unknown(format!(
            "The configuration of provider {} of {} is known only while applying.",
            provider.key, at.addr
        )));
    }
    let read = ImportRead {
        addr: at.addr.clone(),
        provider: provider.key.clone(),
        id: id.clone(),
        planned: creation(kind, config),
        deadline: crate::timeouts::deadline(timeouts),
    };
    Ok(Some((read, provider)))
}

/// What stands for the arguments of a block that is not written yet: nothing, as far as a type can do with that.
pub(crate) fn nothing_asked(at: &At<'_>, schema: &Schema) -> Asked {
    let mut found = Diagnostics::new();
    let mut value = |name: &str, attribute: &Attribute| match (attribute.presence, &attribute.ty) {
        (Presence::Required, Type::String) => "".into(),
        (Presence::Required, Type::Number) => 0i64.into(),
        (Presence::Required, Type::Bool) => false.into(),
        (Presence::Required, Type::List(element)) => Value::list((**element).clone(), []),
        (Presence::Required, Type::Set(element)) => Value::set((**element).clone(), []),
        (Presence::Required, Type::Map(element)) => Value::map::<Arc<str>>((**element).clone(), []),
        (Presence::Required, _) => {
            found.push(
                Diagnostic::error("Import without a block")
                    .detail(format!(
                        "Where a {} is to be looked for is said by its argument \"{name}\": no block can be generated for it.",
                        at.resource.ty
                    ))
                    .hint("write the block first")
                    .span(at.resource.span),
            );
            Value::null(attribute.ty.clone())
        }
        _ => attribute.default.clone().unwrap_or_else(|| Value::null(attribute.ty.clone())),
    };
    let attributes = schema.attributes.iter().map(|(name, attribute)| (name.clone(), value(name, attribute)));
    let mut entries: Vec<(Arc<str>, Value)> = attributes.collect();
    entries.extend(schema.blocks.iter().map(|(name, block)| {
        let none = match block.ty() {
            Type::List(element) => Value::list((*element).clone(), []),
            Type::Set(element) => Value::set((*element).clone(), []),
            ty => Value::null(ty),
        };
        (name.clone(), none)
    }));
    let config = (!found.has_errors()).then(|| Value::object(entries));
    Asked { config, timeouts: grappe_state::Timeouts::default(), deps: Vec::new(), found }
}

/// What an `import` block names: the ids by address, and what they are made of.
#[derive(Clone, Default)]
pub(crate) struct Named {
    pub(crate) ids: BTreeMap<InstanceAddr, Arc<str>>,
    pub(crate) deps: Vec<NodeId>,
    /// What is not known yet: of which instance (of all where `None`), and what is wrong with that where it never will be.
    pub(crate) open: Vec<(Option<InstanceAddr>, Diagnostic)>,
}

impl Named {
    /// That it is not known yet whether, or by what, an instance is to be imported.
    pub(crate) fn open(&self, addr: &InstanceAddr) -> Option<&Diagnostic> {
        let of_it = |of: &Option<InstanceAddr>| of.as_ref().is_none_or(|of| of == addr);
        self.open.iter().find(|(of, _)| of_it(of)).map(|(_, wrong)| wrong)
    }
}

/// Evaluates an `import` block of the root module.
pub(crate) fn evaluate(walk: &Walk<'_>, block: &Import, found: &mut Diagnostics) -> Named {
    let mut named = Named::default();
    let mut deps = Vec::new();
    let mut eval = |expr: &Expr, frame: &Frame, found: &mut Diagnostics| {
        let made = walk.eval(frame, |scope| expr.eval(scope));
        deps.extend(made.deps);
        found.extend(made.found);
        made.value
    };
    let mut frames = vec![walk.frame(0)];
    if let Some(for_each) = &block.for_each {
        let Some(value) = eval(for_each, &walk.frame(0), found) else { return named };
        let keys = match each_keys(&value) {
            Ok(keys) => keys,
            Err(why) => {
                let wrong = Diagnostic::error("Invalid for_each argument").detail(why).span(for_each.span());
                match is_open(Repeated::ForEach, &value) {
                    true => named.open.push((None, wrong)),
                    false => found.push(wrong),
                }
                named.deps = deps;
                return named;
            }
        };
        frames = keys.iter().map(|(_, each, _)| Frame { each, ..walk.frame(0) }).collect();
    }
    for frame in frames {
        let (mut text, mut known) = (String::new(), true);
        for (name, key) in &block.to {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(name);
            let Some(key) = key else { continue };
            match eval(key, &frame, found).as_ref().and_then(instance_key) {
                Some(key) => text.push_str(&key.to_string()),
                None => known = false,
            }
        }
        let Some(addr) = text.parse::<InstanceAddr>().ok().filter(|_| known) else {
            found.push(
                Diagnostic::error("Invalid import address")
                    .detail("The keys of the address must be known texts or whole numbers.")
                    .span(block.to_span),
            );
            continue;
        };
        let Some(id) = eval(&block.id, &frame, found) else { continue };
        let open = id.is_unknown();
        let why = match convert(&id, &Type::String) {
            Ok(id) if id.is_unknown() => "is not known, and nothing that is planned makes it known",
            Ok(id) if id.is_ephemeral_deep() => "is derived from an ephemeral value, and an id is stored",
            Ok(id) if id.is_null() => "is null",
            Ok(id) => match id.as_str() {
                Some("") | None => "is an empty text",
                Some(id) => {
                    named.ids.insert(addr, id.into());
                    continue;
                }
            },
            Err(_) => "is no text",
        };
        let wrong = Diagnostic::error("Invalid import id argument")
            .detail(format!("The import block's \"id\" for {addr} {why}."))
            .span(block.id.span());
        match open {
            true => named.open.push((Some(addr), wrong)),
            false => found.push(wrong),
        }
    }
    named.deps = deps;
    named
}

/// What is wrong with the blocks together: addresses that the configuration does not have, or that two blocks name.
pub(crate) fn check_blocks(
    blocks: &[(&Import, Named)],
    wanted: &BTreeSet<InstanceAddr>,
    limited: bool,
    has_block: &dyn Fn(&InstanceAddr) -> bool,
) -> Diagnostics {
    let mut found = Diagnostics::new();
    let mut seen: BTreeMap<&InstanceAddr, &Import> = BTreeMap::new();
    for (block, named) in blocks {
        for addr in named.ids.keys() {
            if let Some(first) = seen.insert(addr, block) {
                found.push(
                    Diagnostic::error(format!("Duplicate import configuration for \"{addr}\""))
                        .detail("A resource instance can have only one import block.")
                        .span(block.span)
                        .related(first.span, "already declared here"),
                );
            }
            if !has_block(addr) {
                found.push(
                    Diagnostic::error("Configuration for import target does not exist")
                        .detail("There is no resource block at the address that this imports to.")
                        .hint("write the block, or have it written: grappe plan -generate-config-out=generated.tf")
                        .span(block.to_span),
                );
            } else if !wanted.contains(addr) && !limited {
                found.push(
                    Diagnostic::error("Configuration for import target does not exist")
                        .detail(format!(
                            "There is no instance {addr}: the block that it would be of does not make it."
                        ))
                        .span(block.to_span),
                );
            }
        }
    }
    found
}

/// That there is no block for what is to be imported.
pub(crate) fn homeless(
    input: &Input<'_>,
    is_open: &dyn Fn(&InstanceAddr) -> bool,
    wanted: &BTreeSet<InstanceAddr>,
) -> Diagnostics {
    let missing = input.options.imports.keys().filter(|addr| !wanted.contains(*addr));
    missing
        .map(|addr| {
            let ty = &addr.resource.ty;
            if is_open(addr) {
                return Diagnostic::error("Import of something that is not known yet")
                    .detail(format!("Whether there is to be an instance {addr} is known only while applying."))
                    .hint("apply first, and import it then")
                    .address(addr);
            }
            if input.registry.resource(ty).is_none() {
                return Diagnostic::error("Invalid resource type")
                    .detail(format!("No provider here has a resource type \"{ty}\"."))
                    .address(addr)
                    .did_you_mean(ty, input.registry.resource_types());
            }
            let mut others = wanted.iter().filter(|w| w.resource == addr.resource).map(ToString::to_string);
            if let Some(other) = others.next() {
                return Diagnostic::error("Import of an instance that is not wanted")
                    .detail(format!("The block of {addr} has no such instance; it has {other}."))
                    .hint("let its count or for_each have it first")
                    .address(addr);
            }
            let names: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            Diagnostic::error("Import without a block")
                .detail(format!(
                    "Resource address {addr} does not exist in the configuration. Before it is imported, write its block:\n\n\
                     resource \"{}\" \"{}\" {{\n  # (resource arguments)\n}}",
                    addr.resource.ty, addr.resource.name
                ))
                .address(addr)
                .did_you_mean(&addr.to_string(), names.iter().map(String::as_str))
        })
        .collect()
}
