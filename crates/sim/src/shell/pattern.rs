//! Shell patterns: `*`, `?`, `[…]`, where a quoted character stands for itself.

/// A character and whether it was quoted.
pub type Mark = (char, bool);

/// Text none of which was quoted.
pub fn unquoted(text: &str) -> Vec<Mark> {
    text.chars().map(|c| (c, false)).collect()
}

/// Whether a pattern matches the whole text.
pub fn matches(pattern: &[Mark], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == ('*', false) {
            retry = Some((p, t));
            p += 1;
            continue;
        }
        if p == pattern.len() && t == text.len() {
            return true;
        }
        let step = (p < pattern.len() && t < text.len()).then(|| one(&pattern[p..], text[t])).flatten();
        match (step, retry) {
            (Some(length), _) => (p, t) = (p + length, t + 1),
            (None, Some((star, from))) if from < text.len() => {
                retry = Some((star, from + 1));
                (p, t) = (star + 1, from + 1);
            }
            _ => return false,
        }
    }
}

/// Matches one character; gives the length of the pattern used.
fn one(pattern: &[Mark], c: char) -> Option<usize> {
    match pattern[0] {
        ('?', false) => Some(1),
        ('[', false) => match bracket(pattern) {
            Some((end, negate, items)) => {
                let inside = items.iter().any(|item| item.contains(c));
                (inside != negate).then_some(end)
            }
            None => (c == '[').then_some(1),
        },
        (p, _) => (p == c).then_some(1),
    }
}

enum Item {
    Range(char, char),
    Class(String),
}

impl Item {
    fn contains(&self, c: char) -> bool {
        match self {
            Item::Range(from, to) => (*from..=*to).contains(&c),
            Item::Class(name) => match name.as_str() {
                "alpha" => c.is_ascii_alphabetic(),
                "digit" => c.is_ascii_digit(),
                "alnum" => c.is_ascii_alphanumeric(),
                "upper" => c.is_ascii_uppercase(),
                "lower" => c.is_ascii_lowercase(),
                "space" => c.is_ascii_whitespace() || c == '\u{b}',
                "blank" => c == ' ' || c == '\t',
                "punct" => c.is_ascii_punctuation(),
                "xdigit" => c.is_ascii_hexdigit(),
                _ => false,
            },
        }
    }
}

/// A bracket expression: its length, whether it is negated, and what is in it.
fn bracket(pattern: &[Mark]) -> Option<(usize, bool, Vec<Item>)> {
    let mut at = 1;
    let negate = matches!(pattern.get(at), Some(('!' | '^', false)));
    at += usize::from(negate);
    let mut items = Vec::new();
    let first = at;
    loop {
        let (c, quoted) = *pattern.get(at)?;
        if c == ']' && !quoted && at > first {
            return Some((at + 1, negate, items));
        }
        if c == '[' && !quoted && pattern.get(at + 1) == Some(&(':', false)) {
            let rest: String = pattern[at + 2..].iter().map(|(c, _)| *c).collect();
            if let Some(end) = rest.find(":]") {
                items.push(Item::Class(rest[..end].to_owned()));
                at += 4 + rest[..end].chars().count();
                continue;
            }
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some(('-', false)), Some((to, q))) if *to != ']' || *q => {
                items.push(Item::Range(c, *to));
                at += 3;
            }
            _ => {
                items.push(Item::Range(c, c));
                at += 1;
            }
        }
    }
}

/// Whether a pattern has anything that makes it one.
pub fn is_pattern(marks: &[Mark]) -> bool {
    marks.iter().any(|(c, quoted)| !quoted && matches!(c, '*' | '?' | '['))
}

/// Length in characters of the shortest or longest prefix of `text` that matches.
pub fn prefix(pattern: &[Mark], text: &[char], longest: bool) -> Option<usize> {
    let mut lengths = 0..=text.len();
    let fits = |n: &usize| matches(pattern, &text[..*n]);
    if longest { lengths.rev().find(fits) } else { lengths.find(fits) }
}

/// Where the shortest or longest suffix of `text` that matches starts.
pub fn suffix(pattern: &[Mark], text: &[char], longest: bool) -> Option<usize> {
    let mut starts = 0..=text.len();
    let fits = |n: &usize| matches(pattern, &text[*n..]);
    if longest { starts.find(fits) } else { starts.rev().find(fits) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn m(pattern: &str, text: &str) -> bool {
        matches(&unquoted(pattern), &text.chars().collect::<Vec<_>>())
    }

    #[test]
    fn patterns() {
        assert!(m("*.yaml", "a.yaml") && m("a*b*c", "aXbYbc") && m("", "") && m("*", ""));
        assert!(!m("*.yaml", "a.yml") && !m("a?c", "ac") && m("a?c", "abc"));
        assert!(m("[a-c]x", "bx") && !m("[!a-c]x", "bx") && m("[[:digit:]]*", "7z") && m("[]]", "]"));
        assert!(m("[", "[") && m("v1.[0-9]*", "v1.31.2"));
        assert!(matches(&[('*', true)], &['*']) && !matches(&[('*', true)], &['a']));
    }
}
