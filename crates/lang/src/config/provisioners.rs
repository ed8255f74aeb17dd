//! `provisioner` and `connection`: what is done once an object exists, or before it goes.

use std::sync::Arc;

use grappe_diag::{Diagnostic, Diagnostics, Span};

use super::blocks;
use super::fields::{Fields, unquote};
use crate::syntax::{RawAttribute, RawBlock};
use crate::{Body, Reference, Subject};

/// What is done beside creating and deleting an object, in the order written.
#[derive(Clone, Debug, Default)]
pub struct Provisioners {
    /// `provisioner` blocks.
    pub steps: Vec<Provisioner>,
    /// `connection`: for all of them.
    pub connection: Option<Body>,
}

/// A `provisioner` block.
#[derive(Clone, Debug)]
pub struct Provisioner {
    /// `local-exec`, `remote-exec`, `file`, …
    pub ty: Arc<str>,
    /// When it runs.
    pub when: When,
    /// Whether all goes on where it fails.
    pub continues: bool,
    /// Its own `connection`: argument by argument before that of the resource.
    pub connection: Option<Body>,
    /// All else.
    pub body: Body,
    /// The head of the block.
    pub span: Span,
}

/// When a provisioner runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After the object was created.
    Create,
    /// Before it is deleted.
    Destroy,
}

impl Provisioners {
    /// Those of one time.
    pub fn at(&self, when: When) -> impl Iterator<Item = &Provisioner> {
        self.steps.iter().filter(move |step| step.when == when)
    }

    /// What those of one time refer to, with what reaches their host.
    pub fn references(&self, when: When) -> impl Iterator<Item = &Reference> {
        let own = self.at(when).flat_map(|step| {
            step.body.references().iter().chain(step.connection.iter().flat_map(Body::references))
        });
        let shared = self.connection.iter().filter(move |_| self.at(when).next().is_some());
        own.chain(shared.flat_map(Body::references))
    }
}

/// Takes the `provisioner` and `connection` blocks of a block.
pub(super) fn read(fields: &mut Fields, diags: &mut Diagnostics) -> Provisioners {
    let blocks = fields.take_blocks("provisioner", diags);
    let steps = blocks.into_iter().filter_map(|block| provisioner(block, diags)).collect();
    let provisioners = Provisioners { steps, connection: connection(fields, diags) };
    for reference in provisioners.references(When::Destroy) {
        let allowed = match &reference.subject {
            Subject::SelfValue | Subject::Count | Subject::Path | Subject::Terraform => true,
            Subject::Each => {
                matches!(reference.steps.first(), Some(crate::RefStep::Attr(name)) if &**name == "key")
            }
            _ => false,
        };
        if !allowed {
            diags.push(
                Diagnostic::error("Invalid reference from destroy provisioner")
                    .detail(
                        "Destroy-time provisioners and their connection configurations may only reference attributes of the related \
                         resource, via 'self', 'count.index', or 'each.key'. What else there is may be gone by then.",
                    )
                    .hint("keep what is needed in an argument of the resource (triggers, input) and take it from self")
                    .span(reference.span),
            );
        }
    }
    provisioners
}

fn connection(fields: &mut Fields, diags: &mut Diagnostics) -> Option<Body> {
    fields.take_block("connection", diags).map(|block| Body::new(block.body, &[], diags))
}

fn provisioner(block: RawBlock, diags: &mut Diagnostics) -> Option<Provisioner> {
    let [ty] = blocks::labels_of(&block, ["type"], diags)?;
    let mut fields = Fields::new(block);
    let span = fields.head;
    let when = keyword(&mut fields, "when", [("create", When::Create), ("destroy", When::Destroy)], diags);
    let continues = keyword(&mut fields, "on_failure", [("fail", false), ("continue", true)], diags);
    let connection = connection(&mut fields, diags);
    let body = Body::new(fields.body, &[], diags);
    Some(Provisioner {
        ty: ty.name,
        when: when.unwrap_or(When::Create),
        continues: continues.unwrap_or(false),
        connection,
        body,
        span,
    })
}

/// An argument that is one of two words, quoted or not.
fn keyword<T: Copy>(
    fields: &mut Fields,
    name: &str,
    words: [(&str, T); 2],
    diags: &mut Diagnostics,
) -> Option<T> {
    let attribute: RawAttribute = fields.take(name)?;
    let node = unquote(attribute.as_static());
    let found = node.keyword().and_then(|k| words.iter().find(|(word, _)| *word == &**k));
    if found.is_none() {
        diags.push(
            Diagnostic::error(format!("Invalid \"{name}\" keyword"))
                .detail(format!(
                    "The \"{name}\" argument requires one of the following keywords: {} or {}.",
                    words[0].0, words[1].0
                ))
                .span(node.span),
        );
    }
    found.map(|(_, what)| *what)
}
