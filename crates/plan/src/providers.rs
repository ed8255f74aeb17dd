//! Which provider configuration a resource uses.
//!
//! A module names providers by local names (`required_providers` may give a provider another one), and a configuration by an alias. A module without a
//! `provider` block of its own inherits the default configuration of its caller; aliased ones are passed in `providers = {…}`.

use std::sync::Arc;

use grappe_diag::Diagnostic;
use grappe_lang::{Module, ProviderRef, Resource};
use grappe_provider::Registry;
use grappe_value::addr::Mode;
use grappe_value::{Presence, Value};

use crate::statics::Statics;

/// Where a provider configuration is.
pub(crate) struct Home {
    /// The provider's name in the registry.
    pub(crate) name: Arc<str>,
    /// Its alias in the module that holds it.
    pub(crate) alias: Option<Arc<str>>,
    /// Module and position of its block; `None` for a default configuration that no block gives.
    pub(crate) block: Option<(usize, usize)>,
}

/// The provider that a local name of a module stands for: the last part of its source (`terraform-provider-openstack/openstack`).
pub(crate) fn registry_name(module: &Module, local: &Arc<str>) -> Arc<str> {
    let source = module.settings.required_providers.get(&**local).and_then(|r| r.source.as_ref());
    match source.and_then(|s| s.rsplit('/').next()) {
        Some(name) if !name.is_empty() => name.into(),
        _ => local.clone(),
    }
}

/// The local name of a provider in a module.
fn local_name(module: &Module, provider: &str) -> Arc<str> {
    let mut locals = module.settings.required_providers.keys();
    let renamed = locals.find(|local| &*registry_name(module, local) == provider);
    renamed.cloned().unwrap_or_else(|| provider.into())
}

impl<'a> Statics<'a> {
    /// The configuration that a resource of a module uses.
    ///
    /// # Errors
    /// Where the type is not known, belongs to another provider than is named, or there is no such configuration.
    pub(crate) fn provider_of(&self, module: usize, resource: &Resource) -> Result<Home, Diagnostic> {
        let owner = match resource.mode {
            Mode::Managed => self.registry.provider_of(&resource.ty),
            Mode::Data => self.registry.provider_of_data(&resource.ty),
        };
        let Some(owner) = owner else { return Err(self.unknown_type(resource)) };
        let config = self.modules[module].config;
        let wanted = match &resource.provider {
            Some(wanted) => wanted.clone(),
            None => ProviderRef { name: local_name(config, owner), alias: None },
        };
        let named = registry_name(config, &wanted.name);
        if *named != *owner {
            return Err(Diagnostic::error("Invalid provider for this resource type")
                .detail(format!("{} belongs to provider \"{owner}\", not to \"{named}\".", resource.ty))
                .span(resource.span));
        }
        self.home(module, &wanted).map_err(|missing| {
            let shown = shown(&missing);
            Diagnostic::error("Provider configuration not present")
                .detail(format!(
                    "{}.{} wants the provider configuration {shown}, and there is no `provider` block with that alias for it.",
                    resource.ty, resource.name
                ))
                .hint("declare it, or pass it to the module in `providers = {…}`")
                .span(resource.span)
        })
    }

    /// Follows a configuration up through the calls to the module that holds it.
    fn home(&self, module: usize, wanted: &ProviderRef) -> Result<Home, ProviderRef> {
        let (mut at, mut wanted) = (module, wanted.clone());
        loop {
            let config = self.modules[at].config;
            let name = registry_name(config, &wanted.name);
            let mut blocks = config.providers.iter();
            if let Some(i) = blocks.position(|p| p.name == wanted.name && p.alias == wanted.alias) {
                return Ok(Home { name, alias: wanted.alias, block: Some((at, i)) });
            }
            let (Some((parent, _)), Some(call)) = (self.modules[at].parent, self.call(at)) else {
                return if wanted.alias.is_none() {
                    Ok(Home { name, alias: None, block: None })
                } else {
                    Err(wanted)
                };
            };
            wanted = match call.providers.iter().find(|(child, _)| *child == wanted) {
                Some((_, ours)) => ours.clone(),
                None if wanted.alias.is_none() => {
                    ProviderRef { name: local_name(self.modules[parent].config, &name), alias: None }
                }
                None => return Err(wanted),
            };
            at = parent;
        }
    }

    /// Says that no provider has this type.
    pub(crate) fn unknown_type(&self, resource: &Resource) -> Diagnostic {
        let (what, other) = match resource.mode {
            Mode::Managed => ("resource type", self.registry.data_source(&resource.ty).map(|_| "data")),
            Mode::Data => ("data source", self.registry.resource(&resource.ty).map(|_| "resource")),
        };
        let known: Vec<&str> = match resource.mode {
            Mode::Managed => self.registry.resource_types().collect(),
            Mode::Data => self.registry.data_source_types().collect(),
        };
        let diagnostic = Diagnostic::error(format!("Invalid {what}"))
            .detail(format!("No provider here has a {what} \"{}\".", resource.ty))
            .span(resource.span)
            .did_you_mean(&resource.ty, known);
        match other {
            Some(other) => diagnostic.hint(format!("it is a \"{other}\" block that has this type")),
            None => diagnostic,
        }
    }
}

/// As a plan writes it.
pub(crate) fn shown(reference: &ProviderRef) -> String {
    match &reference.alias {
        Some(alias) => format!("{}.{alias}", reference.name),
        None => reference.name.to_string(),
    }
}

/// The configuration of a provider that no block gives.
///
/// # Errors
/// Where the provider can't do without.
pub(crate) fn default_config(registry: &Registry, name: &str) -> Result<Value, Diagnostic> {
    let Some(provider) = registry.provider(name) else {
        return Err(Diagnostic::error("Unknown provider")
            .detail(format!("There is no provider {name:?} here."))
            .did_you_mean(name, registry.providers().map(|p| p.name())));
    };
    let schema = provider.schema();
    let missing: Vec<String> = schema
        .attributes
        .iter()
        .filter(|(_, a)| a.presence == Presence::Required)
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    if missing.is_empty() {
        return Ok(crate::decide::nothing_given(schema));
    }
    Err(Diagnostic::error("Missing provider configuration")
        .detail(format!("Provider {name:?} requires {}.", missing.join(", ")))
        .hint(format!("add a block `provider {name:?} {{ … }}`")))
}
