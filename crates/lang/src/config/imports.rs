//! `import`: what exists already and is taken into the state.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::addr::Mode;

use super::fields::Fields;
use super::{Module, ProviderUse, blocks, meta};
use crate::Expr;
use crate::expr::{Node, NodeKind, Step};
use crate::syntax::RawBlock;

/// An `import` block of the root module.
#[derive(Clone, Debug)]
pub struct Import {
    /// Where it goes: the names of the address, each with its key, which may be made of `each`. A module's name follows the name `module`.
    pub to: Vec<(Arc<str>, Option<Expr>)>,
    /// What the provider knows it by.
    pub id: Expr,
    /// Once for each of these.
    pub for_each: Option<Expr>,
    /// With whose client, where the block of the resource does not say.
    pub provider: Option<ProviderUse>,
    /// The address.
    pub to_span: Span,
    /// The head of the block.
    pub span: Span,
}

/// `import { to = …  id = … }`
pub(super) fn import(block: RawBlock, module: &mut Module, diags: &mut Diagnostics) {
    if blocks::labels(&block, [], diags).is_none() {
        return;
    }
    let mut fields = Fields::new(block);
    let span = fields.head;
    if !module.path.is_empty() {
        diags.push(
            Diagnostic::error("Invalid import configuration")
                .detail("An import block was found in a child module. Import blocks are only allowed in the root module.")
                .span(span),
        );
        return;
    }
    let to = fields.required("to", diags).map(|a| a.as_static());
    let id = fields.required("id", diags).map(|a| Expr::new(a.value, &[], diags));
    let for_each = fields.expr("for_each", diags);
    let provider = meta::provider(&mut fields, diags);
    fields.finish(&["to", "id", "for_each", "provider"], diags);
    let (Some(to), Some(id)) = (to, id) else { return };
    let to_span = to.span;
    let Some(to) = address(&to, diags) else {
        diags.push(
            Diagnostic::error("Invalid import address")
                .detail("An address of one resource instance is required here: TYPE.NAME, TYPE.NAME[KEY], with module.NAME before it where it stands in one.")
                .span(to_span),
        );
        return;
    };
    module.imports.push(Import { to, id, for_each, provider, to_span, span });
}

impl Import {
    /// The type and the name of what it imports to, where that stands in the root module and has no block there.
    fn homeless(&self, root: &Module) -> Option<(Arc<str>, Arc<str>)> {
        let [(ty, _), (name, _)] = &self.to[..] else { return None };
        let key = (Mode::Managed, ty.clone(), name.clone());
        (!root.resources.contains_key(&key)).then(|| (ty.clone(), name.clone()))
    }
}

impl Module {
    /// Puts empty blocks in the place of those that `import` blocks miss in the root module, for a plan that only finds out what they would hold.
    ///
    /// # Errors
    /// Where an import is of one instance among several.
    pub fn stand_in(&mut self) -> Result<(), Diagnostics> {
        let mut found = Diagnostics::new();
        for import in self.imports.clone() {
            let Some((ty, name)) = import.homeless(self) else { continue };
            if import.for_each.is_some() || import.to.iter().any(|(_, key)| key.is_some()) {
                found.push(
                    Diagnostic::error("Configuration for import target does not exist")
                        .detail("No block can be generated for one of several instances: where an import or its resource has for_each or count.")
                        .hint("write the block first")
                        .span(import.to_span),
                );
                continue;
            }
            let resource = super::Resource::stand_in(ty.clone(), name.clone(), &import);
            self.resources.insert((Mode::Managed, ty, name), Arc::new(resource));
        }
        found.into_result(()).map(|((), _)| ())
    }
}

/// Says where the resource in a module that something is imported to does not exist. For those of the root module, blocks can be generated.
pub(super) fn check(root: &Module, diags: &mut Diagnostics) {
    for import in &root.imports {
        let names: Vec<&Arc<str>> = import.to.iter().map(|(name, _)| name).collect();
        let mut at = root;
        let mut rest = &names[..];
        while let [first, call, after @ ..] = rest
            && &***first == "module"
        {
            let Some(found) = at.calls.get(*call) else { break };
            (at, rest) = (&found.module, after);
        }
        let known = match rest {
            _ if names.len() == 2 => true,
            [ty, name] => at.resources.contains_key(&(Mode::Managed, (*ty).clone(), (*name).clone())),
            _ => false,
        };
        if !known {
            diags.push(
                Diagnostic::error("Configuration for import target does not exist")
                    .detail("There is no resource block at the address that this imports to.")
                    .hint("write the block first: what is imported is planned like what is there already")
                    .span(import.to_span),
            );
        }
    }
}

fn address(node: &Node, diags: &mut Diagnostics) -> Option<Vec<(Arc<str>, Option<Expr>)>> {
    let NodeKind::Traverse(base, steps) = &node.kind else { return None };
    let mut out = vec![(base.keyword()?.clone(), None)];
    for step in steps {
        match step {
            Step::Attr(name, _) => out.push((name.clone(), None)),
            Step::Index(index, _) => match out.last_mut() {
                Some((_, key @ None)) => *key = Some(Expr::new(index.clone(), &[], diags)),
                _ => return None,
            },
            Step::Splat(..) => return None,
        }
    }
    // `data` has two names after it as well: it is no managed resource.
    let own = out.iter().rposition(|(name, _)| &**name == "module").map_or(0, |at| at + 2);
    (out.len() == own + 2 && out[own].1.is_none()).then_some(out)
}
