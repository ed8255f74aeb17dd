//! References as text names them, where evaluating does not tell all.

use grappe_lang::{RefStep, Reference, Subject};
use grappe_value::addr::InstanceKey;
use grappe_value::{Kind, Value};

use crate::statics::Block;
use crate::walk::{Frame, NodeId, Walk};

/// A key as an index gives it.
pub(crate) fn instance_key(index: &Value) -> Option<InstanceKey> {
    match index.kind() {
        Kind::String(s) => Some(InstanceKey::Str(s.clone())),
        Kind::Number(n) => n.as_i64().and_then(|n| u64::try_from(n).ok()).map(InstanceKey::Int),
        _ => None,
    }
}

impl Walk<'_> {
    /// The nodes that references name, where evaluating may not have come by all of them: what is unknown may still ask for more when it is known.
    pub(crate) fn add_static(&self, frame: &Frame, references: &[Reference], deps: &mut Vec<NodeId>) {
        let module = &self.modules[frame.module];
        for reference in references {
            match self.statics.block(module.module, &reference.subject) {
                Some(Block::Variable(_, i)) => deps.extend(module.variables[i]),
                Some(Block::Local(_, i)) => deps.extend(module.locals[i]),
                Some(Block::Resource(_, i)) => {
                    let Some(instances) = &module.resources[i] else { continue };
                    let position = match (reference.steps.first(), &instances.keys) {
                        (Some(RefStep::Index(index)), Some(keys)) => {
                            let made = self.eval(frame, |scope| index.eval(scope));
                            made.value.and_then(|v| keys.position(&instance_key(&v)?))
                        }
                        _ => None,
                    };
                    match position.and_then(|at| instances.nodes.get(at)) {
                        Some(node) => deps.push(*node),
                        None => deps.extend(instances.whole),
                    }
                }
                Some(Block::Outputs(child) | Block::Output(child, _)) => {
                    self.add_outputs(frame, child, reference, deps);
                }
                _ => {}
            }
        }
    }

    fn add_outputs(&self, frame: &Frame, child: usize, reference: &Reference, deps: &mut Vec<NodeId>) {
        let Some((_, call)) = self.statics.modules[child].parent else { return };
        let Some(calls) = &self.modules[frame.module].calls[call] else { return };
        let Subject::Module { output: Some(output), .. } = &reference.subject else {
            deps.extend(calls.whole);
            return;
        };
        let Some(i) = self.statics.modules[child].config.outputs.get_index_of(&**output) else { return };
        let position = match (reference.steps.first(), &calls.keys) {
            (Some(RefStep::Index(index)), Some(keys)) => {
                let made = self.eval(frame, |scope| index.eval(scope));
                made.value.and_then(|v| keys.position(&instance_key(&v)?))
            }
            _ => None,
        };
        if calls.keys.is_none() {
            deps.extend(calls.whole);
        }
        for (at, instance) in calls.instances.iter().enumerate() {
            if position.is_none_or(|p| p == at) {
                deps.extend(self.modules[*instance].outputs[i]);
            }
        }
    }
}
