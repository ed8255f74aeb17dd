//! `fileset`: files whose paths fit a pattern.
//!
//! `*` and `?` stand for characters of one name, `[a-z]` and `[^a-z]` for one character, `{a,b}` for either, and a name that is `**` for any
//! number of folders. Folders themselves are never found.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use grappe_value::{Type, Value};

use super::{Function, Outcome, P, refuse, scoped, string, text};
use crate::Files;
use crate::Scope;
use crate::files::clean;

pub(super) static FUNCTIONS: &[Function] = &[scoped(
    "fileset",
    "the paths of the files under a folder that fit a pattern (*, ?, [a-z], {a,b}, ** for any folders)",
    &[string("path"), string("pattern")],
    P::StringSet,
    fileset,
)];

/// More is a pattern of another size than a plan's.
const MAX_ALTERNATIVES: usize = 1_000;

fn fileset(args: &[Value], scope: &dyn Scope) -> Outcome {
    let base = clean(Path::new(text(args, 0)));
    let pattern = text(args, 1);
    let bad = || refuse(format!("failed to glob pattern \"{pattern}\": syntax error in pattern"));
    let Some(alternatives) = alternatives(pattern) else { return bad() };
    let mut found = BTreeSet::new();
    for pattern in alternatives {
        let parts: Vec<&str> = pattern.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
        if parts.iter().any(|part| matches(part, "").is_none()) {
            return bad();
        }
        let walk = Walk { files: scope.files(), parts: &parts };
        walk.from(&base, 0, &mut found, 0);
    }
    let relative = found.iter().map(|path| {
        let path = clean(path);
        Value::from(path.strip_prefix(&base).unwrap_or(&path).to_string_lossy().as_ref())
    });
    Ok(Value::set(Type::String, relative))
}

struct Walk<'w> {
    files: &'w dyn Files,
    parts: &'w [&'w str],
}

impl Walk<'_> {
    /// The parts from `at` on, in a folder. As deep as folders nest, `**` follows; links that lead back end at a depth.
    fn from(&self, dir: &Path, at: usize, found: &mut BTreeSet<PathBuf>, depth: usize) {
        let Some(part) = self.parts.get(at) else { return };
        if depth > 64 {
            return;
        }
        let last = at + 1 == self.parts.len();
        if *part == ".." {
            self.from(&dir.join(".."), at + 1, found, depth + 1);
            return;
        }
        // What can't be read holds nothing, as a folder that is not there.
        let Ok(names) = self.files.list(&clean(dir)) else { return };
        if *part == "**" && !last {
            self.from(dir, at + 1, found, depth);
        }
        for name in names {
            let path = dir.join(&name);
            if *part == "**" {
                match self.files.list(&clean(&path)) {
                    Ok(_) => self.from(&path, at, found, depth + 1),
                    Err(_) if last => {
                        found.insert(path);
                    }
                    Err(_) => {}
                }
            } else if matches(part, &name) == Some(true) {
                if !last {
                    self.from(&path, at + 1, found, depth + 1);
                } else if self.files.list(&clean(&path)).is_err() {
                    found.insert(path);
                }
            }
        }
    }
}

/// The patterns that one with `{a,b}` stands for: `None` where a brace is not closed.
fn alternatives(pattern: &str) -> Option<Vec<String>> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let Some(start) = pattern.find('{') else {
            done.push(pattern);
            continue;
        };
        let (mut depth, mut from, mut pieces, mut end) = (0, start + 1, Vec::new(), None);
        for (i, c) in pattern.char_indices().skip_while(|(i, _)| *i < start) {
            match c {
                '{' => depth += 1,
                ',' if depth == 1 => {
                    pieces.push(&pattern[from..i]);
                    from = i + 1;
                }
                '}' if depth == 1 => {
                    pieces.push(&pattern[from..i]);
                    end = Some(i);
                    break;
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        let end = end?;
        open.extend(
            pieces.iter().map(|piece| format!("{}{piece}{}", &pattern[..start], &pattern[end + 1..])),
        );
        if open.len() + done.len() > MAX_ALTERNATIVES {
            return None;
        }
    }
    Some(done)
}

/// Whether a name fits a part of a pattern: `None` where the pattern is broken.
fn matches(pattern: &str, name: &str) -> Option<bool> {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    check(&pattern)?;
    // Where to go on after the last star, which takes one character more each time that the rest did not fit.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        let fits = match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some('?') => Some(p + 1),
            Some('[') => class(&pattern, p, name[n]),
            Some('\\') if pattern.get(p + 1) == Some(&name[n]) => Some(p + 2),
            Some(c) if *c == name[n] => Some(p + 1),
            _ => None,
        };
        match (fits, star) {
            (Some(next), _) => {
                p = next;
                n += 1;
            }
            (None, Some((after, taken))) => {
                p = after;
                n = taken + 1;
                star = Some((after, taken + 1));
            }
            (None, None) => return Some(false),
        }
    }
    Some(pattern[p..].iter().all(|c| *c == '*'))
}

/// Where the class that starts at `at` ends, where the character is in it.
fn class(pattern: &[char], at: usize, c: char) -> Option<usize> {
    let mut i = at + 1;
    let negated = matches!(pattern.get(i), Some('^' | '!'));
    i += usize::from(negated);
    let mut hit = false;
    while *pattern.get(i)? != ']' {
        let low = pattern[i];
        if pattern.get(i + 1) == Some(&'-') && pattern.get(i + 2).is_some_and(|c| *c != ']') {
            hit |= (low..=pattern[i + 2]).contains(&c);
            i += 3;
        } else {
            hit |= low == c;
            i += 1;
        }
    }
    (hit != negated).then_some(i + 1)
}

/// Whether classes are closed and not empty, and something is escaped.
fn check(pattern: &[char]) -> Option<()> {
    let mut i = 0;
    while let Some(c) = pattern.get(i) {
        match c {
            '[' => {
                let start = i + 1 + usize::from(matches!(pattern.get(i + 1), Some('^' | '!')));
                let length = pattern.get(start..)?.iter().position(|c| *c == ']').filter(|n| *n > 0)?;
                i = start + length;
            }
            '\\' => {
                pattern.get(i + 1)?;
                i += 1;
            }
            _ => {}
        }
        i += 1;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, want) in [
            ("*.yaml", "a.yaml", Some(true)),
            ("*.yaml", "a.yml", Some(false)),
            ("*", "", Some(true)),
            ("a*b*c", "aXbbXc", Some(true)),
            ("a*b*c", "aXbbX", Some(false)),
            ("?.yml", "g.yml", Some(true)),
            ("?", "", Some(false)),
            ("[ab].x", "b.x", Some(true)),
            ("[^ab].x", "b.x", Some(false)),
            ("[a-c]", "b", Some(true)),
            ("\\*", "*", Some(true)),
            ("\\*", "a", Some(false)),
            ("[", "a", None),
            ("[]", "a", None),
            ("a\\", "a", None),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn braces_are_alternatives() {
        let sorted = |p| {
            let mut all = alternatives(p)?;
            all.sort();
            Some(all.join(" "))
        };
        assert_eq!(sorted("{a,d}.{x,y}").as_deref(), Some("a.x a.y d.x d.y"));
        assert_eq!(sorted("a{b,c{d,e}}").as_deref(), Some("ab acd ace"));
        assert_eq!(sorted("{a"), None);
        assert_eq!(sorted(&"{a,b}".repeat(20)), None);
    }
}
