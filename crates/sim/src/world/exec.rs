//! Running a command on a machine without SSH: for tests and for `grappe sim`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{ApiError, World};
use crate::shell::Shell;
use crate::shell::io::{Fd, Input, Io};

/// What a command left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit status.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl World {
    /// Runs a command line in the login shell of a user, as `ssh machine command` would; returns when it and the save after it are done.
    ///
    /// # Errors
    /// When there is no such machine, when it is off, or when the world could not be saved.
    pub fn exec(
        self: &Arc<Self>,
        machine: &str,
        user: &str,
        command: &str,
        stdin: &[u8],
    ) -> Result<Output, ApiError> {
        match self.with(|s| s.machines.get(machine).map(|m| m.running)) {
            None => return Err(ApiError::NotFound { kind: "machine", id: machine.to_owned() }),
            Some(false) => return Err(ApiError::Conflict(format!("machine {machine} is powered off"))),
            Some(true) => {}
        }
        let work = || {
            let (out, err) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
            let input = Fd::Input(Rc::new(RefCell::new(Input::bytes(stdin.to_vec()))));
            let io = Io::new(input, Fd::Buffer(out.clone()), Fd::Buffer(err.clone()));
            let mut shell = Shell::login(self, machine, user, Arc::new(AtomicBool::new(false)));
            let status = shell.run_script(command, &io);
            Output { status, stdout: out.take(), stderr: err.take() }
        };
        // Scripts nest: they get a stack of their own.
        let output = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("sim-exec".to_owned()).stack_size(super::STACK);
            let thread = thread
                .spawn_scoped(scope, work)
                .map_err(|e| ApiError::Invalid(format!("cannot start a thread: {e}")))?;
            thread.join().map_err(|_| {
                ApiError::Invalid("the simulated shell panicked: this is a bug of grappe-sim".to_owned())
            })
        })?;
        self.flush()?;
        Ok(output)
    }
}
