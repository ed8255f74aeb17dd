//! `grappe version`.

use serde_json::json;

use crate::Exit;
use crate::args::VersionArgs;
use crate::registry::registry;
use crate::ui::Ui;
use crate::ui::diff::plural;

pub(super) fn run(ui: &Ui, args: &VersionArgs) -> anyhow::Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    let registry = registry();
    let providers: Vec<(&str, usize, usize)> =
        registry.providers().map(|p| (p.name(), p.resources().len(), p.data_sources().len())).collect();
    if args.json {
        let providers: Vec<_> = providers
            .iter()
            .map(|(name, resources, data)| json!({ "name": name, "resources": resources, "data_sources": data }))
            .collect();
        ui.raw(&format!("{:#}\n", json!({ "grappe_version": version, "providers": providers })));
        return Ok(Exit::Done);
    }
    ui.line(format!("grappe {version}"));
    for (name, resources, data) in providers {
        let data = if data == 0 { String::new() } else { format!(", {data} data source{}", plural(data)) };
        ui.line(format!("  provider {name}: {resources} resource type{}{data}", plural(resources)));
    }
    Ok(Exit::Done)
}
