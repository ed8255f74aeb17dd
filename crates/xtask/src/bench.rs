//! `cargo xtask bench`: what planning and applying cost, beside Terraform on the same machine.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::layered;
use crate::measure::{Cost, measure};
use crate::run::{cargo, go, root, say, which};

/// A step that takes longer is given up.
pub(crate) const LIMIT: Duration = Duration::from_secs(900);
const STEPS: [&str; 4] = ["fresh plan", "apply", "no-op plan", "destroy"];

struct Row {
    tool: &'static str,
    size: usize,
    costs: Vec<Option<Cost>>,
    state_bytes: Option<u64>,
}

/// Measures, and writes docs/benchmarks.md.
pub(crate) fn run(sizes: &[&str]) -> Result<()> {
    let mut all = Vec::new();
    for size in sizes {
        all.push(size.parse().with_context(|| format!("{size:?} is no number of resources"))?);
    }
    if all.is_empty() {
        all = vec![1_000, 10_000];
    }
    let grappe = grappe()?;
    let terraform = which("terraform").map(|p| p.display().to_string());

    let mut rows = Vec::new();
    for size in all {
        rows.push(grappe_row(&grappe, size)?);
        // Terraform takes minutes for a thousand and hours for ten thousand.
        if let Some(terraform) = terraform.as_ref().filter(|_| size <= 1_000) {
            rows.push(terraform_row(terraform, size)?);
        }
    }
    let page = page(&rows, terraform.is_some());
    grappe_state::files::write_atomic(&root().join("docs/benchmarks.md"), page.as_bytes(), 0o644)?;
    say(page);
    Ok(())
}

/// Builds grappe as it is released; gives its path.
pub(crate) fn grappe() -> Result<String> {
    go(cargo().args(["build", "--release", "--package", "grappe-cli", "--quiet"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    Ok(target.join("release/grappe").display().to_string())
}

fn grappe_row(grappe: &str, size: usize) -> Result<Row> {
    let dir = tempfile::tempdir()?;
    layered::write(size, dir.path())?;
    let commands: [&[&str]; 4] = [
        &[grappe, "plan"],
        &[grappe, "apply", "-auto-approve"],
        &[grappe, "plan"],
        &[grappe, "destroy", "-auto-approve"],
    ];
    let state = dir.path().join("grappe.state/grappe.state.json");
    steps("grappe", size, dir.path(), &commands, &state)
}

fn terraform_row(terraform: &str, size: usize) -> Result<Row> {
    let dir = tempfile::tempdir()?;
    layered::write(size, dir.path())?;
    measure(dir.path(), LIMIT, &[terraform, "init", "-input=false"])?;
    let commands: [&[&str]; 4] = [
        &[terraform, "plan", "-input=false"],
        &[terraform, "apply", "-input=false", "-auto-approve"],
        &[terraform, "plan", "-input=false"],
        &[terraform, "destroy", "-input=false", "-auto-approve"],
    ];
    steps("terraform", size, dir.path(), &commands, &dir.path().join("terraform.tfstate"))
}

fn steps(tool: &'static str, size: usize, dir: &Path, commands: &[&[&str]], state: &Path) -> Result<Row> {
    let mut row = Row { tool, size, costs: Vec::new(), state_bytes: None };
    for (step, command) in STEPS.iter().zip(commands) {
        say(format!("{tool}, {size} resources: {step}"));
        let cost = measure(dir, LIMIT, command)?;
        row.costs.push(cost);
        if *step == "apply" {
            row.state_bytes = std::fs::metadata(state).map(|m| m.len()).ok();
        }
        if cost.is_none() {
            break;
        }
    }
    Ok(row)
}

fn page(rows: &[Row], with_terraform: bool) -> String {
    let mut out = String::from(
        "# What it costs\n\nWritten by `cargo xtask bench`. Layered plans: 20 layers of `terraform_data`, each built on two or three of \
         the layer before.\nEach cell: wall time / CPU time / peak memory.\n\n",
    );
    let _ = writeln!(out, "Machine: {}.", machine());
    if !with_terraform {
        out.push_str("Terraform was not installed there.\n");
    }
    let _ = write!(out, "\n| | resources | {} | state |\n|---|---|---|---|---|---|---|\n", STEPS.join(" | "));
    for row in rows {
        let cells: Vec<String> = (0..STEPS.len())
            .map(|i| match row.costs.get(i) {
                Some(Some(cost)) => cell(cost),
                Some(None) => format!("over {} s", LIMIT.as_secs()),
                None => "not tried".into(),
            })
            .collect();
        let state = row.state_bytes.map_or("–".into(), |b| format!("{} KiB", b.div_ceil(1024)));
        let _ = writeln!(out, "| {} | {} | {} | {state} |", row.tool, row.size, cells.join(" | "));
    }
    out
}

pub(crate) fn cell(cost: &Cost) -> String {
    format!(
        "{:.2} s / {:.2} s / {} MiB",
        cost.wall.as_secs_f64(),
        cost.cpu.as_secs_f64(),
        cost.peak_kib.div_ceil(1024)
    )
}

pub(crate) fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    format!("{cpus} cores, {}", model.as_deref().unwrap_or("of unknown make"))
}
