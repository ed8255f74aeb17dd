//! `grappe state rm`: forgets objects. They stay in the world as they are.

use grappe_state::surgery::remove;

use super::{hold_existing, objects, refused, save};
use crate::Exit;
use crate::args::RmArgs;
use crate::ui::Ui;

pub(super) fn run(ui: &Ui, args: &RmArgs) -> anyhow::Result<Exit> {
    let session = hold_existing(ui, &args.at, "state rm")?;
    let mut ledger = session.ledger().clone();
    let removed =
        remove(&mut ledger, &args.addresses, args.force).map_err(|e| refused(e, session.ledger()))?;
    let does = if args.dry_run { "Would remove" } else { "Removed" };
    let lines = removed.iter().map(|addr| format!("{does} {addr}"));
    if args.dry_run {
        ui.lines(lines);
        return Ok(Exit::Done);
    }
    save(ui, session, ledger)?;
    ui.lines(lines);
    ui.line(format!(
        "Successfully removed {}. They exist as before, and grappe knows them no more.",
        objects(removed.len())
    ));
    Ok(Exit::Done)
}
