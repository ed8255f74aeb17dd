//! `grappe force-unlock`: takes a lock away.
//!
//! The lock of a run that lives on this computer is the kernel's: nobody can take it away but by ending that run. That of a dead one is taken over by the
//! next run by itself; this command is for those who want it gone before. On a server, a run that lives can be shut out, too: what it still writes is
//! refused from then on.

use grappe_state::LockError;
use grappe_state::storage::Seen;

use super::state::confirm;
use crate::Exit;
use crate::args::ForceUnlockArgs;
use crate::error::Explained;
use crate::project::store_of;
use crate::ui::Ui;

pub(super) fn run(ui: &Ui, args: &ForceUnlockArgs) -> anyhow::Result<Exit> {
    let store = store_of(&args.dir, &args.state)?;
    if store.dir().is_some_and(|dir| !dir.is_dir()) {
        return Err(Explained::new(format!("there is no state in {}", store.place().display())).into());
    }
    let Some(Seen { holder, lives, can_be_forced }) = store.holder()? else {
        return Err(Explained::new("the state is not locked").into());
    };
    if !can_be_forced {
        // One that has not yet written who it is.
        let holder = Some(holder).filter(|holder| holder.pid != 0);
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
    if let Some(id) = args.id.filter(|id| *id != holder.pid) {
        return Err(Explained::new(format!("the lock was left by another run than process {id}"))
            .hint(format!("it is of {holder}"))
            .into());
    }
    if !args.force {
        ui.line(match lives {
            true => format!("The lock is held by a run that was heard of a moment ago: {holder}."),
            false => format!("The lock was left by a run that was killed: {holder}."),
        });
        if lives {
            ui.line("If it goes on, all that it does from now on is not recorded.");
        }
        if !confirm(ui, "Take it away?", "-force")? {
            ui.line("The lock stays.");
            return Ok(Exit::Error);
        }
    }
    drop(store.lock_by_force("force-unlock")?);
    ui.line("The state has been successfully unlocked. What that run began is gone on with by the next one.");
    Ok(Exit::Done)
}
