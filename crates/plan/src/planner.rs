//! The planner as a [`Driver`] of the walk: each instance that the walk comes by is decided at once, and its planned value is what those that depend
//! on it see.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_provider::{AnyDataSource, AnyResource};
use grappe_state::Timeouts;
use grappe_value::addr::{InstanceAddr, Mode};
use grappe_value::{Attribute, OnChange, Schema, Value, wire};

use crate::checks::as_warnings;
use crate::decide::{self, Verdict, decide, propose};
use crate::decided::{Decided, Decision, Managed};
use crate::import;
use crate::input::{DataRead, DataResult, ImportRead, Input};
use crate::model::{OpenReason, ProviderConfig, ProviderKey, Reason, StepTime};
use crate::providers::default_config;
use crate::provision;
use crate::walk::{At, Driver, Frame, Made, NodeId, OpenBlock, Walk, What};
use crate::waves::Held;
use crate::world::{Prior, World};

/// What was decided so far.
pub(crate) struct Planner<'a> {
    pub(crate) input: &'a Input<'a>,
    pub(crate) world: &'a World<'a>,
    pub(crate) decided: Vec<Decided<'a>>,
    /// By node.
    pub(crate) by_node: HashMap<NodeId, usize>,
    /// Data sources to read before the plan can be made.
    pub(crate) reads: Vec<(DataRead, ProviderConfig)>,
    /// Ephemeral resources to open before the plan can be made.
    pub(crate) opens: Vec<(DataRead, ProviderConfig)>,
    /// Objects to import before the plan can be made.
    pub(crate) imports: Vec<(ImportRead, ProviderConfig)>,
    /// What `import` blocks name, by the position of the block.
    named: HashMap<usize, import::Named>,
    /// The ids of homes that were exchanged for others: what lived there is not on the new ones.
    left: HashSet<String>,
    /// Instances that wait for something to be known.
    pub(crate) held: Vec<Held>,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(input: &'a Input<'a>, world: &'a World<'a>) -> Self {
        Planner {
            input,
            world,
            decided: Vec::new(),
            by_node: HashMap::new(),
            reads: Vec::new(),
            opens: Vec::new(),
            imports: Vec::new(),
            named: HashMap::new(),
            left: HashSet::new(),
            held: Vec::new(),
        }
    }

    pub(crate) fn keep(
        &mut self,
        at: &At<'_>,
        provider: ProviderKey,
        timeouts: Timeouts,
        what: Decision<'a>,
    ) {
        self.by_node.insert(at.node, self.decided.len());
        self.decided.push(Decided {
            addr: at.addr.clone(),
            node: at.node,
            provider,
            lenient: at.resource.scope.is_some(),
            timeouts,
            what,
        });
    }

    /// What was decided for the instance that a node is.
    pub(crate) fn at_node(&self, node: NodeId) -> Option<&Decided<'a>> {
        self.by_node.get(&node).map(|i| &self.decided[*i])
    }

    fn managed(&mut self, walk: &Walk<'_>, at: &At<'_>, kind: &'a dyn AnyResource) -> Made<Value> {
        let Asked { config, timeouts, mut deps, mut found } = asked(walk, at, kind.schema());
        let Some(config) = config else { return Made { value: None, deps, found } };
        if !at.resource.stands_in {
            found.extend(problems(at, kind, &config));
        }
        let lifecycle = &at.resource.lifecycle;
        let object = self.world.remembered_as(&at.addr);
        let id = match object {
            None => self.id_to_import(walk, at, &mut deps, &mut found),
            Some(_) => None,
        };
        let id = match id {
            None => None,
            Some(Importing::Later(on)) => return self.hold(at, OpenReason::Import, on, deps, found),
            Some(Importing::Asked(id)) => Some((id, false)),
            Some(Importing::By(id)) => Some((id, true)),
        };
        // A provider that is only known when something is done: what exists can be read then, and not before.
        let unreachable = at.provider.node.filter(|node| {
            let node = walk.node(*node);
            !node.poisoned && !node.value.is_wholly_known()
        });
        if let Some((id, may_wait)) = id {
            let mut on = if config.is_wholly_known() { Vec::new() } else { deps.clone() };
            on.extend(unreachable);
            if may_wait && self.moves(walk, &on) {
                return self.hold(at, OpenReason::Import, on, deps, found);
            }
            if !found.has_errors() {
                match import::read(walk, at, kind, &id, &config, timeouts) {
                    Ok(read) => self.imports.extend(read),
                    Err(wrong) => found.push(wrong),
                }
            }
            return Made { value: None, deps, found };
        }
        let is_read = object.is_some() && kind.reads() && self.input.options.refresh;
        if let Some(node) = unreachable.filter(|node| is_read && self.moves(walk, &[*node])) {
            return self.hold(at, OpenReason::Provider, vec![node], deps, found);
        }
        let prior = match object.map(|(addr, _)| self.world.prior(addr)).transpose() {
            Ok(Some(Prior::There { value, .. })) if self.is_left(kind, &value) => Prior::Gone(value),
            Ok(prior) => prior.unwrap_or(Prior::Absent),
            Err(wrong) => {
                found.extend(wrong);
                return Made { value: None, deps, found };
            }
        };
        let mut force = None;
        let triggers = self.triggers(walk, at, &mut deps, &mut found);
        // What an earlier wave did is done.
        let is_done = self.input.options.earlier.contains_key(&at.addr) && prior.value().is_some();
        if prior.value().is_some() && !is_done {
            if object.is_some_and(|(_, o)| o.tainted) {
                force = Some(Reason::Tainted);
            } else if self.input.options.replace.contains(&at.addr) {
                force = Some(Reason::Requested);
            } else if !triggers.is_empty() {
                force = Some(Reason::TriggeredBy(triggers));
            }
        }
        let ignore = walk.choice(&lifecycle.ignore_changes, "ignore_changes", &at.frame, &mut found);
        let mut decision = match prior.value().filter(|_| is_done || at.resource.stands_in) {
            Some(value) => decide::stays(value),
            None => decide(kind, prior.value(), &config, ignore, force.is_some()),
        };
        // There is a key by now: what was withheld and is known again is stored.
        if decision.verdict == Verdict::NoOp
            && !self.input.options.withholds
            && object.is_some_and(|(_, o)| holds_withheld(&o.attributes))
            && decision.planned.is_wholly_known()
        {
            decision.verdict = Verdict::Record;
        }
        if let Some(home) =
            prior.value().and_then(|before| exchanged(kind.schema(), before, &decision.planned))
        {
            self.left.insert(home.to_owned());
        }
        let (mut resume, mut abandon) = (None, None);
        if decision.verdict == Verdict::Create
            && let Some(begun) = self.world.begun(&at.addr)
        {
            if same_object(kind, begun, &decision.planned) {
                resume = Some(begun);
            } else {
                abandon = Some(begun);
            }
        }
        let reason = match &decision.verdict {
            Verdict::Replace(paths) => Some(force.unwrap_or_else(|| Reason::Attributes(paths.clone()))),
            Verdict::Create if resume.is_some_and(|begun| self.world.is_found(begun)) => {
                Some(Reason::ResumedFound)
            }
            Verdict::Create if resume.is_some() => Some(Reason::Resumed),
            Verdict::Create if abandon.is_some_and(|begun| self.world.is_found(begun)) => {
                Some(Reason::Supplants)
            }
            Verdict::Create if matches!(prior, Prior::Gone(_)) => Some(Reason::GoneOutside),
            _ => None,
        };
        if let (Verdict::Update, Some(before)) = (&decision.verdict, prior.value()) {
            let refused = kind.refuse(before, &decision.planned);
            found.extend(refused.into_iter().map(|problem| blame(at, kind.name(), problem)));
        }
        if matches!(decision.verdict, Verdict::Replace(_))
            && walk.flag(&lifecycle.prevent_destroy, "prevent_destroy", &at.frame, &mut found)
        {
            found.push(prevented(&at.addr, at.resource));
        }
        let create_before_destroy =
            walk.flag(&lifecycle.create_before_destroy, "create_before_destroy", &at.frame, &mut found);
        let frame = Frame { self_value: Some(decision.planned.clone()), ..at.frame.clone() };
        conditions(walk, at, &frame, false, &mut deps, &mut found);
        found.extend(walk.check_steps(at, &decision.planned, &mut deps));
        let made_anew = matches!(decision.verdict, Verdict::Create | Verdict::Replace(_));
        let done = match object {
            _ if made_anew => 0,
            Some((_, object)) => object.steps_done.unwrap_or(u32::MAX),
            None => u32::MAX,
        };
        let value = decision.planned.clone();
        let provider = key(walk, at);
        self.keep(
            at,
            provider,
            timeouts,
            Decision::Managed(Box::new(Managed {
                kind,
                object,
                prior,
                verdict: decision.verdict,
                reason,
                planned: decision.planned,
                resume,
                abandon,
                create_before_destroy,
                steps: provision::left(&at.resource.provisioners, StepTime::Create, done),
                all_steps: provision::count(&at.resource.provisioners, StepTime::Create),
            })),
        );
        with_addr(&mut found, &at.addr);
        Made { value: (!found.has_errors()).then_some(value), deps, found }
    }

    /// An instance that waits for what these nodes are made of.
    fn hold(
        &mut self,
        at: &At<'_>,
        why: OpenReason,
        on: Vec<NodeId>,
        deps: Vec<NodeId>,
        found: Diagnostics,
    ) -> Made<Value> {
        self.held.push(Held { node: at.node, addr: at.addr.clone(), why, deps: on });
        Made { value: None, deps, found }
    }

    /// The id under which an instance is to be imported, as the user asks for it or an `import` block says.
    fn id_to_import(
        &mut self,
        walk: &Walk<'_>,
        at: &At<'_>,
        deps: &mut Vec<NodeId>,
        found: &mut Diagnostics,
    ) -> Option<Importing> {
        if let Some(id) = self.input.options.imports.get(&at.addr) {
            return Some(Importing::Asked(id.clone()));
        }
        let module = walk.modules[at.frame.module].module;
        for i in walk.statics.imports_of(module, at.resource) {
            let block = &walk.statics.modules[0].config.imports[i];
            let named = self.named.entry(i).or_insert_with(|| import::evaluate(walk, block, found));
            if let Some(id) = named.ids.get(&at.addr) {
                deps.extend(&named.deps);
                return Some(Importing::By(id.clone()));
            }
            if let Some(wrong) = named.open(&at.addr).cloned() {
                let on = named.deps.clone();
                if self.moves(walk, &on) {
                    deps.extend(&on);
                    return Some(Importing::Later(on));
                }
                found.push(wrong);
            }
        }
        None
    }

    /// What is wrong with the `import` blocks together. Those that no instance asked for are evaluated now, where the whole plan is.
    pub(crate) fn check_imports(&self, walk: &Walk<'_>, limited: bool) -> Diagnostics {
        let mut found = Diagnostics::new();
        let mut all = Vec::new();
        for (i, block) in walk.statics.modules[0].config.imports.iter().enumerate() {
            match self.named.get(&i) {
                Some(named) => all.push((block, named.clone())),
                None if limited => {}
                None => {
                    let named = import::evaluate(walk, block, &mut found);
                    found.extend(named.open.iter().map(|(_, wrong)| wrong.clone()));
                    all.push((block, named));
                }
            }
        }
        let wanted = self.decided.iter().map(|d| d.addr.clone());
        let wanted = wanted.chain(self.imports.iter().map(|(read, _)| read.addr.clone())).collect();
        let has_block = |addr: &InstanceAddr| walk.statics.find(&addr.resource).is_some();
        found.extend(import::check_blocks(&all, &wanted, limited, &has_block));
        found
    }

    fn is_left(&self, kind: &dyn AnyResource, object: &Value) -> bool {
        kind.schema().home(object).is_some_and(|home| self.left.contains(home))
    }

    fn data(&mut self, walk: &Walk<'_>, at: &At<'_>, kind: &'a dyn AnyDataSource) -> Made<Value> {
        let Asked { config, timeouts, mut deps, mut found } = asked(walk, at, kind.schema());
        let Some(config) = config else { return Made { value: None, deps, found } };
        // Its `depends_on` must have been decided before it can be said whether it waits.
        if at.waits.iter().any(|n| walk.node(*n).poisoned) {
            return Made { value: None, deps, found };
        }
        let provider = match provider_config(walk, at) {
            Ok(Some(provider)) => provider,
            Ok(None) => return Made { value: None, deps, found },
            Err(wrong) => {
                found.push(wrong);
                return Made { value: None, deps, found };
            }
        };
        let waits = self.act(walk, at.waits);
        if waits || !config.is_wholly_known() || !provider.known() {
            let reason = if waits { Reason::DependenciesChange } else { Reason::ArgumentsUnknown };
            let value = propose(kind.schema(), None, &config);
            self.keep(
                at,
                provider.key,
                timeouts,
                Decision::Deferred { config, planned: value.clone(), reason },
            );
            return Made { value: Some(value), deps, found };
        }
        match self.input.data_reads.get(&at.addr).filter(|r| r.config == config) {
            None => {
                let lenient = at.resource.scope.is_some();
                let deadline = crate::timeouts::deadline(timeouts);
                let addr = at.addr.clone();
                let read = DataRead { addr, provider: provider.key.clone(), config, lenient, deadline };
                self.reads.push((read, provider));
                Made { value: None, deps, found }
            }
            Some(DataResult { failed: Some(why), .. }) => {
                found.push(
                    Diagnostic::warning("Data source of a check block could not be read")
                        .detail(why.clone())
                        .span(at.resource.span)
                        .address(&at.addr),
                );
                Made { value: None, deps, found }
            }
            Some(read) => {
                let frame = Frame { self_value: Some(read.value.clone()), ..at.frame.clone() };
                conditions(walk, at, &frame, false, &mut deps, &mut found);
                self.keep(at, provider.key, timeouts, Decision::Data(read.value.clone()));
                with_addr(&mut found, &at.addr);
                Made { value: (!found.has_errors()).then(|| read.value.clone()), deps, found }
            }
        }
    }

    /// The instances to which something will be done, of those that these nodes are or are made of: the nearest.
    pub(crate) fn acting(&self, walk: &Walk<'_>, nodes: &[NodeId]) -> BTreeSet<InstanceAddr> {
        let mut found = BTreeSet::new();
        let mut seen = HashSet::new();
        let mut todo = nodes.to_vec();
        while let Some(id) = todo.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.at_node(id) {
                Some(decided) if decided.acts() => drop(found.insert(decided.addr.clone())),
                Some(_) => {}
                None => todo.extend(walk.node(id).deps.iter().filter(|d| !seen.contains(*d))),
            }
        }
        found
    }

    /// Whether something will be done to what `depends_on` names: to an instance, or to one of a module. What those wait for themselves is not named:
    /// where nothing is done to them, what is known of them is known.
    fn act(&self, walk: &Walk<'_>, named: &[NodeId]) -> bool {
        let (mut todo, mut values) = (named.to_vec(), std::collections::HashSet::new());
        while let Some(id) = todo.pop() {
            match walk.node(id).what {
                What::Variable(..) | What::Local(..) | What::Output(..) if values.insert(id) => {
                    todo.extend(&*walk.node(id).deps);
                }
                What::Instance(..) if self.at_node(id).is_some_and(Decided::acts) => return true,
                What::Whole(mi, i) => {
                    todo.extend(walk.modules[mi].resources[i].iter().flat_map(|r| &r.nodes))
                }
                What::All(mi, call) => todo.extend(
                    walk.inside(mi, call).flat_map(|m| m.resources.iter().flatten()).flat_map(|r| &r.nodes),
                ),
                _ => {}
            }
        }
        false
    }

    /// Whether something will be done to an instance that these nodes are or are made of.
    pub(crate) fn moves(&self, walk: &Walk<'_>, nodes: &[NodeId]) -> bool {
        let mut seen = std::collections::HashSet::new();
        let mut todo = nodes.to_vec();
        while let Some(id) = todo.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.at_node(id) {
                Some(decided) if decided.acts() => return true,
                Some(_) => {}
                None => todo.extend(walk.node(id).deps.iter().filter(|d| !seen.contains(*d))),
            }
        }
        false
    }
}

/// The home that an object is taken from, because another one is known to be there by now: a run was cut off between the two.
fn exchanged<'v>(schema: &Schema, before: &'v Value, planned: &Value) -> Option<&'v str> {
    let of_itself = |a: &Attribute| a.home && a.on_change == OnChange::Replace;
    let (old, new) = (schema.home(before)?, schema.home(planned)?);
    (old != new && schema.attributes.values().any(of_itself)).then_some(old)
}

/// Whether an interrupted creation was going to make what is planned now, as far as can be told: nothing differs that would ask for a
/// replacement.
fn same_object(kind: &dyn AnyResource, begun: &grappe_state::Pending, planned: &Value) -> bool {
    let Ok(before) = wire::decode(&begun.planned, kind.ty()) else { return false };
    kind.schema().attributes.iter().all(|(name, attribute)| {
        let (Some(before), Some(now)) = (before.get(name), planned.get(name)) else { return true };
        let fixed = attribute.on_change == OnChange::Replace;
        !fixed || !before.is_wholly_known() || !now.is_wholly_known() || before.same(now)
    })
}

/// How an instance is to be imported.
enum Importing {
    /// By this id, now: that is all that is to be done.
    Asked(Arc<str>),
    /// By this id.
    By(Arc<str>),
    /// It can't be said before what these nodes are made of is done.
    Later(Vec<NodeId>),
}

/// Whether something of a stored object was withheld.
fn holds_withheld(attributes: &serde_json::Value) -> bool {
    match attributes {
        serde_json::Value::Object(map) if map.len() == 1 && map.contains_key("$withheld") => true,
        serde_json::Value::Object(map) => map.values().any(holds_withheld),
        serde_json::Value::Array(items) => items.iter().any(holds_withheld),
        _ => false,
    }
}

/// What a block says, with what that touched.
pub(crate) struct Asked {
    /// `None` where it is poisoned.
    pub(crate) config: Option<Value>,
    /// What its `timeouts` block says.
    pub(crate) timeouts: Timeouts,
    pub(crate) deps: Vec<NodeId>,
    pub(crate) found: Diagnostics,
}

/// Checks the preconditions of a block and decodes its body.
pub(crate) fn asked(walk: &Walk<'_>, at: &At<'_>, schema: &grappe_value::Schema) -> Asked {
    if at.resource.stands_in {
        return crate::import::nothing_asked(at, schema);
    }
    let (mut deps, mut found) = (Vec::new(), Diagnostics::new());
    let held = conditions(walk, at, &at.frame, true, &mut deps, &mut found);
    let made = walk.eval(&at.frame, |scope| at.resource.body.decode(schema, scope));
    deps.extend(made.deps);
    found.extend(made.found);
    if made.value.as_ref().is_some_and(|v| !v.is_wholly_known()) {
        walk.add_static(&at.frame, at.resource.body.references(), &mut deps);
    }
    let timeouts = crate::timeouts::of(walk, at, &mut deps, &mut found);
    let mut config = made.value.filter(|_| held);
    if let Some(asked) = config.as_ref().filter(|_| at.resource.mode != Mode::Ephemeral) {
        let misused = crate::ephemeral::misused(&at.resource.body, schema, asked);
        config = config.filter(|_| misused.is_empty());
        found.extend(misused);
    }
    with_addr(&mut found, &at.addr);
    Asked { config, timeouts, deps, found }
}

/// Checks the preconditions (`before`) or postconditions of a block. Whether all hold, as far as is known.
pub(crate) fn conditions(
    walk: &Walk<'_>,
    at: &At<'_>,
    frame: &Frame,
    before: bool,
    deps: &mut Vec<NodeId>,
    found: &mut Diagnostics,
) -> bool {
    let lifecycle = &at.resource.lifecycle;
    let (checks, summary) = if before {
        (&lifecycle.preconditions, "Resource precondition failed")
    } else {
        (&lifecycle.postconditions, "Resource postcondition failed")
    };
    let mut held = true;
    for check in checks {
        let made = walk.check(check, frame, summary, false);
        held &= made.value.is_some() && !made.found.has_errors();
        deps.extend(made.deps);
        found.extend(made.found);
        if made.value == Some(crate::compute::Holds::Open) {
            walk.add_static(frame, check.condition.references(), deps);
        }
    }
    held
}

/// What the type finds wrong with a configuration, at the place of the argument.
pub(crate) fn problems(at: &At<'_>, kind: &dyn AnyResource, config: &Value) -> Diagnostics {
    kind.validate(config).into_iter().map(|problem| blame(at, kind.name(), problem)).collect()
}

pub(crate) fn blame(at: &At<'_>, kind: &str, problem: grappe_provider::Problem) -> Diagnostic {
    let place = at.resource.body.attr_span(&problem.attribute).unwrap_or(at.resource.span);
    let name = problem.attribute.to_string();
    let diagnostic = match (problem.warning, name.is_empty()) {
        (true, true) => Diagnostic::warning(format!("Unwise {kind}")),
        (true, false) => Diagnostic::warning(format!("Unwise value for {name:?}")),
        (false, true) => Diagnostic::error(format!("Invalid {kind}")),
        (false, false) => Diagnostic::error(format!("Invalid value for {name:?}")),
    };
    let diagnostic = diagnostic.detail(problem.message).span(place).address(&at.addr);
    match problem.hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

pub(crate) fn with_addr(found: &mut Diagnostics, addr: &InstanceAddr) {
    for diagnostic in &mut found.0 {
        diagnostic.address.get_or_insert_with(|| addr.to_string());
    }
}

pub(crate) fn prevented(addr: &InstanceAddr, resource: &grappe_lang::Resource) -> Diagnostic {
    Diagnostic::error("Instance cannot be destroyed")
        .detail(format!(
            "Resource {addr} has lifecycle.prevent_destroy set, but the plan calls for this resource to be destroyed."
        ))
        .hint("take prevent_destroy out, or limit the plan to other resources with -target")
        .span(resource.span)
        .address(addr)
}

/// The key of the provider configuration that an instance uses.
pub(crate) fn key(walk: &Walk<'_>, at: &At<'_>) -> ProviderKey {
    let module = match at.home.block {
        Some(_) => walk.modules[at.holder].addr.clone(),
        None => grappe_value::addr::ModuleAddr::root(),
    };
    let key = at.provider.key.clone();
    ProviderKey { module, name: at.home.name.clone(), alias: at.home.alias.clone(), key }
}

/// The provider configuration that an instance uses: `None` where it is poisoned.
pub(crate) fn provider_config(walk: &Walk<'_>, at: &At<'_>) -> Result<Option<ProviderConfig>, Diagnostic> {
    let key = key(walk, at);
    let value = match at.home.block {
        Some(_) => {
            let Some(node) = at.provider.node else { return Ok(None) };
            let node = walk.node(node);
            if node.poisoned {
                return Ok(None);
            }
            node.value.clone()
        }
        None => default_config(walk.statics.registry, &key.name)?,
    };
    Ok(Some(ProviderConfig { key, value }))
}

impl Driver for Planner<'_> {
    /// Where something that is done makes it known. Nothing else ever would.
    fn may_open(&mut self, walk: &Walk<'_>, open: &OpenBlock) -> bool {
        self.moves(walk, &open.deps)
    }

    fn instance(&mut self, walk: &Walk<'_>, at: &At<'_>) -> Made<Value> {
        let registry = self.input.registry;
        // Poisoned, and all that is made of it.
        if self.input.options.excludes.iter().any(|t| t.matches(&at.addr)) {
            return Made::default();
        }
        match at.resource.mode {
            Mode::Managed => match registry.resource(&at.resource.ty) {
                Some(kind) => self.managed(walk, at, kind),
                None => Made::default(),
            },
            Mode::Data => match registry.data_source(&at.resource.ty) {
                Some(kind) if at.resource.scope.is_some() => {
                    let made = self.data(walk, at, kind);
                    Made { found: as_warnings(made.found), ..made }
                }
                Some(kind) => self.data(walk, at, kind),
                None => Made::default(),
            },
            Mode::Ephemeral => match registry.ephemeral(&at.resource.ty) {
                Some(kind) => self.ephemeral(walk, at, kind),
                None => Made::default(),
            },
        }
    }
}
