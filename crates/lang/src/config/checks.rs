//! `check`: what is asserted of the whole, and only warns.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_value::addr::Mode;

use super::fields::Fields;
use super::{Check, Module, blocks, meta};
use crate::syntax::RawBlock;

/// A `check` block. What it reads for itself alone is among the module's resources, with [`super::Resource::scope`].
#[derive(Clone, Debug)]
pub struct CheckBlock {
    /// Its name.
    pub name: Arc<str>,
    /// `assert` blocks.
    pub asserts: Vec<Check>,
    /// The head of the block.
    pub span: Span,
}

/// `check "name" { data … { … }  assert { … } }`
pub(super) fn check(block: RawBlock, module: &mut Module, diags: &mut Diagnostics) {
    let Some([name]) = blocks::labels(&block, ["name"], diags) else { return };
    let name = name.name;
    let mut fields = Fields::new(block);
    let span = fields.head;
    if let Some(data) = fields.take_block("data", diags) {
        blocks::resource(data, Mode::Data, Some(&name), module, diags);
    }
    let asserts = fields.take_blocks("assert", diags);
    let asserts = meta::checks(asserts, "assert", diags);
    // One that checks nothing is none.
    let none = asserts.iter().all(|assert| assert.condition.references().is_empty());
    fields.finish(&["data", "assert"], diags);
    if none {
        diags.push(
            Diagnostic::error("Zero assert blocks")
                .detail("Check blocks must have at least one assert block.")
                .span(span),
        );
    }
    let check = CheckBlock { name: name.clone(), asserts, span };
    blocks::add(&mut module.checks, name, check, "check block", span, |c| c.span, diags);
}
