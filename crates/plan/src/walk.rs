//! The walk: every block evaluated once in each module instance, in an order in which all that it names is there already.
//!
//! What comes out is a list of [`Node`]s: one for each resource instance, and one for each value that stands between instances (a local, a
//! variable, an output, a whole resource with its instances). Each remembers which nodes its evaluation touched. So edges are found between
//! *instances*, a local passes on what it was made of, and nothing stores what is further away than one step. Nodes are numbered in the order of
//! evaluation: whatever a node depends on has a lower number.
//!
//! A node is *poisoned* when it could not be evaluated: something is wrong with it (which was said), or it waits for a reading. What touches it is
//! poisoned too, and silent.
//!
//! A block is *open* when what says which instances it has is known only while applying, and the driver lets it pass: it has none yet, and what
//! touches it is poisoned. A later wave plans both (see [`crate::waves`]).
//!
//! What an instance's value is, the [`Driver`] says: the planner decides it, the resolver looks it up, `validate` leaves it unknown.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::{Files, Paths, Reference, Resource};
use grappe_value::addr::{InstanceAddr, ModuleAddr, ResourceAddr};
use grappe_value::{Type, Value};

use crate::expand::Keys;
use crate::providers::{Chosen, Home};
use crate::resolve::Random;
use crate::statics::{Block, Statics};

/// A node of the walk.
pub(crate) type NodeId = u32;

/// A value or an instance, and what it was made of.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) what: What,
    pub(crate) value: Value,
    /// What its evaluation touched: sorted, distinct, all lower than itself.
    pub(crate) deps: Box<[NodeId]>,
    pub(crate) poisoned: bool,
}

/// What a node stands for. The first number is the module instance, the second the position in the module's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// What says which instances there are, and `depends_on`: of a module (`None`) or a resource.
    Gate(usize, Option<usize>),
    Variable(usize, usize),
    Local(usize, usize),
    Output(usize, usize),
    /// The third is the position among those of its block.
    Provider(usize, usize, usize),
    /// The third is the position among the resource's instances.
    Instance(usize, usize, usize),
    /// All instances of a resource that has `count` or `for_each`.
    Whole(usize, usize),
    /// The outputs of a module instance as an object.
    Outputs(usize),
    /// Those of all instances of a call.
    AllOutputs(usize, usize),
    /// All that is in the instances of a call.
    All(usize, usize),
}

/// A module instance.
pub(crate) struct ModuleInstance {
    pub(crate) addr: ModuleAddr,
    /// Which module of [`Statics::modules`].
    pub(crate) module: usize,
    pub(crate) parent: Option<usize>,
    /// `each` and `count` of its call.
    pub(crate) each: Option<(Value, Value)>,
    pub(crate) count: Option<u64>,
    /// What its existence depends on.
    pub(crate) gate: Option<NodeId>,
    /// What its `depends_on` and its callers' wait for.
    pub(crate) waits: Vec<NodeId>,
    pub(crate) variables: Vec<Option<NodeId>>,
    pub(crate) locals: Vec<Option<NodeId>>,
    pub(crate) outputs: Vec<Option<NodeId>>,
    pub(crate) providers: Vec<Option<Providers>>,
    pub(crate) resources: Vec<Option<Instances>>,
    pub(crate) calls: Vec<Option<Calls>>,
    /// Its outputs as an object.
    pub(crate) object: Option<NodeId>,
}

/// The configurations of a `provider` block in a module instance.
pub(crate) struct Providers {
    /// `None` where it is not known: poisoned.
    pub(crate) keys: Option<Keys>,
    /// One for each key.
    pub(crate) nodes: Vec<NodeId>,
}

/// The instances of a resource in a module instance.
pub(crate) struct Instances {
    pub(crate) addr: Arc<ResourceAddr>,
    /// `None` where it is not known: poisoned.
    pub(crate) keys: Option<Keys>,
    /// One for each key.
    pub(crate) nodes: Vec<NodeId>,
    /// All of them as one value; the only one where there is neither `count` nor `for_each`.
    pub(crate) whole: Option<NodeId>,
}

/// The instances of a module call in a module instance.
pub(crate) struct Calls {
    pub(crate) keys: Option<Keys>,
    /// Module instances, one for each key.
    pub(crate) instances: Vec<usize>,
    pub(crate) whole: Option<NodeId>,
    pub(crate) all: Option<NodeId>,
}

/// What evaluation needs besides the configuration.
pub(crate) struct Env<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) cwd: Arc<str>,
    pub(crate) workspace: Arc<str>,
    pub(crate) home: Option<Arc<str>>,
    pub(crate) plan_timestamp: Option<Arc<str>>,
    pub(crate) timestamp: Option<Arc<str>>,
    pub(crate) random: Option<Random>,
    /// `terraform.applying`
    pub(crate) applying: bool,
    /// The root module's variables as given.
    pub(crate) variables: &'a BTreeMap<Arc<str>, Value>,
}

/// Where an expression stands: a module instance, and the repetition it is in.
#[derive(Clone, Default)]
pub(crate) struct Frame {
    pub(crate) module: usize,
    pub(crate) each: Option<(Value, Value)>,
    pub(crate) count: Option<u64>,
    pub(crate) self_value: Option<Value>,
    /// The variable whose validation this is, with its value.
    pub(crate) variable: Option<(usize, Value)>,
    /// Nodes from here on are not there: what is evaluated again sees what was there the first time, no more.
    pub(crate) limit: Option<NodeId>,
}

/// What came of an evaluation.
pub(crate) struct Made<T> {
    /// `None` where it is poisoned.
    pub(crate) value: Option<T>,
    /// What it touched: sorted and distinct.
    pub(crate) deps: Vec<NodeId>,
    /// What was wrong, and warnings.
    pub(crate) found: Diagnostics,
}

impl<T> Default for Made<T> {
    fn default() -> Self {
        Made { value: None, deps: Vec::new(), found: Diagnostics::new() }
    }
}

/// An instance that the walk comes by.
pub(crate) struct At<'w> {
    pub(crate) node: NodeId,
    pub(crate) addr: InstanceAddr,
    pub(crate) resource: &'w Resource,
    pub(crate) frame: Frame,
    /// The provider configuration that it uses, with the module instance that holds it.
    pub(crate) home: &'w Home<'w>,
    pub(crate) holder: usize,
    /// Which of them, where the block has `for_each`; and its node, where there is a block.
    pub(crate) provider: Chosen,
    /// What its `depends_on`, and those of the modules around it, wait for.
    pub(crate) waits: &'w [NodeId],
}

/// A block of which it can't be said yet which instances it has.
#[derive(Clone, Debug)]
pub(crate) struct OpenBlock {
    /// The module instance that it stands in.
    pub(crate) within: usize,
    /// A call or a resource.
    pub(crate) block: Block,
    /// By `count` or by `for_each`.
    pub(crate) by: Repeated,
    /// What says which instances it has was made of these.
    pub(crate) deps: Vec<NodeId>,
}

/// Says what instances there are and what they are worth.
pub(crate) trait Driver {
    /// The value of an instance, and what it touched.
    fn instance(&mut self, walk: &Walk<'_>, at: &At<'_>) -> Made<Value>;

    /// Whether a block may stay open.
    fn may_open(&mut self, walk: &Walk<'_>, open: &OpenBlock) -> bool {
        let _ = (walk, open);
        false
    }

    /// The instances of a resource, where it is not the configuration that says so.
    fn resource_keys(&mut self, addr: &Arc<ResourceAddr>, resource: &Resource) -> Option<Keys> {
        let _ = (addr, resource);
        None
    }

    /// Whether one instance stands for all of a block that has `count` or `for_each`, whatever those give.
    fn one_for_all(&self) -> bool {
        false
    }
}

/// Leaves nothing open: which configurations there are must be known.
struct Closed;

impl Driver for Closed {
    fn instance(&mut self, _: &Walk<'_>, _: &At<'_>) -> Made<Value> {
        Made::default()
    }
}

/// Whether a block has `count` or `for_each`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    No,
    Count,
    ForEach,
}

/// The walk so far.
pub(crate) struct Walk<'a> {
    pub(crate) statics: Arc<Statics<'a>>,
    pub(crate) env: Env<'a>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) modules: Vec<ModuleInstance>,
    pub(crate) by_addr: HashMap<ModuleAddr, usize>,
    /// The instances of each module of [`Statics::modules`].
    pub(crate) instances: Vec<Vec<usize>>,
    /// The blocks that are open.
    pub(crate) open: Vec<OpenBlock>,
    pub(crate) found: Diagnostics,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(statics: Arc<Statics<'a>>, env: Env<'a>) -> Self {
        let instances = vec![Vec::new(); statics.modules.len()];
        Walk {
            statics,
            env,
            nodes: Vec::new(),
            modules: Vec::new(),
            by_addr: HashMap::new(),
            instances,
            open: Vec::new(),
            found: Diagnostics::new(),
        }
    }

    /// Evaluates the blocks that are wanted (all where `None`), each after what it needs.
    pub(crate) fn run(&mut self, driver: &mut dyn Driver, wanted: Option<&[bool]>) {
        let statics = self.statics.clone();
        for position in &statics.order {
            if wanted.is_none_or(|w| w[*position]) {
                self.block(statics.blocks[*position], driver);
            }
        }
    }

    /// Where something was not evaluated though nothing is wrong, nothing is waited for and it depends on nothing that is open: a mistake in this
    /// program that must not pass for a plan.
    pub(crate) fn sound(&self, waits: &[Option<usize>]) -> Result<(), Diagnostic> {
        // What a check block reads for itself may fail.
        let scoped = |what| match what {
            What::Instance(mi, i, _) | What::Whole(mi, i) => {
                let resource = self.statics.modules[self.modules[mi].module].config.resources.get_index(i);
                resource.is_some_and(|(_, r)| r.scope.is_some())
            }
            // What depends on it in no way is made of it.
            What::All(..) => true,
            _ => false,
        };
        let waits = |id: usize| waits.get(id).is_some_and(Option::is_some);
        let mut wrong = self.nodes.iter().enumerate().filter(|(_, n)| n.poisoned && !scoped(n.what));
        match wrong.find(|(id, _)| !waits(*id)).map(|(_, node)| node) {
            None => Ok(()),
            Some(node) => {
                let what =
                    self.addr(node.what).map_or_else(|| format!("{:?}", node.what), |addr| addr.to_string());
                Err(Diagnostic::error("Not evaluated")
                    .detail(format!("{what} was left out (a bug in grappe).")))
            }
        }
    }

    fn block(&mut self, block: Block, driver: &mut dyn Driver) {
        if let Block::Call(m) = block {
            return self.call(m, driver);
        }
        for mi in self.instances[block.module()].clone() {
            match block {
                Block::Variable(_, i) => {
                    self.modules[mi].variables[i] = Some(self.evaluate(What::Variable(mi, i)))
                }
                Block::Local(_, i) => self.modules[mi].locals[i] = Some(self.evaluate(What::Local(mi, i))),
                Block::Output(_, i) => self.modules[mi].outputs[i] = Some(self.evaluate(What::Output(mi, i))),
                Block::Provider(_, i) => self.providers(mi, i, driver),
                Block::Resource(_, i) => self.resource(mi, i, driver),
                Block::Outputs(_) => self.modules[mi].object = Some(self.evaluate(What::Outputs(mi))),
                Block::Call(_) | Block::All(_) => {}
            }
        }
        // What the callers see.
        if let (Block::Outputs(m) | Block::All(m), Some((parent, call))) =
            (block, self.statics.modules[block.module()].parent)
        {
            debug_assert_eq!(m, block.module());
            for mi in self.instances[parent].clone() {
                // A call without known instances has a node that says so.
                if self.modules[mi].calls[call].as_ref().is_none_or(|calls| calls.keys.is_none()) {
                    continue;
                }
                let what = match block {
                    Block::All(_) => What::All(mi, call),
                    _ => What::AllOutputs(mi, call),
                };
                let node = self.evaluate(what);
                if let Some(calls) = &mut self.modules[mi].calls[call] {
                    match block {
                        Block::All(_) => calls.all = Some(node),
                        _ => calls.whole = Some(node),
                    }
                }
            }
        }
    }

    /// Evaluates a value and keeps it as a node.
    fn evaluate(&mut self, what: What) -> NodeId {
        let made = self.compute(what, None);
        self.keep(what, made)
    }

    pub(crate) fn keep(&mut self, what: What, made: Made<Value>) -> NodeId {
        let poisoned = made.value.is_none();
        self.found.extend(made.found);
        let value = made.value.unwrap_or_else(|| Value::unknown(Type::Any));
        self.push(Node { what, value, deps: made.deps.into(), poisoned })
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        // 4 billion nodes do not fit into memory.
        u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// The instances of a module, in each instance of the module that calls it.
    fn call(&mut self, m: usize, driver: &mut dyn Driver) {
        let Some((parent, position)) = self.statics.modules[m].parent else {
            self.add_module(m, ModuleAddr::root(), None, (None, None), None, Vec::new());
            return;
        };
        let Some(call) = self.statics.call(m) else { return };
        for pm in self.instances[parent].clone() {
            let (frame, repeat) = (self.frame(pm), (call.count.as_ref(), call.for_each.as_ref()));
            let (keys, mut deps) = self.keys(repeat, &frame, call.span, Block::Call(m), driver);
            let waits = self.waits(pm, &call.depends_on);
            deps.extend(&waits);
            deps.extend(self.modules[pm].gate);
            let gate = self.gate(What::Gate(pm, None), deps);
            let waits: Vec<NodeId> = self.modules[pm].waits.iter().copied().chain(waits).collect();
            let mut instances = Vec::new();
            for (key, each, count) in keys.iter().flat_map(Keys::iter) {
                let addr = self.modules[pm].addr.child(call.name.clone(), key);
                instances.push(self.add_module(m, addr, Some(pm), (each, count), gate, waits.clone()));
            }
            let known = keys.is_some();
            self.modules[pm].calls[position] = Some(Calls { keys, instances, whole: None, all: None });
            if !known {
                let deps = gate.into_iter().collect();
                let none = Made { value: None, deps, found: Diagnostics::new() };
                let node = Some(self.keep(What::AllOutputs(pm, position), none));
                if let Some(calls) = &mut self.modules[pm].calls[position] {
                    (calls.whole, calls.all) = (node, node);
                }
            }
        }
    }

    fn add_module(
        &mut self,
        module: usize,
        addr: ModuleAddr,
        parent: Option<usize>,
        (each, count): (Option<(Value, Value)>, Option<u64>),
        gate: Option<NodeId>,
        waits: Vec<NodeId>,
    ) -> usize {
        let c = self.statics.modules[module].config;
        self.by_addr.insert(addr.clone(), self.modules.len());
        self.modules.push(ModuleInstance {
            addr,
            module,
            parent,
            each,
            count,
            gate,
            waits,
            variables: vec![None; c.variables.len()],
            locals: vec![None; c.locals.len()],
            outputs: vec![None; c.outputs.len()],
            providers: (0..c.providers.len()).map(|_| None).collect(),
            resources: (0..c.resources.len()).map(|_| None).collect(),
            calls: (0..c.calls.len()).map(|_| None).collect(),
            object: None,
        });
        self.instances[module].push(self.modules.len() - 1);
        self.modules.len() - 1
    }

    /// The configurations of a `provider` block in a module instance.
    fn providers(&mut self, mi: usize, i: usize, driver: &mut dyn Driver) {
        let block = &self.statics.clone().modules[self.modules[mi].module].config.providers[i];
        let (frame, repeat) = (self.frame(mi), (None, block.for_each.as_ref()));
        let own = Block::Provider(self.modules[mi].module, i);
        let driver = if driver.one_for_all() { driver } else { &mut Closed };
        let (keys, gate) = self.keys(repeat, &frame, block.span, own, driver);
        let count = keys.as_ref().map_or(0, Keys::len);
        self.modules[mi].providers[i] = Some(Providers { keys, nodes: Vec::new() });
        for at in 0..count {
            let what = What::Provider(mi, i, at);
            let mut made = self.compute(what, None);
            made.deps.extend(&gate);
            made.deps.sort_unstable();
            made.deps.dedup();
            let node = self.keep(what, made);
            if let Some(providers) = &mut self.modules[mi].providers[i] {
                providers.nodes.push(node);
            }
        }
    }

    /// A node for what many share; none where there is nothing to share.
    fn gate(&mut self, what: What, mut deps: Vec<NodeId>) -> Option<NodeId> {
        deps.sort_unstable();
        deps.dedup();
        match deps[..] {
            [] => None,
            [only] => Some(only),
            _ => Some(self.keep(what, Made { value: Some(Value::NULL), deps, found: Diagnostics::new() })),
        }
    }

    /// The instances of a resource in a module instance.
    fn resource(&mut self, mi: usize, i: usize, driver: &mut dyn Driver) {
        let module = self.modules[mi].module;
        let Some((_, resource)) = self.statics.modules[module].config.resources.get_index(i) else { return };
        let addr = Arc::new(ResourceAddr {
            module: self.modules[mi].addr.clone(),
            mode: resource.mode,
            ty: resource.ty.clone(),
            name: resource.name.clone(),
        });
        let none = Instances { addr: addr.clone(), keys: None, nodes: Vec::new(), whole: None };
        let home = match self.statics.provider_of(module, resource) {
            Ok(home) => home,
            Err(unknown) => {
                // Once is enough, however many instances the module has.
                if self.instances[module].first() == Some(&mi) {
                    self.found.push(unknown);
                }
                self.modules[mi].resources[i] = Some(none);
                return;
            }
        };
        let holder = self.holder(mi, home.block.map_or(0, |(module, _)| module));
        // That of all instances; where they choose, each waits for its own.
        let provider = match (home.block, home.key) {
            (Some((_, i)), None) => {
                self.modules[holder].providers[i].as_ref().and_then(|p| p.nodes.first().copied())
            }
            _ => None,
        };
        let (keys, mut deps) = match driver.resource_keys(&addr, resource) {
            Some(keys) => (Some(keys), Vec::new()),
            None => {
                let (frame, repeat) = (self.frame(mi), (resource.count.as_ref(), resource.for_each.as_ref()));
                self.keys(repeat, &frame, resource.span, Block::Resource(module, i), driver)
            }
        };
        let mut waits = self.waits(mi, &resource.depends_on);
        deps.extend(&waits);
        deps.extend(self.modules[mi].gate);
        // A provider's configuration without references makes nobody wait.
        deps.extend(provider.filter(|p| !self.node(*p).deps.is_empty()));
        let gate = self.gate(What::Gate(mi, Some(i)), deps);
        waits.extend(&self.modules[mi].waits);
        let mut instances = Instances { keys, ..none };
        let mut nodes = Vec::new();
        for (at, (key, each, count)) in instances.keys.iter().flat_map(Keys::iter).enumerate() {
            let frame = Frame { module: mi, each, count, ..Frame::default() };
            let addr = addr.instance(key);
            let provider = match self.chosen(&home, mi, &frame) {
                Ok(provider) => provider,
                Err(mut found) => {
                    crate::planner::with_addr(&mut found, &addr);
                    let made = Made { value: None, deps: gate.into_iter().collect(), found };
                    nodes.push(self.keep(What::Instance(mi, i, at), made));
                    continue;
                }
            };
            let mut own = provider.deps.clone();
            own.extend(provider.node.filter(|n| home.key.is_some() && !self.node(*n).deps.is_empty()));
            let at_instance = At {
                node: u32::try_from(self.nodes.len()).unwrap_or(u32::MAX),
                addr,
                resource,
                frame,
                home: &home,
                holder,
                provider,
                waits: &waits,
            };
            let mut made = driver.instance(self, &at_instance);
            made.deps.extend(own);
            made.deps.extend(gate);
            made.deps.sort_unstable();
            made.deps.dedup();
            nodes.push(self.keep(What::Instance(mi, i, at), made));
        }
        instances.nodes = nodes;
        let one = matches!(instances.keys, Some(Keys::One | Keys::Open(Repeated::No)));
        instances.whole = if one { instances.nodes.first().copied() } else { None };
        self.modules[mi].resources[i] = Some(instances);
        if !one {
            let mut made = self.compute(What::Whole(mi, i), None);
            // Whoever looks at all of them depends on what says how many there are, even where there are none (or that is not known yet).
            made.deps.extend(gate);
            let whole = self.keep(What::Whole(mi, i), made);
            if let Some(instances) = &mut self.modules[mi].resources[i] {
                instances.whole = Some(whole);
            }
        }
    }

    /// The instance of an outer module that a module instance is in.
    pub(crate) fn holder(&self, mut mi: usize, module: usize) -> usize {
        while self.modules[mi].module != module {
            match self.modules[mi].parent {
                Some(parent) => mi = parent,
                None => break,
            }
        }
        mi
    }

    /// The address of the instance that a node is.
    pub(crate) fn addr(&self, what: What) -> Option<InstanceAddr> {
        let What::Instance(mi, i, at) = what else { return None };
        let instances = self.modules[mi].resources[i].as_ref()?;
        Some(instances.addr.instance(instances.keys.as_ref()?.key(at)))
    }

    /// The frame of expressions that stand in a module outside of repeated blocks.
    pub(crate) fn frame(&self, module: usize) -> Frame {
        Frame { module, ..Frame::default() }
    }

    /// The nodes that `depends_on` names.
    pub(crate) fn waits(&self, mi: usize, references: &[Reference]) -> Vec<NodeId> {
        let mut nodes = Vec::new();
        for reference in references {
            match self.statics.block(self.modules[mi].module, &reference.subject) {
                Some(Block::Resource(_, i)) => {
                    let Some(instances) = &self.modules[mi].resources[i] else { continue };
                    nodes.extend(instances.whole);
                }
                Some(Block::Outputs(child) | Block::Output(child, _)) => {
                    let Some((_, call)) = self.statics.modules[child].parent else { continue };
                    nodes.extend(self.modules[mi].calls[call].as_ref().and_then(|c| c.all));
                }
                // What it is made of, and what that waits for.
                Some(Block::Variable(_, i)) => nodes.extend(self.modules[mi].variables[i]),
                Some(Block::Local(_, i)) => nodes.extend(self.modules[mi].locals[i]),
                _ => {}
            }
        }
        nodes
    }

    pub(crate) fn paths(&self, mi: usize) -> Paths {
        let shown = |module: usize| -> Arc<str> {
            let dir = self.statics.modules[module].config.dir.to_string_lossy();
            if dir.is_empty() { ".".into() } else { dir.into() }
        };
        Paths { module: shown(self.modules[mi].module), root: shown(0), cwd: self.env.cwd.clone() }
    }
}

pub(crate) fn repeated(count: bool, for_each: bool) -> Repeated {
    match (count, for_each) {
        (true, _) => Repeated::Count,
        (_, true) => Repeated::ForEach,
        _ => Repeated::No,
    }
}
