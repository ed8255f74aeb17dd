//! The `grappe` command: reads the command line, puts the rooms of the house together, and shows what they say.
//!
//! One file holds one command ([`commands`]); one type prints ([`ui`]); [`registry`] lists the providers. Nothing here decides anything: plans come from
//! `grappe-plan`, runs from `grappe-engine`.

pub mod args;
mod backend;
pub mod commands;
mod error;
mod exit;
mod files;
mod limits;
mod project;
pub mod registry;
mod saved;
mod tfstate;
pub mod ui;
mod variables;

use std::ffi::OsString;
use std::io::Write;

use clap::Parser;

pub use exit::Exit;
use ui::Ui;

/// Runs a command line; the first argument is the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match args::Cli::try_parse_from(args::two_dashes(args)) {
        Ok(cli) => cli,
        Err(asked) => {
            // Help and version are answers; anything else is an error.
            let done = !asked.use_stderr();
            let _ = asked.print().and_then(|()| std::io::stdout().flush());
            return if done { Exit::Done } else { Exit::Error };
        }
    };
    log();
    let ui = Ui::new(cli.no_color, cli.command.is_json());
    let result = match &cli.chdir {
        Some(dir) => std::env::set_current_dir(dir)
            .map_err(|e| error::Explained::new(format!("can't go to {}: {e}", dir.display())).into()),
        None => Ok(()),
    };
    match result.and_then(|()| commands::run(&ui, cli.command)) {
        Ok(exit) => exit,
        Err(error) => error::show(&ui, &error),
    }
}

/// What our own crates note while they work, on the standard error, where `GRAPPE_LOG` asks for it: `debug`, `warn`.
///
/// Only what they say themselves: the libraries below would log what goes over their connections.
fn log() {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::layer::SubscriberExt;

    let level = std::env::var("GRAPPE_LOG").ok().and_then(|l| l.parse::<LevelFilter>().ok());
    if let Some(level) = level {
        let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let ours = Targets::new().with_targets(
            [
                "grappe_ssh",
                "grappe_http",
                "grappe_sim",
                "grappe_engine",
                "grappe_provider_host",
                "grappe_provider_openstack",
            ]
            .map(|target| (target, level)),
        );
        // It is set once: nothing else in this process sets one.
        let _ =
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(ours).with(layer));
    }
}
