//! Diagnostics for people.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle};

use crate::{Diagnostic, Severity, Sources, Span};

/// How to render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With ANSI colours.
    pub color: bool,
    /// Columns that the text should fit in.
    pub width: usize,
}

impl Default for Style {
    /// No colour, 80 columns.
    fn default() -> Self {
        Style { color: false, width: 80 }
    }
}

/// The text of a diagnostic, over several lines, without a newline at the end.
#[must_use]
pub fn render(diagnostic: &Diagnostic, sources: &Sources, style: Style) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let renderer = if style.color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(style.width.max(20)).decor_style(DecorStyle::Ascii);

    let mut spans: Vec<(Span, &str, AnnotationKind)> = Vec::new();
    spans.extend(diagnostic.span.map(|s| (s, "", AnnotationKind::Primary)));
    spans.extend(diagnostic.related.iter().map(|(s, l)| (*s, l.as_str(), AnnotationKind::Context)));
    spans.retain(|(span, ..)| sources.get(span.source).is_some());

    // Behind "warning: ", the longer of the two.
    let title = wrap(&diagnostic.summary, style.width.saturating_sub(9)).join("\n");
    let mut group = Group::with_title(level.primary_title(title));
    // One snippet a source, in the order of their first mention.
    let mut done = Vec::new();
    for (span, ..) in &spans {
        let Some(source) = sources.get(span.source).filter(|_| !done.contains(&span.source)) else {
            continue;
        };
        done.push(span.source);
        let annotations = spans.iter().filter(|(s, ..)| s.source == span.source).map(|(s, label, kind)| {
            let range = clamp(&source.text, *s);
            let annotation = kind.span(range);
            if label.is_empty() { annotation } else { annotation.label(*label) }
        });
        group = group
            .element(Snippet::source(&*source.text).path(&*source.name).fold(true).annotations(annotations));
    }
    let mut out = renderer.render(&[group]);
    // Wrapped here: annotate-snippets leaves long lines alone.
    let mut say = |label: &str, text: &str| {
        for line in wrap(&format!("{label}{text}"), style.width.saturating_sub(2)) {
            out.push_str("\n  ");
            out.push_str(&line);
        }
    };
    if let Some(address) = &diagnostic.address {
        say("with ", address);
    }
    if !diagnostic.detail.is_empty() {
        say("", &diagnostic.detail);
    }
    if let Some(hint) = &diagnostic.hint {
        say("help: ", hint);
    }
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The range of a span inside a text, on character boundaries.
fn clamp(text: &str, span: Span) -> std::ops::Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (start, end) = (floor(span.start as usize), floor(span.end as usize));
    // A span over several lines would draw them all: its first line says enough.
    let end = text[start..end.max(start)].find('\n').map_or(end, |i| start + i);
    start..end.max(start)
}

/// Lines of at most `width` characters, broken at spaces; lines that start with a space (lists, code) stay as they are.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        if paragraph.starts_with(' ') {
            lines.push(paragraph.to_owned());
            continue;
        }
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> (Sources, Span) {
        let mut sources = Sources::new();
        let id = sources.add("main.tf", "locals {\n  a = var.xx\n}\n");
        (sources, Span::new(id, 15, 21))
    }

    #[test]
    fn a_diagnostic_reads_well() {
        let (sources, span) = sources();
        let diagnostic = Diagnostic::error("Reference to undeclared input variable")
            .detail("An input variable with the name \"xx\" has not been declared in the root module of this configuration, nor elsewhere.")
            .span(span)
            .did_you_mean("xx", ["x", "y"]);
        let expected = "\
error: Reference to undeclared input variable
 --> main.tf:2:7
  |
2 |   a = var.xx
  |       ^^^^^^
  An input variable with the name \"xx\" has not been declared in the root module
  of this configuration, nor elsewhere.
  help: did you mean \"x\"?";
        assert_eq!(render(&diagnostic, &sources, Style::default()), expected);
        assert!(render(&diagnostic, &sources, Style { color: true, width: 80 }).contains("\u{1b}["));
    }

    #[test]
    fn a_long_summary_is_wrapped_too() {
        let (sources, span) = sources();
        let diagnostic = Diagnostic::error(
            "root@10.77.2.10:22: login as root was refused (offered ssh-ed25519 SHA256:kXrDBUoVOIEqqJLnbVbDO1M81sO)",
        );
        let expected = "\
error: root@10.77.2.10:22: login as root was refused (offered ssh-ed25519
       SHA256:kXrDBUoVOIEqqJLnbVbDO1M81sO)
 --> main.tf:2:7
  |
2 |   a = var.xx
  |       ^^^^^^";
        assert_eq!(render(&diagnostic.span(span), &sources, Style::default()), expected);
    }

    #[test]
    fn a_span_of_other_sources_or_out_of_range_does_no_harm() {
        let (sources, span) = sources();
        let mut strange = Diagnostic::warning("w").span(Span { start: 5, end: 5000, ..span });
        assert!(render(&strange, &sources, Style::default()).contains("main.tf:1"));
        strange = strange.span(Span { start: 4000, end: 5000, ..span });
        assert!(render(&strange, &sources, Style::default()).starts_with("warning: w"));
        assert_eq!(render(&strange, &Sources::new(), Style::default()), "warning: w");
    }
}
