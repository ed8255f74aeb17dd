//! grep, and POSIX regular expressions in terms of the regex crate.

use regex::bytes::{Regex, RegexBuilder};

use super::{Cx, Status};

/// Translates a POSIX basic or extended regular expression.
///
/// # Errors
/// Back-references, which the regex crate does not have.
pub(super) fn translate(pattern: &str, extended: bool) -> Result<String, String> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    let mut start = true; // at the start of an expression, where `*` is a character
    while at < chars.len() {
        let c = chars[at];
        let next = chars.get(at + 1).copied();
        at += 1;
        let was_start = std::mem::take(&mut start);
        match c {
            '\\' => {
                at += 1;
                match next {
                    None => return Err("Trailing backslash".to_owned()),
                    Some(d @ '1'..='9') => return Err(format!("back-reference \\{d}: not simulated")),
                    Some(c @ ('(' | ')' | '{' | '}' | '|' | '+' | '?')) if !extended => {
                        out.push(c);
                        start = matches!(c, '(' | '|');
                    }
                    Some('<') => out.push_str(r"\b{start}"),
                    Some('>') => out.push_str(r"\b{end}"),
                    Some(c @ ('b' | 'B' | 'w' | 'W' | 's' | 'S')) => {
                        out.push('\\');
                        out.push(c);
                    }
                    Some('n') => out.push_str("\\n"),
                    Some('t') => out.push_str("\\t"),
                    Some(c) => out.push_str(&regex::escape(&c.to_string())),
                }
            }
            '[' => {
                let (class, end) = bracket(&chars, at)?;
                out.push_str(&class);
                at = end;
            }
            '*' if was_start => out.push_str("\\*"),
            '(' | ')' | '{' | '}' | '|' | '+' | '?' if !extended => {
                out.push('\\');
                out.push(c);
            }
            '{' if extended && !next.is_some_and(|n| n.is_ascii_digit() || n == ',') => out.push_str("\\{"),
            '}' if extended
                && !out
                    .rfind('{')
                    .is_some_and(|p| out[p + 1..].chars().all(|c| c.is_ascii_digit() || c == ',')) =>
            {
                out.push_str("\\}");
            }
            '(' | '|' => {
                out.push(c);
                start = true;
            }
            '^' if !extended && !was_start => out.push_str("\\^"),
            '^' => {
                out.push('^');
                start = true;
            }
            '$' if !extended
                && at < chars.len()
                && !(next == Some('\\') && matches!(chars.get(at + 1), Some(')' | '|'))) =>
            {
                out.push_str("\\$");
            }
            '&' | '~' | '#' | '-' | '/' => {
                out.push(c);
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn bracket(chars: &[char], mut at: usize) -> Result<(String, usize), String> {
    let mut out = "[".to_owned();
    if chars.get(at) == Some(&'^') {
        out.push('^');
        at += 1;
    }
    let first = at;
    loop {
        let Some(&c) = chars.get(at) else { return Err("Unmatched [, [^, [:, [., or [=".to_owned()) };
        if c == ']' && at > first {
            out.push(']');
            return Ok((out, at + 1));
        }
        if c == '[' && chars.get(at + 1) == Some(&':') {
            let rest: String = chars[at..].iter().collect();
            let Some(end) = rest.find(":]") else { return Err("Unmatched [".to_owned()) };
            out.push_str(&rest[..end + 2]);
            at += rest[..end + 2].chars().count();
            continue;
        }
        if c == '-' && at > first && chars.get(at + 1).is_some_and(|n| *n != ']') {
            out.push('-');
        } else if matches!(c, '[' | ']' | '\\' | '^' | '&' | '~' | '-') {
            out.push('\\');
            out.push(c);
        } else {
            out.push(c);
        }
        at += 1;
    }
}

/// Compiles a POSIX expression.
pub(super) fn compile(pattern: &str, extended: bool, ignore_case: bool) -> Result<Regex, String> {
    let text = translate(pattern, extended)?;
    RegexBuilder::new(&text).case_insensitive(ignore_case).unicode(true).size_limit(1 << 20).build().map_err(
        |e| format!("invalid expression `{pattern}`: {}", e.to_string().lines().last().unwrap_or_default()),
    )
}

pub(super) fn run(cx: &mut Cx<'_>) -> Status {
    let long = [
        "quiet",
        "silent",
        "extended-regexp",
        "fixed-strings",
        "only-matching",
        "count",
        "invert-match",
        "ignore-case",
        "word-regexp",
        "line-regexp",
        "regexp=",
        "files-with-matches",
        "no-messages",
        "recursive",
        "line-number",
        "max-count=",
        "no-filename",
        "color?",
        "with-filename",
        "perl-regexp",
        "after-context=",
        "file=",
        "files-without-match",
        "text",
    ];
    let opts = super::getopt(cx.args, "qEFocvixwe:lshHrRnm:PA:B:f:LaG", &long).map_err(|e| cx.fail(2, e))?;
    let has = |short: &str, long: &str| opts.has(&[short, long]);
    let mut rest = opts.rest.as_slice();
    let mut patterns: Vec<String> =
        opts.values(&["e", "regexp"]).iter().flat_map(|p| p.split('\n')).map(str::to_owned).collect();
    if let Some(file) = opts.value(&["f", "file"]) {
        let bytes = cx.read(file).map_err(|e| cx.fail(2, format!("{file}: {e}")))?;
        patterns.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
    } else if patterns.is_empty() {
        let Some((first, files)) = rest.split_first() else {
            cx.err("Usage: grep [OPTION]... PATTERNS [FILE]...\n");
            return Err(2);
        };
        patterns = first.split('\n').map(str::to_owned).collect();
        rest = files;
    }
    let fixed = has("F", "fixed-strings") || cx.name == "fgrep";
    let extended = has("E", "extended-regexp") || has("P", "perl-regexp") || cx.name == "egrep";
    let mut regexes = Vec::new();
    for pattern in &patterns {
        let compiled = (|| {
            let text = if fixed {
                regex::escape(pattern)
            } else if has("P", "perl-regexp") {
                pattern.clone()
            } else {
                translate(pattern, extended)?
            };
            let text = match (has("x", "line-regexp"), has("w", "word-regexp")) {
                (true, _) => format!("^(?:{text})$"),
                (_, true) => format!(r"(?:^|\b{{start-half}})(?:{text})(?:\b{{end-half}}|$)"),
                _ => text,
            };
            RegexBuilder::new(&text)
                .case_insensitive(has("i", "ignore-case"))
                .size_limit(1 << 20)
                .build()
                .map_err(|e| e.to_string())
        })();
        regexes.push(compiled.map_err(|e| cx.fail(2, e))?);
    }
    let recursive = has("r", "recursive") || opts.has(&["R"]);
    let mut files: Vec<String> = Vec::new();
    let mut trouble = false;
    for name in rest {
        let path = cx.sh.path(name);
        if cx.host(|h, _| h.files.is_dir(&path)) {
            if recursive {
                files.extend(cx.host(|h, _| {
                    h.files
                        .below(&path)
                        .filter(|(_, n)| !n.is_dir())
                        .map(|(p, _)| format!("{}{}", name.trim_end_matches('/'), &p[path.len()..]))
                        .collect::<Vec<_>>()
                }));
            } else {
                cx.fail(2, format!("{name}: Is a directory"));
            }
        } else {
            files.push(name.clone());
        }
    }
    if rest.is_empty() {
        files.push("-".to_owned());
    }
    let named = !opts.has(&["h", "no-filename"])
        && (files.len() > 1 || recursive || opts.has(&["H", "with-filename"]));
    let (quiet, invert) = (opts.has(&["q", "quiet", "silent"]), has("v", "invert-match"));
    let limit: usize = opts.value(&["m", "max-count"]).and_then(|m| m.parse().ok()).unwrap_or(usize::MAX);
    let after: usize = opts.value(&["A", "after-context"]).and_then(|m| m.parse().ok()).unwrap_or(0);
    let before: usize = opts.value(&["B"]).and_then(|m| m.parse().ok()).unwrap_or(0);
    let mut any = false;
    for name in &files {
        let bytes = match cx.read(name) {
            Ok(bytes) => bytes,
            Err(e) => {
                trouble = true;
                if !has("s", "no-messages") {
                    cx.fail(2, format!("{name}: {e}"));
                }
                continue;
            }
        };
        let prefix = if named {
            format!("{}:", if name == "-" { "(standard input)" } else { name })
        } else {
            String::new()
        };
        let mut all: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
        if all.last().is_some_and(|l| l.is_empty()) {
            all.pop();
        }
        let hits: Vec<usize> = (0..all.len())
            .filter(|n| regexes.iter().any(|r| r.is_match(all[*n])) != invert)
            .take(limit)
            .collect();
        any |= !hits.is_empty();
        if quiet {
            continue;
        }
        if opts.has(&["l", "files-with-matches"]) || opts.has(&["L", "files-without-match"]) {
            if hits.is_empty() == opts.has(&["L", "files-without-match"]) {
                cx.out(format!(
                    "{}\n",
                    prefix.trim_end_matches(':').to_owned() + if named { "" } else { name }
                ));
            }
        } else if has("c", "count") {
            cx.out(format!("{prefix}{}\n", hits.len()));
        } else if has("o", "only-matching") {
            for n in hits {
                for found in regexes.iter().flat_map(|r| r.find_iter(all[n])).filter(|m| !m.is_empty()) {
                    cx.out([prefix.as_bytes(), found.as_bytes(), b"\n"].concat());
                }
            }
        } else {
            let shown = (0..all.len())
                .filter(|n| hits.iter().any(|h| (h.saturating_sub(before)..=h + after).contains(n)));
            for n in shown.collect::<Vec<_>>() {
                let number = if has("n", "line-number") { format!("{}:", n + 1) } else { String::new() };
                cx.out([prefix.as_bytes(), number.as_bytes(), all[n], b"\n"].concat());
            }
        }
    }
    Ok(if any && (quiet || !trouble) {
        0
    } else if trouble {
        2
    } else {
        i32::from(!any)
    })
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn posix_expressions() {
        for (pattern, extended, text, found) in [
            ("a+b", false, "a+b", true),
            ("a+b", false, "aab", false),
            ("a+b", true, "aab", true),
            (r"a\+b", false, "aab", true),
            ("^#.*swap", false, "# swap", true),
            (r"\(x\|y\)z", false, "yz", true),
            ("(x|y)z", true, "yz", true),
            ("*a", false, "*a", true),
            ("[[:space:]]swap[[:space:]]", false, "x swap y", true),
            ("[]a]", false, "]", true),
            ("a{2}", true, "aa", true),
            ("a{2}", false, "a{2}", true),
            (r"\bfoo\b", false, "a foo b", true),
            (r"1\.2", false, "1x2", false),
            ("{x}", true, "{x}", true),
            ("a^b", false, "a^b", true),
            ("a$b", false, "a$b", true),
            ("x[^/]*$", false, "a/xb", true),
        ] {
            assert_eq!(
                compile(pattern, extended, false).unwrap().is_match(text.as_bytes()),
                found,
                "{pattern} on {text}"
            );
        }
        assert!(compile(r"\(a\)\1", false, false).is_err() && compile("[a", false, false).is_err());
    }
}
