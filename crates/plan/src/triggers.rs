//! `replace_triggered_by`: what changes in one object and asks for the replacement of another.

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_lang::{RefStep, Reference, Subject};
use grappe_value::addr::Mode;
use grappe_value::{Path, Step, Value};

use crate::decide::Verdict;
use crate::decided::Managed;
use crate::diff::get;
use crate::planner::Planner;
use crate::references::instance_key;
use crate::statics::Block;
use crate::walk::{At, NodeId, Walk};
use crate::waves::Earlier;

impl Planner<'_> {
    /// What of `replace_triggered_by` changes.
    pub(crate) fn triggers(
        &self,
        walk: &Walk<'_>,
        at: &At<'_>,
        deps: &mut Vec<NodeId>,
        found: &mut Diagnostics,
    ) -> Vec<String> {
        let mut fired = Vec::new();
        let choice = &at.resource.lifecycle.replace_triggered_by;
        for reference in walk.choice(choice, "replace_triggered_by", &at.frame, found) {
            match self.trigger(walk, at, reference, deps) {
                Ok(changes) => fired.extend(changes.then(|| reference.subject.to_string())),
                Err(wrong) => found.extend(wrong),
            }
        }
        fired
    }

    fn trigger(
        &self,
        walk: &Walk<'_>,
        at: &At<'_>,
        reference: &Reference,
        deps: &mut Vec<NodeId>,
    ) -> Result<bool, Diagnostics> {
        let refuse = |detail: String| {
            Diagnostic::error("Invalid replace_triggered_by expression").detail(detail).span(reference.span)
        };
        let Subject::Resource { mode: Mode::Managed, ty, name } = &reference.subject else {
            let detail = "Only resources, instances and attributes of resources can trigger a replacement.";
            return Err(refuse(detail.into()).into());
        };
        let module = &walk.modules[at.frame.module];
        let block = walk.statics.block(module.module, &reference.subject);
        let Some(Block::Resource(_, i)) = block else {
            let detail = format!("A managed resource {ty:?} {name:?} has not been declared.");
            return Err(refuse(detail).into());
        };
        let Some(instances) = &module.resources[i] else { return Ok(false) };
        if instances.keys.is_none() {
            deps.extend(instances.whole);
        }
        let mut steps = &reference.steps[..];
        let nodes = match (steps.first(), &instances.keys) {
            (Some(RefStep::Index(index)), Some(keys)) => {
                steps = &steps[1..];
                let made = walk.eval(&at.frame, |scope| index.eval(scope));
                let Some(index) = made.value else { return Err(made.found) };
                let key = instance_key(&index);
                let position = key.and_then(|key| keys.position(&key));
                match position.and_then(|at| instances.nodes.get(at)) {
                    Some(node) => vec![*node],
                    None => return Err(refuse(format!("{ty}.{name} has no instance [{index:?}].")).into()),
                }
            }
            _ => instances.nodes.clone(),
        };
        let mut path = Path::default();
        for step in steps {
            match step {
                RefStep::Attr(attr) => path = path.then(Step::Attr(attr.clone())),
                RefStep::Index(index) => {
                    let made = walk.eval(&at.frame, |scope| index.eval(scope));
                    let Some(index) = made.value else { return Err(made.found) };
                    match (index.as_str(), index.as_number().and_then(grappe_value::Number::as_usize)) {
                        (Some(key), _) => path = path.then(Step::Key(key.into())),
                        (_, Some(n)) => path = path.then(Step::Index(n)),
                        _ => return Err(refuse("An index is a string or a whole number.".into()).into()),
                    }
                }
                RefStep::Splat => break,
            }
        }
        deps.extend(&nodes);
        let earlier = &self.input.options.earlier;
        Ok(nodes.iter().filter_map(|n| self.at_node(*n)).any(|decided| {
            let Some(managed) = decided.managed() else { return false };
            match earlier.get(&decided.addr) {
                // A wave of this apply changed it already.
                Some(Earlier { before: Some(before) }) => {
                    differ(Some(before), managed.prior.value().unwrap_or(&managed.planned), &path)
                }
                Some(_) => false,
                None => changes_at(managed, &path),
            }
        }))
    }
}

/// Whether an object, or its part at a path, changes. One that is new changes nothing for those that are there already.
fn changes_at(managed: &Managed<'_>, path: &Path) -> bool {
    match &managed.verdict {
        Verdict::NoOp | Verdict::Record | Verdict::Create => false,
        Verdict::Update | Verdict::Replace(_) => differ(managed.prior.value(), &managed.planned, path),
    }
}

/// Whether a change of an object is one of its part at a path.
fn differ(before: Option<&Value>, after: &Value, path: &Path) -> bool {
    if path.0.is_empty() {
        return true;
    }
    match (before.and_then(|v| get(v, &path.0)), get(after, &path.0)) {
        (Some(before), Some(after)) => !before.same(after),
        (None, None) => false,
        _ => true,
    }
}
