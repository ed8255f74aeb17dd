//! Objects that exist and are taken into the state: what must be read of them, and what can't be.
//!
//! What is found goes into the state that the planner is given, and into [`crate::Plan::imports`]: from then on it is an object like any other, which the
//! plan leaves as it is, changes or replaces, as its block asks for.

use std::collections::BTreeSet;
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_provider::{AnyResource, Importable};
use grappe_value::Value;
use grappe_value::addr::InstanceAddr;

use crate::decide::creation;
use crate::input::{ImportRead, Input};
use crate::model::ProviderConfig;
use crate::planner::provider_config;
use crate::walk::{At, Walk};

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

/// That there is no block for what is to be imported.
pub(crate) fn homeless(input: &Input<'_>, wanted: &BTreeSet<InstanceAddr>) -> Diagnostics {
    let missing = input.options.imports.keys().filter(|addr| !wanted.contains(*addr));
    missing
        .map(|addr| {
            let ty = &addr.resource.ty;
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
