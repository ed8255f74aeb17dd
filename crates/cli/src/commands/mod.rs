//! One file a command.

mod output;
mod show;
mod state;
mod validate;
mod version;

pub(crate) use state::decode as decode_object;

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
        Command::Plan(_) | Command::Apply(_) | Command::Destroy(_) | Command::Graph(_) | Command::Sim(_) => {
            todo!()
        }
        Command::Validate(args) => validate::run(ui, &args),
        Command::Show(args) => show::run(ui, &args),
        Command::Output(args) => output::run(ui, &args),
        Command::State(command) => state::run(ui, &command),
        Command::Version(args) => version::run(ui, &args),
    }
}
