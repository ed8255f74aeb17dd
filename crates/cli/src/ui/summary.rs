//! How a run ended: the first error on top, then what was done, how long it took and what decided that.

use std::time::Duration;

use grappe_diag::{Diagnostic, Diagnostics, Span};
use grappe_engine::summary::{Counts, Failed};
use grappe_engine::{Failure, Summary};
use grappe_lang::Config;
use grappe_plan::{Plan, PlanMode};
use grappe_value::Path;
use grappe_value::addr::InstanceAddr;

use super::diff::plural;
use super::style::{Style, Tone, duration, wrap};

/// Failures told in full; more are counted.
const TOLD: usize = 5;

/// What failed, each with the place in the configuration that it is about. The first that failed comes first.
#[must_use]
pub fn failures(summary: &Summary, config: &Config) -> Diagnostics {
    let mut out = Diagnostics::new();
    let mut told: Vec<(&Failed, Vec<&str>)> = Vec::new();
    for failed in &summary.errors {
        match told.iter_mut().find(|(first, _)| alike(first, failed)) {
            Some((_, others)) => others.extend(failed.op.as_ref().map(|o| o.addr.as_str())),
            None => told.push((failed, Vec::new())),
        }
    }
    for (failed, others) in told.iter().take(TOLD) {
        let mut found = diagnostics(failed, config);
        if let (Some(first), false) = (found.0.first_mut(), others.is_empty()) {
            let like = format!("It was the same with {}.", others.join(", "));
            first.detail = [first.detail.as_str(), &like].join("\n").trim_start().to_owned();
        }
        out.extend(found);
    }
    if let Some(more) = told.len().checked_sub(TOLD).filter(|n| *n > 0) {
        let others: Vec<&str> = told[TOLD..]
            .iter()
            .filter_map(|(f, _)| f.op.as_ref().map(|o| o.addr.as_str()))
            .take(20)
            .collect();
        out.push(
            Diagnostic::error(format!("{more} more operation{} failed", plural(more)))
                .detail(others.join(", ")),
        );
    }
    out
}

/// Whether two instances of one block failed in the same way: what stands before the first colon names the host.
fn alike(a: &Failed, b: &Failed) -> bool {
    let block = |f: &Failed| f.op.as_ref().map(|o| o.addr.split('[').next().unwrap_or_default().to_owned());
    let what = |f: &Failed| {
        let text = &f.error.summary;
        text.split_once(": ").map_or(text.clone(), |(_, what)| what.to_owned())
    };
    block(a).is_some() && block(a) == block(b) && what(a) == what(b) && a.error.hint == b.error.hint
}

fn diagnostics(failed: &Failed, config: &Config) -> Diagnostics {
    let addr = failed.op.as_ref().map(|o| o.addr.as_str());
    if !failed.error.diagnostics.is_empty() {
        return failed
            .error
            .diagnostics
            .iter()
            .map(|d| match (&d.address, addr) {
                (None, Some(addr)) => d.clone().address(addr),
                _ => d.clone(),
            })
            .collect();
    }
    of_failure(&failed.error, addr, config).into()
}

/// A provider's failure as a diagnostic.
#[must_use]
pub fn of_failure(failure: &Failure, addr: Option<&str>, config: &Config) -> Diagnostic {
    let mut detail: Vec<String> = failure
        .causes
        .iter()
        .filter(|c| !failure.summary.contains(c.as_str()))
        .map(|c| format!("Because: {c}"))
        .collect();
    detail.extend(failure.details.iter().map(|line| format!("| {line}")));
    let mut out = Diagnostic::error(&failure.summary).detail(detail.join("\n"));
    if let Some(addr) = addr {
        out = out.address(addr).span(place(config, addr, failure.attribute.as_deref()));
    }
    match &failure.hint {
        Some(hint) => out.hint(hint),
        None => out,
    }
}

/// Where an object is configured: the argument to blame, or the head of its block.
fn place(config: &Config, addr: &str, attribute: Option<&str>) -> Option<Span> {
    let addr: InstanceAddr = addr.parse().ok()?;
    let mut module = &config.root;
    for (call, _) in addr.resource.module.0.iter() {
        module = &module.calls.get(call)?.module;
    }
    let key = (addr.resource.mode, addr.resource.ty.clone(), addr.resource.name.clone());
    let resource = module.resources.get(&key)?;
    let name = attribute.and_then(|a| a.split(['.', '[']).next());
    name.and_then(|name| resource.body.attr_span(&Path::attr(name))).or(Some(resource.span))
}

/// What was done, by how.
fn did(counts: &Counts) -> String {
    let mut did = vec![
        format!("{} added", counts.created),
        format!("{} changed", counts.updated),
        format!("{} destroyed", counts.deleted),
    ];
    if counts.forgotten > 0 {
        did.push(format!("{} forgotten", counts.forgotten));
    }
    did.join(", ")
}

/// What several waves did together.
#[must_use]
pub fn in_waves(number: usize, counts: &Counts) -> String {
    format!("In {number} waves: {}.", did(counts))
}

/// The end of an apply or a destroy. `planning` is what came before it.
#[must_use]
pub fn render(summary: &Summary, plan: &Plan, planning: Duration, style: Style) -> Vec<String> {
    let (what, undone) = match plan.mode {
        PlanMode::Normal if !plan.open.is_empty() => ("Wave", "apply"),
        PlanMode::Destroy => ("Destroy", "destroy"),
        PlanMode::RefreshOnly => ("Refresh", "apply -refresh-only"),
        PlanMode::Normal => ("Apply", "apply"),
    };
    let did = did(&summary.counts);
    let wall = duration(Duration::from_millis(summary.wall));
    let mut out = Vec::new();
    if summary.is_success() {
        let head = style.paint(Tone::Add, format!("{what} complete:"));
        out.push(format!("{head} {did} in {wall}."));
    } else {
        let how = if summary.interrupted { "interrupted" } else { "incomplete" };
        let head = style.paint(Tone::Remove, format!("{what} {how}:"));
        let mut left = Vec::new();
        for (count, word) in
            [(summary.failed, "failed"), (summary.skipped, "skipped"), (summary.not_started, "not begun")]
        {
            if count > 0 {
                left.push(format!("{count} {word}"));
            }
        }
        out.extend(wrap(&format!("{head} {did}; {} in {wall}.", left.join(", ")), style.width));
        out.push(format!("What is done is recorded: run {undone} again to go on from here."));
    }
    let mut phases = vec![("plan", u64::try_from(planning.as_millis()).unwrap_or(u64::MAX))];
    phases.extend(summary.phases.iter().copied());
    let phases: Vec<String> =
        phases.iter().map(|(name, n)| format!("{name} {}", duration(Duration::from_millis(*n)))).collect();
    out.push(style.paint(Tone::Dim, format!("Time: {}.", phases.join(", "))));
    // Steps that nobody waited for say nothing.
    let steps: Vec<String> = summary
        .critical_path
        .iter()
        .filter(|s| s.op.action.is_shown() && s.elapsed >= 100)
        .map(|s| format!("{} {}", s.op.addr, duration(Duration::from_millis(s.elapsed))))
        .collect();
    if steps.len() > 1 {
        let text = format!("The longest way: {}", chain(&steps));
        out.extend(wrap(&text, style.width).iter().map(|l| style.paint(Tone::Dim, l)));
    }
    if summary.retries > 0 {
        out.push(style.paint(
            Tone::Dim,
            format!("{} attempt{} had to be repeated.", summary.retries, plural(summary.retries)),
        ));
    }
    out
}

/// `a > b > c`; of a long chain the ends.
#[must_use]
pub fn chain(steps: &[String]) -> String {
    match steps {
        [first @ .., _, _] if first.len() > 8 => {
            let (head, tail) = (&steps[..4], &steps[steps.len() - 4..]);
            format!("{} > … ({} more) > {}", head.join(" > "), steps.len() - 8, tail.join(" > "))
        }
        all => all.join(" > "),
    }
}
