//! `grappe state restore`: the snapshots of earlier runs, and back to one of them.

use std::collections::BTreeSet;

use grappe_state::surgery;
use grappe_state::{Ledger, Snapshot};
use grappe_value::addr::InstanceAddr;

use super::{confirm, hold_existing, objects, refused, save};
use crate::Exit;
use crate::args::RestoreArgs;
use crate::error::Explained;
use crate::project::store_of;
use crate::ui::Ui;

pub(super) fn run(ui: &Ui, args: &RestoreArgs) -> anyhow::Result<Exit> {
    let Some(serial) = args.serial else {
        let store = store_of(&args.at.dir, &args.at.state)?;
        let snapshots = store.snapshots()?;
        if snapshots.is_empty() {
            ui.line(
                "There is no snapshot of an earlier run: one is kept whenever a run has changed the state.",
            );
        }
        ui.lines(snapshots.iter().map(line));
        return Ok(Exit::Done);
    };
    let session = hold_existing(ui, &args.at, "state restore")?;
    let snapshots = session.store().snapshots()?;
    let have: Vec<String> = snapshots.iter().map(|s| s.serial.to_string()).collect();
    let found = snapshots.into_iter().find(|s| s.serial == serial).ok_or_else(|| {
        let error = Explained::new(format!("there is no snapshot of serial {serial}"));
        error.hint(match have.is_empty() {
            true => "there is none at all".to_owned(),
            false => format!("there are {}", have.join(", ")),
        })
    })?;
    let line = line(&found);
    let old = found.ledger?;
    let back =
        surgery::restore(session.ledger(), &old, args.force).map_err(|e| refused(e, session.ledger()))?;
    ui.line(line);
    tell(ui, session.ledger(), &back);
    if args.dry_run {
        return Ok(Exit::Done);
    }
    if !args.auto_approve && !confirm(ui, "Go back to this state?", "-auto-approve")? {
        ui.line("Not approved: nothing was changed.");
        return Ok(Exit::Error);
    }
    let ledger = save(ui, session, back)?;
    ui.line(format!(
        "The state of serial {serial} is back, as serial {}. What exists is what it was: see \"grappe plan\".",
        ledger.state.serial
    ));
    Ok(Exit::Done)
}

/// `serial 12  2026-01-31T12:00:00Z  4 objects`
fn line(snapshot: &Snapshot) -> String {
    let holds = match &snapshot.ledger {
        Ok(ledger) => {
            let begun = match ledger.pending().count() {
                0 => String::new(),
                n => format!(", {n} unfinished"),
            };
            format!("{}{begun}", objects(ledger.state.objects.len()))
        }
        Err(error) => format!("can't be read: {error}"),
    };
    format!("serial {:<4}  {}  {holds}", snapshot.serial, snapshot.written)
}

/// What comes back, what is forgotten, and what is another object.
fn tell(ui: &Ui, have: &Ledger, back: &Ledger) {
    let set = |ledger: &Ledger| ledger.state.objects.keys().cloned().collect::<BTreeSet<InstanceAddr>>();
    let (now, then) = (set(have), set(back));
    let other = |addr: &&InstanceAddr| {
        let object = |ledger: &Ledger| ledger.state.objects.get(*addr).map(|o| o.attributes.clone());
        object(have) != object(back)
    };
    ui.lines(then.difference(&now).map(|addr| format!("  + {addr} comes back")));
    ui.lines(now.intersection(&then).filter(other).map(|addr| format!("  ~ {addr} is as it was")));
    ui.lines(now.difference(&then).map(|addr| format!("  - {addr} is forgotten, and exists as before")));
}
