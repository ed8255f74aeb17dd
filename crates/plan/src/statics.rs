//! The blocks of a configuration over all its modules, and the order in which they can be evaluated.
//!
//! What is found here is static: a block waits for another where its text names it, whatever `count` comes out as. It gives an order in which every
//! block is evaluated after all that it names, so that nothing evaluates by recursion and a chain of 10,000 blocks needs no deeper stack than one
//! of two. Which *instances* depend on which is found later, while evaluating (see [`crate::walk`]).

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_graph::{Cycle, Graph};
use grappe_lang::{
    Body, Config, Expr, Flag, Module, ModuleCall, RefStep, Reference, Resource, Subject, When,
};
use grappe_provider::Registry;
use grappe_value::addr::{Mode, ResourceAddr};
use indexmap::Equivalent;

use crate::providers::{Home, KeyAt};

/// Cycles that are told at once: what is on many ways round is on most of them.
const CYCLES: usize = 5;

/// A module in the tree of calls: a folder that is called twice is there twice.
pub(crate) struct ModuleNode<'a> {
    pub(crate) config: &'a Module,
    /// The module that calls it, and which of its calls it is.
    pub(crate) parent: Option<(usize, usize)>,
    /// The modules that it calls, by the position of the call.
    pub(crate) children: Vec<usize>,
    /// Its first block.
    base: usize,
}

/// A block, or something that many blocks wait for. Positions are those in the module's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// Which instances a module has: `count`, `for_each` and `depends_on` of its call.
    Call(usize),
    Variable(usize, usize),
    Local(usize, usize),
    Output(usize, usize),
    Provider(usize, usize),
    Resource(usize, usize),
    /// All outputs of all instances of a module: `module.m` as a value.
    Outputs(usize),
    /// All that is in a module: `depends_on = [module.m]`.
    All(usize),
}

impl Block {
    pub(crate) fn module(self) -> usize {
        match self {
            Block::Call(m)
            | Block::Variable(m, _)
            | Block::Local(m, _)
            | Block::Output(m, _)
            | Block::Provider(m, _)
            | Block::Resource(m, _)
            | Block::Outputs(m)
            | Block::All(m) => m,
        }
    }
}

/// The blocks in the order of evaluation.
pub(crate) struct Statics<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) modules: Vec<ModuleNode<'a>>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) graph: Graph,
    /// Positions in `blocks`.
    pub(crate) order: Vec<usize>,
}

/// A resource's key in [`Module::resources`], borrowed.
pub(crate) struct ResourceKey<'k>(pub(crate) Mode, pub(crate) &'k str, pub(crate) &'k str);

impl Hash for ResourceKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0, self.1, self.2).hash(state);
    }
}

impl Equivalent<(Mode, Arc<str>, Arc<str>)> for ResourceKey<'_> {
    fn equivalent(&self, key: &(Mode, Arc<str>, Arc<str>)) -> bool {
        (self.0, self.1, self.2) == (key.0, &*key.1, &*key.2)
    }
}

impl<'a> Statics<'a> {
    /// Finds the order.
    ///
    /// # Errors
    /// Where blocks wait for each other: each way round, edge by edge.
    pub(crate) fn new(config: &'a Config, registry: &'a Registry) -> Result<Self, Diagnostics> {
        let mut statics = Statics {
            registry,
            modules: Vec::new(),
            blocks: Vec::new(),
            graph: Graph::default(),
            order: Vec::new(),
        };
        statics.add_module(&config.root, None);
        let mut edges = Vec::new();
        for (at, block) in statics.blocks.iter().enumerate() {
            statics.needs(*block, &mut |before, _| edges.push((before, at)));
        }
        let mut found = Diagnostics::new();
        loop {
            statics.graph = Graph::new(statics.blocks.len(), edges.iter().copied());
            match statics.graph.order() {
                Ok(order) => statics.order = order,
                // The others show when this one is taken out.
                Err(cycle) if found.len() < CYCLES => {
                    found.push(statics.explain(&cycle));
                    let way: HashSet<(usize, usize)> = cycle.edges().collect();
                    edges.retain(|edge| !way.contains(edge));
                    continue;
                }
                Err(_) => {}
            }
            return found.into_result(statics).map(|(statics, _)| statics);
        }
    }

    /// Calls nest as folders do, a few deep: recursion is fine here.
    fn add_module(&mut self, config: &'a Module, parent: Option<(usize, usize)>) -> usize {
        let m = self.modules.len();
        let base = self.blocks.len();
        self.modules.push(ModuleNode { config, parent, children: Vec::new(), base });
        self.blocks.extend([Block::Call(m), Block::Outputs(m), Block::All(m)]);
        self.blocks.extend((0..config.variables.len()).map(|i| Block::Variable(m, i)));
        self.blocks.extend((0..config.locals.len()).map(|i| Block::Local(m, i)));
        self.blocks.extend((0..config.outputs.len()).map(|i| Block::Output(m, i)));
        self.blocks.extend((0..config.providers.len()).map(|i| Block::Provider(m, i)));
        self.blocks.extend((0..config.resources.len()).map(|i| Block::Resource(m, i)));
        for (i, call) in config.calls.values().enumerate() {
            let child = self.add_module(&call.module, Some((m, i)));
            self.modules[m].children.push(child);
        }
        m
    }

    /// The position of a block.
    pub(crate) fn position(&self, block: Block) -> usize {
        let module = &self.modules[block.module()];
        let c = module.config;
        let outputs = 3 + c.variables.len() + c.locals.len();
        module.base
            + match block {
                Block::Call(_) => 0,
                Block::Outputs(_) => 1,
                Block::All(_) => 2,
                Block::Variable(_, i) => 3 + i,
                Block::Local(_, i) => 3 + c.variables.len() + i,
                Block::Output(_, i) => outputs + i,
                Block::Provider(_, i) => outputs + c.outputs.len() + i,
                Block::Resource(_, i) => outputs + c.outputs.len() + c.providers.len() + i,
            }
    }

    /// The call that a module hangs at; `None` for the root.
    pub(crate) fn call(&self, module: usize) -> Option<&'a ModuleCall> {
        let (parent, call) = self.modules[module].parent?;
        self.modules[parent].config.calls.get_index(call).map(|(_, call)| call)
    }

    /// What a block waits for, with the place that says so.
    fn needs(&self, block: Block, sink: &mut dyn FnMut(usize, Option<Span>)) {
        let m = block.module();
        let config = self.modules[m].config;
        let call = Block::Call(m);
        if block != call {
            sink(self.position(call), None);
        }
        match block {
            Block::Call(_) => {
                let (Some((parent, _)), Some(call)) = (self.modules[m].parent, self.call(m)) else { return };
                sink(self.position(Block::Call(parent)), None);
                self.exprs(parent, call.count.iter().chain(&call.for_each), sink);
                self.waits(parent, &call.depends_on, sink);
            }
            Block::Variable(_, i) => {
                let Some((name, variable)) = config.variables.get_index(i) else { return };
                if let (Some((parent, _)), Some(call)) = (self.modules[m].parent, self.call(m)) {
                    self.exprs(parent, call.arguments.get(&**name), sink);
                }
                for check in &variable.validations {
                    let refs = check.condition.references().iter().chain(check.error_message.references());
                    let others = refs.filter(|r| r.subject != Subject::Variable(name.clone()));
                    self.references(m, others, sink);
                }
            }
            Block::Local(_, i) => self.exprs(m, config.locals.get_index(i).map(|(_, l)| &l.expr), sink),
            Block::Output(_, i) => {
                let Some((_, output)) = config.outputs.get_index(i) else { return };
                let checks = output.preconditions.iter().flat_map(|c| [&c.condition, &c.error_message]);
                self.exprs(m, std::iter::once(&output.expr).chain(checks), sink);
                self.waits(m, &output.depends_on, sink);
            }
            Block::Provider(_, i) => {
                self.references(m, config.providers[i].body.references(), sink);
                self.exprs(m, &config.providers[i].for_each, sink);
            }
            Block::Resource(_, i) => {
                let Some((_, resource)) = config.resources.get_index(i) else { return };
                self.resource_needs(m, resource, sink);
            }
            Block::Outputs(_) => {
                for i in 0..config.outputs.len() {
                    sink(self.position(Block::Output(m, i)), None);
                }
            }
            Block::All(_) => {
                for i in 0..config.resources.len() {
                    sink(self.position(Block::Resource(m, i)), None);
                }
                sink(self.position(Block::Outputs(m)), None);
                for child in &self.modules[m].children {
                    sink(self.position(Block::All(*child)), None);
                }
            }
        }
    }

    fn resource_needs(&self, m: usize, resource: &'a Resource, sink: &mut dyn FnMut(usize, Option<Span>)) {
        let lifecycle = &resource.lifecycle;
        let checks = lifecycle.preconditions.iter().chain(&lifecycle.postconditions);
        let checks = checks.flat_map(|c| [&c.condition, &c.error_message]);
        self.exprs(m, resource.count.iter().chain(&resource.for_each).chain(checks), sink);
        self.references(m, resource.body.references(), sink);
        self.references(m, resource.timeouts.iter().flat_map(Body::references), sink);
        self.waits(m, &resource.depends_on, sink);
        for i in self.imports_of(m, resource) {
            let import = &self.modules[0].config.imports[i];
            let keys = import.to.iter().filter_map(|(_, key)| key.as_ref());
            self.exprs(0, keys.chain([&import.id]).chain(&import.for_each), sink);
        }
        let flags = [&lifecycle.create_before_destroy, &lifecycle.prevent_destroy];
        self.exprs(m, flags.into_iter().filter_map(Flag::expr), sink);
        self.references(m, resource.provisioners.references(When::Create), sink);
        let chosen = lifecycle.replace_triggered_by.conditions().chain(lifecycle.ignore_changes.conditions());
        self.exprs(m, chosen, sink);
        for reference in lifecycle.replace_triggered_by.all().flatten() {
            self.references(m, [reference], sink);
            let indexes = reference.steps.iter().filter_map(|s| match s {
                RefStep::Index(expr) => Some(expr),
                _ => None,
            });
            self.exprs(m, indexes, sink);
        }
        if let Ok(Home { block: Some((module, i)), key, .. }) = self.provider_of(m, resource) {
            sink(self.position(Block::Provider(module, i)), None);
            if let Some(KeyAt { call, expr }) = key {
                let stands = call.and_then(|call| self.modules[call].parent).map_or(m, |(parent, _)| parent);
                self.exprs(stands, [expr], sink);
            }
        }
    }

    /// The positions of the `import` blocks of the root module that may name instances of a resource, whatever their keys.
    pub(crate) fn imports_of(&self, m: usize, resource: &Resource) -> Vec<usize> {
        let imports = &self.modules[0].config.imports;
        if imports.is_empty() || resource.mode != Mode::Managed {
            return Vec::new();
        }
        let modules = self.modules[m].config.path.iter().flat_map(|call| ["module", call]);
        let own: Vec<&str> = modules.chain([&*resource.ty, &*resource.name]).collect();
        let names = |i: &usize| imports[*i].to.iter().map(|(name, _)| &**name).eq(own.iter().copied());
        (0..imports.len()).filter(names).collect()
    }

    fn exprs<'e>(
        &self,
        m: usize,
        exprs: impl IntoIterator<Item = &'e Expr>,
        sink: &mut dyn FnMut(usize, Option<Span>),
    ) {
        for expr in exprs {
            self.references(m, expr.references(), sink);
        }
    }

    /// The blocks that references in a module name. What does not exist is left out: evaluating says so.
    fn references<'r>(
        &self,
        m: usize,
        references: impl IntoIterator<Item = &'r Reference>,
        sink: &mut dyn FnMut(usize, Option<Span>),
    ) {
        for reference in references {
            if let Some(block) = self.block(m, &reference.subject) {
                sink(self.position(block), Some(reference.span));
            }
        }
    }

    /// As [`Statics::references`], for `depends_on`: a module stands for all that is in it.
    fn waits(&self, m: usize, references: &[Reference], sink: &mut dyn FnMut(usize, Option<Span>)) {
        for reference in references {
            let block = match self.block(m, &reference.subject) {
                Some(Block::Outputs(child)) => Some(Block::All(child)),
                other => other,
            };
            if let Some(block) = block {
                sink(self.position(block), Some(reference.span));
            }
        }
    }

    /// The module and position of the block that an address is of.
    pub(crate) fn find(&self, addr: &ResourceAddr) -> Option<(usize, usize)> {
        let mut module = 0;
        for (call, _) in addr.module.0.iter() {
            let position = self.modules[module].config.calls.get_index_of(&**call)?;
            module = self.modules[module].children[position];
        }
        let key = ResourceKey(addr.mode, &addr.ty, &addr.name);
        Some((module, self.modules[module].config.resources.get_index_of(&key)?))
    }

    /// The block that a subject names in a module.
    pub(crate) fn block(&self, m: usize, subject: &Subject) -> Option<Block> {
        let config = self.modules[m].config;
        match subject {
            Subject::Resource { mode, ty, name } => {
                config.resources.get_index_of(&ResourceKey(*mode, ty, name)).map(|i| Block::Resource(m, i))
            }
            Subject::Variable(name) => config.variables.get_index_of(&**name).map(|i| Block::Variable(m, i)),
            Subject::Local(name) => config.locals.get_index_of(&**name).map(|i| Block::Local(m, i)),
            Subject::Module { call, output } => {
                let child = self.modules[m].children[config.calls.get_index_of(&**call)?];
                match output {
                    None => Some(Block::Outputs(child)),
                    Some(name) => {
                        let outputs = &self.modules[child].config.outputs;
                        Some(
                            outputs
                                .get_index_of(&**name)
                                .map_or(Block::Outputs(child), |i| Block::Output(child, i)),
                        )
                    }
                }
            }
            Subject::Each | Subject::Count | Subject::SelfValue | Subject::Path | Subject::Terraform => None,
        }
    }

    /// All blocks that these need, directly or not, and themselves; and the root module, in which everything is.
    pub(crate) fn closure(&self, blocks: impl IntoIterator<Item = usize>) -> Vec<bool> {
        let mut wanted = vec![false; self.blocks.len()];
        let root = self.position(Block::Call(0));
        let mut todo: Vec<usize> = blocks.into_iter().chain([root]).collect();
        while let Some(block) = todo.pop() {
            if !std::mem::replace(&mut wanted[block], true) {
                todo.extend(self.graph.before(block).iter().filter(|b| !wanted[**b]));
            }
        }
        wanted
    }

    /// The `provider` blocks, with all that they need.
    pub(crate) fn provider_blocks(&self) -> Vec<bool> {
        let providers = (0..self.blocks.len()).filter(|b| matches!(self.blocks[*b], Block::Provider(..)));
        // What says whether an object may go is needed where nothing else is evaluated.
        let mut more = Vec::new();
        for (m, module) in self.modules.iter().enumerate() {
            for resource in module.config.resources.values() {
                let flag = resource.lifecycle.prevent_destroy.expr();
                let before = more.len();
                self.exprs(m, flag, &mut |block, _| more.push(block));
                more.extend((more.len() > before).then(|| self.position(Block::Call(m))));
            }
        }
        self.closure(providers.chain(more))
    }

    /// How messages name a block: `module.net.local.cidr`.
    pub(crate) fn name(&self, block: Block) -> String {
        let m = block.module();
        let config = self.modules[m].config;
        let path = config.path.iter().map(|call| format!("module.{call}")).collect::<Vec<_>>().join(".");
        let own = match block {
            Block::Call(_) | Block::Outputs(_) | Block::All(_) => return path,
            Block::Variable(_, i) => format!("var.{}", config.variables.get_index(i).map_or("", |(n, _)| n)),
            Block::Local(_, i) => format!("local.{}", config.locals.get_index(i).map_or("", |(n, _)| n)),
            Block::Output(_, i) => format!("output.{}", config.outputs.get_index(i).map_or("", |(n, _)| n)),
            Block::Provider(_, i) => match &config.providers[i].alias {
                Some(alias) => format!("provider.{}.{alias}", config.providers[i].name),
                None => format!("provider.{}", config.providers[i].name),
            },
            Block::Resource(_, i) => {
                config.resources.get_index(i).map_or(String::new(), |((mode, ty, name), _)| {
                    Subject::Resource { mode: *mode, ty: ty.clone(), name: name.clone() }.to_string()
                })
            }
        };
        if path.is_empty() { own } else { format!("{path}.{own}") }
    }

    /// The head of a block.
    fn span(&self, block: Block) -> Option<Span> {
        let config = self.modules[block.module()].config;
        match block {
            Block::Call(m) | Block::Outputs(m) | Block::All(m) => self.call(m).map(|c| c.span),
            Block::Variable(_, i) => config.variables.get_index(i).map(|(_, v)| v.span),
            Block::Local(_, i) => config.locals.get_index(i).map(|(_, l)| l.span),
            Block::Output(_, i) => config.outputs.get_index(i).map(|(_, o)| o.span),
            Block::Provider(_, i) => Some(config.providers[i].span),
            Block::Resource(_, i) => config.resources.get_index(i).map(|(_, r)| r.span),
        }
    }

    fn explain(&self, cycle: &Cycle) -> Diagnostic {
        if let [only] = cycle.0[..] {
            let block = self.blocks[only];
            let name = self.name(block);
            let mut place = self.span(block);
            self.needs(block, &mut |before, span| {
                if before == only {
                    place = span.or(place);
                }
            });
            return Diagnostic::error("Self-referential block")
                .detail(format!("Configuration for {name} may not refer to itself."))
                .span(place);
        }
        let mut lines = Vec::new();
        let mut places = Vec::new();
        for (before, after) in cycle.edges() {
            let mut place = None;
            self.needs(self.blocks[after], &mut |b, span| {
                if b == before && place.is_none() {
                    place = span;
                }
            });
            let (waits, waited) = (self.name(self.blocks[after]), self.name(self.blocks[before]));
            if waits != waited {
                lines.push(format!("  {waits} needs {waited}"));
            }
            if let Some(place) = place {
                places.push((place, format!("{waits} needs {waited}")));
            }
        }
        // Edges of a cycle run from what is needed to what needs it: people read it the other way.
        lines.reverse();
        places.reverse();
        let mut diagnostic = Diagnostic::error("Cycle")
            .detail(format!(
                "These need each other, so that none of them can be the first:\n{}",
                lines.join("\n")
            ))
            .hint("take one of these references out");
        let mut places = places.into_iter();
        if let Some((first, label)) = places.next() {
            diagnostic = diagnostic.span(first).related(first, label);
        }
        places.fold(diagnostic, |d, (place, label)| d.related(place, label))
    }
}
