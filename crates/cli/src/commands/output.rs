//! `grappe output`.

use grappe_state::OutputValue;
use grappe_value::{Kind, Value, json, wire};
use serde_json::json;

use crate::Exit;
use crate::args::OutputArgs;
use crate::error::Explained;
use crate::project::store_of;
use crate::ui::Ui;
use crate::ui::value::{SENSITIVE, key, lines, padded};

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
            one(ui, args, name, &decode(output)?)?;
        }
        None if args.json => {
            let mut all = serde_json::Map::new();
            for (name, output) in &state.outputs {
                all.insert(
                    name.clone(),
                    json!({
                        "sensitive": output.sensitive,
                        "type": wire::type_to_json(&output.ty),
                        "value": json::to_json(&decode(output)?),
                    }),
                );
            }
            ui.raw(&format!("{:#}\n", serde_json::Value::Object(all)));
        }
        None => {
            let pad = state.outputs.keys().map(|n| key(n).len()).max().unwrap_or(0);
            for (name, output) in &state.outputs {
                let value =
                    if output.sensitive { vec![SENSITIVE.to_owned()] } else { shown(ui, &decode(output)?) };
                let mut value = value.into_iter();
                ui.line(format!("{} = {}", padded(&key(name), pad), value.next().unwrap_or_default()));
                ui.lines(value);
            }
            if state.outputs.is_empty() {
                ui.line("The state has no outputs.");
            }
        }
    }
    Ok(Exit::Done)
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
        ui.lines(shown(ui, &value.clone().unmark_deep().0));
    }
    Ok(())
}

fn shown(ui: &Ui, value: &Value) -> Vec<String> {
    lines(value, ui.style().width)
}

fn decode(output: &OutputValue) -> anyhow::Result<Value> {
    Ok(wire::decode(&output.value, &output.ty)?)
}
