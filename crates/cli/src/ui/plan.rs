//! A plan for people.
//!
//! Changes of the same block stand together. Instances that are created alike are one entry, with what differs between them listed by instance;
//! instances that change alike are one entry too. What does not change is counted. Each entry says why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use grappe_graph::{Graph, critical_path};
use grappe_plan::{Action, Change, Move, OpAction, Open, OpenReason, OutputChange, Plan, PlanMode, Reason};
use grappe_provider::Registry;
use grappe_value::addr::{InstanceAddr, InstanceKey};
use grappe_value::{Attribute, OnChange, Path, Value};

use super::diff::{Differ, Mark, plural};
use super::style::{Style, Tone, columns, duration, wrap};
use super::value::{entry_name, padded};

/// How many instances of one block are listed with what is their own.
const LISTED: usize = 24;

/// The whole plan: what was found different, what will happen, outputs, the sum and the expected time.
#[must_use]
pub fn render(plan: &Plan, registry: &Registry, style: Style) -> Vec<String> {
    render_beside(plan, registry, style, false)
}

/// The same; where another run is at work (`live`), what was begun is not what an interrupted one left.
#[must_use]
pub fn render_beside(plan: &Plan, registry: &Registry, style: Style, live: bool) -> Vec<String> {
    let show = Show { registry, style, moves: &plan.moves, live };
    let mut out = Vec::new();
    show.drift(plan, &mut out);
    let acting: Vec<&Change> = plan.changes.iter().filter(|c| is_shown(c)).collect();
    if !changes(plan) {
        out.extend(nothing_to_do(plan, style));
        return out;
    }
    if !acting.is_empty() {
        let legend = legend(&acting, style);
        let legend = if legend.is_empty() { legend } else { format!(" ({legend})") };
        out.extend(wrap(&format!("grappe will do this{legend}:"), style.width));
        out.push(String::new());
        for group in show.groups(&acting) {
            show.entry(&group, &mut out);
            out.push(String::new());
        }
    }
    // Those to which nothing else happens: the others are told of already.
    let only_moved = |m: &&Move| !acting.iter().any(|c| c.addr == m.to);
    for moved in plan.moves.iter().filter(only_moved) {
        out.push(format!("  # {} has moved to {}", moved.from, style.paint(Tone::Strong, &moved.to)));
    }
    if plan.moves.iter().any(|m| only_moved(&m)) {
        out.push(String::new());
    }
    outputs(&plan.outputs, style, &mut out);
    if !plan.open.is_empty() {
        out.extend(left_open(plan, style));
        out.push("This is planned when the rest is applied: it is known then.".into());
        out.push(String::new());
    }
    out.push(summary(plan, style));
    out.extend(expected(plan, style));
    out
}

/// Whether something happens to an instance that people are told of.
fn is_shown(change: &Change) -> bool {
    change.action != Action::NoOp || change.importing.is_some()
}

/// What everything below needs.
#[derive(Clone, Copy)]
struct Show<'a> {
    registry: &'a Registry,
    style: Style,
    moves: &'a [Move],
    live: bool,
}

/// How many are added, changed and destroyed, as Terraform counts: a replacement is an addition and a destruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken into the state.
    pub import: usize,
    /// Creations.
    pub add: usize,
    /// Updates.
    pub change: usize,
    /// Deletions.
    pub destroy: usize,
    /// Taken out of the state.
    pub forget: usize,
}

impl Counts {
    /// Of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut counts = Counts { import: plan.imports.len(), ..Counts::default() };
        for change in &plan.changes {
            match change.action {
                Action::Create => counts.add += 1,
                Action::Update | Action::Provision => counts.change += 1,
                Action::Delete => counts.destroy += 1,
                Action::Forget => counts.forget += 1,
                Action::Replace { .. } => {
                    counts.add += 1;
                    counts.destroy += 1;
                }
                Action::NoOp | Action::Read => {}
            }
        }
        counts
    }
}

fn summary(plan: &Plan, style: Style) -> String {
    let Counts { import, add, change, destroy, forget } = Counts::of(plan);
    let head = style.paint(Tone::Strong, "Plan:");
    let import = if import > 0 { format!("{import} to import, ") } else { String::new() };
    let mut text = format!("{head} {import}{add} to add, {change} to change, {destroy} to destroy");
    if forget > 0 {
        text.push_str(&format!(", {forget} to forget"));
    }
    if !plan.open.is_empty() {
        let n = plan.open.len();
        text.push_str(&format!("; {n} block{} still open", plural(n)));
    }
    text + "."
}

/// What a plan does not decide on, and why.
#[must_use]
pub fn left_open(plan: &Plan, style: Style) -> Vec<String> {
    let mut out = vec![style.paint(Tone::Strong, "Still open:"), String::new()];
    let mut line = |text: String| {
        for (i, line) in wrap(&text, style.width.saturating_sub(4)).iter().enumerate() {
            out.push(format!("  {} {line}", if i == 0 { style.paint(Tone::Read, "?") } else { " ".into() }));
        }
    };
    let on = |open: &Open| open.on.iter().map(ToString::to_string).collect::<Vec<_>>();
    let stays = |objects: usize| match objects {
        0 => String::new(),
        1 => "; its object stays as it is until then".into(),
        n => format!("; its {n} objects stay as they are until then"),
    };
    let mut waiting: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for open in &plan.open {
        let what = match open.why {
            OpenReason::Count => "its count depends on",
            OpenReason::ForEach => "its for_each depends on",
            OpenReason::Provider => "its provider is configured from",
            OpenReason::Import => "what is imported to it depends on",
            OpenReason::Dependencies => {
                waiting.entry(on(open)).or_default().push(format!("{}{}", open.what, kept(open.objects)));
                continue;
            }
        };
        let what = format!("{what} {}{}", listed(&on(open)), stays(open.objects));
        line(format!("{}: {what}", style.paint(Tone::Strong, &open.what)));
    }
    for (on, what) in waiting {
        line(format!("waiting for {}: {}", listed(&on), listed(&what)));
    }
    if !plan.open_outputs.is_empty() {
        let names: Vec<String> = plan.open_outputs.iter().map(ToString::to_string).collect();
        line(format!("output{} {}", plural(names.len()), listed(&names)));
    }
    out.push(String::new());
    out
}

/// That what waits exists.
fn kept(objects: usize) -> &'static str {
    if objects == 0 { "" } else { " (exists)" }
}

/// `a, b and 3 more`
fn listed(all: &[String]) -> String {
    match all.len().saturating_sub(LISTED) {
        0 => all.join(", "),
        more => format!("{} and {more} more", all[..LISTED].join(", ")),
    }
}

/// What is said where nothing is to be done.
fn nothing_to_do(plan: &Plan, style: Style) -> Vec<String> {
    let found = match plan.mode {
        PlanMode::Destroy => "Nothing to destroy: the state holds no object.",
        PlanMode::RefreshOnly => "No changes: the world is as the state remembers it.",
        PlanMode::Normal => "No changes: the world is as the plan says.",
    };
    let mut out = vec![style.paint(Tone::Strong, found)];
    if !plan.operations.is_empty() {
        out.push("Applying only brings the state's records up to date.".into());
    }
    out
}

/// The time that it will probably take, and the chain of operations that decides it. Nothing where nothing is known about any of them.
fn expected(plan: &Plan, style: Style) -> Vec<String> {
    let times: Vec<Duration> = plan.operations.iter().map(|o| o.estimate).collect();
    let edges = plan.operations.iter().flat_map(|o| o.requires.iter().map(|r| (r.index(), o.id.index())));
    let Ok(path) = critical_path(&Graph::new(times.len(), edges), &times) else { return Vec::new() };
    // What nobody waits for needs no forecast.
    if path.length < Duration::from_secs(5) {
        return Vec::new();
    }
    let steps: Vec<String> = path
        .nodes
        .iter()
        .map(|n| &plan.operations[*n])
        .filter(|o| o.action.acts() && !o.estimate.is_zero())
        .map(|o| match o.action {
            OpAction::Create { .. } => o.addr.to_string(),
            _ => format!("{} {}", o.action.verb(), o.addr),
        })
        .collect();
    let mut out = vec![format!("Expected time: about {}.", duration(path.length))];
    if steps.len() > 1 {
        let text = format!("The longest way: {}", super::summary::chain(&steps));
        out.extend(wrap(&text, style.width).iter().map(|l| style.paint(Tone::Dim, l)));
    }
    out
}

fn symbol(action: Action) -> (&'static str, Tone, &'static str) {
    match action {
        Action::NoOp => (" ", Tone::Dim, "unchanged"),
        Action::Create => ("+", Tone::Add, "create"),
        Action::Update => ("~", Tone::Change, "update in place"),
        Action::Replace { create_first: false } => ("-/+", Tone::Remove, "replace"),
        Action::Replace { create_first: true } => ("+/-", Tone::Change, "replace, new one first"),
        Action::Delete => ("-", Tone::Remove, "destroy"),
        Action::Read => ("<=", Tone::Read, "read"),
        Action::Forget => (".", Tone::Dim, "forget"),
        Action::Provision => ("~", Tone::Change, "provision"),
    }
}

fn legend(acting: &[&Change], style: Style) -> String {
    let mut actions: Vec<Action> =
        acting.iter().map(|c| c.action).filter(|action| *action != Action::NoOp).collect();
    actions.sort();
    actions.dedup();
    let words = actions.into_iter().map(|action| {
        let (sign, tone, word) = symbol(action);
        format!("{} {word}", style.paint(tone, sign))
    });
    words.collect::<Vec<_>>().join(", ")
}

impl Show<'_> {
    /// Why, in words.
    fn because(self, reason: &Reason) -> Option<String> {
        match reason {
            Reason::Resumed
            | Reason::ResumedFound
            | Reason::Abandoned
            | Reason::AbandonedFound
            | Reason::Supplants
            | Reason::StepsLeft { .. }
            | Reason::Deposed
                if self.live =>
            {
                Some("in progress: the run that is at work is at it".into())
            }
            reason => because(reason),
        }
    }

    /// Changes that are told together: of one block, with the same action for the same reason; creations and deletions as they are, updates where
    /// they read the same.
    fn groups<'c>(self, acting: &[&'c Change]) -> Vec<Vec<&'c Change>> {
        let mut order: Vec<Vec<&Change>> = Vec::new();
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for change in acting {
            let mut key = format!("{} {:?} {:?}", change.addr.resource, change.action, change.reason);
            match change.action {
                _ if change.importing.is_some() => key.push_str(&change.addr.to_string()),
                Action::Create | Action::Delete | Action::Forget if change.deposed.is_none() => {}
                Action::Update => {
                    key.push_str(&Show { style: Style::default(), ..self }.body(change).join("\n"))
                }
                _ => key.push_str(&format!("{} {:?}", change.addr, change.deposed)),
            }
            match known.get(&key) {
                Some(at) => order[*at].push(change),
                None => {
                    known.insert(key, order.len());
                    order.push(vec![change]);
                }
            }
        }
        order
    }

    fn entry(self, group: &[&Change], out: &mut Vec<String>) {
        let style = self.style;
        let [first, ..] = group else { return };
        let (sign, tone, _) = symbol(first.action);
        let comment = |text: &str, out: &mut Vec<String>| {
            for line in wrap(text, style.width.saturating_sub(4)) {
                out.push(format!("  {}", style.paint(Tone::Dim, format!("# {line}"))));
            }
        };
        let what = match (first.action, &first.importing) {
            (Action::NoOp, Some(_)) => "will be imported",
            (action, _) => headline(action),
        };
        if group.len() == 1 {
            let deposed = first.deposed.as_ref().map_or(String::new(), |k| format!(" (deposed object {k})"));
            out.push(format!("  # {}{deposed} {what}", style.paint(Tone::Strong, &first.addr)));
        } else {
            let block = style.paint(Tone::Strong, &first.addr.resource);
            out.push(format!("  # {block}: {} instances {what}", group.len()));
            comment(&keys(group), out);
        }
        if let ([_], Some(moved)) = (group, self.moves.iter().find(|m| m.to == first.addr)) {
            comment(&format!("(moved from {})", moved.from), out);
        }
        if let Some(id) = &first.importing {
            let shown = id.as_str().filter(|_| !id.is_sensitive_deep()).unwrap_or(super::value::SENSITIVE);
            comment(&format!("(imported from {})", grappe_value::addr::quote(shown)), out);
        }
        if let Some(why) = first.reason.as_ref().and_then(|reason| self.because(reason)) {
            comment(&format!("({why})"), out);
        }
        let keyword = first.addr.resource.mode.keyword();
        let (ty, name) = (&first.addr.resource.ty, &first.addr.resource.name);
        let head = format!("  {} {keyword} \"{ty}\" \"{name}\"", style.paint(tone, sign));
        let lines = if group.len() > 1 && first.action == Action::Create {
            self.together(group)
        } else if group.len() > 1 && first.action != Action::Update {
            Vec::new()
        } else {
            self.body(first)
        };
        if lines.is_empty() {
            out.push(head);
        } else {
            out.push(format!("{head} {{"));
            out.extend(lines);
            out.push("    }".into());
        }
    }

    /// What differs, or what will be.
    fn body(self, change: &Change) -> Vec<String> {
        let forces = match &change.reason {
            Some(Reason::Attributes(paths)) => paths.clone(),
            _ => Vec::new(),
        };
        let mut differ = self.differ(change, forces);
        match change.action {
            Action::Create => differ.entries(6, &Path::default(), None, change.after.as_ref()),
            Action::Update | Action::Replace { .. } => {
                differ.entries(6, &Path::default(), change.before.as_ref(), change.after.as_ref());
            }
            Action::Read | Action::NoOp => {
                for (name, value) in change.after.iter().filter_map(Value::as_entries).flatten() {
                    if !value.is_null() {
                        differ.value(6, Mark::Same, &format!("{name} = "), value, "");
                    }
                }
            }
            // What goes is known by its name; the rest is of no use to anybody, but for what it takes along.
            Action::Delete | Action::Forget => {
                let before = |name: &str| change.before.as_ref()?.get(name).filter(|v| !v.is_null());
                for name in ["id", "name"] {
                    if let Some(value) = before(name) {
                        differ.value(6, Mark::Same, &format!("{} = ", padded(name, 4)), value, "");
                    }
                }
                for name in self.taken_along(change) {
                    let some = before(&name).filter(|v| v.as_items().is_none_or(|items| !items.is_empty()));
                    if let Some(value) = some {
                        differ.value(6, Mark::Remove, &format!("{name} = "), value, "");
                    }
                }
            }
            Action::Provision => {}
        }
        differ.out
    }

    /// Several creations as one: what they share once, what is their own by instance.
    fn together(self, group: &[&Change]) -> Vec<String> {
        let values: Vec<(String, &Value)> =
            group.iter().filter_map(|c| c.after.as_ref().map(|v| (short(&c.addr), v))).collect();
        let names: std::collections::BTreeSet<_> =
            values.iter().filter_map(|(_, v)| v.as_entries()).flat_map(BTreeMap::keys).collect();
        type Row<'a> = (String, Vec<(&'a str, Option<&'a Value>)>);
        let rows: Vec<Row<'_>> = names
            .into_iter()
            .map(|name| {
                let each = values.iter().map(|(key, v)| (key.as_str(), v.get(name).filter(|v| !v.is_null())));
                (entry_name(name, false), each.collect::<Vec<_>>())
            })
            .filter(|(_, each)| each.iter().any(|(_, v)| v.is_some()))
            .collect();
        let mut differ = match group.first() {
            Some(first) => self.differ(first, Vec::new()),
            None => return Vec::new(),
        };
        let (computed, rows): (Vec<Row<'_>>, Vec<Row<'_>>) =
            rows.into_iter().partition(|(name, _)| differ.computed.contains(name.as_str()));
        let (later, derived): (Vec<Row<'_>>, Vec<Row<'_>>) = computed
            .into_iter()
            .partition(|(_, each)| each.iter().all(|(_, v)| v.is_some_and(|v| !v.is_wholly_known())));
        let pad = rows.iter().map(|(name, _)| columns(name)).max().unwrap_or(0);
        for (name, each) in rows {
            let head = format!("{} = ", padded(&name, pad));
            let first = each.first().and_then(|(_, v)| *v);
            if each.iter().all(|(_, v)| *v == first) {
                match first {
                    Some(value) if differ.references.contains(name.as_str()) => {
                        differ.reference(6, Mark::Add, &head, value);
                    }
                    Some(value) => differ.value(6, Mark::Add, &head, value, ""),
                    None => {}
                }
                continue;
            }
            let is_key = |(key, value): &(&str, Option<&Value>)| {
                value
                    .and_then(Value::as_str)
                    .is_some_and(|text| *key == InstanceKey::Str(text.into()).to_string())
            };
            if each.iter().all(is_key) {
                differ.line(6, Mark::Add, &format!("{head}(of each its key)"));
                continue;
            }
            differ.line(6, Mark::Add, &format!("{head}(of each)"));
            let keys = each.iter().take(LISTED).map(|(key, _)| columns(key)).max().unwrap_or(0);
            for (key, value) in each.iter().take(LISTED) {
                let head = format!("{} = ", padded(key, keys));
                match value {
                    Some(value) if differ.references.contains(name.as_str()) => {
                        differ.reference(10, Mark::Same, &head, value);
                    }
                    Some(value) => differ.value(10, Mark::Same, &head, value, ""),
                    None => {}
                }
            }
            if let Some(more) = each.len().checked_sub(LISTED).filter(|n| *n > 0) {
                differ.note(10, &format!("(and {more} more; -json shows all)"));
            }
        }
        let names = |rows: &[Row<'_>]| rows.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        differ.names(6, "computed", &names(&derived));
        differ.names(6, "known after apply", &names(&later));
        differ.out
    }

    /// What somebody else changed. What this plan puts right is shown there; here it is named.
    fn drift(self, plan: &Plan, out: &mut Vec<String>) {
        if plan.drift.is_empty() {
            return;
        }
        out.push(self.style.paint(Tone::Change, "Something else has changed these since the last run:"));
        out.push(String::new());
        for drift in &plan.drift {
            let changes = plan.changes.iter().any(|c| c.addr == drift.addr && c.action != Action::NoOp);
            let what = if drift.after.is_none() { "is gone" } else { "has changed" };
            out.push(format!("  # {} {what}", self.style.paint(Tone::Strong, &drift.addr)));
            let mut differ = Differ::new(self.style, Vec::new());
            if changes {
                let mut names: Vec<String> = drift
                    .changed
                    .iter()
                    .filter_map(|p| p.0.first())
                    .map(|s| Path(vec![s.clone()]).to_string())
                    .collect();
                names.dedup();
                differ.names(0, "put right below", &names);
            } else if drift.after.is_some() {
                differ.entries(2, &Path::default(), drift.before.as_ref(), drift.after.as_ref());
            }
            out.extend(differ.out);
        }
        out.push(String::new());
    }

    /// The attributes that name what a deletion takes along.
    fn taken_along(self, change: &Change) -> Vec<Arc<str>> {
        let resource =
            self.registry.resource(&change.addr.resource.ty).filter(|_| change.action == Action::Delete);
        let attributes = resource.into_iter().flat_map(|r| &r.schema().attributes);
        attributes.filter(|(_, a)| a.takes_along).map(|(name, _)| name.clone()).collect()
    }

    /// Where the type is known: with the attributes that only the provider gives.
    fn differ(self, change: &Change, forces: Vec<Path>) -> Differ {
        let resource = self.registry.resource(&change.addr.resource.ty);
        let attributes = || resource.into_iter().flat_map(|r| &r.schema().attributes);
        let mut differ = Differ::new(self.style, forces);
        differ.most_lines = 16;
        let refers = |a: &Attribute| matches!(a.on_change, OnChange::Record | OnChange::ReplaceWhen(_));
        differ.references = attributes().filter(|(_, a)| refers(a)).map(|(name, _)| name.clone()).collect();
        differ.computed =
            attributes().filter(|(_, a)| !a.is_settable() && !a.sensitive).map(|(n, _)| n.clone()).collect();
        differ
    }
}

/// `["a"], ["b"] and 3 more`
fn keys(group: &[&Change]) -> String {
    let all: Vec<String> = group.iter().take(LISTED).map(|c| short(&c.addr)).collect();
    let more = group.len().saturating_sub(LISTED);
    if more == 0 { all.join(", ") } else { format!("{} and {more} more", all.join(", ")) }
}

fn short(addr: &InstanceAddr) -> String {
    match &addr.key {
        InstanceKey::None => addr.to_string(),
        key => key.to_string(),
    }
}

fn headline(action: Action) -> &'static str {
    match action {
        Action::NoOp => "stays as it is",
        Action::Create => "will be created",
        Action::Update => "will be updated in place",
        Action::Replace { create_first: false } => "must be replaced",
        Action::Replace { create_first: true } => "must be replaced (the new one comes first)",
        Action::Delete => "will be destroyed",
        Action::Read => "will be read while applying",
        Action::Forget => "will be forgotten, and left as is",
        Action::Provision => "will be provisioned on",
    }
}

/// Why, in words; `None` where that goes without saying.
#[must_use]
pub fn because(reason: &Reason) -> Option<String> {
    let list = |items: Vec<String>| items.join(", ");
    Some(match reason {
        Reason::Attributes(paths) => {
            format!("{} can't be changed in place", list(paths.iter().map(Path::to_string).collect()))
        }
        Reason::Tainted => "its creation did not finish".into(),
        Reason::Requested => "-replace asks for it".into(),
        Reason::TriggeredBy(what) => {
            format!("{} changes, and replace_triggered_by names it", list(what.clone()))
        }
        Reason::GoneOutside => "it was there and is gone: something else deleted it".into(),
        Reason::Destroy => return None,
        Reason::NotInConfiguration => "its block is no longer in the configuration".into(),
        Reason::ModuleNotInConfiguration => {
            "the instance of its module is no longer in the configuration".into()
        }
        Reason::NoMoveTarget => "it was moved to an address that is not in the configuration".into(),
        Reason::IndexOutOfCount => "its index is not below count".into(),
        Reason::KeyNotInForEach => "its key is not in for_each".into(),
        Reason::RepetitionChanged => "its block has, or no longer has, count or for_each".into(),
        Reason::Deposed => "a new object took its place, and an earlier run did not get to destroy it".into(),
        Reason::Abandoned => "an earlier run began to create it, and it is not wanted any more".into(),
        Reason::AbandonedFound => "found: left by an interrupted run, will be deleted".into(),
        Reason::Resumed => "an interrupted run began to create it; this one goes on".into(),
        Reason::ResumedFound => "found: left by an interrupted run, will be adopted".into(),
        Reason::Supplants => "found: another one, left by an interrupted run, will be deleted first".into(),
        Reason::StepsLeft { done, of } => {
            format!("{done} of the {of} steps after its creation are done: an earlier run stopped there")
        }
        Reason::ArgumentsUnknown => "its arguments are known only then".into(),
        Reason::DependenciesChange => "what it depends on changes first".into(),
    })
}

/// Whether applying it would change anything that people care for: not so where it only brings the state's records up to date.
#[must_use]
pub fn changes(plan: &Plan) -> bool {
    plan.changes.iter().any(is_shown)
        || !plan.open.is_empty()
        || plan.outputs.values().any(|o| o.action != Action::NoOp)
        || !plan.moves.is_empty()
}

fn outputs(all: &BTreeMap<std::sync::Arc<str>, OutputChange>, style: Style, out: &mut Vec<String>) {
    let changed: Vec<_> = all.iter().filter(|(_, o)| o.action != Action::NoOp).collect();
    if changed.is_empty() {
        return;
    }
    out.push(style.paint(Tone::Strong, "Outputs:"));
    let hide = |value: &Option<Value>, sensitive: bool| {
        value.as_ref().map(|v| if sensitive { v.clone().sensitive() } else { v.clone() })
    };
    let side = |pick: &dyn Fn(&OutputChange) -> Option<Value>| {
        Value::object(changed.iter().filter_map(|(name, o)| Some(((*name).clone(), pick(o)?))))
    };
    let before = side(&|o| hide(&o.before, o.sensitive));
    let after = side(&|o| hide(&o.after, o.sensitive));
    let mut differ = Differ::new(style, Vec::new());
    // Not at the root: an output called "name" is like any other.
    differ.entries(2, &Path::attr("output"), Some(&before), Some(&after));
    out.extend(differ.out);
    out.push(String::new());
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
