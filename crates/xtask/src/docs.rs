//! `cargo xtask docs`: a page for each provider, from its schemas, and one for the functions.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Result, bail};
use grappe_cli::registry::registry;
use grappe_provider::{AnyProvider, Importable};
use grappe_value::{Attribute, Nesting, OnChange, Presence, Schema};

use crate::run::{root, say};

/// Writes the pages, or says which are out of date.
pub(crate) fn write(check: bool) -> Result<()> {
    let dir = root().join("docs/providers");
    let mut pages: Vec<(PathBuf, String)> =
        registry().providers().map(|p| (dir.join(format!("{}.md", p.name())), page(&**p))).collect();
    pages.push((root().join("docs/functions.md"), functions()));
    let stale: Vec<&(PathBuf, String)> = pages
        .iter()
        .filter(|(path, text)| std::fs::read_to_string(path).ok().as_ref() != Some(text))
        .collect();
    if check {
        if let [(first, _), ..] = stale[..] {
            bail!("{} is out of date: run cargo xtask docs", first.strip_prefix(root())?.display());
        }
        return Ok(());
    }
    std::fs::create_dir_all(&dir)?;
    for (path, text) in &stale {
        grappe_state::files::write_atomic(path, text.as_bytes(), 0o644)?;
        say(format!("wrote {}", path.strip_prefix(root())?.display()));
    }
    Ok(())
}

/// All functions with their signatures.
fn functions() -> String {
    let mut out = String::from(
        "# Functions\n\n<!-- Written by cargo xtask docs from the table of functions: change that. -->\n\n\
         Terraform's, with the same parameters; `core::` may stand before each name. Of `type`, the console alone makes sense.\n\n\
         | function | gives |\n|---|---|\n",
    );
    for function in grappe_lang::functions::all() {
        let _ = writeln!(out, "| `{}` | {} |", function.signature(), function.about.replace('|', "\\|"));
    }
    out
}

fn page(provider: &dyn AnyProvider) -> String {
    let mut out = format!("# provider \"{}\"\n\n", provider.name());
    out.push_str("<!-- Written by cargo xtask docs from the schemas: change those. -->\n\n");
    if let Some(notice) = provider.notice() {
        let _ = write!(out, "> {notice}\n\n");
    }
    let own = provider.schema();
    if own.attributes.is_empty() && own.blocks.is_empty() {
        out.push_str("It takes no arguments.\n\n");
    } else {
        table(&mut out, own, "");
        out.push('\n');
    }
    for resource in provider.resources() {
        section(&mut out, "resource", resource.name(), resource.schema());
        let _ = match resource.importable() {
            Importable::By(what) => write!(out, "`grappe import ADDRESS ID`: the id is {what}.\n\n"),
            Importable::Not(why) => write!(out, "It can't be imported: {why}.\n\n"),
        };
    }
    for source in provider.data_sources() {
        section(&mut out, "data", source.name(), source.schema());
    }
    for ephemeral in provider.ephemerals() {
        section(&mut out, "ephemeral", ephemeral.name(), ephemeral.schema());
    }
    format!("{}\n", out.trim_end())
}

fn section(out: &mut String, kind: &str, name: &str, schema: &Schema) {
    let _ = write!(out, "## {kind} \"{name}\"\n\n{}\n\n", schema.description);
    table(out, schema, "");
    out.push('\n');
}

/// Arguments first, then what is only read; those of nested blocks under the block's name.
fn table(out: &mut String, schema: &Schema, prefix: &str) {
    if prefix.is_empty() {
        out.push_str("| attribute | type | |\n|---|---|---|\n");
    }
    let settable = |a: &Attribute| a.is_settable();
    for part in [true, false] {
        for (name, attribute) in schema.attributes.iter().filter(|(_, a)| settable(a) == part) {
            let ty = attribute.ty.to_string().replace('|', "\\|");
            let _ = writeln!(out, "| `{prefix}{name}` | `{ty}` | {} |", words(attribute));
        }
    }
    for (name, block) in &schema.blocks {
        let times = match (block.nesting, block.min, block.max) {
            (Nesting::Single, 0, _) => "block, at most one".to_owned(),
            (Nesting::Single, ..) => "block, one".to_owned(),
            (_, 0, None) => "blocks, any number".to_owned(),
            (_, min, None) => format!("blocks, at least {min}"),
            (_, min, Some(max)) => format!("blocks, {min} to {max}"),
        };
        let _ = writeln!(out, "| `{prefix}{name} {{}}` | {times} | {} |", block.schema.description);
        table(out, &block.schema, &format!("{prefix}{name}."));
    }
}

fn words(attribute: &Attribute) -> String {
    let mut facts: Vec<String> = Vec::new();
    match attribute.presence {
        Presence::Required => facts.push("required".into()),
        Presence::Computed => facts.push("read only".into()),
        Presence::Optional | Presence::OptionalComputed => {}
    }
    if let Some(default) = &attribute.default {
        facts.push(format!("default `{default:?}`"));
    }
    if attribute.sensitive {
        facts.push("sensitive".into());
    }
    if attribute.write_only {
        facts.push("write-only: stored nowhere, and may be ephemeral".into());
    } else if attribute.is_settable() {
        match attribute.on_change {
            OnChange::Update => {}
            OnChange::Replace => facts.push("a change replaces the object".into()),
            OnChange::ReplaceWhen(member) => {
                facts.push(format!("a change of `{member}` in it replaces the object"))
            }
            OnChange::Record => facts.push("a change asks for no action".into()),
        }
    }
    let description =
        attribute.description.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    if facts.is_empty() { description } else { format!("{description} *({})*", facts.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_every_attribute() {
        let registry = registry();
        let random = registry.provider("random").unwrap();
        let text = page(&**random);
        assert!(text.contains("## resource \"random_password\""), "{text}");
        assert!(
            text.contains("| `result` | `string` | The characters. *(read only; sensitive)* |"),
            "{text}"
        );
        assert!(text.contains("*(required; a change replaces the object)*"), "{text}");
        for resource in random.resources() {
            for name in resource.schema().attributes.keys() {
                assert!(text.contains(&format!("| `{name}` |")), "{name}");
            }
        }
    }
}
