//! Every expression of `expressions.txt` gives what the `terraform` binary gave.
//!
//! The table holds one expression a line (⏎ is a newline in it), then its answer: `=> TYPE VALUE` (both as JSON) or `!! DETAIL` (of the error).
//! Where we mean to be otherwise than Terraform, the answer starts with `~` and is our own. `#` starts a comment.
//! `tests/record.py` fills in what is missing by asking `terraform` itself.

use grappe_value::{json, wire};

use crate::support::{TestScope, evaluate};

const TABLE: &str = include_str!("expressions.txt");

struct Case {
    line: usize,
    text: String,
    want: Result<(serde_json::Value, serde_json::Value), String>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut text = None;
    for (i, line) in TABLE.lines().enumerate() {
        let answer = line.strip_prefix('~').unwrap_or(line);
        let want = if let Some(json) = answer.strip_prefix("=> ") {
            let mut parts = serde_json::Deserializer::from_str(json).into_iter();
            let (Some(Ok(ty)), Some(Ok(value))) = (parts.next(), parts.next()) else {
                panic!("line {}: two JSON values are required", i + 1);
            };
            Ok((ty, value))
        } else if let Some(detail) = answer.strip_prefix("!! ") {
            Err(detail.to_owned())
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

#[test]
fn expressions_give_what_terraform_gives() {
    let scope = TestScope::default();
    let cases = cases();
    assert!(cases.len() > 300, "only {} expressions: the table was not read", cases.len());
    let mut wrong = Vec::new();
    for Case { line, text, want } in &cases {
        let got = evaluate(text, &scope);
        let problem = match (want, &got) {
            (Ok((ty, value)), Ok(got)) => {
                let shown = wire::type_to_json(&got.ty());
                // As parsed JSON: numbers are written in other ways on both sides.
                let got: serde_json::Value =
                    serde_json::from_str(&json::to_text(got, false).unwrap()).unwrap();
                // Terraform does not say of what type a null is.
                if !value.is_null() && &shown != ty {
                    format!("is of type {shown}, not {ty}")
                } else if &got != value {
                    format!("is {got}, not {value}")
                } else {
                    continue;
                }
            }
            (Err(detail), Err(rendered)) => {
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
            (Ok((_, value)), Err(error)) => format!("should be {value}, but says\n{error}"),
            (Err(detail), Ok(value)) => format!("is {value:?}, but should say: {detail}"),
        };
        wrong.push(format!("line {line}: {text}\n  {problem}"));
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
