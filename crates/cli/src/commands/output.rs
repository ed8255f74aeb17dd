//! `grappe output`.

use grappe_state::{OutputValue, State};
use grappe_value::{Kind, Value, json, wire};

use crate::Exit;
use crate::args::OutputArgs;
use crate::error::Explained;
use crate::project::store_of;
use crate::ui::value::{SENSITIVE, key, lines, padded};
use crate::ui::{Style, Ui};

pub(super) fn run(ui: &Ui, args: &OutputArgs) -> anyhow::Result<Exit> {
    let state = store_of(&args.dir, &args.state)?.load()?.state;
    match &args.name {
        Some(name) => {
            let output = state.outputs.get(name).ok_or_else(|| {
                let known: Vec<&str> = state.outputs.keys().map(String::as_str).collect();
                let error = Explained::new(format!("the state has no output {name:?}"));
                match (grappe_diag::suggest(name, known.iter().copied()), known.is_empty()) {
                    (Some(near), _) => error.hint(format!("did you mean {near:?}?")),
                    (None, true) => error.hint("it has none: outputs are there after an apply"),
                    (None, false) => error.hint(format!("it has {}", known.join(", "))),
                }
            })?;
            let value = decode(output)?;
            if value.is_withheld_deep() {
                return Err(Explained::new(format!("output {name:?} is sensitive, and the state does not hold it: there was no key to seal it with"))
                    .hint("give a key (GRAPPE_STATE_KEY, GRAPPE_STATE_PASSPHRASE, …) and apply again: then it is stored, sealed")
                    .into());
            }
            one(ui, args, name, &value)?;
        }
        None if args.json => {
            // As text: every digit of a number is there.
            let object = |output: &OutputValue| -> anyhow::Result<Value> {
                Ok(Value::object([
                    ("sensitive", output.sensitive.into()),
                    ("type", json::from_json(&wire::type_to_json(&output.ty))),
                    ("value", decode(output)?),
                ]))
            };
            // What is not there has no value that could be printed.
            let held = |output: &OutputValue| decode(output).is_ok_and(|value| !value.is_withheld_deep());
            let outputs = state.outputs.iter().filter(|(_, output)| held(output));
            let all = outputs.map(|(name, output)| Ok((name.as_str(), object(output)?)));
            let all = Value::object(all.collect::<anyhow::Result<Vec<_>>>()?);
            ui.raw(&format!("{}\n", json::to_text(&all, true)?));
        }
        None => {
            ui.lines(all(&state, ui.style())?);
            if state.outputs.is_empty() {
                ui.line("The state has no outputs.");
            }
        }
    }
    Ok(Exit::Done)
}

/// All outputs, sensitive ones by name only.
pub(super) fn all(state: &State, style: Style) -> anyhow::Result<Vec<String>> {
    let pad = state.outputs.keys().map(|n| key(n).len()).max().unwrap_or(0);
    let mut out = Vec::new();
    for (name, output) in &state.outputs {
        let mut value = match output.sensitive {
            true => vec![SENSITIVE.to_owned()],
            false => lines(&decode(output)?, style.width.saturating_sub(pad + 3)),
        };
        if let Some(first) = value.first_mut() {
            *first = format!("{} = {first}", padded(&key(name), pad));
        }
        out.extend(value);
    }
    Ok(out)
}

/// What was asked for by name is shown, sensitive or not.
fn one(ui: &Ui, args: &OutputArgs, name: &str, value: &Value) -> anyhow::Result<()> {
    if args.json {
        ui.raw(&format!("{}\n", json::to_text(value, true)?));
    } else if args.raw {
        let text = match value.kind() {
            Kind::String(text) => text.to_string(),
            Kind::Number(n) => n.to_string(),
            Kind::Bool(b) => b.to_string(),
            _ => {
                return Err(Explained::new(format!("output {name:?} is no string, number or bool"))
                    .hint("use -json")
                    .into());
            }
        };
        ui.raw(&text);
    } else {
        ui.lines(lines(&value.clone().unmark_deep().0, ui.style().width));
    }
    Ok(())
}

fn decode(output: &OutputValue) -> anyhow::Result<Value> {
    Ok(wire::decode(&output.value, &output.ty)?)
}
