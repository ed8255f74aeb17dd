//! `grappe state list` and `grappe state show`.

use std::path::Path;

use grappe_provider::Registry;
use grappe_state::Object;
use grappe_value::addr::{InstanceAddr, Target};
use grappe_value::{Value, wire};

use crate::Exit;
use crate::args::StateArgs;
use crate::project::store_of;
use crate::registry::registry;
use crate::ui::diff::{Differ, Mark};
use crate::ui::value::{entry_name, padded};
use crate::ui::{Style, Ui};

use super::absent;

/// `grappe state list`
pub(super) fn list(ui: &Ui, state: &StateArgs, dir: &Path, addresses: &[Target]) -> anyhow::Result<Exit> {
    let state = store_of(dir, state)?.load()?.state;
    let wanted = |addr: &InstanceAddr| addresses.is_empty() || addresses.iter().any(|t| t.matches(addr));
    let unknown = addresses.iter().find(|t| !state.objects.keys().any(|addr| t.matches(addr)));
    if let Some(target) = unknown {
        return Err(absent(&target.to_string(), &state).into());
    }
    ui.lines(state.objects.keys().filter(|a| wanted(a)).map(ToString::to_string));
    let deposed = state.deposed.keys().filter(|(a, _)| wanted(a));
    ui.lines(deposed.map(|(a, key)| format!("{a} (deposed object {key})")));
    Ok(Exit::Done)
}

/// `grappe state show`
pub(super) fn show(ui: &Ui, state: &StateArgs, dir: &Path, address: &InstanceAddr) -> anyhow::Result<Exit> {
    let state = store_of(dir, state)?.load()?.state;
    let object = state.objects.get(address).ok_or_else(|| absent(&address.to_string(), &state))?;
    ui.lines(render(&registry(), address, object, ui.style()));
    Ok(Exit::Done)
}

/// An object of the state as a block.
pub(crate) fn render(registry: &Registry, addr: &InstanceAddr, object: &Object, style: Style) -> Vec<String> {
    let keyword = addr.resource.mode.keyword();
    let tainted = if object.tainted { " (tainted)" } else { "" };
    let mut differ = Differ::new(style, Vec::new());
    if let Some(entries) = decode(registry, addr, object).as_entries() {
        let shown: Vec<_> = entries.iter().filter(|(_, v)| !v.is_null()).collect();
        let pad = shown.iter().map(|(k, _)| entry_name(k, false).len()).max().unwrap_or(0);
        for (name, value) in shown {
            let head = format!("{} = ", padded(&entry_name(name, false), pad));
            differ.value(2, Mark::Same, &head, value, "");
        }
    }
    let mut out = vec![
        format!("# {addr}{tainted}"),
        format!("{keyword} \"{}\" \"{}\" {{", addr.resource.ty, addr.resource.name),
    ];
    out.extend(differ.out);
    out.push("}".into());
    out
}

/// The attributes of an object; of a type that this program does not know, as they are.
pub(crate) fn decode(registry: &Registry, addr: &InstanceAddr, object: &Object) -> Value {
    let schema = registry.schema(addr.resource.mode, &addr.resource.ty);
    let typed = schema.and_then(|s| Some(s.mark(wire::decode(&object.attributes, &s.ty()).ok()?)));
    typed.unwrap_or_else(|| grappe_value::json::from_json(&without_secrets(&object.attributes)))
}

/// What stands under `$sensitive` is taken out: without its schema, the rest can be shown as it is.
fn without_secrets(attributes: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match attributes {
        Json::Object(map) if map.contains_key("$sensitive") => crate::ui::value::SENSITIVE.into(),
        Json::Object(map) => Json::Object(map.iter().map(|(k, v)| (k.clone(), without_secrets(v))).collect()),
        Json::Array(items) => items.iter().map(without_secrets).collect(),
        leaf => leaf.clone(),
    }
}
