//! What people see. This is the one place that prints.
//!
//! Answers go to the standard output, errors and prompts to the standard error. With `-json` everything is one JSON object a line on the standard
//! output, and nothing else is said. While bars are drawn (see [`progress`]), lines are printed above them.

pub mod ages;
pub mod diff;
pub mod json;
pub mod plan;
pub mod progress;
pub mod shown;
pub mod style;
pub mod summary;
pub mod value;

use std::io::{self, IsTerminal, Write};

use grappe_diag::{Diagnostics, Severity, Sources};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde_json::{Value as Json, json};

pub use style::{Style, Tone};

/// The one type that prints.
#[derive(Clone)]
pub struct Ui {
    style: Style,
    json: bool,
    interactive: bool,
    /// Lines for people go to the standard error.
    aside: bool,
    bars: MultiProgress,
}

impl Ui {
    /// With colours where the output is a terminal and nothing forbids them.
    #[must_use]
    pub fn new(no_color: bool, json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        let bars = MultiProgress::new();
        if json || !terminal || dumb || !io::stderr().is_terminal() {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let width = match console::Term::stdout().size_checked() {
            Some((_, columns)) if terminal => usize::from(columns).clamp(40, 120),
            _ => 80,
        };
        Ui {
            style: Style { color: terminal && !no_color && !set("NO_COLOR") && !dumb, width },
            json,
            interactive: terminal && io::stdin().is_terminal() && !json,
            aside: false,
            bars,
        }
    }

    /// For a command whose output is one document: what else there is to say goes to the standard error.
    #[must_use]
    pub fn aside(&self) -> Self {
        Ui { aside: true, ..self.clone() }
    }

    /// How text is laid out.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// Whether the reader is a program.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether somebody is there to answer.
    #[must_use]
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// The bars that are drawn below all else; hidden where the output is no terminal.
    #[must_use]
    pub fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// A line for people; nothing with `-json`.
    pub fn line(&self, text: impl AsRef<str>) {
        self.lines([text]);
    }

    /// Lines for people.
    pub fn lines<T: AsRef<str>>(&self, lines: impl IntoIterator<Item = T>) {
        let text: String = lines.into_iter().map(|l| format!("{}\n", l.as_ref())).collect();
        match self.aside {
            _ if self.json || text.is_empty() => {}
            true => self.err(&text),
            false => self.out(&text),
        }
    }

    /// A text as it is, for people and programs.
    pub fn raw(&self, text: &str) {
        self.out(text);
    }

    /// A text as it is, on the standard error.
    pub fn raw_error(&self, text: &str) {
        self.err(text);
    }

    /// A JSON object on a line of its own; nothing without `-json`.
    pub fn event(&self, event: &Json) {
        if self.json {
            self.out(&format!("{event}\n"));
        }
    }

    /// Diagnostics, each with its snippet.
    pub fn diagnostics(&self, found: &Diagnostics, sources: &Sources) {
        if self.json {
            for diagnostic in found {
                let level = if diagnostic.is_error() { "error" } else { "warn" };
                self.event(&json!({
                    "type": "diagnostic",
                    "level": level,
                    "diagnostic": grappe_diag::to_json(diagnostic, sources),
                }));
            }
            return;
        }
        let style = grappe_diag::Style { color: self.error_color(), width: self.style.width };
        let mut text = String::new();
        // Errors last: they are what is read first.
        for severity in [Severity::Warning, Severity::Error] {
            for diagnostic in found.iter().filter(|d| d.severity == severity) {
                text.push_str(&grappe_diag::render(diagnostic, sources, style));
                text.push_str("\n\n");
            }
        }
        self.err(&text);
    }

    /// An error that has no place in a file: what was wrong, why, and what to do.
    pub fn error(&self, summary: &str, causes: &[String], hint: Option<&str>) {
        if self.json {
            let detail = causes.iter().map(String::as_str).chain(hint).collect::<Vec<_>>().join("\n");
            return self.event(&json!({
                "type": "diagnostic",
                "level": "error",
                "diagnostic": { "severity": "error", "summary": summary, "detail": detail },
            }));
        }
        let paint = Style { color: self.error_color(), ..self.style };
        let mut text = String::new();
        for (i, line) in style::wrap(summary, self.style.width.saturating_sub(7)).iter().enumerate() {
            let head = if i == 0 { paint.paint(Tone::Remove, "error: ") } else { " ".repeat(7) };
            text.push_str(&format!("{head}{line}\n"));
        }
        for line in causes.iter().flat_map(|c| style::wrap(c, self.style.width.saturating_sub(2))) {
            text.push_str(&format!("  {line}\n"));
        }
        if let Some(hint) = hint {
            for (i, line) in style::wrap(hint, self.style.width.saturating_sub(8)).iter().enumerate() {
                text.push_str(if i == 0 { "  help: " } else { "        " });
                text.push_str(line);
                text.push('\n');
            }
        }
        self.err(&text);
    }

    /// Something that the user should know, on the standard error.
    pub fn warn(&self, text: &str) {
        if self.json {
            return self.event(&json!({ "type": "notice", "text": text }));
        }
        let paint = Style { color: self.error_color(), ..self.style };
        for (i, line) in style::wrap(text, self.style.width.saturating_sub(9)).iter().enumerate() {
            let head = if i == 0 { paint.paint(Tone::Change, "warning: ") } else { " ".repeat(9) };
            self.err(&format!("{head}{line}\n"));
        }
    }

    /// Asks for a line. `None` at the end of the input.
    #[must_use]
    pub fn ask(&self, prompt: &str) -> Option<String> {
        self.err(prompt);
        let mut answer = String::new();
        match io::stdin().read_line(&mut answer) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(answer.trim().to_owned()),
        }
    }

    /// Asks for a line that nobody who looks on may read.
    #[must_use]
    pub fn ask_hidden(&self, prompt: &str) -> Option<String> {
        self.err(prompt);
        console::Term::stdout().read_secure_line().ok().map(|answer| answer.trim().to_owned())
    }

    fn error_color(&self) -> bool {
        self.style.color && io::stderr().is_terminal()
    }

    // A reader that has gone away (`| head`) is no reason to stop what was begun.
    fn out(&self, text: &str) {
        self.bars.suspend(|| {
            let mut out = io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        });
    }

    fn err(&self, text: &str) {
        self.bars.suspend(|| {
            let _ = io::stderr().lock().write_all(text.as_bytes());
        });
    }
}
