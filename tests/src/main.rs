//! `grappe`, as `crates/cli/src/main.rs` has it: built in this package, so that its tests can start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    grappe_cli::run(std::env::args_os()).into()
}
