//! What to read before planning: every object of the state, at once. What they depend on does not matter for that, only whose client reads them.
//!
//! So only `provider` blocks are evaluated first, with what they are made of. Instances are worth what the state remembers of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::Resource;
use grappe_provider::Registry;
use grappe_state::{Object, Pending};
use grappe_value::addr::{InstanceAddr, InstanceKey, Mode, ModuleAddr, ResourceAddr};
use grappe_value::{Type, Value, wire};

use crate::decide::nothing_known;
use crate::expand::Keys;
use crate::input::{DataRead, ImportRead, Input, LeftRead, ObjectRead, Reads};
use crate::model::{PlanMode, ProviderConfig, ProviderKey};
use crate::planner::{asked, key};
use crate::providers::default_config;
use crate::statics::Statics;
use crate::walk::{At, Driver, Made, OpenBlock, Walk};
use crate::world::World;

/// Gives instances what the state remembers.
pub(crate) struct Remembered<'a> {
    input: &'a Input<'a>,
    world: &'a World<'a>,
    keys: HashMap<ResourceAddr, Vec<&'a InstanceKey>>,
    /// Data sources that provider configurations are made of.
    pub(crate) reads: Vec<(DataRead, ProviderConfig)>,
}

impl<'a> Remembered<'a> {
    pub(crate) fn new(input: &'a Input<'a>, world: &'a World<'a>) -> Self {
        let mut keys: HashMap<ResourceAddr, Vec<&InstanceKey>> = HashMap::new();
        for addr in input.state.objects.keys() {
            keys.entry((*addr.resource).clone()).or_default().push(&addr.key);
        }
        Remembered { input, world, keys, reads: Vec::new() }
    }
}

impl Driver for Remembered<'_> {
    fn instance(&mut self, walk: &Walk<'_>, at: &At<'_>) -> Made<Value> {
        let registry: &Registry = self.input.registry;
        let unknown = |ty: &Type| Made { value: Some(nothing_known(ty)), ..Made::default() };
        if at.resource.mode == Mode::Managed {
            let Some(kind) = registry.resource(&at.resource.ty) else { return Made::default() };
            let Some((addr, _)) = self.world.remembered_as(&at.addr) else { return unknown(kind.ty()) };
            return match self.world.prior(addr) {
                Ok(prior) => match prior.value() {
                    Some(value) => Made { value: Some(value.clone()), ..Made::default() },
                    None => unknown(kind.ty()),
                },
                Err(found) => Made { found, ..Made::default() },
            };
        }
        let Some(kind) = registry.data_source(&at.resource.ty) else { return Made::default() };
        let asked = asked(walk, at, kind.schema());
        let Some(config) = asked.config else {
            return Made { value: None, deps: asked.deps, found: asked.found };
        };
        let provider = configured(walk, at.holder, at.home.block.map(|(_, i)| i), key(walk, at));
        let provider = match provider {
            Ok(Some(provider)) if provider.known() && config.is_wholly_known() => provider,
            Ok(_) => return unknown(&kind.schema().ty()),
            Err(wrong) => return Made { found: wrong.into(), ..Made::default() },
        };
        match self.input.data_reads.get(&at.addr).filter(|r| r.config == config) {
            Some(read) if read.failed.is_some() => Made::default(),
            Some(read) => Made { value: Some(read.value.clone()), ..Made::default() },
            None => {
                let read = DataRead {
                    addr: at.addr.clone(),
                    provider: provider.key.clone(),
                    config,
                    lenient: at.resource.scope.is_some(),
                    deadline: crate::timeouts::deadline(asked.timeouts),
                };
                self.reads.push((read, provider));
                Made::default()
            }
        }
    }

    /// What a provider is made of may be known only in a later wave: who needs it waits.
    fn may_open(&mut self, _: &Walk<'_>, _: &OpenBlock) -> bool {
        self.input.options.mode == PlanMode::Normal
    }

    fn resource_keys(&mut self, addr: &Arc<ResourceAddr>, _: &Resource) -> Option<Keys> {
        self.keys.get(&**addr).map(|keys| Keys::remembered(keys))
    }
}

/// The value of a provider configuration: `None` where it is poisoned.
fn configured(
    walk: &Walk<'_>,
    holder: usize,
    block: Option<usize>,
    key: ProviderKey,
) -> Result<Option<ProviderConfig>, Diagnostic> {
    let value = match block {
        None => default_config(walk.statics.registry, &key.name)?,
        Some(i) => match walk.modules[holder].providers[i].map(|n| walk.node(n)) {
            Some(node) if !node.poisoned => node.value.clone(),
            _ => return Ok(None),
        },
    };
    Ok(Some(ProviderConfig { key, value }))
}

/// The provider configurations of a walk, found from what the state says of an object.
pub(crate) struct ProviderFinder<'w, 'a> {
    pub(crate) walk: &'w Walk<'a>,
    found: BTreeMap<ProviderKey, Option<ProviderConfig>>,
}

impl<'w, 'a> ProviderFinder<'w, 'a> {
    pub(crate) fn new(walk: &'w Walk<'a>) -> Self {
        ProviderFinder { walk, found: BTreeMap::new() }
    }

    /// The key under which an object of the state is reached: as the configuration of its block says, where there still is one; else as when it
    /// was made.
    ///
    /// # Errors
    /// Where the state's is not readable.
    pub(crate) fn key_of(&self, addr: &InstanceAddr, object: &Object) -> Result<ProviderKey, Diagnostic> {
        if let Some(key) = self.configured_key(&addr.resource) {
            return Ok(key);
        }
        object.provider.parse().map_err(|why: String| {
            Diagnostic::error("Invalid provider in the state").detail(why).address(addr)
        })
    }

    fn configured_key(&self, addr: &ResourceAddr) -> Option<ProviderKey> {
        let statics = &self.walk.statics;
        let (module, i) = statics.find(addr)?;
        let (_, resource) = statics.modules[module].config.resources.get_index(i)?;
        let home = statics.provider_of(module, resource).ok()?;
        let module = match home.block {
            Some((holder, _)) => {
                let depth = statics.modules[holder].config.path.len();
                ModuleAddr(addr.module.0.get(..depth)?.into())
            }
            None => ModuleAddr::root(),
        };
        Some(ProviderKey { module, name: home.name, alias: home.alias })
    }

    /// The configuration under a key; `None` where it is poisoned.
    ///
    /// # Errors
    /// Where there is none any more.
    pub(crate) fn config(&mut self, key: &ProviderKey) -> Result<Option<ProviderConfig>, Diagnostic> {
        if let Some(known) = self.found.get(key) {
            return Ok(known.clone());
        }
        let config = match self.block(key) {
            Some((holder, i)) => configured(self.walk, holder, Some(i), key.clone())?,
            None if key.alias.is_none() && key.module.is_root() => {
                configured(self.walk, 0, None, key.clone())?
            }
            None => {
                return Err(Diagnostic::error("Provider configuration not present")
                    .detail(format!(
                        "The state has objects that were made with the provider configuration {key}, and it is no longer in \
                         the configuration."
                    ))
                    .hint("put the `provider` block back until they are destroyed"));
            }
        };
        self.found.insert(key.clone(), config.clone());
        Ok(config)
    }

    /// The node of the block that gives a configuration.
    pub(crate) fn node(&self, key: &ProviderKey) -> Option<crate::walk::NodeId> {
        let (holder, i) = self.block(key)?;
        self.walk.modules[holder].providers[i]
    }

    /// Module instance and position of the block that gives a configuration.
    fn block(&self, key: &ProviderKey) -> Option<(usize, usize)> {
        let holder = *self.walk.by_addr.get(&key.module)?;
        let config = self.walk.statics.modules[self.walk.modules[holder].module].config;
        let mut blocks = config.providers.iter();
        let here = |p: &grappe_lang::ProviderBlock| {
            p.alias == key.alias && crate::providers::registry_name(config, &p.name) == key.name
        };
        blocks.position(here).map(|i| (holder, i))
    }
}

/// The walk over `provider` blocks alone, with what they are made of.
pub(crate) fn provider_walk<'a>(
    statics: &Arc<Statics<'a>>,
    input: &'a Input<'a>,
    world: &'a World<'a>,
) -> (Walk<'a>, Vec<(DataRead, ProviderConfig)>) {
    let mut walk = Walk::new(statics.clone(), crate::env(input));
    let mut driver = Remembered::new(input, world);
    walk.run(&mut driver, Some(&statics.provider_blocks()));
    (walk, driver.reads)
}

/// What must be read before planning; nothing where all is there.
pub(crate) fn reads(
    statics: &Arc<Statics<'_>>,
    input: &Input<'_>,
    world: &World<'_>,
    in_scope: &dyn Fn(&InstanceAddr) -> bool,
) -> Result<Reads, Diagnostics> {
    let unread = |(addr, _): &(&InstanceAddr, &Object)| {
        let reads = input.registry.resource(&addr.resource.ty).is_some_and(|kind| kind.reads());
        reads && !input.refreshed.contains_key(*addr) && in_scope(addr)
    };
    let objects: Vec<_> = world.objects().filter(unread).collect();
    let begun: Vec<&Pending> =
        world.all_begun().filter(|p| is_asked(input, p) && in_scope(&p.addr)).collect();
    let refresh = input.options.refresh || input.options.mode == PlanMode::RefreshOnly;
    if (objects.is_empty() && begun.is_empty()) || !refresh {
        return Ok(Reads::default());
    }
    let (walk, data) = provider_walk(statics, input, world);
    let mut reads = Reads::default();
    if walk.found.has_errors() {
        return Err(walk.found);
    }
    if !data.is_empty() {
        reads.add_data(data);
        return Ok(reads);
    }
    let mut finder = ProviderFinder::new(&walk);
    let mut found = Diagnostics::new();
    let mut providers = BTreeMap::new();
    for (addr, object) in objects {
        let value = match world.remembered(addr) {
            Ok(value) => value,
            Err(wrong) => {
                found.extend(wrong);
                continue;
            }
        };
        match finder.key_of(addr, object).and_then(|key| finder.config(&key)) {
            // With a configuration that is not known there is no one to ask: what is remembered must do.
            Ok(Some(provider)) if provider.known() => {
                let deadline = crate::timeouts::deadline(crate::timeouts::of_object(statics, addr, object));
                reads.objects.push(ObjectRead {
                    addr: addr.clone(),
                    provider: provider.key.clone(),
                    value,
                    key: object.key.as_str().into(),
                    deadline,
                });
                providers.entry(provider.key.clone()).or_insert(provider);
            }
            Ok(_) => {}
            Err(wrong) if found.iter().any(|d| d.detail == wrong.detail) => {}
            Err(wrong) => found.push(wrong),
        }
    }
    for pending in begun {
        let made =
            Object { provider: pending.provider.clone(), timeouts: pending.timeouts, ..Object::default() };
        let planned = input
            .registry
            .resource(&pending.addr.resource.ty)
            .and_then(|kind| wire::decode(&pending.planned, kind.ty()).ok());
        let provider = finder.key_of(&pending.addr, &made).and_then(|key| finder.config(&key));
        // Where nobody can be asked, the plan goes on without an answer.
        let (Some(planned), Ok(Some(provider))) = (planned, provider) else { continue };
        if provider.known() {
            let deadline = crate::timeouts::of_object(statics, &pending.addr, &made);
            reads.left.push(LeftRead {
                pending: pending.clone(),
                provider: provider.key.clone(),
                planned,
                deadline: crate::timeouts::deadline(deadline),
            });
            providers.entry(provider.key.clone()).or_insert(provider);
        }
    }
    reads.providers = providers.into_values().collect();
    if found.has_errors() { Err(found) } else { Ok(reads) }
}

/// Whether it is to be asked what a creation left.
fn is_asked(input: &Input<'_>, pending: &Pending) -> bool {
    let reads = input.registry.resource(&pending.addr.resource.ty).is_some_and(|kind| kind.reads());
    reads && !input.left.contains_key(&pending.key)
}

impl Reads {
    /// Whether nothing is to be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.data.is_empty() && self.imports.is_empty() && self.left.is_empty()
    }

    pub(crate) fn add_data(&mut self, reads: Vec<(DataRead, ProviderConfig)>) {
        for (read, provider) in reads {
            self.data.push(read);
            self.add_provider(provider);
        }
    }

    pub(crate) fn add_imports(&mut self, reads: Vec<(ImportRead, ProviderConfig)>) {
        for (read, provider) in reads {
            self.imports.push(read);
            self.add_provider(provider);
        }
    }

    fn add_provider(&mut self, provider: ProviderConfig) {
        if !self.providers.iter().any(|p| p.key == provider.key) {
            self.providers.push(provider);
        }
    }
}
