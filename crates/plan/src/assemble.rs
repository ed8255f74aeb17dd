//! The three kinds of plan, put together from what was decided.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_value::addr::{InstanceAddr, InstanceKey, Target};
use grappe_value::{Marks, Value};

use crate::decide::Verdict;
use crate::decided::{Decided, Decision, Gone};
use crate::depends::Dependencies;
use crate::input::{Input, Outcome, Reads};
use crate::leaving::{Leaving, block, with_dependants};
use crate::model::{
    Action, Change, DataValue, Move, OpAction, Open, Operation, OutputChange, Plan, ProviderConfig,
    ProviderKey, Reason, StateStamp,
};
use crate::operations::{First, Parts, operations, records};
use crate::planner::Planner;
use crate::refresh::{ProviderFinder, provider_walk};
use crate::report::{change, drift, going, output_change, outputs};
use crate::statics::Statics;
use crate::targets::{Targets, foundations, is_open, stood_on};
use crate::walk::{NodeId, Walk};
use crate::world::{Prior, World};
use crate::{validate, waves, withheld};

/// A plan that makes the world what the configuration says.
pub(crate) fn normal<'a>(
    statics: &Arc<Statics<'a>>,
    input: &'a Input<'a>,
    world: &'a World<'a>,
    targets: &Targets<'_>,
) -> Result<Outcome, Diagnostics> {
    let mut walk = Walk::new(statics.clone(), crate::env(input));
    let mut planner = Planner::new(input, world);
    walk.run(&mut planner, targets.wanted());
    let mut found = std::mem::take(&mut walk.found);
    if targets.wanted().is_none() {
        found.extend(world.moves.check(&walk));
    }
    if found.has_errors() {
        return Err(said_once(found));
    }
    if !planner.reads.is_empty() || !planner.opens.is_empty() || !planner.imports.is_empty() {
        let mut reads = Reads::default();
        reads.add_data(planner.reads);
        reads.add_ephemeral(planner.opens);
        reads.add_imports(planner.imports);
        return Ok(Outcome::NeedReads(reads));
    }
    let roots = waves::roots(&walk, std::mem::take(&mut planner.held));
    let waits = waves::waiting(&walk, &roots);
    if !targets.limits() {
        walk.sound(&waits)?;
    }
    let limited = targets.limits() || !roots.is_empty();
    found.extend(planner.check_imports(&walk, limited));
    if !roots.is_empty() {
        // What nobody can decide on yet is at least looked at, before anything is done.
        found.extend(validate::check(statics, input.files).into_iter().filter(Diagnostic::is_error));
    }
    if found.has_errors() {
        return Err(found);
    }
    let asked = targets.asked(&walk, &roots);
    let is_asked = |node: NodeId| asked.as_ref().is_none_or(|asked| asked[node as usize]);
    let open = waves::list(&planner, &walk, &roots, &waits, &is_asked);
    let open_outputs = waves::outputs(&walk, &waits);
    let Planner { mut decided, .. } = planner;
    let touched = targets.touched(&walk, asked, &roots);
    let mut claimed: BTreeSet<&InstanceAddr> = BTreeSet::new();
    claimed.extend(decided.iter().filter_map(|d| d.managed()?.object).map(|(addr, _)| addr));
    let mut wanted: BTreeSet<InstanceAddr> = decided.iter().map(|d| d.addr.clone()).collect();
    if let Some(touched) = &touched {
        decided.retain(|d| touched[d.node as usize]);
    }
    let waiting = waves::Among::new(roots.iter().map(|root| &root.what));
    let waits_whole = |addr: &InstanceAddr| waiting.has(addr);
    let mut standing: BTreeSet<&InstanceAddr> = BTreeSet::new();
    let mut kept: BTreeSet<&InstanceAddr> = BTreeSet::new();
    if !input.options.excludes.is_empty() || !roots.is_empty() {
        let excludes = !input.options.excludes.is_empty();
        // What was not evaluated is wanted all the same.
        let left: Vec<InstanceAddr> = walk.nodes.iter().filter_map(|n| walk.addr(n.what)).collect();
        claimed.extend(left.iter().filter_map(|addr| world.remembered_as(addr)).map(|(addr, _)| addr));
        wanted.extend(left);
        let open = |addr: &&InstanceAddr| waits_whole(addr) || excludes && is_open(&walk, addr);
        claimed.extend(world.objects().map(|(addr, _)| addr).filter(open));
        let acts: BTreeSet<&InstanceAddr> =
            decided.iter().filter_map(|d| d.managed()?.object).map(|(addr, _)| addr).collect();
        let waiting: BTreeSet<&InstanceAddr> = walk
            .nodes
            .iter()
            .zip(&waits)
            .filter(|(_, waits)| waits.is_some())
            .filter_map(|(node, _)| Some(world.remembered_as(&walk.addr(node.what)?)?.0))
            .collect();
        let stands = |addr: &&InstanceAddr| match excludes {
            true => claimed.contains(addr) || !targets.names(addr),
            false => waits_whole(addr) || waiting.contains(addr),
        };
        standing = input.state.objects.keys().filter(|addr| !acts.contains(addr)).filter(stands).collect();
        // Nothing goes that something which stays as it is still stands on.
        kept = foundations(&input.state.objects, standing.iter().copied());
        standing.extend(kept.iter().filter(|addr| !acts.contains(*addr)));
    }
    let goes = |addr: &InstanceAddr| targets.names(addr) && !kept.contains(addr);
    let mut leaving = Leaving::new(input, world, &walk);
    for (addr, object) in world.objects().filter(|(addr, _)| !claimed.contains(addr) && goes(addr)) {
        leaving.orphan(addr, object);
    }
    for ((addr, key), object) in &input.state.deposed {
        let left = wanted.contains(addr) && !decided.iter().any(|d| d.addr == *addr) || waits_whole(addr);
        if goes(addr) && !(left && limited) {
            leaving.deposed(addr, key, object, Reason::Deposed);
        }
    }
    let unwanted = |addr: &InstanceAddr| {
        let open = limited && (waits_whole(addr) || !targets.names(addr) || is_open(&walk, addr));
        !wanted.contains(addr) && targets.names(addr) && !open
    };
    // What was begun for an instance that has an object, or was begun once more since, is of no use to it.
    let decided_on: HashMap<&InstanceAddr, &Decided<'_>> = match world.all_begun().next() {
        Some(_) => decided.iter().map(|d| (&d.addr, d)).collect(),
        None => HashMap::new(),
    };
    let surplus = |begun: &grappe_state::Pending| {
        let managed = decided_on.get(&begun.addr).and_then(|d| d.managed());
        managed.is_some_and(|m| {
            let mut used = m.resume.into_iter().chain(m.abandon);
            targets.names(&begun.addr) && !used.any(|used| used.key == begun.key)
        })
    };
    for begun in world.all_begun().filter(|p| unwanted(&p.addr) || surplus(p)) {
        leaving.abandoned(begun);
    }
    let gone = leaving.gone;
    found.extend(leaving.found);
    found.extend(crate::import::homeless(input, &waits_whole, &wanted));
    if found.has_errors() {
        return Err(found);
    }
    found.extend(unmatched(input, &wanted, &gone, &open));
    found.extend(let_go(&gone));
    let unknown: Vec<_> = decided
        .iter()
        .filter_map(|d| {
            let managed = d.managed()?;
            let names = withheld::of_object(managed.kind.schema(), &managed.planned);
            (!names.is_empty()).then(|| (d.addr.clone(), names))
        })
        .collect();
    found.extend(withheld::warning(&unknown, input.options.refresh));
    if targets.wanted().is_none() {
        found.extend(walk.assertions(&|_| false));
    }
    let outputs = outputs(&walk, input, touched.as_deref())?;
    finish(
        &walk,
        input,
        world,
        Made { decided, gone, outputs, standing, open, open_outputs, warnings: found },
    )
}

/// That an object is deleted to be made anew while something that a later wave plans stands on it.
fn undermined(addr: &InstanceAddr, standing: &BTreeSet<&InstanceAddr>, input: &Input<'_>) -> Diagnostic {
    let on =
        |dep: &InstanceAddr| dep == addr || dep.key == InstanceKey::None && dep.resource == addr.resource;
    let stands =
        |by: &&&InstanceAddr| input.state.objects.get(**by).is_some_and(|o| o.dependencies.iter().any(on));
    let all: Vec<String> = standing.iter().filter(stands).map(ToString::to_string).collect();
    let (shown, more) = all.split_at(all.len().min(5));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    Diagnostic::warning("Replaced under what is still open")
        .detail(format!(
            "{addr} is deleted and made anew while {}{more} still stands on it: what becomes of that is planned in a later wave.",
            shown.join(", ")
        ))
        .hint("with create_before_destroy the old one stays until what stands on it was looked after")
        .address(addr)
}

/// A plan that deletes what the state knows.
pub(crate) fn destroy<'a>(
    statics: &Arc<Statics<'a>>,
    input: &'a Input<'a>,
    world: &'a World<'a>,
    targets: &Targets<'_>,
) -> Result<Outcome, Diagnostics> {
    let (mut walk, reads) = provider_walk(statics, input, world);
    let mut found = std::mem::take(&mut walk.found);
    if found.has_errors() {
        return Err(found);
    }
    if !reads.is_empty() {
        return Ok(Outcome::NeedReads(reads));
    }
    let going = with_dependants(input, targets);
    let mut leaving = Leaving::new(input, world, &walk);
    for (addr, object) in world.objects().filter(|(addr, _)| going.contains(addr)) {
        if let Some(block) = block(statics, addr) {
            walk.protected(addr, block, &mut leaving.found);
        }
        leaving.leave(addr, object, Reason::Destroy);
    }
    for ((addr, key), object) in &input.state.deposed {
        if targets.names(addr) || !targets.excludes(addr) && going.contains(addr) {
            leaving.deposed(addr, key, object, Reason::Destroy);
        }
    }
    for begun in world.all_begun().filter(|p| targets.names(&p.addr)) {
        leaving.abandoned(begun);
    }
    let gone = leaving.gone;
    found.extend(leaving.found);
    if found.has_errors() {
        return Err(found);
    }
    found.extend(let_go(&gone));
    let mut outputs = BTreeMap::new();
    if !targets.limits() {
        for (name, stored) in &input.state.outputs {
            outputs.insert(name.as_str().into(), output_change(Some(stored), None, stored.sensitive)?);
        }
    }
    // What instances are does not matter any more, but for the providers that are made of them.
    finish(&walk, input, world, Made { gone, outputs, warnings: found, ..Made::default() })
}

/// A plan that only records what was found.
pub(crate) fn refresh_only<'a>(
    statics: &Arc<Statics<'a>>,
    input: &'a Input<'a>,
    world: &'a World<'a>,
    targets: &Targets<'_>,
) -> Result<Outcome, Diagnostics> {
    let mut walk = Walk::new(statics.clone(), crate::env(input));
    let mut driver = crate::refresh::Remembered::new(input, world);
    walk.run(&mut driver, targets.wanted());
    let mut found = std::mem::take(&mut walk.found);
    if found.has_errors() {
        return Err(found);
    }
    if !driver.reads.is_empty() || !driver.opens.is_empty() {
        let mut reads = Reads::default();
        reads.add_data(driver.reads);
        reads.add_ephemeral(driver.opens);
        return Ok(Outcome::NeedReads(reads));
    }
    let finder = ProviderFinder::new(&walk);
    let (mut operations, mut changes) = (Vec::new(), Vec::new());
    for (addr, object) in world.objects().filter(|(addr, _)| targets.names(addr)) {
        let prior = world.prior(addr)?;
        let provider = found.keep(finder.key_of(addr, object));
        let Some(provider) = provider else { continue };
        let mut record = |action, prior, planned| {
            operations.push(Operation {
                id: crate::OpId(u32::try_from(operations.len()).unwrap_or(u32::MAX)),
                addr: addr.clone(),
                object: crate::ObjectRef::Current,
                action,
                provider: provider.clone(),
                prior,
                planned,
                requires: Vec::new(),
                dependencies: object.dependencies.clone(),
                estimate: std::time::Duration::ZERO,
                create_before_destroy: object.create_before_destroy,
                steps: object.steps_done.map_or(0, |_| u32::MAX),
                lenient: false,
                timeouts: object.timeouts,
            });
        };
        let mut action = Action::NoOp;
        match prior {
            Prior::Gone(before) => {
                record(OpAction::Forget, Some(before), None);
                action = Action::Forget;
            }
            Prior::There { value, remembered: Some(_) } => {
                record(OpAction::Record, Some(value.clone()), Some(value))
            }
            _ => {}
        }
        changes.push(Change {
            addr: addr.clone(),
            deposed: None,
            action,
            reason: (action == Action::Forget).then_some(Reason::GoneOutside),
            before: None,
            after: None,
            importing: None,
            changed: Vec::new(),
        });
    }
    if found.has_errors() {
        return Err(found);
    }
    let outputs = match input.options.excludes.is_empty() {
        true => outputs(&walk, input, None)?,
        // What they are made of was not all looked at.
        false => BTreeMap::new(),
    };
    let mut plan = empty(input, found);
    plan.moves = moves(world, std::iter::empty());
    (plan.changes, plan.operations, plan.outputs) = (changes, operations, outputs);
    plan.drift = drift(input, world)?;
    Ok(Outcome::Ready(Box::new(plan)))
}

/// What the user named and there is not: probably a slip.
fn unmatched(
    input: &Input<'_>,
    wanted: &BTreeSet<InstanceAddr>,
    gone: &[Gone<'_>],
    open: &[Open],
) -> Diagnostics {
    let mut found = Diagnostics::new();
    // What is open may come to have it.
    let may_be = |target: &Target| open.iter().any(|open| waves::overlap(target, &open.what));
    for target in input.options.targets.iter().filter(|target| !may_be(target)) {
        if !wanted.iter().chain(gone.iter().map(|g| &g.addr)).any(|addr| target.matches(addr)) {
            let what = format!("-target={target} names nothing that the configuration or the state has.");
            found.push(Diagnostic::warning("Target without effect").detail(what));
        }
    }
    for target in input.options.excludes.iter().filter(|target| !may_be(target)) {
        if !wanted.iter().chain(input.state.objects.keys()).any(|addr| target.matches(addr)) {
            let what = format!("-exclude={target} names nothing that the configuration or the state has.");
            found.push(Diagnostic::warning("Exclusion without effect").detail(what));
        }
    }
    let replaced = input.options.replace.iter().filter(|addr| !may_be(&Target::Instance((*addr).clone())));
    for addr in replaced.filter(|addr| !wanted.contains(addr)) {
        let what = format!("-replace={addr} names no object of the configuration.");
        found.push(Diagnostic::warning("Replacement without effect").detail(what));
    }
    found
}

/// What has another address than in the state: what was moved before planning, and what planning found under the address of a block that `count` came
/// to or left.
fn moves<'m>(
    world: &World<'_>,
    found: impl Iterator<Item = (&'m InstanceAddr, &'m InstanceAddr)>,
) -> Vec<Move> {
    let done = &world.moves.done;
    let mut origins: BTreeMap<&InstanceAddr, &InstanceAddr> =
        done.iter().map(|(from, to)| (to, from)).collect();
    for (from, to) in found.filter(|(from, to)| from != to) {
        let origin = origins.remove(from).unwrap_or(from);
        origins.insert(to, origin);
    }
    origins.into_iter().map(|(to, from)| Move { from: from.clone(), to: to.clone() }).collect()
}

/// Says what is left alone from now on.
fn let_go(gone: &[Gone<'_>]) -> Diagnostics {
    let forgotten: Vec<String> =
        gone.iter().filter(|g| g.is_let_go()).map(|g| format!("  - {}", g.addr)).collect();
    if forgotten.is_empty() {
        return Diagnostics::new();
    }
    Diagnostic::warning("Some objects will no longer be managed")
        .detail(format!(
            "If this plan is applied, the state forgets these objects, and does not delete them:\n{}",
            forgotten.join("\n")
        ))
        .hint("to manage them again, they must be imported")
        .into()
}

/// What is wrong with each of many instances in the same way is said of the first.
pub(crate) fn said_once(mut found: Diagnostics) -> Diagnostics {
    let mut said = BTreeSet::new();
    found.0.retain(|d| said.insert((d.span, d.summary.clone(), d.detail.clone())));
    found
}

/// All that goes into a plan.
#[derive(Default)]
struct Made<'a> {
    decided: Vec<Decided<'a>>,
    gone: Vec<Gone<'a>>,
    outputs: BTreeMap<Arc<str>, OutputChange>,
    /// What the state has and the plan leaves as it is.
    standing: BTreeSet<&'a InstanceAddr>,
    open: Vec<Open>,
    open_outputs: Vec<Arc<str>>,
    warnings: Diagnostics,
}

fn finish<'a>(
    walk: &Walk<'a>,
    input: &'a Input<'a>,
    world: &World<'a>,
    made: Made<'a>,
) -> Result<Outcome, Diagnostics> {
    let Made { decided, gone, outputs, standing, open, open_outputs, warnings } = made;
    let mut dependencies = Dependencies::new(walk);
    let dependencies: Vec<_> = decided.iter().map(|d| dependencies.of(d.node)).collect();
    let objects = &input.state.objects;
    let first = First::new(walk, &decided, &standing, objects);
    let stood_on = stood_on(objects, standing.iter().copied());
    let records: Vec<bool> =
        decided.iter().enumerate().map(|(i, d)| records(d, &dependencies[i], first.configured[i])).collect();
    let mut plan = empty(input, warnings);
    for (decided, _) in decided.iter().zip(&first.now).filter(|(_, first)| !**first && !open.is_empty()) {
        let Some(managed) = decided.managed().filter(|m| matches!(m.verdict, Verdict::Replace(_))) else {
            continue;
        };
        if let Some((from, _)) = managed.object.filter(|(from, _)| stood_on.contains(from)) {
            plan.warnings.push(undermined(from, &standing, input));
        }
    }
    let mut finder = ProviderFinder::new(walk);
    let keys: BTreeSet<&ProviderKey> =
        decided.iter().map(|d| &d.provider).chain(gone.iter().map(|g| &g.provider)).collect();
    let mut open_providers = BTreeMap::new();
    for key in keys {
        if let Some(mut config) = finder.config(key)? {
            // What is good for this run only is found again when it is needed.
            config.value = config.value.without_ephemeral(Value::unknown);
            if let (false, Some(node)) = (config.known(), finder.node(key)) {
                open_providers.insert(key.clone(), node);
            }
            plan.providers.push(config);
        }
    }
    plan.operations = operations(&Parts {
        walk,
        decided: &decided,
        gone: &gone,
        objects: &input.state.objects,
        dependencies: &dependencies,
        first: &first,
        stood_on: &foundations(objects, standing.iter().copied()),
        records: &records,
        open_providers: &open_providers,
    })?;
    let used: BTreeSet<&ProviderKey> = plan.operations.iter().map(|o| &o.provider).collect();
    let in_use = |p: &ProviderConfig| used.contains(&p.key);
    plan.providers.retain(in_use);
    plan.moves = moves(world, decided.iter().filter_map(|d| Some((d.managed()?.object?.0, &d.addr))));
    let taken = decided.iter().filter_map(|d| input.imported.get(&d.addr));
    plan.imports = taken.cloned().collect();
    plan.drift = drift(input, world)?;
    plan.outputs = outputs;
    let waits = |addr: &&InstanceAddr| {
        open.iter().any(|open| waves::overlap(&open.what, &Target::Instance((*addr).clone())))
    };
    plan.open_replace = input.options.replace.iter().filter(waits).cloned().collect();
    (plan.open, plan.open_outputs) = (open, open_outputs);
    for (decided, first) in decided.into_iter().zip(first.now) {
        match &decided.what {
            Decision::Data(value) => {
                plan.data.push(DataValue { addr: decided.addr.clone(), value: value.clone() });
            }
            Decision::Ephemeral => continue,
            _ => {}
        }
        let import = input.imported.get(&decided.addr);
        plan.changes.push(change(decided, first, import));
    }
    plan.changes.extend(gone.into_iter().map(going));
    plan.changes.sort_by(|a, b| (&a.addr, &a.deposed).cmp(&(&b.addr, &b.deposed)));
    Ok(Outcome::Ready(Box::new(plan)))
}

fn empty(input: &Input<'_>, mut warnings: Diagnostics) -> Plan {
    let options = &input.options;
    for (flag, given) in
        [("-target", !options.targets.is_empty()), ("-exclude", !options.excludes.is_empty())]
    {
        if given {
            warnings.push(
                Diagnostic::warning("Resource targeting is in effect")
                    .detail(format!(
                        "With {flag} the result of this plan may not be all that the configuration asks for. It is for exceptional \
                         situations, such as recovering from errors or mistakes."
                    ))
                    .hint(format!("plan again without {flag} afterwards")),
            );
        }
    }
    // What is secret by declaration is sealed in a saved plan, as it is in the state.
    let declared = &input.config.root.variables;
    let marked = |(name, value): (&Arc<str>, &Value)| {
        let marks = declared.get(&**name).map_or(Marks::NONE, |v| {
            let secret = if v.sensitive { Marks::SENSITIVE } else { Marks::NONE };
            if v.ephemeral { secret.union(Marks::EPHEMERAL) } else { secret }
        });
        (name.clone(), value.clone().with_marks(marks))
    };
    let variables: BTreeMap<Arc<str>, Value> = input.variables.iter().map(marked).collect();
    Plan {
        mode: input.options.mode,
        changes: Vec::new(),
        moves: Vec::new(),
        imports: Vec::new(),
        operations: Vec::new(),
        outputs: BTreeMap::new(),
        drift: Vec::new(),
        providers: Vec::new(),
        given_again: variables
            .iter()
            .filter(|(_, v)| v.is_ephemeral_deep())
            .map(|(n, _)| n.clone())
            .collect(),
        variables,
        data: Vec::new(),
        warnings,
        base: StateStamp { lineage: input.state.lineage.clone(), serial: input.state.serial },
        timestamp: input.options.timestamp.clone(),
        workspace: input.options.workspace.clone(),
        targets: input.options.targets.clone(),
        excludes: input.options.excludes.clone(),
        open: Vec::new(),
        open_outputs: Vec::new(),
        open_replace: Vec::new(),
    }
}
