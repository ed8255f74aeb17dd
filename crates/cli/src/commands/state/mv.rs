//! `grappe state mv`: gives objects other addresses. Those that depend on them, and what an interrupted run began, follow.

use grappe_state::surgery::{relocate, relocations};

use super::{hold_existing, objects, refused, save};
use crate::Exit;
use crate::args::MvArgs;
use crate::ui::Ui;

pub(super) fn run(ui: &Ui, args: &MvArgs) -> anyhow::Result<Exit> {
    let session = hold_existing(ui, &args.at, "state mv")?;
    let mut ledger = session.ledger().clone();
    let moves = relocations(&ledger, &args.from, &args.to).map_err(|e| refused(e, session.ledger()))?;
    let does = if args.dry_run { "Would move" } else { "Move" };
    ui.lines(moves.iter().map(|m| format!("{does} \"{}\" to \"{}\"", m.from, m.to)));
    if args.dry_run {
        return Ok(Exit::Done);
    }
    relocate(&mut ledger, &moves).map_err(|e| refused(e, session.ledger()))?;
    save(ui, session, ledger)?;
    ui.line(format!("Successfully moved {}.", objects(moves.len())));
    Ok(Exit::Done)
}
