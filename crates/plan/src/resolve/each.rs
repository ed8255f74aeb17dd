//! `each.value` while applying. Which keys there are was known when the plan was made; what stands behind a key may have been an address that a machine
//! gets. It is no node of the walk, so it is evaluated again here, before what uses it is.

use grappe_diag::Diagnostics;
use grappe_lang::Expr;
use grappe_value::Value;
use grappe_value::addr::{InstanceAddr, InstanceKey};

use super::Resolver;
use crate::expand::Keys;
use crate::walk::{Frame, NodeId, What};

impl<'a> Resolver<'a> {
    /// Makes `each.value` of a resource's instance what it is by now.
    pub(super) fn refresh_each(&mut self, addr: &InstanceAddr) -> Result<(), Diagnostics> {
        let (Some(node), Some(resource)) = (self.nodes.get(addr).copied(), self.resource(addr)) else {
            return Ok(());
        };
        let (What::Instance(mi, i, at), Some(for_each)) = (self.walk.node(node).what, &resource.for_each)
        else {
            return Ok(());
        };
        let open = |keys: &Keys| match keys {
            Keys::Each(entries) => {
                entries.get(at).filter(|(_, v)| !v.is_wholly_known()).map(|(k, _)| k.clone())
            }
            _ => None,
        };
        let keys = self.walk.modules[mi].resources[i].as_ref().and_then(|r| r.keys.as_ref());
        let Some(key) = keys.and_then(open) else { return Ok(()) };
        let Some(value) = self.behind(for_each, &key, mi, node)? else { return Ok(()) };
        let keys = self.walk.modules[mi].resources[i].as_mut().and_then(|r| r.keys.as_mut());
        if let Some(entry) = keys.and_then(|keys| match keys {
            Keys::Each(entries) => entries.get_mut(at),
            _ => None,
        }) {
            entry.1 = value;
        }
        Ok(())
    }

    /// The same for the instance of a module that a variable belongs to.
    pub(super) fn refresh_module_each(&mut self, mi: usize, variable: NodeId) -> Result<(), Diagnostics> {
        let instance = &self.walk.modules[mi];
        let open = instance.each.as_ref().is_some_and(|(_, value)| !value.is_wholly_known());
        let (true, Some(parent)) = (open, instance.parent) else { return Ok(()) };
        let key = match instance.addr.0.last().map(|(_, key)| key) {
            Some(InstanceKey::Str(key)) => key.clone(),
            _ => return Ok(()),
        };
        let for_each = self.walk.statics.call(instance.module).and_then(|call| call.for_each.as_ref());
        let Some(for_each) = for_each else { return Ok(()) };
        let Some(value) = self.behind(for_each, &key, parent, variable)? else { return Ok(()) };
        if let Some(each) = &mut self.walk.modules[mi].each {
            each.1 = value;
        }
        Ok(())
    }

    /// What a `for_each` has behind a key by now, seen from before a node.
    fn behind(
        &mut self,
        for_each: &Expr,
        key: &str,
        module: usize,
        before: NodeId,
    ) -> Result<Option<Value>, Diagnostics> {
        let frame = Frame { limit: Some(before), ..self.walk.frame(module) };
        loop {
            let made = self.walk.eval(&frame, |scope| for_each.eval(scope));
            let stale = self.unsettled(&made.deps);
            if stale.is_empty() {
                return match made.found.has_errors() {
                    true => Err(made.found),
                    // A set's element is its own key.
                    false => Ok(made.value.and_then(|value| value.as_entries()?.get(key).cloned())),
                };
            }
            self.settle(stale)?;
        }
    }
}
