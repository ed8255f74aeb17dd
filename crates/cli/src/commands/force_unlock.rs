//! `grappe force-unlock`: takes a lock away that a killed run left.
//!
//! The lock of a run that lives is the kernel's: nobody can take it away but by ending that run. That of a dead one is taken over by the next run by
//! itself; this command is for those who want it gone before.

use super::state::confirm;
use crate::Exit;
use crate::args::ForceUnlockArgs;
use crate::error::Explained;
use crate::project::store_of;
use crate::ui::Ui;
use grappe_state::{LockError, StateError};

pub(super) fn run(ui: &Ui, args: &ForceUnlockArgs) -> anyhow::Result<Exit> {
    let store = store_of(&args.dir, &args.state)?;
    if !store.dir().is_dir() {
        return Err(Explained::new(format!("there is no state in {}", store.dir().display())).into());
    }
    let lock = match store.lock("force-unlock") {
        Ok(lock) => lock,
        Err(StateError::Lock(LockError::Held { holder })) => {
            let hint = match &holder {
                Some(holder) => format!(
                    "that run lives, and nobody can take the lock from it: wait for it, or end it with \"kill {}\" on {}",
                    holder.pid, holder.host
                ),
                None => "wait for it".to_owned(),
            };
            ui.error(&LockError::Held { holder }.to_string(), &[], Some(&hint));
            return Ok(Exit::Locked);
        }
        Err(error) => return Err(error.into()),
    };
    let Some(dead) = lock.taken_over.clone() else {
        return Err(Explained::new("the state is not locked").into());
    };
    if let Some(id) = args.id.filter(|id| *id != dead.pid) {
        lock.leave_as_found();
        return Err(Explained::new(format!("the lock was left by another run than process {id}"))
            .hint(format!("it is of {dead}"))
            .into());
    }
    if !args.force {
        ui.line(format!("The lock was left by a run that was killed: {dead}."));
        let yes = confirm(ui, "Take it away?", "-force");
        if !matches!(yes, Ok(true)) {
            lock.leave_as_found();
            yes?;
            ui.line("The lock stays.");
            return Ok(Exit::Error);
        }
    }
    drop(lock);
    ui.line("The state has been successfully unlocked. What that run began is gone on with by the next one.");
    Ok(Exit::Done)
}
