//! A run while it goes on.
//!
//! On a terminal: a line for each operation that is running (what it does now, since when), and below them how far the run is and what is left; what
//! has ended stays above as a line. In a pipe: a line an event, with its time. With `-json`: the engine's events as they are, one a line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use grappe_engine::event::{OpName, Phase, Verb};
use grappe_engine::{Event, EventKind, Sink};
use indicatif::{ProgressBar, ProgressStyle};

use super::diff::plural;
use super::style::{Tone, columns, duration, wrap};
use super::{Style, Ui};

/// Running operations that have a line of their own; more are counted.
const LINES: usize = 12;

/// Shows the events of a run.
pub struct Progress {
    ui: Ui,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Operations that people are told of: all, and those that have ended.
    total: usize,
    ended: usize,
    /// When the run will probably end, in milliseconds of its own time.
    expected: u64,
    running: BTreeMap<u32, Running>,
    overall: Option<ProgressBar>,
    /// What providers want said: once is enough.
    noticed: BTreeSet<String>,
    reads: usize,
}

struct Running {
    bar: Option<ProgressBar>,
    /// What was said last of it: the same is not said twice in a row.
    step: String,
}

impl Progress {
    /// Nothing happened yet.
    #[must_use]
    pub fn new(ui: &Ui) -> Arc<Self> {
        Arc::new(Progress { ui: ui.clone(), inner: Mutex::default() })
    }

    /// Where an engine sends its events.
    #[must_use]
    pub fn sink(self: &Arc<Self>) -> Sink {
        let progress = self.clone();
        Arc::new(move |event| progress.see(&event))
    }

    /// Something that every output must say while a provider is used. Said once.
    pub fn notice(&self, text: &str) {
        let new = self.inner.lock().unwrap_or_else(PoisonError::into_inner).noticed.insert(text.to_owned());
        if new {
            self.ui.event(&serde_json::json!({ "type": "notice", "text": text }));
            for line in wrap(text, self.ui.style().width) {
                self.ui.line(self.ui.style().paint(Tone::Change, line));
            }
        }
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for running in std::mem::take(&mut inner.running).into_values() {
            running.bar.iter().for_each(ProgressBar::finish_and_clear);
        }
        if let Some(bar) = inner.overall.take() {
            bar.finish_and_clear();
        }
    }

    fn see(&self, event: &Event) {
        if self.ui.is_json() {
            if let Ok(json) = serde_json::to_value(event) {
                self.ui.event(&json);
            }
            return;
        }
        if let EventKind::ProviderConfigured { notice: Some(text), .. } = &event.kind {
            return self.notice(text);
        }
        let style = self.ui.style();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = inner.see(event, &self.ui, style);
        inner.draw(event.at, style);
        drop(inner);
        match &event.kind {
            EventKind::Notice { .. } | EventKind::LockWaiting { .. } | EventKind::Interrupted { .. } => {
                lines.iter().for_each(|l| self.ui.warn(l));
            }
            _ => self.ui.lines(lines),
        }
    }
}

impl Inner {
    /// Takes an event in; gives the lines that stay.
    fn see(&mut self, event: &Event, ui: &Ui, style: Style) -> Vec<String> {
        let drawn = !ui.bars().is_hidden();
        let at = event.at;
        match &event.kind {
            EventKind::RunStarted { phase: Phase::Apply, operations, expected } => {
                (self.total, self.ended, self.expected) = (*operations, 0, *expected);
                if drawn {
                    self.overall = Some(bar(ui, false));
                }
                Vec::new()
            }
            EventKind::RunStarted { .. } => Vec::new(),
            EventKind::LockWaiting { holder } => {
                let who = holder.as_ref().map_or_else(|| "another run".to_owned(), ToString::to_string);
                vec![format!("Waiting for the state, which is locked: {who}.")]
            }
            EventKind::Notice { text } => vec![text.clone()],
            EventKind::RefreshStarted { objects, data } => {
                self.reads += objects + data;
                Vec::new()
            }
            EventKind::Planned { elapsed, .. } if self.reads > 0 => {
                let (reads, planning) = (self.reads, millis(*elapsed));
                let reading = millis(at.saturating_sub(*elapsed));
                let text =
                    format!("Read {reads} object{} in {reading}, planned in {planning}.", plural(reads));
                vec![style.paint(Tone::Dim, text)]
            }
            EventKind::OperationStarted { op, attempt } if op.action.is_shown() => {
                self.start(op, drawn, ui);
                let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                if drawn {
                    Vec::new()
                } else {
                    vec![line(at, op, &format!("{}{again}", doing(op.action)), style)]
                }
            }
            EventKind::Progress { op, step } => {
                let Some(running) = self.running.get_mut(&op.id).filter(|r| r.step != *step) else {
                    return Vec::new();
                };
                running.say(step);
                if drawn { Vec::new() } else { vec![line(at, op, step, style)] }
            }
            // What people wrote themselves they want to hear; of what resource types run, only what fails is told.
            EventKind::Output { op, line: text, .. } if op.action == Verb::Provision => {
                vec![line(at, op, &style.paint(Tone::Dim, format!("| {text}")), style)]
            }
            EventKind::OperationRetry { op, attempt, after, error } => {
                let text = format!(
                    "attempt {attempt} failed ({}), trying again in {}",
                    error.summary,
                    duration(Duration::from_millis(*after))
                );
                if let Some(running) = self.running.get_mut(&op.id) {
                    running.say(&text);
                }
                vec![line(at, op, &style.paint(Tone::Change, text), style)]
            }
            EventKind::Throttled { provider, most, after } => {
                let text = format!(
                    "{provider} answers that it is asked too much: nothing new for {}, then {most} at once, and more as it bears more.",
                    duration(Duration::from_millis(*after))
                );
                wrap(&text, style.width).into_iter().map(|line| style.paint(Tone::Change, line)).collect()
            }
            EventKind::OperationDone { op, elapsed, left } => {
                self.expected = at + left;
                if !self.end(op) {
                    return Vec::new();
                }
                let text = format!("{} in {}", done(op.action), millis(*elapsed));
                vec![line(at, op, &style.paint(Tone::Add, text), style)]
            }
            EventKind::OperationFailed { op, elapsed, left, error } => {
                self.expected = at + left;
                self.end(op);
                let text = format!("failed after {}: {}", millis(*elapsed), error.summary);
                vec![line(at, op, &style.paint(Tone::Remove, text), style)]
            }
            EventKind::Skipped { op, because } => {
                if !self.end(op) {
                    return Vec::new();
                }
                vec![line(
                    at,
                    op,
                    &style.paint(Tone::Dim, format!("skipped, because {because} failed")),
                    style,
                )]
            }
            EventKind::Interrupted { hard: false, running } => vec![format!(
                "Interrupted: nothing new is begun; {running} running operation{} come{} to an end. Once more stops them now.",
                plural(*running),
                if *running == 1 { "s" } else { "" }
            )],
            EventKind::Interrupted { hard: true, .. } => {
                vec![
                    "Stopping now. What was begun is in the journal; the next run goes on from there.".into(),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn start(&mut self, op: &OpName, drawn: bool, ui: &Ui) {
        let shown = self.running.values().filter(|r| r.bar.is_some()).count();
        let running = self.running.entry(op.id).or_insert_with(|| Running {
            bar: (drawn && shown < LINES).then(|| bar(ui, true)),
            step: String::new(),
        });
        if let Some(bar) = &running.bar {
            bar.set_prefix(op.addr.clone());
        }
        running.say(doing(op.action));
    }

    /// Whether people are told of it.
    fn end(&mut self, op: &OpName) -> bool {
        if let Some(running) = self.running.remove(&op.id) {
            running.bar.iter().for_each(ProgressBar::finish_and_clear);
        }
        self.ended += 1;
        op.action.is_shown()
    }

    fn draw(&self, at: u64, style: Style) {
        if let Some(overall) = &self.overall {
            overall.set_message(style.paint(Tone::Strong, self.overview(at)));
        }
    }

    /// How far the run is, and what is left of it.
    fn overview(&self, at: u64) -> String {
        let mut text = format!("{} of {} done, {} running", self.ended, self.total, self.running.len());
        if self.expected > at {
            text.push_str(&format!(", about {} left", millis(self.expected - at)));
        }
        text
    }
}

impl Running {
    fn say(&mut self, step: &str) {
        step.clone_into(&mut self.step);
        if let Some(bar) = &self.bar {
            bar.set_message(self.step.clone());
        }
    }
}

/// A line of the terminal that is redrawn: with a spinner and its time, or (the last one) with the whole run's.
fn bar(ui: &Ui, spinner: bool) -> ProgressBar {
    let bar = if spinner {
        ui.bars().insert_from_back(1, ProgressBar::new_spinner())
    } else {
        ui.bars().add(ProgressBar::new_spinner())
    };
    let template =
        if spinner { "  {spinner} {prefix} {wide_msg} {elapsed}" } else { "  {elapsed} {wide_msg}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn line(at: u64, op: &OpName, what: &str, style: Style) -> String {
    let time = style.paint(Tone::Dim, format!("{:>6}", millis(at)));
    let deposed = if op.deposed { " (deposed)" } else { "" };
    let head = format!("{time}  {}{deposed}: ", op.addr);
    // What does not fit goes below, so that addresses stay in one column.
    if columns(&head) + columns(what) <= style.width || columns(what) < 24 {
        format!("{head}{what}")
    } else {
        let indent = format!("\n{}", " ".repeat(10));
        format!("{}{indent}{}", head.trim_end(), wrap(what, style.width.saturating_sub(10)).join(&indent))
    }
}

fn millis(n: u64) -> String {
    duration(Duration::from_millis(n))
}

fn doing(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "creating",
        Verb::Update => "updating",
        Verb::Delete => "destroying",
        Verb::Provision => "provisioning",
        Verb::Open => "opening",
        Verb::Read => "reading",
        Verb::Record | Verb::Join => "recording",
        Verb::Forget => "forgetting",
    }
}

fn done(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "created",
        Verb::Update => "updated",
        Verb::Delete => "destroyed",
        Verb::Provision => "provisioned",
        Verb::Open => "opened",
        Verb::Read => "read",
        Verb::Record | Verb::Join => "recorded",
        Verb::Forget => "forgotten",
    }
}

#[cfg(test)]
mod tests {
    use grappe_engine::Failure;

    use super::*;

    fn op(id: u32, addr: &str, action: Verb) -> OpName {
        OpName { id, addr: addr.into(), deposed: false, action }
    }

    /// What a pipe gets of these events.
    fn piped(events: Vec<(u64, EventKind)>) -> String {
        let (ui, mut inner) = (Ui::new(true, false), Inner::default());
        let lines: Vec<String> = events
            .into_iter()
            .flat_map(|(at, kind)| inner.see(&Event { at, kind }, &ui, Style::default()))
            .collect();
        for line in &lines {
            assert!(line.lines().all(|l| columns(l) <= 80), "{line}");
        }
        lines.join("\n")
    }

    #[test]
    fn what_is_left_follows_what_was_done() {
        let (ui, mut inner) = (Ui::new(true, false), Inner::default());
        let mut see = |at, kind| {
            inner.see(&Event { at, kind }, &ui, Style::default());
            inner.overview(at)
        };
        let started = EventKind::RunStarted { phase: Phase::Apply, operations: 2, expected: 90_000 };
        assert_eq!(see(0, started), "0 of 2 done, 0 running, about 1m 30s left");
        let start = |id| EventKind::OperationStarted { op: op(id, "a.b", Verb::Create), attempt: 1 };
        assert_eq!(see(5_000, start(1)), "0 of 2 done, 1 running, about 1m 25s left");
        let done = |id, left| EventKind::OperationDone { op: op(id, "a.b", Verb::Create), elapsed: 1, left };
        assert_eq!(see(6_000, done(1, 3_000)), "1 of 2 done, 0 running, about 3.0s left");
        assert_eq!(see(6_500, start(2)), "1 of 2 done, 1 running, about 2.5s left");
        assert_eq!(see(7_000, done(2, 0)), "2 of 2 done, 0 running");
    }

    #[test]
    fn a_pipe_gets_a_line_an_event() {
        let worker = || op(1, "kubeadm_worker.this[\"worker-4\"]", Verb::Create);
        let node = || op(2, "kube_node.worker[\"worker-4\"]", Verb::Create);
        let failure = Failure {
            summary: "10.77.2.104: kubeadm join failed: the API server at 10.77.2.10:6443 does not answer"
                .into(),
            ..Failure::default()
        };
        insta::assert_snapshot!(piped(vec![
            (0, EventKind::RefreshStarted { objects: 40, data: 1 }),
            (900, EventKind::Planned { elapsed: 100, rounds: 1 }),
            (0, EventKind::RunStarted { phase: Phase::Apply, operations: 3, expected: 90_000 }),
            (5, EventKind::OperationStarted { op: worker(), attempt: 1 }),
            (6, EventKind::Progress { op: worker(), step: "minting a token on 10.77.2.11".into() }),
            (7, EventKind::Progress { op: worker(), step: "minting a token on 10.77.2.11".into() }),
            (
                6_000,
                EventKind::OperationRetry { op: worker(), attempt: 1, after: 2_000, error: failure.clone() }
            ),
            (7_000, EventKind::Throttled { provider: "openstack.west".into(), most: 8, after: 30_000 }),
            (8_000, EventKind::OperationStarted { op: worker(), attempt: 2 }),
            (8_001, EventKind::OperationStarted { op: op(3, "a.b", Verb::Record), attempt: 1 }),
            (8_002, EventKind::OperationDone { op: op(3, "a.b", Verb::Record), elapsed: 1, left: 0 }),
            (75_000, EventKind::OperationFailed { op: worker(), elapsed: 74_995, left: 0, error: failure }),
            (75_001, EventKind::Skipped { op: node(), because: worker().addr }),
        ]));
    }
}
