//! `grappe plan -generate-config-out=FILE`: blocks for what `import` blocks name and nothing else does.
//!
//! Two plans: one with empty blocks in their place, which reads what exists, and then the one that is shown, of the folder with the new file in it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use grappe_diag::Sources;
use grappe_plan::Import;
use grappe_provider::Registry;
use grappe_state::files::write_atomic;
use grappe_value::addr::quote;
use grappe_value::{Attribute, Kind, Nesting, Presence, Schema, Value};
use serde_json::json;

use super::run::{How, Job};
use crate::args::PlanArgs;
use crate::error::Explained;
use crate::ui::{self, Ui};

/// What the umask leaves of this: a part of the plan, like the files beside it.
const MODE: u32 = 0o644;

/// Writes the file.
///
/// # Errors
/// Where it is there already or would not be a part of the plan, and where something can't be read.
pub(super) fn run(ui: &Ui, args: &PlanArgs, file: &Path) -> anyhow::Result<()> {
    let wrong =
        |why: &str, what: &str| Err(Explained::new(format!("{}: {why}", file.display())).hint(what).into());
    if file.exists() {
        return wrong(
            "the file for generated blocks exists already",
            "name another, or move what is in it elsewhere and delete it",
        );
    }
    let folder = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let here =
        folder.canonicalize().is_ok_and(|folder| args.dir.canonicalize().is_ok_and(|dir| dir == folder));
    if !here || file.extension().is_none_or(|ext| ext != "tf") {
        return wrong(
            "generated blocks would be no part of the plan there",
            "name a new *.tf file in the plan folder",
        );
    }
    let planning = &args.planning;
    let mut job = Job::new(ui, &args.dir, &planning.state, Some(&planning.variables), planning)?;
    let stood_in = Arc::make_mut(&mut job.project.config.root).stand_in();
    stood_in.map_err(|found| job.project.rejected(found))?;
    let how = How::new(planning, false);
    let plan = job.block_on(async {
        let ledger = job.store.load()?;
        let _world = job.open_world(&ledger).await?;
        Ok(job.plan(&ledger, &how).await?.0)
    })?;
    let config = &job.project.config.root;
    let standing_in = plan.imports.iter().filter_map(|import| {
        let of = &import.addr.resource;
        let block = config.resources.get(&(of.mode, of.ty.clone(), of.name.clone()))?;
        (of.module.is_root() && block.stands_in).then_some((import, block))
    });
    let made: Vec<_> = standing_in.collect();
    if made.is_empty() {
        return Ok(());
    }
    let mut text =
        "# __generated__ by grappe\n# Look through these blocks and move them to where they belong.\n"
            .to_owned();
    for (import, stands_in) in &made {
        let provider = stands_in.provider.as_ref().map(|uses| match &uses.of.alias {
            Some(alias) => format!("{}.{alias}", uses.of.name),
            None => uses.of.name.to_string(),
        });
        text.push('\n');
        text.push_str(&block(import, provider.as_deref(), &job.registry));
    }
    let mut sources = Sources::default();
    let source = sources.add(file.display().to_string(), text.clone());
    let text =
        grappe_lang::format(source, &text).map_err(|found| crate::error::Rejected { found, sources })?;
    write_atomic(file, text.as_bytes(), MODE)?;
    let blocks: Vec<String> = made.iter().map(|(import, _)| import.addr.to_string()).collect();
    ui.event(&json!({ "type": "configuration_generated", "file": file.display().to_string(), "addresses": blocks }));
    if !ui.is_json() {
        ui.line(format!(
            "Configuration generated: {} in {}. Look through it before you apply.",
            blocks.join(", "),
            file.display()
        ));
    }
    Ok(())
}

/// The block of an object that was read.
fn block(import: &Import, provider: Option<&str>, registry: &Registry) -> String {
    let resource = &import.addr.resource;
    let mut out = match import.id.as_str() {
        Some(id) if !import.id.is_sensitive_deep() => {
            format!("# __generated__ by grappe from {}\n", quote(id))
        }
        _ => "# __generated__ by grappe\n".to_owned(),
    };
    let _ = writeln!(out, "resource {} {} {{", quote(&resource.ty), quote(&resource.name));
    if let Some(provider) = provider {
        let _ = writeln!(out, "provider = {provider}");
    }
    if let Some(schema) = registry.schema(resource.mode, &resource.ty) {
        body(schema, &import.value, &mut out);
    }
    out.push_str("}\n");
    out
}

/// What a configuration may say, with what is so. What only the provider says is left out.
fn body(schema: &Schema, object: &Value, out: &mut String) {
    for (name, attribute) in schema.attributes.iter().filter(|(_, a)| a.presence != Presence::Computed) {
        let value = object.get(name).unwrap_or(&Value::NULL);
        let _ = writeln!(out, "{name} = {}", argument(attribute, value));
    }
    for (name, block) in &schema.blocks {
        let Some(value) = object.get(name) else { continue };
        let several = match block.nesting {
            Nesting::Single => std::slice::from_ref(value),
            Nesting::List | Nesting::Set => value.as_items().unwrap_or_default(),
        };
        for one in several.iter().filter(|one| !one.is_null()) {
            let _ = writeln!(out, "{name} {{");
            body(&block.schema, one, out);
            out.push_str("}\n");
        }
    }
}

fn argument(attribute: &Attribute, value: &Value) -> String {
    if attribute.sensitive || value.is_sensitive_deep() {
        return "null # sensitive".into();
    }
    if attribute.write_only {
        return "null # write-only: nobody can say what it is".into();
    }
    literal(value)
}

/// A value as HCL writes it.
fn literal(value: &Value) -> String {
    let pairs = |entries: &mut dyn Iterator<Item = (String, String)>| {
        entries.fold(String::new(), |mut out, (key, value)| {
            let _ = writeln!(out, "{key} = {value}");
            out
        })
    };
    match value.kind() {
        Kind::Null(_) | Kind::Unknown(_) => "null".into(),
        Kind::Bool(b) => b.to_string(),
        Kind::Number(n) => n.to_string(),
        Kind::String(s) => quote(s),
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => {
            format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Kind::Map(_, entries) | Kind::Object(entries) if entries.is_empty() => "{}".into(),
        Kind::Map(_, entries) | Kind::Object(entries) => {
            format!("{{\n{}}}", pairs(&mut entries.iter().map(|(k, v)| (ui::value::key(k), literal(v)))))
        }
    }
}
