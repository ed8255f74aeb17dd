//! Which provider configuration a resource uses.
//!
//! A module names providers by local names (`required_providers` may give a provider another one), and a configuration by an alias. A module without a
//! `provider` block of its own inherits the default configuration of its caller; aliased ones are passed in `providers = {…}`. A block with `for_each` is
//! several configurations: each instance chooses one, by a key that is evaluated where it stands.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::{Expr, Module, ProviderRef, Resource};
use grappe_provider::Registry;
use grappe_value::addr::{InstanceKey, Mode};
use grappe_value::{Presence, Type, Value, convert};

use crate::expand::Keys;
use crate::statics::Statics;
use crate::walk::{Frame, NodeId, Walk};

/// Where a provider configuration is.
pub(crate) struct Home<'a> {
    /// The provider's name in the registry.
    pub(crate) name: Arc<str>,
    /// Its alias in the module that holds it.
    pub(crate) alias: Option<Arc<str>>,
    /// Module and position of its block; `None` for a default configuration that no block gives.
    pub(crate) block: Option<(usize, usize)>,
    /// What chooses among the configurations of a block with `for_each`.
    pub(crate) key: Option<KeyAt<'a>>,
}

/// An expression that chooses one of the configurations of a `provider` block.
#[derive(Clone, Copy)]
pub(crate) struct KeyAt<'a> {
    /// The module in whose call it stands, and whose instances' `each` it sees; `None` where it stands at the resource itself.
    pub(crate) call: Option<usize>,
    pub(crate) expr: &'a Expr,
}

/// The configuration that a resource instance uses.
#[derive(Default)]
pub(crate) struct Chosen {
    /// Its key, where its block has `for_each`.
    pub(crate) key: Option<Arc<str>>,
    /// The node of the block; `None` where no block gives it.
    pub(crate) node: Option<NodeId>,
    /// What choosing it touched.
    pub(crate) deps: Vec<NodeId>,
}

/// Why there is no configuration.
enum Lost {
    /// No block.
    None(ProviderRef),
    /// The block has `for_each`, and nothing chooses.
    Open(ProviderRef),
    /// It has not, and something chooses.
    Single(ProviderRef),
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
    pub(crate) fn provider_of(&self, module: usize, resource: &'a Resource) -> Result<Home<'a>, Diagnostic> {
        let owner = self.registry.owner(resource.mode, &resource.ty);
        let Some(owner) = owner else { return Err(self.unknown_type(resource)) };
        let config = self.modules[module].config;
        let wanted = match &resource.provider {
            Some(wanted) => wanted.of.clone(),
            None => ProviderRef { name: local_name(config, owner), alias: None },
        };
        let named = registry_name(config, &wanted.name);
        if *named != *owner {
            return Err(Diagnostic::error("Invalid provider for this resource type")
                .detail(format!("{} belongs to provider \"{owner}\", not to \"{named}\".", resource.ty))
                .span(resource.span));
        }
        let key = resource.provider.as_ref().and_then(|wanted| wanted.key.as_ref());
        let place = resource.provider.as_ref().map_or(resource.span, |wanted| wanted.span);
        self.home(module, &wanted, key).map_err(|lost| match lost {
            Lost::None(missing) => Diagnostic::error("Provider configuration not present")
                .detail(format!(
                    "{}.{} wants the provider configuration {}, and there is no `provider` block with that alias for it.",
                    resource.ty,
                    resource.name,
                    shown(&missing)
                ))
                .hint("declare it, or pass it to the module in `providers = {…}`")
                .span(resource.span),
            Lost::Open(of) => Diagnostic::error("Provider instance key required")
                .detail(format!("The provider block of {0} has for_each: {1}.{2} must choose one of its configurations.", shown(&of), resource.ty, resource.name))
                .hint(format!("write provider = {}[each.key], or choose where the module is called", shown(&of)))
                .span(place),
            Lost::Single(of) => Diagnostic::error("Unexpected provider instance key")
                .detail(format!("The provider block of {0} has no for_each, so {0} is one configuration.", shown(&of)))
                .span(place),
        })
    }

    /// Follows a configuration up through the calls to the module that holds it.
    fn home(&self, module: usize, wanted: &ProviderRef, key: Option<&'a Expr>) -> Result<Home<'a>, Lost> {
        let (mut at, mut wanted) = (module, wanted.clone());
        let mut key = key.map(|expr| KeyAt { call: None, expr });
        loop {
            let config = self.modules[at].config;
            let name = registry_name(config, &wanted.name);
            let mut blocks = config.providers.iter();
            if let Some(i) = blocks.position(|p| p.name == wanted.name && p.alias == wanted.alias) {
                return match (&config.providers[i].for_each, key) {
                    (Some(_), None) => Err(Lost::Open(wanted)),
                    (None, Some(_)) => Err(Lost::Single(wanted)),
                    _ => Ok(Home { name, alias: wanted.alias, block: Some((at, i)), key }),
                };
            }
            let (Some((parent, _)), Some(call)) = (self.modules[at].parent, self.call(at)) else {
                return match (&wanted.alias, key) {
                    (None, None) => Ok(Home { name, alias: None, block: None, key }),
                    _ => Err(Lost::None(wanted)),
                };
            };
            wanted = match call.providers.iter().find(|(child, _)| *child == wanted) {
                Some((_, ours)) => {
                    if let Some(expr) = &ours.key {
                        if key.is_some() {
                            // One was chosen, and it is several no more.
                            return Err(Lost::Single(wanted));
                        }
                        key = Some(KeyAt { call: Some(at), expr });
                    }
                    ours.of.clone()
                }
                None if wanted.alias.is_none() => {
                    ProviderRef { name: local_name(self.modules[parent].config, &name), alias: None }
                }
                None => return Err(Lost::None(wanted)),
            };
            at = parent;
        }
    }

    /// Says that no provider has this type.
    pub(crate) fn unknown_type(&self, resource: &Resource) -> Diagnostic {
        let what = match resource.mode {
            Mode::Managed => "resource type",
            Mode::Data => "data source",
            Mode::Ephemeral => "ephemeral resource type",
        };
        let known = self.registry.types(resource.mode);
        let mut modes = [Mode::Managed, Mode::Data, Mode::Ephemeral].into_iter();
        let other = modes.find(|mode| self.registry.schema(*mode, &resource.ty).is_some()).map(Mode::keyword);
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

impl Walk<'_> {
    /// The configuration that an instance in a frame of a module instance uses. Without a value to choose by (poisoned) nothing is said.
    ///
    /// # Errors
    /// Where it can't be said which, or there is none of that key.
    pub(crate) fn chosen(&self, home: &Home<'_>, mi: usize, frame: &Frame) -> Result<Chosen, Diagnostics> {
        let Some((module, i)) = home.block else { return Ok(Chosen::default()) };
        let Some(providers) = &self.modules[self.holder(mi, module)].providers[i] else {
            return Err(Diagnostics::new());
        };
        let Some(KeyAt { call, expr }) = home.key else {
            return Ok(Chosen { node: providers.nodes.first().copied(), ..Chosen::default() });
        };
        let made = match call {
            None => self.eval(frame, |scope| expr.eval(scope)),
            Some(call) => {
                let inner = &self.modules[self.holder(mi, call)];
                let outer = Frame {
                    module: inner.parent.unwrap_or(0),
                    each: inner.each.clone(),
                    count: inner.count,
                    ..Frame::default()
                };
                self.eval(&outer, |scope| expr.eval(scope))
            }
        };
        let (Some(value), Some(keys)) = (made.value, &providers.keys) else { return Err(made.found) };
        let shown = shown(&ProviderRef { name: home.name.clone(), alias: home.alias.clone() });
        let refuse = |why: String| {
            Diagnostic::error("Invalid provider instance key").detail(format!("{why}.")).span(expr.span())
        };
        if let Keys::Open(_) = keys {
            return Ok(Chosen { node: providers.nodes.first().copied(), key: None, deps: made.deps });
        }
        let key = match convert(&value, &Type::String) {
            Ok(key) if key.is_unknown() => {
                return Err(refuse(format!(
                    "Which configuration of {shown} this uses must be known while planning"
                ))
                .into());
            }
            Ok(key) if key.is_ephemeral_deep() || key.is_sensitive_deep() => {
                return Err(refuse(format!("Which configuration of {shown} this uses is stored, so it can't be a sensitive or ephemeral value")).into());
            }
            Ok(key) => key.as_str().map(Arc::<str>::from),
            Err(_) => None,
        };
        let Some(key) = key else {
            return Err(refuse(format!("The key of a configuration of {shown} is a text")).into());
        };
        let at = keys.position(&InstanceKey::Str(key.clone()));
        let Some(node) = at.and_then(|at| providers.nodes.get(at).copied()) else {
            let known: Vec<String> = (0..keys.len()).map(|at| keys.key(at).to_string()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Diagnostic::error("Provider instance not present")
                .detail(format!(
                    "There is no provider configuration {shown}[{key:?}]: the for_each of its block has {known}."
                ))
                .hint("a configuration must stay as long as objects use it: take the objects out first, apply, and then the key")
                .span(expr.span())
                .into());
        };
        Ok(Chosen { key: Some(key), node: Some(node), deps: made.deps })
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
