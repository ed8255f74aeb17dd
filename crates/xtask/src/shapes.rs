//! Plans of the shapes that cost Terraform most: `cargo xtask bench shapes` measures what planning them costs.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::bench::{Outcome, Tool, Tools, cell, machine};
use crate::growing::Growing;
use crate::run::{root, say};

/// A plan that takes longer is given up.
const LIMIT: Duration = Duration::from_secs(900);

/// A plan: what it is, and its files.
struct Shape {
    name: &'static str,
    files: Vec<(String, String)>,
    /// Whether Terraform comes to an end with it in a quarter of an hour.
    terraform: bool,
}

fn shapes() -> Vec<Shape> {
    let main = |text: String| vec![("main.tf".to_owned(), text)];
    vec![
        Shape { name: "`count = 10000`", files: main(Growing::Count.plan(10_000)), terraform: true },
        Shape {
            name: "`for_each = toset(…)` of 10,000",
            files: main(Growing::ForEach.plan(10_000)),
            terraform: false,
        },
        Shape { name: "500 modules of 60 variables", files: modules(), terraform: true },
        Shape { name: "a plan of 1.1 MB", files: main(long()), terraform: false },
    ]
}

const VARIABLES: usize = 60;

fn modules() -> Vec<(String, String)> {
    let mut module = String::new();
    let mut arguments = String::new();
    for i in 0..VARIABLES {
        let _ = writeln!(module, "variable \"v{i}\" {{\n  type    = string\n  default = \"d{i}\"\n}}");
        let _ = writeln!(arguments, "  v{i} = \"${{local.prefix}}-${{each.key}}-{i}\"");
    }
    let all: Vec<String> = (0..VARIABLES).map(|i| format!("var.v{i}")).collect();
    let _ = write!(
        module,
        "resource \"terraform_data\" \"it\" {{\n  input = join(\",\", [{}])\n}}\noutput \"it\" {{\n  value = terraform_data.it.input\n}}\n",
        all.join(", ")
    );
    let root = format!(
        "locals {{\n  prefix = \"p\"\n}}\nmodule \"many\" {{\n  source   = \"./many\"\n  for_each = toset([for i in range(500) : tostring(i)])\n{arguments}}}\n"
    );
    vec![("main.tf".to_owned(), root), ("many/main.tf".to_owned(), module)]
}

/// Of resources that name locals and one another, some lines each, as generated plans have.
fn long() -> String {
    let mut out = String::new();
    for i in 0..5_000 {
        let before = if i == 0 { "null".to_owned() } else { format!("terraform_data.r{}.id", i / 2) };
        let _ = write!(
            out,
            "locals {{\n  l{i} = {{ name = \"name-{i}\", tags = [\"a\", \"b\", \"${{upper(\"c\")}}\"] }}\n}}\n\
             resource \"terraform_data\" \"r{i}\" {{\n  input = {{\n    name  = local.l{i}.name\n    other = {before}\n    n     = {i} + 1\n  }}\n}}\n"
        );
    }
    out
}

/// `cargo xtask bench shapes`
pub(crate) fn run() -> Result<()> {
    let tools = Tools::new()?;
    let mut page = String::from(
        "# What planning costs\n\nWritten by `cargo xtask bench shapes`: a fresh plan (parse, evaluate, plan) of the shapes that are known to be slow elsewhere.\n\
         Each cell: wall time / CPU time / peak memory.\n\n",
    );
    let _ = write!(
        page,
        "Machine: {}.\n\n| plan | size | grappe | Terraform 1.11 |\n|---|---|---|---|\n",
        machine()
    );
    for shape in shapes() {
        let dir = tempfile::tempdir()?;
        for (name, text) in &shape.files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(dir.path()))?;
            grappe_state::files::write_atomic(&path, text.as_bytes(), 0o644)?;
        }
        let size: usize = shape.files.iter().map(|(_, text)| text.len()).sum();
        let mut cells = Vec::new();
        for tool in [Tool::Grappe, Tool::Terraform] {
            let tried = tools.all().contains(&tool) && (shape.terraform || tool == Tool::Grappe);
            let outcome = if tried { plan(&tools, tool, dir.path())? } else { Outcome::NotTried };
            say(format!("{}, {}: {}", tool.name(), shape.name, cell(&outcome)));
            cells.push(cell(&outcome));
        }
        let _ = writeln!(page, "| {} | {} KiB | {} |", shape.name, size.div_ceil(1024), cells.join(" | "));
    }
    grappe_state::files::write_atomic(&root().join("docs/benchmarks-plans.md"), page.as_bytes(), 0o644)?;
    say(page);
    Ok(())
}

/// A fresh plan.
fn plan(tools: &Tools, tool: Tool, dir: &Path) -> Result<Outcome> {
    if tool == Tool::Terraform {
        tools.measure(tool, dir, LIMIT, &["init", "-input=false"])?;
    }
    tools.measure(tool, dir, LIMIT, &["plan"])
}

/// `cargo xtask shapes DIR`: writes them, to look into one.
pub(crate) fn command(dir: &str) -> Result<()> {
    for (i, shape) in shapes().into_iter().enumerate() {
        for (name, text) in &shape.files {
            let path = Path::new(dir).join(i.to_string()).join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(dir)))?;
            grappe_state::files::write_atomic(&path, text.as_bytes(), 0o644)?;
        }
        say(format!("{dir}/{i}: {}", shape.name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_plan_is_as_long_as_it_says() {
        let size = long().len();
        assert!((1_050_000..1_250_000).contains(&size), "{size}");
        assert_eq!(modules()[1].1.matches("variable \"").count(), VARIABLES);
    }
}
