//! How much may go on at once: `-limit NAME=N`, over `limits` in the plan folder's `grappe.hcl`.
//!
//! That file is grappe's own. Terraform reads `*.tf` and `*.tfvars` and would refuse what it does not know in them; a file of another name it leaves alone, so a
//! folder stays valid for both.

use std::path::Path;

use grappe_diag::{Diagnostic, Diagnostics, Sources, Span};
use grappe_engine::LimitOf;
use grappe_lang::parse_tfvars;
use grappe_provider::Registry;

/// The settings of a plan folder that Terraform does not know.
pub(crate) const FILE: &str = "grappe.hcl";

/// The limits of a run, the stronger ones later. Says all that is wrong with them.
pub(crate) fn gather(
    given: &[String],
    registry: &Registry,
    dir: &Path,
    sources: &mut Sources,
) -> (Vec<(LimitOf, usize)>, Diagnostics) {
    let mut found = Diagnostics::new();
    let mut limits = Vec::new();
    let mut add = |name: &str, max: Option<usize>, span: Option<Span>, found: &mut Diagnostics| {
        let place = |diagnostic: Diagnostic| match span {
            Some(span) => diagnostic.span(span),
            None => diagnostic,
        };
        let Some(max) = max.filter(|max| *max > 0) else {
            found.push(place(
                Diagnostic::error("Invalid limit")
                    .detail(format!("The limit of {name:?} is not a whole number from 1 on.")),
            ));
            return;
        };
        match LimitOf::parse(name, registry) {
            Ok(of) => limits.push((of, max)),
            Err((why, meant)) => {
                let hint = match meant {
                    Some(meant) => format!("did you mean {meant:?}?"),
                    None => "name a provider (openstack, or openstack.west for one of its blocks), a type, or an address (module.workers)".into(),
                };
                found.push(place(Diagnostic::error("Invalid limit").detail(format!("{why}.")).hint(hint)));
            }
        }
    };
    for (name, max, span) in file(dir, sources, &mut found) {
        add(&name, max, Some(span), &mut found);
    }
    for text in given {
        // Keys of instances may have an "=" in them.
        match text.rsplit_once('=') {
            Some((name, max)) => add(name.trim(), max.trim().parse().ok(), None, &mut found),
            None => found.push(
                Diagnostic::error("Invalid limit")
                    .detail(format!("-limit {text:?} has no \"=\"."))
                    .hint("write -limit NAME=N"),
            ),
        }
    }
    (limits, found)
}

/// What the file says: names, how many, and where.
fn file(dir: &Path, sources: &mut Sources, found: &mut Diagnostics) -> Vec<(String, Option<usize>, Span)> {
    let text = match std::fs::read_to_string(dir.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            found.push(
                Diagnostic::error("Unreadable settings").detail(format!("{FILE} can't be read: {error}.")),
            );
            return Vec::new();
        }
    };
    let (values, wrong) = parse_tfvars(sources, FILE, &text);
    found.extend(wrong);
    let mut limits = Vec::new();
    for (name, (value, span)) in values {
        match value.as_entries() {
            Some(entries) if &*name == "limits" => {
                let number = |value: &grappe_value::Value| value.as_number()?.as_usize();
                limits.extend(entries.iter().map(|(of, max)| (of.to_string(), number(max), span)));
            }
            _ => found.push(
                Diagnostic::error("Unknown setting")
                    .detail(format!("{FILE} has {name}, which is not a setting of grappe in this form."))
                    .hint("it holds limits = { NAME = N, … }")
                    .span(span),
            ),
        }
    }
    limits
}
