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
use grappe_value::{Marks, Type, Value, wire};

use crate::decide::nothing_known;
use crate::expand::Keys;
use crate::input::{DataRead, ImportRead, Input, LeftRead, ObjectRead, Reads};
use crate::model::{PlanMode, ProviderConfig, ProviderKey};
use crate::planner::{asked, provider_config};
use crate::providers::default_config;
use crate::statics::Statics;
use crate::walk::{At, Driver, Frame, Made, OpenBlock, Walk};
use crate::world::World;

/// Gives instances what the state remembers.
pub(crate) struct Remembered<'a> {
    input: &'a Input<'a>,
    world: &'a World<'a>,
    keys: HashMap<ResourceAddr, Vec<&'a InstanceKey>>,
    /// Data sources that provider configurations are made of.
    pub(crate) reads: Vec<(DataRead, ProviderConfig)>,
    /// Ephemeral resources that they are made of.
    pub(crate) opens: Vec<(DataRead, ProviderConfig)>,
}

impl<'a> Remembered<'a> {
    pub(crate) fn new(input: &'a Input<'a>, world: &'a World<'a>) -> Self {
        let mut keys: HashMap<ResourceAddr, Vec<&InstanceKey>> = HashMap::new();
        for addr in input.state.objects.keys() {
            keys.entry((*addr.resource).clone()).or_default().push(&addr.key);
        }
        Remembered { input, world, keys, reads: Vec::new(), opens: Vec::new() }
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
        let ephemeral = at.resource.mode == Mode::Ephemeral;
        let Some(schema) = registry.schema(at.resource.mode, &at.resource.ty) else { return Made::default() };
        let unknown = |ty: &Type| {
            let made = unknown(ty);
            let marks = if ephemeral { Marks::EPHEMERAL } else { Marks::NONE };
            Made { value: made.value.map(|value| value.with_marks(marks)), ..made }
        };
        let asked = asked(walk, at, schema);
        let Some(config) = asked.config else {
            return Made { value: None, deps: asked.deps, found: asked.found };
        };
        let provider = match provider_config(walk, at) {
            Ok(Some(provider)) if provider.known() && config.is_wholly_known() => provider,
            Ok(_) => return unknown(&schema.ty()),
            Err(wrong) => return Made { found: wrong.into(), ..Made::default() },
        };
        if ephemeral {
            let opened = self.input.opened.get(&at.addr).filter(|o| o.config == config);
            if opened.is_none() {
                let open = crate::ephemeral::read(at, provider.key.clone(), config, asked.timeouts);
                self.opens.push((open, provider));
            }
            return Made { value: opened.map(|o| o.value.clone()), ..Made::default() };
        }
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
        if let Some(key) = self.configured_key(addr) {
            return Ok(key);
        }
        object.provider.parse().map_err(|why: String| {
            Diagnostic::error("Invalid provider in the state").detail(why).address(addr)
        })
    }

    fn configured_key(&self, addr: &InstanceAddr) -> Option<ProviderKey> {
        let statics = &self.walk.statics;
        let InstanceAddr { resource: addr, key } = addr;
        let (module, i) = statics.find(addr)?;
        let (_, resource) = statics.modules[module].config.resources.get_index(i)?;
        let home = statics.provider_of(module, resource).ok()?;
        // Which of several is told by the key; where that can't be said here, by what the state says.
        let key = match home.key {
            None => None,
            Some(_) => {
                let module = *self.walk.by_addr.get(&addr.module)?;
                let each = match key {
                    InstanceKey::Str(key) => Some((key.clone().into(), Value::unknown(Type::Any))),
                    _ => None,
                };
                let count = match key {
                    InstanceKey::Int(n) => Some(*n),
                    _ => None,
                };
                let frame = Frame { module, each, count, ..Frame::default() };
                Some(self.walk.chosen(&home, module, &frame).ok()?.key?)
            }
        };
        let module = match home.block {
            Some((holder, _)) => {
                let depth = statics.modules[holder].config.path.len();
                ModuleAddr(addr.module.0.get(..depth)?.into())
            }
            None => ModuleAddr::root(),
        };
        Some(ProviderKey { module, name: home.name, alias: home.alias, key })
    }

    /// The configuration under a key; `None` where it is poisoned.
    ///
    /// # Errors
    /// Where there is none any more.
    pub(crate) fn config(&mut self, key: &ProviderKey) -> Result<Option<ProviderConfig>, Diagnostic> {
        if let Some(known) = self.found.get(key) {
            return Ok(known.clone());
        }
        let configured = |value| Some(ProviderConfig { key: key.clone(), value });
        let config = match self.node(key) {
            Some(node) => {
                let node = self.walk.node(node);
                if node.poisoned { None } else { configured(node.value.clone()) }
            }
            None if self.is_poisoned(key) => None,
            None if key.alias.is_none() && key.module.is_root() => {
                configured(default_config(self.walk.statics.registry, &key.name)?)
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
        let providers = self.walk.modules[holder].providers[i].as_ref()?;
        let instance = key.key.clone().map_or(InstanceKey::None, InstanceKey::Str);
        providers.nodes.get(providers.keys.as_ref()?.position(&instance)?).copied()
    }

    /// Whether it can't be said which configurations there are: what says so is poisoned.
    fn is_poisoned(&self, key: &ProviderKey) -> bool {
        let providers =
            self.block(key).and_then(|(holder, i)| self.walk.modules[holder].providers[i].as_ref());
        providers.is_some_and(|p| p.keys.is_none())
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
) -> (Walk<'a>, Reads) {
    let mut walk = Walk::new(statics.clone(), crate::env(input));
    let mut driver = Remembered::new(input, world);
    walk.run(&mut driver, Some(&statics.provider_blocks()));
    let mut reads = Reads::default();
    reads.add_data(driver.reads);
    reads.add_ephemeral(driver.opens);
    (walk, reads)
}

/// What must be read before planning; nothing where all is there.
pub(crate) fn reads(
    statics: &Arc<Statics<'_>>,
    input: &Input<'_>,
    world: &World<'_>,
    in_scope: &dyn Fn(&InstanceAddr) -> bool,
) -> Result<Reads, Diagnostics> {
    let fresh = |object: &Object| {
        object.seen.zip(input.options.fresh_since).is_some_and(|(seen, since)| seen >= since)
    };
    let unread = |(addr, object): &(&InstanceAddr, &Object)| {
        let reads = input.registry.resource(&addr.resource.ty).is_some_and(|kind| kind.reads());
        reads && !fresh(object) && !input.refreshed.contains_key(*addr) && in_scope(addr)
    };
    let objects: Vec<_> = world.objects().filter(unread).collect();
    let begun: Vec<&Pending> =
        world.all_begun().filter(|p| is_asked(input, p) && in_scope(&p.addr)).collect();
    let refresh = input.options.refresh || input.options.mode == PlanMode::RefreshOnly;
    if (objects.is_empty() && begun.is_empty()) || !refresh {
        return Ok(Reads::default());
    }
    let (walk, mut reads) = provider_walk(statics, input, world);
    if walk.found.has_errors() {
        return Err(walk.found);
    }
    if !reads.is_empty() {
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
        self.objects.is_empty()
            && self.data.is_empty()
            && self.ephemeral.is_empty()
            && self.imports.is_empty()
            && self.left.is_empty()
    }

    pub(crate) fn add_data(&mut self, reads: Vec<(DataRead, ProviderConfig)>) {
        for (read, provider) in reads {
            self.data.push(read);
            self.add_provider(provider);
        }
    }

    pub(crate) fn add_ephemeral(&mut self, opens: Vec<(DataRead, ProviderConfig)>) {
        for (open, provider) in opens {
            self.ephemeral.push(open);
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
