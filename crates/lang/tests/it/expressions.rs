//! Every expression of `expressions.txt` gives what the `terraform` binary gave.
//!
//! The table holds one expression a line (⏎ is a newline in it), then its answer: `=> TYPE VALUE` (both as JSON) or `!! DETAIL` (of the error).
//! Where we mean to be otherwise than Terraform, the answer starts with `~` and is our own. `#` starts a comment.
//! `tests/record.py` fills in what is missing by asking `terraform` itself.
//!
//! `generated.txt` holds expressions that `tests/generate.py` made by chance, in the same form; where Terraform refuses one (`!!`), so must we, in our own
//! words. `unknown.txt` holds such with unknown values in them: there an answer is the value as a plan shows it, and what of it is unknown.
//! `cargo xtask differential` does the same with other seeds (it names the file in `GRAPPE_EXPRESSIONS`).

use std::io::Write as _;

use grappe_value::{Kind, Type, Value, json, wire};

use crate::support::{TestScope, evaluate, evaluate_beside};

const TABLE: &str = include_str!("expressions.txt");
const UNKNOWN: &str = include_str!("unknown.txt");
const GENERATED: &str = include_str!("generated.txt");

struct Case {
    line: usize,
    text: String,
    want: Result<(serde_json::Value, serde_json::Value), String>,
}

fn cases(table: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut text = None;
    for (i, line) in table.lines().enumerate() {
        let answer = line.strip_prefix('~').unwrap_or(line);
        let want = if let Some(json) = answer.strip_prefix("=> ") {
            let mut parts = serde_json::Deserializer::from_str(json).into_iter();
            let (Some(Ok(ty)), Some(Ok(value))) = (parts.next(), parts.next()) else {
                panic!("line {}: two JSON values are required", i + 1);
            };
            Ok((ty, value))
        } else if let Some(detail) = answer.strip_prefix("!!") {
            Err(detail.trim_start().to_owned())
        } else {
            assert!(text.is_none(), "line {i}: it has no answer");
            if !(line.is_empty() || line.starts_with("# ")) {
                text = Some(line.replace('⏎', "\n"));
            }
            continue;
        };
        let text = text.take().unwrap_or_else(|| panic!("line {}: an answer to nothing", i + 1));
        cases.push(Case { line: i, text, want });
    }
    assert!(text.is_none(), "the last one has no answer");
    cases
}

/// How many gave a value, and how many were refused, as they should; else what is wrong.
fn compare(cases: &[Case]) -> (usize, usize) {
    let scope = TestScope::default();
    let mut wrong = Vec::new();
    let (mut values, mut refused, mut on_purpose) = (0, 0, 0);
    for Case { line, text, want } in cases {
        let problem = match (want, &evaluate(text, &scope)) {
            (Ok((ty, value)), Ok(got)) => {
                values += 1;
                match difference(got, ty, value) {
                    Some(_) if chosen(text, got, value) => {
                        on_purpose += 1;
                        continue;
                    }
                    Some(problem) => problem,
                    None => continue,
                }
            }
            (Err(detail), Err(rendered)) => {
                refused += 1;
                let squeeze = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
                // Which argument is to blame we say more often than Terraform: what is wrong must be the same.
                let essence = ["\" failed: ", "\" parameter: "]
                    .iter()
                    .find_map(|mark| detail.split_once(mark))
                    .map_or(detail.as_str(), |(_, essence)| essence);
                if squeeze(rendered).contains(&squeeze(essence)) {
                    continue;
                }
                format!("says\n{rendered}\nnot: {detail}")
            }
            (Ok(_), Err(error)) if has_none(text, error) => {
                on_purpose += 1;
                continue;
            }
            (Ok((_, value)), Err(error)) => format!("should be {value}, but says\n{error}"),
            (Err(detail), Ok(value)) => format!("is {value:?}, but should say: {detail}"),
        };
        // As the table would have it, where it is so on purpose.
        let ours = match evaluate(text, &scope) {
            Ok(value) => format!(
                "~=> {} {}",
                wire::type_to_json(&value.ty()),
                json::to_text(&value, false).unwrap_or_default()
            ),
            Err(_) => "~!!".to_owned(),
        };
        wrong.push(format!("line {line}: {text}\n  {problem}\n  {ours}"));
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(on_purpose * 50 <= cases.len(), "{on_purpose} differ as listed");
    (values, refused)
}

/// The last digits of a double are not the same in Go.
fn doubles(text: &str) -> bool {
    text.contains("pow(") || text.contains("log(")
}

/// Whether Terraform has a value, and docs/language.md says why there is none here: infinities, `x % 0`, networks that do not exist.
fn has_none(text: &str, error: &str) -> bool {
    error.contains("Division by zero")
        || error.contains("the result is not a finite number")
        || text.contains("cidr") && (error.contains("accommodate") || error.contains("address space"))
}

/// Whether a difference is one that docs/language.md lists, as far as that is seen from outside: so few that all are counted.
fn chosen(text: &str, got: &Value, want: &serde_json::Value) -> bool {
    // A remainder shows nothing but the last digits.
    let remainder = text.contains(" % ");
    let close = || match (got.as_number(), want.as_f64()) {
        (Some(got), Some(want)) => {
            doubles(text) && remainder || (got.to_f64() - want).abs() <= want.abs() * 1e-14
        }
        _ => false,
    };
    // There is one zero.
    let zero = || {
        text.contains("(-0)")
            || json::to_text(got, false).is_ok_and(|got| got == want.to_string().replace("-0\"", "0\""))
    };
    // Who asks whether a division by zero fails is told so.
    let asked = ["can(", "try("].iter().any(|ask| text.contains(ask)) && text.contains("/ 0)");
    (doubles(text) || remainder) && close() || zero() || asked
}

/// How a value differs from what it should be.
fn difference(got: &Value, ty: &serde_json::Value, value: &serde_json::Value) -> Option<String> {
    let shown = wire::type_to_json(&got.ty());
    // As parsed JSON: numbers are written in other ways on both sides.
    let text = match json::to_text(got, false) {
        Ok(text) => text,
        Err(error) => return Some(format!("has no JSON: {error}")),
    };
    let got: serde_json::Value = serde_json::from_str(&text).unwrap();
    // Terraform does not say of what type a null is.
    if !value.is_null() && &shown != ty {
        Some(format!("is of type {shown}, not {ty}"))
    } else if &got != value {
        Some(format!("is {got}, not {value}"))
    } else {
        None
    }
}

#[test]
fn expressions_give_what_terraform_gives() {
    let cases = cases(TABLE);
    assert!(cases.len() > 800, "only {} expressions: the table was not read", cases.len());
    let (values, refused) = compare(&cases);
    let _ = writeln!(
        std::io::stderr(),
        "{} expressions by hand: {values} values and {refused} refusals are Terraform's",
        cases.len()
    );
}

#[test]
fn expressions_by_chance_give_what_terraform_gives() {
    let cases = match std::env::var_os("GRAPPE_EXPRESSIONS") {
        Some(path) => cases(&std::fs::read_to_string(path).unwrap()),
        None => cases(GENERATED),
    };
    assert!(cases.len() > 300, "only {} expressions: the table was not read", cases.len());
    let (values, refused) = compare(&cases);
    let _ = writeln!(
        std::io::stderr(),
        "{} expressions by chance: {values} values and {refused} refusals are Terraform's",
        cases.len()
    );
}

/// As a plan shows a value: without what is unknown in it, and what that is.
fn planned(value: &Value) -> (serde_json::Value, serde_json::Value) {
    use serde_json::Value as Json;
    let parts = |items: &[Value]| {
        let (after, unknown): (Vec<Json>, Vec<Json>) = items.iter().map(planned).unzip();
        (after.into(), unknown.into())
    };
    match value.kind() {
        Kind::Unknown(_) => (Json::Null, true.into()),
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => parts(items),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            let (mut after, mut unknown) = (serde_json::Map::new(), serde_json::Map::new());
            for (key, value) in entries.iter() {
                let shown = planned(value);
                if !value.is_unknown() {
                    after.insert(key.to_string(), shown.0);
                }
                unknown.insert(key.to_string(), shown.1);
            }
            (after.into(), unknown.into())
        }
        _ => (serde_json::from_str(&json::to_text(value, false).unwrap()).unwrap(), false.into()),
    }
}

/// What is unknown, without all that is known: Terraform leaves some of that out.
fn essence(unknown: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    let known = |part: &Json| *part == Json::Bool(false);
    match unknown {
        Json::Array(parts) => {
            let parts: Vec<Json> = parts.iter().map(essence).collect();
            if parts.iter().all(known) { false.into() } else { parts.into() }
        }
        Json::Object(parts) => {
            let parts: serde_json::Map<String, Json> =
                parts.iter().map(|(k, v)| (k.clone(), essence(v))).filter(|(_, v)| !known(v)).collect();
            if parts.is_empty() { false.into() } else { parts.into() }
        }
        other => other.clone(),
    }
}

#[test]
fn unknown_values_go_as_far_as_in_terraform() {
    let mut scope = TestScope::default();
    let resource = [
        ("id", Value::unknown_not_null(Type::String)),
        ("input", Value::unknown(Type::String)),
        ("output", Value::unknown(Type::String)),
        ("triggers_replace", Value::NULL),
    ];
    scope.resources.insert("terraform_data.u".into(), Value::object(resource));
    let given = std::env::var_os("GRAPPE_UNKNOWN");
    let fresh = given.is_some();
    let table = given.map_or_else(|| UNKNOWN.to_owned(), |path| std::fs::read_to_string(path).unwrap());
    let cases = cases(&table);
    let mut wrong = Vec::new();
    let (mut early, mut on_purpose) = (0, 0);
    for Case { line, text, want } in &cases {
        let got = evaluate_beside("resource \"terraform_data\" \"u\" {}\n", text, &scope);
        let problem = match (want, &got) {
            (Ok((after, unknown)), Ok(got)) => {
                let shown = planned(got);
                if shown.0 == *after && essence(&shown.1) == essence(unknown) {
                    continue;
                }
                if fresh && doubles(text) {
                    on_purpose += 1;
                    continue;
                }
                format!("is planned as {} {}, not {after} {unknown}", shown.0, shown.1)
            }
            (Err(_), Err(_)) => continue,
            (Ok(_), Err(error)) if has_none(text, error) => {
                on_purpose += 1;
                continue;
            }
            (Ok((after, unknown)), Err(error)) => format!("should be {after} {unknown}, but says\n{error}"),
            // Terraform looks at expressions once before it knows the types of attributes, and refuses some.
            (Err(_), Ok(_)) if fresh && early < cases.len() / 200 => {
                early += 1;
                continue;
            }
            (Err(_), Ok(got)) => format!("is {got:?}, but should be refused"),
        };
        let ours = got.as_ref().map_or("~!!".to_owned(), |got| {
            let (after, unknown) = planned(got);
            format!("~=> {after} {unknown}")
        });
        wrong.push(format!("line {line}: {text}\n  {problem}\n  {ours}"));
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(on_purpose * 50 <= cases.len(), "{on_purpose} differ as listed");
    let _ = writeln!(
        std::io::stderr(),
        "{} expressions with unknown values in them are planned as by Terraform",
        cases.len()
    );
}
