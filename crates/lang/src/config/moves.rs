//! `moved` and `removed`: what became of addresses that the configuration does not have any more.

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::addr::{InstanceKey, Mode, Target};

use super::fields::Fields;
use super::provisioners::{Provisioners, When};
use super::{Module, blocks, provisioners};
use crate::expr::{Node, NodeKind, Step};
use crate::syntax::RawBlock;

/// A `moved` block.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Where the object was, seen from the module that the block stands in.
    pub from: Target,
    /// Where it is.
    pub to: Target,
    /// The head of the block.
    pub span: Span,
}

/// A `removed` block.
#[derive(Clone, Debug)]
pub struct Removed {
    /// What is not in the configuration any more: a resource or a module, with all its instances.
    pub from: Target,
    /// Whether its objects are deleted, or only forgotten.
    pub destroy: bool,
    /// What is done before they are deleted.
    pub provisioners: Provisioners,
    /// The head of the block.
    pub span: Span,
}

/// `moved { from = …  to = … }`
pub(super) fn moved(block: RawBlock, module: &mut Module, diags: &mut Diagnostics) {
    if blocks::labels(&block, [], diags).is_none() {
        return;
    }
    let mut fields = Fields::new(block);
    let span = fields.head;
    let from = fields.required("from", diags).map(|a| a.as_static());
    let to = fields.required("to", diags).map(|a| a.as_static());
    fields.finish(&["from", "to"], diags);
    let mut read = |node: Option<Node>| address(&node?, true, diags);
    let (Some(from), Some(to)) = (read(from), read(to)) else { return };
    let is_module = |target: &Target| matches!(target, Target::Module(_));
    if is_module(&from) != is_module(&to) {
        diags.push(
            Diagnostic::error("Invalid \"moved\" addresses")
                .detail("The \"moved\" block's \"from\" and \"to\" addresses must either both refer to resources or both refer to modules.")
                .span(span),
        );
        return;
    }
    module.moved.push(Moved { from, to, span });
}

/// `removed { from = …  lifecycle { destroy = false } }`
pub(super) fn removed(block: RawBlock, module: &mut Module, diags: &mut Diagnostics) {
    if blocks::labels(&block, [], diags).is_none() {
        return;
    }
    let mut fields = Fields::new(block);
    let span = fields.head;
    let from = fields.required("from", diags).map(|a| a.as_static());
    let mut destroy = true;
    if let Some(lifecycle) = fields.take_block("lifecycle", diags) {
        let mut lifecycle = Fields::new(lifecycle);
        destroy = lifecycle.flag("destroy", true, diags);
        lifecycle.finish(&["destroy"], diags);
    }
    let provisioners = provisioners::read(&mut fields, diags);
    for step in provisioners.at(When::Create) {
        diags.push(
            Diagnostic::error("Invalid provisioner block")
                .detail("Only destroy-time provisioners are valid in \"removed\" blocks.")
                .hint("to declare a destroy-time provisioner, write when = destroy")
                .span(step.span),
        );
    }
    fields.finish(&["from", "lifecycle", "provisioner", "connection"], diags);
    let Some(from) = from else { return };
    let place = from.span;
    let Some(from) = address(&from, false, diags) else { return };
    let keyed =
        |path: &grappe_value::addr::ModuleAddr| path.0.iter().any(|(_, key)| *key != InstanceKey::None);
    let what = match &from {
        Target::Instance(_) => Some("Resource instance"),
        Target::Resource(resource) if keyed(&resource.module) => Some("Module instance"),
        Target::Module(path) if keyed(path) => Some("Module instance"),
        _ => None,
    };
    if let Some(what) = what {
        diags.push(
            Diagnostic::error(format!("{what} keys not allowed"))
                .detail("The \"from\" address of a \"removed\" block must be that of a whole resource or module, without instance keys.")
                .hint("to forget or destroy single instances, change count or for_each, or use \"grappe state rm\"")
                .span(place),
        );
        return;
    }
    module.removed.push(Removed { from, destroy, provisioners, span });
}

/// An address, as it stands in an expression: `module.a[0].type.name["key"]`, of a data source where `data` allows it. Says what is wrong with it.
pub(super) fn address(node: &Node, data: bool, diags: &mut Diagnostics) -> Option<Target> {
    // Broken, and reported.
    if node.literal().is_some_and(grappe_value::Value::is_unknown) {
        return None;
    }
    let refuse = |detail: String| Diagnostic::error("Invalid address").detail(detail).span(node.span);
    let found = match text(node).as_deref().map(|text| text.strip_prefix("resource.").unwrap_or(text)) {
        None => Err(refuse(
            "An address is required here: a resource (TYPE.NAME) or a module (module.NAME), with constant keys where one instance is meant.".into(),
        )),
        Some(text) => text.parse::<Target>().map_err(|wrong| refuse(format!("{wrong}."))),
    };
    let target = diags.keep(found)?;
    let mode = match &target {
        Target::Resource(resource) => resource.mode,
        Target::Instance(instance) => instance.resource.mode,
        Target::Module(_) => Mode::Managed,
    };
    if mode == Mode::Ephemeral {
        diags.push(
            Diagnostic::error("Ephemeral resource address not allowed")
                .detail("Ephemeral resources are in no state, so there is nothing to move or remove.")
                .span(node.span),
        );
        return None;
    }
    if mode == Mode::Data && !data {
        diags.push(
            Diagnostic::error("Data source address not allowed")
                .detail("Data sources are never destroyed, so they are not valid targets here.")
                .hint("to remove a data source, remove its block from the configuration")
                .span(node.span),
        );
        return None;
    }
    Some(target)
}

fn text(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Name(name) => Some(name.to_string()),
        NodeKind::Traverse(base, steps) => {
            let mut text = base.keyword()?.to_string();
            for step in steps {
                match step {
                    Step::Attr(name, _) => text.push_str(&format!(".{name}")),
                    Step::Index(index, _) => {
                        let value = index.literal()?;
                        let key = match (
                            value.as_str(),
                            value.as_number().and_then(grappe_value::Number::as_usize),
                        ) {
                            (Some(key), _) => InstanceKey::Str(key.into()),
                            (_, Some(n)) => InstanceKey::Int(n as u64),
                            _ => return None,
                        };
                        text.push_str(&key.to_string());
                    }
                    Step::Splat(..) => return None,
                }
            }
            Some(text)
        }
        _ => None,
    }
}
