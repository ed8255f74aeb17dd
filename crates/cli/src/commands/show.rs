//! `grappe show`: the state, or a saved plan.

use std::collections::BTreeSet;

use grappe_provider::Registry;
use grappe_state::State;

use crate::Exit;
use crate::args::{ShowArgs, StateArgs};
use crate::project::store_of;
use crate::registry::registry;
use crate::saved::Saved;
use crate::ui::{Tone, Ui, json, plan};

pub(super) fn run(ui: &Ui, args: &ShowArgs) -> anyhow::Result<Exit> {
    let registry = registry();
    if args.what.is_file() {
        let saved = Saved::read(&args.what)?;
        if args.json {
            let state = StateArgs { state_dir: saved.state_dir.clone(), ..args.state.clone() };
            let state = store_of(&saved.dir, &state)?.load()?.state;
            ui.raw(&format!("{:#}\n", json::plan(&saved.plan, &state, &registry)));
        } else {
            ui.lines(plan::render(&saved.plan, &registry, ui.style()));
        }
        return Ok(Exit::Done);
    }
    let state = store_of(&args.what, &args.state)?.load()?.state;
    if args.json {
        ui.raw(&format!("{:#}\n", json::state(&state, &registry)));
    } else {
        people(ui, &state, &registry);
    }
    Ok(Exit::Done)
}

fn people(ui: &Ui, state: &State, registry: &Registry) {
    if state.is_empty() {
        ui.line("The state is empty: nothing was applied yet, or all was destroyed.");
    }
    let used: BTreeSet<&str> =
        state.objects.keys().filter_map(|addr| registry.provider_of(&addr.resource.ty)).collect();
    for notice in used.into_iter().filter_map(|name| registry.provider(name)?.notice()) {
        ui.line(ui.style().paint(Tone::Change, notice));
    }
    for (addr, object) in &state.objects {
        ui.lines(super::state::render_object(registry, addr, object, ui.style()));
        ui.line("");
    }
    for ((addr, key), object) in &state.deposed {
        ui.line(format!("# (deposed object {key}: to be destroyed)"));
        ui.lines(super::state::render_object(registry, addr, object, ui.style()));
        ui.line("");
    }
    if !state.outputs.is_empty() {
        ui.line(format!(
            "{} output{}: see \"grappe output\".",
            state.outputs.len(),
            crate::ui::diff::plural(state.outputs.len())
        ));
    }
}
