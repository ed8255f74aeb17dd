//! How a command ends.

use std::process::ExitCode;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done. 0
    Done,
    /// Something went wrong; it was said. 1
    Error,
    /// There is something to do: `plan -detailed-exitcode`. 2
    Changes,
    /// Somebody else holds the state. 3
    Locked,
    /// `fmt`: files that can't be read or parsed (2), or `-check` found some that are not formatted (3).
    Unformatted {
        /// Something is wrong with a file.
        broken: bool,
    },
    /// Ctrl-C, or SIGTERM. 130
    Interrupted,
    /// What a command on a machine ended with: `grappe ssh`, `grappe kubectl`.
    Remote(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Error => 1,
            Exit::Changes | Exit::Unformatted { broken: true } => 2,
            Exit::Locked | Exit::Unformatted { broken: false } => 3,
            Exit::Interrupted => 130,
            Exit::Remote(code) => code,
        })
    }
}
