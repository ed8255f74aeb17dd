//! echo and printf, shared by the shell's built-ins and the programs.

use crate::shell::escape::unescape;

/// What echo prints: dash interprets backslashes and knows `-n`; bash wants `-e` for that.
pub(crate) fn echo(args: &[String], bash: bool) -> Vec<u8> {
    let (mut newline, mut escapes, mut at) = (true, !bash, 0);
    while let Some(arg) = args.get(at) {
        match arg.as_str() {
            "-n" => newline = false,
            "-e" if bash => escapes = true,
            "-E" if bash => escapes = false,
            "-ne" | "-en" if bash => (newline, escapes) = (false, true),
            _ => break,
        }
        at += 1;
        if !bash {
            break;
        }
    }
    let mut text = args[at..].join(" ");
    if escapes {
        let (changed, stopped) = unescape(&text, bash);
        text = changed;
        newline &= !stopped;
    }
    if newline {
        text.push('\n');
    }
    text.into_bytes()
}

/// What printf prints, and its complaints.
pub(crate) fn printf(args: &[String]) -> (Vec<u8>, Vec<String>) {
    let args = match args.first().map(String::as_str) {
        Some("--") => &args[1..],
        _ => args,
    };
    let Some(format) = args.first() else {
        return (Vec::new(), vec!["usage: printf format [arg ...]".to_owned()]);
    };
    let mut out = Vec::new();
    let mut errors = Vec::new();
    let mut values = args[1..].iter().peekable();
    let mut rounds = 0;
    loop {
        let (used, stop) = one_round(format, &mut values, &mut out, &mut errors);
        rounds += 1;
        if stop || !used || values.peek().is_none() || rounds > 100_000 {
            return (out, errors);
        }
    }
}

type Values<'a> = std::iter::Peekable<std::slice::Iter<'a, String>>;

/// Goes through the format once; tells whether it took a value, and whether all is over.
fn one_round(
    format: &str,
    values: &mut Values<'_>,
    out: &mut Vec<u8>,
    errors: &mut Vec<String>,
) -> (bool, bool) {
    let mut used = false;
    let mut rest = format;
    while let Some(at) = rest.find(['%', '\\']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        if rest.as_bytes()[at] == b'\\' {
            // Take the escape with as much as it may use, and put the rest back.
            let length = escape_length(&rest[at..]);
            let (text, stop) = unescape(&rest[at..at + length], true);
            out.extend_from_slice(&latin(&text, &rest[at..at + length]));
            rest = &rest[at + length..];
            if stop {
                return (used, true);
            }
            continue;
        }
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push(b'%');
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let mut spec = rest[..end].to_owned();
        let Some(kind) = rest[end..].chars().next() else {
            errors.push(format!("%{spec}: invalid directive"));
            return (used, true);
        };
        rest = &rest[end + 1..];
        let mut take = || {
            used = true;
            values.next().cloned()
        };
        while spec.contains('*') {
            spec = spec.replacen('*', &take().unwrap_or_default(), 1);
        }
        let (flags, width, precision) = numbers(&spec);
        let text = match kind {
            's' => take().unwrap_or_default(),
            'b' => {
                let (text, stop) = unescape(&take().unwrap_or_default(), true);
                out.extend(pad(&text, &flags, width, precision, true));
                if stop {
                    return (used, true);
                }
                continue;
            }
            'q' => crate::shell::quote(&take().unwrap_or_default()),
            'c' => take().unwrap_or_default().chars().take(1).collect(),
            'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
                let given = take().unwrap_or_default();
                let value = integer(&given).unwrap_or_else(|| {
                    errors.push(format!("{given}: expected numeric value"));
                    0
                });
                let digits = match kind {
                    'x' => format!("{value:x}"),
                    'X' => format!("{value:X}"),
                    'o' => format!("{value:o}"),
                    _ => value.unsigned_abs().to_string(),
                };
                let sign = if value < 0 && matches!(kind, 'd' | 'i') {
                    "-"
                } else if flags.contains('+') {
                    "+"
                } else {
                    ""
                };
                let wide = precision.unwrap_or(0).max(if flags.contains('0') && !flags.contains('-') {
                    width.saturating_sub(sign.len())
                } else {
                    0
                });
                out.extend(pad(&format!("{sign}{digits:0>wide$}"), &flags, width, None, false));
                continue;
            }
            'f' | 'e' | 'g' => {
                let given = take().unwrap_or_default();
                let value: f64 = given.trim().parse().unwrap_or(0.0);
                let text = format!("{value:.*}", precision.unwrap_or(6).min(40));
                out.extend(pad(&text, &flags, width, None, false));
                continue;
            }
            other => {
                errors.push(format!("%{other}: invalid directive"));
                return (used, true);
            }
        };
        out.extend(pad(&text, &flags, width, precision, true));
    }
    out.extend_from_slice(rest.as_bytes());
    (used, false)
}

/// A lone byte from `\377` or `\x80` is kept as a byte: `unescape` gives text, which would change it.
fn latin(text: &str, escape: &str) -> Vec<u8> {
    if text == "\u{fffd}" {
        let value = match escape.strip_prefix("\\x") {
            Some(hex) => u8::from_str_radix(hex, 16),
            None => u8::from_str_radix(escape.trim_start_matches('\\'), 8),
        };
        if let Ok(byte) = value {
            return vec![byte];
        }
    }
    text.as_bytes().to_vec()
}

fn escape_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    let Some((at, c)) = chars.next() else { return text.len() };
    let digits = |from: usize, radix: u32, most: usize| {
        text[from..].chars().take(most).take_while(|c| c.is_digit(radix)).count()
    };
    match c {
        '0'..='7' => 1 + digits(1, 8, if c == '0' { 4 } else { 3 }).min(3),
        'x' => 2 + digits(2, 16, 2),
        c => at + c.len_utf8(),
    }
}

fn numbers(spec: &str) -> (String, usize, Option<usize>) {
    let flags: String = spec.chars().take_while(|c| matches!(c, '-' | '+' | ' ' | '#' | '0')).collect();
    let rest = &spec[flags.len()..];
    let (width, precision) = match rest.split_once('.') {
        Some((width, precision)) => (width, Some(precision.parse().unwrap_or(0).min(10_000))),
        None => (rest, None),
    };
    (flags, width.parse().unwrap_or(0).min(10_000), precision)
}

fn pad(text: &str, flags: &str, width: usize, precision: Option<usize>, cut: bool) -> Vec<u8> {
    let text: String = match precision {
        Some(n) if cut => text.chars().take(n).collect(),
        _ => text.to_owned(),
    };
    if flags.contains('-') { format!("{text:<width$}") } else { format!("{text:>width$}") }.into_bytes()
}

fn integer(text: &str) -> Option<i64> {
    let text = text.trim_start();
    if let Some(c) = text.strip_prefix(['\'', '"']) {
        return c.chars().next().map(|c| i64::from(c as u32));
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match digits {
        "" => return text.is_empty().then_some(0),
        d if d.starts_with("0x") || d.starts_with("0X") => i64::from_str_radix(&d[2..], 16).ok()?,
        d if d.len() > 1 && d.starts_with('0') => i64::from_str_radix(d, 8).ok()?,
        d => d.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}
