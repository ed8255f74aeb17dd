//! Colours, and how wide a line may be.

use std::fmt::Display;

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With ANSI colours.
    pub color: bool,
    /// Columns that a line should fit in.
    pub width: usize,
}

impl Default for Style {
    /// No colour, 80 columns: what a pipe gets.
    fn default() -> Self {
        Style { color: false, width: 80 }
    }
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something appears, or went well.
    Add,
    /// Something changes, or deserves a look.
    Change,
    /// Something goes, or went wrong.
    Remove,
    /// Something is only read.
    Read,
    /// A heading.
    Strong,
    /// What most readers skip.
    Dim,
}

impl Style {
    /// The text in the colours of its tone.
    pub fn paint(self, tone: Tone, text: impl Display) -> String {
        if !self.color {
            return text.to_string();
        }
        let code = match tone {
            Tone::Add => "32",
            Tone::Change => "33",
            Tone::Remove => "31",
            Tone::Read => "36",
            Tone::Strong => "1",
            Tone::Dim => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// How many columns a text takes, colours apart.
#[must_use]
pub fn columns(text: &str) -> usize {
    console::measure_text_width(text)
}

/// Breaks a text into lines of at most `width` columns, between words. A longer word has a line of its own.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && columns(&line) + 1 + columns(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A duration as people say it: `0.4s`, `12s`, `3m 05s`, `1h 02m`.
#[must_use]
pub fn duration(time: std::time::Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        for (millis, text) in [
            (0, "0.0s"),
            (440, "0.4s"),
            (9_940, "9.9s"),
            (9_960, "10s"),
            (59_400, "59s"),
            (185_000, "3m 05s"),
            (3_720_000, "1h 02m"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn text_breaks_between_words() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("a toolongword b", 5), ["a", "toolongword", "b"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
