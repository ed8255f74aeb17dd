//! One file a command.

mod apply;
mod console;
mod flows;
mod fmt;
mod force_unlock;
mod generate;
mod graph;
mod import;
mod output;
mod plan;
pub(crate) mod run;
mod show;
mod sim;
mod ssh;
mod state;
mod taint;
mod validate;
mod version;
mod world;

pub(crate) use state::decode_object;

use crate::Exit;
use crate::args::Command;
use crate::ui::Ui;

impl Command {
    /// Whether the reader is a program.
    #[must_use]
    pub fn is_json(&self) -> bool {
        match self {
            Command::Plan(args) => args.planning.json,
            Command::Apply(args) => args.planning.json,
            Command::Destroy(args) => args.planning.json,
            // These answer with one document rather than with lines of events.
            _ => false,
        }
    }
}

/// Runs a command.
///
/// # Errors
/// What went wrong and was not said yet.
pub fn run(ui: &Ui, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Plan(args) => plan::run(ui, &args),
        Command::Apply(args) => apply::run(ui, &args),
        Command::Destroy(args) => apply::destroy(ui, &args),
        Command::Console(args) => console::run(ui, &args),
        Command::Fmt(args) => fmt::run(ui, &args),
        Command::Flows(args) => flows::run(ui, &args),
        Command::Graph(args) => graph::run(ui, &args),
        Command::Ssh(args) => ssh::run(ui, &args),
        Command::Kubectl(args) => ssh::kubectl(ui, &args),
        Command::Sim(args) => sim::run(ui, &args),
        Command::Validate(args) => validate::run(ui, &args),
        Command::Show(args) => show::run(ui, &args),
        Command::Output(args) => output::run(ui, &args),
        Command::State(command) => state::run(ui, &command),
        Command::Import(args) => import::run(ui, &args),
        Command::Taint(args) => taint::run(ui, &args, true),
        Command::Untaint(args) => taint::run(ui, &args, false),
        Command::ForceUnlock(args) => force_unlock::run(ui, &args),
        Command::Version(args) => version::run(ui, &args),
    }
}
