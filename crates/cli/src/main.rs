//! The grappe command.

use std::process::ExitCode;

fn main() -> ExitCode {
    grappe_cli::run(std::env::args_os()).into()
}
