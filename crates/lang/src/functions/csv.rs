//! CSV (RFC 4180), as `encoding/csv` of Go reads it.

use grappe_value::{Type, Value};

use super::{Function, Outcome, P, f, refuse, string, text};

pub(super) static FUNCTIONS: &[Function] = &[f(
    "csvdecode",
    "the rows of a CSV text, each an object by the names of the first row",
    &[string("str")],
    P::List,
    csvdecode,
)];

fn csvdecode(args: &[Value]) -> Outcome {
    let records = match records(text(args, 0)) {
        Ok(records) => records,
        Err((line, why)) => return refuse(format!("CSV parse error on line {line}: {why}")),
    };
    let mut records = records.into_iter();
    let Some((_, header)) = records.next() else { return refuse("missing header line") };
    for (i, name) in header.iter().enumerate() {
        if header[..i].contains(name) {
            return refuse(format!("duplicate column name \"{name}\""));
        }
    }
    let mut rows = Vec::new();
    for (line, record) in records {
        if record.len() != header.len() {
            return refuse(format!("CSV parse error on line {line}: wrong number of fields"));
        }
        rows.push(Value::object(header.iter().map(|n| n.as_str()).zip(record.into_iter().map(Value::from))));
    }
    Ok(Value::list(Type::object(header.iter().map(|n| (n.as_str(), Type::String))), rows))
}

type Record = (usize, Vec<String>);

/// Records with the lines that they start on; empty lines are skipped.
fn records(text: &str) -> Result<Vec<Record>, (usize, &'static str)> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    let mut line = 1;
    while chars.peek().is_some() {
        let start = line;
        let mut fields = Vec::new();
        loop {
            let mut field = String::new();
            if chars.next_if_eq(&'"').is_some() {
                loop {
                    match chars.next() {
                        Some('"') if chars.next_if_eq(&'"').is_some() => field.push('"'),
                        Some('"') => break,
                        Some('\r') if chars.peek() == Some(&'\n') => {}
                        Some(c) => {
                            line += usize::from(c == '\n');
                            field.push(c);
                        }
                        None => return Err((start, "extraneous or missing \" in quoted-field")),
                    }
                }
                if chars.peek() == Some(&'\r') {
                    chars.next();
                }
                if !matches!(chars.peek(), None | Some(',' | '\n')) {
                    return Err((line, "extraneous or missing \" in quoted-field"));
                }
            } else {
                while let Some(c) = chars.next_if(|c| !matches!(c, ',' | '\n')) {
                    if c == '"' {
                        return Err((line, "bare \" in non-quoted-field"));
                    }
                    field.push(c);
                }
                if field.ends_with('\r') {
                    field.pop();
                }
            }
            fields.push(field);
            if chars.next_if_eq(&',').is_none() {
                break;
            }
        }
        if chars.next_if_eq(&'\n').is_some() {
            line += 1;
        }
        if fields.len() > 1 || !fields[0].is_empty() {
            out.push((start, fields));
        }
    }
    Ok(out)
}
