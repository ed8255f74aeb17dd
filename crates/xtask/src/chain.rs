//! `cargo xtask bench chain-beside-tasks`: a chain of six steps beside six single ones, each of two seconds, by two hands.
//!
//! Twenty-four seconds of work by two take twelve where the chain is begun at once and never waits. Who takes what is ready in any other order leaves a part of the
//! chain for the end, when there is nothing else to do beside it. Nothing is known of how long the steps take: the shape of the plan must be enough.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::bench::{Outcome, Tool, Tools};
use crate::run::say;

/// How long each takes, in seconds, how many there are of both, and how many go on at once.
const SECONDS: u32 = 2;
const EACH: usize = 6;
const HANDS: &str = "-parallelism=2";
/// What the walk may take, in seconds: the optimum, and half a second for all else.
const BOUND: f64 = 12.5;
/// What takes longer is given up.
const LIMIT: Duration = Duration::from_secs(120);

/// The plan: the single ones first, as those who take what comes first would.
fn plan() -> String {
    let step = |text: &mut String, name: &str, input: &str| {
        let _ = writeln!(
            text,
            "resource \"terraform_data\" \"{name}\" {{\n  input = {input}\n  provisioner \"local-exec\" {{\n    command = \"sleep {SECONDS}\"\n  }}\n}}\n"
        );
    };
    let mut text = String::new();
    for n in 0..EACH {
        step(&mut text, &format!("single{n}"), "\"x\"");
    }
    for n in 0..EACH {
        let input =
            n.checked_sub(1).map_or("\"x\"".to_owned(), |before| format!("terraform_data.chain{before}.id"));
        step(&mut text, &format!("chain{n}"), &input);
    }
    text
}

/// How many seconds a tool takes to apply it.
fn seconds(tools: &Tools, tool: Tool) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    grappe_state::files::write_atomic(&dir.path().join("main.tf"), plan().as_bytes(), 0o644)?;
    if tool == Tool::Terraform {
        tools.measure(tool, dir.path(), LIMIT, &["init", "-input=false"])?;
    }
    match tools.measure(tool, dir.path(), LIMIT, &["apply", "-auto-approve", HANDS])? {
        Outcome::Cost(cost) => Ok(cost.wall.as_secs_f64()),
        _ => bail!("{} took over {} s", tool.name(), LIMIT.as_secs()),
    }
}

/// Measures, beside Terraform where it is installed.
///
/// # Errors
/// Where grappe takes longer than it may.
pub(crate) fn run() -> Result<()> {
    let tools = Tools::new()?;
    say(format!("| | {EACH} × {SECONDS} s in a chain beside {EACH} × {SECONDS} s, {HANDS} |\n|---|---|"));
    let mut ours = 0.0;
    for tool in tools.all() {
        let took = seconds(&tools, tool)?;
        say(format!("| {} | {took:.2} s |", tool.name()));
        if tool == Tool::Grappe {
            ours = took;
        }
    }
    if ours > BOUND {
        bail!("grappe took {ours:.2} s; {BOUND} s is what the walk may take");
    }
    Ok(())
}
