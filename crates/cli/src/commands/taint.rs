//! `grappe taint` and `grappe untaint`: whether the next apply creates an object anew.

use grappe_state::surgery::{self, Refused};

use super::state::{hold_existing, refused, save};
use crate::Exit;
use crate::args::TaintArgs;
use crate::ui::Ui;

pub(super) fn run(ui: &Ui, args: &TaintArgs, taint: bool) -> anyhow::Result<Exit> {
    let addr = &args.address;
    let session = hold_existing(ui, &args.at, if taint { "taint" } else { "untaint" })?;
    let mut ledger = session.ledger().clone();
    match surgery::taint(&mut ledger, addr, taint) {
        Ok(()) => {}
        Err(Refused::Nothing(_)) if args.allow_missing => {
            ui.warn(&format!(
                "Resource instance {addr} was not found, but this is not an error because -allow-missing was set."
            ));
            return Ok(Exit::Done);
        }
        Err(error) => return Err(refused(error, session.ledger()).into()),
    }
    save(ui, session, ledger)?;
    ui.line(match taint {
        true => format!("Resource instance {addr} has been marked as tainted."),
        false => format!("Resource instance {addr} has been successfully untainted."),
    });
    Ok(Exit::Done)
}
