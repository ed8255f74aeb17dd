//! Diagnostics for machines, in the shape of `terraform validate -json`.

use serde_json::{Value, json};

use crate::{Diagnostic, Severity, Sources, Span};

/// One diagnostic: `severity`, `summary`, `detail`, and where known `address`, `range` and `snippet`. The hint stands at the end of the detail.
#[must_use]
pub fn to_json(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    to_json_in(diagnostic, sources, &|_, _| None)
}

/// Names what a place of a text stands in, as `snippet.context` does: `resource "a" "b"`.
pub type Context<'c> = &'c dyn Fn(&str, usize) -> Option<String>;

fn to_json_in(diagnostic: &Diagnostic, sources: &Sources, context: Context<'_>) -> Value {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut detail = diagnostic.detail.clone();
    if let Some(hint) = &diagnostic.hint {
        if !detail.is_empty() {
            detail.push('\n');
        }
        detail.push_str("Help: ");
        detail.push_str(hint);
    }
    let mut out = json!({ "severity": severity, "summary": diagnostic.summary, "detail": detail });
    if let Some(address) = &diagnostic.address {
        out["address"] = address.as_str().into();
    }
    if let Some((range, snippet)) = diagnostic.span.and_then(|span| range_and_snippet(span, sources, context))
    {
        out["range"] = range;
        out["snippet"] = snippet;
    }
    out
}

/// All of them as `terraform validate -json` answers: `valid`, counts, `diagnostics`.
#[must_use]
pub fn list_to_json<'a>(
    diagnostics: impl IntoIterator<Item = &'a Diagnostic>,
    sources: &Sources,
    context: Context<'_>,
) -> Value {
    let (mut errors, mut warnings, mut list) = (0, 0, Vec::new());
    for diagnostic in diagnostics {
        match diagnostic.severity {
            Severity::Error => errors += 1,
            Severity::Warning => warnings += 1,
        }
        list.push(to_json_in(diagnostic, sources, context));
    }
    json!({
        "format_version": "1.0",
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": warnings,
        "diagnostics": list,
    })
}

fn range_and_snippet(span: Span, sources: &Sources, context: Context<'_>) -> Option<(Value, Value)> {
    let source = sources.get(span.source)?;
    let (start, end) = sources.positions(span)?;
    let place = |p: crate::Position, byte| json!({ "line": p.line, "column": p.column, "byte": byte });
    let range =
        json!({ "filename": &*source.name, "start": place(start, span.start), "end": place(end, span.end) });
    // The code is whole lines; the offsets count bytes inside it.
    let from = source.text[..(span.start as usize).min(source.text.len())].rfind('\n').map_or(0, |i| i + 1);
    let until = (span.end as usize).max(from).min(source.text.len());
    let until = source.text[until..].find('\n').map_or(source.text.len(), |i| until + i);
    let snippet = json!({
        "context": context(&source.text, span.start as usize),
        "code": &source.text[from..until],
        "start_line": start.line,
        "highlight_start_offset": span.start as usize - from,
        "highlight_end_offset": span.end as usize - from,
        "values": [],
    });
    Some((range, snippet))
}
