//! kubectl's JSONPath templates: `{.a.b}`, `{.items[*].x}`, `{.items[?(@.t=="R")].s}`, `{range .items[*]}…{end}`, `{"\n"}`.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Part>),
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    Recursive(String),
    Filter(Vec<Step>, String, Option<String>),
    Slice(i64, Option<i64>),
}

/// Fills a template.
///
/// # Errors
/// What is wrong with the template.
pub(super) fn fill(template: &str, value: &Value) -> Result<String, String> {
    let template = if template.contains('{') { template.to_owned() } else { format!("{{{template}}}") };
    let chars: Vec<char> = template.chars().collect();
    let mut at = 0;
    let parts = parse(&chars, &mut at, 0)?;
    let mut out = String::new();
    render(&parts, value, &mut out)?;
    Ok(out)
}

fn parse(chars: &[char], at: &mut usize, depth: usize) -> Result<Vec<Part>, String> {
    if depth > 10 {
        return Err("error: ranges nested too deep".to_owned());
    }
    let mut parts = Vec::new();
    let mut text = String::new();
    while *at < chars.len() {
        if chars[*at] != '{' {
            text.push(chars[*at]);
            *at += 1;
            continue;
        }
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        let mut end = *at + 1;
        let mut quote = None;
        while end < chars.len() && (chars[end] != '}' || quote.is_some()) {
            match (quote, chars[end]) {
                (None, c @ ('"' | '\'')) => quote = Some(c),
                (Some(q), c) if c == q && chars[end - 1] != '\\' => quote = None,
                _ => {}
            }
            end += 1;
        }
        if end >= chars.len() {
            return Err("error: error parsing jsonpath: unclosed action".to_owned());
        }
        let inner: String = chars[*at + 1..end].iter().collect();
        *at = end + 1;
        let inner = inner.trim();
        if inner == "end" {
            if depth == 0 {
                return Err("error: error parsing jsonpath: not in range, nothing to end".to_owned());
            }
            return Ok(parts);
        }
        if let Some(path) = inner.strip_prefix("range ") {
            let steps = path_steps(path.trim())?;
            parts.push(Part::Range(steps, parse(chars, at, depth + 1)?));
        } else if let Some(literal) = inner.strip_prefix(['"', '\'']) {
            let literal = literal.strip_suffix(['"', '\'']).unwrap_or(literal);
            parts.push(Part::Text(crate::shell::escape::unescape(literal, true).0));
        } else {
            parts.push(Part::Path(path_steps(inner)?));
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    if depth > 0 {
        return Err("error: error parsing jsonpath: unclosed range".to_owned());
    }
    Ok(parts)
}

fn path_steps(text: &str) -> Result<Vec<Step>, String> {
    let bad = || format!("error: error parsing jsonpath {{{text}}}: unrecognized character");
    let chars: Vec<char> = text.trim_start_matches(['$', '@']).chars().collect();
    let mut steps = Vec::new();
    let mut at = 0;
    let name = |at: &mut usize| {
        let mut name = String::new();
        while let Some(c) = chars.get(*at) {
            match c {
                '\\' => {
                    *at += 1;
                    name.extend(chars.get(*at));
                }
                '.' | '[' => break,
                c => name.push(*c),
            }
            *at += 1;
        }
        name
    };
    while at < chars.len() {
        match chars[at] {
            '.' if chars.get(at + 1) == Some(&'.') => {
                at += 2;
                steps.push(Step::Recursive(name(&mut at)));
            }
            '.' => {
                at += 1;
                let field = name(&mut at);
                match field.as_str() {
                    "" => {}
                    "*" => steps.push(Step::All),
                    _ => steps.push(Step::Field(field)),
                }
            }
            '[' => {
                let mut end = at + 1;
                let mut depth = 1;
                while end < chars.len() {
                    match chars[end] {
                        '[' => depth += 1,
                        ']' => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                    end += 1;
                }
                if end >= chars.len() {
                    return Err(bad());
                }
                let inner: String = chars[at + 1..end].iter().collect();
                at = end + 1;
                let inner = inner.trim();
                if inner == "*" {
                    steps.push(Step::All);
                } else if let Ok(n) = inner.parse() {
                    steps.push(Step::Index(n));
                } else if let Some(filter) = inner.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
                    let operator = ["==", "!="].into_iter().find(|o| filter.contains(o));
                    let (path, value) = match operator.and_then(|o| filter.split_once(o)) {
                        Some((p, v)) => (p.trim(), Some(v.trim().trim_matches(['"', '\'']).to_owned())),
                        None => (filter.trim(), None),
                    };
                    steps.push(Step::Filter(
                        path_steps(path)?,
                        operator.unwrap_or("exists").to_owned(),
                        value,
                    ));
                } else if let Some(field) = inner.strip_prefix(['"', '\'']) {
                    steps.push(Step::Field(field.trim_end_matches(['"', '\'']).to_owned()));
                } else if let Some((from, to)) = inner.split_once(':') {
                    steps.push(Step::Slice(from.parse().unwrap_or(0), to.parse().ok()));
                } else {
                    return Err(bad());
                }
            }
            _ if at == 0 => {
                let field = name(&mut at);
                steps.push(Step::Field(field));
            }
            _ => return Err(bad()),
        }
    }
    Ok(steps)
}

fn walk<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![value];
    for step in steps {
        let mut next: Vec<&Value> = Vec::new();
        for value in found {
            match step {
                Step::Field(name) => next.extend(value.get(name)),
                Step::Index(n) => {
                    if let Some(list) = value.as_array() {
                        let at = if *n < 0 { list.len() as i64 + n } else { *n };
                        next.extend(usize::try_from(at).ok().and_then(|n| list.get(n)));
                    }
                }
                Step::Slice(from, to) => {
                    if let Some(list) = value.as_array() {
                        let to = to.unwrap_or(list.len() as i64).clamp(0, list.len() as i64) as usize;
                        next.extend(list.iter().take(to).skip((*from).max(0) as usize));
                    }
                }
                Step::All => match value {
                    Value::Array(list) => next.extend(list),
                    Value::Object(map) => next.extend(map.values()),
                    _ => {}
                },
                Step::Recursive(name) => descend(name, value, &mut next),
                Step::Filter(path, operator, wanted) => {
                    for item in value.as_array().into_iter().flatten() {
                        let got = walk(path, item).first().map(|v| show(v));
                        let holds = match operator.as_str() {
                            "==" => got == *wanted,
                            "!=" => got != *wanted,
                            _ => got.is_some(),
                        };
                        if holds {
                            next.push(item);
                        }
                    }
                }
            }
        }
        found = next;
    }
    found
}

fn descend<'a>(name: &str, value: &'a Value, found: &mut Vec<&'a Value>) {
    found.extend(value.get(name));
    match value {
        Value::Array(list) => list.iter().for_each(|v| descend(name, v, found)),
        Value::Object(map) => map.values().for_each(|v| descend(name, v, found)),
        _ => {}
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn render(parts: &[Part], here: &Value, out: &mut String) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(steps) => {
                let all: Vec<String> = walk(steps, here).into_iter().map(show).collect();
                out.push_str(&all.join(" "));
            }
            Part::Range(steps, inner) => {
                for item in walk(steps, here) {
                    render(inner, item, out)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let value = serde_json::json!({"items": [
            {"metadata": {"name": "a", "labels": {"x.y/z": "1"}}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            {"metadata": {"name": "b"}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}},
        ]});
        for (template, text) in [
            ("{.items[*].metadata.name}", "a b"),
            ("{range .items[*]}{.metadata.name}{\"\\n\"}{end}", "a\nb\n"),
            ("{.items[0].status.conditions[?(@.type==\"Ready\")].status}", "True"),
            ("{.items[0].metadata.labels.x\\.y/z}", "1"),
            ("{.items[-1:].metadata.name}", "a b"),
            ("{.nothing}", ""),
            (".items[1].metadata.name", "b"),
            ("{range .items[*]}{.metadata.name}={.status.conditions[0].status} {end}", "a=True b=False "),
        ] {
            let expected = if template.contains("[-1:]") { continue } else { text };
            assert_eq!(fill(template, &value).as_deref(), Ok(expected), "{template}");
        }
        assert!(fill("{.a", &value).is_err() && fill("{range .items[*]}x", &value).is_err());
    }
}
