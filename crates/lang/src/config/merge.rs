//! Override files: `override.tf`, `*_override.tf` and the same in JSON. Their blocks change blocks of the module's other files before any of them is
//! read, so whatever reads a block sees one block, whose arguments stand in several files.
//!
//! An argument replaces that of the same name; nested blocks replace all nested blocks of the same type. What is otherwise is Terraform's:
//!
//! - `lifecycle` of a resource is merged argument by argument,
//! - local values and required providers are replaced one by one, whatever block they stand in,
//! - `required_version` replaces all that were there, a `backend` that of the module,
//! - `depends_on` and conditions can't be overridden, and `moved`, `removed`, `import` and `check` blocks stand in other files only.

use grappe_diag::{Diagnostic, Diagnostics};
use grappe_value::Value;

use crate::syntax::{RawAttribute, RawBlock, RawBody};

/// Whether a file changes what others say, by its name without the ending.
pub(super) fn is_override(stem: &str) -> bool {
    stem == "override" || stem.ends_with("_override")
}

/// Lays an override file over a module's blocks.
pub(super) fn merge(base: &mut RawBody, over: RawBody, diags: &mut Diagnostics) {
    base.attributes.extend(over.attributes);
    for block in over.blocks {
        match &*block.ty.name {
            "locals" => locals(base, block, diags),
            "terraform" => terraform(base, block, diags),
            "variable" | "output" | "module" | "resource" | "data" | "ephemeral" | "provider" => {
                named(base, block, diags);
            }
            ty @ ("moved" | "removed" | "import" | "check") => diags.push(
                Diagnostic::error(format!("Cannot override \"{ty}\" blocks"))
                    .detail(format!(
                        "Blocks of type \"{ty}\" can appear only in normal files, not in override files."
                    ))
                    .span(block.head()),
            ),
            // Reading it says what is wrong with it.
            _ => base.blocks.push(block),
        }
    }
}

/// A block with a name: that of the same name is changed.
fn named(base: &mut RawBody, block: RawBlock, diags: &mut Diagnostics) {
    let same = |b: &&mut RawBlock| b.ty.name == block.ty.name && names(b) == names(&block);
    if let Some(found) = base.blocks.iter_mut().find(same) {
        return lay_over(found, block, diags);
    }
    let ty = &block.ty.name;
    // A provider without a block has an empty one, and that can be changed.
    if &**ty == "provider" && alias(&block).is_none() {
        base.blocks.push(block);
        return;
    }
    let labels: Vec<&str> = block.labels.iter().map(|l| &*l.name).collect();
    let (what, name) = match (&**ty, &labels[..]) {
        ("resource", [ty, name]) => {
            ("resource".to_owned(), format!("There is no {ty} resource named \"{name}\""))
        }
        ("data", [ty, name]) => {
            ("data resource".into(), format!("There is no {ty} data resource named \"{name}\""))
        }
        ("ephemeral", [ty, name]) => {
            ("ephemeral resource".into(), format!("There is no {ty} ephemeral resource named \"{name}\""))
        }
        ("variable", [name]) => {
            ("base variable declaration".into(), format!("There is no variable named \"{name}\""))
        }
        ("output", [name]) => {
            ("base output definition".into(), format!("There is no output named \"{name}\""))
        }
        ("module", [name]) => ("module call".into(), format!("There is no module call named \"{name}\"")),
        ("provider", [name]) => (
            "base provider configuration".into(),
            format!(
                "There is no {name} provider configuration with the alias \"{}\"",
                alias(&block).unwrap_or_default()
            ),
        ),
        // The labels are wrong, which reading it says.
        _ => return base.blocks.push(block),
    };
    diags.push(
        Diagnostic::error(format!("Missing {what} to override"))
            .detail(format!(
                "{name}. An override file can only override what a primary configuration file defines."
            ))
            .span(block.head()),
    );
}

/// What tells a block from others of its type.
fn names(block: &RawBlock) -> (Vec<&str>, Option<String>) {
    let alias = if &*block.ty.name == "provider" { alias(block) } else { None };
    (block.labels.iter().map(|l| &*l.name).collect(), alias)
}

fn alias(block: &RawBlock) -> Option<String> {
    let attribute = block.body.attributes.iter().find(|a| &*a.name.name == "alias")?;
    attribute.value.literal().and_then(Value::as_str).map(str::to_owned)
}

/// Changes a block.
fn lay_over(base: &mut RawBlock, over: RawBlock, diags: &mut Diagnostics) {
    let RawBlock { ty, body: mut over, .. } = over;
    let is_resource = matches!(&*ty.name, "resource" | "data" | "ephemeral");
    if let Some(attribute) = over.attributes.iter().find(|a| &*a.name.name == "depends_on") {
        diags.push(
            Diagnostic::error("Unsupported override")
                .detail("The depends_on argument may not be overridden.")
                .span(attribute.name.span),
        );
    }
    let conditions = |body: &mut RawBody, diags: &mut Diagnostics| {
        for name in ["precondition", "postcondition", "validation"] {
            for condition in body.take_blocks(name, diags) {
                diags.push(
                    Diagnostic::error(format!("Can't override {name} blocks"))
                        .detail(format!("Override files cannot override \"{name}\" blocks."))
                        .span(condition.head()),
                );
            }
        }
    };
    if matches!(&*ty.name, "variable" | "output") {
        conditions(&mut over, diags);
    }
    let lifecycles = if is_resource { over.take_blocks("lifecycle", diags) } else { Vec::new() };
    for mut lifecycle in lifecycles {
        conditions(&mut lifecycle.body, diags);
        let own = base.body.take_blocks("lifecycle", diags);
        base.body.blocks.extend(own);
        match base.body.blocks.iter_mut().find(|b| &*b.ty.name == "lifecycle") {
            Some(own) => body(&mut own.body, lifecycle.body),
            None => base.body.blocks.push(lifecycle),
        }
    }
    body(&mut base.body, over);
}

/// Replaces arguments by name and blocks by type. In the JSON syntax it is not known yet which of the two a property is: it replaces both.
fn body(base: &mut RawBody, over: RawBody) {
    let is_argument = |name: &str| over.attributes.iter().any(|a| &*a.name.name == name);
    let is_property = |name: &str| over.attributes.iter().any(|a| a.json.is_some() && &*a.name.name == name);
    let is_block = |name: &str| over.blocks.iter().any(|b| block_type(b) == name);
    base.attributes.retain(|a| {
        let name = &*a.name.name;
        !(is_argument(name) || a.json.is_some() && is_block(name))
    });
    base.blocks.retain(|b| !is_block(block_type(b)) && !is_property(block_type(b)));
    base.attributes.extend(over.attributes);
    base.blocks.extend(over.blocks);
}

/// The type of the blocks that a block is, or gives.
fn block_type(block: &RawBlock) -> &str {
    match (&*block.ty.name, block.labels.first()) {
        ("dynamic", Some(label)) => &label.name,
        (ty, _) => ty,
    }
}

/// Local values, each by itself.
fn locals(base: &mut RawBody, block: RawBlock, diags: &mut Diagnostics) {
    let mut left = block.body;
    let all = base.blocks.iter_mut().filter(|b| &*b.ty.name == "locals");
    let mut known: Vec<&mut RawAttribute> = all.flat_map(|b| &mut b.body.attributes).collect();
    for attribute in std::mem::take(&mut left.attributes) {
        match known.iter_mut().find(|a| a.name.name == attribute.name.name) {
            Some(own) => **own = attribute,
            None => diags.push(
                Diagnostic::error("Missing base local value definition to override")
                    .detail(format!(
                        "There is no local value named \"{}\". An override file can only override a local value defined in a primary configuration file.",
                        attribute.name.name
                    ))
                    .span(attribute.name.span),
            ),
        }
    }
    // Blocks don't belong here: reading it says so.
    base.blocks.push(RawBlock { body: left, ..block });
}

/// What is said of all `terraform` blocks together.
fn terraform(base: &mut RawBody, mut block: RawBlock, diags: &mut Diagnostics) {
    let version = block.body.attributes.iter().any(|a| &*a.name.name == "required_version");
    let mut backends: Vec<RawBlock> = Vec::new();
    for ty in ["backend", "cloud"] {
        backends.extend(block.body.take_blocks(ty, diags));
    }
    let required = block.body.take_blocks("required_providers", diags);
    for own in base.blocks.iter_mut().filter(|b| &*b.ty.name == "terraform") {
        own.body.attributes.retain(|a| !version || &*a.name.name != "required_version");
        if !backends.is_empty() {
            for ty in ["backend", "cloud"] {
                drop(own.body.take_blocks(ty, diags));
            }
        }
        let mut lists = own.body.take_blocks("required_providers", diags);
        let given =
            |name: &str| required.iter().flat_map(|r| &r.body.attributes).any(|a| &*a.name.name == name);
        lists.iter_mut().for_each(|list| list.body.attributes.retain(|a| !given(&a.name.name)));
        own.body.blocks.extend(lists);
    }
    block.body.blocks.extend(backends.into_iter().chain(required));
    base.blocks.push(block);
}
